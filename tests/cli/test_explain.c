/* What explain says of journals that the test wrote. */
#include "t_table.h"

#include "cli/explain_private.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECOND INT64_C(1000000000)

/* When the attempts of the tests began: 2023-11-14 22:13:20 UTC. */
#define BEGAN (1700000000 * SECOND)

static struct mf_journal *journal;
static struct mf_explain explain;

static void begin(void)
{
    char top[] = "/tmp/t-explain-XXXXXX";
    struct mf_error err;

    cr_assert(ne(ptr, mkdtemp(top), NULL));
    cr_assert(eq(int, chdir(top), 0));
    setenv("TZ", "UTC", 1);
    cr_assert(eq(int, mf_journal_open("run", MF_JOURNAL_NEW, &journal, &err), 0), "%s", err.text);
}

static void end(void)
{
    char command[256], top[128];

    mf_explain_finish(&explain);
    mf_journal_close(journal, NULL);
    cr_assert(ne(ptr, getcwd(top, sizeof(top)), NULL));
    snprintf(command, sizeof(command), "rm -rf '%s'", top);
    cr_assert(eq(int, system(command), 0));
}

TestSuite(explain, .init = begin, .fini = end);

/* An attempt on n1 that took 1.2 s. */
static struct mf_journal_attempt ran(const char *id, enum mf_task_state state, int exit_status)
{
    return (struct mf_journal_attempt){
        .id = id,
        .command_text = "./fit",
        .attempt = 1,
        .state = state,
        .host = "n1",
        .outcome = {.cause = exit_status ? MF_CAUSE_EXIT : MF_CAUSE_NONE,
                    .exit_status = exit_status,
                    .slot = 3,
                    .started_wall_ns = BEGAN,
                    .duration_ns = 12 * SECOND / 10},
    };
}

/* The end of a task that never ran. */
static struct mf_journal_attempt never_ran(const char *id, enum mf_task_state state,
                                           enum mf_cause cause, const char *detail)
{
    struct mf_journal_attempt row = {.id = id,
                                     .command_text = "./fit",
                                     .state = state,
                                     .host = "",
                                     .rank = MF_WORKER_NONE,
                                     .outcome = {.cause = cause, .exit_status = -1}};

    row.outcome.started_wall_ns = BEGAN;
    snprintf(row.outcome.detail, sizeof(row.outcome.detail), "%s", detail);
    return row;
}

static void add(struct mf_journal_attempt row)
{
    struct mf_error err;

    cr_assert(eq(int, mf_journal_append(journal, &row, &err), 0), "%s", err.text);
}

static void commit(void)
{
    struct mf_error err;

    cr_assert(eq(int, mf_journal_commit(journal, &err), 0), "%s", err.text);
}

/* The run ends, stopped by that, "" for nothing. */
static void end_run(const char *why)
{
    mf_journal_set_text(journal, MF_JOURNAL_STOPPED_BY, why, NULL);
    cr_assert(eq(int, mf_journal_close(journal, NULL), 0));
    journal = NULL;
}

static void write_status(int64_t began_s, bool is_finished, int n_total, int n_running)
{
    FILE *file = fopen("run/status.json", "w");

    fprintf(file,
            "{\"updated\": %lld.5, \"elapsed\": 10.0, \"finished\": %s, \"total\": %d, "
            "\"running\": %d}",
            (long long)began_s + 10, is_finished ? "true" : "false", n_total, n_running);
    cr_assert(eq(int, fclose(file), 0));
}

/* Of a run that goes on and has lost workers. */
static void write_losses(int n_workers, int n_lost)
{
    FILE *file = fopen("run/status.json", "w");

    fprintf(file,
            "{\"updated\": %lld.5, \"elapsed\": 10.0, \"finished\": false, \"total\": 1, "
            "\"running\": 0, \"workers\": %d, \"lost\": %d}",
            (long long)(BEGAN / SECOND) + 10, n_workers, n_lost);
    cr_assert(eq(int, fclose(file), 0));
}

/* The last one, of a run of three tasks. */
static void write_stopped_status(int64_t updated_s, const char *why)
{
    FILE *file = fopen("run/status.json", "w");

    fprintf(file,
            "{\"updated\": %lld.5, \"elapsed\": 10.0, \"finished\": true, \"total\": 3, "
            "\"running\": 0, \"stopped_by\": \"%s\"}",
            (long long)updated_s, why);
    cr_assert(eq(int, fclose(file), 0));
}

/* Opens what the test has written until now. */
static void look(void)
{
    struct mf_error err;

    mf_explain_finish(&explain);
    cr_assert(eq(int, mf_explain_open(&explain, "run", &err), 0), "%s", err.text);
}

