/* The policy auto: see chooser.h. */
#include "runtime/chooser.h"

#include "runtime/outlook.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INTERVAL_NS INT64_C(1000000000)

/* One in so many of the tasks known has to be new. */
#define NEWS_SHARE 8

/* What happens in a simulation in one step. */
#define EVENTS_PER_STEP 256

/* Differences that are none, and those that are worth a change. */
#define TIE 0.001
#define MARGIN 0.02

#define MAX_CANDIDATES 9
#define SECONDS_PER_NS 1e-9

/** A policy, and what was predicted of each measure under it: INFINITY where it cannot be told. */
struct candidate {
    const struct mf_policy *policy;
    double predicted[MF_N_MEASURES];
};

/**
 * @farm        of the simulations, but for their policy
 * @policy      the present one
 * @is_busy     a comparison is under way: n_candidates, of which the next to simulate, or the
 *              one that is being simulated, is at `next`
 * @sim         that simulation, NULL before it begins
 * @began_ns    when the last comparison began, INT64_MIN before the first
 * @n_ended, @n_news, @n_left   then: tasks that had ended; that and those submitted; those left
 */
struct mf_chooser {
    struct mf_farm_config farm;
    const struct mf_policy *policy;
    bool is_busy;
    struct mf_outlook outlook;
    struct candidate candidates[MAX_CANDIDATES];
    uint32_t n_candidates, next;
    struct mf_sim_config config;
    struct mf_sim *sim;
    int64_t began_ns;
    uint64_t n_ended, n_news, n_left;
};

int mf_chooser_create(const struct mf_farm_config *config, struct mf_chooser **ret_chooser)
{
    struct mf_chooser *chooser = calloc(1, sizeof(*chooser));

    if (!chooser)
        return -ENOMEM;
    chooser->policy = &mf_policy_fifo;
    chooser->farm = (struct mf_farm_config){
        .placement = config->placement,
        .policy_settings = config->policy_settings,
        .delay_ns = config->delay_ns,
    };
    memcpy(chooser->farm.countables, config->countables, sizeof(config->countables));
    chooser->began_ns = INT64_MIN;
    *ret_chooser = chooser;
    return 0;
}

static void finish_comparison(struct mf_chooser *chooser)
{
    mf_sim_destroy(chooser->sim);
    chooser->sim = NULL;
    mf_outlook_finish(&chooser->outlook);
    chooser->is_busy = false;
}

void mf_chooser_destroy(struct mf_chooser *chooser)
{
    if (!chooser)
        return;
    finish_comparison(chooser);
    free(chooser);
}

bool mf_chooser_is_busy(const struct mf_chooser *chooser)
{
    return chooser->is_busy;
}

/* --- whether to begin --- */

static uint64_t count_ended(const struct mf_farm_counts *counts)
{
    return counts->by_state[MF_TASK_DONE] + counts->by_state[MF_TASK_FAILED] +
           counts->by_state[MF_TASK_CANCELLED] + counts->by_state[MF_TASK_SKIPPED];
}

static bool is_due(const struct mf_chooser *chooser, const struct mf_farm *farm, int64_t now_ns)
{
    struct mf_farm_counts counts;
    uint64_t n_ended;

    if (mf_farm_n_ready(farm) < 2 || mf_farm_stopping(farm) != MF_STOP_NONE)
        return false;
    if (chooser->began_ns == INT64_MIN)
        return true;
    if (now_ns - chooser->began_ns < INTERVAL_NS)
        return false;
    mf_farm_count(farm, &counts);
    n_ended = count_ended(&counts);
    return n_ended > 2 * chooser->n_ended ||
           n_ended + counts.submitted - chooser->n_news > chooser->n_left / NEWS_SHARE;
}

static void note_beginning(struct mf_chooser *chooser, const struct mf_farm *farm, int64_t now_ns)
{
    struct mf_farm_counts counts;

    mf_farm_count(farm, &counts);
    chooser->began_ns = now_ns;
    chooser->n_ended = count_ended(&counts);
    chooser->n_news = chooser->n_ended + counts.submitted;
    chooser->n_left = counts.submitted - chooser->n_ended;
}

/* --- what to compare --- */

