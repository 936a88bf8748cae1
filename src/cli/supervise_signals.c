/*
 * Signals that are passed on to whoever schedules: see supervise_private.h. Runs in the
 * supervisor's only thread.
 */
#include "cli/supervise_private.h"

#include "base/io.h"
#include "runtime/rank.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

static void note_missed(struct mf_supervisor *supervisor)
{
    supervisor->is_missed = true;
    mf_log_warning(&supervisor->context->log,
                   "signal %" PRIu32 " (%s) did not get to the scheduler%s",
                   supervisor->told_number, sigdescr_np((int)supervisor->told_number),
                   supervisor->config->has_standby ? ": one that follows it is told" : "");
}

/* By a step of its own. Never returns. */
_Noreturn static void exec_teller(const struct mf_ending *ending, uint32_t number)
{
    char signal_word[16], pid_word[16], node_word[300];
    const char *const words[] = {"srun",       "--overlap",    "--mpi=none", "--nodes=1",
                                 "--ntasks=1", "--input=none", "--quiet",    node_word,
                                 "kill",       signal_word,    pid_word,     NULL};
    sigset_t none;

    snprintf(signal_word, sizeof(signal_word), "-%" PRIu32, number);
    snprintf(pid_word, sizeof(pid_word), "%" PRId32, ending->scheduler.pid);
    snprintf(node_word, sizeof(node_word), "--nodelist=%s", ending->host);
    setpgid(0, 0);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    mf_launching_clean_environment();
    execvp(words[0], (char *const *)words);
    _exit(127);
}

/*
 * srun would end the step with most signals, and give the others to all processes of the step,
 * tasks included. So the scheduler is told by itself, on another node with the help of srun.
 */
static void tell_scheduler(struct mf_supervisor *supervisor, const struct mf_ending *ending,
                           uint32_t number)
{
    int fd, r = mf_life_open(&ending->scheduler, &fd);

    supervisor->told = ending->scheduler;
    supervisor->told_number = number;
    supervisor->is_missed = false;
    if (r == 1) {
        r = pidfd_send_signal(fd, (int)number, NULL, 0);
        mf_close(&fd);
    } else if (r == 0) {
        r = supervisor->teller = fork();
        if (r == 0)
            exec_teller(ending, number);
    }
    if (r < 0)
        note_missed(supervisor);
}

void mf_supervise_tell_next(struct mf_supervisor *supervisor)
{
    struct mf_ending ending;

    if (!supervisor->is_missed)
        return;
    ending = mf_supervise_look(supervisor);
    if (ending.state == MF_ENDING_BEGUN && (ending.scheduler.pid != supervisor->told.pid ||
                                            ending.scheduler.started != supervisor->told.started))
        tell_scheduler(supervisor, &ending, supervisor->told_number);
}

/*
 * Before the run has begun there may be no rank that could be told, so that what starts them is
 * ended. The first signal lets tasks end, the second ends them, and more mean that this takes too
 * long.
 */
void mf_supervise_pass_on(struct mf_supervisor *supervisor, uint32_t number)
{
    struct mf_ending ending = mf_supervise_look(supervisor);

    supervisor->n_signals++;
    if (ending.state < MF_ENDING_BEGUN)
        kill(supervisor->starter, supervisor->n_signals == 1 ? supervisor->end_signal : SIGKILL);
    else if (supervisor->n_signals > 3)
        kill(supervisor->starter, SIGKILL);
    else if (supervisor->n_signals == 3)
        kill(supervisor->starter, supervisor->end_signal);
    else if (supervisor->config->launching->way == MF_LAUNCH_SRUN)
        tell_scheduler(supervisor, &ending, number);
    else
        kill(supervisor->starter, mf_rank_stand_in((int)number));
}

void mf_supervise_note_reaped(struct mf_supervisor *supervisor, pid_t pid, int status)
{
    if (pid != supervisor->teller)
        return;
    supervisor->teller = 0;
    if (status != 0)
        note_missed(supervisor);
}
