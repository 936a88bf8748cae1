/* Tests of base/table.c. */
#include "base/table.h"

#include "base/rng.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

static struct mf_table *table_of(size_t key_size, size_t value_size)
{
    struct mf_table *table = NULL;

    cr_assert_eq(mf_table_create(key_size, value_size, &table), 0);
    return table;
}

Test(table, a_new_key_gets_a_zeroed_value)
{
    struct mf_table *table = table_of(sizeof(uint64_t), sizeof(uint64_t));
    uint64_t key = 7;
    void *value;

    cr_assert_eq(mf_table_insert(table, &key, &value), 0);
    cr_assert_eq(*(uint64_t *)value, 0u);
    cr_assert_eq(mf_table_count(table), 1u);
    mf_table_destroy(table);
}

Test(table, a_known_key_gives_its_value_and_is_not_added_again)
{
    struct mf_table *table = table_of(sizeof(uint64_t), sizeof(uint64_t));
    uint64_t key = 7;
    void *value;

    mf_table_insert(table, &key, &value);
    *(uint64_t *)value = 42;
    cr_assert_eq(mf_table_insert(table, &key, &value), 1);
    cr_assert_eq(*(uint64_t *)value, 42u);
    cr_assert_eq(*(uint64_t *)mf_table_find(table, &key), 42u);
    cr_assert_eq(mf_table_count(table), 1u);
    mf_table_destroy(table);
}

Test(table, an_empty_table_finds_and_removes_nothing)
{
    struct mf_table *table = table_of(4, 4);
    uint32_t key = 1;
    size_t cursor = 0;

    cr_assert_null(mf_table_find(table, &key));
    cr_assert_eq(mf_table_remove(table, &key), -ENOENT);
    cr_assert_eq(mf_table_next(table, &cursor, NULL, NULL), 0);
    mf_table_destroy(table);
    mf_table_destroy(NULL);
}

Test(table, a_key_that_comes_back_after_removal_has_a_zeroed_value)
{
    struct mf_table *table = table_of(4, 8);
    uint32_t key = 1;
    void *value;

    mf_table_insert(table, &key, &value);
    *(uint64_t *)value = 42;
    cr_assert_eq(mf_table_remove(table, &key), 0);
    cr_assert_null(mf_table_find(table, &key));
    cr_assert_eq(mf_table_insert(table, &key, &value), 0);
    cr_assert_eq(*(uint64_t *)value, 0u);
    mf_table_destroy(table);
}

Test(table, a_set_finds_its_stored_keys)
{
    struct mf_table *table = table_of(16, 0);
    char key[16] = "sixteen bytes..";
    void *stored;

    cr_assert_eq(mf_table_insert(table, key, &stored), 0);
    cr_assert_eq(memcmp(stored, key, sizeof(key)), 0);
    cr_assert_eq(mf_table_find(table, key), stored);
    cr_assert_neq(stored, (void *)key);
    mf_table_destroy(table);
}

Test(table, values_are_aligned_behind_keys_of_any_size)
{
    for (size_t key_size = 1; key_size <= 20; key_size++) {
        struct mf_table *table = table_of(key_size, sizeof(uint64_t));
        uint8_t key[20] = {0};

        for (key[0] = 0; key[0] < 100; key[0]++) {
            void *value;

            cr_assert_eq(mf_table_insert(table, key, &value), 0);
            cr_assert_eq((uintptr_t)value % sizeof(uint64_t), 0u);
            *(uint64_t *)value = key[0];
        }
        for (key[0] = 0; key[0] < 100; key[0]++)
            cr_assert_eq(*(uint64_t *)mf_table_find(table, key), key[0]);
        mf_table_destroy(table);
    }
}

#define N_KEYS 2000

/* The table must hold exactly the keys that are present, each with its value. */
static void check_against(const struct mf_table *table, const bool is_present[N_KEYS])
{
    size_t n = 0;

    for (uint32_t key = 0; key < N_KEYS; key++) {
        const uint32_t *value = mf_table_find(table, &key);

        cr_assert_eq(value != NULL, is_present[key], "key %u", key);
        if (value)
            cr_assert_eq(*value, key * 3);
        n += is_present[key];
    }
    cr_assert_eq(mf_table_count(table), n);
}

Test(table, random_insertions_and_removals_agree_with_a_plain_array)
{
    static bool is_present[N_KEYS];
    struct mf_table *table = table_of(sizeof(uint32_t), sizeof(uint32_t));
    struct mf_rng rng;

    mf_rng_init(&rng, 4);
    for (int step = 0; step < 200000; step++) {
        uint32_t key = (uint32_t)mf_rng_below(&rng, N_KEYS);
        void *value;

        if (mf_rng_below(&rng, 2)) {
            cr_assert_eq(mf_table_insert(table, &key, &value), is_present[key]);
            *(uint32_t *)value = key * 3;
            is_present[key] = true;
        } else {
            cr_assert_eq(mf_table_remove(table, &key), is_present[key] ? 0 : -ENOENT);
            is_present[key] = false;
        }
        if (step % 10000 == 0)
            check_against(table, is_present);
    }
    check_against(table, is_present);
    mf_table_destroy(table);
}

Test(table, a_walk_meets_each_entry_once)
{
    struct mf_table *table = table_of(sizeof(uint32_t), sizeof(uint32_t));
    bool is_seen[N_KEYS] = {false};
    size_t cursor = 0, n = 0;
    const void *key;
    void *value;

    for (uint32_t i = 0; i < N_KEYS; i++) {
        mf_table_insert(table, &i, &value);
        *(uint32_t *)value = ~i;
    }
    while (mf_table_next(table, &cursor, &key, &value)) {
        uint32_t i = *(const uint32_t *)key;

        cr_assert_eq(*(uint32_t *)value, ~i);
        cr_assert(!is_seen[i]);
        is_seen[i] = true;
        n++;
    }
    cr_assert_eq(n, (size_t)N_KEYS);
    cr_assert_eq(mf_table_next(table, &cursor, NULL, NULL), 0);
    mf_table_destroy(table);
}
