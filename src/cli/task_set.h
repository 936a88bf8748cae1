/*
 * All tasks of an input in memory, for the subcommands that look at them as a
 * whole and run none: simulate and check. One thread.
 */
#ifndef MF_CLI_TASK_SET_H
#define MF_CLI_TASK_SET_H

#include "base/buffer.h"
#include "cli/farming.h"
#include "cli/resources.h"
#include "cli/scheduling.h"
#include "core/graph.h"
#include "runtime/sim.h"
#include "taskfile/source.h"

#define MF_TASK_SET_MODULES_MAX 64

/** Each takes some 300 bytes; "mpifarm run" has no such limit, as it does not keep them. */
#define MF_TASK_SET_TASKS_MAX UINT64_C(20000000)

/** Its other option about input, for their tables; MF_FORMAT_OPTION is in farming.h. */
#define MF_SET_MODULE_OPTION                                                                       \
    {                                                                                              \
        .name = "module", .value = "FILE", .complete = MF_COMPLETE_FILE,                           \
        .help = "Load a shared library whose functions tasks call, as in \"mpifarm run\"."         \
    }

#define MF_SET_RESOURCE_OPTION                                                                     \
    {                                                                                              \
        .name = "resource", .value = "NAME=N",                                                     \
        .help = "The run has N of something that tasks ask for, as in \"mpifarm run\"."            \
    }

/**
 * How to read.
 *
 * @format      of the files
 * @modules     n_modules libraries with functions
 * @resources   countables that tasks can ask for; settings stay where they are because of their
 * names
 * @shares      of groups
 * @time_ns     run time of tasks that do not say it, 0 for unknown
 * @attempts    tries of tasks that do not say it
 */
struct mf_task_set_settings {
    enum mf_source_format format;
    const char *modules[MF_TASK_SET_MODULES_MAX];
    uint32_t n_modules;
    struct mf_resources resources;
    struct mf_group_shares shares;
    int64_t time_ns;
    uint32_t attempts;
};

/**
 * Starts as {0}.
 *
 * @tasks    n_tasks of them; duration_ns and spec.estimate_ns are 0 where nobody says
 * @after    what all of them come after, one after the other
 * @ids      of all tasks, each with a NUL behind; id_offsets says where
 * @graph    of the tasks, closed
 * @shares   n_shares of the groups that tasks have, as the settings say
 * @n_start_hooks, @n_stop_hooks   commands that each worker runs when it joins, and when it leaves
 * @n_untimed      tasks of unknown run time
 * @first_untimed  the first of them
 */
struct mf_task_set {
    struct mf_sim_task *tasks;
    uint64_t n_tasks, capacity;
    struct mf_dependency *after;
    uint64_t n_after, after_capacity;
    struct mf_buffer ids;
    size_t *id_offsets;
    struct mf_graph *graph;
    struct mf_sim_share shares[MF_GROUP_SHARES_MAX];
    uint32_t n_shares;
    uint64_t n_start_hooks, n_stop_hooks;
    uint64_t n_untimed;
    mf_task_id first_untimed;
};

/** Takes in one of the shared options. Returns 0, or -errno with a sentence. */
int mf_task_set_take_format(struct mf_task_set_settings *settings, const char *text,
                            struct mf_error *err);
int mf_task_set_take_module(struct mf_task_set_settings *settings, const char *text,
                            struct mf_error *err);

/**
 * mf_task_set_read() - read and check n_files files, exactly as a run would.
 *
 * Returns 0, or -EFBIG if all is well but that there are too many tasks to look at as a whole, or
 * another -errno, with a sentence; to be finished in any case. O(tasks + dependencies).
 */
int mf_task_set_read(struct mf_task_set *set, const struct mf_task_set_settings *settings,
                     const char *const *files, uint32_t n_files, struct mf_error *err);

/** Frees what it holds and leaves {0}. */
void mf_task_set_finish(struct mf_task_set *set);

/** The id of a task as its author knows it. */
const char *mf_task_set_id(const struct mf_task_set *set, mf_task_id task);

#endif
