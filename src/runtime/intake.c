/*
 * Tasks from the source into the farm, skipping those that an earlier run has
 * done. Runs in rank 0's only thread.
 */
#include "runtime/scheduler_private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

/* Entries read in one turn: enough to be cheap, few enough that a turn stays short. */
#define ENTRIES_PER_TURN 2048

/* Tasks that nobody has room for, past which others are read: all of them are held in memory. */
#define MAX_ASIDE (64 * 1024)

/* --- what was done earlier --- */

struct load {
    struct mf_scheduler *scheduler;
    uint32_t capacity;
};

/*
 * Notes the output of a row; one that was not printed is found by its command, if that is known,
 * and by its place where one is known.
 */
static int note_output(struct load *load, struct mf_earlier *earlier,
                       struct mf_earlier_place *where, const struct mf_journal_attempt *attempt)
{
    struct mf_scheduler *scheduler = load->scheduler;

    if (scheduler->n_unprinted == load->capacity) {
        uint32_t capacity = load->capacity ? 2 * load->capacity : 64;
        void *grown = realloc(scheduler->unprinted, capacity * sizeof(*scheduler->unprinted));

        if (!grown)
            return -ENOMEM;
        scheduler->unprinted = grown;
        load->capacity = capacity;
    }
    scheduler->unprinted[scheduler->n_unprinted++] =
        (struct mf_earlier_output){.is_printed = attempt->is_printed,
                                   .row = attempt->row,
                                   .region = attempt->region,
                                   .next = earlier ? earlier->first_unprinted : 0};
    if (attempt->is_printed)
        return 0;
    if (earlier)
        earlier->first_unprinted = scheduler->n_unprinted;
    if (where)
        where->unprinted = scheduler->n_unprinted;
    return 0;
}

/* A task and where it stood in the input. */
struct place {
    uint8_t key[MF_KEY_SIZE];
    uint64_t seq;
};
_Static_assert(sizeof(struct place) == MF_KEY_SIZE + sizeof(uint64_t), "compared as memory");

/*
 * Which of several equal commands it was matters where tasks come after others.
 * The last attempt in a place replaces what was noted of those before it.
 */
static int note_place(struct mf_scheduler *scheduler, const struct mf_journal_attempt *attempt,
                      struct mf_earlier_place **ret_where)
{
    struct place place = {.seq = attempt->seq};
    void *where;

    *ret_where = NULL;
    if (!scheduler->earlier_places)
        return 0;
    memcpy(place.key, attempt->key, sizeof(place.key));
    if (mf_table_insert(scheduler->earlier_places, &place, &where) < 0)
        return -ENOMEM;
    *ret_where = where;
    **ret_where = (struct mf_earlier_place){.state = attempt->state};
    return 0;
}

/* Where the output is of a task that was in this place, and of one with a given id in any. */
static int note_out(struct mf_scheduler *scheduler, const struct mf_journal_attempt *attempt,
                    uint32_t index)
{
    struct place place = {.seq = attempt->seq};
    void *found;

    memcpy(place.key, attempt->key, sizeof(place.key));
    for (int i = 0; i < 2; i++, place.seq = 0) {
        if (mf_table_insert(scheduler->earlier_outs, &place, &found) < 0)
            return -ENOMEM;
        *(uint32_t *)found = index;
    }
    return 0;
}

/* Whether its output may still be there, when a task takes it. Printed output is not kept. */
static bool may_be_taken(const struct mf_scheduler *scheduler,
                         const struct mf_journal_attempt *attempt)
{
    return scheduler->earlier_outs && attempt->state == MF_TASK_DONE &&
           attempt->region.store != MF_STORE_SPOOL;
}

static int note_any_output(struct load *load, struct mf_earlier *earlier,
                           struct mf_earlier_place *where, const struct mf_journal_attempt *attempt)
{
    int r;

    /* What waits for others is given up here if it is not wanted any more. */
    if (attempt->is_printed && attempt->region.store != MF_STORE_FEED &&
        !may_be_taken(load->scheduler, attempt))
        return 0;
    r = note_output(load, earlier, where, attempt);
    if (r == 0 && may_be_taken(load->scheduler, attempt))
        r = note_out(load->scheduler, attempt, load->scheduler->n_unprinted - 1);
    return r;
}

