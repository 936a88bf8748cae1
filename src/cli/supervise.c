/*
 * Supervising srun or mpirun, the starter: see supervise.h. Two threads would be one too many: a
 * loop over poll() hands on output and signals, and looks whether the run has
 * ended. The starter is in a process group of its own, so that the keys of a
 * terminal mean what they mean without it.
 */
#include "cli/supervise_private.h"

#include "base/io.h"
#include "cli/standing.h"
#include "cli/streams.h"
#include "exec/descendants.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

/* A starter may hang once ranks have died; but it ends soon after its ranks, and what it has of
 * their output comes before. */
#define LEAVE_NS (5 * MF_NS_PER_S)

/* It waits for ranks that are known to be lost until Slurm knows it too, if not for ever. */
#define LEAVE_LOST_NS (1 * MF_NS_PER_S)

/* Ranks that nobody waits for any more may have something to do before they leave. */
#define LEAVE_OVER_NS (30 * MF_NS_PER_S)

/* A scheduler that has died may be followed by another one, for which workers wait; and then it has
 * something to do. */
#define TAKEOVER_NS (30 * MF_NS_PER_S)

/* Between looks at the record of the end, which may be on a file system that many share; and it is
 * not looked at while there is output. */
#define RECORD_NS (1 * MF_NS_PER_S)

/* Processes of the starter that have to be killed. */
#define KILL_LIMIT_NS (2 * MF_NS_PER_S)

bool mf_supervise_is_by_mpirun(void)
{
    return getenv("OMPI_COMM_WORLD_SIZE") != NULL;
}

int mf_supervise_is_advised(void)
{
    const char *recovery = getenv("OMPI_MCA_orte_enable_recovery");

    return mf_supervise_is_by_mpirun() && (!recovery || strcmp(recovery, "0") == 0);
}

/* --- while it runs --- */

/* What cannot be read for a moment, as on a file system of a network, says nothing new. */
struct mf_ending mf_supervise_look(struct mf_supervisor *supervisor)
{
    struct mf_ending ending = mf_ending_read(supervisor->ending);

    if (ending.state != MF_ENDING_NONE)
        supervisor->last = ending;
    return supervisor->last;
}

/* Those of ranks that have died become children of this process. */
static void reap(struct mf_supervisor *supervisor)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        mf_supervise_note_reaped(supervisor, pid, status);
        if (pid != supervisor->starter)
            continue;
        supervisor->status = status;
        supervisor->has_ended = true;
    }
}

static void take_signal(struct mf_supervisor *supervisor)
{
    struct signalfd_siginfo info;

    if (read(supervisor->signal_fd, &info, sizeof(info)) != sizeof(info))
        return;
    if (info.ssi_signo != SIGCHLD) {
        mf_supervise_pass_on(supervisor, info.ssi_signo);
        return;
    }
    reap(supervisor);
}

/* Output of a rank on another node, which takes it to be printed. Returns whether that is new. */
static bool note_lost_output(struct mf_supervisor *supervisor)
{
    if (supervisor->out.error == 0 || supervisor->is_output_lost)
        return false;
    supervisor->is_output_lost = true;
    mf_log_error(&supervisor->context->log,
                 "standard output cannot be written: %s: output of tasks that have just ended is "
                 "lost",
                 strerror(-supervisor->out.error));
    return true;
}

static void wait_for_more(struct mf_supervisor *supervisor)
{
    struct pollfd items[] = {{.fd = supervisor->signal_fd, .events = POLLIN},
                             mf_relay_wish(&supervisor->out),
                             mf_relay_wish(&supervisor->err),
                             {.fd = supervisor->streams_fd, .events = POLLIN}};
    bool has_moved;

    if (poll(items, 4, (int)(MF_SUPERVISE_LOOK_NS / MF_NS_PER_MS)) < 0)
        return;
    if (items[0].revents)
        take_signal(supervisor);
    if (items[3].revents)
        mf_streams_give(supervisor->streams_fd);
    has_moved = mf_relay_turn(&supervisor->out, &items[1]);
    has_moved |= mf_relay_turn(&supervisor->err, &items[2]);
    /* No more of it is to be lost. */
    if (note_lost_output(supervisor))
        mf_supervise_pass_on(supervisor, SIGTERM);
    /* A reader that is slow holds up the starter, which does not hang then. */
    if (has_moved || supervisor->out.n > 0 || supervisor->err.n > 0)
        supervisor->quiet_ns = mf_clock_monotonic_ns();
}

