"""A slow, obvious checker for ax-cert(5), in exact integers and fractions,
written from the page alone. It is the second opinion on ax-check: what it
accepts ax-check must accept, and nothing else. The parts before it are
vnnlib.py (the property) and network.py (nodes and integer weights)."""
import sys
from fractions import Fraction as F
from math import ceil, floor, isqrt

from container import sha
from network import (CURVED, NEURONS, RELAXED, SMOOTH, Net, NotCertifiable,
                     evaluate)
from vnnlib import BadProperty, read_property, unsafe

sys.setrecursionlimit(30000)


class Reject(Exception):
    pass


# ---- arithmetic -----------------------------------------------------------

def bits(v):
    return (v if v >= 0 else -v - 1).bit_length()


def to64(v, q):
    r = v << (64 - q) if q <= 64 else v >> (q - 64)
    if abs(v) * F(2) ** (64 - q) >= 2 ** 120:
        raise Reject('overflow')
    return r


def shift_up(v, q, to):
    """ceil(v 2^(to - q))."""
    return -(-v << (to - q)) if to >= q else -(-v >> (q - to))


class Sum:
    """C: 128 bits at scale 64."""

    def __init__(self):
        self.v = 0

    def add(self, v):
        self.v += v
        if not -2 ** 127 <= self.v < 2 ** 127:
            raise Reject('overflow')


class Box:
    def __init__(self, net, group):
        self.p, self.lo, self.hi = group.p, list(group.lo), list(group.hi)
        self.status = {k: ['unstable'] * net.n[k] for k in net.relus}
        self.split = []             # neurons, in the order of their splits
        self.m = {}                 # M_k; one that is not here is infinite
        self.t, self.relax = {}, {}     # t_k; (l, u, c) of unstable neurons
        self.fresh = False
        self.lines = {}             # of the neurons of smooth nodes
        self.d = {}                 # (D_k, td_k), under ieee32
        if net.ieee:
            self.d[len(net.nodes) - 1] = [1] * net.n[-1], 40
        self.tables = {}            # target: {neuron: slope}
        self.range = {}             # (l, u, t) of held and curved nodes
        self.curve = {}             # of curved ones

    def copy(self):
        b = Box.__new__(Box)
        b.p, b.lo, b.hi, b.fresh = self.p, list(self.lo), list(self.hi), \
            self.fresh
        b.status = {k: list(v) for k, v in self.status.items()}
        b.split, b.m, b.t = list(self.split), dict(self.m), dict(self.t)
        b.relax, b.tables = dict(self.relax), dict(self.tables)
        b.lines, b.d = dict(self.lines), dict(self.d)
        b.range, b.curve = dict(self.range), dict(self.curve)
        return b

    def sm(self, k):
        return sum(self.m[k])

    def set_m(self, k, m):
        self.m[k] = m
        if sum(m) >= 2 ** 62:
            raise Reject('overflow')


