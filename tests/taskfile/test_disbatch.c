/* Files as disBatch's Readme has them: #DISBATCH PREFIX, SUFFIX, BARRIER, REPEAT, PERENGINE. */
#include "support.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TestSuite(disbatch, .init = t_enter, .fini = t_leave);

#define tasks_are(text, shown) cr_assert_str_eq(t_tasks(text), (shown))

/* The tasks of a file by id and command alone, the shell written as "bash". */
static const char *commands(const char *text)
{
    const char *shown;
    struct mf_source *source;
    char *out = calloc(1, 65536);
    struct mf_source_summary summary;

    t_write("a.farm", text);
    source = t_open("a.farm", NULL);
    mf_source_summarize(source, &summary);
    for (uint64_t i = 0; i < summary.n_tasks; i++) {
        struct mf_entry entry = *t_next(source);

        entry.command.n_env = 0;
        shown = t_show(&entry);
        strcat(strcat(out, shown), "\n");
    }
    mf_source_close(source);
    return out;
}

#define commands_are(text, shown) cr_assert_str_eq(commands(text), (shown))

/* What the n-th task of a file writes, its variables set. */
static const char *output_of(const char *text, int n)
{
    const struct mf_entry *entry = NULL;
    struct mf_source *source;
    size_t size;
    char *output;

    t_write("a.farm", text);
    source = t_open("a.farm", NULL);
    for (int i = 0; i < n; i++)
        entry = t_next(source);
    for (uint32_t i = 0; i < entry->command.n_env; i++)
        putenv(strdup(entry->command.env[i]));
    output = t_run(&entry->command, &size);
    mf_source_close(source);
    return output;
}

/* --- prefix and suffix --- */

/* The Readme's example. */
Test(disbatch, prefix_and_suffix_go_around_each_task)
{
    commands_are("#DISBATCH PREFIX ( cd /path/to/workdir ; source SetupEnv ; myprog \n"
                 "#DISBATCH SUFFIX  ) &> task_${DISBATCH_TASKID}.log\n"
                 "-a 0 -b 0 -c 0\n"
                 "-a 0 -b 0 -c 1\n",
                 "3: [/bin/bash][-c][( cd /path/to/workdir ; source SetupEnv ; myprog -a 0 -b 0 "
                 "-c 0 ) &> task_${DISBATCH_TASKID}.log]\n"
                 "4: [/bin/bash][-c][( cd /path/to/workdir ; source SetupEnv ; myprog -a 0 -b 0 "
                 "-c 1 ) &> task_${DISBATCH_TASKID}.log]\n");
}

Test(disbatch, later_ones_replace_earlier_ones)
{
    commands_are("a\n#DISBATCH PREFIX p \nb\n#DISBATCH SUFFIX  s\nc\n#DISBATCH PREFIX q \nd\n"
                 "#DISBATCH PREFIX \n#DISBATCH SUFFIX \ne\n",
                 "1: [a]\n3: [p][b]\n5: [p][c][s]\n7: [q][d][s]\n10: [e]\n");
}

Test(disbatch, blanks_at_the_beginning_of_a_task_separate_it_from_the_prefix)
{
    commands_are("#DISBATCH PREFIX p\n -x\n-y\n", "2: [p][-x]\n3: [p-y]\n");
}

Test(disbatch, comments_and_blank_lines_get_no_prefix)
{
    commands_are("#DISBATCH PREFIX p \n# c\n\na\n", "4: [p][a]\n");
}

Test(disbatch, keys_may_stand_before_a_task)
{
    commands_are("#DISBATCH PREFIX p \n#FARM cores=2\n[id=x] a\nb\n",
                 "x: [p][a] cores=2\n4: [p][b] cores=2\n");
}

Test(disbatch, tasks_run_in_bash)
{
    cr_assert_str_eq(output_of("#DISBATCH SUFFIX  ; [[ a == a* ]] && echo $BASH\necho x\n", 1),
                     "x\n/bin/bash\n");
    cr_assert_str_eq(output_of("#DISBATCH SUFFIX  &> log ; cat log\necho x\n", 1), "x\n");
}

/* --- barriers --- */

Test(disbatch, barriers_are_barriers)
{
    commands_are("a\n#DISBATCH BARRIER\nb\n#DISBATCH BARRIER CHECK\nc\n#DISBATCH BARRIER key\nd\n"
                 "#DISBATCH BARRIER CHECK key\ne\n",
                 "1: [a]\n3: [b] barrier\n5: [c] barrier=check\n7: [d] barrier\n"
                 "9: [e] barrier=check\n");
}

