/*
 * Splitting a node among its ranks.
 *
 * A rank is written as the cores it may use, "0-3" or "0,2", each core having
 * one hardware thread of that number; a trailing "!" says it gets no slots.
 * The split is written as the cores of each rank's slots: "0 1|2 3".
 */
#include "topo/topo.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_RANKS 16
#define MAX_CORES 64

struct t_node {
    struct mf_core cores[MAX_RANKS][MAX_CORES];
    struct mf_topo_rank ranks[MAX_RANKS];
    uint32_t n_ranks;
    struct mf_topo_split split;
    char text[4096];
};

/* Fills one rank; cores from 32 on are in package 1. */
static void add_rank(struct t_node *node, const char *text)
{
    struct mf_topo_rank *rank = &node->ranks[node->n_ranks];
    struct mf_core *cores = node->cores[node->n_ranks++];

    *rank = (struct mf_topo_rank){.is_worker = !strchr(text, '!'), .cores = cores};
    while (*text && *text != '!') {
        char *end;
        uint32_t first = (uint32_t)strtoul(text, &end, 10);
        uint32_t last = *end == '-' ? (uint32_t)strtoul(end + 1, &end, 10) : first;

        for (uint32_t cpu = first; cpu <= last; cpu++)
            cores[rank->n_cores++] =
                (struct mf_core){.n_cpus = 1, .cpus = {cpu}, .package = cpu / 32};
        text = *end == ',' ? end + 1 : end;
    }
}

static int share(struct t_node *node, const char *const *ranks, const char *jobs_text)
{
    struct mf_jobs jobs;

    cr_assert(zero(int, mf_jobs_parse(jobs_text, &jobs, NULL)));
    for (; *ranks; ranks++)
        add_rank(node, *ranks);
    return mf_topo_share(node->ranks, node->n_ranks, &jobs, &node->split);
}

static const char *show(struct t_node *node)
{
    FILE *file = fmemopen(node->text, sizeof(node->text), "w");

    for (uint32_t r = 0; r < node->n_ranks; r++) {
        const struct mf_topo_rank *rank = &node->ranks[r];

        fputs(r ? "|" : "", file);
        for (uint32_t s = 0; s < rank->n_slots; s++)
            fprintf(file, "%s%u", s ? " " : "", node->split.pool[rank->slot_cores[s]].cpus[0]);
    }
    fclose(file);
    return node->text;
}

#define assert_split(expected, jobs, ...)                                                          \
    do {                                                                                           \
        struct t_node *node = calloc(1, sizeof(*node));                                            \
        const char *const ranks[] = {__VA_ARGS__, NULL};                                           \
                                                                                                   \
        cr_assert(zero(int, share(node, ranks, jobs)));                                            \
        cr_assert(eq(str, (char *)show(node), (char *)(expected)));                                \
        mf_topo_split_finish(&node->split);                                                        \
        free(node);                                                                                \
    } while (0)

Test(share, a_rank_alone_gets_every_core)
{
    assert_split("0 1 2 3", "0", "0-3");
}

Test(share, ranks_that_may_use_the_same_cores_get_neighbours_in_equal_number)
{
    assert_split("0 1|2 3", "0", "0-3", "0-3");
    assert_split("0 1 2|3 4|5 6", "0", "0-6", "0-6", "0-6");
}

Test(share, ranks_bound_to_their_own_cores_keep_them)
{
    assert_split("4 5|0|1 2 3", "0", "4,5", "0", "1-3");
}

Test(share, cores_with_one_user_are_given_out_before_those_with_a_choice)
{
    assert_split("2 3|0 1", "0", "0-3", "0,1");
}

Test(share, cores_of_a_rank_without_slots_go_to_the_workers)
{
    assert_split("|0 1 2 3", "0", "0-3!", "0-3");
    assert_split("|0 1", "0", "0!", "1");
}

Test(share, a_core_nobody_else_may_use_goes_to_the_worker_with_the_fewest)
{
    assert_split("|1 2|0 3", "0", "0!", "1,2", "3");
}

Test(share, more_slots_than_cores_go_around_the_cores)
{
    assert_split("0 1 0 1", "4", "0,1");
    assert_split("0 0|1 1", "4", "0,1", "0,1");
}

Test(share, fewer_slots_than_cores_are_spread_over_the_cores)
{
    assert_split("0 4", "2", "0-7");
    assert_split("0|4", "2", "0-7", "0-7");
}

Test(share, slots_follow_the_cores_of_each_rank)
{
    assert_split("0 1 2|3", "0", "0-2", "3");
    assert_split("0 1 2 0 1 2|3 3", "200%", "0-2", "3");
}

Test(share, every_worker_gets_a_slot_when_there_are_fewer_slots)
{
    assert_split("0|1|0|1", "1", "0,1", "0,1", "0,1", "0,1");
}

