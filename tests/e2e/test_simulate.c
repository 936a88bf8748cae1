/* mpifarm simulate and mpifarm check: what they print, and what they refuse. */
#include "support/shell.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>
#include <unistd.h>

TestSuite(simulate, .init = t_enter_dir, .fini = t_leave_dir);
TestSuite(check, .init = t_enter_dir, .fini = t_leave_dir);

#define EXAMPLES "$T_SOURCE_DIR/tests/taskfile/wfformat/"

/* The whole of standard error is one sentence, and nothing ran. */
static void expect_refusal(const char *command, const char *sentence)
{
    struct t_result result = t_sh("%s", command);

    cr_assert(eq(int, result.status, 2), "%s: %s", command, result.err);
    cr_assert(eq(str, result.out, ""), "%s", command);
    cr_assert(t_has(result.err, sentence), "%s: %s", command, result.err);
    cr_assert(eq(int, t_count_lines(result.err, ""), 1), "%s", result.err);
    cr_assert(access("ran", F_OK) != 0, "%s: a task was started", command);
}

static void write_fork(void)
{
    t_write("fork.farm", "[id=split time=1] touch ran\n"
                         "#FARM time=2s\n"
                         "[id=a after=split] touch ran\n"
                         "[id=b after=split] touch ran\n"
                         "[id=c after=split] touch ran\n"
                         "[id=join after=a,b,c time=500ms] touch ran\n");
}

/* --- simulate --- */

Test(simulate, tells_the_makespan_of_each_policy_and_the_bound)
{
    struct t_result result;

    write_fork();
    result = t_sh("mpifarm simulate --workers 1x2 --policy fifo,critical-path fork.farm");
    cr_assert(eq(int, result.status, 0), "%s", result.err);
    /* 1 s, two waves of 2 s, 0.5 s; nothing is shorter than 1 + 2 + 0.5 s, or 7.5 s / 2. */
    cr_assert(t_has(result.out, "bound 3.750 s: critical path 3.500 s, work/slots 3.750 s\n"), "%s",
              result.out);
    cr_assert(t_has(result.out, "\nfifo                   5.500     1.467"), "%s", result.out);
    cr_assert(t_has(result.out, "\ncritical-path          5.500     1.467"), "%s", result.out);
    cr_assert(access("ran", F_OK) != 0);
    cr_assert(access("mpifarm-run", F_OK) != 0);
}

Test(simulate, compares_all_policies_by_default)
{
    struct t_result result;

    write_fork();
    result = t_sh("mpifarm simulate -w 4x2 fork.farm");
    cr_assert(eq(int, result.status, 0), "%s", result.err);
    /* In the table of results and in that of costs. */
    cr_assert(eq(int, t_count_lines(result.out, "fifo "), 2), "%s", result.out);
    cr_assert(eq(int, t_count_lines(result.out, "priority "), 2));
    cr_assert(eq(int, t_count_lines(result.out, "critical-path "), 2));
}

Test(simulate, orders_by_the_policy)
{
    struct t_result result;

    t_write("t.farm", "[time=3] x\n[time=1] x\n[time=2] x\n");
    result = t_sh("mpifarm simulate -w 1x1 -p fifo,sjf t.farm");
    /* They wait 0 + 3 + 4 s, or 0 + 1 + 3 s. */
    cr_assert(t_has(result.out, "   100.0%       2.333       4.000           13.000"), "%s",
              result.out);
    cr_assert(t_has(result.out, "   100.0%       1.333       3.000           10.000"), "%s",
              result.out);
}

Test(simulate, auto_tells_what_it_changes_to_and_why)
{
    struct t_result result;

    t_write("t.farm", "#FARM time=1\nx\nx\nx\nx\nx\nx\n[time=5] x\n");
    result = t_sh("mpifarm simulate -w 1x2 -p fifo,lpt,auto t.farm");
    cr_assert(eq(int, result.status, 0), "%s", result.err);
    cr_assert(t_has(result.out, "\nfifo                   8.000 "), "%s", result.out);
    cr_assert(t_has(result.out, "\nauto                   6.000 "), "%s", result.out);
    cr_assert(t_has(result.out, "\nauto, at 0.000 s: lpt: makespan 6 s, fifo 8 s, "
                                "simulating 7 tasks\n"),
              "%s", result.out);
    result = t_sh("mpifarm simulate -w 1x2 t.farm");
    cr_assert(not(t_has(result.out, "auto")), "it has to be asked for: %s", result.out);
}

