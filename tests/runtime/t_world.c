/*
 * The world: see t_world.h. Frames wait in a queue for each pair of ranks, in
 * order, until they are due; a rank takes the first that is due of a sender
 * drawn by lot.
 */
#include "t_world.h"

#include "base/clock.h"
#include "base/command.h"
#include "base/scratch.h"
#include "exec/fake.h"
#include "runtime/node.h"
#include "runtime/worker_private.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MS MF_NS_PER_MS

/* A frame on its way. */
struct letter {
    struct mf_list node;
    int64_t due_ns;
    struct mf_buffer frame;
};

/* A rank's end: `inbox` by sender. */
struct world_end {
    struct mf_transport base;
    struct t_rank *rank;
    struct mf_list inbox[T_WORLD_MAX_RANKS];
    struct letter *lent;
};

/* The same time everywhere, also for those who tell the day by it. */
static int64_t world_now_ns;

static int64_t wall_ns(void)
{
    return world_now_ns;
}

uint64_t t_world_draw(struct t_world *world, uint64_t bound)
{
    return mf_rng_below(&world->rng, bound);
}

/* --- messages --- */

static struct world_end *end_of(const struct mf_transport *transport)
{
    return mf_container_of(transport, struct world_end, base);
}

static void free_letter(struct letter *letter)
{
    if (!letter)
        return;
    mf_buffer_finish(&letter->frame);
    free(letter);
}

static struct letter *last_of(struct mf_list *inbox)
{
    return mf_list_is_empty(inbox) ? NULL : mf_container_of(inbox->prev, struct letter, node);
}

/* To the dead it goes as well, as MPI says nothing of them. */
static int world_send(struct mf_transport *transport, uint32_t to, struct mf_buffer *frame)
{
    struct t_rank *rank = end_of(transport)->rank;
    struct t_rank *other = &rank->world->ranks[to];
    struct letter *letter, *last;

    if (mf_buffer_status(frame) < 0 || frame->size == 0 || !other->remote) {
        int r = mf_buffer_status(frame);

        mf_buffer_clear(frame);
        return r;
    }
    letter = calloc(1, sizeof(*letter));
    last = last_of(&end_of(other->remote)->inbox[rank->number]);
    mf_list_init(&letter->node);
    letter->frame = *frame;
    *frame = (struct mf_buffer){0};
    letter->due_ns = rank->world->now_ns +
                     (int64_t)t_world_draw(rank->world, (uint64_t)rank->world->longest_trip_ns);
    if (last && last->due_ns > letter->due_ns)
        letter->due_ns = last->due_ns;
    mf_list_push_back(&end_of(other->remote)->inbox[rank->number], &letter->node);
    return 0;
}

void t_world_say(struct t_world *world, uint32_t from, uint32_t to,
                 const struct mf_message *message)
{
    struct mf_buffer frame = {0};

    mf_message_encode(message, &frame);
    cr_assert_eq(world_send(world->ranks[from].remote, to, &frame), 0);
    mf_buffer_finish(&frame);
}

static int world_receive(struct mf_transport *transport, uint32_t *ret_from,
                         const struct mf_buffer **ret_frame)
{
    struct world_end *end = end_of(transport);
    struct t_world *world = end->rank->world;
    uint32_t first = (uint32_t)t_world_draw(world, world->n_ranks);

    free_letter(end->lent);
    end->lent = NULL;
    for (uint32_t i = 0; i < world->n_ranks; i++) {
        uint32_t from = (first + i) % world->n_ranks;
        struct mf_list *inbox = &end->inbox[from];
        struct letter *letter;

        if (mf_list_is_empty(inbox))
            continue;
        letter = mf_container_of(inbox->next, struct letter, node);
        if (letter->due_ns > world->now_ns)
            continue;
        mf_list_remove(&letter->node);
        end->lent = letter;
        *ret_from = from;
        *ret_frame = &letter->frame;
        return 1;
    }
    return 0;
}

static uint64_t world_unsent(const struct mf_transport *transport, uint32_t to)
{
    return 0;
}

