/* Tasks that come after others: how they are named, and what is refused. */
#include "support.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

TestSuite(after, .init = t_enter, .fini = t_leave);

#define tasks_are(text, shown) cr_assert_str_eq(t_tasks(text), (shown))

/* --- names --- */

Test(after, an_id_names_a_task_wherever_it_stands)
{
    tasks_are("[after=b] x\n[id=b] y\n[after=b] z\n", "1: [x] after=2\nb: [y]\n3: [z] after=2\n");
}

Test(after, a_number_names_the_task_of_a_line)
{
    tasks_are("# one\n\nx\n[id=b] y\n[after=3,4] z\n", "3: [x]\nb: [y]\n5: [z] after=1,2\n");
}

Test(after, a_given_id_goes_before_a_line_of_that_number)
{
    tasks_are("[id=a] x\n[id=1] y\n[after=1] z\n", "a: [x]\n1: [y]\n3: [z] after=2\n");
}

Test(after, a_range_names_the_tasks_of_its_lines_and_passes_over_others)
{
    tasks_are("x\n# two\ny\n\nz\n[after=2-4] a\n[after=1-6] b\n",
              "1: [x]\n3: [y]\n5: [z]\n6: [a] after=2\n7: [b] after=1,2,3,4\n");
}

Test(after, a_negative_number_counts_tasks_back)
{
    tasks_are("x\n# two\n\n[after=-1] y\n[after=-1,-2] z\n",
              "1: [x]\n4: [y] after=1\n5: [z] after=1,2\n");
}

Test(after, an_id_that_looks_like_a_range_is_an_id)
{
    tasks_are("x\ny\n[id=1-2] z\n[after=1-2] a\n", "1: [x]\n2: [y]\n1-2: [z]\n4: [a] after=3\n");
}

Test(after, blanks_around_names_do_not_matter)
{
    tasks_are("x\ny\n[after=\" 1 , 2 \"] z\n", "1: [x]\n2: [y]\n3: [z] after=1,2\n");
}

Test(after, a_task_named_twice_counts_once)
{
    tasks_are("x\ny\n[after=2,1-2,-1] z\n", "1: [x]\n2: [y]\n3: [z] after=1,2\n");
}

Test(after, other_files_are_named_by_file_and_line)
{
    struct mf_source *source;

    t_write("a.farm", "x\n[id=p] y\n[after=b.farm:2] z\n");
    t_write("b.farm", "# one\nu\n[after=p,2,a.farm:1] v\n");
    source = t_open("a.farm", "b.farm", NULL);
    cr_assert_str_eq(t_show_all(source), "a.farm:1: [x]\np: [y]\na.farm:3: [z] after=4\n"
                                         "b.farm:2: [u]\nb.farm:3: [v] after=1,2,4\n");
    mf_source_close(source);
}

/* --- conditions and defaults --- */

Test(after, each_condition_has_a_key)
{
    tasks_are("x\ny\nz\n[after=1 afterany=2 afternotok=3] a\n",
              "1: [x]\n2: [y]\n3: [z]\n4: [a] after=1,any:2,notok:3\n");
}

Test(after, that_a_task_ends_is_part_of_the_other_conditions)
{
    tasks_are("x\ny\n[after=1 afternotok=2 afterany=1,2] a\n",
              "1: [x]\n2: [y]\n3: [a] after=1,notok:2\n");
}

Test(after, a_default_holds_for_the_tasks_behind_it_until_they_say_otherwise)
{
    tasks_are("x\n#FARM after=-1\ny\n[after=1] z\n[after=] a\n",
              "1: [x]\n3: [y] after=1\n4: [z] after=1\n5: [a]\n");
}

Test(after, json_has_texts_numbers_and_arrays_of_both)
{
    tasks_are("{\"cmd\":\"a\",\"id\":\"p\"}\n{\"cmd\":\"b\",\"after\":1}\n"
              "{\"cmd\":\"c\",\"after\":\"p,2\"}\n"
              "{\"cmd\":\"d\",\"after\":[\"p\",2],\"afterany\":[\"-1\"],\"afternotok\":[]}\n",
              "p: [a]\n2: [b] after=1\n3: [c] after=1,2\n4: [d] after=1,2,any:3\n");
    tasks_are("{\"cmd\":\"a\",\"after\":[true]}\n",
              "a.farm:1: after: element 1 is true or false, not a string or a number");
    tasks_are("{\"cmd\":\"a\",\"after\":null}\n",
              "a.farm:1: after: null, but a number or a string is expected");
}

/* --- what is refused --- */

