/* Operators over strings: StringConcat, StringSplit, StringNormalizer,
 * LabelEncoder, and Equal's part. A string is AX_STRING_SIZE bytes of UTF-8
 * with zeros behind it; what does not fit is refused. Letters beyond ASCII
 * have no case here: where it would matter, they are refused too. */
#include "ref.h"

#include <string.h>

#define STRINGS BIT(AX_STRING)
#define SPACES  " \t\n\v\f\r"

/* -- one string -----------------------------------------------------------
 */

struct text {
    const char *s;
    size_t n;
};

static struct text text_at(const struct ax_tensor *t, size_t i)
{
    const char *s = (const char *)t->data + i * AX_STRING_SIZE;

    return (struct text){s, strnlen(s, AX_STRING_SIZE)};
}

static bool same_text(struct text a, struct text b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.s, b.s, a.n) == 0);
}

/* Element I of output O, which is zeros, becomes a, and b behind it. */
static ax_status put_text(struct ax_call *c, uint32_t o, size_t i,
                          struct text a, struct text b, struct ax_err *err)
{
    char *to = (char *)c->out[o]->data + i * AX_STRING_SIZE;

    if (a.n + b.n > AX_STRING_SIZE)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "a string of %zu bytes, at most %d are supported",
                       a.n + b.n, AX_STRING_SIZE);
    if (a.n)
        memcpy(to, a.s, a.n);
    if (b.n)
        memcpy(to + a.n, b.s, b.n);
    return AX_OK;
}

static ax_status new_strings(struct ax_call *c, uint32_t o, int rank,
                             const int64_t *dims, struct ax_err *err)
{
    AX_TRY(ax_call_out(c, o, AX_STRING, rank, dims, err));
    if (c->out[o]->nbytes)
        memset(c->out[o]->data, 0, c->out[o]->nbytes);
    return AX_OK;
}

/* -- pairs ----------------------------------------------------------------
 */

/* Where element I of a tensor of these dims lies in an operand that is
 * broadcast to it. */
static size_t place(const struct ax_tensor *t, int rank, const int64_t *dims,
                    size_t i)
{
    size_t at = 0, stride = 1;

    for (int d = rank - 1; d >= 0; d--) {
        int own = d - (rank - t->rank);
        size_t k = i % (size_t)dims[d];

        i /= (size_t)dims[d];
        if (own < 0)
            continue;
        at += t->dims[own] == 1 ? 0 : k * stride;
        stride *= (size_t)t->dims[own];
    }
    return at;
}

static ax_status pair_of(int *rank, int64_t *dims, const struct ax_call *c,
                         struct ax_err *err)
{
    AX_TRY(ref_want(c, 0, STRINGS, err));
    AX_TRY(ref_want(c, 1, STRINGS, err));
    return ax_shape_broadcast(rank, dims, c->in, 2, err);
}

ax_status ref_equal_strings(struct ax_call *c, struct ax_err *err)
{
    int64_t dims[AX_RANK_MAX];
    int rank;

    AX_TRY(pair_of(&rank, dims, c, err));
    AX_TRY(ax_call_out(c, 0, AX_BOOL, rank, dims, err));
    for (size_t i = 0; i < ax_tensor_count(c->out[0]); i++)
        ((uint8_t *)c->out[0]->data)[i] = same_text(
            text_at(c->in[0], place(c->in[0], rank, dims, i)),
            text_at(c->in[1], place(c->in[1], rank, dims, i)));
    return AX_OK;
}

static ax_status concat(struct ax_call *c, struct ax_err *err)
{
    int64_t dims[AX_RANK_MAX];
    int rank;

    AX_TRY(pair_of(&rank, dims, c, err));
    AX_TRY(new_strings(c, 0, rank, dims, err));
    for (size_t i = 0; i < ax_tensor_count(c->out[0]); i++)
        AX_TRY(put_text(
            c, 0, i, text_at(c->in[0], place(c->in[0], rank, dims, i)),
            text_at(c->in[1], place(c->in[1], rank, dims, i)), err));
    return AX_OK;
}

/* -- StringSplit ----------------------------------------------------------
 */

static struct text skip_spaces(struct text t)
{
    while (t.n && strchr(SPACES, *t.s)) {
        t.s++;
        t.n--;
    }
    return t;
}

/* Bytes before the next delimiter (any space, if it is empty), or all. */
static size_t until(struct text t, struct text delimiter)
{
    for (size_t i = 0; i < t.n; i++)
        if (delimiter.n == 0
                ? strchr(SPACES, t.s[i]) != NULL
                : t.n - i >= delimiter.n &&
                      memcmp(t.s + i, delimiter.s, delimiter.n) == 0)
            return i;
    return t.n;
}

/* The parts of a text, into row ROW of output 0 if there is a WIDTH; how
 * many there are. MOST < 0: no limit. */
