/* cmd/common/filter.h - the layer of the sandbox that filters system calls.
 */
#ifndef CMD_FILTER_H
#define CMD_FILTER_H

#include <stdbool.h>

/* What may be called beside the calls that every computation needs. */
enum filter_grants {
    FILTER_FILES = 1,    /* make, write, rename and remove files; load code */
    FILTER_PROGRAMS = 2, /* start programs and wait for them */
    FILTER_FOREIGN = 4,  /* whatever programs of others call, but for what
                            reaches out of the files that they are given:
                            no sockets, no look into other processes, nothing
                            that only administrators do */
};

/* Let the kernel refuse every other system call of this process, and of those
 * that it starts, with EPERM. False, with errno, if the kernel has no such
 * filter or is no machine that we know the calls of. */
bool filter_install(unsigned grants);

#endif
