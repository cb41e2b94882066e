/* Tensors that no part of a network used: buffers that are a function of the
 * configuration and have to be what it says, parts that the architecture is
 * known not to use, which the model's metadata name, and errors. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ax/element.h"
#include "formats/hf/hf.h"

enum { NAMES_MAX = 4096 };

/* Is element I, X, what it has to be? */
typedef bool good_element(const struct hf *h, const struct ax_weight *w,
                          size_t i, double x);

/* [1, n] or [n]: 0, 1, ... */
static bool counts(const struct hf *h, const struct ax_weight *w, size_t i,
                   double x)
{
    (void)h;
    (void)w;
    return x == (double)i;
}

static bool zero(const struct hf *h, const struct ax_weight *w, size_t i,
                 double x)
{
    (void)h;
    (void)w;
    (void)i;
    return x == 0;
}

/* [1, 1, n, n]: what a token may look at. */
static bool triangle(const struct hf *h, const struct ax_weight *w, size_t i,
                     double x)
{
    size_t n = w->rank ? (size_t)w->dims[w->rank - 1] : 1;

    (void)h;
    return x == (i % n <= i / n);
}

/* What stands for minus infinity. */
static bool lowest(const struct hf *h, const struct ax_weight *w, size_t i,
                   double x)
{
    (void)h;
    (void)w;
    return i == 0 && x <= -1e4;
}

static bool frequency(const struct hf *h, const struct ax_weight *w, size_t i,
                      double x)
{
    double slack = w->type == AX_F32 ? 1e-5 : 1e-2;

    return i < h->n_freq && w->dims[0] == (int64_t)h->n_freq &&
           fabs(x - (double)h->freq[i]) <= slack * (double)h->freq[i];
}

static bool any(const struct hf *h, const struct ax_weight *w, size_t i,
                double x)
{
    (void)h;
    (void)w;
    (void)i;
    return x >= 0;
}

static const struct buffer {
    const char *suffix; /* of its name */
    int rank_min, rank_max;
    good_element *good;
} buffers[] = {
    {".rotary_emb.inv_freq", 1, 1, frequency},
    {".attn.bias", 4, 4, triangle},
    {".attn.masked_bias", 0, 1, lowest},
    {"embeddings.position_ids", 1, 2, counts},
    {"embeddings.token_type_ids", 1, 2, zero},
    {".num_batches_tracked", 0, 1, any}, /* of training */
};

static bool ends(const char *s, const char *with)
{
    size_t n = strlen(s), k = strlen(with);

    return n >= k && strcmp(s + n - k, with) == 0;
}

static ax_status check_buffer(const struct hf *h, const struct ax_weight *w,
                              const struct buffer *b, struct ax_err *err)
{
    const unsigned char *bytes;
    void *own;
    size_t n;
    bool good = w->type && w->rank >= b->rank_min && w->rank <= b->rank_max;

    AX_TRY(ax_weight_bytes(&bytes, &own, &n, w, err));
    for (size_t i = 0; i < n / w->size && good; i++) {
        double x;

        ax_get_f64(&x, w->type, bytes, i, 1);
        good = b->good(h, w, i, x);
    }
    free(own);
    if (good)
        return AX_OK;
    return ax_fail(err, AX_EFORMAT,
                   "tensor '%s' is a buffer, but not the one that "
                   "config.json makes",
                   w->name);
}

/* Does one of the words of LIST begin NAME? */
static bool listed(const char *list, const char *name)
{
    for (const char *p = list; *p;) {
        size_t n = strcspn(p, " ");

        if (n && strncmp(p, name, n) == 0)
            return true;
        p += n + (p[n] == ' ');
    }
    return false;
}

/* One more name in the model's metadata. */
static ax_status say(struct hf *h, const char *name, struct ax_err *err)
{
    struct ax_model *m = h->a.m;
    struct ax_meta *meta = m->meta;
    size_t n = strlen(name) + 1, old = 0;
    char *more;

    if (!meta) {
        meta = calloc(1, sizeof *meta);
        if (!meta)
            return ax_fail(err, AX_ENOMEM, "no memory for metadata");
        m->meta = meta;
        m->n_meta = 1;
        meta->key = strdup("huggingface.unused");
        if (!meta->key)
            return ax_fail(err, AX_ENOMEM, "no memory for metadata");
    }
    if (meta->value)
        old = strlen(meta->value);
    if (old > NAMES_MAX)
        return AX_OK;
    more = realloc(meta->value, old + n + 1);
    if (!more)
        return ax_fail(err, AX_ENOMEM, "no memory for metadata");
    meta->value = more;
    snprintf(more + old, n + 1, "%s%s", old ? " " : "", name);
    return AX_OK;
}

ax_status hf_check_unused(struct hf *h, const struct hf_kind *kind,
                          struct ax_err *err)
{
    for (size_t i = 0; i < h->a.n_entries; i++) {
        const struct arch_entry *e = &h->a.entry[i];
        const struct buffer *b = buffers,
                            *last = b + sizeof buffers / sizeof *b;

        if (e->used)
            continue;
        while (b < last && !ends(e->name, b->suffix))
            b++;
        if (b < last)
            AX_TRY(check_buffer(h, e->w, b, err));
        else if (listed(kind->unused, e->name))
            AX_TRY(say(h, e->name, err));
        else
            return ax_fail(err, AX_EFORMAT,
                           "no part of a %s uses tensor '%s'", kind->name,
                           e->name);
    }
    return AX_OK;
}
