/*
 * A worker that is given up and taken back, and one whose scheduler is gone:
 * between a scheduler played by the test and an executor that runs by a script.
 */
#include "base/clock.h"
#include "base/command.h"
#include "base/scratch.h"
#include "exec/fake.h"
#include "runtime/handover.h"
#include "runtime/node.h"
#include "runtime/worker.h"
#include "wire/message.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Each test is a process of its own. */
static struct mf_transport *scheduler, *worker_end;
static struct mf_worker_rank *worker;
static struct mf_executor *executor;
static struct mf_loop *loop;
static int64_t now_ns;
static char scratch[MF_SCRATCH_BYTES];

/* What came from the worker since heard() was called. */
static unsigned n_ended, n_beats, n_agains;

/* Task N runs for N ms; those from 1000 on for N - 1000 ms, and leave more than fits a message. */
static void script(void *arg, const struct mf_start *start, struct mf_fake_run *run)
{
    static char output[200000];

    run->duration_ns = (int64_t)(start->task % 1000) * MF_NS_PER_MS;
    if (start->task >= 1000) {
        run->bytes[MF_STDOUT] = output;
        run->n_bytes[MF_STDOUT] = sizeof(output);
    }
}

static void hear(void)
{
    const struct mf_buffer *frame;
    struct mf_message message = {0};
    struct mf_reader reader;
    uint32_t from;

    while (mf_transport_receive(scheduler, &from, &frame) == 1) {
        cr_assert(eq(int, mf_frame_open(frame->data, frame->size, &reader), 0));
        while (mf_message_decode(&reader, &message) == 1) {
            n_ended += message.kind == MF_MESSAGE_ENDED;
            n_beats += message.kind == MF_MESSAGE_BEAT;
            n_agains += message.kind == MF_MESSAGE_AGAIN;
            cr_assert(message.kind != MF_MESSAGE_ENDED || n_agains == 0 || message.task < 100,
                      "what ran before is over when the worker begins again");
        }
    }
}

static void say(const struct mf_message *message)
{
    struct mf_buffer frame = {0};

    mf_message_encode(message, &frame);
    cr_assert(eq(int, mf_transport_send(scheduler, 0, &frame), 0));
    mf_buffer_finish(&frame);
}

static void say_pulse(bool is_elsewhere)
{
    struct mf_message pulse = {.kind = MF_MESSAGE_PULSE};

    mf_life_own(&pulse.life);
    if (is_elsewhere)
        pulse.life.pid_namespace++;
    say(&pulse);
}

static void run(mf_task_id task)
{
    struct mf_command command = {
        .id = "t", .tag = "", .n_args = 1, .args = (const char *const[]){"true"}};
    struct mf_buffer bytes = {0};

    mf_command_encode(&command, &bytes);
    say(&(struct mf_message){.kind = MF_MESSAGE_RUN,
                             .task = task,
                             .attempt = 1,
                             .n_slots = 1,
                             .payload = bytes.data,
                             .payload_size = bytes.size});
    mf_buffer_finish(&bytes);
}

static void pass_ms(int ms)
{
    for (int i = 0; i < ms && !mf_worker_rank_is_finished(worker); i++) {
        now_ns += MF_NS_PER_MS;
        mf_fake_executor_advance(executor, now_ns);
        cr_assert(mf_worker_rank_turn(worker, now_ns) >= 0);
        hear();
    }
}

static void welcome(void)
{
    static const struct mf_core pool[2];
    uint32_t slot_cores[2] = {0, 1};
    struct mf_topo_rank share = {
        .is_worker = true, .first_slot = 1, .n_slots = 2, .slot_cores = slot_cores};
    struct mf_topo_split split = {.pool = (struct mf_core *)pool, .n_pool = 2};
    struct mf_buffer payload = {0};

    mf_node_encode_welcome("/run", &share, &split, false, false, &payload);
    say(&(struct mf_message){
        .kind = MF_MESSAGE_WELCOME, .payload = payload.data, .payload_size = payload.size});
    mf_buffer_finish(&payload);
}

