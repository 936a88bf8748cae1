/*
 * mpifarm batch, with programs that stand for those of Slurm: what it submits, and when a chain of
 * jobs goes on. On a real Slurm: tests/slurm.
 */
#include "support/shell.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>

/*
 * job: does what the job of the batch script would do. Each program of Slurm notes its words in a
 * file of its name; sbatch gives numbers from 1 on.
 */
#define SLURM                                                                                      \
    "mkdir bin; PATH=$PWD/bin:$PATH\n"                                                             \
    "put() { { echo '#!/bin/sh'; cat; } > bin/$1; chmod +x bin/$1; }\n"                            \
    "put sbatch <<'END'\necho \"$*\" >> sbatch.words; wc -l < sbatch.words\nEND\n"                 \
    "put scancel <<'END'\necho \"$*\" >> scancel.words\nEND\n"                                     \
    "put squeue <<'END'\nEND\n"                                                                    \
    "job() { SLURM_JOB_ID=7 SLURM_JOB_END_TIME=${1-4102444800} bash mpifarm-run/batch.sh; }\n"

static void enter(void)
{
    char scripts[4096];

    snprintf(scripts, sizeof(scripts), "%s/slurm", getenv("T_SOURCE_DIR"));
    setenv("SCRIPTS", scripts, 1);
    t_enter_dir();
}

TestSuite(batch, .init = enter, .fini = t_leave_dir);

Test(batch, words_before_the_dashes_are_for_sbatch_and_those_behind_for_the_run)
{
    t_write("a b.txt", "true\n");
    struct t_result result = t_sh(
        "mpifarm batch --dry-run -N 4 'a b.txt' --hold -t 12:00:00 --comment='x \"y\\ #z' -o 'm o' "
        "-- "
        "--retries 3 --run-dir 'my run' | grep -o '^#SBATCH -N.*\\|^exec \"$mpifarm\" run --.*'; "
        "ls");

    cr_assert(eq(str, result.out,
                 "#SBATCH -N 4 -t 12:00:00 \"--comment=x \\\"y\\\\ #z\" -o \"m o\"\n"
                 "exec \"$mpifarm\" run --resume --retries 3 --run-dir 'my run' 'a b.txt'\n"
                 "a b.txt\n"),
              "%s", result.err);
}

Test(batch, whole_nodes_are_taken_unless_the_user_says_how_much)
{
    t_write("tasks.txt", "true\n");
    struct t_result result = t_sh("for option in -N2 -c4 -n8 --ntasks=8 --exclusive=user; do "
                                  "mpifarm batch --dry-run tasks.txt $option | "
                                  "grep -c '^#SBATCH --exclusive$'; done; "
                                  "mpifarm batch --dry-run tasks.txt -n7 | grep ntasks");

    /* With ntasks-per-node=1 Slurm would refuse -n. */
    cr_assert(eq(str, result.out, "1\n0\n0\n0\n0\n"), "%s", result.err);
}

Test(batch, a_job_that_is_requeued_keeps_its_output_unless_the_user_says_otherwise)
{
    t_write("tasks.txt", "true\n");
    struct t_result result =
        t_sh("mpifarm batch --dry-run tasks.txt | grep -o 'open-mode.*'; "
             "mpifarm batch --dry-run --chain tasks.txt --output=log --open-mode=truncate | "
             "grep -o 'open-mode.*'; grep -L '^#SBATCH --open-mode=append$' $SCRIPTS/*.sbatch");

    cr_assert(eq(str, result.out, "open-mode=append\nopen-mode=append\nopen-mode=truncate\n"), "%s",
              result.err);
}

