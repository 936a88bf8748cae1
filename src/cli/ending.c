/* How a run ended: see ending.h. No state; any thread. */
#include "cli/ending.h"

#include "base/clock.h"
#include "base/io.h"
#include "runtime/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* More than the longest of what is in it. */
#define TEXT_SIZE 512

/* What stands there of a run that goes on, before the time by which it has to end. */
#define RENEWED "again "

#define READY "ready\n"

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

/* Clocks of nodes have only the time of day in common. */
int mf_ending_renew(const char *path, int64_t end_ns)
{
    int64_t until_ns = end_ns ? end_ns - mf_clock_monotonic_ns() + mf_clock_wall_ns() : 0;
    int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC | O_NOFOLLOW);
    char text[64];
    int n, r;

    if (fd < 0)
        return -errno;
    n = snprintf(text, sizeof(text), RENEWED "%" PRId64 "\n", until_ns);
    r = mf_pwrite_all(fd, text, (size_t)n, 0);
    mf_close(&fd);
    return r;
}

/* Empty if there is nothing, or it cannot be read. */
static void read_file(const char *path, char text[TEXT_SIZE])
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, text, TEXT_SIZE - 1);

    text[n > 0 ? n : 0] = '\0';
    mf_close(&fd);
}

bool mf_ending_is_renewed(int64_t *ret_end_ns)
{
    const char *path = getenv(MF_ENDING_VARIABLE);
    char text[TEXT_SIZE] = "";
    int64_t until_ns;

    if (path)
        read_file(path, text);
    if (sscanf(text, RENEWED "%" SCNd64, &until_ns) != 1)
        return false;
    *ret_end_ns = until_ns ? until_ns - mf_clock_wall_ns() + mf_clock_monotonic_ns() : 0;
    return true;
}

struct mf_ending mf_ending_read(const char *path)
{
    struct mf_ending ending = {.state = MF_ENDING_NONE};
    struct mf_life life = {.pid = 0};
    char text[TEXT_SIZE];
    int has_losses, is_spread = 0;

    read_file(path, text);
    if (!text[0] || strncmp(text, RENEWED, strlen(RENEWED)) == 0)
        return ending;
    if (strncmp(text, READY, strlen(READY)) == 0) {
        ending.state = MF_ENDING_READY;
        return ending;
    }
    if (sscanf(text, "ended %d %d %d\n", &ending.status, &has_losses, &is_spread) >= 2) {
        ending.state = MF_ENDING_ENDED;
        ending.has_losses = has_losses != 0;
        ending.is_spread = is_spread != 0;
        return ending;
    }
    ending.state = MF_ENDING_BEGUN;
    ending.is_over = sscanf(text, "over %d", &ending.status) == 1;
    if (sscanf(text, "%*s %*d %39s %" SCNu64 " %" SCNu64 " %" SCNd32 " %255s %d\n", life.boot,
               &life.pid_namespace, &life.started, &life.pid, ending.host, &is_spread) >= 5)
        ending.scheduler = life;
    ending.is_spread = is_spread != 0;
    return ending;
}

/* Slurm may know the node by another name than the node does. */
static void find_host(char *host, size_t size)
{
    const char *node = getenv("SLURMD_NODENAME");

    memset(host, 0, size);
    if (node)
        snprintf(host, size, "%s", node);
    else
        (void)gethostname(host, size - 1);
}

int mf_ending_check(const char *run_dir, struct mf_error *err)
{
    const char *path = getenv(MF_ENDING_VARIABLE);
    char host[MF_ENDING_HOST_SIZE];
    int r;

    if (!path || access(path, W_OK) == 0)
        return 0;
    r = -errno;
    find_host(host, sizeof(host));
    return mf_error_set(err, r,
                        "%s: on node %s the directory that it is in is not the one where this was "
                        "called (%s: %s): put it with --run-dir where all nodes see it",
                        run_dir, host, path, strerror(-r));
}

bool mf_ending_is_awaited(void)
{
    return getenv(MF_ENDING_VARIABLE) != NULL;
}

/* The file is there already, as was checked: one that is gone has nobody to read it. */
static void put(const char *text)
{
    const char *path = getenv(MF_ENDING_VARIABLE);
    int fd = path ? open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW) : -1;

    if (fd < 0)
        return;
    (void)mf_pwrite_all(fd, text, strlen(text), 0);
    mf_close(&fd);
}

/* Whether ranks are on other nodes, or may be. */
static bool is_spread(void)
{
    struct mf_error err;
    struct mf_launch launch;

    return mf_launch_detect(&launch, &err) == 0 && launch.n_copies > 1 &&
           launch.n_local != launch.n_copies;
}

/* How far the run is, and who schedules. */
static void put_stage(const char *stage, int status)
{
    struct mf_life life;
    char text[TEXT_SIZE], host[MF_ENDING_HOST_SIZE];

    mf_life_own(&life);
    find_host(host, sizeof(host));
    snprintf(text, sizeof(text), "%s %d %s %" PRIu64 " %" PRIu64 " %" PRId32 " %s %d\n", stage,
             status, life.boot[0] ? life.boot : "-", life.pid_namespace, life.started, life.pid,
             host, is_spread());
    put(text);
}

void mf_ending_note_ready(void)
{
    put(READY);
}

void mf_ending_note_begun(void)
{
    put_stage("begun", 0);
}

void mf_ending_note_over(int status)
{
    put_stage("over", status);
}

int mf_ending_note(int status, bool has_losses)
{
    char text[32];

    if (!mf_ending_is_awaited())
        return status;
    snprintf(text, sizeof(text), "ended %d %d %d\n", status, has_losses, is_spread());
    put(text);
    return 0;
}
