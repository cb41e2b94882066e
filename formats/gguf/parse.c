/* The bytes of a GGUF file. Every count is compared with what is left of the
 * file before it is believed. */
#include "formats/gguf/gguf.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    KEY_MAX = 65535,    /* bytes of a key */
    NAME_MAX_SIZE = 64, /* of the name of a tensor */
    RANK_MAX = 4,
    KEY_LEAST = 8 + 4 + 1, /* bytes that one takes */
    TENSOR_LEAST = 8 + 4 + 8 + 4 + 8,
    ALIGNMENT_USUAL = 32,
    ALIGNMENT_MAX = 1 << 16,
};

/* ---- a reader that does not go over the end ---- */

struct cursor {
    const unsigned char *at, *end;
};

static ax_status cut_short(struct ax_err *err)
{
    return ax_fail(err, AX_EFORMAT, "cut short");
}

static ax_status take(struct cursor *c, uint64_t *out, unsigned size,
                      struct ax_err *err)
{
    *out = 0;
    if ((size_t)(c->end - c->at) < size)
        return cut_short(err);
    *out = torch_le(c->at, size);
    c->at += size;
    return AX_OK;
}

static ax_status skip(struct cursor *c, uint64_t n, uint64_t size,
                      struct ax_err *err)
{
    if (n > (uint64_t)(c->end - c->at) / size)
        return cut_short(err);
    c->at += n * size;
    return AX_OK;
}

static ax_status text(struct cursor *c, struct torch_text *out, size_t max,
                      struct ax_err *err)
{
    uint64_t n;

    AX_TRY(take(c, &n, 8, err));
    if (n > (uint64_t)(c->end - c->at))
        return cut_short(err);
    if (n > max)
        return ax_fail(err, AX_EFORMAT,
                       "a name of %" PRIu64 " bytes, at most %zu are allowed",
                       n, max);
    *out = (struct torch_text){(const char *)c->at, (size_t)n};
    c->at += n;
    return AX_OK;
}

/* ---- keys ---- */

/* 0 for those that are no numbers. */
static unsigned size_of(uint64_t type)
{
    static const unsigned char sizes[GGUF_TYPES] = {
        [GGUF_U8] = 1,  [GGUF_I8] = 1,  [GGUF_U16] = 2, [GGUF_I16] = 2,
        [GGUF_U32] = 4, [GGUF_I32] = 4, [GGUF_F32] = 4, [GGUF_BOOL] = 1,
        [GGUF_U64] = 8, [GGUF_I64] = 8, [GGUF_F64] = 8,
    };

    return type < GGUF_TYPES ? sizes[type] : 0;
}

static ax_status bad_type(uint64_t type, struct ax_err *err)
{
    return ax_fail(err, AX_EFORMAT,
                   "has a value of type %" PRIu64 ", which "
                   "there is not",
                   type);
}

static ax_status check_bools(const unsigned char *p, uint64_t n,
                             struct ax_err *err)
{
    for (uint64_t i = 0; i < n; i++)
        if (p[i] > 1)
            return ax_fail(err, AX_EFORMAT, "is %u, neither true nor false",
                           p[i]);
    return AX_OK;
}

static ax_status read_array(struct cursor *c, struct gguf_key *k,
                            struct ax_err *err)
{
    struct torch_text unused;
    uint64_t type;
    unsigned size;

    AX_TRY(take(c, &type, 4, err));
    AX_TRY(take(c, &k->count, 8, err));
    if (type == GGUF_ARRAY)
        return ax_fail(err, AX_EUNSUPPORTED, "is an array of arrays");
    size = size_of(type);
    if (!size && type != GGUF_TEXT)
        return bad_type(type, err);
    if (size) {
        const unsigned char *p = c->at;

        AX_TRY(skip(c, k->count, size, err));
        return type == GGUF_BOOL ? check_bools(p, k->count, err) : AX_OK;
    }
    if (k->count > (uint64_t)(c->end - c->at) / 8)
        return cut_short(err);
    for (uint64_t i = 0; i < k->count; i++)
        AX_TRY(text(c, &unused, SIZE_MAX, err));
    return AX_OK;
}

static ax_status read_value(struct cursor *c, struct gguf_key *k,
                            struct ax_err *err)
{
    uint64_t type;
    unsigned size;

