/* See asking.h. */
#include "cli/asking.h"

#include "base/clock.h"
#include "cli/standing.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

/* A farm says something in its next turn; it is busy or stopped when it does not. */
#define TIMEOUT_NS (10 * MF_NS_PER_S)

/* Between two tries where nobody listens: a scheduler is about to begin. */
#define PAUSE_NS (100 * MF_NS_PER_MS)

/* --- where nobody listens --- */

/**
 * How a run stands whose directory has no farm that listens.
 *
 * @is_known  it has a status
 * @is_there  it is on another host, and goes on as far as can be seen from here
 */
struct silence {
    struct mf_status status;
    enum mf_standing standing;
    bool is_known;
    bool is_there;
};

static void look(const char *run_dir, struct silence *ret_silence)
{
    *ret_silence = (struct silence){0};
    ret_silence->is_known = mf_status_read(run_dir, &ret_silence->status) == 0;
    ret_silence->standing =
        mf_standing_find(run_dir, ret_silence->is_known ? &ret_silence->status : NULL);
    ret_silence->is_there = ret_silence->is_known && ret_silence->status.host[0] &&
                            !mf_standing_is_here(&ret_silence->status) &&
                            ret_silence->standing != MF_STANDING_ENDED;
}

/* Somebody has the lock and is about to listen; or the run was heard of a moment ago, so that
 * another scheduler may be about to take it over. */
static bool may_go_on(const struct silence *silence)
{
    if (silence->is_known && silence->status.is_finished)
        return false;
    return !silence->is_there &&
           (silence->standing == MF_STANDING_GOES_ON ||
            (silence->is_known && mf_status_age_ns(&silence->status) < TIMEOUT_NS));
}

static void explain(const struct silence *silence, struct mf_error *err)
{
    char text[sizeof(err->text)];

    snprintf(text, sizeof(text), "%s", err->text);
    if (silence->is_there)
        mf_error_set(err, -ECONNREFUSED, "%s: the run goes on on %.64s: ask on that host", text,
                     silence->status.host);
    else if (silence->is_known && silence->status.is_finished)
        mf_error_set(err, -ECONNREFUSED, "%s: the run is over", text);
    else if (silence->standing == MF_STANDING_GOES_ON)
        mf_error_set(err, -ECONNREFUSED, "%s, though the run goes on: it takes no commands", text);
    else if (silence->is_known)
        mf_error_set(err, -ECONNREFUSED, "%s: the run broke off", text);
    else
        mf_error_set(err, -ECONNREFUSED, "%s: there is no run", text);
}

/* As mf_control_ask(), and tries again while the run may go on under another scheduler. */
static int ask(const char *run_dir, const struct mf_control_request *request,
               struct mf_control_reply *ret_reply, struct mf_error *err)
{
    const struct timespec pause = {.tv_nsec = PAUSE_NS};
    int64_t until_ns = mf_clock_monotonic_ns() + TIMEOUT_NS;
    struct silence silence;
    int r;

    for (;;) {
        r = mf_control_ask(run_dir, request, TIMEOUT_NS, ret_reply, err);
        if (r != -ECONNREFUSED)
            return r;
        look(run_dir, &silence);
        if (!may_go_on(&silence) || mf_clock_monotonic_ns() >= until_ns)
            break;
        nanosleep(&pause, NULL);
    }
    explain(&silence, err);
    return r;
}

/* --- asking --- */

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

    if (ask(run_dir, request, &reply, &err) < 0)
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
