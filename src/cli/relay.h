/*
 * Handing on what another program writes, without ever waiting for the reader.
 * One owner, one thread.
 */
#ifndef MF_CLI_RELAY_H
#define MF_CLI_RELAY_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>

/** A reader of a pipe gets at least this much without waiting. */
#define MF_RELAY_BYTES 4096

/**
 * @from, @to    descriptors (borrowed); from is -1 once its writer is done
 * @data, @n     what was read and not written
 * @error         -errno once it could not be written and was thrown away, else 0
 * @telling      what would be of interest, NULL for nothing; @was_told  it came
 * @unwanted     lines with one of these in them are dropped; NULL behind the last, or for none
 */
struct mf_relay {
    int from;
    int to;
    const char *const *unwanted;
    const char *telling;
    bool was_told;
    int error;
    size_t n;
    char data[MF_RELAY_BYTES];
};

/** What to wait for before the next turn; fd is -1 when there is nothing. */
struct pollfd mf_relay_wish(const struct mf_relay *relay);

/**
 * mf_relay_turn() - read or write, whichever was wished for and can be done.
 *
 * @ready  the wish, with what poll() says of it
 *
 * Returns whether anything moved. What cannot be written, as the reader has gone away or the disk
 * is full, is thrown away.
 */
bool mf_relay_turn(struct mf_relay *relay, const struct pollfd *ready);

/** Whether the writer is done, and all was handed on. */
bool mf_relay_is_over(const struct mf_relay *relay);

#endif
