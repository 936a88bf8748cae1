/* Futures, and what came of their tasks; blocks. */
#include "api/farm.h"

#include "base/clock.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

static int fail_stale(struct mpifarm *farm)
{
    return mf_api_fail(farm, -ESTALE, "the future was released, or never was");
}

struct mf_booking *mf_api_find(struct mpifarm *farm, mpifarm_future future)
{
    struct mf_booking *booking = mf_book_find(mf_client_book(farm->client), future);

    if (!booking || !booking->is_held) {
        fail_stale(farm);
        return NULL;
    }
    return booking;
}

/* --- results --- */

static enum mpifarm_status status_of(const struct mf_booking *booking)
{
    switch ((enum mf_task_state)booking->state) {
    case MF_TASK_DONE:
        return MPIFARM_DONE;
    case MF_TASK_FAILED:
        return MPIFARM_FAILED;
    case MF_TASK_CANCELLED:
        return MPIFARM_CANCELLED;
    case MF_TASK_SKIPPED:
        return MPIFARM_SKIPPED;
    default:
        return MPIFARM_PENDING;
    }
}

/* For a function that did not say. */
static const char *sentence_of(enum mpifarm_cause cause)
{
    switch (cause) {
    case MPIFARM_CAUSE_FUNCTION:
        return "the function returned other than 0";
    case MPIFARM_CAUSE_TIMEOUT:
        return "over its time limit";
    case MPIFARM_CAUSE_CRASHED:
        return "killed by a signal";
    case MPIFARM_CAUSE_EXITED:
        return "it ended its process";
    case MPIFARM_CAUSE_LOST:
        return "the ranks that ran it disappeared";
    case MPIFARM_CAUSE_UNFIT:
        return "no worker can run it";
    case MPIFARM_CAUSE_MEMORY:
        return "over its memory limit, or there was no memory for its input or result";
    default:
        return "";
    }
}

static void describe_failure(const struct mf_booking *booking, struct mpifarm_result *result)
{
    const char *message = (const char *)mf_booking_bytes(booking);

    result->cause = (enum mpifarm_cause)booking->cause;
    result->code = booking->code;
    result->message = booking->size > 0 && message[0] && message[booking->size - 1] == '\0'
                          ? message
                          : sentence_of(result->cause);
}

_Static_assert((int)MF_BOOK_TOO_LONG == (int)MPIFARM_CAUSE_FUNCTION &&
                   (int)MF_BOOK_OUT_OF_MEMORY == (int)MPIFARM_CAUSE_MEMORY,
               "the book's causes are the library's");

void mf_api_describe(const struct mf_booking *booking, struct mpifarm_result *ret_result)
{
    bool is_done = booking->state == MF_TASK_DONE;

    *ret_result = (struct mpifarm_result){
        .status = status_of(booking),
        .message = booking->state == MF_TASK_CANCELLED ? "cancelled"
                   : booking->state == MF_TASK_SKIPPED ? "a task that it comes after was not done"
                                                       : "",
        .tag = booking->tag,
        .attempts = (booking->extra ? booking->extra->tries + booking->extra->n_lost
                                    : booking->state == MF_TASK_FAILED) +
                    is_done,
    };
    if (is_done && booking->size > 0) {
        ret_result->data = mf_booking_bytes(booking);
        ret_result->size = booking->size;
    } else if (booking->state == MF_TASK_FAILED) {
        describe_failure(booking, ret_result);
    }
}

int mpifarm_result(struct mpifarm *farm, mpifarm_future future, struct mpifarm_result *ret_result)
{
    const struct mf_booking *booking;
    int r = mf_api_check_pointer(farm, "mpifarm_result", ret_result, "ret_result");

    if (r < 0)
        return r;
    booking = mf_api_find(farm, future);
    if (!booking)
        return -ESTALE;
    mf_api_describe(booking, ret_result);
    if (ret_result->status == MPIFARM_PENDING)
        return mf_api_fail(farm, -EAGAIN, "the task has not ended");
    return 0;
}

int mpifarm_release(struct mpifarm *farm, mpifarm_future future)
{
    int r = mf_api_check_client(farm, "mpifarm_release");

    if (r < 0)
        return r;
    return mf_book_release(mf_client_book(farm->client), future) < 0 ? fail_stale(farm) : 0;
}

void mf_api_call_back(struct mpifarm *farm)
{
    struct mf_book *book = mf_client_book(farm->client);
    mf_ticket ticket;

    while (mf_book_hear(book, MF_DELIVER_CALLBACK, &ticket)) {
        const struct mf_booking *booking = mf_book_find(book, ticket);
        mpifarm_callback callback = (mpifarm_callback)booking->extra->hearer[0].hear;
        struct mpifarm_result result;

        mf_api_describe(booking, &result);
        farm->is_in_callback = true;
        callback(farm, ticket, &result, booking->extra->hearer[0].arg);
        farm->is_in_callback = false;
        /* Unless the callback has done so. */
        mf_book_release(book, ticket);
    }
}

