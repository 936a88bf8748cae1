/* A unit of an inline caller: its calls, their large inputs, and which are not wanted any more. */
#ifndef MF_EXEC_INLINE_UNIT_H
#define MF_EXEC_INLINE_UNIT_H

#include "base/list.h"
#include "exec/caller.h"

#include <stdalign.h>
#include <stddef.h>

/**
 * A unit of an inline caller.
 *
 * @node          its place among the caller's
 * @next          index of the call being made, else of the next
 * @n_told        calls of which it was told what came of them
 * @rest          the calls that have not begun, but for those in the stretch that `call`, the last
 *                one begun, is of
 * @larges        large inputs of its calls in order, NULL where there was no memory for one; those
 *                before next_large were used
 * @is_cancelled  per call; NULL when none is
 * @are_cancelled   all of them
 * @is_recalled   while it runs: its calls that have not begun are given back
 */
struct mf_inline_unit {
    struct mf_list node;
    uint64_t number;
    uint32_t attempt;
    uint32_t n_calls;
    uint32_t next;
    uint32_t n_told;
    struct mf_reader rest;
    struct mf_call call;
    uint8_t **larges;
    uint32_t n_larges;
    uint32_t next_large;
    bool *is_cancelled;
    bool are_cancelled;
    bool is_recalled;
    alignas(max_align_t) uint8_t calls[];
};

/**
 * mf_inline_unit_create() - a copy of a unit, in no list, with its large inputs taken over.
 *
 * Returns 0; -ENOENT or -EPROTO when a large input did not come or is another; or -ENOMEM.
 */
int mf_inline_unit_create(const struct mf_caller_unit *given, const struct mf_caller_config *config,
                          struct mf_inline_unit **ret_unit);

/** Takes it out of its list and frees it. */
void mf_inline_unit_end(struct mf_inline_unit *unit);

/** Marks a call, or MF_EVERY_CALL; one that is out of range is nothing to mark. */
void mf_inline_unit_cancel(struct mf_inline_unit *unit, uint32_t index);

/** Frees the large input of the call that has just ended; the next one is that of a later call. */
void mf_inline_unit_drop_input(struct mf_inline_unit *unit);

/** Whether no call of it was. */
static inline bool mf_inline_unit_is_wanted(const struct mf_inline_unit *unit)
{
    return !unit->are_cancelled && !unit->is_cancelled;
}

static inline bool mf_inline_unit_is_cancelled(const struct mf_inline_unit *unit, uint32_t index)
{
    return unit->are_cancelled || (unit->is_cancelled && unit->is_cancelled[index]);
}

#endif
