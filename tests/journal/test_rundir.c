/* Tests of journal/rundir.c: whose directory it is, who uses it, what is replaced. */
#include "t_run.h"

#include "journal/rundir.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *run;

static void begin(void)
{
    run = t_run_dir();
}

TestSuite(rundir, .init = begin, .fini = t_run_remove);

static mode_t mode_of(const char *path)
{
    struct stat status;

    cr_assert_eq(stat(path, &status), 0);
    return status.st_mode & 07777;
}

Test(rundir, the_directory_and_its_files_are_the_users_alone_whatever_the_umask)
{
    umask(0777);
    t_close(t_journal(MF_JOURNAL_NEW));
    cr_assert_eq(mode_of(run), 0700u);
    cr_assert_eq(mode_of(t_run_file("journal.db")), 0600u);
    cr_assert_eq(mode_of(t_run_file("lock")), 0600u);
}

Test(rundir, an_open_umask_does_not_open_the_files)
{
    struct mf_journal *journal;

    umask(0);
    journal = t_journal(MF_JOURNAL_NEW);
    t_append(journal, 1, 1);
    t_commit(journal);
    cr_assert_eq(mode_of(run), 0700u);
    cr_assert_eq(mode_of(t_run_file("journal.db")), 0600u);
    cr_assert_eq(mode_of(t_run_file("journal.db-wal")), 0600u);
    t_close(journal);
}

Test(rundir, a_second_farm_is_refused_and_told_who_has_the_directory)
{
    struct mf_journal *journal = t_journal(MF_JOURNAL_NEW);
    char host[256] = "", words[320];

    gethostname(host, sizeof(host) - 1);
    snprintf(words, sizeof(words), "in use by process %d on host %s", getpid(), host);
    t_refused(MF_JOURNAL_NEW, -EBUSY, words);
    t_refused(MF_JOURNAL_REPLACE, -EBUSY, words);
    t_refused(MF_JOURNAL_CONTINUE, -EBUSY, words);
    t_append(journal, 1, 1);
    t_close(journal);
    cr_assert_eq(t_count_in(MF_JOURNAL_CONTINUE), 1u);
}

Test(rundir, a_lock_file_without_a_holder_is_not_in_the_way)
{
    cr_assert_eq(mkdir(run, 0700), 0);
    t_run_write("lock", "123 n1\n", 7);
    t_close(t_journal(MF_JOURNAL_NEW));
}

Test(rundir, the_lock_ends_with_a_killed_process)
{
    int pipe_fds[2];
    char byte;
    pid_t pid;

    cr_assert_eq(pipe(pipe_fds), 0);
    pid = t_fork();
    if (pid == 0) {
        t_journal(MF_JOURNAL_NEW);
        (void)!write(pipe_fds[1], "x", 1);
        for (;;)
            pause();
    }
    cr_assert_eq(read(pipe_fds[0], &byte, 1), 1);
    t_refused(MF_JOURNAL_CONTINUE, -EBUSY, "in use by process");
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    t_close(t_journal(MF_JOURNAL_CONTINUE));
}

Test(rundir, without_the_lock_file_the_database_itself_refuses_a_second_farm)
{
    struct mf_journal *journal = t_journal(MF_JOURNAL_NEW);
    pid_t pid;
    int status;

    t_append(journal, 1, 1);
    t_commit(journal);
    unlink(t_run_file("lock"));
    /* In another process: SQLite's locks do not keep a process from itself. */
    pid = t_fork();
    if (pid == 0) {
        struct mf_journal *second;

        _exit(mf_journal_open(run, MF_JOURNAL_CONTINUE, &second, NULL) == -EBUSY ? 0 : 1);
    }
    waitpid(pid, &status, 0);
    cr_assert_eq(status, 0);
    t_close(journal);
}

Test(rundir, a_directory_of_other_files_is_refused_and_left_alone)
{
    cr_assert_eq(mkdir(run, 0700), 0);
    t_run_write("thesis.tex", "x", 1);
    for (int mode = MF_JOURNAL_NEW; mode <= MF_JOURNAL_CONTINUE; mode++)
        t_refused((enum mf_journal_mode)mode, -ENOTEMPTY,
                  "is not a run directory: it holds thesis.tex");
    cr_assert_neq(access(t_run_file("lock"), F_OK), 0);
    cr_assert_eq(access(t_run_file("thesis.tex"), F_OK), 0);
}

