/* Tests of report/printer.c: into files, pipes, terminals and sockets, slow and closed ones too. */
#include "report/printer.h"
#include "t_dir.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* A printer with its loop, and the reading ends of what it writes to. */
static struct mf_printer *printer;
static struct mf_loop *loop;
static int readers[2];
static uint64_t printed_rows[64];
static int n_printed, n_before;

static void begin(void)
{
    t_dir_begin();
    signal(SIGPIPE, SIG_IGN);
    cr_assert_eq(mf_loop_create(&loop), 0);
}

static void end(void)
{
    mf_printer_destroy(printer);
    mf_loop_destroy(loop);
    t_dir_end();
}

TestSuite(printer, .init = begin, .fini = end, .timeout = 300);

static void note_printed(void *arg, const struct mf_group *group)
{
    if (n_printed < 64)
        printed_rows[n_printed] = group->row;
    n_printed++;
}

static void note_before(void *arg)
{
    n_before++;
}

static void create(int out, int err, bool keep_order)
{
    struct mf_printer_config config = {.fds = {out, err},
                                       .keep_order = keep_order,
                                       .before_write = note_before,
                                       .printed = note_printed};

    cr_assert_eq(mf_printer_create(&config, loop, &printer), 0);
}

static void create_on_pipes(bool keep_order)
{
    int out[2], err[2];

    cr_assert_eq(pipe(out), 0);
    cr_assert_eq(pipe(err), 0);
    readers[0] = out[0];
    readers[1] = err[0];
    create(out[1], err[1], keep_order);
    close(out[1]);
    close(err[1]);
}

/* One pipe for both, as after 2>&1. */
static void create_on_one_pipe(bool keep_order)
{
    int fds[2], copy;

    cr_assert_eq(pipe(fds), 0);
    copy = dup(fds[1]);
    readers[0] = fds[0];
    create(fds[1], copy, keep_order);
    close(fds[1]);
    close(copy);
}

static void create_on_file(bool keep_order)
{
    int fd = open(t_path("printed"), O_WRONLY | O_CREAT | O_APPEND, 0600);

    create(fd, fd, keep_order);
}

static void add_tagged(uint64_t seq, const char *tag, const char *out, const char *err)
{
    char memory[4096];
    struct mf_group group = {
        .seq = seq, .row = seq, .tag = tag, .memory = memory, .size = {strlen(out), strlen(err)}};

    snprintf(memory, sizeof(memory), "%s%s", out, err);
    cr_assert_eq(mf_printer_add(printer, &group), 0);
    /* The printer has copies. */
    memset(memory, '?', sizeof(memory));
}

static void add(uint64_t seq, const char *out, const char *err)
{
    add_tagged(seq, NULL, out, err);
}

static void turn(void)
{
    struct mf_error err = {0};

    cr_assert_eq(mf_printer_turn(printer, &err), 0, "%s", err.text);
}

/* Everything, for readers that are never full. */
static void turn_until_idle(void)
{
    turn();
    while (!mf_printer_is_idle(printer)) {
        cr_assert(mf_loop_wait(loop, -1) >= 0);
        turn();
    }
}

/* What stands in a pipe now. */
static const char *read_now(int fd)
{
    static char text[8192];
    struct pollfd waiting = {.fd = fd, .events = POLLIN};
    size_t n = 0;

    while (n < sizeof(text) - 1 && poll(&waiting, 1, 0) > 0) {
        ssize_t n_got = read(fd, text + n, sizeof(text) - 1 - n);

        if (n_got <= 0)
            break;
        n += (size_t)n_got;
    }
    text[n] = '\0';
    return text;
}

static struct mf_store *store_with(size_t size, void (*fill)(char *, size_t),
                                   struct mf_group *group)
{
    struct mf_store *store;
    struct mf_error err = {0};
    char *data = malloc(size);

    cr_assert(data);
    fill(data, size);
    cr_assert_eq(mf_store_open(t_path("out"), "spool", 1 << 30, &store, &err), 0, "%s", err.text);
    *group = (struct mf_group){.seq = 1, .row = 1, .store = store, .size = {size, 0}};
    cr_assert_eq(mf_store_reserve(store, size, &group->file, &group->offset, &err), 0);
    cr_assert_eq(mf_store_write(store, group->file, group->offset, data, size, &err), 0);
    free(data);
    return store;
}

static void fill_pattern(char *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        data[i] = (char)(i * 31 + i / 65536);
}

