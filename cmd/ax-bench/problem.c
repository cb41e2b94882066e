/* The table of problems, and those that are commands of the suite, run as
 * whole processes. */
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "common/run.h"

static const struct {
    const char *name, *words, *what;
    ax_status (*make)(struct task *t, struct context *c, struct words *w,
                      struct ax_err *err);
} problems[] = {
    {"gemm", "f32 MxNxK [backend=cpu] [threads=1] [seed=1]",
     "a matrix product", make_gemm},
    {"gemv", "f32 NxK [backend=cpu] [threads=1] [seed=1]",
     "a matrix times a vector", make_gemv},
    {"conv",
     "f32 NxCxHxW MxCxHxW [pad=0] [stride=1] [backend=cpu] [threads=1] "
     "[seed=1]",
     "a convolution", make_conv},
    {"run", "MODEL [batch=1] [backend=cpu] [threads=1] [seed=1]",
     "a model on random inputs", make_run},
    {"bound", "LAYERS [boxes=2000] [threads=1] [seed=1]",
     "the prover's bounds on a random network, such as 5-50x6-5", make_bound},
    {"sha256", "SIZE", "the digest that identities are made of", make_sha256},
    {"pack", "SIZE", "write a container of random floats", make_pack},
    {"unpack", "SIZE", "read it, all digests checked", make_unpack},
    {"prove",
     "MODEL PROPERTY [cert] [check] [threads=2] [time=S] [seed=1] "
     "[expect=VERDICT]",
     "ax-prove, the whole process", make_prove},
    {"check", "MODEL [PROPERTY] [threads=2] [time=S] [expect=WORD]",
     "ax-check, the whole process", make_check},
    {"exec", "COMMAND [ARG ...]", "any command, the whole process",
     make_exec},
};

enum { N_PROBLEMS = sizeof problems / sizeof problems[0] };

static const char *const commands[] = {"prove", "check", "exec"};

static bool is_command(const char *name)
{
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcmp(name, commands[i]) == 0)
            return true;
    return false;
}

bool task_starts_program(const struct context *c, const char *line)
{
    struct words w = {0};
    struct ax_err err = {0};
    const char *name = NULL, *model;
    bool starts = true;

    if (words_split(&w, line, &err) == AX_OK)
        name = words_next(&w);
    if (name && strcmp(name, "run") == 0 && (model = words_next(&w))) {
        char *path = context_path(c, model);

        starts = !path || !scratch_is_container(path);
        free(path);
    } else if (name) {
        starts = is_command(name);
    }
    words_free(&w);
    return starts;
}

void task_list(void)
{
    for (int i = 0; i < N_PROBLEMS; i++)
        printf("%s %s\n    %s\n", problems[i].name, problems[i].words,
               problems[i].what);
}

void task_free(struct task *t)
{
    if (t->own && t->done)
        t->done(t);
    free(t->line);
    *t = (struct task){0};
}

ax_status task_new(struct task *t, struct context *c, const char *line,
                   struct ax_err *err)
{
    struct words w = {0};
    const char *name;
    ax_status st;
    int i = 0;

    *t = (struct task){.line = strdup(line), .threads = 1, .scale = 1};
    if (!t->line)
        return ax_fail(err, AX_ENOMEM, "no memory for a problem");
    st = words_split(&w, line, err);
    if (st == AX_OK) {
        name = words_next(&w);
        for (; i < N_PROBLEMS; i++)
            if (name && strcmp(name, problems[i].name) == 0)
                break;
        if (i == N_PROBLEMS)
            st = ax_fail(err, AX_EFORMAT, "no such problem; see --problems");
        else
            st = problems[i].make(t, c, &w, err);
    }
    words_free(&w);
    if (st == AX_OK)
        return AX_OK;
    task_free(t);
    return ax_fail_in(err, "problem '%.200s'", line);
}

char *context_path(const struct context *c, const char *path)
{
    const char *folder = path[0] == '/' ? "" : c->folder;
    char *s;

    return asprintf(&s, "%s%s%s", folder, folder[0] ? "/" : "", path) < 0
               ? NULL
               : s;
}

/* ---- commands ---- */

#define ARGS_MAX (WORDS_MAX + 8)

struct command {
    const char *argv[ARGS_MAX + 1];
    int n;
    char *owned[ARGS_MAX]; /* what argv points to, if it is ours */
    int n_owned;
    double limit;          /* it is killed after so many seconds; 0: never */
    bool check;            /* run ax-check on PROOF after it */
    const char *semantics; /* or NULL */
    char proof[128];
    char *env[4];
    const char *model, *property; /* borrowed from scratch */
};

static void command_done(struct task *t)
{
    struct command *c = t->own;

    for (int i = 0; i < c->n_owned; i++)
        free(c->owned[i]);
    for (int i = 0; i < 4; i++)
        free(c->env[i]);
    free(c);
}

static ax_status command_new(struct command **out, struct task *t,
                             struct ax_err *err)
{
    struct command *c = calloc(1, sizeof *c);

