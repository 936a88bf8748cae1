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

/**
 * A slot, and the attempt that runs in it.
 *
 * @number     as the user sees it
 * @is_taken   by task, attempt
 * @asked      why it was asked to end; NONE if it was not
 * @mem_bytes  most memory that its function may use, 0 for no limit
 * @memory     what it uses, as far as that is watched
 * @large      large_size bytes of a result whose entry comes next, or NULL
 */
struct seat {
    uint32_t number;
    bool is_taken;
    mf_task_id task;
    uint32_t attempt;
    int64_t started_ns;
    int64_t started_wall_ns;
    enum mf_cause asked;
    uint64_t mem_bytes;
    struct mf_memory_watch memory;
    uint8_t *large;
    size_t large_size;
};

/**
 * @watch      of timer_fd, which fires at timer_ns (INT64_MAX: never)
 * @seats      of n_seats slots
 * @n_limited  seats whose functions have a limit of memory
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
    struct seat *seats;
    uint32_t n_seats;
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

static struct seat *find_seat(struct function_executor *functions, uint64_t task, uint32_t attempt)
{
    for (uint32_t i = 0; i < functions->n_seats; i++) {
        struct seat *seat = &functions->seats[i];

        if (seat->is_taken && seat->task == task && seat->attempt == attempt)
            return seat;
    }
    return NULL;
}

static void leave_seat(struct seat *seat)
{
    free(seat->large);
    *seat = (struct seat){.number = seat->number};
}

static void break_executor(struct function_executor *functions, const struct mf_error *err)
{
    struct mf_executor_event event = {.kind = MF_EXECUTOR_BROKEN, .slot = UINT32_MAX, .error = err};

    functions->is_broken = true;
    functions->config.fn(functions->config.arg, &event);
}

/* --- what the caller says --- */

static void set_times(const struct seat *seat, int64_t duration_ns, struct mf_outcome *outcome)
{
    int64_t elapsed_ns = mf_clock_monotonic_ns() - seat->started_ns;

    /* A function that was killed has not told how long it took. */
    outcome->duration_ns = duration_ns > 0 && duration_ns < elapsed_ns ? duration_ns : elapsed_ns;
    outcome->started_wall_ns = seat->started_wall_ns + elapsed_ns - outcome->duration_ns;
    outcome->slot = seat->number;
}

static void settle(struct function_executor *functions, struct seat *seat,
                   const struct mf_entry_header *entry, const uint8_t *bytes, int64_t duration_ns)
{
    bool is_large = entry->cause == MPIFARM_CAUSE_NONE && entry->flags & MF_CALL_IS_LARGE;
    struct mf_function_answer answer = {
        .entry = entry,
        .bytes = is_large ? seat->large : bytes,
        .size = is_large ? seat->large_size : entry->size,
        .limit_bytes = functions->config.output_limit_bytes,
        .spill_dir = functions->config.spill_dir,
    };
    struct mf_outcome outcome = {0};
    struct mf_executor_event event = {
        .kind = MF_EXECUTOR_ENDED,
        .task = seat->task,
        .attempt = seat->attempt,
        .slot = (uint32_t)(seat - functions->seats),
        .outcome = &outcome,
    };

    char limit[32], used[32];

    event.output = mf_function_outcome(&answer, &outcome);
    set_times(seat, duration_ns, &outcome);
    if (seat->asked != MF_CAUSE_NONE) {
        outcome.cause = seat->asked;
        outcome.detail[0] = '\0';
    }
    if (seat->asked == MF_CAUSE_MEMORY)
        snprintf(outcome.detail, sizeof(outcome.detail), "%s (used %s)",
                 mf_format_size(seat->memory.limit_bytes, limit, sizeof(limit)),
                 mf_format_size(seat->memory.used_bytes, used, sizeof(used)));
    functions->n_limited -= seat->mem_bytes > 0;
    leave_seat(seat);
    functions->config.fn(functions->config.arg, &event);
}

static void on_entries(struct function_executor *functions, struct seat *seat,
                       const struct mf_caller_event *event)
{
    struct mf_reader reader = mf_reader_over(event->entries, event->size);
    struct mf_entry_header entry;
    const uint8_t *bytes;

    while (mf_entry_get(&reader, &entry, &bytes) == 1)
        if (entry.kind == MF_ENTRY_RESULT) {
            settle(functions, seat, &entry, bytes, event->duration_ns);
            return;
        }
}

