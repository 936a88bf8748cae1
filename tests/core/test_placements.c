/* Each placement against what looking at every worker finds. */
#include "core/farm_private.h"

#include <criterion/criterion.h>
#include <math.h>

#define N_SLOTS_MOST 12

static struct mf_needs draw_needs(struct mf_rng *rng)
{
    return (struct mf_needs){
        .n_slots = mf_rng_below(rng, 2) ? 1 : 1 + (uint32_t)mf_rng_below(rng, 6),
        .n_gpus = mf_rng_below(rng, 4) ? 0 : (uint32_t)mf_rng_below(rng, 3),
        .mem_bytes = mf_rng_below(rng, 4) ? 0 : mf_rng_below(rng, 100),
    };
}

static void add_worker(struct mf_workers *workers, mf_worker_id id, struct mf_rng *rng)
{
    struct mf_needs has = {.n_slots = 1 + (uint32_t)mf_rng_below(rng, N_SLOTS_MOST),
                           .n_gpus = (uint32_t)mf_rng_below(rng, 5),
                           .mem_bytes = mf_rng_below(rng, 1000)};

    cr_assert_eq(mf_workers_add(workers, id, (mf_node_id)mf_rng_below(rng, 8), &has), 0);
    mf_workers_find(workers, id)->is_kept = mf_rng_below(rng, 8) == 0;
}

/* Gives back all that a worker's tasks have. */
static void empty(struct mf_workers *workers, struct mf_worker *worker)
{
    struct mf_needs all = {.n_slots = worker->n_committed,
                           .n_gpus = worker->n_gpus - worker->n_free_gpus,
                           .mem_bytes = worker->mem_bytes - worker->free_mem_bytes};

    mf_workers_give_back(workers, worker, &all);
}

/* A score for each worker: the lowest is chosen, and of equal ones the lowest number. */
typedef double (*score_fn)(const struct mf_choice *choice, const struct mf_worker *worker);

static double load_of(const struct mf_choice *choice, const struct mf_worker *worker)
{
    return (double)worker->n_committed / worker->n_slots;
}

static double use_of(const struct mf_worker *worker)
{
    double most = (double)worker->n_committed / worker->n_slots;
    uint32_t n_gpus = worker->n_gpus - worker->n_free_gpus;
    uint64_t mem_bytes = worker->mem_bytes - worker->free_mem_bytes;

    if (n_gpus > 0 && (double)n_gpus / worker->n_gpus > most)
        most = (double)n_gpus / worker->n_gpus;
    if (mem_bytes > 0 && (double)mem_bytes / (double)worker->mem_bytes > most)
        most = (double)mem_bytes / (double)worker->mem_bytes;
    return most;
}

static double fullness(const struct mf_choice *choice, const struct mf_worker *worker)
{
    return use_of(worker);
}

static double emptiness(const struct mf_choice *choice, const struct mf_worker *worker)
{
    return -use_of(worker);
}

static double steps_from_cursor(const struct mf_choice *choice, const struct mf_worker *worker)
{
    int64_t steps = (int64_t)worker->id - *choice->cursor;

    return (double)(steps > 0 ? steps : steps + 1000);
}

/* What is left in parts of the most that any worker that is UP has. */
static double left_over(const struct mf_choice *choice, const struct mf_worker *worker)
{
    const struct mf_needs *needs = &choice->task->spec.needs;
    double slots = worker->n_slots - worker->n_committed - needs->n_slots;
    double gpus = worker->n_free_gpus - needs->n_gpus;
    double mem = (double)(worker->free_mem_bytes - needs->mem_bytes);
    double most_slots = 0, most_gpus = 0, most_mem = 0;

    for (uint32_t i = 0; i < choice->workers->by_load.n_items; i++) {
        const struct mf_worker *other = choice->workers->by_load.items[i];

        most_slots = fmax(most_slots, other->n_slots);
        most_gpus = fmax(most_gpus, other->n_gpus);
        most_mem = fmax(most_mem, (double)other->mem_bytes);
    }
    return slots / most_slots + (most_gpus > 0 ? gpus / most_gpus : 0) +
           (most_mem > 0 ? mem / most_mem : 0);
}

static double is_not_home(const struct mf_choice *choice, const struct mf_worker *worker)
{
    return worker->id == choice->home ? -1 : load_of(choice, worker);
}

static bool has_all_free(const struct mf_worker *worker, const struct mf_needs *needs)
{
    return worker->n_committed + needs->n_slots <= worker->n_slots &&
           needs->n_gpus <= worker->n_free_gpus && needs->mem_bytes <= worker->free_mem_bytes;
}

