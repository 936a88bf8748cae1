/*
 * What to execute for a task, as bytes and back, and its identity: see command.h.
 *
 * Encoded: seq u64, flags u8, n_args u32, n_env u32, n_marks u32, n_nodes u32 and n_ranks u32 if
 * the flags announce them; the texts id,
 * tag, cwd, function (those that the flags announce), args, env; per mark arg
 * u32 and offset u32. All counts stand in front, so that one bounded block can be
 * taken before anything is copied. A decoded command owns no memory but its
 * own block. One thread.
 */
#include "base/command.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Inlined, the state of the hash lives on the stack and nothing can fail. */
#define XXH_INLINE_ALL
#include <xxhash.h>

enum command_flag {
    HAS_GIVEN_ID = 1 << 0,
    IS_SHELL = 1 << 1,
    HAS_TAG = 1 << 2,
    HAS_CWD = 1 << 3,
    HAS_FUNCTION = 1 << 4,
    HAS_OUTS = 1 << 5,
    HAS_RANKS = 1 << 6,
    ALL_FLAGS = HAS_GIVEN_ID | IS_SHELL | HAS_TAG | HAS_CWD | HAS_FUNCTION | HAS_OUTS | HAS_RANKS,
};

/* The least that a text and exactly what a mark take in the message. */
#define TEXT_BYTES sizeof(uint32_t)
#define MARK_BYTES (2 * sizeof(uint32_t))

static uint8_t flags_of(const struct mf_command *command)
{
    return (command->has_given_id ? HAS_GIVEN_ID : 0) | (command->is_shell ? IS_SHELL : 0) |
           (command->tag ? HAS_TAG : 0) | (command->cwd ? HAS_CWD : 0) |
           (command->function ? HAS_FUNCTION : 0) | (command->has_outs ? HAS_OUTS : 0) |
           (command->n_nodes | command->n_ranks ? HAS_RANKS : 0);
}

void mf_command_encode(const struct mf_command *command, struct mf_buffer *buffer)
{
    mf_buffer_put_u64(buffer, command->seq);
    mf_buffer_put_u8(buffer, flags_of(command));
    mf_buffer_put_u32(buffer, command->n_args);
    mf_buffer_put_u32(buffer, command->n_env);
    mf_buffer_put_u32(buffer, command->n_marks);
    if (command->n_nodes | command->n_ranks) {
        mf_buffer_put_u32(buffer, command->n_nodes);
        mf_buffer_put_u32(buffer, command->n_ranks);
    }

    mf_buffer_put_text(buffer, command->id);
    if (command->tag)
        mf_buffer_put_text(buffer, command->tag);
    if (command->cwd)
        mf_buffer_put_text(buffer, command->cwd);
    if (command->function)
        mf_buffer_put_text(buffer, command->function);
    for (uint32_t i = 0; i < command->n_args; i++)
        mf_buffer_put_text(buffer, command->args[i]);
    for (uint32_t i = 0; i < command->n_env; i++)
        mf_buffer_put_text(buffer, command->env[i]);
    for (uint32_t i = 0; i < command->n_marks; i++) {
        mf_buffer_put_u32(buffer, command->marks[i].arg);
        mf_buffer_put_u32(buffer, command->marks[i].offset);
    }
}

/* Copies one text to *text_area, which then points behind its NUL; NULL on bad bytes. */
static const char *decode_text(struct mf_reader *reader, char **text_area)
{
    size_t n;
    const uint8_t *bytes = mf_reader_get_bytes(reader, &n);
    char *text = *text_area;

    if (!bytes)
        return NULL;
    /* A NUL inside would make the text another one. */
    if (memchr(bytes, '\0', n)) {
        reader->has_failed = true;
        return NULL;
    }
    memcpy(text, bytes, n);
    text[n] = '\0';
    *text_area += n + 1;
    return text;
}

/* Marks lie inside their arguments and ascend, as those who insert the number rely on. */
static bool marks_are_valid(const struct mf_command *command)
{
    const struct mf_slot_mark *previous = NULL;

    for (uint32_t i = 0; i < command->n_marks; i++) {
        const struct mf_slot_mark *mark = &command->marks[i];

        if (mark->arg >= command->n_args || mark->offset > strlen(command->args[mark->arg]))
            return false;
        if (previous && (mark->arg < previous->arg ||
                         (mark->arg == previous->arg && mark->offset < previous->offset)))
            return false;
        previous = mark;
    }
    return true;
}

/* A command to run has one shell text, or a program and its arguments; a function has its input. */
static bool header_is_valid(const struct mf_command *command, uint8_t flags, size_t left)
{
    uint64_t least = ((uint64_t)command->n_args + command->n_env) * TEXT_BYTES +
                     (uint64_t)command->n_marks * MARK_BYTES;

    bool has_one = flags & (IS_SHELL | HAS_FUNCTION);

    if (flags & ~ALL_FLAGS || command->n_args == 0 || (has_one && command->n_args != 1) ||
        (command->has_outs && command->n_marks > 0))
        return false;
    return least <= left;
}

