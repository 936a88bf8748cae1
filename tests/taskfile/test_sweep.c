/* Sweeps: which combinations, in which order, and what replaces what. */
#include "support.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

TestSuite(sweep, .init = t_enter, .fini = t_leave);

#define combinations_are(shown, ...) cr_assert_str_eq(t_combinations(__VA_ARGS__, NULL), (shown))
#define error_is(shown, ...) cr_assert_str_eq(t_sweep_error(__VA_ARGS__, NULL), (shown))

static void stdin_from(const char *text)
{
    int ends[2];

    cr_assert(pipe(ends) == 0);
    cr_assert(write(ends[1], text, strlen(text)) == (ssize_t)strlen(text));
    close(ends[1]);
    cr_assert(dup2(ends[0], STDIN_FILENO) == STDIN_FILENO);
    close(ends[0]);
}

Test(sweep, the_last_list_varies_fastest)
{
    combinations_are("1: [c][a][x]\n2: [c][a][y]\n3: [c][b][x]\n4: [c][b][y]\n", "c", ":::", "a",
                     "b", ":::", "x", "y");
}

Test(sweep, linked_lists_advance_together_and_end_with_the_shortest)
{
    combinations_are("1: [c][a][1][x]\n2: [c][a][1][y]\n3: [c][b][2][x]\n4: [c][b][2][y]\n", "c",
                     ":::", "a", "b", ":::+", "1", "2", "3", ":::", "x", "y");
}

Test(sweep, files_are_lists_of_lines)
{
    t_write("f", "a b\n\nc");
    t_write("g", "1\n");
    combinations_are("1: [c][a b][1]\n2: [c][][1]\n3: [c][c][1]\n", "c", "::::", "f", "g");
    combinations_are("1: [c][a b][1]\n", "c", "::::", "f", "::::+", "g");
    combinations_are("1: [c][a b]\n2: [c][]\n3: [c][c]\n", "c", "::::", "f");
}

Test(sweep, a_list_without_arguments_counts_as_one_that_is_empty)
{
    combinations_are("1: [c][a][]\n2: [c][b][]\n", "c", ":::", "a", "b", ":::");
    combinations_are("1: [c][a][]\n", "c", ":::", "a", "b", ":::+");
}

Test(sweep, no_arguments_at_all_are_no_tasks)
{
    combinations_are("", "c", ":::");
    combinations_are("", "c", ":::", ":::");
    combinations_are("", "c", "::::", "/dev/null");
}

Test(sweep, without_lists_standard_input_gives_the_arguments)
{
    stdin_from("a b\n\n$c");
    combinations_are("1: [c][a b]\n2: [c][]\n3: [c][$c]\n", "c");
}

Test(sweep, a_file_may_be_standard_input)
{
    stdin_from("1\n2\n");
    combinations_are("1: [c][a][1]\n2: [c][a][2]\n", "c", ":::", "a", "::::", "-");
}

Test(sweep, standard_input_is_read_as_it_comes)
{
    struct mf_source_summary summary;
    const struct mf_entry *entry;
    struct mf_source *source;
    int ends[2];

    cr_assert(pipe(ends) == 0);
    cr_assert(dup2(ends[0], STDIN_FILENO) == STDIN_FILENO);
    source = t_sweep("echo", NULL);
    mf_source_summarize(source, &summary);
    cr_assert(!summary.is_counted);
    cr_assert_eq(mf_source_next(source, &entry, NULL), -EAGAIN);
    cr_assert(mf_source_fd(source) >= 0);
    cr_assert(write(ends[1], "a\nb\nc", 5) == 5);
    cr_assert_str_eq(t_show(t_next(source)), "1: [echo][a]");
    cr_assert_str_eq(t_show(t_next(source)), "2: [echo][b]");
    cr_assert_eq(mf_source_next(source, &entry, NULL), -EAGAIN);
    cr_assert_eq(mf_source_load(source, 0, &entry, NULL), 0);
    cr_assert_str_eq(t_show(entry), "1: [echo][a]");
    cr_assert_eq(mf_source_load(source, 2, &entry, NULL), -ENOENT);
    close(ends[1]);
    cr_assert_str_eq(t_show(t_next(source)), "3: [echo][c]");
    cr_assert_eq(mf_source_next(source, &entry, NULL), 1);
    mf_source_close(source);
}

