/* The subcommand run: a farm of the commands and functions in task files. */
#include "cli/farming.h"
#include "cli/subcommands.h"

static int run_run(struct mf_context *context, int argc, char **argv)
{
    return mf_farming_main(context, &mf_subcommand_run, argc, argv, mf_source_open_files, 1);
}

const struct mf_subcommand mf_subcommand_run = {
    .name = "run",
    .synopsis = "[OPTION...] FILE...",
    .summary = "run the commands in task files",
    .description =
        "Runs each line of the FILEs as a command, as many at once as there are slots; \"-\" is "
        "standard input. Blank lines and lines that begin with # are passed over. A command "
        "without shell syntax is started directly, any other by /bin/sh -c.\n"
        "\n"
        "A line may begin with keys in brackets, and a line \"#FARM key=value ...\" sets them for "
        "the lines below it:\n"
        "\n"
        "  [id=fit cores=4 timeout=2h retries=3] ./fit --data \"a b.dat\"\n"
        "\n"
        "  id=NAME       name of the task, unique; the default is its line number\n"
        "  after=LIST    begin when these are done: ids, lines, 3-7, -1; else skipped\n"
        "  afterany=LIST, afternotok=LIST  when they have ended; when they have failed\n"
        "  cores=N       slots it occupies; with ranks= those of each rank\n"
        "  ranks=N       an MPI program: started by srun in a Slurm job, else by mpirun\n"
        "  nodes=N       its cores, memory and GPUs on each of so many nodes, at once\n"
        "  mem=SIZE      memory it needs; ended when it uses more\n"
        "  gpus=N        GPUs it needs\n"
        "  NAME=N        so many of a --resource NAME, as in licence.x=1\n"
        "  time=TIME     how long it should run, for policies and backfilling\n"
        "  timeout=TIME  ended when it runs longer\n"
        "  deadline=TIME when it should be done, for the policy edf\n"
        "  retries=N     how often it is tried in all\n"
        "  priority=N    higher goes first; 0 is the default\n"
        "  weight=X      what its completion is worth, for the policy wspt\n"
        "  group=NAME    tasks that belong together, for fair shares and affinity\n"
        "  cwd=DIR       directory to run in\n"
        "  env=VAR=TEXT  variable of its environment; may be repeated\n"
        "  func=NAME     call a function of a module; the rest of the line is its input\n"
        "\n"
        "A file is checked whole before anything starts, also for tasks that need more cores, GPUs "
        "or memory than any worker has, or more nodes than there are. What comes through a pipe is "
        "checked as it comes, and such "
        "a task fails then.\n"
        "\n"
        "{out:ID} in a command is the path of a file with what task ID wrote to standard output; "
        "the task comes after that one. \\{out: is that text itself.\n"
        "\n"
        "A file of JSON Lines has one object per line with the same keys and the command as "
        "\"cmd\", a text or an array of arguments that is run without a shell; or \"func\" and "
        "\"input\".\n"
        "\n"
        "With --format wfformat the one FILE is a workflow of WfCommons (WfFormat 1.5): its tasks "
        "run the programs of workflow.execution, each after its parents.\n"
        "\n"
        "A module (--module) is a shared library with functions as <mpifarm/mpifarm.h> describes "
        "them: mpifarm_input() gives the input, mpifarm_write() writes the task's output, 0 is "
        "success and mpifarm_fail() says why not. What the function prints comes before that; "
        "standard error goes to that of mpifarm. Functions run in processes of their own, one for "
        "each slot, so that one that crashes, exits or hangs fails alone. A module may have "
        "mpifarm_module_init() and mpifarm_module_finish(), called in each such process.\n"
        "\n"
        "In a batch script of Slurm, or a shell of salloc, it starts one rank on each node of the "
        "job "
        "(--launch). Rank 0 schedules, and the others run the tasks; where there is only one "
        "process it does both. Called by mpirun or srun --mpi=pmix it is one of their ranks.",
    .options = mf_farming_options,
    .n_options = MF_N_RUN_OPTIONS,
    .operands = MF_COMPLETE_FILE,
    .examples = "Run the commands in tasks.txt on all cores.\n"
                "mpifarm run tasks.txt\n"
                "The same on four nodes of a cluster with Slurm.\n"
                "sbatch -N 4 --exclusive --wrap \"mpifarm run tasks.txt\"\n"
                "On those of a host file.\n"
                "mpirun --hostfile hosts mpifarm run tasks.txt\n"
                "Try each task three times, give it ten minutes, keep the order of output.\n"
                "mpifarm run --retries 3 --timeout 10m -k tasks.txt\n"
                "Lines like \"[func=render] 3 4\" call a function of a library.\n"
                "mpifarm run --module ./libwork.so tasks.farm\n"
                "Go on after an interruption, and run what failed again.\n"
                "mpifarm run --resume-failed tasks.txt",
    .run = run_run,
};
