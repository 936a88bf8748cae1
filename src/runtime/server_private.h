/*
 * The server's state, shared by the files it is made of:
 *
 *     server.c         life, the turn, what is said to the scheduler
 *     server_orders.c  what the scheduler says
 *     server_saved.c   checkpoints on their way
 */
#ifndef MF_RUNTIME_SERVER_PRIVATE_H
#define MF_RUNTIME_SERVER_PRIVATE_H

#include "runtime/outbox.h"
#include "runtime/sentry.h"
#include "runtime/server.h"
#include "runtime/shelf.h"

/**
 * @is_welcome    the caller was begun
 * @is_broken     the scheduler was told that nothing runs here: only STOP, END and LIFE count
 * @is_turning    inside of the caller's turn
 * @is_stopping   STOP came
 * @stop_code, @stop_reason   what it said: 0 in order, or -errno with a sentence
 * @sentry        watches the scheduler, as its only peer; NULL when that is in this process
 * @has_left      BYE was said: only END counts
 * @is_over       END came
 * @has_losses    ranks were lost
 * @saved         checkpoints that were not sent, the last of each running call that has any
 * @is_saving     of what waits in the outbox, one is a checkpoint of a call that runs
 * @poll_error    what receiving inside of the caller's turn failed with, for the next turn
 */
struct mf_server {
    struct mf_transport *transport;
    uint32_t scheduler;
    uint32_t rank;
    const struct mf_functions *functions;
    struct mf_caller *caller;
    struct mf_outbox outbox;
    struct mf_inbox *inbox;
    struct mf_shelf shelf;
    struct mf_sharing sharing;
    struct mf_list saved;
    bool is_saving;
    bool is_welcome;
    bool is_broken;
    bool is_turning;
    bool is_stopping;
    bool has_left;
    bool is_over;
    bool is_orphan;
    bool has_losses;
    struct mf_sentry *sentry;
    int poll_error;
    int stop_code;
    struct mf_error stop_reason;
};

/* server.c */

/** Appends a record to what goes to the scheduler. */
void mf_server_post(struct mf_server *server, const struct mf_record *record, const void *body,
                    size_t size);

/** Tells the scheduler, once, that nothing runs here. */
void mf_server_report_broken(struct mf_server *server, const char *text);

/** Tells the scheduler, at once, that hooks are about to run, which may take as long as they like;
 * or that they have ended. */
void mf_server_say_hooks(struct mf_server *server, bool are_to_run);

/* server_saved.c */

/** Takes what a call has saved, in place of what it saved before if that was not sent. */
void mf_server_save(struct mf_server *server, const struct mf_caller_event *event);

/** Sends what was saved, as far as the scheduler takes what was sent before. */
void mf_server_send_saved(struct mf_server *server);

/** Before entries are told, or that there will be none: what the next call of the unit has saved is
 * sent if that has failed, and else forgotten. */
void mf_server_settle_saved(struct mf_server *server, const struct mf_caller_event *event);

/** Forgets all that was saved. */
void mf_server_forget_saved(struct mf_server *server);

/* server_orders.c */

/**
 * Does what a frame of the scheduler says; behind a STOP only what is said of the end counts.
 *
 * Returns 0; -EBADMSG or -EPROTO when the frame makes no sense; or what stopped it.
 */
int mf_server_handle(struct mf_server *server, const struct mf_buffer *frame);

#endif