/*
 * After a takeover, the input is what it was: each task has its place in it, and what was tried
 * counts. Of equal commands some may run on workers, so that one must not stand for another.
 */
static int note_of_this_run(struct load *load, const struct mf_journal_attempt *attempt)
{
    struct place place = {.seq = attempt->seq};
    struct mf_earlier_place *where;
    void *found;

    memcpy(place.key, attempt->key, sizeof(place.key));
    if (mf_table_insert(load->scheduler->this_run, &place, &found) < 0)
        return -ENOMEM;
    where = found;
    where->state = attempt->state;
    if (attempt->state == MF_TASK_READY && attempt->outcome.cause == MF_CAUSE_LOST)
        where->history.n_lost++;
    else if (attempt->state == MF_TASK_READY)
        where->history.failed[mf_budget_of(attempt->outcome.cause)]++;
    if (attempt->state != MF_TASK_DONE && attempt->state != MF_TASK_FAILED)
        return 0;
    return note_any_output(load, NULL, where, attempt);
}

static int note_attempt(void *arg, const struct mf_journal_attempt *attempt)
{
    struct load *load = arg;
    struct mf_earlier_place *where;
    void *place;
    int r;

    if (load->scheduler->this_run && attempt->row >= load->scheduler->first_row &&
        attempt->state != MF_TASK_SKIPPED)
        return note_of_this_run(load, attempt);
    if (attempt->state == MF_TASK_FAILED && load->scheduler->config.resume == MF_RESUME_WITH_FAILED)
        return 0;
    if (attempt->state != MF_TASK_DONE && attempt->state != MF_TASK_FAILED &&
        attempt->state != MF_TASK_SKIPPED)
        return 0; /* tried again, or cancelled */
    r = mf_table_insert(load->scheduler->earlier, attempt->key, &place);
    if (r < 0)
        return r;
    struct mf_earlier *earlier = place;
    if (attempt->state == MF_TASK_SKIPPED) {
        earlier->n_skipped++;
        return 0;
    }
    r = note_place(load->scheduler, attempt, &where);
    if (r < 0)
        return r;
    if (attempt->state == MF_TASK_DONE)
        earlier->n_done++;
    else
        earlier->n_failed++;
    return note_any_output(load, earlier, where, attempt);
}

int mf_intake_load_earlier(struct mf_scheduler *scheduler, struct mf_error *err)
{
    struct load load = {.scheduler = scheduler};
    struct mf_source_summary summary;
    int r;

    if (scheduler->config.resume == MF_RESUME_NONE)
        return 0;
    r = mf_table_create(MF_KEY_SIZE, sizeof(struct mf_earlier), &scheduler->earlier);
    if (r == 0 && scheduler->has_dependencies)
        r = mf_table_create(sizeof(struct place), sizeof(struct mf_earlier_place),
                            &scheduler->earlier_places);
    if (r == 0 && scheduler->config.is_takeover)
        r = mf_table_create(sizeof(struct place), sizeof(struct mf_earlier_place),
                            &scheduler->this_run);
    mf_source_summarize(scheduler->config.source, &summary);
    if (r == 0 && summary.has_outs)
        r = mf_table_create(sizeof(struct place), sizeof(uint32_t), &scheduler->earlier_outs);
    if (r < 0)
        return mf_error_set(err, r, "out of memory");
    return mf_journal_each(scheduler->journal, note_attempt, &load, err);
}

bool mf_intake_was_skipped(struct mf_scheduler *scheduler, const uint8_t *key)
{
    struct mf_earlier *earlier = scheduler->earlier ? mf_table_find(scheduler->earlier, key) : NULL;

    if (!earlier || earlier->n_skipped == 0)
        return false;
    earlier->n_skipped--;
    return true;
}

/* Whether it matters which of several equal commands a task is, and its id does not tell. */
static bool is_bound_to_place(const struct mf_scheduler *scheduler,
                              const struct mf_command *command)
{
    struct mf_source_summary summary;

    if (!scheduler->earlier_places || command->has_given_id)
        return false;
    mf_source_summarize(scheduler->config.source, &summary);
    return summary.has_dependencies;
}

