/*
 * Which process it is, among all of all nodes, and seeing it end.
 *
 * A process number means something on its own node and in its own namespace
 * only, and is given to others later: so a life is told apart by the boot of
 * the node, the namespace, the number and the time at which it began.
 */
#ifndef MF_BASE_LIFE_H
#define MF_BASE_LIFE_H

#include "base/buffer.h"
#include "base/knock.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/**
 * @boot           identity of the node since it was booted; "" when it is not known
 * @pid_namespace  inode of the namespace that pid counts in
 * @started        when it began, in clock ticks since the boot
 * @door           where others can ask for it
 */
struct mf_life {
    char boot[40];
    uint64_t pid_namespace;
    uint64_t started;
    int32_t pid;
    struct mf_door door;
};

/** Fills in the life of this process, which has no door. */
void mf_life_own(struct mf_life *ret_life);

void mf_life_encode(const struct mf_life *life, struct mf_buffer *buffer);

/** What is no life makes the reader fail. */
void mf_life_decode(struct mf_reader *reader, struct mf_life *ret_life);

/**
 * mf_life_open() - get a descriptor that becomes readable when the process has ended.
 *
 * Returns 1 with the descriptor, the caller's to close; 0 when the process is of another node or
 * namespace, or nothing can be known of it; -ESRCH when it has ended already.
 */
int mf_life_open(const struct mf_life *life, int *ret_fd);

/** Whether the process is known to have ended; false where mf_life_open() gives 0. */
bool mf_life_has_ended(const struct mf_life *life);

#endif
