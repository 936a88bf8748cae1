/*
 * Attempts at functions as calls: see function_executor.h. An attempt is a unit
 * of one call; what comes back becomes an outcome and an output.
 *
 * The rank owns it and uses it in its only thread.
 */
#include "exec/function_executor.h"

#include "base/clock.h"
#include "base/command.h"
#include "base/io.h"
#include "base/list.h"
#include "base/units.h"
#include "exec/capture.h"
#include "exec/function_outcome.h"
#include "exec/memory_watch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

/* How long a flush goes on while there is something to do. */
#define FLUSH_NS MF_NS_PER_MS

/* What a function saves is told no more often, as long as it does not fail. */
#define TELL_SAVED_NS MF_NS_PER_S

/**
 * An attempt.
 *
 * @slot       it runs in, or ran in before it was suspended
 * @suspended_ns   since when it is suspended, 0 while it runs
 * @started_ns     when it was started, later by the time in which it was suspended
 * @asked      why it was asked to end; NONE if it was not
 * @mem_bytes  most memory that its function may use, 0 for no limit
 * @memory     what it uses, as far as that is watched
 * @saved      saved_size bytes of its last checkpoint that were not told, or NULL
 * @told_ns    when a checkpoint was told last
 * @large      large_size bytes of a result whose entry comes next, or NULL
 */
struct run {
    struct mf_list node;
    mf_task_id task;
    uint32_t attempt;
    uint32_t slot;
    int64_t suspended_ns;
    int64_t started_ns;
    int64_t started_wall_ns;
    enum mf_cause asked;
    uint64_t mem_bytes;
    struct mf_memory_watch memory;
    uint8_t *saved;
    size_t saved_size;
    int64_t told_ns;
    uint8_t *large;
    size_t large_size;
};

/** @number  as the user sees it; @run  the attempt that runs there, or NULL */
struct slot {
    uint32_t number;
    struct run *run;
};

/**
 * @watch      of timer_fd, which fires at timer_ns (INT64_MAX: never)
 * @slots      n_slots
 * @runs       attempts, those that are suspended too
 * @n_limited  attempts whose functions have a limit of memory
 * @look_at_ns, @rest_until_ns   when memory is to be looked at, INT64_MAX for never, and not sooner
 * @call       bytes of the call being started
 */
struct function_executor {
    struct mf_executor base;
    struct mf_function_executor_config config;
    struct mf_caller *caller;
    int timer_fd;
    int64_t timer_ns;
    struct mf_watch *watch;
    struct slot *slots;
    uint32_t n_slots;
    struct mf_list runs;
    uint32_t n_limited;
    int64_t look_at_ns;
    int64_t rest_until_ns;
    struct mf_buffer call;
    bool is_broken;
};

static struct function_executor *of_base(struct mf_executor *executor)
{
    return mf_container_of(executor, struct function_executor, base);
}

static struct run *find_run(struct function_executor *functions, uint64_t task, uint32_t attempt)
{
    mf_list_for_each (node, &functions->runs) {
        struct run *run = mf_container_of(node, struct run, node);

        if (run->task == task && run->attempt == attempt)
            return run;
    }
    return NULL;
}

static void end_run(struct function_executor *functions, struct run *run)
{
    if (functions->slots[run->slot].run == run)
        functions->slots[run->slot].run = NULL;
    functions->n_limited -= run->mem_bytes > 0;
    mf_list_remove(&run->node);
    free(run->saved);
    free(run->large);
    free(run);
}

static void break_executor(struct function_executor *functions, const struct mf_error *err)
{
    struct mf_executor_event event = {.kind = MF_EXECUTOR_BROKEN, .slot = UINT32_MAX, .error = err};

    functions->is_broken = true;
    functions->config.fn(functions->config.arg, &event);
}

/* --- what the caller says --- */

/* The time in which it is suspended is none of its run time. */
static int64_t elapsed_ns(const struct run *run)
{
    int64_t now_ns = run->suspended_ns > 0 ? run->suspended_ns : mf_clock_monotonic_ns();

    return now_ns - run->started_ns;
}

static void resume_clock(struct run *run)
{
    if (run->suspended_ns > 0)
        run->started_ns += mf_clock_monotonic_ns() - run->suspended_ns;
    run->suspended_ns = 0;
}

static void set_times(const struct run *run, int64_t duration_ns, struct mf_outcome *outcome)
{
    int64_t most_ns = elapsed_ns(run);

    /* A function that was killed has not told how long it took. */
    outcome->duration_ns = duration_ns > 0 && duration_ns < most_ns ? duration_ns : most_ns;
    outcome->started_wall_ns = run->started_wall_ns + most_ns - outcome->duration_ns;
}

