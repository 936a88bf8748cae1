/*
 * The registry of task functions, and making one call: see calls.h.
 *
 * A context keeps the memory of its buffers from call to call, so that a call
 * of a function that does little costs a few nanoseconds.
 */
#include "exec/calls.h"

#include "base/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAX_FUNCTIONS 65535
#define MAX_NAME 255

/* A buffer that grew beyond this is freed when its call is over. */
#define KEPT_BYTES ((size_t)1 << 20)

/* --- the registry --- */

void mf_functions_finish(struct mf_functions *functions)
{
    for (uint32_t i = 0; i < functions->n_items; i++)
        free(functions->items[i].name);
    free(functions->items);
    mf_table_destroy(functions->by_hash);
    *functions = (struct mf_functions){0};
}

static int make_room(struct mf_functions *functions)
{
    uint32_t capacity = functions->capacity ? 2 * functions->capacity : 16;
    struct mf_function *items;

    if (functions->n_items < functions->capacity)
        return 0;
    items = realloc(functions->items, capacity * sizeof(*items));
    if (!items)
        return -ENOMEM;
    functions->items = items;
    functions->capacity = capacity;
    return 0;
}

/* FNV-1a. */
static uint64_t hash_name(const char *name)
{
    uint64_t hash = 0xcbf29ce484222325;

    for (; *name; name++)
        hash = (hash ^ (uint8_t)*name) * 0x100000001b3;
    return hash;
}

/* Makes the next function, which has that name, known by it. Returns 0 or -ENOMEM. */
static int index_name(struct mf_functions *functions, struct mf_function *function)
{
    uint64_t hash = hash_name(function->name);
    uint32_t *last;
    void *place;
    int r = 0;

    if (!functions->by_hash)
        r = mf_table_create(sizeof(hash), sizeof(*last), &functions->by_hash);
    if (r == 0)
        r = mf_table_insert(functions->by_hash, &hash, &place);
    if (r < 0)
        return r;
    last = place;
    function->same_hash = r == 1 ? *last + 1 : 0;
    *last = functions->n_items;
    return 0;
}

int mf_functions_add(struct mf_functions *functions, const char *name, mpifarm_function call,
                     void *user)
{
    struct mf_function function = {.call = call, .user = user};

    if (!call || !name || name[0] == '\0' || strlen(name) > MAX_NAME)
        return -EINVAL;
    if (functions->n_items >= MAX_FUNCTIONS)
        return -ENOSPC;
    if (mf_functions_find(functions, name) >= 0)
        return -EEXIST;
    if (make_room(functions) < 0)
        return -ENOMEM;
    function.name = strdup(name);
    if (!function.name || index_name(functions, &function) < 0) {
        free(function.name);
        return -ENOMEM;
    }
    functions->items[functions->n_items] = function;
    return (int)functions->n_items++;
}

int mf_functions_find(const struct mf_functions *functions, const char *name)
{
    const uint64_t hash = hash_name(name);
    const uint32_t *last = functions->by_hash ? mf_table_find(functions->by_hash, &hash) : NULL;

    for (uint32_t i = last ? *last + 1 : 0; i > 0; i = functions->items[i - 1].same_hash)
        if (strcmp(functions->items[i - 1].name, name) == 0)
            return (int)i - 1;
    return -ENOENT;
}

void mf_functions_encode(const struct mf_functions *functions, struct mf_buffer *buffer)
{
    mf_buffer_put_u32(buffer, functions->n_items);
    for (uint32_t i = 0; i < functions->n_items; i++)
        mf_buffer_put_text(buffer, functions->items[i].name);
}

/* One function of the other rank, NULL for none, against ours. */
static int compare_function(const struct mf_functions *functions, uint32_t i, const char *theirs,
                            uint32_t rank, struct mf_error *err)
{
    const char *ours = i < functions->n_items ? functions->items[i].name : NULL;

    if (!theirs)
        return mf_error_set(err, -EPROTO,
                            "rank %u did not register \"%s\", function %u of rank 0: every rank "
                            "has to register the same functions in the same order",
                            rank, ours, i);
    if (!ours)
        return mf_error_set(err, -EPROTO,
                            "rank %u registered \"%s\" as function %u, which rank 0 did not: every "
                            "rank has to register the same functions in the same order",
                            rank, theirs, i);
    if (strcmp(ours, theirs) != 0)
        return mf_error_set(err, -EPROTO,
                            "rank %u registered \"%s\" as function %u, but rank 0 \"%s\": every "
                            "rank has to register the same functions in the same order",
                            rank, theirs, i, ours);
    return 0;
}

