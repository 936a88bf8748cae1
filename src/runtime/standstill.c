/*
 * The end of a run in which nothing that is left can start any more: it should run beyond the end
 * of the allocation, or it needs workers that are lost. So it is left for another run to go on
 * with. Runs in rank 0's only thread.
 */
#include "runtime/scheduler_private.h"

/* What is at hand can be started no more, and nothing that runs would let any more start. */
static bool has_come(const struct mf_scheduler *scheduler)
{
    const struct mf_farm *farm = scheduler->farm;
    uint64_t n_left = mf_farm_n_late(farm) + mf_farm_n_stranded(farm);

    return n_left > 0 && n_left == mf_farm_n_ready(farm) && mf_farm_n_held(farm) == 0 &&
           !scheduler->is_source_waiting && !scheduler->is_reading &&
           !mf_intake_may_go_on(scheduler);
}

/* Whether a worker that is lost may still come back, or another one in its place. */
static bool is_any_awaited(const struct mf_scheduler *scheduler)
{
    return mf_respawn_is_pending(scheduler) || scheduler->now_ns < mf_notice_patience_ns(scheduler);
}

/* Once in a run: who looks on learns why tasks wait beside idle workers. */
static void tell(struct mf_scheduler *scheduler)
{
    if (scheduler->has_told_stranded || mf_farm_n_stranded(scheduler->farm) == 0)
        return;
    scheduler->has_told_stranded = true;
    mf_log_warning(scheduler->config.log,
                   "some tasks need more than the workers that are left have: they wait for those "
                   "that are lost, and are left for --resume if none comes back");
}

void mf_standstill_turn(struct mf_scheduler *scheduler)
{
    if (mf_farm_stopping(scheduler->farm) != MF_STOP_NONE)
        return;
    tell(scheduler);
    if (!has_come(scheduler))
        return;
    if (mf_farm_n_stranded(scheduler->farm) == 0)
        mf_scheduler_interrupt(scheduler, MF_STOP_SOON,
                               "the end of its time, before which no other task could end");
    else if (!is_any_awaited(scheduler))
        mf_scheduler_interrupt(scheduler, MF_STOP_SOON,
                               "the loss of workers, without which no other task can start");
}
