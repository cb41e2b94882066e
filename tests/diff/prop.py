#!/usr/bin/env python3
"""A second reading of ax-cert(5), section PROPERTY, with fractions and
without any care for speed. Prints what tests/unit/prop-dump prints.

prop.py N_X N_Y < FILE
prop.py --count FILE     prints N_X N_Y
prop.py --random SEED    prints a property with numbers of all kinds"""
import math
import random
import re
import sys
from fractions import Fraction
from itertools import groupby

sys.setrecursionlimit(100000)
sys.set_int_max_str_digits(0)


def tokens(text):
    text = re.sub(r';[^\n]*', ' ', text)
    return re.findall(r'[()]|[^\s()]+', text)


def tree(toks):
    out, stack = [], []
    for t in toks:
        if t == '(':
            stack.append(out)
            out = []
        elif t == ')':
            inner, out = out, stack.pop()
            out.append(inner)
        else:
            out.append(t)
    assert not stack
    return out


def term(t):
    """(constant, {variable: coefficient})"""
    if isinstance(t, str):
        if t[0] in 'XY':
            return Fraction(0), {(t[0], int(t[2:])): Fraction(1)}
        return Fraction(t), {}
    args = [term(a) for a in t[1:]]
    if t[0] == '*':
        (a, x), (b, y) = args
        assert not (x and y)
        return a * b, {v: c * b for v, c in x.items()} | \
            {v: c * a for v, c in y.items()}
    if t[0] == '-' and len(args) == 1:
        return -args[0][0], {v: -c for v, c in args[0][1].items()}
    con, out = args[0][0], dict(args[0][1])
    for a, x in args[1:]:
        s = -1 if t[0] == '-' else 1
        con += s * a
        for v, c in x.items():
            out[v] = out.get(v, 0) + s * c
    return con, out


def comparison(op, a, b):
    (ca, xa), (cb, xb) = term(a), term(b)
    lhs = dict(xa)
    for v, c in xb.items():
        lhs[v] = lhs.get(v, 0) - c
    lhs = {v: c for v, c in lhs.items() if c}
    d = cb - ca
    k = 0
    while any((c * 10**k).denominator != 1 for c in lhs.values()):
        k += 1
    rows = []
    for sign in {'<=': [1], '<': [1], '>=': [-1], '>': [-1],
                 '=': [1, -1]}[op]:
        rows.append((tuple(sorted((v, int(sign * c * 10**k))
                                  for v, c in lhs.items())),
                     sign * d * 10**k, op in '<>'))
    return rows


def dnf(f):
    if f[0] == 'or':
        return [c for g in f[1:] for c in dnf(g)]
    if f[0] == 'and':
        out = [[]]
        for g in f[1:]:
            d = dnf(g)
            if len(d) == 1:
                for c in out:
                    c.extend(d[0])
            else:
                out = [a + b for a in out for b in d]
        return out
    return [comparison(*f)]


def nearest(d):
    """The nearest double; far out the largest."""
    try:
        return float(d)
    except OverflowError:
        return sys.float_info.max * (1 if d > 0 else -1)


def below(d, strict):
    """The largest double <= d, or < d."""
    v = nearest(d)
    if Fraction(v) > d or (strict and Fraction(v) == d):
        v = math.nextafter(v, -math.inf)
    return v


def exponent_text(d):
    m, e = d.numerator, 0
    while (d * 10**-e).denominator != 1:
        e -= 1
    m = int(d * 10**-e)
    while m and m % 10 == 0:
        m //= 10
        e += 1
    return f'{m}e{e}' if e else f'{m}'


def hexa(v):
    """%a of C"""
    m, e = math.frexp(abs(v))
    sign = '-' if math.copysign(1, v) < 0 else ''
    if v == 0:
        return sign + '0x0p+0'
    if e < -1021:
        return f"{sign}0x0.{int(Fraction(abs(v)) * 2**1074):013x}".rstrip('0') + \
            'p-1022'
    digits = f'{int(m * 2**53) - 2**52:013x}'.rstrip('0')
    return f'{sign}0x1{"." if digits else ""}{digits}p{e - 1:+d}'