/* Of one on another node status.json and the lock of the run directory tell. */
static bool has_ended(const struct mf_supervisor *supervisor, const struct mf_life *scheduler)
{
    const char *run_dir = supervisor->config->run_dir;
    struct mf_status status;
    int fd, r = mf_life_open(scheduler, &fd);

    if (r == 1)
        mf_close(&fd);
    if (r != 0)
        return mf_life_has_ended(scheduler);
    return mf_status_read(run_dir, &status) == 0 && !status.is_finished &&
           mf_standing_find(run_dir, &status) == MF_STANDING_ENDED;
}

/* For how long the starter may stay behind a run that is over; -1 for one that is not. */
static int64_t patience_ns(struct mf_supervisor *supervisor)
{
    const struct mf_supervision *config = supervisor->config;
    struct mf_ending ending = mf_supervise_look(supervisor);

    if (ending.state == MF_ENDING_ENDED)
        return ending.has_losses ? LEAVE_LOST_NS : LEAVE_NS;
    if (ending.state == MF_ENDING_NONE && supervisor->err.was_told)
        return LEAVE_LOST_NS;
    if (ending.state < MF_ENDING_BEGUN && supervisor->n_signals > 0)
        return 0;
    /* srun may have to wait for nodes. */
    if (ending.state == MF_ENDING_NONE &&
        (config->launching->way == MF_LAUNCH_MPIRUN || supervisor->n_continued > 0))
        return config->start_ns;
    if (ending.state == MF_ENDING_BEGUN && has_ended(supervisor, &ending.scheduler))
        return ending.is_over        ? LEAVE_OVER_NS
               : config->has_standby ? config->patience_ns + TAKEOVER_NS
                                     : LEAVE_NS;
    return -1;
}

/* The run is over, and the starter has had its time: it is asked to end, and then made to. */
static void press(struct mf_supervisor *supervisor, int64_t now_ns)
{
    int64_t allowed_ns;

    if (now_ns < supervisor->looked_ns + RECORD_NS || now_ns < supervisor->quiet_ns + RECORD_NS)
        return;
    supervisor->looked_ns = now_ns;
    mf_supervise_tell_next(supervisor);
    allowed_ns = patience_ns(supervisor);
    if (allowed_ns < 0)
        supervisor->over_ns = 0;
    else if (supervisor->over_ns == 0)
        supervisor->over_ns = now_ns;
    if (supervisor->over_ns == 0 || now_ns < supervisor->over_ns + allowed_ns ||
        now_ns < supervisor->quiet_ns + allowed_ns)
        return;
    if (supervisor->asked_ns == 0) {
        supervisor->asked_ns = now_ns;
        kill(supervisor->starter, supervisor->end_signal);
    } else if (now_ns >= supervisor->asked_ns + LEAVE_NS) {
        kill(supervisor->starter, SIGKILL);
    }
}

bool mf_supervise_is_told_to_leave(struct mf_supervisor *supervisor)
{
    struct signalfd_siginfo info;

    while (read(supervisor->signal_fd, &info, sizeof(info)) == sizeof(info))
        supervisor->n_signals += info.ssi_signo != SIGCHLD;
    return supervisor->n_signals > 0;
}

/*
 * What the starter has left behind, and the last of the output, for which a reader may take its
 * time. A process that cannot be killed would keep the pipes open for ever. Returns whether nothing
 * is left.
 */
static bool clear_away(struct mf_supervisor *supervisor)
{
    bool is_clear = mf_descendants_kill(KILL_LIMIT_NS) == 0;
    struct mf_relay *out = &supervisor->out, *err = &supervisor->err;
    int n_signals = supervisor->n_signals, n;

    while (!mf_relay_is_over(out) || !mf_relay_is_over(err)) {
        struct pollfd items[] = {mf_relay_wish(out),
                                 mf_relay_wish(err),
                                 {.fd = supervisor->signal_fd, .events = POLLIN}};

        n = poll(items, 3, is_clear ? -1 : (int)(LEAVE_NS / MF_NS_PER_MS));
        if (n < 0 && errno != EINTR)
            return false;
        if (n == 0 && out->n == 0 && err->n == 0)
            return false;
        if (n <= 0)
            continue;
        if (items[2].revents && mf_supervise_is_told_to_leave(supervisor) &&
            supervisor->n_signals > n_signals)
            return false;
        (void)mf_relay_turn(out, &items[0]);
        (void)mf_relay_turn(err, &items[1]);
        (void)note_lost_output(supervisor);
    }
    return is_clear;
}

/* --- the end of a starter --- */

