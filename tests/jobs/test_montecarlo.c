/* jobs/montecarlo: estimates, and stopping early. */
#include "job.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TestSuite(montecarlo, .init = t_enter_dir, .fini = t_leave_dir);

/** What it prints. */
struct estimate {
    double estimate, error, known, errors_off;
    unsigned n_used, n_unused, n_cancelled;
};

static struct estimate read_estimate(const char *text)
{
    struct estimate e;
    int n = sscanf(text,
                   "estimate %lf\nerror %lf\nknown %lf, %lf standard errors away\n"
                   "batches %u used, %u done and not needed, %u cancelled\n",
                   &e.estimate, &e.error, &e.known, &e.errors_off, &e.n_used, &e.n_unused,
                   &e.n_cancelled);

    cr_assert(eq(int, n, 7), "%s", text);
    return e;
}

static void check_early_stop(enum t_way way)
{
    struct t_result result = t_job(way, "montecarlo --error 3e-4 --dimensions 3");
    struct estimate e;

    cr_assert(eq(int, result.status, 0), "%s", result.err);
    cr_assert(eq(str, result.err, ""));
    e = read_estimate(result.out);
    cr_assert(le(dbl, e.error, 3e-4));
    cr_assert(lt(dbl, fabs(e.known - pow(sqrt(acos(-1)) / 2 * erf(1), 3)), 1e-11));
    cr_assert(lt(dbl, fabs(e.estimate - e.known), 5 * e.error));
    cr_assert(lt(dbl, fabs(fabs(e.estimate - e.known) / e.error - e.errors_off), 0.2));
    cr_assert(eq(uint, e.n_used + e.n_unused + e.n_cancelled, 20000));
    cr_assert(gt(uint, e.n_cancelled, 15000));
}

Test(montecarlo, stops_at_the_error_asked_for_without_a_launcher)
{
    check_early_stop(T_ALONE);
}

Test(montecarlo, stops_at_the_error_asked_for_under_mpirun)
{
    check_early_stop(T_MPIRUN);
}

Test(montecarlo, stops_at_the_error_asked_for_in_executor_processes)
{
    check_early_stop(T_ALONE_ISOLATED);
}

Test(montecarlo, stops_at_the_error_asked_for_in_executor_processes_under_mpirun)
{
    check_early_stop(T_MPIRUN_ISOLATED);
}

Test(montecarlo, estimates_the_same_to_the_last_digit_in_every_way)
{
    char first[64] = "";

    for (enum t_way way = 0; way < T_N_WAYS; way++) {
        struct t_result result = t_job(way, "montecarlo --error 5e-4 --samples 2000");

        cr_assert(eq(int, result.status, 0), "%s", result.err);
        result.out[strcspn(result.out, "\n")] = '\0';
        if (!first[0])
            snprintf(first, sizeof(first), "%s", result.out);
        cr_assert(eq(str, result.out, first));
    }
}

Test(montecarlo, equals_an_independent_computation)
{
    double estimate, error, known;
    struct estimate e;

    for (enum t_way way = T_ALONE; way <= T_MPIRUN; way++) {
        struct t_result result = t_job(
            way, "montecarlo --error 1e-9 --dimensions 5 --samples 100 --batches 10 --seed 7");
        struct t_result expected = t_sh("python3 '%s'/tests/jobs/expected_montecarlo.py 5 100 10 7",
                                        getenv("T_SOURCE_DIR"));

        cr_assert(eq(int, sscanf(expected.out, "%lf %lf %lf", &estimate, &error, &known), 3), "%s",
                  expected.err);
        e = read_estimate(result.out);
        cr_assert(lt(dbl, fabs(e.estimate - estimate), 2e-12));
        cr_assert(ieee_ulp_eq(dbl, e.error, error, 4));
        cr_assert(lt(dbl, fabs(e.known - known), 2e-12));
    }
}

Test(montecarlo, says_that_the_batches_do_not_suffice)
{
    struct t_result result = t_job(T_ALONE, "montecarlo --error 1e-9 --samples 10 --batches 20");

    cr_assert(eq(int, result.status, 1));
    cr_assert(eq(uint, read_estimate(result.out).n_used, 20));
    cr_assert(eq(str, result.err,
                 "montecarlo: 20 batches are too few for an error of 1e-09: raise --batches\n"));
}

Test(montecarlo, has_a_script_that_passes_options_on)
{
    struct t_result result =
        t_sh("MONTECARLO=montecarlo '%s'/jobs/montecarlo/run --error 1e-2", getenv("T_SOURCE_DIR"));

    cr_assert(eq(int, result.status, 0), "%s", result.err);
    cr_assert(eq(uint, read_estimate(result.out).n_used, 8));
}

Test(montecarlo, refuses_bad_usage)
{
    t_assert_refused(T_ALONE, "montecarlo", "--error 0",
                     "--error takes a number above 0, such as 1e-4");
    t_assert_refused(T_ALONE, "montecarlo", "--dimensions 0", "--dimensions takes a number from 1");
    t_assert_refused(T_ALONE, "montecarlo", "--batches 7", "--batches takes a number from 8");
    t_assert_refused(T_ALONE, "montecarlo", "--samples 1e6", "--samples takes a number from 1");
    t_assert_refused(T_ALONE, "montecarlo", "--no-such-thing", "usage: montecarlo [--error E]");
    t_assert_refused(T_MPIRUN, "montecarlo", "something", "usage: montecarlo [--error E]");
}
