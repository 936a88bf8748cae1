/* `mpifarm run --np N` starts mpirun, and gives the farm's own exit status whatever dies. */
#include "support/shell.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void begin(void)
{
    const char *options = getenv("ASAN_OPTIONS");
    char text[512];

    t_enter_dir();
    setenv("OMPI_ALLOW_RUN_AS_ROOT", "1", 1);
    setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1", 1);
    /* Open MPI leaves memory behind in modules that it has unloaded, where nothing can name it. */
    snprintf(text, sizeof(text), "%s:detect_leaks=0", options ? options : "");
    setenv("ASAN_OPTIONS", text, 1);
}

TestSuite(supervising, .init = begin, .fini = t_leave_dir);

/* The mpirun that mpifarm $pid has started. */
#define FIND_MPIRUN "await pgrep -P $pid mpirun >/dev/null; mpirun=$(pgrep -P $pid mpirun); "

/* A task that has started ends when "go" is there; another one comes after it. */
#define UNTIL_LET_GO                                                                               \
    "touch started; while [ ! -e go ]; do sleep 0.01; done; touch ended\ntouch second\n"

Test(supervising, the_exit_status_is_that_of_the_run)
{
    t_write("good.txt", "echo a\necho b\n");
    t_write("bad.txt", "echo c\nfalse\n");
    struct t_result good = t_sh("mpifarm run --np 2 -j 2 good.txt");
    struct t_result bad = t_sh("mpifarm run --np 2 -j 2 --run-dir other bad.txt");
    struct t_result none = t_sh("mpifarm run --np 2 -j 2 --run-dir third missing.txt");

    cr_assert(eq(int, good.status, 0), "%s", good.err);
    cr_assert(eq(int, t_count_lines(good.out, ""), 2));
    cr_assert(eq(int, bad.status, 1), "%s", bad.err);
    cr_assert(eq(int, none.status, 2), "%s", none.err);
    cr_assert(t_has(none.err, "missing.txt: cannot be opened"), "%s", none.err);
    cr_assert(eq(str, t_sh("ls -A").out, "bad.txt\ngood.txt\nmpifarm-run\nother\n"),
              "nothing else is left");
}

Test(supervising, whoever_ignores_the_ends_of_children_does_not_make_it_hang)
{
    t_write("good.txt", "echo one\n");
    struct t_result result =
        t_sh("timeout 60 env --ignore-signal=CHLD mpifarm run --np 1 good.txt");

    cr_assert(eq(int, result.status, 0), "%s", result.err);
    cr_assert(eq(str, result.out, "one\n"));
}

Test(supervising, a_rank_that_has_another_directory_than_the_supervisor_begins_nothing)
{
    t_write("good.txt", "touch ran\n");
    struct t_result result = t_sh("SLURMD_NODENAME=n1 MPIFARM_SUPERVISED=$PWD/no/file "
                                  "mpifarm run --run-dir here good.txt; ls");

    cr_assert(t_has(result.err, "here: on node n1 the directory that it is in is not the one "
                                "where this was called"),
              "%s", result.err);
    cr_assert(eq(str, result.out, "good.txt\n"));
}

Test(supervising, closed_output_is_told_before_anything_starts)
{
    t_write("good.txt", "touch ran\n");
    struct t_result result = t_sh("mpifarm run --np 2 good.txt >&-");

    cr_assert(eq(int, result.status, 2));
    cr_assert(t_has(result.err, "standard output is closed"), "%s", result.err);
    cr_assert(eq(str, t_sh("ls").out, "good.txt\n"));
}

Test(supervising, an_mpirun_that_hangs_before_the_run_begins_is_ended_by_signals)
{
    t_write("mpirun",
            "#!/bin/sh\ntrap '' USR1 USR2 TERM; touch started; while :; do sleep 0.1; done\n");
    t_write("tasks.txt", "true\n");
    struct t_result result =
        t_sh("chmod +x mpirun; PATH=$PWD:$PATH; mpifarm run --np 2 tasks.txt & pid=$!; "
             "await test -e started; while is_alive $pid; do kill $pid; sleep 0.1; done; "
             "wait $pid; echo $?; ls -A");

    cr_assert(eq(str, result.out, "3\nmpirun\nstarted\ntasks.txt\n"), "%s", result.err);
    cr_assert(t_has(result.err, "mpirun ended before the run began"), "%s", result.err);
}

