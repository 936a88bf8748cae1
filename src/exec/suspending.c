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
#include "base/io.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Looks for outsiders: one that forks while it is looked for shows in the next. */
#define MAX_LOOKS 3

/* Of an attempt: each takes a descriptor. More than that run on. */
#define MAX_OUTSIDERS 256

/* A signal for the process that was found, even if its number is another one's by now. */
static int signal_outsider(const struct mf_outsider *outsider, int signal)
{
    if (outsider->fd < 0)
        return kill(outsider->pid, signal);
    return (int)syscall(SYS_pidfd_send_signal, outsider->fd, signal, NULL, 0);
}

static bool is_known(const struct mf_attempt *attempt, pid_t pid)
{
    for (uint32_t i = 0; i < attempt->n_outsiders; i++)
        if (attempt->outsiders[i].pid == pid && signal_outsider(&attempt->outsiders[i], 0) == 0)
            return true;
    return false;
}

/* Stops a process if it is still the one that was found. Returns whether it was stopped. */
static bool stop_outsider(const struct mf_process *process, struct mf_outsider *ret_outsider)
{
    struct mf_outsider outsider = {.pid = process->pid};

    outsider.fd = (int)syscall(SYS_pidfd_open, process->pid, 0);
    if (outsider.fd < 0 && errno != ENOSYS)
        return false;
    if (!mf_process_is_child(process) || signal_outsider(&outsider, SIGSTOP) < 0) {
        mf_close(&outsider.fd);
        return false;
    }
    *ret_outsider = outsider;
    return true;
}

/* Stops the outsiders among some processes that were not known. Returns how many these are. */
static uint32_t stop_outsiders(struct mf_attempt *attempt, const struct mf_process *processes,
                               uint32_t n)
{
    uint32_t n_before = attempt->n_outsiders;

    for (uint32_t i = 0; i < n && attempt->n_outsiders < MAX_OUTSIDERS; i++) {
        pid_t group = getpgid(processes[i].pid);
        struct mf_outsider *grown;

        if (group < 0 || group == attempt->outcome.pid || is_known(attempt, processes[i].pid))
            continue;
        grown = reallocarray(attempt->outsiders, attempt->n_outsiders + 1, sizeof(*grown));
        if (!grown)
            break;
        attempt->outsiders = grown;
        attempt->n_outsiders += stop_outsider(&processes[i], &grown[attempt->n_outsiders]);
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
        struct mf_process *processes = NULL;
        int n = mf_process_tree_list(attempt->outcome.pid, &processes);

        is_any_new = n > 1 && stop_outsiders(attempt, processes, (uint32_t)n) > 0;
        free(processes);
    }
}

static void continue_processes(struct mf_attempt *attempt)
{
    for (uint32_t i = 0; i < attempt->n_outsiders; i++)
        (void)signal_outsider(&attempt->outsiders[i], SIGCONT);
    if (attempt->has_group)
        (void)kill(-attempt->outcome.pid, SIGCONT);
    mf_attempt_forget_outsiders(attempt);
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
    mf_runner_leave_slots(runner, attempt);
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
            mf_tenants_enter(runner->config.tenants, slots[0], attempt->key,
                             attempt->outcome.started_wall_ns);
            mf_tenants_set_pid(runner->config.tenants, slots[0], attempt->outcome.pid);
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
