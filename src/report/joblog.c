/* joblog.tsv in the columns of GNU Parallel, so that its users' scripts read it. */
#include "report/joblog.h"

#include "base/clock.h"

#include <inttypes.h>

static const char header[] =
    "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\n";

int mf_joblog_open(const char *path, bool append, struct mf_tsv **ret_joblog, struct mf_error *err)
{
    return mf_tsv_open(path, header, append, ret_joblog, err);
}

/* GNU Parallel has 0 beside a signal, and -1 for what it ended itself. */
static int exit_value(const struct mf_outcome *outcome)
{
    if (outcome->cause == MF_CAUSE_TIMEOUT || outcome->cause == MF_CAUSE_STOPPED)
        return -1;
    if (outcome->signal)
        return 0;
    if (outcome->exit_status == 0 && !mf_outcome_is_success(outcome))
        return -1;
    return outcome->exit_status;
}

int mf_joblog_add(struct mf_tsv *joblog, uint64_t seq, const char *host,
                  const struct mf_outcome *outcome, const char *command_text)
{
    struct mf_buffer *lines = mf_tsv_lines(joblog);
    size_t line = lines->size;
    int64_t started_ms = outcome->started_wall_ns / MF_NS_PER_MS;
    int64_t runtime_ms = (outcome->duration_ns + MF_NS_PER_MS / 2) / MF_NS_PER_MS;

    mf_buffer_print(lines, "%" PRIu64 "\t%s\t%" PRId64 ".%03d\t%6" PRId64 ".%03d\t0\t%" PRIu64 "\t",
                    seq, host && *host ? host : ":", started_ms / 1000, (int)(started_ms % 1000),
                    runtime_ms / 1000, (int)(runtime_ms % 1000),
                    outcome->produced_bytes[MF_STDOUT] + outcome->produced_bytes[MF_STDERR]);
    mf_buffer_print(lines, "%d\t%d\t", exit_value(outcome), outcome->signal);
    mf_tsv_put_text(joblog, command_text);
    return mf_tsv_end_line(joblog, line);
}
