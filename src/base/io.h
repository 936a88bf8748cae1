/* File descriptors: whole writes, flags, limits. */
#ifndef MF_BASE_IO_H
#define MF_BASE_IO_H

#include <stddef.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

/** Writes all n bytes to a blocking fd, going on after EINTR. Returns 0 or -errno. */
int mf_write_all(int fd, const void *data, size_t n);

/** Writes all n bytes at offset. Returns 0 or -errno. */
int mf_pwrite_all(int fd, const void *data, size_t n, uint64_t offset);

/** Reads n bytes at offset; returns how many there were (fewer at the end), or -errno. */
ssize_t mf_pread_all(int fd, void *data, size_t n, uint64_t offset);

/** Raises the soft limit of open files to the hard one; returns the limit now in force. */
uint64_t mf_raise_open_files(void);

/** Whether two names or descriptors led to the same file. */
static inline bool mf_is_same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/** Closes *fd if it is open and sets it to -1; errno is preserved. */
void mf_close(int *fd);

#endif
