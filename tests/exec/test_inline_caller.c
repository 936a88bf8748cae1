/* Units run in the test's own process; what is told becomes a trace. */
#include "exec/caller.h"

#include "base/clock.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdalign.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Each test is a process of its own. */
static struct mf_functions functions;
static struct mf_caller *caller;
static struct mf_buffer trace;
static void (*on_poll)(void);
static int n_begun;
static int64_t duration_ns, idle_ns;
static uint32_t most_entries_bytes;
static int large_result;
static int n_told;
static uint64_t open_unit;
static int n_hooks;
static int n_unaligned;

/* --- the functions --- */

enum { NULL_FN, ECHO, FAIL, WAIT, LARGE, CHILD, SAVE, SLOW, SLOW_LARGE, BLOCK, LETTER };

static int null_fn(struct mpifarm_context *context, void *user)
{
    n_begun++;
    return 0;
}

static int echo(struct mpifarm_context *context, void *user)
{
    size_t n;
    const void *input = mpifarm_input(context, &n);

    n_begun++;
    return mpifarm_write(context, input, n);
}

static int fail(struct mpifarm_context *context, void *user)
{
    return mpifarm_fail(context, 3, "why");
}

static int wait_until_asked(struct mpifarm_context *context, void *user)
{
    n_begun++;
    while (!mpifarm_should_stop(context))
        ;
    return 9;
}

static int large(struct mpifarm_context *context, void *user)
{
    size_t n = (size_t)3 << 20;

    memset(mpifarm_reserve(context, n), 'L', n);
    return 0;
}

static int child(struct mpifarm_context *context, void *user)
{
    return mpifarm_spawn(context, 0, "abc", 3, NULL);
}

static int save(struct mpifarm_context *context, void *user)
{
    return mpifarm_checkpoint(context, "saved", 5);
}

/* Takes a millisecond. */
static int slow(struct mpifarm_context *context, void *user)
{
    int64_t end_ns = mf_clock_monotonic_ns() + MF_NS_PER_MS;

    n_begun++;
    while (mf_clock_monotonic_ns() < end_ns)
        ;
    return 0;
}

static int slow_large(struct mpifarm_context *context, void *user)
{
    memset(mpifarm_reserve(context, 100000), 0, 100000);
    return slow(context, user);
}

static int read_block(struct mpifarm_context *context, void *user)
{
    size_t n;
    const void *data = mpifarm_block_data(context, 5, &n);

    return data ? mpifarm_write(context, data, n) : 4;
}

/* Does what its input asks for, and writes it. */
static int letter(struct mpifarm_context *context, void *user)
{
    char input = *(const char *)mpifarm_input(context, NULL);

    n_unaligned += (uintptr_t)mpifarm_input(context, NULL) % alignof(max_align_t) != 0;
    n_begun++;
    if (input == 'F')
        return mpifarm_fail(context, 3, "why");
    if (input == 'M')
        mpifarm_fail(context, 3, "forgotten");
    if (input == 'C')
        mpifarm_spawn(context, 0, "abc", 3, NULL);
    if (input == 'S')
        mpifarm_checkpoint(context, "saved", 5);
    if (input == 'L')
        return large(context, user);
    if (input == 'W')
        return wait_until_asked(context, user);
    return mpifarm_write(context, input == '2' ? "2222" : &input, input == '2' ? 2 : 1);
}

/* --- what is told --- */

static void end_line(void)
{
    if (open_unit != 0)
        mf_buffer_print(&trace, "\n");
    open_unit = 0;
}

