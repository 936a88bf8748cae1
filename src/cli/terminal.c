/* The terminal that standard error goes to: see terminal.h. No state. */
#include "cli/terminal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

bool mf_terminal_is_there(void)
{
    return isatty(STDERR_FILENO) || getenv(MF_TERMINAL_VARIABLE) != NULL;
}

uint32_t mf_terminal_columns(void)
{
    const char *told = getenv(MF_TERMINAL_VARIABLE);
    struct winsize size;

    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0)
        return size.ws_col;
    return told ? (uint32_t)strtoul(told, NULL, 10) : 0;
}

void mf_terminal_tell(void)
{
    char text[16];

    if (!isatty(STDERR_FILENO))
        return;
    snprintf(text, sizeof(text), "%" PRIu32, mf_terminal_columns());
    (void)setenv(MF_TERMINAL_VARIABLE, text, 1);
}
