/*
 * Outcomes as bytes and as words. A record is the fields in the order of the
 * struct, little-endian, the cause as one byte, the detail as a text. Pure
 * functions, any thread.
 */
#include "core/outcome.h"

#include "base/units.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const names[] = {
    [MF_CAUSE_NONE] = "none",
    [MF_CAUSE_EXIT] = "exit",
    [MF_CAUSE_SIGNAL] = "signal",
    [MF_CAUSE_TIMEOUT] = "timeout",
    [MF_CAUSE_START] = "start",
    [MF_CAUSE_OUTPUT] = "output",
    [MF_CAUSE_LOST] = "lost",
    [MF_CAUSE_STOPPED] = "stopped",
    [MF_CAUSE_UNFIT] = "unfit",
    [MF_CAUSE_SKIPPED] = "skipped",
    [MF_CAUSE_MEMORY] = "memory",
    [MF_CAUSE_LAUNCHER] = "launcher",
    [MF_CAUSE_TERMINATED] = "terminated",
    [MF_CAUSE_WALLTIME] = "walltime",
};

const char *mf_cause_name(enum mf_cause cause)
{
    return (unsigned int)cause <= MF_CAUSE_MAX ? names[cause] : "unknown";
}

void mf_outcome_encode(const struct mf_outcome *outcome, struct mf_buffer *buffer)
{
    mf_buffer_put_u8(buffer, (uint8_t)outcome->cause);
    mf_buffer_put_u32(buffer, (uint32_t)outcome->exit_status);
    mf_buffer_put_u32(buffer, (uint32_t)outcome->signal);
    mf_buffer_put_u32(buffer, (uint32_t)outcome->pid);
    mf_buffer_put_u32(buffer, outcome->slot);
    mf_buffer_put_i64(buffer, outcome->started_wall_ns);
    mf_buffer_put_i64(buffer, outcome->duration_ns);
    mf_buffer_put_i64(buffer, outcome->user_ns);
    mf_buffer_put_i64(buffer, outcome->system_ns);
    mf_buffer_put_u64(buffer, outcome->max_rss_bytes);
    for (int i = 0; i < MF_N_STREAMS; i++) {
        mf_buffer_put_u64(buffer, outcome->produced_bytes[i]);
        mf_buffer_put_u64(buffer, outcome->dropped_bytes[i]);
    }
    mf_buffer_put_text(buffer, outcome->detail);
}

void mf_outcome_decode(struct mf_reader *reader, struct mf_outcome *ret_outcome)
{
    struct mf_outcome outcome = {0};
    uint8_t cause = mf_reader_get_u8(reader);

    if (cause > MF_CAUSE_MAX)
        reader->has_failed = true;
    outcome.cause = (enum mf_cause)cause;
    outcome.exit_status = (int32_t)mf_reader_get_u32(reader);
    outcome.signal = (int32_t)mf_reader_get_u32(reader);
    outcome.pid = (int32_t)mf_reader_get_u32(reader);
    outcome.slot = mf_reader_get_u32(reader);
    outcome.started_wall_ns = mf_reader_get_i64(reader);
    outcome.duration_ns = mf_reader_get_i64(reader);
    outcome.user_ns = mf_reader_get_i64(reader);
    outcome.system_ns = mf_reader_get_i64(reader);
    outcome.max_rss_bytes = mf_reader_get_u64(reader);
    for (int i = 0; i < MF_N_STREAMS; i++) {
        outcome.produced_bytes[i] = mf_reader_get_u64(reader);
        outcome.dropped_bytes[i] = mf_reader_get_u64(reader);
    }
    mf_reader_get_text(reader, outcome.detail, sizeof(outcome.detail));
    *ret_outcome = reader->has_failed ? (struct mf_outcome){0} : outcome;
}

