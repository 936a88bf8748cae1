/* What commands write, however much it is. */
#include "rig.h"

#include <criterion/criterion.h>

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* Largest resident set of a process so far, in KiB. */
static long peak_rss_kib(pid_t pid)
{
    char path[64], line[256];
    long peak = -1;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    file = fopen(path, "re");
    cr_assert(file);
    while (peak < 0 && fgets(line, sizeof(line), file))
        if (sscanf(line, "VmHWM: %ld", &peak) != 1)
            peak = -1;
    fclose(file);
    return peak;
}

Test(streams, both_are_kept_apart)
{
    struct rig *rig = rig_create((struct rig_options){0});
    struct rig_task *task = rig_run(rig, "echo out; echo err >&2; echo out2");

    cr_assert_str_eq(task->text[MF_STDOUT], "out\nout2\n");
    cr_assert_str_eq(task->text[MF_STDERR], "err\n");
    cr_assert_eq(task->outcome.produced_bytes[MF_STDOUT], 9);
    cr_assert_eq(task->outcome.produced_bytes[MF_STDERR], 4);
    cr_assert_eq(task->outcome.dropped_bytes[MF_STDOUT], 0);
    rig_destroy(rig);
}

Test(streams, binary_output_without_a_final_newline_is_unchanged)
{
    struct rig *rig = rig_create((struct rig_options){0});
    struct rig_task *task = rig_run(rig, "printf 'a\\000\\377\\nb'");

    cr_assert_eq(task->size[MF_STDOUT], 5);
    cr_assert_arr_eq(task->text[MF_STDOUT], "a\0\377\nb", 5);
    rig_destroy(rig);
}

Test(streams, output_beyond_memory_is_complete)
{
    struct rig *rig = rig_create((struct rig_options){0});
    struct rig_task *task;
    const char *text;

    rig->keeps_output = true;
    task = rig_run(rig, "seq 1000000; seq 100000 >&2");
    cr_assert_eq(task->outcome.produced_bytes[MF_STDOUT], 6888896);
    cr_assert_eq(task->outcome.produced_bytes[MF_STDERR], 588895);
    cr_assert_not(mf_output_is_small(task->output));
    cr_assert_eq(mf_output_size(task->output, MF_STDOUT), 6888896);

    text = "seq 1000000 | sha256sum; seq 100000 | sha256sum";
    for (int i = 0; i < MF_N_STREAMS; i++) {
        FILE *file = fopen(rig_path(i ? "1" : "0"), "we");
        char bytes[50000];
        uint64_t offset = 0;
        ssize_t n;

        cr_assert(file);
        while ((n = mf_output_read(task->output, (enum mf_stream)i, offset, bytes, sizeof(bytes))) >
               0) {
            cr_assert_eq(fwrite(bytes, 1, (size_t)n, file), (size_t)n);
            offset += (uint64_t)n;
        }
        fclose(file);
    }
    rig->keeps_output = false;
    {
        char compare[600];

        snprintf(compare, sizeof(compare), "cd %s; sha256sum <0; sha256sum <1", rig_path(""));
        rig_sh(rig, 2, 0, text);
        rig_sh(rig, 3, 1, compare);
        rig_wait_all(rig, 3);
        cr_assert_str_eq(rig->tasks[2].text[MF_STDOUT], rig->tasks[3].text[MF_STDOUT]);
    }
    rig_destroy(rig);
}

Test(streams, limit_keeps_head_and_tail_exactly)
{
    struct rig *rig = rig_create((struct rig_options){.limit = 1 << 20});
    struct rig_task *task;
    const uint64_t size = 64 << 20;
    char expected[64], marker[64] = "", edge;
    uint64_t kept = 1 << 20;

    rig->keeps_output = true;
    task = rig_run(rig, "printf H; head -c 67108862 /dev/zero; printf T");
    cr_assert_eq(task->outcome.produced_bytes[MF_STDOUT], size);
    cr_assert_eq(task->outcome.dropped_bytes[MF_STDOUT], size - kept);

    snprintf(expected, sizeof(expected), "\n[mpifarm: %" PRIu64 " bytes dropped]\n", size - kept);
    cr_assert_eq(mf_output_size(task->output, MF_STDOUT), kept + strlen(expected));
    cr_assert_eq(mf_output_read(task->output, MF_STDOUT, kept / 2, marker, strlen(expected)),
                 (ssize_t)strlen(expected));
    cr_assert_str_eq(marker, expected);
    cr_assert_eq(mf_output_read(task->output, MF_STDOUT, 0, &edge, 1), 1);
    cr_assert_eq(edge, 'H');
    cr_assert_eq(mf_output_read(task->output, MF_STDOUT, kept + strlen(expected) - 1, &edge, 1), 1);
    cr_assert_eq(edge, 'T');
    cr_assert_eq(mf_output_read(task->output, MF_STDOUT, kept + strlen(expected), &edge, 1), 0);
    rig_destroy(rig);
}

