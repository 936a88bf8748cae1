/*
 * One table of keys with what each does: see keys.h. Nothing is owned here; one thread.
 */
#include "taskfile/keys.h"

#include "base/units.h"
#include "taskfile/words.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define CORES_MAX 1000000
#define ATTEMPTS_MAX 1000000
#define ID_BYTES_MAX 255
#define FUNC_BYTES_MAX 255
/* Names are compared one by one. */
#define ENV_MAX 1000

/* What one key does: value to fields. */
typedef int (*parse_fn)(struct mf_fields *fields, const char *value, struct mf_arena *arena,
                        struct mf_error *err);
/* Takes over from defaults what the key has there. */
typedef void (*inherit_fn)(struct mf_fields *fields, const struct mf_fields *defaults);

static int parse_id(struct mf_fields *fields, const char *value, struct mf_arena *arena,
                    struct mf_error *err)
{
    size_t size = strlen(value);

    if (size == 0 || size > ID_BYTES_MAX)
        return mf_error_set(err, -EINVAL, "an id has 1 to %d bytes, not %zu", ID_BYTES_MAX, size);
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)value[i];

        if (c <= ' ' || c == 0x7f)
            return mf_error_set(err, -EINVAL,
                                "an id has no blanks and no control characters (byte %zu)", i + 1);
    }
    fields->id = mf_arena_copy(arena, value, size);
    return fields->id ? 0 : -ENOMEM;
}

