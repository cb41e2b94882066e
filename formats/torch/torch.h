/* formats/torch/torch.h - what the readers of PyTorch's files share.
 *
 * zip.c finds the members of an archive; pickle.c turns a pickle into a tree;
 * opcode.c is its instructions; archive.c, row.c and tar.c find objects and
 * storages in the containers that PyTorch has had; weights.c finds tensors in
 * a tree, place.c their elements; globals.c judges names; scan.c looks at
 * everything, whole or not. */
#ifndef FORMATS_TORCH_H
#define FORMATS_TORCH_H

#include "ax/arena.h"
#include "ax/checkpoint.h"

/* ---- bytes ---- */

struct torch_text {
    const char *s; /* no NUL at the end */
    size_t n;
};

bool torch_is(struct torch_text t, const char *s);
/* Equal as bytes. */
bool torch_same(struct torch_text a, struct torch_text b);

/* The text for a message: cut, what is not printable as '?'. */
struct torch_shown {
    char s[96];
};
struct torch_shown torch_show(struct torch_text t);

uint64_t torch_le(const unsigned char *p, unsigned n); /* n <= 8 bytes */

/* ---- trees ---- */

enum torch_kind {
    TORCH_NONE,
    TORCH_BOOL,
    TORCH_INT,
    TORCH_LONG, /* an integer of more than 64 bits */
    TORCH_FLOAT,
    TORCH_TEXT,
    TORCH_BYTES,
    TORCH_TUPLE,
    TORCH_LIST,
    TORCH_DICT, /* v has keys and values in turns */
    TORCH_SET,
    TORCH_GLOBAL,
    TORCH_PERSISTENT, /* v has the one object that names it */
    TORCH_CALL,       /* what a callable would give: nothing was called */
};

struct torch_node {
    uint8_t kind;
    bool busy; /* it is on the way from the root */
    uint32_t n, cap;
    union {
        int64_t i;
        double f;
        struct torch_text text;
        struct torch_node **v;
        struct torch_global *global;
        struct torch_call *call;
    };
};

struct torch_call {
    struct torch_node *callable, *args;
    struct torch_node *state; /* of BUILD, or NULL */
    struct torch_node *dict;  /* what SETITEM put into it, or NULL */
    struct torch_node *list;  /* what APPEND put into it, or NULL */
};

struct torch_global {
    struct torch_text module, name;
    size_t at;     /* byte of the pickle */
    bool computed; /* by strings that are none when written down */
    bool changed;  /* a later instruction changes what it names */
};

/* Is it the global MODULE.NAME? */
bool torch_is_global(const struct torch_node *n, const char *module,
                     const char *name);

/* ---- pickles ---- */

struct torch_pickle {
    struct ax_arena *arena;
    size_t nodes; /* made so far */
    /* Every global that was named, in order. */
    struct torch_global **globals;
    size_t n_globals, cap_globals;
    /* Every object that names another by a persistent id. */
    struct torch_node **persistent;
    size_t n_persistent, cap_persistent;
};

ax_status torch_pickle_init(struct torch_pickle *p, struct ax_err *err)
    AX_MUST_CHECK;
void torch_pickle_free(struct torch_pickle *p); /* harmless on {0} */

/* Read one pickle from the front of DATA; *used is how long it is, and *root
 * borrows from P and DATA. On failure *used is where, and the globals up to
 * there are in P. May be called again for the pickle behind it.
 * AX_EFORMAT, AX_ENOMEM. */
ax_status torch_unpickle(struct torch_node **root, size_t *used,
                         struct torch_pickle *p, const unsigned char *data,
                         size_t n, struct ax_err *err) AX_MUST_CHECK;

/* ---- archives ---- */

struct torch_member {
    struct torch_text name;
    unsigned method; /* 0 stored, 8 deflated */
    unsigned flags;
    uint32_t crc;
    const unsigned char *packed;
    size_t n_packed, n;
    size_t header; /* where its local header is */
};

struct torch_zip {
    struct torch_member *v; /* in the order of the directory */
    uint32_t *by_name;      /* indices, sorted */
    size_t n;
};

/* Find the members of a zip archive, and refuse one that can be read in two
 * ways: members that overlap or have one name, local headers that say
 * something else than the directory, bytes before, between and behind.
 * AX_EFORMAT, AX_EUNSUPPORTED (encrypted, other methods, several disks),
 * AX_ENOMEM. */
ax_status torch_zip_open(struct torch_zip *z, const unsigned char *data,
                         size_t n, struct ax_err *err) AX_MUST_CHECK;
void torch_zip_free(struct torch_zip *z); /* harmless on {0} */
/* NULL if there is none. */
const struct torch_member *torch_zip_find(const struct torch_zip *z,
                                          struct torch_text name);

/* The bytes of a member, whose CRC-32 was checked. Those of a stored one are
 * borrowed; those of another lie in the arena. BUDGET is how many bytes may
 * still be decompressed, and gets less. */
ax_status torch_zip_bytes(const unsigned char **out, size_t *budget,
                          struct ax_arena *arena,
                          const struct torch_member *m, struct ax_err *err)
    AX_MUST_CHECK;

