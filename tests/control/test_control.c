/*
 * Both ends of the channel: the farm's in this process and its loop, those who
 * ask in children, or by bare sockets.
 */
#include "base/clock.h"
#include "control/control.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* Guards against a hang only. */
#define LIMIT_NS (60 * MF_NS_PER_S)

struct rig {
    char dir[64];
    struct mf_loop *loop;
    struct mf_control *control;
    int n_requests;
    bool answers_later;
    uint64_t ticket;
};

static bool note(void *arg, uint64_t ticket, const struct mf_control_request *request,
                 struct mf_control_reply *reply)
{
    struct rig *rig = arg;

    rig->n_requests++;
    rig->ticket = ticket;
    if (rig->answers_later)
        return false;
    mf_control_reply_set(reply, request->verb == MF_CONTROL_CANCEL, "%u names, first %s",
                         request->n_names, request->n_names ? request->names[0] : "none");
    return true;
}

static void start(struct rig *rig)
{
    struct mf_error err = {0};

    strcpy(rig->dir, "/tmp/mpifarm-control-XXXXXX");
    cr_assert(mkdtemp(rig->dir) != NULL);
    cr_assert(eq(int, mf_loop_create(&rig->loop), 0));
    cr_assert(eq(int, mf_control_create(rig->dir, rig->loop, note, rig, &rig->control, &err), 0),
              "%s", err.text);
}

static bool has_socket(const struct rig *rig)
{
    char path[128];

    snprintf(path, sizeof(path), "%s/" MF_CONTROL_SOCKET, rig->dir);
    return access(path, F_OK) == 0;
}

static void finish(struct rig *rig)
{
    mf_control_destroy(rig->control);
    mf_loop_destroy(rig->loop);
    cr_assert(not(has_socket(rig)));
    cr_assert(eq(int, rmdir(rig->dir), 0));
}

static int connect_to(const struct rig *rig)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "%s/" MF_CONTROL_SOCKET, rig->dir);
    cr_assert(eq(int, connect(fd, (struct sockaddr *)&address, sizeof(address)), 0));
    return fd;
}

/* The exit status of a child that asks: 0 and the reply is ok, 1 and it is not, or the error. */
static pid_t ask_in_child(const struct rig *rig)
{
    const char *names[] = {"fit", "17"};
    const struct mf_control_request request = {
        .verb = MF_CONTROL_CANCEL, .names = names, .n_names = 2};
    struct mf_control_reply reply;
    struct mf_error err;
    pid_t pid = fork();

    if (pid != 0)
        return pid;
    int r = mf_control_ask(rig->dir, &request, LIMIT_NS, &reply, &err);
    if (r == 0)
        _exit(reply.is_ok && strcmp(reply.text, "2 names, first fit") == 0 ? 0 : 1);
    _exit(-r);
}

