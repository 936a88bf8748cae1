/*
 * status.json: how a run stands, for whoever looks from outside. Replaced as a
 * whole, so that a reader never sees half of it.
 */
#ifndef MF_REPORT_STATUS_H
#define MF_REPORT_STATUS_H

#include "base/error.h"
#include "report/progress.h"

/**
 * mf_status_write() - replace DIR/status.json.
 *
 * @run_dir       the run directory
 * @state         what the progress line shows
 * @is_finished   whether the run is over
 *
 * Returns 0 or -errno with a sentence.
 */
int mf_status_write(const char *run_dir, const struct mf_progress_state *state, bool is_finished,
                    struct mf_error *err);

#endif
