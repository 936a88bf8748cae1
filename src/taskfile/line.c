/*
 * Reads what stands before a command on its line: see line.h.
 *
 * A value runs to the next blank or to the bracket that closes the prefix;
 * what is between double quotes, anywhere in it, belongs to it whole. Nothing
 * is owned here; one thread.
 */
#include "taskfile/line.h"

#include "taskfile/words.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#define DEFAULTS "#FARM"
#define DISBATCH "#DISBATCH"
#define BARRIER "barrier"
#define CHECK "check"

/* What sh would not take as it stands in the name of a directory. */
#define SHELL_SYNTAX "$`\\\"'~*?["

/* Pairs still to read; `closing` ends them, or the end of the line when it is NUL. */
struct pairs {
    const char *at, *end;
    char closing;
    struct mf_arena *arena;
};

/* Whether the line begins with a word that blanks or its end follow. */
static bool begins_with_word(const char *text, size_t size, const char *word)
{
    size_t n = strlen(word);

    return size >= n && memcmp(text, word, n) == 0 && (size == n || mf_is_blank(text[n]));
}

/* What stands behind the first n bytes and blanks. */
static const char *behind(const char *text, size_t size, size_t n)
{
    while (n < size && mf_is_blank(text[n]))
        n++;
    return text + n;
}

static enum mf_line_kind classify_farm(const char *text, size_t size)
{
    const char *word = behind(text, size, strlen(DEFAULTS));

    return begins_with_word(word, (size_t)(text + size - word), BARRIER) ? MF_LINE_BARRIER
                                                                         : MF_LINE_DEFAULTS;
}

enum mf_line_kind mf_line_classify(const char *text, size_t size)
{
    if (text[0] != '#')
        return MF_LINE_TASK;
    if (begins_with_word(text, size, DEFAULTS))
        return classify_farm(text, size);
    return begins_with_word(text, size, DISBATCH) ? MF_LINE_DISBATCH : MF_LINE_COMMENT;
}

bool mf_line_is_json(const char *text, size_t size)
{
    size_t at = 1;

    if (text[0] != '{')
        return false;
    while (at < size && mf_is_blank(text[at]))
        at++;
    return at < size && (text[at] == '"' || text[at] == '}');
}

static void skip_blanks(struct pairs *pairs)
{
    while (pairs->at < pairs->end && mf_is_blank(*pairs->at))
        pairs->at++;
}

/* The character that a backslash and c stand for, or NUL for none. */
static char unescape(char c)
{
    switch (c) {
    case '"':
    case '\\':
        return c;
    case 'n':
        return '\n';
    case 't':
        return '\t';
    default:
        return '\0';
    }
}

/* Copies what is between two quotes, the first of which is next. */
static int take_quoted(struct pairs *pairs, char **out, struct mf_error *err)
{
    for (pairs->at++; pairs->at < pairs->end; pairs->at++) {
        char c = *pairs->at;

        if (c == '"') {
            pairs->at++;
            return 0;
        }
        if (c == '\\') {
            if (++pairs->at == pairs->end)
                break;
            c = unescape(*pairs->at);
            if (!c)
                return mf_error_set(err, -EINVAL,
                                    "\"\\%c\" means nothing between quotes: write \\\\ for a "
                                    "backslash",
                                    *pairs->at);
        }
        *(*out)++ = c;
    }
    return mf_error_set(err, -EINVAL, "the closing quote is missing");
}

static int take_value(struct pairs *pairs, const char **ret_value, struct mf_error *err)
{
    /* Quotes only make it shorter. */
    char *value = mf_arena_alloc(pairs->arena, (size_t)(pairs->end - pairs->at) + 1);
    char *out = value;

    if (!value)
        return mf_error_set(err, -ENOMEM, "out of memory");
    while (pairs->at < pairs->end && !mf_is_blank(*pairs->at) && *pairs->at != pairs->closing) {
        if (*pairs->at == '"') {
            int r = take_quoted(pairs, &out, err);

            if (r < 0)
                return r;
        } else {
            *out++ = *pairs->at++;
        }
    }
    *out = '\0';
    *ret_value = value;
    return 0;
}

/* The whole word at the scan position, for a message. */
static int refuse_word(const struct pairs *pairs, struct mf_error *err)
{
    const char *end = pairs->at;

    while (end < pairs->end && !mf_is_blank(*end) && *end != pairs->closing)
        end++;
    if (end - pairs->at > 80)
        end = pairs->at + 80;
    return mf_error_set(err, -EINVAL, "\"%.*s\" is not key=value", (int)(end - pairs->at),
                        pairs->at);
}

static int take_pair(struct pairs *pairs, struct mf_fields *fields, struct mf_error *err)
{
    const char *end = pairs->at;
    const char *key, *value = NULL;
    int r;

    while (end < pairs->end &&
           (isalnum((unsigned char)*end) || *end == '_' || *end == '-' || *end == '.'))
        end++;
    if (end == pairs->at || end == pairs->end || *end != '=')
        return refuse_word(pairs, err);
    key = mf_arena_copy(pairs->arena, pairs->at, (size_t)(end - pairs->at));
    if (!key)
        return mf_error_set(err, -ENOMEM, "out of memory");
    pairs->at = end + 1;
    r = take_value(pairs, &value, err);
    return r < 0 ? r : mf_fields_set(fields, key, value, pairs->arena, err);
}

/* Reads pairs up to the closing character or the end of the line. */
static int take_pairs(struct pairs *pairs, struct mf_fields *fields, struct mf_error *err)
{
    for (skip_blanks(pairs); pairs->at < pairs->end && *pairs->at != pairs->closing;
         skip_blanks(pairs)) {
        int r = take_pair(pairs, fields, err);

        if (r < 0)
            return r;
    }
    return 0;
}

