/* A farm in a few words: see farm_builder.h. */
#include "support/farm_builder.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Each Criterion test is a process of its own: what hangs here is freed with it. */
static struct t_farm *made[64];
static size_t n_made;

struct t_farm *t_farm_create(const char *tasks, const struct t_farm_options *options)
{
    struct t_farm *t = calloc(1, sizeof(*t));

    cr_assert(t && n_made < sizeof(made) / sizeof(made[0]));
    made[n_made++] = t;
    cr_assert_eq(mf_farm_create(&options->config, &t->farm), 0);
    for (uint32_t i = 0; i < options->workers; i++)
        t_up(t, i, options->slots ? options->slots : 1);
    t_submit(t, tasks);
    return t;
}

int t_farm_apply(struct t_farm *t, struct mf_event event)
{
    const char *breach;
    int r;

    event.now_ns = t->now_ns;
    r = mf_farm_apply(t->farm, &event);
    breach = mf_farm_check(t->farm);
    cr_assert_null(breach, "%s", breach);
    return r;
}

static void apply(struct t_farm *t, struct mf_event event)
{
    int r = t_farm_apply(t, event);

    cr_assert_eq(r, 0, "event %d of task %d: %d", (int)event.kind, (int)event.task, r);
}

/* Takes the next word from *names; false when there is none. */
static bool next_word(const char **names, char word[32])
{
    size_t n;

    *names += strspn(*names, " ");
    n = strcspn(*names, " ");
    cr_assert(n < 32);
    memcpy(word, *names, n);
    word[n] = '\0';
    *names += n;
    return n > 0;
}

/* The number behind a mark in the description of a task. */
static int number_after(const char *word, char mark, int otherwise)
{
    const char *at = strchr(word, mark);

    return at ? atoi(at + 1) : otherwise;
}

/* The characters that end the name of a task, and begin what is said of it. */
#define MARKS "*!^@~%=+$&<|"

static size_t length_of_name(const char *word)
{
    return strcspn(word, MARKS);
}

/* The number that a task has, or will have once those in `rest` are submitted. */
static mf_task_id find_name(struct t_farm *t, const char *name, size_t n, const char *rest)
{
    char word[32];

    for (mf_task_id id = 1; id <= t->n_named; id++)
        if (strlen(t->names[id]) == n && memcmp(t->names[id], name, n) == 0)
            return id;
    for (mf_task_id id = t->n_named + 1; next_word(&rest, word); id++)
        if (length_of_name(word) == n && memcmp(word, name, n) == 0)
            return id;
    cr_assert_fail("there is no task %.*s", (int)n, name);
    return 0;
}

/* What a task comes after, as its word says; returns how many. */
static uint32_t read_after(struct t_farm *t, const char *word, const char *rest,
                           struct mf_dependency after[8])
{
    const char *at = strchr(word, '<');
    uint32_t n_after = 0;

    while (at && n_after < 8) {
        size_t n = strcspn(++at, ",?-" MARKS);
        struct mf_dependency *dependency = &after[n_after++];

        dependency->task = find_name(t, at, n, rest);
        dependency->condition = at[n] == '?'   ? MF_AFTER_ANY
                                : at[n] == '-' ? MF_AFTER_NOT_OK
                                               : MF_AFTER_OK;
        at = strpbrk(at, "," MARKS);
        if (at && *at != ',')
            at = NULL;
    }
    return n_after;
}

static struct mf_task_spec read_spec(struct t_farm *t, const char *word)
{
    return (struct mf_task_spec){
        .cookie = 1000 + t->n_named,
        .needs.n_slots = (uint32_t)number_after(word, '*', 1),
        .needs.n_nodes = (uint32_t)number_after(word, '|', 0),
        .needs.countables = {(uint32_t)number_after(word, '$', 0)},
        .group = (uint32_t)number_after(word, '%', 0),
        .kind = (uint32_t)number_after(word, '=', 0),
        .estimate_ns = number_after(word, '+', 0) * T_MS,
        .priority = number_after(word, '!', 0),
        .max_attempts = (uint32_t)number_after(word, '^', 1),
        .target = (mf_worker_id)number_after(word, '@', 0),
        .has_target = strchr(word, '@') != NULL,
        .avoid = (mf_worker_id)number_after(word, '~', 0),
        .has_avoid = strchr(word, '~') != NULL,
        .is_suspendable = true,
        .yields = strchr(word, '&') != NULL,
    };
}

void t_submit(struct t_farm *t, const char *tasks)
{
    const char *rest = tasks;
    char word[32];

    for (const char *this = rest; next_word(&rest, word); this = rest) {
        struct mf_dependency after[8];
        struct mf_event event = {
            .kind = MF_EVENT_SUBMITTED,
            .spec = read_spec(t, word),
            .after = after,
            .n_after = read_after(t, word, this, after),
        };
        size_t n = length_of_name(word);

        apply(t, event);
        cr_assert(n < sizeof(t->names[0]) && t->n_named < T_MAX_TASKS);
        memcpy(t->names[++t->n_named], word, n);
    }
}

void t_submit_many(struct t_farm *t, uint64_t n)
{
    struct mf_event event = {.kind = MF_EVENT_SUBMITTED,
                             .spec = {.needs.n_slots = 1, .max_attempts = 1}};

    for (uint64_t i = 0; i < n; i++)
        apply(t, event);
}

void t_wait(struct t_farm *t, int64_t ns)
{
    t->now_ns += ns;
}

void t_up(struct t_farm *t, mf_worker_id worker, uint32_t n_slots)
{
    t_up_on(t, MF_NODE_UNKNOWN, worker, n_slots);
}

