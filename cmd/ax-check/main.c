/* main.c - options, which claims are checked, verdicts. See ax-check(1). */
#include "island.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "0"
#endif

struct settings {
    const char *model, *property, *certificate;
    bool json, quiet, progress;
};

enum { OPT_JSON = 256, OPT_PROGRESS, OPT_HELP, OPT_VERSION, OPT_LIST };

static const struct help {
    int code; /* a letter, or one of those above */
    const char *name, *arg, *help;
} options[] = {
    {'c', "certificate", "FILE",
     "check this certificate, not those attached"},
    {'q', "quiet", NULL, "print no verdict, the exit code tells"},
    {OPT_JSON, "json", NULL, "print one JSON document"},
    {OPT_PROGRESS, "progress", NULL, "show on a terminal how far it is"},
    {OPT_HELP, "help", NULL, "print this list"},
    {OPT_VERSION, "version", NULL, "print the version"},
    {OPT_LIST, "list-options", NULL,
     "print the options, one a line, for programs"},
};
enum { N_OPTIONS = sizeof options / sizeof *options };

static const char usage[] =
    "usage: ax-check [options] MODEL.axm [PROPERTY.vnnlib]\n";

static void print_options(bool list)
{
    if (!list)
        printf("%s\ncheck the certificates and counterexamples that a model "
               "carries\n\n",
               usage);
    for (const struct help *o = options; o < options + N_OPTIONS; o++) {
        char letter[] = {'-', (char)(o->code < OPT_JSON ? o->code : '-'), 0};
        if (list)
            printf("%s\t%s\t%s\t%s\n", letter + 1, o->name,
                   o->arg ? o->arg : "-", o->help);
        else
            printf("  %2s%c --%s %-*s %s\n", o->code < OPT_JSON ? letter : "",
                   o->code < OPT_JSON ? ',' : ' ', o->name,
                   18 - (int)strlen(o->name), o->arg ? o->arg : "", o->help);
    }
}

/* End: standard output may be full, and then nothing was said. A reader that
 * went away is not worth a message. */
static _Noreturn void finish(int code)
{
    if (fflush(stdout) != 0 || ferror(stdout)) {
        if (errno != EPIPE)
            fprintf(stderr, "ax-check: standard output: %s\n",
                    strerror(errno));
        code = IO_ERROR;
    }
    exit(code);
}

static void read_options(struct settings *s, int argc, char **argv)
{
    struct option list[N_OPTIONS + 1] = {{0}};
    int got;
    for (int i = 0; i < N_OPTIONS; i++)
        list[i] = (struct option){options[i].name, options[i].arg != NULL,
                                  NULL, options[i].code};
    while ((got = getopt_long(argc, argv, "c:q", list, NULL)) != -1) {
        s->certificate = got == 'c' ? optarg : s->certificate;
        s->quiet |= got == 'q';
        s->json |= got == OPT_JSON;
        s->progress |= got == OPT_PROGRESS && isatty(2);
        if (got == OPT_VERSION)
            printf("ax-check %s\n", PACKAGE_VERSION);
        if (got == OPT_HELP || got == OPT_LIST)
            print_options(got == OPT_LIST);
        if (got >= OPT_HELP)
            finish(0);
        if (got == '?')
            break;
    }
    if (got == -1 && argc - optind >= 1 && argc - optind <= 2) {
        s->model = argv[optind];
        s->property = argv[optind + 1];
        s->json &= !s->quiet;
        return;
    }
    if (got == -1)
        fprintf(stderr, "ax-check: %s\n",
                argv[optind] ? "one operand too many"
                             : "MODEL.axm is missing");
    fputs(usage, stderr);
    exit(USAGE);
}

/* A member of a JSON object, behind another. */
static void print_member(const char *key, const char *p, size_t n)
{
    printf(",\"%s\":\"", key);
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)p[i];
        if (c < 0x20 || c == '"' || c == '\\' || c >= 0x7f)
            printf("\\u%04x", c);
        else
            putchar(c);
    }
    putchar('"');
}

static const char *hex(char out[65], const unsigned char *p)
{
    for (int i = 0; i < 32; i++)
        snprintf(out + 2 * i, 3, "%02x", p[i]);
    return out;
}

static void print_verdict(bool json, const struct claim *c,
                          const struct run *r)
{
    const char *what = c->is_cex ? "violated" : "holds", *word;
    char where[64] = "";
    const char *name = (const char *)c->name.p;
    char digest[65];
    word = r->code == ACCEPTED    ? "accepted"
           : r->code == REJECTED  ? "rejected"
           : r->code == UNDECIDED ? "undecided"
                                  : "malformed";
    hex(digest, c->digest);
    if (r->code != ACCEPTED && c->in_tree)
        snprintf(where, sizeof where, "group %llu, leaf %llu",
                 (unsigned long long)c->at, (unsigned long long)c->leaves);
    if (!json) {
        printf("%s: %s, %.*s", word, what, c->name.n ? (int)c->name.n : 64,
               c->name.n ? name : digest);
        if (r->code == ACCEPTED && !c->is_cex)
            printf(", %llu leaves", (unsigned long long)c->leaves);
        printf("%s%s%s%s\n", r->code == ACCEPTED ? "" : ": ", r->msg,
               *where ? ", at " : "", where);
        return;
    }
    printf("{\"claim\":\"%s\"", what);
    print_member("property", name, c->name.n);
    print_member("property_digest", digest, 64);
    printf(",\"semantics\":\"real\",\"verdict\":\"%s\",\"leaves\":%llu", word,
           (unsigned long long)c->leaves);
    if (r->code != ACCEPTED)
        print_member("reason", r->msg, strlen(r->msg));
    if (*where)
        print_member("at", where, strlen(where));
    putchar('}');
}

