/*
 * The cores of this machine, or of a synthetic one, read with hwloc.
 *
 * The topology lives only inside mf_topo_cores(); what leaves is a plain array
 * that belongs to the caller. Runs on the rank's one thread, at its start.
 */
#include "topo/topo.h"

#include <errno.h>
#include <hwloc.h>
#include <stdlib.h>
#include <string.h>

/* Plugins that look for graphics cards and PCI devices cost far more time than
 * all the rest and tell nothing about cores; so does binding to each core in
 * turn to ask it (x86) what the kernel already said. */
static const char *const unused_components[] = {"x86",  "pci",  "opencl",    "cuda",
                                                "nvml", "rsmi", "levelzero", "gl"};

static int load_topology(const char *synthetic, hwloc_topology_t *ret_topology,
                         struct mf_error *err)
{
    hwloc_topology_t topology;

    if (hwloc_topology_init(&topology) < 0)
        return mf_error_set(err, -ENOMEM, "out of memory while reading the processor topology");

    if (synthetic && hwloc_topology_set_synthetic(topology, synthetic) < 0) {
        hwloc_topology_destroy(topology);
        return mf_error_set(err, -EINVAL,
                            "cannot understand the synthetic topology \"%s\"; write it like "
                            "\"pack:2 numa:1 core:4 pu:2\"",
                            synthetic);
    }

    /* Each of these only saves time, so a refusal does no harm. */
    for (size_t i = 0; i < sizeof(unused_components) / sizeof(unused_components[0]); i++)
        hwloc_topology_set_components(topology, HWLOC_TOPOLOGY_COMPONENTS_FLAG_BLACKLIST,
                                      unused_components[i]);

    if (hwloc_topology_load(topology) < 0) {
        int error = errno ? errno : EIO;

        hwloc_topology_destroy(topology);
        return mf_error_set(err, -error, "cannot read the processor topology: %s", strerror(error));
    }
    *ret_topology = topology;
    return 0;
}

/* The hardware threads that the topology has and this thread may run on. */
static hwloc_bitmap_t usable_cpus(hwloc_topology_t topology)
{
    hwloc_bitmap_t usable = hwloc_bitmap_dup(hwloc_topology_get_allowed_cpuset(topology));
    hwloc_bitmap_t bound;

    if (!usable || !hwloc_topology_is_thissystem(topology))
        return usable;

    bound = hwloc_bitmap_alloc();
    if (!bound) {
        hwloc_bitmap_free(usable);
        return NULL;
    }
    /* A system that cannot tell what it is bound to does not bind. */
    if (hwloc_get_cpubind(topology, bound, HWLOC_CPUBIND_THREAD) == 0 &&
        hwloc_bitmap_intersects(usable, bound))
        hwloc_bitmap_and(usable, usable, bound);
    hwloc_bitmap_free(bound);
    return usable;
}

static void add_cpu(struct mf_core *core, uint32_t cpu)
{
    uint32_t i;

    if (core->n_cpus == MF_CORE_MAX_CPUS)
        return;
    for (i = core->n_cpus; i > 0 && core->cpus[i - 1] > cpu; i--)
        core->cpus[i] = core->cpus[i - 1];
    core->cpus[i] = cpu;
    core->n_cpus++;
}

static void start_core(hwloc_topology_t topology, hwloc_obj_t pu, struct mf_core *core)
{
    hwloc_obj_t package = hwloc_get_ancestor_obj_by_type(topology, HWLOC_OBJ_PACKAGE, pu);
    int numa = pu->nodeset ? hwloc_bitmap_first(pu->nodeset) : 0;

    *core = (struct mf_core){
        .numa = numa > 0 ? (uint32_t)numa : 0,
        .package = package ? package->logical_index : 0,
    };
}

/* Groups the usable hardware threads by their core. Where the system does not
 * know of cores, as in some virtual machines, each thread counts as one. */
static uint32_t collect_cores(hwloc_topology_t topology, hwloc_const_bitmap_t usable,
                              struct mf_core *cores)
{
    hwloc_obj_t pu = NULL, last = NULL;
    uint32_t n_cores = 0;

    while ((pu = hwloc_get_next_obj_by_type(topology, HWLOC_OBJ_PU, pu))) {
        hwloc_obj_t owner = hwloc_get_ancestor_obj_by_type(topology, HWLOC_OBJ_CORE, pu);

        if (!hwloc_bitmap_isset(usable, pu->os_index))
            continue;
        if (!owner)
            owner = pu;
        if (owner != last)
            start_core(topology, pu, &cores[n_cores++]);
        last = owner;
        add_cpu(&cores[n_cores - 1], pu->os_index);
    }
    return n_cores;
}

int mf_topo_cores(const char *synthetic, struct mf_core **ret_cores, uint32_t *ret_n_cores,
                  struct mf_error *err)
{
    hwloc_topology_t topology = NULL;
    hwloc_bitmap_t usable;
    struct mf_core *cores;
    uint32_t n_cores;
    int n_pus, r;

    r = load_topology(synthetic, &topology, err);
    if (r < 0)
        return r;

    n_pus = hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_PU);
    cores = calloc(n_pus > 0 ? (size_t)n_pus : 1, sizeof(*cores));
    usable = usable_cpus(topology);
    if (!cores || !usable) {
        r = mf_error_set(err, -ENOMEM, "out of memory while reading the processor topology");
        goto out;
    }

    n_cores = collect_cores(topology, usable, cores);
    if (n_cores == 0) {
        r = mf_error_set(err, -ENODEV, "this process may use no core at all");
        goto out;
    }
    *ret_cores = cores;
    *ret_n_cores = n_cores;
    cores = NULL;
out:
    hwloc_bitmap_free(usable);
    hwloc_topology_destroy(topology);
    free(cores);
    return r;
}
