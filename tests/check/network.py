"""The network of ax-cert(5) in exact fractions: the operators of ONNX that the
page names, each as moves of elements or as rows of terms, and the nodes and
integer weights that are made of them. Part of the second opinion on ax-check;
written from the page alone."""
import struct
from fractions import Fraction as F
from math import floor, isqrt, prod

from container import PACK, SIZE


SMOOTH = 'sigmoid', 'sine', 'cosine', 'erf', 'gelu'
RELAXED = ('relu',) + SMOOTH
NEURONS = RELAXED + ('hold',)
CURVED = 'product', 'reciprocal', 'exponential'


class NotCertifiable(Exception):
    pass


class Array:
    """Elements are fractions (constants) or pairs (node, index): variables."""

    def __init__(self, dims, v):
        self.dims, self.v = list(dims), list(v)
        assert prod(self.dims) == len(self.v)

    def constant(self):
        return all(isinstance(v, F) for v in self.v)


class Rows:
    """What an operator computes: for each element of its output (terms, d,
    added), which is (the sum of w v over terms) / d + the sum of added."""

    def __init__(self, kind, dims, rows, exact=False):
        self.kind, self.dims, self.rows = kind, list(dims), rows
        self.exact = exact      # it only compares: EXECUTIONS


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


def broadcast(a, b):
    """The dimensions of both, and pairs of elements."""
    rank = max(len(a.dims), len(b.dims))
    da = [1] * (rank - len(a.dims)) + a.dims
    db = [1] * (rank - len(b.dims)) + b.dims
    dims = [y if x == 1 else x for x, y in zip(da, db)]
    pick = lambda x, d, i: x.v[at(d, [0 if n == 1 else j
                                      for n, j in zip(d, i)])]
    return dims, [(pick(a, da, i), pick(b, db, i)) for i in indexes(dims)]


def pair(a, b):
    """A term (w, v) of two elements, one of which is a constant."""
    if isinstance(b, F):
        return b, a
    if isinstance(a, F):
        return a, b
    raise NotCertifiable('a product of two variables')


def matmul(a, b, alpha=F(1), node=None):
    vary = not (a.constant() or b.constant())
    if vary and not node:
        raise NotCertifiable('a product of two variables')
    va, vb = len(a.dims) == 1, len(b.dims) == 1
    a = Array([1] + a.dims, a.v) if va else a
    b = Array(b.dims + [1], b.v) if vb else b
    rank = max(len(a.dims), len(b.dims))
    a = Array([1] * (rank - len(a.dims)) + a.dims, a.v)
    b = Array([1] * (rank - len(b.dims)) + b.dims, b.v)
    batch = [y if x == 1 else x for x, y in zip(a.dims[:-2], b.dims[:-2])]
    rows = []
    for i in indexes(batch):
        ia = [0 if n == 1 else j for n, j in zip(a.dims, i)]
        ib = [0 if n == 1 else j for n, j in zip(b.dims, i)]
        for r in range(a.dims[-2]):
            for c in range(b.dims[-1]):
                both = [(a.v[at(a.dims, ia + [r, k])],
                         b.v[at(b.dims, ib + [k, c])])
                        for k in range(a.dims[-1])]
                if vary:
                    rows.append(both)
                    continue
                rows.append(([(alpha * w, v) for w, v in
                              (pair(u, v) for u, v in both)], F(1), []))
    if vary:
        n, flat = a.dims[-1], sum(rows, [])
        all_ = times(Array([len(flat)], [u for u, _ in flat]),
                     Array([len(flat)], [v for _, v in flat]), node)
        rows = [([(F(1), v) for v in all_.v[i:i + n]], F(1), [])
                for i in range(0, len(flat), n)]
        return Rows('unit', batch + [a.dims[-2]] * (not va) +
                    [b.dims[-1]] * (not vb), rows)
    return Rows('weighted', batch + [a.dims[-2]] * (not va) +
                [b.dims[-1]] * (not vb), rows)


def transpose(x, perm):
    dims = [x.dims[p] for p in perm]
    back = [perm.index(d) for d in range(len(perm))]
    return Array(dims, [x.v[at(x.dims, [i[b] for b in back])]
                        for i in indexes(dims)])


