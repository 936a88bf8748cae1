/* Ranks are killed in functions: the other ranks do the work. Runs losing.c. */
#include "support/shell.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void begin(void)
{
    const char *options = getenv("ASAN_OPTIONS");
    char text[512];

    t_enter_dir();
    unsetenv("MPIFARM_ISOLATE");
    /* Open MPI leaves memory behind in modules that it has unloaded, where nothing can name it. */
    snprintf(text, sizeof(text), "%s:detect_leaks=0", options ? options : "");
    setenv("ASAN_OPTIONS", text, 1);
}

TestSuite(losing, .init = begin, .fini = t_leave_dir);

/* Once ranks have died, mpirun of Open MPI 4.1 hangs now and then behind the end of all of them. */
#define HANGS_BY_ITSELF 99

/* Waits for mpirun, whose children are the ranks; not for ever where there are none alive. */
static const char wait_for_mpirun[] =
    "n=0 gone=0; while kill -0 $mpirun 2>/dev/null; do sleep 0.1; n=$((n + 1)); "
    "if ps -o stat= --ppid $mpirun | grep -q '^[^ZX]'; then gone=0; else gone=$((gone + 1)); fi; "
    "if [ $gone -ge 100 ] || [ $n -ge 2000 ]; then pkill -9 -P $mpirun; kill -9 $mpirun; fi; done; "
    "wait $mpirun; status=$?; [ $gone -lt 100 ] || status=99; [ $n -lt 2000 ] || status=124; "
    "exit $status";

static struct t_result run(int ranks, const char *name)
{
    struct t_result result;
    int n = 0;

    do
        result = t_sh("mpirun --enable-recovery --oversubscribe --bind-to none -n %d losing %s & "
                      "mpirun=$!; %s",
                      ranks, name, wait_for_mpirun);
    while (result.status == HANGS_BY_ITSELF && ++n < 3);
    return result;
}

Test(losing, what_a_killed_rank_was_to_do_others_do)
{
    struct t_result result = run(4, "map");

    cr_assert(eq(int, result.status, 0), "%s", result.err);
    cr_assert(eq(str, result.out, "map 0: 20000 right, 2 workers left\n"), "%s", result.err);
    cr_assert(t_has(result.err, " is lost: its process has ended"), "%s", result.err);
}

Test(losing, tasks_for_the_killed_rank_alone_fail_with_a_cause)
{
    struct t_result result = run(4, "target");

    cr_assert(eq(int, result.status, 0), "%s", result.err);
    /* FAILED; LOST, or UNFIT as nothing else can ever run it. */
    cr_assert(t_has(result.out, "first: status 2 cause 6\n"), "%s", result.out);
    cr_assert(t_has(result.out, "second: status 2 cause 6\n"), "%s", result.out);
    cr_assert(t_has(result.out, "other: status 1 cause 0\n"), "%s", result.out);
    cr_assert(t_has(result.out, "third: -113\n"), "%s", result.out);
}

Test(losing, a_task_that_kills_three_ranks_fails_and_the_farm_goes_on)
{
    struct t_result result = run(6, "poison");

    cr_assert(eq(int, result.status, 0), "%s", result.err);
    cr_assert(eq(str, result.out, "poison: status 2 cause 5\ngood: status 1 cause 0\n"), "%s",
              result.err);
}

Test(losing, children_of_tasks_are_done_once)
{
    struct t_result result = run(4, "children");

    cr_assert(eq(int, result.status, 0), "%s", result.err);
    cr_assert(eq(str, result.out, "parent: status 1 cause 0\n11 done\n"), "%s", result.err);
}

Test(losing, workers_leave_when_the_client_is_killed)
{
    struct t_result result = run(4, "client");

    cr_assert(ne(int, result.status, 124));
    for (int rank = 1; rank < 4; rank++) {
        char sentence[64];

        snprintf(sentence, sizeof(sentence), "rank %d has stopped: rank 0 is gone", rank);
        cr_assert(t_has(result.err, sentence), "%s", result.err);
    }
}

Test(losing, workers_leave_when_there_will_be_no_client)
{
    struct t_result result = run(3, "absent");

    cr_assert(ne(int, result.status, 124));
    cr_assert(t_has(result.err, "rank 2 has stopped: rank 0 is gone"), "%s", result.err);
}

