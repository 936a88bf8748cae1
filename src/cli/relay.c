/* From a pipe to where the user reads: see relay.h. */
#include "cli/relay.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

struct pollfd mf_relay_wish(const struct mf_relay *relay)
{
    if (relay->n > 0)
        return (struct pollfd){.fd = relay->to, .events = POLLOUT};
    return (struct pollfd){.fd = relay->from, .events = POLLIN};
}

/* The end of the line that begins at `at`, or of all there is. */
static size_t end_of_line(const struct mf_relay *relay, size_t at)
{
    const char *end = memchr(relay->data + at, '\n', relay->n - at);

    return end ? (size_t)(end - relay->data) + 1 : relay->n;
}

static bool is_unwanted(const struct mf_relay *relay, size_t at, size_t end)
{
    for (const char *const *text = relay->unwanted; *text; text++)
        if (memmem(relay->data + at, end - at, *text, strlen(*text)))
            return true;
    return false;
}

/* Programs write their messages at once, so a line is there as a whole or not of interest. */
static void drop_unwanted(struct mf_relay *relay)
{
    size_t at = 0;

    while (at < relay->n) {
        size_t end = end_of_line(relay, at);

        if (!is_unwanted(relay, at, end)) {
            at = end;
            continue;
        }
        memmove(relay->data + at, relay->data + end, relay->n - end);
        relay->n -= end - at;
    }
}

static bool take_in(struct mf_relay *relay)
{
    ssize_t n = read(relay->from, relay->data, sizeof(relay->data));

    if (n < 0)
        return false;
    if (n == 0)
        relay->from = -1;
    relay->n = (size_t)n;
    if (relay->telling && memmem(relay->data, relay->n, relay->telling, strlen(relay->telling)))
        relay->was_told = true;
    if (relay->unwanted)
        drop_unwanted(relay);
    return true;
}

static bool hand_on(struct mf_relay *relay)
{
    ssize_t n = write(relay->to, relay->data, relay->n);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (n < 0) {
        relay->error = -errno;
        n = (ssize_t)relay->n;
    }
    memmove(relay->data, relay->data + n, relay->n - (size_t)n);
    relay->n -= (size_t)n;
    return true;
}

bool mf_relay_turn(struct mf_relay *relay, const struct pollfd *ready)
{
    if (ready->revents == 0)
        return false;
    return relay->n > 0 ? hand_on(relay) : take_in(relay);
}

bool mf_relay_is_over(const struct mf_relay *relay)
{
    return relay->from < 0 && relay->n == 0;
}
