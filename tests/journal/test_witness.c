/* Tests of journal/witness.c: a journal that knows of fewer ended tasks than joblog.tsv. */
#include "t_run.h"

#include "journal/witness.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *run;

static void begin(void)
{
    run = t_run_dir();
}

TestSuite(witness, .init = begin, .fini = t_run_remove);

/* A job log of n ended tasks. */
static void tell(int n)
{
    char *text = NULL;
    size_t size;
    FILE *file = open_memstream(&text, &size);

    fputs("Seq\tHost\n", file);
    for (int i = 1; i <= n; i++)
        fprintf(file, "%d\tn1\n", i);
    fclose(file);
    t_run_write("joblog.tsv", text, size);
    free(text);
}

/* A run in which n tasks have ended and some are left, all of them committed and told of. */
static void leave_run(int n)
{
    struct mf_journal *journal = t_journal(MF_JOURNAL_NEW);

    t_append(journal, 1, (uint64_t)n);
    t_close(journal);
    tell(n);
}

static void lose_journal(void)
{
    cr_assert_eq(truncate(t_run_file("journal.db"), 0), 0);
}

static uint64_t continue_run(void)
{
    struct mf_journal *journal = t_journal(MF_JOURNAL_CONTINUE);
    uint64_t n = mf_journal_missing(journal);

    t_close(journal);
    return n;
}

Test(witness, lines_behind_the_header_are_counted_and_what_is_not_there_tells_of_nothing)
{
    t_close(t_journal(MF_JOURNAL_NEW));
    cr_assert_eq(mf_witness_count(run), 0u);
    t_run_write("joblog.tsv", "", 0);
    cr_assert_eq(mf_witness_count(run), 0u);
    tell(0);
    cr_assert_eq(mf_witness_count(run), 0u);
    tell(30000);
    cr_assert_eq(mf_witness_count(run), 30000u);
    t_run_write("joblog.tsv", "Seq\n1\n2", 7);
    cr_assert_eq(mf_witness_count(run), 1u, "a line that was cut off is none");
}

Test(witness, a_journal_that_has_lost_all_is_neither_continued_nor_replaced_unasked)
{
    leave_run(24);
    lose_journal();
    t_refused(MF_JOURNAL_READ, -EBADMSG, "knows 0 of the 24");
    t_refused(MF_JOURNAL_CONTINUE, -EBADMSG,
              "journal.db: knows 0 of the 24 ended tasks that joblog.tsv tells of");
    t_refused(MF_JOURNAL_NEW, -EBADMSG, "knows 0 of the 24");
    t_refused(MF_JOURNAL_READ, -EBADMSG, "knows 0 of the 24");
    cr_assert_eq(t_count_in(MF_JOURNAL_REPLACE), 0u);
    cr_assert_eq(mf_witness_count(run), 0u, "what tells of the replaced run is gone, too");
    cr_assert_eq(continue_run(), 0u);
}

Test(witness, a_lost_journal_is_begun_again_where_the_job_log_is_moved_away)
{
    leave_run(24);
    lose_journal();
    t_refused(MF_JOURNAL_CONTINUE, -EBADMSG, "or move joblog.tsv away");
    cr_assert_eq(unlink(t_run_file("joblog.tsv")), 0);
    cr_assert_eq(continue_run(), 0u);
}

Test(witness, the_torn_end_of_a_journal_is_told_of_once)
{
    struct mf_journal *journal;

    leave_run(24);
    tell(27);
    cr_assert_eq(continue_run(), 3u);
    cr_assert_eq(continue_run(), 0u, "it was told, and they were run again");
    journal = t_journal(MF_JOURNAL_CONTINUE);
    t_append(journal, 25, 3);
    t_close(journal);
    tell(30);
    cr_assert_eq(continue_run(), 0u);
    tell(31);
    cr_assert_eq(continue_run(), 1u, "what is lost later is told again");
}

Test(witness, more_than_a_torn_end_is_refused)
{
    leave_run(24);
    tell(24 + 1000);
    cr_assert_eq(continue_run(), 1000u);
    tell(24 + 2001);
    t_refused(MF_JOURNAL_CONTINUE, -EBADMSG, "of the 2025 ended tasks");
}

Test(witness, a_journal_that_knows_more_than_was_told_is_whole)
{
    leave_run(24);
    tell(20);
    cr_assert_eq(continue_run(), 0u);
    cr_assert_eq(unlink(t_run_file("joblog.tsv")), 0);
    cr_assert_eq(continue_run(), 0u);
}
