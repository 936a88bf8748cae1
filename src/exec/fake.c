/*
 * The scripted executor: a heap of what happens when. Owned by its creator and
 * used in one thread.
 */
#include "exec/fake.h"

#include "base/clock.h"
#include "base/heap.h"
#include "base/io.h"
#include "base/list.h"
#include "base/table.h"
#include "exec/output.h"
#include "exec/protocol.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

/* Longer output goes to a file, as with real commands. */
#define SPILL_DIR "/tmp"

/**
 * @is_running   it has its slots
 * @is_returned  it ends as UNSTAGED
 * @slot         index of its first slot, MF_SLOT_NONE before it has one
 * @due_ns       when it ends
 * @order        breaks ties: what was due first happens first
 * @heap_index   place among what is due; MF_HEAP_NONE while staged
 * @node         in the list of staged ones
 */
struct fake_attempt {
    struct mf_attempt_key key;
    bool is_running;
    bool is_returned;
    uint32_t n_slots;
    uint32_t slot;
    int64_t timeout_ns;
    int64_t duration_ns;
    int64_t started_ns;
    int64_t due_ns;
    uint64_t order;
    mf_heap_index heap_index;
    struct mf_list node;
    struct mf_outcome outcome;
    struct mf_output *output;
};

/**
 * @timer_fd   -1 under a virtual clock
 * @now_ns     the virtual clock, or the time of the event being told
 * @attempts   all, by mf_attempt_key
 * @numbers    of the n_slots slots
 */
struct fake_executor {
    struct mf_executor base;
    struct mf_loop *loop;
    int timer_fd;
    struct mf_watch *watch;
    mf_executor_fn fn;
    void *arg;
    mf_fake_script_fn script;
    void *script_arg;
    int64_t now_ns;
    uint64_t next_order;
    struct mf_table *attempts;
    struct mf_heap due;
    struct mf_list staged;
    uint32_t *numbers;
    uint32_t n_slots;
    bool is_broken;
};

static struct fake_executor *of_base(const struct mf_executor *executor)
{
    return mf_container_of(executor, struct fake_executor, base);
}

static bool is_due_before(const void *a, const void *b)
{
    const struct fake_attempt *left = a, *right = b;

    if (left->due_ns != right->due_ns)
        return left->due_ns < right->due_ns;
    return left->order < right->order;
}

static struct fake_attempt *find_attempt(const struct fake_executor *fake, mf_task_id task,
                                         uint32_t attempt)
{
    struct mf_attempt_key key = {task, attempt};
    struct fake_attempt **place = mf_table_find(fake->attempts, &key);

    return place ? *place : NULL;
}

static void free_attempt(struct fake_attempt *attempt)
{
    mf_list_remove(&attempt->node);
    mf_output_close(attempt->output);
    free(attempt);
}

/* Time of a request: the clock's, unless an event is being told. */
static void refresh(struct fake_executor *fake)
{
    int64_t now_ns;

    if (fake->timer_fd < 0)
        return;
    now_ns = mf_clock_monotonic_ns();
    if (now_ns > fake->now_ns)
        fake->now_ns = now_ns;
}

/* Returns 0 or -ENOMEM, which only a first time can give. */
static int set_due(struct fake_executor *fake, struct fake_attempt *attempt, int64_t due_ns)
{
    attempt->due_ns = due_ns;
    attempt->order = fake->next_order++;
    if (attempt->heap_index == MF_HEAP_NONE)
        return mf_heap_push(&fake->due, attempt);
    mf_heap_update(&fake->due, attempt);
    return 0;
}

