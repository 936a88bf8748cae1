/*
 * One rank of a run: its launcher process, its modules, its transport, its
 * worker, and on rank 0 the scheduler, driven together by one loop on one thread.
 *
 *     mf_rank_start()     launcher process, modules, nursery, then MPI_Init; says HELLO
 *     mf_rank_work()      ranks other than 0: until the scheduler says stop, or is lost
 *     mf_rank_schedule()  rank 0, or the rank that takes over: until the run is over
 *     mf_rank_finish()    tells who is still waiting to stop; MPI_Finalize
 */
#ifndef MF_RUNTIME_RANK_H
#define MF_RUNTIME_RANK_H

#include "base/life.h"
#include "base/scratch.h"
#include "exec/caller.h"
#include "exec/modules.h"
#include "exec/process.h"
#include "runtime/launch.h"
#include "runtime/node.h"
#include "runtime/scheduler.h"
#include "runtime/worker.h"

/**
 * How to make a rank. All pointers are borrowed and outlive it.
 *
 * @launch      from mf_launch_detect()
 * @launcher    configuration of the launcher process
 * @modules     n_modules paths for mf_modules_load()
 * @mem_bytes, @n_gpus   what each node has, whatever is found there; 0 and
 *              MF_GPUS_FOUND for what is found
 * @is_inline   functions of modules are called in the rank itself
 * @gives_back  the scheduler gives idle nodes back to Slurm
 * @is_in_job   its resource manager signals all processes of the job at once, and soon kills them:
 *              SIGTERM ends the running tasks, and SIGUSR1 and SIGUSR2 are for them alone
 * @hears_mpirun   whoever supervises mpirun sends SIGUSR1 for SIGINT, SIGUSR2 for SIGTERM and
 *              SIGALRM for SIGHUP, as mpirun keeps those to itself
 * @patience_ns   for how long its worker waits for another scheduler
 */
struct mf_rank_config {
    const struct mf_launch *launch;
    struct mf_launcher_config launcher;
    const char *const *modules;
    uint32_t n_modules;
    uint64_t mem_bytes;
    uint32_t n_gpus;
    bool is_inline;
    bool gives_back;
    bool is_in_job;
    bool hears_mpirun;
    int64_t patience_ns;
    const struct mf_log *log;
};

/** Fields are the rank's own; callers read loop, transports, modules and is_root. */
struct mf_rank {
    const struct mf_rank_config *config;
    const struct mf_log *log;
    struct mf_loop *loop;
    struct mf_offer has; /* what it may use of its node */
    char scratch[MF_SCRATCH_BYTES];
    struct mf_life life; /* of this process */
    struct mf_launcher launcher;
    struct mf_modules *modules; /* NULL without any */
    struct mf_nursery nursery;
    struct mf_giver *giver;            /* NULL unless it gives nodes back */
    struct mf_transport *remote;       /* NULL without MPI */
    struct mf_transport *local;        /* where the scheduler is: its end */
    struct mf_transport *local_worker; /* and the worker's */
    struct mf_worker_rank *worker;
    bool is_root;        /* the scheduler is here */
    int64_t next_try_ns; /* of taking over */
    bool cannot_succeed; /* it was tried in vain */
    bool was_scheduled;  /* the workers were told to stop */
    bool is_superseded;  /* another rank schedules, and tells how the run ends */
    int signal_fd;
    int n_signals;
    int last_signal;
    bool is_ending; /* a signal has ended the running tasks */
    struct mf_watch *signal_watch;
    struct mf_scheduler *scheduler;
};

/** What mpirun hands on to ranks that stands for a signal that it takes for itself; else the same.
 */
int mf_rank_stand_in(int number);

/**
 * mf_rank_start() - make this process a rank. Before any thread; once.
 *
 * @rank      to fill in, zeroed; mf_rank_finish() it also after a failure
 *
 * Returns 0, or -errno with a sentence in err; -ELIBACC is about a module.
 */
int mf_rank_start(struct mf_rank *rank, const struct mf_rank_config *config, struct mf_error *err);

/** From mf_rank_work(): this rank is to take over, by mf_rank_schedule(). */
#define MF_RANK_SUCCEEDS 1

/**
 * mf_rank_work() - serve the scheduler until it says stop.
 *
 * Returns 0; MF_RANK_SUCCEEDS when the scheduler is lost and it is this rank's turn: if it cannot,
 * or another one has, it is to work on; or -errno with a sentence.
 */
int mf_rank_work(struct mf_rank *rank, struct mf_error *err);

/** Another process has the run: mf_rank_work() does not give MF_RANK_SUCCEEDS for a while. */
void mf_rank_try_later(struct mf_rank *rank);

/**
 * This rank cannot read the tasks, which another one may: it is their turn before its own.
 *
 * Returns whether that is so; else all of them have had it.
 */
bool mf_rank_pass(struct mf_rank *rank);

/**
 * mf_rank_schedule() - run a farm to its end.
 *
 * SIGINT, SIGTERM and SIGHUP are taken over: the first lets running tasks end,
 * the second ends them, and so does in a job the first SIGTERM.
 *
 * A rank that takes over (config->is_takeover) stays a worker if that fails, with -EBUSY when
 * another process has the run.
 *
 * @config     of the scheduler; its log, loop and transports are set here
 * @summary    where the summary goes, NULL for nowhere
 * @ret_result how it went
 *
 * Returns 0, or -errno with a sentence when nothing was started.
 */
int mf_rank_schedule(struct mf_rank *rank, struct mf_scheduler_config *config, FILE *summary,
                     enum mf_run_result *ret_result, struct mf_error *err);

/** Ends the rank; and the process, with this exit status, where others do not leave MPI in time. */
void mf_rank_finish(struct mf_rank *rank, int status);

#endif
