/* ax-prove - decide a property of a network. See man/ax-prove.1. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ax/model.h"
#include "ax/net.h"
#include "ax/prove.h"
#include "ax/tensorfile.h"
#include "common/json.h"
#include "common/model.h"
#include "common/progress.h"
#include "common/run.h"
#include "common/sandbox.h"

#define PROPERTY_MAX ((size_t)1 << 30)

struct args {
    const char *model, *property, *out, *trace, *strategy;
    bool cert, json, no_attack, check, require, force, print_property;
    int64_t threads, memory_mib, seed, max_boxes;
    double seconds;
    char **argv;
};

/* What is being worked on; everything is owned. */
struct job {
    struct ax_model *model;
    struct ax_net *net;
    struct ax_prop *prop;
    struct ax_certifier *certifier;
    unsigned char *text;
    size_t n_text;
    unsigned char identity[32], digest[32];
    unsigned char *payload; /* certificate or counterexample */
    size_t n_payload;
    struct ax_prove_result result;
    double *y; /* outputs at the counterexample */
    uint32_t n_y;
    struct cmd_progress progress;
    struct cmd_out trace;
    double began;
};

static void job_free(struct job *j)
{
    cmd_out_discard(&j->trace);
    ax_certifier_free(j->certifier);
    ax_prop_free(j->prop);
    ax_net_free(j->net);
    ax_model_free(j->model);
    free(j->text);
    free(j->payload);
    free(j->result.x);
    free(j->y);
}

/* ---- watching ---- */

static void show(void *self, const struct ax_prove_stats *s)
{
    struct job *j = self;

    cmd_progress(&j->progress,
                 "%.0f s  %" PRIu64 " closed (%.0f boxes/s)  %" PRIu64
                 " open  depth %u  %.4g%% proved  bound %.3g",
                 s->seconds, s->leaves,
                 s->seconds > 0 ? (double)s->boxes / s->seconds : 0, s->open,
                 s->depth, 100 * s->done, s->bound);
}

static double seconds(void)
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
            s->group, s->id, s->depth, 1e3 * (seconds() - j->began));
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

/* ---- the work ---- */

/* Without -p the property that travels with the model is meant. */
static ax_status read_property(struct job *j, const char *path,
                               struct ax_err *err)
{
    const struct ax_attachment *found = NULL;

    if (path)
        return cmd_in_read(&j->text, &j->n_text, path, PROPERTY_MAX, err);
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
    j->text = malloc(found->n + 1);
    if (!j->text)
        return ax_fail(err, AX_ENOMEM, "no memory for the property");
    memcpy(j->text, found->data, found->n);
    j->n_text = found->n;
    return AX_OK;
}

/* ---- properties that need no file ---- */

#define ROBUST "robust:"

static bool is_ready(const char *property)
{
    return property && strncmp(property, ROBUST, strlen(ROBUST)) == 0;
}

/* The numbers of an array of any kind, as float32. */
static ax_status read_input(float **x, const char *path, uint32_t n,
                            struct ax_err *err)
{
    struct ax_tensor_list list = {0};
    unsigned char *data;
    const struct ax_tensor *t;
    size_t size;
    ax_status st;

    *x = NULL;
    AX_TRY(cmd_in_read(&data, &size, path, PROPERTY_MAX, err));
    st = ax_tensorfile_read(&list, data, size, AX_F32, err);
    free(data);
    t = st == AX_OK && list.n == 1 ? &list.v[0].t : NULL;
    if (st == AX_OK && (!t || t->dtype != AX_F32))
        st = ax_fail(err, AX_EFORMAT, "one array of float32 is wanted");
    if (st == AX_OK && t->nbytes != 4 * (size_t)n)
        st = ax_fail(err, AX_ESHAPE,
                     "%zu elements, the network has %u inputs", t->nbytes / 4,
                     n);
    if (st == AX_OK && !(*x = malloc(t->nbytes + 1)))
        st = ax_fail(err, AX_ENOMEM, "no memory for an input");
    if (st == AX_OK)
        memcpy(*x, t->data, t->nbytes);
    ax_tensor_list_free(&list);
    return st == AX_OK || st == AX_ENOMEM
               ? st
               : ax_fail_in(err, "%s", cmd_in_name(path));
}

