/*
 * What a run learned of how long tasks take, kept in the journal for the next
 * one: a JSON object from the name of a kind of tasks to its median run time
 * in seconds and the number of tasks behind it. Runs in rank 0's only thread.
 */
#include "runtime/scheduler_private.h"

#include "base/clock.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* So much is kept, of the kinds of all runs so far; one run has 1024 kinds at most. */
#define LEARNED_BYTES ((size_t)256 << 10)

#define FLAGS ((size_t)(JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(9)))

/* Seconds beyond this are damage. */
#define MAX_S 1e9

/* What the journal has, or NULL: a missing or damaged note is no reason not to run. */
static json_t *read_note(struct mf_scheduler *scheduler)
{
    char *text = malloc(LEARNED_BYTES);
    json_t *note = NULL;

    if (text &&
        mf_journal_get_text(scheduler->journal, MF_JOURNAL_LEARNED, text, LEARNED_BYTES, NULL) == 0)
        note = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    free(text);
    if (!json_is_object(note)) {
        json_decref(note);
        return NULL;
    }
    return note;
}

static void learn(struct mf_scheduler *scheduler, uint32_t kind, const json_t *entry)
{
    double median_s;
    json_int_t n_samples;
    struct mf_event event = {.kind = MF_EVENT_LEARNED, .spec.kind = kind};

    if (json_unpack((json_t *)entry, "[F, I]", &median_s, &n_samples) < 0 || !(median_s >= 0) ||
        median_s > MAX_S || n_samples < 1)
        return;
    event.duration_ns = (int64_t)(median_s * MF_NS_PER_S);
    event.n_samples = (uint64_t)n_samples;
    mf_scheduler_apply(scheduler, &event);
}

void mf_learned_load(struct mf_scheduler *scheduler)
{
    scheduler->learned = read_note(scheduler);
}

void mf_learned_finish(struct mf_scheduler *scheduler)
{
    json_decref(scheduler->learned);
    scheduler->learned = NULL;
}

/* The source numbers kinds as it comes upon them. */
void mf_learned_meet_kind(struct mf_scheduler *scheduler, uint32_t kind)
{
    while (scheduler->last_kind < kind) {
        const char *name = mf_source_kind_name(scheduler->config.source, ++scheduler->last_kind);

        if (name && scheduler->learned)
            learn(scheduler, scheduler->last_kind, json_object_get(scheduler->learned, name));
    }
}

/* A kind in a note, by how many tasks are behind it. */
struct use {
    const char *name;
    json_int_t n_samples;
};

static int compare_uses(const void *a, const void *b)
{
    const struct use *first = a, *second = b;

    if (first->n_samples != second->n_samples)
        return first->n_samples < second->n_samples ? -1 : 1;
    return strcmp(first->name, second->name);
}

/* Drops the kinds with the fewest tasks behind them until the text is that much shorter. */
static bool shorten(json_t *note, size_t n_bytes)
{
    size_t n = 0, n_gone = 0;
    struct use *uses = calloc(json_object_size(note) + 1, sizeof(*uses));
    const char *name;
    json_t *entry;

    if (!uses)
        return false;
    json_object_foreach(note, name, entry) uses[n++] =
        (struct use){.name = name, .n_samples = json_integer_value(json_array_get(entry, 1))};
    qsort(uses, n, sizeof(*uses), compare_uses);
    for (size_t i = 0; i < n && n_gone < n_bytes; i++) {
        /* Its name and value, and two quotation marks, a colon and a comma. */
        n_gone += strlen(uses[i].name) + 4 +
                  json_dumpb(json_object_get(note, uses[i].name), NULL, 0, FLAGS);
        json_object_del(note, uses[i].name);
    }
    free(uses);
    return n > 0;
}

char *mf_learned_dump(json_t *note, size_t size)
{
    char *text = json_dumps(note, FLAGS);

    while (text && strlen(text) >= size) {
        bool is_shorter = shorten(note, strlen(text) - size + 1);

        free(text);
        text = is_shorter ? json_dumps(note, FLAGS) : NULL;
    }
    return text;
}

static int write_note(struct mf_scheduler *scheduler, json_t *note, struct mf_error *err)
{
    char *text = mf_learned_dump(note, LEARNED_BYTES);
    int r = 0;

    if (text)
        r = mf_journal_set_text(scheduler->journal, MF_JOURNAL_LEARNED, text, err);
    free(text);
    return r;
}

/* Kinds that this run had none of stay as they were. */
int mf_learned_save(struct mf_scheduler *scheduler, struct mf_error *err)
{
    json_t *note = scheduler->learned ? json_incref(scheduler->learned) : json_object();
    uint32_t kind;
    int64_t median_ns;
    uint64_t n_samples;
    size_t cursor = 0;
    int r;

    while (mf_farm_learned(scheduler->farm, &cursor, &kind, &median_ns, &n_samples) == 1) {
        const char *name = mf_source_kind_name(scheduler->config.source, kind);

        if (name && note)
            json_object_set_new(
                note, name,
                json_pack("[f, I]", (double)median_ns / MF_NS_PER_S, (json_int_t)n_samples));
    }
    r = note ? write_note(scheduler, note, err) : 0;
    json_decref(note);
    return r;
}
