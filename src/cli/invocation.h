/*
 * How a run was started: its command line and where that was given. The journal keeps it for those
 * who look at the run later and need its tasks.
 */
#ifndef MF_CLI_INVOCATION_H
#define MF_CLI_INVOCATION_H

#include "journal/journal.h"

/**
 * Starts as {0}.
 *
 * @json   owns the texts
 * @dir    where it was given, with a "/" in front
 * @argv   its argc words, and NULL: the first is the subcommand's name
 */
struct mf_invocation {
    struct json_t *json;
    const char *dir;
    char **argv;
    int argc;
};

/**
 * mf_invocation_note() - keep how this process was started with its run.
 *
 * What is too long, or no text, is not kept.
 *
 * @argv  argc words, from the subcommand's name on
 *
 * Returns 0 or -errno with a sentence.
 */
int mf_invocation_note(struct mf_journal *journal, int argc, char **argv, struct mf_error *err);

/** Reads it. Returns 0 with an invocation to be finished, -ENOENT if it was not kept, or -ENOMEM.
 */
int mf_invocation_read(struct mf_journal *journal, struct mf_invocation *ret_invocation);

void mf_invocation_finish(struct mf_invocation *invocation);

/** The name of a file on that command line as one that holds from anywhere; the caller's to free,
 * NULL without memory. */
char *mf_invocation_path(const struct mf_invocation *invocation, const char *name);

#endif
