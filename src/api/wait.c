/*
 * Progress, and waiting. Messages of MPI cannot wake anybody: who waits looks
 * again and again, with pauses that grow while nothing comes.
 */
#include "api/farm.h"

#include "base/clock.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>

/* With a core for each process, a rank that looks for messages gives way to others only then. */
#define YIELD_AFTER_NS (10 * MF_NS_PER_US)

/* Looks for messages of one turn until then: all else of it takes as long as a few of them. */
#define SPIN_LOOKS 8

bool mf_api_turn(struct mpifarm *farm)
{
    bool had_traffic;

    farm->n_untold = 0;
    farm->now_ns = mf_clock_monotonic_ns();
    had_traffic = mf_client_turn(farm->client, farm->now_ns) > 0;
    if (!farm->server || mf_server_is_finished(farm->server))
        return had_traffic;
    /* One process: what was sent runs here and now, and its results are taken in at once. */
    farm->is_in_task = true;
    /* If it failed it has told the client, which gives it up. */
    had_traffic |= mf_server_turn(farm->server, farm->now_ns) > 0;
    farm->is_in_task = false;
    farm->now_ns = mf_clock_monotonic_ns();
    had_traffic |= mf_client_turn(farm->client, farm->now_ns) > 0;
    return had_traffic;
}

/* When any part of this process wants its next turn. */
static int64_t next_ns(const struct mpifarm *farm)
{
    int64_t next_ns = farm->client ? mf_client_next_ns(farm->client) : INT64_MAX;

    if (farm->server && !mf_server_is_finished(farm->server))
        next_ns = mf_earliest_ns(next_ns, mf_server_next_ns(farm->server));
    return next_ns;
}

/* Whoever has work should get this core, if there may be anybody. */
static void spin(struct mpifarm *farm)
{
    if (farm->is_crowded || farm->now_ns - farm->backoff.quiet_since_ns > YIELD_AFTER_NS)
        sched_yield();
    else if (farm->remote)
        farm->remote->n_looks = SPIN_LOOKS;
}

/* How long this rank may sleep before its next turn, 0 for not at all. */
static int64_t next_nap_ns(struct mpifarm *farm, bool had_traffic, int64_t now_ns)
{
    int64_t nap_ns = mf_backoff_next(&farm->backoff, had_traffic, now_ns);
    int64_t leisure_ns = farm->client && !had_traffic ? mf_client_leisure_ns(farm->client) : 0;

    return nap_ns > leisure_ns ? nap_ns : leisure_ns;
}

void mf_api_pause(struct mpifarm *farm, bool had_traffic, int64_t deadline_ns)
{
    /* Reading the clock takes longer than all else here. */
    int64_t nap_ns = next_nap_ns(farm, had_traffic, farm->now_ns);

    if (had_traffic)
        return;
    if (nap_ns == 0) {
        spin(farm);
        return;
    }
    nap_ns = mf_earliest_ns(nap_ns,
                            mf_earliest_ns(deadline_ns, next_ns(farm)) - mf_clock_monotonic_ns());
    mf_loop_wait(farm->loop, nap_ns < 0 ? 0 : nap_ns);
    if (farm->remote)
        farm->remote->n_looks = MF_LOOKS_AFTER_PAUSE;
}

static bool is_stranded(const struct mpifarm *farm)
{
    return !mf_client_has_worker(farm->client, 0) &&
           mf_book_n_unfinished(mf_client_book(farm->client)) > 0;
}

static int fail_stranded(struct mpifarm *farm)
{
    return mf_api_fail(farm, -EHOSTUNREACH, "tasks are left, and no worker is");
}

/* How many tasks have ended since the client last looked: submitting and cancelling end some, too.
 */
static uint64_t take_ended(struct mpifarm *farm)
{
    uint64_t before = farm->n_ended;

    farm->n_ended = mf_book_n_ended(mf_client_book(farm->client));
    return farm->n_ended - before;
}

static int wait_until(struct mpifarm *farm, int (*is_over)(struct mpifarm *farm, void *arg),
                      void *arg, int64_t timeout_ns)
{
    int64_t deadline_ns = INT64_MAX, now_ns;
    int r;

    /* Tasks can have ended while others were submitted. */
    if (!farm->is_in_callback)
        mf_api_call_back(farm);
    r = is_over(farm, arg);
    if (r != 0)
        return r > 0 ? 0 : r;
    if (farm->is_in_callback)
        return mf_api_fail(farm, -EDEADLK, "a callback cannot wait for what has not ended");
    if (timeout_ns < MPIFARM_FOREVER) {
        now_ns = mf_clock_monotonic_ns();
        if (__builtin_add_overflow(now_ns, timeout_ns, &deadline_ns))
            deadline_ns = INT64_MAX;
    }
    for (;;) {
        bool had_traffic = mf_api_turn(farm);

        mf_api_call_back(farm);
        r = is_over(farm, arg);
        if (r != 0)
            return r > 0 ? 0 : r;
        if (is_stranded(farm))
            return fail_stranded(farm);
        if (farm->now_ns >= deadline_ns)
            return mf_api_fail(farm, -ETIMEDOUT, "the time is over");
        mf_api_pause(farm, had_traffic, deadline_ns);
    }
}

int mf_api_wait(struct mpifarm *farm, int (*is_over)(struct mpifarm *farm, void *arg), void *arg,
                int64_t timeout_ns)
{
    int r = wait_until(farm, is_over, arg, timeout_ns);

    if (!farm->is_in_callback)
        (void)take_ended(farm);
    return r;
}

