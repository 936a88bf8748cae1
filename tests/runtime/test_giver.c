/* Giving nodes back, with a program that stands for scontrol. */
#include "runtime/giver.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64];

/* What scontrol is told goes into the file "asked"; where there is a file "refuse" it fails. */
static void enter(void)
{
    char path[4096];
    FILE *file;

    snprintf(dir, sizeof(dir), "/tmp/mpifarm-giver.XXXXXX");
    cr_assert(mkdtemp(dir) && chdir(dir) == 0);
    file = fopen("scontrol", "w");
    fprintf(file,
            "#!/bin/sh\nif [ $1 = show ]; then printf 'n1\\nn2\\nn3\\nn12\\n'; exit; fi\n"
            "echo \"$*\" >> %s/asked; touch slurm_job_7_resize.sh; pwd > %s/where\n"
            "[ ! -e %s/refuse ] || { echo 'slurm_update error: Job is shy'; exit 1; }\n",
            dir, dir, dir);
    fclose(file);
    chmod("scontrol", 0700);
    snprintf(path, sizeof(path), "%s:%s", dir, getenv("PATH"));
    setenv("PATH", path, 1);
    setenv("SLURM_JOB_ID", "7", 1);
    setenv("SLURM_JOB_NODELIST", "n[1-3,12]", 1);
    unsetenv("SLURM_HET_SIZE");
}

static void leave(void)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -r %s", dir);
    cr_assert(chdir("/") == 0 && system(command) == 0);
}

TestSuite(giver, .init = enter, .fini = leave);

struct answer {
    bool has_come;
    char why[256];
};

static void on_answer(void *arg, const char *why)
{
    struct answer *answer = arg;

    answer->has_come = true;
    snprintf(answer->why, sizeof(answer->why), "%s", why ? why : "");
}

/* Gives back, and waits for the answer. */
static const char *give(struct mf_giver *giver, struct mf_loop *loop, struct answer *answer,
                        const char *hosts)
{
    answer->has_come = false;
    cr_assert(eq(int, mf_giver_give(giver, hosts), 0));
    while (!answer->has_come)
        cr_assert(ge(int, mf_loop_wait(loop, -1), 0));
    return answer->why;
}

static const char *read_text(const char *name)
{
    static char text[1024];
    FILE *file = fopen(name, "r");

    text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
    fclose(file);
    return text;
}

Test(giver, slurm_is_told_which_nodes_stay_and_what_it_answers_is_handed_on)
{
    struct answer answer;
    struct mf_giver *giver;
    struct mf_loop *loop;
    char where[1024];

    cr_assert(eq(int, mf_giver_fork(&giver), 0));
    cr_assert(eq(int, mf_loop_create(&loop), 0));
    cr_assert(eq(int, mf_giver_listen(giver, loop, on_answer, &answer), 0));
    cr_assert(eq(str, (char *)give(giver, loop, &answer, "n3.cluster.org"), ""));
    cr_assert(eq(str, (char *)give(giver, loop, &answer, "n12"), ""));
    fclose(fopen("refuse", "w"));
    cr_assert(eq(str, (char *)give(giver, loop, &answer, "n2"), "Job is shy"));
    cr_assert(eq(str, (char *)read_text("asked"),
                 "update JobId=7 NodeList=n1,n2,n12\nupdate JobId=7 NodeList=n1,n2\n"
                 "update JobId=7 NodeList=n1\n"));
    snprintf(where, sizeof(where), "%s", read_text("where"));
    where[strcspn(where, "\n")] = '\0';
    cr_assert(ne(int, access(where, F_OK), 0), "what scontrol leaves is removed");
    mf_giver_destroy(giver);
    mf_loop_destroy(loop);
}

Test(giver, a_node_that_slurm_does_not_know_by_that_name_is_not_given_back)
{
    struct answer answer;
    struct mf_giver *giver;
    struct mf_loop *loop;

    cr_assert(eq(int, mf_giver_fork(&giver), 0));
    cr_assert(eq(int, mf_loop_create(&loop), 0));
    cr_assert(eq(int, mf_giver_listen(giver, loop, on_answer, &answer), 0));
    cr_assert(eq(str, (char *)give(giver, loop, &answer, "other"),
                 "no node of the job has the name other"));
    cr_assert(ne(int, access("asked", F_OK), 0), "it is not asked for what changes nothing");
    mf_giver_destroy(giver);
    mf_loop_destroy(loop);
}

Test(giver, the_node_of_the_batch_script_is_kept)
{
    cr_assert(mf_giver_must_keep("n1"));
    cr_assert(mf_giver_must_keep("n1.cluster.org"));
    cr_assert(not(mf_giver_must_keep("n2")));
    cr_assert(not(mf_giver_must_keep("n12")));
    setenv("SLURM_JOB_NODELIST", "node7,node71", 1);
    cr_assert(mf_giver_must_keep("node7"));
    cr_assert(not(mf_giver_must_keep("node71")));
    setenv("SLURM_HET_SIZE", "2", 1);
    cr_assert(mf_giver_must_keep("node71"), "a job in parts keeps all");
}
