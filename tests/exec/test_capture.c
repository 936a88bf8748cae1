/* Head, tail and what lies between. */
#include "exec/capture.h"

#include <criterion/criterion.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Writes text in pieces of n bytes and reads all back in pieces of m; the caller frees. */
static char *pass(const char *text, uint64_t limit, size_t n, size_t m)
{
    struct mf_capture capture;
    char *result;
    uint64_t size;

    mf_capture_init(&capture, limit);
    for (size_t at = 0, length = strlen(text); at < length; at += n) {
        size_t piece = length - at < n ? length - at : n;

        cr_assert_eq(mf_capture_write(&capture, text + at, piece, "/tmp"), 0);
    }
    size = mf_capture_size(&capture);
    result = calloc(size + 1, 1);
    for (uint64_t at = 0; at < size;) {
        ssize_t got = mf_capture_read(&capture, at, result + at, m < size - at ? m : size - at);

        cr_assert_gt(got, 0);
        at += (uint64_t)got;
    }
    mf_capture_finish(&capture);
    return result;
}

static void check(const char *text, uint64_t limit, const char *expected)
{
    for (size_t n = 1; n <= strlen(text) + 1; n++) {
        for (size_t m = 1; m < 12; m++) {
            char *result = pass(text, limit, n, m);

            cr_assert_str_eq(result, expected, "pieces of %zu and %zu: %s", n, m, result);
            free(result);
        }
    }
}

Test(capture, all_is_kept_up_to_the_limit)
{
    check("abcdefgh", 9, "abcdefgh");
    check("abcdefgh", 8, "abcdefgh");
    check("", 8, "");
}

Test(capture, head_and_tail_are_kept_beyond_it)
{
    check("abcdefghi", 8, "abcd\n[mpifarm: 1 bytes dropped]\nfghi");
    check("abcdefghijklmnop", 8, "abcd\n[mpifarm: 8 bytes dropped]\nmnop");
    check("abcdefghijklmnopqrstu", 7, "abc\n[mpifarm: 14 bytes dropped]\nrstu");
}

Test(capture, tiny_limits_work)
{
    check("abc", 1, "\n[mpifarm: 2 bytes dropped]\nc");
    check("abc", 0, "\n[mpifarm: 3 bytes dropped]\n");
}

Test(capture, file_gives_the_same_as_memory)
{
    enum { SIZE = 300000, LIMIT = 200001 };
    struct mf_capture capture;
    static uint8_t bytes[SIZE], got[SIZE];
    char marker[] = "\n[mpifarm: 99999 bytes dropped]\n";
    size_t head = LIMIT / 2, tail = LIMIT - head;

    for (size_t i = 0; i < SIZE; i++)
        bytes[i] = (uint8_t)(i * 2654435761u >> 13);
    mf_capture_init(&capture, LIMIT);
    for (size_t at = 0; at < SIZE; at += 997)
        cr_assert_eq(
            mf_capture_write(&capture, bytes + at, SIZE - at < 997 ? SIZE - at : 997, "/tmp"), 0);
    cr_assert_geq(capture.fd, 0);
    cr_assert_eq(mf_capture_dropped(&capture), SIZE - LIMIT);
    cr_assert_eq(mf_capture_read(&capture, 0, got, SIZE), (ssize_t)(LIMIT + strlen(marker)));
    cr_assert_eq(memcmp(got, bytes, head), 0);
    cr_assert_eq(memcmp(got + head, marker, strlen(marker)), 0);
    cr_assert_eq(memcmp(got + head + strlen(marker), bytes + SIZE - tail, tail), 0);
    mf_capture_finish(&capture);
}

Test(capture, full_disk_is_told_once_and_what_was_kept_stays)
{
    struct mf_capture capture;
    uint8_t bytes[40000];
    char end[64] = "";
    const char *marker = "\n[mpifarm: 80000 bytes dropped]\n";

    memset(bytes, 'x', sizeof(bytes));
    mf_capture_init(&capture, UINT64_MAX);
    cr_assert_eq(mf_capture_write(&capture, bytes, sizeof(bytes), "/tmp"), 0);
    cr_assert_eq(mf_capture_write(&capture, bytes, sizeof(bytes), "/tmp"), 0);
    /* A device that is always full takes the place of the file. */
    cr_assert_geq(capture.fd, 0);
    {
        int full = open("/dev/full", O_WRONLY | O_CLOEXEC), spare = dup(capture.fd);

        cr_assert_geq(full, 0);
        cr_assert_eq(dup2(full, capture.fd), capture.fd);
        cr_assert_eq(mf_capture_write(&capture, bytes, sizeof(bytes), "/tmp"), -ENOSPC);
        cr_assert_eq(mf_capture_write(&capture, bytes, sizeof(bytes), "/tmp"), 0);
        cr_assert_eq(dup2(spare, capture.fd), capture.fd);
        close(full);
        close(spare);
    }
    cr_assert_eq(capture.produced, 160000);
    cr_assert_eq(mf_capture_dropped(&capture), 80000);
    cr_assert_eq(mf_capture_size(&capture), 80000 + strlen(marker));
    cr_assert_eq(mf_capture_read(&capture, 80000, end, sizeof(end)), (ssize_t)strlen(marker));
    cr_assert_str_eq(end, marker);
    mf_capture_finish(&capture);
}
