/* A file, or standard input, with one argument per line. */
#ifndef MF_TASKFILE_ARGUMENT_FILE_H
#define MF_TASKFILE_ARGUMENT_FILE_H

#include "taskfile/arena.h"
#include "taskfile/lines.h"

/**
 * @index     of the lines read so far
 * @is_known  whether the end was reached once
 * @longest   bytes of the longest argument read so far
 * @front, @back  readers for next and load
 */
struct mf_argument_file {
    struct mf_input input;
    struct mf_index index;
    bool is_known;
    size_t longest;
    struct mf_lines front, back;
};

/** Opens as mf_input_open() does, with path borrowed. */
int mf_argument_file_open(struct mf_argument_file *file, const char *path, struct mf_error *err);

/** Closes and frees what open and reading made. */
void mf_argument_file_close(struct mf_argument_file *file);

/**
 * mf_argument_file_next() - read the next argument.
 *
 * A line is taken as it is; only its newline is not part of it.
 *
 * Returns 0 with the argument, copied to the arena, 1 at the end, -EAGAIN, or
 * -errno with a sentence in err.
 */
int mf_argument_file_next(struct mf_argument_file *file, struct mf_arena *arena,
                          const char **ret_argument, struct mf_error *err);

/** As next, but waits until there is something. */
int mf_argument_file_wait(struct mf_argument_file *file, struct mf_arena *arena,
                          const char **ret_argument, struct mf_error *err);

/** The argument of that number, from 0, that was read before. Returns 0 or -errno. */
int mf_argument_file_load(struct mf_argument_file *file, uint64_t number, struct mf_arena *arena,
                          const char **ret_argument, struct mf_error *err);

/** Makes next begin anew. */
void mf_argument_file_rewind(struct mf_argument_file *file);

#endif
