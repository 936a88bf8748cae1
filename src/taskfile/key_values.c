/*
 * What the value of each key means: see keys_private.h. Nothing is owned here; one thread.
 */
#include "taskfile/keys_private.h"

#include "base/units.h"
#include "taskfile/source.h"
#include "taskfile/words.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NODES_MAX 1000000
#define RANKS_MAX 1000000
#define GPUS_MAX 1000000
#define ATTEMPTS_MAX 1000000
#define ID_BYTES_MAX 255
#define FUNC_BYTES_MAX 255
#define GROUP_BYTES_MAX 255
#define WEIGHT_MAX 1e9

/* "-1", as the task before is called; one of that name would be taken for it. */
static bool is_relative(const char *value)
{
    return value[0] == '-' && value[1] != '\0' &&
           value[1 + strspn(value + 1, "0123456789")] == '\0';
}

int mf_parse_id(struct mf_fields *fields, const char *value, struct mf_arena *arena,
                struct mf_error *err)
{
    size_t size = strlen(value);

    if (size == 0 || size > ID_BYTES_MAX)
        return mf_error_set(err, -EINVAL, "an id has 1 to %d bytes, not %zu", ID_BYTES_MAX, size);
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)value[i];

        if (c <= ' ' || c == 0x7f || c == ',')
            return mf_error_set(err, -EINVAL,
                                "an id has no blanks, commas or control characters (byte %zu)",
                                i + 1);
    }
    if (is_relative(value))
        return mf_error_set(err, -EINVAL,
                            "\"%s\" is what after= calls a task before its own, and no id", value);
    fields->id = mf_arena_copy(arena, value, size);
    return fields->id ? 0 : -ENOMEM;
}

int mf_parse_func(struct mf_fields *fields, const char *value, struct mf_arena *arena,
                  struct mf_error *err)
{
    size_t size = strlen(value);

    if (size == 0 || size > FUNC_BYTES_MAX)
        return mf_error_set(err, -EINVAL, "the name of a function has 1 to %d bytes, not %zu",
                            FUNC_BYTES_MAX, size);
    for (size_t i = 0; i < size; i++)
        if (!isalnum((unsigned char)value[i]) && value[i] != '_')
            return mf_error_set(err, -EINVAL,
                                "the name of a function has letters, digits and \"_\" only "
                                "(byte %zu)",
                                i + 1);
    fields->func = mf_arena_copy(arena, value, size);
    return fields->func ? 0 : -ENOMEM;
}

int mf_parse_cores(struct mf_fields *fields, const char *value, struct mf_arena *arena,
                   struct mf_error *err)
{
    int64_t number;
    int r = mf_parse_integer(value, 1, MF_CORES_MAX, &number, err);

    if (r == 0)
        fields->needs.n_slots = (uint32_t)number;
    return r;
}

int mf_parse_nodes(struct mf_fields *fields, const char *value, struct mf_arena *arena,
                   struct mf_error *err)
{
    int64_t number;
    int r = mf_parse_integer(value, 1, NODES_MAX, &number, err);

    if (r == 0)
        fields->needs.n_nodes = (uint32_t)number;
    return r;
}

int mf_parse_ranks(struct mf_fields *fields, const char *value, struct mf_arena *arena,
                   struct mf_error *err)
{
    int64_t number;
    int r = mf_parse_integer(value, 1, RANKS_MAX, &number, err);

    if (r == 0)
        fields->n_ranks = (uint32_t)number;
    return r;
}

int mf_parse_retries(struct mf_fields *fields, const char *value, struct mf_arena *arena,
                     struct mf_error *err)
{
    int64_t number;
    int r = mf_parse_integer(value, 1, ATTEMPTS_MAX, &number, err);

    if (r == 0)
        fields->attempts = (uint32_t)number;
    return r;
}

int mf_parse_priority(struct mf_fields *fields, const char *value, struct mf_arena *arena,
                      struct mf_error *err)
{
    int64_t number;
    int r = mf_parse_integer(value, INT32_MIN, INT32_MAX, &number, err);

    if (r == 0)
        fields->priority = (int32_t)number;
    return r;
}

/* A duration that is not 0. */
static int parse_span(const char *value, const char *what, int64_t *ret_ns, struct mf_error *err)
{
    int64_t ns;
    int r = mf_parse_duration(value, &ns, err);

    if (r < 0)
        return r;
    if (ns == 0)
        return mf_error_set(err, -ERANGE, "%s is longer than 0", what);
    *ret_ns = ns;
    return 0;
}

int mf_parse_timeout(struct mf_fields *fields, const char *value, struct mf_arena *arena,
                     struct mf_error *err)
{
    return parse_span(value, "a time limit", &fields->timeout_ns, err);
}

int mf_parse_time(struct mf_fields *fields, const char *value, struct mf_arena *arena,
                  struct mf_error *err)
{
    return parse_span(value, "the time that a task takes", &fields->estimate_ns, err);
}

