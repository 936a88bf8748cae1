/*
 * Attempts to the executor for their kind: see mixed_executor.h. When one part
 * breaks all is broken, and the other is not listened to any more. One thread.
 */
#include "exec/mixed_executor.h"

#include "base/command.h"
#include "base/list.h"

#include <errno.h>
#include <stdlib.h>

struct mixed_executor {
    struct mf_executor base;
    struct mf_executor *commands;
    struct mf_executor *functions;
    mf_executor_fn fn;
    void *arg;
    bool is_broken;
};

static struct mixed_executor *of_base(struct mf_executor *executor)
{
    return mf_container_of(executor, struct mixed_executor, base);
}

void mf_mixed_executor_heard(void *arg, const struct mf_executor_event *event)
{
    struct mixed_executor *mixed = of_base(arg);

    if (mixed->is_broken) {
        mf_output_close(event->output);
        return;
    }
    mixed->is_broken = event->kind == MF_EXECUTOR_BROKEN;
    mixed->fn(mixed->arg, event);
}

static int configure(struct mf_executor *executor, const struct mf_slot *slots, uint32_t n_slots,
                     uint32_t rank, const char *run_dir)
{
    struct mixed_executor *mixed = of_base(executor);
    int result = mixed->commands->ops->configure(mixed->commands, slots, n_slots, rank, run_dir);

    if (result < 0)
        return result;
    return mixed->functions->ops->configure(mixed->functions, slots, n_slots, rank, run_dir);
}

static int start(struct mf_executor *executor, const struct mf_start *start)
{
    struct mixed_executor *mixed = of_base(executor);
    struct mf_executor *part = mf_command_is_function(start->command, start->command_size)
                                   ? mixed->functions
                                   : mixed->commands;

    if (mixed->is_broken)
        return -EPIPE;
    return start->n_slots > 0 ? part->ops->start(part, start) : -EINVAL;
}

static void unstage(struct mf_executor *executor, mf_task_id task, uint32_t attempt)
{
}

/* Whoever does not know the attempt ignores it. */
static void end(struct mf_executor *executor, mf_task_id task, uint32_t attempt,
                enum mf_cause cause)
{
    struct mixed_executor *mixed = of_base(executor);

    mixed->commands->ops->end(mixed->commands, task, attempt, cause);
    mixed->functions->ops->end(mixed->functions, task, attempt, cause);
}

/* Functions have it if they know the attempt. */
static int suspend(struct mf_executor *executor, mf_task_id task, uint32_t attempt)
{
    struct mixed_executor *mixed = of_base(executor);
    int result = mixed->functions->ops->suspend(mixed->functions, task, attempt);

    return result == MF_EXECUTOR_E_LATER
               ? result
               : mixed->commands->ops->suspend(mixed->commands, task, attempt);
}

static void resume(struct mf_executor *executor, mf_task_id task, uint32_t attempt,
                   const uint32_t *slots, uint32_t n_slots)
{
    struct mixed_executor *mixed = of_base(executor);

    mixed->commands->ops->resume(mixed->commands, task, attempt, slots, n_slots);
    mixed->functions->ops->resume(mixed->functions, task, attempt, slots, n_slots);
}

static void warn(struct mf_executor *executor, int number)
{
    struct mixed_executor *mixed = of_base(executor);

    mixed->commands->ops->warn(mixed->commands, number);
}

static int flush(struct mf_executor *executor)
{
    struct mixed_executor *mixed = of_base(executor);
    int result = mixed->is_broken ? -EPIPE : 0;

    /* Commands first: a function may keep this process. */
    if (result == 0)
        result = mixed->commands->ops->flush(mixed->commands);
    if (result == 0)
        result = mixed->functions->ops->flush(mixed->functions);
    return result;
}

static void destroy(struct mf_executor *executor)
{
    struct mixed_executor *mixed;

    if (!executor)
        return;
    mixed = of_base(executor);
    mixed->is_broken = true;
    if (mixed->functions)
        mixed->functions->ops->destroy(mixed->functions);
    if (mixed->commands)
        mixed->commands->ops->destroy(mixed->commands);
    free(mixed);
}

static const struct mf_executor_ops ops = {
    .configure = configure,
    .start = start,
    .unstage = unstage,
    .end = end,
    .suspend = suspend,
    .resume = resume,
    .warn = warn,
    .flush = flush,
    .destroy = destroy,
};

int mf_mixed_executor_create(mf_executor_fn fn, void *arg, struct mf_executor **ret_executor)
{
    struct mixed_executor *mixed = calloc(1, sizeof(*mixed));

    if (!mixed)
        return -ENOMEM;
    mixed->base.ops = &ops;
    mixed->fn = fn;
    mixed->arg = arg;
    *ret_executor = &mixed->base;
    return 0;
}

void mf_mixed_executor_set_parts(struct mf_executor *executor, struct mf_executor *commands,
                                 struct mf_executor *functions)
{
    struct mixed_executor *mixed = of_base(executor);

    mixed->commands = commands;
    mixed->functions = functions;
}
