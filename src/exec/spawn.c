/*
 * One command becomes one process.
 *
 * The launcher does not wait until a new process executes its program, so each
 * start borrows a birth: memory that must stay as it is until the process has
 * let go of it. Those in use are looked through before a new one is made, so
 * there are about as many as processes that begin at the same time.
 *
 * Run by the launcher's only thread.
 */
#include "exec/spawn.h"

#include "base/clock.h"
#include "base/io.h"
#include "exec/birth.h"
#include "exec/environment.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* More processors than any kernel can be built for. */
#define MAX_CPU 65535

/* How long a process that is killed may take to let go of its birth. */
#define ABORT_LIMIT_NS MF_NS_PER_S

static uint8_t *cpu_set_of(const struct mf_spawner *spawner, uint32_t slot)
{
    return spawner->cpu_sets + slot * spawner->cpu_set_bytes;
}

/* Masks are made once, since every command needs one. */
static int make_cpu_sets(struct mf_spawner *spawner)
{
    const struct mf_configuration *configuration = spawner->configuration;
    uint32_t max_cpu = 0;

    for (uint32_t i = 0; i < configuration->n_slots; i++)
        for (uint32_t k = 0; k < configuration->slots[i].n_cpus; k++)
            if (configuration->slots[i].cpus[k] > max_cpu)
                max_cpu = configuration->slots[i].cpus[k];
    if (max_cpu > MAX_CPU)
        return -EINVAL;
    spawner->cpu_set_bytes = CPU_ALLOC_SIZE(max_cpu + 1);
    spawner->cpu_sets = calloc(configuration->n_slots, spawner->cpu_set_bytes);
    if (!spawner->cpu_sets)
        return -ENOMEM;
    for (uint32_t i = 0; i < configuration->n_slots; i++)
        for (uint32_t k = 0; k < configuration->slots[i].n_cpus; k++)
            CPU_SET_S(configuration->slots[i].cpus[k], spawner->cpu_set_bytes,
                      (cpu_set_t *)(void *)cpu_set_of(spawner, i));
    return 0;
}

int mf_spawner_init(struct mf_spawner *spawner, const struct mf_configuration *configuration,
                    const struct rlimit *original_files)
{
    struct rlimit current;
    int result;

    *spawner = (struct mf_spawner){
        .configuration = configuration,
        .original_files = {original_files->rlim_cur, original_files->rlim_max},
        .own_pid = getpid(),
    };
    mf_list_init(&spawner->idle);
    mf_list_init(&spawner->begun);
    if (getrlimit(RLIMIT_NOFILE, &current) < 0)
        return -errno;
    spawner->restores_files = current.rlim_cur != original_files->rlim_cur;
    result = make_cpu_sets(spawner);
    if (result == 0)
        result = mf_environment_inherit(spawner);
    if (result < 0)
        mf_spawner_finish(spawner);
    return result;
}

static struct mf_birth *birth_of(struct mf_list *node)
{
    return mf_container_of(node, struct mf_birth, node);
}

static void finish_births(struct mf_spawner *spawner)
{
    struct mf_list *node;

    /* One that cannot be had back is left alone, and its memory with it. */
    while ((node = mf_list_pop_front(&spawner->begun)))
        if (mf_birth_abort(birth_of(node), ABORT_LIMIT_NS))
            mf_birth_destroy(birth_of(node));
    while ((node = mf_list_pop_front(&spawner->idle)))
        mf_birth_destroy(birth_of(node));
}

void mf_spawner_finish(struct mf_spawner *spawner)
{
    if (!spawner->configuration)
        return;
    finish_births(spawner);
    for (int i = 0; i < MF_N_STREAMS && spawner->has_spare; i++) {
        mf_close(&spawner->spare_reading[i]);
        mf_close(&spawner->spare_writing[i]);
    }
    free(spawner->cpu_sets);
    free(spawner->inherited);
    mf_buffer_finish(&spawner->own_texts);
    *spawner = (struct mf_spawner){0};
}

const void *mf_spawner_cpus(const struct mf_spawner *spawner, const uint32_t *slots,
                            uint32_t n_slots, uint8_t *several)
{
    uint32_t n_cpus = 0;

    for (uint32_t i = 0; i < n_slots; i++)
        n_cpus += spawner->configuration->slots[slots[i]].n_cpus;
    if (n_cpus == 0)
        return NULL;
    if (n_slots == 1)
        return cpu_set_of(spawner, slots[0]);
    memset(several, 0, spawner->cpu_set_bytes);
    for (uint32_t i = 0; i < n_slots; i++) {
        const uint8_t *one = cpu_set_of(spawner, slots[i]);

        for (size_t k = 0; k < spawner->cpu_set_bytes; k++)
            several[k] |= one[k];
    }
    return several;
}

