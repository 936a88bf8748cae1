/*
 * Calls that do not end by themselves, and processes that get nowhere: see
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
#include "exec/host_caller_parts.h"
#include "exec/nursery.h"

#include "base/clock.h"

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

bool mf_seat_runs_call(struct mf_seat *seat, uint64_t *ret_n_begun)
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

bool mf_seat_is_in_call(struct mf_seat *seat)
{
    uint64_t n_begun;

    return mf_seat_runs_call(seat, &n_begun);
}

void mf_seat_doom(struct mf_seat *seat, uint64_t n_begun, enum mpifarm_cause cause, int64_t now_ns)
{
    seat->doom = cause;
    set_doomed(seat, n_begun, now_ns);
    seat->wake_ns = now_ns + DOOM_NS;
}

/* Kills what is in the doomed call, or lets it go on if that has ended. */
static void follow_doom(struct mf_seat *seat, int64_t now_ns)
{
    int64_t kill_ns = seat->doomed_ns + DOOM_NS;
    uint64_t n_begun;
    bool is_running = mf_seat_runs_call(seat, &n_begun);

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

    mf_host_unit_look(portion->unit, &portion->cut, index, &call);
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
        mf_seat_doom(seat, n_begun,
                     now_ns >= watch->unwanted_ns ? MPIFARM_CAUSE_FUNCTION : MPIFARM_CAUSE_TIMEOUT,
                     now_ns);
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
    bool has_work = mf_seat_front(seat) || seat->sending || seat->is_leaving;
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

/* Whether its call has yielded. The time in which it has counts for no limit. */
static bool sleeps(struct mf_seat *seat, int64_t now_ns)
{
    if (seat->has_yielded && seat->yielded_ns == 0) {
        seat->yielded_ns = now_ns;
    } else if (!seat->has_yielded && seat->yielded_ns > 0) {
        if (seat->watch.limit_ns < INT64_MAX)
            seat->watch.limit_ns = later_ns(seat->watch.limit_ns, now_ns - seat->yielded_ns);
        seat->yielded_ns = 0;
        seat->still_ns = seat->looked_ns = 0;
    }
    return seat->has_yielded;
}

static void keep_time(struct mf_seat *seat, int64_t now_ns)
{
    bool is_running;
    uint64_t n_begun;

    if (seat->doomed) {
        follow_doom(seat, now_ns);
        return;
    }
    if (sleeps(seat, now_ns))
        return;
    if (!seat->is_watched && !mf_seat_front(seat) && !seat->sending && seat->is_ready &&
        !seat->is_leaving)
        return;
    is_running = mf_seat_runs_call(seat, &n_begun);
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

void mf_seat_keep_time(struct mf_seat *seat, int64_t now_ns)
{
    seat->wake_ns = INT64_MAX;
    if (!seat->is_alive || seat->has_died || seat->is_damaged || seat->is_killed)
        return;
    keep_time(seat, now_ns);
    if (seat->caller->config.memory_bytes > 0)
        mf_seat_keep_memory(seat, now_ns);
}
