/* ax-export --to coq: a property of a network as a theorem of Coq, about the
 * weights of the model, with a tree of boxes and neurons that the proved
 * checker of solver/coq evaluates. Nothing that stands here is trusted but
 * the statement: a wrong tree makes the theorem fail at its Qed. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ax/net.h"
#include "ax/prove.h"
#include "export.h"
#include "tree.h"

/* Seconds that coqc takes for a weight and a layer of a counterexample, whose
 * numbers grow from layer to layer. */
#define WITNESS_PACE 3e-5

/* For a box of which all of 300 neurons are bounded, and for a leaf, of a
 * network of 12,800 weights. */
#define BOX_PACE  1.0
#define LEAF_PACE 0.008

/* A layer: rows of weights and a bias, followed by a ReLU unless the last. */
struct layer {
    uint32_t node;  /* the weighted one */
    uint32_t n, in; /* rows, columns */
    float *bias;    /* [n] */
    uint32_t relu;  /* node, or 0 */
};

struct job {
    const struct ax_net *net;
    const struct ax_prop *prop;
    FILE *f;
    struct layer *layers;
    uint32_t n_layers;
    struct trees trees;
    struct ax_prove_result result;
};

/* ---- the network as dense layers of binary32 ---- */

/* Is every variable of the node that of the same number of the node before
 * it, rectified perhaps, and nothing else (but perhaps a bias)? */
static bool straight(const struct ax_net *net, uint32_t k)
{
    const struct ax_net_node *v = &net->nodes[k];
    const struct ax_block *b = v->blocks;

    if ((v->kind != AX_NET_UNIT && v->kind != AX_NET_RELU &&
         v->kind != AX_NET_HOLD) ||
        v->n_blocks != 1 || b->source != k - 1 || v->n != net->nodes[k - 1].n)
        return false;
    if (b->form == AX_BLOCK_SAME)
        return true;
    for (uint32_t i = 0; i < v->n; i++)
        if (b->row_ptr[i] != i || b->col[i] != i || (b->wq && b->wq[i] != 1))
            return false;
    return b->row_ptr[v->n] == v->n;
}

/* Add a node's biases to a layer's, which has none where the node has. */
static ax_status add_bias(struct layer *l, const struct ax_net_node *v,
                          uint32_t k, struct ax_err *err)
{
    for (uint32_t i = 0; v->bias && i < v->n; i++) {
        struct ax_dyadic d = v->bias[i];
        ax_i128 m = d.m < 0 ? -d.m : d.m;
        double x;

        if (m == 0)
            continue;
        x = m < (ax_i128)1 << 24 ? ldexp((double)d.m, d.e) : (double)NAN;
        if (l->bias[i] != 0 || (double)(float)x != x)
            return ax_fail(err, AX_EUNSUPPORTED,
                           "node %u of ax-cert(5): the bias of variable %u "
                           "is no binary32 number",
                           k, i);
        l->bias[i] = (float)x;
    }
    return AX_OK;
}

static ax_status weighted(struct job *j, uint32_t k, struct ax_err *err)
{
    const struct ax_net_node *v = &j->net->nodes[k];
    struct layer *l = &j->layers[j->n_layers];

    if (v->n_blocks != 1 || v->blocks[0].source != k - 1 || v->div ||
        !v->blocks[0].w)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "node %u of ax-cert(5) is no matrix of binary32 "
                       "weights with one source",
                       k);
    *l = (struct layer){.node = k, .n = v->n, .in = j->net->nodes[k - 1].n};
    l->bias = calloc(v->n + 1u, sizeof *l->bias);
    if (!l->bias)
        return ax_fail(err, AX_ENOMEM, "no memory for the layers");
    j->n_layers++;
    return add_bias(l, v, k, err);
}

