/* Slot time of groups: see shares.h. Owned by one farm, used by its thread. */
#include "core/shares.h"

#include <errno.h>
#include <math.h>

void mf_shares_finish(struct mf_shares *shares)
{
    mf_table_destroy(shares->by_group);
    shares->by_group = NULL;
}

int mf_shares_reserve(struct mf_shares *shares, uint32_t group)
{
    int r = 0;

    if (!shares->by_group)
        r = mf_table_create(sizeof(group), sizeof(struct mf_share), &shares->by_group);
    if (r < 0 || mf_table_count(shares->by_group) >= MF_SHARES_MAX_GROUPS)
        return r;
    r = mf_table_insert(shares->by_group, &group, NULL);
    return r < 0 ? r : 0;
}

/* What an account grows by for some slot time. */
static double scaled(const struct mf_share *share, double slot_ns)
{
    return share->share > 0 ? slot_ns / share->share : slot_ns;
}

static struct mf_share *find(struct mf_shares *shares, uint32_t group)
{
    struct mf_share *share = shares->by_group ? mf_table_find(shares->by_group, &group) : NULL;

    return share ? share : &shares->others;
}

int mf_shares_set(struct mf_shares *shares, uint32_t group, double share)
{
    struct mf_share *account;
    int r;

    if (!(share > 0) || !isfinite(share))
        return -EINVAL;
    r = mf_shares_reserve(shares, group);
    if (r < 0)
        return r;
    account = find(shares, group);
    if (account == &shares->others)
        return -ENOSPC;
    account->share = share;
    return 0;
}

static double append(struct mf_share *share, double slot_ns)
{
    double tag = share->line_ns;

    share->line_ns += scaled(share, slot_ns);
    return tag;
}

double mf_shares_join(struct mf_shares *shares, uint32_t group, double slot_ns)
{
    struct mf_share *share = find(shares, group);

    if (share->n_ready++ == 0) {
        if (share->used_ns < shares->now_ns)
            share->used_ns = shares->now_ns;
        share->line_ns = share->used_ns;
    }
    return append(share, slot_ns);
}

void mf_shares_leave(struct mf_shares *shares, uint32_t group)
{
    find(shares, group)->n_ready--;
}

void mf_shares_place(struct mf_shares *shares, uint32_t group, double slot_ns)
{
    struct mf_share *share = find(shares, group);

    share->n_ready--;
    if (share->used_ns > shares->now_ns)
        shares->now_ns = share->used_ns;
    share->used_ns += scaled(share, slot_ns);
}

void mf_shares_correct(struct mf_shares *shares, uint32_t group, double slot_ns)
{
    struct mf_share *share = find(shares, group);

    share->used_ns += scaled(share, slot_ns);
    share->line_ns += scaled(share, slot_ns);
}

void mf_shares_restart(struct mf_shares *shares)
{
    size_t cursor = 0;
    void *value;

    while (shares->by_group && mf_table_next(shares->by_group, &cursor, NULL, &value) == 1)
        ((struct mf_share *)value)->line_ns = ((struct mf_share *)value)->used_ns;
    shares->others.line_ns = shares->others.used_ns;
}

double mf_shares_rejoin(struct mf_shares *shares, uint32_t group, double slot_ns)
{
    return append(find(shares, group), slot_ns);
}
