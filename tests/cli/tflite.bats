# ax-import on TensorFlow Lite files. The samples are those that
# tests/formats/tflite/make.py wrote down, with what LiteRT computes.
load common

good=$root/tests/formats/tflite/good

same() { # NAME TOLERANCE: as LiteRT
    ax-import "$good/$1.tflite" -o "$1.axm"
    ax-run -o y.npz "$1.axm" "$good/$1.x.npy"
    "$root/tests/diff/npy-close" "$2" y.npz "$good/$1".y?.npy
}

@test "networks are those that LiteRT runs" {
    same dense 1e-5
    same half 1e-5
    same image 1e-5
}

@test "quantised numbers are rounded where the file says so" {
    same int8 0.05 # one unit
    ax-show --json int8.axm >shown
    jq -e ".graph | .inputs[0].dtype == \"int8\" and .outputs[0].dtype == \"int8\"" shown
    jq -e '[.graph.nodes[].op] | (map(select(. == "Conv")) | length) == 2 and
        any(. == "QuantizeLinear") and any(. == "DequantizeLinear")' shown
}

@test "channels change their place where they must, and no more" {
    ax-import "$good/image.tflite" | ax-show --json >shown
    # In, before the slices, and where what was [batch, height, width, channels]
    # is made smaller.
    [ "$(jq '[.graph.nodes[] | select(.op == "Transpose")] | length' shown)" -le 7 ]
    jq -e '.graph.outputs | map(.name) == ["StatefulPartitionedCall_1:1",
        "StatefulPartitionedCall_1:0"]' shown
}

@test "it is told by what it begins with, also from a pipe" {
    ax-import <"$good/dense.tflite" | ax-show | grep -q '^graph *tflite'
    ax-import -f tflite "$good/dense.tflite" -o a.axm
    ax-import --formats | grep -q '^tflite '
}

@test "an operator that is not supported is named" {
    # LEAKY_RELU becomes LSTM.
    python3 - "$good/dense.tflite" <<'END'
import sys
data = bytearray(open(sys.argv[1], 'rb').read())
codes = [i for i in range(len(data)) if data[i] == 98]      # LEAKY_RELU
for i in codes:
    data[i] = 16                                            # LSTM
open('lstm.tflite', 'wb').write(data)
END
    refuses 65 "LSTM (16) is not supported" ax-import lstm.tflite
}

@test "a file that is cut short is refused, wherever" {
    for f in dense int8; do
        size=$(wc -c <"$good/$f.tflite")
        at=8
        while [ "$at" -lt "$size" ]; do
            head -c "$at" "$good/$f.tflite" >short
            run ax-import short -o short.axm
            [ "$status" -eq 65 ] || [ "$status" -eq 0 ]
            [ "$status" -eq 0 ] || [ "${#lines[@]}" -eq 1 ]
            at=$((at + size / 40 + 1))
        done
        head -c $((size / 2)) "$good/$f.tflite" >short
        refuses 65 "malformed" ax-import short
    done
}

@test "a byte that was changed gives a network or one line" {
    python3 - "$good" <<'END'
import os, random, subprocess, sys
rnd = random.Random(5)
for name in 'dense', 'int8', 'image':
    data = open('%s/%s.tflite' % (sys.argv[1], name), 'rb').read()
    for _ in range(60):
        bad = bytearray(data)
        for _ in range(rnd.choice([1, 1, 3])):
            bad[rnd.randrange(8, len(bad))] = rnd.choice([0, 1, 255,
                                                          rnd.randrange(256)])
        open('bad', 'wb').write(bad)
        r = subprocess.run(['ax-import', 'bad'], capture_output=True)
        assert r.returncode in (0, 65), (r.returncode, r.stderr)
        if r.returncode:
            assert r.stderr.count(b'\n') == 1, r.stderr
END
}