    AX_TRY(take(c, &type, 4, err));
    size = size_of(type);
    if (!size && type != GGUF_TEXT && type != GGUF_ARRAY)
        return bad_type(type, err);
    k->type = (enum gguf_type)type;
    if (type == GGUF_TEXT)
        return text(c, &k->text, SIZE_MAX, err);
    if (type == GGUF_ARRAY)
        return read_array(c, k, err);
    k->value = c->at;
    AX_TRY(skip(c, 1, size, err));
    return type == GGUF_BOOL ? check_bools(k->value, 1, err) : AX_OK;
}

static int compare(struct torch_text a, struct torch_text b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int k = n ? memcmp(a.s, b.s, n) : 0;

    return k ? k : (a.n > b.n) - (a.n < b.n);
}

static int by_key(const void *a, const void *b)
{
    const struct gguf_key *const *x = a, *const *y = b;

    return compare((*x)->key, (*y)->key);
}

static ax_status read_keys(struct gguf *g, struct cursor *c, uint64_t n,
                           struct ax_err *err)
{
    if (n > (uint64_t)(c->end - c->at) / KEY_LEAST)
        return ax_fail(err, AX_EFORMAT,
                       "%" PRIu64 " keys do not fit into the file", n);
    g->v = calloc(n + 1, sizeof *g->v);
    g->by_name = calloc(n + 1, sizeof *g->by_name);
    if (!g->v || !g->by_name)
        return ax_fail(err, AX_ENOMEM, "no memory for %" PRIu64 " keys", n);
    for (; g->n < n; g->n++) {
        struct gguf_key *k = &g->v[g->n];

        AX_TRY(text(c, &k->key, KEY_MAX, err));
        if (read_value(c, k, err) != AX_OK)
            return ax_fail_in(err, "key '%s'", torch_show(k->key).s);
        g->by_name[g->n] = k;
    }
    qsort(g->by_name, g->n, sizeof(struct gguf_key *), by_key);
    for (size_t i = 1; i < g->n; i++)
        if (compare(g->by_name[i - 1]->key, g->by_name[i]->key) == 0)
            return ax_fail(err, AX_EFORMAT, "two keys are called '%s'",
                           torch_show(g->by_name[i]->key).s);
    return AX_OK;
}

struct gguf_key *gguf_find(const struct gguf *g, const char *key)
{
    struct gguf_key want = {.key = {key, strlen(key)}}, *p = &want,
                    **found = bsearch(&p, g->by_name, g->n,
                                      sizeof(struct gguf_key *), by_key);

    if (!found)
        return NULL;
    (*found)->known = true;
    return *found;
}

static ax_status read_alignment(struct gguf *g, struct ax_err *err)
{
    const struct gguf_key *k = gguf_find(g, "general.alignment");

    g->alignment = ALIGNMENT_USUAL;
    if (!k)
        return AX_OK;
    if (k->type != GGUF_U32)
        return ax_fail(err, AX_EFORMAT, "'general.alignment' is no uint32");
    g->alignment = (size_t)torch_le(k->value, 4);
    if (g->alignment < 8 || g->alignment > ALIGNMENT_MAX ||
        g->alignment & (g->alignment - 1))
        return ax_fail(err, AX_EFORMAT,
                       "'general.alignment' is %zu, wants a power of two "
                       "from 8 to %d",
                       g->alignment, ALIGNMENT_MAX);
    return AX_OK;
}

ax_status gguf_open(struct gguf *out, const unsigned char *data, size_t n,
                    struct ax_err *err)
{
    struct cursor c = {data, data + n};
    uint64_t magic, version, keys;

    *out = (struct gguf){.data = data, .size = n};
    AX_TRY(take(&c, &magic, 4, err));
    if (memcmp(data, "GGUF", 4) != 0)
        return ax_fail(err, AX_EFORMAT, "does not begin with GGUF");
    AX_TRY(take(&c, &version, 4, err));
    if (version != 2 && version != 3)
        return ax_fail(err, AX_EUNSUPPORTED,
                       version & 0xffff
                           ? "version %" PRIu64 " is not supported, wants 2 "
                             "or 3"
                           : "version %" PRIu64 ": a big-endian file",
                       version);
    AX_TRY(take(&c, &out->n_tensors, 8, err));
    AX_TRY(take(&c, &keys, 8, err));
    AX_TRY(read_keys(out, &c, keys, err));
    if (out->n_tensors > (uint64_t)(c.end - c.at) / TENSOR_LEAST)
        return ax_fail(err, AX_EFORMAT,
                       "%" PRIu64 " tensors do not fit into the file",
                       out->n_tensors);
    out->tensors = c.at;
    return read_alignment(out, err);
}

