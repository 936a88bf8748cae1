/*
 * The one sentence that a user reads about an error: see error.h.
 *
 * The caller owns the error; a sentence is built aside first, so that its
 * arguments may point into the error it replaces.
 */
#include "base/error.h"

#include <stdio.h>
#include <string.h>

static const char ellipsis[] = "...";

/* Marks a text that was cut; length is what it would have needed. */
static void mark_if_cut(struct mf_error *err, size_t length)
{
    if (length >= sizeof(err->text))
        memcpy(err->text + sizeof(err->text) - sizeof(ellipsis), ellipsis, sizeof(ellipsis));
}

static size_t format_text(struct mf_error *err, const char *format, va_list args)
{
    int n = vsnprintf(err->text, sizeof(err->text), format, args);

    if (n < 0) {
        /* Only a text that the locale cannot express ends here. */
        err->text[0] = '\0';
        return 0;
    }
    return (size_t)n;
}

int mf_error_set(struct mf_error *err, int code, const char *format, ...)
{
    struct mf_error sentence;
    va_list args;

    if (!err)
        return code;
    va_start(args, format);
    mark_if_cut(&sentence, format_text(&sentence, format, args));
    va_end(args);
    memcpy(err->text, sentence.text, strlen(sentence.text) + 1);
    return code;
}

int mf_error_prefix(struct mf_error *err, int code, const char *format, ...)
{
    struct mf_error sentence;
    size_t prefix_length, length, room;
    va_list args;

    if (!err)
        return code;
    va_start(args, format);
    prefix_length = format_text(&sentence, format, args);
    va_end(args);

    length = strlen(err->text);
    if (prefix_length < sizeof(sentence.text)) {
        room = sizeof(sentence.text) - prefix_length - 1;
        if (room > length)
            room = length;
        memcpy(sentence.text + prefix_length, err->text, room);
        sentence.text[prefix_length + room] = '\0';
    }
    mark_if_cut(&sentence, prefix_length + length);
    memcpy(err->text, sentence.text, strlen(sentence.text) + 1);
    return code;
}