Test(simulate, ageing_lets_a_task_go_before_one_of_higher_priority)
{
    struct t_result result;

    t_write("t.farm", "[id=high time=5 priority=5] x\n[id=low time=1] x\n"
                      "[id=next time=1 priority=5 after=high] x\n");
    result = t_sh("for a in 0 100,1s; do mpifarm simulate -w 1x1 -p priority --ageing $a --trace t "
                  "t.farm > out; cut -f1 t | tail -n +2 | tr '\\n' ' '; done");
    cr_assert(eq(str, result.out, "high next low high low next "), "%s%s", result.out, result.err);
}

Test(simulate, groups_get_slot_time_by_their_shares)
{
    struct t_result result;

    t_write("t.farm", "#FARM time=10ms group=a\nx\nx\nx\n#FARM time=10ms group=b\nx\nx\nx\n");
    result = t_sh("mpifarm simulate -w 1x1 -p fair --share b=2 --trace t t.farm > out; "
                  "cut -f1 t | tail -n +2 | tr '\\n' ' '");
    cr_assert(eq(str, result.out, "2 6 7 3 8 4 "), "%s%s", result.out, result.err);
}

Test(simulate, traces_a_line_for_each_attempt)
{
    struct t_result result;

    write_fork();
    result = t_sh("mpifarm simulate -w 1x2 -p fifo --trace t.tsv fork.farm");
    cr_assert(eq(int, result.status, 0), "%s", result.err);
    cr_assert(eq(str, t_read("t.tsv"),
                 "task\tattempt\tworker\tslot\tstart\tend\tstate\n"
                 "split\t1\t0\t1\t0.000000000\t1.000000000\tDONE\n"
                 "a\t1\t0\t1\t1.000000000\t3.000000000\tDONE\n"
                 "b\t1\t0\t2\t1.000000000\t3.000000000\tDONE\n"
                 "c\t1\t0\t2\t3.000000000\t5.000000000\tDONE\n"
                 "join\t1\t0\t2\t5.000000000\t5.500000000\tDONE\n"));
}

Test(simulate, equal_seeds_print_the_same)
{
    static const char *const command =
        "for seed in 5 5 6; do mpifarm simulate -w 3x2 -p fifo --time 10s --fail 30%% --retries 4 "
        "--mtbf 2m --trace $seed.$n.tsv --seed $seed t.farm > out.$seed.$n || exit; n=$n.; done";

    t_sh("for i in $(seq 50); do echo x; done > t.farm");
    cr_assert(eq(int, t_sh(command).status, 0));
    cr_assert(eq(int, t_sh("cmp 5..tsv 5...tsv && cmp out.5. out.5..").status, 0));
    cr_assert(eq(int, t_sh("cmp -s 5..tsv 6....tsv").status, 1));
    cr_assert(t_has(t_read("5..tsv"), "\tFAILED\n") && t_has(t_read("5..tsv"), "\tLOST\n"));
}

Test(simulate, latency_and_costs_make_the_second_part_of_the_model)
{
    struct t_result result;

    t_write("t.farm", "[time=1] x\n");
    result = t_sh("mpifarm simulate -w 1x1 -p fifo --latency 40ms --cost 10ms,500ms t.farm");
    /* One attempt of 1 s placed in 0.5 s; order, start and end of 40 ms and 10 ms each. */
    cr_assert(t_has(result.out, "\nfifo                1.500000         1    0.050000         3"),
              "%s", result.out);
}

Test(simulate, a_stream_of_arrivals_has_the_queueing_theory_beside_it)
{
    struct t_result result;

    t_write("t.farm", "[time=1] x\n[time=1] x\n");
    result = t_sh("mpifarm simulate -w 1x1 -p fifo --arrivals 0.5 t.farm");
    /* rho / (mu - lambda) = 1 s, and ln(rho / 0.05) / (mu - lambda). */
    cr_assert(t_has(result.out,
                    "\nM/M/1                      -         -    50.0%       1.000      "
                    " 4.605"),
              "%s", result.out);
    result = t_sh("mpifarm simulate -w 1x1 -p fifo --arrivals 1 t.farm");
    cr_assert(t_has(result.out, "\nM/M/1                      -         -   100.0%         inf"),
              "%s", result.out);
}

