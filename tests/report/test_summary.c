/* Tests of report/summary.c. */
#include "report/progress.h"

#include "base/clock.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static const char *print(struct mf_summary summary)
{
    static char *text;
    size_t size;
    FILE *file;

    free(text);
    file = open_memstream(&text, &size);
    if (!summary.run_dir)
        summary.run_dir = "mpifarm-run";
    mf_summary_print(&summary, file);
    fclose(file);
    return text;
}

Test(summary, a_run_without_failures_is_one_line)
{
    cr_assert_str_eq(print((struct mf_summary){.n_done = 10000,
                                               .makespan_ns = INT64_C(12300000000),
                                               .busy_ns = INT64_C(23960400000),
                                               .n_slots = 2}),
                     "mpifarm: 10,000 done in 12.3 s: 813.0 tasks/s, slots busy 97.4 %\n");
}

Test(summary, each_failure_has_its_cause_and_the_command_to_see_its_output)
{
    const struct mf_failure failures[] = {
        {"17", "./sim a.dat", "exit status 3", 3, true},
        {"a b", "./sim\nb.dat", "killed by signal 9 (Killed)", 1, true},
    };

    cr_assert_str_eq(print((struct mf_summary){.n_done = 9998,
                                               .n_failed = 2,
                                               .n_retried = 5,
                                               .makespan_ns = 12303 * MF_NS_PER_MS,
                                               .failures = failures,
                                               .n_shown = 2,
                                               .run_dir = "my run"}),
                     "mpifarm: 9,998 done, 2 failed, 5 retried in 12.3 s: 812.8 tasks/s\n"
                     "mpifarm: failed: 17 (exit status 3, 3 attempts): ./sim a.dat\n"
                     "mpifarm: see its output: mpifarm logs 'my run' 17\n"
                     "mpifarm: failed: a b (killed by signal 9 (Killed)): ./sim b.dat\n"
                     "mpifarm: see its output: mpifarm logs 'my run' 'a b'\n");
}

Test(summary, failures_that_are_not_shown_are_counted)
{
    const struct mf_failure failure = {"1", "false", "exit status 1", 1, true};

    cr_assert(strstr(
        print((struct mf_summary){
            .n_failed = 1981, .failures = &failure, .n_shown = 1, .makespan_ns = MF_NS_PER_S}),
        "mpifarm logs mpifarm-run 1\n"
        "mpifarm: and 1,980 more: mpifarm logs --failed mpifarm-run\n"));
}

Test(summary, a_long_command_is_cut_between_characters)
{
    char command[400] = "";
    const char *text;
    struct mf_failure failure = {"1", command, "exit status 1", 1, true};
    struct mf_summary summary = {.n_failed = 1, .failures = &failure, .n_shown = 1};

    for (int i = 0; i < 100; i++)
        strcat(command, "é");
    text = print(summary);
    cr_assert(strstr(text, command) && !strstr(text, "..."), "%s", text);
    strcat(command, "x");
    text = print(summary);
    command[2 * 97] = '\0';
    strcat(command, "...\n");
    cr_assert(strstr(text, command), "%s", text);
}

Test(summary, a_run_that_was_stopped_says_by_what_and_how_it_goes_on)
{
    cr_assert(
        strstr(print((struct mf_summary){.n_left = 40, .stopped_by = "signal 15 (Terminated)"}),
               "mpifarm: stopped by signal 15 (Terminated): 40 tasks left; --resume "
               "continues\n"));
    cr_assert(strstr(print((struct mf_summary){.stopped_by = "--halt now,fail=1"}),
                     "mpifarm: stopped by --halt now,fail=1\n"));
    cr_assert(strstr(print((struct mf_summary){.n_left = 1}),
                     "mpifarm: 1 task left; --resume continues\n"));
    cr_assert(strstr(print((struct mf_summary){.n_left = 1, .is_lost = true}),
                     "mpifarm: 1 task left, and nothing is there with which --resume could go "
                     "on\n"));
}

Test(summary, what_an_earlier_run_did_and_what_was_cut_off_is_told)
{
    cr_assert_str_eq(
        print((struct mf_summary){.n_done = 5,
                                  .n_cancelled = 3,
                                  .n_done_earlier = 1000,
                                  .n_failed_earlier = 2,
                                  .n_truncated = 1}),
        "mpifarm: 5 done, 3 cancelled\n"
        "mpifarm: from an earlier run: 1,000 done, 2 failed\n"
        "mpifarm: 1 task has output over --output-limit: the middle of it is dropped\n");
}

Test(summary, launchers_that_were_replaced_are_counted)
{
    cr_assert_str_eq(print((struct mf_summary){.n_done = 1, .n_renewed = 1}),
                     "mpifarm: 1 done\nmpifarm: 1 launcher process was replaced\n");
    cr_assert_str_eq(print((struct mf_summary){.n_done = 1, .n_renewed = 2}),
                     "mpifarm: 1 done\nmpifarm: 2 launcher processes were replaced\n");
}

Test(summary, workers_that_were_lost_or_not_trusted_are_named)
{
    cr_assert_str_eq(print((struct mf_summary){
                         .n_done = 1, .lost = "n3 (rank 2)", .quarantined = "rank 4 on n5"}),
                     "mpifarm: 1 done\nmpifarm: lost: n3 (rank 2)\n"
                     "mpifarm: in quarantine: rank 4 on n5\n");
    cr_assert_str_eq(print((struct mf_summary){.n_done = 1, .lost = "", .quarantined = ""}),
                     "mpifarm: 1 done\n");
}

Test(summary, a_run_of_nothing_divides_by_nothing)
{
    cr_assert_str_eq(print((struct mf_summary){0}), "mpifarm: 0 done\n");
    cr_assert_str_eq(print((struct mf_summary){.makespan_ns = 1, .busy_ns = 9, .n_slots = 1}),
                     "mpifarm: 0 done in 0 ms: 0 tasks/s, slots busy 100.0 %\n");
}

Test(summary, what_led_to_skipped_tasks_is_named)
{
    const struct mf_skip skips[] = {{"task 7 failed", 1200}, {"task b was cancelled", 1}};

    cr_assert_str_eq(
        print((struct mf_summary){.n_done = 1, .n_skipped = 1204, .skips = skips, .n_skips = 2}),
        "mpifarm: 1 done, 1,204 skipped\n"
        "mpifarm: 1,200 skipped because task 7 failed\n"
        "mpifarm: 1 skipped because task b was cancelled\n"
        "mpifarm: and 3 more skipped for other reasons\n");
}

Test(summary, tasks_that_could_never_start_are_counted)
{
    cr_assert_str_eq(
        print((struct mf_summary){.n_failed = 3,
                                  .n_unfit = 2,
                                  .n_shown = 3,
                                  .failures = (struct mf_failure[3]){{"1", "a", "x", 1},
                                                                     {"2", "b", "x", 1},
                                                                     {"3", "c", "x", 1, true}}}),
        "mpifarm: 0 done, 3 failed\n"
        "mpifarm: 2 of those that failed could never start: no worker is large "
        "enough\n"
        "mpifarm: failed: 1 (x): a\n"
        "mpifarm: failed: 2 (x): b\n"
        "mpifarm: failed: 3 (x): c\n"
        "mpifarm: see its output: mpifarm logs mpifarm-run 3\n");
}
