/*
 * Durations, sizes and counts as people write them: see units.h.
 *
 * All arithmetic is in integers, so that "0.1s" is 100,000,000 ns and overflow
 * is seen before it happens, and the locale's decimal point plays no part. Owns
 * nothing; any thread may call these.
 */
#include "base/units.h"

#include "base/clock.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define SECOND_NS ((uint64_t)MF_NS_PER_S)
#define MINUTE_NS (60 * SECOND_NS)
#define HOUR_NS (60 * MINUTE_NS)
#define DAY_NS (24 * HOUR_NS)

/* Digits of a fraction that count: numerator times unit then fits in 128 bits. */
#define MAX_FRACTION_DIGITS 18

/* How much of a wrong text a message repeats. */
#define SHOWN "%.100s"

__extension__ typedef unsigned __int128 wide_uint;

/* whole + numerator / denominator */
struct decimal {
    uint64_t whole;
    uint64_t numerator;
    uint64_t denominator;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Reads "12", "1.5" or ".5" and moves *text behind it. Returns 0, -EINVAL or -ERANGE. */
static int parse_decimal(const char **text, struct decimal *ret_decimal)
{
    struct decimal decimal = {.denominator = 1};
    const char *at = *text;
    bool has_overflowed = false;
    size_t n_fraction = 0;

    for (; is_digit(*at); at++)
        has_overflowed |= __builtin_mul_overflow(decimal.whole, 10, &decimal.whole) ||
                          __builtin_add_overflow(decimal.whole, *at - '0', &decimal.whole);
    if (*at == '.') {
        for (at++; is_digit(*at); at++) {
            if (n_fraction++ >= MAX_FRACTION_DIGITS)
                continue;
            decimal.numerator = decimal.numerator * 10 + (uint64_t)(*at - '0');
            decimal.denominator *= 10;
        }
        if (n_fraction == 0)
            return -EINVAL;
    }
    if (at == *text)
        return -EINVAL;
    if (has_overflowed)
        return -ERANGE;
    *text = at;
    *ret_decimal = decimal;
    return 0;
}

/* Adds decimal x unit to *total, which stays within max. Returns 0 or -ERANGE. */
static int add_scaled(const struct decimal *decimal, uint64_t unit, uint64_t max, uint64_t *total)
{
    wide_uint sum = (wide_uint)decimal->whole * unit +
                    (wide_uint)decimal->numerator * unit / decimal->denominator + *total;

    if (sum > max)
        return -ERANGE;
    *total = (uint64_t)sum;
    return 0;
}

/* Reads a unit of time and moves *text behind it; 0 when there is none. */
static uint64_t parse_time_unit(const char **text)
{
    static const struct {
        const char *name;
        uint64_t ns;
    } units[] = {
        {"us", 1000},
        /* "ms" before "m", which it begins with */
        {"ms", (uint64_t)MF_NS_PER_MS},
        {"s", SECOND_NS},
        {"m", MINUTE_NS},
        {"h", HOUR_NS},
        {"d", DAY_NS},
    };

    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        size_t n = strlen(units[i].name);

        if (strncmp(*text, units[i].name, n) == 0) {
            *text += n;
            return units[i].ns;
        }
    }
    return 0;
}

/* "1d2h", "1.5s", "90": each unit smaller than the one before. */
static int parse_units(const char *text, uint64_t *ret_ns)
{
    const char *at = text;
    uint64_t previous = UINT64_MAX;
    uint64_t total = 0;
    int r;

    do {
        const bool is_first = at == text;
        struct decimal decimal;
        uint64_t unit;

        r = parse_decimal(&at, &decimal);
        if (r < 0)
            return r;
        /* Only a number that stands alone may leave its unit to the reader. */
        if (is_first && *at == '\0')
            unit = SECOND_NS;
        else
            unit = parse_time_unit(&at);
        if (unit == 0 || unit >= previous)
            return -EINVAL;
        r = add_scaled(&decimal, unit, INT64_MAX, &total);
        if (r < 0)
            return r;
        previous = unit;
    } while (*at != '\0');

    *ret_ns = total;
    return 0;
}

/* Reads ":00" to ":59" and moves *text behind it; -1 when there is none. */
static int parse_sexagesimal(const char **text)
{
    const char *at = *text;
    int value;

    if (at[0] != ':' || !is_digit(at[1]) || !is_digit(at[2]))
        return -1;
    value = (at[1] - '0') * 10 + (at[2] - '0');
    if (value > 59)
        return -1;
    *text += 3;
    return value;
}

/* "HH:MM:SS"; with one colon only, programs differ on what it means. */
static int parse_clock(const char *text, uint64_t *ret_ns)
{
    struct decimal hours, rest = {.denominator = 1};
    uint64_t total = 0;
    int minutes, seconds, r;

    if (text[strspn(text, "0123456789")] != ':')
        return -EINVAL;
    r = parse_decimal(&text, &hours);
    if (r < 0)
        return r;
    minutes = parse_sexagesimal(&text);
    seconds = parse_sexagesimal(&text);
    if (minutes < 0 || seconds < 0 || *text != '\0')
        return -EINVAL;
    r = add_scaled(&hours, HOUR_NS, INT64_MAX, &total);
    if (r < 0)
        return r;
    rest.whole = (uint64_t)(minutes * 60 + seconds);
    r = add_scaled(&rest, SECOND_NS, INT64_MAX, &total);
    if (r < 0)
        return r;
    *ret_ns = total;
    return 0;
}

