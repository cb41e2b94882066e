# --semantics ieee32: what is proved of all that floats do.
load common

# The fixtures' own networks: h = [2^25 x, x, 2^25 x], y = h0 + h1 - h2, and
# y = x + 2^-24.
order() {
    net=$root/tests/check/fixtures/ieee-over-reals-order-yes.axm
    bare=$root/tests/check/fixtures/ieee-cex-float-yes.axm
}

# PROPERTY: Y below D, at x = 1
below() {
    cat >p.vnnlib <<END
(declare-const X_0 Real)
(declare-const Y_0 Real)
(assert (>= X_0 1))
(assert (<= X_0 1))
(assert (<= Y_0 $1))
END
}

@test "a proof under ieee32 says so, and ax-check and ax-show do" {
    cd "$BATS_TEST_TMPDIR"
    ax-import -o net.axm "$root/tests/data/acasxu/net_1_1.onnx"
    run -0 ax-prove --semantics ieee32 --cert -o out.axm --check \
        -p "$root/tests/data/acasxu/prop_3.vnnlib" net.axm
    [ "${lines[0]}" = holds ]
    [ "${lines[1]}" = "semantics ieee32" ]
    run -0 ax-check out.axm
    [[ $output == "accepted: holds under ieee32, prop_3.vnnlib, "* ]]
    run -0 ax-check --semantics ieee32 --json out.axm
    [ "$(jq -r '.claims[0].semantics' <<<"$output")" = ieee32 ]
    run -66 ax-check --semantics real out.axm
    [[ $output == *"nothing to check under these semantics" ]]
    run -64 ax-check --semantics float out.axm
    run -0 ax-show out.axm
    [[ $output == *"holds, in every execution in float32"* ]]
    run -0 ax-prove --semantics ieee32 --json \
        -p "$root/tests/data/acasxu/prop_3.vnnlib" net.axm
    [ "$(jq -r .semantics <<<"$output")" = ieee32 ]
}

@test "a proof over the reals is none of floats, whatever its byte says" {
    cd "$BATS_TEST_TMPDIR"
    order
    run -0 ax-check --semantics real "$net"
    run -1 ax-check "$root/tests/check/fixtures/ieee-as-order-no.axm"
    [[ $output == "rejected: holds under ieee32"* ]]
}

@test "what holds over the reals and not in floats" {
    cd "$BATS_TEST_TMPDIR"
    order
    below 0.5
    run -0 ax-prove -p p.vnnlib "$net"
    # The sum is 0 if it begins with the two large terms.
    run ax-prove --semantics ieee32 -t 10 -p p.vnnlib "$net"
    [ "$status" -ne 0 ]
    below 1
    run -0 ax-prove -p p.vnnlib "$bare"
    run -1 ax-prove --semantics ieee32 --cert -o out.axm --check -p p.vnnlib \
        "$bare"
    [ "${lines[0]}" = violated ]
    [[ $output == *"class float-only"* ]]
    run -0 ax-check --semantics ieee32 --quiet out.axm
}

@test "what one execution shows and another does not is undecided" {
    cd "$BATS_TEST_TMPDIR"
    order
    below 0.5
    run -1 ax-prove --semantics ieee32 --cert -o out.axm -p p.vnnlib "$net"
    run -2 ax-check --semantics ieee32 out.axm p.vnnlib
    [[ $output == "undecided: violated under ieee32, p.vnnlib: the execution"* ]]
    run -2 ax-prove --semantics ieee32 --check -p p.vnnlib "$net"
}

@test "nothing is called proved that some execution makes false" {
    for f in "$root"/tests/data/soundness/*.onnx; do
        ax-import -o "$BATS_TEST_TMPDIR/net.axm" "$f"
        run --separate-stderr ax-prove --semantics ieee32 --max-boxes 3000 \
            -p "${f%.onnx}.vnnlib" "$BATS_TEST_TMPDIR/net.axm"
        echo "$f: ${lines[0]}"
        [ "$status" -eq 1 ] || [ "$status" -eq 2 ]
    done
}

@test "what ieee32 does not cover is unknown, and why" {
    cd "$BATS_TEST_TMPDIR"
    f=$root/tests/check/fixtures/op-product-yes.axm
    ax-show --extract property -o p.vnnlib "$f"
    run -2 ax-prove --semantics ieee32 -p p.vnnlib "$f"
    [[ $output == *"reason: not covered by ieee32: "* ]]
    run -64 ax-prove --semantics float -p p.vnnlib "$f"
}