static struct mf_earlier_place *find_place(const struct mf_table *places,
                                           const struct mf_command *command, const uint8_t *key)
{
    struct place place = {.seq = command->seq};

    memcpy(place.key, key, sizeof(place.key));
    return places ? mf_table_find(places, &place) : NULL;
}

/*
 * Which of the earlier ends of equal commands is that of this task, or WAITING
 * for none. They are interchangeable, so each done one in the journal stands
 * for one in the input; of those left, as many as failed count as failed. But
 * where tasks come after others, only the one that stood in the same place is
 * surely the same.
 */
static enum mf_task_state choose_end(const struct mf_scheduler *scheduler,
                                     const struct mf_earlier *earlier,
                                     const struct mf_command *command, const uint8_t *key)
{
    if (is_bound_to_place(scheduler, command)) {
        const struct mf_earlier_place *where = find_place(scheduler->earlier_places, command, key);

        return where ? where->state : MF_TASK_WAITING;
    }
    if (earlier->n_done > 0)
        return MF_TASK_DONE;
    return earlier->n_failed > 0 ? MF_TASK_FAILED : MF_TASK_WAITING;
}

enum mf_task_state mf_intake_ended_earlier(const struct mf_scheduler *scheduler,
                                           const struct mf_command *command)
{
    const struct mf_earlier_place *where;
    const struct mf_earlier *earlier;
    uint8_t key[MF_KEY_SIZE];

    mf_command_key(command, key);
    where = find_place(scheduler->this_run, command, key);
    if (where)
        return mf_task_state_is_final(where->state) ? where->state : MF_TASK_WAITING;
    earlier = mf_table_find(scheduler->earlier, key);
    return earlier ? choose_end(scheduler, earlier, command, key) : MF_TASK_WAITING;
}

struct mf_earlier_output *mf_intake_earlier_output(const struct mf_scheduler *scheduler,
                                                   const struct mf_command *command)
{
    struct place place = {.seq = is_bound_to_place(scheduler, command) ? command->seq : 0};
    const uint32_t *index;

    mf_command_key(command, place.key);
    if (find_place(scheduler->this_run, command, place.key))
        place.seq = command->seq;
    index = mf_table_find(scheduler->earlier_outs, &place);
    return index ? &scheduler->unprinted[*index] : NULL;
}

/*
 * The unprinted output of this task, or NULL. It is handed out once. A task that is
 * bound to its place has its own, as another task may take that; of other equal
 * commands any will do.
 */
static struct mf_earlier_output *take_unprinted(struct mf_scheduler *scheduler,
                                                struct mf_earlier *earlier,
                                                const struct mf_command *command,
                                                const uint8_t *key)
{
    struct mf_earlier_output *output;
    uint32_t number;

    if (is_bound_to_place(scheduler, command)) {
        struct mf_earlier_place *where = find_place(scheduler->earlier_places, command, key);

        number = where ? where->unprinted : 0;
        if (where)
            where->unprinted = 0;
        return number > 0 ? &scheduler->unprinted[number - 1] : NULL;
    }
    if (earlier->first_unprinted == 0)
        return NULL;
    output = &scheduler->unprinted[earlier->first_unprinted - 1];
    earlier->first_unprinted = output->next;
    return output;
}

/* The same of a task that was settled before a takeover. */
static enum mf_task_state settled_in_this_run(struct mf_scheduler *scheduler,
                                              const struct mf_command *command,
                                              struct mf_earlier_place *where)
{
    const struct mf_earlier_output *output =
        where->unprinted > 0 ? &scheduler->unprinted[where->unprinted - 1] : NULL;

    scheduler->n_done += where->state == MF_TASK_DONE;
    scheduler->n_failed += where->state == MF_TASK_FAILED;
    scheduler->n_cancelled += where->state == MF_TASK_CANCELLED;
    where->unprinted = 0;
    mf_settle_print_earlier(scheduler, command->seq, command->tag, output);
    return where->state;
}

/* How this task ended, if the journal already has it; else WAITING, and what it has been through.
 */