static void world_destroy(struct mf_transport *transport)
{
    struct world_end *end = end_of(transport);
    struct mf_list *node;

    for (uint32_t i = 0; i < T_WORLD_MAX_RANKS; i++)
        while ((node = mf_list_pop_front(&end->inbox[i])))
            free_letter(mf_container_of(node, struct letter, node));
    free_letter(end->lent);
    free(end);
}

static const struct mf_transport_ops world_ops = {
    .send = world_send, .receive = world_receive, .unsent = world_unsent, .destroy = world_destroy};

static struct mf_transport *create_end(struct t_rank *rank)
{
    struct world_end *end = calloc(1, sizeof(*end));

    end->base = (struct mf_transport){
        .ops = &world_ops, .rank = rank->number, .size = rank->world->n_ranks};
    end->rank = rank;
    for (uint32_t i = 0; i < T_WORLD_MAX_RANKS; i++)
        mf_list_init(&end->inbox[i]);
    return &end->base;
}

/* --- attempts --- */

/* --- slots --- */

/* The ranks that a spread command may run on, by its host file; else the one that starts it. */
static uint32_t find_ranks(const struct t_rank *rank, const struct mf_command *command)
{
    uint32_t ranks = 0, number, n_slots;
    FILE *file = NULL;

    for (uint32_t i = 0; i < command->n_env; i++)
        if (strncmp(command->env[i], "MPIFARM_HOSTFILE=", 17) == 0)
            file = fopen(command->env[i] + 17, "r");
    while (file && fscanf(file, "node%" SCNu32 " slots=%" SCNu32 "\n", &number, &n_slots) == 2) {
        cr_assert_lt(number, rank->world->n_ranks);
        cr_assert_not(ranks & 1u << number, "a host is named twice");
        ranks |= 1u << number;
    }
    if (file)
        fclose(file);
    return ranks ? ranks : 1u << rank->number;
}

/* No slot is lent twice, as far as attempts were not staged; but a scheduler that takes over counts
 * on rooms to be left soon. */
static void check_busy(struct t_world *world)
{
    for (uint32_t i = 0; i < world->n_ranks && world->n_takeovers == 0; i++) {
        uint32_t n = 0;

        for (uint32_t k = 0; k < world->n_running; k++)
            if (world->running[k].ranks & 1u << i)
                n += world->running[k].n_slots;
        if (n > world->n_slots && world->ranks[i].is_alive)
            world->breach = "slots of a node are lent twice";
    }
}

static void note_start(struct t_rank *rank, const struct mf_start *start,
                       const struct mf_command *command)
{
    struct t_world *world = rank->world;
    struct t_world_running running = {.task = (uint32_t)atoi(command->args[1]),
                                      .rank = rank->number,
                                      .n_slots = start->n_slots,
                                      .ranks = find_ranks(rank, command)};

    world->n_started++;
    rank->n_started++;
    world->n_spread += running.ranks != 1u << rank->number;
    cr_assert_lt(world->n_running, 256);
    world->running[world->n_running++] = running;
    if (world->has_nodes)
        check_busy(world);
}

/* What a rank ran of a task, or all of it that it ran, is over. */
static void note_end(const struct t_rank *rank, uint32_t task)
{
    struct t_world *world = rank->world;
    uint32_t n = 0;

    for (uint32_t i = 0; i < world->n_running; i++)
        if (world->running[i].rank != rank->number || (task != 0 && world->running[i].task != task))
            world->running[n++] = world->running[i];
    world->n_running = n;
}

