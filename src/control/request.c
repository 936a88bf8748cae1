/* Requests and replies as JSON. */
#include "control/request.h"

#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const verbs[] = {
    [MF_CONTROL_STOP] = "stop",
    [MF_CONTROL_CANCEL] = "cancel",
    [MF_CONTROL_DRAIN] = "drain",
    [MF_CONTROL_SCALE] = "scale",
};

#define N_VERBS (sizeof(verbs) / sizeof(verbs[0]))

void mf_control_reply_set(struct mf_control_reply *reply, bool is_ok, const char *format, ...)
{
    va_list arguments;

    reply->is_ok = is_ok;
    reply->is_later = false;
    va_start(arguments, format);
    vsnprintf(reply->text, sizeof(reply->text), format, arguments);
    va_end(arguments);
}

/* Takes json. */
static int put_json(json_t *json, size_t most, struct mf_buffer *packet)
{
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    size_t size = text ? strlen(text) : 0;

    json_decref(json);
    if (!text)
        return -ENOMEM;
    if (size <= most)
        mf_buffer_append(packet, text, size);
    free(text);
    return size > most ? -E2BIG : mf_buffer_status(packet);
}

/* --- requests --- */

int mf_control_request_encode(const struct mf_control_request *request, struct mf_buffer *packet)
{
    json_t *names = json_array();

    for (uint32_t i = 0; i < request->n_names; i++)
        if (json_array_append_new(names, json_string(request->names[i])) < 0) {
            json_decref(names);
            return -EILSEQ;
        }
    return put_json(json_pack("{s:i, s:s, s:b, s:o}", "version", MF_CONTROL_VERSION, "verb",
                              verbs[request->verb], "now", request->is_now, "names", names),
                    MF_CONTROL_PACKET_BYTES, packet);
}

static int find_verb(const char *name, enum mf_control_verb *ret_verb, struct mf_error *err)
{
    for (size_t i = 0; i < N_VERBS; i++)
        if (strcmp(name, verbs[i]) == 0) {
            *ret_verb = (enum mf_control_verb)i;
            return 0;
        }
    return mf_error_set(err, -EPROTO, "the run knows no such request; is its mpifarm older?");
}

static int take_names(json_t *names, struct mf_control_request *request, struct mf_error *err)
{
    size_t n = json_array_size(names);

    if (n > MF_CONTROL_MAX_NAMES)
        return mf_error_set(err, -EBADMSG, "a request has more than %d names",
                            MF_CONTROL_MAX_NAMES);
    request->names = calloc(n + 1, sizeof(*request->names));
    if (!request->names)
        return mf_error_set(err, -ENOMEM, "out of memory");
    for (size_t i = 0; i < n; i++) {
        const char *name = json_string_value(json_array_get(names, i));

        if (!name || name[0] == '\0')
            return mf_error_set(err, -EBADMSG, "a name in the request is no text");
        request->names[request->n_names++] = name;
    }
    return 0;
}

static int take_request(struct mf_control_request *request, struct mf_error *err)
{
    const char *verb;
    json_t *names = NULL;
    int version, is_now = 0, r;

    if (json_unpack(request->json, "{s:i, s:s, s?b, s?o}", "version", &version, "verb", &verb,
                    "now", &is_now, "names", &names) < 0)
        return mf_error_set(err, -EBADMSG, "the request cannot be read");
    if (version != MF_CONTROL_VERSION)
        return mf_error_set(err, -EPROTO, "the run speaks version %d of the requests, not %d",
                            MF_CONTROL_VERSION, version);
    request->is_now = is_now;
    r = find_verb(verb, &request->verb, err);
    return r < 0 ? r : take_names(names, request, err);
}

int mf_control_request_decode(const void *data, size_t size, struct mf_control_request *ret_request,
                              struct mf_error *err)
{
    struct mf_control_request request = {.json =
                                             json_loadb(data, size, JSON_REJECT_DUPLICATES, NULL)};
    int r = request.json ? take_request(&request, err)
                         : mf_error_set(err, -EBADMSG, "the request cannot be read");

    if (r < 0) {
        mf_control_request_finish(&request);
        return r;
    }
    *ret_request = request;
    return 0;
}

void mf_control_request_finish(struct mf_control_request *request)
{
    json_decref(request->json);
    free(request->names);
    *request = (struct mf_control_request){0};
}

/* --- replies --- */

int mf_control_reply_encode(const struct mf_control_reply *reply, struct mf_buffer *packet)
{
    /* A text that was cut within a character is no JSON. */
    json_t *json = reply->is_later
                       ? json_pack("{s:b, s:s, s:b}", "ok", 1, "text", "", "later", 1)
                       : json_pack("{s:b, s:s}", "ok", reply->is_ok, "text", reply->text);

    if (!json)
        json = json_pack("{s:b, s:s}", "ok", reply->is_ok, "text",
                         "(the answer holds bytes that are no UTF-8)");
    return put_json(json, MF_CONTROL_REPLY_BYTES, packet);
}

int mf_control_reply_decode(const void *data, size_t size, struct mf_control_reply *ret_reply)
{
    json_t *json = json_loadb(data, size, 0, NULL);
    const char *text;
    int is_ok, is_later = 0, r;

    r = json_unpack(json, "{s:b, s:s, s?b}", "ok", &is_ok, "text", &text, "later", &is_later);
    if (r == 0) {
        mf_control_reply_set(ret_reply, is_ok, "%s", text);
        ret_reply->is_later = is_later;
    }
    json_decref(json);
    return r < 0 ? -EBADMSG : 0;
}
