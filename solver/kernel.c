/* The integer loops under the bounds. Plain C over GNU vectors: the compiler
 * makes one copy for each kind of processor, and the loader picks one. */
#include "kernel.h"

#include <stdbool.h>
#include <string.h>

#include "clones.h"

#pragma GCC optimize("O3")

#define INLINE static inline __attribute__((always_inline))

typedef int64_t vec __attribute__((vector_size(64), may_alias));

struct panel_args {
    int64_t *e;
    size_t lde;
    const int64_t *nu;
    size_t ldn;
    const int64_t *w;
    size_t ldw;
    const uint32_t *idx;
    size_t n_idx;
};

/* rb rows by nv vectors, held in registers over the whole sum. */
INLINE void tile(const int nv, const int rb, const struct panel_args *a,
                 size_t r)
{
    vec acc[6][NV_MAX];

#pragma GCC unroll 6
    for (int i = 0; i < rb; i++)
#pragma GCC unroll 7
        for (int v = 0; v < nv; v++)
            acc[i][v] = (vec){0};
    for (size_t t = 0; t < a->n_idx; t++) {
        size_t j = a->idx[t];
        const vec *w = (const vec *)(a->w + j * a->ldw);

#pragma GCC unroll 6
        for (int i = 0; i < rb; i++) {
            int64_t x = a->nu[(r + (size_t)i) * a->ldn + j];

#pragma GCC unroll 7
            for (int v = 0; v < nv; v++)
                acc[i][v] += w[v] * x;
        }
    }
#pragma GCC unroll 6
    for (int i = 0; i < rb; i++)
#pragma GCC unroll 7
        for (int v = 0; v < nv; v++)
            ((vec *)(a->e + (r + (size_t)i) * a->lde))[v] = acc[i][v];
}

INLINE void panel(const int nv, const int rb, const struct panel_args *a,
                  size_t n)
{
    size_t r = 0;

    for (; r + (size_t)rb <= n; r += (size_t)rb)
        tile(nv, rb, a, r);
    for (; r + 2 <= n; r += 2)
        tile(nv, 2, a, r);
    for (; r < n; r++)
        tile(nv, 1, a, r);
}

CLONES static void panels(const struct panel_args *a, size_t n, uint32_t nv)
{
    switch (nv) {
    case 1:
        panel(1, 6, a, n);
        break;
    case 2:
        panel(2, 6, a, n);
        break;
    case 3:
        panel(3, 6, a, n);
        break;
    case 4:
        panel(4, 4, a, n);
        break;
    case 5:
        panel(5, 4, a, n);
        break;
    case 6:
        panel(6, 4, a, n);
        break;
    default:
        panel(7, 3, a, n);
        break;
    }
}

void kernel_dense(int64_t *e, size_t lde, const int64_t *nu, size_t ldn,
                  size_t n, const struct packed *w, const uint32_t *idx,
                  size_t n_idx)
{
    for (uint32_t p = 0; p < w->n_panels; p++) {
        const struct panel_args a = {
            .e = e + (size_t)p * w->nv * LANES,
            .lde = lde,
            .nu = nu,
            .ldn = ldn,
            .w = w->data + (size_t)p * w->rows * w->nv * LANES,
            .ldw = (size_t)(p + 1 < w->n_panels ? w->nv : w->nv_last) * LANES,
            .idx = idx,
            .n_idx = n_idx,
        };

        panels(&a, n, p + 1 < w->n_panels ? w->nv : w->nv_last);
    }
}

/* Eight rows side by side in the lanes, so that one coefficient of the
 * matrix serves all of them. */
CLONES static void sparse8(vec *et, const vec *nut, const struct csr *w,
                           const uint32_t *idx, size_t n_idx)
{
    for (size_t t = 0; t < n_idx; t++) {
        size_t i = idx[t];
        vec x = nut[i];
        int64_t any = 0;

        for (int l = 0; l < LANES; l++)
            any |= x[l];
        if (!any)
            continue;
        for (uint64_t k = w->ptr[i]; k < w->ptr[i + 1]; k++)
            et[w->col[k]] += x * (int64_t)w->val[k];
    }
}

#define FEW 4 /* terms a row */

