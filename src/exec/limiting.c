/*
 * Attempts that use more memory than they have.
 *
 * All are looked at together: first at what is resident, which is cheap and
 * never too little; only those that seem to be over their limit more closely.
 * The faster one of them comes near its limit the sooner is the next look, 5 ms
 * after the last at the soonest and 100 ms at the latest. The more processes the
 * node has the more a look costs, and looks take no more than a 50th part of the
 * time of a processor.
 *
 * Part of the runner, which the launcher's only thread runs.
 */
#include "exec/memory.h"
#include "exec/runner_parts.h"

#include "base/clock.h"
#include "base/units.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* From a start to the first look at it. */
#define FIRST_LOOK_NS (10 * MF_NS_PER_MS)

static int64_t later_of(int64_t a_ns, int64_t b_ns)
{
    return a_ns > b_ns ? a_ns : b_ns;
}

void mf_runner_limit(struct mf_runner *runner, struct mf_attempt *attempt)
{
    int64_t first_ns =
        later_of(mf_later_ns(attempt->started_ns, FIRST_LOOK_NS), runner->rest_until_ns);

    if (attempt->mem_bytes == 0)
        return;
    attempt->trend = (struct mf_memory_trend){.seen_ns = attempt->started_ns};
    if (mf_list_is_empty(&runner->limited) || first_ns < runner->look_at_ns)
        runner->look_at_ns = first_ns;
    mf_list_push_back(&runner->limited, &attempt->limited_node);
}

int64_t mf_runner_next_look_ns(const struct mf_runner *runner)
{
    return mf_list_is_empty(&runner->limited) ? INT64_MAX : runner->look_at_ns;
}

/*
 * Returns a heap block with the groups in order, or NULL when memory is out.
 * Those without a limit are among them, so that nothing of theirs is looked for
 * elsewhere.
 */
static struct mf_group_use *list_groups(const struct mf_runner *runner, uint32_t *ret_n)
{
    struct mf_group_use *uses = calloc(runner->n_active + 1, sizeof(*uses));
    size_t cursor = 0;
    uint32_t n = 0;
    void *place;

    while (uses && mf_table_next(runner->attempts, &cursor, NULL, &place)) {
        const struct mf_attempt *attempt = *(struct mf_attempt **)place;
        bool is_limited = !attempt->is_ending && !attempt->is_abandoned;

        if (attempt->has_group && n < runner->n_active)
            uses[n++] = (struct mf_group_use){.group = attempt->outcome.pid,
                                              .task_id = attempt->command->id,
                                              .try_number = attempt->try_number,
                                              .limit_bytes = is_limited ? attempt->mem_bytes : 0};
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
        if (uses[i].limit_bytes > 0 && uses[i].used_bytes > uses[i].limit_bytes)
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
    char limit[32], used[32], detail[sizeof(attempt->outcome.detail)], *id;
    struct mf_group_use strays = *use;

    /* Ends of others may have led to its own meanwhile. */
    if (!attempt || attempt->is_ending)
        return;
    mf_attempt_note_memory(attempt, use->used_bytes);
    snprintf(detail, sizeof(detail), "%s (used %s)",
             mf_format_size(use->limit_bytes, limit, sizeof(limit)),
             mf_format_size(use->used_bytes, used, sizeof(used)));
    mf_attempt_note(attempt, detail);
    /* What has left the group would not hear of its end. Killed first it could let the main
     * process end by itself; and the attempt may be gone after. */
    strays.task_id = id = strdup(attempt->command->id);
    mf_runner_end(runner, attempt, MF_CAUSE_MEMORY);
    (void)mf_memory_kill_strays("/proc", &strays);
    free(id);
}

/* What is resident counts shared pages more than once, which shows where it is over the limit. */
static void note_use(struct mf_attempt *attempt, const struct mf_group_use *use)
{
    mf_attempt_note_memory(attempt,
                           use->used_bytes < use->limit_bytes ? use->used_bytes : use->limit_bytes);
}

/* Notes what was seen of each; returns when the first of them should be looked at again. */
static int64_t plan_next(struct mf_runner *runner, const struct mf_group_use *uses, uint32_t n,
                         int64_t now_ns)
{
    int64_t wait_ns = MF_MEMORY_LOOK_MAX_NS;

    for (uint32_t i = 0; i < n; i++) {
        struct mf_attempt *attempt =
            uses[i].limit_bytes > 0 ? find_group(runner, uses[i].group) : NULL;
        int64_t one_ns = attempt ? mf_memory_next_look(&attempt->trend, uses[i].used_bytes,
                                                       uses[i].limit_bytes, now_ns)
                                 : MF_MEMORY_LOOK_MAX_NS;

        if (attempt)
            note_use(attempt, &uses[i]);
        if (one_ns < wait_ns)
            wait_ns = one_ns;
    }
    return now_ns + wait_ns;
}

void mf_runner_look_at_memory(struct mf_runner *runner)
{
    int64_t began_ns = mf_clock_monotonic_ns(), began_cost_ns = mf_memory_clock();
    uint32_t n = 0;
    struct mf_group_use *uses = list_groups(runner, &n);
    int result = 0;

    runner->look_at_ns = began_ns + MF_MEMORY_LOOK_MAX_NS;
    /* What fails for want of memory or descriptors is tried again at the next look. */
    if (n > 0)
        result = mf_memory_measure("/proc", uses, n, false);
    if (n > 0 && result == 0)
        runner->look_at_ns = plan_next(runner, uses, n, began_ns);
    n = keep_large(uses, result == 0 ? n : 0);
    if (n > 0)
        result = mf_memory_measure("/proc", uses, n, true);
    n = keep_large(uses, result == 0 ? n : 0);
    for (uint32_t i = 0; i < n; i++)
        end_large(runner, &uses[i]);
    free(uses);
    runner->rest_until_ns = mf_clock_monotonic_ns() + mf_memory_rest(began_cost_ns);
    runner->look_at_ns = later_of(runner->look_at_ns, runner->rest_until_ns);
}
