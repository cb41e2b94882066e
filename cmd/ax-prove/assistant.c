/* What coqc, coqchk, cvc5 and z3 say of an obligation. An answer counts only
 * if it is whole and alone: the exit code, both outputs and the words must
 * all be those of success. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "reconcile.h"

/* ---- files in the laboratory ---- */

static ax_status trouble(const char *path, struct ax_err *err)
{
    return ax_fail(err, errno == ENOMEM ? AX_ENOMEM : AX_EIO, "%s: %s", path,
                   strerror(errno));
}

static ax_status put_file(const struct lab *lab, const char *folder,
                          const char *name, const void *data, size_t n,
                          struct ax_err *err)
{
    char path[PATH_MAX + 128];
    FILE *f;
    bool bad;

    snprintf(path, sizeof path, "%s/%s/%s", lab->scratch, folder, name);
    f = fopen(path, "wbxe");
    if (!f)
        return trouble(path, err);
    bad = fwrite(data, 1, n, f) != n;
    if (fclose(f) || bad)
        return trouble(path, err);
    return AX_OK;
}

/* Forget what is in a folder of the laboratory. */
static ax_status clear(const struct lab *lab, const char *folder,
                       struct ax_err *err)
{
    char path[PATH_MAX + 32];
    DIR *d;

    snprintf(path, sizeof path, "%s/%s", lab->scratch, folder);
    d = opendir(path);
    if (!d)
        return trouble(path, err);
    for (const struct dirent *e; (e = readdir(d));)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            (void)unlinkat(dirfd(d), e->d_name, 0);
    closedir(d);
    return AX_OK;
}

/* ---- running ---- */

static ax_status run(const struct lab *lab, struct cmd_program_said *said,
                     const char *const *argv, struct ax_err *err)
{
    const struct cmd_program p = {.argv = argv,
                                  .folder = lab->scratch,
                                  .bytes = lab->bytes,
                                  .seconds = lab->seconds};

    return cmd_program_run(said, &p, err);
}

/* The first line of a text, plain, behind what is there. */
static void add_line(char to[WORDS], const char *text)
{
    size_t n = strlen(to);

    while (*text == '\n' || *text == ' ')
        text++;
    for (; *text && *text != '\n' && n + 1 < WORDS; text++)
        to[n++] = *text >= ' ' && *text <= '~' ? *text : '?';
    to[n] = '\0';
}

static void set(struct assistant_run *r, enum run_status status,
                const char *reason)
{
    r->status = status;
    snprintf(r->reason, sizeof r->reason, "%s", reason);
}

/* Did the program come to a good end? What did not, is not there, or was not
 * given the time, is no fault of the obligation. */
static bool came_through(struct assistant_run *r, const char *program,
                         const struct cmd_program_said *s,
                         const struct lab *lab)
{
    char *why = r->reason;

    if (s->end == CMD_PROGRAM_EXITED && s->code == 0)
        return true;
    r->status = RUN_FAILED;
    switch (s->end) {
    case CMD_PROGRAM_MISSING:
        r->status = RUN_NOT;
        snprintf(why, WORDS, "%s is not installed", program);
        return false;
    case CMD_PROGRAM_LATE:
        r->status = RUN_NOT;
        snprintf(why, WORDS, "%s gave no answer within %.0f s", program,
                 lab->seconds);
        return false;
    case CMD_PROGRAM_TALKED:
        snprintf(why, WORDS, "%s says too much", program);
        return false;
    case CMD_PROGRAM_SIGNALLED:
        snprintf(why, WORDS, "%s was ended by signal %d", program, s->code);
        return false;
    case CMD_PROGRAM_EXITED:
        break;
    }
    snprintf(why, WORDS, "%s: exit %d: ", program, s->code);
    add_line(why, strstr(s->error, "Error") ? strstr(s->error, "Error")
                  : *s->error               ? s->error
                                            : s->out);
    return false;
}

static ax_status ask_version(const struct lab *lab, struct assistant_run *r,
                             const char *program, bool *there,
                             struct ax_err *err)
{
    const char *const argv[] = {program, "--version", NULL};
    struct cmd_program_said said;

    AX_TRY(run(lab, &said, argv, err));
    *there = came_through(r, program, &said, lab);
    if (*there)
        add_line(r->version, said.out);
    cmd_program_free(&said);
    return AX_OK;
}

/* ---- Coq ---- */

/* coqc on one file: it must end well and say nothing of an error. */
static ax_status compile(const struct lab *lab, struct assistant_run *r,
                         const char *path, struct cmd_program_said *said,
                         bool *good, struct ax_err *err)
{
    const char *const argv[] = {"coqc",    "-q",         "-w", "none",
                                "-Q",      "lib",        "Ax", "-Q",
                                "theorem", "Obligation", path, NULL};

    AX_TRY(run(lab, said, argv, err));
    *good = came_through(r, "coqc", said, lab);
    if (*good && (strstr(said->error, "rror") || strstr(said->out, "rror"))) {
        set(r, RUN_FAILED, "coqc: exit 0, but: ");
        add_line(r->reason,
                 strstr(said->error, "rror") ? said->error : said->out);
        *good = false;
    }
    return AX_OK;
}

