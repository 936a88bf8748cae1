/* See asking.h. */
#include "cli/asking.h"

#include "base/clock.h"

#include <errno.h>
#include <stdio.h>

/* A farm says something in its next turn; it is busy or stopped when it does not. */
#define TIMEOUT_NS (10 * MF_NS_PER_S)

int mf_asking_refuse(struct mf_context *context, const struct mf_error *err)
{
    mf_log_error(&context->log, "%s", err->text);
    return MPIFARM_EXIT_USAGE;
}

int mf_asking_main(struct mf_context *context, const char *run_dir,
                   const struct mf_control_request *request)
{
    struct mf_control_reply reply;
    struct mf_error err;

    if (mf_control_ask(run_dir, request, TIMEOUT_NS, &reply, &err) < 0)
        return mf_asking_refuse(context, &err);
    if (!reply.is_ok) {
        /* It may be longer than a line of the log. */
        fprintf(stderr, "mpifarm: %s: %s\n", run_dir, reply.text);
        return MPIFARM_EXIT_FAILED;
    }
    printf("%s\n", reply.text);
    return MPIFARM_EXIT_DONE;
}

int mf_asking_set_no_option(void *arg, size_t index, const char *text, struct mf_error *err)
{
    return mf_error_set(err, -EINVAL, "there are no options");
}

static int check_names(const struct mf_subcommand *subcommand, const char *what, int n,
                       char **names, struct mf_error *err)
{
    if (n < 1)
        return mf_error_set(err, -EINVAL, "which %s? usage: mpifarm %s %s", what, subcommand->name,
                            subcommand->synopsis);
    if (n > MF_CONTROL_MAX_NAMES)
        return mf_error_set(err, -E2BIG, "at most %d at a time", MF_CONTROL_MAX_NAMES);
    for (int i = 0; i < n; i++)
        if (names[i][0] == '\0')
            return mf_error_set(err, -EINVAL, "no %s has an empty name; usage: mpifarm %s %s", what,
                                subcommand->name, subcommand->synopsis);
    return 0;
}

int mf_asking_of_names(struct mf_context *context, const struct mf_subcommand *subcommand,
                       enum mf_control_verb verb, const char *what, int argc, char **argv)
{
    struct mf_control_request request = {.verb = verb};
    struct mf_error err = {0};
    int r = mf_options_parse(subcommand, argc, argv, mf_asking_set_no_option, NULL, &err), first;

    if (r == -ECANCELED)
        return MPIFARM_EXIT_DONE;
    first = r;
    if (r >= 0)
        r = check_names(subcommand, what, argc - first - 1, argv + first + 1, &err);
    if (r < 0)
        return mf_asking_refuse(context, &err);
    request.names = (const char **)argv + first + 1;
    request.n_names = (uint32_t)(argc - first - 1);
    return mf_asking_main(context, argv[first], &request);
}
