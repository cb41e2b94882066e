/* npz, a zip archive of npy files; idx; and telling the kinds apart. */
#include <stdlib.h>
#include <string.h>
#include <zip.h>

#include "ax/tensorfile.h"

#define DEFLATE_MAX 1100 /* deflate makes at most 1032 bytes out of one */

void ax_tensor_list_free(struct ax_tensor_list *list)
{
    for (size_t i = 0; i < list->n; i++) {
        free(list->v[i].name);
        ax_tensor_free(&list->v[i].t);
    }
    free(list->v);
    *list = (struct ax_tensor_list){0};
}

/* -- npz ----------------------------------------------------------------- */

/* Read an opened member; *data is new. */
static ax_status inflate_member(unsigned char **data, size_t *n,
                                zip_file_t *f, size_t size,
                                struct ax_err *err)
{
    unsigned char *p = NULL, *more;
    size_t have = 0, room = 0;

    for (;;) {
        zip_int64_t got;

        if (have == room) {
            room = room ? room * 2 : 65536;
            room = room > size + 1 ? size + 1 : room;
            more = realloc(p, room);
            if (!more) {
                free(p);
                return ax_fail(err, AX_ENOMEM, "no memory for %zu bytes",
                               room);
            }
            p = more;
        }
        got = zip_fread(f, p + have, room - have);
        if (got < 0 || have + (size_t)got > size) {
            free(p);
            return ax_fail(err, AX_EFORMAT, "damaged zip data");
        }
        if (got == 0)
            break;
        have += (size_t)got;
    }
    if (have != size) {
        free(p);
        return ax_fail(err, AX_EFORMAT,
                       "%zu bytes where the archive says "
                       "%zu",
                       have, size);
    }
    *data = p;
    *n = have;
    return AX_OK;
}

static ax_status read_member(struct ax_named_tensor *out, zip_t *z,
                             zip_uint64_t i, struct ax_err *err)
{
    unsigned char *data = NULL;
    zip_file_t *f = NULL;
    size_t n = 0, len;
    zip_stat_t st;
    ax_status rc;

    if (zip_stat_index(z, i, 0, &st) != 0 || !(st.valid & ZIP_STAT_NAME) ||
        !(st.valid & ZIP_STAT_SIZE) || !(st.valid & ZIP_STAT_COMP_SIZE))
        return ax_fail(err, AX_EFORMAT, "an entry without name or size");
    len = strlen(st.name);
    if (len < 5 || strcmp(st.name + len - 4, ".npy") != 0)
        return ax_fail(err, AX_EFORMAT, "an entry that is not npy");
    if (st.encryption_method != ZIP_EM_NONE)
        return ax_fail(err, AX_EUNSUPPORTED, "an encrypted entry");
    if (st.size > (st.comp_size + 64) * DEFLATE_MAX)
        return ax_fail(err, AX_EFORMAT, "%llu bytes cannot come out of %llu",
                       (unsigned long long)st.size,
                       (unsigned long long)st.comp_size);
    f = zip_fopen_index(z, i, 0);
    if (!f)
        return ax_fail(err, AX_EFORMAT, "%s", zip_strerror(z));
    rc = inflate_member(&data, &n, f, (size_t)st.size, err);
    zip_fclose(f);
    if (rc == AX_OK)
        rc = ax_npy_read(&out->t, data, n, err);
    free(data);
    if (rc != AX_OK)
        return rc;
    out->name = strndup(st.name, len - 4);
    if (!out->name) {
        ax_tensor_free(&out->t);
        return ax_fail(err, AX_ENOMEM, "no memory for a name");
    }
    return AX_OK;
}

static ax_status read_members(struct ax_tensor_list *out, zip_t *z,
                              struct ax_err *err)
{
    zip_int64_t n = zip_get_num_entries(z, 0);

    if (n < 1)
        return ax_fail(err, AX_EFORMAT, "an archive without entries");
    out->v = calloc((size_t)n, sizeof *out->v);
    if (!out->v)
        return ax_fail(err, AX_ENOMEM, "no memory for %lld entries",
                       (long long)n);
    for (zip_int64_t i = 0; i < n; i++) {
        struct ax_named_tensor *t = &out->v[out->n];

        if (read_member(t, z, (zip_uint64_t)i, err) != AX_OK)
            return ax_fail_in(err, "entry %lld", (long long)i);
        out->n++;
        for (size_t k = 0; k + 1 < out->n; k++)
            if (strcmp(out->v[k].name, t->name) == 0)
                return ax_fail(err, AX_EFORMAT,
                               "entries %zu and %lld have one name", k,
                               (long long)i);
    }
    return AX_OK;
}

