/* File descriptors: see io.h. Nothing is owned here; any thread may call these. */
#include "base/io.h"

#include <errno.h>
#include <limits.h>
#include <sys/resource.h>
#include <unistd.h>

int mf_write_all(int fd, const void *data, size_t n)
{
    const char *bytes = data;

    while (n > 0) {
        ssize_t written = write(fd, bytes, n);

        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return -errno;
        /* Not a success that one may repeat for ever. */
        if (written == 0)
            return -EIO;
        bytes += written;
        n -= (size_t)written;
    }
    return 0;
}

/* off_t is signed: an offset or an end above INT64_MAX does not exist. */
static int check_range(size_t n, uint64_t offset)
{
    return offset > INT64_MAX || n > INT64_MAX - offset ? -EOVERFLOW : 0;
}

int mf_pwrite_all(int fd, const void *data, size_t n, uint64_t offset)
{
    const char *bytes = data;
    int r = check_range(n, offset);

    if (r < 0)
        return r;
    while (n > 0) {
        ssize_t written = pwrite(fd, bytes, n, (off_t)offset);

        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return -errno;
        if (written == 0)
            return -EIO;
        bytes += written;
        n -= (size_t)written;
        offset += (uint64_t)written;
    }
    return 0;
}

ssize_t mf_pread_all(int fd, void *data, size_t n, uint64_t offset)
{
    char *bytes = data;
    size_t done = 0;
    int r = check_range(n, offset);

    if (r < 0)
        return r;
    while (done < n) {
        ssize_t got = pread(fd, bytes + done, n - done, (off_t)(offset + done));

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        if (got == 0)
            break;
        done += (size_t)got;
    }
    return (ssize_t)done;
}

uint64_t mf_raise_open_files(void)
{
    struct rlimit limit, raised;

    /* What every system grants, should the limit be unreadable. */
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return _POSIX_OPEN_MAX;
    raised = limit;
    raised.rlim_cur = limit.rlim_max;
    if (limit.rlim_cur < limit.rlim_max && setrlimit(RLIMIT_NOFILE, &raised) == 0)
        limit = raised;
    return limit.rlim_cur;
}

void mf_close(int *fd)
{
    int saved_errno = errno;

    if (*fd < 0)
        return;
    /* Linux frees the number even when close() fails, so there is no second try. */
    close(*fd);
    *fd = -1;
    errno = saved_errno;
}
