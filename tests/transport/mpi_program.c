/*
 * Ranks that send frames to each other over MPI and check what they hear.
 *
 *     mpirun -n RANKS mpi_program SCENARIO
 *
 * A rank for which all was as it should be says "fine", and "left" once it has
 * left MPI; another one says what was wrong, and ends all of them.
 *
 * Frames can be told from each other: the sizes that a rank sends to another
 * follow from both numbers alone, and the bytes from sender and position.
 */
#include "transport/transport.h"

#include "base/clock.h"
#include "base/process_stat.h"
#include "base/rng.h"

#include <errno.h>
#include <inttypes.h>
#include <mpi.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/types.h>
#include <unistd.h>

#define MAX_RANKS 8
#define LARGE ((size_t)5 << 20)
#define LIMIT_NS (60 * MF_NS_PER_S)

/* Whatever goes wrong, a rank is gone after this. */
#define LIFE_S 270

static struct mf_transport *transport;

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fail(__LINE__, #condition);                                                            \
    } while (0)

_Noreturn static void fail(int line, const char *text)
{
    printf("rank %" PRIu32 ", line %d: not so: %s\n", transport->rank, line, text);
    fflush(stdout);
    mf_transport_mpi_abort(1);
    abort();
}

/* --- frames --- */

/* Around the sizes at which something changes, in the transport or in Open MPI. */
static const size_t sizes[] = {1,    2,    8,    64,   255,  256,   968,   969,
                               1024, 3999, 4000, 4031, 4032, 4033,  4040,  4041,
                               4095, 4096, 4097, 4200, 8192, 32768, 65536, 1 << 20};

/* What one rank sends another, frame by frame; it is the same at both ends. */
struct stream {
    uint32_t from;
    uint32_t number;
    bool is_small;
    struct mf_rng rng;
};

static struct stream stream_of(uint32_t from, uint32_t to, bool is_small)
{
    struct stream stream = {.from = from, .is_small = is_small};

    mf_rng_init(&stream.rng, from * MAX_RANKS + to);
    return stream;
}

/* Each size first, then mostly small ones. */
static size_t next_size(struct stream *stream)
{
    size_t n_sizes = sizeof(sizes) / sizeof(sizes[0]);
    uint64_t random = mf_rng_next(&stream->rng);

    if (stream->is_small)
        return 1 + random % 200;
    if (stream->number == 50)
        return LARGE;
    if (stream->number < n_sizes)
        return sizes[(stream->number + stream->from) % n_sizes];
    return random % 16 < 13 ? 1 + (random >> 8) % 4200 : sizes[(random >> 8) % n_sizes];
}

static uint8_t byte_at(const struct stream *stream, size_t i)
{
    return (uint8_t)(stream->from * 37 + stream->number * 11 + i + i / 251);
}

static void send_next(struct stream *stream, uint32_t to)
{
    static struct mf_buffer frame;
    size_t size = next_size(stream);

    CHECK(mf_buffer_reserve(&frame, size) == 0);
    for (size_t i = 0; i < size; i++)
        frame.data[i] = byte_at(stream, i);
    frame.size = size;
    stream->number++;
    CHECK(mf_transport_send(transport, to, &frame) == 0);
    CHECK(frame.size == 0);
    mf_buffer_finish(&frame);
}

static void send_large(uint32_t to)
{
    struct mf_buffer frame = {0};

    CHECK(mf_buffer_reserve(&frame, LARGE) == 0);
    memset(frame.data, 1, LARGE);
    frame.size = LARGE;
    CHECK(mf_transport_send(transport, to, &frame) == 0);
    mf_buffer_finish(&frame);
}

static void check_next(struct stream *stream, const struct mf_buffer *frame)
{
    CHECK(frame->size == next_size(stream));
    for (size_t i = 0; i < frame->size; i++)
        if (frame->data[i] != byte_at(stream, i))
            fail(__LINE__, "the frame is the next one");
    stream->number++;
}

