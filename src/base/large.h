/*
 * Memory of large bodies: inputs, results, checkpoints and blocks.
 *
 * The kernel gives it a page at a time, as it is touched, which takes longer than to copy what goes
 * there. Where it has huge pages to give, it gives those. The advice is of the addresses: what the
 * C library makes of them after free() has it, too.
 */
#ifndef MF_BASE_LARGE_H
#define MF_BASE_LARGE_H

#include <stddef.h>

/** Advises the kernel about memory that is about to be filled; a no-op unless it is large. */
void mf_large_advise(void *data, size_t size);

/** malloc(), with that advice; of at least one byte. */
void *mf_large_alloc(size_t size);

#endif