Test(batch, what_says_how_a_job_is_submitted_is_not_for_those_that_follow)
{
    t_write("tasks.txt", "true\n");
    struct t_result result = t_sh(
        SLURM "mpifarm batch --chain tasks.txt -H -Q --ho; mpifarm batch --parsable tasks.txt; "
              "cat sbatch.words; grep SBATCH.*-[HQ] mpifarm-run/batch.sh; "
              "mpifarm batch tasks.txt -HN4; echo $?");

    cr_assert(eq(str, result.out,
                 "2\n--parsable -H -Q --ho mpifarm-run/batch.sh\n"
                 "--parsable --parsable mpifarm-run/batch.sh\n2\n"),
              "%s", result.err);
    cr_assert(t_has(result.err, "-HN4: make -H a word of its own"), "%s", result.err);
}

Test(batch, a_test_leaves_nothing_and_is_sbatchs_own)
{
    t_write("tasks.txt", "true\n");
    struct t_result result =
        t_sh(SLURM "put sbatch <<'END'\necho \"$*\"; grep -c '^exec .$mpifarm. run '; exit 5\nEND\n"
                   "mpifarm batch tasks.txt --test-only -N2; echo $?; ls");

    cr_assert(eq(str, result.out, "--test-only\n1\n5\nbin\ntasks.txt\n"), "%s", result.err);
}

Test(batch, a_job_that_waits_is_known_to_status_and_to_another_batch)
{
    t_write("tasks.txt", "true\n");
    struct t_result result = t_sh(
        SLURM "put squeue <<'END'\ncat state\nEND\n"
              "try() { mpifarm \"$@\" 2>&1; echo $?; }; batch='try batch -Q tasks.txt'\n"
              "try status; echo PENDING > state; $batch; try status; $batch; $batch -d singleton\n"
              "echo CONFIGURING > state; try status; echo > state; try status\n"
              "job; try status | sed 's/took.*/took/'; $batch; echo PENDING > state; "
              "try status | tail -n 2; mpifarm status --json | grep '\"job\\|job_\\|done'");

    cr_assert(
        eq(str, result.out,
           "mpifarm: mpifarm-run: there is no run: status.json is missing\n2\n"
           "0\n"
           "the run has not begun; job 1 is in the queue\n0\n"
           "mpifarm: mpifarm-run: job 1 for it is in the queue already: end it first (scancel "
           "1), or name another run directory behind \"--\" (--run-dir)\n2\n"
           "0\n"
           "the run has not begun; job 2 has begun\n0\n"
           "the run has not begun; job 2 was submitted for it, and has ended before that: see "
           "its output\n0\n"
           "the run is over; it took\ntasks: 1 of 1 done\n0\n"
           "0\n"
           "job 3, which goes on with it, is in the queue\n0\n"
           "  \"done\": 1,\n  \"job\": \"3\",\n  \"job_state\": \"queued\",\n"),
        "%s\n%s", result.err, result.out);
}

Test(batch, a_job_whose_run_has_not_begun_is_told_as_json_too)
{
    t_write("tasks.txt", "true\n");
    struct t_result result =
        t_sh(SLURM "put squeue <<'END'\n[ -e state ] && cat state\nEND\n"
                   "echo PENDING > state; mpifarm batch -Q tasks.txt; mpifarm status --json; "
                   "state() { mpifarm status --json | sed -n 's/.*job_state\": //p'; }\n"
                   "echo RUNNING > state; state; echo > state; state; rm state; state");

    cr_assert(eq(str, result.out,
                 "{\n  \"finished\": false,\n  \"job\": \"1\",\n  \"job_state\": "
                 "\"queued\",\n  \"alive\": false\n}\n"
                 "\"running\",\n\"ended\",\nnull,\n"),
              "%s\n%s", result.err, result.out);
}

Test(batch, the_script_is_submitted_and_runs_the_tasks_in_the_same_directory)
{
    t_write("tasks.txt", "echo one\n[retries=2] test $MPIFARM_ATTEMPT = 2\n");
    struct t_result result = t_sh(SLURM "mpifarm batch tasks.txt -N 4 || exit; cat sbatch.words; "
                                        "job; echo $?; job; echo $?");

    cr_assert(eq(str, result.out,
                 "Submitted batch job 1\n"
                 "  squeue -j 1              whether it has begun\n"
                 "  mpifarm status mpifarm-run how it stands\n"
                 "  scancel 1                ends it; submitted again, it goes on\n"
                 "--parsable mpifarm-run/batch.sh\n"
                 "one\n0\n0\n"),
              "%s", result.err);
}

