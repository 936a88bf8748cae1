/* Tasks that the user withdraws: what is asked for at all. */
#include "runtime/cancelling.h"

#include <criterion/criterion.h>
#include <stdio.h>

/* Ids that can be cancelled in one run. */
#define MOST 1000000

/* Asks for n tasks whose ids are numbers from `first` on. Returns whether that was refused. */
static bool ask(struct mf_cancelling *cancelling, uint32_t first, uint32_t n)
{
    char texts[MF_CONTROL_MAX_NAMES][16];
    const char *names[MF_CONTROL_MAX_NAMES];
    struct mf_control_request request = {.verb = MF_CONTROL_CANCEL, .names = names, .n_names = n};
    struct mf_control_reply reply = {0};
    bool is_refused;

    for (uint32_t i = 0; i < n; i++) {
        snprintf(texts[i], sizeof(texts[i]), "%u", first + i);
        names[i] = texts[i];
    }
    is_refused = mf_cancelling_ask(cancelling, 1, &request, &reply);
    if (is_refused)
        cr_assert_str_eq(reply.text, "there are too many tasks to cancel");
    return is_refused;
}

Test(cancelling, a_request_for_too_many_tasks_is_refused_with_all_of_them)
{
    struct mf_cancelling *cancelling;

    cr_assert_eq(mf_cancelling_create(1, &cancelling), 0);
    for (uint32_t n = 0; n < MOST - 500; n += 500)
        cr_assert_not(ask(cancelling, n, 500));
    cr_assert(ask(cancelling, MOST, 501));
    cr_assert_not(ask(cancelling, MOST, 500), "none of those refused has taken a place");
    cr_assert_not(ask(cancelling, 0, 1000), "what was asked for before needs none");
    mf_cancelling_destroy(cancelling);
}

Test(cancelling, an_empty_id_is_refused)
{
    const char *names[] = {"a", ""};
    struct mf_control_request request = {.verb = MF_CONTROL_CANCEL, .names = names, .n_names = 2};
    struct mf_control_reply reply = {0};
    struct mf_cancelling *cancelling;

    cr_assert_eq(mf_cancelling_create(1, &cancelling), 0);
    cr_assert(mf_cancelling_ask(cancelling, 1, &request, &reply));
    cr_assert_str_eq(reply.text, "no task has an empty id");
    mf_cancelling_destroy(cancelling);
}