/* Entries of a unit that follow each other make one line, in however many parts they are told. */
static void trace_entries(const struct mf_caller_event *event)
{
    struct mf_reader reader = mf_reader_over(event->entries, event->size);
    struct mf_entry_header entry;
    const uint8_t *data;

    if (event->size > most_entries_bytes)
        most_entries_bytes = (uint32_t)event->size;
    n_told++;
    if (open_unit != event->unit) {
        end_line();
        mf_buffer_print(&trace, "%" PRIu64 ":", event->unit);
        open_unit = event->unit;
    }
    while (mf_entry_get(&reader, &entry, &data) == 1) {
        if (entry.kind == MF_ENTRY_CHILD)
            mf_buffer_print(&trace, " child");
        else if (entry.flags & MF_CALL_IS_LARGE)
            mf_buffer_print(&trace, " large");
        else if (entry.cause)
            mf_buffer_print(&trace, " %d/%d%.*s", entry.cause, entry.code, (int)entry.size,
                            (const char *)data);
        else
            for (uint32_t i = 0, n = entry.n_more + 1; i < n; i++)
                mf_buffer_print(&trace, " %.*s", (int)(entry.size / n),
                                (const char *)data + i * (entry.size / n));
    }
    if (event->is_last) {
        mf_buffer_print(&trace, ".");
        end_line();
    }
    duration_ns += event->duration_ns;
    idle_ns += event->idle_ns;
}

static void heard(void *arg, const struct mf_caller_event *event)
{
    if (event->kind != MF_CALLER_ENTRIES)
        end_line();
    switch (event->kind) {
    case MF_CALLER_ENTRIES:
        trace_entries(event);
        break;
    case MF_CALLER_LARGE:
        mf_buffer_print(&trace, "large of task %" PRIu64 "\n", event->task);
        large_result = event->data[0];
        free(event->data);
        break;
    case MF_CALLER_CHECKPOINT:
        mf_buffer_print(&trace, "%" PRIu64 ": call %u saved %.*s\n", event->unit, event->index,
                        (int)event->size, (const char *)event->data);
        free(event->data);
        break;
    case MF_CALLER_YIELDED:
        mf_buffer_print(&trace, "%" PRIu64 ": yielded\n", event->unit);
        break;
    case MF_CALLER_RETURNED:
        mf_buffer_print(&trace, "%" PRIu64 ": returned\n", event->unit);
        break;
    case MF_CALLER_BROKEN:
        mf_buffer_print(&trace, "broken\n");
        break;
    }
}

/* Inputs of tasks: 100000 bytes; none of 404, and no memory for 500. */
static int take_large(void *arg, uint64_t task, uint8_t **ret_data, size_t *ret_size)
{
    if (task == 404)
        return -ENOENT;
    if (task == 500)
        return -ENOMEM;
    *ret_data = malloc(100000);
    memset(*ret_data, 'i', 100000);
    *ret_size = 100000;
    return 0;
}

static void poll(void *arg)
{
    if (on_poll)
        on_poll();
}

static char *told(void)
{
    static char text[1 << 16];

    end_line();
    snprintf(text, sizeof(text), "%.*s", (int)trace.size, (const char *)trace.data);
    mf_buffer_clear(&trace);
    return text;
}

/* --- what it is asked --- */

static int init_hook(struct mpifarm *farm, void *user)
{
    n_hooks++;
    return *(int *)user;
}

static void finish_hook(struct mpifarm *farm, void *user)
{
    n_hooks += 10;
}

static int init_result;

static int begin(void)
{
    struct mf_slot slot = {.number = 1};

    return caller->ops->begin(caller, &functions, 2, &slot, 1);
}

static void setup(void)
{
    struct mf_caller_config config = {.heard = heard, .take_large = take_large};

    mf_functions_add(&functions, "null", null_fn, NULL);
    mf_functions_add(&functions, "echo", echo, NULL);
    mf_functions_add(&functions, "fail", fail, NULL);
    mf_functions_add(&functions, "wait", wait_until_asked, NULL);
    mf_functions_add(&functions, "large", large, NULL);
    mf_functions_add(&functions, "child", child, NULL);
    mf_functions_add(&functions, "save", save, NULL);
    mf_functions_add(&functions, "slow", slow, NULL);
    mf_functions_add(&functions, "slow_large", slow_large, NULL);
    mf_functions_add(&functions, "block", read_block, NULL);
    mf_functions_add(&functions, "letter", letter, NULL);
    functions.init = init_hook;
    functions.finish = finish_hook;
    functions.hook_user = &init_result;
    cr_assert(eq(int, mf_inline_caller_create(&config, poll, NULL, &caller), 0));
}

