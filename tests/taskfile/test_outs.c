/* {out:ID} in commands: whose output it is, and what is refused. */
#include "support.h"

#include "base/outs.h"

#include <criterion/criterion.h>
#include <string.h>
#include <unistd.h>

TestSuite(outs_in_files, .init = t_enter, .fini = t_leave);

#define tasks_are(text, shown) cr_assert_str_eq(t_tasks(text), (shown))

Test(outs_in_files, an_output_that_is_taken_is_waited_for)
{
    tasks_are("[id=a] x\nsort {out:a}\n", "a: [x]\n2: [sort][{out:a}] after=1 outs=1\n");
}

Test(outs_in_files, a_task_is_named_as_in_after)
{
    tasks_are("x\n[id=b] y\nz {out:1} {out:b} {out:-1}\n",
              "1: [x]\nb: [y]\n3: [z][{out:1}][{out:b}][{out:-1}] after=1,2 outs=1,2,2\n");
}

Test(outs_in_files, a_task_further_down_can_be_named)
{
    tasks_are("cat {out:b}\n[id=b] y\n", "1: [cat][{out:b}] after=2 outs=2\nb: [y]\n");
}

Test(outs_in_files, a_place_is_no_shell_syntax)
{
    tasks_are("[id=a] x\ncat in={out:a} -\n", "a: [x]\n2: [cat][in={out:a}][-] after=1 outs=1\n");
    tasks_are("[id=a] x\n{out:a} y\n", "a: [x]\n2: [{out:a}][y] after=1 outs=1\n");
    tasks_are("[id=a] x\ncat <{out:a}\n", "a: [x]\n2: sh cat <{out:a} after=1 outs=1\n");
    tasks_are("[id=a] x\ncat {out:a} {b}\n", "a: [x]\n2: sh cat {out:a} {b} after=1 outs=1\n");
}

Test(outs_in_files, what_is_named_twice_is_waited_for_once)
{
    tasks_are("[id=a] x\n[after=a] cmp {out:a} {out:a}\n",
              "a: [x]\n2: [cmp][{out:a}][{out:a}] after=1 outs=1,1\n");
    tasks_are("[id=a] x\n[afterany=a] cat {out:a}\n", "a: [x]\n2: [cat][{out:a}] after=1 outs=1\n");
}

Test(outs_in_files, a_backslash_makes_it_ordinary_text)
{
    tasks_are("[id=a] x\necho \\{out:a} \\{out:nobody}\n",
              "a: [x]\n2: sh echo \\{out:a} \\{out:nobody}\n");
}

Test(outs_in_files, objects_take_outputs_too)
{
    tasks_are("{\"id\":\"a\",\"cmd\":\"x\"}\n"
              "{\"cmd\":\"cat {out:a}\"}\n"
              "{\"cmd\":[\"cat\",\"-n\",\"{out:a}\",\"\\\\{out:a}\"],\"after\":[2]}\n",
              "a: [x]\n"
              "2: [cat][{out:a}] after=1 outs=1\n"
              "3: [cat][-n][{out:a}][\\{out:a}] after=1,2 outs=1\n");
}

Test(outs_in_files, functions_take_outputs_too)
{
    t_has_functions = true;
    tasks_are("[id=a] x\n[func=render] from {out:a}\n",
              "a: [x]\n2: render [from {out:a}] after=1 outs=1\n");
}

Test(outs_in_files, texts_around_a_command_take_outputs_too)
{
    cr_assert_not_null(
        strstr(t_tasks("[id=a] x\n#DISBATCH SUFFIX  < {out:a}\ncat\n"), "after=1 outs=1"));
    cr_assert_not_null(
        strstr(t_tasks("[id=a] x\n#DISBATCH PREFIX cat {out:a}\n -n\n"), "after=1 outs=1"));
}

Test(outs_in_files, tasks_of_another_file_can_be_named)
{
    struct mf_source *source;

    t_write("a.farm", "x\n");
    t_write("b.farm", "cat {out:a.farm:1}\n");
    source = t_open("a.farm", "b.farm", NULL);
    cr_assert_str_eq(t_show_all(source),
                     "a.farm:1: [x]\nb.farm:1: [cat][{out:a.farm:1}] after=1 outs=1\n");
    mf_source_close(source);
}