class Bound:
    """The lower bound of a row: C, and e_0 at q_0 with its part S of C."""

    def __init__(self, net, box, k, row, target, own=None, betas=None):
        self.net, self.box, self.betas = net, box, betas
        self.table = box.tables.get(target, {})
        self.c = Sum()
        self.parts = {s: [] for s in range(k + 1)}
        r = 26 - max(abs(v) for v in row).bit_length()
        self.parts[k].append(([v << r for v in row], r))
        if own:
            self.parts[0].append(([v << 34 for v in own], 34))
        for s in range(k, 0, -1):
            if self.parts[s]:
                self.visit(s)
        self.e0, self.q0, self.s = [0] * net.n[0], 0, 0
        if self.parts[0]:
            self.e0, self.q0 = self.join(0)
            self.s = to64(sum(min(v * a, v * b) for v, a, b in
                              zip(self.e0, box.lo, box.hi)),
                          self.q0 + box.p)
            self.c.add(self.s)

    def join(self, s):
        (e, q), g = self.parts[s][0], 0
        for e2, q2 in self.parts[s][1:]:
            if q2 != q:
                g += 1
            low = min(q, q2)
            e = [(a >> (q - low)) + (b >> (q2 - low)) for a, b in zip(e, e2)]
            q = low
        if g and self.net.nodes[s].kind not in RELAXED:
            self.c.add(g * to64(-self.box.sm(s), q + 16))
        assert all(abs(v) < 2 ** 63 for v in e)
        return e, q

    def visit(self, s):
        e, q = self.join(s)
        node, betas = self.net.nodes[s], {}
        if self.betas:
            betas = {j: b for (k, j), b in self.betas.items() if k == s}
        sh = max(bits(v) for v in e) - 26
        if node.kind not in RELAXED:
            sh = max(0, sh)
        if betas:
            most = max([bits(v) for v in e] +
                       [bits(b(q)) for b in betas.values()])
            sh = most - 25
        mu = [v >> sh if sh >= 0 else v << -sh for v in e]
        q -= sh
        scale = q
        if node.kind in SMOOTH:
            nu = self.follow(s, mu, q)
        elif node.kind == 'relu':
            nu = self.relax(s, mu, q, {j: b(q) for j, b in betas.items()})
        else:
            nu, scale = mu, q + node.scale
            if sh > 0:
                self.c.add(to64(-self.box.sm(s), q + 16))
        quant = node.quant
        if node.kind in CURVED:
            quant, low, up, where = self.box.curve[s][:4]
            self.c.add(to64(sum(v * (a if v >= 0 else b)
                                for v, a, b in zip(nu, low, up)), q + where))
        for p in node.sources():
            if node.kind in CURVED:
                scale = q + self.box.curve[s][4][p]
            e = [0] * self.net.n[p]
            for v, row in zip(nu, quant):
                for w, (source, j) in row:
                    if source == p:
                        e[j] += v * w
            self.parts[p].append((e, scale))
        a = sum(abs(v) for v in nu)
        if node.kind == 'weighted':
            sm = sum(self.box.sm(p) for p in node.sources())
            self.c.add(to64(-((a * sm + 1) >> 1), q + node.scale + 16))
        if node.bq:
            self.c.add(to64(sum(v * b for v, b in zip(nu, node.bq)),
                            q + node.bscale))
            self.c.add(to64(-((a + 1) >> 1), q + node.bscale))
        if s in self.box.d:
            d, where = self.box.d[s]
            self.c.add(to64(-sum(abs(v) * e for v, e in zip(nu, d)),
                            q + where))

    def follow(self, s, mu, q):
        """The lines about smooth functions."""
        nu, total = [], 0
        for m, (slope, low, up, most) in zip(mu, self.box.lines[s]):
            nu.append((m * slope) >> 28)
            if m:
                total += m * (low if m > 0 else up) - most
        self.c.add(to64(total, q + 28))
        return nu

    def relax(self, s, mu, q, betas):
        nu, total = [], 0
        for j, m in enumerate(mu):
            status = self.box.status[s][j]
            if status == 'active':
                n = m - betas.get(j, 0)
            elif status == 'inactive':
                n = betas.get(j, 0)
            else:
                lo, up, chord = self.box.relax[s][j]
                slope = self.table.get((s, j), 255)
                if m < 0:
                    n = (m * chord) >> 28
                    total += min(-n * lo, (m - n) * up)
                elif slope != 255:
                    n = (m * slope) >> 7
                else:
                    n = m if up > -lo else 0
            nu.append(n)
        self.c.add(to64(total, q + self.box.t[s]))
        return nu


def box_bounds(net, box):
    if box.fresh:
        return
    box.set_m(0, [shift_up(max(abs(a), abs(b)), box.p, 16)
                  for a, b in zip(box.lo, box.hi)])
    for k, node in list(enumerate(net.nodes))[1:-1]:
        if node.kind in NEURONS:
            neuron_bounds(net, box, k, node)
        elif node.kind in CURVED:
            curve(net, box, k, node)
        elif k not in box.m or net.ieee:
            more = int(node.kind == 'weighted')
            m = [shift_up(sum((abs(w) + more) * box.m[p][j]
                              for w, (p, j) in row), node.scale, 0)
                 for row in node.quant]
            if node.bq:
                m = [v + shift_up(abs(b) + 1, node.bscale, 16)
                     for v, b in zip(m, node.bq)]
            if net.ieee and net.roundings[k]:
                m = errors(box, k, net.roundings[k], m)
            box.set_m(k, m)
    box.fresh = True