static void setup_begun(void)
{
    setup();
    cr_assert(eq(int, begin(), 0));
}

static void teardown(void)
{
    mf_caller_destroy(caller);
    mf_functions_finish(&functions);
    mf_buffer_finish(&trace);
}

TestSuite(inline_caller, .init = setup_begun, .fini = teardown, .timeout = 300);
TestSuite(inline_hooks, .init = setup, .fini = teardown, .timeout = 300);

static struct mf_buffer calls;
static uint32_t n_calls;

static void add(uint16_t function, const char *input)
{
    struct mf_call call = {.task = n_calls,
                           .function = function,
                           .size = strlen(input),
                           .input = (const uint8_t *)input,
                           .details = {.try_number = 1}};

    mf_call_put(&calls, &call);
    n_calls++;
}

static void add_large(uint16_t function, uint64_t task, size_t size)
{
    struct mf_call call = {.task = task,
                           .function = function,
                           .is_large = true,
                           .size = size,
                           .details = {.try_number = 1}};

    mf_call_put(&calls, &call);
    n_calls++;
}

/* A stretch of calls of LETTER whose inputs begin with these letters, one each. */
static void add_letters(const char *letters, size_t input_size)
{
    size_t n = strlen(letters);
    char *inputs = calloc(n, input_size);
    struct mf_call call = {.function = LETTER,
                           .size = input_size,
                           .input = (uint8_t *)inputs,
                           .details = {.try_number = 1, .n_more = (uint32_t)n - 1},
                           .steps = {1, 1}};

    for (size_t i = 0; i < n; i++)
        inputs[i * input_size] = letters[i];
    mf_call_put(&calls, &call);
    n_calls += (uint32_t)n;
    free(inputs);
}

/* Gives the calls added as one unit, and starts over. */
static int start(uint64_t number)
{
    struct mf_caller_unit unit = {.unit = number,
                                  .attempt = 1,
                                  .n_calls = n_calls,
                                  .calls = calls.data,
                                  .size = calls.size,
                                  .has_large = true};
    int r = caller->ops->start(caller, &unit);

    mf_buffer_finish(&calls);
    n_calls = 0;
    return r;
}

static void run_all(void)
{
    while (caller->ops->is_busy(caller))
        cr_assert(eq(int, caller->ops->turn(caller, 0), 1));
    cr_assert(eq(int, caller->ops->turn(caller, 0), 0));
}

/* --- the tests --- */

Test(inline_caller, tells_of_all_calls_of_a_unit_at_once)
{
    add(ECHO, "one");
    add(NULL_FN, "");
    add(FAIL, "");
    add(ECHO, "four");
    cr_assert(eq(int, start(1), 0));
    cr_assert(eq(str, told(), ""), "nothing is told from start()");
    run_all();
    cr_assert(eq(str, told(), "1: one  1/3why four.\n"));
}

Test(inline_caller, units_run_in_the_order_given_one_in_a_turn)
{
    for (uint64_t unit = 1; unit <= 3; unit++) {
        add(ECHO, "x");
        start(unit);
    }
    caller->ops->turn(caller, 0);
    cr_assert(eq(str, told(), "1: x.\n"));
    run_all();
    cr_assert(eq(str, told(), "2: x.\n3: x.\n"));
}

Test(inline_caller, what_is_told_at_once_fits_a_frame)
{
    uint32_t n_entries = 0;

    for (int i = 0; i < 1000; i++)
        add(ECHO, "0123456789012345678901234567890123456789");
    start(1);
    run_all();
    for (char *at = told(); (at = strchr(at, ' ')); at++)
        n_entries++;
    cr_assert(eq(u32, n_entries, 1000));
    cr_assert(most_entries_bytes > 3850 && most_entries_bytes <= 3956, "%u", most_entries_bytes);
}

