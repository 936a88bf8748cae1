/* Plain task files: lines, prefixes, defaults, ids, and what is refused in them. */
#include "support.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

TestSuite(plain, .init = t_enter, .fini = t_leave);

#define tasks_are(text, shown) cr_assert_str_eq(t_tasks(text), (shown))

Test(plain, each_line_is_a_task_and_its_number_the_id)
{
    tasks_are("true\nfalse\n", "1: [true]\n2: [false]\n");
}

Test(plain, blank_lines_and_comments_are_passed_over)
{
    tasks_are("# one\n\n  \t\n  # two\na\n#FARMER is no keyword\n", "5: [a]\n");
}

Test(plain, an_empty_file_has_no_tasks)
{
    tasks_are("", "");
}

Test(plain, a_file_of_comments_has_no_tasks)
{
    tasks_are("# nothing", "");
}

Test(plain, a_last_line_without_newline_counts)
{
    tasks_are("a\nb", "1: [a]\n2: [b]\n");
}

Test(plain, carriage_returns_at_line_ends_are_dropped)
{
    tasks_are("a b\r\n\r\nc \"d\"\r\n", "1: [a][b]\n3: sh c \"d\"\n");
}

Test(plain, a_byte_order_mark_is_skipped)
{
    tasks_are("\xef\xbb\xbf# comment\na\n", "2: [a]\n");
    tasks_are("\xef\xbb\xbf"
              "a\n",
              "1: [a]\n");
}

Test(plain, bytes_that_are_not_utf_8_are_kept)
{
    tasks_are("a \xff\xfe\n", "1: [a][\xff\xfe]\n");
}

Test(plain, blanks_around_words_do_not_matter)
{
    tasks_are("  \ta  \t b \n", "1: [a][b]\n");
}

Test(plain, blanks_at_the_end_of_a_shell_text_are_kept)
{
    tasks_are("echo a\\ \n", "1: sh echo a\\ \n");
}

Test(plain, keys_before_the_command_are_read)
{
    tasks_are("[id=sim cores=4 timeout=2m retries=3 priority=-5 cwd=/tmp env=A=1 env=B=2] ./sim\n",
              "sim: [./sim] cores=4 timeout=120000ms retries=3 priority=-5 cwd=/tmp env=A=1 "
              "env=B=2\n");
}

Test(plain, values_between_quotes_are_taken_whole)
{
    tasks_are("[env=A=\"x ] \\\"y\\\\\" cwd=\"/a b\"] a\n", "1: [a] cwd=/a b env=A=x ] \"y\\\n");
}

Test(plain, escapes_between_quotes_make_newlines_and_tabs)
{
    tasks_are("[env=A=\"x\\n\\ty\"] a\n", "1: [a] env=A=x\n\ty\n");
    tasks_are("[env=A=\"\\x\"] a\n", "a.farm:1: in [key=value ...]: \"\\x\" means nothing between "
                                     "quotes: write \\\\ for a backslash");
}

Test(plain, brackets_of_test_commands_are_no_prefix)
{
    tasks_are("[ -f x ] && y\n[[ -f x ]]\n[]\n",
              "1: sh [ -f x ] && y\n2: sh [[ -f x ]]\n3: sh []\n");
}

Test(plain, a_prefix_that_is_not_well_formed_is_refused)
{
    tasks_are("[abc] x\n", "a.farm:1: in [key=value ...]: \"abc\" is not key=value");
    tasks_are("[id=a\n", "a.farm:1: the \"]\" that ends [key=value ...] is missing");
    tasks_are("[id=a]x\n", "a.farm:1: a blank is missing after [key=value ...]");
    tasks_are("[id=a]  \n", "a.farm:1: a command is missing after [key=value ...]");
    tasks_are("[cwd=\"a] x\n", "a.farm:1: in [key=value ...]: the closing quote is missing");
}

