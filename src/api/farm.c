/* Making, starting and ending a farm. */
#include "api/farm.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/units.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The exit status when a function that does not return makes the end impossible. */
#define ABORT_STATUS 3

/*
 * How long a rank looks for messages before it naps. Longer than the shortest
 * nap, or two ranks that talk to each other would always meet asleep. But where
 * ranks outnumber the cores, those that look take the cores from those that work.
 */
#define SPIN_NS (100 * MF_NS_PER_US)
#define CROWDED_SPIN_NS (2 * MF_NS_PER_US)

/*
 * Waking up takes some 5 us of a core. Workers that share cores with others
 * sleep long enough that many tasks wait for each when it wakes.
 */
#define CROWDED_NAP_NS (100 * MF_NS_PER_US)

/*
 * There rank 0, as long as it looks for messages, takes a core from a worker: it sleeps while all
 * of them have something to do. After that it may have to wait for its turn, some milliseconds.
 */
#define CROWDED_AHEAD_NS (4 * MF_NS_PER_MS)

/* More than any node has cores; each takes files of its rank. */
#define MAX_EXECUTORS 4096

int mf_api_fail(struct mpifarm *farm, int code, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(farm->err.text, sizeof(farm->err.text), format, arguments);
    va_end(arguments);
    farm->error = code;
    return code;
}

const char *mpifarm_error_text(const struct mpifarm *farm)
{
    if (!farm)
        return "there is no farm: the pointer is NULL";
    return farm->error < 0 ? farm->err.text : "";
}

/* An executor process was forked before MPI was there to ask. */
uint32_t mpifarm_rank(const struct mpifarm *farm)
{
    if (!farm)
        return 0;
    return farm->remote ? farm->remote->rank : farm->launch.rank;
}

uint32_t mpifarm_size(const struct mpifarm *farm)
{
    if (!farm)
        return 0;
    return farm->remote ? farm->remote->size : farm->launch.n_copies;
}

int mf_api_refuse_client(struct mpifarm *farm, const char *call)
{
    if (!farm)
        return -EINVAL;
    if (farm->is_in_task)
        return mf_api_fail(farm, -EPERM, "%s() was called by a task function", call);
    if (farm->is_started && mpifarm_rank(farm) == 0)
        return mf_api_fail(farm, -EINVAL, "%s() was called although the farm did not start", call);
    if (farm->is_started || mpifarm_rank(farm) != 0)
        return mf_api_fail(farm, -EPERM, "%s() was called on rank %" PRIu32 ": only rank 0 may",
                           call, mpifarm_rank(farm));
    return mf_api_fail(farm, -EINVAL, "%s() was called before mpifarm_start()", call);
}

int mf_api_refuse_null(struct mpifarm *farm, const char *call, const char *what)
{
    int r = mf_api_check_client(farm, call);

    return r < 0 ? r : mf_api_fail(farm, -EINVAL, "%s() was given NULL for %s", call, what);
}

/* --- making --- */

/*
 * What the environment says. Whoever writes "yes" must not find out by a crash that it is "1". If
 * it says nothing, it depends on what the death of one rank does to the others.
 */
static int read_isolation(struct mpifarm *farm, bool *ret_is_isolated)
{
    const char *variable = getenv("MPIFARM_ISOLATE");

    *ret_is_isolated = farm->launch.is_fragile;
    if (!variable || !variable[0])
        return 0;
    *ret_is_isolated = strcmp(variable, "1") == 0;
    if (*ret_is_isolated || strcmp(variable, "0") == 0)
        return 0;
    return mf_api_fail(farm, -EINVAL, "MPIFARM_ISOLATE is \"%s\": it can be 0 or 1", variable);
}

static int choose_isolation(struct mpifarm *farm, const struct mpifarm_options *options,
                            bool *ret_is_isolated)
{
    switch (options->isolation) {
    case MPIFARM_ISOLATION_DEFAULT:
        return read_isolation(farm, ret_is_isolated);
    case MPIFARM_ISOLATION_OFF:
    case MPIFARM_ISOLATION_ON:
        *ret_is_isolated = options->isolation == MPIFARM_ISOLATION_ON;
        return 0;
    default:
        return mf_api_fail(farm, -EINVAL, "options: there is no isolation %d",
                           (int)options->isolation);
    }
}

