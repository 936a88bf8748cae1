/*
 * An atlas of one spot of the Mandelbrot set, rendered tile by tile.
 *
 *     atlas [--pixels N] FILE.png
 *
 * A task renders one tile. The points that the pixels stand for are the same
 * for all tiles: rank 0 works them out and broadcasts them. It puts the tiles
 * together in the order in which they come, and writes the image.
 *
 * Colours are smooth: they follow the fractional escape time, and each pixel is
 * the mean of four points. The same tile has the same bytes wherever it is
 * rendered on machines with the same arithmetic.
 */
#include <mpifarm/mpifarm.h>

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <png.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TILES 8   /* in a row, and in a column */
#define SAMPLES 2 /* in each direction of a pixel */
#define MAX_ITERATIONS 2000
#define ESCAPE_RADIUS 64.0

/* A copy of the whole set among the spirals of the valley of sea horses. */
#define CENTRE_X -0.743643887037151
#define CENTRE_Y 0.131825904205330
#define WIDTH 0.000051299

#define MAX_PIXELS 16384
#define USAGE "usage: atlas [--pixels N] FILE.png, N a multiple of 8 up to 16384"

/** Input of a task. @pixels  the sides of the image; @points  the block of them */
struct tile {
    uint32_t column, row, pixels;
    mpifarm_block points;
};

struct colour {
    double red, green, blue;
};

static int fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

