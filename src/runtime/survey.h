/*
 * Which ranks are on which node with what of it: what HELLO says, gathered
 * without starting any work. For `mpifarm topo`.
 */
#ifndef MF_RUNTIME_SURVEY_H
#define MF_RUNTIME_SURVEY_H

#include "runtime/launch.h"
#include "runtime/node.h"

/** A rank as it described itself; host is "" for one that did not answer. */
struct mf_survey_rank {
    char host[MF_HOST_SIZE];
    struct mf_offer has;
};

/**
 * mf_survey() - let every rank tell rank 0 what it has. Calls MPI_Init and MPI_Finalize.
 *
 * @launch     must be one of MPI
 * @ret_ranks  on rank 0: one entry per rank, freed by mf_survey_free(); else NULL
 *
 * Returns 0, or -errno with a sentence.
 */
int mf_survey(const struct mf_launch *launch, struct mf_survey_rank **ret_ranks,
              uint32_t *ret_n_ranks, struct mf_error *err);

void mf_survey_free(struct mf_survey_rank *ranks, uint32_t n_ranks);

#endif
