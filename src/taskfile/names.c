/*
 * Numbers for names: see names.h.
 *
 * Names are looked up by their hash (XXH3-128), as ids are. Owns the table and
 * copies of the names. One thread.
 */
#include "taskfile/names.h"

#include "base/table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

void mf_names_finish(struct mf_names *names)
{
    for (uint32_t i = 0; i < names->n; i++)
        free(names->texts[i]);
    free(names->texts);
    mf_table_destroy(names->numbers);
    *names = (struct mf_names){0};
}

static int keep_text(struct mf_names *names, const char *text, size_t size)
{
    if (names->n == names->capacity) {
        uint32_t capacity = names->capacity ? 2 * names->capacity : 16;
        char **texts = reallocarray(names->texts, capacity, sizeof(*texts));

        if (!texts)
            return -ENOMEM;
        names->texts = texts;
        names->capacity = capacity;
    }
    names->texts[names->n] = strndup(text, size);
    if (!names->texts[names->n])
        return -ENOMEM;
    names->n++;
    return 0;
}

static int add(struct mf_names *names, const XXH128_hash_t *hash, const char *text, size_t size)
{
    void *number;
    int r = mf_table_insert(names->numbers, hash, &number);

    if (r < 0)
        return r;
    r = keep_text(names, text, size);
    if (r < 0)
        mf_table_remove(names->numbers, hash);
    else
        *(uint32_t *)number = names->n;
    return r;
}

int mf_names_number(struct mf_names *names, const char *text, size_t size, uint32_t max,
                    uint32_t *ret_number)
{
    XXH128_hash_t hash;
    const uint32_t *number;
    int r;

    *ret_number = 0;
    if (size == 0)
        return 0;
    if (!names->numbers) {
        r = mf_table_create(sizeof(hash), sizeof(uint32_t), &names->numbers);
        if (r < 0)
            return r;
    }
    hash = XXH3_128bits(text, size);
    number = mf_table_find(names->numbers, &hash);
    if (number) {
        *ret_number = *number;
        return 0;
    }
    if (names->n >= max)
        return 0;
    r = add(names, &hash, text, size);
    if (r == 0)
        *ret_number = names->n;
    return r;
}

const char *mf_names_text(const struct mf_names *names, uint32_t number)
{
    return number > 0 && number <= names->n ? names->texts[number - 1] : NULL;
}
