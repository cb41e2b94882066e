# ax-export: what comes back is what was imported.
load common

samples=$root/tests/formats/onnx

@test "import, export, import gives the same identity" {
    n=0
    for f in "$samples"/good/*.onnx; do
        ax-import -o a.axm "$f"
        ax-export -o b.onnx a.axm || { echo "$f"; return 1; }
        ax-import -o b.axm b.onnx || { echo "$f"; return 1; }
        [ "$(ax-show -i a.axm)" = "$(ax-show -i b.axm)" ] || {
            echo "$f: another identity"
            return 1
        }
        n=$((n + 1))
    done
    [ "$n" -ge 48 ]
}

@test "the same bytes through pipes, from either profile" {
    f=$root/tests/data/acasxu/net_1_1.onnx
    ax-import -o a.axm "$f"
    ax-import --raw -o raw.axm "$f"
    ax-export -o a.onnx a.axm
    ax-export --to onnx <a.axm | cmp - a.onnx
    ax-export raw.axm | cmp - a.onnx
}

@test "formats and operator sets that cannot be written are refused" {
    ax-import -o a.axm "$samples/good/gemm.onnx"
    ax-export --formats | grep -q '^onnx'
    refuses 64 "no format is called 'bogus'" ax-export -t bogus a.axm
    refuses 64 "--opset wants a number" ax-export --opset 0 a.axm
    run --separate-stderr ax-export --opset 99 -o b.onnx a.axm
    [ "$status" -ge 64 ] && [ "$status" -le 65 ] && [ ! -e b.onnx ]
    refuses 65 "gemm.onnx: " ax-export -o b.onnx "$samples/good/gemm.onnx"
    refuses 66 "none.axm: " ax-export -o b.onnx none.axm
    [ ! -e b.onnx ]
}

@test "a container that is cut short gives no file" {
    ax-import -o a.axm "$samples/good/gemm.onnx"
    head -c 100 a.axm >cut.axm
    refuses 65 "cut.axm: cut short" ax-export -o b.onnx cut.axm
    [ ! -e b.onnx ]
}

@test "a theorem of Coq: the weights' bits, the box, the claim" {
    ax-import -o a.axm "$root/tests/coq/tiny.onnx"
    p=$root/tests/coq/tiny.vnnlib
    ax-export --to coq -p "$p" -o Tiny.v a.axm
    grep -q '^Definition n_0_0 : neuron := (0x3ddffe48, \[0x3e7a3acd;' Tiny.v
    grep -q 'forall x : list R, ~ counterexample net unsafe_set x' Tiny.v
    grep -q '(\[(-1); (0)\]%Z, ((-275)%Z, 2%Z))' Tiny.v
    refuses 64 "wants a property" ax-export --to coq a.axm
    sed 's/2.75/-10/' "$p" >false.vnnlib
    refuses 1 "the property is violated" \
        ax-export --to coq -p false.vnnlib -o F.v a.axm
    [ ! -e F.v ]
}
