/* What is said of tasks that no worker can run. */
#include "core/task.h"

#include <criterion/criterion.h>

#define KIB UINT64_C(1024)
#define GIB (UINT64_C(1) << 30)

static const char *explain(struct mf_needs needs, struct mf_needs largest)
{
    static char text[256];

    mf_needs_explain(&needs, &largest, text, sizeof(text));
    return text;
}

Test(task, what_no_worker_has_is_named_with_what_the_largest_has)
{
    struct mf_needs largest = {.n_slots = 4, .n_gpus = 2, .mem_bytes = 300 * KIB};

    cr_assert_str_eq(explain((struct mf_needs){.n_slots = 5}, largest),
                     "needs 5 cores, and the largest worker has 4");
    cr_assert_str_eq(explain((struct mf_needs){.n_slots = 1, .n_gpus = 3}, largest),
                     "needs 3 GPUs, and the largest worker has 2");
    cr_assert_str_eq(explain((struct mf_needs){.n_slots = 1, .mem_bytes = 3 * GIB}, largest),
                     "needs 3.0 GiB of memory, and the largest worker has 300.0 KiB");
}

Test(task, the_most_of_each_kind_is_exceeded_by_more_of_any)
{
    struct mf_needs largest = {0};

    mf_needs_raise(&largest, &(struct mf_needs){.n_slots = 4, .mem_bytes = KIB});
    mf_needs_raise(&largest, &(struct mf_needs){.n_slots = 2, .n_gpus = 2});
    cr_assert(largest.n_slots == 4 && largest.n_gpus == 2 && largest.mem_bytes == KIB);
    cr_assert(!mf_needs_exceed(&largest, &largest));
    cr_assert(mf_needs_exceed(&(struct mf_needs){.n_slots = 5}, &largest));
    cr_assert(mf_needs_exceed(&(struct mf_needs){.n_gpus = 3}, &largest));
    cr_assert(mf_needs_exceed(&(struct mf_needs){.mem_bytes = KIB + 1}, &largest));
}

Test(task, what_no_worker_has_together_is_told_so)
{
    struct mf_needs largest = {.n_slots = 4, .n_gpus = 2, .mem_bytes = 3 * GIB};

    cr_assert_str_eq(explain((struct mf_needs){.n_slots = 4, .n_gpus = 2}, largest),
                     "needs 4 cores and 2 GPUs on one worker; some have 4 cores, some 2 GPUs, none "
                     "has both");
    cr_assert_str_eq(
        explain((struct mf_needs){.n_slots = 4, .n_gpus = 1, .mem_bytes = 2 * GIB}, largest),
        "needs 4 cores, 1 GPUs and 2.0 GiB of memory on one worker; some have 4 cores, "
        "some 2 GPUs, some 3.0 GiB, none has all");
}

Test(task, memory_that_is_not_known_is_asked_for)
{
    struct mf_needs largest = {.n_slots = 4};

    cr_assert_str_eq(explain((struct mf_needs){.n_slots = 1, .mem_bytes = GIB}, largest),
                     "needs 1.0 GiB of memory, and how much the nodes have cannot be found out: "
                     "say it with --mem SIZE");
}
