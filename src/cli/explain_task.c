/* The answer about one task: see mf_explain_task(). One thread. */
#include "cli/explain_private.h"

#include "base/clock.h"
#include "base/units.h"
#include "report/store.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

/* Tasks that one waits for which are shown. */
#define MAX_SHOWN 10

/*
 * The task that is asked about.
 *
 * @end         NULL when the journal has nothing of it
 * @number      in the set, 0 for none
 * @has_output  whether an attempt wrote what was kept
 */
struct asked {
    struct mf_explain *explain;
    const struct mf_task_set *set;
    const char *id;
    const struct mf_explain_end *end;
    mf_task_id number;
    bool has_output;
    FILE *file;
};

/* --- the sentence at the top --- */

static void put_start(const struct asked *asked)
{
    fputs("task ", asked->file);
    mf_explain_put_text(asked->id, asked->file);
    fputs(": ", asked->file);
}

static void put_done(const struct asked *asked, const struct mf_journal_attempt *attempt)
{
    char duration[32];

    fprintf(asked->file, "DONE on %s in %s, at ", attempt->host,
            mf_format_duration(attempt->outcome.duration_ns, duration, sizeof(duration)));
    if (asked->end->n_attempts == 1)
        fputs("the first attempt\n", asked->file);
    else
        fprintf(asked->file, "attempt %" PRIu32 "\n", asked->end->n_attempts);
}

static void put_not_done(const struct asked *asked, const struct mf_journal_attempt *attempt)
{
    uint32_t n = asked->end->n_attempts;
    bool is_skipped = attempt->state == MF_TASK_SKIPPED && attempt->outcome.detail[0];
    char cause[512];

    fputs(mf_task_state_name(attempt->state), asked->file);
    if (n > 0)
        fprintf(asked->file, " after %" PRIu32 " attempt%s", n, n == 1 ? "" : "s");
    fputs(": ", asked->file);
    mf_explain_put_text(
        is_skipped ? attempt->outcome.detail
                   : mf_outcome_describe_on(&attempt->outcome, attempt->host, cause, sizeof(cause)),
        asked->file);
    fputc('\n', asked->file);
}

/* The last row of a task that has ended makes the sentence. */
static int put_final(void *arg, const struct mf_journal_attempt *attempt)
{
    const struct asked *asked = arg;

    if (attempt->row != asked->end->row)
        return 0;
    put_start(asked);
    if (attempt->state == MF_TASK_DONE)
        put_done(asked, attempt);
    else
        put_not_done(asked, attempt);
    return 1;
}

static const char *format_start(int64_t wall_ns, char text[32])
{
    time_t seconds = (time_t)(wall_ns / MF_NS_PER_S);
    struct tm parts;

    if (!localtime_r(&seconds, &parts) || strftime(text, 32, "%Y-%m-%d %H:%M:%S", &parts) == 0)
        strcpy(text, "-");
    return text;
}

/* How a task stands in a run that goes on. Returns whether it is suspended. */
static bool put_standing(const struct asked *asked)
{
    int64_t since_ns;
    char since[32];

    if (mf_status_find_suspended(asked->explain->run_dir, asked->id, &since_ns) < 0) {
        fputs("not ended yet", asked->file);
        return false;
    }
    fprintf(asked->file, "suspended since %s, while others have its slots",
            format_start(since_ns, since));
    return true;
}

static bool knows_tasks(const struct asked *asked)
{
    return asked->set || asked->explain->n_numbered > 0;
}

/* A task that has not ended, or was taken up again. Returns whether it is suspended. */
static bool put_pending(const struct asked *asked)
{
    uint32_t n = asked->end ? asked->end->n_attempts : 0;
    FILE *file = asked->file;
    bool is_suspended = false;

    put_start(asked);
    if (asked->explain->life == MF_EXPLAIN_GOES_ON)
        is_suspended = put_standing(asked);
    else
        fprintf(file, "%s: ", n > 0 ? "was not finished" : "was not run");
    if (asked->explain->life != MF_EXPLAIN_GOES_ON)
        mf_explain_put_life(asked->explain, file);
    if (n > 0)
        fprintf(file, ", after %" PRIu32 " attempt%s", n, n == 1 ? "" : "s");
    if (!asked->end && !knows_tasks(asked) && !is_suspended)
        fputs("; --input FILE tells whether there is such a task", file);
    fputc('\n', file);
    return is_suspended;
}

