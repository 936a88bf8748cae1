/* Where the socket of a run directory is: shared by both ends. */
#ifndef MF_CONTROL_PLACE_H
#define MF_CONTROL_PLACE_H

#include "base/error.h"

#include <sys/un.h>

/**
 * mf_control_open_place() - the run directory, and the address of the socket in it.
 *
 * The address goes through the open directory, as names of sockets have at most
 * 107 bytes; it holds while the descriptor is open. A directory that is not
 * the caller's own is refused: its socket could be anybody's.
 *
 * Returns the descriptor, the caller's to close, or -errno with a sentence.
 */
int mf_control_open_place(const char *run_dir, struct sockaddr_un *ret_address,
                          struct mf_error *err);

/** Whether the process at the other end of a socket is of the caller's own user. */
int mf_control_is_own(int fd);

#endif
