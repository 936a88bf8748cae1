/* Any worker that fits, each as likely. */
#include "core/placement.h"

static struct mf_worker *choose(const struct mf_choice *choice)
{
    struct mf_worker *worker = mf_choice_draw(choice);

    return worker ? worker : mf_choice_ahead(choice);
}

const struct mf_placement mf_placement_random = {
    .name = "random",
    .summary = "any worker, by lot",
    .choose = choose,
};