/* --- its attempts --- */

static void put_end(const struct mf_journal_attempt *attempt, FILE *file)
{
    const uint64_t *dropped = attempt->outcome.dropped_bytes;
    char cause[512], bytes[32];

    mf_explain_put_text(mf_outcome_describe(&attempt->outcome, cause, sizeof(cause)), file);
    if (dropped[MF_STDOUT] + dropped[MF_STDERR] > 0)
        fprintf(file, "; %s of its output dropped",
                mf_format_size(dropped[MF_STDOUT] + dropped[MF_STDERR], bytes, sizeof(bytes)));
    fprintf(file, "%s\n", attempt->state == MF_TASK_READY ? "; tried again" : "");
}

static int put_attempt(void *arg, const struct mf_journal_attempt *attempt)
{
    const struct mf_outcome *outcome = &attempt->outcome;
    struct asked *asked = arg;
    char started[32], duration[32], memory[32], out[32], error[32];

    if (attempt->host[0] == '\0' || strcmp(attempt->id, asked->id) != 0)
        return 0;
    fprintf(asked->file, "%7" PRIu32 "  %-12s %4" PRIu32 "  %-19s %9s %10s %10s %10s  ",
            attempt->attempt, attempt->host, outcome->slot,
            format_start(outcome->started_wall_ns, started),
            mf_format_duration(outcome->duration_ns, duration, sizeof(duration)),
            mf_format_size(outcome->max_rss_bytes, memory, sizeof(memory)),
            mf_format_size(outcome->produced_bytes[MF_STDOUT], out, sizeof(out)),
            mf_format_size(outcome->produced_bytes[MF_STDERR], error, sizeof(error)));
    put_end(attempt, asked->file);
    /* What waited in the spool is gone once it was printed. */
    asked->has_output |= attempt->region.store != MF_STORE_NONE &&
                         !(attempt->region.store == MF_STORE_SPOOL && attempt->is_printed);
    return 0;
}

static int put_attempts(struct asked *asked, struct mf_error *err)
{
    int r;

    if (!asked->end || asked->end->n_attempts == 0)
        return 0;
    fprintf(asked->file, "%7s  %-12s %4s  %-19s %9s %10s %10s %10s  %s\n", "attempt", "host",
            "slot", "started", "time", "memory", "stdout", "stderr", "end");
    r = mf_journal_each(asked->explain->journal, put_attempt, asked, err);
    if (r < 0 || !asked->has_output)
        return r;
    fputs("see its output: ", asked->file);
    mf_explain_put_logs(asked->explain, asked->id, asked->file);
    return 0;
}

/* --- what it waits for --- */

static mf_task_id find_in_set(const struct mf_task_set *set, const char *id)
{
    for (mf_task_id task = 1; task <= set->n_tasks; task++)
        if (strcmp(mf_task_set_id(set, task), id) == 0)
            return task;
    return 0;
}

/* How a task that another one waits for stands; NULL for one that is waited for no more. */
static const char *name_wait(const struct asked *asked, mf_task_id task)
{
    const struct mf_explain_end *end =
        mf_explain_find(asked->explain, mf_task_set_id(asked->set, task));

    if (!mf_explain_is_final(asked->explain, end))
        return asked->explain->life == MF_EXPLAIN_GOES_ON ? "running or waiting" : "not ended";
    /* A run that is continued takes it up again. */
    return end->state == MF_TASK_CANCELLED ? "cancelled" : NULL;
}

/* Returns how many tasks that it names have not ended. */
static uint64_t put_dependencies(const struct asked *asked)
{
    const struct mf_dependency *after;
    uint32_t n_after = mf_graph_after(asked->set->graph, asked->number, &after);
    uint64_t n = 0;

    for (uint32_t i = 0; i < n_after; i++) {
        const char *how = name_wait(asked, after[i].task);

        if (!how || ++n > MAX_SHOWN)
            continue;
        fputs("waits for: ", asked->file);
        mf_explain_put_text(mf_task_set_id(asked->set, after[i].task), asked->file);
        fprintf(asked->file, " (%s)\n", how);
    }
    if (n > MAX_SHOWN)
        fprintf(asked->file, "and for %" PRIu64 " more\n", n - MAX_SHOWN);
    return n;
}

