/*
 * A rank with an executor, for tests: give it commands, wait for what it says.
 *
 * Waiting ends with the event, or fails the test after a minute without any.
 */
#ifndef T_EXEC_RIG_H
#define T_EXEC_RIG_H

#include "base/command.h"
#include "exec/executor.h"
#include "exec/process.h"

#include <stdbool.h>
#include <stddef.h>

#define RIG_MAX_TASKS 16384

/** What became of a task; bytes of small outputs are read, larger ones stay in output. */
struct rig_task {
    bool has_started;
    bool has_ended;
    bool is_unstaged;
    bool is_suspended;
    bool is_continued;
    int64_t ran_ns;
    uint32_t slot;
    uint64_t ended_as;
    struct mf_outcome outcome;
    struct mf_output *output;
    char *text[MF_N_STREAMS];
    size_t size[MF_N_STREAMS];
};

struct rig {
    struct mf_loop *loop;
    struct mf_executor *executor;
    pid_t keeper_pid, launcher_pid;
    struct rig_task tasks[RIG_MAX_TASKS];
    uint64_t n_ended;
    uint64_t n_events;
    unsigned n_broken, n_renewed;
    struct mf_error broken, renewed;
    bool keeps_output;
};

/** Options of a rig; {0} is two unpinned slots, no output limit and a grace of 5 s. */
struct rig_options {
    uint32_t n_slots;
    uint64_t limit;
    int64_t grace_ns;
    const char *spill_dir;
    int64_t gather_ns;
    uint32_t first_number;
    const uint32_t *cpus;
};

struct rig *rig_create(struct rig_options options);

/** Ends what runs, and removes the test's own files. */
void rig_destroy(struct rig *rig);

#define RIG_STAGED (-1)

/** Starts a command as attempt 1 of a task, in a slot or staged. */
void rig_start_command(struct rig *rig, mf_task_id task, int slot, int64_t timeout_ns,
                       const struct mf_command *command);

/** Starts a shell command. */
void rig_sh(struct rig *rig, mf_task_id task, int slot, const char *text);

/** Suspends attempt 1 of a task, or lets it go on in a slot; waits until that is told. */
void rig_suspend(struct rig *rig, mf_task_id task);
void rig_resume(struct rig *rig, mf_task_id task, uint32_t slot);

void rig_flush(struct rig *rig);

/** Lets the loop turn until *flag is true. */
void rig_wait(struct rig *rig, const bool *flag);

/** Waits for another launcher, which is the n-th; keeper_pid and launcher_pid are new then. */
void rig_wait_renewed(struct rig *rig, unsigned n);

struct rig_task *rig_wait_ended(struct rig *rig, mf_task_id task);
void rig_wait_all(struct rig *rig, uint64_t n_ended);

/** Runs one shell command in slot 0 as task 1. */
struct rig_task *rig_run(struct rig *rig, const char *text);

/** Waits until a file has a number in it (written by a command), and returns that. */
pid_t rig_wait_pid(const char *path);

/** The state of a process as in /proc/PID/stat ('R', 'S', 'T', ...), or 0 if it is gone. */
char rig_process_state(pid_t pid);

/** Waits until a process is stopped, or until it is not. */
void rig_wait_stopped(pid_t pid, bool is_stopped);

/** Waits until no such process is there, or until it is a zombie. */
void rig_wait_gone(pid_t pid);

/** A path for this test's own files, in a directory of its own. Valid until the next call. */
const char *rig_path(const char *name);

/** Removes that directory and what is in it, as rig_destroy() does. */
void rig_remove_paths(void);

/** How many children a process of one thread has. */
unsigned rig_count_children(pid_t pid);

/** The first of them; fails the test when there is none. */
pid_t rig_first_child(pid_t pid);

/** How many descriptors this process has open. */
unsigned rig_count_fds(void);

#endif
