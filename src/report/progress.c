/*
 * Progress on standard error: see progress.h.
 *
 * The state comes in with each turn and is mostly ignored: a bar is redrawn at
 * most 10 times a second, and once a second when nothing happens. The rate is
 * that of the last 10 s, or that since the start when too little ended within
 * them to tell. Used by rank 0, one thread.
 */
#include "report/progress.h"

#include "base/clock.h"
#include "base/units.h"
#include "report/count.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_COLUMNS 80
#define MIN_BAR 6
#define MAX_BAR 40

#define LINE_INTERVAL_NS (10 * MF_NS_PER_S)
#define BAR_INTERVAL_NS (100 * MF_NS_PER_MS)
#define QUIET_INTERVAL_NS MF_NS_PER_S

#define WINDOW_NS (10 * MF_NS_PER_S)
#define N_SAMPLES 21
#define SAMPLE_INTERVAL_NS (WINDOW_NS / (N_SAMPLES - 1))
/* Fewer ends than this in the window make a rate that jumps. */
#define MIN_WINDOW_TASKS 10

struct sample {
    int64_t at_ns;
    uint64_t n_ended;
};

/**
 * @samples   ring of the last samples, the oldest at first_sample
 * @shown     state last shown
 * @shown_ns  when that was, or from when the next time counts
 * @is_changed  the state is not the one shown any more
 * @is_on_screen  a bar stands on the line
 * @text      reused
 */
struct mf_progress {
    FILE *file;
    enum mf_progress_mode mode;
    uint32_t columns;
    struct sample samples[N_SAMPLES];
    uint32_t first_sample, n_samples;
    struct mf_progress_state shown;
    int64_t shown_ns;
    bool is_started;
    bool is_changed;
    bool is_on_screen;
    struct mf_buffer text;
};

/* Ended in this run. */
static uint64_t count_ended(const struct mf_progress_state *state)
{
    uint64_t n_final = state->n_done + state->n_failed + state->n_skipped;

    return state->n_skipped_earlier < n_final ? n_final - state->n_skipped_earlier : 0;
}

static double rate_since_start(const struct mf_progress_state *state)
{
    int64_t elapsed_ns = state->now_ns - state->started_ns;

    return elapsed_ns > 0 ? (double)count_ended(state) * 1e9 / (double)elapsed_ns : 0;
}

/* "17 s left", or nothing when it cannot be told. */
static void put_time_left(const struct mf_progress_state *state, double rate,
                          struct mf_buffer *buffer)
{
    uint64_t n_final = state->n_done + state->n_failed + state->n_skipped;
    double left_s;
    char text[32];

    if (state->n_total <= n_final || rate <= 0)
        return;
    left_s = (double)(state->n_total - n_final) / rate;
    if (left_s > 1e9)
        return;
    /* Whole seconds: tenths of an estimate are noise. */
    if (left_s <= 59)
        mf_buffer_print(buffer, "%d s left", (int)(left_s + 0.999));
    else
        mf_buffer_print(buffer, "%s left",
                        mf_format_duration((int64_t)left_s * MF_NS_PER_S, text, sizeof(text)));
}

static void put_separator(struct mf_buffer *buffer)
{
    if (buffer->size > 0)
        mf_buffer_append(buffer, ", ", 2);
}

/* Parts of the line that a narrow terminal goes without, in this order. */
enum { WITHOUT_RUNNING = 1, WITHOUT_RATE, WITHOUT_TIME_LEFT, N_WITHOUT };

static void put_counts(const struct mf_progress_state *state, struct mf_buffer *buffer)
{
    char done[MF_COUNT_SIZE], total[MF_COUNT_SIZE], failed[MF_COUNT_SIZE];

    mf_count_format(state->n_done, done);
    if (state->n_total)
        mf_buffer_print(buffer, "%s of %s done", done, mf_count_format(state->n_total, total));
    else
        mf_buffer_print(buffer, "%s done", done);
    if (state->n_failed)
        mf_buffer_print(buffer, ", %s failed", mf_count_format(state->n_failed, failed));
    if (state->n_skipped)
        mf_buffer_print(buffer, ", %s skipped", mf_count_format(state->n_skipped, failed));
}

