/* The registry, and what a function can ask and say, with a place of execution played by the test.
 */
#include "exec/calls.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Each test is a process of its own. */
static struct mf_functions functions;
static struct mpifarm_context context;
static bool is_cancelled;
static char saved[16];

static bool should_stop(void *arg, struct mpifarm_context *which)
{
    return is_cancelled;
}

static int checkpoint(void *arg, struct mpifarm_context *which, const void *data, size_t size)
{
    memcpy(saved, data, size);
    return 0;
}

static const void *find_block(void *arg, mpifarm_block block, size_t *ret_size)
{
    *ret_size = 5;
    return block == 3 ? "block" : NULL;
}

static const struct mf_context_ops place = {
    .should_stop = should_stop, .checkpoint = checkpoint, .block = find_block};

static void setup(void)
{
    mf_context_init(&context, &functions, 7, &place, NULL);
}

static void teardown(void)
{
    mf_context_finish(&context);
    mf_functions_finish(&functions);
}

TestSuite(calls, .init = setup, .fini = teardown);

/* Makes one call of a function that is registered for it. */
static struct mf_call_end run(mpifarm_function function, struct mf_call call)
{
    static struct mf_call last;
    struct mf_call_end end;
    char name[16];

    snprintf(name, sizeof(name), "f%u", functions.n_items);
    call.function = (uint16_t)mf_functions_add(&functions, name, function, NULL);
    if (call.details.try_number == 0)
        call.details.try_number = 1;
    /* What comes of a call is put while the call is still there. */
    last = call;
    mf_context_run(&context, &last, &end);
    return end;
}

/* --- the registry --- */

static int do_nothing(struct mpifarm_context *which, void *user)
{
    return 0;
}

/* Quickly, as each rank and each nursery registers them. */
Test(functions, as_many_as_there_can_be_are_found_by_name)
{
    struct mf_functions own = {0};
    char name[16];

    for (int i = 0; i < 65535; i++) {
        snprintf(name, sizeof(name), "f%d", i);
        cr_assert(mf_functions_add(&own, name, do_nothing, NULL) == i);
    }
    for (int i = 0; i < 65535; i++) {
        snprintf(name, sizeof(name), "f%d", i);
        cr_assert(mf_functions_find(&own, name) == i);
    }
    cr_assert(eq(int, mf_functions_find(&own, "f65535"), -ENOENT));
    mf_functions_finish(&own);
}

/* No two names with the same hash are known, so it is forged. */
Test(functions, names_with_the_same_hash_are_told_apart)
{
    struct mf_functions own = {0};
    char name[16];
    size_t cursor = 0;
    void *last;

    for (uint32_t i = 0; i < 10; i++) {
        snprintf(name, sizeof(name), "f%u", i);
        cr_assert(eq(int, mf_functions_add(&own, name, do_nothing, NULL), (int)i));
        own.items[i].same_hash = i;
    }
    while (mf_table_next(own.by_hash, &cursor, NULL, &last))
        *(uint32_t *)last = 9;
    for (int i = 0; i < 10; i++) {
        snprintf(name, sizeof(name), "f%d", i);
        cr_assert(eq(int, mf_functions_find(&own, name), i));
        cr_assert(eq(int, mf_functions_add(&own, name, do_nothing, NULL), -EEXIST));
    }
    mf_functions_finish(&own);
}

Test(functions, numbers_follow_the_order_of_registration)
{
    struct mf_functions own = {0};
    char name[16];

    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof(name), "f%d", i);
        cr_assert(eq(int, mf_functions_add(&own, name, do_nothing, NULL), i));
    }
    cr_assert(eq(int, mf_functions_find(&own, "f42"), 42));
    cr_assert(eq(int, mf_functions_find(&own, "f100"), -ENOENT));
    mf_functions_finish(&own);
}

Test(functions, bad_names_and_doubles_are_refused)
{
    struct mf_functions own = {0};
    char name[257];

    memset(name, 'n', 256);
    name[256] = '\0';
    cr_assert(eq(int, mf_functions_add(&own, name, do_nothing, NULL), -EINVAL));
    cr_assert(eq(int, mf_functions_add(&own, name + 1, do_nothing, NULL), 0));
    cr_assert(eq(int, mf_functions_add(&own, name + 1, do_nothing, NULL), -EEXIST));
    cr_assert(eq(int, mf_functions_add(&own, "", do_nothing, NULL), -EINVAL));
    cr_assert(eq(int, mf_functions_add(&own, NULL, do_nothing, NULL), -EINVAL));
    cr_assert(eq(int, mf_functions_add(&own, "none", NULL, NULL), -EINVAL));
    cr_assert(eq(u32, own.n_items, 1));
    mf_functions_finish(&own);
}

