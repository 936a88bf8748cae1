/*
 * End-to-end tests run real programs: shell commands in a directory of their
 * own, with the mpifarm that was built first in PATH.
 */
#ifndef T_SHELL_H
#define T_SHELL_H

#include <stdbool.h>
#include <stddef.h>

/**
 * What a command did.
 *
 * @status  exit status, or 128 + signal; 124 when it took more than five minutes
 *          and was ended
 * @out, @err   what it wrote, with a NUL behind; valid until the test ends
 */
struct t_result {
    int status;
    char *out;
    size_t out_size;
    char *err;
    size_t err_size;
};

/** Makes a fresh directory and enters it; .init of an end-to-end suite. */
void t_enter_dir(void);

/** Leaves and removes it; .fini of the suite. */
void t_leave_dir(void);

/**
 * Runs /bin/sh -c with the formatted text and waits for its end. The text can use
 *   await COMMAND...   to repeat a command until it succeeds
 *   is_alive PID       to know whether a process is there that has not ended
 *   rank_of PID N      for the process of rank N that mpirun PID has started
 */
struct t_result t_sh(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** Writes a file in the current directory. */
void t_write(const char *path, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** Reads a whole file, with a NUL behind; fails the test if there is none. */
char *t_read(const char *path);

/** Whether part occurs in text. */
bool t_has(const char *text, const char *part);

/** How many lines of text begin with prefix ("" for all lines). */
int t_count_lines(const char *text, const char *prefix);

/** Waits until a file exists, at most five minutes; fails the test otherwise. */
void t_await_file(const char *path);

/**
 * "mpirun ... mpifarm" as t_mpifarm(), but the ranks live on when one dies. Valid until the next
 * call of either.
 */
const char *t_mpifarm_surviving(int ranks);

/** "mpifarm", or "mpirun ... -n RANKS mpifarm" for ranks > 0. Valid until the next call. */
const char *t_mpifarm(int ranks);

#endif
