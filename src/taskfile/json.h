/* What readers of JSON have in common. */
#ifndef MF_TASKFILE_JSON_H
#define MF_TASKFILE_JSON_H

#include <jansson.h>

/** "an object", "an array", "a string", "a number", "null" or "true or false". */
const char *mf_json_type_name(const json_t *value);

#endif
