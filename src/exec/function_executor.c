/*
 * Attempts at functions as calls: see function_executor.h. An attempt is a unit
 * of one call; what comes back becomes an outcome and an output.
 *
 * The rank owns it and uses it in its only thread.
 */
#include "exec/function_executor_private.h"

#include "base/clock.h"
#include "base/command.h"
#include "base/io.h"
#include "exec/capture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

/* How long a flush goes on while there is something to do. */
#define FLUSH_NS MF_NS_PER_MS

static struct mf_function_executor *of_base(struct mf_executor *executor)
{
    return mf_container_of(executor, struct mf_function_executor, base);
}

/* --- requests --- */

static int configure(struct mf_executor *executor, const struct mf_slot *slots, uint32_t n_slots,
                     uint32_t rank, const char *run_dir)
{
    struct mf_function_executor *functions = of_base(executor);
    struct mf_error err;
    int result;

    if (functions->slots || n_slots == 0)
        return -EINVAL;
    functions->slots = calloc(n_slots, sizeof(*functions->slots));
    if (!functions->slots)
        return -ENOMEM;
    functions->n_slots = n_slots;
    for (uint32_t i = 0; i < n_slots; i++)
        functions->slots[i].number = slots[i].number;
    result = functions->caller->ops->begin(
        functions->caller, mf_modules_functions(functions->config.modules), rank, slots, n_slots);
    if (result < 0) {
        mf_modules_explain(functions->config.modules, result, &err);
        mf_function_break(functions, &err);
    }
    return result;
}

/* Puts the one call of the attempt together. Returns 0 or -errno. */
static int encode(struct mf_function_executor *functions, const struct mf_start *start,
                  const struct mf_command *command)
{
    struct mf_call call = {
        .task = start->task,
        .size = strlen(command->args[0]),
        .input = (const uint8_t *)command->args[0],
        .checkpoint = start->saved,
        .details = {.tag = command->seq,
                    .timeout_ns = start->timeout_ns,
                    .try_number = start->try_number,
                    .checkpoint_size = start->saved_size},
    };
    int function =
        command->function ? mf_modules_find(functions->config.modules, command->function) : -EINVAL;

    if (function < 0)
        return function == -ENOENT ? -ENOSYS : function;
    call.function = (uint16_t)function;
    mf_buffer_clear(&functions->call);
    mf_call_put(&functions->call, &call);
    return mf_buffer_status(&functions->call);
}

static struct mf_function_run *begin_run(struct mf_function_executor *functions,
                                         const struct mf_start *start)
{
    struct mf_function_run *run = calloc(1, sizeof(*run));

    if (!run)
        return NULL;
    run->task = start->task;
    run->attempt = start->attempt;
    run->slot = start->slots[0];
    run->started_ns = mf_clock_monotonic_ns();
    run->started_wall_ns = mf_clock_wall_ns();
    run->mem_bytes = start->mem_bytes;
    functions->n_limited += run->mem_bytes > 0;
    functions->slots[run->slot].run = run;
    mf_list_push_back(&functions->runs, &run->node);
    return run;
}

/* Hands the call of an attempt over. */
static int hand_over(struct mf_function_executor *functions, const struct mf_start *start)
{
    struct mf_caller_unit unit = {
        .unit = start->task,
        .attempt = start->attempt,
        .n_calls = 1,
        .calls = functions->call.data,
        .size = functions->call.size,
        .slot = start->slots[0] + 1,
    };

    return functions->caller->ops->start(functions->caller, &unit);
}

static int start(struct mf_executor *executor, const struct mf_start *start)
{
    struct mf_function_executor *functions = of_base(executor);
    struct mf_command *command;
    struct mf_function_run *run;
    int result;

    if (functions->is_broken)
        return -EPIPE;
    if (start->n_slots != 1 || start->slots[0] >= functions->n_slots)
        return -EINVAL;
    if (functions->slots[start->slots[0]].run ||
        mf_function_find_run(functions, start->task, start->attempt))
        return -EEXIST;
    result = mf_command_decode(start->command, start->command_size, &command);
    if (result < 0)
        return result;
    result = encode(functions, start, command);
    free(command);
    if (result < 0)
        return result;
    run = begin_run(functions, start);
    if (!run)
        return -ENOMEM;
    result = hand_over(functions, start);
    if (result < 0)
        mf_function_end_run(functions, run);
    return result;
}

static void unstage(struct mf_executor *executor, mf_task_id task, uint32_t attempt)
{
}

static void end(struct mf_executor *executor, mf_task_id task, uint32_t attempt,
                enum mf_cause cause)
{
    struct mf_function_executor *functions = of_base(executor);
    struct mf_function_run *run = mf_function_find_run(functions, task, attempt);

    if (!run || functions->is_broken)
        return;
    if (run->asked == MF_CAUSE_NONE)
        run->asked = cause;
    mf_function_resume_clock(run);
    functions->caller->ops->cancel(functions->caller, task, attempt, 0);
}