    if (!c)
        return ax_fail(err, AX_ENOMEM, "no memory for a problem");
    *out = t->own = c;
    t->done = command_done;
    t->process = true;
    return AX_OK;
}

/* Append an argument, which is copied. */
static ax_status arg(struct command *c, const char *s, struct ax_err *err)
{
    char *copy = strdup(s);

    if (!copy || c->n >= ARGS_MAX) {
        free(copy);
        return ax_fail(err, AX_ENOMEM, "no memory for arguments");
    }
    c->owned[c->n_owned++] = copy;
    c->argv[c->n++] = copy;
    return AX_OK;
}

static ax_status arg_number(struct command *c, const char *option, double v,
                            struct ax_err *err)
{
    char text[40];

    snprintf(text, sizeof text, "%.15g", v);
    AX_TRY(arg(c, option, err));
    return arg(c, text, err);
}

static ax_status variable(struct command *c, int i, const char *name,
                          const char *value, struct ax_err *err)
{
    if (asprintf(&c->env[i], "%s=%s", name, value) >= 0)
        return AX_OK;
    c->env[i] = NULL;
    return ax_fail(err, AX_ENOMEM, "no memory for a variable");
}

/* Model and property, ready to be read; peers are told where they are. */
static ax_status inputs(struct command *c, struct task *t,
                        struct context *ctx, const char *model,
                        const char *property, struct ax_err *err)
{
    const char *plain = NULL, *file[2] = {model, property};
    ax_status st = AX_OK;

    for (int i = 0; i < 2 && st == AX_OK && file[i]; i++) {
        char *path = context_path(ctx, file[i]);

        if (!path)
            return ax_fail(err, AX_ENOMEM, "no memory for a path");
        st = i ? scratch_get(&ctx->scratch, path, &c->property, NULL, err)
               : scratch_get(&ctx->scratch, path, &plain, &c->model, err);
        free(path);
    }
    if (st != AX_OK)
        return st;
    AX_TRY(variable(c, 0, "MODEL", plain, err));
    AX_TRY(variable(c, 1, "CONTAINER", c->model, err));
    AX_TRY(variable(c, 2, "PROPERTY", c->property ? c->property : "", err));
    for (int i = 0; i < 3; i++)
        t->env[i] = c->env[i];
    return AX_OK;
}

static ax_status expectation(struct task *t, struct words *w,
                             const char *const *allowed, struct ax_err *err)
{
    const char *s = words_value(w, "expect");

    if (!s)
        return AX_OK;
    for (; *allowed; allowed++)
        if (strcmp(*allowed, s) == 0) {
            snprintf(t->expect, sizeof t->expect, "%s", s);
            return AX_OK;
        }
    return ax_fail(err, AX_EFORMAT, "expect wants an answer, not '%s'", s);
}

static double number(const json_t *o, const char *key)
{
    return json_number_value(json_object_get(o, key));
}

/* Numbers that ax-prove gives with its verdict. */
static void numbers(struct answer *a, const char *out)
{
    json_t *o = json_loads(out, JSON_REJECT_DUPLICATES, NULL);
    const char *reason = json_string_value(json_object_get(o, "reason"));

    a->boxes = number(o, "boxes");
    a->leaves = number(o, "leaves");
    a->certificate_bytes = number(o, "certificate_bytes");
    a->prove_seconds = number(o, "seconds");
    if (reason)
        snprintf(a->why, sizeof a->why, "%s", reason);
    json_decref(o);
}

/* The answer of a command is its exit code. Any but the first three is an
 * error, and an error is never an answer. */
static void judge(struct answer *a, const struct outcome *o,
                  const char *const *words)
{
    if (o->code >= 0 && o->code <= 2) {
        snprintf(a->text, sizeof a->text, "%s", words[o->code]);
        return;
    }
    snprintf(a->text, sizeof a->text, "%s", words[2]);
    if (o->late)
        snprintf(a->why, sizeof a->why, "was killed at its limit");
    else if (o->code < 0)
        snprintf(a->why, sizeof a->why, "was killed");
    else
        snprintf(a->why, sizeof a->why, "exit %d: %.120s", o->code, o->said);
}

static const char *const verdicts[] = {"holds", "violated", "unknown", NULL};
static const char *const checks[] = {"accepted", "rejected", "undecided",
                                     NULL};

static ax_status check_proof(struct task *t, struct command *c,
                             struct ax_err *err)
{
    const char *semantics = c->semantics ? c->semantics : "real";
    const char *argv[] = {"ax-check", "--quiet",   "--semantics", semantics,
                          c->proof,   c->property, NULL};
    struct answer a = {0};
    struct outcome o;

    AX_TRY(process_run(&o, argv, NULL, 0, err));
    judge(&a, &o, checks);
    memcpy(t->answer.checked, a.text, sizeof t->answer.checked);
    if (a.why[0])
        memcpy(t->answer.why, a.why, sizeof t->answer.why);
    t->answer.check_seconds = o.seconds;
    outcome_free(&o);
    return AX_OK;
}

