/* Runs of Weights & Biases as they are stored without a network, which
 * "wandb sync" sends: a log of LevelDB's framing with records of
 * wandb_internal.proto, and two files for people. The checksums are those of
 * zlib, not LevelDB's. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ax-train/track.h"
#include "ax/train.h"

#define BLOCK 32768
#define HEAD  7

struct wandb {
    FILE *f, *summary_file;
    size_t at; /* in its block */
    uint64_t records;
    double start;
    struct event last;
};

enum { FULL = 1, FIRST, MIDDLE, LAST };

/* A record's payload, cut where blocks end. */
static void put_log(struct wandb *w, const unsigned char *p, size_t n)
{
    bool first = true, last = false;

    while (!last) {
        size_t left = BLOCK - w->at, part;
        unsigned char head[HEAD + 1] = {0};
        struct bytes sum = {0};
        uint32_t crc;

        if (left < HEAD) {
            fwrite(head, 1, left, w->f);
            w->at = 0;
            left = BLOCK;
        }
        last = n <= left - HEAD;
        part = last ? n : left - HEAD;
        head[6] = (unsigned char)(first ? (last ? FULL : FIRST)
                                        : (last ? LAST : MIDDLE));
        bytes_add(&sum, head + 6, 1);
        bytes_add(&sum, p, part);
        crc = sum.failed ? 0 : track_crc(0xedb88320, sum.p, sum.n);
        free(sum.p);
        for (int i = 0; i < 4; i++)
            head[i] = (unsigned char)(crc >> (8 * i));
        head[4] = (unsigned char)part;
        head[5] = (unsigned char)(part >> 8);
        fwrite(head, 1, HEAD, w->f);
        fwrite(p, 1, part, w->f);
        w->at += HEAD + part;
        p += part;
        n -= part;
        first = false;
    }
}

/* Write a record that holds INNER as FIELD; INNER is emptied. */
static ax_status put(struct wandb *w, unsigned field, struct bytes *inner,
                     struct ax_err *err)
{
    struct bytes record = {0};

    bytes_number(&record, 1, w->records++);
    bytes_message(&record, field, inner);
    if (record.failed)
        return ax_fail(err, AX_ENOMEM, "no memory for a record");
    put_log(w, record.p, record.n);
    free(record.p);
    return track_flush(w->f, "the run's file", err);
}

static void item(struct bytes *to, unsigned field, unsigned key_field,
                 const char *key, const char *json)
{
    struct bytes one = {0};

    bytes_text(&one, key_field, key, strlen(key));
    bytes_text(&one, 16, json, strlen(json));
    bytes_message(to, field, &one);
}

static void number(struct bytes *to, unsigned field, unsigned key_field,
                   const char *key, double value)
{
    char text[40];

    snprintf(text, sizeof text, "%.17g", value);
    item(to, field, key_field, key, text);
}

static ax_status put_run(struct wandb *w, const struct track_run *run,
                         const char *id, struct ax_err *err)
{
    struct bytes out = {0}, config = {0}, start = {0};
    const char *key;
    json_t *value;

    bytes_text(&out, 1, id, strlen(id));
    bytes_text(&out, 3, "ax-train", 8);
    json_object_foreach(run->config, key, value)
    {
        char *text = json_dumps(value,
                                JSON_ENCODE_ANY | JSON_REAL_PRECISION(12));

        if (text)
            item(&config, 1, 1, key, text);
        config.failed |= !text;
        free(text);
    }
    bytes_message(&out, 4, &config);
    bytes_text(&out, 8, run->name, strlen(run->name));
    bytes_number(&start, 1, (uint64_t)run->time);
    bytes_message(&out, 17, &start);
    return put(w, 17, &out, err);
}

static ax_status begin(struct wandb *w, const struct track_run *run,
                       const char *id, struct ax_err *err)
{
    static const unsigned char magic[] = {':', 'W', '&', 'B', 0xe1, 0xbe, 0};
    struct bytes header = {0}, version = {0};

    fwrite(magic, 1, sizeof magic, w->f);
    w->at = sizeof magic;
    bytes_text(&version, 1, "0.17.0", 6);
    bytes_text(&version, 2, "0.12.0", 6);
    bytes_message(&header, 1, &version);
    AX_TRY(put(w, 21, &header, err));
    return put_run(w, run, id, err);
}

