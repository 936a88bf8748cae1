/*
 * A worker of functions, with a real inline caller, and a scheduler played by
 * the test. What the server says becomes a trace.
 */
#include "runtime/server.h"

#include "base/rng.h"
#include "runtime/node.h"
#include "runtime/outbox.h"
#include "wire/message.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)

/* Each test is a process of its own. */
static struct mf_transport *scheduler, *worker_end;
static struct mf_functions functions;
static struct mf_server *server;
static struct mf_caller *caller;
static struct mf_outbox outbox;
static struct mf_inbox *inbox;
static struct mf_buffer trace;
static uint64_t open_unit;
static int init_result, n_finished;
static void (*on_run)(void);

/* --- the functions --- */

static int n_grown;

enum { NULL_FN, ECHO, FAIL, GROW, CHILD, SAVE, WAIT, BLOCK, SAVE_OFTEN, N_FUNCTIONS };

static int null_fn(struct mpifarm_context *context, void *user)
{
    return 0;
}

static int echo(struct mpifarm_context *context, void *user)
{
    size_t n;
    const void *input = mpifarm_input(context, &n);

    return mpifarm_write(context, input, n);
}

static int fail(struct mpifarm_context *context, void *user)
{
    return mpifarm_fail(context, 3, "why");
}

/* Gives 3 MiB and a byte. */
static int grow(struct mpifarm_context *context, void *user)
{
    uint8_t *result = mpifarm_reserve(context, 3 * MIB + 1);

    for (size_t i = 0; i <= 3 * MIB; i++)
        result[i] = (uint8_t)(i >> 4);
    n_grown++;
    return 0;
}

static int child(struct mpifarm_context *context, void *user)
{
    mpifarm_spawn(context, ECHO, "baby", 4, NULL);
    return mpifarm_write(context, "grown", 5);
}

static int save(struct mpifarm_context *context, void *user)
{
    size_t n;
    const char *restored = mpifarm_restored(context, &n);

    if (restored)
        return mpifarm_write(context, restored, n);
    mpifarm_checkpoint(context, "half", 4);
    return 1;
}

static int wait_until_asked(struct mpifarm_context *context, void *user)
{
    if (on_run)
        on_run();
    while (!mpifarm_should_stop(context))
        ;
    return 9;
}

static int read_block(struct mpifarm_context *context, void *user)
{
    size_t n;
    const char *data = mpifarm_block_data(context, 5, &n);

    return data ? mpifarm_write(context, data + n - 5, 5) : 4;
}

/* How save_often() saves, what it returns, and what the transport had to hold meanwhile. */
static size_t saved_bytes;
static int n_saves, save_result;
static uint64_t most_unsent;

static int save_often(struct mpifarm_context *context, void *user)
{
    uint8_t *bytes = malloc(saved_bytes);

    for (int i = 0; i < n_saves; i++) {
        memset(bytes, 'a' + i % 26, saved_bytes);
        mpifarm_checkpoint(context, bytes, saved_bytes);
        if (most_unsent < mf_transport_unsent(worker_end, 0))
            most_unsent = mf_transport_unsent(worker_end, 0);
    }
    free(bytes);
    return on_run ? wait_until_asked(context, user) : save_result;
}

/* --- what the server says --- */

static void end_line(void)
{
    if (open_unit != 0)
        mf_buffer_print(&trace, "\n");
    open_unit = 0;
}

/* Results of a unit that follow each other make one line, in however many parts they come. */
static void trace_result(const struct mf_record *record, struct mf_reader *body)
{
    struct mf_entry_header entry;
    const uint8_t *data;

    cr_assert_not_null(mf_reader_get_raw(body, sizeof(struct mf_unit_times)));
    if (open_unit != record->unit) {
        end_line();
        mf_buffer_print(&trace, "%" PRIu64 ":", record->unit);
        open_unit = record->unit;
    }
    while (mf_entry_get(body, &entry, &data) == 1) {
        if (entry.kind == MF_ENTRY_CHILD)
            mf_buffer_print(&trace, " child %.*s", (int)(entry.size - sizeof(struct mf_child)),
                            data + sizeof(struct mf_child));
        else if (entry.flags & MF_CALL_IS_LARGE)
            mf_buffer_print(&trace, " large");
        else if (entry.cause)
            mf_buffer_print(&trace, " %d/%d%.*s", entry.cause, entry.code, (int)entry.size, data);
        else
            for (uint32_t i = 0, n = entry.n_more + 1; i < n; i++)
                mf_buffer_print(&trace, " %.*s", (int)(entry.size / n),
                                data + i * (entry.size / n));
    }
    if (record->flags & MF_RECORD_IS_LAST) {
        mf_buffer_print(&trace, ".");
        end_line();
    }
}

