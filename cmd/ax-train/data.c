/* Rows to train with: see data.h. */
#include "ax-train/data.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "ax/element.h"
#include "ax/tensorfile.h"
#include "common/file.h"

/* Loops become vectors whatever their length. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O3")
#endif

#define FILE_MAX ((size_t)1 << 36)

/* A table with words, as a list of one tensor; *is: was it one? */
static ax_status read_words(struct ax_tensor_list *list, bool *is,
                            const unsigned char *bytes, size_t n,
                            const struct data_wanted *want,
                            struct ax_err *err)
{
    *is = false;
    if (!want || n == 0 || ax_tensorfile_sniff(bytes, n) != AX_FILE_CSV)
        return AX_OK;
    AX_TRY(table_has_words(is, bytes, n, err));
    *is = *is || want->columns->n > 0;
    if (!*is)
        return AX_OK;
    list->v = calloc(1, sizeof *list->v);
    if (!list->v || !(list->v[0].name = strdup("")))
        return ax_fail(err, AX_ENOMEM, "no memory for a table");
    list->n = 1;
    return table_read(&list->v[0].t, want->columns, bytes, n, want->classes,
                      err);
}

/* WANT: the last columns may be targets; NULL: all are alike. */
static ax_status read_list(struct ax_tensor_list *list, const char *path,
                           const struct data_wanted *want,
                           struct data_files *files, struct ax_err *err)
{
    unsigned char *bytes = NULL;
    bool words = false;
    size_t n;
    ax_status st;

    AX_TRY(cmd_in_read(&bytes, &n, path, FILE_MAX, err));
    files->v[files->n].name = cmd_in_name(path);
    ax_sha256(files->v[files->n++].sha256, bytes, n);
    if (n > 1 && bytes[0] == 0x1f && bytes[1] == 0x8b)
        st = ax_fail(err, AX_EUNSUPPORTED,
                     "is packed with gzip: unpack it first");
    else
        st = read_words(list, &words, bytes, n, want, err);
    if (st == AX_OK && !words)
        st = ax_tensorfile_read(list, bytes, n, AX_F32, err);
    free(bytes);
    return st == AX_OK ? st : ax_fail_in(err, "%s", cmd_in_name(path));
}

static void take(struct ax_tensor *to, struct ax_tensor *from)
{
    *to = *from;
    memset(from, 0, sizeof *from);
}

/* The members x and y of an npz. */
static ax_status take_pair(struct data *d, struct ax_tensor_list *list,
                           struct ax_err *err)
{
    struct ax_tensor *to[] = {&d->x, &d->y};

    for (int k = 0; k < 2; k++) {
        size_t i = 0;

        while (i < list->n && strcmp(list->v[i].name, k ? "y" : "x") != 0)
            i++;
        if (i == list->n)
            return ax_fail(err, AX_EFORMAT, "has no member '%s'",
                           k ? "y" : "x");
        take(to[k], &list->v[i].t);
    }
    return AX_OK;
}

/* A table: the last N columns are the targets. */
static ax_status cut_table(struct data *d, size_t n, struct ax_err *err)
{
    struct ax_tensor all = d->x;
    size_t rows, columns;
    ax_status st;

    if (all.rank != 2 || (size_t)all.dims[1] <= n || all.dtype != AX_F32)
        return ax_fail(err, AX_ESHAPE,
                       "is no table with %zu columns of targets: give them "
                       "with --labels",
                       n);
    rows = (size_t)all.dims[0];
    columns = (size_t)all.dims[1] - n;
    memset(&d->x, 0, sizeof d->x);
    st = ax_tensor_new(&d->x, AX_F32, 2,
                       (int64_t[]){all.dims[0], (int64_t)columns}, err);
    if (st == AX_OK)
        st = ax_tensor_new(&d->y, AX_F32, 2,
                           (int64_t[]){all.dims[0], (int64_t)n}, err);
    for (size_t i = 0; st == AX_OK && i < rows; i++) {
        const float *row = (const float *)all.data + i * (columns + n);

        memcpy((float *)d->x.data + i * columns, row, columns * sizeof *row);
        memcpy((float *)d->y.data + i * n, row + columns, n * sizeof *row);
    }
    ax_tensor_free(&all);
    return st;
}

