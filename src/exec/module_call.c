/*
 * One call of a module's function: see module_call.h.
 *
 * In an executor process standard output is a file in memory, emptied after
 * each call. Behind a result stand the printed bytes and their number (u64);
 * behind a message, which has no NUL and may come from the farm, a NUL and the
 * printed bytes, if there are any.
 *
 * One thread, which is the process's: what it prints to has one owner too.
 */
#include "exec/module_call.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* More than this is dropped. */
#define PRINTED_MAX_BYTES ((size_t)1 << 30)

/* Whether standard output is a file of this process alone. */
static bool is_capturing;

int mf_module_call_capture(void)
{
    int fd = memfd_create("mpifarm-printed", MFD_CLOEXEC);
    int result = 0;

    if (fd < 0)
        return -errno;
    fflush(stdout);
    if (dup2(fd, STDOUT_FILENO) < 0)
        result = -errno;
    close(fd);
    is_capturing = result == 0;
    return result;
}

/* Bytes that wait in the file. Where the function has closed or replaced it there are none. */
static size_t count_printed(void)
{
    off_t size;

    if (!is_capturing)
        return 0;
    fflush(stdout);
    size = lseek(STDOUT_FILENO, 0, SEEK_CUR);
    if (size <= 0)
        return 0;
    return (size_t)size < PRINTED_MAX_BYTES ? (size_t)size : PRINTED_MAX_BYTES;
}

/* Moves n printed bytes behind those of the buffer. */
static void take_printed(struct mf_buffer *buffer, size_t n)
{
    ssize_t got;

    if (mf_buffer_reserve(buffer, n) == 0) {
        got = pread(STDOUT_FILENO, buffer->data + buffer->size, n, 0);
        if (got != (ssize_t)n)
            buffer->has_failed = true;
        else
            buffer->size += n;
    }
    if (ftruncate(STDOUT_FILENO, 0) < 0 || lseek(STDOUT_FILENO, 0, SEEK_SET) < 0)
        is_capturing = false;
}

static void add_printed(struct mpifarm_context *context, bool is_success)
{
    struct mf_buffer *buffer = is_success ? &context->result : &context->message;
    size_t n = count_printed();

    if (n > 0 && !is_success)
        mf_buffer_put_u8(buffer, '\0');
    if (n > 0)
        take_printed(buffer, n);
    if (is_success)
        mf_buffer_put_u64(buffer, n);
    if (mf_buffer_status(buffer) == 0)
        return;
    mf_buffer_clear(buffer);
    context->is_out_of_memory = true;
}

int mf_module_call_split(bool is_success, const uint8_t *bytes, size_t size,
                         struct mf_module_parts *ret_parts)
{
    struct mf_module_parts parts = {.said = bytes, .n_said = size};
    const uint8_t *end = is_success || size == 0 ? NULL : memchr(bytes, '\0', size);
    struct mf_reader tail;
    uint64_t n_printed;

    if (end) {
        parts.n_said = (size_t)(end - bytes);
        parts.printed = end + 1;
        parts.n_printed = size - parts.n_said - 1;
    } else if (is_success) {
        if (size < sizeof(n_printed))
            return -EBADMSG;
        parts.n_said -= sizeof(n_printed);
        tail = mf_reader_over(bytes + parts.n_said, sizeof(n_printed));
        n_printed = mf_reader_get_u64(&tail);
        if (n_printed > parts.n_said)
            return -EBADMSG;
        parts.n_said -= n_printed;
        parts.n_printed = n_printed;
        parts.printed = bytes + parts.n_said;
    }
    *ret_parts = parts;
    return 0;
}

/* --- the call --- */

/* Where the context really is. */
struct place {
    const struct mf_functions *functions;
    const struct mf_context_ops *ops;
    void *arg;
};

static bool should_stop(void *arg, struct mpifarm_context *context)
{
    const struct place *place = arg;

    return place->ops->should_stop(place->arg, context);
}

static int checkpoint(void *arg, struct mpifarm_context *context, const void *data, size_t size)
{
    const struct place *place = arg;

    if (size > MF_MODULE_SAVED_MAX_BYTES)
        return -EMSGSIZE;
    return place->ops->checkpoint(place->arg, context, data, size);
}

static const void *find_no_block(void *arg, mpifarm_block block, size_t *ret_size)
{
    return NULL;
}

static const struct mf_context_ops ops = {
    .should_stop = should_stop,
    .checkpoint = checkpoint,
    .block = find_no_block,
};

int mf_module_call(struct mpifarm_context *context, void *user)
{
    static const struct mf_functions no_functions;
    struct place place = {context->functions, context->ops, context->arg};
    mpifarm_function function;
    int code;

    memcpy(&function, &user, sizeof(function));
    context->functions = &no_functions;
    context->ops = &ops;
    context->arg = &place;
    code = function(context, NULL);
    context->functions = place.functions;
    context->ops = place.ops;
    context->arg = place.arg;
    add_printed(context, code == 0);
    return code;
}
