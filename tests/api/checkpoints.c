/* Checkpoints that are large, or more than rank 0 takes in. */
#include "t_api.h"

#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)

#define SAVED_BYTES (4 * MIB + 5)
#define N_SAVED 100

/* A number of a process in /proc/PID/status, in bytes if it is a size; 0 if there is none. */
static long find_number(int pid, const char *name)
{
    char path[64], line[256];
    long number = 0;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/status", pid);
    file = fopen(path, "r");
    while (file && fgets(line, sizeof(line), file))
        if (strncmp(line, name, strlen(name)) == 0)
            number = strtol(line + strlen(name), NULL, 10);
    if (file)
        fclose(file);
    return number;
}

/* What the rank has in memory: an executor is a child of a child of it. */
static size_t rank_bytes(void)
{
    const char *variable = getenv("MPIFARM_ISOLATE");
    bool is_isolated = variable && strcmp(variable, "1") == 0;
    int pid = is_isolated ? (int)find_number(getppid(), "PPid:") : getpid();

    return (size_t)find_number(pid, "VmRSS:") * 1024;
}

static void await_file(const char *path)
{
    const struct timespec nap = {.tv_nsec = 200000};

    while (!t_is_file(path))
        nanosleep(&nap, NULL);
}

/* Whether what the attempt before this one saved last is there. */
static bool has_last(const struct mpifarm_context *context)
{
    size_t size;
    const uint8_t *restored = mpifarm_restored(context, &size);
    uint8_t *expected = malloc(SAVED_BYTES);
    bool is_same;

    if (!expected)
        return false;
    t_pattern(expected, SAVED_BYTES, N_SAVED - 1);
    is_same = size == SAVED_BYTES && memcmp(restored, expected, size) == 0;
    free(expected);
    return is_same;
}

/* Saves again and again. Returns how much more memory the rank had at the most. */
static size_t save_often(struct mpifarm_context *context)
{
    uint8_t *bytes = malloc(SAVED_BYTES);
    size_t before, now, most = 0;

    memset(bytes, 1, SAVED_BYTES);
    before = rank_bytes();
    for (uint32_t i = 0; i < N_SAVED; i++) {
        t_pattern(bytes, SAVED_BYTES, i);
        mpifarm_checkpoint(context, bytes, SAVED_BYTES);
        now = rank_bytes();
        if (now > before && now - before > most)
            most = now - before;
    }
    free(bytes);
    return most;
}

int t_flood(struct mpifarm_context *context, void *arg)
{
    char path[300];
    size_t size;
    const char *input = mpifarm_input(context, &size);
    size_t most;

    if (mpifarm_task_attempt(context) > 1)
        return has_last(context) ? 0 : 2;
    snprintf(path, sizeof(path), "%.*s.started", (int)size, input);
    t_make_file(path);
    snprintf(path, sizeof(path), "%.*s.away", (int)size, input);
    await_file(path);
    most = save_often(context);
    snprintf(path, sizeof(path), "%.*s.much", (int)size, input);
#ifndef __SANITIZE_ADDRESS__
    if (most > 64 * MIB)
        t_make_file(path);
#endif
    snprintf(path, sizeof(path), "%.*s", (int)size, input);
    t_make_file(path);
    return 1;
}

static void what_rank_0_does_not_take_in_needs_no_memory(struct t_run *t)
{
    const char *path = t_path(t, "flood");
    char started[160], away[160], much[160];
    mpifarm_future future = t_submit(t, T_FLOOD, path, strlen(path), .max_attempts = 2);

    snprintf(started, sizeof(started), "%s.started", path);
    snprintf(away, sizeof(away), "%s.away", path);
    snprintf(much, sizeof(much), "%s.much", path);
    t_await_file(t, started);
    t_make_file(away);
    /* No call of the library until all was saved: nor does the function wait for one, unless this
     * is the rank that it runs on. */
    if (t->size > 1)
        await_file(path);
    t_await_file(t, path);
    t_done(t, future, 0);
    T_EQ(t_await(t, future).attempts, 2);
    T_CHECK(!t_is_file(much));
    T_EQ(unlink(started) | unlink(away) | unlink(path), 0);
    t_release(t, future);
}

/* Larger than what is on its way at a time, and another one on top of it. */
static void large_ones_come_whole(struct t_run *t)
{
    const struct t_saving how = {.size = 11 * MIB, .n = 2, .last = 2};
    mpifarm_future future = t_submit(t, T_SAVE, &how, sizeof(how), .max_attempts = 2);
    const uint8_t *saved = t_done(t, future, 4 * (size_t)how.size);
    uint8_t *expected = malloc(how.size);

    T_CHECK(expected != NULL);
    for (uint32_t part = 0; part < 4; part++) {
        t_pattern(expected, how.size, (1 + part / 2) * 100 + part % 2);
        T_CHECK(memcmp(saved + (size_t)part * how.size, expected, how.size) == 0);
    }
    free(expected);
    t_release(t, future);
}

const struct t_scenario t_checkpoints[] = {
    {"checkpoints that rank 0 does not take in need no memory",
     what_rank_0_does_not_take_in_needs_no_memory, T_NEEDS_CONCURRENCY},
    {"large checkpoints come whole", large_ones_come_whole, 0},
    {0},
};
