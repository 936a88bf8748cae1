/*
 * Thousands of short runs of ranges in the book against a model that knows of
 * each element alone. See support/seeds.h for
 * one that fails.
 */
#include "base/rng.h"
#include "core/book_private.h"
#include "core/range.h"
#include "support/seeds.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define N_RUNS 600
#define N_STEPS 200
#define MAX_RANGES 8
#define MAX_ELEMENTS 40
#define MAX_STRETCHES 16
#define N_GROUPS 3
#define RESULT_BYTES 4

/* More than a booking has room for. */
#define LONG_INPUT 20

/* @number  of the element's task once it is DETACHED */
struct element {
    enum { WAITS, IS_OUT, IS_DETACHED, HAS_ENDED } where;
    enum mf_task_state end;
    uint32_t number, tries;
    uint32_t result;
};

struct model_range {
    mf_ticket ticket;
    bool is_held, is_withdrawn, has_results;
    uint32_t group, n;
    int32_t priority;
    uint64_t n_not_done;
    uint32_t results[MAX_ELEMENTS];
    struct element elements[MAX_ELEMENTS];
};

struct model_stretch {
    struct mf_stretch *stretch;
    struct model_range *range;
};

struct stats {
    uint64_t done, failed, cancelled, retried, detached, returned, over;
};

struct sim {
    struct mf_rng rng;
    struct mf_book *book;
    struct model_range ranges[MAX_RANGES];
    struct model_stretch out[MAX_STRETCHES];
    uint32_t n_ranges, n_out, n_taken;
    uint64_t by_state[MF_TASK_STATE_COUNT];
    const char *breach;
    struct stats *stats;
};

static uint64_t draw(struct sim *sim, uint64_t bound)
{
    return mf_rng_below(&sim->rng, bound);
}

static void claim(struct sim *sim, bool holds, const char *breach)
{
    if (!holds && !sim->breach)
        sim->breach = breach;
}

/* --- the model --- */

static void model_end(struct sim *sim, struct model_range *range, uint64_t i,
                      enum mf_task_state state)
{
    struct element *element = &range->elements[i];

    claim(sim, element->where != HAS_ENDED, "an element ends twice");
    element->where = HAS_ENDED;
    element->end = state;
    range->n_not_done += state != MF_TASK_DONE;
    sim->by_state[state]++;
    sim->stats->done += state == MF_TASK_DONE;
    sim->stats->failed += state == MF_TASK_FAILED;
    sim->stats->cancelled += state == MF_TASK_CANCELLED;
}

/* An element whose function was done ends as its result has room, or has none. */
static void model_result(struct sim *sim, struct model_range *range, uint64_t i, uint32_t result,
                         size_t size)
{
    bool has_room = !range->has_results || size <= RESULT_BYTES;

    model_end(sim, range, i, has_room ? MF_TASK_DONE : MF_TASK_FAILED);
    if (range->has_results && has_room)
        range->elements[i].result = size == 0 ? 0 : result;
}

static uint64_t count_where(const struct model_range *range, unsigned where)
{
    uint64_t n = 0;

    for (uint32_t i = 0; i < range->n; i++)
        n += range->elements[i].where == where;
    return n;
}

/* --- operations --- */

static void add(struct sim *sim)
{
    struct model_range *range = &sim->ranges[sim->n_ranges];
    struct mf_range_results results = {range->results, RESULT_BYTES};
    uint8_t inputs[MAX_ELEMENTS * LONG_INPUT];
    size_t size = draw(sim, 2) ? LONG_INPUT : sizeof(uint32_t);

    if (sim->n_ranges == MAX_RANGES)
        return;
    *range = (struct model_range){.is_held = draw(sim, 2),
                                  .has_results = draw(sim, 2),
                                  .group = (uint32_t)draw(sim, N_GROUPS),
                                  .priority = (int32_t)draw(sim, 2),
                                  .n = 1 + (uint32_t)draw(sim, MAX_ELEMENTS)};
    memset(inputs, 0, sizeof(inputs));
    for (uint32_t i = 0; i < range->n; i++)
        memcpy(inputs + i * size, &(uint32_t){sim->n_ranges * 1000 + i}, sizeof(uint32_t));

    struct mf_order order = {.tag = sim->n_ranges * 1000,
                             .group = range->group,
                             .priority = range->priority,
                             .is_held = range->is_held,
                             .size = size,
                             .input = inputs};
    /* Inputs are compared when they have been copied alone. */
    struct mf_range_results *to = range->has_results ? &results : NULL;

    if (to)
        order.size = 0;
    claim(sim, mf_book_add_range(sim->book, &order, range->n, to, &range->ticket) == 0,
          "add_range() returns something else");
    sim->n_ranges++;
}

