/*
 * Totals of a directory tree.
 *
 *     treewalk [-x] [DIR]
 *
 * A task reads one directory, adds up what is in it, and spawns a task for each
 * directory that it finds; rank 0 adds up the results as they come. Symbolic
 * links are never followed, and with -x directories on other file systems are
 * passed over. Directories that cannot be read are named.
 *
 * Every rank must see the tree under the same name.
 */
#include <mpifarm/mpifarm.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <search.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Each part of a path has two bytes at least: no directory that can be opened is deeper. */
#define MAX_DEPTH (PATH_MAX / 2)

/* Room for the path of an entry of a directory. */
#define MAX_PATH (PATH_MAX + NAME_MAX + 2)

/**
 * Input of a task, whose tag is the depth of its directory; the path, with its
 * NUL, is behind it.
 *
 * @device    to stay on, 0 for any
 * @function  that reads a directory
 */
struct errand {
    uint64_t device;
    int function;
};

/**
 * What was found in one directory, or in all.
 *
 * @n_others       symbolic links, devices, sockets, pipes
 * @bytes          in files
 * @disk_bytes     that everything takes up
 * @n_links        struct link that come with it
 * @largest_bytes  of the largest file
 */
struct totals {
    uint64_t n_directories, n_files, n_others;
    uint64_t bytes, disk_bytes;
    uint64_t n_links;
    uint64_t largest_bytes;
};

/** A file with several names. Rank 0, which sees them all, counts its bytes once. */
struct link {
    uint64_t device, inode;
    uint64_t bytes, disk_bytes;
};

static int fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

