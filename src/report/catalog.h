/*
 * index.tsv: where in the files of a store each attempt's output is, so that
 * it can be cut out with the tools of any system.
 */
#ifndef MF_REPORT_CATALOG_H
#define MF_REPORT_CATALOG_H

#include "core/task.h"
#include "report/tsv.h"

#include <stdint.h>

/** Opens path; `append` goes on behind what is there, else it is replaced. Returns 0 or -errno. */
int mf_catalog_open(const char *path, bool append, struct mf_tsv **ret_catalog,
                    struct mf_error *err);

/**
 * mf_catalog_add() - buffer one line: Id Attempt State File Offset Stdout Stderr.
 *
 * @state   of the task after the attempt; READY is shown as RETRIED
 * @file    name of the file, with stdout at offset and stderr behind it; NULL
 *          for an attempt that wrote nothing
 * @size    bytes of stdout and stderr
 *
 * Returns 0 or -ENOMEM.
 */
int mf_catalog_add(struct mf_tsv *catalog, const char *id, uint32_t attempt,
                   enum mf_task_state state, const char *file, uint64_t offset,
                   const uint64_t size[MF_N_STREAMS]);

#endif
