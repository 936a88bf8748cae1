/*
 * Each order policy against a slow, obvious reference, and against what theory
 * promises of it.
 */
#include "core/farm_private.h"
#include "support/farm_builder.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define S INT64_C(1000000000)
#define MAX_JOBS 400

/* A task of a test. What is known of it is in the spec; run_ns is how long it really runs. */
struct job {
    struct mf_task_spec spec;
    int64_t run_ns;
    int64_t submitted_ns;
    int64_t placed_ns;
    int64_t done_ns;
    bool is_ready;
    bool is_running;
};

/* One worker, and jobs by id; the farm is checked after each event. */
struct shop {
    struct mf_farm *farm;
    int64_t now_ns;
    struct job jobs[MAX_JOBS + 1];
    uint64_t n_jobs;
};

static void apply(struct shop *shop, struct mf_event event)
{
    event.now_ns = shop->now_ns;
    cr_assert_eq(mf_farm_apply(shop->farm, &event), 0);
    cr_assert_null(mf_farm_check(shop->farm));
}

static void open_shop(struct shop *shop, const struct mf_farm_config *config, uint32_t n_slots)
{
    *shop = (struct shop){.now_ns = S};
    cr_assert_eq(mf_farm_create(config, &shop->farm), 0);
    apply(shop, (struct mf_event){.kind = MF_EVENT_WORKER_UP, .has.n_slots = n_slots});
}

static void submit(struct shop *shop, struct job job)
{
    job.is_ready = true;
    job.submitted_ns = shop->now_ns;
    job.spec.max_attempts = 1;
    if (job.spec.needs.n_slots == 0)
        job.spec.needs.n_slots = 1;
    shop->jobs[++shop->n_jobs] = job;
    apply(shop, (struct mf_event){.kind = MF_EVENT_SUBMITTED, .spec = job.spec});
}

/* Ticks, and notes what is placed. Returns the last task placed, or 0. */
static mf_task_id tick(struct shop *shop)
{
    struct mf_change change;
    mf_task_id placed = 0;

    apply(shop, (struct mf_event){.kind = MF_EVENT_TICK});
    while (mf_farm_next_change(shop->farm, &change) == 1) {
        if (change.state != MF_TASK_PLACED)
            continue;
        placed = change.task;
        shop->jobs[placed].is_ready = false;
        shop->jobs[placed].is_running = true;
        shop->jobs[placed].placed_ns = shop->now_ns;
    }
    return placed;
}

static void end(struct shop *shop, mf_task_id id)
{
    struct job *job = &shop->jobs[id];

    job->is_running = false;
    job->done_ns = shop->now_ns;
    apply(shop, (struct mf_event){
                    .kind = MF_EVENT_ENDED, .task = id, .attempt = 1, .duration_ns = job->run_ns});
}

/* Goes to the next time at which jobs end, and ends them; false when none runs. */
static bool pass_time(struct shop *shop)
{
    int64_t next_ns = INT64_MAX;

    for (mf_task_id id = 1; id <= shop->n_jobs; id++) {
        const struct job *job = &shop->jobs[id];

        if (job->is_running && job->placed_ns + job->run_ns < next_ns)
            next_ns = job->placed_ns + job->run_ns;
    }
    if (next_ns == INT64_MAX)
        return false;
    shop->now_ns = next_ns;
    for (mf_task_id id = 1; id <= shop->n_jobs; id++) {
        const struct job *job = &shop->jobs[id];

        if (job->is_running && job->placed_ns + job->run_ns == next_ns)
            end(shop, id);
    }
    return true;
}

static void run_all(struct shop *shop)
{
    do
        tick(shop);
    while (pass_time(shop));
}

/* ---- references: which of the READY tasks is next ---- */

/* What the reference of a policy remembers. */
struct memory {
    int64_t durations[MAX_JOBS];
    uint32_t kinds[MAX_JOBS];
    uint64_t n_done;
    double used[8];
    double virtual_ns;
    double charged[MAX_JOBS + 1];
};

static int compare_durations(const void *a, const void *b)
{
    int64_t first = *(const int64_t *)a, second = *(const int64_t *)b;

    return (first > second) - (first < second);
}

