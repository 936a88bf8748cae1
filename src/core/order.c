/*
 * The order of READY tasks: their keys, which are computed when they become
 * READY and anew from time to time; what is known of run times, and what
 * groups are charged.
 */
#include "core/farm_private.h"

#include <errno.h>
#include <float.h>
#include <stdlib.h>

/* With this many READY tasks, time between two computations of all keys is twice as long. */
#define SLOW_N_READY 100000

/* Keys computed anew in a tick, on average: a few microseconds. */
#define MAX_KEYS_PER_TICK 64

/* Written so that a NaN makes none. */
static bool spec_makes_sense(const struct mf_task_spec *spec)
{
    return spec->weight >= 0 && spec->weight <= FLT_MAX && spec->estimate_ns >= 0 &&
           spec->upward_ns >= 0;
}

static int reserve(struct mf_farm *farm, const struct mf_task_spec *spec)
{
    int r = mf_estimates_reserve(&farm->estimates, spec->kind);

    if (r == 0 && farm->has_shares)
        r = mf_shares_reserve(&farm->shares, spec->group);
    if (r == 0 && farm->has_homes)
        r = mf_homes_reserve(&farm->homes, spec->group);
    return r;
}

int mf_farm_expect(struct mf_farm *farm, const struct mf_task_spec *spec)
{
    if (!spec_makes_sense(spec))
        return -EINVAL;
    return spec->kind != 0 || farm->has_shares || farm->has_homes ? reserve(farm, spec) : 0;
}

int64_t mf_farm_estimate_ns(const struct mf_farm *farm, const struct mf_task *task)
{
    int64_t estimate = task->spec.estimate_ns;

    if (estimate == 0)
        estimate = mf_estimates_of_kind(&farm->estimates, task->spec.kind);
    if (estimate == 0 && farm->median.n_seen > 0)
        return mf_median_get(&farm->median) > 0 ? mf_median_get(&farm->median) : 1;
    return estimate != 0 ? estimate : mf_estimates_of_earlier(&farm->estimates);
}

int mf_farm_learned(const struct mf_farm *farm, size_t *cursor, uint32_t *ret_kind,
                    int64_t *ret_median_ns, uint64_t *ret_n_samples)
{
    return mf_estimates_next(&farm->estimates, cursor, ret_kind, ret_median_ns, ret_n_samples);
}

struct mf_policy_view mf_farm_view(struct mf_farm *farm)
{
    return (struct mf_policy_view){
        .farm = farm,
        .settings = &farm->config.policy_settings,
        .now_ns = farm->now_ns,
        .shares = &farm->shares,
        .n_lined_up = farm->n_lined_up,
    };
}

void mf_farm_order(struct mf_farm *farm, struct mf_task *task)
{
    struct mf_policy_view view = mf_farm_view(farm);

    task->key = farm->config.policy->key(&view, task);
    farm->n_lined_up++;
}

void mf_farm_charge(struct mf_farm *farm, struct mf_task *task)
{
    struct mf_policy_view view = mf_farm_view(farm);

    task->charged_ns = farm->config.policy->charge(&view, task);
    mf_shares_place(&farm->shares, task->spec.group, task->charged_ns);
}

void mf_farm_account(struct mf_farm *farm, const struct mf_task *task, int64_t used_ns)
{
    double slot_ns = (double)used_ns * task->spec.needs.n_slots * (1 + mf_task_n_parts(task));

    mf_shares_correct(&farm->shares, task->spec.group, slot_ns - task->charged_ns);
}

static int compare_ids(const void *a, const void *b)
{
    const struct mf_task *first = *(struct mf_task *const *)a;
    const struct mf_task *second = *(struct mf_task *const *)b;

    return (first->id > second->id) - (first->id < second->id);
}

