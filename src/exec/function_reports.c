/*
 * What the caller says of the calls of attempts becomes events: see
 * function_executor_private.h. Runs in the rank's only thread.
 */
#include "exec/function_executor_private.h"

#include "base/clock.h"
#include "base/units.h"
#include "exec/function_outcome.h"

#include <stdio.h>
#include <stdlib.h>

/* What a function saves is told no more often, as long as it does not fail. */
#define TELL_SAVED_NS MF_NS_PER_S

struct mf_function_run *mf_function_find_run(struct mf_function_executor *functions, uint64_t task,
                                             uint32_t attempt)
{
    mf_list_for_each (node, &functions->runs) {
        struct mf_function_run *run = mf_container_of(node, struct mf_function_run, node);

        if (run->task == task && run->attempt == attempt)
            return run;
    }
    return NULL;
}

void mf_function_end_run(struct mf_function_executor *functions, struct mf_function_run *run)
{
    if (functions->slots[run->slot].run == run)
        functions->slots[run->slot].run = NULL;
    functions->n_limited -= run->mem_bytes > 0;
    mf_list_remove(&run->node);
    free(run->saved);
    free(run->large);
    free(run);
}

void mf_function_break(struct mf_function_executor *functions, const struct mf_error *err)
{
    struct mf_executor_event event = {.kind = MF_EXECUTOR_BROKEN, .slot = UINT32_MAX, .error = err};

    functions->is_broken = true;
    functions->config.fn(functions->config.arg, &event);
}

/* --- times --- */

/* The time in which it is suspended is none of its run time. */
static int64_t elapsed_ns(const struct mf_function_run *run)
{
    int64_t now_ns = run->suspended_ns > 0 ? run->suspended_ns : mf_clock_monotonic_ns();

    return now_ns - run->started_ns;
}

void mf_function_resume_clock(struct mf_function_run *run)
{
    if (run->suspended_ns > 0)
        run->started_ns += mf_clock_monotonic_ns() - run->suspended_ns;
    run->suspended_ns = 0;
}

static void set_times(const struct mf_function_run *run, int64_t duration_ns,
                      struct mf_outcome *outcome)
{
    int64_t most_ns = elapsed_ns(run);

    /* A function that was killed has not told how long it took. */
    outcome->duration_ns = duration_ns > 0 && duration_ns < most_ns ? duration_ns : most_ns;
    outcome->started_wall_ns = run->started_wall_ns + most_ns - outcome->duration_ns;
}

/* What it saved last, if that was not told. */
static void tell_saved(struct mf_function_executor *functions, struct mf_function_run *run)
{
    struct mf_executor_event event = {
        .kind = MF_EXECUTOR_SAVED,
        .task = run->task,
        .attempt = run->attempt,
        .slot = run->slot,
        .saved = run->saved,
        .saved_size = run->saved_size,
    };

    if (!run->saved)
        return;
    functions->config.fn(functions->config.arg, &event);
    free(run->saved);
    run->saved = NULL;
    run->told_ns = mf_clock_monotonic_ns();
}

/* A function may save as often as it likes: it is told now and then, and at a failure. */
static void on_checkpoint(struct mf_function_executor *functions, struct mf_function_run *run,
                          const struct mf_caller_event *event)
{
    if (!run) {
        free(event->data);
        return;
    }
    free(run->saved);
    run->saved = event->data;
    run->saved_size = event->size;
    if (mf_clock_monotonic_ns() - run->told_ns >= TELL_SAVED_NS)
        tell_saved(functions, run);
}

static void settle(struct mf_function_executor *functions, struct mf_function_run *run,
                   const struct mf_entry_header *entry, const uint8_t *bytes, int64_t duration_ns)
{
    bool is_large = entry->cause == MPIFARM_CAUSE_NONE && entry->flags & MF_CALL_IS_LARGE;
    struct mf_function_answer answer = {
        .entry = entry,
        .bytes = is_large ? run->large : bytes,
        .size = is_large ? run->large_size : entry->size,
        .limit_bytes = functions->config.output_limit_bytes,
        .spill_dir = functions->config.spill_dir,
    };
    struct mf_outcome outcome = {0};
    struct mf_executor_event event = {
        .kind = MF_EXECUTOR_ENDED,
        .task = run->task,
        .attempt = run->attempt,
        .slot = run->slot,
        .outcome = &outcome,
    };

    char limit[32], used[32];

    if (entry->cause != MPIFARM_CAUSE_NONE)
        tell_saved(functions, run);
    event.output = mf_function_outcome(&answer, &outcome);
    set_times(run, duration_ns, &outcome);
    outcome.slot = functions->slots[run->slot].number;
    if (run->asked != MF_CAUSE_NONE) {
        outcome.cause = run->asked;
        outcome.detail[0] = '\0';
    }
    if (run->asked == MF_CAUSE_MEMORY)
        snprintf(outcome.detail, sizeof(outcome.detail), "%s (used %s)",
                 mf_format_size(run->memory.limit_bytes, limit, sizeof(limit)),
                 mf_format_size(run->memory.used_bytes, used, sizeof(used)));
    mf_function_end_run(functions, run);
    functions->config.fn(functions->config.arg, &event);
}

static void on_entries(struct mf_function_executor *functions, struct mf_function_run *run,
                       const struct mf_caller_event *event)
{
    struct mf_reader reader = mf_reader_over(event->entries, event->size);
    struct mf_entry_header entry;
    const uint8_t *bytes;

    while (mf_entry_get(&reader, &entry, &bytes) == 1)
        if (entry.kind == MF_ENTRY_RESULT) {
            settle(functions, run, &entry, bytes, event->duration_ns);
            return;
        }
}

static void on_large(struct mf_function_run *run, const struct mf_caller_event *event)
{
    if (!run) {
        free(event->data);
        return;
    }
    free(run->large);
    run->large = event->data;
    run->large_size = event->size;
}

static void on_yielded(struct mf_function_executor *functions, struct mf_function_run *run,
                       const struct mf_caller_event *told)
{
    struct mf_executor_event event = {
        .kind = MF_EXECUTOR_SUSPENDED,
        .task = run->task,
        .attempt = run->attempt,
        .slot = run->slot,
        .ran_ns = told->duration_ns,
    };

    run->suspended_ns = mf_clock_monotonic_ns();
    functions->slots[run->slot].run = NULL;
    functions->config.fn(functions->config.arg, &event);
}

void mf_function_heard(void *arg, const struct mf_caller_event *event)
{
    struct mf_function_executor *functions = arg;
    struct mf_function_run *run;

    if (event->kind == MF_CALLER_BROKEN) {
        mf_function_break(functions, event->error);
        return;
    }
    run = mf_function_find_run(functions, event->unit, event->attempt);
    if (event->kind == MF_CALLER_LARGE)
        on_large(run, event);
    else if (event->kind == MF_CALLER_ENTRIES && run)
        on_entries(functions, run, event);
    else if (event->kind == MF_CALLER_CHECKPOINT)
        on_checkpoint(functions, run, event);
    else if (event->kind == MF_CALLER_YIELDED && run)
        on_yielded(functions, run, event);
}
