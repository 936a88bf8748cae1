/*
 * The scheduler of function tasks with two servers played by the test, over a
 * transport that can be told to fail.
 */
#include "runtime/client.h"

#include "base/clock.h"
#include "runtime/node.h"
#include "support/life.h"
#include "wire/message.h"
#include "wire/record.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

#define MIB ((size_t)1 << 20)
#define N_RANKS 3
#define AHEAD_NS (4 * MF_NS_PER_MS)

static int broken_send(struct mf_transport *transport, uint32_t to, struct mf_buffer *frame);
static int hello_receive(struct mf_transport *transport, uint32_t *ret_from,
                         const struct mf_buffer **ret_frame);
static uint64_t nothing_unsent(const struct mf_transport *transport, uint32_t to);

static const struct mf_transport_ops transport_ops = {
    .send = broken_send,
    .receive = hello_receive,
    .unsent = nothing_unsent,
};

/* Each test is a process of its own. */
static const char *host = "node"; /* that servers are on */
static struct mf_core own_core = {.n_cpus = 1};
static struct mf_sharing said; /* by the last WELCOME */
static struct mf_transport transport = {.ops = &transport_ops, .size = N_RANKS};
static struct mf_client *client;
static struct mf_functions functions;
static struct mf_buffer hello, stray, trace;
static uint32_t n_hellos, n_ranks_there; /* the servers say HELLO in order, if they are there */
static uint32_t n_strays; /* reports of a unit that there is not, which are there to be received */
static int n_failures;    /* sends that fail before one succeeds */

/* Units that were sent, and the end of the first that was not answered. */
static struct unit {
    uint32_t server, n_calls, attempt;
    uint64_t id;
} units[1000];
static uint32_t n_units, n_answered;
static struct mf_buffer answer;
static bool has_answer;
static struct mf_buffer word; /* of server said_by, if that is not 0: received next */
static uint32_t said_by;

/* --- the transport --- */

static int broken_send(struct mf_transport *which, uint32_t to, struct mf_buffer *frame)
{
    struct mf_reader reader, body;
    struct mf_record record;

    if (n_failures > 0) {
        n_failures--;
        return -EIO;
    }
    cr_assert(eq(int, mf_frame_open(frame->data, frame->size, &reader), 0));
    while (mf_record_next(&reader, &record, &body) == 1) {
        if (record.kind == MF_RECORD_UNIT) {
            cr_assert(lt(u32, n_units, 1000));
            units[n_units++] = (struct unit){to, record.number, record.attempt, record.unit};
            continue;
        }
        if (record.kind == MF_RECORD_WELCOME) {
            said.n_ranks = mf_reader_get_u32(&body);
            said.n_cores = mf_reader_get_u32(&body);
        }
        mf_buffer_print(&trace, "%u:%s", to,
                        record.kind == MF_RECORD_WELCOME ? "welcome"
                        : record.kind == MF_RECORD_STOP  ? "stop"
                        : record.kind == MF_RECORD_END   ? "end"
                                                         : "?");
        if (record.number == 1)
            mf_buffer_print(&trace, "!");
        mf_buffer_print(&trace, record.unit ? " %d " : " ", (int)record.unit);
    }
    mf_buffer_clear(frame);
    return 0;
}

/* Each server says HELLO, and then nothing but strays and what answers a unit. */
static int hello_receive(struct mf_transport *which, uint32_t *ret_from,
                         const struct mf_buffer **ret_frame)
{
    if (n_hellos < n_ranks_there) {
        *ret_from = ++n_hellos;
        *ret_frame = &hello;
        return 1;
    }
    if (said_by) {
        *ret_from = said_by;
        said_by = 0;
        *ret_frame = &word;
        return 1;
    }
    if (has_answer) {
        has_answer = false;
        *ret_from = units[n_answered++].server;
        *ret_frame = &answer;
        return 1;
    }
    if (n_strays == 0)
        return 0;
    n_strays--;
    *ret_from = 1;
    *ret_frame = &stray;
    return 1;
}

