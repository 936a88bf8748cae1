/*
 * Ends: processes that exit, that run over their time, that the rank ends, and
 * what they leave behind. An attempt is over when its main process is reaped,
 * its pipes are closed by all who had them and its process group is empty, or
 * when the grace for that has passed.
 *
 * Part of the runner, which the launcher's only thread runs.
 */
#include "exec/runner_parts.h"

#include "base/clock.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

void mf_runner_set_deadline(struct mf_runner *runner, struct mf_attempt *attempt,
                            int64_t deadline_ns)
{
    attempt->deadline_ns = deadline_ns;
    if (attempt->heap_index != MF_HEAP_NONE)
        mf_heap_update(&runner->deadlines, attempt);
    else
        mf_runner_note_error(runner, mf_heap_push(&runner->deadlines, attempt));
}

/* Takes the attempt out of everything but the list of all. */
static void detach(struct mf_runner *runner, struct mf_attempt *attempt)
{
    uint32_t pid = (uint32_t)attempt->outcome.pid;

    if (attempt->phase == MF_PHASE_STAGED)
        runner->n_staged--;
    if (attempt->phase == MF_PHASE_RUNNING)
        mf_table_remove(runner->by_pid, &pid);
    if (attempt->phase == MF_PHASE_RUNNING || attempt->phase == MF_PHASE_LEFT)
        runner->n_active--;
    if (attempt->heap_index != MF_HEAP_NONE)
        mf_heap_remove(&runner->deadlines, attempt);
    mf_list_remove(&attempt->node);
    mf_list_remove(&attempt->limited_node);
    mf_list_remove(&attempt->young_node);
}

static void forget(struct mf_runner *runner, struct mf_attempt *attempt)
{
    mf_table_remove(runner->attempts, &attempt->key);
    mf_attempt_destroy(attempt);
}

void mf_runner_finish(struct mf_runner *runner, struct mf_attempt *attempt)
{
    uint64_t spilled_bytes;
    int n_files;

    mf_runner_wake(attempt);
    detach(runner, attempt);
    mf_runner_leave_slots(runner, attempt);
    n_files = mf_attempt_report(attempt, runner->config.channel, &spilled_bytes);
    mf_runner_note_error(runner, n_files);
    if (n_files > 0) {
        runner->n_spilled++;
        runner->spilled_bytes += spilled_bytes;
    }
    runner->n_ends++;
    mf_runner_pass_slots(runner, attempt);
    /* At once: an idle processor costs more than to tidy up a little later. */
    mf_runner_start_queued(runner);
    forget(runner, attempt);
}

void mf_runner_give_back(struct mf_runner *runner, struct mf_attempt *attempt)
{
    struct mf_buffer *body = mf_channel_begin(runner->config.channel, MF_FRAME_UNSTAGED);

    mf_protocol_put_key(body, attempt->key);
    mf_channel_end(runner->config.channel);
    detach(runner, attempt);
    mf_runner_leave_slots(runner, attempt);
    runner->n_ends++;
    mf_runner_pass_slots(runner, attempt);
    mf_runner_start_queued(runner);
    forget(runner, attempt);
}

static void signal_group(const struct mf_attempt *attempt, int signal)
{
    /* Fails when the last member has just ended, which is as good. */
    if (attempt->has_group)
        (void)kill(-attempt->outcome.pid, signal);
}

static bool has_living_group(struct mf_attempt *attempt)
{
    /* Once it is gone its number may become that of a stranger. */
    if (attempt->has_group && kill(-attempt->outcome.pid, 0) < 0 && errno == ESRCH)
        attempt->has_group = false;
    return attempt->has_group;
}

/*
 * Finishes an attempt whose main process is gone, if nothing else of it is
 * left. Processes that still hold its output go on, as long as its time limit
 * lets them: a shell need not wait for what it starts with "&". Those that have
 * let go of it are daemons, and get the grace to end.
 */
