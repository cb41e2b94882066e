/* Signals: DFT, STFT, BlackmanWindow, HammingWindow, HannWindow,
 * MelWeightMatrix. A transform is the sum that defines it, in double. */
#include "ref.h"

#include <math.h>
#include <string.h>

static const double pi = 3.14159265358979323846;

/* Numbers of n complex values, their frequencies from 0 on. SIGN is that of
 * the exponent, cosines [n] and sines [n] those of 2 pi k / n. */
struct turns {
    size_t n;
    double *cosine, *sine;
};

static ax_status turns_init(struct turns *t, struct ax_call *c, size_t n,
                            struct ax_err *err)
{
    void *p;

    if (n < 1 || n > (size_t)1 << 24)
        return ax_fail(err, AX_ESHAPE, "a transform of %zu elements", n);
    AX_TRY(ax_call_scratch(c, &p, 2 * n * sizeof(double), err));
    t->n = n;
    t->cosine = p;
    t->sine = t->cosine + n;
    for (size_t k = 0; k < n; k++) {
        t->cosine[k] = cos(2 * pi * (double)k / (double)n);
        t->sine[k] = sin(2 * pi * (double)k / (double)n);
    }
    return AX_OK;
}

/* Frequency K of the complex numbers in[n][2]. */
static void frequency(double out[2], const struct turns *t, const double *in,
                      size_t k, bool inverse)
{
    size_t at = 0;

    out[0] = out[1] = 0;
    for (size_t i = 0; i < t->n; i++) {
        double c = t->cosine[at], s = inverse ? t->sine[at] : -t->sine[at];

        out[0] += in[2 * i] * c - in[2 * i + 1] * s;
        out[1] += in[2 * i] * s + in[2 * i + 1] * c;
        at = (at + k) % t->n;
    }
    for (int i = 0; i < 2 && inverse; i++)
        out[i] /= (double)t->n;
}

/* -- DFT ------------------------------------------------------------------
 */

struct dft {
    const struct ax_tensor *x;
    int axis;
    bool inverse, onesided;
    size_t have, n, out; /* numbers along the axis: there, used, made */
    size_t parts, made;  /* 1: real, 2: complex; of the input, the output */
};

static ax_status dft_init(struct dft *s, const struct ax_call *c,
                          struct ax_err *err)
{
    int64_t axis[1] = {ax_node_int(c->node, "axis", -2)}, length[1];
    int given, n;

    AX_TRY(ref_want(c, 0, REALS, err));
    AX_TRY(ref_want_rank(c, 0, 2, AX_RANK_MAX, err));
    s->x = c->in[0];
    AX_TRY(ref_ints(length, &given, 1, c, 1, err));
    AX_TRY(ref_ints(axis, &n, 1, c, 2, err));
    AX_TRY(ref_axis(&s->axis, axis[0], s->x->rank, err));
    s->inverse = ax_node_int(c->node, "inverse", 0) != 0;
    s->onesided = ax_node_int(c->node, "onesided", 0) != 0;
    s->parts = (size_t)s->x->dims[s->x->rank - 1];
    s->made = s->inverse && s->onesided ? 1 : 2;
    if (s->axis == s->x->rank - 1 || s->parts < 1 || s->parts > 2)
        return ax_fail(err, AX_ESHAPE,
                       "axis %d of numbers with %zu parts in the last "
                       "dimension",
                       s->axis, s->parts);
    if (s->onesided && !s->inverse && s->parts == 2)
        return ax_fail(err, AX_EFORMAT,
                       "onesided does not go with complex numbers");
    s->have = (size_t)s->x->dims[s->axis];
    if (!given)
        length[0] = s->made == 1 ? 2 * ((int64_t)s->have - 1)
                                 : (int64_t)s->have;
    if (length[0] < 1 || length[0] > 1 << 24)
        return ax_fail(err, AX_ESHAPE, "a transform of %lld elements",
                       (long long)length[0]);
    s->n = (size_t)length[0];
    s->out = s->onesided && !s->inverse ? s->n / 2 + 1 : s->n;
    return AX_OK;
}

/* One lane of the input, cut or filled with zeros to n; of a one-sided
 * spectrum the other side too. */
static void dft_read(double *lane, const struct dft *s, size_t base,
                     size_t step)
{
    size_t use = s->made == 1 ? s->n / 2 + 1 : s->n;

    memset(lane, 0, 2 * s->n * sizeof *lane);
    for (size_t i = 0; i < use && i < s->have; i++)
        for (size_t p = 0; p < s->parts; p++)
            lane[2 * i + p] = ref_number(s->x, base + i * step + p);
    if (s->made == 2)
        return;
    lane[1] = 0; /* frequencies of which each is its own opposite */
    if (s->n % 2 == 0)
        lane[s->n + 1] = 0;
    for (size_t i = 1; 2 * i < s->n; i++) {
        lane[2 * (s->n - i)] = lane[2 * i];
        lane[2 * (s->n - i) + 1] = -lane[2 * i + 1];
    }
}

