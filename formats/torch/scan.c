/* Everything in a file that Python could load as a pickle, whole or damaged:
 * what a scanner cannot read, a loader may. Nothing is run or made here; each
 * name that a pickle uses is listed with what it means. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/torch/torch.h"

enum { NEST_MAX = 4, LOOSE_MAX = 4096, WHERE_MAX = 1024 };

struct scanner {
    struct ax_scan *out;
    int depth;     /* archives around this */
    size_t budget; /* bytes that may still be decompressed */
    size_t effort; /* bytes of damaged archives still to be looked at */
};

struct part {
    const char *where;
    const unsigned char *data;
    size_t n;
    bool sure; /* its name, or nothing else, says that it is a pickle */
};

/* ---- findings ---- */

static ax_status no_memory(struct ax_err *err)
{
    return ax_fail(err, AX_ENOMEM, "no memory for findings");
}

static char *copy_text(struct torch_text t, char *to)
{
    for (size_t i = 0; i < t.n; i++)
        *to++ = t.s[i] ? t.s[i] : '?';
    return to;
}

static ax_status add(struct ax_scan *s, const char *where,
                     const struct torch_global *g, ax_peril verdict,
                     const char *note, uint64_t at, struct ax_err *err)
{
    size_t n = g ? g->module.n + g->name.n + 2 : 1;
    struct ax_finding *f;
    char *end;

    if (s->n == s->cap) {
        size_t more = s->cap ? 2 * s->cap : 32;

        f = reallocarray(s->v, more, sizeof *f);
        if (!f)
            return no_memory(err);
        s->v = f;
        s->cap = more;
    }
    f = &s->v[s->n++];
    *f = (struct ax_finding){.where = strdup(where),
                             .global = malloc(n),
                             .verdict = verdict,
                             .note = strdup(note),
                             .at = at};
    if (!f->where || !f->global || !f->note)
        return no_memory(err);
    end = f->global;
    if (g) {
        end = copy_text(g->module, end);
        *end++ = '.';
        end = copy_text(g->name, end);
    }
    *end = '\0';
    return AX_OK;
}

static ax_status unreadable(struct scanner *s, const char *where,
                            const char *note, uint64_t at, struct ax_err *err)
{
    return add(s->out, where, NULL, AX_PERIL_UNREAD, note, at, err);
}

/* ---- one pickle ---- */

struct named {
    const struct torch_global *g;
    size_t i;
};

static int by_name(const void *a, const void *b)
{
    const struct named *x = a, *y = b;
    const struct torch_text *u[] = {&x->g->module, &x->g->name},
                            *v[] = {&y->g->module, &y->g->name};

    for (int k = 0; k < 2; k++) {
        size_t n = u[k]->n < v[k]->n ? u[k]->n : v[k]->n;
        int c = n ? memcmp(u[k]->s, v[k]->s, n) : 0;

        if (!c)
            c = (u[k]->n > v[k]->n) - (u[k]->n < v[k]->n);
        if (c)
            return c;
    }
    return (x->i > y->i) - (x->i < y->i);
}

static int by_order(const void *a, const void *b)
{
    const struct named *x = a, *y = b;

    return (x->i > y->i) - (x->i < y->i);
}

/* Each global once, in the order of their first use. */
static ax_status list_globals(struct scanner *s, const struct part *part,
                              const struct torch_pickle *p, size_t start,
                              struct ax_err *err)
{
    struct named *v = calloc(p->n_globals + 1, sizeof *v);
    ax_status st = AX_OK;
    size_t n = 0;

    if (!v)
        return no_memory(err);
    for (size_t i = 0; i < p->n_globals; i++)
        v[i] = (struct named){p->globals[i], i};
    qsort(v, p->n_globals, sizeof *v, by_name);
    for (size_t i = 0; i < p->n_globals; i++)
        if (i == 0 || !torch_same(v[i].g->module, v[n - 1].g->module) ||
            !torch_same(v[i].g->name, v[n - 1].g->name) ||
            v[i].g->computed != v[n - 1].g->computed ||
            v[i].g->changed != v[n - 1].g->changed)
            v[n++] = v[i];
    qsort(v, n, sizeof *v, by_order);
    for (size_t i = 0; i < n && st == AX_OK; i++) {
        const char *note;
        ax_peril verdict = torch_judge(v[i].g, &note);

        st = add(s->out, part->where, v[i].g, verdict, note,
                 start + v[i].g->at, err);
    }
    free(v);
    return st;
}

