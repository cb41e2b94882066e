/* Preloaded by tests/fault/run: the AX_FAIL_NTH-th allocation fails. Writes
 * one byte to the file AX_FAIL_HIT when that happens, so that the runner
 * knows when there was nothing left to fail. Allocations before main() are
 * the dynamic linker's and the C library's, and are left alone. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* These stand for the C library's own. */
#define EXPORT __attribute__((visibility("default")))

static atomic_long left;
static int hit = -1; /* opened early: the program may give up opening files */

/* glibc calls it with the program's arguments just before main(). */
__attribute__((constructor)) static void start(void)
{
    const char *s = getenv("AX_FAIL_NTH"), *path = getenv("AX_FAIL_HIT");

    left = s ? atol(s) : 0;
    if (path)
        hit = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
}

/* Allocations of libcrypto are left alone: OpenSSL 3.0 dereferences NULL
 * when its own set-up runs out of memory. */
static int is_exempt(void *caller)
{
    Dl_info info;

    return dladdr(caller, &info) && info.dli_fname &&
           strstr(info.dli_fname, "libcrypto.so");
}

static int this_one(void *caller)
{
    if (left <= 0 || is_exempt(caller) || atomic_fetch_sub(&left, 1) != 1)
        return 0;
    if (hit >= 0 && write(hit, "x", 1) != 1)
        _exit(125);
    errno = ENOMEM;
    return 1;
}

/* A function of the C library; object pointers are what dlsym gives. */
#define REAL(type, name)                    \
    static type real;                       \
    void *found;                            \
    if (!real) {                            \
        found = dlsym(RTLD_NEXT, name);     \
        memcpy(&real, &found, sizeof real); \
    }

typedef void *malloc_fn(size_t);
typedef void *calloc_fn(size_t, size_t);
typedef void *realloc_fn(void *, size_t);
typedef void *aligned_fn(size_t, size_t);
typedef int memalign_fn(void **, size_t, size_t);

EXPORT void *malloc(size_t n)
{
    REAL(malloc_fn *, "malloc")
    return this_one(__builtin_return_address(0)) ? NULL : real(n);
}

EXPORT void *calloc(size_t n, size_t size)
{
    REAL(calloc_fn *, "calloc")
    return this_one(__builtin_return_address(0)) ? NULL : real(n, size);
}

EXPORT void *realloc(void *p, size_t n)
{
    REAL(realloc_fn *, "realloc")
    return this_one(__builtin_return_address(0)) ? NULL : real(p, n);
}

EXPORT void *aligned_alloc(size_t alignment, size_t n)
{
    REAL(aligned_fn *, "aligned_alloc")
    return this_one(__builtin_return_address(0)) ? NULL : real(alignment, n);
}

EXPORT int posix_memalign(void **p, size_t alignment, size_t n)
{
    REAL(memalign_fn *, "posix_memalign")
    return this_one(__builtin_return_address(0)) ? ENOMEM
                                                 : real(p, alignment, n);
}
