/* Problems of the library that are no kernels of the executor: hashing,
 * containers, and the prover's bounds. */
#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ax/model.h"
#include "ax/prove.h"
#include "bench.h"

/* ---- bytes ---- */

struct bytes {
    struct ax_model *model; /* or NULL */
    unsigned char *data;
    FILE *packed; /* a container in memory, or NULL */
    size_t n;
    uint64_t sink;
};

static void bytes_done(struct task *t)
{
    struct bytes *b = t->own;

    ax_model_free(b->model);
    if (b->packed)
        fclose(b->packed);
    free(b->data);
    free(b);
}

static ax_status bytes_new(struct bytes **out, struct task *t,
                           struct words *w, size_t *n, struct ax_err *err)
{
    struct bytes *b = NULL;

    AX_TRY(words_bytes(n, w, err));
    AX_TRY(words_end(w, err));
    b = calloc(1, sizeof *b);
    if (!b)
        return ax_fail(err, AX_ENOMEM, "no memory for a problem");
    *out = t->own = b;
    t->done = bytes_done;
    t->work = (double)*n;
    t->unit = "B/s";
    t->scale = 1e6;
    t->threads = 1;
    return AX_OK;
}

static ax_status sha256_run(struct task *t, struct ax_err *err)
{
    struct bytes *b = t->own;
    unsigned char digest[32];

    (void)err;
    ax_sha256(digest, b->data, b->n);
    b->sink += digest[0];
    return AX_OK;
}

ax_status make_sha256(struct task *t, struct context *c, struct words *w,
                      struct ax_err *err)
{
    struct bytes *b = NULL;
    size_t n;

    (void)c;
    AX_TRY(bytes_new(&b, t, w, &n, err));
    b->data = malloc(n);
    if (!b->data)
        return ax_fail(err, AX_ENOMEM, "no memory for %zu bytes", n);
    for (size_t i = 0; i < n; i++)
        b->data[i] = (unsigned char)(i * 167 + (i >> 8));
    b->n = n;
    t->run = sha256_run;
    return AX_OK;
}

/* A model of one constant of about N bytes. */
static ax_status large_model(struct ax_model **out, size_t n,
                             struct ax_err *err)
{
    int64_t dims[1] = {(int64_t)((n + 3) / 4)};
    struct ax_model *m = *out = build_new(3, 1);
    uint64_t seed = 1;
    uint32_t in[2], y;

    if (!m)
        return ax_fail(err, AX_ENOMEM, "no memory for a problem");
    AX_TRY(build_value(&in[0], m, 1, dims, err));
    AX_TRY(build_constant(&in[1], m, 1, dims, 0.1, &seed, err));
    AX_TRY(build_node(&y, m, AX_OP_Add, 2, in, err));
    m->graph->values[y].rank = 1;
    m->graph->values[y].dims[0] = dims[0];
    build_ends(m, in[0], y);
    return AX_OK;
}

/* A file in memory, as no disk is to be measured. */
static ax_status open_packed(struct bytes *b, struct ax_err *err)
{
    int fd = memfd_create("ax-bench", MFD_CLOEXEC);

    b->packed = fd < 0 ? NULL : fdopen(fd, "w+b");
    if (b->packed)
        return AX_OK;
    if (fd >= 0)
        close(fd);
    return ax_fail(err, AX_ENOMEM, "no memory for a container: %s",
                   strerror(errno));
}

static ax_status pack_run(struct task *t, struct ax_err *err)
{
    struct bytes *b = t->own;

    rewind(b->packed);
    b->model->has_identity = false;
    AX_TRY(ax_model_write(b->model, b->packed, AX_PROFILE_ZSTD, err));
    return fflush(b->packed) == 0
               ? AX_OK
               : ax_fail(err, AX_ENOMEM, "no memory for a container: %s",
                         strerror(errno));
}

