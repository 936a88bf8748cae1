/* A run directory for a test: see t_run.h. Each Criterion test is a process of its own. */
#include "t_run.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static char top[64];
static char run[96];

const char *t_run_dir(void)
{
    snprintf(top, sizeof(top), "/tmp/t-journal-XXXXXX");
    cr_assert(mkdtemp(top));
    snprintf(run, sizeof(run), "%s/run", top);
    return run;
}

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    return remove(path);
}

void t_run_remove(void)
{
    if (*top)
        nftw(top, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

const char *t_run_file(const char *name)
{
    static char path[256];

    snprintf(path, sizeof(path), "%s/%s", run, name);
    return path;
}

void t_run_write(const char *name, const void *data, size_t n)
{
    int fd = open(t_run_file(name), O_WRONLY | O_CREAT | O_TRUNC, 0600);

    cr_assert(fd >= 0);
    cr_assert_eq(write(fd, data, n), (ssize_t)n);
    close(fd);
}

pid_t t_fork(void)
{
    pid_t parent = getpid();
    pid_t pid = fork();

    cr_assert(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(1);
    }
    return pid;
}

struct mf_journal *t_journal(enum mf_journal_mode mode)
{
    struct mf_journal *journal = NULL;
    struct mf_error err = {0};

    cr_assert_eq(mf_journal_open(run, mode, &journal, &err), 0, "%s", err.text);
    return journal;
}

void t_refused(enum mf_journal_mode mode, int code, const char *words)
{
    struct mf_journal *journal = NULL;
    struct mf_error err = {0};
    int got = mf_journal_open(run, mode, &journal, &err);

    cr_assert_eq(got, code, "%d: %s", got, err.text);
    cr_assert(strstr(err.text, words), "%s", err.text);
    cr_assert(strstr(err.text, run), "%s", err.text);
    cr_assert_null(journal);
}

struct mf_journal_attempt t_attempt(uint64_t seq, enum mf_task_state state)
{
    static char id[24], command[64];
    struct mf_journal_attempt attempt = {
        .seq = seq,
        .id = id,
        .command_text = command,
        .attempt = 1,
        .state = state,
        .host = "n1",
        .rank = 3,
        .outcome = {.cause = state == MF_TASK_DONE ? MF_CAUSE_NONE : MF_CAUSE_EXIT},
    };

    snprintf(id, sizeof(id), "%llu", (unsigned long long)seq);
    snprintf(command, sizeof(command), "./sim --input data/%llu.dat", (unsigned long long)seq);
    memcpy(attempt.key, &seq, sizeof(seq));
    return attempt;
}

void t_append(struct mf_journal *journal, uint64_t first, uint64_t n)
{
    for (uint64_t seq = first; seq < first + n; seq++) {
        struct mf_journal_attempt attempt = t_attempt(seq, MF_TASK_DONE);
        struct mf_error err = {0};

        cr_assert_eq(mf_journal_append(journal, &attempt, &err), 0, "%s", err.text);
    }
}

void t_commit(struct mf_journal *journal)
{
    struct mf_error err = {0};

    cr_assert_eq(mf_journal_commit(journal, &err), 0, "%s", err.text);
}

void t_close(struct mf_journal *journal)
{
    struct mf_error err = {0};

    cr_assert_eq(mf_journal_close(journal, &err), 0, "%s", err.text);
}

static int count_row(void *arg, const struct mf_journal_attempt *attempt)
{
    uint64_t *n = arg;

    cr_assert_eq(attempt->row, ++*n);
    return 0;
}

uint64_t t_count(struct mf_journal *journal)
{
    struct mf_error err = {0};
    uint64_t n = 0;

    cr_assert_eq(mf_journal_each(journal, count_row, &n, &err), 0, "%s", err.text);
    return n;
}

uint64_t t_count_in(enum mf_journal_mode mode)
{
    struct mf_journal *journal = t_journal(mode);
    uint64_t n = t_count(journal);

    t_close(journal);
    return n;
}
