/* Bytes with file descriptors, from process to process, over a Unix socket. Nothing blocks. */
#ifndef MF_BASE_PASSING_H
#define MF_BASE_PASSING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/** Descriptors that go with one message at most. */
#define MF_PASSING_MAX_FDS 2

/**
 * mf_pass() - send bytes, and descriptors with the first of them.
 *
 * @fds  n_fds of them, 0 .. MF_PASSING_MAX_FDS; they stay the caller's
 *
 * Returns how many bytes were sent, which may be fewer than n on a stream; or -errno: -EAGAIN where
 * it would block.
 */
ssize_t mf_pass(int socket, const void *data, size_t n, const int *fds, uint32_t n_fds);

/**
 * mf_take_passed() - receive bytes, and the descriptors that came with them.
 *
 * @ret_fds     of MF_PASSING_MAX_FDS, the caller's to close; closed by exec
 * @ret_n_fds   how many there are
 * @ret_is_cut  there were more, and this process may have no more; may be NULL
 *
 * Returns how many bytes came, 0 where the other end is closed, or -errno: -EAGAIN where there is
 * nothing yet.
 */
ssize_t mf_take_passed(int socket, void *data, size_t size, int ret_fds[MF_PASSING_MAX_FDS],
                       uint32_t *ret_n_fds, bool *ret_is_cut);

#endif
