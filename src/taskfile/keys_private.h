/* What the values of keys mean: what keys.c keeps in its table, from key_values.c. */
#ifndef MF_TASKFILE_KEYS_PRIVATE_H
#define MF_TASKFILE_KEYS_PRIVATE_H

#include "taskfile/keys.h"

/** The most cores of a node that a task may ask for. */
#define MF_CORES_MAX 1000000

/** What one key does: value to fields. Returns 0, or -errno with a sentence but for -ENOMEM. */
typedef int (*mf_parse_value_fn)(struct mf_fields *fields, const char *value,
                                 struct mf_arena *arena, struct mf_error *err);

/** A key with a "." in it. Returns 0, or -errno with a sentence that names the key. */
int mf_take_countable(struct mf_fields *fields, const char *key, const char *value,
                      struct mf_error *err);

/** As mf_parse_value_fn, one for each key. */
int mf_parse_id(struct mf_fields *fields, const char *value, struct mf_arena *arena,
                struct mf_error *err);
int mf_parse_func(struct mf_fields *fields, const char *value, struct mf_arena *arena,
                  struct mf_error *err);
int mf_parse_after(struct mf_fields *fields, const char *value, struct mf_arena *arena,
                   struct mf_error *err);
int mf_parse_afterany(struct mf_fields *fields, const char *value, struct mf_arena *arena,
                      struct mf_error *err);
int mf_parse_afternotok(struct mf_fields *fields, const char *value, struct mf_arena *arena,
                        struct mf_error *err);
int mf_parse_cores(struct mf_fields *fields, const char *value, struct mf_arena *arena,
                   struct mf_error *err);
int mf_parse_nodes(struct mf_fields *fields, const char *value, struct mf_arena *arena,
                   struct mf_error *err);
int mf_parse_ranks(struct mf_fields *fields, const char *value, struct mf_arena *arena,
                   struct mf_error *err);
int mf_parse_mem(struct mf_fields *fields, const char *value, struct mf_arena *arena,
                 struct mf_error *err);
int mf_parse_gpus(struct mf_fields *fields, const char *value, struct mf_arena *arena,
                  struct mf_error *err);
int mf_parse_time(struct mf_fields *fields, const char *value, struct mf_arena *arena,
                  struct mf_error *err);
int mf_parse_timeout(struct mf_fields *fields, const char *value, struct mf_arena *arena,
                     struct mf_error *err);
int mf_parse_deadline(struct mf_fields *fields, const char *value, struct mf_arena *arena,
                      struct mf_error *err);
int mf_parse_retries(struct mf_fields *fields, const char *value, struct mf_arena *arena,
                     struct mf_error *err);
int mf_parse_priority(struct mf_fields *fields, const char *value, struct mf_arena *arena,
                      struct mf_error *err);
int mf_parse_weight(struct mf_fields *fields, const char *value, struct mf_arena *arena,
                    struct mf_error *err);
int mf_parse_group(struct mf_fields *fields, const char *value, struct mf_arena *arena,
                   struct mf_error *err);
int mf_parse_cwd(struct mf_fields *fields, const char *value, struct mf_arena *arena,
                 struct mf_error *err);

#endif
