/* What readers of JSON have in common. */
#ifndef MF_TASKFILE_JSON_H
#define MF_TASKFILE_JSON_H

#include <jansson.h>

/** "an object", "an array", "a string", "a number", "null" or "true or false". */
const char *mf_json_type_name(const json_t *value);

/** What is wrong with a text that is no JSON, in words for its author. Borrowed from the error. */
const char *mf_json_explain(const json_error_t *error);

#endif
