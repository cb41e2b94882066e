/* One property of one network: read, decided, and what shows it. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "ax/query.h"
#include "prove.h"

void finding_free(struct finding *f)
{
    free(f->text);
    free(f->payload);
    free(f->result.x);
    free(f->y);
    *f = (struct finding){0};
}

void job_free(struct job *j)
{
    cmd_out_discard(&j->trace);
    cmd_out_discard(&j->open);
    execution_free(j);
    ax_certifier_free(j->certifier);
    ax_prop_free(j->prop);
    ax_net_free(j->net);
    ax_model_free(j->model);
    ax_model_free(j->base);
    ax_model_free(j->other);
    free(j->data);
    ready_free(j->ready);
    query_free(j->query);
    finding_free(&j->found);
}

/* Whatever the search believes that it uses. Sanitizers map more than any
 * limit allows. */
void limit_memory(int64_t mib)
{
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    struct rlimit limit;

    if (getrlimit(RLIMIT_DATA, &limit) == 0 &&
        (limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur > (rlim_t)mib
                                                                 << 20)) {
        limit.rlim_cur = (rlim_t)mib << 20;
        (void)setrlimit(RLIMIT_DATA, &limit);
    }
#else
    (void)mib;
#endif
}

/* ---- watching ---- */

static void show(void *self, const struct ax_prove_stats *s)
{
    struct job *j = self;

    cmd_progress(&j->progress,
                 "%s%s%.0f s  %" PRIu64 " closed (%.0f boxes/s)  %" PRIu64
                 " open  depth %u  %.4g%% proved  bound %.3g",
                 j->task ? j->task : "", j->task ? ": " : "", s->seconds,
                 s->leaves,
                 s->seconds > 0 ? (double)s->boxes / s->seconds : 0, s->open,
                 s->depth, 100 * s->done, s->bound);
}

