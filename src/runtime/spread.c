/* How a command is started on several nodes, or as several ranks: see spread.h. No state. */
#include "runtime/spread.h"

#include "exec/environment.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Most words of a launcher, apart from variables that are named to it; and variables of ours. */
#define MAX_WORDS 28
#define MAX_VARIABLES 5

/* What the shell of ranks with GPUs is told, beside the nodes and their GPUs. */
#define GPU_TEXT_BYTES 512

/**
 * A command in the making.
 *
 * @texts    what was printed, each with its NUL; of a size that is known before, so that none moves
 * @args, @env   n_args and n_env of them
 */
struct making {
    const struct mf_command *command;
    const struct mf_spread *spread;
    struct mf_buffer texts;
    const char **args, **env;
    uint32_t n_args, n_env;
};

static uint32_t most_ranks(const struct mf_command *command, const struct mf_spread *spread)
{
    return (command->n_ranks + spread->n_hosts - 1) / spread->n_hosts;
}

/* Those of the host of that number: the first ones have one more, where they do not come out even.
 */
static uint32_t ranks_of(const struct mf_command *command, const struct mf_spread *spread,
                         uint32_t host)
{
    return command->n_ranks / spread->n_hosts + (host < command->n_ranks % spread->n_hosts);
}

void mf_spread_print_hosts(const struct mf_command *command, const struct mf_spread *spread,
                           struct mf_buffer *text)
{
    for (uint32_t i = 0; i < spread->n_hosts; i++)
        mf_buffer_print(text, "%s slots=%" PRIu32 "\n", spread->hosts[i],
                        command->n_ranks > 0 ? ranks_of(command, spread, i) : spread->n_slots);
}

/* --- texts --- */

static void put(struct making *making, const char *word)
{
    making->args[making->n_args++] = word;
}

/* Where the next text will be. */
static const char *next_text(const struct making *making)
{
    return (const char *)making->texts.data + making->texts.size;
}

static void end_text(struct making *making)
{
    mf_buffer_put_u8(&making->texts, 0);
}

static void put_number(struct making *making, const char *name, uint32_t number)
{
    put(making, next_text(making));
    mf_buffer_print(&making->texts, "%s%" PRIu32, name, number);
    end_text(making);
}

static void set(struct making *making, const char *name, const char *value)
{
    making->env[making->n_env++] = next_text(making);
    mf_buffer_print(&making->texts, "%s=%s", name, value);
    end_text(making);
}

static void set_number(struct making *making, const char *name, uint32_t number)
{
    making->env[making->n_env++] = next_text(making);
    mf_buffer_print(&making->texts, "%s=%" PRIu32, name, number);
    end_text(making);
}

static bool has_omp(const struct mf_command *command)
{
    for (uint32_t i = 0; i < command->n_env; i++)
        if (strncmp(command->env[i], "OMP_NUM_THREADS=", strlen("OMP_NUM_THREADS=")) == 0)
            return true;
    return false;
}

/* The user's own come last, as they count. */
static void put_environment(struct making *making)
{
    const struct mf_command *command = making->command;
    const struct mf_spread *spread = making->spread;

    set(making, "MPIFARM_HOSTFILE", spread->hostfile);
    set(making, "MPIFARM_SPREAD", spread->name);
    set_number(making, "MPIFARM_NODES", spread->n_hosts);
    if (command->n_ranks > 0) {
        set_number(making, "MPIFARM_RANKS", command->n_ranks);
        if (!spread->has_omp && !has_omp(command))
            set_number(making, "OMP_NUM_THREADS", spread->n_slots / most_ranks(command, spread));
    }
    for (uint32_t i = 0; i < command->n_env; i++)
        making->env[making->n_env++] = command->env[i];
}

/* --- launchers --- */

bool mf_spread_is_mpi_type_set(void)
{
    /* srun sets it in each rank that it starts, whatever the user has said. */
    if (getenv(MF_KEPT_PREFIX "SLURM_JOB_ID"))
        return getenv(MF_KEPT_PREFIX "SLURM_MPI_TYPE") != NULL;
    return getenv("SLURM_MPI_TYPE") != NULL;
}

