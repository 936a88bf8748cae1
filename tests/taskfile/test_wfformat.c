/* Workflows in WfFormat: what is read of them, and each way in which they can be wrong. */
#include "taskfile/source.h"
#include "taskfile/wfformat.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct mf_workflow workflow;

static void finish(void)
{
    mf_workflow_finish(&workflow);
}

TestSuite(wfformat, .fini = finish);

static void assert_same(const char *actual, const char *expected)
{
    cr_assert(strcmp(actual, expected) == 0, "\"%s\" instead of \"%s\"", actual, expected);
}

static void read_example(const char *name)
{
    struct mf_error err = {0};
    char path[1024];
    int r;

    snprintf(path, sizeof(path), T_DIR "/wfformat/%s", name);
    r = mf_workflow_read(&workflow, path, &err);
    cr_assert(eq(int, r, 0), "%s", err.text);
}

static const struct mf_workflow_task *find(const char *id)
{
    for (size_t i = 0; i < workflow.n_tasks; i++)
        if (strcmp(workflow.tasks[i].id, id) == 0)
            return &workflow.tasks[i];
    cr_assert(false, "no task %s", id);
    return NULL;
}

static bool comes_after(const char *id, const char *parent)
{
    const struct mf_workflow_task *task = find(id);

    for (uint32_t i = 0; i < task->n_after; i++)
        if (strcmp(workflow.tasks[task->after[i].task - 1].id, parent) == 0)
            return task->after[i].condition == MF_AFTER_OK;
    return false;
}

/* --- what is read --- */

Test(wfformat, a_montage_has_its_times_needs_commands_and_dependencies)
{
    const struct mf_workflow_task *task;

    read_example("montage.json");
    cr_assert(eq(sz, workflow.n_tasks, 18));
    task = find("mAdd_ID0000017");
    assert_same(task->name, "mAdd");
    cr_assert(eq(i64, task->runtime_ns, INT64_C(3410000000)));
    cr_assert(eq(u32, task->needs.n_slots, 2));
    cr_assert(eq(u64, task->needs.mem_bytes, 67108864));
    cr_assert(eq(u32, task->n_args, 5));
    assert_same(task->args[0], "mAdd");
    assert_same(task->args[4], "mosaic.fits");
    cr_assert(eq(u32, find("mConcatFit_ID0000010")->n_after, 5));
    cr_assert(comes_after("mBackground_ID0000012", "mBgModel_ID0000011"));
    cr_assert(comes_after("mBackground_ID0000012", "mProject_ID0000001"));
}

Test(wfformat, tasks_that_stand_in_order_stay_in_it)
{
    read_example("montage.json");
    for (size_t i = 0; i < workflow.n_tasks; i++)
        cr_assert(eq(sz, workflow.tasks[i].place, i));
}

Test(wfformat, a_task_is_given_behind_all_that_it_comes_after)
{
    read_example("fork-join.json");
    assert_same(workflow.tasks[0].id, "split");
    assert_same(workflow.tasks[5].id, "join");
    for (size_t i = 0; i < workflow.n_tasks; i++)
        for (uint32_t j = 0; j < workflow.tasks[i].n_after; j++) {
            const struct mf_dependency *after = &workflow.tasks[i].after[j];

            cr_assert(after->task <= i);
            cr_assert(j == 0 || after[-1].task < after->task, "in order of their numbers");
        }
}

Test(wfformat, a_part_of_a_core_is_a_core)
{
    read_example("fork-join.json");
    cr_assert(eq(u32, find("join")->needs.n_slots, 2));
}

Test(wfformat, what_was_never_run_has_neither_time_nor_command)
{
    read_example("chain.json");
    cr_assert(eq(sz, workflow.n_tasks, 4));
    cr_assert(eq(i64, find("fit")->runtime_ns, -1));
    cr_assert(eq(u32, find("fit")->n_args, 0));
    cr_assert(eq(u32, find("fit")->needs.n_slots, 1));
    cr_assert(comes_after("plot", "fit"));
}

/* --- what is refused --- */

/* Writes a file and reads it. */
static int read_text(const char *text, struct mf_error *err)
{
    char dir[] = "/tmp/t_wfformat.XXXXXX", path[64];
    FILE *file;
    int r;

    cr_assert(mkdtemp(dir) != NULL);
    snprintf(path, sizeof(path), "%s/flow.json", dir);
    file = fopen(path, "w");
    cr_assert(file != NULL);
    fputs(text, file);
    fclose(file);
    r = mf_workflow_read(&workflow, path, err);
    /* Messages without the directory, which differs. */
    if (strncmp(err->text, dir, strlen(dir)) == 0)
        memmove(err->text, err->text + strlen(dir) + 1, strlen(err->text) - strlen(dir));
    unlink(path);
    rmdir(dir);
    return r;
}

