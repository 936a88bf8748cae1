/* Tests of base/loop.c. Waits end by events that are already there, or by a time-out under test. */
#include "base/loop.h"

#include "base/clock.h"
#include "base/io.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

/* A descriptor that is readable from the start, and what happened on it. */
struct bell {
    struct mf_loop *loop;
    struct mf_watch *watch;
    struct bell *other;
    int fd;
    int n_calls;
    uint32_t events;
};

static void count_call(void *arg, uint32_t events)
{
    struct bell *bell = arg;

    bell->n_calls++;
    bell->events = events;
}

static struct mf_loop *new_loop(void)
{
    struct mf_loop *loop = NULL;

    cr_assert_eq(mf_loop_create(&loop), 0);
    return loop;
}

static void ring(struct bell *bell, struct mf_loop *loop, mf_watch_fn fn)
{
    bell->loop = loop;
    bell->fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
    cr_assert_geq(bell->fd, 0);
    cr_assert_eq(mf_loop_add(loop, bell->fd, EPOLLIN, fn, bell, &bell->watch), 0);
}

/* As ring(), for a pipe whose other end is gone: EPOLLHUP comes whatever one waits for. */
static void hang_up(struct bell *bell, struct mf_loop *loop, mf_watch_fn fn)
{
    int fds[2];

    cr_assert_eq(pipe(fds), 0);
    mf_close(&fds[1]);
    bell->loop = loop;
    bell->fd = fds[0];
    cr_assert_eq(mf_loop_add(loop, bell->fd, EPOLLIN, fn, bell, &bell->watch), 0);
}

/* Ends the watch and the descriptor, as an owner does when it is finished. */
static void put_away(struct bell *bell)
{
    mf_loop_remove(bell->loop, bell->watch);
    bell->watch = NULL;
    mf_close(&bell->fd);
}

Test(loop, a_ready_descriptor_is_called_back_with_its_events)
{
    struct mf_loop *loop = new_loop();
    struct bell bell = {0};

    ring(&bell, loop, count_call);
    cr_assert_eq(mf_loop_wait(loop, -1), 1);
    cr_assert_eq(bell.n_calls, 1);
    cr_assert_eq(bell.events, (uint32_t)EPOLLIN);
    put_away(&bell);
    mf_loop_destroy(loop);
}

Test(loop, readiness_is_reported_until_it_is_used_up)
{
    struct mf_loop *loop = new_loop();
    struct bell bell = {0};
    uint64_t value;

    ring(&bell, loop, count_call);
    cr_assert_eq(mf_loop_wait(loop, 0), 1);
    cr_assert_eq(mf_loop_wait(loop, 0), 1);
    cr_assert_eq(read(bell.fd, &value, sizeof(value)), (ssize_t)sizeof(value));
    cr_assert_eq(mf_loop_wait(loop, 0), 0);
    put_away(&bell);
    mf_loop_destroy(loop);
}

Test(loop, an_empty_loop_waits_as_long_as_told_and_no_shorter)
{
    struct mf_loop *loop = new_loop();
    int64_t begin = mf_clock_monotonic_ns();

    cr_assert_eq(mf_loop_wait(loop, 1500 * MF_NS_PER_US), 0);
    cr_assert_geq(mf_clock_monotonic_ns() - begin, 1500 * MF_NS_PER_US);
    mf_loop_destroy(loop);
}

/* From here on the process has no epoll_pwait2; Criterion runs each test in its own. */
static void forbid_pwait2(int error)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_epoll_pwait2, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof(filter) / sizeof(filter[0]), .filter = filter};

    cr_assert_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    cr_assert_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

static void check_without_pwait2(int error)
{
    struct mf_loop *loop = new_loop();
    struct bell bell = {0};
    int64_t begin;

    forbid_pwait2(error);
    begin = mf_clock_monotonic_ns();
    cr_assert_eq(mf_loop_wait(loop, 1500 * MF_NS_PER_US), 0);
    cr_assert_geq(mf_clock_monotonic_ns() - begin, 1500 * MF_NS_PER_US);
    ring(&bell, loop, count_call);
    cr_assert_eq(mf_loop_wait(loop, -1), 1);
    cr_assert_eq(mf_loop_wait(loop, INT64_MAX), 1);
    cr_assert_eq(mf_loop_wait(loop, 0), 1);
    put_away(&bell);
    mf_loop_destroy(loop);
}

Test(loop, an_old_kernel_without_pwait2_is_served_by_epoll_wait)
{
    check_without_pwait2(ENOSYS);
}

Test(loop, a_sandbox_that_forbids_pwait2_is_served_by_epoll_wait)
{
    check_without_pwait2(EPERM);
}

static void ignore_signal(int signal_number)
{
}

