/* The policy auto: what is known of the remaining work, and what is chosen by it. */
#include "runtime/chooser.h"
#include "runtime/outlook.h"
#include "support/farm_builder.h"
#include "t_sim.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>
#include <string.h>

static struct mf_chooser *create(const struct mf_farm_config *config)
{
    struct mf_chooser *chooser;

    cr_assert_eq(mf_chooser_create(config, &chooser), 0);
    return chooser;
}

/* Goes on until there is nothing to find out now. Returns how often the policy was changed. */
static int choose(struct mf_chooser *chooser, struct t_farm *t, struct mf_preference *preference)
{
    int n_changes = 0, r;

    while ((r = mf_chooser_step(chooser, t->farm, t->now_ns, preference)) != MF_CHOOSER_IDLE) {
        cr_assert(r == MF_CHOOSER_BUSY || r == MF_CHOOSER_CHANGED);
        n_changes += r == MF_CHOOSER_CHANGED;
    }
    cr_assert_not(mf_chooser_is_busy(chooser));
    return n_changes;
}

/* Many short tasks of 1 s and a long one of 5 s behind them, on two slots. */
static struct t_farm *long_one_last(void)
{
    return t_farm("a+1000 b+1000 c+1000 d+1000 e+1000 f+1000 long+5000", .workers = 1, .slots = 2);
}

/* --- what is known --- */

Test(outlook, what_runs_has_the_rest_of_its_time_left_where_it_is)
{
    struct t_farm *t = t_farm("a+1000 b+2000 c+3000", .workers = 2);
    struct mf_outlook outlook;

    t_tick(t);
    t_start(t, "a b");
    t_wait(t, 1500 * T_MS);
    cr_assert_eq(mf_outlook_take(t->farm, t->now_ns, &outlook), 0);
    cr_assert(eq(u32, outlook.n_tasks, 3));
    cr_assert(eq(i64, outlook.tasks[0].duration_ns, 1), "it is about to end");
    cr_assert(eq(i64, outlook.tasks[1].duration_ns, 500 * T_MS));
    cr_assert(outlook.tasks[1].spec.has_target && outlook.tasks[1].spec.target == 1);
    cr_assert(eq(i64, outlook.tasks[2].duration_ns, 3000 * T_MS));
    cr_assert_not(outlook.tasks[2].spec.has_target);
    cr_assert(outlook.tasks[1].arrival_ns < outlook.tasks[2].arrival_ns);
    cr_assert(eq(u32, outlook.n_groups, 1));
    cr_assert(eq(u32, outlook.groups[0].n_workers, 2));
    mf_outlook_finish(&outlook);
}

Test(outlook, tasks_that_wait_come_after_those_that_they_come_after)
{
    struct t_farm *t =
        t_farm("a+10 b+10 c<a,b?+10 d<c+10 e+10", .workers = 1, .config.has_dependencies = true);
    struct mf_outlook outlook;

    t_tick(t);
    cr_assert_eq(mf_outlook_take(t->farm, t->now_ns, &outlook), 0);
    cr_assert(eq(u32, outlook.n_tasks, 5));
    cr_assert(eq(u32, outlook.tasks[2].n_after, 2));
    cr_assert(eq(u64, outlook.tasks[2].after[0].task, 1));
    cr_assert(eq(u64, outlook.tasks[2].after[1].task, 2));
    cr_assert_eq(outlook.tasks[2].after[1].condition, MF_AFTER_ANY);
    cr_assert(eq(u32, outlook.tasks[3].n_after, 1));
    cr_assert(eq(u64, outlook.tasks[3].after[0].task, 3));
    cr_assert(eq(u32, outlook.tasks[4].n_after, 0));
    cr_assert_not(outlook.is_part);
    mf_outlook_finish(&outlook);
}

Test(outlook, deadlines_are_on_a_clock_that_begins_now)
{
    struct t_farm *t = t_farm("", .workers = 1);
    struct mf_task_spec spec = {.needs.n_slots = 1, .max_attempts = 1, .estimate_ns = T_MS};
    int64_t deadlines_ns[] = {0, 107, 105, 102};
    int64_t expected_ns[] = {0, 2, -1, -3};
    struct mf_outlook outlook;

    /* One that is due this very moment is not one without a deadline. */
    t_wait(t, 100 - t->now_ns);
    for (int i = 0; i < 4; i++) {
        spec.deadline_ns = deadlines_ns[i];
        t_apply(t, .kind = MF_EVENT_SUBMITTED, .spec = spec);
    }
    t_wait(t, 5);
    cr_assert_eq(mf_outlook_take(t->farm, t->now_ns, &outlook), 0);
    cr_assert(outlook.has_deadline);
    for (int i = 0; i < 4; i++)
        cr_assert(eq(i64, outlook.tasks[i].spec.deadline_ns, expected_ns[i]), "task %d", i + 1);
    mf_outlook_finish(&outlook);
}

