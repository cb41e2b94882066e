# ax-import on checkpoints of PyTorch and on safetensors. The samples are those
# that tests/formats/torch/make.py wrote down.
load common

samples=$root/tests/formats/torch

@test "tensors are listed, exact to the byte, from every container" {
    n=0
    for f in "$samples"/good/*; do
        case $f in *.txt) continue ;; esac
        ax-import --tensors "$f" >list || { echo "$f"; return 1; }
        diff "$f.txt" list || { echo "$f"; return 1; }
        ax-import --tensors <"$f" | cmp - list
        ax-import --tensors - < <(cat "$f") | cmp - list
        n=$((n + 1))
    done
    [ "$n" -ge 22 ]
}

@test "the list as JSON says the same, and how tensors lie" {
    ax-import --tensors --json "$samples/good/views.pt" >list.json
    jq -r '.tensors[] | "\(.sha256)  \(.dtype) [\(.shape | map(tostring) |
        join(","))]  \(.name)"' list.json | cmp - "$samples/good/views.pt.txt"
    [ "$(jq -c '.schema, .format' list.json | tr -d '\n')" = \
        '"ax.import.tensors/1""torch-zip"' ]
    [ "$(jq -c '.tensors[] | select(.name == "columns") |
        [.stride, .contiguous]' list.json)" = '[[1,4],false]' ]
    # All views share one storage.
    [ "$(jq '[.tensors[].storage] | unique | length' list.json)" = 1 ]
    for pair in plain.pt:torch-zip legacy.pt:torch-legacy first.tar:torch-tar \
        nested.zip:archive some.safetensors:safetensors; do
        [ "$(ax-import --tensors --json "$samples/good/${pair%:*}" |
            jq -r .format)" = "${pair#*:}" ]
    done
}

@test "what is wrong with a checkpoint is one line and exit 65" {
    n=0
    while IFS= read -r line; do
        refuses 65 "${line#*: }" ax-import --tensors "$samples/bad/${line%%: *}"
        n=$((n + 1))
    done <"$samples/bad.txt"
    [ "$n" -eq "$(find "$samples/bad" -type f | wc -l)" ]
    [ "$n" -ge 68 ]
}

@test "a checkpoint that is cut short is refused, wherever" {
    for f in plain.pt deflated.pt legacy.pt first.tar some.safetensors; do
        size=$(wc -c <"$samples/good/$f")
        at=0
        # A tar is whole before its last block of zeros.
        [ "$f" != first.tar ] || size=$((size - 512))
        while [ "$at" -lt "$size" ]; do
            head -c "$at" "$samples/good/$f" >short
            refuses 65 "" ax-import --tensors short
            at=$((at + size / 40 + 1))
        done
    done
}

@test "a checkpoint with a bit changed is read or refused, and no more" {
    for f in plain.pt legacy.pt first.tar some.safetensors; do
        size=$(wc -c <"$samples/good/$f")
        at=1
        while [ "$at" -lt "$size" ]; do
            cp "$samples/good/$f" flipped
            c=$(od -An -tu1 -j "$at" -N 1 flipped)
            # shellcheck disable=SC2059
            printf "\\$(printf %o $((c ^ (1 << at % 8))))" |
                dd of=flipped bs=1 seek="$at" conv=notrunc status=none
            run --separate-stderr ax-import --tensors flipped
            [ "$status" -eq 0 ] || {
                [ "$status" -eq 65 ] && [ "${#stderr_lines[@]}" -eq 1 ] ||
                    { echo "$f $at: $status $stderr"; return 1; }
            }
            at=$((at + size / 60 + 1))
        done
    done
}

@test "a scan finds what Python would run, however it is hidden" {
    n=0
    for f in "$samples"/scan/*; do
        run ax-import --scan "$f"
        [ "$status" -eq 1 ] || { echo "$f: $status"; return 1; }
        case $f in
        *unknown.pkl) want=unknown ;;
        *) want=dangerous ;;
        esac
        grep -q "^$want " <<<"$output" || { echo "$f"; return 1; }
        n=$((n + 1))
    done
    [ "$n" -ge 16 ]
    gives 1 "$(printf '%-10s  %s\n' dangerous 'os.system  in a.zip:b.pkl')
1 pickle, 0 harmless, 0 unknown, 1 dangerous, 0 unreadable" \
        ax-import --scan "$samples/scan/deep.zip"
    ax-import --scan --json "$samples/scan/cut.pkl" >scan.json || [ $? -eq 1 ]
    [ "$(jq -c '[.schema, .harmless, .findings[].verdict]' scan.json)" = \
        '["ax.import.scan/1",false,"dangerous","unreadable"]' ]
}

@test "a scan of what is harmless says so" {
    for f in "$samples"/good/*; do
        case $f in *.txt) continue ;; esac
        ax-import --scan "$f" >list || { echo "$f"; cat list; return 1; }
        ! grep -qv -e '^harmless ' -e ' 0 unknown, 0 dangerous, 0 unr' list
    done
    printf 'hello' >text
    refuses 65 "holds no pickle" ax-import --scan text
    refuses 64 "make no container" ax-import --scan -o x "$samples/good/plain.pt"
    refuses 64 "one of --scan" ax-import --scan --tensors "$samples/good/plain.pt"
    refuses 64 "--json is for" ax-import --json "$samples/good/plain.pt"
}

@test "real checkpoints have the tensors that PyTorch says" {
    need_shared data/ref/pytorch
    n=0
    for ref in "$shared"/*.tensors.json; do
        file=$AX_SHARED/data/$(jq -r .file "$ref")
        ax-import --tensors --json "$file" >list.json || return 1
        # What PyTorch calls by its stubs; a scripted module also has plain
        # attributes, which are no part of the reference.
        jq -c '.tensors[] | [(.name | gsub("<[^>]*>"; "") |
            gsub("/_buffers/"; ".")), .dtype, .shape, .stride, .sha256_le]' \
            "$ref" | sort >want
        jq -c '.tensors[] | select(.shape != [0] or
            (.name | startswith("_") | not)) |
            [.name, .dtype, .shape, .stride, .sha256]' list.json | sort >got
        diff want got || { echo "$file"; return 1; }
        n=$((n + 1))
    done
    [ "$n" -ge 23 ]
}

@test "the malicious files of other scanners are all found" {
    need_shared data/security/picklescan-data.tar.zst
    zstd -dcq "$shared" | tar xf -
    n=0
    while read -r f; do
        run ax-import --scan "$f"
        case ${f##*/} in
        benign0* | new_pytorch_model.bin | pytorch_model.bin) want=0 ;;
        bad_pytorch.pt) want=65 ;; # no pickle at all
        *) want=1 ;;
        esac
        [ "$status" -eq "$want" ] ||
            { echo "$f: $status, not $want"; echo "$output"; return 1; }
        n=$((n + 1))
    done < <(find modelscan picklescan -type f)
    [ "$n" -eq 48 ]
    for f in picklescan/data/malicious*.p* modelscan/unsafe_zip_pytorch.pt \
        picklescan/data/malicious*.zip; do
        ax-import --scan "$f" >list || true
        grep -q '^dangerous ' list || { echo "$f"; return 1; }
    done
}

