#!/usr/bin/env python3
"""Benchmarks of mpifarm. Every figure is a ratio against a ceiling measured in the same run.

    bench.py BUILD_DIR [NAME...]     names: commands mpi scale idle balance; default: all

Rounds of all competitors are interleaved, so that a busy minute of the machine
hits all of them; a figure is the median of the rounds. Writes a table to
standard output, and bench.csv into BUILD_DIR.
"""

import csv
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROUNDS = 5
N_CORES = len(os.sched_getaffinity(0))

rows = []


def report(bench, what, value, unit, ceiling="", ratio="", bar=""):
    """One line of the table; value and ceiling are in unit."""
    row = [bench, what, value, unit, ceiling, ratio, bar]
    rows.append([f"{x:.4g}" if isinstance(x, float) else str(x) for x in row])
    print("{:10} {:38} {:>10} {:10} {:>10} {:>7}  {}".format(*rows[-1]), flush=True)


def environment(build):
    env = dict(os.environ, PATH=f"{build}:{os.environ['PATH']}", LC_ALL="C")
    env.update(OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    return env


class Bench:
    """What every benchmark needs: the build, a directory of its own, and how to run things there."""

    def __init__(self, build):
        self.build = build
        self.env = environment(build)
        self.dir = tempfile.mkdtemp(prefix="mpifarm-bench.")

    def close(self):
        shutil.rmtree(self.dir)

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, lines):
        with open(self.path(name), "w") as file:
            file.writelines(line + "\n" for line in lines)
        return self.path(name)

    def run(self, command):
        """Runs a shell command to its end; returns its standard output."""
        done = subprocess.run(command, shell=True, cwd=self.dir, env=self.env, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE)
        if done.returncode != 0:
            sys.exit(f"bench: {command}: exit status {done.returncode}\n{done.stderr}")
        return done.stdout

    def seconds(self, command):
        began = time.monotonic()
        self.run(command)
        return time.monotonic() - began


def mpirun(ranks):
    return f"mpirun --oversubscribe -n {ranks}"


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
    for ranks in (2, 3, 5, 9):
        ratios, rates, ceilings = [], [], []
        for _ in range(ROUNDS):
            ceilings.append(float(bench.run(f"{bench.build}/bench/bench_spawn {count} {N_CORES}")))
            began = bench.seconds(f"{mpirun(ranks)} true")
            rates.append(count / (bench.seconds(
                f"{mpirun(ranks)} --bind-to none mpifarm run --force true.txt") - began))
            ratios.append(rates[-1] / ceilings[-1])
        report("mpi", f"mpirun -n {ranks} mpifarm run", statistics.median(rates), "tasks/s",
               statistics.median(ceilings), statistics.median(ratios))


def watch(command, bench, sample):
    """Runs a command, calling sample(pid) every 20 ms; returns its run time in seconds."""
    began = time.monotonic()
    process = subprocess.Popen(command, shell=True, cwd=bench.dir, env=bench.env,
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    while process.poll() is None:
        sample(process.pid)
        time.sleep(0.02)
    if process.returncode != 0:
        sys.exit(f"bench: {command}: exit status {process.returncode}")
    return time.monotonic() - began


def status_kib(pid, key):
    try:
        with open(f"/proc/{pid}/status") as file:
            for line in file:
                if line.startswith(key):
                    return int(line.split()[1])
    except OSError:
        pass
    return 0


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


def descendants(pid):
    """pid and the processes below it, with their command names."""
    found, waiting = [], [pid]
    while waiting:
        pid = waiting.pop()
        try:
            with open(f"/proc/{pid}/comm") as file:
                found.append((pid, file.read().strip()))
            with open(f"/proc/{pid}/task/{pid}/children") as file:
                waiting += [int(child) for child in file.read().split()]
        except OSError:
            pass
    return found


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def bench_idle(bench):
    """Processor time of each rank while every slot sleeps."""
    bench.write("sleep.txt", ["sleep 30"] * N_CORES)
    for name, command in (("no launcher", "mpifarm run --force -q sleep.txt"),
                          ("mpirun -n 3", f"{mpirun(3)} --bind-to none mpifarm run --force -q "
                                          "sleep.txt")):
        process = subprocess.Popen("exec " + command, shell=True, cwd=bench.dir, env=bench.env,
                                   stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(5)
        ranks = [pid for pid, comm in descendants(process.pid) if comm == "mpifarm"]
        before = {pid: cpu_seconds(pid) for pid in ranks}
        time.sleep(20)
        shares = [(cpu_seconds(pid) - before[pid]) / 20 for pid in ranks]
        process.wait()
        report("idle", f"{name}: busiest of {len(ranks)} processes", 100 * max(shares),
               "% of core", "", "", "<= 3")


def bench_balance(bench):
    """Heavy-tailed run times on two slots: makespan against max(longest, total / slots)."""
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


BENCHES = {"commands": bench_commands, "mpi": bench_mpi, "scale": bench_scale, "idle": bench_idle,
           "balance": bench_balance}


def main(build, names):
    unknown = [name for name in names if name not in BENCHES]
    if unknown:
        sys.exit(f"bench: unknown benchmark {unknown[0]}; there are {' '.join(BENCHES)}")
    bench = Bench(os.path.abspath(build))
    print("{:10} {:38} {:>10} {:10} {:>10} {:>7}  {}".format(
        "bench", "what", "value", "unit", "ceiling", "ratio", "bar"))
    try:
        for name in names or BENCHES:
            BENCHES[name](bench)
    finally:
        bench.close()
    with open(os.path.join(build, "bench.csv"), "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["bench", "what", "value", "unit", "ceiling", "ratio", "bar"])
        writer.writerows(rows)
    print(f"written to {os.path.join(build, 'bench.csv')}")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2:])
