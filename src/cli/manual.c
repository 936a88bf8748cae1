/*
 * What the manual says beside the subcommands, and how its parts are walked.
 * Constant data only.
 */
#include "cli/manual.h"

#include <string.h>

const struct mf_option mf_help_option = {
    .name = "help",
    .letter = 'h',
    .help = "Print this help.",
};

const char mf_manual_summary[] = "run many tasks on all cores of one machine or many";

const char mf_manual_intro[] =
    "mpifarm runs a list of commands and keeps every core busy until all are done: on one machine "
    "as it is, on all nodes of a Slurm job, or under mpirun. It prints the output of each, retries "
    "what fails, "
    "and can go on where a run was interrupted.";

const struct mf_section mf_manual_sections[] = {
    {"Exit status", "  0  all tasks are done\n"
                    "  1  some task failed\n"
                    "  2  usage or input error: nothing was started\n"
                    "  3  stopped before the end: --resume continues; or srun or mpirun ended\n"
                    "     before the run began, twice: the same command begins"},
    {"Environment of a task",
     "  MPIFARM_TASK_ID   its id: given, or its line number\n"
     "  MPIFARM_ATTEMPT   1 at the first try, 2 at the second, ...; --resume counts on\n"
     "  MPIFARM_RANK      the rank that runs it\n"
     "  MPIFARM_SLOT      the slot on its node, from 1\n"
     "  MPIFARM_CORES     the numbers of its processors, as in 0,1\n"
     "  MPIFARM_GPUS      with gpus=: its GPUs, as in 0,1; CUDA_VISIBLE_DEVICES too,\n"
     "                    or ROCR_VISIBLE_DEVICES (AMD), ZE_AFFINITY_MASK (Intel),\n"
     "                    which is left as it is without\n"
     "  MPIFARM_HOSTFILE  with nodes= or ranks=: a file with a line \"HOST slots=N\"\n"
     "                    for each of its nodes, the own one first\n"
     "  MPIFARM_NODES     how many these are\n"
     "  MPIFARM_RANKS     with ranks=: how many ranks there are\n"
     "  MPIFARM_RUN_DIR   the run directory\n"
     "  OMP_NUM_THREADS   how many cores it has, unless it is set already\n"
     "  DISBATCH_ENGINE_RANK   the rank too, as disBatch calls it\n"
     "\n"
     "Variables of the MPI launcher (OMPI_*, PMIX_*, PMI_*) are removed, so that a task may call "
     "mpirun itself. Where mpifarm has started its ranks in a Slurm job, those of Slurm are as in "
     "the batch script, so that a task may call srun and sbatch. Standard input is /dev/null."},
    {"Signals",
     "The first SIGINT, SIGTERM or SIGHUP lets running tasks end and starts nothing new, the "
     "second "
     "ends them. In a Slurm job SIGTERM, which comes with scancel and preemption, ends them at "
     "once; tasks that it has reached too are not charged."},
    {"Commands for each worker",
     "Above the first task of a file, \"#DISBATCH PERENGINE START command\" is run once by each "
     "worker before its first task, and \"#DISBATCH PERENGINE STOP command\" when it leaves. What "
     "they write goes to standard error. If one fails, the worker works all the same, and the exit "
     "status is 1. START may take an hour, STOP 10 minutes; a second Ctrl-C, or "
     "\"mpifarm stop --now\", ends it."},
    {"Files", "  mpifarm-run/            the run directory (--run-dir)\n"
              "  mpifarm-run/journal.db  the truth about the run (SQLite), read by --resume\n"
              "  mpifarm-run/joblog.tsv  one line per task, with GNU Parallel's columns\n"
              "  mpifarm-run/out/        output of failed attempts, or waiting to be printed or\n"
              "                          for tasks that take it\n"
              "  mpifarm-run/status.json how the run stands, replaced once a second"},
    {NULL, NULL},
};

const struct mf_option *mf_manual_option(const struct mf_subcommand *subcommand, size_t index)
{
    if (index < subcommand->n_options)
        return &subcommand->options[index];
    return index == subcommand->n_options ? &mf_help_option : NULL;
}

/* One line of *cursor, which is moved behind its newline. */
static const char *take_line(const char **cursor, int *ret_length)
{
    const char *line = *cursor;

    *ret_length = (int)strcspn(line, "\n");
    *cursor = line + *ret_length + (line[*ret_length] == '\n');
    return line;
}

int mf_manual_example(const char **cursor, const char **ret_comment, int *ret_comment_length,
                      const char **ret_command, int *ret_command_length)
{
    if (!*cursor || !**cursor)
        return 0;
    *ret_comment = take_line(cursor, ret_comment_length);
    *ret_command = take_line(cursor, ret_command_length);
    return 1;
}
