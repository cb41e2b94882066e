# ax-import on programs of PyTorch: torch.export and TorchScript archives. The
# samples are those that tests/formats/aten/make.py wrote down.
load common

samples=$root/tests/formats/aten

# Import sample $1, run it, and compare with what PyTorch gave.
gives() {
    name=${1%%.*}
    ax-import "$samples/good/$1" -o got.axm &&
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

@test "a program that is cut short is one line and exit 65" {
    size=$(stat -c %s "$samples/good/net.pt2")
    for ((n = 1; n < size; n += 997)); do
        head -c "$n" "$samples/good/net.pt2" >cut.pt2
        refuses 65 cut.pt2 ax-import -o x.axm cut.pt2
    done
}
