/* Outcomes as bytes and as words. */
#include "core/outcome.h"

#include <criterion/criterion.h>
#include <string.h>

static const struct mf_outcome sample = {
    .cause = MF_CAUSE_SIGNAL,
    .exit_status = 137,
    .signal = 9,
    .pid = 4711,
    .slot = 3,
    .started_wall_ns = INT64_C(1700000000123456789),
    .duration_ns = INT64_C(1500000000),
    .user_ns = -1,
    .system_ns = INT64_MIN,
    .max_rss_bytes = UINT64_MAX,
    .produced_bytes = {5, UINT64_C(1) << 40},
    .dropped_bytes = {0, 77},
    .detail = "left processes behind",
};

Test(outcome, decoding_gives_back_what_was_encoded)
{
    struct mf_buffer buffer = {0};
    struct mf_outcome outcome;
    struct mf_reader reader;

    memset(&outcome, 0, sizeof(outcome));
    mf_outcome_encode(&sample, &buffer);
    reader = mf_reader_over(buffer.data, buffer.size);
    mf_outcome_decode(&reader, &outcome);
    cr_assert_eq(mf_reader_finish(&reader), 0);
    cr_assert_eq(outcome.cause, sample.cause);
    cr_assert_eq(outcome.exit_status, sample.exit_status);
    cr_assert_eq(outcome.signal, sample.signal);
    cr_assert_eq(outcome.pid, sample.pid);
    cr_assert_eq(outcome.slot, sample.slot);
    cr_assert_eq(outcome.started_wall_ns, sample.started_wall_ns);
    cr_assert_eq(outcome.duration_ns, sample.duration_ns);
    cr_assert_eq(outcome.user_ns, sample.user_ns);
    cr_assert_eq(outcome.system_ns, sample.system_ns);
    cr_assert_eq(outcome.max_rss_bytes, sample.max_rss_bytes);
    cr_assert_arr_eq(outcome.produced_bytes, sample.produced_bytes, sizeof(sample.produced_bytes));
    cr_assert_arr_eq(outcome.dropped_bytes, sample.dropped_bytes, sizeof(sample.dropped_bytes));
    cr_assert_str_eq(outcome.detail, sample.detail);
    mf_buffer_finish(&buffer);
}

Test(outcome, memory_over_its_limit_is_told_with_both_numbers)
{
    struct mf_outcome outcome = {.cause = MF_CAUSE_MEMORY, .detail = "1.0 GiB (used 1.2 GiB)"};
    char text[100];

    cr_assert_str_eq(mf_outcome_describe(&outcome, text, sizeof(text)),
                     "over its memory of 1.0 GiB (used 1.2 GiB)");
    cr_assert_str_eq(mf_cause_name(MF_CAUSE_MEMORY), "memory");
}

Test(outcome, every_truncation_fails_the_reader)
{
    struct mf_buffer buffer = {0};
    struct mf_outcome outcome;

    mf_outcome_encode(&sample, &buffer);
    for (size_t size = 0; size < buffer.size; size++) {
        struct mf_reader reader = mf_reader_over(buffer.data, size);

        mf_outcome_decode(&reader, &outcome);
        cr_assert(reader.has_failed);
        cr_assert_eq(outcome.cause, MF_CAUSE_NONE);
        cr_assert_eq(outcome.pid, 0);
    }
    mf_buffer_finish(&buffer);
}

Test(outcome, an_unknown_cause_fails_the_reader)
{
    struct mf_buffer buffer = {0};
    struct mf_outcome outcome;
    struct mf_reader reader;

    mf_outcome_encode(&sample, &buffer);
    buffer.data[0] = MF_CAUSE_MAX + 1;
    reader = mf_reader_over(buffer.data, buffer.size);
    mf_outcome_decode(&reader, &outcome);
    cr_assert(mf_reader_finish(&reader) < 0);
    mf_buffer_finish(&buffer);
}

Test(outcome, a_detail_that_is_too_long_fails_the_reader)
{
    struct mf_buffer buffer = {0};
    char detail[sizeof(sample.detail) + 1];
    struct mf_outcome outcome;
    struct mf_reader reader;

    memset(detail, 'x', sizeof(detail) - 1);
    detail[sizeof(detail) - 1] = '\0';
    mf_outcome_encode(&sample, &buffer);
    buffer.size -= 4 + strlen(sample.detail);
    mf_buffer_put_text(&buffer, detail);
    reader = mf_reader_over(buffer.data, buffer.size);
    mf_outcome_decode(&reader, &outcome);
    cr_assert(mf_reader_finish(&reader) < 0);
    mf_buffer_finish(&buffer);
}

