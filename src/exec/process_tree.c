/* The processes below one: see process_tree.h. Run by the launcher's only thread. */
#include "exec/process_tree.h"

#include "base/process_stat.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* More than that are left alone. */
#define MAX_PROCESSES 65536

/* Bytes of a list of children that are read at once, and of a number at most. */
#define PART_BYTES 4096
#define NUMBER_BYTES 16

struct tree {
    struct mf_process *processes;
    uint32_t n, capacity;
};

static int add(struct tree *tree, pid_t pid, pid_t parent)
{
    if (tree->n == MAX_PROCESSES)
        return 0;
    if (tree->n == tree->capacity) {
        uint32_t capacity = tree->capacity ? 2 * tree->capacity : 16;
        struct mf_process *processes = reallocarray(tree->processes, capacity, sizeof(*processes));

        if (!processes)
            return -ENOMEM;
        tree->processes = processes;
        tree->capacity = capacity;
    }
    tree->processes[tree->n++] = (struct mf_process){pid, parent};
    return 0;
}

/* The numbers of a text, of which the last may go on in the next part: it is left in *number. */
static int add_numbers(struct tree *tree, pid_t parent, const char *text, ssize_t n, pid_t *number)
{
    int result = 0;

    for (ssize_t i = 0; i < n && result == 0; i++) {
        if (text[i] >= '0' && text[i] <= '9') {
            *number = 10 * *number + (text[i] - '0');
        } else if (*number > 0) {
            result = add(tree, *number, parent);
            *number = 0;
        }
    }
    return result;
}

/* A thread's children are those that it started. */
static int add_children(struct tree *tree, pid_t pid, const char *thread)
{
    char path[96], part[PART_BYTES];
    pid_t number = 0;
    int fd, result = 0;
    ssize_t n;

    snprintf(path, sizeof(path), "/proc/%d/task/%.20s/children", (int)pid, thread);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    do {
        n = read(fd, part, sizeof(part));
        result = add_numbers(tree, pid, part, n, &number);
        /* The kernel gives whole numbers: where one more would fit there is none. */
    } while (result == 0 && n > PART_BYTES - NUMBER_BYTES);
    if (result == 0 && number > 0)
        result = add(tree, number, pid);
    close(fd);
    return result;
}

/* The directory of a process's threads; NULL when it has ended. */
static DIR *open_threads(pid_t pid)
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
    return opendir(path);
}

/* The links of that directory are those of any, and one for each thread. */
static bool has_one_thread(pid_t pid)
{
    struct stat status;
    char path[64];

    snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
    return stat(path, &status) == 0 && status.st_nlink == 3;
}

static int add_all_children(struct tree *tree, pid_t pid)
{
    const struct dirent *entry;
    char thread[24];
    DIR *threads;
    int result = 0;

    if (has_one_thread(pid)) {
        snprintf(thread, sizeof(thread), "%d", (int)pid);
        return add_children(tree, pid, thread);
    }
    threads = open_threads(pid);
    while (threads && result == 0 && (entry = readdir(threads)))
        if (entry->d_name[0] != '.')
            result = add_children(tree, pid, entry->d_name);
    if (threads)
        closedir(threads);
    return result;
}

int mf_process_tree_list(pid_t root, struct mf_process **ret_processes)
{
    struct tree tree = {0};
    int result = add(&tree, root, 0);

    for (uint32_t i = 0; i < tree.n && result == 0; i++)
        result = add_all_children(&tree, tree.processes[i].pid);
    if (result < 0) {
        free(tree.processes);
        return result;
    }
    *ret_processes = tree.processes;
    return (int)tree.n;
}

bool mf_process_is_child(const struct mf_process *process)
{
    struct mf_process_stat stat;

    return mf_process_stat_read(process->pid, &stat) == 0 && stat.parent == process->parent;
}

static void pin_thread(pid_t thread, const void *from, const void *to, size_t cpu_bytes,
                       void *scratch)
{
    memset(scratch, 0, cpu_bytes);
    if (sched_getaffinity(thread, cpu_bytes, scratch) == 0 && memcmp(scratch, from, cpu_bytes) == 0)
        (void)sched_setaffinity(thread, cpu_bytes, to);
}

static void pin_process(pid_t pid, const void *from, const void *to, size_t cpu_bytes,
                        void *scratch)
{
    DIR *threads = open_threads(pid);
    const struct dirent *entry;

    while (threads && (entry = readdir(threads)))
        if (entry->d_name[0] != '.')
            pin_thread((pid_t)atoi(entry->d_name), from, to, cpu_bytes, scratch);
    if (threads)
        closedir(threads);
}

void mf_process_tree_pin(pid_t root, const void *from, const void *to, size_t cpu_bytes)
{
    void *scratch = malloc(cpu_bytes);
    struct mf_process *processes = NULL;
    int n = scratch ? mf_process_tree_list(root, &processes) : 0;

    for (int i = 0; i < n; i++)
        pin_process(processes[i].pid, from, to, cpu_bytes, scratch);
    free(processes);
    free(scratch);
}
