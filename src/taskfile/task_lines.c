/*
 * Bits with a count before each word: see task_lines.h. Owns its arrays; one thread.
 */
#include "taskfile/task_lines.h"

#include <errno.h>
#include <stdlib.h>

/* Bit n % 64 of word n / 64 is line n. */
struct mf_task_word {
    uint64_t bits;
    uint64_t n_before;
};

/* @n_extra  what lines that repeat have more than one task each, up to this one */
struct mf_repeat {
    uint64_t line;
    uint64_t n_extra;
};

void mf_task_lines_finish(struct mf_task_lines *lines)
{
    free(lines->words);
    free(lines->repeats);
    *lines = (struct mf_task_lines){0};
}

static int reserve_words(struct mf_task_lines *lines, size_t n)
{
    size_t capacity = lines->capacity ? lines->capacity : 64;
    struct mf_task_word *words;

    if (n <= lines->capacity)
        return 0;
    while (capacity < n)
        capacity *= 2;
    words = reallocarray(lines->words, capacity, sizeof(*words));
    if (!words)
        return -ENOMEM;
    lines->words = words;
    lines->capacity = capacity;
    return 0;
}

static int note_repeat(struct mf_task_lines *lines, uint64_t line, uint64_t n_tasks)
{
    uint64_t n_extra = lines->n_repeats > 0 ? lines->repeats[lines->n_repeats - 1].n_extra : 0;

    if (lines->n_repeats == lines->repeat_capacity) {
        size_t capacity = lines->repeat_capacity ? 2 * lines->repeat_capacity : 16;
        struct mf_repeat *repeats = reallocarray(lines->repeats, capacity, sizeof(*repeats));

        if (!repeats)
            return -ENOMEM;
        lines->repeats = repeats;
        lines->repeat_capacity = capacity;
    }
    lines->repeats[lines->n_repeats++] =
        (struct mf_repeat){.line = line, .n_extra = n_extra + n_tasks - 1};
    return 0;
}

int mf_task_lines_add(struct mf_task_lines *lines, uint64_t line)
{
    size_t at = line / 64;

    if (reserve_words(lines, at + 1) < 0)
        return -ENOMEM;
    while (lines->n_words <= at)
        lines->words[lines->n_words++] = (struct mf_task_word){.n_before = lines->n_lines};
    lines->words[at].bits |= UINT64_C(1) << line % 64;
    lines->n_lines++;
    return 0;
}

int mf_task_lines_add_repeat(struct mf_task_lines *lines, uint64_t line, uint64_t n_tasks)
{
    int r = note_repeat(lines, line, n_tasks);

    return r < 0 ? r : mf_task_lines_add(lines, line);
}

bool mf_task_lines_has(const struct mf_task_lines *lines, uint64_t line)
{
    return line / 64 < lines->n_words && lines->words[line / 64].bits >> line % 64 & 1;
}

/* The first line that repeats and does not stand before `line`, by its place among them. */
static size_t find_repeat(const struct mf_task_lines *lines, uint64_t line)
{
    size_t low = 0, high = lines->n_repeats;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (lines->repeats[middle].line < line)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static uint64_t extra_up_to(const struct mf_task_lines *lines, size_t n_repeats)
{
    return n_repeats > 0 ? lines->repeats[n_repeats - 1].n_extra : 0;
}

uint64_t mf_task_lines_repeats(const struct mf_task_lines *lines, uint64_t line)
{
    size_t at = find_repeat(lines, line);

    if (at == lines->n_repeats || lines->repeats[at].line != line)
        return 0;
    return 1 + lines->repeats[at].n_extra - extra_up_to(lines, at);
}

uint64_t mf_task_lines_before(const struct mf_task_lines *lines, uint64_t line)
{
    uint64_t n = lines->n_lines;

    if (line / 64 < lines->n_words) {
        const struct mf_task_word *word = &lines->words[line / 64];
        uint64_t mask = (UINT64_C(1) << line % 64) - 1;

        n = word->n_before + (uint64_t)__builtin_popcountll(word->bits & mask);
    }
    return n + extra_up_to(lines, find_repeat(lines, line));
}
