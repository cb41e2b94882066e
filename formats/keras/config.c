/* The configuration of a layer, and its weights. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "ax/element.h"
#include "formats/keras/keras.h"
#include "formats/window.h"

ax_status keras_refuse(const struct keras *k, struct ax_err *err,
                       const char *fmt, ...)
{
    char what[160];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    return ax_fail(err, AX_EUNSUPPORTED,
                   "layer '%.60s' (%.40s): %s is not supported", k->name,
                   k->class, what);
}

static ax_status malformed(const struct keras *k, struct ax_err *err,
                           const char *key)
{
    return ax_fail(err, AX_EFORMAT,
                   "layer '%.60s' (%.40s): '%s' is malformed", k->name,
                   k->class, key);
}

/* ---- values ---- */

static bool known(const json_t *v)
{
    return v && !json_is_null(v);
}

ax_status keras_ints(struct keras *k, int64_t *out, int n, const char *key,
                     int64_t least, int64_t otherwise, struct ax_err *err)
{
    const json_t *v = json_object_get(k->config, key);

    if (!known(v) && otherwise < least)
        return ax_fail(err, AX_EFORMAT, "layer '%.60s' (%.40s) has no '%s'",
                       k->name, k->class, key);
    if (json_is_array(v) && json_array_size(v) != (size_t)n)
        return malformed(k, err, key);
    for (int i = 0; i < n; i++) {
        const json_t *one = json_is_array(v) ? json_array_get(v, (size_t)i)
                                             : v;

        out[i] = otherwise;
        if (!known(v))
            continue;
        if (!json_is_integer(one) || json_integer_value(one) < least ||
            json_integer_value(one) > INT32_MAX)
            return malformed(k, err, key);
        out[i] = json_integer_value(one);
    }
    return AX_OK;
}

double keras_real(const struct keras *k, const char *key, double otherwise)
{
    const json_t *v = json_object_get(k->config, key);

    return json_is_number(v) ? json_number_value(v) : otherwise;
}

bool keras_bool(const struct keras *k, const char *key, bool otherwise)
{
    const json_t *v = json_object_get(k->config, key);

    return json_is_boolean(v) ? json_is_true(v) : otherwise;
}

const char *keras_text(const struct keras *k, const char *key,
                       const char *otherwise)
{
    const json_t *v = json_object_get(k->config, key);

    return known(v) ? json_is_string(v) ? json_string_value(v) : "?"
                    : otherwise;
}

/* ---- the layer ---- */

/* float32, as a name or as a policy. */
static ax_status check_type(const struct keras *k, struct ax_err *err)
{
    const json_t *v = json_object_get(k->config, "dtype");

    if (json_is_object(v))
        v = json_object_get(json_object_get(v, "config"), "name");
    if (known(v) &&
        (!json_is_string(v) || strcmp(json_string_value(v), "float32") != 0))
        return keras_refuse(k, err, "a type other than float32");
    if (strcmp(keras_text(k, "data_format", "channels_last"),
               "channels_last") != 0)
        return keras_refuse(k, err, "data_format other than channels_last");
    return AX_OK;
}

ax_status keras_begin(struct keras *k, json_t *layer, struct ax_err *err)
{
    const json_t *class = json_object_get(layer, "class_name");
    const char *name;

    k->config = json_object_get(layer, "config");
    k->group = 0;
    k->n_weights = k->n_used = 0;
    if (!json_is_string(class) || !json_is_object(k->config))
        return ax_fail(err, AX_EFORMAT,
                       "a layer has no class or no "
                       "configuration");
    k->class = json_string_value(class);
    name = json_string_value(json_object_get(layer, "name"));
    if (!name)
        name = json_string_value(json_object_get(k->config, "name"));
    if (!name || !*name || strlen(name) >= sizeof k->name)
        return ax_fail(err, AX_EFORMAT, "a layer (%.40s) has no name",
                       k->class);
    snprintf(k->name, sizeof k->name, "%s", name);
    k->a.name = k->name;
    AX_TRY(check_type(k, err));
    k->group = hdf5_find(&k->h, k->weights, hdf5_name(k->name));
    if (k->group &&
        hdf5_attribute(&k->h, k->group, "weight_names", &k->weight_names))
        k->n_weights = k->weight_names.fixed || k->weight_names.varying
                           ? k->weight_names.count
                           : 0;
    if (k->h.bad)
        return ax_fail(err, AX_EFORMAT,
                       "layer '%.60s': the file is malformed", k->name);
    return AX_OK;
}

