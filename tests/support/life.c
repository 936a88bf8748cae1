/* A process to watch: see life.h. */
#include "life.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <unistd.h>

pid_t t_live(struct mf_life *ret_life)
{
    int fds[2];
    pid_t pid;

    cr_assert(eq(int, pipe(fds), 0));
    pid = fork();
    if (pid == 0) {
        mf_life_own(ret_life);
        if (write(fds[1], ret_life, sizeof(*ret_life)) > 0)
            pause();
        _exit(1);
    }
    close(fds[1]);
    cr_assert(eq(sz, (size_t)read(fds[0], ret_life, sizeof(*ret_life)), sizeof(*ret_life)));
    close(fds[0]);
    return pid;
}
