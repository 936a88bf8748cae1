/* How many slots a node has: the value of -j. Plain values, no state. */
#include "topo/topo.h"

#include "base/units.h"

#include <errno.h>
#include <string.h>

/* Far beyond any node, and small enough that no sum of slots overflows. */
#define MAX_SLOTS 65536
#define MAX_PERCENT 10000

static int refuse(const char *text, struct mf_error *err)
{
    return mf_error_set(err, -EINVAL,
                        "\"%s\" is not a number of jobs; write a count (8), a difference to the "
                        "number of cores (+2, -1), a share of them (50%%), or 0 for one per core",
                        text);
}

/* Reads the digits of a value that ends where its text ends. */
static int parse_value(const char *text, const char *digits, size_t n_digits, int64_t max,
                       uint32_t *ret_value, struct mf_error *err)
{
    char number[16];
    int64_t value;

    if (n_digits == 0 || n_digits >= sizeof(number) || strspn(digits, "0123456789") < n_digits)
        return refuse(text, err);
    memcpy(number, digits, n_digits);
    number[n_digits] = '\0';
    if (mf_parse_integer(number, 0, max, &value, NULL) < 0)
        return mf_error_set(err, -EINVAL, "\"%s\" is too many jobs; the most is %lld", text,
                            (long long)max);
    *ret_value = (uint32_t)value;
    return 0;
}

int mf_jobs_parse(const char *text, struct mf_jobs *ret_jobs, struct mf_error *err)
{
    size_t length = strlen(text);
    struct mf_jobs jobs = {.kind = MF_JOBS_COUNT};
    const char *digits = text;
    int64_t max = MAX_SLOTS;
    int r;

    if (length > 0 && text[length - 1] == '%') {
        jobs.kind = MF_JOBS_PERCENT;
        max = MAX_PERCENT;
        length--;
    } else if (text[0] == '+' || text[0] == '-') {
        jobs.kind = text[0] == '+' ? MF_JOBS_PLUS : MF_JOBS_MINUS;
        digits++;
        length--;
    }
    r = parse_value(text, digits, length, max, &jobs.value, err);
    if (r < 0)
        return r;

    /* As GNU Parallel's -j0 starts as many as can run, so one per core here. */
    if (jobs.kind == MF_JOBS_COUNT && jobs.value == 0)
        jobs.kind = MF_JOBS_PLUS;
    *ret_jobs = jobs;
    return 0;
}

uint32_t mf_jobs_slots(const struct mf_jobs *jobs, uint32_t n_cores)
{
    uint64_t cores = n_cores, slots = 0;

    switch (jobs->kind) {
    case MF_JOBS_PERCENT:
        slots = cores * jobs->value / 100;
        break;
    case MF_JOBS_COUNT:
        slots = jobs->value;
        break;
    case MF_JOBS_PLUS:
        slots = cores + jobs->value;
        break;
    case MF_JOBS_MINUS:
        slots = cores > jobs->value ? cores - jobs->value : 1;
        break;
    }
    if (slots > MAX_SLOTS)
        slots = MAX_SLOTS;
    return slots > 0 ? (uint32_t)slots : 1;
}
