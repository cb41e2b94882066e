/* cmd/ax-train/track.h - where a run is followed from: files that other
 * people's programs watch, and servers. All are opened before the sandbox is
 * entered; nothing of them enters the model. */
#ifndef AX_TRAIN_TRACK_H
#define AX_TRAIN_TRACK_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "ax/err.h"

#define METRICS 12

/* What one epoch gave. */
struct event {
    int64_t epoch; /* from 1 */
    size_t n;
    struct {
        const char *name; /* as in ax.train.epoch/1 */
        double value;
    } v[METRICS];
};

/* A run as it begins. */
struct track_run {
    const char *name; /* of the architecture or container, without folders */
    json_t *config;   /* names and words or numbers */
    double time;      /* seconds since 1970: SOURCE_DATE_EPOCH if it is set */
};

struct track;

/* What a kind of tracking does. place is what stands behind the colon. */
struct track_kind {
    const char *word;
    ax_status (*open)(void **state, const char *place,
                      const struct track_run *run, struct ax_err *err);
    ax_status (*event)(void *state, const struct event *e, double time,
                       struct ax_err *err);
    /* good: the run came to its end. */
    ax_status (*finish)(void *state, bool good, double time,
                        struct ax_err *err);
    void (*free)(void *state); /* also of what was not finished */
};

extern const struct track_kind track_jsonl, track_tensorboard, track_wandb,
    track_mlflow;

/* Begin to follow a run at N places, KIND:PLACE each; *out is new.
 * AX_EUSAGE no such kind; AX_EIO; AX_EUNAVAILABLE no server answers. */
ax_status track_open(struct track **out, const char *const *places, int n,
                     const struct track_run *run, struct ax_err *err)
    AX_MUST_CHECK;
ax_status track_event(struct track *t, const struct event *e,
                      struct ax_err *err) AX_MUST_CHECK;
ax_status track_finish(struct track *t, bool good, struct ax_err *err)
    AX_MUST_CHECK;
void track_free(struct track *t); /* NULL is harmless */

/* -- for the kinds --------------------------------------------------------
 */

/* Make a folder and those above it, and open a file in it to append. */
ax_status track_file(FILE **out, const char *folder, const char *name,
                     struct ax_err *err) AX_MUST_CHECK;
/* Give all that was written to the system. AX_EIO. */
ax_status track_flush(FILE *f, const char *what, struct ax_err *err)
    AX_MUST_CHECK;

/* Bytes that grow, a message of protobuf for one. After memory ran out they
 * are empty and stay so. */
struct bytes {
    unsigned char *p;
    size_t n, room;
    bool failed;
};

void bytes_add(struct bytes *b, const void *p, size_t n);
void bytes_word(struct bytes *b, uint64_t v, int size); /* little-endian */
/* Fields: a varint, 8 or 4 bytes, and bytes with their length. */
void bytes_number(struct bytes *b, unsigned field, uint64_t v);
void bytes_double(struct bytes *b, unsigned field, double v);
void bytes_float(struct bytes *b, unsigned field, float v);
void bytes_text(struct bytes *b, unsigned field, const void *p, size_t n);
/* Another message as a field, which it is emptied into. */
void bytes_message(struct bytes *b, unsigned field, struct bytes *inner);

/* CRC-32 of Castagnoli (0x82f63b78) or of zlib (0xedb88320), reflected. */
uint32_t track_crc(uint32_t polynomial, const void *p, size_t n);

#endif
