/* How a run ended: see ending.h. No state; any thread. */
#include "cli/ending.h"

#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int mf_ending_create(const char *run_dir, char *path)
{
    char copy[PATH_MAX], parent[PATH_MAX];
    int fd;

    if (strlen(run_dir) >= sizeof(copy))
        return -ENAMETOOLONG;
    strcpy(copy, run_dir);
    if (!realpath(dirname(copy), parent))
        return -errno;
    if (snprintf(path, PATH_MAX, "%s/.mpifarm-XXXXXX", parent) >= PATH_MAX)
        return -ENAMETOOLONG;
    fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0)
        return -errno;
    mf_close(&fd);
    return 0;
}

enum mf_ending_state mf_ending_read(const char *path, int *ret_status)
{
    char text[32] = "";
    int status, fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n;

    if (fd < 0)
        return MF_ENDING_NONE;
    n = read(fd, text, sizeof(text) - 1);
    mf_close(&fd);
    if (n <= 0)
        return MF_ENDING_NONE;
    if (sscanf(text, "ended %d\n", &status) != 1)
        return MF_ENDING_BEGUN;
    *ret_status = status;
    return MF_ENDING_ENDED;
}

bool mf_ending_is_awaited(void)
{
    return getenv(MF_ENDING_VARIABLE) != NULL;
}

/* The file is there already: one that is not has nobody to read it. */
static void put(const char *text)
{
    const char *path = getenv(MF_ENDING_VARIABLE);
    int fd = path ? open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW) : -1;

    if (fd < 0)
        return;
    (void)mf_pwrite_all(fd, text, strlen(text), 0);
    mf_close(&fd);
}

void mf_ending_note_begun(void)
{
    put("begun\n");
}

int mf_ending_note(int status)
{
    char text[32];

    if (!mf_ending_is_awaited())
        return status;
    snprintf(text, sizeof(text), "ended %d\n", status);
    put(text);
    return 0;
}
