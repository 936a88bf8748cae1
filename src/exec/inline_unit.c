/* Making, marking and ending the units of an inline caller: see inline_unit.h. */
#include "exec/inline_unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Takes over the large input of a call. */
static int take_large(const struct mf_caller_config *config, struct mf_inline_unit *unit,
                      const struct mf_call *call)
{
    uint8_t **larges = reallocarray(unit->larges, unit->n_larges + 1, sizeof(*larges));
    size_t size = call->size;
    int r;

    if (!larges)
        return -ENOMEM;
    unit->larges = larges;
    larges[unit->n_larges] = NULL;
    r = config->take_large(config->arg, call->task, &larges[unit->n_larges], &size);
    if (r == 0 || r == -ENOMEM)
        unit->n_larges++;
    if (r == -ENOMEM)
        return 0;
    return r == 0 && size != call->size ? -EPROTO : r;
}

static int take_larges(const struct mf_caller_config *config, struct mf_inline_unit *unit)
{
    struct mf_reader reader = unit->rest;
    struct mf_call call;
    int r = 0;

    while (r == 0 && mf_call_get(&reader, &call))
        if (call.is_large)
            r = take_large(config, unit, &call);
    return r;
}

/* What to leave free ahead of the calls, so that the inputs of a stretch are aligned if their size
 * allows that. */
static size_t find_lead(const struct mf_caller_unit *given)
{
    struct mf_call_header header;

    memcpy(&header, given->calls, sizeof(header));
    return header.flags & MF_CALL_HAS_DETAILS ? -MF_STRETCH_HEAD_BYTES % alignof(max_align_t) : 0;
}

int mf_inline_unit_create(const struct mf_caller_unit *given, const struct mf_caller_config *config,
                          struct mf_inline_unit **ret_unit)
{
    size_t lead = find_lead(given);
    struct mf_inline_unit *unit = malloc(sizeof(*unit) + lead + given->size);
    int r;

    if (!unit)
        return -ENOMEM;
    *unit = (struct mf_inline_unit){
        .number = given->unit, .attempt = given->attempt, .n_calls = given->n_calls};
    mf_list_init(&unit->node);
    memcpy(unit->calls + lead, given->calls, given->size);
    unit->rest = mf_reader_over(unit->calls + lead, given->size);
    r = given->has_large ? take_larges(config, unit) : 0;
    if (r < 0) {
        mf_inline_unit_end(unit);
        return r;
    }
    *ret_unit = unit;
    return 0;
}

void mf_inline_unit_end(struct mf_inline_unit *unit)
{
    mf_list_remove(&unit->node);
    for (uint32_t i = 0; i < unit->n_larges; i++)
        free(unit->larges[i]);
    free(unit->larges);
    free(unit->is_cancelled);
    free(unit);
}

/* Without memory for the mark the call is made, and nobody wants what comes of it. */
void mf_inline_unit_cancel(struct mf_inline_unit *unit, uint32_t index)
{
    unit->are_cancelled |= index == MF_EVERY_CALL;
    if (index >= unit->n_calls)
        return;
    if (!unit->is_cancelled)
        unit->is_cancelled = calloc(unit->n_calls, sizeof(*unit->is_cancelled));
    if (unit->is_cancelled)
        unit->is_cancelled[index] = true;
}

void mf_inline_unit_drop_input(struct mf_inline_unit *unit)
{
    free(unit->larges[unit->next_large]);
    unit->larges[unit->next_large++] = NULL;
}
