/* Fuzz target: folders of Hugging Face. The input is the files of a folder,
 * one behind the other: a line "NAME SIZE", and as many bytes. What is called
 * config.json is read, wherever it is; the others are put into a folder that
 * this process has for itself. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ax/format.h"
#include "ax/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { FILES_MAX = 8 };

static char folder[] = "/tmp/ax-fuzz-hf.XXXXXX";

static void leave(void)
{
    (void)rmdir(folder);
}

struct part {
    char path[128];
    const uint8_t *data;
    size_t n;
};

/* The part at *at; false if there is none. */
static bool next_part(struct part *out, size_t *at, const uint8_t *data,
                      size_t n)
{
    const uint8_t *end = memchr(data + *at, '\n', n - *at);
    char line[64] = "", name[40] = "";
    unsigned long size = 0;

    if (!end || (size_t)(end - data) - *at >= sizeof line)
        return false;
    memcpy(line, data + *at, (size_t)(end - data) - *at);
    if (sscanf(line, "%39[a-z0-9_.-] %lu", name, &size) != 2 ||
        name[0] == '.')
        return false;
    *at = (size_t)(end - data) + 1;
    out->data = data + *at;
    out->n = size < n - *at ? size : n - *at;
    *at += out->n;
    snprintf(out->path, sizeof out->path, "%s/%s", folder, name);
    return true;
}

static void write_part(const struct part *p)
{
    FILE *f = fopen(p->path, "wb");

    if (!f)
        return;
    fwrite(p->data, 1, p->n, f);
    fclose(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    const struct ax_format_options opt = {.folder = folder,
                                          .max_bytes = 1 << 20};
    const struct ax_format *format = ax_format_find("huggingface");
    struct part part[FILES_MAX], config = {.data = data};
    struct ax_model *m = NULL;
    struct ax_err err = {0};
    size_t at = 0, k = 0;

    if (strchr(folder, 'X') && mkdtemp(folder))
        atexit(leave);
    while (k < FILES_MAX && at < n && next_part(&part[k], &at, data, n)) {
        if (strstr(part[k].path, "/config.json"))
            config = part[k];
        write_part(&part[k++]);
    }
    if (format &&
        format->read(&m, config.data, config.n, &opt, &err) == AX_OK)
        ax_model_free(m);
    else if (!err.msg[0])
        abort();
    while (k)
        unlink(part[--k].path);
    return 0;
}
