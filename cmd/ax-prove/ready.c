/* Ready-made properties as they are written on a command line:
 *
 *     KIND:FILE[,KEY=VALUE]...
 *
 * FILE is the set of inputs: an input, about which linf= makes a ball, or a
 * box. What a property means is said in ax/ready.h. */
#include "ax/ready.h"

#include <stdlib.h>
#include <string.h>

#include "ax/element.h"
#include "ax/tensorfile.h"
#include "prove.h"

enum key {
    KEY_LINF,
    KEY_MIN,
    KEY_MAX,
    KEY_LABEL,
    KEY_INPUT,
    KEY_OUTPUT,
    KEY_FROM,
    KEY_TO,
    KEY_LO,
    KEY_HI,
    KEY_OUTPUTS,
    KEY_OTHER,
    KEY_EPS,
    KEY_L,
    KEY_TOL,
    KEY_WAY,
    N_KEYS,
};

static const char *const key_names[N_KEYS] = {
    "linf", "min", "max",     "label", "input", "output", "from", "to",
    "lo",   "hi",  "outputs", "other", "eps",   "l",      "tol",  "way"};

enum { OWN, DIFFERENCE, SHIFTED }; /* of which network */

#define BIT(k) (1u << KEY_##k)
#define BALL   (BIT(LINF) | BIT(MIN) | BIT(MAX))

static const struct kind {
    const char *name;
    unsigned knows, wants;
    int network;
    enum ax_ready_kind text;
    bool point;        /* FILE is an input, also without linf= */
    const char *usage; /* what is wanted */
} kinds[] = {
    {"robust", BALL | BIT(LABEL), 0, OWN, AX_READY_CLASS, false,
     "FILE,linf=NUMBER"},
    {"fair", BALL | BIT(LABEL) | BIT(INPUT) | BIT(FROM) | BIT(TO),
     BIT(INPUT) | BIT(FROM) | BIT(TO), OWN, AX_READY_CLASS, true,
     "FILE,input=I,from=NUMBER,to=NUMBER"},
    {"bounds", BALL | BIT(OUTPUT) | BIT(LO) | BIT(HI) | BIT(OUTPUTS), 0, OWN,
     AX_READY_INSIDE, false, "FILE,lo=NUMBER,hi=NUMBER or FILE,outputs=FILE"},
    {"reach", BALL | BIT(OUTPUT) | BIT(LO) | BIT(HI) | BIT(OUTPUTS), 0, OWN,
     AX_READY_OUTSIDE, false,
     "FILE,lo=NUMBER,hi=NUMBER or FILE,outputs=FILE"},
    {"finite", BALL, 0, OWN, AX_READY_INSIDE, false, "FILE"},
    {"monotone", BALL | BIT(INPUT) | BIT(OUTPUT) | BIT(TOL) | BIT(WAY),
     BIT(INPUT) | BIT(OUTPUT) | BIT(TOL), SHIFTED, AX_READY_MONOTONE, false,
     "FILE,input=I,output=J,tol=NUMBER"},
    {"lipschitz", BALL | BIT(INPUT) | BIT(OUTPUT) | BIT(TOL) | BIT(L),
     BIT(INPUT) | BIT(L) | BIT(TOL), SHIFTED, AX_READY_LIPSCHITZ, false,
     "FILE,input=I,l=NUMBER,tol=NUMBER"},
    {"equivalent", BALL | BIT(OTHER) | BIT(EPS), BIT(OTHER) | BIT(EPS),
     DIFFERENCE, AX_READY_INSIDE, false, "FILE,other=MODEL.axm,eps=NUMBER"},
};

/* The greatest float32. */
#define GREATEST "340282346638528859811704183484516925440"

#define N_KINDS (sizeof kinds / sizeof *kinds)

struct ready {
    const struct kind *kind;
    char *words; /* what the others point into */
    const char *path;
    const char *value[N_KEYS]; /* or NULL */
    uint32_t input;
    int64_t index; /* label or output, or -1 */
};

void ready_free(struct ready *r)
{
    if (r)
        free(r->words);
    free(r);
}

const char *ready_name(const struct ready *r)
{
    return r->kind->name;
}

const char *ready_other(const struct ready *r)
{
    return r->value[KEY_OTHER];
}

static int key_of(const char *name, size_t n)
{
    for (int k = 0; k < N_KEYS; k++)
        if (strlen(key_names[k]) == n && strncmp(name, key_names[k], n) == 0)
            return k;
    return -1;
}

