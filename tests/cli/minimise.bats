# ax-prove: --minimise, --region, --counterexample, --explain.
load common

setup_net() {
    ax-import -o net.axm "$root/tests/data/tutorial/net.onnx"
    printf '0.5,-0.25\n' >x.csv
    printf -- '-1,1\n-1,1\n' >box.csv
}

# What is said line by line, without what an option adds of its own.
value() { # WORD NAME: the value in the line "WORD NAME value"
    printf '%s\n' "$output" | sed -n "s/^$1 $2 //p"
}

@test "the largest radius is that which trying them all finds" {
    setup_net
    most=
    for k in $(seq 1 20); do
        r=$(python3 -c "print('%.3f' % ($k * 0.025))")
        if ax-prove -p "robust:x.csv,linf=$r" net.axm >said; then
            most=$k
        else
            break
        fi
    done
    want=$(python3 -c "print('%g' % ($most * 0.025))")
    next=$(python3 -c "print('%g' % (($most + 1) * 0.025))")
    run -0 ax-prove -p robust:x.csv,linf=0.51 --minimise eps \
        --precision 2.5e-2 --cert -o c.axm net.axm
    [ "${lines[0]}" = holds ]
    [ "$(value largest linf)" = "$want" ]
    [ "$(value "violated at" linf)" = "$next" ]
    run -0 ax-check c.axm
    [[ $output == "accepted: holds, robust.vnnlib, "* ]]
    # The property in the container is that of the value.
    ax-prove -p "robust:x.csv,linf=$want" --print-property net.axm >p.vnnlib
    ax-check c.axm p.vnnlib
    # All of what is given holds: nothing is said of a next one.
    run -0 ax-prove -p robust:x.csv,linf=0.25 --minimise linf net.axm
    [ "$(value largest linf)" = 0.25 ]
    [[ $output != *" at linf"* ]]
    # None does.
    run -1 ax-prove -p robust:x.csv,linf=9 --minimise eps --precision 3 \
        net.axm
    [ "${lines[0]}" = violated ]
    [ "${lines[1]}" = "violated at linf 3" ]
}