/* By its name, which bytes that are no pickle do not have by chance. */
static bool any_dangerous(const struct torch_pickle *p)
{
    const char *note;

    for (size_t i = 0; i < p->n_globals; i++)
        if (!p->globals[i]->computed &&
            torch_judge(p->globals[i], &note) == AX_PERIL_RUNS)
            return true;
    return false;
}

/* Does this look like a pickle, rather than like bytes that happen to begin
 * as one? */
static bool believable(const struct part *part, const struct torch_pickle *p,
                       const unsigned char *data, size_t n, bool whole)
{
    bool marked = n > 1 && data[0] == 0x80 && data[1] <= 5;

    return part->sure || (p->n_globals && (whole || any_dangerous(p) ||
                                           (marked && p->nodes > 2)));
}

/* The pickle at *at, which goes behind it; *more says whether there is one.
 */
static ax_status scan_pickle(struct scanner *s, const struct part *part,
                             size_t *at, bool *more, struct ax_err *err)
{
    const unsigned char *data = part->data + *at;
    struct ax_err why = {0};
    struct torch_pickle p;
    struct torch_node *root;
    ax_status st, read;
    size_t used = 0;

    AX_TRY(torch_pickle_init(&p, err));
    read = torch_unpickle(&root, &used, &p, data, part->n - *at, &why);
    *more = read == AX_OK;
    if (read == AX_ENOMEM) {
        *err = why;
        st = read;
    } else if (!believable(part, &p, data, part->n - *at, *more)) {
        *more = false;
        st = AX_OK;
    } else {
        st = list_globals(s, part, &p, *at, err);
        s->out->pickles += *more || p.n_globals;
        if (!*more && st == AX_OK)
            st = unreadable(s, part->where, why.msg, *at + used, err);
    }
    torch_pickle_free(&p);
    *at += used;
    return st;
}

/* Pickles that follow each other. Behind the five of a legacy checkpoint
 * there are storages. */
static ax_status scan_pickles(struct scanner *s, const struct part *part,
                              struct ax_err *err)
{
    bool legacy = torch_is_legacy(part->data, part->n), more = true;
    size_t at = 0;

    for (int i = 0; more && at < part->n && !(legacy && i == 5); i++)
        AX_TRY(scan_pickle(s, part, &at, &more, err));
    return AX_OK;
}

/* ---- base64 in JSON, as Stable-Baselines has it ---- */

static int base64_digit(unsigned char c)
{
    return c >= 'A' && c <= 'Z'   ? c - 'A'
           : c >= 'a' && c <= 'z' ? c - 'a' + 26
           : c >= '0' && c <= '9' ? c - '0' + 52
           : c == '+'             ? 62
           : c == '/'             ? 63
                                  : -1;
}

/* Up to the quotation mark; what is no digit is left out. */
static size_t decode(unsigned char *to, const unsigned char *p,
                     const unsigned char *end, size_t *used)
{
    const unsigned char *from = p;
    uint32_t bits = 0;
    unsigned have = 0;
    size_t n = 0;

    for (; p < end && *p != '"'; p++) {
        int d = base64_digit(*p);

        if (*p == '\\' && p + 1 < end) /* \n, as Python breaks lines */
            p++;
        if (d < 0)
            continue;
        bits = bits << 6 | (uint32_t)d;
        have += 6;
        if (have >= 8) {
            have -= 8;
            to[n++] = (unsigned char)(bits >> have);
        }
    }
    *used = (size_t)(p - from);
    return n;
}

static ax_status scan_serialized(struct scanner *s, const struct part *part,
                                 struct ax_err *err)
{
    static const char key[] = "\":serialized:\"";
    const unsigned char *p = part->data, *end = p + part->n;
    unsigned char *bytes = NULL;
    ax_status st = AX_OK;
    int count = 0;

    while (st == AX_OK && p < end &&
           (p = memmem(p, (size_t)(end - p), key, sizeof key - 1))) {
        char where[WHERE_MAX + 32];
        struct part inner = {.where = where, .sure = true};
        size_t used;

        p += sizeof key - 1;
        while (p < end && (*p == ':' || *p == ' '))
            p++;
        if (p == end || *p++ != '"')
            continue;
        if (!bytes && !(bytes = malloc(part->n)))
            return no_memory(err);
        inner.data = bytes;
        inner.n = decode(bytes, p, end, &used);
        p += used;
        snprintf(where, sizeof where, "%s:serialized-%d", part->where,
                 ++count);
        st = scan_pickles(s, &inner, err);
    }
    free(bytes);
    return st;
}

