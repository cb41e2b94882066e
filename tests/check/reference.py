"""A slow, obvious checker and a tiny prover for ax-cert(5), in exact integers
and fractions, written from the page alone. It is the second opinion on
ax-check: see cross.py."""
import re
import struct
from fractions import Fraction as F
from math import ceil, floor, prod

from container import PACK, SIZE, sha


# ---- the property ---------------------------------------------------------

def parse_number(s):
    m = re.fullmatch(r'([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d+))?', s)
    if not m or not (m[2] or m[3]):
        return None
    v = F(int(m[2] + (m[3] or '') or '0')) / 10 ** len(m[3] or '')
    return (-1 if m[1] == '-' else 1) * v * F(10) ** int(m[4] or 0)


def read_sexp(tokens):
    t = tokens.pop(0)
    if t != '(':
        return t
    out = []
    while tokens[0] != ')':
        out.append(read_sexp(tokens))
    tokens.pop(0)
    return out


def term(t):
    """A dict of coefficients; key None is the constant."""
    if isinstance(t, str):
        v = parse_number(t)
        return {t: F(1)} if v is None else {None: v}
    args = [term(x) for x in t[1:]]
    if t[0] == '*':
        a, b = args
        if any(k for k in a):
            a, b = b, a
        return {k: v * a.get(None, F(0)) for k, v in b.items()}
    out = dict(args[0])
    if t[0] == '-' and len(args) == 1:
        return {k: -v for k, v in out.items()}
    for x in args[1:]:
        for k, v in x.items():
            out[k] = out.get(k, F(0)) + (v if t[0] == '+' else -v)
    return out


class Row:
    """sum N v <= D (or < if strict); n maps (is_y, index) to integers."""

    def __init__(self, form, strict):
        c = {k: v for k, v in form.items() if k and v}
        k = 0
        while any((v * 10 ** k).denominator != 1 for v in c.values()):
            k += 1
        self.n = {(v[0] == 'Y', int(v[2:])): int(x * 10 ** k)
                  for v, x in c.items()}
        self.d = -form.get(None, F(0)) * 10 ** k
        self.strict = strict
        one = list(self.n.items())
        self.box = len(one) == 1 and not one[0][0][0] and abs(one[0][1]) == 1


def formula(f):
    if f[0] == 'or':
        return [c for g in f[1:] for c in formula(g)]
    if f[0] == 'and':
        out = [[]]
        for g in f[1:]:
            out = [a + b for a in out for b in formula(g)]
        return out
    form = term(['-', f[1], f[2]])
    minus = {k: -v for k, v in form.items()}
    rows = []
    if f[0] in ('<', '<=', '='):
        rows.append(Row(form, f[0] == '<'))
    if f[0] in ('>', '>=', '='):
        rows.append(Row(minus, f[0] == '>'))
    return [rows]


class Group:
    def __init__(self, lo64, hi64):
        self.lo64, self.hi64, self.conj = lo64, hi64, []
        b = 0
        while max(max(abs(v) for v in lo64), max(abs(v) for v in hi64)) \
                >= 2 ** (64 + b):
            b += 1
        self.p = 44 - b
        self.lo = [v >> (64 - self.p) for v in lo64]
        self.hi = [-(-v >> (64 - self.p)) for v in hi64]


def read_property(text, n_x):
    text = re.sub(r';[^\n]*', '', text)
    tokens, conj = re.findall(r'[()]|[^\s()]+', text), [[]]
    while tokens:
        s = read_sexp(tokens)
        if s[0] == 'assert':
            conj = [a + b for a in conj for b in formula(s[1])]
    groups = []
    for rows in conj:
        if any(not r.n and r.d < 0 for r in rows):
            continue
        lo, hi = [None] * n_x, [None] * n_x
        for r in rows:
            if r.box:
                (_, i), n = list(r.n.items())[0]
                if n < 0:
                    v = floor(-r.d * 2 ** 64)
                    lo[i] = v if lo[i] is None else max(lo[i], v)
                else:
                    v = ceil(r.d * 2 ** 64)
                    hi[i] = v if hi[i] is None else min(hi[i], v)
        if any(a > b for a, b in zip(lo, hi)):
            continue
        if not groups or (groups[-1].lo64, groups[-1].hi64) != (lo, hi):
            groups.append(Group(lo, hi))
        plain = [r for r in rows if r.n and not r.box]
        groups[-1].conj.append((plain, rows))
    return groups