Test(loop, a_signal_ends_a_wait_without_error)
{
    /* Repeated, since the first one may come before the wait. */
    struct itimerval each_ms = {{.tv_usec = 1000}, {.tv_usec = 1000}};
    struct sigaction action = {.sa_handler = ignore_signal};
    struct mf_loop *loop = new_loop();

    cr_assert_eq(sigaction(SIGALRM, &action, NULL), 0);
    cr_assert_eq(setitimer(ITIMER_REAL, &each_ms, NULL), 0);
    cr_assert_eq(mf_loop_wait(loop, -1), 0);
    mf_loop_destroy(loop);
}

Test(loop, modifying_changes_what_is_waited_for)
{
    struct mf_loop *loop = new_loop();
    struct bell bell = {0};

    ring(&bell, loop, count_call);
    cr_assert_eq(mf_loop_modify(loop, bell.watch, EPOLLOUT), 0);
    cr_assert_eq(mf_loop_wait(loop, 0), 1);
    cr_assert_eq(bell.events, (uint32_t)EPOLLOUT);
    cr_assert_eq(mf_loop_modify(loop, bell.watch, EPOLLIN | EPOLLOUT), 0);
    cr_assert_eq(mf_loop_wait(loop, 0), 1);
    cr_assert_eq(bell.events, (uint32_t)(EPOLLIN | EPOLLOUT));
    put_away(&bell);
    mf_loop_destroy(loop);
}

Test(loop, a_watch_for_nothing_stays_silent_and_can_be_woken)
{
    struct mf_loop *loop = new_loop();
    struct bell bell = {0};

    ring(&bell, loop, count_call);
    cr_assert_eq(mf_loop_modify(loop, bell.watch, 0), 0);
    cr_assert_eq(mf_loop_wait(loop, 0), 0);
    cr_assert_eq(mf_loop_modify(loop, bell.watch, EPOLLIN), 0);
    cr_assert_eq(mf_loop_wait(loop, 0), 1);
    put_away(&bell);
    mf_loop_destroy(loop);
}

Test(loop, a_watch_for_nothing_does_not_spin_on_a_hang_up)
{
    struct mf_loop *loop = new_loop();
    struct bell bell = {0};

    hang_up(&bell, loop, count_call);
    cr_assert_eq(mf_loop_modify(loop, bell.watch, 0), 0);
    cr_assert_eq(mf_loop_wait(loop, 0), 0);
    cr_assert_eq(mf_loop_modify(loop, bell.watch, EPOLLIN), 0);
    cr_assert_eq(mf_loop_wait(loop, 0), 1);
    cr_assert(bell.events & EPOLLHUP);
    put_away(&bell);
    mf_loop_destroy(loop);
}

static void remove_both(void *arg, uint32_t events)
{
    struct bell *bell = arg;

    count_call(bell, events);
    put_away(bell->other);
    put_away(bell);
}

Test(loop, a_callback_may_remove_itself_and_a_watch_of_the_same_batch)
{
    struct mf_loop *loop = new_loop();
    struct bell a = {0}, b = {0};

    hang_up(&a, loop, remove_both);
    hang_up(&b, loop, remove_both);
    a.other = &b;
    b.other = &a;
    cr_assert_eq(mf_loop_wait(loop, 0), 1);
    cr_assert_eq(a.n_calls + b.n_calls, 1);
    cr_assert_eq(mf_loop_wait(loop, 0), 0);
    mf_loop_destroy(loop);
}

static void replace_other(void *arg, uint32_t events)
{
    struct bell *bell = arg;

    count_call(bell, events);
    if (!bell->other)
        return;
    put_away(bell->other);
    ring(bell->other, bell->loop, count_call);
    bell->other = NULL;
}

Test(loop, a_watch_added_on_a_reused_number_does_not_get_the_old_event)
{
    struct mf_loop *loop = new_loop();
    struct bell a = {0}, b = {0};
    int number;

    ring(&a, loop, replace_other);
    ring(&b, loop, count_call);
    a.other = &b;
    number = b.fd;
    cr_assert_eq(mf_loop_wait(loop, 0), 1);
    cr_assert_eq(b.fd, number);
    cr_assert_eq(b.n_calls, 0);
    cr_assert_eq(mf_loop_wait(loop, 0), 2);
    cr_assert_eq(b.n_calls, 1);
    put_away(&a);
    put_away(&b);
    mf_loop_destroy(loop);
}

static void silence_other(void *arg, uint32_t events)
{
    struct bell *bell = arg;

    count_call(bell, events);
    cr_assert_eq(mf_loop_modify(bell->loop, bell->other->watch, 0), 0);
}