/* Inflate what may be damaged, up to MAX bytes: *out is new, *n what there
 * was before the end or the damage. AX_ENOMEM. */
ax_status torch_inflate(unsigned char **out, size_t *n,
                        const unsigned char *data, size_t n_data, size_t max,
                        struct ax_err *err) AX_MUST_CHECK;

/* How many bytes may come out of an archive of N bytes. */
size_t torch_zip_budget(size_t n);

/* ---- tensors ---- */

struct torch_dtype {
    const char *name;
    ax_dtype type;
    size_t size;
};
/* By the name of a storage class ("FloatStorage") or of a dtype; NULL if it
 * is none. */
const struct torch_dtype *torch_dtype_of_storage(struct torch_text name);
const struct torch_dtype *torch_dtype_by_name(struct torch_text name);

struct torch_storage {
    struct torch_text key;
    const struct torch_dtype *type; /* NULL: bytes */
    const unsigned char *data;
    size_t nbytes;
    uint32_t id;
};

/* What is behind a persistent id: fills *out. SELF is that of the finder. */
typedef ax_status torch_resolve(struct torch_storage *out, void *self,
                                const struct torch_node *id,
                                struct ax_err *err);

/* The tensor behind a persistent id: fills *out but for its name. */
typedef ax_status torch_resolve_tensor(struct ax_weight *out, void *self,
                                       const struct torch_node *id,
                                       struct ax_err *err);

struct torch_finder {
    torch_resolve *resolve;
    torch_resolve_tensor *tensor; /* or NULL: ids are of storages alone */
    void *self;
    struct ax_checkpoint *to;
    size_t cap;         /* allocated in to->v */
    const char *prefix; /* of all names: "" or "policy.pth:" */
    size_t visits;      /* left */
    bool script; /* a TorchScript archive: all its objects are modules */
};

/* Add every tensor below ROOT. */
ax_status torch_find(struct torch_finder *f, struct torch_node *root,
                     struct ax_err *err) AX_MUST_CHECK;
/* Add one; *w is taken but for the name, which is made. */
ax_status torch_add_weight(struct ax_checkpoint *to, size_t *cap,
                           const struct ax_weight *w, const char *prefix,
                           const char *name, struct ax_err *err)
    AX_MUST_CHECK;
/* Does it lie in NBYTES bytes from BASE, at element OFFSET? Fills first and
 * contiguous. AX_EFORMAT. */
ax_status torch_place(struct ax_weight *w, const unsigned char *base,
                      size_t nbytes, int64_t offset, struct ax_err *err)
    AX_MUST_CHECK;

/* ---- names ---- */

ax_peril torch_judge(const struct torch_global *g, const char **note);

/* ---- containers ---- */

/* Private part of a checkpoint. */
struct torch_own {
    struct ax_arena *arena;
    size_t budget; /* bytes that may still be decompressed */
    uint32_t storages;
};

bool torch_is_legacy(const unsigned char *data, size_t n);
bool torch_is_tar(const unsigned char *data, size_t n);

/* ("storage", class, key, location, count, ...), of which OUT gets type and
 * key, and *COUNT the count. AX_EFORMAT, AX_EUNSUPPORTED. */
ax_status torch_storage_id(struct torch_storage *out, int64_t *count,
                           const struct torch_node *id, struct ax_err *err)
    AX_MUST_CHECK;
/* The type that a class of storages stands for; NULL is bytes. */
ax_status torch_storage_type(const struct torch_dtype **out,
                             const struct torch_node *class,
                             struct ax_err *err) AX_MUST_CHECK;
/* AX_EFORMAT unless a storage of COUNT elements has NBYTES bytes. */
ax_status torch_check_size(const struct torch_storage *s, int64_t count,
                           size_t nbytes, struct ax_err *err) AX_MUST_CHECK;

/* One reader for each container. */
ax_status torch_read_zip(struct ax_checkpoint *c, size_t *cap,
                         const unsigned char *data, size_t n,
                         const char *prefix, struct ax_err *err)
    AX_MUST_CHECK;
ax_status torch_read_legacy(struct ax_checkpoint *c, size_t *cap,
                            const unsigned char *data, size_t n,
                            const char *prefix, struct ax_err *err)
    AX_MUST_CHECK;
ax_status torch_read_tar(struct ax_checkpoint *c, size_t *cap,
                         const unsigned char *data, size_t n,
                         const char *prefix, struct ax_err *err)
    AX_MUST_CHECK;
ax_status safetensors_read(struct ax_checkpoint *c, const unsigned char *data,
                           size_t n, struct ax_err *err) AX_MUST_CHECK;

/* The member of a tar archive whose header is at byte *at, which becomes that
 * of the next; OUT is NULL behind the last. AX_EFORMAT. */
struct torch_entry {
    struct torch_text name;
    const unsigned char *data;
    size_t n;
};
ax_status torch_tar_next(struct torch_entry *out, size_t *at,
                         const unsigned char *data, size_t n,
                         struct ax_err *err) AX_MUST_CHECK;

#endif
