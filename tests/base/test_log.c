/* Tests of base/log.c. */
#include "base/log.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

static char written[8192];

/* A log into memory: what it wrote is in `written` after each line. */
static struct mf_log log_into_memory(enum mf_log_level level)
{
    struct mf_log log = {.file = fmemopen(written, sizeof(written), "w"), .level = level};

    cr_assert_not_null(log.file);
    return log;
}

Test(log, a_line_begins_with_the_program)
{
    struct mf_log log = log_into_memory(MF_LOG_INFO);

    mf_log_error(&log, "%s is gone", "rank 3");
    mf_log_info(&log, "on");
    cr_assert_str_eq(written, "mpifarm: rank 3 is gone\nmpifarm: on\n");
    fclose(log.file);
}

Test(log, lines_above_the_level_are_dropped)
{
    struct mf_log log = log_into_memory(MF_LOG_WARNING);

    mf_log_debug(&log, "no");
    mf_log_info(&log, "no");
    mf_log_warning(&log, "yes");
    cr_assert_str_eq(written, "mpifarm: yes\n");
    fclose(log.file);
}

Test(log, no_log_swallows_everything)
{
    mf_log_error(NULL, "nobody hears this");
}

Test(log, errno_is_preserved_and_readable_by_the_message)
{
    struct mf_log log = log_into_memory(MF_LOG_ERROR);

    errno = ENOENT;
    mf_log_error(&log, "%m");
    cr_assert_eq(errno, ENOENT);
    cr_assert_str_eq(written, "mpifarm: No such file or directory\n");
    fclose(log.file);
}

Test(log, a_long_line_is_cut_and_says_so)
{
    struct mf_log log = log_into_memory(MF_LOG_ERROR);

    mf_log_error(&log, "%6000d", 1);
    cr_assert_str_eq(written + strlen(written) - 5, " ...\n");
    cr_assert_lt(strlen(written), 4097u);
    fclose(log.file);
}

static void write_mark(void *arg)
{
    fputs("[clear]", arg);
    errno = EIO;
}

Test(log, a_progress_bar_gets_out_of_the_way_of_each_shown_line)
{
    struct mf_log log = log_into_memory(MF_LOG_WARNING);

    log.before = write_mark;
    log.before_arg = log.file;
    errno = ENOENT;
    mf_log_info(&log, "dropped");
    mf_log_warning(&log, "shown: %m");
    cr_assert_str_eq(written, "[clear]mpifarm: shown: No such file or directory\n");
    cr_assert_eq(errno, ENOENT);
    fclose(log.file);
}
