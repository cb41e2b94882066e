/* ax/err.h - how every libax call reports failure.
 *
 * A call that can fail returns ax_status and takes a struct ax_err last.
 * On failure it fills the struct with one complete sentence about what was
 * wrong; each caller may put its own context in front. The library never
 * prints and never exits: only cmd/ does. */
#ifndef AX_ERR_H
#define AX_ERR_H

#include <stdarg.h>

#if defined(__GNUC__)
#define AX_PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))
#define AX_MUST_CHECK         __attribute__((warn_unused_result))
#else
#define AX_PRINTF(fmt, first)
#define AX_MUST_CHECK
#endif

/* Around the declarations of every public header: they have C linkage, and
 * the shared library exports these functions and no others. */
#ifdef __cplusplus
#define AX_BEGIN_API \
    extern "C" {     \
    _Pragma("GCC visibility push(default)")
#define AX_END_API                \
    _Pragma("GCC visibility pop") \
    }
#else
#define AX_BEGIN_API _Pragma("GCC visibility push(default)")
#define AX_END_API   _Pragma("GCC visibility pop")
#endif

/* One row per status: name, exit code of a command that ends with it, and
 * the words used when no better message was given. The exit codes are those
 * of sysexits(3) and are documented in ax(7): scripts rely on them. */
/* clang-format off */
#define AX_STATUSES(X)                                         \
    X(AX_OK,            0, "success")                          \
    X(AX_NO,            1, "the answer is no")                 \
    X(AX_UNDECIDED,     2, "undecided within the limits")      \
    X(AX_EUSAGE,       64, "wrong usage")                      \
    X(AX_EFORMAT,      65, "malformed input")                  \
    X(AX_EUNSUPPORTED, 65, "not supported")                    \
    X(AX_ESHAPE,       65, "shapes do not agree")              \
    X(AX_ENOINPUT,     66, "no such input")                    \
    X(AX_EUNAVAILABLE, 69, "a part is unavailable")            \
    X(AX_EBUG,         70, "internal error")                   \
    X(AX_EIO,          74, "input or output failed")           \
    X(AX_ENOMEM,       75, "out of memory")
/* clang-format on */

AX_BEGIN_API

typedef enum ax_status {
#define X(name, exit, text) name,
    AX_STATUSES(X)
#undef X
} ax_status;

/* Lives on the caller's stack, so that reporting an error cannot itself run
 * out of memory. Start it as = {0}. */
struct ax_err {
    ax_status code;
    char msg[512];
};

/* Leave the function if a step failed. Use goto out instead once the
 * function owns something. */
#define AX_TRY(call)            \
    do {                        \
        ax_status st_ = (call); \
        if (st_ != AX_OK)       \
            return st_;         \
    } while (0)

/* Record a failure. Returns CODE, so the idiom is: return ax_fail(...). */
ax_status ax_fail(struct ax_err *err, ax_status code, const char *fmt, ...)
    AX_PRINTF(3, 4);

/* Put "CONTEXT: " in front of a recorded message. Returns the recorded code.
 * A message that would not fit is cut at the end, never at the front. */
ax_status ax_fail_in(struct ax_err *err, const char *fmt, ...)
    AX_PRINTF(2, 3);

#ifdef __clang_analyzer__
/* So that the analyser knows that a failure is never AX_OK. */
#define ax_fail(err, code, ...) ((void)(err), (code))
#define ax_fail_in(err, ...)    ((void)(err), AX_EBUG)
#endif

/* Exit code and fixed text of a status; the text is static. */
int ax_status_exit(ax_status code);
const char *ax_status_text(ax_status code);

AX_END_API

#endif
