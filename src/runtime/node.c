/* What a node has, and the payloads of HELLO, WELCOME and HOOKS. No state; any thread. */
#include "runtime/node.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* More slots than any node has, so that damaged counts cannot ask for the earth. */
#define MAX_SLOTS (1u << 20)

void mf_node_host(char host[MF_HOST_SIZE])
{
    if (gethostname(host, MF_HOST_SIZE) < 0)
        strcpy(host, "localhost");
    host[MF_HOST_SIZE - 1] = '\0';
}

void mf_node_name(char name[MF_HOST_SIZE])
{
    const char *node = getenv("SLURMD_NODENAME");

    mf_node_host(name);
    if (!getenv("SLURM_JOB_ID"))
        return;
    if (node && node[0] && strlen(node) < MF_HOST_SIZE)
        strcpy(name, node);
    else
        name[strcspn(name, ".")] = '\0';
}

int mf_node_look(const char *synthetic, uint32_t n_gpus, struct mf_offer *ret_offer,
                 struct mf_error *err)
{
    struct mf_offer offer = {0};
    int r = mf_topo_cores(synthetic, &offer.cores, &offer.n_cores, err);

    if (r < 0)
        return r;
    if (!synthetic)
        offer.is_unconfined = mf_topo_keep_granted(offer.cores, &offer.n_cores);
    r = synthetic ? mf_topo_synthetic_gpus(synthetic, &offer.resources)
                  : mf_topo_resources("", &offer.resources);
    if (r == 0 && n_gpus != MF_GPUS_FOUND)
        r = mf_topo_resources_set_gpus(&offer.resources, n_gpus);
    if (r < 0) {
        mf_offer_finish(&offer);
        return mf_error_set(err, r, "cannot find out what the node has: %s", strerror(-r));
    }
    /* What is not known of where they are costs a choice, and nothing else. */
    (void)mf_topo_locate_gpus("", synthetic, &offer.resources, NULL);
    *ret_offer = offer;
    return 0;
}

void mf_node_encode_cores(const struct mf_core *cores, uint32_t n_cores, struct mf_buffer *buffer)
{
    mf_buffer_put_u32(buffer, n_cores);
    for (uint32_t i = 0; i < n_cores; i++) {
        mf_buffer_put_u32(buffer, cores[i].numa);
        mf_buffer_put_u32(buffer, cores[i].package);
        mf_buffer_put_u32(buffer, cores[i].cache);
        mf_buffer_put_u8(buffer, (uint8_t)cores[i].n_cpus);
        for (uint32_t k = 0; k < cores[i].n_cpus; k++)
            mf_buffer_put_u32(buffer, cores[i].cpus[k]);
    }
}

static void decode_core(struct mf_reader *reader, struct mf_core *core)
{
    core->numa = mf_reader_get_u32(reader);
    core->package = mf_reader_get_u32(reader);
    core->cache = mf_reader_get_u32(reader);
    core->n_cpus = mf_reader_get_u8(reader);
    if (core->n_cpus == 0 || core->n_cpus > MF_CORE_MAX_CPUS) {
        reader->has_failed = true;
        return;
    }
    for (uint32_t k = 0; k < core->n_cpus; k++)
        core->cpus[k] = mf_reader_get_u32(reader);
}

/* Cores with others behind them; the reader may have failed when this returns 0. */
static int decode_cores(struct mf_reader *reader, struct mf_core **ret_cores, uint32_t *ret_n_cores)
{
    uint32_t n_cores = mf_reader_get_u32(reader);

    if (reader->has_failed || n_cores > reader->left)
        return -EBADMSG;
    struct mf_core *cores = calloc(n_cores ? n_cores : 1, sizeof(*cores));
    if (!cores)
        return -ENOMEM;
    for (uint32_t i = 0; i < n_cores && !reader->has_failed; i++)
        decode_core(reader, &cores[i]);
    *ret_cores = cores;
    *ret_n_cores = n_cores;
    return 0;
}