static ax_status split(int64_t *parts, struct ax_call *c, struct text t,
                       struct text delimiter, int64_t most, size_t row,
                       int64_t width, struct ax_err *err)
{
    const struct text none = {"", 0};
    bool words = delimiter.n == 0;

    *parts = 0;
    if (words)
        t = skip_spaces(t);
    while (t.n || !words) {
        size_t n = most >= 0 && *parts >= most ? t.n : until(t, delimiter);

        if (width > 0)
            AX_TRY(put_text(c, 0, row * (size_t)width + (size_t)*parts,
                            (struct text){t.s, n}, none, err));
        ++*parts;
        if (n == t.n)
            break;
        n += words ? 1 : delimiter.n;
        t = (struct text){t.s + n, t.n - n};
        if (words)
            t = skip_spaces(t);
    }
    return AX_OK;
}

static ax_status string_split(struct ax_call *c, struct ax_err *err)
{
    const char *by = ax_node_string(c->node, "delimiter", "");
    struct text delimiter = {by, strlen(by)};
    int64_t most = ax_node_int(c->node, "maxsplit", -1), width = 0;
    int64_t dims[AX_RANK_MAX], n;
    const struct ax_tensor *x;

    AX_TRY(ref_want(c, 0, STRINGS, err));
    AX_TRY(ref_want_rank(c, 0, 0, AX_RANK_MAX - 1, err));
    x = c->in[0];
    AX_TRY(ax_call_out(c, 1, AX_I64, x->rank, x->dims, err));
    for (size_t i = 0; i < ax_tensor_count(x); i++) {
        AX_TRY(split(&n, c, text_at(x, i), delimiter, most, i, 0, err));
        ((int64_t *)c->out[1]->data)[i] = n;
        width = n > width ? n : width;
    }
    memcpy(dims, x->dims, sizeof dims);
    dims[x->rank] = width;
    AX_TRY(new_strings(c, 0, x->rank + 1, dims, err));
    for (size_t i = 0; width > 0 && i < ax_tensor_count(x); i++)
        AX_TRY(split(&n, c, text_at(x, i), delimiter, most, i, width, err));
    return AX_OK;
}

/* -- StringNormalizer -----------------------------------------------------
 */

static char change_letter(char x, char action)
{
    if (action == 'L')
        return x >= 'A' && x <= 'Z' ? (char)(x - 'A' + 'a') : x;
    return action == 'U' && x >= 'a' && x <= 'z' ? (char)(x - 'a' + 'A') : x;
}

static ax_status change_case(char to[AX_STRING_SIZE], struct text t,
                             char action, struct ax_err *err)
{
    for (size_t i = 0; i < t.n; i++) {
        if (action != 'N' && (unsigned char)t.s[i] > 127)
            return ax_fail(err, AX_EUNSUPPORTED,
                           "the case of a letter that is not ASCII");
        to[i] = change_letter(t.s[i], action);
    }
    return AX_OK;
}

/* Is the text one of the words, with or without its case? */
static ax_status is_stopword(bool *yes, const struct ax_attr *words,
                             struct text t, bool cased, struct ax_err *err)
{
    char a[AX_STRING_SIZE], b[AX_STRING_SIZE];

    *yes = false;
    if (words)
        AX_TRY(change_case(a, t, cased ? 'N' : 'L', err));
    for (size_t k = 0; words && k < words->n; k++) {
        struct text w = {words->strings[k], strlen(words->strings[k])};

        if (w.n > AX_STRING_SIZE)
            continue;
        AX_TRY(change_case(b, w, cased ? 'N' : 'L', err));
        *yes = *yes ||
               same_text((struct text){a, t.n}, (struct text){b, w.n});
    }
    return AX_OK;
}

static ax_status normalise_check(const struct ax_call *c, char *action,
                                 struct ax_err *err)
{
    const char *locale = ax_node_string(c->node, "locale", "en_US");

    *action = ax_node_string(c->node, "case_change_action", "NONE")[0];
    AX_TRY(ref_want(c, 0, STRINGS, err));
    AX_TRY(ref_want_rank(c, 0, 1, 2, err));
    if (c->in[0]->rank == 2 && c->in[0]->dims[0] != 1)
        return ax_fail(err, AX_ESHAPE, "wants one row, has %lld",
                       (long long)c->in[0]->dims[0]);
    if (locale[0] && strncmp(locale, "en", 2) != 0 &&
        strcmp(locale, "C") != 0)
        return ax_fail(err, AX_EUNSUPPORTED, "locale '%.40s'", locale);
    return AX_OK;
}

static ax_status normalizer(struct ax_call *c, struct ax_err *err)
{
    const struct ax_attr *words = ref_attr(c->node, "stopwords",
                                           AX_ATTR_STRINGS);
    bool cased = ax_node_int(c->node, "is_case_sensitive", 0) != 0;
    const struct ax_tensor *x;
    const struct text none = {"", 0};
    int64_t dims[2] = {1, 1}, kept = 0;
    size_t n;
    void *p;
    bool *stop;
    char action;

    AX_TRY(normalise_check(c, &action, err));
    x = c->in[0];
    n = ax_tensor_count(x);
    AX_TRY(ax_call_scratch(c, &p, n + 1, err));
    stop = p;
    for (size_t i = 0; i < n; i++) {
        AX_TRY(is_stopword(&stop[i], words, text_at(x, i), cased, err));
        kept += !stop[i];
    }
    dims[x->rank - 1] = kept ? kept : 1; /* one empty string at least */
    AX_TRY(new_strings(c, 0, x->rank, dims, err));
    kept = 0;
    for (size_t i = 0; i < n; i++) {
        char changed[AX_STRING_SIZE];
        struct text t = text_at(x, i);

        if (stop[i])
            continue;
        AX_TRY(change_case(changed, t, action, err));
        AX_TRY(put_text(c, 0, (size_t)kept++, (struct text){changed, t.n},
                        none, err));
    }
    return AX_OK;
}

