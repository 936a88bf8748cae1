/*
 * An atlas of one spot of the Mandelbrot set, rendered tile by tile.
 *
 *     atlas list DIR           a task file that renders every tile into DIR
 *     atlas tile COLUMN ROW FILE   one tile as a binary PPM
 *     atlas stitch DIR FILE    all tiles of DIR as one PNG
 *
 * Colours are smooth: they follow the fractional escape time, and each pixel is
 * the mean of four points. The same tile has the same bytes wherever it is
 * rendered on machines with the same arithmetic.
 */
#include <errno.h>
#include <math.h>
#include <png.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TILES 8 /* in a row, and in a column */
#define TILE_PIXELS 256
#define IMAGE_PIXELS (TILES * TILE_PIXELS)
#define SAMPLES 2 /* in each direction of a pixel */
#define MAX_ITERATIONS 2000
#define ESCAPE_RADIUS 64.0

/* A copy of the whole set among the spirals of the valley of sea horses. */
#define CENTRE_X -0.743643887037151
#define CENTRE_Y 0.131825904205330
#define WIDTH 0.000051299

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

static void render_pixel(int column, int row, uint8_t rgb[3])
{
    struct colour sum = {0};
    const double points = SAMPLES * SAMPLES, step = WIDTH / IMAGE_PIXELS;

    for (int i = 0; i < SAMPLES * SAMPLES; i++) {
        double dx = (i % SAMPLES + 0.5) / SAMPLES, dy = (double)(i / SAMPLES + 0.5) / SAMPLES;
        struct colour colour = colour_of(escape_time(CENTRE_X + (column + dx) * step - WIDTH / 2,
                                                     CENTRE_Y - (row + dy) * step + WIDTH / 2));

        sum.red += colour.red;
        sum.green += colour.green;
        sum.blue += colour.blue;
    }
    rgb[0] = byte_of(sum.red / points);
    rgb[1] = byte_of(sum.green / points);
    rgb[2] = byte_of(sum.blue / points);
}

static bool parse_index(const char *text, int *ret_index)
{
    char *end;
    long value = strtol(text, &end, 10);

    *ret_index = (int)value;
    return end != text && *end == '\0' && value >= 0 && value < TILES;
}

static int render_tile(const char *column_text, const char *row_text, const char *path)
{
    int column, row;
    FILE *file;

    if (!parse_index(column_text, &column) || !parse_index(row_text, &row))
        return fail("column and row are 0 to %d", TILES - 1);
    file = fopen(path, "wb");
    if (!file)
        return fail("%s: %s", path, strerror(errno));

    fprintf(file, "P6\n%d %d\n255\n", TILE_PIXELS, TILE_PIXELS);
    for (int y = 0; y < TILE_PIXELS; y++)
        for (int x = 0; x < TILE_PIXELS; x++) {
            uint8_t rgb[3];

            render_pixel(column * TILE_PIXELS + x, row * TILE_PIXELS + y, rgb);
            fwrite(rgb, sizeof(rgb), 1, file);
        }
    if (ferror(file) | fclose(file))
        return fail("%s: %s", path, strerror(errno));
    printf("%s: column %d, row %d\n", path, column, row);
    return 0;
}

/* A word that sh takes as it is. */
static void print_quoted(const char *word)
{
    putchar('\'');
    for (; *word; word++)
        fputs(*word == '\'' ? "'\\''" : (char[]){*word, '\0'}, stdout);
    putchar('\'');
}

static int list_tiles(const char *program, const char *dir)
{
    for (int row = 0; row < TILES; row++)
        for (int column = 0; column < TILES; column++) {
            printf("[id=tile-%d-%d retries=2] ", column, row);
            print_quoted(program);
            printf(" tile %d %d ", column, row);
            print_quoted(dir);
            printf("/tile-%d-%d.ppm\n", column, row);
        }
    return 0;
}

/* Copies a tile to its place in the image. */
static int read_tile(const char *dir, int column, int row, uint8_t *image)
{
    char path[4096];
    int width, height, bright;
    bool is_whole;
    FILE *file;

    snprintf(path, sizeof(path), "%s/tile-%d-%d.ppm", dir, column, row);
    file = fopen(path, "rb");
    if (!file)
        return fail("%s: %s", path, strerror(errno));
    is_whole = fscanf(file, "P6 %d %d %d", &width, &height, &bright) == 3 && fgetc(file) == '\n' &&
               width == TILE_PIXELS && height == TILE_PIXELS && bright == 255;
    for (size_t y = 0; is_whole && y < TILE_PIXELS; y++) {
        size_t pixel =
            ((size_t)row * TILE_PIXELS + y) * IMAGE_PIXELS + (size_t)column * TILE_PIXELS;

        is_whole = fread(image + 3 * pixel, 3, TILE_PIXELS, file) == TILE_PIXELS;
    }
    fclose(file);
    return is_whole ? 0 : fail("%s: not a whole tile", path);
}

static int stitch(const char *dir, const char *path)
{
    png_image png = {
        .version = PNG_IMAGE_VERSION,
        .width = IMAGE_PIXELS,
        .height = IMAGE_PIXELS,
        .format = PNG_FORMAT_RGB,
    };
    uint8_t *image = calloc((size_t)IMAGE_PIXELS * IMAGE_PIXELS, 3);
    int status = image ? 0 : fail("out of memory");

    for (int i = 0; status == 0 && i < TILES * TILES; i++)
        status = read_tile(dir, i % TILES, i / TILES, image);
    if (status == 0 && !png_image_write_to_file(&png, path, 0, image, 0, NULL))
        status = fail("%s: %s", path, png.message);
    free(image);
    if (status == 0)
        printf("%s: %d tiles, %d x %d pixels\n", path, TILES * TILES, IMAGE_PIXELS, IMAGE_PIXELS);
    return status;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "list") == 0)
        return list_tiles(argv[0], argv[2]);
    if (argc == 5 && strcmp(argv[1], "tile") == 0)
        return render_tile(argv[2], argv[3], argv[4]);
    if (argc == 4 && strcmp(argv[1], "stitch") == 0)
        return stitch(argv[2], argv[3]);
    return fail("usage: atlas list DIR | tile COLUMN ROW FILE | stitch DIR FILE") + 1;
}
