/* What passes between schedulers that come one after the other and workers, as bytes. */
#include "runtime/handover.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

TestSuite(handover);

Test(handover, a_takeover_says_who_comes_next)
{
    struct mf_takeover takeover = {.epoch = 7,
                                   .share = {.n_slots = 4, .n_gpus = 1, .mem_bytes = 99},
                                   .n_heirs = 3,
                                   .heirs = {5, 2, 9}};
    struct mf_takeover got;
    struct mf_buffer buffer = {0};

    mf_takeover_encode(&takeover, &buffer);
    cr_assert_eq(mf_takeover_decode(buffer.data, buffer.size, &got), 0);
    cr_assert_eq(got.epoch, 7);
    cr_assert(got.share.n_slots == 4 && got.share.n_gpus == 1 && got.share.mem_bytes == 99);
    cr_assert_eq(got.n_heirs, 3);
    cr_assert(got.heirs[0] == 5 && got.heirs[1] == 2 && got.heirs[2] == 9);
    for (size_t size = 0; size < buffer.size; size++)
        cr_assert_eq(mf_takeover_decode(buffer.data, size, &got), -EBADMSG);
    mf_buffer_finish(&buffer);
}

Test(handover, a_takeover_without_an_epoch_or_with_too_many_heirs_is_refused)
{
    struct mf_takeover takeover = {.epoch = 0}, got;
    struct mf_buffer buffer = {0};

    mf_takeover_encode(&takeover, &buffer);
    cr_assert_eq(mf_takeover_decode(buffer.data, buffer.size, &got), -EBADMSG);
    mf_buffer_clear(&buffer);
    mf_buffer_put_u64(&buffer, 1);
    for (int i = 0; i < 2; i++)
        mf_buffer_put_u64(&buffer, 0);
    mf_buffer_put_u32(&buffer, MF_MAX_HEIRS + 1);
    for (int i = 0; i <= MF_MAX_HEIRS; i++)
        mf_buffer_put_u32(&buffer, 1);
    cr_assert_eq(mf_takeover_decode(buffer.data, buffer.size, &got), -EBADMSG);
    mf_buffer_finish(&buffer);
}

Test(handover, a_report_is_as_long_as_it_says)
{
    struct mf_report report = {.share.n_slots = 2, .n_holdings = 2}, got;
    struct mf_holding holding = {.task = 3,
                                 .attempt = 4,
                                 .try_number = 1,
                                 .state = MF_TASK_SUSPENDED,
                                 .fingerprint = 77,
                                 .ran_ns = 5};
    struct mf_holding got_holding;
    struct mf_buffer buffer = {0};
    struct mf_reader reader;

    mf_report_encode(&report, &buffer);
    mf_holding_encode(&holding, &buffer);
    holding.task = 8;
    mf_holding_encode(&holding, &buffer);
    cr_assert_eq(mf_report_decode(buffer.data, buffer.size, &got, &reader), 0);
    cr_assert_eq(got.n_holdings, 2);
    cr_assert_eq(mf_holding_decode(&reader, &got_holding), 0);
    cr_assert(got_holding.task == 3 && got_holding.attempt == 4 && got_holding.ran_ns == 5 &&
              got_holding.fingerprint == 77 && got_holding.state == MF_TASK_SUSPENDED);
    cr_assert_eq(mf_holding_decode(&reader, &got_holding), 0);
    cr_assert_eq(got_holding.task, 8);
    for (size_t size = 0; size < buffer.size; size++)
        cr_assert_eq(mf_report_decode(buffer.data, size, &got, &reader), -EBADMSG);
    mf_buffer_finish(&buffer);
}

Test(handover, an_attempt_that_cannot_be_is_refused)
{
    struct mf_holding holding = {
        .task = 3, .attempt = 4, .try_number = 1, .state = MF_TASK_READY, .ran_ns = 5};
    struct mf_holding got;
    struct mf_buffer buffer = {0};
    struct mf_reader reader;

    mf_holding_encode(&holding, &buffer);
    reader = mf_reader_over(buffer.data, buffer.size);
    cr_assert_eq(mf_holding_decode(&reader, &got), -EBADMSG);
    mf_buffer_finish(&buffer);
}