ax_status ax_npz_read(struct ax_tensor_list *out, const unsigned char *data,
                      size_t n, struct ax_err *err)
{
    zip_error_t ze;
    zip_source_t *src;
    zip_t *z = NULL;
    ax_status st;

    *out = (struct ax_tensor_list){0};
    zip_error_init(&ze);
    src = zip_source_buffer_create(data, n, 0, &ze);
    if (src)
        z = zip_open_from_source(src, ZIP_RDONLY | ZIP_CHECKCONS, &ze);
    if (!z) {
        st = ax_fail(err, AX_EFORMAT, "npz: %s", zip_error_strerror(&ze));
        zip_source_free(src);
        zip_error_fini(&ze);
        return st;
    }
    st = read_members(out, z, err);
    if (st != AX_OK) {
        ax_tensor_list_free(out);
        ax_fail_in(err, "npz");
    }
    zip_discard(z);
    zip_error_fini(&ze);
    return st;
}

enum {
    HEADER_MAX = 1024, /* of an npy, and the NUL of fmemopen */
    WIDER = 4,         /* bytes that one of a number becomes at most */
};

/* The npy of a tensor, in memory. open_memstream would lose what it has no
 * memory for, without a word: so there is room for all before it starts. */
static ax_status to_npy(char **data, size_t *n, const struct ax_tensor *t,
                        struct ax_err *err)
{
    size_t room = WIDER * t->nbytes + HEADER_MAX;
    char *smaller;
    FILE *f = NULL;
    ax_status st;
    long end;

    *data = t->nbytes < SIZE_MAX / WIDER / 2 ? malloc(room) : NULL;
    if (*data)
        f = fmemopen(*data, room, "wb");
    if (!f)
        return ax_fail(err, AX_ENOMEM, "no memory for an entry");
    st = ax_npy_write(f, t, err);
    end = fflush(f) || ferror(f) ? -1 : ftell(f);
    fclose(f);
    if (st != AX_OK)
        return st;
    if (end < 0)
        return ax_fail(err, AX_ENOMEM, "no memory for an entry");
    *n = (size_t)end;
    smaller = realloc(*data, *n);
    if (smaller)
        *data = smaller;
    return AX_OK;
}

/* The archive is made in memory, so that is what it can lack; libzip does not
 * always say so. */
static ax_status lacks(zip_t *z, struct ax_err *err)
{
    return ax_fail(err, AX_ENOMEM, "no memory for an archive: npz: %s",
                   zip_strerror(z));
}

static ax_status name_member(char name[512], zip_t *z, const char *of,
                             struct ax_err *err)
{
    if (snprintf(name, 512, "%s.npy", of) >= 512)
        return ax_fail(err, AX_EUNSUPPORTED, "a name of %zu bytes",
                       strlen(of));
    for (char *p = name; *p; p++) /* no folders where names have slashes */
        *p = *p == '/' ? '_' : *p;
    return zip_name_locate(z, name, ZIP_FL_ENC_UTF_8) < 0
               ? AX_OK
               : ax_fail(err, AX_EUNSUPPORTED,
                         "'%.200s' and another array are both called "
                         "'%.200s' in an npz",
                         of, name);
}

/* *data is what the archive has until it is closed: libzip 1.7 frees what is
 * given to it twice, or not at all, when memory is out. */
static ax_status add_member(zip_t *z, char **data,
                            const struct ax_named_tensor *t,
                            struct ax_err *err)
{
    zip_source_t *src;
    char name[512];
    zip_int64_t i;
    size_t n = 0;

    AX_TRY(name_member(name, z, t->name, err));
    AX_TRY(to_npy(data, &n, &t->t, err));
    src = zip_source_buffer(z, *data, n, 0);
    if (!src)
        return lacks(z, err);
    i = zip_file_add(z, name, src, ZIP_FL_ENC_UTF_8);
    if (i < 0) {
        zip_source_free(src);
        return lacks(z, err);
    }
    /* The same time always, and stored as numpy.savez does. */
    if (zip_file_set_dostime(z, (zip_uint64_t)i, 0, 0x21, 0) ||
        zip_set_file_compression(z, (zip_uint64_t)i, ZIP_CM_STORE, 0))
        return lacks(z, err);
    return AX_OK;
}

static ax_status copy_source(FILE *f, zip_source_t *src, struct ax_err *err)
{
    char buf[65536];
    zip_int64_t got;

    if (zip_source_open(src) != 0)
        return ax_fail(err, AX_ENOMEM, "npz: cannot read back the archive");
    while ((got = zip_source_read(src, buf, sizeof buf)) > 0)
        fwrite(buf, 1, (size_t)got, f);
    zip_source_close(src);
    if (got < 0 || ferror(f))
        return ax_fail(err, AX_EIO, "cannot write");
    return AX_OK;
}

/* All members, into the archive that SRC keeps. */
static ax_status fill(zip_source_t *src, char **data,
                      const struct ax_tensor_list *list, struct ax_err *err)
{
    zip_t *z = zip_open_from_source(src, ZIP_TRUNCATE, NULL);
    ax_status st = AX_OK;

    if (!z)
        return ax_fail(err, AX_ENOMEM, "no memory for an archive");
    zip_source_keep(src);
    for (size_t i = 0; i < list->n && st == AX_OK; i++)
        st = add_member(z, &data[i], &list->v[i], err);
    if (st == AX_OK && zip_close(z) == 0)
        return AX_OK;
    if (st == AX_OK)
        st = lacks(z, err);
    zip_discard(z);
    return st;
}

