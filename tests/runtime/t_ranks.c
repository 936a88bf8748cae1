/* A whole farm in one thread: see t_ranks.h. */
#include "t_ranks.h"

#include "t_net.h"

#include "base/clock.h"
#include "base/scratch.h"
#include "core/policy.h"
#include "exec/fake.h"
#include "runtime/node.h"
#include "runtime/scheduler_private.h"
#include "runtime/worker.h"

#include <criterion/criterion.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Every run ends long before that. */
#define MAX_TURNS 200000
#define MAX_NS (600 * MF_NS_PER_S)

/* Deaths and stops fall into this time from the beginning on. */
#define MISCHIEF_NS (4 * MF_NS_PER_S)

/* A rank that is stopped for less is not taken for dead. */
#define DOUBTED_AFTER_NS MF_NS_PER_S

#define MAX_TASKS 256
#define MAX_RANKS 16
#define MAX_CORES 3

/* More than travels with the word that a task has ended. */
#define MUCH_BYTES 20000

/*
 * A rank with a worker.
 *
 * @n_done   how often it ran each task to its end with success
 * @dies_ns  when it dies; INT64_MAX for never
 * @stop_ns, @goes_on_ns   it does nothing in between
 */
struct rank {
    struct mf_worker_rank *worker;
    struct mf_executor *executor;
    struct mf_transport *transport;
    char scratch[MF_SCRATCH_BYTES];
    uint16_t n_done[MAX_TASKS + 1];
    uint16_t n_begun[MAX_TASKS + 1];
    int64_t dies_ns;
    int64_t stop_ns, goes_on_ns;
    bool is_dead;
};

/* The farm; one at a time. */
static int64_t now_ns;
static struct t_ranks_config config;
static struct mf_rng rng;
static struct t_net *net;
static struct mf_transport *local;
static struct mf_loop *loop;
static struct mf_scheduler *scheduler;
static struct mf_source *source;
static struct mf_journal *journal;
static struct rank ranks[MAX_RANKS];
static uint32_t n_cut, n_turns, n_returned;
static bool was_drained;
static uint64_t n_quarantined;
static char dir[64], run_dir[96], file[96];
static char much[MUCH_BYTES];
static const char *wrong;

static int64_t virtual_ns(void)
{
    return now_ns;
}

static int64_t below_ns(int64_t bound_ns)
{
    return (int64_t)mf_rng_below(&rng, (uint64_t)bound_ns);
}

static bool happens(uint32_t percent)
{
    return mf_rng_below(&rng, 100) < percent;
}

/* --- tasks --- */

/* The same for each attempt of a task, whoever runs it when. */
static uint64_t property_of(uint64_t task, uint32_t which)
{
    struct mf_rng of_task;

    mf_rng_init(&of_task, config.seed ^ task << 32 ^ (uint64_t)which << 56);
    return mf_rng_next(&of_task);
}

static void write_tasks(void)
{
    FILE *to = fopen(file, "w");

    cr_assert(to);
    for (uint64_t task = 1; task <= config.n_tasks; task++) {
        uint64_t after = property_of(task, 1) % (4 * task);

        fprintf(to, "[retries=20");
        if (after > 0 && after < task)
            fprintf(to, " after=%" PRIu64, after);
        if (property_of(task, 2) % 8 == 0)
            fprintf(to, " cores=2");
        if (property_of(task, 3) % 8 == 0)
            fprintf(to, " priority=%" PRIu64, property_of(task, 3) / 8 % 5);
        fprintf(to, "] work %" PRIu64 "\n", task);
    }
    cr_assert_eq(fclose(to), 0);
}

static void script(void *arg, const struct mf_start *start, struct mf_fake_run *run)
{
    struct rank *rank = arg;
    uint64_t kind = property_of(start->task, 4) % 10;
    bool is_bad = config.has_bad_rank && rank == &ranks[1];
    bool fails = is_bad || (start->try_number == 1 && property_of(start->task, 5) % 10 == 0);

    cr_assert(start->task <= config.n_tasks);
    rank->n_begun[start->task]++;
    if (kind > 0 && !is_bad)
        run->duration_ns = (int64_t)(property_of(start->task, 6) % (200 * MF_NS_PER_MS));
    if (kind == 9)
        run->duration_ns *= 10;
    if (property_of(start->task, 7) % 10 == 0) {
        run->bytes[MF_STDOUT] = much;
        run->n_bytes[MF_STDOUT] = sizeof(much);
    }
    if (fails)
        run->outcome = (struct mf_outcome){.cause = MF_CAUSE_EXIT, .exit_status = 1};
}

