/* Descriptions of networks that many checkpoints are of, with the names that
 * torchvision (0.14) and the CIFAR-10 networks of akamaster give tensors.
 * Sources: torchvision.models.{alexnet,densenet,mobilenetv2,resnet,
 * squeezenet,vgg}; He et al., Deep residual learning, 2016, for CIFAR. */
#include "formats/arch/arch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_BYTES = 80 };

struct zoo {
    json_t *layers;
    char last[NAME_BYTES]; /* the layer before, by its name */
    bool failed;           /* memory ran out */
    int unnamed;
};

struct name {
    char s[NAME_BYTES];
};

static struct name AX_PRINTF(1, 2) called(const char *fmt, ...)
{
    struct name out;
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(out.s, sizeof out.s, fmt, ap);
    va_end(ap);
    return out;
}

/* Add a layer of this type behind the last; takes MORE, an object. */
static void add(struct zoo *z, const char *type, const char *name,
                json_t *more)
{
    struct name made;

    if (!name) {
        made = called("%s-%d", type, ++z->unnamed);
        name = made.s;
    }
    if (!more || json_object_set_new(more, "type", json_string(type)) ||
        json_object_set_new(more, "name", json_string(name)) ||
        (z->last[0] && !json_object_get(more, "inputs") &&
         json_object_set_new(more, "inputs", json_pack("[s]", z->last))) ||
        json_array_append(z->layers, more))
        z->failed = true;
    json_decref(more);
    snprintf(z->last, sizeof z->last, "%s", name);
}

static void plain(struct zoo *z, const char *type)
{
    add(z, type, NULL, json_object());
}

static void conv(struct zoo *z, const char *name, int kernel, int stride,
                 int padding, bool bias)
{
    add(z, "Conv2d", name,
        json_pack("{s:i, s:i, s:i, s:b}", "kernel_size", kernel, "stride",
                  stride, "padding", padding, "bias", bias));
}

static void grouped(struct zoo *z, const char *name, int stride, int groups)
{
    add(z, "Conv2d", name,
        json_pack("{s:i, s:i, s:i, s:b, s:i}", "kernel_size", 3, "stride",
                  stride, "padding", 1, "bias", 0, "groups", groups));
}

static void pool(struct zoo *z, const char *type, int kernel, int stride,
                 int padding)
{
    add(z, type, NULL,
        json_pack("{s:i, s:i, s:i}", "kernel_size", kernel, "stride", stride,
                  "padding", padding));
}

static void mean(struct zoo *z)
{
    add(z, "AdaptiveAvgPool2d", NULL, json_pack("{s:i}", "output_size", 1));
    plain(z, "Flatten");
}

static void norm(struct zoo *z, const char *name)
{
    add(z, "BatchNorm2d", name, json_object());
}

static void sum(struct zoo *z, const char *a, const char *b)
{
    add(z, "Add", NULL, json_pack("{s:[s, s]}", "inputs", a, b));
}

/* ---- residual networks ---- */

struct resnet {
    int blocks[4];
    bool bottleneck;
    int groups;
};

static void res_block(struct zoo *z, const struct resnet *r, const char *b,
                      int stride, bool downsample)
{
    struct name in = called("%s", z->last), out;

    if (r->bottleneck) {
        conv(z, called("%s.conv1", b).s, 1, 1, 0, false);
        norm(z, called("%s.bn1", b).s);
        plain(z, "ReLU");
        grouped(z, called("%s.conv2", b).s, stride, r->groups);
        norm(z, called("%s.bn2", b).s);
        plain(z, "ReLU");
        conv(z, called("%s.conv3", b).s, 1, 1, 0, false);
        norm(z, called("%s.bn3", b).s);
    } else {
        conv(z, called("%s.conv1", b).s, 3, stride, 1, false);
        norm(z, called("%s.bn1", b).s);
        plain(z, "ReLU");
        conv(z, called("%s.conv2", b).s, 3, 1, 1, false);
        norm(z, called("%s.bn2", b).s);
    }
    out = called("%s", z->last);
    if (downsample) {
        snprintf(z->last, sizeof z->last, "%s", in.s);
        conv(z, called("%s.downsample.0", b).s, 1, stride, 0, false);
        norm(z, called("%s.downsample.1", b).s);
        in = called("%s", z->last);
    }
    sum(z, out.s, in.s);
    plain(z, "ReLU");
}

