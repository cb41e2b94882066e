# ax-prove: queries of VNN-LIB 2.0.
load common

# Two small networks of 2 inputs and 3 outputs: n1.axm and n2.axm.
nets() {
    printf 'input 2\ndense 6\nrelu\ndense 3\n' >n.arch
    printf '1,0,0\n0,1,1\n0.5,0.5,2\n' >n.csv
    for seed in 1 2; do
        ax-train -d n.csv --epochs 1 --seed $seed -o n$seed.axm n.arch
    done
}

single() { # ASSERTIONS
    cat >q <<Q
; a comment
(vnnlib-version <2.0>)
(declare-network acc
  (declare-input X Real [1,2])
  (declare-output Y Real [1,3]))
(assert (and (>= X[0,0] -1) (<= X[0,0] 1.0)))
(assert (and (>= X[0,1] -0.5) (<= X[0,1] 5e-1)))
$1
Q
}

double() { # CONGRUENCE ASSERTIONS
    cat >q <<Q
(vnnlib-version <2.0>)
(declare-network f (declare-input A float32 [2]) (declare-output P float32 [3]))
(declare-network g $1 (declare-input B float32 [2]) (declare-output Q float32 [3]))
(assert (and (>= A[0] -1.0) (<= A[0] 1.0) (>= A[1] -0.5) (<= A[1] 0.5)))
(assert (and (>= B[0] -1.0) (<= B[0] 1.0)))
(assert (== A[1] B[1]))
$2
Q
}

@test "the same as in VNN-LIB 1.0" {
    nets
    for row in '(<= Y[0,0] Y[0,1])' '(>= Y[0,0] (+ Y[0,1] 100))' \
        '(> (- Y[0,2] 1.5 0.5) (* 2 (- 0.25) 1.0))' '(!= Y[0,0] 0.125)' \
        '(or (< (- Y[0,1]) -50) (== Y[0,2] 99))'; do
        single "(assert $row)"
        ax-prove --print-property -p q n1.axm >one.vnnlib
        code=0
        run ax-prove -t 20 -p q n1.axm
        code=$status
        [ "$code" -le 1 ]
        run ax-prove -t 20 -p one.vnnlib n1.axm
        [ "$status" -eq "$code" ]
    done
    run -0 cat one.vnnlib
    [[ $output == *"; X[0,1] is X_1"* ]]
}

@test "a certificate of a query is accepted" {
    nets
    single '(assert (>= Y[0,0] (+ Y[0,1] 100)))'
    ax-prove --cert -o c.axm -p q n1.axm
    run -0 ax-check c.axm
    [[ $output == "accepted: holds, q, "* ]]
}

@test "two networks, and what is equal" {
    nets
    double '' '(assert (== A[0] B[0]))(assert (> P[0] (+ Q[0] 50)))'
    ax-prove --cert -o c.axm -p q --network g=n2.axm n1.axm
    run -0 ax-check c.axm
    run -0 ax-prove --print-property -p q --network f=n1.axm --network g=n2.axm
    [[ $output == *"B[0] is X_0"* ]]
    [[ $output != *X_2* ]]
    # A network beside itself gives the same.
    double '(equal-to f)' '(assert (== A[0] B[0]))(assert (> P[0] (+ Q[0] 1e-6)))'
    run -0 ax-prove -t 60 -p q n1.axm
}

@test "monotone: as the ready-made property, both ways" {
    nets
    printf -- '-1,1\n-0.5,0.5\n' >box.csv
    for seed in 1 2; do
        for tol in 0.001 2; do
            for way in up down; do
                code=0
                ax-prove -t 60 -p "monotone:box.csv,input=0,output=1,tol=$tol,way=$way" n$seed.axm >/dev/null || code=$?
                rows="(assert (<= A[0] B[0]))(assert (> P[1] (+ Q[1] $tol)))"
                [ $way = up ] || rows="(assert (>= B[0] A[0]))(assert (< P[1] (- Q[1] $tol)))"
                double '(equal-to f)' "$rows"
                run ax-prove -t 60 -p q n$seed.axm
                [ "$status" -eq "$code" ]
                [ "$code" -le 1 ]
            done
        done
    done
}

