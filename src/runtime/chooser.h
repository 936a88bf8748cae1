/*
 * The policy auto: which order policy suits the remaining work best, found out by
 * simulating what is known of it under each.
 *
 * From time to time the chooser takes an outlook (see outlook.h) of a farm and
 * simulates it, a little at each step, under each candidate: fifo, lifo, sjf and
 * lpt, and where tasks differ by what they look at, priority, wspt, edf and
 * critical-path. fair is none, as shares of groups are a wish of their own.
 *
 * The measure is what the input asks for: where tasks have deadlines, the sum of
 * weight times lateness; else, where they have weights, the sum of weight times
 * completion; else the makespan. Ties, which differ by less than 0.1 %, are broken
 * by the makespan, the weighted completion and the mean wait, and then in favour of
 * the present policy. To change, the best has to be better by 2 %, so that the order
 * does not flutter between policies that are about as good; and where it ties with the
 * present one in the measure, by 2 % in what breaks the tie.
 *
 * It begins anew when enough is new: one in eight of the tasks known then has ended or
 * come, or twice as many have ended as at the last time, since what is learned of
 * run times first matters most; but not before a second has passed. So it simulates a
 * number of times that grows with the logarithm of the tasks. Where nothing is known of
 * run times, or no task waits, there is nothing to choose.
 *
 * Pure: no clock, no I/O. Equal farms at equal times give equal choices, in however
 * many steps. One owner, one thread.
 */
#ifndef MF_RUNTIME_CHOOSER_H
#define MF_RUNTIME_CHOOSER_H

#include "core/farm.h"

/** What a choice goes by. */
enum mf_measure {
    MF_MEASURE_TARDINESS,  /* weight times seconds past the deadline, summed up */
    MF_MEASURE_COMPLETION, /* weight times seconds until done, summed up */
    MF_MEASURE_MAKESPAN,   /* seconds */
    MF_MEASURE_WAIT,       /* mean, in seconds */
};
#define MF_N_MEASURES 4

/**
 * A change of policy, and why.
 *
 * @policy, @former  the new one, and that before
 * @measure          the first in which it is clearly better
 * @predicted, @former_predicted   of that measure, in seconds from at_ns on
 * @n_tasks          tasks simulated
 * @is_part          which are not all that there are
 * @at_ns            when the outlook was taken
 */
struct mf_preference {
    const struct mf_policy *policy, *former;
    enum mf_measure measure;
    double predicted, former_predicted;
    uint32_t n_tasks;
    bool is_part;
    int64_t at_ns;
};

struct mf_chooser;

/**
 * mf_chooser_create() - a chooser for a farm.
 *
 * @config  of that farm; what of it matters to a schedule is simulated too (copied)
 *
 * Returns 0 and the chooser, the caller's to destroy, or -ENOMEM.
 */
int mf_chooser_create(const struct mf_farm_config *config, struct mf_chooser **ret_chooser);

/** NULL is accepted. */
void mf_chooser_destroy(struct mf_chooser *chooser);

/** From mf_chooser_step(). */
enum {
    MF_CHOOSER_IDLE = 0,    /* there is nothing to find out now */
    MF_CHOOSER_BUSY = 1,    /* there is more to simulate */
    MF_CHOOSER_CHANGED = 2, /* another policy is better */
};

/**
 * mf_chooser_step() - begin to find out, if it is time, or go on with it.
 *
 * A step takes an outlook, which takes some milliseconds for the largest farms, or lets
 * some hundred things happen in a simulation, which takes a fraction of one. After
 * MF_CHOOSER_CHANGED the caller has the farm go by preference->policy, with
 * MF_EVENT_POLICY.
 *
 * Returns one of the above, or -ENOMEM.
 */
int mf_chooser_step(struct mf_chooser *chooser, const struct mf_farm *farm, int64_t now_ns,
                    struct mf_preference *ret_preference);

/** Whether a simulation is under way. */
bool mf_chooser_is_busy(const struct mf_chooser *chooser);

/** Bytes that mf_preference_describe() needs at the most. */
#define MF_PREFERENCE_SIZE 160

/** Writes "lpt: makespan 12.3 s, fifo 14.1 s, of 500 tasks simulated"; returns text. */
char *mf_preference_describe(const struct mf_preference *preference, char text[MF_PREFERENCE_SIZE]);

#endif
