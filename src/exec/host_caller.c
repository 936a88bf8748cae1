/*
 * Calls in executor processes: see caller.h, and host_caller_parts.h for how it
 * is made.
 *
 * A turn listens to the nursery, takes what the executors sent, replaces those
 * that died, and hands out units.
 *
 * The rank owns it and uses it in its only thread.
 */
#include "exec/blocks.h"
#include "exec/host_caller_parts.h"
#include "exec/nursery.h"

#include "base/clock.h"
#include "base/io.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

/* Calls are taken for long until the first have ended. */
#define UNKNOWN_CALL_NS MF_NS_PER_MS

/* A rank that never waits listens to the nursery this often. */
#define LISTEN_NS MF_NS_PER_MS

/* The init hook of a replacement may take so much longer than the first ones, and so long. */
#define HOOK_FACTOR 10
#define MIN_HOOK_LIMIT_NS (60 * MF_NS_PER_S)

/*
 * How long a call may take to end when the executors finish, and how long one
 * that is in no call may take to get to its finish hook, and through it if the
 * caller is not patient; a busy machine is not to cut that short.
 */
#define CALL_END_NS MF_NS_PER_S
#define FINISH_NS (4 * MF_NS_PER_S)

static struct mf_host_caller *of_base(const struct mf_caller *caller)
{
    return mf_container_of(caller, struct mf_host_caller, base);
}

static void quiet_bell(struct mf_host_caller *caller)
{
    uint64_t n_rings;

    (void)!read(caller->bell_fd, &n_rings, sizeof(n_rings));
}

static void on_bell(void *arg, uint32_t events)
{
    quiet_bell(arg);
}

/* --- the end of everything --- */

static void finish_seats(struct mf_host_caller *caller)
{
    for (uint32_t i = 0; i < caller->n_seats; i++)
        mf_seat_destroy(caller->seats[i]);
    for (uint32_t i = 0; i < caller->n_slots; i++)
        free(caller->slots[i].cpus);
    free(caller->seats);
    free(caller->slots);
    caller->seats = NULL;
    caller->slots = NULL;
    caller->n_seats = caller->n_slots = 0;
}

static void break_caller(struct mf_host_caller *caller, const struct mf_error *err)
{
    struct mf_caller_event event = {.kind = MF_CALLER_BROKEN, .error = err};

    caller->is_broken = true;
    if (caller->nursery.pid > 0)
        mf_host_caller_close_nursery(caller);
    caller->config.heard(caller->config.arg, &event);
}

static void break_for_nursery(struct mf_host_caller *caller)
{
    int pid = (int)caller->nursery.pid;
    struct mf_error err;
    int status;

    if (caller->channel_error != -EPIPE && caller->channel_error != -ECONNRESET)
        (void)kill(pid, SIGKILL);
    status = mf_host_caller_close_nursery(caller);
    mf_host_caller_kill_left(caller);
    if (status >= 0 && WIFSIGNALED(status))
        (void)mf_error_set(&err, 0,
                           "process %d, which forks executors, was killed by signal %d (%s)", pid,
                           WTERMSIG(status), strsignal(WTERMSIG(status)));
    else
        (void)mf_error_set(&err, 0, "process %d, which forks executors, has ended", pid);
    break_caller(caller, &err);
}

/* --- units --- */

static int start(struct mf_caller *base, const struct mf_caller_unit *unit)
{
    struct mf_host_caller *caller = of_base(base);
    struct mf_host_unit *copy;
    int result;

    if (!caller->functions || caller->is_stopped || unit->slot > caller->n_slots)
        return -EINVAL;
    if (caller->is_broken)
        return -EPIPE;
    result = mf_host_unit_create(unit, &caller->config, caller->functions->n_items, &copy);
    if (result == 0)
        mf_list_push_back(&caller->queue, &copy->node);
    return result;
}