Test(supervising, one_that_hangs_although_it_was_told_to_end_is_killed)
{
    t_write("mpirun", "#!/bin/sh\ntrap '' USR1 USR2 TERM; touch started; "
                      "while :; do sleep 0.1; done\n");
    t_write("tasks.txt", "true\n");
    struct t_result result =
        t_sh("chmod +x mpirun; PATH=$PWD:$PATH; mpifarm run --np 2 tasks.txt & pid=$!; "
             "await test -e started; kill $pid; wait $pid; echo $?");

    cr_assert(eq(str, result.out, "3\n"), "%s", result.err);
}

Test(supervising, a_start_that_fails_is_tried_once_more_and_is_no_mistake_of_the_user)
{
    t_write("mpirun", "#!/bin/sh\n[ -e failed.$FAIL ] || { echo >> failed; "
                      "mv failed failed.$(wc -l < failed | tr -d ' '); exit 1; }\n"
                      "PATH=${PATH#*:}; exec mpirun \"$@\"\n");
    t_write("tasks.txt", "echo ran\n");
    struct t_result result =
        t_sh("chmod +x mpirun; PATH=$PWD:$PATH; FAIL=1 mpifarm run -q --np 2 tasks.txt; echo $?; "
             "FAIL=no mpifarm run -q --np 2 --run-dir other tasks.txt; echo $?; "
             "echo echo in | FAIL=no mpifarm run -q --np 2 --run-dir third - 2>&1 | "
             "grep -c again");

    cr_assert(eq(str, result.out, "ran\n0\n3\n0\n"), "%s", result.err);
    cr_assert(t_has(result.err, "mpirun ended before the run began: it is tried again\n"), "%s",
              result.err);
    cr_assert(t_has(result.err, "mpirun ended before the run began again; nothing was started\n"),
              "%s", result.err);
}

Test(supervising, ranks_that_hang_as_they_start_are_ended_and_started_once_more)
{
    t_write("mpirun", "#!/bin/sh\n[ -e hung ] || { touch hung; exec sleep 1000; }\n"
                      "PATH=${PATH#*:}; exec mpirun \"$@\"\n");
    t_write("tasks.txt", "echo ran\n");
    struct t_result result = t_sh("chmod +x mpirun; PATH=$PWD:$PATH; "
                                  "mpifarm run -q --np 2 --start-timeout 1s tasks.txt");

    cr_assert(eq(str, result.out, "ran\n"), "%s", result.err);
    cr_assert(t_has(result.err, "mpirun hung before the run began: it is tried again\n"), "%s",
              result.err);
}

Test(supervising, standard_input_goes_to_the_run)
{
    struct t_result result = t_sh("{ echo echo one; sleep 0.2; echo echo two; } | "
                                  "mpifarm run --np 2 -q - | sort");

    cr_assert(eq(str, result.out, "one\ntwo\n"), "%s", result.err);
}

Test(supervising, input_that_the_run_does_not_read_is_left_to_others)
{
    t_write("tasks.txt", "echo task\n");
    struct t_result result =
        t_sh("{ echo one; echo two; } | { mpifarm run --np 1 -q tasks.txt; cat; }");

    cr_assert(eq(str, result.out, "task\none\ntwo\n"), "%s", result.err);
}

Test(supervising, a_pipe_among_the_files_is_read_by_the_run)
{
    struct t_result result = t_sh("bash -c 'mpifarm run --np 1 -q <(echo echo one)'; "
                                  "bash -c 'mpifarm run --np 1 -q <(echo echo one) - '; echo $?");

    cr_assert(eq(str, result.out, "one\n2\n"), "%s", result.err);
    cr_assert(t_has(result.err, "of several pipes ranks can read one"), "%s", result.err);
}

