/* What --resource NAME=NUMBER says. */
#include "cli/resources.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static void refuses(const char *text, int code, const char *sentence)
{
    struct mf_resources resources = {0};
    struct mf_error err;

    cr_assert_eq(mf_resources_add(&resources, "licence.a=1", &err), 0);
    cr_assert_eq(mf_resources_add(&resources, text, &err), code, "%s", text);
    cr_assert_str_eq(err.text, sentence);
    cr_assert_eq(resources.n, 1);
}

Test(resources, each_has_a_name_and_a_number)
{
    struct mf_resources resources = {0};
    uint32_t counts[MF_N_COUNTABLES];

    cr_assert_eq(mf_resources_add(&resources, "licence.matlab=4", NULL), 0);
    cr_assert_eq(mf_resources_add(&resources, "resource.disk-1_a=4294967295", NULL), 0);
    cr_assert_eq(resources.n, 2);
    cr_assert_str_eq(resources.items[0].name, "licence.matlab");
    cr_assert_str_eq(resources.items[1].name, "resource.disk-1_a");
    mf_resources_count(&resources, counts);
    cr_assert(counts[0] == 4 && counts[1] == UINT32_MAX && counts[2] == 0);
}

Test(resources, what_makes_no_sense_is_refused)
{
    refuses("licence.b", -EINVAL, "\"licence.b\" is not NAME=NUMBER, as in licence.matlab=4");
    refuses("matlab=4", -EINVAL,
            "\"matlab\" is no name: it has letters, digits, \"_\", \"-\" and at least one \".\", "
            "as licence.matlab");
    refuses(".b=4", -EINVAL,
            "\".b\" is no name: it has letters, digits, \"_\", \"-\" and at least one \".\", as "
            "licence.matlab");
    refuses("licence.a=2", -EEXIST, "licence.a is given twice");
    refuses("a.01234567890123456789012345678901234567890123456789012345678901234567890123456789=1",
            -EINVAL, "a name has at most 63 bytes, not 82");
}

Test(resources, a_number_that_is_none_is_refused)
{
    const char *bad[] = {"l.x=0", "l.x=-1", "l.x=", "l.x=4x", "l.x=4294967296"};

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct mf_resources resources = {0};
        struct mf_error err;

        cr_assert_lt(mf_resources_add(&resources, bad[i], &err), 0, "%s", bad[i]);
        cr_assert_eq(strncmp(err.text, "l.x: ", 5), 0, "%s", err.text);
    }
}

Test(resources, there_are_so_many_and_no_more)
{
    struct mf_resources resources = {0};
    struct mf_error err;
    char text[16];

    for (int i = 0; i < MF_N_COUNTABLES; i++) {
        snprintf(text, sizeof(text), "l.%d=1", i);
        cr_assert_eq(mf_resources_add(&resources, text, NULL), 0);
    }
    cr_assert_eq(mf_resources_add(&resources, "l.x=1", &err), -E2BIG);
    cr_assert_str_eq(err.text, "more than 8 resources");
}
