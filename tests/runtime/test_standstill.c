/* Runs that end although tasks are left: since these can start no more, or as they are stopped. All
 * ranks in one thread. */
#include "t_world.h"

#include "base/clock.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <unistd.h>

/* What the farm prints must not be taken for what a test reports. */
static void setup(void)
{
    int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);

    cr_assert(fd >= 0 && dup2(fd, 1) == 1);
}

TestSuite(standstill, .init = setup, .timeout = 120);

/* A task for all of three nodes behind others: "task 2" comes after it, "task 4" needs one node. */
static struct t_world *make_world(void)
{
    struct t_world *world =
        t_world_create(1, 3, 2,
                       "task 1\n[id=wide after=1 nodes=3] task 3\n[after=wide] task 2\n"
                       "[after=1] task 4\n",
                       4, false);

    world->tasks[1].duration_ns = world->tasks[4].duration_ns = MF_NS_PER_S;
    return world;
}

static void await_begun(struct t_world *world)
{
    while (mf_worker_rank_epoch(world->ranks[2].worker) == 0)
        t_world_step(world);
    t_world_run(world, 200);
}

/* It is stopped with that for a reason; what could be run was. */
static void expect_left(struct t_world *world)
{
    struct mf_journal *journal;
    struct mf_error err;
    char why[256] = "";

    cr_assert(t_world_run(world, 120000), "it does not end");
    cr_assert_null(world->breach, "%s", world->breach);
    cr_assert_eq(world->result, MF_RUN_STOPPED);
    cr_assert_eq(mf_journal_open(world->run_dir, MF_JOURNAL_READ, &journal, &err), 0);
    cr_assert_eq(mf_journal_get_text(journal, MF_JOURNAL_STOPPED_BY, why, sizeof(why), &err), 0);
    mf_journal_close(journal, NULL);
    cr_assert_str_eq(why, "the loss of workers, without which no other task can start");
    cr_assert(world->tasks[1].n_done > 0 && world->tasks[4].n_done > 0);
    cr_assert(world->tasks[3].n_done == 0 && world->tasks[2].n_done == 0);
}

Test(standstill, a_task_that_lacks_nodes_which_are_lost_is_left_and_the_run_stops)
{
    struct t_world *world = make_world();

    await_begun(world);
    t_world_kill(world, &world->ranks[2]);
    expect_left(world);
    t_world_destroy(world);
}

Test(standstill, so_it_is_when_the_scheduler_is_what_was_lost)
{
    struct t_world *world = make_world();

    await_begun(world);
    t_world_kill(world, &world->ranks[0]);
    expect_left(world);
    cr_assert_eq(world->n_takeovers, 1);
    t_world_destroy(world);
}

Test(standstill, a_node_that_was_only_silent_is_waited_for)
{
    struct t_world *world = make_world();

    await_begun(world);
    t_world_stop(world, &world->ranks[2], 10 * MF_NS_PER_S);
    cr_assert(t_world_run(world, 120000));
    cr_assert_eq(world->result, MF_RUN_DONE);
    cr_assert_eq(world->tasks[3].n_done, 1);
    t_world_destroy(world);
}

static int note_cut(void *arg, const struct mf_journal_attempt *attempt)
{
    bool *has_stopped = arg;

    cr_assert_eq(attempt->state, MF_TASK_CANCELLED);
    *has_stopped = attempt->outcome.cause == MF_CAUSE_STOPPED;
    return 0;
}

Test(standstill, what_the_warning_of_the_end_cuts_short_in_a_run_that_stops_is_told_as_stopped)
{
    struct t_world *world = t_world_create(1, 2, 1, "task 1\n", 1, false);
    struct mf_journal *journal;
    struct mf_error err;
    bool has_stopped = false;

    world->tasks[1].duration_ns = MF_NS_PER_S;
    world->tasks[1].is_cut = true;
    while (world->n_running == 0)
        t_world_step(world);
    mf_scheduler_stop(world->ranks[0].scheduler, MF_STOP_SOON, "a test");
    cr_assert(t_world_run(world, 120000), "it does not end");
    cr_assert_eq(mf_journal_open(world->run_dir, MF_JOURNAL_READ, &journal, &err), 0);
    cr_assert_eq(mf_journal_each(journal, note_cut, &has_stopped, &err), 0);
    mf_journal_close(journal, NULL);
    cr_assert(has_stopped);
    t_world_destroy(world);
}
