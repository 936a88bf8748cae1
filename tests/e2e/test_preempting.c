/*
 * Policies that preempt: commands that wait for each other on too few slots, so
 * that a run without preemption would never end.
 */
#include "support/shell.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

TestSuite(preempting, .init = t_enter_dir, .fini = t_leave_dir);

/* Each task ends once all three have begun. */
static void write_three_that_meet(void)
{
    t_write("tasks", "touch a; until [ -e b ] && [ -e c ]; do sleep 0.01; done; echo a\n"
                     "touch b; until [ -e a ] && [ -e c ]; do sleep 0.01; done; echo b\n"
                     "touch c; until [ -e a ] && [ -e b ]; do sleep 0.01; done; echo c\n");
}

Test(preempting, under_rr_all_tasks_make_progress_on_one_slot)
{
    struct t_result result;

    write_three_that_meet();
    result = t_sh("mpifarm run -q -k -j 1 --policy rr --quantum 20ms tasks");
    cr_assert(eq(int, result.status, 0), "%s", result.err);
    cr_assert(eq(str, result.out, "a\nb\nc\n"), "%s", result.err);
}

Test(preempting, so_they_do_over_mpi)
{
    struct t_result result;

    write_three_that_meet();
    result = t_sh("%s run -q -k -j 1 --policy rr --quantum 20ms tasks", t_mpifarm(2));
    cr_assert(eq(int, result.status, 0), "%s", result.err);
    cr_assert(eq(str, result.out, "a\nb\nc\n"), "%s", result.err);
}

/*
 * Two slots, of which the long task has one. Two tasks follow the end of another
 * one: the first waits for the second, which has no slot but that of the long task.
 */
static void write_long_and_short(const char *how_long, const char *second)
{
    t_write("tasks",
            "[id=first time=1] until [ -e long ]; do sleep 0.01; done\n"
            "[id=long time=1h%s] touch long; until [ -e second ]; do sleep 0.01; done; echo long\n"
            "[after=first time=2] until [ -e second ]; do sleep 0.01; done; echo waiting\n"
            "[after=first time=3] %stouch second; echo second\n",
            how_long, second);
}

Test(preempting, under_srtf_a_short_task_runs_before_a_long_one_has_ended)
{
    struct t_result result;

    write_long_and_short("", "");
    result = t_sh("mpifarm run -q -k -j 2 --policy srtf tasks");
    cr_assert(eq(int, result.status, 0), "%s", result.err);
    cr_assert(eq(str, result.out, "long\nwaiting\nsecond\n"), "%s", result.err);
}

Test(preempting, a_time_limit_is_one_of_the_time_that_a_task_runs)
{
    struct t_result result;

    write_long_and_short(" timeout=5", "sleep 6; ");
    result = t_sh("mpifarm run -q -k -j 2 --policy srtf tasks");
    cr_assert(eq(int, result.status, 0), "%s", result.err);
    cr_assert(eq(str, result.out, "long\nwaiting\nsecond\n"), "%s", result.err);
    /* So is the run time that is told: of at least 6 s it ran less than 5. */
    result = t_sh("awk -F'\\t' '$1 == 2 { exit !($4 < 5) }' mpifarm-run/joblog.tsv");
    cr_assert(eq(int, result.status, 0), "%s", t_read("mpifarm-run/joblog.tsv"));
}

/* Two tasks that go on until told, of which one is suspended at any time; a third never begins. */
#define START_ENDLESS                                                                              \
    "for i in 1 2 3; do echo \"echo \\$\\$ > p$i; until [ -e go ]; do sleep 0.01; done\"; done > " \
    "tasks; mpifarm run -j 1 --policy rr --quantum 20ms --max-suspended 1 tasks 2> err & pid=$!; " \
    "until [ -s p1 ] && [ -s p2 ]; do sleep 0.01; done; "
#define STOP "kill $pid; until grep -q 'stopped by' err; do sleep 0.01; done; "
#define STOP_AGAIN "kill $pid; until grep -q 'stopped again' err; do sleep 0.01; done; "
#define AWAIT_GONE                                                                                 \
    "for p in p1 p2; do for i in $(seq 1000); do kill -0 $(cat $p) 2>/dev/null || break; sleep "   \
    "0.01; done; kill -0 $(cat $p) 2>/dev/null && echo alive; done; "

