/* The subcommand map: a farm of one command with many arguments. */
#include "cli/farming.h"
#include "cli/subcommands.h"

static int open_sweep(const char *const *words, uint32_t n_words,
                      const struct mf_source_options *options, struct mf_source **ret_source,
                      struct mf_error *err)
{
    return mf_source_open_sweep(words, n_words, ret_source, err);
}

static int run_map(struct mf_context *context, int argc, char **argv)
{
    return mf_farming_main(context, &mf_subcommand_map, argc, argv, open_sweep, 1);
}

const struct mf_subcommand mf_subcommand_map = {
    .name = "map",
    .synopsis = "[OPTION...] COMMAND... [::: ARG...]...",
    .summary = "run one command with many arguments",
    .description =
        "Runs COMMAND once for each ARG, or for each combination of ARGs where there are several "
        "lists. Without any list, the arguments are the lines of standard input.\n"
        "\n"
        "  ::: ARG...    a list of arguments\n"
        "  :::+ ARG...   a list linked to the one before it: first with first, second with second\n"
        "  :::: FILE...  a list of the lines of each FILE; \"-\" is standard input\n"
        "  ::::+ FILE... the same, linked to the list before it\n"
        "\n"
        "In COMMAND these are replaced, and {} is added at its end if none of them occurs:\n"
        "\n"
        "  {}            the argument       {#}  number of the task\n"
        "  {.}           without extension  {%}  number of the slot it runs in\n"
        "  {/}           without directory  {2}  the argument from the second list\n"
        "  {//}          its directory      {2.} {2/} {2//} {2/.}\n"
        "  {/.}          without directory and extension\n"
        "\n"
        "An argument arrives at the command unchanged, whatever characters it has, inside quotes "
        "of COMMAND too.",
    .options = mf_farming_options,
    .n_options = MF_N_FARMING_OPTIONS,
    .stop_at_operand = 1,
    .operands = MF_COMPLETE_FILE,
    .examples = "Compress all logs.\n"
                "mpifarm map gzip -9 ::: *.log\n"
                "All combinations of two parameters.\n"
                "mpifarm map ./sim --alpha {1} --beta {2} '>' out.{1}.{2} ::: 0.1 0.2 ::: 1 2 3\n"
                "One task per line of standard input.\n"
                "find . -name '*.dat' | mpifarm map ./analyse {} {.}.result",
    .run = run_map,
};
