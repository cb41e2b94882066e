#!/usr/bin/env python3
"""Make the ONNX samples of this folder: one small model a file.

What is in good/ must be imported, what is in bad/ refused with the words
that tests/cli/import.bats expects. Needs numpy and the onnx package; the
samples are committed, so that tests do not.
"""
import os
import sys

import numpy as np
from onnx import TensorProto as T
from onnx import helper as h
from onnx import numpy_helper

here = os.path.dirname(os.path.abspath(__file__))


def const(name, value, dtype=np.float32):
    return numpy_helper.from_array(np.asarray(value, dtype), name)


def ints(name, value):
    return const(name, value, np.int64)


def value(name, shape, kind=T.FLOAT):
    return h.make_tensor_value_info(name, kind, shape)


def model(nodes, x, y, init=(), opset=13, **more):
    graph = h.make_graph(nodes, "g", x, y, list(init), **more)
    m = h.make_model(graph, opset_imports=[h.make_opsetid("", opset)],
                     producer_name="")
    m.ir_version = 7
    return m


def save(path, m):
    path = os.path.join(here, path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(m if isinstance(m, bytes) else m.SerializeToString())


def one(op, x, y, init=(), opset=13, n_out=1, inputs=None, kind=T.FLOAT,
        **attrs):
    """A model of one node: from x, and the constants in init, to y."""
    names = ["x"] + [i.name for i in init]
    outs = ["y"] + [f"y{k}" for k in range(1, n_out)]
    node = h.make_node(op, names if inputs is None else inputs, outs,
                       name="n", **attrs)
    return model([node], [value("x", x, kind)], [value("y", y, kind)], init,
                 opset)


def strings(op, n_in, outs, domain="", **attrs):
    """A node over strings; opset 20, or 4 of ai.onnx.ml."""
    names = ["x", "z"][:n_in]
    m = model([h.make_node(op, names, [o for o, _ in outs], name="n",
                           domain=domain, **attrs)],
              [value(n, ["N"], T.STRING) for n in names],
              [value(o, None, kind) for o, kind in outs], opset=20)
    if domain:
        m.opset_import.append(h.make_opsetid(domain, 4))
    return m


def dropout_training():
    return model([h.make_node("Dropout", ["x", "r", "t"], ["y", "m"],
                              seed=5)],
                 [value("x", [8])], [value("y", [8]),
                                     value("m", [8], T.BOOL)],
                 [const("r", 0.25), const("t", True, bool)])


def good():
    yield "strings-concat", strings("StringConcat", 2, [("y", T.STRING)])
    yield "strings-equal", strings("Equal", 2, [("y", T.BOOL)])
    yield "strings-split", strings("StringSplit", 1, [("y", T.STRING),
                                                      ("n", T.INT64)],
                                   delimiter=",")
    yield "strings-labels", strings("LabelEncoder", 1, [("y", T.STRING)],
                                    "ai.onnx.ml", keys_strings=["a", "b"],
                                    values_strings=["one", "two"])
    yield "strings-upper", strings("StringNormalizer", 1, [("y", T.STRING)],
                                   case_change_action="UPPER",
                                   stopwords=["the"])
    yield "dropout-training", dropout_training()
    yield "loop", loop()
    yield "if", choice()
    yield "if-if", choice(3)
    yield "scaler", learned("Scaler", offset=[1.], scale=[2., 3.])
    yield "zipmap", zipmap()
    yield "lstm", one("LSTM", ["T", 1, 2], ["T", 1, 1, 3],
                      [const("w", np.ones((1, 12, 2))),
                       const("r", np.ones((1, 12, 3)))], hidden_size=3)
    f4 = ["N", 4]
    yield "relu", one("Relu", f4, f4)
    yield "order", model([h.make_node("Relu", ["a"], ["y"]),
                          h.make_node("Relu", ["x"], ["a"])],
                         [value("x", f4)], [value("y", f4)])
    yield "reduce18", one("ReduceMean", f4, ["N", 1], [ints("a", [1])],
                          opset=18)
    yield "split18", one("Split", [2, 5], [2, 3], opset=18, n_out=2, axis=1,
                         num_outputs=2)
    yield "gelu20", one("Gelu", f4, f4, opset=20)
    yield "layernorm", one("LayerNormalization", f4, f4,
                           [const("s", [1] * 4)], opset=17)
    yield "upsample", one("Upsample", [1, 1, 2, 2], [1, 1, 4, 6],
                          [const("s", [1, 1, 2, 3])], opset=9)
    yield "resize11", one("Resize", [1, 1, 2, 2], [1, 1, 4, 6],
                          [const("r", []), const("s", []),
                           ints("t", [1, 1, 4, 6])], opset=11,
                          coordinate_transformation_mode="asymmetric",
                          nearest_mode="floor")
    yield "convtranspose", one("ConvTranspose", [1, 1, 2, 2], [1, 1, 5, 5],
                               [const("w", np.ones((1, 1, 3, 3)))],
                               strides=[2, 2])
    yield "topk", one("TopK", f4, ["N", 2], [ints("k", [2])], n_out=2)
    yield "gemm", one("Gemm", f4, ["N", 2],
                      [const("w", np.arange(8).reshape(2, 4) / 8),
                       const("b", [1, -1])], alpha=1.0, beta=1.0, transB=1)
    yield "clip6", one("Clip", f4, f4, opset=7, min=-1.0, max=2.0)
    yield "clip6-max", one("Clip", f4, f4, opset=10, max=2.0)
    yield "add6", one("Add", [2, 3, 4], [2, 3, 4], [const("b", [1, 2, 3])],
                      opset=6, axis=1, broadcast=1)
    yield "prelu6", one("PRelu", [1, 2, 3], [1, 2, 3], [const("s", [1, 2])],
                        opset=6)
    yield "pad2", one("Pad", [1, 2], [1, 5], opset=10, mode="constant",
                      pads=[0, 1, 0, 2], value=3.0)
    yield "slice1", one("Slice", [4, 6], [2, 6], opset=9, axes=[0],
                        starts=[1], ends=[3])
    yield "squeeze1", one("Squeeze", [1, 3], [3], opset=11, axes=[0])
    yield "unsqueeze1", one("Unsqueeze", [3], [3, 1], opset=11, axes=[1])
    yield "reducesum1", one("ReduceSum", [2, 3], [2], opset=11, axes=[1],
                            keepdims=0)
    yield "split2", one("Split", [2, 7], [2, 3], opset=11, n_out=2, axis=1,
                        split=[3, 4])
    yield "softmax1", one("Softmax", [2, 5], [2, 5], opset=9, axis=1)
    yield "softmax1-dflt", one("Softmax", [2, 5], [2, 5], opset=9)
    yield "dropout7", one("Dropout", f4, f4, opset=7, ratio=0.3)
    yield "dropout12", one("Dropout", f4, f4, [const("r", 0.3),
                                               const("t", False, bool)],
                           opset=12)
    w = const("w", np.ones((2, 3, 3, 3)) / 32)
    yield "conv", one("Conv", [1, 3, 8, 8], [1, 2, 4, 4], [w],
                      kernel_shape=[3, 3], strides=[2, 2],
                      pads=[1, 1, 1, 1], dilations=[1, 1], group=1)
    yield "conv-same", one("Conv", [1, 3, 8, 8], [1, 2, 4, 4], [w],
                           strides=[2, 2], auto_pad="SAME_LOWER")
    yield "conv-valid", one("Conv", [1, 3, 8, 8], [1, 2, 6, 6], [w],
                            auto_pad="VALID")
    yield "maxpool", one("MaxPool", [1, 2, 5, 5], [1, 2, 3, 3], opset=10,
                         kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1)
    yield "transpose", one("Transpose", [2, 3], [3, 2], perm=[1, 0])
    yield "constantofshape", model(
        [h.make_node("ConstantOfShape", ["s"], ["c"],
                     value=h.make_tensor("v", T.FLOAT, [1], [2.5])),
         h.make_node("Add", ["x", "c"], ["y"])],
        [value("x", [2, 3])], [value("y", [2, 3])], [ints("s", [2, 3])])
    yield "constants", model(
        [h.make_node("Constant", [], ["a"], value_float=2.0),
         h.make_node("Constant", [], ["b"], value=const("", [1, 2])),
         h.make_node("Mul", ["x", "a"], ["m"]),
         h.make_node("Add", ["m", "b"], ["y"])],
        [value("x", ["N", 2])], [value("y", ["N", 2])])
    # Initialisers that are listed as inputs too, as up to IR version 3.
    yield "ir3", model([h.make_node("Add", ["x", "c"], ["y"])],
                       [value("x", [2]), value("c", [2])], [value("y", [2])],
                       [const("c", [1, 2])])
    # [N, 3, 4] to [N, 12], by way of Shape: folds but for N.
    yield "shapes", model(
        [h.make_node("Shape", ["x"], ["s"]),
         h.make_node("Gather", ["s", "i0"], ["n"]),
         h.make_node("Gather", ["s", "i1"], ["three"]),
         h.make_node("Gather", ["s", "i2"], ["four"]),
         h.make_node("Mul", ["three", "four"], ["twelve"]),
         h.make_node("Unsqueeze", ["n", "zero"], ["n1"]),
         h.make_node("Unsqueeze", ["twelve", "zero"], ["twelve1"]),
         h.make_node("Concat", ["n1", "twelve1"], ["to"], axis=0),
         h.make_node("Reshape", ["x", "to"], ["y"])],
        [value("x", ["N", 3, 4])], [value("y", ["N", 12])],
        [ints("i0", 0), ints("i1", 1), ints("i2", 2), ints("zero", [0])])
    # Their lengths follow from constants; the last's from the input.
    yield "ranges", model(
        [h.make_node("Range", ["p0", "p5", "p2"], ["a"]),
         h.make_node("Range", ["p5", "p0", "m2"], ["b"]),
         h.make_node("Range", ["p0", "m2", "p2"], ["c"]),
         h.make_node("Range", ["p5", "p5", "m2"], ["d"]),
         h.make_node("Shape", ["x"], ["s"]),
         h.make_node("Gather", ["s", "p0"], ["n"]),
         h.make_node("Range", ["p0", "n", "p2"], ["e"])],
        [value("x", ["N"])],
        [value(y, None, T.INT64) for y in "abcde"],
        [ints("p0", 0), ints("p5", 5), ints("p2", 2), ints("m2", -2)])
    # Every way to write a tensor down.
    kinds = [("f32", T.FLOAT, [1.5, -2]), ("f64", T.DOUBLE, [1.5, -2]),
             ("i8", T.INT8, [1, -2]), ("u8", T.UINT8, [1, 255]),
             ("i16", T.INT16, [1, -2]), ("u16", T.UINT16, [1, 65535]),
             ("i32", T.INT32, [1, -2]), ("u32", T.UINT32, [1, 2**32 - 1]),
             ("i64", T.INT64, [1, -2]), ("u64", T.UINT64, [1, 2**64 - 1]),
             ("f16", T.FLOAT16, [1.5, -2]), ("bool", T.BOOL, [True, False])]
    for name, kind, v in kinds:
        for raw in (False, True):
            data = (np.asarray(v, h.tensor_dtype_to_np_dtype(kind)).tobytes()
                    if raw else v)
            c = h.make_tensor("c", kind, [2], data, raw=raw)
            yield f"tensor-{name}-{'raw' if raw else 'field'}", model(
                [h.make_node("Identity", ["c"], ["y"])], [],
                [value("y", [2], kind)], [c])


def loop(body_out=("go", "s2", "t")):
    """y = x plus 0, 1 and 2, and the partial sums: from an outer value."""
    body = h.make_graph(
        [h.make_node("Identity", ["c"], ["go"]),
         h.make_node("Cast", ["k"], ["f"], to=T.FLOAT),
         h.make_node("Mul", ["f", "one"], ["f1"]),
         h.make_node("Add", ["s", "f1"], ["s2"]),
         h.make_node("Identity", ["s2"], ["t"])],
        "body",
        [value("k", [], T.INT64), value("c", [], T.BOOL), value("s", [2])],
        [value(n, None) if n != "go" else value(n, [], T.BOOL)
         for n in body_out])
    node = h.make_node("Loop", ["three", "", "x"], ["y", "y1"], body=body,
                       name="n")
    return model([node], [value("x", [2])],
                 [value("y", [2]), value("y1", [3, 2])],
                 [const("three", 3, np.int64), const("one", 1)])


def branch(*nodes, out="z"):
    return h.make_graph(list(nodes), "b", [], [value(out, None)])


def choice(depth=1, innermost=None):
    """y = relu x where its sum is positive, -x where not, at some depth."""
    yes = branch(innermost or h.make_node("Relu", ["x"], ["z"], name="r"))
    for _ in range(depth - 1):
        yes = branch(h.make_node("If", ["p"], ["z"], then_branch=yes,
                                 else_branch=yes))
    no = branch(h.make_node("Squeeze", ["x"], ["w"], axes=[0]),
                h.make_node("Neg", ["w"], ["v"]),
                h.make_node("Unsqueeze", ["v"], ["z"], axes=[0]))
    return model([h.make_node("ReduceSum", ["x"], ["s"], keepdims=0),
                  h.make_node("Greater", ["s", "zero"], ["p"]),
                  h.make_node("If", ["p"], ["y"], then_branch=yes,
                              else_branch=no, name="n")],
                 [value("x", [1, 3])], [value("y", [1, 3])],
                 [const("zero", 0)], opset=11)


def nested(n):
    """If in If, N deep, put together from the inside as bytes."""
    g = branch(h.make_node("Relu", ["x"], ["z"])).SerializeToString()
    for _ in range(n):
        def field(number, data):
            head, size = bytes([number << 3 | 2]), len(data)
            while size > 127:
                head += bytes([size & 127 | 128])
                size >>= 7
            return head + bytes([size]) + data
        node = field(1, b"p") + field(2, b"z") + field(4, b"If")
        for name, inner in ((b"else_branch", g), (b"then_branch", b"")):
            node += field(5, field(1, name) + field(6, inner) +
                          b"\xa0\x01\x05")
        g = field(1, node) + field(2, b"b") + field(12, field(1, b"z"))
    m = model([], [value("x", [1, 3]), value("p", [], T.BOOL)],
              [value("z", None)]).SerializeToString()
    at = m.index(b"\x3a")  # the graph is field 7, and short
    rest = m[at + 2 + m[at + 1]:]
    ends = (b"".join(field(11, v.SerializeToString())
                     for v in (value("x", [1, 3]), value("p", [], T.BOOL))))
    return m[:at] + field(7, g + ends) + rest


def learned(op, opset=1, y="y", shape=("N", 2), **attrs):
    outs = ["label", y] if op.endswith("Classifier") else [y]
    m = model([h.make_node(op, ["x"], outs, name="n", domain="ai.onnx.ml",
                           **attrs)],
              [value("x", ["N", 2])], [value(y, list(shape))])
    del m.opset_import[:]
    m.opset_import.append(h.make_opsetid("ai.onnx.ml", opset))
    return m


def zipmap():
    m = learned("LinearClassifier", coefficients=[1., 2., 3., 4.],
                intercepts=[0., 1.], classlabels_ints=[5, 7],
                post_transform="SOFTMAX", y="p")
    m.graph.node.append(h.make_node("ZipMap", ["p"], ["y"],
                                    domain="ai.onnx.ml",
                                    classlabels_int64s=[5, 7]))
    del m.graph.output[:]
    y = m.graph.output.add(name="y")
    t = y.type.sequence_type.elem_type.map_type
    t.key_type = T.INT64
    t.value_type.tensor_type.elem_type = T.FLOAT
    return m


def rank_unknown():
    """Where b lies depends on the rank of h, which nothing tells."""
    return model([h.make_node("Relu", ["x"], ["h"], "r"),
                  h.make_node("Add", ["h", "b"], ["y"], "n", axis=1,
                              broadcast=1)],
                 [value("x", [2, 3, 4])], [value("y", [2, 3, 4])],
                 [const("b", [1, 2, 3])], opset=6)


def bad():
    yield "loop-outputs", loop(("go", "s2"))
    yield "nested", nested(70)
    yield "branch", choice(2, h.make_node("Relu", ["x"], ["z"], name="r",
                                          alpha=1.))
    yield "branch-name", choice(1, h.make_node("Relu", ["nowhere"], ["z"]))
    yield "labels", learned("LinearClassifier", coefficients=[1., 2.],
                            classlabels_strings=["a", "b"], y="p")
    yield "opset-ml", learned("Scaler", 9, offset=[0.], scale=[1.])
    f4 = ["N", 4]
    yield "operator", one("Frobnicate", f4, f4)
    yield "domain", model(
        [h.make_node("Relu", ["x"], ["y"], domain="com.example")],
        [value("x", f4)], [value("y", f4)])
    yield "attribute", one("Relu", f4, f4, alpha=1.0)
    yield "attribute-kind", one("Flatten", f4, f4, axis=1.0)
    yield "attribute-missing", one("Concat", f4, f4)
    yield "spatial", one("BatchNormalization", f4, f4,
                         [const(c, [1] * 4) for c in "sbmv"], opset=7,
                         spatial=0)
    yield "softmax-old", one("Softmax", [2, 3, 4], [2, 3, 4], opset=9)
    yield "opset-5", one("Relu", f4, f4, opset=5)
    yield "add6-rank", rank_unknown()
    yield "cycle", model([h.make_node("Add", ["x", "b"], ["a"], name="n"),
                          h.make_node("Relu", ["a"], ["b"]),
                          h.make_node("Relu", ["b"], ["y"])],
                         [value("x", f4)], [value("y", f4)])
    latin = model([h.make_node("Relu", ["x"], ["y"], name="caf@")],
                  [value("x", f4)], [value("y", f4)])
    yield "utf8", latin.SerializeToString().replace(b"caf@", b"caf\xe9")
    yield "twice", model([h.make_node("Relu", ["x"], ["y"]),
                          h.make_node("Relu", ["x"], ["y"])],
                         [value("x", f4)], [value("y", f4)])
    yield "shape", one("MatMul", [2, 3], [2, 2], [const("w", [[1, 2]])])
    yield "output-shape", one("Relu", [2, 3], [2, 2])
    yield "reshape", one("Reshape", [2, 3], [4, 2], [ints("s", [4, 2])])
    short = const("c", [1, 2, 3])
    short.raw_data = short.raw_data[:-1]
    yield "tensor-short", model([h.make_node("Identity", ["c"], ["y"])], [],
                                [value("y", [3])], [short])
    huge = T(name="c", data_type=T.FLOAT, dims=[1 << 40, 1 << 40])
    yield "tensor-huge", model([h.make_node("Identity", ["c"], ["y"])], [],
                               [value("y", [3])], [huge])
    wide = T(name="c", data_type=T.INT8, dims=[1], int32_data=[300])
    yield "tensor-range", model([h.make_node("Identity", ["c"], ["y"])], [],
                                [value("y", [1], T.INT8)], [wide])
    text = T(name="c", data_type=T.STRING, dims=[1], string_data=[b"x"])
    yield "tensor-string", model([h.make_node("Identity", ["c"], ["y"])], [],
                                 [value("y", [1])], [text])
    both = const("c", [1, 2, 3])
    both.float_data.extend([1, 2, 3])
    yield "tensor-both", model([h.make_node("Identity", ["c"], ["y"])], [],
                               [value("y", [3])], [both])
    for name, where in (("outside", "../c.bin"), ("absolute", "/etc/passwd"),
                        ("absent", "none.bin")):
        yield f"external-{name}", external(where)
    nul = one("Relu", f4, f4).SerializeToString()
    yield "zero-byte", nul.replace(b"\x0a\x01x\x12\x01y",
                                   b"\x0a\x01\0\x12\x01y")
    yield "cut", nul[:-3]


def external(where):
    c = T(name="c", data_type=T.FLOAT, dims=[2],
          data_location=T.EXTERNAL)
    c.external_data.add(key="location", value=where)
    c.external_data.add(key="offset", value="4")
    return model([h.make_node("Add", ["x", "c"], ["y"])], [value("x", [2])],
                 [value("y", [2])], [c])


def main():
    for name, m in good():
        save(f"good/{name}.onnx", m)
    for name, m in bad():
        save(f"bad/{name}.onnx", m)
    save("good/external.onnx", external("data/c.bin"))
    save("good/data/c.bin", np.asarray([9, 1, 2], np.float32).tobytes())


if __name__ == "__main__":
    sys.exit(main())
