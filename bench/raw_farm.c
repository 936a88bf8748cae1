/*
 * The ceiling for function tasks: a master and its workers in bare MPI, which
 * know nothing but to send, receive and count.
 *
 *     mpirun -n R bench_raw_farm [tasks=1000000] [per_message=1] [bytes=0] [in_flight=64]
 *                                [duration_ns=0]
 *
 * A task is a record of `bytes` bytes, at least eight, which begins with its
 * number; its result is the number. `per_message` tasks travel together, and
 * `in_flight` messages are with each worker. Receives are posted ahead, which is
 * faster here than blocking ones; what waits spins, or yields where mpirun sees
 * more ranks than cores. Results are counted and summed.
 *
 * Prints tasks_per_s.
 */
#include "measure.h"

#include "base/clock.h"

#include <inttypes.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What every rank was told. */
static int64_t n_tasks = 1000000, per_message = 1, task_bytes, in_flight = 64, duration_ns;
static int rank, n_ranks;

/* Receives that are posted ahead; messages come into them one after another. */
struct inbox {
    size_t message_bytes;
    int n_slots, next;
    char *messages;
    MPI_Request *requests;
};

static void *allocate(size_t n, size_t size)
{
    void *memory = calloc(n, size);

    if (!memory)
        MPI_Abort(MPI_COMM_WORLD, 1);
    return memory;
}

static void post(struct inbox *inbox, int slot)
{
    MPI_Irecv(inbox->messages + (size_t)slot * inbox->message_bytes, (int)inbox->message_bytes,
              MPI_BYTE, MPI_ANY_SOURCE, 0, MPI_COMM_WORLD, &inbox->requests[slot]);
}

static void open_inbox(struct inbox *inbox, size_t message_bytes, int64_t n_slots)
{
    *inbox = (struct inbox){.message_bytes = message_bytes, .n_slots = (int)n_slots};
    inbox->messages = allocate((size_t)n_slots, message_bytes);
    inbox->requests = allocate((size_t)n_slots, sizeof(*inbox->requests));
    for (int slot = 0; slot < inbox->n_slots; slot++)
        post(inbox, slot);
}

/* The next message, valid until it is put back. */
static const char *take(struct inbox *inbox, int *ret_from, int *ret_bytes)
{
    MPI_Status status;

    MPI_Wait(&inbox->requests[inbox->next], &status);
    MPI_Get_count(&status, MPI_BYTE, ret_bytes);
    *ret_from = status.MPI_SOURCE;
    return inbox->messages + (size_t)inbox->next * inbox->message_bytes;
}

static void put_back(struct inbox *inbox)
{
    post(inbox, inbox->next);
    inbox->next = (inbox->next + 1) % inbox->n_slots;
}

static void close_inbox(struct inbox *inbox)
{
    for (int slot = 0; slot < inbox->n_slots; slot++) {
        MPI_Cancel(&inbox->requests[slot]);
        MPI_Wait(&inbox->requests[slot], MPI_STATUS_IGNORE);
    }
    free(inbox->messages);
    free(inbox->requests);
}

static void work(void)
{
    size_t n_results = 0;
    uint64_t *results = allocate((size_t)per_message, sizeof(*results));
    struct inbox inbox;
    int from, bytes;

    open_inbox(&inbox, (size_t)(per_message * task_bytes), in_flight);
    for (;;) {
        const char *tasks = take(&inbox, &from, &bytes);

        n_results = 0;
        for (const char *task = tasks; task < tasks + bytes; task += task_bytes) {
            memcpy(&results[n_results++], task, sizeof(*results));
            mf_measure_spin(duration_ns);
        }
        put_back(&inbox);
        if (n_results == 0)
            break;
        MPI_Send(results, (int)(n_results * sizeof(*results)), MPI_BYTE, 0, 0, MPI_COMM_WORLD);
    }
    close_inbox(&inbox);
    free(results);
}

/*
 * The master's side. A worker answers in order, so the send of its oldest
 * message is over when a result of it arrives, and its memory can be used again.
 */
struct master {
    char **messages;        /* per worker, in_flight of them one after another */
    MPI_Request **requests; /* per worker, their sends */
    int64_t *n_sent;        /* per worker */
    struct inbox inbox;
};

