/* What a command finds when it starts. */
#include "rig.h"

#include <criterion/criterion.h>

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

Test(environment, variables_of_mpi_launchers_are_hidden_and_others_are_kept)
{
    struct rig *rig;
    struct rig_task *task;

    setenv("OMPI_COMM_WORLD_RANK", "1", 1);
    setenv("OMPI_ALLOW_RUN_AS_ROOT", "1", 1);
    unsetenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM");
    setenv("PMIX_RANK", "1", 1);
    setenv("PMI_RANK", "1", 1);
    setenv("PRTE_X", "1", 1);
    setenv("ORTE_X", "1", 1);
    setenv("SLURM_STEP_ID", "1", 1);
    setenv("MPIFARM_SLOT", "old", 1);
    rig = rig_create((struct rig_options){0});
    task = rig_run(rig, "env | grep -E '^(OMPI|PMIX|PMI|PRTE|ORTE)_'; env | grep -c ^SLURM_; "
                        "env | grep -c ^MPIFARM_SLOT");
    cr_assert_str_eq(task->text[MF_STDOUT], "OMPI_ALLOW_RUN_AS_ROOT=1\n1\n1\n");
    rig_destroy(rig);
}

Test(environment, variables_of_slurm_are_as_they_were_before_the_farm_started_its_ranks)
{
    struct rig *rig;
    struct rig_task *task;

    setenv("MPIFARM_KEPT_SLURM_NTASKS", "64", 1);
    setenv("MPIFARM_KEPT_SLURM_CPUS_ON_NODE", "8", 1);
    setenv("SLURM_NTASKS", "4", 1);
    setenv("SLURM_CPUS_ON_NODE", "2", 1);
    setenv("SLURM_STEP_ID", "1", 1);
    setenv("SLURM_CPU_BIND", "none", 1);
    setenv("MPIFARM_TERMINAL", "80", 1);
    setenv("MPIFARM_JOB_END", "none", 1);
    rig = rig_create((struct rig_options){0});
    task = rig_run(rig, "env | grep -E 'SLURM|MPIFARM_(TERMINAL|JOB)' | sort");
    cr_assert_str_eq(task->text[MF_STDOUT], "SLURM_CPUS_ON_NODE=2\nSLURM_NTASKS=64\n",
                     "and what is about the node is of this one");
    rig_destroy(rig);
}

Test(environment, task_sees_who_and_where_it_is)
{
    struct rig *rig;
    const char *text = "echo $MPIFARM_TASK_ID $MPIFARM_ATTEMPT $MPIFARM_RANK $MPIFARM_SLOT "
                       "$MPIFARM_RUN_DIR ${MPIFARM_CORES-none} $OMP_NUM_THREADS $PARALLEL_SEQ "
                       "$PARALLEL_JOBSLOT";
    struct mf_command command = {
        .id = "my id", .seq = 5, .is_shell = true, .n_args = 1, .args = &text};

    unsetenv("OMP_NUM_THREADS");
    rig = rig_create((struct rig_options){.first_number = 4});
    rig_start_command(rig, 1, 1, 0, &command);
    cr_assert_str_eq(rig_wait_ended(rig, 1)->text[MF_STDOUT], "my id 1 7 5 /run/dir none 1 5 5\n");
    rig_destroy(rig);
}

Test(environment, number_of_threads_is_left_to_the_user_who_sets_it)
{
    struct rig *rig;

    setenv("OMP_NUM_THREADS", "12", 1);
    rig = rig_create((struct rig_options){0});
    cr_assert_str_eq(rig_run(rig, "echo $OMP_NUM_THREADS")->text[MF_STDOUT], "12\n");
    rig_destroy(rig);
}

Test(environment, commands_own_variables_win)
{
    struct rig *rig;
    const char *text =
        "echo $A $OMP_NUM_THREADS $MPIFARM_SLOT; env | grep -cE '^(A|OMP_NUM_THREADS)='";
    const char *env[] = {"A=new", "OMP_NUM_THREADS=9", "MPIFARM_SLOT=mine"};
    struct mf_command command = {
        .id = "a", .is_shell = true, .n_args = 1, .args = &text, .n_env = 3, .env = env};

    setenv("A", "old", 1);
    rig = rig_create((struct rig_options){0});
    rig_start_command(rig, 1, 0, 0, &command);
    cr_assert_str_eq(rig_wait_ended(rig, 1)->text[MF_STDOUT], "new 9 mine\n2\n");
    rig_destroy(rig);
}

