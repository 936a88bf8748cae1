/*
 * A frame of each kind of message and of record, made by what makes those of a farm: the seeds of
 * the fuzzers, so that these follow each change of the wire, and examples for tests.
 */
#ifndef T_FRAMES_H
#define T_FRAMES_H

#include "base/buffer.h"

/** Is given each frame (borrowed), and a name for it; the last one has all records together. */
typedef void (*t_frame_fn)(void *arg, const char *name, const struct mf_buffer *frame);

void t_frames_of_messages(t_frame_fn fn, void *arg);
void t_frames_of_records(t_frame_fn fn, void *arg);

#endif