Test(outs_in_files, a_task_that_is_loaded_again_takes_the_same)
{
    struct mf_error err;
    const struct mf_entry *entry;
    struct mf_source *source;
    uint64_t cookie;

    t_write("a.farm", "[id=a] x\n[id=b] y\ncat {out:b} {out:a}\n");
    source = t_open("a.farm", NULL);
    t_next(source);
    t_next(source);
    cookie = t_next(source)->cookie;
    cr_assert_eq(mf_source_load(source, cookie, &entry, &err), 0);
    cr_assert_str_eq(t_show(entry), "3: [cat][{out:b}][{out:a}] after=1,2 outs=2,1");
    cr_assert_eq(mf_outs_count(&entry->command), entry->n_outs);
    mf_source_close(source);
}

Test(outs_in_files, a_source_that_has_some_can_be_read_again)
{
    struct mf_source_summary summary;
    struct mf_source *source;
    const char *first;

    t_write("a.farm", "x\n");
    t_write("b.farm", "cat {out:-1}\n");
    source = t_open("a.farm", "b.farm", NULL);
    mf_source_summarize(source, &summary);
    cr_assert(summary.has_outs);
    first = t_show_all(source);
    mf_source_rewind(source);
    cr_assert_str_eq(t_show_all(source), first);
    mf_source_close(source);
}

/* --- what is refused --- */

Test(outs_in_files, a_task_that_is_not_there_cannot_be_named)
{
    tasks_are("x\ncat {out:nobody}\n",
              "a.farm:2: unknown task \"nobody\" in {out:ID} (a backslash before {out:nobody} "
              "makes it ordinary text)");
    tasks_are("cat {out:-1}\n", "a.farm:1: \"-1\" in {out:ID} reaches back before the first task "
                                "(a backslash before {out:-1} makes it ordinary text)");
}

Test(outs_in_files, a_task_cannot_take_its_own_output)
{
    tasks_are("[id=a] cat {out:a}\n",
              "a.farm:1: a task cannot come after itself: \"a\" in {out:ID} is this one");
}

Test(outs_in_files, tasks_cannot_take_outputs_in_a_circle)
{
    tasks_are("[id=a] cat {out:b}\n[id=b] cat {out:a}\n",
              "a.farm:1: task \"a\" comes after \"b\" (line 2), which comes after \"a\": none of "
              "them could ever start");
}

Test(outs_in_files, several_tasks_have_no_one_output)
{
    tasks_are("x\ny\ncat {out:1-2}\n",
              "a.farm:3: {out:1-2} names 2 tasks, but stands for one output");
}

Test(outs_in_files, a_place_without_a_name_is_refused)
{
    tasks_are("cat {out:}\n", "a.farm:1: {out:} names no task: write the id of one task between "
                              "colon and brace, or \\{out: for these characters themselves");
    tasks_are("cat {out:a b}\n",
              "a.farm:1: {out:a b} names no task: write the id of one task between colon and "
              "brace, or \\{out: for these characters themselves");
}

Test(outs_in_files, what_has_failed_has_no_output)
{
    tasks_are("[id=a] x\n[afternotok=a] cat {out:a}\n",
              "a.farm:2: after= and afternotok= name the same task, which cannot both be done and "
              "have failed");
}

Test(outs_in_files, standard_input_takes_no_outputs)
{
    int fds[2];
    struct mf_source *source;

    cr_assert_eq(pipe(fds), 0);
    cr_assert_eq(write(fds[1], "x\ncat {out:1}\n", 14), 14);
    close(fds[1]);
    dup2(fds[0], 0);
    source = t_open("-", NULL);
    cr_assert_not_null(strstr(t_show_all(source),
                              ":2: {out:1} needs all of the input before the run, which standard "
                              "input and pipes do not give: put the tasks into a file"));
    mf_source_close(source);
}

Test(outs_in_files, a_sweep_takes_no_outputs)
{
    cr_assert_str_eq(t_sweep_error("cat", "{out:1}", "{}", ":::", "a", NULL),
                     "{out:1}: the tasks of a sweep cannot take each other's output; use a task "
                     "file, or write \\{out: for these characters themselves");
    cr_assert_str_eq(t_combinations("echo", "\\{out:1}", "{}", ":::", "a", "{out:2}", NULL),
                     "1: sh echo \\{out:1} a\n2: sh echo \\{out:1} '{out:2}'\n");
}
