/*
 * The farm's entry points; see farm_private.h for what is where. The farm owns
 * all tasks and workers in it. One owner, one thread.
 */
#include "core/farm_private.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

/* Written so that a NaN makes none. */
static bool settings_make_sense(const struct mf_policy_settings *settings)
{
    return settings->ageing_weight > -INFINITY && settings->ageing_weight < INFINITY &&
           settings->ageing_saturation >= 0 && settings->ageing_saturation < INFINITY &&
           settings->ageing_window_ns >= 0 && settings->quantum_ns >= 0 && settings->rekey_ns >= 0;
}

static bool config_makes_sense(const struct mf_farm_config *config)
{
    /* Written so that a NaN makes none. */
    return config->halt_fraction >= 0 && config->halt_fraction <= 1 &&
           config->timeout_factor >= 0 && config->delay_ns >= 0 && config->turnaround_ns >= 0 &&
           config->retry_delay_ns >= 0 && config->retry_delay_max_ns >= config->retry_delay_ns &&
           (unsigned int)config->halt_when <= MF_HALT_NOW &&
           (config->timeout_factor == 0 || !config->forgets_run_times) &&
           settings_make_sense(&config->policy_settings);
}

int mf_farm_create(const struct mf_farm_config *config, struct mf_farm **ret_farm)
{
    struct mf_farm *farm;

    if (!config_makes_sense(config))
        return -EINVAL;
    farm = calloc(1, sizeof(*farm));
    if (!farm)
        return -ENOMEM;
    farm->config = *config;
    if (!farm->config.policy)
        farm->config.policy = &mf_policy_fifo;
    if (!farm->config.placement)
        farm->config.placement = &mf_placement_least_loaded;
    farm->has_keys = farm->config.policy->key != NULL;
    farm->preempts = mf_policy_preempts(farm->config.policy);
    if (farm->config.policy->turn_ns)
        farm->turn_ns = farm->config.policy->turn_ns(&config->policy_settings);
    farm->has_shares = farm->config.policy->charge != NULL;
    farm->has_homes = farm->config.placement->has_homes;
    farm->rekey_ns = mf_farm_rekey_interval(&farm->config);
    farm->last_chosen = MF_WORKER_NONE;
    farm->now_ns = farm->next_place_ns = INT64_MIN;
    farm->end_ns = INT64_MAX;
    mf_workers_init(&farm->workers);
    farm->workers.has_fullness = farm->config.placement->has_fullness;
    farm->workers.preempts = farm->preempts;
    farm->workers.max_suspended_per_slot = config->max_suspended_per_slot;
    mf_heap_init(&farm->victims, mf_policy_key_before, offsetof(struct mf_task, heap_index));
    mf_heap_init(&farm->delayed, mf_farm_delayed_before, offsetof(struct mf_task, heap_index));
    mf_heap_init(&farm->ready, farm->config.policy->before, offsetof(struct mf_task, heap_index));
    mf_heap_init(&farm->late, farm->config.policy->before, offsetof(struct mf_task, heap_index));
    mf_heap_init(&farm->stranded, farm->config.policy->before,
                 offsetof(struct mf_task, heap_index));
    farm->may_strand = farm->config.stranding == MF_STRANDING_ALL;
    for (int i = 0; i < MF_N_COUNTABLES; i++) {
        mf_heap_init(&farm->parked[i], farm->config.policy->before,
                     offsetof(struct mf_task, heap_index));
        farm->n_free_countables[i] = farm->config.countables[i];
        farm->has_countables |= farm->config.countables[i] > 0;
    }
    mf_list_init(&farm->dirty);
    mf_list_init(&farm->running);
    mf_list_init(&farm->ended);
    mf_list_init(&farm->left);
    mf_list_init(&farm->blocked);
    mf_rng_init(&farm->rng, config->seed);
    if (config->has_dependencies && mf_links_init(&farm->links) < 0) {
        mf_farm_destroy(farm);
        return -ENOMEM;
    }
    *ret_farm = farm;
    return 0;
}

