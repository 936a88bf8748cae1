/*
 * A run with all its ranks in one thread, on a virtual clock: the scheduler and
 * the workers are the real ones, messages take their time, and ranks die.
 *
 * The journal and the task file are real files in a directory of the world's
 * own. What a random schedule does follows from its seed.
 */
#ifndef T_WORLD_H
#define T_WORLD_H

#include "base/rng.h"
#include "runtime/scheduler_private.h"
#include "runtime/worker.h"

#define T_WORLD_MAX_RANKS 8
#define T_WORLD_MAX_TASKS 400

struct t_world;

/**
 * A rank.
 *
 * @scheduler   NULL unless it schedules
 * @journal     that it has open
 * @notices_ns  when it will know that the scheduler is dead, 0 for nothing to notice
 * @n_started   attempts
 * @goes_on_ns, @works_on_ns  until then it is stopped, or only its worker, though its tasks run on
 */
struct t_rank {
    struct t_world *world;
    uint32_t number;
    bool is_alive;
    bool has_left;
    char host[16], scratch[96];
    struct mf_transport *remote;
    struct mf_transport *local, *local_worker;
    struct mf_worker_rank *worker;
    struct mf_executor *executor;
    struct mf_scheduler *scheduler;
    struct mf_source *source;
    struct mf_journal *journal;
    struct mf_loop *loop;
    uint32_t n_started;
    int64_t notices_ns;
    int64_t goes_on_ns, works_on_ns;
};

/** What happened to a task. */
struct t_world_task {
    bool fails;        /* each of its tries fails */
    bool fails_first;  /* its first try fails; the second one, if the first is cut */
    bool is_cut_first; /* the same of its first try alone */
    bool is_cut;       /* it ends as one that was warned of the end of the allocation */
    bool is_loud;      /* its output is too large for a message */
    bool is_truncated; /* some of its output is dropped */
    uint32_t n_done;   /* times that it ran to its end */
    uint32_t n_cut;    /* of these, on ranks that died before anybody had heard of it */
    int64_t duration_ns;
    mf_worker_id ended_on[16];
    uint32_t ended_as[16]; /* number of the attempt */
    uint32_t n_ended;
};

/** An attempt that runs: on the nodes of a mask of ranks, in so many slots on each. */
struct t_world_running {
    uint32_t task, rank, n_slots, ranks;
};

/* @life  of all workers, which is that of the test; pid 0 when they are out of reach */
struct t_world {
    struct mf_rng rng;
    struct mf_life life;
    int64_t now_ns;
    uint32_t n_ranks, n_slots;
    struct t_rank ranks[T_WORLD_MAX_RANKS];
    struct t_world_task tasks[T_WORLD_MAX_TASKS + 1];
    struct t_world_running running[256];
    uint32_t n_running, n_spread, n_started;
    bool has_nodes;
    uint32_t n_tasks;
    char dir[64], run_dir[80], tasks_file[80];
    int64_t longest_trip_ns, retry_delay_ns;
    uint32_t n_takeovers;
    bool is_finished;
    enum mf_run_result result;
    uint64_t n_gone; /* as the scheduler counts at the end */
    char lost[64];   /* as it names them */
    char summary[1024];
    const char *breach;
};

/**
 * A world in which rank 0 is about to schedule the tasks in `text`, a task file whose commands are
 * "task N" with N from 1 up to n_tasks, in any order. If some have nodes=, each rank has a node of
 * its own. Whether a rank lives can be seen, as on one node, if is_one_node.
 */
struct t_world *t_world_create(uint64_t seed, uint32_t n_ranks, uint32_t n_slots, const char *text,
                               uint32_t n_tasks, bool is_one_node);

/** Removes its files. */
void t_world_destroy(struct t_world *world);

/** One step of a few milliseconds, in which each rank that lives has a turn. */
void t_world_step(struct t_world *world);

/** Steps until the run has ended, or ms have passed. Returns whether it has ended. */
bool t_world_run(struct t_world *world, int ms);

/** The rank that schedules, or NULL while there is none. */
struct t_rank *t_world_scheduler(struct t_world *world);

/** Sends a record as if a rank had. */
void t_world_say(struct t_world *world, uint32_t from, uint32_t to,
                 const struct mf_message *message);

/** kill -9: what it was about to send may be lost from some point on. */
void t_world_kill(struct t_world *world, struct t_rank *rank);

/** SIGSTOP, and SIGCONT after a while: its tasks know nothing of it. */
void t_world_stop(struct t_world *world, struct t_rank *rank, int64_t for_ns);

/** What a rank has sent, and has not arrived, does so that much later. */
void t_world_delay(struct t_world *world, const struct t_rank *rank, int64_t for_ns);

/** The worker of a rank alone does and says nothing for a while, as it waits for its launcher. */
void t_world_stop_worker(struct t_world *world, struct t_rank *rank, int64_t for_ns);

/** Prints who does what to standard error. */
void t_world_print(struct t_world *world);

/** A number below bound, by the world's seed. */
uint64_t t_world_draw(struct t_world *world, uint64_t bound);

/** After the end: each task is done once, apart from attempts that a death cut short, and the
 * journal says so; fails the test otherwise. */
void t_world_expect_all_done(struct t_world *world, uint64_t seed);

#endif
