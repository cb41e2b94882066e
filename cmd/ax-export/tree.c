/* The boxes of a search, kept, and written as trees of solver/coq/Big.v, with
 * the slopes and multipliers that ax-cert(5) writes too. Coq trusts none of
 * it: a wrong tree makes the theorem fail at its Qed. */
#include "tree.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "export.h"

enum { NO_SLOPE = 255 };

/* A table of slopes that holds from a box on. */
struct use {
    uint32_t target, table;
};

struct tree_box {
    enum ax_step_kind kind;
    uint64_t child;
    uint32_t dim;
    int64_t value;
    uint32_t n;      /* refutations */
    uint32_t *pairs; /* [2 n]: position, and row */
    uint32_t *conj;  /* [n]: the conjunctions' numbers in the group */
    uint32_t n_mults;
    unsigned char *mults; /* [n, 2 n_mults] */
    uint32_t n_uses;
    struct use *uses;
};

/* ---- kept ---- */

ax_status tree_init(struct trees *t, const struct ax_net *net,
                    const struct ax_prop *prop, struct ax_err *err)
{
    t->net = net;
    t->prop = prop;
    t->groups = calloc(prop->n_groups + 1u, sizeof *t->groups);
    return t->groups ? AX_OK
                     : ax_fail(err, AX_ENOMEM, "no memory for the trees");
}

static uint32_t neurons(const struct ax_net *net)
{
    uint32_t n = 0;

    for (uint32_t k = 0; k < net->n_nodes; k++)
        n += ax_net_neurons(net->nodes[k].kind) ? net->nodes[k].n : 0;
    return n;
}

static ax_status room(struct tree_boxes *b, uint64_t last, struct ax_err *err)
{
    uint64_t n = b->n ? b->n : 64;
    struct tree_box *to;

    while (n <= last)
        n *= 2;
    if (n == b->n)
        return AX_OK;
    to = realloc(b->box, n * sizeof *to);
    if (!to)
        return ax_fail(err, AX_ENOMEM, "no memory for the tree");
    memset(to + b->n, 0, (n - b->n) * sizeof *to);
    b->box = to;
    b->n = n;
    return AX_OK;
}

/* The slopes by neuron: all of the network, NO_SLOPE where there is none. */
static ax_status keep_table(struct trees *t, const struct ax_slopes *s,
                            struct ax_err *err)
{
    uint32_t n = neurons(t->net), known = n;
    unsigned char **all;

    if ((t->n_tables & (t->n_tables + 1)) == 0) {
        all = realloc(t->tables,
                      (2 * (size_t)t->n_tables + 2) * sizeof *t->tables);
        if (!all)
            return ax_fail(err, AX_ENOMEM, "no memory for slopes");
        t->tables = all;
    }
    if (!(t->tables[t->n_tables] = malloc(n + 1u)))
        return ax_fail(err, AX_ENOMEM, "no memory for slopes");
    if (s->target < 2 * (uint64_t)n)
        known = s->n;
    memset(t->tables[t->n_tables], NO_SLOPE, n);
    memcpy(t->tables[t->n_tables++], s->all, known);
    return AX_OK;
}

static ax_status keep_slopes(struct trees *t, struct tree_box *b,
                             const struct ax_step *s, struct ax_err *err)
{
    b->uses = calloc(s->n_slopes + 1u, sizeof *b->uses);
    if (!b->uses)
        return ax_fail(err, AX_ENOMEM, "no memory for slopes");
    for (uint32_t i = 0; i < s->n_slopes; i++) {
        b->uses[b->n_uses++] = (struct use){s->slopes[i].target, t->n_tables};
        AX_TRY(keep_table(t, &s->slopes[i], err));
    }
    return AX_OK;
}

static ax_status keep_refuted(struct tree_box *b, const struct ax_step *s,
                              struct ax_err *err)
{
    b->n = s->n_refuted;
    b->n_mults = s->n_mults;
    b->pairs = calloc(b->n + 1u, 2 * sizeof *b->pairs);
    b->conj = calloc(b->n + 1u, sizeof *b->conj);
    b->mults = calloc(b->n * (size_t)b->n_mults + 1, 2);
    if (!b->pairs || !b->conj || !b->mults)
        return ax_fail(err, AX_ENOMEM, "no memory for the tree");
    if (b->n)
        memcpy(b->pairs, s->refuted, b->n * 2 * sizeof *b->pairs);
    for (uint32_t i = 0; i < b->n; i++)
        b->conj[i] = s->left[s->refuted[2 * i]];
    if (b->n && b->n_mults)
        memcpy(b->mults, s->mults, b->n * 2 * (size_t)b->n_mults);
    return AX_OK;
}