/* Once: what theorems are in the words of, from the copy in this program. */
static ax_status compile_library(struct lab *lab, struct ax_err *err)
{
    struct assistant_run *r = &lab->library;
    bool good;

    lab->compiled = true;
    *r = (struct assistant_run){.assistant = "coq"};
    AX_TRY(ask_version(lab, r, "coqc", &good, err));
    for (const struct cmd_coq_file *f = cmd_coq_library; good && f[1].name;
         f++) {
        struct cmd_program_said said;
        char path[64];

        AX_TRY(put_file(lab, "lib", f->name, f->data, f->n, err));
        snprintf(path, sizeof path, "lib/%s", f->name);
        AX_TRY(compile(lab, r, path, &said, &good, err));
        cmd_program_free(&said);
    }
    if (!good && r->status == RUN_FAILED) {
        char why[WORDS];

        snprintf(why, sizeof why, "%.200s", r->reason);
        set(r, RUN_NOT, "the library is not compiled: ");
        add_line(r->reason, why);
    }
    if (good)
        r->status = RUN_PROVED;
    return AX_OK;
}

/* The words of the theorem again, in a file of ours: so it says what it
 * should, whatever stands in the obligation's. */
static ax_status put_question(const struct lab *lab, const char *module,
                              const char *claim, struct ax_err *err)
{
    static const char holds[] =
        "From Ax Require Network.\n"
        "From Obligation Require %1$s.\n"
        "Definition claim : exists ins outs, Network.well_formed "
        "Obligation.%1$s.net Obligation.%1$s.unsafe_set ins outs /\\ "
        "forall x, ~ Network.counterexample Obligation.%1$s.net "
        "Obligation.%1$s.unsafe_set x := "
        "ex_intro _ _ (ex_intro _ _ Obligation.%1$s.holds).\n"
        "Print Assumptions claim.\n";
    static const char violated[] =
        "From Ax Require Network.\n"
        "From Obligation Require %1$s.\n"
        "Definition claim : exists ins outs, Network.sizes_fit "
        "Obligation.%1$s.net Obligation.%1$s.box_0 Obligation.%1$s.unsafe_0 "
        "ins outs /\\ exists x, Network.violation Obligation.%1$s.net "
        "Obligation.%1$s.box_0 Obligation.%1$s.unsafe_0 x := "
        "ex_intro _ _ (ex_intro _ _ Obligation.%1$s.violated).\n"
        "Print Assumptions claim.\n";
    char text[2048];
    int n = strcmp(claim, "holds") == 0
                ? snprintf(text, sizeof text, holds, module)
                : snprintf(text, sizeof text, violated, module);

    return put_file(lab, "theorem", "ax_question.v", text, (size_t)n, err);
}

/* Is a name among the lines of the list? */
static bool allowed(const char *name, size_t n)
{
    const struct cmd_coq_file *list = cmd_coq_library;
    const char *at, *end;

    while (list[1].name)
        list++;
    at = (const char *)list->data;
    end = at + list->n;
    while (at < end) {
        const char *nl = memchr(at, '\n', (size_t)(end - at));
        size_t line = (size_t)((nl ? nl : end) - at);

        if (line == n && memcmp(at, name, n) == 0)
            return true;
        at += line + 1;
    }
    return false;
}

/* "Axioms:", then names at the beginning of lines, and their types in the
 * lines that begin with a space. */
static bool assumes_no_more(struct assistant_run *r, const char *said)
{
    const char *line = said;

    if (strcmp(said, "Closed under the global context\n") == 0)
        return true;
    if (strncmp(line, "Axioms:\n", 8) != 0) {
        set(r, RUN_FAILED, "coqc does not say what is assumed, but: ");
        add_line(r->reason, said);
        return false;
    }
    for (line += 8; *line;
         line += strcspn(line, "\n"), line += *line == '\n') {
        size_t n = strcspn(line, " \n");

        if (*line == ' ' || allowed(line, n))
            continue;
        set(r, RUN_FAILED, "it assumes ");
        add_line(r->reason, line);
        return false;
    }
    return true;
}

/* The context that coqchk -o prints: nothing but axioms, and none of them
 * from here. */
static bool context_is_good(struct assistant_run *r, const char *said)
{
    static const char *const none[] = {
        "* Constants/Inductives relying on type-in-type: <none>\n",
        "* Constants/Inductives relying on unsafe (co)fixpoints: <none>\n",
        "* Inductives whose positivity is assumed: <none>\n"};

    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        if (!strstr(said, none[i])) {
            set(r, RUN_FAILED, "coqchk does not say: ");
            add_line(r->reason, none[i]);
            return false;
        }
    if (strstr(said, "  Obligation.") || strstr(said, "  Ax.") ||
        !strstr(said, "* Theory: Set is predicative\n")) {
        set(r, RUN_FAILED, "coqchk finds an axiom that is not of Coq's");
        return false;
    }
    return true;
}

