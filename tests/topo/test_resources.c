/*
 * What a node has, read from made-up trees of /proc, /sys and /dev, and how
 * ranks share it.
 */
#include "t_root.h"

#include "topo/resources.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

TestSuite(resources, .init = t_make_root, .fini = t_remove_root);

static void put_machine(void)
{
    t_put("/proc/meminfo", "MemTotal:       8388608 kB\nMemFree:         4194304 kB\n");
}

static uint64_t memory(void)
{
    struct mf_topo_resources found;
    uint64_t mem_bytes;

    cr_assert(eq(int, mf_topo_resources(t_root, &found), 0));
    mem_bytes = found.mem_bytes;
    mf_topo_resources_finish(&found);
    return mem_bytes;
}

/* The ids of the GPUs, "0 1"; valid until the next call. */
static char *gpus(void)
{
    static char text[1024];
    struct mf_topo_resources found;
    size_t size = 0;

    text[0] = '\0';
    cr_assert(eq(int, mf_topo_resources(t_root, &found), 0));
    for (uint32_t i = 0; i < found.n_gpus; i++)
        size += (size_t)snprintf(text + size, sizeof(text) - size, "%s%s", i ? " " : "",
                                 found.gpus[i].id);
    mf_topo_resources_finish(&found);
    return text;
}

Test(resources, memory_is_that_of_the_machine_where_nothing_limits_it)
{
    put_machine();
    cr_assert(eq(u64, memory(), 8 * GIB));
}

Test(resources, memory_that_cannot_be_found_out_is_unknown)
{
    cr_assert(eq(u64, memory(), 0));
    t_put("/proc/meminfo", "nonsense\n");
    cr_assert(eq(u64, memory(), 0));
}

Test(resources, the_least_limit_of_a_cgroup_and_those_above_it_counts)
{
    put_machine();
    t_put("/proc/self/cgroup", "0::/slurm/job_1/step_0\n");
    t_put("/sys/fs/cgroup/slurm/job_1/step_0/memory.max", "max\n");
    cr_assert(eq(u64, memory(), 8 * GIB));
    t_put("/sys/fs/cgroup/slurm/memory.max", "4294967296\n");
    cr_assert(eq(u64, memory(), 4 * GIB));
    t_put("/sys/fs/cgroup/slurm/job_1/memory.max", "1073741824\n");
    cr_assert(eq(u64, memory(), GIB));
    t_put("/sys/fs/cgroup/memory.max", "536870912\n");
    cr_assert(eq(u64, memory(), GIB / 2));
}

Test(resources, a_cgroup_of_version_1_limits_too)
{
    put_machine();
    t_put("/proc/self/cgroup", "5:cpu,cpuacct:/a\n4:memory:/slurm/job_1\n1:name=systemd:/b\n");
    t_put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    cr_assert(eq(u64, memory(), 8 * GIB));
    t_put("/sys/fs/cgroup/memory/slurm/job_1/memory.limit_in_bytes", "2147483648\n");
    cr_assert(eq(u64, memory(), 2 * GIB));
}

Test(resources, a_path_that_is_not_to_be_seen_here_leaves_the_limits_above)
{
    put_machine();
    t_put("/proc/self/cgroup", "0::/docker/1234\n");
    t_put("/sys/fs/cgroup/memory.max", "3221225472\n");
    cr_assert(eq(u64, memory(), 3 * GIB));
}

Test(resources, slurm_limits_the_memory_of_a_node)
{
    put_machine();
    setenv("SLURM_MEM_PER_NODE", "2000", 1);
    cr_assert(eq(u64, memory(), 2000 * MIB));
    setenv("SLURM_MEM_PER_NODE", "0", 1);
    cr_assert(eq(u64, memory(), 8 * GIB));
    setenv("SLURM_MEM_PER_CPU", "500", 1);
    setenv("SLURM_CPUS_ON_NODE", "3", 1);
    cr_assert(eq(u64, memory(), 1500 * MIB));
}