/* --- GREASY --- */

/* Takes what is between "[#" and "#]", or "[@" and "@]", without blanks around it. */
static int take_enclosed(const char **at, const char *end, struct mf_arena *arena,
                         const char **ret_text, struct mf_error *err)
{
    char mark = (*at)[1];
    const char *first = *at + 2, *last = first;

    while (last + 1 < end && !(last[0] == mark && last[1] == ']'))
        last++;
    if (last + 1 >= end)
        return mf_error_set(err, -EINVAL, "the \"%c]\" that ends [%c ... %c] is missing", mark,
                            mark, mark);
    *at = behind(last + 2, (size_t)(end - last - 2), 0);
    while (first < last && mf_is_blank(*first))
        first++;
    while (first < last && mf_is_blank(last[-1]))
        last--;
    *ret_text = mf_arena_copy(arena, first, (size_t)(last - first));
    return *ret_text ? 0 : mf_error_set(err, -ENOMEM, "out of memory");
}

/* GREASY says `cd DIRECTORY && command` to a shell, which matters only if one would expand it. */
static int take_directory(const char *directory, struct mf_fields *fields, struct mf_arena *arena,
                          struct mf_error *err)
{
    size_t size = strlen(directory) + sizeof("cd  && ");
    char *head;

    if (fields->head || fields->cwd)
        return mf_error_set(err, -EEXIST, "[@ ... @] is given twice");
    if (!strpbrk(directory, SHELL_SYNTAX)) {
        int r = mf_fields_set(fields, "cwd", directory, arena, err);

        return r < 0 ? mf_error_prefix(err, r, "in [@ ... @]: ") : 0;
    }
    head = mf_arena_alloc(arena, size);
    if (!head)
        return mf_error_set(err, -ENOMEM, "out of memory");
    stpcpy(stpcpy(stpcpy(head, "cd "), directory), " && ");
    fields->head = head;
    return 0;
}

static bool is_greasy(const char *text, const char *end)
{
    return end - text > 1 && text[0] == '[' && (text[1] == '#' || text[1] == '@');
}

static int take_greasy(const char **text, size_t *size, struct mf_fields *fields,
                       struct mf_arena *arena, struct mf_error *err)
{
    const char *at = *text, *end = at + *size;

    while (is_greasy(at, end)) {
        bool is_directory = at[1] == '@';
        const char *enclosed;
        int r = take_enclosed(&at, end, arena, &enclosed, err);

        if (r == 0 && is_directory)
            r = take_directory(enclosed, fields, arena, err);
        else if (r == 0 && fields->after_lines)
            r = mf_error_set(err, -EEXIST, "[# ... #] is given twice");
        else if (r == 0)
            fields->after_lines = enclosed;
        if (r < 0)
            return r;
    }
    if (at == end)
        return mf_error_set(err, -EINVAL, "a command is missing after [# ... #] or [@ ... @]");
    *size = (size_t)(end - at);
    *text = at;
    return 0;
}

/* --- whole lines --- */

int mf_line_take_prefix(const char **text, size_t *size, struct mf_fields *fields,
                        struct mf_arena *arena, struct mf_error *err)
{
    const char *end = *text + *size;
    struct pairs pairs = {.at = *text + 1, .end = end, .closing = ']', .arena = arena};
    int r;

    if (is_greasy(*text, end))
        return take_greasy(text, size, fields, arena, err);
    /* "[ -f x ]" and "[[ ... ]]" are commands. */
    if (*size < 2 || **text != '[' || !isalpha((unsigned char)(*text)[1]))
        return 0;
    r = take_pairs(&pairs, fields, err);
    if (r < 0)
        return mf_error_prefix(err, r, "in [key=value ...]: ");
    if (pairs.at == end)
        return mf_error_set(err, -EINVAL, "the \"]\" that ends [key=value ...] is missing");
    pairs.at++;
    if (pairs.at < end && !mf_is_blank(*pairs.at))
        return mf_error_set(err, -EINVAL, "a blank is missing after [key=value ...]");
    skip_blanks(&pairs);
    if (pairs.at == end && !fields->func)
        return mf_error_set(err, -EINVAL, "a command is missing after [key=value ...]");
    *size = (size_t)(end - pairs.at);
    *text = pairs.at;
    return 0;
}

int mf_line_take_defaults(const char *text, size_t size, struct mf_fields *fields,
                          struct mf_arena *arena, struct mf_error *err)
{
    struct pairs pairs = {.at = text + strlen(DEFAULTS), .end = text + size, .arena = arena};
    int r = take_pairs(&pairs, fields, err);

    if (r < 0)
        return mf_error_prefix(err, r, "in #FARM: ");
    if (fields->id)
        return mf_error_set(err, -EINVAL, "in #FARM: id belongs to a single task");
    if (fields->func)
        return mf_error_set(err, -EINVAL, "in #FARM: func belongs to a single task");
    return 0;
}

int mf_line_take_barrier(const char *text, size_t size, bool *ret_checks, struct mf_error *err)
{
    const char *end = text + size;
    const char *word = behind(text, size, strlen(DEFAULTS)) + strlen(BARRIER);
    bool checks;

    word = behind(word, (size_t)(end - word), 0);
    checks = begins_with_word(word, (size_t)(end - word), CHECK);
    if (checks)
        word = behind(word, (size_t)(end - word), strlen(CHECK));
    if (word < end)
        return mf_error_set(err, -EINVAL,
                            "only \"" CHECK "\" can stand behind \"" DEFAULTS " " BARRIER "\"");
    *ret_checks = checks;
    return 0;
}
