# ax-import on GGUF. The samples are those that tests/formats/gguf/make.py
# wrote down; llama.gguf is the sample of tests/formats/hf with this name.
load common

samples=$root/tests/formats/gguf
hf=$root/tests/formats/hf/good/llama

@test "tensors are listed, quantised ones as what they stand for" {
    ax-import --tensors "$samples/good/blocks.gguf" |
        diff "$samples/good/blocks.gguf.txt" -
    ax-import --tensors --json "$samples/good/blocks.gguf" |
        jq -e '.format == "gguf" and (.tensors | length) == 11'
}

@test "the network is that of the folder that it was made from" {
    for f in llama llama-64; do
        ax-import "$samples/good/$f.gguf" -o g.axm
        ax-run g.axm -i input_ids="$hf/x.input_ids.npy" -o y.npz
        "$root/tests/diff/npy-close" 1e-5 y.npz "$hf/y.logits.npy"
    done
    ax-import --seq 5 --batch 2 "$samples/good/llama.gguf" -o g.axm
    ax-run g.axm -i input_ids="$hf/x.input_ids.npy" -o y.npz
    "$root/tests/diff/npy-close" 1e-5 y.npz "$hf/y.logits.npy"
    ax-import <"$samples/good/llama.gguf" | ax-show >/dev/null
}

@test "what is wrong with a file is one line and exit 65" {
    n=0
    while IFS= read -r line; do
        refuses 65 "${line#*: }" ax-import "$samples/bad/${line%%: *}"
        case $line in
        llama-*) ax-import --tensors "$samples/bad/${line%%: *}" >/dev/null ;;
        *) refuses 65 "" ax-import --tensors "$samples/bad/${line%%: *}" ;;
        esac
        n=$((n + 1))
    done <"$samples/bad.txt"
    [ "$n" -eq "$(find "$samples/bad" -type f | wc -l)" ]
    [ "$n" -ge 60 ]
}

@test "a file that is cut short is refused, wherever" {
    for f in blocks llama; do
        size=$(wc -c <"$samples/good/$f.gguf")
        # What fills up the last tensor may be missing.
        size=$((size - 32))
        at=0
        while [ "$at" -lt "$size" ]; do
            head -c "$at" "$samples/good/$f.gguf" >short
            refuses 65 "" ax-import --tensors short
            at=$((at + size / 60 + 1))
        done
    done
}
