/* tests/unit/tap.h - a test is a program that prints "ok" lines. End main()
 * with return tap_done(); a program that dies before that counts as failed.
 */
#ifndef TAP_H
#define TAP_H

#include <stdio.h>

static int tap_run, tap_failed;

#define OK(cond)                                                       \
    do {                                                               \
        int good_ = !!(cond);                                          \
        tap_failed += !good_;                                          \
        printf("%sok %d - %s:%d %s\n", good_ ? "" : "not ", ++tap_run, \
               __FILE__, __LINE__, #cond);                             \
        fflush(stdout);                                                \
    } while (0)

/* Say that a check could not run, and why. */
#define SKIP(why) \
    printf("ok %d # SKIP %s:%d %s\n", ++tap_run, __FILE__, __LINE__, why)

static int tap_done(void)
{
    printf("1..%d\n", tap_run);
    return tap_failed != 0;
}

#endif
