/* What --retries, --retry-delay, --crash-limit and --quarantine say. */
#include "cli/recovering.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#define S INT64_C(1000000000)

static struct mf_farm_config farm;
static struct mf_error err;
static uint32_t attempts;

Test(recovering, retries_are_a_number_and_causes_with_their_own)
{
    cr_assert_eq(mf_retries_parse("3", &attempts, &farm, &err), 0);
    cr_assert_eq(attempts, 3);
    cr_assert_eq(farm.budgets[MF_BUDGET_TIME], 0);
    cr_assert_eq(mf_retries_parse("2,time=1,memory=5", &attempts, &farm, &err), 0);
    cr_assert_eq(attempts, 2);
    cr_assert_eq(farm.budgets[MF_BUDGET_TIME], 1);
    cr_assert_eq(farm.budgets[MF_BUDGET_MEMORY], 5);
    cr_assert_eq(farm.budgets[MF_BUDGET_EXIT], 0);
}

static void refuse_retries(const char *text, const char *sentence)
{
    attempts = 7;
    cr_assert(mf_retries_parse(text, &attempts, &farm, &err) < 0, "%s", text);
    cr_assert(strstr(err.text, sentence), "%s", err.text);
    cr_assert_eq(attempts, 7);
}

Test(recovering, other_retries_are_refused_with_what_is_wrong)
{
    refuse_retries("0", "0");
    refuse_retries("", "");
    refuse_retries("3,5", "\"5\" is not like 3 or 3,time=1,memory=5");
    refuse_retries("3,lost=5", "\"lost\" is no cause with attempts of its own");
    refuse_retries("3,time=1,time=2", "time is given twice");
    refuse_retries("3,time=0", "0");
}

Test(recovering, a_delay_is_a_time_or_two)
{
    cr_assert_eq(mf_retry_delay_parse("1s..1m", &farm, &err), 0);
    cr_assert_eq(farm.retry_delay_ns, S);
    cr_assert_eq(farm.retry_delay_max_ns, 60 * S);
    cr_assert_eq(mf_retry_delay_parse("5s", &farm, &err), 0);
    cr_assert_eq(farm.retry_delay_ns, 5 * S);
    cr_assert_eq(farm.retry_delay_max_ns, 5 * S);
    cr_assert(mf_retry_delay_parse("1m..1s", &farm, &err) < 0);
    cr_assert(strstr(err.text, "the longest wait is shorter than the first"), "%s", err.text);
    cr_assert(mf_retry_delay_parse("1s..", &farm, &err) < 0);
    cr_assert(mf_retry_delay_parse("..1s", &farm, &err) < 0);
    cr_assert_eq(farm.retry_delay_ns, 5 * S);
}

Test(recovering, limits_are_numbers_or_none)
{
    mf_recovering_init(&farm);
    cr_assert_eq(farm.crash_limit, 3);
    cr_assert_eq(farm.quarantine, 5);
    cr_assert_eq(mf_crash_limit_parse("7", &farm, &err), 0);
    cr_assert_eq(farm.crash_limit, 7);
    cr_assert_eq(mf_crash_limit_parse("none", &farm, &err), 0);
    cr_assert_eq(farm.crash_limit, 0);
    cr_assert_eq(mf_quarantine_parse("none", &farm, &err), 0);
    cr_assert_eq(farm.quarantine, 0);
    cr_assert(mf_quarantine_parse("0", &farm, &err) < 0);
    cr_assert(mf_crash_limit_parse("many", &farm, &err) < 0);
}

Test(recovering, the_wait_for_another_scheduler_is_between_a_second_and_a_day)
{
    int64_t wait_ns = 7;

    cr_assert_eq(mf_standby_wait_parse("999ms", &wait_ns, &err), -ERANGE);
    cr_assert_str_eq(err.text, "\"999ms\" is not between 1s and 1d");
    cr_assert_eq(mf_standby_wait_parse("25h", &wait_ns, &err), -ERANGE);
    cr_assert(mf_standby_wait_parse("long", &wait_ns, &err) < 0);
    cr_assert_eq(wait_ns, 7);
    cr_assert_eq(mf_standby_wait_parse("5m", &wait_ns, &err), 0);
    cr_assert_eq(wait_ns, 300 * S);
}