Test(environment, program_is_searched_along_the_commands_own_path)
{
    struct rig *rig = rig_create((struct rig_options){0});
    const char *args[] = {"t-own-program"};
    char path[300], *slash;
    const char *env[] = {path};
    struct mf_command command = {.id = "a", .n_args = 1, .args = args, .n_env = 1, .env = env};
    FILE *file = fopen(rig_path("t-own-program"), "we");

    cr_assert(file);
    fputs("#!/bin/sh\necho found\n", file);
    fclose(file);
    cr_assert_eq(chmod(rig_path("t-own-program"), 0755), 0);
    snprintf(path, sizeof(path), "PATH=/no/such/dir:%s", rig_path(""));
    slash = strrchr(path, '/');
    *slash = '\0';
    rig_start_command(rig, 1, 0, 0, &command);
    cr_assert_str_eq(rig_wait_ended(rig, 1)->text[MF_STDOUT], "found\n");
    rig_destroy(rig);
}

Test(environment, slot_number_is_put_at_the_marks)
{
    struct rig *rig = rig_create((struct rig_options){.first_number = 41});
    const char *args[] = {"echo", "a-b-c", "plain", "d"};
    struct mf_slot_mark marks[] = {{1, 2}, {1, 4}, {3, 1}};
    struct mf_command command = {
        .id = "a", .n_args = 4, .args = args, .n_marks = 3, .marks = marks};

    rig_start_command(rig, 1, 1, 0, &command);
    cr_assert_str_eq(rig_wait_ended(rig, 1)->text[MF_STDOUT], "a-42b-42c plain d42\n");
    rig_destroy(rig);
}

Test(environment, standard_input_is_empty)
{
    struct rig *rig = rig_create((struct rig_options){0});

    cr_assert_str_eq(rig_run(rig, "readlink /proc/self/fd/0; cat | wc -c")->text[MF_STDOUT],
                     "/dev/null\n0\n");
    rig_destroy(rig);
}

Test(environment, no_other_descriptor_is_inherited)
{
    struct rig *rig;
    FILE *open_file = fopen("/dev/zero", "r");

    cr_assert(open_file);
    rig = rig_create((struct rig_options){0});
    /* 3 is that of ls itself. */
    cr_assert_str_eq(rig_run(rig, "exec ls /proc/self/fd")->text[MF_STDOUT], "0\n1\n2\n3\n");
    rig_destroy(rig);
    fclose(open_file);
}

Test(environment, directory_is_entered)
{
    struct rig *rig = rig_create((struct rig_options){0});
    const char *args[] = {"pwd"};
    struct mf_command command = {.id = "a", .n_args = 1, .args = args, .cwd = "/usr"};

    rig_start_command(rig, 1, 0, 0, &command);
    cr_assert_str_eq(rig_wait_ended(rig, 1)->text[MF_STDOUT], "/usr\n");
    rig_destroy(rig);
}

Test(environment, limit_of_open_files_is_the_original_one)
{
    struct rlimit limit;
    struct rig *rig;
    char expected[64];

    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = 123;
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    snprintf(expected, sizeof(expected), "123\n%lu\n", (unsigned long)limit.rlim_max);
    rig = rig_create((struct rig_options){0});
    cr_assert_str_eq(rig_run(rig, "ulimit -Sn; ulimit -Hn")->text[MF_STDOUT], expected);
    rig_destroy(rig);
}

/* The first two processors that this process may use; the same one twice if there is no other. */
static void find_cpus(uint32_t cpus[2])
{
    cpu_set_t set;
    int n = 0;

    cr_assert_eq(sched_getaffinity(0, sizeof(set), &set), 0);
    for (uint32_t i = 0; i < CPU_SETSIZE && n < 2; i++)
        if (CPU_ISSET(i, &set))
            cpus[n++] = i;
    cr_assert_geq(n, 1);
    if (n == 1)
        cpus[1] = cpus[0];
}

Test(environment, command_is_pinned_to_the_processors_of_its_slot)
{
    uint32_t cpus[2];
    struct rig *rig;
    struct rig_task *task;
    char expected[64];

    find_cpus(cpus);
    rig = rig_create((struct rig_options){.cpus = cpus});
    rig_sh(rig, 1, 1, "grep Cpus_allowed_list /proc/self/status; echo $MPIFARM_CORES");
    task = rig_wait_ended(rig, 1);
    snprintf(expected, sizeof(expected), "Cpus_allowed_list:\t%u\n%u\n", cpus[1], cpus[1]);
    cr_assert_str_eq(task->text[MF_STDOUT], expected);
    rig_destroy(rig);
}

