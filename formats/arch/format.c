/* Checkpoints and descriptions among the formats: a description that has its
 * weights in it is a model; a checkpoint alone is none, which is better said
 * than that its bytes are not known. */
#include <string.h>

#include "ax/checkpoint.h"
#include "ax/format.h"
#include "formats/aten/aten.h"

/* An archive with a program in it. *has is false if it has none. */
static ax_status read_archive(struct ax_model **out, bool *has,
                              const unsigned char *data, size_t n,
                              const struct ax_format_options *opt,
                              struct ax_err *err)
{
    struct torch_zip zip = {0};
    ax_status st;

    *has = false;
    if (n < 4 || memcmp(data, "PK", 2) != 0)
        return AX_OK;
    st = torch_zip_open(&zip, data, n, err);
    if (st == AX_OK && aten_is_export(&zip)) {
        *has = true;
        st = aten_read_export(out, &zip, data, n, err);
    } else if (st == AX_OK && aten_is_script(&zip)) {
        *has = true;
        st = aten_read_script(out, &zip, data, n, opt->shapes, err);
    }
    torch_zip_free(&zip);
    return st;
}

static ax_status read(struct ax_model **out, const unsigned char *data,
                      size_t n, const struct ax_format_options *opt,
                      struct ax_err *err)
{
    struct ax_checkpoint c;
    bool has;
    ax_status st;

    AX_TRY(read_archive(out, &has, data, n, opt, err));
    if (has)
        return AX_OK;
    st = ax_checkpoint_read(&c, data, n, err);
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
    .read = read,
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
