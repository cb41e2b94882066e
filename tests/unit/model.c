/* lib/ax/model.h: what is written is read again, with the identity that the
 * format page says; and what is damaged is not read. */
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "sample.h"
#include "tap.h"

#define MIB 1048576

/* Sanitizers need address space of their own. */
#if defined(__SANITIZE_ADDRESS__)
enum { AX_SANITIZED = 1 };
#else
enum { AX_SANITIZED = 0 };
#endif

struct file {
    char *data;
    size_t n;
};

static struct file written(struct ax_model *m, ax_profile profile)
{
    struct file out = {0};
    struct ax_err err = {0};
    FILE *f = open_memstream(&out.data, &out.n);

    if (!f || ax_model_write(m, f, profile, &err) != AX_OK || fclose(f)) {
        printf("# %s\n", err.msg);
        abort();
    }
    return out;
}

static ax_status read_bytes(struct ax_model **m, const char *data, size_t n,
                            struct ax_err *err)
{
    union {
        const char *in;
        char *out;
    } same = {data};
    FILE *f = fmemopen(same.out, n ? n : 1, "rb");
    ax_status st;

    if (!f)
        abort();
    if (!n)
        (void)fgetc(f);
    st = ax_model_read(m, f, err);
    fclose(f);
    return st;
}

static bool same_model(const struct ax_model *a, const struct ax_model *b)
{
    if (a->n_tensors != b->n_tensors ||
        memcmp(a->identity, b->identity, 32) != 0)
        return false;
    for (uint32_t i = 0; i < a->n_tensors; i++)
        if (a->tensors[i].nbytes != b->tensors[i].nbytes ||
            memcmp(a->tensors[i].data, b->tensors[i].data,
                   a->tensors[i].nbytes) != 0)
            return false;
    return a->graph->n_nodes == b->graph->n_nodes;
}

/* The Merkle tree hash as RFC 6962 defines it, recursively. */
static void naive_root(unsigned char out[32], const unsigned char *p,
                       size_t n)
{
    size_t leaves = (n + MIB - 1) / MIB, split = 1;
    unsigned char *buf = malloc(MIB + 65);

    if (!buf)
        abort();
    if (leaves <= 1) {
        buf[0] = 0;
        memcpy(buf + 1, p, n);
        ax_sha256(out, buf, n + 1);
    } else {
        while (2 * split < leaves)
            split *= 2;
        buf[0] = 1;
        naive_root(buf + 1, p, split * MIB);
        naive_root(buf + 33, p + split * MIB, n - split * MIB);
        ax_sha256(out, buf, 65);
    }
    free(buf);
}

/* Both profiles of a model with so many weights; the raw one is the logical
 * stream and then, as there are no attachments, 48 + 25 bytes. */
static void round_trip(int64_t n_in, int64_t n_out)
{
    struct ax_model *m = sample_model(n_in, n_out), *zstd, *raw;
    struct file fz = written(m, AX_PROFILE_ZSTD), again;
    struct file fr = written(m, AX_PROFILE_RAW);
    struct ax_err err = {0};
    unsigned char root[32];

    OK(m->has_identity);
    naive_root(root, (unsigned char *)fr.data, fr.n - 73);
    OK(memcmp(root, m->identity, 32) == 0);
    OK(read_bytes(&zstd, fz.data, fz.n, &err) == AX_OK);
    OK(read_bytes(&raw, fr.data, fr.n, &err) == AX_OK);
    if (err.msg[0])
        printf("# %s\n", err.msg);
    OK(zstd && raw && same_model(m, zstd) && same_model(m, raw));
    again = written(raw, AX_PROFILE_ZSTD);
    OK(again.n == fz.n && memcmp(again.data, fz.data, fz.n) == 0);
    OK(strcmp(raw->graph->values[0].dim_names[0], "batch") == 0);
    free(again.data);
    free(fz.data);
    free(fr.data);
    ax_model_free(m);
    ax_model_free(zstd);
    ax_model_free(raw);
}

static void round_trips(void)
{
    round_trip(3, 2);
    round_trip(0, 3);       /* an empty tensor */
    round_trip(512, 512);   /* 2 leaves */
    round_trip(1024, 640);  /* 3 */
    round_trip(1024, 1157); /* 5 */
    round_trip(1024, 1800); /* 8 */
    /* The stream ends with a leaf: 448 bytes before the weights. */
    round_trip(1, (MIB - 512) / 8);
}

