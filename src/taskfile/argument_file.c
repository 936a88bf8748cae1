/*
 * Arguments as lines: see argument_file.h.
 *
 * Owns the input, the index and the readers' buffers; arguments go to an
 * arena of the caller. One thread.
 */
#include "taskfile/argument_file.h"

#include "taskfile/words.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

int mf_argument_file_open(struct mf_argument_file *file, const char *path, struct mf_error *err)
{
    *file = (struct mf_argument_file){0};
    return mf_input_open(&file->input, path, err);
}

void mf_argument_file_close(struct mf_argument_file *file)
{
    mf_input_close(&file->input);
    mf_index_finish(&file->index);
    mf_lines_finish(&file->front);
    mf_lines_finish(&file->back);
}

void mf_argument_file_rewind(struct mf_argument_file *file)
{
    mf_lines_seek(&file->front, &file->input, mf_lines_start(&file->input));
}

/* A line as it comes from a reader, copied if it can be an argument. */
static int take_line(const struct mf_argument_file *file, const struct mf_line *line,
                     struct mf_arena *arena, const char **ret_argument, struct mf_error *err)
{
    int r;

    if (memchr(line->text, '\0', line->size))
        r = mf_error_set(err, -EINVAL, "the line has a NUL byte");
    else
        r = mf_words_check_length("argument", line->length, err);
    if (r == 0) {
        *ret_argument = mf_arena_copy(arena, line->text, line->size);
        if (!*ret_argument)
            r = mf_error_set(err, -ENOMEM, "out of memory");
    }
    if (r < 0)
        return mf_error_prefix(err, r, "%s:%llu: ", file->input.name,
                               (unsigned long long)line->number);
    return 0;
}

static int refuse_reading(const struct mf_argument_file *file, int r, struct mf_error *err)
{
    return mf_error_set(err, r, "%s: cannot be read: %s", file->input.name, strerror(-r));
}

static int refuse_change(const struct mf_argument_file *file, struct mf_error *err)
{
    return mf_error_set(err, -ESTALE, "%s has changed since it was checked", file->input.name);
}

/* Reads a line, taking in more of a stream as needed. */
static int next_line(struct mf_argument_file *file, struct mf_line *ret_line, struct mf_error *err)
{
    for (;;) {
        int r = mf_lines_next(&file->front, ret_line);

        if (r >= 0)
            return r;
        if (r != -EAGAIN)
            return refuse_reading(file, r, err);
        r = mf_input_fill(&file->input, err);
        if (r < 0)
            return r;
    }
}

int mf_argument_file_next(struct mf_argument_file *file, struct mf_arena *arena,
                          const char **ret_argument, struct mf_error *err)
{
    struct mf_line line;
    uint64_t n_read;
    int r;

    if (!file->front.input)
        mf_argument_file_rewind(file);
    r = next_line(file, &line, err);
    n_read = file->front.place.number - 1;
    if (file->is_known && (r > 0 ? n_read < file->index.n_items : n_read > file->index.n_items))
        return refuse_change(file, err);
    if (r > 0)
        file->is_known = true;
    if (r != 0)
        return r;
    r = take_line(file, &line, arena, ret_argument, err);
    if (r < 0)
        return r;
    if (line.size > file->longest)
        file->longest = line.size;
    if (line.number > file->index.n_items && mf_index_add(&file->index, &line) < 0)
        return mf_error_set(err, -ENOMEM, "out of memory");
    return 0;
}

int mf_argument_file_wait(struct mf_argument_file *file, struct mf_arena *arena,
                          const char **ret_argument, struct mf_error *err)
{
    int r;

    while ((r = mf_argument_file_next(file, arena, ret_argument, err)) == -EAGAIN) {
        struct pollfd ready = {.fd = mf_input_wait_fd(&file->input), .events = POLLIN};

        if (poll(&ready, 1, -1) < 0 && errno != EINTR)
            return refuse_reading(file, -errno, err);
    }
    return r;
}

int mf_argument_file_load(struct mf_argument_file *file, uint64_t number, struct mf_arena *arena,
                          const char **ret_argument, struct mf_error *err)
{
    struct mf_lines *back = &file->back;
    struct mf_line line = {0};
    int r = 0;

    /* Line numbers are counted from 1. */
    if (!back->input || number + 1 < back->place.number ||
        number + 1 - back->place.number > MF_INDEX_STRIDE)
        mf_lines_seek(back, &file->input, mf_index_find(&file->index, number));
    while (r == 0 && line.number < number + 1)
        r = mf_lines_next(back, &line);
    if (r == 0)
        return take_line(file, &line, arena, ret_argument, err);
    if (r < 0)
        return refuse_reading(file, r, err);
    return refuse_change(file, err);
}
