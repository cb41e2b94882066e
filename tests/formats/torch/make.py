#!/usr/bin/env python3
"""Write the samples of checkpoints: good/NAME with good/NAME.txt, what
ax-import --tensors prints of it, and bad/NAME. Python's own library alone;
nothing of PyTorch is needed, since a pickle only names what it is about.
Usage: tests/formats/torch/make.py    (in this folder's parent tree)"""

import base64
import collections
import hashlib
import io
import json
import os
import pickle
import struct
import sys
import tarfile
import types
import warnings
import zipfile

here = os.path.dirname(os.path.abspath(__file__))

# ---- what pickles name ----


def module(name):
    m = types.ModuleType(name)
    sys.modules[name] = m
    return m


torch, utils = module('torch'), module('torch._utils')
torch._utils = utils
nn_linear, nn_container = (module('torch.nn.modules.linear'),
                           module('torch.nn.modules.container'))
for name in 'torch.nn', 'torch.nn.modules', 'torch.nn.parameter':
    module(name)

TYPES = {'float32': ('Float', 4), 'float64': ('Double', 8),
         'float16': ('Half', 2), 'bfloat16': ('BFloat16', 2),
         'int64': ('Long', 8), 'int32': ('Int', 4), 'int16': ('Short', 2),
         'int8': ('Char', 1), 'uint8': ('Byte', 1), 'bool': ('Bool', 1),
         'complex64': ('ComplexFloat', 8), 'qint8': ('QInt8', 1)}
for kind, _ in TYPES.values():
    setattr(torch, kind + 'Storage', type(kind + 'Storage', (), {
        '__module__': 'torch', '__qualname__': kind + 'Storage'}))


def function(m, name):
    def f():
        pass
    f.__module__, f.__qualname__, f.__name__ = m.__name__, name, name
    setattr(m, name, f)
    return f


rebuild = function(utils, '_rebuild_tensor_v2')
rebuild_old = function(utils, '_rebuild_tensor')
rebuild_parameter = function(utils, '_rebuild_parameter')
rebuild_sparse = function(utils, '_rebuild_sparse_tensor')


class Call:
    """Pickles as a call of FUNCTION."""

    def __init__(self, function, *args):
        self.function, self.args = function, args

    def __reduce__(self):
        return self.function, self.args


class Storage:
    def __init__(self, dtype, data):
        self.dtype, self.data = dtype, data
        self.kind, self.size = TYPES[dtype]
        self.count = len(data) // self.size


class Tensor:
    """A view of a storage, in elements."""

    def __init__(self, storage, offset, shape, stride):
        self.storage, self.offset = storage, offset
        self.shape, self.stride = tuple(shape), tuple(stride)
        self.function = rebuild

    def __reduce__(self):
        args = (self.storage, self.offset, self.shape, self.stride)
        if self.function is rebuild_old:
            return self.function, args
        return self.function, args + (False, collections.OrderedDict())

    def bytes(self):
        s, out = self.storage, []

        def walk(at, dims):
            if not dims:
                out.append(s.data[at * s.size:(at + 1) * s.size])
                return
            for i in range(dims[0][0]):
                walk(at + i * dims[0][1], dims[1:])
        walk(self.offset, list(zip(self.shape, self.stride)))
        return b''.join(out)


