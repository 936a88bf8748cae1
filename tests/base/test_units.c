/* Tests of base/units.c. */
#include "base/units.h"

#include "base/clock.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

/* The duration in ns, or the negative error; an error must come with a sentence that quotes text.
 */
static int64_t duration(const char *text)
{
    struct mf_error err = {0};
    int64_t ns = -12345;
    int r = mf_parse_duration(text, &ns, &err);

    if (r == 0)
        return ns;
    cr_assert_eq(ns, -12345, "the output is untouched");
    cr_assert_not_null(strstr(err.text, text));
    return r;
}

static int size(const char *text, uint64_t *ret_bytes)
{
    struct mf_error err = {0};
    int r = mf_parse_size(text, ret_bytes, &err);

    cr_assert_eq(r < 0, strstr(err.text, "size") != NULL);
    return r;
}

static uint64_t good_size(const char *text)
{
    uint64_t bytes = 0;

    cr_assert_eq(size(text, &bytes), 0, "%s", text);
    return bytes;
}

Test(units, a_bare_number_is_seconds)
{
    cr_assert_eq(duration("90"), 90 * MF_NS_PER_S);
    cr_assert_eq(duration("0"), 0);
    cr_assert_eq(duration("1.5"), 1500 * MF_NS_PER_MS);
}

Test(units, each_unit_of_time_is_known)
{
    cr_assert_eq(duration("50us"), 50000);
    cr_assert_eq(duration("250ms"), 250 * MF_NS_PER_MS);
    cr_assert_eq(duration("2s"), 2 * MF_NS_PER_S);
    cr_assert_eq(duration("10m"), 600 * MF_NS_PER_S);
    cr_assert_eq(duration("2h"), 7200 * MF_NS_PER_S);
    cr_assert_eq(duration("1d"), 86400 * MF_NS_PER_S);
}

Test(units, units_add_up_from_large_to_small)
{
    cr_assert_eq(duration("1h30m"), 5400 * MF_NS_PER_S);
    cr_assert_eq(duration("1d2h3m4s5ms"), 93784005 * MF_NS_PER_MS);
    cr_assert_eq(duration("30m1h"), -EINVAL);
    cr_assert_eq(duration("1h1h"), -EINVAL);
}

Test(units, fractions_are_exact_to_the_nanosecond)
{
    cr_assert_eq(duration("1.5s"), 1500 * MF_NS_PER_MS);
    cr_assert_eq(duration(".5h"), 1800 * MF_NS_PER_S);
    cr_assert_eq(duration("0.1s"), 100 * MF_NS_PER_MS);
    cr_assert_eq(duration("0.000000001"), 1);
    cr_assert_eq(duration("0.0000000019"), 1);
    cr_assert_eq(duration("0.99999999999999999999999999999999"), MF_NS_PER_S - 1);
}

Test(units, a_clock_has_hours_minutes_and_seconds)
{
    cr_assert_eq(duration("01:30:00"), 5400 * MF_NS_PER_S);
    cr_assert_eq(duration("100:00:59"), 360059 * MF_NS_PER_S);
    cr_assert_eq(duration("0:00:00"), 0);
}

Test(units, what_is_not_a_duration_is_refused)
{
    static const char *const wrong[] = {
        "",       "-1",        "+1",         " 1",      "1 ",     "1x",      "s",        "1h30",
        "1..5s",  "1.",        ".",          "1.s",     "1e3",    "0x10",    "inf",      "nan",
        "1:30",   "1:60:0",    "1:60:00",    "1:00:60", "1:0:00", "1:00:0a", "1:00:000", "1h:00:00",
        ":00:00", "1.5:00:00", "1:00:00:00", "1min",    "1hour",
    };

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        cr_assert_eq(duration(wrong[i]), -EINVAL, "\"%s\"", wrong[i]);
}

Test(units, the_longest_duration_is_just_accepted)
{
    cr_assert_eq(duration("9223372036.854775807"), INT64_MAX);
    cr_assert_eq(duration("9223372036.854775808"), -ERANGE);
}

