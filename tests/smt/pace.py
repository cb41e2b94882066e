"""How long cvc5 and z3 take on random networks, by the number of neurons that
ax-export counts as on or off: what its estimate rests on.

Usage: pace.py BINDIR [NETWORKS [SECONDS]]"""
import random
import re
import sys
import time

networks = int(sys.argv[2]) if len(sys.argv) > 2 else 20
seconds = float(sys.argv[3]) if len(sys.argv) > 3 else 60
sys.argv = [sys.argv[0], sys.argv[1]]
import agree  # noqa: E402

agree.SECONDS = seconds
rnd = random.Random(20261123)


def network(ins, width, layers):
    m, n, cur = agree.Model(), ins, 'x'
    m.input('x', [1, n])
    for k in range(layers):
        to = width if k + 1 < layers else 1
        m.const('w%d' % k, [n, to], [agree.single(rnd.gauss(0, 1))
                                     for _ in range(n * to)])
        m.const('b%d' % k, [to], [agree.single(rnd.gauss(0, .5))
                                  for _ in range(to)])
        m.node('Gemm', [cur, 'w%d' % k, 'b%d' % k], ['z%d' % k])
        cur = 'z%d' % k
        if k + 1 < layers:
            m.node('Relu', [cur], ['a%d' % k])
            cur, n = 'a%d' % k, to
    m.output(cur)
    m.canonical()
    return m


def timed(text):
    took = []
    for name in agree.SOLVERS:
        began = time.monotonic()
        said = agree.solve(text, [name])[name]
        took.append('%s %.2f' % (said or 'timeout', time.monotonic() - began))
    return took


print('neurons\tcvc5\tz3')
for _ in range(networks):
    width = rnd.randint(2, 10)
    m = network(2, width, 3)
    box = ''.join('(assert (<= X_%d 1))(assert (>= X_%d -1))' % (i, i)
                  for i in range(2))
    y = [agree.evaluate(m, [agree.F(rnd.randint(-64, 64), 64)
                            for _ in range(2)])[0] for _ in range(300)]
    text = agree.declare(2, 1) + box + '(assert (>= Y_0 %.4f))' % (
        max(y) + agree.F(rnd.choice([-1, 1, 1]), 10))
    smt = agree.export(m, text)
    r = agree.tool('ax-export', '--to', 'smtlib', '--budget', '1e-9', '-p',
                   'p.vnnlib', 'm.axm')
    n = re.search(r'(\d+) neurons', r.stderr)[1]
    print('\t'.join([n] + timed(smt)), flush=True)