def dense(dtype, shape, seed=1):
    n = 1
    strides = []
    for d in reversed(shape):
        strides.insert(0, n)
        n *= d
    size = TYPES[dtype][1]
    data = b''.join(hashlib.sha256(b'%d %d' % (seed, i)).digest()
                    for i in range((n * size + 31) // 32))[:n * size]
    return Tensor(Storage(dtype, data), 0, shape, strides)


class Pickler(pickle._Pickler):
    def __init__(self, f, protocol=2, legacy=False):
        super().__init__(f, protocol)
        self.keys, self.storages, self.legacy = {}, [], legacy

    def persistent_id(self, obj):
        if not isinstance(obj, Storage):
            return None
        if id(obj) not in self.keys:
            self.keys[id(obj)] = str(len(self.storages))
            self.storages.append(obj)
        key = ('storage', getattr(torch, obj.kind + 'Storage'),
               self.keys[id(obj)], 'cpu', obj.count)
        return key + (None,) if self.legacy else key


def dump(obj, **kw):
    f = io.BytesIO()
    p = Pickler(f, **kw)
    p.dump(obj)
    return f.getvalue(), p.storages


def plain(obj):
    return pickle.dumps(obj, 2)

# ---- containers ----


def archive(members, deflate=()):
    f = io.BytesIO()
    with zipfile.ZipFile(f, 'w') as z:
        for name, data in members:
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            if name in deflate:
                info.compress_type = zipfile.ZIP_DEFLATED
            z.writestr(info, data)
    return f.getvalue()


def members(obj, **kw):
    data, storages = dump(obj, **kw)
    return ([('m/data.pkl', data), ('m/byteorder', b'little')] +
            [('m/data/%d' % i, s.data) for i, s in enumerate(storages)] +
            [('m/version', b'3\n')])


def as_zip(obj, deflate=(), **kw):
    return archive(members(obj, **kw), deflate)


MAGIC = 0x1950a86a20f9469cfc6c


def as_legacy(obj, protocol=1001, little=True, **kw):
    data, storages = dump(obj, legacy=True, **kw)
    out = plain(MAGIC) + plain(protocol) + plain(
        {'protocol_version': 1001, 'little_endian': little,
         'type_sizes': {'short': 2, 'int': 4, 'long': 4}}) + data
    out += plain([str(i) for i in range(len(storages))])
    for s in storages:
        out += struct.pack('<q', s.count) + s.data
    return out


def as_tar(tensors):
    """What torch 0.1 wrote: objects name tensors, tensors name storages."""
    storages = []
    for t in tensors.values():
        if t.storage not in storages:
            storages.append(t.storage)

    class Names(pickle._Pickler):
        def persistent_id(self, obj):
            if isinstance(obj, Tensor):
                return str(1000 + list(tensors.values()).index(obj))
            return None
    f = io.BytesIO()
    Names(f, 2).dump(collections.OrderedDict(tensors))
    s = plain(len(storages))
    for i, x in enumerate(storages):
        s += plain((500 + i, 'cpu', getattr(torch, x.kind + 'Storage')))
        s += struct.pack('<q', x.count) + x.data
    s += plain([])
    t = plain(len(tensors))
    for i, x in enumerate(tensors.values()):
        t += plain((1000 + i, 500 + storages.index(x.storage),
                    getattr(torch, x.storage.kind + 'Storage')))
        n = len(x.shape)
        t += struct.pack('<ii', n, 0) + struct.pack(
            '<%dq' % (2 * n + 1), *x.shape, *x.stride, x.offset)
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode='w', format=tarfile.USTAR_FORMAT) as z:
        for name, data in (('sys_info', plain({'little_endian': True})),
                           ('pickle', f.getvalue()), ('tensors', t),
                           ('storages', s)):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            z.addfile(info, io.BytesIO(data))
    # Python pads to 10240 bytes, of which two blocks of zeros are needed.
    data = out.getvalue().rstrip(b'\0')
    return data + b'\0' * (-len(data) % 512 + 1024)


def as_safetensors(tensors, header=None, extra=None):
    at, entries, data = 0, dict(extra or {}), b''
    names = {'float32': 'F32', 'int64': 'I64', 'bfloat16': 'BF16',
             'bool': 'BOOL', 'float64': 'F64', 'float16': 'F16'}
    for name, t in tensors.items():
        b = t.bytes()
        entries[name] = {'dtype': names[t.storage.dtype],
                         'shape': list(t.shape),
                         'data_offsets': [at, at + len(b)]}
        at += len(b)
        data += b
    head = header if header is not None else json.dumps(
        entries, separators=(',', ':')).encode()
    head += b' ' * (-len(head) % 8)
    return struct.pack('<Q', len(head)) + head + data

# ---- samples ----


def write(folder, name, data):
    os.makedirs(os.path.join(here, folder), exist_ok=True)
    with open(os.path.join(here, folder, name), 'wb') as f:
        f.write(data)


def good(name, data, tensors):
    write('good', name, data)
    text = ''.join('%s  %s [%s]  %s\n' % (
        hashlib.sha256(t.bytes()).hexdigest(), t.storage.dtype,
        ','.join(map(str, t.shape)), key) for key, t in tensors.items())
    write('good', name + '.txt', text.encode())


def bad(name, data):
    write('bad', name, data)


mlp = collections.OrderedDict([
    ('0.weight', dense('float32', (3, 2), 1)),
    ('0.bias', dense('float32', (3,), 2)),
    ('2.weight', dense('float32', (1, 3), 3)),
    ('2.bias', dense('float32', (1,), 4))])

good('plain.pt', as_zip(mlp), mlp)
good('deflated.pt', as_zip(mlp, ('m/data.pkl', 'm/data/0')), mlp)
good('legacy.pt', as_legacy(mlp), mlp)
good('first.tar', as_tar(mlp), mlp)
for protocol in range(1, 6):
    good('protocol-%d.pt' % protocol, as_zip(mlp, protocol=protocol), mlp)

every = {k: dense(k, (2, 3), i) for i, k in enumerate(TYPES)}
good('dtypes.pt', as_zip(every), every)
every.pop('qint8')
good('dtypes-legacy.pt', as_legacy(every), every)

base = Storage('float32', struct.pack('<12f', *range(12)))
views = {'rows': Tensor(base, 0, (3, 4), (4, 1)),
         'columns': Tensor(base, 0, (4, 3), (1, 4)),
         'part': Tensor(base, 5, (2, 2), (4, 1)),
         'even': Tensor(base, 0, (6,), (2,)),
         'same': Tensor(base, 3, (2, 5), (0, 0)),
         'scalar': Tensor(base, 7, (), ()),
         'empty': Tensor(base, 12, (0, 3), (3, 1))}
good('views.pt', as_zip(views), views)
good('views-legacy.pt', as_legacy(views), views)
good('views.tar', as_tar(views), views)

w = dense('float32', (2, 2), 7)
tied = {'a': w, 'b': w, 'c': Tensor(w.storage, 2, (2,), (1,))}
good('tied.pt', as_zip({'x': tied, 'n': 1, 'f': 0.5, 'list': [w, {'k': w}]}),
     {**{'x/' + k: v for k, v in tied.items()}, 'list/0': w, 'list/1/k': w})

wrapped = {'epoch': 3, 'state_dict': mlp, 'lr': 1e-3, 'none': None,
           'flags': (True, False), 'big': 1 << 80, 'text': 'é',
           'optimizer': {'state': {0: {'m': dense('float32', (3, 2), 9)}}}}
good('wrapped.ckpt', as_zip(wrapped), {
    **{'state_dict/' + k: v for k, v in mlp.items()},
    'optimizer/state/0/m': wrapped['optimizer']['state'][0]['m']})


def module_class(m, name):
    c = type(name, (), {'__module__': m.__name__, '__qualname__': name})
    setattr(m, name, c)
    return c


Linear = module_class(nn_linear, 'Linear')
Sequential = module_class(nn_container, 'Sequential')


def made(cls, **state):
    m = cls()
    m.__dict__.update({'training': False, '_parameters': {}, '_buffers': {},
                       '_modules': {}, **state})
    return m


net = made(Sequential, _modules=collections.OrderedDict([
    ('0', made(Linear, in_features=2, _parameters=collections.OrderedDict([
        ('weight', Call(rebuild_parameter, mlp['0.weight'], True,
                        collections.OrderedDict())),
        ('bias', Call(rebuild_parameter, mlp['0.bias'], True,
                      collections.OrderedDict()))])))]))
good('module.pt', as_zip(net),
     {'0.weight': mlp['0.weight'], '0.bias': mlp['0.bias']})

circle = {'w': w}
circle['self'] = circle
good('circle.pt', as_zip(circle), {'w': w})

inner = as_zip(mlp)
good('nested.zip', archive([('data', b'{}'), ('policy.pth', inner),
                            ('v.pth', as_legacy({'w': w}))]),
     {**{'policy.pth:' + k: v for k, v in mlp.items()}, 'v.pth:w': w})

some = {'a.weight': dense('float32', (2, 3), 1), 'n': dense('int64', (), 2),
        'none': dense('float32', (0, 2), 3), 'h': dense('bfloat16', (3,), 4)}
good('some.safetensors', as_safetensors(some), some)
good('meta.safetensors', as_safetensors(
    some, extra={'__metadata__': {'format': 'pt'}}), some)
good('nothing.safetensors', as_safetensors({}), {})

# ---- bad ones: zip ----

parts = members(mlp)
bad('storage-missing.pt', archive([m for m in parts if m[0] != 'm/data/1']))
bad('storage-short.pt', archive(
    [(n, d[:-4] if n == 'm/data/1' else d) for n, d in parts]))
bad('storage-long.pt', archive(
    [(n, d + b'1234' if n == 'm/data/1' else d) for n, d in parts]))
bad('big-endian.pt', archive(
    [(n, b'big' if n == 'm/byteorder' else d) for n, d in parts]))
bad('no-pickle.pt', archive([('m/version', b'3\n')]))
bad('two-pickles.pt', archive(parts + [('n/data.pkl', plain({}))]))
bad('climbs.pt', archive(parts + [('../x', b'')]))
bad('absolute.pt', archive(parts + [('/x', b'')]))
bad('backslash.pt', archive(parts + [('a\\b', b'')]))
with warnings.catch_warnings():
    warnings.simplefilter('ignore')
    bad('twice.pt', archive(parts + [('m/version', b'3\n')]))
whole = archive(parts)
bad('prefix.pt', b'PK\3\4' + whole)
at = whole.index(plain(1)[:2], whole.index(b'm/data.pkl'))
bad('crc.pt', whole[:at + 40] + bytes([whole[at + 40] ^ 1]) + whole[at + 41:])
bad('local-name.pt', whole.replace(b'm/version', b'm/versioN', 1))
bad('comment.pt', whole[:-2] + b'\x05\0')
bad('behind.pt', whole + b'x')
bad('encrypted.pt', whole.replace(b'PK\3\4\x14\0\0', b'PK\3\4\x14\0\1').replace(
    b'PK\1\2\x14\3\x14\0\0', b'PK\1\2\x14\3\x14\0\1'))
bomb = archive([('m/data.pkl', b'\0' * 100000)], ('m/data.pkl',))
bad('bomb.pt', bomb.replace(struct.pack('<I', 100000),
                            struct.pack('<I', 1 << 30)))
bad('wrong-size.pt', bomb.replace(struct.pack('<I', 100000),
                                  struct.pack('<I', 99999)))

# ---- bad ones: tensors ----


def one(offset, shape, stride, n=12, dtype='float32'):
    return as_zip({'w': Tensor(Storage(dtype, b'\0' * n * TYPES[dtype][1]),
                               offset, shape, stride)})


bad('offset.pt', one(10, (3,), (1,)))
bad('negative-offset.pt', one(-1, (3,), (1,)))
bad('negative-stride.pt', one(5, (3,), (-1,)))
bad('overflow.pt', one(0, (1 << 40, 1 << 40), (1 << 40, 1)))
bad('stride-overflow.pt', one(0, (3, 3), (1 << 62, 1 << 62)))
bad('negative-shape.pt', one(0, (-3,), (1,)))
bad('ranks.pt', one(0, (3, 1), (1,)))
bad('rank-9.pt', one(0, (1,) * 9, (1,) * 9))
bad('repeats.pt', one(0, (1 << 24,), (0,)))
bad('few-arguments.pt', as_zip({'w': Call(rebuild, w.storage)}))
bad('shape-text.pt', as_zip({'w': Call(rebuild, w.storage, 0, 'ab', (1,))}))
bad('no-storage.pt', as_zip({'w': Call(rebuild, None, 0, (1,), (1,))}))
bad('sparse.pt', as_zip({'w': Call(rebuild_sparse, 0, (w, w))}))
setattr(torch, 'OddStorage', type('OddStorage', (), {
    '__module__': 'torch', '__qualname__': 'OddStorage'}))
odd = Storage('float32', b'\0' * 16)
odd.kind = 'Odd'
bad('class.pt', as_zip({'w': Tensor(odd, 0, (2,), (1,))}))
many = [w]
for _ in range(40):
    many = [many, many]
bad('laughs.pt', as_zip(many))
deep = [w]
for _ in range(300):
    deep = [deep]
sys.setrecursionlimit(10000)
bad('deep.pt', as_zip(deep))
bad('names.pt', as_zip({'a': {'b': w}, 'a/b': w}))

# ---- bad ones: pickles ----


def pkl(data):
    return archive([('m/data.pkl', data), ('m/version', b'3\n')])


bad('opcode.pt', pkl(b'\x80\x02\xff.'))
bad('cut.pt', pkl(b'\x80\x02}X\xff\xff\0\0ab'))
bad('stack.pt', pkl(b'\x80\x02a.'))
bad('no-mark.pt', pkl(b'\x80\x02t.'))
bad('memo.pt', pkl(b'\x80\x02h\x07.'))
bad('memo-huge.pt', pkl(b'\x80\x02Nr\xff\xff\xff\x7f.'))
bad('protocol.pt', pkl(b'\x80\x06N.'))
bad('behind-pickle.pt', pkl(b'\x80\x02N.N.'))
bad('no-stop.pt', pkl(b'\x80\x02N'))
bad('odd-items.pt', pkl(b'\x80\x02}(Nu.'))
bad('buffer.pt', pkl(b'\x80\x05\x97.'))

# ---- bad ones: legacy, tar, safetensors ----

old = as_legacy(mlp)
bad('legacy-cut.pt', old[:-1])
bad('legacy-behind.pt', old + b'x')
bad('legacy-big.pt', as_legacy(mlp, little=False))
bad('legacy-version.pt', as_legacy(mlp, protocol=1002))
bad('legacy-count.pt', old[:-12] + struct.pack('<q', 1 << 60) + old[-4:])
tar = as_tar(mlp)
bad('tar-sum.tar', b'x' + tar[1:])
bad('tar-cut.tar', tar[:1000])
two = {'a': dense('float32', (2,), 1), 'b': dense('float32', (2,), 2)}


def entry(begin, end, dtype='F32', shape=(2,), **more):
    return {'dtype': dtype, 'shape': list(shape),
            'data_offsets': [begin, end], **more}


def sf(text, n=16):
    return as_safetensors({}, header=text if isinstance(text, bytes)
                          else json.dumps(text).encode()) + b'\0' * n


bad('sf-gap.safetensors', sf({'a': entry(0, 8), 'b': entry(12, 20)}, 20))
bad('sf-overlap.safetensors', sf({'a': entry(0, 8), 'b': entry(4, 12)}, 12))
bad('sf-behind.safetensors', sf({'a': entry(0, 8)}))
bad('sf-cut.safetensors', as_safetensors(two)[:-1])
bad('sf-size.safetensors', sf({'a': entry(0, 16)}))
bad('sf-dtype.safetensors', sf({'a': entry(0, 16, 'F7')}))
bad('sf-twice.safetensors', sf(
    b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},'
    b'"a":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}}'))
