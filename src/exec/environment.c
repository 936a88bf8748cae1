/*
 * The texts that a new process gets. Whoever owns the image uses its memory
 * again for a later command. All that one command can need is reserved first,
 * so that no text moves while pointers to it are written.
 *
 * Run by the launcher's only thread.
 */
#include "exec/environment.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_PATH "/usr/local/bin:/usr/bin:/bin"

/* Room for "NAME=number" with the longest of the names below, or for a number alone. */
#define VARIABLE_BYTES ((size_t)64)
#define NUMBER_BYTES ((size_t)12)

/* Of the launchers of MPI programs: a command that is one itself would take itself for a rank. */
static const char *const hidden_prefixes[] = {"OMPI_", "PMIX_", "PMI_", "PRTE_", "ORTE_"};

/* These only a user sets; without them a command that root runs could not call mpirun. */
static const char *const shown_prefixes[] = {"OMPI_ALLOW_RUN_AS_ROOT"};

/* Set for each command, so what is inherited from an outer farm must go. */
static const char *const own_names[] = {
    "MPIFARM_TASK_ID=",      "MPIFARM_ATTEMPT=",    "MPIFARM_RANK=",     "MPIFARM_SLOT=",
    "MPIFARM_CORES=",        "MPIFARM_RUN_DIR=",    "PARALLEL_SEQ=",     "PARALLEL_JOBSLOT=",
    "MPIFARM_GPUS=",         "MPIFARM_SUPERVISED=", "MPIFARM_TERMINAL=", "MPIFARM_JOB_END=",
    "DISBATCH_ENGINE_RANK=", "MPIFARM_HOSTFILE=",   "MPIFARM_NODES=",    "MPIFARM_RANKS=",
    "MPIFARM_SPREAD=",
};

/* What Slurm says of the node, which is another one for each rank. */
static const char *const node_names[] = {
    "SLURM_CPUS_ON_NODE=", "SLURM_GPUS_ON_NODE=",  "SLURM_JOB_GPUS=",
    "SLURM_NODEID=",       "SLURM_TOPOLOGY_ADDR=", "SLURM_TOPOLOGY_ADDR_PATTERN=",
};

const char *const mf_gpu_names[] = {
    "CUDA_VISIBLE_DEVICES=", "ROCR_VISIBLE_DEVICES=", "HIP_VISIBLE_DEVICES=",
    "GPU_DEVICE_ORDINAL=",   "ZE_AFFINITY_MASK=",     NULL,
};

#define MAX_OWN_VARIABLES 10

#define N_ITEMS(array) (sizeof(array) / sizeof((array)[0]))

static bool starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool starts_with_any(const char *text, const char *const *prefixes, size_t n_prefixes)
{
    for (size_t i = 0; i < n_prefixes; i++)
        if (starts_with(text, prefixes[i]))
            return true;
    return false;
}

static bool is_inherited(const char *variable)
{
    if (starts_with_any(variable, shown_prefixes, N_ITEMS(shown_prefixes)))
        return true;
    return !starts_with_any(variable, hidden_prefixes, N_ITEMS(hidden_prefixes)) &&
           !starts_with_any(variable, own_names, N_ITEMS(own_names));
}

static bool is_of_node(const char *variable)
{
    return starts_with_any(variable, node_names, N_ITEMS(node_names));
}

/*
 * What a command gets of a variable, NULL for nothing. In a Slurm job that the farm started its
 * ranks in, those of Slurm are as in the batch script: the step of the ranks is none of the
 * command's business, and would mislead an srun or mpirun that it calls.
 */
static char *inherit(char *variable, bool has_kept)
{
    char *kept = variable + strlen(MF_KEPT_PREFIX);

    if (starts_with(variable, MF_KEPT_PREFIX))
        return is_of_node(kept) ? NULL : kept;
    if (has_kept && starts_with(variable, "SLURM_") && !is_of_node(variable))
        return NULL;
    return is_inherited(variable) ? variable : NULL;
}

static bool has_kept_variables(void)
{
    for (char **variable = environ; *variable; variable++)
        if (starts_with(*variable, MF_KEPT_PREFIX))
            return true;
    return false;
}

