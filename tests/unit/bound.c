/* Bounds of boxes: sound against sampled values, with slopes and multipliers
 * too, tight at a point, and the same for dense and sparse storage. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ax/net.h"
#include "build.h"
#include "solver/bound.h"
#include "tap.h"

#define WIDEST 70
#define MOST   32 /* nodes */

static uint64_t seed = 1;

static double noise(void) /* in [-1, 1), a multiple of 2^-20 */
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (double)((int64_t)(seed >> 43) - (1 << 20)) / (1 << 20);
}

static void *need(void *p)
{
    if (!p)
        exit(1);
    return p;
}

static float weights[8192];
static size_t n_weights;

/* A layer of n on a value of m elements, random but always the same. */
static uint32_t layer(uint32_t x, int m, int n)
{
    float *w = weights + n_weights, *b = w + m * n;

    n_weights += (size_t)(m * n + n);
    for (int i = 0; i < m * n + n; i++)
        w[i] = (float)noise();
    return op_(AX_OP_Gemm, 3, x, flts(w, 2, m, n), flts(b, 1, n));
}

/* Additions of layers, rectified or not, so that nodes have several readers
 * and joins meet other scales. */
static void make_net(struct ax_net **net)
{
    struct ax_err err = {0};
    uint32_t x, a1, a2, a3, z;

    seed = 7;
    n_weights = 0;
    build_new();
    x = in_(2, 1, 4);
    a1 = op_(AX_OP_Relu, 1, layer(x, 4, 13));
    a2 = op_(AX_OP_Relu, 1, layer(a1, 13, WIDEST));
    z = op_(AX_OP_Add, 2, layer(a2, WIDEST, 9), layer(a1, 13, 9));
    a3 = op_(AX_OP_Relu, 1, op_(AX_OP_Add, 2, z, layer(x, 4, 9)));
    z = op_(AX_OP_Add, 2, layer(a3, 9, 3), layer(z, 9, 3));
    out_(op_(AX_OP_Sub, 2, z, layer(a1, 13, 3)));
    if (ax_net_lower(net, &build_model, &err) != AX_OK) {
        printf("# %s\n", err.msg);
        exit(1);
    }
}

/* The same network with every dense block stored sparsely. */
struct sparse {
    struct ax_block *of, was;
};

static size_t make_sparse(struct ax_net *net, struct sparse *out)
{
    size_t n = 0;

    for (uint32_t k = 1; k < net->n_nodes; k++)
        for (uint32_t i = 0; i < net->nodes[k].n_blocks; i++) {
            struct ax_block *b = &net->nodes[k].blocks[i];
            uint32_t rows = net->nodes[k].n, cols;

            if (b->form != AX_BLOCK_DENSE)
                continue;
            cols = net->nodes[b->source].n;
            out[n++] = (struct sparse){b, *b};
            b->form = AX_BLOCK_SPARSE;
            b->row_ptr = need(calloc(rows + 1u, sizeof *b->row_ptr));
            b->col = need(calloc((size_t)rows * cols, sizeof *b->col));
            for (uint32_t r = 0; r <= rows; r++)
                b->row_ptr[r] = (uint64_t)r * cols;
            for (uint32_t t = 0; t < rows * cols; t++)
                b->col[t] = t % cols;
        }
    return n;
}

static void make_dense(struct sparse *s, size_t n)
{
    while (n-- > 0) {
        free(s[n].of->row_ptr);
        free(s[n].of->col);
        *s[n].of = s[n].was;
    }
}

/* y[k]: the values of node k. */
static void evaluate(const struct ax_net *net, double y[MOST][WIDEST])
{
    for (uint32_t k = 1; k < net->n_nodes; k++) {
        const struct ax_net_node *node = &net->nodes[k];

        for (uint32_t i = 0; i < node->n; i++) {
            double z = 0;

            for (uint32_t s = 0; s < node->n_blocks; s++) {
                const struct ax_block *b = &node->blocks[s];
                uint64_t m = net->nodes[b->source].n, t = i * m, end = t + m;

                if (b->form == AX_BLOCK_SAME) {
                    z += y[b->source][i];
                    continue;
                }
                if (b->form == AX_BLOCK_SPARSE) {
                    t = b->row_ptr[i];
                    end = b->row_ptr[i + 1];
                }
                for (uint64_t from = t; t < end; t++)
                    z += (b->w    ? b->w[t]
                          : b->wq ? b->wq[t]
                                  : 1) *
                         y[b->source][b->col ? b->col[t] : t - from];
            }
            if (node->bias)
                z += ldexp((double)node->bias[i].m, node->bias[i].e);
            y[k][i] = node->kind == AX_NET_RELU && z < 0 ? 0 : z;
        }
    }
}

