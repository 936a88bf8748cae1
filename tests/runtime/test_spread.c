/* What a command of several nodes or ranks is started as, and what it is told. */
#include "runtime/spread.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const args[] = {"./solver", "a b"};
static const char *const text[] = {"cd x && ./solver"};
static const char *const own_env[] = {"A=1", "OMP_NUM_THREADS=7"};
static const char *const hosts[] = {"n1", "n2", "n3"};

static const struct mf_spread three = {
    .hosts = hosts, .n_hosts = 3, .n_slots = 6, .hostfile = "/s/hosts", .name = "name"};

/* The arguments with "|" between them, and behind "#" the environment. */
static const char *spread_as(const struct mf_command *command, const struct mf_spread *spread)
{
    static char shown[4096];
    struct mf_buffer buffer = {0};
    struct mf_command *made;
    size_t n = 0;

    cr_assert_eq(mf_spread_encode(command, spread, &buffer), 0);
    cr_assert_not(mf_command_is_spread(buffer.data, buffer.size));
    cr_assert_eq(mf_command_decode(buffer.data, buffer.size, &made), 0);
    for (uint32_t i = 0; i < made->n_args; i++)
        n += (size_t)snprintf(shown + n, sizeof(shown) - n, "%s%s", i ? "|" : "", made->args[i]);
    for (uint32_t i = 0; i < made->n_env; i++)
        n += (size_t)snprintf(shown + n, sizeof(shown) - n, "%s%s", i ? " " : " # ", made->env[i]);
    cr_assert_eq(made->is_shell, command->is_shell && command->n_ranks == 0);
    free(made);
    mf_buffer_finish(&buffer);
    return shown;
}

static const char *hosts_of(const struct mf_command *command)
{
    static char shown[256];
    struct mf_buffer buffer = {0};

    mf_spread_print_hosts(command, &three, &buffer);
    snprintf(shown, sizeof(shown), "%.*s", (int)buffer.size, (char *)buffer.data);
    mf_buffer_finish(&buffer);
    return shown;
}

Test(spread, with_nodes_alone_a_command_is_started_as_it_is_and_told_its_hosts)
{
    const struct mf_command command = {
        .id = "1", .n_args = 1, .args = text, .is_shell = true, .n_nodes = 3};

    cr_assert_str_eq(spread_as(&command, &three),
                     "cd x && ./solver # MPIFARM_HOSTFILE=/s/hosts MPIFARM_SPREAD=name "
                     "MPIFARM_NODES=3");
    cr_assert_str_eq(hosts_of(&command), "n1 slots=6\nn2 slots=6\nn3 slots=6\n");
}

Test(spread, ranks_are_started_by_mpirun_with_the_hosts_and_the_variables)
{
    const struct mf_command command = {
        .id = "1", .n_args = 2, .args = args, .n_nodes = 3, .n_ranks = 8};

    cr_assert_str_eq(spread_as(&command, &three),
                     "mpirun|--hostfile|/s/hosts|-n|8|--bind-to|none|-x|MPIFARM_HOSTFILE|-x|"
                     "MPIFARM_SPREAD|-x|MPIFARM_NODES|-x|MPIFARM_RANKS|-x|OMP_NUM_THREADS|-x|"
                     "MPIFARM_TASK_ID|-x|MPIFARM_ATTEMPT|./solver|a b # "
                     "MPIFARM_HOSTFILE=/s/hosts MPIFARM_SPREAD=name MPIFARM_NODES=3 "
                     "MPIFARM_RANKS=8 OMP_NUM_THREADS=2");
    cr_assert_str_eq(hosts_of(&command), "n1 slots=3\nn2 slots=3\nn3 slots=2\n");
}