Test(environment, command_with_two_slots_has_the_processors_of_both)
{
    uint32_t cpus[2], slots[] = {0, 1};
    struct rig *rig;
    const char *text = "grep Cpus_allowed_list /proc/self/status; echo $MPIFARM_CORES";
    struct mf_command command = {.id = "a", .is_shell = true, .n_args = 1, .args = &text};
    struct mf_start start = {.task = 1, .attempt = 1, .n_slots = 2, .slots = slots};
    struct mf_buffer bytes = {0};
    char expected[64];

    find_cpus(cpus);
    if (cpus[0] == cpus[1])
        cr_skip_test("needs two processors");
    rig = rig_create((struct rig_options){.cpus = cpus});
    mf_command_encode(&command, &bytes);
    start.command = bytes.data;
    start.command_size = bytes.size;
    cr_assert_eq(rig->executor->ops->start(rig->executor, &start), 0);
    mf_buffer_finish(&bytes);
    snprintf(expected, sizeof(expected), "Cpus_allowed_list:\t%u%c%u\n%u,%u\n", cpus[0],
             cpus[1] == cpus[0] + 1 ? '-' : ',', cpus[1], cpus[0], cpus[1]);
    cr_assert_str_eq(rig_wait_ended(rig, 1)->text[MF_STDOUT], expected);
    rig_destroy(rig);
}

/* Texts of many lengths, so that one in another's memory would show. */
static void put_name(char *text, size_t size, const char *prefix, mf_task_id task)
{
    int width = (int)(task * 37 % 300) + 1;

    snprintf(text, size, "%s%0*d", prefix, width, (int)task);
}

Test(environment, each_of_many_commands_in_a_row_gets_its_own_texts)
{
    enum { N = 400, N_SLOTS = 8 };
    struct rig *rig = rig_create((struct rig_options){.n_slots = N_SLOTS});
    char id[400], variable[400], arg[400], expected[1204];
    const char *args[] = {"sh", "-c", "echo $MPIFARM_TASK_ID $X $0", arg};
    const char *env[] = {variable};
    struct mf_command command = {.id = id, .n_args = 4, .args = args, .n_env = 1, .env = env};

    for (mf_task_id task = 1; task <= N; task++) {
        put_name(id, sizeof(id), "id-", task);
        put_name(variable, sizeof(variable), "X=", N - task);
        put_name(arg, sizeof(arg), "arg-", 2 * task);
        rig_start_command(rig, task, task <= N_SLOTS ? (int)task - 1 : RIG_STAGED, 0, &command);
    }
    rig_wait_all(rig, N);
    for (mf_task_id task = 1; task <= N; task++) {
        put_name(id, sizeof(id), "id-", task);
        put_name(variable, sizeof(variable), "", N - task);
        put_name(arg, sizeof(arg), "arg-", 2 * task);
        snprintf(expected, sizeof(expected), "%s %s %s\n", id, variable, arg);
        cr_assert_str_eq(rig->tasks[task].text[MF_STDOUT], expected);
    }
    rig_destroy(rig);
}

/* Starts a shell command with GPUs, NULL for none, and returns what it printed. */
static const char *print_with_gpus(struct rig *rig, mf_task_id task, const char *gpus,
                                   const char *text)
{
    struct mf_command command = {.id = "a", .is_shell = true, .n_args = 1, .args = &text};
    struct mf_buffer bytes = {0};
    uint32_t slot = 0;
    struct mf_start start = {
        .task = task, .attempt = 1, .n_slots = 1, .slots = &slot, .gpus = gpus};

    mf_command_encode(&command, &bytes);
    start.command = bytes.data;
    start.command_size = bytes.size;
    cr_assert_eq(rig->executor->ops->start(rig->executor, &start), 0);
    mf_buffer_finish(&bytes);
    return rig_wait_ended(rig, task)->text[MF_STDOUT];
}

Test(environment, task_with_gpus_sees_these_and_one_without_what_was_there)
{
    const char *text = "echo $CUDA_VISIBLE_DEVICES ${MPIFARM_GPUS-none}; "
                       "env | grep -c ^CUDA_VISIBLE_DEVICES";
    struct rig *rig;

    setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3", 1);
    setenv("MPIFARM_GPUS", "old", 1);
    rig = rig_create((struct rig_options){0});
    cr_assert_str_eq(print_with_gpus(rig, 1, "CUDA_VISIBLE_DEVICES=1,GPU-33", text),
                     "1,GPU-33 1,GPU-33\n1\n");
    cr_assert_str_eq(print_with_gpus(rig, 2, NULL, text), "0,1,2,3 none\n1\n");
    rig_destroy(rig);
}

Test(environment, a_task_with_gpus_sees_no_other_list_of_them)
{
    const char *text = "env | grep -e _DEVICES -e ORDINAL -e MASK | sort";
    struct rig *rig;

    setenv("CUDA_VISIBLE_DEVICES", "0,1", 1);
    setenv("HIP_VISIBLE_DEVICES", "0,1", 1);
    setenv("ROCR_VISIBLE_DEVICES", "2,3", 1);
    setenv("GPU_DEVICE_ORDINAL", "0,1", 1);
    setenv("ZE_AFFINITY_MASK", "0,1", 1);
    rig = rig_create((struct rig_options){0});
    cr_assert_str_eq(print_with_gpus(rig, 1, "ROCR_VISIBLE_DEVICES=3", text),
                     "ROCR_VISIBLE_DEVICES=3\n");
    rig_destroy(rig);
}
