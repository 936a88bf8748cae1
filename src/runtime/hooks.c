/*
 * Commands that each worker runs when it joins and when it leaves, as disBatch's
 * `#DISBATCH PERENGINE` has them: sent once the run has begun, and told of when they have ended.
 * As with disBatch, a worker does its work whatever became of them, and the run counts as failed.
 * Runs in rank 0's only thread.
 */
#include "runtime/scheduler_private.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

static int encode_list(const struct mf_scheduler *scheduler, struct mf_buffer *list)
{
    const struct mf_hook *hook;

    for (size_t i = 0; (hook = mf_source_hook(scheduler->config.source, i)); i++)
        mf_node_put_hook(hook->is_stop, &hook->command, list);
    return mf_buffer_status(list);
}

void mf_hooks_post(struct mf_scheduler *scheduler, struct mf_peer *peer)
{
    struct mf_message message = {.kind = MF_MESSAGE_HOOKS};
    struct mf_buffer list = {0};

    if (!scheduler->is_begun || peer->has_hooks || !mf_source_hook(scheduler->config.source, 0))
        return;
    if (encode_list(scheduler, &list) < 0) {
        mf_scheduler_fail_with(scheduler, -ENOMEM, "cannot tell workers what to run first");
    } else {
        message.payload = list.data;
        message.payload_size = list.size;
        mf_peer_post(peer, &message);
        peer->has_hooks = true;
    }
    mf_buffer_finish(&list);
}

void mf_hooks_begin(struct mf_scheduler *scheduler)
{
    for (uint32_t i = 0; i < scheduler->n_peers; i++)
        if (scheduler->peers[i].state == MF_PEER_UP)
            mf_hooks_post(scheduler, &scheduler->peers[i]);
}

/* Each line of its output with where it comes from; both streams, one after the other. */
static void tell_output(const struct mf_scheduler *scheduler, const struct mf_peer *peer,
                        const char *name, const struct mf_message *message)
{
    const char *at = (const char *)message->payload, *end = at + message->payload_size;
    enum mf_log_level level =
        mf_outcome_is_success(&message->outcome) ? MF_LOG_INFO : MF_LOG_WARNING;

    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        size_t n = (size_t)((newline ? newline : end) - at);

        mf_log_write(scheduler->config.log, level, "rank %" PRIu32 ", PERENGINE %s: %.*s",
                     peer->rank, name, (int)n, at);
        at += n + 1;
    }
}

/* One that was ended since the run was over has not failed. */
static void tell_end(const struct mf_scheduler *scheduler, const struct mf_peer *peer,
                     const struct mf_hook *hook, const struct mf_outcome *outcome)
{
    const char *why = hook->is_stop ? "" : "; its tasks are run all the same";
    const char *name = hook->is_stop ? "STOP" : "START";
    char cause[256];

    if (outcome->cause == MF_CAUSE_STOPPED)
        mf_log_warning(scheduler->config.log,
                       "rank %" PRIu32 " on %s: PERENGINE %s (line %" PRIu64 ") was ended",
                       peer->rank, peer->host, name, hook->line);
    else if (!mf_outcome_is_success(outcome))
        mf_log_error(scheduler->config.log,
                     "rank %" PRIu32 " on %s: PERENGINE %s (line %" PRIu64 ") failed: %s%s",
                     peer->rank, peer->host, name, hook->line,
                     mf_outcome_describe(outcome, cause, sizeof(cause)), why);
}

int mf_hooks_on_ended(struct mf_scheduler *scheduler, const struct mf_peer *peer,
                      const struct mf_message *message)
{
    const struct mf_hook *hook = mf_source_hook(scheduler->config.source, message->task);

    if (!hook)
        return -EPROTO;
    scheduler->n_hooks_failed += !mf_outcome_is_success(&message->outcome) &&
                                 message->outcome.cause != MF_CAUSE_STOPPED &&
                                 mf_cause_is_charged(message->outcome.cause);
    tell_output(scheduler, peer, hook->is_stop ? "STOP" : "START", message);
    tell_end(scheduler, peer, hook, &message->outcome);
    return 0;
}

static void hurry(const struct mf_scheduler *scheduler, struct mf_peer *peer)
{
    if (peer->state == MF_PEER_STOPPING && peer->is_busy)
        mf_peer_post_stop(scheduler, peer);
}

void mf_hooks_hurry(struct mf_scheduler *scheduler)
{
    scheduler->is_hurried = true;
    for (uint32_t i = 0; i < scheduler->n_peers; i++)
        hurry(scheduler, &scheduler->peers[i]);
}

void mf_hooks_on_busy(struct mf_scheduler *scheduler, struct mf_peer *peer)
{
    peer->is_busy = true;
    mf_peers_await(scheduler);
    if (scheduler->is_hurried)
        hurry(scheduler, peer);
}
