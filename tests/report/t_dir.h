/* A temporary directory for a test, and what files in it hold. */
#ifndef MF_TESTS_REPORT_T_DIR_H
#define MF_TESTS_REPORT_T_DIR_H

#include <stddef.h>
#include <stdint.h>

/** Makes the directory; called as a suite's init. */
void t_dir_begin(void);

/** Removes it with all that is in it. */
void t_dir_end(void);

/** "DIR/NAME", valid until four calls later. */
const char *t_path(const char *name);

/** The bytes of a file as text, valid until the next call. */
const char *t_read_file(const char *name);

/** Limits the size of files as a full disk would; RLIM_INFINITY takes it back. */
void t_limit_file_size(uint64_t bytes);

#endif
