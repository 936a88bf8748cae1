/*
 * Any bytes as the words of `mpifarm map`, one per line: they are refused
 * with a sentence, or every combination can be made, made again and encoded.
 */
#include "taskfile/source.h"

#include <stdlib.h>
#include <string.h>

#define WORDS_MAX 64
#define TASKS_MAX 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
    if (!condition)
        abort();
}

/* Cuts text into words; returns how many, 0 if one of them would read a file. */
static uint32_t cut_words(char *text, const char **words)
{
    uint32_t n = 0;
    int has_arguments = 0;

    for (char *word = strsep(&text, "\n"); word && n < WORDS_MAX - 2; word = strsep(&text, "\n")) {
        if (strncmp(word, "::::", 4) == 0)
            return 0;
        has_arguments |= strncmp(word, ":::", 3) == 0 && (!word[3] || strcmp(word + 3, "+") == 0);
        words[n++] = word;
    }
    /* Otherwise standard input would give them. */
    if (!has_arguments) {
        words[n++] = ":::";
        words[n++] = "a b";
    }
    return n;
}

static void check_entry(struct mf_source *source, const struct mf_entry *entry)
{
    uint64_t cookie = entry->cookie;
    struct mf_buffer first = {0}, second = {0};
    struct mf_command *decoded;

    mf_command_encode(&entry->command, &first);
    require(mf_command_decode(first.data, first.size, &decoded) == 0);
    free(decoded);
    require(mf_source_load(source, cookie, &entry, NULL) == 0);
    mf_command_encode(&entry->command, &second);
    require(first.size == second.size && memcmp(first.data, second.data, first.size) == 0);
    mf_buffer_finish(&first);
    mf_buffer_finish(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *words[WORDS_MAX];
    char *text = malloc(size + 1);
    struct mf_source *source;
    const struct mf_entry *entry;
    struct mf_error err = {0};
    uint32_t n;
    int r;

    require(text != NULL);
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    n = cut_words(text, words);
    if (n > 0) {
        r = mf_source_open_sweep(words, n, &source, &err);
        require(r == 0 || (r < 0 && err.text[0]));
        if (r == 0) {
            for (int i = 0; i < TASKS_MAX && mf_source_next(source, &entry, &err) == 0; i++)
                check_entry(source, entry);
            mf_source_close(source);
        }
    }
    free(text);
    return 0;
}
