/*
 * The subcommand topo: the cores and GPUs of a node, and how ranks would share them.
 *
 * Shows what a run would do with them, on this machine, a synthetic one, or the
 * ranks that a launcher started; it starts nothing itself.
 */
#include "cli/subcommands.h"

#include "base/units.h"
#include "runtime/survey.h"
#include "topo/resources.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_RANKS 4096

/* Columns for the GPUs near a slot. */
#define GPUS_WIDTH 10

enum { OPTION_JOBS, OPTION_SYNTHETIC, OPTION_RANKS };

static const struct mf_option options[] = {
    [OPTION_JOBS] = {.name = "jobs",
                     .letter = 'j',
                     .value = "N",
                     .help = "Slots of the node, as in \"mpifarm run\": a count (8), a difference "
                             "to the number of cores (+2, -1), or a share of them (50%). One per "
                             "core is the default."},
    [OPTION_SYNTHETIC] = {.name = "synthetic",
                          .value = "TEXT",
                          .help = "A machine to use in place of this one, as hwloc describes "
                                  "it: \"pack:2 numa:1 core:4 pu:2\", or a file that lstopo "
                                  "wrote on it: node.xml."},
    [OPTION_RANKS] = {.name = "ranks",
                      .value = "N",
                      .help = "Show how N ranks would share the node; 1 is the default. Rank 0 "
                              "takes tasks only when it is alone there."},
};

struct settings {
    struct mf_jobs jobs;
    const char *synthetic;
    uint32_t n_ranks;
};

/*
 * A node and the ranks on it.
 *
 * @numbers  the rank in MPI_COMM_WORLD of each of ranks
 */
struct view {
    char node[MF_HOST_SIZE];
    struct mf_topo_rank *ranks;
    uint32_t *numbers;
    uint32_t n_ranks;
    struct mf_topo_split split;
};

static int set_option(void *arg, size_t index, const char *text, struct mf_error *err)
{
    struct settings *settings = arg;
    int64_t n_ranks;
    int r = 0;

    switch (index) {
    case OPTION_JOBS:
        r = mf_jobs_parse(text, &settings->jobs, err);
        return r < 0 ? mf_error_prefix(err, r, "--jobs: ") : 0;
    case OPTION_SYNTHETIC:
        settings->synthetic = text;
        return 0;
    case OPTION_RANKS:
        r = mf_parse_integer(text, 1, MAX_RANKS, &n_ranks, err);
        if (r < 0)
            return mf_error_prefix(err, r, "--ranks: ");
        settings->n_ranks = (uint32_t)n_ranks;
        return 0;
    }
    return r;
}

static void name_node(const char *synthetic, char *name, size_t size)
{
    if (synthetic)
        snprintf(name, size, "synthetic");
    else if (gethostname(name, size) < 0)
        snprintf(name, size, "localhost");
    name[size - 1] = '\0';
}

static int view_init(struct view *view, uint32_t most_ranks, struct mf_error *err)
{
    *view = (struct view){0};
    view->ranks = calloc(most_ranks, sizeof(*view->ranks));
    view->numbers = calloc(most_ranks, sizeof(*view->numbers));
    if (!view->ranks || !view->numbers)
        return mf_error_set(err, -ENOMEM, "out of memory");
    return 0;
}

static void view_finish(struct view *view)
{
    mf_topo_split_finish(&view->split);
    free(view->ranks);
    free(view->numbers);
}

static void view_add(struct view *view, uint32_t number, const struct mf_offer *has)
{
    view->numbers[view->n_ranks] = number;
    view->ranks[view->n_ranks++] =
        (struct mf_topo_rank){.cores = has->cores, .n_cores = has->n_cores, .has = &has->resources};
}

/* Rank 0 schedules, and works only where it has its node for itself. */
static int view_share(struct view *view, const struct mf_jobs *jobs, struct mf_error *err)
{
    int r;

    for (uint32_t i = 0; i < view->n_ranks; i++)
        view->ranks[i].is_worker = view->numbers[i] > 0 || view->n_ranks == 1;
    r = mf_topo_share(view->ranks, view->n_ranks, jobs, &view->split);
    if (r == 0)
        r = mf_topo_share_resources(view->ranks, view->n_ranks, &view->split);
    return r < 0 ? mf_error_set(err, r, "cannot share the node: %s", strerror(-r)) : 0;
}

/* Whether it is next to the core; where only its package is known, next to that. */
static bool is_near(const struct mf_gpu *gpu, const struct mf_core *core)
{
    return mf_gpu_distance(gpu, core->numa, core->package) <= (gpu->numa == MF_NOWHERE);
}

