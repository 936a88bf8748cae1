/* Schedulers that die at any moment, and the next ones: all ranks in one thread, by a seed. */
#include "t_world.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "control/control.h"
#include "control/request.h"
#include "runtime/handover.h"
#include "runtime/worker_private.h"
#include "support/seeds.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* What the farm prints must not be taken for what a test reports. */
static void setup(void)
{
    int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);

    cr_assert(fd >= 0 && dup2(fd, 1) == 1);
}

TestSuite(takeover, .init = setup, .timeout = 600);

/* Of one in so many, 0 for none, the tasks need two nodes. */
static uint64_t one_spans_of;

/* A task file of n tasks, of which some come after others, are wide, span nodes, or have twins. */
static char *make_tasks(struct mf_rng *rng, uint32_t n)
{
    static struct mf_buffer text;

    mf_buffer_clear(&text);
    for (uint32_t i = 1; i <= n; i++) {
        if (i > 1 && mf_rng_below(rng, 4) == 0)
            mf_buffer_print(&text, "[after=%" PRIu64 "] ", 1 + mf_rng_below(rng, i - 1));
        else if (mf_rng_below(rng, 8) == 0)
            mf_buffer_print(&text, "[cores=2] ");
        else if (one_spans_of > 0 && mf_rng_below(rng, one_spans_of) == 0)
            mf_buffer_print(&text, "[nodes=2 cores=%" PRIu64 "] ", 1 + mf_rng_below(rng, 2));
        mf_buffer_print(&text, "task %" PRIu32 "\n", i);
    }
    mf_buffer_put_u8(&text, '\0');
    cr_assert_eq(mf_buffer_status(&text), 0);
    return (char *)text.data;
}

static struct t_world *make_world(uint64_t seed, bool is_one_node)
{
    struct mf_rng rng;
    struct t_world *world;
    uint32_t n;

    mf_rng_init(&rng, seed);
    n = 20 + (uint32_t)mf_rng_below(&rng, 180);
    world =
        t_world_create(seed, 3 + (uint32_t)mf_rng_below(&rng, T_WORLD_MAX_RANKS - 2),
                       2 + (uint32_t)mf_rng_below(&rng, 3), make_tasks(&rng, n), n, is_one_node);
    for (uint32_t i = 1; i <= n; i++) {
        world->tasks[i].duration_ns = (int64_t)mf_rng_below(&rng, 60) * MF_NS_PER_MS;
        world->tasks[i].fails_first = mf_rng_below(&rng, 10) == 0;
        world->tasks[i].is_loud = mf_rng_below(&rng, 10) == 0;
        world->tasks[i].is_cut_first = mf_rng_below(&rng, 4) == 0;
    }
    return world;
}

/* Who dies next: the scheduler, or now and then any other; NULL if that must not be. */
static struct t_rank *choose_victim(struct t_world *world, bool also_workers)
{
    struct t_rank *victim = t_world_scheduler(world);
    uint32_t n_alive = 0;

    for (uint32_t k = 1; k < world->n_ranks; k++) {
        const struct t_rank *rank = &world->ranks[k];

        n_alive += rank->is_alive;
        /* Before that there is nothing to take over: the run has not begun. */
        if (rank->is_alive && mf_worker_rank_epoch(rank->worker) == 0)
            return NULL;
    }
    if (also_workers && t_world_draw(world, 3) == 0)
        victim = &world->ranks[t_world_draw(world, world->n_ranks)];
    return victim && victim->is_alive && n_alive > 2 ? victim : NULL;
}

/* How many attempts have run on several nodes. */
static uint32_t n_spread;

/* A schedule that fails says its seed. Returns how often another rank took over. */
static uint32_t explore(uint64_t seed, uint32_t n_deaths, bool also_workers)
{
    struct t_world *world = make_world(seed, false);
    uint32_t n_takeovers;

    if (getenv("T_TAKEOVER_VERBOSE"))
        fprintf(stderr, "seed %" PRIu64 "\n", seed);
    for (uint32_t i = 0; i < n_deaths && !world->is_finished; i++) {
        struct t_rank *victim;

        t_world_run(world, (int)t_world_draw(world, 400));
        victim = choose_victim(world, also_workers);
        if (victim && !world->is_finished)
            t_world_kill(world, victim);
    }
    t_world_run(world, 120000);
    if (!world->is_finished)
        t_world_print(world);
    cr_assert(world->is_finished && !world->breach, "T_SEED=%" PRIu64 ": %s", seed,
              world->breach ? world->breach : "it does not end");
    t_world_expect_all_done(world, seed);
    n_takeovers = world->n_takeovers;
    n_spread += world->n_spread;
    t_world_destroy(world);
    return n_takeovers;
}

