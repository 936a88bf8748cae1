/* The value of -j, and what it means on a node. */
#include "topo/topo.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <string.h>

static uint32_t slots(const char *text, uint32_t n_cores)
{
    struct mf_error err = {0};
    struct mf_jobs jobs;

    cr_assert(eq(int, mf_jobs_parse(text, &jobs, &err), 0), "%s", err.text);
    return mf_jobs_slots(&jobs, n_cores);
}

Test(jobs, a_count_is_taken_whatever_the_cores)
{
    cr_assert(eq(u32, slots("8", 2), 8));
    cr_assert(eq(u32, slots("1", 64), 1));
}

Test(jobs, zero_is_one_slot_per_core)
{
    cr_assert(eq(u32, slots("0", 12), 12));
}

Test(jobs, plus_and_minus_count_from_the_cores)
{
    cr_assert(eq(u32, slots("+2", 4), 6));
    cr_assert(eq(u32, slots("-1", 4), 3));
}

Test(jobs, a_percentage_is_a_share_of_the_cores)
{
    cr_assert(eq(u32, slots("50%", 8), 4));
    cr_assert(eq(u32, slots("200%", 3), 6));
}

Test(jobs, there_is_always_one_slot)
{
    cr_assert(eq(u32, slots("-9", 4), 1));
    cr_assert(eq(u32, slots("-4", 4), 1));
    cr_assert(eq(u32, slots("10%", 4), 1));
    cr_assert(eq(u32, slots("0%", 4), 1));
}

Test(jobs, anything_else_is_refused_with_a_sentence_that_names_it)
{
    static const char *const texts[] = {
        "",   "four", "4x",   "+",   "-",   "%",   "+2%", " 4",
        "4 ", "1.5",  "0x10", "--1", "4%%", "+-2", "1e3", "99999999999999999999999999"};

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct mf_jobs jobs = {.kind = MF_JOBS_PLUS, .value = 77};
        struct mf_error err = {0};

        cr_assert(eq(int, mf_jobs_parse(texts[i], &jobs, &err), -EINVAL), "\"%s\"", texts[i]);
        cr_assert(ne(ptr, strstr(err.text, texts[i]), NULL), "%s", err.text);
        cr_assert(eq(u32, jobs.value, 77));
    }
}

Test(jobs, more_slots_than_any_node_has_are_refused)
{
    struct mf_jobs jobs;
    struct mf_error err = {0};

    cr_assert(eq(int, mf_jobs_parse("65536", &jobs, &err), 0));
    cr_assert(eq(int, mf_jobs_parse("65537", &jobs, &err), -EINVAL));
    cr_assert(ne(ptr, strstr(err.text, "65536"), NULL), "%s", err.text);
}
