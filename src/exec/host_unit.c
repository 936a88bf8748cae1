/*
 * A unit of calls on the rank's side: see host_caller_parts.h. Its calls are
 * checked once, when it comes; after that they can be read without a failure.
 */
#include "exec/host_caller_parts.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A portion with several calls has at most so many bytes. */
#define PORTION_BYTES ((size_t)16 << 10)

#define BITS 64

/* Counts the calls with large inputs, and refuses calls that cannot be made. */
static int check_calls(const struct mf_caller_unit *unit, uint32_t n_functions,
                       uint32_t *ret_n_larges)
{
    struct mf_reader reader = mf_reader_over(unit->calls, unit->size);
    uint64_t n_calls = 0;
    uint32_t n_larges = 0;
    bool is_stretch = false;
    struct mf_call call;

    while (mf_call_get(&reader, &call)) {
        is_stretch |= call.details.n_more > 0;
        if (call.function >= n_functions || (is_stretch && n_calls > 0))
            return -EBADMSG;
        n_calls += (uint64_t)call.details.n_more + 1;
        n_larges += call.is_large;
    }
    *ret_n_larges = n_larges;
    return mf_reader_finish(&reader) < 0 || n_calls == 0 || n_calls != unit->n_calls ? -EBADMSG : 0;
}

static int take_large(const struct mf_caller_config *config, const struct mf_call *call,
                      struct mf_host_large *large)
{
    int result = config->take_large(config->arg, call->task, &large->data, &large->size);

    /* Then the call fails, and nothing else does. */
    if (result == -ENOMEM) {
        large->data = NULL;
        return 0;
    }
    return result < 0 || large->size == call->size ? result : -EPROTO;
}

static int take_larges(struct mf_host_unit *unit, const struct mf_caller_config *config)
{
    struct mf_reader reader = mf_reader_over(unit->calls, unit->size);
    struct mf_call call;
    int result = 0;

    for (uint32_t i = 0; result == 0 && mf_call_get(&reader, &call); i++) {
        struct mf_host_large *large = &unit->larges[unit->n_larges];

        if (!call.is_large)
            continue;
        large->index = i;
        result = take_large(config, &call, large);
        unit->n_larges += result == 0;
    }
    return result;
}

static void note_stretch(struct mf_host_unit *unit)
{
    struct mf_reader reader = mf_reader_over(unit->calls, unit->size);

    mf_call_get(&reader, &unit->stretch);
    unit->is_stretch = unit->stretch.details.n_more > 0;
    if (unit->is_stretch)
        unit->sent_bytes = unit->reported_bytes = MF_STRETCH_HEAD_BYTES;
}

int mf_host_unit_create(const struct mf_caller_unit *unit, const struct mf_caller_config *config,
                        uint32_t n_functions, struct mf_host_unit **ret_unit)
{
    struct mf_host_unit *copy;
    uint32_t n_larges = 0;
    int result = check_calls(unit, n_functions, &n_larges);

    if (result < 0)
        return result;
    copy = malloc(sizeof(*copy) + unit->size);
    if (!copy)
        return -ENOMEM;
    *copy = (struct mf_host_unit){
        .unit = unit->unit,
        .attempt = unit->attempt,
        .slot = unit->slot,
        .n_calls = unit->n_calls,
        .size = unit->size,
    };
    mf_list_init(&copy->node);
    memcpy(copy->calls, unit->calls, unit->size);
    note_stretch(copy);
    if (n_larges > 0) {
        copy->larges = calloc(n_larges, sizeof(*copy->larges));
        result = copy->larges ? take_larges(copy, config) : -ENOMEM;
    }
    if (result < 0) {
        mf_host_unit_end(copy);
        return result;
    }
    *ret_unit = copy;
    return 0;
}

void mf_host_unit_end(struct mf_host_unit *unit)
{
    unit->is_over = true;
    if (unit->is_sending)
        return;
    for (uint32_t i = 0; i < unit->n_larges; i++)
        free(unit->larges[i].data);
    free(unit->larges);
    free(unit->unwanted);
    free(unit);
}

