/* Blocks of bytes for all. */
#include "t_api.h"

#include <dirent.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)

static struct t_block_seen look(struct t_run *t, mpifarm_block block, uint32_t rank)
{
    mpifarm_future future = t_submit(t, T_BLOCK, &block, sizeof(block), .rank = rank);
    struct t_block_seen seen = *(const struct t_block_seen *)t_done(t, future, sizeof(seen));

    t_release(t, future);
    return seen;
}

/* A worker rank: each of them, and then again. */
static uint32_t rank_of(const struct t_run *t, uint32_t i)
{
    return t->size > 1 ? 1 + i % t->n_workers : 0;
}

/* Whether a line of /proc/PID/maps is of a block. */
static bool is_block(const char *line, size_t size)
{
    unsigned long begin, end;

    return sscanf(line, "%lx-%lx", &begin, &end) == 2 && strstr(line, "/memfd:mpifarm-block") &&
           end - begin >= size && end - begin < size + 65536;
}

/* How often a process has a block of about that size mapped, or open to be mapped. */
static int count_in_process(const char *pid, size_t size)
{
    char path[300], line[512];
    struct dirent *entry;
    struct stat info;
    int n = 0;
    FILE *maps;
    DIR *fds;

    snprintf(path, sizeof(path), "/proc/%s/maps", pid);
    maps = fopen(path, "r");
    while (maps && fgets(line, sizeof(line), maps))
        n += is_block(line, size);
    if (maps)
        fclose(maps);
    snprintf(path, sizeof(path), "/proc/%s/fd", pid);
    fds = opendir(path);
    while (fds && (entry = readdir(fds)))
        n += fstatat(dirfd(fds), entry->d_name, &info, 0) == 0 && (size_t)info.st_size == size;
    if (fds)
        closedir(fds);
    return n;
}

static int count_shared(size_t size)
{
    DIR *dir = opendir("/proc");
    struct dirent *entry;
    int n = 0;

    T_CHECK(dir != NULL);
    while ((entry = readdir(dir)))
        if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9')
            n += count_in_process(entry->d_name, size);
    closedir(dir);
    return n;
}

static void every_rank_sees_blocks_of_every_size(struct t_run *t)
{
    const size_t sizes[] = {1, 16, 4096, 64 * KIB - 1, 64 * KIB + 1, MIB + 3, 20 * MIB};
    mpifarm_block blocks[7];
    uint64_t hashes[7];

    for (int i = 0; i < 7; i++) {
        uint8_t *bytes = malloc(sizes[i]);

        T_CHECK(bytes != NULL);
        t_pattern(bytes, sizes[i], (uint64_t)i);
        hashes[i] = t_hash(bytes, sizes[i]);
        blocks[i] = 0;
        T_EQ(mpifarm_broadcast(t->farm, bytes, sizes[i], &blocks[i]), 0);
        T_CHECK(blocks[i] != 0 && (i == 0 || blocks[i] != blocks[i - 1]));
        /* It is the farm's now. */
        memset(bytes, 0, sizes[i]);
        free(bytes);
    }
    /* All are there at the same time. */
    for (uint32_t i = 0; i < 7 * t->n_workers; i++) {
        struct t_block_seen seen = look(t, blocks[i % 7], rank_of(t, i / 7));

        T_CHECK(!seen.is_null);
        T_EQ(seen.size, sizes[i % 7]);
        T_CHECK(seen.hash == hashes[i % 7]);
    }
    for (int i = 0; i < 7; i++)
        T_EQ(mpifarm_drop_block(t->farm, blocks[i]), 0);
}

static void a_block_is_kept_once_for_all_ranks_of_a_node(struct t_run *t)
{
    uint64_t inode = 0;
    mpifarm_block block;

    T_EQ(mpifarm_broadcast(t->farm, "one for all", 12, &block), 0);
    for (uint32_t i = 0; i < t->n_workers; i++) {
        struct t_block_seen seen = look(t, block, rank_of(t, i));

        if (i == 0)
            inode = seen.inode;
        T_CHECK(seen.inode != 0);
        T_EQ(seen.inode, inode);
    }
    T_EQ(mpifarm_drop_block(t->farm, block), 0);
}

