"""Runs in jobs of a Slurm of its own: 4 nodes of 4 CPUs on this machine, as tests/slurm has them."""

import os
import shutil
import statistics

from harness import ROUNDS, report

N_NODES, N_CPUS = 4, 4
N_SLOTS = N_NODES * N_CPUS
CLUSTER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "slurm", "cluster")

# Says when MPI is up, on each rank.
HELLO = r"""
#include <mpi.h>
#include <stdio.h>
#include <time.h>
int main(int argc, char **argv)
{
    struct timespec now;
    MPI_Init(&argc, &argv);
    clock_gettime(CLOCK_REALTIME, &now);
    printf("%ld.%09ld\n", (long)now.tv_sec, now.tv_nsec);
    return MPI_Finalize();
}
"""

JOB = f"#!/bin/bash\n#SBATCH -N {N_NODES} --ntasks-per-node=1 --exclusive --no-kill -o job.out\n"

WAIT = """
await() { until "$@"; do sleep 0.05; done; }
is_idle() { [ -z "$(squeue -h)" ]; }
"""


def in_cluster(bench, script):
    bench.write("script", [WAIT, script])
    return bench.run(f"{CLUSTER} with {N_NODES} {N_CPUS} bash script")


def in_job(bench, commands):
    """Runs commands in a batch job of all nodes; returns what they printed."""
    bench.write("job", [JOB, commands])
    in_cluster(bench, "sbatch job > /dev/null; await is_idle")
    with open(bench.path("job.out")) as file:
        return file.read()


def is_possible():
    return all(shutil.which(tool) for tool in ("slurmctld", "munged", "mpicc")) and os.geteuid() == 0


def figures(text, name):
    """The numbers of lines "NAME NUMBER"."""
    return [float(line.split()[1]) for line in text.splitlines() if line.startswith(name + " ")]


def bench_start(bench):
    """From a command in the job to its first effect: the farm's first task, a rank's first line."""
    bench.write("hello.c", [HELLO])
    bench.run("mpicc -o hello hello.c")
    bench.write("first.txt", ["date +%s.%N"] * N_SLOTS)
    text = in_job(bench, f"""
first() {{ printf '%s ' $1; sort -n | head -n 1 | awk -v t=$began '{{ print $1 - t }}'; }}
for i in $(seq {ROUNDS}); do
    began=$(date +%s.%N); srun --mpi=pmix ./hello 2> /dev/null | first hello
    began=$(date +%s.%N); mpifarm run --force -q first.txt 2> /dev/null | first farm
done""")
    hello, farm = (statistics.median(figures(text, name)) for name in ("hello", "farm"))
    report("slurm", "a bare srun --mpi=pmix hello", hello, "s")
    report("slurm", "the first task, beyond that", farm - hello, "s", "", "", "<= 1")


def bench_rate(bench):
    """Null tasks in one farm, and with one srun for each, as many at once as there are CPUs."""
    n_farm, n_srun = 2000, 5 * N_SLOTS
    bench.write("true.txt", ["true"] * n_farm)
    text = in_job(bench, f"""
rate() {{ awk -v t=$began -v u=$(date +%s.%N) -v n=$2 -v w=$1 'BEGIN {{ print w, n / (u - t) }}'; }}
for i in 1 2 3; do
    began=$(date +%s.%N); mpifarm run --force -q true.txt; rate farm {n_farm}
    began=$(date +%s.%N)
    seq {n_srun} | xargs -P {N_SLOTS} -I% srun --mpi=none -N1 -n1 --exact true 2> /dev/null
    rate srun {n_srun}
done""")
    farm, srun = figures(text, "farm"), figures(text, "srun")
    report("slurm", f"{n_farm} true tasks", statistics.median(farm), "tasks/s",
           statistics.median(srun), statistics.median(a / b for a, b in zip(farm, srun)), ">= 10")


def run_sleepers(bench, n, disturb):
    """n tasks of half a second; returns when they were begun and ended, and their effects."""
    bench.write("sleep.txt", [f"sleep 0.5; echo {i} >> done" for i in range(n)])
    bench.write("job", [JOB, """
echo began $(date +%s.%N)
mpifarm run --force -q sleep.txt; echo status $?
echo ended $(date +%s.%N)"""])
    in_cluster(bench, f"rm -f done; sbatch job > /dev/null\n{disturb}\nawait grep -qs ended job.out\n"
                      "mv job.out job.told")
    with open(bench.path("job.told")) as file:
        text = file.read()
    with open(bench.path("done")) as file:
        effects = file.read().split()
    return figures(text, "began")[0], figures(text, "ended")[0], figures(text, "status")[0], effects


def bench_crash(bench):
    """A node crashes: seconds lost beyond those that three nodes need for what four had left."""
    n = 400
    began, ended, _, _ = run_sleepers(bench, n, "")
    overhead = ended - began - n * 0.5 / N_SLOTS
    crash = ("await grep -qs ^100$ done; date +%s.%N > crashed; $CLUSTER crash n3\n"
             "await grep -q 'n3 is lost' job.out\n"
             "scontrol update NodeName=n3 State=DOWN Reason=bench")
    began, ended, status, effects = run_sleepers(bench, n, crash.replace("$CLUSTER", CLUSTER))
    with open(bench.path("crashed")) as file:
        crashed = float(file.read())
    left = n * 0.5 - (crashed - began - overhead) * N_SLOTS
    expected = crashed + left / (N_SLOTS - N_CPUS)
    report("slurm", "a node of four crashes: lost", ended - expected, "s", "", "", "<= 5")
    report("slurm", "the same: exit status", status, "", "", "", "<= 0")
    report("slurm", "the same: tasks without their effect", n - len(set(effects)), "tasks", "", "",
           "<= 0")
    report("slurm", "the same: effects that came twice", len(effects) - len(set(effects)), "tasks",
           "", "", "<= 0")


def bench_slurm(bench):
    if not is_possible():
        print("bench: slurm is left out: it needs root, slurm-wlm, munge and mpicc")
        return
    bench_start(bench)
    bench_rate(bench)
    bench_crash(bench)


def bench_chain(bench):
    """Jobs of 90 seconds, one after the other, for 300 seconds of work."""
    if not is_possible():
        return
    n = 300 * N_SLOTS // 5
    bench.write("chain.txt", [f"sleep 5; echo task {i}" for i in range(n)])
    in_cluster(bench, f"mpifarm batch --chain chain.txt -N {N_NODES} -t 5 -o chain.%j -- "
                      "--walltime 90s\nawait is_idle")
    jobs = [name for name in os.listdir(bench.dir) if name.startswith("chain.") and
            name != "chain.txt"]
    told = []
    for name in jobs:
        with open(bench.path(name)) as file:
            told += figures(file.read(), "task")
    report("slurm-chain", "jobs of 90 s", len(jobs), "jobs")
    report("slurm-chain", "tasks that were lost", n - len(set(told)), "tasks", "", "", "<= 0")
    report("slurm-chain", "tasks that were told twice", len(told) - len(set(told)), "tasks", "", "",
           "<= 0")
