/* Tasks in: mpifarm_submit(), _many(), _array(), _map(), and what options ask for. */
#include "t_api.h"

#include <stdlib.h>

static void a_task_runs_and_its_result_comes_back(struct t_run *t)
{
    uint64_t x = 12;
    mpifarm_future future = t_submit(t, T_SQUARE, &x, sizeof(x));

    x = 0; /* the input was copied */
    T_EQ(*(const uint64_t *)t_done(t, future, sizeof(x)), 144);
    t_release(t, future);
}

static void a_task_sees_its_tag_attempt_rank_and_user_pointer(struct t_run *t)
{
    mpifarm_future futures[2];
    uint64_t ids[2];

    for (int i = 0; i < 2; i++) {
        const struct t_description *seen;

        futures[i] = t_submit(t, T_DESCRIBE, "abc", 3, .tag = UINT64_MAX - (uint64_t)i);
        seen = t_done(t, futures[i], sizeof(*seen));
        T_CHECK(seen->tag == UINT64_MAX - (uint64_t)i);
        T_EQ(seen->attempt, 1);
        T_CHECK(seen->rank < t->size && (seen->rank > 0) == (t->size > 1));
        T_EQ(seen->input_size, 3);
        T_CHECK(seen->is_aligned && seen->has_input && seen->is_user_set && !seen->should_stop);
        T_EQ(seen->restored_size, 0);
        ids[i] = seen->id;
    }
    T_CHECK(ids[0] != ids[1]);
    t_release(t, futures[0]);
    t_release(t, futures[1]);
}

static void the_init_hook_ran_once_where_tasks_run(struct t_run *t)
{
    enum { N = 50 };
    mpifarm_future futures[N];

    for (int i = 0; i < N; i++)
        futures[i] = t_submit(t, T_DESCRIBE, NULL, 0);
    for (int i = 0; i < N; i++) {
        const struct t_description *seen = t_done(t, futures[i], sizeof(*seen));

        T_EQ(seen->n_inits, 1);
        t_release(t, futures[i]);
    }
}

static int compare_ids(const void *a, const void *b)
{
    uint64_t first = *(const uint64_t *)a, second = *(const uint64_t *)b;

    return (first > second) - (first < second);
}

/* In places that others have left, the second time in other order; some are withdrawn. */
static void tasks_alike_keep_their_own_ids_tags_and_inputs(struct t_run *t)
{
    enum { N = 3000 };
    static mpifarm_future described[N], squared[N];
    static uint64_t inputs[N], ids[N];

    for (int round = 0; round < 3; round++) {
        struct mpifarm_task_options options = {.tag = 1000 * (uint64_t)round};

        for (uint64_t i = 0; i < N; i++)
            inputs[i] = i;
        T_EQ(mpifarm_submit_array(t->farm, T_DESCRIBE, NULL, 0, N, &options, described), 0);
        T_EQ(mpifarm_submit_array(t->farm, T_SQUARE, inputs, sizeof(inputs[0]), N, NULL, squared),
             0);
        for (int i = 0; i < N; i += 7)
            T_CHECK(mpifarm_cancel(t->farm, squared[i]) >= 0);
        for (int i = 0; i < N; i++) {
            const struct t_description *seen = t_done(t, described[i], sizeof(*seen));

            T_EQ(seen->tag, options.tag + (uint64_t)i);
            T_EQ(seen->attempt, 1);
            ids[i] = seen->id;
            if (i % 7 != 0)
                T_EQ(*(const uint64_t *)t_done(t, squared[i], sizeof(uint64_t)), i * i);
            t_release(t, described[i]);
            t_release(t, squared[i]);
        }
        qsort(ids, N, sizeof(ids[0]), compare_ids);
        for (int i = 1; i < N; i++)
            T_CHECK(ids[i] != ids[i - 1]);
    }
}

