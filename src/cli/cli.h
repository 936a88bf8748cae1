/*
 * The command line: one file per subcommand, each with one const
 * mf_subcommand whose option table is the only description there is.
 * Parsing, --help, the man page and shell completion all read it.
 */
#ifndef MF_CLI_CLI_H
#define MF_CLI_CLI_H

#include <mpifarm/exit.h>

#include "base/error.h"
#include "base/log.h"

#include <stddef.h>
#include <stdint.h>

/**
 * @name     without the dashes
 * @letter   short form, 0 for none
 * @value    what it takes, as shown in help ("N", "FILE"), NULL for a flag
 * @complete what completion offers for the value
 * @help     one or two sentences, plain text
 */
struct mf_option {
    const char *name;
    char letter;
    const char *value;
    enum { MF_COMPLETE_NONE, MF_COMPLETE_FILE, MF_COMPLETE_DIR, MF_COMPLETE_SUBCOMMAND } complete;
    const char *help;
};

/**
 * One option met on the command line.
 *
 * @index  of the option in the subcommand's table
 * @text   its value, NULL for a flag (borrowed from argv)
 */
typedef int (*mf_option_fn)(void *arg, size_t index, const char *text, struct mf_error *err);

/** What main knows and every subcommand may need. */
struct mf_context {
    struct mf_log log;
    char **argv; /* as main got it */
    int argc;
};

/**
 * @name         as typed
 * @synopsis     what follows the name, e.g. "[OPTION...] FILE..."
 * @summary      one line for the overview
 * @description  paragraphs, separated by "\n\n"; lines starting with two blanks are kept as they
 * are
 * @options      n_options of them
 * @stop_at_operand  options end at the first operand (mpifarm map)
 * @operands     what completion offers for operands
 * @examples     pairs of lines: a comment, a command; separated by "\n"; NULL for none
 * @run          parses argv[1..] (argv[0] is the name) and does it; returns the exit status
 */
struct mf_subcommand {
    const char *name;
    const char *synopsis;
    const char *summary;
    const char *description;
    const struct mf_option *options;
    size_t n_options;
    int stop_at_operand;
    int operands; /* MF_COMPLETE_* */
    const char *examples;
    int (*run)(struct mf_context *context, int argc, char **argv);
};

/** All subcommands, in the order of the overview; the list ends with NULL. */
extern const struct mf_subcommand *const mf_subcommands[];

/**
 * mf_options_parse() - read options, calling fn for each in order.
 *
 * Built on getopt_long: bundles, `--name=value`, `--`, unique abbreviations.
 * --help is handled here. An unknown option is answered with the nearest name.
 *
 * Returns the index in argv of the first operand; -EINVAL (or what fn
 * returned) with a sentence in err; or -ECANCELED when --help was printed.
 */
int mf_options_parse(const struct mf_subcommand *subcommand, int argc, char **argv, mf_option_fn fn,
                     void *arg, struct mf_error *err);

#endif
