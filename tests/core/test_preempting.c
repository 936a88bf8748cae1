/*
 * What theory promises of the policies that preempt, on one worker that obeys
 * at once, or at the next checkpoint of a task, and a clock that jumps from one
 * thing that happens to the next.
 */
#include "base/rng.h"
#include "core/farm_private.h"

#include <criterion/criterion.h>
#include <string.h>

#define S INT64_C(1000000000)
#define MAX_JOBS 40

struct job {
    int64_t arrives_ns, run_ns;
    uint32_t n_slots;
    bool is_submitted, is_running, has_begun, is_done;
    int64_t ran_ns, since_ns, done_ns;
    int64_t yields_after_ns; /* once it was asked to */
};

struct shop {
    struct mf_farm *farm;
    int64_t now_ns;
    uint32_t n_slots;
    int64_t checkpoint_ns; /* how long tasks run between two; 0 for those that are stopped */
    struct job jobs[MAX_JOBS + 1];
    uint32_t n_jobs;
};

static void apply(struct shop *shop, struct mf_event event)
{
    const char *breach;

    event.now_ns = shop->now_ns;
    cr_assert_eq(mf_farm_apply(shop->farm, &event), 0);
    breach = mf_farm_check(shop->farm);
    cr_assert_null(breach, "%s", breach);
}

static void open_shop(struct shop *shop, const char *policy, uint32_t n_slots, uint32_t n_suspended,
                      int64_t quantum_ns)
{
    struct mf_farm_config config = {.policy = mf_policy_find(policy),
                                    .policy_settings.quantum_ns = quantum_ns,
                                    .max_suspended_per_slot = n_suspended};

    *shop = (struct shop){.n_slots = n_slots};
    cr_assert_eq(mf_farm_create(&config, &shop->farm), 0);
    apply(shop, (struct mf_event){.kind = MF_EVENT_WORKER_UP, .has.n_slots = n_slots});
}

static void add(struct shop *shop, int64_t arrives_ns, int64_t run_ns, uint32_t n_slots)
{
    cr_assert(shop->n_jobs < MAX_JOBS);
    shop->jobs[++shop->n_jobs] = (struct job){.arrives_ns = arrives_ns,
                                              .run_ns = run_ns,
                                              .n_slots = n_slots,
                                              .yields_after_ns = INT64_MAX};
}

/* Tasks get their numbers in order of arrival. */
static void sort_by_arrival(struct shop *shop)
{
    for (uint32_t i = 1; i <= shop->n_jobs; i++)
        for (uint32_t j = i; j > 1 && shop->jobs[j].arrives_ns < shop->jobs[j - 1].arrives_ns;
             j--) {
            struct job job = shop->jobs[j];

            shop->jobs[j] = shop->jobs[j - 1];
            shop->jobs[j - 1] = job;
        }
}

static int64_t ran_ns(const struct shop *shop, const struct job *job)
{
    return job->ran_ns + (job->is_running ? shop->now_ns - job->since_ns : 0);
}

static void run(struct shop *shop, mf_task_id id, enum mf_event_kind kind)
{
    shop->jobs[id].is_running = true;
    shop->jobs[id].has_begun = true;
    shop->jobs[id].since_ns = shop->now_ns;
    apply(shop, (struct mf_event){.kind = kind, .task = id, .attempt = 1});
}

static void suspend(struct shop *shop, mf_task_id id)
{
    struct job *job = &shop->jobs[id];

    job->ran_ns = ran_ns(shop, job);
    job->is_running = false;
    job->yields_after_ns = INT64_MAX;
    apply(shop,
          (struct mf_event){
              .kind = MF_EVENT_SUSPENDED, .task = id, .attempt = 1, .duration_ns = job->ran_ns});
}

/* At its next checkpoint, which may be now. */
static void ask_to_yield(struct shop *shop, struct job *job)
{
    int64_t every_ns = shop->checkpoint_ns;

    job->yields_after_ns = (ran_ns(shop, job) + every_ns - 1) / every_ns * every_ns;
    if (job->yields_after_ns >= job->run_ns)
        job->yields_after_ns = INT64_MAX;
}

static void tick(struct shop *shop)
{
    struct mf_change change;
    uint32_t n_busy = 0;

    apply(shop, (struct mf_event){.kind = MF_EVENT_TICK});
    while (mf_farm_next_change(shop->farm, &change) == 1) {
        if (change.state == MF_TASK_PLACED)
            run(shop, change.task, MF_EVENT_STARTED);
        else if (change.wish == MF_WISH_SUSPEND)
            suspend(shop, change.task);
        else if (change.wish == MF_WISH_YIELD)
            ask_to_yield(shop, &shop->jobs[change.task]);
        else if (change.wish == MF_WISH_CONTINUE)
            run(shop, change.task, MF_EVENT_CONTINUED);
    }
    for (uint32_t id = 1; id <= shop->n_jobs; id++)
        n_busy += shop->jobs[id].is_running ? shop->jobs[id].n_slots : 0;
    cr_assert_leq(n_busy, shop->n_slots);
}

