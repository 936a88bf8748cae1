#include "t_table.h"

#include <criterion/criterion.h>
#include <string.h>

static const struct mf_option options[] = {
    [T_JOBS] = {.name = "jobs", .letter = 'j', .value = "N", .help = "Loaves at once."},
    [T_KEEP_ORDER] = {.name = "keep-order", .letter = 'k', .help = "Keep the order."},
    [T_RESUME] = {.name = "resume", .help = "Go on [where it stopped]: don't start again. Ever."},
    [T_RESUME_FAILED] = {.name = "resume-failed", .help = "Bake burnt ones again."},
    [T_JOBLOG] = {.name = "joblog",
                  .value = "FILE",
                  .complete = MF_COMPLETE_FILE,
                  .help = "Write down what was baked."},
    [T_RUN_DIR] = {.name = "run-dir",
                   .value = "DIR",
                   .complete = MF_COMPLETE_DIR,
                   .help = "The kitchen, which must exist already, be warm, be clean, be lit and "
                           "have a door."},
    [T_OUTPUT] = {.name = "output",
                  .letter = 'o',
                  .value = "DIR",
                  .complete = MF_COMPLETE_DIR,
                  .help = "The table."},
};

const struct mf_subcommand t_bake = {
    .name = "bake",
    .synopsis = "[OPTION...] FLOUR...",
    .summary = "bake bread from flour",
    .description =
        "First paragraph,\nin two lines.\n\n  kept   as it is\n\n.second paragraph with a "
        "back\\slash",
    .options = options,
    .n_options = sizeof(options) / sizeof(options[0]),
    .operands = MF_COMPLETE_FILE,
    .examples = "Two loaves.\nmpifarm bake -j 2 rye.txt",
};

const struct mf_subcommand t_map = {
    .name = "map",
    .synopsis = "[OPTION...] COMMAND",
    .summary = "bake with a command's options left alone",
    .description = "As bake.",
    .options = options,
    .n_options = sizeof(options) / sizeof(options[0]),
    .stop_at_operand = 1,
};

const struct mf_subcommand *const t_list[] = {&t_bake, &t_map, NULL};

void assert_text(const char *actual, const char *expected)
{
    cr_assert(strcmp(actual, expected) == 0, "\"%s\" instead of \"%s\"", actual, expected);
}