static void add(struct mf_chooser *chooser, const struct mf_policy *policy)
{
    for (uint32_t i = 0; i < chooser->n_candidates; i++)
        if (chooser->candidates[i].policy == policy)
            return;
    chooser->candidates[chooser->n_candidates++] = (struct candidate){.policy = policy};
}

/* The present one first, so that it wins ties. Those are left out that would order as another. */
static void add_candidates(struct mf_chooser *chooser)
{
    const struct mf_outlook *outlook = &chooser->outlook;

    chooser->n_candidates = chooser->next = 0;
    add(chooser, chooser->policy);
    add(chooser, &mf_policy_fifo);
    if (outlook->has_ways)
        add(chooser, &mf_policy_critical_path);
    add(chooser, &mf_policy_lpt);
    add(chooser, &mf_policy_sjf);
    add(chooser, &mf_policy_lifo);
    if (outlook->has_priority)
        add(chooser, &mf_policy_priority);
    if (outlook->has_weight)
        add(chooser, &mf_policy_wspt);
    if (outlook->has_deadline)
        add(chooser, &mf_policy_edf);
}

static int begin(struct mf_chooser *chooser, const struct mf_farm *farm, int64_t now_ns)
{
    int r = mf_outlook_take(farm, now_ns, &chooser->outlook);

    if (r < 0)
        return r;
    note_beginning(chooser, farm, now_ns);
    if (!chooser->outlook.is_known || chooser->outlook.n_groups == 0) {
        mf_outlook_finish(&chooser->outlook);
        return MF_CHOOSER_IDLE;
    }
    add_candidates(chooser);
    chooser->is_busy = true;
    return MF_CHOOSER_BUSY;
}

/* --- simulating --- */

static int begin_simulation(struct mf_chooser *chooser)
{
    chooser->config = (struct mf_sim_config){
        .farm = chooser->farm,
        .groups = chooser->outlook.groups,
        .n_groups = chooser->outlook.n_groups,
        .seed = 1,
    };
    chooser->config.farm.policy = chooser->candidates[chooser->next].policy;
    return mf_sim_create(&chooser->config, chooser->outlook.tasks, chooser->outlook.n_tasks,
                         &chooser->sim);
}

/* A simulation that came to no end predicts nothing good. */
static void note_prediction(struct candidate *candidate, const struct mf_sim_result *result)
{
    for (int i = 0; i < MF_N_MEASURES; i++)
        candidate->predicted[i] = INFINITY;
    if (!result)
        return;
    candidate->predicted[MF_MEASURE_TARDINESS] = result->weighted_tardiness;
    candidate->predicted[MF_MEASURE_COMPLETION] = result->weighted_completion;
    candidate->predicted[MF_MEASURE_MAKESPAN] = (double)result->makespan_ns * SECONDS_PER_NS;
    candidate->predicted[MF_MEASURE_WAIT] = (double)result->wait_mean_ns * SECONDS_PER_NS;
}

static int simulate(struct mf_chooser *chooser)
{
    int r = chooser->sim ? 0 : begin_simulation(chooser);

    if (r == 0)
        r = mf_sim_step(chooser->sim, EVENTS_PER_STEP);
    if (r == 1 || r == -ENOMEM)
        return r;
    note_prediction(&chooser->candidates[chooser->next],
                    r == 0 ? mf_sim_result(chooser->sim) : NULL);
    mf_sim_destroy(chooser->sim);
    chooser->sim = NULL;
    chooser->next++;
    return 0;
}

/* --- comparing --- */

/* What the choice goes by, the first measure first. Returns how many. */
static uint32_t rank_measures(const struct mf_outlook *outlook,
                              enum mf_measure ret_measures[MF_N_MEASURES])
{
    uint32_t n = 0;

    if (outlook->has_deadline)
        ret_measures[n++] = MF_MEASURE_TARDINESS;
    if (outlook->has_weight)
        ret_measures[n++] = MF_MEASURE_COMPLETION;
    ret_measures[n++] = MF_MEASURE_MAKESPAN;
    if (!outlook->has_weight)
        ret_measures[n++] = MF_MEASURE_COMPLETION;
    if (n < MF_N_MEASURES)
        ret_measures[n++] = MF_MEASURE_WAIT;
    return n;
}