static enum mf_task_state settled_earlier(struct mf_scheduler *scheduler,
                                          const struct mf_command *command,
                                          const struct mf_task_history **ret_history)
{
    enum mf_task_state state;
    uint8_t key[MF_KEY_SIZE];
    struct mf_earlier_place *where;
    struct mf_earlier *earlier;

    *ret_history = NULL;
    if (!scheduler->earlier || mf_feeds_must_rerun(scheduler, command->seq))
        return MF_TASK_WAITING;
    mf_command_key(command, key);
    where = find_place(scheduler->this_run, command, key);
    if (where && mf_task_state_is_final(where->state))
        return settled_in_this_run(scheduler, command, where);
    if (where)
        *ret_history = &where->history;
    /* A worker has it: what is done of equal commands is not this one. */
    if (where || mf_adoption_awaits(scheduler, mf_farm_last_id(scheduler->farm) + 1))
        return MF_TASK_WAITING;
    earlier = mf_table_find(scheduler->earlier, key);
    if (!earlier)
        return MF_TASK_WAITING;
    state = choose_end(scheduler, earlier, command, key);
    switch (state) {
    case MF_TASK_DONE:
        earlier->n_done--;
        scheduler->n_done_earlier++;
        break;
    case MF_TASK_FAILED:
        earlier->n_failed--;
        scheduler->n_failed_earlier++;
        break;
    default:
        return MF_TASK_WAITING;
    }
    mf_settle_print_earlier(scheduler, command->seq, command->tag,
                            take_unprinted(scheduler, earlier, command, key));
    return state;
}

/* --- reading --- */

static void source_is_readable(void *arg, uint32_t events)
{
    struct mf_scheduler *scheduler = arg;

    scheduler->is_source_waiting = false;
    mf_loop_modify(scheduler->config.loop, scheduler->source_watch, 0);
}

static void wait_for_source(struct mf_scheduler *scheduler)
{
    struct mf_loop *loop = scheduler->config.loop;
    int fd = mf_source_fd(scheduler->config.source);
    struct mf_error err;
    int r;

    if (scheduler->source_watch)
        r = mf_loop_modify(loop, scheduler->source_watch, EPOLLIN);
    else
        r = mf_loop_add(loop, fd, EPOLLIN, source_is_readable, scheduler, &scheduler->source_watch);
    scheduler->is_source_waiting = r == 0;
    if (r < 0) {
        mf_error_set(&err, r, "the input cannot be waited for: %s", strerror(-r));
        mf_scheduler_fail(scheduler, &err);
    }
}

static void close_input(struct mf_scheduler *scheduler)
{
    struct mf_event closed = {.kind = MF_EVENT_CLOSED};

    scheduler->is_source_done = true;
    mf_loop_remove(scheduler->config.loop, scheduler->source_watch);
    scheduler->source_watch = NULL;
    mf_scheduler_apply(scheduler, &closed);
}

/* What was read before a bad line runs to its end; nothing after it is guessed at. */
static void refuse_input(struct mf_scheduler *scheduler, const struct mf_error *err)
{
    mf_log_error(scheduler->config.log, "%s", err->text);
    scheduler->is_input_bad = true;
    strcpy(scheduler->stopped_by, "the bad input above");
    close_input(scheduler);
}

/* --- ends that others may come after --- */

void mf_intake_note_end(struct mf_scheduler *scheduler, mf_task_id task, const char *id,
                        enum mf_task_state state)
{
    void *place;

    if (!scheduler->bad_ends || state == MF_TASK_DONE)
        return;
    /* Without memory for it, tasks that are skipped name its number. */
    if (mf_table_insert(scheduler->bad_ends, &task, &place) == 0)
        *(struct mf_bad_end *)place = (struct mf_bad_end){strdup(id), state};
}

char *mf_intake_explain_skip(const struct mf_scheduler *scheduler, mf_task_id root, char *text,
                             size_t size)
{
    const struct mf_bad_end *end = mf_table_find(scheduler->bad_ends, &root);
    const char *how = "did not fail";

    if (root > mf_farm_last_id(scheduler->farm))
        how = "was never submitted";
    if (end && end->state == MF_TASK_FAILED)
        how = "failed";
    else if (end)
        how = "was cancelled";
    if (end && end->id)
        snprintf(text, size, "task %s %s", end->id, how);
    else
        snprintf(text, size, "task number %" PRIu64 " %s", root, how);
    return text;
}

/* --- into the farm --- */

/* A task that an earlier run has settled still has its number where others count on it, or another
 * scheduler may. */
