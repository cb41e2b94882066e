/* ax-import - read a model in a foreign format. See man/ax-import.1. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "ax/checkpoint.h"
#include "ax/format.h"
#include "common/model.h"
#include "common/sandbox.h"
#include "import.h"

#define HEAD_SIZE 64 /* bytes that a format knows its files by */

/* Memory that an input can take, in times of its greatest size: what the
 * model takes, beside the file. */
#define MEMORY_FACTOR 3

#define DIGEST_MIN (1u << 22) /* bytes that are worth a thread */

#define ARCH_MAX (256u << 20) /* bytes of a description of layers */

struct args {
    const char *in, *format, *out, *arch, *zoo, *inputs, *shape;
    bool list, raw, force, no_record, scan, tensors, infer, json;
    int64_t max_mib, batch, seq;
};

/* Everything but cmd and args is owned. */
struct job {
    const struct cmd *cmd;
    const struct args *args;
    FILE *in;
    struct cmd_out out;
    unsigned char *data; /* its bytes */
    size_t n;
    bool mapped;  /* they are a mapping of the file */
    char *folder; /* of the input, NULL for standard input */
    char *config; /* its config.json, if it is a folder itself */
    struct ax_provenance_file *used; /* other files; their names are owned */
    size_t n_used;
    unsigned char *arch; /* the description of layers, or NULL */
    size_t n_arch;
    pthread_t thread; /* of the digest of the input, if it started */
    bool digesting;
    unsigned char sha256[32];
    struct ax_checkpoint checkpoint; /* what the model may borrow from */
    struct ax_model *model;
};

/* The digest of the input takes as long as its import: a thread makes it
 * meanwhile, if there is one to be had. */
static void *digest(void *arg)
{
    struct job *j = arg;

    ax_sha256(j->sha256, j->data, j->n);
    return NULL;
}

static void start_digest(struct job *j)
{
    if (!j->args->no_record && j->n >= DIGEST_MIN)
        j->digesting = pthread_create(&j->thread, NULL, digest, j) == 0;
}

static void end_digest(struct job *j)
{
    if (j->digesting)
        pthread_join(j->thread, NULL);
    else
        digest(j);
    j->digesting = false;
}

static void job_free(struct job *j)
{
    if (j->digesting)
        end_digest(j);
    cmd_in_close(j->in);
    cmd_out_discard(&j->out);
    ax_model_free(j->model);
    ax_checkpoint_free(&j->checkpoint);
    for (size_t i = 0; i < j->n_used; i++) {
        char *name = NULL;

        memcpy(&name, &j->used[i].name, sizeof name);
        free(name);
    }
    free(j->used);
    free(j->folder);
    free(j->config);
    free(j->arch);
    if (j->mapped)
        munmap(j->data, j->n);
    else
        free(j->data);
}

/* The bytes of the input: a file is mapped, so that what is borrowed from it
 * takes no other memory; what is no file is read. */
static ax_status load(struct job *j, struct ax_err *err)
{
    size_t max = (size_t)j->args->max_mib << 20;
    struct stat info;
    void *map;

    if (fstat(fileno(j->in), &info) || !S_ISREG(info.st_mode) ||
        info.st_size <= 0 || ftell(j->in) != 0)
        return cmd_in_rest(&j->data, &j->n, j->in, j->args->in, max, err);
    if ((uintmax_t)info.st_size > max)
        return ax_fail(err, AX_EFORMAT, "%s: is larger than %zu bytes",
                       cmd_in_name(j->args->in), max);
    map = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE,
               fileno(j->in), 0);
    if (map == MAP_FAILED)
        return ax_fail(err, errno == ENOMEM ? AX_ENOMEM : AX_EIO,
                       "%s: cannot be mapped: %s", cmd_in_name(j->args->in),
                       strerror(errno));
    j->data = map;
    j->n = (size_t)info.st_size;
    j->mapped = true;
    return AX_OK;
}

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

/* One more file that was read. */
static ax_status add_used(void *self, const char *name, const void *data,
                          size_t n, struct ax_err *err)
{
    struct job *j = self;
    struct ax_provenance_file *more;

    if (j->args->no_record)
        return AX_OK;
    more = reallocarray(j->used, j->n_used + 1, sizeof *more);
    if (!more)
        return ax_fail(err, AX_ENOMEM, "no memory for a record");
    j->used = more;
    more += j->n_used;
    more->name = strdup(name);
    if (!more->name)
        return ax_fail(err, AX_ENOMEM, "no memory for a record");
    j->n_used++;
    ax_sha256(more->sha256, data, n);
    return AX_OK;
}

