/*
 * Reads lists of tasks: see after.h. Owns nothing but the list it fills in; one thread.
 */
#include "taskfile/after.h"

#include "taskfile/words.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The longest token; no id is longer, but the name of a file may be. */
#define TOKEN_BYTES_MAX 4352
#define IN_GREASY "[# ... #]"
#define IN_COMMAND "{out:ID}"

/* One token, and the list that it stands in. */
struct token {
    struct mf_after *after;
    const struct mf_after_place *place;
    enum mf_condition condition;
    const char *where;
    char text[TOKEN_BYTES_MAX + 1];
};

void mf_after_finish(struct mf_after *after)
{
    free(after->items);
    free(after->outs);
    *after = (struct mf_after){0};
}

bool mf_after_is_given(const struct mf_fields *fields)
{
    for (int i = 0; i < MF_N_CONDITIONS; i++)
        if (fields->after[i] && fields->after[i][0])
            return true;
    return (fields->after_lines && fields->after_lines[0]) || fields->n_outs > 0;
}

/* --- numbers --- */

/* Reads a line number at text; returns what stands behind it, or NULL if there is none. */
static const char *read_number(const char *text, uint64_t *ret_number)
{
    uint64_t number = 0;
    const char *at = text;

    for (; isdigit((unsigned char)*at); at++)
        if (at - text >= 18)
            return NULL;
        else
            number = number * 10 + (uint64_t)(*at - '0');
    *ret_number = number;
    return at > text && number > 0 ? at : NULL;
}

static const char *skip_blanks(const char *text)
{
    while (mf_is_blank(*text))
        text++;
    return text;
}

/* Reads "3-7", or with blanks around the sign. */
static bool read_range(const char *text, uint64_t *ret_first, uint64_t *ret_last)
{
    const char *at = read_number(text, ret_first);

    if (!at || *(at = skip_blanks(at)) != '-')
        return false;
    at = read_number(skip_blanks(at + 1), ret_last);
    return at && *at == '\0';
}

static bool read_whole(const char *text, uint64_t *ret_number)
{
    const char *at = read_number(text, ret_number);

    return at && *at == '\0';
}

/* --- taking in tasks --- */

static int reserve(struct mf_after *after, uint64_t n)
{
    uint64_t capacity = after->capacity ? after->capacity : 16;
    struct mf_dependency *items;

    if (after->n + n <= after->capacity)
        return 0;
    while (capacity < after->n + n)
        capacity *= 2;
    if (capacity > UINT32_MAX)
        return -ENOMEM;
    items = reallocarray(after->items, capacity, sizeof(*items));
    if (!items)
        return -ENOMEM;
    after->items = items;
    after->capacity = (uint32_t)capacity;
    return 0;
}

static int refuse_later(const struct token *token, struct mf_error *err)
{
    return mf_error_set(err, -EINVAL,
                        "\"%s\" in %s does not stand before this task, and with standard input "
                        "in the input no other task can be named",
                        token->text, token->where);
}

/* Takes in n tasks from the one on that is number `task` of a file, counted from 0. */
static int take_tasks(const struct token *token, uint32_t file, uint64_t task, uint64_t n,
                      struct mf_error *err)
{
    const struct mf_after_place *place = token->place;
    uint64_t first = place->first_seq[file] + task;

    if (place->first_seq[file] > 0 && first <= place->seq && place->seq < first + n)
        return mf_error_set(err, -ELOOP,
                            "a task cannot come after itself: \"%s\" in %s is this one",
                            token->text, token->where);
    if (place->only_before && (place->first_seq[file] == 0 || first > place->seq))
        return refuse_later(token, err);
    if (reserve(token->after, n) < 0)
        return mf_error_set(err, -ENOMEM, "out of memory");
    for (uint64_t i = 0; i < n; i++)
        token->after->items[token->after->n++] =
            (struct mf_dependency){.task = first + i, .condition = token->condition};
    return 0;
}

/* Takes in what is on some lines of a file; returns 1 if they are no tasks. */
static int take_lines(const struct token *token, uint32_t file, uint64_t first, uint64_t last,
                      struct mf_error *err)
{
    const struct mf_task_lines *lines = mf_ids_lines(token->place->ids, file);
    uint64_t before = mf_task_lines_before(lines, first);
    uint64_t n = mf_task_lines_before(lines, last + 1) - before;

    return n == 0 ? 1 : take_tasks(token, file, before, n, err);
}

/* --- tokens --- */

