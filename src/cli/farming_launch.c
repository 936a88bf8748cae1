/* Starting the ranks of a farm, where that is this process's part. No state; before any thread. */
#include "cli/ending.h"
#include "cli/farming_private.h"

#include "cli/supervise.h"
#include "cli/walltime.h"
#include "taskfile/input.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Where a stream is closed the output of tasks would be lost, after they have run. */
static int check_stream(int fd, const char *name, struct mf_error *err)
{
    int flags = fcntl(fd, F_GETFL);

    if (flags >= 0 && (flags & O_ACCMODE) != O_RDONLY)
        return 0;
    return mf_error_set(err, -EBADF,
                        "%s is closed, or not open for writing: output of tasks could not be "
                        "printed; >/dev/null throws it away",
                        name);
}

int mf_farming_check_streams(struct mf_error *err)
{
    int r = check_stream(STDOUT_FILENO, "standard output", err);

    return r < 0 ? r : check_stream(STDERR_FILENO, "standard error", err);
}

/* A pipe of this process, such as <(generate) of a shell, which no rank could open. */
static bool is_own_pipe(const char *word)
{
    struct stat info;

    return (strncmp(word, "/dev/fd/", 8) == 0 || strncmp(word, "/proc/", 6) == 0) &&
           stat(word, &info) == 0 && S_ISFIFO(info.st_mode);
}

/* A pipe among the words becomes standard input. */
static int take_pipe(char **word, bool *ret_reads_input, struct mf_error *err)
{
    static char dash[] = "-";
    int fd;

    if (*ret_reads_input)
        return mf_error_set(err, -EINVAL,
                            "%s: of several pipes ranks can read one; put the tasks into a file",
                            *word);
    fd = open(*word, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || dup2(fd, STDIN_FILENO) < 0)
        return mf_error_set(err, -errno, "%s: cannot be opened: %s", *word, strerror(errno));
    close(fd);
    *word = dash;
    *ret_reads_input = true;
    return 0;
}

/*
 * Whether rank 0 may read standard input: for "-", or for arguments of map that no list gives. Else
 * it is left to others, such as the loop of a shell that this is called in.
 */
static int find_input(const struct mf_subcommand *subcommand, char **words, int n_words,
                      bool *ret_reads_input, struct mf_error *err)
{
    bool has_list = false;

    *ret_reads_input = false;
    for (int i = 0; i < n_words; i++) {
        *ret_reads_input |= strcmp(words[i], "-") == 0 || strcmp(words[i], "/dev/stdin") == 0;
        has_list |= strncmp(words[i], ":::", 3) == 0;
    }
    *ret_reads_input |= subcommand->stop_at_operand && !has_list;
    for (int i = 0; i < n_words; i++) {
        int r = is_own_pipe(words[i]) ? take_pipe(&words[i], ret_reads_input, err) : 0;

        if (r < 0)
            return r;
    }
    return 0;
}

/* Rank 0 would find out, but when it ends so soon launchers have much to say of it. What is in the
 * files is for rank 0 to read, once. */
static int check_files(char **words, int n_words, struct mf_error *err)
{
    for (int i = 0; i < n_words; i++) {
        struct mf_input input;
        struct stat info;
        int r;

        /* A pipe would be read by nobody else any more. */
        if (strcmp(words[i], "-") == 0 || (stat(words[i], &info) == 0 && !S_ISREG(info.st_mode)))
            continue;
        r = mf_input_open(&input, words[i], err);
        if (r < 0)
            return r;
        mf_input_close(&input);
    }
    return 0;
}

/* The streams are looked at here, as those of a rank are pipes to this process. */
static int supervise(struct mf_context *context, const struct mf_farming_settings *settings,
                     const struct mf_subcommand *subcommand, const struct mf_launching *launching,
                     char **words, int n_words, int *ret_status, struct mf_error *err)
{
    struct mf_supervision supervision = {
        .launching = launching,
        .run_dir = settings->run_dir,
        .has_standby = settings->scheduler.has_standby,
        .end_ns = settings->scheduler.end_ns,
        .start_ns = settings->start_ns,
        .is_prompt = settings->progress == MF_PROGRESS_BAR || settings->progress == MF_PROGRESS_ETA,
    };
    int r = mf_farming_check_streams(err);

    if (r == 0)
        r = find_input(subcommand, words, n_words, &supervision.reads_input, err);
    if (r == 0 && !subcommand->stop_at_operand)
        r = check_files(words, n_words, err);
    if (r < 0)
        return r;
    *ret_status = mf_supervise(context, &supervision);
    return 1;
}

/* With any other the ranks would end with the first node. One node alone keeps itself. */
static int check_release(const struct mf_launching *launching, struct mf_error *err)
{
    bool is_alone = launching->way == MF_LAUNCH_NONE && !mf_ending_is_awaited();

    if (launching->way == MF_LAUNCH_SRUN || (launching->way == MF_LAUNCH_NONE && !is_alone))
        return 0;
    if (is_alone && launching->allocation.job && launching->allocation.n_nodes == 1)
        return 0;
    return mf_error_set(err, -EINVAL,
                        "--release-idle gives nodes of a Slurm job back, and needs ranks that "
                        "mpifarm starts by srun: call \"mpifarm run\" in the batch script, "
                        "without mpirun and srun before it");
}

int mf_farming_launch(struct mf_context *context, const struct mf_farming_settings *settings,
                      const struct mf_subcommand *subcommand, const struct mf_launch *launch,
                      char **words, int n_words, int *ret_status, struct mf_error *err)
{
    bool survives = settings->scheduler.has_standby || settings->scheduler.respawn > 0;
    struct mf_launching launching;
    int r = mf_launching_choose(settings->launch_way, settings->n_ranks, survives, launch,
                                &launching, err);

    if (r == 0 && settings->rank.gives_back)
        r = check_release(&launching, err);
    /* Nobody need tell ranks: they were started in time. */
    if (r == 0 && settings->scheduler.end_ns == 0 && launch->n_copies == 1)
        r = mf_walltime_check(&context->log, settings->launch_way != MF_LAUNCH_NONE, err);
    if (r < 0 || launching.way == MF_LAUNCH_NONE)
        return r;
    if (settings->scheduler.has_standby && launching.way == MF_LAUNCH_SRUN)
        mf_log_warning(&context->log,
                       "--standby: srun ends all ranks with the first that dies, so that a standby "
                       "cannot take over from it, and new ranks go on; under --launch=mpirun it "
                       "can");
    return supervise(context, settings, subcommand, &launching, words, n_words, ret_status, err);
}
