/*
 * The memory that a rank shares with one executor process: see host.h.
 *
 * Whoever is to be woken first says that he sleeps and then looks once more;
 * whoever wakes first publishes and then looks whether the other sleeps. A full
 * fence on both sides keeps these in order, so no wake-up is lost.
 */
#include "exec/host.h"

#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static void set_up(struct mf_host *host, struct mf_host_memory *memory, int bell_fd)
{
    *host = (struct mf_host){
        .memory = memory,
        .to = {.ends = &memory->to_ends, .data = memory->to, .capacity = sizeof(memory->to)},
        .back = {.ends = &memory->back_ends,
                 .data = memory->back,
                 .capacity = sizeof(memory->back)},
        .bell_fd = bell_fd,
    };
}

static int map(int fd, struct mf_host_memory **ret_memory)
{
    void *memory =
        mmap(NULL, sizeof(struct mf_host_memory), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    if (memory == MAP_FAILED)
        return -errno;
    *ret_memory = memory;
    return 0;
}

int mf_host_create(struct mf_host *host, int bell_fd, int *ret_memory_fd)
{
    struct mf_host_memory *memory = NULL;
    int fd = memfd_create("mpifarm-host", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    int result = 0;

    if (fd < 0)
        return -errno;
    if (ftruncate(fd, sizeof(*memory)) < 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
        result = -errno;
    if (result == 0)
        result = map(fd, &memory);
    if (result < 0) {
        mf_close(&fd);
        return result;
    }
    set_up(host, memory, bell_fd);
    *ret_memory_fd = fd;
    return 0;
}

int mf_host_open(struct mf_host *host, int memory_fd, int bell_fd)
{
    struct mf_host_memory *memory = NULL;
    int result = map(memory_fd, &memory);

    if (result < 0)
        return result;
    /* A child that a function forks, and that returns from the function, must not answer for it. */
    if (madvise(memory, sizeof(*memory), MADV_DONTFORK) < 0) {
        result = -errno;
        munmap(memory, sizeof(*memory));
        return result;
    }
    set_up(host, memory, bell_fd);
    return 0;
}

void mf_host_finish(struct mf_host *host)
{
    if (host->memory)
        munmap(host->memory, sizeof(*host->memory));
    *host = (struct mf_host){.bell_fd = -1};
}

/* --- portions --- */

void mf_host_offer(struct mf_host *host, uint64_t number, uint64_t unwanted)
{
    struct mf_host_portion *portion = mf_host_portion(host, number);

    atomic_store_explicit(&portion->unwanted, unwanted, memory_order_relaxed);
    atomic_store_explicit(&portion->should_stop, 0, memory_order_relaxed);
    atomic_store_explicit(&portion->yielding, MF_HOST_GOES_ON, memory_order_relaxed);
    atomic_store_explicit(&portion->duration_ns, 0, memory_order_relaxed);
    atomic_store_explicit(&portion->idle_ns, 0, memory_order_relaxed);
    atomic_store_explicit(&portion->owner, 4 * number + MF_HOST_OFFERED, memory_order_release);
}

static bool change_owner(struct mf_host *host, uint64_t number, unsigned owner)
{
    uint64_t expected = 4 * number + MF_HOST_OFFERED;

    return atomic_compare_exchange_strong(&mf_host_portion(host, number)->owner, &expected,
                                          4 * number + owner);
}

bool mf_host_take(struct mf_host *host, uint64_t number)
{
    return change_owner(host, number, MF_HOST_TAKEN);
}

bool mf_host_revoke(struct mf_host *host, uint64_t number)
{
    return change_owner(host, number, MF_HOST_REVOKED);
}

void mf_host_ask_to_yield(struct mf_host *host, uint64_t number)
{
    uint32_t expected = MF_HOST_GOES_ON;

    (void)atomic_compare_exchange_strong(&mf_host_portion(host, number)->yielding, &expected,
                                         MF_HOST_IS_TO_YIELD);
}

bool mf_host_yields(struct mf_host_portion *portion)
{
    uint32_t expected = MF_HOST_IS_TO_YIELD;

    return atomic_compare_exchange_strong(&portion->yielding, &expected, MF_HOST_HAS_YIELDED);
}

void mf_host_go_on(struct mf_host *host, uint64_t number)
{
    atomic_store(&mf_host_portion(host, number)->yielding, MF_HOST_GOES_ON);
    mf_host_wake(host);
}

/* --- sleeping and waking --- */

static void wake_futex(_Atomic uint32_t *word)
{
    (void)syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

void mf_host_wake(struct mf_host *host)
{
    _Atomic uint32_t *is_asleep = &host->memory->is_asleep;

    atomic_thread_fence(memory_order_seq_cst);
    if (!atomic_load_explicit(is_asleep, memory_order_relaxed))
        return;
    atomic_store_explicit(is_asleep, 0, memory_order_relaxed);
    wake_futex(is_asleep);
}

void mf_host_ask_for_bell(struct mf_host *host)
{
    atomic_store_explicit(&host->memory->wants_bell, 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_seq_cst);
}

void mf_host_ring_bell(struct mf_host *host)
{
    const uint64_t one = 1;

    atomic_thread_fence(memory_order_seq_cst);
    if (!atomic_load_explicit(&host->memory->wants_bell, memory_order_relaxed))
        return;
    atomic_store_explicit(&host->memory->wants_bell, 0, memory_order_relaxed);
    /* It cannot be full: that would take 2^64 rings that nobody heard. */
    (void)!write(host->bell_fd, &one, sizeof(one));
}