@test "real checkpoints are harmless, but for those that are not" {
    need_shared data/pytorch
    while read -r f; do
        case $f in
        *.zst) continue ;;
        *chemprop* | *sb3-*) want=1 ;; # classes of their own, cloudpickle
        *) want=0 ;;
        esac
        run ax-import --scan "$f"
        [ "$status" -eq "$want" ] || { echo "$f $output"; return 1; }
    done < <(find "$shared" "$shared/../safetensors" -type f)
}

# A description of layers for good/plain.pt: two Linears, 2-3-1.
plain() { # KEYS LAYERS
    printf '{"format": "ax.layers.v1", %s "layers": [%s]}' "$1" "$2" >d.json
}
lin='{"type":"Linear"}'
relu='{"type":"ReLU"}'

@test "a description and a checkpoint make a model" {
    plain '' "$lin,$relu,$lin"
    ax-import --no-provenance -a d.json -o a.axm "$samples/good/plain.pt"
    for f in deflated.pt legacy.pt first.tar wrapped.ckpt protocol-4.pt; do
        ax-import --no-provenance -a d.json -o b.axm "$samples/good/$f"
        cmp a.axm b.axm || { echo "$f"; return 1; }
    done
    # What it computes, by the bytes that the list is of.
    ax-export --to onnx a.axm -o a.onnx
    ax-import --no-provenance a.onnx -o b.axm
    cmp a.axm b.axm
    # Both files are in the record.
    ax-import -a d.json -o c.axm "$samples/good/plain.pt"
    ax-show --json c.axm | grep -q 'd.json'
    # A module that was pickled, named as its state dictionary is.
    plain '' "$lin"
    ax-import -a d.json "$samples/good/module.pt" >/dev/null
}