/* Reads texts and marks into the arrays and the text area behind the command. */
static int decode_body(struct mf_reader *reader, uint8_t flags, struct mf_command *command)
{
    struct mf_slot_mark *marks = (struct mf_slot_mark *)(command + 1);
    const char **args = (const char **)(marks + command->n_marks);
    const char **env = args + command->n_args;
    char *text_area = (char *)(env + command->n_env);
    int r;

    command->id = decode_text(reader, &text_area);
    command->tag = flags & HAS_TAG ? decode_text(reader, &text_area) : NULL;
    command->cwd = flags & HAS_CWD ? decode_text(reader, &text_area) : NULL;
    command->function = flags & HAS_FUNCTION ? decode_text(reader, &text_area) : NULL;
    for (uint32_t i = 0; i < command->n_args; i++)
        args[i] = decode_text(reader, &text_area);
    for (uint32_t i = 0; i < command->n_env; i++)
        env[i] = decode_text(reader, &text_area);
    for (uint32_t i = 0; i < command->n_marks; i++) {
        marks[i].arg = mf_reader_get_u32(reader);
        marks[i].offset = mf_reader_get_u32(reader);
    }
    command->args = args;
    command->env = env;
    command->marks = marks;

    r = mf_reader_finish(reader);
    if (r < 0)
        return r;
    return marks_are_valid(command) ? 0 : -EBADMSG;
}

int mf_command_decode(const void *data, size_t size, struct mf_command **ret_command)
{
    struct mf_reader reader = mf_reader_over(data, size);
    struct mf_command header = {.seq = mf_reader_get_u64(&reader)};
    uint8_t flags = mf_reader_get_u8(&reader);
    struct mf_command *command;
    int r;

    header.has_given_id = flags & HAS_GIVEN_ID;
    header.has_outs = flags & HAS_OUTS;
    header.is_shell = flags & IS_SHELL;
    header.n_args = mf_reader_get_u32(&reader);
    header.n_env = mf_reader_get_u32(&reader);
    header.n_marks = mf_reader_get_u32(&reader);
    if (flags & HAS_RANKS) {
        header.n_nodes = mf_reader_get_u32(&reader);
        header.n_ranks = mf_reader_get_u32(&reader);
    }
    if (reader.has_failed || !header_is_valid(&header, flags, reader.left))
        return -EBADMSG;

    /* A text and its NUL are shorter than the same text behind its length. */
    command = malloc(sizeof(*command) + header.n_marks * sizeof(*command->marks) +
                     ((size_t)header.n_args + header.n_env) * sizeof(*command->args) + reader.left);
    if (!command)
        return -ENOMEM;
    *command = header;
    r = decode_body(&reader, flags, command);
    if (r < 0) {
        free(command);
        return r;
    }
    *ret_command = command;
    return 0;
}

bool mf_command_is_spread(const void *data, size_t size)
{
    struct mf_reader reader = mf_reader_over(data, size);

    (void)mf_reader_get_u64(&reader);
    return mf_reader_get_u8(&reader) & HAS_RANKS;
}

bool mf_command_is_function(const void *data, size_t size)
{
    struct mf_reader reader = mf_reader_over(data, size);

    (void)mf_reader_get_u64(&reader);
    return mf_reader_get_u8(&reader) & HAS_FUNCTION;
}

/* Feeds an integer as bytes that are the same on every machine. */
static void hash_integer(XXH3_state_t *state, uint64_t value)
{
    uint8_t bytes[sizeof(value)];

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
    XXH3_128bits_update(state, bytes, sizeof(bytes));
}

/* The length in front keeps "ab","c" and "a","bc" apart. */
static void hash_text(XXH3_state_t *state, const char *text)
{
    size_t n = strlen(text);

    hash_integer(state, n);
    XXH3_128bits_update(state, text, n);
}

void mf_command_key(const struct mf_command *command, uint8_t ret_key[MF_KEY_SIZE])
{
    XXH128_canonical_t canonical;
    XXH3_state_t state;

    XXH3_INITSTATE(&state);
    XXH3_128bits_reset(&state);
    /* What is absent is told apart from what is empty; a tag changes nothing that runs. */
    hash_integer(&state, flags_of(command) & ~(HAS_TAG | HAS_RANKS));
    if (command->n_ranks > 0)
        hash_integer(&state, command->n_ranks);
    if (command->has_given_id)
        hash_text(&state, command->id);
    if (command->cwd)
        hash_text(&state, command->cwd);
    if (command->function)
        hash_text(&state, command->function);
    hash_integer(&state, command->n_args);
    for (uint32_t i = 0; i < command->n_args; i++)
        hash_text(&state, command->args[i]);
    hash_integer(&state, command->n_env);
    for (uint32_t i = 0; i < command->n_env; i++)
        hash_text(&state, command->env[i]);
    hash_integer(&state, command->n_marks);
    for (uint32_t i = 0; i < command->n_marks; i++) {
        hash_integer(&state, command->marks[i].arg);
        hash_integer(&state, command->marks[i].offset);
    }

    XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(&state));
    _Static_assert(sizeof(canonical) == MF_KEY_SIZE, "the key is the whole hash");
    memcpy(ret_key, &canonical, sizeof(canonical));
}

uint64_t mf_command_fingerprint(const void *encoded, size_t size)
{
    return XXH3_64bits(encoded, size);
}