Test(streams, gibibyte_is_kept_in_little_memory, .timeout = 600)
{
    struct rig *rig = rig_create((struct rig_options){0});
    struct rig_task *task;
    struct rusage own;

    rig->keeps_output = true;
    task = rig_run(rig, "head -c 1G /dev/zero");
    cr_assert_eq(task->outcome.cause, MF_CAUSE_NONE, "%s", task->outcome.detail);
    cr_assert_eq(mf_output_size(task->output, MF_STDOUT), UINT64_C(1) << 30);
    cr_assert_lt(peak_rss_kib(rig->launcher_pid), 64 * 1024);
    cr_assert_eq(getrusage(RUSAGE_SELF, &own), 0);
    cr_assert_lt(own.ru_maxrss, 128 * 1024);
    rig_destroy(rig);
}

Test(streams, full_disk_ends_the_attempt_and_keeps_what_fits)
{
    struct rig *rig = rig_create((struct rig_options){.spill_dir = "/no/such/dir"});
    struct rig_task *task;

    rig_sh(rig, 1, 0, "yes");
    task = rig_wait_ended(rig, 1);
    cr_assert_eq(task->outcome.cause, MF_CAUSE_OUTPUT);
    cr_assert_str_eq(task->outcome.detail,
                     "cannot store output in /no/such/dir: No such file or directory");
    cr_assert_eq(strncmp(task->text[MF_STDOUT], "y\ny\ny\n", 6), 0);
    cr_assert_gt(task->outcome.produced_bytes[MF_STDOUT], 0);
    rig_destroy(rig);
}

Test(streams, reader_that_keeps_many_outputs_open_holds_new_starts_back)
{
    struct rig *rig = rig_create((struct rig_options){.n_slots = 1});
    enum { N = 100 };

    rig->keeps_output = true;
    rig_sh(rig, 1, 0, "head -c 100000 /dev/zero");
    for (mf_task_id task = 2; task <= N; task++)
        rig_sh(rig, task, RIG_STAGED, "head -c 100000 /dev/zero");
    rig_wait_all(rig, 65);
    /* The next has its slot and does not begin. It can be given back, which proves that. */
    rig->executor->ops->unstage(rig->executor, 66, 1);
    rig_wait(rig, &rig->tasks[66].is_unstaged);
    cr_assert_eq(rig->n_ended, 65);

    rig->keeps_output = false;
    for (mf_task_id task = 1; task <= 65; task++) {
        mf_output_close(rig->tasks[task].output);
        rig->tasks[task].output = NULL;
    }
    rig_wait_all(rig, N - 1);
    rig_destroy(rig);
}

Test(streams, output_may_be_read_after_the_executor_is_gone)
{
    struct rig *rig = rig_create((struct rig_options){0});
    struct mf_output *output;
    char byte;

    rig->keeps_output = true;
    output = rig_run(rig, "head -c 100000 /dev/zero")->output;
    rig->tasks[1].output = NULL;
    rig_destroy(rig);
    cr_assert_eq(mf_output_read(output, MF_STDOUT, 99999, &byte, 1), 1);
    mf_output_close(output);
}

Test(streams, output_of_a_child_that_outlives_the_main_process_counts)
{
    struct rig *rig = rig_create((struct rig_options){0});
    char text[600];
    struct rig_task *task;

    /* The child speaks only after its parent is gone. */
    snprintf(text, sizeof(text),
             "parent=$$; (while [ -d /proc/$parent ] && ! grep -q 'State:.Z' /proc/$parent/status; "
             "do :; done; echo late) & echo early");
    task = rig_run(rig, text);
    cr_assert_str_eq(task->text[MF_STDOUT], "early\nlate\n");
    cr_assert_eq(task->outcome.cause, MF_CAUSE_NONE);
    cr_assert_str_eq(task->outcome.detail, "");
    rig_destroy(rig);
}