Test(rundir, a_run_directory_without_its_journal_is_told_from_other_directories)
{
    t_close(t_journal(MF_JOURNAL_NEW));
    t_run_write("joblog.tsv", "x\n", 2);
    cr_assert_eq(unlink(t_run_file("journal.db")), 0);
    for (int mode = MF_JOURNAL_NEW; mode <= MF_JOURNAL_CONTINUE; mode++)
        t_refused((enum mf_journal_mode)mode, -ENOTEMPTY,
                  "its journal.db is missing, and with it what is known of the run; put a copy");
}

Test(rundir, an_empty_directory_that_exists_is_used)
{
    cr_assert_eq(mkdir(run, 0700), 0);
    t_close(t_journal(MF_JOURNAL_NEW));
}

Test(rundir,
     replacing_empties_the_journal_and_the_job_log_and_removes_the_files_of_out_and_nothing_else)
{
    struct mf_journal *journal = t_journal(MF_JOURNAL_NEW);

    t_append(journal, 1, 3);
    t_close(journal);
    mkdir(t_run_file("out"), 0700);
    mkdir(t_run_file("out/mine"), 0700);
    t_run_write("out/spool.0", "x", 1);
    t_run_write("joblog.tsv", "x\n", 2);
    t_run_write("notes", "x", 1);
    cr_assert_eq(t_count_in(MF_JOURNAL_REPLACE), 0u);
    cr_assert_neq(access(t_run_file("out/spool.0"), F_OK), 0);
    cr_assert_eq(access(t_run_file("out/mine"), F_OK), 0);
    cr_assert_eq(truncate(t_run_file("joblog.tsv"), 0), 0, "it is there, for who follows it");
    cr_assert_eq(access(t_run_file("notes"), F_OK), 0);
}

Test(rundir, a_log_left_behind_by_the_replaced_run_does_not_come_back)
{
    pid_t pid = t_fork();

    if (pid == 0) {
        struct mf_journal *journal = t_journal(MF_JOURNAL_NEW);

        t_append(journal, 1, 3);
        t_commit(journal);
        raise(SIGKILL);
    }
    waitpid(pid, NULL, 0);
    cr_assert_eq(access(t_run_file("journal.db-wal"), F_OK), 0);
    cr_assert_eq(t_count_in(MF_JOURNAL_REPLACE), 0u);
    cr_assert_eq(t_count_in(MF_JOURNAL_CONTINUE), 0u);
}

Test(rundir, a_missing_parent_and_a_file_in_place_of_the_directory_are_named)
{
    struct mf_journal *journal;
    struct mf_error err = {0};
    char path[256];

    snprintf(path, sizeof(path), "%s/a/b", run);
    cr_assert_eq(mf_journal_open(path, MF_JOURNAL_NEW, &journal, &err), -ENOENT);
    cr_assert(strstr(err.text, "cannot be made: No such file or directory; make the directory "
                               "above it first"),
              "%s", err.text);
    cr_assert_eq(close(open(run, O_CREAT | O_WRONLY, 0600)), 0);
    t_refused(MF_JOURNAL_NEW, -ENOTDIR, "is a file, and a run needs a directory");
    snprintf(path, sizeof(path), "%s/b", run);
    cr_assert_eq(mf_journal_open(path, MF_JOURNAL_NEW, &journal, &err), -ENOTDIR);
    cr_assert(strstr(err.text, "Not a directory; one of those above it is a file"), "%s", err.text);
}

static void become_nobody(void)
{
    if (geteuid() != 0)
        cr_skip("only root can become somebody else\n");
    cr_assert_eq(seteuid(65534), 0);
}

Test(rundir, a_directory_of_somebody_else_is_refused_also_through_a_symbolic_link)
{
    char top[256], link[300];
    struct mf_journal *journal;
    struct mf_error err = {0};

    snprintf(top, sizeof(top), "%.*s", (int)(strrchr(run, '/') - run), run);
    snprintf(link, sizeof(link), "%s/link", top);
    cr_assert_eq(chmod(top, 0755), 0);
    cr_assert_eq(mkdir(run, 0777), 0);
    cr_assert_eq(chmod(run, 0777), 0);
    cr_assert_eq(symlink(run, link), 0);
    become_nobody();
    t_refused(MF_JOURNAL_NEW, -EACCES, "belongs to user 0, not to you (user 65534)");
    cr_assert_eq(mf_journal_open(link, MF_JOURNAL_REPLACE, &journal, &err), -EACCES);
    cr_assert(strstr(err.text, "belongs to user 0"), "%s", err.text);
    cr_assert_eq(seteuid(0), 0);
}

