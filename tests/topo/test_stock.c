/*
 * Which slots and GPUs a task gets, on synthetic machines with a slot for each
 * core, or several. Taken slots are written as "0 1", GPUs behind a colon.
 */
#include "topo/stock.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_SLOTS 64

/* Each test is a process of its own. */
static struct mf_stock stock;

/* Has n_slots slots, 0 for one per core, on the cores of a machine, and these GPUs. */
static void open_stock(const char *synthetic, uint32_t n_slots, const struct mf_gpu *gpus,
                       uint32_t n_gpus)
{
    struct mf_place places[MAX_SLOTS];
    struct mf_core *cores;
    uint32_t n_cores;

    cr_assert(eq(int, mf_topo_cores(synthetic, &cores, &n_cores, NULL), 0));
    if (n_slots == 0)
        n_slots = n_cores;
    for (uint32_t i = 0; i < n_slots; i++) {
        const struct mf_core *core = &cores[i % n_cores];

        places[i] = (struct mf_place){.core = i % n_cores,
                                      .cache = core->cache,
                                      .numa = core->numa,
                                      .package = core->package};
    }
    cr_assert(eq(int, mf_stock_fill(&stock, places, n_slots, gpus, n_gpus), 0));
    free(cores);
}

static void open_machine(const char *synthetic)
{
    open_stock(synthetic, 0, NULL, 0);
}

static void close_stock(void)
{
    mf_stock_finish(&stock);
}

TestSuite(stock, .fini = close_stock);

/* Takes and says what: "0 1:3"; valid until the next call. */
static char *take_with(uint32_t n_slots, uint32_t n_gpus)
{
    static char text[1024];
    uint32_t slots[MAX_SLOTS], gpus[MAX_SLOTS];
    size_t size = 0;

    text[0] = '\0';
    cr_assert(eq(int, mf_stock_book_gpus(&stock, n_gpus), 0));
    mf_stock_take(&stock, n_slots, n_gpus, slots, gpus);
    for (uint32_t i = 0; i < n_slots; i++)
        size += (size_t)snprintf(text + size, sizeof(text) - size, "%s%u", i ? " " : "", slots[i]);
    for (uint32_t i = 0; i < n_gpus; i++)
        size += (size_t)snprintf(text + size, sizeof(text) - size, "%s%u", i ? "," : ":", gpus[i]);
    return text;
}

static char *take(uint32_t n_slots)
{
    return take_with(n_slots, 0);
}

static void use(uint32_t first, uint32_t last)
{
    for (uint32_t slot = first; slot <= last; slot++)
        mf_stock_take_slot(&stock, slot);
}

static void give(uint32_t first, uint32_t last)
{
    for (uint32_t slot = first; slot <= last; slot++)
        mf_stock_give_slots(&stock, 1, &slot);
}

/* --- slots --- */

Test(stock, single_slots_are_taken_from_the_first_on)
{
    open_machine("pack:2 numa:1 core:2 pu:1");
    cr_assert(eq(str, take(1), "0"));
    cr_assert(eq(str, take(1), "1"));
    cr_assert(eq(str, take(1), "2"));
    give(0, 0);
    cr_assert(eq(str, take(1), "0"));
    cr_assert(eq(u32, stock.n_free, 1));
}

Test(stock, a_wide_task_goes_inside_one_numa_node)
{
    open_machine("pack:2 numa:1 core:4 pu:1");
    use(0, 1);
    cr_assert(eq(str, take(4), "4 5 6 7"));
    cr_assert(eq(str, take(2), "2 3"));
}

Test(stock, what_fits_no_numa_node_goes_inside_one_package)
{
    open_machine("pack:2 numa:2 core:2 pu:1");
    use(0, 1);
    cr_assert(eq(str, take(3), "4 5 6"));
    give(0, 0);
    cr_assert(eq(str, take(3), "0 2 3"));
}

Test(stock, what_fits_no_package_goes_over_as_few_parts_as_can_be)
{
    open_machine("pack:3 numa:1 core:4 pu:1");
    use(0, 2);
    cr_assert(eq(str, take(6), "4 5 6 7 8 9"));
}