Test(functions, no_more_than_a_call_can_name)
{
    struct mf_functions own = {.n_items = 65535};

    cr_assert(eq(int, mf_functions_add(&own, "more", do_nothing, NULL), -ENOSPC));
}

static int compare(const char *theirs[], const char *ours[], struct mf_error *err)
{
    struct mf_functions lists[2] = {{0}, {0}};
    struct mf_buffer bytes = {0};
    int r;

    for (; *theirs; theirs++)
        mf_functions_add(&lists[0], *theirs, do_nothing, NULL);
    for (; *ours; ours++)
        mf_functions_add(&lists[1], *ours, do_nothing, NULL);
    mf_functions_encode(&lists[0], &bytes);
    r = mf_functions_compare(&lists[1], bytes.data, bytes.size, 3, err);
    mf_buffer_finish(&bytes);
    mf_functions_finish(&lists[0]);
    mf_functions_finish(&lists[1]);
    return r;
}

#define NAMES(...) ((const char *[]){__VA_ARGS__ __VA_OPT__(, ) NULL})

Test(functions, equal_lists_agree)
{
    struct mf_error err = {0};

    cr_assert(eq(int, compare(NAMES("a", "b"), NAMES("a", "b"), &err), 0));
    cr_assert(eq(int, compare(NAMES(), NAMES(), &err), 0));
    cr_assert(eq(str, err.text, ""));
}

Test(functions, the_first_difference_is_named_with_its_rank)
{
    struct mf_error err = {0};

    cr_assert(eq(int, compare(NAMES("a", "x", "y"), NAMES("a", "b", "c"), &err), -EPROTO));
    cr_assert(strstr(err.text, "rank 3 registered \"x\" as function 1, but rank 0 \"b\"") != NULL,
              "%s", err.text);
    cr_assert(eq(int, compare(NAMES("a"), NAMES("a", "b", "c"), &err), -EPROTO));
    cr_assert(strstr(err.text, "rank 3 did not register \"b\"") != NULL, "%s", err.text);
    cr_assert(eq(int, compare(NAMES("a", "b"), NAMES("a"), &err), -EPROTO));
    cr_assert(strstr(err.text, "rank 3 registered \"b\" as function 1, which") != NULL, "%s",
              err.text);
}

Test(functions, a_damaged_list_is_refused)
{
    struct mf_functions own = {0};
    struct mf_buffer bytes = {0};
    struct mf_error err;

    mf_functions_add(&own, "square", do_nothing, NULL);
    mf_functions_add(&own, "cube", do_nothing, NULL);
    mf_functions_encode(&own, &bytes);
    for (size_t size = 0; size < bytes.size; size++)
        cr_assert(eq(int, mf_functions_compare(&own, bytes.data, size, 3, &err), -EBADMSG));
    mf_buffer_put_u8(&bytes, 0);
    cr_assert(eq(int, mf_functions_compare(&own, bytes.data, bytes.size, 3, &err), -EBADMSG));
    mf_buffer_finish(&bytes);
    mf_functions_finish(&own);
}

/* --- what a function sees --- */

static int check_sight(struct mpifarm_context *which, void *user)
{
    size_t n;
    const void *input = mpifarm_input(which, &n);

    cr_assert(eq(sz, n, 5));
    cr_assert(memcmp(input, "input", 5) == 0);
    cr_assert(eq(sz, (uintptr_t)input % alignof(max_align_t), 0));
    const void *restored = mpifarm_restored(which, &n);
    cr_assert(eq(sz, n, 6));
    cr_assert(memcmp(restored, "before", 6) == 0);
    cr_assert(eq(sz, (uintptr_t)restored % alignof(max_align_t), 0));
    cr_assert(eq(u64, mpifarm_task_tag(which), 8));
    cr_assert(eq(u64, mpifarm_task_id(which), 12));
    cr_assert(eq(u32, mpifarm_task_attempt(which), 2));
    cr_assert(eq(u32, mpifarm_task_rank(which), 7));
    cr_assert_not_null(mpifarm_block_data(which, 3, &n));
    cr_assert(eq(sz, n, 5));
    cr_assert_null(mpifarm_block_data(which, 4, &n));
    cr_assert(eq(sz, n, 0));
    cr_assert(eq(int, mpifarm_checkpoint(which, "now", 4), 0));
    return 0;
}

