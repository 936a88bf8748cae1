/*
 * Ended attempts: they go into the journal, and once that is committed they are
 * told: printed, logged, counted. Runs in rank 0's only thread.
 */
#include "runtime/scheduler_private.h"

#include "base/clock.h"
#include "base/io.h"
#include "journal/rundir.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Files of a store are closed at this size. */
#define STORE_FILE_BYTES (UINT64_C(64) << 20)

/* Smaller, as one output that waits for long keeps all of its file. */
#define FEED_FILE_BYTES (UINT64_C(4) << 20)

/* Unprinted output above which nothing new is placed. */
#define BACKLOG_BYTES (UINT64_C(64) << 20)

/* Records wait this long to share a commit, or longer where a commit is slow. */
#define COMMIT_AFTER_NS (50 * MF_NS_PER_MS)
#define COMMIT_SHARE 5 /* a commit may take one part in this many of the time */
#define COMMIT_RECORDS 1000

/* --- ended attempts --- */

void mf_settle_release(struct mf_scheduler *scheduler, mf_worker_id rank, mf_task_id task,
                       uint32_t attempt)
{
    struct mf_peer *peer = mf_peers_find(scheduler, rank);
    struct mf_message release = {.kind = MF_MESSAGE_RELEASE, .task = task, .attempt = attempt};

    if (scheduler->epoch > 0 && peer && peer->state == MF_PEER_UP)
        mf_peer_post(peer, &release);
}

static void journal_attempt(struct mf_scheduler *scheduler, struct mf_unsettled *unsettled,
                            const struct mf_live *live, const struct mf_peer *peer)
{
    struct mf_journal_attempt row = {
        .seq = live->seq,
        .id = live->id,
        .command_text = live->text,
        .attempt = unsettled->attempt,
        .state = unsettled->state,
        .host = unsettled->host,
        .rank = peer ? peer->rank : MF_WORKER_NONE,
        .outcome = unsettled->outcome,
        .region = unsettled->region,
        .is_printed = unsettled->is_printed,
    };
    struct mf_error err;

    memcpy(row.key, live->key, sizeof(row.key));
    if (mf_journal_append(scheduler->journal, &row, &err) < 0)
        mf_scheduler_fail(scheduler, &err);
    unsettled->row = row.row;
}

void mf_settle_attempt(struct mf_scheduler *scheduler, struct mf_live *live,
                       const struct mf_peer *peer, enum mf_task_state state,
                       const struct mf_outcome *outcome, const struct mf_region *region)
{
    struct mf_unsettled *unsettled = calloc(1, sizeof(*unsettled));
    bool is_shown = state == MF_TASK_DONE || state == MF_TASK_FAILED;

    if (!unsettled) {
        mf_scheduler_fail_with(scheduler, -ENOMEM, "cannot record an attempt");
        return;
    }
    unsettled->state = state;
    unsettled->attempt = live->try_number;
    unsettled->id = scheduler->catalog ? strdup(live->id) : NULL;
    unsettled->host = peer ? peer->host : "";
    unsettled->rank = peer ? peer->rank : MF_WORKER_NONE;
    unsettled->task = live->task;
    unsettled->sent = live->sent;
    unsettled->outcome = *outcome;
    unsettled->region = *region;
    unsettled->is_printed =
        !is_shown || scheduler->config.output_dir || mf_region_total(region->size) == 0;
    unsettled->is_known = state == MF_TASK_SKIPPED && mf_earlier_was_skipped(scheduler, live->key);
    if (!unsettled->is_known)
        journal_attempt(scheduler, unsettled, live, peer);
    if (state == MF_TASK_DONE)
        mf_feeds_note_done(scheduler, live->task, unsettled->row, region, unsettled->is_printed);
    if (mf_task_state_is_final(state)) {
        mf_intake_note_end(scheduler, live->task, live->id, state);
        mf_live_remove(scheduler, live);
        unsettled->live = live;
    }
    if (mf_list_is_empty(&scheduler->unsettled))
        scheduler->oldest_unsettled_ns = scheduler->now_ns;
    mf_list_push_back(&scheduler->unsettled, &unsettled->node);
}

