/*
 * What to execute for a task, a command or a function of a module: the part of
 * a task that the scheduling core does not look at, and that travels as opaque
 * bytes from the task file on rank 0 to the executor of a worker.
 */
#ifndef MF_BASE_COMMAND_H
#define MF_BASE_COMMAND_H

#include "base/buffer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/**
 * A place in an argument where the number of the slot is inserted when the
 * command starts ({%} of `mpifarm map`).
 *
 * @arg     index of the argument
 * @offset  byte in it before which the number goes
 */
struct mf_slot_mark {
    uint32_t arg;
    uint32_t offset;
};

/** Bytes of the identity of a command. */
#define MF_KEY_SIZE 16

/**
 * A command. All pointers are borrowed or belong to the block that
 * mf_command_decode() returned.
 *
 * @id            the task's id as the user knows it: given, or its line number
 * @has_given_id  whether the user gave it
 * @seq           1, 2, 3, ... in the order of the input
 * @tag           what --tag puts before each line
 * @function      name of the function to call, whose input is args[0], the only one; NULL for a
 *                command, which all else is about
 * @has_outs      {out:ID} in args[] stands for a path: see outs.h; there are no marks then
 * @is_shell      args[0] is one text for /bin/sh -c; else args is an argument vector
 * @args          n_args texts, no NULL at the end
 * @cwd           directory to run in, NULL for that of the farm
 * @n_nodes       it has room on so many nodes, 0 for one
 * @n_ranks       it is to be started as so many ranks of an MPI program, 0 for as it is
 * @env           n_env texts "NAME=value" added to the environment
 * @marks         n_marks places for the slot number, in ascending order
 */
struct mf_command {
    const char *id;
    bool has_given_id;
    uint64_t seq;
    const char *tag;
    const char *function;
    bool has_outs;
    bool is_shell;
    uint32_t n_args;
    const char *const *args;
    const char *cwd;
    uint32_t n_nodes;
    uint32_t n_ranks;
    uint32_t n_env;
    const char *const *env;
    uint32_t n_marks;
    const struct mf_slot_mark *marks;
};

/** Appends the command's bytes; failure shows in mf_buffer_status(). */
void mf_command_encode(const struct mf_command *command, struct mf_buffer *buffer);

/**
 * mf_command_decode() - bytes to a command.
 *
 * The result is one heap block that the caller frees with free(); it does not
 * refer to data. Counts and marks are checked, so it is safe on any bytes. A
 * command without arguments, or a shell command or function with more than its
 * text, is refused.
 *
 * Returns 0, -EBADMSG or -ENOMEM.
 */
int mf_command_decode(const void *data, size_t size, struct mf_command **ret_command);

/** Whether the bytes are those of a command with room on several nodes, or of several ranks. */
bool mf_command_is_spread(const void *data, size_t size);

/** Whether the bytes are those of a function, without looking at all of them. */
bool mf_command_is_function(const void *data, size_t size);

/**
 * mf_command_print() - the command as one line that a shell would run alike.
 *
 * Arguments that need it are quoted for sh; newlines in a shell text are kept.
 * Where the slot number goes stands {%}. cwd and env are not shown. A function
 * is printed as its line in a task file: "[func=name] input".
 */
void mf_command_print(const struct mf_command *command, struct mf_buffer *buffer);

/** Appends text quoted for sh if any character needs it. */
void mf_shell_quote(const char *text, struct mf_buffer *buffer);

/** The same into a file; unquoted where memory is out, which is better than nothing. */
void mf_shell_put(const char *text, FILE *file);

/**
 * mf_command_key() - identity of a command across runs.
 *
 * XXH3-128 over the given id (not a line number), the function, the arguments
 * with their marks, cwd and env: what --resume compares, so that lines may move.
 */
void mf_command_key(const struct mf_command *command, uint8_t ret_key[MF_KEY_SIZE]);

/** A number that two encoded commands share only if they are the same, as far as chance goes. */
uint64_t mf_command_fingerprint(const void *encoded, size_t size);

#endif
