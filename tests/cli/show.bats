# ax-show: what it says, what it takes out, and what it refuses.
load common

# A container with two attachments.
sample() { # PROFILE
    "$AX_BINDIR/tests/unit/pack" "$1" 3 2 \
        property p.vnnlib '(assert)' report r.txt hello
}

@test "ax-show prints graph, tensors and attachments" {
    sample zstd >a.axm
    id=$(ax-show -i a.axm)
    digest() { ax-show --json a.axm | grep -o '"digest":"[0-9a-f]*' | sed -n "$1s/.*\"//p"; }
    gives 0 "graph       a dense layer
identity    $id
parameters  8 in 2 tensors, 32 bytes
inputs      x float32 [batch,3]
outputs     y float32 [?,2]

nodes
    0  Gemm dense: x, w, b -> z  float32 [?,2]
    1  Relu: z -> y  float32 [?,2]

tensors
    0  w float32 [3,2], 24 bytes, min -3, max -0.5, mean -1.75
    1  b float32 [2], 8 bytes, min 0, max 1, mean 0.5

attachments
    0  property p.vnnlib, 8 bytes
       digest $(digest 1)
       describes an unsafe set
       SHA-256 of the file $(printf '(assert)' | sha256sum | cut -c1-64)
    1  report r.txt, 5 bytes
       digest $(digest 2)
       of a type that is not known here" ax-show --stats a.axm
}

@test "ax-show reads both profiles from files and pipes" {
    sample zstd >z.axm
    sample raw >r.axm
    id=$(ax-show -i z.axm)
    [ "${#id}" -eq 64 ]
    gives 0 "$id" ax-show --identity r.axm
    for f in z.axm r.axm; do
        [ "$(cat $f | ax-show -i)" = "$id" ]
        [ "$(ax-show -i - <$f)" = "$id" ]
    done
}

@test "zstd -dc gives the logical stream" {
    command -v zstd >/dev/null || skip "there is no zstd"
    "$AX_BINDIR/tests/unit/pack" zstd 1000 700 >z.axm
    "$AX_BINDIR/tests/unit/pack" raw 1000 700 >r.axm
    zstd -dcq z.axm >stream
    n=$(stat -c %s stream)
    cmp -n "$n" stream r.axm
    # 48 bytes of identity and 25 of seek table follow in the raw profile.
    [ "$(stat -c %s r.axm)" -eq $((n + 73)) ]
    ax-show --quick z.axm | grep -q "^complete, $n bytes of model, 0 att"
}

@test "ax-show --json is JSON, with its schema" {
    sample zstd >a.axm
    ax-show --json --stats a.axm >out
    grep -q '^{"schema":"ax.show/1","identity":"' out
    command -v jq >/dev/null || skip "there is no jq"
    [ "$(jq -c .graph.inputs[0] out)" = '{"name":"x","dtype":"float32","shape":["batch",3]}' ]
    [ "$(jq -c '.tensors[1] | [.name, .bytes, .max]' out)" = '["b",8,1.0]' ] ||
        [ "$(jq -c '.tensors[1] | [.name, .bytes, .max]' out)" = '["b",8,1]' ]
    [ "$(jq -c '[.attachments[].checked]' out)" = '[false,false]' ]
}

@test "ax-show --extract takes an attachment out" {
    sample zstd >a.axm
    gives 0 "(assert)" ax-show -x property a.axm
    gives 0 "(assert)" ax-show -x p.vnnlib a.axm
    d=$(ax-show a.axm | sed -n 's/^ *digest //p' | tail -1)
    gives 0 "hello" ax-show -x "$d" a.axm
    gives 0 "hello" ax-show -x "$(echo "$d" | cut -c1-8)" a.axm
    ax-show -x property -o out a.axm
    [ "$(cat out)" = "(assert)" ]
    refuses 66 "no attachment has 'certificate'" ax-show -x certificate a.axm
    "$AX_BINDIR/tests/unit/pack" zstd 3 2 a x 1 a y 2 >b.axm
    refuses 64 "2 attachments have 'a'" ax-show -x a b.axm
}

@test "ax-show --copy changes the profile and nothing else" {
    sample zstd >a.axm
    ax-show --copy raw -o r.axm a.axm
    ax-show --copy zstd -o back.axm r.axm
    cmp a.axm back.axm
    sample raw | cmp - r.axm
    ax-show --copy zstd --drop report -o less.axm a.axm
    [ "$(ax-show -i less.axm)" = "$(ax-show -i a.axm)" ]
    "$AX_BINDIR/tests/unit/pack" zstd 3 2 property p.vnnlib '(assert)' | cmp - less.axm
}

@test "a claim is shown, and that it is not checked" {
    "$AX_BINDIR/tests/unit/pack" zstd 3 2 signature k '{}' certificate c AXCT >b.axm
    ax-show b.axm >out
    grep -q "not checked here: run ax-sign verify" out
    grep -q "certificate of an unknown version" out
    # Those of this version are known.
    ax-import -o net.axm "$root/tests/data/tutorial/net.onnx"
    ax-prove --cert -o p.axm -p "$root/tests/data/tutorial/safe.vnnlib" net.axm
    ax-show p.axm | grep -q "claims that the property holds, over the reals"
    ax-prove --cert -o v.axm -p "$root/tests/data/tutorial/unsafe.vnnlib" \
        net.axm || [ $? -eq 1 ]
    ax-show v.axm | grep -q "claims that the property is violated, over"
}

@test "names from a file cannot steer a terminal" {
    "$AX_BINDIR/tests/unit/pack" zstd 3 2 report "$(printf 'a\302\233b\177')" hello >a.axm
    ax-show a.axm | grep -qF 'report a\x'
    ax-show a.axm >out
    run ! grep -q "$(printf '\302\233')" out
}