/* A mark for the node of a worker, 0 if there is none. */
static uint64_t mark_node(struct mf_workers *workers, struct mf_worker *taken)
{
    if (!taken)
        return 0;
    return mf_workers_mark(workers, taken)->number = mf_workers_new_mark(workers);
}

/* The worker of the lowest score among those that have all free, or else that have room. */
static struct mf_worker *best_of(const struct mf_choice *choice, const struct mf_worker *taken,
                                 bool is_ahead, score_fn score)
{
    const struct mf_needs *needs = &choice->task->spec.needs;
    struct mf_worker *best = NULL;

    for (uint32_t i = 0; i < choice->workers->n_by_id; i++) {
        struct mf_worker *worker = choice->workers->by_id[i];

        if (!worker || worker->state != MF_WORKER_UP || worker->id == choice->avoid ||
            (taken && !mf_worker_is_apart(worker, taken)) ||
            (choice->avoids_kept && worker->is_kept))
            continue;
        if (is_ahead ? !mf_worker_has_room(choice->workers, worker, needs)
                     : !has_all_free(worker, needs))
            continue;
        if (!best || score(choice, worker) < score(choice, best))
            best = worker;
    }
    return best;
}

static struct mf_worker *choose_plainly(const struct mf_choice *choice,
                                        const struct mf_worker *taken, score_fn score,
                                        score_fn score_ahead)
{
    struct mf_worker *best = best_of(choice, taken, false, score);

    return best ? best : best_of(choice, taken, true, score_ahead);
}

/* Many states of many sets of workers, some of which leave on the way. */
static void compare(const struct mf_placement *placement, score_fn score, score_fn score_ahead)
{
    struct mf_rng rng;
    uint64_t n_chosen = 0;

    mf_rng_init(&rng, 7);
    for (int round = 0; round < 300; round++) {
        struct mf_workers workers;
        mf_worker_id cursor = MF_WORKER_NONE;

        mf_workers_init(&workers);
        workers.has_fullness = placement->has_fullness;
        mf_workers_keep_room(&workers);
        workers.prefetch_per_1024_slots = (uint32_t)mf_rng_below(&rng, 2048);
        for (uint32_t id = 0; id < 2 + mf_rng_below(&rng, 30); id++)
            add_worker(&workers, id, &rng);
        for (int step = 0; step < 200; step++) {
            struct mf_task task = {.spec.needs = draw_needs(&rng)};
            struct mf_worker *taken = mf_workers_find(&workers, (uint32_t)mf_rng_below(&rng, 64));
            const struct mf_choice choice = {.workers = &workers,
                                             .task = &task,
                                             .mark = mark_node(&workers, taken),
                                             .avoid = (mf_worker_id)mf_rng_below(&rng, 32),
                                             .avoids_kept = mf_rng_below(&rng, 2) > 0,
                                             .home = (mf_worker_id)mf_rng_below(&rng, 32),
                                             .rng = &rng,
                                             .cursor = &cursor};
            struct mf_worker *chosen = placement->choose(&choice);

            cr_assert_eq(chosen, choose_plainly(&choice, taken, score, score_ahead), "%s",
                         placement->name);
            n_chosen += chosen != NULL;
            if (chosen)
                cursor = chosen->id;
            if (chosen && mf_rng_below(&rng, 8) > 0)
                mf_workers_take(&workers, chosen, &task.spec.needs);
            else
                empty(&workers, workers.by_load.items[mf_rng_below(&rng, workers.n_up)]);
            if (workers.n_up > 1 && mf_rng_below(&rng, 100) == 0)
                mf_workers_move(&workers, workers.by_load.items[0], MF_WORKER_GONE);
        }
        mf_workers_finish(&workers);
    }
    cr_assert(n_chosen > 10000);
}

Test(placements, least_loaded_finds_what_looking_at_all_workers_finds)
{
    compare(&mf_placement_least_loaded, load_of, load_of);
}

Test(placements, round_robin_finds_the_next_number_that_fits)
{
    compare(&mf_placement_round_robin, steps_from_cursor, load_of);
}

Test(placements, best_fit_finds_the_worker_with_least_left)
{
    compare(&mf_placement_best_fit, left_over, load_of);
}

Test(placements, pack_finds_the_fullest_worker)
{
    compare(&mf_placement_pack, emptiness, load_of);
}

Test(placements, scatter_finds_the_emptiest_worker)
{
    compare(&mf_placement_scatter, fullness, load_of);
}

