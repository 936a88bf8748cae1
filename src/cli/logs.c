/*
 * The subcommand logs: what the tasks of a run wrote, and how they ended, from
 * the journal and the stores of the run directory. It changes nothing and can
 * be used while the run goes on.
 */
#include "cli/subcommands.h"

#include "base/io.h"
#include "base/units.h"
#include "journal/journal.h"
#include "report/store.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OPTION_FAILED, OPTION_ATTEMPT };

static const struct mf_option options[] = {
    [OPTION_FAILED] = {.name = "failed", .help = "Print the output of all tasks that failed."},
    [OPTION_ATTEMPT] = {.name = "attempt",
                        .value = "N",
                        .help = "Print what the N-th attempt wrote; the last one is the default."},
};

/* What was asked for, and what is open to answer it. */
struct logs {
    const char *run_dir;
    const char *task;
    bool is_failed_only;
    int64_t attempt;
    struct mf_journal *journal;
    struct mf_store *kept;
    struct mf_store *spool;
    struct mf_store *feed;
    char output_dir[PATH_MAX];
    uint64_t found_row; /* of the attempt to print, 0 for none */
    struct mf_error *err;
};

static int set_option(void *arg, size_t index, const char *text, struct mf_error *err)
{
    struct logs *logs = arg;
    int r = 0;

    if (index == OPTION_FAILED)
        logs->is_failed_only = true;
    else
        r = mf_parse_integer(text, 1, UINT32_MAX, &logs->attempt, err);
    return r < 0 ? mf_error_prefix(err, r, "--attempt: ") : 0;
}

/* --- printing --- */

static int copy_stream(struct logs *logs, const struct mf_journal_attempt *attempt,
                       enum mf_stream stream, int fd)
{
    const struct mf_region *region = &attempt->region;
    struct mf_store *store = region->store == MF_STORE_SPOOL  ? logs->spool
                             : region->store == MF_STORE_FEED ? logs->feed
                                                              : logs->kept;
    uint64_t offset = region->offset + (stream == MF_STDERR ? region->size[MF_STDOUT] : 0);
    uint64_t end = offset + region->size[stream];
    char block[65536];

    while (offset < end) {
        size_t wanted = end - offset < sizeof(block) ? (size_t)(end - offset) : sizeof(block);
        ssize_t n = mf_store_read(store, region->file, offset, block, wanted);
        int r;

        if (n <= 0)
            return mf_error_set(logs->err, n < 0 ? (int)n : -EIO,
                                "the output of task %s is not in %s any more: %s", attempt->id,
                                logs->run_dir, n < 0 ? strerror((int)-n) : "file too short");
        r = mf_write_all(fd, block, (size_t)n);
        if (r < 0)
            return mf_error_set(logs->err, r, "cannot write: %s", strerror(-r));
        offset += (uint64_t)n;
    }
    return 0;
}

static int print_output(struct logs *logs, const struct mf_journal_attempt *attempt)
{
    uint64_t produced =
        attempt->outcome.produced_bytes[MF_STDOUT] + attempt->outcome.produced_bytes[MF_STDERR];
    int r;

    if (produced > 0 && attempt->is_printed &&
        (attempt->region.store == MF_STORE_SPOOL || attempt->region.store == MF_STORE_NONE))
        return mf_error_set(logs->err, -ENODATA,
                            "the output of task %s was printed and not kept; --output DIR keeps "
                            "all output",
                            attempt->id);
    r = copy_stream(logs, attempt, MF_STDOUT, STDOUT_FILENO);
    return r < 0 ? r : copy_stream(logs, attempt, MF_STDERR, STDERR_FILENO);
}

static void print_header(const struct mf_journal_attempt *attempt)
{
    char cause[512];

    printf("==> %s, attempt %" PRIu32 " on %s: %s: %s <==\n", attempt->id, attempt->attempt,
           attempt->host[0] ? attempt->host : "no host",
           mf_outcome_describe(&attempt->outcome, cause, sizeof(cause)), attempt->command_text);
    fflush(stdout);
}

/* --- walking the journal --- */

static int list_attempt(void *arg, const struct mf_journal_attempt *attempt)
{
    char cause[512], duration[32];

    printf("%-12s %7" PRIu32 "  %-9s %9s  %-12s %s%s%s\n", attempt->id, attempt->attempt,
           attempt->state == MF_TASK_READY ? "RETRIED" : mf_task_state_name(attempt->state),
           mf_format_duration(attempt->outcome.duration_ns, duration, sizeof(duration)),
           attempt->host,
           mf_outcome_is_success(&attempt->outcome)
               ? ""
               : mf_outcome_describe(&attempt->outcome, cause, sizeof(cause)),
           mf_outcome_is_success(&attempt->outcome) ? "" : ": ", attempt->command_text);
    return 0;
}