/* --- cancelling --- */

int mpifarm_cancel(struct mpifarm *farm, mpifarm_future future)
{
    const struct mf_booking *booking;
    int r = mf_api_check_client(farm, "mpifarm_cancel");

    if (r < 0)
        return r;
    booking = mf_api_find(farm, future);
    if (!booking)
        return -ESTALE;
    if (mf_task_state_is_final((enum mf_task_state)booking->state))
        return 1;
    mf_client_cancel(farm->client, future);
    return 0;
}

/* Withdraws what is left of a task or range. Returns how many tasks that is. */
static uint64_t cancel_whole(struct mpifarm *farm, uint32_t number)
{
    struct mf_book *book = mf_client_book(farm->client);
    const struct mf_booking *booking = mf_book_at(book, number);
    const struct mf_range *range = mf_booking_range(booking);
    uint64_t n = range ? range->n_ready + range->n_placed : 1;

    if (mf_task_state_is_final((enum mf_task_state)booking->state))
        return 0;
    mf_client_cancel(farm->client, mf_book_ticket(book, number));
    return n;
}

int mpifarm_cancel_group(struct mpifarm *farm, uint32_t group)
{
    struct mf_book *book;
    uint64_t cursor = 0, n = 0;
    uint32_t number;
    int r = mf_api_check_client(farm, "mpifarm_cancel_group");

    if (r < 0)
        return r;
    book = mf_client_book(farm->client);
    while (group != 0 && mf_book_group_size(book, group) > 0 &&
           mf_book_next(book, &cursor, &number))
        if (mf_book_at(book, number)->group == group)
            n += cancel_whole(farm, number);
    return n < INT_MAX ? (int)n : INT_MAX;
}

/* --- counts --- */

int mpifarm_count(const struct mpifarm *farm, struct mpifarm_counts *ret_counts)
{
    struct mf_client_counts client;
    struct mf_book_counts book;
    int r = mf_api_check_pointer(mf_api_writable(farm), "mpifarm_count", ret_counts, "ret_counts");

    if (r < 0)
        return r;
    mf_book_count(mf_client_book(farm->client), &book);
    mf_client_count(farm->client, &client);
    *ret_counts = (struct mpifarm_counts){
        .n_submitted = book.submitted,
        .n_waiting = book.by_state[MF_TASK_WAITING],
        .n_queued = book.by_state[MF_TASK_READY],
        .n_sent = book.by_state[MF_TASK_PLACED],
        .n_done = book.by_state[MF_TASK_DONE],
        .n_failed = book.by_state[MF_TASK_FAILED],
        .n_cancelled = book.by_state[MF_TASK_CANCELLED],
        .n_skipped = book.by_state[MF_TASK_SKIPPED],
        .n_retried = book.retried,
        .n_stale = client.n_stale,
        .n_workers = client.n_workers,
        .n_slots = client.n_slots,
        .busy_ns = client.busy_ns,
    };
    return 0;
}

/* --- blocks --- */

static int is_block_stored(struct mpifarm *farm, void *arg)
{
    return mf_client_is_stored(farm->client, *(const uint32_t *)arg);
}

int mpifarm_broadcast(struct mpifarm *farm, const void *data, size_t size, mpifarm_block *ret_block)
{
    uint32_t block;
    int r = mf_api_check_pointer(farm, "mpifarm_broadcast", ret_block, "ret_block");

    if (r < 0)
        return r;
    if (size == 0 || !data)
        return mf_api_fail(farm, -EINVAL, "mpifarm_broadcast() was given nothing");
    if (farm->is_in_callback)
        return mf_api_fail(farm, -EDEADLK, "a callback cannot wait");
    r = mf_client_broadcast(farm->client, data, size, &block);
    if (r < 0)
        return mf_api_fail(farm, r, "a block cannot be sent: %s", strerror(-r));
    r = mf_api_wait(farm, is_block_stored, &block, MPIFARM_FOREVER);
    if (r < 0) {
        mf_client_drop_block(farm->client, block);
        return r == -EIO
                   ? mf_api_fail(farm, r, "a rank was lost before it had the block")
                   : mf_api_fail(farm, r, "a block of %zu bytes cannot be kept on some node: %s",
                                 size, strerror(-r));
    }
    *ret_block = block;
    return 0;
}

int mpifarm_drop_block(struct mpifarm *farm, mpifarm_block block)
{
    int r = mf_api_check_client(farm, "mpifarm_drop_block");

    if (r < 0)
        return r;
    r = mf_client_drop_block(farm->client, block);
    if (r < 0)
        mf_api_fail(farm, r, "there is no block %u", (unsigned)block);
    return r;
}
