/*
 * One table of keys with what each does: see keys.h. Nothing is owned here; one thread.
 */
#include "taskfile/keys_private.h"

#include "base/units.h"
#include "taskfile/words.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* Names are compared one by one. */
#define ENV_MAX 1000

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

int mf_fields_add_env(struct mf_fields *fields, const char *name, const char *value,
                      struct mf_arena *arena)
{
    char *text = mf_arena_alloc(arena, strlen(name) + strlen(value) + 2);

    if (!text)
        return -ENOMEM;
    stpcpy(stpcpy(stpcpy(text, name), "="), value);
    if (has_env(fields, text))
        return 0;
    if (reserve_env(fields, 1, arena) < 0)
        return -ENOMEM;
    fields->env[fields->n_env++] = text;
    return 0;
}

/* Where defaults are taken over from; id and func are one task's own, and env is merged. */
#define INHERITED(member)                                                                          \
    .offset = offsetof(struct mf_fields, member), .size = sizeof(((struct mf_fields *)0)->member)

static const struct key {
    const char *name;
    mf_parse_value_fn parse;
    bool may_repeat;
    bool is_for_commands;
    size_t offset, size;
} keys[] = {
    {"id", mf_parse_id},
    {"func", mf_parse_func},
    {"after", mf_parse_after, INHERITED(after[MF_AFTER_OK])},
    {"afterany", mf_parse_afterany, INHERITED(after[MF_AFTER_ANY])},
    {"afternotok", mf_parse_afternotok, INHERITED(after[MF_AFTER_NOT_OK])},
    {"cores", mf_parse_cores, INHERITED(needs.n_slots)},
    {"nodes", mf_parse_nodes, .is_for_commands = true, INHERITED(needs.n_nodes)},
    {"ranks", mf_parse_ranks, .is_for_commands = true, INHERITED(n_ranks)},
    {"mem", mf_parse_mem, INHERITED(needs.mem_bytes)},
    {"gpus", mf_parse_gpus, INHERITED(needs.n_gpus)},
    {"time", mf_parse_time, INHERITED(estimate_ns)},
    {"timeout", mf_parse_timeout, INHERITED(timeout_ns)},
    {"deadline", mf_parse_deadline, INHERITED(deadline_ns)},
    {"retries", mf_parse_retries, INHERITED(attempts)},
    {"priority", mf_parse_priority, INHERITED(priority)},
    {"weight", mf_parse_weight, INHERITED(weight)},
    {"group", mf_parse_group, INHERITED(group)},
    {"cwd", mf_parse_cwd, .is_for_commands = true, INHERITED(cwd)},
    {"env", parse_env, .is_for_commands = true, .may_repeat = true},
};

const char *mf_condition_key(enum mf_condition condition)
{
    static const char *const names[MF_N_CONDITIONS] = {"after", "afterany", "afternotok"};

    return names[condition];
}

#define N_KEYS (sizeof(keys) / sizeof(keys[0]))

/* Keys that are known in one place only. */
#define MORE_MAX 2

int mf_fields_refuse(const char *key, const char *const *more, struct mf_error *err)
{
    const char *names[N_KEYS + MORE_MAX] = {NULL};
    const char *nearest;
    char known[512] = "";
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
    if (strchr(key, '.'))
        return mf_take_countable(fields, key, value, err);
    return mf_fields_refuse(key, NULL, err);
}

/* Each key and each countable that is not given is as the defaults have it. */
static void inherit_values(struct mf_fields *fields, const struct mf_fields *defaults)
{
    for (size_t i = 0; i < N_KEYS; i++)
        if (!(fields->given & UINT32_C(1) << i) && !(fields->func && keys[i].is_for_commands))
            memcpy((char *)fields + keys[i].offset, (const char *)defaults + keys[i].offset,
                   keys[i].size);
    for (uint32_t i = 0; defaults->countables_given >> i; i++)
        if (!(fields->countables_given & UINT32_C(1) << i))
            fields->needs.countables[i] = defaults->needs.countables[i];
    fields->countables_given |= defaults->countables_given;
}

int mf_fields_inherit(struct mf_fields *fields, const struct mf_fields *defaults,
                      struct mf_arena *arena)
{
    inherit_values(fields, defaults);
    if (fields->func)
        return 0;
    if (!fields->prefix)
        fields->prefix = defaults->prefix;
    if (!fields->suffix)
        fields->suffix = defaults->suffix;
    if (defaults->n_env > 0 && reserve_env(fields, defaults->n_env, arena) < 0)
        return -ENOMEM;
    for (uint32_t i = 0; i < defaults->n_env; i++)
        if (!has_env(fields, defaults->env[i]))
            fields->env[fields->n_env++] = defaults->env[i];
    fields->given |= defaults->given;
    return 0;
}

int mf_fields_spread(struct mf_fields *fields, struct mf_error *err)
{
    uint32_t n_nodes = mf_needs_n_nodes(&fields->needs), n_ranks = fields->n_ranks;
    uint64_t n_cores = fields->needs.n_slots ? fields->needs.n_slots : 1;

    /* What the command launches by itself would have the GPUs of the first node on all. */
    if (n_nodes > 1 && fields->needs.n_gpus > 0 && n_ranks == 0)
        return mf_error_set(err, -ERANGE,
                            "gpus=%u on nodes=%u: say with ranks= how many processes are to be "
                            "started there, which are then told their GPUs",
                            fields->needs.n_gpus, n_nodes);
    if (n_ranks == 0)
        return 0;
    if (n_ranks < n_nodes)
        return mf_error_set(err, -ERANGE,
                            "ranks=%u on nodes=%u leaves nodes without a rank: say nodes=%u, or "
                            "more ranks",
                            n_ranks, n_nodes, n_ranks);
    n_cores *= (n_ranks + n_nodes - 1) / n_nodes;
    if (n_cores > MF_CORES_MAX)
        return mf_error_set(err, -ERANGE, "ranks=%u of %u cores need more than %d cores on a node",
                            n_ranks, fields->needs.n_slots ? fields->needs.n_slots : 1,
                            MF_CORES_MAX);
    fields->needs.n_slots = (uint32_t)n_cores;
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
    if (fields->needs.n_slots > 1)
        return mf_error_set(err, -EINVAL,
                            "a function runs on one core, so cores=%u cannot be had: say cores=1",
                            fields->needs.n_slots);
    return 0;
}