/* Cores that are used of four with two processors each, and whether some were left out. */
static uint32_t n_granted(bool *ret_is_part)
{
    static const struct mf_core cores[4] = {
        {.n_cpus = 2}, {.n_cpus = 2}, {.n_cpus = 2}, {.n_cpus = 2}};
    uint32_t n_cores = 4;

    *ret_is_part = mf_topo_keep_granted(cores, &n_cores);
    return n_cores;
}

Test(resources, no_more_cores_are_used_than_slurm_has_granted)
{
    bool is_part;

    setenv("SLURM_JOB_ID", "1", 1);
    setenv("SLURM_CPUS_ON_NODE", "4", 1);
    cr_assert(eq(u32, n_granted(&is_part), 2));
    cr_assert(is_part);
    setenv("SLURM_CPUS_ON_NODE", "3", 1);
    cr_assert(eq(u32, n_granted(&is_part), 2));
    setenv("SLURM_CPUS_ON_NODE", "1", 1);
    cr_assert(eq(u32, n_granted(&is_part), 1));
}

Test(resources, cores_to_which_the_job_is_confined_are_all_used)
{
    bool is_part;

    cr_assert(eq(u32, n_granted(&is_part), 4));
    setenv("SLURM_JOB_ID", "1", 1);
    cr_assert(eq(u32, n_granted(&is_part), 4));
    setenv("SLURM_CPUS_ON_NODE", "8", 1);
    cr_assert(eq(u32, n_granted(&is_part), 4));
    cr_assert_not(is_part);
    setenv("SLURM_CPUS_ON_NODE", "64", 1);
    cr_assert(eq(u32, n_granted(&is_part), 4));
}

Test(resources, a_list_of_visible_gpus_goes_before_all_else)
{
    t_put("/dev/nvidia0", "");
    setenv("SLURM_JOB_GPUS", "4,5", 1);
    cr_assert(eq(str, gpus(), "4 5"));
    setenv("SLURM_STEP_GPUS", "5", 1);
    cr_assert(eq(str, gpus(), "5"));
    setenv("CUDA_VISIBLE_DEVICES", "GPU-8932f937-d72c-4106-c12f-20bd9faed9f6,2,2", 1);
    cr_assert(eq(str, gpus(), "GPU-8932f937-d72c-4106-c12f-20bd9faed9f6 2"));
}

Test(resources, a_list_that_hides_gpus_is_obeyed)
{
    t_put("/dev/nvidia0", "");
    setenv("CUDA_VISIBLE_DEVICES", "", 1);
    cr_assert(eq(str, gpus(), ""));
    setenv("CUDA_VISIBLE_DEVICES", "NoDevFiles", 1);
    cr_assert(eq(str, gpus(), ""));
    setenv("CUDA_VISIBLE_DEVICES", "1,-1,0", 1);
    cr_assert(eq(str, gpus(), "1"));
}

Test(resources, devices_are_counted_where_there_is_no_list)
{
    cr_assert(eq(str, gpus(), ""));
    t_put("/dev/nvidia1", "");
    t_put("/dev/nvidia0", "");
    t_put("/dev/nvidiactl", "");
    t_put("/dev/nvidia-uvm", "");
    t_put("/dev/null", "");
    cr_assert(eq(str, gpus(), "0 1"));
}

Test(resources, a_number_of_gpus_keeps_the_first_or_numbers_them)
{
    struct mf_topo_resources found;

    setenv("CUDA_VISIBLE_DEVICES", "7,8", 1);
    cr_assert(eq(int, mf_topo_resources(t_root, &found), 0));
    cr_assert(eq(int, mf_topo_resources_set_gpus(&found, 1), 0));
    cr_assert(eq(u32, found.n_gpus, 1));
    cr_assert(eq(str, found.gpus[0].id, "7"));
    cr_assert(eq(int, mf_topo_resources_set_gpus(&found, 3), 0));
    cr_assert(eq(u32, found.n_gpus, 3));
    cr_assert(eq(str, found.gpus[2].id, "2"));
    cr_assert(eq(int, mf_topo_resources_set_gpus(&found, MF_MAX_GPUS + 1), -EINVAL));
    mf_topo_resources_finish(&found);
}