/* What was suspended has run for less time than it took; but nothing is sent ahead then. */
static int64_t began_ns(const struct mf_scheduler *scheduler, const struct mf_live *live,
                        const struct mf_outcome *outcome)
{
    if (mf_policy_preempts(mf_farm_policy(scheduler->farm)))
        return live->sent_ns;
    return scheduler->now_ns - outcome->duration_ns;
}

static void note_times(struct mf_scheduler *scheduler, const struct mf_live *live,
                       const struct mf_outcome *outcome, uint32_t n_slots)
{
    mf_past_note_time(scheduler, began_ns(scheduler, live, outcome), scheduler->now_ns);
    scheduler->busy_ns += outcome->duration_ns * n_slots;
}

static void say_most_memory(struct mf_outcome *outcome)
{
    size_t n = strlen(outcome->detail);

    snprintf(outcome->detail + n, sizeof(outcome->detail) - n, ", and no worker has more");
}

/* Cut short by what all tasks get, in a run that stops: the farm takes that for the stop. */
static bool was_stopped(const struct mf_task *task, const struct mf_outcome *outcome)
{
    return task->state == MF_TASK_CANCELLED &&
           (outcome->cause == MF_CAUSE_TERMINATED || outcome->cause == MF_CAUSE_WALLTIME);
}

void mf_settle_attempt_ended(struct mf_scheduler *scheduler, struct mf_live *live,
                             const struct mf_peer *peer, uint32_t attempt,
                             const struct mf_outcome *outcome, const struct mf_region *region)
{
    const struct mf_task *task;
    struct mf_outcome told = *outcome;
    struct mf_event event = {.kind = MF_EVENT_ENDED,
                             .task = live->task,
                             .attempt = attempt,
                             .worker = peer->rank,
                             .cause = outcome->cause,
                             .is_innocent = outcome->slot == 0,
                             .duration_ns = outcome->duration_ns};
    int r;

    if (scheduler->has_failed)
        return;
    if (!mf_adoption_end(scheduler, &event, &r))
        r = mf_scheduler_apply(scheduler, &event);
    if (r != 0) {
        mf_region_release(scheduler, region);
        mf_settle_release(scheduler, peer->rank, live->task, attempt);
        return;
    }
    task = mf_farm_find(scheduler->farm, live->task);
    note_times(scheduler, live, outcome,
               task->spec.needs.n_slots * mf_needs_n_nodes(&task->spec.needs));
    if (task->has_most_memory)
        say_most_memory(&told);
    if (outcome->cause == MF_CAUSE_LAUNCHER || outcome->cause == MF_CAUSE_TERMINATED)
        mf_recovery_say_poison(scheduler, task, &told);
    if (was_stopped(task, outcome))
        told.cause = MF_CAUSE_STOPPED;
    mf_settle_attempt(scheduler, live, peer, task->state, &told, region);
}

/* Other tasks take all of an output, or nothing. */
static bool is_cut(const struct mf_scheduler *scheduler, const struct mf_message *message)
{
    return mf_outcome_is_success(&message->outcome) &&
           message->outcome.dropped_bytes[MF_STDOUT] > 0 &&
           mf_feeds_is_wanted(scheduler, message->task);
}

static void settle_ended(struct mf_scheduler *scheduler, struct mf_peer *peer,
                         const struct mf_message *message)
{
    struct mf_live *live = mf_live_find(scheduler, message->task);
    struct mf_message release = {
        .kind = MF_MESSAGE_RELEASE, .task = message->task, .attempt = message->attempt};
    struct mf_region region;
    struct mf_error err;

    if (!live || live->sent != message->attempt || live->transfer) {
        if (!message->is_inline || scheduler->epoch > 0)
            mf_peer_post(peer, &release);
        return;
    }
    if (!message->is_inline) {
        mf_transfer_begin(scheduler, live, peer, message);
        return;
    }
    if (mf_region_reserve(scheduler, live->task, &message->outcome, message->size, &region, &err) <
            0 ||
        mf_region_write(scheduler, &region, 0, message->payload, message->payload_size, &err) < 0) {
        mf_scheduler_fail(scheduler, &err);
        return;
    }
    mf_settle_attempt_ended(scheduler, live, peer, message->attempt, &message->outcome, &region);
}