static void recall(struct mf_caller *base, uint64_t number, uint32_t attempt)
{
    struct mf_host_caller *caller = of_base(base);
    struct mf_caller_event event = {.kind = MF_CALLER_RETURNED, .unit = number, .attempt = attempt};
    struct mf_seat *seat;
    struct mf_host_unit *unit;

    if (caller->is_broken || caller->is_stopped)
        return;
    unit = mf_host_caller_find(caller, number, attempt, &seat);
    if (!unit || unit->is_recalled)
        return;
    if (seat) {
        mf_seat_recall(seat, unit);
        return;
    }
    caller->config.heard(caller->config.arg, &event);
    mf_list_remove(&unit->node);
    mf_host_unit_end(unit);
}

static void cancel(struct mf_caller *base, uint64_t number, uint32_t attempt, uint32_t index)
{
    struct mf_host_caller *caller = of_base(base);
    struct mf_seat *seat;
    struct mf_host_unit *unit;

    if (caller->is_broken || caller->is_stopped)
        return;
    unit = mf_host_caller_find(caller, number, attempt, &seat);
    if (unit && mf_host_unit_cancel(unit, index) == 0 && seat)
        mf_seat_cancel(seat, unit, index);
}

/* Executors open it in this process, which they do not outlive, however it is kept elsewhere. */
static int attach(struct mf_caller *base, mpifarm_block block, const struct mf_block_place *place,
                  size_t size)
{
    struct mf_host_caller *caller = of_base(base);
    struct mf_host_notice notice = {.block = block, .size = size, .is_there = true};
    int result, fd;

    if (caller->is_broken || caller->is_stopped)
        return -EPIPE;
    fd = mf_block_open(place, size);
    if (fd < 0)
        return fd;
    notice.place = (struct mf_block_place){(uint32_t)getpid(), (uint32_t)fd, place->key};
    result = mf_host_caller_add_notice(caller, &notice);
    if (result < 0)
        mf_close(&fd);
    return result;
}

/* Executors that have not looked for it yet do not find it: nobody uses it any more. */
static void drop(struct mf_caller *base, mpifarm_block block)
{
    struct mf_host_caller *caller = of_base(base);

    if (caller->is_broken || caller->is_stopped)
        return;
    mf_host_caller_close_blocks(caller, block);
    (void)mf_host_caller_add_notice(caller, &(struct mf_host_notice){.block = block});
}

static int yield(struct mf_caller *base, uint64_t number, uint32_t attempt)
{
    struct mf_host_caller *caller = of_base(base);
    struct mf_seat *seat;
    struct mf_host_unit *unit;

    if (caller->is_broken || caller->is_stopped)
        return 0;
    unit = mf_host_caller_find(caller, number, attempt, &seat);
    if (unit)
        unit->should_yield = true;
    return 0;
}

static void go_on(struct mf_caller *base, uint64_t number, uint32_t attempt, uint32_t slot)
{
    struct mf_host_caller *caller = of_base(base);

    if (!caller->is_broken && !caller->is_stopped)
        mf_host_caller_go_on(caller, number, attempt, slot);
}

/* --- turns --- */

static bool turn_seat(struct mf_seat *seat, int64_t now_ns)
{
    bool has_come = mf_seat_take_entries(seat);

    mf_seat_keep_time(seat, now_ns);
    if (seat->is_damaged)
        mf_seat_kill(seat);
    return has_come;
}

/* Returns 1 when a process has gone, and was replaced if it had a slot, 0 when it lives, or -errno.
 */
static int replace_dead(struct mf_host_caller *caller, struct mf_seat *seat, int64_t now_ns)
{
    struct mf_error err = {0};
    int result;

    if (!seat->is_alive || !seat->has_died || (seat->slot != 0 && mf_seat_pauses(seat, now_ns)))
        return 0;
    result = mf_seat_bury(seat, now_ns, &err);
    if (result == 0)
        return 1;
    break_caller(caller, &err);
    return result;
}

/* Whether something has come while the bells were not asked for. */
static bool ask_for_bells(struct mf_host_caller *caller)
{
    bool has_come = false;

    for (uint32_t i = 0; i < caller->n_seats; i++) {
        struct mf_seat *seat = caller->seats[i];
        bool was_ready = seat->is_ready;

        if (!seat->is_alive || seat->is_damaged)
            continue;
        mf_host_ask_for_bell(&seat->host);
        has_come |= mf_seat_is_ready(seat) != was_ready;
        has_come |= !mf_ring_look_for_bytes(&seat->host.back) || mf_ring_filled(&seat->host.back);
        if (seat->head_left + seat->body_left > 0)
            has_come |= !mf_ring_look_for_room(&seat->host.to) || mf_ring_room(&seat->host.to);
    }
    return has_come;
}