static int refuse_unknown(const struct token *token, const char *why, struct mf_error *err)
{
    if (token->place->only_before)
        return mf_error_set(err, -ENOENT,
                            "unknown task \"%s\" in %s%s: with standard input in the input, only "
                            "tasks before this one can be named",
                            token->text, token->where, why);
    return mf_error_set(err, -ENOENT, "unknown task \"%s\" in %s%s", token->text, token->where,
                        why);
}

/* "-2": tasks are counted, so that comments and blank lines between them do not matter. */
static int take_relative(const struct token *token, uint64_t distance, struct mf_error *err)
{
    uint64_t seq = token->place->seq;

    if (distance >= seq)
        return mf_error_set(err, -ENOENT, "\"%s\" in %s reaches back before the first task",
                            token->text, token->where);
    if (reserve(token->after, 1) < 0)
        return mf_error_set(err, -ENOMEM, "out of memory");
    token->after->items[token->after->n++] =
        (struct mf_dependency){.task = seq - distance, .condition = token->condition};
    return 0;
}

static int take_named(const struct token *token, const struct mf_id_place *named,
                      struct mf_error *err)
{
    const struct mf_task_lines *lines = mf_ids_lines(token->place->ids, named->file);

    if (!named->is_one)
        return take_lines(token, named->file, named->line, named->line, err);
    return take_tasks(token, named->file, mf_task_lines_before(lines, named->line) + named->ordinal,
                      1, err);
}

static int take_token(const struct token *token, struct mf_error *err)
{
    struct mf_id_place named;
    uint64_t first, last;
    int r;

    if (mf_ids_find(token->place->ids, token->text, &named))
        return take_named(token, &named, err);
    if (token->text[0] == '-' && read_whole(token->text + 1, &first))
        return take_relative(token, first, err);
    if (read_whole(token->text, &first)) {
        r = take_lines(token, token->place->file, first, first, err);
        return r > 0 ? refuse_unknown(token, ": no task stands on that line", err) : r;
    }
    if (read_range(token->text, &first, &last)) {
        if (first > last)
            return mf_error_set(err, -EINVAL, "\"%s\" in %s ends before it begins", token->text,
                                token->where);
        r = take_lines(token, token->place->file, first, last, err);
        return r > 0 ? refuse_unknown(token, ": no task stands on these lines", err) : r;
    }
    return refuse_unknown(token, "", err);
}

static int take_greasy_lines(const struct token *token, uint64_t first, uint64_t last,
                             struct mf_error *err)
{
    const struct mf_after_place *place = token->place;

    if (last >= place->line)
        return mf_error_set(err, -EINVAL, "line %llu in %s does not stand before this one",
                            (unsigned long long)last, token->where);
    for (uint64_t line = first; line <= last; line++) {
        int r = take_lines(token, place->file, line, line, err);

        if (r > 0)
            return mf_error_set(err, -ENOENT, "line %llu in %s is no task",
                                (unsigned long long)line, token->where);
        if (r < 0)
            return r;
    }
    return 0;
}

static int take_greasy_token(const struct token *token, struct mf_error *err)
{
    uint64_t line = token->place->line;
    uint64_t first, last;

    if (token->text[0] == '-' && read_whole(token->text + 1, &first)) {
        if (first >= line)
            return mf_error_set(err, -ENOENT, "\"%s\" in %s: there are only %llu lines above",
                                token->text, token->where, (unsigned long long)line - 1);
        return take_greasy_lines(token, line - first, line - first, err);
    }
    if (read_whole(token->text, &first))
        return take_greasy_lines(token, first, first, err);
    if (!read_range(token->text, &first, &last))
        return mf_error_set(err, -EINVAL,
                            "\"%s\" in %s names no line: write 3 for a line, 3-5 for lines, -1 "
                            "for the line above",
                            token->text, token->where);
    return first < last ? take_greasy_lines(token, first, last, err)
                        : take_greasy_lines(token, last, first, err);
}

/* --- lists --- */

/* Copies the token at text, without blanks around it; returns what is behind its comma or NULL. */
static int read_token(const char **text, char *token, struct mf_error *err)
{
    const char *first = skip_blanks(*text);
    size_t size = strcspn(first, ",");

    *text = first[size] == ',' ? first + size + 1 : NULL;
    while (size > 0 && mf_is_blank(first[size - 1]))
        size--;
    if (size > TOKEN_BYTES_MAX)
        return mf_error_set(err, -EINVAL, "the name of a task has more than %d bytes",
                            TOKEN_BYTES_MAX);
    memcpy(token, first, size);
    token[size] = '\0';
    return 0;
}

