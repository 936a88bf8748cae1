/* HELLO and WELCOME survive the way; damaged ones are refused. */
#include "runtime/node.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <stdlib.h>

Test(node, cores_survive_the_way)
{
    struct mf_core sent[2] = {{.n_cpus = 2, .cpus = {0, 8}, .numa = 1, .package = 3},
                              {.n_cpus = 1, .cpus = {4}}};
    struct mf_buffer bytes = {0};
    struct mf_core *cores;
    uint32_t n_cores;

    mf_node_encode_cores(sent, 2, &bytes);
    cr_assert(eq(int, mf_node_decode_cores(bytes.data, bytes.size, &cores, &n_cores), 0));
    cr_assert(eq(u32, n_cores, 2));
    cr_assert(eq(u32, cores[0].cpus[1], 8));
    cr_assert(eq(u32, cores[0].package, 3));
    cr_assert(eq(u32, cores[1].cpus[0], 4));
    for (size_t size = 0; size < bytes.size; size++)
        cr_assert(eq(int, mf_node_decode_cores(bytes.data, size, &cores, &n_cores), -EBADMSG));
    free(cores);
    mf_buffer_finish(&bytes);
}

Test(node, memory_and_gpus_survive_the_way)
{
    struct mf_core core = {.n_cpus = 1, .cpus = {6}};
    struct mf_gpu gpus[2] = {{"GPU-8932f937", MF_GPU_ROCR, 7, 2, 1}, {"3", .numa = MF_NOWHERE}};
    struct mf_topo_resources sent = {.mem_bytes = UINT64_C(5) << 40, .gpus = gpus, .n_gpus = 2};
    struct mf_buffer bytes = {0};
    struct mf_offer got;

    mf_node_encode_offer(&core, 1, &sent, &bytes);
    for (size_t size = 0; size < bytes.size; size++)
        cr_assert(eq(int, mf_node_decode_offer(bytes.data, size, &got), -EBADMSG));
    cr_assert(eq(int, mf_node_decode_offer(bytes.data, bytes.size, &got), 0));
    cr_assert(eq(u32, got.cores[0].cpus[0], 6));
    cr_assert(eq(u64, got.resources.mem_bytes, UINT64_C(5) << 40));
    cr_assert(eq(u32, got.resources.n_gpus, 2));
    cr_assert(eq(str, got.resources.gpus[0].id, "GPU-8932f937"));
    cr_assert(eq(int, got.resources.gpus[0].kind, MF_GPU_ROCR));
    cr_assert(eq(u32, got.resources.gpus[0].number, 7));
    cr_assert(eq(u32, got.resources.gpus[0].numa, 2));
    cr_assert(eq(u32, got.resources.gpus[0].package, 1));
    cr_assert(eq(str, got.resources.gpus[1].id, "3"));
    cr_assert(eq(u32, got.resources.gpus[1].numa, MF_NOWHERE));
    mf_offer_finish(&got);
    mf_buffer_finish(&bytes);
}

Test(node, a_welcome_gives_slots_their_numbers_and_processors)
{
    uint32_t slot_cores[2] = {1, 0};
    struct mf_core pool[2] = {{.n_cpus = 1, .cpus = {6}},
                              {2, {7, 15}, .numa = 3, .package = 1, .cache = 4}};
    struct mf_gpu gpu = {"7"};
    struct mf_topo_rank share = {
        .first_slot = 5, .n_slots = 2, .slot_cores = slot_cores, .gpus = &gpu, .n_gpus = 1};
    struct mf_topo_split split = {.pool = pool, .n_pool = 2};
    struct mf_buffer bytes = {0};
    struct mf_welcome welcome;

    mf_node_encode_welcome("/run/dir", &share, &split, true, true, &bytes);
    cr_assert(eq(int, mf_node_decode_welcome(bytes.data, bytes.size, &welcome), 0));
    cr_assert(eq(str, welcome.run_dir, "/run/dir"));
    cr_assert(welcome.suspends);
    cr_assert(eq(u32, welcome.n_slots, 2));
    cr_assert(eq(u32, welcome.slots[0].number, 5));
    cr_assert(eq(u32, welcome.slots[0].n_cpus, 2));
    cr_assert(eq(u32, welcome.slots[0].cpus[1], 15));
    cr_assert(eq(u32, welcome.places[0].core, 1));
    cr_assert(eq(u32, welcome.places[0].cache, 4));
    cr_assert(eq(u32, welcome.places[0].numa, 3));
    cr_assert(eq(u32, welcome.places[0].package, 1));
    cr_assert(eq(u32, welcome.slots[1].number, 6));
    cr_assert(eq(u32, welcome.slots[1].cpus[0], 6));
    cr_assert(eq(u32, welcome.n_gpus, 1));
    cr_assert(eq(str, welcome.gpus[0].id, "7"));
    mf_welcome_finish(&welcome);
    for (size_t size = 0; size < bytes.size; size++)
        cr_assert(eq(int, mf_node_decode_welcome(bytes.data, size, &welcome), -EBADMSG));
    mf_buffer_finish(&bytes);
}

Test(node, without_pinning_slots_have_no_processors)
{
    uint32_t slot_cores[1] = {0};
    struct mf_core pool[1] = {{.n_cpus = 1, .cpus = {6}}};
    struct mf_topo_rank share = {.first_slot = 1, .n_slots = 1, .slot_cores = slot_cores};
    struct mf_topo_split split = {.pool = pool, .n_pool = 1};
    struct mf_buffer bytes = {0};
    struct mf_welcome welcome;

    mf_node_encode_welcome("/", &share, &split, false, false, &bytes);
    cr_assert(eq(int, mf_node_decode_welcome(bytes.data, bytes.size, &welcome), 0));
    cr_assert(eq(u32, welcome.slots[0].n_cpus, 0));
    cr_assert_not(welcome.suspends);
    mf_welcome_finish(&welcome);
    mf_buffer_finish(&bytes);
}

Test(node, in_a_job_of_slurm_it_has_the_name_that_slurm_gave_it)
{
    char name[MF_HOST_SIZE], host[MF_HOST_SIZE];

    mf_node_host(host);
    unsetenv("SLURM_JOB_ID");
    setenv("SLURMD_NODENAME", "n7", 1);
    mf_node_name(name);
    cr_assert(eq(str, name, host), "an old variable says nothing");
    setenv("SLURM_JOB_ID", "1", 1);
    mf_node_name(name);
    cr_assert(eq(str, name, "n7"));
    unsetenv("SLURMD_NODENAME");
    host[strcspn(host, ".")] = '\0';
    mf_node_name(name);
    cr_assert(eq(str, name, host));
}
