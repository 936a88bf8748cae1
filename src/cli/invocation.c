/* How a run was started: see invocation.h. No state; any thread. */
#include "cli/invocation.h"

#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEXT_NAME "command line"

/* A longer one is not kept. */
#define MAX_BYTES ((size_t)64 << 10)

/* --- noting --- */

/* NULL for what is no UTF-8. */
static json_t *make_json(int argc, char **argv)
{
    json_t *words = json_array();
    char dir[PATH_MAX];

    for (int i = 0; i < argc && words; i++)
        if (json_array_append_new(words, json_string(argv[i])) < 0) {
            json_decref(words);
            words = NULL;
        }
    if (!words || !getcwd(dir, sizeof(dir))) {
        json_decref(words);
        return NULL;
    }
    return json_pack("{s:s, s:o}", "dir", dir, "words", words);
}

int mf_invocation_note(struct mf_journal *journal, int argc, char **argv, struct mf_error *err)
{
    json_t *json = make_json(argc, argv);
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    int r;

    /* An earlier part of the run may have been started in another way. */
    r = mf_journal_set_text(journal, TEXT_NAME, text && strlen(text) < MAX_BYTES ? text : "", err);
    free(text);
    json_decref(json);
    return r;
}

/* --- reading --- */

static int take_words(struct mf_invocation *invocation, const json_t *words)
{
    size_t n = json_array_size(words);

    invocation->argv = calloc(n + 1, sizeof(*invocation->argv));
    if (!invocation->argv)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        const char *word = json_string_value(json_array_get(words, i));

        if (!word)
            return -ENOENT;
        invocation->argv[invocation->argc++] = (char *)word;
    }
    return n > 0 ? 0 : -ENOENT;
}

int mf_invocation_read(struct mf_journal *journal, struct mf_invocation *ret_invocation)
{
    struct mf_invocation invocation = {0};
    char *text = calloc(1, MAX_BYTES);
    struct mf_error ignored;
    json_t *words = NULL;
    int r = text ? mf_journal_get_text(journal, TEXT_NAME, text, MAX_BYTES, &ignored) : -ENOMEM;

    if (r == 0)
        invocation.json = json_loads(text, 0, NULL);
    if (r == 0 &&
        json_unpack(invocation.json, "{s:s, s:o}", "dir", &invocation.dir, "words", &words) < 0)
        r = -ENOENT;
    if (r == 0)
        r = take_words(&invocation, words);
    free(text);
    if (r == 0)
        *ret_invocation = invocation;
    else
        mf_invocation_finish(&invocation);
    return r == 0 || r == -ENOMEM ? r : -ENOENT;
}

void mf_invocation_finish(struct mf_invocation *invocation)
{
    free(invocation->argv);
    json_decref(invocation->json);
    *invocation = (struct mf_invocation){0};
}

char *mf_invocation_path(const struct mf_invocation *invocation, const char *name)
{
    char *path;

    if (name[0] == '/')
        return strdup(name);
    return asprintf(&path, "%s/%s", invocation->dir, name) < 0 ? NULL : path;
}