ax_status tree_keep(void *self, const struct ax_step *s, struct ax_err *err)
{
    struct trees *t = self;
    struct tree_boxes *all = &t->groups[s->group];
    struct tree_box *b;

    AX_TRY(room(all, (s->id > s->child ? s->id : s->child) + 2, err));
    b = &all->box[s->id];
    b->kind = s->kind;
    b->child = s->child;
    b->dim = s->dim;
    b->value = s->value;
    t->leaves += s->kind == AX_STEP_LEAF;
    t->bounded += s->id == 0;
    t->bounded += s->kind == AX_STEP_SPLIT ? 2 : 0;
    AX_TRY(keep_slopes(t, b, s, err));
    return keep_refuted(b, s, err);
}

void tree_free(struct trees *t)
{
    for (uint32_t g = 0; t->groups && g < t->prop->n_groups; g++) {
        for (uint64_t i = 0; i < t->groups[g].n; i++) {
            struct tree_box *b = &t->groups[g].box[i];

            free(b->pairs);
            free(b->conj);
            free(b->mults);
            free(b->uses);
        }
        free(t->groups[g].box);
    }
    for (uint32_t i = 0; i < t->n_tables; i++)
        free(t->tables[i]);
    free(t->tables);
    free(t->groups);
}

/* ---- written ---- */

/* What writing a group's tree needs on the way down. */
struct writer {
    FILE *f;
    const struct trees *t;
    uint32_t group, n_neurons;
    uint32_t *path; /* [n_path] neurons that were split */
    uint32_t n_path;
    uint32_t *row_table; /* [rows of the group] 1 + a table, 0: none */
    int32_t *code_of;    /* [n_neurons] multiplier of the leaf, or 0 */
};

/* The node of neurons below node k, 0 if there is none; *first becomes the
 * number of its first neuron, which was that of k. */
static uint32_t below(const struct ax_net *net, uint32_t k, uint32_t *first)
{
    while (--k > 0)
        if (ax_net_neurons(net->nodes[k].kind)) {
            *first -= net->nodes[k].n;
            if (net->nodes[k].kind == AX_NET_RELU)
                return k;
        }
    return 0;
}

/* The slopes of a table, the layer next to neuron number end first. */
static void put_slopes(FILE *f, const struct ax_net *net, uint32_t k,
                       uint32_t end, const unsigned char *table)
{
    const char *between = "";

    fputc('[', f);
    while ((k = below(net, k, &end))) {
        uint32_t gap = 0;
        const char *comma = "";

        fprintf(f, "%s[", between);
        for (uint32_t i = 0; i < net->nodes[k].n; i++) {
            if (table[end + i] == NO_SLOPE) {
                gap++;
                continue;
            }
            fprintf(f, "%s(%" PRIu32 ", Slope %d%%bigZ)", comma, gap,
                    table[end + i]);
            comma = "; ";
            gap = 0;
        }
        fputc(']', f);
        between = ";\n ";
    }
    fputc(']', f);
}

static uint32_t bits_of(const struct ax_row *r)
{
    uint32_t most = 0, n = 0;

    for (uint32_t i = 0; i < r->n_y; i++) {
        uint32_t v = (uint32_t)(r->y_coef[i] < 0 ? -r->y_coef[i]
                                                 : r->y_coef[i]);
        most = v > most ? v : most;
    }
    while (most >> n)
        n++;
    return n;
}

/* The multiplier that ax-cert(5) means by the code, at the scale p of the
 * group, of the row as Certified.v makes it: times 10^k where D is m / 10^k.
 * 0 if it does not fit: then it is not given, which is sound as well. */
static ax_i128 beta(int32_t code, const struct ax_row *r, int p)
{
    const char *e = strchr(r->d_text, 'e');
    long k = e ? strtol(e + 1, NULL, 10) : 0;
    int shift = code / 2048 - 32 + (int)bits_of(r) + p;
    ax_i128 v = 2048 + code % 2048;

    if (k < -12 || shift > 70)
        return 0;
    for (; k < 0; k++)
        v *= 10;
    if (shift < -60)
        return 0;
    return shift < 0 ? v >> -shift : v * ((ax_i128)1 << shift);
}