static void submit_settled(struct mf_scheduler *scheduler, const struct mf_entry *entry,
                           enum mf_task_state state)
{
    struct mf_event event = {.kind = MF_EVENT_SETTLED, .state = state};

    if (!scheduler->has_dependencies && scheduler->epoch == 0)
        return;
    if (mf_scheduler_apply(scheduler, &event) != 0)
        return;
    mf_intake_note_end(scheduler, mf_farm_last_id(scheduler->farm), entry->command.id, state);
    mf_adoption_on_settled(scheduler, mf_farm_last_id(scheduler->farm));
}

static int64_t deadline_of(const struct mf_scheduler *scheduler, const struct mf_entry *entry)
{
    int64_t deadline_ns;

    if (entry->deadline_ns == 0)
        return 0;
    if (__builtin_add_overflow(scheduler->created_ns, entry->deadline_ns, &deadline_ns))
        return INT64_MAX;
    return deadline_ns;
}

/* Its share, if the user gives it one. */
static void tell_share(struct mf_scheduler *scheduler, uint32_t group, const char *name)
{
    for (uint32_t i = 0; i < scheduler->config.n_shares; i++) {
        const struct mf_group_share *share = &scheduler->config.shares[i];
        struct mf_event event = {.kind = MF_EVENT_SHARE,
                                 .spec = {.group = group, .weight = (float)share->share}};

        if (strlen(name) == share->name_size && memcmp(name, share->name, share->name_size) == 0)
            mf_scheduler_apply(scheduler, &event);
    }
}

/* The source numbers groups as it comes upon them. */
static void meet_group(struct mf_scheduler *scheduler, uint32_t group)
{
    while (scheduler->last_group < group) {
        const char *name = mf_source_group_name(scheduler->config.source, ++scheduler->last_group);

        if (name)
            tell_share(scheduler, scheduler->last_group, name);
    }
}

static void submit(struct mf_scheduler *scheduler, const struct mf_entry *entry)
{
    struct mf_event event = {.kind = MF_EVENT_SUBMITTED};
    enum mf_task_state earlier = settled_earlier(scheduler, &entry->command, &event.history);

    scheduler->n_entries++;
    if (earlier != MF_TASK_WAITING) {
        submit_settled(scheduler, entry, earlier);
        return;
    }
    mf_learned_meet_kind(scheduler, entry->kind);
    meet_group(scheduler, entry->group);
    event.after = entry->after;
    event.n_after = entry->n_after;
    event.spec = (struct mf_task_spec){
        .cookie = entry->cookie,
        .needs = entry->needs,
        .priority = entry->priority,
        .group = entry->group,
        .kind = entry->kind,
        .weight = entry->weight,
        .estimate_ns = entry->estimate_ns,
        .deadline_ns = deadline_of(scheduler, entry),
        .upward_ns = entry->upward_ns,
        .max_attempts = entry->attempts ? entry->attempts : scheduler->config.attempts,
        .is_suspendable = !entry->command.function,
    };
    event.is_withheld = mf_adoption_awaits(scheduler, mf_farm_last_id(scheduler->farm) + 1);
    if (mf_scheduler_apply(scheduler, &event) == 0)
        mf_adoption_on_submitted(scheduler, mf_farm_last_id(scheduler->farm));
}

/*
 * Tasks that could be placed, or are. Those that wait for others or a licence do not count, nor
 * those that fit nowhere or into no time that is left, up to a bound: what is behind them may fit.
 */
static uint64_t count_at_hand(const struct mf_scheduler *scheduler)
{
    uint64_t n_aside = mf_farm_n_aside(scheduler->farm) + mf_farm_n_late(scheduler->farm);
    struct mf_farm_counts counts;

    mf_farm_count(scheduler->farm, &counts);
    return counts.by_state[MF_TASK_READY] - mf_farm_n_parked(scheduler->farm) -
           (n_aside < MAX_ASIDE ? n_aside : MAX_ASIDE) + counts.by_state[MF_TASK_PLACED] +
           counts.by_state[MF_TASK_RUNNING];
}

/* --- barriers --- */

