/*
 * Reads lines of disBatch: see disbatch.h. Nothing is owned here; one thread.
 */
#include "taskfile/disbatch.h"

#include "taskfile/words.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define DISBATCH "#DISBATCH"
#define REPEAT_MAX UINT64_C(1000000000)

/* What is left of a line. */
struct rest {
    const char *at, *end;
};

/* Passes over blanks and a word in letters of either case that a blank or the end follows. */
static bool take_word(struct rest *rest, const char *word)
{
    size_t n = strlen(word);
    const char *at = rest->at;

    while (at < rest->end && mf_is_blank(*at))
        at++;
    if ((size_t)(rest->end - at) < n || strncasecmp(at, word, n) != 0 ||
        (at + n < rest->end && !mf_is_blank(at[n])))
        return false;
    rest->at = at + n;
    return true;
}

/* Passes over blanks and a number. */
static int take_number(struct rest *rest, const char *what, uint64_t max, uint64_t *ret_number,
                       struct mf_error *err)
{
    const char *at = rest->at;
    uint64_t number = 0;

    while (at < rest->end && mf_is_blank(*at))
        at++;
    rest->at = at;
    for (; at < rest->end && isdigit((unsigned char)*at) && number <= max; at++)
        number = number * 10 + (uint64_t)(*at - '0');
    if (at == rest->at || number > max || (at < rest->end && !mf_is_blank(*at)))
        return mf_error_set(err, -EINVAL, DISBATCH " REPEAT: %s is a number up to %llu", what,
                            (unsigned long long)max);
    rest->at = at;
    *ret_number = number;
    return 0;
}

/* What stands behind one blank, as it is. */
static void take_text(struct rest *rest, struct mf_disbatch *line)
{
    if (rest->at < rest->end)
        rest->at++;
    line->text = rest->at;
    line->size = (size_t)(rest->end - rest->at);
}

static int take_repeat(struct rest *rest, struct mf_disbatch *line, struct mf_error *err)
{
    int r = take_number(rest, "how often", REPEAT_MAX, &line->n, err);

    line->step = 1;
    if (r == 0 && take_word(rest, "start"))
        r = take_number(rest, "start", REPEAT_MAX, &line->start, err);
    if (r == 0 && take_word(rest, "step"))
        r = take_number(rest, "step", REPEAT_MAX, &line->step, err);
    take_text(rest, line);
    return r;
}

static int refuse(const struct rest *rest, struct mf_error *err)
{
    int n = rest->end - rest->at > 80 ? 80 : (int)(rest->end - rest->at);

    return mf_error_set(err, -EINVAL,
                        DISBATCH "%.*s is no directive (known: PREFIX, SUFFIX, BARRIER [CHECK], "
                                 "REPEAT, PERENGINE)",
                        n, rest->at);
}

static int take_perengine(struct rest *rest, struct mf_disbatch *line, struct mf_error *err)
{
    line->is_stop = take_word(rest, "STOP");
    if (!line->is_stop && !take_word(rest, "START"))
        return mf_error_set(err, -EINVAL, DISBATCH " PERENGINE: START or STOP, and then a command");
    take_text(rest, line);
    return 0;
}

int mf_disbatch_parse(const char *text, size_t size, struct mf_disbatch *ret_line,
                      struct mf_error *err)
{
    struct rest rest = {.at = text + strlen(DISBATCH), .end = text + size};

    *ret_line = (struct mf_disbatch){.text = ""};
    if (take_word(&rest, "PREFIX")) {
        ret_line->kind = MF_DISBATCH_PREFIX;
        take_text(&rest, ret_line);
        return 0;
    }
    if (take_word(&rest, "SUFFIX")) {
        ret_line->kind = MF_DISBATCH_SUFFIX;
        take_text(&rest, ret_line);
        return 0;
    }
    if (take_word(&rest, "BARRIER")) {
        /* A name behind it is a key of a store that only disBatch has. */
        ret_line->kind = MF_DISBATCH_BARRIER;
        ret_line->checks = take_word(&rest, "CHECK");
        return 0;
    }
    if (take_word(&rest, "REPEAT")) {
        ret_line->kind = MF_DISBATCH_REPEAT;
        return take_repeat(&rest, ret_line, err);
    }
    if (take_word(&rest, "PERENGINE")) {
        ret_line->kind = MF_DISBATCH_PERENGINE;
        return take_perengine(&rest, ret_line, err);
    }
    return refuse(&rest, err);
}

/* --- variables --- */

/* Adds NAME=number, and with zeros before it NAME_ZP=number. */
static int add_number(struct mf_fields *fields, const char *name, long long number,
                      struct mf_arena *arena)
{
    char plain[32], padded[32], padded_name[64];

    snprintf(plain, sizeof(plain), "%lld", number);
    snprintf(padded, sizeof(padded), "%06lld", number);
    snprintf(padded_name, sizeof(padded_name), "%s_ZP", name);
    if (mf_fields_add_env(fields, name, plain, arena) < 0)
        return -ENOMEM;
    return mf_fields_add_env(fields, padded_name, padded, arena);
}

int mf_disbatch_add_env(struct mf_fields *fields, const struct mf_disbatch_task *task,
                        struct mf_arena *arena)
{
    const char *slash = strrchr(task->file, '/');
    const char *run_name = task->run_name ? task->run_name : "mpifarm";
    int r = mf_fields_add_env(fields, "DISBATCH_JOBID", run_name, arena);

    if (r == 0)
        r = mf_fields_add_env(fields, "DISBATCH_NAMETASKS", slash ? slash + 1 : task->file, arena);
    if (r == 0)
        r = add_number(fields, "DISBATCH_REPEAT_INDEX",
                       task->has_index ? (long long)task->index : -1, arena);
    if (r == 0)
        r = add_number(fields, "DISBATCH_STREAM_INDEX", (long long)task->line, arena);
    if (r == 0)
        r = add_number(fields, "DISBATCH_TASKID", (long long)task->task, arena);
    return r;
}