@test "a counterexample is one of both networks" {
    nets
    double '' '(assert (<= A[0] B[0]))(assert (> P[0] (- Q[0] 50)))'
    run -1 ax-prove -p q --network g=n2.axm n1.axm
    ax-prove --print-model -p q --network g=n2.axm -o joint.axm n1.axm
    printf '%s\n' "$output" | python3 -c '
import sys
v = dict(l.split() for l in sys.stdin if l[:2] in ("X_", "Y_"))
x = [float(v["X_%d" % i]) for i in range(3)]
open("a.csv", "w").write("%r,%r\n" % (x[0], x[1]))
open("b.csv", "w").write("%r,%r\n" % (x[0] + x[2], x[1]))
open("y", "w").write(" ".join(v["Y_%d" % i] for i in range(6)))'
    ax-run -o p.csv n1.axm a.csv
    ax-run -o q.csv n2.axm b.csv
    cat p.csv q.csv | grep -v '[a-z]' | tr ',\n' '  ' >z
    python3 -c '
y, z = [[float(t) for t in open(f).read().split()] for f in "yz"]
assert len(y) == len(z) == 6 and all(abs(a - b) < 1e-5 for a, b in zip(y, z)), (y, z)'
}

@test "hidden values by name" {
    nets
    name=$(ax-show --json n1.axm | python3 -c '
import json, sys
print([n["outputs"][0] if isinstance(n["outputs"][0], str) else n["outputs"][0]["name"]
       for n in json.load(sys.stdin)["graph"]["nodes"] if n["op"] == "Relu"][0])')
    cat >q <<Q
(vnnlib-version <2.0>)
(declare-network f (declare-input X Real [1,2])
  (declare-hidden H Real [6] "$name") (declare-output Y Real [3]))
(assert (and (>= X[0,0] -1) (<= X[0,0] 1) (>= X[0,1] -1) (<= X[0,1] 1)))
(assert (<= H[3] -1e-3))
Q
    ax-prove --cert -o c.axm -p q n1.axm
    run -0 ax-check c.axm
    sed "s/$name/nothing/" q >r
    run -65 ax-prove -p r n1.axm
    [[ $output == *"no such value as 'nothing'"* ]]
}

@test "what is wrong is named" {
    nets
    local -a cases=(
        '(<= Z[0] 1)' "'Z' is not declared"
        '(<= X[0] 1)' "has 2 dimensions"
        '(<= X[0,2] 1)' "out of range"
        '(<= (* X[0,0] Y[0,0]) 1)' "product of two variables"
        '(<= X[0,0] 1..2)' "no number"
        '(~ X[0,0] 1)' "no comparison"
        '(<= X[0,0])' "no number"
        '(<= X[0,0' "no number from 0 on"
    )
    for ((at = 0; at < ${#cases[@]}; at += 2)); do
        single "(assert ${cases[at]})"
        run -65 ax-prove -p q n1.axm
        [ "${#lines[@]}" -eq 1 ]
        [[ $output == *"q: line "*"${cases[at + 1]}"* ]] || {
            echo "$output"
            return 1
        }
    done
    single '(assert (<= Y[0,0] 0))'
    sed 's/\[1,3\]/[1,4]/' q >r
    run -65 ax-prove -p r n1.axm
    [[ $output == *"another shape"* ]]
    run -64 ax-prove -p q --network h=n2.axm n1.axm
    double '' '(assert (<= P[0] 0))'
    run -64 ax-prove -p q n1.axm
    [[ $output == *"network 'g' has no model"* ]]
    run -64 ax-prove -p q --network g=n2.axm </dev/null
    [[ $output == *"network 'f' has no model"* ]]
}

@test "every truncation of a query is refused in one line" {
    nets
    double '(equal-to f)' '(assert (or (> P[0] (+ Q[0] 1.5)) (!= A[0] B[0])))'
    size=$(wc -c <q)
    for ((n = 0; n < size - 2; n += 3)); do
        head -c "$n" q >part
        run ax-prove -t 5 -p part n1.axm
        [ "$status" -ne 0 ] || [ "$n" -gt 300 ]
        [ "$status" -le 2 ] || [ "$status" -eq 64 ] || [ "$status" -eq 65 ]
        [ "$status" -ne 65 ] || [ "${#lines[@]}" -eq 1 ]
    done
}