Test(after, an_unknown_task_is_refused)
{
    tasks_are("x\n[after=fit] y\n", "a.farm:2: unknown task \"fit\" in after=");
    tasks_are("# x\n[afterany=1] y\n",
              "a.farm:2: unknown task \"1\" in afterany=: no task stands on that line");
    tasks_are("x\n[afternotok=7-9] y\n",
              "a.farm:2: unknown task \"7-9\" in afternotok=: no task stands on these lines");
    tasks_are("x\n[after=-2] y\n", "a.farm:2: \"-2\" in after= reaches back before the first task");
    tasks_are("x\n[after=99999999999999999999] y\n",
              "a.farm:2: unknown task \"99999999999999999999\" in after=");
    tasks_are("x\n[after=a.farm:1] y\n", "a.farm:2: unknown task \"a.farm:1\" in after=");
}

Test(after, a_list_that_is_not_well_formed_is_refused)
{
    tasks_are("x\n[after=1,,1] y\n", "a.farm:2: a name is missing between the commas of after=");
    tasks_are("x\n[after=1,] y\n", "a.farm:2: a name is missing between the commas of after=");
    tasks_are("x\ny\n[after=2-1] z\n", "a.farm:3: \"2-1\" in after= ends before it begins");
    tasks_are("x\n[after=1 after=1] z\n", "a.farm:2: in [key=value ...]: after is given twice");
}

Test(after, a_task_after_itself_is_refused)
{
    tasks_are("x\n[id=a after=a] y\n",
              "a.farm:2: a task cannot come after itself: \"a\" in after= is this one");
    tasks_are("x\n[after=1-3] y\nz\n",
              "a.farm:2: a task cannot come after itself: \"1-3\" in after= is this one");
    tasks_are("x\n[after=-0] y\n", "a.farm:2: unknown task \"-0\" in after=");
}

Test(after, conditions_that_exclude_each_other_are_refused)
{
    tasks_are("x\n[after=1 afternotok=1] y\n",
              "a.farm:2: after= and afternotok= name the same task, which cannot both be done and "
              "have failed");
}

Test(after, a_cycle_is_told_whole_with_its_lines)
{
    tasks_are("# one\nx\n[id=a after=b] x\n\n\n\n[id=b after=a] x\n",
              "a.farm:3: task \"a\" comes after \"b\" (line 7), which comes after \"a\": none of "
              "them could ever start");
    tasks_are("[after=3] x\n[id=b after=1] y\n[after=b] z\n",
              "a.farm:1: task \"1\" comes after \"3\" (line 3), which comes after \"b\" (line 2), "
              "which comes after \"1\": none of them could ever start");
}

Test(after, a_cycle_over_files_names_them)
{
    t_write("a.farm", "[id=a after=b] x\n");
    t_write("b.farm", "y\n[id=b after=a] y\n");
    cr_assert_str_eq(t_open_error("a.farm", "b.farm", NULL),
                     "a.farm:1: task \"a\" comes after \"b\" (b.farm:2), which comes after \"a\": "
                     "none of them could ever start");
}

Test(after, a_cycle_through_a_barrier_is_refused)
{
    tasks_are("[id=a after=b] x\n#FARM barrier\n[id=b] y\n",
              "a.farm:1: task \"a\" comes after \"b\" (line 3), behind a barrier that comes after "
              "\"a\": none of them could ever start");
}

Test(after, of_a_long_cycle_the_beginning_is_told)
{
    char text[4096] = "[after=100] x\n";
    const char *shown;

    for (int i = 2; i <= 100; i++)
        strcat(text, "[after=-1] x\n");
    shown = t_tasks(text);
    cr_assert(strstr(shown, "a.farm:1: task \"1\" comes after \"100\" (line 100), which"));
    cr_assert(strstr(shown, "\"92\" (line 92), and so on over 90 more, which comes after \"1\": "));
}

/* --- the source --- */

Test(after, the_graph_knows_all_before_the_first_task_is_read)
{
    struct mf_source *source;
    struct mf_source_summary summary;
    const struct mf_entry *entry;
    struct mf_shape shape;

    t_write("a.farm", "[time=2 cores=3] x\n[after=1 time=5] y\n[after=1 time=1] z\n");
    source = t_open("a.farm", NULL);
    mf_source_summarize(source, &summary);
    cr_assert(summary.has_dependencies && summary.has_estimates && !summary.has_barriers);
    mf_graph_shape(mf_source_graph(source), &shape);
    cr_assert_eq(shape.depth, 2);
    cr_assert_eq(shape.work_ns, 12 * INT64_C(1000000000));
    cr_assert_eq(t_next(source)->upward_ns, 7 * INT64_C(1000000000));
    entry = t_next(source);
    cr_assert_eq(entry->upward_ns, 5 * INT64_C(1000000000));
    cr_assert_eq(entry->n_after, 1);
    mf_source_close(source);
}

