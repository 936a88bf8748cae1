/*
 * What the user asks of a running farm through the control channel. Runs in
 * rank 0's only thread.
 */
#include "runtime/cancelling.h"
#include "runtime/draining.h"

#include "base/units.h"
#include "control/control.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

struct mf_requests {
    struct mf_control *control;
    struct mf_cancelling *cancelling;
    struct mf_draining *draining;
};

/* --- stop --- */

/* What it has come to before, if it has. */
static const char *stopped_before(enum mf_stop before, bool is_now)
{
    if (before == MF_STOP_NOW)
        return "the running tasks are being ended already";
    if (before != MF_STOP_NONE && !is_now)
        return "nothing new is started already; running tasks may end, and mpifarm stop --now ends "
               "them";
    return NULL;
}

static void on_stop(struct mf_scheduler *scheduler, const struct mf_control_request *request,
                    struct mf_control_reply *reply)
{
    const char *before = stopped_before(mf_farm_stopping(scheduler->farm), request->is_now);

    if (before) {
        mf_control_reply_set(reply, true, "%s", before);
        return;
    }
    mf_log_info(scheduler->config.log, "stopped by mpifarm stop: %s",
                request->is_now ? "ending the running tasks" : "running tasks may end");
    /* Whatever was about to stop it: nobody is to go on with it now. */
    scheduler->is_interrupted = false;
    mf_scheduler_stop(scheduler, request->is_now ? MF_STOP_NOW : MF_STOP_SOON, "mpifarm stop");
    mf_wishes_note_stop(scheduler);
    mf_control_reply_set(reply, true, "%s",
                         request->is_now ? "the running tasks are being ended"
                                         : "nothing new is started; running tasks may end");
}

/* --- scale --- */

/* Works for the run, by what the core says of it: the n-th of them from behind, or NULL. */
static struct mf_peer *find_last_working(struct mf_scheduler *scheduler, uint32_t n)
{
    for (uint32_t i = scheduler->n_peers; i-- > 0;)
        if (mf_draining_is_working(scheduler, &scheduler->peers[i]) && n-- == 0)
            return &scheduler->peers[i];
    return NULL;
}

/* Those that came last leave first. Returns whether the reply is there. */
static bool shrink(struct mf_scheduler *scheduler, uint64_t ticket, uint32_t n,
                   struct mf_control_reply *reply)
{
    char ranks[MF_CONTROL_MAX_NAMES][16];
    const char *names[MF_CONTROL_MAX_NAMES];
    struct mf_control_request drain = {.verb = MF_CONTROL_DRAIN, .names = names};

    for (; drain.n_names < n; drain.n_names++) {
        struct mf_peer *peer = find_last_working(scheduler, drain.n_names);

        if (!peer) {
            mf_control_reply_set(reply, false,
                                 "no worker would be left; mpifarm stop stops the run");
            return true;
        }
        snprintf(ranks[drain.n_names], sizeof(ranks[0]), "%" PRIu32, peer->rank);
        names[drain.n_names] = ranks[drain.n_names];
    }
    return mf_draining_ask(scheduler, scheduler->requests->draining, ticket, &drain, reply);
}

static void grow(struct mf_scheduler *scheduler, uint32_t n, struct mf_control_reply *reply)
{
    uint32_t n_vacant = mf_respawn_n_vacant(scheduler), n_back, n_starting;

    if (n_vacant == 0) {
        mf_control_reply_set(reply, false,
                             "all cores belong to workers; more can come only in place of those "
                             "that have left or were lost");
        return;
    }
    n_back = mf_respawn_grow(scheduler, n, &n_starting);
    mf_control_reply_set(
        reply, true, "%" PRIu32 " worker%s work again, %" PRIu32 " more %s started%s", n_back,
        n_back == 1 ? " gets" : "s get", n_starting, n_starting == 1 ? "is" : "are",
        n_vacant < n ? "; for others there are no cores" : "");
}

/* Returns whether the reply is there. */
static bool on_scale(struct mf_scheduler *scheduler, uint64_t ticket,
                     const struct mf_control_request *request, struct mf_control_reply *reply)
{
    const char *text = request->n_names == 1 ? request->names[0] : "";
    struct mf_error err;
    int64_t n;

    if ((text[0] != '+' && text[0] != '-') ||
        mf_parse_integer(text + 1, 1, MF_CONTROL_MAX_NAMES, &n, &err) < 0)
        mf_control_reply_set(reply, false, "\"%.100s\" is not like +4 or -4", text);
    else if (text[0] == '-')
        return shrink(scheduler, ticket, (uint32_t)n, reply);
    else
        grow(scheduler, (uint32_t)n, reply);
    return true;
}

