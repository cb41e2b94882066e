# ax-prove: verdicts, limits, evidence.
load common

acas() { # NET: sets net
    net=$BATS_TEST_TMPDIR/$1.axm
    ax-import -o "$net" "$root/tests/data/acasxu/$1.onnx"
}

@test "a property that holds" {
    acas net_1_1
    run --separate-stderr ax-prove -p "$root/tests/data/acasxu/prop_3.vnnlib" \
        "$net"
    [ "$status" -eq 0 ]
    [ "${lines[0]}" = holds ]
}

@test "a property that is violated comes with inputs and outputs" {
    acas net_2_2
    run --separate-stderr ax-prove -p "$root/tests/data/acasxu/prop_2.vnnlib" \
        "$net"
    [ "$status" -eq 1 ]
    [ "${lines[0]}" = violated ]
    [ "$(printf '%s\n' "$output" | grep -c '^X_[0-4] ')" -eq 5 ]
    [ "$(printf '%s\n' "$output" | grep -c '^Y_[0-4] ')" -eq 5 ]
}

@test "limits give unknown, with the reason" {
    acas net_1_1
    p=$root/tests/data/acasxu/prop_3.vnnlib
    run --separate-stderr ax-prove --max-boxes 100 -p "$p" "$net"
    [ "$status" -eq 2 ]
    [ "${lines[0]}" = unknown ]
    [[ ${lines[1]} == "reason: the limit of boxes was reached"* ]]
    run --separate-stderr ax-prove -t 0.000001 -p "$p" "$net"
    [ "$status" -eq 2 ]
    [[ ${lines[1]} == "reason: the time limit was reached"* ]]
}

