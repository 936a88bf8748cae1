/*
 * The subcommand status: how a run stands, from its status.json and the lock of its run directory,
 * so that it works from any node that sees the directory, such as a login node while the run is in
 * a job. It changes nothing.
 */
#include "cli/asking.h"
#include "cli/batch.h"
#include "cli/standing.h"
#include "cli/subcommands.h"

#include "base/clock.h"
#include "base/units.h"
#include "journal/rundir.h"
#include "report/count.h"
#include "report/status.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

enum { OPTION_JSON };

static const struct mf_option options[] = {
    [OPTION_JSON] =
        {.name = "json",
         .help = "Print it as JSON, with \"alive\": true, false, or null where that is not "
                 "known, and the \"age\" of what is told in seconds. A job that is to begin "
                 "the run, or to go on with it, is told as \"job\", its number, and "
                 "\"job_state\": \"queued\", or before the run has begun also \"running\", "
                 "\"ended\", or null where squeue cannot be asked; a run that has not "
                 "begun has no more than these, \"finished\" and \"alive\"."},
};

struct asked {
    const char *run_dir;
    bool is_json;
};

static int set_option(void *arg, size_t index, const char *text, struct mf_error *err)
{
    struct asked *asked = arg;

    asked->is_json = true;
    return 0;
}

/* --- words --- */

static void put_count(uint64_t count, const char *what)
{
    char text[MF_COUNT_SIZE];

    if (count > 0)
        printf(", %s %s", mf_count_format(count, text), what);
}

/* What another host tells is as old as that; here it is never older than a second. */
static void put_source(const struct mf_status *status)
{
    char age[32];

    if (status->host[0] && !mf_standing_is_here(status))
        printf(", as %s told %s ago", status->host,
               mf_format_duration(mf_status_age_ns(status), age, sizeof(age)));
}

/* Of a run that did not come to its end. */
static const char *say_how_on(const char *run_dir)
{
    return mf_rundir_has_journal(run_dir) ? "--resume continues"
                                          : "its journal is gone: --resume cannot go on with it";
}

static void put_life(const char *run_dir, const struct mf_status *status, enum mf_standing standing)
{
    bool alive = standing != MF_STANDING_ENDED;
    char elapsed[32], age[32];

    mf_format_duration(status->updated_wall_ns - status->began_wall_ns, elapsed, sizeof(elapsed));
    mf_format_duration(mf_status_age_ns(status), age, sizeof(age));
    if (standing == MF_STANDING_SILENT) {
        printf("nothing was heard of the run on %s for %s: it may be dead\n",
               status->host[0] ? status->host : "?", age);
    } else if (alive && !status->is_finished && mf_standing_is_fresh(status)) {
        printf("the run goes on, since %s, scheduled by process %" PRId64 " on %s", elapsed,
               status->pid, status->host[0] ? status->host : "?");
        put_source(status);
        putchar('\n');
    } else if (alive && !status->is_finished) {
        printf("the run has told nothing for %s, and before went on for %s: is process %" PRId64
               " on %s stopped?\n",
               age, elapsed, status->pid, status->host[0] ? status->host : "?");
    } else if (status->is_finished && status->stopped_by[0]) {
        printf("the run was stopped after %s by %s; %s\n", elapsed, status->stopped_by,
               say_how_on(run_dir));
    } else if (status->is_finished) {
        printf("the run is over; it took %s\n", elapsed);
    } else {
        printf("the run broke off %s ago, after %s; %s\n", age, elapsed, say_how_on(run_dir));
    }
}

static void put_tasks(const struct mf_status *status, bool alive)
{
    uint64_t n_running = alive ? status->n_running : 0,
             n_suspended = alive ? status->n_suspended : 0;
    uint64_t n_known =
        status->n_done + status->n_failed + status->n_skipped + n_running + n_suspended;
    char done[MF_COUNT_SIZE], total[MF_COUNT_SIZE];

    printf("tasks: %s", mf_count_format(status->n_done, done));
    if (status->n_total > 0)
        printf(" of %s", mf_count_format(status->n_total, total));
    printf(" done");
    put_count(status->n_failed, "failed");
    put_count(status->n_skipped, "skipped");
    put_count(n_running, "running");
    put_count(n_suspended, "suspended");
    put_count(status->n_total > n_known ? status->n_total - n_known : 0, "left");
    printf("\n");
}

static void put_workers(const struct mf_status *status)
{
    char workers[MF_COUNT_SIZE], slots[MF_COUNT_SIZE];

    printf("workers: %s with %s slot%s", mf_count_format(status->n_workers, workers),
           mf_count_format(status->n_slots, slots), status->n_slots == 1 ? "" : "s");
    put_count(status->n_lost, "lost");
    put_count(status->n_renewed,
              status->n_renewed == 1 ? "launcher replaced" : "launchers replaced");
    put_count(status->n_quarantined, "in quarantine");
    printf("\n");
}

/* --- jobs --- */

/**
 * A job that is to begin the run, or to go on with it.
 *
 * @is_known  there is one
 */
struct job {
    bool is_known;
    char id[MF_BATCH_JOB_SIZE];
    enum mf_batch_job_state state;
};

