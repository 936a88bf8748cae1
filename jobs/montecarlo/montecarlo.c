/*
 * Integration to a requested error.
 *
 *     montecarlo [--error E] [--dimensions N] [--samples N] [--batches N] [--seed N]
 *
 * The mean of exp(-sum of (2 x - 1)^2) over the unit cube, which is known, is
 * estimated from random points. A task is a batch of points; all batches that
 * may be needed are submitted at once, and when the standard error is small
 * enough the rest is cancelled.
 *
 * The points of a batch depend on its number alone, and batches are counted in
 * the order of their numbers, so that the estimate is the same to the last bit
 * on any number of ranks.
 */
#include <mpifarm/mpifarm.h>

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* All batches are one group, to be cancelled together. */
#define BATCHES 1

/* A standard error of fewer batches may be small by chance. */
#define MIN_BATCHES 8

/* Estimates are further off than this once in 1.7 million runs. */
#define MAX_ERRORS_OFF 5

#define USAGE                                                                                      \
    "usage: montecarlo [--error E] [--dimensions N] [--samples N] [--batches N] [--seed N]"

/** @error  that is asked for; @samples  of a batch; @batches  at most */
struct settings {
    double error;
    uint32_t dimensions, samples, batches, seed;
};

/** Of n values: their mean, and the sum of squares of their distances from it. */
struct moments {
    uint64_t n;
    double mean, squares;
};

static int fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