enum { ROWS = 3 };

static struct bound_case {
    int64_t lo[4], hi[4];
    struct brow rows[ROWS];
    int64_t e[ROWS][4];
    struct bstate st;
} cases[2];

static struct ax_row rows[ROWS];

static void make_rows(void)
{
    static uint32_t index[] = {0, 1, 2};
    static int32_t coef[ROWS][3] = {{1, -1, 2}, {-3, 1, 1}, {5, 0, -1}};
    static int32_t x_coef[] = {7, -2};

    for (int r = 0; r < ROWS; r++)
        rows[r] = (struct ax_row){
            .n_y = 3, .y_index = index, .y_coef = coef[r], .d64_up = 0};
    rows[1].n_x = 2;
    rows[1].x_index = index;
    rows[1].x_coef = x_coef;
}

/* Of the lower and upper rows of neurons. */
static const uint8_t *no_tables[2 * MOST * WIDEST];

static bool bound_case(const struct bnet *bn, struct bwork *w,
                       struct bound_case *c, double half,
                       const uint8_t *const *tables)
{
    struct bbox box = {44, c->lo, c->hi, tables};

    seed = 99;
    for (int j = 0; j < 4; j++) {
        double at = noise();

        c->lo[j] = (int64_t)ldexp(at - half, 44);
        c->hi[j] = (int64_t)ldexp(at + half, 44);
    }
    if (!c->st.m)
        bstate_place(&c->st, bn, need(calloc(1, bstate_bytes(bn))));
    bstate_root(&c->st, bn);
    for (int r = 0; r < ROWS; r++)
        c->rows[r] = (struct brow){.row = &rows[r],
                                   .slopes = tables ? tables[0] : NULL,
                                   .e = c->e[r]};
    return bound_box(w, &box, &c->st) && bound_rows(w, &box, c->rows, ROWS);
}

static double row_value(int r, const double *x, const double *y)
{
    double v = 0;

    for (uint32_t i = 0; i < rows[r].n_y; i++)
        v += rows[r].y_coef[i] * y[rows[r].y_index[i]];
    for (uint32_t i = 0; i < rows[r].n_x; i++)
        v += rows[r].x_coef[i] * x[rows[r].x_index[i]];
    return v;
}

static void sample(const struct bound_case *c, double *x, int t)
{
    for (int j = 0; j < 4; j++) {
        double u = t % 3 ? (noise() + 1) / 2 : noise() > 0;

        x[j] = ldexp((double)c->lo[j], -44) +
               u * ldexp((double)(c->hi[j] - c->lo[j]), -44);
    }
}

/* Nothing sampled in the box is below a bound, outside a status, or above
 * M. */
static void sound(const struct ax_net *net, const struct bnet *bn,
                  struct bound_case *c)
{
    double y[MOST][WIDEST];
    bool status_ok = true, m_ok = true, bound_ok = true;

    for (int t = 0; t < 20000; t++) {
        sample(c, y[0], t);
        evaluate(net, y);
        for (uint32_t k = 1; k + 1 < net->n_nodes; k++) {
            double sum = 0;

            for (uint32_t i = 0; i < net->nodes[k].n; i++) {
                size_t at = bn->first[k] + i;

                sum += fabs(y[k][i]);
                if (net->nodes[k].kind != AX_NET_RELU)
                    continue;
                status_ok &= c->st.status[at] != INACTIVE || y[k][i] < 1e-9;
                m_ok &= y[k][i] <= ldexp((double)c->st.m[at], -16) + 1e-9;
            }
            if (net->nodes[k].kind != AX_NET_RELU)
                m_ok &= sum <= ldexp((double)c->st.sum_m[k], -16);
        }
        for (int r = 0; r < ROWS; r++) {
            double v = row_value(r, y[0], y[net->n_nodes - 1]);

            bound_ok &= v >= ldexp((double)c->rows[r].c, -64) - 1e-9;
        }
    }
    OK(status_ok);
    OK(m_ok);
    OK(bound_ok);
}