/* The median of what was done of a kind, or of all with kind 0; 0 if that is nothing. */
static int64_t median(const struct memory *memory, uint32_t kind)
{
    int64_t durations[MAX_JOBS];
    size_t n = 0;

    for (uint64_t i = 0; i < memory->n_done; i++) {
        if (kind == 0 || memory->kinds[i] == kind)
            durations[n++] = memory->durations[i];
    }
    if (n == 0)
        return 0;
    qsort(durations, n, sizeof(durations[0]), compare_durations);
    return n % 2 ? durations[n / 2]
                 : durations[n / 2 - 1] + (durations[n / 2] - durations[n / 2 - 1]) / 2;
}

static double estimate(const struct memory *memory, const struct job *job)
{
    int64_t known = job->spec.estimate_ns;

    if (known == 0 && job->spec.kind != 0)
        known = median(memory, job->spec.kind);
    return (double)(known != 0 ? known : median(memory, 0));
}

/* The lowest score is first; of equal ones the lowest id, or with lifo the score says it all. */
typedef double (*score_fn)(const struct shop *shop, const struct memory *memory, mf_task_id id);

static double score_fifo(const struct shop *shop, const struct memory *memory, mf_task_id id)
{
    return (double)id;
}

static double score_lifo(const struct shop *shop, const struct memory *memory, mf_task_id id)
{
    return -(double)id;
}

static double score_sjf(const struct shop *shop, const struct memory *memory, mf_task_id id)
{
    double ns = estimate(memory, &shop->jobs[id]);

    return ns > 0 ? ns : 1e30;
}

static double score_lpt(const struct shop *shop, const struct memory *memory, mf_task_id id)
{
    double ns = estimate(memory, &shop->jobs[id]);

    return ns > 0 ? -ns : -1e30;
}

static double score_wspt(const struct shop *shop, const struct memory *memory, mf_task_id id)
{
    const struct job *job = &shop->jobs[id];
    double weight = job->spec.weight > 0 ? (double)job->spec.weight : 1;
    double ns = estimate(memory, job);

    return -weight / (ns > 0 ? ns : 0x1p63);
}

static double score_edf(const struct shop *shop, const struct memory *memory, mf_task_id id)
{
    int64_t deadline_ns = shop->jobs[id].spec.deadline_ns;

    return deadline_ns ? (double)deadline_ns : 1e30;
}

static double score_way(const struct shop *shop, const struct memory *memory, mf_task_id id)
{
    const struct mf_task_spec *spec = &shop->jobs[id].spec;

    return -(double)(spec->upward_ns ? spec->upward_ns : spec->estimate_ns);
}

#define AGEING_WEIGHT 4.0
#define AGEING_WINDOW (20 * S)
#define AGEING_SATURATION 0.3

static double logistic(double x)
{
    return 1 / (1 + exp(-x));
}

static double score_priority(const struct shop *shop, const struct memory *memory, mf_task_id id)
{
    const struct job *job = &shop->jobs[id];
    double windows = (double)(shop->now_ns - job->submitted_ns) / (double)AGEING_WINDOW;
    double at_first = logistic(-1 / AGEING_SATURATION);
    double grown = logistic((windows - 1) / AGEING_SATURATION) - at_first;

    /* Rounded, as sums in another order are not the same to the last bit. */
    return round(1e9 * (-job->spec.priority - AGEING_WEIGHT * grown / (1 - at_first)));
}

static double score_fair(const struct shop *shop, const struct memory *memory, mf_task_id id)
{
    return memory->used[shop->jobs[id].spec.group];
}

static mf_task_id next_of(const struct shop *shop, const struct memory *memory, score_fn score)
{
    mf_task_id best = 0;

    for (mf_task_id id = 1; id <= shop->n_jobs; id++) {
        if (shop->jobs[id].is_ready &&
            (!best || score(shop, memory, id) < score(shop, memory, best)))
            best = id;
    }
    return best;
}

/* How the account of a group goes, with shares of 1, 2, 3 ... for groups 0, 1, 2 ... */
static double share_of(const struct job *job)
{
    return 1 + job->spec.group;
}

static void note_submitted(const struct shop *shop, struct memory *memory, const struct job *job)
{
    uint32_t group = job->spec.group;

    for (mf_task_id id = 1; id <= shop->n_jobs; id++) {
        if (shop->jobs[id].is_ready && shop->jobs[id].spec.group == group)
            return;
    }
    memory->used[group] = fmax(memory->used[group], memory->virtual_ns);
}

