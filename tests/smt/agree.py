"""ax-export --to smtlib against two solvers, the prover, and the evaluation of
tests/check/network.py, which was written from ax-cert(5) alone. Prints TAP.

For every operator and random networks of it: at a point, the file says that the
outputs are what they are, and nothing else. For random tiny networks and
properties: whoever decides, cvc5, z3 and ax-prove, decides the same.

Usage: agree.py BINDIR [CASES [SEED]]"""
import math
import os
import random
import re
import struct
import subprocess
import sys
import tempfile
from fractions import Fraction as F

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'check'))
import operators  # noqa: E402
from container import Model, container  # noqa: E402
from network import NotCertifiable, evaluate, inputs, prod, walk  # noqa: E402
from vnnlib import BadProperty  # noqa: E402

bindir = os.path.abspath(sys.argv[1])
cases = int(sys.argv[2]) if len(sys.argv) > 2 else 6
rnd = random.Random(int(sys.argv[3]) if len(sys.argv) > 3 else 20261123)
os.chdir(tempfile.mkdtemp())
SOLVERS = {'cvc5': ['cvc5', 'q.smt2'], 'z3': ['z3', '-smt2', 'q.smt2']}
SECONDS = 20
count = failed = 0


def result(name, bad):
    global count, failed
    count += 1
    failed += bool(bad)
    print('%sok %d - %s' % ('not ' if bad else '', count, name))
    for line in bad[:3]:
        print('# ' + line.replace('\n', '\n# '), flush=True)


def solve(text, solvers=tuple(SOLVERS)):
    """What each solver says: one word, or None where it took too long."""
    with open('q.smt2', 'w') as f:
        f.write(text)
    said = {}
    for name in solvers:
        try:
            r = subprocess.run(SOLVERS[name], capture_output=True, timeout=SECONDS)
            said[name] = r.stdout.decode().strip()
        except subprocess.TimeoutExpired:
            said[name] = None
    return said


def tool(*args):
    return subprocess.run([os.path.join(bindir, args[0]), *args[1:]],
                          capture_output=True, text=True)


def export(model, text):
    """The file, or None where the network is refused."""
    with open('m.axm', 'wb') as f:
        f.write(container(model.stream(), []))
    with open('p.vnnlib', 'w') as f:
        f.write(text)
    r = tool('ax-export', '--to', 'smtlib', '--budget', '0', '-p', 'p.vnnlib',
             'm.axm')
    if r.returncode == 65 and 'certificate' in r.stderr:
        raise NotCertifiable(r.stderr)
    if r.returncode:
        raise SystemExit('ax-export: %d: %s' % (r.returncode, r.stderr))
    return r.stdout


def real(v):
    v = F(v)
    t = '(/ %d.0 %d.0)' % (abs(v.numerator), v.denominator)
    return '(- %s)' % t if v < 0 else t


def declare(n_x, n_y):
    return ''.join('(declare-const X_%d Real)' % i for i in range(n_x)) + \
        ''.join('(declare-const Y_%d Real)\n' % i for i in range(n_y))


def both(terms, op):
    return terms[0] if len(terms) == 1 else '(%s %s)' % (op, ' '.join(terms))


# ---- what a file says of a point ------------------------------------------

def nearly(model, x):
    """The outputs where roots are among them, off by little."""
    def make(rows):
        y = []
        for terms, d, added in rows.rows:
            by = d if rows.kind != 'root' else \
                F(math.isqrt(math.floor(d * 4 ** 60)), 2 ** 60)
            y.append(sum((w * v for w, v in terms), F(0)) / by + sum(added))
        return [max(F(0), v) for v in y] if rows.kind == 'relu' else y
    return walk(model, x, make)


