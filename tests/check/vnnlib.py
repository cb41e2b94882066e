"""The property of ax-cert(5): VNN-LIB text, normal form, groups. Part of the
second opinion on ax-check; written from the page alone."""
import re
from fractions import Fraction as F
from math import ceil, floor

TEN12 = 10 ** 12


class BadProperty(Exception):
    pass


def want(ok, words):
    if not ok:
        raise BadProperty(words)


def number(s, whole):
    """The value of a number, None for another symbol. Alone on a side of a
    comparison it may have 4096 digits, else it is restricted."""
    m = re.fullmatch(r'([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d+))?', s,
                     re.ASCII)
    if not m or not (m[2] or m[3]):
        return None
    digits, e = int(m[2] + (m[3] or '')), int(m[4] or 0)
    if whole:
        want(len(m[2] + (m[3] or '')) <= 4096 and abs(e) <= 4096, '4096')
    if not digits:
        return F(0)
    want(abs(e) < 10000, 'restricted')
    v = F(digits) / 10 ** len(m[3] or '') * F(10) ** e
    return restricted(-v if m[1] == '-' else v, whole)


def restricted(v, whole=False):
    want(whole or ((v * TEN12).denominator == 1 and abs(v) < TEN12),
         'restricted')
    return v


def parse(text):
    """All expressions, as nested lists of symbols."""
    text = re.sub(rb';[^\n]*', b'', text).decode('latin-1')
    out = [[]]
    for t in re.findall(r'[()]|[^\s()]+', text):
        if t == '(':
            out.append([])
        elif t == ')':
            want(len(out) > 1, 'parenthesis')
            out[-2].append(out.pop())
        else:
            out[-1].append(t)
    want(len(out) == 1, 'the end')
    return out[0]


def depth(t):
    """Of nested lists, without recursion."""
    n, level = 0, [t]
    while level:
        level = [x for y in level if isinstance(y, list) for x in y]
        n += 1
    return n - 1


class Row:
    """sum N v <= D (or < if strict); n maps (is_y, index) to integers."""

    def __init__(self, form, strict):
        c = {k: v for k, v in form.items() if k and v}
        k = 0
        while any((v * 10 ** k).denominator != 1 for v in c.values()):
            k += 1
        self.n = {v: int(x * 10 ** k) for v, x in c.items()}
        want(all(abs(v) < 2 ** 26 for v in self.n.values()), '2^26')
        self.d = -form.get(None, F(0)) * 10 ** k
        self.d64 = ceil(self.d * 2 ** 64)
        self.strict = strict
        one = list(self.n.items())
        self.box = len(one) == 1 and not one[0][0][0] and abs(one[0][1]) == 1

    def vectors(self, n_x, n_y):
        """The integers over the outputs, and over the input or None."""
        x = [self.n.get((False, i), 0) for i in range(n_x)]
        return [self.n.get((True, j), 0) for j in range(n_y)], \
            x if any(x) else None


class Reader:
    def __init__(self, n_x, n_y):
        self.known, self.size = {}, {'X': n_x, 'Y': n_y}

    def declare(self, s):
        want(len(s) == 3 and s[2] == 'Real', 'Real')
        m = re.fullmatch(r'([XY])_(0|[1-9]\d*)', s[1], re.ASCII)
        want(m and int(m[2]) < self.size[m[1]], 'this network')
        want(s[1] not in self.known, 'twice')
        self.known[s[1]] = m[1] == 'Y', int(m[2])

    def term(self, t, whole=False):
        """A dict of coefficients; key None is the constant."""
        if isinstance(t, str):
            v = number(t, whole)
            if v is not None:
                return {None: v}
            want(t in self.known, 'not declared')
            return {self.known[t]: F(1)}
        want(t and t[0] in ('+', '-', '*') and len(t) > 1, '* wanted')
        args = [self.term(x) for x in t[1:]]
        if t[0] == '*':
            want(len(args) == 2, 'two factors')
            a, b = args
            if any(v for k, v in a.items() if k):
                a, b = b, a
            want(not any(v for k, v in a.items() if k), 'constant')
            f = a.get(None, F(0))
            return {k: restricted(v * f) for k, v in b.items()}
        if t[0] == '-' and len(args) == 1:
            return {k: -v for k, v in args[0].items()}
        out = args[0]
        for x in args[1:]:
            out = self.sum(out, x, 1 if t[0] == '+' else -1)
        return out

    def sum(self, a, b, sign, whole=False):
        out = dict(a)
        for k, v in b.items():
            out[k] = restricted(out.get(k, F(0)) + sign * v,
                                whole and k is None)
        return out

    def comparison(self, f):
        want(len(f) == 3 and f[0] in ('<=', '>=', '<', '>', '='),
             'comparison')
        bare = [isinstance(x, str) and number(x, True) is not None
                for x in f[1:]]
        sides, whole = [None, None], False
        for i in (0, 1):
            if not bare[i]:
                sides[i] = self.term(f[1 + i])
        for i in (0, 1):
            if bare[i]:
                other = sides[1 - i] or self.term(f[2 - i], True)
                alone = not other.get(None, F(0))
                whole = whole or alone
                sides[i] = self.term(f[1 + i], alone)
        form = self.sum(sides[0], sides[1], -1, whole)
        rows = []
        if f[0] in ('<', '<=', '='):
            rows.append(Row(form, f[0] == '<'))
        if f[0] in ('>', '>=', '='):
            rows.append(Row({k: -v for k, v in form.items()}, f[0] == '>'))
        return [rows]

    def formula(self, f):
        want(isinstance(f, list) and f and isinstance(f[0], str), 'formula')
        if f[0] not in ('or', 'and'):
            return self.comparison(f)
        want(len(f) > 1, 'operand')
        parts = [self.formula(g) for g in f[1:]]
        if f[0] == 'or':
            return [c for p in parts for c in p]
        out = [[]]
        for p in parts:
            out = product(out, p)
        return out