# ---- the network ----------------------------------------------------------

class Array:
    def __init__(self, dims, v):
        self.dims, self.v = list(dims), list(v)
        assert prod(self.dims) == len(self.v)


def indexes(dims):
    out = [()]
    for d in dims:
        out = [i + (j,) for i in out for j in range(d)]
    return out


def at(dims, idx):
    n = 0
    for d, i in zip(dims, idx):
        n = n * d + i
    return n


def zip_with(f, a, b):
    rank = max(len(a.dims), len(b.dims))
    da = [1] * (rank - len(a.dims)) + a.dims
    db = [1] * (rank - len(b.dims)) + b.dims
    dims = [max(x, y) for x, y in zip(da, db)]
    pick = lambda x, d, i: x.v[at(d, [0 if n == 1 else j
                                      for n, j in zip(d, i)])]
    return Array(dims, [f(pick(a, da, i), pick(b, db, i))
                        for i in indexes(dims)])


def matmul(a, b):
    va, vb = len(a.dims) == 1, len(b.dims) == 1
    a = Array([1] + a.dims, a.v) if va else a
    b = Array(b.dims + [1], b.v) if vb else b
    rank = max(len(a.dims), len(b.dims))
    a = Array([1] * (rank - len(a.dims)) + a.dims, a.v)
    b = Array([1] * (rank - len(b.dims)) + b.dims, b.v)
    batch = [max(x, y) for x, y in zip(a.dims[:-2], b.dims[:-2])]
    out = []
    for i in indexes(batch):
        ia = [0 if n == 1 else j for n, j in zip(a.dims, i)]
        ib = [0 if n == 1 else j for n, j in zip(b.dims, i)]
        for r in range(a.dims[-2]):
            for c in range(b.dims[-1]):
                out.append(sum(a.v[at(a.dims, ia + [r, k])] *
                               b.v[at(b.dims, ib + [k, c])]
                               for k in range(a.dims[-1])))
    return Array(batch + [a.dims[-2]] * (not va) + [b.dims[-1]] * (not vb),
                 out)


def transpose(x, perm):
    dims = [x.dims[p] for p in perm]
    back = [perm.index(d) for d in range(len(perm))]
    return Array(dims, [x.v[at(x.dims, [i[b] for b in back])]
                        for i in indexes(dims)])


def window(x, w, at_, pool):
    """Conv, or AveragePool of all-ones kernels."""
    s = len(x.dims) - 2
    strides = at_.get('strides', [1] * s)
    dil = at_.get('dilations', [1] * s)
    pads = at_.get('pads', [0] * 2 * s)
    kernel = at_['kernel_shape'] if pool else w.dims[2:]
    groups = x.dims[1] if pool else at_.get('group', 1)
    maps = x.dims[1] if pool else w.dims[0]
    depth = x.dims[1] // groups
    size = [(x.dims[d + 2] + pads[d] + pads[d + s] -
             (kernel[d] - 1) * dil[d] - 1) // strides[d] + 1
            for d in range(s)]
    out = []
    for i in indexes([x.dims[0], maps] + size):
        total, n = F(0), 0
        for c in range(depth):
            for k in indexes(kernel):
                pos = [i[d + 2] * strides[d] + k[d] * dil[d] - pads[d]
                       for d in range(s)]
                inside = all(0 <= p < x.dims[d + 2]
                             for d, p in enumerate(pos))
                n += inside or at_.get('count_include_pad', 0)
                if inside:
                    g = i[1] // (maps // groups)
                    v = x.v[at(x.dims, [i[0], g * depth + c] + pos)]
                    total += v * (1 if pool else
                                  w.v[at(w.dims, (i[1], c) + k)])
        out.append(total / n if pool else total)
    return Array([x.dims[0], maps] + size, out)


