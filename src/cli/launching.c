/* Choosing what starts the ranks: see launching.h. No state; before any thread. */
#include "cli/launching.h"

#include "base/clock.h"
#include "cli/ending.h"
#include "runtime/query.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* It reads its configuration, which a controller that is busy hands out late. */
#define LIST_TIMEOUT_NS (10 * MF_NS_PER_S)

static const char *const names[] = {"auto", "none", "srun", "mpirun"};

int mf_launch_way_parse(const char *text, enum mf_launch_way *ret_way, struct mf_error *err)
{
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(text, names[i]) == 0) {
            *ret_way = (enum mf_launch_way)i;
            return 0;
        }
    return mf_error_set(err, -EINVAL, "\"%.100s\" is none of auto, none, srun and mpirun", text);
}

const char *mf_launch_way_name(enum mf_launch_way way)
{
    return names[way];
}

/* --- what there is --- */

/* Whether the text has it as a word, or as the beginning of one: pmix, pmix_v4. */
static bool has_word(const char *text, const char *word)
{
    for (const char *at = text; (at = strstr(at, word)); at++)
        if (at == text || strchr(" \t\n", at[-1]))
            return true;
    return false;
}

/*
 * Whether srun can start ranks that find each other. Returns 1, 0 where Slurm has no PMIx, or
 * -errno when there is no srun that could tell.
 */
static int has_pmix(void)
{
    const char *const words[] = {"srun", "--mpi=list", NULL};
    char text[4096] = "";
    int r = mf_query(words, LIST_TIMEOUT_NS, MF_QUERY_OUTPUT_AND_ERRORS, text, sizeof(text));

    return r == 0 || r == -ECHILD ? has_word(text, "pmix") : r;
}

static bool is_in_path(const char *program)
{
    const char *path = getenv("PATH");
    char file[4096];

    while (path && *path) {
        int n = (int)strcspn(path, ":");

        if (snprintf(file, sizeof(file), "%.*s/%s", n, path, program) < (int)sizeof(file) &&
            access(file, X_OK) == 0)
            return true;
        path += n + (path[n] == ':');
    }
    return false;
}

/* Something has started this process as one rank of several, or the user as the only one. */
static bool is_started(const struct mf_launch *launch, const struct mf_allocation *allocation)
{
    return launch->is_mpi || launch->n_copies > 1 || allocation->is_in_step;
}

/* In a task of another farm, which has its own share of the allocation. */
static bool is_task(void)
{
    return getenv("MPIFARM_TASK_ID") != NULL;
}

/* --- what cannot be --- */

/* What --np and --launch ask for. */
static int check_wish(enum mf_launch_way wanted, uint32_t n_ranks, const struct mf_launch *launch,
                      const struct mf_allocation *allocation, struct mf_error *err)
{
    if (wanted == MF_LAUNCH_NONE && n_ranks > 0)
        return mf_error_set(err, -EINVAL,
                            "--np starts ranks, and --launch=none starts none: leave one of them "
                            "out");
    if (launch->n_copies > 1 || getenv("OMPI_COMM_WORLD_SIZE"))
        return mf_error_set(err, -EINVAL, "--%s starts %s, which has started this already",
                            wanted == MF_LAUNCH_AUTO ? "np" : "launch",
                            getenv("OMPI_COMM_WORLD_SIZE") ? "mpirun" : "ranks with srun");
    if (wanted == MF_LAUNCH_SRUN && !allocation->job)
        return mf_error_set(err, -EINVAL,
                            "--launch=srun: this is in no Slurm job; call it in a batch script "
                            "(sbatch) or in a shell of salloc");
    if (wanted == MF_LAUNCH_MPIRUN && !allocation->job && n_ranks == 0)
        return mf_error_set(err, -EINVAL,
                            "--launch=mpirun: this is in no Slurm job, so say with --np N how many "
                            "ranks there are to be");
    if (wanted == MF_LAUNCH_SRUN && n_ranks > 0 && allocation->n_parts > 1)
        return mf_error_set(err, -EINVAL,
                            "--np %" PRIu32 ": job %s is heterogeneous, where srun starts one rank "
                            "on each node: leave --np out",
                            n_ranks, allocation->job);
    if (wanted == MF_LAUNCH_SRUN && allocation->n_cpus > 0 && n_ranks > allocation->n_cpus)
        return mf_error_set(err, -ERANGE,
                            "--np %" PRIu32 ": job %s has %" PRIu32 " CPUs, and srun starts no "
                            "more ranks than that; without --np there is one for each node, which "
                            "uses all that the node has",
                            n_ranks, allocation->job, allocation->n_cpus);
    return 0;
}

