/* formats/keras/keras.h - what the readers of Keras files share.
 *
 * keras.c is the format and the order of layers; hdf5.c reads the file;
 * config.c the configuration of a layer, and its weights; layer.c is the
 * table of layers, and most of them; window.c has those that go over images
 * and sequences by windows.
 *
 * Channels are last in these files; a value may also be there with the
 * channels first, as convolutions want it: each of the two is made when it is
 * first asked for. */
#ifndef FORMATS_KERAS_H
#define FORMATS_KERAS_H

#include "ax/infer.h"
#include "formats/arch/arch.h"
#include "formats/keras/hdf5.h"

enum keras_layout { PLAIN, CHANNELS_FIRST };

/* What a layer gives. */
struct keras_value {
    uint32_t v[2]; /* by layout, or AX_NONE */
    int rank;      /* with the batch */
};

#define KERAS_INPUTS 256 /* of one layer */

struct keras {
    struct arch a;
    struct hdf5 h;
    uint64_t weights; /* the group that has one for each layer */
    int version;      /* of Keras: 2, 3 */
    struct ax_growth *growth;
    size_t copied; /* bytes of constants */
    /* The layer at hand. */
    char name[200];
    const char *class;
    json_t *config; /* borrowed */
    uint64_t group; /* of its weights, or 0 */
    size_t n_weights, n_used;
    struct hdf5_array weight_names;
    struct keras_value *in[KERAS_INPUTS];
    size_t n_in;
    struct keras_value out;
};

typedef ax_status keras_maker(struct keras *k, int what, struct ax_err *err);

/* ---- config.c ---- */

/* The layer at hand is this one; its name has to be that of no layer before.
 * AX_EFORMAT. */
ax_status keras_begin(struct keras *k, json_t *layer, struct ax_err *err)
    AX_MUST_CHECK;
/* AX_EFORMAT if it has weights that nobody asked for. */
ax_status keras_end(struct keras *k, struct ax_err *err) AX_MUST_CHECK;

/* Values of its configuration. Integers: N of them, or one for all, from
 * LEAST; OTHERWISE stands for what is missing or null, if it is not below
 * LEAST. */
ax_status keras_ints(struct keras *k, int64_t *out, int n, const char *key,
                     int64_t least, int64_t otherwise, struct ax_err *err)
    AX_MUST_CHECK;
double keras_real(const struct keras *k, const char *key, double otherwise);
bool keras_bool(const struct keras *k, const char *key, bool otherwise);
const char *keras_text(const struct keras *k, const char *key,
                       const char *otherwise);
ax_status keras_refuse(const struct keras *k, struct ax_err *err,
                       const char *fmt, ...) AX_PRINTF(3, 4);

/* Weight WHAT of the layer, as the file names it: its dimensions. */
struct keras_weight {
    struct hdf5_array a;
    char what[40];
};
ax_status keras_weight(struct keras *k, struct keras_weight *w,
                       const char *what, int rank, struct ax_err *err)
    AX_MUST_CHECK;
/* A constant of it: its dimensions in the order perm (NULL: as it is), and of
 * that shape. */
ax_status keras_constant(struct keras *k, uint32_t *v,
                         const struct keras_weight *w, const int *perm,
                         int rank, const int64_t *dims, struct ax_err *err)
    AX_MUST_CHECK;
/* A vector of n, or one of n times `otherwise` where the layer has none. */
ax_status keras_vector(struct keras *k, uint32_t *v, const char *what,
                       bool has, int64_t n, double otherwise,
                       struct ax_err *err) AX_MUST_CHECK;

/* ---- layer.c ---- */

/* Nodes of the layer at hand. */
ax_status keras_layer(struct keras *k, struct ax_err *err) AX_MUST_CHECK;
/* Input i in a layout; of images and sequences alone CHANNELS_FIRST. */
ax_status keras_value(struct keras *k, uint32_t *v, size_t i,
                      enum keras_layout layout, struct ax_err *err)
    AX_MUST_CHECK;
ax_status keras_turn(struct keras *k, struct keras_value *x,
                     enum keras_layout to, struct ax_err *err) AX_MUST_CHECK;
enum keras_layout keras_layout(const struct keras *k);
void keras_gives(struct keras *k, uint32_t v, enum keras_layout layout,
                 int rank);
/* The activation that its configuration names. */
ax_status keras_activation(struct keras *k, uint32_t *v,
                           enum keras_layout layout, struct ax_err *err)
    AX_MUST_CHECK;

/* ---- window.c ---- */
keras_maker keras_conv, keras_depthwise, keras_separable, keras_transposed,
    keras_pool, keras_global, keras_pad, keras_crop, keras_upsample;

#endif