static void refuse(const char *text, int expected, const char *sentence)
{
    struct mf_error err = {0};
    int r = read_text(text, &err);

    cr_assert(eq(int, r, expected), "%s", err.text);
    assert_same(err.text, sentence);
    mf_workflow_finish(&workflow);
}

/* A file around tasks of the specification and of the execution. */
static void refuse_tasks(const char *tasks, const char *execution, int expected,
                         const char *sentence)
{
    char text[4096];

    snprintf(text, sizeof(text),
             "{\"name\": \"w\", \"schemaVersion\": \"1.5\", \"workflow\": {\"specification\": "
             "{\"tasks\": [%s]}%s%s%s}}",
             tasks, execution ? ", \"execution\": {\"tasks\": [" : "", execution ? execution : "",
             execution ? "]}" : "");
    refuse(text, expected, sentence);
}

#define TASK(id, parents, children)                                                                \
    "{\"name\": \"n\", \"id\": \"" id "\", \"parents\": [" parents "], \"children\": [" children   \
    "]}"
#define Q(text) "\"" text "\""

Test(wfformat, another_version_of_the_schema_is_refused)
{
    refuse("{\"schemaVersion\": \"1.4\"}", -EINVAL,
           "flow.json: schemaVersion: \"1.4\" is not known; \"1.5\" is");
    refuse("{\"schemaVersion\": 1.5}", -EINVAL,
           "flow.json: schemaVersion: a number, but a string is expected");
    refuse("{}", -EINVAL, "flow.json: schemaVersion: is missing");
}

Test(wfformat, what_is_no_workflow_is_refused)
{
    refuse("[]", -EINVAL, "flow.json: an array, but an object is expected");
    refuse("{\"schemaVersion\": \"1.5\"}", -EINVAL, "flow.json: workflow: is missing");
    refuse("{\"schemaVersion\": \"1.5\", \"workflow\": {}}", -EINVAL,
           "flow.json: workflow.specification: is missing");
    refuse_tasks("", NULL, -EINVAL, "flow.json: workflow.specification.tasks: is empty");
    refuse_tasks("3", NULL, -EINVAL,
                 "flow.json: workflow.specification.tasks[0]: a number, but an object is expected");
}

Test(wfformat, malformed_json_names_its_line)
{
    struct mf_error err = {0};

    cr_assert(eq(int, read_text("{\n\"schemaVersion\": \"1.5\",,\n}", &err), -EINVAL));
    cr_assert(strncmp(err.text, "flow.json:2: ", 13) == 0, "%s", err.text);
}

Test(wfformat, a_missing_file_and_a_directory_are_named)
{
    struct mf_error err = {0};

    cr_assert(eq(int, mf_workflow_read(&workflow, "/no/flow.json", &err), -ENOENT));
    cr_assert(strncmp(err.text, "/no/flow.json: ", 15) == 0, "%s", err.text);
    cr_assert(eq(int, mf_workflow_read(&workflow, "/", &err), -EIO));
    assert_same(err.text, "/: cannot be read");
}

Test(wfformat, a_dangling_parent_is_named_with_its_path)
{
    refuse_tasks(TASK("a", "", "") "," TASK("b", Q("x"), ""), NULL, -ENOENT,
                 "flow.json: workflow.specification.tasks[1].parents[0]: there is no task \"x\"");
    refuse_tasks(TASK("a", "", Q("x")), NULL, -ENOENT,
                 "flow.json: workflow.specification.tasks[0].children[0]: there is no task \"x\"");
}

Test(wfformat, parents_and_children_have_to_agree)
{
    refuse_tasks(TASK("a", "", "") "," TASK("b", Q("a"), ""), NULL, -EINVAL,
                 "flow.json: workflow.specification.tasks[1].parents[0]: \"a\" does not have \"b\" "
                 "among its children");
    refuse_tasks(TASK("a", "", Q("b")) "," TASK("b", "", ""), NULL, -EINVAL,
                 "flow.json: workflow.specification.tasks[0].children[0]: \"b\" does not have "
                 "\"a\" among its parents");
}

