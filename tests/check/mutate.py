#!/usr/bin/env python3
"""Change bytes; nothing false may be accepted. Prints TAP.

1. Any byte of a container: then its claim is gone, or is the same claim (the
   name of the property is not part of it).
2. A byte of the model, the property or the certificate, with all digests made
   to fit again: then ax-check and reference.py must agree.

Usage: mutate.py PATH/ax-check FIXTURES [CHANGES]"""
import os
import random
import re
import struct
import subprocess
import sys
import tempfile

import container as C
import reference as R

check, folder = sys.argv[1:3]
changes = int(sys.argv[3]) if len(sys.argv) > 3 else 60
rnd = random.Random(7)
path = os.path.join(tempfile.mkdtemp(), 'm.axm')
count = failed = 0


def run(data):
    with open(path, 'wb') as f:
        f.write(data)
    r = subprocess.run([check, path], capture_output=True)
    return r.returncode, (r.stdout + r.stderr).decode(errors='replace')


def report(name, bad):
    global count, failed
    count += 1
    failed += bool(bad)
    print('%sok %d - %s' % ('not ' if bad else '', count, name))
    for b in bad[:5]:
        print('# ' + b.strip())


def flips(name, data):
    """Every byte once for a small file, some of a large one."""
    want = re.sub(r', .*?(, \d+ leaves)?$', r'\1', run(data)[1].strip())
    bad, places = [], list(range(len(data)))
    if len(places) > 10 * changes:
        places = rnd.sample(places, 10 * changes)
    for at in places:
        b = bytearray(data)
        b[at] ^= 1 << rnd.randrange(8)
        code, out = run(bytes(b))
        got = re.sub(r', .*?(, \d+ leaves)?$', r'\1', out.strip())
        if code not in (0, 1, 2, 65, 66) or (code == 0 and got != want):
            bad.append('byte %d: exit %d, %s' % (at, code, out))
    report('%s: %d bytes' % (name, len(places)), bad)


def parts(data):
    """Stream, property and payload of a fixture."""
    n = data.index(struct.pack('<II', 0x184D2A51, 40))
    rest, out = data[n:], [data[:n]]
    while rest:
        magic, size = struct.unpack('<II', rest[:8])
        b, rest = rest[8:8 + size], rest[8 + size:]
        if magic == 0x184D2A52:
            at = 34 + b[33]
            out.append(b[at + 1 + b[at]:])
    return out


def decode(stream):
    """A container.Model of a stream, by a reader of its own."""
    def fields(b):
        i, out = 0, []

        def varint():
            nonlocal i
            v = n = 0
            while True:
                c = b[i]
                i += 1
                v |= (c & 127) << n
                n += 7
                if c < 128:
                    return v
        while i < len(b):
            key = varint()
            if key & 7 == 0:
                out.append((key >> 3, varint()))
            elif key & 7 == 5:
                out.append((key >> 3, b[i:i + 4]))
                i += 4
            else:
                n = varint()
                out.append((key >> 3, b[i:i + n]))
                i += n
        return out

    def numbers(b):
        out, v, n = [], 0, 0
        for c in b:
            v |= (c & 127) << n
            n += 7
            if c < 128:
                out.append(v)
                v = n = 0
        return out
    zig = lambda v: v >> 1 ^ -(v & 1)
    size = struct.unpack('<Q', stream[8:16])[0]
    region = stream[(16 + size + 63) // 64 * 64:]
    m = C.Model()
    for k, b in fields(stream[16:16 + size]):
        if k == 3:
            t = dict(fields(b))
            at, n = t.get(3, 0), t.get(4, 0)
            m.tensors.append((t[1], numbers(t.get(2, b'')),
                              region[at:at + n]))
        if k != 2:
            continue
        for k, b in fields(b):
            f = fields(b) if k in (2, 3) else []
            d = dict(f)
            if k == 2:
                dims = [zig(v) for v in numbers(d.get(4, b''))] \
                    if d.get(3) else None
                m.value(d[1].decode(), d.get(2, 0), dims, d.get(6, 0))
            elif k == 3:
                name = lambda v: m.values[v - 1][0] if v else ''
                attrs = {}
                for k2, v in f:
                    if k2 != 5:
                        continue
                    a = dict(fields(v))
                    attrs[a[1].decode()] = \
                        zig(a.get(3, 0)) if a[2] == 1 else \
                        struct.unpack('<f', a.get(4, bytes(4)))[0] \
                        if a[2] == 2 else \
                        [zig(v) for v in numbers(a.get(6, b''))]
                m.nodes.append((d[1].decode(),
                                [name(v) for v in numbers(d[3])],
                                [name(v) for v in numbers(d[4])], attrs))
            elif k == 4:
                m.inputs = numbers(b)
            elif k == 5:
                m.outputs = numbers(b)
    return m


def change(b, at):
    b = bytearray(b)
    how = rnd.randrange(4)
    if how == 0:
        b[at] ^= 1 << rnd.randrange(8)
    elif how == 1:
        b[at] = rnd.randrange(256)
    elif how == 2:
        del b[at]
    else:
        b.insert(at, rnd.choice([0, 1, 2, 3, 5, 0x30, 0x39, 0x2d, 0x2e]))
    return bytes(b)


def agree(name, data):
    stream, text, payload = parts(data)
    size = struct.unpack('<Q', stream[8:16])[0]
    tensors = (16 + size + 63) // 64 * 64
    bad, said = [], {}
    for i in range(changes):
        s, t, body = stream, text, payload[72:]
        what = rnd.randrange(3)
        if what == 0 and len(s) > tensors:
            at = rnd.randrange(tensors, len(s))
            s = s[:at] + bytes([rnd.randrange(256)]) + s[at + 1:]
        elif what == 1:
            t = change(t, rnd.randrange(len(t)))
        elif body:
            body = change(body, rnd.randrange(len(body)))
        p = b'AXCT\2\1\0\0' + C.identity(s) + C.sha(t) + body
        code, out = run(C.container(s, [('property', '', t),
                                        ('certificate', '', p)]))
        said[code] = said.get(code, 0) + 1
        try:
            reason = R.check(decode(s), C.identity(s), t, p)
        except Exception as e:      # the reference is no careful reader
            reason = 'refused: %r' % e
        if (code == 0) != (reason is None) and code != 65:
            bad.append('change %d of %d: exit %d, %s; reference: %s' %
                       (i, what, code, out, reason))
    report('%s: %d changes, exits %s' % (name, changes,
                                         dict(sorted(said.items()))), bad)


names = ['mlp0-yes', 'mlp2-yes', 'residual1-yes', 'op-conv-yes', 'tree1-yes',
         'neurons0-yes', 'neurons2-yes', 'op-thirds-yes', 'conjunctions-yes', 'groups-yes', 'leaf-clipped-yes',
         'op-slice-yes', 'cextie-yes']
for name in names:
    f = os.path.join(folder, name.replace('cextie', 'cex-tie') + '.axm')
    with open(f, 'rb') as file:
        data = file.read()
    flips(name, data)
    if not name.startswith('cex'):
        agree(name, data)
print('1..%d' % count)
sys.exit(failed != 0)
