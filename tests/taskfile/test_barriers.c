/* Barriers of task files. */
#include "support.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

TestSuite(barriers, .init = t_enter, .fini = t_leave);

#define tasks_are(text, shown) cr_assert_str_eq(t_tasks(text), (shown))

Test(barriers, the_task_behind_one_says_so)
{
    tasks_are("a\nb\n#FARM barrier\nc\nd\n", "1: [a]\n2: [b]\n4: [c] barrier\n5: [d]\n");
}

Test(barriers, one_can_check_that_all_before_it_is_done)
{
    tasks_are("a\n#FARM  barrier \t check \nb\n", "1: [a]\n3: [b] barrier=check\n");
    tasks_are("a\n#FARM barrier check\r\nb\n", "1: [a]\n3: [b] barrier=check\n");
}

Test(barriers, two_in_a_row_are_one_that_checks_if_any_does)
{
    tasks_are("a\n#FARM barrier check\n\n#FARM barrier\nb\n#FARM barrier\n#FARM barrier\nc\n",
              "1: [a]\n5: [b] barrier=check\n8: [c] barrier\n");
}

Test(barriers, at_the_beginning_or_the_end_they_do_no_harm)
{
    struct mf_source_summary summary;
    struct mf_source *source;
    struct mf_shape shape;

    t_write("a.farm", "#FARM barrier\na\n#FARM barrier\n");
    source = t_open("a.farm", NULL);
    mf_source_summarize(source, &summary);
    mf_graph_shape(mf_source_graph(source), &shape);
    cr_assert(summary.has_barriers && !summary.has_dependencies);
    cr_assert_eq(shape.n_barriers, 0);
    cr_assert_eq(shape.depth, 1);
    cr_assert_str_eq(t_show_all(source), "2: [a] barrier\n");
    mf_source_close(source);
}

Test(barriers, defaults_go_on_behind_them)
{
    tasks_are("#FARM cores=2\na\n#FARM barrier\nb\n", "2: [a] cores=2\n4: [b] cores=2 barrier\n");
}

Test(barriers, one_at_the_end_of_a_file_stands_before_the_next)
{
    struct mf_source *source;
    struct mf_shape shape;

    t_write("a.farm", "a\n#FARM barrier check\n");
    t_write("b.farm", "# nothing\n");
    t_write("c.farm", "c\nd\n");
    source = t_open("a.farm", "b.farm", "c.farm", NULL);
    mf_graph_shape(mf_source_graph(source), &shape);
    cr_assert_eq(shape.depth, 2);
    cr_assert_eq(shape.width, 2);
    cr_assert_str_eq(t_show_all(source),
                     "a.farm:1: [a]\nc.farm:1: [c] barrier=check\nc.farm:2: [d]\n");
    mf_source_close(source);
}

Test(barriers, they_make_levels_of_the_graph)
{
    struct mf_source *source;
    struct mf_shape shape;
    FILE *file = fopen("a.farm", "w");

    for (int i = 0; i < 1000; i++)
        fputs("[time=1] x\n[time=2] y\n#FARM barrier\n", file);
    fclose(file);
    source = t_open("a.farm", NULL);
    mf_graph_shape(mf_source_graph(source), &shape);
    cr_assert_eq(shape.depth, 1000);
    cr_assert_eq(shape.width, 2);
    cr_assert_eq(shape.n_barriers, 999);
    cr_assert_eq(shape.critical_ns, 2000 * INT64_C(1000000000));
    cr_assert_eq(t_next(source)->upward_ns, (1 + 999 * 2) * INT64_C(1000000000));
    mf_source_close(source);
}

Test(barriers, every_task_can_be_loaded_again_with_its_barrier)
{
    struct mf_source *source;
    FILE *file = fopen("a.farm", "w");
    const struct mf_entry *entry;

    for (int i = 0; i < 2000; i++)
        fputs(i % 3 ? "x\n" : "#FARM barrier\nx\n", file);
    fclose(file);
    source = t_open("a.farm", NULL);
    for (int i = 0; i < 2000; i++)
        cr_assert_eq(t_next(source)->is_behind_barrier, i % 3 == 0);
    for (uint64_t i = 2000; i-- > 0;) {
        cr_assert_eq(mf_source_load(source, i, &entry, NULL), 0);
        cr_assert_eq(entry->is_behind_barrier, i % 3 == 0);
    }
    mf_source_close(source);
}

Test(barriers, what_else_stands_on_the_line_is_refused)
{
    tasks_are("#FARM barrier cheque\n",
              "a.farm:1: only \"check\" can stand behind \"#FARM barrier\"");
    tasks_are("#FARM barrier check x\n",
              "a.farm:1: only \"check\" can stand behind \"#FARM barrier\"");
    tasks_are("#FARM barriers\n", "a.farm:1: in #FARM: \"barriers\" is not key=value");
}
