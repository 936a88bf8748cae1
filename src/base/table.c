/*
 * A hash table from fixed-size keys to fixed-size values: see table.h.
 *
 * One array of entries [key, value, tag], each member aligned as its size asks
 * for, to 8 bytes at most. The tag is 32 bits of the key's XXH3 hash, 0 in an
 * empty entry: it gives an entry's home without hashing again, and spares
 * most comparisons of keys. Removal moves later entries back rather than
 * leaving tombstones (Knuth, volume 3, 6.4, algorithm R), so that probing
 * stays short however long the table lives.
 *
 * The table owns copies of keys and values. One thread.
 */
#include "base/table.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Inlined, the hash of a short key costs a few instructions. */
#define XXH_INLINE_ALL
#include <xxhash.h>

#define FIRST_CAPACITY ((size_t)16)
/* Homes come from 32-bit tags. */
#define MAX_CAPACITY ((size_t)1 << 32)

struct mf_table {
    size_t key_size, value_size;
    size_t value_offset, tag_offset, entry_size;
    size_t n_entries;
    size_t capacity; /* a power of two, or 0 before the first insertion */
    uint8_t *entries;
};

/* The largest power of two that divides size, 8 at most: enough for what has that size. */
static size_t alignment_for(size_t size)
{
    size_t alignment = size & -size;

    return alignment == 0 || alignment > 8 ? 8 : alignment;
}

static size_t round_up(size_t size, size_t alignment)
{
    return (size + alignment - 1) & ~(alignment - 1);
}

int mf_table_create(size_t key_size, size_t value_size, struct mf_table **ret_table)
{
    struct mf_table *table = calloc(1, sizeof(*table));
    size_t alignment = sizeof(uint32_t);

    assert(key_size > 0);
    if (!table)
        return -ENOMEM;
    table->key_size = key_size;
    table->value_size = value_size;
    if (alignment_for(key_size) > alignment)
        alignment = alignment_for(key_size);
    /* In a set the key is its own value. */
    if (value_size > 0) {
        table->value_offset = round_up(key_size, alignment_for(value_size));
        if (alignment_for(value_size) > alignment)
            alignment = alignment_for(value_size);
    }
    table->tag_offset =
        round_up(value_size > 0 ? table->value_offset + value_size : key_size, sizeof(uint32_t));
    table->entry_size = round_up(table->tag_offset + sizeof(uint32_t), alignment);
    *ret_table = table;
    return 0;
}

void mf_table_destroy(struct mf_table *table)
{
    if (!table)
        return;
    free(table->entries);
    free(table);
}

static uint8_t *entry_at(const struct mf_table *table, size_t at)
{
    return table->entries + at * table->entry_size;
}

static uint32_t *tag_at(const struct mf_table *table, size_t at)
{
    return (uint32_t *)(entry_at(table, at) + table->tag_offset);
}

static size_t next_of(const struct mf_table *table, size_t at)
{
    return (at + 1) & (table->capacity - 1);
}

static uint32_t tag_of(const struct mf_table *table, const void *key)
{
    uint32_t tag = (uint32_t)XXH3_64bits(key, table->key_size);

    return tag ? tag : 1;
}

/* Finds the entry that holds key, or the empty one where it would go; capacity > 0. */
static bool probe(const struct mf_table *table, const void *key, uint32_t tag, size_t *ret_at)
{
    size_t at = tag & (table->capacity - 1);

    for (; *tag_at(table, at); at = next_of(table, at)) {
        if (*tag_at(table, at) == tag && memcmp(entry_at(table, at), key, table->key_size) == 0) {
            *ret_at = at;
            return true;
        }
    }
    *ret_at = at;
    return false;
}

void *mf_table_find(const struct mf_table *table, const void *key)
{
    size_t at;

    if (table->n_entries == 0 || !probe(table, key, tag_of(table, key), &at))
        return NULL;
    return entry_at(table, at) + table->value_offset;
}

/* Doubles the array; the tags say where everything goes. */
static int grow(struct mf_table *table)
{
    struct mf_table larger = *table;

    if (table->capacity >= MAX_CAPACITY)
        return -ENOMEM;
    larger.capacity = table->capacity ? table->capacity * 2 : FIRST_CAPACITY;
    larger.entries = calloc(larger.capacity, larger.entry_size);
    if (!larger.entries)
        return -ENOMEM;

    for (size_t from = 0; from < table->capacity; from++) {
        uint32_t tag = *tag_at(table, from);
        size_t to = tag & (larger.capacity - 1);

        if (!tag)
            continue;
        while (*tag_at(&larger, to))
            to = next_of(&larger, to);
        memcpy(entry_at(&larger, to), entry_at(table, from), table->entry_size);
    }
    free(table->entries);
    *table = larger;
    return 0;
}

int mf_table_insert(struct mf_table *table, const void *key, void **ret_value)
{
    uint32_t tag = tag_of(table, key);
    bool has_key = false;
    size_t at = 0;

    if (table->capacity > 0)
        has_key = probe(table, key, tag, &at);
    if (!has_key) {
        if (table->n_entries >= table->capacity / 4 * 3) {
            int r = grow(table);

            if (r < 0)
                return r;
            probe(table, key, tag, &at);
        }
        /* Empty entries are all zeros, so the value is too. */
        memcpy(entry_at(table, at), key, table->key_size);
        *tag_at(table, at) = tag;
        table->n_entries++;
    }
    if (ret_value)
        *ret_value = entry_at(table, at) + table->value_offset;
    return has_key ? 1 : 0;
}

int mf_table_remove(struct mf_table *table, const void *key)
{
    size_t mask = table->capacity - 1;
    size_t hole;

    if (table->n_entries == 0 || !probe(table, key, tag_of(table, key), &hole))
        return -ENOENT;

    for (size_t at = next_of(table, hole); *tag_at(table, at); at = next_of(table, at)) {
        size_t home = *tag_at(table, at) & mask;

        /* An entry may not move in front of its home, or probing would miss it. */
        if (((at - home) & mask) < ((at - hole) & mask))
            continue;
        memcpy(entry_at(table, hole), entry_at(table, at), table->entry_size);
        hole = at;
    }
    memset(entry_at(table, hole), 0, table->entry_size);
    table->n_entries--;
    return 0;
}

size_t mf_table_count(const struct mf_table *table)
{
    return table->n_entries;
}

int mf_table_next(const struct mf_table *table, size_t *cursor, const void **ret_key,
                  void **ret_value)
{
    while (*cursor < table->capacity) {
        size_t at = (*cursor)++;

        if (!*tag_at(table, at))
            continue;
        if (ret_key)
            *ret_key = entry_at(table, at);
        if (ret_value)
            *ret_value = entry_at(table, at) + table->value_offset;
        return 1;
    }
    return 0;
}
