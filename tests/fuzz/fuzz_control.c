/* Any bytes as a request: what can be decoded survives being encoded again. */
#include "control/request.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool is_true)
{
    if (!is_true)
        abort();
}

static void check_again(const struct mf_control_request *request)
{
    struct mf_control_request again;
    struct mf_buffer packet = {0};
    struct mf_error err;

    /* Escapes may make it longer than a packet. */
    if (mf_control_request_encode(request, &packet) == 0) {
        require(mf_control_request_decode(packet.data, packet.size, &again, &err) == 0);
        require(again.verb == request->verb && again.is_now == request->is_now);
        require(again.n_names == request->n_names);
        for (uint32_t i = 0; i < again.n_names; i++)
            require(strcmp(again.names[i], request->names[i]) == 0);
        mf_control_request_finish(&again);
    }
    mf_buffer_finish(&packet);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mf_control_request request;
    struct mf_control_reply reply;
    struct mf_error err = {0};

    if (mf_control_request_decode(data, size, &request, &err) == 0) {
        check_again(&request);
        mf_control_request_finish(&request);
    } else {
        require(err.text[0] != '\0');
    }
    (void)mf_control_reply_decode(data, size, &reply);
    return 0;
}