void t_up_on(struct t_farm *t, mf_node_id node, mf_worker_id worker, uint32_t n_slots)
{
    apply(t,
          (struct mf_event){
              .kind = MF_EVENT_WORKER_UP, .node = node, .worker = worker, .has.n_slots = n_slots});
}

void t_drain(struct t_farm *t, mf_worker_id worker)
{
    apply(t, (struct mf_event){.kind = MF_EVENT_WORKER_DRAIN, .worker = worker});
}

void t_lose(struct t_farm *t, mf_worker_id worker)
{
    apply(t, (struct mf_event){.kind = MF_EVENT_WORKER_LOST, .worker = worker});
}

void t_stop(struct t_farm *t, enum mf_stop how)
{
    apply(t, (struct mf_event){.kind = MF_EVENT_STOP, .stop = how});
}

void t_farm_tick(struct t_farm *t, struct mf_event event)
{
    apply(t, event);
}

mf_task_id t_id(struct t_farm *t, const char *name)
{
    for (mf_task_id id = 1; id <= t->n_named; id++) {
        if (strcmp(t->names[id], name) == 0)
            return id;
    }
    cr_assert_fail("no task %s", name);
    return 0;
}

const struct mf_task *t_task(struct t_farm *t, const char *name)
{
    return mf_farm_find(t->farm, t_id(t, name));
}

/* Applies the event to the present attempt of each task named. */
static void apply_to_each(struct t_farm *t, const char *names, struct mf_event event)
{
    char word[32];

    while (next_word(&names, word)) {
        const struct mf_task *task = t_task(t, word);

        cr_assert(task, "%s is settled", word);
        event.task = task->id;
        event.attempt = task->attempt;
        event.worker = task->worker;
        apply(t, event);
    }
}

void t_start(struct t_farm *t, const char *names)
{
    apply_to_each(t, names, (struct mf_event){.kind = MF_EVENT_STARTED});
}

void t_return(struct t_farm *t, const char *names)
{
    apply_to_each(t, names, (struct mf_event){.kind = MF_EVENT_RETURNED});
}

void t_held(struct t_farm *t, const char *names)
{
    char word[32];

    while (next_word(&names, word)) {
        const struct mf_task *task = t_task(t, word);

        cr_assert(task, "%s is settled", word);
        for (uint32_t i = 0; i < mf_task_n_parts(task); i++)
            if (!task->parts[i].is_held)
                apply(t, (struct mf_event){.kind = MF_EVENT_HELD,
                                           .task = task->id,
                                           .attempt = task->attempt,
                                           .worker = task->parts[i].worker});
    }
}

void t_suspended(struct t_farm *t, const char *names)
{
    apply_to_each(t, names, (struct mf_event){.kind = MF_EVENT_SUSPENDED});
}

void t_continued(struct t_farm *t, const char *names)
{
    apply_to_each(t, names, (struct mf_event){.kind = MF_EVENT_CONTINUED});
}

void t_cancel(struct t_farm *t, const char *names)
{
    apply_to_each(t, names, (struct mf_event){.kind = MF_EVENT_CANCEL});
}

void t_farm_end(struct t_farm *t, const char *names, struct mf_event event)
{
    event.kind = MF_EVENT_ENDED;
    apply_to_each(t, names, event);
}

void t_run_one(struct t_farm *t, int64_t duration_ns)
{
    char name[16];

    snprintf(name, sizeof(name), "run%d", (int)t->n_named);
    t_submit(t, name);
    t_tick(t);
    t_end(t, name, .duration_ns = duration_ns);
    t_trace(t);
}

static const char *const wishes[] = {[MF_WISH_RECALL] = "RECALL",
                                     [MF_WISH_END] = "END",
                                     [MF_WISH_SUSPEND] = "SUSPEND",
                                     [MF_WISH_YIELD] = "YIELD",
                                     [MF_WISH_CONTINUE] = "CONTINUE"};

static void add_change(struct t_farm *t, FILE *out, const struct mf_change *change)
{
    if (change->task <= t->n_named)
        fprintf(out, "%s:", t->names[change->task]);
    else
        fprintf(out, "#%d:", (int)change->task);
    fprintf(out, "%s", mf_task_state_name(change->state));
    if (change->worker != MF_WORKER_NONE)
        fprintf(out, "@%u", change->worker);
    for (uint32_t i = 0; change->is_gathering && i < change->needs.n_nodes - 1; i++)
        fprintf(out, "+%u", mf_farm_find(t->farm, change->task)->parts[i].worker);
    if (change->worker != MF_WORKER_NONE && change->attempt > 1)
        fprintf(out, "#%u", change->attempt);
    if (change->wish != MF_WISH_NONE)
        fprintf(out, "/%s", wishes[change->wish]);
    if (change->cause != MF_CAUSE_NONE &&
        (change->worker == MF_WORKER_NONE || change->wish == MF_WISH_END))
        fprintf(out, "(%s)", mf_cause_name(change->cause));
}

const char *t_trace(struct t_farm *t)
{
    FILE *out = fmemopen(t->trace, sizeof(t->trace), "w");
    const char *separator = "";
    struct mf_change change;

    cr_assert(out);
    t->trace[0] = '\0';
    while (mf_farm_next_change(t->farm, &change) == 1) {
        fprintf(out, "%s", separator);
        add_change(t, out, &change);
        separator = " ";
    }
    cr_assert_eq(fclose(out), 0);
    return t->trace;
}

struct mf_farm_counts t_counts(struct t_farm *t)
{
    struct mf_farm_counts counts;

    mf_farm_count(t->farm, &counts);
    return counts;
}
