/* Fuzz target: what ax-train reads rows from, chosen by the first byte: a
 * table with words, an image, a sound. */
#include "ax-train/media.h"
#include "ax-train/table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void read_table(const uint8_t *data, size_t n, struct ax_err *err)
{
    struct table_columns columns = {0};
    struct ax_tensor t;
    bool words;

    if (table_has_words(&words, data, n, err) == AX_OK &&
        table_read(&t, &columns, data, n, words, err) == AX_OK)
        ax_tensor_free(&t);
    /* Again, with the categories of the first time. */
    if (columns.n > 0 &&
        table_read(&t, &columns, data, n, words, err) == AX_OK)
        ax_tensor_free(&t);
    table_free(&columns);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    const int64_t image[] = {3, 6, 6}, sound[] = {10};
    const struct media_wanted grey = {3, (const int64_t[]){1, 6, 6}};
    const struct media_wanted colour = {3, image}, samples = {1, sound};
    unsigned char pixels[3 * 6 * 6];
    struct ax_err err = {0};
    float x[10];
    ax_status st = AX_OK;

    if (n == 0)
        return 0;
    switch (data[0]) {
    case '1':
        st = media_image(pixels, &grey, data + 1, n - 1, &err);
        break;
    case '2':
        st = media_image(pixels, &colour, data + 1, n - 1, &err);
        break;
    case '3':
        st = media_sound(x, &samples, data + 1, n - 1, &err);
        break;
    default:
        read_table(data + 1, n - 1, &err);
    }
    return st == AX_EBUG;
}
