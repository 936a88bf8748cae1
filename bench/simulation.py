"""The simulator: what a task costs it as tasks and workers grow, and how it compares with a run."""

import csv
import random
import statistics

from harness import report

SLOTS = 64
SIZES = (1000, 10000, 100000, 1000000)

GRAPH_TASKS = 500
GRAPH_SLOTS = 4
GRAPH_POLICIES = ("priority", "critical-path", "auto")


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
    """
    A graph of sleeps on four slots, as simulated and as it is run: from the first start to the last
    end. What a busy machine adds to the sleeps themselves is told apart by simulating the graph
    once more with the run times that it turned out to have: the rest is the farm's own.
    """
    graph = sleeps()
    bench.write("sleeps.farm", [line(task, task["time"]) for task in graph])
    for policy in GRAPH_POLICIES:
        simulated = simulated_makespan(bench, policy, "sleeps.farm")
        log = run_graph(bench, policy)
        measured = max(end for _, end in log.values()) - min(start for start, _ in log.values())
        bench.write("ran.farm", [line(task, log[i][1] - log[i][0])
                                 for i, task in enumerate(graph, 1)])
        ran = simulated_makespan(bench, policy, "ran.farm")
        what = f"graph of {len(graph)} sleeps, {policy}"
        report("simulate", f"{what}: run over simulated", measured, "s", simulated,
               measured / simulated, "<= 1.05")
        report("simulate", "  the same with its real run times", measured, "s", ran, measured / ran,
               "<= 1.02")
        report("simulate", "  from an end to the next start, mean", 1e3 * mean_gap(log), "ms")


def sleeps():
    """Each after up to three of the 60 before it; 50 to 500 ms."""
    random.seed(1)
    return [{"time": random.randrange(50, 500) / 1000,
             "after": sorted({random.randint(max(1, i - 60), i - 1)
                              for _ in range(random.randrange(4))} if i > 1 else ())}
            for i in range(1, GRAPH_TASKS + 1)]


def line(task, seconds):
    """A task that sleeps its time, and says that it takes so many seconds."""
    after = f" after={','.join(map(str, task['after']))}" if task["after"] else ""
    return f"[time={max(1, round(1e6 * seconds))}us{after}] sleep {task['time']}"


def simulated_makespan(bench, policy, file):
    table = bench.run(f"mpifarm simulate --workers 1x{GRAPH_SLOTS} --policy {policy} {file}")
    return next(float(row.split()[1]) for row in table.splitlines()
                if row.startswith(f"{policy} "))


def run_graph(bench, policy):
    """When each task started and ended, by its place in the file."""
    bench.run(f"mpifarm run --quiet --force -j {GRAPH_SLOTS} --policy {policy} sleeps.farm")
    with open(bench.path("mpifarm-run/joblog.tsv")) as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    return {int(row["Seq"]): (float(row["Starttime"]),
                              float(row["Starttime"]) + float(row["JobRuntime"])) for row in rows}


def mean_gap(log):
    """The start of a task behind the end that left a slot for it: of the k-th the end k - slots."""
    starts = sorted(start for start, _ in log.values())[GRAPH_SLOTS:]
    ends = sorted(end for _, end in log.values())
    return statistics.mean(start - end for start, end in zip(starts, ends))
