# ax-import on programs of PyTorch: torch.export and TorchScript archives. The
# samples are those that tests/formats/aten/make.py wrote down.
load common

samples=$root/tests/formats/aten

# Import sample $1, with shape $2 if there is one, run it, and compare with what PyTorch gave.
gives() {
    name=${1%%.*}
    ax-import ${2:+--shape "$2"} "$samples/good/$1" -o got.axm 2>said &&
        [ ! -s said ] &&
        ax-run -o got.npz got.axm "$samples/good/$name.in.npy" &&
        "$root/tests/diff/npy-close" 1e-5 got.npz \
            "$samples/good/$name.out.npy"
}

@test "torch.export archives of either layout give what PyTorch gives" {
    for f in net.pt2 net.free.pt2 net.old.pt2; do
        gives "$f" || { echo "$f"; return 1; }
    done
    ax-import "$samples/good/net.free.pt2" | ax-show - | grep -q '\[N,2,4,8\]'
}

@test "TorchScript archives, scripted and traced, give what PyTorch gives" {
    for f in net.script.pt net.trace.pt; do
        gives "$f" 3,2,4,8 || { echo "$f"; return 1; }
        gives "$f" N,2,4,8 || { echo "$f"; return 1; }
        gives "$f" || { echo "$f, shape from its layers"; return 1; }
    done
    ax-import --shape x=float32:rows,2,4,8 "$samples/good/net.script.pt" |
        ax-show - | grep -q '\[rows,2,4,8\]'
}

@test "--shape is checked, and is for what has no shapes" {
    while IFS='|' read -r shape message; do
        refuses 64 "$message" ax-import --shape "$shape" -o x.axm \
            "$samples/good/net.script.pt"
    done <<'END'
0,2|a size is '0'
1,,2|wants up to 8 sizes
1,2,|ends with a comma
1,2,3,4,5,6,7,8,9|wants up to 8 sizes
int5:1|there is no type 'int5'
99999999999|a size is '99999999999'
END
    refuses 65 "are not a batch" ax-import --shape N,7 -o x.axm \
        "$samples/good/net.script.pt"
    refuses 64 "--shape is for TorchScript" ax-import --shape 1 --scan \
        "$samples/good/net.script.pt"
}

@test "the samples in ../shared give what PyTorch gave" {
    [ -d "$AX_SHARED/data/pytorch/torchscript" ] ||
        skip "AX_SHARED is not there: no foreign samples"
    for f in linrelu.script.pt mlp-1000-100-10.script.pt; do
        ref=$AX_SHARED/data/ref/pytorch/torchscript__$f
        ax-import -o got.axm "$AX_SHARED/data/pytorch/torchscript/$f"
        ax-run -o got.npz got.axm "$ref.in0.npy"
        "$root/tests/diff/npy-close" 1e-5 got.npz "$ref.out0.npy"
    done
    refuses 65 "input 'sr' is a int" ax-import -o x.axm \
        "$AX_SHARED/data/pytorch/torchscript/silero_vad.jit"
}

@test "the same module through ONNX gives the same outputs" {
    gives net.onnx
}

@test "tied weights are one tensor, and what is not used is not there" {
    ax-import "$samples/good/net.pt2" | ax-show - >text
    [ "$(grep -c 'float32 \[5,5\], ' text)" = 1 ]
    run ! grep num_batches text
}

# Change the program of a sample by a jq expression.
changed() {
    python3 - "$samples/good/net.old.pt2" "$1" <<'END'
import subprocess, sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as z, \
        zipfile.ZipFile("changed.pt2", "w") as to:
    for name in z.namelist():
        data = z.read(name)
        if name.endswith(".json"):
            data = subprocess.run(["jq", "-c", sys.argv[2]], input=data,
                                  stdout=-1, check=True).stdout
        to.writestr(name, data)
END
}

