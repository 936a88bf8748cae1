/*
 * Processes that have got too much memory: see host_caller_parts.h.
 *
 * One that is over its limit is asked to leave, which costs no call a try: it
 * ends before its next call, when the rank has been told of all others. The
 * call that it is in may be none of those that have left the most there, so it
 * has a moment to end, and is doomed (seat_time.c) after that.
 *
 * What a process has is asked of the kernel: so it is looked at while it works, and once after.
 */
#include "exec/host_caller_parts.h"

#include "base/clock.h"

/* The longest time between two looks. */
#define LOOK_NS (50 * MF_NS_PER_MS)

/* How long the call of a process that is over its limit may go on, while that has less than twice
 * of it. */
#define GRACE_NS (100 * MF_NS_PER_MS)

/* Whether it has done anything since the last look, or does. */
static bool has_worked(struct mf_seat *seat)
{
    return mf_seat_front(seat) || seat->sending || seat->memory.n_ended != seat->n_ended;
}

static void look(struct mf_seat *seat, int64_t now_ns)
{
    struct mf_host_caller *caller = seat->caller;
    struct mf_seat_memory *memory = &seat->memory;
    uint64_t base_bytes =
        atomic_load_explicit(&seat->host.memory->base_bytes, memory_order_relaxed);
    int64_t began_ns = mf_memory_clock();
    uint64_t own_bytes = 0;

    (void)mf_memory_own_of("/proc", seat->pid, &own_bytes);
    caller->rest_until_ns = now_ns + mf_memory_rest(began_ns);
    memory->n_ended = seat->n_ended;
    memory->used_bytes = own_bytes > base_bytes ? own_bytes - base_bytes : 0;
    memory->look_ns =
        now_ns + mf_earliest_ns(LOOK_NS, mf_memory_next_look(&memory->trend, memory->used_bytes,
                                                             caller->config.memory_bytes, now_ns));
}

/* Looks if it is time to. Returns whether it is over its limit, as far as that was seen now. */
static bool is_over(struct mf_seat *seat, int64_t now_ns)
{
    struct mf_seat_memory *memory = &seat->memory;
    int64_t due_ns;

    /* The nursery tells its number some time after it has begun to work. */
    if (!has_worked(seat) || seat->pid <= 0)
        return false;
    if (memory->look_ns == 0) {
        memory->trend.seen_ns = now_ns;
        memory->look_ns = now_ns + MF_MEMORY_LOOK_MIN_NS;
    }
    due_ns = memory->look_ns > seat->caller->rest_until_ns ? memory->look_ns
                                                           : seat->caller->rest_until_ns;
    if (now_ns >= due_ns) {
        look(seat, now_ns);
        due_ns = memory->look_ns;
    }
    seat->wake_ns = mf_earliest_ns(seat->wake_ns, due_ns);
    return memory->used_bytes > seat->caller->config.memory_bytes;
}

static void ask_to_leave(struct mf_seat *seat, int64_t now_ns)
{
    seat->is_leaving = true;
    seat->memory.asked_ns = now_ns;
    atomic_store(&seat->host.memory->should_finish, MF_HOST_LEAVES);
    mf_host_wake(&seat->host);
}

/* Whether its call has had the time to end, or takes more than can be waited for. */
static bool is_too_much(const struct mf_seat *seat, int64_t now_ns)
{
    return now_ns - seat->memory.asked_ns >= GRACE_NS ||
           seat->memory.used_bytes / 2 > seat->caller->config.memory_bytes;
}

void mf_seat_keep_memory(struct mf_seat *seat, int64_t now_ns)
{
    bool is_running;
    uint64_t n_begun;

    if (!seat->is_ready || seat->is_damaged || seat->is_killed || seat->doomed || seat->has_yielded)
        return;
    if (!is_over(seat, now_ns) && !seat->is_leaving)
        return;
    is_running = mf_seat_runs_call(seat, &n_begun);
    /* A large input may be too much for it: that is told when its call has begun. */
    if (seat->is_damaged || n_begun == 0)
        return;
    if (!seat->is_leaving)
        ask_to_leave(seat, now_ns);
    seat->wake_ns = mf_earliest_ns(seat->wake_ns, now_ns + MF_MEMORY_LOOK_MIN_NS);
    if (is_running && is_too_much(seat, now_ns))
        mf_seat_doom(seat, n_begun, MPIFARM_CAUSE_MEMORY, now_ns);
}