Test(stock, a_single_slot_does_not_break_up_a_numa_node_where_another_one_is_broken)
{
    open_machine("pack:1 numa:2 core:4 pu:1");
    use(4, 4);
    cr_assert(eq(str, take(1), "5"));
    cr_assert(eq(str, take(1), "6"));
    cr_assert(eq(str, take(1), "7"));
    cr_assert(eq(str, take(1), "0"));
}

Test(stock, the_numa_node_with_the_least_left_over_is_taken)
{
    open_machine("pack:1 numa:3 core:4 pu:1");
    use(0, 0);
    use(4, 5);
    cr_assert(eq(str, take(2), "6 7"));
    cr_assert(eq(str, take(2), "1 2"));
    cr_assert(eq(str, take(4), "8 9 10 11"));
}

Test(stock, of_equal_numa_nodes_that_of_the_busier_package_is_taken)
{
    open_machine("pack:2 numa:2 core:2 pu:1");
    use(6, 7);
    cr_assert(eq(str, take(1), "4"));
}

Test(stock, a_task_gets_cores_under_one_cache_even_in_a_numa_node_with_more_left)
{
    open_machine("pack:2 numa:1 l3:2 core:2 pu:1");
    use(0, 0);
    use(2, 2);
    cr_assert(eq(str, take(2), "4 5"));
    cr_assert(eq(str, take(1), "1"));
}

Test(stock, what_fits_no_cache_fills_whole_ones_first)
{
    open_machine("pack:1 numa:1 l3:3 core:3 pu:1");
    use(0, 0);
    cr_assert(eq(str, take(5), "1 2 3 4 5"));
}

Test(stock, neighbours_are_taken_from_the_smallest_gap_that_holds_them)
{
    open_machine("pack:1 numa:1 core:12 pu:1");
    use(4, 4);
    use(7, 7);
    cr_assert(eq(str, take(2), "5 6"));
    cr_assert(eq(str, take(3), "0 1 2"));
    cr_assert(eq(str, take(5), "3 8 9 10 11"));
}

Test(stock, hidden_cores_are_not_counted_on)
{
    struct mf_place places[] = {{.core = 3, .cache = MF_NOWHERE, .numa = 1, .package = 1},
                                {.core = 0, .cache = MF_NOWHERE, .numa = 0, .package = 0},
                                {.core = 2, .cache = MF_NOWHERE, .numa = 1, .package = 1}};

    cr_assert(eq(int, mf_stock_fill(&stock, places, 3, NULL, 0), 0));
    cr_assert(eq(str, take(2), "2 0"));
    cr_assert(eq(str, take(1), "1"));
}

Test(stock, all_cores_are_used_before_a_second_slot_of_any)
{
    open_stock("pack:1 numa:2 core:2 pu:1", 8, NULL, 0);
    cr_assert(eq(str, take(3), "0 1 2"));
    cr_assert(eq(str, take(1), "3"));
    cr_assert(eq(str, take(2), "4 5"));
    give(1, 1);
    cr_assert(eq(str, take(2), "1 6"));
    cr_assert(eq(u32, stock.n_free, 1));
}

/* Whatever is taken and given, no slot is lent twice and all come back. */
Test(stock, no_slot_is_lent_twice)
{
    uint32_t slots[MAX_SLOTS], owner[MAX_SLOTS] = {0}, none, seed = 1;

    open_stock("pack:2 numa:2 l3:2 core:3 pu:1", 30, NULL, 0);
    for (uint32_t task = 1; task < 2000; task++) {
        uint32_t n = (seed = seed * 1103515245 + 12345) >> 16;

        n = 1 + n % 7;
        if (n <= stock.n_free) {
            mf_stock_take(&stock, n, 0, slots, &none);
            for (uint32_t i = 0; i < n; i++) {
                cr_assert(eq(u32, owner[slots[i]], 0));
                owner[slots[i]] = task;
            }
        } else {
            for (uint32_t slot = 0; slot < 30; slot++)
                if (owner[slot] && owner[slot] % 3 == task % 3) {
                    mf_stock_give_slots(&stock, 1, &slot);
                    owner[slot] = 0;
                }
        }
    }
    for (uint32_t slot = 0; slot < 30; slot++)
        if (owner[slot])
            mf_stock_give_slots(&stock, 1, &slot);
    cr_assert(eq(u32, stock.n_free, 30));
    mf_stock_take(&stock, 30, 0, slots, &none);
    cr_assert(eq(u32, stock.n_free, 0));
}

