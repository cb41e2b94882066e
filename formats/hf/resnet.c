/* Residual networks. Source: He et al., Deep residual learning for image
 * recognition, 2016; modeling_resnet.py of transformers for names. */
#include <string.h>

#include "formats/hf/hf.h"

enum { STAGES_MAX = 64, REDUCTION = 4 };

struct shape {
    int64_t channels, stem, hidden[STAGES_MAX], depth[STAGES_MAX];
    size_t stages;
    bool bottleneck, down_first, down_inside;
    const char *activation;
};

static ax_status read_list(struct hf_config *c, int64_t *out, size_t *n,
                           const char *key, const int64_t *otherwise,
                           struct ax_err *err)
{
    const json_t *x = hf_get(c, key);

    *n = x ? json_array_size(x) : 4;
    if (!*n || *n > STAGES_MAX)
        return ax_fail(err, AX_EFORMAT, "'%s' is no list of 1 to %d numbers",
                       key, STAGES_MAX);
    for (size_t i = 0; i < *n; i++) {
        const json_t *k = json_array_get(x, i);

        out[i] = x ? json_integer_value(k) : otherwise[i];
        if ((x && !json_is_integer(k)) || out[i] < 1 || out[i] > INT32_MAX)
            return ax_fail(err, AX_EFORMAT,
                           "'%s' has what is no whole number above 0", key);
    }
    return AX_OK;
}

static ax_status read_shape(struct hf *h, struct shape *s, struct ax_err *err)
{
    static const int64_t hidden[] = {256, 512, 1024, 2048},
                         depths[] = {3, 4, 6, 3};
    /* What a detector would take from the middle. */
    static const char *const unused[] = {"out_features", "out_indices",
                                         "stage_names"};
    struct hf_config *c = &h->config;
    const char *type;
    size_t n;

    AX_TRY(hf_count(c, &s->channels, "num_channels", 3, err));
    AX_TRY(hf_count(c, &s->stem, "embedding_size", 64, err));
    AX_TRY(read_list(c, s->hidden, &s->stages, "hidden_sizes", hidden, err));
    AX_TRY(read_list(c, s->depth, &n, "depths", depths, err));
    AX_TRY(hf_text(c, &type, "layer_type", "bottleneck", err));
    AX_TRY(hf_text(c, &s->activation, "hidden_act", "relu", err));
    AX_TRY(
        hf_bool(c, &s->down_first, "downsample_in_first_stage", false, err));
    AX_TRY(
        hf_bool(c, &s->down_inside, "downsample_in_bottleneck", false, err));
    s->bottleneck = strcmp(type, "bottleneck") == 0;
    if (!s->bottleneck && strcmp(type, "basic") != 0)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "layers of type '%.40s' are not supported", type);
    if (n != s->stages)
        return ax_fail(err, AX_EFORMAT,
                       "'depths' has %zu numbers, 'hidden_sizes' %zu", n,
                       s->stages);
    for (size_t i = 0; i < sizeof unused / sizeof unused[0]; i++)
        (void)hf_get(c, unused[i]);
    return AX_OK;
}

/* A convolution with padding that keeps the size, a norm, and an activation
 * if there is one. */
static ax_status conv(struct hf *h, uint32_t *x, const char *what,
                      int64_t from, int64_t to, int64_t kernel,
                      int64_t stride, const char *activation,
                      struct ax_err *err)
{
    const int64_t k[] = {kernel, kernel}, step[] = {stride, stride};

    AX_TRY(hf_convolution(h, x, *x, hf_part(what, "convolution").s, from, to,
                          k, step, true, false, err));
    AX_TRY(
        hf_batch_norm(h, x, *x, hf_part(what, "normalization").s, to, err));
    return activation ? hf_activation(h, x, *x, hf_part(what, "activation").s,
                                      activation, err)
                      : AX_OK;
}

