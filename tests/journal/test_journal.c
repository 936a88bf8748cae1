/* Tests of journal/journal.c: what is stored, in groups, and comes back. */
#include "t_run.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static void begin(void)
{
    t_run_dir();
}

TestSuite(journal, .init = begin, .fini = t_run_remove);

/* Every field different, at the ends of its range where that may matter. */
static struct mf_journal_attempt full_attempt(void)
{
    return (struct mf_journal_attempt){
        .seq = UINT64_MAX - 1,
        .id = "it's \"17\"; DROP TABLE attempt",
        .key = {1, 2, 3, 0, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 255},
        .command_text = "printf 'a\\nb'\n\t\xff\xc3\xa9 $X",
        .attempt = UINT32_MAX,
        .state = MF_TASK_FAILED,
        .host = "node-7.cluster",
        .rank = UINT32_MAX - 1,
        .outcome =
            {
                .cause = MF_CAUSE_SIGNAL,
                .exit_status = -1,
                .signal = 9,
                .pid = INT32_MAX,
                .slot = UINT32_MAX,
                .started_wall_ns = INT64_MAX,
                .duration_ns = INT64_MIN,
                .user_ns = 11,
                .system_ns = 12,
                .max_rss_bytes = UINT64_MAX,
                .produced_bytes = {13, 14},
                .dropped_bytes = {15, 16},
                .detail = "left processes behind",
            },
        .region = {.store = 2, .file = 17, .offset = UINT64_MAX - 9, .size = {18, 19}},
        .is_printed = false,
    };
}

static int compare_full(void *arg, const struct mf_journal_attempt *got)
{
    struct mf_journal_attempt want = full_attempt();

    cr_assert_eq(got->row, 1u);
    cr_assert_eq(got->seq, want.seq);
    cr_assert_str_eq(got->id, want.id);
    cr_assert_arr_eq(got->key, want.key, MF_KEY_SIZE);
    cr_assert_str_eq(got->command_text, want.command_text);
    cr_assert_eq(got->attempt, want.attempt);
    cr_assert_eq(got->state, want.state);
    cr_assert_str_eq(got->host, want.host);
    cr_assert_eq(got->rank, want.rank);
    cr_assert_eq(got->outcome.cause, want.outcome.cause);
    cr_assert_eq(got->outcome.exit_status, want.outcome.exit_status);
    cr_assert_eq(got->outcome.signal, want.outcome.signal);
    cr_assert_eq(got->outcome.pid, want.outcome.pid);
    cr_assert_eq(got->outcome.slot, want.outcome.slot);
    cr_assert_eq(got->outcome.started_wall_ns, want.outcome.started_wall_ns);
    cr_assert_eq(got->outcome.duration_ns, want.outcome.duration_ns);
    cr_assert_eq(got->outcome.user_ns, want.outcome.user_ns);
    cr_assert_eq(got->outcome.system_ns, want.outcome.system_ns);
    cr_assert_eq(got->outcome.max_rss_bytes, want.outcome.max_rss_bytes);
    cr_assert_arr_eq(got->outcome.produced_bytes, want.outcome.produced_bytes, 16);
    cr_assert_arr_eq(got->outcome.dropped_bytes, want.outcome.dropped_bytes, 16);
    cr_assert_str_eq(got->outcome.detail, want.outcome.detail);
    cr_assert_eq(got->region.store, want.region.store);
    cr_assert_eq(got->region.file, want.region.file);
    cr_assert_eq(got->region.offset, want.region.offset);
    cr_assert_arr_eq(got->region.size, want.region.size, 16);
    cr_assert_eq(got->is_printed, want.is_printed);
    ++*(int *)arg;
    return 0;
}

Test(journal, an_attempt_comes_back_with_every_field_as_it_was)
{
    struct mf_journal *journal = t_journal(MF_JOURNAL_NEW);
    struct mf_journal_attempt attempt = full_attempt();
    int n = 0;

    cr_assert_eq(mf_journal_append(journal, &attempt, NULL), 0);
    cr_assert_eq(attempt.row, 1u);
    t_close(journal);
    journal = t_journal(MF_JOURNAL_CONTINUE);
    cr_assert_eq(mf_journal_each(journal, compare_full, &n, NULL), 0);
    cr_assert_eq(n, 1);
    t_close(journal);
}

static int is_nowhere(void *arg, const struct mf_journal_attempt *attempt)
{
    cr_assert_eq(attempt->rank, MF_WORKER_NONE);
    cr_assert_str_eq(attempt->host, "");
    return 42;
}

