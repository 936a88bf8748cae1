/*
 * Calls in this process and thread: see caller.h.
 *
 * A turn runs calls of the first unit for a slice of time. What comes of them
 * is gathered and told together: at the end of the slice or the unit, and when
 * one more would not fit into a message that MPI sends eagerly.
 *
 * A running function can look whether it should stop, which takes records in:
 * so everything but turn() may be called from inside a call. What concerns the
 * running unit is then marked in it, and done when the function has returned.
 */
#include "exec/caller.h"

#include "base/clock.h"
#include "base/large.h"
#include "exec/blocks.h"
#include "exec/inline_unit.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#define SLICE_NS (500 * MF_NS_PER_US)
#define POLL_NS MF_NS_PER_MS

/*
 * Calls go on without a look at the clock for so long, and for as many as this,
 * if they take as long as those before. The more calls in a row were quick, the
 * less likely the next ones are slow: up to a tenth of their number go unseen.
 */
#define LOOK_NS (8 * MF_NS_PER_US)
#define FEWEST_PER_LOOK 4
#define MOST_PER_LOOK 32
#define QUICK_PER_UNSEEN 10

/* What was gathered beyond this is not kept. */
#define KEPT_BYTES ((size_t)64 << 10)

/*
 * @running           the unit whose call is being made, NULL for none
 * @is_disturbed      a request may have come from inside the call being made, or one before it
 * @n_quick           calls in a row that were quick
 * @entries           what is to be told of the first unit: of its calls from n_told up to next
 * @duration_ns       spent in what was gathered, up to mark_ns
 * @idle_since_ns     when there was nothing to do any more, 0 if there is
 * @idle_ns           what the unit that has begun is to be told with
 */
struct inline_caller {
    struct mf_caller base;
    struct mf_caller_config config;
    void (*poll)(void *arg);
    void *poll_arg;
    int64_t polled_ns;
    const struct mf_functions *functions;
    struct mpifarm_context context;
    struct mf_blocks blocks;
    struct mf_list units;
    struct mf_inline_unit *running;
    bool is_disturbed;
    uint32_t n_quick;
    struct mf_entries entries;
    int64_t mark_ns;
    int64_t duration_ns;
    int64_t idle_since_ns;
    int64_t idle_ns;
    bool is_stopped;
    bool is_hooked;
};

static struct inline_caller *of_base(const struct mf_caller *caller)
{
    return mf_container_of(caller, struct inline_caller, base);
}

static struct mf_inline_unit *first_unit(const struct inline_caller *caller)
{
    return mf_list_is_empty(&caller->units)
               ? NULL
               : mf_container_of(caller->units.next, struct mf_inline_unit, node);
}

static struct mf_inline_unit *find_unit(const struct inline_caller *caller, uint64_t number,
                                        uint32_t attempt)
{
    mf_list_for_each (node, &caller->units) {
        struct mf_inline_unit *unit = mf_container_of(node, struct mf_inline_unit, node);

        if (unit->number == number && unit->attempt == attempt)
            return unit;
    }
    return NULL;
}

/* --- telling --- */

static void tell(struct inline_caller *caller, struct mf_caller_event *event,
                 const struct mf_inline_unit *unit)
{
    if (caller->is_stopped)
        return;
    event->unit = unit->number;
    event->attempt = unit->attempt;
    caller->config.heard(caller->config.arg, event);
}

/* Adds the time since the last look to what was gathered; returns now. */
static int64_t look_at_clock(struct inline_caller *caller)
{
    int64_t now_ns = mf_clock_monotonic_ns();

    caller->duration_ns += now_ns - caller->mark_ns;
    caller->mark_ns = now_ns;
    return now_ns;
}

static void tell_broken(struct inline_caller *caller, const struct mf_inline_unit *unit)
{
    struct mf_error error = {0};
    struct mf_caller_event event = {.kind = MF_CALLER_BROKEN, .error = &error};

    mf_error_set(&error, 0, "out of memory");
    tell(caller, &event, unit);
    caller->is_stopped = caller->is_disturbed = true;
}

static void tell_entries(struct inline_caller *caller, struct mf_inline_unit *unit, bool is_last)
{
    struct mf_caller_event event = {
        .kind = MF_CALLER_ENTRIES,
        .n_calls = unit->next - unit->n_told,
        .is_last = is_last,
        .entries = caller->entries.bytes.data,
        .size = caller->entries.bytes.size,
        .duration_ns = caller->duration_ns,
        .idle_ns = caller->idle_ns,
    };

    if (event.n_calls == 0)
        return;
    mf_entries_close(&caller->entries);
    if (mf_buffer_status(&caller->entries.bytes) < 0)
        tell_broken(caller, unit);
    tell(caller, &event, unit);
    unit->n_told = unit->next;
    caller->duration_ns = 0;
    caller->idle_ns = 0;
    mf_entries_clear(&caller->entries, KEPT_BYTES);
}