static void an_input_of_zero_bytes_is_null(struct t_run *t)
{
    const void *inputs[] = {NULL, "not looked at"};

    for (int i = 0; i < 2; i++) {
        mpifarm_future future = t_submit(t, T_DESCRIBE, inputs[i], 0);
        const struct t_description *seen = t_done(t, future, sizeof(*seen));

        T_EQ(seen->input_size, 0);
        T_CHECK(!seen->has_input);
        t_release(t, future);
    }
}

static void wrong_submissions_are_refused_and_change_nothing(struct t_run *t)
{
    mpifarm_future released = t_submit(t, T_NOTHING, NULL, 0), future = 77;
    mpifarm_future goes_on = t_submit(t, T_NOTHING, NULL, 0, .after = &released, .n_after = 1);
    mpifarm_future after[] = {released, 0, goes_on};
    uint64_t n_submitted;
    const struct {
        int function, error;
        struct mpifarm_task_options options;
    } wrong[] = {
        {-1, -ENOENT, {0}},
        {T_N_FUNCTIONS, -ENOENT, {0}},
        {1 << 20, -ENOENT, {0}},
        {T_NOTHING, -EINVAL, {.timeout_ns = -1}},
        {T_NOTHING, -EINVAL, {.delivery = (enum mpifarm_delivery)4}},
        {T_NOTHING, -EINVAL, {.delivery = (enum mpifarm_delivery) - 1}},
        {T_NOTHING, -EINVAL, {.delivery = MPIFARM_DELIVER_CALLBACK}},
        {T_NOTHING, -EINVAL, {.n_after = 1}},
        {T_NOTHING, -ESTALE, {.after = &after[0], .n_after = 1}},
        {T_NOTHING, -ESTALE, {.after = &after[1], .n_after = 1}},
        {T_NOTHING, -ESTALE, {.after = &after[2], .n_after = 1}},
        {T_NOTHING, -EHOSTUNREACH, {.rank = t->size}},
        {T_NOTHING, -EHOSTUNREACH, {.rank = UINT32_MAX}},
    };

    t_release(t, goes_on);
    T_ERROR(t,
            mpifarm_submit(t->farm, T_NOTHING, NULL, 0,
                           &(struct mpifarm_task_options){.after = &goes_on, .n_after = 1},
                           &future),
            -ESTALE);
    t_done(t, released, 0);
    t_release(t, released);
    n_submitted = t_counts(t).n_submitted;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        T_ERROR(t, mpifarm_submit(t->farm, wrong[i].function, NULL, 0, &wrong[i].options, &future),
                wrong[i].error);
        T_ERROR(t, mpifarm_submit(t->farm, wrong[i].function, NULL, 0, &wrong[i].options, NULL),
                wrong[i].error);
        T_ERROR(
            t,
            mpifarm_submit_array(t->farm, wrong[i].function, "ab", 1, 2, &wrong[i].options, NULL),
            wrong[i].error);
    }
    T_ERROR(t, mpifarm_submit(t->farm, T_NOTHING, NULL, 5, NULL, &future), -EINVAL);
    T_EQ(future, 77);
    T_EQ(t_counts(t).n_submitted, n_submitted);
}

