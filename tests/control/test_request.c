/* Requests and replies as packets. */
#include "control/request.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int decode(const char *packet, struct mf_control_request *ret_request, struct mf_error *err)
{
    return mf_control_request_decode(packet, strlen(packet), ret_request, err);
}

Test(request, what_was_encoded_is_decoded)
{
    const char *names[] = {"fit", "17", "\"quoted\" \xc3\xa4"};
    const struct mf_control_request sent = {
        .verb = MF_CONTROL_CANCEL, .is_now = true, .names = names, .n_names = 3};
    struct mf_control_request got;
    struct mf_buffer packet = {0};
    struct mf_error err;

    cr_assert(eq(int, mf_control_request_encode(&sent, &packet), 0));
    cr_assert(eq(int, mf_control_request_decode(packet.data, packet.size, &got, &err), 0));
    cr_assert(eq(int, got.verb, MF_CONTROL_CANCEL));
    cr_assert(got.is_now);
    cr_assert(eq(int, got.n_names, 3));
    for (int i = 0; i < 3; i++)
        cr_assert(eq(str, (char *)got.names[i], (char *)names[i]));
    mf_control_request_finish(&got);
    mf_buffer_finish(&packet);
}

Test(request, what_is_no_request_is_refused_with_a_sentence)
{
    const struct {
        const char *packet;
        int code;
        const char *text;
    } bad[] = {
        {"", -EBADMSG, "the request cannot be read"},
        {"stop", -EBADMSG, "the request cannot be read"},
        {"[]", -EBADMSG, "the request cannot be read"},
        {"{}", -EBADMSG, "the request cannot be read"},
        {"{\"version\":2,\"verb\":7}", -EBADMSG, "the request cannot be read"},
        {"{\"version\":2,\"verb\":\"stop\",\"now\":3}", -EBADMSG, "the request cannot be read"},
        {"{\"version\":2,\"verb\":\"dance\"}", -EPROTO,
         "the run knows no such request; is its mpifarm older?"},
        {"{\"version\":9,\"verb\":\"stop\"}", -EPROTO,
         "the run speaks version 2 of the requests, not 9"},
        {"{\"version\":2,\"verb\":\"cancel\",\"names\":[1]}", -EBADMSG,
         "a name in the request is no text"},
        {"{\"version\":2,\"verb\":\"cancel\",\"names\":[\"\"]}", -EBADMSG,
         "a name in the request is no text"},
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct mf_control_request request;
        struct mf_error err = {0};

        cr_assert(eq(int, decode(bad[i].packet, &request, &err), bad[i].code), "%s", bad[i].packet);
        cr_assert(eq(str, err.text, (char *)bad[i].text));
    }
}

Test(request, more_names_than_there_may_be_are_refused)
{
    const char *names[MF_CONTROL_MAX_NAMES + 1];
    struct mf_control_request sent = {.verb = MF_CONTROL_CANCEL, .names = names};
    struct mf_control_request got;
    struct mf_buffer packet = {0};
    struct mf_error err;

    for (int i = 0; i <= MF_CONTROL_MAX_NAMES; i++)
        names[i] = "x";
    sent.n_names = MF_CONTROL_MAX_NAMES + 1;
    cr_assert(eq(int, mf_control_request_encode(&sent, &packet), 0));
    cr_assert(eq(int, mf_control_request_decode(packet.data, packet.size, &got, &err), -EBADMSG));
    mf_buffer_finish(&packet);
}

Test(request, a_packet_has_a_largest_size)
{
    char *name = malloc(MF_CONTROL_PACKET_BYTES + 1);
    const char *names[] = {name};
    const struct mf_control_request request = {
        .verb = MF_CONTROL_CANCEL, .names = names, .n_names = 1};
    struct mf_buffer packet = {0};

    memset(name, 'x', MF_CONTROL_PACKET_BYTES);
    name[MF_CONTROL_PACKET_BYTES] = '\0';
    cr_assert(eq(int, mf_control_request_encode(&request, &packet), -E2BIG));
    cr_assert(eq(sz, packet.size, 0));
    free(name);
}

Test(request, names_that_are_no_utf8_are_refused)
{
    const char *names[] = {"\xff\xfe"};
    const struct mf_control_request request = {
        .verb = MF_CONTROL_CANCEL, .names = names, .n_names = 1};
    struct mf_buffer packet = {0};

    cr_assert(eq(int, mf_control_request_encode(&request, &packet), -EILSEQ));
    mf_buffer_finish(&packet);
}

Test(reply, what_was_encoded_is_decoded_and_the_longest_is_cut)
{
    static struct mf_control_reply sent, got;
    static char text[2 * MF_CONTROL_TEXT_BYTES];
    struct mf_buffer packet = {0};

    memset(text, 'y', sizeof(text) - 1);
    mf_control_reply_set(&sent, true, "%s", text);
    cr_assert(eq(int, mf_control_reply_encode(&sent, &packet), 0));
    cr_assert(eq(int, mf_control_reply_decode(packet.data, packet.size, &got), 0));
    cr_assert(got.is_ok);
    cr_assert(eq(sz, strlen(got.text), sizeof(got.text) - 1));
    mf_buffer_finish(&packet);
    cr_assert(eq(int, mf_control_reply_decode("{}", 2, &got), -EBADMSG));
}
