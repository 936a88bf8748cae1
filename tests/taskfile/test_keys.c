/* Keys for resources, time and order: what they mean, and what is refused in them. */
#include "support.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <errno.h>
#include <string.h>

static void enter(void)
{
    t_enter();
    t_countables[0] = (struct mf_countable){"licence.matlab", 4};
    t_countables[1] = (struct mf_countable){"resource.disk", 100};
}

TestSuite(keys, .init = enter, .fini = t_leave);

#define tasks_are(text, shown) cr_assert_str_eq(t_tasks(text), (shown))

/* One line of the keys, and the sentence behind its place. */
static void refuses(const char *keys, const char *sentence)
{
    char text[256], expected[512];

    snprintf(text, sizeof(text), "a\n[%s] b\n", keys);
    snprintf(expected, sizeof(expected), "a.farm:2: in [key=value ...]: %s", sentence);
    cr_assert_str_eq(t_tasks(text), expected);
}

/* --- resources --- */

Test(keys, a_task_needs_memory_and_gpus)
{
    tasks_are("[mem=8G gpus=2] a\n", "1: [a] mem=8589934592 gpus=2\n");
    tasks_are("{\"cmd\":\"a\",\"mem\":4096,\"gpus\":1}\n", "1: [a] mem=4096 gpus=1\n");
}

Test(keys, ranks_are_put_on_the_nodes_with_so_many_cores_each)
{
    tasks_are("[nodes=2 ranks=8] a\n[nodes=2 ranks=7 cores=3] b\n[ranks=8] c\n"
              "[nodes=3 cores=2] d\n",
              "1: [a] cores=4 nodes=2 ranks=8\n2: [b] cores=12 nodes=2 ranks=7\n"
              "3: [c] cores=8 ranks=8\n4: [d] cores=2 nodes=3\n");
    tasks_are("{\"cmd\":\"e\",\"nodes\":2,\"ranks\":2}\n", "1: [e] nodes=2 ranks=2\n");
    tasks_are("#FARM nodes=2 ranks=4 cores=2\na\n[nodes=4] b\n",
              "2: [a] cores=4 nodes=2 ranks=4\n3: [b] cores=2 nodes=4 ranks=4\n");
}

Test(keys, nodes_without_a_rank_are_refused)
{
    tasks_are("[nodes=3 ranks=2] a\n", "a.farm:1: ranks=2 on nodes=3 leaves nodes without a rank: "
                                       "say nodes=2, or more ranks");
    refuses("nodes=0", "nodes: 0 is out of range: give 1 to 1000000");
    refuses("ranks=-4", "ranks: -4 is out of range: give 1 to 1000000");
    refuses("ranks=4 ranks=4", "ranks is given twice");
    tasks_are("[ranks=1000000 cores=2] a\n",
              "a.farm:1: ranks=1000000 of 2 cores need more than 1000000 cores on a node");
}

Test(keys, gpus_on_several_nodes_are_for_ranks_that_can_be_told_theirs)
{
    tasks_are("#FARM gpus=2\n[nodes=3] a\n",
              "a.farm:2: gpus=2 on nodes=3: say with ranks= how many processes are to be started "
              "there, which are then told their GPUs");
    tasks_are("[nodes=1 ranks=2 gpus=1] a\n[nodes=2] b\n[nodes=2 ranks=2 gpus=1] c\n",
              "1: [a] cores=2 nodes=1 gpus=1 ranks=2\n2: [b] nodes=2\n"
              "3: [c] nodes=2 gpus=1 ranks=2\n");
}

Test(keys, a_task_needs_countables_that_the_run_has)
{
    tasks_are("[licence.matlab=4 resource.disk=7] a\n",
              "1: [a] licence.matlab=4 resource.disk=7\n");
    tasks_are("{\"cmd\":\"a\",\"licence.matlab\":2}\n", "1: [a] licence.matlab=2\n");
}

