/* npy, npz, csv and idx: what is read, what is refused and with which words,
 * and that what is written is read back. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ax/element.h"
#include "ax/tensorfile.h"
#include "tests/unit/tap.h"

static struct ax_err err;
static struct ax_tensor t;

/* An npy file of version 1 with this header and these data. */
static size_t npy(unsigned char *to, const char *header, const void *data,
                  size_t n)
{
    size_t len = strlen(header);

    memcpy(to, "\x93NUMPY\x01\x00", 8);
    to[8] = (unsigned char)(len & 255);
    to[9] = (unsigned char)(len >> 8);
    memcpy(to + 10, header, len);
    if (n)
        memcpy(to + 10 + len, data, n);
    return 10 + len + n;
}

static ax_status read_npy(const char *header, const void *data, size_t n)
{
    static unsigned char file[4096];
    size_t len = npy(file, header, data, n);

    memset(&err, 0, sizeof err);
    return ax_npy_read(&t, file, len, &err);
}

static bool refused(const char *header, const char *words)
{
    float x[2] = {1, 2};
    ax_status st = read_npy(header, x, sizeof x);

    if (st == AX_OK)
        ax_tensor_free(&t);
    if (st == AX_OK || !strstr(err.msg, words))
        printf("# %s: %s\n", header, err.msg);
    return st != AX_OK && strstr(err.msg, words);
}

#define HEAD(descr, order, shape)                                         \
    "{'descr': '" descr "', 'fortran_order': " order ", 'shape': (" shape \
    "), }\n"

static void test_npy(void)
{
    const float x[6] = {1, 2, 3, 4, 5, 6};
    const unsigned char big[4] = {0x3f, 0x80, 0, 0};
    const unsigned char bools[2] = {0, 7};

    OK(read_npy(HEAD("<f4", "False", "2, 3"), x, sizeof x) == AX_OK);
    OK(t.rank == 2 && t.dims[1] == 3 && ((float *)t.data)[5] == 6);
    ax_tensor_free(&t);
    OK(read_npy(HEAD("<f4", "True", "2, 3"), x, sizeof x) == AX_OK);
    OK(((float *)t.data)[1] == 3 && ((float *)t.data)[3] == 2);
    ax_tensor_free(&t);
    OK(read_npy(HEAD(">f4", "False", ""), big, 4) == AX_OK);
    OK(t.rank == 0 && *(float *)t.data == 1);
    ax_tensor_free(&t);
    OK(read_npy(HEAD("|b1", "False", "2,"), bools, 2) == AX_OK);
    OK(((unsigned char *)t.data)[1] == 1);
    ax_tensor_free(&t);
    OK(read_npy("{\"shape\":(0,4),\"fortran_order\":False,"
                "\"descr\":\"<i8\"}",
                x, 0) == AX_OK);
    OK(t.dtype == AX_I64 && ax_tensor_count(&t) == 0);
    ax_tensor_free(&t);

    OK(refused(HEAD("|O", "False", "2,"), "pickled objects"));
    OK(refused(HEAD("<c8", "False", "1,"), "element type '<c8'"));
    OK(refused(HEAD("<U4", "False", "1,"), "strings where numbers"));
    OK(refused("{'descr': [('a', '<f4')], 'fortran_order': False, "
               "'shape': (2,)}",
               "records"));
    OK(refused(HEAD("<f4", "False", "3,"), "wants 12 bytes, has 8"));
    OK(refused(HEAD("<f4", "False", "1,"), "wants 4 bytes, has 8"));
    OK(refused(HEAD("<f4", "maybe", "2,"), "neither True nor False"));
    OK(refused(HEAD("<f4", "False", "2"), "not a tuple"));
    OK(refused(HEAD("<f4", "False", "-2,"), "not a number"));
    OK(refused(HEAD("<f4", "False", "1 2"), "comma"));
    OK(refused(HEAD("<f4", "False", "1,1,1,1,1,1,1,1,2"), "dimensions"));
    OK(refused(HEAD("<f4", "False", "99999999999999999999,"), "too large"));
    OK(refused(HEAD("<f4", "False", "9223372036854775807,2"), "npy header"));
    OK(refused("{'descr': '<f4', 'shape': (2,)}", "wants descr"));
    OK(refused("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, "
               "'shape': (2,)}",
               "twice"));
    OK(refused("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), "
               "'x': 1}",
               "unknown"));
    OK(refused(HEAD("<f4", "False", "2,") "x", "nothing else"));
    OK(ax_npy_read(&t, (const unsigned char *)"\x93NUMPY\x01\x00\xff\xff", 10,
                   &err) == AX_EFORMAT);
    OK(ax_npy_read(&t, (const unsigned char *)"\x93NUMPY\x09\x00\x01\x00 ",
                   11, &err) == AX_EUNSUPPORTED);
}

