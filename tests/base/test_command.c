/* Tests of base/command.c. */
#include "base/command.h"

#include "base/rng.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static const char *const full_args[] = {"./sim", "a b", "", "slot-.dat"};
static const char *const full_env[] = {"A=1", "B="};
static const struct mf_slot_mark full_marks[] = {{0, 0}, {3, 5}, {3, 5}, {3, 9}};

static const struct mf_command full = {
    .id = "fit",
    .has_given_id = true,
    .seq = UINT64_C(1) << 40,
    .tag = "tag",
    .n_args = 4,
    .args = full_args,
    .cwd = "/tmp/x",
    .n_nodes = 3,
    .n_ranks = 12,
    .n_env = 2,
    .env = full_env,
    .n_marks = 4,
    .marks = full_marks,
};

static const char *const shell_args[] = {"echo $HOME | wc -c"};
static const struct mf_command shell = {
    .id = "12", .seq = 12, .is_shell = true, .n_args = 1, .args = shell_args};

/* The decoded copy of a command, for the caller to free. */
static struct mf_command *round_trip(const struct mf_command *command)
{
    struct mf_buffer buffer = {0};
    struct mf_command *copy = NULL;

    mf_command_encode(command, &buffer);
    cr_assert_eq(mf_buffer_status(&buffer), 0);
    cr_assert_eq(mf_command_decode(buffer.data, buffer.size, &copy), 0);
    /* The copy must not refer to the message. */
    memset(buffer.data, 0xff, buffer.size);
    mf_buffer_finish(&buffer);
    return copy;
}

static int decode(const struct mf_buffer *buffer)
{
    struct mf_command *command = NULL;
    int r = mf_command_decode(buffer->data, buffer->size, &command);

    cr_assert_eq(command != NULL, r == 0);
    free(command);
    return r;
}

static int encode_and_decode(const struct mf_command *command)
{
    struct mf_buffer buffer = {0};
    int r;

    mf_command_encode(command, &buffer);
    r = decode(&buffer);
    mf_buffer_finish(&buffer);
    return r;
}

Test(command, every_field_survives_the_journey)
{
    struct mf_command *copy = round_trip(&full);

    cr_assert_str_eq(copy->id, "fit");
    cr_assert(copy->has_given_id);
    cr_assert_eq(copy->seq, UINT64_C(1) << 40);
    cr_assert_str_eq(copy->tag, "tag");
    cr_assert(!copy->is_shell);
    cr_assert_eq(copy->n_args, 4u);
    for (int i = 0; i < 4; i++)
        cr_assert_str_eq(copy->args[i], full_args[i]);
    cr_assert_str_eq(copy->cwd, "/tmp/x");
    cr_assert(copy->n_nodes == 3 && copy->n_ranks == 12);
    cr_assert_eq(copy->n_env, 2u);
    for (int i = 0; i < 2; i++)
        cr_assert_str_eq(copy->env[i], full_env[i]);
    cr_assert_eq(copy->n_marks, 4u);
    cr_assert_eq(memcmp(copy->marks, full_marks, sizeof(full_marks)), 0);
    free(copy);
}

Test(command, absent_fields_stay_absent)
{
    struct mf_command *copy = round_trip(&shell);

    cr_assert(copy->is_shell);
    cr_assert(!copy->has_given_id);
    cr_assert_null(copy->tag);
    cr_assert_null(copy->cwd);
    cr_assert(copy->n_nodes == 0 && copy->n_ranks == 0);
    cr_assert_eq(copy->n_env, 0u);
    cr_assert_eq(copy->n_marks, 0u);
    cr_assert_str_eq(copy->args[0], shell_args[0]);
    free(copy);
}

Test(command, no_prefix_of_a_message_is_a_message)
{
    struct mf_buffer buffer = {0};
    size_t size;

    mf_command_encode(&full, &buffer);
    size = buffer.size;
    for (buffer.size = 0; buffer.size < size; buffer.size++) {
        /* In memory of its own size, so that a sanitizer sees a read past the end. */
        uint8_t *bytes = malloc(buffer.size + 1);
        struct mf_buffer cut = {.data = bytes, .size = buffer.size};

        memcpy(bytes, buffer.data, buffer.size);
        cr_assert_eq(decode(&cut), -EBADMSG, "%zu of %zu bytes", buffer.size, size);
        free(bytes);
    }
    mf_buffer_finish(&buffer);
}

Test(command, bytes_behind_a_message_are_refused)
{
    struct mf_buffer buffer = {0};

    mf_command_encode(&full, &buffer);
    mf_buffer_put_u8(&buffer, 0);
    cr_assert_eq(decode(&buffer), -EBADMSG);
    mf_buffer_finish(&buffer);
}

