/* What is rendered from the tables: help, the man page, completion. */
#include "t_table.h"

#include "cli/subcommands.h"
#include "cli/wrap.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What a block of code writes to `file`. */
#define t_written(text, ...)                                                                       \
    char *text = NULL;                                                                             \
    do {                                                                                           \
        size_t text##_size = 0;                                                                    \
        FILE *file = open_memstream(&text, &text##_size);                                          \
                                                                                                   \
        __VA_ARGS__;                                                                               \
        fclose(file);                                                                              \
    } while (0)

static size_t longest_line(const char *text)
{
    size_t longest = 0;

    for (; *text; text += strcspn(text, "\n") + 1)
        if (strcspn(text, "\n") > longest)
            longest = strcspn(text, "\n");
    return longest;
}

static void assert_contains(const char *text, const char *part)
{
    cr_assert(ne(ptr, strstr(text, part), NULL), "no \"%s\" in:\n%s", part, text);
}

/* Runs a shell with the script as file descriptor 3; returns its exit status. */
static int run_shell(const char *shell, const char *script, const char *commands)
{
    char path[] = "/tmp/mpifarm-test-XXXXXX", command[1024];
    int fd = mkstemp(path), status;

    cr_assert(ge(int, fd, 0));
    cr_assert(eq(long, (long)write(fd, script, strlen(script)), (long)strlen(script)));
    close(fd);
    snprintf(command, sizeof(command), "%s -c '. %s; %s'", shell, path, commands);
    status = system(command);
    unlink(path);
    return status;
}

Test(wrap, words_fill_lines_to_the_width_and_are_indented)
{
    t_written(text, mf_wrap_words("one two three four", 18, 0, 2, 10, file));

    assert_text(text, "  one two\n  three\n  four\n");
    free(text);
}

Test(wrap, text_follows_a_short_term_on_its_line_and_a_long_one_below)
{
    t_written(text, fputs("ab", file); mf_wrap_words("one", 3, 2, 4, 20, file);
              fputs("abcdef", file); mf_wrap_words("two", 3, 6, 4, 20, file));

    assert_text(text, "ab  one\nabcdef\n    two\n");
    free(text);
}

Test(wrap, a_word_longer_than_the_line_stands_alone)
{
    t_written(text, mf_wrap_words("a abcdefghijkl b", 16, 0, 0, 6, file));

    assert_text(text, "a\nabcdefghijkl\nb\n");
    free(text);
}

Test(wrap, paragraphs_are_filled_and_lines_with_two_blanks_are_kept)
{
    t_written(text, mf_wrap_paragraphs("a\nb\n  c   d\n  e\n\nf", 1, 40, file));

    assert_text(text, " a b\n   c   d\n   e\n\n f\n");
    free(text);
}

Test(usage, a_subcommand_is_told_whole)
{
    t_written(text, mf_usage_subcommand(&t_bake, 80, file));

    assert_contains(text, "Usage: mpifarm bake [OPTION...] FLOUR...\n");
    assert_contains(text, "\nFirst paragraph, in two lines.\n\n  kept   as it is\n");
    assert_contains(text, "\n  -j, --jobs N             Loaves at once.\n");
    assert_contains(text, "\n      --resume             Go on");
    assert_contains(text, "\n  -h, --help               Print this help.\n");
    assert_contains(text, "\n  Two loaves.\n      mpifarm bake -j 2 rye.txt\n");
    free(text);
}

Test(usage, no_line_is_wider_than_asked)
{
    for (unsigned columns = 50; columns <= 100; columns += 10) {
        t_written(text, mf_usage_subcommand(&t_bake, columns, file));

        cr_assert(le(sz, longest_line(text), (size_t)columns));
        free(text);
    }
}

Test(usage, the_overview_has_a_line_for_each_subcommand)
{
    t_written(text, mf_usage_overview(t_list, 80, file));

    assert_contains(text, "\n  bake      bake bread from flour\n");
    assert_contains(text, "\n  map       bake with a command's options left alone\n");
    assert_contains(text, "\nExit status:\n");
    cr_assert(le(sz, longest_line(text), 80));
    free(text);
}

Test(usage, what_is_no_terminal_has_80_columns)
{
    FILE *file = tmpfile();

    cr_assert(eq(u32, mf_usage_columns(file), 80));
    fclose(file);
}

Test(man, every_option_is_in_the_page)
{
    t_written(page, mf_man_page(t_list, "1.2.3", file));

    assert_contains(page, ".TH MPIFARM 1 \"\" \"mpifarm 1.2.3\"");
    assert_contains(page, "\n\\fB\\-j\\fR, \\fB\\-\\-jobs\\fR \\fIN\\fR\nLoaves at once.\n");
    for (size_t i = 0; i < t_bake.n_options; i++) {
        char name[64] = "\\fB\\-\\-";

        for (const char *c = t_bake.options[i].name; *c; c++) {
            strcat(name, *c == '-' ? "\\" : "");
            strncat(name, c, 1);
        }
        assert_contains(page, name);
    }
    free(page);
}

Test(man, text_cannot_become_a_request)
{
    t_written(page, mf_man_page(t_list, "1", file));

    assert_contains(page, "\n\\&.second paragraph with a back\\eslash\n");
    free(page);
}

Test(man, lines_that_are_kept_are_not_filled)
{
    t_written(page, mf_man_page(t_list, "1", file));

    assert_contains(page, ".nf\n  kept   as it is\n.fi\n");
    free(page);
}

Test(completion, bash_accepts_the_script)
{
    t_written(script, mf_completion_bash(t_list, file));

    cr_assert(zero(int, run_shell("bash", script, "complete -p mpifarm >/dev/null")));
    free(script);
}

/* What bash would offer when the words are "mpifarm WORDS...". */
static void assert_bash_offers(const char *words, const char *expected)
{
    char commands[512];

    t_written(script, mf_completion_bash(t_list, file));
    snprintf(
        commands, sizeof(commands),
        "compopt() { :; }; COMP_WORDS=(mpifarm %s); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); "
        "_mpifarm; [[ \"${COMPREPLY[*]}\" == \"%s\" ]] || { echo \"${COMPREPLY[*]}\"; false; }",
        words, expected);
    cr_assert(zero(int, run_shell("bash", script, commands)), "%s", words);
    free(script);
}

Test(completion, bash_offers_subcommands_first)
{
    assert_bash_offers("ba", "bake");
    assert_bash_offers("--v", "--version");
}

Test(completion, bash_offers_the_options_of_the_subcommand)
{
    assert_bash_offers("bake --res", "--resume --resume-failed");
    assert_bash_offers("map -k --jo", "--jobs --joblog");
}

Test(completion, bash_offers_directories_where_a_directory_is_wanted)
{
    assert_bash_offers("bake --run-dir /us", "/usr");
    assert_bash_offers("bake --run-dir = /us", "/usr");
    assert_bash_offers("bake -o /us", "/usr");
    assert_bash_offers("bake -o /proc/uptim", "");
}

Test(completion, bash_offers_files_where_a_file_is_wanted)
{
    assert_bash_offers("bake --joblog /proc/uptim", "/proc/uptime");
    assert_bash_offers("bake /proc/uptim", "/proc/uptime");
}

Test(completion, bash_offers_nothing_for_a_number)
{
    assert_bash_offers("bake -j /us", "");
}

Test(completion, zsh_script_names_every_option_and_quotes_its_help)
{
    t_written(script, mf_completion_zsh(t_list, file));

    cr_assert(zero(int, strncmp(script, "#compdef mpifarm\n", 17)));
    assert_contains(script, "'*-j+[Loaves at once]:N: '");
    assert_contains(script, "'*--jobs=[Loaves at once]:N: '");
    assert_contains(script, "'*--run-dir=[");
    assert_contains(script, ":DIR:_files -/'");
    assert_contains(script, "'*--resume[Go on \\[where it stopped\\]\\: don'\\''t start again]'");
    free(script);
}

Test(completion, zsh_accepts_the_script_where_there_is_a_zsh)
{
    if (system("command -v zsh >/dev/null") != 0)
        cr_skip_test("no zsh");

    t_written(script, mf_completion_zsh(t_list, file));
    cr_assert(zero(int, run_shell("zsh -f -n", script, "true")));
    free(script);
}

Test(lookup, a_subcommand_is_found_by_its_whole_name)
{
    cr_assert(eq(ptr, (void *)mf_subcommand_find(t_list, "bake"), (void *)&t_bake));
    cr_assert(eq(ptr, (void *)mf_subcommand_find(t_list, "ba"), NULL));
}

Test(lookup, an_unknown_subcommand_is_answered_with_the_nearest)
{
    struct mf_error err = {0};

    cr_assert(eq(int, mf_subcommand_refuse(t_list, "bkae", &err), -EINVAL));
    assert_text(err.text, "unknown subcommand \"bkae\"; did you mean \"bake\"?");
    mf_subcommand_refuse(t_list, "dishwasher", &err);
    assert_text(err.text, "unknown subcommand \"dishwasher\"; \"mpifarm help\" lists them");
}