static void open_master(struct master *master)
{
    master->messages = allocate((size_t)n_ranks, sizeof(*master->messages));
    master->requests = allocate((size_t)n_ranks, sizeof(*master->requests));
    master->n_sent = allocate((size_t)n_ranks, sizeof(*master->n_sent));
    for (int to = 1; to < n_ranks; to++) {
        master->messages[to] = allocate((size_t)(in_flight * per_message), (size_t)task_bytes);
        master->requests[to] = allocate((size_t)in_flight, sizeof(MPI_Request));
        for (int64_t i = 0; i < in_flight; i++)
            master->requests[to][i] = MPI_REQUEST_NULL;
    }
    open_inbox(&master->inbox, (size_t)per_message * sizeof(uint64_t), in_flight * (n_ranks - 1));
}

/* Ends the workers, each with an empty message. */
static void close_master(struct master *master)
{
    for (int to = 1; to < n_ranks; to++) {
        MPI_Send(NULL, 0, MPI_BYTE, to, 0, MPI_COMM_WORLD);
        MPI_Waitall((int)in_flight, master->requests[to], MPI_STATUSES_IGNORE);
        free(master->messages[to]);
        free(master->requests[to]);
    }
    close_inbox(&master->inbox);
    free(master->messages);
    free(master->requests);
    free(master->n_sent);
}

/* Sends the last of the tasks that are left, as many as fit into a message; returns how many. */
static int64_t send_tasks(struct master *master, int to, int64_t n_left)
{
    int64_t n = n_left < per_message ? n_left : per_message;
    int64_t slot = master->n_sent[to]++ % in_flight;
    char *message = master->messages[to] + slot * per_message * task_bytes;
    uint64_t number = (uint64_t)(n_left - n);

    if (n == 0)
        return 0;
    MPI_Wait(&master->requests[to][slot], MPI_STATUS_IGNORE);
    for (int64_t i = 0; i < n; i++, number++)
        memcpy(message + i * task_bytes, &number, sizeof(number));
    MPI_Isend(message, (int)(n * task_bytes), MPI_BYTE, to, 0, MPI_COMM_WORLD,
              &master->requests[to][slot]);
    return n;
}

/* Counts and sums the numbers of one message. */
static int64_t add_up(const char *results, int bytes, uint64_t *sum)
{
    uint64_t number;

    for (int i = 0; i < bytes; i += (int)sizeof(number)) {
        memcpy(&number, results + i, sizeof(number));
        *sum += number;
    }
    return bytes / (int)sizeof(number);
}

static void farm(struct master *master, int64_t n)
{
    int64_t n_left = n, n_done = 0;
    uint64_t sum = 0;
    int from, bytes;

    for (int64_t i = 0; i < in_flight; i++)
        for (int to = 1; to < n_ranks; to++)
            n_left -= send_tasks(master, to, n_left);
    while (n_done < n) {
        const char *results = take(&master->inbox, &from, &bytes);

        n_done += add_up(results, bytes, &sum);
        put_back(&master->inbox);
        n_left -= send_tasks(master, from, n_left);
    }
    if (n_done != n || sum != (uint64_t)n * (uint64_t)(n - 1) / 2) {
        fprintf(stderr, "bench_raw_farm: %" PRId64 " results, sum %" PRIu64 ": wrong\n", n_done,
                sum);
        MPI_Abort(MPI_COMM_WORLD, 1);
    }
}

static void serve_client(void)
{
    struct master master;
    int64_t begin_ns;

    open_master(&master);
    farm(&master, n_tasks / 20 + 1);
    begin_ns = mf_clock_monotonic_ns();
    farm(&master, n_tasks);
    printf("tasks_per_s=%.0f\n",
           (double)n_tasks * MF_NS_PER_S / (double)(mf_clock_monotonic_ns() - begin_ns));
    close_master(&master);
}

int main(int argc, char **argv)
{
    const struct mf_measure_setting settings[] = {
        {"tasks", &n_tasks, NULL},           {"per_message", &per_message, NULL},
        {"bytes", &task_bytes, NULL},        {"in_flight", &in_flight, NULL},
        {"duration_ns", &duration_ns, NULL}, {0},
    };

    mf_measure_settings(argc, argv, settings);
    if (task_bytes < (int64_t)sizeof(uint64_t))
        task_bytes = sizeof(uint64_t);
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &n_ranks);
    if (n_ranks < 2 || n_tasks < 1 || per_message < 1 || in_flight < 1)
        MPI_Abort(MPI_COMM_WORLD, 2);
    if (rank == 0)
        serve_client();
    else
        work();
    MPI_Finalize();
    return 0;
}