Test(simulate, reads_workflows_of_wfcommons)
{
    struct t_result result =
        t_sh("mpifarm simulate -w 2x4 -p critical-path --format wfformat " EXAMPLES "montage.json");

    cr_assert(eq(int, result.status, 0), "%s", result.err);
    cr_assert(t_has(result.out, "tasks 18, workers 2, slots 8"), "%s", result.out);
    cr_assert(t_has(result.out, "\ncritical-path         20.830     1.000"), "%s", result.out);
    expect_refusal("mpifarm simulate -w 2x4 --format wfformat " EXAMPLES "chain.json",
                   "task \"fetch\" does not say how long it runs");
}

Test(simulate, workers_may_differ)
{
    struct t_result result;

    t_write("t.farm", "[time=1 gpus=2] x\n[time=1 cores=8] x\n[time=1 mem=3G] x\n");
    result = t_sh("mpifarm simulate -p fifo -w 1x2:gpus=2,1x8:mem=2G,2x1:mem=4G t.farm");
    cr_assert(eq(int, result.status, 0), "%s", result.err);
    cr_assert(t_has(result.out, "workers 4, slots 12"), "%s", result.out);
    cr_assert(t_has(result.out, "\nfifo                   1.000"), "%s", result.out);
}

Test(simulate, countables_limit_how_many_run_at_once)
{
    struct t_result result;

    t_write("t.farm", "#FARM time=1 licence.x=1\nx\nx\nx\nx\n");
    result = t_sh("mpifarm simulate -p fifo -w 1x4 --resource licence.x=2 t.farm");
    cr_assert(eq(int, result.status, 0), "%s", result.err);
    cr_assert(t_has(result.out, "\nfifo                   2.000"), "%s", result.out);
    t_write("t.farm", "[id=greedy time=1 licence.x=3] touch ran\n");
    expect_refusal("mpifarm simulate -p fifo -w 1x4 --resource licence.x=2 t.farm", "t.farm:1: ");
    expect_refusal("mpifarm check --resource licence.y=2 t.farm", "t.farm:1: ");
    cr_assert(eq(int, t_sh("mpifarm check --resource licence.x=3 t.farm").status, 0));
}

Test(simulate, what_cannot_be_simulated_is_refused_in_one_sentence)
{
    t_write("t.farm", "[time=1] touch ran\n[id=slow] touch ran\n");
    expect_refusal("mpifarm simulate -w 1x1 t.farm", "task \"slow\" does not say how long it runs");
    t_write("t.farm", "# nothing\n");
    expect_refusal("mpifarm simulate -w 1x1 t.farm", "there are no tasks");
    t_write("t.farm", "[time=100000d] x\n[time=100000d] x\n");
    expect_refusal("mpifarm simulate -w 1x1 t.farm", "more than 146 years");
    expect_refusal("mpifarm simulate -w 1x1 none.farm", "none.farm: ");
    expect_refusal("mpifarm simulate t.farm", "--workers is missing");
    expect_refusal("mpifarm simulate -w 1x1", "nothing to simulate");
    expect_refusal("mpifarm simulate -w 1x1 --trace no/such -p fifo t.farm", "no/such: ");
}

/* It is not done, and neither is what comes after it. */
static void warns_of(const char *workers, const char *keys, const char *sentence)
{
    struct t_result result;

    t_write("t.farm", "[time=1] x\n[id=large time=1 %s] x\n[time=1 after=large] x\n", keys);
    result = t_sh("mpifarm simulate -p fifo -w %s t.farm", workers);
    cr_assert(eq(int, result.status, 1), "%s", result.err);
    cr_assert(t_has(result.err, "1 of the tasks can never start, and fail: task \"large\" "), "%s",
              result.err);
    cr_assert(t_has(result.err, sentence), "%s", result.err);
    cr_assert(t_has(result.out, " 2\n"), "%s", result.out);
}

