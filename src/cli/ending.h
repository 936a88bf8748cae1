/*
 * How a run ended, told by rank 0 to whoever supervises srun or mpirun: they
 * say 0 whatever happened once ranks may die. It is a small file whose path
 * the ranks find in their environment.
 */
#ifndef MF_CLI_ENDING_H
#define MF_CLI_ENDING_H

#include "base/error.h"
#include "base/life.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

/** The variable with the path; set for the ranks of a supervised run, and for no task. */
#define MF_ENDING_VARIABLE "MPIFARM_SUPERVISED"

/** Bytes of the name of a node with its NUL. */
#define MF_ENDING_HOST_SIZE 256

/** What there is in the file. */
enum mf_ending_state {
    MF_ENDING_NONE,  /* ranks are being started */
    MF_ENDING_READY, /* they have been, and the run has not begun */
    MF_ENDING_BEGUN, /* it has, and did not end */
    MF_ENDING_ENDED, /* it has ended, with a status */
};

/**
 * What the file says.
 *
 * @status     of the run, if it has ENDED, or is_over
 * @is_over    it has BEGUN, and nothing is left to do but to let go of the ranks
 * @has_losses  ranks were lost by then
 * @is_spread   ranks may be on other nodes than the one that wrote it
 * @scheduler  the process that schedules, if it has BEGUN; nothing that is known for certain may
 *             be there
 * @host       the node that it is on
 */
struct mf_ending {
    enum mf_ending_state state;
    int status;
    bool is_over;
    bool has_losses;
    bool is_spread;
    struct mf_life scheduler;
    char host[MF_ENDING_HOST_SIZE];
};

/**
 * mf_ending_create() - make the file, empty, beside a run directory.
 *
 * @path  of PATH_MAX bytes, filled in
 *
 * Returns 0 or -errno.
 */
int mf_ending_create(const char *run_dir, char *path);

/**
 * mf_ending_renew() - say in a file that the run which broke off goes on under other ranks.
 *
 * It is to be another file than that of the ranks before, which is removed: what is left of them
 * somewhere finds nothing to write into.
 *
 * @end_ns  when it has to end, as of mf_clock_monotonic_ns(), 0 for never
 *
 * Returns 0 or -errno.
 */
int mf_ending_renew(const char *path, int64_t end_ns);

/**
 * mf_ending_is_renewed() - whether this process is a rank with which a run goes on.
 *
 * @ret_end_ns  when it has to end, on this node's mf_clock_monotonic_ns(), 0 for never; untouched
 *              if it is not
 */
bool mf_ending_is_renewed(int64_t *ret_end_ns);

/** What the file says; NONE of one that cannot be read. */
struct mf_ending mf_ending_read(const char *path);

/** Whether this process is a rank of a supervised run. */
bool mf_ending_is_awaited(void);

/**
 * mf_ending_check() - rank 0, before it begins: whether it can tell how the run ends.
 *
 * @run_dir  as the user named it, for the sentence
 *
 * Returns 0, also where nobody supervises; or -errno with a sentence: this node does not have the
 * file where the supervisor has it, nor the directory of the run.
 */
int mf_ending_check(const char *run_dir, struct mf_error *err);

/** Rank 0: the ranks were started and have found each other. Does nothing where nobody supervises.
 */
void mf_ending_note_ready(void);

/** The rank with the scheduler: something was started, or goes on under this one. Does nothing
 * where nobody supervises. */
void mf_ending_note_begun(void);

/** The rank with the scheduler: the run will end with this status, whoever dies from now on. Does
 * nothing where nobody supervises. */
void mf_ending_note_over(int status);

/**
 * mf_ending_note() - rank 0: the run has ended with this status.
 *
 * @has_losses  ranks were lost, for which srun and mpirun may wait
 *
 * Returns the status to exit with: the same where nobody supervises, else 0, as srun and mpirun
 * comment on any other.
 */
int mf_ending_note(int status, bool has_losses);

#endif
