/*
 * Calling task functions: the registry, what a function sees of its task, and
 * one call from its bytes to the bytes of its result.
 *
 * The same code runs in the rank and in executor processes. One thread.
 */
#ifndef MF_EXEC_CALLS_H
#define MF_EXEC_CALLS_H

#include "base/buffer.h"
#include "base/bundle.h"
#include "base/call.h"
#include "base/error.h"
#include "base/table.h"

#include <mpifarm/mpifarm.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** A registered function; the name is owned. `same_hash` is another one whose name has the same
 * hash, plus 1; 0 for none. */
struct mf_function {
    char *name;
    uint32_t same_hash;
    mpifarm_function call;
    void *user;
};

/**
 * The registered functions by number, and the hooks. Starts as {0}.
 *
 * @by_hash   hash of a name, 64 bits, to the last function with such a name; NULL for no function
 * @init, @finish, @hook_user   may be NULL
 * @farm      handed to the hooks
 */
struct mf_functions {
    struct mf_function *items;
    uint32_t n_items;
    uint32_t capacity;
    struct mf_table *by_hash;
    int (*init)(struct mpifarm *farm, void *user);
    void (*finish)(struct mpifarm *farm, void *user);
    void *hook_user;
    struct mpifarm *farm;
};

void mf_functions_finish(struct mf_functions *functions);

/** As mpifarm_register(), without looking at the farm. */
int mf_functions_add(struct mf_functions *functions, const char *name, mpifarm_function call,
                     void *user);

/** The function's number, or -ENOENT. O(1). */
int mf_functions_find(const struct mf_functions *functions, const char *name);

/** Appends all names: what ranks compare. */
void mf_functions_encode(const struct mf_functions *functions, struct mf_buffer *buffer);

/**
 * mf_functions_compare() - whether another rank registered the same.
 *
 * Returns 0; -EPROTO with a sentence that names the rank and the first function
 * that differs; or -EBADMSG.
 */
int mf_functions_compare(const struct mf_functions *functions, const void *data, size_t size,
                         uint32_t rank, struct mf_error *err);

/** Whether bytes lie as those of any type have to; NULL does. */
static inline bool mf_is_aligned(const uint8_t *data)
{
    return (uintptr_t)data % alignof(max_align_t) == 0;
}

/**
 * What a context asks of the place where it runs; arg is the context's.
 *
 * @should_stop  whether the call was cancelled; its time limit is looked at before
 * @checkpoint   takes bytes for the next attempt; returns 0 or -ENOMEM
 * @block        bytes of a block, NULL when it is not there
 */
struct mf_context_ops {
    bool (*should_stop)(void *arg, struct mpifarm_context *context);
    int (*checkpoint)(void *arg, struct mpifarm_context *context, const void *data, size_t size);
    const void *(*block)(void *arg, mpifarm_block block, size_t *ret_size);
};

/**
 * What a function sees of its task; kept from call to call, for its memory.
 *
 * @functions    what can be spawned
 * @ops, @arg    the place where it runs
 * @rank         that runs it
 * @call         the call being made (borrowed)
 * @input, @checkpoint   its bytes, aligned for any type; NULL for none. The input of a call that
 *               has results of others has input_size bytes of the call's
 * @results      those of the call: part 0 is its own input; no parts if it has none
 * @started_ns   when it began, 0 if it has no time limit
 * @aligned      copies of what was not aligned
 * @result       bytes written
 * @children     CHILD entries
 * @message      of mpifarm_fail(), NUL-terminated; "" for none
 * @is_out_of_memory   something could not be kept: the task fails
 * @is_marked    the function did more than to read, and to write a result
 */
struct mpifarm_context {
    const struct mf_functions *functions;
    const struct mf_context_ops *ops;
    void *arg;
    uint32_t rank;
    const struct mf_call *call;
    const uint8_t *input;
    size_t input_size;
    const uint8_t *checkpoint;
    struct mf_bundle results;
    int64_t started_ns;
    struct mf_buffer aligned;
    struct mf_buffer result;
    struct mf_buffer children;
    struct mf_buffer message;
    bool is_out_of_memory;
    bool is_marked;
};

void mf_context_init(struct mpifarm_context *context, const struct mf_functions *functions,
                     uint32_t rank, const struct mf_context_ops *ops, void *arg);
void mf_context_finish(struct mpifarm_context *context);

/** How a call ended; bytes are in the context (result, children or message). */
struct mf_call_end {
    uint8_t cause; /* an enum mpifarm_cause */
    int32_t code;
};

/**
 * mf_context_run() - make one call.
 *
 * @call  borrowed until its entries are put; its function is registered, and its input set, also of
 * a large one. Input and checkpoint are copied if they are not aligned for any type
 */
