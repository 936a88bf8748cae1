#include "base/program.h"

#include "base/clock.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>

static int ask(const char *script, int64_t timeout_ns, bool with_errors, char *text, size_t size)
{
    const char *const words[] = {"sh", "-c", script, NULL};

    return mf_program_ask(words, timeout_ns, with_errors, text, size);
}

Test(program, what_it_writes_is_taken_with_its_exit_status)
{
    char text[32];

    cr_assert(eq(int, ask("echo a; echo b; exit 3", INT64_MAX, false, text, sizeof(text)), 3));
    cr_assert(eq(str, text, (char *)"a\nb\n"));
    cr_assert(eq(int, ask("kill -KILL $$", INT64_MAX, false, text, sizeof(text)), 128 + 9));
    cr_assert(eq(str, text, (char *)""));
}

Test(program, its_errors_are_taken_if_asked_for)
{
    char text[32];

    cr_assert(eq(int, ask("echo a; echo b >&2", INT64_MAX, true, text, sizeof(text)), 0));
    cr_assert(eq(str, text, (char *)"a\nb\n"));
}

Test(program, what_there_is_no_room_for_is_dropped)
{
    char text[4];

    cr_assert(
        eq(int, ask("yes | head -c 200000; exit 1", INT64_MAX, false, text, sizeof(text)), 1));
    cr_assert(eq(str, text, (char *)"y\ny"));
}

Test(program, one_that_takes_too_long_is_killed)
{
    char text[8];

    cr_assert(
        eq(int, ask("exec sleep 300", 20 * MF_NS_PER_MS, false, text, sizeof(text)), -ETIMEDOUT));
}

Test(program, one_that_there_is_not_is_told_by_errno)
{
    const char *const words[] = {"/nonexistent/program", NULL};
    char text[8];

    cr_assert(eq(int, mf_program_ask(words, INT64_MAX, false, text, sizeof(text)), -ENOENT));
}
