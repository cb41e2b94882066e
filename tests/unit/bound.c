/* Bounds of boxes: sound against sampled values, tight at a point, the same
 * for dense and sparse storage, and certificates that do not depend on the
 * number of threads. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ax/prove.h"
#include "solver/bound.h"
#include "tap.h"

#define NODES 5 /* input, three rectified nodes, output */

static uint64_t seed = 1;

static double noise(void) /* in [-1, 1), a multiple of 2^-20 */
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (double)((int64_t)(seed >> 43) - (1 << 20)) / (1 << 20);
}

static int clog2(uint32_t n)
{
    int i = 0;

    while ((1u << i) < n)
        i++;
    return i;
}

/* W' and its scale, as in ax-cert(5). */
static int quantise(int32_t *q, const double *w, size_t n, int bits)
{
    double most = 0;
    int e;

    for (size_t i = 0; i < n; i++)
        most = fabs(w[i]) > most ? fabs(w[i]) : most;
    frexp(most, &e);
    for (size_t i = 0; i < n; i++)
        q[i] = (int32_t)floor(ldexp(w[i], bits - e) + 0.5);
    return bits - e;
}

static void *need(void *p)
{
    if (!p)
        exit(1);
    return p;
}

/* Node k of n elements with the sources listed, by random weights. */
static void make_node(struct ax_net *net, uint32_t k, uint32_t n,
                      const uint32_t *sources, uint32_t n_sources,
                      bool sparse)
{
    struct ax_net_node *node = &net->nodes[k];

    node->n = n;
    node->n_blocks = n_sources;
    node->blocks = need(calloc(n_sources + 1, sizeof *node->blocks));
    node->bits = 36 - clog2(n) - clog2(2);
    node->bits = node->bits > 30 ? 30 : node->bits;
    for (uint32_t s = 0; s < n_sources; s++) {
        struct ax_block *b = &node->blocks[s];
        uint32_t m = net->nodes[sources[s]].n;
        size_t count = (size_t)n * m;

        b->source = sources[s];
        b->w = need(calloc(count, sizeof *b->w));
        b->wq = need(calloc(count, sizeof *b->wq));
        for (size_t i = 0; i < count; i++)
            b->w[i] = noise();
        b->scale = quantise(b->wq, b->w, count, node->bits);
        if (sparse) {
            b->row_ptr = need(calloc(n + 1, sizeof *b->row_ptr));
            b->col = need(calloc(count, sizeof *b->col));
            for (uint32_t i = 0; i <= n; i++)
                b->row_ptr[i] = (uint64_t)i * m;
            for (size_t i = 0; i < count; i++)
                b->col[i] = (uint32_t)(i % m);
        }
    }
    node->b = need(calloc(n, sizeof *node->b));
    node->bq = need(calloc(n, sizeof *node->bq));
    for (uint32_t i = 0; i < n; i++)
        node->b[i] = noise();
    node->b_scale = quantise(node->bq, node->b, n, node->bits);
}

/* A net with joins: node 3 reads nodes 1, 2 and the input; the output reads
 * nodes 1 and 3. */
static void make_net(struct ax_net *net, bool sparse)
{
    static const uint32_t one[] = {0}, two[] = {1}, three[] = {0, 1, 2},
                          out[] = {1, 3};

    seed = 7;
    net->n_nodes = NODES;
    net->nodes = need(calloc(NODES, sizeof *net->nodes));
    net->nodes[0].n = 4;
    make_node(net, 1, 13, one, 1, sparse);
    make_node(net, 2, 70, two, 1, sparse);
    make_node(net, 3, 9, three, 3, sparse);
    make_node(net, 4, 3, out, 2, sparse);
}

static void free_net(struct ax_net *net)
{
    for (uint32_t k = 0; k < NODES; k++) {
        for (uint32_t s = 0; s < net->nodes[k].n_blocks; s++) {
            free(net->nodes[k].blocks[s].w);
            free(net->nodes[k].blocks[s].wq);
            free(net->nodes[k].blocks[s].row_ptr);
            free(net->nodes[k].blocks[s].col);
        }
        free(net->nodes[k].blocks);
        free(net->nodes[k].b);
        free(net->nodes[k].bq);
    }
    free(net->nodes);
}

/* a[k] the activations of node k (z for the last). */
static void evaluate(const struct ax_net *net, double a[NODES][70])
{
    for (uint32_t k = 1; k < NODES; k++) {
        const struct ax_net_node *node = &net->nodes[k];

        for (uint32_t i = 0; i < node->n; i++) {
            double z = node->b[i];

            for (uint32_t s = 0; s < node->n_blocks; s++) {
                const struct ax_block *b = &node->blocks[s];
                uint32_t m = net->nodes[b->source].n;

                for (uint32_t j = 0; j < m; j++)
                    z += b->w[(size_t)i * m + j] * a[b->source][j];
            }
            a[k][i] = k + 1 < NODES && z < 0 ? 0 : z;
        }
    }
}

enum { ROWS = 3 };