/* Who means mebibytes, or mistakes the unit, is not to find each task ended. */
#define MIN_EXECUTOR_BYTES ((int64_t)1 << 20)

/* What the options say of the memory of executors; if they say nothing, what the environment says.
 */
static int choose_memory(struct mpifarm *farm)
{
    const char *variable = getenv("MPIFARM_EXECUTOR_MEMORY");
    int64_t *limit_bytes = &farm->options.executor_memory_bytes;
    struct mf_error err = {0};
    uint64_t bytes = 0;

    if (*limit_bytes < 0 || (*limit_bytes > 0 && *limit_bytes < MIN_EXECUTOR_BYTES))
        return mf_api_fail(farm, -EINVAL,
                           "options: executor_memory_bytes is %" PRId64
                           ": it can be 0 for no limit, or at least 1 MiB (%" PRId64 ")",
                           *limit_bytes, MIN_EXECUTOR_BYTES);
    if (*limit_bytes > 0 || !variable || !variable[0])
        return 0;
    if (mf_parse_size(variable, &bytes, &err) < 0 || bytes > INT64_MAX ||
        (bytes > 0 && bytes < (uint64_t)MIN_EXECUTOR_BYTES))
        return mf_api_fail(farm, -EINVAL,
                           "MPIFARM_EXECUTOR_MEMORY is \"%s\": it can be 0 for no limit, or a size "
                           "such as 512M or 2G, at least 1M",
                           variable);
    *limit_bytes = (int64_t)bytes;
    return 0;
}

static int set_options(struct mpifarm *farm, const struct mpifarm_options *options)
{
    if (options)
        farm->options = *options;
    farm->log = (struct mf_log){.file = stderr,
                                .level = farm->options.quiet ? MF_LOG_ERROR : MF_LOG_WARNING};
    if (farm->options.spin_ns < 0)
        return mf_api_fail(farm, -EINVAL, "options: spin_ns is negative");
    if (farm->options.n_executors > MAX_EXECUTORS)
        return mf_api_fail(farm, -EINVAL, "options: n_executors is %" PRIu32 ", more than %d",
                           farm->options.n_executors, MAX_EXECUTORS);
    if (farm->options.max_attempts == 0)
        farm->options.max_attempts = 1;
    return 0;
}

/* Ranks of other nodes cannot see this process, which may be in a function for hours: another one
 * answers for it. Where there can be none, they do not ask. */
static void fork_keeper(struct mpifarm *farm)
{
    int fd = mf_door_open(&farm->life.door);
    int r = fd < 0 ? fd : mf_keeper_fork(&farm->life.door, fd, &farm->keeper);

    if (fd >= 0)
        mf_close(&fd);
    if (r < 0)
        farm->life.door.port = 0;
}

/* Each rank has a core for itself, or they share some, as is taken for granted while nobody knows.
 */
static void note_sharing(struct mpifarm *farm, struct mf_sharing sharing)
{
    bool is_shared = sharing.n_ranks == 0 || sharing.n_ranks > sharing.n_cores;

    farm->is_crowded = farm->is_isolated || is_shared;
    farm->backoff.spin_ns = farm->options.spin_ns;
    if (farm->options.spin_ns == 0)
        farm->backoff.spin_ns = farm->is_crowded ? CROWDED_SPIN_NS : SPIN_NS;
    farm->backoff.shortest_nap_ns = 0;
    if (is_shared && !farm->is_isolated && mpifarm_rank(farm) != 0)
        farm->backoff.shortest_nap_ns =
            CROWDED_NAP_NS * sharing.n_ranks / (sharing.n_cores ? sharing.n_cores : 1);
}