int mf_environment_inherit(struct mf_spawner *spawner)
{
    const struct mf_configuration *configuration = spawner->configuration;
    size_t n_variables = 0, run_dir, engine;
    bool has_kept = has_kept_variables();

    while (environ[n_variables])
        n_variables++;
    /* Three more of our own below. */
    spawner->inherited = calloc(n_variables + 3, sizeof(*spawner->inherited));
    if (!spawner->inherited)
        return -ENOMEM;
    for (size_t i = 0; i < n_variables; i++) {
        char *variable = inherit(environ[i], has_kept);

        if (!variable)
            continue;
        spawner->inherited[spawner->n_inherited++] = variable;
        if (starts_with(variable, "OMP_NUM_THREADS="))
            spawner->has_omp = true;
    }

    mf_buffer_print(&spawner->own_texts, "MPIFARM_RANK=%" PRIu32, configuration->rank);
    mf_buffer_put_u8(&spawner->own_texts, 0);
    run_dir = spawner->own_texts.size;
    mf_buffer_print(&spawner->own_texts, "MPIFARM_RUN_DIR=%s", configuration->run_dir);
    mf_buffer_put_u8(&spawner->own_texts, 0);
    /* What an engine of disBatch is, a rank is here: tasks find what PERENGINE has left. */
    engine = spawner->own_texts.size;
    mf_buffer_print(&spawner->own_texts, "DISBATCH_ENGINE_RANK=%" PRIu32, configuration->rank);
    mf_buffer_put_u8(&spawner->own_texts, 0);
    if (mf_buffer_status(&spawner->own_texts) < 0)
        return -ENOMEM;
    spawner->inherited[spawner->n_inherited++] = (char *)spawner->own_texts.data;
    spawner->inherited[spawner->n_inherited++] = (char *)spawner->own_texts.data + engine;
    if (configuration->run_dir[0])
        spawner->inherited[spawner->n_inherited++] = (char *)spawner->own_texts.data + run_dir;
    return 0;
}

/* Where PATH comes from: the command's own environment, else what it inherits. */
static const char *find_path(const struct mf_spawner *spawner, const struct mf_command *command)
{
    const char *path = DEFAULT_PATH;

    for (uint32_t i = 0; i < spawner->n_inherited; i++)
        if (starts_with(spawner->inherited[i], "PATH="))
            path = spawner->inherited[i] + strlen("PATH=");
    for (uint32_t i = 0; i < command->n_env; i++)
        if (starts_with(command->env[i], "PATH="))
            path = command->env[i] + strlen("PATH=");
    return path;
}

static bool needs_search(const struct mf_command *command)
{
    return !command->is_shell && command->args[0][0] && !strchr(command->args[0], '/');
}

static size_t count_dirs(const char *path)
{
    size_t n = 1;

    for (; *path; path++)
        n += *path == ':';
    return n;
}

/* Reserves the most that the command's texts and vectors can take. */
static int reserve(const struct mf_spawner *spawner, const struct mf_spawn *spawn, const char *path,
                   struct mf_image *image)
{
    const struct mf_command *command = spawn->command;
    size_t n_texts_bytes = strlen(command->id) + MAX_OWN_VARIABLES * VARIABLE_BYTES;
    size_t n_pointers = spawner->n_inherited + MAX_OWN_VARIABLES + command->n_env + 1;

    if (spawn->gpus)
        n_texts_bytes += strlen(spawn->gpus);
    for (uint32_t i = 0; i < spawn->n_slots; i++)
        n_texts_bytes += spawner->configuration->slots[spawn->slots[i]].n_cpus * NUMBER_BYTES;
    /* Arguments are copied only for their marks; a shell's three need no more room than these. */
    for (uint32_t i = 0; i < command->n_args && command->n_marks > 0; i++)
        n_texts_bytes += strlen(command->args[i]) + 1;
    n_texts_bytes += command->n_marks * NUMBER_BYTES;
    n_pointers += command->n_args + 5;
    if (path) {
        size_t program_bytes = strlen(command->args[0]) + command->n_marks * NUMBER_BYTES;

        n_texts_bytes += strlen(path) + count_dirs(path) * (program_bytes + 3);
        n_pointers += count_dirs(path);
    }
    n_pointers += 2;