/* Waits for a frame of any peer. */
static const struct mf_buffer *await(uint32_t *ret_from)
{
    int64_t deadline_ns = mf_clock_monotonic_ns() + LIMIT_NS;
    const struct mf_buffer *frame;
    int r;

    while ((r = mf_transport_receive(transport, ret_from, &frame)) == 0) {
        CHECK(mf_clock_monotonic_ns() < deadline_ns);
        usleep(50);
        transport->n_looks = MF_LOOKS_AFTER_PAUSE;
    }
    CHECK(r == 1);
    return frame;
}

static void await_next(struct stream *stream)
{
    uint32_t from;
    const struct mf_buffer *frame = await(&from);

    CHECK(from == stream->from);
    check_next(stream, frame);
}

/* --- everybody to everybody, itself included --- */

/* Sends up to n_ahead frames to each peer between two looks for what came. */
static void exchange(uint32_t n_frames, uint32_t n_ahead, bool is_small)
{
    struct stream out[MAX_RANKS], in[MAX_RANKS];
    uint32_t rank = transport->rank, from, n_to_come = n_frames * transport->size;

    CHECK(transport->size <= MAX_RANKS);
    for (uint32_t i = 0; i < transport->size; i++) {
        out[i] = stream_of(rank, i, is_small);
        in[i] = stream_of(i, rank, is_small);
    }
    while (n_to_come > 0) {
        for (uint32_t to = 0; to < transport->size; to++)
            for (uint32_t n = 0; n < n_ahead && out[to].number < n_frames; n++)
                send_next(&out[to], to);
        const struct mf_buffer *frame = await(&from);
        check_next(&in[from], frame);
        n_to_come--;
    }
}

static void run_order(void)
{
    exchange(400, 1, false);
}

static void run_burst(void)
{
    exchange(300, 300, false);
}

static void run_flood(void)
{
    exchange(5000, 5000, true);
}

/* --- a peer that stops in the middle of a transfer --- */

static bool is_in_state(pid_t pid, const char *states)
{
    struct mf_process_stat stat = {.state = 'X'};

    (void)mf_process_stat_read(pid, &stat);
    return strchr(states, stat.state) != NULL;
}

/* The last rank tells rank 0 who it is before it stops; the pid, when it has. */
static pid_t await_stop(const char *states)
{
    int64_t deadline_ns = mf_clock_monotonic_ns() + LIMIT_NS;
    uint32_t from;
    const struct mf_buffer *frame = await(&from);
    pid_t pid;

    CHECK(from == transport->size - 1 && frame->size == sizeof(pid));
    memcpy(&pid, frame->data, sizeof(pid));
    while (!is_in_state(pid, states))
        CHECK(mf_clock_monotonic_ns() < deadline_ns);
    return pid;
}

static pid_t await_sleep(void)
{
    return await_stop("T");
}

static pid_t await_death(void)
{
    return await_stop("XZ");
}

static void send_all_that_is_unsent(uint32_t to)
{
    const struct mf_buffer *frame;
    uint32_t from;

    while (mf_transport_unsent(transport, to) > 0)
        CHECK(mf_transport_receive(transport, &from, &frame) == 0);
}

static void send_pid(void)
{
    struct mf_buffer frame = {0};
    pid_t pid = getpid();

    mf_buffer_append(&frame, &pid, sizeof(pid));
    CHECK(mf_transport_send(transport, 0, &frame) == 0);
    mf_buffer_finish(&frame);
    send_all_that_is_unsent(0);
}

/* Rank 0 always has a small frame of its own to receive; the rest has to move all the same. */
static void run_busy(void)
{
    struct stream out = stream_of(0, 0, true), in = out;
    const struct mf_buffer *frame;
    uint32_t from = 0;

    if (transport->rank == 1) {
        send_pid();
        send_large(0);
        raise(SIGSTOP);
        CHECK(await(&from)->size == LARGE);
        return;
    }
    pid_t pid = await_sleep();
    send_large(1);
    send_next(&out, 0);
    while (from == 0) {
        send_next(&out, 0);
        CHECK(mf_transport_receive(transport, &from, &frame) == 1);
        if (from == 0)
            check_next(&in, frame);
        CHECK(in.number < 100000);
    }
    CHECK(frame->size == LARGE);
    CHECK(kill(pid, SIGCONT) == 0);
}

