/* Idle workers that a farm can do without. */
#include "support/farm_builder.h"

#include <criterion/criterion.h>

#define t_can_spare(t, ...) mf_farm_can_spare((t)->farm, (bool[8]){__VA_ARGS__})

Test(spare, an_idle_worker_can_go_when_nothing_waits)
{
    struct t_farm *t = t_farm("a b", .workers = 3, .slots = 2);

    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:PLACED@0 b:PLACED@1");
    cr_assert(t_can_spare(t, [2] = true));
    cr_assert_not(t_can_spare(t, [1] = true), "it has a task");
}

Test(spare, what_waits_must_find_room_on_the_others)
{
    struct t_farm *t =
        t_farm("a b<a c<a d<a", .workers = 3, .slots = 2, .config = {.has_dependencies = true});

    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:PLACED@0");
    cr_assert(t_can_spare(t, [2] = true), "one beside it, and two on the next");
    cr_assert_not(t_can_spare(t, [1] = true, [2] = true));
    t_submit(t, "e<a");
    cr_assert_not(t_can_spare(t, [2] = true), "of four only three fit");
}

Test(spare, a_large_task_needs_a_worker_that_has_room_for_all_of_it)
{
    struct t_farm *t =
        t_farm("a b<a*2 c", .workers = 3, .slots = 2, .config = {.has_dependencies = true});

    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:PLACED@0 c:PLACED@1");
    cr_assert_not(t_can_spare(t, [2] = true), "two slots are free, but on two workers");
}

Test(spare, a_worker_that_has_more_than_the_others_stays)
{
    struct t_farm *t = t_farm("a", .workers = 1, .slots = 2);

    t_tick(t);
    t_up(t, 1, 4);
    t_up(t, 2, 2);
    cr_assert(t_can_spare(t, [2] = true));
    cr_assert_not(t_can_spare(t, [1] = true));
}

Test(spare, one_worker_at_least_stays)
{
    struct t_farm *t = t_farm("", .workers = 2);

    cr_assert(t_can_spare(t, [1] = true));
    cr_assert_not(t_can_spare(t, [0] = true, [1] = true));
}

Test(spare, the_only_worker_that_may_run_a_task_stays)
{
    struct t_farm *t = t_farm("a b<a@1", .workers = 2, .config = {.has_dependencies = true});

    t_submit(t, "c@0");
    t_tick(t);
    cr_assert_not(t_can_spare(t, [1] = true));
}