Test(share, a_worker_without_a_core_uses_the_least_used_it_may)
{
    assert_split("0|1|1", "0", "0", "0,1", "1");
}

Test(share, slots_are_numbered_through_the_node)
{
    struct t_node *node = calloc(1, sizeof(*node));
    const char *const ranks[] = {"0-3!", "0-3", "0-3", NULL};

    cr_assert(zero(int, share(node, ranks, "6")));
    cr_assert(eq(u32, node->ranks[0].first_slot, 0));
    cr_assert(eq(u32, node->ranks[1].first_slot, 1));
    cr_assert(eq(u32, node->ranks[2].first_slot, 4));
    mf_topo_split_finish(&node->split);
    free(node);
}

Test(share, packages_are_kept_apart_where_numbers_alternate)
{
    struct mf_core cores[4];
    struct mf_topo_rank ranks[2];
    struct mf_topo_split split = {0};
    struct mf_jobs jobs = {.kind = MF_JOBS_PLUS};

    for (uint32_t i = 0; i < 4; i++)
        cores[i] = (struct mf_core){.n_cpus = 1, .cpus = {i}, .package = i % 2};
    for (uint32_t r = 0; r < 2; r++)
        ranks[r] = (struct mf_topo_rank){.is_worker = true, .cores = cores, .n_cores = 4};
    cr_assert(zero(int, mf_topo_share(ranks, 2, &jobs, &split)));
    for (uint32_t r = 0; r < 2; r++)
        for (uint32_t s = 0; s < ranks[r].n_slots; s++)
            cr_assert(eq(u32, split.pool[ranks[r].slot_cores[s]].package, r));
    mf_topo_split_finish(&split);
}

Test(share, threads_of_one_core_seen_by_different_ranks_are_one_core)
{
    struct mf_core whole = {.n_cpus = 2, .cpus = {0, 4}}, half = {.n_cpus = 1, .cpus = {4}};
    struct mf_topo_rank ranks[] = {{.is_worker = true, .cores = &half, .n_cores = 1},
                                   {.is_worker = true, .cores = &whole, .n_cores = 1}};
    struct mf_topo_split split = {0};
    struct mf_jobs jobs = {.kind = MF_JOBS_PLUS};

    cr_assert(zero(int, mf_topo_share(ranks, 2, &jobs, &split)));
    cr_assert(eq(u32, split.n_pool, 1));
    cr_assert(eq(u32, split.pool[0].n_cpus, 2));
    cr_assert(eq(u32, split.pool[0].cpus[0], 0));
    cr_assert(eq(u32, split.pool[0].cpus[1], 4));
    mf_topo_split_finish(&split);
}

Test(share, equal_input_gives_an_equal_split)
{
    struct t_node *a = calloc(1, sizeof(*a)), *b = calloc(1, sizeof(*b));
    const char *const ranks[] = {"0-40", "3-9,33", "0,1,40", "5!", "0-40", NULL};

    cr_assert(zero(int, share(a, ranks, "+3")));
    cr_assert(zero(int, share(b, ranks, "+3")));
    cr_assert(eq(str, (char *)show(a), (char *)show(b)));
    mf_topo_split_finish(&a->split);
    mf_topo_split_finish(&b->split);
    free(a);
    free(b);
}

Test(share, each_core_serves_one_slot_whatever_the_number_of_ranks)
{
    for (uint32_t n_ranks = 1; n_ranks <= MAX_RANKS; n_ranks++) {
        struct t_node *node = calloc(1, sizeof(*node));
        const char *ranks[MAX_RANKS + 1] = {0};
        uint32_t n_slots_on[MAX_CORES] = {0};

        for (uint32_t r = 0; r < n_ranks; r++)
            ranks[r] = "0-39";
        cr_assert(zero(int, share(node, ranks, "0")));
        for (uint32_t r = 0; r < n_ranks; r++)
            for (uint32_t s = 0; s < node->ranks[r].n_slots; s++)
                n_slots_on[node->ranks[r].slot_cores[s]]++;
        for (uint32_t core = 0; core < 40; core++)
            cr_assert(eq(u32, n_slots_on[core], 1));
        mf_topo_split_finish(&node->split);
        free(node);
    }
}

Test(share, a_node_without_workers_or_without_cores_is_refused)
{
    struct t_node *node = calloc(1, sizeof(*node));
    const char *const only_scheduler[] = {"0-3!", NULL}, *const no_cores[] = {"", NULL};

    cr_assert(eq(int, share(node, only_scheduler, "0"), -EINVAL));
    node->n_ranks = 0;
    cr_assert(eq(int, share(node, no_cores, "0"), -EINVAL));
    cr_assert(eq(ptr, node->split.pool, NULL));
    free(node);
}

Test(share, finishing_an_empty_split_is_harmless)
{
    struct mf_topo_split split = {0};

    mf_topo_split_finish(&split);
    cr_assert(eq(ptr, split.pool, NULL));
}