/* --- repeat --- */

Test(disbatch, repeat_makes_tasks_that_see_an_index)
{
    const char *text = "#DISBATCH REPEAT 5 start 100 step 50 echo file${DISBATCH_REPEAT_INDEX}\n"
                       "#DISBATCH REPEAT 2 echo $DISBATCH_REPEAT_INDEX\n"
                       "echo $DISBATCH_REPEAT_INDEX\n";

    cr_assert_str_eq(output_of(text, 1), "file100\n");
    cr_assert_str_eq(output_of(text, 5), "file300\n");
    cr_assert_str_eq(output_of(text, 6), "0\n");
    cr_assert_str_eq(output_of(text, 7), "1\n");
    cr_assert_str_eq(output_of(text, 8), "-1\n");
}

Test(disbatch, the_command_of_repeat_may_be_in_the_prefix)
{
    commands_are("#DISBATCH PREFIX a; b \n#DISBATCH REPEAT 2\n#DISBATCH REPEAT 1 step 3 c\n"
                 "#DISBATCH REPEAT 0 d\n",
                 "2.0: [/bin/bash][-c][a; b ]\n2.1: [/bin/bash][-c][a; b ]\n"
                 "3.0: [/bin/bash][-c][a; b c]\n");
    tasks_are("#DISBATCH REPEAT 2\n",
              "a.farm:1: #DISBATCH REPEAT has no command, and there is no PREFIX before it");
}

Test(disbatch, directives_may_be_written_in_small_letters)
{
    commands_are("#DISBATCH prefix p \n#DISBATCH repeat 1 Start 2 Step 3 a\n", "2.0: [p][a]\n");
}

Test(disbatch, repeated_tasks_can_be_loaded_in_any_order)
{
    struct mf_source *source;
    const struct mf_entry *entry;
    struct mf_source_summary summary;

    t_write("a.farm", "a\n#DISBATCH REPEAT 1000 b $DISBATCH_REPEAT_INDEX\nc\n"
                      "#DISBATCH REPEAT 500 start 7 d\n");
    source = t_open("a.farm", NULL);
    mf_source_summarize(source, &summary);
    cr_assert_eq(summary.n_tasks, 1502);
    for (uint64_t i = 0; i < 1502; i++)
        cr_assert_eq(t_next(source)->command.seq, i + 1);
    for (uint64_t i = 1502; i-- > 0;) {
        char id[32];

        cr_assert_eq(mf_source_load(source, i, &entry, NULL), 0);
        if (i >= 1 && i <= 1000)
            snprintf(id, sizeof(id), "2.%llu", (unsigned long long)i - 1);
        else if (i > 1001)
            snprintf(id, sizeof(id), "4.%llu", (unsigned long long)i - 1002);
        else
            snprintf(id, sizeof(id), "%s", i == 0 ? "1" : "3");
        cr_assert_str_eq(entry->command.id, id);
    }
    cr_assert_eq(mf_source_load(source, 1502, &entry, NULL), -ENOENT);
    mf_source_close(source);
}

Test(disbatch, a_billion_tasks_are_checked_at_once)
{
    struct mf_source *source;
    const struct mf_entry *entry;

    t_write("a.farm", "#DISBATCH REPEAT 1000000000 start 5 b\nc\n");
    source = t_open("a.farm", NULL);
    cr_assert_str_eq(t_next(source)->command.id, "1.0");
    cr_assert_eq(mf_source_load(source, 999999999, &entry, NULL), 0);
    cr_assert_str_eq(entry->command.id, "1.999999999");
    cr_assert_str_eq(entry->command.env[2], "DISBATCH_REPEAT_INDEX=1000000004");
    cr_assert_eq(mf_source_load(source, 1000000000, &entry, NULL), 0);
    cr_assert_str_eq(entry->command.id, "2");
    mf_source_close(source);
}

Test(disbatch, a_task_can_come_after_all_of_a_repeat)
{
    commands_are("a\n#DISBATCH REPEAT 3 b\n[after=2] c\n[after=1-3] d\n[after=-1] e\n",
                 "1: [a]\n2.0: [b]\n2.1: [b]\n2.2: [b]\n3: [c] after=2,3,4\n"
                 "4: [d] after=1,2,3,4,5\n5: [e] after=6\n");
}

