/* Tests of report/store.c. */
#include "report/store.h"
#include "t_dir.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

TestSuite(store, .init = t_dir_begin, .fini = t_dir_end);

static struct mf_store *open_store(const char *name, uint64_t file_bytes)
{
    struct mf_store *store = NULL;
    struct mf_error err = {0};

    cr_assert_eq(mf_store_open(t_path("out"), name, file_bytes, &store, &err), 0, "%s", err.text);
    return store;
}

struct region {
    uint32_t file;
    uint64_t offset;
};

/* Reserves and writes a text. */
static struct region put(struct mf_store *store, const char *text)
{
    struct mf_error err = {0};
    struct region region;

    cr_assert_eq(mf_store_reserve(store, strlen(text), &region.file, &region.offset, &err), 0, "%s",
                 err.text);
    cr_assert_eq(mf_store_write(store, region.file, region.offset, text, strlen(text), &err), 0,
                 "%s", err.text);
    return region;
}

static void assert_holds(struct mf_store *store, struct region region, const char *text)
{
    char got[256] = "";

    cr_assert_eq(mf_store_read(store, region.file, region.offset, got, strlen(text)),
                 (ssize_t)strlen(text));
    cr_assert_str_eq(got, text);
}

static bool exists(const char *name)
{
    return access(t_path(name), F_OK) == 0;
}

Test(store, regions_come_back_and_lie_one_behind_the_other_in_a_few_files)
{
    struct mf_store *store = open_store("kept", 10);
    struct region a = put(store, "12345"), b = put(store, "6789012"), c = put(store, "x");

    cr_assert(a.file == 0 && a.offset == 0);
    cr_assert(b.file == 0 && b.offset == 5);
    cr_assert(c.file == 1 && c.offset == 0);
    assert_holds(store, a, "12345");
    assert_holds(store, b, "6789012");
    assert_holds(store, c, "x");
    cr_assert_eq(mf_store_sync(store, NULL), 0);
    mf_store_close(store);
    cr_assert_str_eq(t_read_file("out/kept.0"), "123456789012");
    cr_assert_str_eq(t_read_file("out/kept.1"), "x");
}

Test(store, nothing_is_made_before_it_is_needed_and_all_is_the_users_alone)
{
    struct mf_store *store;
    struct stat status;

    umask(0777);
    store = open_store("kept", 10);
    cr_assert(!exists("out/kept.0"));
    umask(0);
    put(store, "x");
    cr_assert_eq(stat(t_path("out"), &status), 0);
    cr_assert_eq(status.st_mode & 0777, 0700u);
    cr_assert_eq(stat(t_path("out/kept.0"), &status), 0);
    cr_assert_eq(status.st_mode & 0777, 0600u);
    mf_store_close(store);
}

Test(store, pieces_may_be_written_in_any_order_and_a_read_ends_where_the_file_ends)
{
    struct mf_store *store = open_store("kept", 100);
    char got[16];
    uint32_t file;
    uint64_t offset;

    cr_assert_eq(mf_store_reserve(store, 6, &file, &offset, NULL), 0);
    cr_assert_eq(mf_store_write(store, file, offset + 3, "def", 3, NULL), 0);
    cr_assert_eq(mf_store_write(store, file, offset, "abc", 3, NULL), 0);
    cr_assert_eq(mf_store_read(store, file, offset + 2, got, sizeof(got)), 4);
    cr_assert_eq(memcmp(got, "cdef", 4), 0);
    mf_store_close(store);
}

Test(store, a_store_goes_on_behind_what_it_holds)
{
    struct mf_store *store = open_store("kept", 10);
    struct region a = put(store, "123456789012"), b = put(store, "abc"), c;

    mf_store_close(store);
    store = open_store("kept", 10);
    c = put(store, "def");
    cr_assert(c.file == b.file && c.offset == 3);
    assert_holds(store, a, "123456789012");
    assert_holds(store, b, "abc");
    mf_store_close(store);
}

Test(store, files_of_other_names_do_not_matter)
{
    struct mf_store *store = open_store("kept", 10);

    mf_store_close(store);
    for (int i = 0; i < 5; i++) {
        static const char *const names[] = {"out/kept.07", "out/kept.", "out/kept.9x",
                                            "out/keptx.9", "out/kept.99999999999"};

        fclose(fopen(t_path(names[i]), "w"));
    }
    store = open_store("kept", 10);
    cr_assert_eq(put(store, "x").file, 0u);
    mf_store_close(store);
}

Test(store, a_full_file_goes_when_its_last_region_is_released)
{
    struct mf_store *store = open_store("spool", 4);
    struct region a = put(store, "12"), b = put(store, "345"), c = put(store, "x");

    mf_store_release(store, a.file, 2);
    cr_assert(exists("out/spool.0"));
    mf_store_release(store, b.file, 3);
    cr_assert(!exists("out/spool.0"));
    assert_holds(store, c, "x");
    mf_store_close(store);
}

