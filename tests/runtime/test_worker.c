/*
 * A worker between a scheduler played by the test and an executor that runs by
 * a script on a virtual clock.
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
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Each test is a process of its own. */
static struct mf_transport *scheduler, *worker_end;
static struct mf_worker_rank *worker;
static struct mf_executor *executor;
static int64_t now_ns;
static char output[200000];

/* The GPUs that tasks were started with: "12:0,1 13:2 ". */
static char given[1024];

/* Where files of the worker go, and what the last command was. */
static char scratch[MF_SCRATCH_BYTES];
static char started[512];

/* The slots of those with several: "12:0,1 ". */
static char seats[1024];

static void note_slots(const struct mf_start *start)
{
    size_t size = strlen(seats);

    if (start->n_slots < 2)
        return;
    size += (size_t)snprintf(seats + size, sizeof(seats) - size, "%" PRIu64, start->task);
    for (uint32_t i = 0; i < start->n_slots; i++)
        size += (size_t)snprintf(seats + size, sizeof(seats) - size, "%s%" PRIu32, i ? "," : ":",
                                 start->slots[i]);
    snprintf(seats + size, sizeof(seats) - size, " ");
}

/* Task N runs for N ms; tasks from 1000 on write that many bytes, those from 2000 on fail. */
static void script(void *arg, const struct mf_start *start, struct mf_fake_run *run)
{
    size_t size = strlen(given);
    struct mf_command *command;

    cr_assert(eq(int, mf_command_decode(start->command, start->command_size, &command), 0));
    snprintf(started, sizeof(started), "%s", command->args[0]);
    free(command);
    note_slots(start);
    if (start->gpus)
        snprintf(given + size, sizeof(given) - size, "%" PRIu64 ":%s ", start->task,
                 strchr(start->gpus, '=') + 1);
    run->duration_ns = (int64_t)(start->task % 1000) * MF_NS_PER_MS;
    if (start->task >= 2000)
        run->outcome.cause = MF_CAUSE_EXIT;
    else if (start->task >= 1000) {
        run->bytes[MF_STDOUT] = output;
        run->n_bytes[MF_STDOUT] = start->task * 100;
    }
}

static const char *kind_name(enum mf_message_kind kind)
{
    switch (kind) {
    case MF_MESSAGE_HELLO:
        return "HELLO";
    case MF_MESSAGE_STARTED:
        return "STARTED";
    case MF_MESSAGE_ENDED:
        return "ENDED";
    case MF_MESSAGE_RETURNED:
        return "RETURNED";
    case MF_MESSAGE_DATA:
        return "DATA";
    case MF_MESSAGE_SUSPENDED:
        return "SUSPENDED";
    case MF_MESSAGE_CONTINUED:
        return "CONTINUED";
    case MF_MESSAGE_BROKEN:
        return "BROKEN";
    case MF_MESSAGE_RENEWED:
        return "RENEWED";
    case MF_MESSAGE_FETCH:
        return "FETCH";
    case MF_MESSAGE_REPORT:
        return "REPORT";
    case MF_MESSAGE_SUPERSEDED:
        return "SUPERSEDED";
    case MF_MESSAGE_HOOKED:
        return "HOOKED";
    case MF_MESSAGE_BUSY:
        return "BUSY";
    case MF_MESSAGE_HELD:
        return "HELD";
    case MF_MESSAGE_BYE:
        return "BYE";
    default:
        return "?";
    }
}

/* What the last REPORT said: "1 slot: 5 ended, 70 runs for 20 ms". */
static char report[512];

static void note_report(const struct mf_message *message)
{
    struct mf_report head;
    struct mf_holding holding;
    struct mf_reader reader;
    int n;

    cr_assert(
        eq(int, mf_report_decode(message->payload, message->payload_size, &head, &reader), 0));
    n = snprintf(report, sizeof(report), "%" PRIu32 " slots:", head.share.n_slots);
    for (uint32_t i = 0; i < head.n_holdings; i++) {
        cr_assert(eq(int, mf_holding_decode(&reader, &holding), 0));
        n += snprintf(report + n, sizeof(report) - (size_t)n, " %" PRIu64 " %s %d", holding.task,
                      holding.state == MF_TASK_DONE      ? "ended"
                      : holding.state == MF_TASK_RUNNING ? "runs"
                                                         : "is suspended",
                      (int)(holding.ran_ns / MF_NS_PER_MS));
    }
}

/* Of the last end that was heard of. */
static enum mf_cause last_cause;

/* What the worker has said since the last call: "ENDED 1, RETURNED 2". */
static char *heard(void)
{
    static char trace[4096];
    const struct mf_buffer *frame;
    struct mf_message message = {0};
    struct mf_reader reader;
    uint32_t from;
    size_t n = 0;

    trace[0] = '\0';
    while (mf_transport_receive(scheduler, &from, &frame) == 1) {
        cr_assert(eq(int, mf_frame_open(frame->data, frame->size, &reader), 0));
        while (mf_message_decode(&reader, &message) == 1) {
            n += (size_t)snprintf(trace + n, sizeof(trace) - n, "%s%s", n ? ", " : "",
                                  kind_name(message.kind));
            if (message.kind == MF_MESSAGE_ENDED)
                last_cause = message.outcome.cause;
            if (message.kind == MF_MESSAGE_REPORT)
                note_report(&message);
            else if (message.kind != MF_MESSAGE_HELLO && message.kind != MF_MESSAGE_BYE &&
                     message.kind != MF_MESSAGE_SUPERSEDED && message.kind != MF_MESSAGE_BUSY)
                n += (size_t)snprintf(trace + n, sizeof(trace) - n, " %" PRIu64, message.task);
            if (message.kind == MF_MESSAGE_HELD && message.payload_size > 0)
                n += (size_t)snprintf(trace + n, sizeof(trace) - n, " %.*s",
                                      (int)message.payload_size, (const char *)message.payload);
        }
    }
    return trace;
}