static bool settle(struct mf_runner *runner, struct mf_attempt *attempt)
{
    int64_t limit_ns = mf_later_ns(mf_clock_monotonic_ns(), runner->config.launcher->grace_ns);

    if (mf_streams_are_open(&attempt->streams))
        return false;
    if (!has_living_group(attempt)) {
        mf_runner_finish(runner, attempt);
        return true;
    }
    if (!attempt->is_abandoned && attempt->deadline_ns > limit_ns)
        mf_runner_set_deadline(runner, attempt, limit_ns);
    attempt->is_abandoned = true;
    return false;
}

static void end_running(struct mf_runner *runner, struct mf_attempt *attempt, enum mf_cause cause);

/* The output of an attempt cannot be kept: the first such failure ends it. */
static void storage_failed(struct mf_runner *runner, struct mf_attempt *attempt, int error)
{
    char detail[sizeof(attempt->outcome.detail)];

    snprintf(detail, sizeof(detail), "cannot store output in %.80s: %s",
             runner->streams_config.spill_dir, strerror(-error));
    mf_attempt_note(attempt, detail);
    if (attempt->phase == MF_PHASE_RUNNING && !attempt->is_ending)
        end_running(runner, attempt, MF_CAUSE_OUTPUT);
    else if (!attempt->is_ending)
        attempt->outcome.cause = MF_CAUSE_OUTPUT;
}

static void drain(struct mf_runner *runner, struct mf_attempt *attempt)
{
    int error = mf_streams_drain(&attempt->streams);

    if (error < 0)
        storage_failed(runner, attempt, error);
}

/* It, or the last process of its shell. */
static bool was_killed(const struct mf_outcome *outcome)
{
    return (outcome->cause == MF_CAUSE_SIGNAL || outcome->cause == MF_CAUSE_EXIT) &&
           outcome->exit_status == 128 + SIGKILL;
}

static void explain_kill(struct mf_runner *runner, struct mf_attempt *attempt)
{
    char detail[sizeof(attempt->outcome.detail)];

    if (mf_out_of_memory_explain(&runner->out_of_memory, "", attempt->outcome.max_rss_bytes, detail,
                                 sizeof(detail)))
        mf_attempt_note(attempt, detail);
}

/*
 * Warned of the end of the allocation, a command that does not handle the signal dies of it, and
 * one that saves what it has says with a status other than 0 that there is more to do.
 */
static void excuse(struct mf_outcome *outcome)
{
    if (outcome->cause == MF_CAUSE_SIGNAL || outcome->cause == MF_CAUSE_EXIT)
        outcome->cause = MF_CAUSE_WALLTIME;
}

/* The main process was reaped: done, unless something of it goes on. */
static void main_process_ended(struct mf_runner *runner, struct mf_attempt *attempt, int status,
                               const struct rusage *usage)
{
    uint32_t pid = (uint32_t)attempt->outcome.pid;

    if (!mf_runner_has_executed(runner, attempt))
        return;
    mf_attempt_note_exit(attempt, status, usage, mf_clock_monotonic_ns());
    if (was_killed(&attempt->outcome))
        explain_kill(runner, attempt);
    if (attempt->is_warned)
        excuse(&attempt->outcome);
    mf_table_remove(runner->by_pid, &pid);
    attempt->phase = MF_PHASE_LEFT;
    mf_list_remove(&attempt->young_node);
    drain(runner, attempt);
    if (settle(runner, attempt))
        return;
    mf_list_push_back(&runner->left, &attempt->node);
    mf_runner_note_error(runner, mf_streams_watch(&attempt->streams));
}

static void begin_ending(struct mf_runner *runner, struct mf_attempt *attempt, enum mf_cause cause)
{
    attempt->is_ending = true;
    attempt->outcome.cause = cause;
    signal_group(attempt, SIGTERM);
    signal_group(attempt, SIGCONT);
    mf_runner_wake(attempt);
    mf_runner_set_deadline(runner, attempt,
                           mf_later_ns(mf_clock_monotonic_ns(), runner->config.launcher->grace_ns));
}