int mf_parse_duration(const char *text, int64_t *ret_ns, struct mf_error *err)
{
    uint64_t ns;
    int r = strchr(text, ':') ? parse_clock(text, &ns) : parse_units(text, &ns);

    if (r == -ERANGE)
        return mf_error_set(err, r, "\"" SHOWN "\" is too long a time: give at most 292 years",
                            text);
    if (r < 0)
        return mf_error_set(err, r,
                            "\"" SHOWN "\" is not a duration: write it like 90, 1.5s, 250ms, 10m, "
                            "1h30m, 2d or 01:30:00",
                            text);
    *ret_ns = (int64_t)ns;
    return 0;
}

/* The power of two that "", "B", "K", "KB" or "KiB" stands for, in either case; -1 for others. */
static int parse_size_unit(const char *text)
{
    static const char letters[] = "KMGTPE";
    const char *letter;

    if (text[0] == '\0' || strcasecmp(text, "B") == 0)
        return 0;
    letter = strchr(letters, toupper((unsigned char)text[0]));
    if (!letter)
        return -1;
    text++;
    if (text[0] != '\0' && strcasecmp(text, "B") != 0 && strcasecmp(text, "iB") != 0)
        return -1;
    return 10 * (int)(letter - letters + 1);
}

int mf_parse_size(const char *text, uint64_t *ret_bytes, struct mf_error *err)
{
    const char *at = text;
    struct decimal decimal;
    uint64_t bytes = 0;
    int shift = 0;
    int r = parse_decimal(&at, &decimal);

    if (r == 0) {
        shift = parse_size_unit(at);
        r = shift < 0 ? -EINVAL : add_scaled(&decimal, UINT64_C(1) << shift, UINT64_MAX, &bytes);
    }
    if (r == -ERANGE)
        return mf_error_set(err, r, "\"" SHOWN "\" is too large a size: give less than 16E", text);
    if (r < 0)
        return mf_error_set(
            err, r, "\"" SHOWN "\" is not a size: write it like 4096, 64K, 1.5G or 2TiB", text);
    *ret_bytes = bytes;
    return 0;
}

int mf_parse_integer(const char *text, int64_t min, int64_t max, int64_t *ret_value,
                     struct mf_error *err)
{
    const char *digits = text[0] == '-' ? text + 1 : text;
    long long value;

    if (digits[0] == '\0' || digits[strspn(digits, "0123456789")] != '\0')
        return mf_error_set(err, -EINVAL, "\"" SHOWN "\" is not a whole number", text);

    /* Beyond 64 bits strtoll() gives the nearest end, which only errno tells from a real one. */
    errno = 0;
    value = strtoll(text, NULL, 10);
    if (errno == ERANGE || value < min || value > max)
        return mf_error_set(err, -ERANGE, SHOWN " is out of range: give %" PRId64 " to %" PRId64,
                            text, min, max);
    *ret_value = value;
    return 0;
}

int mf_parse_decimal(const char *text, size_t n_behind, double *ret_value)
{
    size_t size = strlen(text);
    double value;
    char *end;

    /* Only what all locales read alike; the rest is for strtod() to tell. */
    if (size <= n_behind || !(is_digit(text[0]) || text[0] == '.') ||
        strspn(text, "0123456789.eE+-") < size - n_behind)
        return -EINVAL;
    value = strtod(text, &end);
    if (end != text + size - n_behind || !isfinite(value))
        return -EINVAL;
    *ret_value = value;
    return 0;
}

static uint64_t divide_rounded(uint64_t value, uint64_t unit)
{
    return value / unit + (value % unit >= unit / 2);
}

char *mf_format_duration(int64_t ns, char *text, size_t size)
{
    const char *sign = ns < 0 ? "-" : "";
    uint64_t length = ns < 0 ? -(uint64_t)ns : (uint64_t)ns;
    uint64_t us = divide_rounded(length, 1000);
    uint64_t ms = divide_rounded(length, 1000000);
    uint64_t tenths = divide_rounded(length, SECOND_NS / 10);
    uint64_t seconds = divide_rounded(length, SECOND_NS);
    uint64_t minutes = divide_rounded(length, MINUTE_NS);
    uint64_t hours = divide_rounded(length, HOUR_NS);

    /* Each form is chosen by its own rounded value, so that none shows "60.0 s" or "1000 ms". */
    if (us > 0 && us < 1000)
        snprintf(text, size, "%s%" PRIu64 " us", sign, us);
    else if (ms < 1000)
        snprintf(text, size, "%s%" PRIu64 " ms", sign, ms);
    else if (tenths < 600)
        snprintf(text, size, "%s%" PRIu64 ".%" PRIu64 " s", sign, tenths / 10, tenths % 10);
    else if (seconds < 3600)
        snprintf(text, size, "%s%" PRIu64 "m%02" PRIu64 "s", sign, seconds / 60, seconds % 60);
    else if (minutes < 24 * 60)
        snprintf(text, size, "%s%" PRIu64 "h%02" PRIu64 "m", sign, minutes / 60, minutes % 60);
    else
        snprintf(text, size, "%s%" PRIu64 "d%02" PRIu64 "h", sign, hours / 24, hours % 24);
    return text;
}

char *mf_format_size(uint64_t bytes, char *text, size_t size)
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = (double)bytes / 1024;
    size_t i = 0;

    if (bytes < 1024) {
        snprintf(text, size, "%" PRIu64 " B", bytes);
        return text;
    }
    /* Chosen by the rounded value, so that none shows "1024.0 KiB". */
    for (; value >= 1023.95; i++)
        value /= 1024;
    snprintf(text, size, "%.1f %s", value, units[i]);
    return text;
}
