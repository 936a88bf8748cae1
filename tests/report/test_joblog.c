/* Tests of report/joblog.c. */
#include "report/joblog.h"
#include "t_dir.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define HEADER "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\n"

TestSuite(joblog, .init = t_dir_begin, .fini = t_dir_end);

static struct mf_tsv *open_log(bool append)
{
    struct mf_tsv *joblog = NULL;
    struct mf_error err = {0};

    cr_assert_eq(mf_joblog_open(t_path("log"), append, &joblog, &err), 0, "%s", err.text);
    return joblog;
}

static void add(struct mf_tsv *joblog, uint64_t seq, struct mf_outcome outcome, const char *command)
{
    cr_assert_eq(mf_joblog_add(joblog, seq, "n1", &outcome, command), 0);
}

static void close_log(struct mf_tsv *joblog)
{
    struct mf_error err = {0};

    cr_assert_eq(mf_tsv_close(joblog, &err), 0, "%s", err.text);
}

static const struct mf_outcome good = {
    .started_wall_ns = INT64_C(1700000000042999999),
    .duration_ns = INT64_C(12345678901),
    .produced_bytes = {20, 3},
};

Test(joblog, a_line_has_the_columns_of_gnu_parallel)
{
    struct mf_tsv *joblog = open_log(false);

    add(joblog, 7, good, "echo 'a'");
    close_log(joblog);
    cr_assert_str_eq(t_read_file("log"),
                     HEADER "7\tn1\t1700000000.042\t    12.346\t0\t23\t0\t0\techo 'a'\n");
}

Test(joblog, newlines_and_tabs_of_a_command_become_blanks_and_no_host_is_a_colon)
{
    struct mf_tsv *joblog = open_log(false);

    cr_assert_eq(mf_joblog_add(joblog, 1, "", &good, "a\tb\nc"), 0);
    close_log(joblog);
    cr_assert_str_eq(t_read_file("log"),
                     HEADER "1\t:\t1700000000.042\t    12.346\t0\t23\t0\t0\ta b c\n");
}

/* "EXITVAL SIGNAL" as logged for an outcome. */
static void assert_ends_as(struct mf_outcome outcome, const char *words)
{
    struct mf_tsv *joblog = open_log(false);
    const char *text;

    add(joblog, 1, outcome, "cmd");
    close_log(joblog);
    text = t_read_file("log");
    cr_assert(strstr(text, words), "%s", text);
}

Test(joblog, exit_value_and_signal_are_those_of_gnu_parallel)
{
    assert_ends_as((struct mf_outcome){.cause = MF_CAUSE_EXIT, .exit_status = 3}, "\t3\t0\tcmd");
    assert_ends_as((struct mf_outcome){.cause = MF_CAUSE_SIGNAL, .exit_status = 137, .signal = 9},
                   "\t0\t9\tcmd");
    assert_ends_as((struct mf_outcome){.cause = MF_CAUSE_TIMEOUT, .exit_status = 143, .signal = 15},
                   "\t-1\t15\tcmd");
    assert_ends_as((struct mf_outcome){.cause = MF_CAUSE_START, .exit_status = 127},
                   "\t127\t0\tcmd");
}

Test(joblog, a_failure_without_a_status_is_not_logged_as_success)
{
    assert_ends_as((struct mf_outcome){.cause = MF_CAUSE_LOST}, "\t-1\t0\tcmd");
}

Test(joblog, appending_goes_on_behind_what_is_there_without_a_second_header)
{
    struct mf_tsv *joblog = open_log(false);

    add(joblog, 1, good, "a");
    close_log(joblog);
    joblog = open_log(true);
    add(joblog, 2, good, "b");
    close_log(joblog);
    cr_assert_str_eq(t_read_file("log"),
                     HEADER "1\tn1\t1700000000.042\t    12.346\t0\t23\t0\t0\ta\n"
                            "2\tn1\t1700000000.042\t    12.346\t0\t23\t0\t0\tb\n");
}

Test(joblog, appending_ends_a_line_that_a_crash_cut_off)
{
    FILE *file = fopen(t_path("log"), "w");
    struct mf_tsv *joblog;

    fputs(HEADER "1\tn1\t17", file);
    fclose(file);
    joblog = open_log(true);
    add(joblog, 2, good, "b");
    close_log(joblog);
    cr_assert_str_eq(t_read_file("log"),
                     HEADER "1\tn1\t17\n"
                            "2\tn1\t1700000000.042\t    12.346\t0\t23\t0\t0\tb\n");
}

Test(joblog, without_append_an_old_log_is_replaced)
{
    struct mf_tsv *joblog = open_log(false);

    add(joblog, 1, good, "a");
    close_log(joblog);
    close_log(open_log(false));
    cr_assert_str_eq(t_read_file("log"), HEADER);
}

Test(joblog, nothing_is_written_before_the_flush)
{
    struct mf_tsv *joblog = open_log(false);

    add(joblog, 1, good, "a");
    cr_assert_str_eq(t_read_file("log"), "");
    cr_assert_eq(mf_tsv_flush(joblog, NULL), 0);
    cr_assert(strstr(t_read_file("log"), "\ta\n"));
    close_log(joblog);
}

Test(joblog, what_a_full_disk_does_not_take_is_written_once_there_is_room)
{
    struct mf_tsv *joblog = open_log(false);
    struct mf_error err = {0};

    add(joblog, 1, good, "first");
    add(joblog, 2, good, "second");
    t_limit_file_size(100);
    cr_assert_eq(mf_tsv_flush(joblog, &err), -EFBIG);
    cr_assert(strstr(err.text, "log: it cannot be written: File too large; make room"), "%s",
              err.text);
    cr_assert_eq(mf_tsv_flush(joblog, &err), -EFBIG);
    add(joblog, 3, good, "third");
    t_limit_file_size(RLIM_INFINITY);
    close_log(joblog);
    cr_assert_str_eq(t_read_file("log"),
                     HEADER "1\tn1\t1700000000.042\t    12.346\t0\t23\t0\t0\tfirst\n"
                            "2\tn1\t1700000000.042\t    12.346\t0\t23\t0\t0\tsecond\n"
                            "3\tn1\t1700000000.042\t    12.346\t0\t23\t0\t0\tthird\n");
}

Test(joblog, a_log_that_cannot_be_opened_is_named)
{
    struct mf_tsv *joblog;
    struct mf_error err = {0};

    cr_assert_eq(mf_joblog_open(t_path("no/log"), false, &joblog, &err), -ENOENT);
    cr_assert(strstr(err.text, "no/log: it cannot be opened: No such file"), "%s", err.text);
    cr_assert_eq(mf_tsv_close(NULL, NULL), 0);
}
