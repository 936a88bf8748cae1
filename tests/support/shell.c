/* Running commands for end-to-end tests. */
#include "shell.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* A command that takes longer hangs. */
#define LIMIT_MS 300000

/* What commands may use: see shell.h. A zombie waits for a parent that may never look, and is no
 * more. */
static const char helpers[] =
    "await() { until \"$@\"; do sleep 0.01; done; }\n"
    "is_alive() { grep -qs '^State:[[:space:]]*[^ZX]' \"/proc/$1/status\"; }\n"
    "rank_of() {\n"
    "  for pid in $(pgrep -P \"$1\"); do\n"
    "    grep -qsz \"^OMPI_COMM_WORLD_RANK=$2\\$\" \"/proc/$pid/environ\" && echo $pid && return\n"
    "  done\n"
    "  false\n"
    "}\n";

/* Each test is a process of its own, so this is the test's and nobody else's. */
static char test_dir[64];

void t_enter_dir(void)
{
    const char *tmp = getenv("TMPDIR");
    const char *program = getenv("T_MPIFARM_DIR");
    char path[8192];

    cr_assert(program, "T_MPIFARM_DIR names the directory of mpifarm");
    snprintf(path, sizeof(path), "%s:%s", program, getenv("PATH"));
    setenv("PATH", path, 1);
    setenv("OMPI_ALLOW_RUN_AS_ROOT", "1", 1);
    setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1", 1);
    snprintf(test_dir, sizeof(test_dir), "%.40s/mpifarm.XXXXXX", tmp ? tmp : "/tmp");
    cr_assert(mkdtemp(test_dir) && chdir(test_dir) == 0, "cannot make %s", test_dir);
}

void t_leave_dir(void)
{
    char command[256];

    snprintf(command, sizeof(command), "chmod -R u+w %s; rm -rf %s", test_dir, test_dir);
    if (chdir("/") < 0 || system(command) != 0)
        cr_log_warn("cannot remove %s", test_dir);
}

/* Opens a file that only its descriptor names. */
static int open_capture(void)
{
    int fd = open(".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    cr_assert(fd >= 0, "O_TMPFILE: %s", strerror(errno));
    return fd;
}

static char *read_fd(int fd, size_t *ret_size)
{
    struct stat info;
    char *text;
    size_t n = 0;

    cr_assert(fstat(fd, &info) == 0);
    text = malloc((size_t)info.st_size + 1);
    cr_assert(text != NULL);
    while (n < (size_t)info.st_size) {
        ssize_t got = pread(fd, text + n, (size_t)info.st_size - n, (off_t)n);

        cr_assert(got > 0);
        n += (size_t)got;
    }
    text[n] = '\0';
    if (ret_size)
        *ret_size = n;
    return text;
}

static int await(pid_t pid)
{
    struct timespec nap = {.tv_nsec = 2000000};
    int status;

    for (int waited_ms = 0; waitpid(pid, &status, WNOHANG) == 0; waited_ms += 2) {
        if (waited_ms > LIMIT_MS) {
            kill(-pid, SIGKILL);
            waitpid(pid, &status, 0);
            return 124;
        }
        nanosleep(&nap, NULL);
    }
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* Once ranks have died, mpirun of Open MPI 4.1 now and then crashes in what it has to say of that:
 * where its traces show it, the test tells nothing of the farm. */
static bool has_mpirun_crashed(const char *err)
{
    return t_has(err, "Signal: Segmentation fault") && t_has(err, "(pmix_server_log_fn+");
}

static void skip_if_mpirun_crashed(const struct t_result *result)
{
    if (has_mpirun_crashed(result->err) ||
        (access("err", R_OK) == 0 && has_mpirun_crashed(t_read("err"))))
        cr_skip_test("mpirun crashed by itself");
}

struct t_result t_sh(const char *format, ...)
{
    struct t_result result;
    int out = open_capture(), err = open_capture();
    char *text, *command;
    va_list args;
    pid_t pid;

    va_start(args, format);
    cr_assert(vasprintf(&text, format, args) >= 0);
    va_end(args);
    cr_assert(asprintf(&command, "%s%s", helpers, text) >= 0);
    free(text);
    pid = fork();
    cr_assert(pid >= 0);
    if (pid == 0) {
        setpgid(0, 0);
        /* A script that awaits something would await it for ever. */
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        /* As nohup has it for whoever runs the tests. */
        signal(SIGHUP, SIG_DFL);
        dup2(open("/dev/null", O_RDONLY), STDIN_FILENO);
        dup2(out, STDOUT_FILENO);
        dup2(err, STDERR_FILENO);
        execl("/bin/sh", "sh", "-c", command, NULL);
        _exit(127);
    }
    result.status = await(pid);
    result.out = read_fd(out, &result.out_size);
    result.err = read_fd(err, &result.err_size);
    close(out);
    close(err);
    free(command);
    skip_if_mpirun_crashed(&result);
    return result;
}

void t_write(const char *path, const char *format, ...)
{
    FILE *file = fopen(path, "w");
    va_list args;

    cr_assert(file != NULL, "%s: %s", path, strerror(errno));
    va_start(args, format);
    vfprintf(file, format, args);
    va_end(args);
    cr_assert(fclose(file) == 0);
}

char *t_read(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    char *text;

    cr_assert(fd >= 0, "%s: %s", path, strerror(errno));
    text = read_fd(fd, NULL);
    close(fd);
    return text;
}

bool t_has(const char *text, const char *part)
{
    return strstr(text, part) != NULL;
}

int t_count_lines(const char *text, const char *prefix)
{
    int n = 0;

    while (*text) {
        n += strncmp(text, prefix, strlen(prefix)) == 0;
        text += strcspn(text, "\n");
        text += *text == '\n';
    }
    return n;
}

void t_await_file(const char *path)
{
    struct timespec nap = {.tv_nsec = 5000000};

    for (int waited_ms = 0; access(path, F_OK) < 0; waited_ms += 5) {
        cr_assert(waited_ms < LIMIT_MS, "%s did not appear", path);
        nanosleep(&nap, NULL);
    }
}

static const char *under_mpirun(const char *flags, int ranks)
{
    static char text[512];

    /* Open MPI leaves memory behind in modules that it has unloaded, where nothing can name it. */
    snprintf(text, sizeof(text),
             "env ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0 mpirun %s --oversubscribe "
             "--bind-to none -n %d mpifarm",
             flags, ranks);
    return text;
}

const char *t_mpifarm(int ranks)
{
    return ranks == 0 ? "mpifarm" : under_mpirun("", ranks);
}

const char *t_mpifarm_surviving(int ranks)
{
    return under_mpirun("--enable-recovery", ranks);
}
