/* solver/clones.h - a function that is compiled once for each kind of
 * processor; the loader picks one. Where the compiler cannot, or where a
 * sanitizer is not ready when the loader asks, there is one for all. */
#ifndef SOLVER_CLONES_H
#define SOLVER_CLONES_H

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && \
    defined(__linux__)
#define CLONES      \
    __attribute__(( \
        target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define CLONES
#endif

#endif