/* Tells of the calls before the one that has just ended. Telling is not counted as run time. */
static void flush(struct inline_caller *caller, struct mf_inline_unit *unit)
{
    look_at_clock(caller);
    tell_entries(caller, unit, false);
    caller->mark_ns = mf_clock_monotonic_ns();
}

static void tell_returned(struct inline_caller *caller, struct mf_inline_unit *unit)
{
    struct mf_caller_event event = {.kind = MF_CALLER_RETURNED};

    tell(caller, &event, unit);
    mf_inline_unit_end(unit);
}

static void tell_large(struct inline_caller *caller, const struct mf_inline_unit *unit)
{
    struct mf_caller_event event = {.kind = MF_CALLER_LARGE, .task = caller->context.call->task};

    /* Nobody would free it. */
    if (caller->is_stopped)
        return;
    look_at_clock(caller);
    event.data = mf_context_take_result(&caller->context, &event.size);
    tell(caller, &event, unit);
    caller->mark_ns = mf_clock_monotonic_ns();
}

/* --- what a running function asks --- */

static bool should_stop(void *arg, struct mpifarm_context *context)
{
    struct inline_caller *caller = arg;
    int64_t now_ns = mf_clock_monotonic_ns();

    if (caller->poll && now_ns - caller->polled_ns >= POLL_NS) {
        caller->polled_ns = now_ns;
        caller->is_disturbed = true;
        /* This may take long: what is known is told. */
        tell_entries(caller, caller->running, false);
        caller->poll(caller->poll_arg);
    }
    return caller->is_stopped ||
           mf_inline_unit_is_cancelled(caller->running, caller->running->next);
}

static int checkpoint(void *arg, struct mpifarm_context *context, const void *data, size_t size)
{
    struct inline_caller *caller = arg;
    struct mf_caller_event event = {.kind = MF_CALLER_CHECKPOINT,
                                    .index = caller->running->next,
                                    .task = context->call->task,
                                    .size = size};

    caller->is_disturbed = true;
    tell_entries(caller, caller->running, false);
    if (caller->is_stopped)
        return 0;
    event.data = mf_large_alloc(size);
    if (!event.data)
        return -ENOMEM;
    mf_copy(event.data, data, size);
    tell(caller, &event, caller->running);
    return 0;
}

static const void *find_block(void *arg, mpifarm_block block, size_t *ret_size)
{
    return mf_blocks_find(&((struct inline_caller *)arg)->blocks, block, ret_size);
}

static const struct mf_context_ops context_ops = {
    .should_stop = should_stop,
    .checkpoint = checkpoint,
    .block = find_block,
};

/* --- running --- */

static void make_call(struct inline_caller *caller, struct mf_inline_unit *unit,
                      struct mf_call *call, struct mf_call_end *ret_end)
{
    if (call->is_large)
        call->input = unit->larges[unit->next_large];
    if (mf_inline_unit_is_cancelled(unit, unit->next)) {
        mf_context_withhold(&caller->context, call, MPIFARM_CAUSE_FUNCTION, ECANCELED, ret_end);
    } else if (call->is_large && !call->input) {
        mf_context_withhold(&caller->context, call, MPIFARM_CAUSE_MEMORY, 0, ret_end);
    } else {
        caller->running = unit;
        mf_context_run(&caller->context, call, ret_end);
        caller->running = NULL;
        if (caller->blocks.n_retired > 0)
            mf_blocks_sweep(&caller->blocks);
    }
}

/* The call that is `next` has ended. */
static void gather(struct inline_caller *caller, struct mf_inline_unit *unit,
                   const struct mf_call_end *end)
{
    bool is_large = mf_context_is_large(&caller->context, end);
    size_t n = caller->entries.bytes.size;

    if (n > 0 &&
        (is_large || n + mf_context_entries_bytes(&caller->context, end) > MF_ENTRIES_BYTES))
        flush(caller, unit);
    mf_entries_add(&caller->entries, &caller->context, end);
    if (is_large)
        tell_large(caller, unit);
    unit->next++;
}

/* Whether the unit has a call that is to be begun. */
static bool has_next(const struct inline_caller *caller, const struct mf_inline_unit *unit)
{
    return unit->next < unit->n_calls && !unit->is_recalled && !caller->is_stopped;
}

