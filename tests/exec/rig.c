/* See rig.h. One per test, in the test's own process and only thread. */
#include "rig.h"

#include "base/clock.h"
#include "base/process_stat.h"

#include <criterion/criterion.h>

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_NS (60 * MF_NS_PER_S)

static void read_text(struct rig_task *task, enum mf_stream stream)
{
    task->size[stream] = mf_output_size(task->output, stream);
    task->text[stream] = calloc(task->size[stream] + 1, 1);
    cr_assert(task->text[stream]);
    cr_assert_eq(mf_output_read(task->output, stream, 0, task->text[stream], task->size[stream]),
                 (ssize_t)task->size[stream]);
}

static void on_event(void *arg, const struct mf_executor_event *event)
{
    struct rig *rig = arg;
    struct rig_task *task = &rig->tasks[event->task];

    rig->n_events++;
    if (event->kind == MF_EXECUTOR_BROKEN) {
        rig->n_broken++;
        rig->broken = *event->error;
        return;
    }
    if (event->kind == MF_EXECUTOR_RENEWED) {
        rig->n_renewed++;
        rig->renewed = *event->error;
        return;
    }
    cr_assert(!task->has_ended && !task->is_unstaged, "task %d was already over", (int)event->task);
    if (event->kind == MF_EXECUTOR_SUSPENDED || event->kind == MF_EXECUTOR_CONTINUED) {
        task->is_suspended = event->kind == MF_EXECUTOR_SUSPENDED;
        task->is_continued = !task->is_suspended;
        task->ran_ns = event->ran_ns;
        return;
    }
    task->slot = event->slot;
    if (event->kind == MF_EXECUTOR_STARTED) {
        task->has_started = true;
        return;
    }
    if (event->kind == MF_EXECUTOR_UNSTAGED) {
        task->is_unstaged = true;
        return;
    }
    task->has_ended = true;
    task->ended_as = ++rig->n_ended;
    task->outcome = *event->outcome;
    task->output = event->output;
    if (!task->output || rig->keeps_output)
        return;
    read_text(task, MF_STDOUT);
    read_text(task, MF_STDERR);
    mf_output_close(task->output);
    task->output = NULL;
}

static void configure(struct rig *rig, const struct rig_options *options)
{
    struct mf_slot *slots = calloc(options->n_slots, sizeof(*slots));

    cr_assert(slots);
    for (uint32_t i = 0; i < options->n_slots; i++) {
        slots[i].number = options->first_number + i;
        if (options->cpus) {
            slots[i].n_cpus = 1;
            slots[i].cpus = (uint32_t *)&options->cpus[i];
        }
    }
    cr_assert_eq(
        rig->executor->ops->configure(rig->executor, slots, options->n_slots, 7, "/run/dir"), 0);
    free(slots);
}

/* Returns how many children a process has, and the first of them. */
static unsigned list_children(pid_t parent, pid_t *ret_first)
{
    char path[64];
    unsigned n = 0;
    FILE *file;
    int child;

    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)parent, (int)parent);
    file = fopen(path, "re");
    cr_assert(file, "process %d is gone", (int)parent);
    while (fscanf(file, "%d", &child) == 1)
        if (n++ == 0)
            *ret_first = child;
    fclose(file);
    return n;
}

unsigned rig_count_children(pid_t pid)
{
    pid_t first;

    return list_children(pid, &first);
}

pid_t rig_first_child(pid_t pid)
{
    pid_t first;

    cr_assert_gt(list_children(pid, &first), 0, "process %d has no child", (int)pid);
    return first;
}

/* The launcher is the one child of its keeper, and that of this process. */
static pid_t wait_for_child(pid_t parent)
{
    int64_t end_ns = mf_clock_monotonic_ns() + PATIENCE_NS;
    pid_t child;

    while (list_children(parent, &child) == 0)
        cr_assert(mf_clock_monotonic_ns() < end_ns, "there is no launcher");
    return child;
}

struct rig *rig_create(struct rig_options options)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    struct mf_launcher_config config = {.spill_dir = options.spill_dir,
                                        .gather_ns = options.gather_ns};
    struct mf_launcher launcher;
    struct mf_error err = {0};

    cr_assert(rig);
    if (options.n_slots == 0)
        options.n_slots = 2;
    if (options.first_number == 0)
        options.first_number = 1;
    config.output_limit_bytes = options.limit ? options.limit : UINT64_MAX;
    config.grace_ns = options.grace_ns ? options.grace_ns : 5 * MF_NS_PER_S;
    cr_assert_eq(mf_launcher_fork(&config, &launcher, &err), 0, "%s", err.text);
    rig->keeper_pid = launcher.pid;
    rig->launcher_pid = wait_for_child(launcher.pid);
    cr_assert_eq(mf_loop_create(&rig->loop), 0);
    cr_assert_eq(mf_process_executor_create(&launcher, rig->loop, on_event, rig, &rig->executor),
                 0);
    configure(rig, &options);
    return rig;
}

void rig_destroy(struct rig *rig)
{
    rig->executor->ops->destroy(rig->executor);
    mf_loop_destroy(rig->loop);
    for (int i = 0; i < RIG_MAX_TASKS; i++) {
        free(rig->tasks[i].text[MF_STDOUT]);
        free(rig->tasks[i].text[MF_STDERR]);
        mf_output_close(rig->tasks[i].output);
    }
    free(rig);
    rig_remove_paths();
}

