/*
 * One command becomes one process.
 *
 * The child of vfork() borrows the launcher's memory until it executes its
 * program, and the launcher waits for that. So the child makes system calls on
 * what was prepared and nothing else, and leaves what went wrong in the plan.
 * Signal dispositions are the default ones already and everything is blocked,
 * so unblocking is all that signals need.
 *
 * Run by the launcher's only thread.
 */
#include "exec/spawn.h"

#include "base/io.h"
#include "exec/environment.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* More processors than any kernel can be built for. */
#define MAX_CPU 65535

/* What a new process was doing when it failed. */
enum step { STEP_NONE, STEP_PREPARE, STEP_ENTER, STEP_EXECUTE };

/**
 * @image    what to execute
 * @cwd      directory to enter, or NULL
 * @fds      writing ends of the pipes
 * @cpus     mask of cpu_bytes, NULL to leave the process unpinned
 * @files    limit of open files to restore, or NULL
 * @parent   the launcher
 * @failed, @error   written by the child: where it failed, and errno
 */
struct plan {
    struct mf_image image;
    const char *cwd;
    int fds[MF_N_STREAMS];
    const void *cpus;
    size_t cpu_bytes;
    const struct rlimit *files;
    pid_t parent;
    volatile enum step failed;
    volatile int error;
};

static uint8_t *cpu_set_of(const struct mf_spawner *spawner, uint32_t slot)
{
    return spawner->cpu_sets + slot * spawner->cpu_set_bytes;
}

/* Masks are made once, since every command needs one. */
static int make_cpu_sets(struct mf_spawner *spawner)
{
    const struct mf_configuration *configuration = spawner->configuration;
    uint32_t max_cpu = 0;

    for (uint32_t i = 0; i < configuration->n_slots; i++)
        for (uint32_t k = 0; k < configuration->slots[i].n_cpus; k++)
            if (configuration->slots[i].cpus[k] > max_cpu)
                max_cpu = configuration->slots[i].cpus[k];
    if (max_cpu > MAX_CPU)
        return -EINVAL;
    spawner->cpu_set_bytes = CPU_ALLOC_SIZE(max_cpu + 1);
    spawner->cpu_sets = calloc(configuration->n_slots + 1, spawner->cpu_set_bytes);
    if (!spawner->cpu_sets)
        return -ENOMEM;
    for (uint32_t i = 0; i < configuration->n_slots; i++)
        for (uint32_t k = 0; k < configuration->slots[i].n_cpus; k++)
            CPU_SET_S(configuration->slots[i].cpus[k], spawner->cpu_set_bytes,
                      (cpu_set_t *)(void *)cpu_set_of(spawner, i));
    return 0;
}

int mf_spawner_init(struct mf_spawner *spawner, const struct mf_configuration *configuration,
                    const struct rlimit *original_files)
{
    struct rlimit current;
    int result;

    *spawner = (struct mf_spawner){
        .configuration = configuration,
        .original_files = *original_files,
        .own_pid = getpid(),
    };
    if (getrlimit(RLIMIT_NOFILE, &current) < 0)
        return -errno;
    spawner->restores_files = current.rlim_cur != original_files->rlim_cur;
    result = make_cpu_sets(spawner);
    if (result == 0)
        result = mf_environment_inherit(spawner);
    if (result < 0)
        mf_spawner_finish(spawner);
    return result;
}

void mf_spawner_finish(struct mf_spawner *spawner)
{
    for (int i = 0; i < MF_N_STREAMS && spawner->has_spare; i++) {
        mf_close(&spawner->spare_reading[i]);
        mf_close(&spawner->spare_writing[i]);
    }
    free(spawner->cpu_sets);
    free(spawner->inherited);
    mf_buffer_finish(&spawner->own_texts);
    mf_buffer_finish(&spawner->texts);
    mf_buffer_finish(&spawner->pointers);
    *spawner = (struct mf_spawner){0};
}

/* The mask of the spawn's slots, NULL when they have no processors. */
static const void *choose_cpus(const struct mf_spawner *spawner, const struct mf_spawn *spawn)
{
    uint8_t *several = cpu_set_of(spawner, spawner->configuration->n_slots);
    uint32_t n_cpus = 0;

    for (uint32_t i = 0; i < spawn->n_slots; i++)
        n_cpus += spawner->configuration->slots[spawn->slots[i]].n_cpus;
    if (n_cpus == 0)
        return NULL;
    if (spawn->n_slots == 1)
        return cpu_set_of(spawner, spawn->slots[0]);
    memset(several, 0, spawner->cpu_set_bytes);
    for (uint32_t i = 0; i < spawn->n_slots; i++) {
        const uint8_t *one = cpu_set_of(spawner, spawn->slots[i]);

        for (size_t k = 0; k < spawner->cpu_set_bytes; k++)
            several[k] |= one[k];
    }
    return several;
}

_Noreturn static void fail(struct plan *plan, enum step step)
{
    plan->error = errno;
    plan->failed = step;
    _exit(127);
}

/* As execvp(): on to the next directory when a file is not there, or must not be executed. */
_Noreturn static void execute(struct plan *plan)
{
    struct mf_image *image = &plan->image;
    bool was_denied = false;

    for (char **path = image->paths; *path; path++) {
        execve(*path, image->argv, image->environment);
        if (errno == ENOEXEC) {
            image->argv[0] = *path;
            execve(MF_SHELL, image->argv - 1, image->environment);
            break;
        }
        was_denied |= errno == EACCES;
        if (errno != EACCES && errno != ENOENT && errno != ENOTDIR && errno != ENAMETOOLONG)
            break;
    }
    if (was_denied && (errno == ENOENT || errno == ENOTDIR || errno == ENAMETOOLONG))
        errno = EACCES;
    fail(plan, STEP_EXECUTE);
}

