/* A directory for files whose paths others are told. */
#include "base/scratch.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char name[MF_SCRATCH_BYTES];

Test(scratch, a_file_is_for_its_owner_alone_to_read)
{
    struct stat status;
    int fd;

    mf_scratch_name(name);
    fd = mf_scratch_file(name, "out.1");
    cr_assert_geq(fd, 0);
    cr_assert_eq(fstat(fd, &status), 0);
    cr_assert_eq(status.st_mode & 0777, 0400u);
    cr_assert_eq(stat(name, &status), 0);
    cr_assert_eq(status.st_mode & 0777, 0700u);
    cr_assert_eq(mf_scratch_file(name, "out.1"), -EEXIST);
    close(fd);
    mf_scratch_remove(name);
}

Test(scratch, nothing_is_left_once_it_is_removed)
{
    mf_scratch_name(name);
    close(mf_scratch_file(name, "out.1"));
    close(mf_scratch_file(name, "out.2"));
    mf_scratch_remove(name);
    cr_assert_eq(access(name, F_OK), -1);
    mf_scratch_remove(name);
}

Test(scratch, a_name_makes_nothing_and_is_given_once)
{
    char other[MF_SCRATCH_BYTES];

    mf_scratch_name(name);
    mf_scratch_name(other);
    cr_assert_str_neq(name, other);
    cr_assert_eq(access(name, F_OK), -1);
}

Test(scratch, it_is_where_the_user_wants_it_unless_a_shell_could_misread_that)
{
    setenv("TMPDIR", "/var/tmp", 1);
    mf_scratch_name(name);
    cr_assert_eq(strncmp(name, "/var/tmp/mpifarm-", 17), 0);
    setenv("TMPDIR", "/tmp/a b", 1);
    mf_scratch_name(name);
    cr_assert_eq(strncmp(name, "/tmp/mpifarm-", 13), 0);
    setenv("TMPDIR", "tmp", 1);
    mf_scratch_name(name);
    cr_assert_eq(strncmp(name, "/tmp/mpifarm-", 13), 0);
}

Test(scratch, a_place_that_is_not_there_is_an_error)
{
    cr_assert_eq(mf_scratch_file("/nowhere/mpifarm", "out.1"), -ENOENT);
}
