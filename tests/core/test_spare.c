/* Idle workers that a farm can do without. */
#include "support/farm_builder.h"

#include <criterion/criterion.h>
#include <stdio.h>

/* Those that can go of the ones that may: "1 2", or "none". */
static const char *spare(struct t_farm *t, const bool *may_go)
{
    static char text[64];
    bool spared[16] = {false};
    size_t size = 0;

    for (int i = 0; i < 8; i++)
        spared[i] = may_go[i];
    text[0] = '\0';
    if (!mf_farm_spare(t->farm, spared))
        return "none";
    for (int i = 0; i < 8; i++)
        if (spared[i])
            size +=
                (size_t)snprintf(text + size, sizeof(text) - size, "%s%d", size > 0 ? " " : "", i);
    return text;
}

#define t_spare(t, ...) spare(t, (bool[8]){__VA_ARGS__})

Test(spare, an_idle_worker_can_go_when_nothing_waits)
{
    struct t_farm *t = t_farm("a b", .workers = 3, .slots = 2);

    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:PLACED@0 b:PLACED@1");
    cr_assert_str_eq(t_spare(t, [1] = true, [2] = true), "2");
    cr_assert_str_eq(t_spare(t, [1] = true), "none", "it has a task");
}

Test(spare, what_waits_must_find_room_on_the_others)
{
    struct t_farm *t =
        t_farm("a b<a c<a d<a", .workers = 3, .slots = 2, .config = {.has_dependencies = true});

    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:PLACED@0");
    cr_assert_str_eq(t_spare(t, [1] = true, [2] = true), "2", "one beside it, and two on the next");
    t_submit(t, "e<a");
    cr_assert_str_eq(t_spare(t, [1] = true, [2] = true), "none", "of four only three fit");
}

Test(spare, where_nothing_waits_all_can_go_that_may)
{
    struct t_farm *t = t_farm("a", .workers = 5);

    t_tick(t);
    cr_assert_str_eq(t_spare(t, [1] = true, [2] = true, [4] = true), "1 2 4");
}

Test(spare, a_large_task_needs_a_worker_that_has_room_for_all_of_it)
{
    struct t_farm *t =
        t_farm("a b<a*2 c", .workers = 3, .slots = 2, .config = {.has_dependencies = true});

    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:PLACED@0 c:PLACED@1");
    cr_assert_str_eq(t_spare(t, [2] = true), "none", "two slots are free, but on two workers");
}

Test(spare, tasks_of_different_sizes_find_the_room_that_larger_ones_leave)
{
    struct t_farm *t = t_farm("a b<a c<a*2 d<a e<a*2 f<a", .workers = 5, .slots = 3,
                              .config = {.has_dependencies = true});

    t_tick(t);
    cr_assert_str_eq(t_spare(t, [1] = true, [2] = true, [3] = true, [4] = true), "3 4",
                     "c beside a, e and b on the second, d and f on the third");
}

Test(spare, a_worker_that_has_more_than_the_others_stays)
{
    struct t_farm *t = t_farm("a", .workers = 1, .slots = 2);

    t_tick(t);
    t_up(t, 1, 4);
    t_up(t, 2, 2);
    cr_assert_str_eq(t_spare(t, [1] = true, [2] = true), "2");
    t_up(t, 3, 4);
    cr_assert_str_eq(t_spare(t, [1] = true, [2] = true, [3] = true), "2 3",
                     "one of the large ones");
}

Test(spare, one_worker_at_least_stays)
{
    struct t_farm *t = t_farm("", .workers = 2);

    cr_assert_str_eq(t_spare(t, [0] = true, [1] = true), "1");
}

Test(spare, the_only_worker_that_may_run_a_task_stays)
{
    struct t_farm *t =
        t_farm("a b<a@1", .workers = 3, .slots = 2, .config = {.has_dependencies = true});

    t_submit(t, "c@0");
    t_tick(t);
    cr_assert_str_eq(t_spare(t, [1] = true, [2] = true), "2");
}

Test(spare, workers_of_a_node_go_together)
{
    struct t_farm *t = t_farm("");

    for (mf_worker_id i = 0; i < 6; i++)
        t_up_on(t, 1 + i / 2, i, 1);
    t_submit(t, "a b c");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:PLACED@0 b:PLACED@1 c:PLACED@2");
    cr_assert_str_eq(t_spare(t, [2] = true, [3] = true, [4] = true, [5] = true), "4 5");
}

Test(spare, nothing_goes_while_a_task_needs_several_nodes)
{
    struct t_farm *t = t_farm("a|2<b b", .config = {.has_dependencies = true});

    for (mf_worker_id i = 0; i < 4; i++)
        t_up_on(t, 1 + i, i, 1);
    t_tick(t);
    cr_assert_str_eq(t_spare(t, [3] = true), "none", "it waits");
    t_end(t, "b");
    t_tick(t);
    cr_assert_str_eq(t_spare(t, [3] = true), "none", "it has rooms");
}
