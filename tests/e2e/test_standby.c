/*
 * The rank that schedules is killed, and another one goes on with the run. It
 * is known by the lock of the run directory, which names its process.
 */
#include "support/shell.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TestSuite(standby, .init = t_enter_dir, .fini = t_leave_dir);

#define N_TASKS 60

/* For the shell: who schedules, and waiting until that is another one. */
#define FUNCTIONS                                                                                  \
    "scheduler() { cut -d' ' -f1 mpifarm-run/lock; }; "                                            \
    "is_another() { new=$(scheduler) && [ -n \"$new\" ] && [ \"$new\" != \"$1\" ]; }; "

/* Each task leaves a line in a file of its own with the rank that ran it. The last ones do not end
 * before there is a file "killed", so that a kill near the end comes before it. */
static void write_tasks(void)
{
    FILE *file = fopen("tasks.txt", "w");

    for (int i = 1; i <= N_TASKS; i++)
        fprintf(file, "%s; echo x $MPIFARM_RANK >> effect.%d; echo output %d\n",
                i <= N_TASKS - 3 ? "sleep 0.1" : "until [ -e killed ]; do sleep 0.01; done", i, i);
    cr_assert(file && fclose(file) == 0);
}

/* All is done and printed. What the lost rank ran may have been run again, as nobody has heard of
 * it; NULL for none. */
static void expect_all_done(const char *lost)
{
    for (int i = 1; i <= N_TASKS; i++) {
        char path[32];
        const char *lines;
        int n_lines;

        snprintf(path, sizeof(path), "effect.%d", i);
        lines = t_read(path);
        n_lines = t_count_lines(lines, "x ");
        cr_assert(n_lines == 1 ||
                      (n_lines == 2 && lost && strncmp(lines + 2, lost, strlen(lost)) == 0),
                  "task %d was run %d times: %s%s", i, n_lines, lines, t_read("err"));
    }
    cr_assert(eq(int, atoi(t_sh("sort -u out | grep -c '^output '").out), N_TASKS));
    cr_assert(t_has(t_read("err"), "60 done"), "%s", t_read("err"));
    cr_assert(eq(str, t_sh("mpifarm run --resume tasks.txt 2>&1 | grep -c output").out, "0\n"),
              "the journal says that all is done, and printed");
}

/* The time that is told is that since the beginning, whoever scheduled then. */
static void expect_all_time_told(void)
{
    const char *status = strstr(t_read("mpifarm-run/status.json"), "\"elapsed\": ");
    double told = status ? atof(status + strlen("\"elapsed\": ")) : 0;
    struct t_result result = t_sh("stat -c %%.9Y effect.* | sort -n | sed -n '1p;$p'");
    double first = atof(result.out), last = atof(strchr(result.out, '\n') + 1);

    cr_assert(told + 0.05 > last - first, "%.3f s of %.3f s", told, last - first);
}

/* The scheduler does not run tasks itself, as other ranks share its node. */
static void kill_when(const char *moment)
{
    write_tasks();
    t_sh(FUNCTIONS "%s run --standby -j 4 tasks.txt >out 2>err & mpirun=$!; "
                   "await test -e %s; kill -9 $(scheduler); touch killed; wait $mpirun",
         t_mpifarm_surviving(4), moment);
    cr_assert(t_has(t_read("err"), "goes on with the run"), "%s", t_read("err"));
    expect_all_time_told();
    expect_all_done(NULL);
}

Test(standby, another_rank_goes_on_when_the_scheduler_is_killed_at_once)
{
    kill_when("effect.1");
}

Test(standby, another_rank_goes_on_when_the_scheduler_is_killed_in_the_middle)
{
    kill_when("effect.31");
}

Test(standby, another_rank_goes_on_when_the_scheduler_is_killed_near_the_end)
{
    kill_when("effect.57");
}

Test(standby, the_exit_status_is_that_of_the_run)
{
    write_tasks();
    struct t_result result =
        t_sh(FUNCTIONS "mpifarm run --np 4 --standby -j 4 tasks.txt >out 2>err & farm=$!; "
                       "await test -e effect.31; kill -9 $(scheduler); touch killed; wait $farm");

    cr_assert(eq(int, result.status, 0), "%s", t_read("err"));
    expect_all_done(NULL);
}

Test(standby, when_mpirun_is_killed_other_ranks_go_on_with_the_run)
{
    t_write("tasks.txt", "echo one\n"
                         "touch started; while [ ! -e go ]; do sleep 0.01; done; echo two\n");
    struct t_result result =
        t_sh("mpifarm run --np 3 --standby -j 2 tasks.txt >out 2>err & farm=$!; "
             "await test -e started; await grep -q one out; kill -9 $(pgrep -P $farm mpirun); "
             "await grep -q 'new ranks go on' err; touch go; wait $farm");

    cr_assert(eq(int, result.status, 0), "%s", t_read("err"));
    cr_assert(t_has(t_read("err"), "mpirun was killed by signal 9 (Killed) in the middle of the "
                                   "run: new ranks go on with it"),
              "%s", t_read("err"));
    /* What was printed at the last moment may be printed again. */
    cr_assert(eq(str, t_sh("sort -u out").out, "one\ntwo\n"));
    cr_assert(eq(str, t_sh("mpifarm run --resume tasks.txt 2>/dev/null").out, ""));
}