Test(takeover, without_a_death_each_task_is_done_once)
{
    for (uint64_t seed = 1; seed <= 5; seed++)
        cr_assert_eq(explore(seed, 0, false), 0);
}

/* So many of them, and in at least half of them another rank is to take over. */
static void explore_all(uint64_t after, uint64_t n, uint32_t n_deaths, bool also_workers)
{
    uint64_t first = t_is_seed_given() ? t_seed_first() : after + 1;
    uint32_t n_takeovers = 0;

    n = t_seed_count(n);
    for (uint64_t seed = first; seed < first + n; seed++)
        n_takeovers += explore(seed, n_deaths, also_workers);
    cr_assert(t_is_seed_given() || n_takeovers > n / 2, "only %u took over", n_takeovers);
}

Test(takeover, another_rank_goes_on_when_the_scheduler_dies_at_any_moment)
{
    explore_all(0, 40, 1, false);
}

Test(takeover, so_does_the_next_when_that_one_dies_too)
{
    explore_all(1000, 30, 5, false);
}

Test(takeover, workers_may_die_at_the_same_time)
{
    explore_all(2000, 30, 5, true);
}

Test(takeover, tasks_of_several_nodes_are_done_whoever_dies)
{
    one_spans_of = 6;
    explore_all(3000, 24, 3, true);
    cr_assert(t_is_seed_given() || n_spread > 10 * t_seed_count(24),
              "only %u attempts had several nodes", n_spread);
}

/* Ranks are stopped for some seconds, now and then. */
static void stop_some(struct t_world *world)
{
    for (uint32_t i = 0; i < world->n_ranks; i++)
        if (t_world_draw(world, 4) == 0)
            t_world_stop(world, &world->ranks[i],
                         (int64_t)t_world_draw(world, 10000) * MF_NS_PER_MS);
}

/* As soon as it takes over, for longer than it waits for others; or the launcher beside it. */
static void stop_scheduler(struct t_world *world)
{
    struct t_rank *rank;

    for (int i = 0; i < 10000 && !world->is_finished && !t_world_scheduler(world); i++)
        t_world_step(world);
    rank = t_world_scheduler(world);
    if (rank && t_world_draw(world, 2) == 0)
        t_world_stop(world, rank, 30 * MF_NS_PER_S);
    else if (rank)
        t_world_stop_worker(world, rank, (int64_t)t_world_draw(world, 10000) * MF_NS_PER_MS);
}

/* Returns how often another rank took over. */
static uint32_t explore_stops(uint64_t seed)
{
    struct t_world *world = make_world(seed, true);
    uint32_t n_takeovers;

    for (uint32_t i = 0; i < 3 && !world->is_finished; i++) {
        struct t_rank *victim;

        t_world_run(world, (int)t_world_draw(world, 400));
        victim = choose_victim(world, false);
        if (!victim || world->is_finished)
            continue;
        stop_some(world);
        t_world_kill(world, victim);
        stop_scheduler(world);
    }
    t_world_run(world, 240000);
    if (!world->is_finished)
        t_world_print(world);
    cr_assert(world->is_finished && !world->breach, "T_SEED=%" PRIu64 ": %s", seed,
              world->breach ? world->breach : "it does not end");
    t_world_expect_all_done(world, seed);
    n_takeovers = world->n_takeovers;
    t_world_destroy(world);
    return n_takeovers;
}

Test(takeover, what_a_rank_has_that_is_stopped_meanwhile_is_not_run_elsewhere)
{
    uint64_t first = t_is_seed_given() ? t_seed_first() : 3001, n = t_seed_count(12);
    uint32_t n_takeovers = 0;

    for (uint64_t seed = first; seed < first + n; seed++)
        n_takeovers += explore_stops(seed);
    cr_assert(t_is_seed_given() || n_takeovers > n / 2, "only %u took over", n_takeovers);
}

