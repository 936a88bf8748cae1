/*
 * Attempts on their way from a START frame to an ENDED one: what the rank asks
 * for, and what time brings. How they start and end is in starting.c,
 * ending.c and limiting.c.
 *
 * The launcher owns the runner and runs it in its only thread.
 */
#include "exec/runner_parts.h"

#include "base/clock.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>

/* --- time --- */

static struct mf_attempt *first_young(const struct mf_runner *runner)
{
    if (mf_list_is_empty(&runner->young))
        return NULL;
    return mf_container_of(runner->young.next, struct mf_attempt, young_node);
}

int mf_runner_advance(struct mf_runner *runner)
{
    struct mf_attempt *attempt;

    runner->now_ns = mf_clock_monotonic_ns();
    while ((attempt = mf_heap_top(&runner->deadlines)) && attempt->deadline_ns <= runner->now_ns)
        mf_runner_expire(runner, attempt);
    while ((attempt = first_young(runner)) && attempt->watch_at_ns <= runner->now_ns) {
        mf_list_remove(&attempt->young_node);
        mf_runner_note_error(runner, mf_streams_watch(&attempt->streams));
    }
    if (mf_runner_next_look_ns(runner) <= runner->now_ns)
        mf_runner_look_at_memory(runner);
    mf_runner_start_queued(runner);
    return runner->error;
}

int64_t mf_runner_next_ns(const struct mf_runner *runner)
{
    const struct mf_attempt *due = mf_heap_top(&runner->deadlines);
    const struct mf_attempt *young = first_young(runner);
    int64_t next_ns = due ? due->deadline_ns : INT64_MAX;

    /* What held starts back may have gone since the last advance. */
    if (mf_runner_can_start(runner))
        return runner->now_ns;
    if (young && young->watch_at_ns < next_ns)
        next_ns = young->watch_at_ns;
    if (mf_runner_next_look_ns(runner) < next_ns)
        next_ns = mf_runner_next_look_ns(runner);
    if (!mf_list_is_empty(&runner->queue) && runner->retry_at_ns > runner->now_ns &&
        runner->retry_at_ns < next_ns)
        next_ns = runner->retry_at_ns;
    return next_ns;
}

void mf_runner_prepare(struct mf_runner *runner)
{
    if (runner->n_staged > 0)
        mf_spawner_prepare(&runner->spawner);
}

bool mf_runner_is_supplied(const struct mf_runner *runner)
{
    return runner->n_staged > 0 && runner->n_staged >= runner->configuration.n_slots;
}

/* --- frames --- */

static struct mf_attempt *find_attempt(const struct mf_runner *runner, struct mf_attempt_key key)
{
    struct mf_attempt **place = mf_table_find(runner->attempts, &key);

    return place ? *place : NULL;
}

static int on_configure(struct mf_runner *runner, struct mf_reader *body)
{
    int result;

    if (runner->freed)
        return -EBADMSG;
    result = mf_protocol_get_configure(body, &runner->configuration);
    if (result < 0)
        return result;
    runner->freed = calloc(runner->configuration.n_slots + 1, sizeof(*runner->freed));
    if (!runner->freed)
        return -ENOMEM;
    return mf_spawner_init(&runner->spawner, &runner->configuration,
                           &runner->config.original_files);
}

static bool slots_are_valid(const struct mf_runner *runner, const struct mf_attempt *attempt)
{
    for (uint32_t i = 0; i < attempt->n_slots; i++)
        if (attempt->slots[i] >= runner->configuration.n_slots)
            return false;
    return true;
}

static int on_start(struct mf_runner *runner, struct mf_reader *body)
{
    struct mf_attempt *attempt;
    uint64_t ends_seen;
    void *place;
    int result = mf_attempt_decode(body, &attempt, &ends_seen);

    if (result < 0)
        return result;
    mf_streams_init(&attempt->streams, &runner->streams_config, mf_runner_on_stream, attempt);
    if (!slots_are_valid(runner, attempt))
        result = -EBADMSG;
    else
        result = mf_table_insert(runner->attempts, &attempt->key, &place);
    if (result != 0) {
        mf_attempt_destroy(attempt);
        return result < 0 ? result : -EBADMSG;
    }
    *(struct mf_attempt **)place = attempt;

    mf_runner_admit(runner, attempt, ends_seen);
    return 0;
}

/* Gives back a staged attempt; also one that has a slot but was not told to have begun. */
static int on_unstage(struct mf_runner *runner, struct mf_reader *body)
{
    struct mf_attempt *attempt = find_attempt(runner, mf_protocol_get_key(body));

    if (attempt && attempt->was_staged && !attempt->is_told &&
        (attempt->phase == MF_PHASE_STAGED || attempt->phase == MF_PHASE_QUEUED))
        mf_runner_give_back(runner, attempt);
    return mf_reader_finish(body);
}

static int on_end(struct mf_runner *runner, struct mf_reader *body)
{
    struct mf_attempt *attempt = find_attempt(runner, mf_protocol_get_key(body));
    uint8_t cause = mf_reader_get_u8(body);

    if (cause == MF_CAUSE_NONE || cause > MF_CAUSE_MAX)
        return -EBADMSG;
    if (attempt)
        mf_runner_end(runner, attempt, (enum mf_cause)cause);
    return mf_reader_finish(body);
}

