#include "support/frames.h"

#include "base/call.h"
#include "base/clock.h"
#include "base/command.h"
#include "wire/message.h"
#include "wire/record.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#define OUTPUT "three lines\nof output\nof a task\n"
#define ERROR_OUTPUT "warning: it was slow\n"

/* Ends a frame, and appends its records to the one that has all. */
static void give(struct mf_buffer *frame, struct mf_buffer *all, const char *name, t_frame_fn fn,
                 void *arg)
{
    size_t header_size = 4;

    fn(arg, name, frame);
    if (all->size == 0)
        mf_frame_begin(all);
    mf_buffer_append(all, frame->data + header_size, frame->size - header_size);
    mf_buffer_clear(frame);
}

static void give_all(struct mf_buffer *frame, struct mf_buffer *all, t_frame_fn fn, void *arg)
{
    fn(arg, "all", all);
    mf_buffer_finish(frame);
    mf_buffer_finish(all);
}

/* --- messages --- */

static void put_command(struct mf_buffer *bytes)
{
    static const char *const args[] = {"sh", "./fit --slot {%} \"$1\"", "a file.dat"};
    static const char *const env[] = {"MODEL=large", "SEED=7"};
    static const struct mf_slot_mark marks[] = {{.arg = 1, .offset = 13}};
    const struct mf_command command = {
        .id = "fit",
        .has_given_id = true,
        .seq = 12,
        .tag = "a file.dat",
        .n_args = 3,
        .args = args,
        .cwd = "/scratch/run",
        .n_nodes = 2,
        .n_ranks = 8,
        .n_env = 2,
        .env = env,
        .n_marks = 1,
        .marks = marks,
    };

    mf_command_encode(&command, bytes);
}

/* With all that any kind has: each encodes what is its own. */
static struct mf_message full_message(const struct mf_buffer *command)
{
    static const uint8_t feed[MF_FEED_BYTES] = {3, [8] = 200};
    struct mf_message message = {
        .task = 12,
        .attempt = 3,
        .n_slots = 4,
        .n_gpus = 1,
        .mem_bytes = UINT64_C(2) << 30,
        .try_number = 2,
        .timeout_ns = 600 * MF_NS_PER_S,
        .ran_ns = 1500 * MF_NS_PER_MS,
        .cause = MF_CAUSE_STOPPED,
        .stream = MF_STDERR,
        .offset = 4096,
        .length = 65536,
        .signal = SIGUSR1,
        .size = {sizeof(OUTPUT) - 1, sizeof(ERROR_OUTPUT) - 1},
        .is_inline = true,
        .outcome = {.cause = MF_CAUSE_EXIT,
                    .exit_status = 3,
                    .pid = 4711,
                    .slot = 2,
                    .started_wall_ns = INT64_C(1700000000) * MF_NS_PER_S,
                    .duration_ns = 2 * MF_NS_PER_S,
                    .user_ns = MF_NS_PER_S,
                    .max_rss_bytes = 1 << 20,
                    .produced_bytes = {sizeof(OUTPUT) - 1, sizeof(ERROR_OUTPUT) - 1},
                    .detail = "left processes behind"},
        .host = "node17",
        .life = {.boot = "0b1c2d3e-0000-4000-8000-123456789abc",
                 .pid_namespace = 4026531836,
                 .started = 123456,
                 .pid = 815},
        .feeds = feed,
        .feeds_size = sizeof(feed),
        .saved = (const uint8_t *)"step 7",
        .saved_size = 6,
        .rooms = (const uint8_t *)"fit.12\nnode17\nnode18 0,1\n",
        .rooms_size = 25,
        .payload = command->data,
        .payload_size = command->size,
    };

    return message;
}

void t_frames_of_messages(t_frame_fn fn, void *arg)
{
    struct mf_buffer command = {0}, frame = {0}, all = {0};

    put_command(&command);
    for (unsigned kind = 1; kind <= MF_MESSAGE_KIND_MAX; kind++) {
        struct mf_message message = full_message(&command);
        char name[16];

        message.kind = (enum mf_message_kind)kind;
        if (kind == MF_MESSAGE_ENDED || kind == MF_MESSAGE_HOOKED) {
            message.payload = (const uint8_t *)OUTPUT ERROR_OUTPUT;
            message.payload_size = sizeof(OUTPUT ERROR_OUTPUT) - 1;
        }
        mf_message_encode(&message, &frame);
        snprintf(name, sizeof(name), "kind%u", kind);
        give(&frame, &all, name, fn, arg);
    }
    give_all(&frame, &all, fn, arg);
    mf_buffer_finish(&command);
}

/* --- records --- */

