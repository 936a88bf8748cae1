/*
 * Reading a subcommand's options with getopt_long, and answering a wrong one
 * with the nearest right one.
 *
 * getopt keeps its position in global variables; they are reset at each start
 * and nobody else uses them. Runs on the one thread of the command line.
 */
#include "cli/cli.h"

#include "base/units.h"
#include "cli/manual.h"

#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What getopt_long returns for an option without a letter: this plus its index. */
#define FIRST_INDEX 256

/**
 * A subcommand's table as getopt wants it; --help is its last option.
 *
 * @longs    n_options + 2 entries, the last one zero
 * @letters  "+:" and the letters
 */
struct parser {
    const struct mf_subcommand *subcommand;
    size_t n_options;
    struct option *longs;
    char *letters;
};

static const struct mf_option *option_at(const struct parser *parser, size_t index)
{
    return index < parser->subcommand->n_options ? &parser->subcommand->options[index]
                                                 : &mf_help_option;
}

static int parser_init(struct parser *parser, const struct mf_subcommand *subcommand)
{
    char *letter;

    *parser = (struct parser){.subcommand = subcommand, .n_options = subcommand->n_options + 1};
    parser->longs = calloc(parser->n_options + 1, sizeof(*parser->longs));
    parser->letters = calloc(parser->n_options + 2, 2);
    if (!parser->longs || !parser->letters)
        return -ENOMEM;

    letter = parser->letters;
    if (subcommand->stop_at_operand)
        *letter++ = '+';
    *letter++ = ':';
    for (size_t i = 0; i < parser->n_options; i++) {
        const struct mf_option *option = option_at(parser, i);

        parser->longs[i] = (struct option){
            .name = option->name,
            .has_arg = option->value ? required_argument : no_argument,
            .val = FIRST_INDEX + (int)i,
        };
        if (!option->letter)
            continue;
        *letter++ = option->letter;
        if (option->value)
            *letter++ = ':';
    }
    return 0;
}

static void parser_finish(struct parser *parser)
{
    free(parser->longs);
    free(parser->letters);
}

/* The option that getopt speaks of, by letter or by index; n_options if none. */
static size_t index_of(const struct parser *parser, int value)
{
    if (value >= FIRST_INDEX)
        return (size_t)(value - FIRST_INDEX);
    for (size_t i = 0; i < parser->n_options; i++)
        if (value != 0 && option_at(parser, i)->letter == value)
            return i;
    return parser->n_options;
}

/* "--resume, --resume-failed, --retries": what an abbreviation may stand for. */
static size_t list_matches(const struct parser *parser, const char *name, size_t length, char *text,
                           size_t size)
{
    size_t n_matches = 0, used = 0;

    text[0] = '\0';
    for (size_t i = 0; i < parser->n_options; i++) {
        if (strncmp(option_at(parser, i)->name, name, length) != 0)
            continue;
        if (used < size)
            used += (size_t)snprintf(text + used, size - used, "%s--%s", n_matches ? ", " : "",
                                     option_at(parser, i)->name);
        n_matches++;
    }
    return n_matches;
}

static const char *nearest_name(const struct parser *parser, const char *name)
{
    const char **names = calloc(parser->n_options, sizeof(*names));
    const char *nearest;

    if (!names)
        return NULL;
    for (size_t i = 0; i < parser->n_options; i++)
        names[i] = option_at(parser, i)->name;
    nearest = mf_nearest(name, names, parser->n_options);
    free(names);
    return nearest;
}

static int refuse_long(const struct parser *parser, const char *word, struct mf_error *err)
{
    const char *name = word + 2, *nearest;
    size_t length = strcspn(name, "=");
    char given[128], matches[512];

    snprintf(given, sizeof(given), "%.*s", (int)(length < 100 ? length : 100), name);
    if (list_matches(parser, name, length, matches, sizeof(matches)) > 1)
        return mf_error_set(err, -EINVAL, "option --%s could be any of %s", given, matches);

    nearest = nearest_name(parser, given);
    if (nearest)
        return mf_error_set(err, -EINVAL, "unknown option --%s; did you mean --%s?", given,
                            nearest);
    return mf_error_set(err, -EINVAL, "unknown option --%s; \"mpifarm help %s\" lists them", given,
                        parser->subcommand->name);
}

static int refuse(const struct parser *parser, const char *word, struct mf_error *err)
{
    size_t index = index_of(parser, optopt);

    if (index < parser->n_options)
        return mf_error_set(err, -EINVAL, "option --%s takes no value",
                            option_at(parser, index)->name);
    if (optopt == 0)
        return refuse_long(parser, word, err);
    return mf_error_set(err, -EINVAL, "unknown option -%c; \"mpifarm help %s\" lists them", optopt,
                        parser->subcommand->name);
}

static int refuse_without_value(const struct parser *parser, struct mf_error *err)
{
    const struct mf_option *option = option_at(parser, index_of(parser, optopt));

    return mf_error_set(err, -EINVAL, "option --%s needs a value: --%s %s", option->name,
                        option->name, option->value);
}

static int parse(const struct parser *parser, int argc, char **argv, mf_option_fn fn, void *arg,
                 struct mf_error *err)
{
    int value, r;

    optind = 0;
    opterr = 0;
    while ((value = getopt_long(argc, argv, parser->letters, parser->longs, NULL)) != -1) {
        size_t index;

        if (value == '?')
            return refuse(parser, argv[optind - 1], err);
        if (value == ':')
            return refuse_without_value(parser, err);

        index = index_of(parser, value);
        assert(index < parser->n_options);
        if (option_at(parser, index) == &mf_help_option) {
            mf_usage_subcommand(parser->subcommand, mf_usage_columns(stdout), stdout);
            return -ECANCELED;
        }
        r = fn(arg, index, option_at(parser, index)->value ? optarg : NULL, err);
        if (r < 0)
            return r;
    }
    return optind;
}

int mf_options_parse(const struct mf_subcommand *subcommand, int argc, char **argv, mf_option_fn fn,
                     void *arg, struct mf_error *err)
{
    struct parser parser;
    int r = parser_init(&parser, subcommand);

    if (r < 0)
        r = mf_error_set(err, r, "out of memory");
    else
        r = parse(&parser, argc, argv, fn, arg, err);
    parser_finish(&parser);
    return r;
}
