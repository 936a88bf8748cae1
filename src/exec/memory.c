/*
 * Memory of process groups out of /proc: see memory.h. Which processes are in a
 * group, or below one that is, only a look at each process tells. Run by the
 * launcher's only thread, or by the rank's.
 */
#include "exec/memory.h"

#include "base/clock.h"
#include "base/io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int mf_group_use_compare(const void *a, const void *b)
{
    const struct mf_group_use *left = a, *right = b;

    return left->group < right->group ? -1 : left->group > right->group;
}

/* Reads the beginning of a file of a process as text; false if it is gone. */
static bool read_text(int proc_fd, const char *pid, const char *name, char *text, size_t size)
{
    char path[300];
    ssize_t n;
    int fd;

    snprintf(path, sizeof(path), "%.20s/%.20s", pid, name);
    fd = openat(proc_fd, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    n = read(fd, text, size - 1);
    close(fd);
    if (n <= 0)
        return false;
    text[n] = '\0';
    return true;
}

/* Not looked for yet, and none. */
#define UNKNOWN UINT32_MAX
#define NOBODY (UINT32_MAX - 1)

/* The first bytes of an environment in which ours are looked for. */
#define ENVIRONMENT_BYTES ((size_t)128 << 10)

/**
 * A process.
 *
 * @owner  index of the use that it counts for, NOBODY or UNKNOWN
 */
struct process {
    pid_t pid;
    pid_t parent;
    pid_t group;
    uint32_t owner;
    uint64_t bytes;
};

/** The processes of the node in ascending order of pid. */
struct census {
    int proc_fd;
    struct process *processes;
    size_t n, n_room;
    struct mf_group_use *uses;
    uint32_t n_uses;
};

/* Group, parent and resident memory of a process; false if it is gone. */
static bool read_process(int proc_fd, const char *pid, struct process *ret_process)
{
    char text[1024];
    const char *rest;
    int64_t n_pages;
    int parent, group;

    if (!read_text(proc_fd, pid, "stat", text, sizeof(text)))
        return false;
    /* "pid (name) state parent group ...", and the name may hold anything. */
    rest = strrchr(text, ')');
    if (!rest || sscanf(rest,
                        ") %*c %d %d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d "
                        "%*d %*u %*u %" SCNd64,
                        &parent, &group, &n_pages) != 3)
        return false;
    *ret_process = (struct process){
        .pid = atoi(pid),
        .parent = parent,
        .group = group,
        .owner = UNKNOWN,
        .bytes = n_pages > 0 ? (uint64_t)n_pages * (uint64_t)sysconf(_SC_PAGESIZE) : 0,
    };
    return true;
}

/* What a process uses with shared pages divided; leaves bytes alone where that is not told. */
static void read_exact(int proc_fd, const char *pid, uint64_t *bytes)
{
    char text[2048];
    const char *line;
    uint64_t kib;

    if (!read_text(proc_fd, pid, "smaps_rollup", text, sizeof(text)))
        return;
    line = strstr(text, "\nPss:");
    if (line && sscanf(line, " Pss: %" SCNu64 " kB", &kib) == 1)
        *bytes = kib * 1024;
}

static int add_process(struct census *census, const char *pid)
{
    if (census->n == census->n_room) {
        size_t n_room = census->n_room ? 2 * census->n_room : 256;
        struct process *processes =
            reallocarray(census->processes, n_room, sizeof(*census->processes));

        if (!processes)
            return -ENOMEM;
        census->processes = processes;
        census->n_room = n_room;
    }
    census->n += read_process(census->proc_fd, pid, &census->processes[census->n]);
    return 0;
}

static int compare_pids(const void *a, const void *b)
{
    const struct process *left = a, *right = b;

    return left->pid < right->pid ? -1 : left->pid > right->pid;
}

/* Whether an environment, n bytes of it with a NUL behind, has the variable. */
static bool has_variable(const char *environment, size_t n, const char *variable)
{
    const char *end = environment + n;

    for (; environment < end; environment += strlen(environment) + 1)
        if (strcmp(environment, variable) == 0)
            return true;
    return false;
}

/* Finds what an orphan is of by what its environment says of its task. */
static uint32_t ask_environment(const struct census *census, const struct process *process)
{
    char *environment = malloc(ENVIRONMENT_BYTES), variable[300], path[64];
    uint32_t owner = NOBODY;
    ssize_t n = 0;

    snprintf(path, sizeof(path), "%d/environ", (int)process->pid);
    int fd = openat(census->proc_fd, path, O_RDONLY | O_CLOEXEC);

    if (fd >= 0 && environment)
        n = read(fd, environment, ENVIRONMENT_BYTES - 1);
    mf_close(&fd);
    if (n > 0)
        environment[n] = '\0';
    for (uint32_t i = 0; i < census->n_uses && n > 0 && owner == NOBODY; i++) {
        const struct mf_group_use *use = &census->uses[i];
        char attempt[40];

        snprintf(attempt, sizeof(attempt), "MPIFARM_ATTEMPT=%" PRIu32, use->try_number);
        if (use->task_id &&
            snprintf(variable, sizeof(variable), "MPIFARM_TASK_ID=%s", use->task_id) <
                (int)sizeof(variable) &&
            has_variable(environment, (size_t)n, variable) &&
            has_variable(environment, (size_t)n, attempt))
            owner = i;
    }
    free(environment);
    return owner;
}

/*
 * Whom a process counts for: up from parent to parent. It is noted first as
 * nobody's, so that what was read while processes came and went cannot make a
 * ring; then as that of all on the way, so that each is asked once.
 */
static uint32_t find_owner(struct census *census, struct process *process)
{
    struct mf_group_use key = {.group = process->group}, *use;
    struct process above = {.pid = process->parent}, *parent;

    if (process->owner != UNKNOWN)
        return process->owner;
    process->owner = NOBODY;
    use = bsearch(&key, census->uses, census->n_uses, sizeof(key), mf_group_use_compare);
    parent = bsearch(&above, census->processes, census->n, sizeof(above), compare_pids);
    if (use)
        process->owner = (uint32_t)(use - census->uses);
    else if (process->parent == getpid())
        process->owner = ask_environment(census, process);
    else if (parent)
        process->owner = find_owner(census, parent);
    return process->owner;
}

static void close_census(struct census *census)
{
    mf_close(&census->proc_fd);
    free(census->processes);
}

/* Takes it of all processes of the node, each with the use it counts for. */
static int open_census(struct census *census, const char *proc)
{
    DIR *directory = opendir(proc);
    const struct dirent *entry;
    int result = 0;

    if (!directory)
        return -errno;
    census->proc_fd = dup(dirfd(directory));
    if (census->proc_fd < 0)
        result = -errno;
    while (result == 0 && (entry = readdir(directory)))
        if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9')
            result = add_process(census, entry->d_name);
    closedir(directory);
    if (result < 0) {
        close_census(census);
        return result;
    }
    if (census->n > 0)
        qsort(census->processes, census->n, sizeof(*census->processes), compare_pids);
    for (size_t i = 0; i < census->n; i++)
        find_owner(census, &census->processes[i]);
    return 0;
}

int mf_memory_measure(const char *proc, struct mf_group_use *uses, uint32_t n_uses, bool is_exact)
{
    struct census census = {.uses = uses, .n_uses = n_uses};
    int result = open_census(&census, proc);

    if (result < 0)
        return result;
    for (uint32_t i = 0; i < n_uses; i++)
        uses[i].used_bytes = 0;
    for (size_t i = 0; i < census.n; i++) {
        struct process *process = &census.processes[i];
        char pid[16];

        if (process->owner == NOBODY)
            continue;
        snprintf(pid, sizeof(pid), "%d", (int)process->pid);
        if (is_exact)
            read_exact(census.proc_fd, pid, &process->bytes);
        uses[process->owner].used_bytes += process->bytes;
    }
    close_census(&census);
    return 0;
}

int mf_memory_of(const char *proc, pid_t pid, uint64_t *ret_bytes, uint64_t *ret_exact_bytes)
{
    int proc_fd = open(proc, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct process process;
    char name[16];
    bool is_there;

    snprintf(name, sizeof(name), "%d", (int)pid);
    is_there = proc_fd >= 0 && read_process(proc_fd, name, &process);
    if (is_there) {
        *ret_bytes = *ret_exact_bytes = process.bytes;
        read_exact(proc_fd, name, ret_exact_bytes);
    }
    mf_close(&proc_fd);
    return is_there ? 0 : -ESRCH;
}

/* A line "Name:   12 kB" of a file in /proc. */
static bool find_kib(const char *text, const char *name, uint64_t *ret_kib)
{
    const char *line = strstr(text, name);

    return line && sscanf(line + strlen(name), " %" SCNu64 " kB", ret_kib) == 1;
}

int mf_memory_own_of(const char *proc, pid_t pid, uint64_t *ret_bytes)
{
    int proc_fd = open(proc, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    uint64_t resident_kib, swapped_kib;
    char text[4096], name[16];
    bool is_there;

    snprintf(name, sizeof(name), "%d", (int)pid);
    is_there = proc_fd >= 0 && read_text(proc_fd, name, "status", text, sizeof(text));
    mf_close(&proc_fd);
    if (!is_there)
        return -ESRCH;
    if (!find_kib(text, "\nRssAnon:", &resident_kib))
        return -ENOTSUP;
    if (!find_kib(text, "\nVmSwap:", &swapped_kib))
        swapped_kib = 0;
    *ret_bytes = (resident_kib + swapped_kib) * 1024;
    return 0;
}

int mf_memory_kill_strays(const char *proc, const struct mf_group_use *use)
{
    struct mf_group_use copy = *use;
    struct census census = {.uses = &copy, .n_uses = 1};
    int result = open_census(&census, proc);

    if (result < 0)
        return result;
    for (size_t i = 0; i < census.n; i++)
        if (census.processes[i].owner == 0 && census.processes[i].group != use->group)
            (void)kill(census.processes[i].pid, SIGKILL);
    close_census(&census);
    return 0;
}

int64_t mf_memory_next_look(struct mf_memory_trend *trend, uint64_t used_bytes,
                            uint64_t limit_bytes, int64_t now_ns)
{
    uint64_t grown = used_bytes > trend->seen_bytes ? used_bytes - trend->seen_bytes : 0;
    double left = limit_bytes > used_bytes ? (double)(limit_bytes - used_bytes) : 0;
    double passed_ns = now_ns > trend->seen_ns ? (double)(now_ns - trend->seen_ns) : 1;
    double wait_ns = grown > 0 ? left / (double)grown * passed_ns / 2 : MF_MEMORY_LOOK_MAX_NS;

    *trend = (struct mf_memory_trend){.seen_bytes = used_bytes, .seen_ns = now_ns};
    if (wait_ns >= MF_MEMORY_LOOK_MAX_NS)
        return MF_MEMORY_LOOK_MAX_NS;
    return wait_ns > MF_MEMORY_LOOK_MIN_NS ? (int64_t)wait_ns : MF_MEMORY_LOOK_MIN_NS;
}

int64_t mf_memory_clock(void)
{
    struct timespec time = {0};

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return time.tv_sec * MF_NS_PER_S + time.tv_nsec;
}

int64_t mf_memory_rest(int64_t began_ns)
{
    return (mf_memory_clock() - began_ns) * MF_MEMORY_LOOK_SHARE;
}