Test(disbatch, a_task_can_come_after_one_of_a_repeat)
{
    struct mf_source *source;

    commands_are("[after=2.0,2.2] a\n#DISBATCH REPEAT 3 b\n",
                 "1: [a] after=2,4\n2.0: [b]\n2.1: [b]\n2.2: [b]\n");
    tasks_are("#DISBATCH REPEAT 3 b\n[after=1.3] c\n", "a.farm:2: unknown task \"1.3\" in after=");
    t_write("b.farm", "[after=a.farm:2.1] c\n");
    t_write("a.farm", "\n#DISBATCH REPEAT 3 b\n");
    source = t_open("b.farm", "a.farm", NULL);
    cr_assert_str_eq(t_show(t_next(source)), "b.farm:1: [c] after=3");
    mf_source_close(source);
}

Test(disbatch, ids_of_repeated_tasks_are_taken)
{
    tasks_are("#DISBATCH REPEAT 3 b\n[id=1.2] c\n",
              "a.farm:2: id \"1.2\" is already used at a.farm:1");
    tasks_are("[id=2.1] c\n#DISBATCH REPEAT 3 b\n",
              "a.farm:2: id \"2.1\" is already used at a.farm:1");
    commands_are("a\n[id=1.0] b\n#DISBATCH REPEAT 1 c\n[id=3.1] d\n[id=3] e\n",
                 "1: [a]\n1.0: [b]\n3.0: [c]\n3.1: [d]\n3: [e]\n");
}

/* --- variables --- */

Test(disbatch, tasks_see_where_they_come_from)
{
    tasks_are("a\n#DISBATCH BARRIER\nb\n",
              "1: [a]\n"
              "3: [b] env=DISBATCH_JOBID=mpifarm env=DISBATCH_NAMETASKS=a.farm "
              "env=DISBATCH_REPEAT_INDEX=-1 env=DISBATCH_REPEAT_INDEX_ZP=-00001 "
              "env=DISBATCH_STREAM_INDEX=3 env=DISBATCH_STREAM_INDEX_ZP=000003 "
              "env=DISBATCH_TASKID=2 env=DISBATCH_TASKID_ZP=000002 barrier\n");
}

Test(disbatch, a_task_that_names_a_variable_needs_no_directive)
{
    cr_assert_str_eq(output_of("true\necho ${DISBATCH_TASKID_ZP} &> log; cat log\n", 2),
                     "000001\n");
    tasks_are("true ; false\n", "1: sh true ; false\n");
}

Test(disbatch, variables_that_a_task_sets_itself_are_kept)
{
    cr_assert(strstr(t_tasks("[env=DISBATCH_JOBID=mine] echo $DISBATCH_JOBID\n"),
                     "env=DISBATCH_JOBID=mine env=DISBATCH_NAMETASKS=a.farm "));
}

Test(disbatch, the_job_has_the_name_of_the_run)
{
    const char *name = t_write("a.farm", "echo $DISBATCH_JOBID\n");
    struct mf_source_options options = {.run_name = "run-7"};
    struct mf_source *source;

    cr_assert_eq(mf_source_open_files(&name, 1, &options, &source, NULL), 0);
    cr_assert_str_eq(t_next(source)->command.env[0], "DISBATCH_JOBID=run-7");
    mf_source_close(source);
}

Test(disbatch, the_kind_of_a_task_is_not_bash)
{
    struct mf_source *source;

    t_write("a.farm", "#DISBATCH SUFFIX  ) &> log\n( ./bin/sim 1\n");
    source = t_open("a.farm", NULL);
    cr_assert_str_eq(mf_source_kind_name(source, t_next(source)->kind), "sim");
    mf_source_close(source);
}

/* --- per engine --- */

/* The commands for workers: "START 1: [ls]". */
static const char *hooks(const char *text)
{
    static char out[4096];
    struct mf_source *source;
    const struct mf_hook *hook;
    size_t n = 0;

    t_write("a.farm", text);
    source = t_open("a.farm", NULL);
    out[0] = '\0';
    for (size_t i = 0; (hook = mf_source_hook(source, i)); i++) {
        struct mf_command command = hook->command;

        n += (size_t)snprintf(out + n, sizeof(out) - n, "%s %s:", hook->is_stop ? "-" : "+",
                              command.id);
        for (uint32_t k = 0; k < command.n_args; k++)
            n += (size_t)snprintf(out + n, sizeof(out) - n, "[%s]", command.args[k]);
        n += (size_t)snprintf(out + n, sizeof(out) - n, "\n");
    }
    mf_source_close(source);
    return out;
}

#define hooks_are(text, shown) cr_assert_str_eq(hooks(text), (shown))

