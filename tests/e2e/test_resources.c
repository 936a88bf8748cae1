/* mem= and gpus= of tasks, on a node whose memory and GPUs the options say. */
#include "support/shell.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>

static void enter(void)
{
    t_enter_dir();
    unsetenv("CUDA_VISIBLE_DEVICES");
    unsetenv("ROCR_VISIBLE_DEVICES");
}

TestSuite(resources, .init = enter, .fini = t_leave_dir);

Test(resources, tasks_never_share_a_gpu_at_the_same_time)
{
    /* A directory for each GPU in use: making it a second time would fail. */
    t_write("task", "#!/bin/sh\nfor gpu in $(echo $CUDA_VISIBLE_DEVICES | tr , ' '); do\n"
                    "mkdir used.$gpu || exit 1\necho $gpu >> log\ndone\nsleep 0.05\n"
                    "for gpu in $(echo $MPIFARM_GPUS | tr , ' '); do rmdir used.$gpu; done\n");
    t_write("tasks.txt", "#FARM gpus=1\n");
    t_sh("chmod +x task; for i in 1 2 3 4 5 6 7 8 9 10; do echo ./task; done >> tasks.txt; "
         "echo '[gpus=2] ./task' >> tasks.txt");
    struct t_result result = t_sh("mpifarm run --gpus 2 --jobs 4 tasks.txt");
    cr_assert(eq(int, result.status, 0), "%s", result.err);
    cr_assert(t_count_lines(t_read("log"), "0") >= 2);
    cr_assert(t_count_lines(t_read("log"), "1") >= 2);
    cr_assert(eq(int, t_count_lines(t_read("log"), ""), 12));
}

Test(resources, gpus_are_those_of_the_environment)
{
    t_write("tasks.txt", "[gpus=1] echo $CUDA_VISIBLE_DEVICES\necho $CUDA_VISIBLE_DEVICES\n");
    struct t_result result = t_sh("CUDA_VISIBLE_DEVICES=GPU-a,7 mpifarm run -k tasks.txt");
    cr_assert(eq(int, result.status, 0), "%s", result.err);
    cr_assert(eq(str, result.out, "GPU-a\nGPU-a,7\n"));
}

Test(resources, gpus_of_another_maker_are_given_by_its_variable)
{
    t_write("tasks.txt", "[gpus=1] echo $ROCR_VISIBLE_DEVICES $MPIFARM_GPUS ${CUDA_VISIBLE_DEVICES-"
                         "none} ${GPU_DEVICE_ORDINAL-none}\n");
    struct t_result result =
        t_sh("ROCR_VISIBLE_DEVICES=2,3 GPU_DEVICE_ORDINAL=0,1 mpifarm run tasks.txt");
    cr_assert(eq(int, result.status, 0), "%s", result.err);
    cr_assert(eq(str, result.out, "2 2 none none\n"));
}

Test(resources, parts_of_a_gpu_are_given_by_their_names)
{
    t_write("tasks.txt", "[gpus=2] echo $CUDA_VISIBLE_DEVICES\n");
    struct t_result result =
        t_sh("CUDA_VISIBLE_DEVICES=MIG-7f3c/1/0,MIG-7f3c/2/0 mpifarm run tasks.txt");
    cr_assert(eq(int, result.status, 0), "%s", result.err);
    cr_assert(eq(str, result.out, "MIG-7f3c/1/0,MIG-7f3c/2/0\n"));
}

Test(resources, more_gpus_than_there_are_fail_at_once_in_a_stream)
{
    t_write("tasks.txt", "[gpus=3] echo never\n[gpus=2] echo two\n");
    struct t_result result = t_sh("cat tasks.txt | mpifarm run --gpus 2 -");
    cr_assert(eq(int, result.status, 1));
    cr_assert(eq(str, result.out, "two\n"));
    cr_assert(t_has(result.err, "needs 3 GPUs, and the largest worker has 2"), "%s", result.err);
}

Test(resources, tasks_wait_for_their_memory)
{
    t_write("task", "#!/bin/sh\nmkdir used || exit 1\nsleep 0.1\nrmdir used\n");
    t_write("tasks.txt", "#FARM mem=600M\n./task\n./task\n./task\n");
    struct t_result result = t_sh("chmod +x task; mpifarm run --mem 1G --jobs 4 tasks.txt");
    cr_assert(eq(int, result.status, 0), "%s", result.err);
}

Test(resources, more_memory_than_there_is_fails_at_once_in_a_stream)
{
    t_write("tasks.txt", "[mem=3G] echo never\n[mem=2G] echo two\n");
    struct t_result result = t_sh("cat tasks.txt | mpifarm run --mem 2G -");
    cr_assert(eq(int, result.status, 1));
    cr_assert(eq(str, result.out, "two\n"));
    cr_assert(t_has(result.err, "needs 3.0 GiB of memory, and the largest worker has 2.0 GiB"),
              "%s", result.err);
}

