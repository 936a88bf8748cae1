/*
 * What a task function can ask and say: the context calls of mpifarm.h, over
 * the context that its place of execution keeps (exec/calls.h).
 */
#include "exec/calls.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

static const void *give(const void *data, size_t size, size_t *ret_size)
{
    if (ret_size)
        *ret_size = size;
    return data;
}

static int run_out_of_memory(struct mpifarm_context *context)
{
    context->is_out_of_memory = context->is_marked = true;
    return -ENOMEM;
}

const void *mpifarm_input(const struct mpifarm_context *context, size_t *ret_size)
{
    return give(context->input, context->input_size, ret_size);
}

size_t mpifarm_predecessors(const struct mpifarm_context *context)
{
    return context->results.n_parts > 0 ? context->results.n_parts - 1 : 0;
}

const void *mpifarm_predecessor(const struct mpifarm_context *context, size_t i, size_t *ret_size)
{
    const void *data = NULL;
    size_t size = 0;

    if (i < mpifarm_predecessors(context))
        data = mf_bundle_part(&context->results, i + 1, &size);
    return give(data, size, ret_size);
}

const void *mpifarm_restored(const struct mpifarm_context *context, size_t *ret_size)
{
    return give(context->checkpoint, context->call->details.checkpoint_size, ret_size);
}

const void *mpifarm_block_data(const struct mpifarm_context *context, mpifarm_block block,
                               size_t *ret_size)
{
    size_t size = 0;
    const void *data = context->ops->block(context->arg, block, &size);

    return give(data, data ? size : 0, ret_size);
}

int mpifarm_write(struct mpifarm_context *context, const void *data, size_t size)
{
    if (!data && size > 0)
        return -EINVAL;
    mf_buffer_append(&context->result, data, size);
    return mf_buffer_status(&context->result) < 0 ? run_out_of_memory(context) : 0;
}

/* Apart, so that what most calls need is short. */
static __attribute__((noinline)) void *reserve_slowly(struct mpifarm_context *context, size_t size)
{
    struct mf_buffer *result = &context->result;

    /* No bytes have a place too, since NULL says that there is no memory. */
    if (mf_buffer_reserve(result, size ? size : 1) < 0) {
        run_out_of_memory(context);
        return NULL;
    }
    result->size += size;
    return result->data + result->size - size;
}

void *mpifarm_reserve(struct mpifarm_context *context, size_t size)
{
    struct mf_buffer *result = &context->result;

    if (size >= result->capacity - result->size || result->has_failed)
        return reserve_slowly(context, size);
    result->size += size;
    return result->data + result->size - size;
}

int mpifarm_fail(struct mpifarm_context *context, int code, const char *format, ...)
{
    struct mf_buffer *message = &context->message;
    va_list args;
    int n;

    context->is_marked = true;
    mf_buffer_clear(message);
    if (mf_buffer_reserve(message, MF_CALL_MESSAGE_BYTES + 1) == 0) {
        va_start(args, format);
        n = vsnprintf((char *)message->data, MF_CALL_MESSAGE_BYTES + 1, format, args);
        va_end(args);
        if (n > 0)
            message->size = n < MF_CALL_MESSAGE_BYTES ? (size_t)n : MF_CALL_MESSAGE_BYTES;
    }
    return code ? code : 1;
}

uint64_t mpifarm_task_tag(const struct mpifarm_context *context)
{
    return context->call->details.tag;
}

uint32_t mpifarm_task_attempt(const struct mpifarm_context *context)
{
    return context->call->details.try_number;
}

uint32_t mpifarm_task_rank(const struct mpifarm_context *context)
{
    return context->rank;
}

uint64_t mpifarm_task_id(const struct mpifarm_context *context)
{
    return context->call->task;
}

int mpifarm_task_function(const struct mpifarm_context *context)
{
    return context->call->function;
}

bool mpifarm_should_stop(struct mpifarm_context *context)
{
    return mf_context_is_over_time(context) || context->ops->should_stop(context->arg, context);
}

static int check_child(const struct mpifarm_context *context, int function, const void *input,
                       size_t size, const struct mpifarm_task_options *options)
{
    size_t taken = context->children.size + sizeof(struct mf_child);

    if (function < 0 || (uint32_t)function >= context->functions->n_items)
        return -ENOENT;
    if (size > 0 && !input)
        return -EINVAL;
    if (options->n_after > 0 || options->timeout_ns < 0 ||
        options->delivery == MPIFARM_DELIVER_CALLBACK ||
        (unsigned)options->delivery > MPIFARM_DELIVER_NONE)
        return -EINVAL;
    return taken > MF_CHILDREN_MAX_BYTES || size > MF_CHILDREN_MAX_BYTES - taken ? -EMSGSIZE : 0;
}

int mpifarm_spawn(struct mpifarm_context *context, int function, const void *input, size_t size,
                  const struct mpifarm_task_options *options)
{
    static const struct mpifarm_task_options defaults = {0};
    struct mf_buffer *children = &context->children;
    int r;

    if (!options)
        options = &defaults;
    r = check_child(context, function, input, size, options);
    if (r < 0)
        return r;

    struct mf_child child = {
        .tag = options->tag,
        .timeout_ns = options->timeout_ns,
        .group = options->group ? options->group : context->call->details.group,
        .priority = options->priority,
        .max_attempts = options->max_attempts,
        .rank = options->rank,
        .function = (uint16_t)function,
        .delivery = options->delivery == MPIFARM_DELIVER_QUEUE ? MPIFARM_DELIVER_QUEUE
                                                               : MPIFARM_DELIVER_NONE,
    };
    struct mf_entry_header header = {.kind = MF_ENTRY_CHILD,
                                     .size = (uint32_t)(sizeof(child) + size)};

    context->is_marked = true;
    if (mf_buffer_reserve(children, sizeof(header) + header.size) < 0)
        return run_out_of_memory(context);
    mf_buffer_append(children, &header, sizeof(header));
    mf_buffer_append(children, &child, sizeof(child));
    mf_buffer_append(children, input, size);
    return 0;
}

int mpifarm_checkpoint(struct mpifarm_context *context, const void *data, size_t size)
{
    if (size > MF_CHECKPOINT_MAX_BYTES)
        return -EMSGSIZE;
    if (!data && size > 0)
        return -EINVAL;
    return context->ops->checkpoint(context->arg, context, data, size);
}