static ax_status check_again(const struct lab *lab, struct assistant_run *r,
                             const char *module, struct ax_err *err)
{
    char name[CMD_MANIFEST_FILE + 16];
    const char *const argv[] = {"coqchk",
                                "-silent",
                                "-o",
                                "-bytecode-compiler",
                                "yes",
                                "-Q",
                                "lib",
                                "Ax",
                                "-Q",
                                "theorem",
                                "Obligation",
                                "-norec",
                                "Obligation.ax_question",
                                "-norec",
                                name,
                                "-norec",
                                "Ax.Network",
                                "-norec",
                                "Ax.Tree",
                                "-norec",
                                "Ax.Big",
                                "-norec",
                                "Ax.Certified",
                                "-norec",
                                "Ax.Witness",
                                NULL};
    struct cmd_program_said said;

    snprintf(name, sizeof name, "Obligation.%s", module);
    AX_TRY(run(lab, &said, argv, err));
    /* It prints its context on standard error. */
    if (came_through(r, "coqchk", &said, lab) &&
        context_is_good(r, said.error))
        set(r, RUN_PROVED, "");
    cmd_program_free(&said);
    return AX_OK;
}

static ax_status run_coq(struct lab *lab, const struct obligation *o,
                         struct assistant_run *r, struct ax_err *err)
{
    struct cmd_program_said said;
    char module[CMD_MANIFEST_FILE + 1], path[CMD_MANIFEST_FILE + 16];
    bool good;

    if (!lab->compiled)
        AX_TRY(compile_library(lab, err));
    *r = lab->library;
    if (r->status != RUN_PROVED)
        return AX_OK;
    snprintf(module, sizeof module, "%.*s", (int)(strlen(o->file) - 2),
             o->file);
    AX_TRY(clear(lab, "theorem", err));
    AX_TRY(put_file(lab, "theorem", o->file, o->text, o->n, err));
    AX_TRY(put_question(lab, module, o->claim, err));
    snprintf(path, sizeof path, "theorem/%s", o->file);
    AX_TRY(compile(lab, r, path, &said, &good, err));
    cmd_program_free(&said);
    if (!good)
        return AX_OK;
    AX_TRY(compile(lab, r, "theorem/ax_question.v", &said, &good, err));
    good = good && assumes_no_more(r, said.out);
    cmd_program_free(&said);
    return good ? check_again(lab, r, module, err) : AX_OK;
}

/* ---- solvers ---- */

static const char *const solvers[][4] = {
    {"cvc5", "--lang=smt2", "question/question.smt2", NULL},
    {"z3", "-smt2", "question/question.smt2", NULL},
};

/* One word and the end of the line, and nothing else. */
static void take_answer(struct assistant_run *r,
                        const struct cmd_program_said *s, const char *claim)
{
    bool holds = strcmp(claim, "holds") == 0;
    const char *want = holds ? "unsat\n" : "sat\n";
    const char *other = holds ? "sat\n" : "unsat\n";

    if (*s->error) {
        set(r, RUN_FAILED, "it complains: ");
        add_line(r->reason, s->error);
    } else if (s->n_out == strlen(want) && strcmp(s->out, want) == 0) {
        set(r, RUN_PROVED, "");
    } else if (s->n_out == strlen(other) && strcmp(s->out, other) == 0) {
        set(r, RUN_FAILED,
            holds ? "it says sat: the property is violated"
                  : "it says unsat: the property holds");
    } else if (strcmp(s->out, "unknown\n") == 0) {
        set(r, RUN_NOT, "it says unknown");
    } else {
        const char *second = strchr(s->out, '\n');

        set(r, RUN_FAILED, "it does not say sat or unsat alone: ");
        add_line(r->reason, s->out);
        if (second) {
            add_line(r->reason, "/ ");
            add_line(r->reason, second);
        }
    }
}

static ax_status run_solver(const struct lab *lab, const char *const *argv,
                            const struct obligation *o,
                            struct assistant_run *r, struct ax_err *err)
{
    struct cmd_program_said said;
    bool there;

    *r = (struct assistant_run){.assistant = argv[0]};
    AX_TRY(ask_version(lab, r, argv[0], &there, err));
    if (!there)
        return AX_OK;
    AX_TRY(clear(lab, "question", err));
    AX_TRY(put_file(lab, "question", "question.smt2", o->text, o->n, err));
    AX_TRY(run(lab, &said, argv, err));
    if (came_through(r, argv[0], &said, lab))
        take_answer(r, &said, o->claim);
    cmd_program_free(&said);
    return AX_OK;
}

ax_status assistants(struct lab *lab, const struct obligation *o,
                     struct assistant_run runs[2], size_t *n,
                     struct ax_err *err)
{
    if (strcmp(o->assistant, "coq") == 0) {
        *n = 1;
        return run_coq(lab, o, runs, err);
    }
    *n = 2;
    for (size_t i = 0; i < *n; i++)
        AX_TRY(run_solver(lab, solvers[i], o, &runs[i], err));
    return AX_OK;
}