static bool is_any_bad(const struct mf_scheduler *scheduler)
{
    struct mf_farm_counts counts;

    mf_farm_count(scheduler->farm, &counts);
    return counts.by_state[MF_TASK_FAILED] + counts.by_state[MF_TASK_CANCELLED] +
               counts.by_state[MF_TASK_SKIPPED] + scheduler->n_failed_earlier >
           0;
}

static bool is_any_unfinished(const struct mf_scheduler *scheduler)
{
    struct mf_farm_counts counts;

    mf_farm_count(scheduler->farm, &counts);
    return counts.by_state[MF_TASK_WAITING] + counts.by_state[MF_TASK_READY] +
               counts.by_state[MF_TASK_PLACED] + counts.by_state[MF_TASK_RUNNING] +
               counts.by_state[MF_TASK_SUSPENDED] >
           0;
}

/*
 * Submits the entry behind the barrier once all before it have ended. Until
 * then nothing is read. Returns whether that is so.
 */
static bool pass_barrier(struct mf_scheduler *scheduler)
{
    const struct mf_entry *entry;
    struct mf_error err;

    if (is_any_unfinished(scheduler))
        return false;
    if (mf_source_load(scheduler->config.source, scheduler->held_cookie, &entry, &err) < 0) {
        refuse_input(scheduler, &err);
        return false;
    }
    if (entry->barrier_checks && is_any_bad(scheduler)) {
        mf_scheduler_stop(
            scheduler, MF_STOP_SOON,
            "a barrier: a task before it was not done, and --resume-failed tries it again");
        return false;
    }
    scheduler->is_at_barrier = false;
    submit(scheduler, entry);
    return true;
}

/* Submits an entry, unless it has to wait at a barrier. */
static void take_in(struct mf_scheduler *scheduler, const struct mf_entry *entry)
{
    if (!entry->is_behind_barrier) {
        submit(scheduler, entry);
        return;
    }
    scheduler->is_at_barrier = true;
    scheduler->held_cookie = entry->cookie;
    pass_barrier(scheduler);
}

/* --- the turn --- */

static bool may_read(const struct mf_scheduler *scheduler)
{
    return !scheduler->is_source_done && !scheduler->is_source_waiting && !scheduler->has_failed &&
           mf_farm_stopping(scheduler->farm) == MF_STOP_NONE;
}

bool mf_intake_may_go_on(const struct mf_scheduler *scheduler)
{
    if (scheduler->is_at_barrier)
        return !is_any_unfinished(scheduler);
    return may_read(scheduler) && count_at_hand(scheduler) < scheduler->lookahead;
}

bool mf_intake_turn(struct mf_scheduler *scheduler)
{
    const struct mf_entry *entry;
    uint64_t n_at_hand;
    struct mf_error err;

    if (!may_read(scheduler) || (scheduler->is_at_barrier && !pass_barrier(scheduler)))
        return false;
    n_at_hand = count_at_hand(scheduler);
    for (int i = 0; i < ENTRIES_PER_TURN; i++, n_at_hand++) {
        /* Those that turned out to wait for others count no more. */
        if (n_at_hand >= scheduler->lookahead)
            n_at_hand = count_at_hand(scheduler);
        if (scheduler->is_at_barrier || n_at_hand >= scheduler->lookahead)
            return false;
        int r = mf_source_next(scheduler->config.source, &entry, &err);
        if (r == 0) {
            take_in(scheduler, entry);
            continue;
        }
        if (r == -EAGAIN)
            wait_for_source(scheduler);
        else if (r == 1)
            close_input(scheduler);
        else
            refuse_input(scheduler, &err);
        return false;
    }
    return true;
}

static void free_bad_ends(struct mf_scheduler *scheduler)
{
    size_t cursor = 0;
    void *end;

    while (scheduler->bad_ends && mf_table_next(scheduler->bad_ends, &cursor, NULL, &end))
        free(((struct mf_bad_end *)end)->id);
    mf_table_destroy(scheduler->bad_ends);
}

void mf_intake_finish(struct mf_scheduler *scheduler)
{
    mf_loop_remove(scheduler->config.loop, scheduler->source_watch);
    mf_table_destroy(scheduler->earlier);
    mf_table_destroy(scheduler->this_run);
    mf_table_destroy(scheduler->earlier_places);
    mf_table_destroy(scheduler->earlier_outs);
    free(scheduler->unprinted);
    free_bad_ends(scheduler);
}