/* "task N": how long it takes and how it ends depends on N alone, and on the try. */
static void script(void *arg, const struct mf_start *start, struct mf_fake_run *run)
{
    static const char output[80000] = "done\n";
    struct t_rank *rank = arg;
    struct mf_command *command;
    struct t_world_task *task;

    cr_assert_eq(mf_command_decode(start->command, start->command_size, &command), 0);
    task = &rank->world->tasks[atoi(command->args[1])];
    run->duration_ns = task->duration_ns;
    run->outcome.pid = atoi(command->args[1]); /* so that its end can be told */
    note_start(rank, start, command);
    if (task->is_cut_first && start->try_number == 1) {
        run->outcome.cause = MF_CAUSE_WALLTIME;
    } else if (task->fails ||
               (task->fails_first && start->try_number == (task->is_cut_first ? 2 : 1))) {
        run->outcome.cause = MF_CAUSE_EXIT;
        run->outcome.exit_status = 1;
    } else if (task->is_cut) {
        run->outcome.cause = MF_CAUSE_WALLTIME;
        run->outcome.exit_status = 1;
    } else {
        run->bytes[MF_STDOUT] = output;
        run->n_bytes[MF_STDOUT] = task->is_loud ? sizeof(output) : 5;
        run->outcome.dropped_bytes[MF_STDOUT] = task->is_truncated;
    }
    free(command);
}

/* The effect of a task is there when it ends, whoever hears of it. */
static void heard(void *arg, const struct mf_executor_event *event)
{
    struct t_rank *rank = arg;

    if (event->kind == MF_EXECUTOR_ENDED)
        note_end(rank, (uint32_t)event->outcome->pid);
    if (event->kind == MF_EXECUTOR_ENDED && event->outcome->cause == MF_CAUSE_NONE) {
        struct t_world_task *task = &rank->world->tasks[event->outcome->pid];

        task->n_done++;
        cr_assert_lt(task->n_ended, 16);
        task->ended_on[task->n_ended] = rank->number;
        task->ended_as[task->n_ended++] = event->attempt;
    }
    mf_worker_rank_heard(rank->worker, event);
}

/* --- ranks --- */

static void create_worker(struct t_rank *rank)
{
    static const struct mf_topo_resources resources;
    struct mf_core cores[8] = {0};
    struct mf_worker_rank_config config = {
        .transport = rank->number == 0 ? rank->local_worker : rank->remote,
        .scratch = rank->scratch,
        .host = rank->world->has_nodes ? rank->host : NULL,
        .life = rank->world->life.pid > 0 ? &rank->world->life : NULL,
        .cores = cores,
        .n_cores = rank->world->n_slots,
        .resources = &resources,
    };

    for (uint32_t i = 0; i < config.n_cores; i++) {
        cores[i].n_cpus = 1;
        cores[i].cpus[0] = rank->number * 8 + i;
    }
    snprintf(rank->host, sizeof(rank->host), "node%u", rank->number);
    snprintf(rank->scratch, sizeof(rank->scratch), "%s/scratch%u", rank->world->dir, rank->number);
    cr_assert_eq(mf_worker_rank_create(&config, &rank->worker), 0);
    cr_assert_eq(mf_fake_executor_create(NULL, heard, rank, script, rank, &rank->executor), 0);
    mf_worker_rank_set_executor(rank->worker, rank->executor);
}

static int open_journal(void *arg, struct mf_journal **ret_journal, struct mf_error *err)
{
    struct t_rank *rank = arg;
    enum mf_journal_mode mode =
        mf_worker_rank_epoch(rank->worker) > 0 ? MF_JOURNAL_CONTINUE : MF_JOURNAL_NEW;
    int r = mf_journal_open(rank->world->run_dir, mode, &rank->journal, err);

    *ret_journal = rank->journal;
    return r;
}

