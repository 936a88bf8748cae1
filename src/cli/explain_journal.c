/*
 * What the journal, the lock and status.json of a run directory tell: see
 * explain_private.h. One thread.
 */
#include "cli/explain_private.h"

#include "base/command.h"
#include "cli/standing.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY 1024

static int grow_ends(struct mf_explain *explain)
{
    uint32_t capacity = explain->ends_capacity ? 2 * explain->ends_capacity : FIRST_CAPACITY;
    struct mf_explain_end *ends;

    if (explain->ids.n < explain->ends_capacity)
        return 0;
    ends = reallocarray(explain->ends, capacity, sizeof(*ends));
    if (!ends)
        return -ENOMEM;
    memset(ends + explain->ends_capacity, 0, (capacity - explain->ends_capacity) * sizeof(*ends));
    explain->ends = ends;
    explain->ends_capacity = capacity;
    return 0;
}

/* The last row of a task is what counts: an earlier one may be of a run that was continued. */
static int note_attempt(void *arg, const struct mf_journal_attempt *attempt)
{
    struct mf_explain *explain = arg;
    struct mf_explain_end *end;
    uint32_t number;
    int r =
        mf_names_number(&explain->ids, attempt->id, strlen(attempt->id), UINT32_MAX / 2, &number);

    if (r == 0)
        r = grow_ends(explain);
    if (r < 0)
        return r;
    end = &explain->ends[number];
    end->row = attempt->row;
    end->state = attempt->state;
    end->n_attempts += attempt->host[0] != '\0';
    end->ended_wall_ns = attempt->outcome.started_wall_ns + attempt->outcome.duration_ns;
    explain->n_retried += attempt->state == MF_TASK_READY;
    return 0;
}

/*
 * What the journal says of the end of the run. Returns 0; -ENOENT if nothing, with the time since
 * when the run goes on, if that is known; or another -errno.
 */
static int read_end(struct mf_explain *explain, int64_t *ret_began_wall_ns, struct mf_error *err)
{
    char began[32] = "";
    int r = mf_journal_get_text(explain->journal, MF_JOURNAL_BEGAN, began, sizeof(began), err);

    if (r < 0 && r != -ENOENT)
        return r;
    *ret_began_wall_ns = strtoll(began, NULL, 10);
    if (began[0])
        return -ENOENT;
    return mf_journal_get_text(explain->journal, MF_JOURNAL_STOPPED_BY, explain->stopped_by,
                               sizeof(explain->stopped_by), err);
}

/* A run that broke off may have left what an earlier part of it said of its own end; one that could
 * not write its journal any more may have told it in status.json alone. */
static int find_life(struct mf_explain *explain, struct mf_error *err)
{
    int64_t began_wall_ns = 0;
    enum mf_standing standing;
    bool has_status;
    int r = read_end(explain, &began_wall_ns, err);

    if (r < 0 && r != -ENOENT)
        return r;
    has_status = mf_status_read(explain->run_dir, &explain->status) == 0;
    if (has_status && explain->status.updated_wall_ns < began_wall_ns) {
        has_status = false;
        explain->status.stopped_by[0] = '\0';
    }
    if (has_status && explain->status.stopped_by[0])
        strcpy(explain->stopped_by, explain->status.stopped_by);
    standing = mf_standing_find(explain->run_dir, has_status ? &explain->status : NULL);
    explain->is_silent = standing == MF_STANDING_SILENT;
    if (standing != MF_STANDING_ENDED)
        explain->life = MF_EXPLAIN_GOES_ON;
    else if (has_status && explain->status.stopped_by[0])
        explain->life = MF_EXPLAIN_STOPPED;
    else if (r == -ENOENT || (has_status && !explain->status.is_finished))
        explain->life = MF_EXPLAIN_BROKEN;
    else
        explain->life = explain->stopped_by[0] ? MF_EXPLAIN_STOPPED : MF_EXPLAIN_OVER;
    return 0;
}

int mf_explain_open(struct mf_explain *explain, const char *run_dir, struct mf_error *err)
{
    int r;

    explain->run_dir = run_dir;
    r = mf_journal_open(run_dir, MF_JOURNAL_READ, &explain->journal, err);
    if (r == 0)
        r = find_life(explain, err);
    if (r < 0)
        return r;
    r = mf_journal_each(explain->journal, note_attempt, explain, err);
    if (r == -ENOMEM)
        mf_error_set(err, r, "out of memory");
    if (r < 0)
        return r;
    for (uint32_t i = 1; i <= explain->ids.n; i++)
        if (mf_explain_is_final(explain, &explain->ends[i]))
            explain->by_state[explain->ends[i].state]++;
    return 0;
}

void mf_explain_finish(struct mf_explain *explain)
{
    mf_journal_close(explain->journal, NULL);
    mf_names_finish(&explain->ids);
    free(explain->ends);
    *explain = (struct mf_explain){0};
}

const struct mf_explain_end *mf_explain_find(struct mf_explain *explain, const char *id)
{
    uint32_t number = 0;

    /* As many names as there are: none is added. */
    mf_names_number(&explain->ids, id, strlen(id), explain->ids.n, &number);
    return number > 0 ? &explain->ends[number] : NULL;
}

bool mf_explain_is_final(const struct mf_explain *explain, const struct mf_explain_end *end)
{
    if (!end || end->state < MF_TASK_DONE)
        return false;
    return end->state == MF_TASK_DONE || end->state == MF_TASK_FAILED ||
           explain->life != MF_EXPLAIN_GOES_ON ||
           end->ended_wall_ns >= explain->status.began_wall_ns;
}

/* --- words --- */

void mf_explain_put_life(const struct mf_explain *explain, FILE *file)
{
    switch (explain->life) {
    case MF_EXPLAIN_GOES_ON:
        fputs(explain->is_silent ? "nothing was heard of the run for a while: it may be dead"
                                 : "the run goes on",
              file);
        break;
    case MF_EXPLAIN_OVER:
        fputs("the run is over", file);
        break;
    case MF_EXPLAIN_STOPPED:
        fputs("the run was stopped by ", file);
        mf_explain_put_text(explain->stopped_by, file);
        fputs("; --resume continues", file);
        break;
    case MF_EXPLAIN_BROKEN:
        fputs("the run broke off, killed or with its node; --resume continues", file);
        break;
    }
}

void mf_explain_put_text(const char *text, FILE *file)
{
    for (; *text; text++)
        fputc((unsigned char)*text < ' ' || *text == 0x7f ? ' ' : *text, file);
}

void mf_explain_put_logs(const struct mf_explain *explain, const char *id, FILE *file)
{
    fputs("mpifarm logs ", file);
    mf_shell_put(explain->run_dir, file);
    fputc(' ', file);
    mf_shell_put(id, file);
    fputc('\n', file);
}
