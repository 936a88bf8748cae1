/* A new process on its way from clone to exec, and the memory it borrows meanwhile. */
#ifndef MF_EXEC_BIRTH_H
#define MF_EXEC_BIRTH_H

#include "base/list.h"
#include "core/outcome.h"
#include "exec/environment.h"
#include "exec/protocol.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

/** What a new process was doing when it failed. */
enum mf_birth_step { MF_BIRTH_NONE, MF_BIRTH_PREPARE, MF_BIRTH_ENTER, MF_BIRTH_EXECUTE };

/**
 * The plan of one process. Whoever has the birth fills in all up to `parent`,
 * and leaves it alone until the process has let go of it.
 *
 * @node       in a list of the owner
 * @image      what to execute
 * @program    what to call it when that fails (borrowed)
 * @cwd        directory to enter, or NULL (borrowed)
 * @fds        writing ends of the pipes
 * @cpus       mask of cpu_bytes, NULL to leave the process unpinned (borrowed)
 * @own_cpus   room for such a mask
 * @files      limit of open files to restore (borrowed), or NULL
 * @parent     the launcher
 * @pid        of the process, once begun
 * @is_borrowed   cleared by the kernel when the process has let go of this memory
 * @failed, @error   written by the process: where it failed, and errno
 * @stack      of the process, with guard_bytes at its lower end that cannot be touched
 */
struct mf_birth {
    struct mf_list node;
    struct mf_image image;
    const char *program;
    const char *cwd;
    int fds[MF_N_STREAMS];
    const void *cpus;
    size_t cpu_bytes;
    uint8_t *own_cpus;
    const struct rlimit64 *files;
    pid_t parent;
    pid_t pid;
    pid_t is_borrowed;
    enum mf_birth_step failed;
    int error;
    uint8_t *stack;
    size_t guard_bytes;
};

/** Makes a birth with room for a mask of cpu_bytes. Returns 0 or -ENOMEM. */
int mf_birth_create(size_t cpu_bytes, struct mf_birth **ret_birth);

/** Frees a birth that is not borrowed. */
void mf_birth_destroy(struct mf_birth *birth);

/**
 * mf_birth_begin() - create the process.
 *
 * It is in a process group of its own when this returns. Whether it comes to
 * execute the program is not known yet: see mf_birth_is_over().
 *
 * Returns 0 with birth->pid, or -errno.
 */
int mf_birth_begin(struct mf_birth *birth);

/** Whether the process has executed its program, or has ended: what it borrowed is free again. */
bool mf_birth_is_over(const struct mf_birth *birth);

/** From mf_birth_explain(): this command cannot be executed; the outcome says why. */
#define MF_BIRTH_E_COMMAND 1

/**
 * mf_birth_explain() - tell why a program was not executed.
 *
 * @birth   over
 *
 * Returns
 *   0                   it was executed, or the process was killed before
 *   MF_BIRTH_E_COMMAND  cause, exit_status and detail of ret_outcome are set
 *   -errno              the system lacked something at the moment
 */
int mf_birth_explain(const struct mf_birth *birth, struct mf_outcome *ret_outcome);

/** Kills the process, which is not reaped, and waits until it lets go. Returns whether it has. */
bool mf_birth_abort(struct mf_birth *birth, int64_t limit_ns);

#endif