double job_clock(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* One box a line, for pictures and for people who look for the reason. */
static ax_status trace_step(void *self, const struct ax_step *s,
                            struct ax_err *err)
{
    struct job *j = self;
    FILE *f = j->trace.f;

    fprintf(f, "{\"group\":%u,\"box\":%" PRIu64 ",\"depth\":%u,\"ms\":%.3f",
            s->group, s->id, s->depth, 1e3 * (job_clock() - j->began));
    if (s->kind == AX_STEP_NEURON || s->kind == AX_STEP_FORK)
        fprintf(f, ",\"%s\":%u,\"child\":%" PRIu64,
                s->kind == AX_STEP_NEURON ? "neuron" : "fork", s->dim,
                s->child);
    if (s->kind == AX_STEP_SPLIT)
        fprintf(f, ",\"split\":%u,\"at\":%.17g,\"child\":%" PRIu64, s->dim,
                ldexp((double)s->value, -s->p), s->child);
    fprintf(f, ",\"bound\":%.9g", s->bound);
    for (int side = 0; side < 2; side++) {
        fprintf(f, ",\"%s\":[", side ? "hi" : "lo");
        for (uint32_t i = 0; i < j->prop->n_x; i++)
            fprintf(f, "%s%.17g", i ? "," : "",
                    ldexp((double)(side ? s->hi : s->lo)[i], -s->p));
        fputc(']', f);
    }
    fputs("}\n", f);
    if (ferror(f))
        return ax_fail(err, AX_EIO, "the trace cannot be written");
    return AX_OK;
}

/* ---- reading ---- */

/* Without -p the property that travels with the model is meant. */
static ax_status read_property(struct job *j, const char *path,
                               struct ax_err *err)
{
    const struct ax_attachment *found = NULL;

    if (path)
        return input_read(&j->found.text, &j->found.n_text, path,
                          PROPERTY_MAX, err);
    for (uint32_t i = 0; i < j->model->n_attachments; i++) {
        const struct ax_attachment *a = &j->model->attachments[i];

        if (strcmp(a->type, "property") != 0)
            continue;
        if (found)
            return ax_fail(err, AX_EUSAGE,
                           "the model carries several properties: give one "
                           "with -p");
        found = a;
    }
    if (!found)
        return ax_fail(err, AX_EUSAGE,
                       "no property: give one with -p FILE.vnnlib");
    j->found.text = malloc(found->n + 1);
    if (!j->found.text)
        return ax_fail(err, AX_ENOMEM, "no memory for the property");
    memcpy(j->found.text, found->data, found->n);
    j->found.n_text = found->n;
    return AX_OK;
}

/* A network beyond the exact arithmetic has no verdict: that is an answer,
 * with its reason, not an error. */
static ax_status no_verdict(struct job *j, struct ax_err *err)
{
    j->found.result.engine = "none";
    snprintf(j->found.result.reason, sizeof j->found.result.reason, "%.255s",
             err->msg);
    *err = (struct ax_err){0};
    return AX_UNDECIDED;
}

ax_status job_read(struct job *j, const struct args *a, struct ax_err *err)
{
    bool ready = is_ready(a->property);
    ax_status st = AX_OK;

    AX_TRY(a->foreign ? input_model(&j->model, &j->data, a->model, err)
                      : cmd_model_read(&j->model, a->model, err));
    if (ready)
        st = ready_model(j, a->property, err);
    else
        AX_TRY(read_property(j, a->property, err));
    if (!ready && ax_query_is((char *)j->found.text, j->found.n_text))
        st = query_bind(j, a, err);
    else if (a->networks.n)
        return ax_fail(err, AX_EUSAGE,
                       "--network is for a query of VNN-LIB 2.0");
    AX_TRY(ax_model_identity(j->identity, j->model, err));
    if (a->print_model && st == AX_OK)
        return AX_OK;
    if (st == AX_OK)
        st = ax_net_lower(&j->net, j->model, err);
    if (st == AX_EUNSUPPORTED && !a->print_property && !a->print_model)
        st = no_verdict(j, err);
    else if (st != AX_OK && st != AX_EUSAGE)
        ax_fail_in(err, "%s", cmd_in_name(a->model));
    if (st == AX_OK && ready)
        st = ready_text(j, err);
    return st;
}

/* ---- deciding ---- */

static ax_status read_strategy(enum ax_strategy *out, const char *text,
                               struct ax_err *err)
{
    static const char *const names[] = {[AX_STRATEGY_AUTO] = "auto",
                                        [AX_STRATEGY_INPUT] = "input",
                                        [AX_STRATEGY_NEURON] = "neuron"};

    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        if (!text || strcmp(text, names[i]) == 0) {
            *out = (enum ax_strategy)i;
            return AX_OK;
        }
    return ax_fail(err, AX_EUSAGE,
                   "--strategy wants auto, input or neuron, not '%.40s'",
                   text);
}

enum ax_semantics semantics_of(const struct args *a)
{
    bool floats = a->semantics && strcmp(a->semantics, "ieee32") == 0;

    return floats ? AX_SEMANTICS_IEEE32 : AX_SEMANTICS_REAL;
}

static ax_status search(struct job *j, const struct args *a,
                        struct ax_err *err)
{
    ax_status st;
    struct ax_sink sinks[3] = {{0}};
    int n = 0;
    struct ax_prove_options opt = {
        .semantics = semantics_of(a),
        .threads = (int)a->threads,
        .seconds = a->seconds,
        .bytes = (size_t)a->memory_mib << 20,
        .max_boxes = (uint64_t)a->max_boxes,
        .seed = (uint64_t)a->seed,
        .no_attack = a->no_attack,
        .sinks = sinks,
        .progress = j->progress.on ? show : NULL,
        .progress_self = j,
    };

    AX_TRY(read_strategy(&opt.strategy, a->strategy, err));
    AX_TRY(execution_new(j, err));
    opt.execution = j->execution.self ? &j->execution : NULL;
    if (a->cert || a->check || a->resume) {
        AX_TRY(ax_certifier_new(&j->certifier, j->prop, opt.semantics, err));
        sinks[n++] = ax_certifier_sink(j->certifier);
    }
    if (a->resumed)
        AX_TRY(resume_read(j, a, &opt, err));
    if (a->resume) /* now: it must not fail after hours */
        AX_TRY(cmd_out_open(&j->open, a->resume, 0, err));
    if (a->trace) {
        AX_TRY(cmd_out_open(&j->trace, a->trace, 0, err));
        j->began = job_clock();
        sinks[n++] = (struct ax_sink){trace_step, j};
    }
    st = ax_prove(&j->found.result, j->net, j->prop, &opt, err);
    if (st == AX_ENOMEM) { /* a limit, like the others */
        snprintf(j->found.result.reason, sizeof j->found.result.reason,
                 "the memory limit was reached: %.200s", err->msg);
        j->found.result.verdict = AX_UNKNOWN;
        *err = (struct ax_err){0};
    } else if (st != AX_OK) {
        return st;
    }
    if (a->resume && j->found.result.verdict == AX_UNKNOWN)
        AX_TRY(resume_write(j, a, &opt, err));
    return a->trace ? cmd_out_commit(&j->trace, err) : AX_OK;
}

/* The outputs at a counterexample: the exact ones, or those of its
 * execution. */
static ax_status outputs(struct job *j, enum ax_semantics semantics,
                         struct ax_err *err)
{
    struct finding *f = &j->found;
    float *y;
    ax_status st;

    if (semantics == AX_SEMANTICS_REAL)
        return ax_net_exact(j->net, f->result.x, f->y, err);
    y = calloc(f->n_y + 1u, sizeof *y);
    if (!y)
        return ax_fail(err, AX_ENOMEM, "no memory for the outputs");
    st = j->execution.run(j->execution.self, f->result.x, y, err);
    for (uint32_t i = 0; i < f->n_y; i++)
        f->y[i] = (double)y[i];
    free(y);
    return st;
}

/* What certificate or counterexample says. */
static ax_status evidence(struct job *j, const struct args *a,
                          struct ax_err *err)
{
    struct finding *f = &j->found;
    const struct ax_prove_result *r = &f->result;

    if (r->verdict == AX_HOLDS && (a->cert || a->check))
        return ax_certifier_write(&f->payload, &f->n_payload, j->certifier,
                                  j->identity, err);
    if (r->verdict != AX_VIOLATED)
        return AX_OK;
    f->n_y = j->net->nodes[j->net->n_nodes - 1].n;
    f->y = calloc(f->n_y + 1u, sizeof *f->y);
    if (!f->y)
        return ax_fail(err, AX_ENOMEM, "no memory for the outputs");
    AX_TRY(outputs(j, semantics_of(a), err));
    return ax_counterexample_write(&f->payload, &f->n_payload, r->x,
                                   j->prop->n_x, semantics_of(a), j->identity,
                                   f->digest, err);
}

ax_status job_decide(struct job *j, const struct args *a, struct ax_err *err)
{
    struct finding *f = &j->found;
    ax_status st;

    ax_sha256(f->digest, f->text, f->n_text);
    st = ax_prop_read(&j->prop, (const char *)f->text, f->n_text,
                      j->net->nodes[0].n,
                      j->net->nodes[j->net->n_nodes - 1].n, err);
    if (st != AX_OK)
        return ax_fail_in(err, "%s",
                          a->property ? cmd_in_name(a->property)
                                      : "attached property");
    f->n_x = j->prop->n_x;
    st = search(j, a, err);
    if (st == AX_OK)
        st = evidence(j, a, err);
    ax_certifier_free(j->certifier);
    j->certifier = NULL;
    ax_prop_free(j->prop);
    j->prop = NULL;
    return st;
}