Test(outlook, tasks_of_which_nothing_is_known_take_as_long_as_the_others)
{
    struct t_farm *t = t_farm("a+1000 b c+3000", .workers = 1);
    struct mf_outlook outlook;

    cr_assert_eq(mf_outlook_take(t->farm, t->now_ns, &outlook), 0);
    cr_assert(outlook.is_known);
    cr_assert(eq(i64, outlook.tasks[1].duration_ns, 2000 * T_MS));
    cr_assert(eq(i64, outlook.tasks[1].spec.estimate_ns, 0), "no policy knows it either");
    mf_outlook_finish(&outlook);
}

/* Without a check of all invariants, which would take long. */
static void apply(struct t_farm *t, struct mf_event event)
{
    event.now_ns = t->now_ns;
    cr_assert_eq(mf_farm_apply(t->farm, &event), 0);
}

Test(outlook, is_small_however_large_the_farm)
{
    struct t_farm *t = t_farm("", .config.has_dependencies = true);
    struct mf_task_spec spec = {.needs.n_slots = 1, .max_attempts = 1, .estimate_ns = T_MS};
    struct mf_outlook outlook;
    uint64_t n_slots = 0;

    for (mf_worker_id worker = 0; worker < 500; worker++)
        apply(t, (struct mf_event){.kind = MF_EVENT_WORKER_UP,
                                   .worker = worker,
                                   .has.n_slots = worker % 2 ? 64 : 8});
    for (mf_task_id task = 1; task <= 60000; task++)
        apply(t, (struct mf_event){.kind = MF_EVENT_SUBMITTED,
                                   .spec = spec,
                                   .after = &(struct mf_dependency){task - 30000, MF_AFTER_OK},
                                   .n_after = task > 30000});
    apply(t, (struct mf_event){.kind = MF_EVENT_TICK});
    cr_assert_eq(mf_outlook_take(t->farm, t->now_ns, &outlook), 0);
    cr_assert(outlook.is_part);
    cr_assert(le(u32, outlook.n_tasks, MF_OUTLOOK_TASKS));
    cr_assert(gt(u32, outlook.n_tasks, MF_OUTLOOK_TASKS / 3));
    for (uint32_t i = 0; i < outlook.n_groups; i++)
        n_slots += outlook.groups[i].n_workers * outlook.groups[i].has.n_slots;
    cr_assert(gt(u64, n_slots, 0));
    cr_assert(le(u64, n_slots, 2 * MF_OUTLOOK_SLOTS));
    mf_outlook_finish(&outlook);
}

Test(outlook, tasks_that_stand_aside_are_known_as_well)
{
    struct t_farm *t = t_farm("a+3000 b*2+1000 c*2+1000 d*2+1000", .workers = 1, .slots = 2);
    struct mf_chooser *chooser = create(&(struct mf_farm_config){0});
    struct mf_preference preference;
    struct mf_outlook outlook;

    t_tick(t);
    cr_assert_eq(mf_outlook_take(t->farm, t->now_ns, &outlook), 0);
    cr_assert(eq(u32, outlook.n_tasks, 4));
    for (uint32_t i = 1; i < 4; i++)
        cr_assert(eq(u32, outlook.tasks[i].spec.needs.n_slots, 2));
    mf_outlook_finish(&outlook);
    cr_assert(eq(int, choose(chooser, t, &preference), 0), "all orders are equal");
    mf_chooser_destroy(chooser);
}

/* --- what is chosen --- */

