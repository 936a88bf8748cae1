/* Memory of large frames that is kept: how much, and what for. */
#include "transport/spares.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

static struct mf_spares spares;

static void teardown(void)
{
    mf_spares_finish(&spares);
    cr_assert(eq(u32, spares.n, 0));
}

TestSuite(spares, .fini = teardown);

static void put(size_t capacity)
{
    struct mf_buffer buffer = {0};

    cr_assert(eq(int, mf_buffer_reserve(&buffer, capacity), 0));
    buffer.size = capacity;
    mf_spares_put(&spares, &buffer);
    cr_assert(eq(ptr, buffer.data, NULL));
    cr_assert(eq(sz, buffer.capacity, 0));
}

Test(spares, what_is_put_is_taken_again_empty)
{
    struct mf_buffer buffer;

    put(1 << 20);
    buffer = mf_spares_take(&spares);
    cr_assert(eq(sz, buffer.capacity, 1 << 20));
    cr_assert(eq(sz, buffer.size, 0));
    mf_buffer_finish(&buffer);
    buffer = mf_spares_take(&spares);
    cr_assert(eq(sz, buffer.capacity, 0));
}

Test(spares, neither_small_memory_is_kept_nor_huge_nor_much_of_it)
{
    put(1000);
    put(2 << 20);
    cr_assert(eq(u32, spares.n, 0));
    for (int i = 0; i < 2 * MF_N_SPARES; i++)
        put(1 << 20);
    cr_assert(eq(u32, spares.n, MF_N_SPARES));
}
