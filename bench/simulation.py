"""The simulator: what a task costs it as tasks and workers grow, and how it compares with a run."""

import csv
import random
import statistics

from harness import ROUNDS, report

SLOTS = 64
SIZES = (1000, 10000, 100000, 1000000)


def bench_simulate(bench):
    """Null work of a second in 64 slots a worker: 100 tasks a worker, then a million on fewer."""
    for tasks in SIZES:
        one_size(bench, tasks, tasks // 100)
    for workers in (10, 100, 1000):
        one_size(bench, SIZES[-1], workers)
    against_run(bench)


def one_size(bench, tasks, workers):
    rounds = [bench.figures(f"{bench.build}/bench/bench_simulate {tasks} {workers} {SLOTS}")
              for _ in range(3)]
    seconds = statistics.median(figures["cpu"] for figures in rounds)
    is_largest = tasks == SIZES[-1] and workers == 10000
    what = f"{tasks} tasks, {workers} workers x {SLOTS}"
    report("simulate", what, seconds, "s", "", "", "< 30" if is_largest else "")
    report("simulate", what, 1e6 * seconds / tasks, "us/task")
    if is_largest:
        report("simulate", what, rounds[0]["mib"], "MiB", "", "", "< 1024")


def against_run(bench):
    """Sleeps on four slots, as simulated and as they are run: from the first start to the last end."""
    random.seed(1)
    times = [random.randrange(50, 500) for _ in range(200)]
    bench.write("sleeps.farm", [f"[time={ms}ms] sleep {ms / 1000}" for ms in times])
    table = bench.run("mpifarm simulate --workers 1x4 --policy priority sleeps.farm")
    simulated = next(float(line.split()[1]) for line in table.splitlines()
                     if line.startswith("priority "))
    measured = statistics.median(run_makespan(bench) for _ in range(ROUNDS))
    report("simulate", "200 sleeps on 4 slots, run over simulated", measured, "s", simulated,
           measured / simulated, "<= 1.05")


def run_makespan(bench):
    bench.run("mpifarm run --quiet --force -j 4 sleeps.farm")
    with open(bench.path("mpifarm-run/joblog.tsv")) as file:
        lines = list(csv.DictReader(file, delimiter="\t"))
    starts = [float(line["Starttime"]) for line in lines]
    ends = [float(line["Starttime"]) + float(line["JobRuntime"]) for line in lines]
    return max(ends) - min(starts)
