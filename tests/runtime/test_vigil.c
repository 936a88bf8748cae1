/* Who has not been heard of for too long; time is a number here. */
#include "base/clock.h"
#include "runtime/vigil.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

static struct mf_vigil *vigil;
static int64_t now_ns;

static void setup(void)
{
    cr_assert(eq(int, mf_vigil_create(3, 2 * MF_NS_PER_S, &vigil), 0));
    mf_vigil_look(vigil, now_ns);
}

static void teardown(void)
{
    mf_vigil_destroy(vigil);
}

TestSuite(vigil, .init = setup, .fini = teardown);

/* Listens for some time in short looks; returns who turned out to be silent, the first of them. */
static uint32_t listen_ms(int ms)
{
    for (int i = 0; i < ms; i++) {
        uint32_t peer;

        now_ns += MF_NS_PER_MS;
        mf_vigil_look(vigil, now_ns);
        peer = mf_vigil_next(vigil);
        if (peer != MF_VIGIL_NOBODY)
            return peer;
    }
    return MF_VIGIL_NOBODY;
}

Test(vigil, whoever_is_silent_for_too_long_is_told_of_once)
{
    mf_vigil_begin(vigil, 1);
    cr_assert(eq(u32, listen_ms(1999), MF_VIGIL_NOBODY));
    cr_assert(eq(u32, listen_ms(200), 1));
    cr_assert(eq(u32, listen_ms(10000), MF_VIGIL_NOBODY));
}

Test(vigil, whoever_is_heard_is_not_silent)
{
    mf_vigil_begin(vigil, 0);
    mf_vigil_begin(vigil, 2);
    for (int i = 0; i < 10; i++) {
        mf_vigil_heard(vigil, 0);
        mf_vigil_heard(vigil, 2);
        cr_assert(eq(u32, listen_ms(1900), MF_VIGIL_NOBODY));
    }
    mf_vigil_heard(vigil, 0);
    cr_assert(eq(u32, listen_ms(1900), 2));
}

Test(vigil, nobody_is_silent_who_is_not_expected)
{
    mf_vigil_heard(vigil, 0);
    mf_vigil_begin(vigil, 1);
    mf_vigil_end(vigil, 1);
    mf_vigil_heard(vigil, 1);
    cr_assert(eq(u32, listen_ms(10000), MF_VIGIL_NOBODY));
    cr_assert(eq(i64, mf_vigil_silence_ns(vigil, 1), 0));
}

Test(vigil, while_nobody_listens_nobody_is_silent)
{
    mf_vigil_begin(vigil, 0);
    now_ns += 3600 * MF_NS_PER_S;
    cr_assert(eq(u32, listen_ms(1500), MF_VIGIL_NOBODY));
    now_ns += 3600 * MF_NS_PER_S;
    cr_assert(eq(u32, listen_ms(100), MF_VIGIL_NOBODY));
    cr_assert(eq(u32, listen_ms(1000), 0));
}

Test(vigil, all_who_are_silent_are_told_of)
{
    for (uint32_t i = 0; i < 3; i++)
        mf_vigil_begin(vigil, i);
    cr_assert(eq(u32, listen_ms(2200), 0));
    cr_assert(eq(u32, mf_vigil_next(vigil), 1));
    cr_assert(eq(u32, mf_vigil_next(vigil), 2));
    cr_assert(eq(u32, mf_vigil_next(vigil), MF_VIGIL_NOBODY));
}
