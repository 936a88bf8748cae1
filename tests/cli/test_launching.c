/* What starts the ranks of a run, chosen from --launch, --np and the environment. */
#include "cli/launching.h"

#include "base/clock.h"
#include "cli/walltime.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Each test is a process of its own, so these are too. */
static char dir[] = "/tmp/mpifarm.XXXXXX";
static const struct mf_log no_log;
static const struct mf_launch alone = {.n_copies = 1};
static struct mf_launching launching;
static struct mf_error err;

/* A program in the only directory of PATH. */
static void write_program(const char *name, const char *text)
{
    char path[64];
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    file = fopen(path, "w");
    cr_assert(file != NULL);
    fprintf(file, "#!/bin/sh\n%s\n", text);
    cr_assert(eq(int, fclose(file), 0));
    cr_assert(eq(int, chmod(path, 0755), 0));
}

static void set_number(const char *name, int64_t number)
{
    char text[32];

    snprintf(text, sizeof(text), "%lld", (long long)number);
    setenv(name, text, 1);
}

/* A batch script of a job that has so many nodes and goes on for an hour. */
static void enter_job(int n_nodes)
{
    setenv("SLURM_JOB_ID", "7", 1);
    set_number("SLURM_JOB_NUM_NODES", n_nodes);
    setenv("SLURM_JOB_CPUS_PER_NODE", "2(x3),1", 1);
    setenv("SLURM_JOB_NODELIST", n_nodes == 1 ? "n1" : "n[1-4]", 1);
    setenv("SLURMD_NODENAME", "n1", 1);
    set_number("SLURM_JOB_END_TIME", mf_clock_wall_ns() / MF_NS_PER_S + 3600);
}

static void setup(void)
{
    clearenv();
    cr_assert(mkdtemp(dir) != NULL);
    setenv("PATH", dir, 1);
    write_program("srun", "printf 'MPI plugin types are...\\n\\tnone\\n\\tpmi2\\n\\tpmix\\n'");
}

static void teardown(void)
{
    char command[64];

    snprintf(command, sizeof(command), "PATH=/bin:/usr/bin rm -rf %s", dir);
    if (system(command) != 0)
        cr_log_warn("cannot remove %s", dir);
}

TestSuite(launching, .init = setup, .fini = teardown);

static int choose(enum mf_launch_way wanted, uint32_t n_ranks)
{
    return mf_launching_choose(wanted, n_ranks, false, &alone, &launching, &err);
}

static void refuse(enum mf_launch_way wanted, uint32_t n_ranks, const char *sentence)
{
    cr_assert(lt(int, choose(wanted, n_ranks), 0));
    cr_assert(strstr(err.text, sentence) != NULL, "%s", err.text);
}

Test(launching, ways_are_read_as_they_are_named)
{
    enum mf_launch_way way;

    cr_assert(eq(int, mf_launch_way_parse("auto", &way, &err), 0));
    cr_assert(eq(int, (int)way, MF_LAUNCH_AUTO));
    cr_assert(eq(int, mf_launch_way_parse("none", &way, &err), 0));
    cr_assert(eq(int, (int)way, MF_LAUNCH_NONE));
    cr_assert(eq(int, mf_launch_way_parse("srun", &way, &err), 0));
    cr_assert(eq(int, (int)way, MF_LAUNCH_SRUN));
    cr_assert(eq(int, mf_launch_way_parse("mpirun", &way, &err), 0));
    cr_assert(eq(int, (int)way, MF_LAUNCH_MPIRUN));
    cr_assert(eq(int, mf_launch_way_parse("ssh", &way, &err), -EINVAL));
    cr_assert(strstr(err.text, "\"ssh\" is none of auto, none, srun and mpirun") != NULL);
}

Test(launching, outside_a_job_nothing_is_started)
{
    cr_assert(eq(int, choose(MF_LAUNCH_AUTO, 0), 0));
    cr_assert(eq(int, (int)launching.way, MF_LAUNCH_NONE));
}

Test(launching, in_a_job_there_is_one_rank_on_each_node)
{
    enter_job(4);
    cr_assert(eq(int, choose(MF_LAUNCH_AUTO, 0), 0), "%s", err.text);
    cr_assert(eq(int, (int)launching.way, MF_LAUNCH_SRUN));
    cr_assert(eq(u32, launching.n_ranks, 4));
    cr_assert(launching.is_per_node);
}

