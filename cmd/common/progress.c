/* The progress line: see progress.h. */
#include "common/progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void cmd_progress_start(struct cmd_progress *p)
{
    const char *term = getenv("TERM"), *ci = getenv("CI");

    *p = (struct cmd_progress){0};
    p->on = isatty(STDERR_FILENO) && !(ci && *ci) && term &&
            strcmp(term, "dumb") != 0;
    if (p->on)
        p->next_ms = now_ms() + 300;
}

static int width(void)
{
    struct winsize size;

    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) || size.ws_col == 0)
        return 80;
    return size.ws_col;
}

void cmd_progress(struct cmd_progress *p, const char *fmt, ...)
{
    char line[256];
    va_list ap;

    if (!p->on || now_ms() < p->next_ms)
        return;
    p->next_ms = now_ms() + 100;
    p->drawn = true;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    fprintf(stderr, "\r%.*s\033[K", width() - 1, line);
    fflush(stderr);
}

void cmd_progress_end(struct cmd_progress *p)
{
    if (p->drawn)
        fputs("\r\033[K", stderr);
    p->drawn = false;
}
