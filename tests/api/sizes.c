/* Inputs and results of every size around the limits, with their bytes looked at. */
#include "t_api.h"

#include <stdalign.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)

/* What fits into a task, into a frame that leaves at once, into a call that is not large, ... */
static const size_t sizes[] = {
    0,
    1,
    2,
    7,
    8,
    15,
    16,
    17,
    31,
    100,
    3900,
    3950,
    4000,
    4095,
    4096,
    4097,
    16 * KIB,
    32 * KIB,
    64 * KIB - 1,
    64 * KIB,
    64 * KIB + 1,
    256 * KIB - 1,
    256 * KIB + 1,
    MIB - 1,
    MIB,
    MIB + 1,
    5 * MIB,
};

#define N_SIZES (sizeof(sizes) / sizeof(sizes[0]))

static uint8_t *make_pattern(size_t size, uint64_t seed)
{
    uint8_t *bytes = malloc(size + 1);

    T_CHECK(bytes != NULL);
    t_pattern(bytes, size, seed);
    return bytes;
}

static void expect_bytes(struct t_run *t, mpifarm_future future, const uint8_t *bytes, size_t size)
{
    const uint8_t *data = t_done(t, future, size);

    T_EQ((uintptr_t)data % alignof(max_align_t), 0);
    T_CHECK(size == 0 || memcmp(data, bytes, size) == 0);
    t_release(t, future);
}

static void inputs_and_results_of_every_size(struct t_run *t)
{
    uint8_t *bytes[N_SIZES];
    mpifarm_future futures[N_SIZES];

    for (size_t i = 0; i < N_SIZES; i++) {
        bytes[i] = make_pattern(sizes[i], i);
        futures[i] = t_submit(t, T_ECHO, bytes[i], sizes[i]);
    }
    for (size_t i = 0; i < N_SIZES; i++) {
        expect_bytes(t, futures[i], bytes[i], sizes[i]);
        free(bytes[i]);
    }
}

static void inputs_alone(struct t_run *t)
{
    for (size_t i = 0; i < N_SIZES; i++) {
        uint8_t *bytes = make_pattern(sizes[i], i);
        mpifarm_future future = t_submit(t, T_HASH, bytes, sizes[i]);

        T_CHECK(*(const uint64_t *)t_done(t, future, 8) == t_hash(bytes, sizes[i]));
        t_release(t, future);
        free(bytes);
    }
}

static void results_alone(struct t_run *t)
{
    for (size_t i = 0; i < N_SIZES; i++) {
        const struct t_fill what = {sizes[i], i};
        mpifarm_future future = t_submit(t, T_FILL, &what, sizeof(what));
        uint8_t *bytes = make_pattern(sizes[i], i);

        expect_bytes(t, future, bytes, sizes[i]);
        free(bytes);
    }
}

static void inputs_are_aligned_wherever_they_are_in_a_unit(struct t_run *t)
{
    enum { N = 300 };
    mpifarm_future futures[N];

    for (size_t i = 0; i < N; i++)
        futures[i] = t_submit(t, T_DESCRIBE, sizes, i % 61);
    for (size_t i = 0; i < N; i++) {
        const struct t_description *seen = t_done(t, futures[i], sizeof(*seen));

        T_EQ(seen->input_size, i % 61);
        T_CHECK(seen->is_aligned);
        t_release(t, futures[i]);
    }
}

static void many_sizes_at_the_same_time(struct t_run *t)
{
    enum { N = 300 };
    static uint8_t *bytes[N];
    static size_t n_bytes[N];
    static mpifarm_future futures[N];
    uint64_t state = 99;

    for (int i = 0; i < N; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        n_bytes[i] = (state >> 40) % ((size_t)1 << (i % 19));
        bytes[i] = make_pattern(n_bytes[i], (uint64_t)i);
        futures[i] = t_submit(t, T_ECHO, bytes[i], n_bytes[i]);
    }
    for (int i = 0; i < N; i++) {
        expect_bytes(t, futures[i], bytes[i], n_bytes[i]);
        free(bytes[i]);
    }
}

