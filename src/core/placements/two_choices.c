/*
 * The less loaded of two workers drawn at random: far better balanced than one
 * drawn, and no need to know the load of all.
 *
 * M. Mitzenmacher, "The power of two choices in randomized load balancing", IEEE
 * Transactions on Parallel and Distributed Systems 12 (2001).
 */
#include "core/placement.h"

static struct mf_worker *choose(const struct mf_choice *choice)
{
    struct mf_worker *first = mf_choice_draw(choice);
    struct mf_worker *second = first ? mf_choice_draw(choice) : NULL;

    if (!first)
        return mf_choice_ahead(choice);
    return choice->workers->by_load.before(second, first) ? second : first;
}

const struct mf_placement mf_placement_two_choices = {
    .name = "two-choices",
    .summary = "the less loaded of two workers drawn by lot",
    .choose = choose,
};