/* --- sharing --- */

/* Ids 0, 1, ... n - 1. */
static struct mf_topo_resources have(uint64_t mem_bytes, uint32_t n_gpus)
{
    struct mf_topo_resources resources = {.mem_bytes = mem_bytes};

    cr_assert(eq(int, mf_topo_resources_set_gpus(&resources, n_gpus), 0));
    return resources;
}

/* The GPUs of each rank, "0 1|2"; valid until the next call. */
static char *shares(struct mf_topo_rank *ranks, uint32_t n_ranks)
{
    static char text[1024];
    static uint32_t first_core[8];
    struct mf_core core = {.n_cpus = 1};
    struct mf_topo_split split = {.pool = &core, .n_pool = 1};
    size_t size = 0;

    for (uint32_t r = 0; r < n_ranks; r++)
        ranks[r].slot_cores = first_core;
    text[0] = '\0';
    cr_assert(eq(int, mf_topo_share_resources(ranks, n_ranks, &split), 0));
    for (uint32_t r = 0; r < n_ranks; r++) {
        if (r > 0)
            text[size++] = '|';
        for (uint32_t i = 0; i < ranks[r].n_gpus; i++)
            size += (size_t)snprintf(text + size, sizeof(text) - size, "%s%s", i ? " " : "",
                                     ranks[r].gpus[i].id);
        text[size] = '\0';
    }
    free(split.gpus);
    return text;
}

Test(resources, ranks_share_memory_in_proportion_to_their_slots)
{
    struct mf_topo_resources all = have(8 * GIB, 0);
    struct mf_topo_rank ranks[3] = {
        {.has = &all}, {.has = &all, .n_slots = 3}, {.has = &all, .n_slots = 1}};

    shares(ranks, 3);
    cr_assert(eq(u64, ranks[0].mem_bytes, 0));
    cr_assert(eq(u64, ranks[1].mem_bytes, 6 * GIB));
    cr_assert(eq(u64, ranks[2].mem_bytes, 2 * GIB));
}

Test(resources, no_rank_gets_more_memory_than_it_may_use)
{
    struct mf_topo_resources all = have(8 * GIB, 0), less = have(GIB, 0), none = {0};
    struct mf_topo_rank ranks[2] = {{.has = &all, .n_slots = 1}, {.has = &less, .n_slots = 1}};
    struct mf_topo_rank unknown = {.has = &none, .n_slots = 1};

    shares(ranks, 2);
    cr_assert(eq(u64, ranks[0].mem_bytes, 4 * GIB));
    cr_assert(eq(u64, ranks[1].mem_bytes, GIB));
    shares(&unknown, 1);
    cr_assert(eq(u64, unknown.mem_bytes, 0));
}

Test(resources, each_gpu_goes_to_one_worker_and_neighbours_stay_together)
{
    struct mf_topo_resources all = have(0, 4);
    struct mf_topo_rank ranks[3] = {
        {.has = &all}, {.has = &all, .n_slots = 2}, {.has = &all, .n_slots = 2}};

    cr_assert(eq(str, shares(ranks, 3), "|0 1|2 3"));
    ranks[1].n_slots = 6;
    cr_assert(eq(str, shares(ranks, 3), "|0 1 2|3"));
    mf_topo_resources_finish(&all);
}

Test(resources, a_gpu_goes_to_a_worker_that_may_use_it)
{
    struct mf_gpu zero = {"0"}, one = {"1"}, five = {"5"};
    struct mf_topo_resources a = {.gpus = &five, .n_gpus = 1}, b = {.gpus = &one, .n_gpus = 1},
                             c = {.gpus = &zero, .n_gpus = 1};
    struct mf_topo_rank ranks[3] = {
        {.has = &a}, {.has = &b, .n_slots = 1}, {.has = &c, .n_slots = 1}};

    cr_assert(eq(str, shares(ranks, 3), "|5 1|0"));
}
