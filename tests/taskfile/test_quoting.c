/* Arguments arrive unchanged through a real shell, whatever they are and wherever they stand. */
#include "support.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TestSuite(quoting, .init = t_enter, .fini = t_leave);

static const char *const nasty[] = {
    "",
    " ",
    "a b",
    "  two  ",
    "it's",
    "''",
    "'",
    "\"",
    "say \"hi\"",
    "$HOME",
    "$(id)",
    "`id`",
    "\\",
    "\\\\",
    "a\\",
    "\\'",
    "\\\"",
    "\\$x",
    "\\`x\\`",
    "a\nb",
    "\n",
    "\ttab",
    "-n",
    "--",
    "-",
    "*",
    "?[a-z]",
    "~",
    "~root",
    "#x",
    "a#b",
    "!",
    "!!",
    "{a,b}",
    "{}",
    "{1}",
    "a;b",
    "a&b|c",
    "<x>",
    "(x)",
    "if",
    "exit",
    "a=b",
    "PATH=/none",
    "2",
    "%s",
    "%",
    "^",
    "}",
    "]",
    "$",
    "$'x'",
    "\xc3\xa9\xe2\x82\xac",
    "\xff\xfe",
    "\r",
    "\x01\x7f",
    "; touch pwned; '",
    "\"; touch pwned; \"",
    "$(touch pwned)",
    "`touch pwned`",
    "'; touch pwned; '",
    "\n touch pwned\n",
    "\\\n touch pwned",
};

#define N_NASTY (sizeof(nasty) / sizeof(nasty[0]))

/* Runs the command of a sweep with each argument and compares what it prints: before, argument,
 * after. */
static void expect_unchanged(const char *command, const char *before, const char *after)
{
    for (size_t i = 0; i < N_NASTY; i++) {
        struct mf_source *source = t_sweep(command, ":::", nasty[i], NULL);
        const struct mf_entry *entry = t_next(source);
        char expected[256];
        size_t size;
        char *printed = t_run(&entry->command, &size);

        snprintf(expected, sizeof(expected), "%s%s%s", before, nasty[i], after);
        cr_expect(strcmp(printed, expected) == 0, "%s\n  ran as: %s\n  printed: %s\n  not: %s",
                  command, entry->command.args[0], printed, expected);
        free(printed);
        mf_source_close(source);
    }
    cr_expect(fopen("pwned", "r") == NULL, "%s", command);
}

Test(quoting, without_a_shell)
{
    expect_unchanged("printf [%s] {}", "[", "]");
}

Test(quoting, outside_quotes)
{
    expect_unchanged("printf '[%s]' {}", "[", "]");
    expect_unchanged(": ; printf '[%s]' {};", "[", "]");
    expect_unchanged("printf '[%s]' a{}b", "[a", "b]");
    expect_unchanged("printf '[%s]' {}>&1", "[", "]");
    expect_unchanged("(printf '[%s]' {})", "[", "]");
    expect_unchanged("x={}; printf '[%s]' \"$x\"", "[", "]");
    expect_unchanged("for x in {}; do printf '[%s]' \"$x\"; done", "[", "]");
}

Test(quoting, between_double_quotes)
{
    expect_unchanged("printf '[%s]' \"{}\"", "[", "]");
    expect_unchanged("printf '[%s]' \"a {} b\"", "[a ", " b]");
    expect_unchanged("printf '[%s]' \"'{}'\"", "['", "']");
    expect_unchanged("printf '[%s]' \"\\\"{}\\\"\"", "[\"", "\"]");
}

Test(quoting, between_single_quotes)
{
    expect_unchanged("printf '[%s]' '{}'", "[", "]");
    expect_unchanged("printf '[%s]' 'a \"{}\" $b'", "[a \"", "\" $b]");
}

Test(quoting, behind_a_variable)
{
    expect_unchanged("p=a; printf '[%s]' \"$p{}\"", "[a", "]");
    expect_unchanged("p=a; printf '[%s]' $p{}", "[a", "]");
    expect_unchanged("p=a; printf '[%s]' \"${p}{}\"", "[a", "]");
    expect_unchanged("p=a; printf '[%s]' $p\\\n{}", "[a", "]");
}