bad('sf-more.safetensors', sf({'a': entry(0, 16, shape=(4,), x=1)}))
bad('sf-negative.safetensors', sf({'a': entry(-8, 8)}))
bad('sf-shape.safetensors', sf({'a': entry(0, 16, shape=(-4,))}))
bad('sf-overflow.safetensors', sf({'a': entry(0, 16, shape=(1 << 62, 4))}))
bad('sf-meta.safetensors', sf({'__metadata__': {'a': 1}}, 0))
bad('sf-header.safetensors', struct.pack('<Q', 1 << 40)[:5] + b'\0\0\0{}')
bad('sf-array.safetensors', struct.pack('<Q', 8) + b'[]      ')
bad('sf-json.safetensors', sf(b'{"a":'))

# ---- pickles for --scan ----


def scan(name, data):
    write('scan', name, data)


scan('eval.pkl', b'\x80\x02cbuiltins\neval\nX\x04\0\0\x00' b'1+23\x85R.')
scan('inst.pkl', b"(S'ls'\nios\nsystem\n.")
scan('escaped.pkl', b"S'\\x6fs'\nS'sy\\163tem'\n\x93(S'ls'\ntR.")
scan('unicode.pkl', b"V\\u006fs\nVsystem\n\x93.")
scan('dotted.pkl', b"\x80\x04\x8c\x05torch\x8c\x12serialization.os.x\x93.")
scan('computed.pkl', b"\x80\x04\x8c\x02os\x8c\x01a\x85\x93.")
scan('extension.pkl', b'\x80\x02\x82\x05.')
scan('changed.pkl', b'\x80\x02ctorch\nTensor\nN}X\x03\0\0\x00addcbuiltins\nset\n'
     b's\x86b.')