static int parse_func(struct mf_fields *fields, const char *value, struct mf_arena *arena,
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

static int parse_cores(struct mf_fields *fields, const char *value, struct mf_arena *arena,
                       struct mf_error *err)
{
    int64_t number;
    int r = mf_parse_integer(value, 1, CORES_MAX, &number, err);

    if (r == 0)
        fields->n_slots = (uint32_t)number;
    return r;
}

static int parse_retries(struct mf_fields *fields, const char *value, struct mf_arena *arena,
                         struct mf_error *err)
{
    int64_t number;
    int r = mf_parse_integer(value, 1, ATTEMPTS_MAX, &number, err);

    if (r == 0)
        fields->attempts = (uint32_t)number;
    return r;
}

static int parse_priority(struct mf_fields *fields, const char *value, struct mf_arena *arena,
                          struct mf_error *err)
{
    int64_t number;
    int r = mf_parse_integer(value, INT32_MIN, INT32_MAX, &number, err);

    if (r == 0)
        fields->priority = (int32_t)number;
    return r;
}

static int parse_timeout(struct mf_fields *fields, const char *value, struct mf_arena *arena,
                         struct mf_error *err)
{
    int64_t ns;
    int r = mf_parse_duration(value, &ns, err);

    if (r < 0)
        return r;
    if (ns == 0)
        return mf_error_set(err, -ERANGE, "a time limit is longer than 0");
    fields->timeout_ns = ns;
    return 0;
}

static int parse_cwd(struct mf_fields *fields, const char *value, struct mf_arena *arena,
                     struct mf_error *err)
{
    if (*value == '\0')
        return mf_error_set(err, -EINVAL, "the name of a directory is missing");
    fields->cwd = mf_arena_copy(arena, value, strlen(value));
    return fields->cwd ? 0 : -ENOMEM;
}

/* Returns the length of the name before "=", 0 if there is none that a shell could use. */
static size_t env_name_length(const char *text)
{
    size_t n = 0;

    while (isalnum((unsigned char)text[n]) || text[n] == '_')
        n++;
    return text[n] == '=' && !isdigit((unsigned char)text[0]) ? n : 0;
}

static bool has_env(const struct mf_fields *fields, const char *text)
{
    size_t name_and_sign = env_name_length(text) + 1;

    for (uint32_t i = 0; i < fields->n_env; i++)
        if (strncmp(fields->env[i], text, name_and_sign) == 0)
            return true;
    return false;
}

static int reserve_env(struct mf_fields *fields, uint32_t n, struct mf_arena *arena)
{
    uint32_t capacity = fields->env_capacity ? fields->env_capacity : 4;
    const char **env;

    while (capacity < fields->n_env + n)
        capacity *= 2;
    if (capacity == fields->env_capacity)
        return 0;
    env = mf_arena_alloc(arena, capacity * sizeof(*env));
    if (!env)
        return -ENOMEM;
    if (fields->n_env > 0)
        memcpy(env, fields->env, fields->n_env * sizeof(*env));
    fields->env = env;
    fields->env_capacity = capacity;
    return 0;
}

static int parse_env(struct mf_fields *fields, const char *value, struct mf_arena *arena,
                     struct mf_error *err)
{
    size_t size = strlen(value);
    char *text;
    int r;

    if (env_name_length(value) == 0)
        return mf_error_set(err, -EINVAL, "\"%s\" is not NAME=value", value);
    if (has_env(fields, value))
        return mf_error_set(err, -EEXIST, "%.*s is given twice", (int)env_name_length(value),
                            value);
    if (fields->n_env >= ENV_MAX)
        return mf_error_set(err, -E2BIG, "more than %d variables", ENV_MAX);
    r = mf_words_check_length("variable", size, err);
    if (r < 0)
        return r;
    text = mf_arena_copy(arena, value, size);
    if (!text || reserve_env(fields, 1, arena) < 0)
        return -ENOMEM;
    fields->env[fields->n_env++] = text;
    return 0;
}

static void inherit_cores(struct mf_fields *fields, const struct mf_fields *defaults)
{
    fields->n_slots = defaults->n_slots;
}

static void inherit_retries(struct mf_fields *fields, const struct mf_fields *defaults)
{
    fields->attempts = defaults->attempts;
}

static void inherit_priority(struct mf_fields *fields, const struct mf_fields *defaults)
{
    fields->priority = defaults->priority;
}

static void inherit_timeout(struct mf_fields *fields, const struct mf_fields *defaults)
{
    fields->timeout_ns = defaults->timeout_ns;
}

static void inherit_cwd(struct mf_fields *fields, const struct mf_fields *defaults)
{
    fields->cwd = defaults->cwd;
}

/* id and func are one task's own, and env is merged name by name. */
static const struct key {
    const char *name;
    bool may_repeat;
    bool is_for_commands;
    parse_fn parse;
    inherit_fn inherit;
} keys[] = {
    {"id", false, false, parse_id, NULL},
    {"func", false, false, parse_func, NULL},
    {"cores", false, false, parse_cores, inherit_cores},
    {"timeout", false, false, parse_timeout, inherit_timeout},
    {"retries", false, false, parse_retries, inherit_retries},
    {"priority", false, false, parse_priority, inherit_priority},
    {"cwd", false, true, parse_cwd, inherit_cwd},
    {"env", true, true, parse_env, NULL},
};

#define N_KEYS (sizeof(keys) / sizeof(keys[0]))

/* Keys that are known in one place only. */
#define MORE_MAX 2

int mf_fields_refuse(const char *key, const char *const *more, struct mf_error *err)
{
    const char *names[N_KEYS + MORE_MAX] = {NULL};
    const char *nearest;
    char known[256] = "";
    size_t n = 0;

    for (; more && *more; more++)
        names[n++] = *more;
    for (size_t i = 0; i < N_KEYS; i++)
        names[n++] = keys[i].name;
    nearest = mf_nearest(key, names, n);
    if (nearest)
        return mf_error_set(err, -ENOENT, "unknown key \"%s\", did you mean \"%s\"?", key, nearest);
    for (size_t i = 0, used = 0; i < n && used < sizeof(known); i++)
        used +=
            (size_t)snprintf(known + used, sizeof(known) - used, "%s%s", i ? ", " : "", names[i]);
    return mf_error_set(err, -ENOENT, "unknown key \"%s\" (known: %s)", key, known);
}

int mf_fields_set(struct mf_fields *fields, const char *key, const char *value,
                  struct mf_arena *arena, struct mf_error *err)
{
    for (size_t i = 0; i < N_KEYS; i++) {
        uint32_t bit = UINT32_C(1) << i;
        int r;

        if (strcmp(keys[i].name, key) != 0)
            continue;
        if (fields->given & bit && !keys[i].may_repeat)
            return mf_error_set(err, -EEXIST, "%s is given twice", key);
        r = keys[i].parse(fields, value, arena, err);
        if (r == -ENOMEM)
            return mf_error_set(err, r, "out of memory");
        if (r < 0)
            return mf_error_prefix(err, r, "%s: ", key);
        fields->given |= bit;
        return 0;
    }
    return mf_fields_refuse(key, NULL, err);
}

int mf_fields_inherit(struct mf_fields *fields, const struct mf_fields *defaults,
                      struct mf_arena *arena)
{
    for (size_t i = 0; i < N_KEYS; i++)
        if (keys[i].inherit && !(fields->given & UINT32_C(1) << i) &&
            !(fields->func && keys[i].is_for_commands))
            keys[i].inherit(fields, defaults);
    if (fields->func)
        return 0;
    if (defaults->n_env > 0 && reserve_env(fields, defaults->n_env, arena) < 0)
        return -ENOMEM;
    for (uint32_t i = 0; i < defaults->n_env; i++)
        if (!has_env(fields, defaults->env[i]))
            fields->env[fields->n_env++] = defaults->env[i];
    fields->given |= defaults->given;
    return 0;
}

int mf_fields_check_function(const struct mf_fields *fields, struct mf_error *err)
{
    for (size_t i = 0; i < N_KEYS; i++)
        if (keys[i].is_for_commands && fields->given & UINT32_C(1) << i)
            return mf_error_set(err, -EINVAL,
                                "%s is for commands: a function runs in a process that it shares "
                                "with others",
                                keys[i].name);
    if (fields->n_slots > 1)
        return mf_error_set(err, -EINVAL,
                            "a function runs on one core, so cores=%u cannot be had: say cores=1",
                            fields->n_slots);
    return 0;
}
