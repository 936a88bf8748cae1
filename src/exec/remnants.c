/* Processes by what is in their environment: see remnants.h. No state; any thread. */
#include "exec/remnants.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The kernel allows no more than three quarters of that; what is not read costs nothing. */
#define ENVIRONMENT_BYTES ((size_t)8 << 20)

/* What was forked while the others were looked at. */
#define MAX_ROUNDS 10

/* Whether one of the texts, each with its NUL, is the variable. */
static bool has_text(const char *texts, size_t size, const char *variable)
{
    size_t n = strlen(variable) + 1;

    for (size_t at = 0; at + n <= size; at += strnlen(texts + at, size - at) + 1)
        if (memcmp(texts + at, variable, n) == 0)
            return true;
    return false;
}

/* Whether the texts are of another job of Slurm, which a process of ours may have submitted. */
static bool is_of_other_job(const char *texts, size_t size)
{
    static const char name[] = "SLURM_JOB_ID=";
    const char *own = getenv("SLURM_JOB_ID");
    size_t n = strlen(name);

    for (size_t at = 0; at + n < size; at += strnlen(texts + at, size - at) + 1)
        if (memcmp(texts + at, name, n) == 0)
            return !own || strncmp(texts + at + n, own, size - at - n) != 0;
    return false;
}

static size_t read_all(const char *path, char *texts)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t size = 0;
    ssize_t n = 1;

    while (fd >= 0 && n > 0 && size < ENVIRONMENT_BYTES) {
        n = read(fd, texts + size, ENVIRONMENT_BYTES - size);
        size += n > 0 ? (size_t)n : 0;
    }
    if (fd >= 0)
        close(fd);
    return size;
}

static bool is_own(const char *path)
{
    struct stat stat_of;

    return stat(path, &stat_of) == 0 && stat_of.st_uid == geteuid();
}

/* Whether there was one: also one that is not dead yet of the last round. */
static bool kill_round(const char *variable, char *texts)
{
    DIR *directory = opendir("/proc");
    const struct dirent *entry;
    bool is_found = false;
    char path[64];
    size_t size;

    while (directory && (entry = readdir(directory))) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);

        if (pid <= 1 || pid == getpid())
            continue;
        snprintf(path, sizeof(path), "/proc/%d/environ", (int)pid);
        size = is_own(path) ? read_all(path, texts) : 0;
        if (has_text(texts, size, variable) && !is_of_other_job(texts, size))
            is_found |= kill(pid, SIGKILL) == 0;
    }
    if (directory)
        closedir(directory);
    return is_found;
}

void mf_remnants_kill(const char *variable)
{
    char *texts = malloc(ENVIRONMENT_BYTES);

    for (int i = 0; texts && i < MAX_ROUNDS && kill_round(variable, texts); i++)
        ;
    free(texts);
}
