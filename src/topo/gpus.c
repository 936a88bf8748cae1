/*
 * The GPUs that this process may use: which they are, out of its environment
 * and devices, and where. See resources.h. No state; any thread.
 */
#include "topo/resources.h"

#include "base/units.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define N_ITEMS(array) (sizeof(array) / sizeof((array)[0]))

static const char *const variables[MF_GPU_N_KINDS] = {
    [MF_GPU_CUDA] = "CUDA_VISIBLE_DEVICES",
    [MF_GPU_ROCR] = "ROCR_VISIBLE_DEVICES",
    [MF_GPU_HIP] = "HIP_VISIBLE_DEVICES",
    [MF_GPU_ZE] = "ZE_AFFINITY_MASK",
};

static const uint32_t vendors[MF_GPU_N_KINDS] = {
    [MF_GPU_CUDA] = MF_VENDOR_NVIDIA,
    [MF_GPU_ROCR] = MF_VENDOR_AMD,
    [MF_GPU_HIP] = MF_VENDOR_AMD,
    [MF_GPU_ZE] = MF_VENDOR_INTEL,
};

const char *mf_gpu_variable(enum mf_gpu_kind kind)
{
    return variables[kind];
}

/* A number from 0 and nothing else, or MF_NOWHERE. */
static uint32_t parse_number(const char *text)
{
    int64_t number;

    return mf_parse_integer(text, 0, MF_MAX_GPUS, &number, NULL) == 0 ? (uint32_t)number
                                                                      : MF_NOWHERE;
}

/* Parts of a device are "3.1" in ZE_AFFINITY_MASK. */
static uint32_t device_number(const char *id)
{
    char number[16] = "";
    size_t length = strcspn(id, ".");

    if (length >= sizeof(number))
        return MF_NOWHERE;
    memcpy(number, id, length);
    return parse_number(number);
}

/* --- which --- */

static int add_gpu(struct mf_topo_resources *resources, enum mf_gpu_kind kind, const char *id,
                   size_t length)
{
    struct mf_gpu *gpus, *gpu;

    for (uint32_t i = 0; i < resources->n_gpus; i++)
        if (strncmp(resources->gpus[i].id, id, length) == 0 && !resources->gpus[i].id[length])
            return 0;
    if (length >= MF_GPU_ID_SIZE || resources->n_gpus == MF_MAX_GPUS)
        return 0;
    gpus = reallocarray(resources->gpus, resources->n_gpus + 1, sizeof(*gpus));
    if (!gpus)
        return -ENOMEM;
    resources->gpus = gpus;
    gpu = &gpus[resources->n_gpus++];
    *gpu = (struct mf_gpu){.kind = kind, .numa = MF_NOWHERE, .package = MF_NOWHERE};
    memcpy(gpu->id, id, length);
    gpu->number = device_number(gpu->id);
    return 0;
}

/* What hides all devices, or those behind it: Slurm's word, and numbers below 0. */
static bool ends_list(const char *id)
{
    return id[0] == '-' || strncmp(id, "NoDevFiles", 10) == 0;
}

static int add_list(struct mf_topo_resources *resources, enum mf_gpu_kind kind, const char *list)
{
    int r = 0;

    while (*list && r == 0) {
        list += strspn(list, ", ");
        size_t length = strcspn(list, ", ");

        if (length == 0 || ends_list(list))
            break;
        r = add_gpu(resources, kind, list, length);
        list += length;
    }
    return r;
}

static int add_numbered(struct mf_topo_resources *resources, enum mf_gpu_kind kind, uint32_t n)
{
    char id[16];
    int r = 0;

    for (uint32_t i = 0; i < n && r == 0; i++) {
        snprintf(id, sizeof(id), "%" PRIu32, i);
        r = add_gpu(resources, kind, id, strlen(id));
    }
    return r;
}

static DIR *open_dir(const char *root, const char *path)
{
    char name[PATH_MAX];

    if (snprintf(name, sizeof(name), "%s%s", root, path) >= (int)sizeof(name))
        return NULL;
    return opendir(name);
}

/* The number in /dev/nvidia3, or MF_NOWHERE for another name. */
static uint32_t nvidia_number(const char *name)
{
    return strncmp(name, "nvidia", 6) == 0 ? parse_number(name + 6) : MF_NOWHERE;
}

/* They may be numbered with gaps here, but never for a program. */
static uint32_t count_nvidia(const char *root)
{
    DIR *dev = open_dir(root, "/dev");
    const struct dirent *entry;
    uint32_t n = 0;

    while (dev && (entry = readdir(dev)))
        n += nvidia_number(entry->d_name) != MF_NOWHERE;
    if (dev)
        closedir(dev);
    return n;
}