static uint64_t nothing_unsent(const struct mf_transport *which, uint32_t to)
{
    return 0;
}

static const struct mf_life elsewhere = {.boot = "elsewhere"};

static void make_hello(struct mf_life life)
{
    struct mf_core core = {.n_cpus = 1};
    struct mf_buffer body = {0}, part = {0};

    mf_buffer_put_text(&body, host);
    mf_node_encode_cores(&core, 1, &part);
    mf_buffer_put_bytes(&body, part.data, part.size);
    mf_buffer_clear(&part);
    mf_functions_encode(&functions, &part);
    mf_buffer_put_bytes(&body, part.data, part.size);
    mf_life_encode(&life, &body);
    mf_record_put(&hello, &(struct mf_record){.kind = MF_RECORD_HELLO}, body.data, body.size);
    mf_buffer_finish(&part);
    mf_buffer_finish(&body);
}

/* The calls of the first unit without an answer were made, each in so long, in the next turn. */
static void make_answer(int64_t call_ns)
{
    const struct unit *unit = &units[n_answered];
    struct mf_unit_times times = {.duration_ns = unit->n_calls * call_ns};
    struct mf_entry_header header = {.kind = MF_ENTRY_RESULT, .n_more = unit->n_calls - 1};
    struct mf_buffer body = {0};

    cr_assert(lt(u32, n_answered, n_units), "there is a unit to answer");
    mf_buffer_append(&body, &times, sizeof(times));
    mf_entry_put(&body, &header, NULL);
    mf_buffer_clear(&answer);
    mf_record_put(&answer,
                  &(struct mf_record){.kind = MF_RECORD_RESULT,
                                      .flags = MF_RECORD_IS_LAST,
                                      .number = unit->n_calls,
                                      .unit = unit->id,
                                      .attempt = unit->attempt},
                  body.data, body.size);
    mf_buffer_finish(&body);
    has_answer = true;
}

/* A server says something, which is taken in. */
static void hear_record(uint32_t from, const struct mf_record *record, const struct mf_buffer *body,
                        int64_t now_ns)
{
    mf_buffer_clear(&word);
    mf_record_put(&word, record, body ? body->data : NULL, body ? body->size : 0);
    said_by = from;
    mf_client_turn(client, now_ns);
    cr_assert(eq(u32, said_by, 0));
}

static void hear(uint32_t from, enum mf_record_kind kind, uint32_t number,
                 const struct mf_buffer *body, int64_t now_ns)
{
    hear_record(from, &(struct mf_record){.kind = kind, .number = number}, body, now_ns);
}

static char *sent(void)
{
    mf_buffer_put_u8(&trace, '\0');
    return (char *)trace.data;
}

/* --- the client --- */

static int function(struct mpifarm_context *context, void *user)
{
    return 0;
}

/* With those of the servers that come first. */
static void create_client(uint32_t n_there)
{
    static const struct mf_log log = {.level = MF_LOG_ERROR};
    const struct mf_client_config config = {.log = &log,
                                            .remote = &transport,
                                            .functions = &functions,
                                            .max_attempts = 1,
                                            .cores = &own_core,
                                            .n_cores = 1};

    n_hellos = 0;
    n_ranks_there = n_there;
    cr_assert(eq(int, mf_client_create(&config, &client), 0));
    mf_client_supply_ahead(client, AHEAD_NS);
    mf_client_turn(client, 1);
}

static void setup(void)
{
    mf_functions_add(&functions, "f", function, NULL);
    make_hello(elsewhere);
    mf_record_put(&stray, &(struct mf_record){.kind = MF_RECORD_RETURNED, .unit = 99}, NULL, 0);
    create_client(N_RANKS - 1);
}

static void teardown(void)
{
    mf_client_destroy(client);
    mf_buffer_finish(&hello);
    mf_buffer_finish(&stray);
    mf_buffer_finish(&trace);
    mf_buffer_finish(&answer);
    mf_buffer_finish(&word);
    mf_functions_finish(&functions);
}

static void restart_with(uint32_t n_there)
{
    mf_client_destroy(client);
    create_client(n_there);
}

