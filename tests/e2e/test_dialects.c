/* Task files with an order, and those of other programs, from the file to what the tasks write. */
#include "support/shell.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

TestSuite(dialects, .init = t_enter_dir, .fini = t_leave_dir);

/* What a run of the file adds to "log", one word a task. */
static struct t_result run(const char *text)
{
    t_write("tasks.txt", "%s", text);
    return t_sh("mpifarm run -q -j 4 tasks.txt; s=$?; cat log 2>/dev/null | tr '\\n' ' '; exit $s");
}

static void writes(const char *text, int status, const char *log)
{
    struct t_result result = run(text);

    cr_assert(eq(int, result.status, status), "%s", result.err);
    cr_assert(eq(str, result.out, (char *)log), "%s", result.err);
}

Test(dialects, a_task_runs_after_one_further_down)
{
    writes("[after=c] echo a >> log\n[after=1] echo b >> log\n[id=c] sleep 0.1; echo c >> log\n", 0,
           "c a b ");
}

Test(dialects, what_comes_after_a_failed_task_depends_on_how)
{
    writes("false\n[after=1] echo ok >> log\n[afternotok=1] echo notok >> log\n"
           "[afterany=1,3] echo any >> log\n",
           1, "notok any ");
}

Test(dialects, a_barrier_lets_all_end_first)
{
    writes("sleep 0.2; echo a >> log\nfalse\n#FARM barrier\necho b >> log\n", 1, "a b ");
}

Test(dialects, greasy_names_lines)
{
    writes("# 1\nsleep 0.2; echo a >> log\n[# 2 #] echo b >> log\n[@ . @][# -1 #] echo c >> log\n",
           0, "a b c ");
}

Test(dialects, disbatch_repeats_between_barriers)
{
    writes("#DISBATCH PREFIX echo \n#DISBATCH SUFFIX  >> log\n"
           "#DISBATCH REPEAT 1 start 7 $DISBATCH_REPEAT_INDEX\n#DISBATCH BARRIER CHECK\n"
           "$DISBATCH_NAMETASKS\n",
           0, "7 tasks.txt ");
}

Test(dialects, standard_input_has_an_order_too)
{
    struct t_result result = t_sh("printf '[id=a] sleep 0.2; echo a >> log\\n"
                                  "[after=a] echo b >> log\\n#FARM barrier\\necho c >> log\\n' | "
                                  "mpifarm run -q -j 4 - && cat log | tr '\\n' ' '");

    cr_assert(eq(str, result.out, "a b c "), "%s", result.err);
}