/* ---- archives ---- */

static ax_status scan_part(struct scanner *s, const struct part *part,
                           struct ax_err *err);

/* Kinds of archives that are not looked into. */
static const struct {
    const char *magic;
    size_t n;
    const char *note;
} closed[] = {
    {"7z\xbc\xaf\x27\x1c", 6, "a 7-Zip archive is not looked into"},
    {"\x1f\x8b", 2, "gzip data are not looked into"},
    {"BZh", 3, "bzip2 data are not looked into"},
    {"\xfd"
     "7zXZ",
     5, "xz data are not looked into"},
    {"\x28\xb5\x2f\xfd", 4, "zstd data are not looked into"},
    {"Rar!", 4, "a RAR archive is not looked into"},
    {"\x04\x22\x4d\x18", 4, "LZ4 data are not looked into"},
};

static const char *closed_note(const unsigned char *data, size_t n)
{
    for (size_t i = 0; i < sizeof closed / sizeof closed[0]; i++)
        if (n >= closed[i].n &&
            memcmp(data, closed[i].magic, closed[i].n) == 0)
            return closed[i].note;
    return NULL;
}

/* Names that say that a pickle is in the member. */
static bool sure_name(struct torch_text name)
{
    static const char *const ends[] = {".pkl",  ".pickle", ".pth", ".pt",
                                       ".ckpt", ".joblib", ".p"};

    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        size_t n = strlen(ends[i]);

        if (name.n >= n && memcmp(name.s + name.n - n, ends[i], n) == 0)
            return true;
    }
    return false;
}

/* The member NAME of a part: what it is called in findings. */
static void place(char where[WHERE_MAX], const struct part *outer,
                  struct torch_text name)
{
    int n = snprintf(where, WHERE_MAX, "%s%s", outer->where,
                     *outer->where ? ":" : "");
    size_t used = n < 0 ? 0 : (size_t)n;

    for (size_t i = 0; i < name.n && used + 1 < WHERE_MAX; i++)
        where[used++] = name.s[i] ? name.s[i] : '?';
    where[used < WHERE_MAX ? used : WHERE_MAX - 1] = '\0';
}

static ax_status scan_member(struct scanner *s, const struct part *outer,
                             struct torch_text name,
                             const unsigned char *data, size_t n,
                             struct ax_err *err)
{
    char where[WHERE_MAX];
    const struct part part = {
        .where = where, .data = data, .n = n, .sure = sure_name(name)};

    place(where, outer, name);
    s->out->members++;
    return scan_part(s, &part, err);
}

static ax_status packed_member(struct scanner *s, const struct part *outer,
                               const struct torch_member *m,
                               struct ax_err *err)
{
    struct ax_arena *arena = ax_arena_new();
    struct ax_err why = {0};
    const unsigned char *data;
    char where[WHERE_MAX];
    ax_status st;

    if (!arena)
        return no_memory(err);
    st = torch_zip_bytes(&data, &s->budget, arena, m, &why);
    place(where, outer, m->name);
    if (st == AX_ENOMEM)
        *err = why;
    else if (st != AX_OK) {
        st = unreadable(s, where, why.msg, 0, err);
        if (st == AX_OK && m->method == 0)
            st = scan_member(s, outer, m->name, m->packed, m->n_packed, err);
    } else {
        st = scan_member(s, outer, m->name, data, m->n, err);
    }
    ax_arena_free(arena);
    return st;
}

/* One of the local headers of a damaged archive; *at goes on. */
static ax_status loose_member(struct scanner *s, const struct part *part,
                              size_t *at, struct ax_err *err)
{
    const unsigned char *p = part->data + *at;
    size_t left = part->n - *at, name, skip, n;
    unsigned char *inflated;
    ax_status st;

    *at += 4;
    if (left < 30)
        return AX_OK;
    name = (size_t)torch_le(p + 26, 2);
    skip = 30 + name + (size_t)torch_le(p + 28, 2);
    if (skip > left)
        return AX_OK;
    left = left - skip < s->effort ? left - skip : s->effort;
    s->effort -= left;
    AX_TRY(scan_member(s, part,
                       (struct torch_text){(const char *)p + 30, name},
                       p + skip, left, err));
    if (torch_le(p + 8, 2) != 8)
        return AX_OK;
    AX_TRY(torch_inflate(&inflated, &n, p + skip, left, s->budget, err));
    s->budget -= n < s->budget ? n : s->budget;
    st = scan_member(s, part, (struct torch_text){(const char *)p + 30, name},
                     inflated, n, err);
    free(inflated);
    return st;
}