Test(keys, resources_have_defaults_one_by_one)
{
    tasks_are("#FARM mem=1K licence.matlab=1 resource.disk=2\na\n[licence.matlab=3 gpus=1] b\n",
              "2: [a] mem=1024 licence.matlab=1 resource.disk=2\n"
              "3: [b] mem=1024 gpus=1 licence.matlab=3 resource.disk=2\n");
}

Test(keys, a_countable_that_nobody_declared_is_refused_with_what_to_declare)
{
    refuses("licence.idl=1", "licence.idl: nobody says how many the run has: declare it with "
                             "--resource licence.idl=NUMBER");
    t_countables[0].name = NULL;
    refuses("licence.matlab=1", "licence.matlab: nobody says how many the run has: declare it "
                                "with --resource licence.matlab=NUMBER");
    tasks_are("{\"cmd\":\"a\",\"licence.x\":1}\n",
              "a.farm:1: licence.x: nobody says how many the run has: declare it with --resource "
              "licence.x=NUMBER");
}

Test(keys, more_of_a_countable_than_there_is_is_refused)
{
    refuses("licence.matlab=5", "licence.matlab: the run has 4, so 5 can never be had");
    refuses("licence.matlab=1 licence.matlab=1", "licence.matlab is given twice");
}

Test(keys, resources_of_nothing_or_less_are_refused)
{
    const char *bad[] = {"cores=0",
                         "cores=-1",
                         "cores=9999999999999999999999",
                         "mem=0",
                         "mem=-1G",
                         "mem=99999999999999999999G",
                         "gpus=0",
                         "gpus=-1",
                         "gpus=99999999999999999999",
                         "licence.matlab=0",
                         "licence.matlab=-1",
                         "licence.matlab=x"};

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char text[256], place[256];
        const char *shown;

        snprintf(text, sizeof(text), "a\n[%s] b\n", bad[i]);
        snprintf(place, sizeof(place),
                 "a.farm:2: in [key=value ...]: %.*s: ", (int)strcspn(bad[i], "="), bad[i]);
        shown = t_tasks(text);
        cr_assert(strncmp(shown, place, strlen(place)) == 0, "%s: %s", bad[i], shown);
    }
    refuses("mem=0", "mem: a task needs more than 0 bytes");
}

/* --- time and order --- */

Test(keys, times_are_durations)
{
    tasks_are("[time=1.5 timeout=1m deadline=2h] a\n",
              "1: [a] time=1500ms timeout=60000ms deadline=7200000ms\n");
}

Test(keys, times_of_nothing_or_without_end_are_refused)
{
    refuses("time=0", "time: the time that a task takes is longer than 0");
    refuses("deadline=0", "deadline: the time up to a deadline is longer than 0");
    cr_assert(strncmp(t_tasks("[time=999999999999d] a\n"),
                      "a.farm:1: in [key=value ...]: time: ", 36) == 0);
    cr_assert(strncmp(t_tasks("[time=-1] a\n"), "a.farm:1: in [key=value ...]: time: ", 36) == 0);
}

Test(keys, a_weight_is_a_number_above_0)
{
    tasks_are("[weight=2.5] a\n[weight=1e3] b\n", "1: [a] weight=2.5\n2: [b] weight=1000\n");
    refuses("weight=0", "weight: 0 is not greater than 0 and at most 1000000000");
    refuses("weight=1e10", "weight: 1e10 is not greater than 0 and at most 1000000000");
    refuses("weight=-1", "weight: \"-1\" is not a number greater than 0");
    refuses("weight=nan", "weight: \"nan\" is not a number greater than 0");
    refuses("weight=0x10", "weight: \"0x10\" is not a number greater than 0");
    refuses("weight=+1", "weight: \"+1\" is not a number greater than 0");
    refuses("weight=inf", "weight: \"inf\" is not a number greater than 0");
    refuses("weight=1e999", "weight: \"1e999\" is not a number greater than 0");
    refuses("weight=1x", "weight: \"1x\" is not a number greater than 0");
    refuses("weight=", "weight: \"\" is not a number greater than 0");
}

