/* The cores of synthetic machines, and of this one. */
#include "topo/topo.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

static struct mf_core *read_cores(const char *synthetic, uint32_t *ret_n)
{
    struct mf_core *cores = NULL;
    struct mf_error err = {0};

    cr_assert(eq(int, mf_topo_cores(synthetic, &cores, ret_n, &err), 0), "%s", err.text);
    return cores;
}

Test(topo, synthetic_machine_has_its_cores_with_all_hardware_threads)
{
    uint32_t n;
    struct mf_core *cores = read_cores("pack:2 numa:1 core:4 pu:2", &n);

    cr_assert(eq(u32, n, 8));
    for (uint32_t i = 0; i < n; i++) {
        cr_assert(eq(u32, cores[i].n_cpus, 2));
        cr_assert(lt(u32, cores[i].cpus[0], cores[i].cpus[1]));
    }
    free(cores);
}

Test(topo, no_hardware_thread_belongs_to_two_cores)
{
    uint32_t n, seen = 0;
    struct mf_core *cores = read_cores("pack:2 core:4 pu:2", &n);

    for (uint32_t i = 0; i < n; i++)
        for (uint32_t j = 0; j < cores[i].n_cpus; j++) {
            cr_assert(zero(u32, seen & UINT32_C(1) << cores[i].cpus[j]));
            seen |= UINT32_C(1) << cores[i].cpus[j];
        }
    cr_assert(eq(u32, seen, 0xffff));
    free(cores);
}

Test(topo, cores_know_their_package_and_numa_node)
{
    uint32_t n;
    struct mf_core *cores = read_cores("pack:2 numa:2 core:2 pu:1", &n);
    static const uint32_t packages[] = {0, 0, 0, 0, 1, 1, 1, 1};
    static const uint32_t numas[] = {0, 0, 1, 1, 2, 2, 3, 3};

    cr_assert(eq(u32, n, 8));
    for (uint32_t i = 0; i < n; i++) {
        cr_assert(eq(u32, cores[i].package, packages[i]));
        cr_assert(eq(u32, cores[i].numa, numas[i]));
    }
    free(cores);
}

Test(topo, machine_without_core_level_has_one_core_per_hardware_thread)
{
    uint32_t n;
    struct mf_core *cores = read_cores("numa:1 pu:3", &n);

    cr_assert(eq(u32, n, 3));
    cr_assert(eq(u32, cores[2].n_cpus, 1));
    free(cores);
}

Test(topo, hardware_threads_beyond_the_most_of_a_core_are_left_out)
{
    uint32_t n;
    struct mf_core *cores = read_cores("core:2 pu:12", &n);

    cr_assert(eq(u32, n, 2));
    cr_assert(eq(u32, cores[0].n_cpus, MF_CORE_MAX_CPUS));
    free(cores);
}

Test(topo, malformed_synthetic_machine_is_refused_with_a_sentence)
{
    struct mf_core *cores = NULL;
    struct mf_error err = {0};
    uint32_t n = 7;

    cr_assert(eq(int, mf_topo_cores("four cores, please", &cores, &n, &err), -EINVAL));
    cr_assert(ne(ptr, strstr(err.text, "four cores, please"), NULL));
    cr_assert(eq(ptr, cores, NULL));
    cr_assert(eq(u32, n, 7));
}

Test(topo, this_machine_has_just_the_hardware_threads_it_may_run_on)
{
    cpu_set_t usable;
    uint32_t n, n_cpus = 0;
    struct mf_core *cores = read_cores(NULL, &n);

    cr_assert(zero(int, sched_getaffinity(0, sizeof(usable), &usable)));
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t j = 0; j < cores[i].n_cpus; j++, n_cpus++)
            cr_assert(eq(int, CPU_ISSET(cores[i].cpus[j], &usable) != 0, 1));
    cr_assert(eq(int, (int)n_cpus, CPU_COUNT(&usable)));
    free(cores);
}

Test(topo, process_bound_to_one_hardware_thread_has_one_core)
{
    cpu_set_t usable, one;
    int first = 0;
    uint32_t n;
    struct mf_core *cores;

    cr_assert(zero(int, sched_getaffinity(0, sizeof(usable), &usable)));
    while (!CPU_ISSET(first, &usable))
        first++;
    CPU_ZERO(&one);
    CPU_SET(first, &one);
    cr_assert(zero(int, sched_setaffinity(0, sizeof(one), &one)));

    cores = read_cores(NULL, &n);
    cr_assert(eq(u32, n, 1));
    cr_assert(eq(u32, cores[0].n_cpus, 1));
    cr_assert(eq(u32, cores[0].cpus[0], (uint32_t)first));
    free(cores);
}

Test(topo, reading_the_machine_leaves_the_process_bound_as_it_was)
{
    cpu_set_t before, after;
    uint32_t n;

    cr_assert(zero(int, sched_getaffinity(0, sizeof(before), &before)));
    free(read_cores(NULL, &n));
    cr_assert(zero(int, sched_getaffinity(0, sizeof(after), &after)));
    cr_assert(eq(int, CPU_EQUAL(&before, &after), 1));
}