Test(preempting, a_killed_rank_leaves_no_stopped_process_behind)
{
    struct t_result result = t_sh(START_ENDLESS "kill -9 $pid; " AWAIT_GONE);

    cr_assert(eq(str, result.out, ""), "%s", t_read("err"));
}

Test(preempting, the_second_signal_ends_suspended_tasks_too_and_resume_goes_on)
{
    struct t_result result = t_sh(START_ENDLESS STOP STOP_AGAIN
                                  "wait $pid; echo $?; " AWAIT_GONE
                                  "touch go; mpifarm run -q --resume tasks; echo $?; test -s p3");

    cr_assert(eq(str, result.out, "3\n0\n"), "%s", t_read("err"));
    cr_assert(eq(int, result.status, 0));
}

Test(preempting, the_first_signal_lets_suspended_tasks_come_to_their_end)
{
    struct t_result result = t_sh(START_ENDLESS STOP "touch go; wait $pid; echo $?; test ! -e p3");

    cr_assert(eq(str, result.out, "3\n"), "%s", t_read("err"));
    cr_assert(eq(int, result.status, 0), "the third task began");
    cr_assert(t_has(t_read("err"), "2 done"), "%s", t_read("err"));
}

/* The status is written each second: until it names one of the two. */
Test(preempting, explain_tells_since_when_a_task_is_suspended)
{
    struct t_result result;

    t_write("tasks", "[id=a] touch a; until [ -e go ]; do sleep 0.01; done\n"
                     "[id=b] touch b; until [ -e go ]; do sleep 0.01; done\n");
    result = t_sh("mpifarm run -q -j 1 --policy rr --quantum 20ms tasks & pid=$!; "
                  "until [ -e a ] && [ -e b ]; do sleep 0.01; done; "
                  "until mpifarm explain mpifarm-run a | grep ': suspended since 2'; do "
                  "sleep 0.1; done; touch go; wait $pid");
    cr_assert(eq(int, result.status, 0), "%s", result.err);
    cr_assert(t_has(result.out, ", while others have its slots\n"), "%s", result.out);
}

Test(preempting, the_summary_tells_the_time_that_went_by)
{
    struct t_result result;

    /* They sleep while they are stopped, too, so that each runs for a part of it only. */
    t_write("tasks", "sleep 0.6\nsleep 0.6\nsleep 0.6\n");
    result = t_sh("mpifarm run -j 1 --policy rr --quantum 50ms tasks 2>&1 | "
                  "sed -n 's/.* done in \\([0-9]*\\)\\(.* ms\\|.* s\\):.*/\\1\\2/p' | "
                  "awk '{ms = $2 ~ /^ms$/ ? $1 : 1000 * $1; ok = (ms >= 600); print ok}'");
    cr_assert(eq(str, result.out, "1\n"), "%s", result.err);
}

Test(preempting, options_that_make_no_sense_are_refused)
{
    static const char *const wrong[][2] = {
        {"--policy rr --quantum 0", "--quantum: 0 is too short"},
        {"--policy rr --quantum 10us", "--quantum: 10us is too short"},
        {"--policy rr --quantum soon", "--quantum: "},
        {"--policy srtf --quantum 1s", "--quantum is about turns, and needs --policy rr"},
        {"--quantum 1s", "--quantum is about turns, and needs --policy rr"},
        {"--policy rr --max-suspended 0", "--max-suspended: "},
        {"--policy sjf --max-suspended 3", "needs --policy rr or srtf"},
    };

    t_write("tasks", "[time=1] touch began\n");
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct t_result result = t_sh("mpifarm run %s tasks", wrong[i][0]);

        cr_assert(eq(int, result.status, 2), "%s", wrong[i][0]);
        cr_assert(t_has(result.err, wrong[i][1]), "%s", result.err);
        result = t_sh("mpifarm simulate --workers 1x1 %s tasks",
                      i == 4 ? "--policy fifo --quantum 1s" : wrong[i][0]);
        cr_assert(eq(int, result.status, 2), "%s", wrong[i][0]);
        cr_assert(t_has(result.err, wrong[i][1]), "%s", result.err);
    }
    cr_assert(eq(int, t_sh("test ! -e began").status, 0));
}