/* Every element type there and back. */
static void test_round_trip(void)
{
    static const ax_dtype types[] = {AX_F32, AX_F64, AX_F16, AX_I8,
                                     AX_I16, AX_I32, AX_I64, AX_U8,
                                     AX_U16, AX_U32, AX_U64, AX_BOOL};

    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        struct ax_tensor x, y;
        char *data = NULL;
        size_t n = 0;
        FILE *f = open_memstream(&data, &n);
        double v[2] = {1, 0};

        OK(ax_tensor_new(&x, types[i], 2, (int64_t[]){2, 1}, &err) == AX_OK);
        ax_put_f64(types[i], x.data, 0, v, 2);
        OK(ax_npy_write(f, &x, &err) == AX_OK);
        fclose(f);
        OK((n - x.nbytes) % 64 == 0);
        OK(ax_npy_read(&y, (unsigned char *)data, n, &err) == AX_OK);
        OK(y.dtype == x.dtype && y.rank == 2 && y.dims[0] == 2 &&
           !memcmp(x.data, y.data, x.nbytes));
        ax_tensor_free(&x);
        ax_tensor_free(&y);
        free(data);
    }
}

static void test_npz(void)
{
    float a[2] = {1, 2};
    int64_t b = 7;
    char name[2][8] = {"first", "b"};
    struct ax_named_tensor v[2] = {
        {name[0], {AX_F32, 1, {2}, a, sizeof a, false}},
        {name[1], {AX_I64, 0, {0}, &b, sizeof b, false}}};
    struct ax_tensor_list list = {2, v}, back;
    unsigned char *data[2] = {NULL};
    size_t n[2] = {0};

    for (int k = 0; k < 2; k++) {
        FILE *f = open_memstream((char **)&data[k], &n[k]);

        OK(ax_npz_write(f, &list, &err) == AX_OK);
        fclose(f);
    }
    OK(n[0] == n[1] && !memcmp(data[0], data[1], n[0]));
    OK(ax_tensorfile_sniff(data[0], n[0]) == AX_FILE_NPZ);
    OK(ax_npz_read(&back, data[0], n[0], &err) == AX_OK);
    OK(back.n == 2 && !strcmp(back.v[0].name, "first") &&
       ((float *)back.v[0].t.data)[1] == 2 &&
       *(int64_t *)back.v[1].t.data == 7);
    ax_tensor_list_free(&back);
    OK(ax_npz_read(&back, data[0], n[0] - 1, &err) == AX_EFORMAT);
    data[0][n[0] / 3] ^= 1;
    OK(ax_npz_read(&back, data[0], n[0], &err) != AX_OK);
    free(data[0]);
    free(data[1]);
}