/* The hints of refutation i of the box: multipliers of the path, above the
 * slopes of the row. */
static void put_hints(struct writer *w, const struct tree_box *b, uint32_t i,
                      uint32_t number)
{
    const struct ax_group *group = &w->t->prop->groups[w->group];
    const struct ax_net *net = w->t->net;
    const struct ax_row *r =
        group->conj[b->conj[i]].rows[b->pairs[2 * i + 1]];
    const unsigned char *codes = b->mults + (size_t)i * 2 * b->n_mults;
    uint32_t end = w->n_neurons, k = net->n_nodes;
    const char *between = "";
    bool given = b->n_mults && b->n_mults == w->n_path;

    if (!given && !w->row_table[number]) {
        fputs("[]", w->f);
        return;
    }
    if (!given) {
        fprintf(w->f, "slopes_%" PRIu32, w->row_table[number] - 1);
        return;
    }
    for (uint32_t m = 0; m < b->n_mults; m++)
        w->code_of[w->path[m]] = codes[2 * m] + 256 * codes[2 * m + 1];
    fputs(w->row_table[number] ? "(above [" : "[", w->f);
    while ((k = below(net, k, &end))) {
        uint32_t gap = 0;
        const char *comma = "";

        fprintf(w->f, "%s[", between);
        for (uint32_t n = 0; n < net->nodes[k].n; n++) {
            int32_t code = w->code_of[end + n];
            ax_i128 v = code ? beta(code, r, group->p) : 0;

            if (v == 0) {
                gap++;
                continue;
            }
            fprintf(w->f, "%s(%" PRIu32 ", Beta ", comma, gap);
            put_magnitude(w->f, v);
            fputs("%bigZ)", w->f);
            comma = "; ";
            gap = 0;
        }
        fputc(']', w->f);
        between = "; ";
    }
    fputc(']', w->f);
    if (w->row_table[number])
        fprintf(w->f, " slopes_%" PRIu32 ")", w->row_table[number] - 1);
    for (uint32_t m = 0; m < b->n_mults; m++)
        w->code_of[w->path[m]] = 0;
}

static uint32_t table_for(const struct tree_box *b, uint32_t target)
{
    for (uint32_t i = 0; i < b->n_uses; i++)
        if (b->uses[i].target == target)
            return b->uses[i].table + 1;
    return 0;
}

/* The slopes of the rows that bound neurons: of a layer its neurons, each
 * with a table for its lower and one for its upper bound. */
static void put_inner(struct writer *w, const struct tree_box *b)
{
    const struct ax_net *net = w->t->net;
    uint32_t end = w->n_neurons, k = net->n_nodes;
    const char *between = "";

    fputc('[', w->f);
    while ((k = below(net, k, &end))) {
        uint32_t gap = 0;
        const char *comma = "";

        fprintf(w->f, "%s[", between);
        for (uint32_t i = 0; i < net->nodes[k].n; i++) {
            uint32_t lo = table_for(b, 2 * (end + i));
            uint32_t up = table_for(b, 2 * (end + i) + 1);

            if (!lo && !up) {
                gap++;
                continue;
            }
            fprintf(w->f, "%s(%" PRIu32 ", (", comma, gap);
            lo ? fprintf(w->f, "slopes_%" PRIu32, lo - 1) : fputs("[]", w->f);
            up ? fprintf(w->f, ", slopes_%" PRIu32 "))", up - 1)
               : fputs(", []))", w->f);
            comma = "; ";
            gap = 0;
        }
        fputc(']', w->f);
        between = ";\n ";
    }
    fputc(']', w->f);
}

static uint32_t row_number(const struct ax_group *g, uint32_t conj,
                           uint32_t row)
{
    for (uint32_t c = 0; c < conj; c++)
        row += g->conj[c].n_rows;
    return row;
}

/* Positions are with respect to the list before this box: written from the
 * last to the first they stay right while the list becomes shorter. */
static uint32_t put_refuted(struct writer *w, const struct tree_box *b)
{
    for (uint32_t i = b->n; i-- > 0;) {
        uint32_t row = b->pairs[2 * i + 1];

        fprintf(w->f, "RefuteB %u %u ", b->pairs[2 * i], row);
        put_hints(w, b, i,
                  row_number(&w->t->prop->groups[w->group], b->conj[i], row));
        fputs(" (", w->f);
    }
    return b->n;
}