Test(wfformat, lists_have_to_be_there_and_name_each_task_once)
{
    refuse_tasks("{\"name\": \"n\", \"id\": \"a\", \"children\": []}", NULL, -EINVAL,
                 "flow.json: workflow.specification.tasks[0].parents: is missing");
    refuse_tasks(TASK("a", "7", ""), NULL, -EINVAL,
                 "flow.json: workflow.specification.tasks[0].parents[0]: a number, but a string is "
                 "expected");
    refuse_tasks(TASK("a", "", Q("b")) "," TASK("b", Q("a") "," Q("a"), ""), NULL, -EEXIST,
                 "flow.json: workflow.specification.tasks[1].parents[1]: task \"a\" is named "
                 "twice");
}

Test(wfformat, an_id_is_one_word_that_no_other_task_has)
{
    refuse_tasks(TASK("a", "", "") "," TASK("a", "", ""), NULL, -EEXIST,
                 "flow.json: workflow.specification.tasks[1].id: \"a\" is the id of "
                 "workflow.specification.tasks[0] too");
    refuse_tasks(TASK("a b", "", ""), NULL, -EINVAL,
                 "flow.json: workflow.specification.tasks[0].id: an id has no blanks and no "
                 "control characters");
    refuse_tasks(TASK("", "", ""), NULL, -EINVAL,
                 "flow.json: workflow.specification.tasks[0].id: is empty");
}

Test(wfformat, a_cycle_is_told_whole)
{
    refuse_tasks(TASK("start", "", Q("a")) "," TASK("a", Q("start") "," Q("c"), Q("b")) "," TASK(
                     "b", Q("a"), Q("c")) "," TASK("c", Q("b"), Q("a")),
                 NULL, -ELOOP,
                 "flow.json: workflow.specification.tasks[1].parents: a cycle: \"a\" comes after "
                 "\"c\", which comes after \"b\", which comes after \"a\"");
    refuse_tasks(TASK("a", Q("a"), Q("a")), NULL, -ELOOP,
                 "flow.json: workflow.specification.tasks[0].parents[0]: task \"a\" comes after "
                 "itself");
}

Test(wfformat, a_run_time_is_there_and_not_negative)
{
    refuse_tasks(TASK("a", "", ""), "{\"id\": \"a\", \"runtimeInSeconds\": -2.5}", -ERANGE,
                 "flow.json: workflow.execution.tasks[0].runtimeInSeconds: -2.5 is negative");
    refuse_tasks(TASK("a", "", ""), "{\"id\": \"a\", \"runtimeInSeconds\": 1e30}", -ERANGE,
                 "flow.json: workflow.execution.tasks[0].runtimeInSeconds: 1e+30 is not between 0 "
                 "and 4e+09");
    refuse_tasks(TASK("a", "", ""), "{\"id\": \"a\"}", -EINVAL,
                 "flow.json: workflow.execution.tasks[0].runtimeInSeconds: is missing");
    refuse_tasks(TASK("a", "", ""), "{\"id\": \"a\", \"runtimeInSeconds\": \"1\"}", -EINVAL,
                 "flow.json: workflow.execution.tasks[0].runtimeInSeconds: a string, but a number "
                 "is expected");
}

Test(wfformat, needs_are_within_reason)
{
    refuse_tasks(TASK("a", "", ""), "{\"id\": \"a\", \"runtimeInSeconds\": 1, \"coreCount\": 0}",
                 -ERANGE,
                 "flow.json: workflow.execution.tasks[0].coreCount: 0 is not between 1 and 1e+06");
    refuse_tasks(TASK("a", "", ""),
                 "{\"id\": \"a\", \"runtimeInSeconds\": 1, \"memoryInBytes\": -1}", -ERANGE,
                 "flow.json: workflow.execution.tasks[0].memoryInBytes: -1 is negative");
}

Test(wfformat, an_execution_is_of_a_task_that_there_is_and_told_once)
{
    refuse_tasks(TASK("a", "", ""), "{\"id\": \"b\", \"runtimeInSeconds\": 1}", -ENOENT,
                 "flow.json: workflow.execution.tasks[0].id: there is no task \"b\"");
    refuse_tasks(TASK("a", "", ""),
                 "{\"id\": \"a\", \"runtimeInSeconds\": 1}, {\"id\": \"a\", \"runtimeInSeconds\": "
                 "1}",
                 -EEXIST, "flow.json: workflow.execution.tasks[1].id: task \"a\" was there before");
}