/* Wherever bytes, tasks or room for what is returned are needed. */
static void null_is_refused_where_something_is_needed(struct t_run *t)
{
    const struct mpifarm_task task = {.function = T_SQUARE, .input = NULL, .size = 8};
    uint64_t n_submitted = t_counts(t).n_submitted;
    mpifarm_future futures[2] = {0};
    uint64_t x[2] = {3, 4};

    T_ERROR(t, mpifarm_submit(t->farm, T_SQUARE, NULL, 8, NULL, futures), -EINVAL);
    T_ERROR(t, mpifarm_submit_many(t->farm, NULL, 2, futures), -EINVAL);
    T_ERROR(t, mpifarm_submit_many(t->farm, NULL, 2, NULL), -EINVAL);
    T_ERROR(t, mpifarm_submit_many(t->farm, &task, 1, NULL), -EINVAL);
    T_ERROR(t, mpifarm_submit_array(t->farm, T_SQUARE, NULL, 8, 2, NULL, NULL), -EINVAL);
    T_ERROR(t, mpifarm_submit_array(t->farm, T_SQUARE, NULL, 8, 2, NULL, futures), -EINVAL);
    T_ERROR(t, mpifarm_map(t->farm, T_SQUARE, NULL, 8, 2, x, 8, NULL), -EINVAL);
    T_ERROR(t, mpifarm_map(t->farm, T_SQUARE, x, 8, 2, NULL, 8, NULL), -EINVAL);
    T_EQ(mpifarm_map(t->farm, T_SQUARE, x, 8, 0, NULL, 8, NULL), 0);
    T_ERROR(t, mpifarm_broadcast(t->farm, NULL, 8, &(mpifarm_block){0}), -EINVAL);
    T_ERROR(t, mpifarm_broadcast(t->farm, x, 8, NULL), -EINVAL);
    T_ERROR(t, mpifarm_lookup(t->farm, NULL), -EINVAL);
    T_ERROR(t, mpifarm_count(t->farm, NULL), -EINVAL);
    T_EQ(futures[0], 0);
    T_EQ(t_counts(t).n_submitted, n_submitted);
}

/* No memory holds them, and no product of their sizes may be taken for a small one. */
static void arrays_that_no_memory_holds_are_refused(struct t_run *t)
{
    const struct {
        size_t n, size;
    } wrong[] = {{SIZE_MAX, 1}, {3, SIZE_MAX / 2}, {SIZE_MAX / 2 + 1, 2}, {SIZE_MAX, 0}};
    uint64_t n_submitted = t_counts(t).n_submitted;
    mpifarm_future futures[3] = {0};
    char bytes[16];

    for (int i = 0; i < 4; i++) {
        size_t n = wrong[i].n, size = wrong[i].size;

        T_ERROR(t, mpifarm_map(t->farm, T_NOTHING, bytes, size, n, NULL, 0, NULL), -EINVAL);
        T_ERROR(t, mpifarm_map(t->farm, T_NOTHING, NULL, 0, n, bytes, size, NULL), -EINVAL);
        T_ERROR(t, mpifarm_submit_array(t->farm, T_NOTHING, bytes, size, n, NULL, NULL), -EINVAL);
        T_ERROR(t, mpifarm_submit_array(t->farm, T_NOTHING, bytes, size, n, NULL, futures),
                -EINVAL);
    }
    T_EQ(futures[0], 0);
    T_EQ(t_counts(t).n_submitted, n_submitted);
}

static void many_tasks_go_in_one_call(struct t_run *t)
{
    const uint64_t x = 5;
    const struct mpifarm_task_options options = {.tag = 9};
    const struct mpifarm_task tasks[] = {
        {.function = T_SQUARE, .input = &x, .size = sizeof(x)},
        {.function = T_DESCRIBE, .options = &options},
        {.function = T_ECHO, .input = "echo", .size = 4},
    };
    mpifarm_future futures[3];

    T_EQ(mpifarm_submit_many(t->farm, tasks, 3, futures), 0);
    T_EQ(*(const uint64_t *)t_done(t, futures[0], sizeof(x)), 25);
    T_EQ(((const struct t_description *)t_done(t, futures[1], sizeof(struct t_description)))->tag,
         9);
    T_CHECK(memcmp(t_done(t, futures[2], 4), "echo", 4) == 0);
    for (int i = 0; i < 3; i++)
        t_release(t, futures[i]);
    T_EQ(mpifarm_submit_many(t->farm, NULL, 0, NULL), 0);
    T_EQ(mpifarm_submit_many(t->farm, tasks, 3, NULL), 0);
}