/* What is said of the run as a whole. */
static void assert_run(const char *expected)
{
    char *text = NULL;
    size_t size;
    FILE *file = open_memstream(&text, &size);
    struct mf_error err;

    look();
    cr_assert(eq(int, mf_explain_run(&explain, file, &err), 0), "%s", err.text);
    fclose(file);
    assert_text(text, expected);
    free(text);
}

/* What is said of a task; the text is the caller's. */
static char *ask(const struct mf_task_set *set, const char *id)
{
    char *text = NULL;
    size_t size;
    FILE *file = open_memstream(&text, &size);
    struct mf_error err;

    look();
    cr_assert(eq(int, mf_explain_task(&explain, set, id, file, &err), 0), "%s", err.text);
    fclose(file);
    return text;
}

static void assert_task(const struct mf_task_set *set, const char *id, const char *expected)
{
    char *text = ask(set, id);

    assert_text(text, expected);
    free(text);
}

/* The same, of the first line alone. */
static void assert_sentence(const char *id, const char *expected)
{
    char *text = ask(NULL, id);

    text[strcspn(text, "\n")] = '\0';
    assert_text(text, expected);
    free(text);
}

static void assert_no_task(const struct mf_task_set *set, const char *id)
{
    char *text = NULL;
    size_t size;
    FILE *file = open_memstream(&text, &size);
    struct mf_error err;

    look();
    cr_assert(eq(int, mf_explain_task(&explain, set, id, file, &err), -ENOENT));
    fclose(file);
    assert_text(text, "");
    cr_assert(ne(ptr, strstr(err.text, "there is no task"), NULL), "%s", err.text);
    free(text);
}

/* The tasks of a task file with that text. */
static struct mf_task_set read_set(const char *text)
{
    struct mf_task_set_settings settings = {.attempts = 1};
    const char *const files[] = {"t.farm"};
    struct mf_task_set set = {0};
    FILE *file = fopen("t.farm", "w");
    struct mf_error err;

    fputs(text, file);
    cr_assert(eq(int, fclose(file), 0));
    cr_assert(eq(int, mf_task_set_read(&set, &settings, files, 1, &err), 0), "%s", err.text);
    return set;
}

/* --- the run --- */

Test(explain, causes_are_counted_most_frequent_first_and_skips_by_their_root)
{
    struct mf_journal_attempt killed = ran("k", MF_TASK_FAILED, 137);

    killed.outcome.cause = MF_CAUSE_SIGNAL;
    killed.outcome.signal = 9;
    add(ran("a", MF_TASK_DONE, 0));
    add(killed);
    add(ran("b", MF_TASK_FAILED, 3));
    add(ran("my task", MF_TASK_FAILED, 4));
    add(ran("c", MF_TASK_FAILED, 3));
    add(never_ran("d", MF_TASK_SKIPPED, MF_CAUSE_SKIPPED, "task k failed"));
    add(never_ran("e", MF_TASK_SKIPPED, MF_CAUSE_SKIPPED, "task b failed"));
    add(never_ran("f", MF_TASK_SKIPPED, MF_CAUSE_SKIPPED, "task b failed"));
    end_run("");
    assert_run("1 done, 4 failed, 3 skipped: the run is over\n"
               "failed:\n"
               "        2  exit status 3, as task b\n"
               "           mpifarm logs run b\n"
               "        1  killed by signal 9 (Killed): task k\n"
               "           mpifarm logs run k\n"
               "        1  exit status 4: task my task\n"
               "           mpifarm logs run 'my task'\n"
               "skipped:\n"
               "        2  task b failed, as task e\n"
               "        1  task k failed: task d\n");
}

Test(explain, tasks_over_their_time_limit_are_one_group_however_long_they_ran)
{
    for (int i = 0; i < 3; i++) {
        char id[2] = {(char)('a' + i)};
        struct mf_journal_attempt row = ran(id, MF_TASK_FAILED, 143);

        row.outcome.cause = MF_CAUSE_TIMEOUT;
        row.outcome.duration_ns += i * SECOND;
        add(row);
    }
    end_run("");
    assert_run("0 done, 3 failed: the run is over\n"
               "failed:\n"
               "        3  over its time limit, as task a\n"
               "           mpifarm logs run a\n");
}

Test(explain, an_attempt_that_was_tried_again_is_no_failure)
{
    add(ran("a", MF_TASK_READY, 3));
    add(ran("a", MF_TASK_DONE, 0));
    end_run("");
    assert_run("1 done, 0 failed, 1 tried again: the run is over\n");
}

Test(explain, a_run_that_goes_on_says_what_is_running_and_left)
{
    add(ran("a", MF_TASK_DONE, 0));
    commit();
    write_status(BEGAN / SECOND - 5, false, 10, 2);
    assert_run("1 done, 0 failed, 2 running, 7 left: the run goes on\n");
}

