/* Reading options: what arrives, in which order, and how a wrong one is answered. */
#include "t_table.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <criterion/redirect.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define MAX_WORDS 16

/* What was read, as text: "jobs=4 keep-order | a b". */
struct t_parsed {
    char text[512];
    struct mf_error err;
    int result;
};

static int note(void *arg, size_t index, const char *text, struct mf_error *err)
{
    struct t_parsed *parsed = arg;
    size_t used = strlen(parsed->text);

    if (text && strcmp(text, "refused") == 0)
        return mf_error_set(err, -ERANGE, "refused by the subcommand");
    snprintf(parsed->text + used, sizeof(parsed->text) - used, "%s%s%s ",
             t_bake.options[index].name, text ? "=" : "", text ? text : "");
    return 0;
}

/* Words are separated by one blank. */
static struct t_parsed parse(const struct mf_subcommand *subcommand, const char *line)
{
    static char copy[512];
    char *argv[MAX_WORDS + 1] = {0};
    struct t_parsed parsed = {0};
    int argc = 0;

    snprintf(copy, sizeof(copy), "%s %s", subcommand->name, line);
    for (char *word = strtok(copy, " "); word && argc < MAX_WORDS; word = strtok(NULL, " "))
        argv[argc++] = word;
    parsed.result = mf_options_parse(subcommand, argc, argv, note, &parsed, &parsed.err);
    if (parsed.result >= 0) {
        strcat(parsed.text, "|");
        for (int i = parsed.result; i < argc; i++) {
            strcat(parsed.text, " ");
            strcat(parsed.text, argv[i]);
        }
    }
    return parsed;
}

static void assert_parsed(const struct mf_subcommand *subcommand, const char *line,
                          const char *expected)
{
    struct t_parsed parsed = parse(subcommand, line);

    cr_assert(ge(int, parsed.result, 0), "%s", parsed.err.text);
    assert_text(parsed.text, expected);
}

static void assert_refused(const char *line, const char *sentence)
{
    struct t_parsed parsed = parse(&t_bake, line);

    cr_assert(eq(int, parsed.result, -EINVAL), "%s", line);
    assert_text(parsed.err.text, sentence);
}

Test(options, a_value_may_be_written_in_every_way)
{
    assert_parsed(&t_bake, "-j 4", "jobs=4 |");
    assert_parsed(&t_bake, "-j4", "jobs=4 |");
    assert_parsed(&t_bake, "--jobs 4", "jobs=4 |");
    assert_parsed(&t_bake, "--jobs=4", "jobs=4 |");
}

Test(options, a_value_may_begin_with_a_dash)
{
    assert_parsed(&t_bake, "-j -1", "jobs=-1 |");
    assert_parsed(&t_bake, "--jobs -1", "jobs=-1 |");
}

Test(options, letters_may_be_bundled)
{
    assert_parsed(&t_bake, "-kj4", "keep-order jobs=4 |");
}

Test(options, options_arrive_in_their_order)
{
    assert_parsed(&t_bake, "--resume -k --jobs 2 --resume", "resume keep-order jobs=2 resume |");
}

Test(options, options_may_follow_operands)
{
    assert_parsed(&t_bake, "rye.txt -k oats.txt", "keep-order | rye.txt oats.txt");
}

Test(options, options_of_a_command_to_map_are_left_alone)
{
    assert_parsed(&t_map, "-k ./sim -j --steps 4", "keep-order | ./sim -j --steps 4");
}

Test(options, two_dashes_end_the_options)
{
    assert_parsed(&t_bake, "-k -- -j", "keep-order | -j");
}

Test(options, a_unique_beginning_of_a_name_is_enough)
{
    assert_parsed(&t_bake, "--keep --jobl x", "keep-order joblog=x |");
}

Test(options, a_whole_name_that_begins_another_is_itself)
{
    assert_parsed(&t_bake, "--resume", "resume |");
}

Test(options, each_parse_starts_afresh)
{
    assert_parsed(&t_map, "-k a b", "keep-order | a b");
    assert_parsed(&t_bake, "-k a b", "keep-order | a b");
    assert_refused("-k --jbos 4", "unknown option --jbos; did you mean --jobs?");
    assert_parsed(&t_bake, "-k", "keep-order |");
}

Test(options, an_unknown_name_is_answered_with_the_nearest)
{
    assert_refused("--keep-oder", "unknown option --keep-oder; did you mean --keep-order?");
    assert_refused("--jbos=4", "unknown option --jbos; did you mean --jobs?");
}

Test(options, an_unknown_name_like_no_other_leads_to_the_list)
{
    assert_refused("--xyzzy", "unknown option --xyzzy; \"mpifarm help bake\" lists them");
}

Test(options, an_unknown_letter_leads_to_the_list)
{
    assert_refused("-kx", "unknown option -x; \"mpifarm help bake\" lists them");
}

Test(options, an_ambiguous_beginning_is_answered_with_all_it_could_be)
{
    assert_refused("--res", "option --res could be any of --resume, --resume-failed");
}

Test(options, a_missing_value_is_named)
{
    assert_refused("--jobs", "option --jobs needs a value: --jobs N");
    assert_refused("-k -j", "option --jobs needs a value: --jobs N");
}

Test(options, a_value_for_a_flag_is_refused)
{
    assert_refused("--resume=yes", "option --resume takes no value");
}

Test(options, what_the_subcommand_refuses_is_passed_on)
{
    struct t_parsed parsed = parse(&t_bake, "-k --jobs refused --resume");

    cr_assert(eq(int, parsed.result, -ERANGE));
    assert_text(parsed.text, "keep-order ");
    assert_text(parsed.err.text, "refused by the subcommand");
}

Test(options, help_prints_the_subcommand_and_goes_no_further)
{
    struct t_parsed parsed;

    cr_redirect_stdout();
    parsed = parse(&t_bake, "-k --help --nonsense");
    fflush(stdout);
    cr_assert(eq(int, parsed.result, -ECANCELED));
    assert_text(parsed.text, "keep-order ");
}

Test(options, a_very_long_unknown_name_is_refused_like_any)
{
    char line[400] = "--";

    memset(line + 2, 'x', 300);
    cr_assert(eq(int, parse(&t_bake, line).result, -EINVAL));
}