/* FILE,linf=E[,label=K][,min=A][,max=B]: cut up in place. */
static ax_status read_words(char *words, const char **path,
                            struct ax_ball *ball, struct ax_err *err)
{
    const char *label = NULL;
    char *save, *end, *word;
    const struct {
        const char *key;
        const char **value;
    } keys[] = {{"linf=", &ball->radius},
                {"min=", &ball->min},
                {"max=", &ball->max},
                {"label=", &label}};

    *ball = (struct ax_ball){.label = -1};
    *path = strtok_r(words, ",", &save);
    while ((word = strtok_r(NULL, ",", &save))) {
        size_t k = 0;

        while (k < 4 && strncmp(word, keys[k].key, strlen(keys[k].key)) != 0)
            k++;
        if (k == 4)
            return ax_fail(err, AX_EUSAGE,
                           ROBUST " knows linf=, min=, max= and label=, not "
                                  "'%.40s'",
                           word);
        *keys[k].value = word + strlen(keys[k].key);
    }
    if (!*path || !ball->radius)
        return ax_fail(err, AX_EUSAGE, ROBUST " wants FILE,linf=NUMBER");
    if (label) {
        ball->label = strtol(label, &end, 10);
        if (*end || end == label || ball->label < 0)
            return ax_fail(err, AX_EUSAGE,
                           "label= wants a number from 0 on, not '%.40s'",
                           label);
    }
    return AX_OK;
}

static ax_status make_property(struct job *j, const char *spec,
                               struct ax_err *err)
{
    char *words = strdup(spec + strlen(ROBUST)), *text = NULL;
    struct ax_ball ball;
    const char *path;
    float *x = NULL;
    ax_status st;

    if (!words)
        return ax_fail(err, AX_ENOMEM, "no memory for the property");
    st = read_words(words, &path, &ball, err);
    if (st == AX_OK)
        st = read_input(&x, path, j->net->nodes[0].n, err);
    if (st == AX_OK)
        st = ax_prop_robust(&text, &j->n_text, j->net, x, &ball, err);
    j->text = (unsigned char *)text;
    free(x);
    free(words);
    return st;
}

/* Memory beyond the limit is not to be had, whatever the search believes
 * that it uses. Sanitizers map more than any limit allows. */
static void limit_memory(int64_t mib)
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

static ax_status search(struct job *j, const struct args *a,
                        struct ax_err *err)
{
    ax_status st;
    struct ax_sink sinks[3] = {{0}};
    int n = 0;
    struct ax_prove_options opt = {
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
    if (a->cert) {
        AX_TRY(ax_certifier_new(&j->certifier, j->prop, err));
        sinks[n++] = ax_certifier_sink(j->certifier);
    }
    if (a->trace) {
        AX_TRY(cmd_out_open(&j->trace, a->trace, 0, err));
        j->began = seconds();
        sinks[n++] = (struct ax_sink){trace_step, j};
    }
    st = ax_prove(&j->result, j->net, j->prop, &opt, err);
    if (st == AX_ENOMEM) { /* a limit, like the others */
        snprintf(j->result.reason, sizeof j->result.reason,
                 "the memory limit was reached: %.200s", err->msg);
        j->result.verdict = AX_UNKNOWN;
        *err = (struct ax_err){0};
    } else if (st != AX_OK) {
        return st;
    }
    return a->trace ? cmd_out_commit(&j->trace, err) : AX_OK;
}

/* What certificate or counterexample says. */
static ax_status evidence(struct job *j, const struct args *a,
                          struct ax_err *err)
{
    const struct ax_prove_result *r = &j->result;

    if (r->verdict == AX_HOLDS && a->cert)
        return ax_certifier_write(&j->payload, &j->n_payload, j->certifier,
                                  j->identity, err);
    if (r->verdict != AX_VIOLATED)
        return AX_OK;
    j->n_y = j->net->nodes[j->net->n_nodes - 1].n;
    j->y = calloc(j->n_y + 1u, sizeof *j->y);
    if (!j->y)
        return ax_fail(err, AX_ENOMEM, "no memory for the outputs");
    AX_TRY(ax_net_exact(j->net, r->x, j->y, err));
    return ax_counterexample_write(&j->payload, &j->n_payload, r->x,
                                   j->prop->n_x, j->identity, j->digest, err);
}

/* A network beyond the exact arithmetic has no verdict: that is an answer,
 * with its reason, not an error. */
static ax_status decide(struct job *j, const struct args *a,
                        struct ax_err *err)
{
    ax_status st;