static void begin(void)
{
    struct mf_error err = {0};

    cr_assert(eq(int, mf_client_is_ready(client, 1, &err), 1));
}

TestSuite(client, .init = setup, .fini = teardown, .timeout = 300);

static void expect_sharing(struct mf_sharing sharing, uint32_t n_ranks, uint32_t n_cores)
{
    cr_assert(eq(u32, sharing.n_ranks, n_ranks));
    cr_assert(eq(u32, sharing.n_cores, n_cores));
}

Test(client, servers_are_told_how_many_ranks_of_their_node_share_how_many_cores)
{
    begin();
    expect_sharing(said, 2, 1);
    expect_sharing(mf_client_sharing(client), 1, 1);
}

/* Both servers are bound to core 0. */
static void begin_beside_rank_0(uint32_t cpu_of_rank_0)
{
    char own_host[MF_HOST_SIZE];

    teardown();
    mf_node_host(own_host);
    host = own_host;
    own_core.cpus[0] = cpu_of_rank_0;
    hello = stray = trace = answer = (struct mf_buffer){0};
    n_hellos = 0;
    setup();
    begin();
}

Test(client, rank_0_has_a_core_where_it_is_bound_to_another_one)
{
    begin_beside_rank_0(1);
    expect_sharing(said, 3, 2);
    expect_sharing(mf_client_sharing(client), 3, 2);
}

Test(client, rank_0_shares_the_core_that_it_is_bound_to_with_servers)
{
    begin_beside_rank_0(0);
    expect_sharing(mf_client_sharing(client), 3, 1);
}

Test(client, servers_that_cannot_be_reached_any_more_are_gone)
{
    n_failures = 1000;
    begin();
    cr_assert(not(mf_client_has_worker(client, 0)));
    cr_assert(not(mf_client_is_stopped(client)), "they may still hear that they should stop");
    mf_client_turn(client, 2);
    cr_assert(mf_client_is_stopped(client));
    cr_assert(eq(int, n_failures, 1000 - 4), "the welcome of each, and its stop");
}

static void submit(void)
{
    const struct mf_order order = {.delivery = MF_DELIVER_NONE};
    mf_ticket ticket;

    cr_assert(eq(int, mf_client_submit(client, &order, &ticket), 0));
}

Test(client, one_look_a_turn_is_enough_while_no_server_owes_an_answer)
{
    begin();
    n_strays = 2;
    mf_client_turn(client, 2);
    cr_assert(eq(u32, n_strays, 1));
    submit();
    n_strays = 3;
    mf_client_turn(client, 3);
    cr_assert(eq(u32, n_strays, 0), "a unit is out");
}

Test(client, a_server_for_which_sending_fails_once_is_told_to_stop)
{
    n_failures = 1;
    begin();
    cr_assert(not(mf_client_has_worker(client, 1)));
    cr_assert(mf_client_has_worker(client, 2));
    mf_client_turn(client, 2);
    cr_assert(eq(str, sent(), "2:welcome 1:stop "));
}

Test(client, what_has_come_of_large_results_goes_with_the_server_that_is_lost)
{
    struct mf_buffer body = {0};
    size_t before;

#ifdef __SANITIZE_ADDRESS__
    cr_skip_test("asks the C library how much memory there is");
#endif
    begin();
    before = mallinfo2().hblkhd;
    mf_buffer_put_u64(&body, 512 * MIB);
    hear_record(1, &(struct mf_record){.kind = MF_RECORD_PIECE, .flags = MF_RECORD_IS_FIRST}, &body,
                2);
    cr_assert(mallinfo2().hblkhd >= before + 512 * MIB);
    hear(1, MF_RECORD_BYE, 0, NULL, 3);
    cr_assert(eq(sz, mallinfo2().hblkhd, before));
    mf_buffer_finish(&body);
}

/* Has calls made, each in so long, as long as there is more to do than servers have at a time. */
static void run(int64_t call_ns)
{
    struct mf_order order = {.delivery = MF_DELIVER_NONE};
    mf_ticket tickets[500];
    size_t n;

    for (int64_t now_ns = 2; n_answered < 400; now_ns++) {
        cr_assert(eq(int, mf_client_submit_array(client, &order, 500, tickets, &n), 0));
        mf_client_turn(client, now_ns);
        make_answer(call_ns);
    }
}