void mf_settle_on_ended(struct mf_scheduler *scheduler, struct mf_peer *peer,
                        const struct mf_message *message)
{
    struct mf_message cut;

    if (mf_adoption_keep_ended(scheduler, peer, message))
        return;
    if (!is_cut(scheduler, message)) {
        settle_ended(scheduler, peer, message);
        return;
    }
    cut = *message;
    cut.outcome.cause = MF_CAUSE_OUTPUT;
    snprintf(cut.outcome.detail, sizeof(cut.outcome.detail),
             "it is longer than --output-limit, and another task takes it");
    settle_ended(scheduler, peer, &cut);
}

/* --- telling --- */

static void print_group(struct mf_scheduler *scheduler, uint64_t seq, uint64_t row, const char *tag,
                        const struct mf_region *region)
{
    struct mf_group group = {
        .seq = seq,
        .row = row,
        .tag = scheduler->config.tag ? tag : NULL,
        .store = mf_region_store(scheduler, region->store),
        .file = region->file,
        .offset = region->offset,
        .size = {region->size[MF_STDOUT], region->size[MF_STDERR]},
    };

    if (mf_printer_add(scheduler->printer, &group) < 0)
        mf_scheduler_fail_with(scheduler, -ENOMEM, "cannot print output");
}

static void skip_group(struct mf_scheduler *scheduler, uint64_t seq)
{
    if (mf_printer_skip(scheduler->printer, seq) < 0)
        mf_scheduler_fail_with(scheduler, -ENOMEM, "cannot print output");
}

void mf_settle_adopt_earlier(struct mf_scheduler *scheduler)
{
    struct mf_error err;

    for (uint32_t i = 0; i < scheduler->n_unprinted; i++) {
        struct mf_earlier_output *output = &scheduler->unprinted[i];

        if (output->region.store == MF_STORE_NONE) {
            output->is_gone = mf_region_total(output->region.size) > 0;
            continue;
        }
        output->is_gone =
            mf_store_adopt(mf_region_store(scheduler, output->region.store), output->region.file,
                           output->region.offset, mf_region_total(output->region.size), &err) < 0;
        if (output->is_gone && !output->is_printed)
            mf_log_warning(scheduler->config.log, "output of an earlier run is gone: %s", err.text);
    }
}

void mf_settle_print_earlier(struct mf_scheduler *scheduler, uint64_t seq, const char *tag,
                             const struct mf_earlier_output *output)
{
    if (!output || output->is_gone || scheduler->config.output_dir)
        skip_group(scheduler, seq);
    else
        print_group(scheduler, seq, output->row, tag, &output->region);
}

/* Only a task of files has such output, and its number is its place in them. */
static void feed_printed(struct mf_scheduler *scheduler, const struct mf_group *group)
{
    struct mf_region region = {.store = MF_STORE_FEED,
                               .file = group->file,
                               .offset = group->offset,
                               .size = {group->size[MF_STDOUT], group->size[MF_STDERR]}};

    mf_feeds_note_printed(scheduler, group->seq, group->row, &region);
}

/* A group is out: its bytes need not wait on disk any more. */
static void group_printed(void *arg, const struct mf_group *group)
{
    struct mf_scheduler *scheduler = arg;
    struct mf_error err;

    if (group->store == scheduler->spool)
        mf_store_release(scheduler->spool, group->file, mf_region_total(group->size));
    else if (group->store == scheduler->feed)
        feed_printed(scheduler, group);
    if (mf_journal_set_printed(scheduler->journal, group->row, &err) < 0)
        mf_scheduler_fail(scheduler, &err);
}