static ax_status record(struct job *j, struct ax_err *err)
{
    struct ax_provenance_file *all = calloc(j->n_used + 2, sizeof *all);
    size_t n = 0;
    ax_status st;

    if (!all)
        return ax_fail(err, AX_ENOMEM, "no memory for a record");
    end_digest(j);
    all[n].name = cmd_in_name(j->args->in);
    memcpy(all[n++].sha256, j->sha256, sizeof j->sha256);
    if (j->args->arch) {
        all[n].name = j->args->arch;
        ax_sha256(all[n++].sha256, j->arch, j->n_arch);
    }
    for (size_t i = 0; i < j->n_used; i++)
        all[n++] = j->used[i];
    st = cmd_model_record(j->model, j->cmd, NULL, all, n, err);
    free(all);
    return st;
}

/* Options that are for models of sequences alone. */
static ax_status check_sequence(const struct args *a,
                                const struct ax_format *format,
                                struct ax_err *err)
{
    if ((a->batch || a->seq || a->inputs) && !format->sequences)
        return ax_fail(err, AX_EUSAGE,
                       "--batch, --seq and --inputs are not for format %s",
                       format->name);
    return AX_OK;
}

/* The model out of the input, by itself or by a description. */
static ax_status read_model(struct job *j, struct ax_err *err)
{
    const struct args *a = j->args;
    const struct ax_format_options opt = {
        .folder = j->folder,
        .batch = a->batch,
        .seq = a->seq,
        .inputs = a->inputs,
        .shapes = a->shape,
        .max_bytes = (size_t)a->max_mib << 20,
        .used = add_used,
        .used_self = j,
    };
    const struct ax_format *format;
    ax_status st;

    if (j->arch) {
        st = ax_checkpoint_read(&j->checkpoint, j->data, j->n, err);
        if (st == AX_OK) {
            st = ax_checkpoint_build(&j->model, &j->checkpoint, j->arch,
                                     j->n_arch, err);
            if (st != AX_OK && j->args->arch)
                return ax_fail_in(err, "%s", j->args->arch);
        }
    } else {
        AX_TRY(choose(&format, a, j, err));
        AX_TRY(check_sequence(a, format, err));
        st = format->read(&j->model, j->data, j->n, &opt, err);
    }
    return st == AX_OK ? st : ax_fail_in(err, "%s", cmd_in_name(j->args->in));
}

/* From the open input to the open output: what happens in the sandbox. */
static ax_status convert(void *arg, struct ax_err *err)
{
    struct job *j = arg;
    const struct args *a = j->args;

    AX_TRY(load(j, err));
    start_digest(j);
    AX_TRY(read_model(j, err));
    if (!a->no_record)
        AX_TRY(record(j, err));
    if (ax_model_write(j->model, j->out.f,
                       a->raw ? AX_PROFILE_RAW : AX_PROFILE_ZSTD,
                       err) != AX_OK)
        return ax_fail_in(err, "%s", j->out.name);
    return cmd_out_flush(&j->out, err);
}

/* The same for what is printed: no output but the standard one. */
static ax_status look(void *arg, struct ax_err *err)
{
    struct job *j = arg;
    ax_status st;

    AX_TRY(load(j, err));
    st = j->args->infer  ? import_infer(j->data, j->n, err)
         : j->args->scan ? import_scan(j->data, j->n, j->args->json, err)
                         : import_tensors(j->data, j->n, j->args->json, err);
    if (st != AX_OK && st != AX_NO && st != AX_EIO)
        return ax_fail_in(err, "%s", cmd_in_name(j->args->in));
    if (fflush(stdout) && st != AX_EIO)
        return ax_fail(err, AX_EIO, "standard output: %s", strerror(errno));
    return st;
}

/* A folder stands for the config.json in it. */
static ax_status into_folder(struct job *j, struct args *a,
                             struct ax_err *err)
{
    struct stat info;

    if (!a->in || stat(a->in, &info) || !S_ISDIR(info.st_mode))
        return AX_OK;
    if (asprintf(&j->config, "%s/config.json", a->in) < 0) {
        j->config = NULL;
        return ax_fail(err, AX_ENOMEM, "no memory for a path");
    }
    a->in = j->config;
    return AX_OK;
}

