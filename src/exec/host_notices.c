/* What executors of a host caller have to know of blocks: see host_caller_parts.h. */
#include "exec/host_caller_parts.h"

#include "base/io.h"

#include <errno.h>
#include <stdlib.h>

/* Once all executors know all, what is gone needs no telling any more. */
static void forget_dropped(struct mf_host_caller *caller)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < caller->n_seats; i++)
        if (caller->seats[i]->is_alive && caller->seats[i]->n_notices < caller->n_notices)
            return;
    for (uint32_t i = 0; i < caller->n_notices; i++) {
        struct mf_host_notice notice = caller->notices[i];
        bool is_dropped = !notice.is_there;

        for (uint32_t k = i + 1; k < caller->n_notices && !is_dropped; k++)
            is_dropped = caller->notices[k].block == notice.block;
        if (!is_dropped)
            caller->notices[n++] = notice;
    }
    caller->n_notices = n;
    for (uint32_t i = 0; i < caller->n_seats; i++)
        caller->seats[i]->n_notices = n;
}

int mf_host_caller_add_notice(struct mf_host_caller *caller, const struct mf_host_notice *notice)
{
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
    caller->notices[caller->n_notices++] = *notice;
    return 0;
}

void mf_host_caller_close_blocks(struct mf_host_caller *caller, mpifarm_block block)
{
    for (uint32_t i = 0; i < caller->n_notices; i++) {
        struct mf_host_notice *notice = &caller->notices[i];
        int fd = (int)notice->place.fd;

        if (!notice->is_there || notice->is_closed || (block != 0 && notice->block != block))
            continue;
        mf_close(&fd);
        notice->is_closed = true;
    }
}
