# ax-export: what comes back is what was imported.
load common

samples=$root/tests/formats/onnx

@test "import, export, import gives the same identity" {
    n=0
    for f in "$samples"/good/*.onnx; do
        ax-import -o a.axm "$f"
        ax-export -o b.onnx a.axm || { echo "$f"; return 1; }
        ax-import -o b.axm b.onnx || { echo "$f"; return 1; }
        [ "$(ax-show -i a.axm)" = "$(ax-show -i b.axm)" ] || {
            echo "$f: another identity"
            return 1
        }
        n=$((n + 1))
    done
    [ "$n" -ge 48 ]
}

@test "the same bytes through pipes, from either profile" {
    f=$root/tests/data/acasxu/net_1_1.onnx
    ax-import -o a.axm "$f"
    ax-import --raw -o raw.axm "$f"
    ax-export -o a.onnx a.axm
    ax-export --to onnx <a.axm | cmp - a.onnx
    ax-export raw.axm | cmp - a.onnx
}

@test "formats and operator sets that cannot be written are refused" {
    ax-import -o a.axm "$samples/good/gemm.onnx"
    ax-export --formats | grep -q '^onnx'
    refuses 64 "no format is called 'bogus'" ax-export -t bogus a.axm
    refuses 64 "--opset wants a number" ax-export --opset 0 a.axm
    run --separate-stderr ax-export --opset 99 -o b.onnx a.axm
    [ "$status" -ge 64 ] && [ "$status" -le 65 ] && [ ! -e b.onnx ]
    refuses 65 "gemm.onnx: " ax-export -o b.onnx "$samples/good/gemm.onnx"
    refuses 66 "none.axm: " ax-export -o b.onnx none.axm
    [ ! -e b.onnx ]
}

@test "a container that is cut short gives no file" {
    ax-import -o a.axm "$samples/good/gemm.onnx"
    head -c 100 a.axm >cut.axm
    refuses 65 "cut.axm: cut short" ax-export -o b.onnx cut.axm
    [ ! -e b.onnx ]
}

@test "a theorem of Coq: the weights' bits, the box, the claim" {
    ax-import -o a.axm "$root/tests/coq/tiny.onnx"
    p=$root/tests/coq/tiny.vnnlib
    ax-export --to coq -p "$p" -o Tiny.v a.axm
    grep -q '^Definition n_0_0 : neuron := (0x3ddffe48, \[0x3e7a3acd;' Tiny.v
    grep -q 'forall x : list R, ~ counterexample net unsafe_set x' Tiny.v
    grep -q '(\[(-1); (0)\]%Z, ((-275)%Z, 2%Z))' Tiny.v
    refuses 64 "wants a property" ax-export --to coq a.axm
    sed 's/2.75/-10/' "$p" >false.vnnlib
    gives 1 "" ax-export --to coq -p false.vnnlib -o V.v a.axm
    grep -q 'exists x : list R, violation net box_0 unsafe_0 x' V.v
    grep -q '^  ((\[(-1); (0)\]%Z, ((10)%Z, 0%Z)), false)\]' V.v
    # The elements of an Exp stand for those before it one by one, as those of
    # an addition do.
    refuses 65 "only chains of dense layers" \
        ax-export --to coq -p "$p" -o F.v "$root/tests/coq/exp.axm"
    [ ! -e F.v ]
}

@test "a question to a solver: exact weights, the property as it stands" {
    ax-import -o a.axm "$root/tests/coq/tiny.onnx"
    p=$root/tests/coq/tiny.vnnlib
    ax-export --to smtlib -p "$p" -o a.smt2 a.axm
    grep -qx '(set-logic QF_LRA)' a.smt2
    grep -qx '(set-info :status unsat)' a.smt2
    grep -qF '(* (/ 16399053.0 67108864.0) X_0)' a.smt2
    grep -qx '(assert (or (and (<= Y_0 (- 2.5)) (>= Y_1 0.125)) (>= Y_0 2.75)))' a.smt2
    ax-export --to smtlib -p "$p" <a.axm | cmp - a.smt2
    sed 's/2.75/-10/' "$p" >false.vnnlib
    ax-export --to smtlib -p false.vnnlib a.axm >b.smt2
    grep -qx '(set-info :status sat)' b.smt2
    refuses 64 "wants a property" ax-export --to smtlib a.axm
    refuses 65 "1:1: " ax-export --to smtlib -p <(echo x) -o c.smt2 a.axm
    [ ! -e c.smt2 ]
}

@test "a property that cannot be read is named" {
    printf '(declare-const X_0 Real)\n(assert (>= X_0 oops))\n' >p.vnnlib
    ax-import -o net.axm "$root/tests/data/tutorial/net.onnx"
    for to in coq:X.v smtlib:x.smt2; do
        refuses 65 "ax-export: p.vnnlib: 2:" \
            ax-export --to "${to%:*}" -o "${to#*:}" -p p.vnnlib net.axm
        [ ! -e "${to#*:}" ]
    done
}

@test "numbers of VNN-LIB as SMT-LIB writes them" {
    ax-import -o a.axm "$root/tests/coq/tiny.onnx"
    cat >p.vnnlib <<'END'
(declare-const X_0 Real) (declare-const X_1 Real) ; (comment
(declare-const Y_0 Real) (declare-const Y_1 Real)
(assert (and (>= X_0 -.5) (<= X_0 +5.e-1)))
(assert (and (and (= X_1 (- 007)))))
(assert (or (< (+ Y_0) 1E2) (>= (* -2 (- Y_1 Y_0)) 0)))
END
    ax-export --to smtlib -p p.vnnlib a.axm | grep '^(assert' >said
    cat >wanted <<'END'
(assert (and (>= X_0 (- 0.5)) (<= X_0 (/ 5.0 10.0))))
(assert (and true (and true (= X_1 (- 7.0)))))
(assert (or (< (+ 0.0 Y_0) (* 1.0 100.0)) (>= (* (- 2.0) (- Y_1 Y_0)) 0.0)))
END
    diff wanted said
}

@test "what a solver cannot do, or not within the budget, is refused" {
    ax-import -o acas.axm "$root/tests/data/acasxu/net_1_1.onnx"
    for i in 0 1 2 3 4; do
        echo "(declare-const X_$i Real) (declare-const Y_$i Real)"
        echo "(assert (and (<= X_$i 1) (>= X_$i -1)))"
    done >p.vnnlib
    echo '(assert (<= Y_0 Y_1))' >>p.vnnlib
    refuses 2 "over the budget of 600 s" \
        ax-export --to smtlib -p p.vnnlib -o a.smt2 acas.axm
    [ ! -e a.smt2 ]
    f=$root/tests/check/fixtures/op-sigmoid-yes.axm
    ax-show --extract property "$f" >q.vnnlib
    refuses 65 "is a sigmoid: SMT-LIB has no theory" \
        ax-export --to smtlib -p q.vnnlib -o a.smt2 "$f"
    [ ! -e a.smt2 ]
    f=$root/tests/check/fixtures/op-product-yes.axm
    ax-show --extract property "$f" >q.vnnlib
    ax-export --to smtlib --budget 0 -p q.vnnlib -o a.smt2 "$f"
    grep -qx "(set-logic QF_NRA)" a.smt2
}