static void a_dropped_block_is_null(struct t_run *t)
{
    mpifarm_block kept, dropped;

    T_EQ(mpifarm_broadcast(t->farm, "kept", 5, &kept), 0);
    T_EQ(mpifarm_broadcast(t->farm, "dropped", 8, &dropped), 0);
    T_EQ(mpifarm_drop_block(t->farm, dropped), 0);
    for (uint32_t i = 0; i < t->n_workers; i++) {
        struct t_block_seen seen = look(t, dropped, rank_of(t, i));

        T_CHECK(seen.is_null && seen.size == 0);
        T_CHECK(look(t, kept, rank_of(t, i)).hash == t_hash("kept", 5));
    }
    T_ERROR(t, mpifarm_drop_block(t->farm, dropped), -ENOENT);
    T_EQ(mpifarm_drop_block(t->farm, kept), 0);
    T_CHECK(look(t, 0, 0).is_null);
    T_CHECK(look(t, 12345, 0).is_null);
}

static void wrong_blocks_are_refused(struct t_run *t)
{
    mpifarm_block block = 66;

    T_ERROR(t, mpifarm_broadcast(t->farm, "x", 0, &block), -EINVAL);
    T_ERROR(t, mpifarm_broadcast(t->farm, NULL, 5, &block), -EINVAL);
    T_EQ(block, 66);
    T_ERROR(t, mpifarm_drop_block(t->farm, 0), -ENOENT);
    T_ERROR(t, mpifarm_drop_block(t->farm, 54321), -ENOENT);
}

static void a_dropped_block_is_left_in_no_process(struct t_run *t)
{
    /* A size that nobody else has. */
    size_t size = 3 * MIB + (size_t)getpid() * 65536 + 3;
    int64_t limit_ns = t_now_ns() + T_LIMIT_NS;
    uint8_t *bytes = calloc(1, size);
    mpifarm_block block;

    T_CHECK(bytes != NULL);
    T_EQ(mpifarm_broadcast(t->farm, bytes, size, &block), 0);
    free(bytes);
    T_EQ(look(t, block, 0).size, size);
    T_CHECK(count_shared(size) >= 2);
    T_EQ(mpifarm_drop_block(t->farm, block), 0);
    /* Executors hear of it when they have nothing to do. */
    while (count_shared(size) > 0) {
        T_CHECK(t_now_ns() < limit_ns);
        T_CHECK(mpifarm_progress(t->farm, NULL) >= 0);
    }
}

static void tasks_under_way_do_not_keep_a_block_from_coming(struct t_run *t)
{
    const int64_t duration_ns = 1000000;
    mpifarm_block block;

    for (int i = 0; i < 20; i++)
        t_release(t, t_submit(t, T_TIMES, &duration_ns, sizeof(duration_ns)));
    T_EQ(mpifarm_broadcast(t->farm, "late", 5, &block), 0);
    for (uint32_t i = 0; i < t->n_workers; i++)
        T_CHECK(look(t, block, rank_of(t, i)).hash == t_hash("late", 5));
    T_EQ(mpifarm_drop_block(t->farm, block), 0);
}

const struct t_scenario t_blocks[] = {
    {"every rank sees blocks of every size", every_rank_sees_blocks_of_every_size, 0},
    {"a block is kept once for all ranks of a node", a_block_is_kept_once_for_all_ranks_of_a_node,
     0},
    {"a dropped block is NULL", a_dropped_block_is_null, 0},
    {"wrong blocks are refused", wrong_blocks_are_refused, 0},
    {"a dropped block is left in no process", a_dropped_block_is_left_in_no_process, 0},
    {"tasks under way do not keep a block from coming",
     tasks_under_way_do_not_keep_a_block_from_coming, 0},
    {0},
};