void mf_context_run(struct mpifarm_context *context, const struct mf_call *call,
                    struct mf_call_end *ret_end);

/** The outcome of a call that is not made, as if a function had ended so without a word. */
void mf_context_withhold(struct mpifarm_context *context, const struct mf_call *call,
                         enum mpifarm_cause cause, int code, struct mf_call_end *ret_end);

/**
 * mf_context_begin_row() - get ready for the calls of a stretch that come after one.
 *
 * @call  borrowed until the row is over; the last that was made. It is to be advanced before each
 *        mf_context_run_in_row()
 *
 * Returns whether they can be made in a row: there are any, none has a time limit or results of
 * others, and there is memory to align their inputs.
 */
bool mf_context_begin_row(struct mpifarm_context *context, const struct mf_call *call);

/**
 * mf_context_run_in_row() - make the next call of a row: mf_context_run() for calls that take
 * nanoseconds, which sets but what differs from the call before.
 *
 * @function  that of the row's calls
 *
 * Returns what the function returned. If that is not 0, or is_marked, mf_context_settle() says how
 * the call ended, and the row is over; else it is done, and has a result.
 */
static inline int mf_context_run_in_row(struct mpifarm_context *context,
                                        const struct mf_function *function)
{
    const struct mf_call *call = context->call;

    context->result.size = 0;
    context->input = call->input;
    if (!mf_is_aligned(call->input)) {
        mf_copy(context->aligned.data, call->input, call->size);
        context->input = context->aligned.data;
    }
    return function->call(context, function->user);
}

/** How the call has ended whose function returned `code`. */
struct mf_call_end mf_context_settle(struct mpifarm_context *context, int code);

/** Whether the call being made has a time limit that has passed. Reads the clock if it has one. */
bool mf_context_is_over_time(const struct mpifarm_context *context);

/** The bytes of a child that a call may spawn, and of all its children together. */
#define MF_CHILDREN_MAX_BYTES ((size_t)1 << 30)

/** The bytes of a checkpoint, at most. */
#define MF_CHECKPOINT_MAX_BYTES ((size_t)1 << 30)

/** Whether the result of the last call has to travel in pieces. */
static inline bool mf_context_is_large(const struct mpifarm_context *context,
                                       const struct mf_call_end *end)
{
    return end->cause == MPIFARM_CAUSE_NONE && context->result.size > MF_CALL_LARGE_BYTES;
}

/** Bytes that mf_context_put_entries() appends. */
static inline size_t mf_context_entries_bytes(const struct mpifarm_context *context,
                                              const struct mf_call_end *end)
{
    size_t n = end->cause == MPIFARM_CAUSE_NONE ? context->result.size : context->message.size;

    if (mf_context_is_large(context, end))
        n = sizeof(context->call->task);
    return context->children.size + sizeof(struct mf_entry_header) + n;
}

/**
 * mf_context_put_entries() - append what came of the last call: its children,
 * then its RESULT, without the bytes of a result that is large.
 */
void mf_context_put_entries(const struct mpifarm_context *context, const struct mf_call_end *end,
                            struct mf_buffer *buffer);

/**
 * Entries of calls that have ended, one after the other: results that are alike share one. Starts
 * as {0}, and is complete once it is closed.
 *
 * @n_open     results in the last entry, 0 when it can take no more
 * @open       where that is; its header is that of the first
 * @open_size  bytes of each of its results
 */
struct mf_entries {
    struct mf_buffer bytes;
    uint32_t n_open;
    size_t open;
    size_t open_size;
};

/** Appends what came of the last call, as mf_context_put_entries(). */
void mf_entries_add(struct mf_entries *entries, const struct mpifarm_context *context,
                    const struct mf_call_end *end);

/** One more result like those before it. Returns whether it fits into the last entry, and all of
 * them then into limit_bytes. */
static inline bool mf_entries_join(struct mf_entries *entries, const struct mf_buffer *result,
                                   size_t limit_bytes)
{
    struct mf_buffer *bytes = &entries->bytes;

    if (result->size != entries->open_size || entries->n_open == 0 ||
        bytes->size + result->size > limit_bytes || result->size > bytes->capacity - bytes->size)
        return false;
    mf_copy(bytes->data + bytes->size, result->data, result->size);
    bytes->size += result->size;
    entries->n_open++;
    return true;
}

/** Completes the last entry: what is added next begins another one. */
void mf_entries_close(struct mf_entries *entries);

/** Forgets them, and memory of more than kept_bytes. */
void mf_entries_clear(struct mf_entries *entries, size_t kept_bytes);

/** Hands over the result of the last call, once its entries are put: malloc()ed, the caller's. */
uint8_t *mf_context_take_result(struct mpifarm_context *context, size_t *ret_size);

#endif
