/* Who is still there: by processes where these are within reach, else by silence. */
#include "base/clock.h"
#include "runtime/sentry.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static struct mf_loop *loop;
static struct mf_sentry *sentry;
static int64_t now_ns;

static void setup(void)
{
    cr_assert(eq(int, mf_loop_create(&loop), 0));
    cr_assert(eq(int, mf_sentry_create(loop, 2, 2 * MF_NS_PER_S, &sentry), 0));
}

static void teardown(void)
{
    mf_sentry_destroy(sentry);
    mf_loop_destroy(loop);
}

TestSuite(sentry, .init = setup, .fini = teardown);

/* The life of another process, or of this one on a node that there is not. */
static void live(struct mf_life *life, bool is_elsewhere)
{
    mf_life_own(life);
    if (is_elsewhere)
        life->pid_namespace++;
}

static int n_passed(enum mf_passing passing)
{
    enum mf_passing found;
    uint32_t peer;
    int n = 0;

    while (mf_sentry_next(sentry, &peer, &found)) {
        cr_assert(eq(u32, peer, 1));
        cr_assert(eq(int, found, passing));
        n++;
    }
    return n;
}

static int listen_ms(int ms)
{
    int n = 0;

    for (int i = 0; i < ms; i++) {
        now_ns += MF_NS_PER_MS;
        mf_sentry_look(sentry, now_ns);
        n += n_passed(MF_PASSING_SILENT);
    }
    return n;
}

Test(sentry, a_process_that_is_there_may_be_silent)
{
    struct mf_life life;

    live(&life, false);
    mf_sentry_meet(sentry, 1, &life);
    mf_sentry_expect(sentry, 1);
    cr_assert(eq(int, listen_ms(60000), 0));
}

Test(sentry, the_end_of_a_process_is_told_at_once_and_once)
{
    int fds[2];
    struct mf_life life;
    pid_t pid;

    cr_assert(eq(int, pipe(fds), 0));
    pid = fork();
    if (pid == 0) {
        mf_life_own(&life);
        if (write(fds[1], &life, sizeof(life)) > 0)
            pause();
        _exit(1);
    }
    cr_assert(eq(sz, (size_t)read(fds[0], &life, sizeof(life)), sizeof(life)));
    mf_sentry_meet(sentry, 1, &life);
    cr_assert(eq(int, n_passed(MF_PASSING_ENDED), 0));
    kill(pid, SIGKILL);
    cr_assert(eq(int, mf_loop_wait(loop, 60 * MF_NS_PER_S), 1));
    cr_assert(eq(int, n_passed(MF_PASSING_ENDED), 1));
    waitpid(pid, NULL, 0);
    cr_assert(eq(int, mf_loop_wait(loop, 0), 0));
}

Test(sentry, a_process_that_ended_before_it_was_met_is_told_of)
{
    struct mf_life life;

    live(&life, false);
    life.started--;
    mf_sentry_meet(sentry, 1, &life);
    cr_assert(eq(int, n_passed(MF_PASSING_ENDED), 1));
}

Test(sentry, a_peer_out_of_reach_is_known_by_its_silence)
{
    struct mf_life life;

    live(&life, true);
    mf_sentry_meet(sentry, 1, &life);
    cr_assert(eq(int, listen_ms(10000), 0), "it is not expected yet");
    mf_sentry_expect(sentry, 1);
    cr_assert(eq(int, listen_ms(1900), 0));
    mf_sentry_heard(sentry, 1);
    cr_assert(eq(int, listen_ms(1900), 0));
    cr_assert(eq(int, listen_ms(10000), 1));
    mf_sentry_expect(sentry, 1);
    cr_assert(eq(int, listen_ms(1900), 0), "it came back");
    mf_sentry_forget(sentry, 1);
    cr_assert(eq(int, listen_ms(10000), 0));
}
