# The sandbox: what a parser that was taken over can do, and what is said
# where the kernel lacks a part.
load common

prepare() {
    without=$AX_BINDIR/tests/fault/without
    shim=$AX_BINDIR/tests/fault/.libs/breach.so
    [ -e "$shim" ] || skip "a sanitizer or gcov: the sandbox is off"
    [ "$AX_SANDBOX" != off ] || skip "AX_SANDBOX=off"
    mkdir in elsewhere
    cp "$root"/tests/data/tutorial/* in
    ax-import -o in/net.axm in/net.onnx
    echo 0.5,-0.25 >in/input.csv
    echo mine >elsewhere/secret
    ax-sign keygen -W -o in/key
    ax-sign -k in/key -o in/first.axm in/net.axm
    printf '1,0,0\n0,1,1\n' >in/rows.csv
    printf 'input 2\ndense 2\n' >in/two.arch
    ax-train -d in/rows.csv --epochs 1 -o in/trained.axm in/two.arch
    echo run in/net.axm >in/problems
    echo net.axm,safe.vnnlib,9 >in/list.csv
    : >elsewhere/program
    chmod +x elsewhere/program
}

# Skip unless this kernel has all of it.
need_sandbox() {
    AX_SANDBOX=require ax-show in/net.axm >out 2>err ||
        skip "no sandbox on this kernel: $(cat err)"
}

taken_over() { # COMMAND [ARG ...]: sets out to what was done
    AX_BREACH=$PWD/elsewhere LD_PRELOAD=$shim "$@" 2>tried >answer
    grep -q '^socket: ' tried || { echo "no attempt: $*"; return 1; }
    did=$(sed -n 's/: DONE$//p' tried | tr '\n' ' ')
    [ "$(cat elsewhere/secret)" = mine ] && [ ! -e elsewhere/new ]
}

@test "a reader of foreign files that was taken over can do nothing" {
    prepare
    need_sandbox
    taken_over ax-import in/net.onnx
    cat tried
    [ -z "$did" ]
    cmp answer <(ax-import in/net.onnx)
}

@test "a reader of containers that was taken over can read files at most" {
    prepare
    need_sandbox
    n=0
    while read -r line; do
        # shellcheck disable=SC2086
        taken_over $line
        echo "$line"
        cat tried
        [ "$did" = "read code " ]
        n=$((n + 1))
    done <<'END'
ax-show in/net.axm
ax-run in/net.axm in/input.csv
ax-run -o in/out.npy in/net.axm in/input.csv
ax-prove -p in/safe.vnnlib in/net.axm
ax-prove -p in/safe.vnnlib --cert -o in/p.axm in/net.axm
ax-export -o in/back.onnx in/net.axm
ax-opt -o in/opt.axm in/net.axm
ax-sign -k in/key -o in/signed.axm in/net.axm
ax-sign verify -k in/key.pub in/first.axm
ax-bench -n 1 -t 0 -f in/problems
ax-prove --list in/list.csv -j 1
ax-train --replay in/trained.axm --folder in
END
    [ "$n" -eq 12 ]
}

@test "who runs assistants can start programs, and write nowhere" {
    prepare
    need_sandbox
    mkdir ob
    ax-export --to smtlib -p in/safe.vnnlib -o ob/q.smt2 in/net.axm
    taken_over ax-prove reconcile -t 1 ob || [ -n "$did" ]
    cat tried
    [ "$did" = "fork exec read code " ]
}

@test "without the sandbox the same intruder succeeds: the test can fail" {
    prepare
    AX_SANDBOX=off taken_over ax-import in/net.onnx || true
    grep -qx 'socket: DONE' tried
    grep -qx 'make: DONE' tried
    [ -e elsewhere/new ]
}

@test "what the kernel lacks is said once, and the work is done" {
    prepare
    need_sandbox
    for part in landlock seccomp; do
        for line in 'ax-import in/net.onnx' 'ax-show in/net.axm'; do
            # shellcheck disable=SC2086
            AX_SANDBOX=say "$without" $part $line >out 2>err
            cat err
            [ "$(wc -l <err)" -eq 1 ]
            grep -qi "${line%% *}: warning: .* no $part (Function not" err
            # shellcheck disable=SC2086
            cmp out <($line)
            # shellcheck disable=SC2086
            refuses 69 "the sandbox lacks" \
                env AX_SANDBOX=require "$without" $part $line
            # shellcheck disable=SC2086
            AX_SANDBOX=quiet "$without" $part $line >out 2>err
            [ ! -s err ]
        done
    done
}

@test "each layer stands alone" {
    prepare
    need_sandbox
    taken_over "$without" landlock ax-import in/net.onnx
    [ "$did" = "read " ]
    taken_over "$without" seccomp ax-import in/net.onnx
    cat tried
    for what in write make rename remove link read exec; do
        grep -qx "$what: refused" tried
    done
}

@test "AX_SANDBOX has four words" {
    prepare
    refuses 64 "AX_SANDBOX wants one of: say quiet require off; not 'no'" \
        env AX_SANDBOX=no ax-import in/net.onnx
    for word in say quiet off ''; do
        AX_SANDBOX=$word ax-import -o a.axm in/net.onnx
    done
}

@test "a reader that dies writes nothing, and is one line" {
    prepare
    echo old >out.axm
    refuses 70 "was ended by signal 11" env AX_BREACH_DIE=11 \
        LD_PRELOAD="$shim" ax-import -o out.axm in/net.onnx
    refuses 75 "was killed" env AX_BREACH_DIE=9 \
        LD_PRELOAD="$shim" ax-import -o out.axm in/net.onnx
    [ "$(cat out.axm)" = old ]
    [ -z "$(find . -name '.out*')" ]
}

@test "a mapped container that is cut short is one line and 74" {
    prepare
    # The command is held at its input, which is a pipe, while the file that
    # it has mapped shrinks.
    ax-import --raw -o raw.axm "$root/tests/data/acasxu/net_1_1.onnx"
    mkfifo p
    ax-run --backend ref raw.axm p >out 2>err &
    pid=$!
    exec 7>p
    for _ in $(seq 500); do
        grep -q raw.axm "/proc/$pid/maps" 2>/dev/null && break
        sleep 0.01
    done
    : >raw.axm
    printf '0.1,0.2,0.3,0.1,0.2\n' >&7
    exec 7>&-
    code=0
    wait "$pid" || code=$?
    cat err
    [ "$code" -eq 74 ]
    [ "$(wc -l <err)" -eq 1 ]
    [ ! -s out ]
    grep -q '^ax-run: raw.axm: was cut short while it was read$' err
}
