/* The answer about a run as a whole: see mf_explain_run(). One thread. */
#include "cli/explain_private.h"

#include "report/count.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Different causes that are told apart, and how many of them are shown. */
#define MAX_CAUSES 1000
#define MAX_SHOWN 20

/* Tasks of one cause; the first of them, with its row, is the example (owned). */
struct group {
    const char *cause;
    char *example;
    uint64_t row;
    uint64_t n;
};

/* Tasks in one state, by cause; groups[0] has those of all further causes. */
struct groups {
    enum mf_task_state state;
    struct mf_names causes;
    struct group groups[MAX_CAUSES + 1];
};

/* What is walked, and into which groups. */
struct walk {
    struct mf_explain *explain;
    struct groups *groups;
    size_t n_groups;
};

/* --- counts --- */

static void put_count(uint64_t count, const char *what, FILE *file)
{
    char text[MF_COUNT_SIZE];

    if (count > 0)
        fprintf(file, ", %s %s", mf_count_format(count, text), what);
}

static void put_counts(const struct mf_explain *explain, FILE *file)
{
    const uint64_t *by_state = explain->by_state;
    uint64_t n_ended = by_state[MF_TASK_DONE] + by_state[MF_TASK_FAILED] +
                       by_state[MF_TASK_SKIPPED] + by_state[MF_TASK_CANCELLED];
    uint64_t n_total = explain->status.n_total;
    uint64_t n_running = explain->life == MF_EXPLAIN_GOES_ON ? explain->status.n_running : 0;
    uint64_t n_suspended = explain->life == MF_EXPLAIN_GOES_ON ? explain->status.n_suspended : 0;
    uint64_t n_left = n_total > n_ended ? n_total - n_ended : 0;
    char text[MF_COUNT_SIZE];

    /* status.json is up to a second older than the journal. */
    if (n_total > 0 && n_running > n_left)
        n_running = n_left;
    if (n_total > 0 && n_suspended > n_left - n_running)
        n_suspended = n_left - n_running;
    fprintf(file, "%s done", mf_count_format(by_state[MF_TASK_DONE], text));
    fprintf(file, ", %s failed", mf_count_format(by_state[MF_TASK_FAILED], text));
    put_count(by_state[MF_TASK_SKIPPED], "skipped", file);
    put_count(by_state[MF_TASK_CANCELLED], "cancelled", file);
    put_count(explain->n_retried, "tried again", file);
    put_count(n_running, "running", file);
    put_count(n_suspended, "suspended", file);
    put_count(n_total > 0 ? n_left - n_running - n_suspended : 0, "left", file);
    fputs(": ", file);
    mf_explain_put_life(explain, file);
    fputc('\n', file);
}

/* Workers that were not trusted, as the run told it. */
static void put_quarantined(const struct mf_explain *explain, FILE *file)
{
    struct mf_error ignored;
    char text[1024];

    if (mf_journal_get_text(explain->journal, MF_JOURNAL_QUARANTINED, text, sizeof(text),
                            &ignored) < 0 ||
        text[0] == '\0')
        return;
    fputs("in quarantine: ", file);
    mf_explain_put_text(text, file);
    fputc('\n', file);
}

/* --- groups --- */

/* Why a task ended so, without what differs from task to task. */
static const char *name_cause(const struct mf_outcome *outcome, char *text, size_t size)
{
    if (outcome->cause == MF_CAUSE_SKIPPED && outcome->detail[0])
        return outcome->detail;
    if (outcome->cause == MF_CAUSE_TIMEOUT && !outcome->detail[0])
        return "over its time limit";
    return mf_outcome_describe(outcome, text, size);
}

static int add_to_groups(struct groups *groups, const struct mf_journal_attempt *attempt)
{
    char text[512];
    const char *cause = name_cause(&attempt->outcome, text, sizeof(text));
    uint32_t number;
    struct group *group;

    if (mf_names_number(&groups->causes, cause, strlen(cause), MAX_CAUSES, &number) < 0)
        return -ENOMEM;
    group = &groups->groups[number];
    if (group->n++ == 0) {
        group->example = strdup(attempt->id);
        group->row = attempt->row;
    }
    return group->example ? 0 : -ENOMEM;
}

static int group_attempt(void *arg, const struct mf_journal_attempt *attempt)
{
    struct walk *walk = arg;
    const struct mf_explain_end *end = mf_explain_find(walk->explain, attempt->id);

    if (!end || end->row != attempt->row || !mf_explain_is_final(walk->explain, end))
        return 0;
    for (size_t i = 0; i < walk->n_groups; i++)
        if (walk->groups[i].state == attempt->state)
            return add_to_groups(&walk->groups[i], attempt);
    return 0;
}

/* Most frequent first; equals stay in the order of the journal. */
static int compare_groups(const void *a, const void *b)
{
    const struct group *left = a, *right = b;

    if (left->n != right->n)
        return left->n > right->n ? -1 : 1;
    return left->row < right->row ? -1 : 1;
}

static void put_group(const struct mf_explain *explain, const struct groups *groups,
                      const struct group *group, FILE *file)
{
    char text[MF_COUNT_SIZE];

    fprintf(file, "  %7s  ", mf_count_format(group->n, text));
    mf_explain_put_text(group->cause, file);
    fprintf(file, group->n > 1 ? ", as task " : ": task ");
    mf_explain_put_text(group->example, file);
    fputs("\n", file);
    if (groups->state != MF_TASK_FAILED)
        return;
    fputs("           ", file);
    mf_explain_put_logs(explain, group->example, file);
}

static void put_groups(const struct mf_explain *explain, struct groups *groups, FILE *file)
{
    uint32_t n = groups->causes.n;
    uint64_t n_hidden = groups->groups[0].n;
    char text[MF_COUNT_SIZE];

    if (n == 0)
        return;
    for (uint32_t i = 1; i <= n; i++)
        groups->groups[i].cause = mf_names_text(&groups->causes, i);
    fprintf(file, "%s:\n", groups->state == MF_TASK_FAILED ? "failed" : "skipped");
    qsort(groups->groups + 1, n, sizeof(groups->groups[0]), compare_groups);
    for (uint32_t i = 1; i <= n; i++) {
        if (i <= MAX_SHOWN)
            put_group(explain, groups, &groups->groups[i], file);
        else
            n_hidden += groups->groups[i].n;
    }
    if (n_hidden > 0)
        fprintf(file, "  %7s  for other causes\n", mf_count_format(n_hidden, text));
}

static void finish_groups(struct groups *groups)
{
    for (size_t i = 0; i <= MAX_CAUSES; i++)
        free(groups->groups[i].example);
    mf_names_finish(&groups->causes);
}

int mf_explain_run(struct mf_explain *explain, FILE *file, struct mf_error *err)
{
    struct groups *groups = calloc(2, sizeof(*groups));
    struct walk walk = {.explain = explain, .groups = groups, .n_groups = 2};
    int r;

    if (!groups)
        return mf_error_set(err, -ENOMEM, "out of memory");
    groups[0].state = MF_TASK_FAILED;
    groups[1].state = MF_TASK_SKIPPED;
    r = mf_journal_each(explain->journal, group_attempt, &walk, err);
    if (r == -ENOMEM)
        mf_error_set(err, r, "out of memory");
    if (r == 0) {
        put_counts(explain, file);
        put_quarantined(explain, file);
        put_groups(explain, &groups[0], file);
        put_groups(explain, &groups[1], file);
    }
    finish_groups(&groups[0]);
    finish_groups(&groups[1]);
    free(groups);
    return r;
}
