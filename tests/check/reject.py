#!/usr/bin/env python3
"""Every rule of axm(5) and ax-cert(5) that ax-check enforces, broken once:
the exit status and words of the reason. Prints TAP.

Usage: reject.py PATH/ax-check"""
import os
import struct
import subprocess
import sys
import tempfile

import container as C
from container import Model, frame, identity, sha, varint

check = sys.argv[1]
tmp = tempfile.mkdtemp()
count = failed = 0


def run(data, *args, stdin=None):
    path = os.path.join(tmp, 'm.axm')
    with open(path, 'wb') as f:
        f.write(data)
    r = subprocess.run([check, *args, path], capture_output=True)
    return r.returncode, (r.stdout + r.stderr).decode()


def expect(name, got, code, words):
    global count, failed
    count += 1
    ok = got[0] == code and words in got[1]
    failed += not ok
    print('%sok %d - %s' % ('' if ok else 'not ', count, name))
    if not ok:
        print('# exit %d, not %d; %r lacks %r' % (got[0], code, got[1],
                                                  words))


def net(change=None, op=None):
    """x -> relu(2 x - 1) -> y, or another graph."""
    m = Model()
    m.input('x', [1, 1])
    m.const('w', [1, 1], [2.0])
    m.const('b', [1], [-1.0])
    m.node('MatMul', ['x', 'w'], ['p'])
    m.node('Add', ['p', 'b'], ['z'])
    m.node('Relu', ['z'], ['a'])
    if op:
        op(m)
    else:
        m.output('a')
    if change:
        change(m)
    return m


TEXT = b'''(declare-const X_0 Real)
(declare-const Y_0 Real)
(assert (>= X_0 0))
(assert (<= X_0 1)) ; the box
(assert (>= Y_0 1.001))
'''


def cert(stream, text, body, magic=b'AXCT\2\1\0\0', ident=None, digest=None):
    return magic + (ident or identity(stream)) + (digest or sha(text)) + body


LEAF = b'\1\0'  # one group, one leaf


def whole(m=None, text=TEXT, body=LEAF, kind='certificate', **kw):
    s = (m or net()).stream()
    return C.container(s, [('property', 'p', text),
                           (kind, '', cert(s, text, body, **kw))])


good = whole()
expect('the untouched one', run(good), 0, 'accepted: holds, p, 1 leaves')

# ---- the container
stream = net().stream()
n = len(stream)
ident = identity(stream)
head = good[:n]
frames = []
rest = good[n:]
while rest:
    size = struct.unpack('<I', rest[4:8])[0] + 8
    frames.append(rest[:size])
    rest = rest[size:]


def table(fs):
    t = b''.join(struct.pack('<II', len(f), 0) for f in fs)
    return frame(0x184D2A5E, t + struct.pack('<IBI', len(fs), 0, 0x8F92EAB1))


def pack(fs, s=stream, end=None):
    return s + b''.join(fs) + (table(fs) if end is None else end)


fs = frames[:-1]
for cut in (0, 3, 10, 17, 60, n - 1, n, n + 7, n + 47, n + 60,
            len(good) - 1):
    expect('cut at %d' % cut, run(good[:cut]), 65, '')
expect('something after the end', run(good + b'\0'), 65, 'follows the seek')
expect('another version', run(b'AXM\2' + good[4:]), 65, 'version 1')
expect('flags', run(good[:4] + b'\1' + good[5:]), 65, 'version 1')
expect('a header beyond the limit', run(
    good[:8] + struct.pack('<Q', 67108865) + good[16:]), 65, 'too large')
expect('no identity', run(pack(fs[1:])), 65, 'no identity')
expect('a wrong identity', run(pack(
    [frame(0x184D2A51, bytes(32) + struct.pack('<Q', n))] + fs[1:])), 65,
    'identity names')
expect('a wrong length', run(pack(
    [frame(0x184D2A51, ident + struct.pack('<Q', n + 1))] + fs[1:])), 65,
    'identity names')
expect('an unknown frame', run(pack(fs + [frame(0x184D2A53, b'')])), 65,
       'unknown frame')
expect('a seek table that is not looked into', run(pack(
    fs, end=table(fs[1:]))), 0, 'accepted')
expect('an attachment of unknown kind', run(pack(
    fs + [frame(0x184D2A52, b'\2' + C.attachment(ident, 'a', '', b'')[1:])])),
    65, 'unknown kind')
expect('an attachment of another model', run(pack(
    fs + [frame(0x184D2A52, C.attachment(bytes(32), 'a', '', b''))])), 65,
    'another model')
expect('a name that spoils the line', run(pack(
    fs + [frame(0x184D2A52, C.attachment(ident, 'a', 'x\ny', b''))])), 65,
    'malformed')
expect('an attachment that is cut', run(pack(
    fs + [frame(0x184D2A52, C.attachment(ident, 'abc', '', b'')[:35])])), 65,
    'cut short')