/* A slash becomes '_': two names must not become one. */
static void test_npz_names(void)
{
    float a[2] = {1, 2};
    char name[2][8] = {"a/b", "a_b"};
    struct ax_named_tensor v[2] = {
        {name[0], {AX_F32, 1, {2}, a, sizeof a, false}},
        {name[1], {AX_F32, 1, {2}, a, sizeof a, false}}};
    struct ax_tensor_list list = {2, v};
    char *data = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&data, &n);

    OK(ax_npz_write(f, &list, &err) == AX_EUNSUPPORTED);
    OK(strstr(err.msg, "both called 'a_b.npy'") != NULL);
    fclose(f);
    free(data);
}

static ax_status read_csv(const char *text, ax_dtype dtype)
{
    memset(&err, 0, sizeof err);
    return ax_csv_read(&t, (const unsigned char *)text, strlen(text), dtype,
                       &err);
}

static bool csv_refused(const char *text, ax_dtype dtype, const char *words)
{
    ax_status st = read_csv(text, dtype);

    if (st == AX_OK)
        ax_tensor_free(&t);
    if (st == AX_OK || !strstr(err.msg, words))
        printf("# %s: %s\n", text, err.msg);
    return st == AX_EFORMAT && strstr(err.msg, words);
}

static void test_csv(void)
{
    OK(read_csv("1,2.5\n-3e2 ,\t+4\r\n", AX_F32) == AX_OK);
    OK(t.dims[0] == 2 && t.dims[1] == 2 && ((float *)t.data)[2] == -300);
    ax_tensor_free(&t);
    OK(read_csv("\xef\xbb\xbf\nsepal,petal\n\n1,nan\n\ninf,2", AX_F64) ==
       AX_OK);
    OK(t.dims[0] == 2 && isinf(((double *)t.data)[2]) &&
       isnan(((double *)t.data)[1]) && !err.msg[0]);
    ax_tensor_free(&t);
    OK(read_csv("9007199254740993,2.0\n", AX_I64) == AX_OK);
    OK(((int64_t *)t.data)[0] == 9007199254740993);
    ax_tensor_free(&t);
    /* Rounded once: through double it would be 1 + 2^-23. */
    OK(read_csv("1.00000005960464477539062500000000001\n", AX_F32) == AX_OK);
    OK(((float *)t.data)[0] == 1 + 0x1p-23f);
    ax_tensor_free(&t);

    OK(csv_refused("1,2\n3\n", AX_F32, "line 2: 1 columns"));
    OK(csv_refused("1,2\n3,4,5\n", AX_F32, "line 2: more than the 2"));
    OK(csv_refused("1,2\n3,x\n", AX_F32, "line 2, column 2: 'x'"));
    OK(csv_refused("1,2\n3,\n", AX_F32, "line 2, column 2: ''"));
    OK(csv_refused("1,0x10\n", AX_F32, "line 1, column 2: '0x10'"));
    OK(csv_refused("1,2.5\n", AX_I32, "column 2: '2.5'"));
    OK(csv_refused("1,300\n", AX_U8, "column 2: '300'"));
    OK(csv_refused("a,b\n", AX_F32, "no row of numbers"));
    OK(csv_refused("", AX_F32, "no row of numbers"));
    OK(csv_refused("1,2\n\x1b[2J,3\n", AX_F32, "'?[2J'"));
}

static void test_csv_write(void)
{
    float x[4] = {0.1f, -1, 16777216, 1.0f / 3};
    struct ax_tensor in = {AX_F32, 2, {2, 2}, x, sizeof x, false};
    char *data = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&data, &n);

    OK(ax_csv_write(f, &in, &err) == AX_OK);
    fclose(f);
    OK(!strcmp(data, "0.1,-1\n16777216,0.33333334\n"));
    OK(read_csv(data, AX_F32) == AX_OK);
    OK(!memcmp(t.data, x, sizeof x));
    ax_tensor_free(&t);
    free(data);
}

