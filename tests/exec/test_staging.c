/* Attempts that wait inside the executor for the slot of another. */
#include "rig.h"

#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* A command that ends when the returned path is made. */
static const char *wait_for(const char *name)
{
    static char text[600];

    snprintf(text, sizeof(text), "while ! [ -e %s ]; do sleep 0.005; done", rig_path(name));
    return text;
}

static void make(const char *name)
{
    cr_assert_eq(mkdir(rig_path(name), 0700), 0);
}

Test(staging, staged_attempts_run_one_after_another_in_the_slot)
{
    struct rig *rig = rig_create((struct rig_options){.n_slots = 3});
    char text[32];

    rig_sh(rig, 1, 2, "true");
    for (mf_task_id task = 2; task <= 20; task++) {
        snprintf(text, sizeof(text), "echo %d", (int)task);
        rig_sh(rig, task, RIG_STAGED, text);
    }
    rig_wait_all(rig, 20);
    cr_assert_not(rig->tasks[1].has_started, "STARTED is told of staged attempts only");
    for (mf_task_id task = 2; task <= 20; task++) {
        cr_assert(rig->tasks[task].has_started);
        cr_assert_eq(rig->tasks[task].slot, 2);
        cr_assert_eq(rig->tasks[task].ended_as, task);
        cr_assert_eq(rig->tasks[task].outcome.slot, 3);
        cr_assert_eq(atoi(rig->tasks[task].text[MF_STDOUT]), (int)task);
    }
    rig_destroy(rig);
}

Test(staging, attempt_that_cannot_start_passes_its_slot_on)
{
    struct rig *rig = rig_create((struct rig_options){0});
    const char *args[] = {"no-such-program"};
    struct mf_command command = {.id = "a", .n_args = 1, .args = args};

    rig_sh(rig, 1, 1, "true");
    for (mf_task_id task = 2; task <= 9; task++)
        rig_start_command(rig, task, RIG_STAGED, 0, &command);
    rig_sh(rig, 10, RIG_STAGED, "true");
    rig_wait_all(rig, 10);
    cr_assert_eq(rig->tasks[9].outcome.exit_status, 127);
    cr_assert_eq(rig->tasks[9].slot, 1);
    cr_assert_eq(rig->tasks[10].outcome.cause, MF_CAUSE_NONE);
    cr_assert_eq(rig->tasks[10].slot, 1);
    rig_destroy(rig);
}

Test(staging, attempt_that_has_not_begun_is_given_back)
{
    struct rig *rig = rig_create((struct rig_options){0});

    rig_sh(rig, 1, 0, wait_for("go"));
    rig_sh(rig, 2, RIG_STAGED, "true");
    rig_sh(rig, 3, RIG_STAGED, "true");
    rig->executor->ops->unstage(rig->executor, 2, 1);
    rig_wait(rig, &rig->tasks[2].is_unstaged);
    make("go");
    rig_wait_all(rig, 2);
    cr_assert_not(rig->tasks[2].has_started);
    cr_assert_not(rig->tasks[2].has_ended);
    cr_assert_eq(rig->tasks[3].slot, 0);
    rig_destroy(rig);
}

Test(staging, attempt_that_has_begun_is_not_given_back)
{
    struct rig *rig = rig_create((struct rig_options){0});

    rig_sh(rig, 1, 0, "true");
    rig_sh(rig, 2, RIG_STAGED, wait_for("go"));
    rig_wait(rig, &rig->tasks[2].has_started);
    rig->executor->ops->unstage(rig->executor, 2, 1);
    rig_flush(rig);
    make("go");
    rig_wait_ended(rig, 2);
    cr_assert_not(rig->tasks[2].is_unstaged);
    cr_assert_eq(rig->tasks[2].outcome.cause, MF_CAUSE_NONE);
    rig_destroy(rig);
}

Test(staging, attempt_can_be_ended_before_it_begins)
{
    struct rig *rig = rig_create((struct rig_options){0});
    struct rig_task *task;

    rig_sh(rig, 1, 0, wait_for("go"));
    rig_sh(rig, 2, RIG_STAGED, "true");
    rig->executor->ops->end(rig->executor, 2, 1, MF_CAUSE_STOPPED);
    task = rig_wait_ended(rig, 2);
    cr_assert_eq(task->outcome.cause, MF_CAUSE_STOPPED);
    cr_assert_eq(task->outcome.pid, 0);
    cr_assert_eq(task->slot, UINT32_MAX);
    make("go");
    rig_wait_ended(rig, 1);
    rig_destroy(rig);
}

