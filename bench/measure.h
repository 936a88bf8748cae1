/*
 * What the benchmark programs share: settings from the command line, a task
 * that takes time, percentiles, and memory of the process.
 */
#ifndef MF_BENCH_MEASURE_H
#define MF_BENCH_MEASURE_H

#include <stddef.h>
#include <stdint.h>

/**
 * One setting of a program, given as name=value.
 *
 * @value  its default, and then what was given
 * @words  NULL for a number; else words with a space between, and the value is
 *         which of them was given, from 0
 */
struct mf_measure_setting {
    const char *name;
    int64_t *value;
    const char *words;
};

/** Reads name=value arguments; settings end with a NULL name. Anything else ends the program with
 * usage. */
void mf_measure_settings(int argc, char **argv, const struct mf_measure_setting *settings);

/** Keeps the processor busy for a time in ns; 0 or less is none. */
void mf_measure_spin(int64_t duration_ns);

/** The value below which a share of n lies, 0.5 for the median; sorts them. n is at least 1. */
double mf_measure_percentile(double *values, size_t n, double share);

/** Memory of this process that is resident now, and at most so far, in bytes. */
int64_t mf_measure_resident_bytes(void);
int64_t mf_measure_peak_bytes(void);

#endif
