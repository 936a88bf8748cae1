/* Memory shared by a launcher and its rank: see tenants.h. */
#include "exec/tenants.h"

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>

int mf_tenants_create(struct mf_tenants **ret_tenants)
{
    void *memory = mmap(NULL, sizeof(struct mf_tenants), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED)
        return -errno;
    *ret_tenants = memory;
    return 0;
}

void mf_tenants_destroy(struct mf_tenants *tenants)
{
    if (tenants)
        (void)munmap(tenants, sizeof(*tenants));
}

void mf_tenants_clear(struct mf_tenants *tenants, uint32_t n_slots)
{
    for (uint32_t slot = 0; slot < n_slots; slot++)
        mf_tenants_leave(tenants, slot);
    mf_tenants_begin(tenants, 0);
}

void mf_tenants_begin(struct mf_tenants *tenants, uint64_t n)
{
    atomic_store_explicit(&tenants->n_begun, n, memory_order_release);
}

uint64_t mf_tenants_begun(const struct mf_tenants *tenants)
{
    return atomic_load_explicit(&tenants->n_begun, memory_order_acquire);
}

void mf_tenants_enter(struct mf_tenants *tenants, uint32_t slot, struct mf_attempt_key key,
                      int64_t started_wall_ns)
{
    struct mf_tenant *tenant;

    if (slot >= MF_TENANTS_MAX)
        return;
    tenant = &tenants->slots[slot];
    tenant->task = key.task;
    tenant->started_wall_ns = started_wall_ns;
    tenant->pid = 0;
    /* Last, as the launcher may be killed at any moment: whoever is there is there whole. */
    atomic_store_explicit(&tenant->attempt, key.attempt, memory_order_release);
}

void mf_tenants_set_pid(struct mf_tenants *tenants, uint32_t slot, pid_t pid)
{
    if (slot < MF_TENANTS_MAX)
        tenants->slots[slot].pid = pid;
}

void mf_tenants_leave(struct mf_tenants *tenants, uint32_t slot)
{
    if (slot < MF_TENANTS_MAX)
        atomic_store_explicit(&tenants->slots[slot].attempt, 0, memory_order_release);
}

const struct mf_tenant *mf_tenants_at(const struct mf_tenants *tenants, uint32_t slot)
{
    if (slot >= MF_TENANTS_MAX ||
        atomic_load_explicit(&tenants->slots[slot].attempt, memory_order_acquire) == 0)
        return NULL;
    return &tenants->slots[slot];
}