static void resnet(struct zoo *z, const int *v)
{
    const struct resnet r = {{v[0], v[1], v[2], v[3]}, v[4] != 0, v[5]};

    conv(z, "conv1", 7, 2, 3, false);
    norm(z, "bn1");
    plain(z, "ReLU");
    pool(z, "MaxPool2d", 3, 2, 1);
    for (int s = 0; s < 4; s++)
        for (int i = 0; i < r.blocks[s]; i++)
            res_block(z, &r, called("layer%d.%d", s + 1, i).s,
                      s && i == 0 ? 2 : 1, i == 0 && (s || r.bottleneck));
    mean(z);
    add(z, "Linear", "fc", json_object());
}

/* v[0] blocks a stage; shortcuts skip pixels and add channels of zeros. */
static void cifar_resnet(struct zoo *z, const int *v)
{
    const struct resnet r = {{0}, false, 1};

    conv(z, "conv1", 3, 1, 1, false);
    norm(z, "bn1");
    plain(z, "ReLU");
    for (int s = 0; s < 3; s++)
        for (int i = 0; i < v[0]; i++) {
            struct name b = called("layer%d.%d", s + 1, i), in, out;

            if (!s || i) {
                res_block(z, &r, b.s, 1, false);
                continue;
            }
            in = called("%s", z->last);
            conv(z, called("%s.conv1", b.s).s, 3, 2, 1, false);
            norm(z, called("%s.bn1", b.s).s);
            plain(z, "ReLU");
            conv(z, called("%s.conv2", b.s).s, 3, 1, 1, false);
            norm(z, called("%s.bn2", b.s).s);
            out = called("%s", z->last);
            add(z, "Slice", NULL,
                json_pack("{s:[s], s:[i, i], s:[i, i], s:[i, i], s:[i, i]}",
                          "inputs", in.s, "axes", 2, 3, "starts", 0, 0,
                          "ends", 32, 32, "steps", 2, 2));
            add(z, "Pad", NULL,
                json_pack("{s:[i, i, i, i, i, i, i, i]}", "pads", 0, 4 << s,
                          0, 0, 0, 4 << s, 0, 0));
            sum(z, out.s, called("%s", z->last).s);
            plain(z, "ReLU");
        }
    pool(z, "AvgPool2d", 8, 8, 0);
    plain(z, "Flatten");
    add(z, "Linear", "linear", json_object());
}

/* ---- others of torchvision ---- */

static void classifier(struct zoo *z, const int *at, int n)
{
    for (int i = 0; i < n; i++) {
        add(z, "Linear", called("classifier.%d", at[i]).s, json_object());
        if (i + 1 < n)
            plain(z, "ReLU");
    }
}

/* Convolutions of each of five stages, and whether each has a norm. */
static void vgg(struct zoo *z, const int *v)
{
    static const int at[] = {0, 3, 6};
    int k = 0;

    for (int s = 0; s < 5; s++) {
        for (int i = 0; i < v[s]; i++) {
            conv(z, called("features.%d", k++).s, 3, 1, 1, true);
            if (v[5])
                norm(z, called("features.%d", k++).s);
            plain(z, "ReLU");
            k++;
        }
        pool(z, "MaxPool2d", 2, 2, 0);
        k++;
    }
    plain(z, "Flatten"); /* 7 x 7 is what the average would give */
    classifier(z, at, 3);
}

static void alexnet(struct zoo *z, const int *v)
{
    static const int at[] = {1, 4, 6};
    static const int layer[][4] = {{0, 11, 4, 2},
                                   {3, 5, 1, 2},
                                   {6, 3, 1, 1},
                                   {8, 3, 1, 1},
                                   {10, 3, 1, 1}};

    (void)v;
    for (int i = 0; i < 5; i++) {
        const int *l = layer[i];

        conv(z, called("features.%d", l[0]).s, l[1], l[2], l[3], true);
        plain(z, "ReLU");
        if (i != 2 && i != 3)
            pool(z, "MaxPool2d", 3, 2, 0);
    }
    plain(z, "Flatten");
    classifier(z, at, 3);
}