/* --- GPUs --- */

static const struct mf_gpu near_each[] = {{"0", .numa = 1, .package = 1},
                                          {"1", .numa = 0, .package = 0},
                                          {"2", .numa = 1, .package = 1},
                                          {"3", .numa = MF_NOWHERE, .package = MF_NOWHERE}};

Test(stock, a_task_gets_the_gpus_near_its_cores)
{
    open_stock("pack:2 numa:1 core:4 pu:1", 0, near_each, 4);
    use(1, 3);
    cr_assert(eq(str, take_with(4, 1), "4 5 6 7:0"));
    cr_assert(eq(str, take_with(1, 2), "0:1,3"));
}

Test(stock, cores_near_free_gpus_are_taken_for_a_task_that_needs_them)
{
    open_stock("pack:2 numa:1 core:4 pu:1", 0, near_each, 4);
    use(0, 0);
    cr_assert(eq(str, take_with(1, 2), "4:0,2"));
    cr_assert(eq(str, take_with(1, 1), "1:1"));
    cr_assert(eq(str, take_with(1, 1), "2:3"));
}

Test(stock, a_task_without_gpus_leaves_the_cores_near_them_to_others)
{
    open_stock("pack:2 numa:1 core:4 pu:1", 0, &near_each[1], 1);
    cr_assert(eq(str, take(2), "4 5"));
}

Test(stock, a_gpu_of_the_same_package_is_nearer_than_one_of_another)
{
    static const struct mf_gpu gpus[] = {{"0", .numa = 2, .package = 1},
                                         {"1", .numa = MF_NOWHERE, .package = MF_NOWHERE},
                                         {"2", .numa = MF_NOWHERE, .package = 0}};

    open_stock("pack:2 numa:2 core:1 pu:1", 0, gpus, 3);
    use(2, 3);
    cr_assert(eq(str, take_with(1, 3), "0:2,1,0"));
}

Test(stock, gpus_of_which_nothing_is_known_are_taken_in_order)
{
    static const struct mf_gpu gpus[] = {{"5", .numa = MF_NOWHERE, .package = MF_NOWHERE},
                                         {"7", .numa = MF_NOWHERE, .package = MF_NOWHERE}};
    uint32_t first = 0;

    open_stock("pack:2 numa:1 core:2 pu:1", 0, gpus, 2);
    cr_assert(eq(str, take_with(1, 1), "0:0"));
    cr_assert(eq(str, take_with(1, 1), "1:1"));
    cr_assert(eq(int, mf_stock_book_gpus(&stock, 1), -EBUSY));
    mf_stock_give_gpus(&stock, 1, &first);
    cr_assert(eq(int, mf_stock_book_gpus(&stock, 2), -EBUSY));
    cr_assert(eq(str, take_with(1, 1), "2:0"));
}

Test(stock, a_program_is_told_of_its_gpus_by_the_variable_of_their_kind)
{
    static const struct mf_gpu gpus[] = {{"GPU-a", .kind = MF_GPU_ROCR},
                                         {"7", .kind = MF_GPU_ROCR}};
    struct mf_buffer text = {0};

    open_stock("pack:1 core:1 pu:1", 0, gpus, 2);
    mf_stock_print_gpus(&stock, 2, (uint32_t[]){1, 0}, &text);
    cr_assert(eq(str, (char *)text.data, "ROCR_VISIBLE_DEVICES=7,GPU-a"));
    mf_buffer_finish(&text);
}
