"""Makes the fixtures of tests/check/fixtures: containers with a certificate
or counterexample, and what ax-check must say of them. Every pair NAME-yes,
NAME-no differs by one unit of 2^-64 in a threshold, on either side of the
bound that reference.py computes: ax-check must compute the same integer. What
it leaves undecided is NAME-open.

With a second folder, the samples of tests/fuzz/check.c go there.

Usage: gen.py FOLDER [CORPUS]"""
import os
import random
import struct
import sys
from fractions import Fraction as F

import reference as R
from container import Model, container, identity, sha, varint

out_dir = sys.argv[1]
rnd = random.Random(20261123)
names = []


def dec(v):
    """A number as a decimal, exactly."""
    v, s, k = F(v), '', 0
    if v < 0:
        s, v = '-', -v
    while (v * 10 ** k).denominator != 1:
        k += 1
    t = str(int(v * 10 ** k)).rjust(k + 1, '0')
    return s + (t[:-k] + '.' + t[-k:] if k else t)


def weight(scale=1.0):
    return struct.unpack('f', struct.pack('f', rnd.gauss(0, scale)))[0]


def weights(n, scale=1.0):
    return [0.0 if rnd.random() < .1 else weight(scale) for _ in range(n)]


corpus = {'mlp0-yes', 'residual1-yes', 'op-conv-yes', 'tree1-yes', 'neurons0-yes',
          'ieee-sums-yes', 'ieee-neurons-yes', 'ieee-sigmoid-yes',
          'conjunctions-yes', 'op-gather-yes', 'op-reduce-yes',
          'cex-tie-yes', 'cex0yes-yes'}


def sample(name, what, data):
    if len(sys.argv) > 2:
        with open(os.path.join(sys.argv[2], name), 'wb') as f:
            f.write(what + data)


def write(name, model, text, kind, payload):
    if name in corpus:
        part = lambda b: struct.pack('<I', len(b)) + b
        what = b'x' if kind[1] == 'o' else b't'
        sample(name, b'i' if payload[5] == 2 else what, part(model.stream()) +
               part(text) + payload[72:])
    data = container(model.stream(), [('property', 'p.vnnlib', text),
                                      (kind, '', payload)])
    with open(os.path.join(out_dir, name + '.axm'), 'wb') as f:
        f.write(data)
    if name in ('mlp1-yes', 'cex-tie-no'):
        sample(name, b'c', data)
    names.append(name)


def head(magic, model, text, ieee=False):
    version = b'\2' if magic == b'AXCT' else b'\1'
    return magic + version + bytes([1 + ieee]) + b'\0\0' + \
        identity(model.stream()) + sha(text)


def certificate(model, text, trees, ieee=False):
    """One tree for each group."""
    return head(b'AXCT', model, text, ieee) + varint(len(trees)) + \
        b''.join(trees)


def declare(n_x, n_y):
    return ''.join('(declare-const X_%d Real)\n' % i for i in range(n_x)) + \
        ''.join('(declare-const Y_%d Real)\n' % i for i in range(n_y))


def box(bounds):
    return ''.join('(assert (>= X_%d %s))\n(assert (<= X_%d %s))\n' %
                   (i, a, i, b) for i, (a, b) in enumerate(bounds))


def random_box(n):
    out = []
    for _ in range(n):
        c, w = rnd.uniform(-1, 1), rnd.uniform(.05, .6)
        out.append(('%.4f' % (c - w), '%.3g' % (c + w)))
    return out


def linear(n_x, n_y, use_x):
    terms = ['(* %d Y_%d)' % (rnd.randint(-9, 9), j) for j in range(n_y)]
    if n_y == 1:
        terms = ['(* 1 Y_0)']
    if use_x:
        terms += ['(* %.2f X_%d)' % (rnd.uniform(-3, 3), j)
                  for j in range(n_x)]
    return '(+ %s)' % ' '.join(terms)


def verdict(model, text, payload):
    return R.check(model, identity(model.stream()), text, payload)


def tight_root(name, model, use_x=False, ieee=False):
    """One box, one row; the threshold at C of that row."""
    model.canonical()
    net = R.Net(model, ieee)
    n_x, n_y = net.n[0], net.n[-1]
    start = declare(n_x, n_y) + box(random_box(n_x))
    row = linear(n_x, n_y, use_x)
    make = lambda d: (start + '(assert (<= %s %s))\n' % (row, dec(d))).encode()
    g = R.read_property(make(0), n_x, n_y)[0]
    b = R.Box(net, g)
    R.box_bounds(net, b)
    r = g.conj[0][0][0]
    # Rows are multiplied by a power of ten.
    factor = R.read_property(make(1), n_x, n_y)[0].conj[0][0][0].d
    c = R.property_row(net, b, 0, r).c.v
    for yes, d in ((True, c - 1), (False, c)):
        text = make(F(d, 2 ** 64) / factor)
        payload = certificate(model, text, [b'\0'], ieee)
        reason = verdict(model, text, payload)
        assert (reason is None) == yes, (name, reason)
        write('%s-%s' % (name, 'yes' if yes else 'no'), model, text,
              'certificate', payload)


