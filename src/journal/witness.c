/* What was told of a run beside its journal: see witness.h. No state; one thread. */
#include "journal/witness.h"

#include "base/io.h"
#include "journal/rundir.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Records of a large group: what a torn end can cost. */
#define TORN_MAX 1000

static uint64_t count_lines(int fd)
{
    char block[1 << 16];
    uint64_t offset = 0, n_lines = 0;
    ssize_t n;

    while ((n = mf_pread_all(fd, block, sizeof(block), offset)) > 0) {
        const char *at = block, *end = block + n;

        while ((at = memchr(at, '\n', (size_t)(end - at)))) {
            n_lines++;
            at++;
        }
        offset += (uint64_t)n;
    }
    return n_lines;
}

uint64_t mf_witness_count(const char *dir)
{
    struct stat status;
    char path[PATH_MAX];
    uint64_t n = 0;
    int fd;

    if (snprintf(path, sizeof(path), "%s/%s", dir, MF_RUNDIR_JOBLOG) >= (int)sizeof(path))
        return 0;
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return 0;
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode))
        n = count_lines(fd);
    mf_close(&fd);
    /* The first names the columns. */
    return n > 0 ? n - 1 : 0;
}

int mf_witness_check(const char *dir, uint64_t n_told, uint64_t n_known, struct mf_error *err)
{
    if (n_known >= n_told || (n_known > 0 && n_told - n_known <= TORN_MAX))
        return 0;
    return mf_error_set(err, -EBADMSG,
                        "%s/%s: knows %llu of the %llu ended tasks that %s tells of: it or its "
                        "-wal was removed or cut; put a copy in its place, use --force to start "
                        "afresh, or move %s away to run again what is missing",
                        dir, MF_RUNDIR_JOURNAL, (unsigned long long)n_known,
                        (unsigned long long)n_told, MF_RUNDIR_JOBLOG, MF_RUNDIR_JOBLOG);
}
