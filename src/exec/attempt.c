/* An attempt's own data: see attempt.h. Owned by the runner, and used by its only thread. */
#include "exec/attempt.h"

#include "base/clock.h"
#include "base/io.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

int mf_attempt_decode(struct mf_reader *reader, struct mf_attempt **ret_attempt,
                      uint64_t *ret_ends_seen)
{
    struct mf_attempt *attempt;
    struct mf_command *command;
    struct mf_start start;
    uint32_t *slots;
    char *gpus;
    int result = mf_protocol_get_start(reader, &start, &slots, &gpus, ret_ends_seen);

    if (result < 0)
        return result;
    result = mf_command_decode(start.command, start.command_size, &command);
    attempt = result == 0 ? calloc(1, sizeof(*attempt)) : NULL;
    if (!attempt) {
        if (result == 0)
            free(command);
        free(slots);
        free(gpus);
        return result < 0 ? result : -ENOMEM;
    }
    attempt->key = (struct mf_attempt_key){start.task, start.attempt};
    attempt->phase = start.n_slots ? MF_PHASE_QUEUED : MF_PHASE_STAGED;
    attempt->was_staged = start.n_slots == 0;
    attempt->try_number = start.try_number;
    attempt->n_slots = start.n_slots;
    attempt->slots = slots;
    attempt->gpus = gpus;
    attempt->mem_bytes = start.mem_bytes;
    attempt->timeout_ns = start.timeout_ns;
    attempt->command = command;
    attempt->deadline_ns = INT64_MAX;
    attempt->heap_index = MF_HEAP_NONE;
    mf_list_init(&attempt->node);
    mf_list_init(&attempt->limited_node);
    mf_list_init(&attempt->young_node);
    *ret_attempt = attempt;
    return 0;
}

void mf_attempt_forget_outsiders(struct mf_attempt *attempt)
{
    for (uint32_t i = 0; i < attempt->n_outsiders; i++)
        mf_close(&attempt->outsiders[i].fd);
    free(attempt->outsiders);
    attempt->outsiders = NULL;
    attempt->n_outsiders = 0;
}

void mf_attempt_destroy(struct mf_attempt *attempt)
{
    mf_list_remove(&attempt->node);
    mf_list_remove(&attempt->limited_node);
    mf_list_remove(&attempt->young_node);
    mf_streams_finish(&attempt->streams);
    free(attempt->command);
    free(attempt->slots);
    free(attempt->gpus);
    mf_attempt_forget_outsiders(attempt);
    free(attempt);
}

static int64_t timeval_ns(struct timeval time)
{
    return time.tv_sec * MF_NS_PER_S + time.tv_usec * MF_NS_PER_US;
}

void mf_attempt_note_exit(struct mf_attempt *attempt, int status, const struct rusage *usage,
                          int64_t now_ns)
{
    struct mf_outcome *outcome = &attempt->outcome;
    enum mf_cause cause = MF_CAUSE_NONE;

    outcome->duration_ns = attempt->is_suspended ? attempt->ran_ns : now_ns - attempt->started_ns;
    outcome->user_ns = timeval_ns(usage->ru_utime);
    outcome->system_ns = timeval_ns(usage->ru_stime);
    mf_attempt_note_memory(attempt, (uint64_t)usage->ru_maxrss * 1024);
    if (WIFSIGNALED(status)) {
        cause = MF_CAUSE_SIGNAL;
        outcome->signal = WTERMSIG(status);
        outcome->exit_status = 128 + WTERMSIG(status);
    } else {
        outcome->exit_status = WEXITSTATUS(status);
        if (outcome->exit_status != 0)
            cause = MF_CAUSE_EXIT;
    }
    if (!attempt->is_ending)
        outcome->cause = cause;
}

void mf_attempt_note_memory(struct mf_attempt *attempt, uint64_t used_bytes)
{
    if (attempt->outcome.max_rss_bytes < used_bytes)
        attempt->outcome.max_rss_bytes = used_bytes;
}

void mf_attempt_note(struct mf_attempt *attempt, const char *detail)
{
    if (!attempt->outcome.detail[0])
        snprintf(attempt->outcome.detail, sizeof(attempt->outcome.detail), "%s", detail);
}

int mf_attempt_report(struct mf_attempt *attempt, struct mf_channel *channel,
                      uint64_t *ret_spilled_bytes)
{
    struct mf_buffer *body = mf_channel_begin(channel, MF_FRAME_ENDED);
    int fds[MF_CHANNEL_MAX_FDS];
    uint32_t n_fds = 0;
    int result = 0;

    *ret_spilled_bytes = 0;
    for (int i = 0; i < MF_N_STREAMS; i++) {
        const struct mf_capture *capture = &attempt->streams.readers[i].capture;

        attempt->outcome.produced_bytes[i] = capture->produced;
        attempt->outcome.dropped_bytes[i] = mf_capture_dropped(capture);
    }
    mf_protocol_put_key(body, attempt->key);
    mf_buffer_put_u32(body, attempt->n_slots ? attempt->slots[0] : MF_SLOT_NONE);
    mf_outcome_encode(&attempt->outcome, body);
    for (int i = 0; i < MF_N_STREAMS; i++) {
        struct mf_capture *capture = &attempt->streams.readers[i].capture;

        mf_protocol_put_stream(body, capture);
        if (capture->fd < 0)
            continue;
        *ret_spilled_bytes += mf_capture_kept(capture);
        fds[n_fds++] = capture->fd;
        capture->fd = -1;
    }
    mf_channel_end(channel);
    if (n_fds > 0)
        result = mf_channel_attach(channel, fds, n_fds);
    return result < 0 ? result : (int)n_fds;
}

bool mf_attempt_is_due_before(const void *a, const void *b)
{
    const struct mf_attempt *left = a, *right = b;

    if (left->deadline_ns != right->deadline_ns)
        return left->deadline_ns < right->deadline_ns;
    if (left->key.task != right->key.task)
        return left->key.task < right->key.task;
    return left->key.attempt < right->key.attempt;
}