static int begin(struct fake_executor *fake, struct fake_attempt *attempt, uint32_t slot)
{
    bool is_over_time = attempt->timeout_ns > 0 && attempt->duration_ns > attempt->timeout_ns;

    if (is_over_time)
        attempt->outcome.cause = MF_CAUSE_TIMEOUT;
    attempt->is_running = true;
    attempt->slot = slot;
    attempt->started_ns = fake->now_ns;
    attempt->outcome.slot = fake->numbers[slot];
    attempt->outcome.started_wall_ns = fake->timer_fd < 0 ? fake->now_ns : mf_clock_wall_ns();
    return set_due(fake, attempt,
                   fake->now_ns + (is_over_time ? attempt->timeout_ns : attempt->duration_ns));
}

/* --- events --- */

static void tell(struct fake_executor *fake, enum mf_executor_event_kind kind,
                 const struct fake_attempt *attempt, struct mf_output *output)
{
    struct mf_executor_event event = {
        .kind = kind,
        .task = attempt->key.task,
        .attempt = (uint32_t)attempt->key.attempt,
        .slot = attempt->slot,
        .outcome = kind == MF_EXECUTOR_ENDED ? &attempt->outcome : NULL,
        .output = output,
    };

    fake->fn(fake->arg, &event);
}

/* The slot goes to who is staged now, not to who is staged when the end is told. */
static struct fake_attempt *pop_successor(struct fake_executor *fake,
                                          const struct fake_attempt *attempt)
{
    struct mf_list *node;

    if (!attempt->is_running || attempt->n_slots != 1)
        return NULL;
    node = mf_list_pop_front(&fake->staged);
    return node ? mf_container_of(node, struct fake_attempt, node) : NULL;
}

static void happen(struct fake_executor *fake, struct fake_attempt *attempt)
{
    struct fake_attempt *successor = pop_successor(fake, attempt);
    struct mf_output *output = attempt->output;

    mf_table_remove(fake->attempts, &attempt->key);
    attempt->output = NULL;
    if (attempt->is_running)
        attempt->outcome.duration_ns = attempt->due_ns - attempt->started_ns;
    /* It takes the place in the heap that has just become free, so this cannot fail. */
    if (successor)
        (void)begin(fake, successor, attempt->slot);
    if (attempt->is_returned) {
        mf_output_close(output);
        tell(fake, MF_EXECUTOR_UNSTAGED, attempt, NULL);
    } else {
        tell(fake, MF_EXECUTOR_ENDED, attempt, output);
    }
    if (successor && !fake->is_broken)
        tell(fake, MF_EXECUTOR_STARTED, successor, NULL);
    free_attempt(attempt);
}

void mf_fake_executor_advance(struct mf_executor *executor, int64_t now_ns)
{
    struct fake_executor *fake = of_base(executor);
    struct fake_attempt *attempt;

    while ((attempt = mf_heap_top(&fake->due)) && attempt->due_ns <= now_ns) {
        mf_heap_pop(&fake->due);
        if (attempt->due_ns > fake->now_ns)
            fake->now_ns = attempt->due_ns;
        happen(fake, attempt);
    }
    if (now_ns > fake->now_ns)
        fake->now_ns = now_ns;
}

int64_t mf_fake_executor_next_ns(const struct mf_executor *executor)
{
    const struct fake_attempt *attempt = mf_heap_top(&of_base(executor)->due);

    return attempt ? attempt->due_ns : INT64_MAX;
}

static void drop_all(struct fake_executor *fake)
{
    size_t cursor = 0;
    void *place;

    while (fake->attempts && mf_table_next(fake->attempts, &cursor, NULL, &place))
        free_attempt(*(struct fake_attempt **)place);
    mf_table_destroy(fake->attempts);
    fake->attempts = NULL;
    mf_heap_finish(&fake->due);
    mf_heap_init(&fake->due, is_due_before, offsetof(struct fake_attempt, heap_index));
}

void mf_fake_executor_break(struct mf_executor *executor, const char *text)
{
    struct fake_executor *fake = of_base(executor);
    struct mf_executor_event event = {.kind = MF_EXECUTOR_BROKEN, .slot = MF_SLOT_NONE};
    struct mf_error error;

    if (fake->is_broken)
        return;
    fake->is_broken = true;
    drop_all(fake);
    (void)mf_error_set(&error, 0, "%s", text);
    event.error = &error;
    fake->fn(fake->arg, &event);
}