static int fail(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fputs("treewalk: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    return 1;
}

static uint64_t disk_bytes(const struct stat *info)
{
    return (uint64_t)info->st_blocks * 512;
}

/* The order is the same whichever directory is read first. */
static bool is_larger(uint64_t bytes, const char *name, uint64_t than_bytes, const char *than_name)
{
    return !than_name[0] || bytes > than_bytes ||
           (bytes == than_bytes && strcmp(name, than_name) < 0);
}

/* --- on the workers --- */

/** A directory being read; @largest is the name of its largest file, "" for none. */
struct visit {
    struct mpifarm_context *context;
    const struct errand *errand;
    const char *path;
    struct totals totals;
    char largest[NAME_MAX + 1];
};

/* Returns the length of the path. */
static size_t join(const struct visit *visit, const char *name, char path[MAX_PATH])
{
    const char *slash = visit->path[strlen(visit->path) - 1] == '/' ? "" : "/";

    return (size_t)snprintf(path, MAX_PATH, "%s%s%s", visit->path, slash, name);
}

/* A task for a directory in this one; it is submitted when this one is read. */
static int spawn(const struct visit *visit, const char *name)
{
    uint64_t depth = mpifarm_task_tag(visit->context) + 1;
    struct mpifarm_task_options options = {
        .tag = depth,
        .delivery = MPIFARM_DELIVER_QUEUE,
        /* The deepest first: so fewer of them wait. */
        .priority = (int32_t)depth,
    };
    char input[sizeof(struct errand) + MAX_PATH];
    size_t length = join(visit, name, input + sizeof(struct errand));

    memcpy(input, visit->errand, sizeof(struct errand));
    return mpifarm_spawn(visit->context, visit->errand->function, input,
                         sizeof(struct errand) + length + 1, &options);
}

static void add_file(struct visit *visit, const char *name, uint64_t bytes)
{
    struct totals *totals = &visit->totals;

    totals->n_files++;
    if (!is_larger(bytes, name, totals->largest_bytes, visit->largest))
        return;
    totals->largest_bytes = bytes;
    snprintf(visit->largest, sizeof(visit->largest), "%s", name);
}

/* Whatever is not a directory. */
static int add_leaf(struct visit *visit, const char *name, const struct stat *info)
{
    bool is_file = S_ISREG(info->st_mode);
    struct link leaf = {info->st_dev, info->st_ino, is_file ? (uint64_t)info->st_size : 0,
                        disk_bytes(info)};

    if (is_file)
        add_file(visit, name, leaf.bytes);
    else
        visit->totals.n_others++;
    if (info->st_nlink > 1) {
        visit->totals.n_links++;
        return mpifarm_write(visit->context, &leaf, sizeof(leaf));
    }
    visit->totals.bytes += leaf.bytes;
    visit->totals.disk_bytes += leaf.disk_bytes;
    return 0;
}

static int add_entry(struct visit *visit, int fd, const char *name)
{
    struct stat info;

    if (fstatat(fd, name, &info, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : -errno; /* What was removed meanwhile is not there. */
    if (!S_ISDIR(info.st_mode))
        return add_leaf(visit, name, &info);
    if (visit->errand->device != 0 && info.st_dev != visit->errand->device)
        return 0;
    visit->totals.n_directories++;
    visit->totals.disk_bytes += disk_bytes(&info);
    return spawn(visit, name);
}

static int read_entries(struct visit *visit, DIR *directory)
{
    const struct dirent *entry;
    int r = 0;

    for (errno = 0; r == 0 && (entry = readdir(directory)); errno = 0)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            r = add_entry(visit, dirfd(directory), entry->d_name);
    return r < 0 ? r : -errno;
}

static int read_directory(struct visit *visit)
{
    int fd = open(visit->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *directory = fd < 0 ? NULL : fdopendir(fd);
    int r = directory ? read_entries(visit, directory) : -errno;

    if (directory)
        closedir(directory);
    else if (fd >= 0)
        close(fd);
    return r;
}

/*
 * The task function. The result is the links, then the path of the largest file
 * with its NUL, if there is any file, then the totals.
 */
static int walk(struct mpifarm_context *context, void *user)
{
    const struct errand *errand = mpifarm_input(context, NULL);
    struct visit visit = {context, errand, (const char *)(errand + 1), {0}, ""};
    char path[MAX_PATH];
    int r = read_directory(&visit);

    if (r < 0)
        return mpifarm_fail(context, -r, "%.3900s: %s", visit.path, strerror(-r));
    if (visit.largest[0])
        mpifarm_write(context, path, join(&visit, visit.largest, path) + 1);
    return mpifarm_write(context, &visit.totals, sizeof(visit.totals));
}

/* --- on rank 0 --- */

/**
 * All that was found.
 *
 * @levels      directories and files by depth
 * @links       a tree of <search.h>
 * @largest     path of the largest file, "" for none
 * @n_unread    directories that could not be read
 */
struct tree {
    struct totals totals;
    struct level {
        uint64_t n_directories, n_files;
    } levels[MAX_DEPTH + 2];
    void *links;
    char largest[MAX_PATH];
    uint64_t n_unread;
};

static int compare_links(const void *a, const void *b)
{
    const struct link *one = a, *two = b;

    if (one->device != two->device)
        return one->device < two->device ? -1 : 1;
    return (one->inode > two->inode) - (one->inode < two->inode);
}

/* Adds a file with several names, unless it is there under another one. */
static int add_link(struct tree *tree, const struct link *link)
{
    struct link *own = malloc(sizeof(*own));
    struct link **place;

    if (!own)
        return fail("there is no memory for another hard link");
    *own = *link;
    place = tsearch(own, &tree->links, compare_links);
    if (!place || *place != own)
        free(own);
    if (!place)
        return fail("there is no memory for another hard link");
    if (*place == own) {
        tree->totals.bytes += link->bytes;
        tree->totals.disk_bytes += link->disk_bytes;
    }
    return 0;
}

static int add_directory(struct tree *tree, const struct mpifarm_result *result)
{
    const struct link *links = result->data;
    struct level *level = &tree->levels[result->tag + 1]; /* What is in it is one deeper. */
    struct totals found;
    const char *path;
    int status = 0;

    memcpy(&found, (const char *)result->data + result->size - sizeof(found), sizeof(found));
    path = (const char *)(links + found.n_links);
    if (found.n_files > 0 &&
        is_larger(found.largest_bytes, path, tree->totals.largest_bytes, tree->largest)) {
        tree->totals.largest_bytes = found.largest_bytes;
        snprintf(tree->largest, sizeof(tree->largest), "%s", path);
    }
    level->n_directories += found.n_directories;
    level->n_files += found.n_files;
    tree->totals.n_directories += found.n_directories;
    tree->totals.n_files += found.n_files;
    tree->totals.n_others += found.n_others;
    tree->totals.bytes += found.bytes;
    tree->totals.disk_bytes += found.disk_bytes;
    for (uint64_t i = 0; i < found.n_links && status == 0; i++)
        status = add_link(tree, &links[i]);
    return status;
}

/* Adds up what the tasks give, until neither tasks nor results are left. */
static int collect(struct mpifarm *farm, struct tree *tree)
{
    struct mpifarm_result result;
    mpifarm_future future;
    int r;

    while ((r = mpifarm_next(farm, MPIFARM_FOREVER, &future)) == 0) {
        if (mpifarm_result(farm, future, &result) < 0)
            return fail("%s", mpifarm_error_text(farm));
        if (result.status != MPIFARM_DONE) {
            fail("%s", result.message);
            tree->n_unread++;
        } else if (add_directory(tree, &result) != 0) {
            return 1;
        }
        mpifarm_release(farm, future);
    }
    return r == -ENOENT ? 0 : fail("%s", mpifarm_error_text(farm));
}

static int report(const struct tree *tree)
{
    const struct totals *totals = &tree->totals;

    printf("directories %12" PRIu64 "\n", totals->n_directories);
    printf("files       %12" PRIu64 "\n", totals->n_files);
    printf("others      %12" PRIu64 "\n", totals->n_others);
    printf("bytes       %12" PRIu64 "\n", totals->bytes);
    printf("on disk     %12" PRIu64 "\n", totals->disk_bytes);
    if (tree->largest[0])
        printf("largest     %12" PRIu64 " %s\n", totals->largest_bytes, tree->largest);
    printf("\n%5s %12s %12s\n", "depth", "directories", "files");
    for (size_t i = 0; tree->levels[i].n_directories + tree->levels[i].n_files > 0; i++)
        printf("%5zu %12" PRIu64 " %12" PRIu64 "\n", i, tree->levels[i].n_directories,
               tree->levels[i].n_files);
    if (tree->n_unread > 0)
        return fail("%" PRIu64 " %s could not be read", tree->n_unread,
                    tree->n_unread == 1 ? "directory" : "directories");
    return 0;
}

/** @root  the first directory; @stays  on its file system */
struct settings {
    const char *root;
    bool stays;
};

static int run(struct mpifarm *farm, int function, const struct settings *settings)
{
    struct mpifarm_task_options options = {.delivery = MPIFARM_DELIVER_QUEUE};
    struct errand errand = {.function = function};
    char input[sizeof(errand) + PATH_MAX];
    struct tree tree = {.levels[0].n_directories = 1};
    size_t size = strlen(settings->root) + 1;
    struct stat info;
    int status;

    errno = 0;
    if (lstat(settings->root, &info) < 0 || !S_ISDIR(info.st_mode)) {
        fail("%s: %s", settings->root, strerror(errno ? errno : ENOTDIR));
        return 2;
    }
    tree.totals = (struct totals){.n_directories = 1, .disk_bytes = disk_bytes(&info)};
    errand.device = settings->stays ? info.st_dev : 0;
    memcpy(input, &errand, sizeof(errand));
    memcpy(input + sizeof(errand), settings->root, size); /* lstat() takes none that is too long. */
    if (mpifarm_submit(farm, function, input, sizeof(errand) + size, &options, NULL) < 0)
        return fail("%s", mpifarm_error_text(farm));
    status = collect(farm, &tree);
    if (status == 0)
        status = report(&tree);
    tdestroy(tree.links, free);
    return status;
}

/* Returns NULL, or what is wrong. */
static const char *read_options(int argc, char **argv, struct settings *settings)
{
    static const char usage[] = "usage: treewalk [-x] [DIR]";
    int option;

    opterr = 0;
    while ((option = getopt(argc, argv, "x")) != -1) {
        if (option != 'x')
            return usage;
        settings->stays = true;
    }
    if (optind < argc)
        settings->root = argv[optind++];
    return optind < argc ? usage : NULL;
}

int main(int argc, char **argv)
{
    struct settings settings = {.root = "."};
    const char *complaint = read_options(argc, argv, &settings);
    struct mpifarm *farm;
    int function, r, status = 0;

    if (mpifarm_init(&argc, &argv, NULL, &farm) < 0)
        return 1; /* It has said why. */
    if (complaint) {
        if (mpifarm_rank(farm) == 0)
            fail("%s", complaint);
        mpifarm_finish(farm);
        return 2;
    }
    function = mpifarm_register(farm, "walk", walk, NULL);
    r = function < 0 ? function : mpifarm_start(farm);
    if (r < 0)
        status = fail("%s", mpifarm_error_text(farm));
    else if (r == MPIFARM_CLIENT)
        status = run(farm, function, &settings);
    if (mpifarm_finish(farm) < 0)
        status = 1;
    return status;
}
