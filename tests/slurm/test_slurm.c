/*
 * mpifarm in jobs of a real Slurm. Each test has a cluster of its own: see the program
 * "cluster" beside this file.
 */
#include "support/shell.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>

/* What "cluster" says where there can be none. */
#define SKIPPED 77

/* The program "cluster" is found by its name, the scripts of slurm/ in $SCRIPTS; $LOSING is a
 * program on the library. */
static void enter(void)
{
    const char *source = getenv("T_SOURCE_DIR");
    char path[8192], scripts[4096];

    t_enter_dir();
    cr_assert(source != NULL, "T_SOURCE_DIR names the directory of the source");
    snprintf(path, sizeof(path), "%s/tests/slurm:%s", source, getenv("PATH"));
    setenv("PATH", path, 1);
    snprintf(scripts, sizeof(scripts), "%s/slurm", source);
    setenv("SCRIPTS", scripts, 1);
    snprintf(scripts, sizeof(scripts), "%s/tests/api/losing", getenv("T_MPIFARM_DIR"));
    setenv("LOSING", scripts, 1);
}

TestSuite(slurm, .init = enter, .fini = t_leave_dir);

/*
 * What scripts may use beside Slurm's programs: await COMMAND... repeats it until it succeeds;
 * batch ARGUMENTS... submits a job, waits for its end, for which "sbatch -W" looks far too
 * seldom, and prints its exit status.
 */
static const char helpers[] =
    "await() { until \"$@\"; do sleep 0.05; done; }\n"
    "show() { scontrol show job $id | sed -n \"s/.*$1=\\([A-Z_0-9]*\\).*/\\1/p\" | sort -u; }\n"
    "is_over() { show JobState | grep -qx 'COMPLETED\\|FAILED\\|TIMEOUT\\|CANCELLED\\|NODE_FAIL' "
    "&& "
    "! show JobState | grep -q 'ING$'; }\n"
    "batch() { id=$(sbatch --parsable \"$@\"); await is_over; show ExitCode; }\n";

/* A task that lasts until it is killed if there is no file "go", and says so if another attempt of
 * it runs. */
#define OF_ONE_AT_A_TIME                                                                           \
    "exec 9> lock.$MPIFARM_TASK_ID; flock -n 9 || echo twice >> again; "                           \
    "echo > began.$(hostname); [ -e go ] || exec sleep 300; echo $MPIFARM_TASK_ID >> again\n"

/* Runs a shell script beside a cluster of so many nodes, of two CPUs each. */
static struct t_result in_cluster(int n_nodes, const char *script)
{
    struct t_result result;

    t_write("script", "%s%s", helpers, script);
    result = t_sh("timeout 240 cluster with %d 2 sh script", n_nodes);
    if (result.status == SKIPPED)
        cr_skip("%s", result.err);
    return result;
}

/* Tasks that say where they run, and take long enough for all slots to get some. */
static void write_tasks(int n)
{
    FILE *file = fopen("tasks.txt", "w");

    cr_assert(file != NULL);
    for (int i = 0; i < n; i++)
        fprintf(file, "echo $(hostname)/$MPIFARM_SLOT; sleep 0.2; echo %d >> done\n", i);
    cr_assert(fclose(file) == 0);
}

Test(slurm, a_batch_script_uses_all_cores_of_all_nodes_and_goes_on_where_it_stopped)
{
    write_tasks(30);
    struct t_result result =
        in_cluster(3, "batch -o out -N 3 -t 5 $SCRIPTS/farm.sbatch tasks.txt\n"
                      "grep ^n out | sort -u\nsort -n done | uniq | wc -l\n"
                      "batch -o again -N 2 -t 5 $SCRIPTS/farm.sbatch tasks.txt\n"
                      "wc -l < done; grep -o 'from an earlier run.*' again\n");

    cr_assert(eq(str, result.out,
                 "0\nn1/1\nn1/2\nn2/1\nn2/2\nn3/1\nn3/2\n30\n"
                 "0\n30\nfrom an earlier run: 30 done, 0 failed\n"),
              "%s", result.err);
}