/* A stream that is a whole number of leaves, or an element more or less. */
static void leaves_end_anywhere(void)
{
    struct ax_model *m = sample_model(1, 262000);
    struct file f = written(m, AX_PROFILE_RAW);
    int64_t region = (int64_t)f.n - 73 - 2 * 4 * 262000;

    OK(region % 128 == 0); /* or the name of the sample wants changing */
    for (int64_t k = -1; k <= 1; k++)
        round_trip(1, (2 * MIB - region) / 8 + k);
    ax_model_free(m);
    free(f.data);
}

static void order_does_not_matter(void)
{
    struct ax_model *a = sample_model(3, 2), *b = sample_model(3, 2);
    struct file fa = written(a, AX_PROFILE_ZSTD), fb;
    struct ax_graph *g = b->graph;
    struct ax_value v = g->values[0];
    struct ax_tensor t;
    struct ax_err err = {0};

    /* Values: x w b z y becomes z w b x y and one that nothing uses;
     * tensors: one that nothing uses, b, w. */
    g->values = realloc(g->values, 6 * sizeof *g->values);
    b->tensors = realloc(b->tensors, 3 * sizeof *b->tensors);
    if (!g->values || !b->tensors || ax_tensor_new(&t, AX_F32, 0, NULL, &err))
        abort();
    g->values[0] = g->values[3];
    g->values[3] = v;
    g->inputs[0] = g->nodes[0].in[0] = 3;
    g->nodes[0].out[0] = g->nodes[1].in[0] = 0;
    sample_value(&g->values[5], "unused", 0, NULL, 2);
    g->n_values = 6;
    b->tensors[2] = b->tensors[0];
    b->tensors[0] = t;
    b->n_tensors = 3;
    g->values[1].tensor = 2;
    g->values[1].rank = -1; /* filled in from the tensor */
    g->values[5].tensor = 0;
    fb = written(b, AX_PROFILE_ZSTD);
    OK(b->n_tensors == 2 && g->n_values == 5);
    OK(fa.n == fb.n && memcmp(fa.data, fb.data, fa.n) == 0);
    free(fa.data);
    free(fb.data);
    ax_model_free(a);
    ax_model_free(b);
}

static void attach_some(struct ax_model *m)
{
    struct ax_err err = {0};
    static char big[30000];

    OK(ax_model_attach(m, "property", "safe.vnnlib", "(assert)", 8, &err) ==
       AX_OK);
    OK(ax_model_attach(m, "x-unknown", "", NULL, 0, &err) == AX_OK);
    OK(ax_model_attach(m, "report", "\xc3\xa4", big, sizeof big, &err) ==
       AX_OK);
}

static void attachments_are_kept(void)
{
    struct ax_model *m = sample_model(3, 2), *r;
    struct ax_err err = {0};
    struct file f, again;
    unsigned char logical[32 + 1 + 8 + 1 + 11 + 8], digest[32];

    attach_some(m);
    f = written(m, AX_PROFILE_ZSTD);
    OK(read_bytes(&r, f.data, f.n, &err) == AX_OK);
    OK(r && r->n_attachments == 3);
    memcpy(logical, m->identity, 32);
    memcpy(logical + 32, "\10property\13safe.vnnlib(assert)", 29);
    ax_sha256(digest, logical, sizeof logical);
    OK(memcmp(r->attachments[0].digest, digest, 32) == 0);
    OK(r->attachments[0].n == 8 &&
       memcmp(r->attachments[0].data, "(assert)", 8) == 0);
    OK(strcmp(r->attachments[1].type, "x-unknown") == 0 &&
       !r->attachments[1].name[0] && r->attachments[1].n == 0);
    OK(r->attachments[2].n == 30000);
    OK(memcmp(r->attachments[2].digest, m->attachments[2].digest, 32) == 0);
    again = written(r, AX_PROFILE_ZSTD);
    OK(again.n == f.n && memcmp(again.data, f.data, f.n) == 0);
    free(f.data);
    free(again.data);
    ax_model_free(r);
    ax_model_free(m);
}

