#!/usr/bin/env python3
"""Make the samples of this folder, with PyTorch 2.15 and numpy:

    python make.py

good/NAME.{pt2,free.pt2,old.pt2,script.pt,trace.pt,onnx} are one module each,
NAME.in.npy an input, NAME.out.npy what PyTorch gives for it. The old form of
a .pt2, as PyTorch 2.1 to 2.5 wrote it, is put together from the parts of the
new one. Weights are drawn anew each time: all files of a module together.
"""
import io
import json
import os
import warnings
import zipfile

import numpy as np
import torch
import torch.nn as nn

warnings.filterwarnings("ignore")
os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), "good"))


class Net(nn.Module):
    """Not square, dilated, in groups, tied, with a buffer and a constant."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3, stride=(1, 2), padding=1, groups=2)
        self.bn = nn.BatchNorm2d(4)
        self.dilated = nn.Conv2d(4, 3, 2, dilation=2)
        self.fc = nn.Linear(12, 5)
        self.again = nn.Linear(5, 5)
        self.third = nn.Linear(5, 5)
        self.third.weight = self.again.weight
        self.drop = nn.Dropout(0.5)
        self.register_buffer("scale", torch.tensor([1.0, 2, 3, 4, 5]))

    def forward(self, x):
        x = torch.relu(self.bn(self.conv(x)))
        x = torch.flatten(self.dilated(x), 1)
        x = torch.tanh(self.drop(self.fc(x))) * self.scale
        x = self.third(torch.sigmoid(self.again(x))) + torch.tensor(0.25)
        return torch.softmax(x, dim=-1)


def old(new, path, model):
    with zipfile.ZipFile(new) as z:
        root = z.namelist()[0].split("/")[0]
        program = json.loads(z.read(root + "/models/model.json"))
    constants = {s["tensor_constant"]["tensor_constant_name"]:
                 torch.tensor(0.25)
                 for s in program["graph_module"]["signature"]["input_specs"]
                 if "tensor_constant" in s}
    with zipfile.ZipFile(path, "w") as z:
        z.writestr("serialized_exported_program.json", json.dumps(program))
        for name, what in (("state_dict", dict(model.state_dict())),
                           ("constants", constants)):
            f = io.BytesIO()
            torch.save(what, f)
            z.writestr("serialized_%s.pt" % name, f.getvalue())
        z.writestr("version", "8.0")


def save(name, model, x):
    model.eval()
    for b in model.buffers():
        if b.dtype == torch.float32 and b.dim() == 1 and name == "net":
            b.data = b.data + torch.rand_like(b)
    np.save(name + ".in.npy", x.numpy())
    np.save(name + ".out.npy", model(x).detach().numpy())
    torch.jit.script(model).save(name + ".script.pt")
    torch.jit.trace(model, x).save(name + ".trace.pt")
    torch.export.save(torch.export.export(model, (x,)), name + ".pt2")
    dims = {0: torch.export.Dim("n")}
    torch.export.save(torch.export.export(
        model, (x,), dynamic_shapes=(dims,)), name + ".free.pt2")
    old(name + ".pt2", name + ".old.pt2", model)
    torch.onnx.export(model, x, name + ".onnx", dynamo=False,
                      opset_version=17, dynamic_axes={"x": {0: "n"}},
                      input_names=["x"])


torch.manual_seed(7)
save("net", Net(), torch.randn(3, 2, 4, 8))
