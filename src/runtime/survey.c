/* HELLOs without work. One thread; the transport lives only during the call. */
#include "runtime/survey.h"

#include "base/clock.h"
#include "transport/transport.h"
#include "wire/message.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ANSWER_TIMEOUT_NS (15 * MF_NS_PER_S)
#define NAP_NS MF_NS_PER_MS

static int tell(struct mf_transport *transport, const struct mf_offer *has)
{
    struct mf_message hello = {.kind = MF_MESSAGE_HELLO};
    struct mf_buffer payload = {0}, frame = {0};
    int r;

    mf_node_host(hello.host);
    mf_life_own(&hello.life);
    mf_node_encode_offer(has->cores, has->n_cores, &has->resources, &payload);
    hello.payload = payload.data;
    hello.payload_size = payload.size;
    mf_message_encode(&hello, &frame);
    r = mf_buffer_status(&payload);
    if (r == 0)
        r = mf_transport_send(transport, 0, &frame);
    mf_buffer_finish(&payload);
    mf_buffer_finish(&frame);
    return r;
}

/* Takes one rank's HELLO; 1 when it is a new one. */
static int note(struct mf_survey_rank *rank, const struct mf_buffer *frame)
{
    struct mf_message hello = {0};
    struct mf_reader reader;
    int r = mf_frame_open(frame->data, frame->size, &reader);

    if (r == 0)
        r = mf_message_decode(&reader, &hello);
    if (r < 0)
        return r;
    if (r == 0 || hello.kind != MF_MESSAGE_HELLO || rank->has.cores)
        return -EPROTO;
    memcpy(rank->host, hello.host, sizeof(rank->host));
    r = mf_node_decode_offer(hello.payload, hello.payload_size, &rank->has);
    return r < 0 ? r : 1;
}

static int gather(struct mf_transport *transport, struct mf_survey_rank *ranks)
{
    int64_t deadline_ns = mf_clock_monotonic_ns() + ANSWER_TIMEOUT_NS;
    struct timespec nap = {.tv_nsec = NAP_NS};
    const struct mf_buffer *frame;
    uint32_t from, n_answers = 0;

    while (n_answers < transport->size && mf_clock_monotonic_ns() < deadline_ns) {
        int r = mf_transport_receive(transport, &from, &frame);

        if (r == 1)
            r = note(&ranks[from], frame);
        if (r < 0)
            return r;
        n_answers += (uint32_t)r;
        if (r == 0) {
            nanosleep(&nap, NULL);
            transport->n_looks = MF_LOOKS_AFTER_PAUSE;
        }
    }
    return 0;
}

static int survey(struct mf_transport *transport, struct mf_survey_rank **ret_ranks,
                  struct mf_error *err)
{
    struct mf_survey_rank *ranks = NULL;
    struct mf_offer has;
    int r = mf_node_look(NULL, MF_GPUS_FOUND, &has, err);

    if (r < 0)
        return r;
    r = tell(transport, &has);
    mf_offer_finish(&has);
    if (r == 0 && transport->rank == 0) {
        ranks = calloc(transport->size, sizeof(*ranks));
        r = ranks ? gather(transport, ranks) : -ENOMEM;
    }
    if (r < 0) {
        mf_survey_free(ranks, transport->size);
        return mf_error_set(err, r, "the ranks cannot be surveyed: %s", strerror(-r));
    }
    *ret_ranks = ranks;
    return 0;
}

int mf_survey(const struct mf_launch *launch, struct mf_survey_rank **ret_ranks,
              uint32_t *ret_n_ranks, struct mf_error *err)
{
    struct mf_transport *transport;
    int r = mf_transport_mpi_create(NULL, NULL, MF_MPI_ALONE, &transport, err);

    if (r < 0)
        return r;
    *ret_ranks = NULL;
    *ret_n_ranks = transport->size;
    r = mf_launch_verify(launch, transport->size, err);
    if (r == 0)
        r = survey(transport, ret_ranks, err);
    mf_transport_destroy(transport);
    return r;
}

void mf_survey_free(struct mf_survey_rank *ranks, uint32_t n_ranks)
{
    for (uint32_t i = 0; ranks && i < n_ranks; i++)
        mf_offer_finish(&ranks[i].has);
    free(ranks);
}