Test(takeover, a_rank_that_came_later_waits_for_no_heir_and_is_none)
{
    struct t_world *world = make_world(5, false);
    uint32_t last = world->n_ranks - 1;

    world->ranks[0].scheduler->n_first_peers = last;
    cr_assert_not(t_world_run(world, 150), "it is too short for this test");
    for (uint32_t i = 1; i < last; i++) {
        const struct mf_takeover *heirs = &world->ranks[i].worker->heirs;

        cr_assert_eq(heirs->n_heirs, last - 1);
        for (uint32_t k = 0; k < heirs->n_heirs; k++)
            cr_assert_lt(heirs->heirs[k], last);
    }
    cr_assert_eq(mf_worker_rank_epoch(world->ranks[last].worker), 0);
    mf_worker_rank_on_scheduler_lost(world->ranks[last].worker);
    cr_assert(mf_worker_rank_is_orphan(world->ranks[last].worker));
    t_world_destroy(world);
}

Test(takeover, one_that_cannot_go_on_ends_the_run_which_was_begun)
{
    struct t_world *world = make_world(7, false);
    char command[256];

    cr_assert_not(t_world_run(world, 150), "it is too short for this test");
    t_world_kill(world, &world->ranks[0]);
    snprintf(command, sizeof(command), "cd %s && rm joblog.tsv && mkdir joblog.tsv",
             world->run_dir);
    cr_assert_eq(system(command), 0);
    cr_assert(t_world_run(world, 20000));
    cr_assert_eq(world->n_takeovers, 1);
    cr_assert_eq(world->result, MF_RUN_STOPPED);
    t_world_destroy(world);
}

static uint64_t count_rows(struct t_world *world)
{
    struct mf_journal *journal;
    struct mf_error err;
    uint64_t n;

    cr_assert_eq(mf_journal_open(world->run_dir, MF_JOURNAL_READ, &journal, &err), 0, "%s",
                 err.text);
    n = mf_journal_next_row(journal);
    mf_journal_close(journal, NULL);
    return n;
}

Test(takeover, a_scheduler_that_hears_of_a_later_one_writes_nothing_more_and_leaves)
{
    struct t_world *world = make_world(3, false);
    struct mf_superseded later = {.epoch = 9, .rank = 2};
    struct mf_message message = {.kind = MF_MESSAGE_SUPERSEDED};
    struct mf_buffer payload = {0};
    uint64_t n_rows;

    cr_assert_not(t_world_run(world, 150), "it is too short for this test");
    mf_superseded_encode(&later, &payload);
    message.payload = payload.data;
    message.payload_size = payload.size;
    n_rows = count_rows(world);
    t_world_say(world, 1, 0, &message);
    cr_assert(t_world_run(world, 30));
    cr_assert_eq(world->result, MF_RUN_SUPERSEDED);
    cr_assert_eq(count_rows(world), n_rows);
    mf_buffer_finish(&payload);
    t_world_destroy(world);
}

Test(takeover, a_scheduler_whose_lock_somebody_else_has_leaves_the_workers_to_that_one)
{
    struct t_world *world = make_world(3, false);
    char command[128];
    uint64_t n_rows;

    cr_assert_not(t_world_run(world, 150), "it is too short for this test");
    snprintf(command, sizeof(command), "echo another > %s/lock", world->run_dir);
    cr_assert_eq(system(command), 0);
    n_rows = count_rows(world);
    cr_assert(t_world_run(world, 500));
    cr_assert_eq(world->result, MF_RUN_SUPERSEDED);
    cr_assert_eq(count_rows(world), n_rows);
    for (uint32_t i = 1; i < world->n_ranks; i++)
        cr_assert_not(mf_worker_rank_is_finished(world->ranks[i].worker));
    t_world_destroy(world);
}

/* --- what was decided before --- */

/* A world whose tasks last for so long, with some of them on their way after a while. What they
 * write takes a while to be fetched. */
static struct t_world *make_steady_world(uint64_t seed, uint32_t n_tasks, int ms)
{
    struct t_world *world;
    struct mf_rng rng;

    mf_rng_init(&rng, seed);
    world = t_world_create(seed, 4, 2, make_tasks(&rng, n_tasks), n_tasks, false);
    for (uint32_t i = 1; i <= n_tasks; i++) {
        world->tasks[i].is_loud = true;
        world->tasks[i].duration_ns = (ms + (int64_t)mf_rng_below(&rng, 50)) * MF_NS_PER_MS;
    }
    cr_assert_not(t_world_run(world, 150), "it is too short for this test");
    return world;
}