static void put_parts(const struct mf_progress_state *state, bool is_bar, double rate, int without,
                      bool has_time_left, struct mf_buffer *buffer)
{
    char text[MF_COUNT_SIZE];
    struct mf_buffer left = {0};

    put_counts(state, buffer);
    if (without < WITHOUT_RUNNING) {
        put_separator(buffer);
        mf_buffer_print(buffer, "%s", mf_count_format(state->n_running, text));
        if (is_bar && state->n_slots)
            mf_buffer_print(buffer, "/%s", mf_count_format(state->n_slots, text));
        mf_buffer_print(buffer, " running");
    }
    if (without < WITHOUT_RATE && rate > 0)
        mf_buffer_print(buffer, ", %s", mf_rate_format(rate, text));
    if (without < WITHOUT_TIME_LEFT && has_time_left) {
        put_time_left(state, rate, &left);
        if (left.size) {
            put_separator(buffer);
            mf_buffer_append(buffer, left.data, left.size);
        }
    }
    mf_buffer_finish(&left);
}

static void put_bar(double share, size_t width, struct mf_buffer *buffer)
{
    size_t n_filled = (size_t)(share * (double)width);

    mf_buffer_put_u8(buffer, '[');
    for (size_t i = 0; i < width; i++)
        mf_buffer_put_u8(buffer, i < n_filled ? '#' : '.');
    mf_buffer_append(buffer, "] ", 2);
}

/* What stands before the bar: the time left under --eta, and the percentage. */
static double put_head(const struct mf_progress_state *state, bool is_eta, double rate,
                       struct mf_buffer *buffer)
{
    uint64_t n_final = state->n_done + state->n_failed + state->n_skipped;
    double share = 0;

    if (is_eta) {
        put_time_left(state, rate, buffer);
        if (buffer->size)
            mf_buffer_append(buffer, "  ", 2);
    }
    if (!state->n_total)
        return 0;
    share = n_final < state->n_total ? (double)n_final / (double)state->n_total : 1;
    mf_buffer_print(buffer, "%3d %% ", (int)(share * 100));
    return share;
}

static void render_bar(const struct mf_progress_state *state, bool is_eta, double rate,
                       uint32_t columns, struct mf_buffer *buffer)
{
    /* A terminal wraps behind its last column. */
    size_t width = (columns ? columns : DEFAULT_COLUMNS) - 1;
    size_t start = buffer->size;
    struct mf_buffer head = {0}, parts = {0};
    double share = put_head(state, is_eta, rate, &head);

    for (int without = 0; without < N_WITHOUT; without++) {
        mf_buffer_clear(&parts);
        put_parts(state, true, rate, without, !is_eta, &parts);
        if (head.size + parts.size <= width)
            break;
    }
    mf_buffer_append(buffer, head.data, head.size);
    if (state->n_total && head.size + parts.size + 3 + MIN_BAR <= width) {
        size_t room = width - head.size - parts.size - 3;

        put_bar(share, room < MAX_BAR ? room : MAX_BAR, buffer);
    }
    mf_buffer_append(buffer, parts.data, parts.size);
    if (buffer->size - start > width)
        buffer->size = start + width;
    mf_buffer_finish(&head);
    mf_buffer_finish(&parts);
}

static void render(const struct mf_progress_state *state, enum mf_progress_mode mode, double rate,
                   uint32_t columns, struct mf_buffer *buffer)
{
    struct mf_buffer parts = {0};

    switch (mode) {
    case MF_PROGRESS_NONE:
        break;
    case MF_PROGRESS_LINES:
        put_parts(state, false, rate, 0, true, &parts);
        mf_buffer_print(buffer, "mpifarm: ");
        mf_buffer_append(buffer, parts.data, parts.size);
        break;
    case MF_PROGRESS_BAR:
    case MF_PROGRESS_ETA:
        render_bar(state, mode == MF_PROGRESS_ETA, rate, columns, buffer);
        break;
    }
    mf_buffer_finish(&parts);
}

void mf_progress_render(const struct mf_progress_state *state, enum mf_progress_mode mode,
                        uint32_t columns, struct mf_buffer *buffer)
{
    render(state, mode, rate_since_start(state), columns, buffer);
}

int mf_progress_create(FILE *file, enum mf_progress_mode mode, uint32_t columns,
                       struct mf_progress **ret_progress)
{
    struct mf_progress *progress = calloc(1, sizeof(*progress));

    if (!progress)
        return -ENOMEM;
    progress->file = file;
    progress->mode = mode;
    progress->columns = columns;
    *ret_progress = progress;
    return 0;
}

static bool is_bar(const struct mf_progress *progress)
{
    return progress->mode == MF_PROGRESS_BAR || progress->mode == MF_PROGRESS_ETA;
}