static void say(const struct mf_message *message)
{
    struct mf_buffer frame = {0};

    mf_message_encode(message, &frame);
    cr_assert(eq(int, mf_transport_send(scheduler, 0, &frame), 0));
    mf_buffer_finish(&frame);
}

static void say_about(enum mf_message_kind kind, mf_task_id task)
{
    say(&(struct mf_message){.kind = kind, .task = task, .attempt = 1, .cause = MF_CAUSE_STOPPED});
}

static void run_with(mf_task_id task, uint32_t n_slots, uint32_t n_gpus)
{
    struct mf_command command = {
        .id = "t", .tag = "", .n_args = 1, .args = (const char *const[]){"true"}};
    struct mf_buffer bytes = {0};

    mf_command_encode(&command, &bytes);
    say(&(struct mf_message){.kind = MF_MESSAGE_RUN,
                             .task = task,
                             .attempt = 1,
                             .n_slots = n_slots,
                             .n_gpus = n_gpus,
                             .try_number = 1,
                             .payload = bytes.data,
                             .payload_size = bytes.size});
    mf_buffer_finish(&bytes);
}

static void run(mf_task_id task, uint32_t n_slots)
{
    run_with(task, n_slots, 0);
}

static int turn(void)
{
    return mf_worker_rank_turn(worker, now_ns);
}

/* Lets time pass in steps of a millisecond, with a turn after each. */
static void pass_ms(int ms)
{
    for (int i = 0; i < ms; i++) {
        now_ns += MF_NS_PER_MS;
        mf_fake_executor_advance(executor, now_ns);
        cr_assert(turn() >= 0);
    }
}

/* Whether the worker is told that attempts may be suspended. */
static bool suspends;

/* Slot I is on core I of the pool. */
static void welcome_to(const struct mf_core *pool, uint32_t n_slots, const struct mf_gpu *gpus,
                       uint32_t n_gpus)
{
    uint32_t slot_cores[8] = {0, 1, 2, 3, 4, 5, 6, 7};
    struct mf_topo_rank share = {.is_worker = true,
                                 .first_slot = 1,
                                 .n_slots = n_slots,
                                 .slot_cores = slot_cores,
                                 .gpus = gpus,
                                 .n_gpus = n_gpus};
    struct mf_topo_split split = {.pool = (struct mf_core *)pool, .n_pool = n_slots};
    struct mf_buffer payload = {0};

    mf_node_encode_welcome("/run", &share, &split, false, suspends, &payload);
    say(&(struct mf_message){
        .kind = MF_MESSAGE_WELCOME, .payload = payload.data, .payload_size = payload.size});
    mf_buffer_finish(&payload);
}

static void welcome_with(uint32_t n_slots, const struct mf_gpu *gpus, uint32_t n_gpus)
{
    static const struct mf_core pool[8];

    welcome_to(pool, n_slots, gpus, n_gpus);
}

static void welcome(uint32_t n_slots)
{
    welcome_with(n_slots, NULL, 0);
}

/* Whether it is in a job whose processes get SIGTERM together. */
static bool shares_signals;

static void setup(void)
{
    struct mf_core core = {.n_cpus = 1};

    cr_assert(eq(int, mf_transport_local_pair(&scheduler, &worker_end), 0));
    struct mf_topo_resources resources = {0};
    struct mf_life life;
    mf_life_own(&life);
    mf_scratch_name(scratch);
    struct mf_worker_rank_config config = {.transport = worker_end,
                                           .life = &life,
                                           .scratch = scratch,
                                           .cores = &core,
                                           .n_cores = 1,
                                           .resources = &resources,
                                           .shares_signals = shares_signals};
    cr_assert(eq(int, mf_worker_rank_create(&config, &worker), 0));
    cr_assert(eq(
        int, mf_fake_executor_create(NULL, mf_worker_rank_heard, worker, script, NULL, &executor),
        0));
    mf_worker_rank_set_executor(worker, executor);
    cr_assert(eq(str, heard(), "HELLO"));
}

static void teardown(void)
{
    mf_worker_rank_destroy(worker);
    mf_transport_destroy(worker_end);
    mf_transport_destroy(scheduler);
}

TestSuite(worker, .init = setup, .fini = teardown);

Test(worker, reports_a_short_attempt_as_ended_only)
{
    welcome(1);
    run(5, 1);
    turn();
    cr_assert(eq(str, heard(), ""));
    pass_ms(5);
    cr_assert(eq(str, heard(), "ENDED 5"));
}

Test(worker, tells_of_a_long_attempt_that_it_has_started)
{
    welcome(1);
    run(500, 1);
    turn();
    cr_assert(mf_worker_rank_next_ns(worker) < INT64_MAX);
    pass_ms(30);
    cr_assert(eq(str, heard(), "STARTED 500"));
    pass_ms(470);
    cr_assert(eq(str, heard(), "ENDED 500"));
}

Test(worker, runs_no_more_at_once_than_it_has_slots)
{
    welcome(2);
    for (mf_task_id task = 10; task < 14; task++)
        run(task, 1);
    turn();
    pass_ms(11);
    cr_assert(eq(str, heard(), "ENDED 10, ENDED 11"));
    pass_ms(14);
    cr_assert(eq(str, heard(), "ENDED 12, ENDED 13"));
}