int mf_host_unit_cancel(struct mf_host_unit *unit, uint32_t index)
{
    unit->are_unwanted |= index == MF_EVERY_CALL;
    if (index == MF_EVERY_CALL)
        return 0;
    if (index >= unit->n_calls)
        return -EINVAL;
    if (!unit->unwanted)
        unit->unwanted = calloc((unit->n_calls + BITS - 1) / BITS, sizeof(*unit->unwanted));
    if (!unit->unwanted)
        return -ENOMEM;
    unit->unwanted[index / BITS] |= UINT64_C(1) << index % BITS;
    return 0;
}

static bool is_unwanted(const struct mf_host_unit *unit, uint32_t index)
{
    return unit->are_unwanted ||
           (unit->unwanted && unit->unwanted[index / BITS] >> index % BITS & 1);
}

static struct mf_host_large *find_large(struct mf_host_unit *unit, uint32_t index)
{
    for (uint32_t i = 0; i < unit->n_larges; i++)
        if (unit->larges[i].index == index)
            return &unit->larges[i];
    return NULL;
}

static void cut_stretch(const struct mf_host_unit *unit, struct mf_host_cut *ret_cut)
{
    size_t size = unit->stretch.size, n_fitting = size > 0 ? PORTION_BYTES / size : SIZE_MAX;
    uint32_t n = unit->n_calls - unit->n_sent;

    if (n > MF_HOST_PORTION_CALLS)
        n = MF_HOST_PORTION_CALLS;
    if (n > n_fitting)
        n = n_fitting > 0 ? (uint32_t)n_fitting : 1;
    *ret_cut = (struct mf_host_cut){
        .first = unit->n_sent,
        .n_calls = n,
        .offset = unit->sent_bytes,
        .bytes = n * size,
        .has_limit = unit->stretch.details.timeout_ns > 0,
    };
    for (uint32_t i = 0; i < n && (unit->unwanted || unit->are_unwanted); i++)
        ret_cut->unwanted |= (uint64_t)is_unwanted(unit, ret_cut->first + i) << i;
}

void mf_host_unit_cut(struct mf_host_unit *unit, struct mf_host_cut *ret_cut)
{
    struct mf_reader reader =
        mf_reader_over(unit->calls + unit->sent_bytes, unit->size - unit->sent_bytes);
    struct mf_host_cut cut = {.first = unit->n_sent, .offset = unit->sent_bytes};
    struct mf_call call;

    if (unit->is_stretch) {
        cut_stretch(unit, ret_cut);
        return;
    }
    while (cut.n_calls < MF_HOST_PORTION_CALLS && mf_call_get(&reader, &call)) {
        uint32_t index = cut.first + cut.n_calls;
        size_t bytes = unit->size - reader.left - cut.offset;

        /* A large input goes ahead of a portion, so it is for its only call. */
        if (cut.n_calls > 0 && (call.is_large || bytes > PORTION_BYTES))
            break;
        cut.unwanted |= (uint64_t)is_unwanted(unit, index) << cut.n_calls;
        cut.has_limit |= call.details.timeout_ns > 0;
        cut.bytes = bytes;
        cut.n_calls++;
        if (call.is_large) {
            cut.large = find_large(unit, index);
            break;
        }
    }
    *ret_cut = cut;
}

size_t mf_host_unit_look(const struct mf_host_unit *unit, const struct mf_host_cut *cut,
                         uint32_t index, struct mf_call *ret_call)
{
    struct mf_reader reader = mf_reader_over(unit->calls + cut->offset, unit->size - cut->offset);
    size_t at;

    if (unit->is_stretch) {
        *ret_call = unit->stretch;
        mf_call_advance(ret_call, cut->first + index);
        return cut->offset + index * unit->stretch.size;
    }
    do {
        at = unit->size - reader.left;
        if (!mf_call_get(&reader, ret_call))
            break;
    } while (index-- > 0);
    return at;
}
