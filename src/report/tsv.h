/*
 * A table that grows by lines of TAB-separated columns, below a header line:
 * the joblog and the index of stored output.
 */
#ifndef MF_REPORT_TSV_H
#define MF_REPORT_TSV_H

#include "base/buffer.h"
#include "base/error.h"

#include <stdbool.h>

struct mf_tsv;

/**
 * mf_tsv_open() - open path for writing.
 *
 * @header  first line of a new file, with its newline
 * @append  go on behind what is there; else it is replaced
 *
 * Returns 0 or -errno with a sentence.
 */
int mf_tsv_open(const char *path, const char *header, bool append, struct mf_tsv **ret_tsv,
                struct mf_error *err);

/** The lines not yet written, to append one to; its size before is needed by end_line. */
struct mf_buffer *mf_tsv_lines(struct mf_tsv *tsv);

/** Appends a text; newlines and tabs in it become blanks. */
void mf_tsv_put_text(struct mf_tsv *tsv, const char *text);

/** Ends the line that began at `line`, or takes it back when memory ran out: 0 or -ENOMEM. */
int mf_tsv_end_line(struct mf_tsv *tsv, size_t line);

/** Writes what is buffered. Returns 0 or -errno with a sentence; then it is kept for another try.
 */
int mf_tsv_flush(struct mf_tsv *tsv, struct mf_error *err);

/** Flushes and closes; NULL is accepted. Returns 0 or -errno. */
int mf_tsv_close(struct mf_tsv *tsv, struct mf_error *err);

#endif
