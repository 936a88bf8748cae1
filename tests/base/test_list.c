/* Tests of base/list.h. */
#include "base/list.h"

#include <criterion/criterion.h>
#include <string.h>

struct letter {
    char name;
    struct mf_list link;
};

/* The names in order, forwards; fails when the way back differs. */
static const char *names_of(struct mf_list *head)
{
    static char names[16];
    size_t n = 0;

    mf_list_for_each (node, head) {
        cr_assert_eq(node->next->prev, node);
        names[n++] = mf_container_of(node, struct letter, link)->name;
    }
    names[n] = '\0';
    return names;
}

Test(list, elements_keep_the_order_in_which_they_were_pushed)
{
    struct letter a = {.name = 'a'}, b = {.name = 'b'}, c = {.name = 'c'};
    struct mf_list head;

    mf_list_init(&head);
    cr_assert(mf_list_is_empty(&head));
    mf_list_push_back(&head, &b.link);
    mf_list_push_back(&head, &c.link);
    mf_list_push_front(&head, &a.link);
    cr_assert_str_eq(names_of(&head), "abc");
    cr_assert(!mf_list_is_empty(&head));
}

Test(list, removing_twice_does_no_harm)
{
    struct letter a = {.name = 'a'}, b = {.name = 'b'};
    struct mf_list head;

    mf_list_init(&head);
    mf_list_push_back(&head, &a.link);
    mf_list_push_back(&head, &b.link);
    mf_list_remove(&a.link);
    mf_list_remove(&a.link);
    cr_assert_str_eq(names_of(&head), "b");
}

Test(list, popping_takes_from_the_front_until_nothing_is_left)
{
    struct letter a = {.name = 'a'}, b = {.name = 'b'};
    struct mf_list head;

    mf_list_init(&head);
    mf_list_push_back(&head, &a.link);
    mf_list_push_back(&head, &b.link);
    cr_assert_eq(mf_list_pop_front(&head), &a.link);
    cr_assert_eq(mf_list_pop_front(&head), &b.link);
    cr_assert_null(mf_list_pop_front(&head));
}

Test(list, the_node_visited_may_be_removed)
{
    struct letter letters[] = {{'a'}, {'b'}, {'c'}, {'d'}};
    struct mf_list head;

    mf_list_init(&head);
    for (size_t i = 0; i < 4; i++)
        mf_list_push_back(&head, &letters[i].link);
    mf_list_for_each_safe (node, &head)
        if (mf_container_of(node, struct letter, link)->name != 'c')
            mf_list_remove(node);
    cr_assert_str_eq(names_of(&head), "c");
}

Test(list, taking_moves_all_in_their_order)
{
    struct letter a = {.name = 'a'}, b = {.name = 'b'};
    struct mf_list from, to;

    mf_list_init(&from);
    mf_list_push_back(&from, &a.link);
    mf_list_push_back(&from, &b.link);
    mf_list_take(&from, &to);
    cr_assert_str_eq(names_of(&to), "ab");
    cr_assert(mf_list_is_empty(&from));
    mf_list_take(&from, &to);
    cr_assert(mf_list_is_empty(&to));
}