/* Workers run something before they leave, which lasts until "go" is there. */
Test(standby, a_scheduler_that_is_killed_while_workers_leave_changes_nothing)
{
    t_write("tasks.txt", "#DISBATCH PERENGINE STOP touch leaving; while [ ! -e go ]; do sleep "
                         "0.01; done\necho one\necho two\n");
    struct t_result result =
        t_sh(FUNCTIONS "mpifarm run --np 3 --standby tasks.txt 2>err & farm=$!; "
                       "await test -e leaving; kill -9 $(scheduler); touch go; wait $farm");

    cr_assert(eq(int, result.status, 0), "%s", t_read("err"));
    cr_assert(eq(int, t_count_lines(result.out, ""), 2), "%s", result.out);
    cr_assert(not(t_has(t_read("err"), "in the middle of the run")), "%s", t_read("err"));
}

/* The run is stopped and its scheduler killed by these commands, in whatever order. */
static void stop_and_kill(const char *stop, const char *why)
{
    write_tasks();
    struct t_result result =
        t_sh(FUNCTIONS "mpifarm run --np 4 --standby -j 4 tasks.txt >out 2>err & farm=$!; "
                       "await test -e effect.5; %s; touch killed; wait $farm",
             stop);

    cr_assert(eq(int, result.status, 3), "%s", t_read("err"));
    cr_assert(t_has(t_read("err"), why), "%s", t_read("err"));
    cr_assert(ne(str, t_sh("mpifarm run --resume tasks.txt 2>/dev/null | grep output").out, ""));
}

Test(standby, a_stop_that_was_answered_holds_when_the_scheduler_dies)
{
    stop_and_kill("mpifarm cancel mpifarm-run 59 && mpifarm stop && kill -9 $(scheduler)",
                  "stopped by mpifarm stop");
    cr_assert(not(t_has(t_read("err"), "had ended or do not exist")), "%s", t_read("err"));
}

/* The run that resumes one that was stopped, with a task withdrawn, loses its scheduler as well. */
Test(standby, what_was_asked_of_an_earlier_run_does_not_hold_for_who_takes_over)
{
    write_tasks();
    t_sh("mpifarm run --np 4 --standby -j 4 tasks.txt >out 2>err & farm=$!; "
         "await test -e effect.5; mpifarm cancel mpifarm-run 59; mpifarm stop; wait $farm");
    struct t_result result =
        t_sh(FUNCTIONS "mpifarm run --resume --np 4 --standby -j 4 tasks.txt >>out 2>>err & "
                       "farm=$!; await test -e effect.45; kill -9 $(scheduler); touch killed; "
                       "wait $farm");

    cr_assert(eq(int, result.status, 0), "%s", t_read("err"));
    cr_assert(t_has(t_read("err"), "goes on with the run"), "%s", t_read("err"));
    cr_assert(eq(int, atoi(t_sh("sort -u out | grep -c '^output '").out), N_TASKS));
}

/* It is given up only where another rank takes very long. */
Test(standby, a_command_while_nobody_schedules_reaches_the_next_scheduler)
{
    stop_and_kill("kill -9 $(scheduler); until mpifarm stop 2>> why; do sleep 0.1; done",
                  "stopped by mpifarm stop");
    cr_assert(not(t_has(t_read("why"), "is over")), "%s", t_read("why"));
    cr_assert(not(t_has(t_read("why"), "no run")), "%s", t_read("why"));
}

Test(standby, a_signal_that_comes_while_nobody_schedules_is_heard)
{
    stop_and_kill("kill -9 $(scheduler); kill -TERM $farm", "stopped by signal 15");
}

/* It tells nobody that the run has ended. */
Test(standby, a_scheduler_that_has_lost_its_lock_leaves_and_another_rank_goes_on)
{
    write_tasks();
    struct t_result result =
        t_sh("mpifarm run --np 4 --standby -j 4 tasks.txt >out 2>err & farm=$!; "
             "await test -e effect.5; echo 1 another > mpifarm-run/lock; "
             "await grep -q 'this scheduler leaves' err; touch killed; wait $farm");

    cr_assert(eq(int, result.status, 0), "%s", t_read("err"));
    cr_assert(t_has(t_read("err"), "rank 0 is gone: rank 1 goes on with the run"), "%s",
              t_read("err"));
    expect_all_done(NULL);
}

