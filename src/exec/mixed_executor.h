/*
 * An executor for commands and functions alike: hands each attempt to the
 * executor for its kind. Neither stages, as their attempts share the slots.
 */
#ifndef MF_EXEC_MIXED_EXECUTOR_H
#define MF_EXEC_MIXED_EXECUTOR_H

#include "exec/executor.h"

/**
 * mf_mixed_executor_create() - make one that has its parts yet to get.
 *
 * @fn, @arg  called for each event of the parts
 *
 * Returns 0 or -ENOMEM.
 */
int mf_mixed_executor_create(mf_executor_fn fn, void *arg, struct mf_executor **ret_executor);

/** Gives it its parts, which are taken, before anything is asked of it. */
void mf_mixed_executor_set_parts(struct mf_executor *executor, struct mf_executor *commands,
                                 struct mf_executor *functions);

/** The mf_executor_fn of its parts; arg is the mixed executor. */
void mf_mixed_executor_heard(void *arg, const struct mf_executor_event *event);

#endif