Test(batch, nothing_is_submitted_that_a_run_would_refuse)
{
    t_write("tasks.txt", "true\n[id=a cors=2] true\n");
    t_write("good.txt", "true\n");
    struct t_result result = t_sh(
        SLURM
        "try() { mpifarm batch \"$@\"; echo $?; }; exec 2>&1\n"
        "try tasks.txt -N 4\ntry good.txt -- --retries x\ntry -N 4\ntry good.txt --retries 3\n"
        "try good.txt -a 1-4\ntry good.txt --chdir=/tmp\ntry good.txt --gets-on\ntry - < good.txt\n"
        "try --chain good.txt -- --force\ntry --chain=2 good.txt\n"
        "try --chain good.txt -HW\ntry --chain good.txt --requeue\n"
        "try -N 4 --bogus good.txt\ntry good.txt -j 4\nls");

    cr_assert(t_has(result.out, "tasks.txt:2: "), "%s", result.out);
    cr_assert(t_has(result.out, "--retries: "), "%s", result.out);
    cr_assert(t_has(result.out, "nothing to run; usage: mpifarm batch "), "%s", result.out);
    cr_assert(t_has(result.out, "--retries is an option of mpifarm run: put it behind \"--\""),
              "%s", result.out);
    cr_assert(t_has(result.out, "the jobs of an array would all be the same run"), "%s",
              result.out);
    cr_assert(t_has(result.out, "the job runs where it is submitted"), "%s", result.out);
    cr_assert(t_has(result.out, "option --gets-on needs a value: --gets-on RUN"), "%s", result.out);
    cr_assert(t_has(result.out, "a job cannot read standard input"), "%s", result.out);
    cr_assert(t_has(result.out, "--force would begin anew in each job"), "%s", result.out);
    cr_assert(t_has(result.out, "option --chain takes no value"), "%s", result.out);
    cr_assert(t_has(result.out, "--wait (or SBATCH_WAIT): each job of a chain would wait"), "%s",
              result.out);
    cr_assert(t_has(result.out, "--requeue: a job of a chain that began again"), "%s", result.out);
    cr_assert(t_has(result.out, "\"good.txt\" was taken for the value of --bogus; put task files "
                                "first"),
              "%s", result.out);
    cr_assert(t_has(result.out, "-j is an option of mpifarm run: put it behind \"--\", as in "
                                "\"mpifarm batch tasks.txt -N 4 -- --jobs N\""),
              "%s", result.out);
    cr_assert(eq(int, t_count_lines(result.out, "2"), 14), "%s", result.out);
    cr_assert(t_has(result.out, "2\nbin\ngood.txt\ntasks.txt\n"), "%s", result.out);
}

Test(batch, what_sbatch_has_against_it_is_told_in_its_own_words)
{
    t_write("tasks.txt", "true\n");
    struct t_result result =
        t_sh(SLURM "put sbatch <<'END'\necho 'sbatch: error: Batch job submission failed: Invalid "
                   "partition name specified' >&2; exit 1\nEND\n"
                   "mpifarm batch tasks.txt -p none; echo $?; rm bin/sbatch; PATH=$PWD/bin "
                   "$(command -v mpifarm) batch tasks.txt; echo $?");

    cr_assert(eq(str, result.out, "2\n2\n"), "%s", result.err);
    cr_assert(t_has(result.err, "sbatch has not submitted mpifarm-run/batch.sh: Batch job "
                                "submission failed: Invalid partition name specified\n"),
              "%s", result.err);
    cr_assert(t_has(result.err, "sbatch cannot be asked: No such file or directory"), "%s",
              result.err);
}

