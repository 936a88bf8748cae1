/*
 * Which GPUs a process may use, by its environment and made-up devices, where
 * they are on the machine of gpus.xml, and which of them go to which rank.
 *
 * That machine has two packages of two cores; next to the first a GPU of NVIDIA
 * at 1b:00.0, next to the second two at 9a:00.0 and 9b:00.0 and one of AMD, next
 * to neither one at c1:00.0.
 */
#include "t_root.h"

#include "topo/resources.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MACHINE T_DIR "/gpus.xml"

TestSuite(gpus, .init = t_make_root, .fini = t_remove_root);

/* "CUDA_VISIBLE_DEVICES=0,1"; valid until the next call. */
static char *found(void)
{
    static char text[1024];
    struct mf_topo_resources resources;
    size_t size = 0;

    text[0] = '\0';
    cr_assert(eq(int, mf_topo_resources(t_root, &resources), 0));
    for (uint32_t i = 0; i < resources.n_gpus; i++)
        size += (size_t)snprintf(text + size, sizeof(text) - size, "%s%s%s",
                                 i ? "" : mf_gpu_variable(resources.gpus[i].kind), i ? "," : "=",
                                 resources.gpus[i].id);
    mf_topo_resources_finish(&resources);
    return text;
}

/* The NUMA nodes of the GPUs found, "0 1 -"; valid until the next call. */
static char *located(void)
{
    static char text[1024];
    struct mf_topo_resources resources;
    struct mf_error err = {0};
    size_t size = 0;

    text[0] = '\0';
    cr_assert(eq(int, mf_topo_resources(t_root, &resources), 0));
    cr_assert(eq(int, mf_topo_locate_gpus(t_root, MACHINE, &resources, &err), 0), "%s", err.text);
    for (uint32_t i = 0; i < resources.n_gpus; i++) {
        bool is_known = resources.gpus[i].numa != MF_NOWHERE;

        if (i > 0)
            text[size++] = ' ';
        text[size++] = is_known ? (char)('0' + resources.gpus[i].numa) : '-';
        text[size] = '\0';
    }
    mf_topo_resources_finish(&resources);
    return text;
}

/* --- which --- */

Test(gpus, each_maker_has_a_variable_of_its_own)
{
    setenv("CUDA_VISIBLE_DEVICES", "1,0", 1);
    cr_assert(eq(str, found(), "CUDA_VISIBLE_DEVICES=1,0"));
    unsetenv("CUDA_VISIBLE_DEVICES");
    setenv("ROCR_VISIBLE_DEVICES", "GPU-a1,3", 1);
    cr_assert(eq(str, found(), "ROCR_VISIBLE_DEVICES=GPU-a1,3"));
    unsetenv("ROCR_VISIBLE_DEVICES");
    setenv("HIP_VISIBLE_DEVICES", "2", 1);
    cr_assert(eq(str, found(), "HIP_VISIBLE_DEVICES=2"));
    unsetenv("HIP_VISIBLE_DEVICES");
    setenv("ZE_AFFINITY_MASK", "0.1,1", 1);
    cr_assert(eq(str, found(), "ZE_AFFINITY_MASK=0.1,1"));
}

Test(gpus, parts_of_a_gpu_are_gpus)
{
    setenv("CUDA_VISIBLE_DEVICES",
           "MIG-GPU-8932f937-d72c-4106-c12f-20bd9faed9f6/1/0,"
           "MIG-7f3c2b1a-0d9e-5f11-8a6b-1c2d3e4f5a6b",
           1);
    cr_assert(eq(str, found(),
                 "CUDA_VISIBLE_DEVICES=MIG-GPU-8932f937-d72c-4106-c12f-20bd9faed9f6/1/0,"
                 "MIG-7f3c2b1a-0d9e-5f11-8a6b-1c2d3e4f5a6b"));
}

Test(gpus, gpus_of_amd_are_counted_by_their_driver)
{
    t_put("/sys/class/kfd/kfd/topology/nodes/0/gpu_id", "0\n");
    t_put("/sys/class/kfd/kfd/topology/nodes/1/gpu_id", "51110\n");
    t_put("/sys/class/kfd/kfd/topology/nodes/2/gpu_id", "4711\n");
    cr_assert(eq(str, found(), "ROCR_VISIBLE_DEVICES=0,1"));
    /* Which programs for AMD take for numbers among what ROCR_VISIBLE_DEVICES leaves. */
    setenv("CUDA_VISIBLE_DEVICES", "0", 1);
    setenv("ROCR_VISIBLE_DEVICES", "1", 1);
    cr_assert(eq(str, found(), "ROCR_VISIBLE_DEVICES=1"));
}

Test(gpus, numbers_of_slurm_are_those_of_the_node_where_all_devices_can_be_used)
{
    for (int i = 0; i < 4; i++)
        t_put((const char *[]){"/dev/nvidia0", "/dev/nvidia1", "/dev/nvidia2", "/dev/nvidia3"}[i],
              "");
    setenv("SLURM_JOB_GPUS", "2,3", 1);
    cr_assert(eq(str, found(), "CUDA_VISIBLE_DEVICES=2,3"));
}

