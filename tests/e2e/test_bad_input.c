/* Bad input: one clear sentence with the place, exit status 2, and nothing started. */
#include "support/shell.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

TestSuite(bad_input, .init = t_enter_dir, .fini = t_leave_dir);

/* The whole of standard error is one line that begins and ends as it should, and nothing ran. */
static void expect_refusal(const char *command, const char *sentence)
{
    struct t_result result = t_sh("%s", command);

    cr_assert(eq(int, result.status, 2), "%s: %s", command, result.err);
    cr_assert(t_has(result.err, sentence), "%s: %s", command, result.err);
    cr_assert(eq(int, t_count_lines(result.err, ""), 1), "%s", result.err);
    cr_assert(access("ran", F_OK) != 0, "%s: a task was started", command);
}

static void refuse_file(const char *text, const char *sentence)
{
    t_write("tasks.txt", "%s", text);
    expect_refusal("mpifarm run tasks.txt", sentence);
    cr_assert(access("mpifarm-run", F_OK) != 0, "a refused run leaves no directory");
}

Test(bad_input, an_unknown_option_is_answered_with_the_nearest)
{
    t_write("tasks.txt", "touch ran\n");
    expect_refusal("mpifarm run --keep-odrer tasks.txt", "--keep-order");
    expect_refusal("mpifarm rnu tasks.txt", "run");
}

Test(bad_input, an_unknown_key_is_answered_with_the_nearest)
{
    refuse_file("touch ran\n[prority=3] touch ran\n", "tasks.txt:2: ");
    refuse_file("touch ran\n[prority=3] touch ran\n", "priority");
}

Test(bad_input, malformed_json_names_its_line)
{
    refuse_file("{\"cmd\": \"touch ran\"}\n{\"cmd\": \"touch ran\"\n", "tasks.txt:2: ");
}

Test(bad_input, a_duplicate_id_names_both_lines)
{
    refuse_file("[id=a] touch ran\ntouch ran\n[id=a] touch ran\n", "tasks.txt:3: ");
}

Test(bad_input, unknown_syntax_of_other_tools_is_not_ignored)
{
    refuse_file("touch ran\n[# 2 #] touch ran\n", "tasks.txt:2: ");
    refuse_file("touch ran\n#DISBATCH PERENGINE START touch ran\n", "tasks.txt:2: ");
}

Test(bad_input, a_nul_byte_names_its_line)
{
    struct t_result result = t_sh("printf 'touch ran\\ntouch\\0ran\\n' > tasks.txt");

    cr_assert(eq(int, result.status, 0));
    expect_refusal("mpifarm run tasks.txt", "tasks.txt:2: ");
}

Test(bad_input, a_line_of_ten_mebibytes_is_named_with_its_length)
{
    t_sh("(printf 'touch ran\\n: '; head -c 10M /dev/zero | tr '\\0' x; echo) > tasks.txt");
    expect_refusal("mpifarm run tasks.txt", "tasks.txt:2: ");
}

Test(bad_input, missing_and_unreadable_files_are_named)
{
    expect_refusal("mpifarm run no-such-file", "no-such-file: ");
    expect_refusal("mpifarm run .", ".: ");
}

Test(bad_input, values_that_make_no_sense_are_refused)
{
    t_write("tasks.txt", "touch ran\n");
    expect_refusal("mpifarm run -j x tasks.txt", "--jobs: ");
    expect_refusal("mpifarm run --timeout -3 tasks.txt", "--timeout: ");
    expect_refusal("mpifarm run --halt often tasks.txt", "--halt: ");
    expect_refusal("mpifarm run --retries 0 tasks.txt", "--retries: ");
    expect_refusal("mpifarm run --resource matlab=4 tasks.txt", "--resource: ");
    refuse_file("[cores=0] touch ran\n", "tasks.txt:1: ");
    refuse_file("[timeout=1000000000000d] touch ran\n", "tasks.txt:1: ");
}