Test(resources, little_memory_is_not_shown_as_none)
{
    t_write("tasks.txt", "[mem=900K] echo never\n");
    struct t_result result = t_sh("mpifarm run --mem 512K tasks.txt");
    cr_assert(eq(int, result.status, 2));
    cr_assert(t_has(result.err, "needs 900.0 KiB of memory, and the largest worker has 512.0 KiB"),
              "%s", result.err);
}

Test(resources, more_of_a_countable_than_the_run_has_is_refused)
{
    t_write("tasks.txt", "true\n[licence.x=5] true\n");
    struct t_result result = t_sh("mpifarm run --resource licence.x=4 tasks.txt");
    cr_assert(eq(int, result.status, 2));
    cr_assert(t_has(result.err, "tasks.txt:2: in [key=value ...]: licence.x: the run has 4, so 5 "
                                "can never be had"),
              "%s", result.err);
}

Test(resources, topo_shows_the_gpus_of_a_machine_and_what_is_near_them)
{
    struct t_result result = t_sh("mpifarm topo --synthetic $T_SOURCE_DIR/tests/topo/gpus.xml "
                                  "--ranks 3");
    cr_assert(eq(int, result.status, 0), "%s", result.err);
    cr_assert(t_has(result.out, "cores 4, slots 4, GPUs 4, ranks 3; rank 0 schedules"), "%s",
              result.out);
    cr_assert(t_has(result.out, "     1      1      0      0        0  0          0 "), "%s",
              result.out);
    cr_assert(t_has(result.out, "     2      4      3      1        1  3          1,2 "), "%s",
              result.out);
    cr_assert(t_has(result.out, "     2  2                         1        1  3-4\n"), "%s",
              result.out);
    cr_assert(t_has(result.out, "     1  3                         -        -  -\n"), "%s",
              result.out);
    result = t_sh("mpifarm topo --synthetic none.xml");
    cr_assert(eq(int, result.status, 2));
    cr_assert(t_has(result.err, "cannot read a topology from the file \"none.xml\""), "%s",
              result.err);
}

Test(resources, a_task_over_its_memory_is_ended_and_others_go_on)
{
    t_write("tasks.txt",
            "[id=large mem=50M] x=$(head -c 209715200 /dev/zero | tr '\\0' x); sleep 300\n"
            "[id=small mem=50M] sleep 1; echo small\n"
            "[id=free] x=$(head -c 209715200 /dev/zero | tr '\\0' x); sleep 1; echo free\n");
    struct t_result result = t_sh("mpifarm run -k -j 3 --mem 8G tasks.txt");
    cr_assert(eq(int, result.status, 1));
    cr_assert(eq(str, result.out, "small\nfree\n"));
    cr_assert(t_has(result.err, "over its memory of 50.0 MiB (used "), "%s", result.err);
    cr_assert(t_has(result.err, "2 done, 1 failed"), "%s", result.err);
}

Test(resources, a_task_over_its_memory_is_tried_again_with_more)
{
    t_write("tasks.txt", "[mem=100M] x=$(head -c 209715200 /dev/zero | tr '\\0' x); "
                         "test $MPIFARM_ATTEMPT = 2 || sleep 300; echo $MPIFARM_ATTEMPT\n");
    struct t_result result = t_sh("mpifarm run --mem 1G --retries 3 --mem-retry x10 tasks.txt");
    cr_assert(eq(int, result.status, 0), "%s", result.err);
    cr_assert(eq(str, result.out, "2\n"));
}

Test(resources, a_task_is_not_tried_again_where_no_worker_has_more_memory)
{
    t_write("tasks.txt", "[id=large mem=50M] echo >> tries; x=$(head -c 209715200 /dev/zero | tr "
                         "'\\0' x); sleep 300\n");
    struct t_result result =
        t_sh("mpifarm run --mem 100M --retries 5 --mem-retry x4 tasks.txt; wc -l < tries");

    cr_assert(eq(str, result.out, "2\n"), "%s", result.err);
    cr_assert(t_has(result.err, "over its memory of 100.0 MiB (used "), "%s", result.err);
    cr_assert(t_has(result.err, "), and no worker has more, 2 attempts)"), "%s", result.err);
}

Test(resources, explain_tells_of_the_memory_of_all_processes_of_a_task)
{
    /* The shell is ended before it has waited for the one that is large. */
    t_write("tasks.txt", "[id=large mem=50M] sh -c 'x=$(head -c 209715200 /dev/zero | tr \"\\0\" "
                         "x); sleep 300' & wait\n");
    struct t_result result = t_sh(
        "mpifarm run --mem 8G tasks.txt; mpifarm explain mpifarm-run large | "
        "awk '$1 == 1 {for (i = 1; i < NF; i++) if ($i ~ /B$/) {print ($(i - 1) > 50); exit}}'");

    cr_assert(eq(str, result.out, "1\n"), "%s %s", result.err,
              t_sh("mpifarm explain mpifarm-run large").out);
}