static void sixty_four_mebibytes(struct t_run *t)
{
    uint8_t *bytes = make_pattern(64 * MIB, 3);

    expect_bytes(t, t_submit(t, T_ECHO, bytes, 64 * MIB), bytes, 64 * MIB);
    free(bytes);
}

/* What this process has in memory. */
static size_t own_bytes(void)
{
    unsigned long n_pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");

    T_CHECK(file && fscanf(file, "%*u %lu", &n_pages) == 1);
    fclose(file);
    return n_pages * (size_t)sysconf(_SC_PAGESIZE);
}

static void do_small_tasks(struct t_run *t)
{
    for (uint64_t x = 0; x < 100; x++) {
        mpifarm_future small = t_submit(t, T_SQUARE, &x, sizeof(x), .rank = 2);

        T_EQ(*(const uint64_t *)t_done(t, small, 8), x * x);
        t_release(t, small);
    }
}

/* Rank 1 stands still: all but what is in a window cannot leave before it goes on. */
static void small_tasks_are_done_while_a_large_input_is_on_its_way(struct t_run *t)
{
    const size_t size = 256 * MIB;
    mpifarm_future seen = t_submit(t, T_DESCRIBE, NULL, 0, .rank = 1), large;
    pid_t pid = ((const struct t_description *)t_done(t, seen, sizeof(struct t_description)))->pid;
    size_t before = own_bytes();
    uint8_t *bytes = make_pattern(size, 4);
    uint64_t hash = t_hash(bytes, size);

    T_EQ(kill(pid, SIGSTOP), 0);
    large = t_submit(t, T_HASH, bytes, size, .rank = 1);
    free(bytes);
    do_small_tasks(t);
    T_EQ(t_counts(t).n_sent, 1);
#ifndef __SANITIZE_ADDRESS__
    /* It is kept once, for all tries, and what is on its way. */
    T_CHECK(own_bytes() < before + size + 64 * MIB);
#endif
    T_EQ(kill(pid, SIGCONT), 0);
    T_CHECK(*(const uint64_t *)t_done(t, large, 8) == hash);
    t_release(t, seen);
    t_release(t, large);
}

static void a_large_input_is_sent_again_for_a_retry(struct t_run *t)
{
    struct t_failure how = {.code = 1, .size = 5, .letter = 'r'};
    uint8_t *bytes = make_pattern(2 * MIB, 8);
    mpifarm_future future;

    /* Fails as its input is too large for it. */
    future = t_submit(t, T_FAIL, bytes, 2 * MIB, .max_attempts = 3);
    T_EQ(t_await(t, future).status, MPIFARM_FAILED);
    T_EQ(t_await(t, future).code, 99);
    T_EQ(t_await(t, future).attempts, 3);
    t_release(t, future);
    future = t_submit(t, T_FAIL, &how, sizeof(how));
    T_STR_EQ(t_await(t, future).message, "rrrrr");
    t_release(t, future);
    free(bytes);
}

const struct t_scenario t_sizes[] = {
    {"inputs and results of every size", inputs_and_results_of_every_size, 0},
    {"inputs of every size", inputs_alone, 0},
    {"results of every size", results_alone, 0},
    {"inputs are aligned wherever they are in a unit",
     inputs_are_aligned_wherever_they_are_in_a_unit, 0},
    {"many sizes at the same time", many_sizes_at_the_same_time, 0},
    {"64 MiB there and back", sixty_four_mebibytes, 0},
    {"small tasks are done while a large input is on its way",
     small_tasks_are_done_while_a_large_input_is_on_its_way, T_NEEDS_RANKS | T_NEEDS_NO_ISOLATION},
    {"a large input is sent again for a retry", a_large_input_is_sent_again_for_a_retry, 0},
    {0},
};
