/*
 * Captured output on disk: see store.h.
 *
 * The store owns its directory and the descriptors of a few of its files:
 * those used last stay open, so that neither 256 descriptors nor a terabyte of
 * output is a limit. A file is known from its first use on; what it holds from
 * earlier runs is neither live nor touched. Used by rank 0, one thread.
 */
#include "report/store.h"

#include "base/io.h"
#include "base/list.h"
#include "base/table.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_OPEN 8

/**
 * @number       N in NAME.N
 * @fd           -1 while it is not open
 * @end          where the next region begins
 * @live_bytes   in regions reserved or adopted, and not released
 * @has_released whether a region was released: only then the store may remove it
 * @is_dirty     written to since the last sync
 * @open_node    in store->open, last used last, while it is open
 * @dirty_node   in store->dirty while it is dirty
 */
struct store_file {
    uint32_t number;
    int fd;
    uint64_t end;
    uint64_t live_bytes;
    bool has_released;
    bool is_dirty;
    struct mf_list open_node;
    struct mf_list dirty_node;
};

/**
 * @files       number to struct store_file *
 * @current     number of the file that regions are reserved in
 * @is_dir_dirty  a file was made since the last sync
 */
struct mf_store {
    char *dir;
    char *name;
    int dir_fd;
    uint64_t file_bytes;
    struct mf_table *files;
    uint32_t current;
    struct mf_list open;
    uint32_t n_open;
    struct mf_list dirty;
    bool is_dir_dirty;
};

static const char *advice(int code)
{
    switch (-code) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return "; make room there";
    case EROFS:
    case EACCES:
    case EPERM:
        return "; choose a directory that you can write to";
    default:
        return "";
    }
}

static int fail_dir(const struct mf_store *store, int code, const char *done, struct mf_error *err)
{
    return mf_error_set(err, code, "%s: cannot be %s: %s%s", store->dir, done, strerror(-code),
                        advice(code));
}

static int fail_file(const struct mf_store *store, uint32_t file, int code, const char *done,
                     struct mf_error *err)
{
    return mf_error_set(err, code, "%s/%s.%u: cannot be %s: %s%s", store->dir, store->name, file,
                        done, strerror(-code), advice(code));
}

static char *file_name(const struct mf_store *store, uint32_t number, char *text, size_t size)
{
    snprintf(text, size, "%s.%u", store->name, number);
    return text;
}

static void close_file(struct mf_store *store, struct store_file *file)
{
    if (file->fd < 0)
        return;
    mf_close(&file->fd);
    mf_list_remove(&file->open_node);
    store->n_open--;
}

static void forget_file(struct mf_store *store, struct store_file *file)
{
    close_file(store, file);
    mf_list_remove(&file->dirty_node);
    mf_table_remove(store->files, &file->number);
    free(file);
}

/* Opens the file, closing the one unused for longest when there are many. */
static int open_file(struct mf_store *store, struct store_file *file, int flags)
{
    char name[NAME_MAX + 1];

    if (file->fd >= 0) {
        mf_list_remove(&file->open_node);
        mf_list_push_back(&store->open, &file->open_node);
        return 0;
    }
    if (store->n_open >= MAX_OPEN)
        close_file(store, mf_container_of(store->open.next, struct store_file, open_node));
    file->fd = openat(store->dir_fd, file_name(store, file->number, name, sizeof(name)),
                      O_RDWR | O_CLOEXEC | O_NOFOLLOW | flags, 0600);
    if (file->fd < 0)
        return -errno;
    mf_list_push_back(&store->open, &file->open_node);
    store->n_open++;
    return 0;
}

static struct store_file *find_file(const struct mf_store *store, uint32_t number)
{
    struct store_file **slot = mf_table_find(store->files, &number);

    return slot ? *slot : NULL;
}

static int add_file(struct mf_store *store, uint32_t number, struct store_file **ret_file)
{
    struct store_file *file = calloc(1, sizeof(*file));
    void *slot;
    int code;

    if (!file)
        return -ENOMEM;
    code = mf_table_insert(store->files, &number, &slot);
    if (code < 0) {
        free(file);
        return code;
    }
    file->number = number;
    file->fd = -1;
    mf_list_init(&file->open_node);
    mf_list_init(&file->dirty_node);
    *(struct store_file **)slot = file;
    *ret_file = file;
    return 0;
}