ax_status keras_end(struct keras *k, struct ax_err *err)
{
    if (k->n_used != k->n_weights)
        return keras_refuse(k, err, "%zu weights, of which %zu are used,",
                            k->n_weights, k->n_used);
    return AX_OK;
}

/* ---- weights ---- */

/* Is it the last part of a name, "a/b/kernel:0"? */
static bool names(struct hdf5_text t, const char *what)
{
    size_t n = strlen(what), end = t.n;

    for (size_t i = 0; i < t.n; i++)
        if (t.s[i] == ':')
            end = i;
    return end >= n && memcmp(t.s + end - n, what, n) == 0 &&
           (end == n || t.s[end - n - 1] == '/');
}

ax_status keras_weight(struct keras *k, struct keras_weight *w,
                       const char *what, int rank, struct ax_err *err)
{
    uint64_t object = 0;

    for (size_t i = 0; i < k->n_weights && !object; i++) {
        struct hdf5_text t = hdf5_text_at(&k->h, &k->weight_names, i);

        if (t.s && names(t, what))
            object = hdf5_find(&k->h, k->group, t);
    }
    snprintf(w->what, sizeof w->what, "%s", what);
    if (!object)
        return ax_fail(err, AX_EFORMAT,
                       "layer '%.60s' (%.40s) has no weight '%s'", k->name,
                       k->class, what);
    if (!hdf5_dataset(&k->h, object, &w->a) || w->a.dtype != AX_F32)
        return keras_refuse(k, err,
                            "weight '%s', which is not float32 in "
                            "one piece,",
                            what);
    if (w->a.rank != rank)
        return ax_fail(
            err, AX_EFORMAT,
            "layer '%.60s' (%.40s): weight '%s' has %d dimensions, "
            "not %d",
            k->name, k->class, what, w->a.rank, rank);
    k->n_used++;
    return AX_OK;
}

ax_status keras_constant(struct keras *k, uint32_t *v,
                         const struct keras_weight *w, const int *perm,
                         int rank, const int64_t *dims, struct ax_err *err)
{
    struct ax_tensor t;

    k->copied += 4 * w->a.count;
    if (k->copied / 8 > k->h.n)
        return ax_fail(err, AX_EFORMAT,
                       "weights that share bytes take more "
                       "than 8 times what the file has");
    AX_TRY(ax_tensor_new(&t, AX_F32, rank, dims, err));
    if (t.nbytes != 4 * w->a.count) {
        ax_tensor_free(&t);
        return ax_fail(err, AX_EFORMAT,
                       "layer '%.60s' (%.40s): weight '%s' has %zu elements",
                       k->name, k->class, w->what, w->a.count);
    }
    if (perm)
        window_reorder(t.data, w->a.data, 4, w->a.dims, w->a.rank, perm);
    else if (t.nbytes)
        memcpy(t.data, w->a.data, t.nbytes);
    return arch_constant(&k->a, v, k->name, w->what, &t, err);
}

ax_status keras_vector(struct keras *k, uint32_t *v, const char *what,
                       bool has, int64_t n, double otherwise,
                       struct ax_err *err)
{
    struct keras_weight w;

    if (!has)
        return arch_number(&k->a, v, what, 1, &n, otherwise, err);
    AX_TRY(keras_weight(k, &w, what, 1, err));
    return keras_constant(k, v, &w, NULL, 1, &n, err);
}
