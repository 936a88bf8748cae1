/*
 * An executor process: see executor_process.h, and host.h for what it shares
 * with the rank.
 *
 * It reads records in order, and makes the calls of a portion one after the
 * other. The entries of a call are published as soon as it has ended, so that
 * when the process dies all that was complete is known to the rank, and
 * n_begun tells whether it died in the call after these. Clock, bell and
 * sleep cost more than a short call, so they are seen to now and then.
 *
 * A call that was asked to yield waits in its checkpoint until it may go on.
 *
 * One thread. It ends by _exit(), since what the program wants done at its
 * exit is for the rank to do.
 */
#include "exec/executor_process.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/large.h"
#include "exec/blocks.h"
#include "exec/host.h"
#include "exec/memory.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The clock is read after so many calls at most, and after each if they take longer than this. */
#define MAX_STRIDE 64
#define IS_QUICK_NS (10 * MF_NS_PER_US)

/* A rank that waits is not woken more often while there is work. */
#define BELL_NS (100 * MF_NS_PER_US)

/* A buffer that grew beyond this is freed when it was used. */
#define KEPT_BYTES ((size_t)1 << 20)

/**
 * @bytes       of the record being read
 * @entries     of the call that has just ended
 * @input       last large input, of the call input_task; NULL for none
 * @portion     being run, its number, and which of its calls
 * @is_in_row   the call is like the one before it, and has but a result if it was made; the context
 *              is ready for that
 * @n_begun     calls in all
 * @looked_ns   last look at the clock
 * @stride      calls between two looks, until_look of them are left
 * @rang_ns     when the bell was rung last
 */
struct executor_process {
    const struct mf_executor_process_config *config;
    const struct mf_functions *functions;
    struct mf_host host;
    struct mpifarm_context context;
    struct mf_blocks blocks;
    struct mf_buffer bytes;
    struct mf_buffer entries;
    uint8_t *input;
    uint64_t input_task;
    struct mf_host_portion *portion;
    uint64_t portion_number;
    uint32_t index;
    bool is_in_row;
    uint64_t n_begun;
    int64_t looked_ns;
    uint32_t stride, until_look;
    int64_t rang_ns;
};

_Noreturn static void give_up(void)
{
    _exit(MF_EXECUTOR_PROCESS_E_SETUP);
}

static void send_entry(struct executor_process *process, uint8_t kind, const void *data, size_t n)
{
    struct mf_entry_header header = {.kind = kind, .size = (uint32_t)n};

    mf_host_send(&process->host, &header, sizeof(header));
    mf_host_send(&process->host, data, n);
}

/* Bytes that the rank takes in without another copy. */
static void send_large(struct executor_process *process, uint8_t kind, const void *data,
                       uint64_t size)
{
    send_entry(process, kind, &size, sizeof(size));
    mf_host_send(&process->host, data, size);
}

/* --- what a function asks --- */

static bool is_unwanted(const struct executor_process *process)
{
    uint64_t unwanted = atomic_load_explicit(&process->portion->unwanted, memory_order_relaxed);

    return unwanted >> process->index & 1;
}

static bool should_stop(void *arg, struct mpifarm_context *context)
{
    const struct executor_process *process = arg;

    return is_unwanted(process) || mf_host_should_finish(&process->host);
}

/* Adds the time since the last look to the portion. Returns that time. */
static int64_t count_time(struct executor_process *process)
{
    int64_t now_ns = mf_clock_monotonic_ns();
    int64_t spent_ns = now_ns - process->looked_ns;
    _Atomic int64_t *sum = &process->portion->duration_ns;

    atomic_store_explicit(sum, atomic_load_explicit(sum, memory_order_relaxed) + spent_ns,
                          memory_order_relaxed);
    process->looked_ns = now_ns;
    return spent_ns;
}

/* Waits to be let go on. The time until then is none that the call runs. */
static void yield(struct executor_process *process)
{
    int64_t *started_ns = &process->context.started_ns;

    count_time(process);
    send_entry(process, MF_HOST_ENTRY_YIELDED, NULL, 0);
    mf_ring_publish(&process->host.back);
    mf_host_ring_bell(&process->host);
    mf_host_wait_yielded(&process->host, process->portion_number);
    if (*started_ns != 0)
        *started_ns += mf_clock_monotonic_ns() - process->looked_ns;
    process->looked_ns = mf_clock_monotonic_ns();
}

static int checkpoint(void *arg, struct mpifarm_context *context, const void *data, size_t size)
{
    struct executor_process *process = arg;

    if (size > MF_CALL_LARGE_BYTES)
        send_large(process, MF_HOST_ENTRY_LARGE_CHECKPOINT, data, size);
    else
        send_entry(process, MF_HOST_ENTRY_CHECKPOINT, data, size);
    mf_ring_publish(&process->host.back);
    mf_host_ring_bell(&process->host);
    if (mf_host_yields(process->portion))
        yield(process);
    return 0;
}