Test(spread, in_a_job_of_slurm_srun_starts_them_on_exactly_its_hosts)
{
    const struct mf_command command = {
        .id = "1", .n_args = 1, .args = text, .is_shell = true, .n_nodes = 3, .n_ranks = 8};
    struct mf_spread spread = three;

    spread.has_slurm = true;
    cr_assert_str_eq(spread_as(&command, &spread),
                     "srun|--overlap|--exact|--nodes=3|--ntasks=8|"
                     "--cpus-per-task=2|--nodelist=n1,n2,n3|--distribution=cyclic|--cpu-bind=none|"
                     "--kill-on-bad-exit=1|--mpi=pmix|/bin/sh|-c|cd x && ./solver # "
                     "MPIFARM_HOSTFILE=/s/hosts MPIFARM_SPREAD=name MPIFARM_NODES=3 "
                     "MPIFARM_RANKS=8 OMP_NUM_THREADS=2");
    spread.has_mpi_type = true;
    cr_assert_null(strstr(spread_as(&command, &spread), "--mpi"));
}

/* srun would warn of a number for each node that is not one of all. */
Test(spread, ranks_that_come_out_even_are_said_by_node)
{
    const struct mf_command command = {
        .id = "1", .n_args = 1, .args = text, .is_shell = true, .n_nodes = 3, .n_ranks = 6};
    struct mf_spread spread = three;

    spread.has_slurm = true;
    cr_assert_not_null(strstr(spread_as(&command, &spread),
                              "--ntasks=6|--ntasks-per-node=2|--cpus-per-task=3|"
                              "--nodelist=n1,n2,n3|--distribution=block|"));
}

Test(spread, in_a_heterogeneous_job_each_component_has_its_part_of_the_step)
{
    const struct mf_command command = {
        .id = "1", .n_args = 2, .args = args, .n_nodes = 3, .n_ranks = 3};
    static const uint32_t parts[] = {2, 0, 2};
    struct mf_spread spread = three;

    spread.has_slurm = true;
    spread.parts = parts;
    spread.n_parts = 3;
    cr_assert_str_eq(spread_as(&command, &spread),
                     "srun|--overlap|--exact|--het-group=0|--nodes=1|--ntasks=1|"
                     "--ntasks-per-node=1|--cpus-per-task=6|--nodelist=n2|--distribution=block|"
                     "--cpu-bind=none|--kill-on-bad-exit=1|--mpi=pmix|./solver|a b|:|"
                     "--overlap|--exact|--het-group=2|--nodes=2|--ntasks=2|"
                     "--ntasks-per-node=1|--cpus-per-task=6|--nodelist=n1,n3|"
                     "--distribution=block|--cpu-bind=none|--kill-on-bad-exit=1|--mpi=pmix|"
                     "./solver|a b # MPIFARM_HOSTFILE=/s/hosts MPIFARM_SPREAD=name "
                     "MPIFARM_NODES=3 MPIFARM_RANKS=3 OMP_NUM_THREADS=6");
}

static const char *const gpus[] = {"CUDA_VISIBLE_DEVICES=0,1", "CUDA_VISIBLE_DEVICES=GPU-a'b,3",
                                   "ROCR_VISIBLE_DEVICES=2,3"};

Test(spread, ranks_with_gpus_are_begun_by_a_shell_that_knows_those_of_their_node)
{
    const struct mf_command command = {
        .id = "1", .n_args = 2, .args = args, .n_nodes = 3, .n_ranks = 3};
    struct mf_spread spread = three;
    const char *made;

    spread.gpus = gpus;
    spread.has_slurm = true;
    made = spread_as(&command, &spread);
    cr_assert_not_null(strstr(made, "--mpi=pmix|/bin/sh|-c|use() { unset CUDA_VISIBLE_DEVICES "),
                       "%s", made);
    cr_assert_not_null(strstr(made, "|mpifarm|./solver|a b #"), "%s", made);
}