ax_status ax_npz_write(FILE *f, const struct ax_tensor_list *list,
                       struct ax_err *err)
{
    zip_source_t *src = zip_source_buffer_create(NULL, 0, 0, NULL);
    char **data = calloc(list->n + 1, sizeof *data);
    ax_status st = src && data
                       ? fill(src, data, list, err)
                       : ax_fail(err, AX_ENOMEM, "no memory for an archive");

    if (st == AX_OK)
        st = copy_source(f, src, err);
    zip_source_free(src);
    for (size_t i = 0; data && i < list->n; i++)
        free(data[i]);
    free(data);
    return st;
}

/* -- idx ----------------------------------------------------------------- */

ax_status ax_idx_read(struct ax_tensor *out, const unsigned char *data,
                      size_t n, struct ax_err *err)
{
    static const struct {
        unsigned char code;
        ax_dtype dtype;
    } types[] = {{0x08, AX_U8},  {0x09, AX_I8},  {0x0b, AX_I16},
                 {0x0c, AX_I32}, {0x0d, AX_F32}, {0x0e, AX_F64}};
    ax_dtype dtype = AX_DTYPE_NONE;
    int64_t dims[AX_RANK_MAX];
    size_t at, count, size;
    int rank;

    if (n < 4 || data[0] || data[1])
        return ax_fail(err, AX_EFORMAT, "not an idx file");
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (types[i].code == data[2])
            dtype = types[i].dtype;
    if (!dtype || data[3] > AX_RANK_MAX)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "idx: type %02x in %d dimensions", data[2], data[3]);
    rank = data[3];
    at = 4 + 4 * (size_t)rank;
    if (n < at)
        return ax_fail(err, AX_EFORMAT, "idx: cut short in the header");
    for (int i = 0; i < rank; i++) {
        const unsigned char *p = data + 4 + 4 * i;

        dims[i] = (int64_t)p[0] << 24 | (int64_t)p[1] << 16 |
                  (int64_t)p[2] << 8 | p[3];
    }
    size = ax_dtype_size(dtype);
    AX_TRY(ax_shape_count(&count, rank, dims, size, err));
    if (n - at != count * size)
        return ax_fail(err, AX_EFORMAT, "idx: wants %zu bytes, has %zu",
                       count * size, n - at);
    AX_TRY(ax_tensor_new(out, dtype, rank, dims, err));
    for (size_t i = 0; i < count * size; i++) /* big-endian */
        ((unsigned char *)out->data)[i] =
            data[at + i / size * size + (size - 1 - i % size)];
    return AX_OK;
}

/* -- any kind ------------------------------------------------------------ */

ax_tensorfile ax_tensorfile_sniff(const unsigned char *data, size_t n)
{
    if (n >= 6 && memcmp(data, "\x93NUMPY", 6) == 0)
        return AX_FILE_NPY;
    if (n >= 4 &&
        (memcmp(data, "PK\3\4", 4) == 0 || memcmp(data, "PK\5\6", 4) == 0))
        return AX_FILE_NPZ;
    if (n >= 4 && data[0] == 0 && data[1] == 0)
        return AX_FILE_IDX;
    return AX_FILE_CSV;
}

ax_tensorfile ax_tensorfile_by_name(const char *path)
{
    static const struct {
        const char *ending;
        ax_tensorfile kind;
    } kinds[] = {
        {".npy", AX_FILE_NPY}, {".npz", AX_FILE_NPZ}, {".csv", AX_FILE_CSV}};
    size_t n = strlen(path);

    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (n > 4 && strcmp(path + n - 4, kinds[i].ending) == 0)
            return kinds[i].kind;
    return (ax_tensorfile)0;
}

ax_status ax_tensorfile_read(struct ax_tensor_list *out,
                             const unsigned char *data, size_t n,
                             ax_dtype dtype, struct ax_err *err)
{
    ax_tensorfile kind = ax_tensorfile_sniff(data, n);
    struct ax_tensor t;

    if (kind == AX_FILE_NPZ)
        return ax_npz_read(out, data, n, err);
    *out = (struct ax_tensor_list){0};
    AX_TRY(kind == AX_FILE_NPY && dtype == AX_STRING
               ? ax_npy_read_strings(&t, data, n, err)
           : kind == AX_FILE_NPY ? ax_npy_read(&t, data, n, err)
           : kind == AX_FILE_IDX ? ax_idx_read(&t, data, n, err)
                                 : ax_csv_read(&t, data, n, dtype, err));
    out->v = calloc(1, sizeof *out->v);
    if (out->v)
        out->v->name = calloc(1, 1);
    if (!out->v || !out->v->name) {
        free(out->v);
        out->v = NULL;
        ax_tensor_free(&t);
        return ax_fail(err, AX_ENOMEM, "no memory for a tensor");
    }
    out->v->t = t;
    out->n = 1;
    return AX_OK;
}