Test(client, servers_are_supplied_with_short_calls_so_far_ahead_that_this_rank_can_sleep)
{
    begin();
    cr_assert(eq(i64, mf_client_leisure_ns(client), 0), "they have nothing to do");
    run(MF_NS_PER_US);
    cr_assert(ge(i64, mf_client_leisure_ns(client), MF_NS_PER_MS / 2));
    cr_assert(le(i64, mf_client_leisure_ns(client), MF_NS_PER_MS));
}

Test(client, units_are_longer_where_servers_are_supplied_far_ahead)
{
    begin();
    run(4 * MF_NS_PER_US);
    cr_assert(gt(u32, units[n_units - 1].n_calls, 60), "as many as fit into a frame");
}

Test(client, units_of_longer_calls_take_a_tenth_of_a_millisecond)
{
    begin();
    run(30 * MF_NS_PER_US);
    cr_assert(le(u32, units[n_units - 1].n_calls, 4));
}

Test(client, long_calls_are_not_sent_ahead_for_that)
{
    begin();
    run(MF_NS_PER_MS);
    cr_assert(le(u32, n_units - n_answered, 2 * (N_RANKS - 1)), "one in work, one behind it");
    cr_assert(eq(i64, mf_client_leisure_ns(client), 0));
}

Test(client, no_turn_is_wanted_for_splitting_while_no_server_is_free)
{
    begin();
    submit();
    mf_client_turn(client, 10);
    n_strays = 1;
    mf_client_turn(client, 20);
    mf_client_turn(client, 21);
    cr_assert(lt(i64, mf_client_next_ns(client), INT64_MAX), "one of two is free");
    submit();
    mf_client_turn(client, 30);
    cr_assert(eq(i64, mf_client_next_ns(client), INT64_MAX));
}

/* --- beginning in vain --- */

Test(client, a_rank_that_does_not_come_is_awaited_for_a_minute_and_all_hear_the_same)
{
    int64_t late_ns = mf_clock_monotonic_ns() + 61 * MF_NS_PER_S;
    struct mf_error err = {0};
    char expected[64];

    restart_with(1);
    cr_assert(eq(int, mf_client_is_ready(client, 1, &err), 0));
    cr_assert(eq(int, mf_client_is_ready(client, late_ns, &err), -ETIMEDOUT));
    cr_assert(strstr(err.text, "rank 2 did not call mpifarm_start()") != NULL, "%s", err.text);
    mf_client_stop(client, late_ns, -ETIMEDOUT, err.text);
    snprintf(expected, sizeof(expected), "1:stop %d 1:end 2:stop %d 2:end ", ETIMEDOUT, ETIMEDOUT);
    cr_assert(eq(str, sent(), expected));

    /* One that comes too late has heard it, and all that is left to say. */
    mf_buffer_clear(&trace);
    n_ranks_there = 2;
    mf_client_turn(client, late_ns + 1);
    hear(1, MF_RECORD_BYE, 0, NULL, late_ns + 2);
    cr_assert_not(mf_client_is_stopped(client));
    hear(2, MF_RECORD_BYE, 0, NULL, late_ns + 3);
    cr_assert(mf_client_is_stopped(client));
    mf_client_end(client);
    cr_assert(eq(str, sent(), ""));
}

Test(client, all_hear_that_there_will_be_no_client_but_who_cannot)
{
    char expected[64];

    mf_buffer_clear(&trace);
    n_failures = 1;
    mf_client_dismiss_all(&transport, -EPROTO, "rank 0 could not start", NULL);
    snprintf(expected, sizeof(expected), "2:stop %d 2:end ", EPROTO);
    cr_assert(eq(str, sent(), expected));
}

