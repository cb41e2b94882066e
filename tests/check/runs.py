"""What ax-run computes of the random networks of operators.py, with both of
its backends, is what reference.py says that they mean: the checker speaks of
the functions that are run. Prints TAP.

Usage: runs.py FOLDER [CASES [SEED]]"""
import json
import math
import os
import random
import struct
import subprocess
import sys
import tempfile
from fractions import Fraction as F

import network as N
import operators as O
from container import container

CURVES = {
    'sigmoid': lambda v: 1 / (1 + math.exp(-v)),
    'sine': lambda v: (1 + math.sin(v)) / 2,
    'cosine': lambda v: (1 + math.cos(v)) / 2,
    'erf': lambda v: (1 + math.erf(v)) / 2,
    'gelu': lambda v: (1 + v * (1 + math.erf(v / math.sqrt(2))) / 2) / 2,
    'exponential': math.exp,
    'reciprocal': lambda v: 1 / v,
    'relu': lambda v: max(0.0, v),
}


def make(rows):
    """The values of a node, near the exact ones."""
    if rows.kind == 'product':
        return [t[0][1] * t[1][1] for t, _, _ in rows.rows]
    y = []
    for terms, d, added in rows.rows:
        v = sum((w * v for w, v in terms), F(0))
        v = v / (F(math.sqrt(d)) if rows.kind == 'root' else d) + sum(added)
        v = CURVES[rows.kind](float(v)) if rows.kind in CURVES else v
        y.append(F(v))
    return y


make.kind = None


def computed(run, backend, path, x, dims):
    rows = struct.pack('<%df' % len(x), *x)
    head = ("{'descr': '<f4', 'fortran_order': False, 'shape': (%s), }" %
            ''.join('%d, ' % d for d in dims)).encode()
    head += b' ' * (-(len(head) + 11) % 64) + b'\n'
    with open(path + '.npy', 'wb') as f:
        f.write(b'\x93NUMPY\1\0' + struct.pack('<H', len(head)) + head + rows)
    r = subprocess.run([run, '--json', '--backend', backend, path,
                        path + '.npy'], capture_output=True)
    if r.returncode:
        return None, r.stderr.decode()
    return [v for out in json.loads(r.stdout)['outputs']
            for v in flat(out['data'])], ''


def flat(v):
    return [w for u in v for w in flat(u)] if isinstance(v, list) else [v]


def wrong(run, path, m, rnd):
    dims = N.inputs(m)[0][1]
    x = [rnd.choice([-1, -.5, 0, .25, 1, 1.5]) for _ in range(N.prod(dims))]
    try:
        want = [float(v) for v in N.walk(m, [F(v) for v in x], make)]
    except (ZeroDivisionError, OverflowError):
        return None             # there is nothing to compare with
    with open(path, 'wb') as f:
        f.write(container(m.stream(), []))
    for backend in 'ref', 'cpu':
        y, said = computed(run, backend, path, x, dims)
        if y is None:
            return '%s: %s' % (backend, said)
        size = 1 + max(map(abs, want), default=0)
        far = [abs(a - b) for a, b in zip(y, want)]
        if len(y) != len(want) or not all(v <= 1e-4 * size for v in far):
            return '%s: %r, not %r, at %r' % (backend, y, want, x)
    return None


def main(folder, cases=4, seed=20261124):
    rnd = random.Random(int(seed))
    O.rnd.seed(int(seed))
    run = os.path.join(folder, 'ax-run')
    path = os.path.join(tempfile.mkdtemp(), 'm.axm')
    count = failed = 0
    for maker, ops in O.makers:
        for op in ops.split():
            bad, made = [], 0
            for _ in range(20 * int(cases)):
                if made == int(cases):
                    break
                m = O.random_model(maker, op)
                try:
                    said = wrong(run, path, m, rnd)
                except (N.NotCertifiable, IndexError):
                    continue
                made += 1
                if said:
                    bad.append('%s\n# %r %r' % (said, m.nodes, m.values))
            count += 1
            failed += bool(bad)
            print('%sok %d - %s%s' % ('not ' if bad else '', count, op,
                                      '' if made else ' # SKIP not of constants'))
            for b in bad[:1]:
                print('# ' + b)
    print('1..%d' % count)
    return failed != 0


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:]))
