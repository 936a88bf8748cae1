/* Tasks in. */
#include "api/farm.h"

#include "base/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/*
 * Tasks that are submitted before any is sent, unless the client waits: some
 * for each slot, so that all get a message full of them.
 */
#define TASKS_PER_SLOT 512
#define MIN_TASKS_PER_TURN 256
#define MAX_TASKS_PER_TURN 4096

/* Lets workers begin while the client is still submitting. */
static void note_submitted(struct mpifarm *farm, size_t n)
{
    size_t n_enough = (size_t)TASKS_PER_SLOT * mf_client_n_slots(farm->client);

    if (n_enough < MIN_TASKS_PER_TURN)
        n_enough = MIN_TASKS_PER_TURN;
    if (n_enough > MAX_TASKS_PER_TURN)
        n_enough = MAX_TASKS_PER_TURN;
    farm->n_untold += n;
    /* A callback that submits must not make the ends that it is called for. */
    if (farm->n_untold < n_enough || farm->is_in_callback)
        return;
    farm->n_untold = 0;
    mf_client_turn(farm->client, mf_clock_monotonic_ns());
}

static int check_options(struct mpifarm *farm, const struct mpifarm_task_options *options)
{
    if (options->timeout_ns < 0)
        return mf_api_fail(farm, -EINVAL, "options: timeout_ns is negative");
    if ((unsigned)options->delivery > MPIFARM_DELIVER_NONE)
        return mf_api_fail(farm, -EINVAL, "options: there is no delivery %d",
                           (int)options->delivery);
    if (options->delivery == MPIFARM_DELIVER_CALLBACK && !options->callback)
        return mf_api_fail(farm, -EINVAL, "options: there is no callback to deliver to");
    if (options->n_after > 0 && !options->after)
        return mf_api_fail(farm, -EINVAL, "options: n_after is not 0, but after is NULL");
    /* A task that goes on after it was released is in the book all the same. */
    for (size_t i = 0; i < options->n_after; i++)
        if (!mf_api_find(farm, options->after[i]))
            return mf_api_fail(farm, -ESTALE, "options: a future in after was released");
    return 0;
}

/* The order that options ask for. Returns 0, -EINVAL or -ESTALE. */
static int make_order(struct mpifarm *farm, const struct mpifarm_task_options *options,
                      bool is_held, struct mf_order *order)
{
    int r;

    *order = (struct mf_order){.is_held = is_held,
                               .delivery = is_held ? MF_DELIVER_FUTURE : MF_DELIVER_NONE};
    if (!options)
        return 0;
    r = check_options(farm, options);
    if (r < 0)
        return r;
    order->tag = options->tag;
    order->group = options->group;
    order->priority = options->priority;
    order->max_attempts = options->max_attempts;
    order->timeout_ns = options->timeout_ns;
    order->after = options->after;
    order->n_after = options->n_after;
    order->rank = options->rank;
    if (is_held || options->delivery != MPIFARM_DELIVER_FUTURE)
        order->delivery = (enum mf_delivery)options->delivery;
    if (options->delivery == MPIFARM_DELIVER_CALLBACK) {
        order->hearer.hear = (void (*)(void))options->callback;
        order->hearer.arg = options->callback_arg;
    }
    return 0;
}

static int check_call(struct mpifarm *farm, int function, const void *input, size_t size)
{
    if (function < 0 || (uint32_t)function >= farm->functions.n_items)
        return mf_api_fail(farm, -ENOENT, "there is no function %d", function);
    if (!input && size > 0)
        return mf_api_fail(farm, -EINVAL, "the input is NULL, and its size is not 0");
    return 0;
}

static int fail_unreachable(struct mpifarm *farm, uint32_t rank)
{
    if (rank != 0)
        return mf_api_fail(farm, -EHOSTUNREACH, "rank %" PRIu32 " is no worker", rank);
    return mf_api_fail(farm, -EHOSTUNREACH, "no worker is left");
}

/* Says why a task was not kept. Returns r. */
static int explain(struct mpifarm *farm, const struct mf_order *order, int r)
{
    switch (r) {
    case 0:
        return 0;
    case -EHOSTUNREACH:
        return fail_unreachable(farm, order->rank);
    case -ESTALE:
        return mf_api_fail(farm, r, "options: a future in after was released");
    default:
        return mf_api_fail(farm, r, "a task cannot be kept: %s", strerror(-r));
    }
}

