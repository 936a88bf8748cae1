/*
 * The command line and the environment of srun and mpirun: see mf_launching_exec(). Runs in a
 * process that was forked for it.
 */
#include "cli/launching.h"

#include "base/units.h"
#include "cli/ending.h"
#include "cli/terminal.h"
#include "exec/environment.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* More than either has of its own. */
#define MAX_WORDS 32

/**
 * @words  n of them, the last ones those of mpifarm's own command line
 * @texts  what of it is made here
 */
struct command {
    const char **words;
    size_t n;
    char nodes[32], ranks[32], parts[32], gpus[32];
    char program[PATH_MAX];
};

/* --- the environment --- */

/*
 * Options that srun reads of its environment: the job's own, which say nothing about one rank on
 * each node, and what would bring its output or input elsewhere. mpirun starts its daemons with
 * srun. Those that describe the allocation stay.
 */
static const char *const srun_options[] = {
    "SLURM_CPUS_PER_GPU",
    "SLURM_CPUS_PER_TASK",
    "SRUN_CPUS_PER_TASK",
    "SLURM_CPU_BIND",
    "SLURM_DISTRIBUTION",
    "SLURM_EXACT",
    "SLURM_EXCLUSIVE",
    "SLURM_EXPORT_ENV",
    "SRUN_EXPORT_ENV",
    "SLURM_GPUS",
    "SLURM_GPUS_PER_NODE",
    "SLURM_GPUS_PER_TASK",
    "SLURM_GPU_BIND",
    "SLURM_GRES",
    "SLURM_HINT",
    "SLURM_HOSTFILE",
    "SLURM_KILL_BAD_EXIT",
    "SLURM_LABELIO",
    "SLURM_MEM_BIND",
    "SLURM_MPI_TYPE",
    "SLURM_NPROCS",
    "SLURM_NTASKS",
    "SLURM_NTASKS_PER_CORE",
    "SLURM_NTASKS_PER_GPU",
    "SLURM_NTASKS_PER_NODE",
    "SLURM_NTASKS_PER_SOCKET",
    "SLURM_OVERCOMMIT",
    "SLURM_REMOTE_CWD",
    "SLURM_STDERRMODE",
    "SLURM_STDINMODE",
    "SLURM_STDOUTMODE",
    "SLURM_STEP_GRES",
    "SLURM_THREADS",
    "SLURM_TRES_PER_TASK",
    "SLURM_UNBUFFEREDIO",
    "SLURM_WAIT",
    "SLURM_WORKING_DIR",
};

static bool starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* For tasks, which are to find the allocation as a batch script does. */
static int keep_variables(void)
{
    size_t n = 0;
    char **before;

    while (environ[n])
        n++;
    before = calloc(n + 1, sizeof(*before));
    if (!before)
        return -ENOMEM;
    memcpy(before, environ, n * sizeof(*before));
    for (size_t i = 0; i < n; i++) {
        size_t size = strcspn(before[i], "=");
        char name[256];

        if (starts_with(before[i], "SLURM_") && snprintf(name, sizeof(name), MF_KEPT_PREFIX "%.*s",
                                                         (int)size, before[i]) < (int)sizeof(name))
            (void)setenv(name, before[i] + size + 1, 1);
    }
    free(before);
    return 0;
}

/* Of a step that this process may be in. */
static void forget_rank(void)
{
    for (size_t i = 0; environ[i];) {
        char name[256];

        if ((starts_with(environ[i], "PMIX_") || starts_with(environ[i], "PMI_")) &&
            snprintf(name, sizeof(name), "%.*s", (int)strcspn(environ[i], "="), environ[i]) <
                (int)sizeof(name) &&
            unsetenv(name) == 0)
            continue;
        i++;
    }
}

void mf_launching_clean_environment(void)
{
    forget_rank();
    for (size_t i = 0; i < sizeof(srun_options) / sizeof(srun_options[0]); i++)
        (void)unsetenv(srun_options[i]);
}

static int set_environment(const struct mf_launching *launching)
{
    int r = launching->allocation.job ? keep_variables() : 0;

    mf_launching_clean_environment();
    /* The steps of tasks are not to wait for that of mpirun's daemons to end. */
    if (launching->allocation.job)
        (void)setenv("SLURM_OVERLAP", "1", 1);
    return r;
}

/* --- the words --- */

static void put(struct command *command, const char *word)
{
    command->words[command->n++] = word;
}

static void put_all(struct command *command, const char *const *words)
{
    while (*words)
        put(command, *words++);
}