/* Messages are slow then, so that something of what ran has ended before the next one hears of it.
 */
static void kill_scheduler(struct t_world *world)
{
    world->longest_trip_ns = 200 * MF_NS_PER_MS;
    t_world_kill(world, t_world_scheduler(world));
}

/* How the journal says that a task ended; READY if it did not. */
struct end {
    uint64_t seq;
    enum mf_task_state state;
    uint32_t n_rows;
};

static int note_end(void *arg, const struct mf_journal_attempt *attempt)
{
    struct end *end = arg;

    if (attempt->seq == end->seq) {
        end->state = attempt->state;
        end->n_rows++;
    }
    return 0;
}

static struct end find_end(const struct t_world *world, uint64_t task)
{
    struct end end = {.seq = task, .state = MF_TASK_READY};
    struct mf_journal *journal;
    struct mf_error err;

    cr_assert_eq(mf_journal_open(world->run_dir, MF_JOURNAL_READ, &journal, &err), 0, "%s",
                 err.text);
    cr_assert_eq(mf_journal_each(journal, note_end, &end, &err), 0, "%s", err.text);
    mf_journal_close(journal, NULL);
    return end;
}

/* What has run to its end is in the journal as such, unless it was on a rank that died. */
static void expect_ends_known(const struct t_world *world, uint64_t seed)
{
    for (uint32_t i = 1; i <= world->n_tasks; i++)
        cr_assert(world->tasks[i].n_done == 0 || world->tasks[i].n_cut > 0 ||
                      find_end(world, i).state == MF_TASK_DONE,
                  "T_SEED=%" PRIu64 ": task %u was done, which nobody knows", seed, i);
}

/* Of a run that was being stopped when its scheduler died, and the next one too. */
static void stop_and_kill(uint64_t seed)
{
    struct t_world *world = make_steady_world(seed, 100, 400);
    uint32_t n_started;

    mf_scheduler_interrupt(t_world_scheduler(world)->scheduler, MF_STOP_SOON, "a signal");
    cr_assert_not(t_world_run(world, 40));
    n_started = world->n_started;
    kill_scheduler(world);
    while (world->n_takeovers == 0)
        t_world_step(world);
    cr_assert(mf_scheduler_is_interrupted(t_world_scheduler(world)->scheduler));
    kill_scheduler(world);
    cr_assert(t_world_run(world, 20000), "T_SEED=%" PRIu64 ": it does not end", seed);
    cr_assert_null(world->breach, "T_SEED=%" PRIu64 ": %s", seed, world->breach);
    cr_assert_eq(world->result, MF_RUN_STOPPED);
    cr_assert_eq(world->n_started, n_started, "T_SEED=%" PRIu64 ": more were started", seed);
    expect_ends_known(world, seed);
    t_world_destroy(world);
}

Test(takeover, a_run_that_is_being_stopped_starts_nothing_more_and_what_runs_may_end)
{
    for (uint64_t seed = t_is_seed_given() ? t_seed_first() : 4001, n = t_seed_count(8); n > 0; n--)
        stop_and_kill(seed++);
}

Test(takeover, a_run_that_was_told_to_stop_at_once_does_so)
{
    struct t_world *world = make_steady_world(1, 100, 4000);

    mf_scheduler_interrupt(t_world_scheduler(world)->scheduler, MF_STOP_NOW, "a signal");
    mf_wishes_note_stop(t_world_scheduler(world)->scheduler);
    kill_scheduler(world);
    cr_assert(t_world_run(world, 2000), "what runs is not ended");
    cr_assert_eq(world->n_takeovers, 1);
    cr_assert_eq(world->result, MF_RUN_STOPPED);
    t_world_destroy(world);
}

Test(takeover, a_signal_before_the_next_one_begins_lets_running_tasks_end)
{
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct t_world *world = make_steady_world(seed, 100, seed % 2 ? 400 : 60);
        uint32_t n_started;

        kill_scheduler(world);
        while (world->n_takeovers == 0)
            t_world_step(world);
        mf_scheduler_interrupt(t_world_scheduler(world)->scheduler, MF_STOP_SOON, "a signal");
        while (!t_world_scheduler(world)->scheduler->is_begun)
            t_world_step(world);
        n_started = world->n_started;
        cr_assert(t_world_run(world, 20000));
        cr_assert_eq(world->result, MF_RUN_STOPPED);
        cr_assert_eq(world->n_started, n_started);
        expect_ends_known(world, seed);
        t_world_destroy(world);
    }
}

