/*
 * Commands with placeholders: see template.h.
 *
 * A command without shell syntax is cut into words once, and every argument
 * goes into its word as it is. Anything else stays one text, in which each
 * place knows how an argument must be quoted there. The template owns its
 * parts, the texts in them are the caller's. One thread.
 */
#include "taskfile/template.h"

#include "taskfile/quoting.h"
#include "taskfile/replacement.h"
#include "taskfile/words.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum part_kind {
    PART_TEXT,
    PART_PLACE,
    PART_END_OF_WORD, /* of a command without shell */
};

/* A piece of the command: text, or a place for something. */
struct mf_part {
    enum part_kind kind;
    const char *text;
    size_t size;
    struct mf_replacement replacement;
    struct mf_quoted_place place;
};

/* What an expansion has made so far. */
struct expansion {
    struct mf_buffer text;
    struct mf_buffer marks;
    uint32_t n_words;
    size_t word_offset;
};

static int add_part(struct mf_template *template, const struct mf_part *part)
{
    if (template->n_parts == template->capacity) {
        size_t capacity = template->capacity ? template->capacity * 2 : 8;
        struct mf_part *parts = reallocarray(template->parts, capacity, sizeof(*parts));

        if (!parts)
            return -ENOMEM;
        template->parts = parts;
        template->capacity = capacity;
    }
    template->parts[template->n_parts++] = *part;
    return 0;
}

/* Adds text, to the part before if that is the text in front of it. */
static int add_text(struct mf_template *template, const char *text, size_t size)
{
    struct mf_part *last = template->n_parts ? &template->parts[template->n_parts - 1] : NULL;

    if (last && last->kind == PART_TEXT && last->text + last->size == text) {
        last->size += size;
        return 0;
    }
    return add_part(template, &(struct mf_part){.kind = PART_TEXT, .text = text, .size = size});
}

static int check_source(const char *text, size_t size, const struct mf_replacement *replacement,
                        uint32_t n_sources, struct mf_error *err)
{
    if (replacement->source <= n_sources)
        return 0;
    return mf_error_set(err, -EINVAL, "%.*s: the arguments are numbered from 1 to %u", (int)size,
                        text, n_sources);
}

/* Whether the command needs sh, whatever its arguments are. */
static int find_syntax(const char *text, bool *ret_is_shell)
{
    char *probe = malloc(strlen(text) + 1);
    char *out = probe;

    if (!probe)
        return -ENOMEM;
    while (*text) {
        struct mf_replacement replacement;
        size_t n = mf_replacement_parse(text, &replacement);

        /* A character that makes no keyword with those around it. */
        *out++ = n > 0 ? '\1' : *text;
        text += n > 0 ? n : 1;
    }
    *ret_is_shell = mf_words_need_shell(probe, (size_t)(out - probe));
    free(probe);
    return 0;
}

/* Adds the place, in whatever quotes it stands. */
static int add_place(struct mf_template *template, struct mf_quoting *quoting, const char *text,
                     size_t n, const struct mf_replacement *replacement, uint32_t n_sources,
                     struct mf_error *err)
{
    struct mf_part part = {.kind = PART_PLACE, .replacement = *replacement};
    int r = check_source(text, n, replacement, n_sources, err);

    if (r == 0 && template->is_shell) {
        r = mf_quoting_place(quoting, text[n], &part.place, err);
        if (r < 0)
            return mf_error_prefix(err, r, "%.*s ", (int)n, text);
    }
    return r < 0 ? r : add_part(template, &part);
}

/* Adds one character of text; between words of a command without shell, the end of the word. */
static int add_character(struct mf_template *template, struct mf_quoting *quoting, const char *text)
{
    struct mf_part *last = template->n_parts ? &template->parts[template->n_parts - 1] : NULL;

    mf_quoting_pass(quoting, *text);
    if (template->is_shell || !mf_is_blank(*text))
        return add_text(template, text, 1);
    if (!last || last->kind == PART_END_OF_WORD)
        return 0;
    return add_part(template, &(struct mf_part){.kind = PART_END_OF_WORD});
}

/* Cuts text into parts; *has_argument becomes true if one of them takes an argument. */
static int add_parts(struct mf_template *template, struct mf_quoting *quoting, const char *text,
                     uint32_t n_sources, bool *has_argument, struct mf_error *err)
{
    while (*text) {
        struct mf_replacement replacement;
        size_t n = 0;
        int r;

        if (!template->is_shell || !mf_quoting_is_escaped(quoting))
            n = mf_replacement_parse(text, &replacement);
        if (n > 0) {
            r = add_place(template, quoting, text, n, &replacement, n_sources, err);
            *has_argument |= replacement.kind == MF_REPLACE_ARGUMENT;
        } else {
            n = 1;
            r = add_character(template, quoting, text);
        }
        if (r < 0)
            return r == -ENOMEM ? mf_error_set(err, r, "out of memory") : r;
        text += n;
    }
    return 0;
}

int mf_template_init(struct mf_template *template, const char *text, uint32_t n_sources,
                     struct mf_error *err)
{
    struct mf_quoting quoting;
    bool has_argument = false;
    int r;

    *template = (struct mf_template){0};
    if (find_syntax(text, &template->is_shell) < 0)
        return mf_error_set(err, -ENOMEM, "out of memory");
    mf_quoting_init(&quoting);
    r = add_parts(template, &quoting, text, n_sources, &has_argument, err);
    if (r == 0 && !has_argument)
        r = add_parts(template, &quoting, " {}", n_sources, &has_argument, err);
    if (r < 0)
        mf_template_finish(template);
    return r;
}

