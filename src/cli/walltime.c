/* When a run has to end: --walltime and --warn, and what Slurm says. */
#include "cli/walltime.h"

#include "base/clock.h"
#include "base/units.h"
#include "runtime/allocation.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "USR1", "SIGUSR1" or "10"; 0 if it is no signal that a process could act on. */
static int parse_signal(const char *text, size_t size)
{
    char name[16] = "";
    int64_t number;
    struct mf_error err;

    if (size >= sizeof(name))
        return 0;
    memcpy(name, text, size);
    if (mf_parse_integer(name, 1, SIGRTMAX, &number, &err) == 0)
        return number == SIGKILL || number == SIGSTOP ? 0 : (int)number;
    text = strncasecmp(name, "SIG", 3) == 0 ? name + 3 : name;
    for (int i = 1; i < NSIG; i++) {
        const char *known = sigabbrev_np(i);

        if (known && strcasecmp(known, text) == 0)
            return i == SIGKILL || i == SIGSTOP ? 0 : i;
    }
    return 0;
}

int mf_warn_parse(const char *text, struct mf_scheduler_config *config, struct mf_error *err)
{
    const char *at = strchr(text, '@');
    int number = at ? parse_signal(text, (size_t)(at - text)) : 0;

    if (!at)
        return mf_error_set(err, -EINVAL,
                            "\"%s\" names no time: say SIGNAL@TIME, such as USR1@5m for 5 "
                            "minutes before the end",
                            text);
    if (number == 0)
        return mf_error_set(err, -EINVAL,
                            "\"%s\": \"%.*s\" is no signal that a task could act on; say "
                            "SIGNAL@TIME, such as USR1@5m",
                            text, (int)(at - text), text);
    config->warn_signal = number;
    return mf_parse_duration(at + 1, &config->warn_before_ns, err);
}

int mf_walltime_parse(const char *text, struct mf_scheduler_config *config, struct mf_error *err)
{
    int64_t now_ns = mf_clock_monotonic_ns(), walltime_ns;
    int r = mf_parse_duration(text, &walltime_ns, err);

    if (r < 0)
        return r;
    if (walltime_ns == 0)
        return mf_error_set(err, -EINVAL, "a walltime of 0 leaves time for nothing");
    if (__builtin_add_overflow(now_ns, walltime_ns, &config->end_ns))
        config->end_ns = INT64_MAX;
    return 0;
}

/* Nobody asks again. */
static void note_end(const char *text)
{
    (void)setenv(MF_ALLOCATION_END_VARIABLE, text, 1);
}

/* Whether the job is over: returns 0, or below 0 with a sentence. */
static int check_job(const char *job, int result, int64_t left_ns, struct mf_error *err)
{
    char text[32];

    if (result == -ECHILD)
        return mf_error_set(err, result,
                            "job %s is over: leave its shell, and get another allocation with "
                            "salloc or sbatch; --launch=none runs on this node without one",
                            job);
    if (result == 1 && left_ns <= 0)
        return mf_error_set(err, -ETIME,
                            "the time of job %s was over %s ago: get another allocation with "
                            "salloc or sbatch, or say with --walltime how long this may take",
                            job, mf_format_duration(-left_ns, text, sizeof(text)));
    return 0;
}

int mf_walltime_check(const struct mf_log *log, bool is_needed, struct mf_error *err)
{
    const char *job = getenv("SLURM_JOB_ID");
    int64_t left_ns = 0;
    char text[32] = "none";
    int r = mf_allocation_time_left(&left_ns, err);
    int is_over = check_job(job, r, left_ns, err);

    if (is_over < 0 && is_needed)
        return is_over;
    if (is_over < 0) {
        mf_log_warning(log, "job %s, of which this shell knows, is over; this runs without it",
                       job);
        note_end("none");
        return 0;
    }
    if (r < 0)
        mf_log_warning(log, "%s: the run does not know when it has to end", err->text);
    if (r == 1)
        snprintf(text, sizeof(text), "%" PRId64, (mf_clock_wall_ns() + left_ns) / MF_NS_PER_S);
    if (job)
        note_end(text);
    return 0;
}

void mf_walltime_find(struct mf_scheduler_config *config, const struct mf_log *log)
{
    int64_t now_ns = mf_clock_monotonic_ns(), left_ns;
    struct mf_error err;
    int r;

    if (config->end_ns == 0) {
        r = mf_allocation_time_left(&left_ns, &err);
        if (r < 0)
            mf_log_warning(log, "%s: the run does not know when it has to end", err.text);
        if (r == 1)
            config->end_ns = now_ns + left_ns;
    }
    if (config->end_ns == 0 && config->warn_signal > 0)
        mf_log_warning(log, "--warn has no effect, as the run has no end: --walltime gives one");
}