Test(printer, each_stream_of_a_group_goes_to_its_descriptor)
{
    create_on_pipes(false);
    add(1, "out1\n", "err1\n");
    add(2, "out2\n", "");
    add(3, "", "err3\n");
    turn();
    cr_assert_str_eq(read_now(readers[0]), "out1\nout2\n");
    cr_assert_str_eq(read_now(readers[1]), "err1\nerr3\n");
    cr_assert(mf_printer_is_idle(printer));
    cr_assert_eq(mf_printer_backlog(printer), 0u);
}

Test(printer, a_group_is_whole_where_both_streams_are_one_pipe)
{
    create_on_one_pipe(false);
    add(1, "out1", "err1");
    add(2, "out2", "err2");
    turn();
    cr_assert_str_eq(read_now(readers[0]), "out1err1out2err2");
}

Test(printer, groups_are_told_of_in_order_once_they_are_out_also_empty_ones)
{
    create_on_file(false);
    add(5, "a", "b");
    add(6, "", "");
    add(4, "c", "");
    cr_assert_eq(n_printed, 0);
    turn();
    cr_assert_eq(n_printed, 3);
    cr_assert(printed_rows[0] == 5 && printed_rows[1] == 6 && printed_rows[2] == 4);
    cr_assert_str_eq(t_read_file("printed"), "abc");
}

Test(printer, what_will_be_written_is_announced_once_a_turn_and_only_then)
{
    create_on_file(false);
    turn();
    cr_assert_eq(n_before, 0);
    add(1, "a", "b");
    add(2, "a", "b");
    turn();
    cr_assert_eq(n_before, 1);
}

Test(printer, a_tag_stands_before_each_line_of_both_streams)
{
    create_on_one_pipe(false);
    add_tagged(1, "t1", "a\n\nb\n", "e\n");
    turn();
    cr_assert_str_eq(read_now(readers[0]), "t1\ta\nt1\t\nt1\tb\nt1\te\n");
}

Test(printer, a_tagged_last_line_without_a_newline_stays_without_one)
{
    create_on_pipes(false);
    add_tagged(1, "t1", "a\nb", "");
    add_tagged(2, "t2", "c", "");
    turn();
    cr_assert_str_eq(read_now(readers[0]), "t1\ta\nt1\tbt2\tc");
}

/* Lines of every length up to 299, so that they are split across blocks at many places. */
static void fill_lines(char *data, size_t size)
{
    size_t length = 0, left = 0;

    for (size_t i = 0; i < size; i++) {
        if (left == 0) {
            data[i] = '\n';
            length = (length + 1) % 300;
            left = length;
        } else {
            data[i] = (char)('a' + left-- % 26);
        }
    }
}

Test(printer, tags_are_right_where_lines_are_split_across_blocks)
{
    enum { SIZE = 300000 };
    struct mf_group group;
    struct mf_store *store = store_with(SIZE, fill_lines, &group);
    char *plain = malloc(SIZE);
    const char *got;
    FILE *wanted;
    char *text = NULL;
    size_t n = 0;

    create_on_file(false);
    group.tag = "tag5";
    cr_assert_eq(mf_printer_add(printer, &group), 0);
    turn_until_idle();
    fill_lines(plain, SIZE);
    wanted = open_memstream(&text, &n);
    for (size_t i = 0; i < SIZE; i++) {
        if (i == 0 || plain[i - 1] == '\n')
            fputs("tag5\t", wanted);
        fputc(plain[i], wanted);
    }
    fclose(wanted);
    got = t_read_file("printed");
    cr_assert_eq(strlen(got), n);
    cr_assert_eq(memcmp(got, text, n), 0);
    mf_store_close(store);
    free(plain);
    free(text);
}

Test(printer, a_tag_longer_than_a_block_is_written_whole)
{
    static char tag[200001];
    const char *got;

    create_on_file(false);
    memset(tag, 't', sizeof(tag) - 1);
    add_tagged(1, tag, "a\nb\n", "");
    turn_until_idle();
    got = t_read_file("printed");
    cr_assert_eq(strlen(got), 2 * (sizeof(tag) - 1) + 6);
    cr_assert_str_eq(got + sizeof(tag) - 1 + 3 + sizeof(tag) - 1, "\tb\n");
}