Test(disbatch, commands_per_engine_are_no_tasks)
{
    const char *text = "#DISBATCH PERENGINE START mkdir d; cd d\n#DISBATCH PERENGINE STOP rm x\n"
                       "#DISBATCH perengine start ls\na\nb\n";

    hooks_are(text, "+ START 1:[/bin/bash][-c][mkdir d; cd d]\n- STOP 2:[rm][x]\n"
                    "+ START 3:[ls]\n");
    commands_are(text, "4: [a]\n5: [b]\n");
}

Test(disbatch, prefix_and_suffix_go_around_commands_per_engine_behind_them)
{
    hooks_are("#DISBATCH PERENGINE START a\n#DISBATCH PREFIX p \n#DISBATCH SUFFIX  s\n"
              "#DISBATCH PERENGINE STOP b\nc\n",
              "+ START 1:[a]\n- STOP 4:[p][b][s]\n");
}

Test(disbatch, commands_per_engine_see_the_variables_of_tasks)
{
    struct mf_source *source;
    const struct mf_command *command;

    t_write("a.farm", "#DISBATCH PERENGINE STOP a\n#DISBATCH PERENGINE START b\n"
                      "#DISBATCH PERENGINE START c\nd\n");
    source = t_open("a.farm", NULL);
    command = &mf_source_hook(source, 2)->command;
    cr_assert_eq(command->n_env, 8);
    cr_assert_str_eq(command->env[0], "DISBATCH_JOBID=mpifarm");
    cr_assert_str_eq(command->env[1], "DISBATCH_NAMETASKS=a.farm");
    cr_assert_str_eq(command->env[2], "DISBATCH_REPEAT_INDEX=-1");
    cr_assert_str_eq(command->env[4], "DISBATCH_STREAM_INDEX=3");
    cr_assert_str_eq(command->env[6], "DISBATCH_TASKID=1");
    mf_source_close(source);
}

Test(disbatch, tasks_count_on_without_commands_per_engine)
{
    cr_assert_str_eq(output_of("#DISBATCH PERENGINE START a\necho $DISBATCH_TASKID\n", 1), "0\n");
}

Test(disbatch, commands_per_engine_stand_before_the_first_task_of_a_file)
{
    tasks_are("a\n#DISBATCH PERENGINE START b\n",
              "a.farm:2: #DISBATCH PERENGINE must stand before the first task of the file");
    tasks_are("#DISBATCH PERENGINE b\n",
              "a.farm:1: #DISBATCH PERENGINE: START or STOP, and then a command");
    tasks_are("#DISBATCH PERENGINE STOP \n", "a.farm:1: #DISBATCH PERENGINE STOP has no command");
}

Test(disbatch, each_file_has_its_commands_per_engine)
{
    const char *names[] = {t_write("a.farm", "#DISBATCH PERENGINE START a\nx\n"),
                           t_write("b.farm", "#DISBATCH PERENGINE START b\ny\n")};
    struct mf_source *source;

    cr_assert_eq(mf_source_open_files(names, 2, NULL, &source, NULL), 0);
    cr_assert_str_eq(mf_source_hook(source, 0)->command.args[0], "a");
    cr_assert_str_eq(mf_source_hook(source, 1)->command.args[0], "b");
    cr_assert_null(mf_source_hook(source, 2));
    mf_source_close(source);
}

/* --- what is refused --- */

Test(disbatch, what_cannot_be_given_is_refused)
{
    tasks_are("a\n#DISBATCH PREFXI p\n",
              "a.farm:2: #DISBATCH PREFXI p is no directive (known: PREFIX, SUFFIX, BARRIER "
              "[CHECK], REPEAT, PERENGINE)");
    tasks_are("#DISBATCH\n", "a.farm:1: #DISBATCH is no directive (known: PREFIX, SUFFIX, BARRIER "
                             "[CHECK], REPEAT, PERENGINE)");
}

Test(disbatch, repeat_wants_numbers)
{
    tasks_are("#DISBATCH REPEAT x a\n",
              "a.farm:1: #DISBATCH REPEAT: how often is a number up to 1000000000");
    tasks_are("#DISBATCH REPEAT\n",
              "a.farm:1: #DISBATCH REPEAT: how often is a number up to 1000000000");
    tasks_are("#DISBATCH REPEAT 99999999999999999999999 a\n",
              "a.farm:1: #DISBATCH REPEAT: how often is a number up to 1000000000");
    tasks_are("#DISBATCH REPEAT 2 start -1 a\n",
              "a.farm:1: #DISBATCH REPEAT: start is a number up to 1000000000");
    tasks_are("#DISBATCH REPEAT 2 step 1x a\n",
              "a.farm:1: #DISBATCH REPEAT: step is a number up to 1000000000");
}
