/* Lives of processes, from /proc and as pidfds: see life.h. No state. */
#include "base/life.h"

#include "base/io.h"
#include "base/process_stat.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <unistd.h>

/* Reads the beginning of a small file as text. Returns 0 or -errno. */
static int read_text(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n;

    if (fd < 0)
        return -errno;
    n = read(fd, text, size - 1);
    if (n < 0)
        n = -errno;
    else
        text[n] = '\0';
    mf_close(&fd);
    return n < 0 ? (int)n : 0;
}

/* When a process began; 0 when that is not known. */
static uint64_t started_at(pid_t pid)
{
    struct mf_process_stat stat;

    return mf_process_stat_read(pid, &stat) == 0 ? stat.started : 0;
}

void mf_life_own(struct mf_life *ret_life)
{
    struct mf_life life = {.pid = getpid()};
    struct stat info;

    if (read_text("/proc/sys/kernel/random/boot_id", life.boot, sizeof(life.boot)) == 0)
        life.boot[strcspn(life.boot, "\n")] = '\0';
    if (stat("/proc/self/ns/pid", &info) == 0)
        life.pid_namespace = info.st_ino;
    life.started = started_at(life.pid);
    /* What cannot be told apart from others is not compared. */
    if (life.pid_namespace == 0 || life.started == 0)
        life.boot[0] = '\0';
    *ret_life = life;
}

void mf_life_encode(const struct mf_life *life, struct mf_buffer *buffer)
{
    mf_buffer_put_text(buffer, life->boot);
    mf_buffer_put_u64(buffer, life->pid_namespace);
    mf_buffer_put_u64(buffer, life->started);
    mf_buffer_put_u32(buffer, (uint32_t)life->pid);
    mf_door_encode(&life->door, buffer);
}

void mf_life_decode(struct mf_reader *reader, struct mf_life *ret_life)
{
    mf_reader_get_text(reader, ret_life->boot, sizeof(ret_life->boot));
    ret_life->pid_namespace = mf_reader_get_u64(reader);
    ret_life->started = mf_reader_get_u64(reader);
    ret_life->pid = (int32_t)mf_reader_get_u32(reader);
    mf_door_decode(reader, &ret_life->door);
}

static bool is_within_reach(const struct mf_life *life)
{
    struct mf_life own;

    mf_life_own(&own);
    return own.boot[0] && strcmp(own.boot, life->boot) == 0 &&
           own.pid_namespace == life->pid_namespace && life->pid > 0;
}

int mf_life_open(const struct mf_life *life, int *ret_fd)
{
    uint64_t started;
    int fd;

    if (!is_within_reach(life))
        return 0;
    fd = pidfd_open(life->pid, 0);
    if (fd < 0)
        return errno == ESRCH ? -ESRCH : 0;
    /* Only now that the number cannot pass on to another is it known whose it is. */
    started = started_at(life->pid);
    if (started == life->started) {
        *ret_fd = fd;
        return 1;
    }
    mf_close(&fd);
    return started == 0 ? 0 : -ESRCH;
}

bool mf_life_has_ended(const struct mf_life *life)
{
    struct pollfd item = {.events = POLLIN};
    int r = mf_life_open(life, &item.fd);
    bool has_ended;

    if (r <= 0)
        return r == -ESRCH;
    has_ended = poll(&item, 1, 0) > 0;
    mf_close(&item.fd);
    return has_ended;
}
