/* Task files with an order, and those of other programs, from the file to what the tasks write. */
#include "support/shell.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

TestSuite(dialects, .init = t_enter_dir, .fini = t_leave_dir);

/* What a run of the file adds to "log", one word a task. */
static struct t_result run(const char *text)
{
    t_write("tasks.txt", "%s", text);
    return t_sh("mpifarm run -q -j 4 tasks.txt; s=$?; cat log 2>/dev/null | tr '\\n' ' '; exit $s");
}

static void writes(const char *text, int status, const char *log)
{
    struct t_result result = run(text);

    cr_assert(eq(int, result.status, status), "%s", result.err);
    cr_assert(eq(str, result.out, (char *)log), "%s", result.err);
}

Test(dialects, a_task_runs_after_one_further_down)
{
    writes("[after=c] echo a >> log\n[after=1] echo b >> log\n[id=c] sleep 0.1; echo c >> log\n", 0,
           "c a b ");
}

Test(dialects, what_comes_after_a_failed_task_depends_on_how)
{
    writes("false\n[after=1] echo ok >> log\n[afternotok=1] echo notok >> log\n"
           "[afterany=1,3] echo any >> log\n",
           1, "notok any ");
}

Test(dialects, a_barrier_lets_all_end_first)
{
    writes("sleep 0.2; echo a >> log\nfalse\n#FARM barrier\necho b >> log\n", 1, "a b ");
}

Test(dialects, greasy_names_lines)
{
    writes("# 1\nsleep 0.2; echo a >> log\n[# 2 #] echo b >> log\n[@ . @][# -1 #] echo c >> log\n",
           0, "a b c ");
}

Test(dialects, disbatch_repeats_between_barriers)
{
    writes("#DISBATCH PREFIX echo \n#DISBATCH SUFFIX  >> log\n"
           "#DISBATCH REPEAT 1 start 7 $DISBATCH_REPEAT_INDEX\n#DISBATCH BARRIER CHECK\n"
           "$DISBATCH_NAMETASKS\n",
           0, "7 tasks.txt ");
}

Test(dialects, standard_input_has_an_order_too)
{
    struct t_result result = t_sh("printf '[id=a] sleep 0.2; echo a >> log\\n"
                                  "[after=a] echo b >> log\\n#FARM barrier\\necho c >> log\\n' | "
                                  "mpifarm run -q -j 4 - && cat log | tr '\\n' ' '");

    cr_assert(eq(str, result.out, "a b c "), "%s", result.err);
}

/* --- commands per engine --- */

Test(dialects, each_worker_runs_what_is_per_engine_before_its_first_task_and_at_its_end)
{
    t_write("tasks.txt", "#DISBATCH PERENGINE START mkdir $DISBATCH_ENGINE_RANK; "
                         "cat > $DISBATCH_ENGINE_RANK/data <<< data\n"
                         "#DISBATCH PERENGINE START echo hello from $DISBATCH_ENGINE_RANK\n"
                         "#DISBATCH PERENGINE STOP rm $DISBATCH_ENGINE_RANK/data\n"
                         "#DISBATCH PERENGINE STOP rmdir $DISBATCH_ENGINE_RANK\n"
                         "#DISBATCH REPEAT 20 cat $DISBATCH_ENGINE_RANK/data\n");
    struct t_result result = t_sh("%s run tasks.txt", t_mpifarm(3));

    cr_assert(eq(int, result.status, 0), "%s", result.err);
    cr_assert(eq(int, t_count_lines(result.out, "data"), 20), "%s", result.out);
    cr_assert(
        eq(int, t_count_lines(result.err, "mpifarm: rank 1, PERENGINE START: hello from 1"), 1),
        "%s", result.err);
    cr_assert(t_has(result.err, "rank 2, PERENGINE START: hello from 2"), "%s", result.err);
    cr_assert(eq(int, t_sh("test ! -e 1 && test ! -e 2").status, 0));
}

