# ax-import on Keras models in HDF5. The samples are those that
# tests/formats/keras/make.py wrote down, with what Keras computes.
load common
load damage

good=$root/tests/formats/keras/good

same() { # NAME INPUT: as Keras
    ax-import "$good/$1.h5" -o "$1.axm"
    ax-run -o y.npz "$1.axm" "$good/$2.x.npy"
    "$root/tests/diff/npy-close" 1e-5 y.npz "$good/$2".y?.npy
}

@test "networks are those that Keras computes" {
    same sequential sequential
    same image image
    same image-2 image
}

@test "the words of Keras 2 and of Keras 3 give one network" {
    ax-import "$good/image.h5" -o a.axm
    ax-import "$good/image-2.h5" -o b.axm
    ax-show --diff a.axm b.axm
}

@test "names and shapes are those of the layers" {
    ax-import <"$good/image.h5" | ax-show --json >shown
    jq -e '.graph.inputs == [{"name": "x", "dtype": "float32",
        "shape": [null, 8, 7, 2]}]' shown
    jq -e '.graph.outputs | map(.name) == ["left", "right"]' shown
    ax-import --formats | grep -q '^keras '
}

# change OLD NEW [FILE]: the sample with other words of the same length.
change() {
    python3 - "$good/${3-sequential.h5}" "$1" "$2" <<'END'
import sys
name, old, new = sys.argv[1:]
data = open(name, 'rb').read()
assert old.encode() in data and len(old) == len(new)
open('bad.h5', 'wb').write(data.replace(old.encode(), new.encode()))
END
}

@test "what is not supported, or does not fit, is named" {
    change '"LeakyReLU"' '"LeakyWhat"'
    refuses 65 "is a LeakyWhat, which is not supported" ax-import bad.h5
    change '"LeakyReLU"' '"Lambda"   '
    refuses 65 "is a Lambda, which is not supported" ax-import bad.h5
    change '"class_name": "Sequential"' '"class_name": "Subclassed"'
    refuses 65 "models of class Subclassed are not supported" ax-import bad.h5
    change '"activation": "relu"' '"activation": "ruel"'
    refuses 65 "activation 'ruel' is not supported" ax-import bad.h5
    change '"padding": "valid"' '"padding": "cause"'
    refuses 65 "padding 'cause' is not supported" ax-import bad.h5
    change '"use_bias": true' '"use_bias": fals' # no JSON
    refuses 65 "model_config: " ax-import bad.h5
    change '"kernel_size": [3]' '"kernel_size": [2]'
    refuses 65 "is 3 wide, the configuration says 2" ax-import bad.h5
    change '"kernel_size": [3]' '"kernel_size": [0]'
    refuses 65 "'kernel_size' is malformed" ax-import bad.h5
    change 'model_config' 'model_confix'
    refuses 65 "HDF5 without a network of Keras" ax-import bad.h5
}

@test "a file that is cut short is refused, wherever" {
    cut_short "$good/sequential.h5" 60 -f keras
    head -c 2000 "$good/sequential.h5" >short
    refuses 65 "malformed" ax-import short
}

@test "a byte that was changed gives a network or one line" {
    changed used 90 "$good/sequential.h5" "$good/image-2.h5"
}