#define N_BEGUN 60

/* Rank 2: frames to rank 0, large ones among them, as far as they go without its help. */
static void begin_and_raise(int signal_number)
{
    struct stream out = stream_of(2, 0, false);

    send_pid();
    while (out.number < N_BEGUN)
        send_next(&out, 0);
    raise(signal_number);
    send_all_that_is_unsent(0);
}

#define N_PLAYED 300

/* Rank 1: frames from and to rank 0 in turn. */
static void play_along(void)
{
    struct stream out = stream_of(1, 0, false), in = stream_of(0, 1, false);

    while (out.number < N_PLAYED) {
        await_next(&in);
        send_next(&out, 0);
    }
}

/* Rank 0: all of that, while rank 2 does nothing; what arrives of rank 2 is in order. */
static void play_without(struct stream *from_stopped)
{
    struct stream out = stream_of(0, 1, false), in = stream_of(1, 0, false);

    while (in.number < N_PLAYED) {
        const struct mf_buffer *frame;
        uint32_t from;

        if (out.number == in.number)
            send_next(&out, 1);
        frame = await(&from);
        check_next(from == 2 ? from_stopped : &in, frame);
    }
    CHECK(from_stopped->number < N_BEGUN);
}

static void run_stopped(void)
{
    struct stream in = stream_of(2, 0, false);

    if (transport->rank == 2)
        begin_and_raise(SIGSTOP);
    if (transport->rank == 1)
        play_along();
    if (transport->rank == 0) {
        pid_t pid = await_sleep();

        play_without(&in);
        CHECK(kill(pid, SIGCONT) == 0);
        while (in.number < N_BEGUN)
            await_next(&in);
    }
}

static void run_killed(void)
{
    struct stream in = stream_of(2, 0, false);

    if (transport->rank == 2)
        begin_and_raise(SIGKILL);
    if (transport->rank == 1)
        play_along();
    if (transport->rank == 0) {
        await_death();
        play_without(&in);
    }
}

/* --- what is still ours --- */

static void run_unsent(void)
{
    struct stream small = stream_of(0, 1, true);
    uint32_t from;

    if (transport->rank == 1) {
        send_pid();
        raise(SIGSTOP);
        await_next(&small);
        CHECK(await(&from)->size == LARGE);
        CHECK(await(&from)->size == LARGE);
        return;
    }
    pid_t pid = await_sleep();
    send_next(&small, 1);
    CHECK(mf_transport_unsent(transport, 1) < LARGE);
    send_large(1);
    send_large(1);
    CHECK(mf_transport_unsent(transport, 1) >= 2 * LARGE);
    CHECK(mf_transport_unsent(transport, 0) == 0);
    CHECK(kill(pid, SIGCONT) == 0);
    send_all_that_is_unsent(1);
}

/* --- memory --- */

#define N_RECYCLED 100
#define RECYCLED_BYTES ((size_t)1 << 20)

static void send_in(struct mf_buffer frame, size_t size)
{
    CHECK(mf_buffer_reserve(&frame, size) == 0);
    memset(frame.data, 1, size);
    frame.size = size;
    CHECK(mf_transport_send(transport, 1, &frame) == 0);
    mf_buffer_finish(&frame);
    send_all_that_is_unsent(1);
}

/* Each large frame is made in what the one before left behind; small ones take none of that. */
static void run_recycling(void)
{
    struct mf_buffer frame;
    uint32_t from;

    for (int i = 0; i < N_RECYCLED; i++) {
        if (transport->rank == 1) {
            CHECK(await(&from)->size == RECYCLED_BYTES);
            CHECK(await(&from)->size == 100);
            continue;
        }
        frame = mf_transport_spare(transport);
        CHECK(frame.size == 0 && (i == 0 || frame.capacity >= RECYCLED_BYTES));
        send_in(frame, RECYCLED_BYTES);
        send_in((struct mf_buffer){0}, 100);
    }
}

