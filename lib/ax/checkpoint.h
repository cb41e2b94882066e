/* ax/checkpoint.h - files of weights: PyTorch checkpoints (zip, legacy and
 * tar; TorchScript archives; Stable-Baselines archives), safetensors, GGUF.
 *
 * Such a file has tensors with names and no graph. Pickles in it are read
 * into inert trees: nothing is constructed by name and nothing is run. */
#ifndef AX_CHECKPOINT_H
#define AX_CHECKPOINT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "ax/model.h"

AX_BEGIN_API

/* N numbers out of what stands for them in a file. */
typedef void ax_unpack(float *out, const unsigned char *in, size_t n);

/* A tensor as it lies in the file. */
struct ax_weight {
    /* The way to it: keys and indices with slashes between them, as
     * "state_dict/conv1.weight"; parts of modules have dots. A zip inside
     * the file comes first, with a colon: "policy.pth:...". */
    char *name;
    const char *dtype; /* "float32", "complex64"; static */
    ax_dtype type;     /* AX_DTYPE_NONE: a container has no such type */
    size_t size;       /* of an element, bytes */
    int rank;
    int64_t dims[AX_RANK_MAX];
    int64_t strides[AX_RANK_MAX]; /* in elements, never negative */
    const unsigned char *first;   /* the first element; borrowed */
    uint32_t storage;             /* equal for those that share one */
    bool contiguous;              /* row-major: its bytes follow each other */
    ax_unpack *unpack; /* or NULL: first has quantised numbers, of which this
                          makes float32 */
};

struct ax_checkpoint {
    const char
        *format; /* "torch-zip", "torchscript", "torch-legacy",
                    "torch-tar", "archive", "safetensors", "gguf"; static
                  */
    size_t n;
    struct ax_weight *v; /* in the order of the file */
    void *own;           /* private: what was decompressed */
};

/* Does it begin like a checkpoint? Cheap, for the first 64 bytes. */
bool ax_checkpoint_sniff(const unsigned char *head, size_t n);

/* Read a file of N bytes, which are hostile and must live as long as *out.
 * *out is overwritten; free it with ax_checkpoint_free, also after failure.
 *
 * Errors  AX_EFORMAT       malformed, cut short, or a tensor that does not
 *                          lie within its storage
 *         AX_EUNSUPPORTED  big-endian, encrypted, sparse, more dimensions
 *                          than AX_RANK_MAX
 *         AX_ENOMEM.
 * Cost    one pass of CRC-32 over a zip, no copy of what is stored. */
ax_status ax_checkpoint_read(struct ax_checkpoint *out,
                             const unsigned char *data, size_t n,
                             struct ax_err *err) AX_MUST_CHECK;
void ax_checkpoint_free(struct ax_checkpoint *c); /* harmless on {0} */

/* The bytes of a tensor in row-major order: borrowed from the file where
 * they are contiguous, or new, which *own then says: free() it.
 * AX_ESHAPE its size cannot be addressed, or it repeats so few bytes so often
 * (by strides of zero) that no file needs it; AX_ENOMEM. */
ax_status ax_weight_bytes(const unsigned char **out, void **own, size_t *n,
                          const struct ax_weight *w, struct ax_err *err)
    AX_MUST_CHECK;

/* A model from a description of its layers, ax-layers(5) (N bytes of JSON,
 * hostile as the rest), and the tensors that it names. *out is new; its
 * tensors borrow from the file where they can, so *c and the file must live
 * longer. A description that has all weights in it needs an empty *c.
 *
 * Nothing is made up, dropped or skipped: every tensor of the state
 * dictionary is used by a layer, or named as ignored.
 *
 * Errors  AX_EFORMAT       malformed, a tensor or key is missing or too much
 *         AX_EUNSUPPORTED  a layer or type that we do not have
 *         AX_ESHAPE        shapes do not agree
 *         AX_ENOMEM. */
ax_status ax_checkpoint_build(struct ax_model **out,
                              const struct ax_checkpoint *c,
                              const unsigned char *layers, size_t n,
                              struct ax_err *err) AX_MUST_CHECK;

/* The description of a network that many checkpoints are of, by its name, as
 * "resnet18": *out is new, JSON of *n bytes with a NUL behind them.
 * AX_EUSAGE there is none of this name; AX_ENOMEM. */
ax_status ax_zoo_layers(char **out, size_t *n, const char *name,
                        struct ax_err *err) AX_MUST_CHECK;
/* Their names, one after the other; NULL behind the last. */
const char *ax_zoo_name(size_t i);

/* Write a draft of such a description, with "TODO" where names and shapes do
 * not tell. AX_EIO, AX_ENOMEM. */
ax_status ax_checkpoint_infer(FILE *f, const struct ax_checkpoint *c,
                              struct ax_err *err) AX_MUST_CHECK;

/* What a name in a pickle means for whoever lets Python load it. */
typedef enum ax_peril {
    AX_PERIL_NONE,    /* makes tensors and the like, and runs nothing else */
    AX_PERIL_UNKNOWN, /* code that we know nothing of */
    AX_PERIL_RUNS,    /* runs programs or code, or changes the interpreter */
    AX_PERIL_UNREAD   /* a part that could not be looked into */
} ax_peril;

/* "harmless", "unknown", "dangerous", "unreadable". */
const char *ax_peril_name(ax_peril v);

struct ax_finding {
    char *where;  /* member of the archive, "" for the file itself */
    char *global; /* "os.system", or "" */
    ax_peril verdict;
    char *note;  /* why, or "" */
    uint64_t at; /* byte of the pickle */
};

struct ax_scan {
    size_t n, pickles, members;
    struct ax_finding *v; /* in the order of the file; each global once a
                             pickle */
    size_t cap;
};

/* List every global of every pickle in a file, whatever else is wrong with
 * it: damage is a finding too. *out is overwritten; free it with
 * ax_scan_free, also after failure.
 * AX_EFORMAT  it is nothing that holds pickles; AX_ENOMEM. */
ax_status ax_scan_read(struct ax_scan *out, const unsigned char *data,
                       size_t n, struct ax_err *err) AX_MUST_CHECK;
void ax_scan_free(struct ax_scan *s); /* harmless on {0} */

AX_END_API

#endif