Test(worker, runs_what_was_prefetched_in_the_order_received)
{
    welcome(1);
    for (mf_task_id task = 1; task <= 9; task++)
        run(task, 1);
    turn();
    pass_ms(45);
    cr_assert(eq(str, heard(),
                 "ENDED 1, ENDED 2, ENDED 3, ENDED 4, ENDED 5, ENDED 6, ENDED 7, ENDED 8, "
                 "ENDED 9"));
}

Test(worker, gives_back_what_has_not_begun_and_nothing_else)
{
    welcome(1);
    for (mf_task_id task = 11; task <= 16; task++)
        run(task, 1);
    turn();
    for (mf_task_id task = 11; task <= 16; task++)
        say_about(MF_MESSAGE_RECALL, task);
    turn();
    pass_ms(1);
    /* Those staged in the executor come back through it, so in no certain order. */
    char *trace = heard();
    for (int task = 12; task <= 16; task++) {
        char returned[32];

        snprintf(returned, sizeof(returned), "RETURNED %d", task);
        cr_assert(strstr(trace, returned) != NULL, "%s", trace);
    }
    pass_ms(10);
    cr_assert(eq(str, heard(), "ENDED 11"));
}

Test(worker, a_wide_attempt_waits_for_its_slots_and_is_not_overtaken)
{
    welcome(2);
    run(20, 1);
    run(10, 2);
    run(1, 1);
    turn();
    pass_ms(20);
    cr_assert(eq(str, heard(), "ENDED 20"));
    pass_ms(11);
    cr_assert(eq(str, heard(), "ENDED 10, ENDED 1"));
}

Test(worker, single_attempts_behind_a_wide_one_use_both_its_slots)
{
    welcome(2);
    run(10, 2);
    run(5, 1);
    run(6, 1);
    turn();
    pass_ms(16);
    cr_assert(eq(str, heard(), "ENDED 10, ENDED 5, ENDED 6"));
}

static const struct mf_gpu three_gpus[] = {{"4"}, {"5"}, {"GPU-6"}};

Test(worker, gives_an_attempt_the_first_free_gpus)
{
    welcome_with(4, three_gpus, 3);
    run_with(20, 1, 1);
    run_with(10, 1, 2);
    run(1, 1);
    turn();
    cr_assert(eq(str, given, "20:4 10:5,GPU-6 "));
    pass_ms(11);
    cr_assert(eq(str, heard(), "ENDED 1, ENDED 10"));
    run_with(11, 1, 1);
    turn();
    cr_assert(eq(str, given, "20:4 10:5,GPU-6 11:5 "));
    pass_ms(10);
    run_with(12, 1, 2);
    turn();
    cr_assert(eq(str, given, "20:4 10:5,GPU-6 11:5 12:4,GPU-6 "));
}

Test(worker, gpus_of_what_is_given_back_or_ended_unstarted_are_free_again)
{
    welcome_with(2, three_gpus, 3);
    run_with(50, 2, 1);
    run_with(10, 2, 1);
    run_with(11, 2, 1);
    turn();
    say_about(MF_MESSAGE_RECALL, 10);
    say_about(MF_MESSAGE_END, 11);
    run_with(12, 2, 2);
    turn();
    cr_assert(eq(str, heard(), "RETURNED 10, ENDED 11"));
    pass_ms(51);
    cr_assert(eq(str, given, "50:4 12:4,5 "));
}

Test(worker, a_gpu_that_is_in_use_is_never_given_twice)
{
    welcome_with(2, three_gpus, 3);
    run_with(10, 1, 2);
    run_with(11, 1, 2);
    turn();
    cr_assert(eq(str, given, ""));
    cr_assert(eq(str, heard(), "BROKEN 0"));
}

/* Cores 0 to 3 are in NUMA node 0, with GPU 5 near them; cores 4 to 7 in node 1, with 4. */
static void welcome_to_two_nodes(void)
{
    static const struct mf_gpu gpus[] = {{"4", .numa = 1, .package = 0},
                                         {"5", .numa = 0, .package = 0}};
    struct mf_core pool[8] = {0};

    for (uint32_t i = 0; i < 8; i++)
        pool[i].numa = i / 4;
    welcome_to(pool, 8, gpus, 2);
}

Test(worker, an_attempt_gets_neighbouring_slots_inside_one_numa_node)
{
    welcome_to_two_nodes();
    run(50, 1);
    run(10, 4);
    run(51, 3);
    turn();
    cr_assert(eq(str, seats, "10:4,5,6,7 51:1,2,3 "));
    pass_ms(11);
    run(11, 2);
    turn();
    cr_assert(eq(str, seats, "10:4,5,6,7 51:1,2,3 11:4,5 "));
}

Test(worker, an_attempt_gets_gpus_near_its_slots)
{
    welcome_to_two_nodes();
    run(20, 1);
    run_with(10, 4, 1);
    run_with(11, 2, 1);
    turn();
    cr_assert(eq(str, seats, "10:4,5,6,7 11:1,2 "));
    cr_assert(eq(str, given, "10:4 11:5 "));
}

Test(worker, gpus_are_chosen_when_there_is_a_slot)
{
    welcome_with(1, three_gpus, 3);
    run(5, 1);
    run_with(7, 1, 2);
    run(6, 1);
    turn();
    cr_assert(eq(str, given, ""));
    pass_ms(6);
    cr_assert(eq(str, given, "7:4,5 "));
    pass_ms(14);
    cr_assert(eq(str, heard(), "ENDED 5, ENDED 7, ENDED 6"));
}

Test(worker, ends_what_it_is_told_to_end)
{
    welcome(1);
    run(100, 1);
    run(101, 1);
    run(102, 1);
    run(103, 1);
    turn();
    for (mf_task_id task = 100; task <= 103; task++)
        say_about(MF_MESSAGE_END, task);
    turn();
    pass_ms(1);
    char trace[256];
    strcpy(trace, heard());
    for (int task = 100; task <= 103; task++) {
        char ended[32];

        snprintf(ended, sizeof(ended), "ENDED %d", task);
        cr_assert(strstr(trace, ended) != NULL, "%s", trace);
    }
}

