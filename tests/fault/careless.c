/* The planted fault of tests/cli/fault.bats: a program that takes for granted
 * that it gets its memory. */
#include <stdlib.h>

int main(void)
{
    volatile char *p = malloc(1);

    *p = 0;
    return *p;
}
