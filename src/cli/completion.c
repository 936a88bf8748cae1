/*
 * Completion for bash and zsh, rendered from the tables of the subcommands.
 * Both scripts are self-contained: what they offer is written out in them.
 */
#include "cli/manual.h"

#include <stdbool.h>
#include <string.h>

static void print_names(mf_subcommand_list list, FILE *file)
{
    for (size_t i = 0; list[i]; i++)
        fprintf(file, "%s%s", i ? " " : "", list[i]->name);
}

/* Whether a subcommand has an option whose value is completed that way. */
static bool has_value(const struct mf_subcommand *subcommand, int complete)
{
    const struct mf_option *option;

    for (size_t i = 0; (option = mf_manual_option(subcommand, i)); i++)
        if (option->value && (int)option->complete == complete)
            return true;
    return false;
}

/* "--run-dir|--output": the pattern of a case over the word before. */
static void print_bash_pattern(const struct mf_subcommand *subcommand, int complete, FILE *file)
{
    const struct mf_option *option;
    bool is_first = true;

    for (size_t i = 0; (option = mf_manual_option(subcommand, i)); i++) {
        if (!option->value || (int)option->complete != complete)
            continue;
        if (option->letter)
            fprintf(file, "%s-%c", is_first ? "" : "|", option->letter);
        fprintf(file, "%s--%s", is_first && !option->letter ? "" : "|", option->name);
        is_first = false;
    }
}

static const char *bash_action(int complete)
{
    switch (complete) {
    case MF_COMPLETE_FILE:
        return "_mpifarm_reply -f; return";
    case MF_COMPLETE_DIR:
        return "_mpifarm_reply -d; return";
    case MF_COMPLETE_SUBCOMMAND:
        return "_mpifarm_reply -W \"$subcommands\"; return";
    default:
        return "return";
    }
}

static void print_bash_subcommand(const struct mf_subcommand *subcommand, FILE *file)
{
    const struct mf_option *option;

    fprintf(file, "    %s)\n        case $prev in\n", subcommand->name);
    for (int complete = MF_COMPLETE_NONE; complete <= MF_COMPLETE_SUBCOMMAND; complete++) {
        if (!has_value(subcommand, complete))
            continue;
        fputs("        ", file);
        print_bash_pattern(subcommand, complete, file);
        fprintf(file, ") %s ;;\n", bash_action(complete));
    }
    fputs("        esac\n        if [[ $cur == -* ]]; then\n            _mpifarm_reply -W \"",
          file);
    for (size_t i = 0; (option = mf_manual_option(subcommand, i)); i++)
        fprintf(file, "%s--%s", i ? " " : "", option->name);
    fprintf(file, "\"\n            return\n        fi\n        %s ;;\n",
            bash_action(subcommand->operands));
}

void mf_completion_bash(mf_subcommand_list list, FILE *file)
{
    fputs("# bash completion for mpifarm\n"
          "\n"
          "_mpifarm_reply()\n"
          "{\n"
          "    [[ $1 == -[fd] ]] && compopt -o filenames\n"
          "    mapfile -t COMPREPLY < <(compgen \"$@\" -- \"$cur\")\n"
          "}\n"
          "\n"
          "_mpifarm()\n"
          "{\n"
          "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
          "    local subcommands=\"",
          file);
    print_names(list, file);
    /* Readline splits --name=value into three words. */
    fputs("\"\n"
          "    COMPREPLY=()\n"
          "    if [[ $cur == = ]]; then\n"
          "        cur=\n"
          "    elif [[ $prev == = && $COMP_CWORD -ge 2 ]]; then\n"
          "        prev=${COMP_WORDS[COMP_CWORD-2]}\n"
          "    fi\n"
          "    if [[ $COMP_CWORD -eq 1 ]]; then\n"
          "        _mpifarm_reply -W \"$subcommands --help --version\"\n"
          "        return\n"
          "    fi\n"
          "    case ${COMP_WORDS[1]} in\n",
          file);
    for (size_t i = 0; list[i]; i++)
        print_bash_subcommand(list[i], file);
    fputs("    esac\n}\n\ncomplete -F _mpifarm mpifarm\n", file);
}

/* Text inside single quotes, with what has a meaning in a specification escaped. */
static void print_zsh_text(const char *text, size_t length, FILE *file)
{
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '\'')
            fputs("'\\''", file);
        else if (strchr("[]:\\", text[i]))
            fprintf(file, "\\%c", text[i]);
        else
            fputc(text[i], file);
    }
}

/* The first sentence of an option's help, without its full stop. */
static size_t first_sentence(const char *text)
{
    const char *stop = strstr(text, ". ");
    size_t length = stop ? (size_t)(stop - text) : strlen(text);

    return length > 0 && text[length - 1] == '.' ? length - 1 : length;
}

static const char *zsh_action(int complete)
{
    switch (complete) {
    case MF_COMPLETE_FILE:
        return "_files";
    case MF_COMPLETE_DIR:
        return "_files -/";
    case MF_COMPLETE_SUBCOMMAND:
        return "($subcommands)";
    default:
        return " ";
    }
}

static void print_zsh_spec(const struct mf_option *option, const char *name, char follows,
                           FILE *file)
{
    fputs(" \\\n            '*", file);
    fputs(name, file);
    if (option->value)
        fputc(follows, file);
    fputc('[', file);
    print_zsh_text(option->help, first_sentence(option->help), file);
    fputc(']', file);
    if (option->value) {
        fputc(':', file);
        print_zsh_text(option->value, strlen(option->value), file);
        fprintf(file, ":%s", zsh_action((int)option->complete));
    }
    fputc('\'', file);
}

static void print_zsh_subcommand(const struct mf_subcommand *subcommand, FILE *file)
{
    const struct mf_option *option;
    char name[80];

    fprintf(file, "    %s)\n        _arguments -s -S%s", subcommand->name,
            subcommand->stop_at_operand ? " -A '-*'" : "");
    for (size_t i = 0; (option = mf_manual_option(subcommand, i)); i++) {
        if (option->letter) {
            snprintf(name, sizeof(name), "-%c", option->letter);
            print_zsh_spec(option, name, '+', file);
        }
        snprintf(name, sizeof(name), "--%s", option->name);
        print_zsh_spec(option, name, '=', file);
    }
    fprintf(file, " \\\n            '*: :%s' ;;\n", zsh_action(subcommand->operands));
}

void mf_completion_zsh(mf_subcommand_list list, FILE *file)
{
    fputs("#compdef mpifarm\n"
          "\n"
          "_mpifarm()\n"
          "{\n"
          "    local -a subcommands=(",
          file);
    print_names(list, file);
    fputs(")\n    local -a described=(", file);
    for (size_t i = 0; list[i]; i++) {
        fprintf(file, "\n        '%s:", list[i]->name);
        print_zsh_text(list[i]->summary, strlen(list[i]->summary), file);
        fputc('\'', file);
    }
    fputs("\n    )\n"
          "    if ((CURRENT == 2)); then\n"
          "        _describe subcommand described\n"
          "        _arguments '--help[print an overview]' '--version[print the version]'\n"
          "        return\n"
          "    fi\n"
          "    shift words\n"
          "    ((CURRENT--))\n"
          "    case $words[1] in\n",
          file);
    for (size_t i = 0; list[i]; i++)
        print_zsh_subcommand(list[i], file);
    fputs("    esac\n}\n\n_mpifarm \"$@\"\n", file);
}