static int set_up(struct mpifarm *farm, int *argc, char ***argv,
                  const struct mpifarm_options *options)
{
    int r = set_options(farm, options);

    /* Nothing may be forked once it is. */
    if (r == 0 && mf_transport_mpi_is_used())
        r = mf_api_fail(farm, -EALREADY, "MPI is initialised already");
    if (r == 0)
        r = mf_launch_detect(&farm->launch, &farm->err);
    if (r == 0)
        r = choose_isolation(farm, &farm->options, &farm->is_isolated);
    if (r == 0)
        r = choose_memory(farm);
    mf_life_own(&farm->life);
    if (r == 0 && farm->launch.is_mpi && farm->launch.n_local != farm->launch.n_copies)
        fork_keeper(farm);
    /* Before MPI_Init, and whatever the rank: which one this is, only MPI knows for sure. */
    if (r == 0 && farm->is_isolated) {
        /* All that runs in the copies that executor processes have of the farm are tasks. */
        farm->is_in_task = true;
        r = mf_nursery_fork(&farm->nursery, &farm->err);
        farm->is_in_task = false;
    }
    if (r == 0 && farm->launch.is_mpi) {
        r = mf_transport_mpi_create(argc, argv,
                                    farm->options.has_threads ? MF_MPI_THREADS : MF_MPI_ALONE,
                                    &farm->remote, &farm->err);
        if (r == 0)
            r = mf_launch_verify(&farm->launch, farm->remote->size, &farm->err);
        if (r == 0 && farm->remote->rank == 0)
            r = mf_client_announce(farm->remote, &farm->life);
    }
    if (r == 0)
        r = mf_topo_cores(NULL, &farm->cores, &farm->n_cores, &farm->err);
    /* Until the bindings of the others are known. */
    note_sharing(farm, (struct mf_sharing){farm->launch.n_local, farm->n_cores});
    if (r == 0) {
        r = mf_loop_create(&farm->loop);
        if (r < 0)
            mf_api_fail(farm, r, "cannot set up the farm: %s", strerror(-r));
    }
    return r;
}

int mpifarm_init(int *argc, char ***argv, const struct mpifarm_options *options,
                 struct mpifarm **ret_farm)
{
    struct mpifarm *farm;
    int r;

    if (!ret_farm)
        return -EINVAL;
    farm = calloc(1, sizeof(*farm));
    if (!farm)
        return -ENOMEM;
    farm->nursery.fd = -1;
    farm->functions.farm = farm;
    r = set_up(farm, argc, argv, options);
    if (r < 0) {
        mf_log_error(&farm->log, "%s", farm->err.text);
        mpifarm_finish(farm);
        return r;
    }
    *ret_farm = farm;
    return 0;
}

int mpifarm_register(struct mpifarm *farm, const char *name, mpifarm_function function, void *user)
{
    int r;

    if (!farm)
        return -EINVAL;
    if (farm->is_started)
        return mf_api_fail(farm, -EINVAL, "mpifarm_register() was called after mpifarm_start()");
    r = mf_functions_add(&farm->functions, name, function, user);
    if (r < 0)
        mf_api_fail(farm, r, "function \"%s\" cannot be registered: %s", name ? name : "",
                    r == -EEXIST ? "the name is taken" : strerror(-r));
    return r;
}

int mpifarm_lookup(const struct mpifarm *farm, const char *name)
{
    int r;

    if (!farm)
        return -EINVAL;
    if (!name)
        return mf_api_fail(mf_api_writable(farm), -EINVAL, "mpifarm_lookup() was given no name");
    r = mf_functions_find(&farm->functions, name);
    if (r < 0)
        mf_api_fail(mf_api_writable(farm), r, "there is no function \"%s\"", name);
    return r;
}

int mpifarm_hooks(struct mpifarm *farm, int (*init)(struct mpifarm *farm, void *user),
                  void (*finish)(struct mpifarm *farm, void *user), void *user)
{
    if (!farm)
        return -EINVAL;
    if (farm->is_started)
        return mf_api_fail(farm, -EINVAL, "mpifarm_hooks() was called after mpifarm_start()");
    farm->functions.init = init;
    farm->functions.finish = finish;
    farm->functions.hook_user = user;
    return 0;
}

/* --- serving --- */

static int create_caller(struct mpifarm *farm, struct mf_caller **ret_caller)
{
    struct mf_caller_config config = mf_server_caller_config(farm->server);

    config.memory_bytes = (uint64_t)farm->options.executor_memory_bytes;
    if (farm->is_isolated)
        return mf_host_caller_create(&config, &farm->nursery, farm->loop, ret_caller);
    return mf_inline_caller_create(&config, mf_server_poll, farm->server, ret_caller);
}