static void note_placed(const struct shop *shop, struct memory *memory, mf_task_id id)
{
    const struct job *job = &shop->jobs[id];
    double ns = estimate(memory, job);

    memory->charged[id] = (ns > 0 ? ns : 1e6) * job->spec.needs.n_slots;
    memory->virtual_ns = fmax(memory->virtual_ns, memory->used[job->spec.group]);
    memory->used[job->spec.group] += memory->charged[id] / share_of(job);
}

static void note_done(const struct shop *shop, struct memory *memory, mf_task_id id)
{
    const struct job *job = &shop->jobs[id];
    double more = (double)job->run_ns * job->spec.needs.n_slots - memory->charged[id];

    memory->used[job->spec.group] += more / share_of(job);
    memory->durations[memory->n_done] = job->run_ns;
    memory->kinds[memory->n_done++] = job->spec.kind;
}

/* Few different values, so that ties are frequent; a part of the tasks says nothing. */
static struct job draw_job(struct mf_rng *rng, int64_t now_ns)
{
    struct job job = {.run_ns = (int64_t)(1 + mf_rng_below(rng, 8)) * S};

    job.spec.priority = (int32_t)mf_rng_below(rng, 4);
    job.spec.group = (uint32_t)mf_rng_below(rng, 3);
    job.spec.kind = (uint32_t)mf_rng_below(rng, 4);
    job.spec.needs.n_slots = 1 + (uint32_t)mf_rng_below(rng, 4);
    if (job.spec.kind != 0)
        job.run_ns = job.run_ns / 4 + job.spec.kind * S;
    if (mf_rng_below(rng, 3) == 0)
        job.spec.estimate_ns = (int64_t)(1 + mf_rng_below(rng, 8)) * S;
    if (mf_rng_below(rng, 2) == 0)
        job.spec.weight = (float)(1 + mf_rng_below(rng, 5));
    if (mf_rng_below(rng, 3) > 0)
        job.spec.deadline_ns = now_ns + (int64_t)mf_rng_below(rng, 20) * S;
    if (mf_rng_below(rng, 2) == 0)
        job.spec.upward_ns = (int64_t)mf_rng_below(rng, 20) * S;
    return job;
}

/* One task runs at a time; others come meanwhile, never more than are reordered in each tick. */
static void compare_once(const struct mf_policy *policy, score_fn score, uint64_t seed)
{
    const struct mf_farm_config config = {
        .policy = policy,
        .policy_settings = {.rekey_ns = 1,
                            .ageing_weight = AGEING_WEIGHT,
                            .ageing_window_ns = AGEING_WINDOW,
                            .ageing_saturation = AGEING_SATURATION}};
    struct memory memory = {0};
    struct shop shop;
    struct mf_rng rng;

    mf_rng_init(&rng, seed);
    open_shop(&shop, &config, 4);
    for (uint32_t group = 0; group < 3; group++)
        apply(&shop, (struct mf_event){.kind = MF_EVENT_SHARE,
                                       .spec = {.group = group, .weight = (float)(1 + group)}});
    for (int step = 0; step < 40; step++) {
        mf_task_id expected, placed;

        for (uint64_t n = mf_rng_below(&rng, 4); n > 0 && mf_farm_n_ready(shop.farm) < 14; n--) {
            struct job job = draw_job(&rng, shop.now_ns);

            job.spec.needs.n_slots = 4;
            note_submitted(&shop, &memory, &job);
            submit(&shop, job);
        }
        shop.now_ns += 1;
        expected = next_of(&shop, &memory, score);
        placed = tick(&shop);
        cr_assert_eq(placed, expected, "%s, seed %llu, step %d: %llu rather than %llu",
                     policy->name, (unsigned long long)seed, step, (unsigned long long)placed,
                     (unsigned long long)expected);
        if (!placed)
            continue;
        note_placed(&shop, &memory, placed);
        cr_assert(pass_time(&shop));
        note_done(&shop, &memory, placed);
    }
    mf_farm_destroy(shop.farm);
}

static void compare(const struct mf_policy *policy, score_fn score)
{
    for (uint64_t seed = 1; seed <= 100; seed++)
        compare_once(policy, score, seed);
}

Test(policies, fifo_takes_the_first_submitted)
{
    compare(&mf_policy_fifo, score_fifo);
}

Test(policies, lifo_takes_the_last_submitted)
{
    compare(&mf_policy_lifo, score_lifo);
}

