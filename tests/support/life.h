/* A process to watch. */
#ifndef T_LIFE_H
#define T_LIFE_H

#include "base/life.h"

#include <sys/types.h>

/** Starts a process that waits to be killed; returns its number, and which one it is. */
pid_t t_live(struct mf_life *ret_life);

#endif
