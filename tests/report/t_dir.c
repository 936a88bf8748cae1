/* A temporary directory for a test: see t_dir.h. Each Criterion test is a process of its own. */
#include "t_dir.h"

#include <criterion/criterion.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static char top[64];

void t_dir_begin(void)
{
    snprintf(top, sizeof(top), "/tmp/t-report-XXXXXX");
    cr_assert(mkdtemp(top));
}

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    return remove(path);
}

void t_dir_end(void)
{
    if (*top)
        nftw(top, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

const char *t_path(const char *name)
{
    static char paths[4][256];
    static int next;
    char *path = paths[next++ % 4];

    snprintf(path, sizeof(paths[0]), "%s/%s", top, name);
    return path;
}

const char *t_read_file(const char *name)
{
    static char text[1 << 20];
    FILE *file = fopen(t_path(name), "r");
    size_t n;

    cr_assert(file, "%s", name);
    n = fread(text, 1, sizeof(text), file);
    cr_assert_lt(n, sizeof(text));
    text[n] = '\0';
    fclose(file);
    return text;
}

void t_limit_file_size(uint64_t bytes)
{
    struct rlimit limit = {bytes, RLIM_INFINITY};

    signal(SIGXFSZ, SIG_IGN);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}
