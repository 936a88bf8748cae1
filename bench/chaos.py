#!/usr/bin/env python3
"""Farms whose processes are killed and stopped at random: is every task done, and done once?

    chaos.py BUILD_DIR kill   [tasks=2000] [ranks=9] [seeds=20] [seed=1] [seconds=0.1]
                              [scheduler=1|0] [keep=0|1]
    chaos.py BUILD_DIR resume [tasks=1000] [ranks=3] [rounds=100] [seed=1] [seconds=0.05]

kill: while a farm under --standby runs, each second a random process of it gets SIGKILL: a worker
rank, its launcher or that one's keeper, a task, or the rank that schedules, twice; with scheduler=0
not that one, and without --standby. Others get SIGSTOP for up to ten seconds. At least two workers
are left alive. With keep=1 the directory of a run that went wrong stays where this was called.
resume: all processes of a farm get SIGKILL at a random moment, and it is resumed.

Each task appends a line to a file of its own. By these files and the journal, no task may be
missing, and none done again but those of which a kill has cut an attempt short: it ran where the
kill hit, or had ended there and nothing was said of it yet.
"""

import contextlib
import json
import os
import random
import re
import shutil
import signal
import sqlite3
import stat
import statistics
import subprocess
import sys
import time

from harness import Bench, report

DONE, FAILED = 4, 5

# A run that takes longer hangs, and so does one that is over and does not end.
RUN_S, LEAVE_S = 600, 20

# Left alive whatever happens.
LEAST_WORKERS = 2

# A task process that outlives the farm by more is an orphan.
ORPHAN_S = 2


class Wrong(Exception):
    """What must not be."""


# --- processes ---

def read_proc(pid, name):
    try:
        with open(f"/proc/{pid}/{name}", "rb") as file:
            return file.read()
    except OSError:
        return b""


def children(pid):
    return [int(child) for child in read_proc(pid, f"task/{pid}/children").split()]


def launchers(rank):
    """A rank has a keeper, and that the launcher, whose children are the tasks."""
    return [launcher for keeper in keepers(rank) for launcher in children(keeper)]


def keepers(rank):
    """None, or with a launcher that takes the place of a keeper that was killed: not dead yet."""
    return [child for child in children(rank) if read_proc(child, "comm") == b"mpifarm-keep\n"]


def environment_of(pid):
    return dict(part.split(b"=", 1) for part in read_proc(pid, "environ").split(b"\0")
                if b"=" in part)


def send(pid, number):
    with contextlib.suppress(OSError):
        os.kill(pid, number)


def descendants(pid):
    found = []
    for child in children(pid):
        found += [child] + descendants(child)
    return found


def kill_all(pid):
    """Kills a process and all below it, in one moment: stopped, none can fork or end another."""
    stopped = set()
    while True:
        new = [p for p in [pid, *descendants(pid)] if p not in stopped]
        if not new:
            break
        for p in new:
            send(p, signal.SIGSTOP)
        stopped.update(new)
    for p in stopped:
        send(p, signal.SIGKILL)


def tasks_of(run_dir):
    """Processes of tasks of a run, wherever they are."""
    own = run_dir.encode()
    return [int(pid) for pid in os.listdir("/proc")
            if pid.isdigit() and environment_of(pid).get(b"MPIFARM_RUN_DIR") == own]


# --- a farm ---