Test(quoting, behind_a_backslash_between_double_quotes)
{
    expect_unchanged("printf '[%s]' \"\\{}\"", "[\\", "]");
}

Test(quoting, inside_command_substitution)
{
    expect_unchanged("printf %s \"$(printf '[%s]' {})\"", "[", "]");
    expect_unchanged("printf %s \"$(printf '[%s]' \"{}\")\"", "[", "]");
    expect_unchanged("printf %s \"$(printf '[%s]' '{}')\"", "[", "]");
    expect_unchanged("printf %s \"$( (printf '[%s]' \"$(printf %s {}; echo .)\") )\"", "[", ".]");
}

Test(quoting, inside_backquotes)
{
    expect_unchanged("x=`printf '[%s]' {}`; printf %s \"$x\"", "[", "]");
    expect_unchanged("x=`printf '[%s]' \"{}\"`; printf %s \"$x\"", "[", "]");
    expect_unchanged("x=`printf '[%s]' '{}'`; printf %s \"$x\"", "[", "]");
    expect_unchanged("printf %s \"`printf '[%s]' {}`\"", "[", "]");
}

Test(quoting, backquotes_end_between_quotes_too)
{
    expect_unchanged("x=`#'`\nprintf '[%s]' {}", "[", "]");
}

Test(quoting, behind_arithmetic)
{
    expect_unchanged("printf '[%s]' $((2*(3+4)-14+0))\"{}\"", "[0", "]");
}

Test(quoting, after_a_comment_line)
{
    expect_unchanged("# don't\nprintf '[%s]' {}", "[", "]");
}

Test(quoting, several_arguments_stay_apart)
{
    struct mf_source *source = t_sweep("printf '[%s]' {};", ":::", "a b", ":::", "", NULL);
    size_t size;

    cr_assert_str_eq(t_run(&t_next(source)->command, &size), "[a b][]");
    mf_source_close(source);
}

Test(quoting, a_brace_behind_a_backslash_is_no_placeholder)
{
    struct mf_source *source = t_sweep("printf '[%s]' \\{}", ":::", "a", NULL);
    size_t size;

    cr_assert_str_eq(t_run(&t_next(source)->command, &size), "[{}][a]");
    mf_source_close(source);
}

Test(quoting, places_that_cannot_be_quoted_are_refused)
{
    static const struct {
        const char *command, *reason;
    } cases[] = {
        {"echo # {}", "it is in a comment"},
        {"echo ${x:-{}}", "it is inside ${...}"},
        {"echo \"${x:-'}\" {}", "it follows ${...} with quotes or expansions inside"},
        {"echo ${}", "it follows \"$\""},
        {"echo \"$\"$'a' {}", "it follows $'...', which shells read differently"},
        {"cat <<E\n{}\nE", "it may be in a here-document"},
        {"echo `echo \\`echo {}\\``",
         "it follows a backslash inside backquotes (use $(...) instead)"},
        {"echo $((1 + {}))", "it is inside $((...)) (assign it to a variable first)"},
        {"echo $(( (2)*{}))", "it is inside $((...)) (assign it to a variable first)"},
        {"echo $((\"1\")) {}", "it follows $((...)) with quotes or expansions inside"},
        {"echo $[1] {}", "it follows $[...], which shells read differently"},
        {"echo \"$(case x in x) echo {};; esac)\"", "it follows \"case\" inside $(...)"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char expected[128];

        snprintf(expected, sizeof(expected), "{} cannot be quoted safely: %s", cases[i].reason);
        cr_expect_str_eq(t_sweep_error(cases[i].command, ":::", "a", NULL), expected);
    }
}

Test(quoting, a_default_placeholder_is_not_put_into_a_comment)
{
    cr_assert_str_eq(t_sweep_error("echo a # b", ":::", "x", NULL),
                     "{} cannot be quoted safely: it is in a comment");
}
