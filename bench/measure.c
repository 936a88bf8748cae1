/* Settings, time and memory of the benchmark programs; see measure.h. */
#include "measure.h"

#include "base/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static void usage(const char *program, const struct mf_measure_setting *settings)
{
    fprintf(stderr, "usage: %s [NAME=VALUE]...\n", program);
    for (; settings->name; settings++) {
        if (settings->words)
            fprintf(stderr, "  %s: one of: %s\n", settings->name, settings->words);
        else
            fprintf(stderr, "  %s: %" PRId64 "\n", settings->name, *settings->value);
    }
    exit(2);
}

/* Which of the words it is, or -1. */
static int64_t find_word(const char *words, const char *text)
{
    size_t length = strlen(text);

    for (int64_t i = 0; words; i++) {
        if (strcspn(words, " ") == length && strncmp(words, text, length) == 0)
            return i;
        words = strchr(words, ' ');
        words += words != NULL;
    }
    return -1;
}

static bool read_value(const struct mf_measure_setting *setting, const char *text)
{
    char *end;

    if (setting->words) {
        *setting->value = find_word(setting->words, text);
        return *setting->value >= 0;
    }
    errno = 0;
    *setting->value = strtoll(text, &end, 10);
    return errno == 0 && end != text && *end == '\0' && *setting->value >= 0;
}

static bool read_argument(const struct mf_measure_setting *settings, const char *argument)
{
    const char *equals = strchr(argument, '=');

    for (; equals && settings->name; settings++)
        if (strlen(settings->name) == (size_t)(equals - argument) &&
            strncmp(settings->name, argument, (size_t)(equals - argument)) == 0)
            return read_value(settings, equals + 1);
    return false;
}

void mf_measure_settings(int argc, char **argv, const struct mf_measure_setting *settings)
{
    for (int i = 1; i < argc; i++)
        if (!read_argument(settings, argv[i]))
            usage(argv[0], settings);
}

void mf_measure_spin(int64_t duration_ns)
{
    int64_t end_ns;

    if (duration_ns <= 0)
        return;
    end_ns = mf_clock_monotonic_ns() + duration_ns;
    while (mf_clock_monotonic_ns() < end_ns)
        continue;
}

static int compare(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;

    return (left > right) - (left < right);
}

double mf_measure_percentile(double *values, size_t n, double share)
{
    qsort(values, n, sizeof(*values), compare);
    return values[(size_t)((double)(n - 1) * share)];
}

int64_t mf_measure_resident_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "re");
    long n_pages = 0;

    if (!file || fscanf(file, "%*d %ld", &n_pages) != 1) {
        perror("/proc/self/statm");
        exit(1);
    }
    fclose(file);
    return (int64_t)n_pages * sysconf(_SC_PAGESIZE);
}

int64_t mf_measure_peak_bytes(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (int64_t)usage.ru_maxrss * 1024;
}
