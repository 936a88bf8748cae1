"""What it costs to notice deaths and to have a standby: instructions, by callgrind.

Counts are the same on a busy machine, as times are not. One rank of a farm runs under callgrind,
which makes it so slow that all others wait for it: hardly any of its turns are without work. But
beats come by the clock, so that they weigh some fifty times as much there as they do in a run.
"""

import re
import shutil

from harness import N_CORES, report

TASKS = 3000
LIMIT = "< 0.02"

# The functions through which all of it goes, the rest being inside of them.
SCHEDULER_BEATS = ("mf_notice_turn", "mf_notice_heard")
WORKER_BEATS = ("mf_worker_notice_turn", "mf_worker_notice_on_pulse")
CLIENT_BEATS = ("mf_sentry_look", "mf_sentry_next", "mf_sentry_heard")

LINE = re.compile(r"^ *([\d,]+) \([ \d.]+%\)  [^ ]*?:([a-z_0-9']+) ")


def count(bench, program, watched, ranks=3):
    """Instructions of each function and all that it calls, in one rank of a program."""
    out = bench.path("callgrind.out")
    valgrind = f"valgrind -q --tool=callgrind --callgrind-out-file={out}"
    parts = [f"-n 1 {valgrind if rank == watched else ''} {program}" for rank in range(ranks)]
    bench.run("mpirun --enable-recovery --oversubscribe --bind-to none " + " : ".join(parts))
    counts = {}
    for line in bench.run(f"callgrind_annotate --inclusive=yes --threshold=100 "
                          f"--auto=no {out}").splitlines():
        found = LINE.match(line)
        if found:
            counts.setdefault(found[2], int(found[1].replace(",", "")))
    return counts


def share(counts, parts, whole):
    return sum(counts.get(part, 0) for part in parts) / counts[whole]


def bench_survival(bench):
    """Heartbeats and the standby, as shares of what the scheduler, a worker and a client do."""
    if not shutil.which("valgrind"):
        report("survival", "valgrind is not installed", 0, "", "", "", "")
        return
    bench.write("true.txt", ["/bin/true"] * TASKS)
    run = f"{bench.build}/mpifarm run --force -q -j {N_CORES}"
    plain = count(bench, f"{run} true.txt", 0)
    standby = count(bench, f"{run} --standby true.txt", 0)
    worker = count(bench, f"{run} true.txt", 1)
    client = count(bench, f"{bench.build}/bench/bench_functions mode=array tasks=100000", 0)
    per_task = plain["mf_scheduler_turn"] / TASKS
    report("survival", "commands: scheduler, a task", per_task, "instr.")
    report("survival", "commands: beats of the scheduler", share(
        plain, SCHEDULER_BEATS, "mf_scheduler_turn"), "of it", "", "", LIMIT)
    report("survival", "commands: beats of a worker", share(
        worker, WORKER_BEATS, "mf_rank_work"), "of it", "", "", LIMIT)
    report("survival", "commands: scheduler with --standby, a task",
           standby["mf_scheduler_turn"] / TASKS, "instr.", per_task,
           standby["mf_scheduler_turn"] / plain["mf_scheduler_turn"], "< 1.02")
    report("survival", "functions: beats of rank 0", share(client, CLIENT_BEATS, "main"), "of it",
           "", "", LIMIT)
