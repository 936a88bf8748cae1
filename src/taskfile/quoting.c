/*
 * Follows the quotes of a shell text: see quoting.h. Nothing is owned here; one thread.
 */
#include "taskfile/quoting.h"

#include "taskfile/words.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

/* Ends single quotes and escapes a quote; the quote behind it then begins them again. */
#define QUOTE_IN_QUOTES "'\\'"

void mf_quoting_init(struct mf_quoting *quoting)
{
    *quoting = (struct mf_quoting){.state.is_at_word_start = true};
}

static enum mf_nesting innermost(const struct mf_quoting *quoting)
{
    return quoting->depth > 0 ? quoting->nesting[quoting->depth - 1] : MF_NESTING_NONE;
}

static bool is_inside(const struct mf_quoting *quoting, enum mf_nesting nesting)
{
    for (uint32_t i = 0; i < quoting->depth; i++)
        if (quoting->nesting[i] == nesting)
            return true;
    return false;
}

/* The first reason is the one to tell. */
static void refuse_from_here(struct mf_quoting *quoting, const char *reason)
{
    if (!quoting->refusal)
        quoting->refusal = reason;
}

static void enter(struct mf_quoting *quoting, enum mf_nesting nesting)
{
    if (quoting->depth == MF_QUOTING_DEPTH) {
        refuse_from_here(quoting, "its quotes and parentheses are nested too deeply");
        return;
    }
    quoting->nesting[quoting->depth++] = nesting;
}

static void leave(struct mf_quoting *quoting)
{
    if (quoting->depth > 0)
        quoting->depth--;
}

/* A command begins anew, whatever it is inside of. */
static void enter_command(struct mf_quoting *quoting, enum mf_nesting nesting)
{
    enter(quoting, nesting);
    quoting->state = (struct mf_quoting_state){
        .is_at_word_start = true,
        .is_after_parenthesis = nesting != MF_NESTING_BACKQUOTES,
    };
}

/* What follows goes on with the word that the command was part of. */
static void leave_command(struct mf_quoting *quoting)
{
    leave(quoting);
    quoting->state = (struct mf_quoting_state){.n_word = sizeof(quoting->state.word)};
}

/* A backquote ends the pair it is in even between quotes, which sh has not looked at yet. */
static void pass_backquote(struct mf_quoting *quoting)
{
    if (!is_inside(quoting, MF_NESTING_BACKQUOTES)) {
        enter_command(quoting, MF_NESTING_BACKQUOTES);
        return;
    }
    while (innermost(quoting) != MF_NESTING_BACKQUOTES)
        leave(quoting);
    leave_command(quoting);
}

static void pass_backslash(struct mf_quoting *quoting)
{
    quoting->is_escaped = true;
    if (is_inside(quoting, MF_NESTING_BACKQUOTES))
        refuse_from_here(quoting, "it follows a backslash inside backquotes (use $(...) instead)");
}

/* What means the same outside quotes and between double quotes. Returns whether c was that. */
static bool pass_expansion(struct mf_quoting *quoting, char c, bool is_after_dollar)
{
    if (c == '\\')
        pass_backslash(quoting);
    else if (c == '`')
        pass_backquote(quoting);
    else if (c == '(' && is_after_dollar)
        enter_command(quoting, MF_NESTING_SUBSTITUTION);
    else if (c == '{' && is_after_dollar)
        enter(quoting, MF_NESTING_BRACES);
    else if (c == '[' && is_after_dollar)
        refuse_from_here(quoting, "it follows $[...], which shells read differently");
    else
        return false;
    return true;
}

static void pass_in_braces(struct mf_quoting *quoting, char c)
{
    if (c == '}')
        leave(quoting);
    else if (strchr("'\"`\\${(", c))
        refuse_from_here(quoting, "it follows ${...} with quotes or expansions inside");
}

/* Notes the words that change what parentheses mean. */
static void note_word(struct mf_quoting *quoting, char c, bool ends_word)
{
    struct mf_quoting_state *state = &quoting->state;

    if (!ends_word) {
        if (state->n_word < sizeof(state->word))
            state->word[state->n_word++] = c;
        return;
    }
    if (state->n_word == 4 && memcmp(state->word, "case", 4) == 0 &&
        (is_inside(quoting, MF_NESTING_SUBSTITUTION) || is_inside(quoting, MF_NESTING_ARITHMETIC)))
        refuse_from_here(quoting, "it follows \"case\" inside $(...)");
    state->n_word = 0;
}

/*
 * Arithmetic expands what is between quotes, too, so that nothing helps there.
 * What looks like arithmetic may also be a subshell in parentheses; as long as
 * there are only these characters, both end at the same one.
 */
