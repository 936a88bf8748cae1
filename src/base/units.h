/* Durations, sizes and counts as people write them. */
#ifndef MF_BASE_UNITS_H
#define MF_BASE_UNITS_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

/**
 * mf_parse_duration() - "90", "1.5s", "10m", "2h", "1d", "1h30m", "250ms", "50us" or "01:30:00" to
 * ns.
 *
 * A number that stands alone is in seconds; units go from large to small; what
 * is below a nanosecond is dropped. Negative, empty, or over 2^63-1 ns is
 * refused with a sentence that names the text.
 *
 * Returns 0, -EINVAL or -ERANGE.
 */
int mf_parse_duration(const char *text, int64_t *ret_ns, struct mf_error *err);

/**
 * mf_parse_size() - "4096", "64K", "1.5G", "2TiB" to bytes.
 *
 * K, KB and KiB all are 1024, in either case; part of a byte is dropped.
 *
 * Returns 0, -EINVAL or -ERANGE.
 */
int mf_parse_size(const char *text, uint64_t *ret_bytes, struct mf_error *err);

/** A decimal integer in min..max and nothing else. Returns 0, -EINVAL or -ERANGE. */
int mf_parse_integer(const char *text, int64_t min, int64_t max, int64_t *ret_value,
                     struct mf_error *err);

/**
 * mf_parse_decimal() - "12", "0.5" or "1.5e-3" and nothing else: no sign, no hexadecimal number, no
 * "inf" or "nan". Text that goes on with n_behind characters more is read up to there.
 *
 * Returns 0, or -EINVAL if it is none, or too large for a double; no sentence, as only the
 * caller knows what was to be written there.
 */
int mf_parse_decimal(const char *text, size_t n_behind, double *ret_value);

/** Writes "120 us", "850 ms", "12.3 s", "4m05s", "3h12m", "2d04h" into text; returns text. */
char *mf_format_duration(int64_t ns, char *text, size_t size);

/** Writes "0 B", "850 B", "1.2 KiB", "64.0 MiB", "8.0 GiB", "1.5 TiB" into text; returns text. */
char *mf_format_size(uint64_t bytes, char *text, size_t size);

/**
 * mf_nearest() - the name a user most likely meant.
 *
 * @names  n_names candidates; NULL entries are passed over
 *
 * Returns the candidate with the smallest Damerau-Levenshtein distance (optimal
 * string alignment) to text, the first of equals, or NULL when none is near:
 * when more than a third of the letters of the longer one differ.
 */
const char *mf_nearest(const char *text, const char *const *names, size_t n_names);

#endif
