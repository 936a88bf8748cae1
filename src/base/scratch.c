/* A directory for a process's files: see scratch.h. No state. */
#include "base/scratch.h"

#include "base/io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FALLBACK "/tmp"

/* Room for "/mpifarm-", a process and a random number, and a file in it. */
#define PARENT_MAX 160

static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-";

static const char *find_parent(void)
{
    const char *dir = getenv("TMPDIR");

    if (!dir || dir[0] != '/' || strlen(dir) > PARENT_MAX || dir[strspn(dir, plain)])
        return FALLBACK;
    return dir;
}

void mf_scratch_name(char ret_name[MF_SCRATCH_BYTES])
{
    uint64_t lot;

    if (getrandom(&lot, sizeof(lot), 0) != (ssize_t)sizeof(lot))
        lot = (uint64_t)time(NULL) ^ (uint64_t)(uintptr_t)&lot;
    snprintf(ret_name, MF_SCRATCH_BYTES, "%s/mpifarm-%ld-%016" PRIx64, find_parent(),
             (long)getpid(), lot);
}

int mf_scratch_file(const char *name, const char *file)
{
    int dir, fd;

    if (mkdir(name, 0700) < 0 && errno != EEXIST)
        return -errno;
    /* What a stranger has put there in the meantime is not followed. */
    dir = open(name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (dir < 0)
        return -errno;
    fd = openat(dir, file, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0400);
    if (fd < 0)
        fd = -errno;
    mf_close(&dir);
    return fd;
}

void mf_scratch_remove(const char *name)
{
    int fd = open(name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *list = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;

    if (!list) {
        mf_close(&fd);
        return;
    }
    while ((entry = readdir(list)))
        (void)unlinkat(dirfd(list), entry->d_name, 0);
    closedir(list);
    (void)rmdir(name);
}
