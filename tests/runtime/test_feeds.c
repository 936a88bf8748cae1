/* Outputs that other tasks take, as the scheduler gives them to workers that are not there. */
#include "runtime/scheduler_private.h"

#include "core/policy.h"
#include "support/farm_builder.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>

TestSuite(feeds);

#define N_PEERS 64

/* A transport that only knows how much it holds for each of its peers. */
struct held {
    struct mf_transport transport;
    uint64_t unsent[N_PEERS];
};

static uint64_t held_unsent(const struct mf_transport *transport, uint32_t to)
{
    return mf_container_of(transport, struct held, transport)->unsent[to];
}

static const struct mf_transport_ops held_ops = {.unsent = held_unsent};

static struct held held = {.transport = {.ops = &held_ops}};
static struct mf_peer peers[N_PEERS];

/* A scheduler whose peers are all UP, with room. */
static struct mf_scheduler create(void)
{
    for (uint32_t i = 0; i < N_PEERS; i++) {
        held.unsent[i] = 0;
        peers[i] = (struct mf_peer){
            .rank = i, .address = i, .transport = &held.transport, .state = MF_PEER_UP};
    }
    return (struct mf_scheduler){.peers = peers, .n_peers = N_PEERS};
}

static void finish(struct mf_scheduler *scheduler)
{
    mf_feeds_finish(scheduler);
    for (uint32_t i = 0; i < N_PEERS; i++)
        mf_buffer_finish(&peers[i].frame);
}

/* Nothing is wanted here: what is given is the answer that there is nothing. */
static void ask(struct mf_scheduler *scheduler, uint32_t rank)
{
    struct mf_message fetch = {.kind = MF_MESSAGE_FETCH, .task = 1, .length = 1000};

    cr_assert_eq(mf_feeds_on_fetch(scheduler, &peers[rank], &fetch), 0);
}

static bool has_answer(uint32_t rank)
{
    return peers[rank].frame.size > 0;
}

Test(feeds, a_worker_that_takes_nothing_does_not_stop_the_others)
{
    struct mf_scheduler scheduler = create();

    mf_list_init(&scheduler.fetches);
    held.unsent[0] = UINT64_C(1) << 30;
    ask(&scheduler, 0);
    ask(&scheduler, 1);
    cr_assert(mf_feeds_turn(&scheduler));
    cr_assert_not(has_answer(0));
    cr_assert(has_answer(1));
    cr_assert_not(mf_feeds_turn(&scheduler), "only the one that takes nothing is left");
    held.unsent[0] = 0;
    cr_assert(mf_feeds_turn(&scheduler) && has_answer(0));
    finish(&scheduler);
}

Test(feeds, nothing_is_read_while_much_is_under_way_to_many)
{
    struct mf_scheduler scheduler = create();

    mf_list_init(&scheduler.fetches);
    for (uint32_t i = 0; i < N_PEERS - 1; i++)
        held.unsent[i] = UINT64_C(1) << 20;
    ask(&scheduler, N_PEERS - 1);
    cr_assert_not(mf_feeds_turn(&scheduler));
    cr_assert_not(has_answer(N_PEERS - 1));
    for (uint32_t i = 0; i < N_PEERS / 2; i++)
        held.unsent[i] = 0;
    cr_assert(mf_feeds_turn(&scheduler) && has_answer(N_PEERS - 1));
    finish(&scheduler);
}

Test(feeds, what_was_asked_by_a_worker_that_is_lost_is_forgotten)
{
    struct mf_scheduler scheduler = create();

    mf_list_init(&scheduler.fetches);
    ask(&scheduler, 1);
    held.unsent[1] = UINT64_C(1) << 30;
    peers[1].state = MF_PEER_GONE;
    mf_feeds_turn(&scheduler);
    cr_assert(mf_list_is_empty(&scheduler.fetches) && !has_answer(1));
    finish(&scheduler);
}

Test(feeds, each_worker_that_was_told_of_an_output_is_told_once_that_it_is_over)
{
    static const char name[] = "test_feeds.txt";
    static const uint32_t placed_on[] = {5, 1, 63, 5, 0, 3, 1, 62, 63, 0};
    static mf_task_id outs[] = {1};
    struct mf_scheduler scheduler = create();
    struct mf_region region = {.store = MF_STORE_KEPT, .size = {10, 0}};
    struct mf_source_options options = {0};
    struct mf_live live = {.task = 2, .outs = outs, .n_outs = 1};
    struct mf_buffer feeds = {0};
    const char *names[] = {name};
    struct mf_error err;
    FILE *file = fopen(name, "w");

    mf_list_init(&scheduler.fetches);
    cr_assert(file && fputs("echo a\ncat {out:1}\n", file) >= 0 && fclose(file) == 0);
    cr_assert_eq(mf_source_open_files(names, 1, &options, &scheduler.config.source, &err), 0, "%s",
                 err.text);
    cr_assert_eq(mf_feeds_plan(&scheduler, &err), 0);
    mf_feeds_note_done(&scheduler, 1, 1, &region, true);
    for (size_t i = 0; i < sizeof(placed_on) / sizeof(placed_on[0]); i++)
        cr_assert_eq(mf_feeds_encode(&scheduler, &live, placed_on[i], &feeds), 0);
    mf_feeds_note_taker_ended(&scheduler, &live, MF_TASK_DONE);
    for (uint32_t rank = 0; rank < N_PEERS; rank++) {
        bool is_told = rank <= 1 || rank == 3 || rank == 5 || rank >= 62;

        cr_assert(eq(sz, peers[rank].frame.size, is_told ? peers[0].frame.size : 0), "%u", rank);
    }
    cr_assert(has_answer(0));
    mf_buffer_finish(&feeds);
    mf_source_close(scheduler.config.source);
    remove(name);
    finish(&scheduler);
}

Test(feeds, a_task_is_not_sent_without_the_output_that_it_takes)
{
    struct mf_scheduler scheduler = create();
    struct t_farm *t = t_farm("a", .workers = 1);
    struct mf_live *live = calloc(1, sizeof(*live));
    void *place;

    *live = (struct mf_live){.task = 1, .n_outs = 1, .outs = malloc(sizeof(*live->outs))};
    live->outs[0] = 7;
    mf_list_init(&scheduler.fetches);
    scheduler.farm = t->farm;
    scheduler.config.farm.policy = &mf_policy_fifo;
    cr_assert_eq(mf_table_create(sizeof(mf_task_id), sizeof(struct mf_live *), &scheduler.live), 0);
    cr_assert_eq(mf_table_insert(scheduler.live, &live->task, &place), 0);
    *(struct mf_live **)place = live;
    t_tick(t);
    mf_dispatch_turn(&scheduler);
    cr_assert(scheduler.has_failed && !has_answer(0));
    cr_assert_eq(t_counts(t).by_state[MF_TASK_PLACED], 0);
    mf_live_free_all(&scheduler);
    finish(&scheduler);
}