/* config.yaml: strings are written as JSON, which YAML reads. */
static ax_status put_config(const char *folder, const struct track_run *run,
                            struct ax_err *err)
{
    const char *key;
    json_t *value;
    ax_status st;
    FILE *f;

    AX_TRY(track_file(&f, folder, "config.yaml", err));
    json_object_foreach(run->config, key, value)
    {
        fprintf(f, "%s:\n    value: ", key);
        json_dumpf(value, f, JSON_ENCODE_ANY | JSON_REAL_PRECISION(12));
        fputc('\n', f);
    }
    st = track_flush(f, "config.yaml", err);
    fclose(f);
    return st;
}

static void wandb_free(void *state)
{
    struct wandb *w = state;

    if (w->f)
        fclose(w->f);
    if (w->summary_file)
        fclose(w->summary_file);
    free(w);
}

static ax_status wandb_open(void **state, const char *place,
                            const struct track_run *run, struct ax_err *err)
{
    struct wandb *w = calloc(1, sizeof *w);
    time_t at = (time_t)run->time;
    char id[9] = {0}, stamp[24], name[24], folder[4096];
    uint64_t bits = ax_train_random((uint64_t)(run->time * 1e6),
                                    (uint64_t)getpid(), 0);
    struct tm tm;

    *state = w;
    if (!w)
        return ax_fail(err, AX_ENOMEM, "no memory to follow a run");
    for (int i = 0; i < 8; i++, bits /= 36)
        id[i] = "abcdefghijklmnopqrstuvwxyz0123456789"[bits % 36];
    strftime(stamp, sizeof stamp, "%Y%m%d_%H%M%S", gmtime_r(&at, &tm));
    snprintf(name, sizeof name, "run-%s.wandb", id);
    if (strlen(place) > sizeof folder - 100)
        return ax_fail(err, AX_EUSAGE, "a path of %zu bytes", strlen(place));
    snprintf(folder, sizeof folder, "%s/wandb/offline-run-%s-%s", place,
             stamp, id);
    w->start = run->time;
    AX_TRY(track_file(&w->f, folder, name, err));
    AX_TRY(begin(w, run, id, err));
    snprintf(folder, sizeof folder, "%s/wandb/offline-run-%s-%s/files", place,
             stamp, id);
    AX_TRY(put_config(folder, run, err));
    return track_file(&w->summary_file, folder, "wandb-summary.json", err);
}

static ax_status wandb_event(void *state, const struct event *e, double time,
                             struct ax_err *err)
{
    struct wandb *w = state;
    struct bytes history = {0}, step = {0};

    for (size_t i = 0; i < e->n; i++)
        number(&history, 1, 2, e->v[i].name, e->v[i].value);
    number(&history, 1, 2, "_step", (double)e->epoch);
    number(&history, 1, 2, "_runtime", time - w->start);
    number(&history, 1, 2, "_timestamp", time);
    bytes_number(&step, 1, (uint64_t)e->epoch);
    bytes_message(&history, 2, &step);
    w->last = *e;
    return put(w, 2, &history, err);
}

static ax_status wandb_finish(void *state, bool good, double time,
                              struct ax_err *err)
{
    struct wandb *w = state;
    struct bytes summary = {0}, end = {0}, footer = {0};

    for (size_t i = 0; i < w->last.n; i++)
        number(&summary, 1, 1, w->last.v[i].name, w->last.v[i].value);
    AX_TRY(put(w, 3, &summary, err));
    bytes_number(&end, 1, good ? 0 : 1);
    bytes_number(&end, 2, (uint64_t)(time - w->start));
    AX_TRY(put(w, 18, &end, err));
    AX_TRY(put(w, 22, &footer, err));
    fprintf(w->summary_file, "{\"_step\": %" PRId64, w->last.epoch);
    for (size_t i = 0; i < w->last.n; i++)
        fprintf(w->summary_file, ", \"%s\": %.17g", w->last.v[i].name,
                w->last.v[i].value);
    fputs("}\n", w->summary_file);
    return track_flush(w->summary_file, "wandb-summary.json", err);
}

const struct track_kind track_wandb = {"wandb", wandb_open, wandb_event,
                                       wandb_finish, wandb_free};