static ax_status layers(struct job *j, struct ax_err *err)
{
    j->layers = calloc(j->net->n_nodes, sizeof *j->layers);
    if (!j->layers)
        return ax_fail(err, AX_ENOMEM, "no memory for the layers");
    for (uint32_t k = 1; k < j->net->n_nodes; k++) {
        const struct ax_net_node *v = &j->net->nodes[k];
        struct layer *l = j->n_layers ? &j->layers[j->n_layers - 1] : NULL;
        bool open = l && l->relu == 0;

        if (v->kind == AX_NET_WEIGHTED && !open) {
            AX_TRY(weighted(j, k, err));
            continue;
        }
        if (!straight(j->net, k) || (v->kind != AX_NET_UNIT && !open) ||
            (v->kind == AX_NET_UNIT && !open && v->bias))
            return ax_fail(err, AX_EUNSUPPORTED,
                           "node %u of ax-cert(5): only chains of dense "
                           "layers, biases and ReLUs are understood",
                           k);
        if (v->kind == AX_NET_RELU)
            l->relu = k;
        else if (open)
            AX_TRY(add_bias(l, v, k, err));
    }
    if (j->n_layers == 0 || j->layers[j->n_layers - 1].relu)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "the network does not end with a dense layer");
    return AX_OK;
}

/* The weights of a row, dense; row [l->in]. */
static void row_of(const struct job *j, const struct layer *l, uint32_t i,
                   double *row)
{
    const struct ax_block *b = &j->net->nodes[l->node].blocks[0];

    if (b->form == AX_BLOCK_DENSE) {
        memcpy(row, b->w + (size_t)i * l->in, l->in * sizeof *row);
        return;
    }
    memset(row, 0, l->in * sizeof *row);
    if (b->form == AX_BLOCK_SAME)
        row[i] = b->w[i];
    else
        for (uint64_t t = b->row_ptr[i]; t < b->row_ptr[i + 1]; t++)
            row[b->col[t]] = b->w[t];
}

static uint32_t word(float x)
{
    uint32_t w;

    memcpy(&w, &x, sizeof w);
    return w;
}

/* The least s for which w 2^s is an integer as the library decodes w. */
static int scale_of(uint32_t w, int s)
{
    int e = (int)(w >> 23 & 255), need = 150 - (e ? e : 1);

    return (w & 0x7fffffff) && need > s ? need : s;
}

static ax_status put_layer(struct job *j, uint32_t k, int *s, double *row,
                           struct ax_err *err)
{
    const struct layer *l = &j->layers[k];

    for (uint32_t i = 0; i < l->n; i++) {
        uint32_t w = word(l->bias[i]);

        fprintf(j->f, "Definition n_%u_%u : neuron := (0x%08" PRIx32 ", [", k,
                i, w);
        *s = scale_of(w, *s);
        row_of(j, l, i, row);
        for (uint32_t c = 0; c < l->in; c++) {
            if ((double)(float)row[c] != row[c])
                return ax_fail(err, AX_EUNSUPPORTED,
                               "a weight of node %u of ax-cert(5) is no "
                               "binary32 number",
                               l->node);
            w = word((float)row[c]);
            *s = scale_of(w, *s);
            fprintf(j->f, "%s0x%" PRIx32, c ? "; " : "", w);
        }
        fputs("])%uint63.\n", j->f);
    }
    fprintf(j->f, "Definition layer_%u : layer := [", k);
    for (uint32_t i = 0; i < l->n; i++)
        fprintf(j->f, "%sn_%u_%u", i ? "; " : "", k, i);
    fputs("].\n\n", j->f);
    return AX_OK;
}

static ax_status put_network(struct job *j, int *s, struct ax_err *err)
{
    uint32_t widest = 1;
    double *row;
    ax_status st = AX_OK;

    for (uint32_t k = 0; k < j->n_layers; k++)
        widest = j->layers[k].in > widest ? j->layers[k].in : widest;
    row = calloc(widest, sizeof *row);
    if (!row)
        return ax_fail(err, AX_ENOMEM, "no memory for a row");
    for (uint32_t k = 0; k < j->n_layers && st == AX_OK; k++)
        st = put_layer(j, k, s, row, err);
    free(row);
    fputs("Definition net : list layer := [", j->f);
    for (uint32_t k = 0; k < j->n_layers; k++)
        fprintf(j->f, "%slayer_%u", k ? "; " : "", k);
    fputs("].\n\n", j->f);
    return st;
}

