/*
 * Tasks that the user withdraws from a running farm. Runs in rank 0's only thread.
 *
 * They are known by their ids, which the farm's core does not know and which
 * stay in the input: they are looked for a few at a time, in all tasks that are
 * known and in those that come later, until all were found. Those that are not
 * among the known ones may have ended: that is looked for in the journal, a few
 * rows at a time. Then who asked is answered; who asks meanwhile is next.
 */
#include "runtime/cancelling.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Tasks looked at in one turn: each may have to be read from the input again. */
#define LOOKS_PER_TURN 512

/* Rows of the journal read in one turn. */
#define ROWS_PER_TURN 2048

/* Ids that can be cancelled in one run. */
#define MAX_CANCELLED 1000000

/* Who waits for an answer about n ids, by their numbers. */
struct asker {
    struct mf_list node;
    uint64_t ticket;
    uint32_t n;
    uint32_t numbers[];
};

/**
 * What is known of an id.
 *
 * @is_found   such a task was cancelled
 * @is_recalled  that may have been under the scheduler before
 * @has_ended  in state, as far as the journal was read
 */
struct wanted {
    bool is_found;
    bool is_recalled;
    bool has_ended;
    enum mf_task_state state : 8;
};

/*
 * @names     ids of tasks to cancel
 * @wanted    by their number - 1, n_room of them
 * @n_found   how many were found
 * @looked    the last task that was looked at
 * @row       the last row of the journal that was read for those who wait
 * @first_row   of this run: what an earlier one skipped or cancelled is taken up again
 * @askers    struct asker, in the order of their requests: those that are looked for now
 * @later     and those that came meanwhile
 */
struct mf_cancelling {
    struct mf_names names;
    struct wanted *wanted;
    uint32_t n_room;
    uint32_t n_found;
    mf_task_id looked;
    uint64_t row, first_row;
    struct mf_list askers, later;
};

int mf_cancelling_create(uint64_t first_row, struct mf_cancelling **ret_cancelling)
{
    struct mf_cancelling *cancelling = calloc(1, sizeof(*cancelling));

    if (!cancelling)
        return -ENOMEM;
    cancelling->first_row = first_row;
    mf_list_init(&cancelling->askers);
    mf_list_init(&cancelling->later);
    *ret_cancelling = cancelling;
    return 0;
}

static void free_askers(struct mf_list *askers)
{
    struct mf_list *node;

    while ((node = mf_list_pop_front(askers)))
        free(mf_container_of(node, struct asker, node));
}

void mf_cancelling_destroy(struct mf_cancelling *cancelling)
{
    if (!cancelling)
        return;
    free_askers(&cancelling->askers);
    free_askers(&cancelling->later);
    mf_names_finish(&cancelling->names);
    free(cancelling->wanted);
    free(cancelling);
}

/* --- asking --- */

/* Room for so many names, before any of them is added. */
static int grow_wanted(struct mf_cancelling *cancelling, uint32_t n)
{
    size_t n_room = 2 * (size_t)n;
    struct wanted *grown;

    if (n <= cancelling->n_room)
        return 0;
    grown = reallocarray(cancelling->wanted, n_room, sizeof(*grown));
    if (!grown)
        return -ENOMEM;
    memset(grown + cancelling->n_room, 0, (n_room - cancelling->n_room) * sizeof(*grown));
    cancelling->wanted = grown;
    cancelling->n_room = (uint32_t)n_room;
    return 0;
}

/* The number of a name that was asked for before, 0 for a new one. */
static int find_number(struct mf_cancelling *cancelling, const char *name, uint32_t *ret_number)
{
    /* As many names as there are: none is added. */
    return mf_names_number(&cancelling->names, name, strlen(name), cancelling->names.n, ret_number);
}

/*
 * Makes sure that there is room for all, so that a request is refused before any name is added.
 * Returns 0, -EINVAL for an empty name, -E2BIG or -ENOMEM.
 */
static int make_room(struct mf_cancelling *cancelling, const struct mf_control_request *request)
{
    uint32_t n = cancelling->names.n, number;

    for (uint32_t i = 0; i < request->n_names; i++) {
        int r = find_number(cancelling, request->names[i], &number);

        if (r < 0 || !request->names[i][0])
            return r < 0 ? r : -EINVAL;
        n += number == 0;
    }
    return n > MAX_CANCELLED ? -E2BIG : grow_wanted(cancelling, n);
}

/* As make_room(). */
static int note_names(struct mf_cancelling *cancelling, const struct mf_control_request *request,
                      struct asker *asker)
{
    int r = make_room(cancelling, request);

    for (uint32_t i = 0; i < request->n_names && r == 0; i++)
        r = mf_names_number(&cancelling->names, request->names[i], strlen(request->names[i]),
                            MAX_CANCELLED, &asker->numbers[asker->n++]);
    return r;
}