static void free_failure(const struct mf_kept_failure *failure)
{
    free(failure->id);
    free(failure->text);
    free(failure->cause);
}

static void keep_failure(struct mf_scheduler *scheduler, const char *id, const char *text,
                         uint32_t attempt, const char *host, const struct mf_outcome *outcome)
{
    struct mf_kept_failure failure = {
        .attempts = attempt,
        .was_started = attempt > 1 || (host[0] != '\0' && outcome->cause != MF_CAUSE_START)};
    char cause[512];

    if (scheduler->n_failures == MF_MAX_SHOWN_FAILURES)
        return;
    mf_outcome_describe_on(outcome, host, cause, sizeof(cause));
    failure.id = strdup(id);
    failure.text = strdup(text);
    failure.cause = strdup(cause);
    if (failure.id && failure.text && failure.cause)
        scheduler->failures[scheduler->n_failures++] = failure;
    else
        free_failure(&failure);
}

void mf_settle_note_end(struct mf_scheduler *scheduler, const char *id, const char *text,
                        uint32_t attempt, const char *host, enum mf_task_state state,
                        const struct mf_outcome *outcome)
{
    scheduler->n_truncated += mf_region_total(outcome->dropped_bytes) > 0;
    scheduler->n_unfit += outcome->cause == MF_CAUSE_UNFIT;
    if (state == MF_TASK_FAILED)
        keep_failure(scheduler, id, text, attempt, host, outcome);
}

/* What led to it is the text; there are few of those, of which the first are kept. */
static void keep_skip(struct mf_scheduler *scheduler, const struct mf_unsettled *unsettled)
{
    struct mf_kept_skip *skip = scheduler->skips;
    const char *cause = unsettled->outcome.detail;

    while (skip < scheduler->skips + scheduler->n_skips && strcmp(skip->cause, cause) != 0)
        skip++;
    if (skip == scheduler->skips + MF_MAX_SHOWN_SKIPS)
        return;
    if (skip == scheduler->skips + scheduler->n_skips) {
        skip->cause = strdup(cause);
        if (!skip->cause)
            return;
        scheduler->n_skips++;
    }
    skip->n_tasks++;
}

static void log_job(struct mf_scheduler *scheduler, const struct mf_unsettled *unsettled)
{
    struct mf_tsv *joblogs[] = {scheduler->joblog, scheduler->extra_joblog};

    for (size_t i = 0; i < 2; i++)
        if (joblogs[i] && mf_joblog_add(joblogs[i], unsettled->live->seq, unsettled->host,
                                        &unsettled->outcome, unsettled->live->text) < 0)
            mf_scheduler_fail_with(scheduler, -ENOMEM, "cannot write the joblog");
}

static void index_output(struct mf_scheduler *scheduler, const struct mf_unsettled *unsettled)
{
    const struct mf_region *region = &unsettled->region;
    char file[32];

    if (!scheduler->catalog || !unsettled->id || unsettled->is_known)
        return;
    snprintf(file, sizeof(file), "kept.%" PRIu32, region->file);
    if (mf_catalog_add(scheduler->catalog, unsettled->id, unsettled->attempt, unsettled->state,
                       region->store == MF_STORE_NONE ? NULL : file, region->offset,
                       region->size) < 0)
        mf_scheduler_fail_with(scheduler, -ENOMEM, "cannot write the index of the output");
}

static void tell_final(struct mf_scheduler *scheduler, struct mf_unsettled *unsettled)
{
    const struct mf_live *live = unsettled->live;

    if (!unsettled->is_known)
        log_job(scheduler, unsettled);
    mf_feeds_note_taker_ended(scheduler, live, unsettled->state);
    if (unsettled->is_printed)
        skip_group(scheduler, live->seq);
    else
        print_group(scheduler, live->seq, unsettled->row, live->tag, &unsettled->region);
    if (unsettled->state == MF_TASK_DONE)
        scheduler->n_done++;
    else if (unsettled->state == MF_TASK_FAILED)
        scheduler->n_failed++;
    else if (unsettled->state == MF_TASK_SKIPPED)
        scheduler->n_skipped++;
    else
        scheduler->n_cancelled++;
    if (unsettled->state == MF_TASK_SKIPPED)
        keep_skip(scheduler, unsettled);
    mf_settle_note_end(scheduler, live->id, live->text, unsettled->attempt, unsettled->host,
                       unsettled->state, &unsettled->outcome);
}

