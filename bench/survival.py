"""What it costs to notice deaths and to have a standby: instructions, by callgrind.

Counts are the same on a busy machine, as times are not. One rank of a farm runs under callgrind,
which makes it so slow that all others wait for it. But beats come by the clock, and would weigh
some fifty times as much there as they do in a run. So the clock of all ranks is slowed down
(slow_clock.c) until the tasks take as long by it as they do at full speed. What MPI does for a
beat, twice a second, is not counted.
"""

import re
import shutil
import time

from harness import N_CORES, report

TASKS, TASKS_PER_S = 3000, 1500
CALLS, CALLS_PER_S = 1000000, 10000000
LIMIT = "< 0.02"

# The functions through which all of it goes, the rest being inside of them.
SCHEDULER_BEATS = ("mf_notice_turn", "mf_notice_heard")
WORKER_BEATS = ("mf_worker_notice_turn", "mf_worker_notice_on_pulse")
CLIENT_BEATS = ("mf_sentry_is_due", "mf_sentry_look", "mf_sentry_next", "mf_sentry_heard")

LINE = re.compile(r"^ *([\d,]+) \([ \d.]+%\)  [^ ]*?:([a-z_0-9']+) ")


def start(bench, program, ranks, watched=None, out="", slower=1):
    """Runs a program on some ranks, one of them under callgrind; returns the seconds it took."""
    valgrind = f"valgrind -q --tool=callgrind --callgrind-out-file={out}"
    clock = f"env LD_PRELOAD={bench.build}/bench/slow_clock.so MPIFARM_BENCH_SLOWER={slower}"
    parts = [f"-n 1 {clock} {valgrind if rank == watched else ''} {program}"
             for rank in range(ranks)]
    began = time.monotonic()
    bench.run("mpirun --enable-recovery --oversubscribe --bind-to none " + " : ".join(parts))
    return time.monotonic() - began


def count(bench, program, watched, full_speed_s, ranks=3):
    """Instructions of each function and all that it calls, in one rank of a program."""
    out = bench.path("callgrind.out")
    slower = start(bench, program, ranks, watched, out) / full_speed_s
    start(bench, program, ranks, watched, out, max(1, round(slower)))
    counts = {}
    for line in bench.run(f"callgrind_annotate --inclusive=yes --threshold=100 "
                          f"--auto=no {out}").splitlines():
        found = LINE.match(line)
        if found:
            counts.setdefault(found[2], int(found[1].replace(",", "")))
    return counts


def share(counts, parts, whole, but=""):
    return sum(counts.get(part, 0) for part in parts) / (counts[whole] - counts.get(but, 0))


def bench_survival(bench):
    """Heartbeats and the standby, as shares of what the scheduler, a worker and a client do."""
    if not shutil.which("valgrind"):
        report("survival", "valgrind is not installed", 0, "", "", "", "")
        return
    bench.write("true.txt", ["/bin/true"] * TASKS)
    run = f"{bench.build}/mpifarm run --force -q -j {N_CORES}"
    functions = f"{bench.build}/bench/bench_functions mode=array tasks={CALLS}"
    run_s, functions_s = TASKS / TASKS_PER_S, CALLS / CALLS_PER_S
    plain = count(bench, f"{run} true.txt", 0, run_s)
    standby = count(bench, f"{run} --standby true.txt", 0, run_s)
    # The only worker, or the others would do its work.
    worker = count(bench, f"{run} true.txt", 1, run_s, ranks=2)
    client = count(bench, functions, 0, functions_s)
    server = count(bench, functions, 1, functions_s, ranks=2)
    per_task = plain["mf_scheduler_turn"] / TASKS
    report("survival", "commands: scheduler, a task", per_task, "instr.")
    report("survival", "commands: beats of the scheduler", share(
        plain, SCHEDULER_BEATS, "mf_scheduler_turn"), "of it", "", "", LIMIT)
    report("survival", "commands: beats of a worker", share(
        worker, WORKER_BEATS, "mf_rank_work"), "of it", "", "", LIMIT)
    report("survival", "commands: scheduler with --standby, a task",
           standby["mf_scheduler_turn"] / TASKS, "instr.", per_task,
           standby["mf_scheduler_turn"] / plain["mf_scheduler_turn"], "< 1.02")
    report("survival", "functions: beats of rank 0", share(
        client, CLIENT_BEATS, "main", "mpifarm_init"), "of it", "", "", LIMIT)
    report("survival", "functions: beats of a worker", share(
        server, CLIENT_BEATS, "mpifarm_start"), "of it", "", "", LIMIT)