/* With D at the least sampled value, clipping must keep that sample. */
static void clips(const struct ax_net *net, const struct bnet *bn,
                  struct bwork *w, struct bound_case *c, double half)
{
    double y[MOST][WIDEST], best[4] = {0}, least = INFINITY;
    int64_t lo[4], hi[4];
    bool inside = true, smaller = false;

    OK(bound_case(bn, w, c, half, NULL));
    for (int t = 0; t < 20000; t++) {
        double v;

        sample(c, y[0], 1);
        evaluate(net, y);
        v = row_value(0, y[0], y[net->n_nodes - 1]);
        if (v < least) {
            least = v;
            memcpy(best, y[0], sizeof best);
        }
    }
    rows[0].d64_up = (ax_i128)(ldexp(least, 40)) * (1 << 24) + (1 << 24);
    OK(bound_case(bn, w, c, half, NULL));
    memcpy(lo, c->lo, sizeof lo);
    memcpy(hi, c->hi, sizeof hi);
    OK(bound_clip(c->rows, 1, 4, lo, hi));
    for (int j = 0; j < 4; j++) {
        inside &= best[j] >= ldexp((double)lo[j], -44) - 1e-12 &&
                  best[j] <= ldexp((double)hi[j], -44) + 1e-12;
        smaller |= lo[j] > c->lo[j] || hi[j] < c->hi[j];
    }
    OK(inside);
    OK(smaller);
    rows[0].d64_up = 0;
}

/* Any slopes give bounds, and some give better ones than others. */
static void slopes(const struct ax_net *net, const struct bnet *bn,
                   struct bwork *w, struct bound_case *c)
{
    uint8_t *table = need(calloc(bn->neurons + 1, 1));
    const uint8_t *tables[2 * MOST * WIDEST];
    ax_i128 plain = 0, other = 0;

    OK(bound_case(bn, w, c, 0.3, NULL));
    plain = c->rows[0].c;
    memset(table, 255, bn->neurons);
    for (uint32_t t = 0; t < 2 * MOST * WIDEST; t++)
        tables[t] = table;
    OK(bound_case(bn, w, c, 0.3, tables)); /* 255 is what there is without */
    OK(c->rows[0].c == plain);
    OK(bound_case(bn, w, c, 0.3, no_tables));
    OK(c->rows[0].c == plain);
    for (int t = 0; t < 4; t++) {
        for (size_t j = 0; j < bn->neurons; j++)
            table[j] = (uint8_t)((noise() + 1) * 64.49);
        OK(bound_case(bn, w, c, 0.3, tables));
        other |= c->rows[0].c != plain;
        sound(net, bn, c);
    }
    OK(other != 0);
    free(table);
}

/* Split neurons: with any multipliers the bounds hold wherever the signs are
 * as assumed. */
static void splits(const struct ax_net *net, const struct bnet *bn,
                   struct bwork *w, struct bound_case *c)
{
    struct bbounds *kept = NULL;
    struct bbox box = {44, c->lo, c->hi, NULL};
    struct bmult mults[12];
    double y[MOST][WIDEST];
    struct ax_err err = {0};
    uint32_t n = 0;
    int seen = 0;
    bool ok = true;