Test(bad_input, ways_to_start_ranks_that_cannot_be_are_refused)
{
    t_write("tasks.txt", "touch ran\n");
    t_write("srun", "#!/bin/sh\n[ $1 = --mpi=list ] && echo none || touch ran\n");
    t_write("job", "chmod +x srun; PATH=$PWD:$PATH; export SLURM_JOB_ID=7 SLURM_JOB_NUM_NODES=4 "
                   "SLURM_JOB_CPUS_PER_NODE='8(x4)' "
                   "SLURM_JOB_END_TIME=$(($(date +%%s) + 3600))\n");
    expect_refusal("mpifarm run --launch=ssh tasks.txt",
                   "--launch: \"ssh\" is none of auto, none, srun and mpirun");
    expect_refusal("mpifarm run --launch=none --np 2 tasks.txt", "leave one of them out");
    expect_refusal("unset SLURM_JOB_ID; mpifarm run --launch=srun tasks.txt",
                   "--launch=srun: this is in no Slurm job; call it in a batch script");
    expect_refusal("unset SLURM_JOB_ID; mpifarm run --launch=mpirun tasks.txt",
                   "so say with --np N how many ranks");
    expect_refusal(". ./job; mpifarm run --launch=srun tasks.txt",
                   "--launch=srun: this Slurm has no PMIx");
    expect_refusal(". ./job; mpifarm run --launch=srun --np 500 tasks.txt",
                   "--np 500: job 7 has 32 CPUs");
    expect_refusal(". ./job; SLURM_HET_SIZE=2 mpifarm run --launch=srun --np 2 tasks.txt",
                   "--np 2: job 7 is heterogeneous");
    expect_refusal(". ./job; SLURM_JOB_NUM_NODES=-3 mpifarm run tasks.txt",
                   "SLURM_JOB_NUM_NODES is \"-3\", which is no number");
    expect_refusal(". ./job; SLURM_JOB_END_TIME=5 mpifarm map --launch=mpirun touch ran ::: 1",
                   "the time of job 7 was over");
    cr_assert(access("mpifarm-run", F_OK) != 0);
}

Test(bad_input, an_order_that_cannot_be_kept_is_refused)
{
    refuse_file("touch ran\n[after=fit] touch ran\n",
                "tasks.txt:2: unknown task \"fit\" in after=");
    refuse_file("[id=a after=a] touch ran\n", "tasks.txt:1: ");
    refuse_file("touch ran\n[id=a after=b] touch ran\n[id=b after=a] touch ran\n",
                "tasks.txt:2: task \"a\" comes after \"b\" (line 3), which comes after \"a\"");
}

Test(bad_input, resources_that_cannot_be_had_are_refused)
{
    refuse_file("[mem=0] touch ran\n", "tasks.txt:1: ");
    refuse_file("[gpus=-1] touch ran\n", "tasks.txt:1: ");
    refuse_file("[time=99999999999999d] touch ran\n", "tasks.txt:1: ");
    refuse_file("[licence.x=1] touch ran\n", "--resource licence.x=NUMBER");
    t_write("tasks.txt", "[licence.x=3] touch ran\n");
    expect_refusal("mpifarm run --resource licence.x=2 tasks.txt", "the run has 2");
}

Test(bad_input, needs_beyond_any_worker_are_refused_with_the_place)
{
    refuse_file("touch ran\n[cores=9999] touch ran\n[cores=9998] true\n",
                "tasks.txt:2: the task needs 9999 cores, and the largest worker has ");
    refuse_file("{\"cmd\": \"touch ran\"}\n{\"cmd\": \"touch ran\", \"cores\": 9999}\n",
                "tasks.txt:2: the task needs 9999 cores, and the largest worker has ");
    t_write("tasks.txt", "touch ran\n#FARM gpus=3\n\ntouch ran\n");
    expect_refusal("mpifarm run --gpus 2 tasks.txt",
                   "tasks.txt:4: the task needs 3 GPUs, and the largest worker has 2");
    t_write("tasks.txt", "touch ran\n[mem=3G] touch ran\n");
    expect_refusal("mpifarm run --mem 2G --output out tasks.txt",
                   "tasks.txt:2: the task needs 3.0 GiB of memory, and the largest worker has 2.0");
    cr_assert(access("mpifarm-run", F_OK) != 0 && access("out", F_OK) != 0, "nothing is made");
}