def window(x, w, a):
    """Conv, or without w AveragePool."""
    s = len(x.dims) - 2
    strides = a.get('strides', [1] * s)
    dil = a.get('dilations', [1] * s)
    pads = a.get('pads', [0] * 2 * s)
    kernel = w.dims[2:] if w else a['kernel_shape']
    if a.get('auto_pad', 'NOTSET') != 'NOTSET' or a.get('ceil_mode', 0):
        raise NotCertifiable('not understood')
    groups = a.get('group', 1) if w else x.dims[1]
    maps = w.dims[0] if w else x.dims[1]
    depth = x.dims[1] // groups
    size = [(x.dims[d + 2] + pads[d] + pads[d + s] -
             (kernel[d] - 1) * dil[d] - 1) // strides[d] + 1
            for d in range(s)]
    rows = []
    for i in indexes([x.dims[0], maps] + size):
        terms, n = [], 0
        for c in range(depth):
            for k in indexes(kernel):
                pos = [i[d + 2] * strides[d] + k[d] * dil[d] - pads[d]
                       for d in range(s)]
                inside = all(0 <= p < x.dims[d + 2]
                             for d, p in enumerate(pos))
                n += bool(inside or a.get('count_include_pad', 0))
                if inside:
                    g = i[1] // (maps // groups)
                    v = x.v[at(x.dims, [i[0], g * depth + c] + pos)]
                    terms.append((w.v[at(w.dims, (i[1], c) + k)] if w
                                  else F(1), v))
        rows.append((terms, F(1) if w else F(n), []))
    return Rows('weighted', [x.dims[0], maps] + size, rows)


