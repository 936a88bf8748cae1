/* Tests of base/nearest.c. */
#include "base/units.h"

#include <criterion/criterion.h>
#include <string.h>

static const char *nearest(const char *text)
{
    static const char *const names[] = {"cores", "mem", NULL, "timeout", "retries", "resume"};
    const char *name = mf_nearest(text, names, sizeof(names) / sizeof(names[0]));

    return name ? name : "none";
}

Test(nearest, one_wrong_missing_or_extra_letter_is_forgiven)
{
    cr_assert_str_eq(nearest("cares"), "cores");
    cr_assert_str_eq(nearest("core"), "cores");
    cr_assert_str_eq(nearest("corres"), "cores");
    cr_assert_str_eq(nearest("me"), "mem");
}

Test(nearest, two_swapped_letters_count_once)
{
    /* Two replacements would be more than a third. */
    cr_assert_str_eq(nearest("croes"), "cores");
    cr_assert_str_eq(nearest("mme"), "mem");
}

Test(nearest, an_exact_name_wins_over_a_near_one)
{
    cr_assert_str_eq(nearest("retries"), "retries");
}

Test(nearest, what_differs_in_more_than_a_third_is_not_meant)
{
    cr_assert_str_eq(nearest("cpus"), "none");
    cr_assert_str_eq(nearest("tiemouts"), "timeout");
    cr_assert_str_eq(nearest("xxmeout"), "timeout");
    cr_assert_str_eq(nearest("xxxeout"), "none");
    cr_assert_str_eq(nearest(""), "none");
}

Test(nearest, of_equally_near_names_the_first_is_taken)
{
    static const char *const names[] = {"bat", "cat", "hat"};

    cr_assert_eq(mf_nearest("rat", names, 3), names[0]);
    cr_assert_eq(mf_nearest("rat", names + 1, 2), names[1]);
}

Test(nearest, without_names_there_is_none)
{
    cr_assert_null(mf_nearest("cores", NULL, 0));
}

Test(nearest, texts_of_any_length_are_safe)
{
    static char text[100000];
    static const char *const names[] = {text + 1, "cores"};

    memset(text, 'c', sizeof(text) - 1);
    cr_assert_null(mf_nearest(text, names, 2));
    cr_assert_eq(mf_nearest("cores", names, 2), names[1]);
}

Test(nearest, the_longest_name_that_is_compared_has_64_letters)
{
    char text[66], name[66];
    const char *const names[] = {name};

    memset(text, 'a', sizeof(text));
    memset(name, 'a', sizeof(name));
    text[64] = name[64] = '\0';
    text[0] = 'b';
    cr_assert_eq(mf_nearest(text, names, 1), name);
    text[64] = 'a';
    text[65] = '\0';
    cr_assert_null(mf_nearest(text, names, 1));
}