Test(units, too_long_durations_are_out_of_range)
{
    static const char *const long_ones[] = {
        "9223372037s",
        "106752d",
        "106751d24h",
        "99999999999999999999",
        "18446744073709551615d",
        "2562048:00:00",
        "99999999999999999999:00:00",
        "2562047:59:59",
    };

    for (size_t i = 0; i < sizeof(long_ones) / sizeof(long_ones[0]); i++)
        cr_assert_eq(duration(long_ones[i]), -ERANGE, "\"%s\"", long_ones[i]);
}

Test(units, a_very_long_wrong_text_still_gets_its_advice)
{
    struct mf_error err = {0};
    static char text[5000];
    int64_t ns;

    memset(text, 'x', sizeof(text) - 1);
    cr_assert_eq(mf_parse_duration(text, &ns, &err), -EINVAL);
    cr_assert_not_null(strstr(err.text, "01:30:00"));
}

Test(units, nobody_need_read_the_sentence)
{
    int64_t value;
    uint64_t bytes;

    cr_assert_eq(mf_parse_duration("x", &value, NULL), -EINVAL);
    cr_assert_eq(mf_parse_size("x", &bytes, NULL), -EINVAL);
    cr_assert_eq(mf_parse_integer("x", 0, 1, &value, NULL), -EINVAL);
}

Test(units, sizes_are_powers_of_1024)
{
    cr_assert_eq(good_size("4096"), 4096u);
    cr_assert_eq(good_size("12B"), 12u);
    cr_assert_eq(good_size("64K"), 65536u);
    cr_assert_eq(good_size("64kB"), 65536u);
    cr_assert_eq(good_size("3M"), UINT64_C(3) << 20);
    cr_assert_eq(good_size("1.5G"), UINT64_C(3) << 29);
    cr_assert_eq(good_size("2TiB"), UINT64_C(2) << 40);
    cr_assert_eq(good_size("1P"), UINT64_C(1) << 50);
    cr_assert_eq(good_size("15E"), UINT64_C(15) << 60);
    cr_assert_eq(good_size("0.5"), 0u);
}

Test(units, the_largest_size_is_just_accepted)
{
    uint64_t bytes;

    cr_assert_eq(good_size("18446744073709551615"), UINT64_MAX);
    cr_assert_eq(size("18446744073709551616", &bytes), -ERANGE);
    cr_assert_eq(size("16E", &bytes), -ERANGE);
    cr_assert_eq(size("18446744073709551615E", &bytes), -ERANGE);
}

Test(units, what_is_not_a_size_is_refused)
{
    static const char *const wrong[] = {"", "-1", "K", "1X", "1Ki", "1KiBs", "1 K", "1K5", "1.K"};
    uint64_t bytes = 7;

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        cr_assert_eq(size(wrong[i], &bytes), -EINVAL, "\"%s\"", wrong[i]);
    cr_assert_eq(bytes, 7u, "the output is untouched");
}

/* The integer, or fails; the whole range of int64_t is allowed. */
static int64_t integer(const char *text)
{
    int64_t value = 0;

    cr_assert_eq(mf_parse_integer(text, INT64_MIN, INT64_MAX, &value, NULL), 0, "%s", text);
    return value;
}

Test(units, integers_are_read_over_their_whole_range)
{
    cr_assert_eq(integer("0"), 0);
    cr_assert_eq(integer("-12"), -12);
    cr_assert_eq(integer("007"), 7);
    cr_assert_eq(integer("9223372036854775807"), INT64_MAX);
    cr_assert_eq(integer("-9223372036854775808"), INT64_MIN);
}

Test(units, integers_outside_their_limits_are_out_of_range)
{
    static const char *const wrong[] = {"0", "11", "-1", "9223372036854775808",
                                        "-99999999999999999999"};
    struct mf_error err;
    int64_t value = 7;

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        cr_assert_eq(mf_parse_integer(wrong[i], 1, 10, &value, &err), -ERANGE, "%s", wrong[i]);
        cr_assert_not_null(strstr(err.text, "1 to 10"));
    }
    cr_assert_eq(value, 7, "the output is untouched");
    cr_assert_eq(mf_parse_integer("9223372036854775808", 0, INT64_MAX, &value, NULL), -ERANGE);
}

