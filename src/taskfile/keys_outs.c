/*
 * Which tasks {out:ID} names in a command: see keys.h. Nothing is owned here; one thread.
 */
#include "taskfile/keys.h"

#include "base/outs.h"

#include <errno.h>
#include <string.h>

static int add_name(struct mf_fields *fields, const struct mf_out *out, struct mf_arena *arena)
{
    const char *name = mf_arena_copy(arena, out->name, out->n_name);

    if (!name)
        return -ENOMEM;
    if (fields->n_outs == fields->outs_capacity) {
        uint32_t capacity = fields->outs_capacity ? fields->outs_capacity * 2 : 4;
        const char **outs = mf_arena_alloc(arena, capacity * sizeof(*outs));

        if (!outs)
            return -ENOMEM;
        if (fields->n_outs > 0)
            memcpy(outs, fields->outs, fields->n_outs * sizeof(*outs));
        fields->outs = outs;
        fields->outs_capacity = capacity;
    }
    fields->outs[fields->n_outs++] = name;
    return 0;
}

int mf_fields_take_outs(struct mf_fields *fields, const char *text, size_t size,
                        struct mf_arena *arena, struct mf_error *err)
{
    struct mf_out out;

    for (size_t at = 0; mf_outs_next(text, size, at, &out); at = mf_outs_behind(&out)) {
        fields->has_outs = true;
        if (out.is_literal)
            continue;
        if (out.n_name == 0 || strcspn(out.name, " \t\n{}") < out.n_name)
            return mf_error_set(err, -EINVAL,
                                "%.*s names no task: write the id of one task between colon and "
                                "brace, or \\{out: for these characters themselves",
                                (int)(out.size < 100 ? out.size : 100), text + out.offset);
        if (add_name(fields, &out, arena) < 0)
            return mf_error_set(err, -ENOMEM, "out of memory");
    }
    return 0;
}
