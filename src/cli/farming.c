/*
 * The subcommands that run a farm, run and map: what each rank does. Every rank comes through here
 * with the same words; only rank 0 reads tasks and speaks.
 */
#include "cli/farming_private.h"

#include "cli/ending.h"
#include "cli/supervise.h"
#include "cli/walltime.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

/* Tells who supervises this. Returns the status to exit with. */
static int note_end(const struct mf_rank *rank, int status)
{
    if (rank->is_superseded && mf_ending_is_awaited())
        return MPIFARM_EXIT_DONE;
    return mf_ending_note(status, rank->remote && rank->remote->has_losses);
}

/* The same of a mistake of the user, which another start would only repeat. */
static int note_mistake(const struct mf_launch *launch)
{
    return launch->rank == 0 ? mf_ending_note(MPIFARM_EXIT_USAGE, false) : MPIFARM_EXIT_USAGE;
}

/* A worker, until it has to take over. */
static int work(struct mf_context *context, struct mf_rank *rank,
                const struct mf_farming_settings *settings, const struct mf_farming_input *input,
                struct mf_error *err)
{
    int r;

    while ((r = mf_rank_work(rank, err)) == MF_RANK_SUCCEEDS) {
        int status = mf_farming_take_over(context, rank, settings, input);

        if (status >= 0)
            return note_end(rank, status);
    }
    return r < 0 ? r : MPIFARM_EXIT_DONE;
}

/* A module that cannot be loaded is one file for all ranks of a node: said once there. */
static bool is_silent(const struct mf_launch *launch, int error)
{
    return error == -ELIBACC && launch->rank != 0 && launch->n_local == launch->n_copies;
}

/*
 * mpirun ends all ranks as soon as one has failed. What all ranks find out
 * before they can talk to each other rank 0 says, so the others let it go first.
 */
static void let_rank_0_speak(const struct mf_launch *launch)
{
    const struct timespec pause = {.tv_sec = 1};

    if (launch->rank != 0)
        nanosleep(&pause, NULL);
}

/* Options that have no effect with such a launcher, or without any. */
static void warn_of_no_effect(const struct mf_log *log, const struct mf_launch *launch,
                              const struct mf_scheduler_config *config)
{
    if (config->has_standby && launch->n_copies == 1)
        mf_log_warning(log, "--standby has no effect: there is no other rank that could take over; "
                            "--np N starts some");
    if (config->respawn > 0 && !mf_supervise_is_by_mpirun())
        mf_log_warning(log, "--respawn has no effect: only mpirun can start another worker, as "
                            "with --np N");
}

/* Ranks that were started to go on with a run do what this command line says of what is left. */
static void go_on_if_renewed(struct mf_farming_settings *settings)
{
    if (!mf_ending_is_renewed(&settings->scheduler.end_ns))
        return;
    settings->is_forced = false;
    settings->scheduler.resume = MF_RESUME_UNFINISHED;
    settings->scheduler.is_continued = true;
}

static int take_part(struct mf_context *context, const struct mf_launch *launch,
                     struct mf_farming_settings *settings, const struct mf_farming_input *input)
{
    struct mf_rank rank = {0};
    struct mf_error err = {0};
    int status = MPIFARM_EXIT_DONE;
    int r;

    go_on_if_renewed(settings);
    if (launch->rank == 0)
        mf_walltime_find(&settings->scheduler, &context->log);
    settings->rank.launch = launch;
    settings->rank.log = &context->log;
    settings->rank.is_in_job = getenv("SLURM_JOB_ID") != NULL;
    settings->rank.hears_mpirun = mf_ending_is_awaited() && getenv("OMPI_COMM_WORLD_SIZE");
    r = mf_rank_start(&rank, &settings->rank, &err);
    if (r == 0 && rank.is_root)
        mf_ending_note_ready();

    if (r == 0 && rank.is_root && launch->n_copies > 1 && mf_supervise_is_advised())
        mf_log_info(&context->log,
                    "mpirun ends all ranks when one dies; with --enable-recovery, "
                    "or as mpifarm %s --np N, the others go on",
                    settings->name);
    if (r == 0 && rank.is_root)
        warn_of_no_effect(&context->log, launch, &settings->scheduler);
    if (r == 0 && rank.is_root && settings->rank.is_inline &&
        mf_policy_preempts(settings->scheduler.farm.policy))
        mf_log_info(
            &context->log,
            "--policy %s suspends commands; with --no-isolation functions run on to their end",
            settings->scheduler.farm.policy->name);
    if (r == 0 && rank.is_root)
        status = note_end(&rank, mf_farming_schedule(context, &rank, settings, input));
    if (r < 0)
        status = r == -ELIBACC ? note_mistake(launch) : MPIFARM_EXIT_USAGE;
    if (r == 0 && !rank.is_root) {
        r = work(context, &rank, settings, input, &err);
        status = r < 0 ? MPIFARM_EXIT_STOPPED : r;
    }
    if (r < 0 && is_silent(launch, r))
        let_rank_0_speak(launch);
    else if (r < 0)
        mf_log_error(&context->log, "%s", err.text);
    mf_rank_finish(&rank, status);
    return status;
}

/* A usage error: of several ranks the first says it. */
static int refuse(struct mf_context *context, const struct mf_launch *launch,
                  const struct mf_error *err)
{
    if (launch->rank == 0)
        mf_log_error(&context->log, "%s", err->text);
    let_rank_0_speak(launch);
    return note_mistake(launch);
}

int mf_farming_main(struct mf_context *context, const struct mf_subcommand *subcommand, int argc,
                    char **argv, mf_open_source_fn open_source, int min_words)
{
    struct mf_launch launch;
    struct mf_farming_settings settings;
    struct mf_farming_input input;
    struct mf_error err = {0};
    int r, status, detected = mf_launch_detect(&launch, &err);
    int first = detected < 0 ? detected
                             : mf_farming_parse(&settings, subcommand, argc, argv, min_words, &err);

    if (first == -ECANCELED)
        return MPIFARM_EXIT_DONE;
    if (first < 0)
        return refuse(context, &launch, &err);
    input = (struct mf_farming_input){
        .open = open_source, .words = argv + first, .n_words = argc - first};
    if (settings.is_dry_run)
        return launch.rank == 0 ? mf_farming_dry_run(context, &settings, &input)
                                : MPIFARM_EXIT_DONE;
    r = mf_farming_launch(context, &settings, subcommand, &launch, &input, &status, &err);
    if (r < 0)
        return refuse(context, &launch, &err);
    if (r > 0)
        return status;
    settings.name = subcommand->name;
    if (settings.is_quiet)
        context->log.level = MF_LOG_WARNING;
    return take_part(context, &launch, &settings, &input);
}
