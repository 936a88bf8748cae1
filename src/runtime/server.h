/*
 * A worker of function tasks: the part of a rank that serves the client.
 *
 * It takes units from the scheduler, gives them to its caller, and reports what
 * became of the calls. Owned and driven by one thread; never blocks, but in the
 * functions that an inline caller runs.
 */
#ifndef MF_RUNTIME_SERVER_H
#define MF_RUNTIME_SERVER_H

#include "base/error.h"
#include "base/life.h"
#include "exec/caller.h"
#include "runtime/node.h"
#include "topo/topo.h"
#include "transport/transport.h"

#include <stdbool.h>
#include <stdint.h>

struct mf_server;

/**
 * @transport   to the scheduler (borrowed)
 * @scheduler   number of the scheduler's end
 * @rank        this rank
 * @functions   registered here (borrowed, outlive the server)
 * @cores, @n_cores   what HELLO says of this rank (borrowed during create)
 * @life        of this process (borrowed during create)
 * @watches     whether the scheduler is another process, which may end
 */
struct mf_server_config {
    struct mf_transport *transport;
    uint32_t scheduler;
    uint32_t rank;
    const struct mf_functions *functions;
    const struct mf_core *cores;
    uint32_t n_cores;
    const struct mf_life *life;
    bool watches;
};

/** Makes a server and says HELLO. Returns 0 or -errno; the caller destroys it. */
int mf_server_create(const struct mf_server_config *config, struct mf_server **ret_server);

/** Gives the server its caller (taken). Before any turn. */
void mf_server_set_caller(struct mf_server *server, struct mf_caller *caller);

/** What a caller of this server is created with; arg is the server. */
struct mf_caller_config mf_server_caller_config(struct mf_server *server);

/** The poll of an inline caller; arg is the server: takes in what came, without running anything.
 */
void mf_server_poll(void *arg);

/** Frees; NULL is accepted. */
void mf_server_destroy(struct mf_server *server);

/**
 * mf_server_turn() - receive, run, report.
 *
 * Returns 1 when there was traffic or something ran, 0 when there was nothing,
 * or -errno when the transport failed or the scheduler sent what cannot be.
 * The scheduler is then told that this rank is broken; turned on, the server
 * waits to be told to stop, as it does when its caller broke.
 */
int mf_server_turn(struct mf_server *server, int64_t now_ns);

/** Whether calls are there that were not reported: turn again at once. */
bool mf_server_is_busy(const struct mf_server *server);

/** When it wants its next turn even if nothing happens; INT64_MAX for never. */
int64_t mf_server_next_ns(const struct mf_server *server);

/** Of its node; zeros before WELCOME. */
struct mf_sharing mf_server_sharing(const struct mf_server *server);

/**
 * Whether it was told to stop, has said BYE and knows what has become of the other ranks; or has
 * ended its calls without a scheduler.
 */
bool mf_server_is_finished(const struct mf_server *server);

/** Whether it has said BYE, or has nobody to say it to. */
bool mf_server_has_left(const struct mf_server *server);

/** After the end: whether ranks were lost, so that none should wait for all the others. */
bool mf_server_has_losses(const struct mf_server *server);

/** Whether it was told to stop in order: 0; or -errno, with a sentence in *ret_why (borrowed). */
int mf_server_stop_reason(const struct mf_server *server, const char **ret_why);

/**
 * mf_server_decline() - tell the scheduler that it waits for this rank in vain: no server is made
 * here, or it ends without having been told to.
 *
 * @why  "it ..."
 */
void mf_server_decline(struct mf_transport *transport, uint32_t scheduler, const char *why);

#endif