/* With a bad task among the good ones, which would each make a file. */
static void all_of_many_tasks_are_submitted_or_none(struct t_run *t)
{
    const mpifarm_future stale = 0;
    const struct mpifarm_task_options queue = {.delivery = MPIFARM_DELIVER_QUEUE},
                                      group = {.group = 31}, bad_options = {.timeout_ns = -1},
                                      bad_after = {.after = &stale, .n_after = 1},
                                      bad_rank = {.rank = 999};
    const char *path = t_path(t, "unwanted");
    const struct mpifarm_task bad[] = {
        {.function = T_N_FUNCTIONS},
        {.function = T_NOTHING, .options = &bad_options},
        {.function = T_NOTHING, .options = &bad_after},
        {.function = T_NOTHING, .options = &bad_rank},
    };
    const int errors[] = {-ENOENT, -EINVAL, -ESTALE, -EHOSTUNREACH};
    struct mpifarm_counts before = t_counts(t), after;
    mpifarm_future futures[4], next;

    for (int i = 0; i < 4; i++) {
        const struct mpifarm_task tasks[] = {
            {.function = T_TOUCH, .input = path, .size = strlen(path)},
            {.function = T_TOUCH, .input = path, .size = strlen(path), .options = &queue},
            {.function = T_TOUCH, .input = path, .size = strlen(path), .options = &group},
            bad[i],
        };

        T_ERROR(t, mpifarm_submit_many(t->farm, tasks, 4, futures), errors[i]);
        T_ERROR(t, mpifarm_submit_many(t->farm, tasks, 4, NULL), errors[i]);
    }
    T_EQ(mpifarm_wait_group(t->farm, 31, 0), 0);
    T_EQ(mpifarm_next(t->farm, 0, &next), -ENOENT);
    T_EQ(mpifarm_drain(t->farm, MPIFARM_FOREVER), 0);
    T_CHECK(!t_is_file(path));
    after = t_counts(t);
    T_EQ(after.n_done, before.n_done);
    T_EQ(after.n_submitted, before.n_submitted);
    T_EQ(after.n_cancelled, before.n_cancelled);
}

static void an_array_gives_its_elements_tags_in_order(struct t_run *t)
{
    enum { N = 1000 };
    static uint64_t inputs[N];
    static mpifarm_future futures[N];
    const struct mpifarm_task_options options = {.tag = 100};

    for (uint64_t i = 0; i < N; i++)
        inputs[i] = 3 * i;
    T_EQ(mpifarm_submit_array(t->farm, T_SQUARE, inputs, sizeof(inputs[0]), N, &options, futures),
         0);
    memset(inputs, 0, sizeof(inputs));
    T_EQ(mpifarm_wait_all(t->farm, futures, N, MPIFARM_FOREVER), 0);
    for (uint64_t i = 0; i < N; i++) {
        struct mpifarm_result result = t_await(t, futures[i]);

        T_EQ(*(const uint64_t *)t_done(t, futures[i], sizeof(i)), 9 * i * i);
        T_EQ(result.tag, 100 + i);
        t_release(t, futures[i]);
    }
    T_EQ(mpifarm_submit_array(t->farm, T_SQUARE, NULL, 8, 0, NULL, NULL), 0);
    T_EQ(mpifarm_submit_array(t->farm, T_NOTHING, NULL, 0, 5, NULL, NULL), 0);
}

static void map_puts_each_result_in_its_place(struct t_run *t)
{
    /* More than are in the book at a time. */
    enum { N = 100000 };
    uint64_t *inputs = calloc(N, sizeof(*inputs)), *results = calloc(N, sizeof(*results));

    T_CHECK(inputs && results);
    for (uint64_t i = 0; i < N; i++)
        inputs[i] = i;
    T_EQ(mpifarm_map(t->farm, T_SQUARE, inputs, 8, N, results, 8, NULL), 0);
    for (uint64_t i = 0; i < N; i++)
        T_EQ(results[i], i * i);
    T_EQ(mpifarm_map(t->farm, T_SQUARE, inputs, 8, 0, results, 8, NULL), 0);
    results[1] = 99;
    T_EQ(mpifarm_map(t->farm, T_SQUARE, inputs + 9, 8, 1, results, 8, NULL), 0);
    T_EQ(results[0], 81);
    T_EQ(results[1], 99);
    free(inputs);
    free(results);
}

