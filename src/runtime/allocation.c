/* What Slurm says of a job, from its environment and squeue. No state; before any thread. */
#include "runtime/allocation.h"

#include "base/clock.h"
#include "base/units.h"
#include "runtime/query.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A controller that is busy answers late. */
#define SQUEUE_TIMEOUT_NS (10 * MF_NS_PER_S)

/* Longest that Slurm knows, and more. */
#define MAX_DAYS 100000

int mf_allocation_parse_left(const char *text, int64_t *ret_ns)
{
    unsigned int days = 0, hours = 0, minutes, seconds;
    const char *dash = strchr(text, '-');
    int n = 0;

    if (strcmp(text, "UNLIMITED") == 0 || strcmp(text, "NOT_SET") == 0)
        return 0;
    if (dash && (sscanf(text, "%6u-%n", &days, &n) != 1 || text + n != dash + 1))
        return -EINVAL;
    text = dash ? dash + 1 : text;
    if (sscanf(text, "%2u:%2u:%2u%n", &hours, &minutes, &seconds, &n) != 3) {
        hours = 0;
        if (dash || sscanf(text, "%2u:%2u%n", &minutes, &seconds, &n) != 2)
            return -EINVAL;
    }
    if (text[n] != '\0' || days > MAX_DAYS || hours > 23 || minutes > 59 || seconds > 59)
        return -EINVAL;
    *ret_ns = (((int64_t)days * 24 + hours) * 60 + minutes) * 60 * MF_NS_PER_S +
              (int64_t)seconds * MF_NS_PER_S;
    return 1;
}

/* The number of the job as squeue knows it: an element of an array shares one with the array. */
static void name_job(const char *job, char *text, size_t size)
{
    const char *array = getenv("SLURM_ARRAY_JOB_ID");
    const char *element = getenv("SLURM_ARRAY_TASK_ID");

    if (array && element)
        snprintf(text, size, "%s_%s", array, element);
    else
        snprintf(text, size, "%s", job);
}

/* The last line of a text that is not empty; "" if there is none. Writes into the text. */
static const char *last_line(char *text)
{
    char *line;

    for (size_t n = strlen(text); n > 0 && text[n - 1] == '\n'; n--)
        text[n - 1] = '\0';
    line = strrchr(text, '\n');
    return line ? line + 1 : text;
}

static int ask_squeue(const char *job, int64_t *ret_ns, struct mf_error *err)
{
    const char *const words[] = {"squeue", "--noheader", "--format=%L", "--jobs", job, NULL};
    char text[512] = "";
    int r = mf_query(words, SQUEUE_TIMEOUT_NS, MF_QUERY_OUTPUT_AND_ERRORS, text, sizeof(text));
    const char *line = last_line(text);

    /* Of one that ended not long ago it says nothing. */
    if ((r == -ECHILD && strstr(line, "Invalid job id")) || (r == 0 && line[0] == '\0'))
        return mf_error_set(err, -ECHILD, "squeue knows no job %s", job);
    if (r == -ECHILD)
        return mf_error_set(err, -EIO, "squeue does not say when job %s ends: %s", job,
                            line[0] ? line : "it fails");
    if (r < 0)
        return mf_error_set(err, r, "cannot ask squeue when job %s ends: %s", job, strerror(-r));
    r = mf_allocation_parse_left(line, ret_ns);
    if (r < 0)
        return mf_error_set(err, r, "squeue says that job %s ends in \"%s\"", job, line);
    return r;
}

/* What the variable says: returns 1, 0 where it is not set, or -EINVAL. */
static int read_end(const char *name, int64_t *ret_ns, struct mf_error *err)
{
    const char *end = getenv(name);
    char *behind;
    long long end_s;

    if (!end)
        return 0;
    end_s = strtoll(end, &behind, 10);
    if (behind == end || *behind != '\0' || end_s <= 0 || end_s > INT64_MAX / MF_NS_PER_S)
        return mf_error_set(err, -EINVAL, "%s is \"%s\", not seconds since 1970", name, end);
    *ret_ns = end_s * MF_NS_PER_S - mf_clock_wall_ns();
    return 1;
}

