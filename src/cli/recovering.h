/*
 * What options of several subcommands say about recovering from failures: how often, when and
 * where a task is tried again, and which workers get nothing more.
 */
#ifndef MF_CLI_RECOVERING_H
#define MF_CLI_RECOVERING_H

#include "base/error.h"
#include "cli/cli.h"
#include "core/farm.h"

/** For tables of options: what the parsers below read. */
#define MF_RETRIES_OPTION                                                                          \
    {                                                                                              \
        .name = "retries", .value = "N[,CAUSE=N...]",                                              \
        .help = "Try a failing task N times in all, each time on another node, or else another "   \
                "worker, if there is one. The default is 1. A cause, which is exit, signal, time " \
                "or memory, can have a number of its own, which the others are not charged for: "  \
                "3,time=1,memory=5. Attempts that are lost with their worker or launcher are "     \
                "never charged."                                                                   \
    }
#define MF_RETRY_DELAY_OPTION                                                                      \
    {                                                                                              \
        .name = "retry-delay", .value = "TIME[..MAX]",                                             \
        .help = "Let a task wait before it is tried again: TIME the first time, then twice as "    \
                "long each time, up to MAX, as in 1s..1m."                                         \
    }
#define MF_CRASH_LIMIT_OPTION                                                                      \
    {                                                                                              \
        .name = "crash-limit", .value = "N",                                                       \
        .help = "A task that was running on N workers when they, or the processes that start "     \
                "their commands, were lost fails: it may be what ends them. Of tasks that "        \
                "were on N - 1 a worker runs one at a time, as another one may be to blame. The "  \
                "default is 3; \"none\" tries it for ever."                                        \
    }
#define MF_QUARANTINE_OPTION                                                                       \
    {                                                                                              \
        .name = "quarantine", .value = "N",                                                        \
        .help = "Give no more work to a worker or node on which N more tasks failed that were "    \
                "then done elsewhere than were done there, or on which all fails while others do " \
                "well. It is tried again with one task after 15s, and later after ever longer. "   \
                "The default is 5; \"none\" trusts all."                                           \
    }

#define MF_STANDBY_WAIT_OPTION                                                                     \
    {                                                                                              \
        .name = "standby-wait", .value = "TIME",                                                   \
        .help = "With --standby: how long ranks without any scheduler wait for another one, "      \
                "while their tasks go on; 2m is the default. Where the lock of a crashed node is " \
                "held for longer by its file server, that is too little. New ranks wait as long "  \
                "for those that may be left on other nodes, and 15s."                              \
    }

/** What holds without these options, into what a farm goes by. */
void mf_recovering_init(struct mf_farm_config *farm);

/** Their values. Each returns 0, or -EINVAL or -ERANGE with a sentence. */
int mf_retries_parse(const char *text, uint32_t *ret_attempts, struct mf_farm_config *farm,
                     struct mf_error *err);
int mf_retry_delay_parse(const char *text, struct mf_farm_config *farm, struct mf_error *err);
int mf_crash_limit_parse(const char *text, struct mf_farm_config *farm, struct mf_error *err);
int mf_quarantine_parse(const char *text, struct mf_farm_config *farm, struct mf_error *err);
int mf_standby_wait_parse(const char *text, int64_t *ret_wait_ns, struct mf_error *err);

#endif
