"""Function tasks through the library, against bare MPI and other farms."""

import os
import subprocess
import sys

from harness import N_CORES, RANKS, median, median_ratio, mpirun, report, shares_of_core

ONE, SIXTY = "raw 1/message", "raw 60/message"
MODES = {
    "submit": "mode=submit",
    "arrays of 10": "mode=array batch=10",
    "arrays of 1000": "mode=array batch=1000",
    "queue, arrays of 1000": "mode=queue batch=1000",
    "map": "mode=map",
}
BATCHED = "arrays of 1000"
IN_RANK = (BATCHED, "map")


def isolated(name):
    return f"{name}, isolated"


def python_with(module):
    """An interpreter that has a module, or None."""
    for python in (sys.executable, "/usr/bin/python3"):
        if subprocess.run([python, "-c", f"import {module}"], stderr=subprocess.DEVNULL,
                          check=False).returncode == 0:
            return python
    return None


def raw_commands(bench, ranks):
    return {ONE: bench.ranks(ranks, "raw_farm", "tasks=1000000"),
            SIXTY: bench.ranks(ranks, "raw_farm", "tasks=10000000 per_message=60 bytes=64")}


def peer_commands(bench, ranks):
    """Other farms, where they are installed."""
    python = python_with("mpi4py.futures")
    if not python:
        return {}
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "peer_mpi4py.py")
    command = f"{mpirun(ranks)} --bind-to none {python} -m mpi4py.futures {script}"
    return {"mpi4py": f"{command} 5000 1",
            "mpi4py, chunks of 100": f"{command} 100000 100"}


def bench_functions(bench):
    """Null function tasks against bare MPI, which does nothing but to send, receive and count."""
    for ranks in RANKS:
        library = {name: bench.ranks(ranks, "functions", arguments)
                   for name, arguments in MODES.items()}
        for name in IN_RANK:
            library[isolated(name)] = bench.ranks(ranks, "functions", f"{MODES[name]} isolate=1")
        printed = bench.interleaved(raw_commands(bench, ranks) | library |
                                    peer_commands(bench, ranks))
        report_ranks(f"{ranks} ranks", printed)
    functions_starpu(bench)
    functions_busy(bench)


def report_ranks(ranks, printed):
    for name, rounds in printed.items():
        if name not in MODES:
            report("functions", f"{ranks}: {name}", median(rounds), "tasks/s")
            continue
        for raw, bar in ((ONE, ">= 1"), (SIXTY, ">= 0.5")):
            report("functions", f"{ranks}: {name} / {raw}", median(rounds), "tasks/s",
                   median(printed[raw]), median_ratio(rounds, printed[raw]), bar)
    for name in IN_RANK:
        apart = printed[isolated(name)]
        report("functions", f"{ranks}: {name}, isolated / in the rank", median(apart), "tasks/s",
               median(printed[name]), median_ratio(apart, printed[name]), ">= 0.333")
    for name in printed:
        if name.startswith("mpi4py"):
            report("functions", f"{ranks}: {BATCHED} / {name}", median(printed[BATCHED]), "tasks/s",
                   median(printed[name]), median_ratio(printed[BATCHED], printed[name]), "> 1")


def functions_starpu(bench):
    if os.path.exists(f"{bench.build}/bench/bench_peer_starpu"):
        command = f"STARPU_HOME=. STARPU_NCPU={N_CORES} {bench.build}/bench/bench_peer_starpu"
        printed = bench.interleaved({"StarPU": command})
        report("functions", f"StarPU, {N_CORES} threads", median(printed["StarPU"]), "tasks/s")


def functions_busy(bench):
    """Tasks of 1 us on two workers: how much of the workers' time is spent in tasks."""
    short = "tasks=1000000 duration_ns=1000"
    printed = bench.interleaved({
        SIXTY: bench.ranks(3, "raw_farm", f"per_message=60 bytes=64 {short}"),
        **{name: bench.ranks(3, "functions", f"{MODES[name]} {short}")
           for name in IN_RANK}})
    ceiling = median(printed.pop(SIXTY)) * 1e-6 / 2
    report("functions", f"1 us, 2 workers: {SIXTY}", ceiling, "of time")
    for name, rounds in printed.items():
        report("functions", f"1 us, 2 workers: {name}, in functions", median(rounds, "busy_share"),
               "of time", "", "", ">= 0.9")
        share = median(rounds, "task_share")
        report("functions", f"1 us, 2 workers: {name}, as asked for", share, "of time", ceiling,
               share / ceiling)