void mf_template_finish(struct mf_template *template)
{
    free(template->parts);
    *template = (struct mf_template){0};
}

static int end_word(struct expansion *expansion, struct mf_error *err)
{
    int r = mf_words_check_length("command", expansion->text.size - expansion->word_offset, err);

    if (r < 0)
        return r;
    mf_buffer_put_u8(&expansion->text, '\0');
    expansion->n_words++;
    expansion->word_offset = expansion->text.size;
    return 0;
}

static void put_value(const struct mf_template *template, const struct mf_part *part,
                      const char *value, size_t size, struct expansion *expansion)
{
    if (template->is_shell)
        mf_quote(&part->place, value, size, &expansion->text);
    else
        mf_buffer_append(&expansion->text, value, size);
}

/* Several arguments are several words, except inside quotes. */
static int put_arguments(const struct mf_template *template, const struct mf_part *part,
                         const char *const *values, uint32_t n_values, struct expansion *expansion,
                         struct mf_error *err)
{
    uint32_t source = part->replacement.source;
    uint32_t end = source ? source : n_values;

    for (uint32_t i = source ? source - 1 : 0; i < end; i++) {
        size_t size;
        const char *value = mf_modifier_apply(part->replacement.modifier, values[i], &size);
        int r = 0;

        put_value(template, part, value, size, expansion);
        if (i + 1 == end)
            break;
        if (template->is_shell)
            mf_buffer_put_u8(&expansion->text, ' ');
        else
            r = end_word(expansion, err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* The number of the slot is not known yet: leaves the quotes it needs, and notes the place. */
static void put_slot(const struct mf_template *template, const struct mf_part *part,
                     struct expansion *expansion)
{
    struct mf_slot_mark mark = {.arg = expansion->n_words};
    bool is_quoted = template->is_shell && part->place.style == MF_QUOTE_FORCED;

    if (template->is_shell)
        mf_buffer_append(&expansion->text, part->place.before, strlen(part->place.before));
    if (is_quoted)
        mf_buffer_put_u8(&expansion->text, '\'');
    mark.offset = (uint32_t)(expansion->text.size - expansion->word_offset);
    mf_buffer_append(&expansion->marks, &mark, sizeof(mark));
    if (is_quoted)
        mf_buffer_put_u8(&expansion->text, '\'');
}

static int put_part(const struct mf_template *template, const struct mf_part *part,
                    const char *const *values, uint32_t n_values, uint64_t seq,
                    struct expansion *expansion, struct mf_error *err)
{
    char number[24];
    int n;

    if (part->kind == PART_END_OF_WORD)
        return end_word(expansion, err);
    if (part->kind == PART_TEXT) {
        mf_buffer_append(&expansion->text, part->text, part->size);
        return 0;
    }
    switch (part->replacement.kind) {
    case MF_REPLACE_ARGUMENT:
        return put_arguments(template, part, values, n_values, expansion, err);
    case MF_REPLACE_SEQUENCE:
        n = snprintf(number, sizeof(number), "%llu", (unsigned long long)seq);
        put_value(template, part, number, (size_t)n, expansion);
        break;
    case MF_REPLACE_SLOT:
        put_slot(template, part, expansion);
        break;
    }
    return 0;
}

/* Moves what was made to the arena. */
static int set_command(const struct mf_template *template, const struct expansion *expansion,
                       struct mf_arena *arena, struct mf_command *command)
{
    const char *text =
        mf_arena_copy(arena, (const char *)expansion->text.data, expansion->text.size);
    const char **args = mf_arena_alloc(arena, expansion->n_words * sizeof(*args));
    void *marks = mf_arena_copy(arena, (const char *)expansion->marks.data, expansion->marks.size);

    if (!text || !args || !marks)
        return -ENOMEM;
    for (uint32_t i = 0; i < expansion->n_words; i++) {
        args[i] = text;
        text += strlen(text) + 1;
    }
    command->is_shell = template->is_shell;
    command->args = args;
    command->n_args = expansion->n_words;
    command->marks = marks;
    command->n_marks = (uint32_t)(expansion->marks.size / sizeof(struct mf_slot_mark));
    return 0;
}

static bool ends_in_word(const struct mf_template *template)
{
    return template->parts[template->n_parts - 1].kind != PART_END_OF_WORD;
}

int mf_template_expand(const struct mf_template *template, const char *const *values,
                       uint32_t n_values, uint64_t seq, struct mf_arena *arena,
                       struct mf_command *command, struct mf_error *err)
{
    struct expansion expansion = {0};
    int r = 0;

    for (size_t i = 0; r == 0 && i < template->n_parts; i++)
        r = put_part(template, &template->parts[i], values, n_values, seq, &expansion, err);
    if (r == 0 && ends_in_word(template))
        r = end_word(&expansion, err);
    if (r == 0 &&
        (mf_buffer_status(&expansion.text) < 0 || mf_buffer_status(&expansion.marks) < 0 ||
         set_command(template, &expansion, arena, command) < 0))
        r = mf_error_set(err, -ENOMEM, "out of memory");
    mf_buffer_finish(&expansion.text);
    mf_buffer_finish(&expansion.marks);
    return r;
}

uint64_t mf_template_bound(const struct mf_template *template, uint64_t n, uint32_t n_values)
{
    uint64_t bound = 0;

    for (size_t i = 0; i < template->n_parts; i++) {
        const struct mf_part *part = &template->parts[i];

        /* Quoting makes four characters of one, which backquotes may double; a number has 20. */
        bound += part->kind == PART_PLACE ? (8 * n + 32) * n_values + 32 : part->size;
    }
    return bound;
}