Test(calls, a_function_sees_its_task)
{
    alignas(max_align_t) char bytes[] = ".input.before";
    struct mf_call call = {.task = 12,
                           .size = 5,
                           .input = (uint8_t *)bytes + 1,
                           .checkpoint = (uint8_t *)bytes + 7,
                           .details = {.tag = 8, .try_number = 2, .checkpoint_size = 6}};

    cr_assert(eq(int, run(check_sight, call).cause, MPIFARM_CAUSE_NONE));
    cr_assert(eq(str, saved, "now"));
}

static int check_nothing(struct mpifarm_context *which, void *user)
{
    size_t n = 1;

    cr_assert_null(mpifarm_input(which, &n));
    cr_assert(eq(sz, n, 0));
    n = 1;
    cr_assert_null(mpifarm_restored(which, &n));
    cr_assert(eq(sz, n, 0));
    cr_assert_null(mpifarm_input(which, NULL));
    return 0;
}

Test(calls, an_empty_input_is_null)
{
    cr_assert(eq(int, run(check_nothing, (struct mf_call){.input = (uint8_t *)"x"}).cause,
                 MPIFARM_CAUSE_NONE));
}

Test(calls, aligned_bytes_are_not_copied)
{
    alignas(max_align_t) char bytes[16] = "aligned";
    struct mf_call call = {.size = 7, .input = (uint8_t *)bytes};

    run(do_nothing, call);
    cr_assert(eq(ptr, (void *)context.input, bytes));
}

static int ask_to_stop(struct mpifarm_context *which, void *user)
{
    return mpifarm_should_stop(which);
}

Test(calls, a_function_is_asked_to_stop_when_cancelled)
{
    cr_assert(eq(int, run(ask_to_stop, (struct mf_call){0}).code, 0));
    is_cancelled = true;
    struct mf_call_end end = run(ask_to_stop, (struct mf_call){0});
    cr_assert(eq(int, end.cause, MPIFARM_CAUSE_FUNCTION));
    cr_assert(eq(int, end.code, 1));
}

static int wait_until_asked(struct mpifarm_context *which, void *user)
{
    while (!mpifarm_should_stop(which))
        ;
    return mpifarm_fail(which, 5, "too long");
}

Test(calls, over_its_time_a_function_is_asked_to_stop_and_has_timed_out)
{
    struct mf_call_end end =
        run(wait_until_asked, (struct mf_call){.details = {.timeout_ns = 1000000}});

    cr_assert(eq(int, end.cause, MPIFARM_CAUSE_TIMEOUT));
    cr_assert(eq(int, end.code, 5));
    cr_assert(eq(str, (char *)context.message.data, "too long"));
}

static int finish_late(struct mpifarm_context *which, void *user)
{
    while (!mpifarm_should_stop(which))
        ;
    return mpifarm_write(which, "late", 4);
}

Test(calls, a_function_that_succeeds_late_has_succeeded)
{
    struct mf_call call = {.details = {.timeout_ns = 1000}};

    cr_assert(eq(int, run(finish_late, call).cause, MPIFARM_CAUSE_NONE));
    cr_assert(eq(sz, context.result.size, 4));
}

static int fail_in_time(struct mpifarm_context *which, void *user)
{
    return 3;
}

Test(calls, a_function_that_fails_in_time_has_not_timed_out)
{
    struct mf_call call = {.details = {.timeout_ns = INT64_MAX}};

    cr_assert(eq(int, run(fail_in_time, call).cause, MPIFARM_CAUSE_FUNCTION));
}

/* --- what a function says --- */

static int write_in_parts(struct mpifarm_context *which, void *user)
{
    cr_assert(eq(int, mpifarm_write(which, "one ", 4), 0));
    memcpy(mpifarm_reserve(which, 4), "two ", 4);
    cr_assert_not_null(mpifarm_reserve(which, 0));
    cr_assert(eq(int, mpifarm_write(which, NULL, 0), 0));
    return mpifarm_write(which, "three", 5);
}

