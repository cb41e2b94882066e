/* Fuzz target: programs of PyTorch, torch.export's and TorchScript. The input
 * is the members of an archive, one behind the other, so that no checksum is
 * in the way: a line "@@NAME", and its bytes up to the next such line. What
 * is called "shapes" is what the option --shape would say. tests/fuzz/torch.c
 * has the archives themselves. */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "formats/aten/aten.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { MEMBERS_MAX = 64 };

struct archive {
    struct torch_member v[MEMBERS_MAX];
    uint32_t by_name[MEMBERS_MAX];
    size_t n;
    char shapes[256];
};

static int compare(struct torch_text a, struct torch_text b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int c = n ? memcmp(a.s, b.s, n) : 0;

    return c ? c : (a.n > b.n) - (a.n < b.n);
}

/* Put it where its name belongs. One of a name that is there is left out, as
 * archives that have two are refused. */
static void add(struct archive *a, const struct torch_member *m)
{
    size_t i = 0;

    if (torch_is(m->name, "shapes")) {
        size_t size = m->n < sizeof a->shapes ? m->n : sizeof a->shapes - 1;

        if (size)
            memcpy(a->shapes, m->packed, size);
        a->shapes[size] = '\0';
        return;
    }
    while (i < a->n && compare(a->v[a->by_name[i]].name, m->name) < 0)
        i++;
    if (i < a->n && torch_same(a->v[a->by_name[i]].name, m->name))
        return;
    memmove(a->by_name + i + 1, a->by_name + i,
            (a->n - i) * sizeof *a->by_name);
    a->by_name[i] = (uint32_t)a->n;
    a->v[a->n++] = *m;
}

/* Where the next line "@@NAME" begins; n if there is none. */
static size_t next_line(const uint8_t *data, size_t at, size_t n)
{
    for (; at + 3 < n; at++)
        if (memcmp(data + at, "\n@@", 3) == 0)
            return at + 1;
    return n;
}

static void split(struct archive *a, const uint8_t *data, size_t n)
{
    size_t at = n > 2 && memcmp(data, "@@", 2) == 0 ? 0
                                                    : next_line(data, 0, n);

    while (at < n && a->n < MEMBERS_MAX) {
        const uint8_t *nl = memchr(data + at, '\n', n - at);
        size_t start = nl ? (size_t)(nl - data) + 1 : n;
        size_t end = nl ? next_line(data, start - 1, n) : n;
        struct torch_member m = {.packed = data + start};

        m.name.s = (const char *)data + at + 2;
        m.name.n = (nl ? start - 1 : n) - at - 2;
        /* Without the newline in front of the next line. */
        m.n = end > start ? end - start - (end < n) : 0;
        m.n_packed = m.n;
        m.crc = (uint32_t)crc32(0, m.packed, (unsigned)m.n);
        add(a, &m);
        at = end;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct archive a = {.n = 0};
    struct torch_zip all = {.v = a.v, .by_name = a.by_name};
    struct ax_model *m = NULL;
    struct ax_err err = {0};
    ax_status st = AX_OK;

    split(&a, data, n);
    all.n = a.n;
    if (aten_is_export(&all))
        st = aten_read_export(&m, &all, data, n, &err);
    else if (aten_is_script(&all))
        st = aten_read_script(&m, &all, data, n,
                              a.shapes[0] ? a.shapes : NULL, &err);
    if (st == AX_OK)
        ax_model_free(m);
    else if (!err.msg[0] || st == AX_EBUG)
        abort();
    return 0;
}