int mf_allocation_time_left(int64_t *ret_ns, struct mf_error *err)
{
    const char *job = getenv("SLURM_JOB_ID"), *told = getenv(MF_ALLOCATION_END_VARIABLE);
    char name[64];
    int64_t left_ns;
    int r;

    if (!job || !job[0] || (told && strcmp(told, "none") == 0))
        return 0;
    if (told)
        return read_end(MF_ALLOCATION_END_VARIABLE, ret_ns, err);
    r = read_end("SLURM_JOB_END_TIME", ret_ns, err);
    if (r < 0 || (r == 1 && *ret_ns > 0))
        return r;
    /* A job whose time is over may have got more since it began. */
    name_job(job, name, sizeof(name));
    if (r == 0)
        return ask_squeue(name, ret_ns, err);
    r = ask_squeue(name, &left_ns, NULL);
    if (r == 1)
        *ret_ns = left_ns;
    return r == 0 ? 0 : 1;
}

/* --- the nodes --- */

/* The script of a batch job. */
#define BATCH_STEP "4294967291"

/* A count in the environment; 0 for none, or -EINVAL. */
static int read_count(const char *name, uint32_t *ret_count, struct mf_error *err)
{
    const char *text = getenv(name);
    int64_t count = 0;

    *ret_count = 0;
    if (text && mf_parse_integer(text, 1, INT32_MAX, &count, NULL) < 0)
        return mf_error_set(err, -EINVAL,
                            "%s is \"%s\", which is no number: start it in a Slurm job, or with "
                            "--launch=none",
                            name, text);
    *ret_count = (uint32_t)count;
    return 0;
}

int mf_allocation_parse_cpus(const char *text, uint32_t *ret_n_cpus)
{
    uint64_t n_cpus = 0;

    while (*text) {
        unsigned int each, n_nodes = 1;
        int n = 0;

        if (!isdigit((unsigned char)*text) || sscanf(text, "%7u%n", &each, &n) != 1)
            return -EINVAL;
        text += n;
        if (*text == '(') {
            n = 0;
            if (sscanf(text, "(x%7u)%n", &n_nodes, &n) != 1 || n == 0)
                return -EINVAL;
            text += n;
        }
        n_cpus += (uint64_t)each * n_nodes;
        if (*text == ',')
            text++;
        else if (*text)
            return -EINVAL;
    }
    if (n_cpus == 0 || n_cpus > UINT32_MAX)
        return -EINVAL;
    *ret_n_cpus = (uint32_t)n_cpus;
    return 0;
}

/* Nodes of all components of a heterogeneous job, of which each has one at least. */
static uint32_t count_parts(uint32_t n_parts)
{
    uint32_t n_nodes = 0;

    for (uint32_t i = 0; i < n_parts; i++) {
        char name[64];
        uint32_t n;

        snprintf(name, sizeof(name), "SLURM_JOB_NUM_NODES_HET_GROUP_%" PRIu32, i);
        n_nodes += read_count(name, &n, NULL) == 0 && n > 0 ? n : 1;
    }
    return n_nodes;
}

/* Whether Slurm started this process, or what started it, on a node of the job. */
static bool is_on_node(const struct mf_allocation *allocation)
{
    const char *node = getenv("SLURMD_NODENAME");
    const char *nodes = getenv("SLURM_JOB_NODELIST");

    /* That of an outer job does not count. */
    return node && (allocation->n_nodes > 1 || !nodes || strcmp(node, nodes) == 0);
}

/* Open MPI would say of them what nobody understands. */
static int check_variables(const char *job, struct mf_error *err)
{
    static const char *const names[] = {"SLURM_MEM_PER_NODE", "SLURM_MEM_PER_CPU"};
    int64_t ignored;

    if (job[0] == '\0')
        return mf_error_set(err, -EINVAL,
                            "SLURM_JOB_ID is empty: start it in a Slurm job, or without that "
                            "variable");
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const char *text = getenv(names[i]);

        if (text && mf_parse_integer(text, 0, INT32_MAX, &ignored, NULL) < 0)
            return mf_error_set(err, -EINVAL,
                                "%s is \"%s\", which is no number of MiB: start it in a Slurm job, "
                                "or with --launch=none",
                                names[i], text);
    }
    return 0;
}

