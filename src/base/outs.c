/*
 * Places of paths in commands: see outs.h. The text of a command keeps them as
 * they were written, so that it is shown and recognised as that, until a
 * worker knows the paths. Nothing is owned here; one thread.
 */
#include "base/outs.h"

#include <stdlib.h>
#include <string.h>

#define OPENING "{out:"

/* Whether a backslash takes the meaning from what stands at offset. */
static bool is_escaped(const char *text, size_t offset)
{
    size_t n = 0;

    while (n < offset && text[offset - n - 1] == '\\')
        n++;
    return n % 2 == 1;
}

bool mf_outs_next(const char *text, size_t size, size_t offset, struct mf_out *ret_out)
{
    const char *at = memmem(text + offset, size - offset, OPENING, strlen(OPENING));
    const char *name = at ? at + strlen(OPENING) : NULL;
    const char *end = at ? memchr(name, '}', (size_t)(text + size - name)) : NULL;
    struct mf_out out;

    if (!end)
        return false;
    out = (struct mf_out){.offset = (size_t)(at - text),
                          .size = (size_t)(end + 1 - at),
                          .name = name,
                          .n_name = (size_t)(end - name)};
    out.is_literal = is_escaped(text, out.offset);
    if (out.is_literal) {
        out.offset--;
        out.size = 1;
    }
    *ret_out = out;
    return true;
}

size_t mf_outs_behind(const struct mf_out *out)
{
    return out->is_literal ? out->offset + 1 + strlen(OPENING) : out->offset + out->size;
}

uint32_t mf_outs_count(const struct mf_command *command)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < command->n_args; i++) {
        const char *text = command->args[i];
        size_t size = strlen(text);
        struct mf_out out;

        for (size_t at = 0; mf_outs_next(text, size, at, &out); at = mf_outs_behind(&out))
            n += !out.is_literal;
    }
    return n;
}

/* Appends an argument with its paths and a NUL; *path goes past those used. */
static void fill_argument(const char *text, const char *const **path, struct mf_buffer *buffer)
{
    size_t size = strlen(text);
    size_t done = 0;
    struct mf_out out;

    for (size_t at = 0; mf_outs_next(text, size, at, &out); at = mf_outs_behind(&out)) {
        mf_buffer_append(buffer, text + done, out.offset - done);
        if (!out.is_literal) {
            mf_buffer_append(buffer, **path, strlen(**path));
            ++*path;
        }
        done = out.offset + out.size;
    }
    mf_buffer_append(buffer, text + done, size - done + 1);
}

void mf_outs_fill(const struct mf_command *command, const char *const *paths,
                  struct mf_buffer *buffer)
{
    const char **args = calloc(command->n_args, sizeof(*args));
    struct mf_command filled = *command;
    struct mf_buffer texts = {0};
    const char *text;

    for (uint32_t i = 0; i < command->n_args; i++)
        fill_argument(command->args[i], &paths, &texts);
    if (!args || mf_buffer_status(&texts) < 0) {
        buffer->has_failed = true;
    } else {
        text = (const char *)texts.data;
        for (uint32_t i = 0; i < command->n_args; i++, text += strlen(text) + 1)
            args[i] = text;
        filled.args = args;
        filled.has_outs = false;
        mf_command_encode(&filled, buffer);
    }
    mf_buffer_finish(&texts);
    free(args);
}
