/*
 * How fast the executor starts commands, against the ceiling of the machine: a
 * bare loop of vfork, exec and one pipe with as many in flight. The two run in
 * turn, so that other load on the machine meets both alike.
 *
 *     bench_exec [commands] [slots] [pin]
 *
 * The rank's side sleeps until the launcher has news; what the naps between MPI
 * calls cost on top is the business of other benchmarks.
 */
#include "base/clock.h"
#include "base/command.h"
#include "exec/process.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define N_ROUNDS 5
#define N_STAGED_PER_SLOT 8

static char true_path[] = "/bin/true";

static void die(const char *what)
{
    perror(what);
    exit(1);
}

/* Starts n commands, n_slots at a time, and returns how many it started in a second. */
static double run_bare(int n, int n_slots)
{
    int64_t begin_ns = mf_clock_monotonic_ns();
    static int reading[1 << 22];
    char *argv[] = {true_path, NULL};
    int n_started = 0, n_ended = 0;

    while (n_ended < n) {
        char bytes[100];
        pid_t pid;

        for (; n_started < n && n_started - n_ended < n_slots; n_started++) {
            int fds[2];

            if (pipe2(fds, O_CLOEXEC) < 0)
                die("pipe2");
            pid = vfork();
            if (pid == 0) {
                dup2(fds[1], STDOUT_FILENO);
                execve(true_path, argv, environ);
                _exit(127);
            }
            if (pid < 0)
                die("vfork");
            close(fds[1]);
            reading[pid] = fds[0];
        }
        pid = waitpid(-1, NULL, 0);
        if (pid < 0 || read(reading[pid], bytes, sizeof(bytes)) < 0)
            die("waitpid");
        close(reading[pid]);
        n_ended++;
    }
    return n / ((double)(mf_clock_monotonic_ns() - begin_ns) / MF_NS_PER_S);
}

/* One run through the executor. */
struct run {
    struct mf_executor *executor;
    struct mf_buffer command;
    int n, n_given, n_ended;
};

static void give(struct run *run, const uint32_t *slot)
{
    struct mf_start start = {
        .task = (mf_task_id)++run->n_given,
        .attempt = 1,
        .n_slots = slot ? 1 : 0,
        .slots = slot,
        .command = run->command.data,
        .command_size = run->command.size,
    };

    if (run->executor->ops->start(run->executor, &start) < 0)
        die("start");
}

static void on_event(void *arg, const struct mf_executor_event *event)
{
    struct run *run = arg;

    if (event->kind == MF_EXECUTOR_BROKEN) {
        fprintf(stderr, "%s\n", event->error->text);
        exit(1);
    }
    if (event->kind != MF_EXECUTOR_ENDED)
        return;
    if (!mf_outcome_is_success(event->outcome)) {
        fprintf(stderr, "a command failed: %s\n", event->outcome->detail);
        exit(1);
    }
    mf_output_close(event->output);
    run->n_ended++;
    if (run->n_given < run->n)
        give(run, NULL);
}

static void encode_true(struct mf_buffer *buffer)
{
    const char *args[] = {true_path};
    struct mf_command command = {.id = "1", .seq = 1, .n_args = 1, .args = args};

    mf_command_encode(&command, buffer);
}

static void configure(struct run *run, uint32_t n_slots, bool is_pinned)
{
    struct mf_slot *slots = calloc(n_slots, sizeof(*slots));
    uint32_t *cpus = calloc(n_slots, sizeof(*cpus));

    if (!slots || !cpus)
        die("calloc");
    for (uint32_t i = 0; i < n_slots; i++) {
        cpus[i] = i;
        slots[i] = (struct mf_slot){.number = i + 1, .n_cpus = is_pinned, .cpus = &cpus[i]};
    }
    if (run->executor->ops->configure(run->executor, slots, n_slots, 0, "run") < 0)
        die("configure");
    free(slots);
    free(cpus);
}

static void wait_for_ends(struct run *run, struct mf_loop *loop)
{
    while (run->n_ended < run->n)
        if (run->executor->ops->flush(run->executor) < 0 || mf_loop_wait(loop, -1) < 0)
            die("wait");
}

static double run_executor(int n, uint32_t n_slots, bool is_pinned)
{
    struct mf_launcher_config config = {.output_limit_bytes = 64 << 20, .grace_ns = MF_NS_PER_S};
    struct mf_launcher launcher;
    struct mf_loop *loop;
    struct run run = {.n = n};
    int64_t begin_ns;
    double rate;

    encode_true(&run.command);
    if (mf_launcher_fork(&config, &launcher, NULL) < 0 || mf_loop_create(&loop) < 0 ||
        mf_process_executor_create(&launcher, loop, on_event, &run, &run.executor) < 0)
        die("create");
    configure(&run, n_slots, is_pinned);

    begin_ns = mf_clock_monotonic_ns();
    for (uint32_t i = 0; i < n_slots && run.n_given < n; i++)
        give(&run, &i);
    while (run.n_given < n && run.n_given < (int)(n_slots * (1 + N_STAGED_PER_SLOT)))
        give(&run, NULL);
    wait_for_ends(&run, loop);
    rate = n / ((double)(mf_clock_monotonic_ns() - begin_ns) / MF_NS_PER_S);

    run.executor->ops->destroy(run.executor);
    mf_loop_destroy(loop);
    mf_buffer_finish(&run.command);
    return rate;
}

static int compare(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;

    return (left > right) - (left < right);
}

static double median(double values[N_ROUNDS])
{
    qsort(values, N_ROUNDS, sizeof(*values), compare);
    return values[N_ROUNDS / 2];
}

int main(int argc, char **argv)
{
    int n = argc > 1 ? atoi(argv[1]) : 5000;
    int n_slots = argc > 2 ? atoi(argv[2]) : 2;
    bool is_pinned = argc > 3 && strcmp(argv[3], "pin") == 0;
    double bare[N_ROUNDS], executor[N_ROUNDS], ratio[N_ROUNDS];

    if (n < 1 || n_slots < 1) {
        fprintf(stderr, "usage: bench_exec [commands] [slots] [pin]\n");
        return 2;
    }
    for (int i = 0; i < N_ROUNDS; i++) {
        bare[i] = run_bare(n, n_slots);
        executor[i] = run_executor(n, (uint32_t)n_slots, is_pinned);
        ratio[i] = executor[i] / bare[i];
    }
    printf("bare loop  %7.0f commands/s\n", median(bare));
    printf("executor   %7.0f commands/s\n", median(executor));
    printf("ratio      %7.3f\n", median(ratio));
    return 0;
}
