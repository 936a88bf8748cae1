/* The module that tests load: one function for each thing that one can do. */
#include <mpifarm/mpifarm.h>

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int mpifarm_module_init(void);
void mpifarm_module_finish(void);
int t_echo(struct mpifarm_context *context, void *user);
int t_sum(struct mpifarm_context *context, void *user);
int t_print(struct mpifarm_context *context, void *user);
int t_print_and_fail(struct mpifarm_context *context, void *user);
int t_fail(struct mpifarm_context *context, void *user);
int t_crash(struct mpifarm_context *context, void *user);
int t_exit(struct mpifarm_context *context, void *user);
int t_hang(struct mpifarm_context *context, void *user);
int t_pid_and_hang(struct mpifarm_context *context, void *user);
int t_obey(struct mpifarm_context *context, void *user);
int t_second_try(struct mpifarm_context *context, void *user);
int t_crash_first(struct mpifarm_context *context, void *user);
int t_fill(struct mpifarm_context *context, void *user);
int t_touch(struct mpifarm_context *context, void *user);
int t_sleep(struct mpifarm_context *context, void *user);
int t_ask(struct mpifarm_context *context, void *user);
int t_hooks(struct mpifarm_context *context, void *user);
int t_process(struct mpifarm_context *context, void *user);
int t_use(struct mpifarm_context *context, void *user);
int t_leave(struct mpifarm_context *context, void *user);
int t_meet(struct mpifarm_context *context, void *user);
int t_save(struct mpifarm_context *context, void *user);
int t_save_too_much(struct mpifarm_context *context, void *user);

static int n_inits;

/* The input as a number. */
static long number(struct mpifarm_context *context)
{
    size_t size;
    const char *input = mpifarm_input(context, &size);
    char text[32] = "";

    if (size > 0 && size < sizeof(text))
        memcpy(text, input, size);
    return atol(text);
}

static int write_text(struct mpifarm_context *context, const char *text)
{
    return mpifarm_write(context, text, strlen(text));
}

int mpifarm_module_init(void)
{
    n_inits++;
    return getenv("T_REFUSE") ? 1 : 0;
}

void mpifarm_module_finish(void)
{
    const char *path = getenv("T_FINISHED");
    FILE *file = path ? fopen(path, "a") : NULL;

    if (file) {
        fputs("finished\n", file);
        fclose(file);
    }
}

int t_echo(struct mpifarm_context *context, void *user)
{
    size_t size;
    const void *input = mpifarm_input(context, &size);

    mpifarm_write(context, input, size);
    return write_text(context, "\n");
}

int t_sum(struct mpifarm_context *context, void *user)
{
    size_t size;
    const char *input = mpifarm_input(context, &size);
    char text[64] = "";
    long a, b;

    if (size > 0 && size < sizeof(text))
        memcpy(text, input, size);
    if (sscanf(text, "%ld %ld", &a, &b) != 2)
        return mpifarm_fail(context, 3, "\"%s\" is not two numbers", text);
    snprintf(text, sizeof(text), "%ld\n", a + b);
    return write_text(context, text);
}

int t_print(struct mpifarm_context *context, void *user)
{
    printf("printed %ld\n", number(context));
    return write_text(context, "written\n");
}

int t_print_and_fail(struct mpifarm_context *context, void *user)
{
    printf("printed %ld\n", number(context));
    return mpifarm_fail(context, 7, "as asked\nwith a second line");
}

int t_fail(struct mpifarm_context *context, void *user)
{
    return (int)number(context);
}

int t_crash(struct mpifarm_context *context, void *user)
{
    raise(SIGSEGV);
    return 0;
}

int t_exit(struct mpifarm_context *context, void *user)
{
    exit((int)number(context));
}

int t_hang(struct mpifarm_context *context, void *user)
{
    for (;;)
        pause();
}

int t_pid_and_hang(struct mpifarm_context *context, void *user)
{
    FILE *file = fopen("pid", "w");

    if (file) {
        fprintf(file, "%d\n", (int)getpid());
        fclose(file);
    }
    return t_hang(context, user);
}

int t_obey(struct mpifarm_context *context, void *user)
{
    while (!mpifarm_should_stop(context))
        usleep(1000);
    return mpifarm_fail(context, 4, "stopped as asked");
}

int t_second_try(struct mpifarm_context *context, void *user)
{
    if (mpifarm_task_attempt(context) < 2)
        return mpifarm_fail(context, 1, "try again");
    return write_text(context, "second\n");
}

int t_crash_first(struct mpifarm_context *context, void *user)
{
    return mpifarm_task_attempt(context) < 2 ? t_crash(context, user)
                                             : write_text(context, "survived\n");
}

int t_fill(struct mpifarm_context *context, void *user)
{
    size_t n = (size_t)number(context);
    char *bytes = mpifarm_reserve(context, n);

    if (!bytes)
        return 1;
    memset(bytes, 'x', n);
    return 0;
}

