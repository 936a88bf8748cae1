/* The parts that the farm is made of: tables, storage, median. */
#include "core/farm_private.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

Test(states, nothing_follows_a_final_state)
{
    for (int from = MF_TASK_DONE; from <= MF_TASK_SKIPPED; from++) {
        cr_assert(mf_task_state_is_final((enum mf_task_state)from));
        for (int to = 0; to < MF_TASK_STATE_COUNT; to++)
            cr_assert_not(mf_task_may_move((enum mf_task_state)from, (enum mf_task_state)to));
    }
}

Test(states, a_task_runs_only_after_it_was_placed)
{
    cr_assert(mf_task_may_move(MF_TASK_READY, MF_TASK_PLACED));
    cr_assert(mf_task_may_move(MF_TASK_PLACED, MF_TASK_RUNNING));
    cr_assert_not(mf_task_may_move(MF_TASK_READY, MF_TASK_RUNNING));
    cr_assert_not(mf_task_may_move(MF_TASK_READY, MF_TASK_DONE));
    cr_assert_not(mf_task_may_move(MF_TASK_WAITING, MF_TASK_PLACED));
    cr_assert_not(mf_task_may_move(MF_TASK_RUNNING, MF_TASK_PLACED));
}

Test(states, a_worker_that_has_gone_never_comes_back)
{
    cr_assert(mf_worker_may_move(MF_WORKER_UP, MF_WORKER_DRAINING));
    cr_assert(mf_worker_may_move(MF_WORKER_UP, MF_WORKER_GONE));
    cr_assert(mf_worker_may_move(MF_WORKER_DRAINING, MF_WORKER_GONE));
    cr_assert(mf_worker_may_move(MF_WORKER_DRAINING, MF_WORKER_UP));
    cr_assert_not(mf_worker_may_move(MF_WORKER_GONE, MF_WORKER_UP),
                  "one that comes back is another");
}

Test(states, each_has_a_name)
{
    cr_assert_str_eq(mf_task_state_name(MF_TASK_WAITING), "WAITING");
    cr_assert_str_eq(mf_task_state_name(MF_TASK_SKIPPED), "SKIPPED");
    cr_assert_str_eq(mf_task_state_name((enum mf_task_state)99), "UNKNOWN");
}

static struct mf_task *add(struct mf_tasks *tasks)
{
    cr_assert_eq(mf_tasks_reserve(tasks), 0);
    return mf_tasks_add(tasks);
}

Test(tasks, they_are_found_by_id_until_they_are_forgotten)
{
    struct mf_tasks tasks = {0};

    for (uint64_t id = 1; id <= 3000; id++)
        cr_assert_eq(add(&tasks)->id, id);
    cr_assert_eq(mf_tasks_find(&tasks, 2500)->id, 2500);
    mf_tasks_forget(&tasks, mf_tasks_find(&tasks, 2500));
    cr_assert_null(mf_tasks_find(&tasks, 2500));
    cr_assert(mf_tasks_has_added(&tasks, 2500));
    cr_assert_null(mf_tasks_find(&tasks, 0));
    cr_assert_null(mf_tasks_find(&tasks, 3001));
    cr_assert_not(mf_tasks_has_added(&tasks, 3001));
    mf_tasks_finish(&tasks);
}

Test(tasks, walking_passes_over_what_is_forgotten)
{
    struct mf_tasks tasks = {0};

    for (int i = 0; i < 6 * MF_TASKS_PER_CHUNK; i++)
        add(&tasks);
    for (mf_task_id id = 1; id <= tasks.n_added; id++) {
        if (id != 3 * MF_TASKS_PER_CHUNK && id != 6 * MF_TASKS_PER_CHUNK)
            mf_tasks_forget(&tasks, mf_tasks_find(&tasks, id));
    }
    cr_assert_eq(mf_tasks_after(&tasks, 0)->id, 3 * MF_TASKS_PER_CHUNK);
    cr_assert_eq(mf_tasks_after(&tasks, 3 * MF_TASKS_PER_CHUNK)->id, 6 * MF_TASKS_PER_CHUNK);
    cr_assert_null(mf_tasks_after(&tasks, 6 * MF_TASKS_PER_CHUNK));
    mf_tasks_finish(&tasks);
}