Test(takeover, one_that_ends_running_tasks_comes_behind_what_has_ended_by_then)
{
    for (uint64_t seed = 1; seed <= 12; seed++) {
        struct t_world *world = make_steady_world(seed, 100, seed % 2 ? 4000 : 60);

        kill_scheduler(world);
        while (world->n_takeovers == 0)
            t_world_step(world);
        mf_scheduler_interrupt(t_world_scheduler(world)->scheduler, MF_STOP_NOW, "a signal");
        mf_scheduler_interrupt(t_world_scheduler(world)->scheduler, MF_STOP_SOON, "a signal");
        cr_assert(t_world_run(world, 3000), "T_SEED=%" PRIu64 ": what runs is not ended", seed);
        cr_assert_eq(world->result, MF_RUN_STOPPED);
        expect_ends_known(world, seed);
        t_world_destroy(world);
    }
}

Test(takeover, neither_does_another_one_when_it_has_begun_lose_what_has_ended)
{
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct t_world *world = make_steady_world(seed, 100, 60);
        struct mf_scheduler *scheduler;

        kill_scheduler(world);
        while (world->n_takeovers == 0)
            t_world_step(world);
        scheduler = t_world_scheduler(world)->scheduler;
        mf_scheduler_interrupt(scheduler, MF_STOP_SOON, "a signal");
        /* What is not read in its first turn is so then. */
        scheduler->lookahead = (uint64_t[]){0, 1, 100}[seed % 3];
        while (!scheduler->is_begun)
            t_world_step(world);
        mf_scheduler_interrupt(scheduler, MF_STOP_NOW, "a signal");
        cr_assert(t_world_run(world, 3000));
        cr_assert_eq(world->result, MF_RUN_STOPPED);
        expect_ends_known(world, seed);
        t_world_destroy(world);
    }
}

/* As a command of the user does, which is answered. */
static void ask(struct t_world *world, enum mf_control_verb verb, const char **names,
                uint32_t n_names)
{
    const struct mf_control_request request = {.verb = verb, .names = names, .n_names = n_names};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct mf_control_reply reply = {.is_later = true};
    struct mf_buffer packet = {0};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "%s/" MF_CONTROL_SOCKET, world->run_dir);
    cr_assert_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    cr_assert_eq(mf_control_request_encode(&request, &packet), 0);
    cr_assert_gt(send(fd, packet.data, packet.size, MSG_NOSIGNAL), 0);
    while (reply.is_later) {
        char bytes[MF_CONTROL_REPLY_BYTES];
        ssize_t n = recv(fd, bytes, sizeof(bytes), 0);

        if (n < 0)
            t_world_step(world);
        else
            cr_assert_eq(mf_control_reply_decode(bytes, (size_t)n, &reply), 0);
    }
    cr_assert(reply.is_ok, "%s", reply.text);
    mf_buffer_finish(&packet);
    close(fd);
}

/* Drains a worker, as the user asks for it, some time before the scheduler dies. */
static void drain_and_kill(uint64_t seed, int ms)
{
    struct t_world *world = make_steady_world(seed, 60, 100);
    uint32_t n_started;

    ask(world, MF_CONTROL_DRAIN, (const char *[]){"2"}, 1);
    cr_assert_not(t_world_run(world, ms));
    n_started = world->ranks[2].n_started;
    kill_scheduler(world);
    cr_assert(t_world_run(world, 60000), "T_SEED=%" PRIu64 ": it does not end", seed);
    cr_assert_null(world->breach, "T_SEED=%" PRIu64 ": %s", seed, world->breach);
    cr_assert_eq(world->ranks[2].n_started, n_started);
    t_world_expect_all_done(world, seed);
    t_world_destroy(world);
}

Test(takeover, a_worker_that_was_drained_gets_no_work_of_the_next_one_and_ends_what_it_has)
{
    for (uint64_t seed = t_is_seed_given() ? t_seed_first() : 5001, n = t_seed_count(4); n > 0; n--)
        drain_and_kill(seed++, n % 2 ? 40 : 400);
}

