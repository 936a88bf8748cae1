/*
 * Any bytes as a task file: it is refused with a sentence, or every task can
 * be read, loaded again and encoded, and comes after tasks that there are. The
 * same bytes through a pipe give the same tasks, up to the first that comes
 * after a later one.
 */
#include "taskfile/source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Inputs that fit a pipe have fewer. */
#define TASKS_MAX 65536
#define PIPE_BYTES 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What a run over the tasks came to. */
struct outcome {
    int r;
    size_t n_tasks;
    bool has_dependencies;
    struct mf_buffer commands;
};

/* Functions with short names are there. */
static int check_name(void *arg, const char *name, struct mf_error *err)
{
    return strlen(name) < 8 ? 0 : mf_error_set(err, -ENOENT, "no function \"%s\"", name);
}

static const struct mf_function_names functions = {.check = check_name};
static const struct mf_countable countables[] = {{"licence.a", 2}, {"resource.b", 1000}};
static const struct mf_source_options options = {
    .functions = &functions, .countables = countables, .n_countables = 2};

static void require(int condition)
{
    if (!condition)
        abort();
}

/* What a task comes after is told in order, once, and in a graph its way to the end is shorter. */
static void check_order(const struct mf_source *source, const struct mf_entry *entry)
{
    const struct mf_graph *graph = mf_source_graph(source);

    for (uint32_t i = 0; i < entry->n_after; i++) {
        mf_task_id task = entry->after[i].task;

        require(task > 0 && task != entry->command.seq);
        require(i == 0 || entry->after[i - 1].task < task);
        if (graph)
            require(mf_graph_upward_ns(graph, task) > entry->upward_ns ||
                    entry->upward_ns == INT64_MAX);
        else
            require(task < entry->command.seq);
    }
}

/* Reads all tasks, each of which must load to the same bytes. */
static void read_all(struct mf_source *source, struct outcome *outcome)
{
    static uint64_t cookies[TASKS_MAX];
    static size_t ends[TASKS_MAX];
    const struct mf_entry *entry;
    struct mf_error err = {0};
    struct mf_buffer again = {0};
    struct mf_source_summary summary;

    while (outcome->n_tasks < TASKS_MAX &&
           (outcome->r = mf_source_next(source, &entry, &err)) == 0) {
        cookies[outcome->n_tasks] = entry->cookie;
        mf_command_encode(&entry->command, &outcome->commands);
        check_order(source, entry);
        ends[outcome->n_tasks++] = outcome->commands.size;
    }
    require(outcome->r >= 0 || err.text[0]);
    mf_source_summarize(source, &summary);
    outcome->has_dependencies = summary.has_dependencies;
    for (size_t i = outcome->n_tasks; i-- > 0;) {
        size_t start = i > 0 ? ends[i - 1] : 0;

        require(mf_source_load(source, cookies[i], &entry, &err) == 0);
        mf_buffer_clear(&again);
        mf_command_encode(&entry->command, &again);
        require(again.size == ends[i] - start);
        require(memcmp(again.data, outcome->commands.data + start, again.size) == 0);
    }
    mf_buffer_finish(&again);
}

static int open_and_read(const char *path, struct outcome *outcome)
{
    struct mf_source *source;
    struct mf_error err = {0};
    int r = mf_source_open_files(&path, 1, &options, &source, &err);

    require(r == 0 || (r < 0 && err.text[0]));
    if (r < 0)
        return r;
    read_all(source, outcome);
    mf_source_close(source);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct outcome whole = {0}, streamed = {0};
    char path[64];
    int file = memfd_create("fuzz", MFD_CLOEXEC);
    int ends[2];
    int r;

    require(file >= 0 && write(file, data, size) == (ssize_t)size);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
    r = open_and_read(path, &whole);
    close(file);

    /* More than a pipe holds would need a second process. */
    if (size <= PIPE_BYTES) {
        require(pipe2(ends, O_CLOEXEC) == 0 && write(ends[1], data, size) == (ssize_t)size);
        close(ends[1]);
        snprintf(path, sizeof(path), "/proc/self/fd/%d", ends[0]);
        require(open_and_read(path, &streamed) == 0);
        if (!streamed.has_dependencies && !whole.has_dependencies)
            require((r < 0) == (streamed.r < 0));
        if (r == 0 && streamed.r >= 0) {
            require(whole.n_tasks == streamed.n_tasks);
            require(whole.commands.size == streamed.commands.size);
            require(whole.commands.size == 0 ||
                    memcmp(whole.commands.data, streamed.commands.data, whole.commands.size) == 0);
        }
        close(ends[0]);
    }
    mf_buffer_finish(&whole.commands);
    mf_buffer_finish(&streamed.commands);
    return 0;
}
