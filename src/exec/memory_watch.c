/* See memory_watch.h. Run by the rank's only thread. */
#include "exec/memory_watch.h"

#include <errno.h>
#include <stdlib.h>

void mf_memory_watch_begin(struct mf_memory_watch *watch, const char *proc, pid_t pid,
                           uint64_t limit_bytes, int64_t now_ns)
{
    *watch = (struct mf_memory_watch){
        .pid = pid, .limit_bytes = limit_bytes, .trend = {.seen_ns = now_ns}};
    (void)mf_memory_of(proc, pid, &watch->base_bytes, &watch->exact_base_bytes);
}

/* Measures all, or those that seem to be over their limit. Returns how many, or -errno. */
static int measure(const char *proc, struct mf_memory_watch *const *watches, uint32_t n,
                   bool is_exact, struct mf_group_use *uses)
{
    uint32_t n_uses = 0;
    int result;

    for (uint32_t i = 0; i < n; i++)
        if (!is_exact || watches[i]->used_bytes > watches[i]->limit_bytes)
            uses[n_uses++] = (struct mf_group_use){.group = watches[i]->pid};
    if (n_uses == 0)
        return 0;
    qsort(uses, n_uses, sizeof(*uses), mf_group_use_compare);
    result = mf_memory_measure(proc, uses, n_uses, is_exact);
    return result < 0 ? result : (int)n_uses;
}

/* What it has beyond what it had; 0 if it was not measured. */
static uint64_t got_by(const struct mf_memory_watch *watch, uint64_t base_bytes,
                       const struct mf_group_use *uses, int n_uses)
{
    struct mf_group_use key = {.group = watch->pid};
    const struct mf_group_use *use =
        bsearch(&key, uses, (size_t)n_uses, sizeof(key), mf_group_use_compare);

    return use && use->used_bytes > base_bytes ? use->used_bytes - base_bytes : 0;
}

static int look(const char *proc, struct mf_memory_watch *const *watches, uint32_t n,
                struct mf_group_use *uses, int64_t now_ns, int64_t *ret_wait_ns)
{
    int64_t wait_ns = MF_MEMORY_LOOK_MAX_NS;
    int n_uses = measure(proc, watches, n, false, uses);

    if (n_uses < 0)
        return n_uses;
    for (uint32_t i = 0; i < n; i++) {
        struct mf_memory_watch *watch = watches[i];
        int64_t one_ns;

        watch->used_bytes = got_by(watch, watch->base_bytes, uses, n_uses);
        one_ns = mf_memory_next_look(&watch->trend, watch->used_bytes, watch->limit_bytes, now_ns);
        if (one_ns < wait_ns)
            wait_ns = one_ns;
    }
    n_uses = measure(proc, watches, n, true, uses);
    if (n_uses < 0)
        return n_uses;
    for (uint32_t i = 0; i < n; i++) {
        if (watches[i]->used_bytes <= watches[i]->limit_bytes)
            continue;
        watches[i]->used_bytes = got_by(watches[i], watches[i]->exact_base_bytes, uses, n_uses);
        watches[i]->is_over = watches[i]->used_bytes > watches[i]->limit_bytes;
    }
    *ret_wait_ns = wait_ns;
    return 0;
}

int mf_memory_watch_look(const char *proc, struct mf_memory_watch *const *watches, uint32_t n,
                         int64_t now_ns, int64_t *ret_wait_ns)
{
    struct mf_group_use *uses = calloc((size_t)n + 1, sizeof(*uses));
    int result;

    if (!uses)
        return -ENOMEM;
    result = look(proc, watches, n, uses, now_ns, ret_wait_ns);
    free(uses);
    return result;
}