Test(client, a_rank_that_says_that_it_does_not_come_is_not_awaited)
{
    struct mf_buffer why = {0};
    struct mf_error err = {0};

    restart_with(0);
    mf_buffer_put_text(&why, "it has other plans");
    hear(1, MF_RECORD_BYE, 0, &why, 1);
    cr_assert(eq(int, mf_client_is_ready(client, 1, &err), 0), "rank 2 may have more to say");
    n_hellos = 1;
    n_ranks_there = 2;
    mf_client_turn(client, 2);
    cr_assert(eq(int, mf_client_is_ready(client, 2, &err), -EPROTO));
    cr_assert(eq(str, err.text, "rank 1 cannot take part: it has other plans"));
    mf_buffer_finish(&why);
}

/* --- leaving --- */

static char *overdue_text(int64_t now_ns)
{
    static char text[256];

    return mf_client_describe_overdue(client, now_ns, text, sizeof(text));
}

/* Rank 2 leaves, so that it is rank 1 that is waited for. */
static void stop_at(int64_t now_ns)
{
    mf_client_stop(client, now_ns, 0, "");
    hear(2, MF_RECORD_BYE, 0, NULL, now_ns);
}

Test(client, a_function_that_does_not_return_makes_its_server_overdue)
{
    begin();
    submit();
    submit();
    mf_client_turn(client, 2);
    stop_at(1000);
    cr_assert(not(mf_client_is_overdue(client, 1000 + MF_CLIENT_LEAVE_NS - 1)));
    cr_assert(mf_client_is_overdue(client, 1000 + MF_CLIENT_LEAVE_NS));
    cr_assert(eq(str, overdue_text(1000 + MF_CLIENT_LEAVE_NS),
                 "rank 1 on node does not return from function \"f\""));
}

Test(client, no_function_is_named_that_has_returned)
{
    const int64_t end_ns = 1000 + MF_CLIENT_LEAVE_NS;
    char expected[64];

    begin();
    submit();
    mf_client_turn(client, 2);
    make_answer(1);
    mf_client_turn(client, 3);
    mf_client_stop(client, 1000, 0, "");
    hear(N_RANKS - units[0].server, MF_RECORD_BYE, 0, NULL, 1000);
    snprintf(expected, sizeof(expected), "rank %u on node does not answer", units[0].server);
    cr_assert(eq(str, overdue_text(end_ns), expected));
}

Test(client, finish_hooks_may_take_as_long_as_they_like)
{
    begin();
    stop_at(1000);
    hear(1, MF_RECORD_HOOKS, 1, NULL, 2000);
    cr_assert(not(mf_client_is_overdue(client, INT64_MAX)));
    cr_assert(not(mf_client_is_stopped(client)));
    hear(1, MF_RECORD_BYE, 0, NULL, 1000 * MF_NS_PER_S);
    cr_assert(mf_client_is_stopped(client));
}

Test(client, so_may_init_hooks_and_time_to_leave_begins_when_they_have_ended)
{
    const int64_t end_ns = 1000 * MF_NS_PER_S;

    begin();
    hear(1, MF_RECORD_HOOKS, 1, NULL, 10);
    stop_at(1000);
    cr_assert(not(mf_client_is_overdue(client, end_ns)));
    hear(1, MF_RECORD_HOOKS, 0, NULL, end_ns);
    cr_assert(not(mf_client_is_overdue(client, end_ns + MF_CLIENT_LEAVE_NS - 1)));
    cr_assert(mf_client_is_overdue(client, end_ns + MF_CLIENT_LEAVE_NS));
}

Test(client, when_all_have_left_they_are_told)
{
    begin();
    mf_buffer_clear(&trace);
    stop_at(1000);
    cr_assert_not(mf_client_is_stopped(client));
    hear(1, MF_RECORD_BYE, 0, NULL, 2000);
    cr_assert(mf_client_is_stopped(client));
    mf_client_end(client);
    cr_assert(eq(str, sent(), "1:stop 2:stop 1:end 2:end "));
    cr_assert_not(mf_client_has_losses(client));
}