/* Returns how many tasks before the last barrier in front of it have not ended. */
static uint64_t put_barrier(const struct asked *asked)
{
    mf_task_id first = 0, behind = asked->number;
    uint64_t n = 0;

    while (behind > 0 && !asked->set->tasks[behind - 1].is_behind_barrier)
        behind--;
    for (mf_task_id task = 1; task < behind; task++) {
        if (!name_wait(asked, task))
            continue;
        first = n++ == 0 ? task : first;
    }
    if (n == 0)
        return 0;
    fprintf(asked->file, "waits for: a barrier, before which %" PRIu64 " task%s not ended, ", n,
            n == 1 ? " has" : "s have");
    fputs(n == 1 ? "task " : "the first being task ", asked->file);
    mf_explain_put_text(mf_task_set_id(asked->set, first), asked->file);
    fputc('\n', asked->file);
    return n;
}

static const struct mf_needs *needs_of(const struct asked *asked)
{
    return &asked->set->tasks[asked->number - 1].spec.needs;
}

/* Whether there are fewer workers than the nodes that it needs, since some were lost. */
static bool is_stranded(const struct asked *asked)
{
    const struct mf_status *status = &asked->explain->status;

    return status->n_lost > 0 && needs_of(asked)->n_nodes > 1 &&
           needs_of(asked)->n_nodes > status->n_workers;
}

static void put_waits(const struct asked *asked)
{
    uint64_t n = 0;

    if (asked->set) {
        n = put_dependencies(asked);
        n += put_barrier(asked);
    }
    if (n > 0 || asked->explain->life != MF_EXPLAIN_GOES_ON)
        return;
    if (asked->set && asked->number > 0 && is_stranded(asked))
        fprintf(asked->file,
                "waits for: workers that are lost: it needs %" PRIu32
                " nodes, and the run has %" PRIu64
                " worker%s left; if none comes back, it is left for --resume\n",
                needs_of(asked)->n_nodes, asked->explain->status.n_workers,
                asked->explain->status.n_workers == 1 ? "" : "s");
    else if (asked->set && asked->number > 0 && needs_of(asked)->n_nodes > 1)
        fprintf(asked->file,
                "waits for: no other task; it is running, or waits for %" PRIu32 " nodes that have "
                "%" PRIu32 " free core%s each at the same time, and what else it needs\n",
                needs_of(asked)->n_nodes, needs_of(asked)->n_slots,
                needs_of(asked)->n_slots == 1 ? "" : "s");
    else
        fputs("waits for: no other task; it is running, or waits for a free place\n", asked->file);
}

/* --- all of it --- */

/* A task that nothing is known of exists only if the run has not come to it yet. */
static bool exists(const struct asked *asked)
{
    if (asked->end || asked->number > 0)
        return true;
    return !knows_tasks(asked) && asked->explain->life != MF_EXPLAIN_OVER;
}

/* Of a sweep. */
static mf_task_id find_numbered(const struct mf_explain *explain, const char *id)
{
    struct mf_error ignored;
    int64_t number;

    if (mf_parse_integer(id, 1, INT64_MAX, &number, &ignored) < 0 ||
        (uint64_t)number > explain->n_numbered)
        return 0;
    return (mf_task_id)number;
}

int mf_explain_task(struct mf_explain *explain, const struct mf_task_set *set, const char *id,
                    FILE *file, struct mf_error *err)
{
    struct asked asked = {.explain = explain,
                          .set = set,
                          .id = id,
                          .end = mf_explain_find(explain, id),
                          .number = set ? find_in_set(set, id) : find_numbered(explain, id),
                          .file = file};
    bool is_final = mf_explain_is_final(explain, asked.end);
    bool is_suspended = false;
    int r = 0;

    if (!exists(&asked))
        return mf_error_set(err, -ENOENT, "%s: there is no task %.200s", explain->run_dir, id);
    if (is_final)
        r = mf_journal_each(explain->journal, put_final, &asked, err);
    else
        is_suspended = put_pending(&asked);
    if (!is_final && !is_suspended && asked.number > 0)
        put_waits(&asked);
    return r < 0 ? r : put_attempts(&asked, err);
}