Test(worker, keeps_large_output_until_it_is_released)
{
    welcome(1);
    run(1001, 1);
    turn();
    pass_ms(2);
    cr_assert(eq(str, heard(), "ENDED 1001"));
    say(&(struct mf_message){
        .kind = MF_MESSAGE_PULL, .task = 1001, .attempt = 1, .offset = 100000, .length = 200000});
    turn();
    const struct mf_buffer *frame;
    struct mf_message data = {0};
    struct mf_reader reader;
    uint32_t from;
    cr_assert(eq(int, mf_transport_receive(scheduler, &from, &frame), 1));
    cr_assert(eq(int, mf_frame_open(frame->data, frame->size, &reader), 0));
    cr_assert(eq(int, mf_message_decode(&reader, &data), 1));
    cr_assert(eq(int, data.kind, MF_MESSAGE_DATA));
    cr_assert(eq(sz, data.payload_size, 100));
    say_about(MF_MESSAGE_RELEASE, 1001);
    cr_assert(turn() >= 0);
    say(&(struct mf_message){.kind = MF_MESSAGE_PULL, .task = 1001, .attempt = 1, .length = 1});
    turn();
    cr_assert(eq(str, heard(), "BROKEN 0"), "what was released cannot be pulled");
}

Test(worker, a_run_that_comes_twice_runs_once)
{
    welcome(1);
    run(3, 1);
    run(3, 1);
    turn();
    pass_ms(10);
    cr_assert(eq(str, heard(), "ENDED 3"));
}

Test(worker, refuses_work_before_its_welcome)
{
    run(1, 1);
    turn();
    cr_assert(eq(str, heard(), "BROKEN 0"));
}

Test(worker, refuses_more_slots_than_it_has)
{
    welcome(2);
    run(1, 3);
    turn();
    cr_assert(eq(str, heard(), "BROKEN 0"));
}

Test(worker, a_broken_executor_is_reported)
{
    welcome(1);
    run(50, 1);
    turn();
    mf_fake_executor_break(executor, "the launcher was killed");
    turn();
    char *trace = heard();
    cr_assert(strstr(trace, "BROKEN") != NULL, "%s", trace);
}

Test(worker, a_replaced_launcher_is_reported_and_work_goes_on)
{
    struct mf_error how;
    struct mf_executor_event event = {.kind = MF_EXECUTOR_RENEWED, .error = &how};

    welcome(1);
    mf_error_set(&how, 0, "was killed by signal 9 (Killed)");
    mf_worker_rank_heard(worker, &event);
    run(50, 1);
    turn();
    pass_ms(1000);
    char *trace = heard();
    cr_assert(strstr(trace, "RENEWED") && strstr(trace, "ENDED 50"), "%s", trace);
}

Test(worker, says_bye_when_told_to_stop)
{
    welcome(1);
    run(50, 1);
    turn();
    say(&(struct mf_message){.kind = MF_MESSAGE_STOP});
    turn();
    cr_assert(eq(str, heard(), "BYE"));
    cr_assert(mf_worker_rank_is_finished(worker));
}

/* --- files with the output of other tasks --- */

/* A task that runs for 5 ms and takes the output, of so many bytes, of task 900. */
static void run_taker(mf_task_id task, uint64_t n_bytes)
{
    const char *text = "{out:x}";
    struct mf_command command = {.id = "t", .has_outs = true, .n_args = 1, .args = &text};
    struct mf_buffer bytes = {0}, feeds = {0};

    mf_command_encode(&command, &bytes);
    mf_buffer_put_u64(&feeds, 900);
    mf_buffer_put_u64(&feeds, n_bytes);
    say(&(struct mf_message){.kind = MF_MESSAGE_RUN,
                             .task = task,
                             .attempt = 1,
                             .n_slots = 1,
                             .feeds = feeds.data,
                             .feeds_size = feeds.size,
                             .payload = bytes.data,
                             .payload_size = bytes.size});
    mf_buffer_finish(&bytes);
    mf_buffer_finish(&feeds);
}

static void feed(uint64_t offset, const char *bytes, int error)
{
    say(&(struct mf_message){.kind = MF_MESSAGE_FEED,
                             .task = 900,
                             .offset = offset,
                             .error = error,
                             .payload = (const uint8_t *)bytes,
                             .payload_size = strlen(bytes)});
}

/* What is in the file that the last command was given. */
static const char *fed(void)
{
    static char bytes[64];
    FILE *file = fopen(started, "r");

    cr_assert(file != NULL, "%s", started);
    bytes[fread(bytes, 1, sizeof(bytes) - 1, file)] = '\0';
    fclose(file);
    return bytes;
}

Test(worker, a_command_starts_once_the_output_that_it_takes_is_here)
{
    welcome(2);
    run_taker(5, 6);
    run_taker(6, 6);
    turn();
    cr_assert(eq(str, heard(), "FETCH 900"), "it is fetched once");
    feed(0, "abc", 0);
    turn();
    cr_assert(eq(str, started, ""));
    feed(3, "def", 0);
    turn();
    cr_assert(eq(str, (char *)fed(), "abcdef"));
    pass_ms(6);
    cr_assert(eq(str, heard(), "ENDED 5, ENDED 6"));
}

Test(worker, others_go_on_while_one_waits_for_an_output)
{
    welcome(1);
    run_taker(5, 6);
    run(1, 1);
    turn();
    pass_ms(2);
    cr_assert(eq(str, heard(), "FETCH 900, ENDED 1"));
}