Test(batch, who_waits_for_the_job_is_told_how_it_ended_by_sbatch)
{
    t_write("tasks.txt", "true\n");
    struct t_result result =
        t_sh(SLURM "mpifarm batch -Q tasks.txt; cat mpifarm-run/job\n"
                   "put sbatch <<'END'\necho \"$*\"; exit 5\nEND\n"
                   "mpifarm batch tasks.txt --wait; echo $?; ls mpifarm-run/job; "
                   "SBATCH_WAIT=1 mpifarm batch tasks.txt");

    /* Its number is unknown, and that of an earlier one is no answer. */
    cr_assert(eq(str, result.out, "1\n--wait mpifarm-run/batch.sh\n5\nmpifarm-run/batch.sh\n"),
              "%s", result.err);
}

Test(batch, a_chain_ends_when_all_tasks_have_ended)
{
    t_write("tasks.txt", "echo one\nfalse\n");
    struct t_result result = t_sh(SLURM "mpifarm batch --chain tasks.txt > /dev/null || exit; job; "
                                        "echo $?; cat sbatch.words scancel.words");

    cr_assert(eq(str, result.out,
                 "one\n1\n--parsable mpifarm-run/batch.sh\n"
                 "--parsable --dependency=afterany:7 mpifarm-run/batch.sh\n2\n"),
              "%s", result.err);
}

Test(batch, a_chain_goes_on_when_the_time_of_a_job_is_up)
{
    t_write("tasks.txt", "echo short\n[time=2h] echo long\n");
    struct t_result result =
        t_sh(SLURM "mpifarm batch --chain tasks.txt > /dev/null || exit; "
                   "job $(($(date +%%s) + 600)); echo $?; ls scancel.words; "
                   "mpifarm status | head -n 1 | sed 's/after.* by/by/'; job; echo $?; "
                   "cat scancel.words");

    cr_assert(eq(str, result.out,
                 "short\n3\n"
                 "the run was stopped by the end of its time, before which no other task "
                 "could end; --resume continues\nlong\n0\n3\n"),
              "%s", result.err);
}

Test(batch, a_run_that_breaks_off_at_once_is_not_taken_for_the_one_before_it)
{
    t_write("tasks.txt", "true\n");
    struct t_result result =
        t_sh("left() { mpifarm batch --is-left mpifarm-run; echo $?; }\n"
             "mpifarm run tasks.txt; left; mpifarm batch --gets-on mpifarm-run; left\n"
             "mpifarm run --resume tasks.txt; left");

    cr_assert(eq(str, result.out, "1\n0\n1\n"), "%s", result.err);
}

Test(batch, a_chain_ends_when_the_user_stops_its_run)
{
    t_write("tasks.txt", "touch begun; sleep 300\n");
    struct t_result result =
        t_sh(SLURM "mpifarm batch --chain tasks.txt > /dev/null || exit; job & await [ -e begun ]; "
                   "mpifarm stop --now > /dev/null; wait $!; echo $?; cat scancel.words");

    cr_assert(eq(str, result.out, "3\n2\n"), "%s", result.err);
}

Test(batch, a_chain_ends_when_its_job_is_cancelled_and_not_when_it_is_preempted)
{
    t_write("tasks.txt", "touch begun; sleep 300\n");
    struct t_result result = t_sh(
        SLURM "mpifarm batch --chain tasks.txt > /dev/null || exit\n"
              "put run <<'END'\ntrap 'exit 3' TERM; touch begun; while :; do sleep 0.01; done\n"
              "END\nsed -i 's,^\"$mpifarm\" run,run,' mpifarm-run/batch.sh\n"
              "end() { await [ -e begun ]; rm begun; kill -TERM $1 $(pgrep -P $1); "
              "wait $1 || cat scancel.words; }\n"
              "put squeue <<'END'\necho 'COMPLETING 2026-11-22T07:16:29 4:59'\nEND\n"
              "SLURM_JOB_ID=7 bash mpifarm-run/batch.sh & end $!\n"
              "put squeue <<'END'\necho 'COMPLETING N/A 0:00'\nEND\n"
              "SLURM_JOB_ID=7 bash mpifarm-run/batch.sh & end $!\n"
              "put squeue <<'END'\necho 'COMPLETING N/A 01:00:00'\nEND\n"
              "SLURM_JOB_ID=8 bash mpifarm-run/batch.sh & end $!");

    cr_assert(eq(str, result.out, "4\n"), "%s", result.err);
}

