/* Names of the functions that a shared library defines for others. */
#ifndef MF_EXEC_MODULE_NAMES_H
#define MF_EXEC_MODULE_NAMES_H

/** Called with a name (borrowed from the library); below 0 ends the walk. */
typedef int (*mf_module_name_fn)(void *arg, const char *name);

/**
 * mf_module_names() - walk over the functions of a loaded library.
 *
 * Only what it defines itself, not what it is linked with. dlsym() would find
 * that too: a misspelt name could be a function of libc.
 *
 * @handle  of dlopen()
 *
 * Returns 0, what fn returned below 0, or -ENOEXEC for a library without a
 * table of symbols.
 */
int mf_module_names(void *handle, mf_module_name_fn fn, void *arg);

#endif