static void put_mpirun(struct command *command, const struct mf_launching *launching)
{
    static const char *const words[] = {"mpirun",
                                        "--enable-recovery",
                                        "--oversubscribe",
                                        "--map-by",
                                        "node",
                                        "--bind-to",
                                        "none",
                                        "-x",
                                        MF_ENDING_VARIABLE,
                                        NULL};

    put_all(command, words);
    if (getenv(MF_TERMINAL_VARIABLE)) {
        put(command, "-x");
        put(command, MF_TERMINAL_VARIABLE);
    }
    put(command, "-n");
    snprintf(command->ranks, sizeof(command->ranks), "%" PRIu32, launching->n_ranks);
    put(command, command->ranks);
}

/* Components of a heterogeneous job have numbers of nodes of their own. */
static void put_layout(struct command *command, const struct mf_launching *launching)
{
    const struct mf_allocation *allocation = &launching->allocation;
    uint32_t n_nodes = allocation->n_nodes;

    if (n_nodes > launching->n_ranks)
        n_nodes = launching->n_ranks;
    snprintf(command->nodes, sizeof(command->nodes), "--nodes=%" PRIu32, n_nodes);
    snprintf(command->ranks, sizeof(command->ranks), "--ntasks=%" PRIu32, launching->n_ranks);
    snprintf(command->parts, sizeof(command->parts), "--het-group=0-%" PRIu32,
             allocation->n_parts - 1);
    if (allocation->n_parts > 1) {
        put(command, command->parts);
    } else {
        put(command, command->nodes);
        put(command, command->ranks);
    }
    put(command, launching->is_per_node ? "--ntasks-per-node=1" : "--distribution=cyclic");
}

/* A number in the environment, 0 for none. */
static uint64_t read_number(const char *name)
{
    const char *text = getenv(name);
    int64_t number = 0;

    if (!text || mf_parse_integer(text, 1, INT32_MAX, &number, NULL) < 0)
        return 0;
    return (uint64_t)number;
}

/*
 * A step has the GPUs of its nodes by itself, unless the job was given them by task or in all: then
 * it has so many for each task, of which the step has fewer than the job. Where each node has as
 * many as this one it is told.
 */
static void find_gpus(struct command *command, uint32_t n_nodes)
{
    uint64_t n_here = read_number("SLURM_GPUS_ON_NODE");
    uint64_t n_all = read_number("SLURM_GPUS_PER_TASK") * read_number("SLURM_NTASKS");

    if (n_all == 0)
        n_all = read_number("SLURM_GPUS");
    if (n_here > 0 && n_here * n_nodes == n_all)
        snprintf(command->gpus, sizeof(command->gpus), "--gpus-per-node=%" PRIu64, n_here);
    else if (n_all > 0)
        fprintf(stderr, "mpifarm: not all GPUs of the job may be used: ask for them by "
                        "--gpus-per-node\n");
}

/*
 * A rank that ends, or a node that crashes, takes no other with it. The ranks share what the job
 * has with the steps of their tasks, and all of a node's CPUs and GPUs are theirs.
 */
static void put_srun(struct command *command, const struct mf_launching *launching, bool is_prompt)
{
    static const char *const words[] = {
        "--no-kill",       "--kill-on-bad-exit=0", "--wait=0",  "--mpi=pmix",   "--overlap",
        "--cpu-bind=none", "--gpu-bind=none",      "--input=0", "--export=ALL", NULL};

    put(command, "srun");
    put_all(command, words);
    if (command->gpus[0])
        put(command, command->gpus);
    if (is_prompt)
        put(command, "--unbuffered");
    put_layout(command, launching);
}

int mf_launching_exec(const struct mf_launching *launching, const struct mf_context *context,
                      bool is_prompt)
{
    struct command command = {
        .words = calloc(MAX_WORDS + (size_t)context->argc + 1, sizeof(*command.words))};
    int r;

    if (!command.words)
        return -ENOMEM;
    if (readlink("/proc/self/exe", command.program, sizeof(command.program) - 1) < 0)
        r = -errno;
    else
        r = 0;
    /* Before its variables are taken away. */
    if (r == 0 && launching->way == MF_LAUNCH_SRUN)
        find_gpus(&command, launching->allocation.n_nodes);
    if (r == 0)
        r = set_environment(launching);
    if (r == 0) {
        if (launching->way == MF_LAUNCH_SRUN)
            put_srun(&command, launching, is_prompt);
        else
            put_mpirun(&command, launching);
        put(&command, command.program);
        put_all(&command, (const char *const *)context->argv + 1);
        execvp(command.words[0], (char *const *)command.words);
        r = -errno;
    }
    free(command.words);
    return r;
}
