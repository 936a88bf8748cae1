/* The man page mpifarm(1) in roff, rendered from the tables of the subcommands. */
#include "cli/manual.h"

#include "cli/wrap.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

/* Text that roff shows as it is. A dot or quote that begins a line would be a
 * request, a bare hyphen would become a typographic one that cannot be pasted. */
static void print_escaped(const char *text, size_t length, FILE *file)
{
    bool at_start = true;

    for (size_t i = 0; i < length; i++) {
        if (at_start && (text[i] == '.' || text[i] == '\''))
            fputs("\\&", file);
        at_start = text[i] == '\n';
        if (text[i] == '\\')
            fputs("\\e", file);
        else if (text[i] == '-')
            fputs("\\-", file);
        else
            fputc(text[i], file);
    }
}

static void print_text(const char *text, FILE *file)
{
    print_escaped(text, strlen(text), file);
}

/* Lines in capitals under .SH; each is one argument, so that it is quoted. */
static void print_title(const char *request, const char *title, FILE *file)
{
    fprintf(file, "%s \"", request);
    for (; *title; title++)
        fputc(toupper((unsigned char)*title), file);
    fputs("\"\n", file);
}

static void print_paragraphs(const char *text, FILE *file)
{
    bool is_verbatim = false;
    struct mf_block block;

    while (mf_block_next(&text, &block)) {
        if (is_verbatim && (!block.is_verbatim || block.starts_group))
            fputs(".fi\n", file);
        if (block.starts_group || block.is_verbatim != is_verbatim)
            fputs(".PP\n", file);
        if (block.is_verbatim && (!is_verbatim || block.starts_group))
            fputs(".nf\n", file);
        is_verbatim = block.is_verbatim;
        print_escaped(block.text, block.length, file);
        fputc('\n', file);
    }
    if (is_verbatim)
        fputs(".fi\n", file);
}

static void print_synopsis(mf_subcommand_list list, FILE *file)
{
    print_title(".SH", "Synopsis", file);
    for (size_t i = 0; list[i]; i++) {
        fprintf(file, "%s.B mpifarm %s\n", i ? ".br\n" : "", list[i]->name);
        print_text(list[i]->synopsis, file);
        fputc('\n', file);
    }
}

static void print_option(const struct mf_option *option, FILE *file)
{
    fputs(".TP\n", file);
    if (option->letter)
        fprintf(file, "\\fB\\-%c\\fR, ", option->letter);
    fputs("\\fB\\-\\-", file);
    print_text(option->name, file);
    fputs("\\fR", file);
    if (option->value) {
        fputs(" \\fI", file);
        print_text(option->value, file);
        fputs("\\fR", file);
    }
    fputc('\n', file);
    print_text(option->help, file);
    fputc('\n', file);
}

static void print_subcommand(const struct mf_subcommand *subcommand, FILE *file)
{
    const struct mf_option *option;

    fprintf(file, ".SS \"mpifarm %s ", subcommand->name);
    for (const char *c = subcommand->synopsis; *c; c++)
        if (*c != '"')
            print_escaped(c, 1, file);
    fputs("\"\n", file);
    print_paragraphs(subcommand->description, file);
    for (size_t i = 0; (option = mf_manual_option(subcommand, i)); i++)
        print_option(option, file);
}

static void print_examples(const struct mf_subcommand *subcommand, FILE *file)
{
    const char *cursor = subcommand->examples, *comment, *command;
    int n_comment, n_command;

    while (mf_manual_example(&cursor, &comment, &n_comment, &command, &n_command)) {
        fputs(".PP\n", file);
        print_escaped(comment, (size_t)n_comment, file);
        fputs("\n.PP\n.RS 4\n.nf\n", file);
        print_escaped(command, (size_t)n_command, file);
        fputs("\n.fi\n.RE\n", file);
    }
}

void mf_man_page(mf_subcommand_list list, const char *version, FILE *file)
{
    fprintf(file, ".TH MPIFARM 1 \"\" \"mpifarm %s\" \"User Commands\"\n", version);
    /* No hyphenation, no stretching: names of options stay whole. */
    fputs(".nh\n.ad l\n", file);
    print_title(".SH", "Name", file);
    fputs("mpifarm \\- ", file);
    print_text(mf_manual_summary, file);
    fputc('\n', file);
    print_synopsis(list, file);
    print_title(".SH", "Description", file);
    print_paragraphs(mf_manual_intro, file);

    print_title(".SH", "Subcommands", file);
    for (size_t i = 0; list[i]; i++)
        print_subcommand(list[i], file);
    for (const struct mf_section *section = mf_manual_sections; section->title; section++) {
        print_title(".SH", section->title, file);
        print_paragraphs(section->text, file);
    }
    print_title(".SH", "Examples", file);
    for (size_t i = 0; list[i]; i++)
        print_examples(list[i], file);
    print_title(".SH", "See also", file);
    fputs(".BR parallel (1),\n.BR xargs (1),\n.BR mpirun (1),\n.BR srun (1)\n", file);
    fputs(".PP\nFarms of C functions: libmpifarm, whose manual is mpifarm/mpifarm.h.\n", file);
}