static bool turn_all(struct mf_host_caller *caller, int64_t now_ns)
{
    bool has_happened = false;

    if (now_ns - caller->listened_ns >= LISTEN_NS) {
        caller->listened_ns = now_ns;
        mf_host_caller_listen(caller);
    }
    if (caller->channel_error < 0) {
        break_for_nursery(caller);
        return true;
    }
    for (uint32_t i = 0; i < caller->n_seats; i++) {
        int result = replace_dead(caller, caller->seats[i], now_ns);

        if (result < 0)
            return true;
        has_happened |= result == 1;
        has_happened |= turn_seat(caller->seats[i], now_ns);
    }
    if (caller->is_to_stop)
        return true;
    has_happened |= mf_host_caller_ask_to_yield(caller, now_ns);
    has_happened |= mf_host_caller_hand_out(caller);
    mf_host_caller_talk(caller);
    return has_happened || ask_for_bells(caller);
}

static int turn(struct mf_caller *base, int64_t now_ns)
{
    struct mf_host_caller *caller = of_base(base);
    bool has_happened;

    if (caller->is_broken || caller->is_to_stop || caller->is_stopped)
        return 0;
    caller->is_turning = true;
    has_happened = turn_all(caller, now_ns);
    caller->is_turning = false;
    return has_happened;
}

static void keep_time(struct mf_caller *base, int64_t now_ns)
{
    struct mf_host_caller *caller = of_base(base);

    if (caller->is_broken || caller->is_stopped)
        return;
    for (uint32_t i = 0; i < caller->n_seats; i++) {
        mf_seat_keep_time(caller->seats[i], now_ns);
        if (caller->seats[i]->is_damaged)
            mf_seat_kill(caller->seats[i]);
    }
    mf_host_caller_talk(caller);
}

static bool is_busy(const struct mf_caller *base)
{
    const struct mf_host_caller *caller = of_base(base);

    if (caller->is_broken)
        return false;
    for (uint32_t i = 0; i < caller->n_seats; i++)
        if (!mf_list_is_empty(&caller->seats[i]->units))
            return true;
    return !mf_list_is_empty(&caller->queue);
}

static int64_t next_ns(const struct mf_caller *base)
{
    const struct mf_host_caller *caller = of_base(base);
    int64_t next = caller->spare_ns > 0 ? caller->spare_ns : INT64_MAX;

    if (caller->is_broken || caller->is_stopped)
        return INT64_MAX;
    if (caller->channel_error < 0)
        return 0;
    for (uint32_t i = 0; i < caller->n_seats; i++) {
        const struct mf_seat *seat = caller->seats[i];

        next = mf_earliest_ns(next, seat->has_died ? seat->retry_ns : seat->wake_ns);
    }
    return next;
}

/* --- begin and end --- */

/* Waits for the nursery or a bell, until end_ns. */
static int wait_for_news(struct mf_host_caller *caller, int64_t end_ns)
{
    int64_t left_ns = end_ns == INT64_MAX ? 0 : end_ns - mf_clock_monotonic_ns();
    struct timespec limit = {.tv_sec = left_ns / MF_NS_PER_S, .tv_nsec = left_ns % MF_NS_PER_S};
    struct pollfd fds[] = {
        {.fd = caller->channel.fd,
         .events = mf_channel_backlog(&caller->channel) > 0 ? POLLIN | POLLOUT : POLLIN},
        {.fd = caller->bell_fd, .events = POLLIN},
    };

    if (left_ns < 0)
        return -ETIMEDOUT;
    if (ppoll(fds, 2, end_ns == INT64_MAX ? NULL : &limit, NULL) < 0 && errno != EINTR)
        return -errno;
    quiet_bell(caller);
    mf_host_caller_listen(caller);
    mf_host_caller_talk(caller);
    return caller->channel_error;
}