/* Reads all of a pipe in a process of its own, slowly at first; exits 0 if it was the pattern. */
static pid_t check_pattern(int reader, uint64_t size)
{
    static char data[1 << 16], want[1 << 16];
    pid_t pid = fork();
    uint64_t at = 0;
    ssize_t n;

    if (pid != 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    /* A writing end kept open here would keep the pipe from ending. */
    for (int fd = 3; fd < 256; fd++) {
        if (fd != reader)
            close(fd);
    }
    while ((n = read(reader, data, at < 100000 ? 100 : sizeof(data))) > 0) {
        for (ssize_t i = 0; i < n; i++, at++)
            want[i] = (char)(at * 31 + at / 65536);
        if (memcmp(want, data, (size_t)n) != 0)
            _exit(1);
    }
    _exit(at == size ? 0 : 2);
}

/* Prints 100 MiB from a store to a reader, waiting in the loop alone; then closes the writing end.
 */
static void print_much(int writer)
{
    enum { SIZE = 100 << 20 };
    struct mf_group group;
    struct mf_store *store = store_with(SIZE, fill_pattern, &group);
    pid_t pid = check_pattern(readers[0], SIZE);
    int status;

    cr_assert_eq(mf_printer_add(printer, &group), 0);
    cr_assert_eq(mf_printer_backlog(printer), (uint64_t)SIZE);
    turn_until_idle();
    cr_assert_eq(n_printed, 1);
    mf_printer_destroy(printer);
    printer = NULL;
    close(writer);
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert_eq(status, 0);
    mf_store_close(store);
}

Test(printer, a_hundred_mebibytes_go_through_a_pipe_unchanged)
{
    create_on_pipes(false);
    print_much(-1);
}

/* A pipe of root's in the hands of somebody else; returns its writing end. */
static int create_on_foreign_pipe(void)
{
    char path[64];
    int fds[2];

    if (geteuid() != 0)
        cr_skip("only root can make a pipe that it may not open again\n");
    cr_assert_eq(chown(t_path("."), 65534, 65534), 0);
    cr_assert_eq(pipe(fds), 0);
    cr_assert_eq(seteuid(65534), 0);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fds[1]);
    cr_assert_lt(open(path, O_WRONLY | O_NONBLOCK), 0);
    readers[0] = fds[0];
    create(fds[1], fds[1], false);
    return fds[1];
}

Test(printer, a_hundred_mebibytes_go_through_a_pipe_that_cannot_be_opened_again)
{
    print_much(create_on_foreign_pipe());
    cr_assert_eq(seteuid(0), 0);
}

Test(printer, a_full_pipe_that_cannot_be_opened_again_does_not_stop_the_printer)
{
    static char many[300000];
    struct mf_group group = {.seq = 1, .memory = many, .size = {sizeof(many), 0}};

    /* Room for a little is not room for a block. */
    cr_assert_eq(write(create_on_foreign_pipe(), "x", 1), 1);
    cr_assert_eq(mf_printer_add(printer, &group), 0);
    turn();
    cr_assert_gt(mf_printer_backlog(printer), 0u);
    cr_assert_eq(mf_loop_wait(loop, 0), 0);
    cr_assert_eq(seteuid(0), 0);
}

Test(printer, output_goes_through_a_socket_unchanged)
{
    enum { SIZE = 5 << 20 };
    static char data[1 << 16];
    struct mf_group group;
    struct mf_store *store = store_with(SIZE, fill_pattern, &group);
    uint64_t n_read = 0;
    int fds[2];

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    create(fds[1], fds[1], false);
    cr_assert_eq(mf_printer_add(printer, &group), 0);
    turn();
    while (n_read < SIZE) {
        ssize_t n = read(fds[0], data, sizeof(data));

        cr_assert_gt(n, 0);
        for (ssize_t i = 0; i < n; i++, n_read++) {
            if (data[i] != (char)(n_read * 31 + n_read / 65536))
                cr_assert_fail("byte %lu is wrong", n_read);
        }
        turn();
    }
    cr_assert(mf_printer_is_idle(printer));
    mf_store_close(store);
}