Test(inline_caller, slow_calls_are_told_of_one_by_one)
{
    for (int i = 0; i < 3; i++)
        add(SLOW, "");
    start(1);
    run_all();
    cr_assert(eq(str, told(), "1:   .\n"));
    cr_assert(eq(int, n_told, 3));
    cr_assert(duration_ns >= 3 * MF_NS_PER_MS);
}

Test(inline_caller, few_slow_calls_behind_quick_ones_run_in_a_turn)
{
    int n_before;

    for (int i = 0; i < 40; i++)
        add(NULL_FN, "");
    for (int i = 0; i < 20; i++)
        add(SLOW, "");
    start(1);
    do {
        n_before = n_begun > 40 ? n_begun : 40;
        caller->ops->turn(caller, 0);
        cr_assert(le(int, n_begun - n_before, 4));
    } while (caller->ops->is_busy(caller));
    cr_assert(eq(int, n_begun, 60));
}

Test(inline_caller, durations_of_quick_and_slow_calls_add_up)
{
    int64_t begun_ns = mf_clock_monotonic_ns();

    for (int i = 0; i < 500; i++)
        add(i % 100 ? NULL_FN : SLOW, "");
    start(1);
    run_all();
    cr_assert(duration_ns >= 5 * MF_NS_PER_MS);
    cr_assert(duration_ns <= mf_clock_monotonic_ns() - begun_ns);
}

Test(inline_caller, the_duration_of_a_call_with_a_large_result_counts)
{
    add(SLOW_LARGE, "");
    start(1);
    run_all();
    cr_assert(duration_ns >= MF_NS_PER_MS);
}

Test(inline_caller, the_first_entries_say_how_long_there_was_nothing_to_do)
{
    add(NULL_FN, "");
    start(1);
    run_all();
    int64_t end_ns = mf_clock_monotonic_ns();
    while (mf_clock_monotonic_ns() < end_ns + MF_NS_PER_MS)
        ;
    idle_ns = 0;
    add(NULL_FN, "");
    start(2);
    add(NULL_FN, "");
    start(3);
    caller->ops->turn(caller, 0);
    cr_assert(idle_ns >= MF_NS_PER_MS);
    idle_ns = 0;
    caller->ops->turn(caller, 0);
    cr_assert(eq(i64, idle_ns, 0));
}

Test(inline_caller, a_large_result_comes_before_its_entry_and_after_those_before)
{
    add(ECHO, "before");
    add(LARGE, "");
    add(ECHO, "after");
    start(1);
    run_all();
    char *text = told();
    char *first = strstr(text, "1: before\nlarge of task 1\n1: large");
    cr_assert(eq(ptr, first, text), "%s", text);
    cr_assert(eq(int, large_result, 'L'));
}

Test(inline_caller, large_inputs_are_handed_to_their_calls)
{
    add_large(ECHO, 8, 100000);
    add(ECHO, "small");
    cr_assert(eq(int, start(1), 0));
    run_all();
    cr_assert(strstr(told(), "large of task 8\n") != NULL);
    cr_assert(eq(int, large_result, 'i'));
}

Test(inline_caller, a_unit_whose_large_input_is_not_there_is_refused)
{
    add_large(NULL_FN, 8, 100000);
    add_large(NULL_FN, 404, 100000);
    cr_assert(eq(int, start(1), -ENOENT));
    add_large(NULL_FN, 8, 99999);
    cr_assert(eq(int, start(2), -EPROTO));
    cr_assert(not(caller->ops->is_busy(caller)));
}

Test(inline_caller, a_call_without_memory_for_its_input_fails_alone)
{
    add_large(NULL_FN, 500, 100000);
    add(ECHO, "next");
    cr_assert(eq(int, start(1), 0));
    run_all();
    cr_assert(eq(str, told(), "1: 7/0 next.\n"));
    cr_assert(eq(int, n_begun, 1));
}

