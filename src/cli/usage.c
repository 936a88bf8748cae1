/* Help as text for a terminal, rendered from the tables of the subcommands. */
#include "cli/manual.h"

#include "cli/wrap.h"

#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define OPTION_INDENT 27
#define DEFAULT_COLUMNS 80
#define LEAST_COLUMNS 50
#define MOST_COLUMNS 100 /* longer lines are hard to read */

unsigned mf_usage_columns(FILE *file)
{
    struct winsize size;
    int fd = fileno(file);

    if (fd < 0 || !isatty(fd) || ioctl(fd, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
        return DEFAULT_COLUMNS;
    if (size.ws_col < LEAST_COLUMNS)
        return LEAST_COLUMNS;
    return size.ws_col < MOST_COLUMNS ? size.ws_col : MOST_COLUMNS;
}

/* A term, and what it means from column indent on. */
static void print_term(const char *term, const char *meaning, unsigned indent, unsigned columns,
                       FILE *file)
{
    fputs(term, file);
    mf_wrap_words(meaning, strlen(meaning), (unsigned)strlen(term), indent, columns, file);
}

void mf_usage_overview(mf_subcommand_list list, unsigned columns, FILE *file)
{
    fputs("Usage: mpifarm SUBCOMMAND [OPTION...] [ARGUMENT...]\n\n", file);
    mf_wrap_paragraphs(mf_manual_intro, 0, columns, file);

    fputs("\nSubcommands:\n", file);
    for (; *list; list++) {
        char term[32];

        snprintf(term, sizeof(term), "  %-8s", (*list)->name);
        print_term(term, (*list)->summary, 12, columns, file);
    }
    for (const struct mf_section *section = mf_manual_sections; section->title; section++) {
        fprintf(file, "\n%s:\n", section->title);
        mf_wrap_paragraphs(section->text, 0, columns, file);
    }
    fputs("\n\"mpifarm help SUBCOMMAND\" tells all about one of them.\n", file);
}

static void print_option(const struct mf_option *option, unsigned columns, FILE *file)
{
    char letter[4] = "   ", term[80];

    if (option->letter)
        snprintf(letter, sizeof(letter), "-%c,", option->letter);
    snprintf(term, sizeof(term), "  %s --%s%s%s", letter, option->name, option->value ? " " : "",
             option->value ? option->value : "");
    print_term(term, option->help, OPTION_INDENT, columns, file);
}

static void print_examples(const char *examples, unsigned columns, FILE *file)
{
    const char *comment, *command;
    int n_comment, n_command;

    fputs("\nExamples:\n", file);
    while (mf_manual_example(&examples, &comment, &n_comment, &command, &n_command)) {
        mf_wrap_words(comment, (size_t)n_comment, 0, 2, columns, file);
        fprintf(file, "      %.*s\n", n_command, command);
    }
}

void mf_usage_subcommand(const struct mf_subcommand *subcommand, unsigned columns, FILE *file)
{
    const struct mf_option *option;
    char term[64];

    snprintf(term, sizeof(term), "Usage: mpifarm %s", subcommand->name);
    print_term(term, subcommand->synopsis, (unsigned)strlen(term) + 1, columns, file);
    fputc('\n', file);
    mf_wrap_paragraphs(subcommand->description, 0, columns, file);

    fputs("\nOptions:\n", file);
    for (size_t i = 0; (option = mf_manual_option(subcommand, i)); i++)
        print_option(option, columns, file);
    if (subcommand->examples)
        print_examples(subcommand->examples, columns, file);
}