int t_touch(struct mpifarm_context *context, void *user)
{
    FILE *file = fopen("touched", "a");

    if (!file)
        return mpifarm_fail(context, 1, "%s", strerror(errno));
    fprintf(file, "%ld\n", number(context));
    return fclose(file) == 0 ? 0 : 1;
}

int t_sleep(struct mpifarm_context *context, void *user)
{
    usleep((useconds_t)number(context) * 1000);
    return 0;
}

/* What a module cannot have. */
int t_ask(struct mpifarm_context *context, void *user)
{
    size_t size = 1;
    char text[128];
    bool has_block = mpifarm_block_data(context, 1, &size) != NULL;

    snprintf(text, sizeof(text), "spawn %d, checkpoint %d, block %d, tag %d, aligned %d, user %d\n",
             mpifarm_spawn(context, mpifarm_task_function(context), NULL, 0, NULL) == -ENOENT,
             mpifarm_checkpoint(context, "x", 1) == 0, has_block, (int)mpifarm_task_tag(context),
             (uintptr_t)mpifarm_input(context, NULL) % _Alignof(max_align_t) == 0, user != NULL);
    return write_text(context, text);
}

int t_hooks(struct mpifarm_context *context, void *user)
{
    return n_inits == 1 ? 0 : mpifarm_fail(context, 1, "%d inits", n_inits);
}

int t_process(struct mpifarm_context *context, void *user)
{
    char text[32];

    snprintf(text, sizeof(text), "%d\n", (int)getpid());
    return write_text(context, text);
}

/* Writes to all of it, whatever a compiler thinks of memory that nobody reads. */
static void fill(volatile char *bytes, size_t n_bytes)
{
    for (size_t i = 0; i < n_bytes; i += 1024)
        bytes[i] = 1;
}

/* Uses so many MiB, and goes on until it is ended if these are more than 50. */
int t_use(struct mpifarm_context *context, void *user)
{
    size_t n_bytes = (size_t)number(context) << 20;
    char *bytes = malloc(n_bytes + 1);

    if (!bytes)
        return mpifarm_fail(context, 1, "no memory");
    fill(bytes, n_bytes);
    while (n_bytes > (size_t)50 << 20)
        sleep(1);
    free(bytes);
    return write_text(context, "used\n");
}

/* Leaves so many MiB behind in its process. */
int t_leave(struct mpifarm_context *context, void *user)
{
    static char *bytes;
    size_t n_bytes = (size_t)number(context) << 20;

    bytes = realloc(bytes, n_bytes + 1);
    if (!bytes)
        return mpifarm_fail(context, 1, "no memory");
    fill(bytes, n_bytes);
    return write_text(context, "left\n");
}

/*
 * Writes its process number into the file that is the first word of its input, and goes from
 * checkpoint to checkpoint until there are those of the other words, or it should stop.
 */
int t_meet(struct mpifarm_context *context, void *user)
{
    size_t size;
    const char *input = mpifarm_input(context, &size);
    char words[256] = "", *rest = words, *word;
    FILE *file;

    if (size < sizeof(words))
        memcpy(words, input, size);
    word = strsep(&rest, " ");
    file = fopen(word, "w");
    if (!file)
        return mpifarm_fail(context, 1, "%s", strerror(errno));
    fprintf(file, "%d\n", (int)getpid());
    fclose(file);
    while ((word = strsep(&rest, " ")))
        while (access(word, F_OK) < 0) {
            mpifarm_checkpoint(context, words, strlen(words));
            if (mpifarm_should_stop(context))
                return mpifarm_fail(context, 4, "stopped as asked");
            usleep(1000);
        }
    mpifarm_write(context, words, strlen(words));
    return write_text(context, "\n");
}

/* Each try adds its number to what the one before has saved; the first crashes, the second fails.
 */
int t_save(struct mpifarm_context *context, void *user)
{
    size_t size;
    const char *restored = mpifarm_restored(context, &size);
    char text[32];

    snprintf(text, sizeof(text), "%.*s%d", (int)size, restored ? restored : "",
             (int)mpifarm_task_attempt(context));
    for (int i = 0; i < 100; i++)
        mpifarm_checkpoint(context, i < 99 ? "not the last" : text, i < 99 ? 12 : strlen(text));
    if (mpifarm_task_attempt(context) == 1)
        raise(SIGSEGV);
    if (mpifarm_task_attempt(context) == 2)
        return mpifarm_fail(context, 1, "again");
    return write_text(context, text);
}

int t_save_too_much(struct mpifarm_context *context, void *user)
{
    static char bytes[(1 << 20) + 1];

    return mpifarm_checkpoint(context, bytes, sizeof(bytes)) == -EMSGSIZE &&
                   mpifarm_checkpoint(context, bytes, sizeof(bytes) - 1) == 0
               ? 0
               : 1;
}