static void trace_text(const char *kind, struct mf_reader *body)
{
    char text[256];

    mf_reader_get_text(body, text, sizeof(text));
    mf_buffer_print(&trace, "%s %s\n", kind, text);
}

/* One that is long by its size and first byte. */
static void trace_checkpoint(const struct mf_record *record, struct mf_reader *body)
{
    size_t n = body->left;
    uint8_t *data = NULL;

    mf_buffer_print(&trace, "%" PRIu64 ": call %u saved ", record->unit, record->number);
    if (record->flags & MF_RECORD_IS_LARGE)
        cr_assert(eq(int, mf_inbox_take(inbox, mf_reader_get_u64(body), false, &data, &n), 0));
    if (n > 100)
        mf_buffer_print(&trace, "%zu of %c\n", n, data ? data[0] : body->data[0]);
    else
        mf_buffer_print(&trace, "%.*s\n", (int)n, body->data);
    free(data);
}

static void trace_record(const struct mf_record *record, struct mf_reader *body)
{
    if (record->kind != MF_RECORD_RESULT && record->kind != MF_RECORD_PIECE)
        end_line();
    switch (record->kind) {
    case MF_RECORD_HELLO:
        mf_buffer_print(&trace, "hello\n");
        break;
    case MF_RECORD_RESULT:
        trace_result(record, body);
        break;
    case MF_RECORD_RETURNED:
        mf_buffer_print(&trace, "%" PRIu64 ": returned\n", record->unit);
        break;
    case MF_RECORD_STORED:
        mf_buffer_print(&trace, "block %" PRIu64 ": %s\n", record->unit,
                        record->number ? strerror((int)record->number) : "stored");
        break;
    case MF_RECORD_BROKEN:
        trace_text("broken", body);
        break;
    case MF_RECORD_BYE:
        mf_buffer_print(&trace, "bye%.*s\n", (int)body->left, body->data);
        break;
    case MF_RECORD_HOOKS:
        mf_buffer_print(&trace, record->number ? "hooks\n" : "ready\n");
        break;
    case MF_RECORD_CHECKPOINT:
        trace_checkpoint(record, body);
        break;
    case MF_RECORD_PIECE:
        cr_assert(eq(int, mf_inbox_put(inbox, record, body), 0));
        break;
    default:
        mf_buffer_print(&trace, "kind %d\n", record->kind);
    }
}

/* Takes what the server has said by now into the trace. */
static void listen(void)
{
    const struct mf_buffer *frame;
    struct mf_record record;
    struct mf_reader reader, body;
    uint32_t from;

    while (mf_transport_receive(scheduler, &from, &frame) == 1) {
        cr_assert(eq(int, mf_frame_open(frame->data, frame->size, &reader), 0));
        while (mf_record_next(&reader, &record, &body) == 1)
            trace_record(&record, &body);
    }
}

/* Hooks stand in the trace behind what was said before they ran. */
static int init_hook(struct mpifarm *farm, void *user)
{
    listen();
    mf_buffer_print(&trace, "init\n");
    return init_result;
}

static void finish_hook(struct mpifarm *farm, void *user)
{
    listen();
    end_line();
    mf_buffer_print(&trace, "finish\n");
    n_finished++;
}

/* What it has said since the last time. */
static char *heard(void)
{
    static char text[1 << 16];

    listen();
    end_line();
    snprintf(text, sizeof(text), "%.*s", (int)trace.size, (const char *)trace.data);
    mf_buffer_clear(&trace);
    return text;
}

/* --- what the scheduler says --- */

static void say(const struct mf_record *record, const void *body, size_t size)
{
    mf_record_put(mf_outbox_make_room(&outbox, sizeof(*record) + size), record, body, size);
}

static void say_about(enum mf_record_kind kind, uint64_t unit, uint32_t number)
{
    say(&(struct mf_record){.kind = kind, .unit = unit, .attempt = 1, .number = number}, NULL, 0);
}

static void say_stop(int code, const char *why)
{
    struct mf_buffer body = {0};

    mf_buffer_put_text(&body, why);
    say(&(struct mf_record){.kind = MF_RECORD_STOP, .unit = (uint64_t)code}, body.data, body.size);
    mf_buffer_finish(&body);
}

static void say_end(bool has_losses)
{
    say_about(MF_RECORD_END, 0, has_losses);
}