const char *mf_supervise_say_how_it_broke(const struct mf_supervisor *supervisor, char *text,
                                          size_t size)
{
    int status = supervisor->status;

    /* One that was pressed has only done as it was told. */
    if (WIFSIGNALED(status) && supervisor->asked_ns == 0)
        snprintf(text, size, "%s was killed by signal %d (%s)", supervisor->name, WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    else
        snprintf(text, size, "the scheduler ended");
    return text;
}

/* Ranks tell a mistake of the user themselves: what ends them before that is the machine's, and may
 * not be so the next time. */
static int judge(struct mf_supervisor *supervisor)
{
    struct mf_ending ending = mf_supervise_look(supervisor);
    const char *again = supervisor->n_continued > 0   ? " again; --resume continues"
                        : supervisor->n_restarted > 0 ? " again; nothing was started"
                                                      : "";
    char how[128];

    switch (ending.state) {
    case MF_ENDING_ENDED:
        return ending.status == MPIFARM_EXIT_USAGE && supervisor->n_continued > 0
                   ? MPIFARM_EXIT_STOPPED
                   : ending.status;
    case MF_ENDING_BEGUN:
        if (ending.is_over)
            return ending.status;
        mf_log_error(&supervisor->context->log, "%s in the middle of the run; --resume continues",
                     mf_supervise_say_how_it_broke(supervisor, how, sizeof(how)));
        return MPIFARM_EXIT_STOPPED;
    case MF_ENDING_NONE:
    case MF_ENDING_READY:
        break;
    }
    mf_log_error(&supervisor->context->log, "%s ended before the run began%s%s", supervisor->name,
                 again,
                 supervisor->err.was_told ? ": a rank could not start there; all nodes must have "
                                            "this program, and what it needs, where this one has it"
                                          : "");
    return MPIFARM_EXIT_STOPPED;
}

/* --- all of it --- */

/* Until the starter has ended, and all that it had. Returns whether nothing is left. */
static bool watch(struct mf_supervisor *supervisor)
{
    bool is_clear;
    int fds[] = {supervisor->out.from, supervisor->err.from};

    while (!supervisor->has_ended) {
        wait_for_more(supervisor);
        if (!supervisor->has_ended)
            press(supervisor, mf_clock_monotonic_ns());
    }
    is_clear = clear_away(supervisor);
    mf_close(&fds[0]);
    mf_close(&fds[1]);
    mf_close(&supervisor->streams_fd);
    return is_clear;
}

static bool may_be_refused(struct mf_context *context)
{
    if (geteuid() != 0 ||
        (getenv("OMPI_ALLOW_RUN_AS_ROOT") && getenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM")))
        return false;
    mf_log_error(&context->log, "mpirun does not run for root unless OMPI_ALLOW_RUN_AS_ROOT=1 and "
                                "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 are set");
    return true;
}

/* What a process or the machine has too little of is no mistake of the user. */
static int refuse(struct mf_supervisor *supervisor, int code)
{
    const struct mf_log *log = &supervisor->context->log;

    if (code == -EAGAIN || code == -ENOMEM || code == -EMFILE || code == -ENFILE) {
        mf_log_error(log, "%s cannot be started: %s", supervisor->name, strerror(-code));
        return MPIFARM_EXIT_STOPPED;
    }
    mf_log_error(log,
                 "%s: cannot be written, or %s not be started: %s; --run-dir names another "
                 "directory",
                 supervisor->config->run_dir, supervisor->name, strerror(-code));
    return MPIFARM_EXIT_USAGE;
}

int mf_supervise(struct mf_context *context, const struct mf_supervision *config)
{
    struct mf_supervisor supervisor = {.context = context,
                                       .config = config,
                                       .name = mf_launch_way_name(config->launching->way),
                                       .signal_fd = -1,
                                       .streams_fd = -1};
    int r, status;

    if (config->launching->way == MF_LAUNCH_MPIRUN && may_be_refused(context))
        return MPIFARM_EXIT_USAGE;
    r = mf_ending_create(config->run_dir, supervisor.ending);
    if (r == 0)
        r = mf_supervise_prepare(&supervisor);
    if (r == 0)
        r = mf_supervise_start(&supervisor);
    if (r < 0) {
        (void)unlink(supervisor.ending);
        return refuse(&supervisor, r);
    }
    while (mf_supervise_follow(&supervisor, watch(&supervisor)))
        ;
    status = judge(&supervisor);
    if (supervisor.is_output_lost && status <= MPIFARM_EXIT_FAILED)
        status = MPIFARM_EXIT_STOPPED;
    (void)unlink(supervisor.ending);
    mf_close(&supervisor.signal_fd);
    return status;
}
