/* mpifarm status: how a run stands, while it goes on and afterwards. */
#include "support/shell.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

TestSuite(status, .init = t_enter_dir, .fini = t_leave_dir);

/* Runs the tasks in the background, until the first is done and the status tells of that. */
#define BEGIN                                                                                      \
    "mpifarm run -j 1 tasks.farm > out 2> err & pid=$!; "                                          \
    "await grep -q '\"done\": 1' mpifarm-run/status.json; "

Test(status, a_run_that_goes_on_is_told_with_its_tasks_and_workers)
{
    t_write("tasks.farm", "true\nsleep 300\ntrue\n");
    struct t_result result =
        t_sh(BEGIN "mpifarm status; mpifarm status --json; mpifarm stop --now; wait $pid");

    cr_assert(t_has(result.out, "the run goes on, since "), "%s", result.out);
    cr_assert(t_has(result.out, "tasks: 1 of 3 done, 1 running, 1 left\n"), "%s", result.out);
    cr_assert(t_has(result.out, "workers: 1 with 1 slot\n"), "%s", result.out);
    cr_assert(t_has(result.out, "\"alive\": true"), "%s", result.out);
}

Test(status, a_run_that_is_over_is_told_apart_from_one_that_broke_off)
{
    t_write("tasks.farm", "true\nsleep 300\n");
    struct t_result result = t_sh(BEGIN "kill -9 $pid; wait $pid; mpifarm status; "
                                        "mpifarm status --json mpifarm-run");

    cr_assert(t_has(result.out, "the run broke off "), "%s", result.out);
    cr_assert(t_has(result.out, "tasks: 1 of 2 done, 1 left\n"), "%s", result.out);
    cr_assert(t_has(result.out, "\"alive\": false"), "%s", result.out);

    /* As if it were of another host, which has said nothing for half a minute. */
    result = t_sh("sed -i \"s/\\\"host\\\": [^,]*/\\\"host\\\": \\\"n9\\\"/; "
                  "s/\\\"updated\\\": [^,]*/\\\"updated\\\": $(($(date +%%s) - 30)).0/\" "
                  "mpifarm-run/status.json; mpifarm status; mpifarm status --json");
    cr_assert(t_has(result.out, "nothing was heard of the run on n9 for 3"), "%s%s", result.out,
              result.err);
    cr_assert(t_has(result.out, "\"alive\": null"), "%s", result.out);

    t_write("true.farm", "true\n");
    result = t_sh("mpifarm run --force -q -j 1 true.farm; mpifarm status");
    cr_assert(t_has(result.out, "the run is over; it took "), "%s", result.out);
    cr_assert(t_has(result.out, "tasks: 1 of 1 done\n"), "%s", result.out);
}

Test(status, a_scheduler_that_does_not_go_on_is_told_with_for_how_long)
{
    t_write("tasks.farm", "true\nsleep 300\n");
    struct t_result result =
        t_sh(BEGIN "kill -STOP $pid; "
                   "sed -i 's/\"updated\": [0-9.]*/\"updated\": 1000000.5/' "
                   "mpifarm-run/status.json; mpifarm status; mpifarm status --json | grep age; "
                   "kill -CONT $pid; mpifarm stop --now; wait $pid; mpifarm status");

    cr_assert(t_has(result.out, "the run has told nothing for "), "%s", result.out);
    cr_assert(t_has(result.out, "\"age\": 1"), "%s", result.out);
    cr_assert(t_has(result.out, "the run was stopped after "), "%s", result.out);
    cr_assert(t_has(result.out, " by mpifarm stop; --resume continues\n"), "%s", result.out);
}

Test(status, where_there_is_no_run_that_is_said)
{
    struct t_result result = t_sh("mpifarm status");

    cr_assert(eq(int, result.status, 2));
    cr_assert(t_has(result.err, "mpifarm-run: there is no run"), "%s", result.err);
    result = t_sh("mkdir run; echo '{}' > run/status.json; mpifarm status run");
    cr_assert(eq(int, result.status, 2));
    cr_assert(t_has(result.err, "run/status.json: it is none of a run"), "%s", result.err);
}