int mf_node_decode_cores(const void *data, size_t size, struct mf_core **ret_cores,
                         uint32_t *ret_n_cores)
{
    struct mf_reader reader = mf_reader_over(data, size);
    struct mf_core *cores;
    uint32_t n_cores;
    int r = decode_cores(&reader, &cores, &n_cores);

    if (r < 0)
        return r;
    if (mf_reader_finish(&reader) < 0) {
        free(cores);
        return -EBADMSG;
    }
    *ret_cores = cores;
    *ret_n_cores = n_cores;
    return 0;
}

static void encode_gpus(const struct mf_gpu *gpus, uint32_t n_gpus, struct mf_buffer *buffer)
{
    mf_buffer_put_u32(buffer, n_gpus);
    for (uint32_t i = 0; i < n_gpus; i++) {
        mf_buffer_put_text(buffer, gpus[i].id);
        mf_buffer_put_u8(buffer, (uint8_t)gpus[i].kind);
        mf_buffer_put_u32(buffer, gpus[i].number);
        mf_buffer_put_u32(buffer, gpus[i].numa);
        mf_buffer_put_u32(buffer, gpus[i].package);
    }
}

static void decode_gpu(struct mf_reader *reader, struct mf_gpu *gpu)
{
    uint8_t kind;

    mf_reader_get_text(reader, gpu->id, sizeof(gpu->id));
    kind = mf_reader_get_u8(reader);
    gpu->number = mf_reader_get_u32(reader);
    gpu->numa = mf_reader_get_u32(reader);
    gpu->package = mf_reader_get_u32(reader);
    if (kind < MF_GPU_N_KINDS)
        gpu->kind = (enum mf_gpu_kind)kind;
    else
        reader->has_failed = true;
}

/* As decode_cores(). */
static int decode_gpus(struct mf_reader *reader, struct mf_gpu **ret_gpus, uint32_t *ret_n_gpus)
{
    uint32_t n_gpus = mf_reader_get_u32(reader);
    struct mf_gpu *gpus;

    if (reader->has_failed || n_gpus > MF_MAX_GPUS)
        return -EBADMSG;
    gpus = calloc(n_gpus ? n_gpus : 1, sizeof(*gpus));
    if (!gpus)
        return -ENOMEM;
    for (uint32_t i = 0; i < n_gpus; i++)
        decode_gpu(reader, &gpus[i]);
    *ret_gpus = gpus;
    *ret_n_gpus = n_gpus;
    return 0;
}

void mf_node_encode_offer(const struct mf_core *cores, uint32_t n_cores,
                          const struct mf_topo_resources *resources, struct mf_buffer *buffer)
{
    mf_node_encode_cores(cores, n_cores, buffer);
    mf_buffer_put_u64(buffer, resources->mem_bytes);
    encode_gpus(resources->gpus, resources->n_gpus, buffer);
}

int mf_node_decode_offer(const void *data, size_t size, struct mf_offer *ret_offer)
{
    struct mf_reader reader = mf_reader_over(data, size);
    struct mf_offer offer = {0};
    int r = decode_cores(&reader, &offer.cores, &offer.n_cores);

    offer.resources.mem_bytes = mf_reader_get_u64(&reader);
    if (r == 0)
        r = decode_gpus(&reader, &offer.resources.gpus, &offer.resources.n_gpus);
    if (r == 0)
        r = mf_reader_finish(&reader);
    if (r < 0) {
        mf_offer_finish(&offer);
        return r;
    }
    *ret_offer = offer;
    return 0;
}

void mf_offer_finish(struct mf_offer *offer)
{
    free(offer->cores);
    mf_topo_resources_finish(&offer->resources);
    *offer = (struct mf_offer){0};
}

void mf_node_encode_welcome(const char *run_dir, const struct mf_topo_rank *rank,
                            const struct mf_topo_split *split, bool pin, bool suspends,
                            struct mf_buffer *buffer)
{
    mf_buffer_put_text(buffer, run_dir);
    mf_buffer_put_u8(buffer, suspends);
    mf_buffer_put_u32(buffer, rank->n_slots);
    for (uint32_t i = 0; i < rank->n_slots; i++) {
        const struct mf_core *core = &split->pool[rank->slot_cores[i]];
        uint32_t n_cpus = pin ? core->n_cpus : 0;

        mf_buffer_put_u32(buffer, rank->first_slot + i);
        mf_buffer_put_u32(buffer, rank->slot_cores[i]);
        mf_buffer_put_u32(buffer, core->cache);
        mf_buffer_put_u32(buffer, core->numa);
        mf_buffer_put_u32(buffer, core->package);
        mf_buffer_put_u32(buffer, n_cpus);
        for (uint32_t k = 0; k < n_cpus; k++)
            mf_buffer_put_u32(buffer, core->cpus[k]);
    }
    encode_gpus(rank->gpus, rank->n_gpus, buffer);
}

