/* A row of the Mandelbrot set as text: the function of tasks.farm. */
#include <mpifarm/mpifarm.h>

#include <complex.h>
#include <stdio.h>
#include <string.h>

#define WIDTH 78
#define MAX_STEPS 2000

static const char shades[] = " .:-=+*#%";

MPIFARM_API int render(struct mpifarm_context *context, void *user);

static int count_steps(double complex c)
{
    double complex z = 0;
    int n = 0;

    while (n < MAX_STEPS && creal(z) * creal(z) + cimag(z) * cimag(z) < 4) {
        z = z * z + c;
        n++;
    }
    return n;
}

/* The input is "ROW ROWS". */
int render(struct mpifarm_context *context, void *user)
{
    char text[32] = "", line[WIDTH + 1];
    size_t size;
    const char *input = mpifarm_input(context, &size);
    int row, n_rows;

    if (size > 0 && size < sizeof(text))
        memcpy(text, input, size);
    if (sscanf(text, "%d %d", &row, &n_rows) != 2 || row < 1 || row > n_rows)
        return mpifarm_fail(context, 1, "\"%.*s\" is not a row and the number of rows", (int)size,
                            input);
    for (int x = 0; x < WIDTH; x++) {
        double complex c = -2.2 + 3.2 * x / (WIDTH - 1) + 1.2 * (2 * row - 1 - n_rows) / n_rows * I;
        int n = count_steps(c);

        line[x] = n == MAX_STEPS ? '@' : shades[n % (int)(sizeof(shades) - 1)];
    }
    line[WIDTH] = '\n';
    return mpifarm_write(context, line, sizeof(line));
}