Test(inline_caller, children_are_told_before_their_parent)
{
    add(CHILD, "");
    start(1);
    run_all();
    cr_assert(eq(str, told(), "1: child .\n"));
}

Test(inline_caller, a_checkpoint_is_told_at_once_with_its_call)
{
    add(NULL_FN, "");
    add(SAVE, "");
    start(1);
    run_all();
    cr_assert(strstr(told(), "1: call 1 saved saved\n") != NULL);
}

Test(inline_caller, a_unit_that_has_not_begun_is_given_back)
{
    add(NULL_FN, "");
    start(1);
    add_large(NULL_FN, 8, 100000);
    start(2);
    caller->ops->recall(caller, 2, 1);
    cr_assert(eq(str, told(), "2: returned\n"));
    caller->ops->recall(caller, 2, 1);
    caller->ops->recall(caller, 1, 2);
    cr_assert(eq(str, told(), ""), "an unknown unit, or another attempt, is ignored");
    run_all();
    cr_assert(eq(str, told(), "1: .\n"));
}

Test(inline_caller, the_rest_of_a_unit_is_given_back)
{
    for (int i = 0; i < 3; i++)
        add(SLOW, "");
    start(1);
    caller->ops->turn(caller, 0);
    cr_assert(eq(str, told(), "1: \n"));
    caller->ops->recall(caller, 1, 1);
    cr_assert(eq(str, told(), "1: returned\n"));
    cr_assert(eq(int, n_begun, 1));
    cr_assert(not(caller->ops->is_busy(caller)));
}

static void recall_and_cancel(void)
{
    caller->ops->recall(caller, 1, 1);
    caller->ops->cancel(caller, 1, 1, 1);
}

Test(inline_caller, recalled_while_it_runs_a_unit_gives_the_rest_back)
{
    on_poll = recall_and_cancel;
    add(ECHO, "quick");
    add(WAIT, "");
    add(NULL_FN, "");
    start(1);
    run_all();
    cr_assert(eq(str, told(), "1: quick 1/9\n1: returned\n"));
    cr_assert(eq(int, n_begun, 2));
}

Test(inline_caller, recalled_in_its_last_call_a_unit_ends)
{
    on_poll = recall_and_cancel;
    add(NULL_FN, "");
    add(WAIT, "");
    start(1);
    run_all();
    cr_assert(eq(str, told(), "1:  1/9.\n"));
}

static void cancel_second(void)
{
    caller->ops->cancel(caller, 1, 1, 1);
}

Test(inline_caller, a_cancelled_call_that_runs_is_asked_to_stop)
{
    on_poll = cancel_second;
    add(NULL_FN, "");
    add(WAIT, "");
    add(ECHO, "next");
    start(1);
    run_all();
    cr_assert(eq(str, told(), "1:  1/9 next.\n"));
}

Test(inline_caller, what_came_before_a_long_call_is_told_while_it_runs)
{
    on_poll = cancel_second;
    add(ECHO, "quick");
    add(WAIT, "");
    start(1);
    run_all();
    cr_assert(eq(int, n_told, 2));
}

Test(inline_caller, a_cancelled_call_is_not_made_and_told_of_all_the_same)
{
    add(NULL_FN, "");
    add(NULL_FN, "");
    add_large(NULL_FN, 8, 100000);
    add(ECHO, "next");
    start(1);
    cancel_second();
    caller->ops->cancel(caller, 1, 1, 2);
    caller->ops->cancel(caller, 1, 1, 99);
    caller->ops->cancel(caller, 7, 1, 3);
    caller->ops->cancel(caller, 1, 2, 3);
    run_all();
    char expected[64];
    snprintf(expected, sizeof(expected), "1:  1/%d 1/%d next.\n", ECANCELED, ECANCELED);
    cr_assert(eq(str, told(), expected));
    cr_assert(eq(int, n_begun, 2));
}