inline='{"format": "axiom.pytorch.sequential.v1", "layers": [
    {"type": "Linear", "in_features": 2, "out_features": 2,
     "weight": [[1, 2], [-3, 4]], "bias": [0.5, -1]},
    {"module": "LeakyReLU", "negative_slope": 0.5},
    {"type": "Dropout", "p": 0.9}, {"type": "Identity"},
    {"type": "BatchNorm1d", "num_features": 2, "eps": 0, "weight": [2, 1],
     "bias": [0, 1], "running_mean": [1, -1], "running_var": [4, 1]}]}'

@test "a description with its weights is a model by itself" {
    echo "$inline" >net.json
    ax-import -o net.axm net.json
    printf '1,1\n-1,0\n' >x.csv
    # 3.5 0; -0.25 2 after the activation.
    ax-run --format csv net.axm x.csv >y.csv
    diff - y.csv <<<"2.5,2
-1.25,4"
    sed 's/\[1, 2\], \[-3, 4\]/[1, 2], [3]/' net.json >bad.json
    refuses 65 "layer 0 ('Linear:0'): Linear: 'weight': is no even table" \
        ax-import bad.json
    refuses 65 "the state dictionary has no tensor '0.bias'" \
        ax-import <(sed 's/"bias": \[0.5, -1\]/"bias": true/' net.json)
}

@test "layers compute what PyTorch computes" {
    # Two channels of 3 x 4; a depthwise convolution with dilation, and what
    # follows it flattened: rows first.
    cat >net.json <<'END'
{"format": "ax.layers.v1", "input": {"shape": [1, 2, 3, 4]}, "layers": [
 {"type": "Conv2d", "name": "c", "groups": 2, "dilation": [1, 2],
  "padding": "same", "weight": [[[[1, 0, 2]]], [[[0, 1, 0]]]], "bias": [0, 1]},
 {"type": "MaxPool2d", "kernel_size": 2, "stride": 1},
 {"type": "AvgPool2d", "kernel_size": 2, "padding": 1, "stride": 2},
 {"type": "Flatten"}]}
END
    ax-import -o net.axm net.json
    seq -s, 1 24 >x.csv
    # By hand: channel 0 gives 6 8 1 2 / 14 16 5 6 / 22 24 9 10, pooled
    # 16 16 6 / 24 24 10, and averaged in fours with zeros around it.
    ax-run --format csv net.axm x.csv >y.csv
    diff - y.csv <<<"4,5.5,6,8.5,4.75,10.25,5.75,12.25"
}

@test "nothing is made up, dropped or skipped" {
    p=$samples/good/plain.pt
    plain '' "$lin"
    refuses 65 "no layer uses tensor '2.bias': use it, or name it" \
        ax-import -a d.json "$p"
    plain '"ignore": ["2.*"],' "$lin"
    ax-import -a d.json "$p" >/dev/null
    plain '"ignore": ["2.*", "3.*"],' "$lin"
    refuses 65 "'ignore' names '3.*', and there is no such tensor" \
        ax-import -a d.json "$p"
    plain '"ignore": ["0.bias"],' "$lin,$relu,$lin"
    refuses 65 "'ignore' names tensor '0.bias', which a layer uses" \
        ax-import -a d.json "$p"
    plain '' "$lin,$lin,$lin"
    refuses 65 "the state dictionary has no tensor '1.weight'" \
        ax-import -a d.json "$p"
    plain '' "$lin,$relu,{\"type\":\"Linear\",\"bias\":false}"
    refuses 65 "no layer uses tensor '2.bias'" ax-import -a d.json "$p"
    plain '' "$lin,$relu,{\"type\":\"Linear\",\"in_features\":4}"
    refuses 65 "'in_features' is 4, but its tensor has 3" \
        ax-import -a d.json "$p"
    plain '' "$lin,$relu,{\"type\":\"Linear\",\"out\":4}"
    refuses 65 "a Linear has no 'out'" ax-import -a d.json "$p"
    plain '' '{"type":"Linear","":1}'
    refuses 65 "a Linear has no ''" ax-import -a d.json "$p"
    plain '' "$lin,{\"type\":\"TODO\"},$lin"
    refuses 65 "layers of type 'TODO' are not supported" \
        ax-import -a d.json "$p"
    plain '"input": {"shape": ["N", 5]},' "$lin,$relu,$lin"
    refuses 65 "Gemm" ax-import -a d.json "$p"
    plain '"input": {"shape": ["N", "TODO"]},' "$lin,$relu,$lin"
    refuses 65 "still TODO" ax-import -a d.json "$p"
    plain '' "$lin,{\"type\":\"Add\"},$lin"
    refuses 65 "has 1 inputs, wants 2" ax-import -a d.json "$p"
    plain '' "$lin,{\"type\":\"ReLU\",\"inputs\":[\"later\"]},$lin"
    refuses 65 "no layer or input before it is called 'later'" \
        ax-import -a d.json "$p"
    plain '"state": "nowhere",' "$lin"
    refuses 65 "no tensor is in the state dictionary 'nowhere/'" \
        ax-import -a d.json "$p"
    plain '"strip": "module.",' "$lin"
    refuses 65 "does not begin with 'module.'" ax-import -a d.json "$p"
    plain '"layer": 1,' "$lin"
    refuses 65 "'layer' is no key that we know" ax-import -a d.json "$p"
    plain '' '{"type":"Conv2d","name":"0"}'
    refuses 65 "'input' is missing" ax-import -a d.json "$p"
    plain '"input": {"shape": [1, 2, 3, 4]},' '{"type":"Conv2d","name":"0"}'
    refuses 65 "its weight has 2 dimensions, not 4" ax-import -a d.json "$p"
    echo '{"format": "ax.layers.v1", "layers": [' >d.json
    refuses 65 "d.json: line 2: " ax-import -a d.json "$p"
    refuses 65 "4 tensors and no graph: describe it with --arch" ax-import "$p"
    refuses 66 "nothing.json" ax-import -a nothing.json "$p"
}