Test(slurm, one_node_needs_no_launcher)
{
    write_tasks(6);
    struct t_result result =
        in_cluster(1, "batch -o out -c 2 -t 5 $SCRIPTS/one-node.sbatch tasks.txt\n"
                      "sort -u out | grep ^n; wc -l < done\n");

    cr_assert(eq(str, result.out, "0\nn1/1\nn1/2\n6\n"), "%s", result.err);
}

Test(slurm, the_farms_of_a_job_array_are_each_their_own)
{
    t_write("a.txt", "echo a >> done\n");
    t_write("b.txt", "echo b >> done\n");
    t_write("parts", "a.txt\nb.txt\n");
    struct t_result result =
        in_cluster(1, "batch -o out --array=1-2 -t 5 $SCRIPTS/array.sbatch parts\n"
                      "sort done; ls -d *.run\n");

    cr_assert(eq(str, result.out, "0\na\nb\na.txt.run\nb.txt.run\n"), "%s", result.err);
}

Test(slurm, the_ranks_of_a_heterogeneous_job_are_one_farm)
{
    write_tasks(12);
    t_write("mpi.txt", "[nodes=3 ranks=3] echo rank $PMIX_RANK\n"
                       "[after=1 nodes=2 ranks=3] echo $(hostname)\n");
    struct t_result result =
        in_cluster(3, "sed s/--nodes=4/--nodes=2/ $SCRIPTS/hetjob.sbatch > het.sbatch\n"
                      "sbatch -o out -t 5 het.sbatch tasks.txt > /dev/null\n"
                      "await grep -qs '12 done' out; sort -u out | grep '^n'; rm -r mpifarm-run\n"
                      "id=$(sbatch --parsable -o mpi -t 5 het.sbatch mpi.txt); await is_over\n"
                      "sort mpi | grep '^[nr]'; grep 'srun: warning' mpi\n");

    cr_assert(eq(str, result.out,
                 "n1/1\nn2/1\nn2/2\nn3/1\nn3/2\n"
                 "n2\nn2\nn3\nrank 0\nrank 1\nrank 2\n"),
              "%s\n%s", result.err, t_read("mpi"));
}

/* All run at once. A job that was given its GPUs by task has as many of them on each node. */
Test(slurm, tasks_get_gpus_of_their_own)
{
    /* Devices that there are, in place of GPUs. */
    setenv("CLUSTER_SLURM_CONF", "GresTypes=gpu", 1);
    setenv("CLUSTER_NODE", "Gres=gpu:2", 1);
    setenv("CLUSTER_GRES_CONF", "Name=gpu File=/dev/full\nName=gpu File=/dev/zero", 1);
    t_write("task", "touch began.$MPIFARM_TASK_ID\n"
                    "until [ $(ls began.* | wc -l) = 4 ]; do sleep 0.05; done\n"
                    "echo gpu $(hostname)/$CUDA_VISIBLE_DEVICES\n");
    t_write("tasks.txt", "#FARM gpus=1\nsh ./task\nsh ./task\nsh ./task\nsh ./task\n");
    struct t_result result =
        in_cluster(2, "batch -o out -N 2 -t 5 --gpus-per-node=2 $SCRIPTS/gpus.sbatch tasks.txt\n"
                      "grep ^gpu out | sort; rm -r began.* mpifarm-run\n"
                      "batch -o out -N 2 -n 4 -t 5 --gpus-per-task=1 --wrap "
                      "'mpifarm run tasks.txt'; grep ^gpu out | sort\n");

    cr_assert(eq(str, result.out,
                 "0\ngpu n1/0\ngpu n1/1\ngpu n2/0\ngpu n2/1\n"
                 "0\ngpu n1/0\ngpu n1/1\ngpu n2/0\ngpu n2/1\n"),
              "%s", result.err);
}