def operator(op, ins, a, n_out):
    x = ins[0]
    ints = lambda i: [int(v) for v in ins[i].v] \
        if len(ins) > i and ins[i] else None
    if op in ('Identity', 'Dropout'):
        return [x]
    if op == 'Neg':
        return [Array(x.dims, [-v for v in x.v])]
    if op == 'Flatten':
        k = a.get('axis', 1) % (len(x.dims) + 1) if a.get('axis', 1) >= 0 \
            else a['axis'] + len(x.dims)
        return [Array([prod(x.dims[:k]), prod(x.dims[k:])], x.v)]
    if op == 'Reshape':
        dims = [x.dims[i] if d == 0 else d for i, d in enumerate(ints(1))]
        if -1 in dims:
            dims[dims.index(-1)] = len(x.v) // -prod(dims)
        return [Array(dims, x.v)]
    if op == 'Squeeze':
        axes = [v % len(x.dims) for v in ints(1)] if ints(1) is not None \
            else [i for i, d in enumerate(x.dims) if d == 1]
        return [Array([d for i, d in enumerate(x.dims) if i not in axes],
                      x.v)]
    if op == 'Unsqueeze':
        rank = len(x.dims) + len(ints(1))
        axes, rest = [v % rank for v in ints(1)], list(x.dims)
        return [Array([1 if i in axes else rest.pop(0)
                       for i in range(rank)], x.v)]
    if op == 'Transpose':
        perm = a.get('perm', list(range(len(x.dims)))[::-1])
        return [transpose(x, perm)]
    if op == 'Concat':
        k = a['axis'] % len(x.dims)
        dims = list(x.dims)
        dims[k] = sum(i.dims[k] for i in ins)
        out = []
        for b in range(prod(dims[:k])):
            for i in ins:
                n = prod(i.dims[k:])
                out += i.v[b * n:(b + 1) * n]
        return [Array(dims, out)]
    if op == 'Slice':
        starts, ends = ints(1), ints(2)
        axes = ints(3) or list(range(len(starts)))
        steps = ints(4) or [1] * len(starts)
        pick = [list(range(d)) for d in x.dims]
        for s, e, k, t in zip(starts, ends, axes, steps):
            d = x.dims[k]
            e = None if t < 0 and e < -d else e
            pick[k] = pick[k][s:e:t]
        dims = [len(p) for p in pick]
        return [Array(dims, [x.v[at(x.dims, [p[j] for p, j in zip(pick, i)])]
                             for i in indexes(dims)])]
    if op == 'Split':
        k = a.get('axis', 0) % len(x.dims)
        sizes = ints(1) or [x.dims[k] // n_out] * n_out
        out, start = [], 0
        for n in sizes:
            dims = list(x.dims)
            dims[k] = n
            out.append(Array(dims, [
                x.v[at(x.dims, i[:k] + (i[k] + start,) + i[k + 1:])]
                for i in indexes(dims)]))
            start += n
        return out
    if op == 'Gather':
        k, j = a.get('axis', 0) % len(x.dims), ins[1]
        dims = x.dims[:k] + j.dims + x.dims[k + 1:]
        n = len(j.dims)
        return [Array(dims, [
            x.v[at(x.dims, i[:k] + (int(j.v[at(j.dims, i[k:k + n])])
                                    % x.dims[k],) + i[k + n:])]
            for i in indexes(dims)])]
    if op == 'Pad':
        p, n = ints(1), len(x.dims)
        dims = [d + p[i] + p[i + n] for i, d in enumerate(x.dims)]
        out = []
        for i in indexes(dims):
            s = [j - p[d] for d, j in enumerate(i)]
            ok = all(0 <= j < x.dims[d] for d, j in enumerate(s))
            out.append(x.v[at(x.dims, s)] if ok else F(0))
        return [Array(dims, out)]
    if op in ('Add', 'Sub', 'Mul', 'Div'):
        f = {'Add': lambda u, v: u + v, 'Sub': lambda u, v: u - v,
             'Mul': lambda u, v: u * v, 'Div': lambda u, v: u / v}[op]
        return [zip_with(f, x, ins[1])]
    if op == 'MatMul':
        return [matmul(x, ins[1])]
    if op == 'Gemm':
        u = transpose(x, [1, 0]) if a.get('transA') else x
        w = transpose(ins[1], [1, 0]) if a.get('transB') else ins[1]
        alpha, beta = F(a.get('alpha', 1.0)), F(a.get('beta', 1.0))
        y = matmul(u, w)
        y.v = [alpha * v for v in y.v]
        if len(ins) > 2:
            y = zip_with(lambda p, q: p + beta * q, y, ins[2])
        return [y]
    if op == 'Conv':
        y = window(x, ins[1], a, False)
        if len(ins) > 2:
            per = prod(y.dims[2:])
            y.v = [v + ins[2].v[i // per % y.dims[1]]
                   for i, v in enumerate(y.v)]
        return [y]
    if op == 'AveragePool':
        return [window(x, None, a, True)]
    if op in ('ReduceSum', 'ReduceMean'):
        axes = a.get('axes') or ints(1) or list(range(len(x.dims)))
        axes = [k % len(x.dims) for k in axes]
        kept = [1 if i in axes else d for i, d in enumerate(x.dims)]
        out = [F(0)] * prod(kept)
        for i in indexes(x.dims):
            out[at(kept, [0 if d in axes else j
                          for d, j in enumerate(i)])] += x.v[at(x.dims, i)]
        if op == 'ReduceMean':
            out = [v / prod(x.dims[k] for k in axes) for v in out]
        if not a.get('keepdims', 1):
            kept = [d for i, d in enumerate(kept) if i not in axes]
        return [Array(kept, out)]
    raise ValueError(op)


class Net:
    """Affine maps found by evaluating at the origin and at unit vectors."""

    def __init__(self, model):
        self.model = model
        n_relu = sum(1 for n in model.nodes if n[0] == 'Relu')
        zero = self.run([[]] * (n_relu + 1))
        self.n = [len(z) for z in zero]
        self.w, self.b = [None], [None]
        for k in range(1, n_relu + 2):
            self.w.append({})
            self.b.append(zero[k])
        for s in range(n_relu + 1):
            for j in range(self.n[s]):
                acts = [[]] * (n_relu + 1)
                acts[s] = [F(int(i == j)) for i in range(self.n[s])]
                z = self.run(acts)
                for k in range(s + 1, n_relu + 2):
                    for i, v in enumerate(z[k]):
                        v -= zero[k][i]
                        if v:
                            self.w[k].setdefault(s, {})[i, j] = v
        self.quantise()

    def run(self, acts, relu=None):
        """z of all nodes, activations given ([] for zeros); or, with relu,
        by running the network on acts[0]."""
        m, env, z = self.model, {}, [None]
        for i, (name, dtype, dims, tensor) in enumerate(m.values):
            if tensor:
                t, d, data = m.tensors[tensor - 1]
                v = struct.unpack('<%d%s' % (len(data) // SIZE[t], PACK[t]),
                                  data)
                env[name] = Array(d, [F(x) for x in v])
        x = list(acts[0])
        for i in m.inputs:
            name, _, dims, _ = m.values[i]
            dims = [1 if d == -1 else d for d in dims]
            n = prod(dims)
            env[name] = Array(dims, x[:n] if acts[0] else [F(0)] * n)
            x = x[n:]
        z[0] = [v for i in m.inputs for v in env[m.values[i][0]].v]
        for op, ins, outs, attrs in m.nodes:
            a = [env[i] if i else None for i in ins]
            if op == 'Relu':
                z.append(a[0].v)
                act = acts[len(z) - 1] if len(acts) >= len(z) else []
                if relu:
                    act = [max(F(0), v) for v in a[0].v]
                y = [Array(a[0].dims, act or [F(0)] * len(a[0].v))]
            else:
                y = operator(op, a, attrs, len(outs))
            for name, v in zip(outs, y):
                env[name] = v
        z.append([v for i in m.outputs for v in env[m.values[i][0]].v])
        return z

    def quantise(self):
        def exponent(v):
            e = 0
            while v >= F(2) ** e:
                e += 1
            while v < F(2) ** (e - 1):
                e -= 1
            return e
        clog2 = lambda n: max(0, (n - 1).bit_length())
        half = lambda v: floor(v + F(1, 2))
        self.q, self.scale, self.bq, self.bscale = [None], [None], [None], \
            [None]
        readers = {}
        for k in range(1, len(self.n)):
            for s in self.w[k]:
                readers[s] = readers.get(s, 0) + 1
        for k in range(1, len(self.n)):
            c = f = 0
            for s, w in self.w[k].items():
                f = max(f, readers[s])
                col = {}
                for i, j in w:
                    col[j] = col.get(j, 0) + 1
                c = max(c, max(col.values()))
            bits = min(30, 36 - clog2(c) - clog2(f))
            assert bits >= 16
            self.q.append({})
            self.scale.append({})
            for s, w in self.w[k].items():
                sc = bits - exponent(max(abs(v) for v in w.values()))
                self.scale[k][s] = sc
                self.q[k][s] = {ij: half(v * F(2) ** sc)
                                for ij, v in w.items()}
            top = max([abs(v) for v in self.b[k]] or [0])
            sc = bits - exponent(top) if top else 0
            self.bscale.append(sc)
            self.bq.append([half(v * F(2) ** sc) for v in self.b[k]]
                           if top else None)


# ---- arithmetic -----------------------------------------------------------

class Reject(Exception):
    pass


def bits(v):
    return (v if v >= 0 else -v - 1).bit_length()


def to64(v, q):
    r = v << (64 - q) if q <= 64 else v >> (q - 64)
    if abs(r) >= 2 ** 120:
        raise Reject('overflow')
    return r


INF = 2 ** 200


class Box:
    def __init__(self, net, p, lo, hi):
        self.p, self.lo, self.hi = p, list(lo), list(hi)
        self.status = [None] + [['unstable'] * n for n in net.n[1:-1]]
        self.m = [None] + [[INF] * n for n in net.n[1:-1]]

    def child(self):
        b = Box.__new__(Box)
        b.p, b.lo, b.hi = self.p, list(self.lo), list(self.hi)
        b.status = [s and list(s) for s in self.status]
        b.m = [m and list(m) for m in self.m]
        return b


def row_bound(net, box, k, nu, q, own):
    """C, e_0, q_0 and S of a row."""
    c, parts = 0, {s: [] for s in range(k)}
    if own:
        parts[0].append(([own.get(j, 0) << 34 for j in range(net.n[0])], 34))

    def affine(k, nu, q):
        c, a = 0, sum(abs(v) for v in nu)
        for s in sorted(net.q[k]):
            e = [0] * net.n[s]
            for (i, j), w in net.q[k][s].items():
                e[j] += nu[i] * w
            parts[s].append((e, q + net.scale[k][s]))
            sm = sum(box.m[s])
            c += to64(-((a * sm + 1) >> 1), q + net.scale[k][s] + 16)
        if net.bq[k]:
            t = sum(v * b for v, b in zip(nu, net.bq[k]))
            c += to64(t, q + net.bscale[k])
            c += to64(-((a + 1) >> 1), q + net.bscale[k])
        return c

    def join(s):
        e, q, g = None, 0, 0
        for v, qv in parts[s]:
            if e is None:
                e, q = v, qv
                continue
            if q > qv:
                e, q, g = [x >> (q - qv) for x in e], qv, g + 1
            elif qv > q:
                v, g = [x >> (qv - q) for x in v], g + 1
            e = [x + y for x, y in zip(e, v)]
        return e, q, g

    c += affine(k, nu, q)
    for s in range(k - 1, 0, -1):
        e, q, _ = join(s)
        if e is None:
            continue
        sh = max(0, max(bits(v) for v in e) - 26)
        q -= sh
        nu, total = [], 0
        for j, v in enumerate(e):
            mu, st = v >> sh, box.status[s][j]
            if st == 'active':
                n = mu
            elif st == 'inactive':
                n = 0
            else:
                lo, up, chord = box.relax[s][j]
                if mu >= 0:
                    n = mu if up > -lo else 0
                else:
                    n = (mu * chord) >> 28
                    total += min(-n * lo, (mu - n) * up)
            nu.append(n)
        c += to64(total, q + box.t[s])
        c += affine(s, nu, q)
    e, q, g = join(0)
    if e is None:
        return c, [0] * net.n[0], 0, 0
    c += g * to64(sum(min(0, v) for v in box.lo), q + box.p)
    s = to64(sum(min(v * a, v * b) for v, a, b in
                 zip(e, box.lo, box.hi)), q + box.p)
    return c + s, e, q, s


def box_bounds(net, box):
    up = 16 - box.p
    box.m[0] = [ceil(F(max(abs(a), abs(b))) * F(2) ** up)
                for a, b in zip(box.lo, box.hi)]
    box.t, box.relax = {}, {}
    for k in range(1, len(net.n) - 1):
        low, high = {}, {}
        for j in range(net.n[k]):
            if box.status[k][j] != 'unstable':
                continue
            one = [int(i == j) for i in range(net.n[k])]
            low[j] = row_bound(net, box, k, one, 0, None)[0]
            high[j] = -row_bound(net, box, k, [-v for v in one], 0, None)[0]
            box.m[k][j] = min(box.m[k][j], max(0, -(-high[j] >> 48)))
            if low[j] >= 0:
                box.status[k][j] = 'active'
            elif high[j] <= 0:
                box.status[k][j], box.m[k][j] = 'inactive', 0
        left = [j for j in low if box.status[k][j] == 'unstable']
        sh = max([0] + [max(bits(low[j]), bits(high[j])) - 29 for j in left])
        box.t[k], box.relax[k] = 64 - sh, {}
        for j in left:
            lo, hi = low[j] >> sh, -(-high[j] >> sh)
            box.relax[k][j] = lo, hi, (hi << 28) // (hi - lo)
        if sum(box.m[k]) >= 2 ** 62:
            raise Reject('overflow')


def property_row(net, box, row):
    nu = [row.n.get((True, j), 0) for j in range(net.n[-1])]
    own = {j: v for (y, j), v in row.n.items() if not y}
    return row_bound(net, box, len(net.n) - 1, nu, 0, own)


def refutes(net, box, row):
    return property_row(net, box, row)[0] > ceil(row.d * 2 ** 64)


def clip(net, box, rows):
    """The box that clipping by a conjunction leaves, or None."""
    lo, hi = list(box.lo), list(box.hi)
    for row in rows:
        c, e, q, s = property_row(net, box, row)
        d = ceil(row.d * 2 ** 64)
        t = floor(F(d - (c - s)) * F(2) ** (q + box.p - 64)) + 1
        if abs(d) >= 2 ** 125 or abs(t) >= 2 ** 126:
            continue
        sb = sum(min(v * a, v * b) for v, a, b in zip(e, lo, hi))
        if sb > t:
            return None
        v = t - sb
        for j, x in enumerate(e):
            if x > 0:
                hi[j] = min(hi[j], ceil(F(v + x * lo[j], x)))
            elif x < 0:
                lo[j] = max(lo[j], floor(F(v + x * hi[j], x)))
    return lo, hi


def clip_box(net, box, conj):
    got = [b for b in (clip(net, box, rows) for rows, _ in conj) if b]
    if got:
        box.lo = [min(b[0][j] for b in got) for j in range(len(box.lo))]
        box.hi = [max(b[1][j] for b in got) for j in range(len(box.hi))]


# ---- certificates ---------------------------------------------------------

class Reader:
    def __init__(self, b):
        self.b, self.i = b, 0

    def varint(self):
        v = n = 0
        while True:
            c = self.b[self.i]
            self.i += 1
            v |= (c & 127) << n
            n += 7
            if c < 128:
                if c == 0 and n > 7:
                    raise Reject('varint')
                return v

    def bytes(self):
        n = self.varint()
        self.i += n
        if self.i > len(self.b):
            raise Reject('cut short')
        return self.b[self.i - n:self.i]


def walk(net, group, box, r, left, jobs):
    t = r.varint()
    kind, arg = t % 4, t // 4

    def refute(c):
        rows = group.conj[c][0]
        i = 0 if len(rows) == 1 else r.varint()
        if i == len(rows):
            if clip(net, box, rows) is not None:
                raise Reject('clipping leaves something')
        elif i > len(rows) or not refutes(net, box, rows[i]):
            raise Reject('row does not refute')

    if kind == 3:
        if arg or not jobs:
            raise Reject('job')
        sub = Reader(jobs.pop(0))
        walk(net, group, box, sub, left, None)
        if sub.i != len(sub.b):
            raise Reject('something follows')
        return
    z = r.varint() if kind == 2 else 0
    box_bounds(net, box)
    if kind == 0:
        if arg:
            raise Reject('kind')
        for c in left:
            refute(c)
        return
    gone, last = [], -1
    for _ in range(r.varint() if len(group.conj) > 1 else 0):
        pos = r.varint()
        if pos <= last or pos >= len(left):
            raise Reject('position')
        last = pos
        gone.append(left[pos])
        refute(left[pos])
    left = [c for c in left if c not in gone]
    if not left or arg >= net.n[0]:
        raise Reject('nothing left')
    clip_box(net, box, [group.conj[c] for c in left])
    lo, hi = box.lo[arg], box.hi[arg]
    v = ((lo + hi) >> 1) + (z // 2 if z % 2 == 0 else -(z + 1) // 2)
    if not lo <= v <= hi:
        raise Reject('split')
    one, two = box.child(), box.child()
    one.hi[arg] = two.lo[arg] = v
    walk(net, group, one, r, left, jobs)
    walk(net, group, two, r, left, jobs)


def check(model, ident, text, payload):
    """None if the certificate proves the property, else the reason."""
    net = Net(model)
    groups = read_property(text.decode(), net.n[0])
    head = b'AXCT\1\1\0\0' + ident + sha(text)
    try:
        if payload[:72] != head:
            raise Reject('header')
        r = Reader(payload)
        r.i = 72
        if r.varint() != len(groups):
            raise Reject('groups')
        for g in groups:
            trunk = Reader(r.bytes())
            jobs = [r.bytes() for _ in range(r.varint())]
            if any(not rows for rows, _ in g.conj):
                raise Reject('no rows')
            walk(net, g, Box(net, g.p, g.lo, g.hi), trunk,
                 list(range(len(g.conj))), jobs)
            if trunk.i != len(trunk.b) or jobs:
                raise Reject('something follows')
        if r.i != len(payload):
            raise Reject('something follows')
    except IndexError:
        return 'cut short'
    except Reject as e:
        return str(e)
    return None


def refuted(model, text, x):
    """Is x (fractions) a counterexample, in exact numbers?"""
    net = Net.__new__(Net)
    net.model = model
    y = net.run([x], True)[-1]
    value = lambda k: y[k[1]] if k[0] else x[k[1]]
    for g in read_property(text.decode(), len(x)):
        for _, rows in g.conj:
            s = [sum(n * value(k) for k, n in r.n.items()) for r in rows]
            if all(v < r.d or (v == r.d and not r.strict)
                   for v, r in zip(s, rows)):
                return True
    return False
