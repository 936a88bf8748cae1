/*
 * Tasks that the user withdraws from a running farm. Runs in rank 0's only thread.
 *
 * They are known by their ids, which the farm's core does not know and which
 * stay in the input: they are looked for a few at a time, in all tasks that are
 * known and in those that come later, until all were found. Who asked is
 * answered once those that are known were looked at.
 */
#include "runtime/cancelling.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Tasks looked at in one turn: each may have to be read from the input again. */
#define LOOKS_PER_TURN 512

/* Ids that can be cancelled in one run. */
#define MAX_CANCELLED 1000000

/* Ids that the journal is asked about for one answer: each is a walk through it. */
#define MAX_ASKED 64

/* Bytes of ids on one line of an answer. */
#define LINE_BYTES 800

/* Who waits for an answer about n ids, by their numbers. */
struct asker {
    struct mf_list node;
    uint64_t ticket;
    uint32_t n;
    uint32_t numbers[];
};

/*
 * @names     ids of tasks to cancel
 * @is_found  by their number - 1: such a task was cancelled; n_room of them
 * @n_found   how many
 * @looked    the last task that was looked at
 * @askers    struct asker, in the order of their requests
 */
struct mf_cancelling {
    struct mf_names names;
    bool *is_found;
    uint32_t n_room;
    uint32_t n_found;
    mf_task_id looked;
    struct mf_list askers;
};

int mf_cancelling_create(struct mf_cancelling **ret_cancelling)
{
    struct mf_cancelling *cancelling = calloc(1, sizeof(*cancelling));

    if (!cancelling)
        return -ENOMEM;
    mf_list_init(&cancelling->askers);
    *ret_cancelling = cancelling;
    return 0;
}

void mf_cancelling_destroy(struct mf_cancelling *cancelling)
{
    struct mf_list *node;

    if (!cancelling)
        return;
    while ((node = mf_list_pop_front(&cancelling->askers)))
        free(mf_container_of(node, struct asker, node));
    mf_names_finish(&cancelling->names);
    free(cancelling->is_found);
    free(cancelling);
}

/* --- asking --- */