scan('second.pkl', b'\x80\x02N.\x80\x02cos\nsystem\n.')
scan('cut.pkl', b'\x80\x02cos\nsystem\nX')
scan('unknown.pkl', b'\x80\x02cacme.nets\nNet\n.')
scan('in-data.pt', archive(
    [(n, b'cos\nsystem\n.' if n == 'm/data/1' else d) for n, d in parts]))
scan('text.zip', archive([('readme.txt', b'\x80\x02cos\nsystem\n.')]))
scan('deep.zip', archive([('a.zip', archive([('b.pkl',
                                              b'cos\nsystem\n.')]))]))
scan('json.zip', archive([('data', json.dumps({'f': {
    ':serialized:': base64.b64encode(b'\x80\x02cos\nsystem\n.').decode()}})
    .encode())]))
# safetensors that are a pickle too: a string up to the key, and then strings
# that skip the header 126 bytes at a time.
head = b'{"aaaaaaaa'
end = 0x58 + 256 * (3 + len(head))
tail = b'":{"dtype":"U8","shape":[12],"data_offsets":[0,12]}}'
while end - len(head) > 256:
    head += b'U~' + b'a' * 126
left = end - len(head) - 4
head += b'U' + bytes([left - 100]) + b'a' * (left - 100)
head += b'U' + bytes([100]) + tail + b' ' * (100 - len(tail))
data = struct.pack('<Q', len(head)) + head + b'cos\nsystem\n.'
scan('both.safetensors', data)
