/* The program of the header's comment, as somebody would build it against what is installed. */
#include <mpifarm/mpifarm.h>

#include <stdio.h>

static int square_fn(struct mpifarm_context *context, void *user)
{
    const int *x = mpifarm_input(context, NULL);
    int y = *x * *x;

    return mpifarm_write(context, &y, sizeof(y));
}

int main(int argc, char **argv)
{
    struct mpifarm *farm;
    int square, x = 12;

    if (mpifarm_init(&argc, &argv, NULL, &farm) < 0)
        return 1;
    square = mpifarm_register(farm, "square", square_fn, NULL);
    if (mpifarm_start(farm) == MPIFARM_CLIENT) {
        mpifarm_future future;
        struct mpifarm_result result;

        mpifarm_submit(farm, square, &x, sizeof(x), NULL, &future);
        mpifarm_wait(farm, future, MPIFARM_FOREVER);
        mpifarm_result(farm, future, &result);
        printf("%d squared is %d\n", x, *(const int *)result.data);
        mpifarm_release(farm, future);
    }
    return mpifarm_finish(farm) < 0;
}