static int check_pmix(struct mf_error *err)
{
    int r = has_pmix();

    if (r < 0)
        return mf_error_set(err, r, "--launch=srun: srun cannot be started: %s", strerror(-r));
    if (r == 0)
        return mf_error_set(err, -ENOTSUP,
                            "--launch=srun: this Slurm has no PMIx, by which ranks find each other "
                            "(\"srun --mpi=list\" shows what it has); use --launch=mpirun");
    return 0;
}

/* --- the choice --- */

/* One on each node, by what there is. */
static int choose_way(const struct mf_allocation *allocation, bool survives,
                      enum mf_launch_way *ret_way, struct mf_error *err)
{
    bool has_mpirun = is_in_path("mpirun");

    if ((!(survives && has_mpirun) || allocation->n_parts > 1) && has_pmix() == 1) {
        *ret_way = MF_LAUNCH_SRUN;
        return 0;
    }
    if (has_mpirun) {
        *ret_way = MF_LAUNCH_MPIRUN;
        return 0;
    }
    return mf_error_set(err, -ENOENT,
                        "nothing can start ranks on the %" PRIu32 " nodes of job %s: its srun has "
                        "no PMIx (\"srun --mpi=list\"), and mpirun is not in PATH; load Open MPI, "
                        "or use --launch=none for this node alone",
                        allocation->n_nodes, allocation->job);
}

/* Without --launch and --np. */
static int choose_freely(const struct mf_launch *launch, bool survives,
                         struct mf_launching *launching, struct mf_error *err)
{
    const struct mf_allocation *allocation = &launching->allocation;

    if (!allocation->job || is_started(launch, allocation) || is_task())
        return 0;
    if (allocation->n_nodes == 1 && allocation->is_on_node)
        return 0;
    return choose_way(allocation, survives, &launching->way, err);
}

/* Open MPI finds the nodes of the first component, and would leave the others idle. */
static int check_parts(const struct mf_launching *launching, struct mf_error *err)
{
    const struct mf_allocation *allocation = &launching->allocation;

    if (launching->way != MF_LAUNCH_MPIRUN || allocation->n_parts < 2)
        return 0;
    return mf_error_set(err, -ENOTSUP,
                        "job %s is heterogeneous, and mpirun would use the nodes of its first "
                        "component alone: use --launch=srun where \"srun --mpi=list\" shows pmix, "
                        "else a job without components, or --launch=none for this node alone",
                        allocation->job);
}

int mf_launching_choose(enum mf_launch_way wanted, uint32_t n_ranks, bool survives,
                        const struct mf_launch *launch, struct mf_launching *ret_launching,
                        struct mf_error *err)
{
    struct mf_launching launching = {.way = MF_LAUNCH_NONE, .n_ranks = n_ranks};
    bool is_asked = n_ranks > 0 || wanted > MF_LAUNCH_NONE;
    int r = 0;

    *ret_launching = launching;
    if (mf_ending_is_awaited())
        return 0;
    if (is_asked || wanted == MF_LAUNCH_AUTO)
        r = mf_allocation_find(&launching.allocation, err);
    if (r >= 0 && is_asked)
        r = check_wish(wanted, n_ranks, launch, &launching.allocation, err);
    if (r < 0)
        return r;
    if (is_asked)
        launching.way = wanted == MF_LAUNCH_AUTO ? MF_LAUNCH_MPIRUN : wanted;
    else if (wanted == MF_LAUNCH_AUTO)
        r = choose_freely(launch, survives, &launching, err);
    if (r >= 0 && wanted == MF_LAUNCH_SRUN)
        r = check_pmix(err);
    if (r >= 0)
        r = check_parts(&launching, err);
    if (r < 0)
        return r;
    launching.is_per_node = launching.way != MF_LAUNCH_NONE && n_ranks == 0;
    if (launching.is_per_node)
        launching.n_ranks = launching.allocation.n_nodes;
    *ret_launching = launching;
    return 0;
}