static const void *find_block(void *arg, mpifarm_block block, size_t *ret_size)
{
    return mf_blocks_find(&((struct executor_process *)arg)->blocks, block, ret_size);
}

static const struct mf_context_ops context_ops = {
    .should_stop = should_stop,
    .checkpoint = checkpoint,
    .block = find_block,
};

/* --- calls --- */

/* Counts the time, and decides when to look again. */
static void look_at_clock(struct executor_process *process)
{
    int64_t spent_ns = count_time(process);

    if (spent_ns > IS_QUICK_NS)
        process->stride = 1;
    else if (process->stride < MAX_STRIDE)
        process->stride *= 2;
    process->until_look = process->stride;
}

/* Of calls that are alike and take nanoseconds, only what differs is to be done for each. */
static void run_in_row(struct executor_process *process, struct mf_call_end *ret_end)
{
    struct mpifarm_context *context = &process->context;
    int code = mf_context_run_in_row(context, &context->functions->items[context->call->function]);

    process->is_in_row =
        code == 0 && !context->is_marked && context->result.size <= MF_CALL_LARGE_BYTES;
    if (process->is_in_row)
        *ret_end = (struct mf_call_end){.cause = MPIFARM_CAUSE_NONE};
    else
        *ret_end = mf_context_settle(context, code);
}

/* Large inputs come ahead of their call; one that there was no memory for did not. */
static void make_call(struct executor_process *process, struct mf_call *call,
                      struct mf_call_end *ret_end)
{
    struct mpifarm_context *context = &process->context;
    bool has_input = !call->is_large || (process->input && process->input_task == call->task);
    bool is_withheld = is_unwanted(process);

    if (call->is_large && has_input)
        call->input = process->input;
    process->is_in_row &= !is_withheld;
    if (is_withheld)
        mf_context_withhold(context, call, MPIFARM_CAUSE_FUNCTION, ECANCELED, ret_end);
    else if (process->is_in_row)
        run_in_row(process, ret_end);
    else if (!has_input)
        mf_context_withhold(context, call, MPIFARM_CAUSE_MEMORY, 0, ret_end);
    else
        mf_context_run(context, call, ret_end);
}

static void send_entries(struct executor_process *process, const struct mf_call *call,
                         struct mf_call_end end)
{
    const struct mf_buffer *result = &process->context.result;
    struct mf_buffer *entries = &process->entries;

    /* Most are no more than that. */
    if (process->is_in_row) {
        send_entry(process, MF_ENTRY_RESULT, result->data, result->size);
        return;
    }
    mf_context_put_entries(&process->context, &end, entries);
    if (mf_buffer_status(entries) < 0) {
        mf_buffer_finish(entries);
        mf_context_withhold(&process->context, call, MPIFARM_CAUSE_MEMORY, 0, &end);
        mf_context_put_entries(&process->context, &end, entries);
    }
    if (mf_context_is_large(&process->context, &end))
        send_large(process, MF_HOST_ENTRY_LARGE, result->data, result->size);
    mf_host_send(&process->host, entries->data, entries->size);
    if (entries->capacity > KEPT_BYTES)
        mf_buffer_finish(entries);
    mf_buffer_clear(entries);
}

static void publish(struct executor_process *process)
{
    mf_ring_publish(&process->host.back);
    if (process->looked_ns - process->rang_ns < BELL_NS)
        return;
    process->rang_ns = process->looked_ns;
    mf_host_ring_bell(&process->host);
}

static void drop_input(struct executor_process *process)
{
    free(process->input);
    process->input = NULL;
}

static void run_call(struct executor_process *process, struct mf_call *call, bool is_last)
{
    struct mf_host_memory *memory = process->host.memory;
    struct mf_call_end end;

    atomic_store_explicit(&memory->n_begun, ++process->n_begun, memory_order_release);
    make_call(process, call, &end);
    atomic_store_explicit(&memory->n_returned, process->n_begun, memory_order_release);
    if (--process->until_look == 0 || is_last)
        look_at_clock(process);
    send_entries(process, call, end);
    publish(process);
    mf_host_wait_spared(&process->host, process->n_begun);
    if (call->is_large)
        drop_input(process);
}

/* Returns false when the calls of the portion are damaged. */
static bool take_next(struct executor_process *process, struct mf_reader *reader,
                      struct mf_call *call)
{
    /* It is made ready as long as the call is the one before. */
    process->is_in_row = call->details.n_more > 0 &&
                         (process->is_in_row || mf_context_begin_row(&process->context, call));
    return mf_call_next(reader, call);
}

