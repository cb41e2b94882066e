/* Checkpoints and descriptions among the formats: a description that has its
 * weights in it is a model; a checkpoint alone is none, which is better said
 * than that its bytes are not known. */
#include <string.h>

#include "ax/checkpoint.h"
#include "ax/format.h"

static ax_status no_graph(struct ax_model **out, const unsigned char *data,
                          size_t n, const struct ax_format_options *opt,
                          struct ax_err *err)
{
    struct ax_checkpoint c;
    ax_status st = ax_checkpoint_read(&c, data, n, err);

    (void)out;
    (void)opt;
    if (st == AX_OK)
        st = ax_fail(err, AX_EUNSUPPORTED,
                     "has %zu tensors and no graph: describe it with --arch, "
                     "for which --infer makes a draft",
                     c.n);
    ax_checkpoint_free(&c);
    return st;
}

const struct ax_format ax_format_checkpoint = {
    .name = "checkpoint",
    .summary = "PyTorch checkpoints and safetensors, with --arch",
    .sniff = ax_checkpoint_sniff,
    .read = no_graph,
};

static bool sniff(const unsigned char *head, size_t n)
{
    static const char *const marks[] = {"axiom.pytorch.sequential",
                                        "ax.layers"};
    size_t i = 0;

    while (i < n && strchr(" \t\r\n", head[i]))
        i++;
    if (i == n || head[i] != '{')
        return false;
    for (size_t k = 0; k < 2; k++)
        if (memmem(head, n, marks[k], strlen(marks[k])))
            return true;
    return false;
}

static ax_status read_layers(struct ax_model **out, const unsigned char *data,
                             size_t n, const struct ax_format_options *opt,
                             struct ax_err *err)
{
    const struct ax_checkpoint none = {0};

    (void)opt;
    return ax_checkpoint_build(out, &none, data, n, err);
}

const struct ax_format ax_format_layers = {
    .name = "layers",
    .summary = "descriptions of layers with their weights in them, JSON",
    .sniff = sniff,
    .read = read_layers,
};
