/*
 * The launcher's attempts: started, watched, ended, reported.
 *
 *     STAGED   waits for the slot of an attempt that ends
 *     QUEUED   has its slots, waits for descriptors or for output to be taken
 *     RUNNING  its main process is there
 *     LEFT     that is gone; others still hold its pipes or its process group
 *
 * Owned by the launcher and run by its only thread; driven by mf_runner_handle()
 * for frames, mf_runner_reap() for ended processes, mf_runner_advance() for time.
 */
#ifndef MF_EXEC_RUNNER_H
#define MF_EXEC_RUNNER_H

#include "base/loop.h"
#include "exec/channel.h"
#include "exec/process.h"
#include "exec/tenants.h"

#include <sys/resource.h>

struct mf_runner;

/**
 * @launcher        limits and grace (borrowed)
 * @tenants         who has which slot is written there (borrowed)
 * @loop, @channel  borrowed
 * @original_files  limit of open files to give to commands
 * @max_files       limit of open files of this process
 */
struct mf_runner_config {
    const struct mf_launcher_config *launcher;
    struct mf_tenants *tenants;
    struct mf_loop *loop;
    struct mf_channel *channel;
    struct rlimit original_files;
    uint64_t max_files;
};

/** Returns 0 and a runner, or -errno. */
int mf_runner_create(const struct mf_runner_config *config, struct mf_runner **ret_runner);

/** Kills the process groups of everything that runs, and frees. NULL is accepted. */
void mf_runner_destroy(struct mf_runner *runner);

/** Does what one frame asks for. Returns 0, -EBADMSG if it makes no sense, or -ENOMEM. */
int mf_runner_handle(struct mf_runner *runner, struct mf_frame *frame);

/** Takes in all child processes that have ended. */
void mf_runner_reap(struct mf_runner *runner);

/**
 * mf_runner_advance() - let time pass, and start what can start.
 *
 * Returns 0, or the -errno for which the launcher cannot go on.
 */
int mf_runner_advance(struct mf_runner *runner);

/** Makes ready what the next start will need, when there is nothing better to do. */
void mf_runner_prepare(struct mf_runner *runner);

/** When time asks for the next advance; INT64_MAX for never. */
int64_t mf_runner_next_ns(const struct mf_runner *runner);

/** Whether every slot has a staged attempt to go on with, so that the rank need not hurry. */
bool mf_runner_is_supplied(const struct mf_runner *runner);

#endif
