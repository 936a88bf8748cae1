/*
 * A consistent copy of a database and its write-ahead log, taken without a lock.
 *
 * The database file changes only in a checkpoint, which copies pages that the
 * log holds too; the log is overwritten only after its header was replaced.
 * So a copy of the database, torn as it may be, and a copy of the log taken
 * after it are together one state of the journal, if the header of the log
 * stayed the same from before the first to after the second. A torn end of
 * the log is cut off by SQLite's checksums.
 * (https://www.sqlite.org/walformat.html)
 * Used by reading commands, one thread.
 */
#include "journal/snapshot.h"

#include "base/io.h"
#include "journal/rundir.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOG_NAME MF_RUNDIR_JOURNAL "-wal"
#define LOG_HEADER_SIZE 32
#define MAX_TRIES 20

/* Marks a state of the journal's files; two that are equal enclose a good copy. */
struct mark {
    dev_t device;
    ino_t inode;
    bool has_log;
    uint8_t log_header[LOG_HEADER_SIZE];
    off_t size;
    struct timespec changed;
};

static int read_log_header(int dir_fd, struct mark *mark)
{
    int fd = openat(dir_fd, LOG_NAME, O_RDONLY | O_CLOEXEC);
    ssize_t n;

    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;
    n = mf_pread_all(fd, mark->log_header, LOG_HEADER_SIZE, 0);
    mf_close(&fd);
    mark->has_log = n == LOG_HEADER_SIZE;
    return n < 0 ? (int)n : 0;
}

static int take_mark(int dir_fd, struct mark *ret_mark)
{
    struct stat status;

    memset(ret_mark, 0, sizeof(*ret_mark));
    if (fstatat(dir_fd, MF_RUNDIR_JOURNAL, &status, 0) < 0)
        return -errno;
    ret_mark->device = status.st_dev;
    ret_mark->inode = status.st_ino;
    ret_mark->size = status.st_size;
    ret_mark->changed = status.st_mtim;
    return read_log_header(dir_fd, ret_mark);
}

static bool marks_are_equal(const struct mark *a, const struct mark *b)
{
    if (a->device != b->device || a->inode != b->inode || a->has_log != b->has_log)
        return false;
    if (a->has_log)
        return memcmp(a->log_header, b->log_header, LOG_HEADER_SIZE) == 0;
    return a->size == b->size && a->changed.tv_sec == b->changed.tv_sec &&
           a->changed.tv_nsec == b->changed.tv_nsec;
}

static int copy_bytes(int from_fd, int to_fd)
{
    char block[1 << 16];
    uint64_t offset = 0;

    if (ioctl(to_fd, FICLONE, from_fd) == 0)
        return 0;
    for (;;) {
        ssize_t n = mf_pread_all(from_fd, block, sizeof(block), offset);
        int code;

        if (n <= 0)
            return (int)n;
        code = mf_pwrite_all(to_fd, block, (size_t)n, offset);
        if (code)
            return code;
        offset += (uint64_t)n;
    }
}

/* Copies one file; a log that does not exist is no error. */
static int copy_file(int from_dir, const char *name, int to_dir, bool may_be_missing)
{
    int from_fd = openat(from_dir, name, O_RDONLY | O_CLOEXEC);
    int to_fd = -1;
    int code;

    if (from_fd < 0)
        return errno == ENOENT && may_be_missing ? 0 : -errno;
    to_fd = openat(to_dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    code = to_fd < 0 ? -errno : copy_bytes(from_fd, to_fd);
    mf_close(&to_fd);
    mf_close(&from_fd);
    return code;
}

/* Returns 0, 1 when the journal changed meanwhile, or -errno. */
static int copy_once(int from_dir, int to_dir)
{
    struct mark before, after;
    int code = take_mark(from_dir, &before);

    if (!code)
        code = copy_file(from_dir, MF_RUNDIR_JOURNAL, to_dir, false);
    if (!code && unlinkat(to_dir, LOG_NAME, 0) < 0 && errno != ENOENT)
        code = -errno;
    if (!code)
        code = copy_file(from_dir, LOG_NAME, to_dir, true);
    if (!code)
        code = take_mark(from_dir, &after);
    if (code)
        return code;
    return marks_are_equal(&before, &after) ? 0 : 1;
}

static int make_temporary(struct mf_snapshot *snapshot, struct mf_error *err)
{
    const char *parent = getenv("TMPDIR");
    char *dir;

    if (!parent || !*parent)
        parent = "/tmp";
    if (asprintf(&dir, "%s/mpifarm-XXXXXX", parent) < 0)
        return mf_error_set(err, -ENOMEM, "out of memory");
    if (!mkdtemp(dir)) {
        int code = mf_error_set(err, -errno,
                                "%s: no temporary directory can be made: %s; set TMPDIR to a "
                                "directory that you can write to",
                                parent, strerror(errno));

        free(dir);
        return code;
    }
    snapshot->dir = dir;
    if (asprintf(&snapshot->path, "%s/%s", dir, MF_RUNDIR_JOURNAL) < 0) {
        snapshot->path = NULL;
        return mf_error_set(err, -ENOMEM, "out of memory");
    }
    return 0;
}

static int copy_journal(struct mf_snapshot *snapshot, const char *run_dir, int from_dir,
                        struct mf_error *err)
{
    int to_dir = open(snapshot->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int code = to_dir < 0 ? -errno : 1;

    for (int i = 0; code == 1 && i < MAX_TRIES; i++)
        code = copy_once(from_dir, to_dir);
    mf_close(&to_dir);
    if (code == 1)
        return mf_error_set(err, -EAGAIN, "%s/%s: changes too fast to be read; try again", run_dir,
                            MF_RUNDIR_JOURNAL);
    if (code)
        return mf_error_set(err, code, "%s/%s: cannot be copied to %s for reading: %s%s", run_dir,
                            MF_RUNDIR_JOURNAL, snapshot->dir, strerror(-code),
                            code == -ENOSPC ? "; set TMPDIR to a place with room" : "");
    return 0;
}

int mf_snapshot_take(struct mf_snapshot *snapshot, const char *run_dir, struct mf_error *err)
{
    int from_dir = open(run_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int code;

    *snapshot = (struct mf_snapshot){0};
    if (from_dir < 0)
        return mf_error_set(err, -errno, "%s: cannot be opened as a run directory: %s", run_dir,
                            strerror(errno));
    if (faccessat(from_dir, MF_RUNDIR_JOURNAL, F_OK, 0) < 0) {
        code = mf_error_set(err, -errno, "%s: holds no run: there is no %s", run_dir,
                            MF_RUNDIR_JOURNAL);
        mf_close(&from_dir);
        return code;
    }
    code = make_temporary(snapshot, err);
    if (!code)
        code = copy_journal(snapshot, run_dir, from_dir, err);
    mf_close(&from_dir);
    if (code)
        mf_snapshot_remove(snapshot);
    return code;
}

void mf_snapshot_remove(struct mf_snapshot *snapshot)
{
    int fd = snapshot->dir ? open(snapshot->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

    if (fd >= 0) {
        /* What is left behind on an error is a temporary file, for the system to clean. */
        (void)unlinkat(fd, MF_RUNDIR_JOURNAL, 0);
        (void)unlinkat(fd, LOG_NAME, 0);
        (void)rmdir(snapshot->dir);
        mf_close(&fd);
    }
    free(snapshot->path);
    free(snapshot->dir);
    *snapshot = (struct mf_snapshot){0};
}