    bool ready = is_ready(a->property);

    AX_TRY(cmd_model_read(&j->model, a->model, err));
    if (!ready)
        AX_TRY(read_property(j, a->property, err));
    AX_TRY(ax_model_identity(j->identity, j->model, err));
    st = ax_net_lower(&j->net, j->model, err);
    if (st == AX_OK && ready)
        AX_TRY(make_property(j, a->property, err));
    ax_sha256(j->digest, j->text, j->n_text);
    if (a->print_property && st == AX_OK)
        return AX_OK;
    if (st == AX_EUNSUPPORTED) {
        j->result.engine = "none";
        snprintf(j->result.reason, sizeof j->result.reason, "%.255s",
                 err->msg);
        *err = (struct ax_err){0};
        return AX_OK;
    }
    if (st != AX_OK)
        return ax_fail_in(err, "%s", cmd_in_name(a->model));
    st = ax_prop_read(&j->prop, (const char *)j->text, j->n_text,
                      j->net->nodes[0].n,
                      j->net->nodes[j->net->n_nodes - 1].n, err);
    if (st != AX_OK)
        return ax_fail_in(err, "%s",
                          a->property ? cmd_in_name(a->property)
                                      : "attached property");
    AX_TRY(search(j, a, err));
    return evidence(j, a, err);
}

/* ---- the container ---- */

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

/* What the property is called where it travels. */
static const char *property_name(const char *path)
{
    if (is_ready(path))
        return "robust.vnnlib";
    return path && strcmp(path, "-") != 0 ? base_name(path)
                                          : "property.vnnlib";
}

static bool attached(const struct ax_model *m, const char *type,
                     const void *data, size_t n)
{
    for (uint32_t i = 0; i < m->n_attachments; i++) {
        const struct ax_attachment *a = &m->attachments[i];

        if (strcmp(a->type, type) == 0 && a->n == n &&
            memcmp(a->data, data, n) == 0)
            return true;
    }
    return false;
}

static ax_status attach(struct job *j, const struct args *a,
                        const struct cmd *cmd, struct ax_err *err)
{
    const char *name = property_name(a->property);
    const char *type = j->result.verdict == AX_HOLDS ? "certificate"
                                                     : "counterexample";
    struct ax_provenance_file file = {.name = name};

    memcpy(file.sha256, j->digest, sizeof file.sha256);
    if (!attached(j->model, "property", j->text, j->n_text))
        AX_TRY(ax_model_attach(j->model, "property", name, j->text, j->n_text,
                               err));
    if (j->payload && !attached(j->model, type, j->payload, j->n_payload))
        AX_TRY(ax_model_attach(j->model, type, name, j->payload, j->n_payload,
                               err));
    return cmd_model_record(j->model, cmd, j->identity, &file, 1, err);
}

/* Let ax-check, which lies beside this program or in PATH, read what was
 * written to f. */
static ax_status ask_checker(FILE *f, struct ax_err *err)
{
    char self[4096], path[4200] = "ax-check";
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    int status;
    pid_t pid;

    if (n > 0) {
        self[n] = '\0';
        if (strrchr(self, '/')) {
            *strrchr(self, '/') = '\0';
            snprintf(path, sizeof path, "%s/ax-check", self);
        }
    }
    rewind(f);
    pid = fork();
    if (pid < 0)
        return ax_fail(err, AX_EUNAVAILABLE, "ax-check cannot be started");
    if (pid == 0) {
        if (dup2(fileno(f), STDIN_FILENO) >= 0 &&
            dup2(STDERR_FILENO, STDOUT_FILENO) >= 0) {
            execl(path, "ax-check", "--quiet", "-", (char *)NULL);
            execlp("ax-check", "ax-check", "--quiet", "-", (char *)NULL);
        }
        _exit(69);
    }
    if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) ||
        WEXITSTATUS(status) == 69)
        return ax_fail(err, AX_EUNAVAILABLE, "ax-check did not answer");
    if (WEXITSTATUS(status) != 0)
        return ax_fail(err, AX_EBUG,
                       "ax-check does not accept the certificate (exit %d): "
                       "this is a fault of ours, and no verdict",
                       WEXITSTATUS(status));
    return AX_OK;
}

