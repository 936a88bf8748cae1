/* Tests of report/status.c: what is written is what is read back. */
#include "report/status.h"
#include "t_dir.h"

#include "base/clock.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

TestSuite(status, .init = t_dir_begin, .fini = t_dir_end);

static void write_text(const char *text)
{
    FILE *file = fopen(t_path("status.json"), "w");

    cr_assert(file);
    fputs(text, file);
    cr_assert_eq(fclose(file), 0);
}

Test(status, is_read_back_as_it_was_written)
{
    struct mf_progress_state state = {.now_ns = 100 * MF_NS_PER_S,
                                      .started_ns = 40 * MF_NS_PER_S,
                                      .n_total = 9,
                                      .n_running = 4,
                                      .n_suspended = 3,
                                      .n_done = 2,
                                      .n_slots = 8,
                                      .n_workers = 2,
                                      .n_lost = 1,
                                      .n_renewed = 5,
                                      .n_warned = 6,
                                      .stopped_by = "an error in no\xffutf"};
    struct mf_status_suspended suspended[] = {
        {"fit", 500 * MF_NS_PER_S}, {"no\xffutf", MF_NS_PER_S}, {"plot", 700 * MF_NS_PER_S}};
    int64_t since_ns;
    int64_t began_ns = mf_clock_wall_ns() - 60 * MF_NS_PER_S;
    struct mf_status status;
    struct mf_error err;

    cr_assert_eq(mf_status_write(t_path("."), &state, suspended, 3, true, &err), 0, "%s", err.text);
    cr_assert_eq(mf_status_read(t_path("."), &status), 0);
    cr_assert(status.is_finished);
    cr_assert_eq(status.n_total, 9u);
    cr_assert_eq(status.n_running, 4u);
    cr_assert_eq(status.n_suspended, 3u);
    cr_assert_eq(status.n_done, 2u);
    cr_assert_eq(status.n_slots, 8u);
    cr_assert_eq(status.n_workers, 2u);
    cr_assert_eq(status.n_lost, 1u);
    cr_assert_eq(status.n_renewed, 5u);
    cr_assert_eq(status.n_warned, 6u);
    cr_assert_str_eq(status.stopped_by, "an error in no?utf");
    cr_assert_eq(status.pid, getpid());
    cr_assert_eq(mf_status_find_suspended(t_path("."), "plot", &since_ns), 0);
    cr_assert_eq(since_ns, 700 * MF_NS_PER_S);
    cr_assert_eq(mf_status_find_suspended(t_path("."), "other", &since_ns), -ENOENT);
    cr_assert(llabs(status.began_wall_ns - began_ns) < 30 * MF_NS_PER_S);
}

Test(status, a_file_that_is_missing_or_something_else_is_told_apart)
{
    struct mf_status status = {.n_total = 7};

    cr_assert_eq(mf_status_read(t_path("."), &status), -ENOENT);
    write_text("");
    cr_assert_eq(mf_status_read(t_path("."), &status), -EBADMSG);
    write_text("{\"updated\": 1.0, \"elapsed\": 1.0, \"finished\": 3, \"total\": 1, "
               "\"running\": 1}");
    cr_assert_eq(mf_status_read(t_path("."), &status), -EBADMSG);
    write_text("[1, 2]");
    cr_assert_eq(mf_status_read(t_path("."), &status), -EBADMSG);
    write_text("{\"updated\": 1e300, \"elapsed\": 1.0, \"finished\": true, \"total\": 1, "
               "\"running\": 1}");
    cr_assert_eq(mf_status_read(t_path("."), &status), -EBADMSG);
    cr_assert_eq(status.n_total, 7u);
}
