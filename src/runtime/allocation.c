/* What Slurm says of a job, from its environment and squeue. No state; before any thread. */
#include "runtime/allocation.h"

#include "base/clock.h"
#include "base/program.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A controller that is busy answers late. */
#define SQUEUE_TIMEOUT_NS (10 * MF_NS_PER_S)

/* Longest that Slurm knows, and more. */
#define MAX_DAYS 100000

int mf_allocation_parse_left(const char *text, int64_t *ret_ns)
{
    unsigned int days = 0, hours = 0, minutes, seconds;
    const char *dash = strchr(text, '-');
    int n = 0;

    if (strcmp(text, "UNLIMITED") == 0 || strcmp(text, "NOT_SET") == 0)
        return 0;
    if (dash && (sscanf(text, "%6u-%n", &days, &n) != 1 || text + n != dash + 1))
        return -EINVAL;
    text = dash ? dash + 1 : text;
    if (sscanf(text, "%2u:%2u:%2u%n", &hours, &minutes, &seconds, &n) != 3) {
        hours = 0;
        if (dash || sscanf(text, "%2u:%2u%n", &minutes, &seconds, &n) != 2)
            return -EINVAL;
    }
    if (text[n] != '\0' || days > MAX_DAYS || hours > 23 || minutes > 59 || seconds > 59)
        return -EINVAL;
    *ret_ns = (((int64_t)days * 24 + hours) * 60 + minutes) * 60 * MF_NS_PER_S +
              (int64_t)seconds * MF_NS_PER_S;
    return 1;
}

/* The number of the job as squeue knows it: an element of an array shares one with the array. */
static void name_job(const char *job, char *text, size_t size)
{
    const char *array = getenv("SLURM_ARRAY_JOB_ID");
    const char *element = getenv("SLURM_ARRAY_TASK_ID");

    if (array && element)
        snprintf(text, size, "%s_%s", array, element);
    else
        snprintf(text, size, "%s", job);
}

static int ask_squeue(const char *job, int64_t *ret_ns, struct mf_error *err)
{
    const char *const words[] = {"squeue", "--noheader", "--format=%L", "--jobs", job, NULL};
    char text[64];
    int r = mf_program_ask(words, SQUEUE_TIMEOUT_NS, false, text, sizeof(text));

    if (r > 0)
        return mf_error_set(err, -ECHILD, "squeue knows no job %s", job);
    if (r < 0)
        return mf_error_set(err, r, "cannot ask squeue when job %s ends: %s", job, strerror(-r));
    text[strcspn(text, "\n")] = '\0';
    r = mf_allocation_parse_left(text, ret_ns);
    if (r < 0)
        return mf_error_set(err, r, "squeue says that job %s ends in \"%s\"", job, text);
    return r;
}

int mf_allocation_time_left(int64_t *ret_ns, struct mf_error *err)
{
    const char *end = getenv("SLURM_JOB_END_TIME");
    const char *job = getenv("SLURM_JOB_ID");
    char name[64];
    char *behind;
    long long end_s;

    if (!job)
        return 0;
    if (!end) {
        name_job(job, name, sizeof(name));
        return ask_squeue(name, ret_ns, err);
    }
    end_s = strtoll(end, &behind, 10);
    if (behind == end || *behind != '\0' || end_s <= 0 || end_s > INT64_MAX / MF_NS_PER_S)
        return mf_error_set(err, -EINVAL, "SLURM_JOB_END_TIME is \"%s\", not seconds since 1970",
                            end);
    *ret_ns = end_s * MF_NS_PER_S - mf_clock_wall_ns();
    return 1;
}
