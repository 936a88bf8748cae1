/*
 * The user's standard output and error, for the rank with the scheduler.
 *
 * Below srun or mpirun they would be pipes to those, which take in what they may never hand on, and
 * keep it to themselves when the disk is full or the reader gone. So the supervisor hands its own
 * to that rank, where both are on the same node: what that says was written was written. On another
 * node the pipes remain, and the relay.
 *
 * The socket for that has no file: its name, in the kernel, is made of the path of the record of
 * the end, which differs from start to start.
 */
#ifndef MF_CLI_STREAMS_H
#define MF_CLI_STREAMS_H

/**
 * mf_streams_offer() - the supervisor, before it starts ranks: listen for the one that asks.
 *
 * @ending  path of the record of the end
 *
 * Returns a descriptor, nonblocking and the caller's to close; or -errno, where ranks print by way
 * of what started them.
 */
int mf_streams_offer(const char *ending);

/** The supervisor, when somebody has come: hands them over, unless it is another user. */
void mf_streams_give(int fd);

/** The rank with the scheduler, before it prints: takes them, where somebody offers them. */
void mf_streams_take(void);

#endif