Test(resources, ranks_of_a_node_share_its_gpus)
{
    /* Each waits until both ranks have begun one. */
    t_write("task", "#!/bin/sh\nmkdir used.$MPIFARM_GPUS || exit 1\necho $MPIFARM_RANK >> log\n"
                    "until grep -q 1 log && grep -q 2 log; do sleep 0.01; done\n"
                    "rmdir used.$MPIFARM_GPUS\n");
    t_write("tasks.txt", "#FARM gpus=1\n./task\n./task\n./task\n./task\n");
    struct t_result result = t_sh("chmod +x task; %s run --gpus 2 -j 4 tasks.txt", t_mpifarm(3));
    cr_assert(eq(int, result.status, 0), "%s", result.err);
    cr_assert(t_has(result.err, "4 done"), "%s", result.err);
    cr_assert(t_count_lines(t_read("log"), "1") > 0 && t_count_lines(t_read("log"), "2") > 0);
}

Test(resources, a_node_without_memory_or_with_gpus_that_cannot_be_is_refused)
{
    t_write("tasks.txt", "true\n");
    cr_assert(eq(int, t_sh("mpifarm run --mem 0 tasks.txt").status, 2));
    cr_assert(eq(int, t_sh("mpifarm run --mem much tasks.txt").status, 2));
    cr_assert(eq(int, t_sh("mpifarm run --mem-retry x1 tasks.txt").status, 2));
    cr_assert(eq(int, t_sh("mpifarm run --mem-retry 2 tasks.txt").status, 2));
    cr_assert(eq(int, t_sh("mpifarm run --gpus -1 tasks.txt").status, 2));
    cr_assert(eq(int, t_sh("mpifarm map --gpus 5000 true ::: 1").status, 2));
}

/* --- ranks and nodes --- */

Test(resources, ranks_are_those_of_one_mpi_program)
{
    setenv("OMPI_ALLOW_RUN_AS_ROOT", "1", 1);
    setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1", 1);
    t_write("tasks.txt",
            "[ranks=2 cores=2 gpus=1] echo $OMPI_COMM_WORLD_RANK of $OMPI_COMM_WORLD_SIZE "
            "$MPIFARM_RANKS $OMP_NUM_THREADS, GPU $CUDA_VISIBLE_DEVICES\n[nodes=1 cores=3] cat "
            "$MPIFARM_HOSTFILE\n");
    struct t_result result =
        t_sh("unset OMP_NUM_THREADS; mkdir scratch; "
             "TMPDIR=$PWD/scratch mpifarm run -k -j 4 --gpus 2 tasks.txt > out; "
             "grep -v slots out | sort; sed 's/.* //' out | tail -n 1; "
             "ls scratch | grep mpifarm");
    cr_assert(eq(str, result.out, "0 of 2 2 2, GPU 0\n1 of 2 2 2, GPU 0\nslots=3\n"), "%s%s",
              result.out, result.err);
}

/* They are no children of it, and no signal to the group of the task comes to them. */
Test(resources, no_rank_outlives_a_launcher_that_was_killed)
{
    t_write("mpirun", "#!/bin/sh\nwhile [ $1 != ./rank ]; do shift; done\n"
                      "for i in 1 2; do setsid \"$@\" > out.$i 2>&1 & done\nwait\n");
    t_write("rank", "#!/bin/sh\n"
                    "[ $MPIFARM_ATTEMPT = 2 ] || { echo $$ >> pids; exec sleep 300; }\n"
                    "for p in $(cat pids); do grep -qs sleep /proc/$p/cmdline && echo $p lives; "
                    "done\necho again\n");
    t_write("tasks.txt", "[ranks=2 retries=2] ./rank\n");
    struct t_result result =
        t_sh("chmod +x mpirun rank; export PATH=$PWD:$PATH; unset SLURM_JOB_ID; "
             "mpifarm run -j 2 tasks.txt 2> err & pid=$!; "
             "await sh -c '[ $(cat pids | wc -l) = 2 ]' 2> /dev/null; "
             "kill -9 $(ps -o ppid= -p $(head -n 1 pids)); wait $pid; echo $?; cat out.*");
    cr_assert(eq(str, result.out, "0\nagain\nagain\n"), "%s%s", result.out, t_read("err"));
}

Test(resources, more_nodes_than_there_are_and_policies_that_suspend_are_refused)
{
    t_write("tasks.txt", "touch ran\n[nodes=2 ranks=4] touch ran\n");
    struct t_result result = t_sh("mpifarm run tasks.txt || ls ran");
    cr_assert(eq(str, result.err,
                 "mpifarm: tasks.txt:2: the task needs 2 nodes, and the run has 1"
                 "\nls: cannot access 'ran': No such file or directory\n"));
    t_write("tasks.txt", "[nodes=2] touch ran\n");
    result = t_sh("mpifarm run --policy rr tasks.txt");
    cr_assert(eq(int, result.status, 2));
    cr_assert(t_has(result.err, "tasks.txt:1: "), "%s", result.err);
}