Test(launching, one_node_needs_nothing_where_this_is_that_node)
{
    enter_job(1);
    cr_assert(eq(int, choose(MF_LAUNCH_AUTO, 0), 0), "%s", err.text);
    cr_assert(eq(int, (int)launching.way, MF_LAUNCH_NONE));
    cr_assert(eq(int, choose(MF_LAUNCH_SRUN, 0), 0), "%s", err.text);
    cr_assert(eq(int, (int)launching.way, MF_LAUNCH_SRUN), "but it is to be had");

    unsetenv("SLURMD_NODENAME");
    cr_assert(eq(int, choose(MF_LAUNCH_AUTO, 0), 0), "%s", err.text);
    cr_assert(eq(int, (int)launching.way, MF_LAUNCH_SRUN), "the shell of salloc elsewhere");
    setenv("SLURMD_NODENAME", "n9", 1);
    cr_assert(eq(int, choose(MF_LAUNCH_AUTO, 0), 0), "%s", err.text);
    cr_assert(eq(int, (int)launching.way, MF_LAUNCH_SRUN), "or in another job");
}

Test(launching, mpirun_which_would_leave_components_idle_is_refused)
{
    enter_job(1);
    setenv("SLURM_HET_SIZE", "2", 1);
    setenv("SLURM_JOB_NUM_NODES_HET_GROUP_1", "3", 1);
    write_program("mpirun", "");
    refuse(MF_LAUNCH_MPIRUN, 0,
           "job 7 is heterogeneous, and mpirun would use the nodes of its "
           "first component alone: use --launch=srun");
    cr_assert(eq(int, mf_launching_choose(MF_LAUNCH_AUTO, 0, true, &alone, &launching, &err), 0),
              "%s", err.text);
    cr_assert(eq(int, (int)launching.way, MF_LAUNCH_SRUN), "also to survive");
    write_program("srun", "echo none");
    refuse(MF_LAUNCH_AUTO, 0, "or --launch=none for this node alone");
}

Test(launching, without_pmix_it_is_mpirun)
{
    enter_job(2);
    write_program("srun", "printf 'MPI plugin types are...\\n\\tnone\\n\\tpmi2\\n' >&2");
    write_program("mpirun", "");
    cr_assert(eq(int, choose(MF_LAUNCH_AUTO, 0), 0), "%s", err.text);
    cr_assert(eq(int, (int)launching.way, MF_LAUNCH_MPIRUN));
    cr_assert(eq(u32, launching.n_ranks, 2));
    refuse(MF_LAUNCH_SRUN, 0, "this Slurm has no PMIx");
}

Test(launching, what_is_to_survive_the_death_of_a_rank_is_started_by_mpirun)
{
    enter_job(2);
    cr_assert(eq(int, mf_launching_choose(MF_LAUNCH_AUTO, 0, true, &alone, &launching, &err), 0));
    cr_assert(eq(int, (int)launching.way, MF_LAUNCH_SRUN), "if there is none");
    write_program("mpirun", "");
    cr_assert(eq(int, mf_launching_choose(MF_LAUNCH_AUTO, 0, true, &alone, &launching, &err), 0));
    cr_assert(eq(int, (int)launching.way, MF_LAUNCH_MPIRUN));
    cr_assert(eq(int, mf_launching_choose(MF_LAUNCH_SRUN, 0, true, &alone, &launching, &err), 0));
    cr_assert(eq(int, (int)launching.way, MF_LAUNCH_SRUN), "or unless it is asked for");
}

Test(launching, with_nothing_to_start_ranks_that_is_said)
{
    enter_job(2);
    write_program("srun", "echo none");
    refuse(MF_LAUNCH_AUTO, 0, "nothing can start ranks on the 2 nodes of job 7");
    cr_assert(strstr(err.text, "--launch=none") != NULL, "%s", err.text);
    cr_assert(eq(int, choose(MF_LAUNCH_NONE, 0), 0));
}

Test(launching, what_is_a_rank_already_starts_none)
{
    const struct mf_launch rank = {.is_mpi = true, .n_copies = 2};
    const struct mf_launch only = {.is_mpi = true, .n_copies = 1};

    enter_job(2);
    cr_assert(eq(int, mf_launching_choose(MF_LAUNCH_AUTO, 0, false, &rank, &launching, &err), 0));
    cr_assert(eq(int, (int)launching.way, MF_LAUNCH_NONE));
    cr_assert(eq(int, mf_launching_choose(MF_LAUNCH_AUTO, 0, false, &only, &launching, &err), 0));
    cr_assert(eq(int, (int)launching.way, MF_LAUNCH_NONE));
    cr_assert(lt(int, mf_launching_choose(MF_LAUNCH_SRUN, 0, false, &rank, &launching, &err), 0));
    cr_assert(strstr(err.text, "has started this already") != NULL, "%s", err.text);

    setenv("MPIFARM_SUPERVISED", "file", 1);
    cr_assert(eq(int, mf_launching_choose(MF_LAUNCH_SRUN, 0, false, &rank, &launching, &err), 0));
    cr_assert(eq(int, (int)launching.way, MF_LAUNCH_NONE), "what was started by that option");
}

