/* What a scheduler that takes over knows of the run before. */
#include "t_world.h"

#include "base/clock.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* What the farm prints must not be taken for what a test reports. */
static void setup(void)
{
    int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);

    cr_assert(fd >= 0 && dup2(fd, 1) == 1);
}

TestSuite(past, .init = setup, .timeout = 120);

/* Three slots on two workers, and ten tasks of a second. */
static struct t_world *make_world(void)
{
    struct t_world *world = t_world_create(
        2, 3, 1,
        "task 1\ntask 2\ntask 3\ntask 4\ntask 5\ntask 6\ntask 7\ntask 8\ntask 9\ntask 10\n", 10,
        false);

    for (uint32_t i = 1; i <= 10; i++)
        world->tasks[i].duration_ns = MF_NS_PER_S;
    return world;
}

/* The scheduler dies when so many tasks are done. Returns the next one. */
static struct mf_scheduler *take_over(struct t_world *world, uint64_t n_done)
{
    while (world->ranks[0].scheduler->n_done < n_done)
        t_world_step(world);
    t_world_kill(world, &world->ranks[0]);
    while (!t_world_scheduler(world) || !t_world_scheduler(world)->scheduler->is_begun)
        t_world_step(world);
    return t_world_scheduler(world)->scheduler;
}

Test(past, elapsed_time_and_rates_are_those_of_the_whole_run)
{
    struct t_world *world = make_world();
    int64_t created_ns;

    world->tasks[1].fails_first = true;
    t_world_step(world);
    created_ns = world->ranks[0].scheduler->created_ns;
    cr_assert_gt(created_ns, 0);
    cr_assert_eq(take_over(world, 6)->created_ns, created_ns);
    cr_assert(t_world_run(world, 60000));
    t_world_expect_all_done(world, 2);
    cr_assert(strstr(world->summary, "10 done, 1 retried in 4.0 s: 2.5") &&
                  strstr(world->summary, "slots busy 91.4 %"),
              "%s", world->summary);
    t_world_destroy(world);
}

Test(past, so_they_are_where_nothing_is_left_to_be_run)
{
    struct t_world *world = make_world();

    take_over(world, 10);
    cr_assert(t_world_run(world, 60000));
    cr_assert(strstr(world->summary, "10 done in 4.0 s: 2.5"), "%s", world->summary);
    t_world_destroy(world);
}

Test(past, what_failed_before_is_told_at_the_end)
{
    struct t_world *world =
        t_world_create(3, 3, 1, "task 1\n[retries=1] task 2\ntask 3\n", 3, false);

    for (uint32_t i = 1; i <= 3; i++)
        world->tasks[i].duration_ns = i * MF_NS_PER_S;
    world->tasks[2].fails_first = true;
    while (world->ranks[0].scheduler->n_failed == 0)
        t_world_step(world);
    t_world_kill(world, &world->ranks[0]);
    cr_assert(t_world_run(world, 60000));
    cr_assert_eq(world->result, MF_RUN_FAILED);
    cr_assert(strstr(world->summary, "2 done, 1 failed in ") && strstr(world->summary, "task 2"),
              "%s", world->summary);
    t_world_destroy(world);
}

Test(past, what_was_never_sent_has_no_time)
{
    struct t_world *world = make_world();
    struct mf_event cancel = {.kind = MF_EVENT_CANCEL, .task = 10};

    t_world_run(world, 500);
    cr_assert_eq(mf_scheduler_apply(world->ranks[0].scheduler, &cancel), 0);
    take_over(world, 9);
    cr_assert(t_world_run(world, 60000));
    cr_assert(strstr(world->summary, "9 done, 1 cancelled in 3.0 s"), "%s", world->summary);
    t_world_destroy(world);
}

Test(past, what_was_lost_has_none_either)
{
    struct t_world *world = make_world();

    t_world_run(world, 500);
    t_world_kill(world, &world->ranks[2]);
    take_over(world, 10);
    cr_assert(t_world_run(world, 60000));
    cr_assert(strstr(world->summary, "10 done, 1 retried in 5.0 s"), "%s", world->summary);
    t_world_destroy(world);
}

Test(past, tries_and_output_that_is_dropped_count_as_they_did)
{
    struct t_world *world = make_world();

    world->tasks[1].is_cut_first = true;
    world->tasks[2].fails_first = true;
    world->tasks[3].is_truncated = true;
    take_over(world, 6);
    cr_assert(t_world_run(world, 60000));
    cr_assert(strstr(world->summary, "10 done, 1 retried in ") &&
                  strstr(world->summary, "1 task has output over --output-limit"),
              "%s", world->summary);
    t_world_destroy(world);
}

Test(past, what_tasks_had_of_several_slots_was_busy)
{
    struct t_world *world =
        t_world_create(4, 3, 2, "[cores=2] task 1\n[cores=2] task 2\n[cores=2] task 3\n", 3, false);

    for (uint32_t i = 1; i <= 3; i++)
        world->tasks[i].duration_ns = MF_NS_PER_S;
    take_over(world, 3);
    cr_assert(t_world_run(world, 60000));
    cr_assert(strstr(world->summary, "3 done in 2.0 s") &&
                  strstr(world->summary, "slots busy 49.8 %"),
              "%s", world->summary);
    t_world_destroy(world);
}

Test(past, the_run_has_to_end_when_it_had_to)
{
    struct t_world *world = make_world();
    int64_t end_ns = world->now_ns + 1000 * MF_NS_PER_S;

    world->ranks[0].scheduler->config.end_ns = end_ns;
    cr_assert_eq(take_over(world, 2)->config.end_ns, end_ns);
    t_world_destroy(world);
}