def bench_payloads(bench):
    """Tasks with inputs of some size, and results of 8 bytes, against one message for each."""
    for ranks in RANKS:
        for name, size in (("0 B", 0), ("64 B", 64), ("1 KiB", 1 << 10), ("64 KiB", 1 << 16),
                           ("1 MiB", 1 << 20)):
            tasks = max(2000, min(500_000, (1 << 30) // max(size, 1)))
            batch = max(1, min(1000, (1 << 20) // max(size, 1)))
            window = max(64, min(100_000, (256 << 20) // max(size, 1)))
            in_flight = 64 if size < 1 << 16 else 4
            printed = bench.interleaved({
                ONE: bench.ranks(ranks, "raw_farm", f"tasks={tasks} bytes={size} "
                                                    f"in_flight={in_flight}"),
                "array": bench.ranks(ranks, "functions", f"mode=array tasks={tasks} input={size} "
                                                         f"batch={batch} window={window}")}, 3)
            report("payloads", f"{ranks} ranks: {name}, arrays of {batch}",
                   median(printed["array"]), "tasks/s", median(printed[ONE]),
                   median_ratio(printed["array"], printed[ONE]))


def bench_latency(bench):
    """From submit to result on an idle farm, in round trips of bare MPI made in turn with it."""
    printed = bench.interleaved({
        "raw": bench.ranks(2, "raw_pingpong"),
        "in the rank": bench.ranks(2, "latency"),
        "isolated": bench.ranks(2, "latency", "isolate=1")})
    trip = median(printed["in the rank"], "raw_us")
    report("latency", "raw round trip", 2 * median(printed["raw"], "half_us"), "us")
    report("latency", "raw round trip, in turn with tasks", trip, "us")
    for name, rounds in printed.items():
        if name == "raw":
            continue
        value = median(rounds, "median_us")
        ratio = median(rounds, "ratio") if "ratio" in rounds[0] else value / trip
        report("latency", f"{name}: median", value, "us", trip, ratio,
               "<= 3" if name == "in the rank" else "")
        p99 = median(rounds, "p99_us")
        report("latency", f"{name}: 99th percentile", p99, "us", trip, p99 / trip)


def bench_streams(bench):
    """Large inputs and results, against bare MPI from and into memory that is in use already."""
    printed = bench.interleaved({
        "in the rank": bench.ranks(2, "streams"),
        "isolated": bench.ranks(2, "streams", "isolate=1")}, 3)
    raw = median(printed["in the rank"], "raw_gbs")
    report("streams", "raw", raw, "GB/s")
    for name, rounds in printed.items():
        for way in ("input", "result"):
            value = median(rounds, f"{way}_gbs")
            ratio = median(rounds, f"{way}_ratio") if f"{way}_ratio" in rounds[0] else value / raw
            report("streams", f"{name}: {way} of 256 MiB", value, "GB/s", raw, ratio)


def bench_balance(bench):
    """Heavy-tailed run times: makespan against max(longest, total / slots).

    The greedy makespan is that of workers which take the next task at once, and lose no time.
    """
    commands = {
        "3 ranks, 0.1 to 250 ms": bench.ranks(3, "balance"),
        "3 ranks, 1 us to 20 ms":
            bench.ranks(3, "balance", "tasks=500000 shortest_us=1 longest_us=20000"),
        "3 ranks, 0.1 to 250 ms, isolated": bench.ranks(3, "balance", "isolate=1"),
        "9 ranks, 1 to 100 ms of sleep":
            bench.ranks(9, "balance", "sleep=1 tasks=3000 shortest_us=1000 longest_us=100000"),
    }
    for name, rounds in bench.interleaved(commands, 3).items():
        bound = median(rounds, "bound_s")
        report("balance", f"{name}: greedy", median(rounds, "greedy_s"), "s", bound,
               median(rounds, "greedy_s") / bound)
        report("balance", f"{name}: makespan", median(rounds, "makespan_s"), "s", bound,
               median(rounds, "makespan_s") / bound, "<= 1.05")


def bench_memory(bench):
    """Rank 0's memory for a queued null task, and for one that is finished and released."""
    figures = bench.figures(bench.ranks(2, "memory"))
    report("memory", "a queued task", figures["queued_bytes"], "bytes", "", "", "<= 128")
    report("memory", "a finished task", figures["finished_bytes"], "bytes", "", "", "<= 0.1")
    for options in ("priority", "attempts", "limit", "rank", "callback", "all"):
        figures = bench.figures(bench.ranks(2, "memory", f"rounds=2 options={options}"))
        report("memory", f"a queued task, {options}", figures["queued_bytes"], "bytes", "", "",
               "<= 128")


def bench_waiting(bench):
    """Processor time of the ranks of a program on the library that has nothing to do."""
    for name, arguments in (("event loop", "mode=idle"), ("waiting for a task", "mode=task"),
                            ("event loop, isolated", "mode=idle isolate=1")):
        shares = shares_of_core(bench, bench.ranks(3, "waiting", f"seconds=12 {arguments}"),
                                "bench_waiting", 5)
        for who, is_meant in (("client", lambda rank: rank == 0),
                              ("busiest worker", lambda rank: rank > 0)):
            report("waiting", f"{name}: {who}",
                   100 * max(share for rank, share in shares if is_meant(rank)), "% of core",
                   "", "", "<= 3")