INLINE bool is_zero(const int64_t *v)
{
    int64_t any = 0;

    for (int l = 0; l < LANES; l++)
        any |= v[l];
    return !any;
}

/* One row, most of which is zero, by a matrix with few terms a row. */
CLONES static void scatter(int64_t *e, const int64_t *nu, const struct csr *w)
{
    memset(e, 0, PAD(w->cols) * sizeof *e);
    for (size_t from = 0; from < w->rows; from += LANES) {
        size_t end = w->rows - from < LANES ? w->rows : from + LANES;

        if (is_zero(nu + from))
            continue;
        for (size_t i = from; i < end; i++)
            for (uint64_t k = w->ptr[i]; k < w->ptr[i + 1]; k++)
                e[w->col[k]] += nu[i] * (int64_t)w->val[k];
    }
}

void kernel_sparse(int64_t *e, size_t lde, const int64_t *nu, size_t ldn,
                   size_t n, const struct csr *w, const uint32_t *idx,
                   size_t n_idx, int64_t *tmp)
{
    int64_t *nut = tmp, *et = tmp + LANES * (size_t)w->rows;

    if (w->ptr[w->rows] <= (uint64_t)FEW * w->rows) {
        for (size_t r = 0; r < n; r++)
            scatter(e + r * lde, nu + r * ldn, w);
        return;
    }
    for (size_t r0 = 0; r0 < n; r0 += LANES) {
        size_t m = n - r0 < LANES ? n - r0 : LANES;

        for (size_t t = 0; t < n_idx; t++)
            for (size_t r = 0; r < LANES; r++)
                nut[idx[t] * (size_t)LANES + r] =
                    r < m ? nu[(r0 + r) * ldn + idx[t]] : 0;
        memset(et, 0, LANES * (size_t)w->cols * sizeof *et);
        sparse8((vec *)et, (const vec *)nut, w, idx, n_idx);
        for (size_t r = 0; r < m; r++) {
            int64_t *row = e + (r0 + r) * lde;

            for (size_t j = 0; j < w->cols; j++)
                row[j] = et[j * LANES + r];
            for (size_t j = w->cols; j < PAD(w->cols); j++)
                row[j] = 0;
        }
    }
}

INLINE __int128 sum_lanes(const vec *v)
{
    __int128 s = 0;

    for (int i = 0; i < LANES; i++)
        s += (*v)[i];
    return s;
}

/* The most bits of any element: v for v >= 0, -v - 1 if not. */
INLINE int row_bits(const vec *e, size_t nv)
{
    vec or = {0};
    int64_t all = 0;

    for (size_t v = 0; v < nv; v++)
        or |= e[v] ^ (e[v] >> 63);
    for (int i = 0; i < LANES; i++)
        all |= or [i];
    return all ? 64 - __builtin_clzll((unsigned long long)all) : 0;
}

INLINE void slopes(int64_t *nu, const int64_t *e, size_t nv,
                   const struct relax *rx, int down, int up)
{
    const vec *ev = (const vec *)e;
    const vec *mask = (const vec *)rx->mask, *chord = (const vec *)rx->chord;

    for (size_t v = 0; v < nv; v++) {
        vec mu = (ev[v] >> down) << up, neg = mu >> 63;

        ((vec *)nu)[v] = (neg & ((mu * chord[v]) >> 28)) |
                         (~neg & mu & mask[v]);
    }
}

/* By the table of chords and masks, with mu = e >> sh. */
CLONES static void slopes_default(int64_t *nu, const int64_t *e, size_t nv,
                                  const struct relax *rx, int sh)
{
    if (sh >= 0)
        slopes(nu, e, nv, rx, sh, 0);
    else
        slopes(nu, e, nv, rx, 0, -sh);
}

CLONES static int bits_of(const int64_t *e, size_t nv)
{
    return row_bits((const vec *)e, nv);
}