/* Fails as it would where another one holds the journal. */
static int create_scheduler(struct t_rank *rank, bool is_takeover)
{
    const char *files[] = {rank->world->tasks_file};
    static struct mf_log log = {.level = MF_LOG_INFO};
    struct mf_scheduler_config config = {
        .log = getenv("T_TAKEOVER_VERBOSE") ? &log : NULL,
        .loop = rank->loop,
        .wall_ns = wall_ns,
        .local = rank->local,
        .remote = rank->remote,
        .open_journal = open_journal,
        .open_arg = rank,
        .farm = {.crash_limit = 100,
                 .max_prefetch_per_slot = 4,
                 .turnaround_ns = 20 * MS,
                 .retry_delay_ns = rank->world->retry_delay_ns,
                 .retry_delay_max_ns = rank->world->retry_delay_ns},
        .jobs = {MF_JOBS_PERCENT, 100},
        .attempts = 3,
        .resume = is_takeover ? MF_RESUME_UNFINISHED : MF_RESUME_NONE,
        .has_standby = true,
        .is_takeover = is_takeover,
        .run_dir = rank->world->run_dir,
        .shown_run_dir = rank->world->run_dir,
    };
    struct mf_error err;
    int r = mf_source_open_files(files, 1, NULL, &rank->source, &err);

    log.file = stderr;
    cr_assert_eq(r, 0, "%s", err.text);
    config.source = rank->source;
    r = mf_scheduler_create(&config, &rank->scheduler, &err);
    if (r < 0 && r != -EBUSY)
        cr_assert_fail("%s", err.text);
    return r;
}

static void drop_scheduler(struct t_rank *rank)
{
    if (rank->journal)
        mf_journal_discard(rank->journal);
    mf_scheduler_destroy(rank->scheduler);
    mf_source_close(rank->source);
    mf_journal_close(rank->journal, NULL);
    rank->scheduler = NULL;
    rank->source = NULL;
    rank->journal = NULL;
}

struct t_rank *t_world_scheduler(struct t_world *world)
{
    for (uint32_t i = 0; i < world->n_ranks; i++)
        if (world->ranks[i].scheduler)
            return &world->ranks[i];
    return NULL;
}

/* It becomes the scheduler if nobody else is. */
static void succeed(struct t_rank *rank)
{
    cr_assert_eq(mf_transport_local_pair(&rank->local, &rank->local_worker), 0);
    if (create_scheduler(rank, true) == 0) {
        mf_worker_rank_turn_to(rank->worker, rank->local_worker, 0);
        rank->world->n_takeovers++;
        return;
    }
    drop_scheduler(rank);
    mf_transport_destroy(rank->local);
    mf_transport_destroy(rank->local_worker);
    rank->local = rank->local_worker = NULL;
}

/* --- death --- */

/* Of what it sent last, some may never have left. */
static void lose_letters(struct t_rank *from, struct t_rank *to)
{
    struct mf_list *inbox = &end_of(to->remote)->inbox[from->number];
    uint64_t n = 0, n_lost;

    mf_list_for_each (node, inbox)
        n++;
    for (n_lost = t_world_draw(from->world, n + 1); n_lost > 0; n_lost--) {
        struct letter *letter = last_of(inbox);

        mf_list_remove(&letter->node);
        free_letter(letter);
    }
}

/* What it ended, and nobody has for certain, may be run again. */
static void excuse_ends(struct t_rank *rank)
{
    for (uint32_t i = 1; i <= rank->world->n_tasks; i++) {
        struct t_world_task *task = &rank->world->tasks[i];

        for (uint32_t e = 0; e < task->n_ended; e++)
            task->n_cut += task->ended_on[e] == rank->number;
    }
}

void t_world_kill(struct t_world *world, struct t_rank *rank)
{
    bool was_scheduler = rank->scheduler != NULL;

    rank->is_alive = false;
    drop_scheduler(rank);
    mf_worker_rank_destroy(rank->worker);
    rank->worker = NULL;
    mf_transport_destroy(rank->local);
    mf_transport_destroy(rank->local_worker);
    rank->local = rank->local_worker = NULL;
    excuse_ends(rank);
    note_end(rank, 0);
    for (uint32_t i = 0; i < world->n_ranks; i++) {
        struct t_rank *other = &world->ranks[i];

        if (other == rank || !other->is_alive)
            continue;
        lose_letters(rank, other);
        if (was_scheduler)
            other->notices_ns = world->now_ns + (int64_t)t_world_draw(world, 50) * MS + 1;
        else if (other->scheduler)
            other->notices_ns = world->now_ns + (int64_t)t_world_draw(world, 50) * MS + 1;
    }
}

