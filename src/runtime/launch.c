/* The launchers' environment variables. No state; before any thread. */
#include "runtime/launch.h"

#include "runtime/allocation.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* The first of the variables that is set to a number, else fallback. */
static uint32_t read_number(const char *const *names, uint32_t fallback)
{
    for (; *names; names++) {
        const char *text = getenv(*names);
        char *end;
        unsigned long value;

        if (!text || *text == '\0')
            continue;
        value = strtoul(text, &end, 10);
        if (*end == '\0' && value <= UINT32_MAX)
            return (uint32_t)value;
    }
    return fallback;
}

/* Slurm starts the steps of a job with this set; the batch script itself is no step of several. */
static bool is_srun_step(void)
{
    return getenv("SLURM_STEP_ID") && getenv("SLURM_PROCID");
}

static int refuse_copies(const struct mf_launch *launch, struct mf_error *err)
{
    if (is_srun_step())
        return mf_error_set(err, -EINVAL,
                            "srun started %" PRIu32 " copies that do not know of each other and "
                            "would each run every task: use srun --mpi=pmix",
                            launch->n_copies);
    return mf_error_set(err, -EINVAL,
                        "the launcher started %" PRIu32 " copies that do not know of each other "
                        "and would each run every task: use the mpirun of Open MPI, which mpifarm "
                        "is built with",
                        launch->n_copies);
}

/* The shell of salloc on the first node is a step of Slurm's own, and nobody's rank. */
static bool is_interactive_step(void)
{
    const char *step = getenv("SLURM_STEP_ID");

    return step && strcmp(step, MF_ALLOCATION_INTERACTIVE_STEP) == 0;
}

int mf_launch_detect(struct mf_launch *ret_launch, struct mf_error *err)
{
    static const char *const ranks[] = {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK",
                                        "SLURM_PROCID", NULL};
    static const char *const step_sizes[] = {"SLURM_STEP_NUM_TASKS", "SLURM_NTASKS", NULL};
    static const char *const other_sizes[] = {"PMI_SIZE", NULL};
    static const char *const open_mpi_sizes[] = {"OMPI_COMM_WORLD_SIZE", NULL};
    static const char *const local_sizes[] = {"OMPI_COMM_WORLD_LOCAL_SIZE", "PMIX_LOCAL_SIZE",
                                              "SLURM_NTASKS_PER_NODE", NULL};
    struct mf_launch launch = {.n_copies = 1};

    launch.is_mpi =
        getenv("OMPI_COMM_WORLD_SIZE") || (getenv("PMIX_RANK") && !is_interactive_step());
    if (getenv("OMPI_COMM_WORLD_SIZE"))
        launch.n_copies = read_number(open_mpi_sizes, 1);
    else if (is_srun_step())
        launch.n_copies = read_number(step_sizes, 1);
    else
        launch.n_copies = read_number(other_sizes, 1);
    launch.is_fragile =
        launch.is_mpi && launch.n_copies > 1 && is_srun_step() && !getenv("OMPI_COMM_WORLD_SIZE");
    if (launch.n_copies > 1 || launch.is_mpi)
        launch.rank = read_number(ranks, 0);
    launch.n_local = launch.is_mpi ? read_number(local_sizes, 0) : 1;
    *ret_launch = launch;
    if (launch.n_copies > 1 && !launch.is_mpi)
        return refuse_copies(&launch, err);
    return 0;
}

int mf_launch_verify(const struct mf_launch *launch, uint32_t n_ranks, struct mf_error *err)
{
    if (n_ranks == 1 && launch->n_copies > 1)
        return refuse_copies(launch, err);
    return 0;
}
