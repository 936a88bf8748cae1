/*
 * The text of a batch script: short, since whoever runs the cluster will read it. What a chain
 * must not get wrong is asked of "mpifarm batch" itself.
 */
#include "cli/batch.h"

#include "base/command.h"

#include <string.h>

static const char head[] =
    "#!/bin/bash\n"
    "#\n"
    "# Runs the tasks of a farm %s, one rank on each node. Written by\n"
    "# \"mpifarm batch\"; submitted again, it goes on: what is done is not run again.\n"
    "#\n"
    "#SBATCH --job-name=mpifarm\n"
    "#SBATCH --no-kill\n"
    "#SBATCH --open-mode=append\n";

static const char begin_of_link[] =
    "# Ends here, with a sentence, if the jobs before have ended no task.\n"
    "\"$mpifarm\" batch --gets-on \"$run\" || exit\n"
    "\n"
    "submit() {\n"
    "    next=$(sbatch --parsable --dependency=afterany:\"$SLURM_JOB_ID\" \"$run/" MF_BATCH_SCRIPT
    "\")\n"
    "    next=${next%%;*}\n"
    "    if [ \"$next\" ]; then\n"
    "        echo \"$next\" > \"$run/" MF_BATCH_JOB "\"\n"
    "    else\n"
    "        echo \"mpifarm: the job that follows is not submitted; $1\" >&2\n"
    "    fi\n"
    "}\n"
    "\n"
    "# The job that follows is submitted first: so it comes whatever ends this one, be it the "
    "time\n"
    "# limit or the crash of a node.\n"
    "submit 'another try follows behind the run'\n"
    "\n"
    "# Who cancels the job ends the chain: Slurm ends it before its time, and not for another "
    "job.\n"
    "is_cancelled() {\n"
    "    squeue -h -j \"$SLURM_JOB_ID\" -O State,PreemptTime,TimeLeft |\n"
    "        grep -Eq 'COMPLETING *N/A *(U|[0-9:-]*[1-9])'\n"
    "}\n"
    "end_chain() {\n"
    "    is_ended=1\n"
    "    [ ! \"$next\" ] || scancel \"$next\"\n"
    "}\n"
    "is_ended=\n"
    "trap 'is_cancelled && end_chain' TERM\n"
    "\n";

static const char end_of_link[] =
    " &\n"
    "# A signal ends the first wait, not the run.\n"
    "wait $!\n"
    "wait $!\n"
    "status=$?\n"
    "\n"
    "# 2: refused. Otherwise it depends on what ended the run.\n"
    "if [ $status -eq 2 ] || ! \"$mpifarm\" batch --is-left \"$run\"; then\n"
    "    end_chain\n"
    "elif [ ! \"$next$is_ended\" ]; then\n"
    "    submit 'the chain ends: submit it again'\n"
    "fi\n"
    "exit $status\n";

/* As sbatch reads the lines of its options: outside of quotes a blank ends a word, whatever is
 * before it, and "#" the line. */
static void put_slurm_word(const char *word, struct mf_buffer *buffer)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "_-./:,+@%=[]";

    if (word[0] && word[strspn(word, plain)] == '\0') {
        mf_buffer_print(buffer, "%s", word);
        return;
    }
    mf_buffer_print(buffer, "\"");
    for (; *word; word++)
        mf_buffer_print(buffer, strchr("\"\\", *word) ? "\\%c" : "%c", *word);
    mf_buffer_print(buffer, "\"");
}

/* Nodes are taken whole unless the user says how much of them. */
static bool says_how_much(const struct mf_batch_words *words)
{
    static const char *const names[] = {"--cpus-per-task", "--ntasks", "--exclusive",
                                        "--oversubscribe"};

    for (int i = 0; i < words->n_slurm; i++) {
        const char *word = words->slurm[i];

        if (strncmp(word, "-c", 2) == 0 || strncmp(word, "-n", 2) == 0 || strcmp(word, "-s") == 0)
            return true;
        for (size_t k = 0; k < sizeof(names) / sizeof(names[0]); k++) {
            size_t length = strlen(names[k]);

            if (strncmp(word, names[k], length) == 0 && (!word[length] || word[length] == '='))
                return true;
        }
    }
    return false;
}

static void put_head(const struct mf_batch_script *script, struct mf_buffer *buffer)
{
    const struct mf_batch_words *words = script->words;

    mf_buffer_print(buffer, head,
                    words->is_chain ? "in as many jobs as it takes" : "on the nodes of a job");
    if (!says_how_much(words))
        mf_buffer_print(buffer, "#SBATCH --exclusive\n");
    if (words->is_chain)
        mf_buffer_print(buffer, "#SBATCH --no-requeue\n");
    mf_buffer_print(buffer, "#SBATCH --chdir=");
    put_slurm_word(script->cwd, buffer);
    for (int i = 0; i < words->n_slurm; i++) {
        mf_buffer_print(buffer, i == 0 ? "\n#SBATCH " : " ");
        put_slurm_word(words->slurm[i], buffer);
    }
    mf_buffer_print(buffer, "\n\n");
}

static void put_run(const struct mf_batch_script *script, struct mf_buffer *buffer)
{
    /* It is the job then: Slurm kills what is left as soon as the shell has died of its signal. */
    mf_buffer_print(buffer, "%s\"$mpifarm\" run", script->words->is_chain ? "" : "exec ");
    for (int i = 0; i < script->n_options; i++) {
        mf_buffer_print(buffer, " ");
        mf_shell_quote(script->options[i], buffer);
    }
    for (int i = 0; i < script->n_files; i++) {
        mf_buffer_print(buffer, " ");
        mf_shell_quote(script->files[i], buffer);
    }
}

void mf_batch_script_put(const struct mf_batch_script *script, struct mf_buffer *buffer)
{
    bool is_chain = script->words->is_chain;

    put_head(script, buffer);
    mf_buffer_print(buffer, "mpifarm=");
    mf_shell_quote(script->program, buffer);
    if (is_chain) {
        mf_buffer_print(buffer, "\nrun=");
        mf_shell_quote(script->run_dir, buffer);
    }
    mf_buffer_print(buffer, "\n\n");
    if (is_chain)
        mf_buffer_print(buffer, begin_of_link);
    put_run(script, buffer);
    mf_buffer_print(buffer, "%s", is_chain ? end_of_link : "\n");
}
