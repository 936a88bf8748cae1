/*
 * The run directory: made for its user alone, locked for the life of a farm.
 *
 * The lock is an open-file-description lock on the file `lock`, so it ends
 * with the last descriptor, whatever kills the process: a lock file that is
 * merely there says nothing. Its text, "pid host", is for the message only.
 * Used by rank 0, one thread.
 */
#include "journal/rundir.h"

#include "base/io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOCK_NAME "lock"

/* Of the journal, by SQLite. */
#define PAGE_BYTES 4096

/* What SQLite keeps beside a database. */
static const char *const journal_companions[] = {
    MF_RUNDIR_JOURNAL "-wal",
    MF_RUNDIR_JOURNAL "-shm",
    MF_RUNDIR_JOURNAL "-journal",
};
#define N_COMPANIONS (sizeof(journal_companions) / sizeof(journal_companions[0]))

const char *mf_rundir_advice(int code)
{
    switch (-code) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return "; make room there, or use --run-dir for another place";
    case EROFS:
    case EACCES:
    case EPERM:
        return "; use --run-dir for a directory that you can write to";
    case ENOENT:
        return "; make the directory above it first";
    case ENOTDIR:
        return "; one of those above it is a file";
    case ENOLCK:
    case EOPNOTSUPP:
        return "; this file system has no locks: use --run-dir for another one";
    default:
        return "";
    }
}

/* "DIR/NAME: cannot be DONE: why; what to do". */
static int fail(const struct mf_rundir *rundir, const char *name, const char *done,
                struct mf_error *err)
{
    int code = -errno;

    return mf_error_set(err, code, "%s%s%s: cannot be %s: %s%s", rundir->path, name ? "/" : "",
                        name ? name : "", done, strerror(-code), mf_rundir_advice(code));
}

/* Makes the directory if it is missing; umask must not take the owner's own rights away. */
static int make_dir(const struct mf_rundir *rundir, struct mf_error *err)
{
    if (mkdir(rundir->path, 0700) < 0)
        return errno == EEXIST ? 0 : fail(rundir, NULL, "made", err);
    if (chmod(rundir->path, 0700) < 0)
        return fail(rundir, NULL, "made", err);
    return 1;
}

/* A directory just made is found after a power failure only if its parent knows of it. */
static int sync_parent(const struct mf_rundir *rundir, struct mf_error *err)
{
    int fd = openat(rundir->fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    /* A parent that may be entered but not read cannot be synced: the farm works without. */
    if (fd < 0)
        return 0;
    if (fsync(fd) < 0 && errno != EINVAL && errno != EROFS) {
        int code = fail(rundir, NULL, "made", err);

        mf_close(&fd);
        return code;
    }
    mf_close(&fd);
    return 0;
}

static int check_owner(const struct mf_rundir *rundir, struct mf_error *err)
{
    struct stat status;

    if (fstat(rundir->fd, &status) < 0)
        return fail(rundir, NULL, "looked at", err);
    if (status.st_uid == geteuid())
        return 0;
    return mf_error_set(err, -EACCES,
                        "%s: belongs to user %u, not to you (user %u); use --run-dir for another "
                        "directory",
                        rundir->path, (unsigned)status.st_uid, (unsigned)geteuid());
}

static bool is_own_name(const char *name)
{
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strcmp(name, LOCK_NAME) == 0)
        return true;
    for (size_t i = 0; i < N_COMPANIONS; i++) {
        if (strcmp(name, journal_companions[i]) == 0)
            return true;
    }
    return false;
}

