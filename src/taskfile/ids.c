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

void mf_ids_default_repeat(const struct mf_ids *ids, uint32_t file, uint64_t line, uint64_t ordinal,
                           char *ret_id)
{
    mf_ids_default(ids, file, line, ret_id);
    ret_id += strlen(ret_id);
    *ret_id++ = '.';
    write_number(ordinal, ret_id);
}

/* What a default id says. */
struct default_id {
    uint32_t file;
    uint64_t line;
    bool has_ordinal;
    uint64_t ordinal;
};

/* Reads digits as write_number() would write them; returns what is behind, NULL for none. */
static const char *read_number(const char *text, uint64_t *ret_number)
{
    char canonical[24];
    uint64_t number = strtoull(text, NULL, 10);
    size_t n;

    write_number(number, canonical);
    n = strlen(canonical);
    *ret_number = number;
    return strncmp(text, canonical, n) == 0 ? text + n : NULL;
}

/* Reads "12" or "12.3". */
static bool read_line_id(const char *text, struct default_id *id)
{
    const char *at = read_number(text, &id->line);

    if (!at || id->line == 0)
        return false;
    id->has_ordinal = *at == '.';
    if (id->has_ordinal)
        at = read_number(at + 1, &id->ordinal);
    return at && *at == '\0';
}

/* Reads a text as a default id, whether there is such a task or not. */
static bool read_default(const struct mf_ids *ids, const char *text, struct default_id *ret_id)
{
    const char *colon = strrchr(text, ':');

    *ret_id = (struct default_id){0};
    if ((ids->n_files > 1) != (colon != NULL) ||
        !read_line_id(ids->n_files > 1 ? colon + 1 : text, ret_id))
        return false;
    if (ids->n_files == 1)
        return true;
    for (uint32_t i = 0; i < ids->n_files; i++) {
        if (strncmp(ids->names[i], text, (size_t)(colon - text)) != 0 ||
            ids->names[i][colon - text] != '\0')
            continue;
        ret_id->file = i;
        return true;
    }
    return false;
}

/* Whether a task has this as its default id. */
static bool has_default(const struct mf_ids *ids, const struct default_id *id)
{
    const struct mf_file_ids *file = &ids->files[id->file];
    uint64_t n_repeats = mf_task_lines_repeats(&file->lines, id->line);

    if (id->has_ordinal)
        return id->ordinal < n_repeats;
    return n_repeats == 0 && mf_task_lines_has(&file->lines, id->line) &&
           !has_bit(&file->given, id->line);
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
    struct default_id like;
    void *value;
    int r;

    if (read_default(ids, id, &like)) {
        if (has_default(ids, &like))
            return refuse(ids, id, &(struct place){.line = like.line, .file = like.file}, err);
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

static int check_free(struct mf_ids *ids, const char *id, struct mf_error *err)
{
    XXH128_hash_t hash = XXH3_128bits(id, strlen(id));
    const struct place *place = mf_table_find(ids->given, &hash);

    return place ? refuse(ids, id, place, err) : 0;
}

/* Default ids themselves are written only if some given id may be the same. */
static int check_default(struct mf_ids *ids, uint32_t file, uint64_t line, struct mf_error *err)
{
    char *id = malloc(MF_ID_ROOM(strlen(ids->names[file])));
    int r;

    if (!id)
        return -ENOMEM;
    mf_ids_default(ids, file, line, id);
    r = check_free(ids, id, err);
    free(id);
    return r;
}

static int check_default_repeat(struct mf_ids *ids, uint32_t file, uint64_t line, uint64_t n_tasks,
                                struct mf_error *err)
{
    char *id = malloc(MF_ID_ROOM(strlen(ids->names[file])));
    int r = id ? 0 : -ENOMEM;

    for (uint64_t i = 0; r == 0 && i < n_tasks; i++) {
        mf_ids_default_repeat(ids, file, line, i, id);
        r = check_free(ids, id, err);
    }
    free(id);
    return r;
}

int mf_ids_add(struct mf_ids *ids, const char *id, uint32_t file, uint64_t line,
               struct mf_error *err)
{
    int r = 0;

    if (id)
        r = add_given(ids, id, &(struct place){.line = line, .file = file}, err);
    else if (ids->has_lookalike)
        r = check_default(ids, file, line, err);
    return r < 0 ? r : mf_task_lines_add(&ids->files[file].lines, line);
}

int mf_ids_add_repeat(struct mf_ids *ids, uint32_t file, uint64_t line, uint64_t n_tasks,
                      struct mf_error *err)
{
    int r = 0;

    if (ids->has_lookalike)
        r = check_default_repeat(ids, file, line, n_tasks, err);
    return r < 0 ? r : mf_task_lines_add_repeat(&ids->files[file].lines, line, n_tasks);
}

bool mf_ids_find(const struct mf_ids *ids, const char *text, struct mf_id_place *ret_place)
{
    XXH128_hash_t hash = XXH3_128bits(text, strlen(text));
    const struct place *given = mf_table_find(ids->given, &hash);
    struct default_id like;

    if (given) {
        *ret_place = (struct mf_id_place){.file = given->file, .line = given->line};
        return true;
    }
    if (!read_default(ids, text, &like))
        return false;
    if (like.has_ordinal
            ? !has_default(ids, &like)
            : ids->n_files == 1 || !mf_task_lines_has(&ids->files[like.file].lines, like.line))
        return false;
    *ret_place = (struct mf_id_place){
        .file = like.file, .line = like.line, .is_one = like.has_ordinal, .ordinal = like.ordinal};
    return true;
}

const struct mf_task_lines *mf_ids_lines(const struct mf_ids *ids, uint32_t file)
{
    return &ids->files[file].lines;
}