Test(worker, an_empty_output_is_a_file_at_once)
{
    welcome(1);
    run_taker(5, 0);
    turn();
    cr_assert(eq(str, heard(), ""));
    cr_assert(eq(str, (char *)fed(), ""));
}

Test(worker, a_file_goes_when_nothing_needs_it_any_more)
{
    welcome(1);
    run_taker(5, 0);
    turn();
    say_about(MF_MESSAGE_UNFEED, 900);
    turn();
    cr_assert(eq(int, access(started, F_OK), 0), "its command still runs");
    pass_ms(6);
    cr_assert(eq(int, access(started, F_OK), -1));
}

Test(worker, a_file_stays_for_later_commands_until_the_scheduler_says_so)
{
    welcome(1);
    run_taker(5, 3);
    turn();
    feed(0, "abc", 0);
    pass_ms(8);
    run_taker(6, 3);
    turn();
    cr_assert(eq(str, heard(), "FETCH 900, ENDED 5"));
    cr_assert(eq(str, (char *)fed(), "abc"));
    pass_ms(6);
    say_about(MF_MESSAGE_UNFEED, 900);
    turn();
    cr_assert(eq(int, access(started, F_OK), -1));
}

Test(worker, an_output_that_cannot_be_read_ends_what_needs_it)
{
    welcome(1);
    run_taker(5, 3);
    run_taker(6, 3);
    turn();
    heard();
    feed(0, "", EIO);
    turn();
    cr_assert(eq(str, heard(), "ENDED 5, ENDED 6"));
    run_taker(7, 3);
    turn();
    cr_assert(eq(str, heard(), "FETCH 900"), "the next one tries again");
}

Test(worker, a_waiting_command_can_be_recalled_and_ended)
{
    welcome(1);
    run_taker(5, 3);
    run_taker(6, 3);
    turn();
    heard();
    say_about(MF_MESSAGE_RECALL, 5);
    say_about(MF_MESSAGE_END, 6);
    turn();
    cr_assert(eq(str, heard(), "RETURNED 5, ENDED 6"));
    feed(0, "abc", 0);
    cr_assert(turn() >= 0);
    cr_assert(eq(str, started, ""));
}

Test(worker, nothing_is_left_of_its_files_in_the_end)
{
    welcome(1);
    run_taker(5, 0);
    turn();
    cr_assert(eq(int, access(scratch, F_OK), 0));
    teardown();
    cr_assert(eq(int, access(scratch, F_OK), -1));
    setup();
}

/* --- suspending: by an executor that notes what is asked of it, and obeys when told to --- */

static struct mf_executor_ops own_ops;
static const struct mf_executor_ops *executor_ops;
static unsigned n_staged;
static char asked[1024];

/* What suspend() returns. */
static int when_suspended;

static int note_suspend(struct mf_executor *self, mf_task_id task, uint32_t attempt)
{
    size_t size = strlen(asked);

    snprintf(asked + size, sizeof(asked) - size, "suspend %" PRIu64 " ", task);
    return when_suspended;
}

static void note_resume(struct mf_executor *self, mf_task_id task, uint32_t attempt,
                        const uint32_t *slots, uint32_t n_slots)
{
    size_t size = strlen(asked);

    snprintf(asked + size, sizeof(asked) - size, "resume %" PRIu64 " in %" PRIu32 " ", task,
             slots[0]);
}

static void let_suspend(void)
{
    suspends = true;
    own_ops = *executor->ops;
    own_ops.suspend = note_suspend;
    own_ops.resume = note_resume;
    executor->ops = &own_ops;
}

static void tell(enum mf_executor_event_kind kind, mf_task_id task)
{
    mf_worker_rank_heard(
        worker, &(struct mf_executor_event){
                    .kind = kind, .task = task, .attempt = 1, .slot = UINT32_MAX, .ran_ns = 5});
    turn();
}

Test(worker, a_suspended_attempt_leaves_its_slot_to_the_next_and_gets_one_again)
{
    let_suspend();
    welcome(1);
    run(900, 1);
    pass_ms(30);
    cr_assert(eq(str, heard(), "STARTED 900"));
    say_about(MF_MESSAGE_SUSPEND, 900);
    run(5, 1);
    turn();
    cr_assert(eq(str, asked, "suspend 900 "));
    tell(MF_EXECUTOR_SUSPENDED, 900);
    cr_assert(eq(str, heard(), "SUSPENDED 900"));
    /* It waits for a slot like any other. */
    say_about(MF_MESSAGE_CONTINUE, 900);
    turn();
    cr_assert(eq(str, asked, "suspend 900 "));
    pass_ms(5);
    cr_assert(eq(str, heard(), "ENDED 5"));
    cr_assert(eq(str, asked, "suspend 900 resume 900 in 0 "));
    tell(MF_EXECUTOR_CONTINUED, 900);
    cr_assert(eq(str, heard(), "CONTINUED 900"));
}

Test(worker, an_attempt_that_yields_keeps_its_slot_until_it_has)
{
    let_suspend();
    when_suspended = MF_EXECUTOR_E_LATER;
    welcome(1);
    run(900, 1);
    pass_ms(30);
    cr_assert(eq(str, heard(), "STARTED 900"));
    say_about(MF_MESSAGE_SUSPEND, 900);
    run(50, 1);
    pass_ms(40);
    cr_assert(eq(str, heard(), ""));
    tell(MF_EXECUTOR_SUSPENDED, 900);
    pass_ms(30);
    cr_assert(eq(str, heard(), "SUSPENDED 900, STARTED 50"));
    say_about(MF_MESSAGE_CONTINUE, 900);
    pass_ms(30);
    cr_assert(eq(str, heard(), "ENDED 50"));
    cr_assert(eq(str, asked, "suspend 900 resume 900 in 0 "));
    /* What comes twice is no reason to give the slot away again. */
    tell(MF_EXECUTOR_SUSPENDED, 900);
    run(5, 1);
    pass_ms(10);
    cr_assert(eq(str, heard(), "SUSPENDED 900"));
}