/* Returns 1 when all executors work, 0 when some do not yet, or -errno. */
static int check_births(struct mf_host_caller *caller)
{
    int64_t now_ns = mf_clock_monotonic_ns();
    int result = 0;
    bool are_ready = true;

    for (uint32_t i = 0; i < caller->n_seats; i++) {
        struct mf_seat *seat = caller->seats[i];

        if (seat->has_died && !mf_seat_pauses(seat, now_ns))
            result = mf_seat_bury(seat, now_ns, NULL);
        if (result < 0)
            return result;
        mf_host_ask_for_bell(&seat->host);
        are_ready &= mf_seat_is_ready(seat);
    }
    return are_ready;
}

static int add_slot(struct mf_host_caller *caller, const struct mf_slot *slot)
{
    struct mf_host_slot *own = &caller->slots[caller->n_slots];
    size_t bytes = slot->n_cpus * sizeof(*own->cpus);
    struct mf_seat *seat;

    own->cpus = malloc(bytes ? bytes : 1);
    if (!own->cpus)
        return -ENOMEM;
    mf_copy(own->cpus, slot->cpus, bytes);
    own->n_cpus = slot->n_cpus;
    seat = mf_host_caller_add_seat(caller, ++caller->n_slots);
    if (!seat)
        return -ENOMEM;
    seat->slot = caller->n_slots;
    own->seat = seat;
    return mf_seat_give_birth(seat);
}

static int make_seats(struct mf_host_caller *caller, const struct mf_slot *slots, uint32_t n_slots)
{
    int result = 0;

    caller->slots = calloc(n_slots, sizeof(*caller->slots));
    if (!caller->slots)
        return -ENOMEM;
    for (uint32_t i = 0; i < n_slots && result == 0; i++) {
        result = add_slot(caller, &slots[i]);
        /* Each has descriptors on their way. */
        mf_host_caller_talk(caller);
    }
    return result < 0 ? result : caller->channel_error;
}

/* Until there is news, or a process is to be asked for again. */
static int wait_for_births(struct mf_host_caller *caller)
{
    int result = wait_for_news(caller, next_ns(&caller->base));

    return result == -ETIMEDOUT ? 0 : result;
}

static int begin(struct mf_caller *base, const struct mf_functions *functions, uint32_t rank,
                 const struct mf_slot *slots, uint32_t n_slots)
{
    struct mf_host_caller *caller = of_base(base);
    int64_t begun_ns = mf_clock_monotonic_ns();
    int result;

    if (caller->functions || n_slots == 0)
        return -EINVAL;
    caller->functions = functions;
    mf_host_caller_send_registry(caller, rank);
    result = make_seats(caller, slots, n_slots);
    while (result == 0 && (result = check_births(caller)) == 0)
        result = wait_for_births(caller);
    caller->is_broken = result < 0;
    /* The first hooks may take as long as they like; later ones as much as can be expected then. */
    caller->hook_limit_ns = HOOK_FACTOR * (mf_clock_monotonic_ns() - begun_ns);
    if (caller->hook_limit_ns < MIN_HOOK_LIMIT_NS)
        caller->hook_limit_ns = MIN_HOOK_LIMIT_NS;
    return result < 0 ? result : 0;
}

static bool is_in_no_call(struct mf_seat *seat)
{
    return !mf_seat_is_in_call(seat);
}

static bool are_gone(struct mf_host_caller *caller, bool (*counts)(struct mf_seat *seat))
{
    for (uint32_t i = 0; i < caller->n_seats; i++) {
        struct mf_seat *seat = caller->seats[i];

        if (seat->is_alive && !seat->has_died && (!counts || counts(seat)))
            return false;
    }
    return true;
}

/* Until the processes that count have ended, NULL for all. */
static void wait_gone(struct mf_host_caller *caller, int64_t end_ns,
                      bool (*counts)(struct mf_seat *seat))
{
    int result = caller->channel_error;

    while (result == 0 && caller->nursery.pid > 0 && !are_gone(caller, counts))
        result = wait_for_news(caller, end_ns);
}