static DIR *open_list(const struct mf_rundir *rundir, const char *name)
{
    int fd = openat(rundir->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *list = fd < 0 ? NULL : fdopendir(fd);

    if (!list)
        mf_close(&fd);
    return list;
}

/* The lock tells a run directory whose journal was taken away from somebody's other files. */
static int refuse_content(const struct mf_rundir *rundir, const char *name, struct mf_error *err)
{
    if (faccessat(rundir->fd, LOCK_NAME, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        return mf_error_set(err, -ENOTEMPTY,
                            "%s: its %s is missing, and with it what is known of the run; put a "
                            "copy in its place, or use --run-dir for an empty or a new directory",
                            rundir->path, MF_RUNDIR_JOURNAL);
    return mf_error_set(err, -ENOTEMPTY,
                        "%s: is not a run directory: it holds %s but no %s; use --run-dir "
                        "for an empty or a new directory",
                        rundir->path, name, MF_RUNDIR_JOURNAL);
}

/* Files of other kinds are somebody's work, which a later --force must not touch. */
static int check_content(const struct mf_rundir *rundir, struct mf_error *err)
{
    struct dirent *entry;
    DIR *list;
    int code = 0;

    if (faccessat(rundir->fd, MF_RUNDIR_JOURNAL, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        return 0;
    list = open_list(rundir, ".");
    if (!list)
        return fail(rundir, NULL, "read", err);
    while (!code && (errno = 0, entry = readdir(list))) {
        if (!is_own_name(entry->d_name))
            code = refuse_content(rundir, entry->d_name, err);
    }
    if (!code && errno)
        code = fail(rundir, NULL, "read", err);
    closedir(list);
    return code;
}

/* Names the holder, as far as it has introduced itself. */
static int report_holder(const struct mf_rundir *rundir, int fd, struct mf_error *err)
{
    char text[320] = "";
    char host[256] = "";
    long pid = 0;
    ssize_t n = mf_pread_all(fd, text, sizeof(text) - 1, 0);

    text[n > 0 ? n : 0] = '\0';
    if (sscanf(text, "%ld %255s", &pid, host) == 2)
        return mf_error_set(err, -EBUSY, "%s: in use by process %ld on host %s", rundir->path, pid,
                            host);
    return mf_error_set(err, -EBUSY, "%s: in use by another process", rundir->path);
}

static int introduce(struct mf_rundir *rundir, int fd, struct mf_error *err)
{
    char host[256] = "localhost";
    int n, code;

    if (gethostname(host, sizeof(host) - 1) < 0)
        return fail(rundir, LOCK_NAME, "written", err);
    n = snprintf(rundir->holder, sizeof(rundir->holder), "%ld %s\n", (long)getpid(), host);
    if (fchmod(fd, 0600) < 0 || ftruncate(fd, 0) < 0)
        return fail(rundir, LOCK_NAME, "written", err);
    code = mf_pwrite_all(fd, rundir->holder, (size_t)n, 0);
    if (!code)
        return 0;
    errno = -code;
    return fail(rundir, LOCK_NAME, "written", err);
}

static int take_lock(struct mf_rundir *rundir, struct mf_error *err)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int fd = openat(rundir->fd, LOCK_NAME, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    int code;

    if (fd < 0)
        return fail(rundir, LOCK_NAME, "opened", err);
    if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
        code = introduce(rundir, fd, err);
    else if (errno == EAGAIN || errno == EACCES)
        code = report_holder(rundir, fd, err);
    else
        code = fail(rundir, LOCK_NAME, "locked", err);
    if (code) {
        mf_close(&fd);
        return code;
    }
    rundir->lock_fd = fd;
    return 0;
}

/* SQLite would make the file as umask allows: too open, or closed even to its owner. */
static int make_journal_file(const struct mf_rundir *rundir, struct mf_error *err)
{
    int fd = openat(rundir->fd, MF_RUNDIR_JOURNAL, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    int code = 0;

    if (fd < 0)
        return errno == EEXIST ? 0 : fail(rundir, MF_RUNDIR_JOURNAL, "made", err);
    if (fchmod(fd, 0600) < 0)
        code = fail(rundir, MF_RUNDIR_JOURNAL, "made", err);
    mf_close(&fd);
    return code;
}

int mf_rundir_open(struct mf_rundir *rundir, const char *path, struct mf_error *err)
{
    int made, code;

    *rundir = (struct mf_rundir){.path = strdup(path), .fd = -1, .lock_fd = -1};
    if (!rundir->path)
        return mf_error_set(err, -ENOMEM, "%s: out of memory", path);
    made = make_dir(rundir, err);
    if (made < 0)
        return made;
    rundir->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (rundir->fd < 0 && errno == ENOTDIR)
        return mf_error_set(err, -ENOTDIR,
                            "%s: is a file, and a run needs a directory; use --run-dir for another "
                            "name",
                            path);
    if (rundir->fd < 0)
        return fail(rundir, NULL, "opened", err);
    code = check_owner(rundir, err);
    if (!code && made)
        code = sync_parent(rundir, err);
    if (!code)
        code = check_content(rundir, err);
    if (!code)
        code = take_lock(rundir, err);
    if (!code)
        code = make_journal_file(rundir, err);
    return code;
}

void mf_rundir_finish(struct mf_rundir *rundir)
{
    if (!rundir)
        return;
    /* The lock file stays: removing it could take it from under the next holder. */
    mf_close(&rundir->lock_fd);
    mf_close(&rundir->fd);
    free(rundir->path);
    rundir->path = NULL;
}

int mf_rundir_check_lock(const struct mf_rundir *rundir, struct mf_error *err)
{
    char text[sizeof(rundir->holder)] = "";
    ssize_t n = mf_pread_all(rundir->lock_fd, text, sizeof(text) - 1, 0);

    if (n < 0)
        return mf_error_set(err, (int)n, "%s/%s: cannot be read: %s", rundir->path, LOCK_NAME,
                            strerror((int)-n));
    if (strcmp(text, rundir->holder) == 0)
        return 0;
    report_holder(rundir, rundir->lock_fd, err);
    return -ESTALE;
}

bool mf_rundir_is_in_place(const struct mf_rundir *rundir)
{
    struct stat opened, named;

    return fstat(rundir->fd, &opened) == 0 && stat(rundir->path, &named) == 0 &&
           mf_is_same_file(&opened, &named);
}

int mf_rundir_is_held(const char *path)
{
    struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
    int dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int fd = -1, result = 0;

    if (dir_fd < 0)
        return -errno;
    fd = openat(dir_fd, LOCK_NAME, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        result = errno == ENOENT ? 0 : -errno;
    else if (fcntl(fd, F_OFD_GETLK, &lock) < 0)
        result = -errno;
    else
        result = lock.l_type != F_UNLCK;
    mf_close(&fd);
    mf_close(&dir_fd);
    return result;
}

/* The size of a file, 0 where it is missing. */
static off_t size_of(const char *dir, const char *name)
{
    struct stat status;
    char path[PATH_MAX];

    if (snprintf(path, sizeof(path), "%s/%s", dir, name) >= (int)sizeof(path) ||
        stat(path, &status) < 0)
        return 0;
    return status.st_size;
}

bool mf_rundir_has_journal(const char *path)
{
    off_t size = size_of(path, MF_RUNDIR_JOURNAL);

    /* One page is there before there are tables: those of a run that was killed may be in its log
     * alone. */
    return size > PAGE_BYTES || (size > 0 && size_of(path, MF_RUNDIR_JOURNAL "-wal") > PAGE_BYTES);
}

static int clear_output(const struct mf_rundir *rundir, struct mf_error *err)
{
    struct dirent *entry;
    DIR *list = open_list(rundir, "out");
    int code = 0;

    if (!list)
        return errno == ENOENT ? 0 : fail(rundir, "out", "read", err);
    while (!code && (errno = 0, entry = readdir(list))) {
        struct stat status;

        if (fstatat(dirfd(list), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) < 0 ||
            (S_ISREG(status.st_mode) && unlinkat(dirfd(list), entry->d_name, 0) < 0))
            code = fail(rundir, "out", "cleared", err);
    }
    if (!code && errno)
        code = fail(rundir, "out", "read", err);
    closedir(list);
    return code;
}

static int empty(const struct mf_rundir *rundir, const char *name, int flags, struct mf_error *err)
{
    int fd = openat(rundir->fd, name, O_WRONLY | O_TRUNC | O_CLOEXEC | O_NOCTTY | flags);

    if (fd < 0)
        return fail(rundir, name, "emptied", err);
    mf_close(&fd);
    return 0;
}

int mf_rundir_clear(struct mf_rundir *rundir, struct mf_error *err)
{
    int code = clear_output(rundir, err);

    if (!code && faccessat(rundir->fd, MF_RUNDIR_JOBLOG, F_OK, 0) == 0)
        code = empty(rundir, MF_RUNDIR_JOBLOG, O_NONBLOCK, err);
    if (!code)
        code = empty(rundir, MF_RUNDIR_JOURNAL, O_NOFOLLOW, err);
    if (code)
        return code;
    for (size_t i = 0; i < N_COMPANIONS; i++) {
        if (unlinkat(rundir->fd, journal_companions[i], 0) < 0 && errno != ENOENT)
            return fail(rundir, journal_companions[i], "removed", err);
    }
    return 0;
}