static void pass_in_arithmetic(struct mf_quoting *quoting, char c, bool is_after_dollar)
{
    static const char plain[] = " \t+-*/%<>=&|^~!?:,_$()";

    note_word(quoting, c, !isalnum((unsigned char)c) && c != '_');
    if (c == '(' && !is_after_dollar)
        enter(quoting, MF_NESTING_ARITHMETIC);
    else if (c == ')')
        leave(quoting);
    else if (c == '(' || (!isalnum((unsigned char)c) && !strchr(plain, c)))
        refuse_from_here(quoting, "it follows $((...)) with quotes or expansions inside");
}

/* A parenthesis outside quotes; two in a row begin arithmetic. */
static void pass_parenthesis(struct mf_quoting *quoting, char c, bool is_second)
{
    if (c == ')') {
        if (innermost(quoting) == MF_NESTING_SUBSTITUTION)
            leave_command(quoting);
        else if (innermost(quoting) == MF_NESTING_PARENTHESIS)
            leave(quoting);
    } else if (is_second) {
        leave(quoting);
        enter(quoting, MF_NESTING_ARITHMETIC);
        enter(quoting, MF_NESTING_ARITHMETIC);
    } else {
        enter(quoting, MF_NESTING_PARENTHESIS);
        quoting->state.is_after_parenthesis = true;
    }
}

static void note_here_document(struct mf_quoting *quoting, char c)
{
    if (c == '<' && quoting->state.is_after_less)
        quoting->has_here_document = true;
    if (c == '\n' && quoting->has_here_document)
        refuse_from_here(quoting, "it may be in a here-document");
    quoting->state.is_after_less = c == '<';
}

static void pass_unquoted(struct mf_quoting *quoting, char c, bool is_after_dollar)
{
    bool ends_word = strchr(" \t\n;&|()<>", c) != NULL;
    bool is_at_word_start = quoting->state.is_at_word_start;
    bool is_after_parenthesis = quoting->state.is_after_parenthesis;

    note_word(quoting, c, ends_word);
    note_here_document(quoting, c);
    quoting->state.is_after_parenthesis = false;
    quoting->state.is_at_word_start = ends_word;
    if (pass_expansion(quoting, c, is_after_dollar))
        return;
    if (c == '\'') {
        if (is_after_dollar)
            refuse_from_here(quoting, "it follows $'...', which shells read differently");
        enter(quoting, MF_NESTING_SINGLE);
    } else if (c == '"') {
        enter(quoting, MF_NESTING_DOUBLE);
    } else if (c == '(' || c == ')') {
        pass_parenthesis(quoting, c, is_after_parenthesis);
    } else if (c == '#' && is_at_word_start) {
        enter(quoting, MF_NESTING_COMMENT);
    }
}

/* A dollar sign begins a name, ends "$$", or stands for itself. */
static void note_dollar(struct mf_quoting *quoting, char c, bool was_after_dollar)
{
    bool is_name_character = isalnum((unsigned char)c) || c == '_';

    quoting->state.is_in_name =
        is_name_character && (was_after_dollar || quoting->state.is_in_name);
    quoting->state.is_after_dollar = c == '$' && !was_after_dollar;
}

static void pass_escaped(struct mf_quoting *quoting, char c)
{
    quoting->is_escaped = false;
    quoting->state.is_after_dollar = false;
    quoting->state.is_in_name = false;
    quoting->state.is_at_word_start = false;
    /* The shell takes out both characters, and reads on as if they were not there. */
    if (c == '\n')
        quoting->state = quoting->previous;
}

void mf_quoting_pass(struct mf_quoting *quoting, char c)
{
    bool was_after_dollar = quoting->state.is_after_dollar;

    if (quoting->is_escaped) {
        pass_escaped(quoting, c);
        return;
    }
    quoting->previous = quoting->state;
    quoting->state.is_after_dollar = false;
    if ((c == '`' || c == '\\') && is_inside(quoting, MF_NESTING_BACKQUOTES)) {
        pass_expansion(quoting, c, false);
        return;
    }
    switch (innermost(quoting)) {
    case MF_NESTING_SINGLE:
        if (c == '\'')
            leave(quoting);
        return;
    case MF_NESTING_COMMENT:
        if (c != '\n')
            return;
        leave(quoting);
        pass_unquoted(quoting, c, false);
        return;
    case MF_NESTING_BRACES:
        pass_in_braces(quoting, c);
        return;
    case MF_NESTING_ARITHMETIC:
        pass_in_arithmetic(quoting, c, was_after_dollar);
        break;
    case MF_NESTING_DOUBLE:
        if (!pass_expansion(quoting, c, was_after_dollar) && c == '"')
            leave(quoting);
        break;
    default:
        pass_unquoted(quoting, c, was_after_dollar);
        break;
    }
    note_dollar(quoting, c, was_after_dollar);
}