Test(plain, an_unknown_key_is_refused_with_the_nearest)
{
    tasks_are("a\n[coers=2] b\n",
              "a.farm:2: in [key=value ...]: unknown key \"coers\", did you mean \"cores\"?");
    tasks_are("[xyzzyx=2] b\n",
              "a.farm:1: in [key=value ...]: unknown key \"xyzzyx\" (known: id, "
              "func, after, afterany, afternotok, cores, nodes, ranks, mem, gpus, time, "
              "timeout, deadline, retries, priority, weight, group, cwd, env)");
}

Test(plain, a_key_is_given_once)
{
    tasks_are("[cores=1 cores=2] a\n", "a.farm:1: in [key=value ...]: cores is given twice");
    tasks_are("[env=A=1 env=A=2] a\n", "a.farm:1: in [key=value ...]: env: A is given twice");
}

Test(plain, a_bad_value_is_refused)
{
    const char *lines[] = {"[cores=0] a",      "[cores=x] a",      "[retries=0] a", "[timeout=0] a",
                           "[timeout=soon] a", "[priority=1.5] a", "[cwd=] a",      "[env=1A=b] a",
                           "[env=A] a",        "[id=] a",          "[id=\"a b\"] a"};

    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        const char *shown = t_tasks(lines[i]);

        cr_assert(strncmp(shown, "a.farm:1: in [key=value ...]: ", 30) == 0, "%s: %s", lines[i],
                  shown);
    }
}

Test(plain, an_id_has_255_bytes_at_most)
{
    char line[300] = "[id=";

    memset(line + 4, 'x', 255);
    strcpy(line + 259, "] a");
    cr_assert(strncmp(t_tasks(line), "xxxx", 4) == 0);
    strcpy(line + 259, "x] a");
    tasks_are(line, "a.farm:1: in [key=value ...]: id: an id has 1 to 255 bytes, not 256");
}

Test(plain, defaults_hold_for_the_lines_that_follow)
{
    tasks_are(
        "a\n#FARM cores=2 timeout=1s env=A=1\nb\n#FARM cores=3 env=B=2\n[cores=1 env=A=9] c\nd\n",
        "1: [a]\n"
        "3: [b] cores=2 timeout=1000ms env=A=1\n"
        "5: [c] timeout=1000ms env=A=9 env=B=2\n"
        "6: [d] cores=3 timeout=1000ms env=B=2 env=A=1\n");
}

Test(plain, defaults_end_with_their_file)
{
    t_write("a.farm", "#FARM cores=2\na\n");
    t_write("b.farm", "b\n");
    cr_assert_str_eq(t_show_all(t_open("a.farm", "b.farm", NULL)),
                     "a.farm:2: [a] cores=2\nb.farm:1: [b]\n");
}

Test(plain, bad_defaults_are_refused)
{
    tasks_are("#FARM id=x\n", "a.farm:1: in #FARM: id belongs to a single task");
    tasks_are("\n#FARM coers=2\n",
              "a.farm:2: in #FARM: unknown key \"coers\", did you mean \"cores\"?");
}

Test(plain, an_id_is_used_once_over_all_files)
{
    t_write("a.farm", "\n\n[id=x] a\n");
    t_write("b.farm", "b\n[id=x] b\n");
    cr_assert_str_eq(t_open_error("a.farm", "b.farm", NULL),
                     "b.farm:2: id \"x\" is already used at a.farm:3");
}

Test(plain, a_given_id_is_no_default_id_of_a_line_before_or_behind)
{
    tasks_are("a\n[id=1] b\n", "a.farm:2: id \"1\" is already used at a.farm:1");
    tasks_are("[id=2] a\nb\n", "a.farm:2: id \"2\" is already used at a.farm:1");
    t_write("b.farm", "b\n[id=a.farm:1] b\n");
    t_write("a.farm", "a\n");
    cr_assert_str_eq(t_open_error("a.farm", "b.farm", NULL),
                     "b.farm:2: id \"a.farm:1\" is already used at a.farm:1");
    cr_assert_str_eq(t_open_error("b.farm", "a.farm", NULL),
                     "a.farm:1: id \"a.farm:1\" is already used at b.farm:2");
}