/* --- all of them --- */

/* Returns whether the reply is there: only a refusal is at once. */
static bool on_cancel(struct mf_scheduler *scheduler, uint64_t ticket,
                      const struct mf_control_request *request, struct mf_control_reply *reply)
{
    if (mf_cancelling_ask(scheduler->requests->cancelling, ticket, request, reply))
        return true;
    mf_wishes_note_cancel(scheduler, request);
    return false;
}

int mf_requests_recall_cancel(struct mf_scheduler *scheduler,
                              const struct mf_control_request *request)
{
    return mf_cancelling_recall(scheduler->requests->cancelling, request);
}

/* Returns whether the reply is there; where tasks are looked at, it comes once they all were. */
static bool carry_out(struct mf_scheduler *scheduler, uint64_t ticket,
                      const struct mf_control_request *request, struct mf_control_reply *reply)
{
    struct mf_requests *requests = scheduler->requests;

    switch (request->verb) {
    case MF_CONTROL_STOP:
        on_stop(scheduler, request, reply);
        break;
    case MF_CONTROL_CANCEL:
        return on_cancel(scheduler, ticket, request, reply);
    case MF_CONTROL_DRAIN:
        return mf_draining_ask(scheduler, requests->draining, ticket, request, reply);
    case MF_CONTROL_SCALE:
        return on_scale(scheduler, ticket, request, reply);
    }
    return true;
}

static bool on_request(void *arg, uint64_t ticket, const struct mf_control_request *request,
                       struct mf_control_reply *reply)
{
    struct mf_scheduler *scheduler = arg;

    if (!scheduler->is_leaving)
        return carry_out(scheduler, ticket, request, reply);
    if (request->verb == MF_CONTROL_STOP && request->is_now) {
        mf_hooks_hurry(scheduler);
        mf_control_reply_set(reply, true, "the run is over, and its workers leave at once");
    } else {
        mf_control_reply_set(reply, false, "the run is over");
    }
    return true;
}

/* The first row of this run in the journal, which a scheduler before may have begun. */
static uint64_t first_row(const struct mf_scheduler *scheduler)
{
    return scheduler->first_row > 0 ? scheduler->first_row
                                    : mf_journal_next_row(scheduler->journal);
}

static int create_parts(const struct mf_scheduler *scheduler, struct mf_requests *requests)
{
    int r = mf_cancelling_create(first_row(scheduler), &requests->cancelling);

    return r < 0 ? r : mf_draining_create(&requests->draining);
}

int mf_requests_create(struct mf_scheduler *scheduler)
{
    struct mf_error err;

    scheduler->requests = calloc(1, sizeof(*scheduler->requests));
    if (!scheduler->requests || create_parts(scheduler, scheduler->requests) < 0)
        return -ENOMEM;
    /* A run goes on without, as some file systems have no sockets. */
    if (mf_control_create(scheduler->config.run_dir, scheduler->config.loop, on_request, scheduler,
                          &scheduler->requests->control, &err) < 0)
        mf_log_warning(scheduler->config.log,
                       "mpifarm stop, cancel, drain and scale will not work: %s", err.text);
    return 0;
}

void mf_requests_destroy(struct mf_scheduler *scheduler)
{
    if (!scheduler->requests)
        return;
    if (scheduler->requests->cancelling)
        mf_cancelling_warn(scheduler, scheduler->requests->cancelling);
    mf_cancelling_destroy(scheduler->requests->cancelling);
    mf_draining_destroy(scheduler->requests->draining);
    mf_control_destroy(scheduler->requests->control);
    free(scheduler->requests);
    scheduler->requests = NULL;
}

bool mf_requests_turn(struct mf_scheduler *scheduler)
{
    struct mf_requests *requests = scheduler->requests;
    bool has_more;

    if (requests->control)
        mf_control_keep_time(requests->control, scheduler->now_ns);
    has_more = mf_cancelling_turn(scheduler, requests->cancelling, requests->control);
    return mf_draining_turn(scheduler, requests->draining, requests->control) || has_more;
}

int64_t mf_requests_next_ns(const struct mf_scheduler *scheduler)
{
    const struct mf_control *control = scheduler->requests->control;

    return control ? mf_control_next_ns(control) : INT64_MAX;
}