/* What the shell does on a node of that name. */
static const char *run_on(const char *node)
{
    static const char *const echo[] = {
        "echo $CUDA_VISIBLE_DEVICES/$ROCR_VISIBLE_DEVICES/$MPIFARM_GPUS"};
    const struct mf_command command = {
        .id = "1", .n_args = 1, .args = echo, .is_shell = true, .n_nodes = 3, .n_ranks = 3};
    static char line[128];
    struct mf_spread spread = three;
    struct mf_buffer buffer = {0};
    struct mf_command *made;
    uint32_t first = 0;
    int fds[2];
    FILE *file;

    spread.gpus = gpus;
    setenv("SLURMD_NODENAME", node, 1);
    setenv("CUDA_VISIBLE_DEVICES", "7", 1);
    unsetenv("ROCR_VISIBLE_DEVICES");
    cr_assert_eq(mf_spread_encode(&command, &spread, &buffer), 0);
    cr_assert_eq(mf_command_decode(buffer.data, buffer.size, &made), 0);
    while (strcmp(made->args[first], "/bin/sh") != 0)
        first++;
    cr_assert_eq(pipe(fds), 0);
    if (fork() == 0) {
        const char *words[16] = {0};

        memcpy(words, made->args + first, (made->n_args - first) * sizeof(*words));
        dup2(fds[1], STDOUT_FILENO);
        execv(words[0], (char *const *)words);
        _exit(1);
    }
    close(fds[1]);
    file = fdopen(fds[0], "r");
    cr_assert_not_null(fgets(line, sizeof(line), file));
    fclose(file);
    cr_assert_gt(wait(NULL), 0);
    free(made);
    mf_buffer_finish(&buffer);
    return line;
}

Test(spread, that_shell_sets_what_names_them_and_nothing_else_about_gpus)
{
    cr_assert_str_eq(run_on("n1"), "0,1//0,1\n");
    cr_assert_str_eq(run_on("n2"), "GPU-a'b,3//GPU-a'b,3\n");
    cr_assert_str_eq(run_on("n3"), "/2,3/2,3\n");
}

Test(spread, what_srun_says_of_mpi_to_the_ranks_of_the_farm_is_none_of_the_users_words)
{
    unsetenv("SLURM_MPI_TYPE");
    unsetenv("MPIFARM_KEPT_SLURM_MPI_TYPE");
    unsetenv("MPIFARM_KEPT_SLURM_JOB_ID");
    cr_assert_not(mf_spread_is_mpi_type_set());
    setenv("SLURM_MPI_TYPE", "pmix", 1);
    cr_assert(mf_spread_is_mpi_type_set());
    setenv("MPIFARM_KEPT_SLURM_JOB_ID", "1", 1);
    cr_assert_not(mf_spread_is_mpi_type_set());
    setenv("MPIFARM_KEPT_SLURM_MPI_TYPE", "pmi2", 1);
    cr_assert(mf_spread_is_mpi_type_set());
}

Test(spread, the_number_of_threads_that_the_user_sets_stays)
{
    const struct mf_command command = {
        .id = "1", .n_args = 1, .args = args, .n_ranks = 3, .n_env = 2, .env = own_env};
    struct mf_spread spread = three;

    spread.n_hosts = 1;
    cr_assert_not_null(
        strstr(spread_as(&command, &spread), "MPIFARM_RANKS=3 A=1 OMP_NUM_THREADS=7"));
    spread.has_omp = true;
    cr_assert_not_null(strstr(spread_as(&command, &spread), "|-x|A|-x|OMP_NUM_THREADS|"));
    cr_assert_not_null(
        strstr(spread_as(&(struct mf_command){.id = "1", .n_args = 1, .args = args, .n_ranks = 3},
                         &spread),
               "MPIFARM_RANKS=3"));
}

Test(spread, a_long_list_of_hosts_is_whole)
{
    const char *many[500];
    const struct mf_command command = {.id = "1", .n_args = 1, .args = args, .n_ranks = 500};
    struct mf_spread spread = three;
    struct mf_buffer buffer = {0};
    struct mf_command *made;

    for (int i = 0; i < 500; i++)
        many[i] = "a-node-with-a-rather-long-name.of-a-cluster";
    many[499] = "last";
    spread.hosts = many;
    spread.n_hosts = 500;
    spread.has_slurm = true;
    cr_assert_eq(mf_spread_encode(&command, &spread, &buffer), 0);
    cr_assert_eq(mf_command_decode(buffer.data, buffer.size, &made), 0);
    cr_assert_str_eq(made->args[3], "--nodes=500");
    cr_assert_str_eq(made->args[7] + strlen(made->args[7]) - 5, ",last");
    cr_assert_str_eq(made->args[made->n_args - 1], "./solver");
    free(made);
    mf_buffer_finish(&buffer);
}