/* One slot; its cpus are a block of their own. */
static int decode_slot(struct mf_reader *reader, struct mf_slot *slot, struct mf_place *place)
{
    uint32_t n_cpus;

    slot->number = mf_reader_get_u32(reader);
    place->core = mf_reader_get_u32(reader);
    place->cache = mf_reader_get_u32(reader);
    place->numa = mf_reader_get_u32(reader);
    place->package = mf_reader_get_u32(reader);
    n_cpus = mf_reader_get_u32(reader);
    if (reader->has_failed || n_cpus > reader->left / 4)
        return -EBADMSG;
    if (n_cpus == 0)
        return 0;
    slot->cpus = calloc(n_cpus, sizeof(*slot->cpus));
    if (!slot->cpus)
        return -ENOMEM;
    slot->n_cpus = n_cpus;
    for (uint32_t k = 0; k < n_cpus; k++)
        slot->cpus[k] = mf_reader_get_u32(reader);
    return 0;
}

static int decode_slots(struct mf_reader *reader, struct mf_welcome *welcome)
{
    welcome->slots = calloc(welcome->n_slots ? welcome->n_slots : 1, sizeof(*welcome->slots));
    welcome->places = calloc(welcome->n_slots ? welcome->n_slots : 1, sizeof(*welcome->places));
    if (!welcome->slots || !welcome->places)
        return -ENOMEM;
    for (uint32_t i = 0; i < welcome->n_slots; i++) {
        int r = decode_slot(reader, &welcome->slots[i], &welcome->places[i]);

        if (r < 0)
            return r;
    }
    return 0;
}

int mf_node_decode_welcome(const void *data, size_t size, struct mf_welcome *ret_welcome)
{
    struct mf_reader reader = mf_reader_over(data, size);
    struct mf_welcome welcome = {0};
    size_t length;
    const uint8_t *run_dir = mf_reader_get_bytes(&reader, &length);
    int r;

    welcome.suspends = mf_reader_get_u8(&reader) != 0;
    welcome.n_slots = mf_reader_get_u32(&reader);
    if (reader.has_failed || welcome.n_slots > MAX_SLOTS)
        return -EBADMSG;
    welcome.run_dir = strndup((const char *)run_dir, length);
    r = welcome.run_dir ? decode_slots(&reader, &welcome) : -ENOMEM;
    if (r == 0)
        r = decode_gpus(&reader, &welcome.gpus, &welcome.n_gpus);
    if (r == 0)
        r = mf_reader_finish(&reader);
    if (r < 0) {
        mf_welcome_finish(&welcome);
        return r;
    }
    *ret_welcome = welcome;
    return 0;
}

void mf_welcome_finish(struct mf_welcome *welcome)
{
    if (welcome->slots)
        for (uint32_t i = 0; i < welcome->n_slots; i++)
            free(welcome->slots[i].cpus);
    free(welcome->slots);
    free(welcome->places);
    free(welcome->gpus);
    free(welcome->run_dir);
    *welcome = (struct mf_welcome){0};
}

void mf_node_put_hook(bool is_stop, const struct mf_command *command, struct mf_buffer *buffer)
{
    struct mf_buffer bytes = {0};

    mf_command_encode(command, &bytes);
    mf_buffer_put_u8(buffer, is_stop);
    mf_buffer_put_bytes(buffer, bytes.data, bytes.size);
    if (mf_buffer_status(&bytes) < 0)
        buffer->has_failed = true;
    mf_buffer_finish(&bytes);
}

const uint8_t *mf_node_get_hook(struct mf_reader *reader, bool *ret_is_stop, size_t *ret_size)
{
    *ret_is_stop = mf_reader_get_u8(reader) != 0;
    return mf_reader_get_bytes(reader, ret_size);
}