static void map_fills_up_short_results_and_leaves_those_of_failures(struct t_run *t)
{
    const struct mpifarm_task_options options = {.tag = 4, .delivery = MPIFARM_DELIVER_QUEUE};
    const struct mpifarm_task_options thrice = {.max_attempts = 3};
    struct mpifarm_counts before, after;
    uint64_t inputs[3] = {1, 2, 3};
    char results[3][12], untouched[12];

    memset(results, 'x', sizeof(results));
    memset(untouched, 'x', sizeof(untouched));
    T_EQ(mpifarm_map(t->farm, T_SQUARE, inputs, 8, 3, results, 12, &options), 0);
    for (int i = 0; i < 3; i++) {
        T_EQ(results[i][0], (i + 1) * (i + 1));
        T_CHECK(memcmp(results[i] + 8, "\0\0\0", 4) == 0);
    }
    memset(results, 'x', sizeof(results));
    before = t_counts(t);
    T_EQ(mpifarm_map(t->farm, T_SQUARE, inputs, 8, 3, results, 7, &thrice), 3);
    after = t_counts(t);
    T_EQ(after.n_failed - before.n_failed, 3);
    T_EQ(after.n_done, before.n_done);
    T_EQ(after.n_retried, before.n_retried);
    T_EQ(mpifarm_map(t->farm, T_SQUARE, inputs, 4, 3, results, 8, NULL), 3);
    for (int i = 0; i < 3; i++)
        T_CHECK(memcmp(results[i], untouched, 12) == 0);
    T_ERROR(t, mpifarm_map(t->farm, T_N_FUNCTIONS, inputs, 8, 3, results, 8, NULL), -ENOENT);
    T_ERROR(t,
            mpifarm_map(t->farm, T_SQUARE, inputs, 8, 3, results, 8,
                        &(struct mpifarm_task_options){.timeout_ns = -1}),
            -EINVAL);
}

/* Behind a gate on one worker; the queue tells the order. */
static void higher_priorities_go_first_and_equals_in_order(struct t_run *t)
{
    const int32_t priorities[] = {-7, 0, INT32_MAX, 5};
    const int32_t order[] = {INT32_MAX, 5, 0, -7};
    struct t_gate gate;
    mpifarm_future future;

    if (!t->is_inline)
        t_gate_close(t, &gate, t->size > 1);
    for (uint64_t i = 0; i < 40; i++)
        t_submit(t, T_NOTHING, NULL, 0, .rank = t->size > 1, .priority = priorities[i % 4],
                 .tag = i, .delivery = MPIFARM_DELIVER_QUEUE);
    if (!t->is_inline)
        t_gate_open(t, &gate);
    for (uint64_t i = 0; i < 40; i++) {
        T_EQ(mpifarm_next(t->farm, MPIFARM_FOREVER, &future), 0);
        T_EQ(priorities[t_await(t, future).tag % 4], order[i / 10]);
        T_EQ(t_await(t, future).tag / 4, i % 10);
        t_release(t, future);
    }
}

static void a_task_starts_after_all_it_comes_after_are_done(struct t_run *t)
{
    const int64_t duration_ns = 300000;
    mpifarm_future before[20], after;
    const struct t_times *times;
    int64_t last_ns = 0;

    for (int i = 0; i < 20; i++)
        before[i] = t_submit(t, T_TIMES, &duration_ns, sizeof(duration_ns));
    after = t_submit(t, T_TIMES, &duration_ns, sizeof(duration_ns), .after = before, .n_after = 20);
    T_EQ(t_counts(t).n_waiting, 1);
    times = t_done(t, after, sizeof(*times));
    for (int i = 0; i < 20; i++) {
        const struct t_times *earlier = t_done(t, before[i], sizeof(*times));

        if (earlier->end_ns > last_ns)
            last_ns = earlier->end_ns;
        t_release(t, before[i]);
    }
    T_CHECK(times->begin_ns >= last_ns);
    t_release(t, after);
}

