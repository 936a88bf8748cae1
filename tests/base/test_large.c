/* Memory of large bodies: huge pages are asked for, of whatever the kernel has. */
#include "base/large.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Whether the kernel was advised of the memory at that address. */
static bool is_advised(const void *address)
{
    FILE *maps = fopen("/proc/self/smaps", "re");
    uintptr_t at = (uintptr_t)address, first = 0, end = 0, f, e;
    bool result = false;
    char line[512];

    cr_assert(maps != NULL);
    while (fgets(line, sizeof(line), maps)) {
        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " ", &f, &e) == 2) {
            first = f;
            end = e;
        }
        if (first <= at && at < end && strncmp(line, "VmFlags:", 8) == 0)
            result = strstr(line, " hg") != NULL;
    }
    fclose(maps);
    return result;
}

Test(large, huge_pages_are_asked_for_large_memory_alone)
{
    const size_t size = 64 << 20;
    uint8_t *large = mf_large_alloc(size), *small = mf_large_alloc(1 << 20);

    if (access("/sys/kernel/mm/transparent_hugepage/enabled", F_OK) < 0)
        cr_skip_test("this kernel has no huge pages to give");
    cr_assert(is_advised(large + size / 2));
    cr_assert_not(is_advised(small + (1 << 19)));
    memset(large, 1, size);
    cr_assert(eq(u8, large[size - 1], 1));
    free(large);
    free(small);
}

Test(large, memory_for_nothing_is_memory)
{
    void *memory = mf_large_alloc(0);

    cr_assert(memory != NULL);
    free(memory);
}

Test(large, what_cannot_be_had_is_not_advised_of)
{
#ifdef __SANITIZE_ADDRESS__
    cr_skip_test("the sanitizer ends a process that asks for so much");
#endif
    cr_assert(mf_large_alloc(SIZE_MAX / 4) == NULL);
}