Test(standby, where_the_tasks_cannot_be_read_again_the_run_ends_with_a_sentence)
{
    write_tasks();
    struct t_result result =
        t_sh(FUNCTIONS "mpifarm run --np 4 --standby -j 4 tasks.txt >out 2>err & farm=$!; "
                       "await test -e effect.5; rm tasks.txt; kill -9 $(scheduler); wait $farm");

    cr_assert(eq(int, result.status, 3), "%s", t_read("err"));
    cr_assert(eq(int, t_count_lines(t_read("err"), "mpifarm: no rank can go on with the run: "), 1),
              "%s", t_read("err"));
    cr_assert(eq(str, t_sh("grep -c tasks.txt: err").out, "1\n"), "%s", t_read("err"));
}

Test(standby, the_next_one_is_followed_by_another)
{
    write_tasks();
    t_sh(FUNCTIONS "%s run --standby -j 4 tasks.txt >out 2>err & mpirun=$!; "
                   "await test -e effect.5; first=$(scheduler); kill -9 $first; "
                   "await is_another $first; second=$(scheduler); "
                   "await test -e effect.30; kill -9 $second; touch killed; wait $mpirun",
         t_mpifarm_surviving(5));
    cr_assert(eq(int, t_count_lines(t_read("err"), "mpifarm: rank 0 is gone"), 1), "%s",
              t_read("err"));
    /* The second one, which is the next rank, has run tasks too. */
    expect_all_done("1\n");
}

Test(standby, it_takes_over_within_seconds)
{
    write_tasks();
    struct t_result result =
        t_sh(FUNCTIONS "%s run --standby -j 4 tasks.txt >out 2>err & mpirun=$!; "
                       "await test -e effect.9; first=$(scheduler); begin=$(date +%%s); "
                       "kill -9 $first; touch killed; await is_another $first; "
                       "echo $(($(date +%%s) - begin)); wait $mpirun",
             t_mpifarm_surviving(4));
    cr_assert(le(int, atoi(result.out), 20), "it took %s", result.out);
    expect_all_done(NULL);
}

Test(standby, tasks_that_take_the_output_of_others_find_it)
{
    FILE *file = fopen("tasks.txt", "w");

    fprintf(file, "[id=t1] echo line 1\n");
    for (int i = 2; i <= 20; i++)
        fprintf(file, "[id=t%d] sleep 0.1; cat {out:t%d}; echo line %d >> seen; echo line %d\n", i,
                i - 1, i, i);
    cr_assert(fclose(file) == 0);
    t_sh(FUNCTIONS "%s run --standby -j 4 tasks.txt >out 2>err & mpirun=$!; "
                   "await test -e seen; kill -9 $(scheduler); wait $mpirun",
         t_mpifarm_surviving(4));
    cr_assert(t_has(t_read("err"), "20 done"), "%s", t_read("err"));
    cr_assert(eq(int, t_count_lines(t_read("seen"), "line"), 19), "%s", t_read("seen"));
    /* The last one prints all lines there are. */
    cr_assert(eq(int, atoi(t_sh("sort -u out | wc -l").out), 20));
}

Test(standby, attempts_go_on_counting)
{
    FILE *file = fopen("tasks.txt", "w");

    for (int i = 1; i <= 30; i++)
        fprintf(file, "sleep 0.1; echo $MPIFARM_ATTEMPT >> tries.%d; [ $MPIFARM_ATTEMPT = 3 ]\n",
                i);
    cr_assert(fclose(file) == 0);
    t_sh(FUNCTIONS "%s run --standby --retries 3 -j 4 tasks.txt >out 2>err & mpirun=$!; "
                   "await test -e tries.20; kill -9 $(scheduler); wait $mpirun",
         t_mpifarm_surviving(4));
    cr_assert(t_has(t_read("err"), "30 done"), "%s", t_read("err"));
    for (int i = 1; i <= 30; i++) {
        char path[32];

        snprintf(path, sizeof(path), "tries.%d", i);
        cr_assert(eq(str, t_read(path), "1\n2\n3\n"), "task %d", i);
    }
}

Test(standby, what_cannot_be_read_again_is_refused)
{
    struct t_result result = t_sh("echo true | mpifarm run --standby -");

    cr_assert(eq(int, result.status, 2));
    cr_assert(t_has(result.err, "put them into a file"), "%s", result.err);
}

Test(standby, a_wait_for_none_is_refused)
{
    t_write("tasks.txt", "touch ran\n");
    struct t_result result = t_sh("mpifarm run --standby-wait 5m tasks.txt; echo $?; ls");

    cr_assert(eq(str, result.out, "2\ntasks.txt\n"));
    cr_assert(t_has(result.err, "--standby-wait is about --standby, and needs it"), "%s",
              result.err);
}

Test(standby, where_it_or_a_replacement_can_have_no_effect_that_is_said)
{
    t_write("tasks.txt", "true\n");
    struct t_result result = t_sh("mpifarm run --standby --respawn 2 tasks.txt");

    cr_assert(eq(int, result.status, 0), "%s", result.err);
    cr_assert(t_has(result.err, "--standby has no effect: there is no other rank"), "%s",
              result.err);
    cr_assert(t_has(result.err, "--respawn has no effect: only mpirun"), "%s", result.err);
}
