/* See place.h. */
#include "control/place.h"

#include "base/io.h"
#include "control/control.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static int check_owner(const char *run_dir, int fd, struct mf_error *err)
{
    struct stat status;

    if (fstat(fd, &status) < 0)
        return mf_error_set(err, -errno, "%s: %s", run_dir, strerror(errno));
    if (status.st_uid == geteuid())
        return 0;
    return mf_error_set(err, -EACCES, "%s: the run belongs to user %u, not to you (user %u)",
                        run_dir, (unsigned)status.st_uid, (unsigned)geteuid());
}

int mf_control_open_place(const char *run_dir, struct sockaddr_un *ret_address,
                          struct mf_error *err)
{
    int fd = open(run_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int r;

    if (fd < 0)
        return mf_error_set(err, -errno, "%s: %s", run_dir, strerror(errno));
    r = check_owner(run_dir, fd, err);
    if (r < 0) {
        mf_close(&fd);
        return r;
    }
    *ret_address = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(ret_address->sun_path, sizeof(ret_address->sun_path),
             "/proc/self/fd/%d/" MF_CONTROL_SOCKET, fd);
    return fd;
}

int mf_control_is_own(int fd)
{
    struct ucred peer;
    socklen_t size = sizeof(peer);

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == geteuid();
}