bool mf_cancelling_ask(struct mf_cancelling *cancelling, uint64_t ticket,
                       const struct mf_control_request *request, struct mf_control_reply *reply)
{
    struct asker *asker = calloc(1, sizeof(*asker) + request->n_names * sizeof(asker->numbers[0]));
    int r = asker ? note_names(cancelling, request, asker) : -ENOMEM;

    if (r < 0) {
        free(asker);
        mf_control_reply_set(reply, false, "%s",
                             r == -E2BIG    ? "there are too many tasks to cancel"
                             : r == -EINVAL ? "no task has an empty id"
                                            : strerror(-r));
        return true;
    }
    asker->ticket = ticket;
    mf_list_push_back(&cancelling->later, &asker->node);
    return false;
}

int mf_cancelling_recall(struct mf_cancelling *cancelling, const struct mf_control_request *request)
{
    uint32_t number;
    int r = make_room(cancelling, request);

    for (uint32_t i = 0; i < request->n_names && r == 0; i++) {
        r = mf_names_number(&cancelling->names, request->names[i], strlen(request->names[i]),
                            MAX_CANCELLED, &number);
        if (r == 0)
            cancelling->wanted[number - 1].is_recalled = true;
    }
    cancelling->looked = 0;
    return r;
}

/* --- answering --- */

/* What became of ids, one line each. */
enum answer { CANCELLED, ENDED, UNREAD, UNKNOWN, N_ANSWERS };

static const char *const headings[N_ANSWERS] = {
    [CANCELLED] = "cancelled: ",
    [ENDED] = "had ended: ",
    [UNREAD] = "not read yet, cancelled when they come: ",
    [UNKNOWN] = "no such task: ",
};

static enum answer find_answer(const struct mf_scheduler *scheduler, const struct wanted *wanted)
{
    if (wanted->is_found)
        return CANCELLED;
    if (wanted->has_ended)
        return ENDED;
    return scheduler->is_source_done ? UNKNOWN : UNREAD;
}

static void put_id(struct mf_buffer *line, const char *id, const struct wanted *wanted,
                   enum answer kind)
{
    mf_buffer_print(line, "%s%s", line->size > 0 ? ", " : "", id);
    if (kind == ENDED)
        mf_buffer_print(line, " (%s)", mf_task_state_name(wanted->state));
}

static void put_lines(const struct mf_buffer lines[N_ANSWERS], struct mf_control_reply *reply)
{
    struct mf_buffer all = {0};

    for (int i = 0; i < N_ANSWERS; i++)
        if (lines[i].size > 0)
            mf_buffer_print(&all, "%s%s%.*s", all.size > 0 ? "\n" : "", headings[i],
                            (int)lines[i].size, (const char *)lines[i].data);
    mf_buffer_put_u8(&all, '\0');
    mf_control_reply_set(reply, lines[UNKNOWN].size == 0, "%s",
                         mf_buffer_status(&all) < 0 ? strerror(ENOMEM) : (const char *)all.data);
    mf_buffer_finish(&all);
}

static void answer(const struct mf_scheduler *scheduler, const struct mf_cancelling *cancelling,
                   const struct asker *asker, struct mf_control_reply *reply)
{
    struct mf_buffer lines[N_ANSWERS] = {0};

    for (uint32_t i = 0; i < asker->n; i++) {
        uint32_t number = asker->numbers[i];
        const struct wanted *wanted = &cancelling->wanted[number - 1];
        enum answer kind = find_answer(scheduler, wanted);

        put_id(&lines[kind], mf_names_text(&cancelling->names, number), wanted, kind);
    }
    put_lines(lines, reply);
    for (int i = 0; i < N_ANSWERS; i++)
        mf_buffer_finish(&lines[i]);
}

/* An error is that of reading the journal. */
static void answer_all(const struct mf_scheduler *scheduler, struct mf_cancelling *cancelling,
                       struct mf_control *control, const struct mf_error *err)
{
    struct mf_list *node;

    while ((node = mf_list_pop_front(&cancelling->askers))) {
        struct asker *asker = mf_container_of(node, struct asker, node);
        struct mf_control_reply reply = {0};

        if (err)
            mf_control_reply_set(&reply, false, "%s", err->text);
        else
            answer(scheduler, cancelling, asker, &reply);
        mf_control_answer(control, asker->ticket, &reply);
        free(asker);
    }
}

/* --- looking at tasks --- */

const char *mf_cancelling_id(struct mf_scheduler *scheduler, const struct mf_task *task)
{
    const struct mf_live *live = mf_live_find(scheduler, task->id);
    const struct mf_entry *entry;
    struct mf_error err;

    if (live)
        return live->id;
    if (mf_source_load(scheduler->config.source, task->spec.cookie, &entry, &err) < 0)
        return NULL;
    return entry->command.id;
}

