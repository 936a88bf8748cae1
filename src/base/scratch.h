/*
 * A directory of a process's own for files that others are told the path of.
 *
 * Its name is chosen before it is made, so that whoever outlives the process
 * can remove it.
 */
#ifndef MF_BASE_SCRATCH_H
#define MF_BASE_SCRATCH_H

/** Bytes of a name, with its NUL. */
#define MF_SCRATCH_BYTES 256

/**
 * mf_scratch_name() - choose a name that nobody else has.
 *
 * In $TMPDIR, or /tmp where that is unset, relative, too long, or has other
 * characters than letters, digits and "/._-", which no shell takes for
 * anything else. Nothing is made.
 */
void mf_scratch_name(char ret_name[MF_SCRATCH_BYTES]);

/**
 * mf_scratch_file() - make a file in it, and the directory if it is not there, read-only and for
 * nobody else.
 *
 * Returns a descriptor, or -errno.
 */
int mf_scratch_file(const char *name, const char *file);

/** Removes the directory with the files in it; one that is not there is no error. */
void mf_scratch_remove(const char *name);

#endif
