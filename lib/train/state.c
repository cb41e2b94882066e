/* What of a trainer goes into the model, and into a checkpoint. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "train/net.h"

static void drop_attachments(struct ax_model *m)
{
    for (uint32_t i = 0; i < m->n_attachments; i++) {
        free(m->attachments[i].type);
        free(m->attachments[i].name);
        free(m->attachments[i].data);
    }
    free(m->attachments);
    m->attachments = NULL;
    m->n_attachments = 0;
    m->has_identity = false;
}

static void give(struct ax_model *m, struct weight *w)
{
    struct ax_tensor *to = &m->tensors[w->tensor];

    if (to->owned)
        free(to->data);
    to->data = w->w; /* others may be mapped, read only */
    to->owned = true;
    w->w = NULL;
}

void ax_trainer_store(struct ax_trainer *t)
{
    for (size_t k = 0; k < t->n_weights; k++)
        give(t->model, &t->weights[k]);
    for (size_t k = 0; k < t->n_kept; k++)
        give(t->model, &t->kept[k]);
    drop_attachments(t->model);
}

static ax_status copy_to(struct ax_model *m, const struct weight *w,
                         struct ax_err *err)
{
    struct ax_tensor *to = &m->tensors[w->tensor];

    if (!to->owned) {
        void *copy = train_floats(w->n);

        if (!copy)
            return ax_fail(err, AX_ENOMEM, "no memory for %zu weights", w->n);
        to->data = copy;
        to->owned = true;
    }
    memcpy(to->data, w->w, w->n * sizeof *w->w);
    return AX_OK;
}

ax_status ax_trainer_publish(struct ax_trainer *t, struct ax_err *err)
{
    for (size_t k = 0; k < t->n_weights; k++)
        AX_TRY(copy_to(t->model, &t->weights[k], err));
    for (size_t k = 0; k < t->n_kept; k++)
        AX_TRY(copy_to(t->model, &t->kept[k], err));
    drop_attachments(t->model);
    return AX_OK;
}

/* The number of steps, then of each weight its size, both moments, and the
 * mean if there is one. */

#define WORD sizeof(uint64_t)

static void put_word(unsigned char *out, uint64_t v)
{
    for (size_t i = 0; i < WORD; i++)
        out[i] = (unsigned char)(v >> (8 * i));
}

static uint64_t get_word(const unsigned char *in)
{
    uint64_t v = 0;

    for (size_t i = WORD; i-- > 0;)
        v = v << 8 | in[i];
    return v;
}

static size_t arrays(const struct ax_trainer *t)
{
    return t->opt.average > 0 ? 3 : 2;
}

size_t ax_trainer_state_size(const struct ax_trainer *t)
{
    size_t n = WORD;

    for (size_t k = 0; k < t->n_weights; k++)
        n += WORD + arrays(t) * t->weights[k].n * sizeof(float);
    return n;
}

void ax_trainer_state_get(const struct ax_trainer *t, unsigned char *out)
{
    put_word(out, t->count);
    out += WORD;
    for (size_t k = 0; k < t->n_weights; k++) {
        const struct weight *w = &t->weights[k];
        size_t bytes = w->n * sizeof(float);

        put_word(out, w->n);
        memcpy(out + WORD, w->first, bytes);
        memcpy(out + WORD + bytes, w->second, bytes);
        if (w->mean)
            memcpy(out + WORD + 2 * bytes, w->mean, bytes);
        out += WORD + arrays(t) * bytes;
    }
}

ax_status ax_trainer_state_set(struct ax_trainer *t, const unsigned char *in,
                               size_t n, struct ax_err *err)
{
    if (n != ax_trainer_state_size(t))
        return ax_fail(err, AX_EFORMAT,
                       "a state of %zu bytes, this network has one of %zu", n,
                       ax_trainer_state_size(t));
    t->count = get_word(in);
    in += WORD;
    for (size_t k = 0; k < t->n_weights; k++) {
        const struct weight *w = &t->weights[k];
        size_t bytes = w->n * sizeof(float);

        if (get_word(in) != w->n)
            return ax_fail(err, AX_EFORMAT,
                           "a state of %" PRIu64 " weights where %zu are",
                           get_word(in), w->n);
        memcpy(w->first, in + WORD, bytes);
        memcpy(w->second, in + WORD + bytes, bytes);
        if (w->mean)
            memcpy(w->mean, in + WORD + 2 * bytes, bytes);
        in += WORD + arrays(t) * bytes;
    }
    return AX_OK;
}
