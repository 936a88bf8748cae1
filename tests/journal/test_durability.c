/* Tests of what the journal survives: kill -9, a torn log, a full disk, damage. */
#include "t_run.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define GROUP 7

static const char *run;

static void begin(void)
{
    run = t_run_dir();
}

TestSuite(durability, .init = begin, .fini = t_run_remove);

/* Commits group after group for ever, and tells of each through fd. */
static void write_for_ever(int fd)
{
    struct mf_journal *journal = t_journal(MF_JOURNAL_NEW);

    for (uint64_t n = 0;; n += GROUP) {
        uint64_t n_committed = n + GROUP;

        t_append(journal, n + 1, GROUP);
        t_commit(journal);
        if (write(fd, &n_committed, sizeof(n_committed)) != sizeof(n_committed))
            _exit(1);
    }
}

/* Starts the writer, lets it commit `n_groups`, and kills it wherever it is then. */
static uint64_t kill_a_writer(int n_groups)
{
    uint64_t n_committed = 0, n;
    int pipe_fds[2];
    pid_t pid;

    cr_assert_eq(pipe(pipe_fds), 0);
    pid = t_fork();
    if (pid == 0)
        write_for_ever(pipe_fds[1]);
    close(pipe_fds[1]);
    while (n_groups-- > 0)
        cr_assert_eq(read(pipe_fds[0], &n_committed, sizeof(n_committed)), 8);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    while (read(pipe_fds[0], &n, sizeof(n)) == sizeof(n))
        n_committed = n;
    close(pipe_fds[0]);
    return n_committed;
}

Test(durability, a_killed_writer_leaves_all_committed_groups_and_no_part_of_another)
{
    for (int n_groups = 1; n_groups < 120; n_groups += 13) {
        uint64_t n_committed = kill_a_writer(n_groups);
        uint64_t n = t_count_in(MF_JOURNAL_CONTINUE);

        cr_assert(n >= n_committed, "%lu of %lu", n, n_committed);
        cr_assert_eq(n % GROUP, 0u);
        t_close(t_journal(MF_JOURNAL_REPLACE));
    }
}

/* Leaves a log of three committed rows in one group and two in the next, as a crash would. */
static void crash_with_a_log(void)
{
    pid_t pid = t_fork();

    if (pid == 0) {
        struct mf_journal *journal = t_journal(MF_JOURNAL_NEW);

        t_append(journal, 1, 3);
        t_commit(journal);
        t_append(journal, 4, 2);
        t_commit(journal);
        t_append(journal, 6, 1);
        raise(SIGKILL);
    }
    waitpid(pid, NULL, 0);
}

Test(durability, rows_of_the_open_group_are_not_there_after_a_crash)
{
    crash_with_a_log();
    cr_assert_eq(t_count_in(MF_JOURNAL_READ), 5u);
    cr_assert_eq(t_count_in(MF_JOURNAL_CONTINUE), 5u);
}

Test(durability, a_torn_end_of_the_log_costs_the_torn_group_only)
{
    struct stat status;

    crash_with_a_log();
    cr_assert_eq(stat(t_run_file("journal.db-wal"), &status), 0);
    cr_assert_eq(truncate(t_run_file("journal.db-wal"), status.st_size - 100), 0);
    cr_assert_eq(t_count_in(MF_JOURNAL_READ), 3u);
    cr_assert_eq(t_count_in(MF_JOURNAL_CONTINUE), 3u);
}

static void limit_file_size(rlim_t bytes)
{
    struct rlimit limit = {bytes, RLIM_INFINITY};

    signal(SIGXFSZ, SIG_IGN);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

Test(durability, a_group_that_did_not_fit_on_the_disk_is_kept_and_committed_later)
{
    struct mf_journal *journal = t_journal(MF_JOURNAL_NEW);
    struct mf_error err = {0};

    t_append(journal, 1, 10);
    t_commit(journal);
    t_append(journal, 11, 1000);
    limit_file_size(100000);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(mf_journal_commit(journal, &err), -EFBIG, "%s", err.text);
        cr_assert(strstr(err.text, "journal.db: cannot be written: File too large; make room"),
                  "%s", err.text);
        cr_assert_eq(mf_journal_pending(journal), 1000u);
        cr_assert_eq(t_count(journal), 10u);
    }
    t_append(journal, 1011, 1);
    limit_file_size(RLIM_INFINITY);
    t_commit(journal);
    cr_assert_eq(mf_journal_pending(journal), 0u);
    cr_assert_eq(t_count(journal), 1011u);
    t_close(journal);
    cr_assert_eq(t_count_in(MF_JOURNAL_CONTINUE), 1011u);
}

Test(durability, a_commit_that_failed_is_not_there_after_a_crash)
{
    pid_t pid = t_fork();

    if (pid == 0) {
        struct mf_journal *journal = t_journal(MF_JOURNAL_NEW);

        t_append(journal, 1, 10);
        t_commit(journal);
        t_append(journal, 11, 1000);
        limit_file_size(100000);
        cr_assert_neq(mf_journal_commit(journal, NULL), 0);
        raise(SIGKILL);
    }
    waitpid(pid, NULL, 0);
    cr_assert_eq(t_count_in(MF_JOURNAL_CONTINUE), 10u);
}

