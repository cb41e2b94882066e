"""Networks of one operator, with random shapes, attributes and constants, one
property each: ax-check accepts what is one unit of 2^-64 below the bound that
reference.py computes, and not the bound itself. Prints TAP.

Usage: operators.py PATH/ax-check [CASES [SEED]]"""
import os
import random
import subprocess
import sys
import tempfile
from fractions import Fraction as F

import reference as R
from container import Model, container, identity, sha
from network import NotCertifiable, prod
from vnnlib import BadProperty

rnd = random.Random(20261123)


class Case:
    """A model with input x of shape dims; constants get names of their own."""

    def __init__(self, dims):
        self.m, self.dims, self.attrs, self.ins = Model(), dims, {}, ['x']
        self.m.input('x', dims)

    def const(self, dims, numbers=None, dtype=1):
        name = 'k%d' % len(self.m.tensors)
        some = [0., .5, -1., 2., .75, -.125, 3.]
        self.m.const(name, dims, numbers or
                     [rnd.choice(some) for _ in range(prod(dims))], dtype)
        return name

    def ints(self, *v):
        return self.const([len(v)], list(v), 7)

    def maybe(self, **attrs):
        for k, v in attrs.items():
            if rnd.random() < .5:
                self.attrs[k] = v


def sizes(n, most=3):
    return [rnd.randint(1, most) for _ in range(n)]


def spatial(op):
    s = rnd.randint(1, 2)
    group = rnd.choice([1, 1, 2])
    c = Case([rnd.randint(1, 2), 2 * group] + [rnd.randint(3, 5)] * s)
    if op.startswith('Global'):
        return c
    kernel = sizes(s, 2)
    c.maybe(strides=sizes(s, 2), dilations=sizes(s, 2))
    if max(kernel) > 1:
        c.maybe(pads=[rnd.randint(0, 1) for _ in range(2 * s)])
    if op == 'ConvTranspose':
        c.attrs['group'] = group
        c.maybe(kernel_shape=kernel,
                output_padding=[rnd.randint(0, 1) for _ in range(s)])
        share = rnd.randint(1, 2)
        c.ins.append(c.const([c.dims[1], share] + kernel))
        if rnd.random() < .5:
            c.ins.append(c.const([group * share]))
        return c
    if op == 'Conv':
        c.attrs['group'] = group
        c.maybe(kernel_shape=kernel)
        out = group * rnd.randint(1, 2)
        c.ins.append(c.const([out, 2] + kernel))
        if rnd.random() < .5:
            c.ins.append(c.const([out]))
        return c
    c.attrs['kernel_shape'] = kernel
    if op == 'AveragePool':
        c.maybe(count_include_pad=1)
    return c


def repeated(dims):
    """A shape that broadcasts to dims."""
    return [rnd.choice([1, n]) for n in dims[rnd.randrange(len(dims)):]]


def pair(op):
    c = Case(sizes(rnd.randint(1, 3)))
    numbers = [1., 2., 3., -.5, -5.]
    dims = repeated(c.dims)
    k = c.const(dims, [rnd.choice(numbers) for _ in range(prod(dims))])
    c.ins = ['x', k] if op in ('Div', 'PRelu') or rnd.random() < .7 else \
        [k, 'x']
    return c


