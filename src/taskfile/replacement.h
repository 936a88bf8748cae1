/* One replacement string of a template, and what it makes of an argument: as GNU Parallel does. */
#ifndef MF_TASKFILE_REPLACEMENT_H
#define MF_TASKFILE_REPLACEMENT_H

#include <stddef.h>
#include <stdint.h>

enum mf_replacement_kind {
    MF_REPLACE_ARGUMENT,
    MF_REPLACE_SEQUENCE, /* {#} */
    MF_REPLACE_SLOT,     /* {%} */
};

enum mf_modifier {
    MF_MODIFIER_NONE,
    MF_MODIFIER_NO_EXTENSION,      /* {.} */
    MF_MODIFIER_BASENAME,          /* {/} */
    MF_MODIFIER_DIRNAME,           /* {//} */
    MF_MODIFIER_BASE_NO_EXTENSION, /* {/.} */
};

/** @source  which argument, from 1; 0 for all of them */
struct mf_replacement {
    enum mf_replacement_kind kind;
    enum mf_modifier modifier;
    uint32_t source;
};

/** Reads a replacement string at text; returns its length, 0 if there is none. {0} gives
 * UINT32_MAX. */
size_t mf_replacement_parse(const char *text, struct mf_replacement *ret_replacement);

/** The part of value that the modifier leaves: borrowed from it, or constant. */
const char *mf_modifier_apply(enum mf_modifier modifier, const char *value, size_t *ret_size);

#endif