Test(worker, an_attempt_that_may_yield_can_end_instead)
{
    let_suspend();
    when_suspended = MF_EXECUTOR_E_LATER;
    welcome(1);
    run(50, 1);
    pass_ms(30);
    say_about(MF_MESSAGE_SUSPEND, 50);
    run(5, 1);
    pass_ms(30);
    pass_ms(10);
    cr_assert(eq(str, heard(), "STARTED 50, ENDED 50, ENDED 5"));
}

Test(worker, an_attempt_may_come_before_the_order_that_makes_room_for_it)
{
    let_suspend();
    welcome(1);
    run(900, 1);
    pass_ms(30);
    run(5, 1);
    turn();
    say_about(MF_MESSAGE_SUSPEND, 900);
    turn();
    tell(MF_EXECUTOR_SUSPENDED, 900);
    pass_ms(5);
    cr_assert(eq(str, heard(), "STARTED 900, SUSPENDED 900, ENDED 5"));
}

Test(worker, an_attempt_that_goes_on_gets_the_slot_that_it_had_if_that_is_free)
{
    let_suspend();
    welcome(3);
    run(901, 1);
    run(902, 1);
    run(903, 1);
    turn();
    say_about(MF_MESSAGE_SUSPEND, 902);
    say_about(MF_MESSAGE_SUSPEND, 903);
    say_about(MF_MESSAGE_SUSPEND, 901);
    say_about(MF_MESSAGE_CONTINUE, 902);
    turn();
    cr_assert(eq(str, asked, "suspend 902 suspend 903 suspend 901 resume 902 in 1 "));
}

Test(worker, a_suspended_attempt_that_is_ended_needs_no_slot)
{
    let_suspend();
    welcome(1);
    run(900, 1);
    turn();
    say_about(MF_MESSAGE_SUSPEND, 900);
    run(50, 1);
    say_about(MF_MESSAGE_CONTINUE, 900);
    say_about(MF_MESSAGE_END, 900);
    turn();
    pass_ms(1);
    cr_assert(eq(str, heard(), "ENDED 900"));
    pass_ms(50);
    cr_assert(eq(str, heard(), "STARTED 50, ENDED 50"));
    cr_assert(eq(str, asked, "suspend 900 "));
}

Test(worker, what_is_asked_of_an_attempt_that_has_ended_is_ignored)
{
    let_suspend();
    welcome(1);
    run(1, 1);
    pass_ms(2);
    say_about(MF_MESSAGE_SUSPEND, 1);
    say_about(MF_MESSAGE_CONTINUE, 1);
    turn();
    cr_assert(eq(str, asked, ""));
    cr_assert(eq(str, heard(), "ENDED 1"));
}

/* --- hooks --- */

/* A hook runs for some time that the script makes of its number: see script(). */
static void hooks(const char *kinds)
{
    struct mf_command command = {
        .id = "h", .tag = "", .n_args = 1, .args = (const char *const[]){"hook"}};
    struct mf_buffer list = {0};

    for (; *kinds; kinds++)
        mf_node_put_hook(*kinds == '-', &command, &list);
    say(&(struct mf_message){
        .kind = MF_MESSAGE_HOOKS, .payload = list.data, .payload_size = list.size});
    mf_buffer_finish(&list);
}

static void stop(void)
{
    say(&(struct mf_message){.kind = MF_MESSAGE_STOP});
    turn();
}

/* Turns until the worker has said that: hooks of the script take up to a second. */
static void await_words(const char *expected)
{
    char said[4096] = "";

    for (int i = 0; i < 3000 && strcmp(said, expected) != 0; i++) {
        const char *more;

        if (!mf_worker_rank_is_finished(worker))
            pass_ms(1);
        more = heard();
        if (*more)
            snprintf(said + strlen(said), sizeof(said) - strlen(said), "%s%s", *said ? ", " : "",
                     more);
    }
    cr_assert(eq(str, said, (char *)expected));
}

Test(worker, runs_hooks_in_order_before_its_first_task)
{
    welcome(2);
    hooks("++-");
    run(5, 1);
    turn();
    await_words("HOOKED 0, HOOKED 1, ENDED 5");
    cr_assert(strstr(seats, ":0,1 ") != NULL, "a hook has all slots: %s", seats);
}

Test(worker, gives_tasks_back_while_hooks_run)
{
    welcome(1);
    hooks("+");
    run(5, 1);
    turn();
    say_about(MF_MESSAGE_RECALL, 5);
    turn();
    cr_assert(eq(str, heard(), "RETURNED 5"));
}

Test(worker, runs_hooks_between_its_last_task_and_its_bye)
{
    welcome(1);
    hooks("-+-");
    turn();
    await_words("HOOKED 1");
    run(500, 1);
    turn();
    stop();
    cr_assert_not(mf_worker_rank_is_finished(worker));
    await_words("BUSY, ENDED 500, HOOKED 0, HOOKED 2, BYE");
    cr_assert(mf_worker_rank_is_finished(worker));
}

Test(worker, says_now_and_then_that_its_hooks_still_run)
{
    welcome(1);
    hooks("-");
    turn();
    stop();
    cr_assert(eq(str, heard(), "BUSY"));
    cr_assert(mf_worker_rank_next_ns(worker) < INT64_MAX);
    /* The executor stands still meanwhile. */
    now_ns = mf_worker_rank_next_ns(worker);
    turn();
    cr_assert(eq(str, heard(), "BUSY"));
}

