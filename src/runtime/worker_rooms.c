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

/* --- what a task that runs here is told --- */

/* The hosts of the other nodes, each a line of the rooms behind the first. Returns how many. */
static uint32_t split_hosts(char *rooms, const char **hosts)
{
    uint32_t n = 0;
    char *line;

    (void)strsep(&rooms, "\n");
    while ((line = strsep(&rooms, "\n")) && *line)
        hosts[n++] = line;
    return n;
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
                     const struct mf_command *command, const char *const *hosts, uint32_t n_hosts)
{
    char path[HOSTFILE_BYTES], name[HOSTFILE_BYTES];
    struct mf_spread spread = {
        .hosts = hosts,
        .n_hosts = n_hosts,
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
    char *rooms;
    const char **hosts;
    int r;

    if (!mf_command_is_spread(attempt->command, attempt->command_size))
        return 0;
    r = mf_command_decode(attempt->command, attempt->command_size, &command);
    if (r < 0)
        return r;
    attempt->is_spread = true;
    rooms = strdup(attempt->rooms ? attempt->rooms : "");
    hosts = calloc(strlen(rooms ? rooms : "") + 2, sizeof(*hosts));
    r = rooms && hosts ? 0 : -ENOMEM;
    if (r == 0) {
        hosts[0] = worker->host;
        r = spread_on(worker, attempt, command, hosts, 1 + split_hosts(rooms, hosts + 1));
    }
    free(hosts);
    free(rooms);
    free(command);
    return r;
}
