/* Above all: each task runs exactly once, whatever the number of ranks. */
#include "support/shell.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <criterion/parameterized.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define N_TASKS 600

TestSuite(exactly_once, .init = t_enter_dir, .fini = t_leave_dir);

/* Each task appends a line to a file of its own: a task that runs twice shows. */
static void write_tasks(void)
{
    FILE *file = fopen("tasks.txt", "w");

    for (int i = 1; i <= N_TASKS; i++)
        fprintf(file, "echo ran >> ran.%d\n", i);
    cr_assert(fclose(file) == 0);
}

static void expect_each_once(void)
{
    for (int i = 1; i <= N_TASKS; i++) {
        char path[32];

        snprintf(path, sizeof(path), "ran.%d", i);
        char *text = t_read(path);
        cr_assert(eq(str, text, "ran\n"), "task %d", i);
        free(text);
    }
}

ParameterizedTestParameters(exactly_once, with_any_number_of_ranks)
{
    static int ranks[] = {0, 1, 2, 4, 9};

    return cr_make_param_array(int, ranks, sizeof(ranks) / sizeof(ranks[0]));
}

ParameterizedTest(int *ranks, exactly_once, with_any_number_of_ranks)
{
    write_tasks();
    struct t_result result = t_sh("%s run tasks.txt", t_mpifarm(*ranks));
    cr_assert(eq(int, result.status, 0), "%s", result.err);
    cr_assert(t_has(result.err, "600 done"), "%s", result.err);
    expect_each_once();
}

ParameterizedTestParameters(exactly_once, with_failures_and_retries)
{
    static int ranks[] = {0, 2, 4};

    return cr_make_param_array(int, ranks, sizeof(ranks) / sizeof(ranks[0]));
}

/* Every third task fails at its first try; the attempts are then exactly those two. */
ParameterizedTest(int *ranks, exactly_once, with_failures_and_retries)
{
    FILE *file = fopen("tasks.txt", "w");

    for (int i = 1; i <= 300; i++)
        fprintf(file, "echo $MPIFARM_ATTEMPT >> ran.%d%s\n", i,
                i % 3 == 0 ? "; [ $MPIFARM_ATTEMPT -gt 1 ]" : "");
    cr_assert(fclose(file) == 0);
    struct t_result result = t_sh("%s run --retries 3 tasks.txt", t_mpifarm(*ranks));
    cr_assert(eq(int, result.status, 0), "%s", result.err);
    for (int i = 1; i <= 300; i++) {
        char path[32];

        snprintf(path, sizeof(path), "ran.%d", i);
        char *text = t_read(path);
        cr_assert(eq(str, text, i % 3 == 0 ? "1\n2\n" : "1\n"), "task %d", i);
        free(text);
    }
}

/* Mixed widths and a few long tasks, so that prefetch and recall take place. */
Test(exactly_once, with_uneven_tasks_over_mpi)
{
    FILE *file = fopen("tasks.txt", "w");

    for (int i = 1; i <= N_TASKS; i++)
        fprintf(file, "echo ran >> ran.%d%s\n", i, i % 97 == 0 ? "; sleep 0.3" : "");
    cr_assert(fclose(file) == 0);
    struct t_result result = t_sh("%s run -j 4 tasks.txt", t_mpifarm(3));
    cr_assert(eq(int, result.status, 0), "%s", result.err);
    expect_each_once();
}

Test(exactly_once, from_standard_input_that_comes_slowly)
{
    struct t_result result = t_sh("(for i in 1 2 3 4 5 6; do echo \"echo ran >> ran.$i\"; "
                                  "sleep 0.05; done) | mpifarm run -");

    cr_assert(eq(int, result.status, 0), "%s", result.err);
    for (int i = 1; i <= 6; i++) {
        char path[32];

        snprintf(path, sizeof(path), "ran.%d", i);
        cr_assert(eq(str, t_read(path), "ran\n"));
    }
}