    mf_buffer_clear(&image->texts);
    mf_buffer_clear(&image->pointers);
    if (mf_buffer_reserve(&image->texts, n_texts_bytes) < 0 ||
        mf_buffer_reserve(&image->pointers, n_pointers * sizeof(char *)) < 0)
        return -ENOMEM;
    return 0;
}

/* The end of the texts, where the next one will be. */
static char *next_text(const struct mf_image *image)
{
    return (char *)image->texts.data + image->texts.size;
}

/* The end of the vectors, where the next pointer will be. */
static char **next_pointer(const struct mf_image *image)
{
    return (char **)(void *)(image->pointers.data + image->pointers.size);
}

static void put_pointer(struct mf_image *image, const char *text)
{
    mf_buffer_append(&image->pointers, &text, sizeof(text));
}

static void end_text(struct mf_image *image)
{
    mf_buffer_put_u8(&image->texts, 0);
}

static void put_characters(struct mf_image *image, const char *characters)
{
    mf_buffer_append(&image->texts, characters, strlen(characters));
}

/* By hand: there are several for each command, and printf() takes longer than all else here. */
static void put_digits(struct mf_image *image, uint64_t number)
{
    char digits[20];
    size_t first = sizeof(digits);

    do
        digits[--first] = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    mf_buffer_append(&image->texts, digits + first, sizeof(digits) - first);
}

/* A variable; name ends in "=". */
static void put_number(struct mf_image *image, const char *name, uint64_t number)
{
    put_pointer(image, next_text(image));
    put_characters(image, name);
    put_digits(image, number);
    end_text(image);
}

static void put_cores(struct mf_image *image, const struct mf_spawner *spawner,
                      const struct mf_spawn *spawn)
{
    const char *separator = "MPIFARM_CORES=";
    char *text = next_text(image);

    for (uint32_t i = 0; i < spawn->n_slots; i++) {
        const struct mf_slot *slot = &spawner->configuration->slots[spawn->slots[i]];

        for (uint32_t k = 0; k < slot->n_cpus; k++) {
            put_characters(image, separator);
            put_digits(image, slot->cpus[k]);
            separator = ",";
        }
    }
    if (next_text(image) == text)
        return;
    put_pointer(image, text);
    end_text(image);
}

/* Puts the command's own variable into the n there are, in place of one of that name. */
static void put_given(struct mf_image *image, char **environment, size_t n, const char *given)
{
    size_t name_size = strcspn(given, "=") + 1;

    for (size_t i = 0; i < n; i++) {
        if (strncmp(environment[i], given, name_size) == 0) {
            environment[i] = (char *)given;
            return;
        }
    }
    put_pointer(image, given);
}

static bool is_about_gpus(const char *variable)
{
    return starts_with_any(variable, mf_gpu_names, N_ITEMS(mf_gpu_names) - 1);
}

/*
 * What a command with GPUs sees of them. Other variables about GPUs go: they name
 * all GPUs of the worker, or count among those that this one leaves. A command
 * without any sees what mpifarm was started with, as with other farms: not to
 * ask is not to be denied.
 */
static void put_gpus(struct mf_image *image, char **environment, const char *gpus)
{
    size_t n = (size_t)(next_pointer(image) - environment), n_kept = 0;
    const char *ids = strchr(gpus, '=') + 1;

    for (size_t i = 0; i < n; i++)
        if (!is_about_gpus(environment[i]))
            environment[n_kept++] = environment[i];
    image->pointers.size -= (n - n_kept) * sizeof(*environment);
    put_pointer(image, gpus);
    put_pointer(image, next_text(image));
    put_characters(image, "MPIFARM_GPUS=");
    put_characters(image, ids);
    end_text(image);
}