Test(dialects, a_failure_per_engine_is_told_and_its_worker_works_on)
{
    t_write("tasks.txt", "#DISBATCH PERENGINE START echo why >&2; exit 3\necho task\n");
    struct t_result result = t_sh("mpifarm run -q tasks.txt");

    cr_assert(eq(int, result.status, 1), "%s", result.err);
    cr_assert(eq(str, result.out, "task\n"));
    cr_assert(t_has(result.err, "PERENGINE START: why"), "%s", result.err);
    cr_assert(t_has(result.err, "PERENGINE START (line 1) failed: exit status 3"), "%s",
              result.err);
    cr_assert(eq(
        int, t_sh("sed -i 's/exit 3/true/' tasks.txt; mpifarm run --resume tasks.txt").status, 0));
}

Test(dialects, a_run_that_is_stopped_ends_what_is_per_engine_in_order)
{
    t_write("tasks.txt", "#DISBATCH PERENGINE START touch began; sleep 300\n"
                         "#DISBATCH PERENGINE STOP touch ended\ntouch ran\n");
    struct t_result result = t_sh("mpifarm run tasks.txt 2>err & pid=$!; await test -e began; "
                                  "kill $pid; wait $pid; echo $?");

    cr_assert(eq(str, result.out, "3\n"), "%s", t_read("err"));
    cr_assert(eq(int, t_sh("test -e ended && test ! -e ran").status, 0));
    cr_assert(t_has(t_read("err"), "PERENGINE START (line 1) was ended"), "%s", t_read("err"));
}

Test(dialects, what_hangs_at_the_end_of_an_engine_can_be_ended)
{
    t_write("tasks.txt", "#DISBATCH PERENGINE STOP touch began; sleep 300\ntrue\n");
    struct t_result result = t_sh("mpifarm run tasks.txt 2>err & pid=$!; await test -e began; "
                                  "mpifarm stop --now; wait $pid; echo $?");

    cr_assert(t_has(result.out, "0\n"), "%s %s", result.out, t_read("err"));
    cr_assert(t_has(t_read("err"), "PERENGINE STOP (line 1) was ended"), "%s", t_read("err"));
}

Test(dialects, a_run_that_is_refused_runs_nothing_per_engine)
{
    t_write("tasks.txt", "#DISBATCH PERENGINE START touch began\n[cores=9999] true\n");
    cr_assert(eq(int, t_sh("mpifarm run tasks.txt").status, 2));
    cr_assert(eq(int, t_sh("test ! -e began").status, 0));
}

Test(dialects, what_is_per_engine_is_shown_and_not_simulated)
{
    struct t_result result;

    t_write("tasks.txt", "#DISBATCH PERENGINE START touch began\n"
                         "#DISBATCH PERENGINE STOP rm began\n[time=1s] true\n");
    result = t_sh("mpifarm run --dry-run tasks.txt");
    cr_assert(eq(str, result.out,
                 "# PERENGINE START: touch began\n"
                 "# PERENGINE STOP: rm began\ntrue\n"));
    result = t_sh("mpifarm check tasks.txt");
    cr_assert(t_has(result.out, "per engine     1 at its start, 1 at its end\n"), "%s", result.out);
    result = t_sh("mpifarm simulate -w 1x1 tasks.txt");
    cr_assert(eq(int, result.status, 0));
    cr_assert(t_has(result.err, "PERENGINE are not simulated"), "%s", result.err);
    cr_assert(eq(int, t_sh("test ! -e began").status, 0));
}

Test(dialects, per_engine_is_refused_from_standard_input)
{
    struct t_result result =
        t_sh("printf '#DISBATCH PERENGINE START touch began\\ntrue\\n' | mpifarm run -");

    cr_assert(t_has(result.err, "stdin:1: #DISBATCH PERENGINE must be known before the run"), "%s",
              result.err);
    cr_assert(eq(int, result.status, 2), "%s", result.err);
}
