/*
 * Task output on standard output and standard error: grouped by task, in order
 * of completion or of the input, never blocking.
 *
 * A group is queued when its task is settled and its journal row committed.
 * The printer writes when the descriptors can take it, in pieces that do not
 * block; what waits is on disk in a store or small in memory, and counted, so
 * that the scheduler can slow down for a slow reader.
 */
#ifndef MF_REPORT_PRINTER_H
#define MF_REPORT_PRINTER_H

#include "base/error.h"
#include "base/loop.h"
#include "report/store.h"

#include <stdbool.h>
#include <stdint.h>

struct mf_printer;

/**
 * The output of one task.
 *
 * @seq      place of its task in the input, from 1
 * @row      journal row to mark as printed, handed back; 0 for none
 * @tag      put before each line with a TAB, NULL for none (copied)
 * @store, @file, @offset   where stdout, then stderr are, if store is not NULL
 * @memory   else: the bytes of stdout, then stderr (copied)
 * @size     of each stream
 */
struct mf_group {
    uint64_t seq;
    uint64_t row;
    const char *tag;
    struct mf_store *store;
    uint32_t file;
    uint64_t offset;
    const void *memory;
    uint64_t size[2];
};

/**
 * @fds           descriptors for stdout and stderr; their flags are not changed
 * @keep_order    print groups in order of seq
 * @before_write  called before anything is written (a progress bar steps aside)
 * @printed       called when a group is out; its region is then released by the callee
 */
struct mf_printer_config {
    int fds[2];
    bool keep_order;
    void (*before_write)(void *arg);
    void (*printed)(void *arg, const struct mf_group *group);
    void *arg;
};

/** Returns 0 or -errno. SIGPIPE must be ignored. */
int mf_printer_create(const struct mf_printer_config *config, struct mf_loop *loop,
                      struct mf_printer **ret_printer);

/** Drops what was not printed; NULL is accepted. */
void mf_printer_destroy(struct mf_printer *printer);

/**
 * mf_printer_add() - queue a group.
 *
 * Under keep_order it waits until every smaller seq was added or skipped.
 * Returns 0 or -ENOMEM.
 */
int mf_printer_add(struct mf_printer *printer, const struct mf_group *group);

/** Says that seq has nothing to print. Returns 0 or -ENOMEM. */
int mf_printer_skip(struct mf_printer *printer, uint64_t seq);

/** Under keep_order: no group with a missing smaller seq will come; print what waits. */
void mf_printer_release_order(struct mf_printer *printer);

/**
 * mf_printer_turn() - write what can be written without blocking.
 *
 * Bounded work per call; watches its descriptors in the loop while more waits.
 *
 * Returns 0, or -EPIPE when a reader is gone, or another -errno of writing or
 * of reading back (say -EIO), with a sentence; then nothing more is printed.
 */
int mf_printer_turn(struct mf_printer *printer, struct mf_error *err);

/** Bytes that could be printed if the readers took them. */
uint64_t mf_printer_backlog(const struct mf_printer *printer);

/** Whether nothing waits at all. */
bool mf_printer_is_idle(const struct mf_printer *printer);

#endif
