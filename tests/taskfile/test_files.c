/* Reading again what was checked: loads, large files, files that change. */
#include "support.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

TestSuite(files, .init = t_enter, .fini = t_leave);

/* A file of n tasks on lines of different lengths, with comments and changing defaults between. */
static const char *numbered(const char *name, int n)
{
    FILE *file = fopen(name, "w");

    cr_assert(file);
    for (int i = 1; i <= n; i++) {
        if (i % 7 == 0)
            fputs("# comment\n\n", file);
        if (i % 300 == 0)
            fprintf(file, "#FARM cores=%d\n", i / 300);
        fprintf(file, "task %d %*s\n", i, i % 50, "");
    }
    fclose(file);
    return name;
}

/* Checks that a task which was read before is the same when it is loaded. */
static void expect_same(struct mf_source *source, uint64_t cookie, const char *shown)
{
    const struct mf_entry *entry = NULL;
    struct mf_error err = {0};
    int r = mf_source_load(source, cookie, &entry, &err);

    cr_assert(r == 0, "%s", err.text);
    cr_assert_eq(entry->cookie, cookie);
    cr_assert_str_eq(t_show(entry), shown);
}

Test(files, a_task_can_be_loaded_in_any_order)
{
    enum { N = 3000 };
    struct mf_source *source = t_open(numbered("a.farm", N), numbered("b.farm", 10), NULL);
    static uint64_t cookies[N + 10];
    static const char *shown[N + 10];

    for (int i = 0; i < N + 10; i++) {
        const struct mf_entry *entry = t_next(source);

        cookies[i] = entry->cookie;
        shown[i] = t_show(entry);
    }
    for (int i = 0; i < N + 10; i++)
        expect_same(source, cookies[i], shown[i]);
    for (int i = N + 10; i-- > 0;)
        expect_same(source, cookies[i], shown[i]);
    for (int i = 0; i < N + 10; i++) {
        int at = i * 1237 % (N + 10);

        expect_same(source, cookies[at], shown[at]);
    }
    mf_source_close(source);
}

Test(files, loading_does_not_disturb_reading)
{
    struct mf_source *source = t_open(numbered("a.farm", 1000), NULL);
    uint64_t first = t_next(source)->cookie;

    for (int i = 2; i <= 1000; i++) {
        char word[16];

        expect_same(source, first, "1: [task][1]");
        snprintf(word, sizeof(word), "%d", i);
        cr_assert_str_eq(t_next(source)->command.args[1], word);
    }
    mf_source_close(source);
}

Test(files, a_cookie_that_was_never_given_is_refused)
{
    struct mf_source *source = t_open(numbered("a.farm", 3), NULL);
    const struct mf_entry *entry = NULL;
    struct mf_error err = {0};

    cr_assert(mf_source_load(source, 3, &entry, &err) < 0);
    cr_assert_str_eq(err.text, "there is no task with cookie 3");
    cr_assert(mf_source_load(source, UINT64_C(1) << 40, &entry, &err) < 0);
    mf_source_close(source);
}

Test(files, the_summary_has_the_most_of_each_need_and_tasks_have_their_place)
{
    struct mf_source *source;
    struct mf_source_summary summary;
    struct mf_error err = {0};
    uint64_t cookie;

    t_write("a.farm", "#FARM mem=2K\na\n\n[cores=3 mem=1K] b\n");
    t_write("b.farm", "# c\n[gpus=4] c\n");
    source = t_open("a.farm", "b.farm", NULL);
    mf_source_summarize(source, &summary);
    cr_assert(summary.largest.n_slots == 3 && summary.largest.n_gpus == 4);
    cr_assert_eq(summary.largest.mem_bytes, 2048);
    t_next(source);
    t_next(source);
    cookie = t_next(source)->cookie;
    mf_source_rewind(source);
    cr_assert_str_eq(t_show(t_next(source)), "a.farm:2: [a] mem=2048");
    mf_error_set(&err, -ERANGE, "too much");
    cr_assert_eq(mf_source_at(source, cookie, -ERANGE, &err), -ERANGE);
    cr_assert_str_eq(err.text, "b.farm:2: too much");
    cr_assert_str_eq(t_show(t_next(source)), "a.farm:4: [b] cores=3 mem=1024");
    mf_source_close(source);
}

