/* Memory of process groups: measured in a made-up /proc, and limited in the real one. */
#include "exec/memory.h"
#include "rig.h"

#include <criterion/criterion.h>

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KIB UINT64_C(1024)
#define MIB (UINT64_C(1) << 20)

static char proc[] = "/tmp/mf_proc_XXXXXX";

static void make_proc(void)
{
    cr_assert(mkdtemp(proc) != NULL);
}

static void remove_proc(void)
{
    char command[64];

    snprintf(command, sizeof(command), "rm -r %s", proc);
    cr_assert_eq(system(command), 0);
}

TestSuite(memory, .init = make_proc, .fini = remove_proc);

static void put(const char *pid, const char *name, const char *text)
{
    char path[128];
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", proc, pid);
    mkdir(path, 0777);
    snprintf(path, sizeof(path), "%s/%s/%s", proc, pid, name);
    file = fopen(path, "w");
    cr_assert(file != NULL);
    fputs(text, file);
    fclose(file);
}

static void put_child(const char *pid, const char *name, int parent, int group, int n_pages)
{
    char text[256];

    snprintf(text, sizeof(text),
             "%s (%s) S %d %d %d 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 12345 99999999 %d "
             "18446744073709551615 1 1\n",
             pid, name, parent, group, group, n_pages);
    put(pid, "stat", text);
}

static void put_process(const char *pid, const char *name, int group, int n_pages)
{
    put_child(pid, name, 1, group, n_pages);
}

Test(memory, what_the_processes_of_a_group_have_resident_is_summed_up)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    struct mf_group_use uses[] = {{.group = 7}, {.group = 10}, {.group = 12}};

    put_process("10", "sh", 10, 3);
    put_process("11", "a) S 1 12 (b", 10, 5);
    put_process("12", "other", 12, 100);
    put_process("13", "third", 13, 1000);
    put("self", "stat", "nothing to look at");
    put("14", "stat", "damaged");
    cr_assert_eq(mf_memory_measure(proc, uses, 3, false), 0);
    cr_assert_eq(uses[0].used_bytes, 0);
    cr_assert_eq(uses[1].used_bytes, 8 * page);
    cr_assert_eq(uses[2].used_bytes, 100 * page);
}

Test(memory, shared_pages_are_divided_where_that_may_be_read)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    struct mf_group_use use = {.group = 10};

    put_process("10", "parent", 10, 1000);
    put("10", "smaps_rollup",
        "5600-7ffc ---p 00000000 00:00 0 [rollup]\nRss:  4000 kB\nPss:  2100 kB\n"
        "Pss_Dirty: 9 kB\n");
    put_process("11", "child", 10, 50);
    cr_assert_eq(mf_memory_measure(proc, &use, 1, true), 0);
    cr_assert_eq(use.used_bytes, 2100 * KIB + 50 * page);
}

Test(memory, own_memory_of_a_process_is_anonymous_resident_or_swapped_out)
{
    uint64_t bytes = 0;

    put("10", "status",
        "Name:\tsh\nVmRSS:\t    5000 kB\nRssAnon:\t     300 kB\nRssFile:\t    4700 kB\n"
        "VmSwap:\t      20 kB\nThreads:\t1\n");
    put("11", "status", "Name:\told\nVmRSS:\t    5000 kB\n");
    cr_assert_eq(mf_memory_own_of(proc, 10, &bytes), 0);
    cr_assert_eq(bytes, 320 * KIB);
    cr_assert_eq(mf_memory_own_of(proc, 11, &bytes), -ENOTSUP);
    cr_assert_eq(mf_memory_own_of(proc, 12, &bytes), -ESRCH);
    cr_assert_eq(bytes, 320 * KIB);
}