static void a_chain_of_tasks_runs_to_its_end(struct t_run *t)
{
    enum { N = 300 };
    static mpifarm_future chain[N];
    int64_t last_ns = 0, duration_ns = 0;

    for (int i = 0; i < N; i++)
        chain[i] = t_submit(t, T_TIMES, &duration_ns, sizeof(duration_ns),
                            .after = i > 0 ? &chain[i - 1] : NULL, .n_after = i > 0);
    for (int i = 0; i < N; i++) {
        const struct t_times *times = t_done(t, chain[i], sizeof(*times));

        T_CHECK(times->begin_ns >= last_ns);
        last_ns = times->end_ns;
        t_release(t, chain[i]);
    }
}

static void what_comes_after_a_failure_is_skipped(struct t_run *t)
{
    const struct t_failure how = {.code = 2};
    mpifarm_future top = t_submit(t, T_FAIL, &how, sizeof(how));
    mpifarm_future middle = t_submit(t, T_NOTHING, "x", 1, .after = &top, .n_after = 1, .tag = 8);
    mpifarm_future bottom = t_submit(t, T_NOTHING, NULL, 0, .after = &middle, .n_after = 1);
    mpifarm_future late;
    struct mpifarm_result result = t_await(t, bottom);

    T_EQ(result.status, MPIFARM_SKIPPED);
    result = t_await(t, middle);
    T_EQ(result.status, MPIFARM_SKIPPED);
    T_EQ(result.cause, MPIFARM_CAUSE_NONE);
    T_EQ(result.attempts, 0);
    T_EQ(result.tag, 8);
    T_CHECK(!result.data && result.size == 0);
    late = t_submit(t, T_NOTHING, NULL, 0, .after = &top, .n_after = 1);
    T_EQ(t_await(t, late).status, MPIFARM_SKIPPED);
    t_release(t, top);
    t_release(t, middle);
    t_release(t, bottom);
    t_release(t, late);
}

static void a_task_with_a_rank_runs_there(struct t_run *t)
{
    for (uint32_t i = 0; i < 40; i++) {
        uint32_t rank = t->size > 1 ? 1 + i % t->n_workers : 0;
        mpifarm_future future = t_submit(t, T_DESCRIBE, NULL, 0, .rank = rank);
        const struct t_description *seen = t_done(t, future, sizeof(*seen));

        T_EQ(seen->rank, rank);
        t_release(t, future);
    }
}

static void tasks_that_nobody_waits_for_are_counted(struct t_run *t)
{
    const struct t_failure how = {.code = 1};
    struct mpifarm_counts before = t_counts(t), after;
    uint64_t x = 1;

    for (int i = 0; i < 20000; i++)
        T_EQ(mpifarm_submit(t->farm, T_SQUARE, &x, sizeof(x), NULL, NULL), 0);
    for (int i = 0; i < 10; i++)
        T_EQ(mpifarm_submit(t->farm, T_FAIL, &how, sizeof(how), NULL, NULL), 0);
    T_EQ(mpifarm_drain(t->farm, MPIFARM_FOREVER), 0);
    after = t_counts(t);
    T_EQ(after.n_submitted - before.n_submitted, 20010);
    T_EQ(after.n_done - before.n_done, 20000);
    T_EQ(after.n_failed - before.n_failed, 10);
}