@test "nothing is called proved that is false over the reals" {
    for f in "$root"/tests/data/soundness/*.onnx; do
        ax-import -o s.axm "$f"
        run --separate-stderr ax-prove -t 10 --max-boxes 20000 --cert -o c.axm \
            -p "${f%.onnx}.vnnlib" s.axm
        echo "$f: $output"
        [ "$status" -eq 1 ] || [ "$status" -eq 2 ]
        [ "${lines[0]}" = violated ] || [ "${lines[0]}" = unknown ]
    done
}

# MODEL N_Y ROW: four inputs from 0 to 1
about() {
    ax-import -o m.axm "$root/tests/formats/onnx/good/$1.onnx"
    for i in 0 1 2 3; do
        echo "(declare-const X_$i Real)(assert (>= X_$i 0))(assert (<= X_$i 1))"
    done > p.vnnlib
    for ((i = 0; i < $2; i++)); do echo "(declare-const Y_$i Real)"; done >> p.vnnlib
    echo "(assert $3)" >> p.vnnlib
    run --separate-stderr ax-prove -c -o c.axm -p p.vnnlib m.axm
    ax-check c.axm
}

@test "pictures that become larger are proved and checked" {
    about convtranspose 25 '(>= Y_12 4.001)'
    [ "${lines[0]}" = holds ]
    about convtranspose 25 '(>= Y_12 3.9)'
    [ "${lines[0]}" = violated ]
    for m in upsample resize11; do
        about $m 24 '(>= (- Y_0 Y_2) 0.001)'
        [ "${lines[0]}" = holds ]
        about $m 24 '(>= (- Y_2 Y_3) 0.9)'
        [ "${lines[0]}" = violated ]
    done
}

@test "gradients that overflow do not end the search" {
    ax-import -o steep.axm "$root/tests/data/steep/net.onnx"
    run --separate-stderr ax-prove -t 20 -p "$root/tests/data/steep/range.vnnlib" \
        steep.axm
    [ "$status" -eq 2 ]
    [ "${lines[0]}" = unknown ]
    [ -z "$stderr" ]
}

@test "the certificate does not depend on threads" {
    acas net_1_1
    p=$root/tests/data/acasxu/prop_3.vnnlib
    for t in 1 2 3; do
        ax-prove -j $t --cert -o $t.axm -p "$p" "$net"
        ax-show --extract certificate -o $t.cert $t.axm
    done
    cmp 1.cert 2.cert
    cmp 1.cert 3.cert
}

@test "evidence is attached, and ax-check accepts it" {
    acas net_1_1
    ax-prove --cert --check -p "$root/tests/data/acasxu/prop_3.vnnlib" \
        -o c.axm "$net"
    ax-check c.axm "$root/tests/data/acasxu/prop_3.vnnlib"
    run -0 ax-prove --check -p "$root/tests/data/acasxu/prop_3.vnnlib" "$net"
    [ "$output" = holds ]
    acas net_2_2
    run ax-prove --cert --check -p "$root/tests/data/acasxu/prop_2.vnnlib" \
        -o v.axm "$net"
    [ "$status" -eq 1 ]
    ax-check v.axm "$root/tests/data/acasxu/prop_2.vnnlib"
}

@test "in a pipe the container goes on and the verdict to standard error" {
    acas net_1_1
    ax-prove --cert -p "$root/tests/data/acasxu/prop_3.vnnlib" <"$net" \
        >c.axm 2>verdict
    [ "$(head -n 1 verdict)" = holds ]
    ax-check c.axm
}

@test "without -p the attached property is meant" {
    acas net_1_1
    refuses 64 "no property" ax-prove "$net"
    ax-prove --cert -o c.axm -p "$root/tests/data/acasxu/prop_3.vnnlib" "$net"
    run ax-prove c.axm
    [ "$status" -eq 0 ]
}

@test "--require writes nothing unless the property holds" {
    acas net_2_2
    run ax-prove --cert --require -o v.axm \
        -p "$root/tests/data/acasxu/prop_2.vnnlib" "$net"
    [ "$status" -eq 1 ]
    [ ! -e v.axm ]
}

@test "--json has verdict, digests and the counterexample" {
    acas net_2_2
    run --separate-stderr ax-prove --json \
        -p "$root/tests/data/acasxu/prop_2.vnnlib" "$net"
    [ "$status" -eq 1 ]
    python3 - "$output" <<'PY'
import json, sys
o = json.loads(sys.argv[1])
assert o["schema"] == "ax.prove/1" and o["verdict"] == "violated"
assert o["semantics"] == "real" and len(o["identity"]) == 64
assert len(o["input"]) == 5 and len(o["output"]) == 5
y = o["output"]
assert all(v <= y[0] for v in y[1:]), y
PY
}

@test "--trace has one line a box, and the leaves fill the box" {
    acas net_1_1
    ax-prove --trace t.jsonl -p "$root/tests/data/acasxu/prop_3.vnnlib" "$net"
    python3 - <<'PY'
import json
t = [json.loads(l) for l in open("t.jsonl")]
leaves = [b for b in t if "split" not in b]
assert len(t) == 2 * len(leaves) - 1
assert abs(sum(2.0 ** -b["depth"] for b in leaves) - 1) < 1e-12
PY
}

@test "what is not a property is refused with its place" {
    acas net_1_1
    echo '(declare-const X_0 Real' >bad.vnnlib
    refuses 65 "bad.vnnlib: 2:1: " ax-prove -p bad.vnnlib "$net"
    echo '(declare-const X_0 Real)' >few.vnnlib
    refuses 65 "few.vnnlib" ax-prove -p few.vnnlib "$net"
    refuses 66 "none.vnnlib" ax-prove -p none.vnnlib "$net"
}

@test "options that contradict each other are refused" {
    refuses 64 "give --cert" ax-prove -o x.axm -p p.vnnlib m.axm
    refuses 64 "give -o" ax-prove --json --cert -p p.vnnlib m.axm
}

@test "neurons are split: certificates that ax-check accepts, of any threads" {
    acas net_1_1
    cat >p.vnnlib <<'END'
(declare-const X_0 Real)(declare-const X_1 Real)(declare-const X_2 Real)
(declare-const X_3 Real)(declare-const X_4 Real)
(declare-const Y_0 Real)(declare-const Y_1 Real)(declare-const Y_2 Real)
(declare-const Y_3 Real)(declare-const Y_4 Real)
(assert (>= X_0 -0.3035))(assert (<= X_0 -0.2986))
(assert (>= X_1 0))(assert (<= X_1 0.0095))
(assert (>= X_2 0.4934))(assert (<= X_2 0.5))
(assert (>= X_3 0.3))(assert (<= X_3 0.36))
(assert (>= X_4 0.3))(assert (<= X_4 0.36))
(assert (or (<= Y_0 Y_3) (<= Y_0 Y_4)))
END
    for t in 1 3; do
        ax-prove -j $t --strategy neuron --trace $t.trace --cert -o $t.axm \
            -p p.vnnlib "$net"
        run -0 ax-check $t.axm
        [[ $output == 'accepted: holds, p.vnnlib, '*' leaves' ]]
        ax-show --extract certificate -o $t.cert $t.axm
    done
    cmp 1.cert 3.cert
    [ "$(grep -c '"neuron":' 1.trace)" -gt 10 ]
    [ "$(grep -c '"fork":' 1.trace)" -eq 1 ]
    # Without a fork the slopes stand at the root of the tree.
    for y in Y_3 Y_4; do
        sed "s/(or .*/(<= Y_0 $y))/" p.vnnlib >one.vnnlib
        ax-prove --strategy neuron --trace one.trace --cert -o one.axm \
            -p one.vnnlib "$net"
        [ "$(grep -c '"neuron":' one.trace)" -gt 0 ]
        run -0 ax-check one.axm
    done
    run -64 ax-prove --strategy both -p p.vnnlib "$net"
    [[ $output == *"wants auto, input or neuron, not 'both'"* ]]
}

