/*
 * Whether a process that was killed was probably killed for want of memory: by what the kernel has
 * counted, and by how much the process had used. No state but the caller's.
 */
#ifndef MF_EXEC_OUT_OF_MEMORY_H
#define MF_EXEC_OUT_OF_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Processes that the kernel had killed for want of memory when it was looked last. */
struct mf_out_of_memory {
    uint64_t n_killed;
};

/** Begins to watch. @root is put in front of all paths: "" outside of tests. */
void mf_out_of_memory_begin(struct mf_out_of_memory *watch, const char *root);

/**
 * mf_out_of_memory_explain() - say so of an attempt that was killed.
 *
 * "peak memory 63.9 GiB of 64.0 GiB: probably out of memory", where the second number is the least
 * of what the machine has and what the cgroup may use. It is probable if the kernel has killed for
 * memory since it was looked last, or if the peak is near that number.
 *
 * Returns whether it is, else text is as it was.
 */
bool mf_out_of_memory_explain(struct mf_out_of_memory *watch, const char *root, uint64_t peak_bytes,
                              char *text, size_t size);

#endif
