/*
 * Units that are a stretch each: elements of a range, or a run of tasks. Runs in rank 0's only
 * thread.
 *
 * What is reported of elements that are simply done goes into the book at once,
 * whatever their number. One of which more is to be said becomes a task.
 */
#include "runtime/client_private.h"

#include <errno.h>

int mf_client_submit_range(struct mf_client *client, const struct mf_order *first, uint64_t n,
                           const struct mf_range_results *results, mf_ticket *ret_ticket)
{
    if (!mf_client_has_worker(client, first->rank))
        return -EHOSTUNREACH;
    client->is_stirred = true;
    return mf_book_add_range(client->book, first, n, results, ret_ticket);
}

void mf_client_cancel_range(struct mf_client *client, mf_ticket ticket)
{
    const struct mf_booking *range;
    uint64_t cursor = 0;
    uint32_t number;

    while (mf_book_next(client->book, &cursor, &number))
        if (mf_booking_is_of(mf_book_at(client->book, number), ticket))
            mf_client_cancel(client, mf_book_ticket(client->book, number));
    range = mf_book_find(client->book, ticket);
    if (range && !mf_task_state_is_final((enum mf_task_state)range->state))
        mf_client_cancel(client, ticket);
}

/* --- out --- */

void mf_unit_put_stretch(const struct mf_client *client, const struct mf_unit *unit,
                         struct mf_buffer *frame)
{
    const struct mf_stretch *stretch = unit->stretch;
    const struct mf_booking *booking = mf_book_at(client->book, stretch->range);
    const struct mf_range *range = mf_booking_range(booking);
    struct mf_call call = {
        .task = range->first_id + stretch->first,
        .function = booking->function,
        .size = booking->size,
        .input = booking->size > 0 ? range->inputs + stretch->first * booking->size : NULL,
        .details = {.tag = booking->tag + stretch->first,
                    .timeout_ns = booking->extra->timeout_ns,
                    .group = booking->group,
                    .try_number = 1,
                    .n_more = (uint32_t)stretch->n - 1},
        .steps = {.task = 1, .tag = 1},
    };

    mf_call_put(frame, &call);
}

void mf_unit_put_run(const struct mf_client *client, const struct mf_unit *unit,
                     struct mf_buffer *frame)
{
    const struct mf_booking *first = mf_book_at(client->book, unit->calls[0]);
    const struct mf_call call = {
        .task = mf_book_ticket(client->book, unit->calls[0]),
        .function = first->function,
        .size = first->size,
        .details = {.tag = first->tag,
                    .timeout_ns = first->extra ? first->extra->timeout_ns : 0,
                    .group = first->group,
                    .try_number = 1,
                    .n_more = unit->n_calls - 1},
        .steps = {.task = unit->run.ticket_step, .tag = unit->run.tag_step},
    };

    if (mf_buffer_reserve(frame, MF_STRETCH_HEAD_BYTES + unit->n_calls * call.size) < 0)
        return;
    frame->size += mf_call_put_head(frame->data + frame->size, &call);
    for (uint32_t i = 0; i < unit->n_calls; i++) {
        mf_copy(frame->data + frame->size,
                mf_booking_bytes(mf_book_at(client->book, unit->calls[i])), call.size);
        frame->size += call.size;
    }
}

/* --- back --- */

bool mf_unit_is_next_wanted(const struct mf_unit *unit)
{
    if (unit->has_detached)
        return unit->detached != MF_NO_CALL;
    if (unit->stretch)
        return unit->stretch->range != MF_NO_RANGE;
    return unit->calls[unit->n_reported] != MF_NO_CALL;
}

uint32_t mf_unit_next(struct mf_client *client, struct mf_unit *unit)
{
    if (unit->has_detached)
        return unit->detached;
    if (!unit->stretch)
        return unit->calls[unit->n_reported];
    unit->has_detached = true;
    unit->detached = MF_NO_CALL;
    if (unit->stretch->range != MF_NO_RANGE)
        unit->detached = mf_book_detach(client->book, unit->stretch, unit->number);
    else
        mf_book_end_elements(client->book, unit->stretch, 1, NULL, 0);
    return unit->detached;
}

void mf_unit_step(struct mf_unit *unit)
{
    unit->n_reported++;
    unit->has_detached = false;
}

void mf_unit_end_elements(struct mf_client *client, struct mf_unit *unit, uint32_t n,
                          const uint8_t *results, size_t size)
{
    mf_book_end_elements(client->book, unit->stretch, n, results, size);
    unit->n_reported += n;
}