/* --- real time --- */

static int arm(struct fake_executor *fake)
{
    if (fake->timer_fd < 0)
        return 0;
    return mf_clock_set_timer(fake->timer_fd, mf_fake_executor_next_ns(&fake->base));
}

static void on_timer(void *arg, uint32_t events)
{
    struct fake_executor *fake = arg;
    uint64_t n_expirations;

    if (read(fake->timer_fd, &n_expirations, sizeof(n_expirations)) < 0)
        return;
    mf_fake_executor_advance(&fake->base, mf_clock_monotonic_ns());
    (void)arm(fake);
}

/* --- requests --- */

static int configure(struct mf_executor *executor, const struct mf_slot *slots, uint32_t n_slots,
                     uint32_t rank, const char *run_dir)
{
    struct fake_executor *fake = of_base(executor);

    if (fake->numbers || n_slots == 0)
        return -EINVAL;
    fake->numbers = calloc(n_slots, sizeof(*fake->numbers));
    if (!fake->numbers)
        return -ENOMEM;
    fake->n_slots = n_slots;
    for (uint32_t i = 0; i < n_slots; i++)
        fake->numbers[i] = slots[i].number;
    return 0;
}

/* What the script lets the attempt write. */
static int make_output(struct fake_attempt *attempt, const struct mf_fake_run *run)
{
    int result = 0;

    if (run->n_bytes[MF_STDOUT] + run->n_bytes[MF_STDERR] == 0)
        return 0;
    attempt->output = mf_output_create();
    if (!attempt->output)
        return -ENOMEM;
    for (int i = 0; i < MF_N_STREAMS && result == 0; i++) {
        struct mf_capture *capture = &attempt->output->streams[i];

        mf_capture_init(capture, UINT64_MAX);
        if (run->n_bytes[i] > 0)
            result = mf_capture_write(capture, run->bytes[i], run->n_bytes[i], SPILL_DIR);
        attempt->outcome.produced_bytes[i] = run->n_bytes[i];
    }
    return result;
}

/* Returns 0 and the attempt as the script has it, or -errno. */
static int make_attempt(struct fake_executor *fake, const struct mf_start *start,
                        struct fake_attempt **ret_attempt)
{
    struct fake_attempt *attempt = calloc(1, sizeof(*attempt));
    struct mf_fake_run run = {0};
    int result;

    if (!attempt)
        return -ENOMEM;
    if (fake->script)
        fake->script(fake->script_arg, start, &run);
    attempt->key = (struct mf_attempt_key){start->task, start->attempt};
    attempt->n_slots = start->n_slots ? start->n_slots : 1;
    attempt->slot = MF_SLOT_NONE;
    attempt->timeout_ns = start->timeout_ns;
    attempt->duration_ns = run.duration_ns;
    attempt->outcome = run.outcome;
    attempt->heap_index = MF_HEAP_NONE;
    mf_list_init(&attempt->node);
    result = make_output(attempt, &run);
    if (result < 0)
        free_attempt(attempt);
    else
        *ret_attempt = attempt;
    return result;
}

static int check_start(const struct fake_executor *fake, const struct mf_start *start)
{
    if (fake->is_broken)
        return -EPIPE;
    if (fake->n_slots == 0)
        return -EINVAL;
    for (uint32_t i = 0; i < start->n_slots; i++)
        if (start->slots[i] >= fake->n_slots)
            return -EINVAL;
    return find_attempt(fake, start->task, start->attempt) ? -EEXIST : 0;
}

