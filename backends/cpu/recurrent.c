/* LSTM and GRU in float32 with the usual functions: what comes from the
 * inputs is one product for all steps, what comes from the state one a step
 * for all sequences. Lengths, peepholes, clipping and other functions are
 * left to the reference. */
#include "cpu.h"
#include "vmath.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define GATES_MAX 4

struct layer {
    int gates;
    bool linear; /* GRU: linear_before_reset */
    int64_t steps, batch, inputs, hidden;
    int directions;
    bool reverse; /* the first direction */
};

/* Weights as panels, for each direction. */
struct panels {
    float *w[2], *r[2], *rh[2]; /* rh: of a GRU's last gate by itself */
};

static void drop(void *state)
{
    struct panels *s = state;

    for (int d = 0; d < 2; d++) {
        free(s->w[d]);
        free(s->r[d]);
        free(s->rh[d]);
    }
    free(s);
}

/* -- which cases ----------------------------------------------------------
 */

static bool usual_functions(const struct ax_node *node, int gates)
{
    static const char *const lstm[] = {"Sigmoid", "Tanh", "Tanh"};
    const struct ax_attr *a = ax_node_attr(node, "activations");
    size_t n = gates == 4 ? 3 : 2;

    if (!a)
        return true;
    if (a->kind != AX_ATTR_STRINGS || a->n % n)
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (strcasecmp(a->strings[i], lstm[i % n]) != 0)
            return false;
    return true;
}

static bool has_shape(const struct ax_call *c, uint32_t i, int rank,
                      const int64_t *dims)
{
    bool same;

    if (!ax_call_has(c, i))
        return true;
    same = c->in[i]->dtype == AX_F32 && c->in[i]->rank == rank;
    for (int k = 0; k < rank && same; k++)
        same = c->in[i]->dims[k] == dims[k];
    return same;
}

static bool resolve(struct layer *l, const struct ax_call *c)
{
    const char *way = ax_node_string(c->node, "direction", "forward");
    int64_t rows;

    l->gates = *(const int *)c->kernel->arg;
    l->directions = strcmp(way, "bidirectional") == 0 ? 2 : 1;
    l->reverse = strcmp(way, "reverse") == 0;
    l->linear = ax_node_int(c->node, "linear_before_reset", 0) != 0;
    if (!cpu_f32(c, 0) || !cpu_f32(c, 1) || !cpu_f32(c, 2) ||
        c->in[0]->rank != 3 || c->in[1]->rank != 3 || ax_call_has(c, 4) ||
        ax_call_has(c, 7) || !usual_functions(c->node, l->gates) ||
        ax_node_attr(c->node, "clip") || ax_node_int(c->node, "layout", 0) ||
        ax_node_int(c->node, "input_forget", 0) ||
        (l->directions == 1 && !l->reverse && strcmp(way, "forward")))
        return false;
    l->steps = c->in[0]->dims[0];
    l->batch = c->in[0]->dims[1];
    l->inputs = c->in[0]->dims[2];
    rows = c->in[1]->dims[1];
    l->hidden = rows / l->gates;
    if (l->hidden < 1 || l->hidden * l->gates != rows || l->steps < 1 ||
        l->batch < 1 || l->inputs < 1 ||
        ax_node_int(c->node, "hidden_size", l->hidden) != l->hidden)
        return false;
    return has_shape(c, 1, 3, (int64_t[]){l->directions, rows, l->inputs}) &&
           has_shape(c, 2, 3, (int64_t[]){l->directions, rows, l->hidden}) &&
           has_shape(c, 3, 2, (int64_t[]){l->directions, 2 * rows}) &&
           has_shape(c, 5, 3,
                     (int64_t[]){l->directions, l->batch, l->hidden}) &&
           has_shape(c, 6, 3,
                     (int64_t[]){l->directions, l->batch, l->hidden});
}

/* -- weights --------------------------------------------------------------
 */

static float *pack(const float *from, int64_t n, int64_t k)
{
    size_t size = (size_t)((n + TILE_N - 1) / TILE_N * k) * TILE_N *
                  sizeof(float);
    float *to = aligned_alloc(64, size);

    if (to)
        tile_pack(to, from, k, n, k, 1);
    return to;
}