Test(staging, attempt_staged_after_the_slot_was_left_gets_it_all_the_same)
{
    struct rig *rig = rig_create((struct rig_options){0});
    char text[600];

    /* The end of the first is under way, and not taken in, when the second is staged. */
    snprintf(text, sizeof(text), "echo $$ >%s", rig_path("pid"));
    rig_sh(rig, 1, 1, text);
    rig_flush(rig);
    rig_wait_gone(rig_wait_pid(rig_path("pid")));
    rig_sh(rig, 2, RIG_STAGED, "true");
    rig_wait_all(rig, 2);
    cr_assert_eq(rig->tasks[2].slot, 1);
    rig_destroy(rig);
}

Test(staging, slot_known_to_be_free_is_not_taken)
{
    struct rig *rig = rig_create((struct rig_options){0});

    rig_sh(rig, 1, 0, "true");
    rig_wait_ended(rig, 1);
    rig_sh(rig, 2, RIG_STAGED, "true");
    /* Only the end of a later attempt lets it begin, in that attempt's slot. */
    rig_sh(rig, 3, 1, "true");
    rig_wait_all(rig, 3);
    cr_assert_eq(rig->tasks[2].slot, 1);
    cr_assert_eq(rig->tasks[3].ended_as, 2);
    rig_destroy(rig);
}

Test(staging, end_of_a_command_with_several_slots_starts_nothing)
{
    struct rig *rig = rig_create((struct rig_options){.n_slots = 3});
    uint32_t slots[] = {0, 1};
    const char *text = "true";
    struct mf_command command = {.id = "a", .is_shell = true, .n_args = 1, .args = &text};
    struct mf_start start = {.task = 1, .attempt = 1, .n_slots = 2, .slots = slots};
    struct mf_buffer bytes = {0};

    mf_command_encode(&command, &bytes);
    start.command = bytes.data;
    start.command_size = bytes.size;
    cr_assert_eq(rig->executor->ops->start(rig->executor, &start), 0);
    mf_buffer_finish(&bytes);
    rig_sh(rig, 2, RIG_STAGED, "true");
    rig_wait_ended(rig, 1);
    rig_sh(rig, 3, 2, "true");
    rig_wait_all(rig, 3);
    cr_assert_eq(rig->tasks[2].slot, 2);
    rig_destroy(rig);
}

/* Reports that wait would wait for longer than the test does. */
#define FOR_EVER_NS (INT64_C(3600) * 1000000000)

Test(staging, end_is_told_at_once_while_a_slot_has_nothing_to_go_on_with)
{
    struct rig *rig = rig_create((struct rig_options){.n_slots = 3, .gather_ns = FOR_EVER_NS});

    rig_sh(rig, 1, 0, wait_for("first"));
    for (mf_task_id task = 2; task <= 5; task++)
        rig_sh(rig, task, task <= 3 ? (int)task - 1 : RIG_STAGED, wait_for("go"));
    rig_flush(rig);
    make("first");
    /* The fourth goes on in its slot, the fifth is staged for three slots. */
    rig_wait_ended(rig, 1);
    make("go");
    rig_wait_all(rig, 5);
    rig_destroy(rig);
}

Test(staging, ends_are_told_together_while_each_slot_has_something_to_go_on_with)
{
    struct rig *rig = rig_create((struct rig_options){.n_slots = 1, .gather_ns = FOR_EVER_NS});
    char text[1300];

    rig_sh(rig, 1, 0, wait_for("first"));
    snprintf(text, sizeof(text), "echo $$ >%s", rig_path("pid"));
    snprintf(text + strlen(text), sizeof(text) - strlen(text), "; %s", wait_for("go"));
    rig_sh(rig, 2, RIG_STAGED, text);
    rig_sh(rig, 3, RIG_STAGED, "true");
    rig_flush(rig);
    make("first");
    rig_wait_pid(rig_path("pid"));
    cr_assert_geq(mf_loop_wait(rig->loop, 0), 0);
    cr_assert_not(rig->tasks[1].has_ended, "the third is staged for the only slot");
    make("go");
    rig_wait_all(rig, 3);
    cr_assert_eq(rig->tasks[1].ended_as, 1);
    rig_destroy(rig);
}
