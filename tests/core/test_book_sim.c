/*
 * Thousands of short runs of the book against a model that does everything the
 * plain way, by looking at all tasks. See support/seeds.h for
 * one that fails.
 */
#include "base/rng.h"
#include "core/book_private.h"
#include "support/seeds.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define N_RUNS 1000
#define N_STEPS 250
#define MAX_TASKS (N_STEPS + 1)
#define MAX_AFTER 4
#define MAX_CALLS 8
#define N_GROUPS 4
#define N_RANKS 3
#define LARGE_BYTES 90
#define CALL_BYTES 16
#define RUN_BYTES 30

/*
 * A task, as the model has it.
 *
 * @position  READY ones of equal rank and priority go in this order
 * @ended     when it ended, for the order in which it is heard of
 * @is_there  it is in the book
 * @is_given  its bytes are its input, of own_size bytes, and the results of others
 */
struct model_task {
    mf_ticket ticket;
    enum mf_task_state state;
    uint64_t tag;
    uint32_t group, rank;
    int32_t priority;
    uint32_t max_attempts, tries, n_lost;
    enum mf_delivery delivery;
    bool is_held, is_heard, is_alone, is_there, is_given;
    int64_t position;
    int64_t ended;
    size_t size, own_size, checkpoint_size;
    uint8_t first_byte, cause;
    int after[MAX_AFTER];
    int n_after;
};

struct stats {
    uint64_t done, failed, cancelled, skipped, retried, lost, heard, stale, reused, runs;
};

struct sim {
    struct mf_rng rng;
    struct mf_book *book;
    struct model_task tasks[MAX_TASKS];
    int n_tasks;
    uint64_t n_added, n_retried, by_state[MF_TASK_STATE_COUNT];
    int64_t front, back, now;
    uint32_t max_attempts;
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

static bool is_over(const struct model_task *task)
{
    return mf_task_state_is_final(task->state);
}

static bool is_listened_for(const struct model_task *task)
{
    return task->delivery == MF_DELIVER_QUEUE || task->delivery == MF_DELIVER_CALLBACK;
}

/* Whether a task is still to be given the result of this one. */
static bool is_awaited(const struct sim *sim, const struct model_task *task)
{
    for (int i = 0; i < sim->n_tasks; i++) {
        const struct model_task *taker = &sim->tasks[i];

        for (int j = 0; j < taker->n_after; j++)
            if (!is_over(taker) && !taker->is_given && &sim->tasks[taker->after[j]] == task)
                return true;
    }
    return false;
}

static void model_forget(struct sim *sim)
{
    for (int i = 0; i < sim->n_tasks; i++) {
        struct model_task *task = &sim->tasks[i];

        if (is_over(task) && !task->is_held && !(is_listened_for(task) && !task->is_heard) &&
            task->is_there && !is_awaited(sim, task))
            task->is_there = false;
    }
}

static size_t padded(size_t n)
{
    return (n + 15) / 16 * 16;
}

/* When it is looked at for a unit, the results come behind its input. */
static void model_give(struct sim *sim, struct model_task *task)
{
    size_t size = padded(task->size) + 8 + 16 * ((size_t)task->n_after + 1);

    if (task->n_after == 0 || task->is_given)
        return;
    for (int i = 0; i < task->n_after; i++)
        size += padded(sim->tasks[task->after[i]].size);
    task->own_size = task->size;
    task->size = size;
    task->is_given = true;
}

static void model_ready(struct sim *sim, struct model_task *task, bool is_first)
{
    task->state = MF_TASK_READY;
    task->position = is_first ? --sim->front : ++sim->back;
}

static void model_end(struct sim *sim, struct model_task *task, enum mf_task_state state)
{
    task->state = state;
    task->ended = ++sim->now;
    sim->stats->done += state == MF_TASK_DONE;
    sim->stats->failed += state == MF_TASK_FAILED;
    sim->stats->cancelled += state == MF_TASK_CANCELLED;
    sim->stats->skipped += state == MF_TASK_SKIPPED;
    sim->by_state[state]++;
    if (state == MF_TASK_CANCELLED || state == MF_TASK_SKIPPED)
        task->size = 0;
}

/*
 * Looks at every task that waits until nothing follows any more. Which of
 * several that follow from one end goes first is the book's to choose, so the
 * order is taken from it afterwards.
 */
static void model_spread(struct sim *sim)
{
    for (bool has_changed = true; has_changed;) {
        has_changed = false;
        for (int i = 0; i < sim->n_tasks; i++) {
            struct model_task *task = &sim->tasks[i];
            bool waits = false, is_skipped = false;

            if (task->state != MF_TASK_WAITING)
                continue;
            for (int j = 0; j < task->n_after; j++) {
                const struct model_task *before = &sim->tasks[task->after[j]];

                waits |= !is_over(before);
                is_skipped |= is_over(before) && before->state != MF_TASK_DONE;
            }
            if (is_skipped)
                model_end(sim, task, MF_TASK_SKIPPED);
            else if (!waits)
                model_ready(sim, task, false);
            has_changed |= is_skipped || !waits;
        }
    }
}

static bool goes_before(const struct model_task *a, const struct model_task *b)
{
    return a->priority != b->priority ? a->priority > b->priority : a->position < b->position;
}

static struct model_task *model_first(struct sim *sim, uint32_t rank)
{
    struct model_task *first = NULL;