static void bad_attachments_are_refused(void)
{
    struct ax_model *m = sample_model(3, 2);
    struct ax_err err = {0};
    char name[257];

    memset(name, 'n', 256);
    name[256] = '\0';
    OK(ax_model_attach(m, "", "n", "", 0, &err) == AX_EFORMAT);
    OK(ax_model_attach(m, "Type", "n", "", 0, &err) == AX_EFORMAT);
    OK(ax_model_attach(m, name, "n", "", 0, &err) == AX_EFORMAT);
    OK(ax_model_attach(m, "t", name, "", 0, &err) == AX_EFORMAT);
    OK(ax_model_attach(m, "t", name + 1, "", 0, &err) == AX_OK);
    OK(ax_model_attach(m, "t", "a/b", "", 0, &err) == AX_EFORMAT);
    OK(ax_model_attach(m, "t", "a\nb", "", 0, &err) == AX_EFORMAT);
    OK(ax_model_attach(m, "t", "\xc0\x80", "", 0, &err) == AX_EFORMAT);
    OK(ax_model_attach(m, "t", "\xed\xa0\x80", "", 0, &err) == AX_EFORMAT);
    /* The model changes under its attachments. */
    ((float *)m->tensors[0].data)[0] += 1;
    m->has_identity = false;
    OK(ax_model_attach(m, "t", "", "", 0, &err) == AX_OK);
    {
        FILE *f = tmpfile();

        OK(f && ax_model_write(m, f, AX_PROFILE_RAW, &err) == AX_EBUG);
        OK(strstr(err.msg, "speaks of another model") != NULL);
        if (f)
            fclose(f);
    }
    ax_model_free(m);
}

static void write_errors_are_noticed(void)
{
    struct ax_model *m = sample_model(700, 700);
    struct ax_err err = {0};
    FILE *f = fopen("/dev/full", "wb");

    if (!f) {
        SKIP("no /dev/full");
    } else {
        OK(ax_model_write(m, f, AX_PROFILE_ZSTD, &err) == AX_EIO);
        OK(strcmp(err.msg, "No space left on device") == 0);
        fclose(f);
    }
    ax_model_free(m);
}

/* Tensors borrow from a regular file of the raw profile. */
static void raw_files_are_mapped(void)
{
    struct ax_model *m = sample_model(300, 20), *r = NULL;
    struct ax_err err = {0};
    char path[] = "/tmp/ax-model-XXXXXX";
    int fd = mkstemp(path);
    FILE *f = fdopen(fd, "wb");

    OK(f && ax_model_write(m, f, AX_PROFILE_RAW, &err) == AX_OK);
    fclose(f);
    OK(ax_model_open(&r, path, &err) == AX_OK);
    OK(r && r->map && !r->tensors[0].owned && same_model(m, r));
    OK(r && (uintptr_t)r->tensors[1].data % 64 == 0);
    unlink(path);
    ax_model_free(r);
    OK(ax_model_open(&r, path, &err) == AX_ENOINPUT && !r);
    ax_model_free(m);
}

/* Every damage to a file leaves an error or the same model. */
static void damage(ax_profile profile)
{
    struct ax_model *m = sample_model(3, 2);
    struct file f;
    int wrong = 0, kept = 0;

    attach_some(m);
    f = written(m, profile);
    for (size_t i = 0; i < f.n * 8; i++) {
        struct ax_model *r = NULL;
        struct ax_err err = {0};

        f.data[i / 8] = (char)(f.data[i / 8] ^ (1 << i % 8));
        if (read_bytes(&r, f.data, f.n, &err) == AX_OK) {
            bool good = same_model(m, r) && r->n_attachments == 3;

            for (int k = 0; k < 3 && good; k++)
                good = memcmp(r->attachments[k].digest,
                              m->attachments[k].digest, 32) == 0;
            wrong += !good;
            kept++;
        } else {
            wrong += r || !err.msg[0] || err.code == AX_EBUG;
        }
        ax_model_free(r);
        f.data[i / 8] = (char)(f.data[i / 8] ^ (1 << i % 8));
    }
    printf("# %d of %zu flipped bits leave the same model\n", kept, f.n * 8);
    OK(wrong == 0);
    OK(kept < 32);
    for (size_t n = 0; n < f.n; n++) {
        struct ax_model *r = NULL;
        struct ax_err err = {0};

        wrong += read_bytes(&r, f.data, n, &err) != AX_EFORMAT || r;
    }
    OK(wrong == 0);
    f.data = realloc(f.data, f.n + 1);
    f.data[f.n] = 0;
    {
        struct ax_model *r = NULL;
        struct ax_err err = {0};

        OK(read_bytes(&r, f.data, f.n + 1, &err) == AX_EFORMAT);
        OK(strstr(err.msg, "something follows the end") != NULL);
    }
    free(f.data);
    ax_model_free(m);
}