static ax_status check(struct job *j, struct ax_err *err)
{
    int fd = memfd_create("ax-prove", MFD_CLOEXEC);
    FILE *f = fd < 0 ? NULL : fdopen(fd, "w+b");
    ax_status st;

    if (!f) {
        if (fd >= 0)
            close(fd);
        return ax_fail(err, AX_EIO, "no temporary file for ax-check");
    }
    st = ax_model_write(j->model, f, AX_PROFILE_ZSTD, err);
    if (st == AX_OK && fflush(f))
        st = ax_fail(err, AX_EIO, "no temporary file for ax-check");
    if (st == AX_OK)
        st = ask_checker(f, err);
    fclose(f);
    return st;
}

/* ---- the answer ---- */

static void say(const struct job *j, const struct args *a, FILE *f)
{
    const struct ax_prove_result *r = &j->result;

    fprintf(f, "%s\n", ax_verdict_name(r->verdict));
    if (r->verdict == AX_UNKNOWN) {
        fputs("reason: ", f);
        cmd_text(f, r->reason);
        fputc('\n', f);
    }
    if (r->verdict == AX_HOLDS && !a->cert)
        fputs("no certificate was made: see --cert\n", f);
    for (uint32_t i = 0; r->x && i < j->prop->n_x; i++)
        fprintf(f, "X_%u %.9g\n", i, (double)r->x[i]);
    for (uint32_t i = 0; r->x && i < j->n_y; i++)
        fprintf(f, "Y_%u %.17g\n", i, j->y[i]);
}

static json_t *numbers(const double *y, const float *x, uint32_t n)
{
    json_t *list = json_array();

    for (uint32_t i = 0; i < n; i++)
        cmd_json_add(&list, json_real(x ? (double)x[i] : y[i]));
    return list;
}

static ax_status say_json(const struct job *j, struct ax_err *err)
{
    const struct ax_prove_result *r = &j->result;
    const struct ax_prove_stats *s = &r->stats;
    char identity[65], digest[65];
    json_t *o;

    ax_hex32(identity, j->identity);
    ax_hex32(digest, j->digest);
    o = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:f, s:I, s:I, s:I, s:i, s:f, s:I, s:f}",
        "verdict", ax_verdict_name(r->verdict), "semantics", "real",
        "identity", identity, "property", digest, "engine", r->engine,
        "seconds", s->seconds, "boxes", (json_int_t)s->boxes, "leaves",
        (json_int_t)s->leaves, "open", (json_int_t)s->open, "depth",
        (int)s->depth, "proved_volume",
        r->verdict == AX_HOLDS ? 1.0 : s->done, "points_tried",
        (json_int_t)s->attacks, "attack_seconds", s->attack_seconds);
    if (r->verdict == AX_UNKNOWN)
        cmd_json_put(&o, "reason", cmd_json_text(r->reason));
    if (isfinite(s->bound))
        cmd_json_put(&o, "bound", json_real(s->bound));
    if (r->verdict == AX_HOLDS)
        cmd_json_put(&o, "certificate_bytes",
                     json_integer((json_int_t)j->n_payload));
    if (r->x) {
        cmd_json_put(&o, "input", numbers(NULL, r->x, j->prop->n_x));
        cmd_json_put(&o, "output", numbers(j->y, NULL, j->n_y));
    }
    return cmd_json("ax.prove/1", o, err);
}