Test(simulate, a_task_that_fits_no_worker_fails_as_in_a_run)
{
    warns_of("100x4", "cores=5", "needs 5 cores, and the largest worker has 4");
    warns_of("2x4:mem=512K", "mem=900K",
             "needs 900.0 KiB of memory, and the largest worker has 512.0 KiB");
    warns_of("1x2:gpus=1,1x4", "cores=4 gpus=1", "needs 4 cores and 1 GPUs on one worker");
}

Test(simulate, workers_that_die_before_any_task_ends_are_told_in_a_sentence)
{
    t_write("t.farm", "[time=100s] x\n");
    expect_refusal("mpifarm simulate -p fifo -w 2x4 --mtbf 1ms --crash-limit none t.farm",
                   "under fifo, each worker died 1000 times while no task ended");
}

Test(simulate, values_that_make_no_sense_are_refused)
{
    t_write("t.farm", "[time=1] touch ran\n");
    expect_refusal("mpifarm simulate -w 64 t.farm", "--workers: \"64\" is not like 100x64");
    expect_refusal("mpifarm simulate -w 0x64 t.farm", "--workers: ");
    expect_refusal("mpifarm simulate -w 1x64:cpus=3 t.farm", "--workers: ");
    expect_refusal("mpifarm simulate -w , t.farm", "--workers: ");
    expect_refusal("mpifarm simulate -w 1x1 -p fifi t.farm", "did you mean \"fifo\"?");
    expect_refusal("mpifarm simulate -w 1x1 -p , t.farm", "--policy: no policy is named");
    expect_refusal("mpifarm simulate -w 1x1 --placement least-load t.farm",
                   "did you mean \"least-loaded\"?");
    expect_refusal("mpifarm simulate -w 1x1 --fail 1.1 t.farm", "--fail: ");
    expect_refusal("mpifarm simulate -w 1x1 --mtbf 0 t.farm", "--mtbf: ");
    expect_refusal("mpifarm simulate -w 1x1 --arrivals 0 t.farm", "--arrivals: ");
    expect_refusal("mpifarm simulate -w 1x1 --latency -1 t.farm", "--latency: ");
    expect_refusal("mpifarm simulate -w 1x1 --cost 1us, t.farm", "--cost: ");
    expect_refusal("mpifarm simulate -w 1x1 --seed x t.farm", "--seed: ");
    expect_refusal("mpifarm simulate -w 1x1 --retries 0 t.farm", "--retries: ");
    expect_refusal("mpifarm simulate -w 1x1 --format xml t.farm",
                   "--format: no format is called \"xml\"");
    expect_refusal("mpifarm simulate -w 1x1 --trace t.tsv t.farm", "--trace is of one policy");
}

/* --- check --- */

Test(check, shows_the_ends_of_a_long_critical_path)
{
    struct t_result result = t_sh("echo '[id=t1] true' > t.farm; for i in $(seq 2 1000); do "
                                  "echo \"[id=t$i after=-1] true\"; done >> t.farm; "
                                  "mpifarm check t.farm | grep path");

    cr_assert(eq(str, result.out,
                 "critical path  t1 t2 t3 t4 t5 t6 t7 t8 t9 t10 ... 980 more ... t991 t992 t993 "
                 "t994 t995 t996 t997 t998 t999 t1000\n"));
}

Test(check, prints_the_shape_of_the_graph)
{
    write_fork();
    cr_assert(eq(str, t_sh("mpifarm check fork.farm").out,
                 "tasks          5\n"
                 "dependencies   6\n"
                 "barriers       0\n"
                 "depth          3\n"
                 "width          3\n"
                 "roots          1\n"
                 "leaves         1\n"
                 "work           7.500 s (7.5 s)\n"
                 "critical time  3.500 s (3.5 s)\n"
                 "speedup        at most 2.14\n"
                 "critical path  split a join\n"));
}

Test(check, prints_only_counts_where_nothing_comes_after_anything)
{
    t_write("t.farm", "touch ran\n\n# a comment\ntouch ran\n");
    cr_assert(eq(str, t_sh("mpifarm check t.farm").out, "tasks          2\ndependencies   0\n"));
    cr_assert(access("ran", F_OK) != 0);
}