    for (int i = 0; i < sim->n_tasks; i++) {
        struct model_task *task = &sim->tasks[i];

        if (task->state == MF_TASK_READY && task->rank == rank &&
            (!first || goes_before(task, first)))
            first = task;
    }
    return first;
}

/* A task in one of the states of the mask, or NULL if there is none. */
static struct model_task *pick(struct sim *sim, unsigned states)
{
    int first = sim->n_tasks ? (int)draw(sim, (uint64_t)sim->n_tasks) : 0;

    for (int i = 0; i < sim->n_tasks; i++) {
        struct model_task *task = &sim->tasks[(first + i) % sim->n_tasks];

        if (task->is_there && (states & 1u << task->state))
            return task;
    }
    return NULL;
}

#define UNFINISHED (1u << MF_TASK_WAITING | 1u << MF_TASK_READY | 1u << MF_TASK_PLACED)

/* --- operations --- */

static void add(struct sim *sim)
{
    static uint8_t bytes[256];
    struct model_task *task = &sim->tasks[sim->n_tasks];
    mf_ticket after[MAX_AFTER];
    bool is_stale = false, is_reused = false;

    *task = (struct model_task){
        .tag = (uint64_t)sim->n_tasks,
        .group = (uint32_t)draw(sim, N_GROUPS),
        .rank = draw(sim, 4) ? 0 : (uint32_t)draw(sim, N_RANKS),
        .priority = (int32_t)draw(sim, 3) - 1,
        .max_attempts = (uint32_t)draw(sim, 4),
        .delivery = (enum mf_delivery)draw(sim, 4),
        .is_held = draw(sim, 2),
        .is_there = true,
        .size = draw(sim, draw(sim, 3) ? 20 : 200),
        .first_byte = (uint8_t)draw(sim, 256),
        .n_after = draw(sim, 2) ? 0 : (int)draw(sim, MAX_AFTER + 1),
    };
    /* Some of those that may be runs. */
    if (draw(sim, 3) == 0) {
        task->group = task->rank = task->max_attempts = 0;
        task->priority = task->n_after = 0;
        task->size = 8;
    }
    if (sim->n_tasks == 0)
        task->n_after = 0;
    for (int i = 0; i < task->n_after; i++) {
        /* Recent ones, as most of those long ago are gone. */
        int back = 1 + (int)draw(sim, (uint64_t)(sim->n_tasks < 12 ? sim->n_tasks : 12));

        task->after[i] = sim->n_tasks - back;
        after[i] = sim->tasks[task->after[i]].ticket;
        is_stale |= !sim->tasks[task->after[i]].is_there;
    }
    memset(bytes, task->first_byte, sizeof(bytes));

    struct mf_order order = {
        .tag = task->tag,
        .group = task->group,
        .rank = task->rank,
        .priority = task->priority,
        .max_attempts = task->max_attempts,
        .delivery = task->delivery,
        .is_held = task->is_held,
        .input = bytes,
        .size = task->size,
        .after = after,
        .n_after = (size_t)task->n_after,
    };
    int r = mf_book_add(sim->book, &order, &task->ticket);

    claim(sim, r == (is_stale ? -ESTALE : 0), "add() returns something else");
    sim->stats->stale += r == -ESTALE;
    if (r < 0)
        return;
    for (int i = 0; i < sim->n_tasks; i++)
        is_reused |= (uint32_t)sim->tasks[i].ticket == (uint32_t)task->ticket;
    sim->stats->reused += is_reused;
    if (task->max_attempts == 0)
        task->max_attempts = sim->max_attempts;
    task->state = MF_TASK_WAITING;
    sim->n_tasks++;
    sim->n_added++;
    model_spread(sim);
}

/* Of a run each task follows from the first two, and they fit as one; others fit one by one. */
static void expect_run(struct sim *sim, const struct mf_unit_limits *limits,
                       const uint32_t *numbers, uint32_t n, const struct mf_run *run)
{
    const struct mf_booking *first = n > 0 ? mf_book_at(sim->book, numbers[0]) : NULL;
    size_t n_bytes = run->is_one ? limits->run_bytes : 0;

    claim(sim, !run->is_one || (n > 1 && limits->run_bytes > 0), "one task is a run, or none is");
    sim->stats->runs += run->is_one;
    for (uint32_t i = 0; i < n; i++) {
        const struct mf_booking *booking = mf_book_at(sim->book, numbers[i]);

        n_bytes += run->is_one ? booking->size : mf_booking_call_bytes(booking, limits);
        if (!run->is_one)
            continue;
        claim(sim,
              booking->function == first->function && booking->size == first->size &&
                  booking->group == first->group,
              "the tasks of a run are not alike");
        claim(sim, !booking->extra || (booking->extra->tries == 0 && !booking->extra->has_results),
              "more is to be said of a task of a run");
        claim(sim,
              booking->tag == first->tag + i * run->tag_step &&
                  mf_book_ticket(sim->book, numbers[i]) ==
                      mf_book_ticket(sim->book, numbers[0]) + i * run->ticket_step,
              "the steps of a run are others");
    }
    claim(sim, n <= 1 || n_bytes <= limits->n_bytes, "a unit has more bytes than it may have");
}

static void take(struct sim *sim)
{
    struct mf_unit_limits limits = {
        .n_calls = 1 + (uint32_t)draw(sim, MAX_CALLS),
        .n_bytes = draw(sim, 500),
        .duration_ns = 1,
        .call_bytes = CALL_BYTES,
        .run_bytes = draw(sim, 2) * RUN_BYTES,
        .large_bytes = LARGE_BYTES,
    };
    uint32_t numbers[MAX_CALLS], rank = (uint32_t)draw(sim, N_RANKS);
    struct mf_run run;
    uint32_t n = mf_book_take(sim->book, rank, &limits, 5, numbers, &run);
    size_t n_bytes = 0;
    struct model_task *task, *first = NULL;

    for (uint32_t i = 0; i <= n; i++) {
        bool is_alone, fits;

        task = model_first(sim, rank);
        if (!task) {
            claim(sim, i == n, "a task was taken that is not READY");
            break;
        }
        if (i == 0 || (i < limits.n_calls && task->priority == first->priority))
            model_give(sim, task);
        is_alone = task->is_alone || task->size > LARGE_BYTES || task->checkpoint_size > 0;
        n_bytes += task->size + CALL_BYTES;
        fits = i == 0 || (!is_alone && task->priority == first->priority &&
                          n_bytes <= limits.n_bytes && i < limits.n_calls && first != NULL);
        if (limits.run_bytes == 0)
            claim(sim, (i < n) == fits, "a unit has too many calls, or too few");
        if (i == n)
            break;
        claim(sim, numbers[i] == (uint32_t)task->ticket, "tasks are taken in another order");
        task->state = MF_TASK_PLACED;
        first = task;
        if (is_alone) {
            claim(sim, n == 1, "a task that travels alone does not");
            break;
        }
    }
    expect_run(sim, &limits, numbers, n, &run);
}

static void end_one(struct sim *sim)
{
    struct model_task *task = pick(sim, 1u << MF_TASK_PLACED);
    static const uint8_t bytes[64];
    uint8_t cause = draw(sim, 2) ? 0 : (uint8_t)(1 + draw(sim, 5));
    size_t size = draw(sim, sizeof(bytes));

    if (!task)
        return;
    claim(sim, mf_book_end(sim->book, (uint32_t)task->ticket, cause, 9, 1, bytes, size, false) == 0,
          "end() returns something else");
    if (cause != 0 && ++task->tries < task->max_attempts) {
        task->is_alone = true;
        sim->n_retried++;
        model_ready(sim, task, true);
        return;
    }
    task->size = size;
    task->first_byte = 0;
    task->cause = cause;
    model_end(sim, task, cause ? MF_TASK_FAILED : MF_TASK_DONE);
    model_spread(sim);
}

static void give_back(struct sim *sim)
{
    struct model_task *task = pick(sim, 1u << MF_TASK_PLACED);

    if (!task)
        return;
    mf_book_return(sim->book, (uint32_t)task->ticket);
    model_ready(sim, task, true);
}

static void lose(struct sim *sim)
{
    struct model_task *task = pick(sim, 1u << MF_TASK_PLACED);
    uint32_t limit = 1 + (uint32_t)draw(sim, 3);

    if (!task)
        return;
    mf_book_lose(sim->book, (uint32_t)task->ticket, limit, 6, "lost");
    sim->stats->lost++;
    if (++task->n_lost < limit) {
        task->is_alone = true;
        sim->n_retried++;
        model_ready(sim, task, true);
        return;
    }
    task->size = 5;
    task->first_byte = 'l';
    task->cause = 6;
    model_end(sim, task, MF_TASK_FAILED);
    model_spread(sim);
}

static void refuse(struct sim *sim)
{
    struct model_task *task = pick(sim, 1u << MF_TASK_PLACED | 1u << MF_TASK_READY);

    if (!task)
        return;
    mf_book_refuse(sim->book, (uint32_t)task->ticket, 7, "unfit");
    task->size = 6;
    task->first_byte = 'u';
    task->cause = 7;
    model_end(sim, task, MF_TASK_FAILED);
    model_spread(sim);
}

static void cancel(struct sim *sim)
{
    struct model_task *task = pick(sim, UNFINISHED);

    if (!task)
        return;
    mf_book_cancel(sim->book, (uint32_t)task->ticket);
    model_end(sim, task, MF_TASK_CANCELLED);
    model_spread(sim);
}

static void checkpoint(struct sim *sim)
{
    struct model_task *task = pick(sim, 1u << MF_TASK_PLACED);
    static const uint8_t bytes[32];

    if (!task)
        return;
    task->checkpoint_size = draw(sim, sizeof(bytes));
    claim(sim,
          mf_book_checkpoint(sim->book, (uint32_t)task->ticket, bytes, task->checkpoint_size) == 0,
          "checkpoint() returns something else");
}

static void release(struct sim *sim)
{
    struct model_task *task = pick(sim, ~0u);

    if (!task || !task->is_held)
        return;
    mf_book_release(sim->book, task->ticket);
    task->is_held = false;
    task->delivery = MF_DELIVER_NONE;
}

static bool is_unheard(const struct model_task *task, enum mf_delivery delivery)
{
    return task->is_there && is_over(task) && task->delivery == delivery && !task->is_heard;
}

static void hear(struct sim *sim)
{
    enum mf_delivery delivery = draw(sim, 2) ? MF_DELIVER_QUEUE : MF_DELIVER_CALLBACK;
    struct model_task *heard = NULL;
    mf_ticket ticket;
    bool is_any = false;
    int r = mf_book_hear(sim->book, delivery, &ticket);

    for (int i = 0; i < sim->n_tasks; i++) {
        is_any |= is_unheard(&sim->tasks[i], delivery);
        if (r == 1 && sim->tasks[i].ticket == ticket)
            heard = &sim->tasks[i];
    }
    claim(sim, r == is_any, "something is heard of, or is not");
    if (r == 0)
        return;
    claim(sim, heard && is_unheard(heard, delivery), "a task is heard of that should not be");
    /* What was skipped follows at once from the end of another, in any order among themselves. */
    for (int i = 0; i < sim->n_tasks && heard; i++)
        claim(sim,
              !is_unheard(&sim->tasks[i], delivery) || sim->tasks[i].ended >= heard->ended ||
                  sim->tasks[i].state == MF_TASK_SKIPPED || heard->state == MF_TASK_SKIPPED,
              "tasks are heard of in another order");
    if (heard)
        heard->is_heard = heard->is_held = true;
    sim->stats->heard++;
}

/* --- the comparison --- */

static void compare_task(struct sim *sim, const struct model_task *task)
{
    size_t checkpoint_size;
    const struct mf_booking *booking = mf_book_find(sim->book, task->ticket);

    claim(sim, (booking != NULL) == task->is_there, "a task is kept too long, or not long enough");
    if (!booking || sim->breach)
        return;
    claim(sim, booking->state == task->state, "a task is in another state");
    claim(sim, booking->tag == task->tag && booking->group == task->group,
          "a task has another tag or group");
    claim(sim, booking->is_held == task->is_held && booking->is_heard == task->is_heard,
          "a task is held or heard of, or is not");
    claim(sim, booking->size == task->size, "a task has more or fewer bytes");
    claim(sim,
          task->size == 0 || (task->is_given && task->own_size == 0 && !is_over(task)) ||
              mf_booking_bytes(booking)[0] == task->first_byte,
          "a task has other bytes");
    claim(sim, task->state != MF_TASK_FAILED || booking->cause == task->cause,
          "a task has another cause");
    claim(sim, task->tries == (booking->extra ? booking->extra->tries : 0) || is_over(task),
          "a task has used up other tries");
    claim(sim, mf_booking_priority(booking) == task->priority, "a task has another priority");
    mf_booking_checkpoint(booking, &checkpoint_size);
    claim(sim, is_over(task) || task->checkpoint_size == checkpoint_size,
          "a task has another checkpoint");
}

static void compare(struct sim *sim)
{
    uint64_t n_ready = 0, group_sizes[N_GROUPS] = {0}, by_state[MF_TASK_STATE_COUNT] = {0};
    struct mf_book_counts counts;
    const char *breach = mf_book_check(sim->book);

    claim(sim, !breach, breach);
    model_forget(sim);
    mf_book_count(sim->book, &counts);
    for (int i = 0; i < sim->n_tasks; i++) {
        const struct model_task *task = &sim->tasks[i];

        compare_task(sim, task);
        by_state[task->state]++;
        n_ready += task->state == MF_TASK_READY && task->rank == 0;
        if (!is_over(task))
            group_sizes[task->group]++;
    }
    claim(sim, memcmp(by_state, counts.by_state, sizeof(by_state)) == 0,
          "the counts by state differ");
    claim(sim, counts.submitted == sim->n_added && counts.retried == sim->n_retried,
          "the counts of tasks or retries differ");
    claim(sim, mf_book_n_ready(sim->book) == n_ready, "the count of READY tasks differs");
    for (uint32_t group = 1; group < N_GROUPS; group++)
        claim(sim, mf_book_group_size(sim->book, group) == group_sizes[group],
              "the size of a group differs");
}

static const char *run(uint64_t seed, struct stats *stats)
{
    static void (*const operations[])(struct sim * sim) = {
        add,  add,       add,  add,        take,   take,   take,    end_one, end_one, end_one,
        lose, give_back, hear, checkpoint, refuse, cancel, release, release, hear};
    static struct sim sim;

    memset(&sim, 0, sizeof(sim));
    sim.stats = stats;
    mf_rng_init(&sim.rng, seed);
    sim.max_attempts = 1 + (uint32_t)draw(&sim, 2);
    if (mf_book_create(sim.max_attempts, &sim.book) < 0)
        return "out of memory";
    /* Of the function something is known, so that units are not cut short. */
    mf_book_note_duration(sim.book, 0, 1000, 0);
    for (int step = 0; step < N_STEPS && !sim.breach; step++) {
        operations[draw(&sim, sizeof(operations) / sizeof(operations[0]))](&sim);
        compare(&sim);
    }
    stats->retried += sim.n_retried;
    mf_book_destroy(sim.book);
    return sim.breach;
}

Test(book_sim, it_does_what_the_model_does_whatever_comes)
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
    cr_assert(stats.skipped > 200 && stats.retried > 200 && stats.lost > 200);
    cr_assert(stats.heard > 200 && stats.stale > 200 && stats.reused > 200);
    cr_assert(stats.runs > 20);
}