static ax_status prepare(struct panels **out, struct ax_call *c,
                         const struct layer *l, struct ax_err *err)
{
    const float *w = c->in[1]->data, *r = c->in[2]->data;
    int64_t n = l->gates * l->hidden, k = l->hidden;
    struct panels *s = *c->state;
    bool all = true;

    if (s && (c->constant & 6) == 6) {
        *out = s;
        return AX_OK;
    }
    if (s)
        drop(s);
    *c->state = s = calloc(1, sizeof *s);
    for (int d = 0; s && d < l->directions; d++) {
        s->w[d] = pack(w + d * n * l->inputs, n, l->inputs);
        s->r[d] = pack(r + d * n * k, n, k);
        if (l->gates == 3)
            s->rh[d] = pack(r + (d * n + 2 * k) * k, k, k);
        all &= s->w[d] && s->r[d] && (l->gates == 4 || s->rh[d]);
    }
    if (s && !all) {
        drop(s);
        *c->state = s = NULL;
    }
    if (!s)
        return ax_fail(err, AX_ENOMEM, "no memory for a recurrent layer");
    *out = s;
    return AX_OK;
}

/* -- cells ----------------------------------------------------------------
 */

/* Gates i o f c; g has what comes from the inputs, s from the state. */
CPU_CLONES
static void lstm_cell(const float *restrict g, const float *restrict s,
                      const float *restrict b, float *restrict h,
                      float *restrict c, int64_t n)
{
    for (int64_t k = 0; k < n; k++) {
        float in = vm_sigmoid(g[k] + s[k] + b[k]);
        float out = vm_sigmoid(g[n + k] + s[n + k] + b[n + k]);
        float forget = vm_sigmoid(g[2 * n + k] + s[2 * n + k] + b[2 * n + k]);
        float cell = vm_tanh(g[3 * n + k] + s[3 * n + k] + b[3 * n + k]);

        c[k] = forget * c[k] + in * cell;
        h[k] = out * vm_tanh(c[k]);
    }
}

/* Gates z r h. The reset gate, times the state: what the last gate sees if
 * it does not see all of the state first. */
CPU_CLONES
static void gru_reset(const float *restrict g, const float *restrict s,
                      const float *restrict b, const float *restrict h,
                      float *restrict to, int64_t n)
{
    for (int64_t k = 0; k < n; k++)
        to[k] = vm_sigmoid(g[n + k] + s[n + k] + b[n + k]) * h[k];
}

/* rb is the state's bias of the last gate; from what the state gives it. */
CPU_CLONES
static void gru_cell(const float *restrict g, const float *restrict s,
                     const float *restrict b, const float *restrict from,
                     const float *restrict rb, float *restrict h, int64_t n,
                     bool linear)
{
    for (int64_t k = 0; k < n; k++) {
        float z = vm_sigmoid(g[k] + s[k] + b[k]);
        float r = vm_sigmoid(g[n + k] + s[n + k] + b[n + k]);
        float state = from[k] + rb[k];

        state = linear ? r * state : state;
        h[k] = (1 - z) * vm_tanh(g[2 * n + k] + b[2 * n + k] + state) +
               z * h[k];
    }
}

/* -- running --------------------------------------------------------------
 */

/* One direction; all memory is scratch. */
struct run {
    const struct layer *l;
    const struct tile *tile;
    const struct panels *p;
    int d;
    float *g;     /* [steps, batch, gates hidden] */
    float *s;     /* [batch, gates hidden] */
    float *reset; /* [batch, hidden], twice */
    float *b;     /* [gates hidden], then a GRU's bias of the last gate */
    float *h, *c; /* [batch, hidden] */
    float *room;
};

static void gru_step(const struct run *r, const float *g)
{
    int64_t n = r->l->hidden, m = r->l->batch;
    float *from = r->reset + m * n;

    if (!r->l->linear) {
        for (int64_t b = 0; b < m; b++)
            gru_reset(g + b * 3 * n, r->s + b * 3 * n, r->b, r->h + b * n,
                      r->reset + b * n, n);
        cpu_product(from, r->reset, r->p->rh[r->d], m, n, n, r->tile,
                    r->room);
    }
    for (int64_t b = 0; b < m; b++)
        gru_cell(g + b * 3 * n, r->s + b * 3 * n, r->b,
                 r->l->linear ? r->s + (b * 3 + 2) * n : from + b * n,
                 r->b + 3 * n, r->h + b * n, n, r->l->linear);
}

