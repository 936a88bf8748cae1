/*
 * The worker of function tasks: see server.h. Its turn:
 *
 *     receive   records of the scheduler, most of them handed to the caller
 *     run       the caller's turn; what it tells becomes records at once
 *     send      what was gathered, and as much of large bodies as goes out now
 *
 * While an inline caller runs a function, mf_server_poll() receives and sends
 * in between. A STOP is obeyed at the end of the turn: the scheduler is told that
 * no call runs any more, then the finish hooks run, and BYE is the last word. What
 * has become of the other ranks by then the scheduler says with END.
 */
#include "runtime/server_private.h"

#include "base/clock.h"
#include "runtime/node.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* How long it may be that nothing is heard of the scheduler, nor of whoever answers for it. */
#define SCHEDULER_SILENCE_NS (5 * MF_NS_PER_S)

/* How long what is on its way to the scheduler may take to get there before finish hooks run. */
#define PUSH_NS MF_NS_PER_S

/* --- saying --- */

void mf_server_post(struct mf_server *server, const struct mf_record *record, const void *body,
                    size_t size)
{
    mf_record_put(mf_outbox_make_room(&server->outbox, sizeof(*record) + size), record, body, size);
}

static void post_text(struct mf_server *server, enum mf_record_kind kind, const char *text)
{
    struct mf_record record = {.kind = kind};
    struct mf_buffer body = {0};

    mf_buffer_put_text(&body, text);
    mf_server_post(server, &record, body.data, body.size);
    mf_buffer_finish(&body);
}

void mf_server_report_broken(struct mf_server *server, const char *text)
{
    if (server->is_broken)
        return;
    server->is_broken = true;
    post_text(server, MF_RECORD_BROKEN, text);
}

static void say_hello(struct mf_server *server, const struct mf_server_config *config)
{
    struct mf_record record = {.kind = MF_RECORD_HELLO};
    struct mf_buffer body = {0}, part = {0};
    char host[MF_HOST_SIZE];

    mf_node_host(host);
    mf_buffer_put_text(&body, host);
    mf_node_encode_cores(config->cores, config->n_cores, &part);
    mf_buffer_put_bytes(&body, part.data, part.size);
    mf_buffer_clear(&part);
    mf_functions_encode(config->functions, &part);
    mf_buffer_put_bytes(&body, part.data, part.size);
    mf_life_encode(config->life, &body);
    if (part.has_failed || body.has_failed)
        server->outbox.error = -ENOMEM;
    mf_server_post(server, &record, body.data, body.size);
    mf_buffer_finish(&part);
    mf_buffer_finish(&body);
}

void mf_server_say_hooks(struct mf_server *server, bool are_to_run)
{
    struct mf_record record = {.kind = MF_RECORD_HOOKS, .number = are_to_run};

    mf_server_post(server, &record, NULL, 0);
    /* A call may be next, which may take long, too, but is not to be taken for a hook. */
    (void)mf_outbox_turn(&server->outbox);
}

void mf_server_decline(struct mf_transport *transport, uint32_t scheduler, const char *why)
{
    struct mf_record bye = {.kind = MF_RECORD_BYE};
    struct mf_buffer frame = {0}, body = {0};

    mf_buffer_put_text(&body, why);
    mf_record_put(&frame, &bye, body.data, body.size);
    /* Without memory, or without the scheduler, there is nobody to tell. */
    (void)mf_transport_send(transport, scheduler, &frame);
    mf_buffer_finish(&body);
    mf_buffer_finish(&frame);
}

/* --- what the caller tells --- */

static void post_result(struct mf_server *server, const struct mf_caller_event *event)
{
    struct mf_record record = {
        .kind = MF_RECORD_RESULT,
        .flags = event->is_last ? MF_RECORD_IS_LAST : 0,
        .number = event->n_calls,
        .unit = event->unit,
        .attempt = event->attempt,
    };
    struct mf_unit_times times = {.duration_ns = event->duration_ns, .idle_ns = event->idle_ns};
    struct mf_buffer *frame =
        mf_outbox_make_room(&server->outbox, sizeof(record) + sizeof(times) + event->size);
    size_t offset = mf_record_begin(frame, &record);

    mf_buffer_append(frame, &times, sizeof(times));
    mf_buffer_append(frame, event->entries, event->size);
    mf_record_end(frame, offset);
}

static void post_large(struct mf_server *server, const struct mf_caller_event *event)
{
    int r = mf_outbox_post_large(&server->outbox, event->task, false, event->data, event->size,
                                 free, event->data);

    if (r < 0) {
        free(event->data);
        mf_server_report_broken(server, strerror(-r));
    }
}