Test(explain, a_stopped_run_says_by_what)
{
    add(ran("a", MF_TASK_DONE, 0));
    add(ran("b", MF_TASK_CANCELLED, 143));
    write_status(BEGAN / SECOND - 5, true, 10, 0);
    end_run("signal 15 (Terminated)");
    assert_run("1 done, 0 failed, 1 cancelled, 8 left: the run was stopped by signal 15 "
               "(Terminated); --resume continues\n");
}

Test(explain, a_run_that_was_killed_broke_off_whatever_ended_it_before)
{
    add(ran("a", MF_TASK_DONE, 0));
    end_run("--halt");
    write_status(BEGAN / SECOND - 5, false, 3, 2);
    assert_run("1 done, 0 failed, 2 left: the run broke off, killed or with its node; --resume "
               "continues\n");
}

/* Its status.json is still that of the part before. */
Test(explain, a_continued_run_that_was_killed_before_it_told_anything_broke_off)
{
    char text[32];

    add(ran("a", MF_TASK_DONE, 0));
    write_stopped_status(BEGAN / SECOND - 50, "--halt");
    mf_journal_set_text(journal, MF_JOURNAL_STOPPED_BY, "--halt", NULL);
    snprintf(text, sizeof(text), "%lld", (long long)BEGAN);
    mf_journal_set_text(journal, MF_JOURNAL_BEGAN, text, NULL);
    add(ran("b", MF_TASK_DONE, 0));
    commit();
    cr_assert(eq(int, mf_journal_close(journal, NULL), 0));
    journal = NULL;
    assert_run("2 done, 0 failed, 1 left: the run broke off, killed or with its node; --resume "
               "continues\n");
    /* Where its journal could not be written any more, that is newer. */
    write_stopped_status(BEGAN / SECOND + 50, "an error");
    assert_run("2 done, 0 failed, 1 left: the run was stopped by an error; --resume continues\n");
}

Test(explain, what_was_cancelled_before_a_run_was_continued_counts_as_left)
{
    add(ran("a", MF_TASK_CANCELLED, 143));
    add(never_ran("b", MF_TASK_SKIPPED, MF_CAUSE_SKIPPED, "task a was cancelled"));
    commit();
    write_status(BEGAN / SECOND + 60, false, 2, 1);
    assert_run("0 done, 0 failed, 1 running, 1 left: the run goes on\n");
    assert_sentence("a", "task a: not ended yet, after 1 attempt");
}

Test(explain, a_directory_without_a_run_is_refused)
{
    struct mf_error err;

    cr_assert(lt(int, mf_explain_open(&explain, "nothing", &err), 0));
    cr_assert(ne(ptr, strstr(err.text, "nothing"), NULL), "%s", err.text);
}

/* --- a task --- */

Test(explain, every_attempt_of_a_task_is_a_line)
{
    struct mf_journal_attempt first = ran("b", MF_TASK_READY, 3);
    struct mf_journal_attempt second = ran("b", MF_TASK_FAILED, 4);

    first.outcome.max_rss_bytes = UINT64_C(7) << 19;
    first.outcome.produced_bytes[MF_STDOUT] = 1536;
    second.attempt = 2;
    second.host = "n2";
    second.outcome.produced_bytes[MF_STDERR] = 12;
    second.outcome.dropped_bytes[MF_STDERR] = 5;
    second.region = (struct mf_region){.store = 1, .size = {0, 7}};
    add(first);
    add(ran("a", MF_TASK_DONE, 0));
    add(second);
    end_run("");
    assert_task(
        NULL, "b",
        "task b: FAILED after 2 attempts: exit status 4\n"
        "attempt  host         slot  started                  time     memory     stdout     "
        "stderr  end\n"
        "      1  n1              3  2023-11-14 22:13:20     1.2 s    3.5 MiB    1.5 KiB        "
        "0 B  exit status 3; tried again\n"
        "      2  n2              3  2023-11-14 22:13:20     1.2 s        0 B        0 B       "
        "12 B  exit status 4; 5 B of its output dropped\n"
        "see its output: mpifarm logs run b\n");
}

Test(explain, a_task_that_ended_is_told_in_one_sentence)
{
    add(ran("d", MF_TASK_DONE, 0));
    add(ran("e", MF_TASK_READY, 1));
    add(ran("e", MF_TASK_DONE, 0));
    add(ran("f", MF_TASK_FAILED, 1));
    add(never_ran("c", MF_TASK_SKIPPED, MF_CAUSE_SKIPPED, "task f failed"));
    end_run("");
    assert_sentence("d", "task d: DONE on n1 in 1.2 s, at the first attempt");
    assert_sentence("e", "task e: DONE on n1 in 1.2 s, at attempt 2");
    assert_sentence("f", "task f: FAILED after 1 attempt: exit status 1");
    assert_task(NULL, "c", "task c: SKIPPED: task f failed\n");
}