@test "two layers of one shape each have their own tensors, a tied one both" {
    cat >net.json <<'END'
{"format": "ax.layers.v1", "input": {"shape": ["N", 2]}, "ignore": ["c"],
 "layers": [
 {"type": "Linear", "params": {"weight": "a"}, "bias": false},
 {"type": "Linear", "params": {"weight": "b"}, "bias": false, "name": "twice"},
 {"type": "Linear", "params": {"weight": "a"}, "bias": false}]}
END
    jq '.state = "x"' net.json >tied.json
    ax-import --no-provenance -a tied.json -o a.axm "$samples/good/tied.pt"
    [ "$(ax-show --json a.axm | jq '.tensors | length')" = 2 ]
}

@test "a draft has what names and shapes tell, and the rest is to do" {
    ax-import --infer "$samples/good/wrapped.ckpt" >draft.json
    [ "$(jq -c '[.state, .input.shape, [.layers[].type]]' draft.json)" = \
        '["state_dict",["N",2],["Linear","TODO","Linear"]]' ]
    refuses 65 "layers of type 'TODO'" \
        ax-import -a draft.json "$samples/good/wrapped.ckpt"
    jq '.layers[1].type = "ReLU"' draft.json >done.json
    ax-import -a done.json "$samples/good/wrapped.ckpt" >/dev/null
}

@test "real checkpoints compute what PyTorch computed" {
    need_shared data/ref/pytorch
    n=0
    for d in "$samples"/layers/*.json; do
        name=$(basename "$d" .json)
        f=$(find "$AX_SHARED/data/pytorch" -path "*/${name#torchscript__}")
        ax-import -a "$d" "$f" -o net.axm || { echo "$name"; return 1; }
        ax-run -o y.npz net.axm "$shared/$name.in0.npy"
        "$root/tests/diff/npy-close" 1e-5 y.npz "$shared/$name.out0.npy" ||
            { echo "$name"; return 1; }
        n=$((n + 1))
    done
    [ "$n" -eq 13 ]
}

@test "networks are known by name, and must have just their tensors" {
    refuses 64 "no network that we know is called 'resnet'" \
        ax-import --zoo resnet "$samples/good/plain.pt"
    refuses 65 "the state dictionary has no tensor 'conv1.weight'" \
        ax-import --zoo resnet18 "$samples/good/plain.pt"
    refuses 64 "one of --arch and --zoo" \
        ax-import --zoo resnet18 -a x "$samples/good/plain.pt"
    # The page lists what there is.
    for name in alexnet densenet{121,169,201} mobilenet_v2 squeezenet1_1 \
        resnet{18,34,50,101,152} resnext50_32x4d wide_resnet50_2 \
        vgg1{1,3,6,9}{,_bn} resnet{20,32,44,56,110}-cifar10; do
        refuses 65 "the state dictionary has no tensor" \
            ax-import --zoo "$name" "$samples/good/plain.pt"
    done
    need_shared data/pytorch/resnet20-cifar10.th
    ax-import --zoo resnet20-cifar10 -o net.axm "$shared"
    ref=$AX_SHARED/data/ref/pytorch/resnet20-cifar10.th
    ax-run -o y.npz net.axm "$ref.in0.npy"
    "$root/tests/diff/npy-close" 1e-5 y.npz "$ref.out0.npy"
    refuses 65 "no tensor 'layer1.3.conv1.weight'" \
        ax-import --zoo resnet32-cifar10 "$shared"
}
