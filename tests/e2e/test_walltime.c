/* Runs that have to end: --walltime, --warn, and what Slurm says of its job. */
#include "support/shell.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

TestSuite(walltime, .init = t_enter_dir, .fini = t_leave_dir);

Test(walltime, what_cannot_end_in_time_is_left_for_another_run)
{
    t_write("tasks.farm", "[time=2h] echo long\n[time=1] echo short\necho unknown\n");
    struct t_result result = t_sh("mpifarm run -j 1 --walltime 1h tasks.farm; echo $?; "
                                  "mpifarm run --resume tasks.farm; echo $?");

    cr_assert(eq(str, result.out, "short\nunknown\n3\nlong\n0\n"), "%s", result.err);
    cr_assert(t_has(result.err, "stopped by the end of its time, before which no other task "
                                "could end: 1 task left; --resume continues"),
              "%s", result.err);
}

Test(walltime, what_runs_is_ended_in_time_and_run_again)
{
    t_write("tasks.farm", "echo begun; [ -e again ] || { touch again; sleep 300; }; echo ended\n");
    struct t_result result = t_sh("mpifarm run --walltime 1s tasks.farm; echo $?; "
                                  "mpifarm logs mpifarm-run 1; mpifarm run --resume tasks.farm");

    cr_assert(eq(str, result.out, "3\nbegun\nbegun\nended\n"), "%s", result.err);
    cr_assert(t_has(result.err, "stopped by the end of its time"), "%s", result.err);
}

/* One ends in time, one says that there is more to do, and one knows of no signal. */
Test(walltime, running_tasks_are_warned_before_the_end_and_what_that_cuts_short_is_resumed)
{
    t_write("tasks.farm",
            "trap 'echo saved; exit 0' USR1; while :; do sleep 0.02; done\n"
            "trap 'echo saved; exit 9' USR1; until [ -e again ]; do sleep 0.02; done\n"
            "[ -e again ] || exec sleep 300\n");
    struct t_result result =
        t_sh("mpifarm run -j 3 --walltime 120s --warn SIGUSR1@115s tasks.farm; echo $?; "
             "grep -o '\"warned\": 3' mpifarm-run/status.json; "
             "touch again; mpifarm run --resume tasks.farm; echo $?");

    cr_assert(eq(str, result.out, "saved\n3\n\"warned\": 3\n0\n"), "%s", result.err);
    cr_assert(t_has(result.err, "running tasks get USR1"), "%s", result.err);
    cr_assert(t_has(result.err, "1 done, 0 failed"), "%s", result.err);
    cr_assert(t_has(result.err, "2 tasks left; --resume continues"), "%s", result.err);
    cr_assert(t_has(result.err, "from an earlier run: 1 done, 0 failed"), "%s", result.err);
}

Test(walltime, a_run_without_an_end_says_that_nobody_will_be_warned)
{
    struct t_result result = t_sh("unset SLURM_JOB_ID; echo true | mpifarm run --warn 10@5m -");

    cr_assert(eq(int, result.status, 0));
    cr_assert(t_has(result.err, "--warn has no effect, as the run has no end"), "%s", result.err);
}

Test(walltime, bad_values_are_refused)
{
    struct t_result result = t_sh("for value in USR1 KILL@1m NOSUCH@1m @1m USR1@; do "
                                  "mpifarm run --warn $value x; echo $?; done; "
                                  "mpifarm run --walltime 0 x; echo $?");

    cr_assert(eq(str, result.out, "2\n2\n2\n2\n2\n2\n"), "%s", result.err);
    cr_assert(t_has(result.err, "\"KILL\" is no signal that a task could act on"), "%s",
              result.err);
}

Test(walltime, the_end_of_a_slurm_job_is_that_of_the_run)
{
    t_write("tasks.farm", "[time=2h] echo long\necho short\n");
    struct t_result result =
        t_sh("SLURM_JOB_ID=7 SLURM_JOB_END_TIME=$(($(date +%%s) + 3600)) mpifarm run tasks.farm; "
             "echo $?");

    cr_assert(eq(str, result.out, "short\n3\n"), "%s", result.err);
    cr_assert(t_has(result.err, "the run has to end within"), "%s", result.err);
}

Test(walltime, a_quiet_run_says_nothing_of_its_end)
{
    t_write("tasks.farm", "echo one\n");
    struct t_result result = t_sh(
        "SLURM_JOB_ID=7 SLURM_JOB_END_TIME=$(($(date +%%s) + 3600)) mpifarm run -q tasks.farm");

    cr_assert(eq(str, result.out, "one\n"));
    cr_assert(eq(str, result.err, ""));
}

