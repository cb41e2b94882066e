#!/usr/bin/env python3
"""Make norm.onnx: two batch normalisations, one behind a MatMul and an Add
and one of the input, a Dropout, and a weight that is computed. Needs numpy
and the onnx package; the file is committed, so that tests do not."""
import os

import numpy as np
from onnx import TensorProto, helper as h, numpy_helper

rng = np.random.RandomState(3)
init = []


def const(name, a):
    init.append(numpy_helper.from_array(np.asarray(a, np.float32), name))
    return name


def norm(k, n):
    return [const(f"scale{k}", rng.uniform(0.5, 1.5, n)),
            const(f"shift{k}", rng.uniform(-1, 1, n)),
            const(f"mean{k}", rng.uniform(-1, 1, n)),
            const(f"var{k}", rng.uniform(0.5, 2, n))]


nodes = [
    h.make_node("BatchNormalization", ["x"] + norm(0, 2), ["a"], "bn0"),
    h.make_node("MatMul", ["a", const("w1", rng.uniform(-1, 1, (2, 6)))],
                ["b"], "fc1"),
    h.make_node("Add", ["b", const("b1", rng.uniform(-1, 1, 6))], ["c"],
                "add1"),
    h.make_node("BatchNormalization", ["c"] + norm(1, 6), ["d"], "bn1"),
    h.make_node("Relu", ["d"], ["e"], "relu1"),
    h.make_node("Dropout", ["e"], ["f"], "drop1"),
    h.make_node("Mul", [const("w2", rng.uniform(-1, 1, (6, 2))),
                        const("half", 0.5)], ["w"], "times"),
    h.make_node("MatMul", ["f", "w"], ["y"], "fc2"),
]
graph = h.make_graph(
    nodes, "norm", [h.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2])],
    [h.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2])], init)
m = h.make_model(graph, opset_imports=[h.make_opsetid("", 15)],
                 producer_name="")
m.ir_version = 8
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)),
                       "norm.onnx"), "wb") as f:
    f.write(m.SerializeToString())