static void fire(struct zoo *z, int k)
{
    struct name squeezed, left;

    conv(z, called("features.%d.squeeze", k).s, 1, 1, 0, true);
    plain(z, "ReLU");
    squeezed = called("%s", z->last);
    conv(z, called("features.%d.expand1x1", k).s, 1, 1, 0, true);
    plain(z, "ReLU");
    left = called("%s", z->last);
    snprintf(z->last, sizeof z->last, "%s", squeezed.s);
    conv(z, called("features.%d.expand3x3", k).s, 3, 1, 1, true);
    plain(z, "ReLU");
    add(z, "Concat", NULL,
        json_pack("{s:[s, s]}", "inputs", left.s, z->last));
}

/* Pools of version 1.1 fit at 224 pixels, so that ceil_mode means nothing. */
static void squeezenet(struct zoo *z, const int *v)
{
    (void)v;
    conv(z, "features.0", 3, 2, 0, true);
    plain(z, "ReLU");
    pool(z, "MaxPool2d", 3, 2, 0);
    for (int k = 3; k <= 12; k++)
        if (k == 5 || k == 8)
            pool(z, "MaxPool2d", 3, 2, 0);
        else
            fire(z, k);
    conv(z, "classifier.1", 1, 1, 0, true);
    plain(z, "ReLU");
    mean(z);
}

static void norm6(struct zoo *z, const char *name)
{
    norm(z, name);
    plain(z, "ReLU6");
}

static void mobilenet_v2(struct zoo *z, const int *v)
{
    static const int rows[][4] = {
        /* expansion, channels, repeats, stride */
        {1, 16, 1, 1}, {6, 24, 2, 2},  {6, 32, 3, 2}, {6, 64, 4, 2},
        {6, 96, 3, 1}, {6, 160, 3, 2}, {6, 320, 1, 1}};
    int channels = 32, k = 1;

    (void)v;
    conv(z, "features.0.0", 3, 2, 1, false);
    norm6(z, "features.0.1");
    for (int r = 0; r < 7; r++)
        for (int i = 0; i < rows[r][2]; i++, k++) {
            int stride = i ? 1 : rows[r][3], at = 0;
            struct name in = called("%s", z->last),
                        b = called("features.%d.conv", k);

            if (rows[r][0] != 1) {
                conv(z, called("%s.%d.0", b.s, at).s, 1, 1, 0, false);
                norm6(z, called("%s.%d.1", b.s, at++).s);
            }
            grouped(z, called("%s.%d.0", b.s, at).s, stride,
                    channels * rows[r][0]);
            norm6(z, called("%s.%d.1", b.s, at++).s);
            conv(z, called("%s.%d", b.s, at).s, 1, 1, 0, false);
            norm(z, called("%s.%d", b.s, at + 1).s);
            if (stride == 1 && channels == rows[r][1])
                sum(z, in.s, called("%s", z->last).s);
            channels = rows[r][1];
        }
    conv(z, "features.18.0", 1, 1, 0, false);
    norm6(z, "features.18.1");
    mean(z);
    add(z, "Linear", "classifier.1", json_object());
}

/* One layer of a dense block: its input and what it makes of it. */
static void dense_layer(struct zoo *z, const char *b)
{
    struct name in = called("%s", z->last);

    norm(z, called("%s.norm1", b).s);
    plain(z, "ReLU");
    conv(z, called("%s.conv1", b).s, 1, 1, 0, false);
    norm(z, called("%s.norm2", b).s);
    plain(z, "ReLU");
    conv(z, called("%s.conv2", b).s, 3, 1, 1, false);
    add(z, "Concat", NULL, json_pack("{s:[s, s]}", "inputs", in.s, z->last));
}