def decay(x):
    """D, e^-x at scale 60."""
    f, p = (x % 2 ** 28) << 32, 2 ** 60
    for k in range(16, 0, -1):
        p = 2 ** 60 - ((f * p) >> 60) // k
    for _ in range(x >> 28):
        p = (p * 424136118829305329) >> 60
    return p


def errors(box, k, r, x):
    """D of node k, from X and the number of roundings; returns M."""
    g = ceil(F(r * 2 ** 48, 2 ** 24 - r))
    e = [ceil(F(g * (v + 1), 2 ** 24)) for v in x]
    if max(e) >= 2 ** 62:
        raise Reject('overflow')
    sh = max(0, max(bits(v) for v in e) - 30)
    box.d[k] = [ceil(F(v, 2 ** sh)) for v in e], 40 - sh
    return [v + ceil(F(w, 2 ** 24)) for v, w in zip(x, e)]


def sigmoid(x):
    """S, 1 / (1 + e^-x) at scale 28."""
    if x < 0:
        return 2 ** 28 - sigmoid(-x)
    return 2 ** 88 // (2 ** 60 + decay(x)) if x < 2 ** 33 else 2 ** 28


def exp(x):
    """E, e^x at scale 28."""
    if x < 0:
        return decay(-x) >> 32
    if x <= 2 ** 32:
        return 2 ** 88 // decay(x)
    return (exp(x >> 1) * exp(x - (x >> 1))) >> 28


def wave(a):
    """H, (1 + cos(256 a)) / 2."""
    c, p = (a * a) >> 60, 2 ** 60
    for k in range(7, 0, -1):
        p = 2 ** 60 - ((c * p) >> 60) // (2 * k * (2 * k - 1))
    for _ in range(8):
        p = ((p * p) >> 59) - 2 ** 60
    return (2 ** 60 + p) >> 33


def erf(x):
    """T."""
    if x < 0:
        return -erf(-x)
    if x >= 9 * 2 ** 27:
        return 2 ** 28
    y, s, t, n = (x * x) >> 27, 4 * x, 4 * x, 1
    while t > 0:
        t = ((t * y) >> 28) // (2 * n + 1)
        s, n = s + t, n + 1
    return min(2 ** 28, (((s * decay(y >> 1)) >> 60) *
                         1300932607094779153) >> 62)


FUNCTIONS = {               # Y, and err
    'sine': (lambda x: wave((x << 24) - 7074237752028440), 2),
    'cosine': (lambda x: wave(x << 24), 2),
    'erf': (lambda x: (2 ** 28 + erf(x)) >> 1, 16),
    'gelu': (lambda x: 2 ** 27 + ((x * (2 ** 28 + erf(
        (x * 815238614083298888) >> 60))) >> 30), 32)}


def pieces(kind, lo, up):
    """Slope, low, up and most of what is no sigmoid."""
    y, err = FUNCTIONS[kind]
    gelu, w = kind == 'gelu', up - lo
    if lo < -2 ** 34 or up > 2 ** 34:
        if gelu and up >= 2 ** 44:
            raise Reject('overflow')
        return (0, 2 ** 26, 2 ** 27 + (max(0, up) >> 1) + 1, 0) if gelu \
            else (0, 0, 2 ** 28, 0)
    slope = 0
    if w and not (kind in ('sine', 'cosine') and w >= 2 ** 30):
        slope = ((y(up) - y(lo)) << 28) // w
        slope = max(-2 ** 28, min(2 ** 28, slope))
    z = [y(p) - ((slope * p) >> 28)
         for p in (lo + ((w * i) >> 6) for i in range(65))]
    off = err + (((w >> 6) + 1) ** 2 >> 32) + 1
    low, high = min(z) - off - 1, max(z) + off
    if slope == 0 and not gelu:
        low, high = max(low, 0), min(high, 2 ** 28)
    return slope, low, high, max(abs(lo), abs(up))


