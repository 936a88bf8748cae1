/* Processes that end, and those that take their place: see host_caller_parts.h. */
#include "exec/executor_process.h"
#include "exec/host_caller_parts.h"

#include "base/clock.h"
#include "base/units.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

/* How long to wait when there can be no process now, and in all. */
#define FIRST_PAUSE_NS MF_NS_PER_MS
#define MAX_PAUSE_NS MF_NS_PER_S
#define GIVE_UP_AFTER_NS (10 * MF_NS_PER_S)

/* Processes in a row that were given a call and ended before it began, until it is blamed. */
#define MAX_STARVED 2

/* Processes in a row that end before their first call, until there is no point in another. */
#define MAX_FUTILE 3

/* --- deaths --- */

void mf_seat_describe_end(const struct mf_seat *seat, char *text, size_t size)
{
    int status = seat->status;

    if (seat->is_unborn)
        snprintf(text, size, "could not be created: %s", strerror(status));
    else if (WIFSIGNALED(status))
        snprintf(text, size, "was killed by signal %d (%s)", WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    else
        snprintf(text, size, "ended with exit status %d", WEXITSTATUS(status));
}

static const char *name_function(const struct mf_seat *seat, const struct mf_seat_portion *portion)
{
    struct mf_call call;

    mf_host_unit_look(portion->unit, &portion->cut, portion->n_reported, &call);
    return seat->caller->functions->items[call.function].name;
}

/* The entry of a call that the process was ended for. */
static void tell_ended(struct mf_seat *seat, const char *name)
{
    char text[512], limit[32], used[32];

    if (seat->doom == MPIFARM_CAUSE_TIMEOUT) {
        snprintf(text, sizeof(text), "over its time limit of %.*f s",
                 seat->watch.timeout_ns % (MF_NS_PER_S / 10) ? 3 : 1,
                 (double)seat->watch.timeout_ns / (double)MF_NS_PER_S);
        mf_seat_tell_entry(seat, MPIFARM_CAUSE_TIMEOUT, 0, text);
    } else if (seat->doom == MPIFARM_CAUSE_MEMORY) {
        mf_format_size(seat->caller->config.memory_bytes, limit, sizeof(limit));
        mf_format_size(seat->memory.used_bytes, used, sizeof(used));
        snprintf(text, sizeof(text),
                 "over its memory limit of %s: its process had got %s in function \"%s\" and what "
                 "ran there before",
                 limit, used, name);
        mf_seat_tell_entry(seat, MPIFARM_CAUSE_MEMORY, 0, text);
    } else {
        mf_seat_tell_entry(seat, MPIFARM_CAUSE_FUNCTION, ECANCELED,
                           "cancelled, and killed since it did not stop");
    }
}

/* The entry of the call that the process was in. */
static void tell_victim(struct mf_seat *seat, const struct mf_seat_portion *portion)
{
    const char *name = name_function(seat, portion);
    int status = seat->status;
    bool was_ended = seat->doomed && seat->doomed == seat->n_ended + 1 && seat->is_killed;
    char text[512];

    if (seat->lacks_memory) {
        mf_seat_tell_entry(seat, MPIFARM_CAUSE_MEMORY, 0, "no memory for its result in the rank");
    } else if (seat->is_damaged) {
        /* What was not read before is lost, so the call that did it may be a later one. */
        snprintf(text, sizeof(text),
                 "the memory that its process shares was overwritten, in function \"%s\" or one "
                 "that ran next to it",
                 name);
        mf_seat_tell_entry(seat, MPIFARM_CAUSE_CRASHED, SIGKILL, text);
    } else if (was_ended) {
        tell_ended(seat, name);
    } else if (WIFSIGNALED(status)) {
        snprintf(text, sizeof(text), "killed by signal %d (%s) in function \"%s\"",
                 WTERMSIG(status), strsignal(WTERMSIG(status)), name);
        mf_seat_tell_entry(seat, MPIFARM_CAUSE_CRASHED, WTERMSIG(status), text);
    } else {
        snprintf(text, sizeof(text), "function \"%s\" ended its process: exit status %d", name,
                 WEXITSTATUS(status));
        mf_seat_tell_entry(seat, MPIFARM_CAUSE_EXITED, WEXITSTATUS(status), text);
    }
}

/* The portion with the call that the process was in, NULL when it was in none. */
static struct mf_seat_portion *find_victim(struct mf_seat *seat)
{
    uint64_t n_begun = atomic_load(&seat->host.memory->n_begun);
    struct mf_seat_portion *portion;

    if (n_begun == seat->n_ended && !seat->is_damaged && !seat->has_yielded)
        return NULL;
    if (n_begun != seat->n_ended + 1)
        seat->is_damaged = true;
    /* What cannot be believed must have some end: whoever is first is blamed. */
    while ((portion = mf_seat_front(seat)) && !portion->unit)
        mf_seat_pop(seat);
    return portion;
}

/* Its successor begins where it was: behind the calls that were reported. */
static void rewind_unit(struct mf_seat *seat, struct mf_host_unit *unit)
{
    const struct mf_seat_portion *portion = mf_seat_front(seat);
    struct mf_call call;

    if (portion && portion->unit == unit)
        unit->reported_bytes = mf_host_unit_look(unit, &portion->cut, portion->n_reported, &call);
    unit->n_sent = unit->n_reported;
    unit->sent_bytes = unit->reported_bytes;
}

static void take_back(struct mf_seat *seat)
{
    struct mf_seat_portion *portion;

    while ((portion = mf_seat_front(seat)) && !portion->unit)
        mf_seat_pop(seat);
    mf_list_for_each_safe (node, &seat->units) {
        struct mf_host_unit *unit = mf_container_of(node, struct mf_host_unit, node);

        rewind_unit(seat, unit);
        if (unit->is_recalled)
            mf_seat_tell_returned(seat, unit);
    }
    seat->first_portion = seat->next_portion;
}

/* --- processes that end before their first call --- */

/* The system is short of something, which may pass. */
static bool is_refused(const struct mf_seat *seat)
{
    return seat->is_unborn && (seat->status == EAGAIN || seat->status == ENOMEM);
}

bool mf_seat_pauses(struct mf_seat *seat, int64_t now_ns)
{
    if (!is_refused(seat))
        return false;
    if (seat->refused_since_ns == 0)
        seat->refused_since_ns = now_ns;
    if (seat->retry_ns == 0) {
        seat->pause_ns =
            seat->pause_ns == 0 ? FIRST_PAUSE_NS : mf_earliest_ns(2 * seat->pause_ns, MAX_PAUSE_NS);
        seat->retry_ns = now_ns + seat->pause_ns;
    }
    return now_ns < seat->retry_ns;
}

/* The portion that the process was given first, which it has not begun; NULL when there is none. */
static struct mf_seat_portion *find_given(struct mf_seat *seat)
{
    struct mf_host_unit *unit = seat->sending ? seat->sending : seat->input_of;
    struct mf_host_cut cut;

    while (mf_seat_front(seat) && !mf_seat_front(seat)->unit)
        mf_seat_pop(seat);
    if (mf_seat_front(seat) || !unit || unit->is_over || unit->n_sent == unit->n_calls)
        return mf_seat_front(seat);
    /* Its input goes ahead of it: nothing was said of the portion itself. */
    mf_host_unit_cut(unit, &cut);
    seat->portions[seat->next_portion++ % MF_HOST_PORTIONS] =
        (struct mf_seat_portion){.unit = unit, .cut = cut};
    unit->n_sent += cut.n_calls;
    unit->sent_bytes += cut.bytes;
    return mf_seat_front(seat);
}

/* Whether what the process was given seems to be why it ended: the call is told then. */
static bool blame_given(struct mf_seat *seat)
{
    bool lacks_memory =
        !seat->is_unborn &&
        (WIFSIGNALED(seat->status) ? WTERMSIG(seat->status) == SIGKILL
                                   : WEXITSTATUS(seat->status) == MF_EXECUTOR_PROCESS_E_SETUP);
    char how[256], text[512];

    if (seat->is_unborn || !mf_seat_is_ready(seat) || !find_given(seat) ||
        ++seat->n_starved < MAX_STARVED)
        return false;
    mf_seat_describe_end(seat, how, sizeof(how));
    snprintf(text, sizeof(text), "its process %s when it was given the task, %d times", how,
             MAX_STARVED);
    if (lacks_memory && !seat->is_killed)
        mf_seat_tell_entry(seat, MPIFARM_CAUSE_MEMORY, 0, text);
    else if (WIFSIGNALED(seat->status))
        mf_seat_tell_entry(seat, MPIFARM_CAUSE_CRASHED, WTERMSIG(seat->status), text);
    else
        mf_seat_tell_entry(seat, MPIFARM_CAUSE_EXITED, WEXITSTATUS(seat->status), text);
    return true;
}

/* Whether there is a point in another process. */
static int judge(struct mf_seat *seat, bool was_futile, int64_t now_ns, struct mf_error *err)
{
    unsigned stage = atomic_load(&seat->host.memory->stage);
    char how[256];

    if (is_refused(seat)) {
        if (now_ns - seat->refused_since_ns < GIVE_UP_AFTER_NS)
            return 0;
        return mf_error_set(err, -ECHILD, "executor process %u could not be created for %d s: %s",
                            seat->index + 1, (int)(GIVE_UP_AFTER_NS / MF_NS_PER_S),
                            strerror(seat->status));
    }
    seat->n_futile = was_futile ? seat->n_futile + 1 : 0;
    if (stage == MF_HOST_REFUSED && !seat->is_ready)
        return mf_error_set(err, -ECANCELED, "the init hook refused to work in executor %u",
                            seat->index + 1);
    if (seat->n_futile < MAX_FUTILE)
        return 0;
    mf_seat_describe_end(seat, how, sizeof(how));
    return mf_error_set(
        err, -ECHILD, "executor process %u %s %s, %d times in a row", seat->index + 1, how,
        stage == MF_HOST_IN_HOOK ? "in the init hook" : "before its first call", MAX_FUTILE);
}

int mf_seat_bury(struct mf_seat *seat, int64_t now_ns, struct mf_error *err)
{
    struct mf_seat_portion *victim;
    bool was_futile;
    int result;

    while (mf_seat_take_entries(seat))
        ;
    victim = find_victim(seat);
    was_futile = !victim && seat->n_ended == 0;
    if (victim)
        tell_victim(seat, victim);
    else if (was_futile && blame_given(seat))
        was_futile = false;
    if (!was_futile)
        seat->n_starved = 0;
    take_back(seat);
    seat->is_alive = false;
    if (seat->slot == 0) {
        mf_host_caller_lose_spare(seat, was_futile, now_ns);
        return 0;
    }
    result = judge(seat, was_futile, now_ns, err);
    if (result == 0)
        result = mf_seat_give_birth(seat);
    if (result < 0 && result != -ECANCELED && result != -ECHILD)
        mf_error_set(err, result, "cannot create executor process %u: %s", seat->index + 1,
                     strerror(-result));
    return result;
}