int mpifarm_submit(struct mpifarm *farm, int function, const void *input, size_t size,
                   const struct mpifarm_task_options *options, mpifarm_future *ret_future)
{
    struct mf_order order;
    mf_ticket ticket;
    int r = mf_api_check_client(farm, "mpifarm_submit");

    if (r == 0)
        r = check_call(farm, function, input, size);
    if (r == 0)
        r = make_order(farm, options, ret_future != NULL, &order);
    if (r < 0)
        return r;
    order.function = (uint16_t)function;
    order.input = input;
    order.size = size;
    r = mf_client_submit(farm->client, &order, &ticket);
    if (r < 0)
        return explain(farm, &order, r);
    if (ret_future)
        *ret_future = ticket;
    note_submitted(farm, 1);
    return 0;
}

/* None of them was sent yet. */
static void withdraw_all(struct mpifarm *farm, const mf_ticket *tickets, size_t n)
{
    while (n-- > 0)
        mf_book_undo_add(mf_client_book(farm->client), tickets[n]);
}

/* Where the tickets of n tasks go, also when nobody asks for them: some may have to be withdrawn.
 */
static mf_ticket *room_for_tickets(struct mpifarm *farm, size_t n, mpifarm_future *ret_futures)
{
    mf_ticket *tickets = ret_futures;

    if (!tickets)
        tickets = reallocarray(NULL, n ? n : 1, sizeof(*tickets));
    if (!tickets)
        mf_api_fail(farm, -ENOMEM, "out of memory");
    return tickets;
}

/* --- many tasks --- */

static int make_one(struct mpifarm *farm, const struct mpifarm_task *task, bool is_held,
                    struct mf_order *order)
{
    int r = check_call(farm, task->function, task->input, task->size);

    if (r == 0)
        r = make_order(farm, task->options, is_held, order);
    if (r < 0)
        return r;
    order->function = (uint16_t)task->function;
    order->input = task->input;
    order->size = task->size;
    return 0;
}

/* What is refused should not even be counted, so all are looked at first. */
static int check_many(struct mpifarm *farm, const struct mpifarm_task *tasks, size_t n)
{
    struct mf_order order;

    for (size_t i = 0; i < n; i++) {
        int r = make_one(farm, &tasks[i], false, &order);

        if (r < 0)
            return r;
        if (!mf_client_has_worker(farm->client, order.rank))
            return fail_unreachable(farm, order.rank);
    }
    return 0;
}

static int submit_each(struct mpifarm *farm, const struct mpifarm_task *tasks, size_t n,
                       bool is_held, mf_ticket *tickets)
{
    struct mf_order order;

    for (size_t i = 0; i < n; i++) {
        int r = make_one(farm, &tasks[i], is_held, &order);

        if (r == 0) {
            r = mf_client_submit(farm->client, &order, &tickets[i]);
            if (r < 0)
                explain(farm, &order, r);
        }
        if (r < 0) {
            withdraw_all(farm, tickets, i);
            return r;
        }
    }
    note_submitted(farm, n);
    return 0;
}

int mpifarm_submit_many(struct mpifarm *farm, const struct mpifarm_task *tasks, size_t n,
                        mpifarm_future *ret_futures)
{
    mf_ticket *tickets;
    int r = mf_api_check_pointer(farm, "mpifarm_submit_many", n > 0 ? (const void *)tasks : farm,
                                 "tasks");

    if (r == 0)
        r = check_many(farm, tasks, n);
    if (r < 0)
        return r;
    tickets = room_for_tickets(farm, n, ret_futures);
    if (!tickets)
        return -ENOMEM;
    r = submit_each(farm, tasks, n, ret_futures != NULL, tickets);
    if (!ret_futures)
        free(tickets);
    return r;
}

/* --- arrays --- */

/* No memory is as long as n elements of some sizes, so they are mistakes. */
static int check_length(struct mpifarm *farm, size_t n, size_t size)
{
    if (n > 0 && n > PTRDIFF_MAX / (size ? size : 1))
        return mf_api_fail(farm, -EINVAL, "%zu elements of %zu bytes are more than there can be", n,
                           size);
    return 0;
}

