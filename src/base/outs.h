/*
 * `{out:ID}` in a command: the place of a path of a file that holds what task
 * ID wrote to standard output. A backslash before it makes it ordinary text.
 */
#ifndef MF_BASE_OUTS_H
#define MF_BASE_OUTS_H

#include "base/command.h"

/**
 * A place in a text.
 *
 * @offset, @size  of what is to be replaced
 * @is_literal     it is a backslash that only keeps the next `{out:` from being a place
 * @name           n_name bytes between the colon and the brace
 */
struct mf_out {
    size_t offset;
    size_t size;
    bool is_literal;
    const char *name;
    size_t n_name;
};

/**
 * mf_outs_next() - the next place in a text.
 *
 * @offset  where to look from
 *
 * Returns whether there is one. `{out:` without its brace is ordinary text.
 */
bool mf_outs_next(const char *text, size_t size, size_t offset, struct mf_out *ret_out);

/** From where to look for the place behind it. */
size_t mf_outs_behind(const struct mf_out *out);

/** How many paths the command takes: the places of all its arguments, literal ones aside. */
uint32_t mf_outs_count(const struct mf_command *command);

/**
 * mf_outs_fill() - the command with paths in their places.
 *
 * @command   has outs
 * @paths     as many as mf_outs_count() says, in the order of the places; of
 *            letters, digits and "/._-" alone, which no shell takes for anything else
 * @buffer    gets the encoded command, without outs; failure shows in mf_buffer_status()
 */
void mf_outs_fill(const struct mf_command *command, const char *const *paths,
                  struct mf_buffer *buffer);

#endif