Test(journal, an_attempt_may_have_run_nowhere_and_the_walk_ends_when_it_is_told_to)
{
    struct mf_journal *journal = t_journal(MF_JOURNAL_NEW);
    struct mf_journal_attempt attempt = t_attempt(1, MF_TASK_CANCELLED);

    attempt.host = NULL;
    attempt.rank = MF_WORKER_NONE;
    cr_assert_eq(mf_journal_append(journal, &attempt, NULL), 0);
    cr_assert_eq(mf_journal_append(journal, &attempt, NULL), 0);
    t_commit(journal);
    cr_assert_eq(mf_journal_each(journal, is_nowhere, NULL, NULL), 42);
    t_close(journal);
}

Test(journal, rows_go_on_behind_those_of_the_run_before)
{
    struct mf_journal *journal = t_journal(MF_JOURNAL_NEW);
    struct mf_journal_attempt attempt = t_attempt(4, MF_TASK_DONE);

    t_append(journal, 1, 3);
    t_close(journal);
    journal = t_journal(MF_JOURNAL_CONTINUE);
    cr_assert_eq(mf_journal_append(journal, &attempt, NULL), 0);
    cr_assert_eq(attempt.row, 4u);
    t_commit(journal);
    cr_assert_eq(t_count(journal), 4u);
    t_close(journal);
}

Test(journal, the_open_group_is_counted_and_only_a_commit_makes_it_part_of_the_journal)
{
    struct mf_journal *journal = t_journal(MF_JOURNAL_NEW);

    t_append(journal, 1, 5);
    cr_assert_eq(mf_journal_pending(journal), 5u);
    cr_assert_eq(t_count(journal), 0u);
    t_commit(journal);
    cr_assert_eq(mf_journal_pending(journal), 0u);
    cr_assert_eq(t_count(journal), 5u);
    t_close(journal);
}

static int collect_printed(void *arg, const struct mf_journal_attempt *attempt)
{
    ((bool *)arg)[attempt->row] = attempt->is_printed;
    return 0;
}

Test(journal, a_row_is_marked_as_printed_in_the_group_that_added_it_and_later)
{
    struct mf_journal *journal = t_journal(MF_JOURNAL_NEW);
    bool is_printed[4] = {0};

    t_append(journal, 1, 3);
    cr_assert_eq(mf_journal_set_printed(journal, 3, NULL), 0);
    t_commit(journal);
    cr_assert_eq(mf_journal_set_printed(journal, 1, NULL), 0);
    t_commit(journal);
    cr_assert_eq(mf_journal_each(journal, collect_printed, is_printed, NULL), 0);
    cr_assert(is_printed[1] && !is_printed[2] && is_printed[3]);
    t_close(journal);
}

static int collect_stores(void *arg, const struct mf_journal_attempt *attempt)
{
    ((uint32_t *)arg)[attempt->row] = attempt->region.store;
    return 0;
}

Test(journal, an_output_that_is_forgotten_is_nowhere)
{
    struct mf_journal *journal = t_journal(MF_JOURNAL_NEW);
    uint32_t stores[4] = {0};

    for (uint64_t seq = 1; seq <= 2; seq++) {
        struct mf_journal_attempt attempt = t_attempt(seq, MF_TASK_DONE);

        attempt.region.store = 3;
        cr_assert_eq(mf_journal_append(journal, &attempt, NULL), 0);
    }
    t_commit(journal);
    cr_assert_eq(mf_journal_forget_output(journal, 2, NULL), 0);
    t_commit(journal);
    cr_assert_eq(mf_journal_each(journal, collect_stores, stores, NULL), 0);
    cr_assert_eq(stores[1], 3u);
    cr_assert_eq(stores[2], 0u);
    t_close(journal);
}

Test(journal, a_named_text_is_there_at_once_and_after_reopening_and_can_be_replaced)
{
    struct mf_journal *journal = t_journal(MF_JOURNAL_NEW);
    char text[64];

    cr_assert_eq(mf_journal_get_text(journal, "output", text, sizeof(text), NULL), -ENOENT);
    cr_assert_eq(mf_journal_set_text(journal, "output", "old", NULL), 0);
    cr_assert_eq(mf_journal_set_text(journal, "output", "it's new", NULL), 0);
    cr_assert_eq(mf_journal_get_text(journal, "output", text, sizeof(text), NULL), 0);
    cr_assert_str_eq(text, "it's new");
    t_close(journal);
    journal = t_journal(MF_JOURNAL_READ);
    cr_assert_eq(mf_journal_get_text(journal, "output", text, sizeof(text), NULL), 0);
    cr_assert_str_eq(text, "it's new");
    cr_assert_eq(mf_journal_get_text(journal, "output", text, 8, NULL), -ERANGE);
    t_close(journal);
}

Test(journal, a_run_that_goes_on_is_not_finished_any_more)
{
    struct mf_journal *journal = t_journal(MF_JOURNAL_NEW);

    t_append(journal, 1, 1);
    cr_assert_eq(mf_journal_set_finished(journal, true, NULL), 0);
    t_close(journal);
    journal = t_journal(MF_JOURNAL_CONTINUE);
    t_append(journal, 2, 1);
    t_close(journal);
    t_refused(MF_JOURNAL_NEW, -EEXIST, "not complete (2 done, 0 failed)");
}

