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

Test(node, a_welcome_gives_slots_their_numbers_and_processors)
{
    uint32_t slot_cores[2] = {1, 0};
    struct mf_core pool[2] = {{.n_cpus = 1, .cpus = {6}}, {.n_cpus = 2, .cpus = {7, 15}}};
    struct mf_topo_rank share = {.first_slot = 5, .n_slots = 2, .slot_cores = slot_cores};
    struct mf_topo_split split = {.pool = pool, .n_pool = 2};
    struct mf_buffer bytes = {0};
    struct mf_welcome welcome;

    mf_node_encode_welcome("/run/dir", &share, &split, true, &bytes);
    cr_assert(eq(int, mf_node_decode_welcome(bytes.data, bytes.size, &welcome), 0));
    cr_assert(eq(str, welcome.run_dir, "/run/dir"));
    cr_assert(eq(u32, welcome.n_slots, 2));
    cr_assert(eq(u32, welcome.slots[0].number, 5));
    cr_assert(eq(u32, welcome.slots[0].n_cpus, 2));
    cr_assert(eq(u32, welcome.slots[0].cpus[1], 15));
    cr_assert(eq(u32, welcome.slots[1].number, 6));
    cr_assert(eq(u32, welcome.slots[1].cpus[0], 6));
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

    mf_node_encode_welcome("/", &share, &split, false, &bytes);
    cr_assert(eq(int, mf_node_decode_welcome(bytes.data, bytes.size, &welcome), 0));
    cr_assert(eq(u32, welcome.slots[0].n_cpus, 0));
    mf_welcome_finish(&welcome);
    mf_buffer_finish(&bytes);
}
