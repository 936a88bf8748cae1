/* Files as GREASY's user guide has them: [# lines #] and [@ directory @]. */
#include "support.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

TestSuite(greasy, .init = t_enter, .fini = t_leave);

#define tasks_are(text, shown) cr_assert_str_eq(t_tasks(text), (shown))

/* The guide's first example. */
Test(greasy, lines_are_named_by_number_by_distance_and_as_ranges)
{
    tasks_are("task 1\n[# 1 #] task 2\n[# -2, 2 #] task 3\ntask 4\n[# 2-4 #] task 5\n",
              "1: [task][1]\n2: [task][2] after=1\n3: [task][3] after=1,2\n4: [task][4]\n"
              "5: [task][5] after=2,3,4\n");
}

/* The guide's reference example, but for the task that it calls invalid. */
Test(greasy, comments_keep_their_numbers)
{
    tasks_are("# this line is a comment\n/bin/sleep 2\n# a comment\n/bin/sleep 4\n/bin/sleep 5\n"
              "/bin/sleep 6\n/bin/sleep 7\n# after \"sleep 5\"\n[# 5 #] /bin/sleep 9\n"
              "# after \"sleep 9\"\n[# -2 #] /bin/sleep 11\n# a comment\n# a comment\n"
              "# after 2, 5, 6 and 7\n[#2, 5 - 7 #] /bin/sleep 15\n# a directory\n"
              "[@ /tmp/scratch @] pwd\n# both\n[@ /tmp/scratch @][# -2 #] echo works\n",
              "2: [/bin/sleep][2]\n4: [/bin/sleep][4]\n5: [/bin/sleep][5]\n6: [/bin/sleep][6]\n"
              "7: [/bin/sleep][7]\n9: [/bin/sleep][9] after=3\n11: [/bin/sleep][11] after=6\n"
              "15: [/bin/sleep][15] after=1,3,4,5\n17: [pwd] cwd=/tmp/scratch\n"
              "19: [echo][works] cwd=/tmp/scratch after=9\n");
}

/* From the example file that comes with GREASY. */
Test(greasy, blanks_do_not_matter)
{
    tasks_are(
        "a\nb\nc\nd\ne\n[# 5 #] \tf\n[# -1#]\t\tg\n[#1-3#]\t\th\n[#1, 3 - 5 #]\ti\n[##] \t\tj\n",
        "1: [a]\n2: [b]\n3: [c]\n4: [d]\n5: [e]\n6: [f] after=5\n7: [g] after=6\n"
        "8: [h] after=1,2,3\n9: [i] after=1,3,4,5\n10: [j]\n");
}

Test(greasy, the_order_of_the_prefixes_does_not_matter)
{
    tasks_are("a\n[# 1 #] [@ d @] b\n", "1: [a]\n2: [b] cwd=d after=1\n");
}

Test(greasy, a_range_may_be_written_backwards)
{
    tasks_are("a\nb\n[# 2-1 #] c\n", "1: [a]\n2: [b]\n3: [c] after=1,2\n");
}

/* GREASY hands `cd DIRECTORY && command` to a shell. */
Test(greasy, a_directory_with_shell_syntax_is_expanded_by_the_shell)
{
    struct mf_source *source;
    size_t size;
    char *output;

    tasks_are("[@ $HOME/x @] pwd\n", "1: sh cd $HOME/x && pwd\n");
    cr_assert(mkdir("here", 0700) == 0);
    t_write("a.farm", "[@ \"he\"re @] basename $PWD\n");
    source = t_open("a.farm", NULL);
    output = t_run(&t_next(source)->command, &size);
    cr_assert_str_eq(output, "here\n");
    mf_source_close(source);
}

Test(greasy, only_tasks_on_lines_above_can_be_named)
{
    tasks_are("a\n[# 2 #] b\n", "a.farm:2: line 2 in [# ... #] does not stand before this one");
    tasks_are("[# 2 #] a\nb\n", "a.farm:1: line 2 in [# ... #] does not stand before this one");
    tasks_are("a\n[# 1000 #] b\n",
              "a.farm:2: line 1000 in [# ... #] does not stand before this one");
    tasks_are("a\n# b\n[# -1 #] c\n", "a.farm:3: line 2 in [# ... #] is no task");
    tasks_are("# a\nb\n# c\n[#1-3#] d\n", "a.farm:4: line 1 in [# ... #] is no task");
    tasks_are("a\n[# -2 #] b\n", "a.farm:2: \"-2\" in [# ... #]: there are only 1 lines above");
}

Test(greasy, what_names_no_line_is_refused)
{
    const char *bad[] = {"+1", "2->6", "mistake", "0", "1-", "--1"};

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char text[64], expected[256];

        snprintf(text, sizeof(text), "a\n[# %s #] b\n", bad[i]);
        snprintf(expected, sizeof(expected),
                 "a.farm:2: \"%s\" in [# ... #] names no line: write 3 for a line, 3-5 for lines, "
                 "-1 for the line above",
                 bad[i]);
        cr_assert_str_eq(t_tasks(text), expected);
    }
    tasks_are("a\n[# 1,,1 #] b\n", "a.farm:2: a name is missing between the commas of [# ... #]");
}

Test(greasy, a_prefix_that_is_not_well_formed_is_refused)
{
    tasks_are("a\n[#1 ] b\n", "a.farm:2: the \"#]\" that ends [# ... #] is missing");
    tasks_are("[@ d ] b\n", "a.farm:1: the \"@]\" that ends [@ ... @] is missing");
    tasks_are("[@ @] b\n", "a.farm:1: in [@ ... @]: cwd: the name of a directory is missing");
    tasks_are("a\n[# 1 #]\n", "a.farm:2: a command is missing after [# ... #] or [@ ... @]");
    tasks_are("a\n[# 1 #][# 1 #] b\n", "a.farm:2: [# ... #] is given twice");
    tasks_are("[@ a @][@ b @] c\n", "a.farm:1: [@ ... @] is given twice");
}
