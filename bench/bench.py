#!/usr/bin/env python3
"""Benchmarks of mpifarm. Every figure is a ratio against a ceiling measured in the same run.

    bench.py BUILD_DIR [NAME...]     names: commands mpi scale idle balance functions payloads
                                     streams latency memory waiting simulate survival chaos slurm;
                                     default: all of these
                                     and slurm-chain, which takes some ten minutes

Rounds of all competitors are interleaved, so that a busy minute of the machine
hits all of them; a figure is the median of the rounds. Writes a table to
standard output, and bench.csv into BUILD_DIR.
"""

import csv
import os
import sys

sys.dont_write_bytecode = True

import chaos  # noqa: E402
import commands  # noqa: E402
import functions  # noqa: E402
import harness  # noqa: E402
import simulation  # noqa: E402
import slurm  # noqa: E402
import survival  # noqa: E402


def bench_balance(bench):
    commands.bench_balance(bench)
    functions.bench_balance(bench)


BENCHES = {
    "commands": commands.bench_commands,
    "mpi": commands.bench_mpi,
    "scale": commands.bench_scale,
    "idle": commands.bench_idle,
    "balance": bench_balance,
    "functions": functions.bench_functions,
    "payloads": functions.bench_payloads,
    "streams": functions.bench_streams,
    "latency": functions.bench_latency,
    "memory": functions.bench_memory,
    "waiting": functions.bench_waiting,
    "simulate": simulation.bench_simulate,
    "survival": survival.bench_survival,
    "chaos": chaos.bench_chaos,
    "slurm": slurm.bench_slurm,
}
LONG = {"slurm-chain": slurm.bench_chain}


def main(build, names):
    known = {**BENCHES, **LONG}
    unknown = [name for name in names if name not in known]
    if unknown:
        sys.exit(f"bench: unknown benchmark {unknown[0]}; there are {' '.join(known)}")
    bench = harness.Bench(os.path.abspath(build))
    print(harness.LINE.format(*harness.HEAD))
    try:
        for name in names or BENCHES:
            known[name](bench)
    finally:
        bench.close()
    with open(os.path.join(build, "bench.csv"), "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(harness.HEAD)
        writer.writerows(harness.rows)
    print(f"written to {os.path.join(build, 'bench.csv')}")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2:])