static void test_idx(void)
{
    static const unsigned char file[] = {0, 0, 8, 2, 0, 0, 0,
                                         1, 0, 0, 0, 2, 5, 250};
    struct ax_tensor_list list;

    OK(ax_tensorfile_read(&list, file, sizeof file, AX_F32, &err) == AX_OK);
    OK(list.n == 1 && list.v[0].t.dtype == AX_U8 &&
       list.v[0].t.dims[1] == 2 &&
       ((unsigned char *)list.v[0].t.data)[1] == 250);
    ax_tensor_list_free(&list);
    OK(ax_idx_read(&t, file, sizeof file - 1, &err) == AX_EFORMAT);
    OK(ax_idx_read(&t, file, 6, &err) == AX_EFORMAT);
}

/* Every number of 8 and 4 bits goes to double and back; what lies beyond the
 * largest, and what has no number. */
static void narrow_types(void)
{
    static const struct {
        ax_dtype type;
        unsigned codes;
        double top;
        uint8_t over; /* 1e6, not saturated */
    } all[] = {
        {AX_F8_E4M3FN, 256, 448, 0x7f},  {AX_F8_E4M3FNUZ, 256, 240, 0x80},
        {AX_F8_E5M2, 256, 57344, 0x7c},  {AX_F8_E5M2FNUZ, 256, 57344, 0x80},
        {AX_F8_E8M0, 255, 0x1p127, 147}, {AX_F4_E2M1, 16, 6, 7},
    };

    for (size_t k = 0; k < sizeof all / sizeof all[0]; k++) {
        const ax_dtype type = all[k].type;
        bool same = true;
        double top = 0;

        for (unsigned i = 0; i < all[k].codes; i++) {
            double x = ax_narrow_value(type, (uint8_t)i);

            same &= isnan(x) || ax_narrow_round(type, x, false, 'n') == i;
            top = isfinite(x) && x > top ? x : top;
        }
        OK(same);
        OK(top == all[k].top);
        OK(ax_narrow_round(type, 1e6, false, 'u') == all[k].over);
        OK(ax_narrow_value(type, ax_narrow_round(type, (double)INFINITY, true,
                                                 'u')) == top);
    }
    OK(ax_narrow_round(AX_F8_E4M3FN, 464, false, 'n') == 0x7e);
    OK(ax_narrow_round(AX_F8_E4M3FN, 464.5, false, 'n') == 0x7f);
    OK(ax_narrow_round(AX_F8_E4M3FN, 0x1p-10, true, 'n') == 0);
    OK(ax_narrow_round(AX_F8_E4M3FN, 0x1.8p-10, true, 'n') == 1);
    OK(ax_narrow_round(AX_F8_E8M0, 3, true, 'u') == 129);
    OK(ax_narrow_round(AX_F8_E8M0, 3, true, 'd') == 128);
    OK(ax_narrow_round(AX_F8_E8M0, 2.9, true, 'n') == 128);
}

/* Narrow floats: all of float16 is its own rounding, and ties go to even. */
static void test_narrow(void)
{
    bool same = true;

    for (unsigned i = 0; i < 65536; i++) {
        float f = ax_f16_value((uint16_t)i), g = ax_bf16_value((uint16_t)i);

        if (!isnan(f))
            same &= ax_f16_round((double)f) == i;
        if (!isnan(g))
            same &= ax_bf16_round((double)g) == i;
    }
    OK(same);
    OK(ax_f16_round(2049) == 0x6800 && ax_f16_round(2051) == 0x6802);
    OK(ax_f16_round(65519) == 0x7bff && ax_f16_round(65520) == 0x7c00);
    OK(ax_f16_round(0x1p-25) == 0 && ax_f16_round(0x1.8p-25) == 1);
    OK(isnan(ax_f16_value(ax_f16_round((double)NAN))));
    OK(ax_bf16_round(-1e39) == 0xff80);
}

int main(void)
{
    test_npy();
    test_round_trip();
    test_npz();
    test_npz_names();
    test_csv();
    test_csv_write();
    test_idx();
    test_narrow();
    narrow_types();
    return tap_done();
}