/* Runs n tasks; returns whether each rank that works has run some. */
static bool do_all_ranks_take_part(struct t_run *t, int n, mpifarm_future *futures)
{
    uint64_t *n_of_rank = calloc(t->size, sizeof(*n_of_rank));
    bool is_so = true;

    T_CHECK(n_of_rank != NULL);
    for (int i = 0; i < n; i++)
        futures[i] = t_submit(t, T_DESCRIBE, NULL, 0);
    T_EQ(mpifarm_wait_all(t->farm, futures, (size_t)n, MPIFARM_FOREVER), 0);
    for (int i = 0; i < n; i++) {
        const struct t_description *seen = t_done(t, futures[i], sizeof(*seen));

        n_of_rank[seen->rank]++;
        t_release(t, futures[i]);
    }
    for (uint32_t rank = t->size > 1; rank < t->size; rank++)
        is_so &= n_of_rank[rank] > 0;
    free(n_of_rank);
    return is_so;
}

/*
 * All are idle, and the function is known to be quick, so that one message could hold all of the
 * tasks. Now and then a rank that gets no core leaves its part to others.
 */
static void work_is_shared_among_all_ranks(struct t_run *t)
{
    struct t_gate *gates = calloc(t->n_workers, sizeof(*gates));
    int n = 10 * (int)t_counts(t).n_slots, n_rounds = 50;
    mpifarm_future *futures = calloc((size_t)n, sizeof(*futures));

    T_CHECK(gates != NULL && futures != NULL);
    t_gates_close(t, gates);
    for (uint32_t i = 0; i < t->n_workers; i++)
        t_gate_open(t, &gates[i]);
    T_EQ(mpifarm_submit_array(t->farm, T_DESCRIBE, NULL, 0, 3000, NULL, NULL), 0);
    T_EQ(mpifarm_drain(t->farm, MPIFARM_FOREVER), 0);
    while (n_rounds > 0 && !do_all_ranks_take_part(t, n, futures))
        n_rounds--;
    T_CHECK(n_rounds > 0);
    free(gates);
    free(futures);
}

const struct t_scenario t_submitting[] = {
    {"a task runs and its result comes back", a_task_runs_and_its_result_comes_back, 0},
    {"a task sees its tag, attempt, rank and user pointer",
     a_task_sees_its_tag_attempt_rank_and_user_pointer, 0},
    {"the init hook ran once where tasks run", the_init_hook_ran_once_where_tasks_run, 0},
    {"tasks alike keep their own ids, tags and inputs",
     tasks_alike_keep_their_own_ids_tags_and_inputs, 0},
    {"an input of zero bytes is NULL", an_input_of_zero_bytes_is_null, 0},
    {"wrong submissions are refused and change nothing",
     wrong_submissions_are_refused_and_change_nothing, 0},
    {"NULL is refused where something is needed", null_is_refused_where_something_is_needed, 0},
    {"arrays that no memory holds are refused", arrays_that_no_memory_holds_are_refused, 0},
    {"many tasks go in one call", many_tasks_go_in_one_call, 0},
    {"all of many tasks are submitted or none", all_of_many_tasks_are_submitted_or_none, 0},
    {"an array gives its elements tags in order", an_array_gives_its_elements_tags_in_order, 0},
    {"map puts each result in its place", map_puts_each_result_in_its_place, 0},
    {"map fills up short results and leaves those of failures",
     map_fills_up_short_results_and_leaves_those_of_failures, 0},
    {"higher priorities go first, and equals in order",
     higher_priorities_go_first_and_equals_in_order, T_NEEDS_ONE_SLOT},
    {"a task starts after all it comes after are done",
     a_task_starts_after_all_it_comes_after_are_done, 0},
    {"a chain of tasks runs to its end", a_chain_of_tasks_runs_to_its_end, 0},
    {"what comes after a failure is skipped", what_comes_after_a_failure_is_skipped, 0},
    {"a task with a rank runs there", a_task_with_a_rank_runs_there, 0},
    {"tasks that nobody waits for are counted", tasks_that_nobody_waits_for_are_counted, 0},
    {"work is shared among all ranks", work_is_shared_among_all_ranks, T_NEEDS_CONCURRENCY},
    {0},
};