static void put_split(FILE *f, const struct trees *t,
                      const struct tree_box *b)
{
    uint32_t end = neurons(t->net), k = t->net->n_nodes, layer = 0;

    switch (b->kind) {
    case AX_STEP_LEAF:
        fputs("DoneB", f);
        break;
    case AX_STEP_SPLIT:
        fprintf(f, "ISplitB %u (%" PRId64 ")%%bigZ (", b->dim, b->value);
        break;
    case AX_STEP_NEURON:
        while ((k = below(t->net, k, &end)) && b->dim < end)
            layer++;
        fprintf(f, "RSplitB %u %u (", layer, b->dim - end);
        break;
    case AX_STEP_FORK:
        fprintf(f, "ForkB %u (", b->dim);
        break;
    }
}

/* Depth is that of the search: 4096 at most. */
static void put_box(struct writer *w, uint64_t id, bool bound)
{
    const struct tree_box *b = &w->t->groups[w->group].box[id];
    uint32_t rows = 2 * w->n_neurons, open;
    bool inner = b->n_uses && b->uses[0].target < rows;

    for (uint32_t i = 0; i < b->n_uses; i++)
        if (b->uses[i].target >= rows)
            w->row_table[b->uses[i].target - rows] = b->uses[i].table + 1;
    if (bound || inner) {
        fputs("BoundB ", w->f);
        inner ? put_inner(w, b) : (void)fputs("[]", w->f);
        fputs(" (", w->f);
    }
    open = put_refuted(w, b) + (bound || inner);
    put_split(w->f, w->t, b);
    if (b->kind != AX_STEP_LEAF) {
        bool deeper = b->kind == AX_STEP_NEURON;

        if (deeper)
            w->path[w->n_path++] = b->dim;
        put_box(w, b->child, b->kind == AX_STEP_SPLIT);
        fputs(")\n(", w->f);
        put_box(w, b->child + 1, b->kind == AX_STEP_SPLIT);
        fputc(')', w->f);
        w->n_path -= deeper;
    }
    while (open-- > 0)
        fputc(')', w->f);
}

static void put_tables(FILE *f, const struct trees *t)
{
    uint32_t n = neurons(t->net);

    /* A table for bounds of neurons of one layer says nothing about later
     * layers, and its rows begin at the layer before. */
    for (uint32_t g = 0; g < t->prop->n_groups; g++)
        for (uint64_t id = 0; id < t->groups[g].n; id++) {
            const struct tree_box *b = &t->groups[g].box[id];

            for (uint32_t i = 0; i < b->n_uses; i++) {
                uint32_t end = n, k = t->net->n_nodes;

                if (b->uses[i].target < 2 * (uint64_t)n)
                    while ((k = below(t->net, k, &end)) &&
                           b->uses[i].target / 2 < end)
                        ;
                fprintf(f, "Definition slopes_%" PRIu32 " : hintsB := ",
                        b->uses[i].table);
                put_slopes(f, t->net, k, end, t->tables[b->uses[i].table]);
                fputs(".\n", f);
            }
        }
    if (t->n_tables)
        fputc('\n', f);
}

ax_status tree_put(FILE *f, const struct trees *t, struct ax_err *err)
{
    uint32_t rows = 0, n = neurons(t->net);
    struct writer w = {.f = f, .t = t, .n_neurons = n};
    ax_status st = AX_OK;

    for (uint32_t g = 0; g < t->prop->n_groups; g++) {
        const struct ax_group *group = &t->prop->groups[g];
        uint32_t here = row_number(group, group->n_conj, 0);

        rows = here > rows ? here : rows;
    }
    w.path = calloc(n + 1u, sizeof *w.path);
    w.code_of = calloc(n + 1u, sizeof *w.code_of);
    w.row_table = calloc(rows + 1u, sizeof *w.row_table);
    if (!w.path || !w.code_of || !w.row_table) {
        st = ax_fail(err, AX_ENOMEM, "no memory for the tree");
        goto out;
    }
    put_tables(f, t);
    for (uint32_t g = 0; g < t->prop->n_groups; g++) {
        w.group = g;
        memset(w.row_table, 0, (rows + 1u) * sizeof *w.row_table);
        fprintf(f, "Definition tree_%u : treeB :=\n", g);
        put_box(&w, 0, false);
        fputs(".\n\n", f);
    }
out:
    free(w.path);
    free(w.code_of);
    free(w.row_table);
    return st;
}
