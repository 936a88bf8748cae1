/*
 * The death of a launcher: the next one is asked for, and what the dead one ran
 * is given back when that is there. Runs in the rank's only thread.
 */
#include "exec/process_private.h"

#include "base/clock.h"
#include "base/io.h"
#include "exec/descendants.h"
#include "exec/keeper.h"
#include "exec/lifeline.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>

/* How long processes left behind by a launcher that died may take to disappear. */
#define KILL_LIMIT_NS (2 * MF_NS_PER_S)

/* --- the end of everything --- */

static void describe_end(int status, char *text, size_t size)
{
    const char *name = WIFSIGNALED(status) ? sigdescr_np(WTERMSIG(status)) : NULL;

    if (WIFSIGNALED(status))
        snprintf(text, size, "was killed by signal %d%s%s%s", WTERMSIG(status), name ? " (" : "",
                 name ? name : "", name ? ")" : "");
    else
        snprintf(text, size, "has exited with status %d", WEXITSTATUS(status));
}

/* Reaps a keeper, and says how it ended. Returns whether it ended in order. */
static bool reap(pid_t keeper, char *text, size_t size)
{
    int status = 0;
    int result = mf_keeper_reap(keeper, &status);

    if (result < 0)
        snprintf(text, size, "has disappeared");
    else if (result > 0)
        snprintf(text, size, "has not ended, and was killed");
    else
        describe_end(status, text, size);
    return result == 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void kill_groups(const struct mf_table *records)
{
    size_t cursor = 0;
    void *place;

    while (records && mf_table_next(records, &cursor, NULL, &place)) {
        const struct mf_process_record *record = place;

        if (record->pid > 0)
            (void)kill(-(pid_t)record->pid, SIGKILL);
    }
}

/*
 * Nobody else will: a launcher takes only the main processes with it. What it
 * had started and not yet told of came to this process, a subreaper, as did an
 * heir of the keeper.
 */
static void kill_left(const struct mf_process_executor *process)
{
    kill_groups(process->records);
    kill_groups(process->lost);
    (void)mf_descendants_kill(KILL_LIMIT_NS);
}

/* The launcher takes the end of its socket as the end of everything, and the keeper that of the
 * lifeline. */
static void close_sockets(struct mf_process_executor *process)
{
    mf_loop_remove(process->loop, process->watch);
    mf_loop_remove(process->loop, process->lifeline_watch);
    process->watch = process->lifeline_watch = NULL;
    mf_channel_finish(&process->channel);
    mf_lifeline_close(&process->launcher.lifeline_fd);
}

void mf_process_leave(struct mf_process_executor *process)
{
    char how[128];

    close_sockets(process);
    /* Both may have been killed without anybody having noticed yet. */
    if (!reap(process->launcher.pid, how, sizeof(how)))
        kill_left(process);
}

static void break_executor(struct mf_process_executor *process, const char *what)
{
    struct mf_error text;
    struct mf_executor_event event = {
        .kind = MF_EXECUTOR_BROKEN, .slot = MF_SLOT_NONE, .error = &text};
    char how[128];

    process->is_broken = true;
    close_sockets(process);
    (void)reap(process->launcher.pid, how, sizeof(how));
    kill_left(process);
    (void)mf_error_set(&text, -EPIPE, "the launcher process %s%s", what, how);
    process->fn(process->arg, &event);
}

/* --- asking for the next one --- */

void mf_process_send_configuration(struct mf_process_executor *process)
{
    const struct mf_configuration *configuration = &process->configuration;

    mf_protocol_put_configure(&process->channel, configuration->slots, configuration->n_slots,
                              configuration->rank, configuration->run_dir);
}

/* Whether launchers die so often that another one would be of no use; notes this death. */
static bool dies_too_often(struct mf_process_executor *process)
{
    int64_t *oldest_ns = &process->died_ns[process->n_deaths % (MF_MAX_DEATHS - 1)];
    int64_t now_ns = mf_clock_monotonic_ns();
    bool is_too_often =
        process->n_deaths >= MF_MAX_DEATHS - 1 && now_ns - *oldest_ns < MF_DEATHS_NS;

    *oldest_ns = now_ns;
    process->n_deaths++;
    return is_too_often;
}

/* Begins anew with an empty channel, which nobody reads yet. Returns 0 or -ENOMEM. */
static int begin_again(struct mf_process_executor *process)
{
    struct mf_closing *closing = NULL;
    struct mf_table *records = NULL;
    int result = mf_closing_create(process, &closing);

    if (result == 0)
        result = mf_table_create(sizeof(struct mf_attempt_key), sizeof(struct mf_process_record),
                                 &records);
    if (result < 0) {
        free(closing);
        return result;
    }
    /* The next one knows nothing of outputs that came from this one. */
    process->closing->executor = NULL;
    mf_closing_leave(process->closing);
    process->closing = closing;
    process->lost = process->records;
    process->records = records;
    process->n_staged = 0;
    process->ends_seen = 0;
    process->base.can_stage = false;
    mf_loop_remove(process->loop, process->watch);
    process->watch = NULL;
    mf_channel_finish(&process->channel);
    mf_channel_init(&process->channel, -1);
    if (process->configuration.n_slots > 0)
        mf_process_send_configuration(process);
    return 0;
}

void mf_process_lose(struct mf_process_executor *process, int error)
{
    if (error != -EPIPE && error != -ECONNRESET) {
        /* It lives, and has said what cannot be understood. */
        (void)kill(process->launcher.pid, SIGKILL);
        break_executor(process, "has said what makes no sense; its keeper ");
    } else if (dies_too_often(process)) {
        break_executor(process, "has died too often; the last one ");
    } else if (mf_lifeline_ask(process->launcher.lifeline_fd) < 0 || begin_again(process) < 0) {
        break_executor(process, "");
    }
}

/* --- what the dead one had --- */

/* Notes who had a slot when it died; then the account is the next one's. */
static void note_tenants(struct mf_process_executor *process)
{
    for (uint32_t slot = 0; slot < process->configuration.n_slots; slot++) {
        const struct mf_tenant *tenant = mf_tenants_at(process->launcher.tenants, slot);
        struct mf_attempt_key key;
        struct mf_process_record *record;

        if (!tenant)
            continue;
        key = (struct mf_attempt_key){tenant->task, tenant->attempt};
        record = mf_table_find(process->lost, &key);
        if (!record)
            continue;
        record->held_slot = slot;
        record->started_wall_ns = tenant->started_wall_ns;
        if (tenant->pid > 0)
            record->pid = (uint32_t)tenant->pid;
    }
    mf_tenants_clear(process->launcher.tenants, process->configuration.n_slots);
}

static void fill_in(const struct mf_process_executor *process,
                    const struct mf_process_record *record, struct mf_outcome *outcome)
{
    int64_t now_ns = mf_clock_wall_ns();

    outcome->pid = (int32_t)record->pid;
    outcome->started_wall_ns = now_ns;
    if (record->held_slot == MF_SLOT_NONE)
        return;
    outcome->slot = process->configuration.slots[record->held_slot].number;
    outcome->started_wall_ns = record->started_wall_ns;
    if (now_ns > record->started_wall_ns)
        outcome->duration_ns = now_ns - record->started_wall_ns;
}

/* One that was staged, and not told to have begun, may have, and even have ended. */
static bool has_begun(const struct mf_process_record *record, uint64_t n_begun)
{
    return record->slot != MF_SLOT_NONE || record->held_slot != MF_SLOT_NONE ||
           (record->staged_as > 0 && record->staged_as <= n_begun);
}

static void give_back(struct mf_process_executor *process, const struct mf_attempt_key *key,
                      const struct mf_process_record *record, bool has_begun, const char *how)
{
    struct mf_outcome outcome = {.cause = MF_CAUSE_LAUNCHER, .exit_status = -1};
    struct mf_executor_event event = {.kind = MF_EXECUTOR_UNSTAGED,
                                      .task = key->task,
                                      .attempt = (uint32_t)key->attempt,
                                      .slot = record->slot};

    if (has_begun) {
        fill_in(process, record, &outcome);
        snprintf(outcome.detail, sizeof(outcome.detail), "%.159s", how);
        event.kind = MF_EXECUTOR_ENDED;
        event.outcome = &outcome;
    }
    process->fn(process->arg, &event);
}

/* What is told may lead to requests, but these are not about any of the lost. */
static void give_all_back(struct mf_process_executor *process, const char *how)
{
    struct mf_table *lost = process->lost;
    uint64_t n_begun = mf_tenants_begun(process->launcher.tenants);
    size_t cursor = 0;
    const void *key;
    void *place;

    note_tenants(process);
    process->lost = NULL;
    while (mf_table_next(lost, &cursor, &key, &place))
        give_back(process, key, place, has_begun(place, n_begun), how);
    mf_table_destroy(lost);
}

/* --- the next one --- */

static void describe_death(struct mf_process_executor *process, const struct mf_offer *offer,
                           char *text, size_t size)
{
    static const char keeper_too[] = "lost its keeper, which ";

    if (offer->keeper == process->launcher.pid) {
        describe_end(offer->status, text, size);
        return;
    }
    snprintf(text, size, "%s", keeper_too);
    (void)reap(process->launcher.pid, text + strlen(keeper_too), size - strlen(keeper_too));
    process->launcher.pid = offer->keeper;
}

/* Returns 0 or -errno. */
static int take_over(struct mf_process_executor *process, const struct mf_offer *offer,
                     int channel_fd)
{
    struct mf_error text;
    struct mf_executor_event event = {
        .kind = MF_EXECUTOR_RENEWED, .slot = MF_SLOT_NONE, .error = &text};
    int result = mf_loop_add(process->loop, channel_fd, EPOLLIN, mf_process_on_channel, process,
                             &process->watch);

    if (result < 0) {
        mf_close(&channel_fd);
        return result;
    }
    process->channel.fd = process->launcher.fd = channel_fd;
    describe_death(process, offer, text.text, sizeof(text.text));
    process->fn(process->arg, &event);
    give_all_back(process, text.text);
    process->base.can_stage = true;
    (void)process->base.ops->flush(&process->base);
    return 0;
}

void mf_process_on_lifeline(void *arg, uint32_t events)
{
    struct mf_process_executor *process = arg;
    struct mf_offer offer;
    int channel_fd;
    int result = mf_lifeline_take(process->launcher.lifeline_fd, &offer, &channel_fd);

    if (result == 1 && mf_process_is_between(process))
        result = take_over(process, &offer, channel_fd);
    if (result >= 0)
        return;
    /* Both are gone: what the launcher said last is still to be read, if it was not yet. */
    if (mf_process_is_between(process))
        break_executor(process, "");
    else
        (void)mf_loop_modify(process->loop, process->lifeline_watch, 0);
}