/* What was gathered goes out, and what may. */
static int send_all(struct mf_server *server)
{
    mf_server_send_saved(server);
    return mf_outbox_turn(&server->outbox);
}

/* A checkpoint does not wait for the end of the function that saved it. */
static void on_checkpoint(struct mf_server *server, const struct mf_caller_event *event)
{
    mf_server_save(server, event);
    /* It also lets go of what was sent before. */
    if (server->is_turning)
        mf_server_poll(server);
    else
        (void)send_all(server);
}

static void heard(void *arg, const struct mf_caller_event *event)
{
    struct mf_server *server = arg;
    struct mf_record returned = {
        .kind = MF_RECORD_RETURNED, .unit = event->unit, .attempt = event->attempt};

    switch (event->kind) {
    case MF_CALLER_ENTRIES:
        mf_server_settle_saved(server, event);
        post_result(server, event);
        break;
    case MF_CALLER_LARGE:
        post_large(server, event);
        break;
    case MF_CALLER_CHECKPOINT:
        on_checkpoint(server, event);
        break;
    case MF_CALLER_YIELDED:
        /* Nobody here asks for that: the library's policies take no slots. */
        break;
    case MF_CALLER_RETURNED:
        mf_server_settle_saved(server, event);
        mf_server_post(server, &returned, NULL, 0);
        break;
    case MF_CALLER_BROKEN:
        mf_server_report_broken(server, event->error->text);
        break;
    }
}

static int take_large(void *arg, uint64_t task, uint8_t **ret_data, size_t *ret_size)
{
    struct mf_server *server = arg;

    return mf_inbox_take(server->inbox, task, false, ret_data, ret_size);
}

struct mf_caller_config mf_server_caller_config(struct mf_server *server)
{
    return (struct mf_caller_config){
        .is_patient = true, .heard = heard, .take_large = take_large, .arg = server};
}

/* --- the turn --- */

static bool has_calls(const struct mf_server *server)
{
    return server->caller && server->caller->ops->is_busy(server->caller);
}

/* Takes in all that is there; but a rank without calls begins with the first that come. */
static int receive(struct mf_server *server)
{
    bool had_calls = has_calls(server);
    const struct mf_buffer *frame;
    uint32_t from;
    int had_traffic = 0;

    while (had_calls || !has_calls(server)) {
        int r = mf_transport_receive(server->transport, &from, &frame);

        if (r == 0)
            break;
        if (r > 0 && server->sentry)
            mf_sentry_heard(server->sentry, 0);
        if (r > 0)
            r = mf_server_handle(server, frame);
        if (r < 0)
            return r;
        had_traffic = 1;
    }
    return had_traffic;
}

/* The scheduler hears of it, and gives the tasks to others. */
static int fail(struct mf_server *server, int error)
{
    struct mf_error err = {0};

    mf_error_set(&err, 0, "rank %u gave up at a message of rank 0: %s", server->rank,
                 strerror(-error));
    mf_server_report_broken(server, err.text);
    (void)mf_outbox_turn(&server->outbox);
    return error;
}

static int run(struct mf_server *server, int64_t now_ns)
{
    int r;

    if (!server->is_welcome || server->is_broken || server->is_stopping)
        return 0;
    /* More results than the scheduler takes would fill the memory. A function that saves need not
     * wait for it. */
    if (mf_outbox_n_waiting(&server->outbox) > server->is_saving) {
        server->caller->ops->keep_time(server->caller, now_ns);
        return 0;
    }
    server->is_turning = true;
    r = server->caller->ops->turn(server->caller, now_ns);
    server->is_turning = false;
    return r;
}

/*
 * What was handed to the transport may need this process to move it, which a hook does not do.
 * The scheduler waits for it; if it does not, it may be dead.
 */
static void push_out(struct mf_server *server)
{
    const struct timespec nap = {.tv_nsec = 100 * MF_NS_PER_US};
    int64_t end_ns = mf_clock_monotonic_ns() + PUSH_NS;

    while (mf_transport_unsent(server->transport, server->scheduler) > 0 &&
           mf_clock_monotonic_ns() < end_ns) {
        int r = receive(server);

        if (r < 0)
            return;
        if (r == 0)
            nanosleep(&nap, NULL);
    }
}

