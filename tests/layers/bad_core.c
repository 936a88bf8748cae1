/* What a core must not do: check_layers.py has to notice each of these calls. */
#include <pthread.h>
#include <time.h>
#include <unistd.h>

void *bad_core(void *arg);

void *bad_core(void *arg)
{
    struct timespec now;
    pthread_t thread;

    if (clock_gettime(CLOCK_MONOTONIC, &now) < 0 || write(1, "", 0) < 0 ||
        pthread_create(&thread, NULL, bad_core, NULL) != 0)
        return NULL;
    return arg;
}