static int create_server(struct mpifarm *farm, struct mf_transport *transport)
{
    struct mf_server_config config = {
        .transport = transport,
        .scheduler = 0,
        .rank = mpifarm_rank(farm),
        .functions = &farm->functions,
        .cores = farm->cores,
        .n_cores = farm->n_cores,
        .life = &farm->life,
        .watches = transport == farm->remote,
    };
    struct mf_caller *caller;
    int r = mf_server_create(&config, &farm->server);

    if (r == 0)
        r = create_caller(farm, &caller);
    if (r < 0)
        return mf_api_fail(farm, r, "cannot set up a worker: %s", strerror(-r));
    mf_server_set_caller(farm->server, caller);
    return 0;
}

static bool turn_server(struct mpifarm *farm, int *n_errors)
{
    int r;

    farm->now_ns = mf_clock_monotonic_ns();
    farm->is_in_task = true;
    r = mf_server_turn(farm->server, farm->now_ns);
    farm->is_in_task = false;
    if (r == -EOWNERDEAD)
        mf_api_fail(farm, -ECONNABORTED, "rank %" PRIu32 " has stopped: rank 0 is gone",
                    mpifarm_rank(farm));
    else if (r < 0)
        mf_api_fail(farm, -ECONNABORTED, "rank %" PRIu32 " lost touch with rank 0: %s",
                    mpifarm_rank(farm), strerror(-r));
    *n_errors += r < 0;
    return r > 0;
}

/* Rank 0 says it with its WELCOME. */
static void learn_sharing(struct mpifarm *farm)
{
    struct mf_sharing sharing = mf_server_sharing(farm->server);

    if (farm->is_sharing_known || sharing.n_ranks == 0)
        return;
    note_sharing(farm, sharing);
    farm->is_sharing_known = true;
}

/* A rank that gave up at a message still waits to be told to stop, unless it cannot hear that. */
#define MAX_ERRORS 3

/* A rank other than 0, until it was told to stop and how the others have ended. */
static int serve(struct mpifarm *farm)
{
    int n_errors = 0, r = create_server(farm, farm->remote);
    const char *why;

    if (r < 0)
        return r;
    while (!mf_server_is_finished(farm->server)) {
        bool had_traffic = turn_server(farm, &n_errors);

        learn_sharing(farm);
        if (n_errors > MAX_ERRORS)
            return -ECONNABORTED;
        if (had_traffic && mf_server_is_busy(farm->server))
            continue;
        /* The turn may have taken long, in a function. */
        if (had_traffic)
            farm->now_ns = mf_clock_monotonic_ns();
        mf_api_pause(farm, had_traffic, mf_server_next_ns(farm->server));
    }
    if (n_errors > 0)
        return -ECONNABORTED;
    r = mf_server_stop_reason(farm->server, &why);
    return r < 0 ? mf_api_fail(farm, r, "%s", why) : MPIFARM_SERVED;
}

/* --- starting --- */

/* A program of one rank is one that runs its tasks itself; rank 0 of several has none to run. */
static bool is_alone(const struct mpifarm *farm)
{
    return mpifarm_size(farm) == 1;
}

static int create_client(struct mpifarm *farm)
{
    struct mf_client_config config = {
        .log = &farm->log,
        .remote = is_alone(farm) ? NULL : farm->remote,
        .functions = &farm->functions,
        .max_attempts = farm->options.max_attempts,
        .is_isolated = farm->is_isolated,
        .n_executors = farm->options.n_executors,
        .cores = farm->cores,
        .n_cores = farm->n_cores,
    };
    int r = 0;

    if (is_alone(farm)) {
        r = mf_transport_local_pair(&farm->local, &farm->local_server);
        if (r == 0)
            r = create_server(farm, farm->local_server);
        config.local = farm->local;
    }
    if (r == 0)
        r = mf_client_create(&config, &farm->client);
    if (r < 0)
        return mf_api_fail(farm, r, "cannot set up the farm: %s", strerror(-r));
    return 0;
}

