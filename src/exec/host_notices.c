/* What executors of a host caller have to know of blocks: see host_caller_parts.h. */
#include "exec/host_caller_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Once all executors know all, what is gone needs no telling any more. */
static void forget_dropped(struct mf_host_caller *caller)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < caller->n_seats; i++)
        if (caller->seats[i]->is_alive && caller->seats[i]->n_notices < caller->n_notices)
            return;
    for (uint32_t i = 0; i < caller->n_notices; i++) {
        struct mf_host_notice notice = caller->notices[i];
        bool is_dropped = !notice.name;

        for (uint32_t k = i + 1; k < caller->n_notices && !is_dropped; k++)
            is_dropped = caller->notices[k].block == notice.block;
        if (is_dropped)
            free(notice.name);
        else
            caller->notices[n++] = notice;
    }
    caller->n_notices = n;
    for (uint32_t i = 0; i < caller->n_seats; i++)
        caller->seats[i]->n_notices = n;
}

int mf_host_caller_add_notice(struct mf_host_caller *caller, mpifarm_block block, const char *name,
                              size_t size)
{
    struct mf_host_notice notice = {.block = block, .size = size};

    if (caller->is_broken)
        return -EPIPE;
    if (caller->n_notices == caller->notices_capacity)
        forget_dropped(caller);
    if (caller->n_notices == caller->notices_capacity) {
        uint32_t capacity = caller->notices_capacity ? 2 * caller->notices_capacity : 16;
        struct mf_host_notice *notices = reallocarray(caller->notices, capacity, sizeof(*notices));

        if (!notices)
            return -ENOMEM;
        caller->notices = notices;
        caller->notices_capacity = capacity;
    }
    if (name && !(notice.name = strdup(name)))
        return -ENOMEM;
    caller->notices[caller->n_notices++] = notice;
    return 0;
}