Test(wfformat, a_command_is_made_of_strings)
{
    refuse_tasks(TASK("a", "", ""),
                 "{\"id\": \"a\", \"runtimeInSeconds\": 1, \"command\": {\"program\": \"p\", "
                 "\"arguments\": [\"x\", 3]}}",
                 -EINVAL,
                 "flow.json: workflow.execution.tasks[0].command.arguments[1]: a number, but a "
                 "string is expected");
    refuse_tasks(TASK("a", "", ""),
                 "{\"id\": \"a\", \"runtimeInSeconds\": 1, \"command\": {\"program\": \"\"}}",
                 -EINVAL, "flow.json: workflow.execution.tasks[0].command.program: is empty");
}

/* --- as a source --- */

static struct mf_source *open_example(const char *name, bool is_not_run)
{
    struct mf_source_options options = {.format = MF_SOURCE_WFFORMAT, .is_not_run = is_not_run};
    struct mf_source *source;
    struct mf_error err = {0};
    char path[1024];
    const char *paths[] = {path};
    int r;

    snprintf(path, sizeof(path), T_DIR "/wfformat/%s", name);
    r = mf_source_open_files(paths, 1, &options, &source, &err);
    cr_assert(eq(int, r, 0), "%s", err.text);
    return source;
}

Test(wfformat, a_source_gives_each_task_once_and_again_by_its_cookie)
{
    struct mf_source *source = open_example("fork-join.json", false);
    struct mf_source_summary summary;
    const struct mf_entry *entry;
    struct mf_error err = {0};

    mf_source_summarize(source, &summary);
    cr_assert(eq(u64, summary.n_tasks, 6));
    cr_assert(summary.is_counted && summary.has_dependencies && summary.has_estimates);
    for (uint64_t i = 1; i <= 6; i++) {
        cr_assert(eq(int, mf_source_next(source, &entry, &err), 0));
        cr_assert(eq(u64, entry->command.seq, i));
    }
    cr_assert(eq(int, mf_source_next(source, &entry, &err), 1));
    cr_assert(eq(int, mf_source_load(source, 6, &entry, &err), 0));
    assert_same(entry->command.id, "join");
    assert_same(entry->command.args[0], "sh");
    cr_assert(entry->command.has_given_id && !entry->command.is_shell);
    cr_assert(eq(u32, entry->n_after, 4));
    cr_assert(eq(i64, entry->estimate_ns, 500000000));
    cr_assert(eq(i64, entry->upward_ns, 500000000));
    assert_same(mf_source_kind_name(source, entry->kind), "sh");
    cr_assert(eq(int, mf_source_load(source, 7, &entry, &err), -ENOENT));
    mf_source_close(source);
}

Test(wfformat, a_source_has_the_graph_of_its_workflow)
{
    struct mf_source *source = open_example("montage.json", false);
    struct mf_shape shape;

    mf_graph_shape(mf_source_graph(source), &shape);
    cr_assert(eq(u64, shape.n_tasks, 18));
    cr_assert(eq(u64, shape.depth, 8));
    cr_assert(eq(u64, shape.width, 5));
    cr_assert(eq(u64, shape.n_dependencies, 5 * 2 + 5 + 1 + 4 * 2 + 4 + 1 + 1));
    /* mProject 2, mDiffFit 1-2 or 2-3, and one of each of the rest. */
    cr_assert(eq(i64, shape.critical_ns,
                 INT64_C(1000000) * (12040 + 850 + 350 + 1270 + 1050 + 220 + 3410 + 1640)));
    mf_source_close(source);
}

Test(wfformat, what_has_no_commands_can_be_looked_at_but_not_run)
{
    struct mf_source_options options = {.format = MF_SOURCE_WFFORMAT};
    const char *const paths[] = {T_DIR "/wfformat/chain.json", "other.json"};
    struct mf_source *source = open_example("chain.json", true);
    const struct mf_entry *entry;
    struct mf_error err = {0};

    cr_assert(eq(int, mf_source_next(source, &entry, &err), 0));
    assert_same(entry->command.args[0], "fetch");
    cr_assert(eq(i64, entry->estimate_ns, 0));
    mf_source_close(source);
    cr_assert(eq(int, mf_source_open_files(paths, 1, &options, &source, &err), -EINVAL));
    cr_assert(strstr(err.text, "chain.json: workflow.specification.tasks[0]: task \"fetch\" has "
                               "no command.program") != NULL,
              "%s", err.text);
    cr_assert(eq(int, mf_source_open_files(paths, 2, &options, &source, &err), -EINVAL));
    assert_same(err.text, "a workflow in WfFormat is one file, not 2");
}