static ax_status all_finite(const struct ax_tensor *t, size_t width,
                            const char *what, struct ax_err *err)
{
    size_t n = ax_tensor_count(t);

    if (t->dtype == AX_U8)
        return AX_OK;
    for (size_t i = 0; i < n; i++) {
        double v;

        ax_get_f64(&v, t->dtype, t->data, i, 1);
        if (!isfinite((float)v))
            return ax_fail(err, AX_EFORMAT,
                           "row %zu, %s %zu is no finite number", i / width,
                           what, i % width);
    }
    return AX_OK;
}

/* Targets as classes: whole numbers from 0. */
static ax_status to_classes(struct data *d, const struct data_wanted *want,
                            struct ax_err *err)
{
    struct ax_tensor out = {0};

    if (ax_tensor_count(&d->y) != d->rows)
        return ax_fail(err, AX_ESHAPE, "%zu rows, and %zu labels", d->rows,
                       ax_tensor_count(&d->y));
    AX_TRY(all_finite(&d->y, 1, "label", err));
    AX_TRY(
        ax_tensor_new(&out, AX_I64, 1, (int64_t[]){(int64_t)d->rows}, err));
    for (size_t i = 0; i < d->rows; i++) {
        double v;

        ax_get_f64(&v, d->y.dtype, d->y.data, i, 1);
        if (v < 0 || v >= (double)want->outputs || v != floor(v)) {
            ax_tensor_free(&out);
            return ax_fail(err, AX_EFORMAT,
                           "row %zu has label %g, wants 0 to %zu", i, v,
                           want->outputs - 1);
        }
        ((int64_t *)out.data)[i] = (int64_t)v;
    }
    ax_tensor_free(&d->y);
    d->y = out;
    return AX_OK;
}

static ax_status to_values(struct data *d, const struct data_wanted *want,
                           struct ax_err *err)
{
    struct ax_tensor out;

    if (ax_tensor_count(&d->y) != d->rows * want->outputs)
        return ax_fail(err, AX_ESHAPE,
                       "%zu rows of %zu targets, and %zu values", d->rows,
                       want->outputs, ax_tensor_count(&d->y));
    AX_TRY(ax_tensor_cast(&out, &d->y, AX_F32, err));
    ax_tensor_free(&d->y);
    d->y = out;
    return all_finite(&d->y, want->outputs, "target", err);
}

static ax_status shape(struct data *d, const struct data_wanted *want,
                       struct ax_err *err)
{
    size_t all = ax_tensor_count(&d->x);

    d->rows = d->x.rank ? (size_t)d->x.dims[0] : 0;
    d->inputs = want->inputs;
    d->outputs = want->outputs;
    if (d->rows == 0 || all / d->rows != want->inputs)
        return ax_fail(err, AX_ESHAPE,
                       "%zu rows of %zu numbers, the network wants %zu",
                       d->rows, d->rows ? all / d->rows : 0, want->inputs);
    d->scale = want->scale > 0       ? (float)want->scale
               : d->x.dtype == AX_U8 ? 1.0f / 255
                                     : 1;
    AX_TRY(all_finite(&d->x, want->inputs, "number", err));
    return want->classes ? to_classes(d, want, err) : to_values(d, want, err);
}

static ax_status read_targets(struct data *d, struct ax_tensor_list *list,
                              const char *labels,
                              const struct data_wanted *want,
                              struct data_files *files, struct ax_err *err)
{
    struct ax_tensor_list more = {0};
    ax_status st;

    if (list->n != 1)
        return labels ? ax_fail(err, AX_EFORMAT,
                                "has %zu tensors, and --labels is given",
                                list->n)
                      : take_pair(d, list, err);
    take(&d->x, &list->v[0].t);
    if (!labels)
        return cut_table(d, want->classes ? 1 : want->outputs, err);
    st = read_list(&more, labels, NULL, files, err);
    if (st == AX_OK && more.n != 1)
        st = ax_fail(err, AX_EFORMAT, "%s: has %zu tensors, wants one",
                     cmd_in_name(labels), more.n);
    if (st == AX_OK)
        take(&d->y, &more.v[0].t);
    ax_tensor_list_free(&more);
    return st;
}

static bool is_folder(const char *path)
{
    struct stat s;

    return stat(path, &s) == 0 && S_ISDIR(s.st_mode);
}

/* -- CIFAR-10's records: a class, and three planes ------------------------
 */