Test(policies, priority_takes_the_highest_with_what_waiting_added)
{
    compare(&mf_policy_priority, score_priority);
}

Test(policies, sjf_takes_the_shortest_as_far_as_is_known)
{
    compare(&mf_policy_sjf, score_sjf);
}

Test(policies, lpt_takes_the_longest_as_far_as_is_known)
{
    compare(&mf_policy_lpt, score_lpt);
}

Test(policies, wspt_takes_the_most_weight_per_time_as_far_as_is_known)
{
    compare(&mf_policy_wspt, score_wspt);
}

Test(policies, edf_takes_the_earliest_deadline)
{
    compare(&mf_policy_edf, score_edf);
}

Test(policies, critical_path_takes_the_longest_way_to_the_end)
{
    compare(&mf_policy_critical_path, score_way);
}

Test(policies, fair_takes_the_group_that_had_least_for_its_share)
{
    compare(&mf_policy_fair, score_fair);
}

Test(policies, each_is_found_by_its_name)
{
    const char *names[] = {"fifo", "lifo",          "priority", "sjf",  "lpt", "wspt",
                           "edf",  "critical-path", "fair",     "srtf", "rr",  "auto"};
    uint32_t n = sizeof(names) / sizeof(names[0]);

    for (uint32_t i = 0; i < n; i++) {
        cr_assert_eq(mf_policy_find(names[i]), mf_policy_at(i));
        cr_assert_str_eq(mf_policy_at(i)->name, names[i]);
    }
    cr_assert_null(mf_policy_at(n));
    cr_assert_null(mf_policy_find("fif"));
}

/* ---- another policy while the farm runs ---- */

Test(policies, another_policy_orders_the_ready_tasks_anew)
{
    struct t_farm *t = t_farm("long+300 short+100 middle+200", .workers = 1);

    cr_assert_eq(t_apply(t, .kind = MF_EVENT_POLICY, .policy = &mf_policy_sjf), 0);
    cr_assert_eq(mf_farm_policy(t->farm), &mf_policy_sjf);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "short:PLACED@0");
    cr_assert_eq(t_apply(t, .kind = MF_EVENT_POLICY, .policy = &mf_policy_lifo), 0);
    t_end(t, "short");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "short:DONE middle:PLACED@0");
}

Test(policies, another_policy_orders_tasks_that_wait_for_a_countable_anew)
{
    struct t_farm *t =
        t_farm("a+100$1 b+200$1 c+300$1", .workers = 1, .slots = 3, .config.countables = {1});

    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:PLACED@0");
    cr_assert_eq(t_apply(t, .kind = MF_EVENT_POLICY, .policy = &mf_policy_lpt), 0);
    t_end(t, "a");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:DONE c:PLACED@0");
}

Test(policies, another_policy_orders_tasks_that_stand_aside_anew)
{
    struct t_farm *t = t_farm("hog*2 a*2+150 b*2+190 c*2+200", .workers = 1, .slots = 3);

    t_tick(t);
    cr_assert_str_eq(t_trace(t), "hog:PLACED@0");
    cr_assert_eq(t_apply(t, .kind = MF_EVENT_POLICY, .policy = &mf_policy_lpt), 0);
    t_tick(t);
    t_end(t, "hog");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "hog:DONE c:PLACED@0");
    t_end(t, "c");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "c:DONE b:PLACED@0");
}

Test(policies, another_policy_goes_on_ordering_by_what_is_learned)
{
    struct t_farm *t = t_farm("a=1 b=2 c=3", .workers = 1);

    cr_assert_eq(t_apply(t, .kind = MF_EVENT_POLICY, .policy = &mf_policy_sjf), 0);
    for (uint32_t kind = 1; kind <= 3; kind++)
        t_apply(t, .kind = MF_EVENT_LEARNED, .spec.kind = kind, .duration_ns = (4 - kind) * T_MS,
                .n_samples = 1);
    t_wait(t, 2 * S);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "c:PLACED@0");
}

