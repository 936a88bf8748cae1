/* What the environment says of the launcher. */
#include "runtime/launch.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Each test is a process of its own, so its environment is too. */
static void setup(void)
{
    clearenv();
}

TestSuite(launch, .init = setup);

Test(launch, alone_without_any_launcher)
{
    struct mf_launch launch;

    cr_assert(eq(int, mf_launch_detect(&launch, NULL), 0));
    cr_assert(not(launch.is_mpi));
    cr_assert(eq(u32, launch.n_copies, 1));
}

Test(launch, a_rank_of_mpirun)
{
    struct mf_launch launch;

    setenv("OMPI_COMM_WORLD_SIZE", "8", 1);
    setenv("OMPI_COMM_WORLD_RANK", "3", 1);
    cr_assert(eq(int, mf_launch_detect(&launch, NULL), 0));
    cr_assert(launch.is_mpi);
    cr_assert(eq(u32, launch.rank, 3));
    cr_assert(eq(u32, launch.n_copies, 8));
    /* On other nodes of a job its daemons are steps of srun. */
    setenv("SLURM_STEP_ID", "0", 1);
    setenv("SLURM_PROCID", "2", 1);
    setenv("SLURM_STEP_NUM_TASKS", "4", 1);
    cr_assert(eq(int, mf_launch_detect(&launch, NULL), 0));
    cr_assert(not(launch.is_fragile));
}

Test(launch, a_rank_of_srun_with_pmix)
{
    struct mf_launch launch;

    setenv("SLURM_STEP_ID", "0", 1);
    setenv("SLURM_PROCID", "2", 1);
    setenv("SLURM_STEP_NUM_TASKS", "4", 1);
    setenv("PMIX_RANK", "2", 1);
    cr_assert(eq(int, mf_launch_detect(&launch, NULL), 0));
    cr_assert(launch.is_mpi);
    cr_assert(eq(u32, launch.rank, 2));
    cr_assert(launch.is_fragile);
    setenv("SLURM_STEP_NUM_TASKS", "1", 1);
    cr_assert(eq(int, mf_launch_detect(&launch, NULL), 0));
    cr_assert(not(launch.is_fragile), "alone it takes nobody with it");
}

Test(launch, srun_without_pmix_is_refused)
{
    struct mf_launch launch;
    struct mf_error err;

    setenv("SLURM_STEP_ID", "0", 1);
    setenv("SLURM_PROCID", "1", 1);
    setenv("SLURM_STEP_NUM_TASKS", "4", 1);
    cr_assert(eq(int, mf_launch_detect(&launch, &err), -EINVAL));
    cr_assert(strstr(err.text, "srun --mpi=pmix") != NULL);
    cr_assert(eq(u32, launch.rank, 1), "only rank 0 need say so");
}

Test(launch, a_batch_script_of_many_tasks_is_alone)
{
    struct mf_launch launch;

    setenv("SLURM_NTASKS", "64", 1);
    setenv("SLURM_PROCID", "0", 1);
    cr_assert(eq(int, mf_launch_detect(&launch, NULL), 0));
    cr_assert(not(launch.is_mpi));
}

Test(launch, the_shell_of_salloc_on_a_node_is_no_rank)
{
    struct mf_launch launch;

    setenv("SLURM_STEP_ID", "4294967290", 1);
    setenv("SLURM_PROCID", "0", 1);
    setenv("SLURM_STEP_NUM_TASKS", "1", 1);
    setenv("PMIX_RANK", "0", 1);
    cr_assert(eq(int, mf_launch_detect(&launch, NULL), 0));
    cr_assert(not(launch.is_mpi));
    cr_assert(eq(u32, launch.n_copies, 1));
}

Test(launch, the_mpiexec_of_another_mpi_is_refused)
{
    struct mf_launch launch;
    struct mf_error err;

    setenv("PMI_SIZE", "4", 1);
    setenv("PMI_RANK", "0", 1);
    cr_assert(eq(int, mf_launch_detect(&launch, &err), -EINVAL));
    cr_assert(strstr(err.text, "Open MPI") != NULL);
}

Test(launch, ranks_that_mpi_init_did_not_bring_together_are_refused)
{
    struct mf_launch launch = {.is_mpi = true, .n_copies = 4};
    struct mf_error err;

    cr_assert(eq(int, mf_launch_verify(&launch, 1, &err), -EINVAL));
    cr_assert(eq(int, mf_launch_verify(&launch, 4, &err), 0));
}
