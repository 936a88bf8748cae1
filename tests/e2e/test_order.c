/* Dependencies across runs, countables, policies, and what is learned of run times. */
#include "support/shell.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>
#include <unistd.h>

TestSuite(order, .init = t_enter_dir, .fini = t_leave_dir);

static void expect(const struct t_result *result, int status, const char *out)
{
    cr_assert(eq(int, result->status, status), "%s%s", result->out, result->err);
    cr_assert(eq(str, result->out, (char *)out), "%s", result->err);
}

Test(order, the_summary_counts_what_is_skipped)
{
    struct t_result result;

    t_write("tasks", "[id=bad] false\n[after=bad] echo a\n[after=2] echo b\n");
    result = t_sh("mpifarm run tasks");
    expect(&result, 1, "");
    cr_assert(t_has(result.err, "0 done, 1 failed, 2 skipped"), "%s", result.err);
}

Test(order, the_summary_names_what_led_to_skipped_tasks)
{
    struct t_result result;

    t_write("tasks", "[id=bad] false\n[after=bad] echo a\n[after=2] echo b\n[id=c cores=9999] c\n");
    result = t_sh("cat tasks | mpifarm run -");
    expect(&result, 1, "");
    cr_assert(t_has(result.err, "\nmpifarm: 2 skipped because task bad failed\n"), "%s",
              result.err);
    cr_assert(t_has(result.err, "\nmpifarm: 1 of those that failed could never start"), "%s",
              result.err);
    result = t_sh("cat tasks | mpifarm run -q --force -");
    expect(&result, 1, "");
    cr_assert(t_has(result.err, "1 task could never start: no worker is large enough"), "%s",
              result.err);
}

Test(order, tasks_that_are_skipped_again_are_recorded_once)
{
    struct t_result result;

    t_write("tasks", "[id=bad] false\n[id=a after=bad] echo a\n[id=b after=a] echo b\n");
    result = t_sh("for i in 1 2 3; do mpifarm run --resume tasks || :; done; wc -l < "
                  "mpifarm-run/joblog.tsv; mpifarm logs mpifarm-run | grep -c SKIPPED");
    cr_assert(eq(str, result.out, "4\n2\n"), "%s", result.err);
    cr_assert(eq(int, t_count_lines(result.err, "mpifarm: 2 skipped because"), 3), "%s",
              result.err);
    result = t_sh("sed -i s/false/true/ tasks; mpifarm run -q --resume tasks");
    expect(&result, 0, "a\nb\n");
}

Test(order, skipped_tasks_run_once_what_they_come_after_is_done)
{
    struct t_result result;

    t_write("tasks", "[id=first] test -e there\n[after=first] echo second\n[after=2] echo third\n");
    result = t_sh("mpifarm run -q tasks; touch there; mpifarm run -q --resume tasks; echo $?; "
                  "mpifarm run -q --resume-failed tasks");
    expect(&result, 0, "1\nsecond\nthird\n");
}

Test(order, a_resumed_run_counts_on_what_an_earlier_one_has_done)
{
    struct t_result result;

    t_write("tasks", "[id=a] echo a\n[after=a] test -e there\n[after=2] echo c\n");
    result = t_sh("mpifarm run -q tasks; touch there; mpifarm run -q --resume-failed tasks");
    expect(&result, 0, "a\nc\n");
}

Test(order, a_barrier_that_checks_stops_the_run)
{
    struct t_result result;

    t_write("tasks", "echo a\nfalse\n#FARM barrier check\necho b\n");
    result = t_sh("mpifarm run tasks");
    expect(&result, 3, "a\n");
    cr_assert(t_has(result.err, "a barrier"), "%s", result.err);
    cr_assert(t_has(result.err, "1 task left"), "%s", result.err);
}

/* Each task fails if another one has the licence. */
Test(order, a_licence_is_held_by_one_task_at_a_time)
{
    struct t_result result;

    t_write("tasks", "#FARM licence.x=1\n");
    t_sh("for i in $(seq 20); do echo 'mkdir held && sleep 0.01 && rmdir held'; done >> tasks");
    result = t_sh("mpifarm run -q -j 4 --resource licence.x=1 tasks");
    expect(&result, 0, "");
}

Test(order, more_licences_than_there_are_is_an_input_error)
{
    struct t_result result;

    t_write("tasks", "true\n[licence.x=3] true\n");
    result = t_sh("mpifarm run tasks --resource licence.x=2; "
                  "mpifarm run --resource licence.x=2 tasks");
    cr_assert(eq(int, result.status, 2), "%s", result.err);
    cr_assert(t_has(result.err, "tasks:2: "), "%s", result.err);
}

Test(order, policies_order_the_tasks)
{
    struct t_result result;

    t_write("tasks", "[time=3 deadline=9] echo a\n[time=1 deadline=5] echo b\n"
                     "[time=2 deadline=1] echo c\n");
    result = t_sh("for p in fifo lifo sjf lpt edf; do "
                  "mpifarm run -q -j 1 --run-dir $p --policy $p tasks | tr -d '\\n'; echo; done");
    expect(&result, 0, "abc\ncba\nbca\nacb\ncba\n");
}

