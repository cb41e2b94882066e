#!/usr/bin/env bats
# ax-bench: what it prints, and when it says no. No time is asserted.
load common

tutorial=$root/tests/data/tutorial

# The value of a key in the JSON of the last run: an expression of python.
json() { # EXPRESSION
    python3 -c 'import json, sys; d = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' \
        out.json "$1"
}

@test "a problem gives one line of columns" {
    run ax-bench -n 3 -t 0 'gemm f32 4x5x6'
    [ "$status" -eq 0 ]
    [[ ${lines[0]} =~ median.*min.*spread.*rate.*peak.*n.*problem ]]
    [[ ${lines[1]} =~ \ [numk]?s\ .*F/s.*%.*\ 3\ \ gemm\ f32\ 4x5x6$ ]]
    [[ ${lines[2]} =~ ^peak:.*multiply-adds,\ 1\ thread$ ]]
}

@test "every kernel runs" {
    ax-bench -n 1 -t 0 --json 'gemm f32 3x4x5 backend=ref seed=7' \
        'gemv f32 16x32' 'conv f32 1x3x8x8 4x3x3x3 pad=1 stride=2' \
        'bound 2-8-2 boxes=50' 'sha256 1KiB' 'pack 100KiB' 'unpack 100KiB' \
        'exec true' >out.json
    [ "$(json 'd["schema"]')" = ax.bench/1 ]
    [ "$(json 'len(d["problems"])')" = 8 ]
    [ "$(json 'all(p["median_s"] > 0 for p in d["problems"])')" = True ]
    [ "$(json 'd["problems"][3]["boxes"]')" != 0 ]
    [ "$(json 'sorted(p["of"] for p in d["peaks"])')" = \
        "['memory_read', 'multiply_add']" ]
}

@test "percentiles only of enough samples" {
    ax-bench -n 63 -t 0 --json 'sha256 64' >out.json
    [ "$(json '"p90_s" in d["problems"][0]')" = False ]
    ax-bench -n 64 -t 0 --json 'sha256 64' >out.json
    [ "$(json '"p90_s" in d["problems"][0]')" = True ]
    [ "$(json '"p99_s" in d["problems"][0]')" = False ]
    ax-bench -n 662 -t 0 --json 'sha256 64' >out.json
    [ "$(json '"p99_s" in d["problems"][0]')" = True ]
}

@test "problems come from files and from standard input" {
    printf '# none\n\n  sha256 10  \r\n' >lines
    ax-bench -n 1 -t 0 --json -f lines -f - 'sha256 30' >out.json <<<'sha256 20'
    [ "$(json '[p["problem"] for p in d["problems"]]')" = \
        "['sha256 30', 'sha256 10', 'sha256 20']" ]
    ax-bench -n 1 -t 0 --json >out.json <<<'sha256 20'
    [ "$(json 'len(d["problems"])')" = 1 ]
    refuses 65 "no problems were given" ax-bench -f /dev/null
    refuses 66 "none: No such file" ax-bench -f none
    refuses 65 "is no text" ax-bench -f "$AX_BINDIR/ax-bench"
}

@test "a bad line is refused by name" {
    refuses 65 "problem 'fly': no such problem" ax-bench fly
    refuses 65 "wants sizes MxNxK, not '4x5'" ax-bench 'gemm f32 4x5'
    refuses 65 "wants sizes MxNxK, not '4x5x6x7'" ax-bench 'gemm f32 4x5x6x7'
    refuses 65 "not '0x5x6'" ax-bench 'gemm f32 0x5x6'
    refuses 65 "not '-1x5x6'" ax-bench 'gemm f32 -1x5x6'
    refuses 65 "wants the type f32, not 'f99'" ax-bench 'gemm f99 4x5x6'
    refuses 65 "does not understand 'sede=3'" ax-bench 'gemm f32 4x5x6 sede=3'
    refuses 65 "does not understand 'more'" ax-bench 'sha256 3 more'
    refuses 65 "threads wants a number from 1 to 64, not '0'" \
        ax-bench 'gemm f32 4x5x6 threads=0'
    refuses 65 "3 channels, the weights have 2" \
        ax-bench 'conv f32 1x3x8x8 4x2x3x3'
    refuses 65 "larger than the input" ax-bench 'conv f32 1x3x2x2 4x3x3x3'
    refuses 65 "wants layers" ax-bench 'bound 5-'
    refuses 65 "wants layers" ax-bench 'bound 5-50x999-5'
    refuses 65 "wants a size" ax-bench 'sha256 3MB'
    refuses 65 "wants a size" ax-bench 'sha256 99999999GiB'
    refuses 65 "a quote that does not end" ax-bench 'exec "a b'
    refuses 65 "wants a command" ax-bench 'exec'
    refuses 65 "wants a model and a property" ax-bench 'prove x'
    refuses 69 "none-such: No such file" ax-bench 'exec none-such'
    refuses 64 "unknown option '--fast'" ax-bench --fast
}

