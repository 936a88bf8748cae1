/* One line of a JSON Lines task file. */
#ifndef MF_TASKFILE_JSONL_H
#define MF_TASKFILE_JSONL_H

#include "base/command.h"
#include "taskfile/keys.h"

/**
 * mf_jsonl_parse() - an object to fields and a command.
 *
 * @text  size bytes
 *
 * Sets is_shell, args and n_args of the command. Returns 0, or -errno with a
 * sentence in err.
 */
int mf_jsonl_parse(const char *text, size_t size, struct mf_fields *fields,
                   struct mf_command *command, struct mf_arena *arena, struct mf_error *err);

#endif