Test(worker, ends_a_hook_for_the_start_when_told_to_stop_and_runs_those_for_the_end)
{
    welcome(1);
    hooks("++-");
    turn();
    stop();
    await_words("BUSY, HOOKED 0, HOOKED 2, BYE");
}

Test(worker, leaves_out_hooks_when_told_to_stop_twice)
{
    welcome(1);
    hooks("--");
    turn();
    stop();
    stop();
    await_words("BUSY, HOOKED 0, BYE");
}

Test(worker, a_broken_executor_keeps_nobody_from_leaving)
{
    welcome(1);
    hooks("-");
    turn();
    stop();
    mf_fake_executor_break(executor, "gone");
    turn();
    await_words("BUSY, BROKEN 0, BYE");
}

Test(worker, damaged_hooks_are_refused)
{
    welcome(1);
    say(&(struct mf_message){
        .kind = MF_MESSAGE_HOOKS, .payload = (const uint8_t *)"\1\377\377", .payload_size = 3});
    turn();
    cr_assert(eq(str, heard(), "BROKEN 0"));
}

/* --- schedulers that come after another --- */

static void reign(uint64_t epoch)
{
    struct mf_takeover takeover = {.epoch = epoch, .share.n_slots = epoch == 1 ? 2 : 0};
    struct mf_buffer payload = {0};

    mf_takeover_encode(&takeover, &payload);
    say(&(struct mf_message){
        .kind = MF_MESSAGE_TAKEOVER, .payload = payload.data, .payload_size = payload.size});
    mf_buffer_finish(&payload);
}

/* Another scheduler speaks from where the first one was. */
static void be_another(uint64_t epoch)
{
    mf_worker_rank_turn_to(worker, worker_end, 0);
    reign(epoch);
}

Test(worker, tells_the_next_scheduler_what_it_runs_and_what_has_ended)
{
    welcome(2);
    reign(1);
    run(5, 1);
    run(70, 1);
    turn();
    pass_ms(10);
    cr_assert(eq(str, heard(), "ENDED 5"));
    be_another(2);
    pass_ms(1);
    cr_assert(eq(str, heard(), "REPORT, ENDED 5"));
    cr_assert(strcmp(report, "2 slots: 5 ended 0 70 runs 11") == 0 ||
                  strcmp(report, "2 slots: 70 runs 11 5 ended 0") == 0,
              "%s", report);
    pass_ms(60);
    cr_assert(eq(str, heard(), "ENDED 70"));
}

Test(worker, forgets_what_has_ended_when_it_is_told_so)
{
    welcome(2);
    reign(1);
    run(5, 1);
    turn();
    pass_ms(10);
    say_about(MF_MESSAGE_RELEASE, 5);
    pass_ms(1);
    be_another(2);
    pass_ms(1);
    cr_assert(eq(str, heard(), "ENDED 5, REPORT"));
    cr_assert(eq(str, report, "2 slots:"));
}

Test(worker, does_not_tell_the_next_scheduler_of_what_has_not_begun)
{
    welcome(1);
    reign(1);
    for (mf_task_id task = 51; task <= 55; task++)
        run(task, 1);
    turn();
    pass_ms(1);
    be_another(2);
    pass_ms(2);
    cr_assert(eq(str, heard(), "REPORT"));
    cr_assert(strncmp(report, "2 slots: 51 runs", 16) == 0 && !strstr(report, "52"), "%s", report);
    pass_ms(100);
    cr_assert(eq(str, heard(), "ENDED 51"), "nothing else was started");
}

Test(worker, keeps_nothing_without_a_standby)
{
    welcome(1);
    run(5, 1);
    turn();
    pass_ms(10);
    be_another(2);
    pass_ms(1);
    cr_assert(eq(str, heard(), "ENDED 5, REPORT"));
    cr_assert(eq(str, report, "0 slots:"));
}

Test(worker, tells_a_scheduler_of_before_that_it_is_superseded)
{
    welcome(1);
    reign(1);
    turn();
    be_another(3);
    pass_ms(1);
    cr_assert(eq(str, heard(), "REPORT"));
    be_another(2);
    pass_ms(1);
    cr_assert(eq(str, heard(), "SUPERSEDED"));
}

/* --- in a job whose processes all get SIGTERM --- */

static void setup_in_job(void)
{
    shares_signals = true;
    setup();
    welcome(1);
}

TestSuite(worker_in_job, .init = setup_in_job, .fini = teardown);

Test(worker_in_job, a_failure_is_told_a_little_later)
{
    run(2001, 1);
    turn();
    pass_ms(2);
    cr_assert(eq(str, heard(), ""));
    run(5, 1);
    pass_ms(7);
    cr_assert(eq(str, heard(), "ENDED 5"), "its slot is free, and successes are told at once");
    pass_ms(300);
    cr_assert(eq(str, heard(), "ENDED 2001"));
    cr_assert(eq(int, (int)last_cause, MF_CAUSE_EXIT));
    cr_assert(eq(i64, mf_worker_rank_next_ns(worker), INT64_MAX));
}

Test(worker_in_job, it_comes_to_its_next_turn_in_time_to_tell)
{
    run(2001, 1);
    turn();
    pass_ms(1);
    cr_assert(gt(i64, mf_worker_rank_next_ns(worker), now_ns));
    cr_assert(lt(i64, mf_worker_rank_next_ns(worker), now_ns + MF_NS_PER_S));
}