@test "words between quotes are one" {
    ax-bench -n 1 -t 0 --json 'exec test "a b" = "a b"' >out.json
    [ "$(json 'd["problems"][0]["answer"]')" = "exit 0" ]
}

@test "what exec answers is its exit code" {
    ax-bench -n 1 -t 0 --json 'exec sh -c "echo why >&2; exit 7"' >out.json
    [ "$(json 'd["problems"][0]["answer"]')" = "exit 7" ]
    [ "$(json 'd["problems"][0]["why"]')" = why ]
}

@test "a baseline passes, fails, and must have something to compare" {
    ax-bench -n 1 -t 0 --json 'sha256 1KiB' >base.json
    sed 's/"median_s":[^,]*/"median_s":1e9/' base.json >slow.json
    sed 's/"median_s":[^,]*/"median_s":1e-15/' base.json >fast.json
    ax-bench -n 1 -t 0 --baseline slow.json 'sha256 1KiB'
    run ax-bench -n 1 -t 0 --baseline fast.json 'sha256 1KiB'
    [ "$status" -eq 1 ]
    [[ $output == *"TOO SLOW"*"1 compared, 1 too slow, 0 not in it"* ]]
    run ax-bench -n 1 -t 0 --baseline slow.json --max-ratio 0 'sha256 1KiB'
    [ "$status" -eq 1 ]
    run ax-bench -n 1 -t 0 --json --baseline fast.json 'sha256 1KiB'
    [ "$status" -eq 1 ]
    run ax-bench -n 1 -t 0 --baseline slow.json 'sha256 1KiB' 'sha256 2KiB'
    [ "$status" -eq 0 ]
    [[ $output == *"1 compared, 0 too slow, 1 not in it"* ]]
    run --separate-stderr ax-bench -n 1 -t 0 --baseline slow.json 'sha256 3KiB'
    [ "$status" -eq 65 ]
    [[ $stderr == *"nothing was compared"* ]]
}

@test "a baseline that is none is refused" {
    echo '{"schema":"ax.bench/1"' >cut.json
    refuses 65 "cut.json: line" ax-bench --baseline cut.json 'sha256 10'
    echo '{"schema":"ax.bench/0"}' >old.json
    refuses 65 "has schema 'ax.bench/0'" ax-bench --baseline old.json 'sha256 1'
    echo '[]' >list.json
    refuses 65 "has schema 'none'" ax-bench --baseline list.json 'sha256 1'
    refuses 66 "no.json" ax-bench --baseline no.json 'sha256 1'
}

@test "a second command is run in turns" {
    ax-bench -n 4 -t 0 --json --vs 'echo x >>turns; exit 3' 'exec true' >out.json
    [ "$(json 'd["problems"][0]["vs"]["n"]')" = 4 ]
    [ "$(json 'd["problems"][0]["vs"]["exit"]')" = 3 ]
    [ "$(wc -l <turns)" -eq 4 ]
    [ "$(json 'd["problems"][0]["vs"]["ratio"] > 0')" = True ]
    run ax-bench -n 3 -t 0 --vs true 'exec true'
    [[ $output == *"times its time"* ]]
    refuses 69 "--vs: " ax-bench -n 1 -t 0 --vs none-such 'exec true'
}