/* What a task has before them makes the GPUs of the two nodes differ. */
Test(slurm, ranks_on_several_nodes_get_the_gpus_that_their_task_has_there)
{
    setenv("CLUSTER_SLURM_CONF", "GresTypes=gpu", 1);
    setenv("CLUSTER_NODE", "Gres=gpu:2", 1);
    setenv("CLUSTER_GRES_CONF", "Name=gpu File=/dev/full\nName=gpu File=/dev/zero", 1);
    t_write("tasks.txt", "[id=a gpus=1] echo a $(hostname)/$CUDA_VISIBLE_DEVICES; "
                         "until [ -e b.0 -a -e b.1 ]; do sleep 0.05; done\n"
                         "[id=b gpus=1 nodes=2 ranks=2] touch b.$SLURM_PROCID; "
                         "echo b $(hostname)/$CUDA_VISIBLE_DEVICES/$MPIFARM_GPUS\n");
    struct t_result result =
        in_cluster(2, "batch -o out -N 2 -t 5 --gpus-per-node=2 $SCRIPTS/gpus.sbatch tasks.txt\n"
                      "grep '^[ab] ' out | sort\n");

    cr_assert(eq(str, result.out, "0\na n1/0\nb n1/1/1\nb n2/0/0\n"), "%s\n%s", result.err,
              t_read("out"));
}

Test(slurm, mpirun_works_in_a_batch_job_too)
{
    write_tasks(20);
    struct t_result result =
        in_cluster(2, "batch -o out -N 2 -t 5 $SCRIPTS/mpirun.sbatch tasks.txt\n"
                      "grep ^n out | sort -u; sort -u done | wc -l; wc -l < done\n");

    cr_assert(eq(str, result.out, "0\nn1/1\nn1/2\nn2/1\nn2/2\n20\n20\n"), "%s", result.err);
}

Test(slurm, an_interactive_allocation_runs_a_farm)
{
    write_tasks(20);
    struct t_result result =
        in_cluster(2, "$SCRIPTS/interactive -N 2 -t 5 -- tasks.txt > out; echo $?\n"
                      "sort -u out; sort -u done | wc -l\n");

    cr_assert(eq(str, result.out, "0\nn1/1\nn1/2\nn2/1\nn2/2\n20\n"), "%s", result.err);
}

Test(slurm, each_node_has_the_cpus_and_the_memory_that_slurm_granted_there)
{
    write_tasks(20);
    t_write("large.txt", "[mem=1500M] echo $(hostname)\n[mem=1500M] echo $(hostname)\n");
    struct t_result result = in_cluster(
        2,
        "batch -o out -N 2 -n 3 --mem-per-cpu=1000 -t 5 --wrap 'mpifarm run tasks.txt; "
        "mpifarm run --run-dir large -j 2 large.txt'; sort -u out | grep ^n; grep -c '^n1$' out\n"
        "batch -o out -N 2 -n 2 -c 2 -t 5 --wrap 'mpifarm run --force tasks.txt'\n"
        "sort -u out | grep ^n\n");

    cr_assert(eq(str, result.out,
                 "0\nn1\nn1/1\nn1/2\nn2/1\n2\n"
                 "0\nn1/1\nn1/2\nn2/1\nn2/2\n"),
              "%s", result.err);
}

Test(slurm, copies_that_do_not_know_of_each_other_are_refused)
{
    write_tasks(1);
    struct t_result result = in_cluster(
        2, "batch -o out -N 2 --ntasks-per-node=1 -t 5 --wrap 'srun --mpi=none mpifarm run "
           "tasks.txt'; grep -c 'use srun --mpi=pmix' out; ls done\n");

    cr_assert(eq(str, result.out, "2\n1\n"), "%s", result.err);
}