/* Of the terminal of this process; that which t_sh() starts is in its background. */
static void run_in_background(void)
{
    struct t_result result = t_sh("mpifarm run --np 2 -q tasks.txt < /dev/tty; echo $?");

    t_write("told.part", "%s%s", result.out, result.err);
    _exit(rename("told.part", "told") == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
}

Test(supervising, a_job_in_the_background_of_a_terminal_runs_on)
{
    int terminal;
    pid_t pid;

    t_write("tasks.txt", "echo one\n");
    pid = forkpty(&terminal, NULL, NULL, NULL);
    cr_assert(ge(int, pid, 0));
    if (pid == 0)
        run_in_background();
    t_await_file("told");
    cr_assert(eq(str, t_read("told"), "one\n0\n"));
    close(terminal);
    waitpid(pid, NULL, 0);
}

Test(supervising, map_takes_it_too)
{
    struct t_result result = t_sh("mpifarm map --np 2 -q -k echo ::: a b c");

    cr_assert(eq(int, result.status, 0), "%s", result.err);
    cr_assert(eq(str, result.out, "a\nb\nc\n"));
}

Test(supervising, all_output_comes_however_slowly_it_is_read)
{
    t_write("tasks.txt", "seq 200000\n");
    struct t_result result = t_sh("mpifarm run --np 2 -q tasks.txt | { sleep 7; sha1sum; }; "
                                  "seq 200000 | sha1sum");
    const char *second = strchr(result.out, '\n') + 1;

    cr_assert(eq(int, strncmp(result.out, second, 40), 0), "%s", result.out);
}

/* More than a pipe holds. */
Test(supervising, a_signal_ends_it_while_it_waits_for_a_reader)
{
    t_write("tasks.txt", "seq 16000; touch ended\n");
    struct t_result result =
        t_sh("mkfifo pipe; mpifarm run --np 2 -q tasks.txt > pipe 2>err & pid=$!; exec 9< pipe; "
             "await test -e ended; while is_alive $pid; do kill $pid; sleep 0.05; done; "
             "wait $pid; echo $?; exec 9<&-; "
             "mpifarm run --np 2 -q --resume tasks.txt | cksum; seq 16000 | cksum");
    const char *second = strchr(result.out + 2, '\n') + 1;

    cr_assert(eq(int, strncmp(result.out, "3\n", 2), 0), "%s%s", result.out, t_read("err"));
    cr_assert(eq(int, strncmp(result.out + 2, second, strlen(second)), 0), "%s", result.out);
}

Test(supervising, what_cannot_be_printed_stops_the_run)
{
    t_write("tasks.txt", "touch first; echo a\nuntil [ -e ended ]; do sleep 0.01; done; echo b\n");
    struct t_result result =
        t_sh("mpifarm run --np 2 -q tasks.txt >/dev/full 2>err & pid=$!; "
             "await grep -q 'No space left on device' err; touch ended; wait $pid; echo $?; "
             "mpifarm run --np 2 -q --resume -k tasks.txt; "
             "rm -r mpifarm-run ended first; mkfifo pipe; "
             "mpifarm run --np 2 -q tasks.txt >pipe 2>>err & pid=$!; exec 9< pipe; "
             "await test -e first; exec 9<&-; await grep -q 'its reader is gone' err; "
             "touch ended; wait $pid; echo $?");

    cr_assert(eq(str, result.out, "3\na\nb\n3\n"), "%s%s", result.out, t_read("err"));
}

/* As one whose rank 0 is on another node, and prints by way of it. */
Test(supervising, what_came_by_way_of_mpirun_and_cannot_be_printed_stops_the_run)
{
    t_write("mpirun", "#!/bin/sh\necho begun 0 - 0 0 1 node > $MPIFARM_SUPERVISED\n"
                      "trap 'echo ended 0 0 > $MPIFARM_SUPERVISED; exit' USR2\n"
                      "echo output; while :; do sleep 0.01; done\n");
    t_write("tasks.txt", "true\n");
    struct t_result result =
        t_sh("chmod +x mpirun; PATH=$PWD:$PATH; mpifarm run --np 2 tasks.txt >/dev/full");

    cr_assert(eq(int, result.status, 3), "%s", result.err);
    cr_assert(t_has(result.err, "standard output cannot be written: No space left on device: "),
              "%s", result.err);
}

Test(supervising, when_the_supervisor_is_killed_no_output_is_lost)
{
    t_write("tasks.txt", "touch started; trap '' TERM; sleep 0.5; echo a\necho b\necho c\n");
    struct t_result result =
        t_sh("mpifarm run --np 2 -j 1 -q tasks.txt >out 2>err & pid=$!; "
             "await test -e started; kill -9 $pid; "
             "while mpifarm run --np 2 -q --resume tasks.txt >>out 2>err; s=$?; [ $s = 2 ]; do "
             "sleep 0.05; done; echo $s; sort out");

    cr_assert(eq(str, result.out, "0\na\nb\nc\n"), "%s%s", result.out, t_read("err"));
}

Test(supervising, a_killed_rank_changes_nothing)
{
    t_write("tasks.txt", "touch started; sleep 1; echo a\nsleep 1; echo b\nsleep 1; echo c\n");
    struct t_result result =
        t_sh("mpifarm run --np 3 -j 2 tasks.txt 2>err & pid=$!; " FIND_MPIRUN
             "await test -e started; kill -9 $(rank_of $mpirun 1); wait $pid; echo $?");

    cr_assert(eq(int, t_count_lines(result.out, ""), 4), "%s", result.out);
    cr_assert(t_has(result.out, "\n0\n"), "%s", t_read("err"));
    cr_assert(not(t_has(t_read("err"), "PMIX")), "%s", t_read("err"));
}

Test(supervising, a_killed_scheduler_is_told_as_such)
{
    t_write("tasks.txt", "touch started; sleep 300\n");
    struct t_result result =
        t_sh("mpifarm run --np 2 tasks.txt 2>err & pid=$!; " FIND_MPIRUN
             "await test -e started; kill -9 $(rank_of $mpirun 0); wait $pid; echo $?; ls -A");

    cr_assert(eq(str, result.out, "3\nerr\nmpifarm-run\nstarted\ntasks.txt\n"), "%s",
              t_read("err"));
    cr_assert(t_has(t_read("err"), "--resume continues"), "%s", t_read("err"));
}

/* With an mpirun that does not end by itself. */
Test(supervising, a_run_whose_scheduler_was_killed_ends_although_mpirun_hangs)
{
    t_write("mpirun", "#!/bin/sh\n$MPIRUN \"$@\"\nsleep 1000\n");
    t_write("tasks.txt", "touch started; sleep 300\n");
    struct t_result result =
        t_sh("chmod +x mpirun; export MPIRUN=$(command -v mpirun); PATH=$PWD:$PATH; "
             "mpifarm run --np 2 tasks.txt 2>err & pid=$!; await test -e started; "
             "await pgrep -P $pid mpirun >/dev/null; wrapper=$(pgrep -P $pid mpirun); "
             "kill -9 $(rank_of $(pgrep -P $wrapper mpirun) 0); wait $pid; echo $?");

    cr_assert(eq(str, result.out, "3\n"), "%s", t_read("err"));
    cr_assert(t_has(t_read("err"), "--resume continues"), "%s", t_read("err"));
}

/* An mpirun that is stopped does not reap it. */
Test(supervising, a_scheduler_that_is_dead_and_not_reaped_is_seen_to_be_dead)
{
    t_write("tasks.txt", "touch started; sleep 300\n");
    struct t_result result =
        t_sh("mpifarm run --np 2 tasks.txt 2>err & pid=$!; " FIND_MPIRUN
             "await test -e started; kill -STOP $mpirun; kill -9 $(rank_of $mpirun 0); "
             "wait $pid; echo $?");

    cr_assert(eq(str, result.out, "3\n"), "%s", t_read("err"));
}

Test(supervising, a_killed_mpirun_takes_everything_with_it)
{
    t_write("tasks.txt", "sleep 300 & echo $! > pid; touch started; wait\n");
    struct t_result result = t_sh("mpifarm run --np 2 tasks.txt 2>err & pid=$!; " FIND_MPIRUN
                                  "await test -e started; kill -9 $mpirun; wait $pid; echo $?; "
                                  "while is_alive $(cat pid); do sleep 0.01; done");

    cr_assert(eq(int, result.status, 0), "it lives on");
    cr_assert(eq(str, result.out, "3\n"), "%s", t_read("err"));
}

/* Each of its runs begins, and breaks off. */
#define BREAKING "#!/bin/sh\necho x >> started\necho begun 0 - 0 0 1 node > $MPIFARM_SUPERVISED\n"

Test(supervising, with_a_standby_a_run_that_always_breaks_off_is_given_up)
{
    t_write("mpirun", BREAKING);
    t_write("tasks.txt", "true\n");
    struct t_result result =
        t_sh("chmod +x mpirun; PATH=$PWD:$PATH; mpifarm run --np 2 --standby tasks.txt");

    cr_assert(eq(int, result.status, 3), "%s", result.err);
    cr_assert(eq(str, t_read("started"), "x\nx\nx\nx\n"));
    cr_assert(eq(int, t_count_lines(result.err, "mpifarm: the scheduler ended in the middle"), 4),
              "%s", result.err);
    cr_assert(t_has(result.err, "--resume continues"), "%s", result.err);
}

/* Breaks off, cannot start the ranks that are to go on, and then does. */
#define BREAKING_AND_FAILING                                                                       \
    "#!/bin/sh\necho x >> started\ncase $(wc -l < started) in\n"                                   \
    "1) echo begun 0 - 0 0 1 node > $MPIFARM_SUPERVISED ;;\n"                                      \
    "2) exit 1 ;;\n"                                                                               \
    "*) cat $MPIFARM_SUPERVISED; echo ended 0 0 > $MPIFARM_SUPERVISED ;;\nesac\n"

Test(supervising, new_ranks_that_cannot_be_started_are_started_once_more)
{
    t_write("mpirun", BREAKING_AND_FAILING);
    t_write("tasks.txt", "true\n");
    struct t_result result =
        t_sh("chmod +x mpirun; PATH=$PWD:$PATH; mpifarm run --np 2 --standby tasks.txt");

    cr_assert(eq(str, result.out, "again 0\n"), "%s", result.err);
    cr_assert(eq(int, result.status, 0), "%s", result.err);
    cr_assert(t_has(result.err, "mpirun ended before the run went on: it is tried again\n"), "%s",
              result.err);
}

/* Holds the lock of the run directory until there is a file "free". */
#define HOLD                                                                                       \
    "import fcntl, os, time\n"                                                                     \
    "file = open('mpifarm-run/lock', 'w')\n"                                                       \
    "fcntl.lockf(file, fcntl.LOCK_EX)\n"                                                           \
    "open('held', 'w')\n"                                                                          \
    "while not os.path.exists('free'): time.sleep(0.01)\n"

/* The first of its runs breaks off; the next one says whether it found the lock and the first one's
 * file gone. */
#define BREAKING_ONCE                                                                              \
    "#!/bin/sh\n"                                                                                  \
    "if [ ! -e first ]; then echo $MPIFARM_SUPERVISED > first\n"                                   \
    "    echo begun 0 - 0 0 1 node > $MPIFARM_SUPERVISED; exit\n"                                  \
    "fi\n"                                                                                         \
    "[ -e free ] && echo free\n"                                                                   \
    "[ -e $(cat first) ] || echo another file\n"                                                   \
    "cat $MPIFARM_SUPERVISED; echo ended 0 0 > $MPIFARM_SUPERVISED\n"

Test(supervising, others_begin_once_those_before_have_let_the_run_directory_go)
{
    t_write("mpirun", BREAKING_ONCE);
    t_write("hold.py", HOLD);
    t_write("tasks.txt", "true\n");
    struct t_result result =
        t_sh("chmod +x mpirun; PATH=$PWD:$PATH; mkdir mpifarm-run; python3 hold.py & "
             "await test -e held; mpifarm run --np 2 --standby tasks.txt 2>err & pid=$!; "
             "await grep -q 'new ranks go on' err; sleep 2.5; touch free; wait $pid; echo $?");

    cr_assert(eq(str, result.out, "free\nanother file\nagain 0\n0\n"), "%s%s", result.out,
              t_read("err"));
}

/* With fewer than the pipes need. */
Test(supervising, a_process_that_may_not_have_enough_files_open_is_no_mistake_of_the_user)
{
    t_write("tasks.txt", "true\n");
    struct t_result result = t_sh("ulimit -n 5; mpifarm run --np 2 tasks.txt");

    cr_assert(eq(int, result.status, 3), "%s", result.err);
    cr_assert(t_has(result.err, "mpirun cannot be started: Too many open files"), "%s", result.err);
}

Test(supervising, a_run_that_breaks_off_does_not_go_on_against_the_will_of_the_user)
{
    t_write("mpirun", BREAKING);
    t_write("tasks.txt", "true\n");
    struct t_result result =
        t_sh("chmod +x mpirun; PATH=$PWD:$PATH; mpifarm run --np 2 --standby tasks.txt 2>err & "
             "pid=$!; await grep -q 'new ranks go on' err; kill $pid; wait $pid; echo $?");

    cr_assert(eq(str, result.out, "3\n"), "%s", t_read("err"));
    cr_assert(lt(int, t_count_lines(t_read("started"), "x"), 4));
}

Test(supervising, a_killed_supervisor_takes_everything_with_it)
{
    t_write("tasks.txt", "sleep 300 & echo $! > pid; touch started; wait\n");
    struct t_result result =
        t_sh("mpifarm run --np 2 tasks.txt 2>err & pid=$!; " FIND_MPIRUN
             "await test -e started; kill -9 $pid; while is_alive $(cat pid); do sleep 0.01; done; "
             "while is_alive $mpirun; do sleep 0.01; done");

    cr_assert(eq(int, result.status, 0), "it lives on");
}

Test(supervising, the_first_signal_lets_tasks_end_and_the_second_ends_them)
{
    t_write("tasks.txt", UNTIL_LET_GO);
    struct t_result result = t_sh("mpifarm run --np 2 -j 1 tasks.txt 2>err & pid=$!; "
                                  "await test -e started; kill $pid; "
                                  "await grep -q 'stopped by signal 15' err; touch go; "
                                  "wait $pid; echo $?; ls ended second 2>/dev/null");
    cr_assert(eq(str, result.out, "3\nended\n"), "%s", t_read("err"));

    t_write("tasks.txt", "touch again; sleep 300\n");
    result =
        t_sh("mpifarm run --np 2 --force tasks.txt 2>err & pid=$!; await test -e again; "
             "kill -HUP $pid; await grep -q 'stopped by signal 1 (Hangup)' err; kill -HUP $pid; "
             "wait $pid; echo $?");
    cr_assert(eq(str, result.out, "3\n"), "%s", t_read("err"));
}

Test(supervising, where_mpirun_runs_already_np_is_refused)
{
    t_write("tasks.txt", "true\n");
    struct t_result result = t_sh("%s run --np 2 tasks.txt", t_mpifarm(2));

    cr_assert(ne(int, result.status, 0));
    cr_assert(t_has(result.err, "--np starts mpirun, which has started this already"), "%s",
              result.err);
}

Test(supervising, under_an_mpirun_that_ends_everything_that_is_said)
{
    t_write("tasks.txt", "true\n");
    struct t_result said = t_sh("%s run tasks.txt", t_mpifarm(2));
    struct t_result unsaid = t_sh("%s run --force tasks.txt", t_mpifarm_surviving(2));

    cr_assert(eq(int, said.status, 0), "%s", said.err);
    cr_assert(t_has(said.err, "mpifarm run --np N"), "%s", said.err);
    cr_assert(not(t_has(unsaid.err, "--np N")), "%s", unsaid.err);
}
