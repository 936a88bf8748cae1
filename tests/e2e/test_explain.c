/* mpifarm explain: why tasks failed, were skipped, or do not run, of real runs. */
#include "support/shell.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

TestSuite(explain, .init = t_enter_dir, .fini = t_leave_dir);

Test(explain, a_run_with_failures_tells_causes_skips_and_attempts)
{
    t_write("tasks.farm", "[id=a] true\n"
                          "[id=b retries=2] echo oops >&2; exit 3\n"
                          "[id=c after=b] true\n"
                          "[id=d after=c] true\n"
                          "[id=e] exit 3\n"
                          "[id=f] kill -9 $$\n");
    cr_assert(eq(int, t_sh("mpifarm run -j 1 tasks.farm").status, 1));

    struct t_result result = t_sh("mpifarm explain");
    cr_assert(eq(int, result.status, 0), "%s", result.err);
    cr_assert(
        t_has(result.out, "1 done, 3 failed, 2 skipped, 1 tried again: the run is over\nfailed:\n"),
        "%s", result.out);
    cr_assert(t_has(result.out, "\n        2  exit status 3, as task "), "%s", result.out);
    cr_assert(t_has(result.out, "\n        1  killed by signal 9 (Killed): task f\n"), "%s",
              result.out);
    cr_assert(t_has(result.out, "\nskipped:\n        2  task b failed, as task c\n"), "%s",
              result.out);

    result = t_sh("mpifarm explain mpifarm-run b");
    cr_assert(t_has(result.out, "task b: FAILED after 2 attempts: exit status 3\n"), "%s",
              result.out);
    cr_assert(t_has(result.out, "exit status 3; tried again\n"), "%s", result.out);
    cr_assert(eq(int, t_count_lines(result.out, "      "), 2), "%s", result.out);
    result = t_sh("mpifarm explain mpifarm-run d; mpifarm explain mpifarm-run a | head -n 1");
    cr_assert(t_has(result.out, "task d: SKIPPED: task b failed\ntask a: DONE on "), "%s",
              result.out);
    cr_assert(t_has(result.out, ", at the first attempt\n"), "%s", result.out);
}

Test(explain, the_command_it_names_shows_the_output)
{
    t_write("tasks.farm", "[id=b] echo oops; exit 3\n");
    cr_assert(eq(int, t_sh("mpifarm run --output kept --run-dir 'my run' tasks.farm").status, 1));
    struct t_result result =
        t_sh("mpifarm explain 'my run' b | sed -n 's/^see its output: //p' > command; sh command");
    cr_assert(eq(str, result.out, "oops\n"), "%s", result.err);
}

Test(explain, a_stopped_run_says_by_what_and_what_its_tasks_waited_for)
{
    t_write("tasks.farm", "[id=fit] touch started; sleep 300\n"
                          "[id=plot after=fit] true\n");
    struct t_result result = t_sh("mpifarm run tasks.farm 2>err & pid=$!; await test -e started; "
                                  "mkdir d; (cd d; mpifarm explain ../mpifarm-run plot); "
                                  "kill -TERM $pid; await grep -q 'stopped by' err; "
                                  "kill -TERM $pid; wait $pid; "
                                  "mpifarm explain; mpifarm explain mpifarm-run plot; "
                                  "mpifarm explain mpifarm-run other 2>&1; "
                                  "mv tasks.farm moved; mpifarm explain mpifarm-run plot; "
                                  "mpifarm explain --input moved mpifarm-run plot");
    cr_assert(eq(str, result.out,
                 "task plot: not ended yet\n"
                 "waits for: fit (running or waiting)\n"
                 "0 done, 0 failed, 1 cancelled, 1 left: the run was stopped by signal 15 "
                 "(Terminated); --resume continues\n"
                 "task plot: was not run: the run was stopped by signal 15 (Terminated); "
                 "--resume continues\n"
                 "waits for: fit (cancelled)\n"
                 "mpifarm: mpifarm-run: there is no task other\n"
                 "task plot: was not run: the run was stopped by signal 15 (Terminated); "
                 "--resume continues; --input FILE tells whether there is such a task\n"
                 "task plot: was not run: the run was stopped by signal 15 (Terminated); "
                 "--resume continues\n"
                 "waits for: fit (cancelled)\n"),
              "%s", result.err);
}