static void run_call(struct inline_caller *caller, struct mf_inline_unit *unit)
{
    struct mf_call *call = &unit->call;
    struct mf_call_end end;

    mf_call_next(&unit->rest, call);
    make_call(caller, unit, call, &end);
    gather(caller, unit, &end);
    if (call->is_large)
        mf_inline_unit_drop_input(unit);
}

/*
 * Up to n calls of the stretch that was begun. Most functions that take
 * nanoseconds but write a result, of the same size in each call: as long as they
 * do, nothing is done here that need not be done for each of them.
 */
static void run_row(struct inline_caller *caller, struct mf_inline_unit *unit, uint32_t n)
{
    struct mpifarm_context *context = &caller->context;
    const struct mf_function *function = &context->functions->items[unit->call.function];
    bool is_plain = true;

    caller->running = unit;
    caller->is_disturbed = false;
    for (; n > 0 && is_plain && !caller->is_disturbed; n--) {
        int code;

        mf_call_advance(&unit->call, 1);
        code = mf_context_run_in_row(context, function);
        is_plain = code == 0 && !context->is_marked;
        if (is_plain && mf_entries_join(&caller->entries, &context->result, MF_ENTRIES_BYTES)) {
            unit->next++;
        } else {
            struct mf_call_end end = mf_context_settle(context, code);

            gather(caller, unit, &end);
        }
    }
    caller->running = NULL;
    if (caller->blocks.n_retired > 0)
        mf_blocks_sweep(&caller->blocks);
}

static void run_calls(struct inline_caller *caller, struct mf_inline_unit *unit, uint32_t n)
{
    uint32_t end = unit->next + n;

    while (unit->next < end && has_next(caller, unit)) {
        uint32_t n_more = unit->call.details.n_more;

        n = end - unit->next;
        if (mf_inline_unit_is_wanted(unit) && mf_context_begin_row(&caller->context, &unit->call))
            run_row(caller, unit, n < n_more ? n : n_more);
        else
            run_call(caller, unit);
    }
}

/* How many calls to make until the next look at the clock, after n that took spent_ns. */
static uint32_t plan_calls(struct inline_caller *caller, uint32_t n, int64_t spent_ns)
{
    uint32_t n_planned;

    caller->n_quick = spent_ns < LOOK_NS ? caller->n_quick + n : 0;
    if (caller->n_quick > QUICK_PER_UNSEEN * MOST_PER_LOOK)
        caller->n_quick = QUICK_PER_UNSEEN * MOST_PER_LOOK;
    n_planned = caller->n_quick / QUICK_PER_UNSEEN;
    if (n_planned < FEWEST_PER_LOOK)
        n_planned = FEWEST_PER_LOOK;
    while (n_planned > 1 && n_planned * spent_ns > n * LOOK_NS)
        n_planned /= 2;
    return n_planned;
}

/* The clock is read after each call, and less often while calls are quick. */
static void run_slice(struct inline_caller *caller, struct mf_inline_unit *unit)
{
    int64_t begun_ns = caller->mark_ns, looked_ns = begun_ns;
    uint32_t n = 1;

    while (has_next(caller, unit) && looked_ns - begun_ns < SLICE_NS) {
        uint32_t first = unit->next;
        int64_t now_ns;

        run_calls(caller, unit, n);
        now_ns = look_at_clock(caller);
        n = plan_calls(caller, unit->next - first, now_ns - looked_ns);
        looked_ns = now_ns;
    }
}

static void note_idle(struct inline_caller *caller, int64_t now_ns)
{
    if (mf_list_is_empty(&caller->units) && caller->idle_since_ns == 0)
        caller->idle_since_ns = now_ns;
}

static void tell_slice(struct inline_caller *caller, struct mf_inline_unit *unit)
{
    bool is_last = unit->next == unit->n_calls;

    tell_entries(caller, unit, is_last);
    if (is_last)
        mf_inline_unit_end(unit);
    else if (unit->is_recalled)
        tell_returned(caller, unit);
}

static void drop_units(struct inline_caller *caller)
{
    while (!mf_list_is_empty(&caller->units))
        mf_inline_unit_end(first_unit(caller));
}

static int turn(struct mf_caller *base, int64_t now_ns)
{
    struct inline_caller *caller = of_base(base);
    struct mf_inline_unit *unit = first_unit(caller);

    if (!unit || caller->running)
        return 0;
    caller->mark_ns = mf_clock_monotonic_ns();
    if (caller->idle_since_ns > 0)
        caller->idle_ns = caller->mark_ns - caller->idle_since_ns;
    caller->idle_since_ns = 0;
    run_slice(caller, unit);
    tell_slice(caller, unit);
    if (caller->is_stopped)
        drop_units(caller);
    note_idle(caller, caller->mark_ns);
    return 1;
}