static void welcome(void)
{
    uint32_t slot_cores[1] = {0};
    struct mf_core core = {.n_cpus = 1};
    struct mf_topo_rank share = {
        .is_worker = true, .first_slot = 1, .n_slots = 1, .slot_cores = slot_cores};
    struct mf_topo_split split = {.pool = &core, .n_pool = 1};
    struct mf_buffer body = {0};

    mf_buffer_put_u32(&body, 3);
    mf_buffer_put_u32(&body, 2);
    mf_node_encode_welcome("", &share, &split, false, false, &body);
    say(&(struct mf_record){.kind = MF_RECORD_WELCOME}, body.data, body.size);
    mf_buffer_finish(&body);
}

static struct mf_buffer calls;
static uint32_t n_calls;

static void add_call(const struct mf_call *call)
{
    struct mf_call copy = *call;

    if (copy.details.try_number == 0)
        copy.details.try_number = 1;
    mf_call_put(&calls, &copy);
    n_calls++;
}

static void add(uint16_t function, const char *input)
{
    add_call(&(struct mf_call){.task = 100 + n_calls,
                               .function = function,
                               .size = strlen(input),
                               .input = (const uint8_t *)input});
}

/* Sends the calls added as one unit, and starts over. */
static void send_unit(uint64_t unit)
{
    say(&(struct mf_record){.kind = MF_RECORD_UNIT, .unit = unit, .attempt = 1, .number = n_calls},
        calls.data, calls.size);
    mf_buffer_finish(&calls);
    n_calls = 0;
}

/* To be stored, or attached if there is a place. */
static void send_block(uint64_t size, const struct mf_block_place *place)
{
    struct mf_buffer body = {0};

    mf_buffer_put_u64(&body, size);
    mf_buffer_append(&body, place, place ? sizeof(*place) : 0);
    say(&(struct mf_record){.kind = MF_RECORD_BLOCK, .unit = 5, .number = !place}, body.data,
        body.size);
    mf_buffer_finish(&body);
}

/* How often this process has a block open. */
static int count_blocks(void)
{
    DIR *dir = opendir("/proc/self/fd");
    struct dirent *entry;
    char target[64];
    int n = 0;

    while ((entry = readdir(dir)))
        n += readlinkat(dirfd(dir), entry->d_name, target, sizeof(target)) > 20 &&
             memcmp(target, "/memfd:mpifarm-block", 20) == 0;
    closedir(dir);
    return n;
}

static void flush(void)
{
    cr_assert(mf_outbox_turn(&outbox) >= 0);
}

/* One turn of both, without looking at what comes of it. */
static int turn(void)
{
    flush();
    return mf_server_turn(server, 0);
}

/* Turns until nothing happens any more. */
static void run_all(void)
{
    while (mf_outbox_turn(&outbox) | mf_server_turn(server, 0) | mf_server_is_busy(server))
        listen();
}

/* It has left, and waits for nothing else. */
static void expect_end(bool has_losses)
{
    cr_assert_not(mf_server_is_finished(server));
    say_end(has_losses);
    cr_assert(turn() >= 0);
    cr_assert(mf_server_is_finished(server));
    cr_assert(eq(int, mf_server_has_losses(server), has_losses));
}

static void setup(void)
{
    static const mpifarm_function all[N_FUNCTIONS] = {
        null_fn, echo, fail, grow, child, save, wait_until_asked, read_block, save_often};
    struct mf_core core = {.n_cpus = 1};
    struct mf_caller_config caller_config;

    for (int i = 0; i < N_FUNCTIONS; i++) {
        char name[8];

        snprintf(name, sizeof(name), "f%d", i);
        mf_functions_add(&functions, name, all[i], NULL);
    }
    functions.init = init_hook;
    functions.finish = finish_hook;
    cr_assert(eq(int, mf_transport_local_pair(&scheduler, &worker_end), 0));
    mf_outbox_init(&outbox, scheduler, 0);
    cr_assert(eq(int, mf_inbox_create(&inbox), 0));
    struct mf_life life;
    struct mf_server_config config = {.life = &life,
                                      .transport = worker_end,
                                      .rank = 3,
                                      .functions = &functions,
                                      .cores = &core,
                                      .n_cores = 1};
    mf_life_own(&life);
    cr_assert(eq(int, mf_server_create(&config, &server), 0));
    caller_config = mf_server_caller_config(server);
    cr_assert(eq(int, mf_inline_caller_create(&caller_config, mf_server_poll, server, &caller), 0));
    mf_server_set_caller(server, caller);
}

