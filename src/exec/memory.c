/*
 * Memory of process groups out of /proc: see memory.h. Which processes are in a
 * group only a look at each process tells. Run by the launcher's only thread.
 */
#include "exec/memory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

/* The group of a process and what it has resident; false if it is gone. */
static bool read_process(int proc_fd, const char *pid, pid_t *ret_group, uint64_t *ret_bytes)
{
    char text[1024];
    const char *rest;
    int64_t n_pages;
    int group;

    if (!read_text(proc_fd, pid, "stat", text, sizeof(text)))
        return false;
    /* "pid (name) state parent group ...", and the name may hold anything. */
    rest = strrchr(text, ')');
    if (!rest || sscanf(rest,
                        ") %*c %*d %d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d "
                        "%*d %*u %*u %" SCNd64,
                        &group, &n_pages) != 2)
        return false;
    *ret_group = group;
    *ret_bytes = n_pages > 0 ? (uint64_t)n_pages * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
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

int mf_memory_measure(const char *proc, struct mf_group_use *uses, uint32_t n_uses, bool is_exact)
{
    DIR *directory = opendir(proc);
    const struct dirent *entry;

    if (!directory)
        return -errno;
    for (uint32_t i = 0; i < n_uses; i++)
        uses[i].used_bytes = 0;
    while ((entry = readdir(directory))) {
        struct mf_group_use key, *use;
        uint64_t bytes;

        if (entry->d_name[0] < '1' || entry->d_name[0] > '9' ||
            !read_process(dirfd(directory), entry->d_name, &key.group, &bytes))
            continue;
        use = bsearch(&key, uses, n_uses, sizeof(*uses), mf_group_use_compare);
        if (!use)
            continue;
        if (is_exact)
            read_exact(dirfd(directory), entry->d_name, &bytes);
        use->used_bytes += bytes;
    }
    closedir(directory);
    return 0;
}
