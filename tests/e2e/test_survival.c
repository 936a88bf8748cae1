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

Test(survival, a_sigterm_to_one_worker_of_a_job_costs_its_tasks_nothing)
{
    const char *mpifarm = t_mpifarm_surviving(3);
    int n = (int)(strlen(mpifarm) - strlen("mpifarm"));

    t_write("tasks.txt",
            "test -e ok.1 && exit; touch ok.1; until test -e go; do sleep 0.02; done; false\n"
            "test -e ok.2 && exit; touch ok.2; until test -e go; do sleep 0.02; done; false\n");
    struct t_result result =
        t_sh("%.*s env SLURM_JOB_ID=1 SLURM_JOB_END_TIME=9999999999 "
             "mpifarm run -j1 tasks.txt 2>err & mpirun=$!; await test -e ok.1 -a -e ok.2; "
             "kill -TERM $(rank_of $mpirun 1) $(rank_of $mpirun 2); touch go; "
             "wait $mpirun",
             n, mpifarm);
    cr_assert(eq(int, result.status, 0), "%s", t_read("err"));
    cr_assert(t_has(t_read("err"), "2 done"), "%s", t_read("err"));
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

/* Of the four slots rank 1 has two. */
Test(survival, what_only_a_lost_worker_had_room_for_is_left_and_can_be_resumed)
{
    t_write("tasks.txt", "touch up; until test -e go; do sleep 0.02; done; echo small\n"
                         "[after=1 cores=2] echo wide\n");
    struct t_result result =
        t_sh("%s run -j 4 tasks.txt >out 2>err & mpirun=$!; await test -e up; "
             "kill -9 $(rank_of $mpirun 1); await grep -q 'is lost' err; touch go; wait $mpirun; "
             "cat out; mpifarm explain mpifarm-run 2; mpifarm status | sed 's/after.* by/by/'; "
             "mpifarm run --resume -j 2 -q tasks.txt; echo $?",
             t_mpifarm_surviving(4));
    cr_assert(eq(str, result.out,
                 "small\n"
                 "task 2: was not run: the run was stopped by the loss of workers, without which "
                 "no other task can start; --resume continues\n"
                 "the run was stopped by the loss of workers, without which no other task can "
                 "start; --resume continues\n"
                 "tasks: 1 of 2 done, 1 left\nwide\n0\n"),
              "%s", t_read("err"));
    cr_assert(t_has(t_read("err"), "1 task left; --resume"), "%s", t_read("err"));
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

/* --- what starts the commands of a rank --- */

/* The launcher of rank $1 is the child of its keeper, which is the rank's. */
#define FIND_HELPERS                                                                               \
    "keeper_of() { pgrep -P $1 mpifarm-keep; }; "                                                  \
    "launcher_of() { pgrep -P $(keeper_of $1) mpifarm-launch; }; "

/* Task 1 waits until it is killed, and has nothing to do the second time. */
static void write_tasks_around_one(int n)
{
    FILE *file;

    write_tasks(n, "0.05");
    file = fopen("more.txt", "w");
    cr_assert(file != NULL);
    fprintf(file, "[id=cut] test -e started || { touch started; sleep 300; }; echo x >> effect.0; "
                  "echo output 0\n");
    fclose(file);
    t_sh("cat tasks.txt >> more.txt; mv more.txt tasks.txt");
}

Test(survival, a_killed_launcher_is_replaced_in_a_run_of_one_process)
{
    write_tasks_around_one(20);
    struct t_result result =
        t_sh(FIND_HELPERS "mpifarm run -j 2 tasks.txt >out 2>err & pid=$!; await test -e started; "
                          "kill -9 $(launcher_of $pid); "
                          "await grep -q 'another one has taken its place' err; wait $pid");

    cr_assert(eq(int, result.status, 0), "%s", t_read("err"));
    expect_all_done(21);
    cr_assert(eq(str, t_sh("cat effect.0").out, "x\n"));
    cr_assert(t_has(t_read("err"), "its launcher process was killed by signal 9 (Killed); another "
                                   "one has taken its place"),
              "%s", t_read("err"));
    cr_assert(t_has(t_read("err"), "1 launcher process was replaced"), "%s", t_read("err"));
    cr_assert(t_has(t_read("mpifarm-run/status.json"), "\"renewed\": 1"));
    result = t_sh("mpifarm logs mpifarm-run | grep -w cut");
    cr_assert(t_has(result.out, "was killed by signal 9 (Killed)"), "%s", result.out);
}

Test(survival, a_killed_keeper_is_replaced_in_a_run_of_one_process)
{
    write_tasks_around_one(4);
    struct t_result result =
        t_sh(FIND_HELPERS "mpifarm run -j 2 tasks.txt >out 2>err & pid=$!; await test -e started; "
                          "kill -9 $(keeper_of $pid); wait $pid");

    cr_assert(eq(int, result.status, 0), "%s", t_read("err"));
    expect_all_done(5);
    cr_assert(t_has(t_read("err"), "lost its keeper, which was killed by signal 9 (Killed)"), "%s",
              t_read("err"));
}

Test(survival, ranks_of_mpirun_go_on_when_their_launchers_are_killed)
{
    write_tasks_around_one(20);
    /* The run is not to be over before. */
    t_sh("echo 'until test -e go; do sleep 0.01; done; echo x >> effect.99; echo output 99' "
         ">> tasks.txt");
    struct t_result result =
        t_sh(FIND_HELPERS "%s run -j 2 tasks.txt >out 2>err & mpirun=$!; await test -e started; "
                          "kill -9 $(launcher_of $(rank_of $mpirun 1)); "
                          "kill -9 $(keeper_of $(rank_of $mpirun 2)); "
                          "await grep -q 'rank 1 on .* another one has taken its place' err; "
                          "await grep -q 'rank 2 on .* another one has taken its place' err; "
                          "touch go; wait $mpirun",
             t_mpifarm(3));

    cr_assert(eq(int, result.status, 0), "%s", t_read("err"));
    expect_all_done(22);
    cr_assert(eq(str, t_sh("cat effect.0").out, "x\n"));
}

Test(survival, a_command_for_each_worker_whose_launcher_is_killed_is_begun_again)
{
    t_write("tasks.txt", "#DISBATCH PERENGINE START test -e once || { touch once; kill -9 $PPID; "
                         "sleep 300; }; echo x >> begun\n"
                         "#DISBATCH PERENGINE STOP echo x >> over\ncat begun\n");
    struct t_result result = t_sh("mpifarm run tasks.txt 2>err; cat over");

    cr_assert(eq(str, result.out, "x\nx\n"), "%s%s", result.out, t_read("err"));
}

Test(survival, a_task_that_kills_its_launcher_fails_in_the_end_and_no_other_does)
{
    t_write("tasks.txt", "sleep 0.5\nsleep 0.5\n"
                         "[id=bad] kill -9 $PPID; sleep 300\nsleep 0.5\nsleep 0.5\n");
    struct t_result result = t_sh("mpifarm run -j 5 tasks.txt 2>err");

    cr_assert(eq(int, result.status, 1), "%s", t_read("err"));
    cr_assert(t_has(t_read("err"), "4 done, 1 failed"), "%s", t_read("err"));
    cr_assert(t_has(t_read("err"), "failed: bad (its launcher process on "), "%s", t_read("err"));
    cr_assert(t_has(t_read("err"), "as 2 others did that ran it (--crash-limit 3)"), "%s",
              t_read("err"));
}

/* --- ranks that look like those of another node --- */

/* Whether processes can be put where others do not see them: a namespace of their own. */
static void need_namespaces(void)
{
    if (t_sh("unshare --pid --fork --mount-proc true").status != 0)
        cr_skip_test("namespaces cannot be made here");
}

/* Two ranks here, and rank 2 elsewhere, under a shell; all there ends with that. */
static struct t_result run_elsewhere(const char *while_it_runs, const char *afterwards)
{
    const char *mpirun = t_mpifarm_surviving(2);

    return t_sh("rank_elsewhere() { pgrep -P $(pgrep -P $(rank_of $1 2)) mpifarm; }; "
                "%s run -j 2 tasks.txt : -n 1 unshare --pid --fork --mount-proc "
                "sh -c 'mpifarm run -j 2 tasks.txt; %s' >out 2>err & mpirun=$!; "
                "await test -e effect.5; %s; wait $mpirun",
                mpirun, afterwards, while_it_runs);
}

Test(survival, the_death_of_a_rank_elsewhere_is_told_by_whoever_answers_for_it)
{
    need_namespaces();
    write_tasks(40, "0.1");
    run_elsewhere("kill -9 $(rank_elsewhere $mpirun)", "sleep 5");
    expect_all_done(40);
    cr_assert(t_has(t_read("err"), "is lost: its process has ended"), "%s", t_read("err"));
    cr_assert(eq(int, t_sh("grep -q \"^mpifarm: lost: $(hostname) (rank 2)$\" err").status, 0),
              "%s", t_read("err"));
}

Test(survival, a_stopped_rank_elsewhere_is_answered_for)
{
    need_namespaces();
    write_tasks(12, "0.1");
    run_elsewhere("rank=$(rank_elsewhere $mpirun); kill -STOP $rank; sleep 3; kill -CONT $rank",
                  "true");
    expect_all_done(12);
    cr_assert(not(t_has(t_read("err"), "lost")), "%s", t_read("err"));
}

Test(survival, an_alarm_that_turns_out_false_is_taken_back)
{
    need_namespaces();
    write_tasks(60, "0.1");
    run_elsewhere("rank=$(rank_elsewhere $mpirun); keeper=$(pgrep -P $rank mpifarm-keep); "
                  "kill -STOP $rank $keeper; await grep -q 'nothing is heard of it' err; "
                  "kill -CONT $rank $keeper; "
                  "await grep -q 'rank 2 on .* is back' err",
                  "true");
    expect_all_done(60);
    cr_assert(t_has(t_read("err"), "60 done"), "%s", t_read("err"));
}

Test(survival, workers_elsewhere_leave_when_the_scheduler_is_killed)
{
    need_namespaces();
    write_tasks(400, "0.1");
    struct t_result result = run_elsewhere("kill -9 $(rank_of $mpirun 0)", "true");

    cr_assert(ne(int, result.status, 124));
    cr_assert(t_has(t_read("err"), "rank 2 has ended its tasks: the scheduler is gone"), "%s",
              t_read("err"));
}
