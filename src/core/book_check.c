/*
 * The invariants of the book, each with the sentence that names its breach.
 * For tests: looks at everything and changes nothing.
 */
#include "core/book_private.h"

#include <stdlib.h>

/* Tasks of a group, or predecessors of a task, as counted here. */
struct tally {
    struct mf_table *by_key;
    bool has_failed;
};

static void add_to(struct tally *tally, const void *key, uint64_t n)
{
    void *place;

    if (tally->has_failed || mf_table_insert(tally->by_key, key, &place) < 0)
        tally->has_failed = true;
    else
        *(uint64_t *)place += n;
}

static uint64_t count_in(const struct tally *tally, const void *key)
{
    const uint64_t *n = mf_table_find(tally->by_key, key);

    return n ? *n : 0;
}

/* --- places --- */

static const char *check_chunk(const struct mf_bookings *bookings,
                               const struct mf_booking_chunk *chunk)
{
    uint32_t n_used = 0, n_free = 0;

    for (uint32_t i = 0; i < MF_BOOKINGS_PER_CHUNK; i++)
        n_used += chunk->items[i].generation != 0;
    for (uint32_t i = chunk->first_free; i != MF_BOOKINGS_PER_CHUNK; i = chunk->items[i].next) {
        if (i > MF_BOOKINGS_PER_CHUNK || n_free++ == MF_BOOKINGS_PER_CHUNK)
            return "the free places are linked wrongly";
        if (chunk->items[i].generation != 0)
            return "a place that is taken is among the free ones";
    }
    if (n_used != chunk->n_used)
        return "a chunk's count of tasks is wrong";
    if (n_used + n_free != MF_BOOKINGS_PER_CHUNK)
        return "a free place is not linked";
    if (bookings->chunks[chunk->index] != chunk)
        return "a chunk is not where it thinks in the directory";
    if (mf_list_is_empty(&chunk->node) != (n_free == 0))
        return "the chunks with room are not those that have free places";
    return NULL;
}

static const char *check_places(const struct mf_bookings *bookings)
{
    uint32_t n_empty = 0, n_with_room = 0;

    for (uint32_t i = 0; i < bookings->n_chunks; i++) {
        const struct mf_booking_chunk *chunk = bookings->chunks[i];
        const char *breach = chunk ? check_chunk(bookings, chunk) : NULL;

        if (breach)
            return breach;
        if (!chunk && i < bookings->first_gap)
            return "there is a gap before the first one";
        n_empty += chunk && chunk->n_used == 0;
        n_with_room += chunk && chunk->n_used < MF_BOOKINGS_PER_CHUNK;
    }
    mf_list_for_each (node, &bookings->with_room) {
        if (node->next->prev != node || n_with_room-- == 0)
            return "the list of chunks with room is broken";
    }
    if (n_with_room != 0)
        return "a chunk with room is in no list";
    if (n_empty != bookings->n_empty || n_empty > 1)
        return "more than one empty chunk is kept, or their count is wrong";
    return NULL;
}

/* --- single tasks --- */

static const char *check_rare(const struct mf_booking_rare *rare, bool is_final)
{
    if (rare->n_successors > rare->successors_capacity)
        return "a task has more successors than room for them";
    if ((rare->checkpoint != NULL) != (rare->checkpoint_size > 0))
        return "a checkpoint has bytes and no size, or the reverse";
    if (is_final && (rare->successors || rare->checkpoint))
        return "an ended task keeps successors or a checkpoint";
    if (is_final && rare->n_predecessors > 0)
        return "an ended task keeps the results of others";
    if (is_final != rare->is_concluded)
        return "a task has ended and not all that follows was done, or the reverse";
    return NULL;
}

static const char *check_extra(const struct mf_booking *booking)
{
    const struct mf_booking_extra *extra = booking->extra;
    bool is_final = mf_task_state_is_final((enum mf_task_state)booking->state);

    if (!is_final && extra->tries > 0 && extra->tries >= extra->max_attempts)
        return "a task that used up its attempts goes on";
    if (extra->tries > extra->max_attempts)
        return "a task was tried more often than allowed";
    if (extra->is_borrowed && (is_final || !booking->is_on_heap || !mf_booking_is_element(booking)))
        return "a task borrows bytes that are not its range's, or has ended";
    return extra->rare ? check_rare(extra->rare, is_final) : NULL;
}

static bool is_to_be_heard(const struct mf_booking *booking)
{
    return (booking->delivery == MF_DELIVER_QUEUE || booking->delivery == MF_DELIVER_CALLBACK) &&
           !booking->is_heard;
}

static bool has_detached(const struct mf_booking *booking)
{
    const struct mf_range *range = mf_booking_range(booking);

    return range && range->n_detached > 0;
}

