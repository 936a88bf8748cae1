/*
 * Captured output on disk: a few large files rather than one per task.
 *
 * A store is a directory with files NAME.0, NAME.1, ... that are only appended
 * to. A region in it is reserved when an attempt has ended and its size is
 * known, filled piece by piece, and read back for printing. Regions of a
 * transient store are released after printing, and a full file without live
 * regions is removed.
 */
#ifndef MF_REPORT_STORE_H
#define MF_REPORT_STORE_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/** Which store of a run; recorded in journals: never renumber. */
#define MF_STORE_NONE 0
#define MF_STORE_KEPT 1  /* out/kept.N, or DIR/kept.N under --output DIR: stays */
#define MF_STORE_SPOOL 2 /* out/spool.N: waits to be printed */
#define MF_STORE_FEED 3  /* out/feed.N: waits for tasks that take it, and to be printed */

struct mf_store;

/**
 * mf_store_open() - open a store for appending behind what it holds.
 *
 * @dir         made with mode 0700 if it is missing
 * @name        first part of the files' names
 * @file_bytes  size after which the next file is begun (a region is never split,
 *              so a file can be larger)
 *
 * Files are made when they are first needed. Returns 0 or -errno with a sentence.
 */
int mf_store_open(const char *dir, const char *name, uint64_t file_bytes,
                  struct mf_store **ret_store, struct mf_error *err);

/** Closes its files; NULL is accepted. */
void mf_store_close(struct mf_store *store);

/** Reserves size > 0 bytes. Returns 0 with file and offset, or -errno with a sentence. */
int mf_store_reserve(struct mf_store *store, uint64_t size, uint32_t *ret_file,
                     uint64_t *ret_offset, struct mf_error *err);

/** Takes over a region of an earlier run, so that it counts as live. Returns 0 or -errno. */
int mf_store_adopt(struct mf_store *store, uint32_t file, uint64_t offset, uint64_t size,
                   struct mf_error *err);

/** Writes n bytes at an offset inside a reserved region. Returns 0 or -errno with a sentence. */
int mf_store_write(struct mf_store *store, uint32_t file, uint64_t offset, const void *data,
                   size_t n, struct mf_error *err);

/** Reads up to n bytes; returns how many there were, or -errno. */
ssize_t mf_store_read(struct mf_store *store, uint32_t file, uint64_t offset, void *data, size_t n);

/** Gives up a region; a file that is full and has no live region left is removed. */
void mf_store_release(struct mf_store *store, uint32_t file, uint64_t size);

/** Makes what was written durable (fdatasync); free when nothing was. Returns 0 or -errno. */
int mf_store_sync(struct mf_store *store, struct mf_error *err);

#endif
