/* The frame of a benchmark program on libmpifarm: one function, and a client that uses it. */
#ifndef MF_BENCH_CLIENT_H
#define MF_BENCH_CLIENT_H

#include <mpifarm/mpifarm.h>

#include <stddef.h>

/** What rank 0 does between start and finish; `function` is the number of the function. */
typedef void (*mf_client_function)(struct mpifarm *farm, int function);

/**
 * mf_client_run() - a whole farm, from init to finish, on every rank.
 *
 * @options   for mpifarm_init(), may be NULL
 * @function  the one function of the farm
 * @client    called on rank 0
 *
 * Returns the exit status of the program.
 */
int mf_client_run(const struct mpifarm_options *options, mpifarm_function function,
                  mf_client_function client);

/** Ends the program with the farm's message if r, which the named call returned, is an error; else
 * r. */
int mf_client_check(const struct mpifarm *farm, const char *call, int r);

/** Memory for n times size bytes, zeroed, the caller's; without it the program ends. */
void *mf_client_allocate(size_t n, size_t size);

/** Ends the program with a sentence. */
void mf_client_fail(const char *sentence);

#endif