static const char *check_task(const struct mf_booking *booking)
{
    bool is_final = mf_task_state_is_final((enum mf_task_state)booking->state);

    if (booking->state == MF_TASK_RUNNING)
        return "a task is in a state that the book does not use";
    if (booking->size > MF_BOOKING_SMALL && !booking->is_on_heap && !mf_booking_range(booking))
        return "a task has more bytes than room for them";
    if (!is_final && booking->is_heard)
        return "a task that has not ended was heard of";
    if (is_final && !booking->is_held && !is_to_be_heard(booking) && !has_detached(booking) &&
        !(mf_booking_rare(booking) && mf_booking_rare(booking)->n_takers > 0))
        return "an ended task that nobody wants is kept";
    if ((booking->state == MF_TASK_CANCELLED || booking->state == MF_TASK_SKIPPED) &&
        booking->size > 0)
        return "a task that was not run keeps bytes";
    if (booking->state == MF_TASK_FAILED && booking->cause == 0)
        return "a task failed without a cause";
    if (booking->state == MF_TASK_WAITING && !mf_booking_rare(booking))
        return "a task waits for nothing";
    return booking->extra ? check_extra(booking) : NULL;
}

/* Successors that were released or have ended since are passed over, here as there. */
static void tally_successors(const struct mf_book *book, const struct mf_booking *booking,
                             struct tally *awaited)
{
    const struct mf_booking_rare *rare = mf_booking_rare(booking);

    for (uint32_t i = 0; rare && i < rare->n_successors; i++) {
        const struct mf_booking *successor = mf_book_find(book, rare->successors[i]);

        if (successor && successor->state == MF_TASK_WAITING)
            add_to(awaited, &rare->successors[i], 1);
    }
}

/* --- ranges --- */

/* The elements in stretches of a list; sets *has_failed when one cannot be. */
static uint64_t count_in_stretches(const struct mf_list *list, uint64_t n, bool *has_failed)
{
    uint64_t sum = 0;

    mf_list_for_each (node, list) {
        const struct mf_stretch *stretch = mf_container_of(node, struct mf_stretch, node);

        *has_failed |= stretch->n == 0 || stretch->first + stretch->n > n;
        sum += stretch->n;
        if (sum > n)
            break;
    }
    return sum;
}

static uint64_t count_detached(const struct mf_book *book, mf_ticket range)
{
    uint64_t cursor = 0, n = 0;
    uint32_t number;

    while (mf_book_next(book, &cursor, &number))
        n += mf_booking_is_of(mf_book_at(book, number), range);
    return n;
}

static const char *check_range(const struct mf_book *book, uint32_t number)
{
    const struct mf_booking *booking = mf_book_at(book, number);
    const struct mf_range *range = mf_booking_range(booking);
    bool is_final = mf_task_state_is_final((enum mf_task_state)booking->state);
    bool has_failed = false;

    if (count_in_stretches(&range->waiting, range->n, &has_failed) != range->n_ready ||
        count_in_stretches(&range->out, range->n, &has_failed) != range->n_placed)
        return "elements of a range are in no stretch, or in two";
    if (has_failed)
        return "a stretch is empty or beyond its range";
    if (count_detached(book, mf_book_ticket(book, number)) != range->n_detached)
        return "the count of detached tasks of a range is wrong";
    if (is_final ? range->n_ready + range->n_placed > 0
                 : range->n_ready + range->n_placed + range->n_detached == 0)
        return "a range is over that has elements, or not over though it has none";
    if ((booking->state == MF_TASK_PLACED) != (!is_final && range->n_ready == 0))
        return "a range is in the list of those READY, or is not";
    return NULL;
}

/* Counts a task, or the elements of a range. */
static void tally_booking(const struct mf_booking *booking, uint64_t *n, struct tally *groups)
{
    const struct mf_range *range = mf_booking_range(booking);
    uint64_t n_open = !mf_task_state_is_final((enum mf_task_state)booking->state);

    if (range)
        n_open = range->n_ready + range->n_placed;
    n[booking->state] += mf_booking_count(booking);
    n[MF_TASK_PLACED] += range ? range->n_placed : 0;
    if (booking->group != 0 && n_open > 0)
        add_to(groups, &booking->group, n_open);
}

static void tally_predecessors(const struct mf_booking *booking, struct tally *takers)
{
    const struct mf_booking_rare *rare = mf_booking_rare(booking);

    for (uint32_t i = 0; rare && i < rare->n_predecessors; i++)
        add_to(takers, &rare->predecessors[i], 1);
}

