/* --region: the part of the input box on which the property is proved, when
 * it is not on the whole. The box is halved, and the halves again, level by
 * level; each part is a property of its own, that of the whole and where the
 * cuts are. What is proved is written as such a property too, so that a
 * certificate of it can be made like any other. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "prove.h"

#define BOXES_DEFAULT 1000 /* of the search in one part */
#define CUT_CHARS     32
#define CUTS_CHARS    4096 /* of all cuts above a part */

/* A part: its parent, less what is on the other side of a cut. */
struct part {
    uint32_t parent; /* its number; the root is its own parent */
    uint32_t lower;  /* of its halves; the other comes next; 0: none */
    uint32_t dim;
    bool upper; /* it is above the cut, else below it */
    bool proved;
    unsigned depth;
    char cut[CUT_CHARS]; /* an exact decimal */
};

struct region {
    struct job *job;
    struct args args; /* those of one part */
    struct part *parts;
    uint32_t n, room;
    uint32_t n_x;
    double *root;      /* [2 n_x] the box about all boxes of the property */
    double *box;       /* [2 n_x] of the part at hand */
    const char **cuts; /* [2 n_x] its ends as decimals; NULL: the root's */
    double until;      /* 0: no limit */
};

static ax_status no_memory(struct ax_err *err)
{
    return ax_fail(err, AX_ENOMEM, "no memory for parts of a box");
}

/* ---- parts ---- */

/* Where part K lies, from the cuts above it: the nearest ones count. */
static void place(struct region *r, uint32_t k)
{
    memcpy(r->box, r->root, 2 * (size_t)r->n_x * sizeof *r->box);
    memset(r->cuts, 0, 2 * (size_t)r->n_x * sizeof *r->cuts);
    for (; k; k = r->parts[k].parent) {
        const struct part *p = &r->parts[k];
        size_t side = p->upper ? p->dim : (size_t)r->n_x + p->dim;

        if (r->cuts[side])
            continue;
        r->cuts[side] = p->cut;
        r->box[side] = strtod(p->cut, NULL);
    }
}

/* The side of the part at hand that is widest, for the root's; and a decimal
 * near its middle. False if there is none inside. */
static bool choose_cut(const struct region *r, struct part *half)
{
    double widest = 0;
    size_t n = r->n_x;

    for (uint32_t i = 0; i < r->n_x; i++) {
        double whole = r->root[n + i] - r->root[i];
        double width = whole > 0 ? (r->box[n + i] - r->box[i]) / whole : 0;

        /* Sides that were halved as often differ by rounding alone. */
        if (width > 1.25 * widest) {
            widest = width;
            half->dim = i;
        }
    }
    snprintf(half->cut, sizeof half->cut, "%.9g",
             r->box[half->dim] / 2 + r->box[n + half->dim] / 2);
    return widest > 0 && strtod(half->cut, NULL) > r->box[half->dim] &&
           strtod(half->cut, NULL) < r->box[n + half->dim];
}

static ax_status halve(struct region *r, uint32_t k, struct ax_err *err)
{
    struct part half = {.parent = k, .depth = r->parts[k].depth + 1};

    if (!choose_cut(r, &half))
        return AX_OK;
    if (r->n + 2 > r->room) {
        uint32_t room = 2 * r->room + 2;
        struct part *more = realloc(r->parts, room * sizeof *more);

        if (!more)
            return no_memory(err);
        r->parts = more;
        r->room = room;
    }
    r->parts[k].lower = r->n;
    for (int upper = 0; upper < 2; upper++) {
        half.upper = upper;
        r->parts[r->n++] = half;
    }
    return AX_OK;
}

/* The cuts of the part at hand as text, each within BEFORE and AFTER. There
 * are at most two for each level. */
static void print_cuts(const struct region *r, char text[CUTS_CHARS],
                       const char *before, const char *after)
{
    size_t n = 0;

    text[0] = '\0';
    for (size_t i = 0; i < 2 * (size_t)r->n_x; i++) {
        bool upper = i >= r->n_x;

        if (r->cuts[i] && n < CUTS_CHARS)
            n += (size_t)snprintf(text + n, CUTS_CHARS - n,
                                  "%s(%s X_%zu %s)%s", before,
                                  upper ? "<=" : ">=", upper ? i - r->n_x : i,
                                  r->cuts[i], after);
    }
}

/* ---- deciding them ---- */

static ax_status part_text(struct region *r, const struct finding *whole,
                           struct ax_err *err)
{
    struct finding *f = &r->job->found;
    char cuts[CUTS_CHARS];
    size_t n;

    print_cuts(r, cuts, "(assert ", ")\n");
    n = strlen(cuts);
    f->text = malloc(whole->n_text + n + 2);
    if (!f->text)
        return no_memory(err);
    memcpy(f->text, whole->text, whole->n_text);
    f->text[whole->n_text] = '\n';
    memcpy(f->text + whole->n_text + 1, cuts, n + 1);
    f->n_text = whole->n_text + 1 + n;
    return AX_OK;
}

