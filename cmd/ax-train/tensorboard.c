/* Event files of TensorBoard: records of a length, its checksum, an Event of
 * protobuf, its checksum. https://github.com/tensorflow/tensorboard,
 * event.proto, summary.proto; the framing is TFRecord's. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ax-train/track.h"

static uint32_t masked(const void *p, size_t n)
{
    uint32_t crc = track_crc(0x82f63b78, p, n);

    return (crc >> 15 | crc << 17) + 0xa282ead8;
}

/* Write EVENT, which is emptied. */
static ax_status write_record(FILE *f, struct bytes *event,
                              struct ax_err *err)
{
    struct bytes out = {0};
    bool failed;

    bytes_word(&out, event->n, 8);
    bytes_word(&out, out.failed ? 0 : masked(out.p, 8), 4);
    bytes_add(&out, event->p, event->n);
    bytes_word(&out, masked(event->p, event->n), 4);
    failed = event->failed || out.failed;
    if (!failed)
        fwrite(out.p, 1, out.n, f);
    free(event->p);
    free(out.p);
    return failed ? ax_fail(err, AX_ENOMEM, "no memory for an event")
                  : track_flush(f, "the event file", err);
}

static ax_status tensorboard_open(void **state, const char *place,
                                  const struct track_run *run,
                                  struct ax_err *err)
{
    static const char version[] = "brain.Event:2";
    struct bytes event = {0};
    char name[96], host[33] = "host";
    FILE *f;

    (void)gethostname(host, sizeof host - 1);
    snprintf(name, sizeof name, "events.out.tfevents.%010lld.%s.%ld.0",
             (long long)run->time, host, (long)getpid());
    AX_TRY(track_file(&f, place, name, err));
    *state = f;
    bytes_double(&event, 1, run->time);
    bytes_text(&event, 3, version, strlen(version));
    return write_record(f, &event, err);
}

static ax_status tensorboard_event(void *state, const struct event *e,
                                   double time, struct ax_err *err)
{
    struct bytes event = {0}, summary = {0}, value = {0};

    bytes_double(&event, 1, time);
    bytes_number(&event, 2, (uint64_t)e->epoch);
    for (size_t i = 0; i < e->n; i++) {
        bytes_text(&value, 1, e->v[i].name, strlen(e->v[i].name));
        bytes_float(&value, 2, (float)e->v[i].value);
        bytes_message(&summary, 1, &value);
    }
    bytes_message(&event, 5, &summary);
    return write_record(state, &event, err);
}

static void tensorboard_free(void *state)
{
    fclose(state);
}

const struct track_kind track_tensorboard = {"tensorboard", tensorboard_open,
                                             tensorboard_event, NULL,
                                             tensorboard_free};