/* Server 1 is a process, of that number. */
static pid_t begin_with_process(void)
{
    struct mf_life life;
    pid_t pid = t_live(&life);

    mf_buffer_clear(&hello);
    make_hello(life);
    restart_with(1);
    mf_buffer_clear(&hello);
    make_hello(elsewhere);
    n_ranks_there = 2;
    mf_client_turn(client, 1);
    begin();
    mf_buffer_clear(&trace);
    return pid;
}

static void lose(pid_t pid)
{
    int64_t now_ns = 0;

    kill(pid, SIGKILL);
    cr_assert(eq(int, waitpid(pid, NULL, 0), pid));
    while (!mf_client_has_losses(client) && now_ns < 60 * MF_NS_PER_S)
        mf_client_turn(client, now_ns += 100 * MF_NS_PER_MS);
}

Test(client, who_has_left_is_told_of_a_rank_that_is_lost_later)
{
    pid_t pid = begin_with_process();

    stop_at(1000);
    lose(pid);
    cr_assert(mf_client_is_stopped(client));
    mf_client_end(client);
    cr_assert(eq(str, sent(), "1:stop 2:stop 2:end! "));
}

Test(client, a_rank_that_dies_when_it_has_left_is_a_loss)
{
    pid_t pid = begin_with_process();

    mf_client_stop(client, 1000, 0, "");
    hear(1, MF_RECORD_BYE, 0, NULL, 1000);
    lose(pid);
    hear(2, MF_RECORD_BYE, 0, NULL, 60 * MF_NS_PER_S);
    mf_client_end(client);
    cr_assert(eq(str, sent(), "1:stop 2:stop 2:end! "));
}

Test(client, who_was_told_of_a_loss_with_the_stop_does_not_wait_for_more)
{
    lose(begin_with_process());
    mf_client_stop(client, 60 * MF_NS_PER_S, 0, "");
    hear(2, MF_RECORD_BYE, 0, NULL, 60 * MF_NS_PER_S);
    cr_assert(mf_client_is_stopped(client));
    mf_client_end(client);
    cr_assert(eq(str, sent(), "2:stop! "));
}

Test(client, an_end_that_cannot_be_sent_is_a_loss)
{
    begin();
    mf_buffer_clear(&trace);
    stop_at(1000);
    hear(1, MF_RECORD_BYE, 0, NULL, 2000);
    n_failures = 1;
    mf_client_end(client);
    cr_assert(mf_client_has_losses(client));
    cr_assert(eq(str, sent(), "1:stop 2:stop 2:end! "));
}

/* Nothing was asked of it since. */
Test(client, a_rank_that_dies_just_before_the_end_is_a_loss)
{
    pid_t pid = begin_with_process();

    mf_client_stop(client, 1000, 0, "");
    hear(1, MF_RECORD_BYE, 0, NULL, 1000);
    kill(pid, SIGKILL);
    cr_assert(eq(int, waitpid(pid, NULL, 0), pid));
    hear(2, MF_RECORD_BYE, 0, NULL, 1000);
    mf_client_end(client);
    cr_assert(eq(str, sent(), "1:stop 2:stop 2:end! "));
}

static void break_server_1(void)
{
    struct mf_buffer why = {0};

    mf_buffer_put_text(&why, "it does not want to");
    hear(1, MF_RECORD_BROKEN, 0, &why, 100);
    hear(1, MF_RECORD_BYE, 0, NULL, 200);
    mf_buffer_finish(&why);
}

Test(client, who_was_dismissed_is_told_of_the_end_and_not_to_stop_again)
{
    begin();
    mf_buffer_clear(&trace);
    break_server_1();
    stop_at(1000);
    cr_assert(mf_client_is_stopped(client));
    mf_client_end(client);
    cr_assert(eq(str, sent(), "1:stop 2:stop 1:end 2:end "));
}

Test(client, a_dismissed_rank_that_dies_is_a_loss)
{
    pid_t pid = begin_with_process();

    break_server_1();
    lose(pid);
    stop_at(60 * MF_NS_PER_S);
    cr_assert(mf_client_is_stopped(client));
    mf_client_end(client);
    cr_assert(eq(str, sent(), "1:stop 2:stop! "));
}