def tight_tree(name, model, make, groups, ieee=False):
    """The largest threshold d 2^-64 at which the tree is accepted."""
    def ok(d):
        text = make(F(d, 2 ** 64))
        return verdict(model, text,
                       certificate(model, text, groups, ieee)) is None
    lo, step = -2 ** 76, 2 ** 76
    assert ok(lo), name
    while step:
        if ok(lo + step):
            lo += step
        step //= 2
    tries = 0
    while ok(lo + 1):
        lo, tries = lo + 1, tries + 1
        assert tries < 20, name
    for yes, d in ((True, lo), (False, lo + 1)):
        text = make(F(d, 2 ** 64))
        write('%s-%s' % (name, 'yes' if yes else 'no'), model, text,
              'certificate', certificate(model, text, groups, ieee))


def unstable(net, text, signs=(), tables=None):
    """Numbers of the neurons that are unstable in the root box of a property,
    with the signs of some assumed and all bounds computed anew."""
    box = R.Box(net, R.read_property(text, net.n[0], net.n[-1])[0])
    box.tables = dict(tables or {})
    R.box_bounds(net, box)
    for n, status in signs:
        k, j = net.neurons[n]
        box.status[k][j] = status
        box.fresh = False
    R.box_bounds(net, box)
    return [n for n, (k, j) in enumerate(net.neurons)
            if box.status[k][j] == 'unstable']


