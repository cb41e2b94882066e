# ax-check behind ax-import and ax-prove: what the prover claims is accepted,
# and the traps of floating point prove nothing.
load common

@test "the tour: a property that holds, one that is violated" {
    cp "$root"/tests/data/tutorial/* .
    ax-import -o net.axm net.onnx
    ax-prove -p safe.vnnlib --cert -o safe.axm net.axm
    ax-check safe.axm safe.vnnlib | grep '^accepted: holds, safe.vnnlib, '
    ! ax-prove -p unsafe.vnnlib --cert -o unsafe.axm safe.axm || false
    run -0 ax-check unsafe.axm
    [ "${#lines[@]}" -eq 2 ]
    [[ ${lines[1]} == 'accepted: violated, unsafe.vnnlib' ]]
    refuses 66 'for this property' ax-check safe.axm unsafe.vnnlib
}

@test "another model's certificate is refused" {
    cp "$root"/tests/data/tutorial/* .
    ax-import -o net.axm net.onnx
    ax-prove -p safe.vnnlib --cert -o safe.axm net.axm
    python3 -B - safe.axm <<'END' || skip "there is no python3"
import struct, sys
d = open(sys.argv[1], 'rb').read()
open('flip.axm', 'wb').write(d[:40] + bytes([d[40] ^ 1]) + d[41:])
END
    run ! ax-check flip.axm
    [ "$status" -eq 65 ]
}

@test "small coefficients make no constant infinite" {
    cp "$root"/tests/data/tutorial/* .
    ax-import -o net.axm net.onnx
    # 0.5 is reached; all rows are multiplied by 10^10.
    sed 's/^(assert (>= Y_0 2.5))/(assert (>= (* 1e-9 Y_0) 5e-10))/' \
        safe.vnnlib >small.vnnlib
    grep -q 5e-10 small.vnnlib
    python3 -B "$root/tests/check/false.py" net.axm small.vnnlib 3 \
        >certificate
    run -1 ax-check -c certificate net.axm small.vnnlib
    [[ $output == 'rejected: holds, '*': conjunction 0 is not refuted,'* ]]
}

@test "ACAS Xu: a proof is accepted" {
    need_shared bench/acasxu/onnx
    zcat "$shared/ACASXU_run2a_1_1_batch_2000.onnx.gz" >net.onnx
    zcat "$shared/../vnnlib/prop_3.vnnlib.gz" >prop_3.vnnlib
    ax-import -o net.axm net.onnx
    ax-prove -p prop_3.vnnlib --cert -o proved.axm net.axm
    run -0 ax-check proved.axm
    [[ $output == 'accepted: holds, prop_3.vnnlib, '*' leaves' ]]
}

@test "the traps of floating point: all are violated, nothing proves them" {
    need_shared bench/soundness
    # In s2d_prod64 there are values beyond 2^62.
    for net in "$shared"/*.onnx; do
        name=$(basename "$net" .onnx)
        ax-import -o net.axm "$net"
        for depth in 0 4 9; do
            python3 -B "$root/tests/check/false.py" net.axm \
                "$shared/$name.vnnlib" $depth >certificate
            run -1 ax-check -c certificate net.axm "$shared/$name.vnnlib"
            [[ $output == 'rejected: holds, '*', at group 0, leaf '* ]]
        done
        ax-prove -t 5 -p "$shared/$name.vnnlib" --cert -o out.axm net.axm || :
        run ax-check out.axm
        [[ $output == 'accepted: violated, '* ||
            $output == *'nothing to check'* ]]
    done
}

@test "messages are about the file that is wrong, in one line" {
    ax-import -o net.axm "$root/tests/data/tutorial/net.onnx"
    cp "$root/tests/data/tutorial/safe.vnnlib" p.vnnlib
    echo junk >cert
    refuses 65 "ax-check: cert: " ax-check -c cert net.axm p.vnnlib
    refuses 66 "ax-check: none: " ax-check -c none net.axm p.vnnlib
    name=$(printf 'a\nb\033[31mc.axm')
    echo junk >"$name"
    refuses 65 "ax-check: a?b?[31mc.axm: " ax-check "$name"
    [ "${#stderr_lines[@]}" -eq 1 ]
}

@test "what does not begin as a container is not read to its end" {
    truncate -s 1T huge
    refuses 65 "ax-check: huge: not an axm container" ax-check huge
    refuses 65 "not an axm container" ax-check /dev/zero
}
