/* A doubly linked list through a member of its elements; owns nothing. */
#ifndef MF_BASE_LIST_H
#define MF_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

/** A list head, or the member by which an element hangs in one list. */
struct mf_list {
    struct mf_list *prev, *next;
};

#define mf_container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

/** Visits each node; the list must not change meanwhile. */
#define mf_list_for_each(node, head)                                                               \
    for (struct mf_list *node = (head)->next; node != (head); node = node->next)

/** Visits each node; the node visited may be removed. */
#define mf_list_for_each_safe(node, head)                                                          \
    for (struct mf_list *node = (head)->next, *node##_next = node->next; node != (head);           \
         node = node##_next, node##_next = node->next)

static inline void mf_list_init(struct mf_list *head)
{
    head->prev = head->next = head;
}

static inline bool mf_list_is_empty(const struct mf_list *head)
{
    return head->next == head;
}

/** Links node, which is in no list, in front of the first element. */
static inline void mf_list_push_front(struct mf_list *head, struct mf_list *node)
{
    node->prev = head;
    node->next = head->next;
    head->next->prev = node;
    head->next = node;
}

/** Links node, which is in no list, behind the last element. */
static inline void mf_list_push_back(struct mf_list *head, struct mf_list *node)
{
    mf_list_push_front(head->prev, node);
}

/** Unlinks node; a node that is in no list (after init) is left so. */
static inline void mf_list_remove(struct mf_list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    mf_list_init(node);
}

/** Unlinks and returns the first node, NULL when there is none. */
static inline struct mf_list *mf_list_pop_front(struct mf_list *head)
{
    struct mf_list *node = head->next;

    if (node == head)
        return NULL;
    mf_list_remove(node);
    return node;
}

/** Moves all nodes of a list, in their order, to another one, which is not looked at before. */
static inline void mf_list_take(struct mf_list *head, struct mf_list *ret_head)
{
    mf_list_push_front(head, ret_head);
    mf_list_remove(head);
}

#endif