int mf_functions_compare(const struct mf_functions *functions, const void *data, size_t size,
                         uint32_t rank, struct mf_error *err)
{
    struct mf_reader reader = mf_reader_over(data, size);
    uint32_t n_theirs = mf_reader_get_u32(&reader);
    char theirs[MAX_NAME + 1];
    int r = 0;

    for (uint32_t i = 0; i < n_theirs && r == 0; i++) {
        mf_reader_get_text(&reader, theirs, sizeof(theirs));
        if (reader.has_failed)
            break;
        r = compare_function(functions, i, theirs, rank, err);
    }
    if (r < 0)
        return r;
    if (mf_reader_finish(&reader) < 0)
        return mf_error_set(err, -EBADMSG, "rank %u sent a damaged list of functions", rank);
    if (n_theirs < functions->n_items)
        return compare_function(functions, n_theirs, NULL, rank, err);
    return 0;
}

/* --- calls --- */

void mf_context_init(struct mpifarm_context *context, const struct mf_functions *functions,
                     uint32_t rank, const struct mf_context_ops *ops, void *arg)
{
    *context =
        (struct mpifarm_context){.functions = functions, .ops = ops, .arg = arg, .rank = rank};
}

void mf_context_finish(struct mpifarm_context *context)
{
    mf_buffer_finish(&context->aligned);
    mf_buffer_finish(&context->result);
    mf_buffer_finish(&context->children);
    mf_buffer_finish(&context->message);
}

static void empty(struct mf_buffer *buffer)
{
    if (buffer->capacity > KEPT_BYTES)
        mf_buffer_finish(buffer);
    mf_buffer_clear(buffer);
}

