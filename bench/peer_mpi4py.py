"""Null tasks a second through mpi4py.futures, with results in any order.

    mpirun -n R python3 -m mpi4py.futures peer_mpi4py.py TASKS CHUNK
"""

import sys
import time

from mpi4py.futures import MPIPoolExecutor


def null(number):
    return number


def main(tasks, chunk):
    with MPIPoolExecutor() as pool:
        sum(pool.map(null, range(1000), chunksize=chunk, unordered=True))
        began = time.monotonic()
        total = sum(pool.map(null, range(tasks), chunksize=chunk, unordered=True))
        seconds = time.monotonic() - began
    if total != tasks * (tasks - 1) // 2:
        sys.exit("peer_mpi4py: results are missing, or wrong")
    print(f"tasks_per_s={tasks / seconds:.0f}")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
