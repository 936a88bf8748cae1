/*
 * The last words of a run: see mf_summary_print() in progress.h. Called once,
 * when the bar is gone.
 */
#include "report/progress.h"

#include "base/command.h"
#include "base/units.h"
#include "report/count.h"

#include <stdlib.h>
#include <string.h>

/* Characters of a command that are shown. */
#define COMMAND_WIDTH 100

/* ", 3 failed", when there are any. */
static void put_count(uint64_t count, const char *what, FILE *file)
{
    char text[MF_COUNT_SIZE];

    if (count)
        fprintf(file, ", %s %s", mf_count_format(count, text), what);
}

static void put_speed(const struct mf_summary *summary, FILE *file)
{
    double makespan_s = (double)summary->makespan_ns / 1e9;
    double rate, busy;
    char text[MF_COUNT_SIZE];

    if (summary->makespan_ns <= 0)
        return;
    rate = (double)(summary->n_done + summary->n_failed) / makespan_s;
    fprintf(file, " in %s: ", mf_format_duration(summary->makespan_ns, text, sizeof(text)));
    if (rate >= 1000)
        fprintf(file, "%s tasks/s", mf_count_format((uint64_t)(rate + 0.5), text));
    else
        fprintf(file, rate >= 1 ? "%.1f tasks/s" : "%.2g tasks/s", rate);
    if (!summary->n_slots)
        return;
    busy = (double)summary->busy_ns / (double)summary->makespan_ns / summary->n_slots * 100;
    fprintf(file, ", slots busy %.1f %%", busy < 100 ? busy : 100);
}

static void put_totals(const struct mf_summary *summary, FILE *file)
{
    char done[MF_COUNT_SIZE], failed[MF_COUNT_SIZE];

    fprintf(file, "mpifarm: %s done", mf_count_format(summary->n_done, done));
    put_count(summary->n_failed, "failed", file);
    put_count(summary->n_cancelled, "cancelled", file);
    put_count(summary->n_skipped, "skipped", file);
    put_count(summary->n_retried, "retried", file);
    put_speed(summary, file);
    fputc('\n', file);
    if (summary->n_done_earlier || summary->n_failed_earlier)
        fprintf(file, "mpifarm: from an earlier run: %s done, %s failed\n",
                mf_count_format(summary->n_done_earlier, done),
                mf_count_format(summary->n_failed_earlier, failed));
    if (summary->n_unfit)
        fprintf(file,
                "mpifarm: %s of those that failed could never start: no worker is large "
                "enough\n",
                mf_count_format(summary->n_unfit, done));
    if (summary->n_truncated)
        fprintf(file, "mpifarm: %s %s over --output-limit: the middle of it is dropped\n",
                mf_count_format(summary->n_truncated, done),
                summary->n_truncated == 1 ? "task has output" : "tasks have output");
}

/* What the policy auto has chosen. */
static void put_policy(const struct mf_summary *summary, FILE *file)
{
    char text[MF_COUNT_SIZE];

    if (!summary->policy_why || !summary->policy_why[0])
        return;
    fprintf(file, "mpifarm: policy %s", summary->policy_why);
    if (summary->n_policy_changes > 1)
        fprintf(file, " (the last of %s changes)",
                mf_count_format(summary->n_policy_changes, text));
    fputc('\n', file);
}

/* Workers that are gone, and those that were not trusted. */
static void put_missing(const struct mf_summary *summary, FILE *file)
{
    if (summary->lost && summary->lost[0])
        fprintf(file, "mpifarm: lost: %s\n", summary->lost);
    if (summary->quarantined && summary->quarantined[0])
        fprintf(file, "mpifarm: in quarantine: %s\n", summary->quarantined);
}

/* What happened to workers that go on. */
static void put_renewed(const struct mf_summary *summary, FILE *file)
{
    char text[MF_COUNT_SIZE];

    if (summary->n_renewed)
        fprintf(file, "mpifarm: %s launcher %s replaced\n",
                mf_count_format(summary->n_renewed, text),
                summary->n_renewed == 1 ? "process was" : "processes were");
}