static size_t round_up(size_t n)
{
    return (n + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
}

/* Lets the function see input and checkpoint, copied if they are not aligned. */
static int place_bytes(struct mpifarm_context *context, const struct mf_call *call)
{
    size_t checkpoint_size = call->details.checkpoint_size;
    size_t input_copy, checkpoint_copy;

    context->input = call->size > 0 ? call->input : NULL;
    context->checkpoint = checkpoint_size > 0 ? call->checkpoint : NULL;
    input_copy = mf_is_aligned(context->input) ? 0 : round_up(call->size);
    checkpoint_copy = mf_is_aligned(context->checkpoint) ? 0 : checkpoint_size;
    if (input_copy + checkpoint_copy == 0)
        return 0;

    empty(&context->aligned);
    if (mf_buffer_reserve(&context->aligned, input_copy + checkpoint_copy) < 0)
        return -ENOMEM;
    if (input_copy > 0) {
        mf_copy(context->aligned.data, call->input, call->size);
        context->input = context->aligned.data;
    }
    if (checkpoint_copy > 0)
        context->checkpoint =
            memcpy(context->aligned.data + input_copy, call->checkpoint, checkpoint_size);
    return 0;
}

/* Takes the input apart that has results of others behind it. */
static int open_results(struct mpifarm_context *context, const struct mf_call *call)
{
    int r;

    context->input_size = call->size;
    context->results.n_parts = 0;
    if (!call->has_results)
        return 0;
    r = mf_bundle_open(context->input, context->input ? call->size : 0, &context->results);
    if (r == 0)
        context->input = mf_bundle_part(&context->results, 0, &context->input_size);
    return r;
}

static void begin_call(struct mpifarm_context *context, const struct mf_call *call)
{
    context->call = call;
    context->is_out_of_memory = false;
    context->is_marked = false;
    context->started_ns = 0;
    empty(&context->result);
    empty(&context->children);
    empty(&context->message);
}

struct mf_call_end mf_context_settle(struct mpifarm_context *context, int code)
{
    struct mf_call_end end = {.cause = MPIFARM_CAUSE_NONE, .code = code};

    if (code == 0 && !context->is_out_of_memory)
        return end;
    empty(&context->result);
    empty(&context->children);
    if (code == 0)
        end.cause = MPIFARM_CAUSE_MEMORY;
    else
        end.cause =
            mf_context_is_over_time(context) ? MPIFARM_CAUSE_TIMEOUT : MPIFARM_CAUSE_FUNCTION;
    return end;
}

void mf_context_run(struct mpifarm_context *context, const struct mf_call *call,
                    struct mf_call_end *ret_end)
{
    const struct mf_function *function = &context->functions->items[call->function];
    int code;

    begin_call(context, call);
    if (place_bytes(context, call) < 0) {
        context->is_out_of_memory = true;
        code = 0;
    } else if ((code = open_results(context, call)) == 0) {
        if (call->details.timeout_ns > 0)
            context->started_ns = mf_clock_monotonic_ns();
        code = function->call(context, function->user);
    }
    *ret_end = mf_context_settle(context, code);
}

bool mf_context_begin_row(struct mpifarm_context *context, const struct mf_call *call)
{
    if (call->details.n_more == 0 || call->details.timeout_ns > 0 || call->has_results)
        return false;
    begin_call(context, call);
    context->input_size = call->size;
    context->checkpoint = NULL;
    context->results.n_parts = 0;
    empty(&context->aligned);
    return mf_buffer_reserve(&context->aligned, call->size) == 0;
}

void mf_context_withhold(struct mpifarm_context *context, const struct mf_call *call,
                         enum mpifarm_cause cause, int code, struct mf_call_end *ret_end)
{
    begin_call(context, call);
    *ret_end = (struct mf_call_end){.cause = (uint8_t)cause, .code = code};
}

bool mf_context_is_over_time(const struct mpifarm_context *context)
{
    return context->started_ns != 0 &&
           mf_clock_monotonic_ns() - context->started_ns >= context->call->details.timeout_ns;
}

void mf_context_put_entries(const struct mpifarm_context *context, const struct mf_call_end *end,
                            struct mf_buffer *buffer)
{
    const struct mf_buffer *bytes =
        end->cause == MPIFARM_CAUSE_NONE ? &context->result : &context->message;
    struct mf_entry_header header = {
        .kind = MF_ENTRY_RESULT, .cause = end->cause, .code = end->code};

    if (context->children.size > 0)
        mf_buffer_append(buffer, context->children.data, context->children.size);
    /* The bytes of a large result go ahead under the number of their task. */
    if (mf_context_is_large(context, end)) {
        header.flags = MF_CALL_IS_LARGE;
        header.size = sizeof(context->call->task);
        mf_entry_put(buffer, &header, &context->call->task);
        return;
    }
    header.size = (uint32_t)bytes->size;
    mf_entry_put(buffer, &header, bytes->data);
}

void mf_entries_close(struct mf_entries *entries)
{
    if (entries->n_open > 1 && !entries->bytes.has_failed)
        mf_entry_share(entries->bytes.data + entries->open, entries->n_open, entries->open_size);
    entries->n_open = 0;
}

void mf_entries_add(struct mf_entries *entries, const struct mpifarm_context *context,
                    const struct mf_call_end *end)
{
    bool is_simple = end->cause == MPIFARM_CAUSE_NONE && !mf_context_is_large(context, end);

    if (is_simple && context->children.size == 0 &&
        mf_buffer_reserve(&entries->bytes, context->result.size) == 0 &&
        mf_entries_join(entries, &context->result, SIZE_MAX))
        return;
    mf_entries_close(entries);
    entries->n_open = is_simple;
    entries->open = entries->bytes.size + context->children.size;
    entries->open_size = context->result.size;
    mf_context_put_entries(context, end, &entries->bytes);
}

void mf_entries_clear(struct mf_entries *entries, size_t kept_bytes)
{
    if (entries->bytes.capacity > kept_bytes)
        mf_buffer_finish(&entries->bytes);
    mf_buffer_clear(&entries->bytes);
    entries->n_open = 0;
}

uint8_t *mf_context_take_result(struct mpifarm_context *context, size_t *ret_size)
{
    uint8_t *data = context->result.data;

    *ret_size = context->result.size;
    context->result = (struct mf_buffer){0};
    return data;
}
