/* Ranks of which nothing is heard at the start, and those that were silent when another took over.
 */
#include "t_world.h"

#include "base/clock.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* What the farm prints must not be taken for what a test reports. */
static void setup(void)
{
    int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);

    cr_assert(fd >= 0 && dup2(fd, 1) == 1);
}

TestSuite(latecomers, .init = setup, .timeout = 120);

/* Three ranks with a slot each, and two tasks that take so long. */
static struct t_world *make_world(int64_t duration_ns)
{
    struct t_world *world = t_world_create(1, 3, 1, "task 1\ntask 2\n", 2, false);

    world->tasks[1].duration_ns = world->tasks[2].duration_ns = duration_ns;
    return world;
}

Test(latecomers, a_rank_that_dies_before_its_first_word_is_waited_for_once_and_named)
{
    struct t_world *world = make_world(MF_NS_PER_S);

    t_world_kill(world, &world->ranks[2]);
    world->ranks[0].notices_ns = 0;
    cr_assert(t_world_run(world, 20000), "it is waited for at the end as well");
    t_world_expect_all_done(world, 1);
    cr_assert_eq(world->n_gone, 1);
    cr_assert_str_eq(world->lost, "rank 2");
    t_world_destroy(world);
}

Test(latecomers, a_rank_that_comes_too_late_is_sent_away_and_not_missed)
{
    struct t_world *world = make_world(5 * MF_NS_PER_S);

    t_world_stop(world, &world->ranks[2], 18 * MF_NS_PER_S);
    t_world_delay(world, &world->ranks[2], 18 * MF_NS_PER_S);
    cr_assert(t_world_run(world, 60000));
    cr_assert_eq(world->ranks[2].n_started, 0, "it came in time");
    t_world_expect_all_done(world, 1);
    cr_assert(mf_worker_rank_is_finished(world->ranks[2].worker));
    cr_assert_not(mf_worker_rank_has_losses(world->ranks[2].worker));
    cr_assert_eq(world->n_gone, 0);
    cr_assert_str_eq(world->lost, "");
    t_world_destroy(world);
}

static void await_begun(struct t_world *world)
{
    while (world->n_running == 0)
        t_world_step(world);
}

Test(latecomers, who_takes_over_knows_that_the_scheduler_before_is_gone)
{
    struct t_world *world = make_world(MF_NS_PER_S);

    await_begun(world);
    t_world_kill(world, &world->ranks[0]);
    cr_assert(t_world_run(world, 60000));
    t_world_expect_all_done(world, 1);
    cr_assert_eq(world->n_takeovers, 1);
    cr_assert_eq(world->n_gone, 1);
    cr_assert_str_eq(world->lost, "rank 0");
    t_world_destroy(world);
}

Test(latecomers, a_rank_that_was_silent_then_and_comes_back_is_not_missed)
{
    struct t_world *world = make_world(20 * MF_NS_PER_S);

    await_begun(world);
    t_world_stop(world, &world->ranks[2], 10 * MF_NS_PER_S);
    t_world_kill(world, &world->ranks[0]);
    cr_assert(t_world_run(world, 90000));
    t_world_expect_all_done(world, 1);
    cr_assert_eq(world->n_gone, 1, "that is the scheduler");
    cr_assert_str_eq(world->lost, "rank 0");
    t_world_destroy(world);
}

Test(latecomers, a_rank_that_cannot_be_reached_any_more_is_not_waited_for)
{
    struct t_world *world = make_world(MF_NS_PER_S);

    await_begun(world);
    world->ranks[0].scheduler->peers[2].send_error = -EIO;
    t_world_step(world);
    t_world_kill(world, &world->ranks[2]);
    cr_assert(t_world_run(world, 20000));
    t_world_expect_all_done(world, 1);
    cr_assert_eq(world->n_gone, 1);
    cr_assert(strstr(world->lost, "rank 2"), "%s", world->lost);
    t_world_destroy(world);
}

Test(latecomers, nor_is_one_whose_node_was_given_back)
{
    struct t_world *world = make_world(MF_NS_PER_S);
    struct mf_scheduler *scheduler = world->ranks[0].scheduler;

    await_begun(world);
    mf_peer_part(scheduler, &scheduler->peers[2]);
    cr_assert_eq(scheduler->notice.n_gone, 1);
    mf_peer_part(scheduler, &scheduler->peers[2]);
    cr_assert_eq(scheduler->notice.n_gone, 1);
    t_world_destroy(world);
}