Test(explain, a_task_that_fits_no_worker_says_what_it_needs)
{
    add(never_ran("x", MF_TASK_FAILED, MF_CAUSE_UNFIT,
                  "needs 64 cores, and the largest worker has 4"));
    end_run("");
    assert_task(NULL, "x",
                "task x: FAILED: needs more than any worker has: needs 64 cores, and "
                "the largest worker has 4\n");
}

Test(explain, control_characters_of_a_message_do_not_reach_the_terminal)
{
    struct mf_journal_attempt row = ran("x", MF_TASK_FAILED, 1);

    strcpy(row.outcome.detail, "bad\033[2J\nvalue");
    add(row);
    end_run("");
    assert_sentence("x", "task x: FAILED after 1 attempt: exit status 1: bad [2J value");
}

Test(explain, an_unknown_task_may_be_one_that_has_not_ended)
{
    commit();
    assert_task(NULL, "x",
                "task x: not ended yet; --input FILE tells whether "
                "there is such a task\n");
    end_run("--halt");
    assert_task(NULL, "x",
                "task x: was not run: the run was stopped by --halt; --resume continues; "
                "--input FILE tells whether there is such a task\n");
}

Test(explain, an_unknown_task_of_a_run_that_is_over_does_not_exist)
{
    add(ran("a", MF_TASK_DONE, 0));
    end_run("");
    assert_no_task(NULL, "x");
}

/* --- with the task files --- */

Test(explain, a_task_waits_for_those_it_comes_after_that_have_not_ended)
{
    struct mf_task_set set =
        read_set("[id=get] get\n[id=fit] fit\n[id=sum] sum\n[id=plot after=get,fit,sum] plot\n");

    add(ran("get", MF_TASK_DONE, 0));
    add(ran("sum", MF_TASK_READY, 1));
    commit();
    assert_task(&set, "plot",
                "task plot: not ended yet\n"
                "waits for: fit (running or waiting)\n"
                "waits for: sum (running or waiting)\n");
    assert_task(&set, "fit",
                "task fit: not ended yet\n"
                "waits for: no other task; it is running, or waits for a free place\n");
    end_run("--halt");
    assert_task(&set, "plot",
                "task plot: was not run: the run was stopped by --halt; --resume continues\n"
                "waits for: fit (not ended)\n"
                "waits for: sum (not ended)\n");
    assert_no_task(&set, "plto");
    mf_task_set_finish(&set);
}

Test(explain, a_task_of_several_nodes_waits_for_all_of_them_at_once)
{
    struct mf_task_set set = read_set("[id=mpi nodes=2 ranks=8] ./solver\n");

    commit();
    assert_task(&set, "mpi",
                "task mpi: not ended yet\n"
                "waits for: no other task; it is running, or waits for 2 nodes that have 4 free "
                "cores each at the same time, and what else it needs\n");
    write_losses(1, 1);
    assert_task(
        &set, "mpi",
        "task mpi: not ended yet\n"
        "waits for: workers that are lost: it needs 2 nodes, and the run has 1 worker left; "
        "if none comes back, it is left for --resume\n");
    mf_task_set_finish(&set);
}

Test(explain, a_task_behind_a_barrier_waits_for_all_before_it)
{
    struct mf_task_set set =
        read_set("[id=a] a\n[id=b] b\n[id=c] c\n#FARM barrier\n[id=d] d\n[id=e] e\n");

    add(ran("b", MF_TASK_DONE, 0));
    commit();
    assert_task(&set, "e",
                "task e: not ended yet\n"
                "waits for: a barrier, before which 2 tasks have not ended, the first "
                "being task a\n");
    add(ran("a", MF_TASK_DONE, 0));
    commit();
    assert_task(&set, "e",
                "task e: not ended yet\n"
                "waits for: a barrier, before which 1 task has not ended, task c\n");
    add(ran("c", MF_TASK_DONE, 0));
    commit();
    assert_task(&set, "e",
                "task e: not ended yet\n"
                "waits for: no other task; it is running, or waits for a free place\n");
    mf_task_set_finish(&set);
}

Test(explain, of_many_tasks_it_waits_for_the_first_ten_are_named)
{
    struct mf_task_set set = read_set("t1\nt2\nt3\nt4\nt5\nt6\nt7\nt8\nt9\nt10\nt11\nt12\n"
                                      "[id=z after=1-12] z\n");
    char *text;

    commit();
    text = ask(&set, "z");
    cr_assert(strstr(text, "waits for: 10 (") && !strstr(text, "waits for: 11 ("), "%s", text);
    cr_assert(ne(ptr, strstr(text, "\nand for 2 more\n"), NULL), "%s", text);
    free(text);
    mf_task_set_finish(&set);
}