def claim(model, x):
    """What is true of the outputs at x."""
    try:
        y = [(v, v) for v in evaluate(model, x)]
    except NotCertifiable as why:
        if str(why) != 'no exact value':
            raise
        y = [(v - F(1, 10 ** 9), v + F(1, 10 ** 9)) for v in nearly(model, x)]
    if not y:
        raise NotCertifiable('nothing is left')
    return len(y), both(['(and (>= Y_%d %s) (<= Y_%d %s))' %
                         (j, real(lo), j, real(hi))
                         for j, (lo, hi) in enumerate(y)], 'and')


def at_point(model):
    n_x = sum(prod(d) for _, d in inputs(model))
    x = [F(rnd.randint(-64, 64), 32) for _ in range(n_x)]
    try:
        n_y, true = claim(model, x)
    except ZeroDivisionError:
        return None
    box = ''.join('(assert (<= X_%d 4))(assert (>= X_%d -4))' % (i, i)
                  for i in range(n_x))
    text = export(model, declare(n_x, n_y) + box +
                  '(assert (or (<= Y_0 1) (>= Y_0 0)))')
    # Solvers complain where the answer is not the status that they read.
    text = re.sub('(?<=:status )[a-z]*', 'unknown', text)
    point = ''.join('(assert (= X_%d %s))' % (i, real(v))
                    for i, v in enumerate(x))
    for what, want in (true, 'sat'), ('(not %s)' % true, 'unsat'):
        # cvc5 looks for a root that is no fraction for ever.
        said = solve(text.replace('(check-sat)', '%s(assert %s)\n(check-sat)' %
                                  (point, what)),
                     ['z3'] if '(declare-const r_' in text else SOLVERS)
        if set(said.values()) - {'unknown'} != {want}:
            return '%s, not %s: %r %r' % (said, want, model.nodes,
                                          [str(v) for v in x])
    return None


def operator(maker, op):
    bad, made, tried = [], 0, 0
    while made < cases and tried < 50 * cases:
        tried += 1
        model = operators.random_model(maker, op)
        try:
            said = at_point(model)
        except (NotCertifiable, IndexError, BadProperty):
            continue                # nothing is left, or only padding
        made += 1
        bad += [said] if said else []
    return bad if made else ['nothing could be tried']


# ---- verdicts -------------------------------------------------------------

def weight():
    return 0.0 if rnd.random() < .1 else rnd.gauss(0, 1) \
        if rnd.random() < .4 else rnd.choice([-1.5, -1, -.5, .25, .5, 1, 2])


def single(v):
    """The nearest float32."""
    return struct.unpack('f', struct.pack('f', v))[0]


def weights(n):
    return [single(weight()) for _ in range(n)]


def network():
    """Two or three layers of a few neurons, some with what else there is."""
    m, n, cur = Model(), rnd.randint(1, 2), 'x'
    m.input('x', [1, n])
    for k in range(rnd.randint(1, 2)):
        to = rnd.randint(2, 4)
        m.const('w%d' % k, [n, to], weights(n * to))
        m.const('b%d' % k, [to], weights(to))
        m.node('MatMul', [cur, 'w%d' % k], ['m%d' % k])
        m.node('Add', ['m%d' % k, 'b%d' % k], ['z%d' % k])
        op = rnd.choice(['Relu', 'Relu', 'LeakyRelu', 'Abs', 'Clip'])
        if op == 'Clip':
            m.const('lo%d' % k, [], [-.5])
            m.const('hi%d' % k, [], [1.0])
        m.node(op, ['z%d' % k] + (['lo%d' % k, 'hi%d' % k]
                                  if op == 'Clip' else []), ['a%d' % k],
               **({'alpha': .25} if op == 'LeakyRelu' else {}))
        cur, n = 'a%d' % k, to
    if rnd.random() < .2:
        m.node('Mul', [cur, cur], ['square'])
        cur = 'square'
    outs = rnd.randint(1, 2)
    m.const('last', [n, outs], weights(n * outs))
    m.node('MatMul', [cur, 'last'], ['y'])
    m.output('y')
    m.canonical()
    return m