int mf_parse_deadline(struct mf_fields *fields, const char *value, struct mf_arena *arena,
                      struct mf_error *err)
{
    return parse_span(value, "the time up to a deadline", &fields->deadline_ns, err);
}

int mf_parse_weight(struct mf_fields *fields, const char *value, struct mf_arena *arena,
                    struct mf_error *err)
{
    double weight;

    if (mf_parse_decimal(value, 0, &weight) < 0)
        return mf_error_set(err, -EINVAL, "\"%s\" is not a number greater than 0", value);
    if ((float)weight <= 0 || weight > WEIGHT_MAX)
        return mf_error_set(err, -ERANGE, "%s is not greater than 0 and at most %.0f", value,
                            WEIGHT_MAX);
    fields->weight = (float)weight;
    return 0;
}

int mf_parse_group(struct mf_fields *fields, const char *value, struct mf_arena *arena,
                   struct mf_error *err)
{
    size_t size = strlen(value);

    if (size == 0 || size > GROUP_BYTES_MAX)
        return mf_error_set(err, -EINVAL, "the name of a group has 1 to %d bytes, not %zu",
                            GROUP_BYTES_MAX, size);
    fields->group = mf_arena_copy(arena, value, size);
    return fields->group ? 0 : -ENOMEM;
}

int mf_parse_mem(struct mf_fields *fields, const char *value, struct mf_arena *arena,
                 struct mf_error *err)
{
    uint64_t bytes;
    int r = mf_parse_size(value, &bytes, err);

    if (r < 0)
        return r;
    if (bytes == 0)
        return mf_error_set(err, -ERANGE, "a task needs more than 0 bytes");
    fields->needs.mem_bytes = bytes;
    return 0;
}

int mf_parse_gpus(struct mf_fields *fields, const char *value, struct mf_arena *arena,
                  struct mf_error *err)
{
    int64_t number;
    int r = mf_parse_integer(value, 1, GPUS_MAX, &number, err);

    if (r == 0)
        fields->needs.n_gpus = (uint32_t)number;
    return r;
}

/* Read when all tasks are known: see after.h. An empty list takes back that of a #FARM line. */
static int take_after(struct mf_fields *fields, enum mf_condition condition, const char *value,
                      struct mf_arena *arena)
{
    fields->after[condition] = mf_arena_copy(arena, value, strlen(value));
    return fields->after[condition] ? 0 : -ENOMEM;
}

int mf_parse_after(struct mf_fields *fields, const char *value, struct mf_arena *arena,
                   struct mf_error *err)
{
    return take_after(fields, MF_AFTER_OK, value, arena);
}

int mf_parse_afterany(struct mf_fields *fields, const char *value, struct mf_arena *arena,
                      struct mf_error *err)
{
    return take_after(fields, MF_AFTER_ANY, value, arena);
}

int mf_parse_afternotok(struct mf_fields *fields, const char *value, struct mf_arena *arena,
                        struct mf_error *err)
{
    return take_after(fields, MF_AFTER_NOT_OK, value, arena);
}

/* The number of the countable of that name, or the number of all. */
static uint32_t find_countable(const struct mf_fields *fields, const char *name)
{
    uint32_t n = fields->options ? fields->options->n_countables : 0;
    uint32_t i = 0;

    while (i < n && strcmp(fields->options->countables[i].name, name) != 0)
        i++;
    return i;
}

int mf_take_countable(struct mf_fields *fields, const char *key, const char *value,
                      struct mf_error *err)
{
    uint32_t i = find_countable(fields, key);
    uint32_t bit = UINT32_C(1) << i;
    const struct mf_countable *countable;
    int64_t number;
    int r;

    if (!fields->options || i == fields->options->n_countables)
        return mf_error_set(err, -ENOENT,
                            "%s: nobody says how many the run has: declare it with "
                            "--resource %s=NUMBER",
                            key, key);
    if (fields->countables_given & bit)
        return mf_error_set(err, -EEXIST, "%s is given twice", key);
    countable = &fields->options->countables[i];
    r = mf_parse_integer(value, 1, UINT32_MAX, &number, err);
    if (r < 0)
        return mf_error_prefix(err, r, "%s: ", key);
    if (number > countable->count)
        return mf_error_set(err, -ERANGE, "%s: the run has %u, so %lld can never be had", key,
                            countable->count, (long long)number);
    fields->needs.countables[i] = (uint32_t)number;
    fields->countables_given |= bit;
    return 0;
}

int mf_parse_cwd(struct mf_fields *fields, const char *value, struct mf_arena *arena,
                 struct mf_error *err)
{
    if (*value == '\0')
        return mf_error_set(err, -EINVAL, "the name of a directory is missing");
    fields->cwd = mf_arena_copy(arena, value, strlen(value));
    return fields->cwd ? 0 : -ENOMEM;
}