static void expect(struct mf_outcome outcome, const char *words)
{
    char text[256];

    cr_assert_str_eq(mf_outcome_describe(&outcome, text, sizeof(text)), words);
}

Test(outcome, each_cause_has_its_words)
{
    expect((struct mf_outcome){.cause = MF_CAUSE_NONE}, "succeeded");
    expect((struct mf_outcome){.cause = MF_CAUSE_EXIT, .exit_status = 3}, "exit status 3");
    expect((struct mf_outcome){.cause = MF_CAUSE_SIGNAL, .signal = 9},
           "killed by signal 9 (Killed)");
    expect((struct mf_outcome){.cause = MF_CAUSE_SIGNAL, .signal = 40}, "killed by signal 40");
    expect((struct mf_outcome){.cause = MF_CAUSE_TIMEOUT, .duration_ns = INT64_C(10000000000)},
           "over its time limit after 10.0 s");
    expect((struct mf_outcome){.cause = MF_CAUSE_START,
                               .exit_status = 127,
                               .detail = "No such file or directory"},
           "cannot be started: No such file or directory (127)");
    expect((struct mf_outcome){.cause = MF_CAUSE_LOST}, "its worker disappeared");
    expect((struct mf_outcome){.cause = MF_CAUSE_WALLTIME, .exit_status = 3},
           "cut short by the walltime (exit status 3)");
    expect((struct mf_outcome){.cause = MF_CAUSE_WALLTIME, .exit_status = 138, .signal = 10},
           "cut short by the walltime (signal 10)");
    expect((struct mf_outcome){.cause = MF_CAUSE_UNFIT}, "needs more than any worker has");
    expect((struct mf_outcome){.cause = (enum mf_cause)99}, "ended for an unknown reason (99)");
}

Test(outcome, a_detail_follows_the_cause)
{
    expect((struct mf_outcome){.cause = MF_CAUSE_EXIT,
                               .exit_status = 1,
                               .detail = "left processes behind"},
           "exit status 1: left processes behind");
}

static void expect_on(struct mf_outcome outcome, const char *words)
{
    char text[256];

    cr_assert_str_eq(mf_outcome_describe_on(&outcome, "n3", text, sizeof(text)), words);
}

Test(outcome, the_host_is_named_where_the_cause_may_lie_with_it)
{
    expect_on(
        (struct mf_outcome){.cause = MF_CAUSE_SIGNAL,
                            .signal = 9,
                            .detail = "peak memory 63.9 GiB of 64.0 GiB: probably out of memory"},
        "killed by signal 9 (Killed) on n3; peak memory 63.9 GiB of 64.0 GiB: probably out of "
        "memory");
    expect_on((struct mf_outcome){.cause = MF_CAUSE_LOST}, "its worker on n3 disappeared");
    expect_on((struct mf_outcome){.cause = MF_CAUSE_LAUNCHER,
                                  .detail = "was killed by signal 9 (Killed)"},
              "its launcher process on n3 was killed by signal 9 (Killed)");
    expect_on((struct mf_outcome){.cause = MF_CAUSE_LAUNCHER},
              "its launcher process on n3 disappeared");
    expect_on((struct mf_outcome){.cause = MF_CAUSE_TERMINATED},
              "ended when its worker got SIGTERM on n3");
    expect_on((struct mf_outcome){.cause = MF_CAUSE_START,
                                  .exit_status = 127,
                                  .detail = "No such file or directory"},
              "cannot be started on n3: No such file or directory (127)");
    expect_on((struct mf_outcome){.cause = MF_CAUSE_EXIT, .exit_status = 3}, "exit status 3");
}

Test(outcome, words_that_do_not_fit_are_cut)
{
    char text[10];

    mf_outcome_describe(&sample, text, sizeof(text));
    cr_assert_str_eq(text, "killed by");
}

Test(outcome, each_cause_has_a_word_for_tables)
{
    cr_assert_str_eq(mf_cause_name(MF_CAUSE_EXIT), "exit");
    cr_assert_str_eq(mf_cause_name(MF_CAUSE_UNFIT), "unfit");
    cr_assert_str_eq(mf_cause_name((enum mf_cause)99), "unknown");
}
