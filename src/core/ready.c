/* The READY tasks of the book: see ready.h. Owned by one book. */
#include "core/ready.h"

#include <errno.h>
#include <stdlib.h>

static bool goes_before(const void *a, const void *b)
{
    const struct mf_ready_list *first = a, *second = b;

    return first->key.priority > second->key.priority;
}

static void init_rank(struct mf_ready_rank *of_rank, uint32_t rank)
{
    *of_rank = (struct mf_ready_rank){.rank = rank};
    mf_heap_init(&of_rank->by_priority, goes_before, offsetof(struct mf_ready_list, heap_index));
}

int mf_ready_init(struct mf_ready *ready, struct mf_bookings *bookings)
{
    int r;

    *ready = (struct mf_ready){
        .bookings = bookings,
        .plain = {.first = MF_BOOKING_NONE, .last = MF_BOOKING_NONE, .heap_index = MF_HEAP_NONE},
    };
    init_rank(&ready->anywhere, 0);
    r = mf_table_create(sizeof(struct mf_ready_key), sizeof(struct mf_ready_list *),
                        &ready->by_key);
    if (r == 0)
        r = mf_table_create(sizeof(uint32_t), sizeof(struct mf_ready_rank *), &ready->by_rank);
    return r;
}

void mf_ready_finish(struct mf_ready *ready)
{
    size_t cursor = 0;
    void *place;

    while (ready->by_key && mf_table_next(ready->by_key, &cursor, NULL, &place))
        free(*(struct mf_ready_list **)place);
    cursor = 0;
    while (ready->by_rank && mf_table_next(ready->by_rank, &cursor, NULL, &place)) {
        mf_heap_finish(&(*(struct mf_ready_rank **)place)->by_priority);
        free(*(struct mf_ready_rank **)place);
    }
    mf_table_destroy(ready->by_key);
    mf_table_destroy(ready->by_rank);
    mf_heap_finish(&ready->anywhere.by_priority);
}

static struct mf_ready_key key_of(const struct mf_booking *booking)
{
    if (!booking->extra)
        return (struct mf_ready_key){0};
    return (struct mf_ready_key){booking->extra->rank, booking->extra->priority};
}

/* The tasks that a booking stands for. */
static uint64_t count(const struct mf_booking *booking)
{
    const struct mf_range *range = mf_booking_range(booking);

    return range ? range->n_ready : 1;
}

static bool is_plain(struct mf_ready_key key)
{
    return key.rank == 0 && key.priority == 0;
}

/* The ready of a rank, made if there are none; NULL when memory is out. */
static struct mf_ready_rank *rank_ready(struct mf_ready *ready, uint32_t rank)
{
    struct mf_ready_rank *of_rank;
    void *place;

    if (rank == 0)
        return &ready->anywhere;
    if (mf_table_insert(ready->by_rank, &rank, &place) < 0)
        return NULL;
    if (*(void **)place)
        return *(struct mf_ready_rank **)place;
    of_rank = malloc(sizeof(*of_rank));
    if (!of_rank) {
        mf_table_remove(ready->by_rank, &rank);
        return NULL;
    }
    init_rank(of_rank, rank);
    *(struct mf_ready_rank **)place = of_rank;
    return of_rank;
}

static void drop_rank_if_empty(struct mf_ready *ready, struct mf_ready_rank *of_rank)
{
    if (of_rank == &ready->anywhere || of_rank->by_priority.n_items > 0)
        return;
    mf_table_remove(ready->by_rank, &of_rank->rank);
    mf_heap_finish(&of_rank->by_priority);
    free(of_rank);
}

static struct mf_ready_list *find_list(struct mf_ready *ready, struct mf_ready_key key)
{
    struct mf_ready_list **place;

    if (is_plain(key))
        return &ready->plain;
    place = mf_table_find(ready->by_key, &key);
    return place ? *place : NULL;
}

static struct mf_ready_list *add_list(struct mf_ready *ready, struct mf_ready_key key)
{
    struct mf_ready_list *list = malloc(sizeof(*list));
    void *place;

    if (!list || mf_table_insert(ready->by_key, &key, &place) < 0) {
        free(list);
        return NULL;
    }
    *list = (struct mf_ready_list){
        .key = key, .first = MF_BOOKING_NONE, .last = MF_BOOKING_NONE, .heap_index = MF_HEAP_NONE};
    *(struct mf_ready_list **)place = list;
    return list;
}

static void drop_list(struct mf_ready *ready, struct mf_ready_list *list)
{
    if (list == &ready->plain)
        return;
    mf_table_remove(ready->by_key, &list->key);
    free(list);
}

