/*
 * Starting a rank: its processes first, while it is small and has no threads, then MPI, then its
 * parts. Runs in the rank's only thread.
 */
#include "runtime/rank_private.h"

#include "base/io.h"
#include "exec/function_executor.h"
#include "exec/mixed_executor.h"
#include "runtime/giver.h"
#include "runtime/node.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

static int create_functions(struct mf_rank *rank, struct mf_executor *mixed,
                            struct mf_executor **ret_executor)
{
    struct mf_function_executor_config config = {
        .modules = rank->modules,
        .nursery = rank->config->is_inline ? NULL : &rank->nursery,
        .loop = rank->loop,
        .output_limit_bytes = rank->config->launcher.output_limit_bytes,
        .spill_dir = rank->config->launcher.spill_dir,
        .fn = mf_mixed_executor_heard,
        .arg = mixed,
    };

    return mf_function_executor_create(&config, ret_executor);
}

/* For commands and functions. Takes launcher and nursery. */
static int create_mixed(struct mf_rank *rank, struct mf_executor **ret_executor)
{
    struct mf_executor *mixed, *commands, *functions = NULL;
    int r = mf_mixed_executor_create(mf_worker_rank_heard, rank->worker, &mixed);

    if (r < 0)
        return r;
    r = mf_process_executor_create(&rank->launcher, rank->loop, mf_mixed_executor_heard, mixed,
                                   &commands);
    if (r == 0) {
        r = create_functions(rank, mixed, &functions);
        mf_mixed_executor_set_parts(mixed, commands, functions);
    }
    if (r < 0) {
        mixed->ops->destroy(mixed);
        return r;
    }
    *ret_executor = mixed;
    return 0;
}

static int start_worker(struct mf_rank *rank)
{
    struct mf_worker_rank_config config = {
        .transport = rank->is_root ? rank->local_worker : rank->remote,
        .scheduler = 0,
        .loop = rank->is_root ? NULL : rank->loop,
        .scheduler_may_be_silent = rank->config->is_inline,
        .life = &rank->life,
        .scratch = rank->scratch,
        .cores = rank->has.cores,
        .n_cores = rank->has.n_cores,
        .resources = &rank->has.resources,
        .never_pins = rank->has.is_unconfined,
        .shares_signals = rank->config->is_in_job,
        .patience_ns = rank->config->patience_ns,
    };
    struct mf_executor *executor;
    int r = mf_worker_rank_create(&config, &rank->worker);

    if (r < 0)
        return r;
    if (rank->modules)
        r = create_mixed(rank, &executor);
    else
        r = mf_process_executor_create(&rank->launcher, rank->loop, mf_worker_rank_heard,
                                       rank->worker, &executor);
    if (r < 0)
        return r;
    mf_worker_rank_set_executor(rank->worker, executor);
    return 0;
}

int mf_rank_tell_workers(struct mf_rank *rank, const struct mf_message *message)
{
    struct mf_buffer frame = {0};
    int result = 0;

    for (uint32_t to = 1; to < rank->remote->size; to++) {
        int r;

        mf_message_encode(message, &frame);
        r = mf_transport_send(rank->remote, to, &frame);
        if (r < 0 && result == 0)
            result = r;
        mf_buffer_clear(&frame);
    }
    mf_buffer_finish(&frame);
    return result;
}

/* Long before there is a scheduler they are to know whether there can still be one. */
static int say_who_schedules(struct mf_rank *rank)
{
    struct mf_message pulse = {.kind = MF_MESSAGE_PULSE};

    pulse.life = rank->life;
    return mf_rank_tell_workers(rank, &pulse);
}

static int start_parts(struct mf_rank *rank)
{
    int r = mf_loop_create(&rank->loop);

    if (r < 0)
        return r;
    /* Workers leave signals to rank 0, which ends the run in order. */
    r = mf_rank_watch_signals(rank);
    if (r == 0 && rank->is_root)
        r = mf_transport_local_pair(&rank->local, &rank->local_worker);
    if (r == 0 && rank->is_root && rank->remote)
        r = say_who_schedules(rank);
    return r < 0 ? r : start_worker(rank);
}

/* Code of modules runs here, and may grow this process or start threads. */
static int load_modules(struct mf_rank *rank, struct mf_error *err)
{
    const struct mf_rank_config *config = rank->config;
    int r;

    if (config->n_modules == 0)
        return 0;
    r = mf_modules_load(config->modules, config->n_modules, !config->is_inline, &rank->modules,
                        err);
    if (r < 0 || config->is_inline)
        return r;
    return mf_nursery_fork(&rank->nursery, err);
}

static int start_mpi(struct mf_rank *rank, struct mf_error *err)
{
    int r = mf_transport_mpi_create(NULL, NULL, MF_MPI_SPAWNS, &rank->remote, err);

    if (r < 0)
        return r;
    rank->is_root = rank->remote->rank == 0;
    return mf_launch_verify(rank->config->launch, rank->remote->size, err);
}

/* What this rank may use of its node. */
static int look_around(struct mf_rank *rank, struct mf_error *err)
{
    int r = mf_node_look(NULL, rank->config->n_gpus, &rank->has, err);

    if (r == 0 && rank->config->mem_bytes > 0)
        rank->has.resources.mem_bytes = rank->config->mem_bytes;
    return r;
}

/*
 * The launcher, with a keeper that answers for this rank where others cannot see it. Without a
 * network there is nobody to answer to.
 */
static int fork_launcher(struct mf_rank *rank, struct mf_error *err)
{
    struct mf_launcher_config launcher = rank->config->launcher;
    int r, door_fd = -1;

    mf_life_own(&rank->life);
    if (rank->config->launch->n_copies > 1)
        door_fd = mf_door_open(&rank->life.door);
    if (door_fd >= 0) {
        launcher.door = &rank->life.door;
        launcher.door_fd = door_fd;
    }
    launcher.scratch = rank->scratch;
    r = mf_launcher_fork(&launcher, &rank->launcher, err);
    if (door_fd >= 0)
        mf_close(&door_fd);
    return r;
}

int mf_rank_start(struct mf_rank *rank, const struct mf_rank_config *config, struct mf_error *err)
{
    int r;

    rank->config = config;
    rank->log = config->log;
    rank->signal_fd = -1;
    rank->launcher.fd = -1;
    rank->nursery.fd = -1;
    rank->is_root = config->launch->rank == 0;
    mf_scratch_name(rank->scratch);
    /* Before anything that makes threads or grows this process. */
    r = fork_launcher(rank, err);
    if (r == 0 && config->gives_back && rank->is_root) {
        r = mf_giver_fork(&rank->giver);
        if (r < 0)
            mf_error_set(err, r, "cannot start a process for scontrol: %s", strerror(-r));
    }
    if (r < 0)
        return r;
    /* After the fork: commands get the limit that was there before. */
    mf_raise_open_files();
    /* Before modules and MPI_Init, whose threads would else take the signals and die of them. */
    r = mf_rank_take_signals(rank);
    if (r < 0)
        return mf_error_set(err, r, "cannot take over signals: %s", strerror(-r));
    r = load_modules(rank, err);
    if (r < 0)
        return r;
    r = config->launch->is_mpi ? start_mpi(rank, err) : 0;
    if (r < 0)
        return r;
    r = look_around(rank, err);
    if (r < 0)
        return r;
    r = start_parts(rank);
    return r < 0 ? mf_error_set(err, r, "cannot start rank %" PRIu32 ": %s", config->launch->rank,
                                strerror(-r))
                 : 0;
}