/*
 * The time of what the main process left behind is over too. What still holds
 * the output was part of the work, which is then not done; a daemon was not.
 */
static void end_left(struct mf_runner *runner, struct mf_attempt *attempt, enum mf_cause cause)
{
    if (!attempt->is_abandoned && !attempt->is_ending) {
        begin_ending(runner, attempt, cause);
        return;
    }
    signal_group(attempt, SIGKILL);
    drain(runner, attempt);
    if (!attempt->is_ending)
        mf_attempt_note(attempt, "left processes behind");
    mf_runner_finish(runner, attempt);
}

/* TERM now, KILL after the grace; an attempt that has just ended keeps its own status. */
static void end_running(struct mf_runner *runner, struct mf_attempt *attempt, enum mf_cause cause)
{
    struct rusage usage;
    int status;

    if (wait4(attempt->outcome.pid, &status, WNOHANG, &usage) > 0) {
        /* A status of its own takes the place of the cause, unless its output is not whole. */
        if (cause == MF_CAUSE_MEMORY)
            attempt->outcome.detail[0] = '\0';
        attempt->outcome.cause = cause;
        attempt->is_ending = cause == MF_CAUSE_OUTPUT;
        main_process_ended(runner, attempt, status, &usage);
        return;
    }
    begin_ending(runner, attempt, cause);
}

void mf_runner_end(struct mf_runner *runner, struct mf_attempt *attempt, enum mf_cause cause)
{
    switch (attempt->phase) {
    case MF_PHASE_STAGED:
    case MF_PHASE_QUEUED:
        attempt->outcome.cause = cause;
        mf_runner_finish(runner, attempt);
        break;
    case MF_PHASE_RUNNING:
        if (!attempt->is_ending)
            end_running(runner, attempt, cause);
        break;
    case MF_PHASE_LEFT:
        end_left(runner, attempt, cause);
        break;
    }
}

/* A stream was closed by its last writer, or could not be stored. */
void mf_runner_on_stream(void *arg, int error)
{
    struct mf_attempt *attempt = arg;
    struct mf_runner *runner =
        mf_container_of(attempt->streams.config, struct mf_runner, streams_config);

    if (error < 0)
        storage_failed(runner, attempt, error);
    else if (attempt->phase == MF_PHASE_LEFT)
        settle(runner, attempt);
}

static void settle_left(struct mf_runner *runner)
{
    mf_list_for_each_safe (node, &runner->left)
        settle(runner, mf_container_of(node, struct mf_attempt, node));
}

void mf_runner_reap(struct mf_runner *runner)
{
    bool had_orphan = false;
    struct rusage usage;
    int status;
    pid_t pid;

    /* What ends makes room for others, whose starts look at the time. */
    runner->now_ns = mf_clock_monotonic_ns();
    while ((pid = wait4(-1, &status, WNOHANG, &usage)) > 0) {
        uint32_t key = (uint32_t)pid;
        struct mf_attempt **place = mf_table_find(runner->by_pid, &key);

        if (place)
            main_process_ended(runner, *place, status, &usage);
        else
            had_orphan = true;
    }
    /* Orphans come here, being below a subreaper: one may have been the last of its group. */
    if (had_orphan)
        settle_left(runner);
}

void mf_runner_expire(struct mf_runner *runner, struct mf_attempt *attempt)
{
    if (attempt->phase == MF_PHASE_LEFT) {
        end_left(runner, attempt, MF_CAUSE_TIMEOUT);
    } else if (attempt->is_ending) {
        signal_group(attempt, SIGKILL);
        /* Until the kernel lets go of it. */
        mf_runner_set_deadline(runner, attempt, mf_later_ns(runner->now_ns, MF_NS_PER_S));
    } else {
        end_running(runner, attempt, MF_CAUSE_TIMEOUT);
    }
}
