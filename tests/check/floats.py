"""Executions in binary32 against the bounds of semantics ieee32: networks with
random numbers are computed in all the ways that ax-cert(5), EXECUTIONS, allows
(orders, fused multiply-adds, fused operators, subnormals taken for 0), at
random points and corners, and no output may leave the bounds of reference.py.
Those of semantics real are left again and again, or this shows nothing.
Prints TAP.

Usage: floats.py [NETWORKS [EXECUTIONS [SEED]]]"""
import math
import random
import struct
import sys
from fractions import Fraction as F

import reference as R
from container import Model
from network import NotCertifiable, prod

rnd = random.Random()


def f32(v):
    """A number of type Fraction, rounded to nearest, halves to even."""
    if not v:
        return 0.0
    e = abs(v.numerator).bit_length() - v.denominator.bit_length()
    e += abs(v) >= F(2) ** (e + 1)
    e -= abs(v) < F(2) ** e
    unit = F(2) ** max(e - 23, -149)
    return float(round(v / unit) * unit)


def single(v):
    """A double to the nearest float32; sums, products, quotients and roots of
    two of these are not rounded twice, 53 bits being enough."""
    return struct.unpack('f', struct.pack('f', v))[0]


class Machine:
    """One way to compute: what it flushes, fuses, and in what order."""

    def __init__(self):
        r = rnd.random
        self.flush, self.fma = r() < .5, rnd.choice([0, .5, 1])
        self.fuse = rnd.choice([0, .5, 1])
        self.order = rnd.choice(['random', 'row', 'signs', 'pairs', 'size'])
        self.up = r() < .5      # a library's error, and to where

    def small(self, v):
        return 0.0 if self.flush and abs(v) < 2.0 ** -126 and \
            rnd.random() < .8 else v

    def op(self, v):
        return self.small(single(v))

    def times(self, a, b):
        return self.op(self.small(a) * self.small(b))

    def plus(self, a, b):
        return self.op(self.small(a) + self.small(b))

    def over(self, a, b):
        if rnd.random() < .5:
            return self.times(a, self.op(1.0 / b))
        return self.op(self.small(a) / self.small(b))

    def join(self, a, b):
        """Numbers, or products of two that are not rounded yet."""
        if isinstance(a, tuple) and isinstance(b, tuple):
            a = self.times(*a)
        if isinstance(a, tuple):
            a, b = b, a
        if not isinstance(b, tuple):
            return self.plus(a, b)
        if rnd.random() >= self.fma:
            return self.plus(a, self.times(*b))
        w, x = map(self.small, b)
        return self.small(f32(F(w) * F(x) + F(self.small(a))))

    def total(self, leaves):
        """The sum of products (w, x)."""
        some = [x if w == 1 else (w, x) for w, x in leaves]
        rnd.shuffle(some)
        value = lambda v: v[0] * v[1] if isinstance(v, tuple) else v
        if self.order == 'signs':
            some.sort(key=lambda v: value(v) < 0)
        elif self.order == 'size':
            some.sort(key=lambda v: abs(value(v)), reverse=self.up)
        while len(some) > 1:
            if self.order == 'pairs':
                some = [self.join(*some[i:i + 2]) if i + 1 < len(some) else
                        some[i] for i in range(0, len(some), 2)]
            elif self.order == 'random':
                some.append(self.join(some.pop(rnd.randrange(len(some))),
                                      some.pop(rnd.randrange(len(some)))))
            else:
                some[:2] = [self.join(some[0], some[1])]
        v = some[0] if some else 0.0
        return self.times(*v) if isinstance(v, tuple) else v


class Sum:
    """A sum that is not computed yet: leaves (w, x)."""

    def __init__(self, leaves, folded=False):
        self.leaves, self.folded = leaves, folded


