/*
 * Asking, by UDP, whether a process is still there, where nothing else can
 * tell: it is on another node, and busy with something else than answering.
 * A process that stands beside it answers for it, at its door.
 *
 *     question   "mfq1", 16 bytes key of the door, u32 peer, u64 token of whoever asks
 *     answer     "mfa1", u32 peer, u64 token, u8 whether the process is there
 *
 * Keys travel with the messages of the run, so that a stranger can neither ask
 * nor answer; what is neither a question nor an answer is dropped.
 */
#ifndef MF_BASE_KNOCK_H
#define MF_BASE_KNOCK_H

#include "base/buffer.h"

#include <stdbool.h>
#include <stdint.h>

#define MF_DOOR_KEY_BYTES 16
#define MF_DOOR_MAX_ADDRESSES 8

/**
 * Where a process is answered for.
 *
 * @port       0 for nowhere
 * @addresses  n_addresses IPv4 addresses of its node, in network order
 */
struct mf_door {
    uint16_t port;
    uint8_t key[MF_DOOR_KEY_BYTES];
    uint32_t n_addresses;
    uint32_t addresses[MF_DOOR_MAX_ADDRESSES];
};

/** Opens a door. Returns a nonblocking socket, the caller's, or -errno. */
int mf_door_open(struct mf_door *ret_door);

void mf_door_encode(const struct mf_door *door, struct mf_buffer *buffer);

/** What is no door makes the reader fail. */
void mf_door_decode(struct mf_reader *reader, struct mf_door *ret_door);

/** Packets that mf_door_answer() takes in at a time, so that nobody can keep a process at it. */
#define MF_DOOR_PACKETS 128

/** Answers those who have asked; of more than MF_DOOR_PACKETS the rest at the next call. Returns
 * how many were entitled to. */
unsigned mf_door_answer(int fd, const struct mf_door *door, bool is_there);

/** Opens a socket to ask from. Returns it, nonblocking, the caller's, or -errno. */
int mf_knock_open(uint64_t *ret_token);

/** Asks at all addresses of a door for a process that is called `peer` here. What fails is not
 * answered. */
void mf_knock(int fd, uint64_t token, const struct mf_door *door, uint32_t peer);

/**
 * mf_knock_hear() - the next packet.
 *
 * Returns
 *   1         an answer: with what it says, and the IPv4 address that it is from
 *   0         there is none
 *   -EBADMSG  what is no answer, or of no use: it is dropped, and there may be others
 */
int mf_knock_hear(int fd, uint64_t token, uint32_t *ret_peer, bool *ret_is_there,
                  uint32_t *ret_address);

#endif
