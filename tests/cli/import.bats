# ax-import: ONNX models into containers. The samples are those that
# tests/formats/onnx/make.py wrote down.
load common

samples=$root/tests/formats/onnx

@test "every good sample is imported, and read back" {
    n=0
    for f in "$samples"/good/*.onnx; do
        ax-import --no-provenance -o a.axm "$f" || { echo "$f"; return 1; }
        ax-import --no-provenance "$f" >b.axm
        cmp a.axm b.axm
        n=$((n + 1))
    done
    [ "$n" -ge 48 ]
}

bad() { # SAMPLE WORDS
    refuses 65 "$2" ax-import "$samples/bad/$1.onnx"
}

@test "what cannot be kept is refused, with node and reason" {
    bad operator "node 0 (Frobnicate 'n'): operator 'Frobnicate' is not supported"
    bad domain "operator 'com.example.Relu' is not supported"
    bad attribute "node 0 (Relu 'n'): attribute 'alpha': is not known"
    bad attribute-kind "attribute 'axis': is of a wrong kind"
    bad attribute-missing "attribute 'axis' is missing"
    bad spatial "attribute 'spatial': is 0, only 1 is supported"
    bad softmax-old "takes dimensions 1 to 2 as one"
    bad opset-5 "operator 'Relu' is not supported in operator set 5"
    bad add6-rank "attribute 'axis': where input 1 lies before operator set 7"
}

@test "graphs inside are read, and what is wrong in them is named" {
    printf '1,2,-4\n' >x.csv
    ax-import "$samples/good/if.onnx" -o if.axm
    [ "$(ax-run --format csv if.axm x.csv)" = "-1,-2,4" ]
    ax-import "$samples/good/if-if.onnx" -o if.axm
    printf '1,5,-4\n' >x.csv
    [ "$(ax-run --format csv if.axm x.csv)" = "1,5,0" ]
    ax-import "$samples/good/zipmap.onnx" | ax-show --json |
        grep -q '"labels.y": *"5,7"'
    for s in loop if if-if zipmap lstm scaler; do
        ax-import --no-provenance "$samples/good/$s.onnx" -o a.axm
        ax-export --to onnx a.axm -o a.onnx
        ax-import --no-provenance a.onnx -o b.axm
        cmp a.axm b.axm
    done
    bad loop-outputs "attribute 'body' has 3 inputs and 2 outputs, wants 3 and 3"
    bad nested "graphs are nested more than 64 deep"
    bad branch "attribute 'alpha': is not known"
    bad branch-name "value 'nowhere' is used before it is made"
    bad labels "attribute 'classlabels_strings': is not supported"
    bad opset-ml "operator set 9 of ai.onnx.ml is not supported, wants 1 to 4"
}

@test "how long a range is follows from its numbers" {
    ax-import "$samples/good/ranges.onnx" -o r.axm
    [ "$(ax-show --json r.axm | jq -c '[.graph.outputs[].shape]')" = \
        '[[3],[3],[0],[0],[null]]' ]
}

@test "graphs that make no sense are refused" {
    bad cycle "node 1 (Relu '') needs 'a', which depends on that node's own"
    bad utf8 "a name or text is not UTF-8"
    bad twice "value 'y' is made twice"
    bad shape "inner dimensions are 3 and 1"
    bad output-shape "said to be float32 [2,2], but is float32 [2,3]"
    bad reshape "6 elements do not fit the new shape"
    bad zero-byte "contains a zero byte"
}

@test "tensors that do not fit are refused" {
    bad tensor-short "has 11 bytes of data, its shape wants 12"
    bad tensor-huge "too many elements to count"
    bad tensor-range "element 0 is 300, which is no int8"
    bad tensor-string "constants that are strings are not supported"
    bad tensor-both "has data in two fields"
}

@test "external data stay in the model's folder" {
    bad external-outside "lie outside the model's folder"
    bad external-absolute "lie outside the model's folder"
    refuses 66 "external data 'none.bin': No such file" \
        ax-import "$samples/bad/external-absent.onnx"
    cp "$samples/good/external.onnx" .
    mkdir other data
    cp "$samples/good/data/c.bin" other
    ln -s ../other/c.bin data/c.bin
    refuses 66 "symbolic link" ax-import external.onnx
    rm -r data && ln -s other data
    refuses 66 "external data 'data/c.bin'" ax-import external.onnx
    refuses 65 "which standard input cannot name" \
        ax-import <"$samples/good/external.onnx"
}

@test "a model that is cut short is refused, wherever" {
    f=$samples/good/gemm.onnx
    n=$(wc -c <"$f")
    i=0
    while [ "$i" -lt "$n" ]; do
        head -c "$i" "$f" >cut.onnx
        run ax-import -f onnx -o cut.axm cut.onnx
        # Cut between fields it can be whole, without what came last.
        [ "$status" -eq 65 ] || [ "$status" -eq 0 ]
        i=$((i + 1))
    done
    bad cut "malformed or cut short"
}

@test "the format is told by content or by name" {
    gives 0 "onnx         ONNX models, operator sets 6 to 28
gguf         GGUF files of llama.cpp, architecture llama
tflite       TensorFlow Lite (LiteRT) files, float32 and quantised
keras        Keras models in HDF5 files (.h5, .hdf5)
checkpoint   PyTorch checkpoints and safetensors, with --arch
layers       descriptions of layers with their weights in them, JSON
huggingface  folders with config.json and weights, of transformers" \
        ax-import --formats
    ax-import - <"$samples/good/relu.onnx" >a.axm
    ax-import -f onnx "$samples/good/relu.onnx" >b.axm
    echo hello >text
    refuses 65 "text: does not begin like any known format" ax-import text
    refuses 64 "no format that can be read is called 'bogus'" \
        ax-import -f bogus text
    refuses 66 "none.onnx" ax-import none.onnx
    head -c 1048577 /dev/zero >big
    refuses 65 "big" ax-import --max-size 1 big
}

@test "the raw profile has the same identity" {
    f=$samples/good/gemm.onnx
    ax-import --no-provenance --raw -o raw.axm "$f"
    ax-import --no-provenance -o zstd.axm "$f"
    zstd -dcq zstd.axm >stream
    cmp -n "$(wc -c <stream)" stream raw.axm
}

@test "the import is recorded" {
    ax-import -o a.axm "$samples/good/gemm.onnx"
    ax-import --no-provenance -o b.axm "$samples/good/gemm.onnx"
    [ "$(wc -c <a.axm)" -gt "$(wc -c <b.axm)" ]
}

@test "benchmark networks are imported" {
    need_shared bench
    n=0
    for d in acasxu mnist_fc oval21 cifar10_resnet collins_rul_cnn \
        reach_prob_density rl_benchmarks dist_shift safenlp sri_resnet_a \
        soundness vit; do
        while read -r f; do
            cat='cat'
            [ "$f" = "${f%.gz}" ] || cat='zcat'
            "$cat" "$f" >net.onnx
            ax-import net.onnx >net.axm || { echo "$f"; return 1; }
            n=$((n + 1))
        done < <(find "$shared/$d" -name '*.onnx' -o -name '*.onnx.gz')
    done
    [ "$n" -gt 60 ]
}

@test "an exported model is the same model, in every operator set" {
    for f in "$samples"/good/*.onnx; do
        ax-import --no-provenance -o a.axm "$f"
        for opset in '' 13 14 15 16 17 18 19 20 21 22; do
            if ! ax-export ${opset:+--opset $opset} a.axm >b.onnx 2>err; then
                grep -q 'needs operator set' err && [ "$opset" ] ||
                    { echo "$f $opset"; cat err; return 1; }
                continue
            fi
            ax-import --no-provenance -o b.axm b.onnx
            cmp a.axm b.axm || { echo "$f $opset"; return 1; }
        done
    done
    refuses 65 "operator set 12 cannot be written, only 13 to 22" \
        ax-export --opset 12 a.axm
    ax-import -o a.axm "$samples/good/gelu20.onnx"
    refuses 65 "node 0 (Gelu 'n') needs operator set 20" \
        ax-export --opset 19 a.axm
}

@test "the backend test suite of ONNX is no worse than it was" {
    need_shared data/onnx-backend/onnx-backend-tests.tar.zst
    "$root/scripts/onnx-conformance" \
        --golden "$root/tests/golden/onnx-conformance.txt" "$shared" >table ||
        { cat table; return 1; }
}