/* Where the program can live with so little address space; with sanitizers it cannot. */
#define IN_LITTLE_MEMORY                                                                           \
    "if sh -c 'ulimit -v 2000000; mpifarm help' > help 2>&1; then ulimit -v 2000000; fi; "

Test(check, a_line_that_repeats_without_end_takes_no_memory)
{
    struct t_result result;

    t_write("t.farm", "#DISBATCH REPEAT 1000000000 true\n");
    result = t_sh(IN_LITTLE_MEMORY "mpifarm check t.farm");
    cr_assert(eq(int, result.status, 0), "%s", result.err);
    cr_assert(t_has(result.err, "the input is valid, but 1000000000 tasks or more are too many"),
              "%s", result.err);
    expect_refusal(IN_LITTLE_MEMORY "mpifarm simulate -w 1x1 --time 1 t.farm",
                   "1000000000 tasks or more are too many");
}

Test(check, says_which_run_times_are_unknown)
{
    struct t_result result;

    t_write("t.farm", "[time=2] x\n[id=b after=1] x\n");
    result = t_sh("mpifarm check t.farm");
    cr_assert(t_has(result.out, "\nrun time       unknown of 1, \"b\" being the first\n"), "%s",
              result.out);
    t_write("t.farm", "x\n[after=1] x\n[after=1] x\n");
    result = t_sh("mpifarm check t.farm");
    cr_assert(t_has(result.out, "\nspeedup        at most 1.50, if all tasks take equally long\n"),
              "%s", result.out);
}

Test(check, reads_standard_input_and_several_files)
{
    t_write("a.farm", "x\nx\n");
    cr_assert(eq(str, t_sh("echo x | mpifarm check - a.farm").out,
                 "tasks          3\ndependencies   0\n"));
}

Test(check, reads_workflows_of_wfcommons)
{
    struct t_result result = t_sh("mpifarm check --format wfformat " EXAMPLES "fork-join.json");

    cr_assert(eq(int, result.status, 0), "%s", result.err);
    cr_assert(t_has(result.out, "\ncritical path  split square3 join\n"), "%s", result.out);
}

Test(check, refuses_what_run_refuses)
{
    t_write("t.farm", "touch ran\n[prority=3] touch ran\n");
    expect_refusal("mpifarm check t.farm", "t.farm:2: ");
    expect_refusal("mpifarm run t.farm", "t.farm:2: ");
    t_write("t.farm", "[id=a after=c] touch ran\n[id=b after=a] touch ran\n[id=c after=b] x\n");
    expect_refusal("mpifarm check t.farm", "t.farm:");
    t_write("t.farm", "[after=nobody] touch ran\n");
    expect_refusal("mpifarm check t.farm", "nobody");
    expect_refusal("mpifarm check", "nothing to check");
}

Test(check, names_the_place_in_a_workflow)
{
    t_write("flow.json",
            "{\"name\": \"w\", \"schemaVersion\": \"1.5\", \"workflow\": {\"specification\": "
            "{\"tasks\": [{\"name\": \"n\", \"id\": \"a\", \"parents\": [\"x\"], \"children\": "
            "[]}]}}}");
    expect_refusal("mpifarm check --format wfformat flow.json",
                   "flow.json: workflow.specification.tasks[0].parents[0]: there is no task \"x\"");
    expect_refusal("mpifarm simulate -w 1x1 --format wfformat flow.json",
                   "flow.json: workflow.specification.tasks[0].parents[0]: there is no task \"x\"");
}

Test(check, a_workflow_without_commands_can_be_checked_but_not_run)
{
    cr_assert(eq(int, t_sh("mpifarm check --format wfformat " EXAMPLES "chain.json").status, 0));
    expect_refusal("mpifarm run --format wfformat " EXAMPLES "chain.json",
                   "task \"fetch\" has no command.program");
    cr_assert(access("mpifarm-run", F_OK) != 0);
}

Test(check, run_reads_workflows_of_wfcommons)
{
    struct t_result result =
        t_sh("mpifarm run --dry-run --format wfformat " EXAMPLES "fork-join.json");

    cr_assert(eq(int, result.status, 0), "%s", result.err);
    cr_assert(eq(int, t_count_lines(result.out, "sh -c "), 6), "%s", result.out);
}
