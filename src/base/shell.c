/*
 * Commands as a line of shell: see command.h. Nothing is owned here; one thread.
 */
#include "base/command.h"

#include <string.h>

/* Stands where the number of the slot will be, as the user wrote it. */
#define SLOT_MARK "{%}"

/* Characters that mean nothing to sh wherever they stand in a word; "=" is one behind the first. */
static bool needs_no_quotes(const char *text)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "_-./:,+@%=";

    return text[0] != '\0' && text[strspn(text, plain)] == '\0';
}

static void put_quoted(const char *text, struct mf_buffer *buffer)
{
    mf_buffer_append(buffer, "'", 1);
    for (;;) {
        size_t n = strcspn(text, "'");

        mf_buffer_append(buffer, text, n);
        if (text[n] == '\0')
            break;
        /* Inside single quotes nothing can be escaped: leave them for one escaped quote. */
        mf_buffer_append(buffer, "'\\''", 4);
        text += n + 1;
    }
    mf_buffer_append(buffer, "'", 1);
}

void mf_shell_quote(const char *text, struct mf_buffer *buffer)
{
    if (needs_no_quotes(text))
        mf_buffer_append(buffer, text, strlen(text));
    else
        put_quoted(text, buffer);
}

/* Appends argument `arg` with its marks written out; *next_mark is the first mark to look at. */
static void put_marked(const struct mf_command *command, uint32_t arg, uint32_t *next_mark,
                       struct mf_buffer *buffer)
{
    const char *text = command->args[arg];
    size_t done = 0;

    for (; *next_mark < command->n_marks && command->marks[*next_mark].arg == arg; ++*next_mark) {
        size_t offset = command->marks[*next_mark].offset;

        mf_buffer_append(buffer, text + done, offset - done);
        mf_buffer_append(buffer, SLOT_MARK, strlen(SLOT_MARK));
        done = offset;
    }
    mf_buffer_append(buffer, text + done, strlen(text + done));
}

void mf_command_print(const struct mf_command *command, struct mf_buffer *buffer)
{
    struct mf_buffer word = {0};
    uint32_t next_mark = 0;

    if (command->function) {
        mf_buffer_print(buffer, "[func=%s]%s", command->function, command->args[0][0] ? " " : "");
        mf_buffer_append(buffer, command->args[0], strlen(command->args[0]));
        return;
    }
    if (command->is_shell) {
        put_marked(command, 0, &next_mark, buffer);
        return;
    }
    for (uint32_t arg = 0; arg < command->n_args; arg++) {
        mf_buffer_clear(&word);
        put_marked(command, arg, &next_mark, &word);
        mf_buffer_put_u8(&word, '\0');
        if (mf_buffer_status(&word) < 0) {
            buffer->has_failed = true;
            break;
        }
        if (arg > 0)
            mf_buffer_append(buffer, " ", 1);
        /* As the first word, a=b would be an assignment. */
        if (arg == 0 && strchr((const char *)word.data, '='))
            put_quoted((const char *)word.data, buffer);
        else
            mf_shell_quote((const char *)word.data, buffer);
    }
    mf_buffer_finish(&word);
}

void mf_shell_put(const char *text, FILE *file)
{
    struct mf_buffer quoted = {0};

    mf_shell_quote(text, &quoted);
    if (mf_buffer_status(&quoted) == 0)
        fwrite(quoted.data, 1, quoted.size, file);
    else
        fputs(text, file);
    mf_buffer_finish(&quoted);
}
