/* The command of a sweep: text with places for arguments. */
#ifndef MF_TASKFILE_TEMPLATE_H
#define MF_TASKFILE_TEMPLATE_H

#include "base/command.h"
#include "base/error.h"
#include "taskfile/arena.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mf_part;

/**
 * @is_shell  whether it is a text for /bin/sh
 * @parts     n_parts pieces, in order
 */
struct mf_template {
    bool is_shell;
    struct mf_part *parts;
    size_t n_parts, capacity;
};

/**
 * mf_template_init() - read a command with placeholders.
 *
 * A command without any that takes an argument gets " {}" at its end.
 *
 * @text       the command; must live as long as the template and contain a
 *             character that is no blank
 * @n_sources  how many arguments there are in a combination
 *
 * Returns 0, or -errno with a sentence in err.
 */
int mf_template_init(struct mf_template *template, const char *text, uint32_t n_sources,
                     struct mf_error *err);

/** Frees what init made. */
void mf_template_finish(struct mf_template *template);

/**
 * mf_template_expand() - put arguments in their places.
 *
 * @values  n_values arguments, as many as init was told
 * @seq     for {#}
 *
 * Sets is_shell, args, n_args, marks and n_marks of the command, in memory of
 * the arena. Returns 0, -ENOMEM, or -E2BIG with a sentence in err.
 */
int mf_template_expand(const struct mf_template *template, const char *const *values,
                       uint32_t n_values, uint64_t seq, struct mf_arena *arena,
                       struct mf_command *command, struct mf_error *err);

/** The most that expanding can make of arguments of which n bytes are the longest. */
uint64_t mf_template_bound(const struct mf_template *template, uint64_t n, uint32_t n_values);

#endif
