/*
 * Where a placeholder stands in a text for sh, and how a value must be
 * written there so that it stays one value.
 *
 * The text is fed character by character. What cannot be followed with
 * certainty (here-documents, quotes inside ${...}, ...) is not guessed: a
 * placeholder there is refused.
 */
#ifndef MF_TASKFILE_QUOTING_H
#define MF_TASKFILE_QUOTING_H

#include "base/buffer.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MF_QUOTING_DEPTH 32

/** What the text is inside of, innermost last. */
enum mf_nesting {
    MF_NESTING_NONE,
    MF_NESTING_PARENTHESIS,
    MF_NESTING_SUBSTITUTION, /* $(...) */
    MF_NESTING_BACKQUOTES,
    MF_NESTING_BRACES,     /* ${...} */
    MF_NESTING_ARITHMETIC, /* $((...)), or ((...)); also each pair of parentheses inside */
    MF_NESTING_SINGLE,
    MF_NESTING_DOUBLE,
    MF_NESTING_COMMENT,
};

/**
 * What was just passed.
 *
 * @word   what the current word begins with, n_word characters
 */
struct mf_quoting_state {
    bool is_at_word_start;
    bool is_after_dollar;
    bool is_in_name;
    bool is_after_less;
    bool is_after_parenthesis;
    char word[8];
    uint32_t n_word;
};

/**
 * @refusal   why no placeholder can be taken any more, NULL while one can
 * @previous  the state before the last character, to which a backslash at the
 *            end of a line goes back
 */
struct mf_quoting {
    enum mf_nesting nesting[MF_QUOTING_DEPTH];
    uint32_t depth;
    const char *refusal;
    bool is_escaped;
    bool has_here_document;
    struct mf_quoting_state state, previous;
};

/**
 * How to write a value at one place.
 *
 * @style          PLAIN: quoted if any character needs it; FORCED: quoted
 *                 whatever it is; SINGLE, DOUBLE: inside such quotes
 * @before         text that goes before the value
 * @in_backquotes  whether sh takes off one level of backslashes first
 */
struct mf_quoted_place {
    enum mf_quote_style {
        MF_QUOTE_PLAIN,
        MF_QUOTE_FORCED,
        MF_QUOTE_SINGLE,
        MF_QUOTE_DOUBLE,
    } style;
    const char *before;
    bool in_backquotes;
};

/** The beginning of a text. */
void mf_quoting_init(struct mf_quoting *quoting);

/** Goes over one character of the text. */
void mf_quoting_pass(struct mf_quoting *quoting, char c);

/** Whether a backslash makes the next character an ordinary one. */
bool mf_quoting_is_escaped(const struct mf_quoting *quoting);

/**
 * mf_quoting_place() - go over a placeholder that stands here.
 *
 * @next  the character behind it, NUL at the end
 *
 * Returns 0, or -EINVAL with the reason in err.
 */
int mf_quoting_place(struct mf_quoting *quoting, char next, struct mf_quoted_place *ret_place,
                     struct mf_error *err);

/** Appends `size` bytes of a value, as the place wants them. A failure shows in the buffer. */
void mf_quote(const struct mf_quoted_place *place, const char *value, size_t size,
              struct mf_buffer *buffer);

#endif
