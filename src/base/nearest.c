/* The name a user most likely meant: see units.h. Owns nothing; any thread may call it. */
#include "base/units.h"

#include <string.h>

/* Longer names are no options or keys, and no near miss is looked for. */
#define MAX_NAME 64

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/*
 * Optimal string alignment: Damerau-Levenshtein without edits inside a swapped
 * pair, which is all that a slip of the fingers needs. Three rows of the
 * matrix are kept; both texts are MAX_NAME characters at most.
 */
static size_t distance(const char *a, size_t a_size, const char *b, size_t b_size)
{
    size_t rows[3][MAX_NAME + 1];
    size_t *before = rows[0], *above = rows[1], *row = rows[2], *oldest;

    for (size_t j = 0; j <= b_size; j++)
        above[j] = j;
    for (size_t i = 1; i <= a_size; i++) {
        row[0] = i;
        for (size_t j = 1; j <= b_size; j++) {
            size_t replaced = above[j - 1] + (a[i - 1] != b[j - 1]);

            row[j] = least(replaced, least(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least(row[j], before[j - 2] + 1);
        }
        oldest = before;
        before = above;
        above = row;
        row = oldest;
    }
    return above[b_size];
}

const char *mf_nearest(const char *text, const char *const *names, size_t n_names)
{
    size_t text_size = strnlen(text, MAX_NAME + 1);
    size_t best_distance = SIZE_MAX;
    const char *best = NULL;

    if (text_size > MAX_NAME)
        return NULL;
    for (size_t i = 0; i < n_names; i++) {
        size_t size, d;

        if (!names[i] || (size = strnlen(names[i], MAX_NAME + 1)) > MAX_NAME)
            continue;
        d = distance(text, text_size, names[i], size);
        /* Of equals the first wins. A third of the longer one, so that "me" still finds "mem". */
        if (d < best_distance && d * 3 <= (size > text_size ? size : text_size)) {
            best_distance = d;
            best = names[i];
        }
    }
    return best;
}