/* Of the nodes that this driver tells of, processors have no id as a GPU, or one that is hidden. */
static uint32_t count_amd(const char *root)
{
    static const char path[] = "/sys/class/kfd/kfd/topology/nodes";
    DIR *nodes = open_dir(root, path);
    const struct dirent *entry;
    uint32_t n = 0;

    while (nodes && (entry = readdir(nodes))) {
        char name[PATH_MAX];
        unsigned long id = 0;
        FILE *file;

        if (entry->d_name[0] == '.' || snprintf(name, sizeof(name), "%s%s/%s/gpu_id", root, path,
                                                entry->d_name) >= (int)sizeof(name))
            continue;
        file = fopen(name, "re");
        n += file && fscanf(file, "%lu", &id) == 1 && id != 0;
        if (file)
            fclose(file);
    }
    if (nodes)
        closedir(nodes);
    return n;
}

static bool has_number(const struct mf_topo_resources *resources, uint32_t number)
{
    for (uint32_t i = 0; i < resources->n_gpus; i++)
        if (resources->gpus[i].number == number)
            return true;
    return false;
}

/*
 * Whether a cgroup keeps this process from GPUs of the node that are not its
 * own. Programs number those left from 0 then. To try is the only way to know.
 */
static bool is_kept_from_others(const char *root, const struct mf_topo_resources *resources)
{
    DIR *dev = open_dir(root, "/dev");
    const struct dirent *entry;
    bool is_kept = false;

    while (dev && !is_kept && (entry = readdir(dev))) {
        uint32_t number = nvidia_number(entry->d_name);

        if (number == MF_NOWHERE || has_number(resources, number))
            continue;
        int fd = openat(dirfd(dev), entry->d_name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

        is_kept = fd < 0 && (errno == EPERM || errno == EACCES);
        if (fd >= 0)
            close(fd);
    }
    if (dev)
        closedir(dev);
    return is_kept;
}

static const char *slurm_gpus(void)
{
    const char *list = getenv("SLURM_STEP_GPUS");

    return list ? list : getenv("SLURM_JOB_GPUS");
}

/* Slurm's numbers are those of the node, whatever a program sees of it. */
static int add_slurm(const char *root, enum mf_gpu_kind kind, struct mf_topo_resources *resources)
{
    int r = add_list(resources, kind, slurm_gpus());

    if (r == 0 && is_kept_from_others(root, resources))
        for (uint32_t i = 0; i < resources->n_gpus; i++)
            snprintf(resources->gpus[i].id, MF_GPU_ID_SIZE, "%" PRIu32, i);
    return r;
}

/*
 * Numbers that are not among those that Slurm says the step has on its node
 * are counted anew among them: the first is that of the first of Slurm's.
 */
static int correct_numbers(struct mf_topo_resources *resources)
{
    struct mf_topo_resources real = {0};
    const char *list = slurm_gpus();
    bool is_renumbered = false;
    int r = list ? add_list(&real, MF_GPU_CUDA, list) : 0;

    for (uint32_t i = 0; i < resources->n_gpus && real.n_gpus > 0; i++)
        is_renumbered |= !has_number(&real, resources->gpus[i].number);
    for (uint32_t i = 0; i < resources->n_gpus && is_renumbered; i++) {
        uint32_t number = resources->gpus[i].number;

        resources->gpus[i].number = number < real.n_gpus ? real.gpus[number].number : MF_NOWHERE;
    }
    free(real.gpus);
    return r;
}

int mf_topo_find_gpus(const char *root, struct mf_topo_resources *resources)
{
    static const enum mf_gpu_kind usual[] = {MF_GPU_CUDA, MF_GPU_ROCR, MF_GPU_HIP, MF_GPU_ZE};
    static const enum mf_gpu_kind amd[] = {MF_GPU_ROCR, MF_GPU_HIP, MF_GPU_CUDA, MF_GPU_ZE};
    uint32_t n_nvidia = count_nvidia(root), n_amd = count_amd(root);
    bool is_amd = n_nvidia == 0 && n_amd > 0;
    const enum mf_gpu_kind *kinds = is_amd ? amd : usual;
    const char *ordinals = getenv("GPU_DEVICE_ORDINAL");
    int r;

    for (size_t i = 0; i < N_ITEMS(usual); i++) {
        const char *list = getenv(variables[kinds[i]]);

        if (!list)
            continue;
        r = add_list(resources, kinds[i], list);
        return r < 0 ? r : correct_numbers(resources);
    }
    if (ordinals) {
        r = add_list(resources, kinds[0], ordinals);
        return r < 0 ? r : correct_numbers(resources);
    }
    if (slurm_gpus())
        return add_slurm(root, kinds[0], resources);
    return add_numbered(resources, kinds[0], is_amd ? n_amd : n_nvidia);
}

int mf_topo_resources_set_gpus(struct mf_topo_resources *resources, uint32_t n_gpus)
{
    enum mf_gpu_kind kind = resources->n_gpus > 0 ? resources->gpus[0].kind : MF_GPU_CUDA;
    struct mf_topo_resources numbered = {0};
    int r;

    if (n_gpus > MF_MAX_GPUS)
        return -EINVAL;
    if (n_gpus > resources->n_gpus) {
        r = add_numbered(&numbered, kind, n_gpus);
        if (r < 0) {
            free(numbered.gpus);
            return r;
        }
        free(resources->gpus);
        resources->gpus = numbered.gpus;
    }
    resources->n_gpus = n_gpus;
    return 0;
}

int mf_topo_synthetic_gpus(const char *synthetic, struct mf_topo_resources *resources)
{
    static const enum mf_gpu_kind kinds[] = {MF_GPU_CUDA, MF_GPU_ROCR, MF_GPU_ZE};
    struct mf_topo_device *devices;
    uint32_t n_devices;
    int r = mf_topo_devices(synthetic, &devices, &n_devices, NULL);

    if (r < 0)
        return r;
    for (size_t k = 0; k < N_ITEMS(kinds) && resources->n_gpus == 0 && r == 0; k++) {
        uint32_t n = 0;

        for (uint32_t i = 0; i < n_devices; i++)
            n += devices[i].vendor == vendors[kinds[k]];
        r = add_numbered(resources, kinds[k], n);
    }
    free(devices);
    return r;
}

/* --- where --- */

/* "GPU UUID: \t GPU-8932..." among the lines that the driver has for the device. */
static void read_uuid(const char *root, struct mf_topo_device *device)
{
    char name[PATH_MAX], line[256], uuid[MF_GPU_ID_SIZE];
    FILE *file;

    if (device->vendor != MF_VENDOR_NVIDIA || device->uuid[0] ||
        snprintf(name, sizeof(name), "%s/proc/driver/nvidia/gpus/%s/information", root,
                 device->bus) >= (int)sizeof(name))
        return;
    file = fopen(name, "re");
    while (file && fgets(line, sizeof(line), file))
        if (sscanf(line, "GPU UUID: %79s", uuid) == 1)
            memcpy(device->uuid, uuid, sizeof(uuid));
    if (file)
        fclose(file);
}

/* Ids may be shortened: "GPU-89"; those of parts go on: "MIG-GPU-8932.../1/0". */
static bool is_of(const struct mf_gpu *gpu, const struct mf_topo_device *device)
{
    bool is_part = strncmp(gpu->id, "MIG-GPU-", 8) == 0;
    const char *id = is_part ? gpu->id + 4 : gpu->id;
    size_t length = strcspn(id, "/");

    return length > 4 && device->uuid[0] && strncmp(id, "GPU-", 4) == 0 &&
           strncmp(id, device->uuid, length) == 0;
}

static const struct mf_topo_device *
find_device(const struct mf_gpu *gpu, const struct mf_topo_device *devices, uint32_t n_devices)
{
    uint32_t number = 0;

    for (uint32_t i = 0; i < n_devices; i++) {
        if (devices[i].vendor != vendors[gpu->kind])
            continue;
        if (number++ == gpu->number || is_of(gpu, &devices[i]))
            return &devices[i];
    }
    return NULL;
}

int mf_topo_locate_gpus(const char *root, const char *synthetic,
                        struct mf_topo_resources *resources, struct mf_error *err)
{
    struct mf_topo_device *devices = NULL;
    uint32_t n_devices = 0;
    int r = 0;

    if (resources->n_gpus > 0)
        r = mf_topo_devices(synthetic, &devices, &n_devices, err);
    for (uint32_t i = 0; i < n_devices; i++)
        read_uuid(root, &devices[i]);
    for (uint32_t i = 0; i < resources->n_gpus; i++) {
        struct mf_gpu *gpu = &resources->gpus[i];
        const struct mf_topo_device *device = find_device(gpu, devices, n_devices);

        gpu->numa = device ? device->numa : MF_NOWHERE;
        gpu->package = device ? device->package : MF_NOWHERE;
    }
    free(devices);
    return r;
}
