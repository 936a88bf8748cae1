/* Places of paths in commands. */
#include "base/outs.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static const char *const paths[] = {"/tmp/a", "/tmp/b", "/tmp/c"};

/* The arguments of a command with the paths in their places, "|" between them. */
static const char *filled(const char *const *args, uint32_t n_args)
{
    static char shown[256];
    struct mf_command command = {.id = "1", .has_outs = true, .n_args = n_args, .args = args};
    struct mf_buffer buffer = {0};
    struct mf_command *copy;

    mf_outs_fill(&command, paths, &buffer);
    cr_assert_eq(mf_buffer_status(&buffer), 0);
    cr_assert_eq(mf_command_decode(buffer.data, buffer.size, &copy), 0);
    cr_assert_not(copy->has_outs);
    cr_assert_eq(copy->n_args, n_args);
    shown[0] = '\0';
    for (uint32_t i = 0; i < n_args; i++) {
        strcat(shown, i > 0 ? "|" : "");
        strcat(shown, copy->args[i]);
    }
    free(copy);
    mf_buffer_finish(&buffer);
    return shown;
}

static const char *filled_one(const char *text)
{
    return filled(&text, 1);
}

Test(outs, a_path_goes_where_its_place_is)
{
    cr_assert_str_eq(filled_one("sort {out:x}"), "sort /tmp/a");
    cr_assert_str_eq(filled_one("{out:x}{out:y}"), "/tmp/a/tmp/b");
    cr_assert_str_eq(filled_one("if=\"{out:x}\" of='{out:x}'"), "if=\"/tmp/a\" of='/tmp/b'");
}

Test(outs, places_are_counted_over_all_arguments)
{
    const char *args[] = {"join", "{out:x}", "-o{out:y}", "{out:x}"};
    struct mf_command command = {.n_args = 4, .args = args};

    cr_assert_eq(mf_outs_count(&command), 3u);
    cr_assert_str_eq(filled(args, 4), "join|/tmp/a|-o/tmp/b|/tmp/c");
}

Test(outs, a_backslash_makes_a_place_ordinary_text)
{
    const char *text = "echo \\{out:x} {out:y}";
    struct mf_command command = {.n_args = 1, .args = &text};

    cr_assert_eq(mf_outs_count(&command), 1u);
    cr_assert_str_eq(filled_one(text), "echo {out:x} /tmp/a");
    cr_assert_str_eq(filled_one("\\{out:x"), "\\{out:x");
}

Test(outs, a_backslash_behind_a_backslash_does_not)
{
    cr_assert_str_eq(filled_one("echo \\\\{out:y}"), "echo \\\\/tmp/a");
}

Test(outs, what_is_no_place_stays_as_it_is)
{
    cr_assert_str_eq(filled_one("{out} {OUT:x} { out:x}"), "{out} {OUT:x} { out:x}");
    cr_assert_str_eq(filled_one("echo {out:x"), "echo {out:x");
    cr_assert_str_eq(filled_one(""), "");
}

Test(outs, a_name_is_what_stands_between_colon_and_brace)
{
    struct mf_out out;

    cr_assert(mf_outs_next("cat {out:a.farm:12}", 19, 0, &out));
    cr_assert_eq(out.offset, 4u);
    cr_assert_eq(out.size, 15u);
    cr_assert_eq(strncmp(out.name, "a.farm:12", out.n_name), 0);
    cr_assert_eq(out.n_name, 9u);
    cr_assert_not(mf_outs_next("cat {out:a.farm:12}", 19, 5, &out));
}

Test(outs, a_command_with_places_is_another_than_one_with_such_text)
{
    const char *text = "cat {out:x}";
    struct mf_command command = {.id = "1", .n_args = 1, .args = &text};
    uint8_t keys[2][MF_KEY_SIZE];

    mf_command_key(&command, keys[0]);
    command.has_outs = true;
    mf_command_key(&command, keys[1]);
    cr_assert_neq(memcmp(keys[0], keys[1], MF_KEY_SIZE), 0);
}

Test(outs, a_command_with_places_and_marks_is_refused)
{
    const char *text = "cat {out:x}";
    struct mf_slot_mark mark = {0, 0};
    struct mf_command command = {
        .id = "1", .has_outs = true, .n_args = 1, .args = &text, .n_marks = 1, .marks = &mark};
    struct mf_buffer buffer = {0};
    struct mf_command *copy;

    mf_command_encode(&command, &buffer);
    cr_assert_lt(mf_command_decode(buffer.data, buffer.size, &copy), 0);
    mf_buffer_finish(&buffer);
}