static struct model_range *find_range(struct sim *sim, uint32_t number)
{
    for (uint32_t i = 0; i < sim->n_ranges; i++)
        if ((uint32_t)sim->ranges[i].ticket == number &&
            mf_book_find(sim->book, sim->ranges[i].ticket))
            return &sim->ranges[i];
    return NULL;
}

/* A detached task that came back is taken like any other. */
static void take_task(struct sim *sim)
{
    struct mf_unit_limits limits = {.n_calls = 1, .n_bytes = 1000};
    uint32_t number;

    if (mf_book_take(sim->book, 0, &limits, 3, &number, &(struct mf_run){0}) == 0)
        return;
    for (uint32_t i = 0; i < sim->n_ranges; i++)
        for (uint32_t j = 0; j < sim->ranges[i].n; j++)
            if (sim->ranges[i].elements[j].where == IS_DETACHED &&
                sim->ranges[i].elements[j].number == number)
                return;
    claim(sim, false, "a task is taken that is no detached element");
}

static void take(struct sim *sim)
{
    struct mf_unit_limits limits = {
        .n_calls = 1 + (uint32_t)draw(sim, 12), .n_bytes = 4 + draw(sim, 60), .large_bytes = 64};
    struct mf_stretch *stretch;
    struct model_range *range;
    int error;

    if (sim->n_out == MAX_STRETCHES)
        return;
    stretch = mf_book_take_stretch(sim->book, 0, &limits, &error);
    if (!stretch) {
        take_task(sim);
        return;
    }
    range = find_range(sim, stretch->range);
    claim(sim, range != NULL, "a stretch of no range is taken");
    claim(sim, stretch->n > 0 && stretch->n <= limits.n_calls, "a stretch is empty or too long");
    for (uint64_t i = stretch->first; range && i < stretch->first + stretch->n; i++) {
        claim(sim, i < range->n && range->elements[i].where == WAITS,
              "an element is taken that does not wait");
        range->elements[i].where = IS_OUT;
    }
    for (uint32_t i = 0; range && i < sim->n_ranges; i++)
        claim(sim,
              sim->ranges[i].priority <= range->priority ||
                  count_where(&sim->ranges[i], WAITS) == 0,
              "a more urgent range was passed over");
    sim->out[sim->n_out++] = (struct model_stretch){stretch, range};
}

static struct model_stretch *pick_out(struct sim *sim)
{
    return sim->n_out > 0 ? &sim->out[draw(sim, sim->n_out)] : NULL;
}

static bool is_live(const struct model_stretch *out)
{
    return out->stretch->range != MF_NO_RANGE;
}

static void end_some(struct sim *sim)
{
    struct model_stretch *out = pick_out(sim);
    uint8_t bytes[MAX_ELEMENTS * 8];
    size_t size = draw(sim, 4) ? RESULT_BYTES : 8 * draw(sim, 2);
    uint64_t first, n;

    if (!out || out->stretch->n == 0)
        return;
    first = out->stretch->first;
    n = 1 + draw(sim, out->stretch->n);
    memset(bytes, 1 + (int)draw(sim, 200), sizeof(bytes));
    for (uint64_t i = first; i < first + n && is_live(out); i++) {
        uint32_t result;

        memcpy(&result, bytes, sizeof(result));
        claim(sim, out->range->elements[i].where == IS_OUT, "an element ends that is not out");
        model_result(sim, out->range, i, result, size);
    }
    mf_book_end_elements(sim->book, out->stretch, n, bytes, size);
}