Test(policies, accounts_of_groups_are_kept_from_the_start_or_not_at_all)
{
    struct t_farm *t = t_farm("a b", .workers = 1);
    struct t_farm *fair = t_farm("a b", .workers = 1, .config.policy = &mf_policy_fair);

    cr_assert_eq(t_apply(t, .kind = MF_EVENT_POLICY, .policy = &mf_policy_fair), -EINVAL);
    cr_assert_eq(t_apply(t, .kind = MF_EVENT_POLICY), -EINVAL);
    cr_assert_eq(t_apply(fair, .kind = MF_EVENT_POLICY, .policy = &mf_policy_sjf), -EINVAL);
    cr_assert_eq(mf_farm_policy(t->farm), &mf_policy_fifo);
    cr_assert_eq(mf_farm_policy(fair->farm), &mf_policy_fair);
}

/* ---- what the farm shows of itself ---- */

Test(policies, the_farm_shows_ready_tasks_and_what_comes_after_them)
{
    struct t_farm *t = t_farm("a$1 b$1 c<a,b?", .workers = 1, .slots = 2,
                              .config = {.countables = {1}, .has_dependencies = true});
    const struct mf_dependency *after;

    t_tick(t);
    cr_assert_eq(mf_farm_n_ready(t->farm), 1);
    cr_assert_eq(mf_farm_ready_at(t->farm, 0)->id, t_id(t, "b"), "it is parked");
    cr_assert_null(mf_farm_ready_at(t->farm, 1));
    cr_assert_eq(mf_farm_successors(t->farm, t_id(t, "b"), &after), 1);
    cr_assert_eq(after[0].task, t_id(t, "c"));
    cr_assert_eq(after[0].condition, MF_AFTER_ANY);
    cr_assert_eq(mf_farm_successors(t->farm, t_id(t, "c"), &after), 0);
}

/* ---- what theory promises ---- */

/* Sum of weight times completion of jobs in that order on one slot. */
static double weighted_sum(const struct job *jobs, const uint32_t *order, uint32_t n)
{
    double sum = 0;
    int64_t now_ns = 0;

    for (uint32_t i = 0; i < n; i++) {
        const struct job *job = &jobs[order[i]];

        now_ns += job->run_ns;
        sum += (double)(job->spec.weight > 0 ? job->spec.weight : 1) * (double)now_ns;
    }
    return sum;
}

/* The least sum over all orders of what is in order[at] and behind. */
static double least_weighted_sum(const struct job *jobs, uint32_t *order, uint32_t at, uint32_t n)
{
    double least = INFINITY;

    if (at == n)
        return weighted_sum(jobs, order, n);
    for (uint32_t i = at; i < n; i++) {
        uint32_t other = order[i];
        double sum;

        order[i] = order[at];
        order[at] = other;
        sum = least_weighted_sum(jobs, order, at + 1, n);
        order[at] = order[i];
        order[i] = other;
        least = fmin(least, sum);
    }
    return least;
}

static void check_is_optimal(const struct mf_policy *policy, bool has_weights)
{
    for (uint64_t seed = 1; seed <= 60; seed++) {
        uint32_t order[] = {1, 2, 3, 4, 5, 6, 7};
        struct mf_rng rng;
        struct shop shop;
        uint32_t n;
        double sum = 0;

        mf_rng_init(&rng, seed);
        n = 2 + (uint32_t)mf_rng_below(&rng, 6);
        open_shop(&shop, &(struct mf_farm_config){.policy = policy}, 1);
        for (uint32_t i = 0; i < n; i++) {
            struct job job = {.run_ns = 1 + (int64_t)mf_rng_below(&rng, 20)};

            job.spec.estimate_ns = job.run_ns;
            job.spec.weight = has_weights ? (float)(1 + mf_rng_below(&rng, 9)) : 0;
            submit(&shop, job);
        }
        run_all(&shop);
        for (uint32_t i = 1; i <= n; i++)
            sum += (double)(has_weights ? shop.jobs[i].spec.weight : 1) *
                   (double)(shop.jobs[i].done_ns - S);
        cr_assert_eq(sum, least_weighted_sum(shop.jobs, order, 0, n), "seed %llu",
                     (unsigned long long)seed);
        mf_farm_destroy(shop.farm);
    }
}

Test(policies, sjf_has_the_least_sum_of_completion_times_on_one_slot)
{
    check_is_optimal(&mf_policy_sjf, false);
}

Test(policies, wspt_has_the_least_weighted_sum_of_completion_times_on_one_slot)
{
    check_is_optimal(&mf_policy_wspt, true);
}

