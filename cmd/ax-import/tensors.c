/* ax-import --tensors and --infer: the tensors of a checkpoint, and the
 * layers that they may be of. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "ax/checkpoint.h"
#include "ax/model.h"
#include "common/json.h"
#include "common/run.h"
#include "import.h"

/* SHA-256 of the elements in row-major order. */
static ax_status digest(char hex[65], const struct ax_weight *w,
                        struct ax_err *err)
{
    const unsigned char *bytes;
    unsigned char sha256[32];
    void *own;
    size_t n;

    if (ax_weight_bytes(&bytes, &own, &n, w, err) != AX_OK)
        return ax_fail_in(err, "tensor '%s'", w->name);
    ax_sha256(sha256, bytes, n);
    ax_hex32(hex, sha256);
    free(own);
    return AX_OK;
}

static ax_status text(const struct ax_checkpoint *c, struct ax_err *err)
{
    for (size_t i = 0; i < c->n; i++) {
        const struct ax_weight *w = &c->v[i];
        char hex[65];

        AX_TRY(digest(hex, w, err));
        printf("%s  %s [", hex, w->dtype);
        for (int k = 0; k < w->rank; k++)
            printf("%s%" PRId64, k ? "," : "", w->dims[k]);
        fputs("]  ", stdout);
        cmd_text(stdout, w->name);
        putchar('\n');
    }
    return AX_OK;
}

static json_t *integers(const int64_t *v, int n)
{
    json_t *list = json_array();

    for (int i = 0; i < n; i++)
        cmd_json_add(&list, json_integer(v[i]));
    return list;
}

static ax_status as_json(const struct ax_checkpoint *c, struct ax_err *err)
{
    json_t *o = json_object(), *list = json_array();

    for (size_t i = 0; i < c->n; i++) {
        const struct ax_weight *w = &c->v[i];
        json_t *t = json_object();
        char hex[65];

        if (digest(hex, w, err) != AX_OK) {
            json_decref(t);
            json_decref(list);
            json_decref(o);
            return err->code;
        }
        cmd_json_put(&t, "name", cmd_json_text(w->name));
        cmd_json_put(&t, "dtype", json_string(w->dtype));
        cmd_json_put(&t, "shape", integers(w->dims, w->rank));
        cmd_json_put(&t, "stride", integers(w->strides, w->rank));
        cmd_json_put(&t, "contiguous", json_boolean(w->contiguous));
        cmd_json_put(&t, "storage", json_integer(w->storage));
        cmd_json_put(&t, "sha256", json_string(hex));
        cmd_json_add(&list, t);
    }
    cmd_json_put(&o, "format", json_string(c->format));
    cmd_json_put(&o, "tensors", list);
    return cmd_json("ax.import.tensors/1", o, err);
}

ax_status import_tensors(const unsigned char *data, size_t n, bool json,
                         struct ax_err *err)
{
    struct ax_checkpoint c;
    ax_status st = ax_checkpoint_read(&c, data, n, err);

    if (st == AX_OK)
        st = json ? as_json(&c, err) : text(&c, err);
    ax_checkpoint_free(&c);
    return st;
}

ax_status import_infer(const unsigned char *data, size_t n,
                       struct ax_err *err)
{
    struct ax_checkpoint c;
    ax_status st = ax_checkpoint_read(&c, data, n, err);

    if (st == AX_OK)
        st = ax_checkpoint_infer(stdout, &c, err);
    ax_checkpoint_free(&c);
    return st;
}
