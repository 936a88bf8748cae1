/* mpifarm stop, cancel and drain: what is asked of a run from another shell. */
#include "support/shell.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

TestSuite(control, .init = t_enter_dir, .fini = t_leave_dir);

/* Runs tasks.farm in the background with these words, and waits until task 1 has begun. */
#define IN_BACKGROUND(words)                                                                       \
    words " > out 2> err & pid=$!; while [ ! -e started ]; do sleep 0.01; done; "

/* Three ranks of it. Open MPI leaves memory behind in modules that it has unloaded. */
#define MPIRUN                                                                                     \
    "env ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0 mpirun --oversubscribe --bind-to none -n 3 "

Test(control, a_stopped_run_lets_running_tasks_end_and_can_be_continued)
{
    t_write("tasks.farm", "touch started; while [ ! -e go ]; do sleep 0.01; done; echo one\n"
                          "echo two\n");
    struct t_result result = t_sh(IN_BACKGROUND(
        "mpifarm run -j 1 tasks.farm") "mpifarm stop; touch go; wait $pid; echo $?; cat out; "
                                       "mpifarm run -j 1 --resume tasks.farm");

    cr_assert(eq(str, result.out, "nothing new is started; running tasks may end\n3\none\ntwo\n"),
              "%s", result.err);
    result = t_sh("cat err");
    cr_assert(t_has(result.out, "stopped by mpifarm stop: running tasks may end"), "%s",
              result.out);
}

Test(control, stop_now_ends_what_runs)
{
    t_write("tasks.farm", "touch started; sleep 300\n");
    struct t_result result = t_sh(IN_BACKGROUND(
        "mpifarm run tasks.farm") "mpifarm stop --now mpifarm-run; wait $pid; echo $?; "
                                  "mpifarm explain");

    cr_assert(eq(str, result.out,
                 "the running tasks are being ended\n3\n"
                 "0 done, 0 failed, 1 cancelled: the run was stopped by mpifarm stop; --resume "
                 "continues\n"),
              "%s", result.err);
}

Test(control, cancelled_tasks_are_ended_withdrawn_and_skipped_behind)
{
    t_write("tasks.farm", "touch started; sleep 300\n"
                          "[id=fit] echo fit >> ran\n"
                          "[after=fit] echo plot >> ran\n"
                          "echo last >> ran\n");
    struct t_result result = t_sh(IN_BACKGROUND(
        "mpifarm run -j 1 tasks.farm") "mpifarm cancel mpifarm-run fit 1; wait $pid; echo $?; cat "
                                       "ran; "
                                       "mpifarm logs mpifarm-run | awk 'NR > 1 {print $1, $3}' | "
                                       "sort; "
                                       "mpifarm run -j 2 --resume tasks.farm & pid=$!; "
                                       "while ! grep -q plot ran; do sleep 0.01; done; "
                                       "mpifarm stop --now > /dev/null; wait $pid; cat ran");

    cr_assert(eq(str, result.out,
                 "cancelled: fit, 1\n3\nlast\n"
                 "1 CANCELLED\n3 SKIPPED\n4 DONE\nfit CANCELLED\n"
                 "last\nfit\nplot\n"),
              "%s", result.err);
}

Test(control, a_task_that_is_still_unread_is_cancelled_when_it_comes)
{
    t_sh("(echo 'touch started; while [ ! -e go ]; do sleep 0.01; done'; "
         "for i in $(seq 8400); do echo true; done; echo 'touch ran') > tasks.farm");
    struct t_result result = t_sh(IN_BACKGROUND(
        "mpifarm run -j 1 tasks.farm") "mpifarm cancel mpifarm-run 8402 nosuch; touch go; "
                                       "while ! grep -q 'task 8402 is cancelled' err; do sleep "
                                       "0.1; done; "
                                       "mpifarm stop --now > /dev/null; wait $pid; ls ran; grep "
                                       "'to cancel' err");

    cr_assert(eq(str, result.out,
                 "not read yet, cancelled when they come: 8402, nosuch\n"
                 "mpifarm: of 2 tasks to cancel, 1 had ended or do not exist\n"),
              "%s", result.err);
}

