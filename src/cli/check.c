/*
 * The subcommand check: whether a run would accept its input, and the shape of
 * the work. It starts nothing.
 */
#include "cli/subcommands.h"

#include "base/units.h"
#include "cli/task_set.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

/* Of a longer critical path, ids that are shown. */
#define PATH_SHOWN_MAX 20

enum { OPTION_FORMAT, OPTION_MODULE, OPTION_RESOURCE };

static const struct mf_option options[] = {
    [OPTION_FORMAT] = MF_FORMAT_OPTION,
    [OPTION_MODULE] = MF_SET_MODULE_OPTION,
    [OPTION_RESOURCE] = MF_SET_RESOURCE_OPTION,
};

static int set_option(void *arg, size_t index, const char *text, struct mf_error *err)
{
    struct mf_task_set_settings *settings = arg;
    int r;

    if (index == OPTION_FORMAT)
        return mf_task_set_take_format(settings, text, err);
    if (index == OPTION_MODULE)
        return mf_task_set_take_module(settings, text, err);
    r = mf_resources_add(&settings->resources, text, err);
    return r < 0 ? mf_error_prefix(err, r, "--resource: ") : 0;
}

static void print_count(const char *name, uint64_t count)
{
    printf("%-14s %" PRIu64 "\n", name, count);
}

static void print_time(const char *name, int64_t ns)
{
    char text[32];

    printf("%-14s %.3f s (%s)\n", name, (double)ns * 1e-9,
           mf_format_duration(ns, text, sizeof(text)));
}

/* A long one is shown by its two ends: between them the ids say little, and fill the screen. */
static void print_critical_path(const struct mf_task_set *set)
{
    const mf_task_id *path;
    size_t n = mf_graph_critical_path(set->graph, &path);
    size_t n_hidden = n > PATH_SHOWN_MAX ? n - PATH_SHOWN_MAX : 0;

    printf("critical path ");
    for (size_t i = 0; i < n; i++) {
        if (n_hidden > 0 && i == PATH_SHOWN_MAX / 2) {
            printf(" ... %zu more ...", n_hidden);
            i += n_hidden;
        }
        printf(" %s", mf_task_set_id(set, path[i]));
    }
    putchar('\n');
}

/* What workers run once is no part of the graph. */
static void print_hooks(const struct mf_task_set *set)
{
    if (set->n_start_hooks + set->n_stop_hooks > 0)
        printf("per engine     %" PRIu64 " at its start, %" PRIu64 " at its end\n",
               set->n_start_hooks, set->n_stop_hooks);
}

/* Without run times, as if all were equal: how many tasks there are for each on the longest chain.
 */
static void print_times(const struct mf_task_set *set, const struct mf_shape *shape)
{
    if (set->n_untimed == set->n_tasks) {
        if (shape->depth > 0)
            printf("speedup        at most %.2f, if all tasks take equally long\n",
                   (double)shape->n_tasks / (double)shape->depth);
        return;
    }
    print_time("work", shape->work_ns);
    print_time("critical time", shape->critical_ns);
    if (shape->critical_ns > 0)
        printf("speedup        at most %.2f\n",
               (double)shape->work_ns / (double)shape->critical_ns);
    if (set->n_untimed > 0)
        printf("run time       unknown of %" PRIu64 ", \"%s\" being the first\n", set->n_untimed,
               mf_task_set_id(set, set->first_untimed));
}

static void print_shape(const struct mf_task_set *set)
{
    struct mf_shape shape;

    mf_graph_shape(set->graph, &shape);
    print_count("tasks", shape.n_tasks);
    print_count("dependencies", shape.n_dependencies);
    print_hooks(set);
    if (shape.n_dependencies == 0 && shape.n_barriers == 0)
        return;
    print_count("barriers", shape.n_barriers);
    print_count("depth", shape.depth);
    print_count("width", shape.width);
    print_count("roots", shape.n_roots);
    print_count("leaves", shape.n_leaves);
    print_times(set, &shape);
    print_critical_path(set);
}

static int run_check(struct mf_context *context, int argc, char **argv)
{
    struct mf_task_set_settings settings = {.attempts = 1};
    struct mf_task_set set = {0};
    struct mf_error err = {0};
    int first = mf_options_parse(&mf_subcommand_check, argc, argv, set_option, &settings, &err);
    int r = first;

    if (first == -ECANCELED)
        return MPIFARM_EXIT_DONE;
    if (first == argc)
        r = mf_error_set(&err, -EINVAL, "nothing to check; usage: mpifarm check %s",
                         mf_subcommand_check.synopsis);
    if (r >= 0)
        r = mf_task_set_read(&set, &settings, (const char *const *)argv + first,
                             (uint32_t)(argc - first), &err);
    if (r >= 0)
        print_shape(&set);
    else if (r == -EFBIG)
        mf_log_warning(&context->log, "the input is valid, but %s", err.text);
    else
        mf_log_error(&context->log, "%s", err.text);
    mf_task_set_finish(&set);
    return r < 0 && r != -EFBIG ? MPIFARM_EXIT_USAGE : MPIFARM_EXIT_DONE;
}

const struct mf_subcommand mf_subcommand_check = {
    .name = "check",
    .synopsis = "[OPTION...] FILE...",
    .summary = "check task files, and print the shape of the work",
    .description =
        "Reads the FILEs as \"mpifarm run\" does, and refuses what it would refuse, with exit "
        "status 2. It runs nothing, so that a workflow in WfFormat needs no commands here.\n"
        "\n"
        "Of tasks that come after others it prints how many there are:\n"
        "\n"
        "  depth          tasks on the longest chain\n"
        "  width          most tasks that are as far from the start, counted in tasks\n"
        "  roots, leaves  tasks that come after none, and that none comes after\n"
        "  work           time of all tasks on one core, of those with time=\n"
        "  critical time  time along the critical path: no run is shorter\n"
        "  speedup        work over critical time: what no number of cores can exceed\n"
        "  critical path  the ids of its tasks, in order; of more than 20, those at both ends",
    .options = options,
    .n_options = sizeof(options) / sizeof(options[0]),
    .operands = MF_COMPLETE_FILE,
    .examples = "Is this a task file, and how wide is it?\n"
                "mpifarm check tasks.farm\n"
                "The critical path of a workflow of WfCommons.\n"
                "mpifarm check --format wfformat montage.json",
    .run = run_check,
};