/* Every form that a call has. */
static void put_calls(struct mf_buffer *body)
{
    const struct mf_call calls[] = {
        {.task = 1, .function = 2, .size = 5, .input = (const uint8_t *)"input"},
        {.task = 2, .function = 2, .size = 0},
        {.task = 3, .function = 1, .size = (size_t)1 << 20, .is_large = true},
        {.task = 4,
         .function = 3,
         .size = 5,
         .input = (const uint8_t *)"input",
         .checkpoint = (const uint8_t *)"step 7",
         .details = {.tag = 9,
                     .timeout_ns = MF_NS_PER_S,
                     .group = 5,
                     .try_number = 2,
                     .checkpoint_size = 6}},
        {.task = 5,
         .function = 1,
         .size = 2,
         .input = (const uint8_t *)"aabbcc",
         .details = {.tag = 10, .try_number = 1, .n_more = 2},
         .steps = {1, 1}},
    };

    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
        mf_call_put(body, &calls[i]);
}

/* Every form that an entry has: done, several alike, large, failed; and a child before them. */
static void put_entries(struct mf_buffer *body)
{
    static const struct mf_unit_times times = {.duration_ns = 12345, .idle_ns = 678};
    static const struct mf_child child = {
        .tag = 4, .group = 5, .priority = 1, .max_attempts = 2, .function = 3};
    static const uint64_t task = 3;
    static const char message[] = "no such file";
    const struct mf_entry_header headers[] = {
        {.kind = MF_ENTRY_CHILD, .size = sizeof(child)},
        {.kind = MF_ENTRY_RESULT, .size = 6},
        {.kind = MF_ENTRY_RESULT, .size = 6, .n_more = 2},
        {.kind = MF_ENTRY_RESULT, .flags = MF_CALL_IS_LARGE, .size = sizeof(task)},
        {.kind = MF_ENTRY_RESULT, .cause = 1, .code = -2, .size = sizeof(message)},
    };
    const void *const data[] = {&child, "result", "aabbcc", &task, message};

    mf_buffer_append(body, &times, sizeof(times));
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++)
        mf_entry_put(body, &headers[i], data[i]);
}

/* The body of a piece begins with how many bytes there are in all. */
static void put_first_piece(struct mf_buffer *body)
{
    mf_buffer_put_u64(body, 1 << 20);
    mf_buffer_append(body, "input", 5);
}

static void put_block(struct mf_buffer *body)
{
    mf_buffer_put_u64(body, 1 << 20);
    mf_buffer_put_u32(body, 815);
    mf_buffer_put_u32(body, 7);
    mf_buffer_put_u64(body, 4711);
}

static void put_why(struct mf_buffer *body)
{
    mf_buffer_put_text(body, "rank 0 is gone");
}

static void put_bytes(struct mf_buffer *body)
{
    mf_buffer_append(body, "step 7", 6);
}

void t_frames_of_records(t_frame_fn fn, void *arg)
{
    static const struct {
        const char *name;
        struct mf_record record;
        void (*put)(struct mf_buffer *body);
    } examples[] = {
        {"hello", {.kind = MF_RECORD_HELLO}, put_why},
        {"result",
         {.kind = MF_RECORD_RESULT, .flags = MF_RECORD_IS_LAST, .number = 6},
         put_entries},
        {"returned", {.kind = MF_RECORD_RETURNED}, NULL},
        {"stored", {.kind = MF_RECORD_STORED}, NULL},
        {"broken", {.kind = MF_RECORD_BROKEN}, put_why},
        {"bye", {.kind = MF_RECORD_BYE}, NULL},
        {"checkpoint", {.kind = MF_RECORD_CHECKPOINT, .number = 1}, put_bytes},
        {"hooks", {.kind = MF_RECORD_HOOKS, .number = 1}, NULL},
        {"welcome", {.kind = MF_RECORD_WELCOME}, put_bytes},
        {"unit", {.kind = MF_RECORD_UNIT, .number = 7}, put_calls},
        {"recall", {.kind = MF_RECORD_RECALL}, NULL},
        {"cancel", {.kind = MF_RECORD_CANCEL, .number = MF_EVERY_CALL}, NULL},
        {"block", {.kind = MF_RECORD_BLOCK}, put_block},
        {"drop", {.kind = MF_RECORD_DROP}, NULL},
        {"stop", {.kind = MF_RECORD_STOP}, put_why},
        {"piece", {.kind = MF_RECORD_PIECE, .flags = MF_RECORD_IS_FIRST}, put_first_piece},
        {"life", {.kind = MF_RECORD_LIFE}, put_bytes},
        {"end", {.kind = MF_RECORD_END, .number = 1}, NULL},
    };
    struct mf_buffer body = {0}, frame = {0}, all = {0};

    for (size_t i = 0; i < sizeof(examples) / sizeof(examples[0]); i++) {
        struct mf_record record = examples[i].record;

        record.unit = 77;
        record.attempt = 2;
        if (examples[i].put)
            examples[i].put(&body);
        mf_record_put(&frame, &record, body.data, body.size);
        mf_buffer_clear(&body);
        give(&frame, &all, examples[i].name, fn, arg);
    }
    give_all(&frame, &all, fn, arg);
    mf_buffer_finish(&body);
}