/* The client ends at once, and waits for hooks as long as they take. */
static void expect_no_wait_for_the_dead(const char *hook)
{
    struct t_result result = run(4, hook);

    cr_assert(eq(int, result.status, 0), "%s", result.err);
    cr_assert(t_has(result.err, "rank 2 on "), "%s", result.err);
    cr_assert(t_has(result.err, " is lost: its process has ended"), "%s", result.err);
    cr_assert_not(t_has(result.err, "MPI_Finalize"), "%s", result.err);
}

Test(losing, a_rank_that_dies_in_its_init_hook_is_not_waited_for)
{
    expect_no_wait_for_the_dead("init");
}

Test(losing, a_rank_that_dies_in_its_finish_hook_is_not_waited_for)
{
    expect_no_wait_for_the_dead("finish");
}

/* Ranks that look like those of several nodes, the last one of them out of sight. */
Test(losing, the_end_of_a_rank_elsewhere_is_noticed)
{
    struct t_result result;

    if (t_sh("unshare --pid --fork --mount-proc true").status != 0)
        cr_skip_test("namespaces cannot be made here");
    result = t_sh("timeout -k 1 200 mpirun --enable-recovery --oversubscribe --bind-to none "
                  "-n 2 env OMPI_COMM_WORLD_LOCAL_SIZE=1 losing target : "
                  "-n 1 env OMPI_COMM_WORLD_LOCAL_SIZE=1 unshare --pid --fork --mount-proc "
                  "sh -c 'losing target; sleep 5'");
    cr_assert(eq(int, result.status, 0), "%s", result.err);
    cr_assert(t_has(result.out, "first: status 2 cause 6\n"), "%s%s", result.out, result.err);
    cr_assert(t_has(result.out, "other: status 1 cause 0\n"), "%s", result.out);
    cr_assert(t_has(result.err, "is lost: its process has ended"), "%s", result.err);
}

/* --- blocks --- */

/* One that nobody else has. */
static int size_of_block(void)
{
    return 3000000 + (int)getpid();
}

static void expect_nothing_left(const char *command)
{
    struct t_result result = t_sh("timeout -k 1 200 %s %d", command, size_of_block());
    char line[64];

    cr_assert(ne(int, result.status, 124));
    snprintf(line, sizeof(line), " has %d\n", size_of_block());
    cr_assert(t_has(result.out, line), "%s%s", result.out, result.err);
    result = t_sh("find /dev/shm -type f -size %dc", size_of_block());
    cr_assert(eq(str, result.out, ""));
}

#define MPIRUN "mpirun --oversubscribe --bind-to none -n 3 "

Test(losing, no_block_stays_behind_when_the_rank_that_stored_it_is_killed)
{
    expect_nothing_left(MPIRUN "--enable-recovery losing block-killed");
    expect_nothing_left(MPIRUN "losing block-killed");
}

Test(losing, no_block_stays_behind_when_the_program_is_interrupted)
{
    expect_nothing_left(MPIRUN "losing block-interrupt");
    expect_nothing_left("env MPIFARM_ISOLATE=1 " MPIRUN "losing block-interrupt");
}

Test(losing, no_block_stays_behind_when_the_client_exits)
{
    expect_nothing_left("losing block-exit");
    expect_nothing_left("env MPIFARM_ISOLATE=1 losing block-exit");
}

/* As in another container: what the others of its node have it cannot see. */
Test(losing, a_rank_out_of_sight_gets_a_block_of_its_own)
{
    struct t_result result;

    if (t_sh("unshare --pid --fork --mount-proc true").status != 0)
        cr_skip_test("namespaces cannot be made here");
    result = t_sh("timeout -k 1 200 mpirun --oversubscribe --bind-to none -n 3 losing block 70001 "
                  ": -n 1 unshare --pid --fork --mount-proc losing block 70001");
    cr_assert(eq(int, result.status, 0), "%s", result.err);
    cr_assert(eq(str, result.out, "rank 1 has 70001\nrank 2 has 70001\nrank 3 has 70001\n"), "%s",
              result.err);
}
