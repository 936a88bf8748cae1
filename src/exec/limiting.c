/*
 * Attempts that use more memory than they have.
 *
 * All are looked at together from time to time: first at what is resident,
 * which is cheap and never too little; only those that seem to be over their
 * limit more closely. The more processes the node has the longer a look takes,
 * and the rarer it becomes.
 *
 * Part of the runner, which the launcher's only thread runs.
 */
#include "exec/memory.h"
#include "exec/runner_parts.h"

#include "base/clock.h"
#include "base/units.h"

#include <stdio.h>
#include <stdlib.h>

/* Between two looks; and one part in this many of the time may go into them. */
#define LOOK_EVERY_NS (100 * MF_NS_PER_MS)
#define LOOK_SHARE 50

void mf_runner_limit(struct mf_runner *runner, struct mf_attempt *attempt)
{
    if (attempt->mem_bytes == 0)
        return;
    if (mf_list_is_empty(&runner->limited) && runner->look_at_ns < attempt->started_ns)
        runner->look_at_ns = mf_later_ns(attempt->started_ns, LOOK_EVERY_NS);
    mf_list_push_back(&runner->limited, &attempt->limited_node);
}

int64_t mf_runner_next_look_ns(const struct mf_runner *runner)
{
    return mf_list_is_empty(&runner->limited) ? INT64_MAX : runner->look_at_ns;
}

/* Returns a heap block with the groups in order, or NULL when memory is out. */
static struct mf_group_use *list_groups(const struct mf_runner *runner, uint32_t *ret_n)
{
    struct mf_group_use *uses = calloc(runner->n_active + 1, sizeof(*uses));
    uint32_t n = 0;

    mf_list_for_each (node, &runner->limited) {
        const struct mf_attempt *attempt = mf_container_of(node, struct mf_attempt, limited_node);

        if (uses && attempt->has_group && !attempt->is_ending && !attempt->is_abandoned)
            uses[n++] = (struct mf_group_use){.group = attempt->outcome.pid,
                                              .limit_bytes = attempt->mem_bytes};
    }
    if (uses)
        qsort(uses, n, sizeof(*uses), mf_group_use_compare);
    *ret_n = n;
    return uses;
}

/* Leaves those that are over their limit, in order; returns how many. */
static uint32_t keep_large(struct mf_group_use *uses, uint32_t n)
{
    uint32_t n_kept = 0;

    for (uint32_t i = 0; i < n; i++)
        if (uses[i].used_bytes > uses[i].limit_bytes)
            uses[n_kept++] = uses[i];
    return n_kept;
}

static struct mf_attempt *find_group(const struct mf_runner *runner, pid_t group)
{
    mf_list_for_each (node, &runner->limited) {
        struct mf_attempt *attempt = mf_container_of(node, struct mf_attempt, limited_node);

        if (attempt->has_group && attempt->outcome.pid == group)
            return attempt;
    }
    return NULL;
}

static void end_large(struct mf_runner *runner, const struct mf_group_use *use)
{
    struct mf_attempt *attempt = find_group(runner, use->group);
    char limit[32], used[32], detail[sizeof(attempt->outcome.detail)];

    /* Ends of others may have led to its own meanwhile. */
    if (!attempt || attempt->is_ending)
        return;
    snprintf(detail, sizeof(detail), "%s (used %s)",
             mf_format_size(use->limit_bytes, limit, sizeof(limit)),
             mf_format_size(use->used_bytes, used, sizeof(used)));
    mf_attempt_note(attempt, detail);
    mf_runner_end(runner, attempt, MF_CAUSE_MEMORY);
}

void mf_runner_look_at_memory(struct mf_runner *runner)
{
    int64_t began_ns = mf_clock_monotonic_ns(), cost_ns;
    uint32_t n = 0;
    struct mf_group_use *uses = list_groups(runner, &n);
    int result = 0;

    /* What fails for want of memory or descriptors is tried again at the next look. */
    if (n > 0)
        result = mf_memory_measure("/proc", uses, n, false);
    n = keep_large(uses, result == 0 ? n : 0);
    if (n > 0)
        result = mf_memory_measure("/proc", uses, n, true);
    n = keep_large(uses, result == 0 ? n : 0);
    for (uint32_t i = 0; i < n; i++)
        end_large(runner, &uses[i]);
    free(uses);
    cost_ns = mf_clock_monotonic_ns() - began_ns;
    runner->look_at_ns =
        began_ns + cost_ns +
        (cost_ns * LOOK_SHARE > LOOK_EVERY_NS ? cost_ns * LOOK_SHARE : LOOK_EVERY_NS);
}
