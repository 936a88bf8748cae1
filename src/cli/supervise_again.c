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

#include <poll.h>
#include <sys/wait.h>

/* How often a run goes on under other ranks: what ends them all again and again is to be told. */
#define MAX_CONTINUED 3

/* Before it does: what ran on other nodes, out of sight, is gone by then. */
#define PAUSE_NS (2 * MF_NS_PER_S)

/* The exit status of a starter, or of its ranks, whose program is not there. */
#define NO_PROGRAM 127

/* Waits until nothing is left anywhere. Returns whether the user lets it go on. */
static bool pause_before(struct mf_supervisor *supervisor)
{
    int64_t end_ns = mf_clock_monotonic_ns() + PAUSE_NS, left_ns;

    while ((left_ns = end_ns - mf_clock_monotonic_ns()) > 0) {
        struct pollfd item = {.fd = supervisor->signal_fd, .events = POLLIN};

        (void)poll(&item, 1, (int)(left_ns / MF_NS_PER_MS) + 1);
        if (mf_supervise_is_told_to_leave(supervisor))
            return false;
    }
    return true;
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
 * Whether other ranks are to go on with the run, which must have been broken off, and not by its
 * user; and of those before no process may be left, which could still do something.
 */
static bool may_continue(struct mf_supervisor *supervisor, bool is_clear)
{
    const struct mf_supervision *config = supervisor->config;
    struct mf_ending ending;

    if (!config->has_standby || config->reads_input || !is_clear ||
        mf_supervise_is_told_to_leave(supervisor) || supervisor->n_continued >= MAX_CONTINUED)
        return false;
    ending = mf_supervise_look(supervisor);
    return ending.state == MF_ENDING_BEGUN && !ending.is_over;
}

/* Returns whether they were started. */
static bool go_on(struct mf_supervisor *supervisor)
{
    char how[128];

    mf_log_warning(&supervisor->context->log,
                   "%s in the middle of the run: new ranks go on with it",
                   mf_supervise_say_how_it_broke(supervisor, how, sizeof(how)));
    if (!pause_before(supervisor) ||
        mf_ending_renew(supervisor->ending, supervisor->config->end_ns) < 0)
        return false;
    begin_anew(supervisor);
    supervisor->n_continued++;
    return mf_supervise_start(supervisor) == 0;
}

/*
 * Whether the start has failed such that another one may not: by itself, and not as the program is
 * missing. Input may have been read, and cannot be read again.
 */
static bool may_restart(struct mf_supervisor *supervisor, bool is_clear)
{
    int status = supervisor->status;

    return is_clear && supervisor->n_restarted + supervisor->n_continued == 0 &&
           supervisor->asked_ns == 0 && !supervisor->config->reads_input &&
           !supervisor->err.was_told && !(WIFEXITED(status) && WEXITSTATUS(status) == NO_PROGRAM) &&
           !mf_supervise_is_told_to_leave(supervisor) &&
           mf_supervise_look(supervisor).state == MF_ENDING_NONE;
}

/* Returns whether they were started. */
static bool restart(struct mf_supervisor *supervisor)
{
    mf_log_warning(&supervisor->context->log, "%s ended before the run began: it is tried again",
                   supervisor->name);
    if (!pause_before(supervisor))
        return false;
    begin_anew(supervisor);
    supervisor->n_restarted++;
    return mf_supervise_start(supervisor) == 0;
}

bool mf_supervise_follow(struct mf_supervisor *supervisor, bool is_clear)
{
    if (may_restart(supervisor, is_clear))
        return restart(supervisor);
    return may_continue(supervisor, is_clear) && go_on(supervisor);
}
