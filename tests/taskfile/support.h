/* What the tests of task files share: a directory of their own, files in it, tasks as text. */
#ifndef MF_TESTS_TASKFILE_SUPPORT_H
#define MF_TESTS_TASKFILE_SUPPORT_H

#include "taskfile/source.h"

#include <stddef.h>

/* Fixture: the test runs in an empty directory, which goes away with it. */
void t_enter(void);
void t_leave(void);

/* Writes a file; returns its name. */
const char *t_write(const char *name, const char *text);
const char *t_write_bytes(const char *name, const void *data, size_t n);

/* Whether tasks in files may call the function "render", the only one there is. */
extern bool t_has_functions;

/* What the run has of countables, when the first has a name. */
extern struct mf_countable t_countables[2];

/* Opens files of these names, up to a NULL; fails the test if that fails. */
struct mf_source *t_open(const char *first, ...) __attribute__((sentinel));

/* The sentence with which opening these files fails. */
const char *t_open_error(const char *first, ...) __attribute__((sentinel));

/* The same for the words of `mpifarm map`. */
struct mf_source *t_sweep(const char *first, ...) __attribute__((sentinel));
const char *t_sweep_error(const char *first, ...) __attribute__((sentinel));

/* The next task, which must be there. */
const struct mf_entry *t_next(struct mf_source *source);

/*
 * A task as text: "ID: [arg][arg]", "ID: sh TEXT" or "ID: FUNCTION [input]", the
 * keys that differ from their defaults behind it as " key=value". The number of the slot shows as
 * {%}.
 */
const char *t_show(const struct mf_entry *entry);

/* All further tasks, one per line; the error that ends them, if any, as the last line. */
const char *t_show_all(struct mf_source *source);

/* The tasks of one file with this text, or the error; the file is called a.farm. */
const char *t_tasks(const char *text);

/* The same for the words of a sweep. */
const char *t_combinations(const char *first, ...) __attribute__((sentinel));

/* What the command writes to standard output, size in ret_size. */
char *t_run(const struct mf_command *command, size_t *ret_size);

#endif