static void run_direction(const struct run *r, const float *x, float *y)
{
    const struct layer *l = r->l;
    int64_t n = l->gates * l->hidden, rows = l->batch * l->hidden;

    cpu_product(r->g, x, r->p->w[r->d], l->steps * l->batch, n, l->inputs,
                r->tile, r->room);
    for (int64_t i = 0; i < l->steps; i++) {
        int64_t t = l->reverse || r->d ? l->steps - 1 - i : i;
        const float *g = r->g + t * l->batch * n;

        cpu_product(r->s, r->h, r->p->r[r->d], l->batch, n, l->hidden,
                    r->tile, r->room);
        if (l->gates == 3)
            gru_step(r, g);
        for (int64_t b = 0; b < l->batch && l->gates == 4; b++)
            lstm_cell(g + b * n, r->s + b * n, r->b, r->h + b * l->hidden,
                      r->c + b * l->hidden, l->hidden);
        if (y)
            memcpy(y + (t * l->directions + r->d) * rows, r->h,
                   (size_t)rows * sizeof *y);
    }
}

/* Both halves of the bias in one, but for a GRU's last gate. */
static void sum_bias(const struct run *r, const struct ax_call *c)
{
    int64_t h = r->l->hidden, n = r->l->gates * h;
    const float *b = ax_call_has(c, 3)
                         ? (const float *)c->in[3]->data + r->d * 2 * n
                         : NULL;

    for (int64_t k = 0; k < n; k++)
        r->b[k] = !b                              ? 0
                  : k < n - h || r->l->gates == 4 ? b[k] + b[n + k]
                                                  : b[k];
    for (int64_t k = 0; k < h; k++)
        r->b[n + k] = b ? b[2 * n - h + k] : 0;
}

static ax_status floats(float **out, struct ax_call *c, int64_t n,
                        struct ax_err *err)
{
    void *p;

    AX_TRY(ax_call_scratch(c, &p, (size_t)n * sizeof(float), err));
    *out = p;
    return AX_OK;
}

static ax_status make_room(struct run *r, struct ax_call *c,
                           struct ax_err *err)
{
    const struct layer *l = r->l;
    int64_t n = l->gates * l->hidden, rows = l->batch * l->hidden;
    int64_t a = cpu_product_room(l->steps * l->batch, l->inputs);
    int64_t b = cpu_product_room(l->batch, l->hidden);

    AX_TRY(floats(&r->g, c, l->steps * l->batch * n, err));
    AX_TRY(floats(&r->s, c, l->batch * n, err));
    AX_TRY(floats(&r->reset, c, 2 * rows, err));
    AX_TRY(floats(&r->b, c, n + l->hidden, err));
    AX_TRY(floats(&r->h, c, rows, err));
    AX_TRY(floats(&r->c, c, rows, err));
    return floats(&r->room, c, a > b ? a : b, err);
}

static void load(float *to, const struct ax_call *c, uint32_t in, int64_t at,
                 int64_t n)
{
    if (ax_call_has(c, in))
        memcpy(to, (const float *)c->in[in]->data + at,
               (size_t)n * sizeof *to);
    else
        memset(to, 0, (size_t)n * sizeof *to);
}

static ax_status recurrent(struct ax_call *c, struct ax_err *err)
{
    const struct cpu *cpu = c->backend;
    struct layer l;
    struct panels *p = NULL;
    struct run r = {.l = &l, .tile = &cpu->tile};
    int64_t rows, state[3];

    if (!resolve(&l, c))
        return AX_NO;
    rows = l.batch * l.hidden;
    state[0] = l.directions;
    state[1] = l.batch;
    state[2] = l.hidden;
    AX_TRY(prepare(&p, c, &l, err));
    r.p = p;
    AX_TRY(make_room(&r, c, err));
    if (ax_call_wants(c, 0))
        AX_TRY(ax_call_out(
            c, 0, AX_F32, 4,
            (int64_t[]){l.steps, l.directions, l.batch, l.hidden}, err));
    for (uint32_t o = 1; o < 3; o++)
        if (ax_call_wants(c, o))
            AX_TRY(ax_call_out(c, o, AX_F32, 3, state, err));
    for (r.d = 0; r.d < l.directions; r.d++) {
        load(r.h, c, 5, r.d * rows, rows);
        load(r.c, c, 6, r.d * rows, rows);
        sum_bias(&r, c);
        run_direction(&r, c->in[0]->data,
                      ax_call_wants(c, 0) ? c->out[0]->data : NULL);
        for (uint32_t o = 1; o < 3; o++)
            if (ax_call_wants(c, o))
                memcpy((float *)c->out[o]->data + r.d * rows,
                       o == 1 ? r.h : r.c, (size_t)rows * sizeof(float));
    }
    return AX_OK;
}

const struct ax_kernel cpu_recurrent[] = {
    {"GRU", recurrent, drop, &(const int){3}},
    {"LSTM", recurrent, drop, &(const int){4}},
    {0},
};