/* --- requests --- */

static int begin(struct mf_caller *base, const struct mf_functions *functions, uint32_t rank,
                 const struct mf_slot *slots, uint32_t n_slots)
{
    struct inline_caller *caller = of_base(base);

    if (functions->init && functions->init(functions->farm, functions->hook_user) != 0)
        return -ECANCELED;
    caller->functions = functions;
    caller->is_hooked = true;
    mf_context_init(&caller->context, functions, rank, &context_ops, caller);
    note_idle(caller, mf_clock_monotonic_ns());
    return 0;
}

static int start(struct mf_caller *base, const struct mf_caller_unit *given)
{
    struct inline_caller *caller = of_base(base);
    struct mf_inline_unit *unit;
    int r;

    if (caller->is_stopped)
        return -EPIPE;
    r = mf_inline_unit_create(given, &caller->config, &unit);
    if (r < 0)
        return r;
    mf_list_push_back(&caller->units, &unit->node);
    return 0;
}

static void recall(struct mf_caller *base, uint64_t number, uint32_t attempt)
{
    struct inline_caller *caller = of_base(base);
    struct mf_inline_unit *unit = find_unit(caller, number, attempt);

    if (!unit)
        return;
    if (unit == caller->running) {
        unit->is_recalled = true;
        return;
    }
    tell_returned(caller, unit);
    note_idle(caller, mf_clock_monotonic_ns());
}

static void cancel(struct mf_caller *base, uint64_t number, uint32_t attempt, uint32_t index)
{
    struct mf_inline_unit *unit = find_unit(of_base(base), number, attempt);

    if (unit)
        mf_inline_unit_cancel(unit, index);
}

static int attach(struct mf_caller *base, mpifarm_block block, const struct mf_block_place *place,
                  size_t size)
{
    return mf_blocks_attach(&of_base(base)->blocks, block, place, size);
}

static void drop(struct mf_caller *base, mpifarm_block block)
{
    struct inline_caller *caller = of_base(base);

    /* A function that polls may be reading it. */
    if (caller->running)
        mf_blocks_retire(&caller->blocks, block);
    else
        mf_blocks_drop(&caller->blocks, block);
}

/* What runs here cannot be ended by force. */
static void keep_time(struct mf_caller *base, int64_t now_ns)
{
}

static bool is_busy(const struct mf_caller *base)
{
    return !mf_list_is_empty(&of_base(base)->units);
}

static int64_t next_ns(const struct mf_caller *base)
{
    return INT64_MAX;
}

static void stop(struct mf_caller *base)
{
    struct inline_caller *caller = of_base(base);

    caller->is_stopped = true;
    if (caller->running)
        return;
    drop_units(caller);
    if (caller->is_hooked && caller->functions->finish)
        caller->functions->finish(caller->functions->farm, caller->functions->hook_user);
    caller->is_hooked = false;
}

static void destroy(struct mf_caller *base)
{
    struct inline_caller *caller = of_base(base);

    assert(!caller->running);
    stop(base);
    mf_blocks_finish(&caller->blocks);
    mf_context_finish(&caller->context);
    mf_buffer_finish(&caller->entries.bytes);
    free(caller);
}

/* A function here has the rank's only thread. */
static int yield(struct mf_caller *base, uint64_t unit, uint32_t attempt)
{
    return -ENOTSUP;
}

static pid_t process(struct mf_caller *base, uint32_t slot)
{
    return 0;
}

static void kill_process(struct mf_caller *base, uint32_t slot)
{
}

static const struct mf_caller_ops ops = {
    .begin = begin,
    .start = start,
    .recall = recall,
    .cancel = cancel,
    .attach = attach,
    .drop = drop,
    .yield = yield,
    .turn = turn,
    .keep_time = keep_time,
    .is_busy = is_busy,
    .next_ns = next_ns,
    .process = process,
    .kill = kill_process,
    .stop = stop,
    .destroy = destroy,
};

int mf_inline_caller_create(const struct mf_caller_config *config, void (*poll)(void *arg),
                            void *poll_arg, struct mf_caller **ret_caller)
{
    struct inline_caller *caller = calloc(1, sizeof(*caller));

    if (!caller)
        return -ENOMEM;
    caller->base.ops = &ops;
    caller->config = *config;
    caller->poll = poll;
    caller->poll_arg = poll_arg;
    mf_list_init(&caller->units);
    *ret_caller = &caller->base;
    return 0;
}