/* What it saved last, if that was not told. */
static void tell_saved(struct function_executor *functions, struct run *run)
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
static void on_checkpoint(struct function_executor *functions, struct run *run,
                          const struct mf_caller_event *event)
{
    uint8_t *saved = malloc(event->size ? event->size : 1);

    if (!saved)
        return;
    mf_copy(saved, event->entries, event->size);
    free(run->saved);
    run->saved = saved;
    run->saved_size = event->size;
    if (mf_clock_monotonic_ns() - run->told_ns >= TELL_SAVED_NS)
        tell_saved(functions, run);
}

static void settle(struct function_executor *functions, struct run *run,
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
    end_run(functions, run);
    functions->config.fn(functions->config.arg, &event);
}

static void on_entries(struct function_executor *functions, struct run *run,
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

static void on_large(struct run *run, const struct mf_caller_event *event)
{
    if (!run) {
        free(event->data);
        return;
    }
    free(run->large);
    run->large = event->data;
    run->large_size = event->size;
}

static void on_yielded(struct function_executor *functions, struct run *run,
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

static void heard(void *arg, const struct mf_caller_event *event)
{
    struct function_executor *functions = arg;
    struct run *run;

    if (event->kind == MF_CALLER_BROKEN) {
        break_executor(functions, event->error);
        return;
    }
    run = find_run(functions, event->unit, event->attempt);
    if (event->kind == MF_CALLER_LARGE)
        on_large(run, event);
    else if (event->kind == MF_CALLER_ENTRIES && run)
        on_entries(functions, run, event);
    else if (event->kind == MF_CALLER_CHECKPOINT && run)
        on_checkpoint(functions, run, event);
    else if (event->kind == MF_CALLER_YIELDED && run)
        on_yielded(functions, run, event);
}

/* Inputs of task files travel with their call. */
static int take_no_large(void *arg, uint64_t task, uint8_t **ret_data, size_t *ret_size)
{
    return -ENOENT;
}

/* --- memory --- */

/*
 * Sees to it that each function with a limit is watched in the process that runs
 * it, from before it begins: a process that is not ready yet, or takes the place
 * of one that died, is met here the moment it is.
 */
static void watch_limited(struct function_executor *functions)
{
    for (uint32_t i = 0; i < functions->n_slots && functions->n_limited > 0; i++) {
        struct run *run = functions->slots[i].run;
        pid_t pid;

        if (!run || run->mem_bytes == 0)
            continue;
        pid = functions->caller->ops->process(functions->caller, i + 1);
        if (pid <= 0 || pid == run->memory.pid)
            continue;
        mf_memory_watch_begin(&run->memory, "/proc", pid, run->mem_bytes, mf_clock_monotonic_ns());
        functions->look_at_ns = mf_earliest_ns(functions->look_at_ns,
                                               run->memory.trend.seen_ns + MF_MEMORY_LOOK_MIN_NS);
        if (functions->look_at_ns < functions->rest_until_ns)
            functions->look_at_ns = functions->rest_until_ns;
    }
}

/* Those that are watched and run; watches has room for n_slots. */
static uint32_t list_watches(struct function_executor *functions, struct mf_memory_watch **watches)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < functions->n_slots; i++) {
        struct run *run = functions->slots[i].run;

        if (run && run->memory.pid > 0 && run->asked == MF_CAUSE_NONE)
            watches[n++] = &run->memory;
    }
    return n;
}

static void end_large(struct function_executor *functions)
{
    for (uint32_t i = 0; i < functions->n_slots; i++) {
        struct run *run = functions->slots[i].run;

        if (!run || !run->memory.is_over || run->asked != MF_CAUSE_NONE)
            continue;
        run->asked = MF_CAUSE_MEMORY;
        (void)mf_memory_kill_strays("/proc", &(struct mf_group_use){.group = run->memory.pid});
        functions->caller->ops->kill(functions->caller, i + 1);
    }
}

/* Ends functions that use more memory than they have. What fails is tried again at the next look.
 */
static void look_at_memory(struct function_executor *functions, int64_t now_ns)
{
    int64_t wait_ns = MF_MEMORY_LOOK_MAX_NS, began_ns = mf_memory_clock();
    struct mf_memory_watch **watches;
    uint32_t n;

    if (now_ns < functions->look_at_ns)
        return;
    watches = calloc(functions->n_slots, sizeof(struct mf_memory_watch *));
    n = watches ? list_watches(functions, watches) : 0;
    if (n > 0 && mf_memory_watch_look("/proc", watches, n, now_ns, &wait_ns) == 0)
        end_large(functions);
    free(watches);
    now_ns = mf_clock_monotonic_ns();
    functions->rest_until_ns = now_ns + mf_memory_rest(began_ns);
    functions->look_at_ns = now_ns + wait_ns;
    if (functions->look_at_ns < functions->rest_until_ns)
        functions->look_at_ns = functions->rest_until_ns;
    if (functions->n_limited == 0)
        functions->look_at_ns = INT64_MAX;
}