bool ready_number(const struct ready *r, const char *name, const char **key,
                  const char **given, bool *largest)
{
    int k = key_of(name, strlen(name));

    if (k == KEY_EPS && !(r->kind->knows & BIT(EPS)))
        k = KEY_LINF;
    *largest = k == KEY_LINF;
    if ((k != KEY_LINF && k != KEY_EPS && k != KEY_L && k != KEY_TOL) ||
        !r->value[k])
        return false;
    *key = key_names[k];
    *given = r->value[k];
    return true;
}

void ready_change(struct ready *r, const char *key, const char *value)
{
    r->value[key_of(key, strlen(key))] = value;
}

static const struct kind *kind_of(const char *property)
{
    for (size_t k = 0; property && k < N_KINDS; k++) {
        size_t n = strlen(kinds[k].name);

        if (strncmp(property, kinds[k].name, n) == 0 && property[n] == ':')
            return &kinds[k];
    }
    return NULL;
}

bool is_ready(const char *property)
{
    return kind_of(property) != NULL;
}

/* ---- words ---- */

static ax_status unknown_word(const struct ready *r, const char *word,
                              struct ax_err *err)
{
    char keys[128];
    size_t n = 0;

    keys[0] = '\0';
    for (unsigned k = 0; k < N_KEYS; k++)
        if (r->kind->knows & 1u << k && n < sizeof keys)
            n += (size_t)snprintf(keys + n, sizeof keys - n,
                                  "%s%s=", n ? ", " : "", key_names[k]);
    return ax_fail(err, AX_EUSAGE, "%s: knows %s, not '%.40s'", r->kind->name,
                   keys, word);
}

static ax_status read_words(struct ready *r, struct ax_err *err)
{
    char *save, *word;

    r->path = strtok_r(r->words, ",", &save);
    while ((word = strtok_r(NULL, ",", &save))) {
        char *equals = strchr(word, '=');
        int k = equals ? key_of(word, (size_t)(equals - word)) : -1;

        if (k < 0 || !(r->kind->knows & 1u << k))
            return unknown_word(r, word, err);
        r->value[k] = equals + 1;
    }
    for (unsigned k = 0; k < N_KEYS; k++)
        if (!r->path || (r->kind->wants & 1u << k && !r->value[k]))
            return ax_fail(err, AX_EUSAGE, "%s: wants %s", r->kind->name,
                           r->kind->usage);
    return AX_OK;
}

static ax_status read_index(int64_t *out, const struct ready *r, enum key k,
                            struct ax_err *err)
{
    const char *s = r->value[k];
    char *end;

    *out = -1;
    if (!s)
        return AX_OK;
    *out = *s >= '0' && *s <= '9' ? strtoll(s, &end, 10) : -1;
    if (*out < 0 || *end || *out > INT32_MAX)
        return ax_fail(err, AX_EUSAGE,
                       "%s= wants a number from 0 on, not '%.40s'",
                       key_names[k], s);
    return AX_OK;
}

static ax_status read_numbers(struct ready *r, struct ax_err *err)
{
    const char *way = r->value[KEY_WAY];
    int64_t label, input;

    AX_TRY(read_index(&label, r, KEY_LABEL, err));
    AX_TRY(read_index(&r->index, r, KEY_OUTPUT, err));
    AX_TRY(read_index(&input, r, KEY_INPUT, err));
    r->index = label >= 0 ? label : r->index;
    r->input = input < 0 ? 0 : (uint32_t)input;
    if (way && strcmp(way, "up") != 0 && strcmp(way, "down") != 0)
        return ax_fail(err, AX_EUSAGE, "way= wants up or down, not '%.40s'",
                       way);
    if (!r->value[KEY_LINF] && !r->kind->point &&
        (r->value[KEY_MIN] || r->value[KEY_MAX]))
        return ax_fail(err, AX_EUSAGE, "min= and max= go with linf=");
    if (r->value[KEY_OUTPUTS] &&
        (r->value[KEY_LO] || r->value[KEY_HI] || r->index >= 0))
        return ax_fail(err, AX_EUSAGE,
                       "outputs= goes without lo=, hi= and output=");
    if (!r->value[KEY_LINF] && r->kind->text == AX_READY_CLASS &&
        !r->kind->point && r->index < 0)
        return ax_fail(
            err, AX_EUSAGE,
            "%s: wants FILE,linf=NUMBER, or a box and label=", r->kind->name);
    return AX_OK;
}

/* ---- files ---- */