static ax_status dft(struct ax_call *c, struct ax_err *err)
{
    int64_t dims[AX_RANK_MAX];
    size_t outer, inner;
    struct turns t = {.n = 0};
    struct dft s = {.n = 0};
    void *lane;

    AX_TRY(dft_init(&s, c, err));
    AX_TRY(turns_init(&t, c, s.n, err));
    AX_TRY(ax_call_scratch(c, &lane, 2 * s.n * sizeof(double), err));
    memcpy(dims, s.x->dims, sizeof dims);
    dims[s.axis] = (int64_t)s.out;
    dims[s.x->rank - 1] = (int64_t)s.made;
    AX_TRY(ax_call_out(c, 0, s.x->dtype, s.x->rank, dims, err));
    outer = (size_t)ref_product(dims, 0, s.axis);
    inner = (size_t)ref_product(dims, s.axis + 1, s.x->rank - 1);
    for (size_t o = 0; o < outer; o++)
        for (size_t i = 0; i < inner; i++) {
            dft_read(lane, &s, (o * s.have * inner + i) * s.parts,
                     inner * s.parts);
            for (size_t k = 0; k < s.out; k++) {
                double z[2];

                frequency(z, &t, lane, k, s.inverse);
                for (size_t p = 0; p < s.made; p++)
                    ref_put(c->out[0],
                            ((o * s.out + k) * inner + i) * s.made + p, z[p]);
            }
        }
    return AX_OK;
}

/* -- STFT -----------------------------------------------------------------
 */

struct stft {
    const struct ax_tensor *x, *window;
    size_t length, parts, step, n, frames, out;
};

static ax_status stft_init(struct stft *s, const struct ax_call *c,
                           struct ax_err *err)
{
    bool onesided = ax_node_int(c->node, "onesided", 1) != 0;
    int64_t step[1] = {0}, length[1] = {0};
    int n, given;

    AX_TRY(ref_want(c, 0, REALS, err));
    AX_TRY(ref_want_rank(c, 0, 2, 3, err));
    AX_TRY(ref_ints(step, &n, 1, c, 1, err));
    AX_TRY(ref_ints(length, &given, 1, c, 3, err));
    s->x = c->in[0];
    s->window = ax_call_has(c, 2) ? c->in[2] : NULL;
    s->length = (size_t)s->x->dims[1];
    s->parts = s->x->rank == 3 ? (size_t)s->x->dims[2] : 1;
    if (s->window) {
        AX_TRY(ref_want(c, 2, REALS, err));
        AX_TRY(ref_want_rank(c, 2, 1, 1, err));
        if (!given)
            length[0] = s->window->dims[0];
        if (s->window->dims[0] != length[0])
            return ax_fail(
                err, AX_ESHAPE, "a window of %lld for frames of %lld",
                (long long)s->window->dims[0], (long long)length[0]);
    } else if (!given) {
        length[0] = s->x->dims[1];
    }
    if (step[0] < 1 || length[0] < 1 || length[0] > (int64_t)s->length ||
        s->parts < 1 || s->parts > 2)
        return ax_fail(err, AX_ESHAPE,
                       "frames of %lld at steps of %lld of %zu numbers of "
                       "%zu parts",
                       (long long)length[0], (long long)step[0], s->length,
                       s->parts);
    if (onesided && s->parts == 2)
        return ax_fail(err, AX_EFORMAT,
                       "onesided does not go with complex numbers");
    s->n = (size_t)length[0];
    s->step = (size_t)step[0];
    s->frames = (s->length - s->n) / s->step + 1;
    s->out = onesided ? s->n / 2 + 1 : s->n;
    return AX_OK;
}

static ax_status stft(struct ax_call *c, struct ax_err *err)
{
    int64_t dims[4];
    struct turns t = {.n = 0};
    struct stft s = {.n = 0};
    size_t to = 0;
    double *lane;
    void *p;

    AX_TRY(stft_init(&s, c, err));
    AX_TRY(turns_init(&t, c, s.n, err));
    AX_TRY(ax_call_scratch(c, &p, 2 * s.n * sizeof(double), err));
    lane = p;
    dims[0] = s.x->dims[0];
    dims[1] = (int64_t)s.frames;
    dims[2] = (int64_t)s.out;
    dims[3] = 2;
    AX_TRY(ax_call_out(c, 0, s.x->dtype, 4, dims, err));
    for (size_t f = 0; f < (size_t)dims[0] * s.frames; f++) {
        size_t from = f / s.frames * s.length + f % s.frames * s.step;

        for (size_t i = 0; i < s.n; i++) {
            double w = s.window ? ref_number(s.window, i) : 1;

            lane[2 * i] = w * ref_number(s.x, (from + i) * s.parts);
            lane[2 * i + 1] = s.parts == 2
                                  ? w * ref_number(s.x, (from + i) * 2 + 1)
                                  : 0;
        }
        for (size_t k = 0; k < s.out; k++, to += 2) {
            double z[2];

            frequency(z, &t, lane, k, false);
            ref_put(c->out[0], to, z[0]);
            ref_put(c->out[0], to + 1, z[1]);
        }
    }
    return AX_OK;
}