static void create(bool scheduler_may_be_silent)
{
    struct mf_core core = {.n_cpus = 1};
    struct mf_topo_resources resources = {0};
    struct mf_life life;
    struct mf_worker_rank_config config = {.life = &life,
                                           .scheduler_may_be_silent = scheduler_may_be_silent,
                                           .scratch = scratch,
                                           .cores = &core,
                                           .n_cores = 1,
                                           .resources = &resources};

    mf_life_own(&life);
    mf_scratch_name(scratch);
    cr_assert(eq(int, mf_loop_create(&loop), 0));
    cr_assert(eq(int, mf_transport_local_pair(&scheduler, &worker_end), 0));
    config.transport = worker_end;
    config.loop = loop;
    cr_assert(eq(int, mf_worker_rank_create(&config, &worker), 0));
    cr_assert(eq(
        int, mf_fake_executor_create(NULL, mf_worker_rank_heard, worker, script, NULL, &executor),
        0));
    mf_worker_rank_set_executor(worker, executor);
}

static void setup(void)
{
    create(false);
}

static void teardown(void)
{
    mf_worker_rank_destroy(worker);
    mf_transport_destroy(worker_end);
    mf_transport_destroy(scheduler);
    mf_loop_destroy(loop);
}

TestSuite(worker_notice, .init = setup, .fini = teardown);

Test(worker_notice, a_worker_is_heard_of_also_while_it_has_nothing_to_say)
{
    say_pulse(false);
    welcome();
    pass_ms(10000);
    cr_assert(ge(uint, n_beats, 19));
    cr_assert(le(uint, n_beats, 21));
}

Test(worker_notice, a_worker_with_something_to_say_does_not_beat)
{
    say_pulse(false);
    welcome();
    pass_ms(1);
    n_beats = 0;
    for (mf_task_id i = 0; i < 20; i++) {
        run(i + 1);
        pass_ms(200);
    }
    cr_assert(eq(uint, n_ended, 20));
    cr_assert(eq(uint, n_beats, 0));
}

Test(worker_notice, a_scheduler_whose_process_is_there_may_be_silent)
{
    say_pulse(false);
    welcome();
    pass_ms(60000);
    cr_assert(not(mf_worker_rank_is_finished(worker)));
}

Test(worker_notice, a_scheduler_that_ends_before_it_has_said_welcome_is_gone)
{
    struct mf_message pulse = {.kind = MF_MESSAGE_PULSE};
    int fds[2];
    pid_t pid;

    cr_assert(eq(int, pipe(fds), 0));
    pid = fork();
    if (pid == 0) {
        mf_life_own(&pulse.life);
        if (write(fds[1], &pulse, sizeof(pulse)) > 0)
            pause();
        _exit(1);
    }
    cr_assert(eq(sz, (size_t)read(fds[0], &pulse, sizeof(pulse)), sizeof(pulse)));
    say(&pulse);
    pass_ms(1);
    cr_assert(not(mf_worker_rank_is_orphan(worker)));
    kill(pid, SIGKILL);
    cr_assert(eq(int, mf_loop_wait(loop, 60 * MF_NS_PER_S), 1));
    pass_ms(1);
    cr_assert(mf_worker_rank_is_orphan(worker));
    waitpid(pid, NULL, 0);
}

Test(worker_notice, a_scheduler_elsewhere_that_is_silent_is_gone)
{
    say_pulse(true);
    welcome();
    run(900);
    for (int i = 0; i < 4; i++) {
        pass_ms(4500);
        cr_assert(not(mf_worker_rank_is_orphan(worker)));
        say_pulse(true);
    }
    pass_ms(6000);
    cr_assert(mf_worker_rank_is_orphan(worker));
    cr_assert(mf_worker_rank_is_finished(worker));
    cr_assert(mf_worker_rank_has_losses(worker));
}