/* The numbers of an array of any kind, as float32. */
static ax_status read_input(float **x, const char *path, uint32_t n,
                            struct ax_err *err)
{
    struct ax_tensor_list list = {0};
    unsigned char *data;
    const struct ax_tensor *t;
    size_t size;
    ax_status st;

    *x = NULL;
    AX_TRY(cmd_in_read(&data, &size, path, PROPERTY_MAX, err));
    st = ax_tensorfile_read(&list, data, size, AX_F32, err);
    free(data);
    t = st == AX_OK && list.n == 1 ? &list.v[0].t : NULL;
    if (st == AX_OK && (!t || t->dtype != AX_F32))
        st = ax_fail(err, AX_EFORMAT, "one array of float32 is wanted");
    if (st == AX_OK && t->nbytes != 4 * (size_t)n)
        st = ax_fail(err, AX_ESHAPE,
                     "%zu elements, the network has %u inputs", t->nbytes / 4,
                     n);
    if (st == AX_OK && !(*x = malloc(t->nbytes + 1)))
        st = ax_fail(err, AX_ENOMEM, "no memory for an input");
    if (st == AX_OK)
        memcpy(*x, t->data, t->nbytes);
    ax_tensor_list_free(&list);
    return st == AX_OK || st == AX_ENOMEM
               ? st
               : ax_fail_in(err, "%s", cmd_in_name(path));
}

static const struct ax_tensor *named(const struct ax_tensor_list *list,
                                     const char *name)
{
    for (size_t i = 0; i < list->n; i++)
        if (strcmp(list->v[i].name, name) == 0)
            return &list->v[i].t;
    return NULL;
}

/* An array whose first dimension is 2, or two arrays lo and hi. */
static ax_status box_of_arrays(struct ax_set **out,
                               const struct ax_tensor_list *list, uint32_t n,
                               struct ax_err *err)
{
    const struct ax_tensor *t[2] = {named(list, "lo"), named(list, "hi")};
    bool one = list->n == 1;
    double *ends;
    ax_status st;

    if (one)
        t[0] = t[1] = &list->v[0].t;
    if (!t[0] || !t[1] || (one && (t[0]->rank < 1 || t[0]->dims[0] != 2)))
        return ax_fail(err, AX_ESHAPE,
                       "a box is an array [2, ...] or two called lo and hi");
    for (int side = 0; side < 2; side++)
        if (ax_tensor_count(t[side]) != (one ? 2 : 1) * (size_t)n)
            return ax_fail(err, AX_ESHAPE, "%zu elements where %zu belong",
                           ax_tensor_count(t[side]),
                           (one ? 2 : 1) * (size_t)n);
    ends = calloc(2 * (size_t)n + 1, sizeof *ends);
    if (!ends)
        return ax_fail(err, AX_ENOMEM, "no memory for a box");
    for (int side = 0; side < 2; side++)
        ax_get_f64(ends + side * (size_t)n, t[side]->dtype, t[side]->data,
                   one && side ? n : 0, n);
    st = ax_set_box(out, ends, ends + n, n, err);
    free(ends);
    return st;
}

static ax_status read_box(struct ax_set **out, const char *path, uint32_t n,
                          struct ax_err *err)
{
    struct ax_tensor_list list = {0};
    unsigned char *data;
    size_t size;
    ax_status st;

    AX_TRY(cmd_in_read(&data, &size, path, PROPERTY_MAX, err));
    if (ax_tensorfile_sniff(data, size) == AX_FILE_CSV) {
        st = ax_set_text(out, (const char *)data, size, n, err);
    } else {
        st = ax_tensorfile_read(&list, data, size, AX_F64, err);
        if (st == AX_OK)
            st = box_of_arrays(out, &list, n, err);
        ax_tensor_list_free(&list);
    }
    free(data);
    return st == AX_OK || st == AX_ENOMEM
               ? st
               : ax_fail_in(err, "%s", cmd_in_name(path));
}

/* ---- the model ---- */

static ax_status read_other(struct job *j, struct ax_err *err)
{
    const char *path = j->ready->value[KEY_OTHER];
    unsigned char *data;
    size_t n;

    if (strcmp(path, "-") == 0)
        return ax_fail(err, AX_EUSAGE, "other= wants a file");
    AX_TRY(cmd_in_read(&data, &n, path, SIZE_MAX / 2, err));
    ax_sha256(j->other_digest, data, n);
    free(data);
    return cmd_model_read(&j->other, path, err);
}