static ax_status try(struct region *r, uint32_t k,
                     const struct finding *whole, struct ax_err *err)
{
    struct job *j = r->job;
    ax_status st;

    if (r->until > 0) {
        r->args.seconds = r->until - job_clock();
        if (r->args.seconds <= 0)
            return AX_UNDECIDED;
    }
    st = part_text(r, whole, err);
    if (st == AX_OK)
        st = job_decide(j, &r->args, err);
    r->parts[k].proved = st == AX_OK && j->found.result.verdict == AX_HOLDS;
    finding_free(&j->found);
    return st;
}

static ax_status explore(struct region *r, const struct finding *whole,
                         unsigned halvings, struct ax_err *err)
{
    ax_status st = AX_OK;

    /* The root is what was not proved. */
    for (uint32_t k = 0; st == AX_OK && k < r->n; k++) {
        place(r, k);
        if (k)
            st = try(r, k, whole, err);
        if (st == AX_OK && !r->parts[k].proved &&
            r->parts[k].depth < halvings)
            st = halve(r, k, err);
    }
    /* Halves come after what they are halves of. */
    for (uint32_t k = r->n; k-- > 0;) {
        uint32_t h = r->parts[k].lower;

        r->parts[k].proved |= h && r->parts[h].proved &&
                              r->parts[h + 1].proved;
    }
    return st == AX_UNDECIDED ? AX_OK : st;
}

/* ---- what is said of it ---- */

/* A part that is proved, and is in none that is. */
static bool is_whole(const struct region *r, uint32_t k)
{
    return r->parts[k].proved && (!k || !r->parts[r->parts[k].parent].proved);
}

/* The share of the root's volume in the part at hand. */
static double share(const struct region *r)
{
    double v = 1;

    for (uint32_t i = 0; i < r->n_x; i++) {
        double whole = r->root[r->n_x + i] - r->root[i];

        if (whole > 0)
            v *= (r->box[r->n_x + i] - r->box[i]) / whole;
    }
    return v;
}

static void write_parts(struct region *r, const struct finding *whole,
                        FILE *f, struct region_found *out)
{
    bool all = r->parts[0].proved; /* nothing is cut off */
    char cuts[CUTS_CHARS];

    fwrite(whole->text, 1, whole->n_text, f);
    if (!all)
        fputs("\n; The part on which it was proved.\n(assert (or", f);
    for (uint32_t k = 0; k < r->n; k++)
        if (is_whole(r, k)) {
            place(r, k);
            print_cuts(r, cuts, " ", "");
            if (!all)
                fprintf(f, "\n  (and%s)", cuts);
            out->boxes++;
            out->volume += share(r);
        }
    if (!all)
        fputs("))\n", f);
}

static ax_status write_region(struct region *r, const struct finding *whole,
                              const char *path, struct region_found *found,
                              struct ax_err *err)
{
    struct cmd_out out = {0};
    bool any = false;

    for (uint32_t k = 0; k < r->n; k++)
        any |= r->parts[k].proved;
    if (!any)
        return AX_OK;
    AX_TRY(cmd_out_open(&out, path, 0, err));
    write_parts(r, whole, out.f, found);
    return cmd_out_commit(&out, err);
}

/* ---- the whole ---- */

static ax_status root_box(struct region *r, const struct finding *whole,
                          struct ax_err *err)
{
    const struct ax_net *net = r->job->net;
    struct ax_prop *p;

    AX_TRY(ax_prop_read(&p, (const char *)whole->text, whole->n_text,
                        net->nodes[0].n, net->nodes[net->n_nodes - 1].n,
                        err));
    r->n_x = p->n_x;
    r->root = calloc(2 * (size_t)p->n_x + 1, sizeof *r->root);
    r->box = calloc(2 * (size_t)p->n_x + 1, sizeof *r->box);
    r->cuts = calloc(2 * (size_t)p->n_x + 1, sizeof *r->cuts);
    for (uint32_t g = 0; r->root && g < p->n_groups; g++)
        for (uint32_t i = 0; i < p->n_x; i++) {
            double *lo = &r->root[i], *hi = &r->root[(size_t)p->n_x + i];
            double a = ldexp((double)p->groups[g].lo[i], -p->groups[g].p);
            double b = ldexp((double)p->groups[g].hi[i], -p->groups[g].p);

            *lo = g && *lo < a ? *lo : a;
            *hi = g && *hi > b ? *hi : b;
        }
    ax_prop_free(p);
    return r->root && r->box && r->cuts ? AX_OK : no_memory(err);
}

ax_status region(struct job *j, const struct args *a, struct ax_err *err)
{
    struct region r = {.job = j, .args = *a, .n = 1, .room = 64};
    struct finding whole = j->found;
    ax_status st;

    r.args.cert = r.args.check = false;
    r.args.trace = NULL;
    r.args.max_boxes = a->max_boxes ? a->max_boxes : BOXES_DEFAULT;
    r.until = a->seconds > 0 ? job_clock() + a->seconds : 0;
    j->found = (struct finding){0};
    j->task = "region";
    r.parts = calloc(r.room, sizeof *r.parts);
    st = r.parts ? root_box(&r, &whole, err) : no_memory(err);
    if (st == AX_OK)
        st = explore(&r, &whole, (unsigned)a->halvings, err);
    if (st == AX_OK)
        st = write_region(&r, &whole, a->region, &j->region, err);
    finding_free(&j->found);
    j->found = whole;
    j->task = NULL;
    free(r.parts);
    free(r.root);
    free(r.box);
    free(r.cuts);
    return st;
}