/* Inside a block the activation is always the rectifier. */
static ax_status block(struct hf *h, uint32_t *x, const struct shape *s,
                       int64_t from, int64_t to, int64_t stride,
                       struct ax_err *err)
{
    int64_t less = to / REDUCTION;
    uint32_t y = *x, side = *x;

    if (s->bottleneck && !less)
        return ax_fail(err, AX_EFORMAT,
                       "a bottleneck of less than %d channels", REDUCTION);
    if (s->bottleneck) {
        AX_TRY(conv(h, &y, "layer.0", from, less, 1,
                    s->down_inside ? stride : 1, "relu", err));
        AX_TRY(conv(h, &y, "layer.1", less, less, 3,
                    s->down_inside ? 1 : stride, "relu", err));
        AX_TRY(conv(h, &y, "layer.2", less, to, 1, 1, NULL, err));
    } else {
        AX_TRY(conv(h, &y, "layer.0", from, to, 3, stride, "relu", err));
        AX_TRY(conv(h, &y, "layer.1", to, to, 3, 1, NULL, err));
    }
    if (from != to || stride != 1)
        AX_TRY(conv(h, &side, "shortcut", from, to, 1, stride, NULL, err));
    AX_TRY(arch_node2(&h->a, &y, AX_OP_Add, "sum", y, side, err));
    return hf_activation(h, x, y, "activation", s->activation, err);
}

static ax_status stem(struct hf *h, uint32_t *x, const struct shape *s,
                      struct ax_err *err)
{
    static const char *const names[] = {"batch", NULL, "height", "width"};
    static const int64_t kernel[] = {3, 3}, two[] = {2, 2},
                         pads[] = {1, 1, 1, 1};
    const int64_t image[] = {h->batch, s->channels, -1, -1};

    AX_TRY(hf_input(h, x, "pixel_values", AX_F32, 4, image, names, err));
    AX_TRY(hf_at(h, h->base, err, "embedder"));
    AX_TRY(conv(h, x, "embedder", s->channels, s->stem, 7, 2, s->activation,
                err));
    AX_TRY(arch_node1(&h->a, x, AX_OP_MaxPool, "pooler", *x, err));
    AX_TRY(arch_attr_ints(&h->a, "kernel_shape", kernel, 2, err));
    AX_TRY(arch_attr_ints(&h->a, "strides", two, 2, err));
    return arch_attr_ints(&h->a, "pads", pads, 4, err);
}

ax_status hf_resnet(struct hf *h, enum hf_head head, struct ax_err *err)
{
    struct shape s = {0};
    int64_t from, labels = 0;
    uint32_t x;

    AX_TRY(read_shape(h, &s, err));
    if (head == HF_IMAGE_LABEL)
        AX_TRY(hf_labels(h, &labels, err));
    AX_TRY(hf_no_text(h, err));
    AX_TRY(stem(h, &x, &s, err));
    from = s.stem;
    for (size_t i = 0; i < s.stages; i++)
        for (int64_t k = 0; k < s.depth[i]; k++) {
            AX_TRY(hf_at(h, h->base, err, "encoder.stages.%zu.layers.%lld", i,
                         (long long)k));
            AX_TRY(block(h, &x, &s, from, s.hidden[i],
                         k == 0 && (i || s.down_first) ? 2 : 1, err));
            from = s.hidden[i];
        }
    if (head == HF_NO_HEAD)
        AX_TRY(hf_output(h, "last_hidden_state", x, err));
    AX_TRY(hf_at(h, "", err, "pooler"));
    AX_TRY(arch_node1(&h->a, &x, AX_OP_GlobalAveragePool, "", x, err));
    if (head == HF_NO_HEAD)
        return hf_output(h, "pooler_output", x, err);
    AX_TRY(arch_node1(&h->a, &x, AX_OP_Flatten, "flat", x, err));
    AX_TRY(hf_at(h, "", err, "classifier.1"));
    AX_TRY(hf_linear(h, &x, x, "", from, labels, true, err));
    return hf_output(h, "logits", x, err);
}