Test(memory, what_has_left_its_group_counts_for_that_of_its_ancestors)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    struct mf_group_use uses[] = {{.group = 10}, {.group = 20}};

    put_process("10", "sh", 10, 1);
    put_child("11", "setsid", 10, 11, 20);
    put_child("9", "below", 11, 11, 300);
    put_child("20", "other", 10, 20, 4000);
    put_child("21", "third", 20, 21, 50000);
    /* Read while they came and went: each the parent of the other. */
    put_child("30", "ring", 31, 30, 1);
    put_child("31", "ring", 30, 31, 1);
    cr_assert_eq(mf_memory_measure(proc, uses, 2, false), 0);
    cr_assert_eq(uses[0].used_bytes, 321 * page);
    cr_assert_eq(uses[1].used_bytes, 54000 * page);
}

Test(memory, an_orphan_is_known_by_the_task_in_its_environment)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    struct mf_group_use uses[] = {{.group = 10, .task_id = "a", .try_number = 1},
                                  {.group = 20, .task_id = "a", .try_number = 2}};
    static const char environment[] = "A=MPIFARM_TASK_ID=b\0MPIFARM_TASK_ID=a\0MPIFARM_ATTEMPT=2";
    FILE *file;
    char path[128];

    put_child("40", "daemon", getpid(), 40, 7);
    put_child("41", "below", 40, 41, 70);
    put_child("42", "stranger", getpid(), 42, 700);
    put("42", "environ", "MPIFARM_TASK_ID=ab");
    snprintf(path, sizeof(path), "%s/40/environ", proc);
    file = fopen(path, "w");
    cr_assert(file != NULL);
    fwrite(environment, 1, sizeof(environment), file);
    fclose(file);
    cr_assert_eq(mf_memory_measure(proc, uses, 2, false), 0);
    cr_assert_eq(uses[0].used_bytes, 0);
    cr_assert_eq(uses[1].used_bytes, 77 * page);
}

Test(memory, the_next_look_comes_before_the_limit_can_be_reached)
{
    struct mf_memory_trend trend = {0};

    /* 10 MiB in 10 ms leave 900 ms, of which half is more than the longest time. */
    cr_assert_eq(mf_memory_next_look(&trend, 10 * MIB, 910 * MIB, 10000000), 100000000);
    /* 800 MiB more in 100 ms: the rest takes 12.5 ms. */
    cr_assert_eq(mf_memory_next_look(&trend, 810 * MIB, 910 * MIB, 110000000), 6250000);
    cr_assert_eq(mf_memory_next_look(&trend, 900 * MIB, 910 * MIB, 116250000), 5000000);
    /* What does not grow, or gives back, has time. */
    cr_assert_eq(mf_memory_next_look(&trend, 900 * MIB, 910 * MIB, 121250000), 100000000);
    cr_assert_eq(mf_memory_next_look(&trend, 100 * MIB, 910 * MIB, 221250000), 100000000);
    cr_assert_eq(mf_memory_next_look(&trend, 920 * MIB, 910 * MIB, 221250000), 5000000);
}

Test(memory, without_proc_nothing_is_known)
{
    struct mf_group_use use = {.group = 10};

    cr_assert_eq(mf_memory_measure("/no/such/proc", &use, 1, false), -ENOENT);
}

/* --- limits --- */

static void start(struct rig *rig, mf_task_id task, uint32_t slot, uint64_t mem_bytes,
                  const char *text)
{
    struct mf_command command = {.id = "a", .is_shell = true, .n_args = 1, .args = &text};
    struct mf_buffer bytes = {0};
    struct mf_start start = {
        .task = task, .attempt = 1, .n_slots = 1, .slots = &slot, .mem_bytes = mem_bytes};

    mf_command_encode(&command, &bytes);
    start.command = bytes.data;
    start.command_size = bytes.size;
    cr_assert_eq(rig->executor->ops->start(rig->executor, &start), 0);
    rig_flush(rig);
    mf_buffer_finish(&bytes);
}

/* Fills 64 MiB and goes on: a shell keeps what it reads in its own memory. */
#define LARGE "x=$(head -c 67108864 /dev/zero | tr '\\0' x); echo full; sleep 300; echo $x"