@test "a container that is cut short, added to or damaged is refused" {
    sample zstd >a.axm
    n=$(stat -c %s a.axm)
    for k in 1 4 100 $((n - 1)); do
        head -c $k a.axm >cut.axm
        refuses 65 "cut.axm: cut short" ax-show cut.axm
        refuses 65 "cut.axm: " ax-show -q cut.axm
    done
    { cat a.axm; echo; } >long.axm
    refuses 65 "something follows the end" ax-show long.axm
    refuses 65 "no end" ax-show -q long.axm
    : >empty.axm
    refuses 65 "cut short" ax-show empty.axm
    echo "this is not a container at all" >text.axm
    refuses 65 "no container" ax-show text.axm
    refuses 66 "none.axm" ax-show none.axm
    # One byte in the middle of the weights of the raw profile.
    sample raw >r.axm
    printf '\377' | dd of=r.axm bs=1 seek=200 conv=notrunc 2>/dev/null
    refuses 65 "was damaged or altered" ax-show r.axm
    gives 0 "complete, 264 bytes of model, 2 attachments; the rest was not read" \
        ax-show -q r.axm
}

@test "ax-show refuses options that do not fit" {
    sample zstd >a.axm
    refuses 64 "one of" ax-show --json -x property a.axm
    refuses 64 "-o is for" ax-show -o out a.axm
    refuses 64 "--drop is for --copy" ax-show --drop report a.axm
    refuses 64 "wants one of: raw zstd" ax-show --copy tar a.axm
    refuses 64 "wants a file, not a pipe" bash -c 'cat a.axm | ax-show -q'
}

@test "ax-show --copy onto a full disk leaves nothing" {
    sample zstd >a.axm
    refuses 74 "No space left" ax-show --copy raw -o /dev/full a.axm
    refuses 74 "" ax-show --copy raw -o none/x.axm a.axm
    [ ! -e none ]
}

@test "every allocation of ax-show may fail" {
    need_shim
    sample zstd >a.axm
    survives_no_memory ax-show a.axm </dev/null
    survives_no_memory ax-show --json -s <a.axm
    survives_no_memory ax-show --copy raw <a.axm
}

@test "ax-show --diff: what differs, and what does not count" {
    hf=$root/tests/formats/hf/good
    ax-import --no-provenance "$hf/llama" -o a.axm
    gives 0 "graph       the same: 148 nodes
tensors     77 pairs, 77 the same
the models are the same" ax-show --diff a.axm a.axm
    # By way of another format; attachments are named and do not count.
    ax-export --to onnx a.axm -o a.onnx
    ax-import a.onnx -o b.axm
    ax-show --diff a.axm b.axm >said
    grep -q "^attached    provenance ax-import in the second alone" said
    # In half the bytes: a layer has casts, and the weights another type.
    half=$root/tests/data/diff
    cp -r "$hf/llama" m
    chmod -R u+w m
    cp "$half/llama-half.safetensors" m/model.safetensors
    ax-import --no-provenance m -o half.axm
    run ax-show --diff a.axm half.axm
    [ "$status" -eq 1 ]
    [ "${lines[-1]}" = "the models differ in the types of tensors alone" ]
    [[ "${lines[1]}" == "tensors     77 pairs, 56 the same, 21 of another type" ]]
    run ax-show --diff --json half.axm a.axm
    [ "$status" -eq 1 ]
    [ "$(jq -c '[.differ, .same, (.tensors | length), .tensors[0].differ]' \
        <<<"$output")" = '["types",false,21,"rounded"]' ]
}

@test "ax-show --diff: graphs and numbers" {
    hf=$root/tests/formats/hf/good/llama
    cp -r "$hf" m
    chmod -R u+w m
    ax-import --no-provenance m -o a.axm
    # One byte of the last weight.
    size=$(wc -c <m/model.safetensors)
    printf '\276' | dd of=m/model.safetensors bs=1 seek=$((size - 1)) \
        conv=notrunc 2>/dev/null
    ax-import --no-provenance m -o b.axm
    run ax-show --diff a.axm b.axm
    [ "$status" -eq 1 ]
    [ "${lines[-1]}" = "the models differ in their tensors alone" ]
    [[ "$output" == *"differ by at most"* ]]
    jq '.hidden_act = "gelu"' "$hf/config.json" >m/config.json
    ax-import --no-provenance m -o b.axm
    run ax-show --diff a.axm b.axm
    [ "$status" -eq 1 ]
    [ "${lines[-1]}" = "the graphs differ" ]
    [[ "$output" == *"activation.sigmoid' is Sigmoid of 1 inputs, "* ]]
    ax-import --no-provenance --seq 3 "$hf" -o c.axm
    run ax-show --diff a.axm c.axm
    [ "$status" -eq 1 ]
    [[ "$output" == *"inputs: 'input_ids' is int64 [?,?], 'input_ids' is int64 [?,3]"* ]]
    # A graph inside a graph.
    good=$root/tests/formats/onnx/good
    for s in if if-if loop; do
        ax-import --no-provenance "$good/$s.onnx" -o i.axm
        gives 0 "$(ax-show --diff i.axm i.axm)" ax-show --diff i.axm i.axm
    done
    ax-import --no-provenance "$good/if.onnx" -o i.axm
    ax-import --no-provenance "$good/if-if.onnx" -o j.axm
    run ax-show --diff i.axm j.axm
    [ "$status" -eq 1 ]
    refuses 64 "wants two containers" ax-show --diff a.axm
    refuses 64 "are for --diff" ax-show a.axm b.axm
    refuses 64 "goes with --json alone" ax-show --diff -s a.axm b.axm
    refuses 66 "none.axm" ax-show --diff a.axm none.axm
}