/* Both pipes, or neither. Only this process reads them, and only what poll() found. */
static int open_pipes(int reading[MF_N_STREAMS], int writing[MF_N_STREAMS])
{
    int fds[2];

    for (int i = 0; i < MF_N_STREAMS; i++) {
        if (pipe2(fds, O_CLOEXEC) < 0) {
            int result = -errno;

            while (i-- > 0) {
                mf_close(&reading[i]);
                mf_close(&writing[i]);
            }
            return result;
        }
        reading[i] = fds[0];
        writing[i] = fds[1];
    }
    return 0;
}

void mf_spawner_prepare(struct mf_spawner *spawner)
{
    /* What fails now is tried again, and told, when the pipes are needed. */
    if (!spawner->has_spare)
        spawner->has_spare = open_pipes(spawner->spare_reading, spawner->spare_writing) == 0;
}

static int take_pipes(struct mf_spawner *spawner, int reading[MF_N_STREAMS],
                      int writing[MF_N_STREAMS])
{
    if (!spawner->has_spare)
        return open_pipes(reading, writing);
    memcpy(reading, spawner->spare_reading, sizeof(spawner->spare_reading));
    memcpy(writing, spawner->spare_writing, sizeof(spawner->spare_writing));
    spawner->has_spare = false;
    return 0;
}

/* Takes back the births of programs that are executed by now; failed ones wait for their end. */
static void collect_births(struct mf_spawner *spawner)
{
    mf_list_for_each_safe (node, &spawner->begun) {
        if (!mf_birth_is_over(birth_of(node)) || birth_of(node)->failed != MF_BIRTH_NONE)
            continue;
        mf_list_remove(node);
        mf_list_push_front(&spawner->idle, node);
    }
}

/* A birth in the list of idle ones. Returns 0 or -ENOMEM. */
static int find_birth(struct mf_spawner *spawner, struct mf_birth **ret_birth)
{
    int result;

    collect_births(spawner);
    if (mf_list_is_empty(&spawner->idle)) {
        result = mf_birth_create(spawner->cpu_set_bytes, ret_birth);
        if (result < 0)
            return result;
        mf_list_push_front(&spawner->idle, &(*ret_birth)->node);
    }
    *ret_birth = birth_of(spawner->idle.next);
    return 0;
}

static int lay_out(const struct mf_spawner *spawner, const struct mf_spawn *spawn,
                   struct mf_birth *birth)
{
    int result = mf_environment_prepare(spawner, spawn, &birth->image);

    if (result < 0)
        return result;
    /* The process may put the path of a script there. */
    birth->program = birth->image.argv[0];
    birth->cwd = spawn->command->cwd;
    birth->cpus = mf_spawner_cpus(spawner, spawn->slots, spawn->n_slots, birth->own_cpus);
    birth->files = spawner->restores_files ? &spawner->original_files : NULL;
    birth->parent = spawner->own_pid;
    return 0;
}

int mf_spawner_start(struct mf_spawner *spawner, const struct mf_spawn *spawn,
                     struct mf_child *ret_child)
{
    struct mf_birth *birth;
    struct mf_child child;
    int result = find_birth(spawner, &birth);

    if (result == 0)
        result = lay_out(spawner, spawn, birth);
    if (result == 0)
        result = take_pipes(spawner, child.fds, birth->fds);
    if (result < 0)
        return result;
    result = mf_birth_begin(birth);
    for (int i = 0; i < MF_N_STREAMS; i++) {
        /* The process has its own, under numbers that must stay. */
        int writing = birth->fds[i];

        mf_close(&writing);
        if (result < 0)
            mf_close(&child.fds[i]);
    }
    if (result < 0)
        return result;
    mf_list_remove(&birth->node);
    mf_list_push_back(&spawner->begun, &birth->node);
    child.pid = birth->pid;
    *ret_child = child;
    return 0;
}

int mf_spawner_reaped(struct mf_spawner *spawner, pid_t pid, struct mf_outcome *ret_outcome)
{
    mf_list_for_each (node, &spawner->begun) {
        if (birth_of(node)->pid != pid)
            continue;
        mf_list_remove(node);
        mf_list_push_front(&spawner->idle, node);
        return mf_birth_explain(birth_of(node), ret_outcome);
    }
    return 0;
}
