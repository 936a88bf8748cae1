/* The struct behind mf_output of executor.h, for executors that make one. */
#ifndef MF_EXEC_OUTPUT_H
#define MF_EXEC_OUTPUT_H

#include "exec/capture.h"
#include "exec/executor.h"

/**
 * @streams        what was captured
 * @on_close       told when it is closed; may be NULL
 * @on_close_arg   handed to it
 * @spilled_bytes  handed to it: what the output occupied in files
 */
struct mf_output {
    struct mf_capture streams[MF_N_STREAMS];
    void (*on_close)(void *arg, uint64_t spilled_bytes);
    void *on_close_arg;
    uint64_t spilled_bytes;
};

/** Returns an output with two empty streams, or NULL when out of memory. */
struct mf_output *mf_output_create(void);

#endif