/* What happens at the present time. */
static void happen(struct shop *shop)
{
    for (uint32_t id = 1; id <= shop->n_jobs; id++) {
        struct job *job = &shop->jobs[id];
        struct mf_task_spec spec = {.needs.n_slots = job->n_slots,
                                    .estimate_ns = job->run_ns,
                                    .max_attempts = 1,
                                    .is_suspendable = true,
                                    .yields = shop->checkpoint_ns > 0};

        if (!job->is_submitted && job->arrives_ns <= shop->now_ns) {
            job->is_submitted = true;
            apply(shop, (struct mf_event){.kind = MF_EVENT_SUBMITTED, .spec = spec});
        }
        if (job->is_running && ran_ns(shop, job) >= job->yields_after_ns)
            suspend(shop, id);
        if (job->is_running && ran_ns(shop, job) >= job->run_ns) {
            job->ran_ns = ran_ns(shop, job);
            job->is_running = false;
            job->is_done = true;
            job->done_ns = shop->now_ns;
            apply(shop, (struct mf_event){.kind = MF_EVENT_ENDED,
                                          .task = id,
                                          .attempt = 1,
                                          .duration_ns = job->ran_ns});
        }
    }
}

/* When something happens next; INT64_MAX when all is done. */
static int64_t next_ns(const struct shop *shop)
{
    int64_t next = INT64_MAX;

    for (uint32_t id = 1; id <= shop->n_jobs; id++) {
        const struct job *job = &shop->jobs[id];
        int64_t at = INT64_MAX;

        if (job->is_running)
            at = job->since_ns - job->ran_ns +
                 (job->yields_after_ns < job->run_ns ? job->yields_after_ns : job->run_ns);
        else if (!job->is_submitted)
            at = job->arrives_ns;
        next = at < next ? at : next;
    }
    if (next < INT64_MAX && mf_farm_next_tick_ns(shop->farm) < next)
        next = mf_farm_next_tick_ns(shop->farm);
    return next;
}

/* One step; false when all is done. */
static bool step(struct shop *shop)
{
    happen(shop);
    tick(shop);
    if (next_ns(shop) == INT64_MAX)
        return false;
    cr_assert_gt(next_ns(shop), shop->now_ns, "the farm ticks without end");
    shop->now_ns = next_ns(shop);
    return true;
}

static void close_shop(struct shop *shop)
{
    for (uint32_t id = 1; id <= shop->n_jobs; id++)
        cr_assert(shop->jobs[id].is_done, "task %u never ended", id);
    mf_farm_destroy(shop->farm);
}

/* ---- rr ---- */

/* How far apart the least and the most advanced of the tasks are; the end of one is far ahead. */
static int64_t spread_ns(const struct shop *shop)
{
    int64_t least = INT64_MAX, most = 0;

    for (uint32_t id = 1; id <= shop->n_jobs; id++) {
        int64_t ran = ran_ns(shop, &shop->jobs[id]);

        least = ran < least ? ran : least;
        most = ran > most ? ran : most;
    }
    return most - least;
}

Test(preempting, rr_gives_equal_tasks_equal_progress_within_one_quantum)
{
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct mf_rng rng;
        struct shop shop;
        uint32_t n_slots;
        int64_t quantum_ns;

        mf_rng_init(&rng, seed);
        n_slots = 1 + (uint32_t)mf_rng_below(&rng, 5);
        quantum_ns = 1 + (int64_t)mf_rng_below(&rng, (uint64_t)S);
        open_shop(&shop, "rr", n_slots, MAX_JOBS, quantum_ns);
        for (uint64_t n = 1 + mf_rng_below(&rng, MAX_JOBS - 1); n > 0; n--)
            add(&shop, 0, 20 * quantum_ns + 7, 1);
        while (step(&shop)) {
            happen(&shop);
            cr_assert_leq(spread_ns(&shop), quantum_ns, "seed %d", (int)seed);
        }
        close_shop(&shop);
    }
}