/* Each rank waits until those of the other task have started too. */
Test(slurm, two_mpi_programs_run_side_by_side_each_on_nodes_of_its_own)
{
    static const char task[] = "touch at.$MPIFARM_TASK_ID.$SLURM_PROCID; "
                               "until [ $(ls at.* | wc -l) = 8 ]; do sleep 0.05; done; "
                               "echo $MPIFARM_TASK_ID of $SLURM_NTASKS $PMIX_RANK on $(hostname)";

    t_write("tasks.txt", "#FARM nodes=2 ranks=4\n%s\n%s\n", task, task);
    struct t_result result =
        in_cluster(4, "batch -o out -N 4 -t 5 $SCRIPTS/farm.sbatch tasks.txt\n"
                      "grep -c 'of 4 [0-3] on n' out; grep ' on n' out | sort -u | wc -l\n"
                      "grep ' on n' out | sed 's/ .* / /' | sort | uniq -c | awk '{print $1}'\n"
                      "grep ' on n' out | sed 's/.* //' | sort -u | wc -l\n");

    cr_assert(eq(str, result.out, "0\n8\n8\n2\n2\n2\n2\n4\n"), "%s\n%s", result.err, t_read("out"));
}

Test(slurm, a_worker_without_which_a_task_would_lack_nodes_is_not_drained)
{
    t_write("tasks.txt", "[id=a] mpifarm drain $MPIFARM_RUN_DIR n2 2>&1; true\n"
                         "[id=b after=a nodes=2] echo on $MPIFARM_NODES\n");
    struct t_result result = in_cluster(2, "batch -o out -N 2 -t 5 $SCRIPTS/farm.sbatch tasks.txt\n"
                                           "grep -o 'task b could .*' out; grep '^on' out\n");

    cr_assert(eq(str, result.out, "0\ntask b could run nowhere else\non 2\n"), "%s\n%s", result.err,
              t_read("out"));
}

Test(slurm, no_rank_outlives_an_srun_that_was_killed)
{
    t_write(
        "tasks.txt",
        "[nodes=2 ranks=4 retries=2] : HERE; [ $MPIFARM_ATTEMPT = 2 ] || "
        "{ echo $$ >> pids; exec sleep 300; }; for p in $(cat pids); do "
        "[ \"$(tr -d '\\0' < /proc/$p/cmdline 2> /dev/null)\" = sleep300 ] && echo $p lives; done; "
        "echo again\n");
    struct t_result result = in_cluster(
        2, "sed -i \"s:HERE:$PWD:\" tasks.txt\n"
           "id=$(sbatch --parsable -o out -N 2 -t 5 $SCRIPTS/farm.sbatch tasks.txt)\n"
           "await sh -c '[ $(cat pids | wc -l) = 4 ]' 2> /dev/null\n"
           "kill -9 $(pgrep -f \"^srun --overlap .*$PWD\"); await is_over; show ExitCode\n"
           "grep 'lives\\|again' out\n");

    cr_assert(eq(str, result.out, "0\nagain\nagain\nagain\nagain\n"), "%s\n%s", result.err,
              t_read("out"));
}

/* Its ranks are below a daemon of Slurm, and would run on with the run directory. */
Test(slurm, with_a_standby_a_run_goes_on_when_its_srun_is_killed)
{
    t_write("tasks.txt",
            "[ -e go ] || { echo $$ > pids; exec sleep 300; }; for p in $(cat pids); do "
            "[ \"$(cat /proc/$p/comm 2> /dev/null)\" = sleep ] && echo $p lives; "
            "done; echo again\n");
    struct t_result result =
        in_cluster(1, "id=$(sbatch --parsable -o out -n 2 -t 5 --wrap \"mpifarm run --launch=srun "
                      "--np 2 --standby "
                      "$PWD/tasks.txt\")\n"
                      "await test -s pids; touch go\n"
                      "kill -9 $(pgrep -f \"^srun .*$PWD\"); await is_over; show ExitCode\n"
                      "grep -o 'new ranks go on with it\\|.*lives\\|^again' out\n");

    cr_assert(eq(str, result.out, "0\nnew ranks go on with it\nagain\n"), "%s\n%s", result.err,
              t_read("out"));
}