/* --- functions, which yield at their checkpoints --- */

static void write_three_functions_that_meet(void)
{
    t_write("tasks", "[func=t_meet] a b c\n[func=t_meet] b a c\n[func=t_meet] c a b\n");
}

#define RUN_MODULE "run -q -k --module \"$T_MODULE\" "

Test(preempting, under_rr_functions_that_save_make_progress_on_one_slot)
{
    struct t_result result;

    write_three_functions_that_meet();
    result = t_sh("mpifarm " RUN_MODULE "-j 1 --policy rr --quantum 20ms tasks");
    cr_assert(eq(int, result.status, 0), "%s", result.err);
    cr_assert(eq(str, result.out, "a\nb\nc\n"), "%s", result.err);
    /* Each has had a process of its own, and the one where it began. */
    cr_assert(eq(int, t_sh("test $(cat a b c | sort -u | wc -l) = 3").status, 0));
}

Test(preempting, so_functions_do_over_mpi)
{
    struct t_result result;

    write_three_functions_that_meet();
    result = t_sh("%s " RUN_MODULE "-j 1 --policy rr --quantum 20ms tasks", t_mpifarm(2));
    cr_assert(eq(int, result.status, 0), "%s", result.err);
    cr_assert(eq(str, result.out, "a\nb\nc\n"), "%s", result.err);
}

Test(preempting, so_functions_and_commands_do_beside_each_other)
{
    struct t_result result;

    t_write("tasks", "[func=t_meet] a b c\n"
                     "touch b; until [ -e a ] && [ -e c ]; do sleep 0.01; done; echo b\n"
                     "[func=t_meet] c a b\n");
    result = t_sh("mpifarm " RUN_MODULE "-j 1 --policy rr --quantum 20ms tasks");
    cr_assert(eq(int, result.status, 0), "%s", result.err);
    cr_assert(eq(str, result.out, "a\nb\nc\n"), "%s", result.err);
}

Test(preempting, under_srtf_a_short_function_takes_a_slot_at_a_checkpoint_of_a_long_one)
{
    struct t_result result;

    /* The long one waits for the last, which begins when the first has ended. */
    t_write("tasks", "[id=first time=1] until [ -e long ]; do sleep 0.01; done\n"
                     "[func=t_meet time=1h] long second\n"
                     "[after=first time=2] until [ -e second ]; do sleep 0.01; done; echo waiting\n"
                     "[func=t_meet after=first time=3] second\n");
    result = t_sh("mpifarm " RUN_MODULE "-j 2 --policy srtf tasks");
    cr_assert(eq(int, result.status, 0), "%s", result.err);
    cr_assert(eq(str, result.out, "long\nwaiting\nsecond\n"), "%s", result.err);
}

/* Under timeout=5 others have the slot for 6 s. */
Test(preempting, a_time_limit_of_a_function_is_one_of_the_time_that_it_runs)
{
    struct t_result result;

    t_write("tasks", "[id=first time=1] until [ -e long ]; do sleep 0.01; done\n"
                     "[func=t_meet time=1h timeout=5] long second\n"
                     "[after=first time=2] until [ -e second ]; do sleep 0.01; done\n"
                     "[after=first time=3] sleep 6; touch second\n");
    result = t_sh("mpifarm " RUN_MODULE "-j 2 --policy srtf tasks");
    cr_assert(eq(int, result.status, 0), "%s", result.err);
    result = t_sh("awk -F'\\t' '$1 == 2 { exit !($4 < 5) }' mpifarm-run/joblog.tsv");
    cr_assert(eq(int, result.status, 0), "%s", t_read("mpifarm-run/joblog.tsv"));
}

Test(preempting, one_that_comes_to_no_checkpoint_keeps_its_slot)
{
    struct t_result result;

    t_write("tasks", "[func=t_sleep] 300\n[func=t_touch] 2\n");
    result = t_sh("mpifarm " RUN_MODULE "-j 1 --policy rr --quantum 20ms tasks; "
                  "awk -F'\\t' 'NR > 1 { print $1 }' mpifarm-run/joblog.tsv");
    cr_assert(eq(int, result.status, 0), "%s", result.err);
    cr_assert(eq(str, result.out, "1\n2\n"), "%s", result.err);
}