/* --- leaving --- */

/* What was sent last arrives, although its sender leaves at once. */
static void run_last_words(void)
{
    struct stream stream = stream_of(0, 1, false);

    while (stream.number < 100)
        if (transport->rank == 0)
            send_next(&stream, 1);
        else
            await_next(&stream);
}

/* Both leave with frames under way that nobody receives, and one more at hand. */
static void run_leave(void)
{
    uint32_t rank = transport->rank, from;
    struct stream out = stream_of(rank, 1 - rank, false);

    while (out.number < 100)
        send_next(&out, 1 - rank);
    send_large(rank);
    await(&from);
}

/* --- ends that are started later --- */

static char program[4096];

/* Begins to start this program, or another one, as one more end. */
static void begin_spawn(const char *path, const char *scenario)
{
    char host[256], dir[4096];
    char *argv[] = {(char *)path, (char *)scenario, NULL};
    struct mf_spawn spawn = {.argv = argv, .host = host, .dir = dir};

    CHECK(gethostname(host, sizeof(host)) == 0);
    CHECK(getcwd(dir, sizeof(dir)));
    CHECK(transport->ops->spawn(transport, &spawn) == 0);
    CHECK(transport->ops->spawn(transport, &spawn) == -EBUSY);
}

static int await_spawned(uint32_t *ret_number)
{
    int64_t deadline_ns = mf_clock_monotonic_ns() + LIMIT_NS;
    struct mf_error err;
    int r;

    while ((r = transport->ops->spawned(transport, ret_number, &err)) == 0) {
        CHECK(mf_clock_monotonic_ns() < deadline_ns);
        usleep(1000);
    }
    return r;
}

/* As play_along() and the other end of it, with any end. */
static void play_with(uint32_t other, bool is_first)
{
    struct stream out = stream_of(transport->rank, other, false);
    struct stream in = stream_of(other, transport->rank, false);

    while (in.number < N_PLAYED) {
        if (is_first)
            send_next(&out, other);
        await_next(&in);
        if (!is_first)
            send_next(&out, other);
    }
    send_all_that_is_unsent(other);
}

/* What is sent while an end is started arrives behind what was sent before. */
static void run_spawning(void)
{
    uint32_t number;

    if (transport->rank == 1) {
        play_with(0, false);
        return;
    }
    for (uint32_t i = 0; i < 2; i++) {
        begin_spawn(program, "spawned");
        CHECK(await_spawned(&number) == 1);
        CHECK(number == 2 + i && transport->size == 3 + i);
        play_with(number, true);
    }
    begin_spawn(program, "spawned");
    struct stream out = stream_of(0, 1, false), in = stream_of(1, 0, false);
    while (out.number < 20)
        send_next(&out, 1);
    CHECK(mf_transport_unsent(transport, 1) > 0);
    CHECK(await_spawned(&number) == 1);
    while (in.number < 20)
        await_next(&in);
    while (in.number < N_PLAYED) {
        send_next(&out, 1);
        await_next(&in);
    }
    play_with(number, true);
}

static void run_spawned(void)
{
    play_with(0, false);
}

/* The caller takes its signals from a descriptor, so that all its threads block them: that which
 * starts the end as well. */
static void run_signalled(void)
{
    uint32_t number;
    sigset_t pending;

    if (transport->rank == 1)
        return;
    begin_spawn(program, "left_alone");
    CHECK(kill(getpid(), SIGUSR2) == 0);
    CHECK(await_spawned(&number) == 1);
    CHECK(sigpending(&pending) == 0 && sigismember(&pending, SIGUSR2) == 1);
}

static void run_left_alone(void)
{
}

/* One that ends before it can be reached; the others go on, and leave. */
static void run_unborn(void)
{
    uint32_t number;

    if (transport->rank == 1) {
        play_with(0, false);
        return;
    }
    begin_spawn("/bin/true", NULL);
    CHECK(await_spawned(&number) == -ETIMEDOUT);
    CHECK(transport->size == 2);
    play_with(1, true);
    begin_spawn(program, "spawned");
    CHECK(await_spawned(&number) == 1 && number == 2);
    play_with(number, true);
}

