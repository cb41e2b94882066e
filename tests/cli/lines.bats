# Real command lines against full disks, readers that go away, and memory that
# runs out. The table has a line for every program; the last test sees to it.
load common

# Each is run in a folder with the files of the tour, net.axm and proved.axm.
lines() {
    cat <<'END'
ax-import net.onnx
ax-import --scan checkpoint.pt
ax-import --tensors --json checkpoint.pt
ax-import --infer checkpoint.pt
ax-import --arch layers.json checkpoint.pt
ax-import --tensors legacy.pt
ax-import --tensors some.safetensors
ax-import folder
ax-import llama.gguf
ax-import image.tflite
ax-import net.pt2
ax-import old.pt2
ax-import --shape x=N,2,4,8 net.script.pt
ax-import --shape x=N,2,4,8 net.trace.pt
ax-import image-2.h5
ax-show --diff net.axm net.axm
ax-show net.axm
ax-show --json proved.axm
ax-run net.axm input.csv
ax-prove -p safe.vnnlib -j 1 net.axm
ax-prove -p safe.vnnlib -j 1 --cert net.axm
ax-prove -p unsafe.vnnlib -j 1 --json net.axm
ax-prove -p safe.vnnlib -j 1 --strategy neuron --cert net.axm
ax-prove -p safe.vnnlib -j 1 --semantics ieee32 --cert net.axm
ax-prove -p unsafe.vnnlib -j 1 --semantics ieee32 --json net.axm
ax-prove -p bounds:box.csv,lo=-9,hi=9 -j 1 net.axm
ax-prove -p fair:input.csv,input=0,from=0,to=1 --print-property net.axm
ax-prove -p robust:wide.csv,linf=0.1,label=0 --print-property wide.axm
ax-prove -p monotone:box.csv,input=0,output=0,tol=5 -j 1 --cert net.axm
ax-prove -p equivalent:box.csv,other=net.axm,eps=9 --print-model net.axm
ax-prove --list list.csv -j 1 --json
ax-prove -p robust:input.csv,linf=1 --minimise eps --precision 0.5 --explain --cert -j 1 net.axm
ax-prove -p unsafe.vnnlib --counterexample c.npy --json --explain -j 1 net.axm
ax-prove -p robust:input.csv,linf=1 --region r.vnnlib --halvings 2 -j 1 net.axm
ax-prove reconcile ob
ax-prove reconcile --json ob
ax-check proved.axm safe.vnnlib
ax-export --to onnx net.axm
ax-export --to coq -p safe.vnnlib net.axm
ax-export --to coq --strategy neuron -p safe.vnnlib net.axm
ax-export --to smtlib -p safe.vnnlib net.axm
ax-opt --tolerance 1 norm.axm
ax-opt --json --samples 1 -o /dev/null norm.axm
ax-opt --quantise int8 --calibrate rows2.csv --percentile 99 norm.axm
ax-opt --to float16 --json -o /dev/null wide.axm
ax-sign -k key net.axm
ax-bench --problems
ax-run --format npz net.axm input.csv
ax-import zipmap.onnx
ax-train -d rows.csv --epochs 1 two.arch
ax-train -d rows.csv --epochs 1 --checkpoint state.axm two.arch
ax-train --replay trained.axm
ax-train -d rows.csv --test rows.csv --metrics --epochs 1 --report r.html --track jsonl:log --track tensorboard:tb --track wandb:wb two.arch
ax-train -d images.csv --epochs 1 image.arch
ax-train -d words.csv --epochs 1 two.arch
ax-train -d pets --epochs 1 image.arch
END
}

