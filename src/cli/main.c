/*
 * mpifarm: finds the subcommand and hands over to it.
 *
 * Everything here runs before MPI is started, on the one thread there is.
 */
#include "base/units.h"
#include "cli/manual.h"
#include "cli/subcommands.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool is_one_of(const char *word, const char *name, const char *letter)
{
    return strcmp(word, name) == 0 || strcmp(word, letter) == 0;
}

static void refuse_option(const char *word, struct mf_error *err)
{
    static const char *const names[] = {"--help", "--version"};
    const char *nearest = mf_nearest(word, names, sizeof(names) / sizeof(names[0]));

    if (nearest)
        mf_error_set(err, -EINVAL, "unknown option %.100s; did you mean %s?", word, nearest);
    else
        mf_error_set(
            err, -EINVAL,
            "unknown option %.100s; options follow the subcommand, as in \"mpifarm run -j 4 "
            "tasks.txt\"",
            word);
}

static int dispatch(struct mf_context *context)
{
    const char *word = context->argv[1];
    const struct mf_subcommand *subcommand;
    struct mf_error err = {0};

    if (!word) {
        mf_usage_overview(mf_subcommands, mf_usage_columns(stderr), stderr);
        return MPIFARM_EXIT_USAGE;
    }
    if (is_one_of(word, "--help", "-h")) {
        mf_usage_overview(mf_subcommands, mf_usage_columns(stdout), stdout);
        return MPIFARM_EXIT_DONE;
    }
    if (is_one_of(word, "--version", "-V")) {
        puts("mpifarm " MF_VERSION);
        return MPIFARM_EXIT_DONE;
    }
    subcommand = mf_subcommand_find(mf_subcommands, word);
    if (subcommand)
        return subcommand->run(context, context->argc - 1, context->argv + 1);

    if (word[0] == '-')
        refuse_option(word, &err);
    else
        mf_subcommand_refuse(mf_subcommands, word, &err);
    mf_log_error(&context->log, "%s", err.text);
    return MPIFARM_EXIT_USAGE;
}

/* What was printed counts only once it is written; a reader that has gone away
 * wanted no more. */
static int finish_stdout(struct mf_context *context, int status)
{
    if (fflush(stdout) == 0 || errno == EPIPE)
        return status;
    mf_log_error(&context->log, "cannot write to standard output: %s", strerror(errno));
    return status == MPIFARM_EXIT_DONE ? MPIFARM_EXIT_FAILED : status;
}

/*
 * What is opened later must not become one of the standard streams: it would be written to. One
 * of those for output that is closed stays one that cannot be written, and that is told then.
 */
static void occupy_standard_streams(void)
{
    for (int stream = STDIN_FILENO; stream <= STDERR_FILENO; stream++) {
        int fd;

        if (fcntl(stream, F_GETFD) >= 0)
            continue;
        fd = open("/dev/null", stream == STDIN_FILENO ? O_RDWR : O_RDONLY);
        /* The lowest that is free is this one, as those below are taken. */
        if (fd != stream)
            _exit(MPIFARM_EXIT_USAGE);
    }
}

int main(int argc, char **argv)
{
    struct mf_context context = {
        .log = {.file = stderr, .level = MF_LOG_INFO},
        .argv = argv,
        .argc = argc,
    };

    /* A reader that goes away is noticed where its descriptor is written. */
    signal(SIGPIPE, SIG_IGN);
    /* So is a file that may not grow: that is an error of a write, like a full disk. */
    signal(SIGXFSZ, SIG_IGN);
    /* Who started this may have ignored it: then nobody could tell how a child ended. */
    signal(SIGCHLD, SIG_DFL);
    occupy_standard_streams();
    return finish_stdout(&context, argc > 0 ? dispatch(&context) : MPIFARM_EXIT_USAGE);
}