/* The order of element 0. */
static int make_array(struct mpifarm *farm, int function, const void *inputs, size_t input_size,
                      size_t n, const struct mpifarm_task_options *options, bool is_held,
                      struct mf_order *ret_order)
{
    int r = check_call(farm, function, inputs, n > 0 ? input_size : 0);

    if (r == 0)
        r = check_length(farm, n, input_size);
    if (r == 0)
        r = make_order(farm, options, is_held, ret_order);
    if (r < 0)
        return r;
    ret_order->function = (uint16_t)function;
    ret_order->input = inputs;
    ret_order->size = input_size;
    return 0;
}

/* All of them or none. */
static int submit_array(struct mpifarm *farm, const struct mf_order *first, size_t n,
                        mf_ticket *tickets)
{
    size_t n_added;
    int r = mf_client_submit_array(farm->client, first, n, tickets, &n_added);

    if (r < 0) {
        withdraw_all(farm, tickets, n_added);
        return explain(farm, first, r);
    }
    note_submitted(farm, n);
    return 0;
}

/* Booked as one, when nobody asks for single elements; those that are given results of others
 * differ too much for that to pay. */
static int submit_range(struct mpifarm *farm, const struct mf_order *first, size_t n,
                        const struct mf_range_results *results, mf_ticket *ret_ticket)
{
    int r = mf_client_submit_range(farm->client, first, n, results, ret_ticket);

    if (r < 0)
        return explain(farm, first, r);
    note_submitted(farm, n);
    return 0;
}

int mpifarm_submit_array(struct mpifarm *farm, int function, const void *inputs, size_t input_size,
                         size_t n, const struct mpifarm_task_options *options,
                         mpifarm_future *ret_futures)
{
    struct mf_order first;
    mf_ticket *tickets, range;
    int r = mf_api_check_client(farm, "mpifarm_submit_array");

    if (r == 0)
        r = make_array(farm, function, inputs, input_size, n, options, ret_futures != NULL, &first);
    if (r < 0)
        return r;
    if (!ret_futures && first.delivery == MF_DELIVER_NONE && first.n_after == 0 && n > 0)
        return submit_range(farm, &first, n, NULL, &range);
    tickets = room_for_tickets(farm, n, ret_futures);
    if (!tickets)
        return -ENOMEM;
    r = submit_array(farm, &first, n, tickets);
    if (!ret_futures)
        free(tickets);
    return r;
}

/* --- map --- */

/* Waits for the whole. Returns how many of it were not done, or -errno. */
static int run_map(struct mpifarm *farm, mf_ticket range)
{
    struct mf_book *book = mf_client_book(farm->client);
    int r = mpifarm_wait(farm, range, MPIFARM_FOREVER);
    uint64_t n_not_done;

    if (r < 0)
        mf_client_cancel_range(farm->client, range);
    n_not_done = mf_booking_range(mf_book_find(book, range))->n_not_done;
    mf_book_release(book, range);
    if (r < 0)
        return r;
    return n_not_done < INT_MAX ? (int)n_not_done : INT_MAX;
}

int mpifarm_map(struct mpifarm *farm, int function, const void *inputs, size_t input_size, size_t n,
                void *results, size_t result_size, const struct mpifarm_task_options *options)
{
    struct mpifarm_task_options own = options ? *options : (struct mpifarm_task_options){0};
    const struct mf_range_results places = {.data = results, .size = result_size};
    struct mf_order first;
    mf_ticket range;
    int r = mf_api_check_client(farm, "mpifarm_map");

    if (r == 0 && farm->is_in_callback)
        r = mf_api_fail(farm, -EDEADLK, "a callback cannot wait");
    own.delivery = MPIFARM_DELIVER_FUTURE;
    own.tag = 0;
    if (r == 0)
        r = make_array(farm, function, inputs, input_size, n, &own, true, &first);
    if (r == 0)
        r = check_length(farm, n, result_size);
    if (r == 0 && !results && n > 0 && result_size > 0)
        r = mf_api_fail(farm, -EINVAL, "results is NULL, and result_size is not 0");
    if (r < 0 || n == 0)
        return r;
    r = submit_range(farm, &first, n, &places, &range);
    return r < 0 ? r : run_map(farm, range);
}