static int serve_until_exit(struct rig *rig, pid_t pid)
{
    int status;

    while (waitpid(pid, &status, WNOHANG) == 0)
        mf_loop_wait(rig->loop, MF_NS_PER_MS);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Turns the loop until the other end hung up, and returns how many bytes came before. */
static ssize_t serve_until_hangup(struct rig *rig, int fd, char *reply, size_t size)
{
    ssize_t total = 0, n;

    while ((n = recv(fd, reply + total, size - (size_t)total, MSG_DONTWAIT)) != 0) {
        if (n > 0)
            total += n;
        mf_loop_wait(rig->loop, MF_NS_PER_MS);
    }
    return total;
}

Test(control, a_request_is_carried_out_and_answered)
{
    struct rig rig = {0};

    start(&rig);
    for (int i = 1; i <= 40; i++) {
        cr_assert(eq(int, serve_until_exit(&rig, ask_in_child(&rig)), 0));
        cr_assert(eq(int, rig.n_requests, i));
    }
    finish(&rig);
}

Test(control, an_answer_may_come_later)
{
    struct rig rig = {.answers_later = true};
    struct mf_control_reply reply = {.is_ok = true, .text = "2 names, first fit"};
    pid_t pid;

    start(&rig);
    pid = ask_in_child(&rig);
    while (rig.n_requests == 0)
        mf_loop_wait(rig.loop, MF_NS_PER_MS);
    /* It waits for longer than who says nothing may. */
    mf_control_keep_time(rig.control, mf_clock_monotonic_ns() + 10 * MF_NS_PER_S);
    cr_assert(mf_control_is_awaited(rig.control, rig.ticket));
    mf_control_answer(rig.control, rig.ticket + 1, &reply);
    mf_control_answer(rig.control, rig.ticket, &reply);
    cr_assert(eq(int, serve_until_exit(&rig, pid), 0));
    finish(&rig);
}

Test(control, the_socket_is_for_its_user_alone_and_replaces_an_old_one)
{
    struct rig rig = {0};
    struct mf_control *second;
    struct mf_error err;
    struct stat info;
    char path[128];

    start(&rig);
    snprintf(path, sizeof(path), "%s/" MF_CONTROL_SOCKET, rig.dir);
    cr_assert(eq(int, stat(path, &info), 0));
    cr_assert(eq(int, info.st_mode & 07777, 0600));
    /* As after a farm that was killed. */
    cr_assert(eq(int, mf_control_create(rig.dir, rig.loop, note, &rig, &second, &err), 0));
    cr_assert(eq(int, serve_until_exit(&rig, ask_in_child(&rig)), 0));
    mf_control_destroy(second);
    finish(&rig);
}

Test(control, a_socket_that_another_farm_has_put_there_stays)
{
    struct rig rig = {0};
    struct mf_control *second;
    struct mf_error err;

    start(&rig);
    cr_assert(eq(int, mf_control_create(rig.dir, rig.loop, note, &rig, &second, &err), 0));
    mf_control_destroy(rig.control);
    cr_assert(has_socket(&rig));
    cr_assert(eq(int, serve_until_exit(&rig, ask_in_child(&rig)), 0));
    rig.control = second;
    finish(&rig);
}

Test(control, a_long_directory_name_is_no_hindrance)
{
    struct rig rig = {0};
    char dir[400];
    struct mf_error err;
    struct mf_control *control;
    struct mf_control_reply reply;

    start(&rig);
    snprintf(dir, sizeof(dir), "%s/%0200d", rig.dir, 0);
    cr_assert(eq(int, mkdir(dir, 0700), 0));
    cr_assert(eq(int, mf_control_create(dir, rig.loop, note, &rig, &control, &err), 0), "%s",
              err.text);
    mf_control_destroy(control);
    cr_assert(eq(int,
                 mf_control_ask(dir, &(struct mf_control_request){.verb = MF_CONTROL_STOP},
                                LIMIT_NS, &reply, &err),
                 -ECONNREFUSED));
    rmdir(dir);
    finish(&rig);
}

Test(control, the_silent_neither_stall_the_farm_nor_keep_others_out_for_long)
{
    struct rig rig = {0};
    int fds[40];
    char reply[16];
    pid_t pid;

    start(&rig);
    for (int i = 0; i < 16; i++)
        fds[i] = connect_to(&rig);
    while (mf_control_next_ns(rig.control) == INT64_MAX)
        mf_loop_wait(rig.loop, MF_NS_PER_MS);
    for (int i = 0; i < 100; i++)
        mf_loop_wait(rig.loop, 0);
    pid = ask_in_child(&rig);
    /* All places are taken: who asks now waits, and the loop has nothing to do. */
    cr_assert(eq(int, mf_loop_wait(rig.loop, 0), 0));
    cr_assert(eq(int, rig.n_requests, 0));
    mf_control_keep_time(rig.control, mf_clock_monotonic_ns() + 10 * MF_NS_PER_S);
    for (int i = 0; i < 16; i++) {
        cr_assert(eq(sz, serve_until_hangup(&rig, fds[i], reply, sizeof(reply)), 0));
        close(fds[i]);
    }
    cr_assert(eq(int, serve_until_exit(&rig, pid), 0));
    cr_assert(mf_control_next_ns(rig.control) == INT64_MAX);
    finish(&rig);
}

Test(control, what_is_no_request_is_answered_with_a_sentence)
{
    struct rig rig = {0};
    char reply[1024];
    int fd;

    start(&rig);
    fd = connect_to(&rig);
    cr_assert(eq(int, (int)send(fd, "hello", 5, 0), 5));
    ssize_t n = serve_until_hangup(&rig, fd, reply, sizeof(reply) - 1);
    reply[n] = '\0';
    cr_assert(eq(str, reply, "{\"ok\":false,\"text\":\"the request cannot be read\"}"));
    cr_assert(eq(int, rig.n_requests, 0));
    close(fd);
    finish(&rig);
}

Test(control, a_request_that_is_too_large_is_refused)
{
    struct rig rig = {0};
    char *packet = calloc(1, MF_CONTROL_PACKET_BYTES + 100);
    char reply[1024];
    int fd;

    start(&rig);
    fd = connect_to(&rig);
    memset(packet, ' ', MF_CONTROL_PACKET_BYTES + 100);
    cr_assert(send(fd, packet, MF_CONTROL_PACKET_BYTES + 100, 0) > 0);
    ssize_t n = serve_until_hangup(&rig, fd, reply, sizeof(reply) - 1);
    reply[n] = '\0';
    cr_assert(eq(str, reply, "{\"ok\":false,\"text\":\"the request is too large\"}"));
    close(fd);
    free(packet);
    finish(&rig);
}

Test(control, somebody_elses_directory_is_not_used)
{
    const struct mf_control_request request = {.verb = MF_CONTROL_STOP};
    struct rig rig = {0};
    struct mf_control_reply reply;
    struct mf_control *control;
    struct mf_error err;

    if (geteuid() != 0)
        cr_skip_test("only root can give a directory away");
    start(&rig);
    cr_assert(eq(int, chown(rig.dir, 1234, 1234), 0));
    cr_assert(eq(int, mf_control_ask(rig.dir, &request, LIMIT_NS, &reply, &err), -EACCES));
    cr_assert(strstr(err.text, "the run belongs to user 1234, not to you (user 0)") != NULL);
    cr_assert(eq(int, mf_control_create(rig.dir, rig.loop, note, &rig, &control, &err), -EACCES));
    finish(&rig);
}

Test(control, another_user_is_hung_up_on)
{
    struct rig rig = {0};
    pid_t pid;

    if (geteuid() != 0)
        cr_skip_test("only root can be another user");
    start(&rig);
    /* Wide open, as by a mistake of the user's. */
    cr_assert(eq(int, chmod(rig.dir, 0777), 0));
    char path[128];
    snprintf(path, sizeof(path), "%s/" MF_CONTROL_SOCKET, rig.dir);
    cr_assert(eq(int, chmod(path, 0777), 0));
    pid = fork();
    if (pid == 0) {
        char reply[16];
        int fd;

        if (setuid(1234) < 0)
            _exit(2);
        fd = connect_to(&rig);
        (void)send(fd, "{\"version\":2,\"verb\":\"stop\"}", 27, MSG_NOSIGNAL);
        _exit(recv(fd, reply, sizeof(reply), 0) > 0);
    }
    cr_assert(eq(int, serve_until_exit(&rig, pid), 0));
    cr_assert(eq(int, rig.n_requests, 0));
    finish(&rig);
}

Test(control, a_farm_that_is_gone_is_told_from_one_that_never_was)
{
    const struct mf_control_request request = {.verb = MF_CONTROL_STOP};
    char dir[] = "/tmp/mpifarm-control-XXXXXX";
    struct mf_control_reply reply;
    struct mf_error err;

    cr_assert(mkdtemp(dir) != NULL);
    cr_assert(eq(int, mf_control_ask(dir, &request, LIMIT_NS, &reply, &err), -ECONNREFUSED));
    cr_assert(strstr(err.text, "no farm listens there") != NULL);
    rmdir(dir);
    cr_assert(eq(int, mf_control_ask(dir, &request, LIMIT_NS, &reply, &err), -ENOENT));
}

Test(control, a_farm_that_does_not_answer_is_waited_for_only_so_long_and_does_not_do_it_later)
{
    const struct mf_control_request request = {.verb = MF_CONTROL_STOP};
    struct rig rig = {0};
    struct mf_control_reply reply;
    struct mf_error err;

    start(&rig);
    cr_assert(eq(int, mf_control_ask(rig.dir, &request, MF_NS_PER_MS, &reply, &err), -ETIMEDOUT));
    cr_assert(strstr(err.text, "does not answer, and will not do what was asked") != NULL);
    /* It goes on, and finds the request of who has given up. */
    while (mf_loop_wait(rig.loop, 0) > 0 || mf_control_next_ns(rig.control) != INT64_MAX)
        ;
    cr_assert(eq(int, rig.n_requests, 0));
    finish(&rig);
}

Test(control, what_waits_to_be_done_is_known_not_to_be_awaited_once_who_asked_has_gone)
{
    struct rig rig = {.answers_later = true};
    pid_t pid;

    start(&rig);
    pid = ask_in_child(&rig);
    while (rig.n_requests == 0)
        mf_loop_wait(rig.loop, MF_NS_PER_MS);
    cr_assert(mf_control_is_awaited(rig.control, rig.ticket));
    cr_assert(eq(int, kill(pid, SIGKILL), 0));
    cr_assert(eq(int, serve_until_exit(&rig, pid), -1));
    cr_assert(not(mf_control_is_awaited(rig.control, rig.ticket)));
    finish(&rig);
}

/* The exit status of a child that asks so: the error. */
static pid_t ask_briefly_in_child(const struct rig *rig)
{
    const struct mf_control_request request = {.verb = MF_CONTROL_STOP};
    struct mf_control_reply reply;
    struct mf_error err;
    pid_t pid = fork();

    if (pid == 0)
        _exit(-mf_control_ask(rig->dir, &request, 200 * MF_NS_PER_MS, &reply, &err));
    return pid;
}

Test(control, a_farm_that_falls_silent_with_a_request_in_its_hands_may_still_do_it)
{
    struct rig rig = {.answers_later = true};
    pid_t pid;

    start(&rig);
    pid = ask_briefly_in_child(&rig);
    while (rig.n_requests == 0 && waitpid(pid, NULL, WNOHANG) == 0)
        mf_loop_wait(rig.loop, MF_NS_PER_MS);
    if (rig.n_requests == 0)
        cr_skip_test("the machine is too busy");
    cr_assert(eq(int, serve_until_exit(&rig, pid), EINPROGRESS));
    finish(&rig);
}

Test(control, whoever_waits_for_an_answer_is_told_that_it_is_not_forgotten)
{
    struct rig rig = {.answers_later = true};
    struct mf_control_reply reply;
    char byte;
    int fd;

    start(&rig);
    fd = connect_to(&rig);
    cr_assert(send(fd, "{\"version\":2,\"verb\":\"stop\"}", 27, MSG_NOSIGNAL) > 0);
    while (rig.n_requests == 0)
        mf_loop_wait(rig.loop, MF_NS_PER_MS);
    for (int i = 0; i < 3; i++) {
        char word[MF_CONTROL_REPLY_BYTES];
        ssize_t n = recv(fd, word, sizeof(word), MSG_DONTWAIT);

        cr_assert(n > 0 && mf_control_reply_decode(word, (size_t)n, &reply) == 0);
        cr_assert(reply.is_later);
        cr_assert(recv(fd, &byte, 1, MSG_DONTWAIT) < 0);
        /* Each a few seconds behind the one before. */
        cr_assert(
            lt(i64, mf_control_next_ns(rig.control), mf_clock_monotonic_ns() + 10 * MF_NS_PER_S));
        mf_control_keep_time(rig.control, mf_control_next_ns(rig.control));
    }
    close(fd);
    mf_control_keep_time(rig.control, mf_control_next_ns(rig.control));
    cr_assert(eq(i64, mf_control_next_ns(rig.control), INT64_MAX));
    finish(&rig);
}

Test(control, a_farm_that_goes_away_with_a_request_in_its_hands_may_have_done_it)
{
    struct rig rig = {.answers_later = true};
    int status;
    pid_t pid;

    start(&rig);
    pid = ask_in_child(&rig);
    while (rig.n_requests == 0)
        mf_loop_wait(rig.loop, MF_NS_PER_MS);
    finish(&rig);
    cr_assert(eq(int, waitpid(pid, &status, 0), pid));
    cr_assert(eq(int, WEXITSTATUS(status), ECONNRESET));
}