def conj(rows, n_x):
    box, rest, empty, never = {}, [], False, False
    for terms, d, strict in rows:
        if not terms:
            empty |= d < 0
            never |= strict and d == 0
        elif len(terms) == 1 and terms[0][0][0] == 'X' and \
                abs(terms[0][1]) == 1:
            box.setdefault((terms[0][0][1], terms[0][1]), []).append(
                (d, strict))
        else:
            rest.append((terms, d, strict))
    b64, inside = [], []
    for i in range(n_x):
        lo, hi = box[i, -1], box[i, 1]
        b64.append((max(math.floor(-d * 2**64) for d, s in lo),
                    min(math.ceil(d * 2**64) for d, s in hi)))
        inside.append((max(-below(d, s) for d, s in lo),
                       min(below(d, s) for d, s in hi)))
    if any(lo > hi for lo, hi in b64):
        empty = True
    return tuple(b64), inside, rest, empty, never


def random_number():
    n = random.choice([1, 3, 9, 15, 16, 17, 18, 19, 20, 25, 36, 40, 999])
    digits = ''.join(random.choice('0123456789') for _ in range(n))
    point = random.randint(0, n)
    return (random.choice(['-', '', '', '+']) + digits[:point] + '.' +
            digits[point:] +
            random.choice(['', '', '', f'e{random.randint(-25, 25)}', 'E+3',
                           'e-300', f'e{random.randint(-3000, 3000)}']))


def random_bound():
    v = random.choice([random.uniform(-1e3, 1e3), random.uniform(-1, 1),
                       random.uniform(-1e-9, 1e-9)])
    return random.choice(['%.17g', '%.3f', '%.25f', '%.9g', '%.20e']) % v


def random_property():
    pick = random.choice
    for i in range(3):
        print(f'(declare-const X_{i} Real)(assert (>= X_{i} -1000))'
              f'(assert (<= X_{i} 1000))')
    print('(declare-const Y_0 Real)(declare-const Y_1 Real)')
    print('(assert (or')
    for _ in range(6):
        print('(and')
        for _ in range(4):
            print(f'({pick(["<", "<=", ">", ">="])} X_{random.randrange(3)} '
                  f'{random_bound()})')
            print(f'({pick(["<", "<=", ">", ">=", "="])} '
                  f'Y_{random.randrange(2)} {random_number()})')
            print(f'({pick(["<", ">="])} {random_number()} '
                  f'(+ Y_0 (* 0.{random.randint(1, 9999)} Y_1)))')
        print(')')
    print('))')


def main():
    if sys.argv[1] == '--random':
        random.seed(int(sys.argv[2]))
        random_property()
        return
    if sys.argv[1] == '--count':
        names = re.findall(r'declare-const\s+([XY])_', open(sys.argv[2]).read())
        print(names.count('X'), names.count('Y'))
        return
    n_x = int(sys.argv[1])
    forms = tree(tokens(sys.stdin.read()))
    conjs = [conj(c, n_x) for c in
             dnf(['and'] + [f[1] for f in forms if f[0] == 'assert'])]
    print('empty', sum(c[3] for c in conjs))
    for b64, group in groupby((c for c in conjs if not c[3]),
                              lambda c: c[0]):
        group = list(group)
        b = 0
        while any(max(abs(lo), abs(hi)) >= 2**(64 + b) for lo, hi in b64):
            b += 1
        p = 44 - b
        print('group', len(group), 'P', p)
        for lo, hi in b64:
            print('', lo >> (64 - p), -(-hi >> (64 - p)), lo, hi)
        for _, inside, rest, _, never in group:
            print('conj', len(rest), *(['never'] if never else []))
            print('', *(hexa(v) for pair in inside for v in pair))
            for terms, d, strict in rest:
                clamp = max(-2**125, min(2**125, math.ceil(d * 2**64)))
                print('row', *(f'{v[0]}_{v[1]} {n}' for v, n in terms),
                      '<' if strict else '<=', exponent_text(d),
                      hexa(nearest(d)), clamp)


main()