Test(loop, a_watch_silenced_by_an_earlier_callback_is_not_called)
{
    struct mf_loop *loop = new_loop();
    struct bell a = {0}, b = {0};

    hang_up(&a, loop, silence_other);
    hang_up(&b, loop, silence_other);
    a.other = &b;
    b.other = &a;
    cr_assert_eq(mf_loop_wait(loop, 0), 1);
    cr_assert_eq(a.n_calls + b.n_calls, 1);
    put_away(&a);
    put_away(&b);
    mf_loop_destroy(loop);
}

static void turn_other_to_output(void *arg, uint32_t events)
{
    struct bell *bell = arg;

    count_call(bell, events);
    cr_assert_eq(mf_loop_modify(bell->loop, bell->other->watch, EPOLLOUT), 0);
}

Test(loop, a_watch_gets_no_event_that_it_stopped_waiting_for)
{
    struct mf_loop *loop = new_loop();
    struct bell a = {0}, b = {0};

    ring(&a, loop, turn_other_to_output);
    ring(&b, loop, turn_other_to_output);
    a.other = &b;
    b.other = &a;
    cr_assert_eq(mf_loop_wait(loop, 0), 1);
    cr_assert_eq(a.n_calls + b.n_calls, 1);
    put_away(&a);
    put_away(&b);
    mf_loop_destroy(loop);
}

static void close_other_too_early(void *arg, uint32_t events)
{
    struct bell *bell = arg;

    count_call(bell, events);
    mf_close(&bell->other->fd);
    put_away(bell->other);
}

Test(loop, a_watch_removed_after_its_descriptor_was_closed_is_not_called)
{
    struct mf_loop *loop = new_loop();
    struct bell a = {0}, b = {0};

    ring(&a, loop, close_other_too_early);
    ring(&b, loop, close_other_too_early);
    a.other = &b;
    b.other = &a;
    cr_assert_eq(mf_loop_wait(loop, 0), 1);
    cr_assert_eq(a.n_calls + b.n_calls, 1);
    put_away(a.n_calls ? &a : &b);
    mf_loop_destroy(loop);
}

static void remove_both_and_wait(void *arg, uint32_t events)
{
    struct bell *bell = arg;
    struct bell inner = {0};

    count_call(bell, events);
    put_away(bell->other);
    put_away(bell);
    ring(&inner, bell->loop, count_call);
    cr_assert_eq(mf_loop_wait(bell->loop, 0), 1);
    cr_assert_eq(inner.n_calls, 1);
    put_away(&inner);
}

Test(loop, a_callback_may_wait_on_its_own_loop)
{
    struct mf_loop *loop = new_loop();
    struct bell a = {0}, b = {0};

    ring(&a, loop, remove_both_and_wait);
    ring(&b, loop, remove_both_and_wait);
    a.other = &b;
    b.other = &a;
    cr_assert_eq(mf_loop_wait(loop, 0), 1);
    cr_assert_eq(a.n_calls + b.n_calls, 1);
    mf_loop_destroy(loop);
}

static void use_up(void *arg, uint32_t events)
{
    struct bell *bell = arg;
    uint64_t value;

    count_call(bell, events);
    cr_assert_eq(read(bell->fd, &value, sizeof(value)), (ssize_t)sizeof(value));
}

Test(loop, more_descriptors_than_a_batch_are_all_served)
{
    enum { N = 200 };
    struct mf_loop *loop = new_loop();
    static struct bell bells[N];
    int n_waits = 0;

    for (int i = 0; i < N; i++)
        ring(&bells[i], loop, use_up);
    for (int n = 0; n < N; n_waits++)
        n += mf_loop_wait(loop, 0);
    for (int i = 0; i < N; i++) {
        cr_assert_eq(bells[i].n_calls, 1);
        put_away(&bells[i]);
    }
    cr_assert_gt(n_waits, 1);
    mf_loop_destroy(loop);
}

Test(loop, what_epoll_cannot_watch_is_refused)
{
    struct mf_loop *loop = new_loop();
    struct mf_watch *watch = NULL;

    cr_assert_eq(mf_loop_add(loop, -1, EPOLLIN, count_call, NULL, &watch), -EBADF);
    cr_assert_null(watch);
    mf_loop_destroy(loop);
}

Test(loop, destroying_forgets_watches_and_leaves_their_descriptors_open)
{
    struct mf_loop *loop = new_loop();
    struct bell bell = {0};
    uint64_t value;

    ring(&bell, loop, count_call);
    mf_loop_remove(loop, NULL);
    mf_loop_destroy(loop);
    mf_loop_destroy(NULL);
    cr_assert_eq(read(bell.fd, &value, sizeof(value)), (ssize_t)sizeof(value));
    mf_close(&bell.fd);
}
