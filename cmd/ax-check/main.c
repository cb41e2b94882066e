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

/* As getopt_long wants them; what they do, and what to print of them. */
static const struct option options[] = {
    {"certificate", required_argument, NULL, 'c'},
    {"semantics", required_argument, NULL, 's'},
    {"quiet", no_argument, NULL, 'q'},
    {"json", no_argument, NULL, 'j'},
    {"progress", no_argument, NULL, 'p'},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'v'},
    {"list-options", no_argument, NULL, 'l'},
    {NULL, 0, NULL, 0}};
static const char *const help[] = {
    "check this certificate, not those attached",
    "check what is claimed under these alone: real or ieee32",
    "print no verdict, the exit code tells",
    "print one JSON document",
    "show on a terminal how far it is",
    "print this list",
    "print the version",
    "print the options, one a line, for programs"};

static const char usage[] =
    "usage: ax-check [options] MODEL.axm [PROPERTY.vnnlib]\n";

static void print_options(bool list)
{
    if (!list)
        printf("%s\ncheck the certificates and counterexamples that a model "
               "carries\n\n",
               usage);
    for (int i = 0; options[i].name; i++) {
        const char *name = options[i].name;
        const char *arg = options[i].val == 's' ? "NAME" : "FILE";
        bool letter = strchr("cq", options[i].val);
        arg = options[i].has_arg ? arg : list ? "-" : "";
        if (list)
            printf("%c\t%s\t%s\t%s\n", letter ? options[i].val : '-', name,
                   arg, help[i]);
        else
            printf("  %c%c%c --%s %-*s %s\n", letter ? '-' : ' ',
                   letter ? options[i].val : ' ', letter ? ',' : ' ', name,
                   18 - (int)strlen(name), arg, help[i]);
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

/* Everything there is to check: the claims of a model, perhaps with the
 * property that was given. */
struct task {
    const char *model, *property, *certificate;
    bool json, quiet, progress;
    struct container c;
    struct bytes text;     /* of the property; p == NULL if it is not given */
    struct bytes evidence; /* the file of -c */
    unsigned char digest[32];
    struct claim *claims;
    uint64_t n, n_cex;
    struct net net;
    int semantics; /* 0: any */
};

static void read_options(struct task *t, int argc, char **argv)
{
    int got;
    while ((got = getopt_long(argc, argv, "c:q", options, NULL)) != -1) {
        t->certificate = got == 'c' ? optarg : t->certificate;
        if (got == 's' && strcmp(optarg, "real") == 0)
            t->semantics = REAL;
        else if (got == 's' && strcmp(optarg, "ieee32") == 0)
            t->semantics = IEEE32;
        else if (got == 's')
            break;
        t->quiet |= got == 'q';
        t->json |= got == 'j';
        t->progress |= got == 'p' && isatty(2);
        if (got == 'v')
            printf("ax-check %s\n", PACKAGE_VERSION);
        if (got == 'h' || got == 'l')
            print_options(got == 'l');
        if (strchr("vhl", got))
            finish(0);
        if (got == '?')
            break;
    }
    if (got == -1 && argc - optind >= 1 && argc - optind <= 2) {
        t->model = argv[optind];
        t->property = argv[optind + 1];
        t->json &= !t->quiet;
        return;
    }
    if (got == -1)
        fprintf(stderr, "ax-check: %s\n",
                argv[optind] ? "one operand too many"
                             : "MODEL.axm is missing");
    if (got == 's')
        fprintf(stderr, "ax-check: --semantics wants real or ieee32\n");
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

static void print_verdict(const struct task *t, const struct claim *c,
                          const struct run *r)
{
    const char *what = c->is_cex ? "violated" : "holds";
    const char *word = r->code == ACCEPTED    ? "accepted"
                       : r->code == REJECTED  ? "rejected"
                       : r->code == UNDECIDED ? "undecided"
                                              : "malformed";
    const char *semantics = c->semantics == IEEE32 ? "ieee32"
                            : c->semantics == REAL ? "real"
                                                   : "unknown";
    unsigned long long leaves = c->leaves;
    char digest[65], at[64] = "";
    hex(digest, c->digest);
    if (r->code != ACCEPTED && c->in_tree)
        snprintf(at, sizeof at, "group %llu, leaf %llu",
                 (unsigned long long)c->at, leaves);
    if (t->json) {
        printf("{\"claim\":\"%s\"", what);
        print_member("property", (const char *)c->name.p, c->name.n);
        print_member("property_digest", digest, 64);
        printf(",\"semantics\":\"%s\",\"verdict\":\"%s\",\"leaves\":%llu",
               semantics, word, leaves);
        if (r->code != ACCEPTED)
            print_member("reason", r->msg, strlen(r->msg));
        if (*at)
            print_member("at", at, strlen(at));
        putchar('}');
        return;
    }
    printf("%s: %s%s, %.*s", word, what,
           c->semantics == IEEE32 ? " under ieee32" : "",
           c->name.n ? (int)c->name.n : 64,
           c->name.n ? (const char *)c->name.p : digest);
    if (r->code == ACCEPTED && !c->is_cex)
        printf(", %llu leaves", leaves);
    printf("%s%s%s%s\n", r->code == ACCEPTED ? "" : ": ", r->msg,
           *at ? ", at " : "", at);
}

static void add_claim(struct run *r, struct task *t, struct bytes payload,
                      bool is_cex)
{
    struct claim *c = &t->claims[t->n];
    *c = (struct claim){.payload = payload,
                        .identity = t->c.identity,
                        .net = &t->net,
                        .progress = t->progress,
                        .is_cex = is_cex};
    must(r, payload.n >= 72, "a certificate or counterexample is cut short");
    c->digest = payload.p + 40;
    c->semantics = payload.p[5];
    if (t->text.p && memcmp(c->digest, t->digest, 32) != 0)
        return; /* of another property */
    if (t->semantics && t->semantics != c->semantics)
        return;
    t->n++;
    t->n_cex += is_cex;
}

static void find_claims(struct run *r, struct task *t)
{
    t->claims = get(r, t->c.n_att + 1, sizeof *t->claims);
    if (t->certificate)
        add_claim(r, t, t->evidence, false);
    for (uint64_t i = 0; !t->certificate && i < t->c.n_att; i++) {
        const struct attachment *a = &t->c.att[i];
        bool is_cex = bytes_are(a->type, "counterexample");
        if (is_cex || bytes_are(a->type, "certificate"))
            add_claim(r, t, a->payload, is_cex);
    }
    if (t->n == 0)
        refuse(r, NO_INPUT, "there is nothing to check%s%s",
               t->text.p ? " for this property" : "",
               t->semantics ? " under these semantics" : "");
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
    if (t->json)
        printf("{\"schema\":\"ax.check/1\",\"identity\":\"%s\",\"claims\":[",
               hex(id, t->c.identity));
    for (uint64_t i = 0; i < t->n; i++) {
        struct run *r = calloc(1, sizeof *r);
        if (!r)
            return NO_MEMORY;
        if (setjmp(r->out) == 0)
            check(r, t, &t->claims[i]);
        if (t->progress)
            fprintf(stderr, "\r\033[K");
        if (t->json && i > 0)
            putchar(',');
        if (!t->quiet)
            print_verdict(t, &t->claims[i], r);
        /* What is malformed first, then rejected, undecided, accepted. */
        if (code < USAGE &&
            (r->code >= USAGE || code == ACCEPTED || r->code == REJECTED))
            code = r->code;
        give_all(r);
        free(r);
    }
    if (t->json)
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
    read_options(&task, argc, argv);
    at = task.model;
    if (setjmp(run.out) != 0) {
        fputs("ax-check: ", stderr);
        for (const char *c = at; *c; c++)
            fputc((unsigned char)*c < ' ' || *c == 0x7f ? '?' : *c, stderr);
        fprintf(stderr, ": %s\n", run.msg);
        if (reading && task.n == task.n_cex && run.code == MALFORMED)
            run.code = UNDECIDED; /* counterexamples to a foreign network */
        give_all(&run);
        finish(run.code);
    }
    container_read(&run, &task.c, file_read(&run, at, 0));
    if (task.property) {
        at = task.property;
        task.text = file_read(&run, at, 1 << 30);
        sha256(task.digest, task.text);
    }
    if (task.certificate) {
        at = task.certificate;
        task.evidence = file_read(&run, at, UINT32_MAX);
    } else
        at = task.model;
    find_claims(&run, &task);
    at = task.model;
    reading = true;
    graph_read(&run, &task.net, &task.c.model);
    net_quantise(&run, &task.net);
    run.code = check_all(&task);
    if (run.code == NO_MEMORY)
        fputs("ax-check: out of memory\n", stderr);
    give_all(&run);
    finish(run.code);
}
