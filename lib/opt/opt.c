/* The passes, one after the other: see ax/opt.h. */
#include <stdlib.h>
#include <string.h>

#include "opt/opt.h"

const struct ax_opt_pass ax_opt_passes[AX_OPT_PASSES] = {
    {"identities", "leave out what hands its input on", AX_OPT_EXACT},
    {"constants", "compute what depends on constants alone", AX_OPT_EXACT},
    {"dead", "leave out what no output needs", AX_OPT_EXACT},
    {"bias", "a sum after a product becomes its bias (Gemm)", AX_OPT_ORDER},
    {"fold-norm", "batch normalisation into the weights before it",
     AX_OPT_ROUNDED},
    {"split-norm", "other batch normalisation becomes Mul and Add",
     AX_OPT_ROUNDED},
};

static opt_pass *const passes[AX_OPT_PASSES] = {
    opt_identities, opt_constants, opt_dead,
    opt_bias,       opt_fold_norm, opt_split_norm,
};

/* Nodes that are left close the gaps. */
static void close_gaps(struct ax_graph *g)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < g->n_nodes; i++)
        if (g->nodes[i].op != AX_OP_NONE)
            g->nodes[n++] = g->nodes[i];
    g->n_nodes = n;
}

static ax_status check_exact(const struct ax_opt_pass *pass,
                             const struct ax_opt_done *done,
                             const struct ax_opt_options *opt,
                             struct ax_err *err)
{
    bool reference = !opt->backend || strcmp(opt->backend, "ref") == 0;

    if (pass->kind != AX_OPT_EXACT || !reference || done->absolute == 0)
        return AX_OK;
    return ax_fail(err, AX_EBUG,
                   "pass %s is to be exact, and an output differs by %g: "
                   "this is a fault of ours, and nothing is written",
                   pass->name, done->absolute);
}

static ax_status run_pass(struct opt *o, int i, struct opt_measure *r,
                          struct ax_opt_done *done,
                          const struct ax_opt_options *opt,
                          struct ax_err *err)
{
    ax_status st;

    AX_TRY(opt_count(o, err));
    o->changes = 0;
    st = passes[i](o, err);
    if (st == AX_OK)
        st = opt_settle(o, err);
    close_gaps(o->g);
    done->changes = o->changes;
    done->nodes = o->g->n_nodes;
    if (st == AX_OK && o->changes && opt->samples)
        st = opt_measure_again(r, o->m, done, err);
    if (st == AX_OK && o->changes)
        st = check_exact(&ax_opt_passes[i], done, opt, err);
    return st == AX_OK ? st
                       : ax_fail_in(err, "pass %s", ax_opt_passes[i].name);
}

ax_status ax_model_optimise(struct ax_model *m,
                            struct ax_opt_done done[AX_OPT_PASSES],
                            const struct ax_opt_options *opt,
                            struct ax_err *err)
{
    struct opt o = {.m = m, .g = m->graph};
    struct opt_measure r = {0};
    bool had_identity = m->has_identity, changed = false;
    ax_status st = opt_learn(&o, err);

    memset(done, 0, AX_OPT_PASSES * sizeof *done);
    if (st == AX_OK && opt->samples)
        st = opt_measure_begin(&r, m, opt, err);
    for (int i = 0; i < AX_OPT_PASSES && st == AX_OK; i++) {
        done[i].nodes = m->graph->n_nodes;
        if (opt->passes >> i & 1)
            st = run_pass(&o, i, &r, &done[i], opt, err);
        changed = changed || done[i].changes > 0;
    }
    opt_measure_free(&r);
    opt_free(&o);
    m->has_identity = had_identity && !changed && st == AX_OK;
    return st;
}