@test "robust: makes the property of a ball, with exact decimals" {
    acas net_1_1
    printf '0.1,-1.5e-3,2.48,1e-30,-12345.678\n' >x.csv
    ax-prove -p robust:x.csv,linf=0.03,max=2.5e0,label=2 --print-property \
        "$net" >p.vnnlib
    python3 - <<'PY'
import re, struct
from fractions import Fraction as F
text = open("p.vnnlib").read()
x = [F(struct.unpack("f", struct.pack("f", v))[0])
     for v in (0.1, -1.5e-3, 2.48, 1e-30, -12345.678)]
for i, v in enumerate(x):
    lo, = re.findall(r"\(assert \(>= X_%d (\S+)\)\)" % i, text)
    hi, = re.findall(r"\(assert \(<= X_%d (\S+)\)\)" % i, text)
    assert F(lo) == v - F("0.03"), (lo, v)
    assert F(hi) == min(v + F("0.03"), F("2.5")), (hi, v)
assert text.count("declare-const") == 10
assert text.endswith("(assert (or (<= Y_2 Y_0) (<= Y_2 Y_1) (<= Y_2 Y_3) "
                     "(<= Y_2 Y_4)))\n")
PY
    # The output that is greatest there is meant if none is named.
    printf '0,0,0,0,0\n' >zero.csv
    run -0 ax-prove -p robust:zero.csv,linf=1e-3 --cert -o proof.axm "$net"
    [ "$output" = holds ]
    run -0 ax-check proof.axm
    [[ $output == 'accepted: holds, robust.vnnlib, '* ]]
    k=$(ax-prove -p robust:zero.csv,linf=0 --print-property "$net" |
        sed -n 's/.*(or (<= Y_\([0-9]\) .*/\1/p')
    run -1 ax-prove -p "robust:zero.csv,linf=0,label=$(((k + 1) % 5))" "$net"
    printf '0,0\n' >short.csv
    refuses 65 "short.csv" ax-prove -p robust:short.csv,linf=1 "$net"
    refuses 66 "none.csv" ax-prove -p robust:none.csv,linf=1 "$net"
    refuses 64 "linf=NUMBER" ax-prove -p robust:x.csv "$net"
    refuses 64 "linf= wants" ax-prove -p robust:x.csv,linf=1e "$net"
    refuses 64 "from 0 on" ax-prove -p robust:x.csv,linf=-1 "$net"
    refuses 64 "below 5" ax-prove -p robust:x.csv,linf=1,label=5 "$net"
    refuses 64 "not 'eps=1'" ax-prove -p robust:x.csv,eps=1 "$net"
    refuses 64 "out of reach" ax-prove -p robust:zero.csv,linf=1,min=2 "$net"
    refuses 64 "above" ax-prove -p robust:x.csv,linf=1,min=2,max=1 "$net"
}

# The last four bytes of a saved search are the CRC-32 of the others.
sealed() { # FILE
    gzip -c "$1" | tail -c 8 | head -c 4 > crc
    cat "$1" crc
}