Test(order, a_group_with_a_large_share_goes_before_another_that_had_its_turn)
{
    struct t_result result;

    t_write("tasks", "#FARM time=1 group=a\necho a1\necho a2\necho a3\n"
                     "#FARM time=1 group=b\necho b1\necho b2\necho b3\n");
    result = t_sh("mpifarm run -q -j 1 --policy fair --share b=1000000 tasks");
    expect(&result, 0, "a1\nb1\nb2\nb3\na2\na3\n");
}

Test(order, parameters_of_policies_that_make_no_sense_are_refused)
{
    static const char *const options[][2] = {
        {"--ageing -1", "--ageing: \"-1\" is not like 20 or"},
        {"--ageing 20,0", "\"20,0\" is not like"},
        {"--ageing 20,1h,0", "\"20,1h,0\" is not like"},
        {"--policy fifo --ageing 3", "--ageing is about --policy priority, not fifo"},
        {"--policy fair --share a", "--share: \"a\" is not NAME=N"},
        {"--policy fair --share a=0", "\"a=0\" is not NAME=N"},
        {"--policy fair --share a=1 --share a=2", "--share: a is given twice"},
        {"--share a=2", "--share is about groups, and needs --policy fair"},
    };

    t_write("tasks", "touch ran\n");
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        struct t_result result = t_sh("mpifarm run %s tasks", options[i][0]);

        cr_assert(eq(int, result.status, 2), "%s: %s", options[i][0], result.err);
        cr_assert(t_has(result.err, options[i][1]), "%s: %s", options[i][0], result.err);
        cr_assert(eq(int, t_count_lines(result.err, ""), 1), "%s", result.err);
        cr_assert(access("ran", F_OK) != 0);
    }
}

/* The first task holds the only slot until another policy has been found and told. */
Test(order, auto_changes_the_order_while_it_runs_and_tells_why)
{
    struct t_result result;
    const char *status;

    t_write("tasks", "[time=1] echo first; while ! [ -e go ]; do sleep 0.01; done\n"
                     "#FARM time=1\necho a\necho b\necho c\n"
                     "[time=1ms] echo short\n[time=2ms] echo longer\n");
    result =
        t_sh("mpifarm run -j 1 --policy auto tasks & while ! grep -qs '\"why\": \"auto: after' "
             "mpifarm-run/status.json; do sleep 0.01; done; touch go; wait $!");
    cr_assert(eq(int, result.status, 0), "%s", result.err);
    cr_assert(t_has(result.out, "first\nshort\nlonger\n"), "%s", result.out);
    cr_assert(t_has(result.err, "mpifarm: policy auto: after "), "%s", result.err);
    cr_assert(t_has(result.err, ", simulating 6 tasks\n"), "%s", result.err);
    status = t_read("mpifarm-run/status.json");
    cr_assert(t_has(status, "\"policy\": \"") && t_has(status, "\"changes\": "), "%s", status);
}

/* The first one leaves a slot, but none of those behind it fits there. */
Test(order, auto_looks_at_tasks_that_fit_nowhere_now_as_well)
{
    struct t_result result;

    t_write("tasks", "[time=1] while ! [ -e go ]; do sleep 0.01; done\n"
                     "[cores=2 time=4] echo slow\n[cores=2 time=4] echo slow\n"
                     "[cores=2 time=1 weight=9] echo dear\n");
    result =
        t_sh("mpifarm run -j 2 --policy auto tasks & while kill -0 $! && ! grep -qs "
             "'\"why\": \"auto: after' mpifarm-run/status.json; do sleep 0.01; done; touch go; "
             "wait $!");
    cr_assert(eq(int, result.status, 0), "%s", result.err);
    cr_assert(eq(str, result.out, "dear\nslow\nslow\n"), "%s", result.err);
}

Test(order, a_policy_or_placement_that_nobody_knows_is_refused)
{
    struct t_result result = t_sh("mpifarm run --policy fifi x; mpifarm run --placement pakc x");

    cr_assert(eq(int, result.status, 2));
    cr_assert(t_has(result.err, "did you mean \"fifo\"?"), "%s", result.err);
    cr_assert(t_has(result.err, "did you mean \"pack\"?"), "%s", result.err);
}

/* The second run knows which of the programs is quick. */
Test(order, run_times_are_learned_for_the_next_run)
{
    struct t_result result;

    t_write("tasks", "sleep 1; echo slow\necho quick\n");
    result = t_sh("mpifarm run -q -j 1 --policy sjf tasks; mpifarm run -q -j 1 --policy sjf tasks; "
                  "mpifarm run -q -j 1 --force --policy sjf tasks");
    expect(&result, 0, "slow\nquick\nquick\nslow\nquick\nslow\n");
}

/* Equal commands are different tasks where others come after them. */
Test(order, a_resumed_run_tells_equal_commands_apart_by_their_places)
{
    struct t_result result;

    t_write("tasks", "[after=4] echo b >> log\necho b >> log\n[after=1] echo c >> log\n"
                     "test -e there\n");
    result = t_sh("mpifarm run -q tasks; touch there; mpifarm run -q --resume-failed tasks; "
                  "s=$?; tr '\\n' ' ' < log; exit $s");
    expect(&result, 0, "b b c ");
}

Test(order, a_hundred_thousand_skipped_tasks_are_told_in_parts)
{
    struct t_result result;

    t_write("tasks", "false\n#FARM after=1\n");
    result = t_sh("for i in $(seq 100000); do echo true; done >> tasks; mpifarm run tasks");
    expect(&result, 1, "");
    cr_assert(t_has(result.err, "100,000 skipped"), "%s", result.err);
}
