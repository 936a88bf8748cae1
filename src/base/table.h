/*
 * A hash table from fixed-size keys to fixed-size values, in one array.
 *
 * Open addressing with linear probing; grows by doubling at 3/4 full. A
 * pointer to a value is valid until the next insertion or removal. Keys and
 * values are aligned as their size asks for, to 8 bytes at most.
 */
#ifndef MF_BASE_TABLE_H
#define MF_BASE_TABLE_H

#include <stddef.h>
#include <stdint.h>

struct mf_table;

/**
 * mf_table_create() - make an empty table.
 *
 * @key_size    bytes in a key, compared as memory
 * @value_size  bytes in a value, 0 for a set
 *
 * Returns 0 and the table, the caller's to destroy, or -ENOMEM.
 */
int mf_table_create(size_t key_size, size_t value_size, struct mf_table **ret_table);

/** Frees the table; NULL is accepted. */
void mf_table_destroy(struct mf_table *table);

/** The value under key (for a set: the stored key), or NULL. O(1). */
void *mf_table_find(const struct mf_table *table, const void *key);

/**
 * mf_table_insert() - find the value under key, adding a zeroed one if needed.
 *
 * Returns 0 when it was added, 1 when it was there already, or -ENOMEM. In the
 * first two cases ret_value (may be NULL) points to the value. Amortised O(1).
 */
int mf_table_insert(struct mf_table *table, const void *key, void **ret_value);

/** Removes key if it is there; returns 0, or -ENOENT. */
int mf_table_remove(struct mf_table *table, const void *key);

/** How many keys there are. */
size_t mf_table_count(const struct mf_table *table);

/**
 * mf_table_next() - walk over all entries, in no particular order.
 *
 * @cursor   0 to begin; changed by each call
 * @ret_key, @ret_value   may be NULL
 *
 * Returns 1 with an entry, 0 after the last. The table must not change meanwhile.
 */
int mf_table_next(const struct mf_table *table, size_t *cursor, const void **ret_key,
                  void **ret_value);

#endif