static void heard(void *arg, const struct mf_executor_event *event)
{
    struct rank *rank = arg;

    if (event->kind == MF_EXECUTOR_ENDED && event->outcome->cause == MF_CAUSE_NONE)
        rank->n_done[event->task]++;
    if (event->kind == MF_EXECUTOR_ENDED || event->kind == MF_EXECUTOR_UNSTAGED)
        rank->n_begun[event->task]--;
    mf_worker_rank_heard(rank->worker, event);
}

/* --- ranks --- */

static void start_rank(uint32_t i, uint32_t n_cores)
{
    struct rank *rank = &ranks[i];
    struct mf_core cores[MAX_CORES] = {0};
    struct mf_topo_resources none = {0};
    struct mf_worker_rank_config worker = {.transport = rank->transport,
                                           .loop = i > 0 ? loop : NULL,
                                           .scratch = rank->scratch,
                                           .cores = cores,
                                           .n_cores = n_cores,
                                           .resources = &none};

    for (uint32_t core = 0; core < n_cores; core++)
        cores[core] = (struct mf_core){.n_cpus = 1, .cpus = {core}};
    mf_scratch_name(rank->scratch);
    cr_assert_eq(mf_worker_rank_create(&worker, &rank->worker), 0);
    cr_assert_eq(mf_fake_executor_create(NULL, heard, rank, script, rank, &rank->executor), 0);
    mf_worker_rank_set_executor(rank->worker, rank->executor);
    mf_fake_executor_advance(rank->executor, now_ns);
    rank->dies_ns = rank->stop_ns = rank->goes_on_ns = INT64_MAX;
}

static void plan_mischief(void)
{
    int64_t begin_ns = now_ns;

    for (uint32_t n = 0; n < config.n_deaths; n++)
        ranks[1 + mf_rng_below(&rng, config.n_workers)].dies_ns = begin_ns + below_ns(MISCHIEF_NS);
    for (uint32_t n = 0; n < config.n_stops; n++) {
        struct rank *rank = &ranks[mf_rng_below(&rng, config.n_workers + 1)];

        rank->stop_ns = begin_ns + below_ns(MISCHIEF_NS);
        rank->goes_on_ns = rank->stop_ns + below_ns(config.longest_stop_ns);
    }
}

/* Without a word; what it ran is cut short. */
static void kill_rank(uint32_t i)
{
    struct rank *rank = &ranks[i];

    t_net_kill(net, i);
    for (uint32_t task = 1; task <= config.n_tasks; task++)
        n_cut += rank->n_begun[task];
    rank->is_dead = true;
    mf_worker_rank_destroy(rank->worker);
    rank->worker = NULL;
}

static bool is_stopped(const struct rank *rank)
{
    return now_ns >= rank->stop_ns && now_ns < rank->goes_on_ns;
}

static bool is_over(const struct rank *rank)
{
    return rank->is_dead || mf_worker_rank_is_finished(rank->worker);
}

static void turn_rank(uint32_t i)
{
    struct rank *rank = &ranks[i];

    if (is_over(rank))
        return;
    if (now_ns >= rank->dies_ns) {
        kill_rank(i);
        return;
    }
    if (is_stopped(rank))
        return;
    mf_fake_executor_advance(rank->executor, now_ns);
    if (mf_worker_rank_turn(rank->worker, now_ns) < 0)
        wrong = "a worker failed";
}

static int64_t next_of_rank_ns(uint32_t i)
{
    const struct rank *rank = &ranks[i];
    int64_t next_ns;

    if (is_over(rank))
        return INT64_MAX;
    if (is_stopped(rank))
        return mf_earliest_ns(rank->goes_on_ns, rank->dies_ns);
    next_ns = mf_earliest_ns(mf_fake_executor_next_ns(rank->executor),
                             mf_worker_rank_next_ns(rank->worker));
    if (i > 0)
        next_ns = mf_earliest_ns(next_ns, t_net_next_ns(net, i));
    return mf_earliest_ns(next_ns, rank->dies_ns);
}

