/*
 * The cores and GPUs of this machine, or of a synthetic one, read with hwloc.
 *
 * The topology lives only inside mf_topo_cores() and mf_topo_devices(); what
 * leaves is a plain array that belongs to the caller. Runs on the rank's one
 * thread, at its start.
 */
#include "topo/topo.h"

#include <errno.h>
#include <hwloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Plugins that ask graphics cards, and binding to each core in turn to ask it (x86) what the
 * kernel already said, cost far more time than all the rest; PCI devices tell nothing about cores.
 */
static const char *const unused_components[] = {"x86",  "opencl",    "cuda", "nvml",
                                                "rsmi", "levelzero", "gl",   "pci"};

/* How many of these to leave out; the last is not when GPUs are looked for. */
#define N_UNUSED (sizeof(unused_components) / sizeof(unused_components[0]))

static bool is_xml(const char *name)
{
    size_t length = strlen(name);

    return length > 4 && strcmp(name + length - 4, ".xml") == 0;
}

/* Puts a description in place of this machine. */
static int describe(hwloc_topology_t topology, const char *synthetic, struct mf_error *err)
{
    if (is_xml(synthetic)) {
        if (hwloc_topology_set_xml(topology, synthetic) == 0)
            return 0;
        return mf_error_set(err, -EINVAL, "cannot read a topology from the file \"%s\"", synthetic);
    }
    if (hwloc_topology_set_synthetic(topology, synthetic) == 0)
        return 0;
    return mf_error_set(err, -EINVAL,
                        "cannot understand the synthetic topology \"%s\"; write it like "
                        "\"pack:2 numa:1 core:4 pu:2\"",
                        synthetic);
}

static int load_topology(const char *synthetic, bool with_devices, hwloc_topology_t *ret_topology,
                         struct mf_error *err)
{
    hwloc_topology_t topology;
    int r = 0;

    if (hwloc_topology_init(&topology) < 0)
        return mf_error_set(err, -ENOMEM, "out of memory while reading the processor topology");
    if (synthetic)
        r = describe(topology, synthetic, err);
    if (r < 0)
        goto failed;

