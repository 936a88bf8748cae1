/* Whether a run goes on: see standing.h. No state. */
#include "cli/standing.h"

#include "base/clock.h"
#include "journal/rundir.h"

#include <limits.h>
#include <string.h>
#include <unistd.h>

/* status.json is replaced each second: one that is older than this is of a farm that is gone,
 * stopped, or on another host. */
#define FRESH_NS (5 * MF_NS_PER_S)

/* Network file systems show what another host has written up to a minute late. */
#define LATE_NS (70 * MF_NS_PER_S)

bool mf_standing_is_here(const struct mf_status *status)
{
    char host[HOST_NAME_MAX + 1] = "";

    (void)gethostname(host, sizeof(host) - 1);
    return strcmp(host, status->host) == 0;
}

bool mf_standing_is_fresh(const struct mf_status *status)
{
    return mf_status_age_ns(status) < (mf_standing_is_here(status) ? FRESH_NS : LATE_NS);
}

/* Some file systems show the locks of a node to that node alone, and others show none. */
enum mf_standing mf_standing_find(const char *run_dir, const struct mf_status *status)
{
    int held = mf_rundir_is_held(run_dir);

    if (held > 0)
        return MF_STANDING_GOES_ON;
    if (!status || status->is_finished || (held == 0 && mf_standing_is_here(status)) ||
        mf_status_age_ns(status) >= LATE_NS)
        return MF_STANDING_ENDED;
    return mf_status_age_ns(status) < FRESH_NS ? MF_STANDING_GOES_ON : MF_STANDING_SILENT;
}
