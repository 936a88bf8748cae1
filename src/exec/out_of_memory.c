/* See out_of_memory.h. Reads /proc and the files of this process's cgroup. */
#include "exec/out_of_memory.h"

#include "base/units.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define LINE_BYTES 4096

/* One that had so much of the memory was near its end. */
#define NEAR 0.9

static FILE *open_below(const char *root, const char *path)
{
    char name[2 * PATH_MAX];

    if (snprintf(name, sizeof(name), "%s%s", root, path) >= (int)sizeof(name))
        return NULL;
    return fopen(name, "re");
}

/* The number behind a word at the begin of a line, 0 if there is none. */
static uint64_t find_number(const char *root, const char *path, const char *word)
{
    FILE *file = open_below(root, path);
    char line[LINE_BYTES];
    uint64_t number = 0;

    while (file && fgets(line, sizeof(line), file))
        if (strncmp(line, word, strlen(word)) == 0)
            (void)sscanf(line + strlen(word), "%" SCNu64, &number);
    if (file)
        fclose(file);
    return number;
}

/* The path of this process in the hierarchy of cgroups of version 2. */
static bool find_group(const char *root, char group[PATH_MAX])
{
    FILE *file = open_below(root, "/proc/self/cgroup");
    char line[LINE_BYTES];
    bool is_found = false;

    while (file && !is_found && fgets(line, sizeof(line), file)) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "0::", 3) == 0 && strlen(line + 3) < PATH_MAX) {
            strcpy(group, line + 3);
            is_found = true;
        }
    }
    if (file)
        fclose(file);
    return is_found;
}

/* The least limit of the group and of those above it; UINT64_MAX for none. */
static uint64_t find_limit(const char *root)
{
    char group[PATH_MAX], path[PATH_MAX + 64];
    uint64_t least = find_number(root, "/proc/meminfo", "MemTotal:") * 1024, limit;
    char *slash = NULL;

    least = least > 0 ? least : UINT64_MAX;
    if (!find_group(root, group))
        return least;
    do {
        snprintf(path, sizeof(path), "/sys/fs/cgroup%s/memory.max", group);
        limit = find_number(root, path, "");
        if (limit > 0 && limit < least)
            least = limit;
        slash = strrchr(group, '/');
        if (slash)
            *slash = '\0';
    } while (slash);
    return least;
}

/* Of the whole machine, since a task may be in a cgroup of its own. */
static uint64_t count_killed(const char *root)
{
    return find_number(root, "/proc/vmstat", "oom_kill ");
}

void mf_out_of_memory_begin(struct mf_out_of_memory *watch, const char *root)
{
    watch->n_killed = count_killed(root);
}

bool mf_out_of_memory_explain(struct mf_out_of_memory *watch, const char *root, uint64_t peak_bytes,
                              char *text, size_t size)
{
    uint64_t n_killed = count_killed(root), limit = find_limit(root);
    bool was_killed = n_killed > watch->n_killed;
    char peak[32], most[32];

    watch->n_killed = n_killed;
    if (limit == UINT64_MAX || (!was_killed && (double)peak_bytes < NEAR * (double)limit))
        return false;
    snprintf(text, size, "peak memory %s of %s: probably out of memory",
             mf_format_size(peak_bytes, peak, sizeof(peak)),
             mf_format_size(limit, most, sizeof(most)));
    return true;
}