static void setup_welcome(void)
{
    setup();
    cr_assert(eq(str, heard(), "hello\n"));
    welcome();
    cr_assert(eq(int, turn(), 1));
    cr_assert(eq(str, heard(), "hooks\ninit\nready\n"), "the scheduler is told before");
}

static void teardown(void)
{
    mf_server_destroy(server);
    mf_outbox_finish(&outbox);
    mf_inbox_destroy(inbox);
    mf_transport_destroy(worker_end);
    mf_transport_destroy(scheduler);
    mf_functions_finish(&functions);
    mf_buffer_finish(&trace);
    cr_assert(eq(int, count_blocks(), 0), "nothing stays in shared memory");
}

TestSuite(server, .init = setup_welcome, .fini = teardown, .timeout = 300);
TestSuite(server_begin, .init = setup, .fini = teardown, .timeout = 300);

/* --- beginning --- */

Test(server, it_is_told_how_many_ranks_share_how_many_cores)
{
    struct mf_sharing sharing = mf_server_sharing(server);

    cr_assert(eq(u32, sharing.n_ranks, 3));
    cr_assert(eq(u32, sharing.n_cores, 2));
}

Test(server_begin, hello_says_host_cores_and_functions)
{
    const struct mf_buffer *frame;
    struct mf_record record;
    struct mf_reader reader, body;
    char host[MF_HOST_SIZE], expected[MF_HOST_SIZE];
    struct mf_core *cores;
    struct mf_error err;
    uint32_t from, n_cores;
    const uint8_t *bytes;
    struct mf_life life;
    size_t n;

    cr_assert(eq(int, mf_transport_receive(scheduler, &from, &frame), 1));
    cr_assert(eq(int, mf_frame_open(frame->data, frame->size, &reader), 0));
    cr_assert(eq(int, mf_record_next(&reader, &record, &body), 1));
    cr_assert(eq(int, record.kind, MF_RECORD_HELLO));
    mf_reader_get_text(&body, host, sizeof(host));
    mf_node_host(expected);
    cr_assert(eq(str, host, expected));
    bytes = mf_reader_get_bytes(&body, &n);
    cr_assert(eq(int, mf_node_decode_cores(bytes, n, &cores, &n_cores), 0));
    cr_assert(eq(u32, n_cores, 1));
    free(cores);
    bytes = mf_reader_get_bytes(&body, &n);
    cr_assert(eq(int, mf_functions_compare(&functions, bytes, n, 3, &err), 0));
    mf_life_decode(&body, &life);
    cr_assert(eq(i32, life.pid, getpid()));
    cr_assert(eq(int, mf_reader_finish(&body), 0));
}

Test(server_begin, an_init_hook_that_refuses_breaks_the_rank)
{
    init_result = 1;
    welcome();
    add(NULL_FN, "");
    send_unit(1);
    cr_assert(turn() >= 0);
    cr_assert(eq(str, heard(),
                 "hello\nhooks\ninit\nready\nbroken rank 3: its init hook refused to work\n"));
    say_stop(0, "");
    cr_assert(turn() >= 0);
    cr_assert(eq(str, heard(), "hooks\nbye\n"));
    cr_assert(eq(int, n_finished, 0));
}

Test(server_begin, told_to_stop_before_its_welcome_it_leaves)
{
    const char *why;

    say_stop(ETIMEDOUT, "rank 2 did not come");
    cr_assert(turn() >= 0);
    cr_assert(eq(str, heard(), "hello\nhooks\nbye\n"));
    expect_end(false);
    cr_assert(eq(int, mf_server_stop_reason(server, &why), -ETIMEDOUT));
    cr_assert(eq(str, (char *)why, "rank 2 did not come"));
}

Test(server_begin, one_that_does_not_come_says_so)
{
    heard();
    mf_server_decline(worker_end, 0, "");
    cr_assert(eq(str, heard(), "bye\n"));
}

/* --- calls --- */

Test(server, a_unit_gives_the_entries_of_its_calls_in_the_same_turn)
{
    add(NULL_FN, "");
    add(ECHO, "two");
    add(FAIL, "");
    add(CHILD, "");
    send_unit(1);
    cr_assert(not(mf_server_is_busy(server)));
    while (turn() >= 0 && mf_server_is_busy(server))
        ;
    cr_assert(eq(str, heard(), "1:  two 1/3why child baby grown.\n"));
    cr_assert(eq(int, turn(), 0));
    cr_assert(eq(i64, mf_server_next_ns(server), INT64_MAX));
}

