/* Processes that are found by their environment, and no others. */
#include "exec/remnants.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Longer than one buffer of any reader, and allowed with the usual limit of a stack. */
#define N_FILLERS 10
#define FILLER_BYTES 120000

static char variable[64];

static void choose_variable(void)
{
    snprintf(variable, sizeof(variable), "MPIFARM_SPREAD=test.%d", (int)getpid());
    setenv("SLURM_JOB_ID", "7", 1);
}

TestSuite(remnants, .init = choose_variable);

/* A process with that environment, which is what it is now. */
static pid_t start(char *const *environment)
{
    char *const args[] = {"sleep", "300", NULL};
    int fds[2];
    char byte;
    pid_t pid;

    cr_assert(pipe2(fds, O_CLOEXEC) == 0);
    pid = fork();
    if (pid == 0) {
        execve("/bin/sleep", args, environment);
        (void)!write(fds[1], "x", 1);
        _exit(1);
    }
    close(fds[1]);
    cr_assert(read(fds[0], &byte, 1) == 0, "it does not start");
    close(fds[0]);
    return pid;
}

static bool is_killed(pid_t pid)
{
    int status;

    cr_assert(waitpid(pid, &status, 0) == pid);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

Test(remnants, a_process_is_found_however_long_its_environment_is)
{
    char *filler = malloc(FILLER_BYTES);
    char *environment[N_FILLERS + 2] = {0};
    pid_t pid;

    memset(filler, 'f', FILLER_BYTES);
    filler[1] = '=';
    filler[FILLER_BYTES - 1] = '\0';
    for (int i = 0; i < N_FILLERS; i++)
        environment[i] = filler;
    environment[N_FILLERS] = variable;
    pid = start(environment);
    mf_remnants_kill(variable);
    cr_assert(is_killed(pid));
    free(filler);
}

Test(remnants, a_process_of_another_job_of_slurm_is_left_alone)
{
    char *other[] = {"SLURM_JOB_ID=78", variable, NULL};
    char *same[] = {variable, "SLURM_JOB_ID=7", NULL};
    pid_t pid = start(other), remnant = start(same);

    mf_remnants_kill(variable);
    cr_assert(is_killed(remnant));
    cr_assert(waitpid(pid, NULL, WNOHANG) == 0, "it was killed too");
    kill(pid, SIGKILL);
    cr_assert(is_killed(pid));
}