static void free_unsettled(struct mf_unsettled *unsettled)
{
    mf_list_remove(&unsettled->node);
    mf_live_free(unsettled->live);
    free(unsettled->id);
    free(unsettled);
}

static void tell(struct mf_scheduler *scheduler)
{
    struct mf_tsv *tables[] = {scheduler->joblog, scheduler->extra_joblog, scheduler->catalog};
    struct mf_error err;

    mf_list_for_each_safe (node, &scheduler->unsettled) {
        struct mf_unsettled *unsettled = mf_container_of(node, struct mf_unsettled, node);

        index_output(scheduler, unsettled);
        if (unsettled->live)
            tell_final(scheduler, unsettled);
        mf_settle_release(scheduler, unsettled->rank, unsettled->task, unsettled->sent);
        free_unsettled(unsettled);
    }
    for (size_t i = 0; i < 3; i++)
        if (tables[i] && mf_tsv_flush(tables[i], &err) < 0)
            mf_scheduler_fail(scheduler, &err);
}

/* --- committing --- */

/* Something waits for a commit, or to be told behind one. */
static bool has_pending(const struct mf_scheduler *scheduler)
{
    return mf_journal_pending(scheduler->journal) > 0 || !mf_list_is_empty(&scheduler->unsettled);
}

int64_t mf_settle_next_ns(const struct mf_scheduler *scheduler)
{
    int64_t after_ns = scheduler->commit_cost_ns * COMMIT_SHARE;

    if (scheduler->has_failed || !has_pending(scheduler))
        return INT64_MAX;
    if (after_ns < COMMIT_AFTER_NS)
        after_ns = COMMIT_AFTER_NS;
    /* Marks of printed output are in no hurry, unless another scheduler would print it again. */
    if (mf_list_is_empty(&scheduler->unsettled) && scheduler->epoch > 0)
        return scheduler->last_commit_ns + after_ns;
    if (mf_list_is_empty(&scheduler->unsettled))
        return scheduler->last_commit_ns + MF_NS_PER_S;
    return scheduler->oldest_unsettled_ns + after_ns;
}

/* What the journal says of an output must not be more durable than the output. */
static int commit(struct mf_scheduler *scheduler, struct mf_error *err)
{
    int r = mf_reign_check(scheduler, err);

    if (r == 0)
        r = mf_store_sync(scheduler->kept, err);
    if (r == 0)
        r = mf_store_sync(scheduler->spool, err);
    if (r == 0)
        r = mf_store_sync(scheduler->feed, err);
    if (r == 0)
        r = mf_journal_commit(scheduler->journal, err);
    return r;
}

void mf_settle_turn(struct mf_scheduler *scheduler, bool now)
{
    uint64_t n_pending = mf_journal_pending(scheduler->journal);
    int64_t began_ns;
    struct mf_error err;

    if (scheduler->has_failed || !has_pending(scheduler))
        return;
    if (!now && n_pending < COMMIT_RECORDS && scheduler->now_ns < mf_settle_next_ns(scheduler))
        return;
    began_ns = scheduler->config.clock_ns();
    if (commit(scheduler, &err) < 0) {
        mf_scheduler_fail(scheduler, &err);
        return;
    }
    scheduler->last_commit_ns = scheduler->now_ns;
    scheduler->commit_cost_ns = scheduler->config.clock_ns() - began_ns;
    tell(scheduler);
}

