/*
 * A keeper: a process that stands between a rank and what runs the tasks of
 * that, ends what is left behind when that dies, and then makes another one. It
 * also answers for the rank, which may be too busy.
 *
 *     rank > keeper > the process that it keeps > tasks
 *
 * The rank itself can fork nothing once MPI_Init has been called. The keeper
 * was forked before that, has one thread and has run none of the program's code
 * since, so it can fork at any time. The process that it keeps is a fork of it,
 * and as clean: when the keeper is killed that one ends everything below it
 * and becomes the keeper, of a process that it forks in its place. So of the
 * two one is always left to make the other, and both deaths are one to the
 * rank: its channel ends, it asks for another one over the lifeline, and gets
 * it once nothing of before is left. Neither a spare process, nor executing the
 * program once more, which a library cannot, would be simpler.
 *
 * A program on the library has no launcher. Its keeper keeps a process that
 * does nothing but wait to take its place.
 *
 * Where both are killed at a time nobody is left to fork: the rank hears that
 * from the end of the lifeline, and kills what came to it.
 */
#ifndef MF_EXEC_KEEPER_H
#define MF_EXEC_KEEPER_H

#include "base/knock.h"

#include <signal.h>
#include <sys/types.h>

/** The kernel says with this one that the keeper is gone. */
#define MF_KEEPER_GONE SIGHUP

/**
 * @served       the rank, whose child the keeper is
 * @scratch      directory of files that is removed in the end, NULL for none
 * @door, @door_fd   of the rank, with its socket; NULL for none
 * @lifeline_fd  the keeper's end
 * @run          what the kept process is: serves the rank, whose other end of channel_fd (taken)
 *               tells when that has ended, and exits. Returns only when its parent is another
 *               one than `keeper`, which it is told by MF_KEEPER_GONE; then nothing is left below
 *               it, and its channel is closed. It leads a process group, and is a subreaper
 */
struct mf_keeper_config {
    pid_t served;
    const char *scratch;
    const struct mf_door *door;
    int door_fd;
    int lifeline_fd;
    void (*run)(void *arg, int channel_fd, pid_t keeper);
    void *arg;
};

/**
 * mf_keeper_main() - be the keeper of a process that runs config->run().
 *
 * Called in a process that the rank has just forked, and that has one thread. All descriptors but
 * those named here and standard error are closed. Ends when the kept process has ended and the
 * rank wants no other, in the same way as that.
 */
_Noreturn void mf_keeper_main(const struct mf_keeper_config *config, int channel_fd);

/**
 * mf_keeper_reap() - the rank, which wants nothing more of its keeper: wait for the end of that.
 *
 * One that was stopped is let go on, and one that does not end within five seconds is killed.
 *
 * Returns 0 when it has ended, 1 when it had to be killed and may have left processes behind, or
 * -errno.
 */
int mf_keeper_reap(pid_t pid, int *ret_status);

/** A keeper that has nobody below it, and only answers; {0} is none. Its fields are its own. */
struct mf_keeper {
    pid_t pid;
    int lifeline_fd;
};

/**
 * mf_keeper_fork() - start such a keeper.
 *
 * It keeps a process that waits to take its place. Before MPI_Init and any thread. It ends after
 * this process does, or when it is stopped.
 *
 * Returns 0 or -errno.
 */
int mf_keeper_fork(const struct mf_door *door, int door_fd, struct mf_keeper *ret_keeper);

/** Ends the keeper, or whoever has taken its place. {0} is accepted. */
void mf_keeper_stop(struct mf_keeper *keeper);

#endif