Test(chooser, takes_the_policy_of_the_shortest_makespan)
{
    struct t_farm *t = long_one_last();
    struct mf_farm_config config = {0};
    struct mf_chooser *chooser = create(&config);
    struct mf_preference preference;
    char text[MF_PREFERENCE_SIZE];

    cr_assert(eq(int, choose(chooser, t, &preference), 1));
    cr_assert_eq(preference.policy, &mf_policy_lpt);
    cr_assert_eq(preference.former, &mf_policy_fifo);
    cr_assert_eq(preference.measure, MF_MEASURE_MAKESPAN);
    cr_assert(epsilon_eq(dbl, preference.predicted, 6, 1e-6));
    cr_assert(epsilon_eq(dbl, preference.former_predicted, 8, 1e-6));
    cr_assert(eq(str, mf_preference_describe(&preference, text),
                 "lpt: makespan 6 s, fifo 8 s, simulating 7 tasks"));
    mf_chooser_destroy(chooser);
}

Test(chooser, takes_the_critical_path_where_tasks_come_after_others)
{
    struct t_farm *t = t_farm("", .workers = 1, .slots = 2, .config.has_dependencies = true);
    struct mf_task_spec spec = {.needs.n_slots = 1, .max_attempts = 1, .estimate_ns = T_S};
    struct mf_chooser *chooser = create(&(struct mf_farm_config){0});
    struct mf_preference preference;

    /* Four tasks of 1.5 s, and a chain of 1 s each behind them. */
    for (mf_task_id task = 1; task <= 9; task++) {
        spec.estimate_ns = task <= 4 ? 3 * T_S / 2 : T_S;
        spec.upward_ns = task <= 4 ? spec.estimate_ns : (int64_t)(10 - task) * T_S;
        t_apply(t, .kind = MF_EVENT_SUBMITTED, .spec = spec,
                .after = &(struct mf_dependency){task - 1, MF_AFTER_OK}, .n_after = task > 5);
    }
    cr_assert(eq(int, choose(chooser, t, &preference), 1));
    cr_assert_eq(preference.policy, &mf_policy_critical_path);
    mf_chooser_destroy(chooser);
}

Test(chooser, minds_weights_and_deadlines_before_the_makespan)
{
    struct mf_task_spec spec = {.needs.n_slots = 1, .max_attempts = 1, .estimate_ns = T_S};
    const struct mf_policy *expected[] = {&mf_policy_wspt, &mf_policy_edf};
    enum mf_measure measures[] = {MF_MEASURE_COMPLETION, MF_MEASURE_TARDINESS};

    for (int has_deadline = 0; has_deadline < 2; has_deadline++) {
        struct t_farm *t = t_farm("", .workers = 1);
        struct mf_chooser *chooser = create(&(struct mf_farm_config){0});
        struct mf_preference preference;
        const float weights[] = {1, 8, 2, 9};
        const int due_s[] = {10, 2, 3, 1};

        for (int i = 0; i < 4; i++) {
            spec.weight = has_deadline ? 0 : weights[i];
            spec.deadline_ns = has_deadline ? t->now_ns + due_s[i] * T_S : 0;
            spec.estimate_ns = has_deadline ? T_S / 4 * 3 : (2 + i % 2) * T_S;
            t_apply(t, .kind = MF_EVENT_SUBMITTED, .spec = spec);
        }
        cr_assert(eq(int, choose(chooser, t, &preference), 1));
        cr_assert_eq(preference.policy, expected[has_deadline], "%s", preference.policy->name);
        cr_assert_eq(preference.measure, measures[has_deadline]);
        mf_chooser_destroy(chooser);
    }
}

Test(chooser, has_nothing_to_choose_by_where_nothing_is_known)
{
    struct t_farm *t = t_farm("a=1 b=1 c=2 d=2 e=2", .workers = 1);
    struct mf_chooser *chooser = create(&(struct mf_farm_config){0});
    struct mf_preference preference;

    cr_assert(eq(int, choose(chooser, t, &preference), 0));
    cr_assert_eq(mf_chooser_step(chooser, t->farm, t->now_ns, &preference), MF_CHOOSER_IDLE);
    t_tick(t);
    t_end(t, "a", .duration_ns = 9 * T_S);
    t_wait(t, T_S);
    cr_assert_eq(mf_chooser_step(chooser, t->farm, t->now_ns, &preference), MF_CHOOSER_BUSY,
                 "the first run time is learned");
    mf_chooser_destroy(chooser);
}

Test(chooser, stays_where_another_policy_is_only_a_little_better)
{
    /* Shortest first makes it 2 % longer or shorter at the very most. */
    struct t_farm *t = t_farm("a+1000 b+1000 c+1000 d+1010", .workers = 1, .slots = 2);
    struct t_farm *same = t_farm("a+1000 b+1000 c+1000", .workers = 1);
    struct mf_chooser *chooser = create(&(struct mf_farm_config){0});
    struct mf_preference preference;

    cr_assert(eq(int, choose(chooser, t, &preference), 0));
    mf_chooser_destroy(chooser);
    chooser = create(&(struct mf_farm_config){0});
    cr_assert(eq(int, choose(chooser, same, &preference), 0));
    mf_chooser_destroy(chooser);
}