void mf_farm_destroy(struct mf_farm *farm)
{
    if (!farm)
        return;
    mf_heap_finish(&farm->ready);
    mf_heap_finish(&farm->victims);
    mf_heap_finish(&farm->delayed);
    for (int i = 0; i < MF_N_COUNTABLES; i++)
        mf_heap_finish(&farm->parked[i]);
    mf_heap_finish(&farm->late);
    mf_heap_finish(&farm->stranded);
    mf_asides_finish(farm);
    free(farm->releases);
    free(farm->candidates);
    free(farm->reservation.workers);
    free(farm->taken);
    mf_workers_finish(&farm->workers);
    mf_tasks_finish(&farm->tasks);
    mf_links_finish(&farm->links);
    mf_estimates_finish(&farm->estimates);
    mf_shares_finish(&farm->shares);
    mf_homes_finish(&farm->homes);
    free(farm);
}

int mf_farm_apply(struct mf_farm *farm, const struct mf_event *event)
{
    int64_t last_ns = farm->now_ns;
    int r = 0;

    if (event->now_ns < last_ns)
        return -EINVAL;
    farm->now_ns = event->now_ns;
    if (event->kind == MF_EVENT_TICK)
        mf_farm_tick(farm, event);
    else
        r = mf_farm_handle(farm, event);
    if (r == 0) {
        mf_farm_halt_if_due(farm);
        mf_farm_follow_ends(farm);
        return 0;
    }
    farm->now_ns = last_ns;
    if (r == MF_FARM_E_STALE)
        farm->counts.stale++;
    return r;
}

int mf_farm_next_change(struct mf_farm *farm, struct mf_change *ret_change)
{
    struct mf_list *node = mf_list_pop_front(&farm->dirty);
    struct mf_task *task;

    if (!node)
        return 0;
    task = mf_container_of(node, struct mf_task, dirty_node);
    task->is_dirty = false;
    *ret_change = (struct mf_change){
        .task = task->id,
        .cookie = task->spec.cookie,
        .state = task->state,
        .wish = task->wish,
        .cause = task->wish == MF_WISH_END ? task->end_cause : task->cause,
        .attempt = task->attempt,
        .tries = task->tries,
        .charged = task->charged,
        .max_attempts = task->spec.max_attempts,
        .needs = task->spec.needs,
        .worker = task->worker,
        .root = task->root,
        .is_gathering = mf_task_is_gathering(task),
    };
    if (mf_task_state_is_final(task->state))
        mf_tasks_forget(&farm->tasks, task);
    return 1;
}

const struct mf_task *mf_farm_find(const struct mf_farm *farm, mf_task_id id)
{
    return mf_tasks_find(&farm->tasks, id);
}

const struct mf_task *mf_farm_after(const struct mf_farm *farm, mf_task_id id)
{
    return mf_tasks_after(&farm->tasks, id);
}

const struct mf_workers *mf_farm_workers(const struct mf_farm *farm)
{
    return &farm->workers;
}

void mf_farm_count(const struct mf_farm *farm, struct mf_farm_counts *ret_counts)
{
    *ret_counts = farm->counts;
    ret_counts->submitted = farm->tasks.n_added;
    ret_counts->workers_up = farm->workers.n_up;
    ret_counts->slots_up = (uint32_t)farm->workers.n_slots_up;
}

uint64_t mf_farm_n_ready(const struct mf_farm *farm)
{
    return farm->counts.by_state[MF_TASK_READY];
}

uint64_t mf_farm_n_held(const struct mf_farm *farm)
{
    return farm->counts.by_state[MF_TASK_PLACED] + farm->counts.by_state[MF_TASK_RUNNING] +
           farm->counts.by_state[MF_TASK_SUSPENDED];
}

uint64_t mf_farm_n_parked(const struct mf_farm *farm)
{
    uint64_t n = 0;

    for (int i = 0; i < MF_N_COUNTABLES; i++)
        n += farm->parked[i].n_items;
    return n;
}

uint64_t mf_farm_n_aside(const struct mf_farm *farm)
{
    uint64_t n = 0;

    for (uint32_t i = 0; i < farm->n_asides; i++)
        n += farm->asides[i].tasks.n_items;
    return n;
}