/* --- requests --- */

static int configure(struct mf_executor *executor, const struct mf_slot *slots, uint32_t n_slots,
                     uint32_t rank, const char *run_dir)
{
    struct function_executor *functions = of_base(executor);
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
        break_executor(functions, &err);
    }
    return result;
}

/* Puts the one call of the attempt together. Returns 0 or -errno. */
static int encode(struct function_executor *functions, const struct mf_start *start,
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

static struct run *begin_run(struct function_executor *functions, const struct mf_start *start)
{
    struct run *run = calloc(1, sizeof(*run));

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
static int hand_over(struct function_executor *functions, const struct mf_start *start)
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
    struct function_executor *functions = of_base(executor);
    struct mf_command *command;
    struct run *run;
    int result;

    if (functions->is_broken)
        return -EPIPE;
    if (start->n_slots != 1 || start->slots[0] >= functions->n_slots)
        return -EINVAL;
    if (functions->slots[start->slots[0]].run || find_run(functions, start->task, start->attempt))
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
        end_run(functions, run);
    return result;
}

static void unstage(struct mf_executor *executor, mf_task_id task, uint32_t attempt)
{
}

static void end(struct mf_executor *executor, mf_task_id task, uint32_t attempt,
                enum mf_cause cause)
{
    struct function_executor *functions = of_base(executor);
    struct run *run = find_run(functions, task, attempt);

    if (!run || functions->is_broken)
        return;
    if (run->asked == MF_CAUSE_NONE)
        run->asked = cause;
    resume_clock(run);
    functions->caller->ops->cancel(functions->caller, task, attempt, 0);
}

/* At its next checkpoint. In this process it cannot be, and runs on. */
static int suspend(struct mf_executor *executor, mf_task_id task, uint32_t attempt)
{
    struct function_executor *functions = of_base(executor);

    if (!find_run(functions, task, attempt) || functions->is_broken)
        return 0;
    (void)functions->caller->ops->yield(functions->caller, task, attempt);
    return MF_EXECUTOR_E_LATER;
}

static void resume(struct mf_executor *executor, mf_task_id task, uint32_t attempt,
                   const uint32_t *slots, uint32_t n_slots)
{
    struct function_executor *functions = of_base(executor);
    struct run *run = find_run(functions, task, attempt);
    struct mf_executor_event event = {
        .kind = MF_EXECUTOR_CONTINUED, .task = task, .attempt = attempt, .slot = slots[0]};

    if (!run || run->suspended_ns == 0 || functions->is_broken)
        return;
    run->slot = slots[0];
    functions->slots[run->slot].run = run;
    resume_clock(run);
    functions->caller->ops->go_on(functions->caller, task, attempt, run->slot + 1);
    functions->config.fn(functions->config.arg, &event);
}

/* --- turns --- */

static void set_timer(struct function_executor *functions, int64_t due_ns)
{
    if (due_ns == functions->timer_ns)
        return;
    functions->timer_ns = due_ns;
    (void)mf_clock_set_timer(functions->timer_fd, due_ns);
}

/* What is due is done by the flush that follows. */
static void on_timer(void *arg, uint32_t events)
{
    struct function_executor *functions = arg;
    uint64_t n;

    (void)!read(functions->timer_fd, &n, sizeof(n));
    functions->timer_ns = INT64_MAX;
}

static int flush(struct mf_executor *executor)
{
    struct function_executor *functions = of_base(executor);
    struct mf_caller *caller = functions->caller;
    int64_t end_ns = mf_clock_monotonic_ns() + FLUSH_NS;
    int64_t now_ns, due_ns;
    int has_happened;

    if (functions->n_slots == 0)
        return 0;
    look_at_memory(functions, mf_clock_monotonic_ns());
    do {
        if (functions->is_broken)
            return -EPIPE;
        watch_limited(functions);
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
    struct function_executor *functions;

    if (!executor)
        return;
    functions = of_base(executor);
    mf_caller_destroy(functions->caller);
    mf_loop_remove(functions->config.loop, functions->watch);
    mf_close(&functions->timer_fd);
    mf_list_for_each_safe (node, &functions->runs)
        end_run(functions, mf_container_of(node, struct run, node));
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

static int create_caller(struct function_executor *functions)
{
    const struct mf_function_executor_config *config = &functions->config;
    struct mf_caller_config caller = {
        .heard = heard, .take_large = take_no_large, .arg = functions};

    if (config->nursery)
        return mf_host_caller_create(&caller, config->nursery, config->loop, &functions->caller);
    return mf_inline_caller_create(&caller, NULL, NULL, &functions->caller);
}

int mf_function_executor_create(const struct mf_function_executor_config *config,
                                struct mf_executor **ret_executor)
{
    struct function_executor *functions = calloc(1, sizeof(*functions));
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
