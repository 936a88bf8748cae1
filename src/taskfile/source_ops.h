/* What every kind of source does; see source.h for what each function promises. */
#ifndef MF_TASKFILE_SOURCE_OPS_H
#define MF_TASKFILE_SOURCE_OPS_H

#include "taskfile/names.h"
#include "taskfile/source.h"

/** Kinds that are told apart; commands of further ones are of none. */
#define MF_KINDS_MAX 4096

struct mf_source_ops {
    void (*close)(struct mf_source *source);
    void (*summarize)(const struct mf_source *source, struct mf_source_summary *ret_summary);
    int (*next)(struct mf_source *source, const struct mf_entry **ret_entry, struct mf_error *err);
    void (*rewind)(struct mf_source *source); /* this and at: NULL in sweeps */
    int (*at)(struct mf_source *source, uint64_t cookie, int r, struct mf_error *err);
    int (*fd)(const struct mf_source *source);
    const struct mf_graph *(*graph)(const struct mf_source *source);
    const struct mf_hook *(*hook)(const struct mf_source *source, size_t number); /* NULL: none */
    int (*load)(struct mf_source *source, uint64_t cookie, const struct mf_entry **ret_entry,
                struct mf_error *err);
};

/**
 * The head of each kind of source.
 *
 * @failure  what mf_source_next() returned that was final, with its sentence:
 *           nothing is read past a bad line
 * @kinds    of the commands and functions that entries had so far
 * @groups   that entries had so far
 */
struct mf_source {
    const struct mf_source_ops *ops;
    int failure;
    struct mf_error failure_text;
    struct mf_names kinds;
    struct mf_names groups;
};

/** Fills in the kind of an entry whose command is there. Returns 0 or -ENOMEM. */
int mf_source_set_kind(struct mf_source *source, struct mf_entry *entry);

#endif