Test(memory, an_attempt_over_its_limit_is_ended_and_says_how_much_it_used)
{
    struct rig *rig = rig_create((struct rig_options){0});
    struct rig_task *task;
    char text[300];

    start(rig, 1, 0, 20 * MIB, LARGE);
    task = rig_wait_ended(rig, 1);
    cr_assert_eq(task->outcome.cause, MF_CAUSE_MEMORY);
    cr_assert_eq(task->outcome.signal, 15);
    mf_outcome_describe(&task->outcome, text, sizeof(text));
    cr_assert(strstr(text, "over its memory of 20.0 MiB (used ") == text, "%s", text);
    rig_destroy(rig);
}

Test(memory, all_processes_of_an_attempt_count_together)
{
    struct rig *rig = rig_create((struct rig_options){0});

    start(rig, 1, 0, 100 * MIB, "(" LARGE ") & (" LARGE ") & wait");
    cr_assert_eq(rig_wait_ended(rig, 1)->outcome.cause, MF_CAUSE_MEMORY);
    rig_destroy(rig);
}

Test(memory, an_attempt_within_its_limit_and_one_without_any_go_on)
{
    struct rig *rig = rig_create((struct rig_options){0});
    static const char text[] = "x=$(head -c 33554432 /dev/zero | tr '\\0' x); sleep 0.5; echo ok";

    start(rig, 1, 0, 500 * MIB, text);
    start(rig, 2, 1, 0, text);
    cr_assert_str_eq(rig_wait_ended(rig, 1)->text[MF_STDOUT], "ok\n");
    cr_assert_str_eq(rig_wait_ended(rig, 2)->text[MF_STDOUT], "ok\n");
    rig_destroy(rig);
}

Test(memory, pages_that_forked_processes_share_count_once)
{
    struct rig *rig = rig_create((struct rig_options){0});

    /* Four processes with the same 32 MiB. */
    start(rig, 1, 0, 100 * MIB,
          "x=$(head -c 33554432 /dev/zero | tr '\\0' x); "
          "for i in 1 2 3 4; do (sleep 0.6; : $i) & done; wait; echo ok");
    cr_assert_str_eq(rig_wait_ended(rig, 1)->text[MF_STDOUT], "ok\n");
    rig_destroy(rig);
}

/* In a session of its own: says its number, and fills 64 MiB. */
#define STRAY                                                                                      \
    "setsid sh -c \"echo \\$\\$; x=\\$(head -c 67108864 /dev/zero | tr '\\\\0' x); sleep 300\""

/* The process whose number is the first line; whether it is gone is asked until it is. */
static void expect_gone(const char *text)
{
    pid_t pid = (pid_t)atoi(text);

    cr_assert(pid > 1, "%s", text);
    while (kill(pid, 0) == 0)
        usleep(1000);
    cr_assert_eq(errno, ESRCH);
}

Test(memory, what_has_left_the_group_is_counted_and_ended_too)
{
    struct rig *rig = rig_create((struct rig_options){0});
    struct rig_task *task;

    start(rig, 1, 0, 20 * MIB, STRAY " & wait");
    task = rig_wait_ended(rig, 1);
    cr_assert_eq(task->outcome.cause, MF_CAUSE_MEMORY);
    expect_gone(task->text[MF_STDOUT]);
    rig_destroy(rig);
}

Test(memory, an_orphan_that_has_left_the_group_is_counted_and_ended_too)
{
    struct rig *rig = rig_create((struct rig_options){0});
    struct rig_task *task;

    start(rig, 1, 0, 20 * MIB, "(" STRAY " &); sleep 300");
    task = rig_wait_ended(rig, 1);
    cr_assert_eq(task->outcome.cause, MF_CAUSE_MEMORY);
    expect_gone(task->text[MF_STDOUT]);
    rig_destroy(rig);
}