Test(calls, a_result_is_what_was_written_in_order)
{
    struct mf_call_end end = run(write_in_parts, (struct mf_call){0});
    struct mf_buffer bytes = {0};
    struct mf_entry_header entry;
    const uint8_t *data;

    cr_assert(eq(sz, mf_context_entries_bytes(&context, &end), 16 + 13));
    mf_context_put_entries(&context, &end, &bytes);
    cr_assert(eq(sz, bytes.size, 16 + 13));
    struct mf_reader reader = mf_reader_over(bytes.data, bytes.size);
    cr_assert(eq(int, mf_entry_get(&reader, &entry, &data), 1));
    cr_assert(eq(int, entry.kind, MF_ENTRY_RESULT));
    cr_assert(eq(int, entry.cause, MPIFARM_CAUSE_NONE));
    cr_assert(eq(u32, entry.size, 13));
    cr_assert(memcmp(data, "one two three", 13) == 0);
    mf_buffer_finish(&bytes);
}

Test(calls, a_call_leaves_nothing_to_the_next)
{
    run(write_in_parts, (struct mf_call){0});
    run(do_nothing, (struct mf_call){0});
    cr_assert(eq(sz, context.result.size, 0));
}

static int fail_with_all(struct mpifarm_context *which, void *user)
{
    mpifarm_write(which, "half", 4);
    mpifarm_spawn(which, 0, NULL, 0, NULL);
    return mpifarm_fail(which, 0, "no %s", "luck");
}

Test(calls, a_failure_keeps_its_message_alone)
{
    struct mf_call_end end = run(fail_with_all, (struct mf_call){0});
    struct mf_buffer bytes = {0};
    struct mf_entry_header entry;
    const uint8_t *data;

    cr_assert(eq(int, end.cause, MPIFARM_CAUSE_FUNCTION));
    cr_assert(eq(int, end.code, 1));
    mf_context_put_entries(&context, &end, &bytes);
    cr_assert(eq(sz, bytes.size, mf_context_entries_bytes(&context, &end)));
    struct mf_reader reader = mf_reader_over(bytes.data, bytes.size);
    cr_assert(eq(int, mf_entry_get(&reader, &entry, &data), 1));
    cr_assert(eq(int, entry.kind, MF_ENTRY_RESULT));
    cr_assert(eq(int, entry.code, 1));
    cr_assert(eq(u32, entry.size, 7));
    cr_assert(memcmp(data, "no luck", 7) == 0);
    mf_buffer_finish(&bytes);
}

static int fail_at_length(struct mpifarm_context *which, void *user)
{
    return mpifarm_fail(which, -9, "%5000d", 1);
}

Test(calls, a_message_is_cut_at_its_limit)
{
    cr_assert(eq(int, run(fail_at_length, (struct mf_call){0}).code, -9));
    cr_assert(eq(sz, context.message.size, MF_CALL_MESSAGE_BYTES));
}

static int want_too_much(struct mpifarm_context *which, void *user)
{
    cr_assert(eq(int, mpifarm_write(which, "x", 1), 0));
    cr_assert_null(mpifarm_reserve(which, SIZE_MAX));
    cr_assert(eq(int, mpifarm_write(which, "x", 1), -ENOMEM));
    return 0;
}

Test(calls, without_memory_for_its_result_a_call_fails)
{
    struct mf_call_end end = run(want_too_much, (struct mf_call){0});

    cr_assert(eq(int, end.cause, MPIFARM_CAUSE_MEMORY));
    cr_assert(eq(int, run(do_nothing, (struct mf_call){0}).cause, MPIFARM_CAUSE_NONE));
}

static int write_much(struct mpifarm_context *which, void *user)
{
    size_t n = MF_CALL_LARGE_BYTES + 1;

    memset(mpifarm_reserve(which, n), 'r', n);
    return 0;
}

