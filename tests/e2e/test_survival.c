/* Real ranks are killed while real commands run: under mpirun --enable-recovery the rest goes on.
 */
#include "support/shell.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <string.h>

TestSuite(survival, .init = t_enter_dir, .fini = t_leave_dir);

/* As many tasks, each of which takes some time and leaves a line in a file of its own. */
static void write_tasks(int n, const char *seconds)
{
    FILE *file = fopen("tasks.txt", "w");

    cr_assert(file != NULL);
    for (int i = 1; i <= n; i++)
        fprintf(file, "sleep %s; echo x >> effect.%d; echo output %d\n", seconds, i, i);
    fclose(file);
}

/* Each task of the journal is done, once. */
static void expect_all_done(int n)
{
    struct t_result done = t_sh("sort -u out | grep -c '^output '; "
                                "sort out | uniq -d | wc -l; "
                                "ls effect.* | wc -l");
    char expected[64];

    snprintf(expected, sizeof(expected), "%d\n0\n%d\n", n, n);
    cr_assert(eq(str, done.out, expected), "%s", t_read("err"));
}

Test(survival, the_tasks_of_a_killed_rank_run_elsewhere)
{
    write_tasks(60, "0.1");
    struct t_result result =
        t_sh("%s run -j 4 tasks.txt >out 2>err & mpirun=$!; await test -e effect.5; "
             "kill -9 $(rank_of $mpirun 2); wait $mpirun; cat mpifarm-run/status.json",
             t_mpifarm_surviving(4));
    expect_all_done(60);
    cr_assert(t_has(result.out, "\"done\": 60"), "%s", result.out);
    cr_assert(t_has(t_read("err"), "rank 2 on "), "%s", t_read("err"));
    cr_assert(t_has(t_read("err"), "60 done"), "%s", t_read("err"));
}

Test(survival, one_worker_is_enough)
{
    write_tasks(40, "0.1");
    t_sh("%s run -j 3 tasks.txt >out 2>err & mpirun=$!; await test -e effect.3; "
         "kill -9 $(rank_of $mpirun 1) $(rank_of $mpirun 3); wait $mpirun",
         t_mpifarm_surviving(4));
    expect_all_done(40);
    cr_assert(t_has(t_read("err"), "40 done"), "%s", t_read("err"));
}

Test(survival, without_a_worker_the_run_stops_and_can_be_resumed)
{
    write_tasks(20, "0.1");
    t_sh("%s run -j 2 tasks.txt >out 2>err & mpirun=$!; await test -e effect.3; "
         "kill -9 $(rank_of $mpirun 1); wait $mpirun",
         t_mpifarm_surviving(2));
    cr_assert(t_has(t_read("err"), "no worker is left"), "%s", t_read("err"));
    cr_assert(eq(int, t_sh("mpifarm run --resume tasks.txt >>out 2>err").status, 0));
    expect_all_done(20);
}

Test(survival, a_stopped_rank_of_this_node_is_not_taken_for_dead)
{
    write_tasks(12, "0.1");
    struct t_result result =
        t_sh("%s run -j 2 tasks.txt >out 2>err & mpirun=$!; await test -e effect.3; "
             "rank=$(rank_of $mpirun 1); kill -STOP $rank; "
             /* Far longer than silence is suffered from ranks of other nodes. */
             "sleep 3; kill -CONT $rank; wait $mpirun",
             t_mpifarm_surviving(3));
    cr_assert(eq(int, result.status, 0));
    expect_all_done(12);
    cr_assert(not(t_has(t_read("err"), "lost")), "%s", t_read("err"));
}

Test(survival, workers_whose_scheduler_is_killed_end_their_tasks_and_leave)
{
    t_write("tasks.txt", "sleep 300 & echo $! > pid.1; touch started.1; wait\n"
                         "sleep 300 & echo $! > pid.2; touch started.2; wait\n");
    struct t_result result =
        t_sh("%s run -j 2 tasks.txt >out 2>err & mpirun=$!; await test -e started.1; "
             "await test -e started.2; kill -9 $(rank_of $mpirun 0); wait $mpirun; "
             "! is_alive $(cat pid.1) && ! is_alive $(cat pid.2)",
             t_mpifarm_surviving(3));
    cr_assert(eq(int, result.status, 0), "a task lives on");
    cr_assert(t_has(t_read("err"), "the scheduler is gone"), "%s", t_read("err"));
}