/* --- the scheduler --- */

static int open_journal(void *arg, struct mf_journal **ret_journal, struct mf_error *err)
{
    int r = mf_journal_open(run_dir, MF_JOURNAL_NEW, &journal, err);

    *ret_journal = journal;
    return r;
}

static void start_scheduler(void)
{
    const char *files[] = {file};
    struct mf_scheduler_config settings = {
        .loop = loop,
        .clock_ns = virtual_ns,
        .local = local,
        .remote = t_net_end(net, 0),
        .open_journal = open_journal,
        .farm = {.policy = &mf_policy_priority,
                 .seed = config.seed,
                 .max_prefetch_per_slot = 8,
                 .retry_delay_ns = config.seed % 3 ? 0 : 50 * MF_NS_PER_MS,
                 .retry_delay_max_ns = config.seed % 3 ? 0 : MF_NS_PER_S,
                 .quarantine = config.has_bad_rank ? 3 : 0,
                 .turnaround_ns = MF_NS_PER_MS},
        .jobs = {.kind = MF_JOBS_PERCENT, .value = 100},
        .attempts = 1,
        .run_dir = run_dir,
        .shown_run_dir = run_dir,
        .output_dir = dir,
    };
    struct mf_error err = {0};

    cr_assert_eq(mf_source_open_files(files, 1, NULL, &source, &err), 0, "%s", err.text);
    settings.source = source;
    cr_assert_eq(mf_scheduler_create(&settings, &scheduler, &err), 0, "%s", err.text);
}

/* What was drained is to stay so. */
static void drain_one(void)
{
    const struct mf_worker *worker = mf_workers_find(mf_farm_workers(scheduler->farm), 1);
    bool is_up = worker && worker->state == MF_WORKER_UP;

    if (is_up && was_drained)
        wrong = "a worker that was drained is up again";
    if (!is_up || was_drained)
        return;
    was_drained = true;
    mf_scheduler_apply(scheduler, &(struct mf_event){.kind = MF_EVENT_WORKER_DRAIN, .worker = 1});
    ranks[1].stop_ns = now_ns;
    ranks[1].goes_on_ns = now_ns + 3 * MF_NS_PER_S;
}

static void turn_scheduler(void)
{
    const char *broken;

    if (is_stopped(&ranks[0]))
        return;
    mf_scheduler_turn(scheduler, now_ns);
    if (config.drains_one)
        drain_one();
    broken = mf_farm_check(scheduler->farm);
    if (broken)
        wrong = broken;
}

/* --- the end --- */

/* What the journal has of each task: how often it is DONE, and whether that is its last word. */
struct record {
    uint16_t n_done;
    enum mf_task_state last;
};

static int note_attempt(void *arg, const struct mf_journal_attempt *attempt)
{
    struct record *record = (struct record *)arg + attempt->seq;

    record->n_done += attempt->state == MF_TASK_DONE;
    record->last = attempt->state;
    return 0;
}

static bool can_be_doubted(const struct rank *rank)
{
    return rank->is_dead || rank->goes_on_ns - rank->stop_ns > DOUBTED_AFTER_NS;
}

static void check_journal(void)
{
    struct record records[MAX_TASKS + 1] = {0};
    struct mf_error err = {0};

    cr_assert_eq(mf_journal_each(journal, note_attempt, records, &err), 0, "%s", err.text);
    for (uint32_t task = 1; task <= config.n_tasks && !wrong; task++) {
        uint32_t n_lasting = 0, n_all = 0;

        for (uint32_t i = 0; i <= config.n_workers; i++) {
            n_lasting += can_be_doubted(&ranks[i]) ? 0 : ranks[i].n_done[task];
            n_all += ranks[i].n_done[task];
        }
        if (records[task].n_done != 1 || records[task].last != MF_TASK_DONE)
            wrong = "a task is not DONE once in the journal";
        else if (n_all == 0)
            wrong = "a task is DONE that was never run to its end";
        else if (n_lasting > 1)
            wrong = "a task was done again without need";
    }
}

