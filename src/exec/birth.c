/*
 * A process between clone and exec.
 *
 * Until it executes its program it runs in the launcher's memory, as after
 * vfork(), but on a stack of its own and beside the launcher, which does not
 * wait: a command that ends meanwhile would leave its slot idle. The kernel
 * tells when the memory is let go of, by clearing a word in it.
 *
 * The two share all memory, errno too. So the process makes bare system calls
 * on what was laid out for it and nothing else, and leaves what went wrong in
 * the birth. Descriptors, directory and signal mask are its own. Signal
 * dispositions are the default ones already and everything is blocked, so
 * unblocking is all that signals need.
 *
 * What is marked IN_CHILD runs in the new process, all else in the launcher's
 * only thread.
 */
#include "exec/birth.h"

#include "base/clock.h"

#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#else
#define RUNNING_ON_VALGRIND 0
#endif

/* System calls need next to none. */
#define STACK_BYTES ((size_t)16 << 10)

/* What the kernel takes for a set of signals. */
#define SIGNAL_SET_BYTES (_NSIG / 8)

/* The runtime of a sanitizer keeps its books for one thread of the launcher, not for two. */
#define IN_CHILD __attribute__((no_sanitize("address", "undefined", "thread")))

#define CLONE_ALWAYS (CLONE_VM | CLONE_CHILD_CLEARTID | SIGCHLD)

#define POINTER(pointer) ((long)(pointer))

#if defined(__x86_64__)

#define CLONE_FLAGS CLONE_ALWAYS

/* Returns what the kernel does: -errno below 0. */
IN_CHILD static long call(long number, long a, long b, long c, long d)
{
    register long r10 __asm__("r10") = d;
    long result;

    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10)
                     : "rcx", "r11", "memory");
    return result;
}

#elif defined(__aarch64__)

#define CLONE_FLAGS CLONE_ALWAYS

/* Returns what the kernel does: -errno below 0. */
IN_CHILD static long call(long number, long a, long b, long c, long d)
{
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;

    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
    return x0;
}

#else

/* errno is harmless while the launcher is suspended. */
#define CLONE_FLAGS (CLONE_ALWAYS | CLONE_VFORK)

IN_CHILD static long call(long number, long a, long b, long c, long d)
{
    long result = syscall(number, a, b, c, d);

    return result < 0 ? -errno : result;
}

#endif

/* --- in the new process --- */

IN_CHILD static int fail(struct mf_birth *birth, enum mf_birth_step step, long error)
{
    birth->error = (int)-error;
    birth->failed = step;
    return 127;
}

/* Everything but the directory and the program. Returns 0 or -errno. */
IN_CHILD static long prepare(const struct mf_birth *birth)
{
    long result = call(SYS_setpgid, 0, 0, 0, 0);

    /* A processor that was taken away since makes a command slower, not impossible. */
    if (birth->cpus)
        (void)call(SYS_sched_setaffinity, 0, (long)birth->cpu_bytes, POINTER(birth->cpus), 0);
    if (result >= 0)
        result = call(SYS_dup3, birth->fds[MF_STDOUT], STDOUT_FILENO, 0, 0);
    if (result >= 0)
        result = call(SYS_dup3, birth->fds[MF_STDERR], STDERR_FILENO, 0, 0);
    return result;
}

/* Limits and signals, which are the command's from here on. Returns 0 or -errno. */
IN_CHILD static long let_loose(const struct mf_birth *birth)
{
    uint64_t no_signals[(SIGNAL_SET_BYTES + 7) / 8] = {0};
    long result = 0;

    if (birth->files)
        result = call(SYS_prlimit64, 0, RLIMIT_NOFILE, POINTER(birth->files), 0);
    if (result >= 0)
        result = call(SYS_rt_sigprocmask, SIG_SETMASK, POINTER(no_signals), 0, SIGNAL_SET_BYTES);
    return result;
}

IN_CHILD static bool is_elsewhere(long error)
{
    return error == -ENOENT || error == -ENOTDIR || error == -ENAMETOOLONG;
}

/* As execvp(): on to the next directory when a file is not there, or must not be executed. */
IN_CHILD static long execute(struct mf_image *image)
{
    bool was_denied = false;
    long error = -ENOENT;

    for (char **path = image->paths; *path; path++) {
        error =
            call(SYS_execve, POINTER(*path), POINTER(image->argv), POINTER(image->environment), 0);
        if (error == -ENOEXEC) {
            image->argv[0] = *path;
            error = call(SYS_execve, POINTER(MF_SHELL), POINTER(image->argv - 1),
                         POINTER(image->environment), 0);
            break;
        }
        was_denied |= error == -EACCES;
        if (error != -EACCES && !is_elsewhere(error))
            break;
    }
    return was_denied && is_elsewhere(error) ? -EACCES : error;
}

