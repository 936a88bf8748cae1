/*
 * What rank and launcher say to each other, as bodies of the frames of channel.h.
 *
 *   to the launcher
 *     CONFIGURE  u32 rank, text run_dir, u32 n, n * { u32 number, u32 m, m * u32 cpu }
 *     START      u64 task, u32 attempt, u32 try, i64 timeout_ns, u64 mem_bytes, u64 ends_seen,
 *                u32 n, n * u32 slot, bytes GPUs, bytes command
 *     UNSTAGE    u64 task, u32 attempt
 *     END        u64 task, u32 attempt, u8 cause
 *     SUSPEND    u64 task, u32 attempt
 *     CONTINUE   u64 task, u32 attempt, u32 n, n * u32 slot
 *     WARN       u32 signal
 *     CLOSED     u64 bytes: an output with this much in files was closed
 *   to the rank
 *     STARTED    u64 task, u32 attempt, u32 slot, u32 pid, u8 was_staged
 *     UNSTAGED   u64 task, u32 attempt
 *     SUSPENDED  u64 task, u32 attempt, i64 ran_ns
 *     CONTINUED  u64 task, u32 attempt
 *     ENDED      u64 task, u32 attempt, u32 slot, outcome, 2 * stream; one
 *                descriptor travels along for each stream in a file
 *     stream     u64 limit, u64 produced, u64 stored, u8 is_file, bytes memory
 *
 * Integers are little-endian, bytes and text follow a u32 length.
 */
#ifndef MF_EXEC_PROTOCOL_H
#define MF_EXEC_PROTOCOL_H

#include "core/outcome.h"
#include "exec/capture.h"
#include "exec/channel.h"
#include "exec/executor.h"

/** Largest encoded command. */
#define MF_PROTOCOL_MAX_COMMAND ((size_t)1 << 20)

/** In place of a slot: none. */
#define MF_SLOT_NONE UINT32_MAX

enum mf_frame_kind {
    MF_FRAME_CONFIGURE = 1,
    MF_FRAME_START,
    MF_FRAME_UNSTAGE,
    MF_FRAME_END,
    MF_FRAME_CLOSED,
    MF_FRAME_STARTED,
    MF_FRAME_UNSTAGED,
    MF_FRAME_ENDED,
    MF_FRAME_SUSPEND,
    MF_FRAME_CONTINUE,
    MF_FRAME_SUSPENDED,
    MF_FRAME_CONTINUED,
    MF_FRAME_WARN,
};

/** An attempt, as a key of tables: no padding, compared as memory. */
struct mf_attempt_key {
    uint64_t task;
    uint64_t attempt;
};

void mf_protocol_put_key(struct mf_buffer *buffer, struct mf_attempt_key key);
struct mf_attempt_key mf_protocol_get_key(struct mf_reader *reader);

void mf_protocol_put_configure(struct mf_channel *channel, const struct mf_slot *slots,
                               uint32_t n_slots, uint32_t rank, const char *run_dir);

/** Configuration as it arrives; free with mf_configuration_finish(). */
struct mf_configuration {
    uint32_t rank;
    char *run_dir;
    struct mf_slot *slots;
    uint32_t n_slots;
};

/** Copies of all that. Returns 0 or -ENOMEM. */
int mf_configuration_create(const struct mf_slot *slots, uint32_t n_slots, uint32_t rank,
                            const char *run_dir, struct mf_configuration *ret_configuration);

/** Returns 0, -EBADMSG or -ENOMEM. */
int mf_protocol_get_configure(struct mf_reader *reader, struct mf_configuration *ret_configuration);
void mf_configuration_finish(struct mf_configuration *configuration);

/** @ends_seen  how many ENDED frames the rank had taken in when it asked */
void mf_protocol_put_start(struct mf_channel *channel, const struct mf_start *start,
                           uint64_t ends_seen);

/**
 * The command is borrowed from the reader; start->slots and start->gpus, if not NULL, are
 * ret_slots and ret_gpus, which the caller frees. Returns 0, -EBADMSG or -ENOMEM.
 */
int mf_protocol_get_start(struct mf_reader *reader, struct mf_start *ret_start,
                          uint32_t **ret_slots, char **ret_gpus, uint64_t *ret_ends_seen);

/** A CONTINUE frame. */
void mf_protocol_put_continue(struct mf_channel *channel, struct mf_attempt_key key,
                              const uint32_t *slots, uint32_t n_slots);

/** The slots, which the caller frees, behind the key. Returns 0, -EBADMSG or -ENOMEM. */
int mf_protocol_get_continue(struct mf_reader *reader, uint32_t **ret_slots, uint32_t *ret_n_slots);

/** Writes one stream, without its file. */
void mf_protocol_put_stream(struct mf_buffer *buffer, const struct mf_capture *capture);

/**
 * Reads one stream into an empty capture, without its file.
 *
 * Returns 0, 1 when it is in a file, -EBADMSG or -ENOMEM.
 */
int mf_protocol_get_stream(struct mf_reader *reader, struct mf_capture *capture);

#endif