/* The worker itself would take over. */
static void say_takeover(void)
{
    struct mf_takeover takeover = {.epoch = 1, .n_heirs = 1, .heirs = {7}, .share = {.n_slots = 2}};
    struct mf_message message = {.kind = MF_MESSAGE_TAKEOVER};
    struct mf_buffer payload = {0};

    mf_life_own(&message.life);
    message.life.pid_namespace++;
    mf_takeover_encode(&takeover, &payload);
    message.payload = payload.data;
    message.payload_size = payload.size;
    say(&message);
    mf_buffer_finish(&payload);
}

Test(worker_notice, after_a_false_alarm_the_next_silence_is_noticed_as_well)
{
    say_pulse(true);
    welcome();
    say_takeover();
    for (int i = 0; i < 3; i++) {
        pass_ms(4500);
        cr_assert(not(mf_worker_rank_may_succeed(worker, 7, now_ns)));
        pass_ms(1500);
        cr_assert(mf_worker_rank_may_succeed(worker, 7, now_ns));
        say_pulse(true);
        pass_ms(1);
        cr_assert(not(mf_worker_rank_may_succeed(worker, 7, now_ns)));
    }
}

Test(worker_notice, one_that_cannot_take_over_lets_the_others_try_first)
{
    uint32_t n_passed;

    say_pulse(true);
    welcome();
    say_takeover();
    for (int i = 0; i < 2; i++) {
        for (int ms = 0; !mf_worker_rank_may_succeed(worker, 7, now_ns); ms++) {
            cr_assert(ms < 7000);
            pass_ms(1);
        }
        n_passed = mf_worker_rank_pass(worker);
        cr_assert(eq(u32, n_passed, 1));
        cr_assert(not(mf_worker_rank_may_succeed(worker, 7, now_ns)));
        pass_ms(600);
        cr_assert(mf_worker_rank_may_succeed(worker, 7, now_ns));
        n_passed = mf_worker_rank_pass(worker);
        cr_assert(eq(u32, n_passed, 2));
        say_takeover();
        pass_ms(1);
    }
}

Test(worker_notice, one_that_nobody_answers_for_may_be_silent_if_it_runs_functions_itself)
{
    teardown();
    create(true);
    say_pulse(true);
    welcome();
    pass_ms(60000);
    cr_assert(not(mf_worker_rank_is_orphan(worker)));
}

Test(worker_notice, one_that_was_given_up_ends_all_it_has_and_begins_again)
{
    say_pulse(false);
    welcome();
    run(1001);
    pass_ms(10);
    cr_assert(eq(uint, n_ended, 1), "its output stays with the worker");
    for (mf_task_id task = 500; task < 540; task++)
        run(task);
    pass_ms(10);
    say(&(struct mf_message){.kind = MF_MESSAGE_RESET});
    pass_ms(100);
    cr_assert(eq(uint, n_agains, 1));

    /* Both slots are free, also for an attempt that it had before. */
    n_agains = n_ended = 0;
    run(20);
    run(21);
    pass_ms(22);
    cr_assert(eq(uint, n_ended, 2));
    cr_assert(eq(uint, n_agains, 0));
}

Test(worker_notice, one_that_is_told_to_stop_after_losses_waits_for_nobody)
{
    welcome();
    say(&(struct mf_message){.kind = MF_MESSAGE_STOP, .error = 1});
    pass_ms(1);
    cr_assert(mf_worker_rank_is_finished(worker));
    cr_assert(mf_worker_rank_has_losses(worker));
}

Test(worker_notice, one_that_is_told_to_stop_in_order_waits_for_the_others)
{
    welcome();
    say(&(struct mf_message){.kind = MF_MESSAGE_STOP});
    pass_ms(1);
    cr_assert(mf_worker_rank_is_finished(worker));
    cr_assert(not(mf_worker_rank_has_losses(worker)));
}
