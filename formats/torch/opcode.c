/* The instructions of pickles, protocols 0 to 5, as Python's pickletools
 * tells of them. What Python would make by a call becomes a node that says
 * so; what it would refuse for the type of an object is accepted, since
 * nothing here depends on it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/torch/pickle.h"

#define OPCODE(name)                                           \
    static ax_status name(struct torch_machine *m, int number, \
                          struct ax_err *err)
#define UNUSED(x) ((void)(x))

static ax_status push_new(struct torch_machine *m, struct torch_node **out,
                          enum torch_kind kind, struct ax_err *err)
{
    AX_TRY(torch_new(m, out, kind, err));
    return torch_push(m, *out, err);
}

static ax_status push_text(struct torch_machine *m, enum torch_kind kind,
                           struct torch_text text, struct ax_err *err)
{
    struct torch_node *n = NULL;

    AX_TRY(push_new(m, &n, kind, err));
    n->text = text;
    return AX_OK;
}

static ax_status push_int(struct torch_machine *m, enum torch_kind kind,
                          int64_t i, struct ax_err *err)
{
    struct torch_node *n = NULL;

    AX_TRY(push_new(m, &n, kind, err));
    n->i = i;
    return AX_OK;
}

/* ---- numbers ---- */

/* A signed number of |number| bytes, unsigned if number is positive. */
OPCODE(op_int)
{
    unsigned n = (unsigned)abs(number);
    uint64_t x = 0;

    AX_TRY(torch_number(m, &x, n, err));
    if (number < 0 && x >> (8 * n - 1))
        x |= ~UINT64_C(0) << 8 * n;
    return push_int(m, TORCH_INT, (int64_t)x, err);
}

static ax_status push_decimal(struct torch_machine *m, struct torch_text t,
                              struct ax_err *err)
{
    bool minus = t.n && t.s[0] == '-', fits = true;
    int64_t x = 0;

    for (size_t i = minus; i < t.n && fits; i++)
        fits = t.s[i] >= '0' && t.s[i] <= '9' &&
               !__builtin_mul_overflow(x, 10, &x) &&
               !__builtin_sub_overflow(x, t.s[i] - '0', &x);
    if (fits && !minus)
        fits = !__builtin_sub_overflow(0, x, &x);
    return fits && t.n > minus ? push_int(m, TORCH_INT, x, err)
                               : push_text(m, TORCH_LONG, t, err);
}

/* INT: a line, where 00 and 01 are bools; LONG: a line with an L. */
OPCODE(op_int_line)
{
    struct torch_text t = {0};

    AX_TRY(torch_line(m, &t, err));
    if (number == 'I' && (torch_is(t, "00") || torch_is(t, "01")))
        return push_int(m, TORCH_BOOL, t.s[1] == '1', err);
    if (number == 'L' && t.n && t.s[t.n - 1] == 'L')
        t.n--;
    return push_decimal(m, t, err);
}

/* LONG1, LONG4: two's complement of any length. */
OPCODE(op_long)
{
    const unsigned char *p = NULL;
    uint64_t n = 0, x;

    AX_TRY(torch_number(m, &n, (unsigned)number, err));
    AX_TRY(torch_take(m, &p, (size_t)n, err));
    if (n > 8)
        return push_text(m, TORCH_LONG,
                         (struct torch_text){(const char *)p, (size_t)n},
                         err);
    x = torch_le(p, (unsigned)n);
    if (n && n < 8 && p[n - 1] & 0x80)
        x |= ~UINT64_C(0) << 8 * n;
    return push_int(m, TORCH_INT, (int64_t)x, err);
}

OPCODE(op_float)
{
    struct torch_node *node = NULL;
    const unsigned char *p = NULL;
    uint64_t bits = 0;

    UNUSED(number);
    AX_TRY(torch_take(m, &p, 8, err));
    for (int i = 0; i < 8; i++)
        bits = bits << 8 | p[i];
    AX_TRY(push_new(m, &node, TORCH_FLOAT, err));
    memcpy(&node->f, &bits, sizeof node->f);
    return AX_OK;
}

