/* A made-up tree of /proc, /sys and /dev for one test, and an environment without GPUs. */
#ifndef T_ROOT_H
#define T_ROOT_H

/** The directory with the tree, while there is one. */
extern char t_root[];

/** Makes it, and forgets what the environment says of memory and GPUs. */
void t_make_root(void);

void t_remove_root(void);

/** Writes a file of the tree, with the directories above it. */
void t_put(const char *path, const char *text);

/** Lets this process not open the file, also when root runs the test; it may open no others then.
 */
void t_forbid(const char *path);

#endif