Test(keys, groups_are_numbered_as_they_come)
{
    struct mf_source *source;

    t_write("a.farm", "[group=red] a\nb\n[group=blue] c\n[group=red] d\n");
    source = t_open("a.farm", NULL);
    cr_assert_str_eq(t_show_all(source),
                     "1: [a] group=1\n2: [b]\n3: [c] group=2\n4: [d] group=1\n");
    cr_assert_str_eq(mf_source_group_name(source, 2), "blue");
    cr_assert_null(mf_source_group_name(source, 0));
    mf_source_close(source);
    refuses("group=", "group: the name of a group has 1 to 255 bytes, not 0");
}

/* --- kinds --- */

/* The name of the kind of a file's only task. */
static const char *kind_of(const char *line)
{
    struct mf_source *source;
    const char *name;
    char *copy;

    t_write("a.farm", line);
    source = t_open("a.farm", NULL);
    name = mf_source_kind_name(source, t_next(source)->kind);
    copy = name ? strdup(name) : NULL;
    mf_source_close(source);
    return copy;
}

Test(keys, the_kind_of_a_command_is_the_name_of_its_program)
{
    cr_assert_str_eq(kind_of("./bin/sim --seed 1\n"), "sim");
    cr_assert_str_eq(kind_of("sim | sort\n"), "sim");
    cr_assert_str_eq(kind_of("A=1 B='x' /opt/sim>out\n"), "sim");
    cr_assert_str_eq(kind_of("(sim; post)\n"), "sim");
    cr_assert_str_eq(kind_of("{\"cmd\":[\"/x/sim\",\"a b\"]}\n"), "sim");
    cr_assert_null(kind_of("A=1;B=2\n"));
}

Test(keys, the_kind_of_a_function_is_its_name)
{
    t_has_functions = true;
    cr_assert_str_eq(kind_of("[func=render] a/b\n"), "render");
}

Test(keys, tasks_of_one_program_are_of_one_kind)
{
    struct mf_source *source;
    uint32_t first;

    t_write("a.farm", "./sim 1\npost 1\n/x/sim 2\n");
    source = t_open("a.farm", NULL);
    first = t_next(source)->kind;
    cr_assert_neq(t_next(source)->kind, first);
    cr_assert_eq(t_next(source)->kind, first);
    mf_source_close(source);
}

Test(keys, kinds_without_end_are_not_told_apart)
{
    FILE *file = fopen("a.farm", "w");
    struct mf_source *source;
    uint32_t last = 0;

    for (int i = 0; i < 5000; i++)
        fprintf(file, "p%d\n", i);
    fclose(file);
    source = t_open("a.farm", NULL);
    for (int i = 0; i < 4096; i++)
        last = t_next(source)->kind;
    cr_assert_eq(last, 4096);
    cr_assert_eq(t_next(source)->kind, 0);
    mf_source_close(source);
}

Test(keys, the_tasks_of_a_sweep_are_of_one_kind)
{
    struct mf_source *source = t_sweep("./sim", "{}", ":::", "a", "b", NULL);

    cr_assert_str_eq(mf_source_kind_name(source, t_next(source)->kind), "sim");
    cr_assert_eq(t_next(source)->kind, 1);
    cr_assert_null(mf_source_graph(source));
    mf_source_close(source);
}

/* --- what cannot be read --- */

Test(keys, an_id_that_stands_for_others_in_after_is_refused)
{
    refuses("id=a,b", "id: an id has no blanks, commas or control characters (byte 2)");
    refuses("id=-1", "id: \"-1\" is what after= calls a task before its own, and no id");
    tasks_are("[id=a-1] x\n[id=-] x\n[id=3-7] x\n[id=2024-01] x\n",
              "a-1: [x]\n-: [x]\n3-7: [x]\n2024-01: [x]\n");
}
