/*
 * Higher priority first; among equals, first come, first served.
 *
 * So that nobody waits for ever behind a stream of others, waiting since it
 * first was READY adds to a task's priority, along a logistic curve (Verhulst
 * 1838): almost nothing at first, half of the weight about a window later, and
 * never more than the weight. So a task that is lower by more than the weight
 * may starve, which is what the user asked for.
 */
#include "core/policy.h"

#include <math.h>

#define WEIGHT 10.0
#define WINDOW_NS (INT64_C(3600) * 1000000000)
#define SATURATION 0.25

/* Steps of the curve: at most weight / 64 / (4 * saturation) of priority each. */
#define STEPS_PER_WINDOW 64

static int64_t window_ns(const struct mf_policy_settings *settings)
{
    return settings->ageing_window_ns > 0 ? settings->ageing_window_ns : WINDOW_NS;
}

/* The curve at a time given in windows: 0 at first, 1 at last. */
static double curve(double windows, double saturation)
{
    double at_first = 1 / (1 + exp(1 / saturation));

    return (1 / (1 + exp((1 - windows) / saturation)) - at_first) / (1 - at_first);
}

static double ageing(const struct mf_policy_settings *settings, int64_t waited_ns)
{
    double weight = settings->ageing_weight != 0 ? settings->ageing_weight : WEIGHT;
    double saturation = settings->ageing_saturation > 0 ? settings->ageing_saturation : SATURATION;

    if (weight < 0 || waited_ns <= 0)
        return 0;
    return weight * curve((double)waited_ns / (double)window_ns(settings), saturation);
}

static double key(const struct mf_policy_view *view, const struct mf_task *task)
{
    return -(double)task->spec.priority - ageing(view->settings, view->now_ns - task->ready_ns);
}

static int64_t rekey_ns(const struct mf_policy_settings *settings)
{
    int64_t step_ns = window_ns(settings) / STEPS_PER_WINDOW;

    if (settings->ageing_weight < 0)
        return 0;
    return step_ns > 0 ? step_ns : 1;
}

const struct mf_policy mf_policy_priority = {
    .name = "priority",
    .summary = "the highest priority first, to which waiting adds",
    .before = mf_policy_key_before,
    .key = key,
    .rekey_ns = rekey_ns,
};