int kernel_relax(__int128 *g, int64_t *nu, const int64_t *e, size_t n8,
                 const struct relax *rx, const uint8_t *slope, int width,
                 int wide)
{
    int bits = bits_of(e, n8 / LANES);
    int sh = (bits > wide ? bits : wide) - width;
    int down = sh < 0 ? 0 : sh < 63 ? sh : 63, up = sh < 0 ? -sh : 0;

    slopes_default(nu, e, n8 / LANES, rx, up ? -up : down);
    *g = 0;
    for (uint32_t i = 0; i < rx->n_loose; i++) {
        uint32_t j = rx->loose[i];
        int64_t mu = (e[j] >> down) * ((int64_t)1 << up), at_l, at_u;

        if (mu >= 0) {
            if (slope && slope[j] != 255)
                nu[j] = (mu * slope[j]) >> 7;
            continue;
        }
        at_l = -nu[j] * rx->l[j];
        at_u = (mu - nu[j]) * rx->u[j];
        *g += at_l < at_u ? at_l : at_u;
    }
    return sh;
}

int kernel_smooth(__int128 *g, int64_t *nu, const int64_t *e, size_t n8,
                  const struct relax *rx)
{
    int sh = bits_of(e, n8 / LANES) - 26;
    int down = sh > 0 ? sh : 0, up = sh < 0 ? -sh : 0;

    *g = 0;
    for (size_t j = 0; j < n8; j++) {
        int64_t mu = (e[j] >> down) * ((int64_t)1 << up);

        nu[j] = (mu * rx->chord[j]) >> 28;
        if (mu != 0)
            *g += (__int128)mu * (mu > 0 ? rx->l[j] : rx->u[j]) - rx->mask[j];
    }
    return sh;
}

CLONES int kernel_narrow(int64_t *e, size_t n8)
{
    int bits = bits_of(e, n8 / LANES), sh = bits > 26 ? bits - 26 : 0;

    for (size_t v = 0; sh && v < n8 / LANES; v++)
        ((vec *)e)[v] >>= sh;
    return sh;
}

/* In a lane at most 64 terms of at most 2^56 are added before the sums go
 * into 128 bits: |nu_j b'_j| <= 2^26 2^30. */
CLONES int64_t kernel_sums(__int128 *bias, const int64_t *nu, size_t n8,
                           const int64_t *bq)
{
    const vec *nuv = (const vec *)nu, *b = (const vec *)bq;
    size_t nv = n8 / LANES;
    vec abs = {0};

    *bias = 0;
    for (size_t v0 = 0; v0 < nv; v0 += 64) {
        size_t v1 = nv - v0 < 64 ? nv : v0 + 64;
        vec sum = {0};

        for (size_t v = v0; v < v1; v++) {
            vec neg = nuv[v] >> 63;

            abs += (nuv[v] ^ neg) - neg;
            if (b)
                sum += nuv[v] * b[v];
        }
        if (b)
            *bias += sum_lanes(&sum);
    }
    return (int64_t)sum_lanes(&abs);
}

CLONES __int128 kernel_weigh(const int64_t *nu, const int64_t *d, size_t n8)
{
    const vec *nuv = (const vec *)nu, *dv = (const vec *)d;
    size_t nv = n8 / LANES;
    __int128 all = 0;

    for (size_t v0 = 0; v0 < nv; v0 += 64) {
        size_t v1 = nv - v0 < 64 ? nv : v0 + 64;
        vec sum = {0};

        for (size_t v = v0; v < v1; v++) {
            vec neg = nuv[v] >> 63;

            sum += ((nuv[v] ^ neg) - neg) * dv[v];
        }
        all += sum_lanes(&sum);
    }
    return all;
}

/* 32 terms of at most 2^57 are added before their sum goes into 128 bits. */
CLONES __int128 kernel_magnitude(const int32_t *w, const int64_t *m, size_t n)
{
    __int128 all = 0;

    for (size_t from = 0; from < n; from += 32) {
        size_t end = n - from < 32 ? n : from + 32;
        int64_t sum = 0;

        for (size_t j = from; j < end; j++)
            sum += (int64_t)w[j] * m[j];
        all += sum;
    }
    return all;
}

CLONES void kernel_join(int64_t *sum, int a, const int64_t *add, int b,
                        size_t n8)
{
    vec *s = (vec *)sum;
    const vec *x = (const vec *)add;

    for (size_t v = 0; v < n8 / LANES; v++)
        s[v] = (s[v] >> a) + (x[v] >> b);
}