def curved(op):
    """Of two variables, one of which may be the other."""
    c = Case(sizes(rnd.randint(1, 3)))
    dims = repeated(c.dims)
    if op == 'Pow':
        c.ins.append(c.const(rnd.choice([[], [1]]), [rnd.choice([2., 3.])]))
        return c
    if op == 'BatchNormalization':
        c = Case(sizes(rnd.randint(2, 4)))
        n = [c.dims[1]]
        c.ins += [c.const(n), c.const(n), c.const(n),
                  c.const(n, [rnd.choice([0., .25, 3., 1e4])
                              for _ in range(n[0])])]
        c.maybe(epsilon=.125, momentum=.5)
        return c
    if op == 'MatMul':
        d = sizes(rnd.randint(1, 3))
        c = Case(d)
        n = len(d)
        c.m.node('Transpose', ['x'], ['t'],
                 perm=list(range(n - 2)) + [n - 1, n - 2][:n][-min(n, 2):]
                 if n > 1 else [0])
        c.ins.append('t')
        return c
    more = [3., 1.5, 40.] if op == 'Div' else [-1., 1., .5]
    c.m.node('Add', ['x', c.const(dims, [rnd.choice(more)
                                         for _ in range(prod(dims))])], ['a'])
    c.m.node('ReduceMean', ['a'], ['b'],
             axes=[rnd.randrange(len(c.dims))])
    first = rnd.choice(['x', 'a', 'b'] + ['k'] * (op == 'Div'))
    c.ins = [c.const(dims) if first == 'k' else first, rnd.choice('ab')]
    if rnd.random() < .3:
        c.m.node('Mul', ['a', 'b'], ['c'])
        c.ins[0] = 'c'
    return c


def exponential(op):
    """Of small and large arguments."""
    c = Case([rnd.randint(2, 3) for _ in range(rnd.randint(1, 3))])
    c.m.node('Mul', ['x', c.const(repeated(c.dims), None)], ['a'])
    c.m.node('Add', ['a', c.const(repeated(c.dims), None)], ['b'])
    c.ins = [rnd.choice('xb')]
    if rnd.random() < .2:
        c.m.node('Mul', ['b', c.const([], [rnd.choice([3., 9., -20.])])],
                 ['e'])
        c.ins = ['e']
    if op == 'Softmax':
        c.maybe(axis=rnd.randrange(-len(c.dims), len(c.dims)))
    return c


def single(op):
    c = Case(sizes(rnd.randint(1, 3)))
    if op == 'LeakyRelu':
        c.maybe(alpha=.25)
    if op == 'Clip':
        c.ins += ['', c.const([])] if rnd.random() < .5 else [c.const([])]
    return c


def matmul(_):
    d = sizes(rnd.randint(1, 3))
    c = Case(d)
    dims = rnd.choice([[d[-1]], [d[-1], 2], [1, d[-1], 2],
                       d[:-2] + [d[-1], 2]])
    if rnd.random() < .3:
        rows = d[-2] if len(d) > 1 else d[-1]
        c.ins = [c.const(rnd.choice([[rows], [2, rows]])), 'x']
    else:
        c.ins.append(c.const(dims))
    return c


def gemm(_):
    c = Case(sizes(2))
    c.maybe(transA=1, transB=1, alpha=.5, beta=-2.)
    rows, k = c.dims[::-1] if 'transA' in c.attrs else c.dims
    c.ins.append(c.const([2, k] if 'transB' in c.attrs else [k, 2]))
    if rnd.random() < .6:
        c.ins.append(c.const(rnd.choice([[], [2], [1, 2], [rows, 1]])))
    return c


def reduced(_):
    c = Case(sizes(rnd.randint(1, 3)))
    axes = rnd.sample(range(len(c.dims)), rnd.randint(1, len(c.dims)))
    axes = [a - rnd.choice([0, len(c.dims)]) for a in axes]
    if rnd.random() < .5:
        c.maybe(axes=axes)
    else:
        c.ins.append(c.ints(*axes))
    c.maybe(keepdims=rnd.randint(0, 1))
    return c