/* The GPUs of the rank that are near the core, "0,3", or "-". */
static void print_near(const struct mf_topo_rank *rank, const struct mf_core *core, FILE *file)
{
    const char *separator = "";
    int width = 0;

    for (uint32_t i = 0; i < rank->n_gpus; i++)
        if (is_near(&rank->gpus[i], core)) {
            width += fprintf(file, "%s%s", separator, rank->gpus[i].id);
            separator = ",";
        }
    if (width == 0)
        width = fprintf(file, "-");
    fprintf(file, "%*s", width < GPUS_WIDTH ? GPUS_WIDTH - width : 0, "");
}

static void print_slot(const struct view *view, uint32_t rank, uint32_t slot, FILE *file)
{
    const struct mf_topo_rank *owner = &view->ranks[rank];
    const struct mf_core *core = &view->split.pool[owner->slot_cores[slot]];
    char cpus[MF_CORE_MAX_CPUS * 11 + 1] = "";
    size_t used = 0;

    for (uint32_t i = 0; i < core->n_cpus; i++)
        used += (size_t)snprintf(cpus + used, sizeof(cpus) - used, "%s%" PRIu32, i ? "," : "",
                                 core->cpus[i]);
    fprintf(file, "%6" PRIu32 " %6" PRIu32 " %6" PRIu32 " %6" PRIu32 " %8" PRIu32 "  %-10s ",
            view->numbers[rank], owner->first_slot + slot, owner->slot_cores[slot], core->numa,
            core->package, cpus);
    print_near(owner, core, file);
    fprintf(file, " %s\n", view->node);
}

/* A number, or "-" for nowhere. */
static void print_number(uint32_t number, int width, FILE *file)
{
    if (number == MF_NOWHERE)
        fprintf(file, " %*s", width, "-");
    else
        fprintf(file, " %*" PRIu32, width, number);
}

/* The numbers of its owner's slots near the GPU, "1-4,9", or "-". */
static void print_slots_near(const struct view *view, uint32_t rank, const struct mf_gpu *gpu,
                             FILE *file)
{
    const struct mf_topo_rank *owner = &view->ranks[rank];
    const char *separator = "";

    for (uint32_t first = 0, end; first < owner->n_slots; first = end) {
        for (end = first; end < owner->n_slots; end++)
            if (!is_near(gpu, &view->split.pool[owner->slot_cores[end]]))
                break;
        if (end > first) {
            fprintf(file, "%s%" PRIu32, separator, owner->first_slot + first);
            if (end - first > 1)
                fprintf(file, "-%" PRIu32, owner->first_slot + end - 1);
            separator = ",";
        }
        end += end == first;
    }
    fprintf(file, "%s\n", *separator ? "" : "-");
}

static void print_gpus(const struct view *view, FILE *file)
{
    fprintf(file, "%6s  %-20s %6s %8s  %s\n", "rank", "gpu", "numa", "package", "slots near it");
    for (uint32_t rank = 0; rank < view->n_ranks; rank++)
        for (uint32_t i = 0; i < view->ranks[rank].n_gpus; i++) {
            const struct mf_gpu *gpu = &view->ranks[rank].gpus[i];

            fprintf(file, "%6" PRIu32 "  %-20s", view->numbers[rank], gpu->id);
            print_number(gpu->numa, 6, file);
            print_number(gpu->package, 8, file);
            fprintf(file, "  ");
            print_slots_near(view, rank, gpu, file);
        }
}

static void print_head(const struct view *view, uint32_t n_gpus, FILE *file)
{
    uint32_t n_slots = 0;
    uint64_t mem_bytes = 0;
    char memory[32];

    for (uint32_t i = 0; i < view->n_ranks; i++) {
        n_slots += view->ranks[i].n_slots;
        mem_bytes += view->ranks[i].mem_bytes;
    }
    fprintf(file, "# %s: cores %" PRIu32 ", slots %" PRIu32 ", GPUs %" PRIu32, view->node,
            view->split.n_pool, n_slots, n_gpus);
    if (mem_bytes > 0)
        fprintf(file, ", memory %s", mf_format_size(mem_bytes, memory, sizeof(memory)));
    fprintf(file, ", ranks %" PRIu32 "%s\n", view->n_ranks,
            view->numbers[0] == 0 && view->n_ranks > 1 ? "; rank 0 schedules" : "");
}

static void print_view(const struct view *view, FILE *file)
{
    uint32_t n_gpus = 0;

    for (uint32_t i = 0; i < view->n_ranks; i++)
        n_gpus += view->ranks[i].n_gpus;
    print_head(view, n_gpus, file);
    fprintf(file, "%6s %6s %6s %6s %8s  %-10s %-*s %s\n", "rank", "slot", "core", "numa", "package",
            "cpus", GPUS_WIDTH, "gpus near", "node");
    for (uint32_t rank = 0; rank < view->n_ranks; rank++)
        for (uint32_t slot = 0; slot < view->ranks[rank].n_slots; slot++)
            print_slot(view, rank, slot, file);
    if (n_gpus > 0)
        print_gpus(view, file);
}