static void detach(struct sim *sim)
{
    struct model_stretch *out = pick_out(sim);
    const struct mf_booking *booking;
    struct element *element;
    uint32_t input;
    uint64_t first;

    if (!out || out->stretch->n == 0 || !is_live(out))
        return;
    first = out->stretch->first;
    element = &out->range->elements[first];
    claim(sim, element->where == IS_OUT, "an element is detached that is not out");
    element->where = IS_DETACHED;
    element->number = mf_book_detach(sim->book, out->stretch, 3);
    booking = mf_book_at(sim->book, element->number);
    claim(sim, booking->tag == (uint64_t)(out->range - sim->ranges) * 1000 + first,
          "a detached task has another tag");
    if (booking->size > 0) {
        memcpy(&input, mf_booking_bytes(booking), sizeof(input));
        claim(sim, input == booking->tag, "a detached task has another input");
    }
    sim->stats->detached++;
}

static void give_back(struct sim *sim)
{
    struct model_stretch *out = pick_out(sim);

    if (!out)
        return;
    for (uint64_t i = 0; i < out->stretch->n && is_live(out); i++)
        out->range->elements[out->stretch->first + i].where = WAITS;
    mf_book_return_stretch(sim->book, out->stretch, draw(sim, 2));
    *out = sim->out[--sim->n_out];
    sim->stats->returned++;
}

static void end_detached(struct sim *sim, struct model_range *range, uint32_t i)
{
    struct element *element = &range->elements[i];
    bool is_done = draw(sim, 2);
    const uint32_t result[2] = {(uint32_t)draw(sim, 1000)};
    size_t size = draw(sim, 8) ? RESULT_BYTES : RESULT_BYTES + 1;

    if (mf_book_at(sim->book, element->number)->state != MF_TASK_PLACED)
        return;
    if (!is_done && ++element->tries < 2) {
        sim->stats->retried++;
    } else {
        if (is_done)
            model_result(sim, range, i, result[0], size);
        else
            model_end(sim, range, i, MF_TASK_FAILED);
    }
    mf_book_end(sim->book, element->number, is_done ? 0 : 1, 0, 1, result, size, false);
}

static void end_one(struct sim *sim)
{
    struct model_range *range = &sim->ranges[draw(sim, MAX_RANGES)];

    for (uint32_t i = 0; i < range->n; i++) {
        if (range->elements[i].where != IS_DETACHED || draw(sim, 2))
            continue;
        end_detached(sim, range, i);
        return;
    }
}

static void cancel(struct sim *sim)
{
    struct model_range *range = &sim->ranges[draw(sim, MAX_RANGES)];
    const struct mf_booking *booking = mf_book_find(sim->book, range->ticket);

    if (draw(sim, 4) || !booking || mf_task_state_is_final((enum mf_task_state)booking->state))
        return;
    for (uint32_t i = 0; i < range->n; i++)
        if (range->elements[i].where == WAITS || range->elements[i].where == IS_OUT)
            model_end(sim, range, i, MF_TASK_CANCELLED);
    range->is_withdrawn = true;
    mf_book_cancel(sim->book, (uint32_t)range->ticket);
}

/* --- the comparison --- */

static void compare_range(struct sim *sim, const struct model_range *range)
{
    const struct mf_booking *booking = mf_book_find(sim->book, range->ticket);
    uint64_t n_detached = count_where(range, IS_DETACHED);
    bool is_over = count_where(range, HAS_ENDED) == range->n;

    claim(sim, (booking != NULL) == (range->is_held || !is_over),
          "a range is kept too long, or not long enough");
    if (!booking)
        return;
    claim(sim,
          mf_task_state_is_final((enum mf_task_state)booking->state) ==
              (is_over || range->is_withdrawn),
          "a range is over, or is not");
    claim(sim, mf_booking_range(booking)->n_detached == n_detached, "other tasks are detached");
    claim(sim, mf_booking_range(booking)->n_not_done == range->n_not_done,
          "another number of elements is not done");
    for (uint32_t i = 0; i < range->n; i++)
        claim(sim, range->results[i] == range->elements[i].result, "a result is another one");
}

