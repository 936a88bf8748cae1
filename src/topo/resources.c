/* Memory that this process may use: see resources.h. No state; any thread. */
#include "topo/resources.h"

#include "base/units.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Room for one line of /proc/meminfo or /proc/self/cgroup. */
#define LINE_BYTES (PATH_MAX + 64)

/* More processors than any node has; times the most memory, it fits in 64 bits. */
#define MAX_CPUS (1 << 13)

static void take_least(uint64_t *mem_bytes, uint64_t limit)
{
    if (limit > 0 && (*mem_bytes == 0 || limit < *mem_bytes))
        *mem_bytes = limit;
}

static FILE *open_below(const char *root, const char *path)
{
    char name[2 * PATH_MAX];

    if (snprintf(name, sizeof(name), "%s%s", root, path) >= (int)sizeof(name))
        return NULL;
    return fopen(name, "re");
}

static void look_at_machine(const char *root, uint64_t *mem_bytes)
{
    FILE *file = open_below(root, "/proc/meminfo");
    char line[LINE_BYTES];
    uint64_t kib;

    if (!file)
        return;
    while (fgets(line, sizeof(line), file))
        if (sscanf(line, "MemTotal: %" SCNu64 " kB", &kib) == 1)
            take_least(mem_bytes, kib * 1024);
    fclose(file);
}

/* A limit of a cgroup is a number of bytes, or "max". */
static void look_at_limit(const char *root, const char *path, uint64_t *mem_bytes)
{
    FILE *file = open_below(root, path);
    uint64_t limit;

    if (!file)
        return;
    if (fscanf(file, "%" SCNu64, &limit) == 1)
        take_least(mem_bytes, limit);
    fclose(file);
}

/*
 * The limits of a cgroup and of those above it. In a container the path may be
 * that on the host, of which only the end, or nothing, is to be seen here.
 */
static void look_at_cgroup(const char *root, const char *mount, const char *file, char *group,
                           uint64_t *mem_bytes)
{
    char path[2 * PATH_MAX];
    char *slash = group + strlen(group);

    for (;;) {
        *slash = '\0';
        if (snprintf(path, sizeof(path), "%s%s/%s", mount, group, file) < (int)sizeof(path))
            look_at_limit(root, path, mem_bytes);
        slash = strrchr(group, '/');
        if (!slash)
            break;
    }
}

/* Whether a comma-separated list has the word. */
static bool has_word(const char *list, const char *word)
{
    size_t size = strlen(word);

    for (;;) {
        size_t length = strcspn(list, ",");

        if (length == size && strncmp(list, word, size) == 0)
            return true;
        if (list[length] == '\0')
            return false;
        list += length + 1;
    }
}

/* Lines are "number:controllers:path"; version 2 has no controllers, and number 0. */
static void look_at_cgroups(const char *root, uint64_t *mem_bytes)
{
    FILE *file = open_below(root, "/proc/self/cgroup");
    char line[LINE_BYTES];

    if (!file)
        return;
    while (fgets(line, sizeof(line), file)) {
        char *controllers = strchr(line, ':');
        char *group = controllers ? strchr(controllers + 1, ':') : NULL;

        if (!group)
            continue;
        *controllers++ = *group++ = '\0';
        group[strcspn(group, "\n")] = '\0';
        if (*controllers == '\0')
            look_at_cgroup(root, "/sys/fs/cgroup", "memory.max", group, mem_bytes);
        else if (has_word(controllers, "memory"))
            look_at_cgroup(root, "/sys/fs/cgroup/memory", "memory.limit_in_bytes", group,
                           mem_bytes);
    }
    fclose(file);
}

/* A number from 1 in the environment; 0 for none. */
static uint64_t get_number(const char *name)
{
    const char *text = getenv(name);
    struct mf_error err;
    int64_t number;

    if (!text || mf_parse_integer(text, 1, INT64_C(1) << 30, &number, &err) < 0)
        return 0;
    return (uint64_t)number;
}

static void look_at_slurm(uint64_t *mem_bytes)
{
    take_least(mem_bytes, get_number("SLURM_MEM_PER_NODE") << 20);
    if (get_number("SLURM_CPUS_ON_NODE") < MAX_CPUS)
        take_least(mem_bytes,
                   get_number("SLURM_CPUS_ON_NODE") * (get_number("SLURM_MEM_PER_CPU") << 20));
}

bool mf_topo_keep_granted(const struct mf_core *cores, uint32_t *n_cores)
{
    uint64_t n_granted = getenv("SLURM_JOB_ID") ? get_number("SLURM_CPUS_ON_NODE") : 0;
    uint64_t n_cpus = 0;

    for (uint32_t i = 0; i < *n_cores && n_granted > 0; i++) {
        if (n_cpus >= n_granted) {
            *n_cores = i;
            return true;
        }
        n_cpus += cores[i].n_cpus;
    }
    return false;
}

int mf_topo_resources(const char *root, struct mf_topo_resources *ret_resources)
{
    struct mf_topo_resources resources = {0};
    int r = mf_topo_find_gpus(root, &resources);

    if (r < 0) {
        mf_topo_resources_finish(&resources);
        return r;
    }
    look_at_machine(root, &resources.mem_bytes);
    look_at_cgroups(root, &resources.mem_bytes);
    look_at_slurm(&resources.mem_bytes);
    *ret_resources = resources;
    return 0;
}

void mf_topo_resources_finish(struct mf_topo_resources *resources)
{
    free(resources->gpus);
    *resources = (struct mf_topo_resources){0};
}