/* ---- the property ---- */

static void put_i128(FILE *f, ax_i128 v)
{
    fputs(v < 0 ? "(-" : "", f);
    put_magnitude(f, v);
    fputs(v < 0 ? ")" : "", f);
}

/* "m" or "mek" as (m, k) of solver/coq/Network.v. */
static void put_decimal(FILE *f, const char *text)
{
    const char *e = strchr(text, 'e');
    long k = e ? strtol(e + 1, NULL, 10) : 0;

    fprintf(f, "((%.*s", (int)(e ? (size_t)(e - text) : strlen(text)), text);
    for (long i = 0; i < k; i++)
        fputc('0', f);
    fprintf(f, ")%%Z, %ld%%Z)", k < 0 ? -k : 0);
}

static ax_status put_row(struct job *j, const struct ax_row *r,
                         struct ax_err *err)
{
    uint32_t t = 0;

    if (r->n_x)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "a comparison of the property has inputs and outputs, "
                       "or several inputs");
    fputs("([", j->f);
    for (uint32_t i = 0; i < j->prop->n_y; i++) {
        bool here = t < r->n_y && r->y_index[t] == i;

        fprintf(j->f, "%s(%" PRId32 ")", i ? "; " : "",
                here ? r->y_coef[t] : 0);
        t += here;
    }
    fputs("]%Z, ", j->f);
    put_decimal(j->f, r->d_text);
    fputc(')', j->f);
    return AX_OK;
}

static void put_range(struct job *j, uint32_t i, ax_i128 lo, ax_i128 hi)
{
    fprintf(j->f, "%s\n  (* X_%u: %.12g to %.12g *) (", i ? ";" : "", i,
            ldexp((double)lo, -64), ldexp((double)hi, -64));
    put_i128(j->f, lo);
    fputs(", ", j->f);
    put_i128(j->f, hi);
    fputc(')', j->f);
}

static ax_status put_group(struct job *j, uint32_t g, struct ax_err *err)
{
    const struct ax_group *group = &j->prop->groups[g];

    fprintf(j->f, "Definition box_%u : box := [", g);
    for (uint32_t i = 0; i < j->prop->n_x; i++)
        put_range(j, i, group->lo64[i], group->hi64[i]);
    fprintf(j->f, "]%%Z.\nDefinition unsafe_%u : list (list row) := [", g);
    for (uint32_t c = 0; c < group->n_conj; c++) {
        fprintf(j->f, "%s\n  [", c ? ";" : "");
        for (uint32_t r = 0; r < group->conj[c].n_rows; r++) {
            fputs(r ? ";\n   " : "", j->f);
            AX_TRY(put_row(j, group->conj[c].rows[r], err));
        }
        fputc(']', j->f);
    }
    fputs("].\n\n", j->f);
    return AX_OK;
}

static ax_status put_property(struct job *j, struct ax_err *err)
{
    for (uint32_t g = 0; g < j->prop->n_groups; g++)
        AX_TRY(put_group(j, g, err));
    fputs("Definition unsafe_set : property := [", j->f);
    for (uint32_t g = 0; g < j->prop->n_groups; g++)
        fprintf(j->f, "%s(box_%u, unsafe_%u)", g ? "; " : "", g, g);
    fputs("].\n\n", j->f);
    return AX_OK;
}

/* ---- the theorem ---- */

static ax_status put_theorem(struct job *j, int s, struct ax_err *err)
{
    uint32_t outs = j->prop->n_y, ins = j->prop->n_x;

    AX_TRY(tree_put(j->f, &j->trees, err));
    fprintf(j->f,
            "Theorem holds :\n"
            "  well_formed net unsafe_set %u %u /\\\n"
            "  forall x : list R, ~ counterexample net unsafe_set x.\n"
            "Proof.\n"
            "  apply (Certified.certified %d%%Z net unsafe_set %u %u [",
            ins, outs, s, ins, outs);
    for (uint32_t g = 0; g < j->prop->n_groups; g++)
        fprintf(j->f, "%s(%d%%Z, tree_%u)", g ? "; " : "",
                j->prop->groups[g].p, g);
    fputs("]).\n  vm_cast_no_check (eq_refl true).\nQed.\n", j->f);
    return AX_OK;
}