static void look_at(struct mf_scheduler *scheduler, struct mf_cancelling *cancelling,
                    const struct mf_task *task)
{
    struct mf_event event = {.kind = MF_EVENT_CANCEL, .task = task->id};
    uint32_t number = 0;
    const char *id;

    if (mf_task_state_is_final(task->state) || task->is_cancelled)
        return;
    id = mf_cancelling_id(scheduler, task);
    if (!id || find_number(cancelling, id, &number) < 0 || number == 0)
        return;
    cancelling->n_found += !cancelling->wanted[number - 1].is_found;
    cancelling->wanted[number - 1].is_found = true;
    mf_log_info(scheduler->config.log, "task %s is cancelled", id);
    mf_scheduler_apply(scheduler, &event);
}

/* Returns whether all that are known were looked at, or need not be. */
static bool look_on(struct mf_scheduler *scheduler, struct mf_cancelling *cancelling)
{
    for (int i = 0; i < LOOKS_PER_TURN; i++) {
        const struct mf_task *task;

        if (cancelling->n_found >= cancelling->names.n)
            return true;
        task = mf_farm_after(scheduler->farm, cancelling->looked);
        if (!task)
            return true;
        cancelling->looked = task->id;
        look_at(scheduler, cancelling, task);
    }
    return false;
}

/* --- reading the journal --- */

static bool is_any_missing(const struct mf_cancelling *cancelling)
{
    mf_list_for_each (node, &cancelling->askers) {
        const struct asker *asker = mf_container_of(node, struct asker, node);

        for (uint32_t i = 0; i < asker->n; i++)
            if (!cancelling->wanted[asker->numbers[i] - 1].is_found)
                return true;
    }
    return false;
}

/* The last row of a task is what counts. */
static void note_row(void *arg, uint64_t row, const char *id, enum mf_task_state state)
{
    struct mf_cancelling *cancelling = arg;
    bool is_kept = state == MF_TASK_DONE || state == MF_TASK_FAILED;
    uint32_t number = 0;

    cancelling->row = row;
    if (find_number(cancelling, id, &number) < 0 || number == 0)
        return;
    cancelling->wanted[number - 1].has_ended =
        is_kept || (mf_task_state_is_final(state) && row >= cancelling->first_row);
    cancelling->wanted[number - 1].state = state;
}

/* Returns 0 once all of it was read or need not be, 1 if there is more, or -errno. */
static int read_on(struct mf_scheduler *scheduler, struct mf_cancelling *cancelling,
                   struct mf_error *err)
{
    int r;

    if (!is_any_missing(cancelling))
        return 0;
    /* What ended before it was looked for is in there then. */
    if (cancelling->row == 0)
        mf_settle_turn(scheduler, true);
    r = mf_journal_walk(scheduler->journal, cancelling->row, ROWS_PER_TURN, note_row, cancelling,
                        err);
    return r == ROWS_PER_TURN ? 1 : r < 0 ? r : 0;
}

/* --- the turn --- */

static void begin_next(struct mf_cancelling *cancelling)
{
    if (!mf_list_is_empty(&cancelling->askers) || mf_list_is_empty(&cancelling->later))
        return;
    mf_list_take(&cancelling->later, &cancelling->askers);
    cancelling->looked = 0;
    cancelling->row = 0;
}

bool mf_cancelling_turn(struct mf_scheduler *scheduler, struct mf_cancelling *cancelling,
                        struct mf_control *control)
{
    struct mf_error err;
    int r;

    begin_next(cancelling);
    if (!look_on(scheduler, cancelling))
        return true;
    if (mf_list_is_empty(&cancelling->askers))
        return false;
    r = read_on(scheduler, cancelling, &err);
    if (r > 0)
        return true;
    mf_wishes_secure(scheduler);
    answer_all(scheduler, cancelling, control, r < 0 ? &err : NULL);
    return !mf_list_is_empty(&cancelling->later);
}

/* Told once, at the end: until then a task may still come that has such an id. */
void mf_cancelling_warn(const struct mf_scheduler *scheduler,
                        const struct mf_cancelling *cancelling)
{
    uint32_t n_missing = 0;

    for (uint32_t i = 0; i < cancelling->names.n; i++)
        n_missing += !cancelling->wanted[i].is_found && !cancelling->wanted[i].is_recalled;
    if (n_missing > 0)
        mf_log_warning(scheduler->config.log,
                       "of %" PRIu32 " tasks to cancel, %" PRIu32 " had ended or do not exist",
                       cancelling->names.n, n_missing);
}
