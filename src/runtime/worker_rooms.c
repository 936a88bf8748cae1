/*
 * Room for what runs on several nodes: what this worker keeps free for a task that another one
 * runs, and where a task that it runs itself may go. Runs in the rank's only thread.
 *
 * A part is an attempt that runs nothing: it waits for its slots among those that do, so that
 * nothing that came before it is disturbed, and has them until it is let go of. Then, and when
 * the attempt itself ends, processes of it that a killed launcher left on this node are ended:
 * MPIFARM_SPREAD in their environment names the attempt.
 */
#include "runtime/worker_private.h"

#include "base/command.h"
#include "base/io.h"
#include "base/scratch.h"
#include "exec/remnants.h"
#include "runtime/allocation.h"
#include "runtime/spread.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HOSTFILE_BYTES (MF_SCRATCH_BYTES + 64)

static void name_hostfile(const struct mf_worker_attempt *attempt, char *name, size_t size)
{
    snprintf(name, size, "hosts.%" PRIu64 ".%" PRIu32, attempt->task, attempt->number);
}

static void hostfile_path(const struct mf_worker_rank *worker,
                          const struct mf_worker_attempt *attempt, char path[HOSTFILE_BYTES])
{
    char name[64];

    name_hostfile(attempt, name, sizeof(name));
    snprintf(path, HOSTFILE_BYTES, "%s/%s", worker->scratch, name);
}

/* What MPIFARM_SPREAD is: with parts the first line of the rooms, else the file's name does. */
static void name_attempt(const struct mf_worker_rank *worker,
                         const struct mf_worker_attempt *attempt, char name[HOSTFILE_BYTES])
{
    if (attempt->rooms)
        snprintf(name, HOSTFILE_BYTES, "%.*s", (int)strcspn(attempt->rooms, "\n"), attempt->rooms);
    else
        hostfile_path(worker, attempt, name);
}

void mf_worker_rooms_clear(struct mf_worker_rank *worker, struct mf_worker_attempt *attempt)
{
    char name[HOSTFILE_BYTES], variable[HOSTFILE_BYTES + 32];

    if (!attempt->is_spread && !attempt->is_part)
        return;
    name_attempt(worker, attempt, name);
    snprintf(variable, sizeof(variable), "MPIFARM_SPREAD=%s", name);
    mf_remnants_kill(variable);
    hostfile_path(worker, attempt, name);
    if (attempt->is_spread)
        (void)unlink(name);
    attempt->is_spread = false;
}

/* The variable that names the GPUs of an attempt, as a string; nothing if it has none. */
static void print_gpus(const struct mf_worker_rank *worker, const struct mf_worker_attempt *attempt,
                       struct mf_buffer *text)
{
    if (attempt->n_gpus > 0)
        mf_stock_print_gpus(&worker->stock, attempt->n_gpus, attempt->gpus, text);
}

void mf_worker_rooms_report(struct mf_worker_rank *worker, const struct mf_worker_attempt *attempt)
{
    struct mf_message message = {
        .kind = MF_MESSAGE_HELD, .task = attempt->task, .attempt = attempt->number};
    struct mf_buffer gpus = {0};

    print_gpus(worker, attempt, &gpus);
    message.payload = gpus.data;
    message.payload_size = gpus.size > 0 ? gpus.size - 1 : 0;
    mf_worker_rank_post(worker, &message);
    mf_buffer_finish(&gpus);
}

/* --- what a task that runs here is told --- */

/**
 * Nodes that it has.
 *
 * @hosts, @gpus  n of them; where it has no GPUs there NULL
 * @parts         components of a heterogeneous job that they are in, below n_parts; NULL in any
 * other
 * @rooms         what the texts are in, and own_gpus, those of the first
 */
struct nodes {
    uint32_t n;
    const char **hosts, **gpus;
    uint32_t *parts, n_parts;
    char *rooms;
    struct mf_buffer own_gpus;
};

static void finish_nodes(struct nodes *nodes)
{
    free(nodes->hosts);
    free(nodes->gpus);
    free(nodes->parts);
    free(nodes->rooms);
    mf_buffer_finish(&nodes->own_gpus);
}

/* This one, and each line of the rooms behind the first. */
static int find_nodes(const struct mf_worker_rank *worker, const struct mf_worker_attempt *attempt,
                      struct nodes *nodes)
{
    const char *rooms = attempt->rooms ? attempt->rooms : "";
    char *rest, *line;

