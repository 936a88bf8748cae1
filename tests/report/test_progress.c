/* Tests of report/progress.c. */
#include "report/progress.h"

#include "base/clock.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define S MF_NS_PER_S

static const char *render(struct mf_progress_state state, enum mf_progress_mode mode,
                          uint32_t columns)
{
    static char text[512];
    struct mf_buffer buffer = {0};

    mf_progress_render(&state, mode, columns, &buffer);
    cr_assert_eq(mf_buffer_status(&buffer), 0);
    cr_assert_lt(buffer.size, sizeof(text));
    memcpy(text, buffer.data ? (const char *)buffer.data : "", buffer.size);
    text[buffer.size] = '\0';
    mf_buffer_finish(&buffer);
    return text;
}

static const struct mf_progress_state half = {
    .now_ns = 10 * S,
    .n_total = 10000,
    .n_done = 4997,
    .n_failed = 3,
    .n_running = 64,
    .n_slots = 128,
};

Test(progress, a_line_has_all_there_is_to_say)
{
    cr_assert_str_eq(render(half, MF_PROGRESS_LINES, 0),
                     "mpifarm: 4,997 of 10,000 done, 3 failed, 64 running, 500/s, 10 s left");
}

Test(progress, of_an_unknown_total_only_counts_are_shown)
{
    struct mf_progress_state state = half;

    state.n_total = 0;
    cr_assert_str_eq(render(state, MF_PROGRESS_LINES, 0),
                     "mpifarm: 4,997 done, 3 failed, 64 running, 500/s");
    cr_assert_str_eq(render(state, MF_PROGRESS_BAR, 80),
                     "4,997 done, 3 failed, 64/128 running, 500/s");
}

Test(progress, nothing_at_all_is_shown_without_dividing_by_it)
{
    struct mf_progress_state state = {0};

    cr_assert_str_eq(render(state, MF_PROGRESS_LINES, 0), "mpifarm: 0 done, 0 running");
    cr_assert_str_eq(render(state, MF_PROGRESS_BAR, 0), "0 done, 0 running");
    cr_assert_str_eq(render(state, MF_PROGRESS_ETA, 0), "0 done, 0 running");
    cr_assert_str_eq(render(state, MF_PROGRESS_NONE, 0), "");
}

Test(progress, a_bar_fills_what_room_there_is)
{
    cr_assert_str_eq(
        render(half, MF_PROGRESS_BAR, 120),
        " 50 % [####################....................] 4,997 of 10,000 done, 3 failed, "
        "64/128 running, 500/s, 10 s left");
}

Test(progress, a_bar_never_reaches_the_last_column)
{
    for (uint32_t columns = 2; columns < 200; columns++)
        cr_assert_lt(strlen(render(half, MF_PROGRESS_BAR, columns)), columns);
}

Test(progress, a_narrow_bar_drops_what_matters_least)
{
    cr_assert_str_eq(render(half, MF_PROGRESS_BAR, 66),
                     " 50 % [####....] 4,997 of 10,000 done, 3 failed, 500/s, 10 s left");
    cr_assert_str_eq(render(half, MF_PROGRESS_BAR, 50),
                     " 50 % 4,997 of 10,000 done, 3 failed, 10 s left");
    cr_assert_str_eq(render(half, MF_PROGRESS_BAR, 40), " 50 % 4,997 of 10,000 done, 3 failed");
}

Test(progress, eta_has_the_time_left_in_front)
{
    cr_assert_str_eq(render(half, MF_PROGRESS_ETA, 80),
                     "10 s left   50 % [###...] 4,997 of 10,000 done, 3 failed, 64/128 running, "
                     "500/s");
}

Test(progress, tasks_of_an_earlier_run_count_as_done_but_not_for_the_rate)
{
    struct mf_progress_state state = {
        .now_ns = 10 * S, .n_total = 200, .n_done = 120, .n_skipped_earlier = 100, .n_running = 2};

    cr_assert_str_eq(render(state, MF_PROGRESS_LINES, 0),
                     "mpifarm: 120 of 200 done, 2 running, 2.0/s, 40 s left");
}

Test(progress, all_is_100_percent_and_almost_all_is_99)
{
    struct mf_progress_state state = {.now_ns = S, .n_total = 1000, .n_done = 999};

    cr_assert(strstr(render(state, MF_PROGRESS_BAR, 80), " 99 % ["));
    state.n_failed = 1;
    cr_assert(strstr(render(state, MF_PROGRESS_BAR, 80), "100 % ["));
    cr_assert(!strstr(render(state, MF_PROGRESS_BAR, 80), "left"));
    state.n_failed = 7;
    cr_assert(strstr(render(state, MF_PROGRESS_BAR, 80), "100 % ["));
}