Test(gpus, numbers_of_slurm_count_from_0_where_other_devices_cannot_be_used)
{
    t_put("/dev/nvidia0", "");
    t_put("/dev/nvidia2", "");
    t_put("/dev/nvidia3", "");
    t_forbid("/dev/nvidia0");
    setenv("SLURM_JOB_GPUS", "2,3", 1);
    cr_assert(eq(str, found(), "CUDA_VISIBLE_DEVICES=0,1"));
    cr_assert(eq(str, located(), "1 -"));
}

/* --- where --- */

Test(gpus, a_number_is_that_of_a_device_of_its_maker_in_the_order_of_addresses)
{
    setenv("CUDA_VISIBLE_DEVICES", "3,2,1,0,4", 1);
    cr_assert(eq(str, located(), "- 1 1 0 -"));
    unsetenv("CUDA_VISIBLE_DEVICES");
    setenv("ROCR_VISIBLE_DEVICES", "0,1", 1);
    cr_assert(eq(str, located(), "1 -"));
}

Test(gpus, a_gpu_and_its_parts_are_found_by_their_uuid)
{
    t_put("/proc/driver/nvidia/gpus/0000:9a:00.0/information",
          "Model: \t\t A100\nIRQ:   \t\t 9\nGPU UUID: \t GPU-bbbb2222-0000\nBus Type: PCIe\n");
    setenv("CUDA_VISIBLE_DEVICES",
           "GPU-aaaa,GPU-bbbb2222-0000,MIG-GPU-aaaa1111-0000/1/0,GPU-cccc,MIG-aaaa1111", 1);
    cr_assert(eq(str, located(), "0 1 0 - -"));
}

Test(gpus, numbers_that_slurm_has_not_given_are_counted_among_those_that_it_has)
{
    setenv("SLURM_STEP_GPUS", "1,3", 1);
    setenv("CUDA_VISIBLE_DEVICES", "0,1", 1);
    cr_assert(eq(str, located(), "1 -"));
    setenv("CUDA_VISIBLE_DEVICES", "1,3", 1);
    cr_assert(eq(str, located(), "1 -"));
    setenv("SLURM_STEP_GPUS", "0,2", 1);
    setenv("CUDA_VISIBLE_DEVICES", "1,0", 1);
    cr_assert(eq(str, located(), "1 0"));
}

Test(gpus, a_machine_that_cannot_be_read_leaves_them_nowhere)
{
    struct mf_gpu gpu = {.id = "0", .number = 0};
    struct mf_topo_resources resources = {.gpus = &gpu, .n_gpus = 1};
    struct mf_error err = {0};

    cr_assert(lt(int, mf_topo_locate_gpus("", "/no/such.xml", &resources, &err), 0));
    cr_assert(eq(str, err.text, "cannot read a topology from the file \"/no/such.xml\""));
    cr_assert(eq(u32, gpu.numa, MF_NOWHERE));
}

/* --- whose --- */

Test(gpus, each_rank_gets_those_near_its_slots)
{
    static const char lists[] = "1,3,0,2";
    struct mf_topo_resources all;
    struct mf_topo_split split = {0};
    struct mf_jobs jobs = {.kind = MF_JOBS_PLUS};
    struct mf_core *cores;
    uint32_t n_cores;

    setenv("CUDA_VISIBLE_DEVICES", lists, 1);
    cr_assert(eq(int, mf_topo_resources(t_root, &all), 0));
    cr_assert(eq(int, mf_topo_locate_gpus(t_root, MACHINE, &all, NULL), 0));
    cr_assert(eq(int, mf_topo_cores(MACHINE, &cores, &n_cores, NULL), 0));
    struct mf_topo_rank ranks[2] = {
        {.is_worker = true, .cores = cores, .n_cores = n_cores, .has = &all},
        {.is_worker = true, .cores = cores, .n_cores = n_cores, .has = &all}};
    cr_assert(eq(int, mf_topo_share(ranks, 2, &jobs, &split), 0));
    cr_assert(eq(int, mf_topo_share_resources(ranks, 2, &split), 0));
    cr_assert(eq(u32, ranks[0].n_gpus, 2));
    cr_assert(eq(str, (char *)ranks[0].gpus[0].id, "3"));
    cr_assert(eq(str, (char *)ranks[0].gpus[1].id, "0"));
    cr_assert(eq(u32, ranks[1].n_gpus, 2));
    cr_assert(eq(str, (char *)ranks[1].gpus[0].id, "1"));
    cr_assert(eq(str, (char *)ranks[1].gpus[1].id, "2"));
    mf_topo_split_finish(&split);
    mf_topo_resources_finish(&all);
    free(cores);
}
