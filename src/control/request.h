/*
 * What can be asked of a running farm, and its answer, as packets of JSON:
 *
 *     {"version": 2, "verb": "stop", "now": true}
 *     {"version": 2, "verb": "cancel", "names": ["fit", "17"]}
 *     {"version": 2, "verb": "drain", "names": ["n3", "5"]}
 *     {"version": 2, "verb": "scale", "names": ["+4"]}
 *
 *     {"ok": true, "text": "...", "later": true}
 *     {"ok": true, "text": "..."}
 *
 * One packet is one request or one answer, of bounded size. Decoding takes any
 * bytes at all. The farm says "later" before it does anything, and then each few
 * seconds until it answers: who heard nothing of it knows that nothing was done.
 */
#ifndef MF_CONTROL_REQUEST_H
#define MF_CONTROL_REQUEST_H

#include "base/buffer.h"
#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

/** Both ends must agree on it; a run may be older than the program that asks. */
#define MF_CONTROL_VERSION 2

/** Largest request. */
#define MF_CONTROL_PACKET_BYTES 65536

/** Names in one request. */
#define MF_CONTROL_MAX_NAMES 1024

/** Largest text of an answer, with its NUL: all names of a request, and some words about each. */
#define MF_CONTROL_TEXT_BYTES (MF_CONTROL_PACKET_BYTES + 32 * MF_CONTROL_MAX_NAMES)

/** Largest answer. */
#define MF_CONTROL_REPLY_BYTES (MF_CONTROL_TEXT_BYTES + 4096)

enum mf_control_verb {
    MF_CONTROL_STOP,   /* is_now: nothing new is started; what runs may end, or is ended */
    MF_CONTROL_CANCEL, /* names: tasks by id */
    MF_CONTROL_DRAIN,  /* names: workers, by rank or by host; they get no more work, and leave */
    MF_CONTROL_SCALE,  /* names: one, "+N" or "-N": so many workers more or less */
};

/**
 * @is_now   also what runs is ended
 * @names    n_names texts, none empty; of a decoded request they live until it is finished
 * @json     of a decoded request
 */
struct mf_control_request {
    enum mf_control_verb verb;
    bool is_now;
    const char **names;
    uint32_t n_names;
    struct json_t *json;
};

/** What is answered: whether it is done, and a sentence or several lines.
 * @is_later  it is being done: the answer follows */
struct mf_control_reply {
    bool is_ok;
    bool is_later;
    char text[MF_CONTROL_TEXT_BYTES];
};

/** Fills in a reply; printf-like. What does not fit is cut. */
void mf_control_reply_set(struct mf_control_reply *reply, bool is_ok, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/** Appends the packet. Returns 0, -E2BIG when it would be larger than a packet, or -ENOMEM. */
int mf_control_request_encode(const struct mf_control_request *request, struct mf_buffer *packet);

/**
 * mf_control_request_decode() - read a packet.
 *
 * Returns 0 and a request for mf_control_request_finish(), or -EBADMSG, -EPROTO
 * (another version) or -ENOMEM with a sentence.
 */
int mf_control_request_decode(const void *data, size_t size, struct mf_control_request *ret_request,
                              struct mf_error *err);

/** Frees what decoding made; a zeroed request is accepted. */
void mf_control_request_finish(struct mf_control_request *request);

/** As of the request. */
int mf_control_reply_encode(const struct mf_control_reply *reply, struct mf_buffer *packet);

/** Returns 0 or -EBADMSG. */
int mf_control_reply_decode(const void *data, size_t size, struct mf_control_reply *ret_reply);

#endif