void mf_settle_rescue(struct mf_scheduler *scheduler)
{
    struct mf_error err;

    if (!scheduler->is_superseded && commit(scheduler, &err) == 0)
        tell(scheduler);
    else
        mf_journal_discard(scheduler->journal);
}

bool mf_settle_is_backed_up(const struct mf_scheduler *scheduler)
{
    return mf_printer_backlog(scheduler->printer) > BACKLOG_BYTES;
}

/* --- life --- */

/* DIR/NAME in path, which holds PATH_MAX bytes. */
static int join(char *path, const char *dir, const char *name, struct mf_error *err)
{
    if (snprintf(path, PATH_MAX, "%s/%s", dir, name) >= PATH_MAX)
        return mf_error_set(err, -ENAMETOOLONG, "%s: the name is too long", dir);
    return 0;
}

static int open_stores(struct mf_scheduler *scheduler, struct mf_error *err)
{
    const char *output_dir = scheduler->config.output_dir;
    char out[PATH_MAX];
    int r = join(out, scheduler->config.run_dir, "out", err);

    if (r == 0)
        r = mf_store_open(output_dir ? output_dir : out, "kept", STORE_FILE_BYTES, &scheduler->kept,
                          err);
    if (r == 0)
        r = mf_store_open(out, "spool", STORE_FILE_BYTES, &scheduler->spool, err);
    if (r == 0)
        r = mf_store_open(out, "feed", FEED_FILE_BYTES, &scheduler->feed, err);
    return r;
}

/* A job log of the user that is the run directory's own gets each line once. */
static bool is_same_file(const char *path, const char *other)
{
    struct stat a, b;

    return stat(path, &a) == 0 && stat(other, &b) == 0 && mf_is_same_file(&a, &b);
}

static int open_tables(struct mf_scheduler *scheduler, struct mf_error *err)
{
    const struct mf_scheduler_config *config = &scheduler->config;
    bool append = config->resume != MF_RESUME_NONE;
    char path[PATH_MAX];
    int r = join(path, config->run_dir, MF_RUNDIR_JOBLOG, err);

    if (r == 0)
        r = mf_joblog_open(path, append, &scheduler->joblog, err);
    if (r == 0 && config->joblog && !is_same_file(path, config->joblog))
        r = mf_joblog_open(config->joblog, append, &scheduler->extra_joblog, err);
    if (r < 0 || !config->output_dir)
        return r;
    r = join(path, config->output_dir, "index.tsv", err);
    return r < 0 ? r : mf_catalog_open(path, append, &scheduler->catalog, err);
}

int mf_settle_create(struct mf_scheduler *scheduler, struct mf_error *err)
{
    struct mf_printer_config printer = {
        .fds = {1, 2},
        .keep_order = scheduler->config.keep_order,
        .printed = group_printed,
        .arg = scheduler,
    };
    int r;

    mf_list_init(&scheduler->unsettled);
    r = open_stores(scheduler, err);
    if (r == 0)
        r = open_tables(scheduler, err);
    if (r < 0)
        return r;
    r = mf_printer_create(&printer, scheduler->config.loop, &scheduler->printer);
    return r < 0 ? mf_error_set(err, r, "cannot print: %s", strerror(-r)) : 0;
}

void mf_settle_destroy(struct mf_scheduler *scheduler)
{
    mf_list_for_each_safe (node, &scheduler->unsettled)
        free_unsettled(mf_container_of(node, struct mf_unsettled, node));
    for (uint32_t i = 0; i < scheduler->n_failures; i++) {
        free_failure(&scheduler->failures[i]);
    }
    for (uint32_t i = 0; i < scheduler->n_skips; i++)
        free(scheduler->skips[i].cause);
    mf_printer_destroy(scheduler->printer);
    mf_store_close(scheduler->kept);
    mf_store_close(scheduler->spool);
    mf_store_close(scheduler->feed);
    mf_tsv_close(scheduler->joblog, NULL);
    mf_tsv_close(scheduler->extra_joblog, NULL);
    mf_tsv_close(scheduler->catalog, NULL);
}