Test(placements, affinity_finds_the_home_or_else_the_least_loaded)
{
    compare(&mf_placement_affinity, is_not_home, is_not_home);
}

#define N_LOTS 40000
#define N_WORKERS 20

/*
 * Draws for a task among workers of rising load, of which only some fit: the
 * rest is full, or has no GPU. Counts how often each is chosen.
 */
static void draw_lots(const struct mf_placement *placement, uint32_t every,
                      uint64_t ret_counts[N_WORKERS])
{
    struct mf_task task = {.spec.needs = {.n_slots = 1, .n_gpus = 1}};
    mf_worker_id cursor = MF_WORKER_NONE;
    struct mf_workers workers;
    struct mf_rng rng;
    struct mf_choice choice = {.workers = &workers,
                               .task = &task,
                               .avoid = 0,
                               .home = MF_WORKER_NONE,
                               .rng = &rng,
                               .cursor = &cursor};

    mf_rng_init(&rng, 11);
    mf_workers_init(&workers);
    mf_workers_keep_room(&workers);
    for (uint32_t id = 0; id < N_WORKERS; id++) {
        struct mf_needs has = {.n_slots = 100, .n_gpus = id % every == 0};

        cr_assert_eq(mf_workers_add(&workers, id, MF_NODE_UNKNOWN, &has), 0);
        mf_workers_take(&workers, workers.by_id[id], &(struct mf_needs){.n_slots = id});
    }
    for (int i = 0; i < N_LOTS; i++)
        ret_counts[placement->choose(&choice)->id]++;
    mf_workers_finish(&workers);
}

/* Within six standard deviations of what that chance gives. */
static void expect(uint64_t count, double chance, mf_worker_id id)
{
    double mean = N_LOTS * chance;

    cr_assert(fabs((double)count - mean) <= 6 * sqrt(mean * (1 - chance)),
              "worker %u was chosen %llu times rather than %.0f", id, (unsigned long long)count,
              mean);
}

/* With all but the avoided one fitting, and with so few that drawing misses them most of the time.
 */
Test(placements, random_draws_each_worker_that_fits_as_often)
{
    const uint32_t every[] = {1, 7};

    for (int i = 0; i < 2; i++) {
        uint64_t counts[N_WORKERS] = {0};
        uint32_t n = (N_WORKERS - 1) / every[i];

        draw_lots(&mf_placement_random, every[i], counts);
        for (mf_worker_id id = 0; id < N_WORKERS; id++)
            expect(counts[id], id != 0 && id % every[i] == 0 ? 1.0 / n : 0, id);
    }
}

/* The i-th least loaded of n is the better one of two draws in 2 (n - i) + 1 of n^2 cases. */
Test(placements, two_choices_draws_the_less_loaded_of_two)
{
    const uint32_t every[] = {1, 7};

    for (int i = 0; i < 2; i++) {
        uint64_t counts[N_WORKERS] = {0};
        uint32_t n = (N_WORKERS - 1) / every[i], rank = 0;

        draw_lots(&mf_placement_two_choices, every[i], counts);
        for (mf_worker_id id = 0; id < N_WORKERS; id++) {
            bool fits = id != 0 && id % every[i] == 0;

            rank += fits;
            expect(counts[id], fits ? (2.0 * (n - rank) + 1) / (n * n) : 0, id);
        }
    }
}

/* What is drawn by lot fits, and something is drawn whenever something fits. */
static void check_lots(const struct mf_placement *placement)
{
    struct mf_rng rng;

    mf_rng_init(&rng, 3);
    for (int round = 0; round < 200; round++) {
        struct mf_workers workers;

        mf_workers_init(&workers);
        mf_workers_keep_room(&workers);
        workers.prefetch_per_1024_slots = (uint32_t)mf_rng_below(&rng, 2048);
        for (uint32_t id = 0; id < 2 + mf_rng_below(&rng, 30); id++)
            add_worker(&workers, id, &rng);
        for (int step = 0; step < 200; step++) {
            struct mf_task task = {.spec.needs = draw_needs(&rng)};
            struct mf_worker *taken = mf_workers_find(&workers, (uint32_t)mf_rng_below(&rng, 64));
            const struct mf_choice choice = {.workers = &workers,
                                             .task = &task,
                                             .mark = mark_node(&workers, taken),
                                             .avoid = (mf_worker_id)mf_rng_below(&rng, 32),
                                             .avoids_kept = mf_rng_below(&rng, 2) > 0,
                                             .rng = &rng};
            const struct mf_worker *free_one = best_of(&choice, taken, false, load_of);
            struct mf_worker *chosen = placement->choose(&choice);

            cr_assert_eq(chosen != NULL, best_of(&choice, taken, true, load_of) != NULL);
            cr_assert(!chosen || (chosen->id != choice.avoid && chosen != taken));
            cr_assert(!free_one || has_all_free(chosen, &task.spec.needs));
            cr_assert(!chosen || free_one || chosen == best_of(&choice, taken, true, load_of));
            if (chosen && mf_rng_below(&rng, 8) > 0)
                mf_workers_take(&workers, chosen, &task.spec.needs);
            else
                empty(&workers, workers.by_load.items[mf_rng_below(&rng, workers.n_up)]);
        }
        mf_workers_finish(&workers);
    }
}