static ax_status import(struct job *j, struct ax_err *err)
{
    const struct args *a = j->args;
    bool looks = a->scan || a->tensors || a->infer;
    struct cmd_confined c = {.cmd = j->cmd,
                             .bytes = MEMORY_FACTOR * (size_t)a->max_mib
                                      << 20,
                             .work = looks ? look : convert,
                             .arg = j};

    AX_TRY(cmd_in_open(&j->in, a->in, err));
    if (a->in && strcmp(a->in, "-") != 0)
        AX_TRY(folder_of(&j->folder, a->in, err));
    c.folder = j->folder;
    if (looks)
        return cmd_sandbox_run(&c, err);
    if (a->arch)
        AX_TRY(cmd_in_read(&j->arch, &j->n_arch, a->arch, ARCH_MAX, err));
    if (a->zoo) {
        char *text = NULL;

        AX_TRY(ax_zoo_layers(&text, &j->n_arch, a->zoo, err));
        j->arch = (unsigned char *)text;
    }
    AX_TRY(cmd_out_open(&j->out, a->out,
                        CMD_OUT_BINARY | (a->force ? CMD_OUT_FORCE : 0u),
                        err));
    AX_TRY(cmd_sandbox_run(&c, err));
    return cmd_out_commit(&j->out, err);
}

static ax_status check(const struct args *a, struct ax_err *err)
{
    if (a->scan + a->tensors + a->infer + a->list > 1)
        return ax_fail(err, AX_EUSAGE,
                       "one of --scan, --tensors, --infer and --formats");
    if ((a->scan || a->tensors || a->infer) &&
        (a->out || a->format || a->raw || a->arch || a->zoo || a->batch ||
         a->seq || a->inputs))
        return ax_fail(err, AX_EUSAGE,
                       "--scan, --tensors and --infer make no container");
    if ((a->arch || a->zoo) && (a->format || a->batch || a->seq || a->inputs))
        return ax_fail(err, AX_EUSAGE,
                       "--arch and --zoo are for checkpoints alone");
    if (a->shape && (a->arch || a->zoo || a->scan || a->tensors || a->infer))
        return ax_fail(err, AX_EUSAGE,
                       "--shape is for TorchScript archives alone");
    if (a->arch && a->zoo)
        return ax_fail(err, AX_EUSAGE, "one of --arch and --zoo");
    if (a->json && !a->scan && !a->tensors)
        return ax_fail(err, AX_EUSAGE, "--json is for --scan and --tensors");
    return AX_OK;
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
        {.letter = 'a',
         .name = "arch",
         .arg = "LAYERS",
         .help = "FILE is a checkpoint; LAYERS describes its graph",
         .str = &a.arch},
        {.name = "zoo",
         .arg = "NAME",
         .help = "FILE is a checkpoint of the network NAME, as resnet18",
         .str = &a.zoo},
        {.name = "batch",
         .arg = "N",
         .help = "inputs of a language model have a batch of N (free)",
         .num = &a.batch,
         .min = 1,
         .max = 1 << 20},
        {.name = "seq",
         .arg = "N",
         .help = "inputs of a language model have N tokens (free)",
         .num = &a.seq,
         .min = 1,
         .max = 1 << 20},
        {.name = "inputs",
         .arg = "LIST",
         .help = "its inputs beside input_ids: attention_mask, "
                 "token_type_ids",
         .str = &a.inputs},
        {.name = "shape",
         .arg = "SHAPES",
         .help = "shapes of inputs that FILE does not tell, as x=N,3,32,32",
         .str = &a.shape},
        {.name = "infer",
         .help = "print a draft of such a description",
         .flag = &a.infer},
        {.name = "scan",
         .help = "list what the pickles in FILE name, and what that means",
         .flag = &a.scan},
        {.name = "tensors",
         .help = "list the tensors of a checkpoint",
         .flag = &a.tensors},
        {.name = "json",
         .help = "print such a list as JSON",
         .flag = &a.json},
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
    struct job j = {.cmd = &cmd, .args = &a};
    ax_status st = cmd_options(&cmd, &argc, &argv, &err);

    a.in = argc ? argv[0] : NULL;
    if (st == AX_OK)
        st = check(&a, &err);
    if (st == AX_OK && a.list) {
        list_formats();
    } else if (st == AX_OK) {
        st = into_folder(&j, &a, &err);
        if (st == AX_OK)
            st = import(&j, &err);
    }
    job_free(&j);
    return cmd_finish(&cmd, st, &err);
}