static const char *check_takers(const struct mf_book *book, const struct tally *takers)
{
    uint64_t cursor = 0, n_all = 0, n_found = 0;
    size_t at = 0;
    uint32_t number;
    void *place;

    while (mf_book_next(book, &cursor, &number)) {
        const struct mf_booking *booking = mf_book_at(book, number);
        mf_ticket ticket = mf_book_ticket(book, number);
        const struct mf_booking_rare *rare = mf_booking_rare(booking);
        uint64_t n = count_in(takers, &ticket);

        if (n != (rare ? rare->n_takers : 0))
            return "the count of tasks that take a result is wrong";
        n_found += n;
    }
    while (mf_table_next(takers->by_key, &at, NULL, &place))
        n_all += *(uint64_t *)place;
    return n_all == n_found ? NULL : "a task is to be given the result of one that is gone";
}

/* The tasks themselves, and the totals over them. */
static const char *check_tasks(const struct mf_book *book, struct tally *groups,
                               struct tally *awaited, struct tally *takers)
{
    uint64_t n[MF_TASK_STATE_COUNT] = {0};
    uint64_t n_all = 0, cursor = 0;
    uint32_t number;

    while (mf_book_next(book, &cursor, &number)) {
        const struct mf_booking *booking = mf_book_at(book, number);
        const char *breach = check_task(booking);

        if (!breach && mf_booking_range(booking))
            breach = check_range(book, number);
        if (breach)
            return breach;
        tally_booking(booking, n, groups);
        tally_successors(book, booking, awaited);
        tally_predecessors(booking, takers);
    }
    for (int state = 0; state < MF_TASK_STATE_COUNT; state++) {
        uint64_t counted = book->by_state[state];

        n_all += counted;
        if (mf_task_state_is_final((enum mf_task_state)state) ? counted < n[state]
                                                              : counted != n[state])
            return "the counts by state are wrong";
    }
    if (n_all != book->n_added)
        return "a task was lost or counted twice";
    if (book->is_concluding || book->concluding != MF_BOOKING_NONE)
        return "the end of a task was left half done";
    return NULL;
}

static const char *check_waiting(const struct mf_book *book, const struct tally *awaited)
{
    uint64_t cursor = 0;
    uint32_t number;

    while (mf_book_next(book, &cursor, &number)) {
        const struct mf_booking *booking = mf_book_at(book, number);
        mf_ticket ticket = mf_book_ticket(book, number);
        uint64_t n = count_in(awaited, &ticket);

        if (booking->state != MF_TASK_WAITING)
            continue;
        if (n == 0)
            return "a task waits for tasks that have all ended";
        if (n != booking->extra->rare->n_waiting_for)
            return "the count of tasks that a task waits for is wrong";
    }
    return NULL;
}

static const char *check_groups(const struct mf_book *book, const struct tally *groups)
{
    const void *group;
    size_t cursor = 0;
    void *place;

    if (mf_table_count(groups->by_key) != mf_table_count(book->groups))
        return "a group is kept that has no unfinished task, or one is missing";
    while (mf_table_next(book->groups, &cursor, &group, &place)) {
        if (*(uint64_t *)place != count_in(groups, group))
            return "the count of a group is wrong";
    }
    return NULL;
}

/* --- lists --- */

static struct mf_ready_key key_of(const struct mf_booking *booking)
{
    if (!booking->extra)
        return (struct mf_ready_key){0};
    return (struct mf_ready_key){booking->extra->rank, booking->extra->priority};
}

/* Adds the tasks of the list to n. */
static const char *check_ready_list(const struct mf_book *book, const struct mf_ready_list *list,
                                    uint64_t *n)
{
    uint32_t before = MF_BOOKING_NONE;

    for (uint32_t number = list->first; number != MF_BOOKING_NONE;
         number = mf_book_at(book, number)->next) {
        const struct mf_booking *booking = mf_book_at(book, number);
        struct mf_ready_key key = key_of(booking);

        if (booking->generation == 0 || booking->state != MF_TASK_READY)
            return "a task that is not READY is in a list of those";
        if (booking->prev != before)
            return "a list of READY tasks is linked wrongly";
        if (key.rank != list->key.rank || key.priority != list->key.priority)
            return "a READY task is in the list of another rank or priority";
        *n += mf_booking_count(booking);
        if (*n > book->by_state[MF_TASK_READY])
            return "a READY task is in two lists, or a list has no end";
        before = number;
    }
    return list->last == before ? NULL : "a list of READY tasks has the wrong end";
}

static bool is_known_list(const struct mf_ready *ready, const struct mf_ready_list *list)
{
    struct mf_ready_list **place;

    if (list == &ready->plain)
        return true;
    place = mf_table_find(ready->by_key, &list->key);
    return place && *place == list;
}

