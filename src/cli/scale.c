/* The subcommand scale: more workers for a running farm, or fewer. */
#include "cli/asking.h"
#include "cli/subcommands.h"

#include "base/units.h"

#include <ctype.h>
#include <errno.h>

/* "+4" or "-4", which is no option. */
static bool is_change(const char *word)
{
    return (word[0] == '+' || word[0] == '-') && isdigit((unsigned char)word[1]);
}

static int check_change(const char *word, struct mf_error *err)
{
    int64_t ignored;
    int r;

    if (!is_change(word))
        return mf_error_set(err, -EINVAL,
                            "\"%.100s\" is not like +4 or -4; usage: mpifarm scale %s", word,
                            mf_subcommand_scale.synopsis);
    r = mf_parse_integer(word + 1, 1, MF_CONTROL_MAX_NAMES, &ignored, err);
    return r < 0 ? mf_error_prefix(err, r, "%.100s: ", word) : 0;
}

/* Returns the index of RUN, or of the last word where that is not given; or -errno. */
static int parse(int argc, char **argv, struct mf_error *err)
{
    /* The last word would be taken for an option. */
    int n = argc > 1 && is_change(argv[argc - 1]) ? argc - 1 : argc;
    int first = mf_options_parse(&mf_subcommand_scale, n, argv, mf_asking_set_no_option, NULL, err);
    int r;

    if (first < 0)
        return first;
    if (argc - first < 1 || argc - first > 2)
        return mf_error_set(err, -EINVAL, "which way? usage: mpifarm scale %s",
                            mf_subcommand_scale.synopsis);
    r = check_change(argv[argc - 1], err);
    return r < 0 ? r : first;
}

static int run_scale(struct mf_context *context, int argc, char **argv)
{
    struct mf_control_request request = {.verb = MF_CONTROL_SCALE, .n_names = 1};
    struct mf_error err = {0};
    int first = parse(argc, argv, &err);

    if (first == -ECANCELED)
        return MPIFARM_EXIT_DONE;
    if (first < 0)
        return mf_asking_refuse(context, &err);
    request.names = (const char **)argv + argc - 1;
    return mf_asking_main(context, argc - first == 2 ? argv[first] : MF_DEFAULT_RUN_DIR, &request);
}

const struct mf_subcommand mf_subcommand_scale = {
    .name = "scale",
    .synopsis = "[RUN] +N|-N",
    .summary = "give a running farm more workers, or fewer",
    .description =
        "With -N, the N workers that came last get no more work, and leave when what they run has "
        "ended. With +N, up to N workers come in place of those that have left or were lost, on "
        "the cores that these had: those that are still there work again, others are started "
        "where mpirun allows it. RUN is the run directory, mpifarm-run by default.",
    .operands = MF_COMPLETE_DIR,
    .examples = "Others need a part of the nodes for a while.\n"
                "mpifarm scale mpifarm-run -4\n"
                "They are there again.\n"
                "mpifarm scale mpifarm-run +4",
    .run = run_scale,
};
