/* Whether a run goes on, as far as an onlooker on any host can tell: for status and explain. */
#ifndef MF_CLI_STANDING_H
#define MF_CLI_STANDING_H

#include "report/status.h"

#include <stdbool.h>

/** How a run stands. */
enum mf_standing {
    MF_STANDING_ENDED,  /* over, stopped or broken off */
    MF_STANDING_SILENT, /* nothing was heard for a while, which may be the file system's delay */
    MF_STANDING_GOES_ON,
};

/**
 * mf_standing_find() - judge from the lock of the run directory and from what status.json says.
 *
 * @status  what was read, NULL if there was nothing
 */
enum mf_standing mf_standing_find(const char *run_dir, const struct mf_status *status);

/** Whether it was this host that wrote it. */
bool mf_standing_is_here(const struct mf_status *status);

/** Whether it is as new as that of a run that goes on is seen on this host. */
bool mf_standing_is_fresh(const struct mf_status *status);

#endif
