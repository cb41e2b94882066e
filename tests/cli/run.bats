# ax-run: inputs, outputs, backends, refusals.
load common

# shellcheck disable=SC2154 # common.bash sets root
data=$root/tests/data/run

import() { # NAME: NAME.axm out of the sample of that name
    ax-import "$data/$1.onnx" -o "$1.axm"
}

@test "the samples agree with the outputs that came with them" {
    for name in mlp cnn halves two; do
        import "$name"
        for b in ref cpu; do
            "$root/tests/diff/npy-close" 1e-5 \
                <(ax-run --backend $b --format npz "$name.axm" \
                    "$data/$name".in?.npy) "$data/$name".out?.npy
        done
    done
}

# Strings of at most 9 bytes as an npy file.
strings() { # FILE TEXT ...
    local file=$1 head
    shift
    head=$(printf "{'descr': '|S9', 'fortran_order': False, 'shape': (%d,), }" \
        $#)
    {
        printf '\223NUMPY\1\0\166\0%-117s\n' "$head"
        for text; do
            printf '%s' "$text"
            head -c $((9 - $(printf '%s' "$text" | wc -c))) /dev/zero
        done
    } >"$file"
}

over_strings() { # SAMPLE FILE ...
    ax-import -o s.axm "$root/tests/formats/onnx/good/strings-$1.onnx"
    shift
    ax-run --format text s.axm "$@"
}

@test "strings: what each operator makes of them" {
    strings a.npy 'The' 'b,,c' ''
    strings b.npy 'THE' 'b,,c' 'x'
    [ "$(over_strings concat a.npy b.npy)" = 'y: string [3]
  "TheTHE" "b,,cb,,c" "x"' ]
    [ "$(over_strings equal a.npy b.npy)" = 'y: bool [3]
  0 1 0' ]
    [ "$(over_strings split a.npy)" = 'y: string [3,3]
  "The" "" ""
  "b" "" "c"
  "" "" ""
n: int64 [3]
  1 3 1' ]
    [ "$(over_strings upper a.npy)" = 'y: string [2]
  "B,,C" ""' ]
    strings a.npy a b c
    [ "$(over_strings labels a.npy)" = 'y: string [3]
  "one" "two" "_Unused"' ]
    ax-run --json s.axm a.npy | jq -e '.outputs[0].data ==
        ["one", "two", "_Unused"]'
    ax-run -o y.npy s.axm a.npy
    [ "$(tail -c 768 y.npy | tr '\0' ' ' | tr -s ' ')" = "one two _Unused " ]
}

@test "strings are no numbers, and none is cut" {
    strings a.npy a
    import mlp
    refuses 65 'strings where numbers are wanted' ax-run mlp.axm a.npy
    ax-import -o s.axm "$root/tests/formats/onnx/good/strings-upper.onnx"
    echo 1 >a.csv
    refuses 65 'strings are read from npy files alone' ax-run s.axm a.csv
    refuses 65 'strings are written to npy' ax-run --format csv s.axm a.npy
    printf 'caf\303\251' >text
    strings a.npy "$(cat text)"
    refuses 65 'the case of a letter that is not ASCII' ax-run s.axm a.npy
    strings a.npy 123456789
    ax-import -o cat.axm "$root/tests/formats/onnx/good/strings-concat.onnx"
    cp a.npy b.npy
    for _ in 18 36 72 144; do
        ax-run -o c.npy cat.axm a.npy b.npy
        cp c.npy a.npy
        cp c.npy b.npy
    done
    refuses 65 'a string of 288 bytes, at most 256' \
        ax-run cat.axm a.npy b.npy
}

@test "Dropout in training: the mask of numpy's generator" {
    ax-import -o d.axm "$root/tests/formats/onnx/good/dropout-training.onnx"
    printf '1,2,3,4,5,6,7,8\n' >x.csv
    ax-run --format text d.axm x.csv >a
    ax-run --format text d.axm x.csv | cmp - a
    # numpy.random.seed(5); numpy.random.uniform(size=8) >= 0.25
    grep -qx '  0 1 0 1 1 1 1 1' a
    grep -qx '  0 2.6666667 0 5.3333335 6.6666665 8 9.333333 10.666667' a
}

@test "rows of csv, with a heading, from standard input" {
    import mlp
    printf 'a,b,c,d\n1,0,0,0\n0,1,0,0\n' >two.csv
    ax-run --backend ref --format csv mlp.axm two.csv >all
    [ "$(wc -l <all)" -eq 2 ]
    printf '0,1,0,0\n' | ax-run --backend ref --format csv mlp.axm >one
    [ "$(tail -1 all)" = "$(cat one)" ]
    gives 0 "$(cat one)" ax-run --backend ref --format csv mlp.axm - <<<"0,1,0,0"
}

@test "a model of batch 1 runs once for each row" {
    import cnn
    row=$(printf '0.5,%.0s' {1..127})0.5
    printf '%s\n%s\n%s\n' "$row" "$row" "$row" |
        ax-run --format csv cnn.axm >three
    [ "$(sort -u three | wc -l)" -eq 1 ]
    [ "$(wc -l <three)" -eq 3 ]
}

@test "a free batch in parts gives the same rows" {
    import mlp
    ax-run --backend ref --format csv mlp.axm "$data/mlp.in0.npy" >whole
    ax-run --backend ref --format csv --batch 2 mlp.axm "$data/mlp.in0.npy" >parts
    cmp whole parts
}

@test "--deterministic: the same bytes for any threads and any batch" {
    need_shared bench/rl_benchmarks/onnx/dubinsrejoin.onnx.gz
    need_shared bench/collins_rul_cnn/onnx/NN_rul_full_window_40.onnx.gz
    gzip -dc "$AX_SHARED"/bench/collins_rul_cnn/onnx/NN_rul_full_window_40.onnx.gz \
        >cnn.onnx
    gzip -dc "$AX_SHARED"/bench/rl_benchmarks/onnx/dubinsrejoin.onnx.gz >mlp.onnx
    for name in cnn mlp; do
        ax-import $name.onnx -o $name.axm
        columns=$(ax-show --json $name.axm | jq '[.graph.inputs[0].shape[1:][]] | reduce .[] as $d (1; . * $d)')
        awk -v n="$columns" 'BEGIN {
            srand(7)
            for (i = 0; i < 37; i++)
                for (j = 0; j < n; j++)
                    printf "%.6f%s", 2 * rand() - 1, j < n - 1 ? "," : "\n"
        }' >rows.csv
        ax-opt --quantise int8 --calibrate rows.csv --backend cpu \
            -o $name-int8.axm $name.axm
        for net in $name.axm $name-int8.axm; do
            ax-run --deterministic -o whole.npy "$net" rows.csv
            for how in "-j 2" "-j 3 --batch 5" "--batch 1" "--batch 13" "-j 2 --batch 16"; do
                # shellcheck disable=SC2086 # options
                ax-run --deterministic $how -o part.npy "$net" rows.csv
                cmp whole.npy part.npy
            done
            sed -n 20p rows.csv | ax-run --deterministic --format csv "$net" >one
            ax-run --deterministic --format csv "$net" rows.csv | sed -n 20p | cmp - one
        done
    done
}

@test "inputs by name, in npz, and by position" {
    import two
    ax-run -o a.npy two.axm "$data/two.in0.npy" "$data/two.in1.npy"
    ax-run -o b.npy two.axm -i scale="$data/two.in1.npy" -i ids="$data/two.in0.npy"
    ax-run -o c.npy two.axm -i scale="$data/two.in1.npy" "$data/two.in0.npy"
    cmp a.npy b.npy
    cmp a.npy c.npy
    echo 2 >scale.csv
    printf '0\n5\n2\n' >ids.csv
    refuses 65 "wants int64, has float32" ax-run two.axm "$data/two.in1.npy" scale.csv
    refuses 64 "no input 'x'" ax-run two.axm -i x=scale.csv
    refuses 64 "NAME=FILE" ax-run two.axm -i scale.csv
    refuses 64 "'scale' is not given" ax-run two.axm "$data/two.in0.npy"
    refuses 64 "given twice" ax-run two.axm -i ids="$data/two.in0.npy" \
        -i ids="$data/two.in0.npy"
}

@test "the model from standard input" {
    import mlp
    ax-run -o a.npy mlp.axm "$data/mlp.in0.npy"
    ax-run -o b.npy - "$data/mlp.in0.npy" <mlp.axm
    cmp a.npy b.npy
    refuses 64 "name a file" ax-run - <mlp.axm
}

@test "standard output is npy for one output, npz for several" {
    import mlp
    import halves
    ax-run mlp.axm "$data/mlp.in0.npy" >out
    [ "$(head -c 6 out | tail -c 5)" = NUMPY ]
    ax-run halves.axm "$data/halves.in0.npy" >out
    [ "$(head -c 2 out)" = PK ]
    refuses 64 "2 outputs" ax-run -o out.npy halves.axm "$data/halves.in0.npy"
    [ ! -e out.npy ]
    refuses 64 "ends neither" ax-run -o out.txt mlp.axm "$data/mlp.in0.npy"
}

@test "JSON is one object with the outputs" {
    import mlp
    ax-run --json mlp.axm "$data/mlp.in0.npy" >out.json
    [ "$(wc -l <out.json)" -eq 1 ]
    grep -q '^{"schema": *"ax.run/1"' out.json
    grep -q '"shape": *\[5, *3\]' out.json
}

@test "two backends are compared" {
    import cnn
    run -0 ax-run --check ref cnn.axm "$data/cnn.in0.npy"
    [[ $output == "y: largest difference "* ]]
    run -1 ax-run --backend ref --check cpu --tolerance 0 cnn.axm "$data/cnn.in0.npy"
    run -0 ax-run --backend ref --check ref --tolerance 0 cnn.axm "$data/cnn.in0.npy"
    [ "$output" = "y: largest difference 0, relative 0" ]
}

@test "time is measured on demand" {
    import mlp
    run -0 ax-run --time 3 mlp.axm "$data/mlp.in0.npy"
    [[ ${lines[3]} == "median "*" s of 3" ]]
}

@test "every operator has a reference kernel" {
    ax-run --operators >list
    [ "$(wc -l <list)" -gt 100 ]
    run -1 grep -v -P '\tref' list
}

@test "bad data are refused with file and place" {
    import mlp
    printf '1,2,3,4\n1,2,x,4\n' >bad.csv
    refuses 65 "bad.csv: line 2, column 3: 'x'" ax-run mlp.axm bad.csv
    printf '1,2,3\n' >short.csv
    refuses 65 "'x' wants float32 [?,4]" ax-run mlp.axm short.csv
    head -c 100 "$data/mlp.in0.npy" >cut.npy
    refuses 65 "cut.npy: npy" ax-run mlp.axm cut.npy
    refuses 66 "missing.npy" ax-run mlp.axm missing.npy
    refuses 66 "missing.axm" ax-run missing.axm
    refuses 65 "bad.csv" ax-run bad.csv bad.csv
    refuses 64 "no model" ax-run
}

@test "tensors over the limit of memory are refused" {
    import two
    echo 2 >scale.csv
    seq 100000 | sed 's/.*/1/' >ids.csv
    refuses 75 "node 'gather' (Gather): 1200000 bytes for a tensor" \
        ax-run --max-mib 1 two.axm -i ids=ids.csv -i scale=scale.csv
    ax-run --max-mib 4 -o out.npy two.axm -i ids=ids.csv -i scale=scale.csv
}

@test "an index outside its range names the node" {
    import two
    printf '9\n' >ids.csv
    printf '2\n' >scale.csv
    refuses 65 "node 'gather' (Gather): index 9 of 6" \
        ax-run two.axm -i ids=ids.csv -i scale=scale.csv
}

@test "a full disk is noticed, and leaves no file" {
    import mlp
    refuses 74 "space left" ax-run -o /dev/full --format npy mlp.axm "$data/mlp.in0.npy"
    code=0
    ax-run mlp.axm "$data/mlp.in0.npy" >/dev/full 2>err || code=$?
    [ "$code" -eq 74 ]
}

# The networks that come with outputs of ONNX Runtime; halves are rounded in
# other places there.
@test "real networks agree with ONNX Runtime" {
    need_shared data/ref/onnx
    "$root/tests/diff/run-ref" "$AX_SHARED/data" >report || {
        cat report
        return 1
    }
    [ "$(grep -c '^passed' report)" -ge 42 ]
}
