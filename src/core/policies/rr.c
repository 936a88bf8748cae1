/*
 * Round robin: each task in turn runs for a quantum, then goes behind those
 * that wait. So equal tasks of a worker make equal progress, and short ones are
 * done soon though nobody knew that they are short.
 *
 * L. Kleinrock, "Analysis of a time-shared processor", Naval Research Logistics
 * Quarterly 11 (1964). A task that has begun stays on its worker.
 */
#include "core/policy.h"

#define DEFAULT_QUANTUM_NS INT64_C(100000000)

/* The end of the line. */
static double key(const struct mf_policy_view *view, const struct mf_task *task)
{
    (void)task;
    return (double)view->n_lined_up;
}

/*
 * Turns are over in the order in which slots were given, rather than in that of
 * starts, which take now less time and now more: else the same ones would gain each time.
 */
static double yield_key(const struct mf_policy_view *view, const struct mf_task *task)
{
    (void)view;
    return (double)task->turn;
}

static int64_t turn_ns(const struct mf_policy_settings *settings)
{
    return settings->quantum_ns > 0 ? settings->quantum_ns : DEFAULT_QUANTUM_NS;
}

const struct mf_policy mf_policy_rr = {
    .name = "rr",
    .summary = "each task in turn for a quantum (preemptive)",
    .before = mf_policy_key_before,
    .key = key,
    .yield_key = yield_key,
    .turn_ns = turn_ns,
};