/* A turn is over at the first checkpoint behind a quantum. */
Test(preempting, rr_gives_equal_tasks_that_yield_equal_progress_within_one_turn)
{
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct mf_rng rng;
        struct shop shop;
        int64_t quantum_ns, turn_ns;

        mf_rng_init(&rng, seed);
        quantum_ns = 1 + (int64_t)mf_rng_below(&rng, (uint64_t)S);
        open_shop(&shop, "rr", 1 + (uint32_t)mf_rng_below(&rng, 5), MAX_JOBS, quantum_ns);
        shop.checkpoint_ns = 1 + (int64_t)mf_rng_below(&rng, (uint64_t)S);
        turn_ns = (quantum_ns + shop.checkpoint_ns - 1) / shop.checkpoint_ns * shop.checkpoint_ns;
        for (uint64_t n = 1 + mf_rng_below(&rng, MAX_JOBS - 1); n > 0; n--)
            add(&shop, 0, 20 * turn_ns + 7, 1);
        while (step(&shop)) {
            happen(&shop);
            cr_assert_leq(spread_ns(&shop), turn_ns, "seed %d", (int)seed);
        }
        close_shop(&shop);
    }
}

Test(preempting, rr_lets_a_short_task_end_before_long_ones_that_came_first)
{
    struct shop shop;

    open_shop(&shop, "rr", 1, 15, S);
    add(&shop, 0, 100 * S, 1);
    add(&shop, 0, 100 * S, 1);
    add(&shop, 10 * S, S, 1);
    while (step(&shop))
        ;
    cr_assert_leq(shop.jobs[3].done_ns, 13 * S);
    close_shop(&shop);
}

Test(preempting, beyond_the_bound_rr_rotates_among_those_that_have_begun)
{
    struct shop shop;

    open_shop(&shop, "rr", 1, 1, S);
    for (int i = 0; i < 4; i++)
        add(&shop, 0, 10 * S, 1);
    while (step(&shop)) {
        uint32_t n_begun = 0;

        for (uint32_t id = 1; id <= shop.n_jobs; id++)
            n_begun += shop.jobs[id].has_begun && !shop.jobs[id].is_done;
        cr_assert_leq(n_begun, 2);
    }
    /* When the first one ends the third, which has waited longest, begins. */
    cr_assert_eq(shop.jobs[1].done_ns, 19 * S);
    cr_assert_eq(shop.jobs[2].done_ns, 21 * S);
    close_shop(&shop);
}

Test(preempting, a_bound_of_zero_lets_each_task_run_to_its_end)
{
    struct shop shop;

    open_shop(&shop, "rr", 1, 0, S);
    add(&shop, 0, 10 * S, 1);
    add(&shop, 0, 5 * S, 1);
    while (step(&shop))
        ;
    cr_assert_eq(shop.jobs[1].done_ns, 10 * S);
    cr_assert_eq(shop.jobs[2].done_ns, 15 * S);
    close_shop(&shop);
}

/* Whatever the mix of wide and narrow ones: all end, and slots do not idle for longer than turns.
 */
Test(preempting, rr_starves_no_task_of_several_slots)
{
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct mf_rng rng;
        struct shop shop;
        uint32_t n_slots;

        mf_rng_init(&rng, seed);
        n_slots = 2 + (uint32_t)mf_rng_below(&rng, 6);
        open_shop(&shop, "rr", n_slots, (uint32_t)mf_rng_below(&rng, 8), S);
        add(&shop, 3 * S, 5 * S, n_slots);
        /* Narrow ones keep coming for much longer than the wide one may take. */
        for (int i = 0; i < 30; i++)
            add(&shop, i * S / 3, 1 + (int64_t)mf_rng_below(&rng, 10 * (uint64_t)S),
                1 + (uint32_t)(mf_rng_below(&rng, 4) == 0));
        sort_by_arrival(&shop);
        while (step(&shop))
            ;
        close_shop(&shop);
    }
}

Test(preempting, under_rr_a_wide_task_begins_within_two_quanta_though_narrow_ones_run_for_ever)
{
    struct shop shop;

    open_shop(&shop, "rr", 4, 15, S);
    for (int i = 0; i < 8; i++)
        add(&shop, 0, 1000 * S, 1);
    add(&shop, 10 * S + 1, S, 4);
    for (int i = 0; i < 20; i++)
        add(&shop, 10 * S + 2 + i, 1000 * S, 1);
    while (step(&shop) && !shop.jobs[9].is_done)
        ;
    cr_assert_leq(shop.jobs[9].done_ns, 15 * S);
    mf_farm_destroy(shop.farm);
}

/* ---- srtf ---- */

#define N_SMALL 4
#define MAX_UNITS 4
#define MAX_TIME 32