static int fail(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fputs("montecarlo: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    return 1;
}

/* --- mathematics --- */

/*
 * Philox4x32-10 (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as
 * easy as 1, 2, 3", 2011): four random words that are a function of counter and key.
 */
static void philox(const uint32_t counter[4], const uint32_t key[2], uint32_t ret_words[4])
{
    uint32_t a = counter[0], b = counter[1], c = counter[2], d = counter[3];
    uint32_t key0 = key[0], key1 = key[1];

    for (int round = 0; round < 10; round++) {
        uint64_t p = UINT64_C(0xd2511f53) * a, q = UINT64_C(0xcd9e8d57) * c;

        a = (uint32_t)(q >> 32) ^ b ^ key0;
        b = (uint32_t)q;
        c = (uint32_t)(p >> 32) ^ d ^ key1;
        d = (uint32_t)p;
        key0 += 0x9e3779b9;
        key1 += 0xbb67ae85;
    }
    memcpy(ret_words, (uint32_t[]){a, b, c, d}, 4 * sizeof(*ret_words));
}

/* The integrand at the point of that number. */
static double value_at(uint32_t point, uint32_t dimensions, const uint32_t key[2])
{
    uint32_t words[4];
    double sum = 0;

    for (uint32_t i = 0; i < dimensions; i++) {
        double x;

        if (i % 4 == 0)
            philox((uint32_t[]){point, i / 4, 0, 0}, key, words);
        x = (words[i % 4] + 0.5) * 0x1.0p-32;
        sum += (2 * x - 1) * (2 * x - 1);
    }
    return exp(-sum);
}

static double known_value(uint32_t dimensions)
{
    return pow(sqrt(acos(-1)) / 2 * erf(1), dimensions);
}

static void add_value(struct moments *moments, double value)
{
    double from_mean = value - moments->mean;

    moments->n++;
    moments->mean += from_mean / (double)moments->n;
    moments->squares += from_mean * (value - moments->mean);
}

/* Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm ...", 1979. */
static void add_moments(struct moments *moments, const struct moments *other)
{
    double n = (double)moments->n, m = (double)other->n;
    double apart = other->mean - moments->mean;

    moments->n += other->n;
    moments->mean += apart * m / (n + m);
    moments->squares += other->squares + apart * apart * n * m / (n + m);
}

static double standard_error(const struct moments *moments)
{
    double n = (double)moments->n;

    return n > 1 ? sqrt(moments->squares / (n - 1) / n) : INFINITY;
}

/* --- on the workers --- */

/* The task function: the batch whose number is the task's tag. */
static int integrate(struct mpifarm_context *context, void *user)
{
    const struct settings *settings = user;
    const uint32_t key[2] = {(uint32_t)mpifarm_task_tag(context), settings->seed};
    struct moments moments = {0};

    for (uint32_t i = 0; i < settings->samples; i++) {
        if (i % 4096 == 0 && mpifarm_should_stop(context))
            return mpifarm_fail(context, 1, "it was asked to stop");
        add_value(&moments, value_at(i, settings->dimensions, key));
    }
    return mpifarm_write(context, &moments, sizeof(moments));
}

/* --- on rank 0 --- */

/* Waits for the next batch that ends, whichever it is, and puts it in its place. */
static int take_batch(struct mpifarm *farm, struct moments *batches)
{
    struct mpifarm_result result;
    mpifarm_future future;

    if (mpifarm_next(farm, MPIFARM_FOREVER, &future) < 0 ||
        mpifarm_result(farm, future, &result) < 0)
        return fail("%s", mpifarm_error_text(farm));
    if (result.status != MPIFARM_DONE)
        return fail("batch %llu: %s", (unsigned long long)result.tag, result.message);
    memcpy(&batches[result.tag], result.data, sizeof(*batches));
    mpifarm_release(farm, future);
    return 0;
}

static int report(const struct settings *settings, const struct moments *moments, uint32_t n_used,
                  int n_cancelled)
{
    double known = known_value(settings->dimensions), error = standard_error(moments);
    double errors_off = fabs(moments->mean - known) / error;

    printf("estimate  %.12g\n", moments->mean);
    printf("error     %.3g\n", error);
    printf("known     %.12g, %.1f standard errors away\n", known, errors_off);
    printf("batches   %u used, %u done and not needed, %d cancelled\n", n_used,
           settings->batches - n_used - (uint32_t)n_cancelled, n_cancelled);
    if (error > settings->error)
        return fail("%u batches are too few for an error of %g: raise --batches", n_used,
                    settings->error);
    if (errors_off > MAX_ERRORS_OFF)
        return fail("the estimate is wrong: more than %d standard errors away", MAX_ERRORS_OFF);
    return 0;
}

/* @batches  room for all, with n 0 until they are done */
static int estimate(struct mpifarm *farm, int function, const struct settings *settings,
                    struct moments *batches)
{
    struct mpifarm_task_options options = {.group = BATCHES, .delivery = MPIFARM_DELIVER_QUEUE};
    struct moments moments = {0};
    uint32_t n_used = 0;
    int n_cancelled;

    if (mpifarm_submit_array(farm, function, NULL, 0, settings->batches, &options, NULL) < 0)
        return fail("%s", mpifarm_error_text(farm));
    while (n_used < settings->batches &&
           (n_used < MIN_BATCHES || standard_error(&moments) > settings->error)) {
        if (batches[n_used].n > 0)
            add_moments(&moments, &batches[n_used++]);
        else if (take_batch(farm, batches) != 0)
            return 1;
    }
    n_cancelled = mpifarm_cancel_group(farm, BATCHES);
    if (n_cancelled < 0)
        return fail("%s", mpifarm_error_text(farm));
    return report(settings, &moments, n_used, n_cancelled);
}

static int run(struct mpifarm *farm, int function, const struct settings *settings)
{
    struct moments *batches = calloc(settings->batches, sizeof(*batches));
    int status;

    if (!batches)
        return fail("there is no memory for %u batches", settings->batches);
    status = estimate(farm, function, settings, batches);
    free(batches);
    return status;
}

/* --- options --- */

static bool parse_count(const char *text, uint32_t min, uint32_t *ret_count)
{
    char *end;
    unsigned long long value;

    errno = 0;
    value = strtoull(text, &end, 10);
    *ret_count = (uint32_t)value;
    return text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0 && value >= min &&
           value <= 1000000000;
}

static bool parse_error(const char *text, double *ret_error)
{
    char *end;

    *ret_error = strtod(text, &end);
    return end != text && *end == '\0' && isfinite(*ret_error) && *ret_error > 0;
}

/* Returns NULL, or what is wrong. */
static const char *read_options(int argc, char **argv, struct settings *settings)
{
    static const struct option options[] = {
        {"error", required_argument, NULL, 'e'},   {"dimensions", required_argument, NULL, 'd'},
        {"samples", required_argument, NULL, 's'}, {"batches", required_argument, NULL, 'b'},
        {"seed", required_argument, NULL, 'r'},    {0},
    };
    int option;

    opterr = 0;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'e' && !parse_error(optarg, &settings->error))
            return "--error takes a number above 0, such as 1e-4";
        if (option == 'd' && !parse_count(optarg, 1, &settings->dimensions))
            return "--dimensions takes a number from 1";
        if (option == 's' && !parse_count(optarg, 1, &settings->samples))
            return "--samples takes a number from 1 to 1,000,000,000";
        if (option == 'b' && !parse_count(optarg, MIN_BATCHES, &settings->batches))
            return "--batches takes a number from 8 to 1,000,000,000";
        if (option == 'r' && !parse_count(optarg, 0, &settings->seed))
            return "--seed takes a number up to 1,000,000,000";
        if (option == '?')
            return USAGE;
    }
    return optind < argc ? USAGE : NULL;
}

int main(int argc, char **argv)
{
    struct settings settings = {.error = 1e-4, .dimensions = 6, .samples = 50000, .batches = 20000};
    /* Before mpifarm_init(), so that executor processes have the settings too. */
    const char *complaint = read_options(argc, argv, &settings);
    struct mpifarm *farm;
    int function, r, status = 0;

    if (mpifarm_init(&argc, &argv, NULL, &farm) < 0)
        return 1; /* It has said why. */
    if (complaint) {
        if (mpifarm_rank(farm) == 0)
            fail("%s", complaint);
        mpifarm_finish(farm);
        return 2;
    }
    function = mpifarm_register(farm, "integrate", integrate, &settings);
    r = function < 0 ? function : mpifarm_start(farm);
    if (r < 0)
        status = fail("%s", mpifarm_error_text(farm));
    else if (r == MPIFARM_CLIENT)
        status = run(farm, function, &settings);
    if (mpifarm_finish(farm) < 0)
        status = 1;
    return status;
}
