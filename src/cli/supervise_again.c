/*
 * Ranks in place of those that have ended: see supervise_private.h. Runs in the supervisor's only
 * thread.
 *
 * With a standby a run is to survive whatever dies. Where none of its ranks can go on with it, as
 * mpirun itself has died or all ranks have, the supervisor does what its user would do: once
 * nothing is left of them it starts others, which continue from the journal.
 *
 * Nodes, networks and Slurm itself fail now and then just as ranks are started. As long as no rank
 * has begun with the run, starting them once more does no harm.
 */
#include "cli/supervise_private.h"

#include "exec/remnants.h"
#include "journal/rundir.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* How often a run goes on under other ranks: what ends them all again and again is to be told. */
#define MAX_CONTINUED 3

/* Before it does: what has to do with a starter that is dead, out of sight, is gone by then. */
#define PAUSE_NS (2 * MF_NS_PER_S)

/* The exit status of a starter, or of its ranks, whose program is not there. */
#define NO_PROGRAM 127

/* How long ranks on other nodes may run on, without any scheduler or anything else, beside waiting
 * for another one: until they have noticed, and have ended their tasks. */
#define OUTLIVE_NS (15 * MF_NS_PER_S)

/* Between looks at the lock, which may be on a file system that many share. */
#define LOCK_NS (500 * MF_NS_PER_MS)

/*
 * What a starter has started on this node need not be below this process: ranks of srun are below
 * a daemon of Slurm. All of it has the name of the file, which no task has.
 */
static void end_ranks(const struct mf_supervisor *supervisor)
{
    char variable[sizeof(MF_ENDING_VARIABLE) + PATH_MAX];

    snprintf(variable, sizeof(variable), MF_ENDING_VARIABLE "=%s", supervisor->ending);
    mf_remnants_kill(variable);
}

/* Whether ranks on other nodes may be alive: a starter that was not killed says when all have
 * ended; but an mpirun that has lost a node gives up without. */
static bool may_outlive(const struct mf_supervisor *supervisor)
{
    const struct mf_launching *launching = supervisor->config->launching;
    const struct mf_allocation *allocation = &launching->allocation;

    if (WIFEXITED(supervisor->status) &&
        (launching->way == MF_LAUNCH_SRUN || WEXITSTATUS(supervisor->status) == 0))
        return false;
    if (allocation->job)
        return allocation->n_nodes > 1 || !allocation->is_on_node;
    return supervisor->last.is_spread;
}

static int64_t outlive_ns(const struct mf_supervisor *supervisor)
{
    return supervisor->config->patience_ns + OUTLIVE_NS;
}

/* From when on nothing is left anywhere. One that had to be made to end was given its time. */
static int64_t find_end_ns(const struct mf_supervisor *supervisor, int64_t now_ns)
{
    int64_t end_ns = (supervisor->asked_ns ? supervisor->over_ns : now_ns) + outlive_ns(supervisor);

    if (!may_outlive(supervisor) || end_ns < now_ns + PAUSE_NS)
        return now_ns + PAUSE_NS;
    mf_log_warning(&supervisor->context->log,
                   "what runs on other nodes may not have ended: they begin in %" PRId64 " s",
                   (end_ns - now_ns) / MF_NS_PER_S);
    return end_ns;
}

/*
 * Waits until nothing is left anywhere. Returns 0, -EINTR when the user does not let it go on, or
 * -EBUSY: somebody still has the run directory.
 */
static int pause_before(struct mf_supervisor *supervisor)
{
    int64_t now_ns = mf_clock_monotonic_ns(), limit_ns = now_ns + outlive_ns(supervisor);
    int64_t end_ns = find_end_ns(supervisor, now_ns);

    while (now_ns < end_ns || mf_rundir_is_held(supervisor->config->run_dir) > 0) {
        struct pollfd item = {.fd = supervisor->signal_fd, .events = POLLIN};
        int64_t left_ns = now_ns < end_ns ? end_ns - now_ns : LOCK_NS;

        if (now_ns >= end_ns && now_ns >= limit_ns)
            return -EBUSY;
        (void)poll(&item, 1, (int)(left_ns / MF_NS_PER_MS) + 1);
        if (mf_supervise_is_told_to_leave(supervisor))
            return -EINTR;
        now_ns = mf_clock_monotonic_ns();
    }
    return 0;
}

/* Forgets what was of the ranks before. */
static void begin_anew(struct mf_supervisor *supervisor)
{
    supervisor->last = (struct mf_ending){.state = MF_ENDING_NONE};
    supervisor->told = (struct mf_life){.pid = 0};
    supervisor->looked_ns = supervisor->over_ns = supervisor->asked_ns = 0;
    supervisor->is_missed = supervisor->has_ended = false;
    supervisor->teller = 0;
}