/* A terminal that the user has stopped, or a pipe nobody reads, must not stop the farm. */
static bool can_write(const struct mf_progress *progress)
{
    struct pollfd waiting = {.fd = fileno(progress->file), .events = POLLOUT};

    return waiting.fd < 0 || poll(&waiting, 1, 0) != 0;
}

/* Nothing of the run hangs on what is shown: errors are passed over. */
static void write_text(struct mf_progress *progress, const void *data, size_t n)
{
    if (n && can_write(progress)) {
        fwrite(data, 1, n, progress->file);
        fflush(progress->file);
    }
    clearerr(progress->file);
}

void mf_progress_step_aside(void *arg)
{
    static const char clear[] = "\r\033[K";
    struct mf_progress *progress = arg;

    if (!progress || !progress->is_on_screen)
        return;
    write_text(progress, clear, sizeof(clear) - 1);
    progress->is_on_screen = false;
}

void mf_progress_destroy(struct mf_progress *progress)
{
    if (!progress)
        return;
    mf_progress_step_aside(progress);
    mf_buffer_finish(&progress->text);
    free(progress);
}

static struct sample *sample_at(struct mf_progress *progress, uint32_t index)
{
    return &progress->samples[(progress->first_sample + index) % N_SAMPLES];
}

/* Keeps samples half a second apart, and of those older than the window only the youngest. */
static void take_sample(struct mf_progress *progress, const struct mf_progress_state *state)
{
    struct sample sample = {state->now_ns, count_ended(state)};

    if (progress->n_samples &&
        state->now_ns - sample_at(progress, progress->n_samples - 1)->at_ns < SAMPLE_INTERVAL_NS)
        return;
    while (
        progress->n_samples == N_SAMPLES ||
        (progress->n_samples > 1 && state->now_ns - sample_at(progress, 1)->at_ns >= WINDOW_NS)) {
        progress->first_sample = (progress->first_sample + 1) % N_SAMPLES;
        progress->n_samples--;
    }
    *sample_at(progress, progress->n_samples++) = sample;
}

static double rate_of_window(struct mf_progress *progress, const struct mf_progress_state *state)
{
    const struct sample *oldest = sample_at(progress, 0);
    uint64_t n_ended = count_ended(state);
    int64_t elapsed_ns = state->now_ns - oldest->at_ns;

    if (elapsed_ns <= 0 || n_ended < oldest->n_ended + MIN_WINDOW_TASKS)
        return rate_since_start(state);
    return (double)(n_ended - oldest->n_ended) * 1e9 / (double)elapsed_ns;
}

static bool is_same(const struct mf_progress_state *a, const struct mf_progress_state *b)
{
    return a->n_total == b->n_total && a->n_done == b->n_done && a->n_failed == b->n_failed &&
           a->n_skipped == b->n_skipped && a->n_running == b->n_running && a->n_slots == b->n_slots;
}

int64_t mf_progress_next_ns(const struct mf_progress *progress)
{
    if (progress->mode == MF_PROGRESS_NONE)
        return INT64_MAX;
    if (!progress->is_started)
        return 0;
    if (progress->mode == MF_PROGRESS_LINES)
        return progress->shown_ns + LINE_INTERVAL_NS;
    if (progress->is_changed || !progress->is_on_screen)
        return progress->shown_ns + BAR_INTERVAL_NS;
    return progress->shown_ns + QUIET_INTERVAL_NS;
}

static void show(struct mf_progress *progress, const struct mf_progress_state *state)
{
    struct mf_buffer *text = &progress->text;

    mf_buffer_clear(text);
    if (is_bar(progress))
        mf_buffer_put_u8(text, '\r');
    render(state, progress->mode, rate_of_window(progress, state), progress->columns, text);
    mf_buffer_print(text, "%s", is_bar(progress) ? "\033[K" : "\n");
    if (mf_buffer_status(text) == 0)
        write_text(progress, text->data, text->size);
    progress->is_on_screen = is_bar(progress);
    progress->shown = *state;
    progress->shown_ns = state->now_ns;
    progress->is_changed = false;
}

void mf_progress_update(struct mf_progress *progress, const struct mf_progress_state *state)
{
    if (progress->mode == MF_PROGRESS_NONE)
        return;
    take_sample(progress, state);
    progress->is_changed = !is_same(&progress->shown, state);
    if (!progress->is_started) {
        progress->is_started = true;
        /* Lines begin after their first interval, a bar at once. */
        progress->shown_ns = is_bar(progress) ? state->now_ns - BAR_INTERVAL_NS : state->now_ns;
    }
    if (state->now_ns >= mf_progress_next_ns(progress))
        show(progress, state);
}
