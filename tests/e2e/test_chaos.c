/* The benchmark that kills at random, shortened: see bench/chaos.py. */
#include "support/shell.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>

TestSuite(chaos, .init = t_enter_dir, .fini = t_leave_dir);

/* Python may have leaks of its own. */
static struct t_result chaos(const char *arguments)
{
    return t_sh("export ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0; "
                "TMPDIR=$PWD python3 -B $T_SOURCE_DIR/bench/chaos.py $T_MPIFARM_DIR %s",
                arguments);
}

Test(chaos, every_task_is_done_once_whatever_is_killed_or_stopped)
{
    struct t_result result = chaos("kill tasks=200 ranks=5 seeds=1");
    cr_assert(eq(int, result.status, 0), "%s", result.err);
}

Test(chaos, after_kill_9_of_all_ranks_nothing_is_lost_or_repeated)
{
    struct t_result result = chaos("resume tasks=200 rounds=5");
    cr_assert(eq(int, result.status, 0), "%s", result.err);
}