expect('a compressed attachment that is none', run(pack(
    fs + [frame(0x184D2A52, b'\1' + bytes(40))])), 65, 'compressed')
expect('one that claims 4 GiB', run(pack(fs + [frame(
    0x184D2A52, b'\1' + bytes.fromhex('28b52ffd') + b'\xe0' +
    struct.pack('<Q', 2 ** 32 - 1) + bytes(20))])), 65, 'compressed')
expect('an unknown type is passed over', run(pack(
    fs + [frame(0x184D2A52, C.attachment(ident, 'new', '', b'x'))])), 0,
    'accepted')
expect('nothing to check', run(pack(fs[:2])), 66, 'nothing to check')
expect('its property is not there', run(pack([fs[0], fs[2]])), 66,
       'not attached')
expect('a property of another model', run(pack(
    fs[:2] + [frame(0x184D2A52, C.attachment(
        ident, 'certificate', '', cert(b'x', TEXT, LEAF)))])), 1,
    'another model')

# ---- the header, taken apart and put together


def raw(header, tensors=b'', m=None):
    h = b'AXM\1' + bytes(4) + struct.pack('<Q', len(header)) + header
    s = h + bytes(-len(h) % 64) + tensors
    return C.container(s, [('property', 'p', TEXT),
                           ('certificate', '', cert(s, TEXT, LEAF))])


