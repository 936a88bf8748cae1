/*
 * The socket between a rank and its keeper (see keeper.h), over which the rank
 * asks for another process in place of one that died, and is handed its end of
 * a new channel to that.
 *
 *   to the keeper
 *     '?'    what is below the keeper is gone: begin again
 *     '.'    it is over; without that, the end of the rank's end is that of the rank
 *   to the rank
 *     struct mf_offer, with the rank's end of the new channel
 *
 * Both the keeper and the process that it keeps hold the other end, so its end
 * says that neither is left. One thread on each side.
 */
#ifndef MF_EXEC_LIFELINE_H
#define MF_EXEC_LIFELINE_H

#include <sys/types.h>

/**
 * Another process is there, and nothing is left of what was below its predecessor.
 *
 * @keeper  that made it: another one than before if the keeper itself had died
 * @status  how the process before it ended, as of wait(); 0 if the keeper did
 */
struct mf_offer {
    pid_t keeper;
    int status;
};

/** Makes the two ends, for the rank and for the keeper, both nonblocking. Returns 0 or -errno. */
int mf_lifeline_create(int ret_fds[2]);

/** Rank: asks for another process. Returns 0, or -errno when nobody is there to make it. */
int mf_lifeline_ask(int fd);

/**
 * mf_lifeline_take() - Rank: what came of that.
 *
 * Returns 1 with the offer and the descriptor, the caller's; 0 when nothing has come yet; -EPIPE
 * when neither the keeper nor what it keeps is left; or another -errno.
 */
int mf_lifeline_take(int fd, struct mf_offer *ret_offer, int *ret_channel_fd);

/** Rank: says that it wants no other process, and closes its end. */
void mf_lifeline_close(int *fd);

/** What mf_lifeline_hear() has heard. */
enum { MF_LIFELINE_NOTHING, MF_LIFELINE_ASKED, MF_LIFELINE_OVER };

/** Keeper: takes in what was said. Returns one of these, or -EPIPE when the rank's end is closed.
 */
int mf_lifeline_hear(int fd);

/** Keeper: hands over the rank's end of a channel, which is taken. Returns 0 or -errno. */
int mf_lifeline_offer(int fd, const struct mf_offer *offer, int channel_fd);

#endif