static ax_status unpack_run(struct task *t, struct ax_err *err)
{
    struct bytes *b = t->own;
    struct ax_model *m = NULL;
    ax_status st;

    rewind(b->packed);
    st = ax_model_read(&m, b->packed, err);
    ax_model_free(m);
    return st;
}

ax_status make_pack(struct task *t, struct context *c, struct words *w,
                    struct ax_err *err)
{
    struct bytes *b = NULL;
    size_t n;

    (void)c;
    AX_TRY(bytes_new(&b, t, w, &n, err));
    t->run = pack_run;
    AX_TRY(open_packed(b, err));
    return large_model(&b->model, n, err);
}

ax_status make_unpack(struct task *t, struct context *c, struct words *w,
                      struct ax_err *err)
{
    AX_TRY(make_pack(t, c, w, err));
    t->run = unpack_run;
    return pack_run(t, err);
}

/* ---- bounds ---- */

struct bound {
    struct ax_model *model;
    struct ax_net *net;
    struct ax_prop *prop;
    char *text;
    struct ax_prove_options opt;
};

static void bound_done(struct task *t)
{
    struct bound *b = t->own;

    ax_prop_free(b->prop);
    ax_net_free(b->net);
    ax_model_free(b->model);
    free(b->text);
    free(b);
}

static ax_status bound_run(struct task *t, struct ax_err *err)
{
    struct bound *b = t->own;
    struct ax_prove_result r = {0};

    AX_TRY(ax_prove(&r, b->net, b->prop, &b->opt, err));
    free(r.x);
    t->work = (double)r.stats.boxes;
    t->answer.boxes = t->work;
    return AX_OK;
}

#define LAYERS_MAX 64

/* "5-50x6-5": a layer of 5, six of 50, one of 5. */
static ax_status layers_read(int64_t *n, int *count, const char *s,
                             struct ax_err *err)
{
    const char *all = s ? s : "";

    *count = 0;
    for (s = all; *s;) {
        char *end;
        long width = strtol(s, &end, 10), times = 1;

        if (*end == 'x')
            times = strtol(end + 1, &end, 10);
        if (width < 1 || width > 65536 || times < 1 ||
            times > LAYERS_MAX - *count || (*end && *end != '-') ||
            (*end && !end[1]))
            break;
        for (; times > 0; times--)
            n[(*count)++] = width;
        s = *end ? end + 1 : end;
    }
    if (*s || *count < 2)
        return ax_fail(err, AX_EFORMAT,
                       "wants layers, such as 5-50x6-5, not '%s'", all);
    return AX_OK;
}

/* Layers of random weights with a Relu between each two. */
static ax_status dense_model(struct ax_model **out, const int64_t *n,
                             int count, uint64_t seed, struct ax_err *err)
{
    struct ax_model *m = *out = build_new(4 * (uint32_t)count,
                                          2 * (uint32_t)count);
    const int64_t in_dims[2] = {1, n[0]};
    uint32_t x, in[3];

    if (!m)
        return ax_fail(err, AX_ENOMEM, "no memory for a problem");
    AX_TRY(build_value(&x, m, 2, in_dims, err));
    m->graph->inputs[0] = x;
    for (int k = 1; k < count; k++) {
        const int64_t w[2] = {n[k - 1], n[k]}, y[2] = {1, n[k]};
        /* Of this size activations neither grow nor die out (He 2015). */
        double scale = sqrt(6 / (double)n[k - 1]);

        in[0] = x;
        AX_TRY(build_constant(&in[1], m, 2, w, scale, &seed, err));
        AX_TRY(build_constant(&in[2], m, 1, &n[k], 0.1, &seed, err));
        AX_TRY(build_node(&x, m, AX_OP_Gemm, 3, in, err));
        in[0] = x;
        m->graph->values[x].rank = 2;
        memcpy(m->graph->values[x].dims, y, sizeof y);
        if (k + 1 == count)
            break;
        AX_TRY(build_node(&x, m, AX_OP_Relu, 1, in, err));
        m->graph->values[x].rank = 2;
        memcpy(m->graph->values[x].dims, y, sizeof y);
    }
    build_ends(m, m->graph->inputs[0], x);
    return AX_OK;
}