/* Ends a run with these states for tasks 1, 2, ..., finished or not. */
static void make_run(const char *states, bool is_finished)
{
    struct mf_journal *journal = t_journal(MF_JOURNAL_NEW);

    for (uint64_t seq = 1; states[seq - 1]; seq++) {
        struct mf_journal_attempt attempt =
            t_attempt(seq, states[seq - 1] == 'F' ? MF_TASK_FAILED : MF_TASK_DONE);

        cr_assert_eq(mf_journal_append(journal, &attempt, NULL), 0);
    }
    cr_assert_eq(mf_journal_set_finished(journal, is_finished, NULL), 0);
    t_close(journal);
}

Test(journal, a_new_run_replaces_one_whose_tasks_are_all_done)
{
    make_run("DDD", true);
    cr_assert_eq(t_count_in(MF_JOURNAL_NEW), 0u);
}

Test(journal, a_new_run_replaces_one_that_has_not_come_to_anything)
{
    make_run("", false);
    cr_assert_eq(t_count_in(MF_JOURNAL_NEW), 0u);
}

Test(journal, a_new_run_does_not_replace_one_that_is_not_complete_and_says_what_to_do)
{
    make_run("DDDFF", false);
    t_refused(MF_JOURNAL_NEW, -EEXIST,
              "holds a run that is not complete (3 done, 2 failed); use --resume or "
              "--resume-failed to continue it, --run-dir for another directory, or --force to "
              "start afresh");
    cr_assert_eq(t_count_in(MF_JOURNAL_CONTINUE), 5u);
}

Test(journal, a_new_run_does_not_replace_a_finished_one_with_failures)
{
    make_run("DF", true);
    t_refused(MF_JOURNAL_NEW, -EEXIST, "(1 done, 1 failed)");
}

Test(journal, a_failure_that_a_later_attempt_made_good_is_none)
{
    struct mf_journal *journal;
    struct mf_journal_attempt attempt = t_attempt(2, MF_TASK_DONE);

    make_run("DF", true);
    journal = t_journal(MF_JOURNAL_CONTINUE);
    attempt.attempt = 2;
    cr_assert_eq(mf_journal_append(journal, &attempt, NULL), 0);
    cr_assert_eq(mf_journal_set_finished(journal, true, NULL), 0);
    t_close(journal);
    cr_assert_eq(t_count_in(MF_JOURNAL_NEW), 0u);
}

Test(journal, continuing_where_there_is_no_run_starts_one)
{
    cr_assert_eq(t_count_in(MF_JOURNAL_CONTINUE), 0u);
}

Test(journal, closing_commits_and_closing_nothing_is_fine)
{
    struct mf_journal *journal = t_journal(MF_JOURNAL_NEW);

    t_append(journal, 1, 2);
    t_close(journal);
    cr_assert_eq(t_count_in(MF_JOURNAL_CONTINUE), 2u);
    cr_assert_eq(mf_journal_close(NULL, NULL), 0);
}

/* Rows that a walk has given, by their states; the id of row n is "n", as t_append() has it. */
struct walked {
    uint64_t last;
    uint32_t n;
};

static void note_row(void *arg, uint64_t row, const char *id, enum mf_task_state state)
{
    struct walked *walked = arg;
    char expected[24];

    snprintf(expected, sizeof(expected), "%llu", (unsigned long long)row);
    cr_assert_str_eq(id, expected);
    cr_assert_eq(state, MF_TASK_DONE);
    cr_assert_eq(row, walked->last + 1);
    walked->last = row;
    walked->n++;
}

Test(journal, is_walked_a_few_rows_at_a_time)
{
    struct mf_journal *journal = t_journal(MF_JOURNAL_NEW);
    struct walked walked = {0};
    struct mf_error err;

    t_append(journal, 1, 10);
    t_commit(journal);
    t_append(journal, 11, 5);
    cr_assert_eq(mf_journal_walk(journal, 0, 4, note_row, &walked, &err), 4);
    cr_assert_eq(mf_journal_walk(journal, walked.last, 4, note_row, &walked, &err), 4);
    cr_assert_eq(mf_journal_walk(journal, walked.last, 4, note_row, &walked, &err), 2,
                 "what is not committed does not count");
    t_commit(journal);
    cr_assert_eq(mf_journal_walk(journal, walked.last, 100, note_row, &walked, &err), 5);
    cr_assert_eq(mf_journal_walk(journal, walked.last, 100, note_row, &walked, &err), 0);
    cr_assert_eq(walked.n, 15u);
    t_close(journal);
}
