/*
 * The scheduler: the part of rank 0 that knows all tasks and all workers.
 *
 * It reads tasks from a source, lets the core decide, sends work units to the
 * workers, and settles what they report: output stored, journal committed, and
 * only then told to anybody. It never blocks on a peer or a reader.
 */
#ifndef MF_RUNTIME_SCHEDULER_H
#define MF_RUNTIME_SCHEDULER_H

#include "base/error.h"
#include "base/life.h"
#include "base/log.h"
#include "base/loop.h"
#include "core/farm.h"
#include "journal/journal.h"
#include "report/progress.h"
#include "runtime/sim.h"
#include "taskfile/source.h"
#include "topo/topo.h"
#include "transport/transport.h"

#include <stdbool.h>
#include <stdint.h>

struct mf_giver;
struct mf_scheduler;

/** How a run went; says the exit status. */
enum mf_run_result {
    MF_RUN_DONE,       /* all tasks done */
    MF_RUN_FAILED,     /* all tasks were run, and some failed */
    MF_RUN_STOPPED,    /* not all tasks were run */
    MF_RUN_REFUSED,    /* it could not begin, or the input was bad: nothing was started */
    MF_RUN_SUPERSEDED, /* another scheduler has taken it over */
};

/** What to do with an earlier run in the journal. */
enum mf_resume {
    MF_RESUME_NONE,        /* there is none */
    MF_RESUME_UNFINISHED,  /* skip what is done and what failed */
    MF_RESUME_WITH_FAILED, /* skip what is done */
};

/**
 * How to run a farm. All pointers are borrowed and outlive the scheduler.
 *
 * @log, @loop        of rank 0
 * @clock_ns          monotonic time, that of turns as well; NULL for the real one
 * @wall_ns           nanoseconds since 1970, for what another scheduler may have to know; the same
 * @local             the scheduler's end of a local pair to the worker in this process
 * @remote            to the other ranks; NULL when there are none
 * @life              of this process, for the other ranks; NULL if nobody answers for it
 * @workers_may_be_silent   they run functions themselves, and say nothing meanwhile
 * @source            where tasks come from
 * @open_journal      called with open_arg once it is known that the run can begin: nothing of an
 *                    earlier run has been touched before. Gives the journal, whose only writer
 *                    the scheduler is then (borrowed); or -errno with a sentence, which refuses
 *                    the run. Where resume says so, it may be called before a refusal
 * @progress          NULL for none
 * @farm              configuration of the core
 * @end_ns            when the allocation ends, monotonic; 0 for no end. Who takes over finds that
 *                    in the journal
 * @warn_signal       what running tasks get warn_before_ns before that; 0 for nothing
 * @shares            n_shares of groups, by name
 * @jobs              slots of a node
 * @pin               whether slots are bound to cores
 * @attempts, @timeout_ns   for tasks that do not say: tries in all; 0 for no limit
 * @respawn           so many lost workers are replaced
 * @giver             gives idle nodes back to Slurm; NULL for nobody
 * @functions_yield   functions have processes of their own, and yield at their checkpoints
 * @resume            how to treat what the journal holds
 * @is_continued      the run broke off, and these are other ranks: it resumes, and what the user
 * has asked of it holds
 * @has_standby       another rank may take over this run; open_journal must then give a journal
 *                    whose lock is held
 * @over              told, with open_arg, when all has been done and written down, and the workers
 *                    of a run with a standby are let go: nobody takes over after that. NULL for
 *                    nobody
 * @is_takeover       this is such a rank: open_journal is called at once
 * @hindrance         why it can do nothing but end the run, whose tasks cannot be read again; NULL
 *                    if it can go on
 * @run_dir           absolute path of the run directory, which open_journal makes
 * @shown_run_dir     the same as the user knows it, for the summary
 * @output_dir        store output there instead of printing it; NULL to print
 * @joblog            a joblog beside the one in the run directory; NULL for none
 * @keep_order, @tag  of printed output
 */
struct mf_scheduler_config {
    const struct mf_log *log;
    struct mf_loop *loop;
    int64_t (*clock_ns)(void);
    int64_t (*wall_ns)(void);
    struct mf_transport *local;
    struct mf_transport *remote;
    const struct mf_life *life;
    bool workers_may_be_silent;
    struct mf_source *source;
    int (*open_journal)(void *arg, struct mf_journal **ret_journal, struct mf_error *err);
    void *open_arg;
    struct mf_progress *progress;
    struct mf_farm_config farm;
    int64_t end_ns;
    int64_t warn_before_ns;
    int warn_signal;
    const struct mf_group_share *shares;
    uint32_t n_shares;
    struct mf_jobs jobs;
    bool pin;
    uint32_t attempts;
    int64_t timeout_ns;
    uint32_t respawn;
    struct mf_giver *giver;
    bool functions_yield;
    enum mf_resume resume;
    bool is_continued;
    bool has_standby;
    void (*over)(void *arg, enum mf_run_result result);
    bool is_takeover;
    const char *hindrance;
    const char *run_dir;
    const char *shown_run_dir;
    const char *output_dir;
    const char *joblog;
    bool keep_order;
    bool tag;
};

/** Returns 0, or -errno with a sentence in err; nothing has been started then. */
int mf_scheduler_create(const struct mf_scheduler_config *config,
                        struct mf_scheduler **ret_scheduler, struct mf_error *err);

/** Frees; NULL is accepted. Workers were told to stop if the scheduler is finished. */
void mf_scheduler_destroy(struct mf_scheduler *scheduler);

/**
 * mf_scheduler_turn() - one turn: receive, read, decide, act, commit, tell, send.
 *
 * Errors end the run in an orderly way: they are logged once, the workers are
 * stopped, and the result is MF_RUN_STOPPED.
 *
 * Returns 1 when there was traffic, else 0.
 */
int mf_scheduler_turn(struct mf_scheduler *scheduler, int64_t now_ns);

/** When it wants its next turn even if nothing happens; INT64_MAX for never. */
int64_t mf_scheduler_next_ns(const struct mf_scheduler *scheduler);

/** Stops the run, as a signal does; `why` is for the summary (copied). */
void mf_scheduler_stop(struct mf_scheduler *scheduler, enum mf_stop stop, const char *why);

/** The same by what says nothing of the tasks, so that another run may go on with them. */
void mf_scheduler_interrupt(struct mf_scheduler *scheduler, enum mf_stop stop, const char *why);

/** Whether that is so, also when it was so under the scheduler before this one. */
bool mf_scheduler_is_interrupted(const struct mf_scheduler *scheduler);

/** Whether the run is over and all workers have left. */
bool mf_scheduler_is_finished(const struct mf_scheduler *scheduler);

/** Whether a rank is gone, so that the ranks should not wait for each other. */
bool mf_scheduler_has_losses(const struct mf_scheduler *scheduler);

/** After the end: how it went. */
enum mf_run_result mf_scheduler_result(const struct mf_scheduler *scheduler);

/** After the end: prints the summary. */
void mf_scheduler_summarize(const struct mf_scheduler *scheduler, FILE *file);

/** Instead of that: logs how many tasks could never start, as nothing else tells. */
void mf_scheduler_tell_unfit(const struct mf_scheduler *scheduler);

#endif