static struct bound_case {
    int64_t lo[4], hi[4];
    struct brow rows[ROWS];
    int64_t e[ROWS][4];
    struct bstate st;
    int64_t m[92];
    uint8_t status[92];
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

static bool bound_case(struct bwork *w, struct bound_case *c, double half)
{
    struct bbox box = {44, c->lo, c->hi};

    seed = 99;
    for (int j = 0; j < 4; j++) {
        double at = noise();

        c->lo[j] = (int64_t)ldexp(at - half, 44);
        c->hi[j] = (int64_t)ldexp(at + half, 44);
    }
    c->st = (struct bstate){.m = c->m, .status = c->status};
    for (int i = 0; i < 92; i++) {
        c->m[i] = INT64_MAX;
        c->status[i] = UNSTABLE;
    }
    for (int r = 0; r < ROWS; r++)
        c->rows[r] = (struct brow){.row = &rows[r], .e = c->e[r]};
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

/* Nothing sampled in the box is below a bound, outside a status, or above
 * M. */
static void sound(const struct ax_net *net, const struct bnet *bn,
                  struct bound_case *c)
{
    double a[NODES][70];
    bool status_ok = true, m_ok = true, bound_ok = true;

    for (int t = 0; t < 20000; t++) {
        for (int j = 0; j < 4; j++) {
            double u = t % 3 ? (noise() + 1) / 2 : noise() > 0;

            a[0][j] = ldexp((double)c->lo[j], -44) +
                      u * ldexp((double)(c->hi[j] - c->lo[j]), -44);
        }
        evaluate(net, a);
        for (uint32_t k = 1; k + 1 < NODES; k++)
            for (uint32_t i = 0; i < net->nodes[k].n; i++) {
                size_t at = bn->first[k] + i;

                status_ok &= c->status[at] != INACTIVE || a[k][i] < 1e-9;
                m_ok &= a[k][i] <= ldexp((double)c->m[at], -16) + 1e-9;
            }
        for (int r = 0; r < ROWS; r++) {
            double v = row_value(r, a[0], a[NODES - 1]);

            bound_ok &= v >= ldexp((double)c->rows[r].c, -64) - 1e-9;
        }
    }
    OK(status_ok);
    OK(m_ok);
    OK(bound_ok);
}

/* With D at the least sampled value, clipping must keep that sample. */
static void clips(const struct ax_net *net, struct bwork *w,
                  struct bound_case *c, double half)
{
    double a[NODES][70], best[4] = {0}, least = INFINITY;
    int64_t lo[4], hi[4];
    bool inside = true, smaller = false;

    OK(bound_case(w, c, half));
    for (int t = 0; t < 20000; t++) {
        double v;

        for (int j = 0; j < 4; j++)
            a[0][j] = ldexp((double)c->lo[j], -44) +
                      (noise() + 1) / 2 *
                          ldexp((double)(c->hi[j] - c->lo[j]), -44);
        evaluate(net, a);
        v = row_value(0, a[0], a[NODES - 1]);
        if (v < least) {
            least = v;
            memcpy(best, a[0], sizeof best);
        }
    }
    rows[0].d64_up = (ax_i128)(ldexp(least, 40)) * (1 << 24) + (1 << 24);
    OK(bound_case(w, c, half));
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

static void test_bounds(void)
{
    struct ax_net net[2] = {{0}};
    struct bnet *bn[2] = {NULL};
    struct bwork *w[2] = {NULL};
    struct ax_err err = {0};

    make_rows();
    for (int s = 0; s < 2; s++) {
        make_net(&net[s], s);
        OK(bnet_new(&bn[s], &net[s], &err) == AX_OK);
        OK(bwork_new(&w[s], bn[s], (size_t)1 << 30, 0, &err) == AX_OK);
        OK(bound_case(w[s], &cases[s], 0.3));
        sound(&net[s], bn[s], &cases[s]);
        clips(&net[s], w[s], &cases[s], 0.05);
    }
    /* Dense and sparse storage give the same integers. */
    for (int s = 0; s < 2; s++)
        OK(bound_case(w[s], &cases[s], 0.2));
    for (int r = 0; r < ROWS; r++) {
        OK(cases[0].rows[r].c == cases[1].rows[r].c);
        OK(memcmp(cases[0].e[r], cases[1].e[r], sizeof cases[0].e[r]) == 0);
    }
    /* At a point nothing is lost but the rounding. */
    OK(bound_case(w[0], &cases[0], 0));
    {
        double a[NODES][70];

        for (int j = 0; j < 4; j++)
            a[0][j] = ldexp((double)cases[0].lo[j], -44);
        evaluate(&net[0], a);
        for (int r = 0; r < ROWS; r++)
            OK(fabs(row_value(r, a[0], a[NODES - 1]) -
                    ldexp((double)cases[0].rows[r].c, -64)) < 1e-3);
    }
    for (int s = 0; s < 2; s++) {
        bwork_free(w[s]);
        bnet_free(bn[s]);
        free_net(&net[s]);
    }
}

/* A wide layer overflows nothing, and a huge value is out of range, not
 * wrong. */
static void test_range(void)
{
    struct ax_net net = {0};
    struct bnet *bn = NULL;
    struct bwork *w = NULL;
    struct ax_err err = {0};

    make_net(&net, false);
    for (uint32_t s = 0; s < net.nodes[1].n_blocks; s++)
        net.nodes[1].blocks[s].scale -= 70;
    OK(bnet_new(&bn, &net, &err) == AX_OK);
    OK(bwork_new(&w, bn, (size_t)1 << 30, 0, &err) == AX_OK);
    OK(!bound_case(w, &cases[0], 0.3));
    bwork_free(w);
    OK(bwork_new(&w, bn, (size_t)1 << 10, 0, &err) == AX_UNDECIDED);
    bnet_free(bn);
    free_net(&net);
}

int main(void)
{
    test_bounds();
    test_range();
    return tap_done();
}