@test "the smallest bound of a change" {
    setup_net
    # The network's slopes in its first input are known from a fine grid.
    python3 -c '
for j in range(9):
    for i in range(801):
        print("%r,%r" % (-1 + i / 400, -1 + j / 4))' >grid.csv
    ax-run -o o.csv net.axm grid.csv
    steep=$(python3 -c '
y = [[float(v) for v in l.split(",")] for l in open("o.csv")
     if l[:1] in "-0123456789"]
print(max(abs(y[k + 1][1] - y[k][1]) * 400 for k in range(len(y) - 1)
          if k % 801 < 800))')
    run -0 ax-prove -p lipschitz:box.csv,input=0,output=1,l=8,tol=0.1 \
        --minimise l --precision 0.25 --cert -o c.axm net.axm
    l=$(value smallest l)
    ax-check c.axm
    python3 -c 'import sys
l, s = map(float, sys.argv[1:])
assert l >= s - 0.1 and l <= s + 0.25, (l, s)' "$l" "$steep"
    run -0 ax-prove -p equivalent:box.csv,other=net.axm,eps=1 --minimise eps \
        --precision 0.5 --json net.axm
    printf '%s\n' "$output" | jq -e '.verdict == "holds" and
        .minimised.value == "0.5" and .minimised.name == "eps" and
        (.minimised | has("next") | not) and
        [.minimised.steps[].value] == ["1", "0.5"]' >/dev/null
}

@test "values are multiples of the precision, as decimals" {
    setup_net
    for case in "1e-3 4e-4 0.0004 0.0008" "3.00 .5 0.5" "1e-30 1e-30 1e-30" \
        "0.30 0.07 0.14 0.28"; do
        read -r given step values <<<"$case"
        run ax-prove -p "robust:x.csv,linf=$given" --minimise linf \
            --precision "$step" --json net.axm
        tried=$(printf '%s\n' "$output" | jq -r '.minimised.steps[].value')
        for v in $values; do
            [[ " ${tried//$'\n'/ } " == *" $v "* ]] || {
                echo "$case: tried $tried"
                return 1
            }
        done
    done
    p=robust:x.csv,linf=1
    refuses 64 "a part of the value" ax-prove -p $p --minimise eps \
        --precision 2 net.axm
    refuses 64 "a part of the value" ax-prove -p $p --minimise eps \
        --precision 1e-12 net.axm
    for bad in 0 -1 x 1e 1e99 123456789012345678901; do
        refuses 64 "--precision wants" ax-prove -p $p --minimise eps \
            "--precision=$bad" net.axm
    done
    refuses 64 "says l=" ax-prove -p $p --minimise l net.axm
    refuses 64 "says eps= or linf=" ax-prove -p bounds:box.csv,hi=1 \
        --minimise eps net.axm
    refuses 64 "linf= above 0" ax-prove -p robust:x.csv,linf=0 \
        --minimise eps net.axm
    refuses 64 "ready-made" ax-prove -p \
        "$root/tests/data/tutorial/safe.vnnlib" --minimise eps net.axm
    refuses 64 "goes with --minimise" ax-prove -p $p --precision 1 net.axm
}

@test "--counterexample writes one that does what it says" {
    setup_net
    p=$root/tests/data/tutorial/unsafe.vnnlib
    run -1 ax-prove -p "$p" --counterexample c.npy net.axm
    said=$output
    run -1 ax-prove -p "$p" --counterexample c.txt --json net.axm
    ax-run -o o.csv net.axm c.npy
    # Exact outputs, and those that float32 gives, are close here.
    python3 - "$said" <<'PY'
import re, sys
text = open("c.txt").read()
assert re.fullmatch(r"\((\([XY]_\d+ \S+\)\s*)+\)\s*", text), text
got = dict(re.findall(r"\(([XY]_\d+) ([^)]+)\)", text))
said = dict(re.findall(r"^([XY]_\d+) (\S+)$", sys.argv[1], re.M))
assert got == said and len(got) == 4, (got, said)
run = [float(v) for l in open("o.csv") if l[:1] in "-0123456789"
       for v in l.split(",")]
for j, v in enumerate(run):
    assert abs(v - float(got["Y_%d" % j])) < 1e-5
PY
    # Nothing is written if there is none.
    run -0 ax-prove -p "$root/tests/data/tutorial/safe.vnnlib" \
        --counterexample none.npy net.axm
    [ ! -e none.npy ]
    refuses 74 "nowhere/c.npy" ax-prove -p "$p" \
        --counterexample nowhere/c.npy net.axm
}

@test "--explain says what was chosen" {
    setup_net
    run -0 ax-prove --explain -p "$root/tests/data/tutorial/safe.vnnlib" \
        net.axm
    [ "${lines[1]}" = "problem: 2 inputs, 2 of them not fixed, 3 neurons, 2 outputs; 1 conjunctions over 1 boxes" ]
    [[ ${lines[2]} == "attack: after the first box, "* ]]
    [ "${lines[3]}" = "strategy: boxes of inputs are split, since 2 inputs are not fixed, not more than 16" ]
    [[ ${lines[4]} == "decided: by the search, after "* ]]
    run -0 ax-prove --explain --strategy neuron --no-attack --json \
        -p "$root/tests/data/tutorial/safe.vnnlib" net.axm
    printf '%s\n' "$output" | jq -e '.explanation |
        contains("attack: none, as was asked for") and
        contains("strategy: signs of neurons are split, as was asked for")' \
        >/dev/null
}

@test "--region writes the part that is proved, and no more" {
    setup_net
    p=bounds:box.csv,hi=1,output=0
    run -1 ax-prove -p $p --region r.vnnlib --json net.axm
    printf '%s\n' "$output" | jq .region >found
    run -0 ax-prove -p r.vnnlib --cert -o c.axm net.axm
    run -0 ax-check c.axm r.vnnlib
    # On a grid, off the cuts: what is inside is safe, and of what is safe
    # nearly all is inside.
    python3 -c '
for i in range(99):
    for j in range(99):
        print("%r,%r" % ((i - 49) / 49.5, (j - 49) / 49.5))' >grid.csv
    ax-run -o o.csv net.axm grid.csv
    python3 - <<'PY'
import json, re
text = open("r.vnnlib").read().split("The part on which")[1]
boxes = []
for line in re.findall(r"\(and( .*)\)", text):
    box = [-1, 1, -1, 1]
    for op, i, v in re.findall(r"\((<=|>=) X_(\d) (\S+?)\)", line):
        box[2 * int(i) + (op == "<=")] = float(v)
    boxes.append(box)
rows = lambda f: [[float(v) for v in l.split(",")] for l in open(f)
                  if l[:1] in "-0123456789"]
x, y = rows("grid.csv"), rows("o.csv")
assert len(x) == len(y) == 9801
inside = [any(b[0] <= u <= b[1] and b[2] <= v <= b[3] for b in boxes)
          for u, v in x]
safe = [r[0] <= 1 for r in y]
assert not any(i and not s for i, s in zip(inside, safe))
assert 0.2 * len(x) < sum(safe) < 0.98 * len(x), sum(safe)
assert sum(inside) > 0.85 * sum(safe), (sum(inside), sum(safe))
found = json.load(open("found"))
assert found["boxes"] == len(boxes)
assert abs(found["volume"] - sum(inside) / len(x)) < 0.03
PY
    # More halvings prove more; no part at all writes no file.
    run -1 ax-prove -p $p --region small.vnnlib --halvings 3 net.axm
    grep -q '^proved on [0-9]* boxes, ' <<<"$output"
    [ "$(grep -c '(and' small.vnnlib)" -lt "$(grep -c '(and' r.vnnlib)" ]
    run -1 ax-prove -p bounds:box.csv,hi=-9,output=0 --region none.vnnlib \
        --halvings 2 net.axm
    [[ $output == *"proved on 0 boxes, 0% of the volume"* ]]
    [ ! -e none.vnnlib ]
    # The whole is not proved within the limit, but all of its parts are.
    run -0 ax-prove -p bounds:box.csv,hi=2.2,output=0 net.axm
    run -2 ax-prove -p bounds:box.csv,hi=2.2,output=0 --max-boxes 1 \
        --no-attack --region all.vnnlib net.axm
    [[ $output == *"proved on 1 boxes, 100% of the volume"* ]]
    run -0 ax-prove -p all.vnnlib net.axm
    # Nothing is written where all of it holds, or there is no network.
    run -0 ax-prove -p bounds:box.csv,hi=9 --region none.vnnlib net.axm
    [ ! -e none.vnnlib ]
    refuses 64 "--region wants a file" ax-prove -p $p --region - net.axm
    refuses 64 "goes without" ax-prove -p robust:x.csv,linf=1 --minimise eps \
        --region r.vnnlib net.axm
}