/* What happened, without the detail. */
static void describe_cause(const struct mf_outcome *outcome, char *text, size_t size)
{
    const char *name;
    char duration[32];

    switch (outcome->cause) {
    case MF_CAUSE_NONE:
        snprintf(text, size, "succeeded");
        break;
    case MF_CAUSE_EXIT:
        snprintf(text, size, "exit status %d", outcome->exit_status);
        break;
    case MF_CAUSE_SIGNAL:
        /* Unlike strsignal(), this one is never translated. */
        name = sigdescr_np(outcome->signal);
        if (name)
            snprintf(text, size, "killed by signal %d (%s)", outcome->signal, name);
        else
            snprintf(text, size, "killed by signal %d", outcome->signal);
        break;
    case MF_CAUSE_TIMEOUT:
        snprintf(text, size, "over its time limit after %s",
                 mf_format_duration(outcome->duration_ns, duration, sizeof(duration)));
        break;
    case MF_CAUSE_START:
        snprintf(text, size, "cannot be started");
        break;
    case MF_CAUSE_OUTPUT:
        snprintf(text, size, "its output could not be kept");
        break;
    case MF_CAUSE_LOST:
        snprintf(text, size, "its worker disappeared");
        break;
    case MF_CAUSE_STOPPED:
        snprintf(text, size, "ended by the farm");
        break;
    case MF_CAUSE_UNFIT:
        snprintf(text, size, "needs more than any worker has");
        break;
    case MF_CAUSE_SKIPPED:
        snprintf(text, size, "skipped");
        break;
    case MF_CAUSE_MEMORY:
        snprintf(text, size, "over its memory");
        break;
    case MF_CAUSE_LAUNCHER:
        snprintf(text, size, "its launcher process");
        break;
    case MF_CAUSE_TERMINATED:
        snprintf(text, size, "ended when its worker got SIGTERM");
        break;
    case MF_CAUSE_WALLTIME:
        if (outcome->signal)
            snprintf(text, size, "cut short by the walltime (signal %d)", outcome->signal);
        else
            snprintf(text, size, "cut short by the walltime (exit status %d)",
                     outcome->exit_status);
        break;
    default:
        snprintf(text, size, "ended for an unknown reason (%d)", (int)outcome->cause);
        break;
    }
}

/* Adds formatted text behind what text holds, as far as it fits. */
static void add(char *text, size_t size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void add(char *text, size_t size, const char *format, ...)
{
    size_t length = strlen(text);
    va_list args;

    va_start(args, format);
    vsnprintf(text + length, size - length, format, args);
    va_end(args);
}

/* " on n3" where the cause may lie with the node; what a command or its limits say does not. */
static void add_host(const struct mf_outcome *outcome, const char *host, char *text, size_t size)
{
    if (host[0] && (outcome->cause == MF_CAUSE_SIGNAL || outcome->cause == MF_CAUSE_START ||
                    outcome->cause == MF_CAUSE_OUTPUT || outcome->cause == MF_CAUSE_LAUNCHER ||
                    outcome->cause == MF_CAUSE_TERMINATED))
        add(text, size, " on %s", host);
}

static const char *separator(enum mf_cause cause)
{
    switch (cause) {
    case MF_CAUSE_MEMORY:
        return " of ";
    case MF_CAUSE_LAUNCHER:
        return " ";
    case MF_CAUSE_SIGNAL:
        return "; ";
    case MF_CAUSE_LOST:
    case MF_CAUSE_TERMINATED:
        return ", ";
    default:
        return ": ";
    }
}

char *mf_outcome_describe_on(const struct mf_outcome *outcome, const char *host, char *text,
                             size_t size)
{
    if (size == 0)
        return text;
    if (outcome->cause == MF_CAUSE_LOST && host[0])
        snprintf(text, size, "its worker on %s disappeared", host);
    else
        describe_cause(outcome, text, size);
    add_host(outcome, host, text, size);
    if (outcome->detail[0])
        add(text, size, "%s%s", separator(outcome->cause), outcome->detail);
    else if (outcome->cause == MF_CAUSE_LAUNCHER)
        add(text, size, " disappeared");
    if (outcome->cause == MF_CAUSE_START)
        add(text, size, " (%d)", outcome->exit_status);
    return text;
}

char *mf_outcome_describe(const struct mf_outcome *outcome, char *text, size_t size)
{
    return mf_outcome_describe_on(outcome, "", text, size);
}