/* For good, as far as it depends on this rank. */
static void run_hanging(void)
{
    printf("rank %" PRIu32 ": process %d\n", transport->rank, (int)getpid());
    fflush(stdout);
    for (;;)
        pause();
}

/* --- the program --- */

static void say(uint32_t rank, const char *text)
{
    printf("rank %" PRIu32 ": %s\n", rank, text);
    fflush(stdout);
}

/* --- sends that fail --- */

/* Sends to it fail in MPI at once, and large ones to the other when they are looked after. */
static int fails_to = -1, fails_late_to = -1;
static MPI_Request late;

int MPI_Isend(const void *bytes, int n, MPI_Datatype type, int to, int tag, MPI_Comm comm,
              MPI_Request *request)
{
    int code = to == fails_to ? MPI_ERR_OTHER : PMPI_Isend(bytes, n, type, to, tag, comm, request);

    if (to == fails_late_to && n == (int)LARGE)
        late = *request;
    return code;
}

int MPI_Test(MPI_Request *request, int *is_done, MPI_Status *status)
{
    bool is_late = fails_late_to >= 0 && *request == late;
    int code = PMPI_Test(request, is_done, status);

    return is_late && *is_done ? MPI_ERR_OTHER : code;
}

static void expect_cut_off(uint32_t to)
{
    struct mf_buffer frame = {0};

    mf_buffer_put_u8(&frame, 1);
    CHECK(mf_transport_send(transport, to, &frame) == -EIO);
    mf_buffer_finish(&frame);
}

/* Rank 0 cannot reach the next one, and then not even itself. */
static void run_failing(void)
{
    struct stream in = stream_of(0, 0, true), out = in;
    uint32_t from;

    if (transport->rank == 1) {
        send_pid();
        raise(SIGSTOP);
        CHECK(await(&from)->size == LARGE);
        return;
    }
    pid_t pid = await_sleep();
    fails_late_to = 1;
    send_large(1);
    CHECK(kill(pid, SIGCONT) == 0);
    send_all_that_is_unsent(1);
    expect_cut_off(1);
    send_next(&out, 0);
    await_next(&in);
    fails_to = 0;
    expect_cut_off(0);
    fails_to = -1;
    expect_cut_off(0);
}

static const struct {
    const char *name;
    void (*run)(void);
} scenarios[] = {
    {"order", run_order},         {"burst", run_burst},           {"flood", run_flood},
    {"stopped", run_stopped},     {"killed", run_killed},         {"unsent", run_unsent},
    {"busy", run_busy},           {"last_words", run_last_words}, {"leave", run_leave},
    {"spawning", run_spawning},   {"spawned", run_spawned},       {"unborn", run_unborn},
    {"signalled", run_signalled}, {"left_alone", run_left_alone}, {"hanging", run_hanging},
    {"failing", run_failing},     {"recycling", run_recycling},
};

static void run(const char *name)
{
    for (size_t i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++)
        if (strcmp(scenarios[i].name, name) == 0) {
            scenarios[i].run();
            return;
        }
    fail(__LINE__, "the scenario is known");
}

int main(int argc, char **argv)
{
    struct mf_error err = {0};
    sigset_t blocked;
    uint32_t rank;

    /* Its mpirun may be killed, and hang. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    alarm(LIFE_S);
    /* Before MPI has threads. */
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR2);
    sigprocmask(SIG_BLOCK, &blocked, NULL);
    if (argc != 2 || mf_transport_mpi_create(&argc, &argv, MF_MPI_SPAWNS, &transport, &err) < 0) {
        fprintf(stderr, "usage: mpi_program SCENARIO; %s\n", err.text);
        return 2;
    }
    CHECK(realpath("/proc/self/exe", program));
    run(argv[1]);
    rank = transport->rank;
    say(rank, "fine");
    mf_transport_destroy(transport);
    say(rank, "left");
    return 0;
}