class Farm:
    """A directory with tasks, their effects, and runs of them."""

    def __init__(self, bench, tasks, ranks, seconds):
        self.bench, self.tasks, self.ranks = bench, tasks, ranks
        self.dir = bench.path(f"farm{time.monotonic_ns()}")
        self.run_dir = os.path.join(self.dir, "run")
        self.process = None
        os.makedirs(os.path.join(self.dir, "effect"))
        with open(os.path.join(self.dir, "tasks"), "w") as file:
            for task in range(1, tasks + 1):
                file.write(f"sleep {seconds}; echo $MPIFARM_RANK $$ $PPID >> "
                           f"{self.dir}/effect/{task}; echo task {task}\n")

    def close(self):
        shutil.rmtree(self.dir)

    def start(self, options):
        slots = 2 * (self.ranks - 1)
        command = (f"mpifarm run --np {self.ranks} -q -j {slots} --run-dir {self.run_dir} "
                   f"{options} {self.dir}/tasks")
        with open(os.path.join(self.dir, "out"), "ab") as out, \
                open(os.path.join(self.dir, "err"), "wb") as err:
            self.process = subprocess.Popen(
                command.split(), cwd=self.dir, env=self.bench.env, stdin=subprocess.DEVNULL,
                stdout=out, stderr=err)

    def text(self, name):
        with open(os.path.join(self.dir, name), errors="replace") as file:
            return file.read()

    def rank_pids(self):
        """Living ranks, by number."""
        found, above = {}, [self.process.pid]
        while above:
            for pid in children(above.pop()):
                number = environment_of(pid).get(b"OMPI_COMM_WORLD_RANK")
                if not number:
                    above.append(pid)
                else:
                    found[int(number)] = pid
        return found

    def status(self, key):
        """What the farm says of itself; None while it says nothing."""
        try:
            with open(os.path.join(self.run_dir, "status.json")) as file:
                return json.load(file)[key]
        except (OSError, ValueError, KeyError):
            return None

    def leave(self):
        """After the end of the farm, nothing may hang; what has died has not failed the run."""
        try:
            status = self.process.wait(LEAVE_S)
        except subprocess.TimeoutExpired:
            raise Wrong("the run is over, and its processes are not") from None
        if status != 0:
            raise Wrong(f"exit status {status}")

    def printed(self):
        return {int(task) for task in re.findall(r"^task (\d+)$", self.text("out"), re.M)}

    def effects(self):
        """The lines of each task: rank, process and launcher of each attempt that came so far."""
        found = {}
        for task in os.listdir(os.path.join(self.dir, "effect")):
            lines = self.text(os.path.join("effect", task)).splitlines()
            found[int(task)] = [tuple(int(word) for word in line.split()) for line in lines]
        return found

    def journal(self):
        """How many rows say of each task that it is done, read from a copy."""
        copy = os.path.join(self.dir, "copy")
        shutil.rmtree(copy, ignore_errors=True)
        os.mkdir(copy)
        for name in ("journal.db", "journal.db-wal"):
            with contextlib.suppress(FileNotFoundError):
                shutil.copy(os.path.join(self.run_dir, name), copy)
        counts = {}
        with contextlib.closing(sqlite3.connect(os.path.join(copy, "journal.db"))) as database:
            if not database.execute("SELECT 1 FROM sqlite_master WHERE name='attempt'").fetchone():
                return counts
            for task, state in database.execute("SELECT seq, state FROM attempt"):
                if state == FAILED:
                    raise Wrong(f"task {task} has failed")
                counts[task] = counts.get(task, 0) + (state == DONE)
        return counts

    def check_done(self, is_cut):
        """Every task is done, once, but for attempts that a kill has cut short."""
        effects, journal = self.effects(), self.journal()
        for task in range(1, self.tasks + 1):
            lines = effects.get(task, [])
            whole = [line for line in lines if not is_cut(task, line)]
            if not lines or journal.get(task) != 1:
                raise Wrong(f"task {task}: {len(lines)} effects, done {journal.get(task, 0)} "
                            "times by the journal")
            if len(whole) > 1:
                raise Wrong(f"task {task} was done again without need: {lines}")
        if self.printed() != set(range(1, self.tasks + 1)):
            raise Wrong("the output of some task is missing")

    def check_orphans(self):
        deadline = time.monotonic() + ORPHAN_S + 1
        while (left := tasks_of(self.run_dir)) and time.monotonic() < deadline:
            time.sleep(0.1)
        if left:
            raise Wrong(f"processes of tasks live on: {left}")


# --- kills, one by one ---

class Cut:
    """What a kill cuts short: all that the launcher of a rank has and had, or less, or more.

    What the farm has said to be done by then is none of it. A launcher that dies with its keeper
    or its rank may have begun something even then. Once new ranks go on with the farm, nothing more
    is cut short by what hit the ones before: only the effects of theirs are excused.
    """

    def __init__(self, kind, rank, pid, farm):
        self.kind, self.rank, self.pid = kind, rank, pid
        self.launchers = set(launchers(farm.rank_pids().get(rank, 0)))
        self.printed = farm.printed()
        self.effects = None

    def end(self, effects):
        if self.effects is None:
            self.effects = effects

    def has(self, task, line):
        rank, pid, launcher = line
        if task in self.printed:
            return False
        if self.effects is not None and line not in self.effects.get(task, ()):
            return False
        if self.kind == "task":
            return pid == self.pid
        return (launcher in self.launchers or self.kind == "all"
                or (self.kind in ("rank", "scheduler") and rank == self.rank))


