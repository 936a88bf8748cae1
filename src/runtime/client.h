/*
 * The scheduler of function tasks: rank 0 of a program on the library.
 *
 * It keeps the book of tasks, gathers those that are ready into units, lets the
 * farm place them, sends them to the servers, and settles what these report.
 * Everything happens in turns, which the client program drives through the
 * calls that wait or progress. One thread; never blocks.
 */
#ifndef MF_RUNTIME_CLIENT_H
#define MF_RUNTIME_CLIENT_H

#include "base/error.h"
#include "base/life.h"
#include "base/log.h"
#include "core/range.h"
#include "exec/calls.h"
#include "runtime/node.h"
#include "topo/topo.h"
#include "transport/transport.h"

#include <stdbool.h>
#include <stdint.h>

struct mf_client;

/**
 * How long a function gets to return when the farm ends, or any other step of a server that is not
 * a hook.
 */
#define MF_CLIENT_LEAVE_NS (5 * MF_NS_PER_S)

/**
 * How to run a client. All pointers are borrowed and outlive it.
 *
 * @log            warnings
 * @local          to a server in this process, when there is no other rank; else NULL
 * @remote         to the servers of the other ranks; NULL when there are none
 * @functions      registered here
 * @max_attempts   of tasks that do not say, at least 1
 * @is_isolated    servers run calls in executor processes
 * @n_executors    of each rank then, 0 for its share of the cores
 * @cores, @n_cores   that this rank may use
 */
struct mf_client_config {
    const struct mf_log *log;
    struct mf_transport *local;
    struct mf_transport *remote;
    const struct mf_functions *functions;
    uint32_t max_attempts;
    bool is_isolated;
    uint32_t n_executors;
    const struct mf_core *cores;
    uint32_t n_cores;
};

/** Returns 0 or -ENOMEM. */
int mf_client_create(const struct mf_client_config *config, struct mf_client **ret_client);

/** Frees; NULL is accepted. */
void mf_client_destroy(struct mf_client *client);

/**
 * mf_client_turn() - receive, settle, place, send.
 *
 * Returns 1 when there was traffic, else 0. What went wrong with a server is
 * logged, and its tasks go elsewhere.
 */
int mf_client_turn(struct mf_client *client, int64_t now_ns);

/** Of the node of this rank, once the client is ready: itself, and the servers there. */
struct mf_sharing mf_client_sharing(const struct mf_client *client);

/**
 * mf_client_supply_ahead() - how far ahead servers are supplied with short calls, so that this rank
 * can sleep; 0, as at the beginning, for no further than keeps them busy while it looks for
 * messages.
 */
void mf_client_supply_ahead(struct mf_client *client, int64_t ahead_ns);

/** When it wants its next turn even if nothing comes; INT64_MAX for never. */
int64_t mf_client_next_ns(const struct mf_client *client);

/**
 * mf_client_leisure_ns() - how long this rank may sleep although servers are at work.
 *
 * As long as they run through a part of what was sent ahead: at most 1 ms, and 0 where they are not
 * supplied far ahead, or not as far by now. An estimate.
 */
int64_t mf_client_leisure_ns(const struct mf_client *client);

/**
 * mf_client_is_ready() - whether all servers are there and work.
 *
 * Returns 1 when they are, 0 while some are awaited, or -EPROTO, -ECANCELED or
 * -ETIMEDOUT with a sentence when the farm cannot begin.
 */
int mf_client_is_ready(struct mf_client *client, int64_t now_ns, struct mf_error *err);

/**
 * mf_client_announce() - let the other ranks know which process their scheduler is going to be.
 *
 * They wait for it, and have to know when there is nothing to wait for. Returns 0 or -errno.
 *
 * @life  of this process
 */
int mf_client_announce(struct mf_transport *remote, const struct mf_life *life);

/** Whether a server is gone or cannot be told of the end: none should wait for the others then. */
bool mf_client_has_losses(const struct mf_client *client);

