/* Round trips in bare MPI; see round_trips.h. */
#include "round_trips.h"

#include "base/clock.h"

double mf_round_trips(MPI_Comm comm, void *message, int bytes, int n)
{
    int64_t begin_ns = mf_clock_monotonic_ns();
    int rank;

    MPI_Comm_rank(comm, &rank);
    for (int i = 0; i < n; i++) {
        if (rank == 0)
            MPI_Send(message, bytes, MPI_BYTE, 1, 0, comm);
        MPI_Recv(message, bytes, MPI_BYTE, 1 - rank, 0, comm, MPI_STATUS_IGNORE);
        if (rank == 1)
            MPI_Send(message, bytes, MPI_BYTE, 0, 0, comm);
    }
    return (double)(mf_clock_monotonic_ns() - begin_ns) / n / MF_NS_PER_US;
}