static void check_end(void)
{
    struct mf_farm_counts counts;

    mf_farm_count(scheduler->farm, &counts);
    n_quarantined = counts.quarantined;
    n_returned = (uint32_t)scheduler->notice.n_returned;
    if (!wrong && mf_scheduler_result(scheduler) != MF_RUN_DONE)
        wrong = "not all tasks are done";
    if (!wrong)
        check_journal();
}

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    return remove(path);
}

static void set_up(void)
{
    wrong = NULL;
    n_cut = 0;
    was_drained = false;
    memset(ranks, 0, sizeof(ranks));
    mf_rng_init(&rng, config.seed);
    now_ns = MF_NS_PER_S;
    snprintf(dir, sizeof(dir), "%s/t-ranks-XXXXXX", access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
    cr_assert(mkdtemp(dir));
    snprintf(run_dir, sizeof(run_dir), "%s/run", dir);
    snprintf(file, sizeof(file), "%s/tasks", dir);
    write_tasks();
    cr_assert_eq(mf_loop_create(&loop), 0);
    net = t_net_create(config.n_workers + 1, config.seed, &now_ns);
    cr_assert_eq(mf_transport_local_pair(&local, &ranks[0].transport), 0);
    start_scheduler();
    start_rank(0, 2);
    for (uint32_t i = 1; i <= config.n_workers; i++) {
        ranks[i].transport = t_net_end(net, i);
        start_rank(i, 1 + (uint32_t)mf_rng_below(&rng, MAX_CORES));
    }
    plan_mischief();
}

static void tear_down(void)
{
    mf_scheduler_destroy(scheduler);
    for (uint32_t i = 0; i <= config.n_workers; i++)
        mf_worker_rank_destroy(ranks[i].worker);
    mf_transport_destroy(local);
    mf_transport_destroy(ranks[0].transport);
    t_net_destroy(net);
    cr_assert_eq(mf_journal_close(journal, NULL), 0);
    journal = NULL;
    mf_source_close(source);
    mf_loop_destroy(loop);
    nftw(dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* --- the run --- */

/* To the next thing that is due, and a little beyond, so that more comes together. */
static void pass_time(void)
{
    int64_t next_ns = ranks[0].goes_on_ns;

    if (!is_stopped(&ranks[0]))
        next_ns = mf_earliest_ns(t_net_next_ns(net, 0), mf_scheduler_next_ns(scheduler));
    for (uint32_t i = 0; i <= config.n_workers; i++)
        next_ns = mf_earliest_ns(next_ns, next_of_rank_ns(i));
    if (next_ns == INT64_MAX)
        wrong = "nothing is due, and the run is not over";
    else if (next_ns > now_ns)
        now_ns = next_ns;
    if (happens(30))
        now_ns += below_ns(2 * MF_NS_PER_MS);
}

/* Ranks have their turns in any order, and some do not. */
static void turn_all(void)
{
    uint32_t n = config.n_workers + 2;
    uint32_t first = (uint32_t)mf_rng_below(&rng, n);

    for (uint32_t i = 0; i < n && !wrong; i++) {
        uint32_t who = (first + i) % n;

        if (happens(20))
            continue;
        if (who > config.n_workers)
            turn_scheduler();
        else
            turn_rank(who);
    }
}

const char *t_ranks_run(const struct t_ranks_config *given)
{
    int64_t end_ns;

    config = *given;
    cr_assert(config.n_tasks <= MAX_TASKS && config.n_workers < MAX_RANKS);
    set_up();
    end_ns = now_ns + MAX_NS;
    for (n_turns = 0; !mf_scheduler_is_finished(scheduler) && !wrong; n_turns++) {
        turn_all();
        pass_time();
        if (n_turns == MAX_TURNS || now_ns > end_ns)
            wrong = "the run does not end";
    }
    check_end();
    tear_down();
    return wrong;
}

uint32_t t_ranks_n_cut(void)
{
    return n_cut;
}

uint32_t t_ranks_n_returned(void)
{
    return n_returned;
}

uint32_t t_ranks_n_turns(void)
{
    return n_turns;
}

uint64_t t_ranks_n_quarantined(void)
{
    return n_quarantined;
}