OPCODE(op_float_line)
{
    struct torch_node *node = NULL;
    struct torch_text t = {0};
    char buf[64];

    UNUSED(number);
    AX_TRY(torch_line(m, &t, err));
    if (t.n >= sizeof buf)
        return ax_fail(err, AX_EFORMAT, "a number of %zu digits", t.n);
    memcpy(buf, t.s, t.n);
    buf[t.n] = '\0';
    AX_TRY(push_new(m, &node, TORCH_FLOAT, err));
    node->f = strtod(buf, NULL);
    return AX_OK;
}

/* A constant: NONE is TORCH_NONE, others are bools. */
OPCODE(op_none)
{
    struct torch_node *n = NULL;

    UNUSED(number);
    return push_new(m, &n, TORCH_NONE, err);
}

OPCODE(op_bool)
{
    return push_int(m, TORCH_BOOL, number, err);
}

/* ---- texts ---- */

/* Bytes or text behind a length of |number| bytes; negative: bytes. */
OPCODE(op_text)
{
    const unsigned char *p = NULL;
    uint64_t n = 0;

    AX_TRY(torch_number(m, &n, (unsigned)abs(number), err));
    if (n > SIZE_MAX)
        return ax_fail(err, AX_EFORMAT, "cut short");
    AX_TRY(torch_take(m, &p, (size_t)n, err));
    return push_text(m, number < 0 ? TORCH_BYTES : TORCH_TEXT,
                     (struct torch_text){(const char *)p, (size_t)n}, err);
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* N hex digits from S; false if there are fewer. */
static bool hex(uint32_t *out, const char *s, size_t left, size_t n)
{
    *out = 0;
    for (size_t i = 0; i < n; i++) {
        int d = i < left ? hex_digit(s[i]) : -1;

        if (d < 0)
            return false;
        *out = *out << 4 | (uint32_t)d;
    }
    return true;
}

static size_t put_utf8(char *to, uint32_t c)
{
    if (c < 0x80) {
        to[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        to[0] = (char)(0xc0 | c >> 6);
        to[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        to[0] = (char)(0xe0 | c >> 12);
        to[1] = (char)(0x80 | (c >> 6 & 0x3f));
        to[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    to[0] = (char)(0xf0 | (c >> 18 & 0x7));
    to[1] = (char)(0x80 | (c >> 12 & 0x3f));
    to[2] = (char)(0x80 | (c >> 6 & 0x3f));
    to[3] = (char)(0x80 | (c & 0x3f));
    return 4;
}

/* One escape of the old string literals, behind its backslash; *used of the
 * bytes are its. Returns how many bytes it stands for. */
static size_t unescape(char *to, size_t *used, const char *s, size_t left)
{
    static const char plain[] = "\\'\"abfnrtv",
                      means[] = "\\'\"\a\b\f\n\r\t\v";
    const char *p = strchr(plain, s[0]);
    uint32_t x = 0;

    *used = 1;
    if (s[0] && p) {
        to[0] = means[p - plain];
        return 1;
    }
    if (s[0] == 'x' && hex(&x, s + 1, left - 1, 2)) {
        *used = 3;
        to[0] = (char)x;
        return 1;
    }
    if (s[0] >= '0' && s[0] <= '7') {
        for (*used = 0;
             *used < 3 && *used < left && s[*used] >= '0' && s[*used] <= '7';
             ++*used)
            x = x << 3 | (uint32_t)(s[*used] - '0');
        to[0] = (char)x;
        return 1;
    }
    to[0] = '\\';
    to[1] = s[0];
    return 2;
}

/* STRING: a quoted literal, in the spelling of Python 2. */
OPCODE(op_string_line)
{
    struct torch_text t = {0};
    size_t n = 0, used = 1;
    char *to;

    UNUSED(number);
    AX_TRY(torch_line(m, &t, err));
    if (t.n < 2 || t.s[0] != t.s[t.n - 1] ||
        (t.s[0] != '\'' && t.s[0] != '"'))
        return ax_fail(err, AX_EFORMAT, "a string without quotes");
    to = ax_arena_alloc(m->p->arena, t.n + 1, 1);
    if (!to)
        return ax_fail(err, AX_ENOMEM, "no memory for a pickle");
    for (size_t i = 1; i < t.n - 1; i += used) {
        used = 1;
        if (t.s[i] == '\\' && i + 1 < t.n - 1) {
            n += unescape(to + n, &used, t.s + i + 1, t.n - 2 - i);
            used++;
        } else {
            to[n++] = t.s[i];
        }
    }
    return push_text(m, TORCH_TEXT, (struct torch_text){to, n}, err);
}

/* UNICODE: a line where \uXXXX and \UXXXXXXXX alone are escapes. */
OPCODE(op_unicode_line)
{
    struct torch_text t = {0};
    size_t n = 0;
    char *to;

    UNUSED(number);
    AX_TRY(torch_line(m, &t, err));
    to = ax_arena_alloc(m->p->arena, 2 * t.n + 1, 1);
    if (!to)
        return ax_fail(err, AX_ENOMEM, "no memory for a pickle");
    for (size_t i = 0; i < t.n; i++) {
        size_t left = t.n - i;
        uint32_t c = (unsigned char)t.s[i];

        if (left > 5 && t.s[i] == '\\' && t.s[i + 1] == 'u' &&
            hex(&c, t.s + i + 2, left - 2, 4))
            i += 5;
        else if (left > 9 && t.s[i] == '\\' && t.s[i + 1] == 'U' &&
                 hex(&c, t.s + i + 2, left - 2, 8))
            i += 9;
        n += put_utf8(to + n, c);
    }
    return push_text(m, TORCH_TEXT, (struct torch_text){to, n}, err);
}

/* ---- collections ---- */

OPCODE(op_empty)
{
    struct torch_node *n = NULL;

    return push_new(m, &n, (enum torch_kind)number, err);
}

OPCODE(op_mark)
{
    UNUSED(number);
    return torch_set_mark(m, err);
}

/* A collection of everything above the mark. */
OPCODE(op_marked)
{
    struct torch_node **v = NULL, *node = NULL;
    size_t n = 0;

    AX_TRY(torch_pop_mark(m, &v, &n, err));
    if (number == TORCH_DICT && n % 2)
        return ax_fail(err, AX_EFORMAT, "a key without a value");
    AX_TRY(torch_new(m, &node, (enum torch_kind)number, err));
    AX_TRY(torch_extend(m, node, v, n, err));
    return torch_push(m, node, err);
}

/* A tuple of the last one to three. */
OPCODE(op_tuple)
{
    struct torch_node *v[3] = {NULL}, *node = NULL;

    for (int i = number; i-- > 0;)
        AX_TRY(torch_pop(m, &v[i], err));
    AX_TRY(torch_new(m, &node, TORCH_TUPLE, err));
    AX_TRY(torch_extend(m, node, v, (size_t)number, err));
    return torch_push(m, node, err);
}

/* What takes the elements that are put into NODE. */
static ax_status part(struct torch_machine *m, struct torch_node **out,
                      struct torch_node *node, enum torch_kind kind,
                      struct ax_err *err)
{
    struct torch_node **p;

    *out = node;
    if (node->kind == kind || (kind == TORCH_LIST && node->kind == TORCH_SET))
        return AX_OK;
    *out = NULL;
    if (node->kind == TORCH_GLOBAL)
        node->global->changed = true;
    if (node->kind != TORCH_CALL)
        return AX_OK;
    p = kind == TORCH_DICT ? &node->call->dict : &node->call->list;
    if (!*p)
        AX_TRY(torch_new(m, p, kind, err));
    *out = *p;
    return AX_OK;
}

static ax_status add(struct torch_machine *m, struct torch_node *const *v,
                     size_t n, enum torch_kind kind, struct ax_err *err)
{
    struct torch_node *node = NULL, *to = NULL;

    if (kind == TORCH_DICT && n % 2)
        return ax_fail(err, AX_EFORMAT, "a key without a value");
    AX_TRY(torch_top(m, &node, err));
    AX_TRY(part(m, &to, node, kind, err));
    return to ? torch_extend(m, to, v, n, err) : AX_OK;
}

/* APPEND, SETITEM. */
OPCODE(op_add_one)
{
    struct torch_node *v[2] = {NULL};
    size_t n = number == TORCH_DICT ? 2 : 1;

    for (size_t i = n; i-- > 0;)
        AX_TRY(torch_pop(m, &v[i], err));
    return add(m, v, n, (enum torch_kind)number, err);
}

/* APPENDS, SETITEMS, ADDITEMS. */
OPCODE(op_add_marked)
{
    struct torch_node **v = NULL;
    size_t n = 0;

    AX_TRY(torch_pop_mark(m, &v, &n, err));
    return add(m, v, n, (enum torch_kind)number, err);
}

/* ---- the stack and the memo ---- */

OPCODE(op_pop)
{
    struct torch_node *n, **v = NULL;
    size_t count = 0;

    UNUSED(number);
    if (m->n_marks && m->depth == m->marks[m->n_marks - 1])
        return torch_pop_mark(m, &v, &count, err);
    return torch_pop(m, &n, err);
}

OPCODE(op_pop_mark)
{
    struct torch_node **v = NULL;
    size_t n = 0;

    UNUSED(number);
    return torch_pop_mark(m, &v, &n, err);
}

OPCODE(op_dup)
{
    struct torch_node *n = NULL;

    UNUSED(number);
    AX_TRY(torch_top(m, &n, err));
    return torch_push(m, n, err);
}

OPCODE(op_put)
{
    uint64_t i = 0;

    AX_TRY(torch_number(m, &i, (unsigned)number, err));
    return torch_memo_put(m, i, err);
}

OPCODE(op_get)
{
    uint64_t i = 0;

    AX_TRY(torch_number(m, &i, (unsigned)number, err));
    return torch_memo_get(m, i, err);
}

/* The same with a line: 'p' and 'g'. */
OPCODE(op_memo_line)
{
    struct torch_text t = {0};
    uint64_t i = 0;

    AX_TRY(torch_line(m, &t, err));
    if (t.n < 1 || t.n > 18)
        return ax_fail(err, AX_EFORMAT, "no number");
    for (size_t k = 0; k < t.n; k++) {
        if (t.s[k] < '0' || t.s[k] > '9')
            return ax_fail(err, AX_EFORMAT, "no number");
        i = 10 * i + (uint64_t)(t.s[k] - '0');
    }
    return number == 'p' ? torch_memo_put(m, i, err)
                         : torch_memo_get(m, i, err);
}

OPCODE(op_memoize)
{
    UNUSED(number);
    return torch_memo_put(m, m->n_memo, err);
}

/* ---- names and calls ---- */

OPCODE(op_global)
{
    struct torch_text module = {0}, name = {0};

    UNUSED(number);
    AX_TRY(torch_line(m, &module, err));
    AX_TRY(torch_line(m, &name, err));
    return torch_push_global(m, module, name, false, err);
}

OPCODE(op_stack_global)
{
    static const struct torch_text what = {"(computed)", 10};
    struct torch_node *module = NULL, *name = NULL;
    bool plain;

    UNUSED(number);
    AX_TRY(torch_pop(m, &name, err));
    AX_TRY(torch_pop(m, &module, err));
    plain = module->kind == TORCH_TEXT && name->kind == TORCH_TEXT;
    return torch_push_global(
        m, module->kind == TORCH_TEXT ? module->text : what,
        name->kind == TORCH_TEXT ? name->text : what, !plain, err);
}

/* A global by its number in a registry of the interpreter that we lack. */
OPCODE(op_extension)
{
    static const struct torch_text module = {"(extension registry)", 20};
    char *name = ax_arena_alloc(m->p->arena, 24, 1);
    uint64_t code = 0;
    int n;

    if (!name)
        return ax_fail(err, AX_ENOMEM, "no memory for a pickle");
    AX_TRY(torch_number(m, &code, (unsigned)number, err));
    n = snprintf(name, 24, "%llu", (unsigned long long)code);
    return torch_push_global(m, module, (struct torch_text){name, (size_t)n},
                             true, err);
}

/* REDUCE, NEWOBJ: a callable and its arguments. */
OPCODE(op_call)
{
    struct torch_node *callable = NULL, *args = NULL, *kwargs = NULL;

    if (number == 3) /* NEWOBJ_EX has keyword arguments too */
        AX_TRY(torch_pop(m, &kwargs, err));
    AX_TRY(torch_pop(m, &args, err));
    AX_TRY(torch_pop(m, &callable, err));
    AX_TRY(torch_push_call(m, callable, args, err));
    if (number == 3)
        m->stack[m->depth - 1]->call->dict = kwargs->kind == TORCH_DICT
                                                 ? kwargs
                                                 : NULL;
    return AX_OK;
}

/* OBJ: the class lies below its arguments; INST: it stands in the pickle. */
OPCODE(op_instance)
{
    struct torch_node **v = NULL, *args = NULL, *callable = NULL;
    struct torch_text module = {0}, name = {0};
    size_t n = 0;

    if (number == 'i') {
        AX_TRY(torch_line(m, &module, err));
        AX_TRY(torch_line(m, &name, err));
    }
    AX_TRY(torch_pop_mark(m, &v, &n, err));
    AX_TRY(torch_new(m, &args, TORCH_TUPLE, err));
    if (number == 'i') {
        AX_TRY(torch_extend(m, args, v, n, err));
        AX_TRY(torch_push_global(m, module, name, false, err));
        AX_TRY(torch_pop(m, &callable, err));
    } else {
        if (!n)
            return ax_fail(err, AX_EFORMAT, "no class");
        callable = v[0];
        AX_TRY(torch_extend(m, args, v + 1, n - 1, err));
    }
    return torch_push_call(m, callable, args, err);
}

OPCODE(op_build)
{
    struct torch_node *state = NULL, *node = NULL;

    UNUSED(number);
    AX_TRY(torch_pop(m, &state, err));
    AX_TRY(torch_top(m, &node, err));
    if (node->kind == TORCH_GLOBAL)
        node->global->changed = true;
    if (node->kind == TORCH_CALL)
        node->call->state = state;
    return AX_OK;
}

static ax_status push_persistent(struct torch_machine *m,
                                 struct torch_node *id, struct ax_err *err)
{
    struct torch_node *node = NULL;

    AX_TRY(torch_new(m, &node, TORCH_PERSISTENT, err));
    AX_TRY(torch_extend(m, node, &id, 1, err));
    AX_TRY(torch_note_persistent(m, node, err));
    return torch_push(m, node, err);
}

OPCODE(op_persistent)
{
    struct torch_node *id = NULL;

    UNUSED(number);
    AX_TRY(torch_pop(m, &id, err));
    return push_persistent(m, id, err);
}

OPCODE(op_persistent_line)
{
    struct torch_node *id = NULL;
    struct torch_text t = {0};

    UNUSED(number);
    AX_TRY(torch_line(m, &t, err));
    AX_TRY(torch_new(m, &id, TORCH_TEXT, err));
    id->text = t;
    return push_persistent(m, id, err);
}

/* ---- the rest ---- */

OPCODE(op_protocol)
{
    uint64_t version = 0;

    UNUSED(number);
    AX_TRY(torch_number(m, &version, 1, err));
    if (version > 5)
        return ax_fail(err, AX_EFORMAT, "protocol %d is not known",
                       (int)version);
    return AX_OK;
}

OPCODE(op_frame)
{
    uint64_t n = 0;

    UNUSED(number);
    AX_TRY(torch_number(m, &n, 8, err));
    return n > m->n - m->at ? ax_fail(err, AX_EFORMAT, "cut short") : AX_OK;
}

OPCODE(op_buffer)
{
    UNUSED(m);
    UNUSED(number);
    return ax_fail(err, AX_EFORMAT, "wants data that lie outside the pickle");
}

OPCODE(op_nothing)
{
    UNUSED(m);
    UNUSED(number);
    UNUSED(err);
    return AX_OK;
}

OPCODE(op_stop)
{
    UNUSED(number);
    UNUSED(err);
    m->stop = true;
    return AX_OK;
}

const struct torch_opcode_row torch_opcodes[256] = {
    ['('] = {op_mark, 0},
    [')'] = {op_empty, TORCH_TUPLE},
    ['.'] = {op_stop, 0},
    ['0'] = {op_pop, 0},
    ['1'] = {op_pop_mark, 0},
    ['2'] = {op_dup, 0},
    ['B'] = {op_text, -4},
    ['C'] = {op_text, -1},
    ['F'] = {op_float_line, 0},
    ['G'] = {op_float, 0},
    ['I'] = {op_int_line, 'I'},
    ['J'] = {op_int, -4},
    ['K'] = {op_int, 1},
    ['L'] = {op_int_line, 'L'},
    ['M'] = {op_int, 2},
    ['N'] = {op_none, 0},
    ['P'] = {op_persistent_line, 0},
    ['Q'] = {op_persistent, 0},
    ['R'] = {op_call, 2},
    ['S'] = {op_string_line, 0},
    ['T'] = {op_text, 4},
    ['U'] = {op_text, 1},
    ['V'] = {op_unicode_line, 0},
    ['X'] = {op_text, 4},
    [']'] = {op_empty, TORCH_LIST},
    ['a'] = {op_add_one, TORCH_LIST},
    ['b'] = {op_build, 0},
    ['c'] = {op_global, 0},
    ['d'] = {op_marked, TORCH_DICT},
    ['e'] = {op_add_marked, TORCH_LIST},
    ['g'] = {op_memo_line, 'g'},
    ['h'] = {op_get, 1},
    ['i'] = {op_instance, 'i'},
    ['j'] = {op_get, 4},
    ['l'] = {op_marked, TORCH_LIST},
    ['o'] = {op_instance, 'o'},
    ['p'] = {op_memo_line, 'p'},
    ['q'] = {op_put, 1},
    ['r'] = {op_put, 4},
    ['s'] = {op_add_one, TORCH_DICT},
    ['t'] = {op_marked, TORCH_TUPLE},
    ['u'] = {op_add_marked, TORCH_DICT},
    ['}'] = {op_empty, TORCH_DICT},
    [0x80] = {op_protocol, 0},
    [0x81] = {op_call, 2},
    [0x82] = {op_extension, 1},
    [0x83] = {op_extension, 2},
    [0x84] = {op_extension, 4},
    [0x85] = {op_tuple, 1},
    [0x86] = {op_tuple, 2},
    [0x87] = {op_tuple, 3},
    [0x88] = {op_bool, 1},
    [0x89] = {op_bool, 0},
    [0x8a] = {op_long, 1},
    [0x8b] = {op_long, 4},
    [0x8c] = {op_text, 1},
    [0x8d] = {op_text, 8},
    [0x8e] = {op_text, -8},
    [0x8f] = {op_empty, TORCH_SET},
    [0x90] = {op_add_marked, TORCH_LIST},
    [0x91] = {op_marked, TORCH_SET},
    [0x92] = {op_call, 3},
    [0x93] = {op_stack_global, 0},
    [0x94] = {op_memoize, 0},
    [0x95] = {op_frame, 0},
    [0x96] = {op_text, -8},
    [0x97] = {op_buffer, 0},
    [0x98] = {op_nothing, 0},
};
