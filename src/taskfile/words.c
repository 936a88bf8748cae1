/*
 * Tells plain words from shell syntax: see words.h.
 *
 * When in doubt a line goes to the shell, which is slower but never wrong.
 * Nothing is owned here; one thread.
 */
#include "taskfile/words.h"

#include "base/outs.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What a character means to sh, by where it stands. */
enum meaning {
    MEANS_SYNTAX = 1 << 0,        /* anywhere */
    MEANS_AT_WORD_START = 1 << 1, /* as the first character of a word */
    MEANS_IN_FIRST_WORD = 1 << 2, /* an assignment */
    MEANS_END_OF_WORD = 1 << 3,
};

static const uint8_t meanings[256] = {
    ['|'] = MEANS_SYNTAX,        ['&'] = MEANS_SYNTAX,        [';'] = MEANS_SYNTAX,
    ['<'] = MEANS_SYNTAX,        ['>'] = MEANS_SYNTAX,        ['('] = MEANS_SYNTAX,
    [')'] = MEANS_SYNTAX,        ['$'] = MEANS_SYNTAX,        ['`'] = MEANS_SYNTAX,
    ['\\'] = MEANS_SYNTAX,       ['"'] = MEANS_SYNTAX,        ['\''] = MEANS_SYNTAX,
    ['*'] = MEANS_SYNTAX,        ['?'] = MEANS_SYNTAX,        ['['] = MEANS_SYNTAX,
    [']'] = MEANS_SYNTAX,        ['!'] = MEANS_SYNTAX,        ['{'] = MEANS_SYNTAX,
    ['}'] = MEANS_SYNTAX,        ['^'] = MEANS_SYNTAX,        ['\n'] = MEANS_SYNTAX,
    ['#'] = MEANS_AT_WORD_START, ['~'] = MEANS_AT_WORD_START, ['='] = MEANS_IN_FIRST_WORD,
    [' '] = MEANS_END_OF_WORD,   ['\t'] = MEANS_END_OF_WORD,
};

/*
 * Keywords and builtins of dash, bash and POSIX that no program replaces, in
 * strcmp() order. echo, printf, test, true, false, kill and pwd are programs too.
 */
static const char *const reserved[] = {
    ".",       ":",     "alias",   "bg",      "break",     "builtin",  "caller",  "case",
    "cd",      "chdir", "command", "compgen", "continue",  "coproc",   "declare", "dirs",
    "disown",  "do",    "done",    "elif",    "else",      "enable",   "esac",    "eval",
    "exec",    "exit",  "export",  "fc",      "fg",        "fi",       "for",     "function",
    "getopts", "hash",  "history", "if",      "in",        "jobs",     "let",     "local",
    "mapfile", "popd",  "pushd",   "read",    "readarray", "readonly", "return",  "select",
    "set",     "shift", "shopt",   "source",  "suspend",   "then",     "time",    "times",
    "trap",    "type",  "typeset", "ulimit",  "umask",     "unalias",  "unset",   "until",
    "wait",    "while",
};

#define BASH "/bin/bash"

#define N_RESERVED (sizeof(reserved) / sizeof(reserved[0]))
#define RESERVED_LENGTH_MAX 9

static int compare_words(const void *a, const void *b)
{
    return strcmp(a, *(const char *const *)b);
}

bool mf_words_is_reserved(const char *word, size_t size)
{
    char name[RESERVED_LENGTH_MAX + 1];

    if (size == 0 || size > RESERVED_LENGTH_MAX)
        return false;
    memcpy(name, word, size);
    name[size] = '\0';
    return bsearch(name, reserved, N_RESERVED, sizeof(reserved[0]), compare_words) != NULL;
}

/* Returns the end of the word that begins at text, or NULL where a character means something. */
static const char *pass_word(const char *text, const char *end, unsigned special)
{
    unsigned meaning = special | MEANS_AT_WORD_START | MEANS_END_OF_WORD;

    for (; text < end; text++) {
        unsigned found = meanings[(uint8_t)*text] & meaning;

        if (found)
            return found & MEANS_END_OF_WORD ? text : NULL;
        meaning = special | MEANS_END_OF_WORD;
    }
    return end;
}

static const char *pass_blanks(const char *text, const char *end)
{
    while (text < end && mf_is_blank(*text))
        text++;
    return text;
}

/* Whether text needs a shell; if not, *ret_n_words is how many words it has. */
static bool needs_shell(const char *text, size_t size, uint32_t *ret_n_words)
{
    const char *end = text + size;
    const char *word = pass_blanks(text, end);
    const char *at = pass_word(word, end, MEANS_SYNTAX | MEANS_IN_FIRST_WORD);
    uint32_t n_words = 1;

    if (!at || mf_words_is_reserved(word, (size_t)(at - word)))
        return true;
    for (at = pass_blanks(at, end); at < end; at = pass_blanks(at, end)) {
        at = pass_word(at, end, MEANS_SYNTAX);
        if (!at)
            return true;
        n_words++;
    }
    *ret_n_words = n_words;
    return false;
}

