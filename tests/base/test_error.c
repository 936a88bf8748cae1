/* Tests of base/error.c. */
#include "base/error.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

Test(error, setting_formats_the_sentence_and_returns_the_code)
{
    struct mf_error err = {0};

    cr_assert_eq(mf_error_set(&err, -EINVAL, "line %d is bad", 3), -EINVAL);
    cr_assert_str_eq(err.text, "line 3 is bad");
}

Test(error, nobody_need_read_it)
{
    cr_assert_eq(mf_error_set(NULL, -EIO, "%s", "lost"), -EIO);
    cr_assert_eq(mf_error_prefix(NULL, -EIO, "%s", "lost"), -EIO);
}

Test(error, a_sentence_that_does_not_fit_ends_in_dots)
{
    struct mf_error err;

    mf_error_set(&err, -EINVAL, "%2000d", 1);
    cr_assert_eq(strlen(err.text), sizeof(err.text) - 1);
    cr_assert_str_eq(err.text + sizeof(err.text) - 5, " ...");
}

Test(error, a_sentence_that_just_fits_is_whole)
{
    struct mf_error err;

    mf_error_set(&err, -EINVAL, "%1023d", 1);
    cr_assert_eq(strlen(err.text), 1023u);
    cr_assert_eq(err.text[1022], '1');
}

Test(error, a_prefix_goes_before_the_sentence)
{
    struct mf_error err;

    mf_error_set(&err, -EINVAL, "unknown key");
    cr_assert_eq(mf_error_prefix(&err, -ENOENT, "%s:%d: ", "tasks", 12), -ENOENT);
    cr_assert_str_eq(err.text, "tasks:12: unknown key");
}

Test(error, a_prefix_that_pushes_the_sentence_out_cuts_its_end)
{
    struct mf_error err;

    mf_error_set(&err, -EINVAL, "%1023d", 1);
    mf_error_prefix(&err, -EINVAL, "a: ");
    cr_assert_eq(strlen(err.text), 1023u);
    cr_assert_eq(strncmp(err.text, "a:  ", 4), 0);
    cr_assert_str_eq(err.text + 1019, " ...");
}

Test(error, a_prefix_longer_than_everything_is_cut_too)
{
    struct mf_error err;

    mf_error_set(&err, -EINVAL, "sentence");
    mf_error_prefix(&err, -EINVAL, "%3000d", 1);
    cr_assert_eq(strlen(err.text), 1023u);
    cr_assert_str_eq(err.text + 1019, " ...");
}

Test(error, the_new_sentence_may_quote_the_old_one)
{
    struct mf_error err;

    mf_error_set(&err, -EINVAL, "cause");
    mf_error_set(&err, -EINVAL, "failed: %s", err.text);
    cr_assert_str_eq(err.text, "failed: cause");
}
