/* Giving nodes back: see giver.h. The process has one thread and keeps nothing of the rank's. */
#include "runtime/giver.h"

#include "base/clock.h"
#include "base/io.h"
#include "exec/helper.h"
#include "runtime/query.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* Names of nodes. One argument of a program has at most twice as much. */
#define LIST_BYTES ((size_t)64 * 1024)
#define WHY_BYTES 512
#define SCONTROL_TIMEOUT_NS (60 * MF_NS_PER_S)

struct mf_giver {
    pid_t pid;
    int fd;
    struct mf_loop *loop;
    struct mf_watch *watch;
    mf_giver_fn fn;
    void *arg;
};

/* --- the process --- */

/* A node has its name up to the first dot. */
static bool is_named(const char *word, size_t length, const char *name)
{
    return strncmp(word, name, length) == 0 && (name[length] == '\0' || name[length] == '.');
}

static bool is_listed(const char *word, size_t length, const char *hosts)
{
    for (; *hosts; hosts += strcspn(hosts, " "), hosts += *hosts == ' ') {
        char name[256];

        snprintf(name, sizeof(name), "%.*s", (int)strcspn(hosts, " "), hosts);
        if (is_named(word, length, name))
            return true;
    }
    return false;
}

/* The job's nodes with commas between, without those that go. Returns how many go. */
static uint32_t list_rest(const char *nodes, const char *hosts, char *rest)
{
    char *to = rest;
    uint32_t n = 0;

    for (; *nodes; nodes += strcspn(nodes, ",\n"), nodes += *nodes != '\0') {
        size_t length = strcspn(nodes, ",\n");

        if (length == 0)
            continue;
        if (is_listed(nodes, length, hosts)) {
            n++;
            continue;
        }
        if (to > rest)
            *to++ = ',';
        memcpy(to, nodes, length);
        to += length;
    }
    *to = '\0';
    return n;
}

static int find_nodes(char *nodes)
{
    const char *words[] = {"scontrol", "show", "hostnames", getenv("SLURM_JOB_NODELIST"), NULL};

    return mf_query(words, SCONTROL_TIMEOUT_NS, MF_QUERY_OUTPUT, nodes, LIST_BYTES);
}

/* scontrol leaves two files where it is run, for shells that know of the old size: nobody's here.
 */
static int update(const char *const *words, const char *job, char why[WHY_BYTES])
{
    static const char *const endings[] = {"sh", "csh"};
    const char *tmp = getenv("TMPDIR");
    char dir[4096], path[128];
    int r;

    snprintf(dir, sizeof(dir), "%s/mpifarm.XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(dir))
        return -errno;
    r = chdir(dir) < 0
            ? -errno
            : mf_query(words, SCONTROL_TIMEOUT_NS, MF_QUERY_OUTPUT_AND_ERRORS, why, WHY_BYTES);
    for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
        snprintf(path, sizeof(path), "slurm_job_%s_resize.%s", job, endings[i]);
        (void)unlink(path);
    }
    if (chdir("/") == 0)
        (void)rmdir(dir);
    return r;
}

/* Fills in why with "" or what scontrol has against it. */
static void give(char *nodes, const char *hosts, char why[WHY_BYTES])
{
    static const char name[] = "slurm_update error: ";
    char rest[LIST_BYTES + 16] = "NodeList=", job[64], *at;
    const char *const words[] = {"scontrol", "update", job, rest, NULL};
    int r = nodes[0] == '\0' ? find_nodes(nodes) : 0;

    snprintf(job, sizeof(job), "JobId=%s", getenv("SLURM_JOB_ID"));
    why[0] = '\0';
    if (r == 0 && list_rest(nodes, hosts, rest + strlen(rest)) == 0) {
        snprintf(why, WHY_BYTES, "no node of the job has the name %.300s", hosts);
        return;
    }
    if (r == 0)
        r = update(words, job + strlen("JobId="), why);
    if (r == 0) {
        strcpy(nodes, rest + strlen("NodeList="));
        why[0] = '\0';
        return;
    }
    why[strcspn(why, "\n")] = '\0';
    at = strstr(why, name);
    if (at)
        memmove(why, at + strlen(name), strlen(at + strlen(name)) + 1);
    if (why[0] == '\0')
        snprintf(why, WHY_BYTES, "scontrol: %s", strerror(-r));
}

