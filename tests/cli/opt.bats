# ax-opt: what it does to a network, what it says of it, what it leaves alone.
load common

sample() {
    ax-import -o net.axm "$root/tests/data/opt/norm.onnx"
    printf '0.5,-0.25\n' >in.csv
}

property() { # Y_0 is never so large
    cat >p.vnnlib <<'END'
(declare-const X_0 Real)
(declare-const X_1 Real)
(declare-const Y_0 Real)
(declare-const Y_1 Real)
(assert (>= X_0 -1))
(assert (<= X_0 1))
(assert (>= X_1 -1))
(assert (<= X_1 1))
(assert (>= Y_0 20))
END
}

operators() { # MODEL
    ax-show --json "$1" | jq -r '.graph.nodes[].op' | sort | tr '\n' ' '
}

@test "what is proved with batch normalisation is proved after ax-opt, too" {
    sample
    property
    ax-prove -p p.vnnlib --cert -o before.axm net.axm
    gives 0 'accepted: holds, p.vnnlib, 1 leaves' \
        ax-check before.axm p.vnnlib
    ax-opt net.axm 2>said | ax-prove -p p.vnnlib --cert -o proved.axm
    gives 0 'accepted: holds, p.vnnlib, 1 leaves' \
        ax-check proved.axm p.vnnlib
    grep -q '^fold-norm  *1 changes, .* approximate: differs by' said
    grep -q '^split-norm  *1 changes, .* approximate: differs by' said
    # ONNX Runtime wants each name of a node once.
    ax-show --json proved.axm |
        jq -e '[.graph.nodes[].name // empty | select(. != "")] |
            length == (unique | length)'
}

@test "the report says what each pass did" {
    sample
    ax-opt --json -o out.axm net.axm >said
    jq -e '.schema == "ax.opt/1" and .changed and .written and
        .nodes_before == 8 and .nodes_after == 5 and .samples == 4 and
        ([.passes[] | .changes] == [1, 1, 0, 1, 1, 1]) and
        ([.passes[] | select(.kind == "exact" and .changes > 0) |
            .max_absolute] == [0, 0]) and
        ([.passes[] | select(.kind == "approximate") |
            .max_relative > 0 and .max_relative < 1e-5] | all)' said ||
        { cat said; return 1; }
    [ "$(jq -r .model_in said)" = "$(ax-show -i net.axm)" ]
    [ "$(jq -r .model_out said)" = "$(ax-show -i out.axm)" ]
    ax-show --json out.axm | jq -e '[.provenance[].command] ==
        ["ax-import", "ax-opt"] and
        .provenance[1].model_in == $from' \
        --arg from "$(ax-show -i net.axm)"
    ax-opt --samples 0 -o other.axm net.axm >said
    cmp <(ax-show -i out.axm) <(ax-show -i other.axm)
    grep -q '^fold-norm .* approximate: not measured$' said
}

@test "exact passes keep the bytes of the outputs" {
    sample
    ax-opt --exact -o out.axm net.axm
    ax-run --format npy net.axm in.csv >a
    ax-run --format npy out.axm in.csv | cmp - a
    [ "$(ax-show -i net.axm)" != "$(ax-show -i out.axm)" ]
    ax-opt --passes dead,constants -o out.axm net.axm >said
    [ "$(grep -c 'changes' said)" -eq 2 ]
}

@test "outputs after all passes are those before, to rounding" {
    sample
    ax-opt -o out.axm net.axm
    paste -d, <(ax-run --format csv net.axm in.csv) \
        <(ax-run --format csv out.axm in.csv) |
        awk -F, '{ d = ($1 - $3) ^ 2 + ($2 - $4) ^ 2; exit d > 1e-12 }'
}