/* An archive that cannot be read as one: other readers may be less strict,
 * so look behind everything that is like a header of a member. */
static ax_status scan_loose(struct scanner *s, const struct part *part,
                            struct ax_err *err)
{
    size_t at = 0;

    for (int i = 0; i < LOOSE_MAX && s->effort; i++) {
        const unsigned char *p = memmem(part->data + at, part->n - at,
                                        "PK\3\4", 4);

        if (!p)
            return AX_OK;
        at = (size_t)(p - part->data);
        AX_TRY(loose_member(s, part, &at, err));
    }
    return unreadable(s, part->where, "more members than were looked into",
                      at, err);
}

static ax_status scan_zip(struct scanner *s, const struct part *part,
                          struct ax_err *err)
{
    struct ax_err why = {0};
    struct torch_zip z;
    ax_status st = torch_zip_open(&z, part->data, part->n, &why);

    if (st == AX_ENOMEM)
        *err = why;
    else if (st != AX_OK) {
        st = unreadable(s, part->where, why.msg, 0, err);
        if (st == AX_OK)
            st = scan_loose(s, part, err);
    } else {
        for (size_t i = 0; i < z.n && st == AX_OK; i++)
            st = packed_member(s, part, &z.v[i], err);
    }
    torch_zip_free(&z);
    return st;
}

static ax_status scan_tar(struct scanner *s, const struct part *part,
                          struct ax_err *err)
{
    struct torch_entry e;
    struct ax_err why = {0};
    size_t at = 0;

    for (;;) {
        if (torch_tar_next(&e, &at, part->data, part->n, &why) != AX_OK)
            return unreadable(s, part->where, why.msg, at, err);
        if (!e.data)
            return AX_OK;
        AX_TRY(scan_member(s, part, e.name, e.data, e.n, err));
    }
}

static ax_status scan_archive(struct scanner *s, const struct part *part,
                              bool zip, struct ax_err *err)
{
    ax_status st;

    if (s->depth == NEST_MAX)
        return unreadable(s, part->where, "archives are nested too deep", 0,
                          err);
    s->depth++;
    st = zip ? scan_zip(s, part, err) : scan_tar(s, part, err);
    s->depth--;
    return st;
}

static ax_status scan_part(struct scanner *s, const struct part *part,
                           struct ax_err *err)
{
    const char *note = closed_note(part->data, part->n);

    if (note)
        return unreadable(s, part->where, note, 0, err);
    if (part->n >= 4 && (memcmp(part->data, "PK\3\4", 4) == 0 ||
                         memcmp(part->data, "PK\5\6", 4) == 0))
        return scan_archive(s, part, true, err);
    if (torch_is_tar(part->data, part->n))
        return scan_archive(s, part, false, err);
    AX_TRY(scan_pickles(s, part, err));
    return scan_serialized(s, part, err);
}

/* ---- the file ---- */

/* Is there a pickle at the front, or at least its beginning? */
static bool begins_pickle(const struct ax_scan *s, const unsigned char *data,
                          size_t n)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->v[i].global[0])
            return true;
    return s->pickles || s->members ||
           (n > 1 && data[0] == 0x80 && data[1] <= 5);
}

ax_status ax_scan_read(struct ax_scan *out, const unsigned char *data,
                       size_t n, struct ax_err *err)
{
    struct scanner s = {.out = out,
                        .budget = torch_zip_budget(n),
                        .effort = torch_zip_budget(n)};
    struct part part = {.where = "", .data = data, .n = n, .sure = true};
    struct ax_checkpoint c = {0};
    struct ax_err why = {0};

    *out = (struct ax_scan){0};
    /* safetensors have no pickles, unless they are made to be one too. */
    if (n >= 9 && data[8] == '{') {
        part.sure = safetensors_read(&c, data, n, &why) != AX_OK;
        ax_checkpoint_free(&c);
        if (why.code == AX_ENOMEM) {
            *err = why;
            return why.code;
        }
    }
    AX_TRY(scan_part(&s, &part, err));
    if (part.sure && !begins_pickle(out, data, n) && !closed_note(data, n))
        return ax_fail(err, AX_EFORMAT,
                       "holds no pickle, and is no archive that could");
    return AX_OK;
}

void ax_scan_free(struct ax_scan *s)
{
    for (size_t i = 0; i < s->n; i++) {
        free(s->v[i].where);
        free(s->v[i].global);
        free(s->v[i].note);
    }
    free(s->v);
    *s = (struct ax_scan){0};
}
