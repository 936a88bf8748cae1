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
#define TASKS_PER_SLOT 128
#define MIN_TASKS_PER_TURN 256
#define MAX_TASKS_PER_TURN 4096

/* Elements of a map that are in the book at a time. */
#define MAP_WINDOW 65536

/* Elements of a map that are put into the book at a time. */
#define MAP_STRETCH 1024

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
        order->hear = (void (*)(void))options->callback;
        order->hear_arg = options->callback_arg;
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

static void withdraw(struct mpifarm *farm, mf_ticket ticket)
{
    struct mf_book *book = mf_client_book(farm->client);
    const struct mf_booking *booking = mf_book_find(book, ticket);

    if (booking && !mf_task_state_is_final((enum mf_task_state)booking->state))
        mf_client_cancel(farm->client, ticket);
    mf_book_release(book, ticket);
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
        withdraw(farm, tickets[n]);
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
    int r = mf_api_check_client(farm, "mpifarm_submit_many");

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

/* The order of element 0. */
static int make_array(struct mpifarm *farm, int function, const void *inputs, size_t input_size,
                      size_t n, const struct mpifarm_task_options *options, bool is_held,
                      struct mf_order *ret_order)
{
    int r = check_call(farm, function, inputs, n > 0 ? input_size : 0);

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

int mpifarm_submit_array(struct mpifarm *farm, int function, const void *inputs, size_t input_size,
                         size_t n, const struct mpifarm_task_options *options,
                         mpifarm_future *ret_futures)
{
    struct mf_order first;
    mf_ticket *tickets;
    int r = mf_api_check_client(farm, "mpifarm_submit_array");

    if (r == 0)
        r = make_array(farm, function, inputs, input_size, n, options, ret_futures != NULL, &first);
    if (r < 0)
        return r;
    tickets = room_for_tickets(farm, n, ret_futures);
    if (!tickets)
        return -ENOMEM;
    r = submit_array(farm, &first, n, tickets);
    if (!ret_futures)
        free(tickets);
    return r;
}

/* --- map --- */

/*
 * @element   of the next element
 * @futures   of the elements from first to next, in a ring of MAP_WINDOW
 * @n_failed  elements that were not done
 */
struct map {
    struct mf_order element;
    size_t n, first, next;
    char *results;
    size_t result_size;
    uint64_t n_failed;
    mpifarm_future *futures;
};

/* The result of the first element that is out goes to its place. */
static void take_first(struct mpifarm *farm, struct map *map)
{
    mpifarm_future future = map->futures[map->first % MAP_WINDOW];
    char *place = map->results + map->first * map->result_size;
    struct mpifarm_result result;

    mf_api_describe(mf_book_find(mf_client_book(farm->client), future), &result);
    if (result.status == MPIFARM_DONE && result.size <= map->result_size) {
        if (result.size > 0)
            memcpy(place, result.data, result.size);
        if (result.size < map->result_size)
            memset(place + result.size, 0, map->result_size - result.size);
    } else {
        map->n_failed++;
    }
    mf_book_release(mf_client_book(farm->client), future);
    map->first++;
}

static bool is_first_over(struct mpifarm *farm, const struct map *map)
{
    mpifarm_future first = map->futures[map->first % MAP_WINDOW];

    return map->first < map->next &&
           mf_task_state_is_final(
               (enum mf_task_state)mf_book_find(mf_client_book(farm->client), first)->state);
}

/* The elements that can be put into the book at once: as far as the ring and the window go. */
static size_t next_stretch(const struct map *map)
{
    size_t n = map->n - map->next;
    size_t place = map->next % MAP_WINDOW;

    if (n > MAP_WINDOW - place)
        n = MAP_WINDOW - place;
    if (n > MAP_WINDOW - (map->next - map->first))
        n = MAP_WINDOW - (map->next - map->first);
    return n < MAP_STRETCH ? n : MAP_STRETCH;
}

static int submit_stretch(struct mpifarm *farm, struct map *map, size_t n)
{
    int r = submit_array(farm, &map->element, n, &map->futures[map->next % MAP_WINDOW]);

    if (r < 0)
        return r;
    map->next += n;
    map->element.tag += n;
    if (map->element.size > 0)
        map->element.input = (const char *)map->element.input + n * map->element.size;
    return 0;
}

static int run_map(struct mpifarm *farm, struct map *map)
{
    int r = 0;

    while (r == 0 && map->first < map->n) {
        size_t n = next_stretch(map);

        if (n > 0) {
            r = submit_stretch(farm, map, n);
            continue;
        }
        r = mpifarm_wait(farm, map->futures[map->first % MAP_WINDOW], MPIFARM_FOREVER);
        for (n = 0; r == 0 && n < MAP_STRETCH && is_first_over(farm, map); n++)
            take_first(farm, map);
    }
    while (map->first < map->next)
        withdraw(farm, map->futures[map->first++ % MAP_WINDOW]);
    return r;
}

int mpifarm_map(struct mpifarm *farm, int function, const void *inputs, size_t input_size, size_t n,
                void *results, size_t result_size, const struct mpifarm_task_options *options)
{
    struct map map = {.n = n, .results = results, .result_size = result_size};
    struct mpifarm_task_options own = options ? *options : (struct mpifarm_task_options){0};
    int r = mf_api_check_client(farm, "mpifarm_map");

    if (r == 0 && farm->is_in_callback)
        r = mf_api_fail(farm, -EDEADLK, "a callback cannot wait");
    own.delivery = MPIFARM_DELIVER_FUTURE;
    own.tag = 0;
    if (r == 0)
        r = make_array(farm, function, inputs, input_size, n, &own, true, &map.element);
    if (r < 0)
        return r;
    map.futures = reallocarray(NULL, MAP_WINDOW, sizeof(*map.futures));
    if (!map.futures)
        return mf_api_fail(farm, -ENOMEM, "out of memory");
    r = run_map(farm, &map);
    free(map.futures);
    if (r < 0)
        return r;
    return map.n_failed < INT_MAX ? (int)map.n_failed : INT_MAX;
}
