/* Models in memory: what they own, and what is attached to them. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "model/internal.h"

static void free_attachment(struct ax_attachment *a)
{
    free(a->type);
    free(a->name);
    free(a->data);
}

void ax_model_free(struct ax_model *m)
{
    if (!m)
        return;
    ax_graph_free(m->graph);
    for (uint32_t i = 0; i < m->n_tensors; i++)
        ax_tensor_free(&m->tensors[i]);
    free(m->tensors);
    for (uint32_t i = 0; i < m->n_meta; i++) {
        free(m->meta[i].key);
        free(m->meta[i].value);
    }
    free(m->meta);
    for (uint32_t i = 0; i < m->n_attachments; i++)
        free_attachment(&m->attachments[i]);
    free(m->attachments);
    if (m->map)
        munmap(m->map, m->map_size);
    free(m);
}

ax_status axm_buf_room(struct axm_buf *b, size_t more, struct ax_err *err)
{
    size_t want, cap = b->cap ? b->cap : 4096;
    uint8_t *data;

    if (__builtin_add_overflow(b->n, more, &want) || want > PTRDIFF_MAX)
        return ax_fail(err, AX_ENOMEM, "no memory for %zu more bytes", more);
    if (want <= b->cap)
        return AX_OK;
    while (cap < want)
        cap *= 2;
    data = realloc(b->data, cap);
    if (!data)
        return ax_fail(err, AX_ENOMEM, "no memory for %zu bytes", cap);
    b->data = data;
    b->cap = cap;
    return AX_OK;
}

ax_status axm_buf_add(struct axm_buf *b, const void *data, size_t n,
                      struct ax_err *err)
{
    AX_TRY(axm_buf_room(b, n, err));
    if (n)
        memcpy(b->data + b->n, data, n);
    b->n += n;
    return AX_OK;
}

/* The length of the UTF-8 sequence at p, 0 if it is none. */
static size_t utf8(const uint8_t *p, size_t n)
{
    size_t k = p[0] < 0x80             ? 1
               : (p[0] & 0xe0) == 0xc0 ? 2
               : (p[0] & 0xf0) == 0xe0 ? 3
               : (p[0] & 0xf8) == 0xf0 ? 4
                                       : 0;
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    uint32_t c;

    if (k == 0 || k > n)
        return 0;
    c = k == 1 ? p[0] : p[0] & (0x7fu >> k);
    for (size_t i = 1; i < k; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (p[i] & 0x3fu);
    }
    return c < least[k] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000) ? 0
                                                                       : k;
}

bool ax_is_utf8(const char *s, size_t n)
{
    const uint8_t *p = (const uint8_t *)s;

    while (n) {
        size_t k = utf8(p, n);

        if (k == 0)
            return false;
        p += k;
        n -= k;
    }
    return true;
}

ax_status axm_check_attachment(const char *type, size_t t, const char *name,
                               size_t m, size_t payload, struct ax_err *err)
{
    if (t < 1 || t > 64)
        return ax_fail(err, AX_EFORMAT,
                       "the type of an attachment has %zu bytes, wants 1 to "
                       "64",
                       t);
    for (size_t i = 0; i < t; i++)
        if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789-", type[i]) ||
            !type[i])
            return ax_fail(err, AX_EFORMAT,
                           "byte %02x in the type of an attachment, wants "
                           "a-z, 0-9 or -",
                           (unsigned)(unsigned char)type[i]);
    if (m > 255)
        return ax_fail(err, AX_EFORMAT,
                       "the name of an attachment has %zu bytes, wants at "
                       "most 255",
                       m);
    for (size_t i = 0; i < m; i++)
        if ((unsigned char)name[i] < 0x20 || name[i] == '/')
            return ax_fail(err, AX_EFORMAT,
                           "byte %02x in the name of an attachment",
                           (unsigned)(unsigned char)name[i]);
    if (!ax_is_utf8(name, m))
        return ax_fail(err, AX_EFORMAT,
                       "the name of an attachment is not UTF-8");
    if (payload > AXM_ATTACH_MAX - AXM_ATTACH_HEAD)
        return ax_fail(err, AX_EFORMAT,
                       "an attachment of %zu bytes is longer than 4 GiB",
                       payload);
    return AX_OK;
}

size_t axm_attachment_head(uint8_t out[AXM_ATTACH_HEAD],
                           const struct ax_attachment *a)
{
    size_t t = strlen(a->type), m = strlen(a->name);

    memcpy(out, a->identity, 32);
    out[32] = (uint8_t)t;
    memcpy(out + 33, a->type, t);
    out[33 + t] = (uint8_t)m;
    memcpy(out + 34 + t, a->name, m);
    return 34 + t + m;
}

ax_status axm_append(struct ax_model *m, struct ax_attachment *att,
                     struct ax_err *err)
{
    /* The array doubles whenever the count is a power of two. */
    if ((m->n_attachments & (m->n_attachments - 1)) == 0) {
        size_t cap = m->n_attachments ? 2 * (size_t)m->n_attachments : 1;
        void *p = realloc(m->attachments, cap * sizeof *m->attachments);

        if (!p) {
            free_attachment(att);
            return ax_fail(err, AX_ENOMEM, "no memory for %zu attachments",
                           cap);
        }
        m->attachments = p;
    }
    m->attachments[m->n_attachments++] = *att;
    return AX_OK;
}

ax_status ax_model_attach(struct ax_model *m, const char *type,
                          const char *name, const void *data, size_t n,
                          struct ax_err *err)
{
    struct ax_attachment a = {.n = n};
    uint8_t head[AXM_ATTACH_HEAD];
    struct axm_buf logical = {0};
    size_t k;

    AX_TRY(
        axm_check_attachment(type, strlen(type), name, strlen(name), n, err));
    AX_TRY(ax_model_identity(a.identity, m, err));
    a.type = strdup(type);
    a.name = strdup(name);
    if (!a.type || !a.name ||
        axm_buf_room(&logical, AXM_ATTACH_HEAD + n, err) != AX_OK) {
        free_attachment(&a);
        return ax_fail(err, AX_ENOMEM,
                       "no memory for an attachment of %zu bytes", n);
    }
    /* The digest is taken of head and payload in one piece; the payload
     * then moves to the front and the buffer becomes the attachment's. */
    k = axm_attachment_head(head, &a);
    memcpy(logical.data, head, k);
    if (n)
        memcpy(logical.data + k, data, n);
    ax_sha256(a.digest, logical.data, k + n);
    memmove(logical.data, logical.data + k, n);
    a.data = logical.data;
    return axm_append(m, &a, err);
}