int mf_allocation_find(struct mf_allocation *ret_allocation, struct mf_error *err)
{
    const char *step = getenv("SLURM_STEP_ID"), *cpus = getenv("SLURM_JOB_CPUS_PER_NODE");
    struct mf_allocation allocation = {.job = getenv("SLURM_JOB_ID")};
    int r;

    *ret_allocation = allocation;
    if (!allocation.job)
        return 0;
    r = check_variables(allocation.job, err);
    if (r == 0)
        r = read_count("SLURM_JOB_NUM_NODES", &allocation.n_nodes, err);
    if (r == 0 && allocation.n_nodes == 0)
        r = read_count("SLURM_NNODES", &allocation.n_nodes, err);
    if (r == 0)
        r = read_count("SLURM_HET_SIZE", &allocation.n_parts, err);
    if (r < 0)
        return r;
    if (allocation.n_parts > 1)
        allocation.n_nodes = count_parts(allocation.n_parts);
    if (!cpus || allocation.n_parts > 1 || mf_allocation_parse_cpus(cpus, &allocation.n_cpus) < 0)
        allocation.n_cpus = 0;
    allocation.is_in_step = step && strcmp(step, MF_ALLOCATION_INTERACTIVE_STEP) != 0 &&
                            strcmp(step, BATCH_STEP) != 0 && getenv("SLURM_PROCID");
    /* With nothing to go by, what there is of it is here. */
    allocation.is_on_node = allocation.n_nodes == 0 || is_on_node(&allocation);
    if (allocation.n_nodes == 0)
        allocation.n_nodes = 1;
    *ret_allocation = allocation;
    return 1;
}

/* --- lists of nodes --- */

/* Whether a number is in "08-11,13": of as many digits. Moves the list behind its "]". */
static bool has_number(const char **list, const char *digits, size_t n_digits)
{
    unsigned long number = strtoul(digits, NULL, 10);
    bool is_in = false;

    while (**list && **list != ']') {
        char *end;
        unsigned long first = strtoul(*list, &end, 10), last = first;
        size_t width = (size_t)(end - *list);

        if (*end == '-')
            last = strtoul(end + 1, &end, 10);
        if (width == 0)
            break;
        /* Without leading zeros larger ones have more digits. */
        is_in |= number >= first && number <= last &&
                 (n_digits == width || (n_digits > width && (width == 1 || **list != '0')));
        *list = *end == ',' ? end + 1 : end;
    }
    *list += strcspn(*list, "]");
    *list += **list == ']';
    return is_in;
}

/* Whether one name with its brackets is that of the node. Moves the list behind it. */
static bool is_named(const char **list, const char *node)
{
    bool is_same = true;

    while (**list && **list != ',') {
        size_t n_digits = strspn(node, "0123456789");

        if (**list == '[') {
            (*list)++;
            is_same &= has_number(list, node, n_digits) && n_digits > 0;
            node += n_digits;
            continue;
        }
        is_same &= **list == *node;
        node += *node != '\0';
        (*list)++;
    }
    *list += **list == ',';
    return is_same && *node == '\0';
}

bool mf_allocation_has_node(const char *list, const char *node)
{
    while (*list)
        if (is_named(&list, node))
            return true;
    return false;
}

int mf_allocation_part_of(const char *node)
{
    uint32_t n_parts;

    if (read_count("SLURM_HET_SIZE", &n_parts, NULL) < 0 || n_parts < 2)
        return -1;
    for (uint32_t i = 0; i < n_parts; i++) {
        char name[64];
        const char *list;

        snprintf(name, sizeof(name), "SLURM_JOB_NODELIST_HET_GROUP_%" PRIu32, i);
        list = getenv(name);
        if (list && mf_allocation_has_node(list, node))
            return (int)i;
    }
    return -1;
}
