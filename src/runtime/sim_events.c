/*
 * What happens when in a simulation, and the frames of its messages. The queue
 * owns the frames that are on their way and the jobs that are gone.
 */
#include "runtime/sim_private.h"

#include <errno.h>
#include <stdlib.h>

#define FIRST_CAPACITY 16

/* Children of a node: four lie in two cache lines, and the heap is half as deep as with two. */
#define ARITY 4

/* Turns come after all else of their instant, so that they find all that it brought. */
#define ORDER_LAST (UINT64_C(1) << 63)

static bool is_before(const struct mf_sim_event *a, const struct mf_sim_event *b)
{
    return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->order < b->order;
}

static int reserve(struct mf_sim_queue *queue)
{
    size_t capacity = queue->capacity ? 2 * queue->capacity : FIRST_CAPACITY;
    struct mf_sim_event *events;

    if (queue->n < queue->capacity)
        return 0;
    events = reallocarray(queue->events, capacity, sizeof(*events));
    if (!events)
        return -ENOMEM;
    queue->events = events;
    queue->capacity = capacity;
    return 0;
}

void mf_sim_push_to(struct mf_sim *sim, struct mf_sim_queue *queue, int64_t at_ns,
                    enum mf_sim_event_kind kind, void *subject)
{
    struct mf_sim_event event = {.at_ns = at_ns, .kind = kind, .subject = subject};
    size_t at;

    if (reserve(queue) < 0) {
        mf_sim_fail(sim, -ENOMEM);
        return;
    }
    event.order = queue->n_pushed++ | (kind == MF_SIM_TURN ? ORDER_LAST : 0);
    for (at = queue->n++; at > 0; at = (at - 1) / ARITY) {
        struct mf_sim_event *parent = &queue->events[(at - 1) / ARITY];

        if (!is_before(&event, parent))
            break;
        queue->events[at] = *parent;
    }
    queue->events[at] = event;
}

void mf_sim_push(struct mf_sim *sim, int64_t at_ns, enum mf_sim_event_kind kind, void *subject)
{
    mf_sim_push_to(sim, &sim->queue, at_ns, kind, subject);
}

/* The first of the children of a node, or n if it has none. */
static size_t first_child(const struct mf_sim_event *events, size_t n, size_t at)
{
    size_t first = ARITY * at + 1;
    size_t end = first + ARITY < n ? first + ARITY : n;

    if (first >= n)
        return n;
    for (size_t child = first + 1; child < end; child++)
        if (is_before(&events[child], &events[first]))
            first = child;
    return first;
}

bool mf_sim_pop(struct mf_sim_queue *queue, struct mf_sim_event *ret_event)
{
    struct mf_sim_event *events = queue->events;
    struct mf_sim_event last;
    size_t at = 0;

    if (queue->n == 0)
        return false;
    *ret_event = events[0];
    last = events[--queue->n];
    for (;;) {
        size_t child = first_child(events, queue->n, at);

        if (child == queue->n || !is_before(&events[child], &last))
            break;
        events[at] = events[child];
        at = child;
    }
    events[at] = last;
    return true;
}

void mf_sim_queue_finish(struct mf_sim_queue *queue)
{
    for (size_t i = 0; i < queue->n; i++) {
        const struct mf_sim_event *event = &queue->events[i];

        if (event->kind == MF_SIM_AT_WORKER || event->kind == MF_SIM_AT_SCHEDULER)
            mf_sim_frame_destroy(event->subject);
        else if ((event->kind == MF_SIM_TELL || event->kind == MF_SIM_END) &&
                 ((struct mf_sim_job *)event->subject)->is_gone)
            free(event->subject);
    }
    free(queue->events);
}

/* --- frames --- */

struct mf_sim_frame *mf_sim_frame_create(struct mf_sim *sim, struct mf_sim_worker *worker)
{
    struct mf_sim_frame *frame = malloc(sizeof(*frame));

    if (!frame) {
        mf_sim_fail(sim, -ENOMEM);
        return NULL;
    }
    frame->worker = worker;
    frame->next = NULL;
    frame->posted_ns = sim->now_ns;
    frame->n_records = 0;
    frame->capacity = MF_SIM_RECORDS_INLINE;
    frame->records = frame->inlined;
    return frame;
}

void mf_sim_frame_destroy(struct mf_sim_frame *frame)
{
    if (frame->records != frame->inlined)
        free(frame->records);
    free(frame);
}

static int grow(struct mf_sim_frame *frame)
{
    bool is_inlined = frame->records == frame->inlined;
    uint32_t capacity = 2 * frame->capacity;
    struct mf_sim_record *records =
        reallocarray(is_inlined ? NULL : frame->records, capacity, sizeof(*records));

    if (!records)
        return -ENOMEM;
    for (uint32_t i = 0; is_inlined && i < frame->n_records; i++)
        records[i] = frame->inlined[i];
    frame->records = records;
    frame->capacity = capacity;
    return 0;
}

void mf_sim_frame_add(struct mf_sim *sim, struct mf_sim_frame *frame,
                      const struct mf_sim_record *record)
{
    if (frame->n_records == frame->capacity && grow(frame) < 0)
        mf_sim_fail(sim, -ENOMEM);
    else
        frame->records[frame->n_records++] = *record;
}
