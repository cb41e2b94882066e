/* ax-export - write a model in a foreign format. See man/ax-export.1. */
#include <stdlib.h>
#include <string.h>

#include "ax/format.h"
#include "common/model.h"
#include "common/run.h"
#include "common/sandbox.h"
#include "export.h"

static const struct ax_format *writer(const char *name, struct ax_err *err)
{
    const struct ax_format *f = ax_format_find(name);

    if (f && f->write)
        return f;
    (void)ax_fail(err, AX_EUSAGE,
                  f ? "format '%s' can only be read"
                    : "no format is called '%s': see --formats",
                  name);
    return NULL;
}

static ax_status export_model(const char *model, const char *out_path,
                              const char *to, int opset, bool force,
                              struct ax_err *err)
{
    const struct ax_format_options opt = {.opset = opset};
    const struct ax_format *f = writer(to, err);
    struct ax_model *m = NULL;
    struct cmd_out out = {0};
    ax_status st;

    if (!f)
        return AX_EUSAGE;
    AX_TRY(cmd_model_read(&m, model, err));
    st = cmd_out_open(&out, out_path,
                      CMD_OUT_BINARY | (force ? CMD_OUT_FORCE : 0), err);
    if (st == AX_OK) {
        st = f->write(out.f, m, &opt, err);
        if (st == AX_OK)
            st = cmd_out_commit(&out, err);
        else
            ax_fail_in(err, "%s", out.name);
    }
    cmd_out_discard(&out);
    ax_model_free(m);
    return st;
}

/* What a property of a model can be written as. */
static const struct language {
    const char *name;
    ax_status (*write)(FILE *f, struct export_claim *claim,
                       const struct export_question *q, struct ax_err *err);
} languages[] = {
    {"coq", export_coq},
    {"smtlib", export_smtlib},
    {0},
};

static const struct language *language(const char *name)
{
    const struct language *l = languages;

    while (l->name && strcmp(l->name, name) != 0)
        l++;
    return l->name ? l : NULL;
}

/* Read the network and the property (q->text) that a question is about. */
static ax_status ask(struct export_question *q, struct ax_net **net,
                     struct ax_prop **prop, struct export_claim *claim,
                     const char *model, const char *property,
                     struct ax_err *err)
{
    struct ax_model *m = NULL;
    ax_status st = cmd_model_read(&m, model, err);

    if (st == AX_OK)
        st = ax_model_identity(claim->identity, m, err);
    if (st == AX_OK) {
        st = ax_net_lower(net, m, err);
        if (st != AX_OK)
            ax_fail_in(err, "%s", cmd_in_name(model));
    }
    if (st == AX_OK) {
        const struct ax_net *of = *net;

        st = ax_prop_read(prop, q->text, (size_t)(q->end - q->text),
                          of->nodes[0].n, of->nodes[of->n_nodes - 1].n, err);
        if (st != AX_OK)
            ax_fail_in(err, "%s", cmd_in_name(property));
    }
    ax_model_free(m);
    if (st != AX_OK)
        return st;
    q->net = *net;
    q->prop = *prop;
    memcpy(claim->digest, q->prop->digest, sizeof claim->digest);
    return AX_OK;
}

/* Write it to a file. AX_NO: and it says that the property is violated. */
static ax_status write_property(const struct language *to,
                                struct export_claim *claim, const char *model,
                                const char *out_path, const char *property,
                                double budget, struct ax_err *err)
{
    struct export_question q = {.budget = budget};
    struct ax_net *net = NULL;
    struct ax_prop *prop = NULL;
    struct cmd_out out = {0};
    unsigned char *text = NULL;
    size_t n = 0;
    ax_status st;

    st = cmd_in_read(&text, &n, property, (size_t)1 << 30, err);
    if (st == AX_OK) {
        q.text = (const char *)text;
        q.end = q.text + n;
        st = ask(&q, &net, &prop, claim, model, property, err);
    }
    if (st == AX_OK)
        st = cmd_out_open(&out, out_path, 0, err);
    if (st == AX_OK)
        st = to->write(out.f, claim, &q, err);
    if (st == AX_OK || st == AX_NO) {
        ax_status written = cmd_out_commit(&out, err);

        st = written == AX_OK ? st : written;
    }
    cmd_out_discard(&out);
    ax_prop_free(prop);
    ax_net_free(net);
    free(text);
    return st;
}