static int start(struct mf_executor *executor, const struct mf_start *start)
{
    struct fake_executor *fake = of_base(executor);
    struct fake_attempt *attempt;
    void *place;
    int result = check_start(fake, start);

    if (result < 0)
        return result;
    refresh(fake);
    result = make_attempt(fake, start, &attempt);
    if (result < 0)
        return result;
    if (start->n_slots == 0)
        mf_list_push_back(&fake->staged, &attempt->node);
    else
        result = begin(fake, attempt, start->slots[0]);
    if (result == 0)
        result = mf_table_insert(fake->attempts, &attempt->key, &place);
    if (result < 0) {
        if (attempt->heap_index != MF_HEAP_NONE)
            mf_heap_remove(&fake->due, attempt);
        free_attempt(attempt);
        return result;
    }
    *(struct fake_attempt **)place = attempt;
    return 0;
}

/* A staged attempt gets no slot any more: what becomes of it is due now. */
static void withdraw(struct fake_executor *fake, struct fake_attempt *attempt)
{
    mf_list_remove(&attempt->node);
    if (set_due(fake, attempt, fake->now_ns) < 0)
        mf_fake_executor_break(&fake->base, "out of memory");
}

static void unstage(struct mf_executor *executor, mf_task_id task, uint32_t number)
{
    struct fake_executor *fake = of_base(executor);
    struct fake_attempt *attempt = fake->is_broken ? NULL : find_attempt(fake, task, number);

    if (!attempt || attempt->heap_index != MF_HEAP_NONE)
        return;
    refresh(fake);
    attempt->is_returned = true;
    withdraw(fake, attempt);
}

static void end(struct mf_executor *executor, mf_task_id task, uint32_t number, enum mf_cause cause)
{
    struct fake_executor *fake = of_base(executor);
    struct fake_attempt *attempt = fake->is_broken ? NULL : find_attempt(fake, task, number);

    if (!attempt || attempt->is_returned)
        return;
    refresh(fake);
    attempt->outcome.cause = cause;
    withdraw(fake, attempt);
}

static int flush(struct mf_executor *executor)
{
    struct fake_executor *fake = of_base(executor);

    return fake->is_broken ? -EPIPE : arm(fake);
}

static void destroy(struct mf_executor *executor)
{
    struct fake_executor *fake;

    if (!executor)
        return;
    fake = of_base(executor);
    drop_all(fake);
    mf_heap_finish(&fake->due);
    mf_loop_remove(fake->loop, fake->watch);
    mf_close(&fake->timer_fd);
    free(fake->numbers);
    free(fake);
}

static const struct mf_executor_ops ops = {
    .configure = configure,
    .start = start,
    .unstage = unstage,
    .end = end,
    .flush = flush,
    .destroy = destroy,
};

static int open_timer(struct fake_executor *fake)
{
    fake->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (fake->timer_fd < 0)
        return -errno;
    return mf_loop_add(fake->loop, fake->timer_fd, EPOLLIN, on_timer, fake, &fake->watch);
}

int mf_fake_executor_create(struct mf_loop *loop, mf_executor_fn fn, void *arg,
                            mf_fake_script_fn script, void *script_arg,
                            struct mf_executor **ret_executor)
{
    struct fake_executor *fake = calloc(1, sizeof(*fake));
    int result;

    if (!fake)
        return -ENOMEM;
    fake->base.ops = &ops;
    fake->base.can_stage = true;
    fake->loop = loop;
    fake->timer_fd = -1;
    fake->fn = fn;
    fake->arg = arg;
    fake->script = script;
    fake->script_arg = script_arg;
    mf_heap_init(&fake->due, is_due_before, offsetof(struct fake_attempt, heap_index));
    mf_list_init(&fake->staged);
    result = mf_table_create(sizeof(struct mf_attempt_key), sizeof(struct fake_attempt *),
                             &fake->attempts);
    if (result == 0 && loop)
        result = open_timer(fake);
    if (result < 0) {
        destroy(&fake->base);
        return result;
    }
    *ret_executor = &fake->base;
    return 0;
}