void t_world_stop(struct t_world *world, struct t_rank *rank, int64_t for_ns)
{
    rank->goes_on_ns = world->now_ns + for_ns;
}

void t_world_delay(struct t_world *world, const struct t_rank *rank, int64_t for_ns)
{
    for (uint32_t i = 0; i < world->n_ranks; i++)
        mf_list_for_each (node, &end_of(world->ranks[i].remote)->inbox[rank->number])
            mf_container_of(node, struct letter, node)->due_ns += for_ns;
}

void t_world_stop_worker(struct t_world *world, struct t_rank *rank, int64_t for_ns)
{
    rank->works_on_ns = world->now_ns + for_ns;
}

/* A worker that was stopped may have turned to one that has died long since. */
static bool has_dead_scheduler(const struct t_rank *rank)
{
    return !rank->scheduler && !rank->worker->awaits_heir &&
           !rank->world->ranks[rank->worker->scheduler].is_alive;
}

/* Whoever died is told of to those whom it concerns. */
static void notice(struct t_rank *rank)
{
    if (rank->notices_ns == 0 && has_dead_scheduler(rank))
        rank->notices_ns = rank->world->now_ns + (int64_t)t_world_draw(rank->world, 50) * MS + 1;
    if (rank->notices_ns == 0 || rank->world->now_ns < rank->notices_ns)
        return;
    rank->notices_ns = 0;
    if (!rank->scheduler) {
        if (!t_world_scheduler(rank->world))
            mf_worker_rank_on_scheduler_lost(rank->worker);
        return;
    }
    for (uint32_t i = 0; i < rank->world->n_ranks; i++)
        if (!rank->world->ranks[i].is_alive)
            mf_peer_lose(rank->scheduler, mf_peers_find(rank->scheduler, i), "it died");
}

/* --- time --- */

static void note_result(struct t_world *world, const struct mf_scheduler *scheduler)
{
    FILE *file = fmemopen(world->summary, sizeof(world->summary), "w");

    world->result = mf_scheduler_result(scheduler);
    world->n_gone = scheduler->notice.n_gone;
    mf_recovery_name_lost(scheduler, world->lost, sizeof(world->lost));
    cr_assert(file);
    mf_scheduler_summarize(scheduler, file);
    fclose(file);
}

static void turn_scheduler(struct t_rank *rank)
{
    const char *breach;

    /* What was measured by the real clock would make schedules differ. */
    rank->scheduler->turnaround_ns = 0;
    rank->scheduler->commit_cost_ns = 0;
    mf_scheduler_turn(rank->scheduler, rank->world->now_ns);
    breach = mf_farm_check(rank->scheduler->farm);
    if (breach)
        rank->world->breach = breach;
    mf_loop_wait(rank->loop, 0);
    if (!mf_scheduler_is_finished(rank->scheduler))
        return;
    note_result(rank->world, rank->scheduler);
    rank->world->is_finished = true;
    drop_scheduler(rank);
}

static void turn_rank(struct t_rank *rank)
{
    struct t_world *world = rank->world;

    notice(rank);
    if (!mf_worker_rank_is_finished(rank->worker) && world->now_ns >= rank->works_on_ns) {
        mf_fake_executor_advance(rank->executor, world->now_ns);
        cr_assert(mf_worker_rank_turn(rank->worker, world->now_ns) >= 0);
    }
    if (!rank->scheduler && !mf_worker_rank_is_finished(rank->worker) &&
        mf_worker_rank_may_succeed(rank->worker, rank->number, world->now_ns))
        succeed(rank);
    if (rank->scheduler)
        turn_scheduler(rank);
}

static bool have_all_left(const struct t_world *world)
{
    for (uint32_t i = 0; i < world->n_ranks; i++) {
        const struct t_rank *rank = &world->ranks[i];

        if (rank->is_alive && (rank->scheduler || !mf_worker_rank_is_finished(rank->worker)))
            return false;
    }
    return true;
}

