/* Standard input and FIFOs: read as they come, loaded from the spool. */
#include "support.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

TestSuite(streams, .init = t_enter, .fini = t_leave);

/* Makes standard input a pipe; returns the end to write to. */
static int pipe_to_stdin(void)
{
    int ends[2];

    cr_assert(pipe2(ends, O_CLOEXEC) == 0);
    cr_assert(dup2(ends[0], STDIN_FILENO) == STDIN_FILENO);
    close(ends[0]);
    return ends[1];
}

static void say(int fd, const char *text)
{
    cr_assert(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
}

static int try_next(struct mf_source *source)
{
    const struct mf_entry *entry;

    return mf_source_next(source, &entry, NULL);
}

/* How many files there are in the directory of the test. */
static int count_files(void)
{
    DIR *directory = opendir(".");
    int n = 0;

    cr_assert(directory);
    while (readdir(directory))
        n++;
    closedir(directory);
    return n - 2;
}

Test(streams, nothing_there_yet_is_no_end)
{
    int out = pipe_to_stdin();
    struct mf_source *source = t_open("-", NULL);

    cr_assert_eq(try_next(source), -EAGAIN);
    say(out, "a b\nc");
    cr_assert_str_eq(t_show(t_next(source)), "1: [a][b]");
    cr_assert_eq(try_next(source), -EAGAIN, "half a line is no task");
    say(out, " d\n");
    cr_assert_str_eq(t_show(t_next(source)), "2: [c][d]");
    say(out, "e");
    close(out);
    cr_assert_str_eq(t_show(t_next(source)), "3: [e]");
    cr_assert_eq(try_next(source), 1);
    mf_source_close(source);
}

Test(streams, the_descriptor_to_wait_for_becomes_readable)
{
    int out = pipe_to_stdin();
    struct mf_source *source = t_open("-", NULL);
    struct pollfd ready = {.fd = mf_source_fd(source), .events = POLLIN};

    cr_assert(ready.fd >= 0);
    cr_assert_eq(poll(&ready, 1, 0), 0);
    say(out, "a\n");
    cr_assert_eq(poll(&ready, 1, 0), 1);
    mf_source_close(source);
}

Test(streams, flags_of_standard_input_stay_as_they_are)
{
    int out = pipe_to_stdin();
    struct mf_source *source = t_open("-", NULL);

    cr_assert_eq(try_next(source), -EAGAIN);
    cr_assert_eq(fcntl(STDIN_FILENO, F_GETFL) & O_NONBLOCK, 0);
    mf_source_close(source);
    cr_assert(fcntl(STDIN_FILENO, F_GETFL) >= 0, "it is still open");
    close(out);
}

Test(streams, a_task_can_be_loaded_again_from_the_spool)
{
    int out = pipe_to_stdin();
    struct mf_source *source = t_open("-", NULL);
    const struct mf_entry *entry;
    struct mf_error err = {0};

    say(out, "#FARM cores=2\na\n#FARM cores=3\nb\n");
    for (int i = 0; i < 2; i++)
        t_next(source);
    cr_assert_eq(mf_source_load(source, 0, &entry, &err), 0);
    cr_assert_str_eq(t_show(entry), "2: [a] cores=2");
    cr_assert_eq(mf_source_load(source, 1, &entry, &err), 0);
    cr_assert_str_eq(t_show(entry), "4: [b] cores=3");
    cr_assert(mf_source_load(source, 2, &entry, &err) < 0, "it was not read yet");
    mf_source_close(source);
    close(out);
}

Test(streams, a_bad_line_ends_the_tasks_before_it)
{
    int out = pipe_to_stdin();
    struct mf_source *source = t_open("-", NULL);

    say(out, "a\n[cores=x] b\nc\n");
    cr_assert(strncmp(t_show_all(source), "1: [a]\nstdin:2: in [key=value ...]: cores: ", 42) == 0);
    cr_assert_eq(try_next(source), -EINVAL, "it stays the end");
    mf_source_close(source);
    close(out);
}

Test(streams, ids_are_kept_apart)
{
    int out = pipe_to_stdin();
    struct mf_source *source;

    t_write("a.farm", "[id=x] a\n");
    source = t_open("a.farm", "-", NULL);
    say(out, "b\n[id=x] c\n");
    close(out);
    cr_assert_str_eq(t_show_all(source),
                     "x: [a]\nstdin:1: [b]\nstdin:2: id \"x\" is already used at a.farm:1");
    mf_source_close(source);
}

Test(streams, files_behind_a_stream_wait_for_its_end)
{
    int out = pipe_to_stdin();
    struct mf_source_summary summary;
    struct mf_source *source;

    t_write("a.farm", "a\n");
    source = t_open("-", "a.farm", NULL);
    mf_source_summarize(source, &summary);
    cr_assert(!summary.is_counted);
    cr_assert_eq(summary.n_tasks, 0);
    cr_assert_eq(try_next(source), -EAGAIN);
    say(out, "x\ny\n");
    close(out);
    t_next(source);
    t_next(source);
    cr_assert_eq(t_next(source)->command.seq, 3);
    cr_assert_eq(try_next(source), 1);
    mf_source_summarize(source, &summary);
    cr_assert(summary.is_counted);
    cr_assert_eq(summary.n_tasks, 3);
    mf_source_close(source);
}

Test(streams, standard_input_is_given_once)
{
    cr_assert_str_eq(t_open_error("-", "-", NULL), "\"-\" is given twice");
}

Test(streams, standard_input_from_a_file_is_checked_whole)
{
    struct mf_source_summary summary;
    int fd;

    t_write("a.farm", "skipped\na\n[cores=x] b\n");
    fd = open("a.farm", O_RDONLY);
    cr_assert(fd >= 0 && dup2(fd, STDIN_FILENO) == STDIN_FILENO);
    cr_assert(strncmp(t_open_error("-", NULL), "stdin:3: ", 9) == 0);
    t_write("a.farm", "skipped\na\nb\n");
    cr_assert(lseek(fd, 8, SEEK_SET) == 8);
    mf_source_summarize(t_open("-", NULL), &summary);
    cr_assert(summary.is_counted);
    cr_assert_eq(summary.n_tasks, 2);
}

Test(streams, a_closed_standard_input_is_an_error)
{
    close(STDIN_FILENO);
    cr_assert_str_eq(t_open_error("-", NULL), "stdin: cannot be opened: Bad file descriptor");
}

Test(streams, no_input_at_all_is_no_task)
{
    struct mf_source *source = t_open("/dev/null", NULL);

    cr_assert_eq(mf_source_fd(source), -1, "there is nothing to wait for");
    cr_assert_eq(try_next(source), 1);
    mf_source_close(source);
}

Test(streams, input_without_end_of_line_is_refused_at_the_bound)
{
    struct mf_source *source = t_open("/dev/zero", NULL);

    cr_assert_str_eq(t_show_all(source), "/dev/zero:1: the line has a NUL byte");
    mf_source_close(source);
}

Test(streams, a_long_comment_is_not_cut_into_tasks)
{
    int fds[2];
    struct mf_source *source;
    char *text = malloc(3 << 20);

    memset(text, 'x', 3 << 20);
    text[0] = '#';
    cr_assert(mkfifo("fifo", 0600) == 0);
    source = t_open("fifo", NULL);
    fds[0] = open("fifo", O_WRONLY | O_NONBLOCK);
    cr_assert(fds[0] >= 0);
    for (size_t written = 0; written < 3 << 20;) {
        ssize_t n = write(fds[0], text + written, (3 << 20) - written);
        int r;

        if (n > 0)
            written += (size_t)n;
        r = try_next(source);
        if (r == -EAGAIN)
            continue;
        cr_assert_eq(r, -E2BIG);
        break;
    }
    cr_assert_str_eq(t_show_all(source), "fifo:1: the line has more than 1048576 bytes");
    mf_source_close(source);
}

Test(streams, a_fifo_without_a_writer_is_waited_for)
{
    struct mf_source *source;
    int out;

    cr_assert(mkfifo("fifo", 0600) == 0);
    source = t_open("fifo", NULL);
    cr_assert_eq(try_next(source), -EAGAIN);
    out = open("fifo", O_WRONLY);
    cr_assert_eq(try_next(source), -EAGAIN);
    say(out, "a\n");
    cr_assert_str_eq(t_show(t_next(source)), "1: [a]");
    close(out);
    cr_assert_eq(try_next(source), 1);
    mf_source_close(source);
}

Test(streams, a_json_stream_is_told_apart_too)
{
    int out = pipe_to_stdin();
    struct mf_source *source = t_open("-", NULL);

    say(out, "{\"cmd\":[\"a b\"]}\n{\"cmd\":}\n");
    cr_assert_str_eq(t_show_all(source), "1: [a b]\nstdin:2: column 8: unexpected token near '}'");
    mf_source_close(source);
    close(out);
}

Test(streams, without_a_directory_nothing_is_left_behind)
{
    const char *file = "-";
    struct mf_source *source;
    int out = pipe_to_stdin();

    cr_assert(setenv("TMPDIR", ".", 1) == 0);
    cr_assert_eq(mf_source_open_files(&file, 1, NULL, &source, NULL), 0);
    say(out, "a\n");
    cr_assert_str_eq(t_show(t_next(source)), "1: [a]");
    cr_assert_eq(count_files(), 0);
    mf_source_close(source);
    close(out);
}

Test(streams, a_temporary_directory_that_is_not_there_is_named)
{
    const char *file = "-";
    struct mf_source *source;
    struct mf_error err = {0};
    int out = pipe_to_stdin();

    setenv("TMPDIR", "none", 1);
    cr_assert_eq(mf_source_open_files(&file, 1, NULL, &source, &err), -ENOENT);
    cr_assert(strncmp(err.text, "none/mpifarm-", 13) == 0, "%s", err.text);
    cr_assert(strstr(err.text, "cannot be created: No such file or directory") != NULL);
    close(out);
}