/* One that has begun may be that of the run as it is: only one that waits is to go on with it. */
static struct job find_job(const char *run_dir, bool has_begun)
{
    struct job job = {0};

    job.is_known = mf_batch_find_job(run_dir, job.id, &job.state) == 0 &&
                   (!has_begun || job.state == MF_BATCH_JOB_WAITS);
    return job;
}

static void put_job(const struct job *job, bool has_begun)
{
    static const char *const says[] = {
        [MF_BATCH_JOB_UNKNOWN] = "was submitted for it, and squeue cannot be asked",
        [MF_BATCH_JOB_GONE] = "was submitted for it, and has ended before that: see its output",
        [MF_BATCH_JOB_WAITS] = "is in the queue",
        [MF_BATCH_JOB_RUNS] = "has begun",
    };

    if (has_begun)
        printf("job %s, which goes on with it, %s\n", job->id, says[job->state]);
    else
        printf("the run has not begun; job %s %s\n", job->id, says[job->state]);
}

/* --- the run --- */

static int put_json(const char *run_dir, enum mf_standing standing, const struct job *job,
                    struct mf_error *err)
{
    static const char *const words[] = {
        [MF_BATCH_JOB_GONE] = "ended",
        [MF_BATCH_JOB_WAITS] = "queued",
        [MF_BATCH_JOB_RUNS] = "running",
    };
    struct mf_status_job told = {.id = job->id, .state = words[job->state]};
    int alive = standing == MF_STANDING_SILENT ? -1 : standing != MF_STANDING_ENDED;
    int r = mf_status_print(run_dir, alive, job->is_known ? &told : NULL, stdout);

    return r < 0 ? mf_error_set(err, r, "%s: %s", run_dir, strerror(-r)) : 0;
}

static void put_words(const char *run_dir, const struct mf_status *status,
                      enum mf_standing standing, const struct job *job)
{
    bool alive = standing != MF_STANDING_ENDED;

    put_life(run_dir, status, standing);
    put_tasks(status, alive);
    if (alive && !status->is_finished)
        put_workers(status);
    else if (job->is_known)
        put_job(job, true);
}

/* There is no status.json. */
static int show_job(const struct asked *asked, struct mf_error *err)
{
    struct job job = find_job(asked->run_dir, false);

    if (!job.is_known)
        return mf_error_set(err, -ENOENT, "%s: there is no run: status.json is missing",
                            asked->run_dir);
    if (asked->is_json)
        return put_json(asked->run_dir, MF_STANDING_ENDED, &job, err);
    put_job(&job, false);
    return 0;
}

static int show(const struct asked *asked, struct mf_error *err)
{
    struct mf_status status;
    int r = mf_status_read(asked->run_dir, &status);
    enum mf_standing standing;
    struct job job = {0};

    if (r == -ENOENT)
        return show_job(asked, err);
    if (r < 0)
        return mf_error_set(err, r, "%s/status.json: %s", asked->run_dir,
                            r == -EBADMSG ? "it is none of a run" : strerror(-r));
    standing = mf_standing_find(asked->run_dir, &status);
    if (standing == MF_STANDING_ENDED || status.is_finished)
        job = find_job(asked->run_dir, true);
    if (asked->is_json)
        return put_json(asked->run_dir, standing, &job, err);
    put_words(asked->run_dir, &status, standing, &job);
    return 0;
}

static int run_status(struct mf_context *context, int argc, char **argv)
{
    struct asked asked = {0};
    struct mf_error err = {0};
    int r = mf_options_parse(&mf_subcommand_status, argc, argv, set_option, &asked, &err);

    if (r == -ECANCELED)
        return MPIFARM_EXIT_DONE;
    if (r >= 0 && argc - r > 1)
        r = mf_error_set(&err, -EINVAL, "\"%.100s\" is one word too many", argv[r + 1]);
    if (r >= 0) {
        asked.run_dir = r < argc ? argv[r] : MF_DEFAULT_RUN_DIR;
        r = show(&asked, &err);
    }
    if (r < 0)
        mf_log_error(&context->log, "%s", err.text);
    return r < 0 ? MPIFARM_EXIT_USAGE : MPIFARM_EXIT_DONE;
}

const struct mf_subcommand mf_subcommand_status = {
    .name = "status",
    .synopsis = "[--json] [RUN]",
    .summary = "show how a run stands",
    .description =
        "Tells whether the run goes on, how many of its tasks have ended and are running, and how "
        "many workers it has, as of at most a second ago; or that nothing was told for longer, as "
        "by a scheduler that was stopped. It works from any node that sees the run directory RUN, "
        "mpifarm-run by default, such as a login node while the run is in a job; of a run on "
        "another host it says how old that is, as network file systems show it late. Of a job "
        "that mpifarm batch has submitted, and that is to begin the run or to go on with it, it "
        "says whether it is still in the queue: for that it asks squeue, once, unless the run goes "
        "on.",
    .options = options,
    .n_options = sizeof(options) / sizeof(options[0]),
    .operands = MF_COMPLETE_DIR,
    .examples = "How it stands.\n"
                "mpifarm status mpifarm-run\n"
                "Whether it goes on, for a script.\n"
                "mpifarm status --json mpifarm-run",
    .run = run_status,
};