static int print_if_failed(void *arg, const struct mf_journal_attempt *attempt)
{
    struct logs *logs = arg;

    if (attempt->state != MF_TASK_FAILED)
        return 0;
    print_header(attempt);
    int r = print_output(logs, attempt);
    /* What one task wrote may be gone; that of the others is not. */
    if (r < 0 && r != -EPIPE) {
        printf("(%s)\n", logs->err->text);
        r = 0;
    }
    return r;
}

static int find_attempt(void *arg, const struct mf_journal_attempt *attempt)
{
    struct logs *logs = arg;

    if (strcmp(attempt->id, logs->task) == 0 &&
        (logs->attempt == 0 || logs->attempt == attempt->attempt))
        logs->found_row = attempt->row;
    return 0;
}

static int print_found(void *arg, const struct mf_journal_attempt *attempt)
{
    struct logs *logs = arg;

    if (attempt->row < logs->found_row)
        return 0;
    int r = print_output(logs, attempt);
    return r < 0 ? r : 1;
}

static int print_task(struct logs *logs)
{
    int r = mf_journal_each(logs->journal, find_attempt, logs, logs->err);

    if (r < 0)
        return r;
    if (logs->found_row == 0)
        return mf_error_set(logs->err, -ENOENT, "%s: no %s of task \"%s\" has ended", logs->run_dir,
                            logs->attempt ? "such attempt" : "attempt", logs->task);
    r = mf_journal_each(logs->journal, print_found, logs, logs->err);
    return r < 0 ? r : 0;
}

static int print_what_was_asked(struct logs *logs)
{
    if (logs->task)
        return print_task(logs);
    if (logs->is_failed_only)
        return mf_journal_each(logs->journal, print_if_failed, logs, logs->err);
    printf("%-12s %7s  %-9s %9s  %-12s %s\n", "task", "attempt", "state", "time", "host",
           "cause and command");
    return mf_journal_each(logs->journal, list_attempt, logs, logs->err);
}

static int open_logs(struct logs *logs)
{
    char out[PATH_MAX];
    int r = mf_journal_open(logs->run_dir, MF_JOURNAL_READ, &logs->journal, logs->err);

    if (r < 0)
        return r;
    if (snprintf(out, sizeof(out), "%s/out", logs->run_dir) >= (int)sizeof(out))
        return mf_error_set(logs->err, -ENAMETOOLONG, "%s: the name is too long", logs->run_dir);
    r = mf_journal_get_text(logs->journal, "output", logs->output_dir, sizeof(logs->output_dir),
                            logs->err);
    if (r < 0 && r != -ENOENT)
        return r;
    r = mf_store_open(r == 0 && logs->output_dir[0] ? logs->output_dir : out, "kept", UINT64_MAX,
                      &logs->kept, logs->err);
    if (r == 0)
        r = mf_store_open(out, "spool", UINT64_MAX, &logs->spool, logs->err);
    return r < 0 ? r : mf_store_open(out, "feed", UINT64_MAX, &logs->feed, logs->err);
}

static int run_logs(struct mf_context *context, int argc, char **argv)
{
    struct mf_error err = {0};
    struct logs logs = {.err = &err};
    int r = mf_options_parse(&mf_subcommand_logs, argc, argv, set_option, &logs, &err);

    if (r == -ECANCELED)
        return MPIFARM_EXIT_DONE;
    if (r >= 0 && (argc - r < 1 || argc - r > 2))
        r = mf_error_set(&err, -EINVAL, "usage: mpifarm logs %s", mf_subcommand_logs.synopsis);
    if (r >= 0) {
        logs.run_dir = argv[r];
        logs.task = argv[r + 1];
        r = open_logs(&logs);
    }
    if (r >= 0)
        r = print_what_was_asked(&logs);
    if (r < 0 && r != -EPIPE)
        mf_log_error(&context->log, "%s", err.text);
    mf_store_close(logs.spool);
    mf_store_close(logs.feed);
    mf_store_close(logs.kept);
    mf_journal_close(logs.journal, NULL);
    return r < 0 ? MPIFARM_EXIT_USAGE : MPIFARM_EXIT_DONE;
}

const struct mf_subcommand mf_subcommand_logs = {
    .name = "logs",
    .synopsis = "[OPTION...] RUN [TASK]",
    .summary = "print what a task wrote, or how all tasks of a run ended",
    .description =
        "RUN is a run directory. With TASK, an id or a line number, prints what its last attempt "
        "wrote, each stream to where it went; without, lists every attempt with its state, time, "
        "host and cause.\n"
        "\n"
        "Output that a run printed is kept only of attempts that failed; --output DIR of the run "
        "keeps all.",
    .options = options,
    .n_options = sizeof(options) / sizeof(options[0]),
    .operands = MF_COMPLETE_DIR,
    .examples = "How the tasks ended.\n"
                "mpifarm logs mpifarm-run\n"
                "What task 17 wrote at its first attempt.\n"
                "mpifarm logs --attempt 1 mpifarm-run 17\n"
                "The output of all tasks that failed.\n"
                "mpifarm logs --failed mpifarm-run",
    .run = run_logs,
};