#define CIFAR_ROW ((size_t)3 * 32 * 32)

static bool is_cifar(const char *path, const struct data_wanted *want)
{
    static const int64_t dims[] = {3, 32, 32};
    size_t n = strlen(path);

    return n > 4 && strcmp(path + n - 4, ".bin") == 0 && want->rank == 3 &&
           memcmp(want->dims, dims, sizeof dims) == 0;
}

static ax_status cut_records(struct data *d, const unsigned char *p, size_t n,
                             struct ax_err *err)
{
    int64_t dims[] = {(int64_t)(n / (CIFAR_ROW + 1)), 3, 32, 32};

    if (n == 0 || n % (CIFAR_ROW + 1))
        return ax_fail(err, AX_EFORMAT,
                       "%zu bytes are no records of %zu, as CIFAR-10 has", n,
                       CIFAR_ROW + 1);
    AX_TRY(ax_tensor_new(&d->x, AX_U8, 4, dims, err));
    AX_TRY(ax_tensor_new(&d->y, AX_U8, 1, dims, err));
    for (size_t i = 0; i < (size_t)dims[0]; i++, p += CIFAR_ROW + 1) {
        ((unsigned char *)d->y.data)[i] = *p;
        memcpy((unsigned char *)d->x.data + i * CIFAR_ROW, p + 1, CIFAR_ROW);
    }
    return AX_OK;
}

static ax_status read_cifar(struct data *d, const char *path,
                            struct data_files *files, struct ax_err *err)
{
    unsigned char *bytes = NULL;
    size_t n;
    ax_status st;

    AX_TRY(cmd_in_read(&bytes, &n, path, FILE_MAX, err));
    files->v[files->n].name = cmd_in_name(path);
    ax_sha256(files->v[files->n++].sha256, bytes, n);
    st = cut_records(d, bytes, n, err);
    free(bytes);
    return st;
}

ax_status data_read(struct data *d, const char *path, const char *labels,
                    const struct data_wanted *want, struct data_files *files,
                    struct ax_err *err)
{
    struct ax_tensor_list list = {0};
    ax_status st;

    memset(d, 0, sizeof *d);
    if (is_folder(path) && !labels) {
        AX_TRY(data_read_folder(d, path, want, files, err));
        return shape(d, want, err);
    }
    if (want->classes && !labels && is_cifar(path, want)) {
        st = read_cifar(d, path, files, err);
        if (st == AX_OK)
            st = shape(d, want, err);
        return st == AX_OK ? st : ax_fail_in(err, "%s", cmd_in_name(path));
    }
    st = read_list(&list, path, labels ? NULL : want, files, err);
    if (st != AX_OK) { /* the message names the file */
        ax_tensor_list_free(&list);
        return st;
    }
    st = read_targets(d, &list, labels, want, files, err);
    if (st == AX_OK)
        st = shape(d, want, err);
    ax_tensor_list_free(&list);
    if (st != AX_OK)
        return ax_fail_in(err, "%s", cmd_in_name(path));
    return AX_OK;
}

void data_free(struct data *d)
{
    ax_tensor_free(&d->x);
    ax_tensor_free(&d->y);
}

/* Bytes are what images come in. */
static void read_bytes(float *x, const unsigned char *row, size_t n,
                       float scale)
{
    for (size_t j = 0; j < n; j++)
        x[j] = (float)row[j] * scale;
}

void data_rows(const struct data *d, const size_t *index, size_t n, float *x,
               int64_t *classes, float *values)
{
    size_t size = ax_dtype_size(d->x.dtype);

    for (size_t i = 0; i < n; i++, x += d->inputs) {
        const char *row = (const char *)d->x.data +
                          index[i] * d->inputs * size;

        if (d->x.dtype == AX_U8) {
            read_bytes(x, (const unsigned char *)row, d->inputs, d->scale);
        } else {
            ax_cast(AX_F32, x, d->x.dtype, row, d->inputs);
            for (size_t j = 0; d->scale != 1.0f && j < d->inputs; j++)
                x[j] *= d->scale;
        }
        if (d->y.dtype == AX_I64)
            classes[i] = ((const int64_t *)d->y.data)[index[i]];
        else
            memcpy(values + i * d->outputs,
                   (const float *)d->y.data + index[i] * d->outputs,
                   d->outputs * sizeof *values);
    }
}