static ax_status answer(struct job *j, const struct args *a,
                        const struct cmd *cmd, struct ax_err *err)
{
    static const ax_status status[] = {[AX_UNKNOWN] = AX_UNDECIDED,
                                       [AX_HOLDS] = AX_OK,
                                       [AX_VIOLATED] = AX_NO};
    bool to_stdout = a->cert && (!a->out || strcmp(a->out, "-") == 0);
    ax_verdict v = j->result.verdict;

    if (a->cert || a->check)
        AX_TRY(attach(j, a, cmd, err));
    if (a->check && v != AX_UNKNOWN)
        AX_TRY(check(j, err));
    if (a->cert && (v == AX_HOLDS || !a->require))
        AX_TRY(cmd_model_write(j->model, a->out, AX_PROFILE_ZSTD,
                               a->force ? CMD_OUT_FORCE : 0, err));
    if (to_stdout)
        say(j, a, stderr);
    else if (a->json)
        AX_TRY(say_json(j, err));
    else
        say(j, a, stdout);
    return status[v];
}

int main(int argc, char **argv)
{
    struct args a = {
        .threads = sysconf(_SC_NPROCESSORS_ONLN) > 1
                       ? sysconf(_SC_NPROCESSORS_ONLN)
                       : 1,
        .memory_mib = 4096,
        .seed = 1,
    };
    const struct opt opts[] = {
        {'p', "property", "WHAT", "the property, VNN-LIB or robust:...",
         .str = &a.property},
        {'c', "cert", NULL, "attach the evidence and write the container",
         .flag = &a.cert},
        {'o', "output", "FILE",
         "write the container here, not to standard "
         "output",
         .str = &a.out},
        {0, "require", NULL, "write no container unless the property holds",
         .flag = &a.require},
        {0, "check", NULL, "let ax-check confirm the evidence first",
         .flag = &a.check},
        {'t', "time", "SECONDS", "give up after so long", .real = &a.seconds,
         .min = 0, .max = 1 << 30},
        {'m', "memory", "MIB", "give up before more memory is used",
         .num = &a.memory_mib, .min = 64, .max = 1 << 24},
        {'j', "threads", "N", "use so many threads", .num = &a.threads,
         .min = 1, .max = 1024},
        {0, "max-boxes", "N", "give up after so many boxes",
         .num = &a.max_boxes, .min = 1, .max = INT64_MAX},
        {0, "seed", "N", "of the attack", .num = &a.seed, .min = 0,
         .max = INT64_MAX},
        {0, "strategy", "WHAT", "split what: auto, input or neuron",
         .str = &a.strategy},
        {0, "print-property", NULL, "print the property's VNN-LIB, no more",
         .flag = &a.print_property},
        {0, "no-attack", NULL, "go straight to the search",
         .flag = &a.no_attack},
        {0, "trace", "FILE", "write one line of JSON for every box",
         .str = &a.trace},
        {0, "json", NULL, "print the result as JSON", .flag = &a.json},
        {'f', "force", NULL, "write the container even to a terminal",
         .flag = &a.force},
        {0},
    };
    const struct cmd cmd = {
        .name = "ax-prove",
        .summary = "decide a property of a network",
        .synopsis = "[options] -p WHAT [MODEL.axm]",
        .opts = opts,
        .max_operands = 1,
    };
    struct cmd_sandbox box = {.cmd = &cmd};
    struct job j = {0};
    struct ax_err err = {0};
    ax_status st = cmd_options(&cmd, &argc, &argv, &err);

    box.writes[0] = a.out;
    box.writes[1] = a.trace;
    box.programs = a.check;
    a.model = argc > 0 ? argv[0] : "-";
    if (st == AX_OK && a.out && !a.cert)
        st = ax_fail(&err, AX_EUSAGE, "-o is for the container: give --cert");
    if (st == AX_OK && a.json && a.cert && !a.out)
        st = ax_fail(&err, AX_EUSAGE,
                     "--json and the container cannot both go to standard "
                     "output: give -o");
    if (st == AX_OK) {
        limit_memory(a.memory_mib);
        st = cmd_sandbox_enter(&box, &err);
    }
    if (st == AX_OK) {
        cmd_progress_start(&j.progress);
        st = decide(&j, &a, &err);
        cmd_progress_end(&j.progress);
        if (st == AX_OK && a.print_property)
            fwrite(j.text, 1, j.n_text, stdout); /* cmd_finish looks */
        else if (st == AX_OK)
            st = answer(&j, &a, &cmd, &err);
    }
    job_free(&j);
    return cmd_finish(&cmd, st, &err);
}