class Monkey:
    """Kills and stops what belongs to a farm; knows which attempts that has cut short."""

    def __init__(self, farm, rng, kills_scheduler):
        self.farm, self.rng = farm, rng
        self.schedulers_left = 2 if kills_scheduler else 0
        self.cuts, self.stopped, self.n_new_ranks = [], [], 0
        self.log = []

    def workers(self):
        """Ranks with a launcher; but for the one that schedules."""
        scheduler = self.farm.status("pid")
        return {rank: pid for rank, pid in self.farm.rank_pids().items()
                if pid != scheduler and launchers(pid)}

    def victims(self):
        """What can be killed now: kind, rank, process."""
        workers = self.workers()
        found = []
        # One that loses its launcher again and again, or that and the keeper at a time, is given up.
        for rank, pid in workers.items() if len(workers) > LEAST_WORKERS else ():
            found.append(("rank", rank, pid))
            found += [("keeper", rank, keeper) for keeper in keepers(pid)]
            found += [("launcher", rank, launcher) for launcher in launchers(pid)]
        tasks = [("task", rank, task) for rank, pid in workers.items()
                 for launcher in launchers(pid) for task in children(launcher)]
        if tasks:
            found += [self.rng.choice(tasks)] * max(1, len(found) // 2)
        if self.schedulers_left > 0:
            found += [("scheduler", rank, pid) for rank, pid in self.farm.rank_pids().items()
                      if pid == self.farm.status("pid")]
        return found

    def kill_one(self):
        victims = self.victims()
        if not victims:
            return
        kind, rank, pid = self.rng.choice(victims)
        self.schedulers_left -= kind == "scheduler"
        self.log.append(f"kill {kind} of rank {rank}")
        self.cuts.append(Cut(kind, rank, pid, self.farm))
        send(pid, signal.SIGKILL)

    def stop_one(self):
        workers = list(self.workers().values())
        if not workers or self.rng.random() < 0.5:
            return
        pid = self.rng.choice(workers)
        pid = self.rng.choice([pid, *descendants(pid)])
        self.stopped.append((time.monotonic() + self.rng.uniform(0, 10), pid))
        self.log.append(f"stop {pid}")
        send(pid, signal.SIGSTOP)

    def let_go(self, now):
        for _, pid in [entry for entry in self.stopped if entry[0] <= now]:
            send(pid, signal.SIGCONT)
        self.stopped = [entry for entry in self.stopped if entry[0] > now]

    def note_new_ranks(self):
        """Where none of its ranks can go on, a farm under --standby starts others."""
        if self.farm.text("err").count("new ranks go on with it") > self.n_new_ranks:
            self.n_new_ranks += 1
            self.cuts.append(Cut("all", None, None, self.farm))
            effects = self.farm.effects()
            for cut in self.cuts:
                cut.end(effects)
            print("new ranks went on with the farm", self.log[-3:], file=sys.stderr, flush=True)

    def is_cut(self, task, line):
        return any(cut.has(task, line) for cut in self.cuts)

    def await_begin(self):
        """Before, ranks are in MPI_Init(), where none can do without another."""
        deadline = time.monotonic() + RUN_S
        while not self.farm.effects():
            if time.monotonic() > deadline or self.farm.process.poll() is not None:
                raise Wrong("the run does not begin")
            time.sleep(0.02)

    def run(self):
        """Until the farm is over. Returns how long that took, from the first effect on."""
        self.await_begin()
        began = time.monotonic()
        next_kill = began + 1
        while not self.farm.status("finished") and self.farm.process.poll() is None:
            now = time.monotonic()
            if now > began + RUN_S:
                raise Wrong("the run does not end")
            if now >= next_kill:
                next_kill += 1
                self.kill_one()
                self.stop_one()
            self.let_go(now)
            self.note_new_ranks()
            time.sleep(0.02)
        spent = time.monotonic() - began
        self.let_go(float("inf"))
        return spent


class Quiet(Monkey):
    """Does nothing: for comparison."""

    def kill_one(self):
        pass

    def stop_one(self):
        pass


def run_farm(bench, monkey_class, seed, tasks, ranks, seconds, scheduler, keep=0):
    """One farm from beginning to end. Returns its makespan."""
    farm = Farm(bench, tasks, ranks, seconds)
    monkey = monkey_class(farm, random.Random(seed), scheduler)
    farm.start("--retries 50 --crash-limit none" + (" --standby" if scheduler else ""))
    try:
        spent = monkey.run()
        farm.leave()
        farm.check_orphans()
        farm.check_done(monkey.is_cut)
    except Wrong as wrong:
        kill_all(farm.process.pid)
        text = "\n".join(monkey.log) + "\n" + farm.text("err")
        if keep:
            shutil.copytree(farm.dir, f"chaos-seed-{seed}", dirs_exist_ok=True,
                            ignore=lambda path, names: [n for n in names if is_socket(path, n)])
        raise Wrong(f"seed {seed}: {wrong}\n{text}") from None
    finally:
        kill_all(farm.process.pid)
        farm.process.wait()
        farm.close()
    return spent


def is_socket(path, name):
    return stat.S_ISSOCK(os.lstat(os.path.join(path, name)).st_mode)


def kill(bench, tasks=2000, ranks=9, seeds=20, seed=1, seconds=0.1, scheduler=1, keep=0):
    """Returns the makespan without any kill, and that of each seed."""
    undisturbed = run_farm(bench, Quiet, 0, tasks, ranks, seconds, 0)
    return undisturbed, [run_farm(bench, Monkey, s, tasks, ranks, seconds, scheduler, keep)
                         for s in range(seed, seed + seeds)]


# --- everything at once ---

def note_reported(farm, reported):
    """What was said to be done so far, on paper or in the journal; and the effects of that."""
    effects = farm.effects()
    done = farm.printed()
    if os.path.exists(os.path.join(farm.run_dir, "journal.db")):
        done |= {task for task, count in farm.journal().items() if count}
    for task in done:
        reported.setdefault(task, len(effects.get(task, [])))


def finish_rounds(farm, reported, seed):
    """The last of its runs goes to the end."""
    farm.start("--resume")
    if farm.process.wait(RUN_S) != 0:
        raise Wrong(f"seed {seed}: the last run ended with {farm.process.returncode}:\n" +
                    farm.text("err"))
    farm.check_done(lambda task, line: True)
    effects = farm.effects()
    for task, count in reported.items():
        if count == 0 or len(effects[task]) != count:
            raise Wrong(f"seed {seed}: task {task} was reported done after {count} runs of it, "
                        f"and was run {len(effects[task])} times")


def resume(bench, tasks=1000, ranks=3, rounds=100, seed=1, seconds=0.05):
    """Returns how many tasks were reported done before a kill."""
    rng = random.Random(seed)
    n_reported = 0
    while rounds > 0:
        farm, reported = Farm(bench, tasks, ranks, seconds), {}
        try:
            while rounds > 0 and len(reported) < tasks * 3 // 4:
                farm.start("--resume")
                time.sleep(rng.uniform(0.3, 2.5))
                kill_all(farm.process.pid)
                farm.process.wait()
                farm.check_orphans()
                note_reported(farm, reported)
                rounds -= 1
            finish_rounds(farm, reported, seed)
        finally:
            kill_all(farm.process.pid)
            farm.close()
        n_reported += len(reported)
    return n_reported


# --- benchmarks ---

def bench_chaos(bench):
    """What kills cost, and that they cost nothing else."""
    undisturbed, spent = kill(bench)
    report("chaos", "seeds with every effect as it must be", len(spent), "of 20", "", "", ">= 20")
    report("chaos", "makespan", statistics.median(spent), "s", undisturbed,
           statistics.median(spent) / undisturbed)
    report("chaos", "100 times everything, and --resume: reported", resume(bench), "tasks", "", "",
           "> 0")


def main(build, name, settings):
    settings = {key: float(value) if "." in value else int(value)
                for key, _, value in (word.partition("=") for word in settings)}
    bench = Bench(os.path.abspath(build))
    try:
        print({"kill": kill, "resume": resume}[name](bench, **settings))
    except Wrong as wrong:
        sys.exit(f"chaos: {wrong}")
    finally:
        bench.close()


if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[2] not in ("kill", "resume"):
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