void gguf_free(struct gguf *g)
{
    free(g->v);
    free(g->by_name);
    *g = (struct gguf){0};
}

/* ---- tensors ---- */

static const struct kind {
    uint32_t number;
    const char *name;
    ax_dtype type;
    unsigned elements, bytes; /* of a block */
    ax_unpack *unpack;        /* or NULL: the elements lie there */
} kinds[] = {
    {0, "float32", AX_F32, 1, 4, NULL},
    {1, "float16", AX_F16, 1, 2, NULL},
    {2, "float32", AX_F32, 32, 18, gguf_q4_0},
    {3, "float32", AX_F32, 32, 20, gguf_q4_1},
    {6, "float32", AX_F32, 32, 22, gguf_q5_0},
    {7, "float32", AX_F32, 32, 24, gguf_q5_1},
    {8, "float32", AX_F32, 32, 34, gguf_q8_0},
    {12, "float32", AX_F32, 256, 144, gguf_q4_k},
    {13, "float32", AX_F32, 256, 176, gguf_q5_k},
    {14, "float32", AX_F32, 256, 210, gguf_q6_k},
    {24, "int8", AX_I8, 1, 1, NULL},
    {25, "int16", AX_I16, 1, 2, NULL},
    {26, "int32", AX_I32, 1, 4, NULL},
    {27, "int64", AX_I64, 1, 8, NULL},
    {28, "float64", AX_F64, 1, 8, NULL},
    {30, "bfloat16", AX_BF16, 1, 2, NULL},
};

static ax_status find_kind(const struct kind **out, uint64_t number,
                           struct ax_err *err)
{
    /* Those of ggml.h that we do not have, for the message. */
    static const char *const others[] = {
        [9] = "Q8_1",     [10] = "Q2_K",   [11] = "Q3_K",    [15] = "Q8_K",
        [16] = "IQ2_XXS", [17] = "IQ2_XS", [18] = "IQ3_XXS", [19] = "IQ1_S",
        [20] = "IQ4_NL",  [21] = "IQ3_S",  [22] = "IQ2_S",   [23] = "IQ4_XS",
        [29] = "IQ1_M",   [34] = "TQ1_0",  [35] = "TQ2_0",   [39] = "MXFP4",
    };

    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (kinds[i].number == number) {
            *out = &kinds[i];
            return AX_OK;
        }
    if (number < sizeof others / sizeof others[0] && others[number])
        return ax_fail(err, AX_EUNSUPPORTED,
                       "is of type %s, which is not supported",
                       others[number]);
    return ax_fail(err, AX_EUNSUPPORTED,
                   "is of type %" PRIu64 ", which is not supported", number);
}

/* Dimensions come with the fastest first. */
static ax_status read_shape(struct cursor *c, struct ax_weight *w,
                            struct ax_err *err)
{
    uint64_t rank, dim;
    int64_t stride = 1;

    AX_TRY(take(c, &rank, 4, err));
    if (!rank || rank > RANK_MAX)
        return ax_fail(err, AX_EFORMAT,
                       "has %" PRIu64 " dimensions, wants 1 to %d", rank,
                       RANK_MAX);
    w->rank = (int)rank;
    for (int i = w->rank; i-- > 0;) {
        AX_TRY(take(c, &dim, 8, err));
        if (!dim || dim > INT64_MAX)
            return ax_fail(err, AX_EFORMAT, "has a dimension of %" PRIu64,
                           dim);
        w->dims[i] = (int64_t)dim;
        w->strides[i] = stride;
        if (__builtin_mul_overflow(stride, w->dims[i], &stride))
            return ax_fail(err, AX_ESHAPE, "too many elements to count");
    }
    return AX_OK;
}

/* How many bytes it takes in the file. */
static ax_status packed_size(size_t *out, const struct ax_weight *w,
                             const struct kind *kind, struct ax_err *err)
{
    size_t count;

    AX_TRY(ax_shape_count(&count, w->rank, w->dims, w->size, err));
    if (w->dims[w->rank - 1] % kind->elements)
        return ax_fail(err, AX_EFORMAT,
                       "has rows of %" PRId64 " elements, its type wants "
                       "multiples of %u",
                       w->dims[w->rank - 1], kind->elements);
    *out = count / kind->elements * kind->bytes;
    return AX_OK;
}

struct placed {
    struct ax_weight w;
    uint64_t offset;
    size_t bytes;
};