Test(calls, a_large_result_is_handed_over_and_only_named)
{
    struct mf_call_end end = run(write_much, (struct mf_call){.task = 12});
    struct mf_buffer bytes = {0};
    struct mf_entry_header entry;
    const uint8_t *data;
    uint64_t task;
    size_t size;

    cr_assert(mf_context_is_large(&context, &end));
    mf_context_put_entries(&context, &end, &bytes);
    cr_assert(eq(sz, bytes.size, mf_context_entries_bytes(&context, &end)));
    struct mf_reader reader = mf_reader_over(bytes.data, bytes.size);
    cr_assert(eq(int, mf_entry_get(&reader, &entry, &data), 1));
    cr_assert(eq(int, entry.flags, MF_CALL_IS_LARGE));
    cr_assert(eq(u32, entry.size, sizeof(task)));
    memcpy(&task, data, sizeof(task));
    cr_assert(eq(u64, task, 12));
    uint8_t *result = mf_context_take_result(&context, &size);
    cr_assert(eq(sz, size, MF_CALL_LARGE_BYTES + 1));
    cr_assert(eq(int, result[size - 1], 'r'));
    free(result);
    mf_buffer_finish(&bytes);
}

Test(calls, a_call_that_is_withheld_ends_as_told)
{
    struct mf_call_end end;
    struct mf_buffer bytes = {0};

    run(write_in_parts, (struct mf_call){0});
    mf_context_withhold(&context, &(struct mf_call){0}, MPIFARM_CAUSE_FUNCTION, ECANCELED, &end);
    mf_context_put_entries(&context, &end, &bytes);
    cr_assert(eq(int, end.code, ECANCELED));
    cr_assert(eq(sz, bytes.size, 16));
    mf_buffer_finish(&bytes);
}

/* --- children --- */

static int spawn_two(struct mpifarm_context *which, void *user)
{
    struct mpifarm_task_options options = {.tag = 5,
                                           .group = 6,
                                           .priority = -7,
                                           .max_attempts = 8,
                                           .timeout_ns = 9,
                                           .rank = 10,
                                           .delivery = MPIFARM_DELIVER_QUEUE};

    cr_assert(eq(int, mpifarm_spawn(which, 0, "child", 5, &options), 0));
    cr_assert(eq(int, mpifarm_spawn(which, 0, NULL, 0, NULL), 0));
    return mpifarm_write(which, "parent", 6);
}

Test(calls, children_come_before_the_result_of_their_parent)
{
    struct mf_call_end end = run(spawn_two, (struct mf_call){.details = {.group = 77}});
    struct mf_buffer bytes = {0};
    struct mf_entry_header entry;
    const uint8_t *data;
    struct mf_child child;

    mf_context_put_entries(&context, &end, &bytes);
    cr_assert(eq(sz, bytes.size, mf_context_entries_bytes(&context, &end)));
    struct mf_reader reader = mf_reader_over(bytes.data, bytes.size);
    cr_assert(eq(int, mf_entry_get(&reader, &entry, &data), 1));
    cr_assert(eq(int, entry.kind, MF_ENTRY_CHILD));
    cr_assert(eq(u32, entry.size, sizeof(child) + 5));
    memcpy(&child, data, sizeof(child));
    cr_assert(eq(u64, child.tag, 5));
    cr_assert(eq(u32, child.group, 6));
    cr_assert(eq(int, child.priority, -7));
    cr_assert(eq(u32, child.max_attempts, 8));
    cr_assert(eq(i64, child.timeout_ns, 9));
    cr_assert(eq(u32, child.rank, 10));
    cr_assert(eq(int, child.delivery, MPIFARM_DELIVER_QUEUE));
    cr_assert(memcmp(data + sizeof(child), "child", 5) == 0);
    cr_assert(eq(int, mf_entry_get(&reader, &entry, &data), 1));
    memcpy(&child, data, sizeof(child));
    cr_assert(eq(u32, child.group, 77), "a child without a group is in that of its parent");
    cr_assert(eq(int, child.delivery, MPIFARM_DELIVER_NONE));
    cr_assert(eq(int, mf_entry_get(&reader, &entry, &data), 1));
    cr_assert(eq(int, entry.kind, MF_ENTRY_RESULT));
    mf_buffer_finish(&bytes);
}