Test(printer, a_reader_that_does_not_read_never_stops_the_printer_and_is_waited_for_quietly)
{
    struct mf_group group;
    struct mf_store *store = store_with(1 << 20, fill_pattern, &group);
    uint64_t backlog;

    create_on_pipes(false);
    cr_assert_eq(mf_printer_add(printer, &group), 0);
    turn();
    backlog = mf_printer_backlog(printer);
    cr_assert(backlog > 0 && backlog < 1 << 20);
    /* Nothing to be woken for, and nothing to step aside for. */
    cr_assert_eq(mf_loop_wait(loop, 0), 0);
    n_before = 0;
    turn();
    cr_assert_eq(n_before, 0);
    cr_assert_eq(mf_printer_backlog(printer), backlog);
    read_now(readers[0]);
    cr_assert_eq(mf_loop_wait(loop, -1), 1);
    turn();
    cr_assert_lt(mf_printer_backlog(printer), backlog);
    mf_store_close(store);
}

Test(printer, the_loop_is_not_woken_when_nothing_waits)
{
    create_on_pipes(false);
    add(1, "a", "b");
    turn();
    cr_assert_eq(mf_loop_wait(loop, 0), 0);
    close(readers[0]);
    close(readers[1]);
    cr_assert_eq(mf_loop_wait(loop, 0), 0);
}

Test(printer, a_stuck_standard_error_holds_back_the_groups_behind_it)
{
    static char many[200000];
    struct mf_group group = {.seq = 1, .memory = many, .size = {0, sizeof(many)}};

    create_on_pipes(false);
    cr_assert_eq(mf_printer_add(printer, &group), 0);
    add(2, "later", "");
    turn();
    turn();
    cr_assert_str_eq(read_now(readers[0]), "");
    while (!mf_printer_is_idle(printer)) {
        read_now(readers[1]);
        turn();
    }
    cr_assert_str_eq(read_now(readers[0]), "later");
}

Test(printer, one_turn_into_a_file_is_bounded_and_the_loop_wakes_up_for_the_next)
{
    struct mf_group group;
    struct mf_store *store = store_with(5 << 20, fill_pattern, &group);
    int n_turns = 1;

    create_on_file(false);
    cr_assert_eq(mf_printer_add(printer, &group), 0);
    turn();
    cr_assert_geq(mf_printer_backlog(printer), (uint64_t)3 << 20);
    while (!mf_printer_is_idle(printer)) {
        cr_assert_eq(mf_loop_wait(loop, -1), 1);
        turn();
        n_turns++;
    }
    cr_assert_geq(n_turns, 5);
    cr_assert_eq(mf_loop_wait(loop, 0), 0);
    mf_store_close(store);
}

Test(printer, the_flags_of_a_shared_descriptor_are_not_changed)
{
    int fds[2];

    cr_assert_eq(pipe(fds), 0);
    create(fds[1], fds[1], false);
    add(1, "a", "");
    turn();
    cr_assert_eq(fcntl(fds[1], F_GETFL) & O_NONBLOCK, 0);
    close(fds[0]);
    close(fds[1]);
}

Test(printer, a_stopped_terminal_does_not_stop_the_printer)
{
    static char many[60000];
    struct mf_group group = {.seq = 1, .memory = many, .size = {sizeof(many), 0}};
    int master, terminal;

    cr_assert_eq(openpty(&master, &terminal, NULL, NULL, NULL), 0);
    memset(many, 'x', sizeof(many));
    create(terminal, terminal, false);
    for (int i = 0; i < 10; i++)
        cr_assert_eq(mf_printer_add(printer, &group), 0);
    turn();
    turn();
    cr_assert_gt(mf_printer_backlog(printer), 0u);
    while (!mf_printer_is_idle(printer)) {
        cr_assert(*read_now(master));
        turn();
    }
}

Test(printer, a_reader_that_is_gone_ends_the_printing_for_good)
{
    struct mf_error err = {0};

    create_on_pipes(false);
    close(readers[0]);
    add(1, "a", "");
    cr_assert_eq(mf_printer_turn(printer, &err), -EPIPE);
    cr_assert_str_eq(err.text, "standard output: its reader is gone");
    cr_assert_eq(n_printed, 0);
    cr_assert(mf_printer_is_idle(printer));
    cr_assert_eq(mf_printer_backlog(printer), 0u);
    add(2, "", "b");
    memset(&err, 0, sizeof(err));
    cr_assert_eq(mf_printer_turn(printer, &err), -EPIPE);
    cr_assert_str_eq(err.text, "standard output: its reader is gone");
    cr_assert_str_eq(read_now(readers[1]), "");
    cr_assert_eq(mf_loop_wait(loop, 0), 0);
}