/* What there is to check: all of the model, and a property that was given. */
struct task {
    struct settings s;
    struct container c;
    struct bytes text; /* of the property; p == NULL if it is not given */
    unsigned char digest[32];
    struct claim *claims;
    uint64_t n, n_cex;
    struct net net;
};

static void add_claim(struct run *r, struct task *t, struct bytes payload,
                      bool is_cex)
{
    struct claim *c = &t->claims[t->n];
    *c = (struct claim){.payload = payload,
                        .identity = t->c.identity,
                        .net = &t->net,
                        .progress = t->s.progress,
                        .is_cex = is_cex};
    must(r, payload.n >= 72, "a certificate or counterexample is cut short");
    c->digest = payload.p + 40;
    if (t->text.p && memcmp(c->digest, t->digest, 32) != 0)
        return; /* of another property */
    t->n++;
    t->n_cex += is_cex;
}

static void find_claims(struct run *r, struct task *t)
{
    t->claims = get(r, t->c.n_att + 1, sizeof *t->claims);
    if (t->s.certificate)
        add_claim(r, t, file_read(r, t->s.certificate), false);
    for (uint64_t i = 0; !t->s.certificate && i < t->c.n_att; i++) {
        const struct attachment *a = &t->c.att[i];
        bool is_cex = bytes_are(a->type, "counterexample");
        if (is_cex || bytes_are(a->type, "certificate"))
            add_claim(r, t, a->payload, is_cex);
    }
    if (t->n == 0)
        refuse(r, NO_INPUT, "there is nothing to check%s",
               t->text.p ? " for this property" : "");
}

/* One claim, in a run of its own. */
static void check(struct run *r, struct task *t, struct claim *c)
{
    struct bytes text = t->text;
    struct property pr;
    unsigned char digest[32];
    for (uint64_t i = 0; i < t->c.n_att; i++) {
        const struct attachment *a = &t->c.att[i];
        if (!bytes_are(a->type, "property"))
            continue;
        sha256(digest, a->payload);
        if (memcmp(digest, c->digest, 32) != 0)
            continue;
        c->name = a->name;
        text = text.p ? text : a->payload;
    }
    if (!text.p)
        refuse(r, NO_INPUT, "its property is not attached and not given");
    property_read(r, &pr, text, t->net.nodes[0].n,
                  t->net.nodes[t->net.n_nodes - 1].n);
    c->pr = &pr;
    if (c->is_cex)
        counterexample_check(r, c);
    else
        certificate_check(r, c);
}

static int check_all(struct task *t)
{
    int volatile code = ACCEPTED;
    char id[65];
    if (t->s.json)
        printf("{\"schema\":\"ax.check/1\",\"identity\":\"%s\",\"claims\":[",
               hex(id, t->c.identity));
    for (uint64_t i = 0; i < t->n; i++) {
        struct run *r = calloc(1, sizeof *r);
        if (!r)
            return NO_MEMORY;
        if (setjmp(r->out) == 0)
            check(r, t, &t->claims[i]);
        if (t->s.progress)
            fprintf(stderr, "\r\033[K");
        if (t->s.json && i > 0)
            putchar(',');
        if (!t->s.quiet)
            print_verdict(t->s.json, &t->claims[i], r);
        /* What is malformed first, then rejected, undecided, accepted. */
        if (code < USAGE &&
            (r->code >= USAGE || code == ACCEPTED || r->code == REJECTED))
            code = r->code;
        give_all(r);
        free(r);
    }
    if (t->s.json)
        printf("],\"exit\":%d}\n", code);
    return code;
}

int main(int argc, char **argv)
{
    static struct task task;
    static struct run run;
    const char *volatile at;
    volatile bool reading = false;
    signal(SIGPIPE, SIG_IGN);
    read_options(&task.s, argc, argv);
    at = task.s.model;
    if (setjmp(run.out) != 0) {
        fprintf(stderr, "ax-check: %s: %s\n", at, run.msg);
        if (reading && task.n == task.n_cex && run.code == MALFORMED)
            run.code = UNDECIDED; /* counterexamples to a foreign network */
        give_all(&run);
        finish(run.code);
    }
    container_read(&run, &task.c, file_read(&run, at));
    if (task.s.property) {
        at = task.s.property;
        task.text = file_read(&run, at);
        sha256(task.digest, task.text);
        at = task.s.model;
    }
    find_claims(&run, &task);
    reading = true;
    graph_read(&run, &task.net, &task.c.model);
    net_quantise(&run, &task.net);
    run.code = check_all(&task);
    if (run.code == NO_MEMORY)
        fputs("ax-check: out of memory\n", stderr);
    give_all(&run);
    finish(run.code);
}
