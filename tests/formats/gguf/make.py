#!/usr/bin/env python3
"""Write the samples of GGUF: good/NAME, with good/NAME.txt, what ax-import
--tensors prints of it, and bad/NAME, with a line in bad.txt of what is said.
Python's own library alone. llama.gguf is the sample of that name in
tests/formats/hf, written as llama.cpp's converter would do it.
Usage: tests/formats/gguf/make.py"""
import hashlib
import json
import os
import struct

here = os.path.dirname(os.path.abspath(__file__))
U8, I8, U16, I16, U32, I32, F32, BOOL, TEXT, ARRAY, U64, I64, F64 = range(13)
PACK = {U8: '<B', I8: '<b', U16: '<H', I16: '<h', U32: '<I', I32: '<i',
        F32: '<f', BOOL: '<B', U64: '<Q', I64: '<q', F64: '<d'}
bad_lines = []


def text(s):
    s = s if isinstance(s, bytes) else s.encode()
    return struct.pack('<Q', len(s)) + s


def value(kind, v):
    if kind == TEXT:
        return text(v)
    if kind == ARRAY:
        inner, items = v
        return struct.pack('<IQ', inner, len(items)) + b''.join(
            value(inner, x) for x in items)
    return struct.pack(PACK[kind], v)


def key(name, kind, v):
    return text(name) + struct.pack('<I', kind) + value(kind, v)


def info(name, dims, kind, offset):
    return text(name) + struct.pack('<I', len(dims)) + b''.join(
        struct.pack('<Q', d) for d in dims) + struct.pack('<IQ', kind, offset)


def whole(keys, tensors, alignment=32, version=3, n_keys=None,
          n_tensors=None):
    """TENSORS: name, dims in our order, type, bytes."""
    infos, data = [], b''
    for name, dims, kind, raw in tensors:
        infos.append(info(name, dims[::-1], kind, len(data)))
        data += raw + b'\0' * (-len(raw) % alignment)
    head = b'GGUF' + struct.pack(
        '<IQQ', version, len(tensors) if n_tensors is None else n_tensors,
        len(keys) if n_keys is None else n_keys)
    head += b''.join(keys) + b''.join(infos)
    if data:
        head += b'\0' * (-len(head) % alignment)
    return head + data


def save(name, data):
    with open(os.path.join(here, name), 'wb') as f:
        f.write(data)


def f32(x):
    return struct.unpack('<f', struct.pack('<f', x))[0]


# ---- good ----

# Each: number of the type, bytes of a block, where its float16 numbers are.
OTHERS = {'q4_1': (3, 20, (0, 2)), 'q5_0': (6, 22, (0,)),
          'q5_1': (7, 24, (0, 2)), 'q4_k': (12, 144, (0, 2)),
          'q5_k': (13, 176, (0, 2)), 'q6_k': (14, 210, (208,))}