def run(net, x, m):
    """The outputs of a network, a list of steps (op, inputs, output,
    constants), on one machine."""
    readers = {}
    for _, ins, _, _ in net.steps:
        for i in ins:
            readers[i] = readers.get(i, 0) + 1
    env = {'x': list(x)}

    def value(name):
        env[name] = [m.total(v.leaves) if isinstance(v, Sum) else v
                     for v in env[name]]
        return env[name]

    def keep(name, kind=None):
        """As it is, if it may be fused with its only reader."""
        fuse = readers[name] == 1 and rnd.random() < m.fuse
        if not fuse or not isinstance(env[name][0], Sum):
            value(name)
        return env[name]

    leaves = lambda v: v.leaves if isinstance(v, Sum) else [(1.0, v)]
    for op, ins, out, c in net.steps:
        if op == 'MatMul':
            v, n = value(ins[0]), net.width
            env[out] = [Sum([(c[k * n + j], v[i * n + k]) for k in range(n)
                             if c[k * n + j]])
                        for i in range(len(v) // n) for j in range(n)]
        elif op in ('Add', 'Sub') and c:
            sign = 1.0 if op == 'Add' else -1.0
            env[out] = [Sum(v.leaves + [(1.0, sign * b)], v.folded)
                        if isinstance(v, Sum) else m.plus(v, sign * b)
                        for v, b in zip(keep(ins[0]), c)]
        elif op in ('Add', 'Sub'):
            sign = 1.0 if op == 'Add' else -1.0
            env[out] = [m.total(leaves(a) + [(sign * w, v)
                                             for w, v in leaves(b)])
                        for a, b in zip(keep(ins[0]), keep(ins[1]))]
        elif op in ('Mul', 'Div'):
            env[out] = []
            for v, k in zip(keep(ins[0]), c):
                scale = (lambda w: m.times(w, k)) if op == 'Mul' else \
                    (lambda w: m.over(w, k))
                if isinstance(v, Sum) and v.folded:
                    v = m.total(v.leaves)
                if isinstance(v, Sum):
                    v = Sum([(scale(w), y) for w, y in v.leaves], True)
                    env[out].append(v)
                else:
                    env[out].append(scale(v))
        elif op == 'BatchNormalization':
            env[out] = []
            for j, v in enumerate(keep(ins[0])):
                g, b, mean, var = (p[j // net.width] for p in c)
                root = m.op(math.sqrt(m.plus(var, single(1e-5))))
                f = m.over(g, root)
                if isinstance(v, Sum) and v.folded:
                    v = m.total(v.leaves)
                if isinstance(v, Sum):
                    v = Sum([(m.times(w, f), y) for w, y in v.leaves] +
                            [(m.times(-mean, f), 1.0), (1.0, b)], True)
                    env[out].append(v)
                elif rnd.random() < .5:
                    env[out].append(m.plus(m.times(v, f), m.plus(
                        b, -m.times(mean, f))))
                else:
                    v = m.over(m.times(m.plus(v, -mean), g), root)
                    env[out].append(m.plus(v, b))
        elif op == 'Relu':
            env[out] = [m.small(max(0.0, v)) for v in value(ins[0])]
        elif op == 'Max':
            env[out] = [m.small(max(a, b)) for a, b in
                        zip(value(ins[0]), value(ins[1]))]
        elif op == 'Abs':
            env[out] = [m.small(abs(v)) for v in value(ins[0])]
        elif op == 'LeakyRelu':
            env[out] = [v if v > 0 else m.times(single(.01), v)
                        for v in value(ins[0])]
        elif op in ('Sigmoid', 'Tanh'):
            off = 2.0 ** (-21 if op == 'Sigmoid' else -20) * .9
            f = (lambda v: 1 / (1 + math.exp(-max(-80, min(80, v))))) \
                if op == 'Sigmoid' else math.tanh
            low = 0.0 if op == 'Sigmoid' else -2.0
            env[out] = [single(min(max(f(v) + (off if m.up else -off), low),
                                   1.0 - low))
                        for v in value(ins[0])]
        elif op == 'ReduceSum':
            v, n = keep(ins[0]), net.width
            env[out] = [m.total(sum((leaves(u) for u in v[i:i + n]), []))
                        for i in range(0, len(v), n) for _ in range(n)]
    return value(net.steps[-1][2])


def number(scale):
    return single(rnd.choice([rnd.gauss(0, scale), rnd.uniform(-2, 2) * scale,
                              rnd.choice([-1, 1]) * scale,
                              scale * (1 + 2.0 ** -12)]))


class Net:
    """A random chain of operators on a matrix [1, n, width]."""

    def __init__(self):
        self.rows, self.width = rnd.randint(1, 2), rnd.randint(2, 5)
        n = self.rows * self.width
        self.model, self.steps = Model(), []
        self.model.input('x', [1, self.rows, self.width])
        last = before = 'x'
        scale = rnd.choice([1, 1, 1, 30, 2.0 ** -9, 2.0 ** 12])
        for i in range(rnd.randint(1, 7)):
            op, out = rnd.choice(
                ['MatMul'] * 4 + ['Bias', 'Bias', 'Relu', 'Relu', 'Skip',
                 'Mul', 'Div', 'BatchNormalization', 'Max', 'Abs', 'LeakyRelu',
                 'Sigmoid', 'Tanh', 'ReduceSum', 'Twice']), 't%d' % i
            ins, dims, c = [last], [1, self.rows, self.width], []
            if op == 'MatMul':
                dims = [self.width, self.width]
            if op in ('Bias', 'Mul', 'Div', 'MatMul'):
                c = [number(scale) for _ in range(prod(dims))]
                if op == 'MatMul' and rnd.random() < .5:    # cancellation
                    w = self.width
                    c[:w] = [-v for v in c[w:2 * w]]
            if op == 'Div':
                c = [v if abs(v) > 2.0 ** -10 else .3 for v in c]
            if op == 'Bias':
                op = rnd.choice(['Add', 'Sub'])
            if op in ('Skip', 'Twice', 'Max'):
                ins = [last, before if op != 'Twice' else last]
                op = 'Max' if op == 'Max' else rnd.choice(['Add', 'Sub'])
            names = list(ins)
            if op == 'BatchNormalization':
                c = [[number(1) for _ in range(self.rows)] for _ in range(4)]
                c[3] = [abs(v) + single(.01) for v in c[3]]
                c[3] = [single(v) for v in c[3]]
                for k, v in enumerate(c):
                    self.model.const('c%d%d' % (i, k), [self.rows], v)
                    names.append('c%d%d' % (i, k))
            elif c:
                self.model.const('c%d' % i, dims, c)
                names.append('c%d' % i)
            if op == 'ReduceSum':       # and back to the shape, without a sum
                self.model.const('a%d' % i, [1], [2], 7)
                self.model.node(op, [last, 'a%d' % i], ['s%d' % i],
                                keepdims=1)
                self.model.node('Concat', ['s%d' % i] * self.width, [out],
                                axis=2)
            else:
                self.model.node(op, names, [out])
            self.steps.append((op, ins, out, c))
            before, last = rnd.choice([before, last]), out
        self.model.output(last)
        self.n = n


def bounds(net, box, ieee):
    """Lower and upper bounds of all outputs."""
    text = ''.join('(declare-const X_%d Real)(assert (>= X_%d %s))'
                   '(assert (<= X_%d %s))' % (i, i, exact(a), i, exact(b))
                   for i, (a, b) in enumerate(box))
    text += ''.join('(declare-const Y_%d Real)' % j for j in range(net.n))
    text += '(assert (or %s))' % ' '.join(
        '(<= Y_%d 0) (>= Y_%d 0)' % (j, j) for j in range(net.n))
    lowered = R.Net(net.model, ieee)
    group = R.read_property(text.encode(), net.n, net.n)[0]
    b = R.Box(lowered, group)
    R.box_bounds(lowered, b)
    c = [F(R.property_row(lowered, b, 0, rows[0]).c.v, 2 ** 64)
         for rows, _ in group.conj]
    return c[::2], [-v for v in c[1::2]]


def exact(v):
    v, k = F(v), 0
    while (v * 10 ** k).denominator != 1:
        k += 1
    return '%s%se-%d' % ('-' if v < 0 else '', abs(v * 10 ** k), k)


def trial(executions):
    """How many executions left the bounds, and those over the reals; and
    how much of the error that is allowed for was seen."""
    net = Net()
    width = rnd.choice([0, 0, 2.0 ** -20, .01, .5])
    size = rnd.choice([1, 1, 100, 2.0 ** -130])
    at = [single(rnd.uniform(-1, 1) * size) for _ in range(net.n)]
    box = [(v, single(v + width * size)) for v in at]
    low, up = bounds(net, box, True)
    real_low, real_up = bounds(net, box, False)
    out = beyond = 0
    for _ in range(executions):
        x = [rnd.choice([a, b, single(rnd.uniform(a, b))]) for a, b in box]
        y = [F(v) for v in run(net, x, Machine())]
        out += any(not a <= v <= b for a, v, b in zip(low, y, up))
        beyond += any(not a <= v <= b for a, v, b in
                      zip(real_low, y, real_up))
    return out, beyond, net


def main(networks=150, executions=40, seed=20261124):
    rnd.seed(int(seed))
    tried = left = beyond = refused = 0
    while tried < int(networks):
        try:
            a, b, net = trial(int(executions))
        except (R.Reject, NotCertifiable):
            refused += 1
            continue
        tried += 1
        left += a > 0
        beyond += b > 0
        if a:
            print('# %d executions out of bounds: %r' % (a, net.steps))
    print('# %d networks, of %d the floats leave the bounds over the reals; '
          '%d more not certifiable' % (tried, beyond, refused))
    print('%sok 1 - no execution leaves the bounds under ieee32' %
          ('not ' if left else ''))
    print('%sok 2 - executions leave those over the reals' %
          ('not ' if beyond * 5 < tried else ''))
    print('1..2')
    return left > 0


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:]))
