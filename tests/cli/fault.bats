# What every program must survive. The table of programs is bin_PROGRAMS
# (AX_PROGRAMS), so that a new one is tested without a line here.
load common

# Run COMMAND for every program, with its name in place of PROGRAM.
each() { # COMMAND
    local p
    for p in ${AX_PROGRAMS:?make check sets it}; do
        "$1" "$p" || {
            echo "$p: failed"
            return 1
        }
    done
}

full_disk() {
    local code=0
    "$1" --help >/dev/full 2>err || code=$?
    [ "$code" -eq 74 ] && [ "$(wc -l <err)" -eq 1 ] &&
        grep -q '^'"$1"': .*No space left on device' err
}
@test "a full disk gives exit 74 and one line" {
    each full_disk
}

# The reader is gone before the program starts: "exec" waits for the line
# that true never writes.
closed_pipe() {
    local code
    mkfifo p
    : <p &
    exec 7>p
    wait $!
    code=0
    "$1" --help >&7 2>err || code=$?
    exec 7>&-
    rm p
    [ "$code" -eq 74 ] && [ ! -s err ]
}
@test "a closed pipe gives exit 74 and no noise" {
    each closed_pipe
}

closed_output() {
    local code=0
    "$1" --help >&- 2>err || code=$?
    [ "$code" -eq 74 ] && [ "$(wc -l <err)" -eq 1 ]
}
@test "a closed standard output gives exit 74" {
    each closed_output
}

wrong_option() {
    local code=0
    "$1" --no-such-option >out 2>err || code=$?
    [ "$code" -eq 64 ] && [ ! -s out ] &&
        grep -q "^$1: .*no-such-option" err &&
        grep -q "^usage: $1" err
}
@test "a wrong option gives exit 64 and the usage" {
    each wrong_option
}

help_version() {
    "$1" --help >out 2>err && [ ! -s err ] && grep -q "^usage: $1" out &&
        "$1" --version >out 2>err && [ ! -s err ] &&
        grep -qx "$1 [0-9.]*" out
}
@test "help and version go to standard output" {
    each help_version
}

no_memory() {
    survives_no_memory "$1" --version --json </dev/null
}
@test "every allocation may fail: --version --json" {
    need_shim
    each no_memory
}

@test "the allocation test finds a crash" {
    need_shim
    run survives_no_memory "$AX_BINDIR/tests/fault/careless" </dev/null
    [ "$status" -eq 1 ]
    [[ $output == *"allocation 1 of 1: exit 139"* ]]
}