def product(a, b):
    want(len(a) * len(b) <= 1048576 and
         len(b) * sum(map(len, a)) + len(a) * sum(map(len, b)) <= 67108864,
         'too many')
    return [p + q for p in a for q in b]


class Group:
    """A box and conjunctions: (rows to refute, rows as they were written)."""

    def __init__(self, lo64, hi64):
        self.lo64, self.hi64, self.conj = lo64, hi64, []
        b = 0
        while any(abs(v) >= 2 ** (64 + b) for v in lo64 + hi64):
            b += 1
        self.p = 44 - b
        self.lo = [v >> (64 - self.p) for v in lo64]
        self.hi = [-(-v >> (64 - self.p)) for v in hi64]

    def rows(self):
        return [r for rows, _ in self.conj for r in rows]


def read_property(text, n_x, n_y):
    r, conj, found = Reader(n_x, n_y), [[]], False
    for s in parse(text):
        want(isinstance(s, list) and s, 'parenthesis')
        if s[0] == 'declare-const':
            r.declare(s)
            continue
        want(s[0] == 'assert' and len(s) == 2, 'assert wanted')
        want(depth(s[1]) <= 64, '64 deep')
        conj, found = product(conj, r.formula(s[1])), True
    want(found, 'no assertion')
    want(len(r.known) == n_x + n_y, 'not all are declared')
    groups = []
    for rows in conj:
        if any(not r.n and r.d < 0 for r in rows):
            continue
        lo, hi = [None] * n_x, [None] * n_x
        for r in rows:
            if r.box:
                (_, i), n = list(r.n.items())[0]
                if n < 0:
                    v = floor(-r.d * 2 ** 64)
                    lo[i] = v if lo[i] is None else max(lo[i], v)
                else:
                    v = ceil(r.d * 2 ** 64)
                    hi[i] = v if hi[i] is None else min(hi[i], v)
        want(all(v is not None and abs(v) < 2 ** 108 for v in lo + hi),
             'two bounds')
        if any(a > b for a, b in zip(lo, hi)):
            continue
        if not groups or (groups[-1].lo64, groups[-1].hi64) != (lo, hi):
            groups.append(Group(lo, hi))
        plain = [r for r in rows if r.n and not r.box]
        groups[-1].conj.append((plain, rows))
    return groups


def as_fixed(rows, x):
    """The inputs, those that the rows fix being what they are fixed to."""
    x = list(x)
    for i in range(len(x)):
        at = lambda n: [r for r in rows if r.n == {(0, i): n}]
        lo = max((-r.d for r in at(-1) if not r.strict), default=None)
        hi = min((r.d for r in at(1) if not r.strict), default=None)
        if lo is not None and lo == hi:
            x[i] = lo
    return x


def unsafe(text, x, evaluate, n_y):
    """Do these inputs make all comparisons of a conjunction true?"""
    r, conj = Reader(len(x), n_y), [[]]
    for s in parse(text):
        if s[0] == 'declare-const':
            r.declare(s)
        else:
            conj = product(conj, r.formula(s[1]))
    for rows in conj:
        at = as_fixed(rows, x)
        y = evaluate(at)
        value = lambda k: (y if k[0] else at)[k[1]]
        sums = [sum(n * value(k) for k, n in r.n.items()) for r in rows]
        if all(v < r.d or (v == r.d and not r.strict)
               for v, r in zip(sums, rows)):
            return True
    return False