    nodes->rooms = strdup(rooms);
    nodes->hosts = calloc(strlen(rooms) + 2, sizeof(*nodes->hosts));
    nodes->gpus = calloc(strlen(rooms) + 2, sizeof(*nodes->gpus));
    print_gpus(worker, attempt, &nodes->own_gpus);
    if (!nodes->rooms || !nodes->hosts || !nodes->gpus || mf_buffer_status(&nodes->own_gpus) < 0)
        return -ENOMEM;
    nodes->hosts[0] = worker->host;
    nodes->gpus[0] = (const char *)nodes->own_gpus.data;
    rest = nodes->rooms;
    (void)strsep(&rest, "\n");
    for (nodes->n = 1; (line = strsep(&rest, "\n")) && *line; nodes->n++) {
        nodes->hosts[nodes->n] = strsep(&line, " ");
        nodes->gpus[nodes->n] = line;
    }
    return 0;
}

/* Where nothing says which component a node is in, srun is left to say that it is none of its. */
static int find_parts(struct nodes *nodes)
{
    nodes->parts = calloc(nodes->n, sizeof(*nodes->parts));
    if (!nodes->parts)
        return -ENOMEM;
    for (uint32_t i = 0; i < nodes->n; i++) {
        int part = mf_allocation_part_of(nodes->hosts[i]);

        nodes->parts[i] = part < 0 ? 0 : (uint32_t)part;
        if (nodes->parts[i] >= nodes->n_parts)
            nodes->n_parts = nodes->parts[i] + 1;
    }
    return 0;
}

static int write_hosts(struct mf_worker_rank *worker, const struct mf_worker_attempt *attempt,
                       const struct mf_command *command, const struct mf_spread *spread)
{
    struct mf_buffer text = {0};
    char name[64];
    int fd, r;

    name_hostfile(attempt, name, sizeof(name));
    mf_spread_print_hosts(command, spread, &text);
    fd = mf_scratch_file(worker->scratch, name);
    r = fd < 0 ? fd : mf_buffer_status(&text);
    if (r == 0)
        r = mf_write_all(fd, text.data, text.size);
    mf_close(&fd);
    mf_buffer_finish(&text);
    return r;
}

static int spread_on(struct mf_worker_rank *worker, struct mf_worker_attempt *attempt,
                     const struct mf_command *command, const struct nodes *nodes)
{
    char path[HOSTFILE_BYTES], name[HOSTFILE_BYTES];
    struct mf_spread spread = {
        .hosts = nodes->hosts,
        .gpus = nodes->gpus,
        .parts = nodes->parts,
        .n_parts = nodes->n_parts,
        .n_hosts = nodes->n,
        .n_slots = attempt->n_slots,
        .hostfile = path,
        .name = name,
        .has_slurm = getenv("SLURM_JOB_ID") != NULL,
        .has_mpi_type = mf_spread_is_mpi_type_set(),
        .has_omp = getenv("OMP_NUM_THREADS") != NULL,
    };
    struct mf_buffer made = {0};
    int r;

    hostfile_path(worker, attempt, path);
    name_attempt(worker, attempt, name);
    r = write_hosts(worker, attempt, command, &spread);
    if (r == 0)
        r = mf_spread_encode(command, &spread, &made);
    if (r < 0) {
        mf_buffer_finish(&made);
        return r;
    }
    free(attempt->command);
    attempt->command = made.data;
    attempt->command_size = made.size;
    return 0;
}

int mf_worker_rooms_spread(struct mf_worker_rank *worker, struct mf_worker_attempt *attempt)
{
    struct mf_command *command = NULL;
    struct nodes nodes = {0};
    int r;

    if (!mf_command_is_spread(attempt->command, attempt->command_size))
        return 0;
    r = mf_command_decode(attempt->command, attempt->command_size, &command);
    if (r < 0)
        return r;
    attempt->is_spread = true;
    r = find_nodes(worker, attempt, &nodes);
    if (r == 0 && mf_allocation_part_of(worker->host) >= 0)
        r = find_parts(&nodes);
    if (r == 0)
        r = spread_on(worker, attempt, command, &nodes);
    finish_nodes(&nodes);
    free(command);
    return r;
}