/* Whether a host is in the component; in a job that has none they all are. */
static bool is_in(const struct mf_spread *spread, uint32_t host, uint32_t part)
{
    return !spread->parts || spread->parts[host] == part;
}

static void put_hosts(struct making *making, uint32_t part)
{
    bool is_first = true;

    put(making, next_text(making));
    mf_buffer_print(&making->texts, "--nodelist=");
    for (uint32_t i = 0; i < making->spread->n_hosts; i++) {
        if (!is_in(making->spread, i, part))
            continue;
        mf_buffer_print(&making->texts, "%s%s", is_first ? "" : ",", making->spread->hosts[i]);
        is_first = false;
    }
    end_text(making);
}

/* As mf_spread_print_hosts() has it: dealt out in turn where they do not come out even, since srun
 * would fill the first nodes. */
static void put_layout(struct making *making, uint32_t part, uint32_t n_hosts)
{
    const struct mf_spread *spread = making->spread;
    uint32_t n_ranks = 0;

    for (uint32_t i = 0; i < spread->n_hosts; i++)
        n_ranks += is_in(spread, i, part) ? ranks_of(making->command, spread, i) : 0;
    put_number(making, "--nodes=", n_hosts);
    put_number(making, "--ntasks=", n_ranks);
    if (n_ranks % n_hosts == 0)
        put_number(making, "--ntasks-per-node=", n_ranks / n_hosts);
    put_number(making, "--cpus-per-task=", spread->n_slots / most_ranks(making->command, spread));
    put_hosts(making, part);
    put(making, n_ranks % n_hosts == 0 ? "--distribution=block" : "--distribution=cyclic");
}

/*
 * The step shares the nodes with the farm's own, and asks for no more than the task has. What this
 * rank's environment says of the farm's step would count for it, where nothing else is said.
 */
static void put_step(struct making *making, uint32_t part, uint32_t n_hosts)
{
    const struct mf_spread *spread = making->spread;

    put(making, "--overlap");
    put(making, "--exact");
    if (spread->parts)
        put_number(making, "--het-group=", part);
    put_layout(making, part, n_hosts);
    put(making, "--cpu-bind=none");
    put(making, "--kill-on-bad-exit=1");
    if (!spread->has_mpi_type)
        put(making, "--mpi=pmix");
}

static void put_command(struct making *making);

/* One step, also over several components, each of which has options of its own and the command. */
static void put_srun(struct making *making)
{
    const struct mf_spread *spread = making->spread;
    bool is_first = true;

    put(making, "srun");
    for (uint32_t part = 0; part < (spread->parts ? spread->n_parts : 1); part++) {
        uint32_t n_hosts = 0;

        for (uint32_t i = 0; i < spread->n_hosts; i++)
            n_hosts += is_in(spread, i, part);
        if (n_hosts == 0)
            continue;
        if (!is_first)
            put(making, ":");
        is_first = false;
        put_step(making, part, n_hosts);
        put_command(making);
    }
}

/* Other nodes see of the environment what is named here. */
static void put_names(struct making *making)
{
    for (uint32_t i = 0; i < making->n_env; i++) {
        put(making, "-x");
        put(making, next_text(making));
        mf_buffer_append(&making->texts, making->env[i], strcspn(making->env[i], "="));
        end_text(making);
    }
    put(making, "-x");
    put(making, "MPIFARM_TASK_ID");
    put(making, "-x");
    put(making, "MPIFARM_ATTEMPT");
}

/*
 * It is bound to the cores of its task, and so are the ranks of its own node. Which cores are those
 * on the others, it cannot be told; bound by itself, two tasks of a node would share its first
 * ones.
 */
static void put_mpirun(struct making *making)
{
    put(making, "mpirun");
    put(making, "--hostfile");
    put(making, making->spread->hostfile);
    put(making, "-n");
    put_number(making, "", making->command->n_ranks);
    put(making, "--bind-to");
    put(making, "none");
    put_names(making);
}

/* --- GPUs --- */

static bool has_gpus(const struct making *making)
{
    return making->command->n_ranks > 0 && making->spread->gpus && making->spread->gpus[0];
}

static void put_use(struct making *making, const char *gpus)
{
    mf_buffer_print(&making->texts, ") use ");
    mf_shell_quote(gpus, &making->texts);
    mf_buffer_print(&making->texts, " ;;\n");
}