static void run_portion(struct executor_process *process, const struct mf_host_record *record)
{
    struct mf_reader reader = mf_reader_over(process->bytes.data, process->bytes.size);
    struct mf_host_portion *portion = mf_host_portion(&process->host, record->number);
    int64_t now_ns = mf_clock_monotonic_ns();
    struct mf_call call = {0};

    process->portion = portion;
    process->portion_number = record->number;
    process->index = 0;
    if (mf_host_take(&process->host, record->number)) {
        atomic_store_explicit(&portion->idle_ns, now_ns - process->looked_ns, memory_order_relaxed);
        process->looked_ns = now_ns;
        for (; process->index < record->n_calls; process->index++) {
            if (!mf_host_may_begin(&process->host) ||
                atomic_load_explicit(&portion->should_stop, memory_order_relaxed))
                break;
            if (!take_next(process, &reader, &call))
                give_up();
            run_call(process, &call, process->index + 1 == record->n_calls);
        }
    }
    /* From one that leaves the rest is taken away. */
    if (process->index < record->n_calls && !mf_host_should_leave(&process->host)) {
        send_entry(process, MF_HOST_ENTRY_STOPPED, NULL, 0);
        mf_ring_publish(&process->host.back);
    }
}

/* --- records --- */

static bool receive_input(struct executor_process *process, const struct mf_host_record *record)
{
    drop_input(process);
    process->input = mf_large_alloc(record->size);
    process->input_task = record->number;
    return mf_host_receive(&process->host, process->input, record->size);
}

/* A block that is not there is told to the functions that ask for it. */
static void attach_block(struct executor_process *process, const struct mf_host_record *record)
{
    struct mf_reader reader = mf_reader_over(process->bytes.data, process->bytes.size);
    uint64_t size = mf_reader_get_u64(&reader);
    const uint8_t *raw = mf_reader_get_raw(&reader, sizeof(struct mf_block_place));
    mpifarm_block block = (mpifarm_block)record->number;
    struct mf_block_place place;

    if (!raw)
        return;
    memcpy(&place, raw, sizeof(place));
    (void)mf_blocks_attach(&process->blocks, block, &place, size);
}

/* Handles one record. Returns false when it is time to finish. */
static bool turn(struct executor_process *process)
{
    struct mf_host_record record;

    if (!mf_host_receive(&process->host, &record, sizeof(record)))
        return false;
    if (record.kind == MF_HOST_INPUT)
        return receive_input(process, &record);
    mf_buffer_clear(&process->bytes);
    if (mf_buffer_reserve(&process->bytes, record.size) < 0)
        give_up();
    if (!mf_host_receive(&process->host, process->bytes.data, record.size))
        return false;
    process->bytes.size = record.size;
    if (record.kind == MF_HOST_PORTION)
        run_portion(process, &record);
    else if (record.kind == MF_HOST_ATTACH)
        attach_block(process, &record);
    else if (record.kind == MF_HOST_DROP)
        mf_blocks_drop(&process->blocks, (mpifarm_block)record.number);
    else
        abort();
    if (process->bytes.capacity > KEPT_BYTES)
        mf_buffer_finish(&process->bytes);
    return true;
}

static void enter(struct executor_process *process, enum mf_host_stage stage)
{
    atomic_store_explicit(&process->host.memory->stage, stage, memory_order_release);
    mf_host_ring_bell(&process->host);
}

/* What modules, the program and the init hook have here is not charged to functions. */
static void note_base(const struct executor_process *process)
{
    uint64_t base_bytes = 0;

    (void)mf_memory_own_of("/proc", getpid(), &base_bytes);
    atomic_store_explicit(&process->host.memory->base_bytes, base_bytes, memory_order_relaxed);
}

_Noreturn void mf_executor_process_main(const struct mf_executor_process_config *config)
{
    const struct mf_functions *functions = config->functions;
    struct executor_process process = {
        .config = config, .functions = functions, .stride = 1, .until_look = 1};
    int memory_fd = config->memory_fd;

    if (mf_host_open(&process.host, memory_fd, config->bell_fd) < 0)
        give_up();
    mf_close(&memory_fd);
    mf_context_init(&process.context, functions, config->rank, &context_ops, &process);
    enter(&process, MF_HOST_IN_HOOK);
    if (functions->init && functions->init(functions->farm, functions->hook_user) != 0) {
        enter(&process, MF_HOST_REFUSED);
        fflush(NULL);
        _exit(EXIT_FAILURE);
    }
    note_base(&process);
    enter(&process, MF_HOST_READY);
    process.looked_ns = mf_clock_monotonic_ns();
    while (turn(&process))
        ;
    enter(&process, MF_HOST_FINISHING);
    if (functions->finish)
        functions->finish(functions->farm, functions->hook_user);
    fflush(NULL);
    _exit(EXIT_SUCCESS);
}