Test(printer, a_socket_whose_reader_is_gone_is_a_broken_pipe_too)
{
    int fds[2];

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    create(fds[1], fds[1], false);
    close(fds[0]);
    add(1, "", "a");
    cr_assert_eq(mf_printer_turn(printer, NULL), -EPIPE);
}

Test(printer, a_full_disk_is_named)
{
    struct mf_error err = {0};
    int fd = open("/dev/full", O_WRONLY);

    create(fd, fd, false);
    add(1, "", "a");
    cr_assert_eq(mf_printer_turn(printer, &err), -ENOSPC);
    cr_assert_str_eq(err.text, "standard error: cannot be written: No space left on device; make "
                               "room there");
}

Test(printer, output_that_cannot_be_read_back_ends_the_printing)
{
    struct mf_group group;
    struct mf_store *store = store_with(1000, fill_pattern, &group);
    struct mf_error err = {0};

    create_on_file(false);
    group.size[0] = 2000;
    cr_assert_eq(mf_printer_add(printer, &group), 0);
    cr_assert_eq(mf_printer_turn(printer, &err), -EIO);
    cr_assert(strstr(err.text, "captured output cannot be read back"), "%s", err.text);
    cr_assert_eq(n_printed, 0);
    mf_store_close(store);
}

Test(printer, a_stream_in_a_store_is_followed_by_the_other)
{
    struct mf_group group;
    struct mf_store *store = store_with(5, fill_lines, &group);

    cr_assert_eq(mf_store_write(store, group.file, group.offset, "outer", 5, NULL), 0);
    group.size[0] = 3;
    group.size[1] = 2;
    create_on_pipes(false);
    cr_assert_eq(mf_printer_add(printer, &group), 0);
    turn();
    cr_assert_str_eq(read_now(readers[0]), "out");
    cr_assert_str_eq(read_now(readers[1]), "er");
    mf_store_close(store);
}

/* Adds groups 1 to 4 in the order of the digits; a capital letter skips that group. */
static void add_permuted(const char *order)
{
    for (; *order; order++) {
        char text[2] = {*order, '\0'};

        if (*order >= 'A')
            cr_assert_eq(mf_printer_skip(printer, (uint64_t)(*order - 'A' + 1)), 0);
        else
            add((uint64_t)(*order - '0'), text, "");
        turn();
    }
}

Test(printer, order_is_kept_for_every_order_of_arrival)
{
    static const char *const orders[] = {
        "1234", "1243", "1324", "1342", "1423", "1432", "2134", "2143",
        "2314", "2341", "2413", "2431", "3124", "3142", "3214", "3241",
        "3412", "3421", "4123", "4132", "4213", "4231", "4312", "4321",
    };

    for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
        create_on_pipes(true);
        add_permuted(orders[i]);
        cr_assert_str_eq(read_now(readers[0]), "1234");
        cr_assert(mf_printer_is_idle(printer));
        mf_printer_destroy(printer);
        close(readers[0]);
        close(readers[1]);
    }
    printer = NULL;
}

Test(printer, a_group_is_printed_as_soon_as_all_before_it_are_there_or_skipped)
{
    create_on_pipes(true);
    add_permuted("32");
    cr_assert_str_eq(read_now(readers[0]), "");
    cr_assert(!mf_printer_is_idle(printer));
    cr_assert_eq(mf_printer_backlog(printer), 0u);
    add_permuted("A");
    cr_assert_str_eq(read_now(readers[0]), "23");
    add_permuted("5D");
    cr_assert_str_eq(read_now(readers[0]), "5");
}

Test(printer, released_from_order_what_waits_comes_out_in_order_and_the_rest_as_it_comes)
{
    create_on_pipes(true);
    add_permuted("842");
    mf_printer_release_order(printer);
    turn();
    cr_assert_str_eq(read_now(readers[0]), "248");
    add_permuted("97");
    cr_assert_str_eq(read_now(readers[0]), "97");
}

Test(printer, without_order_skipping_means_nothing)
{
    create_on_pipes(false);
    add_permuted("3A2");
    cr_assert_str_eq(read_now(readers[0]), "32");
}

Test(printer, destroying_drops_what_waits)
{
    create_on_pipes(true);
    add(2, "b", "");
    add(1, "a", "");
    add(7, "c", "");
    mf_printer_destroy(printer);
    printer = NULL;
    cr_assert_str_eq(read_now(readers[0]), "");
    mf_printer_destroy(NULL);
}
