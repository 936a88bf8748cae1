/*
 * What the journal of an earlier run tells of the tasks of this one: which have ended, where
 * their output is, and how often they were tried. Runs in rank 0's only thread.
 */
#include "runtime/scheduler_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

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

/*
 * Attempts are numbered on where a task is run again. They are found by the task's id, since that
 * is how the user asks for them. What is DONE is run again only for its output.
 */
static int note_number(struct mf_scheduler *scheduler, const struct mf_journal_attempt *attempt)
{
    struct mf_earlier_tries *tries = &scheduler->earlier_tries;
    uint32_t number, *numbers;

    if (attempt->host[0] == '\0' ||
        (attempt->state == MF_TASK_DONE && !may_be_taken(scheduler, attempt)))
        return 0;
    if (mf_names_number(&tries->ids, attempt->id, strlen(attempt->id), UINT32_MAX, &number) < 0)
        return -ENOMEM;
    if (number > tries->n) {
        numbers = reallocarray(tries->numbers, 2 * (size_t)number, sizeof(*numbers));
        if (!numbers)
            return -ENOMEM;
        memset(numbers + tries->n, 0, (2 * (size_t)number - tries->n) * sizeof(*numbers));
        tries->numbers = numbers;
        tries->n = 2 * number;
    }
    if (number > 0 && tries->numbers[number - 1] < attempt->attempt)
        tries->numbers[number - 1] = attempt->attempt;
    return 0;
}

uint32_t mf_earlier_attempts(struct mf_scheduler *scheduler, const char *id)
{
    struct mf_earlier_tries *tries = &scheduler->earlier_tries;
    uint32_t number = 0;

    /* As many names as there are: none is added. */
    if (tries->ids.n > 0)
        (void)mf_names_number(&tries->ids, id, strlen(id), tries->ids.n, &number);
    return number > 0 ? tries->numbers[number - 1] : 0;
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

/* A try that was not the last. Of one before it the scheduler may have died before it was recorded,
 * but it has ended as well. */
static void note_try(struct mf_scheduler *scheduler, const struct mf_journal_attempt *attempt,
                     struct mf_task_history *history)
{
    const struct mf_outcome *outcome = &attempt->outcome;

    history->n_tries = attempt->attempt - mf_earlier_attempts(scheduler, attempt->id);
    if (mf_cause_is_charged(outcome->cause))
        history->failed[mf_budget_of(outcome->cause)]++;
    else
        history->n_lost += outcome->cause == MF_CAUSE_LOST ||
                           (outcome->slot > 0 && outcome->cause != MF_CAUSE_WALLTIME);
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
    where->ran_ns += mf_past_note_attempt(load->scheduler, attempt);
    if (attempt->state == MF_TASK_READY)
        note_try(load->scheduler, attempt, &where->history);
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
    r = note_number(load->scheduler, attempt);

    if (r < 0)
        return r;
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

int mf_earlier_load(struct mf_scheduler *scheduler, struct mf_error *err)
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

bool mf_earlier_was_skipped(struct mf_scheduler *scheduler, const uint8_t *key)
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

enum mf_task_state mf_earlier_state(const struct mf_scheduler *scheduler,
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

struct mf_earlier_output *mf_earlier_find_output(const struct mf_scheduler *scheduler,
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

/* How a task ended that was settled before a takeover. */
static enum mf_task_state settle_in_this_run(struct mf_scheduler *scheduler,
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

enum mf_task_state mf_earlier_settle(struct mf_scheduler *scheduler, const struct mf_entry *entry,
                                     const struct mf_task_history **ret_history)
{
    const struct mf_command *command = &entry->command;
    enum mf_task_state state;
    uint8_t key[MF_KEY_SIZE];
    struct mf_earlier_place *where;
    struct mf_earlier *earlier;

    *ret_history = NULL;
    if (!scheduler->earlier || mf_feeds_must_rerun(scheduler, command->seq))
        return MF_TASK_WAITING;
    mf_command_key(command, key);
    where = find_place(scheduler->this_run, command, key);
    if (where) {
        scheduler->busy_ns +=
            where->ran_ns * entry->needs.n_slots * mf_needs_n_nodes(&entry->needs);
        *ret_history = &where->history;
    }
    if (where && mf_task_state_is_final(where->state))
        return settle_in_this_run(scheduler, command, where);
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

void mf_earlier_finish(struct mf_scheduler *scheduler)
{
    mf_table_destroy(scheduler->earlier);
    mf_table_destroy(scheduler->this_run);
    mf_table_destroy(scheduler->earlier_places);
    mf_table_destroy(scheduler->earlier_outs);
    free(scheduler->unprinted);
    mf_names_finish(&scheduler->earlier_tries.ids);
    free(scheduler->earlier_tries.numbers);
}