def transposed_window(x, w, a):
    """ConvTranspose: each element adds its channel's kernel to the output."""
    s = len(x.dims) - 2
    strides = a.get('strides', [1] * s)
    dil = a.get('dilations', [1] * s)
    pads = a.get('pads', [0] * 2 * s)
    more = a.get('output_padding', [0] * s)
    if a.get('auto_pad', 'NOTSET') != 'NOTSET' or 'output_shape' in a:
        raise NotCertifiable('not understood')
    groups, (depth, share), kernel = a.get('group', 1), w.dims[:2], w.dims[2:]
    depth //= groups
    dims = [x.dims[0], share * groups] + [
        (x.dims[d + 2] - 1) * strides[d] + (kernel[d] - 1) * dil[d] + 1 +
        more[d] - pads[d] - pads[d + s] for d in range(s)]
    rows = [([], F(1), []) for _ in range(prod(dims))]
    for i in indexes(x.dims):
        for m in range(share):
            for k in indexes(kernel):
                pos = [i[d + 2] * strides[d] + k[d] * dil[d] - pads[d]
                       for d in range(s)]
                if all(0 <= p < n for p, n in zip(pos, dims[2:])):
                    to = [i[0], i[1] // depth * share + m] + pos
                    rows[at(dims, to)][0].append(
                        (w.v[at(w.dims, (i[1], m) + k)], x.v[at(x.dims, i)]))
    return Rows('weighted', dims, rows)


def add_constants(y, dims, c):
    """A Gemm's C or a Conv's B, broadcast."""
    if not c.constant():
        raise NotCertifiable('what is added is no constant')
    spread = broadcast(Array(dims, [F(0)] * prod(dims)), c)[1]
    for (_, _, added), (_, v) in zip(y.rows, spread):
        added.append(v)
    return y


def move(op, ins, a, ints, n_out):
    """The operators that only move elements; None for others."""
    x = ins[0]
    if op in ('Identity', 'Dropout'):
        return [x]
    if op == 'Shape':
        n = len(x.dims)
        if a.get('start', 0) or a.get('end', n) != n:
            raise NotCertifiable('not understood')
        return [Array([n], [F(d) for d in x.dims])]
    if op == 'ConstantOfShape':
        return [Array(ints(0), [F(0)] * prod(ints(0)))]
    if op == 'Flatten':
        k = a.get('axis', 1)
        k += len(x.dims) if k < 0 else 0
        return [Array([prod(x.dims[:k]), prod(x.dims[k:])], x.v)]
    if op == 'Reshape':
        dims = [x.dims[i] if d == 0 and not a.get('allowzero', 0) else d
                for i, d in enumerate(ints(1))]
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
        return [transpose(x, a.get('perm', list(range(len(x.dims)))[::-1]))]
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
        part = -(-x.dims[k] // n_out)
        sizes = ints(1) or [part] * (n_out - 1) + \
            [x.dims[k] - part * (n_out - 1)]
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
        axes = [v % n for v in ints(3)] if ints(3) else list(range(n))
        before, after = [0] * n, [0] * n
        for i, k in enumerate(axes):
            before[k], after[k] = p[i], p[i + len(axes)]
        fill = ins[2].v[0] if len(ins) > 2 and ins[2] else F(0)
        dims = [d + b + e for d, b, e in zip(x.dims, before, after)]
        out = []
        for i in indexes(dims):
            s = [j - before[d] for d, j in enumerate(i)]
            ok = all(0 <= j < x.dims[d] for d, j in enumerate(s))
            out.append(x.v[at(x.dims, s)] if ok else fill)
        return [Array(dims, out)]
    return None


def compute(op, ins, a, ints):
    """The operators that make a node."""
    x, one = ins[0], F(1)
    if op == 'Relu':
        return rectified(x)
    if op == 'Sigmoid':
        return rectified(x, 'sigmoid')
    if op == 'Neg':
        return Rows('unit', x.dims, [([(-one, v)], one, []) for v in x.v])
    if op in ('Add', 'Sub'):
        return total('unit', x, one, ins[1], one if op == 'Add' else -one)
    if op == 'Mul':
        dims, both = broadcast(x, ins[1])
        return Rows('weighted', dims, [([pair(u, v)], one, [])
                                       for u, v in both])
    if op == 'Div':
        dims, both = broadcast(x, ins[1])
        if not ins[1].constant():
            raise NotCertifiable('a divisor that is no constant')
        return Rows('weighted', dims, [([(one, u)], v, []) for u, v in both])
    if op == 'MatMul':
        return matmul(x, ins[1])
    if op == 'Gemm':
        u = transpose(x, [1, 0]) if a.get('transA') else x
        w = transpose(ins[1], [1, 0]) if a.get('transB') else ins[1]
        y = matmul(u, w, F(a.get('alpha', 1.0)))
        if len(ins) > 2 and ins[2]:
            beta = F(a.get('beta', 1.0))
            add_constants(y, y.dims, Array(ins[2].dims, [
                beta * v if isinstance(v, F) else v for v in ins[2].v]))
        return y
    if op in ('Conv', 'ConvTranspose'):
        if not ins[1].constant():
            raise NotCertifiable('a kernel that is no constant')
        y = (window if op == 'Conv' else transposed_window)(x, ins[1], a)
        if len(ins) > 2 and ins[2]:
            b = Array([len(ins[2].v)] + [1] * (len(y.dims) - 2), ins[2].v)
            add_constants(y, y.dims, b)
        return y
    if op == 'Resize':
        how = a.get('coordinate_transformation_mode'), a.get('nearest_mode')
        if how not in ((None, None), ('asymmetric', 'floor')) or \
                set(a) - {'coordinate_transformation_mode', 'nearest_mode'}:
            raise NotCertifiable('not understood')
        n = [F(v, d) for v, d in zip(ints(3), x.dims)] \
            if len(ins) > 3 else ins[2].v
        if any(v.denominator > 1 or v < 1 for v in n):
            raise NotCertifiable('not a whole number of times')
        dims = [int(d * v) for d, v in zip(x.dims, n)]
        return Rows('unit', dims, [
            ([(one, x.v[at(x.dims, [j // int(v) for j, v in zip(i, n)])])],
             one, []) for i in indexes(dims)], True)
    if op == 'AveragePool':
        return window(x, None, a)
    if op == 'GlobalAveragePool':
        return window(x, None, {'kernel_shape': x.dims[2:]})
    if op in ('ReduceSum', 'ReduceMean'):
        if 'axes' in a and ints(1) is not None:
            raise NotCertifiable('axes in two places')
        axes = a.get('axes') or ints(1)
        if not axes:
            if a.get('noop_with_empty_axes'):
                raise NotCertifiable('not understood')
            axes = list(range(len(x.dims)))
        axes = [k % len(x.dims) for k in axes]
        kept = [1 if i in axes else d for i, d in enumerate(x.dims)]
        rows = [([], one, []) for _ in range(prod(kept))]
        for i in indexes(x.dims):
            j = at(kept, [0 if d in axes else j for d, j in enumerate(i)])
            rows[j][0].append((one, x.v[at(x.dims, i)]))
        if op == 'ReduceMean':
            rows = [(t, F(len(t)), []) for t, _, _ in rows]
        if not a.get('keepdims', 1):
            kept = [d for i, d in enumerate(kept) if i not in axes]
        return Rows('unit' if op == 'ReduceSum' else 'weighted', kept, rows)
    raise NotCertifiable('%s is not understood' % op)


def windows(x, a):
    """The elements inside the input of every window of a MaxPool."""
    s, kernel = len(x.dims) - 2, a['kernel_shape']
    strides = a.get('strides', [1] * s)
    dil = a.get('dilations', [1] * s)
    pads = a.get('pads', [0] * 2 * s)
    if a.get('auto_pad', 'NOTSET') != 'NOTSET' or a.get('ceil_mode', 0):
        raise NotCertifiable('not understood')
    dims = x.dims[:2] + [
        (x.dims[d + 2] + pads[d] + pads[d + s] - (kernel[d] - 1) * dil[d] -
         1) // strides[d] + 1 for d in range(s)]
    out = []
    for i in indexes(dims):
        all_ = [[i[d + 2] * strides[d] + k[d] * dil[d] - pads[d]
                 for d in range(s)] for k in indexes(kernel)]
        out.append([x.v[at(x.dims, list(i[:2]) + pos)] for pos in all_
                    if all(0 <= p < n for p, n in zip(pos, x.dims[2:]))])
    return dims, out


def maxima(dims, lists, node):
    one = F(1)
    if not all(lists):
        raise NotCertifiable('a window in the padding')
    while max(map(len, lists)) > 1:
        pairs = [(p, q) for w in lists for p, q in zip(w[::2], w[1::2])]
        d = node(Rows('unit', [len(pairs)],
                      [([(one, p), (-one, q)], one, []) for p, q in pairs],
                      True))
        r = iter(node(rectified(d)).v)
        rows = []
        for w in lists:
            rows += [([(one, q), (one, next(r))], one, []) for q in w[1::2]]
            if len(w) % 2:
                rows.append(([(one, w[-1])], one, []))
        new = iter(node(Rows('unit', [len(rows)], rows, True)).v)
        lists = [[next(new) for _ in range((len(w) + 1) // 2)]
                 for w in lists]
    return Array(dims, [w[0] for w in lists])


def rectified(x, kind='relu'):
    return Rows(kind, x.dims, [([(F(1), v)], F(1), []) for v in x.v])


def stretched(x, w, b):
    return Rows('weighted', x.dims, [([(F(w), v)], F(1), [F(b)] if b else [])
                                     for v in x.v])


def total(kind, a, wa, b, wb, exact=False):
    dims, both = broadcast(a, b)
    return Rows(kind, dims, [([(wa, u), (wb, v)], F(1), [])
                             for u, v in both], exact)


def extreme(op, a, b, node):
    one = F(1)
    r = node(rectified(node(total('unit', a, one, b, -one, True))))
    return node(total('unit', b, one, r, one, True) if op == 'Max'
                else total('unit', a, one, r, -one, True))


def hold(x, node, kinds=('hold', 'reciprocal')):
    """An array whose variables have bounds."""
    if x.constant():
        return x
    if any(isinstance(v, F) for v in x.v):
        raise NotCertifiable('a constant in a factor')
    of = {v[0] for v in x.v}
    if len(of) == 1 and node.kind(list(of)[0]) in kinds:
        return x
    once = list(dict.fromkeys(x.v))
    held = node(Rows('hold', [len(once)],
                     [([(F(1), v)], F(1), []) for v in once]))
    where = dict(zip(once, held.v))
    return Array(x.dims, [where[v] for v in x.v])


def times(a, b, node):
    """The product of two arrays, neither of which is constant."""
    dims, both = broadcast(a, b)
    if not any(isinstance(u, tuple) and isinstance(v, tuple)
               for u, v in both):
        return node(Rows('weighted', dims, [([pair(u, v)], F(1), [])
                                            for u, v in both]))
    x = hold(Array(dims, [u for u, _ in both]), node)
    y = x if all(u == v for u, v in both) else \
        hold(Array(dims, [v for _, v in both]), node)
    return node(Rows('product', dims, [([(F(1), u), (F(1), v)], F(1), [])
                                       for u, v in zip(x.v, y.v)]))


def curves(op, ins, ints, node):
    """Mul, Div and Pow, if they make several nodes; or None."""
    x, y = ins[:2]
    if op == 'Pow':
        if len(y.v) != 1 or y.v[0] not in (F(2), F(3)) or \
                len(y.dims) > len(x.dims):
            raise NotCertifiable('an exponent')
        if x.constant():
            return Array(x.dims, [v ** int(y.v[0]) for v in x.v])
        x = hold(x, node)
        s = times(x, x, node)
        return s if y.v[0] == 2 else times(x, s, node)
    if y.constant() or (op == 'Mul' and x.constant()):
        return None
    if op == 'Mul':
        return times(x, y, node)
    held = hold(y, node, ('hold',))
    r = node(Rows('reciprocal', y.dims, [([(F(1), v)], F(1), [])
                                         for v in held.v]))
    return times(x, r, node)


def exponential(x, node):
    if x.constant():
        raise NotCertifiable('an exponential of a constant')
    held = hold(x, node, ('hold',))
    return node(Rows('exponential', x.dims, [([(F(1), v)], F(1), [])
                                             for v in held.v]))


def softmax(x, axis, node):
    axis, one = axis % len(x.dims), F(1)
    size = x.dims[axis]
    others = []
    for i in indexes(x.dims):
        place = lambda k: at(x.dims, i[:axis] + (k,) + i[axis + 1:])
        others.append([place(k) for k in range(size) if k != i[axis]])
    if size < 2 or x.constant():
        raise NotCertifiable('not understood')
    d = node(Rows('unit', [len(x.v) * (size - 1)], [
        ([(one, x.v[k]), (-one, x.v[i])], one, [])
        for i, group in enumerate(others) for k in group]))
    e = exponential(d, node)
    n = size - 1
    s = node(Rows('unit', x.dims, [
        ([(one, v) for v in e.v[i * n:(i + 1) * n]], one, [one])
        for i in range(len(x.v))]))
    return node(Rows('reciprocal', x.dims, [
        ([(one, v)], one, []) for v in hold(s, node, ('hold',)).v]))


def pieces(op, ins, a, ints, n_out, node):
    """The operators that make several nodes, or one; node(rows) makes it."""
    x = ins[0]
    if op in ('Max', 'Min'):
        for y in ins[1:]:
            x = extreme(op, x, y, node)
        return x
    if op == 'Clip':
        for i, end in ((1, 'Max'), (2, 'Min')):
            if len(ins) > i and ins[i]:
                if not ins[i].constant() or len(ins[i].v) != 1 or \
                        len(ins[i].dims) > len(x.dims):
                    raise NotCertifiable('a bound')
                x = extreme(end, x, ins[i], node)
        return x
    if op == 'Abs':
        r = node(rectified(x))
        return node(Rows('unit', x.dims, [
            ([(F(1), u), (F(1), u), (F(-1), v)], F(1), [])
            for u, v in zip(r.v, x.v)], True))
    if op == 'Exp':
        return exponential(x, node)
    if op == 'Softmax':
        return softmax(x, a.get('axis', -1), node)
    if op in ('Sin', 'Cos', 'Erf', 'Gelu'):
        kind = {'Sin': 'sine', 'Cos': 'cosine'}.get(op, op.lower())
        if 'approximate' in a:
            raise NotCertifiable('approximate')
        return node(stretched(node(rectified(x, kind)), 2, -1))
    if op == 'Tanh':
        t = node(stretched(x, 2, 0))
        return node(stretched(node(rectified(t, 'sigmoid')), 2, -1))
    if op in ('LeakyRelu', 'PRelu'):
        slope = ins[1] if op == 'PRelu' else \
            Array([], [F(a.get('alpha', struct.unpack('f', struct.pack(
                'f', 0.01))[0]))])
        if not slope.constant():
            raise NotCertifiable('a slope')
        dims, both = broadcast(x, slope)
        if dims != x.dims:
            raise NotCertifiable('a slope')
        r = node(rectified(x))
        return node(Rows('weighted', dims, [
            ([(s, v), (1 - s, u)], F(1), [])
            for u, (v, s) in zip(r.v, both)]))
    if op in ('MaxPool', 'GlobalMaxPool'):
        if n_out > 1:
            raise NotCertifiable('the second output')
        if op == 'GlobalMaxPool':
            a = {'kernel_shape': x.dims[2:]}
        return maxima(*windows(x, a), node)
    if op == 'MatMul':
        return node(matmul(x, ins[1], F(1), node))
    if op == 'BatchNormalization':
        if a.get('training_mode', 0) or not all(v.constant()
                                                for v in ins[1:]):
            raise NotCertifiable('not understood')
        dims = x.dims[1:2] + [1] * (len(x.dims) - 2)
        by_channel = [[v for _, v in broadcast(
            Array(x.dims, [F(0)] * len(x.v)), Array(dims, p.v))[1]]
                      for p in ins[1:]]
        gamma, beta, mean, var = by_channel
        eps = F(a.get('epsilon', struct.unpack('f', struct.pack('f', 1e-5))[0]))
        t = node(Rows('unit', x.dims, [([(F(1), v)], F(1), [-m])
                                       for v, m in zip(x.v, mean)]))
        return node(Rows('root', x.dims, [
            ([(g, v)], w + eps, [b])
            for g, v, w, b in zip(gamma, t.v, var, beta)]))
    if op in ('Mul', 'Div', 'Pow'):
        y = curves(op, ins, ints, node)
        if y:
            return y
    return node(compute(op, ins, a, ints))


def walk(model, x, make):
    """Run the operators on x, the elements of all inputs; make(rows) gives
    the elements of a node. Returns the elements of all outputs."""
    env, x = {}, list(x)
    for name, dtype, dims, tensor in model.values:
        if tensor:
            t, d, data = model.tensors[tensor - 1]
            v = struct.unpack('<%d%s' % (len(data) // SIZE[t], PACK[t]), data)
            try:
                env[name] = Array(d, [F(i) for i in v])
            except (OverflowError, ValueError):
                raise NotCertifiable('a constant is not finite')
    for name, dims in inputs(model):
        n = prod(dims)
        env[name], x = Array(dims, x[:n]), x[n:]
    for op, ins, outs, attrs in model.nodes:
        a = [env[i] if i else None for i in ins]
        ints = lambda i: [int(v) for v in a[i].v] \
            if len(a) > i and a[i] else None
        y = move(op, a, attrs, ints, len(outs))
        if y is None:
            node = lambda rows: Array(rows.dims, make(rows))
            node.kind = getattr(make, 'kind', None)
            y = [pieces(op, a, attrs, ints, len([o for o in outs if o]),
                        node)]
        for name, v in zip(outs, y):
            env[name] = v
    return [v for i in model.outputs for v in env[model.values[i][0]].v]


def inputs(model):
    """Names and dimensions; free ones are 1."""
    return [(name, [1 if d == -1 else d for d in dims])
            for name, _, dims, _ in (model.values[i] for i in model.inputs)]


def evaluate(model, x):
    """The outputs at x, in exact fractions, operator by operator."""
    def make(rows):
        y = [sum((w * v for w, v in terms), F(0)) / d + sum(added)
             for terms, d, added in rows.rows]
        if rows.kind in SMOOTH + ('root', 'exponential'):
            raise NotCertifiable('no exact value')
        return [max(F(0), v) for v in y] if rows.kind == 'relu' else y
    return walk(model, [F(v) for v in x], make)


# ---- nodes and integer weights --------------------------------------------

def dyadic(v):
    """m, e of v = m 2^e, m odd or 0."""
    m, e = v.numerator, 1 - v.denominator.bit_length()
    if v.denominator & (v.denominator - 1):
        raise NotCertifiable('not dyadic')
    while m and m % 2 == 0:
        m, e = m // 2, e + 1
    return (m, e) if m else (0, 0)


def in_range(v, n):
    m, e = dyadic(v)
    if abs(m) >= 2 ** n or not -1000 <= e <= 900:
        raise NotCertifiable('%s is out of range' % v)
    return m, e


def clog2(n):
    i = 0
    while 2 ** i < n:
        i += 1
    return i


def nearest_root(square, positive, s):
    v = (isqrt(floor(4 * square * F(4) ** s)) + 1) // 2
    return v if positive else -v


class Node:
    """terms[i] are pairs (w / d, variable), w / d an exact fraction; quant
    holds W' instead. For nodes of neurons terms[i] is [(1, v_i)]."""

    def __init__(self, kind, n):
        self.root = kind == 'root'
        self.kind, self.n = 'weighted' if self.root else kind, n
        self.squares = []       # of a root node: w^2 / d and the sign of w
        self.terms, self.b = [[] for _ in range(n)], [F(0)] * n
        self.top = 0            # E
        self.scale = 0          # s
        self.bq, self.bscale = None, 0
        self.quant = self.terms
        self.exact, self.covered = False, True      # under ieee32

    def sources(self):
        return sorted({v[0] for row in self.terms for _, v in row})

    def fill(self, rows):
        e_max = []
        for i, (terms, d, added) in enumerate(rows):
            if d == 0:
                raise NotCertifiable('a divisor 0')
            m_d, e_d = in_range(d, 53)
            if not F(1, 2 ** 50) <= abs(d) < 2 ** 50:
                self.covered = False
            parts = []
            for w, v in terms:
                if isinstance(v, F):
                    m, _ = dyadic(w * v)
                    if m % m_d:
                        raise NotCertifiable('a constant that is divided')
                    parts.append(w * v / d)
                elif w:
                    if abs(w) >= 2 ** 50:
                        self.covered = False
                    m, e = in_range(w, 32 if self.root else 53)
                    if self.root:
                        if m_d <= 0:
                            raise NotCertifiable('a root')
                        e_max.append(abs(m).bit_length() + e -
                                     (m_d.bit_length() - 1 + e_d) // 2)
                        self.terms[i].append(((w * w / d, w > 0), v))
                        continue
                    e += abs(m).bit_length() - e_d
                    if abs(m_d) != 1:
                        e += 1 - abs(m_d).bit_length()
                    e_max.append(e)
                    self.terms[i].append((w / d, v))
            for p in parts + added:
                if p and self.b[i]:
                    self.covered = False
                in_range(p, 100)
                self.b[i] += p
                in_range(self.b[i], 100)
            named = [v for _, v in self.terms[i]]
            if self.kind in NEURONS and not named:
                raise NotCertifiable('Relu or Sigmoid of a constant')
            if self.kind == 'hold' and len(named) != 1:
                raise NotCertifiable('a constant is held')
            if self.kind == 'weighted' and len(set(named)) < len(named):
                raise NotCertifiable('a variable twice in a row')
        self.top = max(e_max) if e_max else 0
        if self.top > 50:
            self.covered = False

    def longest(self):
        return max((len(row) for row in self.terms), default=0)

    def quantise(self, readers):
        """readers: for each node, how many nodes have it as a source."""
        named = {}
        for row in self.terms:
            for _, v in row:
                named[v] = named.get(v, 0) + 1
        c = max(named.values(), default=1)
        f = max((readers[s] for s in self.sources()), default=1)
        room = 36 - clog2(c) - clog2(f)
        if room < (16 if self.kind in CURVED + ('weighted',) else 0):
            raise NotCertifiable('no room')
        self.k = min(30, room)
        half = lambda v, s: floor(v * F(2) ** s + F(1, 2))
        if self.root:
            self.scale = min(30, room) - self.top
            self.quant = [[(nearest_root(*w, self.scale), v) for w, v in row]
                          for row in self.terms]
        elif self.kind == 'weighted':
            self.scale = min(30, room) - self.top
            self.quant = [[(half(w, self.scale), v) for w, v in row]
                          for row in self.terms]
        else:
            self.quant = [[(int(w), v) for w, v in row]
                          for row in self.terms]
        if any(self.b):
            top, e = max(abs(v) for v in self.b), -1100
            while F(2) ** e <= top:
                e += 1
            self.bscale = 30 - e
            self.bq = [half(v, self.bscale) for v in self.b]


SUMS = 'unit', 'weighted'


def roundings(nodes, readers):
    """r_k of all nodes, or NotCertifiable."""
    length, r = [1] * len(nodes), [0] * len(nodes)
    for k, node in enumerate(nodes):
        if node.kind not in ('input', 'relu', 'sigmoid') + SUMS or not node.covered:
            raise NotCertifiable('not under ieee32')
        if node.kind not in SUMS or node.exact:
            continue
        below = max((length[s] for s in node.sources()), default=1)
        n = node.longest()
        if node.kind == 'weighted':
            length[k] = n + 3 if n > 1 else below + (7 if node.root else 4)
        elif n <= 1:
            length[k] = below + 1
        r[k] = length[k]
        if node.kind == 'unit' and n > 1:
            r[k] = 1 + max(sum(length[s] for _, (s, _) in row)
                           for row in node.terms)
        if r[k] >= 2 ** 20:
            raise NotCertifiable('too many roundings')
    out = list(r)
    for node in nodes[:-1]:
        if node.kind == 'unit' and node.longest() <= 1 and not node.exact:
            for s in node.sources():
                if readers[s] == 1 and r[s] == length[s]:
                    out[s] = 0
    return out


def check_types(model):
    """Under ieee32: inputs, and constants of operators, are float32."""
    named = {name: (dtype, tensor) for name, dtype, _, tensor in model.values}
    used = {i for _, ins, _, _ in model.nodes for i in ins if i}
    for i in model.inputs:
        if model.values[i][1] != 1:
            raise NotCertifiable('an input that is not float32')
    for name in used:
        tensor = named[name][1]
        if tensor and model.tensors[tensor - 1][0] in (10, 11, 16):
            raise NotCertifiable('a constant that is not float32')
    for op, _, _, a in model.nodes:
        if op == 'Gemm' and (a.get('alpha', 1) != 1 or a.get('beta', 1) != 1):
            raise NotCertifiable('alpha or beta')


class Net:
    def __init__(self, model, ieee=False):
        n = sum(prod(dims) for _, dims in inputs(model))
        self.nodes = [Node('input', n)]

        def make(rows):
            node = Node(rows.kind, len(rows.rows))
            node.fill(rows.rows)
            node.exact = rows.exact
            self.nodes.append(node)
            k = len(self.nodes) - 1
            return [(k, i) for i in range(node.n)]
        make.kind = lambda k: self.nodes[k].kind
        out = walk(model, [(0, i) for i in range(n)], make)
        make(Rows('unit', [len(out)], [([(F(1), v)], F(1), [])
                                       for v in out]))
        readers = [0] * len(self.nodes)
        for node in self.nodes:
            for s in node.sources():
                readers[s] += 1
        for node in self.nodes[1:]:
            node.quantise(readers)
        self.ieee = ieee
        if ieee:
            check_types(model)
            self.roundings = roundings(self.nodes, readers)
        self.n = [node.n for node in self.nodes]
        self.relus = [k for k, node in enumerate(self.nodes)
                      if node.kind in NEURONS]
        # The neurons, as they are numbered in a certificate.
        self.neurons = [(k, j) for k in self.relus for j in range(self.n[k])]

    def values(self, x):
        """The exact values of all variables at x."""
        y = [[F(v) for v in x]]
        for node in self.nodes[1:]:
            if node.kind == 'product':
                y.append([y[s][i] * y[t][j] for (_, (s, i)), (_, (t, j))
                          in node.terms])
                continue
            z = [sum((w * y[s][j] for w, (s, j) in row), b)
                 for row, b in zip(node.terms, node.b)]
            if node.kind == 'reciprocal':
                z = [1 / v for v in z]
            y.append([max(F(0), v) for v in z] if node.kind == 'relu' else z)
        return y