@test "verdicts are compared, and certificates checked" {
    cp "$tutorial"/* .
    ax-bench -n 1 -t 0 --check --json 'prove net.onnx safe.vnnlib expect=holds' \
        'prove net.onnx unsafe.vnnlib expect=violated' >out.json
    [ "$(json '[p["answer"] for p in d["problems"]]')" = \
        "['holds', 'violated']" ]
    [ "$(json '[p["checked"] for p in d["problems"]]')" = \
        "['accepted', 'accepted']" ]
    [ "$(json 'd["totals"]["wrong"]')" = 0 ]
    [ "$(json 'd["totals"]["certificates"]')" = 1 ]
    run ax-bench -n 1 -t 0 'prove net.onnx safe.vnnlib expect=violated'
    [ "$status" -eq 1 ]
    [[ $output == *"= holds, WRONG: violated was expected"* ]]
}

@test "a prover that fails, or answers nonsense, decides nothing" {
    cp "$tutorial"/* .
    mkdir bin
    cp "$AX_BINDIR/ax-bench" "$AX_BINDIR/ax-import" bin/
    for code in 3 70 139; do
        printf '#!/bin/sh\necho broken >&2\nexit %s\n' "$code" >bin/ax-prove
        chmod +x bin/ax-prove
        run bin/ax-bench -n 1 -t 0 'prove net.onnx safe.vnnlib expect=holds'
        [ "$status" -eq 2 ]
        [[ $output == *"= unknown: exit $code: broken"* ]]
    done
    printf '#!/bin/sh\nkill -9 $$\n' >bin/ax-prove
    run bin/ax-bench -n 1 -t 0 'prove net.onnx safe.vnnlib'
    [ "$status" -eq 2 ]
    [[ $output == *"= unknown: was killed"* ]]
}

@test "a checker that says no is a no" {
    cp "$tutorial"/* .
    mkdir bin
    cp "$AX_BINDIR/ax-bench" "$AX_BINDIR/ax-import" "$AX_BINDIR/ax-prove" bin/
    printf '#!/bin/sh\nexit 1\n' >bin/ax-check
    chmod +x bin/ax-check
    run bin/ax-bench -n 1 -t 0 --check 'prove net.onnx safe.vnnlib'
    [ "$status" -eq 1 ]
    [[ $output == *"THE CHECK SAYS NO"* ]]
}

@test "a list is proved, with totals" {
    mkdir "some place"
    cp "$tutorial"/* "some place"
    gzip "some place/net.onnx"
    printf '%s\n' '# comment' net.onnx.gz,safe.vnnlib,10,unsat '' \
        net.onnx.gz,unsafe.vnnlib,10,sat net.onnx.gz,safe.vnnlib,10,disputed \
        net.onnx.gz,safe.vnnlib,10 >"some place/list.csv"
    run ax-bench --list "some place/list.csv"
    [ "$status" -eq 0 ]
    [[ $output == *"4 properties: 3 hold, 1 violated, 0 unknown, 0 wrong"* ]]
    cp "some place/list.csv" .
    refuses 66 "net.onnx.gz: No such file" ax-bench --list list.csv
    ax-bench --list list.csv --folder "some place"
    echo net.onnx,safe.vnnlib >bad.csv
    refuses 65 "bad.csv: line 1: wants model,property,timeout" \
        ax-bench --list bad.csv
    echo net.onnx,safe.vnnlib,soon >bad.csv
    refuses 65 "bad.csv: line 1" ax-bench --list bad.csv
}

@test "nothing is left behind" {
    mkdir tmp
    cp "$tutorial"/* .
    gzip net.onnx
    TMPDIR=$PWD/tmp ax-bench -n 1 -t 0 --check 'prove net.onnx.gz safe.vnnlib'
    [ -z "$(ls tmp)" ]
    echo nonsense | gzip >bad.onnx.gz
    run env TMPDIR="$PWD/tmp" ax-bench 'prove bad.onnx.gz safe.vnnlib'
    [ "$status" -eq 65 ]
    [[ $output == *bad.onnx.gz* ]]
    [ -z "$(ls tmp)" ]
    # Nor when it is stopped; its child goes with it.
    TMPDIR=$PWD/tmp ax-bench 'prove net.onnx.gz safe.vnnlib' \
        'exec sleep 1000' 3>&- &
    pid=$!
    sleep 1
    kill -TERM $pid
    code=0
    wait $pid || code=$?
    [ "$code" -eq 143 ]
    [ -z "$(ls tmp)" ]
}

@test "it tells which problems there are" {
    run ax-bench --problems
    [ "$status" -eq 0 ]
    [[ $output == *"gemm f32 MxNxK"*"exec COMMAND"* ]]
}

@test "a full disk is an error" {
    run --separate-stderr bash -c 'ax-bench -n 1 -t 0 "sha256 10" >/dev/full'
    [ "$status" -eq 74 ]
    run --separate-stderr bash -c 'ax-bench --json -n 1 -t 0 "sha256 10" >/dev/full'
    [ "$status" -eq 74 ]
}

# Times differ from run to run, so tests/fault/run cannot compare.
@test "an allocation of a problem that fails is an error" {
    need_shim
    for n in $(seq 1 5 400); do
        code=0
        AX_FAIL_NTH=$n LD_PRELOAD=$shim ax-bench -n 1 -t 0 'pack 4KiB' \
            'unpack 4KiB' 'bound 2-3-2 boxes=2' >out 2>err || code=$?
        [ "$code" -eq 0 ] || { [ "$code" -eq 75 ] && [ "$(wc -l <err)" -eq 1 ]; } || {
            echo "allocation $n: exit $code"
            cat err
            return 1
        }
    done
    [ "$code" -eq 0 ] || [ "$n" -gt 300 ]
}