Test(tasks, a_long_stream_keeps_little_even_when_one_task_stays)
{
    struct mf_tasks tasks = {0};
    const struct mf_task *first = add(&tasks);
    size_t n_chunks = 0;

    for (uint64_t i = 0; i < 2000 * MF_TASKS_PER_CHUNK; i++)
        mf_tasks_forget(&tasks, add(&tasks));
    for (size_t i = 0; i < tasks.n_chunks; i++)
        n_chunks += tasks.chunks[i] != NULL;
    cr_assert_eq(mf_tasks_find(&tasks, 1), first);
    cr_assert(n_chunks <= 2, "%zu chunks", n_chunks);
    mf_tasks_forget(&tasks, mf_tasks_find(&tasks, 1));
    cr_assert(tasks.n_chunks <= 1, "%zu directory entries", tasks.n_chunks);
    cr_assert_eq(add(&tasks)->id, tasks.n_added);
    mf_tasks_finish(&tasks);
}

Test(tasks, the_directory_stays_small_while_tasks_pass_through)
{
    const uint64_t n_kept = 5 * MF_TASKS_PER_CHUNK;
    struct mf_tasks tasks = {0};

    for (uint64_t i = 0; i < 4000 * MF_TASKS_PER_CHUNK; i++) {
        add(&tasks);
        if (i >= n_kept)
            mf_tasks_forget(&tasks, mf_tasks_find(&tasks, i - n_kept + 1));
    }
    cr_assert(tasks.capacity <= 32, "%zu directory entries", tasks.capacity);
    mf_tasks_finish(&tasks);
}

Test(median, it_is_exact_for_few_values_in_any_order)
{
    struct mf_median median = {0};

    cr_assert_eq(mf_median_get(&median), 0);
    mf_median_add(&median, 30);
    cr_assert_eq(mf_median_get(&median), 30);
    mf_median_add(&median, 10);
    cr_assert_eq(mf_median_get(&median), 20);
    mf_median_add(&median, 5);
    cr_assert_eq(mf_median_get(&median), 10);
}

Test(median, it_is_exact_up_to_its_number_of_samples)
{
    struct mf_median median = {0};

    /* 0 .. 1022 in a scattered order, as 613 has no factor in common with 1023. */
    for (int i = 0; i < MF_MEDIAN_SAMPLES - 1; i++)
        mf_median_add(&median, (i * 613) % (MF_MEDIAN_SAMPLES - 1));
    cr_assert_eq(mf_median_get(&median), 511);
}

Test(median, the_largest_values_do_not_overflow)
{
    struct mf_median median = {0};

    mf_median_add(&median, INT64_MAX);
    mf_median_add(&median, INT64_MAX - 2);
    cr_assert_eq(mf_median_get(&median), INT64_MAX - 1);
}

Test(median, a_long_stream_is_estimated_within_a_few_percentiles)
{
    struct mf_median median = {0};

    /* An ascending stream: an estimate that favours early or late values is far off. */
    for (int64_t i = 0; i < 1000000; i++)
        mf_median_add(&median, i);
    cr_assert(mf_median_get(&median) > 450000 && mf_median_get(&median) < 550000, "%lld",
              (long long)mf_median_get(&median));
    for (uint32_t i = 1; i < MF_MEDIAN_SAMPLES; i++)
        cr_assert(median.samples[i - 1] <= median.samples[i]);
}

Test(farm, a_million_tasks_pass_through_in_little_memory)
{
    struct mf_farm *farm;
    struct mf_change change;

    cr_assert_eq(mf_farm_create(&(struct mf_farm_config){0}, &farm), 0);
    mf_farm_apply(farm, &(struct mf_event){.kind = MF_EVENT_WORKER_UP, .has.n_slots = 1});
    for (mf_task_id id = 1; id <= 1000000; id++) {
        mf_farm_apply(farm, &(struct mf_event){.kind = MF_EVENT_SUBMITTED,
                                               .spec = {.needs.n_slots = 1, .max_attempts = 1}});
        mf_farm_apply(farm, &(struct mf_event){.kind = MF_EVENT_TICK});
        mf_farm_apply(farm, &(struct mf_event){.kind = MF_EVENT_ENDED, .task = id, .attempt = 1});
        cr_assert_eq(mf_farm_next_change(farm, &change), 1);
        cr_assert_eq(change.state, MF_TASK_DONE);
    }
    cr_assert(farm->tasks.n_chunks <= 2 && farm->tasks.capacity <= 16);
    cr_assert(farm->ready.capacity <= 64);
    cr_assert_null(mf_farm_check(farm));
    mf_farm_destroy(farm);
}
