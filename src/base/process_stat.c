/* The one reader of /proc/PID/stat: see process_stat.h. */
#include "base/process_stat.h"

#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Longer than the line up to the last number that is wanted. */
#define LINE_BYTES 1024

/* The beginning of the line as text. Returns 0 or -errno. */
static int read_line(pid_t pid, char line[LINE_BYTES])
{
    char path[64];
    int fd, r = 0;
    ssize_t n;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    n = read(fd, line, LINE_BYTES - 1);
    if (n < 0)
        r = -errno;
    else
        line[n] = '\0';
    mf_close(&fd);
    return r;
}

int mf_process_stat_read(pid_t pid, struct mf_process_stat *ret_stat)
{
    char line[LINE_BYTES];
    const char *rest;
    uint64_t started;
    char state;
    int parent, r = read_line(pid, line);

    if (r < 0)
        return r;
    /* "pid (name) state parent ...": the name may hold anything; the start is the 20th behind it.
     */
    rest = strrchr(line, ')');
    if (!rest || sscanf(rest, ") %c %d", &state, &parent) != 2)
        return -EBADMSG;
    for (int i = 0; rest && i < 20; i++)
        rest = strchr(rest + 1, ' ');
    if (!rest || sscanf(rest, "%" SCNu64, &started) != 1)
        return -EBADMSG;
    *ret_stat = (struct mf_process_stat){.state = state, .parent = parent, .started = started};
    return 0;
}