static void expect_drained(struct mf_scheduler *scheduler, const char *expected)
{
    char text[64] = "";
    struct mf_error err;

    cr_assert_eq(mf_journal_get_text(scheduler->journal, "drained ranks", text, sizeof(text), &err),
                 0);
    cr_assert_str_eq(text, expected);
}

Test(takeover, which_workers_are_drained_is_known_whether_or_not_that_was_done_again)
{
    struct t_world *world = make_steady_world(1, 100, 100);
    struct mf_event drain = {.kind = MF_EVENT_WORKER_DRAIN, .worker = 2};
    struct mf_scheduler *scheduler = t_world_scheduler(world)->scheduler;
    uint32_t n_starting;

    cr_assert_eq(mf_scheduler_apply(scheduler, &drain), 0);
    mf_wishes_note_drained(scheduler);
    expect_drained(scheduler, " 2");
    kill_scheduler(world);
    while (world->n_takeovers == 0 || !t_world_scheduler(world)->scheduler->is_begun)
        t_world_step(world);
    scheduler = t_world_scheduler(world)->scheduler;
    cr_assert(scheduler->wishes.are_left);
    mf_wishes_note_drained(scheduler);
    expect_drained(scheduler, " 2");
    while (scheduler->wishes.are_left)
        t_world_step(world);
    mf_wishes_note_drained(scheduler);
    expect_drained(scheduler, " 2");
    cr_assert_eq(mf_respawn_grow(scheduler, 1, &n_starting), 1);
    expect_drained(scheduler, "");
    t_world_destroy(world);
}

Test(takeover, one_whose_node_is_given_back_is_not_drained_by_the_user)
{
    struct t_world *world = make_steady_world(1, 100, 100);
    struct mf_event drain = {.kind = MF_EVENT_WORKER_DRAIN, .worker = 2};
    struct mf_scheduler *scheduler = t_world_scheduler(world)->scheduler;

    cr_assert_eq(mf_scheduler_apply(scheduler, &drain), 0);
    scheduler->release.spared = calloc(world->n_ranks, sizeof(*scheduler->release.spared));
    scheduler->release.spared[2] = scheduler->release.is_asking = true;
    mf_wishes_note_drained(scheduler);
    expect_drained(scheduler, "");
    scheduler->release.is_asking = false;
    mf_wishes_note_drained(scheduler);
    expect_drained(scheduler, " 2");
    t_world_destroy(world);
}

/* It is lost before that is done again, and comes back behind it. */
Test(takeover, a_drained_worker_that_is_away_meanwhile_stays_so)
{
    struct t_world *world = make_steady_world(1, 100, 100);
    struct mf_event drain = {.kind = MF_EVENT_WORKER_DRAIN, .worker = 2};
    struct mf_scheduler *scheduler = t_world_scheduler(world)->scheduler;
    uint32_t n_started;

    cr_assert_eq(mf_scheduler_apply(scheduler, &drain), 0);
    mf_wishes_note_drained(scheduler);
    expect_drained(scheduler, " 2");
    n_started = world->ranks[2].n_started;
    kill_scheduler(world);
    while (world->n_takeovers == 0 || !t_world_scheduler(world)->scheduler->is_begun)
        t_world_step(world);
    scheduler = t_world_scheduler(world)->scheduler;
    cr_assert(scheduler->wishes.are_left);
    mf_peer_doubt(scheduler, &scheduler->peers[2], "nothing is heard of it");
    mf_wishes_note_drained(scheduler);
    expect_drained(scheduler, " 2");
    cr_assert(t_world_run(world, 60000));
    cr_assert_eq(world->result, MF_RUN_DONE);
    cr_assert_eq(world->ranks[2].n_started, n_started);
    t_world_destroy(world);
}

/* As the user asks for it and is answered; the scheduler dies before it does it. */
static void cancel_and_kill(struct t_world *world, const char *first, const char *second)
{
    const char *names[] = {first, second};
    const struct mf_control_request request = {
        .verb = MF_CONTROL_CANCEL, .names = names, .n_names = 2};
    struct mf_scheduler *scheduler = t_world_scheduler(world)->scheduler;

    mf_wishes_note_cancel(scheduler, &request);
    mf_wishes_secure(scheduler);
    kill_scheduler(world);
}

