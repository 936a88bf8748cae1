/*
 * The simulator: see sim.h. Here is the loop over all that happens, from the
 * beginning to the end. A simulation owns its farm, workers and frames. One
 * thread.
 */
#include "runtime/sim_private.h"

#include <errno.h>
#include <stdlib.h>

/* --- all that happens --- */

static void arrive_at_scheduler(struct mf_sim *sim, struct mf_sim_frame *frame)
{
    if (frame->worker->outgoing == frame)
        frame->worker->outgoing = NULL;
    *sim->inbox_end = frame;
    sim->inbox_end = &frame->next;
    mf_sim_request_turn(sim, sim->now_ns);
}

static void notice(struct mf_sim *sim, struct mf_sim_worker *worker)
{
    worker->next_lost = NULL;
    *sim->lost_end = worker;
    sim->lost_end = &worker->next_lost;
    mf_sim_request_turn(sim, sim->now_ns);
}

static void happen(struct mf_sim *sim, const struct mf_sim_event *event)
{
    switch (event->kind) {
    case MF_SIM_AT_WORKER:
        mf_sim_worker_receive(sim, event->subject);
        break;
    case MF_SIM_AT_SCHEDULER:
        arrive_at_scheduler(sim, event->subject);
        break;
    case MF_SIM_WAKE:
        mf_sim_worker_wake(sim, event->subject, event->at_ns);
        break;
    case MF_SIM_TELL:
    case MF_SIM_END:
        break; /* events of a worker */
    case MF_SIM_DEATH:
        mf_sim_worker_die(sim, event->subject);
        break;
    case MF_SIM_NOTICE:
        notice(sim, event->subject);
        break;
    case MF_SIM_TURN:
        /* One that was asked for later, but for an earlier time, came first. */
        if (event->at_ns == sim->turn_ns)
            mf_sim_take_turn(sim);
        break;
    }
}

int mf_sim_step(struct mf_sim *sim, uint64_t n_events)
{
    struct mf_sim_event event;

    for (uint64_t i = 0; sim->error == 0 && !mf_farm_is_finished(sim->farm); i++) {
        if (i == n_events)
            return 1;
        if (!mf_sim_pop(&sim->queue, &event))
            return -EDEADLK;
        if (event.at_ns >= MF_SIM_LAST_NS)
            return -EOVERFLOW;
        sim->now_ns = event.at_ns;
        happen(sim, &event);
    }
    if (sim->error == 0 && !sim->has_totals)
        mf_sim_finish_totals(sim);
    return sim->error;
}

/* --- the beginning and the end --- */

static bool config_makes_sense(const struct mf_sim_config *config)
{
    return config->latency_ns >= 0 && config->message_cost_ns >= 0 && config->task_cost_ns >= 0 &&
           config->mtbf_ns >= 0 && config->latency_ns < MF_SIM_LAST_NS / 4 &&
           config->fail_probability >= 0 && config->fail_probability <= 1;
}

static int check_task(const struct mf_sim_task *task, uint64_t n_tasks, int64_t last_ns)
{
    if (task->duration_ns < 0 || task->timeout_ns < 0 || task->arrival_ns < last_ns)
        return -EINVAL;
    if (task->duration_ns >= MF_SIM_LAST_NS || task->arrival_ns >= MF_SIM_LAST_NS)
        return -EOVERFLOW;
    for (uint32_t i = 0; i < task->n_after; i++)
        if (task->after[i].task == 0 || task->after[i].task > n_tasks)
            return -EINVAL;
    return 0;
}

static int check_tasks(const struct mf_sim_task *tasks, uint64_t n_tasks)
{
    int64_t last_ns = 0;
    int r = 0;

    for (uint64_t i = 0; i < n_tasks && r == 0; i++) {
        r = check_task(&tasks[i], n_tasks, last_ns);
        last_ns = tasks[i].arrival_ns;
    }
    return r;
}

static int create_farm(struct mf_sim *sim)
{
    struct mf_farm_config config = sim->config->farm;

    config.seed = sim->config->seed;
    config.expected_tasks = sim->n_tasks;
    config.has_dependencies = false;
    for (uint64_t i = 0; i < sim->n_tasks && !config.has_dependencies; i++)
        config.has_dependencies = sim->tasks[i].n_after > 0;
    return mf_farm_create(&config, &sim->farm);
}