static void densenet(struct zoo *z, const int *v)
{
    conv(z, "features.conv0", 7, 2, 3, false);
    norm(z, "features.norm0");
    plain(z, "ReLU");
    pool(z, "MaxPool2d", 3, 2, 1);
    for (int s = 0; s < 4; s++) {
        for (int i = 0; i < v[s]; i++)
            dense_layer(
                z,
                called("features.denseblock%d.denselayer%d", s + 1, i + 1).s);
        if (s == 3)
            break;
        norm(z, called("features.transition%d.norm", s + 1).s);
        plain(z, "ReLU");
        conv(z, called("features.transition%d.conv", s + 1).s, 1, 1, 0,
             false);
        pool(z, "AvgPool2d", 2, 2, 0);
    }
    norm(z, "features.norm5");
    plain(z, "ReLU");
    mean(z);
    add(z, "Linear", "classifier", json_object());
}

/* ---- the table ---- */

static const struct animal {
    const char *name;
    void (*make)(struct zoo *z, const int *v);
    int v[6];
    int pixels; /* of a side */
} animals[] = {
    {"alexnet", alexnet, {0}, 224},
    {"densenet121", densenet, {6, 12, 24, 16}, 224},
    {"densenet169", densenet, {6, 12, 32, 32}, 224},
    {"densenet201", densenet, {6, 12, 48, 32}, 224},
    {"mobilenet_v2", mobilenet_v2, {0}, 224},
    {"resnet18", resnet, {2, 2, 2, 2, 0, 1}, 224},
    {"resnet34", resnet, {3, 4, 6, 3, 0, 1}, 224},
    {"resnet50", resnet, {3, 4, 6, 3, 1, 1}, 224},
    {"resnet101", resnet, {3, 4, 23, 3, 1, 1}, 224},
    {"resnet152", resnet, {3, 8, 36, 3, 1, 1}, 224},
    {"resnext50_32x4d", resnet, {3, 4, 6, 3, 1, 32}, 224},
    {"wide_resnet50_2", resnet, {3, 4, 6, 3, 1, 1}, 224},
    {"squeezenet1_1", squeezenet, {0}, 224},
    {"vgg11", vgg, {1, 1, 2, 2, 2, 0}, 224},
    {"vgg13", vgg, {2, 2, 2, 2, 2, 0}, 224},
    {"vgg16", vgg, {2, 2, 3, 3, 3, 0}, 224},
    {"vgg19", vgg, {2, 2, 4, 4, 4, 0}, 224},
    {"vgg11_bn", vgg, {1, 1, 2, 2, 2, 1}, 224},
    {"vgg13_bn", vgg, {2, 2, 2, 2, 2, 1}, 224},
    {"vgg16_bn", vgg, {2, 2, 3, 3, 3, 1}, 224},
    {"vgg19_bn", vgg, {2, 2, 4, 4, 4, 1}, 224},
    {"resnet20-cifar10", cifar_resnet, {3}, 32},
    {"resnet32-cifar10", cifar_resnet, {5}, 32},
    {"resnet44-cifar10", cifar_resnet, {7}, 32},
    {"resnet56-cifar10", cifar_resnet, {9}, 32},
    {"resnet110-cifar10", cifar_resnet, {18}, 32},
};

const char *ax_zoo_name(size_t i)
{
    return i < sizeof animals / sizeof animals[0] ? animals[i].name : NULL;
}

static json_t *describe(const struct animal *a)
{
    struct zoo z = {.layers = json_array()};
    json_t *root;

    a->make(&z, a->v);
    root = json_pack("{s:s, s:s, s:s, s:{s:[s, i, i, i]}, s:o}", "format",
                     "ax.layers.v1", "name", a->name, "strip", "module.?",
                     "input", "shape", "N", 3, a->pixels, a->pixels, "layers",
                     z.layers);
    if (!z.failed)
        return root;
    json_decref(root);
    return NULL;
}

ax_status ax_zoo_layers(char **out, size_t *n, const char *name,
                        struct ax_err *err)
{
    for (size_t i = 0; ax_zoo_name(i); i++)
        if (strcmp(animals[i].name, name) == 0) {
            json_t *root = describe(&animals[i]);

            *out = root ? json_dumps(root, JSON_INDENT(1)) : NULL;
            json_decref(root);
            if (!*out)
                return ax_fail(err, AX_ENOMEM, "no memory for a description");
            *n = strlen(*out);
            return AX_OK;
        }
    return ax_fail(err, AX_EUSAGE,
                   "no network that we know is called '%s'; see ax-layers(5)",
                   name);
}
