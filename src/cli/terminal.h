/*
 * The terminal that standard error goes to. That of a rank which is supervised goes there through
 * pipes.
 */
#ifndef MF_CLI_TERMINAL_H
#define MF_CLI_TERMINAL_H

#include <stdbool.h>
#include <stdint.h>

/** Says what there is to ranks that this process has started; set for no task. */
#define MF_TERMINAL_VARIABLE "MPIFARM_TERMINAL"

/** Whether what is written to standard error arrives at a terminal. */
bool mf_terminal_is_there(void);

/** Its width; 0 when it is not known. */
uint32_t mf_terminal_columns(void);

/** Before ranks are started: lets them know. */
void mf_terminal_tell(void);

#endif