static void start_another(void)
{
    add(ECHO, "two");
    cr_assert(eq(int, start(2), 0));
    cr_assert(eq(int, caller->ops->turn(caller, 0), 0), "nothing runs inside of a function");
    cancel_second();
}

Test(inline_caller, what_comes_while_a_function_runs_waits_its_turn)
{
    on_poll = start_another;
    add(NULL_FN, "");
    add(WAIT, "");
    start(1);
    run_all();
    cr_assert(eq(str, told(), "1:  1/9.\n2: two.\n"));
}

/* --- stretches --- */

Test(inline_caller, calls_of_a_stretch_differ_in_what_they_do_besides_writing)
{
    add_letters("aaFa2aaCaaaMaFFaa", 1);
    cr_assert(eq(int, start(1), 0));
    run_all();
    cr_assert(eq(str, told(), "1: a a 1/3why a 22 a a child C a a a M a 1/3why 1/3why a a.\n"));
    cr_assert(eq(int, n_begun, 17));
}

Test(inline_caller, what_a_call_of_a_stretch_saves_or_returns_in_pieces_comes_in_its_place)
{
    add_letters("aSaaLa", 8);
    cr_assert(eq(int, start(1), 0));
    run_all();
    char *text = told();
    cr_assert(
        strstr(text, "1: a\n1: call 1 saved saved\n1: S a a\nlarge of task 4\n1: large a.\n") ==
            text,
        "%s", text);
}

/* In parts, as entries of a frame; and each result in its place. */
Test(inline_caller, a_long_stretch_is_told_of_in_frames)
{
    char letters[10001], expected[20010];
    size_t n = 2;

    for (int i = 0; i < 10000; i++)
        letters[i] = (char)('a' + i % 23);
    letters[10000] = '\0';
    add_letters(letters, 3);
    cr_assert(eq(int, start(1), 0));
    run_all();
    memcpy(expected, "1:", 3);
    for (int i = 0; i < 10000; i++)
        n += (size_t)snprintf(expected + n, sizeof(expected) - n, " %c", letters[i]);
    memcpy(expected + n, ".\n", 3);
    cr_assert(eq(str, told(), expected));
    cr_assert(le(u32, most_entries_bytes, 3956));
}

Test(inline_caller, inputs_in_a_stretch_are_aligned_whatever_their_size)
{
    for (size_t size = 1; size <= 48; size++) {
        add_letters("abcdefgh", size);
        cr_assert(eq(int, start(size), 0));
    }
    run_all();
    cr_assert(eq(int, n_unaligned, 0));
    cr_assert(eq(int, n_begun, 48 * 8));
}

Test(inline_caller, a_stretch_recalled_while_it_runs_gives_the_rest_back)
{
    on_poll = recall_and_cancel;
    add_letters("aWaaaa", 1);
    cr_assert(eq(int, start(1), 0));
    run_all();
    cr_assert(eq(str, told(), "1: a 1/9\n1: returned\n"));
    cr_assert(eq(int, n_begun, 3), "LETTER counts, and so does what it waits in");
}

static void cancel_every_call(void)
{
    caller->ops->cancel(caller, 1, 1, MF_EVERY_CALL);
}

Test(inline_caller, a_stretch_cancelled_while_it_runs_makes_no_more_calls)
{
    char expected[64];

    on_poll = cancel_every_call;
    add_letters("aaWaa", 1);
    cr_assert(eq(int, start(1), 0));
    run_all();
    snprintf(expected, sizeof(expected), "1: a a 1/9 1/%d 1/%d.\n", ECANCELED, ECANCELED);
    cr_assert(eq(str, told(), expected));
    cr_assert(eq(int, n_begun, 4));
}

/* The third call is not to be made, and is told of in its place. */
static void cancel_second_and_third(void)
{
    cancel_second();
    caller->ops->cancel(caller, 1, 1, 2);
}