/* The same where {out:ID} stands for a path, which is made of ordinary characters. */
static int needs_shell_for_paths(const char *text, size_t size, uint32_t *ret_n_words)
{
    char *probe = malloc(size + 1);
    struct mf_out out;
    bool is_shell;

    if (!probe)
        return -ENOMEM;
    memcpy(probe, text, size);
    for (size_t at = 0; mf_outs_next(text, size, at, &out); at = mf_outs_behind(&out))
        if (!out.is_literal)
            memset(probe + out.offset, '/', out.size);
    is_shell = needs_shell(probe, size, ret_n_words);
    free(probe);
    return is_shell;
}

bool mf_words_need_shell(const char *text, size_t size)
{
    uint32_t n_words;

    return needs_shell(text, size, &n_words);
}

int mf_words_check_length(const char *what, uint64_t length, struct mf_error *err)
{
    if (length <= MF_ARGUMENT_BYTES_MAX)
        return 0;
    return mf_error_set(err, -E2BIG,
                        "the %s is %llu bytes long, but the system takes no more than %zu", what,
                        (unsigned long long)length, MF_ARGUMENT_BYTES_MAX);
}

/* Splits text, which ends in a NUL, in place. */
static void split_words(char *text, char *end, const char **args, uint32_t n_args)
{
    for (uint32_t i = 0; i < n_args; i++) {
        while (mf_is_blank(*text))
            text++;
        args[i] = text;
        while (text < end && !mf_is_blank(*text))
            text++;
        *text++ = '\0';
    }
}

int mf_words_to_command(const char *text, size_t size, struct mf_arena *arena,
                        struct mf_command *command)
{
    uint32_t n_args = 1;
    int is_shell = command->has_outs ? needs_shell_for_paths(text, size, &n_args)
                                     : needs_shell(text, size, &n_args);
    char *copy = mf_arena_copy(arena, text, size);
    const char **args = mf_arena_alloc(arena, n_args * sizeof(*args));

    if (is_shell < 0 || !copy || !args)
        return -ENOMEM;
    if (is_shell)
        args[0] = copy;
    else
        split_words(copy, copy + size, args, n_args);
    command->is_shell = is_shell;
    command->n_args = n_args;
    command->args = args;
    return 0;
}

int mf_words_to_input(const char *text, size_t size, struct mf_arena *arena,
                      struct mf_command *command)
{
    const char **args = mf_arena_alloc(arena, sizeof(*args));

    if (!args)
        return -ENOMEM;
    args[0] = mf_arena_copy(arena, text, size);
    if (!args[0])
        return -ENOMEM;
    command->is_shell = false;
    command->n_args = 1;
    command->args = args;
    return 0;
}

int mf_words_to_bash(const char *text, size_t size, struct mf_arena *arena,
                     struct mf_command *command)
{
    const char **args;
    int r = mf_words_to_command(text, size, arena, command);

    if (r < 0 || !command->is_shell)
        return r;
    args = mf_arena_alloc(arena, 3 * sizeof(*args));
    if (!args)
        return -ENOMEM;
    args[0] = BASH;
    args[1] = "-c";
    args[2] = command->args[0];
    command->is_shell = false;
    command->args = args;
    command->n_args = 3;
    return 0;
}

/* Whether this is what mf_words_to_bash() makes. */
static bool is_bash(const struct mf_command *command)
{
    return command->n_args == 3 && strcmp(command->args[0], BASH) == 0 &&
           strcmp(command->args[1], "-c") == 0;
}

/* Whether the word is NAME=value, which sh takes as such before a command. */
static bool is_assignment(const char *word, size_t size)
{
    const char *sign = memchr(word, '=', size);

    if (!sign || sign == word || isdigit((unsigned char)*word))
        return false;
    for (const char *at = word; at < sign; at++)
        if (!isalnum((unsigned char)*at) && *at != '_')
            return false;
    return true;
}

/* The first word of a text for sh that is no assignment. */
static const char *first_word(const char *text, size_t *ret_size)
{
    size_t size;

    do {
        text += strspn(text, " \t\n;|&<>()");
        size = strcspn(text, " \t\n;|&<>()");
        *ret_size = size;
        if (size == 0 || !is_assignment(text, size))
            return text;
        text += size;
    } while (true);
}

const char *mf_words_program(const struct mf_command *command, size_t *ret_size)
{
    const char *word = command->function ? command->function : command->args[0];
    const char *slash;

    *ret_size = strlen(word);
    if (command->function)
        return word;
    if (command->is_shell)
        word = first_word(word, ret_size);
    else if (is_bash(command))
        word = first_word(command->args[2], ret_size);
    slash = memrchr(word, '/', *ret_size);
    if (slash) {
        *ret_size -= (size_t)(slash + 1 - word);
        word = slash + 1;
    }
    return word;
}
