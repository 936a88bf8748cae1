/* What simulate prints: a table of results, the bound, and costs told apart. */
#include "cli/simulate_private.h"

#include "runtime/queueing.h"

#include <inttypes.h>
#include <stdio.h>

static double seconds(double ns)
{
    return ns * 1e-9;
}

static double longer(double a, double b)
{
    return a > b ? a : b;
}

/* When the last task could end at the earliest, for all that is known of arrivals. */
static double last_arrival_ns(const struct mf_task_set *set)
{
    double last = 0;

    for (uint64_t i = 0; i < set->n_tasks; i++)
        last = longer(last, (double)set->tasks[i].arrival_ns + (double)set->tasks[i].duration_ns);
    return last;
}

/* Prints what no schedule that runs every task once can beat; returns it. */
static double print_bound(const struct mf_task_set *set, uint64_t n_slots)
{
    struct mf_shape shape;
    double share_ns, bound_ns;

    mf_graph_shape(set->graph, &shape);
    share_ns = (double)shape.work_ns / (double)n_slots;
    bound_ns = longer(longer((double)shape.critical_ns, share_ns), last_arrival_ns(set));
    printf("bound %.3f s: critical path %.3f s, work/slots %.3f s\n", seconds(bound_ns),
           seconds((double)shape.critical_ns), seconds(share_ns));
    return bound_ns;
}

static uint64_t count_not_done(const struct mf_sim_result *result)
{
    return result->n_by_state[MF_TASK_FAILED] + result->n_by_state[MF_TASK_SKIPPED] +
           result->n_by_state[MF_TASK_CANCELLED];
}

static void print_result(const char *name, const struct mf_sim_result *result, double bound_ns)
{
    printf("%-14s %13.3f %9.3f %7.1f%% %11.3f %11.3f %16.3f %9" PRIu64 "\n", name,
           seconds((double)result->makespan_ns),
           bound_ns > 0 ? (double)result->makespan_ns / bound_ns : 1, 100 * result->utilisation,
           seconds((double)result->wait_mean_ns), seconds((double)result->wait_95_ns),
           result->weighted_completion, count_not_done(result));
}

/* Tasks of several slots count as so much work: the theory knows one server for each. */
static double mean_service_s(const struct mf_task_set *set)
{
    double sum = 0;

    for (uint64_t i = 0; i < set->n_tasks; i++)
        sum += (double)set->tasks[i].duration_ns * set->tasks[i].spec.needs.n_slots;
    return seconds(sum / (double)set->n_tasks);
}

static void print_theory(const struct mf_simulate_settings *settings, const struct mf_task_set *set)
{
    struct mf_queueing queueing;
    char name[32];

    snprintf(name, sizeof(name), "M/M/%" PRIu64, mf_simulate_n_slots(settings));
    mf_queueing_mmc(settings->arrivals_per_s, mean_service_s(set), mf_simulate_n_slots(settings),
                    &queueing);
    if (queueing.is_stable)
        printf("%-14s %13s %9s %7.1f%% %11.3f %11.3f %16s %9s\n", name, "-", "-",
               100 * queueing.utilisation, queueing.wait_mean_s, queueing.wait_95_s, "-", "-");
    else
        printf("%-14s %13s %9s %7.1f%% %11s %11s %16s %9s\n", name, "-", "-",
               100 * queueing.utilisation, "inf", "inf", "-", "-");
}

static void print_cost(const char *name, const struct mf_sim_result *result)
{
    double task_s = seconds(result->task_ns), comm_s = seconds(result->comm_ns);

    printf("%-14s %13.6f %9" PRIu64 " %11.6f %9" PRIu64 " %15.3f %15.3f %14.3f %14.3f\n", name,
           result->n_attempts ? task_s / (double)result->n_attempts : 0, result->n_attempts,
           result->n_messages ? comm_s / (double)result->n_messages : 0, result->n_messages, task_s,
           comm_s, task_s + comm_s, seconds((double)result->scheduler_ns));
}

static void print_results(const struct mf_simulate_settings *settings,
                          const struct mf_task_set *set, const struct mf_sim_result *results)
{
    double bound_ns = print_bound(set, mf_simulate_n_slots(settings));

    printf("\n%-14s %13s %9s %8s %11s %11s %16s %9s\n", "policy", "makespan [s]", "of bound",
           "used", "wait [s]", "95% [s]", "weighted sum [s]", "not done");
    for (uint32_t i = 0; i < settings->n_policies; i++)
        print_result(settings->policies[i]->name, &results[i], bound_ns);
    if (settings->arrivals_per_s > 0)
        print_theory(settings, set);
}

void mf_simulate_print(const struct mf_simulate_settings *settings, const struct mf_task_set *set,
                       const struct mf_sim_result *results, const struct mf_buffer *chosen)
{
    printf("tasks %" PRIu64 ", workers %" PRIu64 ", slots %" PRIu64 ", placement %s\n",
           set->n_tasks, mf_simulate_n_workers(settings), mf_simulate_n_slots(settings),
           settings->sim.farm.placement->name);
    print_results(settings, set, results);
    if (chosen->size > 0)
        printf("\n%.*s", (int)chosen->size, (const char *)chosen->data);
    printf("\nT = T_task x N_task + T_comm x N_comm\n%-14s %13s %9s %11s %9s %15s %15s %14s %14s\n",
           "policy", "T_task [s]", "N_task", "T_comm [s]", "N_comm", "T_task x N_task",
           "T_comm x N_comm", "T [s]", "scheduler [s]");
    for (uint32_t i = 0; i < settings->n_policies; i++)
        print_cost(settings->policies[i]->name, &results[i]);
}