static void stop(struct mf_caller *base)
{
    struct mf_host_caller *caller = of_base(base);
    int64_t begun_ns = mf_clock_monotonic_ns();
    struct mf_list *node;

    if (caller->is_stopped)
        return;
    if (caller->is_turning) {
        caller->is_to_stop = true;
        return;
    }
    caller->is_stopped = true;
    for (uint32_t i = 0; i < caller->n_seats; i++) {
        if (!caller->seats[i]->is_alive)
            continue;
        atomic_store(&caller->seats[i]->host.memory->should_finish, 1);
        mf_host_wake(&caller->seats[i]->host);
    }
    wait_gone(caller, begun_ns + CALL_END_NS, NULL);
    wait_gone(caller, begun_ns + FINISH_NS, is_in_no_call);
    if (caller->config.is_patient)
        wait_gone(caller, INT64_MAX, mf_seat_is_finishing);
    /* Those that are left go with the nursery. */
    if (caller->nursery.pid > 0)
        mf_host_caller_close_nursery(caller);
    while ((node = mf_list_pop_front(&caller->queue)))
        mf_host_unit_end(mf_container_of(node, struct mf_host_unit, node));
    finish_seats(caller);
}

static void destroy(struct mf_caller *base)
{
    struct mf_host_caller *caller = of_base(base);

    stop(base);
    mf_host_caller_close_blocks(caller, 0);
    free(caller->notices);
    mf_close(&caller->bell_fd);
    free(caller);
}

/* --- processes --- */

static pid_t process(struct mf_caller *base, uint32_t slot)
{
    struct mf_host_caller *caller = of_base(base);
    struct mf_seat *seat = slot - 1 < caller->n_slots ? caller->slots[slot - 1].seat : NULL;

    if (!seat || !seat->is_alive || seat->has_died || seat->is_killed || !mf_seat_is_ready(seat))
        return 0;
    return seat->pid;
}

static void kill_process(struct mf_caller *base, uint32_t slot)
{
    struct mf_host_caller *caller = of_base(base);

    if (!caller->is_broken && !caller->is_stopped && process(base, slot) > 0)
        mf_seat_kill(caller->slots[slot - 1].seat);
}

static const struct mf_caller_ops ops = {
    .begin = begin,
    .start = start,
    .recall = recall,
    .cancel = cancel,
    .attach = attach,
    .drop = drop,
    .yield = yield,
    .go_on = go_on,
    .turn = turn,
    .keep_time = keep_time,
    .is_busy = is_busy,
    .next_ns = next_ns,
    .process = process,
    .kill = kill_process,
    .stop = stop,
    .destroy = destroy,
};

static int watch(struct mf_host_caller *caller, int nursery_fd)
{
    int result = mf_loop_add(caller->loop, nursery_fd, EPOLLIN, mf_host_caller_on_channel, caller,
                             &caller->watch);

    if (result < 0)
        return result;
    result =
        mf_loop_add(caller->loop, caller->bell_fd, EPOLLIN, on_bell, caller, &caller->bell_watch);
    if (result < 0)
        mf_loop_remove(caller->loop, caller->watch);
    return result;
}

int mf_host_caller_create(const struct mf_caller_config *config, struct mf_nursery *nursery,
                          struct mf_loop *loop, struct mf_caller **ret_caller)
{
    struct mf_host_caller *caller = calloc(1, sizeof(*caller));
    int result;

    if (!caller)
        return -ENOMEM;
    caller->base.ops = &ops;
    caller->config = *config;
    caller->loop = loop;
    caller->call_ns = UNKNOWN_CALL_NS;
    mf_list_init(&caller->queue);
    caller->bell_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    result = caller->bell_fd < 0 ? -errno : watch(caller, nursery->fd);
    if (result < 0) {
        mf_close(&caller->bell_fd);
        free(caller);
        return result;
    }
    mf_channel_init(&caller->channel, nursery->fd);
    caller->nursery = *nursery;
    *nursery = (struct mf_nursery){.fd = -1};
    *ret_caller = &caller->base;
    return 0;
}
