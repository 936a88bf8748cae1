/* Child tasks. */
#include "t_api.h"

#define MS INT64_C(1000000)

static void a_tree_of_children_is_complete(struct t_run *t)
{
    const struct t_tree root = {.depth = 6, .n_children = 4, .delivery = MPIFARM_DELIVER_NONE};
    struct mpifarm_counts before = t_counts(t), after;
    mpifarm_future future = t_submit(t, T_TREE, &root, sizeof(root), .group = 12);

    /* 1 + 4 + ... + 4^6: they are of the group of their parent. */
    T_EQ(mpifarm_wait_group(t->farm, 12, MPIFARM_FOREVER), 0);
    after = t_counts(t);
    T_EQ(after.n_done - before.n_done, 5461);
    T_EQ(after.n_submitted - before.n_submitted, 5461);
    t_release(t, future);
}

static void children_can_be_heard_of_in_the_queue(struct t_run *t)
{
    const struct t_spawning how = {.tag = 1000, .n = 200, .delivery = MPIFARM_DELIVER_QUEUE};
    uint8_t n_seen[200] = {0};
    mpifarm_future parent = t_submit(t, T_SPAWN_MANY, &how, sizeof(how)), child;

    for (int i = 0; i < 200; i++) {
        struct mpifarm_result result;
        uint64_t x;

        T_EQ(mpifarm_next(t->farm, MPIFARM_FOREVER, &child), 0);
        T_EQ(mpifarm_result(t->farm, child, &result), 0);
        x = result.tag - 1000;
        T_CHECK(x < 200);
        T_EQ(n_seen[x]++, 0);
        T_EQ(*(const uint64_t *)t_done(t, child, 8), x * x);
        t_release(t, child);
    }
    T_EQ(mpifarm_next(t->farm, MPIFARM_FOREVER, &child), -ENOENT);
    t_release(t, parent);
}

static void a_retry_does_not_double_children(struct t_run *t)
{
    const struct t_spawning how = {.n = 10, .n_failures = 2, .delivery = MPIFARM_DELIVER_NONE};
    struct mpifarm_counts before = t_counts(t);
    mpifarm_future parent = t_submit(t, T_SPAWN_MANY, &how, sizeof(how), .max_attempts = 3);

    T_EQ(mpifarm_drain(t->farm, MPIFARM_FOREVER), 0);
    T_EQ(t_await(t, parent).attempts, 3);
    T_EQ(t_counts(t).n_submitted - before.n_submitted, 11);
    t_release(t, parent);
    /* One that fails for good has none. */
    parent = t_submit(t, T_SPAWN_MANY, &how, sizeof(how), .max_attempts = 2);
    T_EQ(mpifarm_drain(t->farm, MPIFARM_FOREVER), 0);
    T_EQ(t_await(t, parent).status, MPIFARM_FAILED);
    T_EQ(t_counts(t).n_submitted - before.n_submitted, 12);
    t_release(t, parent);
}

static void children_can_have_a_group_of_their_own(struct t_run *t)
{
    const struct t_spawning how = {.n = 10, .group = 21, .delivery = MPIFARM_DELIVER_QUEUE};
    mpifarm_future parent = t_submit(t, T_SPAWN_MANY, &how, sizeof(how), .group = 20), child;

    T_EQ(mpifarm_wait_group(t->farm, 20, MPIFARM_FOREVER), 0);
    T_EQ(mpifarm_wait_group(t->farm, 21, MPIFARM_FOREVER), 0);
    for (int i = 0; i < 10; i++) {
        T_EQ(mpifarm_next(t->farm, 0, &child), 0);
        t_release(t, child);
    }
    t_release(t, parent);
}

static void one_task_can_have_many_children(struct t_run *t)
{
    const struct t_spawning how = {.n = 100000, .delivery = MPIFARM_DELIVER_NONE};
    struct mpifarm_counts before = t_counts(t);

    t_release(t, t_submit(t, T_SPAWN_MANY, &how, sizeof(how)));
    T_EQ(mpifarm_drain(t->farm, MPIFARM_FOREVER), 0);
    T_EQ(t_counts(t).n_done - before.n_done, 100001);
}

static void wrong_children_are_refused(struct t_run *t)
{
    struct mpifarm_counts before = t_counts(t);
    mpifarm_future future = t_submit(t, T_SPAWN_WRONG, NULL, 0);
    const int32_t *results = t_done(t, future, 10 * sizeof(*results));
    const int32_t expected[10] = {-EINVAL, -EINVAL, -EINVAL, -EINVAL,   -EINVAL,
                                  -EINVAL, -ENOENT, -ENOENT, -EMSGSIZE, 0};

    for (int i = 0; i < 10; i++)
        T_EQ(results[i], expected[i]);
    t_release(t, future);
    T_EQ(mpifarm_drain(t->farm, MPIFARM_FOREVER), 0);
    T_EQ(t_counts(t).n_submitted - before.n_submitted, 2);
}

static void a_tree_that_grows_for_ever_can_be_cancelled(struct t_run *t)
{
    struct mpifarm_counts before = t_counts(t), counts;
    mpifarm_future root = t_submit(t, T_SPAWN_ON, "x", 1, .group = 30);

    do {
        T_CHECK(mpifarm_progress(t->farm, NULL) >= 0);
        counts = t_counts(t);
    } while (counts.n_done - before.n_done < 200);
    T_CHECK(mpifarm_cancel_group(t->farm, 30) > 0);
    T_EQ(mpifarm_wait_group(t->farm, 30, 0), 0);
    T_EQ(mpifarm_drain(t->farm, MPIFARM_FOREVER), 0);
    /* Those that ran just then had no children any more. */
    T_EQ(mpifarm_cancel_group(t->farm, 30), 0);
    T_CHECK(t_counts(t).n_cancelled > before.n_cancelled);
    t_release(t, root);
}

const struct t_scenario t_children[] = {
    {"a tree of children is complete", a_tree_of_children_is_complete, 0},
    {"children can be heard of in the queue", children_can_be_heard_of_in_the_queue, 0},
    {"a retry does not double children", a_retry_does_not_double_children, 0},
    {"children can have a group of their own", children_can_have_a_group_of_their_own, 0},
    {"one task can have many children", one_task_can_have_many_children, 0},
    {"wrong children are refused", wrong_children_are_refused, 0},
    {"a tree that grows for ever can be cancelled", a_tree_that_grows_for_ever_can_be_cancelled, 0},
    {0},
};