/* At its next checkpoint. In this process it cannot be, and runs on. */
static int suspend(struct mf_executor *executor, mf_task_id task, uint32_t attempt)
{
    struct mf_function_executor *functions = of_base(executor);

    if (!mf_function_find_run(functions, task, attempt) || functions->is_broken)
        return 0;
    (void)functions->caller->ops->yield(functions->caller, task, attempt);
    return MF_EXECUTOR_E_LATER;
}

static void resume(struct mf_executor *executor, mf_task_id task, uint32_t attempt,
                   const uint32_t *slots, uint32_t n_slots)
{
    struct mf_function_executor *functions = of_base(executor);
    struct mf_function_run *run = mf_function_find_run(functions, task, attempt);
    struct mf_executor_event event = {
        .kind = MF_EXECUTOR_CONTINUED, .task = task, .attempt = attempt, .slot = slots[0]};

    if (!run || run->suspended_ns == 0 || functions->is_broken)
        return;
    run->slot = slots[0];
    functions->slots[run->slot].run = run;
    mf_function_resume_clock(run);
    functions->caller->ops->go_on(functions->caller, task, attempt, run->slot + 1);
    functions->config.fn(functions->config.arg, &event);
}

/* --- turns --- */

static void set_timer(struct mf_function_executor *functions, int64_t due_ns)
{
    if (due_ns == functions->timer_ns)
        return;
    functions->timer_ns = due_ns;
    (void)mf_clock_set_timer(functions->timer_fd, due_ns);
}

/* What is due is done by the flush that follows. */
static void on_timer(void *arg, uint32_t events)
{
    struct mf_function_executor *functions = arg;
    uint64_t n;

    (void)!read(functions->timer_fd, &n, sizeof(n));
    functions->timer_ns = INT64_MAX;
}

static int flush(struct mf_executor *executor)
{
    struct mf_function_executor *functions = of_base(executor);
    struct mf_caller *caller = functions->caller;
    int64_t end_ns = mf_clock_monotonic_ns() + FLUSH_NS;
    int64_t now_ns, due_ns;
    int has_happened;

    if (functions->n_slots == 0)
        return 0;
    mf_function_look_at_memory(functions, mf_clock_monotonic_ns());
    do {
        if (functions->is_broken)
            return -EPIPE;
        mf_function_watch_limited(functions);
        now_ns = mf_clock_monotonic_ns();
        has_happened = caller->ops->turn(caller, now_ns);
    } while (has_happened && now_ns < end_ns);
    due_ns = caller->ops->next_ns(caller);
    if (functions->look_at_ns < due_ns)
        due_ns = functions->look_at_ns;
    set_timer(functions, has_happened ? 0 : due_ns);
    return 0;
}

/* --- life --- */

static void destroy(struct mf_executor *executor)
{
    struct mf_function_executor *functions;

    if (!executor)
        return;
    functions = of_base(executor);
    mf_caller_destroy(functions->caller);
    mf_loop_remove(functions->config.loop, functions->watch);
    mf_close(&functions->timer_fd);
    mf_list_for_each_safe (node, &functions->runs)
        mf_function_end_run(functions, mf_container_of(node, struct mf_function_run, node));
    free(functions->slots);
    mf_buffer_finish(&functions->call);
    free(functions);
}

static const struct mf_executor_ops ops = {
    .configure = configure,
    .start = start,
    .unstage = unstage,
    .end = end,
    .suspend = suspend,
    .resume = resume,
    .flush = flush,
    .destroy = destroy,
};

/* Inputs of task files travel with their call. */
static int take_no_large(void *arg, uint64_t task, uint8_t **ret_data, size_t *ret_size)
{
    return -ENOENT;
}

static int create_caller(struct mf_function_executor *functions)
{
    const struct mf_function_executor_config *config = &functions->config;
    struct mf_caller_config caller = {
        .heard = mf_function_heard, .take_large = take_no_large, .arg = functions};

    if (config->nursery)
        return mf_host_caller_create(&caller, config->nursery, config->loop, &functions->caller);
    return mf_inline_caller_create(&caller, NULL, NULL, &functions->caller);
}

int mf_function_executor_create(const struct mf_function_executor_config *config,
                                struct mf_executor **ret_executor)
{
    struct mf_function_executor *functions = calloc(1, sizeof(*functions));
    int result;

    if (!functions)
        return -ENOMEM;
    functions->base.ops = &ops;
    mf_list_init(&functions->runs);
    functions->config = *config;
    functions->config.spill_dir = mf_capture_spill_dir(config->spill_dir);
    functions->timer_ns = INT64_MAX;
    functions->look_at_ns = INT64_MAX;
    functions->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    result = functions->timer_fd < 0 ? -errno : 0;
    if (result == 0)
        result = mf_loop_add(config->loop, functions->timer_fd, EPOLLIN, on_timer, functions,
                             &functions->watch);
    /* Last, as it takes the nursery. */
    if (result == 0)
        result = create_caller(functions);
    if (result < 0) {
        destroy(&functions->base);
        return result;
    }
    *ret_executor = &functions->base;
    return 0;
}
