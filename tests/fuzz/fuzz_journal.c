/*
 * A journal that is damaged: what is read of it is in bounds, and what cannot be
 * read is refused with a sentence.
 *
 * The input is what happens to the files of a good journal: edits of five bytes,
 * a place from the end that is cut off, or other bytes for a whole file.
 */
#include "journal/journal.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define N_TASKS 40

/* Where the files of the good journal are changed: in the database, or in what is ahead of it. */
enum { DATABASE, LOG, N_FILES };

/* A file of the good journal, and its damaged copy. */
struct file {
    const char *name;
    uint8_t good[1 << 17];
    uint8_t bytes[1 << 17];
    size_t n_good, size;
};

static char top[64];
static char run[80];
static struct file files[N_FILES] = {{.name = "journal.db"}, {.name = "journal.db-wal"}};

static void require(bool is_true)
{
    if (!is_true)
        abort();
}

static const char *path_of(const struct file *file)
{
    static char path[128];

    snprintf(path, sizeof(path), "%s/%s", run, file->name);
    return path;
}

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    return remove(path);
}

static void remove_all(void)
{
    nftw(top, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* --- the good journal --- */

static void append(struct mf_journal *journal, uint64_t seq)
{
    struct mf_journal_attempt attempt = {
        .seq = seq,
        .id = "a task",
        .command_text = "./sim --input data.dat",
        .attempt = 1,
        .state = seq % 3 ? MF_TASK_DONE : MF_TASK_FAILED,
        .host = "n1",
        .rank = 3,
        .outcome = {.cause = seq % 3 ? MF_CAUSE_NONE : MF_CAUSE_EXIT},
    };

    memcpy(attempt.key, &seq, sizeof(seq));
    require(mf_journal_append(journal, &attempt, NULL) == 0);
}

static void keep(struct file *file)
{
    FILE *from = fopen(path_of(file), "r");

    if (!from)
        return;
    file->n_good = fread(file->good, 1, sizeof(file->good), from);
    fclose(from);
}

/* As a crash leaves it: a part in the database, and a part in the log ahead of it. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    struct mf_journal *journal = NULL;

    snprintf(top, sizeof(top), "%s/fuzz-journal-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    require(mkdtemp(top) != NULL);
    atexit(remove_all);
    snprintf(run, sizeof(run), "%s/run", top);
    for (int half = 0; half < 2; half++) {
        require(mf_journal_open(run, half ? MF_JOURNAL_CONTINUE : MF_JOURNAL_NEW, &journal, NULL) ==
                0);
        for (uint64_t seq = 1; seq <= N_TASKS / 2; seq++)
            append(journal, (uint64_t)half * N_TASKS / 2 + seq);
        require(mf_journal_commit(journal, NULL) == 0);
        if (half)
            for (int i = 0; i < N_FILES; i++)
                keep(&files[i]);
        require(mf_journal_close(journal, NULL) == 0);
    }
    require(files[DATABASE].n_good > 0 && files[LOG].n_good > 0);
    return 0;
}

/* --- the damage --- */

/* Two bytes say where (counted in two bytes), one in which file and what, two are new ones there.
 */
static void damage(const uint8_t step[5])
{
    struct file *file = &files[step[2] & 1];
    size_t at = ((size_t)step[0] << 8 | step[1]) * 2;

    if (file->size == 0)
        return;
    at %= file->size;
    if ((step[2] & 0xfe) == 0xfe) {
        file->size = at;
        return;
    }
    file->bytes[at] = step[3];
    if (at + 1 < file->size)
        file->bytes[at + 1] = step[4];
}

static void write_files(void)
{
    for (int i = 0; i < N_FILES; i++) {
        FILE *to = fopen(path_of(&files[i]), "w");

        require(to && fwrite(files[i].bytes, 1, files[i].size, to) == files[i].size);
        require(fclose(to) == 0);
    }
    /* What is left of an earlier input. */
    files[0].name = "journal.db-shm";
    unlink(path_of(&files[0]));
    files[0].name = "journal.db";
}

/* --- the reading --- */

static int look(void *arg, const struct mf_journal_attempt *attempt)
{
    require(attempt->state < MF_TASK_STATE_COUNT);
    require(attempt->outcome.cause <= MF_CAUSE_MAX);
    /* Each of them ends. */
    require(strlen(attempt->id) + strlen(attempt->command_text) + strlen(attempt->host) < SIZE_MAX);
    require(memchr(attempt->outcome.detail, '\0', sizeof(attempt->outcome.detail)) != NULL);
    return 0;
}

static void read_journal(enum mf_journal_mode mode)
{
    struct mf_journal *journal = NULL;
    struct mf_error err = {0};
    char text[64];

    if (mf_journal_open(run, mode, &journal, &err) < 0) {
        require(journal == NULL && err.text[0] != '\0');
        return;
    }
    if (mf_journal_each(journal, look, NULL, &err) < 0)
        require(err.text[0] != '\0');
    (void)mf_journal_get_text(journal, MF_JOURNAL_STOPPED_BY, text, sizeof(text), &err);
    if (mode == MF_JOURNAL_CONTINUE) {
        (void)mf_journal_forgive(journal, &err);
        append(journal, N_TASKS + 1);
        (void)mf_journal_commit(journal, &err);
    }
    (void)mf_journal_close(journal, &err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (int i = 0; i < N_FILES; i++) {
        files[i].size = files[i].n_good;
        memcpy(files[i].bytes, files[i].good, files[i].n_good);
    }
    /* Other bytes altogether. */
    if (size > 0 && data[0] == 0xff) {
        files[DATABASE].size = size - 1;
        if (files[DATABASE].size > sizeof(files[DATABASE].bytes))
            return 0;
        memcpy(files[DATABASE].bytes, data + 1, size - 1);
        size = 0;
    }
    for (; size >= 5; data += 5, size -= 5)
        damage(data);
    write_files();
    read_journal(MF_JOURNAL_READ);
    read_journal(MF_JOURNAL_CONTINUE);
    return 0;
}