Test(launching, a_step_of_one_task_is_what_the_user_wanted)
{
    enter_job(2);
    setenv("SLURM_PROCID", "0", 1);
    setenv("SLURM_STEP_ID", "3", 1);
    cr_assert(eq(int, choose(MF_LAUNCH_AUTO, 0), 0));
    cr_assert(eq(int, (int)launching.way, MF_LAUNCH_NONE));
    setenv("SLURM_STEP_ID", "4294967290", 1);
    cr_assert(eq(int, choose(MF_LAUNCH_AUTO, 0), 0));
    cr_assert(eq(int, (int)launching.way, MF_LAUNCH_SRUN), "the shell of salloc on a node");
}

Test(launching, a_farm_within_a_task_has_the_share_of_the_task)
{
    enter_job(2);
    setenv("MPIFARM_TASK_ID", "a", 1);
    cr_assert(eq(int, choose(MF_LAUNCH_AUTO, 0), 0));
    cr_assert(eq(int, (int)launching.way, MF_LAUNCH_NONE));
}

Test(launching, a_number_of_ranks_goes_to_mpirun_unless_it_is_to_be_srun)
{
    cr_assert(eq(int, choose(MF_LAUNCH_AUTO, 3), 0));
    cr_assert(eq(int, (int)launching.way, MF_LAUNCH_MPIRUN));
    cr_assert(eq(u32, launching.n_ranks, 3));
    cr_assert(not(launching.is_per_node));
    enter_job(4);
    cr_assert(eq(int, choose(MF_LAUNCH_SRUN, 7), 0), "%s", err.text);
    cr_assert(eq(int, (int)launching.way, MF_LAUNCH_SRUN));
    cr_assert(eq(u32, launching.n_ranks, 7));
}

Test(launching, ranks_that_make_no_sense_are_refused)
{
    refuse(MF_LAUNCH_NONE, 3, "--np starts ranks, and --launch=none starts none");
    refuse(MF_LAUNCH_MPIRUN, 0, "--np N");
    enter_job(4);
    refuse(MF_LAUNCH_SRUN, 8, "--np 8: job 7 has 7 CPUs");
}

Test(launching, srun_outside_a_job_is_refused)
{
    refuse(MF_LAUNCH_SRUN, 0, "in no Slurm job; call it in a batch script");
}

static void expect_over(const char *sentence)
{
    cr_assert(lt(int, mf_walltime_check(&no_log, true, &err), 0));
    cr_assert(strstr(err.text, sentence) != NULL, "%s", err.text);
}

Test(launching, a_job_that_is_over_is_refused)
{
    enter_job(4);
    set_number("SLURM_JOB_END_TIME", mf_clock_wall_ns() / MF_NS_PER_S - 300);
    write_program("squeue", "echo Invalid job id specified >&2; exit 1");
    expect_over("the time of job 7 was over 5m0");
    unsetenv("SLURM_JOB_END_TIME");
    expect_over("job 7 is over");
    write_program("squeue", "");
    expect_over("job 7 is over");
}

Test(launching, a_job_that_got_more_time_is_not_over)
{
    int64_t left_ns;

    enter_job(4);
    set_number("SLURM_JOB_END_TIME", mf_clock_wall_ns() / MF_NS_PER_S - 300);
    write_program("squeue", "echo squeue: a warning >&2; echo 1:00:00");
    cr_assert(eq(int, mf_walltime_check(&no_log, true, &err), 0), "%s", err.text);
    write_program("squeue", "echo asked again; exit 1");
    cr_assert(eq(int, mf_allocation_time_left(&left_ns, &err), 1), "%s", err.text);
    cr_assert(gt(i64, left_ns, 3500 * MF_NS_PER_S));
}

Test(launching, a_job_without_an_end_is_asked_for_once)
{
    int64_t left_ns;

    enter_job(4);
    unsetenv("SLURM_JOB_END_TIME");
    write_program("squeue", "echo UNLIMITED");
    cr_assert(eq(int, mf_walltime_check(&no_log, true, &err), 0), "%s", err.text);
    write_program("squeue", "echo asked again; exit 1");
    cr_assert(eq(int, mf_allocation_time_left(&left_ns, &err), 0));
}