Test(after, a_file_without_order_has_no_graph)
{
    struct mf_source *source;
    struct mf_source_summary summary;

    t_write("a.farm", "[time=2] x\n");
    source = t_open("a.farm", NULL);
    mf_source_summarize(source, &summary);
    cr_assert(!summary.has_dependencies && !summary.has_barriers && summary.has_estimates);
    cr_assert_null(mf_source_graph(source));
    cr_assert_eq(t_next(source)->upward_ns, 2 * INT64_C(1000000000));
    mf_source_close(source);
}

Test(after, a_task_that_is_loaded_again_comes_after_the_same)
{
    struct mf_source *source;
    const struct mf_entry *entry;
    uint64_t cookie;

    t_write("a.farm", "x\n#FARM barrier check\n[after=1] y\nz\n");
    source = t_open("a.farm", NULL);
    t_next(source);
    cookie = t_next(source)->cookie;
    t_next(source);
    cr_assert_eq(mf_source_load(source, cookie, &entry, NULL), 0);
    cr_assert_str_eq(t_show(entry), "3: [y] after=1 barrier=check");
    mf_source_close(source);
}

/* --- standard input --- */

/* The tasks of a stream with this text. */
static const char *streamed(const char *text)
{
    const char *shown;
    struct mf_source *source;
    int ends[2];

    cr_assert(pipe(ends) == 0);
    cr_assert(write(ends[1], text, strlen(text)) == (ssize_t)strlen(text));
    close(ends[1]);
    cr_assert(dup2(ends[0], STDIN_FILENO) == STDIN_FILENO);
    close(ends[0]);
    source = t_open("-", NULL);
    cr_assert_null(mf_source_graph(source));
    shown = t_show_all(source);
    mf_source_close(source);
    return shown;
}

Test(after, from_standard_input_tasks_come_after_those_before_them)
{
    cr_assert_str_eq(streamed("[id=a] x\n[after=a] y\n#FARM barrier\n[afterany=1,-1] z\n"),
                     "a: [x]\n2: [y] after=1\n4: [z] after=any:1,any:2 barrier\n");
}

Test(after, from_standard_input_no_later_task_can_be_named)
{
    cr_assert_str_eq(streamed("[after=b] x\n[id=b] y\n"),
                     "stdin:1: unknown task \"b\" in after=: with standard input in the input, "
                     "only tasks before this one can be named");
    cr_assert_str_eq(streamed("[id=a after=a] x\n"),
                     "stdin:1: a task cannot come after itself: \"a\" in after= is this one");
}

Test(after, beside_standard_input_a_file_cannot_name_later_tasks_either)
{
    struct mf_source *source;
    int ends[2];

    t_write("a.farm", "[after=2] x\ny\n");
    cr_assert(pipe(ends) == 0);
    cr_assert(dup2(ends[0], STDIN_FILENO) == STDIN_FILENO);
    close(ends[1]);
    source = t_open("a.farm", "-", NULL);
    cr_assert_str_eq(t_show_all(source),
                     "a.farm:1: \"2\" in after= does not stand before this task, and with standard "
                     "input in the input no other task can be named");
    mf_source_close(source);
}

Test(after, a_file_behind_standard_input_names_tasks_of_both)
{
    struct mf_source *source;
    int ends[2];

    t_write("b.farm", "u\n[after=p,1] v\n");
    cr_assert(pipe(ends) == 0);
    cr_assert(write(ends[1], "[id=p] x\ny\n", 11) == 11);
    close(ends[1]);
    cr_assert(dup2(ends[0], STDIN_FILENO) == STDIN_FILENO);
    source = t_open("-", "b.farm", NULL);
    cr_assert_str_eq(t_show_all(source), "p: [x]\nstdin:2: [y]\nb.farm:1: [u]\n"
                                         "b.farm:2: [v] after=1,3\n");
    mf_source_close(source);
}

Test(after, a_million_tasks_in_a_chain_are_checked)
{
    FILE *file = fopen("a.farm", "w");
    struct mf_source *source;
    struct mf_shape shape;

    for (int i = 0; i < 1000000; i++)
        fputs(i ? "[after=-1] x\n" : "x\n", file);
    fclose(file);
    source = t_open("a.farm", NULL);
    mf_graph_shape(mf_source_graph(source), &shape);
    cr_assert_eq(shape.depth, 1000000);
    mf_source_close(source);
}