Test(placements, random_always_finds_one_that_fits)
{
    check_lots(&mf_placement_random);
}

Test(placements, two_choices_always_finds_one_that_fits)
{
    check_lots(&mf_placement_two_choices);
}

/*
 * Workers with free slots, none of which has memory left but the most loaded
 * one. Returns how many are looked at to find that.
 */
static uint64_t count_looked_at(uint32_t n_workers)
{
    struct mf_task task = {.spec.needs = {.n_slots = 1, .mem_bytes = 2}};
    struct mf_workers workers;
    struct mf_choice choice = {.workers = &workers, .task = &task, .avoid = MF_WORKER_NONE};
    uint64_t n_looked_at = 0;

    mf_workers_init(&workers);
    for (uint32_t id = 0; id < n_workers; id++) {
        struct mf_needs has = {.n_slots = 64, .mem_bytes = 9};
        struct mf_needs taken = {.n_slots = id % 60, .mem_bytes = id == 59 ? 0 : 8};

        cr_assert_eq(mf_workers_add(&workers, id, MF_NODE_UNKNOWN, &has), 0);
        mf_workers_take(&workers, workers.by_id[id], &taken);
    }
    mf_workers_keep_room(&workers);
    cr_assert_eq(mf_room_check(&workers.room), n_workers);
    cr_assert_eq(mf_room_first(&workers.room, &choice, &n_looked_at), workers.by_id[59]);
    cr_assert_eq(mf_placement_least_loaded.choose(&choice), workers.by_id[59]);
    mf_workers_finish(&workers);
    return n_looked_at;
}

Test(placements, the_one_worker_with_memory_left_is_found_without_looking_at_all)
{
    cr_assert_leq(count_looked_at(100), 4 * 7);
    cr_assert_leq(count_looked_at(10000), 4 * 14);
    cr_assert_leq(count_looked_at(100000), 4 * 17);
}

Test(placements, the_one_worker_without_a_suspect_is_found_without_looking_at_all)
{
    const struct mf_needs has = {.n_slots = 8}, suspect = {.n_slots = 1, .is_suspect = true};
    struct mf_task task = {.spec.needs = suspect};
    struct mf_workers workers;
    struct mf_choice choice = {.workers = &workers, .task = &task, .avoid = MF_WORKER_NONE};
    uint64_t n_looked_at = 0;

    mf_workers_init(&workers);
    mf_workers_keep_room(&workers);
    for (uint32_t id = 0; id < 10000; id++) {
        cr_assert_eq(mf_workers_add(&workers, id, MF_NODE_UNKNOWN, &has), 0);
        mf_workers_take(&workers, workers.by_id[id], &suspect);
    }
    cr_assert_null(mf_room_first(&workers.room, &choice, &n_looked_at));
    cr_assert_eq(n_looked_at, 0);
    mf_workers_give_back(&workers, workers.by_id[4711], &suspect);
    cr_assert_eq(mf_room_check(&workers.room), 10000);
    cr_assert_eq(mf_room_first(&workers.room, &choice, &n_looked_at), workers.by_id[4711]);
    cr_assert_leq(n_looked_at, 4 * 14);
    mf_workers_finish(&workers);
}

Test(placements, each_is_found_by_its_name)
{
    const char *names[] = {"least-loaded", "round-robin", "random",  "two-choices",
                           "best-fit",     "pack",        "scatter", "affinity"};
    uint32_t n = sizeof(names) / sizeof(names[0]);

    for (uint32_t i = 0; i < n; i++) {
        cr_assert_eq(mf_placement_find(names[i]), mf_placement_at(i));
        cr_assert_str_eq(mf_placement_at(i)->name, names[i]);
    }
    cr_assert_null(mf_placement_at(n));
    cr_assert_null(mf_placement_find(""));
}