/*
 * What is stopped on the other node notices nothing, and its tasks run on: each holds a lock, which
 * it would still have if another attempt began too soon. It may go on in the middle of the wait.
 */
Test(slurm, new_ranks_wait_for_those_that_may_be_left_on_other_nodes)
{
    t_write("tasks.txt", "[id=a cores=2] %s[id=b cores=2] %s", OF_ONE_AT_A_TIME, OF_ONE_AT_A_TIME);
    struct t_result result =
        in_cluster(2, "id=$(sbatch --parsable -o out -N 2 --exclusive -t 5 --wrap \"mpifarm run "
                      "--launch=mpirun --standby --standby-wait 1s $PWD/tasks.txt\")\n"
                      "await test -s began.n1; await test -s began.n2; touch go\n"
                      "cluster on n2 pkill -STOP 'orted|mpifarm'\n"
                      "kill -9 $(pgrep -f \"^mpirun .*$PWD\")\n"
                      "await grep -q 'they begin in 16 s' out; sleep 4; ls again\n"
                      "cluster on n2 pkill -CONT 'orted|mpifarm'\n"
                      "await is_over; show ExitCode; grep -o 'new ranks go on with it' out; "
                      "sort again\n");

    cr_assert(eq(str, result.out, "0\nnew ranks go on with it\na\nb\n"), "%s\n%s", result.err,
              t_read("out"));
}

Test(slurm, what_cannot_end_before_the_job_does_is_not_started)
{
    t_write("tasks.txt", "[time=1h] touch long\ntouch short\n");
    struct t_result result =
        in_cluster(1, "batch -o out -t 30 $SCRIPTS/farm.sbatch tasks.txt; ls long short; "
                      "grep -o 'stopped by the end of its time' out\n");

    cr_assert(eq(str, result.out, "3\nshort\nstopped by the end of its time\n"), "%s", result.err);
}

Test(slurm, a_task_finds_the_job_as_a_batch_script_does)
{
    t_write("tasks.txt", "mpirun -n 4 hostname\n"
                         "srun -n 4 hostname\n"
                         "srun --overlap -N 1 -n 1 hostname\n"
                         "echo job $SLURM_NTASKS $SLURM_TASKS_PER_NODE $SLURM_STEP_ID\n"
                         "sbatch -Q -n 1 -o inner --wrap 'srun -n 1 hostname'\n");
    struct t_result result =
        in_cluster(2, "batch -o out -N 2 --ntasks-per-node=2 -t 5 --wrap 'mpifarm run -k -j 1 "
                      "tasks.txt'; grep '^n[12]$' out | sort | uniq -c; grep ^job out\n"
                      "await grep -qs '^n' inner; grep -c '^n[12]$' inner\n");

    cr_assert(eq(str, result.out, "0\n      5 n1\n      4 n2\njob 4 2(x2)\n1\n"), "%s\n%s",
              result.err, t_read("out"));
}

/* With a node that has none. */
Test(slurm, a_node_on_which_no_rank_can_start_ends_the_run_before_it_begins)
{
    write_tasks(1);
    struct t_result result =
        in_cluster(2, "mkdir bin; cp $(command -v mpifarm) bin\n"
                      "cluster on n2 mount -t tmpfs none $PWD/bin\n"
                      "batch -o out -N 2 -t 5 --wrap 'bin/mpifarm run tasks.txt'\n"
                      "grep -o 'all nodes must have this program' out; ls done\n");

    cr_assert(eq(str, result.out, "3\nall nodes must have this program\n"), "%s", result.err);
}

/* Each, once it runs, lasts until there is "go". */
static void write_lasting_tasks(int n)
{
    FILE *file = fopen("tasks.txt", "w");

    cr_assert(file != NULL);
    for (int i = 0; i < n; i++)
        fprintf(file, "touch began.%d; until [ -e go ]; do sleep 0.05; done; echo %d >> done\n", i,
                i);
    cr_assert(fclose(file) == 0);
}