/**
 * mf_client_stop() - tell every server to stop.
 *
 * @code, @why  0 and "" in order, else -errno and a sentence for the program there
 */
void mf_client_stop(struct mf_client *client, int64_t now_ns, int code, const char *why);

/**
 * mf_client_dismiss_all() - the same where no client has come to be: the other ranks wait for one.
 *
 * @code, @why   as for mf_client_stop()
 * @log          says which rank cannot be told
 */
void mf_client_dismiss_all(struct mf_transport *remote, int code, const char *why,
                           const struct mf_log *log);

/** Whether every server has left. */
bool mf_client_is_stopped(const struct mf_client *client);

/**
 * mf_client_end() - then: tells them so, and whether ranks were lost.
 *
 * Until they know they do not end: hooks of others still ran, and in MPI_Finalize() they would wait
 * for a rank that dies there, perhaps for ever.
 */
void mf_client_end(struct mf_client *client);

/**
 * mf_client_is_overdue() - after a stop, whether some server has let MF_CLIENT_LEAVE_NS pass.
 *
 * One that has said that its hooks run may take as long as these do; when init hooks have ended,
 * its time begins anew.
 */
bool mf_client_is_overdue(const struct mf_client *client, int64_t now_ns);

/** Of the first of those that it is overdue: which rank, in which function. Returns text. */
char *mf_client_describe_overdue(const struct mf_client *client, int64_t now_ns, char *text,
                                 size_t size);

/** Whether a server works on that rank; with rank 0, on any. */
bool mf_client_has_worker(const struct mf_client *client, uint32_t rank);

/**
 * mf_client_submit() - a new task, as mf_book_add() has it.
 *
 * Returns 0 with its ticket; -EHOSTUNREACH if no server is left or its rank is
 * none; -ESTALE or -ENOMEM.
 */
int mf_client_submit(struct mf_client *client, const struct mf_order *order, mf_ticket *ret_ticket);

/** The same for n tasks, as mf_book_add_array() has it. */
int mf_client_submit_array(struct mf_client *client, const struct mf_order *first, size_t n,
                           mf_ticket *ret_tickets, size_t *ret_n);

/** The same for n tasks, at least 1, as mf_book_add_range() has it. */
int mf_client_submit_range(struct mf_client *client, const struct mf_order *first, uint64_t n,
                           const struct mf_range_results *results, mf_ticket *ret_ticket);

/** Withdraws an unfinished task, wherever it is; or what is left of a range but its detached tasks.
 */
void mf_client_cancel(struct mf_client *client, mf_ticket ticket);

/** Withdraws what is left of a range, if anything is: what it borrowed is not needed any more.
 * O(tasks). */
void mf_client_cancel_range(struct mf_client *client, mf_ticket ticket);

/** The tasks, for all that only reads, hears or releases. */
struct mf_book *mf_client_book(const struct mf_client *client);

/** Calls that all servers together run at once. */
uint32_t mf_client_n_slots(const struct mf_client *client);

/** Servers that work, the calls they run at once, stale reports, and time spent in functions. */
struct mf_client_counts {
    uint32_t n_workers;
    uint32_t n_slots;
    uint64_t n_stale;
    int64_t busy_ns;
};

void mf_client_count(const struct mf_client *client, struct mf_client_counts *ret_counts);

/**
 * mf_client_broadcast() - begin to give every node a block.
 *
 * @data  size bytes, borrowed until mf_client_is_stored() says 1 or fails
 */
int mf_client_broadcast(struct mf_client *client, const void *data, size_t size,
                        uint32_t *ret_block);

/** Returns 1 when the block is everywhere, 0 while it is on its way, -errno if some server cannot.
 */
int mf_client_is_stored(struct mf_client *client, uint32_t block);

/** Drops a block. Returns 0 or -ENOENT. */
int mf_client_drop_block(struct mf_client *client, uint32_t block);

#endif
