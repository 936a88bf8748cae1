/* Asking other programs, of which some have more to do than to answer. */
#include "runtime/query.h"

#include "base/clock.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <string.h>

static int query(const char *script, int64_t timeout_ns, char *text, size_t size)
{
    const char *const words[] = {"sh", "-c", script, NULL};

    return mf_query(words, timeout_ns, MF_QUERY_OUTPUT, text, size);
}

Test(query, what_a_program_writes_is_told_with_how_it_ends)
{
    char text[64];

    cr_assert(eq(int, query("echo yes", 60 * MF_NS_PER_S, text, sizeof(text)), 0));
    cr_assert(eq(str, text, "yes\n"));
    cr_assert(eq(int, query("echo no; exit 3", 60 * MF_NS_PER_S, text, sizeof(text)), -ECHILD));
    cr_assert(eq(str, text, "no\n"));
}

Test(query, what_one_wrote_that_is_killed_is_a_text)
{
    char text[64];

    memset(text, 'x', sizeof(text));
    cr_assert(eq(int, query("printf some; exec sleep 300", MF_NS_PER_S / 2, text, sizeof(text)),
                 -ETIMEDOUT));
    cr_assert(strnlen(text, sizeof(text)) <= strlen("some"));
    cr_assert(zero(int, strncmp("some", text, strlen(text))));
}

Test(query, one_that_closes_its_output_and_goes_on_is_killed_in_time)
{
    char text[64];

    cr_assert(
        eq(int, query("exec sleep 300 >&-", 20 * MF_NS_PER_MS, text, sizeof(text)), -ETIMEDOUT));
}
