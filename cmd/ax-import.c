/* ax-import - read a model in a foreign format. See man/ax-import.1. */
#include <stdlib.h>
#include <string.h>

#include "ax/format.h"
#include "common/model.h"

#define HEAD_SIZE 64 /* bytes that a format knows its files by */

struct args {
    const char *in, *format, *out;
    bool list, raw, force, no_record;
    int64_t max_mib;
};

/* Everything is owned. */
struct job {
    unsigned char *data;
    size_t n;
    char *folder; /* of the input, NULL for standard input */
    struct ax_model *model;
};

static void list_formats(void)
{
    for (size_t i = 0; ax_formats[i]; i++)
        if (ax_formats[i]->read)
            printf("%-12s %s\n", ax_formats[i]->name, ax_formats[i]->summary);
}

static ax_status choose(const struct ax_format **out, const struct args *a,
                        const struct job *j, struct ax_err *err)
{
    if (a->format) {
        *out = ax_format_find(a->format);
        if (*out && (*out)->read)
            return AX_OK;
        return ax_fail(err, AX_EUSAGE,
                       "no format that can be read is called '%s'; see "
                       "ax-import --formats",
                       a->format);
    }
    *out = ax_format_sniff(j->data, j->n < HEAD_SIZE ? j->n : HEAD_SIZE);
    if (*out && (*out)->read)
        return AX_OK;
    return ax_fail(err, AX_EFORMAT,
                   "%s: does not begin like any known format; see ax-import "
                   "--formats, or name one with -f",
                   cmd_in_name(a->in));
}

/* The folder that a path names a file in. */
static ax_status folder_of(char **out, const char *path, struct ax_err *err)
{
    const char *slash = strrchr(path, '/');

    *out = !slash          ? strdup(".")
           : slash == path ? strdup("/")
                           : strndup(path, (size_t)(slash - path));
    return *out ? AX_OK : ax_fail(err, AX_ENOMEM, "no memory for a path");
}

static ax_status record(struct job *j, const struct cmd *cmd,
                        const struct args *a, struct ax_err *err)
{
    struct ax_provenance_file file = {.name = cmd_in_name(a->in)};

    ax_sha256(file.sha256, j->data, j->n);
    return cmd_model_record(j->model, cmd, NULL, &file, 1, err);
}

static ax_status import(struct job *j, const struct cmd *cmd,
                        const struct args *a, struct ax_err *err)
{
    const struct ax_format *format;
    struct ax_format_options opt = {0};

    AX_TRY(
        cmd_in_read(&j->data, &j->n, a->in, (size_t)a->max_mib << 20, err));
    AX_TRY(choose(&format, a, j, err));
    if (a->in && strcmp(a->in, "-") != 0)
        AX_TRY(folder_of(&j->folder, a->in, err));
    opt.folder = j->folder;
    if (format->read(&j->model, j->data, j->n, &opt, err) != AX_OK)
        return ax_fail_in(err, "%s", cmd_in_name(a->in));
    if (!a->no_record)
        AX_TRY(record(j, cmd, a, err));
    return cmd_model_write(j->model, a->out,
                           a->raw ? AX_PROFILE_RAW : AX_PROFILE_ZSTD,
                           a->force ? CMD_OUT_FORCE : 0, err);
}

int main(int argc, char **argv)
{
    struct args a = {.max_mib = 4096};
    const struct opt opts[] = {
        {.letter = 'f',
         .name = "format",
         .arg = "NAME",
         .help = "the format of the input; by default its bytes tell",
         .str = &a.format},
        {.letter = 'o',
         .name = "output",
         .arg = "FILE",
         .help = "write the container to FILE",
         .str = &a.out},
        {.name = "raw",
         .help = "write the raw profile, which can be mapped",
         .flag = &a.raw},
        {.name = "no-provenance",
         .help = "attach no record of this import",
         .flag = &a.no_record},
        {.name = "max-size",
         .arg = "MIB",
         .help = "refuse an input of more than MIB (4096)",
         .num = &a.max_mib,
         .min = 1,
         .max = 1 << 24},
        {.name = "formats",
         .help = "list the formats that can be read",
         .flag = &a.list},
        {.name = "force",
         .help = "write even to a terminal",
         .flag = &a.force},
        {0},
    };
    const struct cmd cmd = {
        .name = "ax-import",
        .summary = "read a model in a foreign format",
        .synopsis = "[options] [FILE]",
        .opts = opts,
        .max_operands = 1,
    };
    struct ax_err err = {0};
    struct job j = {0};
    ax_status st = cmd_options(&cmd, &argc, &argv, &err);

    a.in = argc ? argv[0] : NULL;
    if (st == AX_OK && a.list)
        list_formats();
    else if (st == AX_OK)
        st = import(&j, &cmd, &a, &err);
    ax_model_free(j.model);
    free(j.folder);
    free(j.data);
    return cmd_finish(&cmd, st, &err);
}
