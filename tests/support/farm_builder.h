/*
 * A farm in a few words, for unit tests of the core.
 *
 *     struct t_farm *t = t_farm("a b*2 c!9", .workers = 2, .slots = 4);
 *
 *     t_tick(t);
 *     t_end(t, "a", .cause = MF_CAUSE_EXIT);
 *     cr_assert(eq(str, t_trace(t), "..."));
 *
 * Tasks are named by one word each, with "*n" for n slots, "!n" for priority n,
 * "^n" for n attempts in all, "@n" for worker n alone, "~n" for any but worker n,
 * "|n" for n nodes, "%n" for group n, "=n" for kind n, "+n" for an estimate of n ms and "$n" for n
 * of countable 0, and with "&" at its end if it yields. "c<a,b?,d-" comes after a is done, b has
 * ended and d has failed; these may be named later in the same text. Farms with such tasks need
 * .config.has_dependencies. Every step checks all invariants of the farm.
 * Farms are freed when the process of the test ends.
 */
#ifndef MF_TESTS_FARM_BUILDER_H
#define MF_TESTS_FARM_BUILDER_H

#include "core/farm.h"

#define T_MAX_TASKS 256
#define T_MS INT64_C(1000000)

struct t_farm {
    struct mf_farm *farm;
    int64_t now_ns;
    char names[T_MAX_TASKS + 1][16];
    uint64_t n_named;
    char trace[16384];
};

/** Workers 0 .. workers-1 are UP, each with slots (default 1). */
struct t_farm_options {
    uint32_t workers;
    uint32_t slots;
    struct mf_farm_config config;
};

#define t_farm(tasks, ...) t_farm_create(tasks, &(struct t_farm_options){__VA_ARGS__})
struct t_farm *t_farm_create(const char *tasks, const struct t_farm_options *options);

/** Applies an event at the present time and checks the farm. Returns what apply did. */
#define t_apply(t, ...) t_farm_apply(t, (struct mf_event){__VA_ARGS__})
int t_farm_apply(struct t_farm *t, struct mf_event event);

void t_submit(struct t_farm *t, const char *tasks);

/** Submits n tasks without names, of one slot. */
void t_submit_many(struct t_farm *t, uint64_t n);

void t_wait(struct t_farm *t, int64_t ns);
void t_up(struct t_farm *t, mf_worker_id worker, uint32_t n_slots);
void t_up_on(struct t_farm *t, mf_node_id node, mf_worker_id worker, uint32_t n_slots);
void t_drain(struct t_farm *t, mf_worker_id worker);
void t_lose(struct t_farm *t, mf_worker_id worker);
void t_stop(struct t_farm *t, enum mf_stop how);

/** A tick; turnaround_ns and is_paused may be named. */
#define t_tick(t, ...) t_farm_tick(t, (struct mf_event){.kind = MF_EVENT_TICK, ##__VA_ARGS__})
void t_farm_tick(struct t_farm *t, struct mf_event event);

/* What happens to the present attempt of each of the tasks named, in order. */
void t_start(struct t_farm *t, const char *names);
void t_return(struct t_farm *t, const char *names);
void t_held(struct t_farm *t, const char *names); /* all of its parts that are not yet */
void t_suspended(struct t_farm *t, const char *names);
void t_continued(struct t_farm *t, const char *names);
void t_cancel(struct t_farm *t, const char *names);

/** They succeed, unless a cause is named; each took duration_ns. */
#define t_end(t, names, ...) t_farm_end(t, names, (struct mf_event){__VA_ARGS__})
void t_farm_end(struct t_farm *t, const char *names, struct mf_event event);

/** Submits a task, lets it run for duration_ns on a free slot, and drops the changes of both. */
void t_run_one(struct t_farm *t, int64_t duration_ns);

/** The task of that name as the farm has it, or NULL. */
const struct mf_task *t_task(struct t_farm *t, const char *name);
mf_task_id t_id(struct t_farm *t, const char *name);

/**
 * All changes not told yet: "a:PLACED@0 b:RUNNING@1#2 c:PLACED@0/RECALL
 * d:RUNNING@1/END(timeout) e:READY(exit) f:DONE". "#n" is an attempt after the
 * first; unnamed tasks show as "#id".
 */
const char *t_trace(struct t_farm *t);

struct mf_farm_counts t_counts(struct t_farm *t);

#endif
