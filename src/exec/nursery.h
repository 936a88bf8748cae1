/*
 * What a rank and its nursery say to each other, as bodies of the frames of channel.h.
 *
 * The nursery is the process that executor processes are forked from: it was
 * forked itself before MPI_Init and has one thread, so that its children are
 * whole copies of the program, with its functions at the same addresses.
 * Pointers travel as they stand.
 *
 *   to the nursery
 *     HOOKS     u32 rank, u64 init, u64 finish, u64 user, u64 farm
 *     FUNCTION  u64 call, u64 user, text name; the next of the registry
 *     FORK      u32 seat, u32 life, u32 n, n * u32 cpu; descriptors: memory, bell
 *     KILL      u32 seat, u32 life; one that has ended is left alone
 *     PIN       u32 seat, u32 life, twice u32 n, n * u32 cpu: from these to those
 *   to the rank
 *     FORKED    u32 seat, u32 life, u32 pid
 *     DIED      u32 seat, u32 life, u32 status as of wait()
 *     UNBORN    u32 seat, u32 life, u32 errno of fork()
 *
 * A launcher that is killed is replaced (keeper.h), and a nursery is not: its rank is
 * lost. Another one could be forked by a process that was kept from before MPI_Init,
 * but not by executing the program, whose functions would be at other addresses; and
 * it would know nothing of the functions and calls that this one was told of.
 *
 * A seat has one process at a time; life counts them. There are more seats than
 * slots when calls have yielded.
 */
#ifndef MF_EXEC_NURSERY_H
#define MF_EXEC_NURSERY_H

#include <sys/types.h>

enum mf_nursery_frame {
    MF_NURSERY_HOOKS = 1,
    MF_NURSERY_FUNCTION,
    MF_NURSERY_FORK,
    MF_NURSERY_KILL,
    MF_NURSERY_PIN,
    MF_NURSERY_FORKED,
    MF_NURSERY_DIED,
    MF_NURSERY_UNBORN,
};

/**
 * mf_nursery_main() - be the nursery until the rank is gone.
 *
 * Called in a process that was just forked and has one thread.
 *
 * @fd        its end of the socket; every other descriptor but standard output and error is closed
 * @rank_pid  of the process it was forked from
 */
_Noreturn void mf_nursery_main(int fd, pid_t rank_pid);

#endif