Test(worker_in_job, a_failure_that_comes_with_sigterm_is_no_fault_of_the_task)
{
    run(2001, 1);
    run(2002, 1);
    turn();
    pass_ms(2);
    mf_worker_rank_note_terminated(worker, now_ns);
    turn();
    cr_assert(eq(str, heard(), "ENDED 2001"));
    cr_assert(eq(int, (int)last_cause, MF_CAUSE_TERMINATED));
    pass_ms(3);
    cr_assert(eq(str, heard(), "ENDED 2002"), "nor is one that comes of it later");
    cr_assert(eq(int, (int)last_cause, MF_CAUSE_TERMINATED));
}

Test(worker_in_job, what_begins_long_after_a_sigterm_fails_by_itself)
{
    mf_worker_rank_note_terminated(worker, now_ns);
    pass_ms(300);
    run(2001, 1);
    turn();
    pass_ms(2);
    cr_assert(eq(str, heard(), ""));
    pass_ms(300);
    cr_assert(eq(str, heard(), "ENDED 2001"));
    cr_assert(eq(int, (int)last_cause, MF_CAUSE_EXIT));
}

Test(worker_in_job, a_failure_of_one_that_lost_a_part_is_told_as_that_loss)
{
    run(2001, 1);
    turn();
    pass_ms(2);
    say(&(struct mf_message){
        .kind = MF_MESSAGE_END, .task = 2001, .attempt = 1, .cause = MF_CAUSE_LOST});
    turn();
    cr_assert(eq(str, heard(), "ENDED 2001"));
    cr_assert(eq(int, (int)last_cause, MF_CAUSE_LOST));
}

Test(worker_in_job, a_failure_that_was_to_be_ended_anyway_is_told_as_that)
{
    run(2001, 1);
    turn();
    pass_ms(2);
    say_about(MF_MESSAGE_END, 2001);
    turn();
    cr_assert(eq(str, heard(), "ENDED 2001"));
    cr_assert(eq(int, (int)last_cause, MF_CAUSE_STOPPED));
}

Test(worker_in_job, what_has_failed_cannot_be_suspended)
{
    run(2001, 1);
    turn();
    pass_ms(2);
    say_about(MF_MESSAGE_SUSPEND, 2001);
    say_about(MF_MESSAGE_CONTINUE, 2001);
    run(3, 1);
    pass_ms(300);
    cr_assert(eq(str, heard(), "ENDED 3, ENDED 2001"));
}

Test(worker, outside_a_job_a_failure_is_told_at_once)
{
    welcome(1);
    run(2001, 1);
    turn();
    pass_ms(1);
    mf_worker_rank_note_terminated(worker, now_ns);
    cr_assert(eq(str, heard(), "ENDED 2001"));
    cr_assert(eq(int, (int)last_cause, MF_CAUSE_EXIT));
}

/* --- room on several nodes --- */

static void hold(mf_task_id task, uint32_t n_slots, uint32_t n_gpus)
{
    say(&(struct mf_message){.kind = MF_MESSAGE_HOLD,
                             .task = task,
                             .attempt = 1,
                             .n_slots = n_slots,
                             .n_gpus = n_gpus,
                             .rooms = (const uint8_t *)"a name\n",
                             .rooms_size = 7});
}

Test(worker, keeps_room_for_what_another_one_runs_until_it_is_to_let_go)
{
    welcome(2);
    run(10, 1);
    hold(99, 2, 0);
    run(5, 1);
    turn();
    cr_assert(eq(str, heard(), ""));
    pass_ms(10);
    cr_assert(eq(str, heard(), "ENDED 10, HELD 99"));
    pass_ms(50);
    cr_assert(eq(str, heard(), ""), "nothing runs in what it keeps");
    say_about(MF_MESSAGE_LET_GO, 99);
    pass_ms(6);
    cr_assert(eq(str, heard(), "ENDED 5"));
}

Test(worker, says_which_gpus_it_keeps_with_a_room)
{
    welcome_with(2, three_gpus, 3);
    run_with(20, 1, 1);
    hold(99, 1, 2);
    turn();
    cr_assert(eq(str, heard(), "HELD 99 CUDA_VISIBLE_DEVICES=5,GPU-6"));
    say_about(MF_MESSAGE_LET_GO, 99);
    run_with(21, 1, 2);
    turn();
    cr_assert(eq(str, given, "20:4 21:5,GPU-6 "), "they are others' then");
}

Test(worker, stages_nothing_behind_a_room_since_no_end_gives_its_slot_on)
{
    welcome(1);
    hold(99, 1, 0);
    run(5, 1);
    turn();
    cr_assert(eq(str, heard(), "HELD 99"));
    say_about(MF_MESSAGE_LET_GO, 99);
    pass_ms(6);
    cr_assert(eq(str, heard(), "ENDED 5"));
}

static int count_staged(struct mf_executor *self, const struct mf_start *start)
{
    n_staged += start->n_slots == 0;
    return executor_ops->start(self, start);
}

Test(worker, stages_as_soon_as_its_executor_can_even_if_it_could_not_at_first)
{
    executor_ops = executor->ops;
    own_ops = *executor_ops;
    own_ops.start = count_staged;
    executor->ops = &own_ops;
    executor->can_stage = false;
    welcome(1);
    run(11, 1);
    run(12, 1);
    turn();
    cr_assert(eq(uint, n_staged, 0));
    executor->can_stage = true;
    turn();
    cr_assert(eq(uint, n_staged, 1));
    pass_ms(23);
    cr_assert(eq(str, heard(), "ENDED 11, ENDED 12"));
}

Test(worker, lets_go_of_a_room_that_it_does_not_have_yet)
{
    welcome(1);
    run(10, 1);
    hold(99, 1, 0);
    turn();
    say_about(MF_MESSAGE_LET_GO, 99);
    say_about(MF_MESSAGE_LET_GO, 99);
    run(5, 1);
    pass_ms(20);
    cr_assert(eq(str, heard(), "ENDED 10, ENDED 5"));
}
