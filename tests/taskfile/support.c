/* Files, tasks as text, and commands that are really run: see support.h. */
#include "support.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <ftw.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORDS_MAX 32

static char directory[64];

bool t_has_functions;
struct mf_countable t_countables[2];

void t_enter(void)
{
    strcpy(directory, "/tmp/mpifarm-test-XXXXXX");
    cr_assert(mkdtemp(directory));
    cr_assert(chdir(directory) == 0);
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *place)
{
    return remove(path);
}

void t_leave(void)
{
    nftw(directory, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

const char *t_write_bytes(const char *name, const void *data, size_t n)
{
    FILE *file = fopen(name, "w");

    cr_assert(file);
    cr_assert(fwrite(data, 1, n, file) == n);
    cr_assert(fclose(file) == 0);
    return name;
}

const char *t_write(const char *name, const char *text)
{
    return t_write_bytes(name, text, strlen(text));
}

typedef int (*open_fn)(const char *const *words, uint32_t n_words, struct mf_source **ret_source,
                       struct mf_error *err);

static int check_name(void *arg, const char *name, struct mf_error *err)
{
    if (strcmp(name, "render") == 0)
        return 0;
    return mf_error_set(err, -ENOENT, "no module has a function \"%s\"", name);
}

static int open_files(const char *const *names, uint32_t n_names, struct mf_source **ret_source,
                      struct mf_error *err)
{
    static const struct mf_function_names functions = {.check = check_name};
    static struct mf_source_options options;

    options = (struct mf_source_options){
        .functions = t_has_functions ? &functions : NULL,
        .countables = t_countables,
        .n_countables = t_countables[0].name ? 2 : 0,
    };
    return mf_source_open_files(names, n_names, &options, ret_source, err);
}

static int open_words(open_fn open_source, const char *first, va_list more,
                      struct mf_source **ret_source, struct mf_error *err)
{
    const char *words[WORDS_MAX];
    uint32_t n = 0;

    for (const char *word = first; word; word = va_arg(more, const char *)) {
        cr_assert(n < WORDS_MAX);
        words[n++] = word;
    }
    return open_source(words, n, ret_source, err);
}

/* Opens what must open, or hands back the sentence of what must not. */
static struct mf_source *must_open(open_fn open_source, const char *first, va_list more)
{
    struct mf_source *source = NULL;
    struct mf_error err = {0};
    int r = open_words(open_source, first, more, &source, &err);

    cr_assert(r == 0, "%s", err.text);
    return source;
}

static const char *must_fail(open_fn open_source, const char *first, va_list more)
{
    struct mf_source *source = NULL;
    struct mf_error err = {0};
    int r = open_words(open_source, first, more, &source, &err);

    cr_assert(r < 0, "it opened");
    return strdup(err.text);
}

struct mf_source *t_open(const char *first, ...)
{
    struct mf_source *source;
    va_list more;

    va_start(more, first);
    source = must_open(open_files, first, more);
    va_end(more);
    return source;
}

const char *t_open_error(const char *first, ...)
{
    const char *text;
    va_list more;

    va_start(more, first);
    text = must_fail(open_files, first, more);
    va_end(more);
    return text;
}

struct mf_source *t_sweep(const char *first, ...)
{
    struct mf_source *source;
    va_list more;

    va_start(more, first);
    source = must_open(mf_source_open_sweep, first, more);
    va_end(more);
    return source;
}

const char *t_sweep_error(const char *first, ...)
{
    const char *text;
    va_list more;

    va_start(more, first);
    text = must_fail(mf_source_open_sweep, first, more);
    va_end(more);
    return text;
}

/* Waits for a stream as the scheduler does. */
static int next_or_wait(struct mf_source *source, const struct mf_entry **ret_entry,
                        struct mf_error *err)
{
    int r;

    while ((r = mf_source_next(source, ret_entry, err)) == -EAGAIN) {
        struct pollfd ready = {.fd = mf_source_fd(source), .events = POLLIN};

        cr_assert(ready.fd >= 0);
        cr_assert(poll(&ready, 1, 60000) == 1);
    }
    return r;
}

const struct mf_entry *t_next(struct mf_source *source)
{
    const struct mf_entry *entry = NULL;
    struct mf_error err = {0};
    int r = next_or_wait(source, &entry, &err);

    cr_assert(r == 0, "%d %s", r, err.text);
    return entry;
}

/* An argument with its marks written out. */
static void show_arg(FILE *out, const struct mf_command *command, uint32_t arg)
{
    const char *text = command->args[arg];
    size_t done = 0;

    for (uint32_t i = 0; i < command->n_marks; i++) {
        if (command->marks[i].arg != arg)
            continue;
        fprintf(out, "%.*s{%%}", (int)(command->marks[i].offset - done), text + done);
        done = command->marks[i].offset;
    }
    fputs(text + done, out);
}

static void show_needs(FILE *out, const struct mf_needs *needs)
{
    if (needs->n_slots != 1)
        fprintf(out, " cores=%u", needs->n_slots);
    if (needs->mem_bytes)
        fprintf(out, " mem=%llu", (unsigned long long)needs->mem_bytes);
    if (needs->n_nodes > 0)
        fprintf(out, " nodes=%u", needs->n_nodes);
    if (needs->n_gpus)
        fprintf(out, " gpus=%u", needs->n_gpus);
    for (int i = 0; i < MF_N_COUNTABLES; i++)
        if (needs->countables[i])
            fprintf(out, " %s=%u", t_countables[i].name, needs->countables[i]);
}

static void show_times(FILE *out, const struct mf_entry *entry)
{
    if (entry->estimate_ns)
        fprintf(out, " time=%lldms", (long long)entry->estimate_ns / 1000000);
    if (entry->timeout_ns)
        fprintf(out, " timeout=%lldms", (long long)entry->timeout_ns / 1000000);
    if (entry->deadline_ns)
        fprintf(out, " deadline=%lldms", (long long)entry->deadline_ns / 1000000);
}

/* "after=1,any:2,notok:3", and a barrier before it. */
static void show_order(FILE *out, const struct mf_entry *entry)
{
    static const char *const names[] = {"", "any:", "notok:"};

    for (uint32_t i = 0; i < entry->n_after; i++)
        fprintf(out, "%s%s%llu", i > 0 ? "," : " after=", names[entry->after[i].condition],
                (unsigned long long)entry->after[i].task);
    for (uint32_t i = 0; i < entry->n_outs; i++)
        fprintf(out, "%s%llu", i > 0 ? "," : " outs=", (unsigned long long)entry->outs[i]);
    if (entry->is_behind_barrier)
        fputs(entry->barrier_checks ? " barrier=check" : " barrier", out);
}

static void show(FILE *out, const struct mf_entry *entry)
{
    const struct mf_command *command = &entry->command;

    fprintf(out, "%s: ", command->id);
    if (command->function)
        fprintf(out, "%s ", command->function);
    if (command->is_shell)
        fputs("sh ", out);
    for (uint32_t i = 0; i < command->n_args; i++) {
        fputs(command->is_shell ? "" : "[", out);
        show_arg(out, command, i);
        fputs(command->is_shell ? "" : "]", out);
    }
    show_needs(out, &entry->needs);
    if (entry->command.n_ranks > 0)
        fprintf(out, " ranks=%u", entry->command.n_ranks);
    show_times(out, entry);
    if (entry->attempts)
        fprintf(out, " retries=%u", entry->attempts);
    if (entry->priority)
        fprintf(out, " priority=%d", entry->priority);
    if (entry->weight != 0)
        fprintf(out, " weight=%g", (double)entry->weight);
    if (entry->group)
        fprintf(out, " group=%u", entry->group);
    if (command->cwd)
        fprintf(out, " cwd=%s", command->cwd);
    for (uint32_t i = 0; i < command->n_env; i++)
        fprintf(out, " env=%s", command->env[i]);
    show_order(out, entry);
}

const char *t_show(const struct mf_entry *entry)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    cr_assert(out);
    show(out, entry);
    fclose(out);
    return text;
}

const char *t_show_all(struct mf_source *source)
{
    const struct mf_entry *entry = NULL;
    struct mf_error err = {0};
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    int r;

    cr_assert(out);
    while ((r = next_or_wait(source, &entry, &err)) == 0) {
        show(out, entry);
        fputc('\n', out);
    }
    if (r < 0)
        fputs(err.text, out);
    fclose(out);
    return text;
}

const char *t_tasks(const char *text)
{
    const char *name = t_write("a.farm", text);
    struct mf_source *source;
    struct mf_error err = {0};
    const char *shown;

    if (open_files(&name, 1, &source, &err) < 0)
        return strdup(err.text);
    shown = t_show_all(source);
    mf_source_close(source);
    return shown;
}

const char *t_combinations(const char *first, ...)
{
    struct mf_source *source;
    const char *shown;
    va_list more;

    va_start(more, first);
    source = must_open(mf_source_open_sweep, first, more);
    va_end(more);
    shown = t_show_all(source);
    mf_source_close(source);
    return shown;
}

/* Becomes the command. */
static void become(const struct mf_command *command, int out)
{
    const char *args[64] = {"sh", "-c", NULL};
    uint32_t n = command->is_shell ? 2 : 0;

    for (uint32_t i = 0; i < command->n_args && n < 63; i++)
        args[n++] = command->args[i];
    args[n] = NULL;
    dup2(out, STDOUT_FILENO);
    execvp(command->is_shell ? "/bin/sh" : args[0], (char *const *)args);
    _exit(127);
}

char *t_run(const struct mf_command *command, size_t *ret_size)
{
    char *data = calloc(1, 4096);
    size_t size = 0;
    int ends[2];
    ssize_t n;
    pid_t pid;

    cr_assert(data && pipe(ends) == 0);
    pid = fork();
    cr_assert(pid >= 0);
    if (pid == 0)
        become(command, ends[1]);
    close(ends[1]);
    while ((n = read(ends[0], data + size, 4095 - size)) > 0)
        size += (size_t)n;
    close(ends[0]);
    cr_assert(waitpid(pid, NULL, 0) == pid);
    *ret_size = size;
    return data;
}