static int set_shares(struct mf_sim *sim)
{
    int r = 0;

    for (uint32_t i = 0; i < sim->config->n_shares && r == 0; i++) {
        const struct mf_sim_share *share = &sim->config->shares[i];

        r = mf_farm_apply(sim->farm, &(struct mf_event){.kind = MF_EVENT_SHARE,
                                                        .spec = {.group = share->group,
                                                                 .weight = (float)share->share}});
    }
    return r;
}

static int add_workers(struct mf_sim *sim)
{
    for (uint32_t i = 0; i < sim->config->n_groups; i++) {
        const struct mf_sim_group *group = &sim->config->groups[i];

        for (uint32_t j = 0; j < group->n_workers; j++) {
            int r = mf_sim_worker_add(sim, &group->has);

            if (r < 0)
                return r;
        }
        sim->result.n_slots += (uint64_t)group->n_workers * group->has.n_slots;
    }
    sim->n_first_workers = sim->n_workers;
    return sim->n_workers > 0 ? 0 : -EINVAL;
}

static int init(struct mf_sim *sim)
{
    uint64_t n = sim->n_tasks ? sim->n_tasks : 1;
    int r;

    sim->turn_ns = INT64_MAX;
    sim->result.n_policies = 1;
    sim->inbox_end = &sim->inbox;
    sim->outbox_end = &sim->outbox;
    sim->lost_end = &sim->lost;
    mf_rng_init(&sim->rng, sim->config->seed);
    sim->jobs = calloc(n, sizeof(struct mf_sim_job *));
    sim->sent = calloc(n, sizeof(*sim->sent));
    sim->finals_ns = calloc(n, sizeof(*sim->finals_ns));
    sim->waits_ns = calloc(n, sizeof(*sim->waits_ns));
    sim->has_started = calloc(n, sizeof(*sim->has_started));
    if (!sim->jobs || !sim->sent || !sim->finals_ns || !sim->waits_ns || !sim->has_started)
        return -ENOMEM;
    r = create_farm(sim);
    if (r == 0)
        r = set_shares(sim);
    if (r == 0 && sim->config->farm.policy == &mf_policy_auto)
        r = mf_chooser_create(&sim->config->farm, &sim->chooser);
    if (r == 0)
        r = add_workers(sim);
    if (r == 0)
        mf_sim_request_turn(sim, 0);
    return r;
}

static void free_frames(struct mf_sim_frame *frame)
{
    while (frame) {
        struct mf_sim_frame *next = frame->next;

        mf_sim_frame_destroy(frame);
        frame = next;
    }
}

void mf_sim_destroy(struct mf_sim *sim)
{
    if (!sim)
        return;
    free_frames(sim->inbox);
    free_frames(sim->outbox);
    mf_sim_queue_finish(&sim->queue);
    for (uint32_t i = 0; i < sim->n_workers; i++)
        mf_sim_worker_destroy(sim->workers[i]);
    free(sim->workers);
    free(sim->jobs);
    free(sim->sent);
    free(sim->finals_ns);
    free(sim->waits_ns);
    free(sim->has_started);
    mf_farm_destroy(sim->farm);
    mf_chooser_destroy(sim->chooser);
    free(sim);
}

int mf_sim_create(const struct mf_sim_config *config, const struct mf_sim_task *tasks,
                  uint64_t n_tasks, struct mf_sim **ret_sim)
{
    struct mf_sim *sim;
    int r = config_makes_sense(config) ? check_tasks(tasks, n_tasks) : -EINVAL;

    if (r < 0)
        return r;
    sim = calloc(1, sizeof(*sim));
    if (!sim)
        return -ENOMEM;
    sim->config = config;
    sim->tasks = tasks;
    sim->n_tasks = n_tasks;
    r = init(sim);
    if (r == 0)
        r = sim->error;
    if (r < 0) {
        mf_sim_destroy(sim);
        return r;
    }
    *ret_sim = sim;
    return 0;
}

const struct mf_sim_result *mf_sim_result(const struct mf_sim *sim)
{
    return &sim->result;
}

int mf_sim_run(const struct mf_sim_config *config, const struct mf_sim_task *tasks,
               uint64_t n_tasks, struct mf_sim_result *ret_result)
{
    struct mf_sim *sim;
    int r = mf_sim_create(config, tasks, n_tasks, &sim);

    if (r < 0)
        return r;
    do
        r = mf_sim_step(sim, UINT64_MAX);
    while (r == 1);
    if (r == 0)
        *ret_result = sim->result;
    mf_sim_destroy(sim);
    return r;
}
