/*
 * Hands each call to the kind of source it is about: see source.h. One thread.
 */
#include "taskfile/source_ops.h"

#include "taskfile/words.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

void mf_source_close(struct mf_source *source)
{
    if (!source)
        return;
    mf_names_finish(&source->kinds);
    mf_names_finish(&source->groups);
    source->ops->close(source);
}

void mf_source_summarize(const struct mf_source *source, struct mf_source_summary *ret_summary)
{
    source->ops->summarize(source, ret_summary);
}

int mf_source_next(struct mf_source *source, const struct mf_entry **ret_entry,
                   struct mf_error *err)
{
    int r = source->failure;

    if (r == 0)
        r = source->ops->next(source, ret_entry, &source->failure_text);
    if (r >= 0 || r == -EAGAIN)
        return r;
    source->failure = r;
    return mf_error_set(err, r, "%s", source->failure_text.text);
}

void mf_source_rewind(struct mf_source *source)
{
    source->ops->rewind(source);
}

int mf_source_at(struct mf_source *source, uint64_t cookie, int r, struct mf_error *err)
{
    return source->ops->at(source, cookie, r, err);
}

int mf_source_fd(const struct mf_source *source)
{
    return source->ops->fd(source);
}

int mf_source_await(struct mf_source *source, const struct mf_entry **ret_entry,
                    struct mf_error *err)
{
    struct pollfd item = {.fd = mf_source_fd(source), .events = POLLIN};
    int r;

    while ((r = mf_source_next(source, ret_entry, err)) == -EAGAIN)
        if (poll(&item, 1, -1) < 0 && errno != EINTR)
            return mf_error_set(err, -errno, "cannot wait for tasks: %s", strerror(errno));
    return r;
}

int mf_source_load(struct mf_source *source, uint64_t cookie, const struct mf_entry **ret_entry,
                   struct mf_error *err)
{
    return source->ops->load(source, cookie, ret_entry, err);
}

const struct mf_graph *mf_source_graph(const struct mf_source *source)
{
    return source->ops->graph(source);
}

const struct mf_hook *mf_source_hook(const struct mf_source *source, size_t number)
{
    return source->ops->hook ? source->ops->hook(source, number) : NULL;
}

const char *mf_source_kind_name(const struct mf_source *source, uint32_t kind)
{
    return mf_names_text(&source->kinds, kind);
}

const char *mf_source_group_name(const struct mf_source *source, uint32_t group)
{
    return mf_names_text(&source->groups, group);
}

int mf_source_set_kind(struct mf_source *source, struct mf_entry *entry)
{
    size_t size;
    const char *name = mf_words_program(&entry->command, &size);

    return mf_names_number(&source->kinds, name, size, MF_KINDS_MAX, &entry->kind);
}

int mf_source_format_parse(const char *name, enum mf_source_format *ret_format,
                           struct mf_error *err)
{
    static const char *const names[] = {
        [MF_SOURCE_AUTO] = "auto",
        [MF_SOURCE_WFFORMAT] = "wfformat",
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(name, names[i]) == 0) {
            *ret_format = (enum mf_source_format)i;
            return 0;
        }
    return mf_error_set(err, -EINVAL, "no format is called \"%.100s\"; there are auto and wfformat",
                        name);
}