static void order_all(struct mf_farm *farm)
{
    struct mf_policy_view view = mf_farm_view(farm);
    struct mf_heap *ready = &farm->ready;

    view.is_anew = true;
    mf_farm_end_delays(farm, true);
    mf_farm_unpark(farm, true);
    mf_farm_put_all_back(farm, &farm->late);
    mf_farm_put_all_back(farm, &farm->stranded);
    mf_farm_look_again(farm, true);
    if (farm->has_shares) {
        qsort(ready->items, ready->n_items, sizeof(ready->items[0]), compare_ids);
        mf_shares_restart(&farm->shares);
    }
    for (uint32_t i = 0; i < ready->n_items && farm->has_keys; i++) {
        struct mf_task *task = ready->items[i];

        task->key = farm->config.policy->key(&view, task);
    }
    mf_farm_delay_again(farm);
    mf_heap_rebuild(ready);
    if (farm->preempts)
        mf_farm_reorder_held(farm);
}

/* Tasks that have a key. */
static uint64_t n_ordered(const struct mf_farm *farm)
{
    return farm->counts.by_state[MF_TASK_READY] + farm->n_in_line + farm->victims.n_items;
}

/* What was sent ahead is compared with READY tasks to see whether it should come back. */
static void order_held(struct mf_farm *farm)
{
    for (uint32_t i = 0; i < farm->workers.n_by_id && farm->has_keys; i++) {
        struct mf_worker *worker = farm->workers.by_id[i];

        if (!worker)
            continue;
        mf_list_for_each (node, &worker->tasks)
            mf_farm_order(farm, mf_container_of(node, struct mf_task, node));
    }
}

int64_t mf_farm_rekey_interval(const struct mf_farm_config *config)
{
    const struct mf_policy_settings *settings = &config->policy_settings;
    int64_t interval = config->policy->rekey_ns ? config->policy->rekey_ns(settings) : 0;

    return interval > 0 && settings->rekey_ns > 0 ? settings->rekey_ns : interval;
}

int mf_farm_change_policy(struct mf_farm *farm, const struct mf_policy *policy)
{
    if (!policy || policy->charge || farm->has_shares || mf_policy_preempts(policy) ||
        farm->preempts)
        return -EINVAL;
    mf_farm_unpark(farm, true);
    mf_farm_put_all_back(farm, &farm->late);
    mf_farm_put_all_back(farm, &farm->stranded);
    mf_farm_look_again(farm, true);
    farm->config.policy = policy;
    farm->has_keys = policy->key != NULL;
    farm->rekey_ns = mf_farm_rekey_interval(&farm->config);
    farm->ready.before = policy->before;
    for (int i = 0; i < MF_N_COUNTABLES; i++)
        farm->parked[i].before = policy->before;
    farm->late.before = farm->stranded.before = policy->before;
    for (uint32_t i = 0; i < farm->n_asides; i++)
        farm->asides[i].tasks.before = policy->before;
    order_all(farm);
    order_held(farm);
    farm->ordered_ns = farm->now_ns;
    farm->n_ticks_at_order = farm->n_ticks;
    return 0;
}

/*
 * Whether it is time. Besides the policy's interval there are two conditions,
 * on the number of ticks, that keep the cost of a tick small on average, however
 * much time passes between two: enough of them to pay for it, or four times as
 * many as at the last time, as what is learned first matters most.
 */
static bool is_order_due(const struct mf_farm *farm)
{
    uint64_t n_since = farm->n_ticks - farm->n_ticks_at_order;
    uint64_t n_ready = n_ordered(farm);
    int64_t n_intervals = 1 + (int64_t)(n_ready / SLOW_N_READY);

    return (farm->now_ns - farm->ordered_ns) / n_intervals >= farm->rekey_ns &&
           (n_since >= n_ready / MAX_KEYS_PER_TICK || n_since >= 3 * farm->n_ticks_at_order);
}

void mf_farm_reorder(struct mf_farm *farm)
{
    farm->n_ticks++;
    if (n_ordered(farm) < 2 || !is_order_due(farm))
        return;
    order_all(farm);
    farm->ordered_ns = farm->now_ns;
    farm->n_ticks_at_order = farm->n_ticks;
}