Test(progress, slow_rates_and_long_times_read_well)
{
    struct mf_progress_state state = {.now_ns = 3600 * S, .n_total = 100, .n_done = 12};

    cr_assert_str_eq(render(state, MF_PROGRESS_LINES, 0),
                     "mpifarm: 12 of 100 done, 0 running, 12/h, 7h20m left");
    state.now_ns = 90 * S;
    cr_assert_str_eq(render(state, MF_PROGRESS_LINES, 0),
                     "mpifarm: 12 of 100 done, 0 running, 8.0/min, 11m00s left");
}

/* What a progress writes to a file in memory. */
struct screen {
    FILE *file;
    char *text;
    size_t size;
    struct mf_progress *progress;
};

static void start(struct screen *screen, enum mf_progress_mode mode)
{
    *screen = (struct screen){0};
    screen->file = open_memstream(&screen->text, &screen->size);
    cr_assert_eq(mf_progress_create(screen->file, mode, 80, &screen->progress), 0);
}

static void finish(struct screen *screen)
{
    mf_progress_destroy(screen->progress);
    fclose(screen->file);
    free(screen->text);
}

/* Updates, and returns what that wrote; the text is the screen's. */
static const char *update(struct screen *screen, int64_t now_ns, uint64_t n_done)
{
    struct mf_progress_state state = {
        .now_ns = now_ns, .started_ns = 100 * S, .n_total = 100000, .n_done = n_done};
    size_t before;

    fflush(screen->file);
    before = screen->size;
    mf_progress_update(screen->progress, &state);
    fflush(screen->file);
    return screen->text + before;
}

Test(progress, lines_come_every_ten_seconds)
{
    struct screen screen;

    start(&screen, MF_PROGRESS_LINES);
    cr_assert_str_eq(update(&screen, 100 * S, 0), "");
    cr_assert_eq(mf_progress_next_ns(screen.progress), 110 * S);
    cr_assert_str_eq(update(&screen, 110 * S - 1, 10), "");
    cr_assert_str_eq(update(&screen, 110 * S, 100),
                     "mpifarm: 100 of 100,000 done, 0 running, 10/s, 2h47m left\n");
    cr_assert_eq(mf_progress_next_ns(screen.progress), 120 * S);
    finish(&screen);
}

Test(progress, a_bar_is_redrawn_ten_times_a_second_when_something_changes_and_else_each_second)
{
    struct screen screen;

    start(&screen, MF_PROGRESS_BAR);
    cr_assert_eq(strncmp(update(&screen, 100 * S, 0), "\r  0 % [", 8), 0);
    cr_assert_eq(mf_progress_next_ns(screen.progress), 101 * S);
    cr_assert_str_eq(update(&screen, 100 * S + S / 20, 1), "");
    cr_assert_eq(mf_progress_next_ns(screen.progress), 100 * S + S / 10);
    cr_assert_neq(*update(&screen, 100 * S + S / 10, 1), '\0');
    cr_assert_str_eq(update(&screen, 100 * S + S / 2, 1), "");
    cr_assert_neq(*update(&screen, 101 * S + S / 10, 1), '\0');
    finish(&screen);
}

Test(progress, a_bar_steps_aside_once_and_comes_back_by_itself)
{
    struct screen screen;
    size_t before;

    start(&screen, MF_PROGRESS_BAR);
    update(&screen, 100 * S, 0);
    before = screen.size;
    mf_progress_step_aside(screen.progress);
    mf_progress_step_aside(screen.progress);
    fflush(screen.file);
    cr_assert_str_eq(screen.text + before, "\r\033[K");
    cr_assert_eq(mf_progress_next_ns(screen.progress), 100 * S + S / 10);
    cr_assert_neq(*update(&screen, 100 * S + S / 10, 0), '\0');
    mf_progress_step_aside(NULL);
    finish(&screen);
}

Test(progress, destroying_takes_the_bar_away)
{
    struct screen screen;

    start(&screen, MF_PROGRESS_BAR);
    update(&screen, 100 * S, 0);
    mf_progress_destroy(screen.progress);
    screen.progress = NULL;
    fflush(screen.file);
    cr_assert_str_eq(screen.text + screen.size - 4, "\r\033[K");
    finish(&screen);
}

Test(progress, the_rate_is_that_of_the_last_ten_seconds)
{
    struct screen screen;
    uint64_t n_done = 0;
    int64_t now_ns = 100 * S;

    start(&screen, MF_PROGRESS_LINES);
    for (; now_ns < 130 * S; now_ns += S / 10)
        update(&screen, now_ns, n_done += 1);
    for (; now_ns < 150 * S; now_ns += S / 10)
        update(&screen, now_ns, n_done += 100);
    cr_assert(strstr(update(&screen, 150 * S, n_done), ", 990/s, "), "%s", screen.text);
    finish(&screen);
}

Test(progress, without_progress_there_is_nothing_to_wake_up_for)
{
    struct screen screen;

    start(&screen, MF_PROGRESS_NONE);
    cr_assert_str_eq(update(&screen, 200 * S, 5), "");
    cr_assert_eq(mf_progress_next_ns(screen.progress), INT64_MAX);
    mf_progress_destroy(NULL);
    finish(&screen);
}