/* Drops the candidates that are worse than the best in one measure. */
static void keep_best(struct mf_chooser *chooser, enum mf_measure measure,
                      bool is_kept[MAX_CANDIDATES])
{
    double best = INFINITY;

    for (uint32_t i = 0; i < chooser->n_candidates; i++)
        if (is_kept[i])
            best = fmin(best, chooser->candidates[i].predicted[measure]);
    for (uint32_t i = 0; i < chooser->n_candidates; i++)
        is_kept[i] &= chooser->candidates[i].predicted[measure] <= best * (1 + TIE);
}

static const struct candidate *find_best(struct mf_chooser *chooser,
                                         const enum mf_measure *measures, uint32_t n_measures)
{
    bool is_kept[MAX_CANDIDATES];
    uint32_t i = 0;

    memset(is_kept, true, sizeof(is_kept));
    for (i = 0; i < n_measures; i++)
        keep_best(chooser, measures[i], is_kept);
    for (i = 0; i + 1 < chooser->n_candidates && !is_kept[i]; i++)
        ;
    return &chooser->candidates[i];
}

/* Whether one is better by enough, in the first measure in which they differ by so much. */
static bool is_clearly_better(const struct candidate *best, const struct candidate *present,
                              const enum mf_measure *measures, uint32_t n_measures,
                              enum mf_measure *ret_measure)
{
    for (uint32_t i = 0; i < n_measures; i++) {
        double first = best->predicted[measures[i]], second = present->predicted[measures[i]];

        *ret_measure = measures[i];
        if (first < second * (1 - MARGIN))
            return true;
        if (first > second * (1 + TIE))
            return false;
    }
    return false;
}

/* Returns MF_CHOOSER_CHANGED or MF_CHOOSER_IDLE. */
static int decide(struct mf_chooser *chooser, struct mf_preference *ret_preference)
{
    enum mf_measure measures[MF_N_MEASURES], measure;
    uint32_t n_measures = rank_measures(&chooser->outlook, measures);
    const struct candidate *present = &chooser->candidates[0];
    const struct candidate *best = find_best(chooser, measures, n_measures);

    if (!is_clearly_better(best, present, measures, n_measures, &measure))
        return MF_CHOOSER_IDLE;
    *ret_preference = (struct mf_preference){
        .policy = best->policy,
        .former = present->policy,
        .measure = measure,
        .predicted = best->predicted[measure],
        .former_predicted = present->predicted[measure],
        .n_tasks = chooser->outlook.n_tasks,
        .is_part = chooser->outlook.is_part,
        .at_ns = chooser->began_ns,
    };
    chooser->policy = best->policy;
    return MF_CHOOSER_CHANGED;
}

int mf_chooser_step(struct mf_chooser *chooser, const struct mf_farm *farm, int64_t now_ns,
                    struct mf_preference *ret_preference)
{
    int r;

    if (!chooser->is_busy)
        return is_due(chooser, farm, now_ns) ? begin(chooser, farm, now_ns) : MF_CHOOSER_IDLE;
    r = simulate(chooser);
    if (r == 0 && chooser->next == chooser->n_candidates)
        r = decide(chooser, ret_preference);
    else if (r == 0)
        r = MF_CHOOSER_BUSY;
    if (r != MF_CHOOSER_BUSY)
        finish_comparison(chooser);
    return r;
}

/* --- telling --- */

char *mf_preference_describe(const struct mf_preference *preference, char text[MF_PREFERENCE_SIZE])
{
    static const char *const names[MF_N_MEASURES] = {
        [MF_MEASURE_TARDINESS] = "weighted lateness",
        [MF_MEASURE_COMPLETION] = "weighted sum",
        [MF_MEASURE_MAKESPAN] = "makespan",
        [MF_MEASURE_WAIT] = "mean wait",
    };

    snprintf(text, MF_PREFERENCE_SIZE, "%s: %s %.4g s, %s %.4g s, simulating %s%" PRIu32 " tasks",
             preference->policy->name, names[preference->measure], preference->predicted,
             preference->former->name, preference->former_predicted,
             preference->is_part ? "a part of the work, " : "", preference->n_tasks);
    return text;
}