/* The new process, in memory borrowed from the launcher. */
_Noreturn static void run_child(struct plan *plan)
{
    sigset_t none;

    sigemptyset(&none);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        fail(plan, STEP_PREPARE);
    /* The launcher may have been killed before that took effect. */
    if (getppid() != plan->parent)
        _exit(127);
    if (setpgid(0, 0) < 0)
        fail(plan, STEP_PREPARE);
    /* A processor that was taken away since makes a command slower, not impossible. */
    if (plan->cpus)
        (void)sched_setaffinity(0, plan->cpu_bytes, plan->cpus);
    if (dup2(plan->fds[MF_STDOUT], STDOUT_FILENO) < 0 ||
        dup2(plan->fds[MF_STDERR], STDERR_FILENO) < 0)
        fail(plan, STEP_PREPARE);
    if (plan->cwd && chdir(plan->cwd) < 0)
        fail(plan, STEP_ENTER);
    if (plan->files && setrlimit(RLIMIT_NOFILE, plan->files) < 0)
        fail(plan, STEP_PREPARE);
    if (sigprocmask(SIG_SETMASK, &none, NULL) < 0)
        fail(plan, STEP_PREPARE);
    execute(plan);
}

static bool is_temporary(int error)
{
    return error == EAGAIN || error == ENOMEM || error == EMFILE || error == ENFILE;
}

/* Says what is wrong with the command, or returns -errno if the system is short of something. */
static int explain(const struct plan *plan, const char *program, struct mf_outcome *outcome)
{
    int error = plan->error;

    if (plan->failed == STEP_PREPARE || (plan->failed == STEP_EXECUTE && is_temporary(error)))
        return -error;
    outcome->cause = MF_CAUSE_START;
    outcome->exit_status = plan->failed == STEP_EXECUTE && error == ENOENT ? 127 : 126;
    if (plan->failed == STEP_ENTER)
        snprintf(outcome->detail, sizeof(outcome->detail), "cannot enter directory %.90s: %s",
                 plan->cwd, strerror(error));
    else
        snprintf(outcome->detail, sizeof(outcome->detail), "%.100s: %s", program, strerror(error));
    return MF_SPAWN_E_COMMAND;
}

/* Both pipes, or neither. Only this process reads them, and only what poll() found. */
static int open_pipes(int reading[MF_N_STREAMS], int writing[MF_N_STREAMS])
{
    int fds[2];

    for (int i = 0; i < MF_N_STREAMS; i++) {
        if (pipe2(fds, O_CLOEXEC) < 0) {
            int result = -errno;

            while (i-- > 0) {
                mf_close(&reading[i]);
                mf_close(&writing[i]);
            }
            return result;
        }
        reading[i] = fds[0];
        writing[i] = fds[1];
    }
    return 0;
}

void mf_spawner_prepare(struct mf_spawner *spawner)
{
    /* What fails now is tried again, and told, when the pipes are needed. */
    if (!spawner->has_spare)
        spawner->has_spare = open_pipes(spawner->spare_reading, spawner->spare_writing) == 0;
}

static int take_pipes(struct mf_spawner *spawner, int reading[MF_N_STREAMS],
                      int writing[MF_N_STREAMS])
{
    if (!spawner->has_spare)
        return open_pipes(reading, writing);
    memcpy(reading, spawner->spare_reading, sizeof(spawner->spare_reading));
    memcpy(writing, spawner->spare_writing, sizeof(spawner->spare_writing));
    spawner->has_spare = false;
    return 0;
}

/* Returns 0 with the pid, or as mf_spawner_start(). */
static int fork_and_execute(struct plan *plan, const char *program, pid_t *ret_pid,
                            struct mf_outcome *ret_outcome)
{
    pid_t pid = vfork();

    if (pid < 0)
        return -errno;
    if (pid == 0)
        run_child(plan);
    if (plan->failed == STEP_NONE) {
        *ret_pid = pid;
        return 0;
    }
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    return explain(plan, program, ret_outcome);
}

int mf_spawner_start(struct mf_spawner *spawner, const struct mf_spawn *spawn,
                     struct mf_child *ret_child, struct mf_outcome *ret_outcome)
{
    struct plan plan = {
        .cwd = spawn->command->cwd,
        .cpus = choose_cpus(spawner, spawn),
        .cpu_bytes = spawner->cpu_set_bytes,
        .files = spawner->restores_files ? &spawner->original_files : NULL,
        .parent = spawner->own_pid,
    };
    struct mf_child child;
    const char *program;
    int result = mf_environment_prepare(spawner, spawn, &plan.image);

    if (result < 0)
        return result;
    /* The child may put the path of a script there. */
    program = plan.image.argv[0];
    result = take_pipes(spawner, child.fds, plan.fds);
    if (result < 0)
        return result;
    result = fork_and_execute(&plan, program, &child.pid, ret_outcome);
    for (int i = 0; i < MF_N_STREAMS; i++) {
        mf_close(&plan.fds[i]);
        if (result != 0)
            mf_close(&child.fds[i]);
    }
    if (result == 0)
        *ret_child = child;
    return result;
}