static void shuffle(struct job *jobs, uint32_t n, struct mf_rng *rng)
{
    for (uint32_t i = n - 1; i > 0; i--) {
        uint32_t other = (uint32_t)mf_rng_below(rng, i + 1);
        struct job job = jobs[i];

        jobs[i] = jobs[other];
        jobs[other] = job;
    }
}

Test(policies, edf_meets_all_deadlines_whenever_some_order_does)
{
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct job jobs[20] = {0};
        int64_t done_ns = S;
        struct mf_rng rng;
        struct shop shop;

        mf_rng_init(&rng, seed);
        for (uint32_t i = 0; i < 20; i++) {
            jobs[i].run_ns = 1 + (int64_t)mf_rng_below(&rng, 20);
            done_ns += jobs[i].run_ns;
            jobs[i].spec.deadline_ns = done_ns;
        }
        /* That order meets them, and is lost here. */
        shuffle(jobs, 20, &rng);
        open_shop(&shop, &(struct mf_farm_config){.policy = &mf_policy_edf}, 1);
        for (uint32_t i = 0; i < 20; i++)
            submit(&shop, jobs[i]);
        run_all(&shop);
        for (uint32_t i = 1; i <= 20; i++)
            cr_assert(shop.jobs[i].done_ns <= shop.jobs[i].spec.deadline_ns);
        mf_farm_destroy(shop.farm);
    }
}

/* The least makespan of jobs[at ..], with load on each of m slots so far. */
static int64_t least_makespan(const struct job *jobs, uint32_t at, uint32_t n, int64_t *load,
                              uint32_t m)
{
    int64_t least = INT64_MAX;

    if (at > n) {
        least = 0;
        for (uint32_t i = 0; i < m; i++)
            least = load[i] > least ? load[i] : least;
        return least;
    }
    for (uint32_t i = 0; i < m; i++) {
        int64_t makespan;

        load[i] += jobs[at].run_ns;
        makespan = least_makespan(jobs, at + 1, n, load, m);
        load[i] -= jobs[at].run_ns;
        least = makespan < least ? makespan : least;
    }
    return least;
}

static void check_lpt_bound(const int64_t *durations, uint32_t n, uint32_t m, bool is_tight)
{
    int64_t load[8] = {0};
    int64_t makespan = 0, least;
    struct shop shop;

    open_shop(&shop, &(struct mf_farm_config){.policy = &mf_policy_lpt}, m);
    for (uint32_t i = 0; i < n; i++)
        submit(&shop, (struct job){.run_ns = durations[i], .spec.estimate_ns = durations[i]});
    run_all(&shop);
    for (uint32_t i = 1; i <= n; i++)
        makespan = shop.jobs[i].done_ns - S > makespan ? shop.jobs[i].done_ns - S : makespan;
    least = least_makespan(shop.jobs, 1, n, load, m);
    cr_assert(makespan >= least);
    cr_assert(3 * m * makespan <= (4 * m - 1) * least, "%lld of %lld on %u slots",
              (long long)makespan, (long long)least, m);
    cr_assert(!is_tight || 3 * m * makespan == (4 * m - 1) * least);
    mf_farm_destroy(shop.farm);
}

Test(policies, lpt_is_within_its_proven_bound_of_the_least_makespan)
{
    /* Graham's example, which reaches the bound: two each of 2m-1 .. m+1, and three of m. */
    const int64_t worst_of_2[] = {3, 3, 2, 2, 2}, worst_of_3[] = {5, 5, 4, 4, 3, 3, 3};

    check_lpt_bound(worst_of_2, 5, 2, true);
    check_lpt_bound(worst_of_3, 7, 3, true);
    for (uint64_t seed = 1; seed <= 150; seed++) {
        int64_t durations[9];
        struct mf_rng rng;
        uint32_t n;

        mf_rng_init(&rng, seed);
        n = 1 + (uint32_t)mf_rng_below(&rng, 9);
        for (uint32_t i = 0; i < n; i++)
            durations[i] = 1 + (int64_t)mf_rng_below(&rng, 30);
        check_lpt_bound(durations, n, 2 + (uint32_t)mf_rng_below(&rng, 2), false);
    }
}

/* ---- ageing ---- */