static int begin(struct mpifarm *farm)
{
    int r = create_client(farm);

    if (r < 0)
        return r;
    while ((r = mf_client_is_ready(farm->client, mf_clock_monotonic_ns(), &farm->err)) == 0)
        mf_api_pause(farm, mf_api_turn(farm), INT64_MAX);
    if (r < 0) {
        farm->error = r;
        mf_client_stop(farm->client, mf_clock_monotonic_ns(), r, farm->err.text);
        return r;
    }
    if (!is_alone(farm))
        note_sharing(farm, mf_client_sharing(farm->client));
    if (farm->is_crowded && farm->options.spin_ns == 0)
        mf_client_supply_ahead(farm->client, CROWDED_AHEAD_NS);
    farm->is_client = true;
    return MPIFARM_CLIENT;
}

int mpifarm_start(struct mpifarm *farm)
{
    const char *why;
    int r;

    if (!farm)
        return -EINVAL;
    if (farm->is_started)
        return mf_api_fail(farm, -EINVAL, "mpifarm_start() was called twice");
    farm->is_started = true;
    r = mpifarm_rank(farm) != 0 ? serve(farm) : begin(farm);
    /* What rank 0 has told the others, it says for all. */
    if (r < 0 && (!farm->server || mf_server_stop_reason(farm->server, &why) == 0))
        mf_log_error(&farm->log, "%s", farm->err.text);
    return r;
}

/* --- ending --- */

static int give_up_servers(struct mpifarm *farm)
{
    char text[512];

    mf_log_error(&farm->log, "%s: the program is aborted",
                 mf_client_describe_overdue(farm->client, farm->now_ns, text, sizeof(text)));
    if (farm->remote)
        mf_transport_mpi_abort(ABORT_STATUS);
    return -ETIMEDOUT;
}

/* Waits until the servers have left; a function that does not return ends the program. */
static int stop_servers(struct mpifarm *farm)
{
    mf_client_stop(farm->client, mf_clock_monotonic_ns(), 0, "");
    while (!mf_client_is_stopped(farm->client)) {
        bool had_traffic = mf_api_turn(farm);

        /* What comes may be word of hooks, and more of it may be on its way. */
        if (!had_traffic && mf_client_is_overdue(farm->client, farm->now_ns))
            return give_up_servers(farm);
        mf_api_pause(farm, had_traffic, INT64_MAX);
    }
    mf_client_end(farm->client);
    return 0;
}

/* The others wait for this rank, which is not going to serve or to be the client. */
static void withdraw(struct mpifarm *farm)
{
    const char *why = farm->is_started ? "could not start" : "has finished without mpifarm_start()";
    char text[128];

    if (farm->remote->rank == 0) {
        snprintf(text, sizeof(text), "rank 0 %s", why);
        mf_client_dismiss_all(farm->remote, -EPROTO, text, &farm->log);
    } else if (!farm->server || !mf_server_has_left(farm->server)) {
        snprintf(text, sizeof(text), "it %s", why);
        mf_server_decline(farm->remote, 0, text);
    }
}

int mpifarm_finish(struct mpifarm *farm)
{
    int r = 0;

    if (!farm)
        return 0;
    if (farm->is_in_task || farm->is_in_callback)
        return mf_api_fail(farm, -EPERM, "mpifarm_finish() was called by a task or a callback");
    if (farm->client)
        r = stop_servers(farm);
    else if (farm->remote)
        withdraw(farm);
    /* Ranks that are gone would be waited for in MPI_Finalize. */
    if (farm->remote)
        farm->remote->has_losses = (farm->client && mf_client_has_losses(farm->client)) ||
                                   (farm->server && mf_server_has_losses(farm->server));
    mf_client_destroy(farm->client);
    mf_server_destroy(farm->server);
    mf_nursery_stop(&farm->nursery);
    mf_keeper_stop(&farm->keeper);
    mf_loop_destroy(farm->loop);
    mf_transport_destroy(farm->local);
    mf_transport_destroy(farm->local_server);
    mf_transport_destroy(farm->remote);
    mf_functions_finish(&farm->functions);
    free(farm->cores);
    free(farm);
    return r;
}