Test(command, damaged_bytes_never_do_harm)
{
    struct mf_buffer buffer = {0};
    struct mf_rng rng;

    mf_rng_init(&rng, 9);
    for (int i = 0; i < 20000; i++) {
        int r;

        mf_buffer_clear(&buffer);
        mf_command_encode(&full, &buffer);
        for (uint64_t n = mf_rng_below(&rng, 4); n < 4; n++)
            buffer.data[mf_rng_below(&rng, buffer.size)] = (uint8_t)mf_rng_next(&rng);
        r = decode(&buffer);
        cr_assert(r == 0 || r == -EBADMSG, "%d", r);
    }
    mf_buffer_finish(&buffer);
}

/* Where the counts stand: behind seq and flags. */
enum { FLAGS_AT = 8, N_ARGS_AT = 9, N_ENV_AT = 13, N_MARKS_AT = 17 };

/* Makes a wrong count show as -ENOMEM; a sanitizer needs all the address space. */
static void limit_memory(void)
{
#ifndef __SANITIZE_ADDRESS__
    struct rlimit limit = {.rlim_cur = 1 << 30, .rlim_max = 1 << 30};

    cr_assert_eq(setrlimit(RLIMIT_AS, &limit), 0);
#endif
}

Test(command, counts_beyond_the_message_are_refused_before_any_memory_is_taken)
{
    static const size_t places[] = {N_ARGS_AT, N_ENV_AT, N_MARKS_AT};
    struct mf_buffer buffer = {0};

    limit_memory();
    for (size_t i = 0; i < 3; i++) {
        mf_buffer_clear(&buffer);
        mf_command_encode(&full, &buffer);
        mf_buffer_patch_u32(&buffer, places[i], UINT32_MAX);
        cr_assert_eq(decode(&buffer), -EBADMSG);
    }
    mf_buffer_finish(&buffer);
}

Test(command, unknown_flags_are_refused)
{
    struct mf_buffer buffer = {0};

    mf_command_encode(&full, &buffer);
    buffer.data[FLAGS_AT] |= 0x80;
    cr_assert_eq(decode(&buffer), -EBADMSG);
    mf_buffer_finish(&buffer);
}

Test(command, a_nul_inside_a_text_is_refused)
{
    struct mf_buffer buffer = {0};
    uint8_t *found;

    mf_command_encode(&full, &buffer);
    found = memmem(buffer.data, buffer.size, "./sim", 5);
    found[2] = '\0';
    cr_assert_eq(decode(&buffer), -EBADMSG);
    mf_buffer_finish(&buffer);
}

Test(command, a_mark_may_stand_at_the_end_but_not_behind_it)
{
    struct mf_slot_mark mark = {.arg = 0, .offset = (uint32_t)strlen(shell_args[0])};
    struct mf_command command = shell;

    command.n_marks = 1;
    command.marks = &mark;
    cr_assert_eq(encode_and_decode(&command), 0);
    mark.offset++;
    cr_assert_eq(encode_and_decode(&command), -EBADMSG);
    mark = (struct mf_slot_mark){.arg = 1};
    cr_assert_eq(encode_and_decode(&command), -EBADMSG);
}

Test(command, marks_out_of_order_are_refused)
{
    struct mf_slot_mark marks[] = {{0, 2}, {0, 1}};
    struct mf_command command = full;

    command.n_marks = 2;
    command.marks = marks;
    cr_assert_eq(encode_and_decode(&command), -EBADMSG);
    marks[0] = (struct mf_slot_mark){1, 0};
    cr_assert_eq(encode_and_decode(&command), -EBADMSG);
    marks[0] = (struct mf_slot_mark){0, 1};
    cr_assert_eq(encode_and_decode(&command), 0);
}

Test(command, there_must_be_something_to_run)
{
    struct mf_command command = full;

    command.n_args = command.n_marks = 0;
    cr_assert_eq(encode_and_decode(&command), -EBADMSG);
}

Test(command, a_shell_command_is_one_text)
{
    struct mf_command command = full;

    command.is_shell = true;
    cr_assert_eq(encode_and_decode(&command), -EBADMSG);
}

static const char *const input[] = {"3 'x'"};
static const struct mf_command function = {
    .id = "7", .seq = 7, .function = "render", .n_args = 1, .args = input};

Test(command, a_function_survives_the_journey)
{
    struct mf_command *copy = round_trip(&function);
    struct mf_command two = function;

    cr_assert_str_eq(copy->function, "render");
    cr_assert_str_eq(copy->args[0], input[0]);
    free(copy);
    two.n_args = 2;
    two.args = full_args;
    cr_assert_eq(encode_and_decode(&two), -EBADMSG);
}