Test(units, what_is_not_an_integer_is_refused)
{
    static const char *const wrong[] = {"", "-", "+1", " 1", "1 ", "1.0", "1e3", "0x1", "--1", "a"};
    int64_t value;

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        cr_assert_eq(mf_parse_integer(wrong[i], INT64_MIN, INT64_MAX, &value, NULL), -EINVAL,
                     "\"%s\"", wrong[i]);
}

static const char *shown_duration(int64_t ns)
{
    static char text[32];

    return mf_format_duration(ns, text, sizeof(text));
}

Test(units, durations_are_shown_in_the_form_that_fits_them)
{
    cr_assert_str_eq(shown_duration(0), "0 ms");
    cr_assert_str_eq(shown_duration(12 * MF_NS_PER_US), "12 us");
    cr_assert_str_eq(shown_duration(850 * MF_NS_PER_MS), "850 ms");
    cr_assert_str_eq(shown_duration(12300 * MF_NS_PER_MS), "12.3 s");
    cr_assert_str_eq(shown_duration(245 * MF_NS_PER_S), "4m05s");
    cr_assert_str_eq(shown_duration((3 * 60 + 12) * 60 * MF_NS_PER_S), "3h12m");
    cr_assert_str_eq(shown_duration(52 * 3600 * MF_NS_PER_S), "2d04h");
    cr_assert_str_eq(shown_duration(-245 * MF_NS_PER_S), "-4m05s");
    cr_assert_str_eq(shown_duration(INT64_MAX), "106752d00h");
    cr_assert_str_eq(shown_duration(INT64_MIN), "-106752d00h");
}

Test(units, a_duration_that_rounds_up_takes_the_next_form)
{
    cr_assert_str_eq(shown_duration(MF_NS_PER_MS - 1), "1 ms");
    cr_assert_str_eq(shown_duration(MF_NS_PER_S - 1), "1.0 s");
    cr_assert_str_eq(shown_duration(60 * MF_NS_PER_S - 1), "1m00s");
    cr_assert_str_eq(shown_duration(3600 * MF_NS_PER_S - 1), "1h00m");
    cr_assert_str_eq(shown_duration(86400 * MF_NS_PER_S - 1), "1d00h");
}

Test(units, a_small_text_is_never_overrun)
{
    char text[4] = "xxx";

    cr_assert_str_eq(mf_format_duration(INT64_MAX, text, sizeof(text)), "106");
}

static const char *shown_size(uint64_t bytes)
{
    static char text[32];

    return mf_format_size(bytes, text, sizeof(text));
}

Test(units, sizes_are_shown_in_the_unit_that_fits_them)
{
    cr_assert_str_eq(shown_size(0), "0 B");
    cr_assert_str_eq(shown_size(1023), "1023 B");
    cr_assert_str_eq(shown_size(1024), "1.0 KiB");
    cr_assert_str_eq(shown_size(1536), "1.5 KiB");
    cr_assert_str_eq(shown_size((1 << 20) - 1), "1.0 MiB");
    cr_assert_str_eq(shown_size(UINT64_C(8) << 30), "8.0 GiB");
    cr_assert_str_eq(shown_size(UINT64_C(3) << 39), "1.5 TiB");
    cr_assert_str_eq(shown_size(UINT64_MAX), "16.0 EiB");
}

Test(units, a_decimal_number_is_digits_and_nothing_that_only_some_read)
{
    const char *wrong[] = {"",      "+1", "-1", "0x10", "inf", "nan",
                           "1e999", "1 ", " 1", "1,5",  "1e",  "."};
    double value = 7;

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        cr_assert_eq(mf_parse_decimal(wrong[i], 0, &value), -EINVAL, "%s", wrong[i]);
    cr_assert_eq(value, 7);
    cr_assert_eq(mf_parse_decimal("1.5e-1", 0, &value), 0);
    cr_assert_float_eq(value, 0.15, 1e-12);
    cr_assert_eq(mf_parse_decimal(".5%", 1, &value), 0);
    cr_assert_float_eq(value, 0.5, 0);
    cr_assert_eq(mf_parse_decimal("%", 1, &value), -EINVAL);
    cr_assert_eq(mf_parse_decimal("0x1%", 1, &value), -EINVAL);
}
