/* Workers that come while a run goes on: in place of lost ones, and because they are asked for. */
#include "support/shell.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>

TestSuite(replacing, .init = t_enter_dir, .fini = t_leave_dir);

#define N_TASKS 900

/* Tasks that say which rank runs them on which cores, and take a while until there is a file "go".
 */
static void write_tasks(void)
{
    FILE *file = fopen("tasks.txt", "w");

    cr_assert(file != NULL);
    for (int i = 1; i <= N_TASKS; i++)
        fprintf(file, "echo $MPIFARM_RANK:$MPIFARM_CORES >> where; [ -e go ] || sleep 0.2; : %d\n",
                i);
    fclose(file);
}

/* Two workers of one slot each, until both have begun something. */
#define BEGIN                                                                                      \
    "%s run -j 2 %s tasks.txt >out 2>err & mpirun=$!; "                                            \
    "await grep -q ^1: where; await grep -q ^2: where; "
#define END "touch go; wait $mpirun; "

static void expect_all_done(const struct t_result *result)
{
    char done[64];

    snprintf(done, sizeof(done), "\"done\": %d,", N_TASKS);
    cr_assert(t_has(t_read("mpifarm-run/status.json"), done), "%s%s", result->out, t_read("err"));
}

Test(replacing, a_lost_worker_is_replaced_on_the_cores_that_it_had)
{
    write_tasks();
    struct t_result result =
        t_sh(BEGIN "kill -9 $(rank_of $mpirun 2); await grep -q ^3: where; " END
                   "sort -u where | sed -n 's/^[23]://p' | uniq -c | awk '{print $1}'",
             t_mpifarm_surviving(3), "--respawn 5");

    /* A core may be hidden from us, but is then hidden from both. */
    cr_assert(eq(str, result.out, "2\n"), "%s%s", result.out, t_read("where"));
    cr_assert(t_has(t_read("err"), " takes the place of rank 2"), "%s", t_read("err"));
    expect_all_done(&result);
}

/* The task ends the rank that runs it: the parent of the keeper of the launcher, which is its own
 * parent. */
Test(replacing, a_task_that_ends_its_workers_fails_with_that_cause)
{
    t_write("tasks.txt",
            "sleep 0.5; kill -9 $(ps -o ppid= -p $(ps -o ppid= -p $PPID)); sleep 300\ntrue\n");
    struct t_result result =
        t_sh("%s run -j 2 --respawn 20 --crash-limit 2 tasks.txt >out 2>err; "
             "mpifarm logs mpifarm-run | awk '$1 == 1 {print $2, $3}'; mpifarm explain "
             "mpifarm-run 1",
             t_mpifarm_surviving(3));

    cr_assert(t_has(result.out, "1 RETRIED\n2 FAILED\n"), "%s%s", result.out, t_read("err"));
    cr_assert(t_has(result.out, "FAILED after 2 attempts: its worker on "), "%s", result.out);
    cr_assert(t_has(result.out, " disappeared, as 1 other did that ran it (--crash-limit 2)"), "%s",
              result.out);
    cr_assert(t_has(t_read("err"), "1 done, 1 failed"), "%s", t_read("err"));
}

Test(replacing, workers_leave_and_come_back_when_they_are_asked_to)
{
    write_tasks();
    struct t_result result =
        t_sh(BEGIN "mpifarm scale -1; mpifarm scale -1; "
                   "await grep -q '\"workers\": 1' mpifarm-run/status.json; "
                   "mpifarm scale mpifarm-run +2; "
                   "await grep -q '\"workers\": 2' mpifarm-run/status.json; mpifarm scale +1; " END,
             t_mpifarm_surviving(3), "");

    cr_assert(eq(str, result.out,
                 "1 worker gets no more work\n"
                 "1 worker gets work again, 0 more are started; for others there are no cores\n"),
              "%s", result.out);
    cr_assert(t_has(result.err, "no worker would be left"), "%s", result.err);
    cr_assert(t_has(result.err, "all cores belong to workers"), "%s", result.err);
    expect_all_done(&result);
}

/* Both that run something are asked for: the one that drains is there still. */
Test(replacing, a_worker_that_still_ends_its_task_is_called_back)
{
    t_write("tasks.txt", "touch b.$MPIFARM_RANK; while [ ! -e go ]; do sleep 0.01; done\n"
                         "touch b.$MPIFARM_RANK; while [ ! -e go ]; do sleep 0.01; done\n"
                         "echo last\n");
    struct t_result result =
        t_sh("%s run -j 1 tasks.txt >out 2>err & mpirun=$!; "
             "await [ -e b.1 ]; await [ -e b.2 ]; "
             "mpifarm scale -1; mpifarm scale +1; touch go; wait $mpirun; cat out",
             t_mpifarm_surviving(3));

    cr_assert(eq(str, result.out,
                 "1 worker gets no more work\n"
                 "1 worker gets work again, 0 more are started\nlast\n"),
              "%s%s", result.out, result.err);
    cr_assert(t_has(t_read("err"), "rank 2 on "), "%s", t_read("err"));
    cr_assert(t_has(t_read("err"), " gets work again"), "%s", t_read("err"));
}

Test(replacing, a_worker_is_started_when_one_was_lost_and_another_is_asked_for)
{
    write_tasks();
    struct t_result result =
        t_sh(BEGIN "kill -9 $(rank_of $mpirun 2); await grep -q 'rank 2.*is lost' err; "
                   "mpifarm scale +1; await grep -q ^3: where; mpifarm scale -1; "
                   "until mpifarm scale +1 2>> again | tee -a again | grep -q '1 more'; do "
                   "mpifarm scale -1; sleep 0.5; done; "
                   "await grep -q ^4: where; " END,
             t_mpifarm_surviving(3), "");

    cr_assert(t_has(result.out, "0 workers get work again, 1 more is started\n"), "%s", result.out);
    cr_assert(t_has(t_read("err"), " takes the place of rank 3"), "%s", t_read("err"));
    expect_all_done(&result);
}

Test(replacing, a_worker_that_fails_what_others_do_gets_no_more_and_is_named)
{
    FILE *file = fopen("tasks.txt", "w");

    cr_assert(file != NULL);
    for (int i = 1; i <= 60; i++)
        fprintf(file, ": %d; [ $MPIFARM_RANK != 1 ]\n", i);
    fclose(file);
    struct t_result result = t_sh("%s run -j 2 --retries 2 --quarantine 3 tasks.txt >out 2>err; "
                                  "mpifarm explain mpifarm-run",
                                  t_mpifarm_surviving(3));

    cr_assert(t_has(t_read("err"), "60 done"), "%s", t_read("err"));
    cr_assert(t_has(t_read("err"), " gets no more work: what fails there is done elsewhere"), "%s",
              t_read("err"));
    cr_assert(t_has(t_read("err"), "mpifarm: in quarantine: rank 1 on "), "%s", t_read("err"));
    cr_assert(t_has(result.out, "in quarantine: rank 1 on "), "%s", result.out);
}

Test(replacing, what_is_asked_for_is_said_clearly)
{
    struct t_result result = t_sh("mpifarm scale mpifarm-run");

    cr_assert(eq(int, result.status, 2));
    cr_assert(t_has(result.err, "usage: mpifarm scale [RUN] +N|-N"), "%s", result.err);
    result = t_sh("mpifarm scale nowhere +1");
    cr_assert(eq(int, result.status, 2));
}
