/*
 * The control channel: a Unix socket in the run directory, by which the user
 * who runs a farm can ask things of it from any shell on the scheduler's node.
 *
 * The farm's end lives in its loop and never waits for anybody: whoever
 * connects and says nothing holds one of a few places for a few seconds. Only
 * the user of the farm is answered, whatever the directory's rights say.
 */
#ifndef MF_CONTROL_CONTROL_H
#define MF_CONTROL_CONTROL_H

#include "base/error.h"
#include "base/loop.h"
#include "control/request.h"

#include <stdint.h>

/** The socket's name in the run directory. */
#define MF_CONTROL_SOCKET "control"

struct mf_control;

/**
 * Carries out a request (borrowed) and fills in the reply, which is a failure before. Returns
 * whether it did: else the answer is to follow by mf_control_answer() with this ticket.
 */
typedef bool (*mf_control_fn)(void *arg, uint64_t ticket, const struct mf_control_request *request,
                              struct mf_control_reply *reply);

/**
 * mf_control_create() - listen in a run directory.
 *
 * A socket that an earlier farm left there is replaced: whoever has the lock of
 * the run directory may do so, and nobody else should call this.
 *
 * Returns 0, or -errno with a sentence: not every file system can hold a socket.
 */
int mf_control_create(const char *run_dir, struct mf_loop *loop, mf_control_fn fn, void *arg,
                      struct mf_control **ret_control, struct mf_error *err);

/** Removes the socket, unless another farm has replaced it, and hangs up; NULL is accepted. */
void mf_control_destroy(struct mf_control *control);

/** Answers a request that was not at once. Who has hung up meanwhile gets no answer. */
void mf_control_answer(struct mf_control *control, uint64_t ticket,
                       const struct mf_control_reply *reply);

/**
 * mf_control_is_awaited() - whether who asked still waits for the answer.
 *
 * To be looked at right before what was asked for is done, where that is some turns later: nobody
 * who has given up is to find it done.
 */
bool mf_control_is_awaited(struct mf_control *control, uint64_t ticket);

/** Hangs up on those who were silent for too long, and tells those who wait that they are not
 * forgotten. */
void mf_control_keep_time(struct mf_control *control, int64_t now_ns);

/** When that is due next; INT64_MAX for never. */
int64_t mf_control_next_ns(const struct mf_control *control);

/**
 * mf_control_ask() - ask something of the farm of a run directory, and wait for the answer.
 *
 * For any process but the farm's own. Waits for as long as the farm says that it is at it, and for
 * timeout_ns at the most for each such word.
 *
 * Returns 0 with the reply, or -errno with a sentence: -ENOENT there is no
 * such directory, -ECONNREFUSED no farm listens there, -EACCES the directory or the farm is
 * somebody else's, -ETIMEDOUT it does not answer; of all these nothing is done. What it had begun
 * may be done after -ECONNRESET, when it went away, and -EINPROGRESS, when it fell silent.
 */
int mf_control_ask(const char *run_dir, const struct mf_control_request *request,
                   int64_t timeout_ns, struct mf_control_reply *ret_reply, struct mf_error *err);

#endif
