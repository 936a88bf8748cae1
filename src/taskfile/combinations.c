/*
 * All combinations of lists of arguments, in the order of GNU Parallel: see
 * combinations.h.
 *
 * A list and those linked to it advance together, the shortest of them ending
 * all; the last group varies fastest. A list without arguments counts as one
 * empty argument, unless no list has any. Owns the lists; one thread.
 */
#include "taskfile/combinations.h"

#include "taskfile/argument_file.h"
#include "taskfile/words.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct separator {
    const char *word;
    bool is_file, is_linked;
} separators[] = {
    {":::", false, false},
    {":::+", false, true},
    {"::::", true, false},
    {"::::+", true, true},
};

static const struct separator *find_separator(const char *word)
{
    for (size_t i = 0; i < sizeof(separators) / sizeof(separators[0]); i++)
        if (strcmp(separators[i].word, word) == 0)
            return &separators[i];
    return NULL;
}

bool mf_combinations_is_separator(const char *word)
{
    return find_separator(word) != NULL;
}

void mf_combinations_finish(struct mf_combinations *combinations)
{
    for (uint32_t i = 0; i < combinations->n_lists; i++)
        free(combinations->lists[i].items);
    free(combinations->lists);
    mf_arena_finish(&combinations->arena);
    *combinations = (struct mf_combinations){0};
}

static int add_list(struct mf_combinations *combinations, const struct separator *separator,
                    struct mf_error *err)
{
    struct mf_argument_list *lists;

    if (separator->is_linked && combinations->n_lists == 0)
        return mf_error_set(err, -EINVAL, "\"%s\" needs arguments before it to link its own to",
                            separator->word);
    lists = reallocarray(combinations->lists, combinations->n_lists + 1, sizeof(*lists));
    if (!lists)
        return mf_error_set(err, -ENOMEM, "out of memory");
    combinations->lists = lists;
    lists[combinations->n_lists++] = (struct mf_argument_list){.is_linked = separator->is_linked};
    return 0;
}

/* Adds an argument to the last list. */
static int add_item(struct mf_combinations *combinations, const char *item, struct mf_error *err)
{
    struct mf_argument_list *list = &combinations->lists[combinations->n_lists - 1];
    size_t size = strlen(item);

    if (list->n_items == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 16;
        const char **items = reallocarray(list->items, capacity, sizeof(*items));

        if (!items)
            return mf_error_set(err, -ENOMEM, "out of memory");
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->n_items++] = item;
    if (size > combinations->longest)
        combinations->longest = size;
    return 0;
}

static int add_word(struct mf_combinations *combinations, const char *word, struct mf_error *err)
{
    size_t size = strlen(word);
    const char *copy;
    int r = mf_words_check_length("argument", size, err);

    if (r < 0)
        return r;
    copy = mf_arena_copy(&combinations->arena, word, size);
    return copy ? add_item(combinations, copy, err) : mf_error_set(err, -ENOMEM, "out of memory");
}

/* Reads a whole file into the last list. */
static int add_file(struct mf_combinations *combinations, const char *path, struct mf_error *err)
{
    struct mf_argument_file file;
    const char *argument;
    int r = mf_argument_file_open(&file, path, err);

    if (r < 0)
        return r;
    while ((r = mf_argument_file_wait(&file, &combinations->arena, &argument, err)) == 0) {
        r = add_item(combinations, argument, err);
        if (r < 0)
            break;
    }
    mf_argument_file_close(&file);
    return r < 0 ? r : 0;
}

/* Whether the lists from `first` to the next that is not linked make a group, and its size. */
static uint32_t group_end(const struct mf_combinations *combinations, uint32_t first,
                          uint64_t *ret_size)
{
    uint64_t size = UINT64_MAX;
    uint32_t i = first;

    do {
        uint64_t n = combinations->lists[i].n_items;

        if (n == 0)
            n = 1;
        if (n < size)
            size = n;
    } while (++i < combinations->n_lists && combinations->lists[i].is_linked);
    *ret_size = size;
    return i;
}

static int count(struct mf_combinations *combinations, struct mf_error *err)
{
    bool has_items = false;
    uint64_t product = 1;

    for (uint32_t i = 0; i < combinations->n_lists; i++)
        has_items |= combinations->lists[i].n_items > 0;
    for (uint32_t first = 0; first < combinations->n_lists;) {
        uint64_t size;

        first = group_end(combinations, first, &size);
        /* One below the largest number leaves room to count from 1. */
        if (__builtin_mul_overflow(product, size, &product) || product == UINT64_MAX)
            return mf_error_set(err, -ERANGE, "there are more combinations than %llu",
                                (unsigned long long)UINT64_MAX - 1);
    }
    combinations->n_combinations = has_items ? product : 0;
    return 0;
}

/* Standard input can be read only once; finds that out before it is waited for. */
static int check_stdin(const char *const *words, uint32_t n_words, struct mf_error *err)
{
    const struct separator *current = NULL;
    uint32_t n_stdin = 0;

    for (uint32_t i = 0; i < n_words; i++) {
        const struct separator *separator = find_separator(words[i]);

        if (separator)
            current = separator;
        else if (current->is_file && strcmp(words[i], "-") == 0)
            n_stdin++;
    }
    return n_stdin > 1 ? mf_error_set(err, -EEXIST, "\"-\" is given twice") : 0;
}

static int parse(struct mf_combinations *combinations, const char *const *words, uint32_t n_words,
                 struct mf_error *err)
{
    const struct separator *current = NULL;
    int r = check_stdin(words, n_words, err);

    for (uint32_t i = 0; r == 0 && i < n_words; i++) {
        const struct separator *separator = find_separator(words[i]);

        if (separator)
            current = separator;
        /* Each file is a list of its own. */
        if (current->is_file ? !separator : separator != NULL)
            r = add_list(combinations, current, err);
        if (r < 0 || separator)
            continue;
        r = current->is_file ? add_file(combinations, words[i], err)
                             : add_word(combinations, words[i], err);
    }
    return r;
}

int mf_combinations_parse(struct mf_combinations *combinations, const char *const *words,
                          uint32_t n_words, struct mf_error *err)
{
    int r = parse(combinations, words, n_words, err);

    if (r == 0)
        r = count(combinations, err);
    if (r < 0)
        mf_combinations_finish(combinations);
    return r;
}

void mf_combinations_get(const struct mf_combinations *combinations, uint64_t index,
                         const char **ret_values)
{
    /* From the last list to the first, as the digits of a number. */
    for (uint32_t end = combinations->n_lists; end > 0;) {
        uint32_t first = end - 1;
        uint64_t size;

        while (first > 0 && combinations->lists[first].is_linked)
            first--;
        group_end(combinations, first, &size);
        for (uint32_t i = first; i < end; i++) {
            const struct mf_argument_list *list = &combinations->lists[i];

            ret_values[i] = list->n_items > 0 ? list->items[index % size] : "";
        }
        index /= size;
        end = first;
    }
}