/* No call runs any more. What nobody waits for now is forgotten. */
static void leave(struct mf_server *server)
{
    struct mf_record bye = {.kind = MF_RECORD_BYE};

    mf_server_forget_saved(server);
    mf_outbox_finish(&server->outbox);
    mf_outbox_init(&server->outbox, server->transport, server->scheduler);
    mf_server_say_hooks(server, true);
    /* A scheduler in this process is not going to listen before this one comes back. */
    if (server->sentry)
        push_out(server);
    mf_caller_destroy(server->caller);
    server->caller = NULL;
    mf_shelf_finish(&server->shelf);
    mf_server_forget_saved(server);
    mf_server_post(server, &bye, NULL, 0);
    server->has_left = true;
}

/* There is nobody to report to: what runs is ended. */
static void on_scheduler_lost(struct mf_server *server)
{
    server->is_orphan = true;
    mf_caller_destroy(server->caller);
    server->caller = NULL;
    mf_shelf_finish(&server->shelf);
}

static void look_for_scheduler(struct mf_server *server, int64_t now_ns)
{
    enum mf_passing passing;
    uint32_t peer;

    if (!server->sentry || mf_server_is_finished(server) ||
        !mf_sentry_is_due(server->sentry, now_ns))
        return;
    mf_sentry_look(server->sentry, now_ns);
    if (!mf_sentry_next(server->sentry, &peer, &passing))
        return;
    /* Its last word may have come since this process has looked. */
    (void)receive(server);
    if (!server->is_stopping || !(server->is_over || server->has_losses))
        on_scheduler_lost(server);
}

int mf_server_turn(struct mf_server *server, int64_t now_ns)
{
    int had_traffic = server->poll_error < 0 ? server->poll_error : receive(server);
    int r;

    server->poll_error = 0;
    look_for_scheduler(server, now_ns);
    if (server->is_orphan)
        return -EOWNERDEAD;
    if (had_traffic < 0)
        return fail(server, had_traffic);
    had_traffic |= run(server, now_ns);
    if (server->is_stopping && !server->has_left)
        leave(server);
    r = send_all(server);
    return r < 0 ? r : had_traffic | r;
}

void mf_server_poll(void *arg)
{
    struct mf_server *server = arg;
    int r = server->poll_error < 0 ? 0 : receive(server);

    if (r < 0)
        server->poll_error = r;
    (void)send_all(server);
}

bool mf_server_is_busy(const struct mf_server *server)
{
    return !mf_outbox_is_empty(&server->outbox) || has_calls(server);
}

int64_t mf_server_next_ns(const struct mf_server *server)
{
    return server->caller ? server->caller->ops->next_ns(server->caller) : INT64_MAX;
}

struct mf_sharing mf_server_sharing(const struct mf_server *server)
{
    return server->sharing;
}

bool mf_server_is_finished(const struct mf_server *server)
{
    return server->is_orphan || (server->has_left && (server->is_over || server->has_losses));
}

bool mf_server_has_left(const struct mf_server *server)
{
    return server->has_left || server->is_orphan;
}

bool mf_server_has_losses(const struct mf_server *server)
{
    return server->has_losses || server->is_orphan;
}

int mf_server_stop_reason(const struct mf_server *server, const char **ret_why)
{
    *ret_why = server->stop_reason.text;
    return server->stop_code;
}

/* --- life --- */

int mf_server_create(const struct mf_server_config *config, struct mf_server **ret_server)
{
    struct mf_server *server = calloc(1, sizeof(*server));
    int r;

    if (!server)
        return -ENOMEM;
    server->transport = config->transport;
    server->scheduler = config->scheduler;
    server->rank = config->rank;
    server->functions = config->functions;
    mf_shelf_init(&server->shelf);
    mf_list_init(&server->saved);
    mf_outbox_init(&server->outbox, config->transport, config->scheduler);
    r = mf_inbox_create(&server->inbox);
    if (r == 0 && config->watches)
        r = mf_sentry_create(NULL, 1, SCHEDULER_SILENCE_NS, MF_SENTRY_ANSWERING, &server->sentry);
    if (r == 0) {
        say_hello(server, config);
        r = mf_outbox_turn(&server->outbox);
    }
    if (r < 0) {
        mf_server_destroy(server);
        return r;
    }
    *ret_server = server;
    return 0;
}

void mf_server_set_caller(struct mf_server *server, struct mf_caller *caller)
{
    server->caller = caller;
}

void mf_server_destroy(struct mf_server *server)
{
    if (!server)
        return;
    mf_caller_destroy(server->caller);
    mf_shelf_finish(&server->shelf);
    mf_server_forget_saved(server);
    mf_outbox_finish(&server->outbox);
    mf_inbox_destroy(server->inbox);
    mf_sentry_destroy(server->sentry);
    free(server);
}