Test(control, cancel_says_of_each_task_what_it_was)
{
    t_write("tasks.farm",
            "[id=done] true\n[id=bad] false\n"
            "[id=hold afterany=done,bad] touch started; while [ ! -e go ]; do sleep 0.01; "
            "done\n[id=wait after=hold] true\n");
    struct t_result result = t_sh(IN_BACKGROUND(
        "mpifarm run -j 1 tasks.farm") "mpifarm cancel mpifarm-run done wait bad; echo $?; "
                                       "mpifarm cancel mpifarm-run nosuch wait 2> why; echo $?; "
                                       "cat why; touch go; wait $pid; echo $?; grep stopped err; "
                                       "mpifarm explain | head -n 1");

    cr_assert(eq(str, result.out,
                 "cancelled: wait\nhad ended: done (DONE), bad (FAILED)\n0\n1\n"
                 "mpifarm: mpifarm-run: cancelled: wait\nno such task: nosuch\n3\n"
                 "mpifarm: stopped by mpifarm cancel, which withdrew tasks: 1 task left; --resume "
                 "continues\n"
                 "2 done, 1 failed, 1 cancelled: the run was stopped by mpifarm cancel, which "
                 "withdrew tasks; --resume continues\n"),
              "%s", result.err);
}

Test(control, all_ids_of_one_request_are_answered)
{
    t_sh("(for i in $(seq 300); do echo true; done; "
         "echo '[afterany=-1] touch started; while [ ! -e go ]; do sleep 0.01; done') > "
         "tasks.farm");
    struct t_result result = t_sh(IN_BACKGROUND(
        "mpifarm run -j 1 --policy fifo tasks.farm") "mpifarm cancel mpifarm-run $(seq 300) $(seq "
                                                     "2000 2500) > told 2> why; echo $?; "
                                                     "touch go; wait $pid; "
                                                     "cat told why | tr ',' '\\n' > lines; "
                                                     "grep -c DONE lines; grep -n -c 2...$ lines; "
                                                     "wc -l < why");

    cr_assert(eq(str, result.out, "1\n300\n501\n2\n"), "%s", result.err);
}

Test(control, a_second_stop_says_that_it_was_asked_already)
{
    t_write("tasks.farm", "touch started; sleep 300\n");
    struct t_result result = t_sh(IN_BACKGROUND(
        "mpifarm run tasks.farm") "mpifarm stop; mpifarm stop; mpifarm stop --now; wait $pid");

    cr_assert(eq(str, result.out,
                 "nothing new is started; running tasks may end\n"
                 "nothing new is started already; running tasks may end, and mpifarm stop --now "
                 "ends them\n"
                 "the running tasks are being ended\n"),
              "%s", result.err);
}

Test(control, drained_workers_get_no_more_and_the_last_one_stays)
{
    t_write("tasks.farm", "touch started; while [ ! -e go ]; do sleep 0.01; done\n"
                          "while [ ! -e go ]; do sleep 0.01; done\n"
                          "echo $MPIFARM_RANK >> ranks\necho $MPIFARM_RANK >> ranks\n"
                          "echo $MPIFARM_RANK >> ranks\necho $MPIFARM_RANK >> ranks\n"
                          "echo $MPIFARM_RANK >> ranks\necho $MPIFARM_RANK >> ranks\n");
    struct t_result result = t_sh(IN_BACKGROUND(
        MPIRUN "mpifarm run -j 2 tasks.farm") "mpifarm drain mpifarm-run 1; mpifarm drain "
                                              "mpifarm-run 2 2> why; echo $?; cat why; "
                                              "mpifarm drain mpifarm-run nohost 2> why; cat why; "
                                              "touch go; wait $pid; echo $?; sort -u ranks");

    cr_assert(eq(str, result.out,
                 "1 worker gets no more work\n1\n"
                 "mpifarm: mpifarm-run: no worker would be left; mpifarm stop stops the run\n"
                 "mpifarm: mpifarm-run: no worker has the rank or the host \"nohost\"\n"
                 "0\n2\n"),
              "%s", result.err);
}

Test(control, a_worker_in_quarantine_is_drained_too)
{
    t_write("tasks.farm", "[id=a] [ $MPIFARM_RANK != 1 ]\n"
                          "[id=b] [ $MPIFARM_RANK != 1 ]\n"
                          "[id=c] [ $MPIFARM_RANK != 1 ]\n"
                          "[after=a,b,c] [ $MPIFARM_RANK != 1 ] && touch started && "
                          "while [ ! -e go ]; do sleep 0.01; done\n");
    struct t_result result = t_sh(IN_BACKGROUND(
        MPIRUN "mpifarm run -j 2 --retries 2 --quarantine 1 tasks.farm") "mpifarm drain "
                                                                         "mpifarm-run 1; mpifarm "
                                                                         "drain mpifarm-run 1; "
                                                                         "touch go; wait $pid; "
                                                                         "echo $?");

    cr_assert(t_has(t_read("err"), "rank 1 on "), "%s", t_read("err"));
    cr_assert(t_has(t_read("err"), "gets no more work: what fails there"), "%s", t_read("err"));
    cr_assert(eq(str, result.out, "1 worker gets no more work\n0 workers get no more work\n0\n"),
              "%s", t_read("err"));
}