/* Least sum of the times of all ends from a time on, by trying everything that can run. */
static int
least_sum(const int arrives[N_SMALL], int left[N_SMALL], int time,
          int memory[MAX_TIME][MAX_UNITS + 1][MAX_UNITS + 1][MAX_UNITS + 1][MAX_UNITS + 1])
{
    int *known = &memory[time][left[0]][left[1]][left[2]][left[3]];
    int best = -1;
    bool is_all_done = true;

    if (*known > 0)
        return *known - 1;
    for (int i = 0; i < N_SMALL; i++) {
        int sum;

        is_all_done = is_all_done && left[i] == 0;
        if (left[i] == 0 || arrives[i] > time)
            continue;
        left[i]--;
        sum = least_sum(arrives, left, time + 1, memory) + (left[i] == 0 ? time + 1 : 0);
        left[i]++;
        best = best < 0 || sum < best ? sum : best;
    }
    if (best < 0)
        best = is_all_done ? 0 : least_sum(arrives, left, time + 1, memory);
    *known = best + 1;
    return best;
}

Test(preempting, srtf_has_the_least_mean_completion_time_on_one_slot_with_arrivals)
{
    static int memory[MAX_TIME][MAX_UNITS + 1][MAX_UNITS + 1][MAX_UNITS + 1][MAX_UNITS + 1];
    uint64_t n_suspensions = 0;

    for (uint64_t seed = 1; seed <= 500; seed++) {
        int arrives[N_SMALL], left[N_SMALL];
        int64_t sum_ns = 0;
        struct mf_rng rng;
        struct shop shop;

        mf_rng_init(&rng, seed);
        open_shop(&shop, "srtf", 1, 15, 0);
        for (int i = 0; i < N_SMALL; i++) {
            arrives[i] = (int)mf_rng_below(&rng, 9);
            left[i] = 1 + (int)mf_rng_below(&rng, MAX_UNITS);
            add(&shop, arrives[i] * S, left[i] * S, 1);
        }
        sort_by_arrival(&shop);
        while (step(&shop))
            for (uint32_t id = 1; id <= shop.n_jobs; id++)
                n_suspensions +=
                    shop.jobs[id].has_begun && !shop.jobs[id].is_running && !shop.jobs[id].is_done;
        for (uint32_t id = 1; id <= shop.n_jobs; id++)
            sum_ns += shop.jobs[id].done_ns;
        close_shop(&shop);
        memset(memory, 0, sizeof(memory));
        cr_assert_eq(sum_ns, least_sum(arrives, left, 0, memory) * S, "seed %d", (int)seed);
    }
    cr_assert_gt(n_suspensions, 100);
}

/* On several slots the reference is the rule itself: those that run have the least left. */
Test(preempting, under_srtf_no_task_waits_that_has_less_left_than_one_that_runs)
{
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct mf_rng rng;
        struct shop shop;

        mf_rng_init(&rng, seed);
        open_shop(&shop, "srtf", 1 + (uint32_t)mf_rng_below(&rng, 5), MAX_JOBS, 0);
        for (int i = 0; i < MAX_JOBS; i++)
            add(&shop, (int64_t)mf_rng_below(&rng, 50 * (uint64_t)S) * (i > 0),
                1 + (int64_t)mf_rng_below(&rng, 20 * (uint64_t)S), 1);
        sort_by_arrival(&shop);
        do {
            happen(&shop);
            tick(&shop);
            for (uint32_t i = 1; i <= shop.n_jobs; i++)
                for (uint32_t j = 1; j <= shop.n_jobs; j++) {
                    const struct job *waits = &shop.jobs[i], *runs = &shop.jobs[j];

                    if (!waits->is_submitted || waits->is_running || waits->is_done ||
                        !runs->is_running)
                        continue;
                    cr_assert_geq(waits->run_ns - waits->ran_ns, runs->run_ns - ran_ns(&shop, runs),
                                  "seed %d", (int)seed);
                }
        } while (step(&shop));
        close_shop(&shop);
    }
}

Test(preempting, srtf_takes_slots_of_tasks_that_yield_at_their_next_checkpoints)
{
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct mf_rng rng;
        struct shop shop;
        uint32_t n_slots;

        mf_rng_init(&rng, seed);
        n_slots = 1 + (uint32_t)mf_rng_below(&rng, 5);
        open_shop(&shop, "srtf", n_slots, 15, 0);
        shop.checkpoint_ns = 1 + (int64_t)mf_rng_below(&rng, (uint64_t)S);
        for (uint32_t i = 0; i < n_slots; i++)
            add(&shop, 0, 1000 * S, 1);
        for (uint32_t i = 0; i < n_slots; i++)
            add(&shop, 10 * S, 5 * S, 1);
        while (step(&shop))
            ;
        /* All at once, however many there are. */
        for (uint32_t i = n_slots + 1; i <= 2 * n_slots; i++)
            cr_assert_leq(shop.jobs[i].done_ns, 15 * S + shop.checkpoint_ns, "seed %d", (int)seed);
        close_shop(&shop);
    }
}