/*
 * Whether the run was broken off. Ranks that lose the starter may be sent SIGTERM, and can print
 * nothing more: that they stop then is not what the user wanted.
 */
static bool is_broken_off(const struct mf_supervisor *supervisor, const struct mf_ending *before,
                          const struct mf_ending *ending)
{
    if (ending->state == MF_ENDING_BEGUN && !ending->is_over)
        return true;
    return ending->state >= MF_ENDING_BEGUN && ending->status == MPIFARM_EXIT_STOPPED &&
           before->state == MF_ENDING_BEGUN && !before->is_over &&
           WIFSIGNALED(supervisor->status) && supervisor->asked_ns == 0;
}

/*
 * Whether other ranks are to go on with the run, which must have been broken off, and not by its
 * user; and of those before no process may be left, which could still do something.
 *
 * @before  what was known when the starter had not ended yet
 */
static bool may_continue(struct mf_supervisor *supervisor, bool is_clear,
                         const struct mf_ending *before)
{
    const struct mf_supervision *config = supervisor->config;
    struct mf_ending ending;

    if (!config->has_standby || config->reads_input || !is_clear ||
        mf_supervise_is_told_to_leave(supervisor) || supervisor->n_continued >= MAX_CONTINUED)
        return false;
    ending = mf_supervise_look(supervisor);
    return is_broken_off(supervisor, before, &ending);
}

/* Other ranks get another file: what those before still say is not heard. Returns 0, or -errno when
 * nothing has changed. */
static int change_file(struct mf_supervisor *supervisor, bool is_begun)
{
    const struct mf_supervision *config = supervisor->config;
    char path[PATH_MAX];
    int r = mf_ending_create(config->run_dir, path);

    if (r < 0)
        return r;
    if (is_begun)
        r = mf_ending_renew(path, config->end_ns);
    if (r < 0) {
        (void)unlink(path);
        return r;
    }
    (void)unlink(supervisor->ending);
    strcpy(supervisor->ending, path);
    return 0;
}

/* Once nothing is left of those before. Returns whether others were started. */
static bool start_others(struct mf_supervisor *supervisor, bool is_begun)
{
    const struct mf_log *log = &supervisor->context->log;
    int r;

    end_ranks(supervisor);
    r = pause_before(supervisor);
    if (r == -EBUSY)
        mf_log_error(log, "%s: still in use by ranks of before, on another node: no new ones",
                     supervisor->config->run_dir);
    if (r < 0)
        return false;
    r = change_file(supervisor, is_begun);
    if (r == 0)
        r = mf_supervise_start(supervisor);
    if (r < 0) {
        mf_log_error(log, "%s cannot be started again: %s", supervisor->name, strerror(-r));
        return false;
    }
    begin_anew(supervisor);
    return true;
}

/* Returns whether they were started. */
static bool go_on(struct mf_supervisor *supervisor)
{
    char how[128];

    mf_log_warning(&supervisor->context->log,
                   "%s in the middle of the run: new ranks go on with it",
                   mf_supervise_say_how_it_broke(supervisor, how, sizeof(how)));
    if (!start_others(supervisor, true))
        return false;
    supervisor->n_continued++;
    supervisor->n_restarted = 0;
    return true;
}

/*
 * Whether the start has failed such that another one may not: by itself, and not as the program is
 * missing. Input may have been read, and cannot be read again.
 */
static bool may_restart(struct mf_supervisor *supervisor, bool is_clear)
{
    int status = supervisor->status;

    return is_clear && supervisor->n_restarted == 0 && !supervisor->config->reads_input &&
           !supervisor->err.was_told && !(WIFEXITED(status) && WEXITSTATUS(status) == NO_PROGRAM) &&
           !mf_supervise_is_told_to_leave(supervisor) &&
           mf_supervise_look(supervisor).state < MF_ENDING_BEGUN;
}

/* Returns whether they were started. */
static bool restart(struct mf_supervisor *supervisor)
{
    mf_log_warning(&supervisor->context->log, "%s %s before the run %s: it is tried again",
                   supervisor->name, supervisor->asked_ns ? "hung" : "ended",
                   supervisor->n_continued > 0 ? "went on" : "began");
    if (!start_others(supervisor, supervisor->n_continued > 0))
        return false;
    supervisor->n_restarted++;
    return true;
}

bool mf_supervise_follow(struct mf_supervisor *supervisor, bool is_clear)
{
    struct mf_ending before = supervisor->last;

    if (may_restart(supervisor, is_clear))
        return restart(supervisor);
    return may_continue(supervisor, is_clear, &before) && go_on(supervisor);
}