/* The file of that number, open; with O_CREAT in flags it is made if it is missing. */
static int use_file(struct mf_store *store, uint32_t number, int flags,
                    struct store_file **ret_file)
{
    struct store_file *file = find_file(store, number);
    struct stat status;
    int code = 0;

    if (file) {
        code = open_file(store, file, 0);
        *ret_file = file;
        return code;
    }
    code = add_file(store, number, &file);
    if (code)
        return code;
    code = open_file(store, file, flags);
    if (!code && fstat(file->fd, &status) < 0)
        code = -errno;
    if (code) {
        forget_file(store, file);
        return code;
    }
    file->end = (uint64_t)status.st_size;
    if (flags & O_CREAT)
        store->is_dir_dirty = true;
    *ret_file = file;
    return 0;
}

/* N of "NAME.N", or -1 for another name. */
static int64_t parse_number(const struct mf_store *store, const char *name)
{
    size_t length = strlen(store->name);
    unsigned long number;
    char *end;

    if (strncmp(name, store->name, length) != 0 || name[length] != '.')
        return -1;
    name += length + 1;
    if (*name < '0' || *name > '9' || (*name == '0' && name[1]))
        return -1;
    errno = 0;
    number = strtoul(name, &end, 10);
    return *end || errno || number >= UINT32_MAX ? -1 : (int64_t)number;
}