def neuron_tree(model, make):
    """Slopes for rows of neurons and for the property's, then two neurons are
    split, the second one with new bounds, and an input below; with
    multipliers."""
    net = R.Net(model)
    text = make(F(0))
    row = 2 * len(net.neurons)
    some = lambda n: bytes(rnd.choice([255, rnd.randrange(129)])
                           for _ in range(n))
    codes = lambda n: b''.join(struct.pack('<H', rnd.choice(
        [0, rnd.randrange(18, 24) * 2048 + rnd.randrange(2048)]))
        for _ in range(n))
    # All neurons are unstable before there are bounds.
    tree, tables = b'', {}
    for t in range(0, row, 3):
        k, j = net.neurons[t // 2]
        before = [m for m in net.neurons if m[0] < k]
        tables[k, j, t % 2] = table = some(len(before))
        tree += varint(8 * t + 6) + table
        tables[k, j, t % 2] = dict(zip(before, table))
    first = unstable(net, text, (), tables)
    tree += varint(8 * row + 6) + some(len(first))
    if not first:
        return tree + b'\0'
    n = first[0]
    tree += varint(8 * n + 3) + b'\5' + codes(1)
    rest = first[1:]
    if not rest:
        return tree + b'\5' + codes(1)
    again = unstable(net, text, [(n, 'inactive'), (rest[0], 'active')],
                     tables)
    tree += varint(8 * rest[0] + 4)
    if again:
        tree += varint(8 * row + 6) + some(len(again))
    # The first half is split at an input, the second is a leaf.
    return tree + varint(1) + b'\5' + codes(2) + b'\0' + b'\5' + codes(2)


def mlp(sizes, scale=1.0, bias=True):
    m = Model()
    m.input('x', [1, sizes[0]])
    cur = 'x'
    for k, (a, b) in enumerate(zip(sizes, sizes[1:])):
        m.const('w%d' % k, [a, b], weights(a * b, scale))
        m.const('b%d' % k, [b], weights(b) if bias else [0.0] * b)
        m.node('MatMul', [cur, 'w%d' % k], ['m%d' % k])
        m.node('Add', ['m%d' % k, 'b%d' % k], ['z%d' % k])
        cur = 'z%d' % k
        if k + 2 < len(sizes):
            m.node('Relu', [cur], ['a%d' % k])
            cur = 'a%d' % k
    m.output(cur)
    return m


def residual():
    m = Model()
    m.input('x', [1, 3])
    for k, (a, b) in enumerate([(3, 4), (4, 4), (4, 2)]):
        m.const('w%d' % k, [b, a], weights(a * b, [.01, 30., 1.][k]))
        m.const('b%d' % k, [b], weights(b))
    m.const('s', [3, 4], weights(12, .001))
    m.node('Gemm', ['x', 'w0', 'b0'], ['z0'], transB=1)
    m.node('Relu', ['z0'], ['a0'])
    m.node('Gemm', ['a0', 'w1', 'b1'], ['z1'], transB=1, alpha=0.5, beta=2.0)
    m.node('MatMul', ['x', 's'], ['skip'])
    m.node('Add', ['z1', 'a0'], ['r'])
    m.node('Add', ['r', 'skip'], ['r2'])
    m.node('Relu', ['r2'], ['a1'])
    m.node('Gemm', ['a1', 'w2', 'b2'], ['y0'], transB=1)
    m.node('Sub', ['a0', 'a1'], ['d'])
    m.const('t', [4, 2], weights(8))
    m.node('MatMul', ['d', 't'], ['y1'])
    m.node('Add', ['y0', 'y1'], ['y'])
    m.output('y')
    return m


def ending(m, cur, n):
    """Relu, one number out, so that every element matters."""
    m.node('Relu', [cur], ['act'])
    m.const('flat', [2], [1, -1], 7)
    m.node('Reshape', ['act', 'flat'], ['vec'])
    m.const('last', [n, 1], weights(n))
    m.node('MatMul', ['vec', 'last'], ['y'])
    m.output('y')
    return m


def soup(kind):
    m = Model()
    i64 = lambda name, v: m.const(name, [len(v)], v, 7)
    if kind.startswith('conv1d'):
        m.input('x', [-1, 2, 5])
        m.const('w', [4, 1, 2], weights(8))
        m.const('b', [4], weights(4))
        m.node('Conv', ['x', 'w', 'b'], ['z'], group=2, strides=[2],
               pads=[1, 2], dilations=[2], kernel_shape=[2])
        return ending(m, 'z', 4 * 3)
    m.input('x', [-1, 2, 3, 2])
    if kind == 'conv':
        m.const('w', [3, 2, 2, 2], weights(24))
        m.node('Conv', ['x', 'w'], ['z'], pads=[0, 1, 1, 0])
        return ending(m, 'z', 18)
    if kind == 'transposed':    # and a dimension without a stride
        m.const('w', [2, 2, 2, 3], weights(24))
        m.const('b', [4], weights(4))
        m.node('ConvTranspose', ['x', 'w', 'b'], ['z'], group=2,
               strides=[2, 1], pads=[1, 0, 0, 1], output_padding=[1, 0],
               dilations=[1, 2])
        return ending(m, 'z', 4 * 6 * 5)
    if kind == 'resize':
        m.const('n', [4], [1.0, 1.0, 2.0, 3.0])
        m.node('Resize', ['x', '', 'n'], ['z'], nearest_mode='floor',
               coordinate_transformation_mode='asymmetric')
        return ending(m, 'z', 72)
    if kind == 'pool':
        m.node('AveragePool', ['x'], ['z'], kernel_shape=[2, 2],
               pads=[1, 0, 0, 0], count_include_pad=1)
        return ending(m, 'z', 6)
    if kind == 'mean':          # padding is left out: 1, 2 or 4 elements
        m.node('AveragePool', ['x'], ['z'], kernel_shape=[2, 2],
               pads=[1, 1, 0, 0])
        return ending(m, 'z', 12)
    if kind == 'thirds':
        m.const('c', [3, 1], [0.1, -3.0, 7.0])
        m.node('Div', ['x', 'c'], ['d'])
        m.node('GlobalAveragePool', ['d'], ['g'])
        m.node('Sub', ['d', 'g'], ['z'])
        return ending(m, 'z', 12)
    if kind == 'linear2':       # no Relu between
        m.const('w', [2, 4], weights(8))
        m.const('v', [4, 2], weights(8))
        m.node('MatMul', ['x', 'w'], ['a'])
        m.node('MatMul', ['a', 'v'], ['z'])
        return ending(m, 'z', 12)
    if kind == 'input':
        m.node('Relu', ['x'], ['r'])
        m.node('Add', ['r', 'x'], ['z'])
        return ending(m, 'z', 12)
    if kind == 'transpose':
        m.node('Transpose', ['x'], ['t'], perm=[0, 2, 3, 1])
        m.const('c', [2], weights(2))
        m.node('Mul', ['t', 'c'], ['z'])
        return ending(m, 'z', 12)
    if kind == 'elementwise':
        m.const('c', [3, 1], weights(3))
        m.const('two', [1], [-0.125])
        m.node('Sub', ['c', 'x'], ['a'])
        m.node('Div', ['a', 'two'], ['d'])
        m.node('Neg', ['d'], ['z'])
        return ending(m, 'z', 12)
    if kind == 'slice':
        i64('s', [-1, 0])
        i64('e', [-1000, 2 ** 62])
        i64('ax', [2, 3])
        i64('st', [-2, 1])
        m.node('Slice', ['x', 's', 'e', 'ax', 'st'], ['z'])
        return ending(m, 'z', 8)
    if kind == 'split':
        i64('n', [2, 1])
        m.node('Split', ['x', 'n'], ['p', 'q'], axis=2)
        m.node('Concat', ['q', 'p', 'q'], ['z'], axis=-2)
        return ending(m, 'z', 16)
    if kind == 'gather':
        m.const('i', [2, 2], [2, -3, 1, 0], 7)
        m.node('Gather', ['x', 'i'], ['z'], axis=2)
        return ending(m, 'z', 16)
    if kind == 'pad':
        i64('p', [0, 0, 1, -1, 0, 1, 0, 2])
        m.node('Pad', ['x', 'p'], ['q'])
        m.const('c', [1], [0.25])
        m.node('Add', ['q', 'c'], ['z'])
        return ending(m, 'z', 3 * 4 * 3)
    if kind == 'reduce':
        i64('ax', [1])
        m.node('ReduceSum', ['x', 'ax'], ['a'], keepdims=0)
        m.node('ReduceMean', ['a'], ['z'], axes=[-1])
        return ending(m, 'z', 3)
    if kind == 'squeeze':
        i64('ax', [0])
        i64('bx', [1, 3])
        m.node('Squeeze', ['x', 'ax'], ['a'])
        m.node('Unsqueeze', ['a', 'bx'], ['b'])
        m.node('Identity', ['b'], ['c'])
        m.node('Dropout', ['c'], ['z'])
        return ending(m, 'z', 12)
    if kind == 'batch':
        m.const('w', [2, 2, 4], weights(16))
        i64('n', [0, 2, -1, 2])
        m.node('Reshape', ['x', 'n'], ['a'])
        m.node('MatMul', ['a', 'w'], ['z'])
        return ending(m, 'z', 24)
    if kind == 'left':
        m.const('w', [3], weights(3))
        m.node('MatMul', ['w', 'x'], ['z'])
        return ending(m, 'z', 4)
    # Linear in pieces.
    if kind == 'max':
        m.node('Neg', ['x'], ['n'])
        m.const('c', [3, 1], weights(3))
        m.node('Max', ['x', 'c', 'n'], ['z'])
        return ending(m, 'z', 12)
    if kind == 'min':
        m.const('c', [3, 1], weights(3))
        m.node('Min', ['c', 'x'], ['z'])
        return ending(m, 'z', 12)
    if kind == 'clip':
        m.const('lo', [], [-0.3])
        m.const('hi', [1], [0.4])
        m.node('Clip', ['x', 'lo', 'hi'], ['z'])
        return ending(m, 'z', 12)
    if kind == 'clip-above':
        m.const('hi', [], [0.4])
        m.node('Clip', ['x', '', 'hi'], ['z'])
        return ending(m, 'z', 12)
    if kind == 'abs':
        m.const('c', [3, 1], weights(3))
        m.node('Add', ['x', 'c'], ['a'])
        m.node('Abs', ['a'], ['z'])
        return ending(m, 'z', 12)
    if kind == 'leaky':
        m.node('LeakyRelu', ['x'], ['a'])
        m.node('LeakyRelu', ['a'], ['z'], alpha=-1.75)
        return ending(m, 'z', 12)
    if kind == 'prelu':
        m.const('s', [2, 1, 2], [0.25, 0.0, 1.0, -0.3])
        m.node('PRelu', ['x', 's'], ['z'])
        return ending(m, 'z', 12)
    if kind == 'maxpool':       # lists of 1, 2 or 4
        m.node('MaxPool', ['x'], ['z'], kernel_shape=[2, 2],
               pads=[1, 1, 0, 0])
        return ending(m, 'z', 12)
    if kind == 'maxpool3':      # of 3 and 6, a constant border
        i64('p', [0, 0, 0, 1, 0, 0, 0, 0])
        m.node('Pad', ['x', 'p'], ['q'])
        m.node('MaxPool', ['q'], ['z'], kernel_shape=[3, 2],
               strides=[1, 1], pads=[0, 0, 0, 1])
        return ending(m, 'z', 6)
    if kind == 'sigmoid':       # some of whose bounds are equal, and far out
        m.const('c', [3, 2], [0.0, 1.0, -3.0, 0.5, 1e4, 1e12])
        m.node('Mul', ['x', 'c'], ['a'])
        m.node('Sigmoid', ['a'], ['s'])
        m.const('w', [2, 2], weights(4, 4.0))
        m.node('MatMul', ['s', 'w'], ['b'])
        m.node('Sigmoid', ['b'], ['z'])
        return ending(m, 'z', 12)
    if kind == 'tanh':
        m.node('Tanh', ['x'], ['t'])
        m.const('c', [2], weights(2, 5.0))
        m.node('Add', ['t', 'c'], ['u'])
        m.node('Tanh', ['u'], ['z'])
        return ending(m, 'z', 12)
    if kind in ('sin', 'cos', 'erf', 'gelu'):   # wide, narrow and far out
        m.const('c', [3, 2], [0.0, 1.0, -3.0, 0.5, 40.0, 1e3])
        m.node('Mul', ['x', 'c'], ['a'])
        m.node(kind.capitalize(), ['a'], ['s'])
        m.const('w', [2, 2], weights(4, 2.0))
        m.node('MatMul', ['s', 'w'], ['b'])
        m.node(kind.capitalize(), ['b'], ['z'])
        return ending(m, 'z', 12)
    if kind == 'product':       # of two nodes, of one, of what is held
        m.const('w', [2, 2], weights(4))
        m.node('MatMul', ['x', 'w'], ['a'])
        m.node('GlobalAveragePool', ['a'], ['b'])
        m.node('Mul', ['b', 'a'], ['c'])
        m.node('Transpose', ['c'], ['t'], perm=[0, 2, 1, 3])
        i64('n', [0, 2, -1, 2])
        m.node('Reshape', ['t', 'n'], ['u'])
        m.node('Mul', ['u', 'c'], ['z'])
        return ending(m, 'z', 12)
    if kind == 'power':         # of what is negative, positive, and both
        m.const('c', [3, 2], [0.0, -2.0, 3.0, 1.5, -1e3, 1e3])
        m.node('Add', ['x', 'c'], ['a'])
        m.const('two', [], [2.0])
        m.const('three', [1], [3.0])
        m.node('Pow', ['a', 'two'], ['p'])
        m.node('Mul', ['a', 'a'], ['q'])
        m.node('Pow', ['a', 'three'], ['r'])
        m.node('Add', ['p', 'r'], ['s'])
        m.node('Add', ['s', 'q'], ['z'])
        return ending(m, 'z', 12)
    if kind == 'quotient':
        m.const('two', [], [2.0])
        m.const('c', [2, 1, 1], [0.5, 40.0])
        m.node('Pow', ['x', 'two'], ['p'])
        m.node('Add', ['p', 'c'], ['q'])
        m.node('Div', ['x', 'q'], ['d'])
        m.node('Div', ['c', 'q'], ['e'])
        m.node('Mul', ['d', 'e'], ['f'])
        m.node('Add', ['e', 'f'], ['z'])
        return ending(m, 'z', 12)
    if kind == 'batchnorm':
        for name in 'gbmv':
            m.const(name, [2], weights(2) if name != 'v' else [0.3, 7.0])
        m.node('BatchNormalization', ['x', 'g', 'b', 'm', 'v'], ['n'])
        m.node('Relu', ['n'], ['r'])
        m.node('BatchNormalization', ['r', 'b', 'm', 'g', 'v'], ['z'],
               epsilon=0.5, momentum=0.5)
        return ending(m, 'z', 12)
    if kind == 'attention':     # x xT x, of three matrices and of one
        m.node('Transpose', ['x'], ['t'], perm=[0, 1, 3, 2])
        m.node('MatMul', ['x', 't'], ['s'])
        m.node('Relu', ['s'], ['r'])
        m.node('MatMul', ['r', 'x'], ['z'])
        return ending(m, 'z', 12)
    if kind == 'exp':           # of little, of much, and of next to nothing
        m.const('c', [3, 2], [0.0, -3.0, 16.5, 29.0, -33.0, -90.0])
        m.const('k', [2, 1, 1], [1.0, -0.25])
        m.node('Mul', ['x', 'k'], ['s'])
        m.node('Add', ['s', 'c'], ['a'])
        m.node('Exp', ['a'], ['b'])
        m.node('Exp', ['x'], ['d'])
        m.node('Mul', ['b', 'd'], ['e'])
        m.const('tiny', [3, 1], [1.0, 2.0 ** -20, 1.0])
        m.node('Mul', ['e', 'tiny'], ['f'])
        m.node('Add', ['f', 'd'], ['z'])
        return ending(m, 'z', 12)
    if kind == 'softmax':       # attention, along two axes
        m.node('Transpose', ['x'], ['t'], perm=[0, 1, 3, 2])
        m.node('MatMul', ['x', 't'], ['s'])
        m.const('k', [], [0.5])
        m.node('Mul', ['s', 'k'], ['u'])
        m.node('Softmax', ['u'], ['p'])
        m.node('Softmax', ['x'], ['q'], axis=1)
        m.node('MatMul', ['p', 'q'], ['z'])
        return ending(m, 'z', 12)
    if kind == 'shape':         # what is computed of shapes
        m.node('Shape', ['x'], ['s'])
        i64('first', [0])
        i64('minus', [-1])
        m.node('Gather', ['s', 'first'], ['n'])
        i64('end', [2 ** 40])
        m.node('Slice', ['s', 'minus', 'end'], ['d'])
        m.node('Concat', ['n', 'minus', 'd'], ['t'], axis=0)
        m.node('Reshape', ['x', 't'], ['a'])
        m.node('Shape', ['a'], ['v'])
        m.node('ConstantOfShape', ['v'], ['o'])
        m.const('c', [2], [0.25, -0.5])
        m.node('Add', ['o', 'c'], ['p'])
        m.node('Add', ['a', 'p'], ['z'])
        return ending(m, 'z', 12)
    if kind == 'sums':          # that flow into others
        m.const('w', [2, 2, 2, 1], weights(8))
        m.const('b', [2], weights(2))
        for name in 'gemv':
            m.const(name, [2], weights(2) if name != 'v' else [0.3, 7.0])
        m.const('c', [2], weights(2))
        m.node('Conv', ['x', 'w', 'b'], ['a'], pads=[1, 0, 0, 0])
        m.node('BatchNormalization', ['a', 'g', 'e', 'm', 'v'], ['n'])
        m.node('Add', ['n', 'c'], ['s'])
        m.node('Add', ['s', 'x'], ['t'])
        m.node('Sub', ['c', 't'], ['u'])
        m.node('Relu', ['u'], ['r'])
        i64('ax', [3])
        m.node('ReduceSum', ['a', 'ax'], ['q'], keepdims=1)
        m.node('Add', ['r', 'q'], ['z'])
        return ending(m, 'z', 12)
    if kind == 'maxglobal':
        m.node('GlobalMaxPool', ['x'], ['z'])
        return ending(m, 'z', 2)
    raise ValueError(kind)


def two_inputs():
    m = Model()
    m.input('a', [1, 2])
    m.input('b', [-1, 1, 2])
    m.const('w', [2, 3], weights(6))
    m.node('MatMul', ['a', 'w'], ['p'])
    m.node('MatMul', ['b', 'w'], ['q'])
    m.node('Relu', ['p'], ['r'])
    m.node('Flatten', ['q'], ['f'])
    m.node('Relu', ['f'], ['g'])
    m.node('Add', ['r', 'g'], ['s'])
    m.output('s')
    m.output('r')
    return m


for seed in range(6):
    tight_root('mlp%d' % seed, mlp([3, 4, 4, 2], [1., .01, 100.][seed % 3],
                                   seed != 5), seed % 2 == 1)
for seed in range(4):
    tight_root('residual%d' % seed, residual(), seed % 2 == 1)
tight_root('linear', mlp([3, 2]), True)
tight_root('inputs', two_inputs(), True)
for kind in ('conv1d', 'conv', 'pool', 'transpose', 'elementwise', 'slice',
             'split', 'gather', 'pad', 'reduce', 'squeeze', 'batch', 'left',
             'mean', 'thirds', 'linear2', 'input', 'max', 'min', 'clip',
             'clip-above', 'abs', 'leaky', 'prelu', 'maxpool', 'maxpool3',
             'maxglobal', 'sigmoid', 'tanh', 'product', 'power', 'quotient',
             'batchnorm', 'attention'):
    tight_root('op-' + kind, soup(kind))

leaf = b'\0'
for seed in range(3):
    net = mlp([2, 3, 3, 1]) if seed < 2 else residual()
    n_x, n_y = (2, 1) if seed < 2 else (3, 2)
    start = declare(n_x, n_y) + box(random_box(n_x))
    rows = [linear(n_x, n_y, False), linear(n_x, n_y, True)]
    one = lambda d: (start + '(assert (<= %s %s))\n' % (
        rows[0], dec(d))).encode()
    if seed < 2:
        one = lambda d: (start + '(assert (<= Y_0 %s))\n' % dec(d)).encode()
    # Split input 0 in the middle, then input 1 a little off it.
    tree = varint(1) + leaf + varint(8 + 2) + varint(2 * 1000 + 1) + \
        leaf + leaf
    tight_tree('tree%d' % seed, net, one, [tree])
    tight_tree('neurons%d' % seed, net, one, [neuron_tree(net, one)])
net = mlp([2, 3, 3, 2])
start = declare(2, 2) + box(random_box(2))
# Two conjunctions, one of two rows; the second is refuted at the split.
both = lambda d: (start + '(assert (or (and (<= Y_0 {0}) (<= Y_1 {0})) '
                  '(<= (+ Y_0 X_1) {0})))\n'.format(dec(d))).encode()
tight_tree('conjunctions', net, both, [
    varint(1) + varint(1) + varint(1) + varint(0) + varint(0) +
    varint(0) + varint(1)])
tight_tree('leaf-clipped', net, both, [
    varint(0) + varint(2)])
tight_tree('leaf-row', net, both, [varint(0) + varint(1)])
# Two groups: a disjunction over the inputs.
groups = lambda d: (declare(2, 2) + '(assert (or (and (>= X_0 0) (<= X_0 1) '
                    '(>= X_1 -1e-1) (<= X_1 2.5e-1) (<= Y_0 {0})) (and '
                    '(= X_0 1) (>= X_1 3) (<= X_1 70) (>= {0} (- (- Y_0)))'
                    ')))\n'.format('%s' % dec(d))).encode()
short = lambda d: groups(F(round(d * 2 ** 20), 2 ** 20))
text = short(F(-10 ** 6))
for name, trees in (('groups-yes', [leaf, leaf]), ('groups-no', [leaf])):
    write(name, net, text, 'certificate', certificate(net, text, trees))
# An empty unsafe set holds; one that is not is not an empty one.
text = (start + '(assert (<= (- X_0 X_0) -1))\n').encode()
write('empty-yes', net, text, 'certificate', certificate(net, text, []))
text = (start + '(assert (<= (- X_0 X_0) 0))\n').encode()
write('everything-no', net, text, 'certificate',
      certificate(net, text, [leaf]))

rnd.seed(1)
# Counterexamples: Y = relu(x) - 1 exactly at its threshold, and others.
tie = Model()
tie.input('x', [1, 1])
tie.const('c', [1], [-1.0])
tie.node('Relu', ['x'], ['a'])
tie.node('Add', ['a', 'c'], ['y'])
tie.output('y')
for name, op, x in (('tie-yes', '>=', 1.0), ('tie-no', '>', 1.0),
                    ('outside-no', '>=', 1.0000001192092896),
                    ('below-no', '>=', 0.9999999403953552)):
    text = (declare(1, 1) + box([('0', '1')]) +
            '(assert (%s Y_0 0))\n' % op).encode()
    write('cex-' + name, tie, text, 'counterexample',
          head(b'AXCX', tie, text) + struct.pack('<If', 1, x))
    assert R.refuted(tie, text, [F(x)]) == name.endswith('yes')
for seed in range(4):
    net = mlp([3, 5, 5, 1], [1, 1e-9, 1e9, 1][seed])
    x = [struct.unpack('f', struct.pack('f', rnd.uniform(-1, 1)))[0]
         for _ in range(3)]
    y = R.evaluate(net, [F(v) for v in x])[0]
    # Just above, just below, and exactly where no enclosure tells; values
    # that are too large for it are not decided either.
    d = abs(y) / 2 ** 30
    for said, op, v in (('yes', '<=', y + d), ('no', '<', y - d),
                        ('open', '=', y)):
        text = (declare(3, 1) + box([('-1', '1')] * 3) +
                '(assert (%s Y_0 %s))\n' % (op, dec(v))).encode()
        assert R.refuted(net, text, [F(v) for v in x]) == (said != 'no')
        name = 'cex%d%s-%s' % (seed, said, 'open' if seed == 2 else said)
        write(name, net, text, 'counterexample',
              head(b'AXCX', net, text) + struct.pack('<I3f', 3, *x))
sample('property', b'p', (declare(2, 2) + """; a comment
(assert (or (and (>= X_0 -1.5e-1) (<= X_0 .25) (= (* 2 X_1) +0.5)
     (<= (+ Y_0 (* -3 Y_1) X_0) (- 7)))
    (and (>= X_0 0) (<= X_0 1) (= X_1 0.%s) (> Y_0 Y_1))))
(assert (< (- (- Y_0) (* 0.125 Y_1)) (- 3)))
""" % ('12345' * 10)).encode())
print('%d fixtures' % len(names))

# Those that came later: what is above keeps its random numbers.
for kind in ('exp', 'softmax', 'shape'):
    tight_root('op-' + kind, soup(kind))
for kind in ('sums', 'thirds', 'elementwise', 'pad', 'leaky', 'sigmoid',
             'tanh', 'maxpool', 'abs', 'clip', 'batchnorm'):
    tight_root('ieee-' + kind, soup(kind), False, True)
tight_root('ieee-inputs', two_inputs(), True, True)
tight_root('ieee-large', mlp([3, 4, 4, 2], 1e3), False, True)
net = mlp([2, 3, 3, 1])
start = declare(2, 1) + box(random_box(2))
one = lambda d: (start + '(assert (<= Y_0 %s))\n' % dec(d)).encode()
tight_tree('ieee-tree', net, one, [varint(1) + leaf + varint(8 + 2) +
                                   varint(2 * 1000 + 1) + leaf + leaf], True)
tight_tree('ieee-neurons', net, one, [neuron_tree(net, one)], True)
# What holds over the reals, but not of all that floats do: the byte alone is
# another. And the float sums that differ from the real ones.
text = one(F(0))
for kind in ('mlp', 'order'):
    if kind == 'order':
        net = Model()
        net.input('x', [1, 1])
        net.const('w', [1, 3], [2.0 ** 25, 1.0, 2.0 ** 25])
        net.const('v', [3, 1], [1.0, 1.0, -1.0])
        net.node('MatMul', ['x', 'w'], ['h'])
        net.node('Relu', ['h'], ['r'])
        net.node('MatMul', ['r', 'v'], ['y'])
        net.output('y')
        start = declare(1, 1) + box([('1', '1')])
    net.canonical()
    R_ = R.Net(net)
    g = R.read_property(one(F(0)), R_.n[0], 1)[0]
    b = R.Box(R_, g)
    R.box_bounds(R_, b)
    c = R.property_row(R_, b, 0, g.conj[0][0][0]).c.v
    text = one(F(c - 1, 2 ** 64))
    for ieee in (False, True):
        write('ieee-%s-%s' % (('as-' if ieee else 'over-reals-') + kind,
                              'no' if ieee else 'yes'), net, text,
              'certificate', certificate(net, text, [leaf], ieee))
        assert (verdict(net, text, certificate(net, text, [leaf], ieee))
                is None) == (not ieee)
# Counterexamples of floats: an execution is one, though the reals are not, and
# the other way about.
net = Model()
net.input('x', [1, 1])
net.const('w', [1, 3], [2.0 ** 25, 1.0, 2.0 ** 25])
net.const('v', [3, 1], [1.0, 1.0, -1.0])
net.const('h', [1], [2.0 ** -24])
net.node('MatMul', ['x', 'w'], ['a'])
net.node('Relu', ['a'], ['r'])
net.node('MatMul', ['r', 'v'], ['b'])
net.node('Add', ['b', 'h'], ['c'])      # 1 + 2^-24, or, rounded, 1
net.const('k', [1], [3.0])
net.node('Max', ['c', 'k'], ['y'])
net.output('c')
net.output('y')
net.canonical()
for name, op, v, x in (('yes', '<=', 1, 1.0), ('open', '>', 1, 1.0),
                       ('below-open', '<', 1, 1.0),
                       ('outside-no', '<=', 1, 2.0)):
    text = (declare(1, 2) + box([('0', '1')]) +
            '(assert (and (%s Y_0 %d) (<= Y_1 3)))\n' % (op, v)).encode()
    write('ieee-cex-' + name, net, text, 'counterexample',
          head(b'AXCX', net, text, True) + struct.pack('<If', 1, x))
    assert R.refuted(net, text, [F(x)]) == (name == 'open')
net = Model()
net.input('x', [1, 1])
net.const('h', [1], [2.0 ** -24])
net.node('Add', ['x', 'h'], ['y'])      # 1 + 2^-24 is rounded to 1
net.output('y')
net.canonical()
text = (declare(1, 1) + box([('1', '1')]) + '(assert (<= Y_0 1))\n').encode()
write('ieee-cex-float-yes', net, text, 'counterexample',
      head(b'AXCX', net, text, True) + struct.pack('<If', 1, 1.0))
for kind in ('sin', 'cos', 'erf', 'gelu', 'transposed', 'resize'):
    tight_root('op-' + kind, soup(kind))
