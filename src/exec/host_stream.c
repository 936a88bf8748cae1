/*
 * The executor's side of a host, which may wait: see host.h. One thread.
 *
 * A wait rings the bell first, since the rank has reason to look: what it
 * waits for may be here, and what is waited for here is the rank's to do.
 */
#include "exec/host.h"

#include "base/clock.h"

#include <linux/futex.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

/* How long an executor looks for work before it sleeps: about as long as waking it would take. */
#define SPIN_NS (20 * MF_NS_PER_US)

/* Looks of which only the last reads the clock. */
#define LOOKS_PER_YIELD 32

/* A writer waits for this much room, so that the rank can fetch a lot at a time. */
#define WANTED_BYTES (MF_HOST_RING_BYTES / 2)

/* Whether a wait is over; amount is a number of bytes, of a call, or of a portion. */
typedef bool (*condition)(struct mf_host *host, uint64_t amount);

static bool has_bytes(struct mf_host *host, uint64_t amount)
{
    /* Some function wrote where it should not: nothing here can be trusted. */
    if (!mf_ring_look_for_bytes(&host->to))
        abort();
    return mf_ring_filled(&host->to) >= amount || mf_host_should_leave(host);
}

static bool has_room(struct mf_host *host, uint64_t amount)
{
    if (!mf_ring_look_for_room(&host->back))
        abort();
    return mf_ring_room(&host->back) >= amount;
}

static bool is_spared(struct mf_host *host, uint64_t call)
{
    return atomic_load_explicit(&host->memory->doomed, memory_order_relaxed) != call;
}

static bool goes_on(struct mf_host *host, uint64_t portion)
{
    return atomic_load_explicit(&mf_host_portion(host, portion)->yielding, memory_order_relaxed) !=
           MF_HOST_HAS_YIELDED;
}

/* The rank may need this very processor to bring what is waited for: it gets it in between. */
static bool spin(struct mf_host *host, condition is_over, uint64_t amount)
{
    int64_t end_ns = mf_clock_monotonic_ns() + SPIN_NS;

    do {
        for (int i = 0; i < LOOKS_PER_YIELD; i++)
            if (is_over(host, amount) || mf_host_should_finish(host))
                return true;
        sched_yield();
    } while (mf_clock_monotonic_ns() < end_ns);
    return false;
}

/* Returns false when it is time to finish. */
static bool wait_until(struct mf_host *host, condition is_over, uint64_t amount)
{
    _Atomic uint32_t *is_asleep = &host->memory->is_asleep;

    if (is_over(host, amount))
        return !mf_host_should_finish(host);
    mf_host_ring_bell(host);
    if (spin(host, is_over, amount))
        return !mf_host_should_finish(host);
    for (;;) {
        atomic_store_explicit(is_asleep, 1, memory_order_relaxed);
        atomic_thread_fence(memory_order_seq_cst);
        if (is_over(host, amount) || mf_host_should_finish(host))
            break;
        (void)syscall(SYS_futex, is_asleep, FUTEX_WAIT, 1, NULL, NULL, 0);
    }
    atomic_store_explicit(is_asleep, 0, memory_order_relaxed);
    return !mf_host_should_finish(host);
}

bool mf_host_receive(struct mf_host *host, void *data, size_t n)
{
    uint8_t dropped[4096];

    while (n > 0) {
        size_t part = data || n < sizeof(dropped) ? n : sizeof(dropped);

        if (mf_ring_filled(&host->to) == 0 && !wait_until(host, has_bytes, 1))
            return false;
        if (mf_host_should_leave(host))
            return false;
        if (part > mf_ring_filled(&host->to))
            part = mf_ring_filled(&host->to);
        mf_ring_read(&host->to, data ? data : dropped, part);
        mf_ring_release(&host->to);
        if (data)
            data = (uint8_t *)data + part;
        n -= part;
    }
    return !mf_host_should_finish(host);
}

bool mf_host_send(struct mf_host *host, const void *data, size_t n)
{
    while (n > 0) {
        size_t part = n < WANTED_BYTES ? n : WANTED_BYTES;

        if (mf_ring_room(&host->back) < part) {
            mf_ring_publish(&host->back);
            if (!wait_until(host, has_room, part))
                return false;
        }
        mf_ring_write(&host->back, data, part);
        data = (const uint8_t *)data + part;
        n -= part;
    }
    return true;
}

bool mf_host_wait_spared(struct mf_host *host, uint64_t call)
{
    return is_spared(host, call) || wait_until(host, is_spared, call);
}

bool mf_host_wait_yielded(struct mf_host *host, uint64_t number)
{
    return wait_until(host, goes_on, number);
}