static void link_task(struct mf_ready *ready, struct mf_ready_list *list, uint32_t number,
                      bool is_first)
{
    struct mf_booking *booking = mf_bookings_at(ready->bookings, number);
    uint32_t *end = is_first ? &list->first : &list->last;

    booking->next = is_first ? list->first : MF_BOOKING_NONE;
    booking->prev = is_first ? MF_BOOKING_NONE : list->last;
    if (list->first == MF_BOOKING_NONE)
        list->first = list->last = number;
    else if (is_first)
        mf_bookings_at(ready->bookings, list->first)->prev = number;
    else
        mf_bookings_at(ready->bookings, list->last)->next = number;
    *end = number;
}

static int put_on_list(struct mf_ready *ready, uint32_t number, bool is_first)
{
    const struct mf_booking *booking = mf_bookings_at(ready->bookings, number);
    struct mf_ready_key key = key_of(booking);
    struct mf_ready_rank *of_rank = rank_ready(ready, key.rank);
    struct mf_ready_list *list;

    if (!of_rank)
        return -ENOMEM;
    list = find_list(ready, key);
    if (!list)
        list = add_list(ready, key);
    if (!list) {
        drop_rank_if_empty(ready, of_rank);
        return -ENOMEM;
    }
    if (list->first == MF_BOOKING_NONE && mf_heap_push(&of_rank->by_priority, list) < 0) {
        drop_list(ready, list);
        drop_rank_if_empty(ready, of_rank);
        return -ENOMEM;
    }
    link_task(ready, list, number, is_first);
    of_rank->n_tasks += count(booking);
    return 0;
}

/* The list has become empty. */
static void retire(struct mf_ready *ready, struct mf_ready_rank *of_rank,
                   struct mf_ready_list *list)
{
    mf_heap_remove(&of_rank->by_priority, list);
    drop_list(ready, list);
    drop_rank_if_empty(ready, of_rank);
}

int mf_ready_put(struct mf_ready *ready, uint32_t number, bool is_first)
{
    /* What most tasks are: like those before them. */
    if (!mf_bookings_at(ready->bookings, number)->extra && ready->plain.first != MF_BOOKING_NONE) {
        link_task(ready, &ready->plain, number, is_first);
        ready->anywhere.n_tasks++;
        return 0;
    }
    return put_on_list(ready, number, is_first);
}

void mf_ready_cut(struct mf_ready *ready, uint32_t last, uint64_t n)
{
    struct mf_booking *booking = mf_bookings_at(ready->bookings, last);
    struct mf_ready_key key = key_of(booking);
    struct mf_ready_rank *of_rank = rank_ready(ready, key.rank);
    struct mf_ready_list *list = find_list(ready, key);

    list->first = booking->next;
    of_rank->n_tasks -= n;
    if (booking->next != MF_BOOKING_NONE)
        mf_bookings_at(ready->bookings, booking->next)->prev = MF_BOOKING_NONE;
    else
        list->last = MF_BOOKING_NONE;
    if (list->first == MF_BOOKING_NONE)
        retire(ready, of_rank, list);
}

void mf_ready_remove(struct mf_ready *ready, uint32_t number)
{
    struct mf_booking *booking = mf_bookings_at(ready->bookings, number);
    struct mf_ready_key key = key_of(booking);
    struct mf_ready_rank *of_rank = rank_ready(ready, key.rank);
    struct mf_ready_list *list = find_list(ready, key);

    if (booking->prev == MF_BOOKING_NONE)
        list->first = booking->next;
    else
        mf_bookings_at(ready->bookings, booking->prev)->next = booking->next;
    if (booking->next == MF_BOOKING_NONE)
        list->last = booking->prev;
    else
        mf_bookings_at(ready->bookings, booking->next)->prev = booking->prev;
    of_rank->n_tasks -= count(booking);
    if (list->first == MF_BOOKING_NONE)
        retire(ready, of_rank, list);
}

void mf_ready_add(struct mf_ready *ready, uint32_t number, int64_t n)
{
    struct mf_ready_key key = key_of(mf_bookings_at(ready->bookings, number));

    rank_ready(ready, key.rank)->n_tasks += (uint64_t)n;
}

uint32_t mf_ready_first(const struct mf_ready *ready, uint32_t rank)
{
    const struct mf_ready_rank *of_rank = &ready->anywhere;
    const struct mf_ready_list *list;

    if (rank != 0) {
        struct mf_ready_rank **place = mf_table_find(ready->by_rank, &rank);

        if (!place)
            return MF_BOOKING_NONE;
        of_rank = *place;
    }
    list = mf_heap_top(&of_rank->by_priority);
    return list ? list->first : MF_BOOKING_NONE;
}
