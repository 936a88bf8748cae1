/* Tests of journal/snapshot.c: reading a journal that a farm is writing. */
#include "t_run.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *run;

static void begin(void)
{
    run = t_run_dir();
}

TestSuite(snapshot, .init = begin, .fini = t_run_remove);

static int count_entries(const char *path)
{
    DIR *list = opendir(path);
    int n = 0;

    cr_assert(list);
    while (readdir(list))
        n++;
    closedir(list);
    return n - 2;
}

Test(snapshot, a_reader_sees_what_a_writer_has_committed_and_leaves_nothing_behind)
{
    struct mf_journal *journal = t_journal(MF_JOURNAL_NEW);
    struct mf_journal *reader;
    int n_entries;

    t_append(journal, 1, 4);
    t_commit(journal);
    t_append(journal, 5, 1);
    n_entries = count_entries(run);
    mkdir(t_run_file("tmp"), 0700);
    setenv("TMPDIR", t_run_file("tmp"), 1);
    reader = t_journal(MF_JOURNAL_READ);
    cr_assert_eq(count_entries(t_run_file("tmp")), 0);
    cr_assert_eq(t_count(reader), 4u);
    t_close(reader);
    cr_assert_eq(count_entries(t_run_file("tmp")), 0);
    rmdir(t_run_file("tmp"));
    cr_assert_eq(count_entries(run), n_entries);
    t_commit(journal);
    t_close(journal);
}

Test(snapshot, an_open_reader_does_not_keep_a_farm_from_starting)
{
    struct mf_journal *reader;
    pid_t pid;
    int status;

    t_close(t_journal(MF_JOURNAL_NEW));
    reader = t_journal(MF_JOURNAL_READ);
    pid = t_fork();
    if (pid == 0) {
        struct mf_journal *journal;

        _exit(mf_journal_open(run, MF_JOURNAL_CONTINUE, &journal, NULL) == 0 ? 0 : 1);
    }
    waitpid(pid, &status, 0);
    cr_assert_eq(status, 0);
    t_close(reader);
}

/* Long rows make copying take longer than what the writer does meanwhile. */
#define GROUP 20
#define N_ROWS 200
#define COMMAND_SIZE 10000

static void append_long(struct mf_journal *journal, uint64_t first)
{
    static char command[COMMAND_SIZE];

    memset(command, 'x', sizeof(command) - 1);
    for (uint64_t seq = first; seq < first + GROUP; seq++) {
        struct mf_journal_attempt attempt = t_attempt(seq, MF_TASK_DONE);

        attempt.command_text = command;
        cr_assert_eq(mf_journal_append(journal, &attempt, NULL), 0);
    }
}

/* Adds rows up to a number and counts its commits, copying the log back all the time. */
static void write_for_ever(void)
{
    struct mf_journal *journal = t_journal(MF_JOURNAL_NEW);
    char count[24];

    for (uint64_t n = 0;; n++) {
        if (n * GROUP < N_ROWS)
            append_long(journal, n * GROUP + 1);
        snprintf(count, sizeof(count), "%llu", (unsigned long long)n);
        cr_assert_eq(mf_journal_set_text(journal, "count", count, NULL), 0);
        t_commit(journal);
        if (n % 8 == 0) {
            t_close(journal);
            journal = t_journal(MF_JOURNAL_CONTINUE);
        }
    }
}

/* What a reader finds. */
struct found {
    uint64_t n_rows;
    uint64_t count;
};

/* Returns false if there is nothing to be read at the moment. */
static bool read_journal(struct found *ret_found)
{
    struct mf_journal *reader;
    struct mf_error err = {0};
    char count[24] = "0";
    int code = mf_journal_open(run, MF_JOURNAL_READ, &reader, &err);

    cr_assert(code == 0 || code == -EAGAIN || code == -ENOENT, "%d: %s", code, err.text);
    if (code)
        return false;
    ret_found->n_rows = t_count(reader);
    code = mf_journal_get_text(reader, "count", count, sizeof(count), &err);
    cr_assert(code == 0 || code == -ENOENT, "%d: %s", code, err.text);
    ret_found->count = strtoull(count, NULL, 10);
    t_close(reader);
    return true;
}

Test(snapshot, readers_beside_a_busy_writer_see_whole_groups_and_never_go_back, .timeout = 600)
{
    struct found last = {0}, now;
    pid_t pid;

    /* On another file system, where copying takes its time. */
    setenv("TMPDIR", "/dev/shm", 1);
    t_close(t_journal(MF_JOURNAL_NEW));
    pid = t_fork();
    if (pid == 0)
        write_for_ever();
    for (int i = 0; i < 200 || last.n_rows < N_ROWS;) {
        if (!read_journal(&now))
            continue;
        cr_assert_eq(now.n_rows % GROUP, 0u);
        cr_assert(now.n_rows >= last.n_rows && now.count >= last.count, "%lu %lu after %lu %lu",
                  now.n_rows, now.count, last.n_rows, last.count);
        last = now;
        i++;
    }
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

Test(snapshot, what_is_no_run_is_said_to_be_none)
{
    t_refused(MF_JOURNAL_READ, -ENOENT, "cannot be opened as a run directory: No such file");
    mkdir(run, 0700);
    t_refused(MF_JOURNAL_READ, -ENOENT, "holds no run: there is no journal.db");
    cr_assert_eq(count_entries(run), 0);
}

Test(snapshot, a_temporary_directory_that_cannot_be_used_is_named)
{
    struct mf_journal *reader;
    struct mf_error err = {0};

    t_close(t_journal(MF_JOURNAL_NEW));
    setenv("TMPDIR", t_run_file("nowhere"), 1);
    cr_assert_eq(mf_journal_open(run, MF_JOURNAL_READ, &reader, &err), -ENOENT);
    cr_assert(strstr(err.text, "run/nowhere: no temporary directory can be made"), "%s", err.text);
    cr_assert(strstr(err.text, "set TMPDIR"), "%s", err.text);
}
