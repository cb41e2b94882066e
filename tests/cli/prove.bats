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