prepare() {
    cp "$root"/tests/data/tutorial/* .
    cp "$root"/tests/formats/torch/good/{legacy.pt,some.safetensors} .
    cp "$root"/tests/formats/torch/good/deflated.pt checkpoint.pt
    cp -r "$root"/tests/formats/hf/good/llama-shards folder
    cp "$root"/tests/formats/gguf/good/llama.gguf .
    cp "$root"/tests/formats/tflite/good/image.tflite .
    cp "$root"/tests/formats/onnx/good/zipmap.onnx .
    cp "$root"/tests/formats/aten/good/net.{pt2,script.pt,trace.pt} .
    cp "$root"/tests/formats/aten/good/net.old.pt2 old.pt2
    cp "$root"/tests/formats/keras/good/image-2.h5 .
    echo '{"format": "ax.layers.v1", "layers": [{"type": "Linear"},
        {"type": "LeakyReLU"}, {"type": "Linear"}]}' >layers.json
    printf '0.5,-0.25\n' >input.csv
    printf -- '-1,1\n-1,1\n' >box.csv
    printf 'net.axm,safe.vnnlib,9\n' >list.csv
    printf '1,0,0\n0,1,1\n' >rows.csv
    printf '1,0\n0,1\n' >rows2.csv
    printf 'input 2\ndense 2\nrelu\ndense 2\n' >two.arch
    printf '1,0,0,1,2,3,4,5,6,0\n0,1,1,1,1,1,1,1,1,1\n' >images.csv
    printf 'input 1x3x3\nconv 2x2 groups=1\nbatchnorm\nflatten\ndense 2\n' \
        >image.arch
    printf '1,red,cat\n2,red,dog\n' >words.csv
    mkdir -p pets/cat
    python3 -c 'import struct, sys, zlib
def chunk(name, data):
    return (struct.pack(">I", len(data)) + name + data +
            struct.pack(">I", zlib.crc32(name + data)))
sys.stdout.buffer.write(
    b"\x89PNG\r\n\x1a\n" +
    chunk(b"IHDR", struct.pack(">IIBBBBB", 3, 3, 8, 0, 0, 0, 0)) +
    chunk(b"IDAT", zlib.compress(b"\0abc\0def\0ghi")) +
    chunk(b"IEND", b""))' >pets/cat/a.png
    cp pets/cat/a.png pets/cat/b.png
    # As many inputs as the text of a property has to grow for.
    printf 'input 200\ndense 2\n' >wide.arch
    seq -s, 200 >wide.csv
    sed 's/$/,0/' wide.csv >wide-rows.csv
    ax-train -d wide-rows.csv --epochs 1 -o wide.axm wide.arch
    ax-train -d rows.csv --epochs 1 -o trained.axm two.arch
    ax-import -o net.axm net.onnx
    ax-import -o norm.axm "$root/tests/data/opt/norm.onnx"
    ax-prove -p safe.vnnlib --cert -o proved.axm net.axm
    ax-sign keygen -W
    # Obligations, and solvers that are quick.
    mkdir ob bin
    ax-export --to smtlib -p safe.vnnlib -o ob/q.smt2 net.axm
    printf '#!/bin/sh\necho unsat\n' >bin/z3
    chmod +x bin/z3
    cp bin/z3 bin/cvc5
    PATH=$PWD/bin:$PATH
}

each_line() { # COMMAND: with the words of the line after it
    local line
    while read -r line; do
        # shellcheck disable=SC2086
        "$1" $line </dev/null || {
            echo "failed: $line"
            return 1
        }
    done < <(lines)
}

full_disk() {
    local code=0
    "$@" >/dev/full 2>err || code=$?
    [ "$code" -eq 74 ] && [ "$(grep -c . err)" -eq 1 ] &&
        grep -q "^$1: .*No space left on device" err
}
@test "a full disk gives exit 74 and one line" {
    prepare
    each_line full_disk
}

gone_reader() {
    local code=0
    mkfifo p
    : <p &
    exec 7>p
    wait $!
    "$@" >&7 2>err || code=$?
    exec 7>&-
    rm p
    [ "$code" -eq 74 ] && [ ! -s err ]
}
@test "a reader that went away gives exit 74 and no noise" {
    prepare
    each_line gone_reader
}

no_memory() {
    AX_FAULT_MAX=150 survives_no_memory "$@"
}
@test "every allocation may fail, and no folder of ours stays" {
    need_shim
    prepare
    mkdir scratch
    TMPDIR=$PWD/scratch each_line no_memory
    [ -z "$(find scratch -name 'ax-*')" ]
}

@test "a limit on the size of files gives exit 74 and leaves nothing" {
    prepare
    cp "$root/tests/data/acasxu/net_1_1.onnx" big.onnx
    ax-import -o big.axm big.onnx
    for line in 'ax-import --raw -o out big.onnx' \
        'ax-show --copy raw -o out big.axm' 'ax-export -o out big.axm'; do
        # shellcheck disable=SC2086
        run bash -c "ulimit -f 8 && exec $line 2>err"
        [ "$status" -eq 74 ]
        [ "$(wc -l <err)" -eq 1 ]
        grep -q 'File too large' err
        [ ! -e out ] && [ -z "$(find . -name '.out*')" ]
    done
}

@test "killed at any moment, a command leaves the old file or the new" {
    prepare
    for ms in 0 1 1 2 2 3 3 4 5 6 7 8; do
        echo old >out.axm
        ax-import -o out.axm net.onnx &
        sleep "0.00$ms"
        kill -KILL $! 2>/dev/null || true
        wait $! 2>/dev/null || true
        [ "$(head -c 3 out.axm)" = old ] || cmp out.axm net.axm
        # Nothing is left, where a file need not have a name.
        ! python3 -c 'import os; os.open(".", os.O_TMPFILE | os.O_WRONLY)' ||
            [ -z "$(find . -name '.out*')" ]
    done
}

@test "every program has a line here" {
    for p in ${AX_PROGRAMS:?make check sets it}; do
        [ "$p" = ax ] || lines | grep -q "^$p " || {
            echo "$p has no line in lines.bats"
            return 1
        }
    done
}
