/*
 * The ceiling for running commands: a bare loop of vfork, exec, pipe and wait
 * with a number of commands in flight, and nothing else.
 *
 *     spawn COUNT IN_FLIGHT [COMMAND]     prints commands per second
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_IN_FLIGHT 1024

/* A command that runs, and the end of the pipe to read its output from. */
struct slot {
    pid_t pid;
    int fd;
};

static void fail(const char *what)
{
    fprintf(stderr, "spawn: %s: %s\n", what, strerror(errno));
    exit(2);
}

static void start(struct slot *slot, char *command)
{
    char *argv[] = {command, NULL};
    int fds[2];

    if (pipe2(fds, O_CLOEXEC) < 0)
        fail("pipe");
    slot->pid = vfork();
    if (slot->pid < 0)
        fail("vfork");
    if (slot->pid == 0) {
        dup2(fds[1], STDOUT_FILENO);
        execv(command, argv);
        _exit(127);
    }
    close(fds[1]);
    slot->fd = fds[0];
}

/* Waits for any command; returns its slot, free again. */
static struct slot *finish(struct slot *slots, int n_slots)
{
    char block[4096];
    int status;
    pid_t pid = waitpid(-1, &status, 0);

    for (int i = 0; i < n_slots; i++) {
        if (slots[i].pid != pid)
            continue;
        while (read(slots[i].fd, block, sizeof(block)) > 0)
            continue;
        close(slots[i].fd);
        if (status != 0) {
            fprintf(stderr, "spawn: the command failed\n");
            exit(2);
        }
        return &slots[i];
    }
    fail("waitpid");
    return NULL;
}

int main(int argc, char **argv)
{
    static struct slot slots[MAX_IN_FLIGHT];
    struct timespec begin, end;
    long count = argc > 2 ? atol(argv[1]) : 0, n_started = 0;
    int n_slots = argc > 2 ? atoi(argv[2]) : 0;
    char *command = argc > 3 ? argv[3] : (char[]){"/bin/true"};

    if (count < 1 || n_slots < 1 || n_slots > MAX_IN_FLIGHT) {
        fprintf(stderr, "usage: spawn COUNT IN_FLIGHT [COMMAND]\n");
        return 2;
    }
    clock_gettime(CLOCK_MONOTONIC, &begin);
    for (; n_started < n_slots && n_started < count; n_started++)
        start(&slots[n_started], command);
    for (long n_ended = 0; n_ended < count; n_ended++) {
        struct slot *slot = finish(slots, n_slots);

        slot->pid = 0;
        if (n_started < count) {
            start(slot, command);
            n_started++;
        }
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    printf("%.1f\n", (double)count / ((double)(end.tv_sec - begin.tv_sec) +
                                      1e-9 * (double)(end.tv_nsec - begin.tv_nsec)));
    return 0;
}
