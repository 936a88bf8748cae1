/* Which process it is, and seeing it end. */
#include "base/life.h"

#include "support/life.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static bool is_readable(int fd, int timeout_ms)
{
    struct pollfd item = {.fd = fd, .events = POLLIN};

    return poll(&item, 1, timeout_ms) == 1;
}

Test(life, the_end_of_a_process_is_seen)
{
    struct mf_life life;
    pid_t pid = t_live(&life);
    int fd;

    cr_assert(eq(int, mf_life_open(&life, &fd), 1));
    cr_assert(not(is_readable(fd, 0)));
    cr_assert(not(mf_life_has_ended(&life)));
    kill(pid, SIGKILL);
    cr_assert(is_readable(fd, 60000));
    cr_assert(mf_life_has_ended(&life), "although it was not reaped");
    close(fd);
    waitpid(pid, NULL, 0);
}

Test(life, a_process_that_has_ended_is_known_to_have)
{
    struct mf_life life;
    pid_t pid = t_live(&life);
    int fd;

    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    cr_assert(eq(int, mf_life_open(&life, &fd), -ESRCH));
    cr_assert(mf_life_has_ended(&life));
}

Test(life, another_process_with_the_same_number_is_not_taken_for_it)
{
    struct mf_life life;
    int fd;

    mf_life_own(&life);
    life.started--;
    cr_assert(eq(int, mf_life_open(&life, &fd), -ESRCH));
}

Test(life, nothing_is_known_of_processes_of_other_nodes_and_namespaces)
{
    struct mf_life life, elsewhere;
    int fd;

    mf_life_own(&life);
    elsewhere = life;
    elsewhere.boot[0] = elsewhere.boot[0] == 'x' ? 'y' : 'x';
    cr_assert(eq(int, mf_life_open(&elsewhere, &fd), 0));
    cr_assert(not(mf_life_has_ended(&elsewhere)));
    elsewhere = life;
    elsewhere.pid_namespace++;
    cr_assert(eq(int, mf_life_open(&elsewhere, &fd), 0));
    elsewhere = life;
    elsewhere.boot[0] = '\0';
    cr_assert(eq(int, mf_life_open(&elsewhere, &fd), 0));
}

Test(life, it_travels)
{
    struct mf_life sent, got = {0};
    struct mf_buffer bytes = {0};
    struct mf_reader reader;

    mf_life_own(&sent);
    mf_life_encode(&sent, &bytes);
    reader = mf_reader_over(bytes.data, bytes.size);
    mf_life_decode(&reader, &got);
    cr_assert(eq(int, mf_reader_finish(&reader), 0));
    cr_assert(eq(str, got.boot, sent.boot));
    cr_assert(eq(u64, got.pid_namespace, sent.pid_namespace));
    cr_assert(eq(u64, got.started, sent.started));
    cr_assert(eq(i32, got.pid, getpid()));
    mf_buffer_finish(&bytes);
}
