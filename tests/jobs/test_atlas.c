/* jobs/atlas: the image. */
#include "job.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <png.h>
#include <stdint.h>
#include <stdlib.h>

/* Of the pixels at 256 x 256, as the program made them when each tile was a command of a task file.
 */
#define CHECKSUM_256 UINT64_C(0x826a38eb90cc426e)

TestSuite(atlas, .init = t_enter_dir, .fini = t_leave_dir);

/* FNV-1a of the size and the pixels of an image. */
static uint64_t checksum(const char *path)
{
    png_image png = {.version = PNG_IMAGE_VERSION};
    uint64_t sum = UINT64_C(0xcbf29ce484222325);
    size_t size;
    uint8_t *rgb;

    cr_assert(png_image_begin_read_from_file(&png, path), "%s: %s", path, png.message);
    cr_assert(eq(u32, png.width, 256));
    cr_assert(eq(u32, png.height, 256));
    png.format = PNG_FORMAT_RGB;
    size = PNG_IMAGE_SIZE(png);
    rgb = malloc(size);
    cr_assert(png_image_finish_read(&png, NULL, rgb, 0, NULL), "%s: %s", path, png.message);
    for (size_t i = 0; i < size; i++)
        sum = (sum ^ rgb[i]) * UINT64_C(0x100000001b3);
    free(rgb);
    return sum;
}

static void check_image(enum t_way way)
{
    struct t_result result = t_job(way, "atlas --pixels 256 a.png");

    cr_assert(eq(int, result.status, 0), "%s", result.err);
    cr_assert(eq(str, result.out, "a.png: 64 tiles, 256 x 256 pixels\n"));
    cr_assert(eq(u64, checksum("a.png"), CHECKSUM_256));
}

Test(atlas, makes_the_same_image_as_ever_without_a_launcher)
{
    check_image(T_ALONE);
}

Test(atlas, makes_the_same_image_as_ever_under_mpirun)
{
    check_image(T_MPIRUN);
}

Test(atlas, makes_the_same_image_as_ever_in_executor_processes)
{
    check_image(T_ALONE_ISOLATED);
}

Test(atlas, makes_the_same_image_as_ever_in_executor_processes_under_mpirun)
{
    check_image(T_MPIRUN_ISOLATED);
}

Test(atlas, shows_how_far_it_is)
{
    struct t_result result = t_job(T_MPIRUN, "atlas --pixels 64 a.png");

    cr_assert(eq(int, t_count_lines(result.err, "atlas: "), 4), "%s", result.err);
    cr_assert(t_has(result.err, "atlas: 16 of 64 tiles, 2 workers, "), "%s", result.err);
    cr_assert(t_has(result.err, "atlas: 64 of 64 tiles, 2 workers, "), "%s", result.err);
}

Test(atlas, says_before_the_work_that_the_image_has_no_place)
{
    struct t_result result = t_job(T_ALONE, "atlas no/such/dir/a.png");

    cr_assert(eq(int, result.status, 1));
    cr_assert(eq(str, result.err, "atlas: no/such/dir/a.png: No such file or directory\n"));
}

Test(atlas, says_that_the_image_cannot_be_written)
{
    struct t_result result = t_job(T_ALONE, "atlas --pixels 8 /dev/full");

    cr_assert(eq(int, result.status, 1));
    cr_assert(t_has(result.err, "atlas: /dev/full: No space left on device\n"), "%s", result.err);
}

Test(atlas, refuses_bad_usage)
{
    t_assert_refused(T_ALONE, "atlas", "", "usage: atlas [--pixels N] FILE.png");
    t_assert_refused(T_ALONE, "atlas", "--pixels 100 a.png", "N a multiple of 8");
    t_assert_refused(T_ALONE, "atlas", "--pixels 8x a.png", "N a multiple of 8");
    t_assert_refused(T_MPIRUN, "atlas", "a.png b.png", "usage: atlas");
}