Test(chooser, may_change_its_mind_when_enough_is_new)
{
    struct t_farm *t = long_one_last();
    struct mf_chooser *chooser = create(&(struct mf_farm_config){0});
    struct mf_preference preference;

    cr_assert(eq(int, choose(chooser, t, &preference), 1));
    t_apply(t, .kind = MF_EVENT_POLICY, .policy = preference.policy);
    t_tick(t);
    t_wait(t, T_S);
    cr_assert_eq(mf_chooser_step(chooser, t->farm, t->now_ns, &preference), MF_CHOOSER_IDLE,
                 "nothing is new");
    t_submit(t, "g+9000 h+1000 i+1000 j+1000");
    cr_assert_eq(mf_chooser_step(chooser, t->farm, t->now_ns - 1, &preference), MF_CHOOSER_IDLE,
                 "no second has passed");
    cr_assert_eq(mf_chooser_step(chooser, t->farm, t->now_ns, &preference), MF_CHOOSER_BUSY);
    mf_chooser_destroy(chooser);
}

Test(chooser, takes_small_steps)
{
    struct t_farm *t = t_farm("", .workers = 4, .slots = 4);
    struct mf_task_spec spec = {.needs.n_slots = 1, .max_attempts = 1};
    struct mf_chooser *chooser = create(&(struct mf_farm_config){0});
    struct mf_preference preference;
    int n_steps = 0;

    for (int i = 0; i < 1000; i++) {
        spec.estimate_ns = i < 999 ? (i + 1) * T_MS : 30 * T_S;
        t_apply(t, .kind = MF_EVENT_SUBMITTED, .spec = spec);
    }
    while (mf_chooser_step(chooser, t->farm, t->now_ns, &preference) == MF_CHOOSER_BUSY)
        n_steps++;
    /* Each task starts and ends at least, under each of four policies. */
    cr_assert(gt(int, n_steps, 4 * 2 * 1000 / 256));
    cr_assert_eq(preference.policy, &mf_policy_lpt);
    mf_chooser_destroy(chooser);
}

/* --- in a simulation --- */

Test(chooser, a_simulation_under_auto_is_about_as_good_as_under_the_best_policy)
{
    const struct mf_policy *policies[] = {&mf_policy_fifo, &mf_policy_lifo, &mf_policy_sjf,
                                          &mf_policy_lpt, &mf_policy_auto};

    for (uint64_t seed = 1; seed <= 20; seed++) {
        int64_t best_ns = INT64_MAX;

        for (int i = 0; i < 5; i++) {
            struct t_sim *sim = t_sim_create(1, 4);

            t_sim_fill(sim, 150, seed);
            sim->config.farm.policy = policies[i];
            t_sim_run(sim);
            if (policies[i] == &mf_policy_auto)
                cr_assert(le(dbl, (double)sim->result.makespan_ns, 1.03 * (double)best_ns),
                          "seed %d", (int)seed);
            else if (sim->result.makespan_ns < best_ns)
                best_ns = sim->result.makespan_ns;
            free(sim);
        }
    }
}

static bool is_same_attempt(const struct mf_sim_attempt *a, const struct mf_sim_attempt *b)
{
    return a->task == b->task && a->attempt == b->attempt && a->worker == b->worker &&
           a->slot == b->slot && a->start_ns == b->start_ns && a->end_ns == b->end_ns &&
           a->end == b->end;
}

Test(chooser, equal_simulations_under_auto_are_equal)
{
    struct t_sim *first = t_sim_create(2, 2), *second = t_sim_create(2, 2);

    t_sim_fill(first, 300, 7);
    t_sim_fill(second, 300, 7);
    first->config.farm.policy = second->config.farm.policy = &mf_policy_auto;
    t_sim_run(first);
    t_sim_run(second);
    cr_assert(eq(u32, first->n_attempts, second->n_attempts));
    for (uint32_t i = 0; i < first->n_attempts; i++)
        cr_assert(is_same_attempt(&first->attempts[i], &second->attempts[i]), "attempt %u", i);
    free(first);
    free(second);
}
