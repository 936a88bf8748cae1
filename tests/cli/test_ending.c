/* What a run tells whoever supervises it, in a file. */
#include "cli/ending.h"

#include "base/clock.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char dir[] = "/tmp/mpifarm-ending.XXXXXX";
static char path[PATH_MAX];

static void begin(void)
{
    char run_dir[PATH_MAX];

    cr_assert(mkdtemp(dir) != NULL);
    snprintf(run_dir, sizeof(run_dir), "%s/run", dir);
    cr_assert(eq(int, mf_ending_create(run_dir, path), 0));
    setenv(MF_ENDING_VARIABLE, path, 1);
}

static void end(void)
{
    unlink(path);
    rmdir(dir);
}

TestSuite(ending, .init = begin, .fini = end);

Test(ending, is_told_stage_by_stage)
{
    struct mf_ending ending;

    cr_assert(eq(int, mf_ending_read(path).state, MF_ENDING_NONE));
    mf_ending_note_ready();
    cr_assert(eq(int, mf_ending_read(path).state, MF_ENDING_READY));
    mf_ending_note_begun();
    ending = mf_ending_read(path);
    cr_assert(eq(int, ending.state, MF_ENDING_BEGUN));
    cr_assert(eq(int, ending.scheduler.pid, getpid()));
    cr_assert(not(ending.is_over));
    mf_ending_note_over(1);
    ending = mf_ending_read(path);
    cr_assert(eq(int, ending.state, MF_ENDING_BEGUN));
    cr_assert(eq(int, ending.scheduler.pid, getpid()));
    cr_assert(ending.is_over);
    cr_assert(eq(int, ending.status, 1));
    /* Another scheduler finds something to do. */
    mf_ending_note_begun();
    cr_assert(not(mf_ending_read(path).is_over));
    cr_assert(eq(int, mf_ending_note(3, true), 0));
    ending = mf_ending_read(path);
    cr_assert(eq(int, ending.state, MF_ENDING_ENDED));
    cr_assert(eq(int, ending.status, 3));
    cr_assert(ending.has_losses);
}

Test(ending, of_a_run_that_goes_on_is_not_told_yet_but_by_when_it_has_to_be)
{
    int64_t end_ns = 7, due_ns = mf_clock_monotonic_ns() + 3600 * MF_NS_PER_S;

    cr_assert(not(mf_ending_is_renewed(&end_ns)));
    cr_assert(eq(i64, end_ns, 7));
    mf_ending_note_begun();
    cr_assert(eq(int, mf_ending_renew(path, due_ns), 0));
    cr_assert(eq(int, mf_ending_read(path).state, MF_ENDING_NONE));
    cr_assert(mf_ending_is_renewed(&end_ns));
    /* By way of the time of day, which may be set right meanwhile. */
    cr_assert(lt(i64, llabs(end_ns - due_ns), 60 * MF_NS_PER_S));
    cr_assert(eq(int, mf_ending_renew(path, 0), 0));
    cr_assert(mf_ending_is_renewed(&end_ns));
    cr_assert(eq(i64, end_ns, 0));
    mf_ending_note_begun();
    cr_assert(eq(int, mf_ending_read(path).state, MF_ENDING_BEGUN));
}

Test(ending, says_whether_ranks_may_be_on_other_nodes)
{
    mf_ending_note_begun();
    cr_assert(not(mf_ending_read(path).is_spread));
    setenv("OMPI_COMM_WORLD_SIZE", "4", 1);
    setenv("OMPI_COMM_WORLD_LOCAL_SIZE", "4", 1);
    mf_ending_note_begun();
    cr_assert(not(mf_ending_read(path).is_spread));
    setenv("OMPI_COMM_WORLD_LOCAL_SIZE", "2", 1);
    mf_ending_note_begun();
    cr_assert(mf_ending_read(path).is_spread);
    cr_assert(eq(int, mf_ending_note(3, false), 0));
    cr_assert(mf_ending_read(path).is_spread);
}
