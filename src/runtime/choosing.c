/*
 * The policy auto in a run: the chooser gets a small part of rank 0's time, in
 * slices between other things, and what it finds is carried out and told. Runs in
 * rank 0's only thread.
 */
#include "runtime/scheduler_private.h"

#include "base/clock.h"
#include "base/units.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* One part in so many of the time is for choosing. */
#define TIME_SHARE 50

/* This much may be spent ahead, so that a short run has chosen while it still matters. */
#define CREDIT_NS (20 * MF_NS_PER_MS)

int mf_choosing_create(struct mf_scheduler *scheduler)
{
    struct mf_choosing *choosing = &scheduler->choosing;

    if (scheduler->config.farm.policy != &mf_policy_auto)
        return 0;
    strcpy(choosing->why, "auto: fifo, as no other was known to be better");
    choosing->paid_until_ns = INT64_MIN;
    return mf_chooser_create(&scheduler->config.farm, &choosing->chooser);
}

void mf_choosing_destroy(struct mf_scheduler *scheduler)
{
    mf_chooser_destroy(scheduler->choosing.chooser);
    scheduler->choosing.chooser = NULL;
}

/* What was spent is paid for by time that passes; more than the credit is never saved up. */
static void pay(struct mf_choosing *choosing, int64_t now_ns, int64_t spent_ns)
{
    int64_t saved_since_ns = now_ns - CREDIT_NS * TIME_SHARE;

    if (choosing->paid_until_ns < saved_since_ns)
        choosing->paid_until_ns = saved_since_ns;
    choosing->paid_until_ns += spent_ns * TIME_SHARE;
}

static void change(struct mf_scheduler *scheduler, const struct mf_preference *preference)
{
    struct mf_event event = {.kind = MF_EVENT_POLICY, .policy = preference->policy};
    struct mf_choosing *choosing = &scheduler->choosing;
    char text[MF_PREFERENCE_SIZE], after[32];

    if (mf_scheduler_apply(scheduler, &event) != 0)
        return;
    choosing->n_changes++;
    mf_preference_describe(preference, text);
    snprintf(choosing->why, sizeof(choosing->why), "auto: after %s, %s",
             mf_format_duration(scheduler->now_ns - scheduler->created_ns, after, sizeof(after)),
             text);
    mf_log_info(scheduler->config.log, "policy %s", choosing->why);
}

void mf_choosing_turn(struct mf_scheduler *scheduler)
{
    struct mf_choosing *choosing = &scheduler->choosing;
    struct mf_preference preference;
    int64_t began_ns;
    int r;

    /* What is still being read would change the picture at once. */
    if (!choosing->chooser || scheduler->is_reading || scheduler->now_ns < choosing->paid_until_ns)
        return;
    began_ns = mf_clock_monotonic_ns();
    r = mf_chooser_step(choosing->chooser, scheduler->farm, scheduler->now_ns, &preference);
    pay(choosing, scheduler->now_ns, mf_clock_monotonic_ns() - began_ns);
    if (r == MF_CHOOSER_CHANGED)
        change(scheduler, &preference);
    if (r < 0) {
        mf_log_warning(scheduler->config.log, "policy auto: out of memory; the policy stays");
        mf_choosing_destroy(scheduler);
    }
}

int64_t mf_choosing_next_ns(const struct mf_scheduler *scheduler)
{
    const struct mf_choosing *choosing = &scheduler->choosing;

    if (!choosing->chooser || !mf_chooser_is_busy(choosing->chooser))
        return INT64_MAX;
    return choosing->paid_until_ns;
}

const char *mf_choosing_policy(const struct mf_scheduler *scheduler)
{
    const struct mf_policy *policy = mf_farm_policy(scheduler->farm);

    return policy == &mf_policy_auto ? mf_policy_fifo.name : policy->name;
}