Test(launching, variables_that_make_no_sense_are_named)
{
    enter_job(4);
    setenv("SLURM_JOB_NUM_NODES", "four", 1);
    refuse(MF_LAUNCH_AUTO, 0, "SLURM_JOB_NUM_NODES is \"four\"");
    cr_assert(eq(int, choose(MF_LAUNCH_NONE, 0), 0));
}

/* --- the command line of what starts the ranks --- */

/* What a program that says how it was called says, without the path of this one. */
static const char *call(const struct mf_launching *how)
{
    static char text[4096];
    char program[] = "mpifarm", name[] = "run", operand[] = "a file";
    char *words[] = {program, name, operand, NULL};
    const struct mf_context context = {.argv = words, .argc = 3};
    int fds[2], status;
    ssize_t n = 0, got;

    write_program(mf_launch_way_name(how->way),
                  "echo \"$*\"; echo ${SLURM_NTASKS-no} ${SLURM_LABELIO-no} ${PMIX_RANK-no} "
                  "$SLURM_JOB_ID $MPIFARM_KEPT_SLURM_NTASKS $MPIFARM_KEPT_SLURM_JOB_ID");
    cr_assert(eq(int, pipe(fds), 0));
    if (fork() == 0) {
        dup2(fds[1], STDOUT_FILENO);
        close(fds[0]);
        _exit(-mf_launching_exec(how, &context, false));
    }
    close(fds[1]);
    while ((got = read(fds[0], text + n, sizeof(text) - 1 - (size_t)n)) > 0)
        n += got;
    text[n] = '\0';
    close(fds[0]);
    cr_assert(wait(&status) > 0);
    cr_assert(eq(int, status, 0), "%s", text);
    return text;
}

static void expect_words(const char *text, const char *words)
{
    cr_assert(strstr(text, words) != NULL, "%s", text);
}

Test(launching, srun_gets_one_rank_for_each_node_whatever_the_job_says_of_tasks)
{
    const char *text;

    enter_job(4);
    setenv("SLURM_NTASKS", "64", 1);
    setenv("SLURM_LABELIO", "1", 1);
    setenv("PMIX_RANK", "0", 1);
    cr_assert(eq(int, choose(MF_LAUNCH_SRUN, 0), 0), "%s", err.text);
    text = call(&launching);
    expect_words(text, "--no-kill ");
    expect_words(text, "--mpi=pmix --overlap ");
    expect_words(text, "--input=0 ");
    expect_words(text, "--nodes=4 --ntasks=4 --ntasks-per-node=1 ");
    expect_words(text, " run a file\nno no no 7 64 7\n");
}

Test(launching, srun_spreads_a_number_of_ranks_over_the_nodes)
{
    enter_job(4);
    cr_assert(eq(int, choose(MF_LAUNCH_SRUN, 3), 0), "%s", err.text);
    expect_words(call(&launching), "--nodes=3 --ntasks=3 --distribution=cyclic ");
}

Test(launching, srun_starts_ranks_in_all_components_of_a_heterogeneous_job)
{
    enter_job(1);
    setenv("SLURM_HET_SIZE", "3", 1);
    cr_assert(eq(int, choose(MF_LAUNCH_AUTO, 0), 0), "%s", err.text);
    expect_words(call(&launching), "--het-group=0-2 --ntasks-per-node=1 ");
}

Test(launching, gpus_that_a_job_got_by_task_are_asked_for_by_node)
{
    enter_job(4);
    setenv("SLURM_NTASKS", "8", 1);
    setenv("SLURM_GPUS_PER_TASK", "1", 1);
    setenv("SLURM_GPUS_ON_NODE", "2", 1);
    cr_assert(eq(int, choose(MF_LAUNCH_SRUN, 0), 0), "%s", err.text);
    expect_words(call(&launching), "--gpus-per-node=2 ");
    setenv("SLURM_GPUS_ON_NODE", "3", 1);
    cr_assert(strstr(call(&launching), "--gpus-per-node") == NULL, "nodes have different numbers");
}

Test(launching, mpirun_survives_the_death_of_ranks)
{
    const char *text;

    enter_job(4);
    setenv("SLURM_NTASKS", "64", 1);
    cr_assert(eq(int, choose(MF_LAUNCH_MPIRUN, 0), 0), "%s", err.text);
    text = call(&launching);
    expect_words(text, "--enable-recovery ");
    expect_words(text, "--map-by node ");
    expect_words(text, " -n 4 ");
    expect_words(text, "no no no 7 64 7\n");
}
