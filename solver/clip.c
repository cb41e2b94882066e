/* Clipping of boxes by the linear bounds of rows: man/ax-cert.5, section
 * Clipping, by the letter. */
#include <string.h>

#include "bound.h"

#define C_LIMIT ((ax_i128)1 << 120)
#define D_LIMIT ((ax_i128)1 << 125)
#define T_LIMIT ((ax_i128)1 << 126)

/* T of ax-cert(5): an unsafe input has sum e x <= T. */
void bound_threshold(struct brow *row, const struct bbox *box, uint32_t n_x)
{
    int q = row->q + box->p, sh = q - 64;
    ax_i128 sum = 0, sum64, r;

    for (uint32_t j = 0; j < n_x; j++)
        sum += (ax_i128)row->e[j] * (row->e[j] < 0 ? box->hi[j] : box->lo[j]);
    row->clips = false;
    if (row->row->d64_up >= D_LIMIT || row->row->d64_up <= -D_LIMIT)
        return;
    if (sh < 0 && (sum >= (C_LIMIT >> -sh) || sum <= -(C_LIMIT >> -sh)))
        return;
    sum64 = sh >= 0 ? sum >> (sh < 127 ? sh : 127)
                    : (ax_i128)((unsigned __int128)sum << -sh);
    r = row->row->d64_up - (row->c - sum64);
    if (sh < 0) {
        r = r >> (-sh < 127 ? -sh : 127);
    } else {
        ax_i128 most = sh < 126 ? (T_LIMIT - 1) >> sh : 0;

        if (r > most || r < -most)
            return;
        r = (ax_i128)((unsigned __int128)r << (sh < 126 ? sh : 0));
    }
    row->t = r + 1;
    row->clips = row->t < T_LIMIT && row->t > -T_LIMIT;
}

/* The quotient of v by d > 0, rounded up. */
static ax_i128 ceil_div(ax_i128 v, int64_t d)
{
    ax_i128 q = v / d;

    return q * d < v ? q + 1 : q;
}

bool bound_clip(const struct brow *rows, size_t n, uint32_t n_x, int64_t *lo,
                int64_t *hi)
{
    for (size_t r = 0; r < n; r++) {
        const int64_t *e = rows[r].e;
        ax_i128 slack = rows[r].t, x;

        if (!rows[r].clips)
            continue;
        for (uint32_t j = 0; j < n_x; j++)
            slack -= (ax_i128)e[j] * (e[j] < 0 ? hi[j] : lo[j]);
        if (slack < 0)
            return false;
        for (uint32_t j = 0; j < n_x; j++) {
            ax_i128 range = (ax_i128)hi[j] - lo[j];

            if (e[j] > 0 && slack < e[j] * range) {
                x = ceil_div(slack + (ax_i128)e[j] * lo[j], e[j]);
                hi[j] = x < hi[j] ? (int64_t)x : hi[j];
            } else if (e[j] < 0 && slack < -(ax_i128)e[j] * range) {
                x = -ceil_div(slack + (ax_i128)e[j] * hi[j], -e[j]);
                lo[j] = x > lo[j] ? (int64_t)x : lo[j];
            }
        }
    }
    return true;
}