def lines(kind, lo, up):
    """Slope, low, up and most between two bounds."""
    if kind != 'sigmoid':
        return pieces(kind, lo, up)
    if lo < -2 ** 34 or up > 2 ** 34:
        return 0, 0, 2 ** 28, 0

    def s(d):
        return sigmoid(d) * (2 ** 28 - sigmoid(d))

    def above(p):
        return sigmoid(p) + 2 - ((slope * p) >> 28)
    chord = 2 ** 26 if lo == up else \
        (max(0, sigmoid(up) - sigmoid(lo)) << 28) // (up - lo)
    d = 0
    for b in range(32, -1, -1):
        if s(d + 2 ** b) >= chord << 28:
            d += 2 ** b
    slope, most = s(d) >> 28, max(abs(lo), abs(up))
    off = (most >> 25) + 1
    high = [above(lo), above(up)] + [above(d)] * (lo < d < up)
    deep = [above(-lo), above(-up)] + [above(d)] * (lo < -d < up)
    return slope, 2 ** 28 - max(deep) - off, max(high) + off, most


def exponentials(box, node):
    """What curve() makes, and the ranges."""
    err = lambda e: (e >> 28) + 2
    s = node.terms[0][0][1][0]
    of, quant, low, up, ranges = [], [], [], [], []
    for ((_, (_, i)),) in node.terms:
        l, u, t = (v if n == 2 else v[i] for n, v in enumerate(box.range[s]))
        p, r = floor(l * F(2) ** (28 - t)), ceil(u * F(2) ** (28 - t))
        r = max(-2 ** 33, r)
        if p < -2 ** 36 or r > 2 ** 33:
            raise Reject('an exponential of too much')
        first, d = exp(max(p, -2 ** 33)), -2 ** 33
        slope = exp(r)
        if p < r:
            slope = (max(0, slope - first) << 28) // (r - p)
        for b in range(33, 15, -1):
            if d + 2 ** b <= 2 ** 33 and exp(d + 2 ** b) <= slope:
                d += 2 ** b
        of.append((p, r, d, first))
    g = max(0, max(exp(v[2]) for v in of).bit_length() - node.k)
    h = max(0, max(exp(v[1]) for v in of).bit_length() - 48)
    for (p, r, d, first), ((_, v),) in zip(of, node.terms):
        steep, last, w = exp(d), exp(r), exp(d) >> g
        above = lambda v, y: y + err(y) - ((w * 2 ** g * v) >> 28)
        quant.append([(w, v)])
        up.append(-(-max(above(p, first), above(r, last)) >> h))
        low.append((((steep * (2 ** 28 - d)) >> 28) -
                    ((err(steep) * abs(2 ** 28 - d)) >> 28) -
                    (((2 ** g + err(steep)) * max(abs(p), abs(r))) >> 28) -
                    2) >> h)
        ranges.append((0 if p < -2 ** 33 else max(0, first - err(first)) >> h,
                       -(-(last + err(last)) >> h)))
    return (quant, low, up, 28 - h, {s: 28 - g}), ranges


