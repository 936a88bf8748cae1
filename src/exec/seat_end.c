/*
 * Calls that do not end by themselves, and processes that do: see
 * host_caller_parts.h.
 *
 * To end a call is to kill its process, and in the moment of the kill another
 * call might have begun. So the rank first dooms the call: if that ends all the
 * same, the process begins no other one, and is spared. Only what is in the
 * doomed call a moment later is killed.
 */
#include "exec/host_caller_parts.h"
#include "exec/nursery.h"

#include "base/clock.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

/* From a call's time limit, which mpifarm_should_stop() tells it, to its end. */
#define LIMIT_GRACE_NS (200 * MF_NS_PER_MS)

/* From a call's cancellation to its end. */
#define CANCEL_GRACE_NS MF_NS_PER_S

/* Longer than any processor takes to see what another has written. */
#define DOOM_NS MF_NS_PER_MS

/* How often to look which call is running, while one with a limit may begin. */
#define LOOK_NS (2 * MF_NS_PER_MS)

/* Processes in a row that end before their first call, until there is no point in another. */
#define MAX_FUTILE 3

static int64_t later_ns(int64_t now_ns, int64_t duration_ns)
{
    int64_t sum;

    return __builtin_add_overflow(now_ns, duration_ns, &sum) ? INT64_MAX : sum;
}

/* --- calls that do not end --- */

void mf_seat_kill(struct mf_seat *seat)
{
    struct mf_channel *channel = &seat->caller->channel;
    struct mf_buffer *body;

    if (seat->is_killed || !seat->is_alive)
        return;
    seat->is_killed = true;
    body = mf_channel_begin(channel, MF_NURSERY_KILL);
    mf_buffer_put_u32(body, seat->index);
    mf_buffer_put_u32(body, seat->life);
    mf_channel_end(channel);
}

static void set_doomed(struct mf_seat *seat, uint64_t number, int64_t now_ns)
{
    seat->doomed = number;
    seat->doomed_ns = now_ns;
    atomic_store(&seat->host.memory->doomed, number);
}

/* Kills what is in the doomed call, or lets it go on if that has ended. */
static void follow_doom(struct mf_seat *seat, int64_t now_ns)
{
    int64_t kill_ns = seat->doomed_ns + DOOM_NS;

    if (seat->is_killed)
        return;
    if (seat->n_ended >= seat->doomed) {
        set_doomed(seat, 0, now_ns);
        mf_host_wake(&seat->host);
    } else if (now_ns >= kill_ns) {
        mf_seat_kill(seat);
    } else {
        seat->wake_ns = kill_ns;
    }
}

static void begin_watch(struct mf_seat *seat, uint64_t number, int64_t now_ns)
{
    const struct mf_seat_portion *portion = mf_seat_front(seat);
    int64_t timeout_ns;
    struct mf_call call;

    mf_host_unit_look(portion->unit, portion->cut.offset, portion->n_reported, &call);
    timeout_ns = call.details.timeout_ns;
    seat->watch = (struct mf_seat_watch){
        .number = number,
        .timeout_ns = timeout_ns,
        .limit_ns =
            timeout_ns > 0 ? later_ns(later_ns(now_ns, timeout_ns), LIMIT_GRACE_NS) : INT64_MAX,
        .unwanted_ns = INT64_MAX,
    };
}

void mf_seat_keep_time(struct mf_seat *seat, int64_t now_ns)
{
    const struct mf_seat_portion *portion = mf_seat_front(seat);
    struct mf_seat_watch *watch = &seat->watch;
    uint64_t n_begun;

    seat->wake_ns = INT64_MAX;
    if (seat->doomed) {
        follow_doom(seat, now_ns);
        return;
    }
    if (!seat->is_watched || !portion)
        return;
    seat->wake_ns = now_ns + LOOK_NS;
    n_begun = atomic_load_explicit(&seat->host.memory->n_begun, memory_order_acquire);
    if (n_begun != seat->n_ended + 1 || !portion->unit)
        return;
    if (watch->number != n_begun)
        begin_watch(seat, n_begun, now_ns);
    if (watch->unwanted_ns == INT64_MAX && portion->cut.unwanted >> portion->n_reported & 1)
        watch->unwanted_ns = now_ns + CANCEL_GRACE_NS;
    if (now_ns >= watch->limit_ns || now_ns >= watch->unwanted_ns) {
        seat->doom = now_ns >= watch->unwanted_ns ? MPIFARM_CAUSE_FUNCTION : MPIFARM_CAUSE_TIMEOUT;
        set_doomed(seat, n_begun, now_ns);
        seat->wake_ns = now_ns + DOOM_NS;
    } else if (watch->limit_ns < INT64_MAX || watch->unwanted_ns < INT64_MAX) {
        seat->wake_ns = mf_earliest_ns(watch->limit_ns, watch->unwanted_ns);
    }
}

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

    mf_host_unit_look(portion->unit, portion->cut.offset, portion->n_reported, &call);
    return seat->caller->functions->items[call.function].name;
}

/* The entry of the call that the process was in. */
static void tell_victim(struct mf_seat *seat, const struct mf_seat_portion *portion)
{
    const char *name = name_function(seat, portion);
    int status = seat->status;
    bool was_ended = seat->doomed && seat->doomed == seat->n_ended + 1 && seat->is_killed;
    char text[512];

    if (seat->is_damaged) {
        /* What was not read before is lost, so the call that did it may be a later one. */
        snprintf(text, sizeof(text),
                 "the memory that its process shares was overwritten, in function \"%s\" or one "
                 "that ran next to it",
                 name);
        mf_seat_tell_entry(seat, MPIFARM_CAUSE_CRASHED, SIGKILL, text);
    } else if (was_ended && seat->doom == MPIFARM_CAUSE_TIMEOUT) {
        snprintf(text, sizeof(text), "over its time limit of %.*f s",
                 seat->watch.timeout_ns % (MF_NS_PER_S / 10) ? 3 : 1,
                 (double)seat->watch.timeout_ns / (double)MF_NS_PER_S);
        mf_seat_tell_entry(seat, MPIFARM_CAUSE_TIMEOUT, 0, text);
    } else if (was_ended) {
        mf_seat_tell_entry(seat, MPIFARM_CAUSE_FUNCTION, ECANCELED,
                           "cancelled, and killed since it did not stop");
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

    if (n_begun == seat->n_ended && !seat->is_damaged)
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
        unit->reported_bytes =
            mf_host_unit_look(unit, portion->cut.offset, portion->n_reported, &call);
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

/* Whether there is a point in another process. */
static int judge(struct mf_seat *seat, bool was_futile, struct mf_error *err)
{
    unsigned stage = atomic_load(&seat->host.memory->stage);
    char how[256];

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

int mf_seat_bury(struct mf_seat *seat, struct mf_error *err)
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
    take_back(seat);
    seat->is_alive = false;
    result = judge(seat, was_futile, err);
    if (result == 0)
        result = mf_seat_give_birth(seat);
    if (result < 0 && result != -ECANCELED && result != -ECHILD)
        mf_error_set(err, result, "cannot create executor process %u: %s", seat->index + 1,
                     strerror(-result));
    return result;
}