static bool is_function(const struct mf_command *command)
{
    struct mf_buffer buffer = {0};
    bool is;

    mf_command_encode(command, &buffer);
    is = mf_command_is_function(buffer.data, buffer.size);
    mf_buffer_finish(&buffer);
    return is;
}

Test(command, a_function_is_told_from_a_command)
{
    cr_assert(is_function(&function));
    cr_assert(!is_function(&full));
    cr_assert(!is_function(&shell));
    cr_assert(!mf_command_is_function("", 0));
}

static bool same_key(const struct mf_command *a, const struct mf_command *b)
{
    uint8_t key_a[MF_KEY_SIZE], key_b[MF_KEY_SIZE];

    mf_command_key(a, key_a);
    mf_command_key(b, key_b);
    return memcmp(key_a, key_b, MF_KEY_SIZE) == 0;
}

Test(command_key, it_survives_the_journey)
{
    struct mf_command *copy = round_trip(&full);

    cr_assert(same_key(copy, &full));
    free(copy);
}

Test(command_key, it_is_the_same_on_every_machine_and_in_every_version)
{
    static const char *const args[] = {"a", "b"};
    const struct mf_command command = {.id = "1", .seq = 1, .n_args = 2, .args = args};
    static const uint8_t expected[MF_KEY_SIZE] = {0xd5, 0x3d, 0x3f, 0xb1, 0xbd, 0x5f, 0xff, 0x10,
                                                  0x46, 0x00, 0x42, 0x88, 0x40, 0x67, 0xe9, 0xd6};
    uint8_t key[MF_KEY_SIZE];

    mf_command_key(&command, key);
    cr_assert_arr_eq(key, expected, MF_KEY_SIZE);
}

Test(command_key, a_line_may_move)
{
    struct mf_command moved = shell;

    moved.id = "99";
    moved.seq = 99;
    moved.tag = "new tag";
    cr_assert(same_key(&moved, &shell));
}

Test(command_key, a_given_id_is_part_of_it)
{
    struct mf_command other = full;

    other.id = "fit2";
    cr_assert(!same_key(&other, &full));
    other.id = full.id;
    other.has_given_id = false;
    cr_assert(!same_key(&other, &full));
}

Test(command_key, what_runs_is_part_of_it)
{
    static const struct mf_slot_mark moved_mark[] = {{0, 1}};
    struct mf_command other;

    other = full, other.n_args = 3;
    cr_assert(!same_key(&other, &full));
    other = full, other.n_env = 1;
    cr_assert(!same_key(&other, &full));
    other = full, other.cwd = NULL;
    cr_assert(!same_key(&other, &full));
    other = full, other.cwd = "/tmp/y";
    cr_assert(!same_key(&other, &full));
    other = full, other.n_marks = 0;
    cr_assert(!same_key(&other, &full));
    other = full, other.n_marks = 1, other.marks = moved_mark;
    cr_assert(!same_key(&other, &full));
    other = full, other.n_ranks = 11;
    cr_assert(!same_key(&other, &full));
    other = full, other.n_nodes = 2;
    cr_assert(same_key(&other, &full), "where it runs is not");
    other = shell, other.is_shell = false;
    cr_assert(!same_key(&other, &shell));
}

Test(command_key, a_function_is_not_a_command_with_its_input)
{
    struct mf_command other = function;

    other.function = NULL;
    cr_assert(!same_key(&other, &function));
    other.function = "rende";
    cr_assert(!same_key(&other, &function));
    other.function = "render";
    cr_assert(same_key(&other, &function));
    other.args = full_args;
    cr_assert(!same_key(&other, &function));
}

Test(command_key, where_one_text_ends_and_the_next_begins_is_part_of_it)
{
    static const char *const ab_c[] = {"ab", "c"};
    static const char *const a_bc[] = {"a", "bc"};
    const struct mf_command one = {.id = "1", .n_args = 2, .args = ab_c};
    const struct mf_command two = {.id = "1", .n_args = 2, .args = a_bc};
    const struct mf_command as_env = {
        .id = "1", .n_args = 1, .args = ab_c, .n_env = 1, .env = ab_c + 1};

    cr_assert(!same_key(&one, &two));
    cr_assert(!same_key(&one, &as_env));
}

Test(command_key, an_empty_directory_is_not_an_absent_one)
{
    struct mf_command with = shell;

    with.cwd = "";
    cr_assert(!same_key(&with, &shell));
}