/* Adds the lists of a rank to n_lists, and their tasks to n_tasks. */
static const char *check_ready_rank(const struct mf_book *book, const struct mf_ready_rank *of_rank,
                                    uint64_t *n_lists, uint64_t *n_tasks)
{
    const struct mf_heap *heap = &of_rank->by_priority;
    uint64_t n = 0;

    for (uint32_t i = 0; i < heap->n_items; i++) {
        const struct mf_ready_list *list = heap->items[i];
        const char *breach = check_ready_list(book, list, &n);

        if (breach)
            return breach;
        if (list->heap_index != i || (i > 0 && heap->before(list, heap->items[(i - 1) / 2])))
            return "the lists of READY tasks are out of order";
        if (list->key.rank != of_rank->rank || list->first == MF_BOOKING_NONE)
            return "a rank has a list that is empty or another rank's";
        if (!is_known_list(&book->ready, list))
            return "a list of READY tasks is not found by its key";
    }
    if (n != of_rank->n_tasks)
        return "a rank's count of READY tasks is wrong";
    *n_lists += heap->n_items;
    *n_tasks += n;
    return NULL;
}

static const char *check_ready(const struct mf_book *book)
{
    const struct mf_ready *ready = &book->ready;
    uint64_t n_lists = 0, n_tasks = 0;
    const char *breach = check_ready_rank(book, &ready->anywhere, &n_lists, &n_tasks);
    size_t cursor = 0;
    void *place;

    while (!breach && mf_table_next(ready->by_rank, &cursor, NULL, &place)) {
        const struct mf_ready_rank *of_rank = *(struct mf_ready_rank **)place;

        if (of_rank->n_tasks == 0)
            return "a rank without READY tasks is kept";
        breach = check_ready_rank(book, of_rank, &n_lists, &n_tasks);
    }
    if (breach)
        return breach;
    if (n_lists != mf_table_count(ready->by_key) + (ready->plain.first != MF_BOOKING_NONE))
        return "a list of READY tasks is in no order";
    return n_tasks == book->by_state[MF_TASK_READY] ? NULL : "a READY task is in no list";
}

static const char *check_ended_list(const struct mf_book *book, const struct mf_ended *ended,
                                    enum mf_delivery delivery, uint64_t *n)
{
    uint32_t before = MF_BOOKING_NONE;

    for (uint32_t number = ended->first; number != MF_BOOKING_NONE;
         number = mf_book_at(book, number)->next) {
        const struct mf_booking *booking = mf_book_at(book, number);

        if (booking->generation == 0 || !mf_task_state_is_final((enum mf_task_state)booking->state))
            return "a task that has not ended is among those to be heard of";
        if (booking->delivery != delivery || booking->is_heard)
            return "a task that is not to be heard of is among those";
        if (booking->prev != before)
            return "a list of ended tasks is linked wrongly";
        if (++*n > book->n_added)
            return "a list of ended tasks has no end";
        before = number;
    }
    return ended->last == before ? NULL : "a list of ended tasks has the wrong end";
}

static const char *check_ended(const struct mf_book *book)
{
    uint64_t n_listed = 0, n = 0, cursor = 0;
    const char *breach = check_ended_list(book, &book->queued, MF_DELIVER_QUEUE, &n_listed);
    uint32_t number;

    if (!breach)
        breach = check_ended_list(book, &book->called_back, MF_DELIVER_CALLBACK, &n_listed);
    if (breach)
        return breach;
    while (mf_book_next(book, &cursor, &number)) {
        const struct mf_booking *booking = mf_book_at(book, number);

        n += is_to_be_heard(booking) && mf_task_state_is_final((enum mf_task_state)booking->state);
    }
    return n == n_listed ? NULL : "an ended task that is to be heard of is in no list";
}

static const char *check_all(const struct mf_book *book, struct tally *groups,
                             struct tally *awaited, struct tally *takers)
{
    const char *breach = check_places(&book->bookings);

    if (!breach)
        breach = check_tasks(book, groups, awaited, takers);
    if (!breach && (groups->has_failed || awaited->has_failed || takers->has_failed))
        breach = "there is no memory to check the book";
    if (!breach)
        breach = check_waiting(book, awaited);
    if (!breach)
        breach = check_takers(book, takers);
    if (!breach)
        breach = check_groups(book, groups);
    if (!breach)
        breach = check_ready(book);
    return breach ? breach : check_ended(book);
}

const char *mf_book_check(const struct mf_book *book)
{
    struct tally groups = {0}, awaited = {0}, takers = {0};
    const char *breach = "there is no memory to check the book";

    if (mf_table_create(sizeof(uint32_t), sizeof(uint64_t), &groups.by_key) == 0 &&
        mf_table_create(sizeof(mf_ticket), sizeof(uint64_t), &awaited.by_key) == 0 &&
        mf_table_create(sizeof(mf_ticket), sizeof(uint64_t), &takers.by_key) == 0)
        breach = check_all(book, &groups, &awaited, &takers);
    mf_table_destroy(groups.by_key);
    mf_table_destroy(awaited.by_key);
    mf_table_destroy(takers.by_key);
    return breach;
}