def bits(data, first, n):
    """N bits from bit FIRST on, the lowest of a byte first."""
    return sum((data[(first + i) // 8] >> (first + i) % 8 & 1) << i
               for i in range(n))


def meaning(name, b):
    """The numbers of a block, as ggml defines them, bit by bit."""
    h = [struct.unpack('<e', b[i:i + 2])[0] for i in OTHERS[name][2]]
    out = []
    if name in ('q4_1', 'q5_0', 'q5_1'):
        low = {'q4_1': 4, 'q5_0': 6, 'q5_1': 8}[name]
        for i in range(32):
            x = bits(b, 8 * (low + i % 16) + 4 * (i // 16), 4)
            if name != 'q4_1':
                x += 16 * bits(b, 8 * (low - 4) + i, 1)
            if name == 'q5_0':
                out.append(f32((x - 16) * h[0]))
            else:
                out.append(f32(f32(x * h[0]) + h[1]))
        return out
    if name == 'q6_k':
        for i in range(256):
            group, at = divmod(i, 128)
            part, k = divmod(at, 32)
            x = bits(b, 8 * (64 * group + 32 * (part % 2) + k) +
                     4 * (part // 2), 4)
            x += 16 * bits(b, 8 * (128 + 32 * group + k) + 2 * part, 2)
            scale = struct.unpack('<b', b[192 + i // 16:193 + i // 16])[0]
            out.append(f32(f32(h[0] * scale) * (x - 32)))
        return out
    low = 16 if name == 'q4_k' else 48
    for i in range(256):
        j, k = divmod(i, 32)
        if j < 4:
            scale, least = bits(b, 8 * (4 + j), 6), bits(b, 8 * (8 + j), 6)
        else:
            scale = bits(b, 8 * (8 + j), 4) + 16 * bits(b, 8 * j + 6, 2)
            least = bits(b, 8 * (8 + j) + 4, 4) + \
                16 * bits(b, 8 * (4 + j) + 6, 2)
        x = bits(b, 8 * (low + 32 * (j // 2) + k) + 4 * (j % 2), 4)
        if name == 'q5_k':
            x += 16 * bits(b, 8 * (16 + k) + j, 1)
        out.append(f32(f32(f32(h[0] * scale) * x) - f32(h[1] * least)))
    return out


def other_blocks(name):
    _, size, halves = OTHERS[name]
    raw, y = b'', []
    for i in range(2):
        b = bytearray((i * 31 + k * (97 + 2 * i) + k * k) % 256
                      for k in range(size))
        for n, at in enumerate(halves):
            b[at:at + 2] = struct.pack('<e', [0.0123, -0.57][n] * (i + 1))
        raw += bytes(b)
        y += meaning(name, b)
    return raw, y


def blocks():
    """Every byte that a number can be, and scales that are and are not
    powers of two."""
    q8, y8, q4, y4 = b'', [], b'', []
    for i, scale in enumerate([1.0, 0.0999, -3.5e-6, 6.1e4]):
        half = struct.pack('<e', scale)
        scale = struct.unpack('<e', half)[0]
        raw = bytes((i * 64 + k * 7) % 256 for k in range(32))
        q8 += half + raw
        y8 += [f32((b - 256 if b > 127 else b) * scale) for b in raw]
        raw = bytes((i * 64 + k * 11) % 256 for k in range(16))
        q4 += half + raw
        y4 += [f32(((b & 15) - 8) * scale) for b in raw]
        y4 += [f32(((b >> 4) - 8) * scale) for b in raw]
    more = {n: other_blocks(n) for n in sorted(OTHERS)}
    tensors = [('q8', (2, 64), 8, q8), ('q4', (1, 4, 32), 2, q4),
               ('half', (3,), 1, struct.pack('<3e', 1, 2, 3)),
               ('bf16', (1,), 30, b'\x80\x3f'),
               ('i64', (2,), 27, struct.pack('<2q', -1, 2))]
    tensors += [(n, (len(y),), OTHERS[n][0], raw)
                for n, (raw, y) in more.items()]
    save('good/blocks.gguf', whole(
        [key('general.architecture', TEXT, 'none'),
         key('a.b', ARRAY, (I16, [1, 2, 3])),
         key('a.c', ARRAY, (TEXT, ['x', '', 'yz'])),
         key('a.d', ARRAY, (BOOL, [0, 1])), key('a.e', F64, 0.5),
         key('a.f', I64, -1)], tensors))
    lines = []
    for name, dims, kind, raw in tensors:
        if name in ('q8', 'q4'):
            raw = struct.pack('<128f', *(y8 if name == 'q8' else y4))
        if name in more:
            raw = struct.pack('<%df' % len(more[name][1]), *more[name][1])
        kind = {8: 'float32', 2: 'float32', 1: 'float16', 30: 'bfloat16',
                27: 'int64'}.get(kind, 'float32')
        lines.append('%s  %s [%s]  %s\n' % (
            hashlib.sha256(raw).hexdigest(), kind,
            ','.join(map(str, dims)), name))
    save('good/blocks.gguf.txt', ''.join(lines).encode())


NAMES = {
    'input_layernorm': 'attn_norm', 'post_attention_layernorm': 'ffn_norm',
    'self_attn.q_proj': 'attn_q', 'self_attn.k_proj': 'attn_k',
    'self_attn.v_proj': 'attn_v', 'self_attn.o_proj': 'attn_output',
    'mlp.gate_proj': 'ffn_gate', 'mlp.up_proj': 'ffn_up',
    'mlp.down_proj': 'ffn_down'}


def hf_tensors():
    hf = os.path.join(here, '..', 'hf', 'good', 'llama')
    data = open(os.path.join(hf, 'model.safetensors'), 'rb').read()
    size = struct.unpack('<Q', data[:8])[0]
    for name, t in json.loads(data[8:8 + size]).items():
        if name == '__metadata__':
            continue
        begin, end = t['data_offsets']
        raw = data[8 + size + begin:8 + size + end]
        yield name, t['shape'], raw


def llama_tensors():
    out = []
    for name, shape, raw in hf_tensors():
        part = name.rsplit('.', 1)[0]
        if part.startswith('model.layers.'):
            _, _, i, rest = part.split('.', 3)
            to = 'blk.%s.%s.weight' % (i, NAMES[rest])
            heads = {'attn_q': 2, 'attn_k': 1}.get(NAMES[rest])
            if heads:
                # Halves of each head become neighbours.
                row = shape[1] * 4
                rows = [raw[k:k + row] for k in range(0, len(raw), row)]
                dim = len(rows) // heads
                raw = b''.join(rows[h * dim + k // 2 + (k % 2) * dim // 2]
                               for h in range(heads) for k in range(dim))
        else:
            to = {'model.embed_tokens': 'token_embd', 'lm_head': 'output',
                  'model.norm': 'output_norm'}[part] + '.weight'
        out.append((to, tuple(shape), 0, raw))
    return out


def llama_keys(**other):
    keys = {
        'general.architecture': (TEXT, 'llama'),
        'general.name': (TEXT, 'a sample'),
        'llama.context_length': (U32, 16),
        'llama.embedding_length': (U32, 8),
        'llama.block_count': (U32, 2),
        'llama.feed_forward_length': (U32, 6),
        'llama.attention.head_count': (U32, 2),
        'llama.attention.head_count_kv': (U32, 1),
        'llama.attention.layer_norm_rms_epsilon': (F32, 1e-6),
        'llama.rope.dimension_count': (U32, 4),
        'llama.rope.freq_base': (F32, 10000.0),
        'tokenizer.ggml.tokens': (ARRAY, (TEXT, ['a', 'b'])),
    }
    for k, v in other.items():
        k = k.replace('__', '.')
        if v is None:
            del keys[k]
        else:
            keys[k] = v
    return [key(k, *v) for k, v in keys.items()]


# ---- bad ----

def bad(name, words, data):
    save('bad/%s.gguf' % name, data)
    bad_lines.append('%s.gguf: %s\n' % (name, words))


def broken():
    """The bytes are wrong: --tensors refuses them too."""
    ok = [key('general.architecture', TEXT, 'llama')]
    one = [('x', (2,), 0, b'\0' * 8)]
    bad('version-1', 'version 1 is not supported', whole(ok, one, version=1))
    bad('version-4', 'version 4 is not supported', whole(ok, one, version=4))
    bad('big-endian', 'a big-endian file', whole(ok, one, version=3 << 24))
    bad('keys-many', 'keys do not fit into the file',
        whole(ok, one, n_keys=1 << 60))
    bad('tensors-many', 'tensors do not fit into the file',
        whole(ok, one, n_tensors=(1 << 64) - 1))
    bad('keys-more', 'GGUF', whole(ok, one, n_keys=2))
    bad('key-long', 'cut short', whole(
        [struct.pack('<Q', (1 << 64) - 1) + b'x' * 40], one))
    bad('key-twice', "two keys are called 'general.architecture'",
        whole(ok + ok, one))
    bad('key-65536', 'at most 65535 are allowed',
        whole([key('k' * 65536, U8, 1)], one))
    bad('text-long', "key 'k': cut short", whole(
        [text('k') + struct.pack('<IQ', TEXT, 1 << 62)], one))
    bad('array-long', "key 'k': cut short", whole(
        [text('k') + struct.pack('<IIQ', ARRAY, U64, (1 << 61) + 1)], one))
    bad('array-texts', "key 'k': cut short", whole(
        [text('k') + struct.pack('<IIQ', ARRAY, TEXT, 1 << 61)], one))
    bad('array-array', "key 'k': is an array of arrays", whole(
        [text('k') + struct.pack('<IIQ', ARRAY, ARRAY, 1) +
         struct.pack('<IQ', U8, 0)], one))
    bad('array-type', "has a value of type 99", whole(
        [text('k') + struct.pack('<IIQ', ARRAY, 99, 1) + b'\0' * 8], one))
    bad('value-type', "has a value of type 13", whole(
        [text('k') + struct.pack('<I', 13) + b'\0' * 8], one))
    bad('bool', "is 2, neither true nor false",
        whole([key('k', BOOL, 2)], one))
    bad('bools', "is 3, neither true nor false",
        whole([key('k', ARRAY, (BOOL, [1, 0, 3]))], one))
    for a in (0, 3, 4, 48, 1 << 31):
        bad('alignment-%d' % a, "'general.alignment' is %d, wants a power" % a,
            whole(ok + [key('general.alignment', U32, a)], one))
    bad('alignment-text', "'general.alignment' is no uint32",
        whole(ok + [key('general.alignment', TEXT, '32')], one))

    def tensor(name, words, *t, n=1, more=b'\0' * 64):
        head = whole(ok, [], n_tensors=n) + b''.join(t)
        bad(name, words, head + b'\0' * (-len(head) % 32) + more)

    tensor('rank-0', 'has 0 dimensions, wants 1 to 4', info('x', (), 0, 0))
    tensor('rank-5', 'has 5 dimensions, wants 1 to 4',
           info('x', (1,) * 5, 0, 0))
    tensor('rank-huge', 'has 4294967295 dimensions',
           text('x') + struct.pack('<I', (1 << 32) - 1) + b'\0' * 64)
    tensor('dim-0', 'has a dimension of 0', info('x', (0,), 0, 0))
    tensor('dim-negative', 'has a dimension of 18446744073709551615',
           info('x', ((1 << 64) - 1,), 0, 0))
    tensor('dims-overflow', 'too many elements to count',
           info('x', (1 << 40, 1 << 40), 0, 0))
    tensor('bytes-overflow', 'elements', info('x', (1 << 62,), 0, 0))
    tensor('wraps', 'too many elements to count',
           info('x', (1 << 32, 1 << 32, 4), 0, 0))
    tensor('type', 'is of type 77, which is not supported',
           info('x', (1,), 77, 0))
    tensor('type-iq4', 'is of type IQ4_XS, which is not supported',
           info('x', (256,), 23, 0))
    tensor('rows', 'wants multiples of 32', info('x', (16, 2), 8, 0))
    tensor('rows-256', 'wants multiples of 256', info('x', (64, 4), 14, 0))
    tensor('offset', 'lies at byte 32 of the data, wants 0',
           info('x', (1,), 0, 32))
    tensor('offset-huge', 'lies at byte 18446744073709551584 of the data',
           info('x', (1,), 0, (1 << 64) - 32))
    tensor('overlap', 'lies at byte 0 of the data, wants 32',
           info('x', (2,), 0, 0), info('y', (2,), 0, 0), n=2)
    tensor('gap', 'lies at byte 64 of the data, wants 32',
           info('x', (2,), 0, 0), info('y', (2,), 0, 64), n=2)
    tensor('cut', 'cut short?', info('x', (1 << 20,), 0, 0))
    tensor('trailing', '32 bytes belong to no tensor', info('x', (2,), 0, 0))
    tensor('twice', "two tensors are called 'x'", info('x', (2,), 0, 0),
           info('x', (2,), 0, 32), n=2)
    tensor('name-long', 'at most 64 are allowed', info('x' * 65, (2,), 0, 0))
    tensor('name-empty', 'is empty or has a zero byte', info('', (2,), 0, 0))
    tensor('name-zero', 'is empty or has a zero byte',
           info(b'a\0b', (2,), 0, 0))


def odd():
    """The bytes are right, the network is not."""
    t = llama_tensors()

    def llama(name, words, tensors=t, **keys):
        bad('llama-' + name, words, whole(llama_keys(**keys), tensors))

    llama('architecture', "the architecture 'falcon' is not supported",
          general__architecture=(TEXT, 'falcon'))
    llama('no-architecture', "has no text 'general.architecture'",
          general__architecture=None)
    llama('missing', "has no key 'llama.block_count'",
          llama__block_count=None)
    llama('unknown', "'llama.expert_count' is no key that we know",
          llama__expert_count=(U32, 8))
    llama('heads', "'llama.attention.head_count' is no integer",
          llama__attention__head_count=(ARRAY, (I32, [2, 2])))
    llama('blocks', "no tensor 'blk.2.attn_norm.weight'",
          llama__block_count=(U32, (1 << 31) - 1))
    llama('blocks-0', "'llama.block_count' is no number from 1",
          llama__block_count=(U32, 0))
    llama('blocks-1', "uses tensor 'blk.1.",
          llama__block_count=(U32, 1))
    llama('yarn', "of type 'yarn' are not supported",
          llama__rope__scaling__type=(TEXT, 'yarn'))
    llama('turned', '2 of 4 numbers are turned',
          llama__rope__dimension_count=(U32, 2))
    llama('head', 'at most 65536 are supported',
          llama__attention__head_count=(U32, 1),
          llama__attention__head_count_kv=(U32, 1),
          llama__attention__key_length=(U32, (1 << 31) - 2),
          llama__attention__value_length=(U32, (1 << 31) - 2))
    llama('split', 'is one of several files', split__count=(U16, 2))
    llama('epsilon', 'is no number above 0',
          llama__attention__layer_norm_rms_epsilon=(F32, float('nan')))
    llama('vocabulary', 'the configuration wants float32 [14,8]',
          llama__vocab_size=(U32, 14))
    llama('no-words', "has no matrix 'token_embd.weight'",
          [x for x in t if x[0] != 'token_embd.weight'])
    llama('more', "uses tensor 'more'", t + [('more', (1,), 0, b'\0' * 4)])
    llama('freqs', "'rope_freqs.weight' has what is no number above 0",
          t + [('rope_freqs.weight', (2,), 0, b'\0' * 8)])
    llama('freqs-shape', "'rope_freqs.weight' is no float32 [2]",
          t + [('rope_freqs.weight', (1,), 0, b'\0' * 4)])


for kind in ('good', 'bad'):
    os.makedirs(os.path.join(here, kind), exist_ok=True)
    for f in os.listdir(os.path.join(here, kind)):
        os.remove(os.path.join(here, kind, f))
blocks()
save('good/llama.gguf', whole(llama_keys(), llama_tensors()))
save('good/llama-64.gguf', whole(
    llama_keys(general__alignment=(U32, 64), llama__rope__freq_base=None,
               llama__rope__dimension_count=None), llama_tensors() +
    [('rope_freqs.weight', (2,), 0, struct.pack('<2f', 1, 1))], 64, 2))
broken()
odd()
save('bad.txt', ''.join(sorted(bad_lines)).encode())
