"""Networks of Relus before and behind products, quotients and softmaxes, whose
bounds of what is held are better with slopes: where ax-prove splits signs of
neurons and says holds, ax-check accepts. Prints TAP.

Usage: curved.py BINDIR [CASES [SEED]]"""
import os
import random
import struct
import subprocess
import sys
import tempfile

from container import Model, container

bindir = os.path.abspath(sys.argv[1])
cases = int(sys.argv[2]) if len(sys.argv) > 2 else 12
rnd = random.Random(int(sys.argv[3]) if len(sys.argv) > 3 else 20261124)
os.chdir(tempfile.mkdtemp())


def single(v):
    return struct.unpack('f', struct.pack('f', v))[0]


def dense(m, x, name, n, to):
    m.const('w' + name, [n, to], [single(rnd.gauss(0, n ** -.5))
                                  for _ in range(n * to)])
    m.const('b' + name, [to], [single(rnd.gauss(0, .3)) for _ in range(to)])
    m.node('MatMul', [x, 'w' + name], ['m' + name])
    m.node('Add', ['m' + name, 'b' + name], [name])
    return name


def network(kind):
    m, n = Model(), 6
    m.input('x', [1, 3])
    m.node('Relu', [dense(m, 'x', 'p', 3, n)], ['r'])
    m.node('Relu', [dense(m, 'r', 'q', n, n)], ['s'])
    a, b = dense(m, 's', 'u', n, n), dense(m, 's', 'v', n, n)
    if kind == 'Mul':
        m.node('Mul', [a, b], ['c'])
    elif kind == 'Div':
        m.const('one', [], [1.0])
        m.node('Abs', [b], ['abs'])
        m.node('Add', ['abs', 'one'], ['d'])
        m.node('Div', [a, 'd'], ['c'])
    else:
        m.node('Softmax', [b], ['d'])
        m.node('Mul', [a, 'd'], ['c'])
    m.node('Relu', [dense(m, 'c', 'z', n, n)], ['t'])
    m.output(dense(m, 't', 'y', n, 1))
    m.canonical()
    return m


def run(*args):
    return subprocess.run([os.path.join(bindir, args[0]), *args[1:]],
                          capture_output=True, text=True)


def bound(text):
    """What one box shows of the output: from a verdict that is unknown."""
    lo, hi = -1e3, 1e3
    for _ in range(24):
        d = (lo + hi) / 2
        lo, hi = (d, hi) if holds(text, d, 1) else (lo, d)
    return lo


def holds(text, d, boxes):
    with open('p.vnnlib', 'w') as f:
        f.write(text % d)
    r = run('ax-prove', '--strategy', 'neuron', '--no-attack', '--max-boxes',
            str(boxes), '-t', '60', '--cert', '-p', 'p.vnnlib', '-o', 'c.axm',
            'm.axm')
    assert r.returncode in (0, 2), r.stderr
    return r.returncode == 0


def wrong(kind):
    """What ax-check says of what holds, if it is not yes; how many trees of
    several boxes there were."""
    with open('m.axm', 'wb') as f:
        f.write(container(network(kind).stream(), []))
    text = ''.join('(declare-const X_%d Real)(assert (<= X_%d .4))'
                   '(assert (>= X_%d -.4))' % (i, i, i) for i in range(3)) + \
        '(declare-const Y_0 Real)(assert (<= Y_0 %.9f))\n'
    one, trees = bound(text), 0
    for gain in .003, .01, .03, .1, .3:
        if not holds(text, one + gain * (1 + abs(one)), 200):
            break
        trees += 1
        r = run('ax-check', 'c.axm', 'p.vnnlib')
        if r.returncode:
            return r.stdout + r.stderr, trees
    return None, trees


failed = 0
for number, kind in enumerate(('Mul', 'Div', 'Softmax'), 1):
    bad, trees = [], 0
    for _ in range(cases):
        said, n = wrong(kind)
        trees += n
        bad += [said] if said else []
    if trees < cases / 4:
        bad.append('only %d trees' % trees)
    failed += bool(bad)
    print('%sok %d - %s: %d proofs of more than one box shows' %
          ('not ' if bad else '', number, kind, trees))
    for b in bad[:3]:
        print('# ' + b.strip())
print('1..3')
sys.exit(failed != 0)
