/* The processes below one: see process_tree.h. Run by the launcher's only thread. */
#include "exec/process_tree.h"

#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* More than that are left alone. */
#define MAX_PROCESSES 65536

struct tree {
    pid_t *pids;
    uint32_t n, capacity;
};

static int add(struct tree *tree, pid_t pid)
{
    if (tree->n == MAX_PROCESSES)
        return 0;
    if (tree->n == tree->capacity) {
        uint32_t capacity = tree->capacity ? 2 * tree->capacity : 16;
        pid_t *pids = reallocarray(tree->pids, capacity, sizeof(*pids));

        if (!pids)
            return -ENOMEM;
        tree->pids = pids;
        tree->capacity = capacity;
    }
    tree->pids[tree->n++] = pid;
    return 0;
}

/* A thread's children are those that it started. */
static int add_children(struct tree *tree, pid_t pid, const char *thread)
{
    char path[96];
    FILE *file;
    int child, result = 0;

    snprintf(path, sizeof(path), "/proc/%d/task/%.20s/children", (int)pid, thread);
    file = fopen(path, "re");
    if (!file)
        return 0;
    while (result == 0 && fscanf(file, "%d", &child) == 1)
        result = add(tree, (pid_t)child);
    fclose(file);
    return result;
}

/* The directory of a process's threads; NULL when it has ended. */
static DIR *open_threads(pid_t pid)
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
    return opendir(path);
}

int mf_process_tree_list(pid_t root, pid_t **ret_pids)
{
    struct tree tree = {0};
    int result = add(&tree, root);

    for (uint32_t i = 0; i < tree.n && result == 0; i++) {
        DIR *threads = open_threads(tree.pids[i]);
        const struct dirent *entry;

        while (threads && result == 0 && (entry = readdir(threads)))
            if (entry->d_name[0] != '.')
                result = add_children(&tree, tree.pids[i], entry->d_name);
        if (threads)
            closedir(threads);
    }
    if (result < 0) {
        free(tree.pids);
        return result;
    }
    *ret_pids = tree.pids;
    return (int)tree.n;
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
    pid_t *pids = NULL;
    int n = scratch ? mf_process_tree_list(root, &pids) : 0;

    for (int i = 0; i < n; i++)
        pin_process(pids[i], from, to, cpu_bytes, scratch);
    free(pids);
    free(scratch);
}