Test(store, a_number_is_not_used_again_for_a_file_that_went)
{
    struct mf_store *store = open_store("spool", 2);
    struct region a = put(store, "12");

    mf_store_release(store, a.file, 2);
    cr_assert(!exists("out/spool.0"));
    cr_assert_eq(put(store, "34").file, 1u);
    mf_store_close(store);
}

Test(store, closing_leaves_live_and_kept_regions_and_removes_what_only_passed_through)
{
    struct mf_store *spool = open_store("spool", 100);
    struct mf_store *kept = open_store("kept", 100);
    struct mf_store *live = open_store("live", 100);
    struct region a = put(spool, "12"), b = put(live, "12");

    put(kept, "x");
    put(live, "345");
    mf_store_release(spool, a.file, 2);
    mf_store_release(live, b.file, 2);
    mf_store_close(spool);
    mf_store_close(kept);
    mf_store_close(live);
    cr_assert(!exists("out/spool.0"));
    cr_assert(exists("out/kept.0"));
    cr_assert(exists("out/live.0"));
}

Test(store, an_adopted_region_keeps_its_file_until_it_is_released)
{
    struct mf_store *store = open_store("spool", 4);
    struct region a = put(store, "1234");

    put(store, "567");
    mf_store_close(store);
    store = open_store("spool", 4);
    cr_assert_eq(mf_store_adopt(store, a.file, a.offset, 4, NULL), 0);
    assert_holds(store, a, "1234");
    mf_store_release(store, a.file, 4);
    cr_assert(!exists("out/spool.0"));
    cr_assert(exists("out/spool.1"));
    mf_store_close(store);
}

Test(store, a_region_that_is_not_there_is_not_adopted)
{
    struct mf_store *store = open_store("spool", 4);
    struct mf_error err = {0};

    put(store, "123");
    cr_assert_eq(mf_store_adopt(store, 0, 1, 3, &err), -EBADMSG);
    cr_assert(strstr(err.text, "out/spool.0: is shorter than the journal says"), "%s", err.text);
    cr_assert_eq(mf_store_adopt(store, 0, UINT64_MAX, 3, NULL), -EBADMSG);
    cr_assert_eq(mf_store_adopt(store, 7, 0, 3, &err), -ENOENT);
    cr_assert(strstr(err.text, "out/spool.7: cannot be opened: No such file"), "%s", err.text);
    mf_store_close(store);
}

Test(store, hundreds_of_files_need_few_descriptors)
{
    struct rlimit limit = {40, 40};
    struct mf_store *store = open_store("kept", 1);
    struct region regions[300];
    char text[16];

    setrlimit(RLIMIT_NOFILE, &limit);
    for (int i = 0; i < 300; i++) {
        snprintf(text, sizeof(text), "%d", i);
        regions[i] = put(store, text);
    }
    cr_assert_eq(mf_store_sync(store, NULL), 0);
    for (int i = 299; i >= 0; i--) {
        snprintf(text, sizeof(text), "%d", i);
        assert_holds(store, regions[i], text);
    }
    mf_store_close(store);
}

Test(store, a_full_disk_is_named_and_writing_goes_on_once_there_is_room)
{
    struct mf_store *store = open_store("kept", 1 << 20);
    char text[3000];
    struct mf_error err = {0};
    uint32_t file;
    uint64_t offset;

    memset(text, 'x', sizeof(text));
    cr_assert_eq(mf_store_reserve(store, sizeof(text), &file, &offset, NULL), 0);
    t_limit_file_size(1000);
    cr_assert_eq(mf_store_write(store, file, offset, text, sizeof(text), &err), -EFBIG);
    cr_assert(strstr(err.text, "out/kept.0: cannot be written: File too large; make room there"),
              "%s", err.text);
    t_limit_file_size(RLIM_INFINITY);
    cr_assert_eq(mf_store_write(store, file, offset, text, sizeof(text), &err), 0);
    mf_store_close(store);
}

Test(store, a_place_that_cannot_be_written_is_named)
{
    struct mf_store *store;
    struct mf_error err = {0};

    cr_assert_eq(mf_store_open("/proc/nowhere", "kept", 1, &store, &err), -ENOENT);
    cr_assert(strstr(err.text, "/proc/nowhere: cannot be made: "), "%s", err.text);
    cr_assert_eq(mf_store_open("/dev/null", "kept", 1, &store, &err), -ENOTDIR);
    cr_assert(strstr(err.text, "/dev/null: cannot be opened as a directory"), "%s", err.text);
    mf_store_close(NULL);
}