Test(bad_input, needs_of_a_workflow_beyond_any_worker_are_refused_with_the_path)
{
    t_write("flow.json",
            "{\"schemaVersion\": \"1.5\", \"workflow\": {\"specification\": {\"tasks\": ["
            "{\"name\": \"b\", \"id\": \"b\", \"parents\": [\"a\"], \"children\": []},"
            "{\"name\": \"a\", \"id\": \"a\", \"parents\": [], \"children\": [\"b\"]}]},"
            "\"execution\": {\"tasks\": ["
            "{\"id\": \"a\", \"runtimeInSeconds\": 1, \"command\": {\"program\": \"touch\", "
            "\"arguments\": [\"ran\"]}},"
            "{\"id\": \"b\", \"runtimeInSeconds\": 1, \"coreCount\": 9999, \"command\": "
            "{\"program\": \"true\"}}]}}}");
    expect_refusal("mpifarm run --format wfformat flow.json",
                   "flow.json: workflow.execution.tasks[1]: the task needs 9999 cores, and ");
}

Test(bad_input, a_run_refused_for_its_needs_leaves_the_earlier_one_as_it_was)
{
    struct t_result before, after;

    t_write("good.txt", "echo earlier\n");
    t_write("tasks.txt", "touch ran\n[cores=9999] touch ran\n");
    cr_assert(eq(int, t_sh("mpifarm run --output out good.txt").status, 0));
    before = t_sh("cat mpifarm-run/joblog.tsv; mpifarm logs mpifarm-run 1");
    expect_refusal("mpifarm run --output out tasks.txt", "tasks.txt:2: ");
    expect_refusal("mpifarm run --output out --force tasks.txt", "tasks.txt:2: ");
    after = t_sh("cat mpifarm-run/joblog.tsv; mpifarm logs mpifarm-run 1");
    cr_assert(t_has(before.out, "earlier"), "%s", before.err);
    cr_assert(eq(str, after.out, before.out), "%s", after.err);
}

Test(bad_input, needs_of_tasks_that_an_earlier_run_has_settled_are_not_looked_at)
{
    struct t_result result;

    t_write("tasks.txt", "echo one >> done\n[cores=9999] touch ran\n");
    cr_assert(eq(int, t_sh("cat tasks.txt | mpifarm run -").status, 1));
    t_sh("echo 'echo three >> done' >> tasks.txt");
    expect_refusal("mpifarm run --resume-failed tasks.txt", "tasks.txt:2: ");
    result = t_sh("mpifarm run --resume tasks.txt; echo $?; cat done");
    cr_assert(eq(str, result.out, "1\none\nthree\n"), "%s", result.err);
}

Test(bad_input, a_placeholder_without_a_list_is_refused)
{
    expect_refusal("mpifarm map touch ran{2} ::: a", "{2}");
}

Test(bad_input, over_mpi_it_is_said_once)
{
    t_write("tasks.txt", "touch ran\n[id=] touch ran\n");
    struct t_result result = t_sh("%s run tasks.txt", t_mpifarm(4));
    cr_assert(eq(int, result.status, 2), "%s", result.err);
    cr_assert(eq(int, t_count_lines(result.err, "mpifarm: tasks.txt:2: "), 1), "%s", result.err);
    cr_assert(access("ran", F_OK) != 0);
}

Test(bad_input, over_mpi_needs_are_compared_with_what_a_worker_has_of_its_node)
{
    t_write("tasks.txt", "touch ran\n[gpus=2] touch ran\n");
    struct t_result result = t_sh("%s run --gpus 2 -j 4 tasks.txt", t_mpifarm(3));
    cr_assert(eq(int, result.status, 2), "%s", result.err);
    cr_assert(eq(int,
                 t_count_lines(result.err, "mpifarm: tasks.txt:2: the task needs 2 GPUs, and the "
                                           "largest worker has 1"),
                 1),
              "%s", result.err);
    cr_assert(access("ran", F_OK) != 0);
}

