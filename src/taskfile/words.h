/* What a command line means to a shell, and what it is without one. */
#ifndef MF_TASKFILE_WORDS_H
#define MF_TASKFILE_WORDS_H

#include "base/command.h"
#include "base/error.h"
#include "taskfile/arena.h"

/** The longest argument that the kernel accepts (MAX_ARG_STRLEN less its NUL). */
#define MF_ARGUMENT_BYTES_MAX ((size_t)131071)

static inline bool mf_is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/** Whether a command of size bytes needs /bin/sh; false means that splitting at blanks is enough.
 */
bool mf_words_need_shell(const char *text, size_t size);

/** Whether sh gives the word a meaning of its own when it stands first: a keyword or a builtin. */
bool mf_words_is_reserved(const char *word, size_t size);

/**
 * mf_words_check_length() - refuse what no system call can pass on.
 *
 * @what  what it is called in the sentence, such as "command"
 *
 * Returns 0, or -E2BIG with a sentence that names the length.
 */
int mf_words_check_length(const char *what, uint64_t length, struct mf_error *err);

/**
 * mf_words_to_command() - fill in is_shell, args and n_args.
 *
 * Where command->has_outs is set, {out:ID} is taken for a path: see base/outs.h.
 *
 * @text  size bytes without NUL that contain a character other than blanks; copied
 *
 * Returns 0 or -ENOMEM.
 */
int mf_words_to_command(const char *text, size_t size, struct mf_arena *arena,
                        struct mf_command *command);

/** The same with bash in place of sh, where a shell is needed. */
int mf_words_to_bash(const char *text, size_t size, struct mf_arena *arena,
                     struct mf_command *command);

/**
 * mf_words_program() - what a command is called by: the name of its program, without
 * directories, or of its function.
 *
 * Of a text for sh, the first word that is no assignment. Borrowed from the
 * command; size 0 if there is none.
 */
const char *mf_words_program(const struct mf_command *command, size_t *ret_size);

/** Makes size bytes without NUL the input of a function: args[0]. Returns 0 or -ENOMEM. */
int mf_words_to_input(const char *text, size_t size, struct mf_arena *arena,
                      struct mf_command *command);

#endif
