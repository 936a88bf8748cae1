/*
 * Attempts that are stopped, so that others can have their slots, and go on
 * later: their process group with SIGSTOP and SIGCONT, and with it those
 * descendants that have left the group. What is stopped dies of SIGKILL as well
 * as what runs, so that nothing stays behind when the launcher ends.
 *
 * The time in which an attempt is suspended is none of its run time: it goes on
 * as if it had started that much later.
 *
 * Part of the runner, which the launcher's only thread runs.
 */
#include "exec/process_tree.h"
#include "exec/runner_parts.h"

#include "base/clock.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Looks for outsiders: one that forks while it is looked for shows in the next. */
#define MAX_LOOKS 3

static bool is_outsider(const struct mf_attempt *attempt, pid_t pid)
{
    for (uint32_t i = 0; i < attempt->n_outsiders; i++)
        if (attempt->outsiders[i] == pid)
            return true;
    return false;
}

/* Stops the outsiders among some processes that were not known. Returns how many these are. */
static uint32_t stop_outsiders(struct mf_attempt *attempt, const pid_t *pids, uint32_t n)
{
    pid_t *grown = reallocarray(attempt->outsiders, attempt->n_outsiders + n, sizeof(*grown));
    uint32_t n_before = attempt->n_outsiders;

    if (!grown)
        return 0;
    attempt->outsiders = grown;
    for (uint32_t i = 0; i < n; i++) {
        pid_t group = getpgid(pids[i]);

        if (group < 0 || group == attempt->outcome.pid || is_outsider(attempt, pids[i]))
            continue;
        (void)kill(pids[i], SIGSTOP);
        attempt->outsiders[attempt->n_outsiders++] = pids[i];
    }
    return attempt->n_outsiders - n_before;
}

static void stop_processes(struct mf_attempt *attempt)
{
    bool is_any_new = attempt->phase == MF_PHASE_RUNNING;

    if (attempt->has_group)
        (void)kill(-attempt->outcome.pid, SIGSTOP);
    /* Without its main process there is no way to them. */
    for (int look = 0; look < MAX_LOOKS && is_any_new; look++) {
        pid_t *pids = NULL;
        int n = mf_process_tree_list(attempt->outcome.pid, &pids);

        is_any_new = n > 1 && stop_outsiders(attempt, pids, (uint32_t)n) > 0;
        free(pids);
    }
}

static void continue_processes(struct mf_attempt *attempt)
{
    for (uint32_t i = 0; i < attempt->n_outsiders; i++)
        (void)kill(attempt->outsiders[i], SIGCONT);
    if (attempt->has_group)
        (void)kill(-attempt->outcome.pid, SIGCONT);
    free(attempt->outsiders);
    attempt->outsiders = NULL;
    attempt->n_outsiders = 0;
}

static void tell_suspended(struct mf_runner *runner, const struct mf_attempt *attempt)
{
    struct mf_buffer *body = mf_channel_begin(runner->config.channel, MF_FRAME_SUSPENDED);

    mf_protocol_put_key(body, attempt->key);
    mf_buffer_put_i64(body, attempt->ran_ns);
    mf_channel_end(runner->config.channel);
}

void mf_runner_suspend(struct mf_runner *runner, struct mf_attempt *attempt)
{
    if (attempt->is_suspended || attempt->phase == MF_PHASE_STAGED)
        return;
    attempt->n_slots = 0;
    /* It needs no slot to end. */
    if (attempt->is_ending || attempt->is_abandoned)
        return;
    attempt->is_suspended = true;
    if (attempt->phase == MF_PHASE_QUEUED) {
        mf_list_remove(&attempt->node);
    } else {
        stop_processes(attempt);
        attempt->ran_ns = mf_clock_monotonic_ns() - attempt->started_ns;
        mf_runner_set_deadline(runner, attempt, INT64_MAX);
    }
    tell_suspended(runner, attempt);
}

void mf_runner_wake(struct mf_attempt *attempt)
{
    if (!attempt->is_suspended)
        return;
    attempt->is_suspended = false;
    attempt->started_ns = mf_clock_monotonic_ns() - attempt->ran_ns;
    continue_processes(attempt);
}

/* From the processors of the slots that it had to those of others. */
static void pin(struct mf_runner *runner, const struct mf_attempt *attempt,
                const uint32_t *old_slots, uint32_t n_slots)
{
    const struct mf_spawner *spawner = &runner->spawner;
    uint8_t *several = calloc(2, spawner->cpu_set_bytes + 1);
    const void *from, *to;

    if (!several)
        return;
    from = mf_spawner_cpus(spawner, old_slots, n_slots, several);
    to = mf_spawner_cpus(spawner, attempt->slots, n_slots, several + spawner->cpu_set_bytes);
    if (from && to && memcmp(from, to, spawner->cpu_set_bytes) != 0)
        mf_process_tree_pin(attempt->outcome.pid, from, to, spawner->cpu_set_bytes);
    free(several);
}

void mf_runner_resume(struct mf_runner *runner, struct mf_attempt *attempt, uint32_t *slots,
                      uint32_t n_slots)
{
    uint32_t *old_slots = attempt->slots;

    attempt->slots = slots;
    attempt->n_slots = n_slots;
    if (attempt->is_suspended) {
        if (attempt->phase == MF_PHASE_QUEUED) {
            attempt->is_suspended = false;
            mf_list_push_back(&runner->queue, &attempt->node);
        } else {
            if (attempt->phase == MF_PHASE_RUNNING)
                pin(runner, attempt, old_slots, n_slots);
            mf_runner_wake(attempt);
            if (attempt->timeout_ns > 0)
                mf_runner_set_deadline(runner, attempt,
                                       mf_later_ns(attempt->started_ns, attempt->timeout_ns));
        }
        mf_protocol_put_key(mf_channel_begin(runner->config.channel, MF_FRAME_CONTINUED),
                            attempt->key);
        mf_channel_end(runner->config.channel);
    }
    free(old_slots);
}
