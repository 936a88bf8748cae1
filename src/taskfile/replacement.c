/*
 * Replacement strings: see replacement.h. Nothing is owned here; one thread.
 */
#include "taskfile/replacement.h"

#include <ctype.h>
#include <string.h>

/* What may stand between the braces behind the number. */
static const struct {
    const char *text;
    enum mf_replacement_kind kind;
    enum mf_modifier modifier;
} forms[] = {
    {"}", MF_REPLACE_ARGUMENT, MF_MODIFIER_NONE},
    {".}", MF_REPLACE_ARGUMENT, MF_MODIFIER_NO_EXTENSION},
    {"/}", MF_REPLACE_ARGUMENT, MF_MODIFIER_BASENAME},
    {"//}", MF_REPLACE_ARGUMENT, MF_MODIFIER_DIRNAME},
    {"/.}", MF_REPLACE_ARGUMENT, MF_MODIFIER_BASE_NO_EXTENSION},
    {"#}", MF_REPLACE_SEQUENCE, MF_MODIFIER_NONE},
    {"%}", MF_REPLACE_SLOT, MF_MODIFIER_NONE},
};

/* Reads a number from 1; what is none, or too large for any source, is UINT32_MAX. */
static const char *parse_source(const char *text, uint32_t *ret_source)
{
    uint64_t number = 0;
    const char *at;

    for (at = text; isdigit((unsigned char)*at); at++)
        if (number < UINT32_MAX)
            number = number * 10 + (uint64_t)(*at - '0');
    if (at > text && (number == 0 || number > UINT32_MAX))
        number = UINT32_MAX;
    *ret_source = (uint32_t)number;
    return at;
}

size_t mf_replacement_parse(const char *text, struct mf_replacement *ret_replacement)
{
    uint32_t source;
    const char *at;

    if (*text != '{')
        return 0;
    at = parse_source(text + 1, &source);
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        size_t n = strlen(forms[i].text);

        if (strncmp(at, forms[i].text, n) != 0)
            continue;
        if (forms[i].kind != MF_REPLACE_ARGUMENT && source > 0)
            return 0;
        *ret_replacement = (struct mf_replacement){forms[i].kind, forms[i].modifier, source};
        return (size_t)(at - text) + n;
    }
    return 0;
}

static const char *skip_directory(const char *value)
{
    const char *slash = strrchr(value, '/');

    return slash ? slash + 1 : value;
}

/* Length without what follows the last dot of the last component. */
static size_t without_extension(const char *value)
{
    const char *dot = strrchr(value, '.');

    return dot && !strchr(dot, '/') ? (size_t)(dot - value) : strlen(value);
}

/* Length without slashes at the end, but never nothing. */
static size_t without_slashes(const char *value, size_t size)
{
    while (size > 1 && value[size - 1] == '/')
        size--;
    return size;
}

/* As dirname of Perl's File::Basename. */
static const char *directory_of(const char *value, size_t *ret_size)
{
    size_t size = without_slashes(value, strlen(value));

    while (size > 0 && value[size - 1] != '/')
        size--;
    *ret_size = 1;
    if (size == 0)
        return ".";
    *ret_size = without_slashes(value, size);
    return value;
}

const char *mf_modifier_apply(enum mf_modifier modifier, const char *value, size_t *ret_size)
{
    switch (modifier) {
    case MF_MODIFIER_DIRNAME:
        return directory_of(value, ret_size);
    case MF_MODIFIER_BASENAME:
        value = skip_directory(value);
        break;
    case MF_MODIFIER_NO_EXTENSION:
        *ret_size = without_extension(value);
        return value;
    case MF_MODIFIER_BASE_NO_EXTENSION:
        value = skip_directory(value);
        *ret_size = without_extension(value);
        return value;
    case MF_MODIFIER_NONE:
        break;
    }
    *ret_size = strlen(value);
    return value;
}