Test(control, a_worker_that_alone_can_run_a_task_is_not_drained)
{
    t_write("tasks.farm", "touch started; while [ ! -e go ]; do sleep 0.01; done\n"
                          "while [ ! -e go ]; do sleep 0.01; done\n"
                          "while [ ! -e go ]; do sleep 0.01; done\n"
                          "[id=wide cores=2] true\n");
    struct t_result result = t_sh(IN_BACKGROUND(
        MPIRUN "mpifarm run -j 3 tasks.farm") "for rank in 1 2; do mpifarm drain mpifarm-run $rank "
                                              "2>> why; echo $?; done; cat why; "
                                              "touch go; wait $pid; echo $?");

    cr_assert(t_has(result.out, "1 worker gets no more work\n"), "%s", result.out);
    cr_assert(
        t_has(result.out, "1\nmpifarm: mpifarm-run: task wide could run nowhere else\n0\n") ||
            t_has(result.out, "0\nmpifarm: mpifarm-run: task wide could run nowhere else\n0\n"),
        "%s", result.out);
}

/* In a task: the process of its rank, above the launcher and that one's keeper. */
#define RANK_PID "ps -o ppid= -p $(ps -o ppid= -p $PPID) > p.$MPIFARM_RANK; "

Test(control, a_run_whose_other_workers_were_lost_ends_when_the_drained_one_is_done)
{
    t_write("tasks.farm",
            "touch started; " RANK_PID "while [ ! -e go ]; do sleep 0.01; done\n" RANK_PID
            "while [ ! -e go ]; do sleep 0.01; done\n"
            "true\ntrue\n");
    struct t_result result = t_sh(IN_BACKGROUND(
        "mpifarm run --np 3 -j 2 tasks.farm") "while [ ! -s p.1 ] || [ ! -s p.2 ]; do sleep 0.01; "
                                              "done; "
                                              "mpifarm drain mpifarm-run 1; kill -9 $(cat p.2); "
                                              "while ! grep -q 'rank 2 on .* is lost' err; do "
                                              "sleep 0.01; "
                                              "done; "
                                              "touch go; wait $pid; echo $?; grep -c 'no worker is "
                                              "left' "
                                              "err");

    cr_assert(eq(str, result.out, "1 worker gets no more work\n3\n1\n"), "%s", result.err);
}

Test(control, without_a_run_there_is_a_sentence)
{
    const struct {
        const char *command, *err;
    } bad[] = {
        {"mpifarm stop", "mpifarm: mpifarm-run: No such file or directory\n"},
        {"mkdir d; mpifarm stop d", "mpifarm: d: no farm listens there: there is no run\n"},
        {"mpifarm stop a b", "mpifarm: \"b\" is one word too many\n"},
        {"mpifarm cancel d", "mpifarm: which task? usage: mpifarm cancel RUN TASK...\n"},
        {"mpifarm drain d", "mpifarm: which worker? usage: mpifarm drain RUN RANK|HOST...\n"},
        {"mpifarm stop --later", NULL},
        {"mpifarm cancel d 1 ''",
         "mpifarm: no task has an empty name; usage: mpifarm cancel RUN TASK...\n"},
        {"mpifarm scale d 4",
         "mpifarm: \"4\" is not like +4 or -4; usage: mpifarm scale [RUN] +N|-N\n"},
        {"mpifarm scale d +0", NULL},
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct t_result result = t_sh(bad[i].command);

        cr_assert(eq(int, result.status, 2), "%s", bad[i].command);
        if (bad[i].err)
            cr_assert(eq(str, result.err, (char *)bad[i].err));
    }
}

Test(control, a_finished_run_leaves_no_socket_and_a_killed_one_is_replaced)
{
    t_write("tasks.farm", "touch started; while [ ! -e go ]; do sleep 0.01; done\n");
    struct t_result result = t_sh(
        IN_BACKGROUND("mpifarm run tasks.farm") "kill -9 $pid; wait $pid; ls mpifarm-run/control; "
                                                "mpifarm stop; echo $?; touch go; "
                                                "mpifarm run --resume tasks.farm; echo $?; "
                                                "ls mpifarm-run/control 2> /dev/null");

    cr_assert(eq(str, result.out, "mpifarm-run/control\n2\n0\n"), "%s", result.err);
}
