/*
 * What is rendered from the tables of the subcommands: help, the man page and
 * completion. Every function writes to a file that its caller checks with
 * ferror(), and takes the list, which ends with NULL, so that it can be tested
 * with another one.
 */
#ifndef MF_CLI_MANUAL_H
#define MF_CLI_MANUAL_H

#include "cli/cli.h"

#include <stdio.h>

typedef const struct mf_subcommand *const *mf_subcommand_list;

/** --help, which every subcommand has after its own options. */
extern const struct mf_option mf_help_option;

/** A part of the manual that belongs to no subcommand; paragraphs as in mf_subcommand. */
struct mf_section {
    const char *title;
    const char *text;
};

/** What the program is, in one line and in paragraphs. */
extern const char mf_manual_summary[];
extern const char mf_manual_intro[];

/** Exit status, environment, files; ends with a title of NULL. */
extern const struct mf_section mf_manual_sections[];

/**
 * mf_manual_option() - the options of a subcommand, --help being the last one.
 *
 * @index  0 .. n_options
 *
 * Returns NULL behind the last one.
 */
const struct mf_option *mf_manual_option(const struct mf_subcommand *subcommand, size_t index);

/**
 * mf_manual_example() - the next example of *cursor, which is moved behind it.
 *
 * @ret_comment, @ret_command  borrowed lines with their lengths
 *
 * Returns 1, or 0 when there are no more (also for NULL).
 */
int mf_manual_example(const char **cursor, const char **ret_comment, int *ret_comment_length,
                      const char **ret_command, int *ret_command_length);

/** Columns to wrap to: those of the terminal that file is, within reason, or 80. */
unsigned mf_usage_columns(FILE *file);

/** The subcommands, one line each, and what holds for all of them. */
void mf_usage_overview(mf_subcommand_list list, unsigned columns, FILE *file);

/** All about one subcommand. */
void mf_usage_subcommand(const struct mf_subcommand *subcommand, unsigned columns, FILE *file);

/** mpifarm(1) in roff. */
void mf_man_page(mf_subcommand_list list, const char *version, FILE *file);

/** Completion for bash, to be sourced. */
void mf_completion_bash(mf_subcommand_list list, FILE *file);

/** Completion for zsh, the file _mpifarm of a directory in $fpath. */
void mf_completion_zsh(mf_subcommand_list list, FILE *file);

#endif