/* ---- a counterexample ---- */

/* ceil(v 2^64); |v| is below 2^61. */
static ax_i128 up64(double v)
{
    double below = floor(ldexp(v, 32)), rest = ldexp(v, 32) - below;

    return (ax_i128)below * ((ax_i128)1 << 32) +
           (ax_i128)ceil(ldexp(rest, 32));
}

/* The box as it was written for the conjunction that the input makes true,
 * rounded inwards, so that the theorem says no less. */
static ax_status put_inner_box(struct job *j, const struct ax_conj *c,
                               struct ax_err *err)
{
    const double most = ldexp(1, 61);

    fputs("Definition box_0 : box := [", j->f);
    for (uint32_t i = 0; i < j->prop->n_x; i++) {
        double lo = c->lo_in[i] < -most ? -most : c->lo_in[i];
        double hi = c->hi_in[i] > most ? most : c->hi_in[i];
        double x = (double)j->result.x[i];

        if ((c->fixed && c->fixed[i]) || x < lo || x > hi ||
            -up64(-x) < up64(lo) || up64(x) > -up64(-hi))
            return ax_fail(
                err, AX_EUNSUPPORTED,
                "the property is violated, but no theorem says so: "
                "its box has no binary32 number for X_%u",
                i);
        put_range(j, i, up64(lo), -up64(-hi));
    }
    fputs("]%Z.\n", j->f);
    return AX_OK;
}

static ax_status put_comparisons(struct job *j, const struct ax_conj *c,
                                 struct ax_err *err)
{
    fputs("Definition unsafe_0 : list comparison := [", j->f);
    for (uint32_t r = 0; r < c->n_rows; r++) {
        fputs(r ? ";\n  (" : "\n  (", j->f);
        AX_TRY(put_row(j, c->rows[r], err));
        fprintf(j->f, ", %s)", c->rows[r]->strict ? "true" : "false");
    }
    fputs("].\n\n", j->f);
    return AX_OK;
}

static ax_status put_violation(struct job *j, int s, struct ax_err *err)
{
    const struct ax_prove_result *r = &j->result;
    const struct ax_conj *c = &j->prop->groups[r->group].conj[r->conj];
    uint32_t ins = j->prop->n_x, outs = j->prop->n_y;

    AX_TRY(put_inner_box(j, c, err));
    AX_TRY(put_comparisons(j, c, err));
    fputs("Definition input : list int := [", j->f);
    for (uint32_t i = 0; i < ins; i++) {
        uint32_t w = word(r->x[i]);

        s = scale_of(w, s);
        fprintf(j->f, "%s0x%" PRIx32, i ? "; " : "", w);
    }
    fprintf(j->f,
            "]%%uint63.\n\n"
            "Theorem violated :\n"
            "  sizes_fit net box_0 unsafe_0 %u %u /\\\n"
            "  exists x : list R, violation net box_0 unsafe_0 x.\n"
            "Proof.\n"
            "  apply (Witness.witnessed %d%%Z net box_0 unsafe_0 input %u "
            "%u).\n"
            "  vm_cast_no_check (eq_refl true).\nQed.\n",
            ins, outs, s, ins, outs);
    return AX_OK;
}

static const char *const box_words[] = {
    "   Boxes are those of the property, rounded outwards to multiples of "
    "2^-64;\n"
    "   < and > are taken as <= and >=, which claims more. *)\n",
    "   The box is that of the property, rounded inwards to multiples of "
    "2^-64;\n"
    "   the comparisons are those of one conjunction that calls an output "
    "unsafe. *)\n",
};

