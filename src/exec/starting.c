/*
 * Slots and starts.
 *
 * A slot that a single-slot attempt leaves goes to the first staged attempt
 * without asking the rank. A START of a staged attempt may cross the ENDED
 * that would have given it a slot; so each START tells how many ends the rank
 * had seen, and slots left since then are remembered in `freed`. Both sides
 * thus agree: who is staged when an end is seen gets that slot.
 *
 * Part of the runner, which the launcher's only thread runs.
 */
#include "exec/runner_parts.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Most commands end sooner and never need their pipes watched. */
#define WATCH_AFTER_NS (20 * MF_NS_PER_MS)

/* Descriptors for the launcher itself, and for one attempt: two pipes, two files. */
#define OWN_FILES 32
#define FILES_PER_ATTEMPT 4

/* Nothing new starts while the rank leaves this much unread. */
#define MAX_SPILLED 64
#define MAX_SPILLED_BYTES (UINT64_C(8) << 30)
#define MAX_BACKLOG_BYTES ((size_t)8 << 20)

/* Pauses after the system refused a process, and how long a farm at rest tries again. */
#define FIRST_PAUSE_NS MF_NS_PER_MS
#define MAX_PAUSE_NS MF_NS_PER_S
#define GIVE_UP_AFTER_NS (10 * MF_NS_PER_S)

static void enqueue(struct mf_runner *runner, struct mf_attempt *attempt)
{
    attempt->phase = MF_PHASE_QUEUED;
    mf_list_push_back(&runner->queue, &attempt->node);
}

static void give_slot(struct mf_runner *runner, struct mf_attempt *attempt, uint32_t slot)
{
    attempt->slots[0] = slot;
    attempt->n_slots = 1;
    enqueue(runner, attempt);
}

static uint32_t pop_freed(struct mf_runner *runner)
{
    uint32_t slot = runner->freed[runner->first_freed].slot;

    runner->first_freed = (runner->first_freed + 1) % runner->configuration.n_slots;
    runner->n_freed--;
    return slot;
}

void mf_runner_pass_slots(struct mf_runner *runner, const struct mf_attempt *attempt)
{
    uint32_t n_slots = runner->configuration.n_slots;
    struct mf_list *node;

    if (attempt->n_slots != 1)
        return;
    node = mf_list_pop_front(&runner->staged);
    if (node) {
        runner->n_staged--;
        give_slot(runner, mf_container_of(node, struct mf_attempt, node), attempt->slots[0]);
        return;
    }
    /* More ends than slots: the rank has given one out twice, and the oldest tells nothing. */
    if (runner->n_freed == n_slots)
        pop_freed(runner);
    runner->freed[(runner->first_freed + runner->n_freed++) % n_slots] =
        (struct mf_freed_slot){attempt->slots[0], runner->n_ends};
}

/* Slots that the rank knows to be free are its own again. */
static void forget_freed(struct mf_runner *runner, uint64_t ends_seen)
{
    while (runner->n_freed > 0 && runner->freed[runner->first_freed].end <= ends_seen)
        pop_freed(runner);
}

void mf_runner_admit(struct mf_runner *runner, struct mf_attempt *attempt, uint64_t ends_seen)
{
    forget_freed(runner, ends_seen);
    if (attempt->was_staged)
        attempt->staged_as = ++runner->n_ever_staged;
    if (!attempt->was_staged) {
        enqueue(runner, attempt);
    } else if (runner->n_freed > 0) {
        give_slot(runner, attempt, pop_freed(runner));
    } else {
        mf_list_push_back(&runner->staged, &attempt->node);
        runner->n_staged++;
    }
}

/* A second time only for the pid: what the rank makes of the slot it has done already. */
static void tell_started(struct mf_runner *runner, struct mf_attempt *attempt)
{
    struct mf_buffer *body = mf_channel_begin(runner->config.channel, MF_FRAME_STARTED);

    mf_protocol_put_key(body, attempt->key);
    mf_buffer_put_u32(body, attempt->slots[0]);
    mf_buffer_put_u32(body, (uint32_t)attempt->outcome.pid);
    mf_buffer_put_u8(body, attempt->was_staged && !attempt->is_told);
    mf_channel_end(runner->config.channel);
    attempt->is_told = true;
}

static void begin_running(struct mf_runner *runner, struct mf_attempt *attempt,
                          const struct mf_child *child)
{
    uint32_t pid = (uint32_t)child->pid;
    void *place;
    int result;

    attempt->phase = MF_PHASE_RUNNING;
    attempt->outcome.pid = child->pid;
    mf_tenants_set_pid(runner->config.tenants, attempt->slots[0], child->pid);
    attempt->has_group = true;
    mf_streams_open(&attempt->streams, child->fds);
    runner->n_active++;
    result = mf_table_insert(runner->by_pid, &pid, &place);
    if (result < 0)
        mf_runner_note_error(runner, result);
    else
        *(struct mf_attempt **)place = attempt;
    attempt->watch_at_ns = attempt->started_ns + WATCH_AFTER_NS;
    mf_list_push_back(&runner->young, &attempt->young_node);
    mf_runner_limit(runner, attempt);
    if (attempt->timeout_ns > 0)
        mf_runner_set_deadline(runner, attempt,
                               mf_later_ns(attempt->started_ns, attempt->timeout_ns));
    tell_started(runner, attempt);
}