int mpifarm_progress(struct mpifarm *farm, int64_t *ret_next_ns)
{
    int r = mf_api_check_client(farm, "mpifarm_progress");
    int64_t now_ns, nap_ns;
    bool had_traffic;
    uint64_t n;

    if (r < 0)
        return r;
    if (farm->is_in_callback)
        return mf_api_fail(farm, -EDEADLK, "a callback cannot make progress");
    had_traffic = mf_api_turn(farm);
    mf_api_call_back(farm);
    if (is_stranded(farm))
        return fail_stranded(farm);
    if (ret_next_ns) {
        now_ns = mf_clock_monotonic_ns();
        nap_ns = next_nap_ns(farm, had_traffic, now_ns);
        nap_ns = mf_earliest_ns(nap_ns, next_ns(farm) - now_ns);
        *ret_next_ns = nap_ns < 0 ? 0 : nap_ns;
    }
    if (farm->remote)
        farm->remote->n_looks = MF_LOOKS_AFTER_PAUSE;
    n = take_ended(farm);
    return n < INT_MAX ? (int)n : INT_MAX;
}

/* --- what can be waited for --- */

static bool has_ended(const struct mf_booking *booking)
{
    return mf_task_state_is_final((enum mf_task_state)booking->state);
}

static int is_future_over(struct mpifarm *farm, void *arg)
{
    const struct mf_booking *booking = mf_api_find(farm, *(const mpifarm_future *)arg);

    return booking ? has_ended(booking) : -ESTALE;
}

int mpifarm_test(struct mpifarm *farm, mpifarm_future future)
{
    int r = mf_api_check_client(farm, "mpifarm_test");

    if (r < 0)
        return r;
    r = is_future_over(farm, &future);
    if (r != 0 || farm->is_in_callback)
        return r;
    mf_api_turn(farm);
    mf_api_call_back(farm);
    (void)take_ended(farm);
    r = is_future_over(farm, &future);
    return r == 0 && is_stranded(farm) ? fail_stranded(farm) : r;
}

int mpifarm_wait(struct mpifarm *farm, mpifarm_future future, int64_t timeout_ns)
{
    int r = mf_api_check_client(farm, "mpifarm_wait");

    return r < 0 ? r : mf_api_wait(farm, is_future_over, &future, timeout_ns);
}

/* @n_ended  tasks ended when the futures were last looked at; none can have ended without it */
struct several {
    const mpifarm_future *futures;
    size_t n, index;
    uint64_t n_ended;
};

static int is_any_over(struct mpifarm *farm, void *arg)
{
    struct several *several = arg;
    uint64_t n_ended = mf_book_n_ended(mf_client_book(farm->client)) + 1;

    if (n_ended == several->n_ended)
        return 0;
    several->n_ended = n_ended;
    for (size_t i = 0; i < several->n; i++) {
        int r = is_future_over(farm, (void *)&several->futures[i]);

        if (r != 0) {
            several->index = i;
            return r;
        }
    }
    return 0;
}

int mpifarm_wait_any(struct mpifarm *farm, const mpifarm_future *futures, size_t n,
                     int64_t timeout_ns, size_t *ret_index)
{
    struct several several = {.futures = futures, .n = n};
    int r = mf_api_check_pointer(farm, "mpifarm_wait_any", ret_index, "ret_index");

    if (r < 0)
        return r;
    if (n == 0 || !futures)
        return mf_api_fail(farm, -EINVAL, "mpifarm_wait_any() was given no future");
    r = mf_api_wait(farm, is_any_over, &several, timeout_ns);
    if (r == 0)
        *ret_index = several.index;
    return r;
}

static int are_all_over(struct mpifarm *farm, void *arg)
{
    struct several *several = arg;

    for (; several->index < several->n; several->index++) {
        int r = is_future_over(farm, (void *)&several->futures[several->index]);

        if (r != 1)
            return r;
    }
    return 1;
}

int mpifarm_wait_all(struct mpifarm *farm, const mpifarm_future *futures, size_t n,
                     int64_t timeout_ns)
{
    struct several several = {.futures = futures, .n = n};
    int r = mf_api_check_pointer(farm, "mpifarm_wait_all", n > 0 ? (const void *)futures : farm,
                                 "futures");

    return r < 0 ? r : mf_api_wait(farm, are_all_over, &several, timeout_ns);
}

static int is_group_over(struct mpifarm *farm, void *arg)
{
    return mf_book_group_size(mf_client_book(farm->client), *(const uint32_t *)arg) == 0;
}

int mpifarm_wait_group(struct mpifarm *farm, uint32_t group, int64_t timeout_ns)
{
    int r = mf_api_check_client(farm, "mpifarm_wait_group");

    return r < 0 ? r : mf_api_wait(farm, is_group_over, &group, timeout_ns);
}

static int is_all_over(struct mpifarm *farm, void *arg)
{
    return mf_book_n_unfinished(mf_client_book(farm->client)) == 0;
}

int mpifarm_drain(struct mpifarm *farm, int64_t timeout_ns)
{
    int r = mf_api_check_client(farm, "mpifarm_drain");

    return r < 0 ? r : mf_api_wait(farm, is_all_over, NULL, timeout_ns);
}

static int is_next_there(struct mpifarm *farm, void *arg)
{
    if (mf_book_hear(mf_client_book(farm->client), MF_DELIVER_QUEUE, arg))
        return 1;
    return is_all_over(farm, NULL) ? -ENOENT : 0;
}

int mpifarm_next(struct mpifarm *farm, int64_t timeout_ns, mpifarm_future *ret_future)
{
    int r = mf_api_check_pointer(farm, "mpifarm_next", ret_future, "ret_future");

    if (r == 0)
        r = mf_api_wait(farm, is_next_there, ret_future, timeout_ns);
    if (r == -ENOENT)
        mf_api_fail(farm, r, "the completion queue is empty, and no task is unfinished");
    return r;
}