static char **put_environment(struct mf_image *image, const struct mf_spawner *spawner,
                              const struct mf_spawn *spawn)
{
    char **environment = next_pointer(image);
    uint32_t number = spawner->configuration->slots[spawn->slots[0]].number;

    mf_buffer_append(&image->pointers, spawner->inherited,
                     spawner->n_inherited * sizeof(*spawner->inherited));
    put_pointer(image, next_text(image));
    put_characters(image, "MPIFARM_TASK_ID=");
    put_characters(image, spawn->command->id);
    end_text(image);
    put_number(image, "MPIFARM_ATTEMPT=", spawn->try_number);
    put_number(image, "MPIFARM_SLOT=", number);
    put_number(image, "PARALLEL_SEQ=", spawn->command->seq);
    put_number(image, "PARALLEL_JOBSLOT=", number);
    if (!spawner->has_omp)
        put_number(image, "OMP_NUM_THREADS=", spawn->n_slots);
    put_cores(image, spawner, spawn);
    if (spawn->gpus)
        put_gpus(image, environment, spawn->gpus);
    for (uint32_t i = 0; i < spawn->command->n_env; i++)
        put_given(image, environment, (size_t)(next_pointer(image) - environment),
                  spawn->command->env[i]);
    put_pointer(image, NULL);
    return environment;
}

/* Argument i with the number of the slot at its marks; *mark goes past them. */
static const char *fill_marks(struct mf_image *image, const struct mf_spawner *spawner,
                              const struct mf_spawn *spawn, uint32_t i, uint32_t *mark)
{
    const struct mf_command *command = spawn->command;
    uint32_t number = spawner->configuration->slots[spawn->slots[0]].number;
    const char *arg = command->args[i];
    const char *text = next_text(image);
    size_t done = 0;

    if (*mark == command->n_marks || command->marks[*mark].arg != i)
        return arg;
    for (; *mark < command->n_marks && command->marks[*mark].arg == i; ++*mark) {
        size_t offset = command->marks[*mark].offset;

        mf_buffer_append(&image->texts, arg + done, offset - done);
        put_digits(image, number);
        done = offset;
    }
    mf_buffer_append(&image->texts, arg + done, strlen(arg + done));
    end_text(image);
    return text;
}

static char **put_arguments(struct mf_image *image, const struct mf_spawner *spawner,
                            const struct mf_spawn *spawn)
{
    char **argv;
    uint32_t mark = 0;

    put_pointer(image, MF_SHELL);
    argv = next_pointer(image);
    if (spawn->command->is_shell) {
        put_pointer(image, MF_SHELL);
        put_pointer(image, "-c");
    }
    for (uint32_t i = 0; i < spawn->command->n_args; i++)
        put_pointer(image, fill_marks(image, spawner, spawn, i, &mark));
    put_pointer(image, NULL);
    return argv;
}

/* One file for each directory of path; an empty entry is the current directory. */
static void put_candidates(struct mf_image *image, const char *path, const char *program)
{
    for (;;) {
        size_t size = strcspn(path, ":");

        put_pointer(image, next_text(image));
        mf_buffer_append(&image->texts, size ? path : ".", size ? size : 1);
        mf_buffer_put_u8(&image->texts, '/');
        mf_buffer_append(&image->texts, program, strlen(program));
        end_text(image);
        if (!path[size])
            return;
        path += size + 1;
    }
}

int mf_environment_prepare(const struct mf_spawner *spawner, const struct mf_spawn *spawn,
                           struct mf_image *image)
{
    const struct mf_command *command = spawn->command;
    const char *path = needs_search(command) ? find_path(spawner, command) : NULL;
    int result = reserve(spawner, spawn, path, image);

    if (result < 0)
        return result;
    image->environment = put_environment(image, spawner, spawn);
    image->argv = put_arguments(image, spawner, spawn);
    image->paths = next_pointer(image);
    if (path)
        put_candidates(image, path, image->argv[0]);
    else
        put_pointer(image, image->argv[0]);
    put_pointer(image, NULL);
    return 0;
}

void mf_image_finish(struct mf_image *image)
{
    mf_buffer_finish(&image->texts);
    mf_buffer_finish(&image->pointers);
}
