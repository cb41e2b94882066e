/* lib/sign/minisign.h - lines of base64, as minisign's files have them. */
#ifndef SIGN_MINISIGN_H
#define SIGN_MINISIGN_H

#include "ax/sign.h"

struct text {
    const char *p;
    size_t n;
};

/* Take the next line off t, without its end, "\n" or "\r\n"; false if
 * nothing is left. */
bool ax_text_line(struct text *t, struct text *line);

/* Take a line that starts with PREFIX; *rest is what follows it. */
ax_status ax_text_comment(struct text *t, const char *prefix,
                          struct text *rest, struct ax_err *err)
    AX_MUST_CHECK;

/* Take a line that is base64 of exactly n bytes. */
ax_status ax_text_base64(struct text *t, unsigned char *out, size_t n,
                         const char *what, struct ax_err *err) AX_MUST_CHECK;

/* Decode base64, at most max bytes; false if it is not strictly that. */
bool ax_base64(unsigned char *out, size_t max, size_t *n, const char *text,
               size_t n_text);

/* Nothing may be left. */
ax_status ax_text_end(const struct text *t, struct ax_err *err) AX_MUST_CHECK;

/* libsodium, ready for use. */
ax_status ax_sodium(struct ax_err *err) AX_MUST_CHECK;

#define AX_UNTRUSTED "untrusted comment: "
#define AX_TRUSTED   "trusted comment: "

#endif