const struct mf_task *mf_farm_ready_at(const struct mf_farm *farm, uint64_t i)
{
    if (i < farm->ready.n_items)
        return farm->ready.items[i];
    i -= farm->ready.n_items;
    for (int j = 0; j < MF_N_COUNTABLES; j++) {
        if (i < farm->parked[j].n_items)
            return farm->parked[j].items[i];
        i -= farm->parked[j].n_items;
    }
    if (i < farm->late.n_items)
        return farm->late.items[i];
    i -= farm->late.n_items;
    if (i < farm->stranded.n_items)
        return farm->stranded.items[i];
    i -= farm->stranded.n_items;
    for (uint32_t j = 0; j < farm->n_asides; j++) {
        if (i < farm->asides[j].tasks.n_items)
            return farm->asides[j].tasks.items[i];
        i -= farm->asides[j].tasks.n_items;
    }
    return i < farm->delayed.n_items ? farm->delayed.items[i] : NULL;
}

uint32_t mf_farm_successors(const struct mf_farm *farm, mf_task_id task,
                            const struct mf_dependency **ret_successors)
{
    const struct mf_successors *successors = NULL;

    if (farm->config.has_dependencies)
        successors = mf_links_after(&farm->links, task);
    *ret_successors = successors ? successors->items : NULL;
    return successors ? successors->n : 0;
}

const struct mf_policy *mf_farm_policy(const struct mf_farm *farm)
{
    return farm->config.policy;
}

mf_task_id mf_farm_last_id(const struct mf_farm *farm)
{
    return farm->tasks.n_added;
}

enum mf_stop mf_farm_stopping(const struct mf_farm *farm)
{
    return farm->stop;
}

bool mf_farm_is_finished(const struct mf_farm *farm)
{
    const uint64_t *n = farm->counts.by_state;

    if (mf_farm_n_held(farm) > 0)
        return false;
    if (farm->stop != MF_STOP_NONE)
        return true;
    return farm->is_closed && n[MF_TASK_WAITING] + n[MF_TASK_READY] == 0;
}

/* When the first of the running tasks is over its time. */
static int64_t next_timeout_ns(const struct mf_farm *farm)
{
    int64_t limit = mf_farm_time_limit_ns(farm);
    const struct mf_task *task;

    if (limit == INT64_MAX || mf_list_is_empty(&farm->running))
        return INT64_MAX;
    task = mf_container_of(farm->running.next, struct mf_task, running_node);
    limit -= task->ran_ns < limit ? task->ran_ns : limit;
    return task->started_ns > INT64_MAX - limit ? INT64_MAX : task->started_ns + limit;
}

static int64_t next_retry_ns(const struct mf_farm *farm)
{
    const struct mf_task *first = mf_heap_top(&farm->delayed);

    return first ? first->not_before_ns : INT64_MAX;
}

int64_t mf_farm_next_tick_ns(const struct mf_farm *farm)
{
    int64_t next = next_timeout_ns(farm);

    if (farm->stop == MF_STOP_NONE && farm->has_more)
        return farm->now_ns;
    /* A delay that is over is not what the ready tasks wait for. */
    if (farm->stop == MF_STOP_NONE && mf_heap_top(&farm->ready) &&
        farm->next_place_ns > farm->now_ns && farm->next_place_ns < next)
        next = farm->next_place_ns;
    if (farm->preempts && mf_farm_next_turn_ns(farm) < next)
        next = mf_farm_next_turn_ns(farm);
    if (farm->stop == MF_STOP_NONE && next_retry_ns(farm) < next)
        next = next_retry_ns(farm);
    if (farm->stop == MF_STOP_NONE && mf_farm_next_probe_ns(farm) < next)
        next = mf_farm_next_probe_ns(farm);
    return next;
}

int64_t mf_farm_supplied_ns(const struct mf_farm *farm)
{
    const struct mf_worker *worker = mf_heap_top(&farm->workers.by_load);

    if (!worker)
        return 0;
    return mf_average_get(&farm->duration) / worker->n_slots * mf_worker_surplus(worker);
}

int64_t mf_farm_median_ns(const struct mf_farm *farm)
{
    return mf_median_get(&farm->median);
}