static void put_head(struct job *j, const unsigned char identity[32])
{
    bool violated = j->result.verdict == AX_VIOLATED;
    char hex[65], digest[65];

    ax_hex32(hex, identity);
    ax_hex32(digest, j->prop->digest);
    fprintf(j->f,
            "(* Made by ax-export --to coq.\n"
            "   model     %s\n"
            "   property  %s (SHA-256)\n"
            "   What the words of the theorem at the end mean is in "
            "solver/coq/Network.v.\n%s"
            "Require Import ZArith Reals List Uint63.\n"
            "%s"
            "Import ListNotations.\n\n",
            hex, digest, box_words[violated],
            violated ? "From Ax Require Import Network.\n"
                       "From Ax Require Witness.\n"
                     : "From Bignums Require Import BigZ.\n"
                       "From Ax Require Import Network Big.\n"
                       "From Ax Require Certified.\n");
}

/* ---- the whole ---- */

static ax_status prove(struct job *j, enum ax_strategy strategy,
                       double budget, struct ax_err *err)
{
    const struct ax_sink sinks[] = {{tree_keep, &j->trees}, {0}};
    const struct ax_prove_options opt = {
        .threads = 1,
        .seconds = budget,
        .seed = 1,
        .no_clip = true,
        .sinks = sinks,
        .strategy = strategy,
    };
    const struct ax_prove_result *r = &j->result;

    AX_TRY(ax_prove(&j->result, j->net, j->prop, &opt, err));
    if (r->verdict == AX_UNKNOWN)
        return ax_fail(err, AX_UNDECIDED, "no proof was found: %.200s",
                       r->reason);
    return AX_OK;
}

/* What Coq will take, at the pace that was measured: a box that inputs were
 * split for has the bounds of all its neurons computed, two passes for each,
 * of all weights before; a leaf takes one pass. */
static ax_status estimate(const struct job *j, double budget,
                          struct ax_err *err)
{
    double weights = 0, neurons = 0, seconds;

    for (uint32_t k = 0; k < j->n_layers; k++) {
        weights += (double)j->layers[k].n * j->layers[k].in;
        neurons += j->layers[k].relu ? j->layers[k].n : 0;
    }
    seconds = j->result.verdict == AX_VIOLATED
                  ? weights * j->n_layers * WITNESS_PACE
                  : (weights / 12800) *
                        ((double)j->trees.bounded * neurons / 300 * BOX_PACE +
                         (double)j->trees.leaves * LEAF_PACE);
    if (budget > 0 && seconds > budget)
        return ax_fail(err, AX_UNDECIDED,
                       "coqc would take about %.0f s, which is over the "
                       "budget of %.0f s",
                       seconds, budget);
    return AX_OK;
}

static void job_free(struct job *j)
{
    tree_free(&j->trees);
    for (uint32_t k = 0; k < j->n_layers; k++)
        free(j->layers[k].bias);
    free(j->layers);
    free(j->result.x);
}

ax_status export_coq(FILE *f, struct export_claim *claim,
                     const struct export_question *q, struct ax_err *err)
{
    struct job j = {.f = f, .net = q->net, .prop = q->prop};
    int s = 0;
    ax_status st;

    if (j.prop->n_groups == 0)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "nothing to prove: no input and output can satisfy "
                       "the assertions of the property");
    st = tree_init(&j.trees, q->net, q->prop, err);
    if (st == AX_OK)
        st = layers(&j, err);
    if (st == AX_OK)
        st = prove(&j, claim->strategy, q->budget, err);
    if (st == AX_OK)
        st = estimate(&j, q->budget, err);
    if (st != AX_OK)
        goto out;
    claim->violated = j.result.verdict == AX_VIOLATED;
    put_head(&j, claim->identity);
    st = put_network(&j, &s, err);
    if (st == AX_OK && j.result.verdict == AX_VIOLATED) {
        st = put_violation(&j, s, err);
        st = st == AX_OK ? AX_NO : st;
    } else if (st == AX_OK) {
        st = put_property(&j, err);
        if (st == AX_OK)
            st = put_theorem(&j, s, err);
    }
out:
    job_free(&j);
    return st;
}
