/* Huge pages for what is large: see large.h. */
#include "base/large.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* Two huge pages of most machines, one of which is surely whole wherever the memory begins. */
#define LARGE_BYTES ((size_t)4 << 20)

void mf_large_advise(void *data, size_t size)
{
    uintptr_t page, first, end;

    if (size < LARGE_BYTES)
        return;
    page = (uintptr_t)sysconf(_SC_PAGESIZE);
    first = ((uintptr_t)data + page - 1) / page * page;
    end = ((uintptr_t)data + size) / page * page;
    /* A kernel without huge pages refuses, and nothing is different. */
    (void)madvise((void *)first, end - first, MADV_HUGEPAGE);
}

void *mf_large_alloc(size_t size)
{
    void *data = malloc(size ? size : 1);

    if (data)
        mf_large_advise(data, size);
    return data;
}