/* Undoes that; the attempt has its slots still. */
static void stop_running(struct mf_runner *runner, struct mf_attempt *attempt)
{
    uint32_t pid = (uint32_t)attempt->outcome.pid;

    mf_table_remove(runner->by_pid, &pid);
    mf_list_remove(&attempt->limited_node);
    mf_list_remove(&attempt->young_node);
    if (attempt->heap_index != MF_HEAP_NONE)
        mf_heap_remove(&runner->deadlines, attempt);
    mf_streams_close(&attempt->streams);
    mf_runner_leave_slots(runner, attempt);
    attempt->deadline_ns = INT64_MAX;
    attempt->has_group = false;
    attempt->outcome.pid = 0;
    attempt->phase = MF_PHASE_QUEUED;
    runner->n_active--;
}

/* Waits longer each time; one pause is for all that were under way when it began. */
static void pause_starts(struct mf_runner *runner, const struct mf_attempt *attempt)
{
    if (attempt->started_ns < runner->retry_at_ns)
        return;
    runner->pause_ns = runner->pause_ns == 0 ? FIRST_PAUSE_NS : 2 * runner->pause_ns;
    if (runner->pause_ns > MAX_PAUSE_NS)
        runner->pause_ns = MAX_PAUSE_NS;
    runner->retry_at_ns = runner->now_ns + runner->pause_ns;
}

/* What was refused is there again, if this one began after the last pause. */
static void end_pauses(struct mf_runner *runner, const struct mf_attempt *attempt)
{
    if (attempt->started_ns < runner->retry_at_ns)
        return;
    runner->pause_ns = 0;
    runner->retry_at_ns = 0;
    runner->refused_since_ns = 0;
}

/* The system is short of something: try again later, and in the end give up. */
static void refused(struct mf_runner *runner, struct mf_attempt *attempt, int error)
{
    pause_starts(runner, attempt);
    if (runner->n_active > 0 || runner->refused_since_ns == 0)
        runner->refused_since_ns = runner->now_ns;
    /* It is tried again when it goes on. */
    if (attempt->is_suspended)
        return;
    if (runner->now_ns - runner->refused_since_ns < GIVE_UP_AFTER_NS) {
        mf_list_push_front(&runner->queue, &attempt->node);
        return;
    }
    attempt->outcome.cause = MF_CAUSE_START;
    attempt->outcome.exit_status = 126;
    snprintf(attempt->outcome.detail, sizeof(attempt->outcome.detail),
             "cannot create a process: %s", strerror(-error));
    mf_runner_finish(runner, attempt);
}

/* One that is tried again may have been overtaken. */
static void note_begun(const struct mf_runner *runner, const struct mf_attempt *attempt)
{
    if (attempt->staged_as > mf_tenants_begun(runner->config.tenants))
        mf_tenants_begin(runner->config.tenants, attempt->staged_as);
}

static void start_attempt(struct mf_runner *runner, struct mf_attempt *attempt)
{
    struct mf_spawn spawn = {
        .task = attempt->key.task,
        .try_number = attempt->try_number,
        .command = attempt->command,
        .slots = attempt->slots,
        .n_slots = attempt->n_slots,
        .gpus = attempt->gpus,
    };
    struct mf_child child;
    int result;

    mf_list_remove(&attempt->node);
    attempt->started_ns = mf_clock_monotonic_ns();
    attempt->outcome.started_wall_ns = mf_clock_wall_ns();
    attempt->outcome.slot = runner->configuration.slots[attempt->slots[0]].number;
    mf_tenants_enter(runner->config.tenants, attempt->slots[0], attempt->key,
                     attempt->outcome.started_wall_ns);
    note_begun(runner, attempt);
    result = mf_spawner_start(&runner->spawner, &spawn, &child);
    if (result == 0) {
        begin_running(runner, attempt, &child);
        return;
    }
    mf_runner_leave_slots(runner, attempt);
    refused(runner, attempt, result);
}

bool mf_runner_has_executed(struct mf_runner *runner, struct mf_attempt *attempt)
{
    int result = mf_spawner_reaped(&runner->spawner, attempt->outcome.pid, &attempt->outcome);

    if (result == 0) {
        end_pauses(runner, attempt);
        return true;
    }
    stop_running(runner, attempt);
    if (result < 0 && attempt->outcome.cause == MF_CAUSE_NONE)
        refused(runner, attempt, result);
    else
        mf_runner_finish(runner, attempt);
    return false;
}

/* Whether the rank has too much to take in, or the descriptors are used up. */
static bool is_held(const struct mf_runner *runner)
{
    uint64_t files = OWN_FILES + (runner->n_active + 1) * FILES_PER_ATTEMPT + MF_SPAWN_EXTRA_FDS +
                     MF_CHANNEL_MAX_FDS * runner->config.channel->departing.n;

    if (runner->n_spilled > MAX_SPILLED || runner->spilled_bytes > MAX_SPILLED_BYTES ||
        mf_channel_backlog(runner->config.channel) > MAX_BACKLOG_BYTES)
        return true;
    return runner->n_active > 0 && files > runner->config.max_files;
}

bool mf_runner_can_start(const struct mf_runner *runner)
{
    return !mf_list_is_empty(&runner->queue) && runner->retry_at_ns <= runner->now_ns &&
           !is_held(runner);
}

void mf_runner_start_queued(struct mf_runner *runner)
{
    /* An attempt that cannot be started finishes, which leads here again. */
    if (runner->is_starting)
        return;
    runner->is_starting = true;
    while (mf_runner_can_start(runner))
        start_attempt(runner, mf_container_of(runner->queue.next, struct mf_attempt, node));
    runner->is_starting = false;
}