/* The last scheduler has died after it let the workers go: the journal must have all of it. */
static void end_without_scheduler(struct t_world *world)
{
    struct mf_journal *journal;
    struct mf_error err;
    char text[8] = "";

    cr_assert_eq(mf_journal_open(world->run_dir, MF_JOURNAL_READ, &journal, &err), 0, "%s",
                 err.text);
    mf_journal_get_text(journal, "finished", text, sizeof(text), &err);
    mf_journal_close(journal, NULL);
    world->result = strcmp(text, "1") == 0 ? MF_RUN_DONE : MF_RUN_STOPPED;
    world->is_finished = true;
}

void t_world_step(struct t_world *world)
{
    uint32_t first = (uint32_t)t_world_draw(world, world->n_ranks);

    world->now_ns += (int64_t)t_world_draw(world, (uint64_t)(3 * MS)) + 1;
    world_now_ns = world->now_ns;
    for (uint32_t i = 0; i < world->n_ranks && !world->is_finished && !world->breach; i++) {
        struct t_rank *rank = &world->ranks[(first + i) % world->n_ranks];

        /* Some are slower than others. */
        if (rank->is_alive && t_world_draw(world, 4) > 0 && world->now_ns >= rank->goes_on_ns)
            turn_rank(rank);
    }
    if (!world->is_finished && have_all_left(world))
        end_without_scheduler(world);
}

bool t_world_run(struct t_world *world, int ms)
{
    int64_t end_ns = world->now_ns + ms * MS;

    while (!world->is_finished && !world->breach && world->now_ns < end_ns)
        t_world_step(world);
    return world->is_finished;
}

static void print_scheduler(struct mf_scheduler *scheduler)
{
    struct mf_farm_counts counts;

    mf_farm_count(scheduler->farm, &counts);
    fprintf(stderr,
            ", schedules in epoch %" PRIu64 "%s%s, %zu to adopt, tasks by state:", scheduler->epoch,
            scheduler->is_begun ? "" : ", has not begun", scheduler->is_leaving ? ", leaves" : "",
            scheduler->adoptees ? mf_table_count(scheduler->adoptees) : 0);
    for (int state = 0; state < MF_TASK_STATE_COUNT; state++)
        fprintf(stderr, " %" PRIu64, counts.by_state[state]);
    fprintf(stderr, ", peers by state:");
    for (uint32_t i = 0; i < scheduler->n_peers; i++)
        fprintf(stderr, " %d", (int)scheduler->peers[i].state);
}

void t_world_print(struct t_world *world)
{
    for (uint32_t i = 0; i < world->n_ranks; i++) {
        struct t_rank *rank = &world->ranks[i];

        fprintf(stderr, "rank %u %s", i, rank->is_alive ? "lives" : "is dead");
        if (rank->worker)
            fprintf(stderr, ", its worker%s%s in epoch %" PRIu64,
                    mf_worker_rank_is_finished(rank->worker) ? " has left" : "",
                    mf_worker_rank_is_orphan(rank->worker) ? " is an orphan" : "",
                    mf_worker_rank_epoch(rank->worker));
        if (rank->scheduler)
            print_scheduler(rank->scheduler);
        fprintf(stderr, "\n");
    }
}

/* --- life --- */

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    cr_assert(file && fputs(text, file) >= 0 && fclose(file) == 0);
}