Test(walltime, squeue_is_asked_where_the_environment_does_not_say_it)
{
    t_write("tasks.farm", "[time=2h] echo long\necho short\n");
    t_write("squeue", "#!/bin/sh\necho \"$*\" >> asked; echo 59:59\n");
    struct t_result result =
        t_sh("chmod +x squeue; unset SLURM_JOB_END_TIME; export SLURM_JOB_ID=7 PATH=$PWD:$PATH; "
             "mpifarm run tasks.farm; echo $?; cat asked");

    cr_assert(eq(str, result.out, "short\n3\n--noheader --format=%L --jobs 7\n"), "%s", result.err);
}

Test(walltime, an_element_of_a_job_array_is_asked_for_by_its_own_number)
{
    t_write("squeue", "#!/bin/sh\necho \"$*\" >> asked; echo 59:59\n");
    struct t_result result =
        t_sh("chmod +x squeue; unset SLURM_JOB_END_TIME; export SLURM_JOB_ID=9 "
             "SLURM_ARRAY_JOB_ID=9 SLURM_ARRAY_TASK_ID=3 PATH=$PWD:$PATH; "
             "echo true | mpifarm run -q -; echo $?; cat asked");

    cr_assert(eq(str, result.out, "0\n--noheader --format=%L --jobs 9_3\n"), "%s", result.err);
}

Test(walltime, a_squeue_that_fails_leaves_a_run_without_an_end)
{
    t_write("squeue", "#!/bin/sh\nexit 1\n");
    struct t_result result =
        t_sh("chmod +x squeue; unset SLURM_JOB_END_TIME; export SLURM_JOB_ID=7 PATH=$PWD:$PATH; "
             "echo echo one | mpifarm run -; echo $?");

    cr_assert(eq(str, result.out, "one\n0\n"), "%s", result.err);
    cr_assert(t_has(result.err, "squeue does not say when job 7 ends: it fails: the run does not "
                                "know when it has to end"),
              "%s", result.err);
}

/* As Slurm ends a job: all its processes are told. A charged failure would not be run again. */
Test(walltime, what_gets_sigterm_together_with_its_rank_in_a_job_is_not_charged)
{
    t_write("tasks.farm",
            "[ -e again ] || { echo $$ > a.pid; mv a.pid a; exec sleep 300; }; echo a\n"
            "[ -e again ] || { echo $$ > b.pid; mv b.pid b; exec sleep 300; }; echo b\n");
    struct t_result result =
        t_sh("export SLURM_JOB_ID=7 SLURM_JOB_END_TIME=$(($(date +%%s) + 3600)); "
             "mpifarm run -j 2 tasks.farm & pid=$!; await test -e a -a -e b; "
             "kill $(cat a) $(cat b) $pid; wait $pid; echo $?; touch again; "
             "mpifarm run -k --resume tasks.farm; echo $?");

    cr_assert(eq(str, result.out, "3\na\nb\n0\n"), "%s", result.err);
}

Test(walltime, a_job_that_is_over_is_told_before_anything_starts)
{
    t_write("tasks.farm", "echo one\n");
    t_write("squeue",
            "#!/bin/sh\necho 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1\n");
    struct t_result result =
        t_sh("chmod +x squeue; unset SLURM_JOB_END_TIME; export SLURM_JOB_ID=7 PATH=$PWD:$PATH; "
             "mpifarm run tasks.farm; echo $?; ls");

    cr_assert(eq(str, result.out, "2\nsqueue\ntasks.farm\n"), "%s", result.err);
    cr_assert(t_has(result.err, "job 7 is over: leave its shell, and get another allocation"), "%s",
              result.err);
}

Test(walltime, a_shell_of_a_job_that_is_over_can_run_without_it)
{
    t_write("squeue",
            "#!/bin/sh\necho 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1\n");
    struct t_result result =
        t_sh("chmod +x squeue; unset SLURM_JOB_END_TIME; export SLURM_JOB_ID=7 PATH=$PWD:$PATH; "
             "echo echo one | mpifarm run --launch=none -; echo $?");

    cr_assert(eq(str, result.out, "one\n0\n"), "%s", result.err);
    cr_assert(t_has(result.err, "job 7, of which this shell knows, is over"), "%s", result.err);
}