Test(takeover, tasks_that_were_cancelled_stay_so_whether_they_run_or_not)
{
    struct t_world *world = t_world_create(
        1, 4, 2, "task 1\ntask 2\n[after=2] task 3\ntask 4\n[after=4] task 5\n", 5, false);

    world->tasks[1].duration_ns = 100 * MF_NS_PER_MS;
    world->tasks[2].duration_ns = world->tasks[4].duration_ns = 60 * MF_NS_PER_S;
    cr_assert_not(t_world_run(world, 300));
    cancel_and_kill(world, "1", "2");
    cr_assert_not(t_world_run(world, 3000));
    cr_assert_eq(find_end(world, 1).state, MF_TASK_DONE);
    cr_assert_eq(find_end(world, 2).state, MF_TASK_CANCELLED);
    cr_assert_eq(find_end(world, 3).state, MF_TASK_SKIPPED);
    cancel_and_kill(world, "4", "5");
    cr_assert(t_world_run(world, 10000), "a task that was cancelled runs on");
    cr_assert_eq(world->n_takeovers, 2);
    cr_assert_eq(find_end(world, 4).state, MF_TASK_CANCELLED);
    cr_assert_neq(find_end(world, 5).state, MF_TASK_DONE);
    cr_assert_eq(world->tasks[5].n_done, 0);
    t_world_destroy(world);
}

/* That they are to be ended may be lost with the scheduler. */
Test(takeover, running_tasks_that_were_cancelled_are_ended)
{
    for (uint64_t seed = 1; seed <= 8; seed++) {
        struct t_world *world = t_world_create(seed, 4, 2, "task 1\ntask 2\n", 2, false);

        world->tasks[1].duration_ns = world->tasks[2].duration_ns = 60 * MF_NS_PER_S;
        cr_assert_not(t_world_run(world, 300));
        world->longest_trip_ns = 200 * MF_NS_PER_MS;
        ask(world, MF_CONTROL_CANCEL, (const char *[]){"1", "2"}, 2);
        kill_scheduler(world);
        cr_assert(t_world_run(world, 10000), "T_SEED=%" PRIu64 ": one of them runs on", seed);
        cr_assert_eq(find_end(world, 1).state, MF_TASK_CANCELLED);
        cr_assert_eq(find_end(world, 2).state, MF_TASK_CANCELLED);
        t_world_destroy(world);
    }
}

Test(takeover, of_requests_to_cancel_those_of_an_earlier_run_do_not_hold)
{
    struct t_world *world = t_world_create(1, 4, 2, "task 1\ntask 2\ntask 3\ntask 4\n", 4, false);
    const char *names[] = {"1", "2", "3"};
    struct mf_scheduler *scheduler;
    struct mf_error err;

    for (uint32_t i = 1; i <= 4; i++)
        world->tasks[i].duration_ns = 5 * MF_NS_PER_S;
    cr_assert_not(t_world_run(world, 300));
    scheduler = t_world_scheduler(world)->scheduler;
    for (uint32_t i = 0; i < 3; i++)
        mf_wishes_note_cancel(scheduler, &(struct mf_control_request){.verb = MF_CONTROL_CANCEL,
                                                                      .names = &names[i],
                                                                      .n_names = 1});
    cr_assert_eq(mf_wishes_begin(scheduler, &err), 0);
    scheduler->wishes.n_cancels = 0;
    cancel_and_kill(world, "1", "4");
    cr_assert(t_world_run(world, 10000));
    cr_assert_eq(world->n_takeovers, 1);
    for (uint32_t i = 2; i <= 3; i++)
        cr_assert_eq(find_end(world, i).state, MF_TASK_DONE);
    t_world_destroy(world);
}

Test(takeover, a_barrier_that_checks_knows_of_failures_before)
{
    struct t_world *world =
        t_world_create(1, 3, 2, "task 1\ntask 2\n#DISBATCH BARRIER CHECK\ntask 3\n", 3, false);

    world->tasks[1].fails = true;
    world->tasks[2].duration_ns = MF_NS_PER_S;
    cr_assert_not(t_world_run(world, 500));
    cr_assert_eq(find_end(world, 1).state, MF_TASK_FAILED);
    kill_scheduler(world);
    cr_assert(t_world_run(world, 10000));
    cr_assert_eq(world->n_takeovers, 1);
    cr_assert_eq(find_end(world, 2).state, MF_TASK_DONE);
    cr_assert_eq(world->tasks[3].n_done, 0);
    cr_assert_eq(world->result, MF_RUN_STOPPED);
    t_world_destroy(world);
}