/* The batch script is on the node of rank 0, and a shell of salloc on none. */
Test(slurm, a_signal_to_it_stops_the_run_wherever_rank_0_is)
{
    write_lasting_tasks(3);
    t_write("job", "#!/bin/sh\n"
                   "mpifarm run --resume -j 1 tasks.txt 2> err & pid=$!\n"
                   "until [ -e began.0 ] && [ -e began.1 ]; do sleep 0.05; done\n"
                   "kill -HUP $pid\n"
                   "until grep -q 'stopped by signal 1 ' err; do sleep 0.05; done\n"
                   "touch go; wait $pid; echo status $?\n");
    struct t_result result = in_cluster(
        2,
        "batch -o out -N 2 -t 5 job; cat out; sort done; ls began.2\n"
        "rm -r mpifarm-run go began.* done; salloc -Q -N 2 -t 5 sh job; sort done; ls began.2\n");

    cr_assert(eq(str, result.out, "0\nstatus 3\n0\n1\nstatus 3\n0\n1\n"), "%s\n%s", result.err,
              t_read("err"));
}

/*
 * A failure that were theirs would be told again by the second job, and be its exit status. The
 * signal alone is what comes before preemption.
 */
Test(slurm, tasks_that_slurm_ends_run_again_and_are_not_charged)
{
    write_lasting_tasks(4);
    struct t_result result = in_cluster(
        2, "for end in 'scancel' 'scancel --signal=TERM' 'scancel --signal=TERM --full' "
           "'scontrol requeue'; do\n"
           "  id=$(sbatch --parsable -o out -N 2 --exclusive -t 5 --wrap "
           "'mpifarm run --resume tasks.txt; echo status $?')\n"
           "  for i in 0 1 2 3; do await test -e began.$i; done\n"
           "  $end $id; await grep -qas '4 tasks left; --resume' out\n"
           "  [ \"$end\" != 'scancel --signal=TERM' ] || await grep status out\n"
           "  scancel $id; await is_over; touch go\n"
           "  batch -o again -N 2 --exclusive -t 5 --wrap 'mpifarm run --resume tasks.txt'\n"
           "  sort done | tr '\\n' ' '; rm -r go done began.* mpifarm-run out\n"
           "done\n");

    cr_assert(eq(str, result.out, "0\n0 1 2 3 status 3\n0\n0 1 2 3 0\n0 1 2 3 0\n0 1 2 3 "),
              "%s\n%s", result.err, t_read("again"));
}

/* All processes of the job are told, mpirun too. */
Test(slurm, behind_mpirun_too_a_cancelled_job_ends_in_order_and_says_what_is_left)
{
    write_lasting_tasks(4);
    struct t_result result =
        in_cluster(1, "id=$(sbatch --parsable -o out -N 1 --exclusive -t 5 --wrap 'trap : TERM; "
                      "mpifarm run --launch=mpirun --np 3 tasks.txt; echo status $?')\n"
                      "for i in 0 1; do await test -e began.$i; done; scancel $id; await is_over\n"
                      "grep -o 'status.*\\|stopped .*left; --resume\\|Forwarding' out\n");

    cr_assert(eq(str, result.out,
                 "stopped by signal 15 (Terminated): 4 tasks left; --resume\nstatus 3\n"),
              "%s\n%s", result.err, t_read("out"));
}

/*
 * Two tasks of n3 may have had their effect, and yet not have been told as done. Slurm need not
 * know of the crash for the run to end.
 */
Test(slurm, what_ran_on_a_node_that_crashes_runs_elsewhere)
{
    write_tasks(100);
    struct t_result result =
        in_cluster(4, "sbatch --no-kill -o out -N 4 --exclusive -t 5 --wrap 'mpifarm run "
                      "tasks.txt; echo status $?' > /dev/null\n"
                      "await grep -qs n3 out; cluster crash n3\n"
                      "await grep 'status' out; grep 'm: lost: n' out; sort -u done | wc -l\n"
                      "[ $(wc -l < done) -le 102 ] || wc -l < done\n");

    cr_assert(eq(str, result.out, "status 0\nmpifarm: lost: n3 (rank 2)\n100\n"), "%s", result.err);
}