static int on_suspend(struct mf_runner *runner, struct mf_reader *body)
{
    struct mf_attempt *attempt = find_attempt(runner, mf_protocol_get_key(body));

    if (attempt)
        mf_runner_suspend(runner, attempt);
    return mf_reader_finish(body);
}

static int on_continue(struct mf_runner *runner, struct mf_reader *body)
{
    struct mf_attempt *attempt = find_attempt(runner, mf_protocol_get_key(body));
    uint32_t *slots, n_slots;
    int result = mf_protocol_get_continue(body, &slots, &n_slots);

    if (result < 0)
        return result;
    for (uint32_t i = 0; i < n_slots; i++)
        if (slots[i] >= runner->configuration.n_slots)
            result = -EBADMSG;
    if (result == 0 && attempt)
        mf_runner_resume(runner, attempt, slots, n_slots);
    else
        free(slots);
    return result;
}

/* What has not begun has nothing to save. */
static int on_warn(struct mf_runner *runner, struct mf_reader *body)
{
    uint32_t number = mf_reader_get_u32(body);
    size_t cursor = 0;
    void *place;

    if (number == 0 || number > (uint32_t)SIGRTMAX)
        return -EBADMSG;
    while (mf_table_next(runner->attempts, &cursor, NULL, &place)) {
        struct mf_attempt *attempt = *(struct mf_attempt **)place;

        /* It fails where all have just ended. */
        if (attempt->phase == MF_PHASE_RUNNING && attempt->has_group)
            attempt->is_warned |= kill(-attempt->outcome.pid, (int)number) == 0;
    }
    return mf_reader_finish(body);
}

static int on_closed(struct mf_runner *runner, struct mf_reader *body)
{
    uint64_t bytes = mf_reader_get_u64(body);

    if (runner->n_spilled == 0 || bytes > runner->spilled_bytes)
        return -EBADMSG;
    runner->n_spilled--;
    runner->spilled_bytes -= bytes;
    return mf_reader_finish(body);
}

int mf_runner_handle(struct mf_runner *runner, struct mf_frame *frame)
{
    if (frame->kind == MF_FRAME_CONFIGURE)
        return on_configure(runner, &frame->body);
    if (!runner->freed)
        return -EBADMSG;
    switch (frame->kind) {
    case MF_FRAME_START:
        return on_start(runner, &frame->body);
    case MF_FRAME_UNSTAGE:
        return on_unstage(runner, &frame->body);
    case MF_FRAME_END:
        return on_end(runner, &frame->body);
    case MF_FRAME_SUSPEND:
        return on_suspend(runner, &frame->body);
    case MF_FRAME_CONTINUE:
        return on_continue(runner, &frame->body);
    case MF_FRAME_WARN:
        return on_warn(runner, &frame->body);
    case MF_FRAME_CLOSED:
        return on_closed(runner, &frame->body);
    default:
        return -EBADMSG;
    }
}

/* --- life --- */

int mf_runner_create(const struct mf_runner_config *config, struct mf_runner **ret_runner)
{
    struct mf_runner *runner = calloc(1, sizeof(*runner));
    int result;

    if (!runner)
        return -ENOMEM;
    runner->config = *config;
    runner->streams_config = (struct mf_streams_config){
        .loop = config->loop,
        .spill_dir = mf_capture_spill_dir(config->launcher->spill_dir),
        .limit = config->launcher->output_limit_bytes,
        .bytes = runner->bytes,
    };
    mf_heap_init(&runner->deadlines, mf_attempt_is_due_before,
                 offsetof(struct mf_attempt, heap_index));
    mf_list_init(&runner->staged);
    mf_list_init(&runner->queue);
    mf_list_init(&runner->left);
    mf_list_init(&runner->young);
    mf_list_init(&runner->limited);
    mf_out_of_memory_begin(&runner->out_of_memory, "");
    result = mf_table_create(sizeof(struct mf_attempt_key), sizeof(struct mf_attempt *),
                             &runner->attempts);
    if (result == 0)
        result = mf_table_create(sizeof(uint32_t), sizeof(struct mf_attempt *), &runner->by_pid);
    if (result < 0)
        mf_runner_destroy(runner);
    else
        *ret_runner = runner;
    return result;
}

/* Fails when the last member has just ended, which is as good. */
static void kill_group(const struct mf_attempt *attempt)
{
    if (attempt->has_group)
        (void)kill(-attempt->outcome.pid, SIGKILL);
}

void mf_runner_destroy(struct mf_runner *runner)
{
    size_t cursor = 0;
    void *place;

    if (!runner)
        return;
    while (runner->attempts && mf_table_next(runner->attempts, &cursor, NULL, &place))
        kill_group(*(struct mf_attempt **)place);
    /* Before the commands go, which new processes may still borrow. */
    mf_spawner_finish(&runner->spawner);
    cursor = 0;
    while (runner->attempts && mf_table_next(runner->attempts, &cursor, NULL, &place))
        mf_attempt_destroy(*(struct mf_attempt **)place);
    mf_table_destroy(runner->attempts);
    mf_table_destroy(runner->by_pid);
    mf_heap_finish(&runner->deadlines);
    mf_configuration_finish(&runner->configuration);
    free(runner->freed);
    free(runner);
}