/* -- windows --------------------------------------------------------------
 */

static ax_status out_type(ax_dtype *out, const struct ax_call *c,
                          struct ax_err *err)
{
    int64_t t = ax_node_int(c->node, "output_datatype", AX_F32);

    if (t < 1 || t > 31 || !ax_dtype_size((ax_dtype)t) ||
        (ax_dtype)t == AX_BOOL)
        return ax_fail(err, AX_EUNSUPPORTED, "output_datatype %lld",
                       (long long)t);
    *out = (ax_dtype)t;
    return AX_OK;
}

/* a - b cos x + c cos 2x, the coefficients of kernel->arg. */
static ax_status window(struct ax_call *c, struct ax_err *err)
{
    bool periodic = ax_node_int(c->node, "periodic", 1) != 0;
    const double *a = c->kernel->arg;
    ax_dtype type = AX_F32;
    int64_t n[1];
    int given;

    AX_TRY(out_type(&type, c, err));
    AX_TRY(ref_ints(n, &given, 1, c, 0, err));
    if (!given || n[0] < 0)
        return ax_fail(err, AX_ESHAPE, "a window of %lld elements",
                       given ? (long long)n[0] : 0);
    AX_TRY(ax_call_out(c, 0, type, 1, n, err));
    for (int64_t i = 0; i < n[0]; i++) {
        double of = (double)(periodic ? n[0] : n[0] - 1);
        double x = of > 0 ? 2 * pi * (double)i / of : 0;

        ref_put(c->out[0], (size_t)i,
                a[0] - a[1] * cos(x) + a[2] * cos(2 * x));
    }
    return AX_OK;
}

/* -- MelWeightMatrix ------------------------------------------------------
 */

/* Rising from FROM to TOP, and falling to END. */
static void triangle(struct ax_tensor *y, size_t column, int64_t from,
                     int64_t top, int64_t end)
{
    int64_t rows = y->dims[0];

    for (int64_t i = from; i < end || i == top; i++) {
        double v = i < top || (i == top && top > from)
                       ? (double)(i - from) / (double)(top - from)
                   : end > top ? (double)(end - i) / (double)(end - top)
                               : 1;

        if (i >= 0 && i < rows)
            ref_put(y, (size_t)(i * y->dims[1]) + column, v);
    }
}

static ax_status mel_weights(struct ax_call *c, struct ax_err *err)
{
    double in[5], low, high;
    ax_dtype type = AX_F32;
    int64_t dims[2];

    AX_TRY(out_type(&type, c, err));
    for (uint32_t i = 0; i < 5; i++) {
        AX_TRY(ref_want(c, i, ALL_DTYPES, err));
        AX_TRY(ref_scalar(&in[i], c, i, 0, err));
    }
    if (!(in[0] >= 1 && in[0] < 0x1p20 && in[1] >= 1 && in[1] < 0x1p24 &&
          in[2] >= 1 && in[3] >= 0 && in[4] >= in[3] && in[4] < 0x1p40))
        return ax_fail(err, AX_ESHAPE,
                       "%g bands of %g to %g Hz, of a transform of %g at %g "
                       "Hz",
                       in[0], in[3], in[4], in[1], in[2]);
    dims[0] = (int64_t)in[1] / 2 + 1;
    dims[1] = (int64_t)in[0];
    AX_TRY(ax_call_out(c, 0, type, 2, dims, err));
    memset(c->out[0]->data, 0, c->out[0]->nbytes);
    low = 2595 * log10(1 + in[3] / 700);
    high = 2595 * log10(1 + in[4] / 700);
    for (int64_t i = 0; i < dims[1]; i++) {
        int64_t at[3];

        for (int k = 0; k < 3; k++) {
            double mel = low + (double)(i + k) * (high - low) / (in[0] + 2);
            double hertz = 700 * (pow(10, mel / 2595) - 1);

            at[k] = (int64_t)floor((in[1] + 1) * hertz / in[2]);
        }
        triangle(c->out[0], (size_t)i, at[0], at[1], at[2]);
    }
    return AX_OK;
}

static const double blackman[] = {0.42, 0.5, 0.08},
                    hamming[] = {25.0 / 46, 21.0 / 46, 0},
                    hann[] = {0.5, 0.5, 0};

const struct ax_kernel ref_signal[] = {
    {"BlackmanWindow", window, NULL, blackman},
    {"DFT", dft, NULL, NULL},
    {"HammingWindow", window, NULL, hamming},
    {"HannWindow", window, NULL, hann},
    {"MelWeightMatrix", mel_weights, NULL, NULL},
    {"STFT", stft, NULL, NULL},
    {0},
};