static int take_list(struct token *token, const char *list,
                     int (*take)(const struct token *token, struct mf_error *err),
                     struct mf_error *err)
{
    if (!list || !*skip_blanks(list))
        return 0;
    while (list) {
        int r = read_token(&list, token->text, err);

        if (r == 0 && !token->text[0])
            r = mf_error_set(err, -EINVAL, "a name is missing between the commas of %s",
                             token->where);
        if (r == 0)
            r = take(token, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int compare(const void *a, const void *b)
{
    const struct mf_dependency *left = a, *right = b;

    if (left->task != right->task)
        return left->task < right->task ? -1 : 1;
    return (int)left->condition - (int)right->condition;
}

/* Each task once: that it ends is part of the other conditions, which exclude each other. */
static int merge(struct mf_after *after, struct mf_error *err)
{
    uint32_t n = 0;

    qsort(after->items, after->n, sizeof(*after->items), compare);
    for (uint32_t i = 0; i < after->n; i++) {
        struct mf_dependency *last = n > 0 ? &after->items[n - 1] : NULL;
        const struct mf_dependency *item = &after->items[i];

        if (!last || last->task != item->task) {
            after->items[n++] = *item;
        } else if (last->condition == MF_AFTER_ANY) {
            *last = *item;
        } else if (item->condition != MF_AFTER_ANY && item->condition != last->condition) {
            return mf_error_set(err, -EINVAL,
                                "after= and afternotok= name the same task, which cannot both be "
                                "done and have failed");
        }
    }
    after->n = n;
    return 0;
}

/* --- outputs --- */

static int reserve_outs(struct mf_after *after, uint32_t n)
{
    mf_task_id *outs;

    if (n <= after->outs_capacity)
        return 0;
    outs = reallocarray(after->outs, n, sizeof(*outs));
    if (!outs)
        return -ENOMEM;
    after->outs = outs;
    after->outs_capacity = n;
    return 0;
}

/* Whoever wrote the text of another language should know how to keep it. */
static int explain_out(const struct token *token, int r, struct mf_error *err)
{
    struct mf_error why = *err;

    return mf_error_set(err, r, "%s (a backslash before {out:%s} makes it ordinary text)", why.text,
                        token->text);
}

static int take_out(struct token *token, const char *name, struct mf_error *err)
{
    struct mf_after *after = token->after;
    uint32_t n = after->n;
    int r;

    if (strlen(name) > TOKEN_BYTES_MAX)
        return mf_error_set(err, -EINVAL, "the name of a task has more than %d bytes",
                            TOKEN_BYTES_MAX);
    strcpy(token->text, name);
    r = take_token(token, err);
    if (r < 0)
        return r == -ENOENT ? explain_out(token, r, err) : r;
    if (after->n != n + 1)
        return mf_error_set(err, -EINVAL, "{out:%s} names %u tasks, but stands for one output",
                            name, after->n - n);
    after->outs[after->n_outs++] = after->items[n].task;
    return 0;
}

static int take_outs(struct token *token, const struct mf_fields *fields, struct mf_error *err)
{
    int r = 0;

    token->condition = MF_AFTER_OK;
    token->where = IN_COMMAND;
    if (reserve_outs(token->after, fields->n_outs) < 0)
        return mf_error_set(err, -ENOMEM, "out of memory");
    for (uint32_t i = 0; r == 0 && i < fields->n_outs; i++)
        r = take_out(token, fields->outs[i], err);
    return r;
}

int mf_after_resolve(struct mf_after *after, const struct mf_after_place *place,
                     const struct mf_fields *fields, struct mf_error *err)
{
    static const char *const wheres[MF_N_CONDITIONS] = {"after=", "afterany=", "afternotok="};
    struct token token;
    int r = 0;

    after->n = after->n_outs = 0;
    if (!mf_after_is_given(fields))
        return 0;
    token.after = after;
    token.place = place;
    for (int i = 0; r == 0 && i < MF_N_CONDITIONS; i++) {
        token.condition = (enum mf_condition)i;
        token.where = wheres[i];
        r = take_list(&token, fields->after[i], take_token, err);
    }
    if (r < 0)
        return r;
    token.condition = MF_AFTER_OK;
    token.where = IN_GREASY;
    r = take_list(&token, fields->after_lines, take_greasy_token, err);
    if (r == 0)
        r = take_outs(&token, fields, err);
    return r < 0 || after->n < 2 ? r : merge(after, err);
}