Test(server, a_rank_without_calls_begins_before_it_looks_for_more)
{
    add(ECHO, "one");
    send_unit(1);
    flush();
    add(ECHO, "two");
    send_unit(2);
    cr_assert(eq(int, turn(), 1));
    cr_assert(not(mf_server_is_busy(server)), "the second was not taken in");
    run_all();
    cr_assert(eq(str, heard(), "1: one.\n2: two.\n"));
}

Test(server, results_of_many_calls_come_in_eager_frames)
{
    const struct mf_buffer *frame;
    uint32_t from, n_frames = 0;

    for (int i = 0; i < 1000; i++)
        add(ECHO, "0123456789");
    send_unit(1);
    while (turn() >= 0 && mf_server_is_busy(server))
        ;
    for (; mf_transport_receive(scheduler, &from, &frame) == 1; n_frames++)
        cr_assert(frame->size <= MF_FRAME_EAGER_BYTES);
    cr_assert(n_frames >= 10000 / MF_FRAME_EAGER_BYTES);
}

Test(server, an_input_of_zero_bytes_is_an_input)
{
    add(ECHO, "");
    send_unit(1);
    run_all();
    cr_assert(eq(str, heard(), "1: .\n"));
}

static void free_body(void *body)
{
    free(body);
}

Test(server, a_large_input_comes_ahead_and_a_large_result_goes_ahead)
{
    uint8_t *input = malloc(3 * MIB), *result;
    size_t n;

    memset(input, 'i', 3 * MIB);
    mf_outbox_post_large(&outbox, 42, false, input, 3 * MIB, free_body, input);
    add_call(&(struct mf_call){.task = 42, .function = ECHO, .is_large = true, .size = 3 * MIB});
    add_call(&(struct mf_call){.task = 43, .function = GROW});
    send_unit(1);
    run_all();
    char *text = heard();
    cr_assert(eq(str, text, "1: large large.\n"));
    cr_assert(eq(int, mf_inbox_take(inbox, 42, false, &result, &n), 0));
    cr_assert(eq(sz, n, 3 * MIB));
    cr_assert(eq(int, result[n - 1], 'i'));
    free(result);
    cr_assert(eq(int, mf_inbox_take(inbox, 43, false, &result, &n), 0));
    cr_assert(eq(sz, n, 3 * MIB + 1));
    cr_assert(eq(int, result[17], 1));
    free(result);
}

Test(server, no_call_begins_while_results_pile_up)
{
    for (int i = 0; i < 6; i++)
        add(GROW, "");
    send_unit(1);
    for (int i = 0; i < 20; i++)
        cr_assert(turn() >= 0);
    cr_assert(mf_transport_unsent(worker_end, 0) <= 4 * MIB);
    cr_assert(mf_server_is_busy(server));
    run_all();
    for (uint64_t task = 100; task < 106; task++) {
        uint8_t *result;
        size_t n;

        cr_assert(eq(int, mf_inbox_take(inbox, task, false, &result, &n), 0));
        free(result);
    }
}

static const struct mf_caller_ops *real_ops;
static int n_turns, n_looks;

static int count_turn(struct mf_caller *which, int64_t now_ns)
{
    n_turns++;
    return real_ops->turn(which, now_ns);
}

static void count_look(struct mf_caller *which, int64_t now_ns)
{
    n_looks++;
}

Test(server, time_is_kept_while_results_pile_up)
{
    struct mf_caller_ops ops = *caller->ops;

    real_ops = caller->ops;
    ops.turn = count_turn;
    ops.keep_time = count_look;
    caller->ops = &ops;
    for (int i = 0; i < 6; i++)
        add(GROW, "");
    send_unit(1);
    for (int i = 0; i < 20; i++)
        cr_assert(turn() >= 0);
    cr_assert(lt(int, n_turns, 20));
    cr_assert(eq(int, n_turns + n_looks, 20));
    caller->ops = real_ops;
}

Test(server, a_checkpoint_reaches_the_next_attempt)
{
    struct mf_call again = {.function = SAVE,
                            .checkpoint = (const uint8_t *)"half",
                            .details = {.try_number = 2, .checkpoint_size = 4}};

    add(NULL_FN, "");
    add(SAVE, "");
    send_unit(1);
    add_call(&again);
    send_unit(2);
    run_all();
    cr_assert(eq(str, heard(), "1: \n1: call 1 saved half\n1: 1/1.\n2: half.\n"));
}

/* --- what the scheduler takes back --- */

static void run_save_often(size_t size, int n, int result)
{
    saved_bytes = size;
    n_saves = n;
    save_result = result;
    add(SAVE_OFTEN, "");
    send_unit(1);
    run_all();
}