Test(plain, an_id_may_be_the_number_of_a_line_that_has_no_default_id)
{
    tasks_are("[id=1] a\n# two\n[id=2] b\n[id=9] c\n[id=05] d\n6\n",
              "1: [a]\n2: [b]\n9: [c]\n05: [d]\n6: [6]\n");
}

Test(plain, with_several_files_ids_have_the_name_of_the_file)
{
    struct mf_source *source;
    const struct mf_entry *entry;

    t_write("a.farm", "a\n");
    t_write("b.farm", "\nb\n");
    source = t_open("a.farm", "b.farm", NULL);
    t_next(source);
    entry = t_next(source);
    cr_assert_str_eq(entry->command.id, "b.farm:2");
    cr_assert(!(entry->command.has_given_id));
    cr_assert_eq(entry->command.seq, 2);
    mf_source_close(source);
}

Test(plain, a_nul_byte_is_refused)
{
    t_write_bytes("a.farm", "a\nb\0c\n", 6);
    cr_assert_str_eq(t_open_error("a.farm", NULL), "a.farm:2: the line has a NUL byte");
}

/* A file whose second line begins with `head` and has `n` bytes. */
static const char *long_line(const char *head, size_t n)
{
    char *text = malloc(n + 5);

    memset(text, 'x', n + 4);
    memcpy(text, "a\n", 2);
    memcpy(text + 2, head, strlen(head));
    memcpy(text + 2 + n, "\nb", 2);
    t_write_bytes("long.farm", text, n + 4);
    free(text);
    return "long.farm";
}

Test(plain, the_longest_command_that_the_system_takes_is_taken)
{
    const struct mf_entry *entry;
    struct mf_source *source = t_open(long_line("", 131071), NULL);

    t_next(source);
    entry = t_next(source);
    cr_assert_eq(strlen(entry->command.args[0]), 131071);
    cr_assert_str_eq(t_show(t_next(source)), "3: [b]");
    mf_source_close(source);
}

Test(plain, a_longer_command_is_refused_with_its_length)
{
    cr_assert_str_eq(
        t_open_error(long_line("", 131072), NULL),
        "long.farm:2: the command is 131072 bytes long, but the system takes no more than "
        "131071");
    cr_assert_str_eq(
        t_open_error(long_line("", 10 << 20), NULL),
        "long.farm:2: the command is 10485760 bytes long, but the system takes no more "
        "than 131071");
    cr_assert_str_eq(t_open_error(long_line("[id=a] ", 10 << 20), NULL),
                     "long.farm:2: the line is 10485760 bytes long, but at most 1048576 are taken");
}

Test(plain, a_comment_may_be_of_any_length)
{
    cr_assert_str_eq(t_show_all(t_open(long_line("#", 5 << 20), NULL)), "1: [a]\n3: [b]\n");
}

Test(plain, nothing_is_given_when_a_later_file_is_bad)
{
    t_write("a.farm", "a\n");
    t_write("b.farm", "[cores=x] b\n");
    cr_assert(strncmp(t_open_error("a.farm", "b.farm", NULL), "b.farm:1: ", 10) == 0);
}

Test(plain, a_file_that_cannot_be_read_is_named)
{
    cr_assert_str_eq(t_open_error("none.farm", NULL),
                     "none.farm: cannot be opened: No such file or directory");
    cr_assert_str_eq(t_open_error(".", NULL), ".: cannot be read: Is a directory");
}

Test(plain, a_file_is_given_once)
{
    t_write("a.farm", "a\n");
    cr_assert_str_eq(t_open_error("a.farm", "a.farm", NULL), "\"a.farm\" is given twice");
}
