/*
 * What the parts of supervising share: supervise.c watches a starter, supervise_start.c starts it,
 * supervise_again.c starts it again, supervise_signals.c passes signals on. See supervise.h. One
 * thread.
 */
#ifndef MF_CLI_SUPERVISE_PRIVATE_H
#define MF_CLI_SUPERVISE_PRIVATE_H

#include "cli/supervise.h"

#include "base/clock.h"
#include "cli/ending.h"
#include "cli/relay.h"

#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <sys/types.h>

/** Between looks at whether there is something to do. */
#define MF_SUPERVISE_LOOK_NS (200 * MF_NS_PER_MS)

/**
 * @name       of what was started, srun or mpirun
 * @streams_fd  where the rank with the scheduler asks for the user's streams; -1 for nowhere
 * @before     signals that were blocked before this process took some
 * @end_signal  what asks the starter to end
 * @status     how the starter has ended, as of wait()
 * @n_signals  that were passed on, or came when there was nobody to pass them on to
 * @teller     srun that passes a signal on, 0 for none
 * @told       the scheduler that the last signal was for
 * @told_number  that signal
 * @is_missed  it did not get there: it is for the scheduler that follows
 * @last       that was read of how far the run is
 * @quiet_ns   since when nothing has come of it
 * @looked_ns  when the record was last looked at
 * @over_ns    since when the run is known to be over, 0 if it is not
 * @asked_ns   when the starter was asked to end, 0 if it was not
 * @has_ended  it has, and was reaped
 * @is_output_lost  what came by way of the starter could not be written
 * @n_continued   how often the run went on under other ranks
 * @n_restarted   how often the start was tried again, before the run had begun
 */
struct mf_supervisor {
    struct mf_context *context;
    const struct mf_supervision *config;
    const char *name;
    char ending[PATH_MAX];
    pid_t starter;
    int end_signal;
    int status;
    int signal_fd;
    int streams_fd;
    sigset_t before;
    int n_signals;
    pid_t teller;
    struct mf_life told;
    uint32_t told_number;
    bool is_missed;
    struct mf_ending last;
    struct mf_relay out, err;
    int64_t quiet_ns, looked_ns, over_ns, asked_ns;
    bool has_ended, is_output_lost;
    int n_continued, n_restarted;
};

/** How far the run is, as far as that can be read. */
struct mf_ending mf_supervise_look(struct mf_supervisor *supervisor);

/** Takes signals and the terminal, once, and finds end_signal. Returns 0 or -errno. */
int mf_supervise_prepare(struct mf_supervisor *supervisor);

/** Starts srun or mpirun, whose output comes to supervisor->out and err. Returns 0, or -errno when
 * nothing has changed. */
int mf_supervise_start(struct mf_supervisor *supervisor);

/** A signal that this process got is for the scheduler, or the starter. */
void mf_supervise_pass_on(struct mf_supervisor *supervisor, uint32_t number);

/** A scheduler that has taken over gets what the one before it did not. */
void mf_supervise_tell_next(struct mf_supervisor *supervisor);

/** A child has ended, which may be a teller; status as of wait(). */
void mf_supervise_note_reaped(struct mf_supervisor *supervisor, pid_t pid, int status);

/** Whether the user does not want to wait any longer. */
bool mf_supervise_is_told_to_leave(struct mf_supervisor *supervisor);

/** Why the run is not over, as far as that can be told. Returns text, which it fills in. */
const char *mf_supervise_say_how_it_broke(const struct mf_supervisor *supervisor, char *text,
                                          size_t size);

/**
 * mf_supervise_follow() - once a starter has ended, start it again where that is of use.
 *
 * @is_clear  nothing is left of what it had
 *
 * Returns whether it was started.
 */
bool mf_supervise_follow(struct mf_supervisor *supervisor, bool is_clear);

#endif
