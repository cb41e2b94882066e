/* Following a run: see track.h. JSON Lines are here, too. */
#include "ax-train/track.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

struct place {
    const struct track_kind *kind;
    void *state;
    const char *where;
    bool lost; /* does not answer any more */
};

struct track {
    struct place *places;
    int n;
    double fixed; /* the time, where SOURCE_DATE_EPOCH says it */
    bool has_fixed;
};

static const struct track_kind *const kinds[] = {
    &track_jsonl, &track_mlflow, &track_tensorboard, &track_wandb};

static double now(const struct track *t)
{
    struct timespec at;

    if (t->has_fixed)
        return t->fixed;
    clock_gettime(CLOCK_REALTIME, &at);
    return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

static ax_status open_place(struct place *p, const char *where,
                            const struct track_run *run, struct ax_err *err)
{
    const char *colon = strchr(where, ':');
    size_t k = 0, n = sizeof kinds / sizeof kinds[0];

    while (k < n &&
           !(colon && strlen(kinds[k]->word) == (size_t)(colon - where) &&
             strncmp(kinds[k]->word, where, (size_t)(colon - where)) == 0))
        k++;
    if (k == n || !colon[1])
        return ax_fail(err, AX_EUSAGE,
                       "--track %.60s: wants jsonl:FILE, mlflow:URL, "
                       "tensorboard:FOLDER or wandb:FOLDER",
                       where);
    p->kind = kinds[k];
    p->where = where;
    return kinds[k]->open(&p->state, colon + 1, run, err);
}

ax_status track_open(struct track **out, const char *const *places, int n,
                     const struct track_run *run, struct ax_err *err)
{
    struct track *t = calloc(1, sizeof *t);
    ax_status st = AX_OK;

    *out = NULL;
    if (t)
        t->places = calloc((size_t)n + 1, sizeof *t->places);
    if (!t || !t->places) {
        free(t);
        return ax_fail(err, AX_ENOMEM, "no memory to follow a run");
    }
    t->fixed = run->time;
    t->has_fixed = getenv("SOURCE_DATE_EPOCH") != NULL;
    while (st == AX_OK && t->n < n) {
        st = open_place(&t->places[t->n], places[t->n], run, err);
        t->n++;
    }
    if (st == AX_OK)
        *out = t;
    else
        track_free(t);
    return st;
}

/* A server that went away is told of once, and left alone: a run is not
 * lost for it. Files are. */
static ax_status after(struct place *p, ax_status st, struct ax_err *err)
{
    if (st != AX_EUNAVAILABLE)
        return st == AX_OK ? st : ax_fail_in(err, "--track %s", p->where);
    fprintf(stderr, "ax-train: --track %s: %s; going on without it\n",
            p->where, err->msg);
    *err = (struct ax_err){0};
    p->lost = true;
    return AX_OK;
}

ax_status track_event(struct track *t, const struct event *e,
                      struct ax_err *err)
{
    for (int i = 0; t && i < t->n; i++) {
        struct place *p = &t->places[i];

        if (!p->lost)
            AX_TRY(after(p, p->kind->event(p->state, e, now(t), err), err));
    }
    return AX_OK;
}

ax_status track_finish(struct track *t, bool good, struct ax_err *err)
{
    for (int i = 0; t && i < t->n; i++) {
        struct place *p = &t->places[i];

        if (!p->lost && p->kind->finish)
            AX_TRY(
                after(p, p->kind->finish(p->state, good, now(t), err), err));
    }
    return AX_OK;
}

void track_free(struct track *t)
{
    if (!t)
        return;
    for (int i = 0; i < t->n; i++)
        if (t->places[i].state)
            t->places[i].kind->free(t->places[i].state);
    free(t->places);
    free(t);
}

/* -- files ----------------------------------------------------------------
 */

static ax_status make_folders(char *path, struct ax_err *err)
{
    for (char *end = path; *end;) {
        char kept;

        end += strspn(end, "/");
        end += strcspn(end, "/");
        kept = *end;
        *end = '\0';
        if (mkdir(path, 0777) != 0 && errno != EEXIST)
            return ax_fail(err, AX_EIO, "%s: %s", path, strerror(errno));
        *end = kept;
    }
    return AX_OK;
}

ax_status track_file(FILE **out, const char *folder, const char *name,
                     struct ax_err *err)
{
    size_t n = strlen(folder) + strlen(name) + 2;
    char *path = malloc(n);
    ax_status st;

    *out = NULL;
    if (!path)
        return ax_fail(err, AX_ENOMEM, "no memory for a path");
    snprintf(path, n, "%s", folder);
    st = *folder ? make_folders(path, err) : AX_OK;
    snprintf(path, n, "%s%s%s", folder, *folder ? "/" : "", name);
    if (st == AX_OK && !(*out = fopen(path, "ae")))
        st = ax_fail(err, errno == ENOMEM ? AX_ENOMEM : AX_EIO, "%s: %s",
                     path, strerror(errno));
    free(path);
    return st;
}

ax_status track_flush(FILE *f, const char *what, struct ax_err *err)
{
    if (fflush(f) != 0 || ferror(f))
        return ax_fail(err, AX_EIO, "%s: cannot be written", what);
    return AX_OK;
}

/* -- bytes ----------------------------------------------------------------
 */

void bytes_add(struct bytes *b, const void *p, size_t n)
{
    if (b->failed || n == 0)
        return;
    if (b->n + n > b->room) {
        size_t room = 2 * (b->n + n);
        unsigned char *more = realloc(b->p, room);

        if (!more) {
            free(b->p);
            *b = (struct bytes){.failed = true};
            return;
        }
        b->p = more;
        b->room = room;
    }
    memcpy(b->p + b->n, p, n);
    b->n += n;
}

void bytes_word(struct bytes *b, uint64_t v, int size)
{
    unsigned char w[8];

    for (int i = 0; i < 8; i++)
        w[i] = (unsigned char)(v >> (8 * i));
    bytes_add(b, w, (size_t)size);
}

static void varint(struct bytes *b, uint64_t v)
{
    unsigned char c;

    for (; v > 127; v >>= 7) {
        c = (unsigned char)(v | 128);
        bytes_add(b, &c, 1);
    }
    c = (unsigned char)v;
    bytes_add(b, &c, 1);
}

void bytes_number(struct bytes *b, unsigned field, uint64_t v)
{
    varint(b, (uint64_t)field << 3);
    varint(b, v);
}

void bytes_double(struct bytes *b, unsigned field, double v)
{
    uint64_t bits;

    memcpy(&bits, &v, sizeof bits);
    varint(b, (uint64_t)field << 3 | 1);
    bytes_word(b, bits, 8);
}

void bytes_float(struct bytes *b, unsigned field, float v)
{
    uint32_t bits;

    memcpy(&bits, &v, sizeof bits);
    varint(b, (uint64_t)field << 3 | 5);
    bytes_word(b, bits, 4);
}

void bytes_text(struct bytes *b, unsigned field, const void *p, size_t n)
{
    varint(b, (uint64_t)field << 3 | 2);
    varint(b, n);
    bytes_add(b, p, n);
}

void bytes_message(struct bytes *b, unsigned field, struct bytes *inner)
{
    if (inner->failed) {
        free(b->p);
        *b = (struct bytes){.failed = true};
    }
    bytes_text(b, field, inner->p, inner->n);
    free(inner->p);
    *inner = (struct bytes){0};
}

uint32_t track_crc(uint32_t polynomial, const void *p, size_t n)
{
    const unsigned char *c = p;
    uint32_t crc = 0xffffffff;

    for (size_t i = 0; i < n; i++) {
        crc ^= c[i];
        for (int k = 0; k < 8; k++)
            crc = crc >> 1 ^ (crc & 1 ? polynomial : 0);
    }
    return ~crc;
}

/* -- JSON Lines: what --json prints ---------------------------------------
 */

static ax_status jsonl_open(void **state, const char *place,
                            const struct track_run *run, struct ax_err *err)
{
    const char *name = strrchr(place, '/');
    char *folder = strndup(place, name ? (size_t)(name - place) : 0);
    FILE *f = NULL;
    ax_status st;

    (void)run;
    if (!folder)
        return ax_fail(err, AX_ENOMEM, "no memory for a path");
    /* Of "/file" the folder is there. */
    st = track_file(&f, folder, name && *folder ? name + 1 : place, err);
    free(folder);
    *state = f;
    return st;
}

static ax_status jsonl_event(void *state, const struct event *e, double time,
                             struct ax_err *err)
{
    (void)time;
    fprintf(state, "{\"schema\": \"ax.train.epoch/1\", \"epoch\": %lld",
            (long long)e->epoch);
    for (size_t i = 0; i < e->n; i++)
        if (isfinite(e->v[i].value))
            fprintf(state, ", \"%s\": %.17g", e->v[i].name, e->v[i].value);
    fputs("}\n", state);
    return track_flush(state, "the file", err);
}

static void jsonl_free(void *state)
{
    fclose(state);
}

const struct track_kind track_jsonl = {"jsonl", jsonl_open, jsonl_event, NULL,
                                       jsonl_free};
