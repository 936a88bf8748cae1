/* The launcher process from inside. */
#ifndef MF_EXEC_LAUNCHER_H
#define MF_EXEC_LAUNCHER_H

#include "exec/process.h"

/**
 * mf_launcher_main() - be the launcher and its keeper until the rank is gone.
 *
 * Called in a process that was just forked and has one thread, and that becomes the keeper.
 *
 * @fd  the launcher's end of the socket; every other descriptor but standard
 *      error is closed
 */
_Noreturn void mf_launcher_main(const struct mf_launcher_config *config, int fd);

#endif
