/*
 * The end of the allocation, for a run in it. Runs in rank 0's only thread.
 *
 *     from the start     tasks that should run beyond the end are not started: core/walltime.c
 *     warn_ns before it  what runs gets a signal, so that it can save what it has
 *     MARGIN_NS before   what runs is ended, so that its output and the journal are complete
 *                        when the launcher ends the ranks
 */
#include "runtime/scheduler_private.h"

#include "base/clock.h"
#include "base/units.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* For tasks to end when they are told to, and for what they have written to get here. */
#define MARGIN_NS (10 * MF_NS_PER_S)

/* In a short allocation no more than this part of it. */
#define MARGIN_PART 4

/* The end of a job without a limit that Slurm gives is a year away. */
#define SAID_NS (300 * INT64_C(86400) * MF_NS_PER_S)

static bool has_end(const struct mf_scheduler *scheduler)
{
    return scheduler->config.end_ns > 0;
}

void mf_walltime_create(struct mf_scheduler *scheduler)
{
    const struct mf_scheduler_config *config = &scheduler->config;
    int64_t left_ns = config->end_ns - scheduler->now_ns;
    struct mf_event event = {.kind = MF_EVENT_WALLTIME};
    char text[32];

    scheduler->stop_ns = scheduler->warn_ns = INT64_MAX;
    if (!has_end(scheduler))
        return;
    if (left_ns < 0)
        left_ns = 0;
    scheduler->stop_ns = config->end_ns - mf_earliest_ns(MARGIN_NS, left_ns / MARGIN_PART);
    if (config->warn_signal > 0)
        scheduler->warn_ns = config->end_ns - config->warn_before_ns;
    if (left_ns < SAID_NS)
        mf_log_info(config->log, "the run has to end within %s",
                    mf_format_duration(left_ns, text, sizeof(text)));
    event.end_ns = scheduler->stop_ns;
    mf_scheduler_apply(scheduler, &event);
}

/* "USR1", or "signal 40" for one without a name. */
static const char *name_signal(int number, char *text, size_t size)
{
    const char *name = sigabbrev_np(number);

    if (name)
        return name;
    snprintf(text, size, "signal %d", number);
    return text;
}

static void warn(struct mf_scheduler *scheduler)
{
    struct mf_message message = {.kind = MF_MESSAGE_WARN,
                                 .signal = (uint32_t)scheduler->config.warn_signal};
    struct mf_farm_counts counts;
    char name[32];

    mf_farm_count(scheduler->farm, &counts);
    scheduler->n_warned = counts.by_state[MF_TASK_RUNNING];
    scheduler->warn_ns = INT64_MAX;
    mf_log_info(scheduler->config.log, "the end is near: running tasks get %s",
                name_signal(scheduler->config.warn_signal, name, sizeof(name)));
    for (uint32_t i = 0; i < scheduler->n_peers; i++)
        if (scheduler->peers[i].state == MF_PEER_UP)
            mf_peer_post(&scheduler->peers[i], &message);
}

void mf_walltime_turn(struct mf_scheduler *scheduler)
{
    if (!has_end(scheduler) || mf_farm_stopping(scheduler->farm) == MF_STOP_NOW)
        return;
    if (scheduler->now_ns >= scheduler->warn_ns)
        warn(scheduler);
    if (scheduler->now_ns >= scheduler->stop_ns) {
        mf_log_info(scheduler->config.log, "the time is over: ending what still runs");
        mf_scheduler_interrupt(scheduler, MF_STOP_NOW, "the end of its time");
    }
}

int64_t mf_walltime_next_ns(const struct mf_scheduler *scheduler)
{
    if (mf_farm_stopping(scheduler->farm) == MF_STOP_NOW)
        return INT64_MAX;
    return mf_earliest_ns(scheduler->warn_ns, scheduler->stop_ns);
}
