/* Answers of functions as outcomes and outputs: see function_outcome.h. Owns nothing; one thread.
 */
#include "exec/function_outcome.h"

#include "exec/module_call.h"
#include "exec/output.h"

#include <errno.h>
#include <mpifarm/mpifarm.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

/* --- the outcome --- */

static int32_t clip_status(int32_t code)
{
    if (code < 1)
        return 1;
    return code > 255 ? 255 : code;
}

/* The first line of what was said, as far as it fits. */
static void set_detail(struct mf_outcome *outcome, const struct mf_module_parts *parts)
{
    size_t n = parts->n_said;
    const uint8_t *end = n > 0 ? memchr(parts->said, '\n', n) : NULL;

    if (end)
        n = (size_t)(end - parts->said);
    if (n >= sizeof(outcome->detail))
        n = sizeof(outcome->detail) - 1;
    if (n > 0)
        memcpy(outcome->detail, parts->said, n);
    outcome->detail[n] = '\0';
}

static void set_signal(struct mf_outcome *outcome, enum mf_cause cause, int32_t number)
{
    outcome->cause = cause;
    outcome->signal = number;
    outcome->exit_status = 128 + number;
}

static void set_cause(struct mf_outcome *outcome, const struct mf_entry_header *entry,
                      const struct mf_module_parts *parts)
{
    outcome->cause = MF_CAUSE_EXIT;
    outcome->exit_status = clip_status(entry->code);
    switch ((enum mpifarm_cause)entry->cause) {
    case MPIFARM_CAUSE_NONE:
        outcome->cause = MF_CAUSE_NONE;
        outcome->exit_status = 0;
        break;
    case MPIFARM_CAUSE_CRASHED:
        set_signal(outcome, MF_CAUSE_SIGNAL, entry->code);
        break;
    case MPIFARM_CAUSE_EXITED:
        snprintf(outcome->detail, sizeof(outcome->detail), "it ended its process");
        break;
    case MPIFARM_CAUSE_TIMEOUT:
        /* One that did not stop was killed, and has no code. */
        if (entry->code == 0)
            set_signal(outcome, MF_CAUSE_TIMEOUT, SIGKILL);
        outcome->cause = MF_CAUSE_TIMEOUT;
        break;
    case MPIFARM_CAUSE_MEMORY:
        snprintf(outcome->detail, sizeof(outcome->detail), "no memory for its input or result");
        break;
    default:
        set_detail(outcome, parts);
        break;
    }
}

/* --- the output --- */

static int put(const struct mf_function_answer *answer, struct mf_output *output,
               enum mf_stream stream, const void *data, size_t n)
{
    if (n == 0)
        return 0;
    return mf_capture_write(&output->streams[stream], data, n, answer->spill_dir);
}

static int put_message(const struct mf_function_answer *answer, struct mf_output *output,
                       const struct mf_module_parts *parts)
{
    int result = put(answer, output, MF_STDERR, parts->said, parts->n_said);

    if (result == 0 && parts->n_said > 0 && parts->said[parts->n_said - 1] != '\n')
        result = put(answer, output, MF_STDERR, "\n", 1);
    return result;
}

/* Returns 0 with the output, NULL when there is none, or -errno with what could be kept. */
static int make_output(const struct mf_function_answer *answer, const struct mf_module_parts *parts,
                       struct mf_output **ret_output)
{
    struct mf_output *output;
    int result;

    if (parts->n_printed + parts->n_said == 0)
        return 0;
    output = mf_output_create();
    if (!output)
        return -ENOMEM;
    for (int i = 0; i < MF_N_STREAMS; i++)
        mf_capture_init(&output->streams[i], answer->limit_bytes);
    result = put(answer, output, MF_STDOUT, parts->printed, parts->n_printed);
    if (result == 0)
        result = answer->entry->cause == MPIFARM_CAUSE_NONE
                     ? put(answer, output, MF_STDOUT, parts->said, parts->n_said)
                     : put_message(answer, output, parts);
    *ret_output = output;
    return result;
}

struct mf_output *mf_function_outcome(const struct mf_function_answer *answer,
                                      struct mf_outcome *outcome)
{
    bool is_success = answer->entry->cause == MPIFARM_CAUSE_NONE;
    struct mf_module_parts parts = {0};
    struct mf_output *output = NULL;
    int result = mf_module_call_split(is_success, answer->bytes, answer->size, &parts);

    set_cause(outcome, answer->entry, &parts);
    if (result == 0)
        result = make_output(answer, &parts, &output);
    for (int i = 0; i < MF_N_STREAMS && output; i++) {
        outcome->produced_bytes[i] = output->streams[i].produced;
        outcome->dropped_bytes[i] = mf_capture_dropped(&output->streams[i]);
    }
    if (result < 0 && is_success) {
        outcome->cause = MF_CAUSE_OUTPUT;
        outcome->exit_status = 1;
        snprintf(outcome->detail, sizeof(outcome->detail), "%s", strerror(-result));
    }
    return output;
}