static int fail(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fputs("atlas: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    return 1;
}

/* --- on the workers --- */

/* The fractional number of steps after which a point escapes; below 0 if it does not. */
static double escape_time(double x, double y)
{
    double re = 0, im = 0;

    for (int i = 0; i < MAX_ITERATIONS; i++) {
        double re2 = re * re, im2 = im * im;

        if (re2 + im2 > ESCAPE_RADIUS * ESCAPE_RADIUS)
            return i + 1 - log2(log(re2 + im2) / 2 / log(ESCAPE_RADIUS));
        im = 2 * re * im + y;
        re = re2 - im2 + x;
    }
    return -1;
}

/* Colours run in waves of different length, so that they never repeat exactly. */
static struct colour colour_of(double steps)
{
    double phase = 0.6 * sqrt(steps > 0 ? steps : 0);

    if (steps < 0)
        return (struct colour){0.01, 0.01, 0.03};
    return (struct colour){
        .red = 0.5 + 0.5 * sin(phase + 3.9),
        .green = 0.45 + 0.45 * sin(phase + 4.6),
        .blue = 0.5 + 0.5 * sin(phase * 0.93 + 5.5),
    };
}

static uint8_t byte_of(double light)
{
    return (uint8_t)(255 * fmin(fmax(light, 0), 1) + 0.5);
}

/* @x, @y  the points of this pixel, SAMPLES of each */
static void render_pixel(const double *x, const double *y, uint8_t rgb[3])
{
    const double points = SAMPLES * SAMPLES;
    struct colour sum = {0};

    for (int i = 0; i < SAMPLES * SAMPLES; i++) {
        struct colour colour = colour_of(escape_time(x[i % SAMPLES], y[i / SAMPLES]));

        sum.red += colour.red;
        sum.green += colour.green;
        sum.blue += colour.blue;
    }
    rgb[0] = byte_of(sum.red / points);
    rgb[1] = byte_of(sum.green / points);
    rgb[2] = byte_of(sum.blue / points);
}

/* The task function. The result is the pixels, row by row. */
static int render_tile(struct mpifarm_context *context, void *user)
{
    const struct tile *tile = mpifarm_input(context, NULL);
    const double *x = mpifarm_block_data(context, tile->points, NULL);
    uint32_t side = tile->pixels / TILES;
    uint8_t *rgb = mpifarm_reserve(context, (size_t)3 * side * side);
    const double *y;

    if (!x || !rgb)
        return mpifarm_fail(context, 1, x ? "out of memory" : "the points are not there");
    y = x + (size_t)SAMPLES * (tile->pixels + tile->row * side);
    x += (size_t)SAMPLES * tile->column * side;
    for (uint32_t row = 0; row < side; row++) {
        if (mpifarm_should_stop(context))
            return mpifarm_fail(context, 1, "it was asked to stop");
        for (uint32_t column = 0; column < side; column++, rgb += 3)
            render_pixel(x + (size_t)SAMPLES * column, y + (size_t)SAMPLES * row, rgb);
    }
    return 0;
}

/* --- on rank 0 --- */

/* All x of the image from left to right, then all y from top to bottom. */
static int broadcast_points(struct mpifarm *farm, uint32_t pixels, mpifarm_block *ret_points)
{
    size_t n = (size_t)SAMPLES * pixels;
    double *points = calloc(2 * n, sizeof(*points));
    double step = WIDTH / pixels;
    int r;

    if (!points)
        return fail("out of memory");
    for (size_t i = 0; i < n; i++) {
        double at = (double)(i / SAMPLES) + (double)(i % SAMPLES + 0.5) / SAMPLES;

        points[i] = CENTRE_X + at * step - WIDTH / 2;
        points[n + i] = CENTRE_Y - at * step + WIDTH / 2;
    }
    r = mpifarm_broadcast(farm, points, 2 * n * sizeof(*points), ret_points);
    free(points);
    return r < 0 ? fail("%s", mpifarm_error_text(farm)) : 0;
}

static int submit_tiles(struct mpifarm *farm, int function, uint32_t pixels)
{
    struct mpifarm_task_options options = {.delivery = MPIFARM_DELIVER_QUEUE};
    struct tile tiles[TILES * TILES];
    mpifarm_block points;

    if (broadcast_points(farm, pixels, &points) != 0)
        return 1;
    for (uint32_t i = 0; i < TILES * TILES; i++)
        tiles[i] = (struct tile){i % TILES, i / TILES, pixels, points};
    /* The tag of each is its number. */
    if (mpifarm_submit_array(farm, function, tiles, sizeof(*tiles), TILES * TILES, &options, NULL) <
        0)
        return fail("%s", mpifarm_error_text(farm));
    return 0;
}

static void place_tile(const struct mpifarm_result *result, uint32_t pixels, uint8_t *image)
{
    size_t side = pixels / TILES, column = result->tag % TILES, row = result->tag / TILES;
    const uint8_t *rgb = result->data;

    for (size_t y = 0; y < side; y++)
        memcpy(image + 3 * ((row * side + y) * pixels + column * side), rgb + 3 * y * side,
               3 * side);
}

/* Waits for the next tile that is done, whichever it is, and puts it in its place. */
static int take_tile(struct mpifarm *farm, uint32_t pixels, uint8_t *image)
{
    struct mpifarm_result result;
    mpifarm_future future;

    if (mpifarm_next(farm, MPIFARM_FOREVER, &future) < 0 ||
        mpifarm_result(farm, future, &result) < 0)
        return fail("%s", mpifarm_error_text(farm));
    if (result.status != MPIFARM_DONE)
        return fail("tile %llu: %s", (unsigned long long)result.tag, result.message);
    place_tile(&result, pixels, image);
    mpifarm_release(farm, future);
    return 0;
}

static void show_progress(const struct mpifarm *farm, uint32_t n_taken)
{
    struct mpifarm_counts counts;

    if (mpifarm_count(farm, &counts) == 0)
        fprintf(stderr, "atlas: %u of %llu tiles, %u %s, %.1f s of work\n", n_taken,
                (unsigned long long)counts.n_submitted, counts.n_workers,
                counts.n_workers == 1 ? "worker" : "workers", (double)counts.busy_ns / 1e9);
}

/* @image  room for the pixels, three bytes each */
static int render(struct mpifarm *farm, int function, uint32_t pixels, uint8_t *image)
{
    int status = submit_tiles(farm, function, pixels);

    for (uint32_t n = 1; status == 0 && n <= TILES * TILES; n++) {
        status = take_tile(farm, pixels, image);
        if (status == 0 && n % (TILES * TILES / 4) == 0)
            show_progress(farm, n);
    }
    return status;
}

static int write_image(FILE *file, const char *path, uint32_t pixels, const uint8_t *image)
{
    png_image png = {
        .version = PNG_IMAGE_VERSION,
        .width = pixels,
        .height = pixels,
        .format = PNG_FORMAT_RGB,
    };

    if (!png_image_write_to_stdio(&png, file, 0, image, 0, NULL))
        return fail("%s: %s", path, png.message);
    if (fflush(file) != 0)
        return fail("%s: %s", path, strerror(errno));
    printf("%s: %d tiles, %u x %u pixels\n", path, TILES * TILES, pixels, pixels);
    return 0;
}

/** What the command line says. */
struct settings {
    uint32_t pixels;
    const char *path;
};

static int run(struct mpifarm *farm, int function, const struct settings *settings)
{
    uint32_t pixels = settings->pixels;
    uint8_t *image = calloc((size_t)pixels * pixels, 3);
    /* Before the work, which would be in vain if there is no place for the image. */
    FILE *file = fopen(settings->path, "wb");
    int status = 0;

    if (!file)
        status = fail("%s: %s", settings->path, strerror(errno));
    else if (!image)
        status = fail("out of memory");
    if (status == 0)
        status = render(farm, function, pixels, image);
    if (status == 0)
        status = write_image(file, settings->path, pixels, image);
    if (file)
        fclose(file);
    free(image);
    return status;
}

/* Returns NULL, or what is wrong. */
static const char *read_options(int argc, char **argv, struct settings *settings)
{
    static const struct option options[] = {{"pixels", required_argument, NULL, 'p'}, {0}};
    int option;

    opterr = 0;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        char *end;
        long value = option == 'p' ? strtol(optarg, &end, 10) : 0;

        if (value < TILES || value > MAX_PIXELS || value % TILES != 0 || *end)
            return USAGE;
        settings->pixels = (uint32_t)value;
    }
    if (optind + 1 != argc)
        return USAGE;
    settings->path = argv[optind];
    return NULL;
}

int main(int argc, char **argv)
{
    struct settings settings = {.pixels = 2048};
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
    function = mpifarm_register(farm, "render tile", render_tile, NULL);
    r = function < 0 ? function : mpifarm_start(farm);
    if (r < 0)
        status = fail("%s", mpifarm_error_text(farm));
    else if (r == MPIFARM_CLIENT)
        status = run(farm, function, &settings);
    if (mpifarm_finish(farm) < 0)
        status = 1;
    return status;
}