def moved(op):
    c = Case([rnd.randint(2, 3) for _ in range(rnd.randint(1, 3))])
    n, a = len(c.dims), rnd.randrange(len(c.dims))
    size = c.dims[a]
    if op == 'Transpose':
        c.maybe(perm=rnd.sample(range(n), n))
    elif op == 'Slice':
        first, last, step = rnd.choice([
            (0, 2 ** 40, 1), (-1, -2 ** 40, -1), (1, size, 1), (0, -1, 1),
            (-1, 0, -1), (0, size, 2), (size - 1, -9, -2)])
        c.ins += [c.ints(first), c.ints(last), c.ints(a - rnd.choice([0, n])),
                  c.ints(step)]
    elif op == 'Split':
        c.attrs['axis'] = a
        c.ins.append(c.ints(1, size - 1))
    elif op == 'Gather':
        c.attrs['axis'] = a - rnd.choice([0, n])
        dims = rnd.choice([[], [2], [1, 2]])
        c.ins.append(c.const(dims, [rnd.randint(-size, size - 1)
                                    for _ in range(prod(dims))], 7))
    elif op == 'Pad':
        c.ins.append(c.ints(*[rnd.choice([0, 1, 2, -1])
                              for _ in range(2 * n)]))
        if rnd.random() < .5:
            c.ins.append(c.const([]))
    elif op == 'Concat':
        c.attrs['axis'] = a - rnd.choice([0, n])
        c.ins = ['x', c.const(c.dims[:a] + [1] + c.dims[a + 1:]), 'x']
    elif op == 'Flatten':
        c.maybe(axis=rnd.randint(-n, n))
    elif op == 'Reshape':
        c.ins.append(c.ints(*rnd.choice([[-1], [0, -1], [-1, c.dims[-1]]])))
    elif op == 'Resize':
        times = sizes(n)
        if rnd.random() < .5:
            c.ins += ['', c.const([n], [float(v) for v in times])]
        else:
            c.ins += ['', '', c.ints(*[v * d for v, d in
                                       zip(times, c.dims)])]
        if rnd.random() < .5:
            c.attrs = {'coordinate_transformation_mode': 'asymmetric',
                       'nearest_mode': 'floor'}
    elif op == 'Unsqueeze':
        c.ins.append(c.ints(*rnd.choice([[0], [-1], [0, -1]])))
    return c


def shaped(_):
    """What the graph computes of shapes, used to reshape and expand."""
    c = Case(sizes(rnd.randint(2, 3)))
    c.m.node('Shape', ['x'], ['s'])
    c.m.node('Gather', ['s', c.const([1], [0], 7)], ['n'])
    c.m.node('Concat', ['n', c.ints(-1)], ['t'], axis=0)
    c.m.node('Reshape', ['x', 't'], ['a'])
    c.m.node('ConstantOfShape', ['s'], ['o'])
    c.m.node('Reshape', ['o', 't'], ['p'])
    c.m.node('Add', ['a', 'p'], ['q'])
    c.ins = ['q']
    return c


def chain(_):
    """Several, so that sums flow into others: roundings are counted on."""
    c = Case([1, rnd.randint(2, 3), rnd.choice([2, 3])])
    r, last, before = rnd.random, 'x', 'x'
    for i in range(rnd.randint(2, 7)):
        new = 't%d' % i
        op = rnd.choice(['Add', 'Sub', 'MatMul', 'Skip', 'Twice', 'Relu',
                         'Mul', 'Div', 'BatchNormalization', 'Max', 'Abs',
                         'ReduceSum', 'LeakyRelu', 'Sigmoid', 'Neg'])
        if op in ('Add', 'Sub', 'Mul', 'Div', 'Max'):
            ins = [last, c.const([1] if r() < .5 else c.dims)]
            if r() < .3 and op != 'Div':
                ins.reverse()
        elif op == 'MatMul':
            ins = [last, c.const([c.dims[-1]] * 2)]
        elif op in ('Skip', 'Twice'):
            ins = [before if op == 'Skip' else last, last]
            op = rnd.choice(['Add', 'Sub'])
        elif op == 'BatchNormalization':
            n = c.dims[1]
            ins = [last] + [c.const([n]) for _ in range(3)] + [c.const(
                [n], [rnd.choice([.25, 1., 3.]) for _ in range(n)])]
        else:
            ins = [last]
        if op == 'ReduceSum':
            c.m.node(op, [last, c.ints(rnd.choice([1, 2]))], ['r%d' % i])
            op, ins = 'Add', ['r%d' % i, last]
        c.m.node(op, ins, [new])
        before, last = rnd.choice([before, last]), new
    c.ins = [last]
    return c