/* The new process. Returns its exit status, if it comes to that. */
IN_CHILD static int run_child(void *arg)
{
    struct mf_birth *birth = arg;
    long result = call(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0);

    if (result < 0)
        return fail(birth, MF_BIRTH_PREPARE, result);
    /* The launcher may have been killed before that took effect. */
    if (call(SYS_getppid, 0, 0, 0, 0) != birth->parent)
        return 127;
    result = prepare(birth);
    if (result < 0)
        return fail(birth, MF_BIRTH_PREPARE, result);
    if (birth->cwd) {
        result = call(SYS_chdir, POINTER(birth->cwd), 0, 0, 0);
        if (result < 0)
            return fail(birth, MF_BIRTH_ENTER, result);
    }
    result = let_loose(birth);
    if (result < 0)
        return fail(birth, MF_BIRTH_PREPARE, result);
    return fail(birth, MF_BIRTH_EXECUTE, execute(&birth->image));
}

/* --- in the launcher --- */

int mf_birth_create(size_t cpu_bytes, struct mf_birth **ret_birth)
{
    size_t guard_bytes = (size_t)sysconf(_SC_PAGESIZE);
    struct mf_birth *birth = calloc(1, sizeof(*birth));
    void *stack = MAP_FAILED;

    if (!birth)
        return -ENOMEM;
    birth->own_cpus = calloc(1, cpu_bytes);
    if (birth->own_cpus)
        stack = mmap(NULL, guard_bytes + STACK_BYTES, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (stack != MAP_FAILED) {
        birth->stack = stack;
        birth->guard_bytes = guard_bytes;
    }
    if (stack == MAP_FAILED || mprotect(stack, guard_bytes, PROT_NONE) < 0) {
        mf_birth_destroy(birth);
        return -ENOMEM;
    }
    mf_list_init(&birth->node);
    birth->cpu_bytes = cpu_bytes;
    *ret_birth = birth;
    return 0;
}

void mf_birth_destroy(struct mf_birth *birth)
{
    if (!birth)
        return;
    if (birth->stack)
        (void)munmap(birth->stack, birth->guard_bytes + STACK_BYTES);
    mf_image_finish(&birth->image);
    free(birth->own_cpus);
    free(birth);
}

/* Some sandboxes and emulators know no clone() like that, but vfork(). */
static bool is_unknown(int error)
{
    return error == EINVAL || error == EPERM || error == ENOSYS;
}

int mf_birth_begin(struct mf_birth *birth)
{
    static int also;
    uint8_t *top = birth->stack + birth->guard_bytes + STACK_BYTES;
    int flags = CLONE_FLAGS;

    /* Valgrind knows only threads, vfork() and fork(). */
    if (RUNNING_ON_VALGRIND)
        flags |= CLONE_VFORK;
    birth->failed = MF_BIRTH_NONE;
    birth->is_borrowed = 1;
    birth->pid = clone(run_child, top, flags | also, birth, NULL, NULL, &birth->is_borrowed);
    if (birth->pid < 0 && !also && is_unknown(errno)) {
        also = CLONE_VFORK;
        birth->pid = clone(run_child, top, flags | also, birth, NULL, NULL, &birth->is_borrowed);
    }
    if (birth->pid < 0) {
        birth->is_borrowed = 0;
        return -errno;
    }
    /*
     * The process does it too: neither knows which of them comes first, and the
     * group must be there for whoever signals it next. Fails once it executes.
     */
    (void)setpgid(birth->pid, birth->pid);
    return 0;
}

bool mf_birth_is_over(const struct mf_birth *birth)
{
    return __atomic_load_n(&birth->is_borrowed, __ATOMIC_ACQUIRE) == 0;
}

static bool is_temporary(int error)
{
    return error == EAGAIN || error == ENOMEM || error == EMFILE || error == ENFILE;
}

int mf_birth_explain(const struct mf_birth *birth, struct mf_outcome *ret_outcome)
{
    enum mf_birth_step failed = birth->failed;
    int error = birth->error;

    if (failed == MF_BIRTH_NONE)
        return 0;
    if (failed == MF_BIRTH_PREPARE || (failed == MF_BIRTH_EXECUTE && is_temporary(error)))
        return -error;
    ret_outcome->cause = MF_CAUSE_START;
    ret_outcome->exit_status = failed == MF_BIRTH_EXECUTE && error == ENOENT ? 127 : 126;
    if (failed == MF_BIRTH_ENTER)
        snprintf(ret_outcome->detail, sizeof(ret_outcome->detail),
                 "cannot enter directory %.90s: %s", birth->cwd, strerror(error));
    else
        snprintf(ret_outcome->detail, sizeof(ret_outcome->detail), "%.100s: %s", birth->program,
                 strerror(error));
    return MF_BIRTH_E_COMMAND;
}

bool mf_birth_abort(struct mf_birth *birth, int64_t limit_ns)
{
    int64_t end_ns = mf_clock_monotonic_ns() + limit_ns;
    int64_t left_ns = limit_ns;

    (void)kill(birth->pid, SIGKILL);
    while (!mf_birth_is_over(birth) && left_ns > 0) {
        struct timespec timeout = {left_ns / MF_NS_PER_S, left_ns % MF_NS_PER_S};

        (void)syscall(SYS_futex, &birth->is_borrowed, FUTEX_WAIT, 1, &timeout, NULL, 0);
        left_ns = end_ns - mf_clock_monotonic_ns();
    }
    return mf_birth_is_over(birth);
}
