/*
 * Exit statuses of mpifarm, for programs and batch scripts around it.
 *
 * Usable from C and C++.
 */
#ifndef MPIFARM_EXIT_H
#define MPIFARM_EXIT_H

enum mpifarm_exit {
    MPIFARM_EXIT_DONE = 0,    /* all tasks are done */
    MPIFARM_EXIT_FAILED = 1,  /* all tasks were run, and some failed */
    MPIFARM_EXIT_USAGE = 2,   /* usage or input error: nothing was started */
    MPIFARM_EXIT_STOPPED = 3, /* stopped before the end: --resume continues */
};

#endif
