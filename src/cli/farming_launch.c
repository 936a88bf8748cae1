/* Starting the ranks of a farm, where that is this process's part. No state; before any thread. */
#include "cli/ending.h"
#include "cli/farming_private.h"

#include "cli/supervise.h"
#include "cli/walltime.h"
#include "runtime/handover.h"
#include "taskfile/input.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Tasks of larger files are read by rank 0 alone. These take up to 0.1 s as plain lines, 0.2 s with
 * ids and dependencies, and 1 s as JSON Lines. */
#define READ_TWICE_BYTES_MAX (UINT64_C(16) << 20)

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

/* Whether all that is to be read can be read twice, and how large it is. What has the name of a
 * file and is none, as an argument of map, does no harm. */
static bool measure_files(const struct mf_farming_input *input, uint64_t *ret_bytes)
{
    struct stat info;

    *ret_bytes = 0;
    for (int i = 0; i < input->n_words; i++) {
        if (stat(input->words[i], &info) < 0)
            continue;
        if (!S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode))
            return false;
        *ret_bytes += (uint64_t)info.st_size;
    }
    return true;
}

/* All that are no pipes: those would be read by nobody else any more. */
static int check_opening(const struct mf_farming_input *files, struct mf_error *err)
{
    for (int i = 0; i < files->n_words; i++) {
        const char *word = files->words[i];
        struct mf_input input;
        struct stat info;
        int r;

        if (strcmp(word, "-") == 0 || (stat(word, &info) == 0 && !S_ISREG(info.st_mode)))
            continue;
        r = mf_input_open(&input, word, err);
        if (r < 0)
            return r;
        mf_input_close(&input);
    }
    return 0;
}

/*
 * Rank 0 reads it all, and its word counts; but when it ends so soon launchers have much to say of
 * it. So what is wrong is found here, where reading it twice takes no time to speak of.
 */
static int check_input(const struct mf_farming_settings *settings,
                       const struct mf_farming_input *input, bool is_sweep, bool reads_input,
                       struct mf_error *err)
{
    uint64_t n_bytes;

    if (!reads_input && measure_files(input, &n_bytes) && n_bytes <= READ_TWICE_BYTES_MAX)
        return mf_farming_preview(settings, input, err);
    return is_sweep ? 0 : check_opening(input, err);
}

/* The streams are looked at here, as those of a rank are pipes to this process. */
static int supervise(struct mf_context *context, const struct mf_farming_settings *settings,
                     const struct mf_subcommand *subcommand, const struct mf_launching *launching,
                     const struct mf_farming_input *input, int *ret_status, struct mf_error *err)
{
    struct mf_supervision supervision = {
        .launching = launching,
        .run_dir = settings->run_dir,
        .has_standby = settings->scheduler.has_standby,
        .patience_ns =
            settings->rank.patience_ns ? settings->rank.patience_ns : MF_HANDOVER_PATIENCE_NS,
        .end_ns = settings->scheduler.end_ns,
        .start_ns = settings->start_ns,
        .is_prompt = settings->progress == MF_PROGRESS_BAR || settings->progress == MF_PROGRESS_ETA,
    };
    int r = mf_farming_check_streams(err);

    if (r == 0)
        r = find_input(subcommand, input->words, input->n_words, &supervision.reads_input, err);
    if (r == 0)
        r = check_input(settings, input, subcommand->stop_at_operand, supervision.reads_input, err);
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
                      const struct mf_farming_input *input, int *ret_status, struct mf_error *err)
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
    return supervise(context, settings, subcommand, &launching, input, ret_status, err);
}
