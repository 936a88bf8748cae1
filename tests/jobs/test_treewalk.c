/* jobs/treewalk: totals, against find and du. */
#include "job.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>
#include <string.h>

TestSuite(treewalk, .init = t_enter_dir, .fini = t_leave_dir);

static struct t_result expected(const char *dir)
{
    struct t_result result =
        t_sh("'%s'/tests/jobs/expected_treewalk '%s'", getenv("T_SOURCE_DIR"), dir);

    cr_assert(eq(int, result.status, 0), "%s", result.err);
    return result;
}

/* Everything that a tree can have: names, holes, pipes, several names of a file, links in a circle.
 */
static void make_tree(void)
{
    struct t_result result =
        t_sh("mkdir -p tree/a/b/c/d/e tree/empty tree/wide 'tree/-n\nl * \"'\n"
             "for i in $(seq 300); do mkdir tree/wide/$i; echo $i > tree/wide/$i/$i; done\n"
             "truncate -s 3M tree/a/b/hole\n"
             "head -c 1234567 /dev/zero > tree/a/b/c/large\n"
             "head -c 77777 /dev/zero > 'tree/-n\nl * \"/.hidden'\n"
             ": > tree/nothing\n"
             "ln tree/a/b/c/large tree/wide/other-name\n"
             "ln tree/a/b/c/large tree/a/b/c/d/e/other-name\n"
             "head -c 5000 /dev/zero > outside; ln outside tree/a/one-name-inside\n"
             "ln -s .. tree/a/b/c/up; ln -s /usr tree/usr; ln -s nowhere tree/broken\n"
             "ln tree/broken tree/broken-too\n"
             "mkfifo tree/a/pipe");

    cr_assert(eq(int, result.status, 0), "%s", result.err);
}

static void check_tree(enum t_way way)
{
    struct t_result result;

    make_tree();
    result = t_job(way, "treewalk tree");
    cr_assert(eq(int, result.status, 0), "%s", result.err);
    cr_assert(eq(str, result.err, ""));
    cr_assert(eq(str, result.out, expected("tree").out));
}

Test(treewalk, equals_find_and_du_without_a_launcher)
{
    check_tree(T_ALONE);
}

Test(treewalk, equals_find_and_du_under_mpirun)
{
    check_tree(T_MPIRUN);
}

Test(treewalk, equals_find_and_du_in_executor_processes)
{
    check_tree(T_ALONE_ISOLATED);
}

Test(treewalk, equals_find_and_du_in_executor_processes_under_mpirun)
{
    check_tree(T_MPIRUN_ISOLATED);
}

Test(treewalk, walks_a_tree_of_thousands_of_directories)
{
    struct t_result result = t_sh("mkdir many && cd many && seq 4000 |\n"
                                  "awk '{ printf \"%%d/%%d/%%d\\n\", $1 %% 7, $1 %% 100, $1 }' |\n"
                                  "xargs mkdir -p && echo 1234 > 3/3/3/file");

    cr_assert(eq(int, result.status, 0), "%s", result.err);
    result = t_job(T_MPIRUN, "treewalk many");
    cr_assert(eq(str, result.out, expected("many").out));
}

Test(treewalk, takes_the_present_directory_and_one_with_a_slash)
{
    make_tree();
    cr_assert(
        eq(str, t_sh("cd tree && treewalk").out,
           t_sh("cd tree && '%s'/tests/jobs/expected_treewalk .", getenv("T_SOURCE_DIR")).out));
    cr_assert(eq(str, t_job(T_ALONE, "treewalk tree/").out, expected("tree/").out));
}

Test(treewalk, is_the_same_for_equally_large_files_in_whatever_order)
{
    struct t_result result;

    t_sh("mkdir -p t/b t/a t/c; for d in c a b; do echo 12 > t/$d/z; echo 12 > t/$d/y; done");
    result = t_job(T_MPIRUN, "treewalk t");
    cr_assert(t_has(result.out, "3 t/a/y\n"), "%s", result.out);
}