def curve(net, box, k, node):
    """Lines: W', low, up, at, and the scales of W' by source."""
    if node.kind == 'exponential':
        box.curve[k], ranges = exponentials(box, node)
        set_range(box, k, ranges, box.curve[k][3])
        return
    d, quant, low, up, ranges = 30 - node.k, [], [], [], []
    if node.kind == 'product':
        s, t = node.terms[0][0][1][0], node.terms[0][1][1][0]
        tx, ty = box.range[s][2] - d, box.range[t][2] - d
        where, scales = tx + ty, {s: ty, t: tx}
        for (_, (_, i)), (_, (_, j)) in node.terms:
            xl, xu = box.range[s][0][i] >> d, -(-box.range[s][1][i] >> d)
            yl, yu = box.range[t][0][j] >> d, -(-box.range[t][1][j] >> d)
            cx, cy, square = (xl + xu) >> 1, (yl + yu) >> 1, (s, i) == (t, j)
            off = (xu - cx) * (yu - cy)
            quant.append([(cy, (s, i)), (cx, (t, j))])
            up.append(off - cx * cy)
            low.append((0 if square else -off) - cx * cy)
            corners = [xl * yl, xl * yu, xu * yl, xu * yu]
            first = min(corners)
            if square:
                first = xl * xl if xl > 0 else xu * xu if xu < 0 else 0
            ranges.append((first, max(corners)))
        t = where
    else:
        s = node.terms[0][0][1][0]
        l, u, t = box.range[s]
        of = [(l[i], u[i]) for ((_, (_, i)),) in node.terms]
        if min(a for a, _ in of) <= 0:
            raise Reject('a reciprocal of 0')
        a = min(p for p, _ in of).bit_length()
        b = min(p * r for p, r in of).bit_length()
        e, where = 31 + a - b + d, 59 - t + a
        scales = {s: b + 28 - d - 2 * t}
        for (p, r), ((_, v),) in zip(of, node.terms):
            slope = 2 ** (b + 28 - d) // (p * r)
            at = lambda x: -(-2 ** (59 + a) // x) + ceil(slope * x * F(2) ** e)
            quant.append([(-slope, v)])
            up.append(max(at(p), at(r)))
            low.append(isqrt(slope << (92 + 2 * a - b + d)))
            ranges.append((2 ** (59 + a) // r >> 31,
                           -(-(-(-2 ** (59 + a) // p)) >> 31)))
        t = where - 31
    box.curve[k] = quant, low, up, where, scales
    set_range(box, k, ranges, t)


def set_range(box, k, ranges, t):
    box.range[k] = [r for r, _ in ranges], [r for _, r in ranges], t
    box.set_m(k, [shift_up(max(-p, r), t, 16) for p, r in ranges])


def sums(net, box, k, i):
    """Bounds of a sum of curved variables, if it is one."""
    node = net.nodes[k]
    if node.kind != 'unit' or any(w < 0 or net.nodes[p].kind not in CURVED
                                  for w, (p, _) in node.terms[i]):
        return None
    b = node.b[i] * 2 ** 64
    low, high = floor(b), floor(-b)
    for _, (p, j) in node.terms[i]:
        first, last, t = box.range[p]
        low += to64(first[j], t)
        high += to64(-last[j], t)
    return low, -high


def neuron_bounds(net, box, k, node):
    status, low, high = list(box.status[k]), {}, {}
    m = list(box.m.get(k, [None] * node.n))
    for j, ((_, (p, i)),) in enumerate(node.terms):
        if status[j] != 'unstable':
            continue
        one = [int(i == x) for x in range(net.n[p])]
        low[j] = Bound(net, box, p, one, (k, j, 0)).c.v
        high[j] = -Bound(net, box, p, [-v for v in one], (k, j, 1)).c.v
        if node.kind in SMOOTH:
            u = max(low[j] >> 36, -(-high[j] >> 36))
            m[j] = 2 ** 15 + max(0, -(-u >> 13)) if node.kind == 'gelu' \
                else 2 ** 16
            continue
        if node.kind == 'hold':
            if net.nodes[p].kind in CURVED:
                first, last, t = (v if n == 2 else v[i] for n, v in
                                  enumerate(box.range[p]))
                low[j] = max(low[j], to64(first, t))
                high[j] = min(high[j], -to64(-last, t))
            by = sums(net, box, p, i)
            if by:
                low[j], high[j] = max(low[j], by[0]), min(high[j], by[1])
            top = max(0, shift_up(max(-low[j], high[j]), 64, 16))
            m[j] = top if m[j] is None else min(m[j], top)
            continue
        top = max(0, shift_up(high[j], 64, 16))
        m[j] = top if m[j] is None else min(m[j], top)
        if low[j] >= 0:
            status[j] = 'active'
        elif high[j] <= 0:
            status[j], m[j] = 'inactive', 0
    if node.kind in SMOOTH:
        box.lines[k] = []
        for j in range(node.n):
            lo = low[j] >> 36
            slope, deep, top, most = lines(
                node.kind, lo, max(lo, -(-high[j] >> 36)))
            off = 2 ** 8 if net.ieee else 0
            box.lines[k].append((slope, deep - off, top + off, most))
        box.set_m(k, m)
        return
    if node.kind == 'hold':
        sh = max([0] + [max(bits(low[j]), bits(high[j])) - 29 for j in low])
        l = [low[j] >> sh for j in range(node.n)]
        box.range[k] = l, [max(p, -(-high[j] >> sh))
                           for j, p in enumerate(l)], 64 - sh
        box.set_m(k, m)
        return
    left = [j for j in low if status[j] == 'unstable']
    sh = max([0] + [max(bits(low[j]), bits(high[j])) - 29 for j in left])
    box.t[k], box.relax[k] = 64 - sh, {}
    for j in left:
        lo, up = low[j] >> sh, -(-high[j] >> sh)
        box.relax[k][j] = lo, up, (up << 28) // (up - lo)
    box.status[k] = status
    box.set_m(k, m)


# ---- rows of the property -------------------------------------------------

class Target(tuple):
    """A row of the property, (r,), as the key of a table of slopes."""


def property_row(net, box, number, row, betas=None):
    y, x = row.vectors(net.n[0], net.n[-1])
    return Bound(net, box, len(net.nodes) - 1, y, Target((number,)), x, betas)


def clip(net, box, rows):
    """The bounds that clipping by a conjunction leaves, or None; rows are
    numbered: (number, row)."""
    lo, hi = list(box.lo), list(box.hi)
    for number, row in rows:
        b = property_row(net, box, number, row)
        r = row.d64 - (b.c.v - b.s)
        t = floor(r * F(2) ** (b.q0 + box.p - 64)) + 1
        if abs(row.d64) >= 2 ** 125 or abs(t) >= 2 ** 126:
            continue
        sb = sum(min(v * a, v * c) for v, a, c in zip(b.e0, lo, hi))
        if sb > t:
            return None
        v = t - sb
        for j, x in enumerate(b.e0):
            if x > 0:
                hi[j] = min(hi[j], ceil(F(v + x * lo[j], x)))
            elif x < 0:
                lo[j] = max(lo[j], floor(F(v + x * hi[j], x)))
    return lo, hi


def clip_box(net, box, conjunctions):
    got = [b for b in (clip(net, box, rows) for rows in conjunctions) if b]
    if got:
        box.lo = [min(b[0][j] for b in got) for j in range(len(box.lo))]
        box.hi = [max(b[1][j] for b in got) for j in range(len(box.hi))]


def multiplier(c, row):
    """beta at scale q, of the two bytes c."""
    n = bits(max(abs(v) for v in row.n.values()))

    def beta(q):
        if c == 0:
            return 0
        return floor((2048 + c % 2048) * F(2) ** (c // 2048 - 32 + n + q))
    return beta


# ---- certificates ---------------------------------------------------------

class Reader:
    def __init__(self, b):
        self.b, self.i = b, 0

    def byte(self):
        if self.i >= len(self.b):
            raise Reject('cut short')
        self.i += 1
        return self.b[self.i - 1]

    def varint(self):
        v = n = 0
        while True:
            c = self.byte()
            v |= (c & 127) << n
            n += 7
            if v >= 2 ** 63 or n > 70:
                raise Reject('varint')
            if c < 128:
                if c == 0 and n > 7:
                    raise Reject('varint')
                return v


class Tree:
    """The tree of one group; walked as it is read."""

    def __init__(self, net, group, reader):
        self.net, self.r, self.conj, self.leaves = net, reader, [], 0
        self.n_rows = 0
        for rows, _ in group.conj:
            self.conj.append(list(enumerate(rows, self.n_rows)))
            self.n_rows += len(rows)

    def refute(self, box, c, multipliers=False):
        rows = self.conj[c]
        i = 0 if len(rows) == 1 else self.r.varint()
        if i > len(rows):
            raise Reject('no such row')
        if i == len(rows):
            if clip(self.net, box, rows) is not None:
                raise Reject('clipping leaves something')
            return
        number, row = rows[i]
        betas = None
        if multipliers:
            betas = {n: multiplier(self.r.byte() + 256 * self.r.byte(), row)
                     for n in box.split}
        b = property_row(self.net, box, number, row, betas)
        if b.c.v <= row.d64:
            raise Reject('row %d does not refute' % i)

    def slopes(self, box, arg):
        neurons = self.net.neurons
        row = arg - 2 * len(neurons)
        if row < 0:
            end, j = neurons[arg // 2]
            target = end, j, arg % 2
        elif row < self.n_rows:
            target, end = Target((row,)), len(self.net.nodes)
            box_bounds(self.net, box)
        else:
            raise Reject('target')
        table = {}
        for k, j in self.net.neurons:
            if k < end and box.status[k][j] == 'unstable':
                table[k, j] = self.r.byte()
                if 128 < table[k, j] < 255:
                    raise Reject('slope')
        box.tables[target] = table

    def walk(self, box, left, deep=0, tables=0):
        t = self.r.varint()
        while t % 8 == 6:
            if tables == 2 ** 20:
                raise Reject('too deep')
            self.slopes(box, t // 8)
            tables += 1
            t = self.r.varint()
        kind, arg = t % 8, t // 8
        box_bounds(self.net, box)
        if kind in (0, 5):
            if arg:
                raise Reject('leaf')
            self.leaves += 1
            for c in left:
                self.refute(box, c, kind == 5)
            return
        if deep == 4096:
            raise Reject('too deep')
        if kind in (1, 2):
            children = self.split(box, left, arg, kind)
        elif kind == 7:
            if not 0 < arg < len(left):
                raise Reject('fork')
            children = (box, left[:arg]), (box.copy(), left[arg:])
        else:
            if arg >= len(self.net.neurons):
                raise Reject('neuron')
            k, j = self.net.neurons[arg]
            if box.status[k][j] != 'unstable' or \
                    self.net.nodes[k].kind != 'relu':
                raise Reject('not unstable')
            children = []
            for status in 'active', 'inactive':
                b = box.copy()
                b.status[k][j] = status
                b.split.append((k, j))
                b.fresh = kind == 3
                children.append((b, left))
        for b, conjunctions in children:
            self.walk(b, conjunctions, deep + 1, tables)

    def split(self, box, left, arg, kind):
        if arg >= self.net.n[0]:
            raise Reject('no such input')
        z = self.r.varint() if kind == 2 else 0
        gone, last = [], -1
        for _ in range(self.r.varint() if len(left) > 1 else 0):
            pos = self.r.varint()
            if pos <= last or pos >= len(left):
                raise Reject('position')
            last = pos
            gone.append(left[pos])
            self.refute(box, left[pos])
        left = [c for c in left if c not in gone]
        if not left:
            raise Reject('nothing left')
        clip_box(self.net, box, [self.conj[c] for c in left])
        lo, hi = box.lo[arg], box.hi[arg]
        v = ((lo + hi) >> 1) + (z // 2 if z % 2 == 0 else -(z + 1) // 2)
        if not lo <= v <= hi:
            raise Reject('outside of the box')
        box.fresh = False
        one, two = box, box.copy()
        one.hi[arg] = two.lo[arg] = v
        return (one, left), (two, left)


def check_body(net, groups, reader):
    """The number of leaves of what follows the header."""
    leaves = 0
    if reader.varint() != len(groups):
        raise Reject('groups')
    for g in groups:
        if any(not rows for rows, _ in g.conj):
            raise Reject('no rows')
        tree = Tree(net, g, reader)
        tree.walk(Box(net, g), list(range(len(g.conj))))
        leaves += tree.leaves
    if reader.i != len(reader.b):
        raise Reject('something follows')
    return leaves


def check(model, ident, text, payload):
    """None if the certificate proves the property, else the reason."""
    try:
        net = Net(model, payload[5:6] == b'\2')
        groups = read_property(text, net.n[0], net.n[-1])
        if payload[:5] + payload[6:72] != \
                b'AXCT\2' + b'\0\0' + ident + sha(text) or \
                payload[5:6] not in (b'\1', b'\2'):
            raise Reject('header')
        check_body(net, groups, Reader(payload[72:]))
    except (Reject, NotCertifiable, BadProperty) as e:
        return '%s: %s' % (type(e).__name__, e)
    return None


def refuted(model, text, x):
    """Is x (fractions) a counterexample, in exact numbers?"""
    return unsafe(text, x, lambda x: evaluate(model, x),
                  len(evaluate(model, x)))
