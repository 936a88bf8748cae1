/* What Slurm says of the time that is left. */
#include "runtime/allocation.h"

#include "base/clock.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <stdlib.h>

static int64_t left_s(const char *text)
{
    int64_t ns = 0;

    cr_assert(eq(int, mf_allocation_parse_left(text, &ns), 1), "%s", text);
    return ns / MF_NS_PER_S;
}

Test(allocation, times_are_read_as_slurm_writes_them)
{
    cr_assert(eq(i64, left_s("00:00"), 0));
    cr_assert(eq(i64, left_s("4:05"), 245));
    cr_assert(eq(i64, left_s("59:59"), 3599));
    cr_assert(eq(i64, left_s("1:00:00"), 3600));
    cr_assert(eq(i64, left_s("23:59:59"), 86399));
    cr_assert(eq(i64, left_s("1-00:00:00"), 86400));
    cr_assert(eq(i64, left_s("365-02:03:04"), 365 * INT64_C(86400) + 7384));
}

Test(allocation, a_job_may_have_no_end)
{
    int64_t ns;

    cr_assert(eq(int, mf_allocation_parse_left("UNLIMITED", &ns), 0));
    cr_assert(eq(int, mf_allocation_parse_left("NOT_SET", &ns), 0));
}

Test(allocation, what_is_no_time_is_refused)
{
    static const char *const bad[] = {"",      "INVALID",    "5",        "1-",          "1-05:06",
                                      "60:00", "24:00:00",   "00:00:60", "1:2:3:4",     "-1:00",
                                      "1:00 ", "x-00:00:00", "1-2-3:00", "999999-0:0:0"};
    int64_t ns;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        cr_assert(eq(int, mf_allocation_parse_left(bad[i], &ns), -EINVAL), "%s", bad[i]);
}

Test(allocation, cpus_of_all_nodes_are_added_up)
{
    static const char *const bad[] = {"", "x", "2(x", "2(x3)4", "2(x3),,1", "0", "2(y3)", "-1"};
    uint32_t n_cpus;

    cr_assert(eq(int, mf_allocation_parse_cpus("16", &n_cpus), 0));
    cr_assert(eq(u32, n_cpus, 16));
    cr_assert(eq(int, mf_allocation_parse_cpus("72(x2),36", &n_cpus), 0));
    cr_assert(eq(u32, n_cpus, 180));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        cr_assert(eq(int, mf_allocation_parse_cpus(bad[i], &n_cpus), -EINVAL), "%s", bad[i]);
}

Test(allocation, variables_that_make_no_sense_are_told_by_name)
{
    struct mf_allocation allocation;
    struct mf_error err;

    setenv("SLURM_JOB_ID", "7", 1);
    setenv("SLURM_MEM_PER_NODE", "0", 1);
    cr_assert(eq(int, mf_allocation_find(&allocation, &err), 1));
    setenv("SLURM_MEM_PER_NODE", "x", 1);
    cr_assert(eq(int, mf_allocation_find(&allocation, &err), -EINVAL));
    cr_assert(strstr(err.text, "SLURM_MEM_PER_NODE is \"x\", which is no number") != NULL, "%s",
              err.text);
    setenv("SLURM_JOB_ID", "", 1);
    cr_assert(eq(int, mf_allocation_find(&allocation, &err), -EINVAL));
    cr_assert(strstr(err.text, "SLURM_JOB_ID is empty") != NULL, "%s", err.text);
}

Test(allocation, a_node_is_found_in_a_list_as_slurm_writes_it)
{
    static const char *const in[] = {"n1",        "n[1-3]", "n[0-15]", "x,n[2-4],n1",
                                     "n1,n[2-4]", "n[1]",   "n[3,1]",  "n[5-9,1-2]"};
    static const char *const out[] = {"",   "n",       "n10",       "n[2-4]",  "n[01-03]",
                                      "x1", "n[1-3]x", "n[1-3]-ib", "nn[1-3]", "n[2-3"};

    for (size_t i = 0; i < sizeof(in) / sizeof(in[0]); i++)
        cr_assert(mf_allocation_has_node(in[i], "n1"), "%s", in[i]);
    for (size_t i = 0; i < sizeof(out) / sizeof(out[0]); i++)
        cr_assert_not(mf_allocation_has_node(out[i], "n1"), "%s", out[i]);
    cr_assert(mf_allocation_has_node("login,rack2n[08-11]-ib", "rack2n09-ib"));
    cr_assert(mf_allocation_has_node("n[8-12]", "n11"));
    cr_assert_not(mf_allocation_has_node("n[08-12]", "n8"));
}

Test(allocation, a_node_is_in_one_component_of_a_heterogeneous_job)
{
    setenv("SLURM_HET_SIZE", "2", 1);
    setenv("SLURM_JOB_NODELIST_HET_GROUP_0", "n1", 1);
    setenv("SLURM_JOB_NODELIST_HET_GROUP_1", "n[2-3]", 1);
    cr_assert(eq(int, mf_allocation_part_of("n1"), 0));
    cr_assert(eq(int, mf_allocation_part_of("n3"), 1));
    cr_assert(eq(int, mf_allocation_part_of("n4"), -1));
    unsetenv("SLURM_HET_SIZE");
    cr_assert(eq(int, mf_allocation_part_of("n3"), -1));
}

Test(allocation, a_heterogeneous_job_has_the_nodes_of_all_its_components)
{
    struct mf_allocation allocation;

    clearenv();
    cr_assert(eq(int, mf_allocation_find(&allocation, NULL), 0));
    setenv("SLURM_JOB_ID", "7", 1);
    setenv("SLURM_JOB_NUM_NODES", "1", 1);
    setenv("SLURM_HET_SIZE", "2", 1);
    setenv("SLURM_JOB_NUM_NODES_HET_GROUP_0", "1", 1);
    setenv("SLURM_JOB_NUM_NODES_HET_GROUP_1", "4", 1);
    cr_assert(eq(int, mf_allocation_find(&allocation, NULL), 1));
    cr_assert(eq(u32, allocation.n_nodes, 5));
    cr_assert(eq(u32, allocation.n_parts, 2));
}
