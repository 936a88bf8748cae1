/*
 * The ceiling for latency: one message goes to and fro between ranks 0 and 1,
 * in blocking calls, which spin. Further ranks only wait for the end.
 *
 *     mpirun -n 2 bench_raw_pingpong [bytes=8] [rounds=20000]
 *
 * Prints half a round trip in us: the median over batches of a hundred.
 */
#include "measure.h"
#include "round_trips.h"

#include <stdio.h>
#include <stdlib.h>

#define BATCH 100

int main(int argc, char **argv)
{
    int64_t bytes = 8, rounds = 20000;
    const struct mf_measure_setting settings[] = {{"bytes", &bytes}, {"rounds", &rounds}, {0}};
    size_t n_batches;
    double *trip_us;
    char *message;
    int rank, size;

    mf_measure_settings(argc, argv, settings);
    n_batches = (size_t)(rounds / BATCH) + 1;
    message = calloc((size_t)bytes + 1, 1);
    trip_us = calloc(n_batches, sizeof(*trip_us));
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    if (!message || !trip_us || size < 2)
        MPI_Abort(MPI_COMM_WORLD, 1);

    if (rank < 2) {
        for (int i = 0; i < 10; i++)
            mf_round_trips(MPI_COMM_WORLD, message, (int)bytes, BATCH);
        for (size_t i = 0; i < n_batches; i++)
            trip_us[i] = mf_round_trips(MPI_COMM_WORLD, message, (int)bytes, BATCH);
    }
    if (rank == 0)
        printf("half_us=%.3f\n", mf_measure_percentile(trip_us, n_batches, 0.5) / 2);
    MPI_Finalize();
    free(trip_us);
    free(message);
    return 0;
}
