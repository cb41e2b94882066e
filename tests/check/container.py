"""Writes and reads axm(5) containers of the raw profile, with nothing but
Python's own library. Part of the checker's reference; see reference.py."""
import hashlib
import struct


def varint(v):
    out = b''
    while v > 127:
        out += bytes([v & 127 | 128])
        v >>= 7
    return out + bytes([v])


def zigzag(v):
    return (v << 1) ^ (v >> 63) if v < 0 else v << 1


class Msg:
    """A protobuf message; fields are added in ascending order."""

    def __init__(self):
        self.out = b''

    def v(self, field, value):
        if value:
            self.out += varint(field << 3) + varint(value)
        return self

    def b(self, field, value, always=False):
        if value or always:
            self.out += varint(field << 3 | 2) + varint(len(value)) + value
        return self

    def f(self, field, bits):
        if bits:
            self.out += varint(field << 3 | 5) + struct.pack('<I', bits)
        return self

    def p(self, field, values):
        return self.b(field, b''.join(varint(x) for x in values))


SIZE = {1: 4, 6: 4, 7: 8, 9: 1, 10: 2, 11: 8}
PACK = {1: 'f', 6: 'i', 7: 'q', 9: 'B', 10: 'e', 11: 'd'}


class Raw(dict):
    """Attributes in an order of their own."""


class Model:
    """A graph under construction. Values are named; a constant is added with
    its dtype (as in ONNX), shape and flat list of numbers."""

    def __init__(self):
        self.values, self.names = [], {}
        self.nodes, self.tensors = [], []
        self.inputs, self.outputs = [], []

    def value(self, name, dtype=1, dims=None, tensor=0):
        if name not in self.names:
            self.names[name] = len(self.values)
            self.values.append((name, dtype, dims, tensor))
        return self.names[name]

    def input(self, name, dims):
        self.inputs.append(self.value(name, 1, dims))

    def output(self, name):
        self.outputs.append(self.value(name, 1, None))

    def const(self, name, dims, numbers, dtype=1):
        data = struct.pack('<%d%s' % (len(numbers), PACK[dtype]), *numbers)
        self.tensors.append((dtype, list(dims), data))
        self.value(name, dtype, list(dims), len(self.tensors))

    def node(self, op, inputs, outputs, **attrs):
        self.nodes.append((op, inputs, outputs, attrs))
        for o in outputs:
            if o:
                self.value(o)

    def canonical(self):
        """Values and tensors in the order of their first use, axm(5)."""
        order = [self.values[i][0] for i in self.inputs]
        for _, ins, outs, _ in self.nodes:
            order += [x for x in ins + outs if x]
        order = list(dict.fromkeys(order))
        self.inputs = [order.index(self.values[i][0]) for i in self.inputs]
        self.outputs = [order.index(self.values[i][0]) for i in self.outputs]
        values, tensors = [], []
        for x in order:
            name, dtype, dims, tensor = self.values[self.names[x]]
            if tensor:
                tensors.append(self.tensors[tensor - 1])
                tensor = len(tensors)
            values.append((name, dtype, dims, tensor))
        self.values, self.tensors = values, tensors
        self.names = {x: i for i, x in enumerate(order)}

    def stream(self):
        g = Msg().b(1, b'g')
        for name, dtype, dims, tensor in self.values:
            v = Msg().b(1, name.encode()).v(2, dtype)
            if dims is not None:
                v.v(3, len(dims) + 1).p(4, [zigzag(d) for d in dims])
            g.b(2, v.v(6, tensor).out)
        for op, ins, outs, attrs in self.nodes:
            n = Msg().b(1, op.encode())
            n.p(3, [self.names[x] + 1 if x else 0 for x in ins])
            n.p(4, [self.names[x] + 1 if x else 0 for x in outs])
            for key in attrs if isinstance(attrs, Raw) else sorted(attrs):
                a, x = Msg().b(1, key.encode()), attrs[key]
                if isinstance(x, float):
                    bits = struct.unpack('<I', struct.pack('<f', x))[0]
                    a.v(2, 2).f(4, bits)
                elif isinstance(x, str):
                    a.v(2, 3).b(5, x.encode())
                elif isinstance(x, list):
                    a.v(2, 4).p(6, [zigzag(i) for i in x])
                else:
                    a.v(2, 1).v(3, zigzag(x))
                n.b(5, a.out)
            g.b(3, n.out, True)
        g.p(4, self.inputs).p(5, self.outputs)
        m, at, region = Msg().v(1, 1).b(2, g.out, True), 0, b''
        for dtype, dims, data in self.tensors:
            region += bytes(-len(region) % 64)
            t = Msg().v(1, dtype).p(2, dims).v(3, len(region))
            m.b(3, t.v(4, len(data)).out, True)
            region += data
        head = b'AXM\1' + bytes(4) + struct.pack('<Q', len(m.out)) + m.out
        return head + bytes(-len(head) % 64) + region


def sha(b):
    return hashlib.sha256(b).digest()


def identity(stream):
    """RFC 6962, as it is written there."""
    def mth(leaves):
        if len(leaves) == 1:
            return sha(b'\0' + leaves[0])
        k = 1
        while 2 * k < len(leaves):
            k *= 2
        return sha(b'\1' + mth(leaves[:k]) + mth(leaves[k:]))
    n = 1 << 20
    return mth([stream[i:i + n] for i in range(0, len(stream), n)] or [b''])


def frame(magic, content):
    return struct.pack('<II', magic, len(content)) + content


def attachment(ident, kind, name, payload):
    k, n = kind.encode(), name.encode()
    return b'\0' + ident + bytes([len(k)]) + k + bytes([len(n)]) + n + payload


def container(stream, attachments):
    """attachments: (type, name, payload)."""
    ident = identity(stream)
    frames = [frame(0x184D2A51, ident + struct.pack('<Q', len(stream)))]
    for kind, name, payload in attachments:
        frames.append(frame(0x184D2A52,
                            attachment(ident, kind, name, payload)))
    table = b''.join(struct.pack('<II', len(f), 0) for f in frames)
    table += struct.pack('<IBI', len(frames), 0, 0x8F92EAB1)
    return stream + b''.join(frames) + frame(0x184D2A5E, table)