ax_status ready_model(struct job *j, const char *spec, struct ax_err *err)
{
    struct ready *r = j->ready = calloc(1, sizeof *r);
    struct ax_model *made = NULL;
    ax_status st;

    if (!r)
        return ax_fail(err, AX_ENOMEM, "no memory for the property");
    r->kind = kind_of(spec);
    r->words = strdup(spec + strlen(r->kind->name) + 1);
    if (!r->words)
        return ax_fail(err, AX_ENOMEM, "no memory for the property");
    AX_TRY(read_words(r, err));
    AX_TRY(read_numbers(r, err));
    if (r->kind->network == OWN)
        return AX_OK;
    AX_TRY(ax_model_identity(j->base_identity, j->model, err));
    if (r->kind->network == DIFFERENCE) {
        AX_TRY(read_other(j, err));
        st = ax_model_difference(&made, j->model, j->other, err);
    } else {
        st = ax_model_shifted(&made, j->model, r->input, err);
    }
    AX_TRY(st);
    j->base = j->model;
    j->model = made;
    return AX_OK;
}

/* ---- the text ---- */

static ax_status make_ball(struct ax_set **out, struct job *j, uint32_t n,
                           struct ax_err *err)
{
    struct ready *r = j->ready;
    const struct ax_ball ball = {
        .radius = r->value[KEY_LINF] ? r->value[KEY_LINF] : "0",
        .min = r->value[KEY_MIN],
        .max = r->value[KEY_MAX]};
    uint32_t label;
    double *centre;
    float *x;
    ax_status st;

    AX_TRY(read_input(&x, r->path, n, err));
    centre = calloc((size_t)n + 1, sizeof *centre);
    for (uint32_t i = 0; centre && i < n; i++)
        centre[i] = (double)x[i];
    st = centre ? ax_set_ball(out, centre, n, &ball, err)
                : ax_fail(err, AX_ENOMEM, "no memory for an input");
    if (st == AX_OK && r->kind->text == AX_READY_CLASS && r->index < 0) {
        st = ax_net_winner(&label, j->net, x, err);
        r->index = label;
    }
    free(centre);
    free(x);
    return st;
}

static ax_status make_outputs(struct ax_set **out, const struct ready *r,
                              uint32_t n_y, struct ax_err *err)
{
    const char *lo = r->value[KEY_LO], *hi = r->value[KEY_HI];
    const char *eps = r->value[KEY_EPS];
    char minus[600];

    if (r->value[KEY_OUTPUTS])
        return read_box(out, r->value[KEY_OUTPUTS], n_y, err);
    if (eps) {
        snprintf(minus, sizeof minus, "-%s", eps);
        if (*eps == '-' || *eps == '+' || strlen(eps) > 512)
            return ax_fail(err, AX_EUSAGE, "eps= wants a number from 0 on");
        lo = minus;
        hi = eps;
    }
    if (!(r->kind->knows & (BIT(LO) | BIT(EPS)))) { /* finite */
        lo = "-" GREATEST;
        hi = GREATEST;
    }
    if (!lo && !hi)
        return ax_fail(err, AX_EUSAGE, "%s: wants %s", r->kind->name,
                       r->kind->usage);
    return ax_set_outputs(out, n_y, r->index, lo, hi, err);
}

ax_status ready_text(struct job *j, struct ax_err *err)
{
    struct ready *r = j->ready;
    struct ax_set *set = NULL, *outputs = NULL;
    uint32_t n = j->net->nodes[0].n - (r->kind->network == SHIFTED);
    struct ax_ready ready = {.kind = r->kind->text,
                             .n_y = j->net->nodes[j->net->n_nodes - 1].n,
                             .input = r->input,
                             .falls = r->value[KEY_WAY] &&
                                      *r->value[KEY_WAY] == 'd',
                             .l = r->value[KEY_L],
                             .tol = r->value[KEY_TOL]};
    char *text = NULL;
    ax_status st;

    st = r->value[KEY_LINF] || r->kind->point
             ? make_ball(&set, j, n, err)
             : read_box(&set, r->path, n, err);
    if (st == AX_OK && r->value[KEY_FROM])
        st = ax_set_range(set, r->input, r->value[KEY_FROM], r->value[KEY_TO],
                          err);
    if (st == AX_OK &&
        (ready.kind == AX_READY_INSIDE || ready.kind == AX_READY_OUTSIDE))
        st = make_outputs(&outputs, r, ready.n_y, err);
    ready.index = r->index;
    ready.outputs = outputs;
    if (st == AX_OK)
        st = ax_ready_text(&text, &j->found.n_text, set, &ready, err);
    j->found.text = (unsigned char *)text;
    ax_set_free(set);
    ax_set_free(outputs);
    return st;
}