Test(batch, a_job_that_could_not_submit_the_next_tries_again_behind_the_run)
{
    t_write("tasks.txt", "echo short\n[time=2h] echo long\n");
    struct t_result result =
        t_sh(SLURM "mpifarm batch --chain tasks.txt > /dev/null || exit\n"
                   "mv bin/sbatch sbatch.good; put sbatch <<'END'\nmv sbatch.good bin/sbatch; "
                   "exit 1\nEND\n"
                   "job $(($(date +%%s) + 600)); echo $?; wc -l < sbatch.words\n"
                   "put sbatch <<'END'\nexit 1\nEND\njob; echo $?; ls scancel.words");

    cr_assert(eq(str, result.out, "short\n3\n2\nlong\n0\n"), "%s", result.err);
    cr_assert(t_has(result.err, "mpifarm: the job that follows is not submitted; another try"),
              "%s", result.err);
}

Test(batch, a_chain_whose_jobs_end_no_task_is_given_up_and_may_be_begun_again)
{
    t_write("tasks.txt", "true\n[time=2h] true\n");
    struct t_result result =
        t_sh(SLURM "mpifarm batch --chain tasks.txt > /dev/null || exit; "
                   "for i in 1 2 3 4 5 6; do job $(($(date +%%s) + 600)); echo $?; "
                   "wc -l < sbatch.words; done; "
                   "mpifarm batch --chain tasks.txt > /dev/null; job; echo $?");

    /* The first job does the short task, and the next three nothing. */
    cr_assert(eq(str, result.out, "3\n2\n3\n3\n3\n4\n3\n5\n3\n5\n3\n6\n0\n"), "%s", result.err);
    cr_assert(t_has(result.err, "mpifarm-run: 3 jobs in a row have ended no task: the chain ends"),
              "%s", result.err);
}

/* It may be longer than a job, and so be cut short again and again. */
Test(batch, a_chain_whose_jobs_warn_their_tasks_of_the_end_is_given_up_much_later)
{
    t_write("tasks.txt", "[time=2h] true\n");
    struct t_result result =
        t_sh("mpifarm run --walltime 1h tasks.txt; at=1; warned=1\n"
             "ran() { at=$((at + 1)); printf '{\"updated\": %%d.0, \"elapsed\": 1.0, "
             "\"finished\": true, \"total\": 1, \"running\": 0, \"warned\": %%d}' $at $1 > "
             "mpifarm-run/status.json; }\n"
             "go_on() { n=0; while mpifarm batch --gets-on mpifarm-run; do n=$((n + 1)); $1; done; "
             "echo $n; }\n"
             "ran 1; go_on 'ran 1'; ran 1; go_on 'ran 0'; ran 1; go_on true");

    cr_assert(eq(str, result.out, "30\n3\n3\n"), "%s", result.err);
    cr_assert(t_has(result.err, "mpifarm-run: 30 jobs in a row have ended no task"), "%s",
              result.err);
}

Test(batch, nodes_are_given_back_only_from_a_job_whose_ranks_are_mpifarms)
{
    struct t_result result =
        t_sh("unset SLURM_JOB_ID; echo true | mpifarm run --release-idle -; echo $?");

    cr_assert(eq(str, result.out, "2\n"), "%s", result.err);
    cr_assert(t_has(result.err, "--release-idle gives nodes of a Slurm job back"), "%s",
              result.err);
}
