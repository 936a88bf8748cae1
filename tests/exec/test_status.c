/* How commands end, and how that is told. */
#include "rig.h"

#include <criterion/criterion.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Runs an argument vector in slot 0 as task 1. */
static struct rig_task *run_args(struct rig *rig, const char *const *args, uint32_t n_args,
                                 const char *cwd)
{
    struct mf_command command = {.id = "a", .seq = 1, .n_args = n_args, .args = args, .cwd = cwd};

    rig_start_command(rig, 1, 0, 0, &command);
    return rig_wait_ended(rig, 1);
}

static void write_file(const char *path, const char *text, mode_t mode)
{
    FILE *file = fopen(path, "we");

    cr_assert(file);
    fputs(text, file);
    fclose(file);
    cr_assert_eq(chmod(path, mode), 0);
}

Test(status, success_has_no_cause_and_its_facts)
{
    struct rig *rig = rig_create((struct rig_options){0});
    struct rig_task *task = rig_run(rig, "true");

    cr_assert_eq(task->outcome.cause, MF_CAUSE_NONE);
    cr_assert_eq(task->outcome.exit_status, 0);
    cr_assert_eq(task->outcome.slot, 1);
    cr_assert_eq(task->slot, 0);
    cr_assert_gt(task->outcome.pid, 0);
    cr_assert_gt(task->outcome.started_wall_ns, 0);
    cr_assert_gt(task->outcome.duration_ns, 0);
    cr_assert_gt(task->outcome.max_rss_bytes, 64 * 1024);
    cr_assert_null(task->output);
    cr_assert_null(task->text[MF_STDOUT]);
    rig_destroy(rig);
}

Test(status, exit_status_is_the_commands_own)
{
    struct rig *rig = rig_create((struct rig_options){0});
    struct rig_task *task = rig_run(rig, "exit 3");

    cr_assert_eq(task->outcome.cause, MF_CAUSE_EXIT);
    cr_assert_eq(task->outcome.exit_status, 3);
    cr_assert_eq(task->outcome.signal, 0);
    rig_destroy(rig);
}

Test(status, death_by_signal_is_shown_as_a_shell_does)
{
    struct rig *rig = rig_create((struct rig_options){0});
    struct rig_task *task = rig_run(rig, "kill -SEGV $$");

    cr_assert_eq(task->outcome.cause, MF_CAUSE_SIGNAL);
    cr_assert_eq(task->outcome.signal, SIGSEGV);
    cr_assert_eq(task->outcome.exit_status, 128 + SIGSEGV);
    rig_destroy(rig);
}

Test(status, processor_time_is_recorded)
{
    struct rig *rig = rig_create((struct rig_options){0});
    struct rig_task *task = rig_run(rig, "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done");

    cr_assert_gt(task->outcome.user_ns, 10 * 1000 * 1000);
    cr_assert_geq(task->outcome.duration_ns, task->outcome.user_ns);
    rig_destroy(rig);
}

Test(status, missing_program_is_127_and_named)
{
    struct rig *rig = rig_create((struct rig_options){0});
    const char *args[] = {"no-such-program", "x"};
    struct rig_task *task = run_args(rig, args, 2, NULL);

    cr_assert_eq(task->outcome.cause, MF_CAUSE_START);
    cr_assert_eq(task->outcome.exit_status, 127);
    cr_assert_str_eq(task->outcome.detail, "no-such-program: No such file or directory");
    cr_assert_eq(task->outcome.pid, 0);
    cr_assert_eq(task->slot, 0);
    rig_destroy(rig);
}

Test(status, file_that_is_not_executable_is_126_and_named)
{
    struct rig *rig = rig_create((struct rig_options){0});
    const char *path = rig_path("plain");
    char expected[256];
    struct rig_task *task;

    write_file(path, "text", 0644);
    snprintf(expected, sizeof(expected), "%s: Permission denied", path);
    task = run_args(rig, &path, 1, NULL);
    cr_assert_eq(task->outcome.cause, MF_CAUSE_START);
    cr_assert_eq(task->outcome.exit_status, 126);
    cr_assert_str_eq(task->outcome.detail, expected);
    rig_destroy(rig);
}

Test(status, status_127_of_a_shell_is_an_exit_status)
{
    struct rig *rig = rig_create((struct rig_options){0});
    struct rig_task *task = rig_run(rig, "no-such-program");

    cr_assert_eq(task->outcome.cause, MF_CAUSE_EXIT);
    cr_assert_eq(task->outcome.exit_status, 127);
    cr_assert(strstr(task->text[MF_STDERR], "not found"));
    rig_destroy(rig);
}

Test(status, missing_directory_is_126_and_named)
{
    struct rig *rig = rig_create((struct rig_options){0});
    const char *args[] = {"true"};
    struct rig_task *task = run_args(rig, args, 1, "/no/such/dir");

    cr_assert_eq(task->outcome.cause, MF_CAUSE_START);
    cr_assert_eq(task->outcome.exit_status, 126);
    cr_assert_str_eq(task->outcome.detail,
                     "cannot enter directory /no/such/dir: No such file or directory");
    rig_destroy(rig);
}