/* Room for so many names, before any of them is added. */
static int grow_found(struct mf_cancelling *cancelling, uint32_t n)
{
    bool *grown;

    if (n <= cancelling->n_room)
        return 0;
    grown = realloc(cancelling->is_found, 2 * (size_t)n);
    if (!grown)
        return -ENOMEM;
    memset(grown + cancelling->n_room, 0, 2 * (size_t)n - cancelling->n_room);
    cancelling->is_found = grown;
    cancelling->n_room = 2 * n;
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
    return n > MAX_CANCELLED ? -E2BIG : grow_found(cancelling, n);
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
    mf_list_push_back(&cancelling->askers, &asker->node);
    cancelling->looked = 0;
    return false;
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

struct line {
    struct mf_buffer text;
    uint32_t n, n_hidden;
};

static void put_id(struct line *line, const char *id, const char *state)
{
    line->n++;
    if (line->text.size + strlen(id) > LINE_BYTES) {
        line->n_hidden++;
        return;
    }
    mf_buffer_print(&line->text, "%s%.200s", line->n > 1 ? ", " : "", id);
    if (state)
        mf_buffer_print(&line->text, " (%s)", state);
}

static enum answer find_answer(struct mf_scheduler *scheduler,
                               const struct mf_cancelling *cancelling, uint32_t number,
                               bool may_ask, const char **ret_state)
{
    enum mf_task_state state;
    struct mf_error err;

    *ret_state = NULL;
    if (cancelling->is_found[number - 1])
        return CANCELLED;
    if (may_ask &&
        mf_journal_find_state(scheduler->journal, mf_names_text(&cancelling->names, number), &state,
                              &err) == 0) {
        *ret_state = mf_task_state_name(state);
        return ENDED;
    }
    return scheduler->is_source_done && may_ask ? UNKNOWN : UNREAD;
}

static void put_lines(struct line lines[N_ANSWERS], struct mf_control_reply *reply)
{
    struct mf_buffer all = {0};

    for (int i = 0; i < N_ANSWERS; i++) {
        if (lines[i].n == 0)
            continue;
        mf_buffer_print(&all, "%s%s%.*s", all.size > 0 ? "\n" : "", headings[i],
                        (int)lines[i].text.size, (const char *)lines[i].text.data);
        if (lines[i].n_hidden > 0)
            mf_buffer_print(&all, " and %" PRIu32 " more", lines[i].n_hidden);
    }
    mf_buffer_put_u8(&all, '\0');
    mf_control_reply_set(reply, lines[UNKNOWN].n == 0, "%s",
                         mf_buffer_status(&all) < 0 ? strerror(ENOMEM) : (const char *)all.data);
    mf_buffer_finish(&all);
}

static void answer(struct mf_scheduler *scheduler, const struct mf_cancelling *cancelling,
                   const struct asker *asker, struct mf_control_reply *reply)
{
    struct line lines[N_ANSWERS] = {0};
    uint32_t n_asked = 0;

    for (uint32_t i = 0; i < asker->n; i++) {
        uint32_t number = asker->numbers[i];
        bool may_ask = cancelling->is_found[number - 1] || n_asked++ < MAX_ASKED;
        const char *state;
        enum answer kind = find_answer(scheduler, cancelling, number, may_ask, &state);

        put_id(&lines[kind], mf_names_text(&cancelling->names, number), state);
    }
    put_lines(lines, reply);
    for (int i = 0; i < N_ANSWERS; i++)
        mf_buffer_finish(&lines[i].text);
}

static void answer_all(struct mf_scheduler *scheduler, struct mf_cancelling *cancelling,
                       struct mf_control *control)
{
    struct mf_list *node;

    if (mf_list_is_empty(&cancelling->askers))
        return;
    /* What has ended is to be found in the journal. */
    mf_settle_turn(scheduler, true);
    while ((node = mf_list_pop_front(&cancelling->askers))) {
        struct asker *asker = mf_container_of(node, struct asker, node);
        struct mf_control_reply reply = {0};

        answer(scheduler, cancelling, asker, &reply);
        mf_control_answer(control, asker->ticket, &reply);
        free(asker);
    }
}

/* --- looking --- */

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
                    mf_task_id task_number)
{
    const struct mf_task *task = mf_farm_find(scheduler->farm, task_number);
    struct mf_event event = {.kind = MF_EVENT_CANCEL, .task = task_number};
    uint32_t number = 0;
    const char *id;

    if (!task || mf_task_state_is_final(task->state) || task->is_cancelled)
        return;
    id = mf_cancelling_id(scheduler, task);
    if (!id || find_number(cancelling, id, &number) < 0 || number == 0)
        return;
    cancelling->n_found += !cancelling->is_found[number - 1];
    cancelling->is_found[number - 1] = true;
    mf_log_info(scheduler->config.log, "task %s is cancelled", id);
    mf_scheduler_apply(scheduler, &event);
}

bool mf_cancelling_turn(struct mf_scheduler *scheduler, struct mf_cancelling *cancelling,
                        struct mf_control *control)
{
    mf_task_id last = mf_farm_last_id(scheduler->farm);

    for (int i = 0; i < LOOKS_PER_TURN; i++) {
        if (cancelling->n_found >= cancelling->names.n || cancelling->looked >= last) {
            answer_all(scheduler, cancelling, control);
            return false;
        }
        look_at(scheduler, cancelling, ++cancelling->looked);
    }
    return true;
}

/* Told once, at the end: until then a task may still come that has such an id. */
void mf_cancelling_warn(const struct mf_scheduler *scheduler,
                        const struct mf_cancelling *cancelling)
{
    if (cancelling->n_found < cancelling->names.n)
        mf_log_warning(scheduler->config.log,
                       "of %" PRIu32 " tasks to cancel, %" PRIu32 " had ended or do not exist",
                       cancelling->names.n, cancelling->names.n - cancelling->n_found);
}
