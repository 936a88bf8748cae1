/* The processes below one: to signal those that left its group, and to pin all. No state. */
#ifndef MF_EXEC_PROCESS_TREE_H
#define MF_EXEC_PROCESS_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/** A process, and the one that it was found under: 0 for the root. */
struct mf_process {
    pid_t pid, parent;
};

/**
 * mf_process_tree_list() - a process and all its descendants.
 *
 * Through /proc/PID/task/TID/children, so only those whose parents live: an
 * orphan is not found. Where the kernel does not have that, only the process
 * itself is.
 *
 * @ret_processes  a heap block, the caller's to free
 *
 * Returns how many, at least 1, or -ENOMEM. Four system calls for each process of one thread; for
 * others some more, and three for each thread.
 */
int mf_process_tree_list(pid_t root, struct mf_process **ret_processes);

/** Whether the process of that number is still the child it was, rather than another one. */
bool mf_process_is_child(const struct mf_process *process);

/**
 * mf_process_tree_pin() - move a process and its descendants to other processors.
 *
 * Threads that are not on `from` have chosen their own, and stay there.
 *
 * @from, @to  masks of cpu_bytes
 */
void mf_process_tree_pin(pid_t root, const void *from, const void *to, size_t cpu_bytes);

#endif