Test(inline_caller, a_call_of_a_stretch_cancelled_from_inside_another_is_not_made)
{
    char expected[64];

    on_poll = cancel_second_and_third;
    add_letters("aWbc", 1);
    cr_assert(eq(int, start(1), 0));
    run_all();
    snprintf(expected, sizeof(expected), "1: a 1/9 1/%d c.\n", ECANCELED);
    cr_assert(eq(str, told(), expected));
}

/* --- blocks --- */

Test(inline_caller, functions_read_blocks_from_attaching_to_dropping)
{
    struct mf_block_place place, other;

    add(BLOCK, "");
    start(1);
    cr_assert(eq(int, mf_block_create("bytes", 5, &place), 0));
    other = (struct mf_block_place){place.pid, place.fd, place.key + 1};
    cr_assert(eq(int, caller->ops->attach(caller, 6, &other, 5), -ENOENT));
    cr_assert(eq(int, caller->ops->attach(caller, 5, &place, 6), -EINVAL));
    cr_assert(eq(int, caller->ops->attach(caller, 5, &place, 0), -EINVAL));
    run_all();
    cr_assert(eq(int, caller->ops->attach(caller, 5, &place, 5), 0));
    cr_assert(eq(int, caller->ops->attach(caller, 5, &place, 5), -EEXIST));
    close((int)place.fd);
    add(BLOCK, "");
    start(2);
    run_all();
    caller->ops->drop(caller, 5);
    caller->ops->drop(caller, 5);
    add(BLOCK, "");
    start(3);
    run_all();
    cr_assert(eq(str, told(), "1: 1/4.\n2: bytes.\n3: 1/4.\n"));
}

/* --- beginning and stopping --- */

Test(inline_hooks, are_called_before_the_first_call_and_after_the_last)
{
    cr_assert(eq(int, begin(), 0));
    cr_assert(eq(int, n_hooks, 1));
    caller->ops->stop(caller);
    cr_assert(eq(int, n_hooks, 11));
    mf_caller_destroy(caller);
    caller = NULL;
    cr_assert(eq(int, n_hooks, 11), "once");
}

Test(inline_hooks, destroying_stops)
{
    cr_assert(eq(int, begin(), 0));
    add_large(NULL_FN, 8, 100000);
    start(1);
    mf_caller_destroy(caller);
    caller = NULL;
    cr_assert(eq(int, n_hooks, 11));
    cr_assert(eq(str, told(), ""));
}

Test(inline_hooks, an_init_hook_can_refuse)
{
    init_result = 1;
    cr_assert(eq(int, begin(), -ECANCELED));
    mf_caller_destroy(caller);
    caller = NULL;
    cr_assert(eq(int, n_hooks, 1), "what was not begun is not finished");
}

Test(inline_hooks, may_be_missing)
{
    functions.init = NULL;
    functions.finish = NULL;
    cr_assert(eq(int, begin(), 0));
    mf_caller_destroy(caller);
    caller = NULL;
}

static void stop_now(void)
{
    caller->ops->stop(caller);
    cr_assert(eq(int, n_hooks, 1), "not while a function runs");
}

Test(inline_caller, stopped_while_it_runs_it_asks_the_function_and_then_is_silent)
{
    on_poll = stop_now;
    add(WAIT, "");
    add(NULL_FN, "");
    start(1);
    add(NULL_FN, "");
    start(2);
    cr_assert(eq(int, caller->ops->turn(caller, 0), 1));
    cr_assert(eq(str, told(), ""));
    cr_assert(eq(int, n_begun, 1));
    cr_assert(eq(int, n_hooks, 1), "the rank may have something to say before");
    cr_assert(not(caller->ops->is_busy(caller)));
    add(NULL_FN, "");
    cr_assert(eq(int, start(3), -EPIPE));
    on_poll = NULL;
    caller->ops->stop(caller);
    cr_assert(eq(int, n_hooks, 11));
}

Test(inline_caller, without_units_it_never_wants_a_turn)
{
    cr_assert(eq(i64, caller->ops->next_ns(caller), INT64_MAX));
    cr_assert(eq(int, caller->ops->turn(caller, 0), 0));
}