Test(status, script_without_interpreter_line_runs_in_the_shell)
{
    struct rig *rig = rig_create((struct rig_options){0});
    const char *args[] = {rig_path("script"), "one", "two words"};
    struct rig_task *task;

    write_file(args[0], "echo \"$# $0 $2\"\n", 0755);
    task = run_args(rig, args, 3, NULL);
    cr_assert_eq(task->outcome.cause, MF_CAUSE_NONE);
    cr_assert(strstr(task->text[MF_STDOUT], "2 /tmp/"));
    cr_assert(strstr(task->text[MF_STDOUT], "two words"));
    rig_destroy(rig);
}

Test(status, arguments_arrive_unchanged)
{
    struct rig *rig = rig_create((struct rig_options){0});
    const char *args[] = {"printf", "<%s>", "a b", "'\"$HOME\\", "", "x\ny"};
    struct rig_task *task = run_args(rig, args, 6, NULL);

    cr_assert_str_eq(task->text[MF_STDOUT], "<a b><'\"$HOME\\><><x\ny>");
    rig_destroy(rig);
}

Test(status, command_of_a_mebibyte_runs_and_a_larger_one_is_refused)
{
    static char text[(1 << 20) + 100];
    struct rig *rig = rig_create((struct rig_options){0});
    struct mf_buffer bytes = {0};
    const char *args[] = {
        "printf", "%s%s%s%s%s%s%s%s%s%s", text, text, text, text, text, text, text, text, text,
        text};
    struct mf_command command = {.id = "a", .n_args = 12, .args = args};
    uint32_t slot = 0;
    struct mf_start start = {.task = 2, .attempt = 1, .n_slots = 1, .slots = &slot};
    struct rig_task *task;

    /* One argument may have 128 KiB, all of them together much more. */
    memset(text, 'x', 100000);
    rig_start_command(rig, 1, 0, 0, &command);
    task = rig_wait_ended(rig, 1);
    cr_assert_eq(task->outcome.cause, MF_CAUSE_NONE, "%s", task->outcome.detail);
    cr_assert_eq(task->size[MF_STDOUT], 1000000);

    memset(text, 'x', sizeof(text) - 1);
    command = (struct mf_command){.id = "a", .n_args = 1, .args = (const char *[]){text}};
    mf_command_encode(&command, &bytes);
    start.command = bytes.data;
    start.command_size = bytes.size;
    cr_assert_eq(rig->executor->ops->start(rig->executor, &start), -E2BIG);
    mf_buffer_finish(&bytes);
    rig_destroy(rig);
}

Test(status, signals_are_at_their_defaults_and_unblocked)
{
    struct rig *rig;
    struct rig_task *task;
    sigset_t all;

    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    signal(SIGPIPE, SIG_IGN);
    rig = rig_create((struct rig_options){0});
    task = rig_run(rig, "exec grep -E '^Sig(Blk|Ign)' /proc/self/status");
    cr_assert_str_eq(task->text[MF_STDOUT], "SigBlk:\t0000000000000000\n"
                                            "SigIgn:\t0000000000000000\n");
    rig_destroy(rig);
}

Test(status, each_command_leads_its_own_process_group)
{
    struct rig *rig = rig_create((struct rig_options){0});
    struct rig_task *task = rig_run(rig, "echo $$ $(ps -o pgid= -p $$)");
    int pid, group;

    cr_assert_eq(sscanf(task->text[MF_STDOUT], "%d %d", &pid, &group), 2);
    cr_assert_eq(group, pid);
    cr_assert_eq(pid, task->outcome.pid);
    rig_destroy(rig);
}

Test(status, commands_that_cannot_be_executed_leave_those_beside_them_alone)
{
    enum { N = 120, N_SLOTS = 12 };
    const char *missing[] = {"no-such-program", "x"};
    struct mf_command command = {.id = "a", .n_args = 2, .args = missing};
    struct rig *rig = rig_create((struct rig_options){.n_slots = N_SLOTS});

    for (mf_task_id task = 1; task <= N; task++) {
        int slot = task <= N_SLOTS ? (int)task - 1 : RIG_STAGED;

        if (task % 3 == 0)
            rig_start_command(rig, task, slot, 0, &command);
        else
            rig_sh(rig, task, slot, "echo out; exit 5");
    }
    rig_wait_all(rig, N);
    for (mf_task_id task = 1; task <= N; task++) {
        const struct mf_outcome *outcome = &rig->tasks[task].outcome;

        if (task % 3 == 0) {
            cr_assert_eq(outcome->cause, MF_CAUSE_START);
            cr_assert_eq(outcome->exit_status, 127);
            cr_assert_eq(outcome->pid, 0);
            cr_assert_eq(outcome->duration_ns, 0);
            cr_assert_str_eq(outcome->detail, "no-such-program: No such file or directory");
            cr_assert_null(rig->tasks[task].output);
        } else {
            cr_assert_eq(outcome->exit_status, 5, "%s", outcome->detail);
            cr_assert_str_eq(rig->tasks[task].text[MF_STDOUT], "out\n");
        }
    }
    rig_destroy(rig);
}