/* Is a stream with this header refused, and with these words? */
static bool header_refused(const void *header, size_t n, size_t claimed,
                           const char *words)
{
    char *file = calloc(1, 16 + n + 64);
    struct ax_model *r = NULL;
    struct ax_err err = {0};
    bool good;

    if (!file)
        abort();
    memcpy(file, "AXM\1", 4);
    for (int i = 0; i < 8; i++)
        file[8 + i] = (char)(claimed >> 8 * i);
    memcpy(file + 16, header, n);
    good = read_bytes(&r, file, 16 + n + 64, &err) != AX_OK && !r &&
           strstr(err.msg, words);
    if (!good)
        printf("# %s\n", err.msg);
    free(file);
    return good;
}

#define REFUSED(bytes, words) \
    header_refused(bytes, sizeof bytes - 1, sizeof bytes - 1, words)

static void hostile_headers_are_refused(void)
{
    OK(REFUSED("", "version 0"));
    OK(REFUSED("\x08\x02", "version 2, this reader knows 1"));
    OK(REFUSED("\x08\x01", "there is no graph"));
    OK(REFUSED("\x08\x81\x00", "shortest form"));
    OK(REFUSED("\x08\x01\x12\x00\x38\x01", "does not know"));
    OK(REFUSED("\x12\x00\x08\x01", "ascending"));
    OK(REFUSED("\x08\x01\x12\x00\x12\x00", "not in canonical form"));
    OK(REFUSED("\x08\x01\x12\x05", "longer than what holds it"));
    OK(REFUSED("\x08\x01\x12\x03\x0a\x01\xff", "not UTF-8"));
    OK(REFUSED("\x08\x01\x12\x03\x0a\x01\x00", "not in canonical form"));
    OK(REFUSED("\x08\x01\x12\x02\x0a\x00", "not in canonical form"));
    OK(REFUSED("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
               "does not end"));
    OK(REFUSED("\x09\x01\x00\x00\x00\x00\x00\x00\x00", "no message of type"));
    OK(REFUSED("\x0b\x01", "unknown wire type"));
    /* Unpacked numbers: Graph.inputs as two varints. */
    OK(REFUSED("\x08\x01\x12\x04\x20\x00\x20\x00", "canonical"));
    OK(REFUSED("\x08\x01\x12\x00\x1a\x02\x08\x0e", "no element type"));
    OK(REFUSED("\x08\x01\x12\x00\x1a\x02\x08\x08", "has strings"));
    OK(REFUSED("\x08\x01\x12\x00\x1a\x07\x08\x01\x12\x01\x05\x20\x13",
               "has 19 bytes, its shape wants 20"));
    OK(header_refused("\x08\x01", 2, (size_t)1 << 40, "at most 67108864"));
    OK(header_refused("\x08\x01", 2, 60000000, "cut short"));
}

/* Messages inside messages: Graph, Node, Attr, Graph ... */
static void deep_headers_are_refused(void)
{
    static unsigned char h[1 << 16];
    size_t n = 0, at = sizeof h;
    static const unsigned char tags[] = {0x1a, 0x2a, 0x4a};

    for (int depth = 0; depth < 9000; depth++) {
        size_t len = n;
        unsigned char head[5];
        size_t k = 0;

        head[k++] = depth == 8999 ? 0x12 : tags[(8998 - depth) % 3];
        do {
            head[k++] = (unsigned char)((len & 127) | (len > 127 ? 128 : 0));
            len >>= 7;
        } while (len);
        at -= k;
        memcpy(h + at, head, k);
        n += k;
    }
    OK(header_refused(h + at, n, n, "more than 64 deep"));
}