# STRATEGY BOXES PROPERTY: so many at a time, threads in turn; the evidence is
# that of the search at a stretch.
piecemeal() {
    ax-prove --strategy "$1" -p "$3" --cert -o whole.axm "$net"
    ax-show --extract certificate -o whole.cert whole.axm
    rm -f s.open
    tries=0
    while run --separate-stderr ax-prove --max-boxes "$2" --resume s.open \
        --strategy "$1" -p "$3" -j $((1 + tries % 2)) --cert -o part.axm "$net"
        [ "$status" -eq 2 ]; do
        [ "${lines[0]}" = unknown ] || [[ $stderr == unknown* ]]
        tries=$((tries + 1))
        [ "$tries" -lt 20 ]
    done
    [ "$status" -eq 0 ]
    [ "$tries" -gt 1 ]
    ax-show --extract certificate -o part.cert part.axm
    cmp whole.cert part.cert
}

@test "a search goes on where a limit ended it, to the same certificate" {
    acas net_1_1
    piecemeal input 1700 "$root/tests/data/acasxu/prop_3.vnnlib"
    printf '%s\n' -0.311,-0.291 -0.01,0.01 0.4867,0.5067 0.39,0.41 0.39,0.41 \
        > box.csv
    piecemeal neuron 30 bounds:box.csv,output=0,hi=0.35
    run ax-prove --max-boxes 30 --resume n.open --strategy neuron \
        -p bounds:box.csv,output=0,hi=0.35 --json "$net"
    [ "$status" -eq 2 ]
    [[ $output == *'"resume":"n.open"'* ]]
}

@test "a saved search is not believed" {
    acas net_2_2
    p=$root/tests/data/acasxu/prop_2.vnnlib
    run ax-prove --no-attack --max-boxes 300 --resume s.open -p "$p" "$net"
    [ "$status" -eq 2 ]
    # All of it closed by one leaf, and sealed:
    { head -c 108 s.open; printf '\1\1\2\0\0\0'; } > forged
    sealed forged > s2.open
    run ax-prove --resume s2.open -p "$p" "$net"
    [ "$status" -eq 65 ]
    [[ $output == *"ax-check does not accept what was proved before"* ]]
    [[ $output != *holds* ]]
    # Children that come before their parents, share a child, are not there:
    for boxes in '\02\02\01\0\01' '\03\02\01\0\01\02\01\0\01\0' \
        '\01\02\05\0\01'; do
        { head -c 108 s.open; printf '%b' "\\01$boxes"; } > forged
        sealed forged > s2.open
        run ax-prove --resume s2.open -p "$p" "$net"
        [ "$status" -eq 65 ]
        [[ $output == *damaged* ]]
    done
}

@test "a saved search of something else, or damaged, is refused" {
    acas net_2_2
    p=$root/tests/data/acasxu/prop_2.vnnlib
    run ax-prove --no-attack --max-boxes 300 --resume s.open -p "$p" "$net"
    size=$(stat -c %s s.open)
    for n in 0 1 100 $((size / 2)) $((size - 1)); do
        head -c $n s.open > cut.open
        run ax-prove --resume cut.open -p "$p" "$net"
        [ "$status" -eq 65 ]
    done
    for at in 5 6 20 50 80 110 $((size / 2)) $((size - 2)); do
        cp s.open flip.open
        printf '\377' | dd of=flip.open bs=1 seek=$at conv=notrunc status=none
        cmp -s s.open flip.open || run ax-prove --resume flip.open -p "$p" "$net"
        [ "$status" -eq 65 ]
    done
    run ax-prove --resume s.open -p "$root/tests/data/acasxu/prop_3.vnnlib" "$net"
    [ "$status" -eq 65 ]
    [[ $output == *"of another property"* ]]
    run ax-prove --resume s.open --semantics ieee32 -p "$p" "$net"
    [ "$status" -eq 65 ]
    [[ $output == *"other semantics"* ]]
    run ax-prove --resume s.open --strategy neuron -p "$p" "$net"
    [ "$status" -eq 64 ]
    acas net_1_1
    run ax-prove --resume s.open -p "$p" "$net"
    [ "$status" -eq 65 ]
    [[ $output == *"of another model"* ]]
    run ax-prove --max-boxes 300 --resume none/s.open -p "$p" "$net"
    [ "$status" -eq 74 ]
    [[ $output == *none/s.open* ]]
    run ax-prove --resume s.open --minimise eps -p robust:x.csv,linf=0.1 "$net"
    [ "$status" -eq 64 ]
}
