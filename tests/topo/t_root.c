/* See t_root.h. Each test is a process of its own. */
#include "t_root.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Somebody who owns nothing. */
#define NOBODY 65534

char t_root[] = "/tmp/mf_resources_XXXXXX";

void t_make_root(void)
{
    static const char *const names[] = {
        "CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ZE_AFFINITY_MASK",
        "GPU_DEVICE_ORDINAL",   "SLURM_STEP_GPUS",      "SLURM_JOB_GPUS",      "SLURM_MEM_PER_NODE",
        "SLURM_MEM_PER_CPU",    "SLURM_CPUS_ON_NODE",   "SLURM_JOB_ID"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        unsetenv(names[i]);
    cr_assert(mkdtemp(t_root) != NULL);
}

void t_remove_root(void)
{
    char command[128];

    if (getuid() == 0)
        cr_assert(seteuid(0) == 0);
    snprintf(command, sizeof(command), "rm -r %s", t_root);
    cr_assert(system(command) == 0);
}

void t_put(const char *path, const char *text)
{
    char name[256];
    FILE *file;

    snprintf(name, sizeof(name), "%s%s", t_root, path);
    for (char *slash = name + strlen(t_root) + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        mkdir(name, 0777);
        *slash = '/';
    }
    file = fopen(name, "w");
    cr_assert(file != NULL);
    fputs(text, file);
    fclose(file);
}

void t_forbid(const char *path)
{
    char name[256];

    snprintf(name, sizeof(name), "%s%s", t_root, path);
    cr_assert(chmod(name, 0) == 0);
    if (getuid() != 0)
        return;
    /* Root may open everything. */
    cr_assert(chmod(t_root, 0755) == 0);
    cr_assert(seteuid(NOBODY) == 0);
}