@test "certificates and signatures are dropped, and named; properties stay" {
    cp "$root"/tests/data/tutorial/* .
    ax-import net.onnx | ax-prove -p safe.vnnlib --cert -o proved.axm
    ax-sign keygen -W
    ax-sign -k key -o signed.axm proved.axm
    # Nothing to do: all of it stays.
    ax-opt -o same.axm signed.axm >said
    grep -q '^unchanged' said
    ax-check same.axm safe.vnnlib
    ax-sign verify -k key.pub same.axm
    # An operator more, so that there is something to do.
    sample
    property
    ax-opt --passes constants,split-norm net.axm 2>/dev/null |
        ax-prove -p p.vnnlib --cert -o proved.axm
    ax-sign -k key -o signed.axm proved.axm
    ax-opt -o out.axm signed.axm >said
    grep -q '^dropped certificate p.vnnlib: ' said
    grep -q '^dropped signature ' said
    ax-show --json out.axm | jq -e '[.attachments[].type] | unique ==
        ["property", "provenance"]'
    run ax-check out.axm p.vnnlib
    [ "$status" -ne 0 ]
    run ax-sign verify -k key.pub out.axm
    [ "$status" -ne 0 ]
    ax-opt --json -o out.axm signed.axm |
        jq -e '[.dropped[].type] == ["certificate", "signature"]'
}

@test "what is over the tolerance is not written" {
    sample
    echo old >out.axm
    run --separate-stderr ax-opt --tolerance 0 -o out.axm net.axm
    [ "$status" -eq 1 ]
    [[ $output == *"over the tolerance of 0: not written"* ]]
    [ "$(cat out.axm)" = old ]
    # Where nothing is computed anew there is nothing to tolerate.
    ax-opt --tolerance 0 --exact -o out.axm net.axm
}

@test "graphs inside nodes see what they saw" {
    for m in if if-if loop; do
        ax-import -o net.axm "$root/tests/formats/onnx/good/$m.onnx"
        ax-opt -o out.axm net.axm >said || { cat said; return 1; }
        cmp <(operators net.axm | tr ' ' '\n' | grep -E 'If|Loop') \
            <(operators out.axm | tr ' ' '\n' | grep -E 'If|Loop')
    done
}

@test "models of others: the same function with fewer operators" {
    need_shared data/onnx/ultraface-slim-320-op9.onnx
    ax-import -o net.axm "$shared"
    ax-opt --backend cpu --json -o out.axm net.axm |
        jq -e '(.passes[] | select(.name == "fold-norm") |
            .changes == 25 and .max_relative < 1e-5)'
    [[ $(operators out.axm) != *BatchNormalization* ]]
}

@test "the same bytes every time, and from pipe to pipe" {
    sample
    ax-opt -o a.axm net.axm
    ax-opt -o b.axm net.axm
    cmp a.axm b.axm
    ax-opt <net.axm 2>/dev/null | ax-show -i | cmp - <(ax-show -i a.axm)
}

data() { # ROWS: for the network that sample makes
    awk -v n="$1" 'BEGIN { srand(1)
        for (i = 0; i < n; i++)
            printf "%.3f,%.3f\n", rand() * 2 - 1, rand() * 2 - 1 }' >data.csv
}

@test "int8: what is said is what ax-run computes" {
    sample
    data 20
    ax-opt --quantise int8 --calibrate data.csv --json -o out.axm net.axm >said
    jq -e '.narrow | .to == "int8" and .weights == 2 and .activations == 2 and
        .measured and .runs == 20 and .rows == 20 and .left == [] and
        .bytes_after < 400 and .max_relative < 0.05 and
        .max_rounding > 0 and .max_rounding < 0.004' said ||
        { cat said; return 1; }
    ax-run --backend ref --format csv net.axm data.csv >was
    ax-run --backend ref --format csv out.axm data.csv >is
    paste -d, was is | awk -F, -v max="$(jq .narrow.max_absolute said)" \
        -v mean="$(jq .narrow.mean_absolute said)" \
        -v same="$(jq .narrow.rows_same said)" '
        function abs(x) { return x < 0 ? -x : x }
        { for (i = 1; i <= 2; i++) {
              d = abs($i - $(i + 2)); s += d; n++; if (d > m) m = d } }
        ($1 < $2) == ($3 < $4) { k++ }
        END { exit !(abs(m - max) < 1e-6 && abs(s / n - mean) < 1e-6 &&
                     k == same && m > 0) }'
    [[ $(operators out.axm) == *"DequantizeLinear"*"QuantizeLinear"* ]]
    # Other bytes, other ranges; and again the same bytes.
    ax-opt --quantise int8 --calibrate data.csv --activations int8 \
        --percentile 90 -o other.axm net.axm >said
    grep -q '^measured in 20 runs of the data: differs by at most ' said
    [ "$(ax-show -i other.axm)" != "$(ax-show -i out.axm)" ]
    ax-opt --quantise int8 --calibrate data.csv -o again.axm net.axm
    cmp <(ax-show -i again.axm) <(ax-show -i out.axm)
    # What is quantised stays so.
    ax-opt -o twice.axm out.axm | grep '^unchanged'
}

@test "float16, bfloat16 and int4: weights alone" {
    printf 'input 40\ndense 40\nrelu\ndense 3\n' >wide.arch
    { seq -s, 40 | sed 's/$/,0/'; seq -s, 40 | sed 's/$/,1/'; } >rows.csv
    ax-train -d rows.csv --epochs 1 -o wide.axm wide.arch
    sed 's/,[01]$//' rows.csv >in.csv
    for t in float16:3 bfloat16:3; do
        ax-opt --to "${t%:*}" --calibrate in.csv --json -o out.axm wide.axm |
            jq -e --argjson n "${t#*:}" '.narrow | .weights == $n and
                .max_rounding > 0 and .max_rounding < 0.01 and
                .max_relative < 0.02 and .bytes_after < .bytes_before * 0.6'
        [[ $(operators out.axm) == *Cast* ]]
        ax-opt -o twice.axm out.axm | grep '^unchanged'
    done
    ax-opt --quantise int4 --calibrate in.csv --json -o out.axm wide.axm |
        jq -e '.narrow | .weights == 2 and .max_rounding < 0.0715'
    ax-opt --to float16 -o out.axm wide.axm |
        grep '^outputs not measured: no --calibrate'
}

@test "wrong data to calibrate with" {
    sample
    printf '1,2,3\n' >data.csv
    refuses 65 "data for input 'x' are float32 [1,3]" \
        ax-opt --quantise int8 --calibrate data.csv net.axm
    refuses 66 'none.npy' ax-opt --quantise int8 --calibrate none.npy net.axm
    printf '1,nan\n' >data.csv
    refuses 65 'is not finite on the data' \
        ax-opt --quantise int8 --calibrate data.csv net.axm
    refuses 64 '--quantise int8 wants --calibrate FILE' \
        ax-opt --quantise int8 net.axm
    refuses 64 'are one choice' ax-opt --to float16 --quantise int4 net.axm
    refuses 64 '--calibrate goes with' ax-opt --calibrate data.csv net.axm
}

@test "wrong usage and bad input" {
    sample
    refuses 64 "no pass is called 'foo'" ax-opt --passes foo net.axm
    refuses 64 "no pass is called ''" ax-opt --passes dead, net.axm
    refuses 64 '--json wants -o FILE' ax-opt --json net.axm
    refuses 66 'none.axm' ax-opt none.axm
    head -c 200 net.axm >cut.axm
    refuses 65 'cut.axm: ' ax-opt cut.axm
    # A network that cannot run on inputs of this size.
    need_shared data/onnx/silero_vad_16k_op15.onnx
    ax-import -o vad.axm "$shared"
    refuses 65 "node '/model/stft/Conv'" ax-opt -o out.axm vad.axm
    ax-opt --samples 0 -o out.axm vad.axm
}