static void compare(struct sim *sim)
{
    uint64_t group_sizes[N_GROUPS] = {0}, n_all = 0;
    const char *breach = mf_book_check(sim->book);
    struct mf_book_counts counts;

    claim(sim, !breach, breach);
    mf_book_count(sim->book, &counts);
    for (uint32_t i = 0; i < sim->n_ranges; i++) {
        const struct model_range *range = &sim->ranges[i];

        compare_range(sim, range);
        group_sizes[range->group] += range->n - count_where(range, HAS_ENDED);
        n_all += range->n;
    }
    for (uint32_t group = 1; group < N_GROUPS; group++)
        claim(sim, mf_book_group_size(sim->book, group) == group_sizes[group],
              "the size of a group differs");
    for (int state = MF_TASK_DONE; state < MF_TASK_STATE_COUNT; state++)
        claim(sim, counts.by_state[state] == sim->by_state[state], "the counts by state differ");
    claim(sim, counts.submitted == n_all, "the count of tasks differs");
}

/* Ends all there is: nothing may be left over. */
static void run_dry(struct sim *sim)
{
    for (int step = 0; step < 20000 && !sim->breach; step++) {
        struct mf_book_counts counts;

        mf_book_count(sim->book, &counts);
        if (counts.unfinished == 0)
            break;
        take(sim);
        end_some(sim);
        if (sim->n_out > 0 && sim->out[0].stretch->n == 0)
            give_back(sim);
        for (uint32_t i = 0; i < sim->n_out; i++)
            if (sim->out[i].stretch->n == 0) {
                mf_book_return_stretch(sim->book, sim->out[i].stretch, false);
                sim->out[i--] = sim->out[--sim->n_out];
            }
        end_one(sim);
    }
    while (sim->n_out > 0)
        give_back(sim);
    compare(sim);
    for (uint32_t i = 0; i < sim->n_ranges; i++) {
        claim(sim, count_where(&sim->ranges[i], HAS_ENDED) == sim->ranges[i].n,
              "an element never ends");
        sim->stats->over++;
    }
}

static const char *run(uint64_t seed, struct stats *stats)
{
    static void (*const operations[])(struct sim * sim) = {
        add, take, take, take, take, detach, detach, end_some, end_one, end_one, give_back, cancel};
    static struct sim sim;

    memset(&sim, 0, sizeof(sim));
    sim.stats = stats;
    mf_rng_init(&sim.rng, seed);
    if (mf_book_create(2, &sim.book) < 0)
        return "out of memory";
    mf_book_note_duration(sim.book, 0, 1000, 0);
    for (int step = 0; step < N_STEPS && !sim.breach; step++) {
        operations[draw(&sim, sizeof(operations) / sizeof(operations[0]))](&sim);
        compare(&sim);
    }
    run_dry(&sim);
    mf_book_destroy(sim.book);
    return sim.breach;
}

Test(range_sim, each_element_ends_once_whatever_comes)
{
    uint64_t first = t_seed_first();
    uint64_t n_runs = t_seed_count(N_RUNS);
    struct stats stats = {0};

    for (uint64_t seed = first; seed < first + n_runs; seed++) {
        const char *breach = run(seed, &stats);

        cr_assert_null(breach, "seed %llu: %s", (unsigned long long)seed, breach);
    }
    if (t_is_seed_given())
        return;

    /* A simulation in which something never happens does not test it. */
    cr_assert(stats.done > 200 && stats.failed > 200 && stats.cancelled > 200);
    cr_assert(stats.retried > 200 && stats.detached > 200 && stats.returned > 200);
    cr_assert(stats.over > 200);
}
