/*
 * Large inputs and results: bytes a second to a function, and from it.
 *
 *     mpirun -n 2 bench_streams [mib=256] [rounds=8] [isolate=0|1]
 *
 * Prints input_gbs and result_gbs, in 1e9 bytes a second from submit to result, medians of rounds.
 * Where functions run in the rank, also raw_gbs, bare MPI that sends as many bytes there or back
 * from and into memory that is in use already, in pieces of 1 MiB, with 4 in flight; these take
 * turns with the tasks, and input_ratio and result_ratio are medians of the ratios of a round.
 */
#include "client.h"
#include "measure.h"

#include "base/clock.h"

#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PIECE_BYTES ((size_t)1 << 20)
#define N_IN_FLIGHT 4

static int64_t n_mib = 256, n_rounds = 8, isolate;
static MPI_Comm raw_comm = MPI_COMM_NULL;
static uint8_t *bytes; /* n_mib of them, which were touched */

static size_t n_bytes(void)
{
    return (size_t)n_mib * PIECE_BYTES;
}

static uint8_t *make_bytes(void)
{
    return memset(mf_client_allocate(n_bytes(), 1), 1, n_bytes());
}

static void start_piece(bool sends, int peer, int64_t number, MPI_Request *piece)
{
    uint8_t *place = bytes + (size_t)number * PIECE_BYTES;

    if (sends)
        MPI_Isend(place, (int)PIECE_BYTES, MPI_BYTE, peer, 0, raw_comm, piece);
    else
        MPI_Irecv(place, (int)PIECE_BYTES, MPI_BYTE, peer, 0, raw_comm, piece);
}

/* All of it to the other one of ranks 0 and 1, or from there. */
static void stream(bool sends, int peer)
{
    MPI_Request pieces[N_IN_FLIGHT];

    for (int i = 0; i < N_IN_FLIGHT; i++)
        pieces[i] = MPI_REQUEST_NULL;
    for (int64_t i = 0; i < n_mib; i++) {
        MPI_Wait(&pieces[i % N_IN_FLIGHT], MPI_STATUS_IGNORE);
        start_piece(sends, peer, i, &pieces[i % N_IN_FLIGHT]);
    }
    MPI_Waitall(N_IN_FLIGHT, pieces, MPI_STATUSES_IGNORE);
}

/* Both ways; on rank 0 in s for one. */
static double make_streams(bool is_client)
{
    int peer = is_client ? 1 : 0;
    int64_t begin_ns;

    if (raw_comm == MPI_COMM_NULL)
        MPI_Comm_dup(MPI_COMM_WORLD, &raw_comm);
    MPI_Barrier(raw_comm);
    begin_ns = mf_clock_monotonic_ns();
    stream(is_client, peer);
    stream(!is_client, peer);
    return (double)(mf_clock_monotonic_ns() - begin_ns) / MF_NS_PER_S / 2;
}

enum order { RAW, GIVE_RESULT };

/* Does what an order says, or has seen to it that a large input is there. */
static int bench_function(struct mpifarm_context *context, void *user)
{
    size_t size;
    const uint8_t *input = mpifarm_input(context, &size);

    if (!bytes)
        bytes = make_bytes();
    if (size > 1)
        return input[0] + input[size - 1] == 2 ? 0 : mpifarm_fail(context, 1, "other bytes came");
    if (input[0] == RAW)
        make_streams(false);
    return input[0] == RAW ? 0 : mpifarm_write(context, bytes, n_bytes());
}

/* One task, there and back; in s. */
static double time_task(struct mpifarm *farm, int function, const void *input, size_t size,
                        size_t expected)
{
    struct mpifarm_result result;
    mpifarm_future future;
    int64_t begin_ns = mf_clock_monotonic_ns(), spent_ns;

    mf_client_check(farm, "mpifarm_submit",
                    mpifarm_submit(farm, function, input, size, NULL, &future));
    mf_client_check(farm, "mpifarm_wait", mpifarm_wait(farm, future, MPIFARM_FOREVER));
    mf_client_check(farm, "mpifarm_result", mpifarm_result(farm, future, &result));
    spent_ns = mf_clock_monotonic_ns() - begin_ns;
    if (result.status != MPIFARM_DONE || result.size != expected)
        mf_client_fail("a task has another result");
    mf_client_check(farm, "mpifarm_release", mpifarm_release(farm, future));
    return (double)spent_ns / MF_NS_PER_S;
}

/* Bare MPI, with the worker in a task meanwhile; in s for one way. */
static double time_raw(struct mpifarm *farm, int function)
{
    const uint8_t order = RAW;
    mpifarm_future future;
    double spent_s;

    mf_client_check(farm, "mpifarm_submit",
                    mpifarm_submit(farm, function, &order, 1, NULL, &future));
    mf_client_check(farm, "mpifarm_progress", mpifarm_progress(farm, NULL));
    spent_s = make_streams(true);
    mf_client_check(farm, "mpifarm_wait", mpifarm_wait(farm, future, MPIFARM_FOREVER));
    mf_client_check(farm, "mpifarm_release", mpifarm_release(farm, future));
    return spent_s;
}

static void print_rate(const char *name, double *times_s, size_t n)
{
    printf("%s=%.3f ", name, (double)n_bytes() / 1e9 / mf_measure_percentile(times_s, n, 0.5));
}

static void client(struct mpifarm *farm, int function)
{
    const uint8_t order = GIVE_RESULT;
    size_t n = (size_t)n_rounds;
    double *raw_s = mf_client_allocate(n, sizeof(*raw_s));
    double *input_s = mf_client_allocate(n, sizeof(*input_s));
    double *result_s = mf_client_allocate(n, sizeof(*result_s));
    double *input_ratio = mf_client_allocate(n, sizeof(*input_ratio));
    double *result_ratio = mf_client_allocate(n, sizeof(*result_ratio));

    if (mpifarm_size(farm) != 2)
        mf_client_fail("two ranks are needed");
    bytes = make_bytes();
    for (size_t i = 0; i <= n; i++) {
        size_t k = i > 0 ? i - 1 : 0; /* the first round is to get warm */

        raw_s[k] = isolate ? 1 : time_raw(farm, function);
        input_s[k] = time_task(farm, function, bytes, n_bytes(), 0);
        result_s[k] = time_task(farm, function, &order, 1, n_bytes());
        input_ratio[k] = raw_s[k] / input_s[k];
        result_ratio[k] = raw_s[k] / result_s[k];
    }
    print_rate("input_gbs", input_s, n);
    print_rate("result_gbs", result_s, n);
    if (!isolate) {
        print_rate("raw_gbs", raw_s, n);
        printf("input_ratio=%.3f result_ratio=%.3f", mf_measure_percentile(input_ratio, n, 0.5),
               mf_measure_percentile(result_ratio, n, 0.5));
    }
    printf("\n");
    free(result_ratio);
    free(input_ratio);
    free(result_s);
    free(input_s);
    free(raw_s);
}

int main(int argc, char **argv)
{
    const struct mf_measure_setting settings[] = {
        {"mib", &n_mib, NULL}, {"rounds", &n_rounds, NULL}, {"isolate", &isolate, NULL}, {0}};
    struct mpifarm_options options = {0};
    int status;

    mf_measure_settings(argc, argv, settings);
    if (n_mib < 1 || n_rounds < 1)
        mf_client_fail("at least one MiB and one round are needed");
    options.isolation = isolate ? MPIFARM_ISOLATION_ON : MPIFARM_ISOLATION_OFF;
    status = mf_client_run(&options, bench_function, client);
    free(bytes);
    return status;
}