Test(server, of_many_checkpoints_the_first_is_sent_and_before_a_failure_the_last)
{
    run_save_often(6 * MIB, 8, 1);
    cr_assert(
        eq(str, heard(), "1: call 0 saved 6291456 of a\n1: call 0 saved 6291456 of h\n1: 1/1.\n"));
    cr_assert(most_unsent <= 4 * MIB + 1024);
}

Test(server, a_checkpoint_of_a_call_that_is_done_need_not_be_sent)
{
    run_save_often(6 * MIB, 8, 0);
    cr_assert(eq(str, heard(), "1: call 0 saved 6291456 of a\n1: .\n"));
}

Test(server, small_checkpoints_fill_no_more_than_the_window)
{
    run_save_often(60000, 1000, 1);
    char *text = heard();
    cr_assert(strstr(text, "1: call 0 saved 60000 of a\n") == text);
    cr_assert(strstr(text, "saved 60000 of l\n1: 1/1.\n") != NULL, "that is the last");
    cr_assert(most_unsent <= 4 * MIB);
}

Test(server, calls_are_made_while_a_checkpoint_waits)
{
    saved_bytes = 6 * MIB;
    n_saves = 2;
    add(SAVE_OFTEN, "");
    send_unit(1);
    add(GROW, "");
    send_unit(2);
    add(GROW, "");
    send_unit(3);
    for (int i = 0; i < 20; i++)
        cr_assert(turn() >= 0);
    cr_assert(eq(int, n_grown, 1), "the third waits for the result of the second alone");
    run_all();
    cr_assert(eq(str, heard(), "1: call 0 saved 6291456 of a\n1: .\n2: large.\n3: large.\n"));
}

Test(server, a_unit_that_has_not_begun_is_given_back)
{
    add(ECHO, "x");
    send_unit(1);
    say_about(MF_RECORD_RECALL, 1, 0);
    say_about(MF_RECORD_RECALL, 2, 0);
    run_all();
    cr_assert(eq(str, heard(), "1: returned\n"));
}

static void recall_and_cancel(void)
{
    say_about(MF_RECORD_RECALL, 1, 0);
    say_about(MF_RECORD_CANCEL, 1, 1);
    flush();
}

Test(server, recalled_while_a_function_runs_it_gives_back_the_rest)
{
    on_run = recall_and_cancel;
    add(ECHO, "first");
    add(WAIT, "");
    add(ECHO, "third");
    send_unit(1);
    run_all();
    cr_assert(eq(str, heard(), "1: first 1/9\n1: returned\n"));
}

static void cancel_running(void)
{
    /* What is done is told although the function goes on. */
    say_about(MF_RECORD_CANCEL, 1, 1);
    flush();
}

Test(server, a_running_call_that_is_cancelled_is_asked_to_stop)
{
    on_run = cancel_running;
    add(NULL_FN, "");
    add(WAIT, "");
    send_unit(1);
    run_all();
    cr_assert(eq(str, heard(), "1:  1/9.\n"));
}

Test(server, a_call_that_is_cancelled_before_it_begins_is_not_made)
{
    char expected[64];

    add(NULL_FN, "");
    add(WAIT, "");
    send_unit(1);
    say_about(MF_RECORD_CANCEL, 1, 1);
    run_all();
    snprintf(expected, sizeof(expected), "1:  1/%d.\n", ECANCELED);
    cr_assert(eq(str, heard(), expected));
}

static void send_more(void)
{
    add(ECHO, "more");
    send_unit(2);
    cancel_running();
}

Test(server, units_that_come_while_a_function_runs_wait)
{
    on_run = send_more;
    add(NULL_FN, "");
    add(WAIT, "");
    send_unit(1);
    run_all();
    cr_assert(eq(str, heard(), "1:  1/9.\n2: more.\n"));
}

/* --- blocks --- */

static void post_block(size_t size)
{
    uint8_t *data = malloc(size);

    memset(data, '.', size);
    memcpy(data + size - 5, "block", 5);
    mf_outbox_post_large(&outbox, 5, true, data, size, free_body, data);
}

Test(server, a_block_is_stored_read_and_dropped)
{
    post_block(2 * MIB);
    send_block(2 * MIB, NULL);
    add(BLOCK, "");
    send_unit(1);
    run_all();
    cr_assert(eq(str, heard(), "block 5: stored\n1: block.\n"));
    say_about(MF_RECORD_DROP, 5, 0);
    add(BLOCK, "");
    send_unit(2);
    run_all();
    cr_assert(eq(str, heard(), "2: 1/4.\n"));
    cr_assert(eq(int, count_blocks(), 0));
}