static ax_status read_tensor(struct cursor *c, struct placed *p,
                             struct ax_err *err)
{
    const struct kind *kind = NULL;
    uint64_t type;

    AX_TRY(read_shape(c, &p->w, err));
    AX_TRY(take(c, &type, 4, err));
    AX_TRY(take(c, &p->offset, 8, err));
    AX_TRY(find_kind(&kind, type, err));
    p->w.dtype = kind->name;
    p->w.type = kind->type;
    p->w.size = ax_dtype_size(kind->type);
    p->w.unpack = kind->unpack;
    p->w.contiguous = kind->unpack == NULL;
    return packed_size(&p->bytes, &p->w, kind, err);
}

/* One behind the other, so that none can overlap. */
static ax_status place(struct placed *p, size_t *at, const struct gguf *g,
                       const unsigned char *data, struct ax_err *err)
{
    size_t left = g->size - (size_t)(data - g->data);

    if (p->offset != *at)
        return ax_fail(err, AX_EFORMAT,
                       "lies at byte %" PRIu64 " of the data, wants %zu",
                       p->offset, *at);
    if (*at > left || p->bytes > left - *at)
        return ax_fail(err, AX_EFORMAT, "ends at byte %zu of %zu: cut short?",
                       *at + p->bytes, left);
    p->w.first = data + *at;
    *at += (p->bytes + g->alignment - 1) / g->alignment * g->alignment;
    return AX_OK;
}

static ax_status read_infos(struct placed *v, struct torch_text *names,
                            struct cursor *c, const struct gguf *g,
                            struct ax_err *err)
{
    for (uint64_t i = 0; i < g->n_tensors; i++) {
        AX_TRY(text(c, &names[i], NAME_MAX_SIZE, err));
        if (!names[i].n || memchr(names[i].s, 0, names[i].n))
            return ax_fail(err, AX_EFORMAT,
                           "the name of tensor %" PRIu64 " is empty or has "
                           "a zero byte",
                           i);
        if (read_tensor(c, &v[i], err) != AX_OK)
            return ax_fail_in(err, "tensor '%s'", torch_show(names[i]).s);
    }
    return AX_OK;
}

static ax_status add_all(struct ax_checkpoint *c, size_t *cap,
                         struct placed *v, const struct torch_text *names,
                         const struct gguf *g, const unsigned char *data,
                         struct ax_err *err)
{
    size_t at = 0, left = g->size - (size_t)(data - g->data);

    for (uint64_t i = 0; i < g->n_tensors; i++) {
        char name[NAME_MAX_SIZE + 1];

        memcpy(name, names[i].s, names[i].n);
        name[names[i].n] = '\0';
        v[i].w.storage = (uint32_t)i;
        if (place(&v[i], &at, g, data, err) != AX_OK)
            return ax_fail_in(err, "tensor '%s'", torch_show(names[i]).s);
        AX_TRY(torch_add_weight(c, cap, &v[i].w, "", name, err));
    }
    /* The last need not be filled up to the alignment. */
    if (left > at)
        return ax_fail(err, AX_EFORMAT, "%zu bytes belong to no tensor",
                       left - at);
    return AX_OK;
}

ax_status gguf_tensors(struct ax_checkpoint *c, size_t *cap,
                       const struct gguf *g, struct ax_err *err)
{
    struct cursor at = {g->tensors, g->data + g->size};
    struct placed *v = calloc(g->n_tensors + 1, sizeof *v);
    struct torch_text *names = calloc(g->n_tensors + 1, sizeof *names);
    ax_status st = AX_OK;
    size_t begin;

    if (!v || !names)
        st = ax_fail(err, AX_ENOMEM, "no memory for tensors");
    if (st == AX_OK)
        st = read_infos(v, names, &at, g, err);
    if (st == AX_OK) {
        begin = (size_t)(at.at - g->data);
        begin = (begin + g->alignment - 1) / g->alignment * g->alignment;
        if (begin > g->size)
            begin = g->size;
        st = add_all(c, cap, v, names, g, g->data + begin, err);
    }
    free(v);
    free(names);
    return st;
}

ax_status gguf_read(struct ax_checkpoint *c, size_t *cap,
                    const unsigned char *data, size_t n, struct ax_err *err)
{
    struct gguf g;
    ax_status st = gguf_open(&g, data, n, err);

    c->format = "gguf";
    if (st == AX_OK)
        st = gguf_tensors(c, cap, &g, err);
    gguf_free(&g);
    return st == AX_OK ? st : ax_fail_in(err, "GGUF");
}