makers = ((spatial, 'Conv ConvTranspose AveragePool MaxPool GlobalAveragePool '
           'GlobalMaxPool'), (pair, 'Add Sub Mul Div Max Min PRelu'),
          (curved, 'Mul Div Pow MatMul BatchNormalization'),
          (exponential, 'Exp Softmax'), (shaped, 'Shape'),
          (chain, 'Chain'),
          (single, 'Clip Abs LeakyRelu Neg Relu Sigmoid Tanh Sin Cos Erf Gelu'),
          (matmul, 'MatMul'), (gemm, 'Gemm'),
          (reduced, 'ReduceSum ReduceMean'),
          (moved, 'Transpose Slice Split Gather Pad Concat Flatten Reshape '
           'Unsqueeze Resize'))


def decimal(v):
    k = 0
    while (v * 10 ** k).denominator != 1:
        k += 1
    return '%se-%d' % (v * 10 ** k, k)


def accepted(check, path, model, text, ieee):
    payload = b'AXCT\2' + bytes([1 + ieee]) + b'\0\0' + \
        identity(model.stream()) + sha(text) + b'\1\0'
    with open(path, 'wb') as f:
        f.write(container(model.stream(), [('property', 'p', text),
                                           ('certificate', '', payload)]))
    r = subprocess.run([check, path], capture_output=True)
    return r.returncode, (r.stdout + r.stderr).decode()


def wrong(check, path, model, ieee):
    """What ax-check says wrongly, or None."""
    net = R.Net(model)
    if ieee:
        try:
            net = R.Net(model, True)
        except R.NotCertifiable:
            ieee = 2
    n_x, n_y = net.n[0], net.n[-1]
    start = ''.join('(declare-const X_%d Real)(assert (>= X_%d %s))'
                    '(assert (<= X_%d %s))' %
                    (i, i, rnd.choice(['-1', '-.5', '.25']), i,
                     rnd.choice(['.5', '1.5', '2'])) for i in range(n_x))
    start += ''.join('(declare-const Y_%d Real)' % i for i in range(n_y))
    row = ' '.join('(* %d Y_%d)' % (rnd.randint(1, 9), j) for j in range(n_y))
    make = lambda d: ('%s(assert (<= (+ %s) %s))' %
                      (start, row, decimal(F(d, 2 ** 64)))).encode()
    if ieee == 2:
        code, said = accepted(check, path, model, make(-2 ** 99), 1)
        return None if code == 65 and 'under ieee32' in said else \
            'exit %d: %s, though it is not covered by ieee32' % (code, said)
    group = R.read_property(make(0), n_x, n_y)[0]
    box = R.Box(net, group)
    try:
        R.box_bounds(net, box)
    except R.Reject as e:
        code, said = accepted(check, path, model, make(0), ieee)
        return None if code == 1 else 'exit %d, not 1 (%s): %s' % (code, e,
                                                                   said)
    c = R.property_row(net, box, 0, group.conj[0][0][0]).c.v
    for d, want in ((c - 1, 0), (c, 1)):
        code, said = accepted(check, path, model, make(d), ieee)
        if code != want:
            return 'exit %d, not %d: %s' % (code, want, said)


def random_model(maker, op):
    c = maker(op)
    out = ['y', 'z'] if op == 'Split' else ['y']
    c.m.node('Identity' if op in ('Shape', 'Chain') else op, c.ins, out, **c.attrs)
    c.m.output(rnd.choice(out))
    c.m.canonical()
    return c.m


def main(check, cases=30, seed=20261123):
    cases = int(cases)
    rnd.seed(int(seed))
    path = os.path.join(tempfile.mkdtemp(), 'm.axm')
    count = failed = 0
    for maker, ops in makers:
        for op in ops.split():
            bad, made = [], 0
            while made < cases:
                m = random_model(maker, op)
                try:
                    said = wrong(check, path, m, made % 2)
                except (NotCertifiable, IndexError, BadProperty):
                    continue            # nothing is left, or only padding
                made += 1
                if said:
                    bad.append('%s\n# %r %r' % (said, m.nodes, m.values))
            count += 1
            failed += bool(bad)
            print('%sok %d - %s' % ('not ' if bad else '', count, op))
            for b in bad[:1]:
                print('# ' + b)
    print('1..%d' % count)
    return failed != 0


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:]))
