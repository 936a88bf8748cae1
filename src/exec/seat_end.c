/*
 * Calls that do not end by themselves, and processes that do: see
 * host_caller_parts.h.
 *
 * To end a call is to kill its process, and in the moment of the kill another
 * call might have begun. So the rank first dooms the call: if that ends all the
 * same, the process begins no other one, and is spared. Only what is in the
 * doomed call a moment later is killed.
 *
 * A call ends when its function returns: what is left of its entries then may
 * take as long as the rank needs to take them.
 */
#include "exec/executor_process.h"
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

/* How long a process that is not in a call may take for its next step; it is looked at in steps. */
#define STILL_NS (10 * MF_NS_PER_S)
#define STILL_STEP_NS MF_NS_PER_S

/* How long to wait when there can be no process now, and in all. */
#define FIRST_PAUSE_NS MF_NS_PER_MS
#define MAX_PAUSE_NS MF_NS_PER_S
#define GIVE_UP_AFTER_NS (10 * MF_NS_PER_S)

/* Processes in a row that were given a call and ended before it began, until it is blamed. */
#define MAX_STARVED 2

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

/* Whether it is in a call, and how many it has begun. What cannot be is damage. */
static bool is_in_call(struct mf_seat *seat, uint64_t *ret_n_begun)
{
    struct mf_host_memory *memory = seat->host.memory;
    uint64_t n_begun = atomic_load_explicit(&memory->n_begun, memory_order_acquire);
    uint64_t n_returned = atomic_load_explicit(&memory->n_returned, memory_order_acquire);
    uint64_t n_begun_since = atomic_load_explicit(&memory->n_begun, memory_order_acquire);

    if (n_begun < seat->n_ended || n_returned + 1 < n_begun || n_returned > n_begun_since)
        seat->is_damaged = true;
    *ret_n_begun = n_begun;
    return n_returned + 1 == n_begun;
}

/* Kills what is in the doomed call, or lets it go on if that has ended. */
static void follow_doom(struct mf_seat *seat, int64_t now_ns)
{
    int64_t kill_ns = seat->doomed_ns + DOOM_NS;
    uint64_t n_begun;
    bool is_running = is_in_call(seat, &n_begun);

    if (seat->is_killed)
        return;
    if (n_begun < seat->doomed)
        seat->is_damaged = true;
    else if (!is_running || n_begun > seat->doomed) {
        set_doomed(seat, 0, now_ns);
        mf_host_wake(&seat->host);
        seat->wake_ns = now_ns;
    } else if (now_ns >= kill_ns) {
        mf_seat_kill(seat);
    } else {
        seat->wake_ns = kill_ns;
    }
}

/*
 * The call that was begun last, by its portion. Returns false when that cannot
 * be told yet; a call that was not given to the process is damage.
 */
static bool find_call(struct mf_seat *seat, uint64_t n_begun, uint64_t *ret_portion,
                      uint32_t *ret_index)
{
    uint64_t n_before = n_begun - seat->n_ended - 1;

    for (uint64_t number = seat->first_portion; number < seat->next_portion; number++) {
        const struct mf_seat_portion *portion = &seat->portions[number % MF_HOST_PORTIONS];
        uint32_t n_left = portion->cut.n_calls - portion->n_reported;

        if (!portion->unit)
            continue;
        /* It may have ended before its last call: what was sent of that is to be read first. */
        if (portion->is_stopping && mf_ring_filled(&seat->host.back) > 0)
            return false;
        if (n_before < n_left) {
            *ret_portion = number;
            *ret_index = portion->n_reported + (uint32_t)n_before;
            return true;
        }
        n_before -= n_left;
    }
    seat->is_damaged = true;
    return false;
}

static void begin_watch(struct mf_seat *seat, uint64_t number, uint64_t portion_number,
                        uint32_t index, int64_t now_ns)
{
    const struct mf_seat_portion *portion = &seat->portions[portion_number % MF_HOST_PORTIONS];
    int64_t timeout_ns;
    struct mf_call call;

    mf_host_unit_look(portion->unit, portion->cut.offset, index, &call);
    timeout_ns = call.details.timeout_ns;
    seat->watch = (struct mf_seat_watch){
        .number = number,
        .portion = portion_number,
        .index = index,
        .timeout_ns = timeout_ns,
        .limit_ns =
            timeout_ns > 0 ? later_ns(later_ns(now_ns, timeout_ns), LIMIT_GRACE_NS) : INT64_MAX,
        .unwanted_ns = INT64_MAX,
    };
}