Test(bad_input, in_mid_run_what_was_read_is_finished)
{
    struct t_result result =
        t_sh("(echo 'touch one'; sleep 0.3; echo '[bad] touch two') | mpifarm run -");
    cr_assert(eq(int, result.status, 3), "%s", result.err);
    cr_assert(t_has(result.err, "stdin:2: "), "%s", result.err);
    cr_assert(access("one", F_OK) == 0);
    result = t_sh("printf 'touch two\\n[bad] true\\n' | mpifarm run --force -");
    cr_assert(eq(int, result.status, 3), "%s", result.err);
    cr_assert(access("two", F_OK) == 0, "what stands before the bad line is run");
    cr_assert(eq(int, t_sh("echo '[bad] true' | mpifarm run --force -").status, 2));
}

Test(bad_input, a_run_directory_that_cannot_be_written_is_named)
{
    t_write("tasks.txt", "touch ran\n");
    t_write("file", "x");
    expect_refusal("mpifarm run --run-dir file tasks.txt", "file: is a file, and a run needs a ");
    expect_refusal("mpifarm run --run-dir file/run tasks.txt", "one of those above it is a file");
    expect_refusal("mpifarm run --output file tasks.txt",
                   "file: is a file, and --output needs a directory");
    expect_refusal("mpifarm run --joblog . tasks.txt", ".: a joblog must be a file");
    expect_refusal("mpifarm run --run-dir /proc/mpifarm tasks.txt", "/proc/mpifarm");
    t_sh("mkdir other; touch other/precious");
    expect_refusal("mpifarm run --run-dir other tasks.txt", "other");
    expect_refusal("mpifarm run --force --run-dir other tasks.txt", "other");
}

Test(bad_input, a_full_disk_stops_the_run_and_loses_nothing)
{
    t_write("tasks.txt", "%s", "");
    t_sh("for i in $(seq 200); do echo \"echo ran >> ran.$i; head -c 20000 /dev/zero; "
         "echo done $i >&2\"; done > tasks.txt");
    /* A limit on file sizes fails like a full disk does, for whoever runs the test. */
    struct t_result result = t_sh("(ulimit -f 300; "
                                  "mpifarm run --output stored tasks.txt)");
    cr_assert(eq(int, result.status, 3), "%s", result.err);
    cr_assert(eq(int, t_sh("mpifarm run --resume --output stored tasks.txt").status, 0));
    cr_assert(eq(int, t_sh("for i in $(seq 200); do [ -s ran.$i ] || exit 1; done").status, 0));
}

Test(bad_input, a_run_directory_that_disappears_is_noticed)
{
    t_sh("for i in $(seq 600); do echo \"sleep 0.1\"; done > tasks.txt");
    struct t_result result = t_sh("mpifarm run -j 2 tasks.txt & "
                                  "while [ ! -e mpifarm-run/status.json ]; do sleep 0.01; done; "
                                  "rm -rf mpifarm-run; wait $!; echo $?");
    cr_assert(eq(str, result.out, "3\n"), "%s", result.err);
    cr_assert(t_has(result.err, "removed or replaced"), "%s", result.err);
    cr_assert(t_has(result.err, " left, and nothing is there with which --resume could go on"),
              "%s", result.err);
    t_write("tasks.txt", "true\n");
    result = t_sh("mpifarm run --resume tasks.txt");
    cr_assert(eq(int, result.status, 0), "%s", result.err);
    cr_assert(t_has(result.err, "mpifarm-run: there is nothing to continue"), "%s", result.err);
}

Test(bad_input, a_journal_that_disappears_is_noticed_and_told_of)
{
    t_sh("for i in $(seq 600); do echo \"sleep 0.1\"; done > tasks.txt");
    struct t_result result = t_sh("mpifarm run -j 2 tasks.txt & "
                                  "await test -e mpifarm-run/status.json; "
                                  "rm mpifarm-run/journal.db*; wait $!; echo $?; mpifarm status; "
                                  "mpifarm run --resume tasks.txt; echo $?");
    cr_assert(strncmp(result.out, "3\nthe run was stopped after ", 28) == 0, "%s", result.out);
    cr_assert(t_has(result.out, " by an error: mpifarm-run/journal.db: was removed during the run; "
                                "what has ended since cannot be recorded; its journal is gone: "
                                "--resume cannot go on with it\n"),
              "%s", result.out);
    cr_assert(t_has(result.out, " left\n2\n"), "%s", result.out);
    cr_assert(t_has(result.err, " left, and nothing is there with which --resume could go on\n"),
              "%s", result.err);
    cr_assert(t_has(result.err, "mpifarm-run: its journal.db is missing"), "%s", result.err);
}

