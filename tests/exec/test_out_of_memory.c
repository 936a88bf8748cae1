/* Whether a kill was for want of memory, by a made-up /proc and /sys. */
#include "exec/out_of_memory.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GIB (UINT64_C(1) << 30)

static char root[64];

static void make_root(void)
{
    strcpy(root, "/tmp/mf-oom-XXXXXX");
    cr_assert(mkdtemp(root));
}

static void remove_root(void)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -rf %s", root);
    cr_assert_eq(system(command), 0);
}

TestSuite(out_of_memory, .init = make_root, .fini = remove_root);

static void put(const char *path, const char *text)
{
    char command[1024];

    snprintf(command, sizeof(command), "mkdir -p $(dirname %s%s) && printf '%s' > %s%s", root, path,
             text, root, path);
    cr_assert_eq(system(command), 0);
}

/* A machine of 64 GiB, with this process in a group of 16 GiB within one without a limit. */
static void put_machine(void)
{
    put("/proc/meminfo", "MemTotal:       67108864 kB\nMemFree: 1 kB\n");
    put("/proc/vmstat", "nr_free_pages 7\noom_kill 3\n");
    put("/proc/self/cgroup", "0::/job/step\n");
}

static const char *explain(struct mf_out_of_memory *watch, uint64_t peak_bytes)
{
    static char text[160];

    return mf_out_of_memory_explain(watch, root, peak_bytes, text, sizeof(text)) ? text : "";
}

Test(out_of_memory, a_kill_by_the_kernel_is_told_with_both_numbers_once)
{
    struct mf_out_of_memory watch;

    put_machine();
    mf_out_of_memory_begin(&watch, root);
    cr_assert_str_eq(explain(&watch, GIB), "");
    put("/proc/vmstat", "oom_kill 4\n");
    cr_assert_str_eq(explain(&watch, GIB),
                     "peak memory 1.0 GiB of 64.0 GiB: probably out of memory");
    cr_assert_str_eq(explain(&watch, GIB), "");
}

Test(out_of_memory, a_peak_near_the_least_limit_is_told)
{
    struct mf_out_of_memory watch;

    put_machine();
    put("/sys/fs/cgroup/job/memory.max", "17179869184\n");
    put("/sys/fs/cgroup/job/step/memory.max", "max\n");
    mf_out_of_memory_begin(&watch, root);
    cr_assert_str_eq(explain(&watch, 8 * GIB), "");
    cr_assert_str_eq(explain(&watch, 15 * GIB),
                     "peak memory 15.0 GiB of 16.0 GiB: probably out of memory");
}

Test(out_of_memory, where_nothing_can_be_read_nothing_is_said)
{
    struct mf_out_of_memory watch;

    mf_out_of_memory_begin(&watch, root);
    cr_assert_str_eq(explain(&watch, 64 * GIB), "");
}