static int spawn_badly(struct mpifarm_context *which, void *user)
{
    static const mpifarm_future parent = 1;
    struct mpifarm_task_options options = {.delivery = MPIFARM_DELIVER_NONE};

    cr_assert(eq(int, mpifarm_spawn(which, -1, NULL, 0, NULL), -ENOENT));
    cr_assert(eq(int, mpifarm_spawn(which, 1, NULL, 0, NULL), -ENOENT));
    cr_assert(eq(int, mpifarm_spawn(which, 0, NULL, 3, NULL), -EINVAL));
    cr_assert(eq(int, mpifarm_spawn(which, 0, "", MF_CHILDREN_MAX_BYTES, NULL), -EMSGSIZE));
    cr_assert(eq(int, mpifarm_spawn(which, 0, "", SIZE_MAX, NULL), -EMSGSIZE));
    options.timeout_ns = -1;
    cr_assert(eq(int, mpifarm_spawn(which, 0, NULL, 0, &options), -EINVAL));
    options = (struct mpifarm_task_options){
        .delivery = MPIFARM_DELIVER_NONE, .after = &parent, .n_after = 1};
    cr_assert(eq(int, mpifarm_spawn(which, 0, NULL, 0, &options), -EINVAL));
    options = (struct mpifarm_task_options){.delivery = (enum mpifarm_delivery)4};
    cr_assert(eq(int, mpifarm_spawn(which, 0, NULL, 0, &options), -EINVAL));
    options = (struct mpifarm_task_options){.delivery = MPIFARM_DELIVER_CALLBACK};
    cr_assert(eq(int, mpifarm_spawn(which, 0, NULL, 0, &options), -EINVAL));
    return 0;
}

Test(calls, children_that_make_no_sense_are_refused)
{
    cr_assert(eq(int, run(spawn_badly, (struct mf_call){0}).cause, MPIFARM_CAUSE_NONE));
    cr_assert(eq(sz, context.children.size, 0));
}

static int save_too_much(struct mpifarm_context *which, void *user)
{
    return mpifarm_checkpoint(which, "", MF_CHECKPOINT_MAX_BYTES + 1);
}

Test(calls, a_checkpoint_has_a_limit)
{
    cr_assert(eq(int, run(save_too_much, (struct mf_call){0}).code, -EMSGSIZE));
}

/* --- results of others --- */

static int see_results(struct mpifarm_context *which, void *user)
{
    char text[64];
    size_t size, n = 0, n_unaligned = 0;
    const char *input = mpifarm_input(which, &size);

    n += (size_t)snprintf(text, sizeof(text), "%.*s", (int)size, input ? input : "");
    for (size_t i = 0; i <= mpifarm_predecessors(which); i++) {
        const char *result = mpifarm_predecessor(which, i, &size);

        n_unaligned += (uintptr_t)result % alignof(max_align_t) != 0;
        n += (size_t)snprintf(text + n, sizeof(text) - n, "|%.*s", result ? (int)size : 4,
                              result ? result : "NULL");
    }
    return n_unaligned > 0 ? 9 : mpifarm_write(which, text, n);
}

/* What a function saw that was given these bytes, which are copied to where nothing is aligned. */
static struct mf_call_end run_with_results(const uint8_t *data, size_t size)
{
    static uint8_t unaligned_bytes[512];
    uint8_t *unaligned = unaligned_bytes + 1;
    struct mf_call call = {.has_results = true, .size = size, .input = unaligned};

    cr_assert(size < sizeof(unaligned_bytes));
    memcpy(unaligned, data, size);
    return run(see_results, call);
}

Test(calls, a_function_sees_its_input_and_the_results_of_others_aligned)
{
    const struct mf_part_bytes parts[] = {{"input", 5}, {"one", 3}, {NULL, 0}, {"three", 5}};
    struct mf_call_end end;
    uint8_t *data;
    size_t size;

    cr_assert(eq(int, mf_bundle_make(parts, 4, &data, &size), 0));
    end = run_with_results(data, size);
    cr_assert(eq(int, end.cause, MPIFARM_CAUSE_NONE));
    cr_assert(eq(sz, context.result.size, 25));
    cr_assert(memcmp(context.result.data, "input|one|NULL|three|NULL", 25) == 0);
    free(data);
}

Test(calls, a_function_without_results_of_others_sees_none)
{
    struct mf_call call = {.size = 5, .input = (const uint8_t *)"input"};

    cr_assert(eq(int, run(see_results, call).cause, MPIFARM_CAUSE_NONE));
    cr_assert(eq(sz, context.result.size, 10));
    cr_assert(memcmp(context.result.data, "input|NULL", 10) == 0);
}

Test(calls, a_call_with_damaged_results_fails)
{
    struct mf_call_end end = run_with_results((const uint8_t *)"no bundle at all", 16);

    cr_assert(eq(int, end.cause, MPIFARM_CAUSE_FUNCTION));
    cr_assert(eq(int, end.code, -EBADMSG));
}