/* Root may read everything, unless it gives that up. */
#define AS_ANYONE                                                                                  \
    "$(test $(id -u) != 0 || echo setpriv --bounding-set=-dac_override,-dac_read_search "          \
    "--inh-caps=-dac_override,-dac_read_search) "

Test(treewalk, names_directories_that_cannot_be_read)
{
    struct t_result result;

    t_sh("mkdir -p t/a/in t/b/in t/c/in t/b/in/in; echo 12 > t/c/in/file; chmod 0 t/a t/b/in");
    result = t_sh(AS_ANYONE "treewalk t");
    cr_assert(eq(int, result.status, 1), "%s", result.err);
    cr_assert(t_has(result.err, "treewalk: t/a: Permission denied\n"), "%s", result.err);
    cr_assert(t_has(result.err, "treewalk: t/b/in: Permission denied\n"), "%s", result.err);
    cr_assert(t_has(result.err, "treewalk: 2 directories could not be read\n"), "%s", result.err);
    cr_assert(t_has(result.out, "directories            6\nfiles                  1\n"), "%s",
              result.out);
}

Test(treewalk, names_a_directory_whose_path_is_too_long)
{
    struct t_result result = t_sh("mkdir t && cd t && d=$(printf %%0200d 0) &&\n"
                                  "for i in $(seq 22); do mkdir $d && cd -P $d || exit; done");

    cr_assert(eq(int, result.status, 0), "%s", result.err);
    result = t_job(T_MPIRUN, "treewalk t");
    cr_assert(t_has(result.err, "File name too long"), "%s", result.err);
    cr_assert(t_has(result.err, "treewalk: 1 directory could not be read\n"), "%s", result.err);
    cr_assert(t_has(result.out, "directories           22\n"), "%s", result.out);
}

/* /dev has other file systems in it: /dev/pts, and most often /dev/shm. */
Test(treewalk, stays_on_one_file_system_with_x)
{
    struct t_result here =
        t_sh("find /dev -xdev -type d -printf '%%D\\n' | "
             "grep -c -x $(stat -c %%d /dev) | xargs printf 'directories %%12d\\n'");
    struct t_result all, walked, again = {0};

    /* Other programs may make directories in /dev/shm meanwhile. */
    do {
        all = t_sh("find /dev -type d | wc -l | xargs printf 'directories %%12d\\n'");
        walked = t_job(T_ALONE, "treewalk /dev");
        again = t_sh("find /dev -type d | wc -l | xargs printf 'directories %%12d\\n'");
    } while (strcmp(all.out, again.out) != 0);
    cr_assert(t_has(t_job(T_ALONE, "treewalk -x /dev").out, here.out), "%s", here.out);
    cr_assert(t_has(walked.out, all.out), "%s", all.out);
    cr_assert(ne(str, here.out, all.out));
}

Test(treewalk, does_not_begin_at_what_is_no_directory)
{
    struct t_result result;

    t_sh("mkdir t; ln -s t link; echo 12 > file");
    t_assert_refused(T_ALONE, "treewalk", "nowhere",
                     "treewalk: nowhere: No such file or directory\n");
    t_assert_refused(T_ALONE, "treewalk", "file", "treewalk: file: Not a directory\n");
    t_assert_refused(T_ALONE, "treewalk", "link", "treewalk: link: Not a directory\n");
    result = t_job(T_ALONE, "treewalk link/");
    cr_assert(eq(int, result.status, 0), "%s", result.err);
}

Test(treewalk, refuses_bad_usage)
{
    t_assert_refused(T_ALONE, "treewalk", "-y", "treewalk: usage: treewalk [-x] [DIR]\n");
    t_assert_refused(T_ALONE, "treewalk", "a b", "treewalk: usage: treewalk [-x] [DIR]\n");
    t_assert_refused(T_MPIRUN, "treewalk", "''", "No such file or directory\n");
}