/*
 * As an attempt on one node finds them. What Slurm calls a node its host need not be called. Only
 * nodes where they are others than on the first are named, which for whole nodes are few.
 */
static void put_gpus(struct making *making)
{
    const struct mf_spread *spread = making->spread;

    put(making, MF_SHELL);
    put(making, "-c");
    put(making, next_text(making));
    mf_buffer_print(&making->texts, "use() { unset");
    for (const char *const *name = mf_gpu_names; *name; name++)
        mf_buffer_print(&making->texts, " %.*s", (int)strcspn(*name, "="), *name);
    mf_buffer_print(&making->texts, "; export \"$1\" MPIFARM_GPUS=\"${1#*=}\"; }\n"
                                    "case ${SLURMD_NODENAME:-$(uname -n)} in\n");
    for (uint32_t i = 0; i < spread->n_hosts; i++) {
        if (!spread->gpus[i] || strcmp(spread->gpus[i], spread->gpus[0]) == 0)
            continue;
        mf_shell_quote(spread->hosts[i], &making->texts);
        put_use(making, spread->gpus[i]);
    }
    mf_buffer_print(&making->texts, "*");
    put_use(making, spread->gpus[0]);
    mf_buffer_print(&making->texts, "esac\nexec \"$@\"");
    end_text(making);
    put(making, "mpifarm");
}

/* --- all of it --- */

static int reserve(struct making *making)
{
    const struct mf_command *command = making->command;
    const struct mf_spread *spread = making->spread;
    size_t n_bytes = 1024 + strlen(spread->hostfile) + strlen(spread->name);
    size_t n_words = MAX_WORDS + command->n_args + 2 * ((size_t)command->n_env + MAX_VARIABLES);
    size_t n_parts = spread->parts ? spread->n_parts : 1;

    for (uint32_t i = 0; i < spread->n_hosts; i++)
        n_bytes += strlen(spread->hosts[i]) + 1;
    n_bytes += has_gpus(making) ? GPU_TEXT_BYTES : 0;
    /* Quoted, a character becomes four at most. */
    for (uint32_t i = 0; i < spread->n_hosts && has_gpus(making); i++)
        n_bytes +=
            4 * (strlen(spread->hosts[i]) + (spread->gpus[i] ? strlen(spread->gpus[i]) : 0)) + 32;
    for (uint32_t i = 0; i < command->n_env; i++)
        n_bytes += strlen(command->env[i]) + 1;
    n_bytes *= n_parts;
    n_words *= n_parts;
    making->args = calloc(n_words, sizeof(*making->args));
    making->env = calloc((size_t)command->n_env + MAX_VARIABLES, sizeof(*making->env));
    if (!making->args || !making->env)
        return -ENOMEM;
    return mf_buffer_reserve(&making->texts, n_bytes);
}

static void put_command(struct making *making)
{
    const struct mf_command *command = making->command;

    if (has_gpus(making))
        put_gpus(making);
    if (command->is_shell && command->n_ranks > 0) {
        put(making, MF_SHELL);
        put(making, "-c");
    }
    for (uint32_t i = 0; i < command->n_args; i++)
        put(making, command->args[i]);
}

int mf_spread_encode(const struct mf_command *command, const struct mf_spread *spread,
                     struct mf_buffer *buffer)
{
    struct making making = {.command = command, .spread = spread};
    struct mf_command made = *command;
    int r = reserve(&making);

    if (r == 0) {
        put_environment(&making);
        if (command->n_ranks > 0 && spread->has_slurm) {
            put_srun(&making);
        } else {
            if (command->n_ranks > 0)
                put_mpirun(&making);
            put_command(&making);
        }
        made.is_shell = command->is_shell && command->n_ranks == 0;
        made.args = making.args;
        made.n_args = making.n_args;
        made.env = making.env;
        made.n_env = making.n_env;
        made.n_nodes = made.n_ranks = 0;
        mf_command_encode(&made, buffer);
        r = mf_buffer_status(&making.texts);
    }
    mf_buffer_finish(&making.texts);
    free(making.args);
    free(making.env);
    return r < 0 ? r : mf_buffer_status(buffer);
}
