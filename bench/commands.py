"""Commands in the farm, over MPI and without it, against bare loops and other tools."""

import os
import random
import shutil
import statistics
import time

from harness import (N_CORES, RANKS, ROUNDS, mpirun, report, shares_of_core, status_kib, watch)


def bench_commands(bench):
    """Starting /bin/true: the bare loop of vfork and exec is the ceiling."""
    count = 10000
    bench.write("true.txt", ["/bin/true"] * count)
    bench.write("Makefile", [f"all: {' '.join(f't{i}' for i in range(count))}"] +
                [f"t{i}:;@/bin/true" for i in range(count)])
    n = N_CORES
    competitors = {
        "mpifarm run": f"mpifarm run --force --bar -j {n} true.txt",
        f"xargs -P{n}": f"xargs -P{n} -n1 -a true.txt /bin/true",
        f"make -j{n}": f"make -s -j{n} all",
    }
    if shutil.which("parallel"):
        competitors[f"parallel -j{n}"] = f"parallel -j{n} < few.txt"
        bench.write("few.txt", ["/bin/true"] * (count // 20))
    rates = {name: [] for name in ["bare loop", *competitors]}
    for _ in range(ROUNDS):
        rates["bare loop"].append(float(bench.run(f"{bench.build}/bench/bench_spawn {count} {n}")))
        for name, command in competitors.items():
            tasks = count // 20 if name.startswith("parallel") else count
            rates[name].append(tasks / bench.seconds(command))
    ceiling = statistics.median(rates["bare loop"])
    report("commands", "bare loop", ceiling, "tasks/s")
    for name in competitors:
        rate = statistics.median(rates[name])
        ratios = [a / b for a, b in zip(rates[name], rates["bare loop"])]
        report("commands", name, rate, "tasks/s", ceiling, statistics.median(ratios),
               ">= 0.95" if name == "mpifarm run" else "")
    farm = statistics.median(rates["mpifarm run"])
    for name in competitors:
        if name != "mpifarm run":
            report("commands", f"mpifarm run over {name}", farm / statistics.median(rates[name]),
                   "times", "", "", ">= 8" if name.startswith("parallel") else "> 1")


def bench_mpi(bench):
    """The same over MPI: one scheduler, the workers share the cores of this machine."""
    count = 4000
    bench.write("true.txt", ["/bin/true"] * count)
    for ranks in RANKS:
        ratios, rates, ceilings = [], [], []
        for _ in range(ROUNDS):
            ceilings.append(float(bench.run(f"{bench.build}/bench/bench_spawn {count} {N_CORES}")))
            began = bench.seconds(f"{mpirun(ranks)} true")
            rates.append(count / (bench.seconds(
                f"{mpirun(ranks)} --bind-to none mpifarm run --force true.txt") - began))
            ratios.append(rates[-1] / ceilings[-1])
        report("mpi", f"mpirun -n {ranks} mpifarm run", statistics.median(rates), "tasks/s",
               statistics.median(ceilings), statistics.median(ratios))


def bench_scale(bench):
    """Long lists: time to the first task, memory of rank 0, and cost per task."""
    costs = {}
    for count in (10_000, 100_000, 1_000_000):
        lines = ["/bin/true"] * count
        lines[0] = "touch first"
        bench.write("long.txt", lines)
        first, rss = [], [0]
        began = time.time()

        def sample(pid):
            rss[0] = max(rss[0], status_kib(pid, "VmHWM:"))
            if not first and os.path.exists(bench.path("first")):
                first.append(os.stat(bench.path("first")).st_mtime - began)

        seconds = watch("exec mpifarm run --force -q long.txt", bench, sample)
        os.unlink(bench.path("first"))
        rate = float(bench.run(f"{bench.build}/bench/bench_spawn 4000 {N_CORES}"))
        costs[count] = seconds / count * rate
        report("scale", f"{count} lines: first task after", first[0], "s", "", "",
               "<= 1" if count == 1_000_000 else "")
        report("scale", f"{count} lines: memory of rank 0", rss[0] / 1024, "MiB", "", "",
               "< 150" if count == 1_000_000 else "")
        report("scale", f"{count} lines: time per task", seconds / count * 1e6, "us",
               1e6 / rate, seconds / count * rate)
    report("scale", "cost at 1,000,000 over that at 10,000", costs[1_000_000] / costs[10_000],
           "times", "", "", "flat")


def bench_idle(bench):
    """Processor time of each rank while every slot sleeps."""
    bench.write("sleep.txt", ["sleep 30"] * N_CORES)
    for name, command in (("no launcher", "mpifarm run --force -q sleep.txt"),
                          ("mpirun -n 3", f"{mpirun(3)} --bind-to none mpifarm run --force -q "
                                          "sleep.txt")):
        shares = shares_of_core(bench, command, "mpifarm", 20)
        report("idle", f"{name}: busiest of {len(shares)} processes",
               100 * max(share for _, share in shares), "% of core", "", "", "<= 3")


def bench_balance(bench):
    """Heavy-tailed run times: makespan against max(longest, total / slots)."""
    draw = random.Random(1)
    seconds = [min(4.0, 0.05 * draw.paretovariate(1.1)) for _ in range(200)]
    bench.write("tail.txt", [f"sleep {s:.4f}" for s in seconds])
    bound = max(max(seconds), sum(seconds) / 2)
    for name, command in (("no launcher", "mpifarm run --force -q -j 2 tail.txt"),
                          ("mpirun -n 3", f"{mpirun(3)} --bind-to none mpifarm run --force -q -j 2 "
                                          "tail.txt")):
        start = bench.seconds(f"{mpirun(3)} true") if name.startswith("mpirun") else 0
        ratios = [(bench.seconds(command) - start) / bound for _ in range(3)]
        ratio = statistics.median(ratios)
        report("balance", f"{name}: makespan", ratio * bound, "s", bound, ratio, "<= 1.05")