Test(files, the_summary_counts_tasks_and_compares_priorities)
{
    struct mf_source_summary summary;

    t_write("a.farm", "a\n# b\nc\n");
    t_write("b.farm", "[priority=0] d\n");
    mf_source_summarize(t_open("a.farm", "b.farm", NULL), &summary);
    cr_assert_eq(summary.n_tasks, 3);
    cr_assert(summary.is_counted);
    cr_assert(!summary.has_priority);

    t_write("b.farm", "#FARM priority=1\nd\n");
    mf_source_summarize(t_open("b.farm", NULL), &summary);
    cr_assert(!summary.has_priority, "all have the same");
    mf_source_summarize(t_open("a.farm", "b.farm", NULL), &summary);
    cr_assert(summary.has_priority);
}

Test(files, the_end_is_told_again_and_again)
{
    struct mf_source *source = t_open(t_write("a.farm", "a\n"), NULL);
    const struct mf_entry *entry;

    t_next(source);
    cr_assert_eq(mf_source_next(source, &entry, NULL), 1);
    cr_assert_eq(mf_source_next(source, &entry, NULL), 1);
    cr_assert_eq(mf_source_fd(source), -1);
    mf_source_close(source);
}

Test(files, lines_may_lie_across_blocks)
{
    size_t n = 3 << 20, size = 0;
    char *text = malloc(n + 256);
    struct mf_source *source;

    for (int i = 0; size < n; i++)
        size += (size_t)sprintf(text + size, "x %0*d\n", 1 + i % 97, i % 10);
    t_write_bytes("a.farm", text, size);
    source = t_open("a.farm", NULL);
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
        cr_assert_str_eq(t_next(source)->command.args[1], line + 2);
    mf_source_close(source);
}

Test(files, a_long_line_takes_little_memory)
{
    enum { N = 64 << 20 };
    char *block = malloc(1 << 20);
    FILE *file = fopen("a.farm", "w");
    struct rusage before, after;

    cr_assert(block && file);
    memset(block, 'x', 1 << 20);
    for (int i = 0; i < N >> 20; i++)
        cr_assert(fwrite(block, 1 << 20, 1, file) == 1);
    fclose(file);
    free(block);
    getrusage(RUSAGE_SELF, &before);
    cr_assert_str_eq(
        t_open_error("a.farm", NULL),
        "a.farm:1: the command is 67108864 bytes long, but the system takes no more than "
        "131071");
    getrusage(RUSAGE_SELF, &after);
    cr_assert(after.ru_maxrss - before.ru_maxrss < 16 << 10, "%ld KiB",
              after.ru_maxrss - before.ru_maxrss);
}

Test(files, appending_to_a_file_that_is_read_adds_nothing)
{
    struct mf_source *source = t_open(t_write("a.farm", "a\nb\n"), NULL);
    FILE *file = fopen("a.farm", "a");

    fputs("c\n", file);
    fclose(file);
    cr_assert_str_eq(t_show_all(source), "1: [a]\n2: [b]\n");
    mf_source_close(source);
}

Test(files, a_file_that_is_replaced_is_still_read)
{
    struct mf_source *source = t_open(t_write("a.farm", "a\nb\n"), NULL);

    t_write("new.farm", "c\n");
    cr_assert(rename("new.farm", "a.farm") == 0);
    cr_assert_str_eq(t_show_all(source), "1: [a]\n2: [b]\n");
    mf_source_close(source);
}

Test(files, a_file_that_no_longer_parses_is_said_to_have_changed)
{
    struct mf_source *source = t_open(t_write("a.farm", "a\nb                \n"), NULL);

    t_write("a.farm", "a\n[cores=x] b            \n");
    t_next(source);
    cr_assert(strncmp(t_show_all(source),
                      "a.farm has changed since it was checked: a.farm:2: in [key=value", 64) == 0);
    mf_source_close(source);
}

Test(files, a_file_that_lost_tasks_is_said_to_have_changed)
{
    const struct mf_entry *entry;
    struct mf_error err = {0};
    struct mf_source *source = t_open(t_write("a.farm", "a\nb\n"), NULL);

    cr_assert(truncate("a.farm", 2) == 0);
    cr_assert_str_eq(t_show_all(source),
                     "1: [a]\na.farm has changed since it was checked: tasks are missing");
    cr_assert(mf_source_load(source, 1, &entry, &err) < 0);
    cr_assert_str_eq(err.text, "a.farm has changed since it was checked: tasks are missing");
    mf_source_close(source);
}

Test(files, a_file_that_gained_tasks_inside_is_said_to_have_changed)
{
    struct mf_source *source = t_open(t_write("a.farm", "a\nb   \n"), NULL);

    t_write("a.farm", "a\nb\nc\nd\n");
    cr_assert_str_eq(
        t_show_all(source),
        "1: [a]\n2: [b]\na.farm has changed since it was checked: a.farm:3: this task was "
        "not here before");
    mf_source_close(source);
}