/* A file system of so many bytes at the run directory, in a mount namespace of our own. */
static void mount_small(const char *options)
{
    cr_assert_eq(mkdir(run, 0700), 0);
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("tmpfs", run, "tmpfs", 0, options) < 0)
        cr_skip("mounting is not allowed here: %s\n", strerror(errno));
}

Test(durability, a_full_disk_is_named_and_nothing_is_lost_once_there_is_room)
{
    struct mf_journal *journal;
    struct mf_error err = {0};

    mount_small("size=256k,mode=0700");
    journal = t_journal(MF_JOURNAL_NEW);
    t_append(journal, 1, 5000);
    cr_assert_eq(mf_journal_commit(journal, &err), -ENOSPC, "%s", err.text);
    cr_assert(strstr(err.text, "No space left on device; make room there"), "%s", err.text);
    cr_assert_eq(mount(NULL, run, NULL, MS_REMOUNT, "size=64m"), 0);
    t_commit(journal);
    cr_assert_eq(t_count(journal), 5000u);
    t_close(journal);
    umount2(run, MNT_DETACH);
}

Test(durability, a_disk_that_is_full_from_the_start_is_named)
{
    static char zeros[8192];

    mount_small("size=8k,mode=0700");
    t_run_write("lock", zeros, sizeof(zeros));
    t_refused(MF_JOURNAL_NEW, -ENOSPC, "No space left on device; make room there");
    umount2(run, MNT_DETACH);
}

Test(durability, a_file_that_is_no_database_is_named_and_only_replaced_when_asked_to)
{
    static const char text[] = "this is the diary of somebody, not a database at all, is it?\n";

    mkdir(run, 0700);
    t_run_write("journal.db", text, sizeof(text));
    t_refused(MF_JOURNAL_NEW, -EBADMSG, "journal.db: is not a journal of mpifarm");
    t_refused(MF_JOURNAL_CONTINUE, -EBADMSG, "use --run-dir for another directory, or --force");
    t_refused(MF_JOURNAL_READ, -EBADMSG, "is not a journal of mpifarm");
    cr_assert_eq(t_count_in(MF_JOURNAL_REPLACE), 0u);
}

static void run_sql(const char *sql)
{
    sqlite3 *db;

    cr_assert_eq(sqlite3_open(t_run_file("journal.db"), &db), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK, "%s", sqlite3_errmsg(db));
    sqlite3_close(db);
}

Test(durability, a_database_of_another_program_is_refused_and_left_alone)
{
    mkdir(run, 0700);
    run_sql("CREATE TABLE song (title TEXT)");
    t_refused(MF_JOURNAL_NEW, -EBADMSG, "is not a journal of mpifarm");
    t_refused(MF_JOURNAL_CONTINUE, -EBADMSG, "is not a journal of mpifarm");
    run_sql("INSERT INTO song VALUES ('still here')");
}

Test(durability, a_journal_of_another_version_is_refused)
{
    t_close(t_journal(MF_JOURNAL_NEW));
    run_sql("PRAGMA user_version = 0");
    t_refused(MF_JOURNAL_CONTINUE, -EBADMSG, "(its version is 0, this program knows 1)");
    run_sql("PRAGMA user_version = 2");
    t_refused(MF_JOURNAL_CONTINUE, -EBADMSG,
              "was written by another mpifarm (its version is 2, this program knows 1)");
    t_refused(MF_JOURNAL_READ, -EBADMSG, "another mpifarm");
}

static int count_any(void *arg, const struct mf_journal_attempt *attempt)
{
    ++*(int *)arg;
    return 0;
}

Test(durability, a_damaged_journal_is_named_with_what_to_do)
{
    struct mf_journal *journal = t_journal(MF_JOURNAL_NEW);
    struct mf_error err = {0};
    char garbage[4096 * 6];
    int fd, n = 0;

    t_append(journal, 1, 2000);
    t_close(journal);
    memset(garbage, 0x5a, sizeof(garbage));
    fd = open(t_run_file("journal.db"), O_WRONLY);
    cr_assert_eq(pwrite(fd, garbage, sizeof(garbage), 4096 * 10), (ssize_t)sizeof(garbage));
    close(fd);
    journal = t_journal(MF_JOURNAL_READ);
    cr_assert_eq(mf_journal_each(journal, count_any, &n, &err), -EBADMSG);
    cr_assert(strstr(err.text, "run/journal.db: is damaged ("), "%s", err.text);
    cr_assert(strstr(err.text, "use --force to start afresh"), "%s", err.text);
    t_close(journal);
}

Test(durability, a_row_that_makes_no_sense_is_damage)
{
    struct mf_journal *journal = t_journal(MF_JOURNAL_NEW);
    struct mf_error err = {0};
    int n = 0;

    t_append(journal, 1, 2);
    t_close(journal);
    run_sql("UPDATE attempt SET cause = 99 WHERE row = 2");
    journal = t_journal(MF_JOURNAL_CONTINUE);
    cr_assert_eq(mf_journal_each(journal, count_any, &n, &err), -EBADMSG);
    cr_assert_eq(n, 1);
    cr_assert(strstr(err.text, "makes no sense"), "%s", err.text);
    t_close(journal);
}

Test(durability, a_journal_whose_making_was_cut_off_is_made_again)
{
    mkdir(run, 0700);
    t_run_write("journal.db", "", 0);
    t_refused(MF_JOURNAL_READ, -ENOENT, "holds no run yet");
    cr_assert_eq(t_count_in(MF_JOURNAL_NEW), 0u);
}