static void heard(void *arg, const struct mf_caller_event *event)
{
    struct function_executor *functions = arg;
    struct seat *seat;

    if (event->kind == MF_CALLER_BROKEN) {
        break_executor(functions, event->error);
        return;
    }
    seat = find_seat(functions, event->unit, event->attempt);
    if (event->kind == MF_CALLER_LARGE && seat) {
        free(seat->large);
        seat->large = event->data;
        seat->large_size = event->size;
    } else if (event->kind == MF_CALLER_LARGE) {
        free(event->data);
    } else if (event->kind == MF_CALLER_ENTRIES && seat) {
        on_entries(functions, seat, event);
    }
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
    for (uint32_t i = 0; i < functions->n_seats && functions->n_limited > 0; i++) {
        struct seat *seat = &functions->seats[i];
        pid_t pid;

        if (!seat->is_taken || seat->mem_bytes == 0)
            continue;
        pid = functions->caller->ops->process(functions->caller, i + 1);
        if (pid <= 0 || pid == seat->memory.pid)
            continue;
        mf_memory_watch_begin(&seat->memory, "/proc", pid, seat->mem_bytes,
                              mf_clock_monotonic_ns());
        functions->look_at_ns = mf_earliest_ns(functions->look_at_ns,
                                               seat->memory.trend.seen_ns + MF_MEMORY_LOOK_MIN_NS);
        if (functions->look_at_ns < functions->rest_until_ns)
            functions->look_at_ns = functions->rest_until_ns;
    }
}

/* Those that are watched; watches has room for n_seats. */
static uint32_t list_watches(struct function_executor *functions, struct mf_memory_watch **watches)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < functions->n_seats; i++) {
        struct seat *seat = &functions->seats[i];

        if (seat->is_taken && seat->memory.pid > 0 && seat->asked == MF_CAUSE_NONE)
            watches[n++] = &seat->memory;
    }
    return n;
}

static void end_large(struct function_executor *functions)
{
    for (uint32_t i = 0; i < functions->n_seats; i++) {
        struct seat *seat = &functions->seats[i];

        if (!seat->is_taken || !seat->memory.is_over || seat->asked != MF_CAUSE_NONE)
            continue;
        seat->asked = MF_CAUSE_MEMORY;
        (void)mf_memory_kill_strays("/proc", &(struct mf_group_use){.group = seat->memory.pid});
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
    watches = calloc(functions->n_seats, sizeof(struct mf_memory_watch *));
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

    if (functions->seats || n_slots == 0)
        return -EINVAL;
    functions->seats = calloc(n_slots, sizeof(*functions->seats));
    if (!functions->seats)
        return -ENOMEM;
    functions->n_seats = n_slots;
    for (uint32_t i = 0; i < n_slots; i++)
        functions->seats[i].number = slots[i].number;
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
        .details = {.tag = command->seq,
                    .timeout_ns = start->timeout_ns,
                    .try_number = start->try_number},
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

static int start(struct mf_executor *executor, const struct mf_start *start)
{
    struct function_executor *functions = of_base(executor);
    struct mf_caller_unit unit = {.unit = start->task, .attempt = start->attempt, .n_calls = 1};
    struct mf_command *command;
    struct seat *seat;
    int result;

    if (functions->is_broken)
        return -EPIPE;
    if (start->n_slots != 1 || start->slots[0] >= functions->n_seats)
        return -EINVAL;
    seat = &functions->seats[start->slots[0]];
    if (seat->is_taken || find_seat(functions, start->task, start->attempt))
        return -EEXIST;
    result = mf_command_decode(start->command, start->command_size, &command);
    if (result < 0)
        return result;
    result = encode(functions, start, command);
    free(command);
    if (result < 0)
        return result;
    unit.calls = functions->call.data;
    unit.size = functions->call.size;
    unit.slot = start->slots[0] + 1;
    result = functions->caller->ops->start(functions->caller, &unit);
    if (result < 0)
        return result;
    seat->is_taken = true;
    seat->task = start->task;
    seat->attempt = start->attempt;
    seat->started_ns = mf_clock_monotonic_ns();
    seat->started_wall_ns = mf_clock_wall_ns();
    seat->mem_bytes = start->mem_bytes;
    functions->n_limited += seat->mem_bytes > 0;
    return 0;
}

static void unstage(struct mf_executor *executor, mf_task_id task, uint32_t attempt)
{
}

static void end(struct mf_executor *executor, mf_task_id task, uint32_t attempt,
                enum mf_cause cause)
{
    struct function_executor *functions = of_base(executor);
    struct seat *seat = find_seat(functions, task, attempt);

    if (!seat || functions->is_broken)
        return;
    if (seat->asked == MF_CAUSE_NONE)
        seat->asked = cause;
    functions->caller->ops->cancel(functions->caller, task, attempt, 0);
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

    if (functions->n_seats == 0)
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
    for (uint32_t i = 0; i < functions->n_seats; i++)
        leave_seat(&functions->seats[i]);
    free(functions->seats);
    mf_buffer_finish(&functions->call);
    free(functions);
}

static const struct mf_executor_ops ops = {
    .configure = configure,
    .start = start,
    .unstage = unstage,
    .end = end,
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
