# ax-import on TensorFlow Lite files. The samples are those that
# tests/formats/tflite/make.py wrote down, with what LiteRT computes.
load common
load damage

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
    for f in "$good/dense.tflite" "$good/int8.tflite"; do
        cut_short "$f" 40
        head -c $(($(wc -c <"$f") / 2)) "$f" >short
        refuses 65 "malformed" ax-import short
    done
}

@test "a byte that was changed gives a network or one line" {
    changed any 60 "$good/dense.tflite" "$good/int8.tflite" \
        "$good/image.tflite"
}