static _Noreturn void serve(int fd)
{
    static char hosts[LIST_BYTES], nodes[LIST_BYTES];
    char why[WHY_BYTES];
    ssize_t n;

    if (mf_helper_keep_only(&fd, 1, false) < 0 || mf_helper_mute_signals() < 0)
        _exit(1);
    while ((n = recv(fd, hosts, sizeof(hosts) - 1, 0)) > 0) {
        hosts[n] = '\0';
        give(nodes, hosts, why);
        if (send(fd, why, strlen(why) + 1, MSG_NOSIGNAL) < 0)
            break;
    }
    _exit(0);
}

/* --- the rank --- */

int mf_giver_fork(struct mf_giver **ret_giver)
{
    struct mf_giver *giver = calloc(1, sizeof(*giver));
    int fds[2], r;

    if (!giver)
        return -ENOMEM;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0) {
        r = -errno;
        free(giver);
        return r;
    }
    giver->pid = fork();
    r = giver->pid < 0 ? -errno : 0;
    if (giver->pid == 0) {
        close(fds[0]);
        serve(fds[1]);
    }
    close(fds[1]);
    giver->fd = fds[0];
    if (giver->pid < 0) {
        mf_giver_destroy(giver);
        return r;
    }
    *ret_giver = giver;
    return 0;
}

static void on_answer(void *arg, uint32_t events)
{
    struct mf_giver *giver = arg;
    char why[WHY_BYTES];
    ssize_t n = recv(giver->fd, why, sizeof(why) - 1, MSG_DONTWAIT);

    (void)events;
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        mf_loop_remove(giver->loop, giver->watch);
        giver->watch = NULL;
        strcpy(why, "the process that asks scontrol is gone");
    }
    why[n > 0 ? n : (ssize_t)strlen(why)] = '\0';
    giver->fn(giver->arg, why[0] ? why : NULL);
}

int mf_giver_listen(struct mf_giver *giver, struct mf_loop *loop, mf_giver_fn fn, void *arg)
{
    giver->loop = loop;
    giver->fn = fn;
    giver->arg = arg;
    return mf_loop_add(loop, giver->fd, EPOLLIN, on_answer, giver, &giver->watch);
}

int mf_giver_give(struct mf_giver *giver, const char *hosts)
{
    if (strlen(hosts) >= LIST_BYTES)
        return -E2BIG;
    return send(giver->fd, hosts, strlen(hosts), MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

/* The batch script runs on the first: "n[3-5,7]" begins with n3. */
bool mf_giver_must_keep(const char *host)
{
    const char *list = getenv("SLURM_JOB_NODELIST");
    size_t n_prefix, n_digits = 0;

    if (!list || getenv("SLURM_HET_SIZE"))
        return true;
    n_prefix = strcspn(list, "[,");
    if (strncmp(host, list, n_prefix) != 0)
        return false;
    if (list[n_prefix] == '[')
        n_digits = strspn(list + n_prefix + 1, "0123456789");
    return strncmp(host + n_prefix, list + n_prefix + 1, n_digits) == 0 &&
           !isdigit((unsigned char)host[n_prefix + n_digits]);
}

void mf_giver_destroy(struct mf_giver *giver)
{
    if (!giver)
        return;
    mf_loop_remove(giver->loop, giver->watch);
    mf_close(&giver->fd);
    if (giver->pid > 0)
        (void)waitpid(giver->pid, NULL, 0);
    free(giver);
}