    /* Each of these only saves time, so a refusal does no harm. */
    for (size_t i = 0; i < N_UNUSED - with_devices; i++)
        hwloc_topology_set_components(topology, HWLOC_TOPOLOGY_COMPONENTS_FLAG_BLACKLIST,
                                      unused_components[i]);
    if (with_devices)
        hwloc_topology_set_io_types_filter(topology, HWLOC_TYPE_FILTER_KEEP_IMPORTANT);
    if (hwloc_topology_load(topology) < 0) {
        int error = errno ? errno : EIO;

        r = mf_error_set(err, -error, "cannot read the processor topology: %s", strerror(error));
        goto failed;
    }
    *ret_topology = topology;
    return 0;
failed:
    hwloc_topology_destroy(topology);
    return r;
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

/* The last cache on the way to memory that others share, or MF_NOWHERE. */
static uint32_t find_cache(hwloc_topology_t topology, hwloc_obj_t pu)
{
    hwloc_obj_t core = hwloc_get_ancestor_obj_by_type(topology, HWLOC_OBJ_CORE, pu);
    hwloc_obj_t last = NULL;

    for (hwloc_obj_t above = pu->parent; above; above = above->parent)
        if (hwloc_obj_type_is_dcache(above->type))
            last = above;
    if (!last || hwloc_bitmap_isincluded(last->cpuset, (core ? core : pu)->cpuset))
        return MF_NOWHERE;
    /* By a number that is the same for processes that may use different parts of it. */
    return (uint32_t)hwloc_bitmap_first(last->complete_cpuset);
}

static void start_core(hwloc_topology_t topology, hwloc_obj_t pu, struct mf_core *core)
{
    hwloc_obj_t package = hwloc_get_ancestor_obj_by_type(topology, HWLOC_OBJ_PACKAGE, pu);
    int numa = pu->nodeset ? hwloc_bitmap_first(pu->nodeset) : 0;

    *core = (struct mf_core){
        .numa = numa > 0 ? (uint32_t)numa : 0,
        .package = package ? package->logical_index : 0,
        .cache = find_cache(topology, pu),
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

    r = load_topology(synthetic, false, &topology, err);
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

/* --- GPUs --- */

/* Of the makers that matter: servers have graphics of others for their consoles. */
static bool is_gpu(hwloc_obj_t pci)
{
    unsigned int base_class = pci->attr->pcidev.class_id >> 8;
    uint32_t vendor = pci->attr->pcidev.vendor_id;

    return (base_class == 0x03 || base_class == 0x12) &&
           (vendor == MF_VENDOR_NVIDIA || vendor == MF_VENDOR_AMD || vendor == MF_VENDOR_INTEL);
}

/* The NUMA node and package of the cores next to it, as far as they are all in the same. */
static void find_cores_near(hwloc_topology_t topology, hwloc_obj_t pci,
                            struct mf_topo_device *device)
{
    hwloc_obj_t owner = hwloc_get_non_io_ancestor_obj(topology, pci), pu = NULL;
    bool is_first = true;

    device->numa = device->package = MF_NOWHERE;
    while (owner && (pu = hwloc_get_next_obj_inside_cpuset_by_type(topology, owner->cpuset,
                                                                   HWLOC_OBJ_PU, pu))) {
        struct mf_core core;

        start_core(topology, pu, &core);
        if (is_first || core.numa != device->numa)
            device->numa = is_first ? core.numa : MF_NOWHERE;
        if (is_first || core.package != device->package)
            device->package = is_first ? core.package : MF_NOWHERE;
        is_first = false;
    }
}

/* What plugins said when the topology was written to a file. */
static void find_uuid(hwloc_obj_t pci, char *uuid, size_t size)
{
    for (hwloc_obj_t os = pci->io_first_child; os; os = os->next_sibling) {
        const char *text = hwloc_obj_get_info_by_name(os, "NVIDIAUUID");

        if (!text)
            text = hwloc_obj_get_info_by_name(os, "AMDUUID");
        if (text) {
            strncpy(uuid, text, size - 1);
            return;
        }
    }
}

static void fill_device(hwloc_topology_t topology, hwloc_obj_t pci, struct mf_topo_device *device)
{
    const struct hwloc_pcidev_attr_s *at = &pci->attr->pcidev;

    *device = (struct mf_topo_device){.vendor = at->vendor_id};
    snprintf(device->bus, sizeof(device->bus), "%04x:%02x:%02x.%01x", at->domain, at->bus, at->dev,
             at->func);
    find_uuid(pci, device->uuid, sizeof(device->uuid));
    find_cores_near(topology, pci, device);
}

static int compare_devices(const void *a, const void *b)
{
    const struct mf_topo_device *left = a, *right = b;

    return strcmp(left->bus, right->bus);
}

int mf_topo_devices(const char *synthetic, struct mf_topo_device **ret_devices,
                    uint32_t *ret_n_devices, struct mf_error *err)
{
    hwloc_topology_t topology = NULL;
    hwloc_obj_t pci = NULL;
    uint32_t n = 0, n_most = 1;
    int r = load_topology(synthetic, true, &topology, err);

    if (r < 0)
        return r;
    while ((pci = hwloc_get_next_pcidev(topology, pci)))
        n_most++;
    struct mf_topo_device *devices = calloc(n_most, sizeof(*devices));
    while (devices && (pci = hwloc_get_next_pcidev(topology, pci)))
        if (is_gpu(pci))
            fill_device(topology, pci, &devices[n++]);
    hwloc_topology_destroy(topology);
    if (!devices)
        return mf_error_set(err, -ENOMEM, "out of memory while looking for GPUs");
    qsort(devices, n, sizeof(*devices), compare_devices);
    *ret_devices = devices;
    *ret_n_devices = n;
    return 0;
}