/* Finds the last file of earlier runs, behind whose end this one goes on. */
static int find_current(struct mf_store *store)
{
    int fd = openat(store->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;
    int code;

    if (!list) {
        mf_close(&fd);
        return -errno;
    }
    while ((errno = 0, entry = readdir(list))) {
        int64_t number = parse_number(store, entry->d_name);

        if (number > (int64_t)store->current)
            store->current = (uint32_t)number;
    }
    code = -errno;
    closedir(list);
    return code;
}

static int open_dir(struct mf_store *store, struct mf_error *err)
{
    int code;

    if (mkdir(store->dir, 0700) == 0) {
        /* umask may have taken the owner's own rights away. */
        if (chmod(store->dir, 0700) < 0)
            return fail_dir(store, -errno, "made", err);
    } else if (errno != EEXIST) {
        return fail_dir(store, -errno, "made", err);
    }
    store->dir_fd = open(store->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (store->dir_fd < 0)
        return fail_dir(store, -errno, "opened as a directory", err);
    code = find_current(store);
    return code ? fail_dir(store, code, "read", err) : 0;
}

int mf_store_open(const char *dir, const char *name, uint64_t file_bytes,
                  struct mf_store **ret_store, struct mf_error *err)
{
    struct mf_store *store = calloc(1, sizeof(*store));
    int code;

    if (!store)
        return mf_error_set(err, -ENOMEM, "%s: out of memory", dir);
    store->dir_fd = -1;
    store->file_bytes = file_bytes;
    mf_list_init(&store->open);
    mf_list_init(&store->dirty);
    store->dir = strdup(dir);
    store->name = strdup(name);
    if (!store->dir || !store->name ||
        mf_table_create(sizeof(uint32_t), sizeof(struct store_file *), &store->files) < 0)
        code = mf_error_set(err, -ENOMEM, "%s: out of memory", dir);
    else
        code = open_dir(store, err);
    if (code) {
        mf_store_close(store);
        return code;
    }
    *ret_store = store;
    return 0;
}

/* What was only passing through is not left behind. */
static void remove_file(struct mf_store *store, struct store_file *file)
{
    char name[NAME_MAX + 1];

    /* A file that cannot be removed wastes room and does no other harm. */
    (void)unlinkat(store->dir_fd, file_name(store, file->number, name, sizeof(name)), 0);
}

void mf_store_close(struct mf_store *store)
{
    void *slot;
    size_t cursor = 0;

    if (!store)
        return;
    while (store->files && mf_table_next(store->files, &cursor, NULL, &slot)) {
        struct store_file *file = *(struct store_file **)slot;

        if (file->has_released && !file->live_bytes)
            remove_file(store, file);
        close_file(store, file);
        free(file);
    }
    mf_table_destroy(store->files);
    mf_close(&store->dir_fd);
    free(store->name);
    free(store->dir);
    free(store);
}

static bool is_full(const struct mf_store *store, const struct store_file *file)
{
    return file->number != store->current || file->end >= store->file_bytes;
}

/* Gives up a full file whose last live region is gone. */
static void retire_file(struct mf_store *store, struct store_file *file)
{
    if (file->live_bytes || !file->has_released || !is_full(store, file))
        return;
    remove_file(store, file);
    /* A number is not used again in this run: its journal may still name regions of it. */
    if (file->number == store->current)
        store->current++;
    forget_file(store, file);
}

int mf_store_reserve(struct mf_store *store, uint64_t size, uint32_t *ret_file,
                     uint64_t *ret_offset, struct mf_error *err)
{
    struct store_file *file;
    int code = use_file(store, store->current, O_CREAT, &file);

    if (!code && file->end >= store->file_bytes && file->end > 0) {
        store->current++;
        retire_file(store, file);
        code = use_file(store, store->current, O_CREAT, &file);
    }
    if (code)
        return fail_file(store, store->current, code, "opened", err);
    *ret_file = file->number;
    *ret_offset = file->end;
    file->end += size;
    file->live_bytes += size;
    return 0;
}

int mf_store_adopt(struct mf_store *store, uint32_t file_number, uint64_t offset, uint64_t size,
                   struct mf_error *err)
{
    struct store_file *file;
    int code = use_file(store, file_number, 0, &file);

    if (code)
        return fail_file(store, file_number, code, "opened", err);
    if (offset > file->end || size > file->end - offset)
        return mf_error_set(err, -EBADMSG,
                            "%s/%s.%u: is shorter than the journal says: output is lost",
                            store->dir, store->name, file_number);
    file->live_bytes += size;
    return 0;
}

int mf_store_write(struct mf_store *store, uint32_t file_number, uint64_t offset, const void *data,
                   size_t n, struct mf_error *err)
{
    struct store_file *file;
    int code = use_file(store, file_number, 0, &file);

    if (code)
        return fail_file(store, file_number, code, "opened", err);
    if (!file->is_dirty) {
        file->is_dirty = true;
        mf_list_push_back(&store->dirty, &file->dirty_node);
    }
    code = mf_pwrite_all(file->fd, data, n, offset);
    return code ? fail_file(store, file_number, code, "written", err) : 0;
}

ssize_t mf_store_read(struct mf_store *store, uint32_t file_number, uint64_t offset, void *data,
                      size_t n)
{
    struct store_file *file;
    int code = use_file(store, file_number, 0, &file);

    return code ? code : mf_pread_all(file->fd, data, n, offset);
}

void mf_store_release(struct mf_store *store, uint32_t file_number, uint64_t size)
{
    struct store_file *file = find_file(store, file_number);

    if (!file)
        return;
    file->live_bytes -= size < file->live_bytes ? size : file->live_bytes;
    file->has_released = true;
    retire_file(store, file);
}

int mf_store_sync(struct mf_store *store, struct mf_error *err)
{
    while (!mf_list_is_empty(&store->dirty)) {
        struct store_file *file = mf_container_of(store->dirty.next, struct store_file, dirty_node);
        int code = open_file(store, file, 0);

        if (!code && fdatasync(file->fd) < 0)
            code = -errno;
        if (code)
            return fail_file(store, file->number, code, "made durable", err);
        mf_list_remove(&file->dirty_node);
        file->is_dirty = false;
    }
    /* Some file systems cannot sync a directory, and say so: theirs is durable without. */
    if (store->is_dir_dirty && fsync(store->dir_fd) < 0 && errno != EINVAL)
        return fail_dir(store, -errno, "made durable", err);
    store->is_dir_dirty = false;
    return 0;
}