/* The command on one line: control characters as blanks, cut between characters of UTF-8. */
static void put_command(const char *text, FILE *file)
{
    size_t n_shown = 0, n_fits = 0, n = 0;

    for (const char *at = text; *at && n <= COMMAND_WIDTH; at++) {
        n += ((unsigned char)*at & 0xc0) != 0x80;
        if (n <= COMMAND_WIDTH - 3)
            n_fits = (size_t)(at - text) + 1;
        if (n <= COMMAND_WIDTH)
            n_shown = (size_t)(at - text) + 1;
    }
    if (n > COMMAND_WIDTH)
        n_shown = n_fits;
    for (size_t i = 0; i < n_shown; i++)
        fputc((unsigned char)text[i] < ' ' || text[i] == 0x7f ? ' ' : text[i], file);
    fputs(n > COMMAND_WIDTH ? "..." : "", file);
}

static void put_failure(const struct mf_summary *summary, const struct mf_failure *failure,
                        FILE *file)
{
    fprintf(file, "mpifarm: failed: %s (%s", failure->id, failure->cause);
    if (failure->attempts > 1)
        fprintf(file, ", %u attempts", failure->attempts);
    fputs("): ", file);
    put_command(failure->command_text, file);
    fputc('\n', file);
    if (!failure->was_started)
        return;
    fputs("mpifarm: see its output: mpifarm logs ", file);
    mf_shell_put(summary->run_dir, file);
    fputc(' ', file);
    mf_shell_put(failure->id, file);
    fputc('\n', file);
}

static void put_failures(const struct mf_summary *summary, FILE *file)
{
    char text[MF_COUNT_SIZE];

    for (uint32_t i = 0; i < summary->n_shown; i++)
        put_failure(summary, &summary->failures[i], file);
    if (summary->n_failed <= summary->n_shown)
        return;
    fprintf(file, "mpifarm: %s%s %s: mpifarm logs --failed ", summary->n_shown ? "and " : "",
            mf_count_format(summary->n_failed - summary->n_shown, text),
            summary->n_shown ? "more" : "failed");
    mf_shell_put(summary->run_dir, file);
    fputc('\n', file);
}

/* What led to it is one task for all that come after it, however long the way. */
static void put_skips(const struct mf_summary *summary, FILE *file)
{
    uint64_t n_others = summary->n_skipped;
    char text[MF_COUNT_SIZE];

    for (uint32_t i = 0; i < summary->n_skips; i++) {
        fprintf(file, "mpifarm: %s skipped because ",
                mf_count_format(summary->skips[i].n_tasks, text));
        put_command(summary->skips[i].cause, file);
        fputc('\n', file);
        n_others -= summary->skips[i].n_tasks;
    }
    if (summary->n_skips > 0 && n_others > 0)
        fprintf(file, "mpifarm: and %s more skipped for other reasons\n",
                mf_count_format(n_others, text));
}

static void put_end(const struct mf_summary *summary, FILE *file)
{
    char text[MF_COUNT_SIZE];

    if (summary->stopped_by)
        fprintf(file, "mpifarm: stopped by %s%s", summary->stopped_by, summary->n_left ? ": " : "");
    else if (summary->n_left)
        fputs("mpifarm: ", file);
    if (summary->n_left)
        fprintf(file, "%s %s left%s", mf_count_format(summary->n_left, text),
                summary->n_left == 1 ? "task" : "tasks",
                summary->is_lost ? ", and nothing is there with which --resume could go on"
                                 : "; --resume continues");
    if (summary->stopped_by || summary->n_left)
        fputc('\n', file);
}

void mf_summary_print(const struct mf_summary *summary, FILE *file)
{
    put_totals(summary, file);
    put_policy(summary, file);
    put_renewed(summary, file);
    put_missing(summary, file);
    put_failures(summary, file);
    put_skips(summary, file);
    put_end(summary, file);
    fflush(file);
}