Test(explain, a_run_that_was_killed_is_known_to_have_broken_off)
{
    t_write("tasks.farm", "true\nwhile [ ! -s mpifarm-run/status.json ]; do sleep 0.01; done; "
                          "touch started; sleep 300\n");
    struct t_result result = t_sh("mpifarm run tasks.farm & pid=$!; await test -e started; "
                                  "kill -9 $pid; wait $pid; "
                                  "mpifarm explain mpifarm-run 2");
    cr_assert(eq(str, result.out,
                 "task 2: was not run: the run broke off, killed or with its node; --resume "
                 "continues\n"),
              "%s", result.err);
}

Test(explain, what_is_asked_wrongly_is_refused_with_exit_status_2)
{
    t_write("tasks.farm", "[id=a] true\n");
    cr_assert(eq(int, t_sh("mpifarm run tasks.farm").status, 0));
    struct t_result result = t_sh("mpifarm explain --input tasks.farm mpifarm-run x");
    cr_assert(eq(int, result.status, 2));
    cr_assert(t_has(result.err, "there is no task x"), "%s", result.err);
    cr_assert(eq(str, result.out, ""));
    cr_assert(eq(int, t_sh("mpifarm explain mpifarm-run x").status, 2));
    cr_assert(eq(int, t_sh("mpifarm explain nothing").status, 2));
    cr_assert(eq(int, t_sh("mpifarm explain --input tasks.farm mpifarm-run").status, 2));
    cr_assert(eq(int, t_sh("mpifarm explain mpifarm-run a b").status, 2));
    cr_assert(eq(int, t_sh("mpifarm explain --input nothing mpifarm-run a").status, 2));
}

Test(explain, tasks_of_a_sweep_are_known_by_their_numbers)
{
    struct t_result result =
        t_sh("mpifarm map -j 1 'touch started; sleep 300; :' ::: a b 2> err & pid=$!; "
             "await test -e started; mpifarm explain mpifarm-run 2; "
             "mpifarm explain mpifarm-run 3 2>&1; mpifarm stop --now > /dev/null; wait $pid");
    cr_assert(eq(str, result.out,
                 "task 2: not ended yet\n"
                 "waits for: no other task; it is running, or waits for a free place\n"
                 "mpifarm: mpifarm-run: there is no task 3\n"),
              "%s", result.err);
}

Test(explain, task_files_are_read_as_the_run_read_them)
{
    t_write("tasks.farm", "[id=a] true\n[id=b licence.x=1] true\n"
                          "[id=c licence.x=1] touch started; sleep 300\n");
    struct t_result waiting =
        t_sh("mpifarm run --run-dir r --resource licence.x=1 tasks.farm & pid=$!; "
             "await test -e started; mpifarm explain r c; mpifarm stop --now r; wait $pid");
    cr_assert(t_has(waiting.out, "task c: not ended yet\nwaits for: no other"), "%s%s", waiting.out,
              waiting.err);
    t_write("tasks.farm", "[id=a] true\n[id=b licence.x=1] true\n");
    struct t_result result = t_sh("mpifarm run --resource licence.x=1 tasks.farm; "
                                  "mpifarm explain --resource licence.x=1 --input tasks.farm "
                                  "mpifarm-run b | head -n 1");
    cr_assert(t_has(result.out, "task b: DONE on "), "%s%s", result.out, result.err);
    cr_assert(eq(int, t_sh("mpifarm explain --input tasks.farm mpifarm-run b").status, 2));
}

Test(explain, the_run_directory_stays_as_it_is)
{
    t_write("tasks.farm", "[id=a] exit 1\n");
    cr_assert(eq(int, t_sh("mpifarm run tasks.farm").status, 1));
    struct t_result result =
        t_sh("ls -l --time-style=full-iso mpifarm-run > before; mpifarm explain; "
             "mpifarm explain mpifarm-run a > text; "
             "ls -l --time-style=full-iso mpifarm-run | cmp - before");
    cr_assert(eq(int, result.status, 0), "%s%s", result.out, result.err);
    cr_assert(t_has(result.out, "exit status 1: task a"), "%s", result.out);
}