/* Two functions that never meet, one of them suspended at any time. */
#define START_FUNCTIONS                                                                            \
    "printf '[func=t_meet] p1 go\n[func=t_meet] p2 go\n[func=t_meet] p3 go\n' > tasks; "           \
    "mpifarm run --module \"$T_MODULE\" -j 1 --policy rr --quantum 20ms --max-suspended 1 tasks "  \
    "2> err & pid=$!; until [ -s p1 ] && [ -s p2 ]; do sleep 0.01; done; "

Test(preempting, a_killed_rank_leaves_no_function_behind)
{
    struct t_result result = t_sh(START_FUNCTIONS "kill -9 $pid; " AWAIT_GONE);

    cr_assert(eq(str, result.out, ""), "%s", t_read("err"));
}

Test(preempting, signals_end_functions_that_are_suspended_too)
{
    struct t_result result = t_sh(START_FUNCTIONS STOP STOP_AGAIN
                                  "wait $pid; echo $?; " AWAIT_GONE "touch go; mpifarm " RUN_MODULE
                                  "--resume tasks; echo $?; test -s p3");

    cr_assert(eq(str, result.out, "3\np1\np2\np3\n0\n"), "%s%s", result.out, t_read("err"));
    cr_assert(eq(int, result.status, 0));
}

Test(preempting, functions_that_are_suspended_can_be_cancelled)
{
    struct t_result result =
        t_sh(START_FUNCTIONS "for i in 1 2; do mpifarm cancel mpifarm-run $i > cancelled; done; "
                             "until [ -e p3 ]; do sleep 0.01; done; touch go; wait $pid; echo $?; "
                             "cut -f1,7 mpifarm-run/joblog.tsv | sort -n | tail -3");

    cr_assert(eq(str, result.out, "p3\n3\n1\t-1\n2\t-1\n3\t0\n"), "%s", t_read("err"));
}

Test(preempting, explain_tells_since_when_a_function_is_suspended)
{
    struct t_result result;

    t_write("tasks", "[id=a func=t_meet] a go\n[id=b func=t_meet] b go\n");
    result = t_sh("mpifarm " RUN_MODULE "-j 1 --policy rr --quantum 20ms tasks & pid=$!; "
                  "until [ -e a ] && [ -e b ]; do sleep 0.01; done; "
                  "until mpifarm explain mpifarm-run a | grep ': suspended since 2'; do "
                  "sleep 0.1; done; touch go; wait $pid");
    cr_assert(eq(int, result.status, 0), "%s", result.err);
    cr_assert(t_has(result.out, ", while others have its slots\n"), "%s", result.out);
}

Test(preempting, without_isolation_functions_run_on_and_that_is_said)
{
    struct t_result result;

    t_write("tasks", "touch a; until [ -e b ]; do sleep 0.01; done; echo a\n"
                     "[func=t_echo] hello\n"
                     "touch b; echo b\n");
    result = t_sh("mpifarm run -k -j 1 --policy rr --quantum 20ms --module \"$T_MODULE\" "
                  "--no-isolation tasks");
    cr_assert(eq(int, result.status, 0), "%s", result.err);
    cr_assert(t_has(result.err, "with --no-isolation functions run on to their end"), "%s",
              result.err);
}

Test(preempting, simulate_lets_functions_yield_too)
{
    struct t_result result;

    t_write("tasks", "[func=t_meet time=3] a b\n[func=t_meet time=3] b a\n");
    result =
        t_sh("mpifarm simulate --module \"$T_MODULE\" --workers 1x1 --policy rr --quantum 100ms "
             "--trace trace tasks > table; awk '$1 == 2 { print $5 }' trace");
    cr_assert(eq(int, result.status, 0), "%s", result.err);
    /* A quantum after the farm has heard that the first one runs. */
    cr_assert(eq(str, result.out, "0.120000000\n"), "%s%s", result.err, t_read("trace"));
}
