"""Small networks with smooth functions: what ax-prove says of a bound of their
output is compared with the values at many points, and ax-check accepts it.
Prints TAP.

Usage: functions.py BINDIR [CASES [SEED]]"""
import math
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
FUNCTIONS = {
    'Sin': math.sin, 'Cos': math.cos, 'Erf': math.erf, 'Tanh': math.tanh,
    'Gelu': lambda v: v * (1 + math.erf(v / math.sqrt(2))) / 2,
    'Sigmoid': lambda v: (1 + math.tanh(v / 2)) / 2,
    'Relu': lambda v: max(0.0, v)}


def single(v):
    return struct.unpack('f', struct.pack('f', v))[0]


class Network:
    """Dense layers; kind is the function of the last of them."""

    def __init__(self, kind):
        self.m, self.layers, self.n_x = Model(), [], rnd.choice([1, 2, 3])
        self.m.input('x', [1, self.n_x])
        last, n, depth = 'x', self.n_x, rnd.choice([1, 2, 3])
        for k in range(depth):
            op = kind if k + 1 == depth else rnd.choice(list(FUNCTIONS))
            last, n = self.dense(last, n, rnd.choice([2, 4, 6])), None
            self.m.node(op, [last], ['h%d' % k])
            self.layers.append(op)
            last, n = 'h%d' % k, len(self.layers[-2][1])
        self.m.output(self.dense(last, n, 1))
        self.m.canonical()

    def dense(self, last, n, to):
        k = len(self.layers)
        w = [[single(rnd.gauss(0, rnd.choice([.5, 1, 2])))
              for _ in range(to)] for _ in range(n)]
        b = [single(rnd.gauss(0, 1)) for _ in range(to)]
        self.m.const('w%d' % k, [n, to], [v for row in w for v in row])
        self.m.const('b%d' % k, [to], b)
        self.m.node('MatMul', [last, 'w%d' % k], ['m%d' % k])
        self.m.node('Add', ['m%d' % k, 'b%d' % k], ['a%d' % k])
        self.layers.append((w, b))
        return 'a%d' % k

    def at(self, x):
        for layer in self.layers:
            if isinstance(layer, str):
                x = [FUNCTIONS[layer](v) for v in x]
            else:
                w, b = layer
                x = [sum(v * row[j] for v, row in zip(x, w)) + b[j]
                     for j in range(len(b))]
        return x[0]


def run(*args):
    return subprocess.run([os.path.join(bindir, args[0]), *args[1:]],
                          capture_output=True, text=True)


def wrong(kind):
    """What is wrong about one network, or None; and the verdict."""
    net = Network(kind)
    middle, r = [rnd.uniform(-2, 2) for _ in range(net.n_x)], \
        rnd.choice([.05, .3, 1])
    box = [(v - r, v + r) for v in middle]
    seen = [net.at([rnd.choice([rnd.uniform(a, b), a, b]) for a, b in box])
            for _ in range(2000)]
    most, wide = max(seen), max(seen) - min(seen) + 1e-3
    d = most + rnd.choice([-.05, .001, .02, .1, .5]) * wide
    with open('p.vnnlib', 'w') as f:
        for i, (a, b) in enumerate(box):
            f.write('(declare-const X_%d Real)(assert (>= X_%d %.9f))'
                    '(assert (<= X_%d %.9f))\n' % (i, i, a, i, b))
        f.write('(declare-const Y_0 Real)(assert (>= Y_0 %.9f))\n' % d)
    with open('m.axm', 'wb') as f:
        f.write(container(net.m.stream(), []))
    r = run('ax-prove', '-t', '5', '--cert', '-p', 'p.vnnlib', '-o', 'c.axm',
            'm.axm')
    if r.returncode not in (0, 1, 2):
        return r.stderr, None
    verdict = r.stdout.split()[0]
    if verdict == 'holds' and most > d + 1e-6:
        return 'holds, but %g is above %g' % (most, d), verdict
    if verdict != 'unknown':
        r = run('ax-check', 'c.axm', 'p.vnnlib')
        if r.returncode:
            return r.stdout + r.stderr, verdict
    return None, verdict


failed = 0
for number, kind in enumerate(('Sigmoid', 'Sin', 'Cos', 'Erf', 'Gelu'), 1):
    bad, verdicts = [], []
    for _ in range(cases):
        said, verdict = wrong(kind)
        verdicts.append(verdict)
        bad += [said] if said else []
    if verdicts.count('holds') < cases / 4 or 'violated' not in verdicts:
        bad.append('too few are decided')
    failed += bool(bad)
    print('%sok %d - %s: %d hold, %d are violated' %
          ('not ' if bad else '', number, kind, verdicts.count('holds'),
           verdicts.count('violated')))
    for said in bad:
        print('# ' + said.strip().replace('\n', '\n# '))
print('1..5')
sys.exit(failed > 0)