struct t_world *t_world_create(uint64_t seed, uint32_t n_ranks, uint32_t n_slots, const char *text,
                               uint32_t n_tasks, bool is_one_node)
{
    struct t_world *world = calloc(1, sizeof(*world));

    mf_rng_init(&world->rng, seed);
    *world = (struct t_world){.rng = world->rng,
                              .now_ns = MF_NS_PER_S,
                              .n_ranks = n_ranks,
                              .n_slots = n_slots,
                              .n_tasks = n_tasks,
                              .longest_trip_ns = 4 * MS,
                              .has_nodes = strstr(text, "nodes=") != NULL,
                              .dir = "/tmp/mpifarm-world-XXXXXX"};
    world->retry_delay_ns = (int64_t)t_world_draw(world, 2) * 100 * MS;
    if (is_one_node)
        mf_life_own(&world->life);
    cr_assert(mkdtemp(world->dir));
    snprintf(world->run_dir, sizeof(world->run_dir), "%s/run", world->dir);
    snprintf(world->tasks_file, sizeof(world->tasks_file), "%s/tasks", world->dir);
    write_file(world->tasks_file, text);
    for (uint32_t i = 0; i < n_ranks; i++) {
        struct t_rank *rank = &world->ranks[i];

        *rank = (struct t_rank){.world = world, .number = i, .is_alive = true};
        rank->remote = create_end(rank);
        cr_assert_eq(mf_loop_create(&rank->loop), 0);
    }
    cr_assert_eq(mf_transport_local_pair(&world->ranks[0].local, &world->ranks[0].local_worker), 0);
    for (uint32_t i = 0; i < n_ranks; i++)
        create_worker(&world->ranks[i]);
    cr_assert_eq(create_scheduler(&world->ranks[0], false), 0);
    return world;
}

void t_world_destroy(struct t_world *world)
{
    char command[128];

    for (uint32_t i = 0; i < world->n_ranks; i++) {
        struct t_rank *rank = &world->ranks[i];

        drop_scheduler(rank);
        mf_worker_rank_destroy(rank->worker);
        mf_transport_destroy(rank->local);
        mf_transport_destroy(rank->local_worker);
        mf_loop_destroy(rank->loop);
    }
    for (uint32_t i = 0; i < world->n_ranks; i++)
        mf_transport_destroy(world->ranks[i].remote);
    snprintf(command, sizeof(command), "rm -rf %s", world->dir);
    cr_assert_eq(system(command), 0);
    free(world);
}

/* --- the end --- */

/* @tries  by their numbers, a bit each */
struct rows {
    uint64_t seed;
    uint32_t n_done[T_WORLD_MAX_TASKS + 1];
    uint64_t tries[T_WORLD_MAX_TASKS + 1];
};

static int count_row(void *arg, const struct mf_journal_attempt *attempt)
{
    struct rows *rows = arg;

    cr_assert_leq(attempt->seq, T_WORLD_MAX_TASKS);
    rows->n_done[attempt->seq] += attempt->state == MF_TASK_DONE;
    cr_assert_lt(attempt->attempt, 64);
    cr_assert_not(rows->tries[attempt->seq] & UINT64_C(1) << attempt->attempt,
                  "seed %" PRIu64 ": the journal has try %u of task %" PRIu64 " twice", rows->seed,
                  attempt->attempt, attempt->seq);
    rows->tries[attempt->seq] |= UINT64_C(1) << attempt->attempt;
    return 0;
}

void t_world_expect_all_done(struct t_world *world, uint64_t seed)
{
    struct rows rows = {.seed = seed};
    struct mf_journal *journal;
    struct mf_error err;

    cr_assert_eq(world->result, MF_RUN_DONE, "seed %" PRIu64 ": it ended with %d", seed,
                 (int)world->result);
    cr_assert_eq(mf_journal_open(world->run_dir, MF_JOURNAL_READ, &journal, &err), 0, "%s",
                 err.text);
    cr_assert_eq(mf_journal_each(journal, count_row, &rows, &err), 0);
    mf_journal_close(journal, NULL);
    for (uint32_t i = 1; i <= world->n_tasks; i++) {
        const struct t_world_task *task = &world->tasks[i];

        cr_assert_eq(rows.n_done[i], 1, "seed %" PRIu64 ": the journal has task %u %u times", seed,
                     i, rows.n_done[i]);
        cr_assert_geq(task->n_done, 1, "seed %" PRIu64 ": task %u was not run", seed, i);
        /* What runs on several nodes begins again under another scheduler. */
        cr_assert_leq(task->n_done, 1 + task->n_cut + (world->has_nodes ? world->n_takeovers : 0),
                      "seed %" PRIu64 ": task %u was run %u times", seed, i, task->n_done);
    }
}
