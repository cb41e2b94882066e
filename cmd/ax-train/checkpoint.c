/* Checkpoints: a container of the weights so far, with an attachment of type
 * "training-state":
 *
 *     32 bytes  digest of all that the run depends on
 *      8 bytes  epoch, from 0
 *      8 bytes  rows of it that are done
 *      8 bytes  their loss, a float64
 *      8 bytes  the least loss over the test rows, a float64
 *      8 bytes  epochs since then
 *     the rest  moments: ax_trainer_state_get
 *
 * Numbers are little-endian. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "ax-train/job.h"
#include "common/file.h"
#include "common/model.h"

#define TYPE "training-state"
#define HEAD (32 + 5 * 8)

/* Room for all numbers as text, and the digests of all files. */
#define TEXT 2048

static void add_digest(char *text, const unsigned char digest[32])
{
    size_t n = strlen(text);
    char hex[65];

    ax_hex32(hex, digest);
    snprintf(text + n, TEXT - n, " %s", hex);
}

/* What other arguments would change: not threads, nor where things are. */
static void digest_of_run(unsigned char out[32], const struct job *j)
{
    const struct args *a = j->args;
    const struct ax_train_options *o = &a->opt;
    const char *freeze = o->freeze ? o->freeze : "";
    unsigned char frozen[32];
    char text[TEXT];

    snprintf(text, TEXT,
             "ax-train 1 %d %d %s %" PRId64 " %" PRId64 " %" PRId64
             " %a %a %a %a %a %a %d %a %a %a %a %a %a %d %a %a %a %" PRId64
             " %zu %d %a %" PRId64,
             (int)o->loss, (int)o->optimiser, a->schedule, a->epochs, a->seed,
             a->batch, a->rate, a->scale, a->robust, a->robust_share,
             a->robust_ramp, o->momentum, (int)o->nesterov, o->beta1,
             o->beta2, o->epsilon, o->decay, o->clip, o->smoothing,
             o->freeze != NULL, o->average, a->warm_up, a->step_factor,
             a->step_epochs, a->augment.crop, (int)a->augment.flip,
             a->augment.noise, a->patience);
    ax_sha256(frozen, freeze, strlen(freeze));
    add_digest(text, frozen);
    if (j->had_identity)
        add_digest(text, j->identity);
    for (size_t i = 0; i < j->files.n; i++)
        add_digest(text, j->files.v[i].sha256);
    ax_sha256(out, text, strlen(text));
}

static void put_word(unsigned char *out, uint64_t v)
{
    for (int i = 0; i < 8; i++)
        out[i] = (unsigned char)(v >> (8 * i));
}

static uint64_t get_word(const unsigned char *in)
{
    uint64_t v = 0;

    for (int i = 8; i-- > 0;)
        v = v << 8 | in[i];
    return v;
}

static ax_status attach(struct job *j, struct ax_err *err)
{
    size_t n = HEAD + ax_trainer_state_size(j->trainer);
    unsigned char *state = malloc(n);
    uint64_t loss, best;
    ax_status st;

    if (!state)
        return ax_fail(err, AX_ENOMEM, "no memory for a checkpoint");
    memcpy(&loss, &j->at.loss, sizeof loss);
    memcpy(&best, &j->at.best, sizeof best);
    digest_of_run(state, j);
    put_word(state + 32, (uint64_t)j->at.epoch);
    put_word(state + 40, j->at.row);
    put_word(state + 48, loss);
    put_word(state + 56, best);
    put_word(state + 64, (uint64_t)j->at.waited);
    ax_trainer_state_get(j->trainer, state + HEAD);
    st = ax_model_attach(j->model, TYPE, "ax-train", state, n, err);
    free(state);
    return st;
}

ax_status checkpoint_write(struct job *j, struct ax_err *err)
{
    if (!j->args->checkpoint)
        return AX_OK;
    AX_TRY(ax_trainer_publish(j->trainer, err));
    AX_TRY(attach(j, err));
    return cmd_model_write(j->model, j->args->checkpoint, AX_PROFILE_ZSTD,
                           CMD_OUT_FORCE, err);
}

ax_status checkpoint_read(struct job *j, struct ax_err *err)
{
    const char *path = j->args->resume;
    struct ax_model *m = NULL;
    uint32_t i;

    AX_TRY(cmd_model_read(&m, path, err));
    ax_model_free(j->model);
    j->model = m;
    for (i = 0; i < m->n_attachments; i++)
        if (strcmp(m->attachments[i].type, TYPE) == 0 &&
            m->attachments[i].n > HEAD)
            break;
    if (i == m->n_attachments)
        return ax_fail(err, AX_EFORMAT, "%s: is no checkpoint",
                       cmd_in_name(path));
    j->n_state = m->attachments[i].n;
    j->state = malloc(j->n_state);
    if (!j->state)
        return ax_fail(err, AX_ENOMEM, "no memory for a checkpoint");
    memcpy(j->state, m->attachments[i].data, j->n_state);
    return AX_OK;
}

static ax_status resume(struct job *j, struct ax_err *err)
{
    uint64_t epoch = get_word(j->state + 32), row = get_word(j->state + 40);
    uint64_t loss = get_word(j->state + 48), best = get_word(j->state + 56);
    uint64_t waited = get_word(j->state + 64);
    unsigned char digest[32];

    digest_of_run(digest, j);
    if (memcmp(digest, j->state, sizeof digest) != 0)
        return ax_fail(err, AX_EFORMAT,
                       "is of a run with other arguments, data or start");
    if (epoch > (uint64_t)j->args->epochs || row >= j->train.rows ||
        waited > epoch)
        return ax_fail(err, AX_EFORMAT,
                       "is at epoch %" PRIu64 ", row %" PRIu64, epoch, row);
    j->at.epoch = (int64_t)epoch;
    j->at.row = (size_t)row;
    j->at.waited = (int64_t)waited;
    memcpy(&j->at.loss, &loss, sizeof loss);
    memcpy(&j->at.best, &best, sizeof best);
    return ax_trainer_state_set(j->trainer, j->state + HEAD,
                                j->n_state - HEAD, err);
}

ax_status checkpoint_resume(struct job *j, struct ax_err *err)
{
    return resume(j, err) == AX_OK
               ? AX_OK
               : ax_fail_in(err, "%s", cmd_in_name(j->args->resume));
}
