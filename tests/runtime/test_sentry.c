/* Who is still there: by processes where these are within reach, else by silence. */
#include "base/clock.h"
#include "runtime/sentry.h"
#include "support/life.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <signal.h>
#include <sys/wait.h>

static struct mf_loop *loop;
static struct mf_sentry *sentry;
static int64_t now_ns;

static void setup(void)
{
    cr_assert(eq(int, mf_loop_create(&loop), 0));
    cr_assert(eq(int, mf_sentry_create(loop, 2, 2 * MF_NS_PER_S, MF_SENTRY_ALL, &sentry), 0));
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
    struct mf_life life;
    pid_t pid = t_live(&life);

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

Test(sentry, a_look_is_due_after_some_milliseconds_or_when_a_process_has_ended)
{
    struct mf_life life;

    now_ns = MF_NS_PER_S;
    cr_assert(mf_sentry_is_due(sentry, now_ns));
    mf_sentry_look(sentry, now_ns);
    cr_assert(not(mf_sentry_is_due(sentry, now_ns + MF_NS_PER_MS)));
    cr_assert(mf_sentry_is_due(sentry, now_ns + 10 * MF_NS_PER_MS));
    live(&life, false);
    life.started--;
    mf_sentry_meet(sentry, 1, &life);
    cr_assert(mf_sentry_is_due(sentry, now_ns + MF_NS_PER_MS));
    cr_assert(eq(int, n_passed(MF_PASSING_ENDED), 1));
    cr_assert(not(mf_sentry_is_due(sentry, now_ns + MF_NS_PER_MS)));
}

/* --- peers that are asked for --- */

static struct mf_door door;
static int door_fd = -1;

/* A sentry of the other rule, and a peer out of reach with a door that the test answers at. */
static void meet_with_door(enum mf_sentry_rule rule)
{
    struct mf_life life;

    mf_sentry_destroy(sentry);
    cr_assert(eq(int, mf_sentry_create(loop, 2, 2 * MF_NS_PER_S, rule, &sentry), 0));
    live(&life, true);
    door_fd = mf_door_open(&door);
    cr_assert(ge(int, door_fd, 0));
    life.door = door;
    now_ns += MF_NS_PER_S;
    mf_sentry_look(sentry, now_ns);
    mf_sentry_meet(sentry, 1, &life);
    mf_sentry_expect(sentry, 1);
}

/* Listens in steps of 10 ms while somebody answers; the packets are on this host, and come at once.
 */
static int listen_answered_ms(int ms, bool is_there)
{
    enum mf_passing passing;
    uint32_t peer;
    int n = 0;

    for (int i = 0; i < ms / 10; i++) {
        (void)mf_door_answer(door_fd, &door, is_there);
        now_ns += 10 * MF_NS_PER_MS;
        mf_sentry_look(sentry, now_ns);
        while (mf_sentry_next(sentry, &peer, &passing))
            n += passing == MF_PASSING_ENDED ? 1 : 100;
    }
    return n;
}

Test(sentry, a_silent_peer_that_is_answered_for_is_there)
{
    meet_with_door(MF_SENTRY_ALL);
    cr_assert(eq(int, listen_answered_ms(60000, true), 0));
    close(door_fd);
}

Test(sentry, a_peer_of_which_it_is_answered_that_it_has_ended_is_gone)
{
    meet_with_door(MF_SENTRY_ALL);
    cr_assert(eq(int, listen_answered_ms(3000, true), 0));
    cr_assert(eq(int, listen_answered_ms(1500, false), 1));
    close(door_fd);
}

Test(sentry, a_peer_that_is_answered_for_no_more_is_known_by_its_silence)
{
    meet_with_door(MF_SENTRY_ANSWERING);
    cr_assert(eq(int, listen_answered_ms(10000, true), 0));
    cr_assert(eq(int, listen_ms(10000), 1));
    close(door_fd);
}

Test(sentry, a_peer_that_nobody_answers_for_may_be_silent_if_that_is_the_rule)
{
    meet_with_door(MF_SENTRY_ANSWERING);
    cr_assert(eq(int, listen_ms(60000), 0));
    close(door_fd);
}

Test(sentry, of_many_silent_peers_none_is_taken_for_gone_before_it_was_asked_for_often_enough)
{
    enum mf_passing passing;
    struct mf_life life;
    uint32_t peer, n = 10000, n_gone = 0;

    meet_with_door(MF_SENTRY_ALL);
    mf_sentry_destroy(sentry);
    cr_assert(eq(int, mf_sentry_create(loop, n, 2 * MF_NS_PER_S, MF_SENTRY_ALL, &sentry), 0));
    mf_sentry_look(sentry, now_ns);
    live(&life, true);
    life.door = door;
    life.door.n_addresses = 1;
    for (uint32_t i = 0; i < n; i++) {
        mf_sentry_meet(sentry, i, &life);
        mf_sentry_expect(sentry, i);
    }
    for (int i = 0; i < 1000; i++) {
        now_ns += 10 * MF_NS_PER_MS;
        mf_sentry_look(sentry, now_ns);
        while (mf_sentry_next(sentry, &peer, &passing))
            n_gone++;
        cr_assert(i > 220 || n_gone == 0);
    }
    cr_assert(eq(u32, n_gone, n));
    close(door_fd);
}

Test(sentry, a_peer_that_may_be_silent_for_long_is_asked_for_only_in_the_end)
{
    struct mf_life life;

    meet_with_door(MF_SENTRY_ALL);
    mf_sentry_destroy(sentry);
    cr_assert(eq(int, mf_sentry_create(loop, 2, 5 * MF_NS_PER_S, MF_SENTRY_ALL, &sentry), 0));
    live(&life, true);
    life.door = door;
    mf_sentry_look(sentry, now_ns);
    mf_sentry_meet(sentry, 1, &life);
    mf_sentry_expect(sentry, 1);
    (void)mf_door_answer(door_fd, &door, true);
    cr_assert(eq(int, listen_ms(3500), 0));
    cr_assert(eq(uint, mf_door_answer(door_fd, &door, true), 0));
    cr_assert(eq(int, listen_ms(500), 0));
    cr_assert(ge(uint, mf_door_answer(door_fd, &door, true), 1));
    close(door_fd);
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