    OK(bbounds_new(&kept, bn, &err) == AX_OK);
    OK(bound_case(bn, w, c, 0.3, NULL));
    bound_keep(w, kept);
    sample(c, y[0], 1); /* this point has the signs */
    evaluate(net, y);
    for (uint32_t k = 1; k < net->n_nodes; k++)
        for (uint32_t i = 0; i < net->nodes[k].n && n < 12; i += 2) {
            size_t at = bn->first[k] + i;

            if (net->nodes[k].kind != AX_NET_RELU ||
                c->st.status[at] != UNSTABLE)
                continue;
            mults[n++] = (struct bmult){
                (uint32_t)at, y[k][i] > 0,
                (uint16_t)((24 + n % 5) * 2048 + 77 * n)};
            c->st.status[at] = y[k][i] > 0 ? ACTIVE : INACTIVE;
        }
    OK(n == 12);
    bound_use(w, kept, &c->st);
    for (int r = 0; r < ROWS; r++) {
        c->rows[r].mults = mults;
        c->rows[r].n_mults = n;
    }
    OK(bound_rows(w, &box, c->rows, ROWS));
    for (int t = 0; t < 400000 && seen < 500; t++) {
        bool same = true;

        sample(c, y[0], t);
        evaluate(net, y);
        for (uint32_t i = 0; i < n; i++)
            for (uint32_t k = 1; k < net->n_nodes; k++)
                if (net->nodes[k].kind == AX_NET_RELU &&
                    mults[i].neuron - bn->first[k] < net->nodes[k].n)
                    same &= mults[i].active ==
                            (y[k][mults[i].neuron - bn->first[k]] > 0);
        seen += same;
        for (int r = 0; same && r < ROWS; r++)
            ok &= row_value(r, y[0], y[net->n_nodes - 1]) >=
                  ldexp((double)c->rows[r].c, -64) - 1e-9;
    }
    OK(seen > 20);
    OK(ok);
    free(kept);
}

static void test_bounds(void)
{
    struct ax_net *net = NULL;
    struct bnet *bn[2] = {NULL};
    struct bwork *w[2] = {NULL};
    struct sparse was[MOST];
    struct ax_err err = {0};
    size_t n = 0;

    make_rows();
    make_net(&net);
    for (int s = 0; s < 2; s++) {
        n = s ? make_sparse(net, was) : 0;
        OK(bnet_new(&bn[s], net, AX_SEMANTICS_REAL, &err) == AX_OK);
        OK(bwork_new(&w[s], bn[s], (size_t)1 << 30, 0, &err) == AX_OK);
        OK(bound_case(bn[s], w[s], &cases[s], 0.3, NULL));
        sound(net, bn[s], &cases[s]);
        clips(net, bn[s], w[s], &cases[s], 0.05);
    }
    /* Dense and sparse storage give the same integers. */
    for (int s = 0; s < 2; s++)
        OK(bound_case(bn[s], w[s], &cases[s], 0.2, NULL));
    for (int r = 0; r < ROWS; r++) {
        OK(cases[0].rows[r].c == cases[1].rows[r].c);
        OK(memcmp(cases[0].e[r], cases[1].e[r], sizeof cases[0].e[r]) == 0);
    }
    slopes(net, bn[1], w[1], &cases[1]);
    splits(net, bn[1], w[1], &cases[1]);
    splits(net, bn[0], w[0], &cases[0]);
    /* At a point nothing is lost but the rounding. */
    OK(bound_case(bn[0], w[0], &cases[0], 0, NULL));
    {
        double y[MOST][WIDEST];

        for (int j = 0; j < 4; j++)
            y[0][j] = ldexp((double)cases[0].lo[j], -44);
        evaluate(net, y);
        for (int r = 0; r < ROWS; r++)
            OK(fabs(row_value(r, y[0], y[net->n_nodes - 1]) -
                    ldexp((double)cases[0].rows[r].c, -64)) < 1e-3);
    }
    for (int s = 0; s < 2; s++) {
        bwork_free(w[s]);
        bnet_free(bn[s]);
        free(cases[s].st.m);
        cases[s].st.m = NULL;
    }
    make_dense(was, n);
    ax_net_free(net);
}

/* A huge value is out of range, not wrong. */
static void test_range(void)
{
    struct ax_net *net = NULL;
    struct bnet *bn = NULL;
    struct bwork *w = NULL;
    struct ax_err err = {0};

    make_net(&net);
    for (uint32_t k = 0; k < net->n_nodes; k++)
        if (net->nodes[k].kind == AX_NET_WEIGHTED)
            net->nodes[k].scale -= 70;
    OK(bnet_new(&bn, net, AX_SEMANTICS_REAL, &err) == AX_OK);
    OK(bwork_new(&w, bn, (size_t)1 << 30, 0, &err) == AX_OK);
    OK(!bound_case(bn, w, &cases[0], 0.3, NULL));
    bwork_free(w);
    OK(bwork_new(&w, bn, (size_t)1 << 10, 0, &err) == AX_UNDECIDED);
    bnet_free(bn);
    free(cases[0].st.m);
    ax_net_free(net);
}

int main(void)
{
    test_bounds();
    test_range();
    return tap_done();
}