Test(rundir, a_directory_that_cannot_be_made_for_lack_of_rights_is_named)
{
    become_nobody();
    t_refused(MF_JOURNAL_NEW, -EACCES, "use --run-dir for a directory that you can write to");
    cr_assert_eq(seteuid(0), 0);
}

Test(rundir, a_read_only_file_system_is_named)
{
    t_close(t_journal(MF_JOURNAL_NEW));
    /* In a mount namespace of our own, so that nothing is left behind. */
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount(run, run, NULL, MS_BIND, NULL) < 0 ||
        mount(NULL, run, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) < 0)
        cr_skip("mounting is not allowed here: %s\n", strerror(errno));
    t_refused(MF_JOURNAL_CONTINUE, -EROFS, "Read-only file system; use --run-dir");
    cr_assert_eq(t_count_in(MF_JOURNAL_READ), 0u);
    cr_assert_eq(umount2(run, MNT_DETACH), 0);
}

Test(rundir, an_onlooker_sees_whether_a_farm_holds_the_lock_and_takes_none)
{
    struct mf_journal *journal = t_journal(MF_JOURNAL_NEW);

    cr_assert_eq(mf_rundir_is_held(run), 1);
    t_close(journal);
    cr_assert_eq(mf_rundir_is_held(run), 0);
    t_close(t_journal(MF_JOURNAL_CONTINUE));
}

Test(rundir, a_directory_without_a_lock_is_held_by_nobody)
{
    cr_assert_eq(mf_rundir_is_held(run), -ENOENT);
    cr_assert_eq(mkdir(run, 0700), 0);
    cr_assert_eq(mf_rundir_is_held(run), 0);
    cr_assert_neq(access(t_run_file("lock"), F_OK), 0);
}

Test(rundir, an_onlooker_sees_whether_there_is_a_journal_to_continue)
{
    struct mf_journal *journal = t_journal(MF_JOURNAL_NEW);

    t_append(journal, 1, 1);
    t_commit(journal);
    cr_assert(mf_rundir_has_journal(run), "in the log");
    t_close(journal);
    cr_assert(mf_rundir_has_journal(run), "out of the log");
    cr_assert_eq(truncate(t_run_file("journal.db"), 4096), 0);
    cr_assert_not(mf_rundir_has_journal(run));
    cr_assert_eq(unlink(t_run_file("journal.db")), 0);
    cr_assert_not(mf_rundir_has_journal(run));
}

Test(rundir, a_journal_that_was_removed_is_told_from_a_directory_that_was)
{
    struct mf_journal *journal = t_journal(MF_JOURNAL_NEW);
    struct mf_error err;
    char moved[300];

    cr_assert_eq(mf_journal_check_place(journal, &err), 0);
    cr_assert_eq(unlink(t_run_file("journal.db")), 0);
    cr_assert_eq(mf_journal_check_place(journal, &err), -ENODATA);
    cr_assert(strstr(err.text, "journal.db: was removed during the run"), "%s", err.text);
    t_run_write("journal.db", "", 0);
    cr_assert_eq(mf_journal_check_place(journal, &err), -ENOENT, "somebody else's");
    snprintf(moved, sizeof(moved), "%s.moved", run);
    cr_assert_eq(rename(run, moved), 0);
    cr_assert_eq(mf_journal_check_place(journal, &err), -ENOENT);
    cr_assert_eq(mkdir(run, 0700), 0);
    cr_assert_eq(mf_journal_check_place(journal, &err), -ENOENT);
    t_close(journal);
}

Test(rundir, a_lock_that_somebody_else_has_taken_is_noticed)
{
    struct mf_journal *journal = t_journal(MF_JOURNAL_NEW);
    struct mf_error err;
    int fd;

    cr_assert_eq(mf_journal_check_lock(journal, &err), 0);
    /* As where a file server has given the lock away: whoever takes it writes its name. */
    fd = open(t_run_file("lock"), O_WRONLY | O_TRUNC | O_CLOEXEC);
    cr_assert(fd >= 0 && write(fd, "77 far\n", 7) == 7);
    close(fd);
    cr_assert_eq(mf_journal_check_lock(journal, &err), -ESTALE);
    cr_assert_neq(strstr(err.text, "in use by process 77 on host far"), NULL, "%s", err.text);
    t_close(journal);
}
