/* How much memory process groups use. No state. */
#ifndef MF_EXEC_MEMORY_H
#define MF_EXEC_MEMORY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/**
 * A process group.
 *
 * @limit_bytes  for the caller
 * @used_bytes   out: what its processes use together
 */
struct mf_group_use {
    pid_t group;
    uint64_t limit_bytes;
    uint64_t used_bytes;
};

/** Comparison for qsort(): by group. */
int mf_group_use_compare(const void *a, const void *b);

/**
 * mf_memory_measure() - look at the processes of some groups.
 *
 * @proc      "/proc"
 * @uses      n_uses in ascending order of group, no one twice
 * @is_exact  false sums up what each process has resident, which counts a page
 *            once for each process that has it: never too little, and cheap; true
 *            shares such pages out (the Pss of smaps_rollup), where that may be
 *            read, and walks the page tables of the processes
 *
 * One pass over the processes of the node. Returns 0, or -errno when there is no
 * such directory.
 */
int mf_memory_measure(const char *proc, struct mf_group_use *uses, uint32_t n_uses, bool is_exact);

#endif