/* The largest first output that SAMPLES inputs of the box [-1, 1] reach. */
static ax_status sampled_max(double *max, const struct bound *b, uint32_t n_x,
                             uint32_t n_y, uint64_t seed, struct ax_err *err)
{
    enum { SAMPLES = 200 };
    float *x = calloc(n_x, sizeof *x);
    double *y = calloc(n_y, sizeof *y);
    ax_status st = AX_OK;

    if (!x || !y)
        st = ax_fail(err, AX_ENOMEM, "no memory for a problem");
    *max = 0;
    for (int k = 0; st == AX_OK && k < SAMPLES; k++) {
        for (uint32_t i = 0; i < n_x; i++)
            x[i] = random_unit(&seed);
        st = ax_net_exact(b->net, x, y, err);
        if (st == AX_OK && (k == 0 || y[0] > *max))
            *max = y[0];
    }
    free(x);
    free(y);
    return st;
}

/* "Can the first output exceed T?", for a T that it just does not, or that
 * it reaches somewhere: the search has to split long. */
static ax_status property(struct bound *b, uint32_t n_x, uint32_t n_y,
                          double t, struct ax_err *err)
{
    enum { LINE_BYTES = 64, LAST_LINE = 400 };
    size_t room = ((size_t)n_x * 3 + n_y) * LINE_BYTES + LAST_LINE;
    size_t n = 0;
    char *s = b->text = malloc(room);

    if (!s)
        return ax_fail(err, AX_ENOMEM, "no memory for a problem");
    for (uint32_t i = 0; i < n_x; i++)
        n += (size_t)snprintf(s + n, room - n, "(declare-const X_%u Real)\n",
                              i);
    for (uint32_t i = 0; i < n_y; i++)
        n += (size_t)snprintf(s + n, room - n, "(declare-const Y_%u Real)\n",
                              i);
    for (uint32_t i = 0; i < n_x; i++)
        n += (size_t)snprintf(s + n, room - n,
                              "(assert (<= X_%u 1.0))\n"
                              "(assert (>= X_%u -1.0))\n",
                              i, i);
    n += (size_t)snprintf(s + n, room - n, "(assert (>= Y_0 %.6f))\n", t);
    return ax_prop_read(&b->prop, s, n, n_x, n_y, err);
}

ax_status make_bound(struct task *t, struct context *c, struct words *w,
                     struct ax_err *err)
{
    int64_t layer[LAYERS_MAX], threads = 1, seed = 1, boxes = 2000;
    struct bound *b;
    uint32_t n_x, n_y;
    double max;
    int count;

    (void)c;
    AX_TRY(layers_read(layer, &count, words_next(w), err));
    AX_TRY(words_int(&threads, w, "threads", 1, PEAK_THREADS, err));
    AX_TRY(words_int(&boxes, w, "boxes", 1, INT64_MAX, err));
    AX_TRY(words_int(&seed, w, "seed", 0, INT64_MAX, err));
    AX_TRY(words_end(w, err));
    b = calloc(1, sizeof *b);
    if (!b)
        return ax_fail(err, AX_ENOMEM, "no memory for a problem");
    t->own = b;
    t->done = bound_done;
    t->run = bound_run;
    t->unit = "boxes/s";
    t->scale = 1;
    t->threads = (int)threads;
    n_x = (uint32_t)layer[0];
    n_y = (uint32_t)layer[count - 1];
    AX_TRY(dense_model(&b->model, layer, count, (uint64_t)seed, err));
    AX_TRY(ax_net_lower(&b->net, b->model, err));
    AX_TRY(sampled_max(&max, b, n_x, n_y, (uint64_t)seed, err));
    AX_TRY(property(b, n_x, n_y, max, err));
    b->opt = (struct ax_prove_options){.threads = (int)threads,
                                       .max_boxes = (uint64_t)boxes,
                                       .no_attack = true};
    return AX_OK;
}