size = struct.unpack('<Q', stream[8:16])[0]
header, region = stream[16:16 + size], stream[(16 + size + 63) // 64 * 64:]
expect('put together again', run(raw(header, region)), 0, 'accepted')
expect('a field that is not known', run(raw(header + b'\x28\1', region)), 65,
       'unknown field')
expect('a wrong wire type', run(raw(b'\x0a\0' + header[2:], region)), 65,
       'unknown field')
expect('fields out of order', run(raw(header[2:] + header[:2], region)), 65,
       'order')
expect('a field twice', run(raw(header[:2] + header, region)), 65, 'order')
expect('a default that is not left out', run(raw(b'\x08\0' + header[2:],
                                                 region)), 65, 'default')
expect('a long varint', run(raw(b'\x08\x81\0' + header[2:], region)), 65,
       'varint')
expect('version 2', run(raw(b'\x08\2' + header[2:], region)), 65, 'version 1')
expect('no graph', run(raw(b'\x08\1', b'')), 65, 'no graph')
expect('a tensor beyond the end', run(raw(header, region[:-1])), 65, 'cut')
expect('something after the last tensor', run(raw(header, region + b'\0')),
       65, '')
expect('padding between tensors', run(raw(
    header, region[:5] + b'\1' + region[6:])), 65, 'padding')
bad = bytearray(stream)
bad[16 + size] = 1
expect('padding after the header', run(C.container(bytes(bad), [])), 65,
       'padding')


def model_case(name, change, words, code=65, **kw):
    expect(name, run(whole(net(change), **kw)), code, words)


def tensor(i, **kw):
    def change(m):
        d, s, b = m.tensors[i]
        m.tensors[i] = (kw.get('dtype', d), kw.get('dims', s),
                        kw.get('data', b))
    return change


model_case('a tensor longer than its shape', tensor(0, data=bytes(8)),
           'do not agree')
model_case('a tensor of no type', tensor(0, dtype=8), 'do not agree')
model_case('a tensor too large', tensor(0, dims=[2 ** 63, 4]),
           'do not agree')
model_case('a rank of 9', tensor(0, dims=[1] * 9), 'out of range')


def edit(i, f):
    return lambda m: m.nodes.__setitem__(i, f(m.nodes[i]))


nodes = [('op', lambda n: ('Log',) + n[1:], 'not understood'),
         ('attribute', lambda n: n[:3] + ({'axis': 1},), 'not understood'),
         ('an empty attribute', lambda n: n[:3] + ({'': 1},),
          'not understood'),
         ('input', lambda n: (n[0], ['x'], n[2], {}), 'number of'),
         ('no input', lambda n: (n[0], ['x', ''], n[2], {}), 'not there'),
         ('output', lambda n: (n[0], n[1], n[2] + n[2], {}), 'number of'),
         ('made twice', lambda n: (n[0], n[1], ['x'], {}), 'made twice'),
         ('a constant output', lambda n: (n[0], n[1], ['b'], {}),
          'or a constant'),
         ('before it is made', lambda n: (n[0], ['a', 'w'], n[2], {}),
          'before it is made')]
for name, f, words in nodes:
    model_case('node: ' + name, edit(0, f), words)
model_case('Relu with an attribute', edit(
    2, lambda n: n[:3] + ({'alpha': 1.0},)), 'not understood')
model_case('two inputs of Relu', edit(
    2, lambda n: (n[0], ['z', 'z'], n[2], {})), 'number of')
model_case('an input of unknown rank', lambda m: m.values.__setitem__(
    0, ('x', 1, None, 0)), 'no rank')
model_case('an input of integers', lambda m: m.values.__setitem__(
    0, ('x', 7, [1, 1], 0)), 'another type')
model_case('an input that is constant', lambda m: m.inputs.__setitem__(
    0, m.names['w']), 'constant')
model_case('an index out of range', lambda m: m.outputs.append(99),
           'out of range')
model_case('an output that nothing makes', lambda m: m.outputs.append(
    m.value('lost')), 'no node makes it')
for bits, what in ((0x7f800000, 'inf'), (0x7fc00000, 'NaN')):
    model_case(what, tensor(0, data=struct.pack('<I', bits)), 'not finite')
model_case('attributes out of order', edit(
    0, lambda n: ('Gemm', ['x', 'w'], ['p'], C.Raw(transB=1, transA=1))),
    'out of order')


def product(m):
    m.node('Gemm', ['z', 'a'], ['y'])
    m.output('y')


def no_variance(m):
    m.const('v', [1], [-1.0])
    m.node('BatchNormalization', ['z', 'b', 'b', 'b', 'v'], ['y'])
    m.output('y')


def by_zero(m):
    m.const('zero', [1], [0.0])
    m.node('Div', ['a', 'zero'], ['y'])
    m.output('y')


def long_weight(m):
    m.const('c', [1, 1], [1 + 2.0 ** -52], 11)
    m.node('Gemm', ['a', 'c'], ['y'], alpha=1 + 2.0 ** -23)
    m.output('y')


def tiny(m):
    m.const('c', [1], [2.0 ** -1074], 11)
    m.node('Mul', ['a', 'c'], ['y'])
    m.output('y')


def twice(m):
    m.node('Concat', ['a', 'a'], ['c'], axis=1)
    m.const('w2', [2, 1], [1.0, 2.0])
    m.node('MatMul', ['c', 'w2'], ['y'])
    m.output('y')


def constant(m):
    m.node('Relu', ['b'], ['y'])
    m.output('y')


for name, op, words in (
        ('a product of two activations', product, 'no factor is constant'),
        ('a negative variance', no_variance, 'variance'),
        ('a division by 0', by_zero, 'divisor is 0'),
        ('a weight of 76 bits', long_weight, '53 bits'),
        ('a variable twice in a weighted row', twice, 'weighted twice'),
        ('Relu of a constant', constant, 'of a constant'),
        ('an exponent out of range', tiny, 'range of exponents')):
    expect(name, run(whole(net(op=op))), 65, words)


def one_op(name, op, ins, consts, words, **attrs):
    def f(m):
        for k, (dims, v, dtype) in consts.items():
            m.const(k, dims, v, dtype)
        m.node(op, ins, ['y'], **attrs)
        m.output('y')
    expect(op + ': ' + name, run(whole(net(op=f))), 65, words)


I = lambda *v: ([len(v)], list(v), 7)
one_op('wrong shapes', 'MatMul', ['a', 'k'], {'k': ([2, 1], [1, 1], 1)},
       'do not agree')
one_op('wrong shapes', 'Gemm', ['a', 'k'], {'k': ([2, 1], [1, 1], 1)},
       'do not agree')
one_op('C too large', 'Gemm', ['a', 'k', 'c'],
       {'k': ([1, 1], [1], 1), 'c': ([2, 1], [1, 1], 1)}, 'broadcast')
one_op('an attribute of a wrong kind', 'Gemm', ['a', 'k'],
       {'k': ([1, 1], [1], 1)}, 'wrong kind', alpha=2)
one_op('shapes', 'Add', ['k', 'j'],
       {'k': ([2], [1, 1], 1), 'j': ([3], [1, 1, 1], 1)}, 'broadcast')
one_op('the axis', 'Flatten', ['a'], {}, 'axis', axis=3)
one_op('the shape', 'Reshape', ['a', 'k'], {'k': I(2)}, 'shape')
one_op('two free', 'Reshape', ['a', 'k'], {'k': I(-1, -1)}, 'shape')
one_op('a shape of floats', 'Reshape', ['a', 'k'], {'k': ([1], [1], 1)},
       'another type')
one_op('the rank', 'Unsqueeze', ['a', 'k'], {'k': I(0, 1, 2, 3, 4, 5, 6)},
       'rank')
one_op('twice', 'Unsqueeze', ['a', 'k'], {'k': I(1, -3)}, 'twice')
one_op('perm', 'Transpose', ['a'], {}, 'lengths', perm=[0])
one_op('perm twice', 'Transpose', ['a'], {}, 'twice', perm=[0, 0])
one_op('nothing left', 'Slice', ['a', 's', 'e'], {'s': I(1), 'e': I(1)},
       'empty')
one_op('a step of 0', 'Slice', ['a', 's', 'e', 's', 's'],
       {'s': I(0), 'e': I(1)}, 'step')
one_op('lengths', 'Slice', ['a', 's', 'e'], {'s': I(0, 0), 'e': I(1)},
       'lengths')
one_op('uneven', 'Split', ['a', 's'], {'s': I(2)}, 'sizes')
one_op('the axis', 'Concat', ['a', 'a'], {}, 'axis')
one_op('the rank', 'Concat', ['a', 'k'], {'k': ([1], [1], 1)},
       'do not agree', axis=0)
one_op('an index', 'Gather', ['a', 'i'], {'i': I(1)}, 'no such axis')
one_op('not zeros', 'Pad', ['a', 'pp', 'v'],
       {'pp': I(0, 0, 0, 0), 'v': ([2], [1, 1], 1)}, 'Pad')
one_op('mode', 'Pad', ['a', 'pp'], {'pp': I(0, 0, 0, 0)}, 'not understood',
       mode='edge')
one_op('an axis', 'ReduceSum', ['a', 'k'], {'k': I(2)}, 'axis')
one_op('a constant that 3 does not divide', 'ReduceMean', ['k'],
       {'k': ([3], [1, 2, 4], 1)}, 'divided exactly')
# Shapes that another reader may take for others.
one_op('more dimensions', 'Pow', ['a', 'k'], {'k': ([1, 1, 1], [2], 1)},
       'more dimensions')
one_op('more dimensions', 'Clip', ['a', 'k'], {'k': ([1, 1, 1], [0], 1)},
       'no constant number')
one_op('axes in two places', 'ReduceSum', ['a', 'k'], {'k': I(0)},
       'given twice', axes=[1])
one_op('the rank', 'Conv', ['a', 'k'], {'k': ([1, 1], [1], 1)}, 'do not')
pic = {'x4': ([1, 3, 2, 2], [1] * 12, 1), 'k': ([2, 3, 1, 1], [1] * 6, 1)}
one_op('group', 'Conv', ['x4', 'k'], pic, 'group', group=2)
one_op('strides', 'Conv', ['x4', 'k'], pic, 'strides', strides=[0, 1])
one_op('a list', 'Conv', ['x4', 'k'], pic, 'list', strides=[1])
one_op('a bias', 'Conv', ['x4', 'k', 'b'], pic, 'bias')
one_op('another kernel', 'Conv', ['x4', 'k'], pic, 'kernel_shape',
       kernel_shape=[1, 2])
one_op('pads', 'GlobalMaxPool', ['x4'], pic, 'attributes', pads=[1, 1, 1, 1])
one_op('auto_pad', 'Conv', ['x4', 'k'], pic, 'not understood',
       auto_pad='VALID')
back = {'x4': pic['x4'], 'k': ([3, 2, 2, 2], [1] * 24, 1)}
one_op('group', 'ConvTranspose', ['x4', 'k'], back, 'group', group=2)
one_op('channels', 'ConvTranspose', ['x4', 'k'],
       {'x4': pic['x4'], 'k': ([2, 3, 1, 1], [1] * 6, 1)}, 'group')
one_op('a bias', 'ConvTranspose', ['x4', 'k', 'b'], back, 'bias')
one_op('nothing left', 'ConvTranspose', ['x4', 'k'], back, 'empty',
       pads=[2, 2, 1, 1])
one_op('strides', 'ConvTranspose', ['x4', 'k'], back, 'strides',
       strides=[0, 1])
one_op('output_shape', 'ConvTranspose', ['x4', 'k'], back, 'not understood',
       output_shape=[3, 3])
one_op('auto_pad', 'ConvTranspose', ['x4', 'k'], back, 'not understood',
       auto_pad='VALID')
one_op('a part of a scale', 'Resize', ['x4', '', 's'],
       {'x4': pic['x4'], 's': ([4], [1, 1, 1.5, 2], 1)}, 'whole number')
one_op('smaller', 'Resize', ['x4', '', '', 's'],
       {'x4': pic['x4'], 's': I(1, 3, 1, 2)}, 'whole number')
one_op('too many', 'Resize', ['x4', '', '', 's'],
       {'x4': pic['x4'], 's': I(1, 3, 2, 2, 2)}, 'sizes')
one_op('both', 'Resize', ['x4', '', 's', 't'],
       {'x4': pic['x4'], 's': ([4], [1, 1, 1, 1], 1), 't': I(1, 3, 2, 2)},
       'sizes')
one_op('a region', 'Resize', ['x4', 's', 's'],
       {'x4': pic['x4'], 's': ([4], [1, 1, 1, 1], 1)}, 'sizes')
for how in ({'nearest_mode': 'ceil'}, {'nearest_mode': 'floor'},
            {'coordinate_transformation_mode': 'asymmetric'},
            {'mode': 'linear'},
            {'nearest_mode': 'ceil',
             'coordinate_transformation_mode': 'asymmetric'}):
    one_op(' '.join(how.values()), 'Resize', ['x4', '', 's'],
           {'x4': pic['x4'], 's': ([4], [1, 1, 2, 2], 1)},
           'not understood' if 'mode' in how else
           'another text' if 'ceil' in how.values() else 'rounding', **how)
one_op('a constant that 3 does not divide', 'AveragePool', ['x4'], pic,
       'divided exactly', kernel_shape=[1, 3], pads=[0, 0, 0, 1],
       count_include_pad=1)
one_op('a window of padding', 'AveragePool', ['x4'], pic, 'divisor',
       kernel_shape=[1, 1], pads=[0, 0, 0, 1])
one_op('training', 'Dropout', ['a', 'b', 't'], {'t': ([], [1], 9)},
       'number of')



def split_back(m):
    """The first part is longer than the whole, the second makes up for it."""
    m.const('s', [2], [2, -1], 7)
    m.node('Split', ['a', 's'], ['y', 'z'], axis=1)
    m.output('y')


expect('Split: a negative size', run(whole(net(op=split_back))), 65,
       'too large')

# ---- the property


def property_case(name, text, words, code=65):
    expect('property: ' + name, run(whole(text=text)), code, words)


D = b'(declare-const X_0 Real)(declare-const Y_0 Real)'
B = D + b'(assert (>= X_0 0))(assert (<= X_0 1))'
for name, text, words in (
        ('not declared', b'(assert (<= X_0 1))', 'not declared'),
        ('one is missing', b'(declare-const X_0 Real)(assert (<= X_0 1))',
         'not all'),
        ('twice', D + b'(declare-const X_0 Real)', 'twice'),
        ('beyond the network', D + b'(declare-const X_1 Real)',
         'this network'),
        ('a leading zero', b'(declare-const X_00 Real)', 'this network'),
        ('a letter', b'(declare-const X_0a Real)', 'this network'),
        ('another name', b'(declare-const Z_0 Real)', 'this network'),
        ('another type', b'(declare-const X_0 Int)', 'Real'),
        ('another command', D + b'(check-sat)', 'assert wanted'),
        ('no parenthesis', D + b'assert', "'(' wanted"),
        ('the end', D + b'(assert (<= X_0', 'the end'),
        ('no formula', D + b'(assert (and))', "'(' wanted"),
        ('an operator', D + b'(assert (=> X_0 1))', 'comparison'),
        ('three sides', D + b'(assert (<= X_0 1 2))', "')' wanted"),
        ('a term', D + b'(assert (<= (/ X_0 2) 1))', '* wanted'),
        ('a product', B + b'(assert (<= (* X_0 Y_0) 1))', 'wants a number'),
        ('a product of numbers', B + b'(assert (<= (* 2 3) Y_0))',
         'wants a number'),
        ('a number in a sum', B + b'(assert (<= (+ X_0 Y_0 1) 1))',
         'in a sum'),
        ('a number first in a sum', B + b'(assert (<= (- 1 Y_0) 1))',
         'in a sum'),
        ('two numbers', B + b'(assert (<= 0 1))', 'two numbers'),
        ('a number', D + b'(assert (<= X_0 1.2.3))', 'no number'),
        ('no digits', D + b'(assert (<= X_0 .))', 'no number'),
        ('an exponent', D + b'(assert (<= X_0 1e))', 'no number'),
        ('a large exponent', D + b'(assert (<= X_0 1e5000))', '4096'),
        ('an endless exponent', D + b'(assert (<= X_0 1e99999999999999999))',
         '4096'),
        ('5000 digits', D + b'(assert (<= X_0 ' + b'1' * 5000 + b'))',
         '4096'),
        ('37 digits in a product', D + b'(assert (<= (* X_0 ' + b'1' * 37 +
         b') 1))', '10^-12'),
        ('13 digits behind the point', D +
         b'(assert (<= (* X_0 0.0000000000001) 1))', '10^-12'),
        ('a product that is not exact', D +
         b'(assert (<= (* 0.0000001 (* 0.0000001 X_0)) 1))', '10^-12'),
        ('a factor of nothing', D +
         b'(assert (<= (* 1000000000000 (* 0 X_0)) 1))', '10^12'),
        ('a sum that grows', D +
         b'(assert (<= (+ (* 999999999999 X_0) X_0) 1))', '10^12'),
        ('a coefficient', D + b'(assert (<= (* 67108864 X_0) 1))', '2^26'),
        ('a fine coefficient', D + b'(assert (<= (* 1.00000001 X_0) 1))',
         '2^26'),
        ('no bound', D + b'(assert (<= X_0 1))', 'two bounds'),
        ('a large bound', D + b'(assert (= X_0 17592186044416))',
         'two bounds'),
        ('no assertion', D, 'no assertion'),
        ('deep formulas', B + b'(assert ' + b'(and ' * 65 + b'(<= X_0 1)' +
         b')' * 65 + b')', '64 deep'),
        ('deep terms', B + b'(assert (<= ' + b'(- ' * 70 + b'X_0' +
         b')' * 70 + b' 1))', 'deep'),
        ('too many conjunctions', B + b'(assert (or (<= X_0 1)(<= X_0 2)))' *
         21, 'conjunctions')):
    property_case(name, text, words)
property_case('100000 assertions', B + b'(assert (<= X_0 1))' * 100000 +
              b'(assert (>= Y_0 1.001))', 'accepted', 0)
property_case('a false constant', B + b'(assert (<= 1 (- X_0 X_0)))',
              'groups', 1)
property_case('37 digits on a side', B + b'(assert (>= Y_0 1.' + b'1' * 37 +
              b'))', 'accepted', 0)


def far_down(m):
    m.const('c', [1], [-2.0 ** 30])
    for i in range(129):
        m.node('Add', ['d%d' % i if i else 'a', 'c'], ['d%d' % (i + 1)])
    m.output('d129')


# Once taken for minus infinity, which every bound is above.
expect('property: a constant below -2^62', run(whole(
    net(op=far_down), B + b'(assert (<= (* 33554431 Y_0) '
    b'-4611686018427387904))')), 1, 'not refuted')

# ---- certificates


def certificate_case(name, body, words, code=1, text=TEXT, **kw):
    expect('certificate: ' + name, run(whole(body=body, text=text, **kw)),
           code, words)


MARGIN = TEXT.replace(b'1.001', b'1.0')
TWO = B + b'(assert (or (>= Y_0 2)(and (>= Y_0 3)(<= Y_0 -1))))'
certificate_case('another magic', LEAF, 'another version', 65,
                 magic=b'AXCU\2\1\0\0')
for c, code, words in ((1.0, 1, 'a divisor may be 0'), (1.5, 0, 'accepted')):
    def quotient(m):
        m.const('c', [1], [c])
        m.node('Add', ['z', 'c'], ['d'])
        m.node('Div', ['c', 'd'], ['y'])
        m.output('y')
    certificate_case('a divisor above %s' % (c - 1), LEAF, words, code,
                     TEXT.replace(b'1.001', b'3.001'), m=net(op=quotient))
for c, words in ((32.5, 'more than 32'), (30.5, 'is not refuted'),
                 (300, 'more than 32'), (1e6, 'more than 32')):
    def power(m):
        m.const('c', [1], [c])
        m.node('Add', ['z', 'c'], ['d'])
        m.node('Exp', ['d'], ['e'])
        m.node('Neg', ['e'], ['y'])
        m.output('y')
    certificate_case('an exponential of up to %s' % c, LEAF, words, 1,
                     TEXT, m=net(op=power))
certificate_case('another version', LEAF, 'another version', 65,
                 magic=b'AXCT\1\1\0\0')
for semantics in (0, 3, 255):
    certificate_case('semantics %d' % semantics, LEAF, 'semantics', 65,
                     magic=b'AXCT\2' + bytes([semantics]) + b'\0\0')
certificate_case('reserved bytes', LEAF, 'another version', 65,
                 magic=b'AXCT\2\1\0\1')
certificate_case('a short one', b'', 'cut short', 65)
certificate_case('no groups', b'\0', 'groups')
certificate_case('something after it', LEAF + b'\0', 'last group')
certificate_case('a tree that is cut', b'\1\1\0', 'cut short', 65)
certificate_case('a false leaf', LEAF, 'not refuted, at group 0, leaf 0', 1, MARGIN)
certificate_case('a false leaf below', b'\1\1\0\1\0\0',
                 'not refuted, at group 0, leaf 1', 1, MARGIN)
certificate_case('an input that is not there', b'\1\x09\0\0',
                 'what is not there')
certificate_case('a leaf with an argument', b'\1\x08', 'argument')
certificate_case('a split outside', b'\1\2' + varint(2 ** 44 + 2) + b'\0\0',
                 'outside of the box')
certificate_case('a split beyond all', b'\1\2' + varint(2 ** 64 - 1) + b'\0\0',
                 '2^63')
certificate_case('a split at a value', b'\1\2\3\0\0', '2 leaves', 0)
certificate_case('a long varint', b'\1\x80\0', 'shortest', 65)
certificate_case('too deep', b'\1' + b'\1' * 4097 + b'\0', 'too deep')
certificate_case('two conjunctions', b'\1\0\0', '1 leaves', 0, TWO)
certificate_case('a row that is not there', b'\1\0\3', 'not refuted', 1, TWO)
certificate_case('a row by clipping', b'\1\0\2', '1 leaves', 0, TWO)
certificate_case('clipping leaves something', b'\1\0\2', 'not refuted', 1,
                 TWO.replace(b'Y_0 -1', b'Y_0 1').replace(b'Y_0 3',
                                                          b'Y_0 0.25'))
certificate_case('all are taken at a split', b'\1\1\2\0\1\0\0\0',
                 'conjunctions', 1, TWO)
certificate_case('a position twice', b'\1\1\2\0\0\0\0', 'conjunctions', 1,
                 TWO)
certificate_case('a position out of range', b'\1\1\1\2\0\0',
                 'conjunctions', 1, TWO)
certificate_case('one is taken at a split', b'\1\1\1\0\0\0\0\0',
                 '2 leaves', 0, TWO)
certificate_case('a neuron', b'\1\3\0\0', '2 leaves', 0)
certificate_case('a neuron and new bounds', b'\1\4\0\0', '2 leaves', 0)
certificate_case('a neuron that is not there', b'\1\x0b\0\0',
                 'what is not there')
certificate_case('a neuron twice', b'\1\3\3\0\0\0', 'not unstable')
certificate_case('multipliers', b'\1\3\5\0\0\5\0\0', '2 leaves', 0)
certificate_case('a multiplier that spoils it', b'\1\3\5\xff\xff\5\0\0',
                 'not refuted, at group 0, leaf 0')
certificate_case('a multiplier that is cut', b'\1\3\5\0\0\5\0',
                 'cut short', 65)
# One neuron, unstable at the root; so the row is target 2.
certificate_case('slopes', b'\1' + varint(8 * 2 + 6) + b'\x40\0',
                 '1 leaves', 0)
certificate_case('slopes of a neuron', b'\1' + varint(8 * 1 + 6) + b'\0',
                 '1 leaves', 0)
certificate_case('a slope above 1', b'\1' + varint(8 * 2 + 6) + b'\x81\0',
                 'more than 1')
certificate_case('slopes of no row', b'\1' + varint(8 * 3 + 6) + b'\0\0',
                 'no target')
certificate_case('too many slopes', b'\1' + varint(6) * (2 ** 20 + 1) + b'\0',
                 'too many')
certificate_case('a fork', b'\1' + varint(8 + 7) + b'\0\0\0', '2 leaves', 0,
                 TWO)
certificate_case('a fork of nothing', b'\1\7\0\0\0', 'empty fork', 1, TWO)
certificate_case('a fork of all', b'\1' + varint(16 + 7) + b'\0\0\0',
                 'what is not there', 1, TWO)
certificate_case('no rows', LEAF, 'no rows', 1, B)
certificate_case('an overflow', LEAF, 'too large', 1, B + b'(assert '
                 b'(>= Y_0 1))', m=net(tensor(0, data=struct.pack('<f',
                                                                  3e38))))



def doubled():
    """y = (x0 + x0, 1 + 1): as many terms as a copy of x has."""
    m = Model()
    m.input('x', [1, 2])
    m.const('k', [1, 1], [1.0])
    m.node('Split', ['x'], ['u', 'v'], axis=1)
    m.node('Concat', ['u', 'k'], ['w'], axis=1)
    m.node('Add', ['w', 'w'], ['y'])
    m.output('y')
    m.canonical()
    return m


for bound, code, words in ((b'1.5', 1, 'not refuted'), (b'2.5', 0, '')):
    certificate_case('an element twice, above ' + bound.decode(), LEAF, words,
                     code, b''.join(b'(declare-const %s Real)' % v for v in
                                    (b'X_0', b'X_1', b'Y_0', b'Y_1')) +
                     b'(assert (>= X_0 0))(assert (<= X_0 1))'
                     b'(assert (>= X_1 0))(assert (<= X_1 1))'
                     b'(assert (>= Y_0 ' + bound + b'))', m=doubled())

# ---- counterexamples


def cex_case(name, body, words, code, text=MARGIN, **kw):
    kw.setdefault('magic', b'AXCX\1\1\0\0')
    expect('counterexample: ' + name, run(whole(
        text=text, body=body, kind='counterexample', **kw)), code, words)


f = lambda *x: struct.pack('<I%df' % len(x), len(x), *x)
cex_case('a true one', f(1.0), 'accepted: violated', 0)
cex_case('a false one', f(0.99), 'no conjunction', 1)
cex_case('outside of the box', f(1.01), 'no conjunction', 1)
cex_case('another magic', f(1.0), 'another version', 65,
         magic=b'AXCT\1\1\0\0')
cex_case('two inputs', f(1.0, 1.0), 'number of inputs', 65)
cex_case('cut short', f(1.0)[:-1], 'number of inputs', 65)
cex_case('infinite', f(float('inf')), 'not finite', 65)
cex_case('not a number', f(float('nan')), 'not finite', 65)
cex_case('a foreign network', f(1.0), 'not understood', 2,
         m=net(edit(0, lambda n: ('Log',) + n[1:])))
cex_case('a strict constant', f(1.0), 'no conjunction', 1,
         MARGIN + b'(assert (< (- X_0 X_0) 0))')
# A bound that is no multiple of 2^-64 is not met by one.
for bound, code, words in ((b'>= Y_0 1e-40', 1, 'no conjunction'),
                           (b'> Y_0 -1e-40', 0, 'accepted'),
                           (b'<= Y_0 1e-40', 0, 'accepted'),
                           (b'< Y_0 -1e-40', 1, 'no conjunction')):
    cex_case('next to 0, ' + bound.decode(), f(0.25), words, code,
             TEXT.replace(b'>= Y_0 1.001', bound))
huge = net(tensor(0, data=struct.pack('<f', 3e38)))
cex_case('a value beyond 2^62', f(1.0), 'accepted', 0, m=huge)
cex_case('one that is too large', f(1.0), 'no conjunction', 1,
         TEXT.replace(b'>= Y_0', b'<= Y_0'), m=huge)
# Bounds beyond 2^62 are not kept, so it is not known which is larger.
for bound in (b'>= Y_0 1e30', b'<= Y_0 1e30', b'<= Y_0 1e39'):
    cex_case('and a bound, ' + bound.decode(), f(1.0), 'too wide', 2,
             TEXT.replace(b'>= Y_0 1.001', bound), m=huge)


def vanishing(m):
    """sigmoid(2^40 a - 2^40 a)"""
    m.const('c', [1], [2.0 ** 40])
    m.node('Mul', ['a', 'c'], ['u'])
    m.node('Mul', ['a', 'c'], ['v'])
    m.node('Sub', ['u', 'v'], ['d'])
    m.node('Sigmoid', ['d'], ['y'])
    m.output('y')


for bound, code, words in ((b'0.51', 1, 'no conjunction'),
                           (b'0.49', 0, 'accepted')):
    cex_case('a zero of large numbers, above ' + bound.decode(), f(1.0),
             words, code, TEXT.replace(b'1.001', bound),
             m=net(op=vanishing))

# An input that is fixed to a decimal is that, whatever the float32 says.
PLAIN = net()
for bounds, y, code, words in (
        (b'(= X_0 0.7)', b'0.39', 0, 'accepted'),
        (b'(= X_0 0.7)', b'0.41', 1, 'no conjunction'),
        (b'(and (>= X_0 0.7) (<= 7e-1 X_0) (<= X_0 00.70))', b'0.39', 0,
         'accepted'),
        (b'(= X_0 0.7000000000000000000000000000000000001)', b'0.39', 0,
         'accepted'),
        (b'(and (>= X_0 0.7) (<= X_0 0.7000000000000000000000001))', b'0.39',
         1, 'no conjunction'),
        (b'(and (= X_0 0.7) (< X_0 0.7))', b'0.39', 2, 'too wide'),
        (b'(and (= X_0 0.7) (<= X_0 0.69999999999999999999999999))', b'0.39',
         2, 'too wide'),
        (b'(and (= X_0 0.7) (<= X_0 0.6))', b'0.39', 1, 'no conjunction'),
        (b'(and (>= X_0 0.7) (< X_0 0.7))', b'0.39', 1, 'no conjunction'),
        (b'(or (and (= X_0 0.7) (>= Y_0 0.41)) (= X_0 0.72))', b'0.43', 0,
         'accepted'),
        (b'(or (= X_0 0.72) (and (= X_0 0.7) (>= Y_0 0.41)))', b'0.45', 1,
         'no conjunction')):
    cex_case('fixed by %s, above %s' % (bounds.decode(), y.decode()),
             f(0.25), words, code,
             b'(declare-const X_0 Real)(declare-const Y_0 Real)(assert %s)'
             b'(assert (>= Y_0 %s))' % (bounds, y), m=PLAIN)


# ---- options
path = os.path.join(tmp, 'p.vnnlib')
with open(path, 'wb') as file:
    file.write(TEXT)
cpath = os.path.join(tmp, 'c')
with open(cpath, 'wb') as file:
    file.write(cert(stream, TEXT, LEAF))


def command(*args, data=good):
    r = subprocess.run([check, *args], input=data, capture_output=True)
    return r.returncode, (r.stdout + r.stderr).decode()


expect('standard input', command('-'), 0, 'accepted')
expect('a property of one\'s own', command('-', path), 0, 'accepted')
expect('one that is not proved', command('-', __file__), 66,
       'for this property')
expect('a certificate of one\'s own', command('-c', cpath, '-', path,
                                              data=pack(fs[:1])), 0,
       'accepted')
expect('quiet', (lambda r: (r[0], r[1] or 'silence'))(command('-q', '-')), 0,
       'silence')
expect('JSON', command('--json', '-'), 0, '"verdict":"accepted","leaves":1}')
expect('no such file', command(os.path.join(tmp, 'none')), 66, 'No such')
expect('a folder', command(tmp), 74, '')
for name, args in (('no operand', ()), ('three operands', ('a', 'b', 'c')),
                   ('an unknown option', ('--fast', 'a')),
                   ('an argument too many', ('--json=1', 'a')),
                   ('an argument too few', ('a', '--threads')),
                   ('no threads', ('--threads=0', 'a')),
                   ('a letter', ('-jx', 'a'))):
    expect(name, command(*args), 64, 'usage:')
with open('/dev/full', 'w') as full:
    r = subprocess.run([check, '-'], input=good, stdout=full,
                       stderr=subprocess.PIPE)
    expect('a full disk', (r.returncode, r.stderr.decode()), 74,
           'standard output')
print('1..%d' % count)
sys.exit(failed != 0)