/* -- LabelEncoder ---------------------------------------------------------
 */

/* Keys and values are lists of one of three kinds. */
struct labels {
    const struct ax_attr *keys, *values;
};

static ax_status list_of(const struct ax_attr **out,
                         const struct ax_node *node, const char *const *names,
                         const char *what, struct ax_err *err)
{
    static const ax_attr_kind kinds[] = {AX_ATTR_STRINGS, AX_ATTR_INTS,
                                         AX_ATTR_FLOATS};

    *out = NULL;
    for (int k = 0; k < 3; k++) {
        const struct ax_attr *a = ref_attr(node, names[k], kinds[k]);

        if (a && *out)
            return ax_fail(err, AX_EFORMAT, "%s are there twice", what);
        *out = a ? a : *out;
    }
    return *out ? AX_OK : ax_fail(err, AX_EFORMAT, "has no %s", what);
}

static ax_status labels_of(struct labels *l, const struct ax_call *c,
                           struct ax_err *err)
{
    static const char *const keys[] = {"keys_strings", "keys_int64s",
                                       "keys_floats"};
    static const char *const values[] = {"values_strings", "values_int64s",
                                         "values_floats"};

    AX_TRY(list_of(&l->keys, c->node, keys, "keys", err));
    AX_TRY(list_of(&l->values, c->node, values, "values", err));
    if (l->keys->n != l->values->n)
        return ax_fail(err, AX_EFORMAT, "%zu keys, %zu values", l->keys->n,
                       l->values->n);
    return ref_want(c, 0,
                    l->keys->kind == AX_ATTR_STRINGS ? STRINGS
                    : l->keys->kind == AX_ATTR_INTS  ? BIT(AX_I64)
                                                     : BIT(AX_F32),
                    err);
}

/* The place of element I among the keys, or their number. A NaN is a key
 * that a NaN finds. */
static size_t find_key(const struct ax_attr *keys, const struct ax_tensor *x,
                       size_t i)
{
    size_t k = 0;
    float f;

    for (; k < keys->n; k++)
        if (keys->kind == AX_ATTR_STRINGS) {
            struct text w = {keys->strings[k], strlen(keys->strings[k])};

            if (same_text(text_at(x, i), w))
                break;
        } else if (keys->kind == AX_ATTR_INTS) {
            if (((const int64_t *)x->data)[i] == keys->ints[k])
                break;
        } else {
            f = ((const float *)x->data)[i];
            if (f == keys->floats[k] ||
                (f != f && keys->floats[k] != keys->floats[k]))
                break;
        }
    return k;
}

static ax_status give_value(struct ax_call *c, const struct ax_attr *values,
                            size_t k, size_t i, struct ax_err *err)
{
    const struct ax_node *n = c->node;
    struct ax_tensor *y = c->out[0];
    const char *s;

    if (values->kind == AX_ATTR_INTS) {
        ((int64_t *)y->data)[i] = k < values->n
                                      ? values->ints[k]
                                      : ax_node_int(n, "default_int64", -1);
        return AX_OK;
    }
    if (values->kind == AX_ATTR_FLOATS) {
        ((float *)y->data)[i] = k < values->n
                                    ? values->floats[k]
                                    : ax_node_float(n, "default_float",
                                                    -0.0F);
        return AX_OK;
    }
    s = k < values->n ? values->strings[k]
                      : ax_node_string(n, "default_string", "_Unused");
    return put_text(c, 0, i, (struct text){s, strlen(s)},
                    (struct text){"", 0}, err);
}

static ax_status label_encoder(struct ax_call *c, struct ax_err *err)
{
    const struct ax_tensor *x;
    struct labels l;

    AX_TRY(labels_of(&l, c, err));
    x = c->in[0];
    if (l.values->kind == AX_ATTR_STRINGS)
        AX_TRY(new_strings(c, 0, x->rank, x->dims, err));
    else
        AX_TRY(ax_call_out(c, 0,
                           l.values->kind == AX_ATTR_INTS ? AX_I64 : AX_F32,
                           x->rank, x->dims, err));
    for (size_t i = 0; i < ax_tensor_count(x); i++)
        AX_TRY(give_value(c, l.values, find_key(l.keys, x, i), i, err));
    return AX_OK;
}

const struct ax_kernel ref_strings[] = {
    {"StringConcat", concat, NULL, NULL},
    {"StringNormalizer", normalizer, NULL, NULL},
    {"StringSplit", string_split, NULL, NULL},
    {"ai.onnx.ml.LabelEncoder", label_encoder, NULL, NULL},
    {0},
};