Test(bad_input, closed_output_is_told_before_anything_starts)
{
    struct t_result result;

    t_write("tasks.txt", "touch ran\n");
    result = t_sh("mpifarm run tasks.txt >&-");
    cr_assert(eq(int, result.status, 2));
    cr_assert(t_has(result.err, "standard output is closed"), "%s", result.err);
    cr_assert(eq(int, t_sh("mpifarm run tasks.txt 2>&-").status, 2));
    cr_assert(eq(int, t_sh("mpifarm run tasks.txt 1<tasks.txt").status, 2));
    cr_assert(eq(int, t_sh("test ! -e ran && test ! -e mpifarm-run").status, 0));
    cr_assert(eq(int, t_sh("mpifarm check tasks.txt 2>&-").status, 0));
    cr_assert(eq(int, t_sh("mpifarm check tasks.txt >&-").status, 1));
}

Test(bad_input, names_that_do_not_exist_are_told_with_those_that_do)
{
    t_write("tasks.txt", "touch ran\n");
    expect_refusal("mpifarm run --policy nope tasks.txt", "there are fifo, lifo, ");
    expect_refusal("mpifarm run --placement nope tasks.txt", "there are least-loaded, ");
}

Test(bad_input, a_task_that_could_not_start_has_no_output_to_look_at)
{
    struct t_result result;

    t_write("tasks.txt", "/no/such/program\n");
    result = t_sh("mpifarm run tasks.txt");
    cr_assert(eq(int, result.status, 1));
    cr_assert(t_has(result.err, "cannot be started"), "%s", result.err);
    cr_assert(not(t_has(result.err, "see its output")), "%s", result.err);
}

/* Launchers that say when they are called. */
static void write_launchers(void)
{
    t_write("mpirun", "#!/bin/sh\ntouch ran\n");
    t_sh("chmod +x mpirun");
}

/* What launchers say of ranks that end at once would bury it. */
static void refuse_before_start(const char *words, const char *sentence)
{
    char command[256];

    snprintf(command, sizeof(command), "PATH=$PWD:$PATH mpifarm %s", words);
    expect_refusal(command, sentence);
    cr_assert(access("mpifarm-run", F_OK) != 0);
}

Test(bad_input, what_is_wrong_in_files_is_told_before_ranks_are_started)
{
    write_launchers();
    refuse_before_start("run --np 2 nofile",
                        "nofile: cannot be opened: No such file or directory\n");
    t_write("good.txt", "[id=a] true\n");
    t_write("tasks.txt", "[after=a] true\n[prority=3] true\n");
    refuse_before_start("run --np 2 good.txt tasks.txt", "tasks.txt:2: ");
    t_write("tasks.txt", "true\n[after=b] true\n");
    refuse_before_start("run --np 2 good.txt tasks.txt",
                        "tasks.txt:2: unknown task \"b\" in after=");
    t_write("tasks.txt", "[func=f] 1\n");
    refuse_before_start("run --np 2 tasks.txt", "tasks.txt:1: ");
    refuse_before_start("run --np 2 --format wfformat tasks.txt", "tasks.txt:1: ");
    refuse_before_start("map --np 2 touch {2} ::: a", "{2}");
    refuse_before_start("map --np 2 touch :::: nofile", "nofile");
}

Test(bad_input, where_it_cannot_be_known_without_ranks_or_takes_long_they_find_it)
{
    write_launchers();
    t_write("good.txt", "true\n");
    t_write("tasks.txt", "[func=f] 1\n[bad] true\n");
    t_sh("sed -i 2d tasks.txt; { yes '# comment' | head -c 17M; echo '[bad] true'; } > large.txt; "
         "mkfifo pipe");
    for (const char *const *words = (const char *const[]){"--module m.so tasks.txt", "large.txt",
                                                          "pipe good.txt", "- < tasks.txt", NULL};
         *words; words++) {
        t_sh("PATH=$PWD:$PATH timeout 60 mpifarm run --np 2 %s", *words);
        cr_assert(eq(int, t_sh("rm ran").status, 0), "%s", *words);
    }
}