/* Whether a task of priority 0 is placed while two tasks of priority 5 come for each slot free. */
static bool is_placed_under_a_stream(double ageing_weight)
{
    const struct mf_farm_config config = {
        .policy = &mf_policy_priority,
        .policy_settings = {.ageing_weight = ageing_weight, .ageing_window_ns = 20 * S}};
    struct shop shop;
    bool is_placed;

    open_shop(&shop, &config, 1);
    submit(&shop, (struct job){.run_ns = S});
    for (int i = 0; i < 100; i++) {
        submit(&shop, (struct job){.run_ns = S, .spec.priority = 5});
        submit(&shop, (struct job){.run_ns = S, .spec.priority = 5});
        tick(&shop);
        cr_assert(pass_time(&shop));
    }
    is_placed = !shop.jobs[1].is_ready;
    mf_farm_destroy(shop.farm);
    return is_placed;
}

Test(policies, a_low_priority_is_placed_in_the_end_under_a_stream_of_high_ones)
{
    cr_assert(is_placed_under_a_stream(20));
    cr_assert_not(is_placed_under_a_stream(4));
    cr_assert_not(is_placed_under_a_stream(-1));
}

Test(policies, ageing_counts_from_when_a_task_was_ready_first)
{
    const struct mf_farm_config config = {
        .policy = &mf_policy_priority,
        .policy_settings = {.ageing_window_ns = 10 * S, .ageing_weight = 10}};
    struct shop shop;

    open_shop(&shop, &config, 1);
    submit(&shop, (struct job){.run_ns = S});
    tick(&shop);
    shop.now_ns += 30 * S;
    apply(&shop, (struct mf_event){.kind = MF_EVENT_RETURNED, .task = 1, .attempt = 1});
    submit(&shop, (struct job){.run_ns = S, .spec.priority = 9});
    cr_assert_eq(tick(&shop), 1);
    mf_farm_destroy(shop.farm);
}

/* ---- fair ---- */

/* Slot time that a group had until now. */
static double slot_time(const struct shop *shop, uint32_t group)
{
    double sum = 0;

    for (mf_task_id id = 1; id <= shop->n_jobs; id++) {
        const struct job *job = &shop->jobs[id];

        if (job->spec.group == group && !job->is_ready)
            sum += (double)((job->is_running ? shop->now_ns : job->done_ns) - job->placed_ns) *
                   job->spec.needs.n_slots;
    }
    return sum / (double)S;
}

/* Group 1 has many short tasks, group 2 a few long and wide ones, and nobody says how long. */
static void open_two_groups(struct shop *shop, double share)
{
    open_shop(shop, &(struct mf_farm_config){.policy = &mf_policy_fair}, 4);
    apply(shop,
          (struct mf_event){.kind = MF_EVENT_SHARE, .spec = {.group = 2, .weight = (float)share}});
    for (int i = 0; i < 320; i++)
        submit(shop, (struct job){.run_ns = S, .spec.group = 1});
    for (int i = 0; i < 30; i++)
        submit(shop, (struct job){.run_ns = 5 * S, .spec = {.group = 2, .needs.n_slots = 2}});
}

static void run_until(struct shop *shop, int64_t until_ns)
{
    while (shop->now_ns < until_ns) {
        tick(shop);
        cr_assert(pass_time(shop));
    }
}

Test(policies, fair_gives_two_groups_of_unequal_demand_equal_slot_time)
{
    struct shop shop;

    open_two_groups(&shop, 1);
    run_until(&shop, 81 * S);
    cr_assert(fabs(slot_time(&shop, 1) - slot_time(&shop, 2)) <= 2 * 10, "%.0f and %.0f s",
              slot_time(&shop, 1), slot_time(&shop, 2));
    mf_farm_destroy(shop.farm);
}

Test(policies, fair_gives_a_group_of_three_shares_three_times_as_much)
{
    struct shop shop;

    open_two_groups(&shop, 3);
    run_until(&shop, 81 * S);
    cr_assert(fabs(3 * slot_time(&shop, 1) - slot_time(&shop, 2)) <= 4 * 10, "%.0f and %.0f s",
              slot_time(&shop, 1), slot_time(&shop, 2));
    mf_farm_destroy(shop.farm);
}

