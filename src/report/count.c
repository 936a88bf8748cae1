/* Counts and rates as people read them: see count.h. Pure functions. */
#include "report/count.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

char *mf_count_format(uint64_t count, char text[MF_COUNT_SIZE])
{
    char digits[MF_COUNT_SIZE];
    size_t n = (size_t)snprintf(digits, sizeof(digits), "%" PRIu64, count);
    size_t at = 0;

    for (size_t i = 0; i < n; i++) {
        if (i > 0 && (n - i) % 3 == 0)
            text[at++] = ',';
        text[at++] = digits[i];
    }
    text[at] = '\0';
    return text;
}

char *mf_rate_format(double per_s, char text[MF_COUNT_SIZE])
{
    static const struct {
        double per_s;
        const char *name;
    } units[] = {{1.0, "s"}, {1.0 / 60, "min"}, {1.0 / 3600, "h"}};
    size_t unit = 0;

    /* A rate below one of a unit reads better in the next. */
    while (unit < 2 && per_s > 0 && per_s < 0.95 * units[unit].per_s)
        unit++;
    per_s /= units[unit].per_s;
    if (per_s < 9.95) {
        snprintf(text, MF_COUNT_SIZE, "%.1f/%s", per_s, units[unit].name);
        return text;
    }
    mf_count_format((uint64_t)(per_s + 0.5), text);
    strcat(text, "/");
    strcat(text, units[unit].name);
    return text;
}