Test(server, a_block_that_another_rank_stored_is_attached_and_left_alone)
{
    struct mf_block_place place;

    cr_assert(eq(int, mf_block_create("block", 5, &place), 0));
    send_block(5, &place);
    add(BLOCK, "");
    send_unit(1);
    run_all();
    cr_assert(eq(str, heard(), "block 5: stored\n1: block.\n"));
    say_about(MF_RECORD_DROP, 5, 0);
    run_all();
    cr_assert(eq(int, close((int)place.fd), 0), "who stored it removes it");
}

Test(server, a_block_that_cannot_be_stored_is_an_answer)
{
    /* No process has that number. */
    send_block(5, &(struct mf_block_place){.pid = INT32_MAX});
    run_all();
    cr_assert(eq(str, heard(), "block 5: No such file or directory\n"));
    post_block(100);
    send_block(100, NULL);
    post_block(100);
    send_block(100, NULL);
    run_all();
    cr_assert(eq(str, heard(), "block 5: stored\nblock 5: File exists\n"));
}

Test(server, stopping_removes_the_blocks_stored_here)
{
    post_block(100);
    send_block(100, NULL);
    say_stop(0, "");
    run_all();
    cr_assert(eq(int, count_blocks(), 0));
    expect_end(false);
}

/* --- stopping --- */

static void stop_now(void)
{
    say_stop(0, "");
    flush();
}

static void hear_while_it_runs(void)
{
    cr_assert(eq(str, heard(), "hello\nhooks\ninit\nready\n"));
    stop_now();
}

Test(server_begin, the_scheduler_knows_that_the_hook_has_ended_before_a_call_runs)
{
    on_run = hear_while_it_runs;
    welcome();
    add(WAIT, "");
    send_unit(1);
    run_all();
    cr_assert(eq(str, heard(), "hooks\nfinish\nbye\n"));
}

Test(server, told_to_stop_it_finishes_and_says_bye)
{
    const char *why;

    add(ECHO, "x");
    send_unit(1);
    say_stop(0, "");
    run_all();
    cr_assert(eq(str, heard(), "hooks\nfinish\nbye\n"), "the scheduler is told before");
    cr_assert(eq(int, n_finished, 1));
    expect_end(false);
    cr_assert(eq(int, mf_server_stop_reason(server, &why), 0));
    cr_assert(eq(int, turn(), 0));
}

Test(server, after_its_bye_it_waits_to_know_of_the_others)
{
    say_stop(0, "");
    run_all();
    cr_assert(eq(str, heard(), "hooks\nfinish\nbye\n"));
    expect_end(true);
}

Test(server, behind_a_bye_nothing_but_the_end_counts)
{
    say_stop(0, "");
    run_all();
    heard();
    add(ECHO, "x");
    send_unit(1);
    welcome();
    run_all();
    cr_assert(eq(str, heard(), ""));
    expect_end(false);
}

Test(server, an_end_right_behind_the_stop_counts)
{
    say_stop(0, "");
    say_end(false);
    run_all();
    cr_assert(eq(str, heard(), "hooks\nfinish\nbye\n"));
    cr_assert(mf_server_is_finished(server));
}

/* It is given up when it seems to be silent. */
Test(server, told_to_stop_again_it_keeps_the_first_reason)
{
    const char *why;

    say_stop(ETIMEDOUT, "rank 2 did not come");
    run_all();
    say_stop(0, "");
    say_end(true);
    say_stop(0, "");
    run_all();
    cr_assert(mf_server_is_finished(server));
    cr_assert(mf_server_has_losses(server));
    cr_assert(eq(int, mf_server_stop_reason(server, &why), -ETIMEDOUT));
    cr_assert(eq(str, (char *)why, "rank 2 did not come"));
}

Test(server, told_of_losses_with_the_stop_it_waits_for_nothing)
{
    const uint8_t no_reason[4] = {0};

    say(&(struct mf_record){.kind = MF_RECORD_STOP, .number = 1}, no_reason, sizeof(no_reason));
    run_all();
    cr_assert(eq(str, heard(), "hooks\nfinish\nbye\n"));
    cr_assert(mf_server_is_finished(server));
    cr_assert(mf_server_has_losses(server));
}

Test(server, told_to_stop_while_a_function_runs_it_asks_that_to_stop)
{
    on_run = stop_now;
    add(WAIT, "");
    add(ECHO, "x");
    send_unit(1);
    run_all();
    cr_assert(eq(str, heard(), "hooks\nfinish\nbye\n"));
    cr_assert(eq(int, n_finished, 1));
}