/* Tasks that wait, ten by ten, for files go0, go1, ... */
static void write_gated_tasks(int n)
{
    FILE *file = fopen("tasks.txt", "w");

    cr_assert(file != NULL);
    for (int i = 0; i < n; i++)
        fprintf(file, "until [ -e go%d ]; do sleep 0.05; done; echo %d | tee -a done\n", i / 10, i);
    cr_assert(fclose(file) == 0);
}

/* With three CPUs, wherever they are, and from a directory whose name has to be quoted. */
Test(slurm, batch_submits_a_job_whose_status_is_seen_from_other_hosts)
{
    write_gated_tasks(20);
    struct t_result result =
        in_cluster(2, "mkdir 'a \"b'; cd 'a \"b'; touch go0\n"
                      "mpifarm batch ../tasks.txt -n 3 -t 5 -o 'my out' -H > told || exit\n"
                      "id=$(sed -n 's/Submitted batch job //p' told)\n"
                      "mpifarm status; mpifarm batch ../tasks.txt 2>&1 | grep -o 'already'; "
                      "scontrol release $id\n"
                      "await grep -qs '\"done\": 10,' mpifarm-run/status.json\n"
                      "mpifarm status | sed 's/since.*as n1/as n1/; s/told .*/told/'\n"
                      "touch go1; await is_over; show ExitCode; sort -u done | wc -l\n"
                      "mpifarm status | sed 's/took.*/took/'\n");

    cr_assert(eq(str, result.out,
                 "the run has not begun; job 1 is in the queue\nalready\n"
                 "the run goes on, as n1 told\ntasks: 10 of 20 done, 3 running, 7 left\n"
                 "workers: 2 with 3 slots\n0\n20\nthe run is over; it took\n"
                 "tasks: 20 of 20 done\n"),
              "%s\n%s", result.err, t_read("a \"b/my out"));
}

Test(slurm, a_chain_goes_on_after_a_job_that_is_killed_and_ends_with_one_that_is_cancelled)
{
    write_gated_tasks(30);
    struct t_result result = in_cluster(
        2, "chain() { mpifarm batch --chain tasks.txt -N 2 -t 5 -o out | "
           "sed -n 's/Submitted batch job \\([0-9]*\\).*/\\1/p'; }\n"
           "has_done() { grep -qs \"\\\"done\\\": $1,\" mpifarm-run/status.json; }\n"
           "touch go0; id=$(chain); await has_done 10\n"
           "scancel --signal=KILL --batch $id; await is_over; touch go1; await has_done 20\n"
           "id=$(squeue -h -t RUNNING -o %i); scancel $id\n"
           "is_idle() { [ -z \"$(squeue -h)\" ]; }; await is_idle\n"
           "touch go2; id=$(chain); await is_idle; show ExitCode\n"
           "wc -l < done; sort -u done | wc -l; grep -x '[0-9]*' out | sort -u | wc -l\n");

    cr_assert(eq(str, result.out, "0\n30\n30\n30\n"), "%s\n%s", result.err, t_read("out"));
}

/*
 * Slurm would look only now and then whether the time of a job is up, or its hold. Within the
 * second in which it was ended, it cannot be started again: "Job credential revoked".
 */
Test(slurm, a_job_puts_itself_into_the_queue_again_until_nothing_is_left)
{
    write_gated_tasks(20);
    struct t_result result =
        in_cluster(2, "touch go0; id=$(sbatch --parsable -N 2 -t 5 -o out $SCRIPTS/chain.sbatch "
                      "tasks.txt)\n"
                      "await grep -qs '\"done\": 10,' mpifarm-run/status.json\n"
                      "scancel --signal=USR1 --batch $id; await grep -q 'stopped by signal' out\n"
                      "scancel --signal=USR1 --batch $id\n"
                      "is_back() { show JobState | grep -qx PENDING && [ $(show Restarts) = 1 ] && "
                      "! sinfo -hNo %T | grep -qv idle; }\n"
                      "await is_back; scontrol update JobId=$id StartTime=now+3; touch go1\n"
                      "await is_over; show ExitCode; wc -l < done; sort -u done | wc -l\n"
                      "show ExitCode | grep -qx 0 || tail -n 20 $CLUSTER_DIR/log/* >&2\n");

    cr_assert(eq(str, result.out, "0\n20\n20\n"), "%s\n%s", result.err, t_read("out"));
}