@test "what a program has and we do not is one line with node and argument" {
    while IFS='|' read -r message change; do
        changed "$change"
        refuses 65 "$message" ax-import -o x.axm changed.pt2
    done <<'END'
(torch.ops.aten.fft.default): is not supported|.graph_module.graph.nodes[2].target = "torch.ops.aten.fft.default"
node 'relu' (os.system): is not supported|.graph_module.graph.nodes[2].target = "os.system"
argument 'groups' is a number, which|.graph_module.graph.nodes[0].inputs[5].arg = {"as_float": 2.5} | .graph_module.graph.nodes[0].inputs[5].name = "groups"
argument 'volume' is not supported|.graph_module.graph.nodes[0].inputs[3].name = "volume"
argument 'training' is true|.graph_module.graph.nodes[1].inputs[5].arg = {"as_bool": true}
no value before it is called 'nobody'|.graph_module.graph.nodes[2].inputs[0].arg.as_tensor.name = "nobody"
'relu' is said to be float32 [3,4,4,5]|.graph_module.graph.tensor_values.relu.sizes[3].as_int = 5
tensor 'nowhere': is not in the archive|.graph_module.signature.input_specs[0].parameter.parameter_name = "nowhere"
kind 'buffer_mutation' is not supported|.graph_module.signature.output_specs[0] = {"buffer_mutation": {}}
dimension 3 is free|.graph_module.graph.tensor_values.x.sizes[3] = {"as_expr": {"expr_str": "s0"}}
is nested too deep|.graph_module.graph.nodes[2].inputs[0].arg = reduce range(20) as $i ({"as_none": true}; {"as_optional_tensor": .})
has no list of nodes|.graph_module.graph.nodes = {}
its program has no graph|.graph_module = 3
END
}

# Replace the body of the traced forward by $1, a line or several.
rewritten() {
    python3 - "$samples/good/net.trace.pt" "$1" <<'END'
import sys, zipfile
body = sys.argv[2].replace("\\n", "\n").replace("DEEP", "(" * 5000)
body = body.replace("LONG", "torch.relu(" * 150 + "x" + ")" * 150)
with zipfile.ZipFile(sys.argv[1]) as z, \
        zipfile.ZipFile("changed.pt", "w") as to:
    for name in z.namelist():
        data = z.read(name).decode("latin1")
        at = data.find("  def forward(")
        if name.endswith(".py") and "conv : " in data:
            head = data[at:data.index("\n", data.index("->"))]
            data = data[:at] + head + "\n    " + "\n    ".join(
                body.split("\n")) + "\n"
        to.writestr(name, data.encode("latin1"))
END
}

@test "code that a graph cannot be made of is one line with its place" {
    while IFS='|' read -r message body; do
        rewritten "$body"
        refuses 65 "$message" ax-import --shape 1,2,4,8 -o x.axm changed.pt
    done <<'END'
torch.fft: is not supported|return torch.fft(x)
line 16: '__torch__.os.system' is not in the archive|return __torch__.os.system("id")
'ops.os.system' is not supported|return ops.os.system("id")
'eval' is not supported|return eval("1")
module '' has no attribute 'nobody'|return self.nobody
a condition that depends on data|if torch.gt(x, 0):\n  return x\nreturn x
calls are nested more than 64 deep|return (self).forward(x, )
takes more than 1048576 steps|while True:\n  pass\nreturn x
takes more than 1048576 steps|for i in range(9000000000):\n  pass\nreturn x
the module changes its own state|self.scale = x\nreturn x
a list is too long|y = torch.mul([1], 99999999)\nreturn x
a number is malformed or too large|return torch.add(x, 99999999999999999999)
is nested too deep|return DEEP
the program gives up: boo|ops.prim.RaiseException("boo")\nreturn x
there is no constant 'c77'|return CONSTANTS.c77
'y' has no value|return y
wants a block|if True:\nreturn x
the program gives nothing|return None
text does not end|return torch.relu("x)
a character that is not known|return x @ x
writes to a tensor of which there are views|y = torch.relu(x)\nz = torch.view(y, [-1])\n_0 = torch.add_(y, 1)\nreturn z
the program changes its own state|fc = self.fc\nw = fc.bias\n_0 = torch.add_(w, 1)\nreturn w
argument 'alpha' is a tensor, which|return torch.add(x, x, alpha=x)
END
    rewritten 'y = torch.relu(x)\n_0 = torch.add_(y, 1)\nreturn LONG'
    ax-import --shape 1,2,4,8 -o x.axm changed.pt
    [ "$(ax-show x.axm | grep -c '^ *[0-9]* *Relu ')" = 150 ]
}

@test "a program that is cut short is one line and exit 65" {
    for f in net.pt2 net.script.pt; do
        size=$(stat -c %s "$samples/good/$f")
        for ((n = 1; n < size; n += 1997)); do
            head -c "$n" "$samples/good/$f" >cut.pt2
            refuses 65 cut.pt2 ax-import -o x.axm cut.pt2
        done
    done
}
