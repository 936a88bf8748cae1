/* Counts and rates as people read them. */
#ifndef MF_REPORT_COUNT_H
#define MF_REPORT_COUNT_H

#include <stddef.h>
#include <stdint.h>

/** Enough for any count and rate. */
#define MF_COUNT_SIZE 32

/** "1,234,567" into text; returns text. */
char *mf_count_format(uint64_t count, char text[MF_COUNT_SIZE]);

/** "512/s", "3.4/s", "12.0/min": a rate per second into text; returns text. */
char *mf_rate_format(double per_s, char text[MF_COUNT_SIZE]);

#endif