static ax_status prove_run(struct task *t, struct ax_err *err)
{
    struct command *c = t->own;
    struct outcome o;

    t->answer = (struct answer){0};
    AX_TRY(process_run(&o, c->argv, NULL, c->limit, err));
    t->seconds = o.seconds;
    judge(&t->answer, &o, verdicts);
    t->answer.rss_kib = o.rss_kib;
    if (o.code >= 0 && o.code <= 2)
        numbers(&t->answer, o.out);
    outcome_free(&o);
    if (c->check && strcmp(t->answer.text, "unknown") != 0)
        AX_TRY(check_proof(t, c, err));
    if (c->proof[0])
        unlink(c->proof);
    return AX_OK;
}

ax_status make_prove(struct task *t, struct context *ctx, struct words *w,
                     struct ax_err *err)
{
    bool check = words_flag(w, "check") || ctx->certificates;
    bool cert = words_flag(w, "cert") || check;
    const char *model = words_next(w), *property = words_next(w);
    int64_t threads = ctx->threads, seed = 1;
    double seconds = 0;
    struct command *c = NULL;

    if (!property)
        return ax_fail(err, AX_EFORMAT, "wants a model and a property");
    AX_TRY(words_int(&threads, w, "threads", 1, PEAK_THREADS, err));
    AX_TRY(words_int(&seed, w, "seed", 0, INT64_MAX, err));
    AX_TRY(words_real(&seconds, w, "time", 1e9, err));
    AX_TRY(expectation(t, w, verdicts, err));
    AX_TRY(words_end(w, err));
    AX_TRY(command_new(&c, t, err));
    AX_TRY(inputs(c, t, ctx, model, property, err));
    t->threads = (int)threads;
    t->run = prove_run;
    t->decides = true;
    c->check = check;
    c->semantics = ctx->semantics;
    if (seconds > 0) /* its limit is its own; this one is for a hang */
        c->limit = 1.2 * seconds + 5;
    AX_TRY(arg(c, "ax-prove", err));
    AX_TRY(arg(c, "--json", err));
    AX_TRY(arg_number(c, "-j", (double)threads, err));
    AX_TRY(arg_number(c, "--seed", (double)seed, err));
    if (seconds > 0)
        AX_TRY(arg_number(c, "-t", seconds, err));
    if (c->semantics) {
        AX_TRY(arg(c, "--semantics", err));
        AX_TRY(arg(c, c->semantics, err));
    }
    if (cert) {
        AX_TRY(scratch_name(&ctx->scratch, c->proof, sizeof c->proof,
                            "proof.axm", err));
        AX_TRY(arg(c, "--cert", err));
        AX_TRY(arg(c, "-o", err));
        AX_TRY(arg(c, c->proof, err));
    }
    AX_TRY(arg(c, "-p", err));
    AX_TRY(arg(c, c->property, err));
    return arg(c, c->model, err);
}

static ax_status check_run(struct task *t, struct ax_err *err)
{
    struct command *c = t->own;
    struct outcome o;

    t->answer = (struct answer){0};
    AX_TRY(process_run(&o, c->argv, NULL, c->limit, err));
    t->seconds = o.seconds;
    judge(&t->answer, &o, checks);
    t->answer.rss_kib = o.rss_kib;
    outcome_free(&o);
    return AX_OK;
}

ax_status make_check(struct task *t, struct context *ctx, struct words *w,
                     struct ax_err *err)
{
    const char *model = words_next(w), *property = words_next(w);
    double seconds = 0;
    struct command *c = NULL;

    if (!model)
        return ax_fail(err, AX_EFORMAT, "wants a container");
    AX_TRY(words_real(&seconds, w, "time", 1e9, err));
    AX_TRY(expectation(t, w, checks, err));
    AX_TRY(words_end(w, err));
    AX_TRY(command_new(&c, t, err));
    AX_TRY(inputs(c, t, ctx, model, property, err));
    t->threads = 1;
    t->run = check_run;
    c->limit = seconds;
    AX_TRY(arg(c, "ax-check", err));
    AX_TRY(arg(c, c->model, err));
    return c->property ? arg(c, c->property, err) : AX_OK;
}

static ax_status exec_run(struct task *t, struct ax_err *err)
{
    struct command *c = t->own;
    struct outcome o;

    AX_TRY(process_run(&o, c->argv, NULL, 0, err));
    t->seconds = o.seconds;
    t->answer.rss_kib = o.rss_kib;
    snprintf(t->answer.text, sizeof t->answer.text,
             o.code < 0 ? "killed" : "exit %d", o.code);
    if (o.code != 0)
        snprintf(t->answer.why, sizeof t->answer.why, "%s", o.said);
    outcome_free(&o);
    return AX_OK;
}

/* Every word is the command's, whatever it looks like. */
ax_status make_exec(struct task *t, struct context *ctx, struct words *w,
                    struct ax_err *err)
{
    struct command *c = NULL;

    (void)ctx;
    if (w->n < 2)
        return ax_fail(err, AX_EFORMAT, "wants a command");
    AX_TRY(command_new(&c, t, err));
    t->run = exec_run;
    for (int i = 1; i < w->n; i++)
        AX_TRY(arg(c, w->v[i], err));
    return AX_OK;
}