Test(sweep, any_combination_can_be_loaded)
{
    struct mf_source *source = t_sweep("c", ":::", "a", "b", "c", ":::", "1", "2", NULL);
    const struct mf_entry *entry;
    struct mf_error err = {0};

    cr_assert_eq(mf_source_load(source, 4, &entry, &err), 0);
    cr_assert_str_eq(t_show(entry), "5: [c][c][1]");
    cr_assert_str_eq(entry->command.tag, "c 1");
    cr_assert_eq(entry->command.seq, 5);
    cr_assert_str_eq(t_show(t_next(source)), "1: [c][a][1]");
    cr_assert(mf_source_load(source, 6, &entry, &err) < 0);
    mf_source_close(source);
}

Test(sweep, lines_of_a_file_can_be_loaded_in_any_order)
{
    enum { N = 1000 };
    FILE *file = fopen("f", "w");
    struct mf_source *source;
    struct mf_source_summary summary;

    for (int i = 0; i < N; i++)
        fprintf(file, "%d\n", i);
    fclose(file);
    source = t_sweep("c", "::::", "f", NULL);
    mf_source_summarize(source, &summary);
    cr_assert_eq(summary.n_tasks, N);
    for (int i = 0; i < N; i++) {
        const struct mf_entry *entry;
        int at = i * 377 % N;

        cr_assert_eq(mf_source_load(source, (uint64_t)at, &entry, NULL), 0);
        cr_assert_eq(atoi(entry->command.args[1]), at);
    }
    mf_source_close(source);
}

Test(sweep, the_number_of_combinations_is_counted_without_making_them)
{
    const char *words[2 + 11 * 41] = {"c"};
    struct mf_source_summary summary;
    struct mf_source *source;
    struct mf_error err = {0};
    uint32_t n = 1;

    for (int list = 0; list < 12; list++) {
        words[n++] = ":::";
        for (int i = 0; i < 32; i++)
            words[n++] = "x";
    }
    cr_assert_eq(mf_source_open_sweep(words, n, &source, &err), 0);
    mf_source_summarize(source, &summary);
    cr_assert_eq(summary.n_tasks, UINT64_C(1) << 60);
    mf_source_close(source);
    words[n++] = ":::";
    for (int i = 0; i < 32; i++)
        words[n++] = "x";
    cr_assert_eq(mf_source_open_sweep(words, n, &source, &err), -ERANGE);
    cr_assert_str_eq(err.text, "there are more combinations than 18446744073709551614");
}

Test(sweep, positions_choose_arguments)
{
    combinations_are("1: [c][2][1][1-2]\n", "c", "{2}", "{1}", "{1}-{2}", ":::", "1", ":::", "2");
}

Test(sweep, all_arguments_are_several_words)
{
    combinations_are("1: [c][ax][yb]\n", "c", "a{}b", ":::", "x", ":::", "y");
    combinations_are("1: [c][a b][c d][e]\n", "c", "{}", "e", ":::", "a b", ":::", "c d");
    combinations_are("1: sh c 'a b' 'd'; e 'a b d'\n", "c {}; e '{}'", ":::", "a b", ":::", "d");
}

Test(sweep, sequence_and_slot_have_their_places)
{
    combinations_are("1: [c][a-1][{%}x{%}]\n2: [c][b-2][{%}x{%}]\n", "c", "{}-{#}", "{%}x{%}",
                     ":::", "a", "b");
    combinations_are("1: sh c a {%} \"{%}\" '{%}' '{%}'>1\n", "c {} {%} \"{%}\" '{%}' {%}>{#}",
                     ":::", "a");
}

