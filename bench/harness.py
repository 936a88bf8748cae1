"""What benchmarks share: a table of figures against bars, and ways to run and watch programs."""

import operator
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROUNDS = 5
N_CORES = len(os.sched_getaffinity(0))
RANKS = (2, 3, 5, 9)

HEAD = ["bench", "what", "value", "unit", "ceiling", "ratio", "bar", "verdict"]
LINE = "{:10} {:48} {:>10} {:10} {:>10} {:>7}  {:8} {}"
COMPARE = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}

rows = []


def verdict(bar, value):
    """Whether a bar such as ">= 0.9" is met; "" for one that is no number."""
    compare, _, limit = bar.partition(" ")
    if not limit or value == "":
        return ""
    return "met" if COMPARE[compare](value, float(limit)) else "missed"


def report(bench, what, value, unit, ceiling="", ratio="", bar=""):
    """One line of the table; value and ceiling are in unit. A bar is for the ratio, if any."""
    row = [bench, what, value, unit, ceiling, ratio, bar,
           verdict(bar, value if ratio == "" else ratio)]
    rows.append([f"{x:.4g}" if isinstance(x, float) else str(x) for x in row])
    print(LINE.format(*rows[-1]).rstrip(), flush=True)


def environment(build):
    env = dict(os.environ, PATH=f"{build}:{os.environ['PATH']}", LC_ALL="C")
    env.update(OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    return env


class Bench:
    """What each benchmark needs: the build, a directory of its own, how to run things there."""

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

    def figures(self, command):
        """Runs a command that prints name=number words; returns them as a dictionary."""
        words = self.run(command).split()
        return {name: float(number) for name, number in (word.split("=") for word in words)}

    def interleaved(self, commands, rounds=ROUNDS):
        """Runs such commands, given by name, in turn; returns what each printed in each round."""
        printed = {name: [] for name in commands}
        for _ in range(rounds):
            for name, command in commands.items():
                printed[name].append(self.figures(command))
        return printed

    def ranks(self, count, program, arguments=""):
        """The command that runs a program of the bench under mpirun."""
        return f"{mpirun(count)} --bind-to none {self.build}/bench/bench_{program} {arguments}"


def mpirun(ranks):
    return f"mpirun --oversubscribe -n {ranks}"


def median(printed, figure="tasks_per_s"):
    return statistics.median(round[figure] for round in printed)


def median_ratio(above, below, figure="tasks_per_s"):
    """The median of the ratios of the rounds, each of which met the same minute of the machine."""
    return statistics.median(a[figure] / b[figure] for a, b in zip(above, below))


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


def rank_of(pid):
    """The rank of a process under mpirun, and of what it forked; 0 without mpirun."""
    with open(f"/proc/{pid}/environ") as file:
        for variable in file.read().split("\0"):
            if variable.startswith("OMPI_COMM_WORLD_RANK="):
                return int(variable.partition("=")[2])
    return 0


def shares_of_core(bench, command, comm, seconds):
    """Runs a command, and after 5 s looks how much of a core each process of that name takes.

    Returns pairs of rank and share.
    """
    process = subprocess.Popen("exec " + command, shell=True, cwd=bench.dir, env=bench.env,
                               stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(5)
    pids = [pid for pid, name in descendants(process.pid) if name == comm]
    before = {pid: cpu_seconds(pid) for pid in pids}
    time.sleep(seconds)
    shares = [(rank_of(pid), (cpu_seconds(pid) - before[pid]) / seconds) for pid in pids]
    if process.wait() != 0 or not shares:
        sys.exit(f"bench: {command}: exit status {process.returncode}, {len(shares)} processes")
    return shares
