/* The frame of a benchmark program on libmpifarm; see client.h. */
#include "client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void mf_client_fail(const char *sentence)
{
    fprintf(stderr, "bench: %s\n", sentence);
    exit(1);
}

void *mf_client_allocate(size_t n, size_t size)
{
    void *memory = calloc(n ? n : 1, size ? size : 1);

    if (!memory)
        mf_client_fail("out of memory");
    return memory;
}

int mf_client_check(const struct mpifarm *farm, const char *call, int r)
{
    if (r < 0) {
        fprintf(stderr, "bench: %s: %s (%s)\n", call, mpifarm_error_text(farm), strerror(-r));
        exit(1);
    }
    return r;
}

int mf_client_run(const struct mpifarm_options *options, mpifarm_function function,
                  mf_client_function client)
{
    struct mpifarm *farm;
    int number;

    /* Init has said why. */
    if (mpifarm_init(NULL, NULL, options, &farm) < 0)
        return 1;
    number =
        mf_client_check(farm, "mpifarm_register", mpifarm_register(farm, "bench", function, NULL));
    if (mf_client_check(farm, "mpifarm_start", mpifarm_start(farm)) == MPIFARM_CLIENT)
        client(farm, number);
    return mpifarm_finish(farm) < 0;
}