bool mf_quoting_is_escaped(const struct mf_quoting *quoting)
{
    /* Between double quotes "\{" is both characters. */
    return quoting->is_escaped && innermost(quoting) != MF_NESTING_DOUBLE;
}

static const char *reason_against(const struct mf_quoting *quoting)
{
    if (quoting->refusal)
        return quoting->refusal;
    if (innermost(quoting) == MF_NESTING_COMMENT)
        return "it is in a comment";
    if (innermost(quoting) == MF_NESTING_BRACES)
        return "it is inside ${...}";
    if (is_inside(quoting, MF_NESTING_ARITHMETIC))
        return "it is inside $((...)) (assign it to a variable first)";
    if (quoting->state.is_after_dollar)
        return "it follows \"$\"";
    return NULL;
}

static enum mf_quote_style style_at(const struct mf_quoting *quoting, char next)
{
    switch (innermost(quoting)) {
    case MF_NESTING_SINGLE:
        return MF_QUOTE_SINGLE;
    case MF_NESTING_DOUBLE:
        return MF_QUOTE_DOUBLE;
    default:
        /* Beside other characters a bare value could join them: "$x" and "y", or "2" and ">". */
        return quoting->state.is_at_word_start && (next == '\0' || mf_is_blank(next))
                   ? MF_QUOTE_PLAIN
                   : MF_QUOTE_FORCED;
    }
}

int mf_quoting_place(struct mf_quoting *quoting, char next, struct mf_quoted_place *ret_place,
                     struct mf_error *err)
{
    const char *reason = reason_against(quoting);
    struct mf_quoted_place place = {.before = ""};

    if (reason)
        return mf_error_set(err, -EINVAL, "cannot be quoted safely: %s", reason);
    place.style = style_at(quoting, next);
    place.in_backquotes = is_inside(quoting, MF_NESTING_BACKQUOTES);
    if (quoting->is_escaped)
        place.before = "\\";
    else if (place.style == MF_QUOTE_DOUBLE && quoting->state.is_in_name)
        place.before = "\"\"";
    *ret_place = place;

    quoting->is_escaped = false;
    quoting->state = (struct mf_quoting_state){.n_word = sizeof(quoting->state.word)};
    return 0;
}

/* Appends value with `escape` before each of the characters in `special`. */
static void put_escaped(const char *value, size_t size, const char *special, const char *escape,
                        struct mf_buffer *buffer)
{
    for (size_t i = 0; i < size; i++) {
        if (strchr(special, value[i]))
            mf_buffer_append(buffer, escape, strlen(escape));
        mf_buffer_put_u8(buffer, (uint8_t)value[i]);
    }
}

static void put_single_quoted(const char *value, size_t size, struct mf_buffer *buffer)
{
    mf_buffer_put_u8(buffer, '\'');
    put_escaped(value, size, "'", QUOTE_IN_QUOTES, buffer);
    mf_buffer_put_u8(buffer, '\'');
}

/* Whether sh takes the value for nothing but a word, also where a command begins. */
static bool is_plain_word(const char *value, size_t size)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "_-./:,+@%";

    for (size_t i = 0; i < size; i++)
        if (!strchr(plain, value[i]))
            return false;
    return size > 0 && !mf_words_is_reserved(value, size);
}

static void put_value(enum mf_quote_style style, const char *value, size_t size,
                      struct mf_buffer *buffer)
{
    switch (style) {
    case MF_QUOTE_PLAIN:
        if (is_plain_word(value, size))
            mf_buffer_append(buffer, value, size);
        else
            put_single_quoted(value, size, buffer);
        break;
    case MF_QUOTE_FORCED:
        put_single_quoted(value, size, buffer);
        break;
    case MF_QUOTE_SINGLE:
        put_escaped(value, size, "'", QUOTE_IN_QUOTES, buffer);
        break;
    case MF_QUOTE_DOUBLE:
        put_escaped(value, size, "\\\"$`", "\\", buffer);
        break;
    }
}

void mf_quote(const struct mf_quoted_place *place, const char *value, size_t size,
              struct mf_buffer *buffer)
{
    struct mf_buffer quoted = {0};

    mf_buffer_append(buffer, place->before, strlen(place->before));
    if (!place->in_backquotes) {
        put_value(place->style, value, size, buffer);
        return;
    }
    put_value(place->style, value, size, &quoted);
    put_escaped((const char *)quoted.data, quoted.size, "\\$`", "\\", buffer);
    buffer->has_failed |= quoted.has_failed;
    mf_buffer_finish(&quoted);
}