/* Millions of empty messages must not become gigabytes. */
static void small_messages_are_refused(void)
{
    size_t n = 4 << 20;
    unsigned char *h = malloc(n);

    if (!h)
        abort();
    memcpy(h, "\x08\x01\x12\x00", 4);
    for (size_t i = 4; i < n; i += 2)
        memcpy(h + i, "\x1a\x00", 2);
    OK(header_refused(h, n, n, "not justified"));
    free(h);
}

/* A tensor of 64 GiB of which only the beginning comes must not be allocated
 * as a whole. The file is made by a write that fails early. */
/* What is written is read: small nodes without names, and many of them, cost
 * the most memory a byte. */
static void deep_networks_are_read(void)
{
    enum { DEEP = 100000 };
    struct ax_model *m = calloc(1, sizeof *m), *r = NULL;
    struct ax_graph *g = calloc(1, sizeof *g);
    const uint32_t first = 0, last = DEEP;
    struct ax_err err = {0};
    struct file f;

    if (!m || !g)
        abort();
    *g = (struct ax_graph){.name = sample_text("deep"),
                           .n_values = DEEP + 1,
                           .n_nodes = DEEP,
                           .n_inputs = 1,
                           .n_outputs = 1,
                           .values = calloc(DEEP + 1, sizeof *g->values),
                           .nodes = calloc(DEEP, sizeof *g->nodes),
                           .inputs = sample_copy(&first, sizeof first),
                           .outputs = sample_copy(&last, sizeof last)};
    if (!g->values || !g->nodes)
        abort();
    m->graph = g;
    for (uint32_t k = 0; k <= DEEP; k++) {
        char name[16];

        snprintf(name, sizeof name, "%x", k);
        sample_value(&g->values[k], name, 1, (int64_t[]){2}, AX_NONE);
        if (k > 0)
            sample_node(&g->nodes[k - 1], AX_OP_Relu, "", 1,
                        (uint32_t[]){k - 1}, k);
    }
    f = written(m, AX_PROFILE_ZSTD);
    OK(read_bytes(&r, f.data, f.n, &err) == AX_OK);
    OK(r && r->graph->n_nodes == DEEP);
    free(f.data);
    ax_model_free(r);
    ax_model_free(m);
}

static void promises_are_not_believed(void)
{
    size_t huge = (size_t)1 << 36;
    void *zeros = mmap(NULL, huge, PROT_READ,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    struct ax_model *m = sample_model(3, 2), *r = NULL;
    struct ax_err err = {0};
    struct rlimit old, low;
    static char buf[3 * MIB];
    FILE *f = fmemopen(buf, sizeof buf, "wb");

    if (zeros == MAP_FAILED || !f) {
        SKIP("no 64 GiB of address space");
        return;
    }
    ax_tensor_free(&m->tensors[1]);
    m->tensors[1] = (struct ax_tensor){.dtype = AX_F32,
                                       .rank = 1,
                                       .dims = {(int64_t)1 << 34},
                                       .data = zeros,
                                       .nbytes = huge};
    setvbuf(f, NULL, _IONBF, 0);
    OK(ax_model_write(m, f, AX_PROFILE_RAW, &err) == AX_EIO);
    fclose(f);
    getrlimit(RLIMIT_AS, &old);
    low = old;
    low.rlim_cur = huge + (4ul << 30);
    if (!AX_SANITIZED)
        setrlimit(RLIMIT_AS, &low);
    OK(read_bytes(&r, buf, sizeof buf, &err) == AX_EFORMAT);
    setrlimit(RLIMIT_AS, &old);
    OK(strstr(err.msg, "cut short") != NULL);
    munmap(zeros, huge);
    ax_model_free(m);
}

int main(void)
{
    round_trips();
    leaves_end_anywhere();
    order_does_not_matter();
    attachments_are_kept();
    bad_attachments_are_refused();
    write_errors_are_noticed();
    raw_files_are_mapped();
    damage(AX_PROFILE_ZSTD);
    damage(AX_PROFILE_RAW);
    hostile_headers_are_refused();
    deep_headers_are_refused();
    small_messages_are_refused();
    deep_networks_are_read();
    promises_are_not_believed();
    ax_model_free(NULL);
    return tap_done();
}