Test(policies, fair_lets_nobody_save_up_while_it_has_nothing_to_do)
{
    struct shop shop;
    double before;

    open_shop(&shop, &(struct mf_farm_config){.policy = &mf_policy_fair}, 2);
    for (int i = 0; i < 200; i++)
        submit(&shop, (struct job){.run_ns = S, .spec.group = 1});
    run_until(&shop, 51 * S);
    for (int i = 0; i < 100; i++)
        submit(&shop, (struct job){.run_ns = S, .spec.group = 2});
    before = slot_time(&shop, 1);
    run_until(&shop, 71 * S);
    cr_assert(fabs(slot_time(&shop, 1) - before - 20) <= 2, "%.0f s", slot_time(&shop, 1) - before);
    cr_assert(fabs(slot_time(&shop, 2) - 20) <= 2, "%.0f s", slot_time(&shop, 2));
    mf_farm_destroy(shop.farm);
}

Test(policies, shares_that_make_no_sense_are_refused)
{
    const float shares[] = {0, -1, NAN, INFINITY};
    struct mf_farm *farm;

    cr_assert_eq(mf_farm_create(&(struct mf_farm_config){.policy = &mf_policy_fair}, &farm), 0);
    for (int i = 0; i < 4; i++)
        cr_assert_eq(mf_farm_apply(farm, &(struct mf_event){.kind = MF_EVENT_SHARE,
                                                            .spec.weight = shares[i]}),
                     -EINVAL);
    mf_farm_destroy(farm);
}

/* ---- reordering ---- */

static uint64_t n_keys;

static double count_keys(const struct mf_policy_view *view, const struct mf_task *task)
{
    n_keys++;
    return 0;
}

Test(policies, reordering_many_tasks_costs_little_per_tick_however_slow_they_are)
{
    const struct mf_policy counting = {.name = "counting",
                                       .before = mf_policy_key_before,
                                       .key = count_keys,
                                       .rekey_ns = mf_policy_rekey_estimates};
    const uint64_t n_tasks = 50000, n_ticks = 4000;
    struct mf_event event = {.kind = MF_EVENT_SUBMITTED,
                             .spec = {.needs.n_slots = 1, .max_attempts = 1}};
    struct mf_farm *farm;

    cr_assert_eq(mf_farm_create(&(struct mf_farm_config){.policy = &counting}, &farm), 0);
    for (uint64_t i = 0; i < n_tasks; i++)
        cr_assert_eq(mf_farm_apply(farm, &event), 0);
    n_keys = 0;
    for (uint64_t i = 1; i <= n_ticks; i++) {
        event = (struct mf_event){.kind = MF_EVENT_TICK, .now_ns = (int64_t)i * 3600 * S};
        cr_assert_eq(mf_farm_apply(farm, &event), 0);
    }
    cr_assert(n_keys >= 3 * n_tasks && n_keys <= 64 * n_ticks + 12 * n_tasks, "%llu",
              (unsigned long long)n_keys);
    mf_farm_destroy(farm);
}

/* What the group 1 was charged so far. */
static double used(const struct shop *shop)
{
    const struct mf_share *share = mf_table_find(shop->farm->shares.by_group, &(uint32_t){1});

    return share->used_ns;
}

Test(policies, fair_pays_back_for_a_task_that_is_recalled)
{
    struct shop shop;

    open_shop(&shop, &(struct mf_farm_config){.policy = &mf_policy_fair}, 4);
    submit(&shop, (struct job){.spec = {.group = 1, .estimate_ns = 7 * S, .needs.n_slots = 2}});
    tick(&shop);
    cr_assert_eq(used(&shop), 14.0 * S);
    apply(&shop, (struct mf_event){.kind = MF_EVENT_RETURNED, .task = 1, .attempt = 1});
    cr_assert_eq(used(&shop), 0);
    mf_farm_destroy(shop.farm);
}

Test(policies, fair_charges_for_the_time_that_was_lost_with_a_worker)
{
    struct shop shop;

    open_shop(&shop, &(struct mf_farm_config){.policy = &mf_policy_fair}, 4);
    submit(&shop, (struct job){.spec = {.group = 1, .estimate_ns = 7 * S, .needs.n_slots = 2}});
    submit(&shop, (struct job){.spec = {.group = 1, .estimate_ns = 100 * S}});
    tick(&shop);
    apply(&shop, (struct mf_event){.kind = MF_EVENT_STARTED, .task = 1, .attempt = 1});
    shop.now_ns += 3 * S;
    apply(&shop, (struct mf_event){.kind = MF_EVENT_WORKER_LOST});
    cr_assert_eq(used(&shop), 9.0 * S, "also the time of one that may have begun");
    mf_farm_destroy(shop.farm);
}