static ax_status export_property(const struct language *to, const char *model,
                                 const char *out_path, const char *property,
                                 double budget, const char *strategy,
                                 struct ax_err *err)
{
    static const char *const strategies[] = {"auto", "input", "neuron"};
    struct export_claim claim = {.strategy = AX_STRATEGY_INPUT};
    ax_status st, recorded;

    if (!property)
        return ax_fail(err, AX_EUSAGE,
                       "--to %s wants a property: give one with -p "
                       "FILE.vnnlib",
                       to->name);
    for (int i = 0; strategy; i++) {
        if (i == 3)
            return ax_fail(err, AX_EUSAGE,
                           "--strategy wants auto, input or neuron, not "
                           "'%.40s'",
                           strategy);
        if (strcmp(strategy, strategies[i]) == 0) {
            claim.strategy = (enum ax_strategy)i;
            break;
        }
    }
    AX_TRY(record_possible(to->name, out_path, err));
    st = write_property(to, &claim, model, out_path, property, budget, err);
    if (st != AX_OK && st != AX_NO)
        return st;
    recorded = record(to->name, out_path, &claim, err);
    return recorded == AX_OK ? st : recorded;
}

int main(int argc, char **argv)
{
    const char *to = "onnx", *out = "-", *property = NULL;
    const char *strategy = NULL;
    double budget = 600;
    bool formats = false, force = false;
    int64_t opset = 0;
    const struct opt opts[] = {
        {'t', "to", "FORMAT", "the format to write: onnx by default",
         .str = &to},
        {'o', "output", "FILE", "write here, not to standard output",
         .str = &out},
        {0, "opset", "N", "the operator set of an ONNX file: 17 by default",
         .num = &opset, .min = 1, .max = 100},
        {'p', "property", "FILE", "the property, VNN-LIB: for coq and smtlib",
         .str = &property},
        {0, "budget", "SECONDS",
         "of search, and of coqc or a solver: 600 by default",
         .real = &budget, .min = 0, .max = 1 << 30},
        {0, "strategy", "WHAT",
         "for coq, split what: auto, input or neuron; input by default",
         .str = &strategy},
        {0, "formats", NULL, "list the formats that can be written",
         .flag = &formats},
        {'f', "force", NULL, "write binary even to a terminal",
         .flag = &force},
        {0},
    };
    const struct cmd cmd = {
        .name = "ax-export",
        .summary = "write a model in a foreign format",
        .synopsis = "[-f] [-t FORMAT] [-o FILE] [--opset N] [MODEL.axm]\n"
                    "--to coq | smtlib -p FILE.vnnlib [-o FILE] "
                    "[--budget SECONDS] [--strategy WHAT] [MODEL.axm]\n"
                    "--formats",
        .opts = opts,
        .max_operands = 1,
    };
    struct cmd_sandbox box = {.cmd = &cmd};
    struct ax_err err = {0};
    ax_status st = cmd_options(&cmd, &argc, &argv, &err);

    if (st != AX_OK)
        return cmd_finish(&cmd, st, &err);
    if (formats) {
        for (const struct ax_format *const *f = ax_formats; *f; f++)
            if ((*f)->write)
                printf("%s\t%s\n", (*f)->name, (*f)->summary);
    } else {
        box.writes[0] = out;
        st = cmd_sandbox_enter(&box, &err);
        if (st == AX_OK && language(to))
            st = export_property(language(to), argc ? argv[0] : "-", out,
                                 property, budget, strategy, &err);
        else if (st == AX_OK)
            st = export_model(argc ? argv[0] : "-", out, to, (int)opset,
                              force, &err);
    }
    return cmd_finish(&cmd, st, &err);
}