void rig_start_command(struct rig *rig, mf_task_id task, int slot, int64_t timeout_ns,
                       const struct mf_command *command)
{
    struct mf_buffer bytes = {0};
    uint32_t index = (uint32_t)slot;
    struct mf_start start = {
        .task = task,
        .attempt = 1,
        .try_number = 1,
        .n_slots = slot == RIG_STAGED ? 0 : 1,
        .slots = &index,
        .timeout_ns = timeout_ns,
    };

    mf_command_encode(command, &bytes);
    start.command = bytes.data;
    start.command_size = bytes.size;
    cr_assert_eq(rig->executor->ops->start(rig->executor, &start), 0);
    mf_buffer_finish(&bytes);
}

void rig_sh(struct rig *rig, mf_task_id task, int slot, const char *text)
{
    struct mf_command command = {
        .id = "a", .seq = task, .is_shell = true, .n_args = 1, .args = &text};

    rig_start_command(rig, task, slot, 0, &command);
}

void rig_flush(struct rig *rig)
{
    int result = rig->executor->ops->flush(rig->executor);

    cr_assert(result == 0 || result == -EPIPE, "%d", result);
}

/* Turns of the loop until there is an event; fails the test when none comes. */
static void wait_event(struct rig *rig)
{
    int64_t end_ns = mf_clock_monotonic_ns() + PATIENCE_NS, left_ns;
    uint64_t n_events = rig->n_events;

    while (rig->n_events == n_events) {
        rig_flush(rig);
        left_ns = end_ns - mf_clock_monotonic_ns();
        cr_assert(left_ns > 0, "nothing happened for too long");
        cr_assert(mf_loop_wait(rig->loop, left_ns) >= 0);
    }
}

void rig_wait(struct rig *rig, const bool *flag)
{
    while (!*flag)
        wait_event(rig);
}

void rig_wait_renewed(struct rig *rig, unsigned n)
{
    while (rig->n_renewed < n) {
        cr_assert_eq(rig->n_broken, 0, "%s", rig->broken.text);
        wait_event(rig);
    }
    rig->keeper_pid = wait_for_child(getpid());
    rig->launcher_pid = wait_for_child(rig->keeper_pid);
}

void rig_wait_all(struct rig *rig, uint64_t n_ended)
{
    while (rig->n_ended < n_ended)
        wait_event(rig);
}

void rig_suspend(struct rig *rig, mf_task_id task)
{
    rig->executor->ops->suspend(rig->executor, task, 1);
    rig_wait(rig, &rig->tasks[task].is_suspended);
}

void rig_resume(struct rig *rig, mf_task_id task, uint32_t slot)
{
    rig->executor->ops->resume(rig->executor, task, 1, &slot, 1);
    rig_wait(rig, &rig->tasks[task].is_continued);
}

struct rig_task *rig_wait_ended(struct rig *rig, mf_task_id task)
{
    rig_wait(rig, &rig->tasks[task].has_ended);
    return &rig->tasks[task];
}

struct rig_task *rig_run(struct rig *rig, const char *text)
{
    rig_sh(rig, 1, 0, text);
    return rig_wait_ended(rig, 1);
}

static void nap(void)
{
    nanosleep(&(struct timespec){.tv_nsec = MF_NS_PER_MS}, NULL);
}

pid_t rig_wait_pid(const char *path)
{
    int64_t end_ns = mf_clock_monotonic_ns() + PATIENCE_NS;

    while (mf_clock_monotonic_ns() < end_ns) {
        FILE *file = fopen(path, "re");
        char line[32] = "";
        bool is_whole = file && fgets(line, sizeof(line), file) && strchr(line, '\n');

        if (file)
            fclose(file);
        if (is_whole)
            return (pid_t)atoi(line);
        nap();
    }
    cr_assert_fail("no process wrote %s", path);
    return 0;
}

char rig_process_state(pid_t pid)
{
    struct mf_process_stat stat;

    return mf_process_stat_read(pid, &stat) == 0 ? stat.state : 0;
}

/* A zombie may stay until a strange parent reaps it, but it runs no more. */
static bool is_gone(pid_t pid)
{
    char state = rig_process_state(pid);

    return state == 0 || state == 'Z' || state == 'X';
}

void rig_wait_stopped(pid_t pid, bool is_stopped)
{
    int64_t end_ns = mf_clock_monotonic_ns() + PATIENCE_NS;

    while ((rig_process_state(pid) == 'T') != is_stopped) {
        cr_assert(mf_clock_monotonic_ns() < end_ns, "process %d is %c", (int)pid,
                  rig_process_state(pid));
        nap();
    }
}

void rig_wait_gone(pid_t pid)
{
    int64_t end_ns = mf_clock_monotonic_ns() + PATIENCE_NS;

    while (!is_gone(pid)) {
        cr_assert(mf_clock_monotonic_ns() < end_ns, "process %d lives on", (int)pid);
        nap();
    }
}

static char own_dir[] = "/tmp/mpifarm-test-XXXXXX";
static bool has_own_dir;

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *place)
{
    return remove(path);
}

const char *rig_path(const char *name)
{
    static char path[256];

    if (!has_own_dir)
        cr_assert(mkdtemp(own_dir));
    has_own_dir = true;
    snprintf(path, sizeof(path), "%s/%s", own_dir, name);
    return path;
}

void rig_remove_paths(void)
{
    if (has_own_dir)
        cr_assert_eq(nftw(own_dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS), 0);
    has_own_dir = false;
    strcpy(own_dir, "/tmp/mpifarm-test-XXXXXX");
}

unsigned rig_count_fds(void)
{
    DIR *directory = opendir("/proc/self/fd");
    unsigned n = 0;

    cr_assert(directory);
    while (readdir(directory))
        n++;
    closedir(directory);
    return n;
}
