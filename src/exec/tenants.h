/*
 * Who has which slot of a launcher, in memory that it shares with its rank: it
 * tells of starts and ends in batches, and what it had not told yet when it was
 * killed is known from here. Whoever had a slot then may be what has killed it;
 * all others have not, and are not to be blamed. Staged attempts begin in the
 * order in which they were staged, so a number tells which of them have begun,
 * and may have ended since; one that was taken back before counts among these.
 *
 * Written by the launcher, read and cleared by the rank when that is gone and the next one was not
 * told anything yet: never both at a time.
 */
#ifndef MF_EXEC_TENANTS_H
#define MF_EXEC_TENANTS_H

#include "exec/protocol.h"

#include <stdint.h>
#include <sys/types.h>

/** Slots that are kept account of; who is in one beyond them is not known. */
#define MF_TENANTS_MAX 65536

/**
 * An attempt, at the first of its slots.
 *
 * @attempt  0 for none
 * @pid      0 until there is a process
 */
struct mf_tenant {
    _Atomic uint64_t attempt;
    uint64_t task;
    int64_t started_wall_ns;
    pid_t pid;
};

/** @n_begun  the last of the staged attempts that has begun, counted from 1; 0 for none */
struct mf_tenants {
    _Atomic uint64_t n_begun;
    struct mf_tenant slots[MF_TENANTS_MAX];
};

/** Memory that forked processes share. Returns 0 or -errno. */
int mf_tenants_create(struct mf_tenants **ret_tenants);

/** NULL is accepted. */
void mf_tenants_destroy(struct mf_tenants *tenants);

/** Nobody has any of the first n_slots, and no staged attempt has begun. */
void mf_tenants_clear(struct mf_tenants *tenants, uint32_t n_slots);

/** The slot is that of an attempt, before that gets a process. */
void mf_tenants_enter(struct mf_tenants *tenants, uint32_t slot, struct mf_attempt_key key,
                      int64_t started_wall_ns);

/** The n-th attempt that was staged begins, as all have that were staged before it. */
void mf_tenants_begin(struct mf_tenants *tenants, uint64_t n);

/** Which was the last. */
uint64_t mf_tenants_begun(const struct mf_tenants *tenants);

/** Whoever has the slot has a process now. */
void mf_tenants_set_pid(struct mf_tenants *tenants, uint32_t slot, pid_t pid);

/** It is nobody's. */
void mf_tenants_leave(struct mf_tenants *tenants, uint32_t slot);

/** Who has a slot, or NULL. */
const struct mf_tenant *mf_tenants_at(const struct mf_tenants *tenants, uint32_t slot);

#endif