/* The first has a part on its way; the second waits behind it. */
Test(server, told_to_stop_it_sends_no_checkpoint_any_more)
{
    on_run = stop_now;
    saved_bytes = 6 * MIB;
    n_saves = 2;
    add(SAVE_OFTEN, "");
    send_unit(1);
    for (int i = 0; i < 3; i++)
        cr_assert(turn() >= 0);
    run_all();
    cr_assert(eq(str, heard(), "hooks\nfinish\nbye\n"));
    expect_end(false);
}

/* --- what cannot be --- */

/* The server gives up, and tells the scheduler so. */
static void expect_failure(int error)
{
    char *text;

    cr_assert(eq(int, turn(), error));
    text = heard();
    cr_assert(strstr(text, "broken rank 3 gave up") != NULL, "%s", text);
    say_stop(0, "");
    cr_assert(turn() >= 0);
    text = heard();
    cr_assert(strncmp(text, "hooks\n", 6) == 0 && strcmp(text + strlen(text) - 4, "bye\n") == 0,
              "%s", text);
}

Test(server, a_second_welcome_is_refused)
{
    welcome();
    expect_failure(-EPROTO);
}

Test(server_begin, work_before_the_welcome_is_refused)
{
    add(NULL_FN, "");
    send_unit(1);
    expect_failure(-EPROTO);
}

Test(server, records_of_a_worker_are_refused)
{
    say_about(MF_RECORD_BYE, 0, 0);
    expect_failure(-EPROTO);
}

Test(server, a_function_that_is_not_registered_is_refused)
{
    add(N_FUNCTIONS, "");
    send_unit(1);
    expect_failure(-EBADMSG);
}

Test(server, a_unit_with_another_number_of_calls_is_refused)
{
    add(NULL_FN, "");
    n_calls = 2;
    send_unit(1);
    expect_failure(-EBADMSG);
}

Test(server, a_unit_without_calls_is_refused)
{
    send_unit(1);
    expect_failure(-EBADMSG);
}

Test(server, a_unit_whose_large_input_did_not_come_is_refused)
{
    add_call(&(struct mf_call){.task = 42, .is_large = true, .size = 100000});
    send_unit(1);
    expect_failure(-EPROTO);
}

Test(server, a_block_whose_bytes_did_not_come_is_refused)
{
    send_block(100, NULL);
    expect_failure(-EPROTO);
}

Test(server, a_piece_of_nothing_is_refused)
{
    say(&(struct mf_record){.kind = MF_RECORD_PIECE, .unit = 1}, "bytes", 5);
    expect_failure(-EBADMSG);
}

static void say_rubbish(void)
{
    struct mf_buffer frame = {0};

    mf_buffer_append(&frame, "rubbish", 7);
    cr_assert(eq(int, mf_transport_send(scheduler, 0, &frame), 0));
    mf_buffer_finish(&frame);
    say_about(MF_RECORD_CANCEL, 1, 0);
    flush();
}

Test(server, rubbish_is_refused)
{
    say_rubbish();
    expect_failure(-EBADMSG);
}

Test(server, rubbish_that_comes_while_a_function_runs_is_refused_afterwards)
{
    struct mf_call call = {.function = WAIT, .details = {.timeout_ns = 5000000}};

    on_run = say_rubbish;
    add_call(&call);
    send_unit(1);
    cr_assert(eq(int, turn(), 1));
    cr_assert(eq(str, heard(), "1: 2/9.\n"));
    expect_failure(-EBADMSG);
}

Test(server, changed_bytes_never_hurt)
{
    struct mf_rng rng;

    mf_rng_init(&rng, 1);
    for (int round = 0; round < 300; round++) {
        struct mf_buffer frame = {0};

        add(ECHO, "some input");
        add(CHILD, "");
        mf_record_put(
            &frame,
            &(struct mf_record){
                .kind = MF_RECORD_UNIT, .unit = (uint64_t)round, .attempt = 1, .number = n_calls},
            calls.data, calls.size);
        mf_buffer_finish(&calls);
        n_calls = 0;
        for (int change = 0; change < 3; change++)
            frame.data[4 + mf_rng_below(&rng, frame.size - 4)] = (uint8_t)mf_rng_next(&rng);
        /* Not one that would wait for ever to be told to stop. */
        if (!memchr(frame.data + 4, WAIT, frame.size - 4)) {
            cr_assert(eq(int, mf_transport_send(scheduler, 0, &frame), 0));
            (void)turn();
            mf_buffer_clear(&trace);
        }
        mf_buffer_finish(&frame);
        teardown();
        memset(&trace, 0, sizeof(trace));
        setup_welcome();
    }
}