/* One of the tasks kills whatever it runs in. */
Test(slurm, a_function_of_a_library_program_that_crashes_ends_alone)
{
    struct t_result result =
        in_cluster(2, "batch -o out -N 2 -t 5 $SCRIPTS/library.sbatch $LOSING poison\n"
                      "grep '^poison\\|^good' out\n");

    cr_assert(eq(str, result.out, "0\npoison: status 2 cause 3\ngood: status 1 cause 0\n"),
              "%s\n%s", result.err, t_read("out"));
}

Test(slurm, nodes_that_slurm_does_not_take_back_go_on_working)
{
    setenv("CLUSTER_SLURM_CONF",
           "SchedulerParameters=batch_sched_delay=0,sched_interval=2,disable_job_shrink", 1);
    t_write("tasks.txt", "until [ -e go ]; do sleep 0.05; done\n[after=1 cores=2] hostname\n");
    struct t_result result =
        in_cluster(3, "id=$(sbatch --parsable -o out -N 3 --exclusive -t 5 --wrap 'mpifarm run "
                      "--release-idle tasks.txt') 2> /dev/null\n"
                      "await grep -qs 'does not take' out; "
                      "await grep -q '\"workers\": 3,' mpifarm-run/status.json\n"
                      "touch go; await is_over\n"
                      "show ExitCode; show NumNodes; grep -c '^n[123]$' out\n"
                      "grep -o 'does not take nodes back: Requested operation not supported' out\n"
                      "batch -o no -N 3 --exclusive -t 5 --wrap 'mpifarm run --launch=mpirun "
                      "--release-idle tasks.txt'; grep -o 'needs ranks that.*srun:' no\n");

    cr_assert(eq(str, result.out,
                 "0\n3\n1\ndoes not take nodes back: Requested operation not supported\n"
                 "2\nneeds ranks that mpifarm starts by srun:\n"),
              "%s\n%s", result.err, t_read("out"));
}

/* Two tasks are left for the four slots of two nodes, and one that comes after them. */
Test(slurm, an_idle_node_goes_back_to_slurm_when_what_is_left_fits_on_the_others)
{
    t_write("tasks.txt", "until [ -e go ]; do sleep 0.05; done; echo a >> done\n"
                         "[id=b] until [ -e go ]; do sleep 0.05; done; echo b >> done\n"
                         "[after=b] echo c >> done\ntrue\ntrue\ntrue\n");
    struct t_result result =
        in_cluster(3, "id=$(sbatch --parsable -o out -N 3 --ntasks-per-node=1 --exclusive "
                      "--no-kill -t 5 --wrap 'mpifarm run --release-idle tasks.txt')\n"
                      "is_given() { show NumNodes | grep -qx 2; }; await is_given\n"
                      "await grep -q '\"workers\": 2,' mpifarm-run/status.json\n"
                      "is_free() { [ $(sinfo -hNo %T -n n3) = idle ]; }; await is_free\n"
                      "touch go; await is_over; show ExitCode; cat done | sort; ls\n"
                      "grep -o 'given back.*' out; grep '\"lost\"' mpifarm-run/status.json\n");

    cr_assert(eq(str, result.out,
                 "0\na\nb\nc\ndone\ngo\nmpifarm-run\nout\nscript\ntasks.txt\n"
                 "given back to Slurm: n3\n  \"lost\": 0,\n"),
              "%s\n%s", result.err, t_read("out"));
}