def number(v):
    """A decimal near it, written in one of the ways there are."""
    v = round(float(v), 3)
    return rnd.choice(['%.3f' % v, '%+.3f' % v, '%de-3' % round(v * 1000),
                       '%.1fE+0' % v, '00%.2f' % v if v >= 0 else '%.2f' % v,
                       '(- %.3f)' % -v if v < 0 else '%.4f' % v])


def prop(model):
    """A box, and one or two outputs that may be reached there or not."""
    n_x = sum(prod(d) for _, d in inputs(model))
    lo = [rnd.randint(-8, 4) for _ in range(n_x)]
    hi = [v + rnd.randint(0, 8) for v in lo]
    y = [evaluate(model, [F(rnd.randint(2 * a, 2 * b), 16)
                          for a, b in zip(lo, hi)]) for _ in range(20)]
    n_y, rows = len(y[0]), []
    for _ in range(rnd.randint(1, 3)):
        j, k, op = rnd.randrange(n_y), rnd.randrange(n_y), rnd.choice(
            ['<=', '>=', '<', '>'])
        of = [v[j] - v[k] if j != k else v[j] for v in y]
        most = max(of) if op[0] == '>' else min(of)
        d = number(most + (1 if op[0] == '>' else -1) *
                   F(rnd.choice([-4, -1, 1, 4, 16]), 8))
        rows.append('(%s %s %s)' % (op, rnd.choice(
            ['(- Y_%d Y_%d)', '(+ Y_%d (* -1 Y_%d))']) % (j, k)
            if j != k else rnd.choice(['Y_%d', '(* 1.0 Y_%d)', '(+ Y_%d)']) % j, d))
    box = ''.join('(assert (>= X_%d %s)) ; lower\n(assert (<= X_%d %s))\n' %
                  (i, a / 8, i, b / 8) for i, (a, b) in enumerate(zip(lo, hi)))
    return declare(n_x, n_y) + box + '(assert (%s %s))\n' % (
        rnd.choice(['and', 'or']), ' '.join(rows))


def disagree(model, text, tally):
    smt = export(model, text)
    said = solve(smt)
    r = tool('ax-prove', '-p', 'p.vnnlib', '--max-boxes', '5000', 'm.axm')
    said['ax-prove'] = {0: 'unsat', 1: 'sat'}.get(r.returncode)
    if r.returncode > 2:
        return 'ax-prove: %d: %s' % (r.returncode, r.stderr)
    status = smt.split('(set-info :status ')[1].split(')')[0]
    if status != 'unknown':
        said['status'] = status
    decided = {v for v in said.values() if v not in (None, 'unknown')}
    if len(decided) > 1 or not decided <= {'sat', 'unsat'}:
        return '%s: %r\n%s' % (said, model.nodes, text)
    for name in decided:
        tally[name] += 1
    if all(said[s] in decided for s in SOLVERS):
        tally['both'] += 1
    return None


def main():
    for maker, ops in operators.makers:
        for op in ops.split():
            if op in ('Sigmoid', 'Tanh', 'Sin', 'Cos', 'Erf', 'Gelu', 'Exp',
                      'Softmax'):
                continue            # SMT-LIB has no word for them
            result('%s at points' % op, operator(maker, op))
    bad, made, tally = [], 0, {'sat': 0, 'unsat': 0, 'both': 0}
    while made < 10 * cases:
        model = network()
        try:
            said = disagree(model, prop(model), tally)
        except NotCertifiable:
            continue
        made += 1
        bad += [said] if said else []
    result('%d verdicts: %d sat, %d unsat' % (made, tally['sat'],
                                              tally['unsat']), bad)
    result('%d by both solvers' % tally['both'],
           [] if 2 * tally['both'] > made and
           min(tally['sat'], tally['unsat']) > made / 8 else ['too few'])
    print('1..%d' % count)
    return failed != 0


if __name__ == '__main__':
    operators.rnd.seed(rnd.random())
    sys.exit(main())