Test(sweep, a_command_with_only_a_sequence_number_still_gets_its_argument)
{
    combinations_are("1: [c][1][a]\n", "c", "{#}", ":::", "a");
}

Test(sweep, modifiers_take_paths_apart)
{
    static const struct {
        const char *value, *no_extension, *base, *directory, *base_no_extension;
    } cases[] = {
        /* As GNU Parallel prints them. */
        {"a.b.c", "a.b", "a.b.c", ".", "a.b"},
        {"/a.b/c", "/a.b/c", "c", "/a.b", "c"},
        {"d/e.f.g/", "d/e.f.g/", "", "d", ""},
        {"", "", "", ".", ""},
        {"/", "/", "", "/", ""},
        {"a//", "a//", "", ".", ""},
        {".x", "", ".x", ".", ""},
        {"/x/.y", "/x/", ".y", "/x", ""},
        {".a.b", ".a", ".a.b", ".", ".a"},
        {"x.", "x", "x.", ".", "x"},
        {"a. b", "a", "a. b", ".", "a"},
        {"x/", "x/", "", ".", ""},
        {"//x", "//x", "x", "/", "x"},
        {"a//b", "a//b", "b", "a", "b"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct mf_source *source = t_sweep("c", "{.}", "{/}", "{//}", "{/.}", "{1.}", "{1/}",
                                           "{1//}", "{1/.}", ":::", cases[i].value, NULL);
        const char *const *args = t_next(source)->command.args;

        for (int k = 0; k <= 4; k += 4) {
            cr_expect_str_eq(args[k + 1], cases[i].no_extension);
            cr_expect_str_eq(args[k + 2], cases[i].base);
            cr_expect_str_eq(args[k + 3], cases[i].directory);
            cr_expect_str_eq(args[k + 4], cases[i].base_no_extension);
        }
        mf_source_close(source);
    }
}

Test(sweep, other_braces_stay)
{
    combinations_are("1: sh c {a} {,} {1 } {1#} x\n", "c", "{a}", "{,}", "{1 }", "{1#}",
                     ":::", "x");
}

Test(sweep, words_of_the_command_are_one_line)
{
    combinations_are("1: sh echo a | wc x\n", "echo a", "|", "wc", ":::", "x");
    combinations_are("1: sh cd x\n", "cd", ":::", "x");
}

Test(sweep, bad_words_are_refused)
{
    error_is("there is no command for the arguments", ":::", "a");
    error_is("there is no command for the arguments", " ", ":::", "a");
    error_is("{3}: the arguments are numbered from 1 to 2", "c", "{3}", ":::", "a", ":::", "b");
    error_is("{0}: the arguments are numbered from 1 to 1", "c", "{0}", ":::", "a");
    error_is("{4294967296.}: the arguments are numbered from 1 to 1", "c", "{4294967296.}",
             ":::", "a");
    error_is("\":::+\" needs arguments before it to link its own to", "c", ":::+", "a");
    error_is("none: cannot be opened: No such file or directory", "c", "::::", "none");
    error_is("none: cannot be opened: No such file or directory", "c", "::::", "none", ":::", "a");
    error_is("\"-\" is given twice", "c", "::::", "-", "-");
}

Test(sweep, a_bad_line_of_a_file_is_named)
{
    t_write_bytes("f", "a\nb\0\n", 5);
    error_is("f:2: the line has a NUL byte", "c", "::::", "f");
    error_is("f:2: the line has a NUL byte", "c", "::::", "f", ":::", "a");
}

Test(sweep, a_command_that_gets_too_long_is_found_before_anything_starts)
{
    char *value = calloc(1, 100001);

    memset(value, 'x', 100000);
    cr_assert_str_eq(
        t_sweep_error("c", "{1}{2}", ":::", "a", value, ":::", value, NULL),
        "combination 2: the command is 200000 bytes long, but the system takes no more "
        "than 131071");
    cr_assert_eq(strlen(t_next(t_sweep("c", "{1}", ":::", value, NULL))->command.args[1]), 100000);
}
