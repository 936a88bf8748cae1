/*
 * Keeps ids apart: see ids.h.
 *
 * Of a given id only its hash is kept (XXH3-128: for a billion ids the chance
 * that two collide is below 10^-20), of a default two bits. A given id that
 * looks like a default one is compared with the bits, and lines without id
 * are looked up among the given ones only after such an id was seen.
 *
 * Owns the table and the bits. One thread.
 */
#include "taskfile/ids.h"

#include "base/table.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

/* Bit n of a file is line n. */
struct mf_bits {
    uint64_t *words;
    size_t n_words;
};

/* @given  lines whose task has an id of its own */
struct mf_file_ids {
    struct mf_task_lines lines;
    struct mf_bits given;
};

/* Where an id was given; small, as a million of them may be kept. */
struct place {
    uint64_t line : 40;
    uint64_t file : 24;
};

static bool has_bit(const struct mf_bits *bits, uint64_t at)
{
    return at / 64 < bits->n_words && bits->words[at / 64] >> at % 64 & 1;
}

static int set_bit(struct mf_bits *bits, uint64_t at)
{
    if (at / 64 >= bits->n_words) {
        size_t n_words = bits->n_words ? bits->n_words * 2 : 64;
        uint64_t *words;

        while (n_words <= at / 64)
            n_words *= 2;
        words = reallocarray(bits->words, n_words, sizeof(*words));
        if (!words)
            return -ENOMEM;
        memset(words + bits->n_words, 0, (n_words - bits->n_words) * sizeof(*words));
        bits->words = words;
        bits->n_words = n_words;
    }
    bits->words[at / 64] |= UINT64_C(1) << at % 64;
    return 0;
}

int mf_ids_init(struct mf_ids *ids, const char *const *names, uint32_t n_files)
{
    *ids = (struct mf_ids){.names = names, .n_files = n_files};
    ids->files = calloc(n_files, sizeof(*ids->files));
    if (!ids->files)
        return -ENOMEM;
    return mf_table_create(sizeof(XXH128_hash_t), sizeof(struct place), &ids->given);
}

void mf_ids_finish(struct mf_ids *ids)
{
    for (uint32_t i = 0; ids->files && i < ids->n_files; i++) {
        mf_task_lines_finish(&ids->files[i].lines);
        free(ids->files[i].given.words);
    }
    free(ids->files);
    mf_table_destroy(ids->given);
    ids->files = NULL;
    ids->given = NULL;
}

/* Writes a number as snprintf("%llu") does, which takes longer than to read a line. */
static void write_number(uint64_t number, char *text)
{
    char digits[20];
    size_t n = 0;

    do
        digits[n++] = (char)('0' + number % 10);
    while (number /= 10);
    while (n > 0)
        *text++ = digits[--n];
    *text = '\0';
}

void mf_ids_default(const struct mf_ids *ids, uint32_t file, uint64_t line, char *ret_id)
{
    if (ids->n_files > 1) {
        size_t n = strlen(ids->names[file]);

        memcpy(ret_id, ids->names[file], n);
        ret_id += n;
        *ret_id++ = ':';
    }
    write_number(line, ret_id);
}

/* Reads a line number as write_number() would write it; 0 if it is none. */
static uint64_t line_number_of(const char *text)
{
    char canonical[24];
    uint64_t number = strtoull(text, NULL, 10);

    write_number(number, canonical);
    return strcmp(text, canonical) == 0 ? number : 0;
}

/* Finds the line whose default id this would be. */
static bool find_lookalike(const struct mf_ids *ids, const char *id, struct place *ret_place)
{
    const char *colon = strrchr(id, ':');
    uint64_t line = line_number_of(ids->n_files > 1 && colon ? colon + 1 : id);

    if (line == 0 || (ids->n_files > 1) != (colon != NULL))
        return false;
    if (ids->n_files == 1) {
        *ret_place = (struct place){.line = line};
        return true;
    }
    for (uint32_t i = 0; i < ids->n_files; i++) {
        if (strncmp(ids->names[i], id, (size_t)(colon - id)) != 0 ||
            ids->names[i][colon - id] != '\0')
            continue;
        *ret_place = (struct place){.line = line, .file = i};
        return true;
    }
    return false;
}

/* Whether a line is a task without an id of its own. */
static bool has_default(const struct mf_ids *ids, const struct place *place)
{
    const struct mf_file_ids *file = &ids->files[place->file];

    return mf_task_lines_has(&file->lines, place->line) && !has_bit(&file->given, place->line);
}

static int refuse(const struct mf_ids *ids, const char *id, const struct place *place,
                  struct mf_error *err)
{
    return mf_error_set(err, -EEXIST, "id \"%s\" is already used at %s:%llu", id,
                        ids->names[place->file], (unsigned long long)place->line);
}

static int add_given(struct mf_ids *ids, const char *id, const struct place *here,
                     struct mf_error *err)
{
    XXH128_hash_t hash = XXH3_128bits(id, strlen(id));
    struct place like;
    void *value;
    int r;

    if (find_lookalike(ids, id, &like)) {
        if (has_default(ids, &like))
            return refuse(ids, id, &like, err);
        ids->has_lookalike = true;
    }
    r = mf_table_insert(ids->given, &hash, &value);
    if (r > 0)
        return refuse(ids, id, value, err);
    if (r < 0)
        return r;
    *(struct place *)value = *here;
    return set_bit(&ids->files[here->file].given, here->line);
}

/* The default id itself is written only if some given id may be the same. */
static int check_default(const struct mf_ids *ids, uint32_t file, uint64_t line,
                         struct mf_error *err)
{
    char *id = malloc(MF_ID_ROOM(strlen(ids->names[file])));
    const struct place *place;
    XXH128_hash_t hash;
    int r = 0;

    if (!id)
        return -ENOMEM;
    mf_ids_default(ids, file, line, id);
    hash = XXH3_128bits(id, strlen(id));
    place = mf_table_find(ids->given, &hash);
    if (place)
        r = refuse(ids, id, place, err);
    free(id);
    return r;
}

int mf_ids_add(struct mf_ids *ids, const char *id, uint32_t file, uint64_t line, uint64_t n_tasks,
               struct mf_error *err)
{
    int r = 0;

    if (id)
        r = add_given(ids, id, &(struct place){.line = line, .file = file}, err);
    else if (ids->has_lookalike)
        r = check_default(ids, file, line, err);
    return r < 0 ? r : mf_task_lines_add(&ids->files[file].lines, line, n_tasks);
}

bool mf_ids_find(const struct mf_ids *ids, const char *text, uint32_t *ret_file, uint64_t *ret_line)
{
    XXH128_hash_t hash = XXH3_128bits(text, strlen(text));
    const struct place *given = mf_table_find(ids->given, &hash);
    struct place like;

    if (given)
        like = *given;
    else if (ids->n_files == 1 || !find_lookalike(ids, text, &like) ||
             !mf_task_lines_has(&ids->files[like.file].lines, like.line))
        return false;
    *ret_file = like.file;
    *ret_line = like.line;
    return true;
}

const struct mf_task_lines *mf_ids_lines(const struct mf_ids *ids, uint32_t file)
{
    return &ids->files[file].lines;
}