/* One node, this one or a synthetic one, with as many ranks as were asked for. */
static int show_node(const struct settings *settings, struct mf_error *err)
{
    struct mf_offer has = {0};
    struct view view = {0};
    int r = mf_node_look(settings->synthetic, MF_GPUS_FOUND, &has, err);

    if (r == 0)
        r = view_init(&view, settings->n_ranks, err);
    if (r == 0) {
        name_node(settings->synthetic, view.node, sizeof(view.node));
        for (uint32_t i = 0; i < settings->n_ranks; i++)
            view_add(&view, i, &has);
        r = view_share(&view, &settings->jobs, err);
    }
    if (r == 0)
        print_view(&view, stdout);
    view_finish(&view);
    mf_offer_finish(&has);
    return r;
}

static bool was_shown(const struct mf_survey_rank *ranks, uint32_t rank)
{
    for (uint32_t i = 0; i < rank; i++)
        if (strcmp(ranks[i].host, ranks[rank].host) == 0)
            return true;
    return false;
}

/* The node of the rank `first`, with all ranks on it. */
static int show_node_of(const struct mf_survey_rank *ranks, uint32_t n_ranks, uint32_t first,
                        const struct settings *settings, struct mf_error *err)
{
    struct view view;
    int r = view_init(&view, n_ranks, err);

    if (r == 0) {
        memcpy(view.node, ranks[first].host, sizeof(view.node));
        for (uint32_t i = first; i < n_ranks; i++)
            if (strcmp(ranks[i].host, view.node) == 0)
                view_add(&view, i, &ranks[i].has);
        r = view_share(&view, &settings->jobs, err);
    }
    if (r == 0)
        print_view(&view, stdout);
    view_finish(&view);
    return r;
}

/* The ranks that a launcher really started, by rank 0. */
static int show_ranks(const struct mf_launch *launch, const struct settings *settings,
                      struct mf_error *err)
{
    struct mf_survey_rank *ranks;
    uint32_t n_ranks;
    int r = mf_survey(launch, &ranks, &n_ranks, err);

    if (r < 0)
        return r;
    for (uint32_t i = 0; ranks && i < n_ranks && r == 0; i++) {
        if (ranks[i].host[0] == '\0')
            printf("# rank %" PRIu32 " does not answer\n", i);
        else if (!was_shown(ranks, i))
            r = show_node_of(ranks, n_ranks, i, settings, err);
    }
    mf_survey_free(ranks, n_ranks);
    return r;
}

static int run_topo(struct mf_context *context, int argc, char **argv)
{
    struct settings settings = {.jobs = {.kind = MF_JOBS_PLUS, .value = 0}, .n_ranks = 1};
    struct mf_error err = {0};
    struct mf_launch launch;
    int r = mf_options_parse(&mf_subcommand_topo, argc, argv, set_option, &settings, &err);

    if (r == -ECANCELED)
        return MPIFARM_EXIT_DONE;
    if (r >= 0 && r < argc)
        r = mf_error_set(&err, -EINVAL, "\"%.100s\" is one word too many", argv[r]);
    if (r >= 0)
        r = mf_launch_detect(&launch, &err);
    if (r >= 0 && launch.is_mpi)
        r = show_ranks(&launch, &settings, &err);
    else if (r >= 0)
        r = show_node(&settings, &err);
    if (r < 0)
        mf_log_error(&context->log, "%s", err.text);
    return r < 0 ? MPIFARM_EXIT_USAGE : MPIFARM_EXIT_DONE;
}

const struct mf_subcommand mf_subcommand_topo = {
    .name = "topo",
    .synopsis = "[OPTION...]",
    .summary = "print the cores and GPUs of this node, and its slots",
    .description =
        "Prints a line for each slot: the rank that has it, its number on the node, and the core "
        "it is pinned to, with the core's NUMA node, package and hardware threads, and those of "
        "the rank's GPUs that are next to it. Then a line for each GPU: the rank that has it, its "
        "NUMA node and package, and the slots next to it; \"-\" is what is not known, or none. "
        "Only cores, memory and GPUs that this process may use count: affinity, cgroup and the "
        "variables that Slurm sets are respected.\n"
        "\n"
        "It starts no run. Under mpirun or srun it shows the ranks and nodes that were really "
        "started; without, --synthetic and --ranks show what another machine or another number of "
        "ranks would give.",
    .options = options,
    .n_options = sizeof(options) / sizeof(options[0]),
    .examples = "The slots on half of this machine's cores.\n"
                "mpifarm topo -j 50%\n"
                "Three ranks that share a node with two packages of four cores.\n"
                "mpifarm topo --synthetic \"pack:2 numa:1 core:4 pu:2\" --ranks 3\n"
                "A node that lstopo described with \"lstopo node.xml\".\n"
                "mpifarm topo --synthetic node.xml",
    .run = run_topo,
};