/* Ends the call that runs if it is over its time, or was cancelled a while ago. */
static void watch_call(struct mf_seat *seat, uint64_t n_begun, int64_t now_ns)
{
    struct mf_seat_watch *watch = &seat->watch;
    uint64_t portion;
    uint32_t index;

    seat->wake_ns = now_ns + LOOK_NS;
    if (!find_call(seat, n_begun, &portion, &index))
        return;
    if (watch->number != n_begun || watch->portion != portion || watch->index != index)
        begin_watch(seat, n_begun, portion, index, now_ns);
    if (watch->unwanted_ns == INT64_MAX &&
        seat->portions[portion % MF_HOST_PORTIONS].cut.unwanted >> index & 1)
        watch->unwanted_ns = now_ns + CANCEL_GRACE_NS;
    if (now_ns >= watch->limit_ns || now_ns >= watch->unwanted_ns) {
        seat->doom = now_ns >= watch->unwanted_ns ? MPIFARM_CAUSE_FUNCTION : MPIFARM_CAUSE_TIMEOUT;
        set_doomed(seat, n_begun, now_ns);
        seat->wake_ns = now_ns + DOOM_NS;
    } else if (watch->limit_ns < INT64_MAX || watch->unwanted_ns < INT64_MAX) {
        seat->wake_ns = mf_earliest_ns(watch->limit_ns, watch->unwanted_ns);
    }
}

/* --- processes that do nothing --- */

/* Each part only grows, so the sum changes with whatever the process does. */
static uint64_t measure_progress(const struct mf_seat *seat)
{
    struct mf_host_memory *memory = seat->host.memory;

    return atomic_load_explicit(&memory->stage, memory_order_relaxed) +
           atomic_load_explicit(&memory->n_begun, memory_order_relaxed) +
           atomic_load_explicit(&memory->n_returned, memory_order_relaxed) +
           atomic_load_explicit(&memory->back_ends.written, memory_order_relaxed) +
           atomic_load_explicit(&memory->to_ends.read, memory_order_relaxed);
}

/* How long nothing has happened. A rank that was itself stopped meanwhile does not count that. */
static int64_t time_stillness(struct mf_seat *seat, int64_t now_ns)
{
    uint64_t progress = measure_progress(seat);
    int64_t passed_ns = seat->looked_ns > 0 ? now_ns - seat->looked_ns : 0;

    if (progress != seat->progress)
        seat->still_ns = 0;
    else if (passed_ns > 0)
        seat->still_ns += mf_earliest_ns(passed_ns, STILL_STEP_NS);
    seat->progress = progress;
    seat->looked_ns = now_ns;
    return seat->still_ns;
}

/* Kills a process that gets no further with what is not a call. No call is blamed for it. */
static void watch_progress(struct mf_seat *seat, bool is_running, int64_t now_ns)
{
    bool has_work = mf_seat_front(seat) || seat->sending;
    int64_t limit_ns = STILL_NS;

    if (!mf_seat_is_ready(seat)) {
        has_work = seat->caller->hook_limit_ns > 0;
        limit_ns = seat->caller->hook_limit_ns;
    }
    if (!has_work) {
        seat->still_ns = seat->looked_ns = 0;
        return;
    }
    seat->wake_ns = mf_earliest_ns(seat->wake_ns, now_ns + STILL_STEP_NS);
    if (is_running)
        seat->still_ns = seat->looked_ns = 0;
    else if (time_stillness(seat, now_ns) >= limit_ns)
        mf_seat_kill(seat);
}

void mf_seat_keep_time(struct mf_seat *seat, int64_t now_ns)
{
    bool is_running;
    uint64_t n_begun;

    seat->wake_ns = INT64_MAX;
    if (!seat->is_alive || seat->has_died || seat->is_damaged || seat->is_killed)
        return;
    if (seat->doomed) {
        follow_doom(seat, now_ns);
        return;
    }
    if (!seat->is_watched && !mf_seat_front(seat) && !seat->sending && seat->is_ready)
        return;
    is_running = is_in_call(seat, &n_begun);
    seat->is_damaged |= !mf_ring_look_for_bytes(&seat->host.back);
    if (seat->is_damaged)
        return;
    /* One that waits for room, as a function that saves something may, waits for the rank. */
    if (mf_ring_filled(&seat->host.back) > MF_HOST_RING_BYTES / 2) {
        seat->still_ns = seat->looked_ns = 0;
        seat->wake_ns = now_ns + LOOK_NS;
        return;
    }
    if (seat->is_watched && is_running)
        watch_call(seat, n_begun, now_ns);
    else if (seat->is_watched)
        seat->wake_ns = now_ns + LOOK_NS;
    watch_progress(seat, is_running, now_ns);
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

    if (seat->lacks_memory) {
        mf_seat_tell_entry(seat, MPIFARM_CAUSE_MEMORY, 0, "no memory for its result in the rank");
    } else if (seat->is_damaged) {
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
    result = judge(seat, was_futile, now_ns, err);
    if (result == 0)
        result = mf_seat_give_birth(seat);
    if (result < 0 && result != -ECANCELED && result != -ECHILD)
        mf_error_set(err, result, "cannot create executor process %u: %s", seat->index + 1,
                     strerror(-result));
    return result;
}
